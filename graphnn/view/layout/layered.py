"""Where boxes go: a drawing in rows, with rectangles around those that belong together.

Pure geometry, of boxes that have a size and of links between them; what they stand for is not known here. Values flow
`along` the rows' succession, from top to bottom, and `across` is the other way. The steps are those of Sugiyama,
Tagawa and Toda (1981):

1. Each box gets its row: the longest path from above, `rows`. A frame's boxes come after what the frame reads.
2. A link that spans several rows gets a bend in each row between. So every piece of it runs in the gap between two
   neighbouring rows, where there are no boxes.
3. The frames are filled one by one, innermost first, and what is filled is one stiff block for the frame around it.
   Sweeps down and up the rows put each thing where the things it is linked with are, and then as far apart as they
   must be.
4. The rows get their height, and the gaps what labels, titles and links need.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

Point = tuple[float, float]
# By what a thing is pulled: another one, where in that the link ends, where in the thing itself, and how strongly.
_Pulls = list[tuple[int, float, float, float]]

_OUTSIDE = -1

# Between boxes and bends in a row, from a box to the one beside it, around what is in a frame.
_SPACE, _BEND_SPACE, _BESIDE_SPACE, _FRAME_PAD = 18.0, 8.0, 24.0, 11.0
# From row to row: what links need to bend, the more the farther they go across, and what their arrows need.
_LEAST_CURVE, _CURVE_SHARE, _MOST_CURVE, _ARROW_SPACE = 14.0, 0.04, 26.0, 10.0
# Where links touch a box: between each other; at most so much of its width from its middle; where a label is.
_PORT_SPACE, _LIGHT_PORT_SPACE, _PORT_SHARE, _PORT_REACH, _LABEL_SPACE = 9.0, 4.0, 0.36, 10.0, 3.0

# How strongly a link pulls its ends in line: the one on the longest way through both, at least; another; at the ends of
# one that passes other rows, and between its bends; times this if it is light.
_STRAIGHT, _PLAIN, _LED, _BENDS, _LIGHT = 1e6, 10.0, 1.0, 4.0, 1e-3
_STIFF = 1e30
# First frames know nothing of what is around them, then they turn to what they are linked with; unless there are so
# many things that it would take long.
_LARGE = 20_000
_ROUNDS, _ORDERING_SWEEPS, _PLACING_SWEEPS = 2, 4, 4


class Item(NamedTuple):
    """A box to be placed.

    Attributes
    ----------
    width, height : float
    frame : int
        The innermost frame around it; -1: none.
    beside : int
        The box that it stands beside, in one row, and that is the first to read it; -1: none. It reads nothing.
    round : (float, float)
        The half axes of its corners: half of width and height of an ellipse, (0, 0) of a rectangle.
    """

    width: float
    height: float
    frame: int = _OUTSIDE
    beside: int = _OUTSIDE
    round: tuple[float, float] = (0.0, 0.0)


class Frame(NamedTuple):
    """A rectangle around boxes and other frames; it has at least one box in it.

    Attributes
    ----------
    parent : int
        The frame around it, which stands before it; -1: none.
    width, height : float
        Of its title.
    """

    parent: int = _OUTSIDE
    width: float = 0.0
    height: float = 0.0


class Link(NamedTuple):
    """A line from one box to another; from a later to an earlier one, it goes up.

    Attributes
    ----------
    tail, head : int
    light : bool
        Whether it pulls less than others.
    width, height : float
        Of the label beside its beginning.
    """

    tail: int
    head: int
    light: bool = False
    width: float = 0.0
    height: float = 0.0


class Arrangement(NamedTuple):
    """Where everything is.

    Attributes
    ----------
    width, height : float
    centres : list of (float, float)
        Of the boxes.
    frames : list of (float, float, float, float)
        Left, top, width and height.
    routes : list of list of (float, float)
        Of each link: points at which it runs along the flow, the first and the last on the sides of its boxes. Between
        two points that differ across, it is bent.
    labels : list of (float, float)
        Of each link: left and top of its label.
    """

    width: float
    height: float
    centres: list[Point]
    frames: list[tuple[float, float, float, float]]
    routes: list[list[Point]]
    labels: list[Point]


class _Tree:
    """Which frame is in which; -1 is what is around them all."""

    def __init__(self, parents: Sequence[int]) -> None:
        self._parents = [*parents, _OUTSIDE]
        self._depths = [0] * len(self._parents)
        for frame, parent in enumerate(parents):
            self._depths[frame] = self._depths[parent] + 1

    def between(self, frame: int, outer: int) -> Iterator[int]:
        """Yield a frame and those around it, innermost first, that are in `outer`."""
        while frame != outer:
            yield frame
            frame = self._parents[frame]

    def meeting(self, one: int, other: int) -> tuple[int, int, int]:
        """Return the innermost frame around both, and the outermost ones in it around each; -1 where there is none."""
        below_one = below_other = _OUTSIDE
        while one != other:
            if self._depths[one] >= self._depths[other]:
                below_one, one = one, self._parents[one]
            else:
                below_other, other = other, self._parents[other]
        return one, below_one, below_other


# --- rows -------------------------------------------------------------------------------------------------------


def rows(count: int, links: Sequence[Link], frame_of: Sequence[int] = (), parents: Sequence[int] = ()) -> list[int]:
    """Return the row of each box.

    First the longest path from above. Then, from below, a box that is not held by more links above than below comes
    down to what reads it. Light links do not hold, nor do those to a box that nothing holds and nobody else reads:
    it comes down along.

    Where all boxes of one frame come before all of another and something is linked, so do their rows. Not so for a
    light link, nor for the only one of a box.

    Parameters
    ----------
    count : int
    links : sequence of Link
        In the order of the boxes, tail before head. One that goes back is taken the other way.
    frame_of : sequence of int, optional
        Of each box.
    parents : sequence of int, optional
        Of each frame.

    Returns
    -------
    list of int

    Examples
    --------
    >>> rows(4, [Link(0, 1), Link(1, 3), Link(2, 3)])
    [0, 1, 1, 2]
    """
    frames = len(parents)
    order, spans = _order_with_frames(count, frame_of, parents)
    before: list[list[tuple[int, int]]] = [[] for _ in order]
    after: list[list[tuple[int, int]]] = [[] for _ in order]

    def follow(one: int, other: int, distance: int) -> None:
        before[other].append((one, distance))
        after[one].append((other, distance))

    for frame, parent in enumerate(parents):
        if parent != _OUTSIDE:
            follow(count + parent, count + frame, 0)
            follow(count + frames + frame, count + frames + parent, 0)
    for box in range(count) if frames else ():
        if frame_of[box] != _OUTSIDE:
            follow(count + frame_of[box], box, 0)
            follow(box, count + frames + frame_of[box], 0)
    tree = _Tree(parents)
    above: list[list[int]] = [[] for _ in range(count)]
    readers, reading = [0] * count, [0] * count
    for link in links:
        tail, head = sorted((link.tail, link.head))
        readers[tail] += 1
        reading[head] += 1
    held_below = [0] * count
    for link in links:
        tail, head = sorted((link.tail, link.head))
        follow(tail, head, 1)
        if link.light:
            continue
        above[head].append(tail)
        held_below[tail] += 1
        if frames and readers[tail] + reading[tail] > 1 and readers[head] + reading[head] > 1:
            _, one, other = tree.meeting(frame_of[tail], frame_of[head])
            last = tail if one == _OUTSIDE else spans[one][1]
            first = head if other == _OUTSIDE else spans[other][0]
            if last < first and (one, other) != (_OUTSIDE, _OUTSIDE):
                follow(
                    tail if one == _OUTSIDE else count + frames + one,
                    head if other == _OUTSIDE else count + other,
                    1,
                )
    found = [0] * len(order)
    for vertex in order:
        found[vertex] = max((found[one] + distance for one, distance in before[vertex]), default=0)
    held: list[int] = []
    for tails in above:
        held.append(sum(held[tail] > 0 or readers[tail] > 1 for tail in tails))
    for vertex in reversed(order):
        # The upper side of a frame always comes down to what is in it, the lower side never moves.
        if (held[vertex] <= held_below[vertex] > 0) if vertex < count else vertex < count + frames:
            found[vertex] = min(found[other] - distance for other, distance in after[vertex])
    return found[:count]


def _order_with_frames(
    count: int, frame_of: Sequence[int], parents: Sequence[int]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Return boxes and upper and lower sides of frames, each before what it may precede; and each frame's span.

    The numbers of the upper sides come after those of the boxes, and then those of the lower ones.
    """
    frames = len(parents)
    if not frames:
        return list(range(count)), []
    spans = [(count, -1)] * frames
    for box, frame in enumerate(frame_of):
        if frame != _OUTSIDE:
            spans[frame] = min(spans[frame][0], box), max(spans[frame][1], box)
    for frame in reversed(range(frames)):
        if (parent := parents[frame]) != _OUTSIDE:
            spans[parent] = min(spans[parent][0], spans[frame][0]), max(spans[parent][1], spans[frame][1])
    # A frame stands after the one around it: its upper side too, its lower side before.
    keys = [(box, 0) for box in range(count)]
    keys += [(spans[frame][0], frame - frames) for frame in range(frames)]
    keys += [(spans[frame][1], frames - frame) for frame in range(frames)]
    return sorted(range(len(keys)), key=keys.__getitem__), spans


# --- across -------------------------------------------------------------------------------------------------------


class _Things:
    """What is put side by side: boxes, frames and bends, numbered in this order.

    Each has its first and last row, and how far it reaches to the left and right of its own point, half the space to
    its neighbours included. `at` is where that point is, as seen from the point of the frame it is in, its holder.
    """

    def __init__(self, count: int) -> None:
        self.first = [0] * count
        self.last = [0] * count
        self.left = [0.0] * count
        self.right = [0.0] * count
        self.holder = [_OUTSIDE] * count
        self.at = [0.0] * count
        self._base = list(range(count))
        self._from_base = [0.0] * count

    def bend(self, row: int, holder: int) -> int:
        """Add a bend, and return its number."""
        self.first.append(row)
        self.last.append(row)
        self.left.append(_BEND_SPACE / 2)
        self.right.append(_BEND_SPACE / 2)
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


class _Level:
    """Things that are in one frame, side by side where they share a row; frames among them are stiff blocks.

    Parameters
    ----------
    things : _Things
    members : list of int
    pieces : list of (int, int, float)
        What is linked, upper and lower, here or in the blocks; and how strongly.
    outside : list of (int, float)
        What is linked with something above and outside the frame, and where that is.
    """

    def __init__(
        self,
        things: _Things,
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
        self._above: list[_Pulls] = [[] for _ in members]
        self._below: list[_Pulls] = [[] for _ in members]
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
        self._rows: list[list[int]] = [[] for _ in range(first, 1 + max(self._last, default=-1))]
        for number in range(len(members)):
            for row in range(self._first[number], self._last[number] + 1):
                self._rows[row - first].append(number)
        self._first = [row - first for row in self._first]
        self._last = [row - first for row in self._last]

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
                wanted, weight, side = at[number], _LIGHT, at[number]
                if begin[number] != row:
                    weight = _STIFF
                elif neighbours[number]:
                    wanted, weight = self._aim(number, neighbours[number], down)
                    side = self._side(neighbours[number]) if weight >= _LED else wanted
                elif number in turn:
                    wanted = side = turn[number]
                elif others[number] and not first:
                    wanted, _ = self._aim(number, others[number], not down)
                    side = wanted
                pulls.append((round(side / _SPACE), turn.get(number, 0.0), at[number], number, wanted, weight))
            pulls.sort()
            members = [pull[3] for pull in pulls]
            places = self._apart(members, [pull[4] for pull in pulls], [pull[5] for pull in pulls])
            for number, place in zip(members, places, strict=True):
                at[number] = place

    def _towards(self, down: bool) -> tuple[list[_Pulls], list[_Pulls], list[int]]:
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
        self._rows = [[] for _ in self._rows]
        for number in order:
            for row in range(self._first[number], self._last[number] + 1):
                self._rows[row].append(number)
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
            wanted, weights, least, most = [], [], [], []
            for number in members:
                aim, weight = at[number], _LIGHT
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
                wanted.append(aim)
                weights.append(weight)
                least.append(low)
                most.append(high)
            for number, place in zip(members, self._apart(members, wanted, weights, least, most), strict=True):
                at[number] = place

    def _straighten(self) -> None:
        """Bring the bends that follow each other in line where there is room for it."""
        at = self._at
        is_bend = [left < _SPACE / 2 for left in self._left]
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
        at, left, right = self._at, self._left, self._right
        low, high = -math.inf, math.inf
        for other in self._lefts[number]:
            if not self._first[other] == self._last[other] == row:
                low = max(low, at[other] + right[other] + left[number])
        for other in self._rights[number]:
            if not self._first[other] == self._last[other] == row:
                high = min(high, at[other] - left[other] - right[number])
        return low, high

    def _aim(self, number: int, neighbours: _Pulls, down: bool) -> tuple[float, float]:
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
        if total < _LED and left[number] >= _SPACE / 2:  # and no bend
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

    def _side(self, neighbours: _Pulls) -> float:
        """Return where the other ends of links are, on an average."""
        if len(neighbours) == 1:
            return self._at[neighbours[0][0]] + neighbours[0][1]
        shares = [min(weight, _LED) for _, _, _, weight in neighbours]
        ends = [self._at[other] + end for other, end, _, _ in neighbours]
        return sum([end * share for end, share in zip(ends, shares, strict=True)]) / sum(shares)

    def _apart(
        self,
        members: list[int],
        wanted: list[float],
        weights: list[float],
        least: Sequence[float] = (),
        most: Sequence[float] = (),
    ) -> list[float]:
        if len(members) <= 1 and not least:
            return wanted
        left, right = self._left, self._right
        spaces = [right[one] + left[other] for one, other in pairwise(members)]
        return apart(wanted, weights, spaces, least, most)


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
    offsets = [0.0, *accumulate(spaces)]
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


# --- all of it ------------------------------------------------------------------------------------------------------


def arrange(
    items: Sequence[Item], frames: Sequence[Frame], links: Sequence[Link], sideways: bool = False
) -> Arrangement:
    """Place boxes, frames and links.

    Parameters
    ----------
    items : sequence of Item
        In an order in which most links go from earlier to later.
    frames : sequence of Frame
    links : sequence of Link
    sideways : bool
        Whether the flow goes from left to right instead of from top to bottom.

    Returns
    -------
    Arrangement

    Examples
    --------
    >>> placed = arrange([Item(40, 20), Item(60, 20)], [], [Link(0, 1)])
    >>> placed.centres
    [(30.0, 10.0), (30.0, 54.0)]
    >>> placed.routes
    [[(30.0, 20.0), (30.0, 34.0), (30.0, 44.0)]]
    """
    return _Arranger(items, frames, links, sideways).arrangement()


class _Arranger:
    """Works in the flow's own directions, across and along; turns them where the picture is written down."""

    def __init__(self, items: Sequence[Item], frames: Sequence[Frame], links: Sequence[Link], sideways: bool) -> None:
        self._sideways = sideways
        self._items = [_turned(item) for item in items] if sideways else items
        self._frames, self._links = frames, links
        self._tree = _Tree([frame.parent for frame in frames])
        self._beside_links = [items[link.tail].beside == link.head for link in links]
        self._row_of = self._rows()
        self._count = 1 + max(self._row_of, default=-1)
        self._things = _Things(len(items) + len(frames))
        self._set_things()
        self._ways = [self._way(link) for link in links]
        self._straight = self._strengths()
        self._left, self._right = self._place()

    def _rows(self) -> list[int]:
        """Return the rows of all boxes, without those that would be empty."""
        # What stands beside a box comes and goes with it.
        stand = [number if item.beside == _OUTSIDE else item.beside for number, item in enumerate(self._items)]
        links = [
            link._replace(tail=stand[link.tail])
            for link, beside in zip(self._links, self._beside_links, strict=True)
            if not beside
        ]
        frame_of = [item.frame for item in self._items]
        found = rows(len(self._items), links, frame_of, [frame.parent for frame in self._frames])
        found = [found[number] for number in stand]
        number_of = {row: number for number, row in enumerate(sorted(set(found)))}
        return [number_of[row] for row in found]

    def _set_things(self) -> None:
        things, base = self._things, len(self._items)
        for number, item in enumerate(self._items):
            things.first[number] = things.last[number] = self._row_of[number]
            things.left[number] += (item.width + _SPACE) / 2
            things.right[number] += (item.width + _SPACE) / 2
            things.holder[number] = item.frame
            if item.beside != _OUTSIDE:
                things.left[item.beside] += item.width + _BESIDE_SPACE
        for link in self._links:
            if link.width and self._sideways:  # the label stands on the line
                things.left[link.tail] = max(things.left[link.tail], _PORT_REACH + link.height + _SPACE / 2)
            elif link.width:  # or on the right of it
                reach = _PORT_REACH + _LABEL_SPACE + link.width + _SPACE / 2
                things.right[link.tail] = max(things.right[link.tail], reach)
        for frame in range(len(self._frames)):
            things.first[base + frame], things.last[base + frame] = self._count, -1
            things.holder[base + frame] = self._frames[frame].parent
        for thing in [*range(base), *reversed(range(base, base + len(self._frames)))]:
            if (holder := things.holder[thing]) != _OUTSIDE:
                things.first[base + holder] = min(things.first[base + holder], things.first[thing])
                things.last[base + holder] = max(things.last[base + holder], things.last[thing])

    def _way(self, link: Link) -> list[int]:
        """Return the things that a link passes, downwards: a box, a bend in each row between, a box."""
        upper, lower = sorted((link.tail, link.head), key=self._row_of.__getitem__)
        between = range(self._row_of[upper] + 1, self._row_of[lower])
        if not between:
            return [upper, lower]
        things, base = self._things, len(self._items)
        outer = self._tree.meeting(self._items[upper].frame, self._items[lower].frame)[0]
        leaving = list(self._tree.between(self._items[upper].frame, outer))
        entering = list(self._tree.between(self._items[lower].frame, outer))
        way = [upper]
        for row in between:
            # It enters the frames of its end as soon as they are there, and leaves those of its beginning with them.
            holder = next((frame for frame in entering if things.first[base + frame] <= row), None)
            if holder is None:
                holder = next((frame for frame in leaving if things.last[base + frame] >= row), outer)
            way.append(things.bend(row, holder))
        return [*way, lower]

    def _strengths(self) -> dict[int, float]:
        """Return how strongly links pull that are on the longest way through their tail as well as through their head.

        The farther they are from where that begins and ends, the more: what comes to it from aside makes way.
        """
        row_of = self._row_of
        depths, heights = [0] * len(self._items), [0] * len(self._items)
        flow = [
            number
            for number, link in enumerate(self._links)
            if not link.light and not self._beside_links[number] and row_of[link.tail] < row_of[link.head]
        ]
        for number in sorted(flow, key=lambda number: row_of[self._links[number].tail]):
            link = self._links[number]
            depths[link.head] = max(depths[link.head], depths[link.tail] + 1)
        for number in sorted(flow, key=lambda number: -row_of[self._links[number].head]):
            link = self._links[number]
            heights[link.tail] = max(heights[link.tail], heights[link.head] + 1)
        above: dict[int, int] = {}
        below: dict[int, int] = {}
        for number in flow:
            tail, head = self._links[number].tail, self._links[number].head
            if head not in above or depths[tail] > depths[self._links[above[head]].tail]:
                above[head] = number
            if tail not in below or heights[head] > heights[self._links[below[tail]].head]:
                below[tail] = number
        straight = [number for number in above.values() if below[self._links[number].tail] == number]
        return {
            number: _STRAIGHT * max(depths[self._links[number].tail] * heights[self._links[number].head], 0.1) ** 2
            for number in straight
        }

    def _place(self) -> tuple[float, float]:
        """Fill the frames, innermost first, and then what is around them; return how far that reaches."""
        things, base = self._things, len(self._items)
        members: list[list[int]] = [[] for _ in range(len(self._frames) + 1)]
        # In order of making: a frame comes with the first box in it.
        bends, begun = base + len(self._frames), set()
        for number, item in enumerate(self._items):
            for frame in self._tree.between(item.frame, _OUTSIDE):
                if frame in begun:
                    break
                begun.add(frame)
                members[self._frames[frame].parent].append(base + frame)
            if item.beside == _OUTSIDE:
                members[item.frame].append(number)
        for bend in range(bends, len(things.holder)):
            members[things.holder[bend]].append(bend)
        beside = {
            number: (item.beside, -self._items[item.beside].width / 2 - _BESIDE_SPACE - item.width / 2)
            for number, item in enumerate(self._items)
            if item.beside != _OUTSIDE
        }
        pieces = self._pieces()
        outside: list[list[tuple[int, float]]] = [[] for _ in members]
        for _ in range(_ROUNDS if self._frames and len(things.at) < _LARGE else 1):
            things.loosen(beside)
            for frame in reversed(range(len(self._frames))):
                left, right = _Level(things, members[frame], pieces[frame], outside[frame]).place()
                half, middle = (right - left) / 2 + _FRAME_PAD, (left + right) / 2
                title, thing = self._frames[frame], base + frame
                if not self._sideways:
                    half = max(half, (title.width + _SPACE) / 2 + _FRAME_PAD)
                things.left[thing] = half + (title.height if self._sideways else 0.0)
                things.right[thing] = half
                for inner in members[frame]:
                    things.at[inner] -= middle
                    things.fix(inner, thing)
            left, right = _Level(things, members[_OUTSIDE], pieces[_OUTSIDE], []).place()
            outside = self._outside(pieces)
        return left + _SPACE / 2, right - _SPACE / 2

    def _outside(self, pieces: list[list[tuple[int, int, float]]]) -> list[list[tuple[int, float]]]:
        """Return what of each frame is linked with something above and outside it, and where that is."""
        things, base = self._things, len(self._items)
        across = [things.across(thing) for thing in range(len(things.at))]
        found: list[list[tuple[int, float]]] = [[] for _ in pieces]
        for number, inside in enumerate(pieces):
            outer = number if number < len(self._frames) else _OUTSIDE
            for upper, lower, _ in inside:
                for frame in self._tree.between(things.holder[lower], outer):
                    found[frame].append((lower, across[upper] - across[base + frame]))
        return found

    def _pieces(self) -> list[list[tuple[int, int, float]]]:
        """Return the pieces of links, upper end, lower end and strength, for the frame in which both ends are."""
        things, base = self._things, len(self._items)
        found: list[list[tuple[int, int, float]]] = [[] for _ in range(len(self._frames) + 1)]
        for number, (link, way) in enumerate(zip(self._links, self._ways, strict=True)):
            if self._beside_links[number]:
                continue
            for upper, lower in pairwise(way):
                if number in self._straight:
                    weight = self._straight[number]
                else:
                    weight = _PLAIN if len(way) == 2 else _LED if upper < base or lower < base else _BENDS
                    weight *= _LIGHT if link.light else 1.0
                one, other = things.holder[upper], things.holder[lower]
                found[one if one == other else self._tree.meeting(one, other)[0]].append((upper, lower, weight))
        return found

    # --- along the flow

    def arrangement(self) -> Arrangement:
        """Return where everything is."""
        items, things = self._items, self._things
        across = [things.across(thing) - self._left for thing in range(len(things.at))]
        leaving, arriving = self._ports(across)
        lines = self._lines(across, leaving, arriving)
        centres = [(across[number], lines.middle[self._row_of[number]]) for number in range(len(items))]
        routes, labels = [], []
        leftmost, rightmost = list(across), list(across)
        for number, link in enumerate(self._links):
            leftmost[link.tail] = min(leftmost[link.tail], leaving[number])
            rightmost[link.tail] = max(rightmost[link.tail], leaving[number])
        for number, link in enumerate(self._links):
            routes.append(self._route(number, across, lines, leaving[number], arriving[number]))
            end = centres[link.tail][1] + items[link.tail].height / 2 + _LABEL_SPACE
            above = (end, leftmost[link.tail] - link.height)
            labels.append(above if self._sideways else (rightmost[link.tail] + _LABEL_SPACE, end))
        boxes = []
        for frame in range(len(self._frames)):
            thing = len(items) + frame
            begin = across[thing] - things.left[thing] + _SPACE / 2
            end = across[thing] + things.right[thing] - _SPACE / 2
            boxes.append((begin, lines.begin[frame], end - begin, lines.end[frame] - lines.begin[frame]))
        width, height = (self._right - self._left if items else 0.0), lines.length
        if not self._sideways:
            return Arrangement(width, height, centres, boxes, routes, labels)
        return Arrangement(
            height,
            width,
            [(y, x) for x, y in centres],
            [(y, x, height, width) for x, y, width, height in boxes],
            [[(y, x) for x, y in route] for route in routes],
            labels,
        )

    def _ports(self, across: list[float]) -> tuple[list[float], list[float]]:
        """Return where each link touches its upper and its lower box: towards where it comes from, and not too near."""
        leaving: list[list[tuple[float, int]]] = [[] for _ in self._items]
        arriving: list[list[tuple[float, int]]] = [[] for _ in self._items]
        labelled = set()
        for number, (link, way) in enumerate(zip(self._links, self._ways, strict=True)):
            if not self._beside_links[number]:
                leaving[way[0]].append((across[way[1]], number))
                arriving[way[-1]].append((across[way[-2]], number))
                if link.width:
                    labelled.add(link.tail)
        found: tuple[list[float], list[float]] = ([0.0] * len(self._links), [0.0] * len(self._links))
        for side, ends in enumerate((leaving, arriving)):
            for box, others in enumerate(ends):
                if not others:
                    continue
                others.sort()
                labels_here = side == 0 and box in labelled
                places = self._port_places(
                    box, [(other - across[box], number) for other, number in others], side == 0, labels_here
                )
                for (_, number), place in zip(others, places, strict=True):
                    found[side][number] = across[box] + place
        return found

    def _port_places(self, box: int, others: list[tuple[float, int]], leaving: bool, labelled: bool) -> list[float]:
        """Return where links touch one side of a box, from its middle; the straight one in the middle if it can."""
        item = self._items[box]
        high = item.width * (_PORT_SHARE / 2 if item.round[0] == item.width / 2 else _PORT_SHARE)
        low = -high
        if labelled and self._sideways:
            low = max(low, -_PORT_REACH)
        elif labelled:
            high = min(high, _PORT_REACH)
        light = [leaving and self._links[number].light for _, number in others]
        offsets = [
            0.0,
            *accumulate(_LIGHT_PORT_SPACE if one or other else _PORT_SPACE for one, other in pairwise(light)),
        ]
        straight = [place for place, (_, number) in enumerate(others) if number in self._straight]
        total = offsets[-1]
        share = min(1.0, (high - low) / total if total else 1.0)
        for place in straight:
            share = min(
                share,
                -low / offsets[place] if place else 1.0,
                high / (total - offsets[place]) if offsets[place] < total else 1.0,
            )
        offsets = [offset * share for offset in offsets]
        aims = [other * _PORT_SHARE for other, _ in others]
        weights = [_STRAIGHT if place in straight else 1.0 for place in range(len(others))]
        spaces = [after - before for before, after in pairwise(offsets)]
        return apart(
            aims,
            weights,
            spaces,
            [low + offset for offset in offsets],
            [high - offsets[-1] + offset for offset in offsets],
        )

    def _lines(self, across: list[float], leaving: list[float], arriving: list[float]) -> _Lines:
        """Return where rows and frames are along the flow."""
        things, base, count = self._things, len(self._items), self._count
        heights, labels, spreads = [0.0] * count, [0.0] * count, [0.0] * count
        for number, item in enumerate(self._items):
            heights[self._row_of[number]] = max(heights[self._row_of[number]], item.height)
        for number, (link, way) in enumerate(zip(self._links, self._ways, strict=True)):
            if link.width:
                row = self._row_of[link.tail]
                length = (link.width if self._sideways else link.height) + _LABEL_SPACE
                labels[row] = max(labels[row], length + (self._items[link.tail].height - heights[row]) / 2)
            if not self._beside_links[number]:
                row = self._row_of[way[0]]
                passed = [leaving[number], *(across[bend] for bend in way[1:-1]), arriving[number]]
                for one, other in pairwise(passed):
                    spreads[row] = max(spreads[row], abs(other - one))
                    row += 1
        heads, feet = [0.0] * len(self._frames), [0.0] * len(self._frames)
        before, after = [_ARROW_SPACE] * count, [0.0] * count
        ending: list[list[int]] = [[] for _ in range(count)]
        for frame in reversed(range(len(self._frames))):
            thing, parent = base + frame, self._frames[frame].parent
            heads[frame] += _FRAME_PAD + (0.0 if self._sideways else self._frames[frame].height)
            row = things.first[thing]
            before[row] = max(before[row], heads[frame])
            if parent != _OUTSIDE and things.first[base + parent] == row:
                heads[parent] = max(heads[parent], heads[frame])
            ending[things.last[thing]].append(frame)
        lines = _Lines([], [], [], [], [0.0] * len(self._frames), [0.0] * len(self._frames), 0.0)
        tops: list[float] = []
        at = 0.0
        for row in range(count):
            at += before[row] if row or before[row] > _ARROW_SPACE else 0.0
            tops.append(at)
            lines.middle.append(at + heights[row] / 2)
            at += heights[row] + labels[row]
            lines.leave.append(at)
            for frame in ending[row]:
                lines.begin[frame] = tops[things.first[base + frame]] - heads[frame]
                feet[frame] += _FRAME_PAD
                if self._sideways:
                    title = self._frames[frame].width + 2 * _FRAME_PAD
                    feet[frame] = max(feet[frame], title - (at - lines.begin[frame]))
                lines.end[frame] = at + feet[frame]
                after[row] = max(after[row], feet[frame])
                parent = self._frames[frame].parent
                if parent != _OUTSIDE and things.last[base + parent] == row:
                    feet[parent] = max(feet[parent], feet[frame])
            at += after[row]
            lines.length = at
            at += _LEAST_CURVE + min(spreads[row] * _CURVE_SHARE, _MOST_CURVE)
            lines.arrive.append(at)
            titled = row + 1 < count and before[row + 1] > _ARROW_SPACE
            lines.pass_on.append(at if titled else at + _ARROW_SPACE)
        return lines

    def _route(self, number: int, across: list[float], lines: _Lines, leaving: float, arriving: float) -> list[Point]:
        link, way = self._links[number], self._ways[number]
        upper, lower = self._items[way[0]], self._items[way[-1]]
        row, last = self._row_of[way[0]], self._row_of[way[-1]]
        if self._beside_links[number]:
            tail, head = self._items[link.tail], self._items[link.head]
            middle = lines.middle[row]
            return [(across[link.tail] + tail.width / 2, middle), (across[link.head] - head.width / 2, middle)]
        leave = lines.leave[row] + (0.0 if way[0] == link.tail else _ARROW_SPACE)  # where it goes up, the arrow is here
        points = [(leaving, lines.middle[row] + _side(upper, leaving - across[way[0]])), (leaving, leave)]
        for bend in way[1:-1]:
            row += 1
            points += [(across[bend], lines.pass_on[row - 1]), (across[bend], lines.leave[row])]
        points.append((arriving, lines.arrive[last - 1]))
        points.append((arriving, lines.middle[last] - _side(lower, arriving - across[way[-1]])))
        points = list(dict.fromkeys(points))
        return points if way[0] == link.tail else points[::-1]


@dataclass
class _Lines:
    """Where things are along the flow.

    Attributes
    ----------
    middle, leave, arrive, pass_on : list of float
        Of each row: its middle, from where on links bend, and by where they have bent for the next row: those that
        arrive there, and those that pass on.
    begin, end : list of float
        Of each frame.
    length : float
        Of it all.
    """

    middle: list[float]
    leave: list[float]
    arrive: list[float]
    pass_on: list[float]
    begin: list[float]
    end: list[float]
    length: float


def _turned(item: Item) -> Item:
    """Return a box as it is seen when the flow goes sideways; the ends of a cylinder are its straight sides then."""
    across, along = item.round
    is_cylinder = across == item.width / 2 and along < item.height / 2
    return item._replace(width=item.height, height=item.width, round=(0.0, 0.0) if is_cylinder else (along, across))


def _side(item: Item, across: float) -> float:
    """Return how far from the middle of a box its upper and lower side are, so far from the middle across."""
    wide, high = item.round
    into = abs(across) - (item.width / 2 - wide)  # the corner
    return item.height / 2 - (high * (1 - math.sqrt(max(1 - (into / wide) ** 2, 0.0))) if into > 0 and wide else 0.0)
