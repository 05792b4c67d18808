"""The order of the nodes of an ONNX graph, whose files need not list them in one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...errors import FileFormatError
from ...text import short_repr


def in_order(nodes: Sequence[Any], known: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield (place in the file, node), what a node reads before it; in the order of the file where that does.

    Raises
    ------
    FileFormatError
        When a name is made twice, or nodes wait for each other in a circle.
    """
    makers: dict[str, int] = {}
    for place, node in enumerate(nodes):
        for name in node.output:
            if name and makers.setdefault(name, place) != place:
                raise FileFormatError(f"{short_repr(name)} is made by two nodes")
    known = set(known)
    needs = [{makers[name] for name in reads(node) if name in makers and name not in known} for node in nodes]
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
            f"nodes wait for each other in a circle, such as the {nodes[first].op_type} {short_repr(nodes[first].name)}"
        )
    for place in order:
        yield place, nodes[place]


def reads(node: Any) -> Iterator[str]:
    """Yield the names that a node reads, those of its subgraphs too, whether they are made inside or around."""
    stack = [node]
    while stack:
        proto = stack.pop()
        yield from (name for name in proto.input if name)
        for attribute in proto.attribute:
            for graph in (attribute.g, *attribute.graphs) if attribute.type in (5, 10) else ():
                stack.extend(graph.node)
                yield from (each.name for each in graph.output)
