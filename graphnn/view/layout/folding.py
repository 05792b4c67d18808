"""Folding: a layout that is too long is cut into bands, which stand side by side like lines of text.

All is said as in `layered`: `along` is the direction of the flow, `across` the other one. A cut is a gap between two
rows. The links that pass it leave their band at its end, run back beside it, and enter the next band at its beginning.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .parts import BEND_SPACE, FRAME_PAD, OUTSIDE, SPACE, TITLE_INSET, Frame, Point, Rectangle

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
        Of each frame: its first and last row.
    held : list of (int, int, float, float)
        What is in a frame: its innermost frame, its row, least and most across.
    parents : sequence of Frame
        What is known of each frame.
    titles : list of float
        Where across the title of each frame begins; of no account if the flow goes sideways.
    routes : list of list of (float, float)
    tails : list of int
        Of each link.
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


def folded(flat: Flat, most: float) -> Folded | None:
    """Return a layout whose bands are at most so long, or nearly so; None: it needs no fold, or has no place for one.

    Examples
    --------
    >>> boxes = [(0.0, 40.0 * row, 20.0, 20.0) for row in range(4)]
    >>> routes = [[(10.0, 40.0 * row + 20), (10.0, 40.0 * row + 40)] for row in range(3)]
    >>> rows = [(40.0 * row, 40.0 * row + 20) for row in range(4)]
    >>> found = folded(Flat(rows, boxes, [], [], [], [], [], [], routes, [0, 1, 2], False), 100.0)
    >>> [(round(x), round(y)) for x, y, _, _ in found.boxes]
    [(9, 14), (9, 54), (69, 14), (69, 54)]
    """
    if len(flat.rows) < 2 or flat.rows[-1][1] <= most:
        return None
    cuts = _cuts(flat, most)
    return _Folding(flat, cuts).folded() if cuts else None


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


class _Folding:
    """Moves everything into bands."""

    def __init__(self, flat: Flat, cuts: list[int]) -> None:
        self._flat = flat
        self._starts = [0, *(row + 1 for row in cuts)]
        self._lasts = [*cuts, len(flat.rows) - 1]
        self._begins = [flat.rows[row][0] for row in self._starts]
        self._ends = [flat.rows[row][1] for row in self._lasts]
        bands = range(len(self._starts))
        self._before, self._after = [_MARGIN] * len(bands), [_MARGIN] * len(bands)
        self._pieces = [self._pieces_in(band) for band in bands]
        self._passing: list[list[tuple[float, float, int, int, bool]]] = [[] for _ in bands]
        self._find_passing()
        self._exits = [self._ranks(band, 0) for band in bands]
        self._entries = [self._ranks(band, 1) for band in bands]
        self._squeezed = self._squeeze()

    def folded(self) -> Folded:
        """Return everything where it is now."""
        flat, bands = self._flat, range(len(self._starts))
        lead = max(
            before + _LANE * (1 + max(entry.values(), default=-1))
            for before, entry in zip(self._before, [{}, *self._entries], strict=False)
        )
        self._moves: list[Point] = []
        self._gutters: list[float] = []
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
        placed: list[list[Rectangle]] = [[] for _ in flat.frames]
        for band, pieces in enumerate(self._pieces):
            for frame, piece in pieces.items():
                placed[frame].append(self._moved(piece, band))
        return Folded(
            at,
            along,
            [self._moved(box, self._band(box[1] + box[3] / 2)) for box in flat.boxes],
            [self._moved(label, self._band(label[1])) for label in flat.labels],
            placed,
            [self._route(number) for number in range(len(flat.routes))],
        )

    def _band(self, along: float) -> int:
        return max(bisect_right(self._begins, along + 0.5) - 1, 0)

    def _moved(self, one: Rectangle, band: int) -> Rectangle:
        (across, along), squeezed = self._moves[band], self._squeezed[band]
        low, high = squeezed.at(one[0]), squeezed.at(one[0] + one[2])
        return low + across, one[1] + along, high - low, one[3]

    def _find_passing(self) -> None:
        """Find the links that pass each cut: where they leave and enter, number, tail, and whether they go up."""
        for number, route in enumerate(self._flat.routes):
            for one, other in pairwise(route):
                band, next_band = self._band(one[1]), self._band(other[1])
                if band != next_band:
                    upper, lower = (one, other) if band < next_band else (other, one)
                    way = (upper[0], lower[0], number, self._flat.tails[number], band > next_band)
                    self._passing[min(band, next_band)].append(way)

    def _ranks(self, band: int, end: int) -> dict[int, int]:
        """Return how far out each link turns, at one end of a cut; those that run together turn together."""
        found: dict[int, int] = {}
        rank, before = -1, None
        for place, key, number in sorted((way[1] if end else -way[0], way[3:], way[2]) for way in self._passing[band]):
            rank += (place, key) != before
            found[number], before = rank, (place, key)
        return found

    def _pieces_in(self, band: int) -> dict[int, Rectangle]:
        """Return the piece of each frame in a band. One that goes on reaches beyond the band."""
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

        for frame, row, low, high in flat.held:
            if first <= row <= last and frame != OUTSIDE:
                hold(frame, low, high)
        for frame in reversed(range(len(flat.frames))):
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

    def _squeeze(self) -> list[_Squeezed]:
        """Return, of each band, where everything across it is once there is little room between."""
        flat = self._flat
        taken: list[list[tuple[float, float]]] = [[] for _ in self._starts]
        for x, along, wide, high in flat.boxes:
            taken[self._band(along + high / 2)].append((x - SPACE / 2, x + wide + SPACE / 2))
        for x, along, wide, _ in flat.labels:
            taken[self._band(along)].append((x, x + wide))
        for x, along in {point for route in flat.routes for point in route}:
            taken[self._band(along)].append((x - BEND_SPACE / 2, x + BEND_SPACE / 2))
        for band, pieces in enumerate(self._pieces):
            for frame, (x, _, wide, _) in pieces.items():
                known = flat.parents[frame]
                begin, title = x, known.height if flat.sideways else min(known.width + FRAME_PAD, wide - FRAME_PAD)
                if not flat.sideways and flat.spans[frame][0] >= self._starts[band]:
                    begin, title = flat.titles[frame] - TITLE_INSET, known.width + TITLE_INSET
                edges = (x, x + FRAME_PAD), (x + wide - FRAME_PAD, x + wide)
                taken[band] += [*edges, (begin, begin + title + FRAME_PAD)]
        return [_Squeezed(intervals) for intervals in taken]

    def _route(self, number: int) -> list[Point]:
        """Return a link in its bands, with the ways between them."""
        points: list[Point] = []
        before: int | None = None
        for across, along in self._flat.routes[number]:
            band = self._band(along)
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
        self._end = -math.inf
        self.size = 0.0
        for low, high in sorted(taken):
            if low > self._end + _MOST_EMPTY or not self._begins:
                at = self.at(self._end) + _MOST_EMPTY if self._begins else 0.0
                self._begins.append(low)
                self._places.append(at)
            self._end = max(self._end, high)
        if taken:
            self.size = self.at(self._end)

    def at(self, place: float) -> float:
        """Return where that is; nothing is asked between two intervals."""
        number = max(bisect_right(self._begins, place + 0.01) - 1, 0)
        return self._places[number] + place - self._begins[number]
