"""All formats show one picture: the same boxes in the same places, read from each file by itself."""

import io
import json
import re
import sys
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from svg_geometry import SVG, Rectangle, over_titles, read, rectangle_around
from test_diagram import needs_engine

import graphnn as gn
from graphnn import nn
from graphnn.core import Constant
from graphnn.view import Diagram, draw
from graphnn.view.diagrams.bitmap import dot_of_paint
from graphnn.view.diagrams.pdf import pdf_of
from graphnn.view.diagrams.svg_painting import painted

# How far a border may be from where it is in the SVG, in points: a pixel is half a point, and borders have a width.
NEAR = 2.2
Colour = tuple[int, ...]


def coloured(engine: str | None, detail: Any = "op", **how: Any) -> Diagram:
    """Return a picture in which each box has a colour of its own; with frames, and every shape but an octagon."""
    g = gn.Graph("coloured")
    x, labels = g.placeholder("x", shape=("batch", 3)), g.placeholder("labels", shape=("batch",), dtype=np.int64)
    with g.scope("layer1"):
        h = gn.relu(gn.matmul(x, g.parameter("W1", np.ones((3, 4)))) + g.parameter("b1", np.zeros(4)))
    with g.scope("layer2"):
        scores = nn.Dense(3)(h)
    loss = nn.softmax_crossentropy(scores, labels)
    nodes = [node for node in g if not isinstance(node.op, Constant)]
    return draw(loss, detail, engine=engine, overlay={node: float(i) for i, node in enumerate(nodes)}, **how)


def in_svg(svg: str) -> dict[Colour, Rectangle]:
    """Return where the boxes are that have a fill of their own."""
    drawn, fills = read(svg), dict[str, list[str]]()
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title = group.find(f"{SVG}title")
        name = group.get("data-name") or (title.text if title is not None and title.text else "")
        shapes = [each for each in group.iter() if each.get("fill", "").startswith("#") and "text" not in each.tag]
        if name and shapes and group.get("class") != "graph":
            fills.setdefault(shapes[0].attrib["fill"].lower(), []).append(name)
    mine = {rgb(fill): names[0] for fill, names in fills.items() if len(names) == 1 and names[0] in drawn.boxes}
    # Greys are in the borders of frames and of letters, too.
    return {fill: drawn.boxes[name].place for fill, name in mine.items() if max(fill) - min(fill) > 20}


def rgb(colour: str) -> Colour:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def in_bitmap(data: bytes, above: int) -> Callable[[Colour], Rectangle]:
    """Return what finds the pixels of a colour, in points, below so many pixels."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def place(colour: Colour) -> Rectangle:
        found = (pixels == colour).all(axis=2)
        found[:above] = False  # the scale
        rows, columns = np.nonzero(found)
        assert len(rows) > 40, f"nothing is {colour}"
        left, top, right, bottom = (float(each) for each in (columns.min(), rows.min(), columns.max(), rows.max()))
        return Rectangle(left / 2, top / 2, (right + 1) / 2, (bottom + 1) / 2)

    return place


def content(data: bytes) -> tuple[list[str], float]:
    """Return what a PDF paints, line by line, and how high its page is."""
    height = float(re.search(rb"/MediaBox \[0 0 [\d.]+ ([\d.]+)\]", data)[1])  # type: ignore[index]
    stream = re.search(rb"/FlateDecode >>\nstream\n(.*?)\nendstream", data, re.DOTALL)
    assert stream is not None
    return zlib.decompress(stream[1]).decode("ascii").split("\n"), height


def in_pdf(data: bytes) -> Callable[[Colour], Rectangle]:
    lines, height = content(data)

    def place(colour: Colour) -> Rectangle:
        filled = [line for line in lines if re.match(r"[\d. ]+ rg ", line) and line.endswith((" B", " f"))]
        line = next(
            each for each in reversed(filled) if tuple(round(float(part) * 255) for part in each.split()[:3]) == colour
        )
        at = [float(part) for part in re.findall(r"-?[\d.]+", line.split(" d ")[1])]
        knots = list(zip(at[::2], at[1::2], strict=True))
        middles = [np.dot([1, 3, 3, 1], knots[i : i + 4]) / 8 for i in range(0, len(knots) - 3, 3)]
        return rectangle_around((x, height - y) for x, y in [*knots[::3], *middles])

    return place


def near(one: Rectangle, other: Rectangle, slack: float = NEAR) -> bool:
    return one.around(other, slack) and other.around(one, slack)


ENGINES = ["plain", pytest.param("dot", marks=needs_engine)]


@needs_engine
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", [{}, {"title": "A title"}, {"theme": "dark"}, {"detail": "layer"}], ids=str)
def test_boxes_are_in_the_same_places_in_svg_png_and_pdf(engine: str, how: dict[str, Any]) -> None:
    diagram = coloured(engine, **how)
    places = in_svg(diagram.svg())
    assert len(places) >= (3 if "detail" in how else 12)
    above = int(2 * min(place.top for place in places.values())) - 2
    bitmap, paper = in_bitmap(diagram.render("png"), above), in_pdf(diagram.render("pdf"))
    for colour, place in places.items():
        assert near(place, bitmap(colour)), f"{colour}: {place} in the SVG, {bitmap(colour)} in the PNG"
        assert near(place, paper(colour), 0.02), f"{colour}: {place} in the SVG, {paper(colour)} in the PDF"


@needs_engine
def test_a_jpg_has_the_size_of_the_png() -> None:
    diagram = coloured(None)
    png, jpg = (Image.open(io.BytesIO(diagram.render(form))) for form in ("png", "jpg"))
    assert png.size == jpg.size
    size = read(diagram.svg()).size
    assert abs(png.size[0] - 2 * size.right) <= 2
    assert abs(png.size[1] - 2 * size.bottom) <= 2


@pytest.mark.parametrize("engine", ENGINES)
def test_json_says_where_the_boxes_frames_and_edges_are(engine: str) -> None:
    diagram = coloured(engine, title="A title")
    drawn, told = read(diagram.svg()), json.loads(diagram.render("json"))
    high = float(told["bb"].split(",")[3])
    assert high == pytest.approx(drawn.size.bottom - drawn.size.top, abs=0.01)
    assert [each["_gvid"] for each in told["objects"]] == list(range(len(told["objects"])))
    named = {each["name"]: each for each in told["objects"]}
    assert set(named) == {*drawn.boxes, *drawn.frames}
    for name, thing in drawn.boxes.items():
        if thing.outlines:
            x, y = map(float, named[name]["pos"].split(","))
            half, tall = (float(named[name][side]) * 36 for side in ("width", "height"))
            assert near(thing.place, Rectangle(x - half, high - y - tall, x + half, high - y + tall), 1.0)
            assert named[name]["label"].split("\n") == [text.said for text in thing.texts]
    for name, frame in drawn.frames.items():
        left, bottom, right, top = map(float, named[name]["bb"].split(","))
        assert near(frame.pieces[0], Rectangle(left, high - top, right, high - bottom), 0.02)
    ends = sorted(
        (told["objects"][edge["tail"]]["name"], told["objects"][edge["head"]]["name"]) for edge in told["edges"]
    )
    assert ends == sorted((edge.tail, edge.head) for edge in drawn.edges)
    for edge in told["edges"]:
        assert edge["pos"].startswith("e,")
        assert len(edge["pos"].split()) % 3 == 2  # the end, the first knot, and three for each curve


@pytest.mark.parametrize("engine", ENGINES)
def test_texts_are_in_the_same_places_in_svg_and_pdf(engine: str) -> None:
    diagram = coloured(engine, title="A title")
    lines, height = content(diagram.render("pdf"))
    found = [re.search(r"1 0 0 1 ([\d.-]+) ([\d.-]+) Tm", line) for line in lines if line.startswith("BT")]
    places = {(float(each[1]), height - float(each[2])) for each in found if each is not None}
    drawn = read(diagram.svg())
    texts = [text for thing in [*drawn.boxes.values(), *drawn.frames.values()] for text in thing.texts]
    assert len(texts) > 30
    for text in texts:
        x, y = text.place.left, text.place.bottom - 0.21 * text.size
        assert any(abs(x - at) < 0.05 and abs(y - down) < 0.05 for at, down in places), text


@pytest.mark.parametrize("engine", [None, "plain"])
def test_no_line_runs_over_the_title_of_a_frame(engine: str | None) -> None:
    # Graphviz runs over the title of the loss, and was asked for whatever is no SVG.
    assert over_titles(read(coloured(engine).svg())) == []


# --- names ------------------------------------------------------------------------------------------------------

HOSTILE = [
    'a"b', "a\\", '\\"]; evil [label="', "</svg><script>alert(1)</script>", "(a) Tj ET Q q (b", "endstream endobj",
    "T 0 0 0 9 3 -abc", "&amp;", "\\N", "[/x]", "%%EOF", "κ ∂ →", "权重", "Ж ş 𝛼",
]  # fmt: skip


def hostile(**how: Any) -> Diagram:
    g = gn.Graph(HOSTILE[0])
    x: Any = [g.placeholder(name, shape=(2,)) for name in HOSTILE]
    with g.scope("scope"):
        total = gn.add(x[0], x[1])
    return draw([*x, total], title=HOSTILE[3], **how)


@needs_engine
def test_names_are_texts_in_bitmaps() -> None:
    diagram = hostile(engine="plain")
    source = dot_of_paint(painted(diagram.svg()))
    # As DOT has it, a backslash takes what follows it into the quotes. Outside of them there are two nodes.
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', source)
    assert "evil" in source
    assert re.fullmatch(
        r"digraph graphnn \{\s+graph \[pad=\"\", margin=\"\", _background=\"\"(\s+\+ \"\")*\]\s+node \[[^]]*\]\s+"
        r"low \[pos=\"\"\]\s+high \[pos=\"\"\]\s+\}\s+",
        bare,
    )
    shown = Image.open(io.BytesIO(diagram.render("png")))
    size = read(diagram.svg()).size
    assert abs(shown.size[0] - 2 * size.right) <= 2


def test_names_are_texts_in_pdf() -> None:
    data = hostile(engine="plain").render("pdf")
    lines, _ = content(data)
    assert data.count(b"endobj") == len(re.findall(rb"\n\d+ 0 obj\n", data))
    for line in lines:  # operators and their numbers, and what is said in hexadecimal digits
        assert re.fullmatch(
            r"[-\d.]*( ?([-\d.]+|rg|RG|w|d|m|c|B|f|S|n|BT|ET|Tm|Tf|Tj|cm|/\w+|<[\da-f]*>|\[[\d. ]*\]))*", line
        )
    for each in re.findall(rb"\n(\d+) 0 obj\n", data):
        place = data.index(b"\n" + each + b" 0 obj\n") + 1
        assert b"%010d 00000 n \n" % place in data  # the table says where it is


def test_letters_that_no_font_here_has_can_be_searched_for() -> None:
    data = hostile(engine="plain").render("pdf")
    for letter in "权重Жş𝛼":
        assert f"<{letter.encode('utf-16-be').hex()}>".encode() in data
    assert {"6b", "b6", "ae"} <= set(symbols(data))  # κ, ∂ and → in the font Symbol


def symbols(data: bytes) -> list[str]:
    return re.findall(r"/S [\d.]+ Tf <([\da-f]+)>", "\n".join(content(data)[0]))


def test_a_side_longer_than_programs_read_is_said_in_larger_units() -> None:
    svg = '<svg viewBox="0 0 100 30000"><rect x="0" y="0" width="100" height="30000" fill="#ffffff"/></svg>'
    data = pdf_of([painted(svg)])
    assert b"/MediaBox [0 0 33.33 10000] /UserUnit 3" in data
    assert content(data)[0][0] == "0.333333 0 0 0.333333 0 0 cm"


@pytest.mark.skipif(sys.platform == "win32", reason="the hash seed")
def test_a_pdf_is_the_same_each_time() -> None:
    assert hostile(engine="plain").render("pdf") == hostile(engine="plain").render("pdf")


# --- cylinders and scales ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("overlay", [None, "values", ["values", "statistics"]], ids=str)
@pytest.mark.parametrize("mark", ["current", "fed"])
def test_the_lid_of_a_cylinder_is_above_its_name(engine: str, overlay: Any, mark: str) -> None:
    g = gn.Graph("cylinders")
    x = g.placeholder("x", shape=("batch", 3))
    w, b = g.parameter("w", 1.0), g.parameter("frozen", np.zeros((2, 2)), trainable=False)
    y = gn.sum(x * w) + b
    trace = gn.trace(y, {x: np.ones((2, 3))})
    drawn = painted(
        draw(y, trace=trace if overlay else None, overlay=overlay, highlight={w: mark}, engine=engine).svg()
    )
    names = {"w", "frozen"}
    for group in drawn.groups:
        if names & {text.said for text in group.texts}:
            names -= {text.said for text in group.texts}
            left = min(at for at, _ in group.outlines[0].knots)
            outlines = [each.knots for each in group.outlines if min(at for at, _ in each.knots) == left]
            name = group.texts[0]
            assert max(map(_lowest_of_lid, outlines)) < name.y - 0.72 * name.size
    assert not names


def _lowest_of_lid(knots: list[tuple[float, float]]) -> float:
    """Return how far down the front of a lid goes, in the middle of the cylinder, above the middle of all."""
    xs, ys = zip(*knots, strict=True)
    middle, half = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    curve = [(a, b, c, d) for a, b, c, d in zip(knots[::3], knots[1::3], knots[2::3], knots[3::3], strict=False)]
    mids = [((a[0] + 3 * b[0] + 3 * c[0] + d[0]) / 8, (a[1] + 3 * b[1] + 3 * c[1] + d[1]) / 8) for a, b, c, d in curve]
    downs = [down for at, down in mids if abs(at - middle) < 2 and down < half]
    return max(downs, default=min(ys))


@needs_engine
@pytest.mark.parametrize("engine", ["plain", "dot"])
def test_a_scale_has_no_gaps_and_no_steps(engine: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    diagram = draw(gn.exp(x), overlay={x: -1.0, "exp": 1.0}, engine=engine)
    pixels = np.asarray(Image.open(io.BytesIO(diagram.render("png"))).convert("RGB")).astype(int)
    marks = [mark for group in painted(diagram.svg()).groups if not group.name for mark in group.outlines]
    shades = [mark for mark in marks if np.ptp([down for _, down in mark.knots]) == pytest.approx(8)]
    (left, top), right = shades[0].knots[0], max(at for at, _ in shades[0].knots)
    row = pixels[int(2 * top) + 6, int(2 * left) + 2 : int(2 * right) - 2]
    assert len(row) > 250
    assert np.abs(np.diff(row, axis=0)).max() <= 16  # of 255: a gap would be white, and twelve steps 40 each
