"""The layout in layers: boxes in rows, with frames around those that belong together.

This is pure geometry, of boxes with sizes and links between them. `along` is the direction of the flow, from row to
row; `across` is the other direction. The steps are those of Sugiyama, Tagawa and Toda (1981):

1. Each box gets its row: the longest path from above, `rows`. A frame's boxes come after what the frame reads.
2. A link that spans several rows gets a bend in each row between. So every piece of it runs in the gap between two
   neighbouring rows, where there are no boxes.
3. The frames are filled one by one, innermost first, and what is filled is one stiff block for the frame around it.
   Sweeps down and up the rows put each thing where the things it is linked with are, and then as far apart as they
   must be.
   Where it must be narrow, nothing moves further than that, and `stack` has set what nothing reads in lines.
4. The rows get their height, and the gaps what labels, titles and links need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .edge_ends import LABEL_SPACE, PORT_REACH, Ports
from .folding import Flat, folded
from .frame_titles import missing, titles
from .horizontal_positions import Level, Things
from .layout_types import (
    BENDS,
    BESIDE_SPACE,
    FRAME_PAD,
    LED,
    LIGHT,
    OUTSIDE,
    PLAIN,
    SPACE,
    TITLE_INSET,
    Arrangement,
    Frame,
    Item,
    Link,
    Point,
    Rectangle,
    Tree,
    side_of,
    turned_item,
)
from .ranks import rows, strengths
from .stacked_updates import Stack

# The gap between rows: room for curves, more for links that go far across, and room for arrowheads.
_LEAST_CURVE, _CURVE_SHARE, _MOST_CURVE, _ARROW_SPACE = 14.0, 0.04, 26.0, 10.0
# A picture that is but a little too high stays as it is, and one that would have much more that is empty.
_HIGHER, _EMPTIER, _NARROW = 1.3, 1.5, 400.0
# In the first round, the things in a frame do not know where the things outside are; in the second they do. Large
# pictures get one round.
_ROUNDS, _LARGE = 2, 20_000


def arrange(
    items: Sequence[Item],
    frames: Sequence[Frame],
    links: Sequence[Link],
    sideways: bool = False,
    room: tuple[float, float] | None = None,
    narrow: float = math.inf,
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
    room : (float, float), optional
        Width and height. A flow that is longer is folded: into lines of that width, or into as many columns of that
        height as have room side by side, and higher ones if they have not.
    narrow : float
        How far across the flow it may reach, as far as each row has room. What nothing reads then stands in several
        lines.

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
    return Arranger(items, frames, links, sideways, narrow).arrangement(room)


class Arranger:
    """Computes one layout, across and along the flow; only the result is turned if the flow goes sideways."""

    def __init__(
        self,
        items: Sequence[Item],
        frames: Sequence[Frame],
        links: Sequence[Link],
        sideways: bool,
        narrow: float = math.inf,
    ) -> None:
        self._sideways, self._narrow = sideways, narrow
        self._items = [turned_item(item) for item in items] if sideways else items
        self._frames, self._links = frames, links
        self._tree = Tree([frame.parent for frame in frames])
        self._beside_links = [items[link.tail].beside == link.head for link in links]
        self._row_of = self._rows()
        self._count = 1 + max(self._row_of, default=-1)
        self._things = Things(len(items) + len(frames))
        self._set_things()
        self._bends = len(items) + len(frames)
        self._shared: dict[tuple[int, int, int, int], int] = {}
        self._ways = [self._way(link) for link in links]
        self._entering = self._first_entered()
        self._straight = self._strengths()
        ways = [None if beside else way for beside, way in zip(self._beside_links, self._ways, strict=True)]
        entered = {thing for things in self._entering for thing in things if thing < len(items)}
        self._ports = Ports(self._items, links, ways, self._straight, entered, sideways)
        self._left, self._right = self._place()
        self._long: set[int] = set()

    def _rows(self) -> list[int]:
        """Return the rows of all boxes, numbered without gaps."""
        # A box that stands beside another is in the same row.
        stand = [number if item.beside == OUTSIDE else item.beside for number, item in enumerate(self._items)]
        links = [
            link._replace(tail=stand[link.tail])
            for link, beside in zip(self._links, self._beside_links, strict=True)
            if not beside
        ]
        frame_of = [item.frame for item in self._items]
        parents = [frame.parent for frame in self._frames]
        found = rows(len(self._items), links, frame_of, parents)
        if self._narrow < math.inf:
            found = Stack(self._items, self._frames, links, found).rows(self._narrow)
        number_of = {row: number for number, row in enumerate(sorted({found[number] for number in stand}))}
        return [number_of[found[number]] for number in stand]

    def _set_things(self) -> None:
        things, base = self._things, len(self._items)
        for number, item in enumerate(self._items):
            things.first[number] = things.last[number] = self._row_of[number]
            things.left[number] += (item.width + SPACE) / 2
            things.right[number] += (item.width + SPACE) / 2
            things.holder[number] = item.frame
            if item.beside != OUTSIDE:
                things.left[item.beside] += item.width + BESIDE_SPACE
        for link in self._links:
            if link.width and self._sideways:  # the label stands on the line
                things.left[link.tail] = max(things.left[link.tail], PORT_REACH + link.height + SPACE / 2)
            elif link.width:  # or on the right of it
                reach = PORT_REACH + LABEL_SPACE + link.width + SPACE / 2
                things.right[link.tail] = max(things.right[link.tail], reach)
        for thing, frame in enumerate(self._frames, start=base):
            things.first[thing], things.last[thing] = self._count, -1
            things.holder[thing] = frame.parent
        for thing in [*range(base), *reversed(range(base, base + len(self._frames)))]:
            if (holder := things.holder[thing]) != OUTSIDE:
                things.first[base + holder] = min(things.first[base + holder], things.first[thing])
                things.last[base + holder] = max(things.last[base + holder], things.last[thing])

    def _way(self, link: Link) -> list[int]:
        """Return the things along a link, downwards: a box, a bend in each row between, a box."""
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
            # A bend is in the frame of the lower end once that has begun, else in that of the upper end until it ends.
            holder = next((frame for frame in entering if things.first[base + frame] <= row), None)
            if holder is None:
                holder = next((frame for frame in leaving if things.last[base + frame] >= row), outer)
            key = (link.tail, link.value, row, holder)
            bend = self._shared.get(key)
            if bend is None or link.value < 0 or upper != link.tail:
                bend = self._shared[key] = things.bend(row, holder)
            way.append(bend)
        return [*way, lower]

    def _strengths(self) -> dict[int, float]:
        """Return the strength of the links that are on the longest path through their tail and through their head."""
        flow = [
            (link.tail, link.head, number)
            for number, link in enumerate(self._links)
            if not link.light and not self._beside_links[number] and self._row_of[link.tail] < self._row_of[link.head]
        ]
        return strengths(self._row_of, flow)

    def _place(self) -> tuple[float, float]:
        """Place what is in each frame, innermost first, then what is around them; return how far all that reaches."""
        things, base = self._things, len(self._items)
        members: list[list[int]] = [[] for _ in range(len(self._frames) + 1)]
        # In order of making: a frame comes with the first box in it.
        bends, begun = base + len(self._frames), set()
        for number, item in enumerate(self._items):
            for frame in self._tree.between(item.frame, OUTSIDE):
                if frame in begun:
                    break
                begun.add(frame)
                members[self._frames[frame].parent].append(base + frame)
            if item.beside == OUTSIDE:
                members[item.frame].append(number)
        for bend in range(bends, len(things.holder)):
            members[things.holder[bend]].append(bend)
        beside = {
            number: (item.beside, -self._items[item.beside].width / 2 - BESIDE_SPACE - item.width / 2)
            for number, item in enumerate(self._items)
            if item.beside != OUTSIDE
        }
        pieces = self._pieces()
        outside: list[list[tuple[int, float]]] = [[] for _ in members]
        most = [self._narrow]
        for title in self._frames:
            most.append(most[title.parent + 1] - 2 * FRAME_PAD)
        for _ in range(_ROUNDS if self._frames and len(things.at) < _LARGE else 1):
            things.loosen(beside)
            for frame in reversed(range(len(self._frames))):
                left, right = Level(things, members[frame], pieces[frame], outside[frame], most[frame + 1]).place()
                half, middle = (right - left) / 2 + FRAME_PAD, (left + right) / 2
                title, thing = self._frames[frame], base + frame
                if not self._sideways:
                    half = max(half, (title.width + SPACE) / 2 + FRAME_PAD)
                    taken = []
                    for entered in self._entering[frame]:
                        (top, offset), reach = things.found(entered), self._ports.reach(entered)
                        at = things.at[top] + offset - middle
                        taken.append((at - reach, at + reach))
                    more = missing(taken, half - SPACE / 2, title.width)
                else:
                    more = (title.height, 0.0)
                things.left[thing] = half + more[0]
                things.right[thing] = half + more[1]
                for inner in members[frame]:
                    things.at[inner] -= middle
                    things.fix(inner, thing)
            left, right = Level(things, members[OUTSIDE], pieces[OUTSIDE], [], most[0]).place()
            outside = self._outside(pieces)
        return left + SPACE / 2, right - SPACE / 2

    def _outside(self, pieces: list[list[tuple[int, int, float]]]) -> list[list[tuple[int, float]]]:
        """Return the links into each frame from above and outside: (thing inside, position of the other end)."""
        things, base = self._things, len(self._items)
        across = [things.across(thing) for thing in range(len(things.at))]
        found: list[list[tuple[int, float]]] = [[] for _ in pieces]
        for number, inside in enumerate(pieces):
            outer = number if number < len(self._frames) else OUTSIDE
            for upper, lower, _ in inside:
                for frame in self._tree.between(things.holder[lower], outer):
                    found[frame].append((lower, across[upper] - across[base + frame]))
        return found

    def _first_entered(self) -> list[list[int]]:
        """Return the first thing in each frame of the links that enter it through its upper side."""
        things, base = self._things, len(self._items)
        found: list[dict[int, None]] = [{} for _ in self._frames]
        for way in self._ways:
            for upper, lower in pairwise(way):
                one, other = things.holder[upper], things.holder[lower]
                if one != other:
                    for frame in self._tree.between(other, self._tree.meeting(one, other)[0]):
                        if things.first[base + frame] == things.first[lower]:
                            found[frame][lower] = None
        return [list(each) for each in found]

    def _pieces(self) -> list[list[tuple[int, int, float]]]:
        """Return the pieces of links as (upper, lower, strength), by the innermost frame around both ends."""
        things, base = self._things, len(self._items)
        found: list[list[tuple[int, int, float]]] = [[] for _ in range(len(self._frames) + 1)]
        known = set()
        for number, (link, way) in enumerate(zip(self._links, self._ways, strict=True)):
            if self._beside_links[number]:
                continue
            for upper, lower in pairwise(way):
                if (upper, lower) in known and lower >= self._bends:  # links of one value run together here
                    continue
                known.add((upper, lower))
                if number in self._straight:
                    weight = self._straight[number]
                else:
                    weight = PLAIN if len(way) == 2 else LED if upper < base or lower < base else BENDS
                    weight *= LIGHT if link.light else 1.0
                one, other = things.holder[upper], things.holder[lower]
                found[one if one == other else self._tree.meeting(one, other)[0]].append((upper, lower, weight))
        return found

    # --- along the flow

    def arrangement(self, room: Point | None, strict: bool = False) -> Arrangement:
        """Return where everything is, folded if that is too long for the room; `strict`: also if it is a little.

        Where the flow goes sideways, a title may be longer than the first row of its frame. If links cross it behind
        that row, the row gets longer.
        """
        while True:
            placed = self._arranged(room, strict)
            found = titles(self._frames, placed.frames, placed.routes)
            crossed = {frame for frame, places in enumerate(found) if places[0] is None} - self._long
            if not crossed or not self._sideways:
                return placed._replace(titles=found)
            self._long |= crossed

    def _arranged(self, room: Point | None, strict: bool) -> Arrangement:
        items, things = self._items, self._things
        across = [things.across(thing) - self._left for thing in range(len(things.at))]
        leaving, arriving = self._ports.places(across)
        lines = self._lines(across, leaving, arriving)
        centres = [(across[number], lines.middle[self._row_of[number]]) for number in range(len(items))]
        routes, labels = [], []
        leftmost, rightmost = list(across), list(across)
        for link, port in zip(self._links, leaving, strict=True):
            leftmost[link.tail] = min(leftmost[link.tail], port)
            rightmost[link.tail] = max(rightmost[link.tail], port)
        for number, link in enumerate(self._links):
            routes.append(self._route(number, across, lines, leaving[number], arriving[number]))
            end = centres[link.tail][1] + items[link.tail].height / 2 + LABEL_SPACE
            above = (end, leftmost[link.tail] - link.height)
            labels.append(above if self._sideways else (rightmost[link.tail] + LABEL_SPACE, end))
        boxes = []
        for thing, (top, bottom) in enumerate(zip(lines.begin, lines.end, strict=True), start=len(items)):
            begin = across[thing] - things.left[thing] + SPACE / 2
            end = across[thing] + things.right[thing] - SPACE / 2
            boxes.append((begin, top, end - begin, bottom - top))
        width, height = (self._right - self._left if items else 0.0), lines.length
        if room is not None and (found := self._folded(room, strict, across, lines, centres, boxes, routes, labels)):
            return found
        pieces = [[box] for box in boxes]
        if not self._sideways:
            return Arrangement(width, height, centres, pieces, routes, labels, [])
        return Arrangement(
            height,
            width,
            [(y, x) for x, y in centres],
            [[(y, x, height, width)] for ((x, y, width, height),) in pieces],
            [[(y, x) for x, y in route] for route in routes],
            labels,
            [],
        )

    def _folded(
        self,
        room: tuple[float, float],
        strict: bool,
        across: list[float],
        lines: _Lines,
        centres: list[Point],
        frames: list[Rectangle],
        routes: list[list[Point]],
        labels: list[Point],
    ) -> Arrangement | None:
        """Return the layout in bands, if it is longer than the room."""
        things, items, links, sideways = self._things, self._items, self._links, self._sideways
        most, widest = room if sideways else room[::-1]
        if lines.length <= most * (1.0 if sideways or strict else _HIGHER):
            return None
        held = []
        for thing in (*range(len(items)), *range(len(items) + len(self._frames), len(things.at))):
            if thing >= len(items) or items[thing].beside == OUTSIDE:
                left, right = (max(reach[thing] - SPACE / 2, 0.0) for reach in (things.left, things.right))
                held.append((things.holder[thing], things.first[thing], across[thing] - left, across[thing] + right))
        titled = [] if sideways else titles(self._frames, [[frame] for frame in frames], routes)
        sizes = [(link.height, link.width) if sideways else (link.width, link.height) for link in links]
        flat = Flat(
            list(zip([0.0, *lines.arrive[:-1]], lines.ends, strict=True)),
            [(x - one.width / 2, y - one.height / 2, *one[:2]) for one, (x, y) in zip(items, centres, strict=True)],
            [(*(at[::-1] if sideways else at), *size) for at, size in zip(labels, sizes, strict=True)],
            frames,
            [(things.first[len(items) + frame], things.last[len(items) + frame]) for frame in range(len(frames))],
            held,
            self._frames,
            [at[0] if at else frame[0] + TITLE_INSET for (at,), frame in zip(titled, frames, strict=False)],
            routes,
            [link.tail for link in links],
            sideways,
        )
        found = folded(flat, most, math.inf if strict else widest)
        area = lines.length * max(self._right - self._left, _NARROW)
        if found is None or (not sideways and not strict and found.across * found.along > _EMPTIER * area):
            return None

        def turned(x: float, y: float) -> Point:
            return (y, x) if sideways else (x, y)

        return Arrangement(
            *turned(found.across, found.along),
            [turned(x + width / 2, y + height / 2) for x, y, width, height in found.boxes],
            [[(*turned(*piece[:2]), *turned(*piece[2:])) for piece in pieces] for pieces in found.frames],
            [[turned(*point) for point in route] for route in found.routes],
            [turned(*label[:2]) for label in found.labels],
            [],
        )

    def _lines(self, across: list[float], leaving: list[float], arriving: list[float]) -> _Lines:
        """Return where rows and frames are along the flow."""
        things, base, count = self._things, len(self._items), self._count
        heights, labels, spreads = [0.0] * count, [0.0] * count, [0.0] * count
        for number, item in enumerate(self._items):
            heights[self._row_of[number]] = max(heights[self._row_of[number]], item.height)
        for frame in self._long:
            row = things.first[base + frame]
            heights[row] = max(heights[row], self._frames[frame].width)
        for number, (link, way) in enumerate(zip(self._links, self._ways, strict=True)):
            if link.width:
                row = self._row_of[link.tail]
                length = (link.width if self._sideways else link.height) + LABEL_SPACE
                labels[row] = max(labels[row], length + (self._items[link.tail].height - heights[row]) / 2)
            if not self._beside_links[number]:
                passed = [leaving[number], *(across[bend] for bend in way[1:-1]), arriving[number]]
                for row, (one, other) in enumerate(pairwise(passed), start=self._row_of[way[0]]):
                    spreads[row] = max(spreads[row], abs(other - one))
        heads, feet = [0.0] * len(self._frames), [0.0] * len(self._frames)
        before, after = [_ARROW_SPACE] * count, [0.0] * count
        ending: list[list[int]] = [[] for _ in range(count)]
        for frame in reversed(range(len(self._frames))):
            thing, parent = base + frame, self._frames[frame].parent
            heads[frame] += FRAME_PAD + (0.0 if self._sideways else self._frames[frame].height)
            row = things.first[thing]
            before[row] = max(before[row], heads[frame])
            if parent != OUTSIDE and things.first[base + parent] == row:
                heads[parent] = max(heads[parent], heads[frame])
            ending[things.last[thing]].append(frame)
        lines = _Lines([], [], [], [], [0.0] * len(self._frames), [0.0] * len(self._frames))
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
                feet[frame] += FRAME_PAD
                if self._sideways:
                    title = self._frames[frame].width + 2 * FRAME_PAD
                    feet[frame] = max(feet[frame], title - (at - lines.begin[frame]))
                lines.end[frame] = at + feet[frame]
                after[row] = max(after[row], feet[frame])
                parent = self._frames[frame].parent
                if parent != OUTSIDE and things.last[base + parent] == row:
                    feet[parent] = max(feet[parent], feet[frame])
            at += after[row]
            lines.length = at
            lines.ends.append(at)
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
        points = [(leaving, lines.middle[row] + side_of(upper, leaving - across[way[0]])), (leaving, leave)]
        for bend in way[1:-1]:
            row += 1
            points += [(across[bend], lines.pass_on[row - 1]), (across[bend], lines.leave[row])]
        points.append((arriving, lines.arrive[last - 1]))
        points.append((arriving, lines.middle[last] - side_of(lower, arriving - across[way[-1]])))
        points = list(dict.fromkeys(points))
        return points if way[0] == link.tail else points[::-1]


@dataclass
class _Lines:
    """Positions along the flow.

    Attributes
    ----------
    middle, leave, arrive, pass_on : list of float
        For each row: its middle; where links begin to curve below it; and where that curve ends, for links that arrive
        in the next row and for those that pass it.
    begin, end : list of float
        For each frame.
    length : float
        Of it all.
    ends : list of float
        For each row: where it ends, with the frames that end there.
    """

    middle: list[float]
    leave: list[float]
    arrive: list[float]
    pass_on: list[float]
    begin: list[float]
    end: list[float]
    length: float = 0.0
    ends: list[float] = field(default_factory=list)
