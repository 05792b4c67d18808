"""An estimate of the ranks that `dot` gives, and the hints for `dot` that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..layout.layout_types import Link
from ..layout.ranks import rows
from .picture import scopes_down_to
from .shared_parameters import sharing

if TYPE_CHECKING:
    from .picture import Box, Edge, Picture

# `dot` leads an edge through every rank between its ends, at a price that grows with them.
_MOST_RANKS = 12


def long_edges(seen: Picture) -> set[Edge]:
    """Return the edges that would span too many ranks."""
    ranks = estimated(seen)
    return {edge for edge in seen.edges if ranks[edge.head.place] - ranks[edge.tail.place] > _MOST_RANKS}


def estimated(seen: Picture) -> list[int]:
    """Return about which rank `dot` will give each box, by place.

    An edge back to an earlier box, which collapsing can make, is left out.
    """
    forward = [edge for edge in seen.edges if edge.tail.place < edge.head.place]
    return rows(len(seen.boxes), [Link(edge.tail.place, edge.head.place, edge.lent) for edge in forward])


def set_beside(seen: Picture) -> list[tuple[Box, Box]]:
    """Return the boxes that go beside another: a parameter or constant that one box in its frame reads.

    So the way of the values is a straight line. At most one beside each: a second would be led over the first.
    """
    readers: dict[Box, list[Box]] = {}
    unlined = sharing(seen).unlined
    for edge in seen.edges:
        if (
            edge not in unlined
            and edge.tail.scope is None
            and edge.node.has_value
            and edge.head.around is edge.tail.around
        ):
            readers.setdefault(edge.tail, []).append(edge.head)
    beside: dict[Box, Box] = {}
    for box, heads in readers.items():
        if len(heads) == 1:
            beside.setdefault(heads[0], box)
    return [(box, head) for head, box in beside.items()]


def set_below(seen: Picture) -> dict[str, Box]:
    """Return the box below which all of an open scope goes, by its path: of those that it waits for, the first.

    `dot` sets frames side by side if they share a rank; what nothing holds would rise, and pull its frame beside the
    one before. Not held by what is only there for it, such as a placeholder, nor over a long edge.
    """
    ranks, uses, first = estimated(seen), [0] * len(seen.boxes), dict[str, int]()
    for box in seen.boxes:
        for scope in scopes_down_to(box.around):
            first.setdefault(scope.path, box.place)
    for edge in seen.edges:
        uses[edge.tail.place] += 1
        uses[edge.head.place] += 1
    long = long_edges(seen)
    found: dict[str, Box] = {}
    for edge in seen.edges:
        tail, outside = edge.tail, {scope.path for scope in scopes_down_to(edge.tail.around)}
        if edge.lent or edge in long or uses[tail.place] < 2:
            continue
        for scope in scopes_down_to(edge.head.around):
            if scope.path not in outside and tail.place < first[scope.path]:
                before = found.setdefault(scope.path, tail)
                if (ranks[tail.place], tail.place) < (ranks[before.place], before.place):
                    found[scope.path] = tail
    return found
