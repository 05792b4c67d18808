"""About where `dot` will put each box, and what is better said to it otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    First the longest path from above. Then, from below, a box that is not held by more edges above than below
    comes down to what reads it. Lent edges do not hold, nor do those to a box that nothing holds and nobody else
    reads: it comes down along. An edge back to an earlier box, which folding can make, is left out.
    """
    count = len(seen.boxes)
    above: list[list[Edge]] = [[] for _ in range(count)]
    below: list[list[Edge]] = [[] for _ in range(count)]
    for edge in seen.edges:
        if edge.tail.place < edge.head.place:
            above[edge.head.place].append(edge)
            below[edge.tail.place].append(edge)
    ranks: list[int] = []
    held: list[int] = []
    for edges in above:
        ranks.append(max((ranks[edge.tail.place] + 1 for edge in edges), default=0))
        held.append(
            sum(not edge.lent and (held[edge.tail.place] > 0 or len(below[edge.tail.place]) > 1) for edge in edges)
        )
    for place in reversed(range(count)):
        if held[place] <= sum(not edge.lent for edge in below[place]) > 0:
            ranks[place] = min(ranks[edge.head.place] for edge in below[place]) - 1
    return ranks


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
