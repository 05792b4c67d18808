"""A picture as SVG of our own, laid out by `layered`: what there is without Graphviz, and where that is too slow."""

from __future__ import annotations

import html
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..formatting import shortened
from ..layout.layered import Arranger, arrange
from ..layout.layout_types import SPACE, TITLE_INSET, TITLE_TOP, Arrangement, Item, Link
from ..layout.layout_types import Frame as Around
from ..layout.ranks import rows
from .dot_ranks import set_beside
from .fonts import FAMILIES, text_width
from .shapes import USUAL, Arrow, Drawing, Frame, Heading, Manner, Shape
from .style import ARROW, GREY, INK, MOST_BELOW, MOST_SAID, MOST_SHOWN, NODE, PAPER, WIDTH_OF_SHADE, cell_size
from .svg_elements import CUT, LID, cylinder, n, octagon, path, polygon, rectangle, row_of_cells

if TYPE_CHECKING:
    from ..layout.layout_types import Point
    from .picture import Edge, Picture

# A link over more rows is cut. Where the values are few that skip more, they can be followed further, unless they are
# lent to the backward pass or to an update.
_MOST_ROWS, _MOST_ROWS_FOLLOWED, _MOST_FOLLOWED = 12, 60, 16
# A picture that is wider, or higher, is folded.
_ROOM = 1560.0, 2000.0
# What is wider or higher is compared with lines, which are harder to follow, and with what keeps to a share of the
# width: all of these shares if there are few boxes, none if there are many.
_HIGHEST, _HARDER = 3000.0, 1.2
_NARROWER, _MANY = (0.8, 0.5, 0.25), 1800
# A picture of more boxes is high either way, and is not laid out the other way too.
_MOST_TURNED = 5000
# On a page: how many times as large as usual a picture is at most, and at least, so that its smallest text, of 7
# points, has 9 pixels; and by which steps that is tried. Rows may keep to this share of the page.
LARGEST, LEAST, _STEP, _NARROW = 1.8, 9.0 / (4 / 3) / 7.0, 1.06, 0.3
# A point of Graphviz's, as browsers show it.
_PIXELS = 4 / 3
_PAD, _HEADING_SPACE = 10.8, 4.0
# Between two parts of a line above the picture, and how long such a line may be, however narrow the picture is.
_BESIDE_SPACE, _LEAST_ROW = 14.0, 420.0
_SHADE_HEIGHT, _SHADE_SPACE, _CELLS_SPACE = 8.0, 6.0, 4.0
_FRAME_TITLE = 9.5
_TITLE, _SMALL, _NOTE, _POSITION = 11.0, 8.0, 7.0, 7.0
_PANEL_SPACE, _PANEL_EDGE = 2.0, 2.0
# Of numbers that are written out: their size, between two columns, from line to line, and between two matrices; and
# how much wider than high several of these stand together.
_NUMBER, _NUMBER_SPACE, _NUMBER_LINE, _MATRIX_SPACE, _WIDER = 7.5, 4.0, 9.0, 3.0, 2.0
_CORNER, _PERIPHERY = 8.0, 3.5
_ARROW_LENGTH, _ARROW_SLOPE = 12.0, 0.36
_ARROW_PER_WIDTH = 2.2  # of the line: the arrow is at least so long
# How a picture by Graphviz begins.
_OPENING = re.compile(
    r'<svg width="[^"]*" height="[^"]*"\s+'
    r'viewBox="[-\d.]+ [-\d.]+ (?P<width>[\d.]+) (?P<height>[\d.]+)"(?P<more>[^>]*)>'
)
# How a page of ours begins.
_SIZE = re.compile(
    r'width="(?P<width>[\d.]+)" height="(?P<height>[\d.]+)" viewBox="0 0 (?P<wide>[\d.]+) (?P<high>[\d.]+)"'
)
_PAGE = re.compile(f"<svg [^>]*?{_SIZE.pattern}[^>]*>")
_DASHES = {"dashed": "5,2.5", "dotted": "1,3"}


def plain_svg(seen: Picture, manner: Manner = USUAL) -> str:
    """Return a picture as SVG, the same in every process."""
    writer = _Writer(seen, manner)
    writer.arrange_freely()
    return writer.text()


def svg_on_page(seen: Picture, manner: Manner, page: Point, scale: float | None = None) -> tuple[str, float]:
    """Return a picture that fills a page, and how many times as large as usual it is; not above `LARGEST`.

    Parameters
    ----------
    seen : Picture
    manner : Manner
    page : (float, float)
        Width and height, in points.
    scale : float, optional
        How large it is to be at most; by default as large as the page has room for.

    Returns
    -------
    str
    float
        0 if it cannot be read at any size that has room: then it is as small as it must be.
    """
    writer = _Writer(seen, manner)
    largest = writer.arrange_on(page, manner.direction)
    scale = largest if scale is None else min(scale, largest)
    return writer.text(page, scale), scale


def below_each_other(pages: Sequence[str]) -> str:
    """Return pages of one size as one picture."""
    first, found = pages[0], [_PAGE.search(page) for page in pages]
    sizes = [match for match in found if match is not None]
    width, height, wide, high = (float(sizes[0][name]) for name in ("width", "height", "wide", "high"))
    count = len(pages)
    size = f'width="{n(width)}" height="{n(height * count)}" viewBox="0 0 {n(wide)} {n(high * count)}"'
    inner = [page[match.end() : page.rindex("</svg>")] for page, match in zip(pages, sizes, strict=True)]
    moved = [f'<g transform="translate(0 {n(high * number)})">{each}</g>' for number, each in enumerate(inner)]
    opening = first[sizes[0].start() : sizes[0].end()]
    return "".join([first[: sizes[0].start()], _SIZE.sub(size, opening), "\n", *moved, "</svg>\n"])


def size_on_page(seen: Picture, manner: Manner, page: Point) -> float:
    """Return how many times as large as usual a picture is that fills a page; 0 if it would be too small to read."""
    return _Writer(seen, manner).arrange_on(page, manner.direction)


def has_room(seen: Picture, manner: Manner, page: Point) -> bool:
    """Return whether a picture that can be read has room on a page."""
    writer = _Writer(seen, manner)
    return sum(writer.shares(page)) <= 1 and bool(writer.arrange_on(page, manner.direction, LEAST))


def shares_of_page(seen: Picture, manner: Manner, page: Point) -> list[float]:
    """Return what each box of a picture would take of a page, if there were nothing between them."""
    return _Writer(seen, manner).shares(page)


def height_inside(shape: Shape, usual: Mapping[str, str]) -> float:
    """Return how high all is that a shape says and shows, without what is around that."""
    return _Box(shape, usual, GREY).inside


def headed(svg: str, seen: Picture, manner: Manner) -> str:
    """Return a picture by Graphviz with what is said above it, as a plain one has it."""
    drawn = Drawing(seen, manner)
    found = _OPENING.search(svg)
    if not drawn.headings or found is None:
        return svg
    wide, high = float(found["width"]), float(found["height"])
    headings = _rows(drawn.headings, max(wide - 2 * _PAD, _LEAST_ROW))
    above = _PAD + math.fsum(row.height for row in headings)
    width, height = max([wide, *(row.width + 2 * _PAD for row in headings)]), high + above
    size = f'width="{n(width)}pt" height="{n(height)}pt"\n viewBox="0 0 {n(width)} {n(height)}"'
    paper = rectangle(0.0, 0.0, width, height, 0.0, f' fill="{drawn.colour(PAPER)}"')
    end = svg.rindex("</svg>")
    return "".join(
        [
            f"{svg[: found.start()]}<svg {size}{found['more']}>\n{paper}\n",
            f'<g font-family="{FAMILIES}">{_said_above(headings, width)}</g>\n',
            f'<g transform="translate({n((width - wide) / 2)} {n(above)})">{svg[found.end() : end]}</g>\n{svg[end:]}',
        ]
    )


def _said_above(headings: Iterable[_Row], width: float) -> str:
    parts, top = [], _PAD
    for row in headings:
        parts.append(row.svg(width / 2, top))
        top += row.height
    return "\n".join(parts)


def _rows(headings: Iterable[Heading], width: float) -> list[_Row]:
    """Return what is said above a picture in lines; what may stand beside what is before it does, if there is room."""
    rows: list[_Row] = []
    for heading in map(_Heading, headings):
        if heading.beside and rows and rows[-1].width + _BESIDE_SPACE + heading.width <= width:
            rows[-1] = _Row([*rows[-1].parts, heading])
        else:
            rows.append(_Row([heading]))
    return rows


def _far(seen: Picture) -> set[Edge]:
    """Return the edges that would lead over too many rows."""
    number_of = {scope.path: number for number, scope in enumerate(seen.open_scopes())}
    frame_of = [number_of[box.around.path] if box.around is not None else -1 for box in seen.boxes]
    parents = [number_of[scope.parent.path] if scope.parent is not None else -1 for scope in seen.open_scopes()]
    links = [Link(edge.tail.place, edge.head.place, edge.lent) for edge in seen.edges]
    row_of = rows(len(seen.boxes), links, frame_of, parents)
    far = [(edge, abs(row_of[edge.head.place] - row_of[edge.tail.place])) for edge in seen.edges]
    far = [(edge, passed) for edge, passed in far if passed > _MOST_ROWS]
    followed = {edge.node for edge, passed in far if not edge.lent and passed <= _MOST_ROWS_FOLLOWED}
    most = _MOST_ROWS_FOLLOWED if len(followed) <= _MOST_FOLLOWED else _MOST_ROWS
    return {edge for edge, passed in far if edge.lent or passed > most}


def _excess(placed: Arrangement, in_lines: bool) -> tuple[bool, float]:
    """Return how much there is against an arrangement: it is too wide for a page, or else high."""
    if placed.width > _ROOM[0] + 0.01:
        return True, placed.width * placed.height
    return False, placed.height * (_HARDER if in_lines else 1.0)


def _beside(seen: Picture) -> dict[str, str]:
    """Return what stands beside which box: what that is the first to read."""
    first: dict[int, int] = {}
    for edge in seen.edges:
        first[edge.tail.place] = min(first.get(edge.tail.place, edge.head.place), edge.head.place)
    return {f"n{box.place}": f"n{head.place}" for box, head in set_beside(seen) if first[box.place] == head.place}


class _Line(NamedTuple):
    """A line of text, and how far below the first line of its box its middle is."""

    text: str
    size: float
    bold: bool
    colour: str
    middle: float = 0.0

    @property
    def width(self) -> float:
        return text_width(self.text, self.size, self.bold)

    @property
    def height(self) -> float:
        return self.size * 1.2 + 1.0 * (not self.bold)


class _Box:
    """A shape with its size: its text and heatmaps, and what is around those."""

    def __init__(self, shape: Shape, usual: Mapping[str, str], grey: str) -> None:
        self.shape = shape
        self.look = look = {**usual, **shape.look}
        lines = _lines(shape, look["fontcolor"])
        # What the middle of the box is written and painted on, by how far below its top that begins.
        self.lines, self.fills, self.heatmaps = list[_Line](), list[_Fill](), list[_Heatmap | _Matrices]()
        inner, height = max(line.width for line in lines), self._put(lines, 0.0)
        self._named = 1 + (not shape.small) * (
            bool(shape.below) + bool(shape.formula)
        )  # lines that are there before a run
        for panel in shape.panels:
            said = [
                _Line(shortened(line, MOST_BELOW), _SMALL, not i, panel.ink or look["fontcolor"])
                for i, line in enumerate(panel.lines)
            ]
            if said:
                edge = _PANEL_EDGE * bool(panel.fill)
                inner = max(inner, *(line.width + 2 * edge for line in said))
                top = height + _PANEL_SPACE
                height = self._put(said, top + edge) + edge
                self.fills += [_Fill(top, height - top, panel.fill)] if panel.fill else []
            if panel.cells:
                heatmap = _Heatmap(height + _CELLS_SPACE, panel.cells, grey, panel.square)
                self.heatmaps.append(heatmap)
                inner, height = max(inner, heatmap.width), heatmap.top + heatmap.height
            if panel.matrices:
                matrices = _Matrices(height + _MATRIX_SPACE, panel.matrices, panel.ink or look["fontcolor"], grey)
                self.heatmaps.append(matrices)
                inner, height = max(inner, matrices.width), matrices.top + matrices.height
            if panel.note:
                note = _Line(shortened(panel.note, MOST_BELOW), _NOTE, False, shape.soft)
                inner, height = max(inner, note.width), self._put([note], height)
        self._inner, self.inside = inner, height
        across, along = (float(part) * 72 for part in look["margin"].split(","))
        width, lid, form = inner, 0.0, look["shape"]
        if form == "ellipse":  # around a rectangle
            width, height = width * 2**0.5, height * 2**0.5
        elif form == "cylinder":
            lid, height = LID, height + 3 * LID
        elif form == "octagon":
            width, height = width + CUT, height + CUT
        self.rim = _PERIPHERY * (int(look.get("peripheries", "1")) - 1)
        self.width = max(width + 2 * across, float(look["width"]) * 72) + 2 * self.rim
        self.height = max(height + 2 * along, float(look["height"]) * 72) + 2 * self.rim
        self.corner = _CORNER if form == "box" and "rounded" in look["style"] else 0.0
        self.round = (CUT, CUT) if form == "octagon" else (self.corner, self.corner)
        if form in ("ellipse", "cylinder"):
            self.round = (self.width / 2, lid or self.height / 2)
        self._top = (lid - self.inside) / 2

    def _put(self, lines: Iterable[_Line], top: float) -> float:
        """Set lines below each other; return where they end."""
        for line in lines:
            self.lines.append(line._replace(middle=top + line.height / 2))
            top += line.height
        return top

    def svg(self, x: float, y: float) -> str:
        """Return it with its middle there."""
        look, width, height = self.look, self.width, self.height
        style = look["style"].split(",")
        line = f' stroke="{look["color"]}" stroke-width="{look.get("penwidth", "1")}"'
        line += "".join(f' stroke-dasharray="{dash}"' for name, dash in _DASHES.items() if name in style)
        paint = f' fill="{look["fillcolor"] if "filled" in style else "none"}"{line}'
        form, corner, rim, parts = look["shape"], self.corner, self.rim, []
        left, top = x - width / 2, y - height / 2
        if form == "ellipse":
            parts.append(f'<ellipse cx="{n(x)}" cy="{n(y)}" rx="{n(width / 2)}" ry="{n(height / 2)}"{paint}/>')
        elif form == "cylinder":
            parts.append(cylinder(left, top, width, height, paint))
        elif form == "octagon":
            parts.append(octagon(left, top, width, height, paint))
        elif form == "box":
            parts.append(rectangle(left, top, width, height, corner, paint))
            if rim:
                inner = width - 2 * rim, height - 2 * rim, max(corner - rim, 0.0), f' fill="none"{line}'
                parts.append(rectangle(left + rim, top + rim, *inner))
        begin, told = y + self._top, list[str]()
        for fill in self.fills:
            paint = f' fill="{fill.colour}"'
            told.append(rectangle(x - self._inner / 2, begin + fill.top, self._inner, fill.height, 2.0, paint))
        texts = [_text(line, x, begin + line.middle, "middle") for line in self.lines]
        parts += texts[: self._named]
        told += texts[self._named :]
        told += [heatmap.svg(x, begin) for heatmap in self.heatmaps]
        # What a run says of it is together: until it has run, an animation shows nothing of that.
        return "".join([*parts, '<g class="told">', *told, "</g>"]) if told else "".join(parts)


class _Fill(NamedTuple):
    """What is behind some lines, and how far below the first line of its box it begins."""

    top: float
    height: float
    colour: str


class _Heatmap(NamedTuple):
    """The cells of a heatmap, how far below the first line of its box it begins, and the colour of its border."""

    top: float
    cells: Sequence[Sequence[str]]
    border: str
    square: bool = False

    @property
    def width(self) -> float:
        return cell_size(self.cells, self.square)[0] * len(self.cells[0])

    @property
    def height(self) -> float:
        return cell_size(self.cells, self.square)[1] * len(self.cells)

    def svg(self, middle: float, begin: float) -> str:
        width, height = cell_size(self.cells, self.square)
        left, top = middle - self.width / 2, begin + self.top
        rows = [row_of_cells(left, top + row * height, width, height, line) for row, line in enumerate(self.cells)]
        rim = rectangle(left, top, self.width, self.height, 0.0, f' fill="none" stroke="{self.border}"')
        return "".join(["".join(row) for row in rows] + [rim])


class _Matrices(NamedTuple):
    """The numbers of a value, a matrix beside the other, and where they begin, as of `_Heatmap`."""

    top: float
    matrices: Sequence[Sequence[Sequence[str]]]
    ink: str
    border: str

    @property
    def _column(self) -> float:
        return max(text_width(each, _NUMBER) for lines in self.matrices for line in lines for each in line)

    @property
    def _size(self) -> tuple[float, float]:
        """How wide and high one matrix is."""
        lines = self.matrices[0]
        return len(lines[0]) * (self._column + _NUMBER_SPACE) + _NUMBER_SPACE, len(lines) * _NUMBER_LINE + 2.0

    @property
    def _in_a_row(self) -> int:
        """How many matrices stand beside each other."""
        wide, high = self._size
        return min(len(self.matrices), max(1, round(math.sqrt(len(self.matrices) * high / wide * _WIDER))))

    @property
    def width(self) -> float:
        return self._in_a_row * (self._size[0] + _MATRIX_SPACE) - _MATRIX_SPACE

    @property
    def height(self) -> float:
        return math.ceil(len(self.matrices) / self._in_a_row) * (self._size[1] + _MATRIX_SPACE) - _MATRIX_SPACE

    def svg(self, middle: float, begin: float) -> str:
        (wide, high), column, parts = self._size, self._column, []
        for number, lines in enumerate(self.matrices):
            down, along = divmod(number, self._in_a_row)
            left = middle - self.width / 2 + along * (wide + _MATRIX_SPACE)
            top = begin + self.top + down * (high + _MATRIX_SPACE)
            parts.append(rectangle(left, top, wide, high, 2.0, f' fill="none" stroke="{self.border}"'))
            for row, numbers in enumerate(lines):
                for place, each in enumerate(numbers, start=1):
                    line = _Line(each, _NUMBER, False, self.ink)
                    x = left + place * (column + _NUMBER_SPACE)
                    parts.append(_text(line, x, top + 1.0 + (row + 0.5) * _NUMBER_LINE, "end"))
        return "".join(parts)


def _lines(shape: Shape, colour: str) -> list[_Line]:
    if shape.small:
        return [_Line(shortened(shape.title, MOST_SHOWN), shape.small, False, shape.soft)]
    lines = [_Line(shortened(shape.title, MOST_SHOWN), _TITLE, True, colour)]
    if shape.below:
        lines.append(_Line(shortened(shape.below, MOST_BELOW), _SMALL, False, shape.soft))
    if shape.formula:
        lines.append(_Line(shortened(shape.formula, MOST_BELOW), _SMALL, False, colour))
    lines += [_Line(shortened(note, MOST_BELOW), _SMALL, not i, colour) for i, note in enumerate(shape.notes)]
    return lines


class _Writer:
    """Writes one picture. Lengths are in points; what names say is text or a tooltip, and never an attribute."""

    def __init__(self, seen: Picture, manner: Manner) -> None:
        self._drawn = drawn = Drawing(seen, manner, _far(seen))
        self._sideways, self._turns = manner.sideways, manner.direction is None
        self._grey = drawn.colour(GREY)
        usual = drawn.look(NODE)
        self._boxes = [_Box(shape, usual, self._grey) for shape in _in_order(drawn)]
        self._labels = _labels(drawn.arrows, self._grey)
        self._parts = self._measured(_beside(seen))
        self._placed: Arrangement

    def _measured(self, beside: Mapping[str, str]) -> tuple[list[Item], list[Around], list[Link]]:
        """Return the boxes, frames and lines with their sizes."""
        number_of = {box.shape.name: number for number, box in enumerate(self._boxes)}
        frame_of = {frame.scope.path: number for number, frame in enumerate(self._drawn.frames)}
        items, frames, links = [], [], []
        for box in self._boxes:
            around, reader = box.shape.around, beside.get(box.shape.name)
            inside = frame_of[around.path] if around is not None else -1
            items.append(Item(box.width, box.height, inside, number_of[reader] if reader else -1, box.round))
        for frame in self._drawn.frames:
            lines, parent = self._frame_lines(frame), frame.scope.parent
            inside = frame_of[parent.path] if parent is not None else -1
            frames.append(Around(inside, max(line.width for line in lines), math.fsum(line.height for line in lines)))
        values: dict[tuple[object, ...], int] = {}
        for arrow, label in zip(self._drawn.arrows, self._labels, strict=True):
            same = (arrow.tail, *arrow.tip, *arrow.look.items())
            light = arrow.look.get("weight") == "0"
            size = (label.width, label.height) if label.text else (0.0, 0.0)
            links.append(
                Link(number_of[arrow.tail], number_of[arrow.head], light, *size, values.setdefault(same, len(values)))
            )
        return items, frames, links

    def arrange_freely(self) -> None:
        """Place everything; what is too long is folded."""
        items, frames, links = self._parts
        self._placed = placed = arrange(items, frames, links, self._sideways, _ROOM)
        if placed.width <= _ROOM[0] + 0.01 and (placed.height <= _HIGHEST or len(items) > _MOST_TURNED):
            return
        shares = _NARROWER[: _MANY // len(items)] if self._turns or not self._sideways else ()
        found = [(arrange(items, frames, links, False, _ROOM, _ROOM[0] * share), False) for share in shares]
        found.append((placed, self._sideways))
        if self._turns:
            found.append((arrange(items, frames, links, not self._sideways, _ROOM), not self._sideways))
        self._placed, self._sideways = min(found, key=lambda one: _excess(*one))

    def arrange_on(self, page: Point, direction: str | None, most: float = LARGEST) -> float:
        """Place everything on a page, and return how large: as large as can be; 0 if nothing has room that can be read.

        Either way of the flow is tried, unless one was asked for, also with rows that are narrow.
        """
        items, frames, links = self._parts
        ways = (page[0] > page[1], page[0] <= page[1]) if direction is None else (direction == "right",)
        best, sizes = 0.0, [max(min(most, self._largest(page)), LEAST)]
        while sizes[-1] > LEAST:
            sizes.append(max(sizes[-1] / _STEP, LEAST))
        for sideways, share in itertools.product(ways, (math.inf, _NARROW)):
            if best == sizes[0]:
                break
            across = self._room(page, LEAST)[0 if not sideways else 1]
            arranger = Arranger(items, frames, links, sideways, across * share)
            for at in (size for size in sizes if size > best):
                room = self._room(page, at)
                placed = arranger.arrangement(room, strict=True)
                if placed.width <= room[0] + 0.01 and placed.height <= room[1] + 0.01:
                    best, self._placed, self._sideways = at, placed, sideways
                    break
        if not best:
            self._sideways = ways[0]
            self._placed = Arranger(items, frames, links, ways[0]).arrangement(self._room(page, LEAST), strict=True)
        return best

    def shares(self, page: Point) -> list[float]:
        """Return what each box would take of a page, in the order of the picture."""
        wide, high = self._room(page, LEAST)
        taken = {box.shape.name: (box.width + SPACE) * (box.height + SPACE) for box in self._boxes}
        places = range(sum(name.startswith("n") for name in taken))
        return [taken[f"n{place}"] / (wide * high) for place in places]

    def _largest(self, page: Point) -> float:
        """Return at which scale the boxes would fill a page if there were nothing between them."""
        return math.sqrt(page[0] * page[1] / max(self._taken, 1.0))

    @property
    def _taken(self) -> float:
        return math.fsum((box.width + SPACE) * (box.height + SPACE) for box in self._boxes)

    def _room(self, page: Point, scale: float) -> Point:
        """Return what a page has for boxes, frames and lines, in points of the picture."""
        width = page[0] / scale - 2 * _PAD
        return width, page[1] / scale - 2 * _PAD - self._above(_rows(self._drawn.headings, width))

    @staticmethod
    def _above(headings: Sequence[_Row]) -> float:
        """Return how high all is that is said above the picture."""
        return math.fsum(row.height for row in headings) + _PAD * bool(headings)

    def text(self, page: Point | None = None, scale: float = 1.0) -> str:
        """Return the SVG."""
        placed = self._placed
        headings = _rows(
            self._drawn.headings, max(placed.width, _LEAST_ROW) if page is None else page[0] / (scale or 1.0) - 2 * _PAD
        )
        wide, above = max([placed.width, *(row.width for row in headings)]), self._above(headings)
        width, height = wide + 2 * _PAD, placed.height + 2 * _PAD + above
        if page is not None:
            scale = scale or min(page[0] / width, page[1] / height)
            width, height = page[0] / scale, page[1] / scale
        across, down = (
            (width - placed.width) / 2,
            (
                height - placed.height - _PAD
                if page is None
                else _PAD + above + (height - above - 2 * _PAD - placed.height) / 2
            ),
        )
        pixels = scale * _PIXELS
        parts = [
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{n(width * pixels)}" height="{n(height * pixels)}" '
            f'viewBox="0 0 {n(width)} {n(height)}" font-family="{FAMILIES}" xml:space="preserve">',
            rectangle(0.0, 0.0, width, height, 0.0, f' fill="{self._drawn.colour(PAPER)}"'),
        ]
        if headings:
            parts.append(_said_above(headings, width))
        parts.append(f'<g transform="translate({n(across)} {n(down)})">')
        for number, frame in enumerate(self._drawn.frames):
            paint = f' fill="{frame.look["fillcolor"]}" stroke="{frame.look["color"]}"'
            pieces = "".join(rectangle(*piece, _CORNER, paint) for piece in placed.frames[number])
            parts.append(_group(f"cluster_{number}", frame.tip, pieces))
        for number, arrow in enumerate(self._drawn.arrows):
            parts.append(_group(f"{arrow.tail}->{arrow.head}", arrow.tip, self._arrow(number, arrow)))
        for number, frame in enumerate(self._drawn.frames):
            first, *further = placed.titles[number]
            left, top, *_ = placed.frames[number][0]
            places = [first or (left + TITLE_INSET, top + TITLE_TOP), *further]
            titles = "".join(self._frame_title(frame, *place) for place in places if place is not None)
            parts.append(_group(f"cluster_{number}", frame.tip, titles))
        for box, centre in zip(self._boxes, placed.centres, strict=True):
            parts.append(_group(box.shape.name, box.shape.tip, box.svg(*centre)))
        return "\n".join([*parts, "</g>", "</svg>", ""])

    def _frame_lines(self, frame: Frame) -> list[_Line]:
        lines = [_Line(shortened(frame.title, MOST_SHOWN), _FRAME_TITLE, True, self._drawn.colour(INK))]
        return lines + ([_Line(shortened(frame.note, MOST_BELOW), _SMALL, False, self._grey)] if frame.note else [])

    def _frame_title(self, frame: Frame, left: float, top: float) -> str:
        parts = []
        for line in self._frame_lines(frame):
            parts.append(_text(line, left, top + line.height / 2, "start"))
            top += line.height
        return "".join(parts)

    def _arrow(self, number: int, arrow: Arrow) -> str:
        look, route = {**self._drawn.look(ARROW), **arrow.look}, self._placed.routes[number]
        colour = look["color"]
        size = max(float(look["arrowsize"]) * _ARROW_LENGTH, float(look["penwidth"]) * _ARROW_PER_WIDTH)
        (from_x, from_y), (x, y) = route[-2], route[-1]
        upright = from_x == x
        forward = 1 if (y > from_y if upright else x > from_x) else -1
        # The line ends where the arrow begins, so that a heavy one does not blunt it.
        base, side = (y if upright else x) - size * forward, size * _ARROW_SLOPE
        if upright:
            end, corners = (x, base), [(x, y), (x - side, base), (x + side, base)]
        else:
            end, corners = (base, y), [(x, y), (base, y - side), (base, y + side)]
        dashes = _DASHES.get(look.get("style", ""))
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        line = f' fill="none" stroke="{colour}" stroke-width="{look["penwidth"]}"{dash}'
        parts = [
            f'<path d="{path([*route[:-1], end], self._sideways)}"{line}/>',
            polygon(corners, f' fill="{colour}"'),
        ]
        label = self._labels[number]
        if label.text:
            left, top = self._placed.labels[number]
            parts.append(_text(label, left, top + label.height / 2, "start"))
        if arrow.position:
            text = _Line(arrow.position, _POSITION, False, self._grey)
            spot = (x + 3.5, y - 4.5 * forward, "start") if upright else (x - 2.5 * forward, y - 5.5, "end")
            parts.append(_text(text, *spot))
        return "".join(parts)


class _Row(NamedTuple):
    """A line above the picture, of parts beside each other."""

    parts: Sequence[_Heading]

    @property
    def width(self) -> float:
        return math.fsum(part.width for part in self.parts) + _BESIDE_SPACE * (len(self.parts) - 1)

    @property
    def height(self) -> float:
        return max(part.height for part in self.parts)

    def svg(self, middle: float, top: float) -> str:
        """Return it around `middle`."""
        left, parts = middle - self.width / 2, []
        for part in self.parts:
            parts.append(part.svg(left + part.width / 2, top + (self.height - part.height) / 2))
            left += part.width + _BESIDE_SPACE
        return "".join(parts)


class _Heading:
    """A part of a line above the picture, with its size."""

    def __init__(self, heading: Heading) -> None:
        self.beside = heading.beside
        self._shades = heading.shades
        self._lines = [
            _Line(shortened(text, MOST_SAID), heading.size, heading.bold, heading.colour)
            for text in ([heading.text, heading.end] if heading.shades else [heading.text])
        ]
        self._scale = len(heading.shades) * WIDTH_OF_SHADE + 2 * _SHADE_SPACE * bool(heading.shades)
        self.width = math.fsum(line.width for line in self._lines) + self._scale
        self.height = self._lines[0].height + _HEADING_SPACE

    def svg(self, middle: float, top: float) -> str:
        """Return it around `middle`."""
        centre = top + self._lines[0].height / 2
        if not self._shades:
            return _text(self._lines[0], middle, centre, "middle")
        left = middle - self.width / 2
        begin = left + self._lines[0].width + _SHADE_SPACE
        cells = row_of_cells(begin, centre - _SHADE_HEIGHT / 2, WIDTH_OF_SHADE, _SHADE_HEIGHT, self._shades)
        ends = (left, left + self._lines[0].width + self._scale)
        texts = [_text(line, x, centre, "start") for line, x in zip(self._lines, ends, strict=True)]
        return "".join([texts[0], *cells, texts[1]])


def _in_order(drawn: Drawing) -> list[Shape]:
    """Return the shapes, each reference just before the box that it is for."""
    before: dict[str, list[Shape]] = {}
    head_of = {arrow.tail: arrow.head for arrow in drawn.arrows}
    for shape in drawn.shapes:
        if shape.name.startswith("r"):
            before.setdefault(head_of[shape.name], []).append(shape)
    boxes = (shape for shape in drawn.shapes if not shape.name.startswith("r"))
    return [shape for box in boxes for shape in (*before.get(box.name, ()), box)]


def _labels(arrows: Iterable[Arrow], grey: str) -> list[_Line]:
    """Return the label of each arrow; the first from a box says what there is to say of all of them."""
    first: dict[str, int] = {}
    said: list[list[str]] = []
    for number, arrow in enumerate(arrows):
        said.append([])
        if arrow.label:
            said[first.setdefault(arrow.tail, number)].append(shortened(arrow.label, MOST_SHOWN))
    return [
        _Line(shortened(", ".join(dict.fromkeys(words)), MOST_BELOW) if words else "", _SMALL, False, grey)
        for words in said
    ]


# --- elements -----------------------------------------------------------------------------------------------------


def _group(name: str, tip: Iterable[str], inside: str) -> str:
    title = html.escape("\n".join(shortened(line, MOST_SAID) for line in tip), quote=False)
    return f'<g data-name="{html.escape(name)}"><title>{title}</title>{inside}</g>'


def _text(line: _Line, x: float, y: float, anchor: str) -> str:
    # Capitals are 0.72 of the size high: their middle is that of the line.
    bold = ' font-weight="bold"' if line.bold else ""
    where = f'x="{n(x)}" y="{n(y + 0.36 * line.size)}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    shown = html.escape(line.text, quote=False)
    return f'<text {where} font-size="{line.size:g}"{bold} fill="{line.colour}">{shown}</text>'
