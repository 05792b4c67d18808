"""What a figure of a batch is computed from: sums over its rows, called tallies, and beside them means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ...core import Node, is_float
from ...core.fetches import ordered
from ...core.symbolic_shapes import names_in


def parts_of(node: Node) -> list[Node]:
    """Return what a node is computed from: tallies, and beside them means; none if that is not how it is made."""
    order = ordered([node])
    tallied, varying = set[Node](), set[Node]()
    for at in order:
        if at.op.sums_over_batches or not tallied.isdisjoint(at.inputs):
            tallied.add(at)
        if at.op.is_variable or at.op.dimension_names or not varying.isdisjoint(at.inputs):
            varying.add(at)
    if node not in tallied:
        return []

    def is_part(at: Node) -> bool:
        return at.op.sums_over_batches or (at in varying and at not in tallied)

    found = []
    for at in reached(node, is_part):
        part = is_part(at)
        if names_in(at.shape) or (at.op.dimension_names and not part):
            return []
        if part and not at.op.sums_over_batches and not is_float(at.dtype):
            return []  # such as a number of steps, of which there is no mean
        if part:
            found.append(at)
    return found


def reached(node: Node, ends: Callable[[Node], bool]) -> Iterator[Node]:
    """Yield the node and everything that it is computed from, but nothing beyond the nodes at which it `ends`."""
    waiting, seen = [node], {node}
    while waiting:
        yield (at := waiting.pop())
        if not ends(at):
            waiting += [operand for operand in dict.fromkeys(at.inputs) if operand not in seen]
            seen.update(at.inputs)


def computed_from(node: Node, given: Mapping[Node, Node]) -> Node:
    """Return the same computed from other nodes than the given ones; the new nodes have the old ones as twins."""
    graph, copies = node.graph, dict(given)
    for at in sorted(reached(node, given.__contains__), key=lambda at: at.index):
        if at not in copies and not copies.keys().isdisjoint(at.inputs):
            with graph.in_scope(None, twin=at):
                copies[at] = at.op(*[copies.get(operand, operand) for operand in at.inputs])
    return copies.get(node, node)
