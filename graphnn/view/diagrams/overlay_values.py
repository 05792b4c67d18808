"""What `draw` evaluates for an overlay: of a copy where that takes gradients, which are new nodes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...autodiff.grad import grad
from ...core import Graph, Node, is_float
from ...core.topological_order import schedule
from ...debugger.traces import Trace, trace
from ...errors import GraphnnWarning, NoRuleError, NotFoundError, UsageError
from ...transforms.extract_replace import copied
from ..formatting import by_times, shortened
from .overlay_types import OVERLAY, drawn_over
from .picture import asked

if TYPE_CHECKING:
    from ...runtime.feed import Feed

_HOW = 'gn.draw(loss, feed, overlay="gradients")'
_MOST_NAMED = 4


def needs_no_feed(fetches: Any, graph: Graph | None, overlay: Any) -> bool:
    """Return whether an overlay is of a run, and a run of the fetches needs nothing to be fed."""
    named, known = overlay if isinstance(overlay, (list, tuple)) else [overlay], OVERLAY.load()
    read = [known[one].readers for one in named if isinstance(one, str) and one in known]
    if not read or not all(Trace in readers for readers in read) or isinstance(fetches, Trace):
        return False
    return not any(node.op.is_placeholder for node in schedule(list(asked(fetches, graph)[1])))


def evaluated(fetches: Any, feed: Feed, graph: Graph | None, overlay: Any) -> Trace:
    """Return a run of the fetches; with the gradients of the only scalar among them, if an overlay shows gradients.

    Raises
    ------
    UsageError
        When gradients are asked for and not exactly one scalar is drawn.
    NotFoundError
        When that depends on nothing that has a gradient.
    """
    source, named = asked(fetches, graph)
    fetched, overlays = list(named), overlay if isinstance(overlay, (list, tuple)) else [overlay]
    has_some = any(node.phase == "backward" for node in fetched)
    if "gradients" not in overlays or (has_some and len(_scalars(fetched)) != 1):
        whole = isinstance(fetches, Graph) or drawn_over(fetches) is not None
        return trace(fetched if whole else fetches, feed, graph=None if whole else graph)
    scalar = _scalar_among(fetched)
    _, found, copies = copied(source, fetched, beside=source.placeholders)  # all that may be fed
    slopes = _gradients(copies[scalar])
    if isinstance(feed, Mapping):  # by name, which both graphs share
        feed = {key.name if isinstance(key, Node) and key.graph is source else key: feed[key] for key in feed}
    return trace([*found, *slopes], feed)


def _scalar_among(fetched: list[Node]) -> Node:
    """Return the only scalar of a forward pass."""
    scalars = _scalars(fetched)
    if len(scalars) == 1:
        return scalars[0]
    if scalars:
        names = ", ".join(f'"{shortened(node.title, 32)}"' for node in scalars[:_MOST_NAMED])
        more = ", …" if len(scalars) > _MOST_NAMED else ""
        raise UsageError(
            f"gradients are of one scalar, and {len(scalars)} are drawn, {names}{more}: draw one of them, as in "
            f"{_HOW}, or their sum"
        )
    shapes = [f', and "{shortened(node.title, 32)}" is {by_times(node.shape)}' for node in fetched[:1]]
    raise UsageError(f"gradients are of one scalar{''.join(shapes)}: draw the loss, or a sum, as gn.sum(y)")


def _scalars(fetched: list[Node]) -> list[Node]:
    return [node for node in fetched if node.phase == "forward" and is_float(node.dtype) and not node.shape]


def _gradients(result: Node) -> list[Node]:
    """Return the gradients of a scalar by all on which it depends, as new nodes of its graph."""
    leaves = [node for node in schedule([result]) if not node.inputs and is_float(node.dtype)]
    given = [node for node in leaves if node.op.is_variable]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphnnWarning)  # zeros, where it does not depend on one of them
        try:
            grad(result, given)
        except NoRuleError:  # on the way from what is fed, perhaps
            grad(result, [node for node in given if node.trainable])
    known = [of for seeds, (_, of) in result.graph.cotangents.items() if [node for node, _ in seeds] == [result]]
    slopes = [slope for of in known for slope in of.values()]
    if not slopes:
        raise NotFoundError(f'"{shortened(result.title, 32)}" depends on no parameter and no placeholder of floats')
    return slopes
