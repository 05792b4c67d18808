"""Where an error arose, drawn: what had run, or what was built, and the node that could not be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..._util.text import message
from ...core import Graph, Node, Spec, Unbuilt, user_origin
from ...core.node import Unmade
from ...core.scopes import PHASES
from ...errors import OF_ERROR, GraphnnError
from ...runtime.evaluation_loop import Stop
from .boxes import picture
from .draw import Diagram, draw
from .picture import Box, Edge, collapsing
from .shapes import Manner

if TYPE_CHECKING:
    from .style import Highlight

_MOST_SEEN_WHOLE = 60  # nodes of a run that ended early
# Of a larger graph, layers are drawn rather than operations, unless `detail` says otherwise.
_MOST_OPERATIONS = 400
_NOTE_WIDTH, _MOST_NOTES = 44, 8


@OF_ERROR.give("draw")
def _where_it_failed(error: GraphnnError) -> Diagram | None:
    if isinstance(error.stopped, Stop):
        return _unfinished(error, error.stopped)
    return _unbuilt(error, error.stopped) if isinstance(error.stopped, Unbuilt) else None


def _unfinished(error: GraphnnError, stop: Stop) -> Diagram:
    """Return what a run would have computed, with the node at which it ended."""
    program = stop.prepared.program
    highlight: dict[Node, Highlight] = dict.fromkeys(program.order, "done")
    for place in range(stop.position + 1, len(program.order)):
        if stop.prepared.binding.forwards[place] is not None:
            highlight[program.order[place]] = "waiting"
    failed = program.order[stop.position]
    said = f"refused by guard={stop.stopped_by_guard}" if stop.stopped_by_guard is not None else "failed"
    highlight[failed] = ("failed", said, *_reason(error.__cause__))
    detail = {"": _detail(program.order)}
    if len(program.order) > _MOST_SEEN_WHOLE:
        # What comes later, the backward pass of a forward node or the updates, is a box each.
        later = PHASES[PHASES.index(failed.phase) + 1 :]
        tops = [scope for scope in program.graph.scopes.values() if scope.parent is None and scope.phase in later]
        detail |= {scope.path: "layer" for scope in tops}
    return draw([program.order[place] for place in program.fetches], detail, highlight=highlight)


def _unbuilt(error: GraphnnError, refused: Unbuilt) -> Diagram:
    """Return what was built of the operands of an operation, with the operation that could not be."""
    operands = {position: x for position, x in enumerate(refused.operands) if isinstance(x, Node)}
    graph = next(iter(operands.values())).graph
    seen = picture(list(operands.values()))
    detail = _detail(node for box in seen.boxes for node in box.nodes)
    if detail != "op":
        seen = picture(list(operands.values()), detail)
    seen.fetched.clear()
    node = _never_made(graph, refused, tuple(operands.values()))
    _, around = collapsing(graph, detail)(node)
    box_of = {inside: box for box in seen.boxes for inside in box.seen}
    box = Box(len(seen.boxes), None, around, [node])
    seen.boxes.append(box)
    seen.edges += [Edge(box_of[x], box, x, position) for position, x in operands.items()]
    highlight: dict[Node, Highlight] = {node: ("failed", "could not be made", *_reason(error))}
    return Diagram(seen, Manner(sideways=detail == "layer", highlight=highlight), 2000, 60.0)


class _NoSpec(Spec):
    """The spec of what could not be made: neither shape nor dtype are known."""

    def __str__(self) -> str:
        return "?"


def _never_made(graph: Graph, refused: Unbuilt, inputs: tuple[Node, ...]) -> Node:
    """Return a node like the one that could not be made; the graph does not know it."""
    node = Unmade()
    node.graph, node.index, node.twin = graph, len(graph), None
    node.name, node.op, node.inputs = refused.op.name, refused.op, inputs
    # A picture leaves out the graph's own dtype, and so says none of what has none.
    node.spec = _NoSpec(("?",), graph.dtype)
    node.scope, node.origin = refused.scope, user_origin()
    node.__class__ = Node  # type: ignore[assignment]
    return node


def _detail(nodes: Iterable[Node]) -> str:
    return "op" if len(list(nodes)) <= _MOST_OPERATIONS else "layer"


def _reason(error: BaseException | None) -> list[str]:
    """Return why it failed, in lines that a box can hold."""
    reason = error.reason if isinstance(error, GraphnnError) else message(str(error or ""))
    return textwrap.wrap(reason, _NOTE_WIDTH, break_on_hyphens=False)[:_MOST_NOTES]
