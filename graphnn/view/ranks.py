"""About where `dot` will put each box, and what is better said to it otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .layered import Link, rows

if TYPE_CHECKING:
    from .fold import Box, Edge, Picture

# `dot` leads an edge through every rank between its ends, at a price that grows with them.
_MOST_RANKS = 12


def long_edges(seen: Picture) -> set[Edge]:
    """Return the edges that would span too many ranks."""
    ranks = estimated(seen)
    return {edge for edge in seen.edges if ranks[edge.head.place] - ranks[edge.tail.place] > _MOST_RANKS}


def estimated(seen: Picture) -> list[int]:
    """Return about which rank `dot` will give each box, by place.

    An edge back to an earlier box, which folding can make, is left out.
    """
    forward = [edge for edge in seen.edges if edge.tail.place < edge.head.place]
    return rows(len(seen.boxes), [Link(edge.tail.place, edge.head.place, edge.lent) for edge in forward])


def set_beside(seen: Picture) -> list[tuple[Box, Box]]:
    """Return the boxes that go beside another: a parameter or constant that one box in its frame reads.

    So the way of the values is a straight line. At most one beside each: a second would be led over the first.
    """
    readers: dict[Box, list[Box]] = {}
    for edge in seen.edges:
        if edge.tail.scope is None and edge.node.has_value and edge.head.around is edge.tail.around:
            readers.setdefault(edge.tail, []).append(edge.head)
    beside: dict[Box, Box] = {}
    for box, heads in readers.items():
        if len(heads) == 1:
            beside.setdefault(heads[0], box)
    return [(box, head) for head, box in beside.items()]
