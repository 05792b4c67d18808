"""Which layers of a loss to train are built for evaluation, though nobody has asked for it."""

from __future__ import annotations

import warnings
from collections.abc import Collection

from ..core import Graph, Node, user_origin
from ..core.fetches import ancestors
from ..errors import GraphnnWarning

_BUILT = "built for evaluation"


def note_evaluation(graph: Graph, path: str, meant: bool) -> None:
    """Note that a layer was called for evaluation.

    Parameters
    ----------
    graph : Graph
    path : str
        Of the layer.
    meant : bool
        Whether somebody asked for it, so that `warn_of_evaluation` leaves the layer out.
    """
    built = graph.caches.setdefault(_BUILT, {})
    built[path] = meant or built.get(path, False)


def warn_of_evaluation(loss: Node, trained: Collection[Node]) -> None:
    """Warn of dropout that does nothing in a loss to train, and of batch norm that keeps its running statistics.

    There is no warning of layers that were called with ``training=False``. In a graph from a file, or a copy of one,
    nobody knows that, and so there is none either. Nor is there one of dropout in a network that stays as it is, such
    as the discriminator in the loss of a generator: the layers before it are not trained.

    Parameters
    ----------
    loss : Node
    trained : collection of Node
        The parameters that are updated.
    """
    graph, needed = loss.graph, ancestors([loss])
    state = list(graph.state)  # a copy: another thread may enter more meanwhile
    own = {node.scope for node in trained}
    if not any(own) and any(node.trainable and node.scope and node in needed for node in state):
        return  # an input is trained, such as an image, and the network stays as it is
    with_parameters = {node.scope for node in state}
    moved = {parameter for parameter, _ in list(graph.advances)}
    paths = [
        path
        for path, node in graph.idle.items()
        if node in needed and path not in with_parameters and not _scopes_before(node).isdisjoint(own)
    ]
    for node in state:
        if node in needed and not node.trainable and node not in moved and node.scope in own - {*paths}:
            scope = graph.scopes.get(node.scope)
            if scope is not None and scope.kind == "BatchNorm":
                paths.append(node.scope)
    built = graph.caches.get(_BUILT, {})
    paths = [path for path in paths if not built.get(path, True)]
    if paths:
        more = f", and {len(paths) - 3} more" if len(paths) > 3 else ""
        named = ", ".join(f'"{path}"' for path in paths[:3]) + more
        warnings.warn_explicit(
            f'"{loss.name}" is trained, but {named} was built for evaluation: there, dropout does nothing, and batch '
            "norm keeps its running statistics. For training, write network(x, training=True); if evaluation is meant, "
            "network(x, training=False)",
            GraphnnWarning,
            *user_origin(),
        )


def _scopes_before(node: Node) -> set[str]:
    """Return the scopes of the layers before a node: of the first parameters on every way back from it."""
    found: set[str] = set()
    seen, waiting = {node}, [node]
    while waiting:
        each = waiting.pop()
        read = {part.scope for part in (each, *each.inputs) if part.trainable}
        found |= read
        if not read:
            waiting.extend(part for part in each.inputs if part not in seen)
            seen.update(each.inputs)
    return found
