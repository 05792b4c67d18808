"""What an SVG picture is painted of, for the formats that are made of it: outlines and texts, and where they are."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import mul
from typing import TYPE_CHECKING, NamedTuple

from .fonts import text_width

if TYPE_CHECKING:
    from ..layout.layout_types import Point

_SVG, _TITLE = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}title"
_MOVE = re.compile(r"translate\((-?[\d.]+)[ ,](-?[\d.]+)\)")
_COMMAND, _NUMBER = re.compile(r"([MLC])([^A-Za-z]*)"), re.compile(r"-?[\d.]+")
_NAMED = {"black": "#000000", "white": "#ffffff", "none": "", "transparent": ""}
# How far the controls of a curve are from its ends, where it is a quarter of a circle.
_QUARTER = 0.5523
# Straight pieces of a curve, where it is asked what that runs over.
_PIECES = 12

Place = tuple[float, float, float, float]
"""Left, top, right and bottom."""


class Outline(NamedTuple):
    """A line of curves, which may be filled.

    Attributes
    ----------
    knots : list of (float, float)
        Where it begins; then for each curve its two controls and its end. What is straight has its controls at the
        ends.
    fill, stroke : str
        Colours, ``#rrggbb``; empty: none.
    width : float
    dashes : str
        As SVG says them, ``"5,2"``; empty: none.
    """

    knots: list[Point]
    fill: str
    stroke: str
    width: float
    dashes: str

    @property
    def around(self) -> Place:
        """What it is in."""
        xs, ys = zip(*_pieces(self.knots), strict=True)
        return min(xs), min(ys), max(xs), max(ys)


class Text(NamedTuple):
    """A text.

    Attributes
    ----------
    said : str
    x, y : float
        A point on the line on which it stands.
    before : float
        How much of its width is before that point: 0, a half or 1.
    width : float
        In Helvetica.
    size : float
    bold : bool
    colour : str
    """

    said: str
    x: float
    y: float
    before: float
    width: float
    size: float
    bold: bool
    colour: str

    @property
    def around(self) -> Place:
        """What it is in: capitals are 0.72 of the size high."""
        left = self.x - self.width * self.before
        return left, self.y - 0.72 * self.size, left + self.width, self.y + 0.21 * self.size


class Group(NamedTuple):
    """What is painted together.

    Attributes
    ----------
    name : str
        As `Drawing` names shapes, ``n0->n1`` an edge, ``cluster_0`` a frame; empty: nothing that has a name.
    tip : str
    marks : list of Outline or Text
        In the order of painting.
    """

    name: str
    tip: str
    marks: list[Outline | Text]

    @property
    def outlines(self) -> list[Outline]:
        """What is drawn, without what is written."""
        return [mark for mark in self.marks if isinstance(mark, Outline)]

    @property
    def texts(self) -> list[Text]:
        """What is written."""
        return [mark for mark in self.marks if isinstance(mark, Text)]


class Painted(NamedTuple):
    """A picture, in points from its left upper corner on; groups are in the order of painting.

    It is shown `scale` times as large as that.
    """

    width: float
    height: float
    groups: list[Group]
    scale: float = 1.0


def painted(svg: str) -> Painted:
    """Return what a picture is painted of.

    Parameters
    ----------
    svg : str
        By graphnn or by Graphviz, whose few elements it is read from; none from elsewhere.

    Returns
    -------
    Painted

    Examples
    --------
    >>> found = painted('<svg viewBox="0 0 9 9"><g data-name="n0"><path d="M1 2L3 4" stroke="black"/></g></svg>')
    >>> found.groups[-1].outlines[0].knots
    [(1.0, 2.0), (1.0, 2.0), (3.0, 4.0), (3.0, 4.0)]
    """
    root = ET.fromstring(svg)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    shown = root.get("width", "")
    scale = round(float(shown) * 3 / 4 / width, 3) if shown and not shown.endswith("pt") else 1.0
    found = Painted(width, height, [Group("", "", [])], scale)
    todo = [(root, (-left, -top), found.groups[0])]
    while todo:
        element, (x, y), group = todo.pop()
        if not group.name and group is not found.groups[-1]:  # it is painted over what has a name
            group = Group("", "", [])
            found.groups.append(group)
        kind = element.tag.removeprefix(_SVG)
        if kind == "text":
            group.marks.extend(_text(element, x, y))
        elif kind != "g" and (knots := _knots(kind, element)):
            group.marks.append(_outline(element, [(at + x, down + y) for at, down in knots]))
        elif len(element):
            if match := _MOVE.search(element.get("transform", "")):
                x, y = x + float(match[1]), y + float(match[2])
            named = _named(element)
            if named is not None:
                group = named
                found.groups.append(group)
            todo += [(inner, (x, y), group) for inner in reversed(element)]
    return found


def _named(element: ET.Element) -> Group | None:
    """Return an empty group for an element that has a name: graphnn says it as data, Graphviz as the title."""
    title = element.find("title") if element.find("title") is not None else element.find(f"{_SVG}title")
    said = "" if title is None else title.text or ""
    if (name := element.get("data-name")) is not None:
        return Group(name, said, [])
    if element.get("class") not in ("node", "edge", "cluster"):
        return None
    tips = [tip for inner in element.iter() if (tip := inner.get(_TITLE))]
    return Group(said, tips[0] if tips else "", [])


def _colour(said: str | None) -> str:
    if said is None:
        return ""
    return _NAMED.get(said, said[:7].lower() if said.startswith("#") else "#000000")


def _outline(element: ET.Element, knots: list[Point]) -> Outline:
    fill, stroke = _colour(element.get("fill", "none")), _colour(element.get("stroke"))
    return Outline(knots, fill, stroke, float(element.get("stroke-width", 1.0)), element.get("stroke-dasharray", ""))


def _text(element: ET.Element, x: float, y: float) -> Iterator[Text]:
    said, size, bold = element.text or "", float(element.attrib["font-size"]), element.get("font-weight") == "bold"
    if not said.strip():
        return
    width = float(element.get("textLength", 0.0)) or text_width(said, size, bold)
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
    at, base = float(element.attrib["x"]) + x, float(element.attrib["y"]) + y
    yield Text(said, at, base, share, width, size, bold, _colour(element.get("fill", "black")))


def _knots(kind: str, element: ET.Element) -> list[Point]:
    """Return what an element draws, as curves."""
    if kind == "path":
        return _along(element.attrib["d"])
    if kind in ("polygon", "polyline"):
        corners = [(float(x), float(y)) for x, y in (pair.split(",") for pair in element.attrib["points"].split())]
        return _straight(corners if kind == "polyline" or corners[0] == corners[-1] else [*corners, corners[0]])
    if kind == "rect":
        x, y, width, height, r = (float(element.get(name, 0.0)) for name in ("x", "y", "width", "height", "rx"))
        return _round(x, y, x + width, y + height, r, r)
    if kind == "ellipse":
        cx, cy, rx, ry = (float(element.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
        return _round(cx - rx, cy - ry, cx + rx, cy + ry, rx, ry)
    return []


def _straight(corners: Sequence[Point]) -> list[Point]:
    return [corners[0], *(knot for one, other in pairwise(corners) for knot in (one, other, other))]


def _round(left: float, top: float, right: float, bottom: float, rx: float, ry: float) -> list[Point]:
    """Return a rectangle whose corners are quarters of an ellipse."""
    if not rx:
        return _straight([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    ends = [
        ((right - rx, top), (right, top), (right, top + ry)),
        ((right, bottom - ry), (right, bottom), (right - rx, bottom)),
        ((left + rx, bottom), (left, bottom), (left, bottom - ry)),
        ((left, top + ry), (left, top), (left + rx, top)),
    ]
    knots = [(left + rx, top)]
    for begin, corner, end in ends:
        if begin != knots[-1]:
            knots += [knots[-1], begin, begin]
        controls = [
            (x + (cx - x) * _QUARTER, y + (cy - y) * _QUARTER) for (x, y), (cx, cy) in ((begin, corner), (end, corner))
        ]
        knots += [*controls, end]
    return knots


def _along(commands: str) -> list[Point]:
    knots: list[Point] = []
    for command, numbers in _COMMAND.findall(commands):
        values = [float(number) for number in _NUMBER.findall(numbers)]
        points = list(zip(values[::2], values[1::2], strict=True))
        if command == "C" or not knots:
            knots += points
        else:
            knots += _straight([knots[-1], *points])[1:]
    return knots


def runs_over_titles(picture: Painted) -> bool:
    """Return whether an edge runs over the title of a frame.

    Examples
    --------
    >>> frame = '<g data-name="cluster_0"><text x="5" y="9" font-size="9">layer1</text></g>'
    >>> edge = '<g data-name="n0-&gt;n1"><path d="M{x} 0L{x} 40" stroke="black"/></g>'
    >>> picture = '<svg viewBox="0 0 90 40">{}{}</svg>'
    >>> [runs_over_titles(painted(picture.format(frame, edge.format(x=x)))) for x in (12, 70)]
    [True, False]
    """
    titles = [text.around for group in picture.groups if group.name.startswith("cluster") for text in group.texts]
    for edge in (group for group in picture.groups if titles and "->" in group.name):
        labels = [label.around for label in edge.texts]
        if any(_meet(title, label) for title in titles for label in labels):
            return True
        for outline in edge.outlines:
            left, top, right, bottom = outline.around
            near = [title for title in titles if _meet(title, (left - 1, top - 1, right + 1, bottom + 1))]
            if near and any(_touches(title, *ends) for ends in pairwise(_pieces(outline.knots)) for title in near):
                return True
    return False


def _meet(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _pieces(knots: Sequence[Point]) -> Iterator[Point]:
    """Yield points along curves."""
    yield knots[0]
    for place in range(0, len(knots) - 3, 3):
        four = knots[place : place + 4]
        for t in (step / _PIECES for step in range(1, _PIECES + 1)):
            shares = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield sum(map(mul, shares, (x for x, _ in four))), sum(map(mul, shares, (y for _, y in four)))


def _touches(place: Place, one: Point, other: Point) -> bool:
    """Return whether a straight line has a point in a rectangle."""
    begin, end = 0.0, 1.0
    for at, to, low, high in zip(one, other, place[:2], place[2:], strict=True):
        if max(at, to) <= low or min(at, to) >= high:
            return False
        if at != to:
            enters, leaves = sorted(((low - at) / (to - at), (high - at) / (to - at)))
            begin, end = max(begin, enters), min(end, leaves)
    return begin < end
