"""Folding: a layout that is too long is cut into bands, which stand side by side like lines of text.

All is said as in `layered`: `along` is the direction of the flow, `across` the other one. A cut is a gap between two
rows. The links that pass it leave their band at its end, run back beside it, and enter the next band at its beginning.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .layout_types import BEND_SPACE, FRAME_PAD, OUTSIDE, SPACE, TITLE_INSET, Frame, Point, Rectangle

# Between links beside a band, between a band and them, and between two bands.
_LANE, _MARGIN, _GUTTER = 6.0, 8.0, 16.0
# The most room across a band that nothing takes.
_MOST_EMPTY = 12.0
# What a cut costs: the band, a link that passes it, a frame that it cuts, and one whose title it cuts.
_BAND, _PASSED, _CUT_FRAME, _CUT_TITLE = 0.5, 0.03, 0.25, 5.0


@dataclass
class Flat:
    """A layout before it is folded; points are (across, along).

    Attributes
    ----------
    rows : list of (float, float)
        Where each row begins, with the titles of frames before it, and where it ends.
    boxes, labels : list of (float, float, float, float)
        Least across, least along, extent across, extent along.
    frames : list of (float, float, float, float)
        As of the boxes.
    spans : list of (int, int)
        For each frame: its first and last row.
    held : list of (int, int, float, float)
        What is in a frame: its innermost frame, its row, least and most across.
    parents : sequence of Frame
        What is known of each frame.
    titles : list of float
        Where across the title of each frame begins; of no account if the flow goes sideways.
    routes : list of list of (float, float)
    tails : list of int
        For each link.
    sideways : bool
    """

    rows: list[tuple[float, float]]
    boxes: list[Rectangle]
    labels: list[Rectangle]
    frames: list[Rectangle]
    spans: list[tuple[int, int]]
    held: list[tuple[int, int, float, float]]
    parents: Sequence[Frame]
    titles: list[float]
    routes: list[list[Point]]
    tails: list[int]
    sideways: bool

    @cached_property
    def begins(self) -> list[float]:
        """Where each row begins."""
        return [begin for begin, _ in self.rows]

    def row(self, along: float) -> int:
        """Return the row of what begins there."""
        return max(bisect_right(self.begins, along + 0.5) - 1, 0)

    @cached_property
    def route_rows(self) -> list[list[int]]:
        """For each point of each route, its row."""
        return [[self.row(along) for _, along in route] for route in self.routes]

    @cached_property
    def held_by_row(self) -> list[list[tuple[int, float, float]]]:
        """What is in frames in each row: the innermost frame, least and most across."""
        found: list[list[tuple[int, float, float]]] = [[] for _ in self.rows]
        for frame, row, low, high in self.held:
            if frame != OUTSIDE:
                found[row].append((frame, low, high))
        return found

    @cached_property
    def steps(self) -> list[list[tuple[int, tuple[float, float, int, int, bool]]]]:
        """The steps of routes across the gap after each row: the upper row, and a way as in `_Folding`."""
        found: list[list[tuple[int, tuple[float, float, int, int, bool]]]] = [[] for _ in self.rows]
        for number, (route, rows) in enumerate(zip(self.routes, self.route_rows, strict=True)):
            for (one, row), (other, next_row) in pairwise(zip(route, rows, strict=True)):
                if row != next_row:
                    upper, lower = (one, other) if row < next_row else (other, one)
                    way = (upper[0], lower[0], number, self.tails[number], row > next_row)
                    for passed in range(min(row, next_row), max(row, next_row)):
                        found[passed].append((min(row, next_row), way))
        return found

    @cached_property
    def taken(self) -> list[list[tuple[float, float]]]:
        """Across each row, the intervals that boxes, labels and routes take; those near to each other as one."""
        found: list[list[tuple[float, float]]] = [[] for _ in self.rows]
        for x, along, wide, high in self.boxes:
            found[self.row(along + high / 2)].append((x - SPACE / 2, x + wide + SPACE / 2))
        for x, along, wide, _ in self.labels:
            found[self.row(along)].append((x, x + wide))
        for route, rows in zip(self.routes, self.route_rows, strict=True):
            for (x, _), row in zip(route, rows, strict=True):
                found[row].append((x - BEND_SPACE / 2, x + BEND_SPACE / 2))
        return [list(_united(each)) for each in found]

    @cached_property
    def prices(self) -> tuple[list[float], list[float]]:
        """What a cut after each row costs, and the room of the links that pass it; nothing passes the last row."""
        passed: list[set[int]] = [set() for _ in self.rows]
        for route, tail in zip(self.routes, self.tails, strict=True):
            ends = sorted(bisect_right(self.begins, along + 0.01) - 1 for _, along in (route[0], route[-1]))
            for row in range(max(ends[0], 0), ends[1]):
                passed[row].add(tail)
        price = [_BAND + _PASSED * len(tails) for tails in passed]
        for frame, (first, last), (_, begin, _, _) in zip(self.parents, self.spans, self.frames, strict=True):
            for row in range(first, last):
                price[row] += _CUT_FRAME
                if self.sideways and self.rows[row][1] - begin < frame.width + 2 * FRAME_PAD:
                    price[row] += _CUT_TITLE
        return [*price[:-1], _BAND], [_LANE * len(tails) for tails in passed]


@dataclass
class Folded:
    """A folded layout: as `Flat`, with a list of rectangles for each frame, one in each band that it is in."""

    across: float
    along: float
    boxes: list[Rectangle]
    labels: list[Rectangle]
    frames: list[list[Rectangle]]
    routes: list[list[Point]]


def folded(flat: Flat, most: float, widest: float = math.inf) -> Folded | None:
    """Return a layout whose bands are at most so long, or nearly so; None: it needs no fold, or has no place for one.

    If all bands together are wider than `widest`, those of a flow from top to bottom get longer. Where the flow goes
    sideways, they get shorter until there is room for the links beside them, too.

    Examples
    --------
    >>> boxes = [(0.0, 40.0 * row, 20.0, 20.0) for row in range(4)]
    >>> routes = [[(10.0, 40.0 * row + 20), (10.0, 40.0 * row + 40)] for row in range(3)]
    >>> rows = [(40.0 * row, 40.0 * row + 20) for row in range(4)]
    >>> found = folded(Flat(rows, boxes, [], [], [], [], [], [], routes, [0, 1, 2], False), 100.0)
    >>> [(round(x), round(y)) for x, y, _, _ in found.boxes]
    [(9, 14), (9, 54), (69, 14), (69, 54)]
    """
    found, length = _folding(flat, most), most
    while flat.sideways and found is not None and found.along > most and length > most / 2:
        length -= max(found.along - most, 10.0)
        found = _folding(flat, length)
    while not flat.sideways and found is not None and found.across > widest:
        length *= 1.2
        found = _folding(flat, length)
    return found.folded() if found is not None else None


def _folding(flat: Flat, most: float) -> _Folding | None:
    """Return how a layout is cut into bands that are at most so long; None: it is not cut."""
    if len(flat.rows) < 2 or flat.rows[-1][1] <= most:
        return None
    cuts = _cuts(flat, most)
    return _Folding(flat, cuts) if cuts else None


def _cuts(flat: Flat, most: float) -> list[int]:
    """Return the rows after which a cut costs least in all."""
    rows, begins, count = flat.rows, np.array(flat.begins), len(flat.rows)
    price, lanes = flat.prices
    # The lanes of the links that pass the cut before a row.
    reach = np.array([lanes[-1], *lanes[:-1]])
    costs, before = np.zeros(count + 1), [0] * (count + 1)
    for end in range(1, count + 1):
        stop, margin = rows[end - 1][1], lanes[end - 1]
        least = bisect_left(flat.begins, stop - most, 0, end - 1)  # a band from a row before is too long
        shares = (stop - begins[least:end] + (reach[least:end] + margin)) / most
        if (too_long := np.flatnonzero(shares[:-1] > 1.0)).size:
            least, shares = least + int(too_long[-1]) + 1, shares[too_long[-1] + 1 :]
        sums = costs[least:end] + shares**2 + price[end - 1]
        start = end - 1 - int(sums[::-1].argmin())
        costs[end], before[end] = sums[start - least], start
    cuts = []
    while (count := before[count]) > 0:
        cuts.append(count - 1)
    return cuts[::-1]


def _united(taken: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield intervals from left to right, those as one that have little room between."""
    begin, end = math.inf, -math.inf
    for low, high in sorted(taken):
        if low > end + _MOST_EMPTY:
            if end > -math.inf:
                yield begin, end
            begin = low
        end = max(end, high)
    if end > -math.inf:
        yield begin, end


class _Folding:
    """Moves everything into bands."""

    def __init__(self, flat: Flat, cuts: list[int]) -> None:
        self._flat = flat
        self._starts = [0, *(row + 1 for row in cuts)]
        self._lasts = [*cuts, len(flat.rows) - 1]
        self._band_of = [band for band, row in enumerate(self._starts) for _ in range(row, self._lasts[band] + 1)]
        self._begins = [flat.rows[row][0] for row in self._starts]
        self._ends = [flat.rows[row][1] for row in self._lasts]
        bands = range(len(self._starts))
        self._before, self._after = [_MARGIN] * len(bands), [_MARGIN] * len(bands)
        frames: list[list[int]] = [[] for _ in bands]
        for frame, (first, last) in enumerate(flat.spans):
            for band in range(self._band_of[first], self._band_of[last] + 1):
                frames[band].append(frame)
        self._pieces = [self._pieces_in(band, frames[band]) for band in bands]
        # The links that pass each cut: where they leave and enter, number, tail, and whether they go up.
        self._passing = [
            [way for row, way in flat.steps[last] if row >= first]
            for first, last in zip(self._starts, self._lasts, strict=True)
        ]
        self._exits = [self._ranks(band, 0) for band in bands]
        self._entries = [self._ranks(band, 1) for band in bands]
        self._squeezed = [self._squeeze(band) for band in bands]
        self._moves: list[Point] = []
        self._gutters: list[float] = []
        self.across, self.along = self._move()

    def _move(self) -> Point:
        """Say where each band goes, and return how far all of them reach."""
        bands = range(len(self._starts))
        lead = max(
            before + _LANE * (1 + max(entry.values(), default=-1))
            for before, entry in zip(self._before, [{}, *self._entries], strict=False)
        )
        at = along = 0.0
        for band in bands:
            self._moves.append((at, lead - self._begins[band]))
            at += self._squeezed[band].size
            lanes = 1 + max(self._exits[band].values(), default=-1)
            self._gutters.append(at + _GUTTER / 2)
            along = max(
                along, lead + self._ends[band] - self._begins[band] + self._after[band] * (lanes > 0) + _LANE * lanes
            )
            if band < bands[-1]:
                at += _GUTTER + _LANE * lanes
        return at, along

    def folded(self) -> Folded:
        """Return everything where it is now."""
        flat = self._flat
        placed: list[list[Rectangle]] = [[] for _ in flat.frames]
        for band, pieces in enumerate(self._pieces):
            for frame, piece in pieces.items():
                placed[frame].append(self._moved(piece, band))
        return Folded(
            self.across,
            self.along,
            [self._moved(box, self._band(box[1] + box[3] / 2)) for box in flat.boxes],
            [self._moved(label, self._band(label[1])) for label in flat.labels],
            placed,
            [self._route(number) for number in range(len(flat.routes))],
        )

    def _band(self, along: float) -> int:
        return self._band_of[self._flat.row(along)]

    def _moved(self, one: Rectangle, band: int) -> Rectangle:
        (across, along), squeezed = self._moves[band], self._squeezed[band]
        low, high = squeezed.at(one[0]), squeezed.at(one[0] + one[2])
        return low + across, one[1] + along, high - low, one[3]

    def _ranks(self, band: int, end: int) -> dict[int, int]:
        """Return how far out each link turns, at one end of a cut; those that run together turn together."""
        found: dict[int, int] = {}
        rank, before = -1, None
        for place, key, number in sorted((way[1] if end else -way[0], way[3:], way[2]) for way in self._passing[band]):
            rank += (place, key) != before
            found[number], before = rank, (place, key)
        return found

    def _pieces_in(self, band: int, frames: Sequence[int]) -> dict[int, Rectangle]:
        """Return the piece of each of the frames in a band. One that goes on reaches beyond the band."""
        flat, first, last = self._flat, self._starts[band], self._lasts[band]
        begin, end = self._begins[band], self._ends[band]
        lows: dict[int, float] = {}
        highs: dict[int, float] = {}
        heads: dict[int, float] = {}
        feet: dict[int, float] = {}
        found: dict[int, Rectangle] = {}

        def hold(frame: int, low: float, high: float, head: float = 0.0, foot: float = 0.0) -> None:
            lows[frame], highs[frame] = min(lows.get(frame, math.inf), low), max(highs.get(frame, -math.inf), high)
            heads[frame], feet[frame] = max(heads.get(frame, 0.0), head), max(feet.get(frame, 0.0), foot)

        for held in flat.held_by_row[first : last + 1]:
            for frame, low, high in held:
                hold(frame, low, high)
        for frame in reversed(frames):
            if frame not in lows:
                continue
            known, (starts, ends) = flat.parents[frame], flat.spans[frame]
            least, top, wide, extent = flat.frames[frame]
            low, high = lows[frame] - FRAME_PAD, highs[frame] + FRAME_PAD
            head, foot = heads[frame], feet[frame]
            if flat.sideways:
                low -= known.height
            elif starts >= first:
                low = min(low, flat.titles[frame] - TITLE_INSET)
                high = max(high, flat.titles[frame] + known.width + TITLE_INSET)
            else:
                more = max(known.width + 2 * FRAME_PAD - (high - low), 0.0)
                low = max(low - more / 2, least)
                high = min(max(high, low + known.width + 2 * FRAME_PAD), least + wide)
                low = min(low, max(high - known.width - 2 * FRAME_PAD, least))
            if starts < first:
                head += FRAME_PAD + (0.0 if flat.sideways else known.height)
            if ends > last:
                foot += FRAME_PAD
            upper = begin - head if starts < first else top
            lower = end + foot if ends > last else top + extent
            if flat.sideways and starts >= first:
                lower = max(lower, upper + known.width + 2 * FRAME_PAD)
                foot = max(foot, lower - end)
            found[frame] = low, upper, high - low, lower - upper
            if known.parent != OUTSIDE:
                hold(known.parent, low, high, head if starts < first else 0.0, foot if ends > last else 0.0)
        self._before[band] += max(heads.values(), default=0.0)
        self._after[band] += max(feet.values(), default=0.0)
        return found

    def _squeeze(self, band: int) -> _Squeezed:
        """Return where everything across a band is once there is little room between."""
        flat, first = self._flat, self._starts[band]
        taken = [interval for row in flat.taken[first : self._lasts[band] + 1] for interval in row]
        for frame, (x, _, wide, _) in self._pieces[band].items():
            known = flat.parents[frame]
            begin, title = x, known.height if flat.sideways else min(known.width + FRAME_PAD, wide - FRAME_PAD)
            if not flat.sideways and flat.spans[frame][0] >= first:
                begin, title = flat.titles[frame] - TITLE_INSET, known.width + TITLE_INSET
            edges = (x, x + FRAME_PAD), (x + wide - FRAME_PAD, x + wide)
            taken += [*edges, (begin, begin + title + FRAME_PAD)]
        return _Squeezed(taken)

    def _route(self, number: int) -> list[Point]:
        """Return a link in its bands, with the ways between them."""
        points: list[Point] = []
        before: int | None = None
        for (across, along), row in zip(self._flat.routes[number], self._flat.route_rows[number], strict=True):
            band = self._band_of[row]
            (move, shift) = self._moves[band]
            here = (self._squeezed[band].at(across) + move, along + shift)
            if before is not None and band != before:
                upper, lower = (points[-1], here) if before < band else (here, points[-1])
                turn = self._turn(number, min(before, band), upper[0], lower[0])
                points += turn if before < band else turn[::-1]
            points.append(here)
            before = band
        return points

    def _turn(self, number: int, band: int, leaving: float, entering: float) -> list[Point]:
        """Return the corners of a link between a band and the next."""
        out, into = self._exits[band][number], self._entries[band][number]
        far = self._ends[band] + self._moves[band][1] + self._after[band] + _LANE * out
        near = self._begins[band + 1] + self._moves[band + 1][1] - self._before[band + 1] - _LANE * into
        lane = self._gutters[band] + _LANE * out
        return [(leaving, far), (lane, far), (lane, near), (entering, near)]


class _Squeezed:
    """Positions once what is empty between intervals is narrow; the first of them begins at 0."""

    def __init__(self, taken: list[tuple[float, float]]) -> None:
        self._begins: list[float] = []
        self._places: list[float] = []
        self.size = 0.0
        for low, high in _united(taken):
            if self._begins:
                self.size += _MOST_EMPTY
            self._begins.append(low)
            self._places.append(self.size)
            self.size += high - low

    def at(self, place: float) -> float:
        """Return where that is; nothing is asked between two intervals."""
        number = max(bisect_right(self._begins, place + 0.01) - 1, 0)
        return self._places[number] + place - self._begins[number]
