"""Where things are side by side: they go to what they are linked with, as far apart as they must be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

from .parts import BEND_SPACE, LED, LIGHT, OUTSIDE, SPACE

# By what a thing is pulled: another one, where in that the link ends, where in the thing itself, and how strongly.
Pulls = list[tuple[int, float, float, float]]
_STIFF = 1e30
_ORDERING_SWEEPS, _PLACING_SWEEPS = 4, 4


class Things:
    """What is put side by side: boxes, frames and bends, numbered in this order.

    Each has its first and last row, and how far it reaches to the left and right of its own point, half the space to
    its neighbours included. `at` is where that point is, as seen from the point of the frame it is in, its holder.
    """

    def __init__(self, count: int) -> None:
        self.first = [0] * count
        self.last = [0] * count
        self.left = [0.0] * count
        self.right = [0.0] * count
        self.holder = [OUTSIDE] * count
        self.at = [0.0] * count
        self._base = list(range(count))
        self._from_base = [0.0] * count

    def bend(self, row: int, holder: int) -> int:
        """Add a bend, and return its number."""
        self.first.append(row)
        self.last.append(row)
        self.left.append(BEND_SPACE / 2)
        self.right.append(BEND_SPACE / 2)
        self.holder.append(holder)
        self.at.append(0.0)
        self._base.append(len(self._base))
        self._from_base.append(0.0)
        return len(self._base) - 1

    def loosen(self, beside: Mapping[int, tuple[int, float]]) -> None:
        """Make everything a part of nothing, but for what stands beside something, there."""
        self._base = list(range(len(self.at)))
        for thing, (other, self.at[thing]) in beside.items():
            self.fix(thing, other)

    def fix(self, thing: int, inside: int) -> None:
        """Make a thing a part of the frame it is in."""
        self._base[thing], self._from_base[thing] = inside, self.at[thing]

    def found(self, thing: int) -> tuple[int, float]:
        """Return the outermost frame that a thing is part of, itself if of none, and where in that it is."""
        base, way = self._base, [thing]
        while base[way[-1]] != way[-1]:
            way.append(base[way[-1]])
        top, offset = way.pop(), 0.0
        for one in reversed(way):  # who goes the way again has it shorter
            offset += self._from_base[one]
            base[one], self._from_base[one] = top, offset
        return top, offset

    def across(self, thing: int) -> float:
        """Return where a thing is in the end."""
        top, offset = self.found(thing)
        return self.at[top] + offset


class Level:
    """Things that are in one frame, side by side where they share a row; frames among them are stiff blocks.

    Parameters
    ----------
    things : Things
    members : list of int
    pieces : list of (int, int, float)
        What is linked, upper and lower, here or in the blocks; and how strongly.
    outside : list of (int, float)
        What is linked with something above and outside the frame, and where that is.
    """

    def __init__(
        self,
        things: Things,
        members: list[int],
        pieces: Sequence[tuple[int, int, float]],
        outside: Sequence[tuple[int, float]],
    ) -> None:
        self._things, self._members = things, members
        self._left = [things.left[thing] for thing in members]
        self._right = [things.right[thing] for thing in members]
        self._first = [things.first[thing] for thing in members]
        self._last = [things.last[thing] for thing in members]
        self._at = [things.at[thing] for thing in members]
        number_of = {thing: number for number, thing in enumerate(members)}
        self._above: list[Pulls] = [[] for _ in members]
        self._below: list[Pulls] = [[] for _ in members]
        for upper, lower, weight in pieces:
            (one, offset), (other, other_offset) = things.found(upper), things.found(lower)
            one, other = number_of[one], number_of[other]
            self._above[other].append((one, offset, other_offset, weight))
            self._below[one].append((other, other_offset, offset, weight))
        turns: dict[int, list[float]] = {}
        for thing, place in outside:
            turns.setdefault(number_of[things.found(thing)[0]], []).append(place)
        self._turn = {number: sum(places) / len(places) for number, places in turns.items()}
        first = min(self._first, default=0)
        self._first = [row - first for row in self._first]
        self._last = [row - first for row in self._last]
        self._fill_rows(range(len(members)))

    def _fill_rows(self, order: Iterable[int]) -> None:
        """Say which things are in each row, from left to right."""
        self._rows: list[list[int]] = [[] for _ in range(1 + max(self._last, default=-1))]
        for number in order:
            for row in range(self._first[number], self._last[number] + 1):
                self._rows[row].append(number)

    def place(self) -> tuple[float, float]:
        """Place them, and return how far they reach to the left and right."""
        if not self._members:
            return 0.0, 0.0
        unknown = not any(self._at)
        for sweep in range(_ORDERING_SWEEPS):
            self._order(sweep % 2 == 0, unknown and sweep == 0)
        self._settle()
        for sweep in range(_PLACING_SWEEPS):
            self._align(down=sweep % 2 == 0)
        self._straighten()
        for number, thing in enumerate(self._members):
            self._things.at[thing] = self._at[number]
        return (
            min(at - left for at, left in zip(self._at, self._left, strict=True)),
            max(at + right for at, right in zip(self._at, self._right, strict=True)),
        )

    def _order(self, down: bool, first: bool) -> None:
        """Let everything go to what it is linked with in the rows before, and make room; sides may change.

        Those that are linked with nothing there, or would be in about the same place, turn to what is outside. At
        first, nothing is known of the rows after.
        """
        neighbours, others, begin = self._towards(down)
        at, turn = self._at, self._turn
        for row in sorted(set(begin), reverse=not down):
            pulls = []
            for number in self._rows[row]:
                wanted, weight, side = at[number], LIGHT, at[number]
                if begin[number] != row:
                    weight = _STIFF
                elif neighbours[number]:
                    wanted, weight = self._aim(number, neighbours[number], down)
                    side = self._side(neighbours[number]) if weight >= LED else wanted
                elif number in turn:
                    wanted = side = turn[number]
                elif others[number] and not first:
                    wanted, _ = self._aim(number, others[number], not down)
                    side = wanted
                pulls.append((round(side / SPACE), turn.get(number, 0.0), at[number], number, wanted, weight))
            pulls.sort()
            members = [pull[3] for pull in pulls]
            places = apart([pull[4] for pull in pulls], [pull[5] for pull in pulls], self._spaces(members))
            for number, place in zip(members, places, strict=True):
                at[number] = place

    def _towards(self, down: bool) -> tuple[list[Pulls], list[Pulls], list[int]]:
        """Return what pulls each thing from the rows before and after, down or up, and the row it begins in."""
        return (self._above, self._below, self._first) if down else (self._below, self._above, self._last)

    def _settle(self) -> None:
        """Keep the order found, from left to right, and push to the right what overlaps."""
        order = sorted(range(len(self._members)), key=lambda number: (self._at[number], number))
        ends = [-math.inf] * len(self._rows)
        for number in order:
            span = range(self._first[number], self._last[number] + 1)
            at = max(self._at[number], max(ends[row] for row in span) + self._left[number])
            self._at[number] = at
            for row in span:
                ends[row] = at + self._right[number]
        self._fill_rows(order)
        # Whom those in several rows have beside them.
        self._lefts: list[set[int]] = [set() for _ in order]
        self._rights: list[set[int]] = [set() for _ in order]
        for members in self._rows:
            for one, other in pairwise(members):
                if self._first[one] != self._last[one]:
                    self._rights[one].add(other)
                if self._first[other] != self._last[other]:
                    self._lefts[other].add(one)

    def _align(self, down: bool) -> None:
        """Let everything go to what it is linked with in the rows before, as far as its neighbours let it."""
        neighbours, others, begin = self._towards(down)
        at = self._at
        for row in sorted(set(begin), reverse=not down):
            members = self._rows[row]
            pulls = []
            for number in members:
                aim, weight = at[number], LIGHT
                low, high = -math.inf, math.inf
                if begin[number] != row:
                    low = high = aim
                else:
                    if neighbours[number]:
                        aim, weight = self._aim(number, neighbours[number], down)
                    elif others[number]:
                        aim, _ = self._aim(number, others[number], not down)
                    if self._first[number] != self._last[number]:
                        low, high = self._limits(number, row)
                pulls.append((aim, weight, low, high))
            wanted, weights, least, most = zip(*pulls, strict=True)
            for number, place in zip(members, apart(wanted, weights, self._spaces(members), least, most), strict=True):
                at[number] = place

    def _straighten(self) -> None:
        """Bring the bends that follow each other in line where there is room for it."""
        at = self._at
        is_bend = [left < SPACE / 2 for left in self._left]
        beside = {number: (row, place) for row in self._rows for place, number in enumerate(row) if is_bend[number]}
        for bend in beside:
            if any(is_bend[other] for other, _, _, _ in self._above[bend]):
                continue
            run, low, high = [bend], -math.inf, math.inf
            while (below := self._below[run[-1]]) and is_bend[below[0][0]]:
                run.append(below[0][0])
            if len(run) == 1:
                continue
            for one in run:
                row, place = beside[one]
                if place > 0:
                    low = max(low, at[row[place - 1]] + self._right[row[place - 1]] + self._left[one])
                if place + 1 < len(row):
                    high = min(high, at[row[place + 1]] - self._left[row[place + 1]] - self._right[one])
            if low <= high:
                middle = sum(at[one] for one in run) / len(run)
                for one in run:
                    at[one] = min(max(middle, low), high)

    def _limits(self, number: int, row: int) -> tuple[float, float]:
        """Return how far something in several rows may go, for those that are beside it in other rows than this."""
        at, left, right, first, last = self._at, self._left, self._right, self._first, self._last
        lefts, rights = (
            [other for other in others[number] if not first[other] == last[other] == row]
            for others in (self._lefts, self._rights)
        )
        low = max((at[other] + right[other] + left[number] for other in lefts), default=-math.inf)
        return low, min((at[other] - left[other] - right[number] for other in rights), default=math.inf)

    def _aim(self, number: int, neighbours: Pulls, down: bool) -> tuple[float, float]:
        """Return where neighbours would have something, and how strongly.

        That is in line, by the weighted median; or if all links are light, beside them: what is below on the right.
        """
        at, left, right = self._at, self._left, self._right
        if len(neighbours) == 1:
            ((other, end, own, weight),) = neighbours
            pulls, total = [(at[other] + end - own, weight)], weight
        else:
            pulls = sorted([(at[other] + end - own, weight) for other, end, own, weight in neighbours])
            total = sum([weight for _, weight in pulls])
        if total < LED and left[number] >= SPACE / 2:  # and no bend
            if down:
                return max(at[other] + right[other] for other, _, _, _ in neighbours) + left[number], total
            return min(at[other] - left[other] for other, _, _, _ in neighbours) - right[number], total
        passed = 0.0
        for place, (wanted, weight) in enumerate(pulls):
            passed += weight
            if passed == total / 2:
                return (wanted + pulls[place + 1][0]) / 2, total
            if passed > total / 2:
                break
        return wanted, total

    def _side(self, neighbours: Pulls) -> float:
        """Return where the other ends of links are, on an average."""
        if len(neighbours) == 1:
            return self._at[neighbours[0][0]] + neighbours[0][1]
        shares = [min(weight, LED) for _, _, _, weight in neighbours]
        ends = [self._at[other] + end for other, end, _, _ in neighbours]
        return sum([end * share for end, share in zip(ends, shares, strict=True)]) / sum(shares)

    def _spaces(self, members: Sequence[int]) -> list[float]:
        """Return how far apart neighbours must be at least."""
        return [self._right[one] + self._left[other] for one, other in pairwise(members)]


def apart(
    wanted: Sequence[float],
    weights: Sequence[float],
    spaces: Sequence[float],
    least: Sequence[float] = (),
    most: Sequence[float] = (),
) -> list[float]:
    """Return places in the same order as near to the wanted ones as it goes, by the sum of weighted squares.

    Those that are too near to each other make a block around their common middle (pool adjacent violators).

    Parameters
    ----------
    wanted, weights : sequence of float
    spaces : sequence of float
        Between each and the next, at least.
    least, most : sequence of float, optional
        Between which each must be; there are such places.

    Returns
    -------
    list of float

    Examples
    --------
    >>> apart([0.0, 0.0, 9.0], [1.0, 1.0, 1.0], [4.0, 4.0])
    [-2.0, 2.0, 9.0]
    >>> apart([0.0, 0.0], [1.0, 3.0], [4.0])
    [-3.0, 1.0]
    """
    if len(wanted) <= 1 and not least:
        return list(wanted)
    offsets = list(accumulate(spaces, initial=0.0))
    blocks: list[tuple[float, float, int]] = []
    for aim, weight, offset in zip(wanted, weights, offsets, strict=True):
        pull, size = (aim - offset) * weight, 1
        while blocks and blocks[-1][0] * weight > pull * blocks[-1][1]:
            before, others, many = blocks.pop()
            pull, weight, size = before + pull, others + weight, many + size
        blocks.append((pull, weight, size))
    places = [pull / weight for pull, weight, size in blocks for _ in range(size)]
    if least:
        lowest = list(accumulate((low - offset for low, offset in zip(least, offsets, strict=True)), max))
        highest = [*accumulate((high - offset for high, offset in zip(most[::-1], offsets[::-1], strict=True)), min)]
        bounds = zip(lowest, highest[::-1], strict=True)
        places = [min(max(place, low), high) for place, (low, high) in zip(places, bounds, strict=True)]
    return [place + offset for place, offset in zip(places, offsets, strict=True)]
