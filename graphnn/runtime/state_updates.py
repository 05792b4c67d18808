"""Updates that belong to nodes, which a step makes besides its own; and updates that are made only in some steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.fetches import ancestors

if TYPE_CHECKING:
    from ..core import Graph, Node


def with_advances(graph: Graph, fetches: Sequence[Node], updates: Mapping[Node, Node]) -> dict[Node, Node]:
    """Return updates, and those of `Graph.advances` that belong to the nodes that a step evaluates.

    The updates of several nodes compose in their order in the table. So a batch norm that is called twice in a step
    first takes over the statistics of the one call, and then those of the other.
    """
    wanted = [*fetches, *updates.values()]
    evaluated = ancestors(wanted)
    due: dict[Node, dict[Node, Node]] = {}
    while True:  # what is due may itself evaluate a node that others belong to
        found: dict[Node, dict[Node, Node]] = {}
        for (parameter, at), following in graph.advances.items():
            if at in evaluated and parameter not in updates:
                found.setdefault(at, {})[parameter] = following
        if found == due:
            break
        due = found
        evaluated = ancestors([*wanted, *[each for moved in due.values() for each in moved.values()]])
    advanced: dict[Node, Node] = {}
    for at, moved in due.items():
        advanced |= {parameter: _after(following, at, advanced) for parameter, following in moved.items()}
    return {**updates, **advanced}


def _after(following: Node, at: Node, advanced: Mapping[Node, Node]) -> Node:
    """Return the node of a next value with parameters exchanged for the values that they have by then.

    What the node at which the update is due has computed stays as it is.
    """
    graph = following.graph
    known: dict[tuple[Node, ...], Node] = graph.caches.setdefault("advanced", {})
    now = dict(advanced)
    computed = ancestors([at])
    for node in sorted(ancestors([following]) - computed, key=lambda node: node.index):
        operands = tuple([now.get(operand, operand) for operand in node.inputs])
        if operands != node.inputs:
            key = (node, *operands)
            if key not in known:
                with graph.in_scope(node.scope or None, origin=node.origin, twin=node, origin_of_nodes=True):
                    known[key] = graph.add(node.op, operands)
            now[node] = known[key]
    return now.get(following, following)


def moves_of(parameter: Node, following: Node) -> Node | None:
    """Return the node of whether a step moves a parameter, as it stands in the node of its next value; None: always.

    Examples
    --------
    >>> from graphnn import Graph, nn
    >>> w = Graph().parameter("w", 1.0)
    >>> updates = nn.SGD(0.1).updates(w * w, accumulate=2)
    >>> moves_of(w, updates[w])
    <Node "sgd_1/accumulate/is_last": equal () bool>
    """
    behind = following
    while behind.op.casts:  # of a parameter in a short dtype, from its copy in a longer one
        (behind,) = behind.inputs
    if not behind.op.selects or behind.inputs[0].shape != ():
        return None
    moves, _, kept = behind.inputs
    return moves if kept is parameter or (behind is not following and kept.twin is parameter) else None
