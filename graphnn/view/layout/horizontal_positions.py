"""Places across the flow: each thing goes towards what it is linked with, and keeps its distance from others."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from operator import add

from .layout_types import BEND_SPACE, LED, LIGHT, OUTSIDE, SPACE

# The links that pull a thing: (the other thing, offset of the end there, offset of the end here, strength).
Pulls = list[tuple[int, float, float, float]]
_STIFF = 1e30
_ORDERING_SWEEPS, _PLACING_SWEEPS = 4, 4
# If links cross after the sweeps, so many follow, each with an exchange of neighbours; not if there are so many things.
_MOST_SWEEPS, _MANY, _MOST_EXCHANGES = 16, 4000, 4
# How much wider a layout may be that has one crossing less.
_WORTH = 25.0


class Things:
    """What is placed: boxes, frames and bends, numbered in this order. One list per property.

    `first` and `last` are rows. `left` and `right` say how far a thing reaches from its own point, with half the space
    to its neighbours. `at` is the position of that point, relative to the point of `holder`, the frame around it.

    While frames are filled, a filled frame and all in it move as one: `_base` is the frame that a thing is fixed to
    (itself: none yet) and `_from_base` its position relative to that (a union-find forest with offsets).
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
        """Fix no thing to any other, except those that stand beside a box to that box."""
        self._base = list(range(len(self.at)))
        for thing, (other, self.at[thing]) in beside.items():
            self.fix(thing, other)

    def fix(self, thing: int, inside: int) -> None:
        """Fix a thing to the frame it is in, where it is now."""
        self._base[thing], self._from_base[thing] = inside, self.at[thing]

    def found(self, thing: int) -> tuple[int, float]:
        """Return the outermost frame that a thing is fixed to, or itself, and its position relative to that."""
        base, way = self._base, [thing]
        while base[way[-1]] != way[-1]:
            way.append(base[way[-1]])
        top, offset = way.pop(), 0.0
        for one in reversed(way):  # path compression: the next search is shorter
            offset += self._from_base[one]
            base[one], self._from_base[one] = top, offset
        return top, offset

    def across(self, thing: int) -> float:
        """Return the final position of a thing."""
        top, offset = self.found(thing)
        return self.at[top] + offset


class Level:
    """The things in one frame. Those that share a row stand side by side; inner frames are stiff blocks.

    Parameters
    ----------
    things : Things
    members : list of int
    pieces : list of (int, int, float)
        Links as (upper thing, lower thing, strength); either may be inside an inner frame.
    outside : list of (int, float)
        Links from above and outside the frame: (thing, position of the other end).
    most : float
        How far all of it may reach across, as far as the things in each row have room.
    """

    def __init__(
        self,
        things: Things,
        members: list[int],
        pieces: Sequence[tuple[int, int, float]],
        outside: Sequence[tuple[int, float]],
        most: float = math.inf,
    ) -> None:
        self._things, self._members, self._half = things, members, most / 2
        self._left = [things.left[thing] for thing in members]
        self._right = [things.right[thing] for thing in members]
        self._first = [things.first[thing] for thing in members]
        self._last = [things.last[thing] for thing in members]
        self._at = [things.at[thing] for thing in members]
        number_of = {thing: number for number, thing in enumerate(members)}
        self._above: list[Pulls] = [[] for _ in members]
        self._below: list[Pulls] = [[] for _ in members]
        gaps: dict[int, list[tuple[int, float, int, float]]] = {}
        for upper, lower, weight in pieces:
            (one, offset), (other, other_offset) = things.found(upper), things.found(lower)
            one, other = number_of[one], number_of[other]
            self._above[other].append((one, offset, other_offset, weight))
            self._below[one].append((other, other_offset, offset, weight))
            gaps.setdefault(things.first[lower], []).append((one, offset, other, other_offset))
        self._gaps = [gap for gap in gaps.values() if len(gap) > 1]
        turns: dict[int, list[float]] = {}
        for thing, place in outside:
            turns.setdefault(number_of[things.found(thing)[0]], []).append(place)
        self._turn = {number: math.fsum(places) / len(places) for number, places in turns.items()}
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
        """Place the things, and return how far they reach to the left and to the right."""
        if not self._members:
            return 0.0, 0.0
        unknown = not any(self._at)
        best, least = self._at, math.inf
        known = set()
        for sweep in range(_MOST_SWEEPS if len(self._members) < _MANY else _ORDERING_SWEEPS):
            if sweep >= _ORDERING_SWEEPS:
                state = (sweep % 2, *self._at, *chain.from_iterable(self._rows))
                if state in known:  # all that follows was there before
                    break
                known.add(state)
            self._order(sweep % 2 == 0, unknown and sweep == 0)
            if sweep + 1 < _ORDERING_SWEEPS:
                continue
            if sweep + 1 > _ORDERING_SWEEPS:
                self._exchange()
            crossings = self._crossings()
            if (price := crossings + (max(self._at) - min(self._at)) / _WORTH) < least:
                best, least = list(self._at), price
            if not crossings:
                break
        self._at = best
        self._settle()
        for sweep in range(_PLACING_SWEEPS):
            self._align(down=sweep % 2 == 0)
        self._straighten()
        self._draw_in()
        for number, thing in enumerate(self._members):
            self._things.at[thing] = self._at[number]
        return (
            min(at - left for at, left in zip(self._at, self._left, strict=True)),
            max(at + right for at, right in zip(self._at, self._right, strict=True)),
        )

    def _order(self, down: bool, first: bool) -> None:
        """Sweep over the rows: move each thing to what it is linked with in the rows before. The order may change.

        A thing without such a link goes towards what is outside the frame, else towards the rows after; the first
        sweep knows nothing of those.
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
            wants, weights = [pull[4] for pull in pulls], [pull[5] for pull in pulls]
            places = apart(wants, weights, self._spaces(members), *self._bounds(members))
            for number, place in zip(members, places, strict=True):
                at[number] = place

    def _crossings(self) -> int:
        """Return how often pieces of links cross in the gaps between rows."""
        at, found = self._at, 0
        for gap in self._gaps:
            ends = sorted([(at[one] + end, at[other] + other_end) for one, end, other, other_end in gap])
            seen: list[float] = []
            for _, end in ends:
                found += len(seen) - bisect_right(seen, end)
                insort(seen, end)
        return found

    def _exchange(self) -> None:
        """Exchange neighbours in a row as long as fewer links cross then."""
        at, left, right = self._at, self._left, self._right
        single = [first == last for first, last in zip(self._first, self._last, strict=True)]
        for _ in range(_MOST_EXCHANGES):
            changed = False
            for row in self._rows:
                row.sort(key=at.__getitem__)
                for place, (one, other) in enumerate(pairwise(list(row))):
                    one = row[place]
                    if single[one] and single[other] and self._more_crossed(one, other) > 0:
                        begin, end = at[one] - left[one], at[other] + right[other]
                        at[other], at[one] = begin + left[other], end - right[one]
                        row[place], row[place + 1] = other, one
                        changed = True
            if not changed:
                return

    def _more_crossed(self, one: int, other: int) -> int:
        """Return how much more often the links of two things cross if the first stands to the left of the second."""
        at, found = self._at, 0
        for links in (self._above, self._below):
            of_one, of_other = links[one], links[other]
            if not (of_one and of_other):
                continue
            if len(of_one) == len(of_other) == 1:
                end, to = at[of_one[0][0]] + of_one[0][1], at[of_other[0][0]] + of_other[0][1]
                found += (end > to + 0.01) - (to > end + 0.01)
                continue
            ends = [at[end] + offset for end, offset, _, _ in of_one]
            others = [at[end] + offset for end, offset, _, _ in of_other]
            if len(ends) == 1 or len(others) == 1:
                for end in ends:
                    for to in others:
                        found += (end > to + 0.01) - (to > end + 0.01)
            else:
                ends.sort()
                others.sort()
                found += sum([len(ends) - bisect_right(ends, to + 0.01) for to in others])
                found -= sum([len(others) - bisect_right(others, end + 0.01) for end in ends])
        return found

    def _towards(self, down: bool) -> tuple[list[Pulls], list[Pulls], list[int]]:
        """Return for a sweep the links of each thing to the rows before and after it, and the row where it begins."""
        return (self._above, self._below, self._first) if down else (self._below, self._above, self._last)

    def _settle(self) -> None:
        """Fix the order from left to right, and push to the right what overlaps; and back what reaches too far."""
        order = sorted(range(len(self._members)), key=lambda number: (self._at[number], number))
        self._push(order, -math.inf)
        if self._half < math.inf:
            self._push_back(order)
            self._push(order, -self._half)
        self._fill_rows(order)
        # The neighbours of things that are in several rows.
        self._lefts: list[set[int]] = [set() for _ in order]
        self._rights: list[set[int]] = [set() for _ in order]
        for members in self._rows:
            for one, other in pairwise(members):
                if self._first[one] != self._last[one]:
                    self._rights[one].add(other)
                if self._first[other] != self._last[other]:
                    self._lefts[other].add(one)

    def _push(self, order: Iterable[int], least: float) -> None:
        """Push things to the right, in their order, as far as they must go."""
        ends = [least] * len(self._rows)
        for number in order:
            span = range(self._first[number], self._last[number] + 1)
            at = max(self._at[number], max(ends[row] for row in span) + self._left[number])
            self._at[number] = at
            for row in span:
                ends[row] = at + self._right[number]

    def _push_back(self, order: Sequence[int]) -> None:
        """Push things to the left, in their order, as far as they reach out on the right."""
        ends = [self._half] * len(self._rows)
        for number in reversed(order):
            span = range(self._first[number], self._last[number] + 1)
            at = min(self._at[number], min(ends[row] for row in span) - self._right[number])
            self._at[number] = at
            for row in span:
                ends[row] = at - self._left[number]

    def _bounds(self, members: Sequence[int]) -> tuple[list[float], list[float]]:
        """Return the range of each thing in a row; that is wider if they have no room."""
        if self._half == math.inf:
            return [], []
        half = max(self._half, math.fsum([self._left[number] + self._right[number] for number in members]) / 2)
        return [self._left[number] - half for number in members], [half - self._right[number] for number in members]

    def _align(self, down: bool) -> None:
        """Sweep over the rows: move each thing to what it is linked with in the rows before. The order is kept."""
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
                    if self._half < math.inf:  # what reaches out already may stay, else there may be no room
                        inner, outer = self._left[number] - self._half, self._half - self._right[number]
                        aim = min(max(aim, inner), outer)
                        low, high = max(low, min(inner, at[number])), min(high, max(outer, at[number]))
                pulls.append((aim, weight, low, high))
            wanted, weights, least, most = zip(*pulls, strict=True)
            free = len(members) > 1 and max(least) == -math.inf and min(most) == math.inf
            ranges = () if free else (least, most)
            for number, place in zip(members, apart(wanted, weights, self._spaces(members), *ranges), strict=True):
                at[number] = place

    def _straighten(self) -> None:
        """Make links straight: put bends that follow each other at one position where there is room."""
        at = self._at
        is_bend = [left < SPACE / 2 for left in self._left]
        beside = {number: (row, place) for row in self._rows for place, number in enumerate(row) if is_bend[number]}
        for bend in beside:
            if any(is_bend[other] for other, _, _, _ in self._above[bend]):
                continue
            run, low, high = [bend], -math.inf, math.inf
            while below := next((other for other, _, _, _ in self._below[run[-1]] if is_bend[other]), None):
                run.append(below)
            if len(run) == 1:
                continue
            for one in run:
                row, place = beside[one]
                if place > 0:
                    low = max(low, at[row[place - 1]] + self._right[row[place - 1]] + self._left[one])
                if place + 1 < len(row):
                    high = min(high, at[row[place + 1]] - self._left[row[place + 1]] - self._right[one])
            if low <= high:
                middle = math.fsum(at[one] for one in run) / len(run)
                for one in run:
                    at[one] = min(max(middle, low), high)

    def _draw_in(self) -> None:
        """Move things without links at the ends of a row up to the others, which need not leave room for them."""
        at = self._at
        alone = {number for number, links in enumerate(zip(self._above, self._below, strict=True)) if not any(links)}
        alone = {number for number in alone if self._first[number] == self._last[number]} - self._turn.keys()
        for row in self._rows:
            linked = [place for place, number in enumerate(row) if number not in alone]
            if not linked:
                continue
            for place in range(linked[0] - 1, -1, -1):
                number, other = row[place], row[place + 1]
                at[number] = at[other] - self._left[other] - self._right[number]
            for place in range(linked[-1] + 1, len(row)):
                number, other = row[place], row[place - 1]
                at[number] = at[other] + self._right[other] + self._left[number]

    def _limits(self, number: int, row: int) -> tuple[float, float]:
        """Return the range of a thing in several rows that its neighbours in the other rows allow."""
        at, left, right, first, last = self._at, self._left, self._right, self._first, self._last
        lefts, rights = (
            [other for other in others[number] if not first[other] == last[other] == row]
            for others in (self._lefts, self._rights)
        )
        low = max((at[other] + right[other] + left[number] for other in lefts), default=-math.inf)
        return low, min((at[other] - left[other] - right[number] for other in rights), default=math.inf)

    def _aim(self, number: int, neighbours: Pulls, down: bool) -> tuple[float, float]:
        """Return where links pull a thing, and how strongly.

        That is the weighted median of their ends. If all links are light, it is beside the neighbours instead.
        """
        at, left, right = self._at, self._left, self._right
        if len(neighbours) == 1:
            ((other, end, own, total),) = neighbours
        else:
            total = math.fsum([weight for _, _, _, weight in neighbours])
        if total < LED and left[number] >= SPACE / 2:  # and no bend
            if down:
                return max(at[other] + right[other] for other, _, _, _ in neighbours) + left[number], total
            return min(at[other] - left[other] for other, _, _, _ in neighbours) - right[number], total
        if len(neighbours) == 1:
            return at[other] + end - own, total
        pulls = sorted([(at[other] + end - own, weight) for other, end, own, weight in neighbours])
        passed = 0.0
        for place, (wanted, weight) in enumerate(pulls):
            passed += weight
            if passed == total / 2:
                return (wanted + pulls[place + 1][0]) / 2, total
            if passed > total / 2:
                break
        return wanted, total

    def _side(self, neighbours: Pulls) -> float:
        """Return the mean position of the other ends of links."""
        if len(neighbours) == 1:
            return self._at[neighbours[0][0]] + neighbours[0][1]
        shares = [min(weight, LED) for _, _, _, weight in neighbours]
        ends = [self._at[other] + end for other, end, _, _ in neighbours]
        return math.fsum([end * share for end, share in zip(ends, shares, strict=True)]) / math.fsum(shares)

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
    """Return positions in the same order that are nearest to the wanted ones, by weighted least squares.

    Those that would be too near to each other form a block around their common mean (pool adjacent violators).

    Parameters
    ----------
    wanted, weights : sequence of float
    spaces : sequence of float
        The minimum distance between each and the next.
    least, most : sequence of float, optional
        The range of each; the ranges leave room for all.

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
    blocks = [(-math.inf, 1.0, 0)]  # a sentinel: no block is too near to it
    for aim, weight, offset in zip(wanted, weights, offsets, strict=True):
        pull, size = (aim - offset) * weight, 1
        before, others, many = blocks[-1]
        while before * weight > pull * others:
            pull, weight, size = before + pull, others + weight, many + size
            blocks.pop()
            before, others, many = blocks[-1]
        blocks.append((pull, weight, size))
    if len(blocks) > len(offsets):  # each is a block of its own
        places = [pull / weight for pull, weight, _ in blocks[1:]]
    else:
        places = [pull / weight for pull, weight, size in blocks for _ in range(size)]
    if least:
        lowest = list(accumulate((low - offset for low, offset in zip(least, offsets, strict=True)), max))
        highest = [*accumulate((high - offset for high, offset in zip(most[::-1], offsets[::-1], strict=True)), min)]
        bounds = zip(lowest, highest[::-1], strict=True)
        places = [min(max(place, low), high) for place, (low, high) in zip(places, bounds, strict=True)]
    return list(map(add, places, offsets))
