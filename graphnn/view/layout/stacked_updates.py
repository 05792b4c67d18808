"""Lines of what nothing reads, such as the updates of an optimizer: in one row they would be too wide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count

from .layout_types import BESIDE_SPACE, FRAME_PAD, OUTSIDE, SPACE, Frame, Item, Link, Tree


class Stack:
    """Moves boxes and frames that nothing reads down, below others that nothing reads.

    Parameters
    ----------
    items : sequence of Item
    frames : sequence of Frame
    links : sequence of Link
        Without those of boxes to what they stand beside.
    row_of : sequence of int
        For each box.

    Examples
    --------
    >>> Stack([Item(40, 20)] * 4, [], [Link(0, 1), Link(0, 2), Link(0, 3)], [0, 1, 1, 1]).rows(120.0)
    [0, 1, 1, 2]
    """

    def __init__(
        self, items: Sequence[Item], frames: Sequence[Frame], links: Sequence[Link], row_of: Sequence[int]
    ) -> None:
        self._boxes = boxes = len(items)
        self._rows, self._frames = list(row_of), frames
        # Boxes and then frames: how wide they are with the space between, and who reads them, in the same frame or not.
        self._widths = [item.width + SPACE for item in items] + [0.0] * len(frames)
        self._readers: list[set[int]] = [set() for _ in self._widths]
        self._members: list[list[int]] = [[] for _ in range(len(frames) + 1)]
        for box, item in enumerate(items):
            if item.beside == OUTSIDE:
                self._members[item.frame].append(box)
            else:
                self._widths[item.beside] += item.width + BESIDE_SPACE
        for number, frame in enumerate(frames):
            self._members[frame.parent].append(boxes + number)
        tree = Tree([frame.parent for frame in frames])
        for link in links:
            upper, lower = sorted((link.tail, link.head), key=row_of.__getitem__)
            outer, _, other = tree.meeting(items[upper].frame, items[lower].frame)
            way = [upper, *(boxes + frame for frame in tree.between(items[upper].frame, outer))]
            for thing in way[:-1]:
                self._readers[thing].add(OUTSIDE)
            self._readers[way[-1]].add(lower if other == OUTSIDE else boxes + other)

    def rows(self, most: float) -> list[int]:
        """Return the rows, where what nothing reads is no wider than that as far as can be."""
        spans = [(row, row) for row in self._rows] + [(0, 0)] * len(self._frames)
        room, last = [most], [True]
        for number, frame in enumerate(self._frames):
            room.append(room[frame.parent + 1] - 2 * FRAME_PAD)
            last.append(last[frame.parent + 1] and not self._readers[self._boxes + number])
        for number in [*reversed(range(len(self._frames))), OUTSIDE]:
            members = self._members[number]
            if last[number + 1]:
                self._set_lines(members, spans, room[number + 1])
            if number != OUTSIDE:
                thing = self._boxes + number
                firsts, lasts = zip(*(spans[member] for member in members), strict=True)
                spans[thing] = min(firsts), max(lasts)
                inner = max(*self._taken(members, spans).values(), self._frames[number].width + SPACE)
                self._widths[thing] = inner + 2 * FRAME_PAD
        return self._rows

    def _set_lines(self, members: Sequence[int], spans: list[tuple[int, int]], most: float) -> None:
        """Set what nothing reads in lines, each with all that it alone reads; those of few rows first."""
        unit_of: dict[int, int] = {}
        units: dict[int, list[int]] = {}
        for thing in sorted(members, key=lambda member: (-spans[member][0], member)):
            readers = {unit_of.get(reader, OUTSIDE) for reader in self._readers[thing]} or {thing}
            if len(readers) == 1 and OUTSIDE not in readers:
                unit_of[thing] = (unit := readers.pop())
                units.setdefault(unit, []).append(thing)
        taken = self._taken([thing for thing in members if thing not in unit_of], spans)
        base, lines = dict(taken), dict[tuple[int, int], list[int]]()
        for things in sorted(units.values(), key=lambda each: len(self._taken(each, spans))):
            own = self._taken(things, spans)
            extent = min(own), max(own)
            shifts = lines.setdefault(extent, [])  # those of the same rows stand in lines, and others beside those
            further = shifts[-1] + extent[1] - extent[0] + 1 if shifts else 0
            for shift in chain(shifts, count(further)):
                rows = [(taken.get(row + shift, 0.0), base.get(row + shift, 0.0), width) for row, width in own.items()]
                if all(before == least or before + width <= most for before, least, width in rows):
                    break
            if shift not in shifts:
                shifts.append(shift)
            for row, width in own.items():
                taken[row + shift] = taken.get(row + shift, 0.0) + width
            for thing in things:
                self._move(thing, shift, spans)

    def _move(self, thing: int, by: int, spans: list[tuple[int, int]]) -> None:
        """Move a box, or a frame and all in it, down."""
        waiting = [thing] if by else []
        while waiting:
            one = waiting.pop()
            spans[one] = spans[one][0] + by, spans[one][1] + by
            if one < self._boxes:
                self._rows[one] += by
            else:
                waiting += self._members[one - self._boxes]

    def _taken(self, things: Sequence[int], spans: Sequence[tuple[int, int]]) -> dict[int, float]:
        """Return how wide things are, by row."""
        found: dict[int, float] = {}
        for thing in things:
            for row in range(spans[thing][0], spans[thing][1] + 1):
                found[row] = found.get(row, 0.0) + self._widths[thing]
        return found
