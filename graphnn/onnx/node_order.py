"""The order of the nodes of an ONNX graph, whose files need not list them in one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .._util.text import short_repr
from ..errors import FileFormatError


def in_order(nodes: Sequence[Any], known: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield (place in the file, node), what a node reads before it; in the order of the file where that does.

    Raises
    ------
    FileFormatError
        When a name is made twice, or is that of an input, or nodes wait for each other in a circle.
    """
    makers: dict[str, int] = {}
    known = set(known)
    for place, node in enumerate(nodes):
        for name in node.output:
            if name in makers or name in known:
                also = "is made twice" if name in makers else "is made by a node, and given besides"
                raise FileFormatError(f"{short_repr(name)} {also}")
            if name:
                makers[name] = place
    needs = [{makers[name] for name in reads(node) if name in makers} for node in nodes]
    if all(all(need < place for need in wanted) for place, wanted in enumerate(needs)):
        yield from enumerate(nodes)
        return
    users: list[list[int]] = [[] for _ in nodes]
    for place, wanted in enumerate(needs):
        for need in wanted:
            users[need].append(place)
    left = [len(wanted) for wanted in needs]
    ready = deque(place for place, count in enumerate(left) if not count)
    order = []
    while ready:
        place = ready.popleft()
        order.append(place)
        for user in users[place]:
            left[user] -= 1
            if not left[user]:
                ready.append(user)
    if len(order) < len(nodes):
        first = next(place for place, count in enumerate(left) if count)
        raise FileFormatError(
            f"nodes form a cycle: the {nodes[first].op_type} {short_repr(nodes[first].name)} is in it, or waits for it"
        )
    for place in order:
        yield place, nodes[place]


def reads(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, and those that its subgraphs read of what is around them."""
    nothing: frozenset[str] = frozenset()
    stack = [(node, nothing)]
    while stack:
        proto, inside = stack.pop()
        yield from (name for name in proto.input if name and name not in inside)
        for attribute in proto.attribute:
            for graph in graphs_in(attribute):
                given = [each.name for each in (*graph.input, *graph.initializer)]
                own = inside.union(given, (name for each in graph.node for name in each.output))
                stack += [(each, own) for each in graph.node]
                yield from (each.name for each in graph.output if each.name not in own)


def graphs_in(attribute: Any) -> list[Any]:
    """Return the subgraphs that an attribute holds."""
    return [attribute.g, *attribute.graphs] if attribute.type in (5, 10) else []
