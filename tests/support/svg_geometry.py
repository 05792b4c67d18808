"""The geometry of a drawn graph, read from its SVG and checked: the plain drawing's and Graphviz's alike.

Both name what they draw: n0 is a box, t0 the name of what was fetched, r1_7 a reference, cluster_0 a frame and
n0->n4 an edge. The plain drawing says so in ``data-name``, Graphviz in the ``<title>`` of the group.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from graphnn.view.diagrams.fonts import text_width
from graphnn.view.diagrams.picture import Picture, scopes_down_to

SVG = "{http://www.w3.org/2000/svg}"
Point = tuple[float, float]

# How far the border of a shape may be from where a line ends: a line has a width, and an arc is drawn as a curve.
NEAR = 2.5
# Graphviz ends lines at the box that a rounded one is in, more or less.
NEAR_BY_GRAPHVIZ = 10.0
# Of bare text, the border is not drawn, and lines keep off it; the more, the wider the font that Graphviz has.
NEAR_TEXT, NEAR_TEXT_BY_GRAPHVIZ = 9.0, 30.0


# Points of what is round: sine and cosine on each corner of a rectangle and on an ellipse, and the shares of the four
# knots in the points of a curve.
_TURNS = [
    [(math.sin(angle), math.cos(angle)) for angle in (math.pi / 2 * (corner + step / 6) for step in range(7))]
    for corner in range(4)
]
_AROUND = [(math.sin(angle), math.cos(angle)) for angle in (2 * math.pi * step / 60 for step in range(61))]
_CURVE = [((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3) for t in (step / 8 for step in range(1, 9))]


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float

    def around(self, other: "Rectangle", slack: float = 0.0) -> bool:
        """Return whether the other one is in this."""
        return (
            self.left - slack <= other.left
            and self.top - slack <= other.top
            and other.right <= self.right + slack
            and other.bottom <= self.bottom + slack
        )

    def meets(self, other: "Rectangle", slack: float = 0.0) -> bool:
        """Return whether they have more than `slack` in common."""
        return (
            min(self.right, other.right) - max(self.left, other.left) > slack
            and min(self.bottom, other.bottom) - max(self.top, other.top) > slack
        )

    def holds(self, point: Point, slack: float = 0.0) -> bool:
        x, y = point
        return self.left + slack < x < self.right - slack and self.top + slack < y < self.bottom - slack


def rectangle_around(points: Iterable[Point]) -> Rectangle:
    xs, ys = zip(*points, strict=True)
    return Rectangle(min(xs), min(ys), max(xs), max(ys))


@dataclass(frozen=True)
class Text:
    said: str
    place: Rectangle
    size: float


@dataclass
class Thing:
    """What has a name: its outlines as lines of points, and the texts in it."""

    outlines: list[list[Point]] = field(default_factory=list)
    ellipse: bool = False
    texts: list[Text] = field(default_factory=list)

    @property
    def place(self) -> Rectangle:
        """What it takes: its outlines, or if it has none, its texts."""
        points = [point for outline in self.outlines for point in outline]
        corners = [corner for text in self.texts for corner in _corners(text.place)]
        return rectangle_around(points or corners)

    @property
    def pieces(self) -> list[Rectangle]:
        """What each outline takes: a frame in a folded picture has several."""
        return [rectangle_around(outline) for outline in self.outlines]

    def distance(self, point: Point) -> float:
        """Return how far a point is from the border, or from bare text."""
        if not self.outlines:
            corners = _corners(self.place)
            return 0.0 if self.place.holds(point) else _distance(point, [*corners, corners[0]])
        return min(_distance(point, outline) for outline in self.outlines)


@dataclass
class Edge:
    tail: str
    head: str
    line: list[Point]
    tip: Point
    texts: list[Text]


@dataclass
class Drawn:
    size: Rectangle
    boxes: dict[str, Thing]
    frames: dict[str, Thing]
    edges: list[Edge]


def read(svg: str, wider: float = 1.0) -> Drawn:
    """Read what is drawn; text that does not say its width is so many times as wide as in Helvetica."""
    root = ET.fromstring(svg)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    drawn = Drawn(Rectangle(left, top, left + width, top + height), {}, {}, [])
    for name, parts in _named(root):
        thing = Thing()
        for element, move in parts:
            kind = element.tag.removeprefix(SVG)
            if kind == "text":
                thing.texts += _text(element, move, wider)
            elif kind in ("path", "polygon", "polyline", "ellipse", "rect"):
                thing.outlines.append([(x + move[0], y + move[1]) for x, y in _outline(kind, element)])
                thing.ellipse = thing.ellipse or kind == "ellipse"
        if "->" in name:
            tail, _, head = name.partition("->")
            line, arrow = thing.outlines
            tip = max(arrow, key=lambda point: math.dist(point, line[-1]))
            drawn.edges.append(Edge(tail, head, line, tip, thing.texts))
        else:
            seen = drawn.frames if name.startswith("cluster") else drawn.boxes
            known = seen.setdefault(name, thing)
            if known is not thing:
                known.outlines += thing.outlines
                known.texts += thing.texts
    return drawn


def _named(root: ET.Element) -> Iterator[tuple[str, list[tuple[ET.Element, Point]]]]:
    """Yield each named group with all that is drawn in it, and by how much that is moved."""
    todo: list[tuple[ET.Element, Point]] = [(root, (0.0, 0.0))]
    while todo:
        element, (x, y) = todo.pop()
        if match := re.search(r"translate\((-?[\d.]+)[ ,](-?[\d.]+)\)", element.get("transform", "")):
            x, y = x + float(match[1]), y + float(match[2])
        title = element.find(f"{SVG}title")
        name = element.get("data-name")
        if name is None and element.get("class") in ("node", "edge", "cluster") and title is not None:
            name = title.text
        if name and name.startswith("cluster_beside"):  # not seen: it keeps a box and what stands beside it together
            continue
        if name:  # nothing in it is moved by itself
            yield name, [(inner, (x, y)) for inner in element.iter()]
        else:
            todo += [(inner, (x, y)) for inner in reversed(element)]


def _outline(kind: str, element: ET.Element) -> list[Point]:
    if kind == "rect":
        x, y, width, height, r = (float(element.get(name, 0.0)) for name in ("x", "y", "width", "height", "rx"))
        turns = [(x + width - r, y + r), (x + width - r, y + height - r), (x + r, y + height - r), (x + r, y + r)]
        points = [
            (cx + r * sine, cy - r * cosine)
            for (cx, cy), ways in zip(turns, _TURNS, strict=True)
            for sine, cosine in ways
        ]
        return [*points, points[0]]
    if kind == "ellipse":
        cx, cy, rx, ry = (float(element.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
        return [(cx + rx * cosine, cy + ry * sine) for sine, cosine in _AROUND]
    if kind in ("polygon", "polyline"):
        return [_pair(point) for point in element.attrib["points"].split()]
    points = []
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", element.attrib["d"]):
        values = [float(value) for value in re.findall(r"-?[\d.]+", numbers)]
        corners = list(zip(values[::2], values[1::2], strict=True))
        assert command in "MLC", f"a path with {command}"
        if command != "C":
            points += corners
            continue
        for one, two, end in zip(corners[::3], corners[1::3], corners[2::3], strict=True):
            start = points[-1]
            points += [
                (
                    a * start[0] + b * one[0] + c * two[0] + d * end[0],
                    a * start[1] + b * one[1] + c * two[1] + d * end[1],
                )
                for a, b, c, d in _CURVE
            ]
    return points


def _pair(point: str) -> Point:
    x, y = point.split(",")
    return float(x), float(y)


def _text(element: ET.Element, move: Point, wider: float) -> list[Text]:
    said, size = element.text or "", float(element.attrib["font-size"])
    if not said.strip():
        return []
    width = text_width(said, size, element.get("font-weight") == "bold") * wider
    width = float(element.get("textLength", width))
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
    x, y = float(element.attrib["x"]) + move[0] - width * share, float(element.attrib["y"]) + move[1]
    return [Text(said, Rectangle(x, y - 0.72 * size, x + width, y + 0.21 * size), size)]


def _corners(place: Rectangle) -> list[Point]:
    return [
        (place.left, place.top),
        (place.right, place.top),
        (place.right, place.bottom),
        (place.left, place.bottom),
    ]


def _distance(point: Point, line: list[Point]) -> float:
    return min(_from_segment(point, one, other) for one, other in pairwise(line))


def _from_segment(point: Point, one: Point, other: Point) -> float:
    length = math.dist(one, other)
    if not length:
        return math.dist(point, one)
    (px, py), (x, y), (to_x, to_y) = point, one, other
    t = min(max(((px - x) * (to_x - x) + (py - y) * (to_y - y)) / length**2, 0.0), 1.0)
    return math.dist(point, (x + t * (to_x - x), y + t * (to_y - y)))


# --- what must hold ---------------------------------------------------------------------------------------------


def scopes_of(seen: Picture) -> dict[str, set[str]]:
    """Return which boxes must be in which frame, by the names in the picture."""
    scopes = seen.open_scopes()
    number_of = {scope.path: number for number, scope in enumerate(scopes)}
    found: dict[str, set[str]] = {f"cluster_{number}": set() for number in range(len(scopes))}
    for box in seen.boxes:
        for scope in scopes_down_to(box.around):
            found[f"cluster_{number_of[scope.path]}"].add(f"n{box.place}")
    return found


def faults(drawn: Drawn, inside: Mapping[str, set[str]], near: float = NEAR) -> list[str]:
    """Return a sentence for all that is not as it must be."""
    return [
        *_texts_that_stick_out(drawn),
        *_boxes_that_overlap(drawn),
        *_frames_that_lie(drawn, inside),
        *_loose_ends(drawn, near),
        *_outside_the_picture(drawn),
    ]


def _texts_that_stick_out(drawn: Drawn) -> Iterator[str]:
    for name, thing in [*drawn.boxes.items(), *drawn.frames.items()]:
        places = thing.pieces if name.startswith("cluster") else [thing.place]
        for text in thing.texts if thing.outlines else ():
            if not any(place.around(text.place, 0.5) for place in places):
                yield f'"{text.said}" sticks out of {name}'
            elif thing.ellipse:
                place = thing.place
                rx, ry = (place.right - place.left) / 2, (place.bottom - place.top) / 2
                cx, cy = place.left + rx, place.top + ry
                if any(math.hypot((x - cx) / rx, (y - cy) / ry) > 1.02 for x, y in _corners(text.place)):
                    yield f'"{text.said}" sticks out of the ellipse {name}'
        for one, other in combinations(thing.texts, 2):
            if one.place.meets(other.place, 0.5):
                yield f'"{one.said}" and "{other.said}" overlap in {name}'


def _boxes_that_overlap(drawn: Drawn) -> Iterator[str]:
    places = sorted(((thing.place, name) for name, thing in drawn.boxes.items()), key=lambda one: one[0].left)
    for number, (place, name) in enumerate(places):
        for other, other_name in places[number + 1 :]:
            if other.left > place.right:
                break
            if place.meets(other, 0.5):
                yield f"{name} and {other_name} overlap"


def _frames_that_lie(drawn: Drawn, inside: Mapping[str, set[str]]) -> Iterator[str]:
    if set(inside) != set(drawn.frames):
        yield f"frames {sorted(drawn.frames)} instead of {sorted(inside)}"
        return
    # A reference stands where its reader does, and what tells what is cut off with the box that it is of.
    home = {edge.tail: edge.head for edge in drawn.edges if edge.tail.startswith("r")}
    home |= {edge.head: edge.tail for edge in drawn.edges if _is_stub(edge.head, drawn.boxes[edge.head])}
    places = {name: thing.place for name, thing in drawn.boxes.items()}
    for frame, members in inside.items():
        pieces = drawn.frames[frame].pieces
        for name, box in places.items():
            if home.get(name, name) in members:
                if not any(piece.around(box, 0.5) for piece in pieces):
                    yield f"{name} is not in {frame}"
            elif any(piece.meets(box, 0.5) for piece in pieces):
                yield f"{name} is in {frame}"
    for (one, members), (other, others) in combinations(inside.items(), 2):
        pieces, other_pieces = drawn.frames[one].pieces, drawn.frames[other].pieces
        if members.isdisjoint(others):
            if any(place.meets(other_place, 0.5) for place in pieces for other_place in other_pieces):
                yield f"{one} and {other} overlap"
        else:
            outer, inner = (pieces, other_pieces) if others <= members else (other_pieces, pieces)
            if not all(any(place.around(part) for place in outer) for part in inner):
                yield f"neither of {one} and {other} is around the other"


def _is_stub(name: str, thing: Thing) -> bool:
    return name.startswith("t") and any(text.said.startswith("…") and text.size < 9 for text in thing.texts)


def _loose_ends(drawn: Drawn, near: float) -> Iterator[str]:
    bare = NEAR_TEXT if near == NEAR else NEAR_TEXT_BY_GRAPHVIZ
    for edge in drawn.edges:
        for point, name in ((edge.line[0], edge.tail), (edge.tip, edge.head)):
            box = drawn.boxes[name]
            if (distance := box.distance(point)) > (near if box.outlines else bare):
                yield f"{edge.tail}->{edge.head} is {distance:.1f} away from {name}"


def _outside_the_picture(drawn: Drawn) -> Iterator[str]:
    for name, thing in [*drawn.boxes.items(), *drawn.frames.items()]:
        if not drawn.size.around(thing.place):
            yield f"{name} is outside the picture"
    for edge in drawn.edges:
        if not drawn.size.around(rectangle_around([*edge.line, edge.tip])):
            yield f"{edge.tail}->{edge.head} leaves the picture"
        for text in edge.texts:
            if not drawn.size.around(text.place):
                yield f'"{text.said}" is outside the picture'


def crossed(drawn: Drawn) -> list[str]:
    """Return a sentence for each line that runs over a box, and for each label on one; Graphviz draws such, too."""
    places = sorted(((thing.place, name) for name, thing in drawn.boxes.items()), key=lambda one: one[0].left)
    found = []
    for edge in drawn.edges:
        line = rectangle_around(edge.line)
        right = max([line.right, *(text.place.right for text in edge.texts)])
        for place, name in places:
            if place.left > right:
                break
            if name not in (edge.tail, edge.head) and place.meets(line, -1.0) and _runs_over(edge.line, place):
                found.append(f"{edge.tail}->{edge.head} runs over {name}")
            found += [f'"{text.said}" is on {name}' for text in edge.texts if place.meets(text.place, 0.5)]
    return found


def over_titles(drawn: Drawn) -> list[str]:
    """Return a sentence for each line, and each label, that runs over a line of the title of a frame."""
    lines = [(edge, [*edge.line, edge.tip]) for edge in drawn.edges]
    around = [(edge, line, rectangle_around(line)) for edge, line in lines]
    labels = [(edge, text.place) for edge in drawn.edges for text in edge.texts]
    found = []
    for name, frame in drawn.frames.items():
        for title in frame.texts:
            place = title.place
            near = [(edge, line) for edge, line, all_of_it in around if place.meets(all_of_it, -1.0)]
            over = [edge for edge, line in near if any(_touches(place, *ends) for ends in pairwise(line))]
            found += [f'{edge.tail}->{edge.head} runs over "{title.said}" of {name}' for edge in over]
            on = [edge for edge, label in labels if place.meets(label, 0.5)]
            found += [f'a label of {edge.tail}->{edge.head} is on "{title.said}" of {name}' for edge in on]
    return found


def _touches(place: Rectangle, one: Point, other: Point) -> bool:
    """Return whether a straight piece of a line has a point in a rectangle."""
    begin, end = 0.0, 1.0
    for at, to, low, high in (
        (one[0], other[0], place.left, place.right),
        (one[1], other[1], place.top, place.bottom),
    ):
        if max(at, to) <= low or min(at, to) >= high:
            return False
        if at != to:
            enters, leaves = sorted(((low - at) / (to - at), (high - at) / (to - at)))
            begin, end = max(begin, enters), min(end, leaves)
    return begin < end


def _runs_over(line: list[Point], place: Rectangle) -> bool:
    inner = Rectangle(place.left + 0.5, place.top + 0.5, place.right - 0.5, place.bottom - 0.5)
    top, bottom = inner.top, inner.bottom
    for one, other in pairwise(line):
        if (one[1] <= top and other[1] <= top) or (one[1] >= bottom and other[1] >= bottom):
            continue
        if not _touches(inner, one, other):
            continue
        steps = max(int(math.dist(one, other) / 3), 1)
        for step in range(steps + 1):
            t = step / steps
            if inner.holds((one[0] + t * (other[0] - one[0]), one[1] + t * (other[1] - one[1]))):
                return True
    return False
