"""No edge runs over a title, each has its head, titles count values, and pictures are not too high."""

import math
import xml.etree.ElementTree as ET

import pytest
from forty import FORTY
from svg_geometry import SVG, over_titles, read

import graphnn as gn
from graphnn import nn
from graphnn.view import draw
from graphnn.view.layout.frame_titles import free, missing
from graphnn.view.layout.layered import arrange
from graphnn.view.layout.layout_types import Arrangement, Frame, Item, Link


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("19 residual blocks", "leaf"),  # folded: frames go on in the next column
        ("MLP of 40 layers, no two alike", "op"),
        ("batch norm", "op"),
        ("LSTM of 5 steps", "op"),
        ("physics-informed", "op"),  # frames in frames in frames
        ("attention", "leaf"),
        ("60 random nodes", "layer"),
        ("tutorial, gradients", "op"),  # Graphviz would run over titles
        ("meta-learning", "op"),
    ],
)
@pytest.mark.parametrize("engine", ["plain", None])
def test_no_edge_runs_over_a_title(name: str, detail: str, engine: str | None) -> None:
    drawn = read(draw(FORTY[name](), detail, engine=engine).svg())
    assert over_titles(drawn) == []


def test_a_line_over_a_title_is_found() -> None:
    parts = (
        '<g data-name="cluster_0"><rect x="0" y="0" width="90" height="60"/>'
        '<text x="8" y="12" font-size="9.5">dense_1</text></g>'
        '<g data-name="n0->n1"><path d="M{x},-9L{x},40"/><polygon points="{x},44 8,40 12,40"/></g>'
    )
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 60">{}</svg>'
    assert over_titles(read(svg.format(parts.format(x=20)))) == ['n0->n1 runs over "dense_1" of cluster_0']
    assert over_titles(read(svg.format(parts.format(x=80)))) == []


def entered(width: float, title: float, links: int = 1) -> Arrangement:
    """Return a box of that width in a frame with such a title; so many boxes above it are read."""
    items = [*[Item(20.0, 20.0)] * links, Item(width, 20.0, 0)]
    return arrange(items, [Frame(-1, title, 12.0)], [Link(number, links) for number in range(links)])


def test_a_title_stays_at_the_left_end_where_there_is_room() -> None:
    placed = entered(300.0, 60.0)
    ((left, top, width, _),), (title,) = placed.frames[0], placed.titles[0]
    assert title == (left + 8.0, top + 4.0)
    assert width == 300.0 + 2 * 11.0


@pytest.mark.parametrize("links", [1, 2, 5])
def test_a_frame_gets_wider_where_there_is_none(links: int) -> None:
    placed = entered(60.0, 100.0, links)
    ((left, _, width, _),), (title,) = placed.frames[0], placed.titles[0]
    assert title is not None
    assert left <= title[0] <= title[0] + 100.0 <= left + width
    for route in placed.routes:
        assert not title[0] - 2.0 < route[-1][0] < title[0] + 102.0


def test_a_title_moves_right_of_a_link_that_enters_at_the_left_end() -> None:
    items = [Item(20.0, 20.0), Item(20.0, 20.0), Item(20.0, 20.0, 0), Item(300.0, 20.0, 0)]
    placed = arrange(items, [Frame(-1, 60.0, 12.0)], [Link(0, 2), Link(1, 3)])
    ((left, _, width, _),), (title,) = placed.frames[0], placed.titles[0]
    first = placed.routes[0][-1][0]
    assert width == 22.0 + 20.0 + 18.0 + 300.0
    assert title is not None
    assert left + 8.0 < first + 2.0 < title[0] < first + 10.0


def test_the_first_free_place_counts() -> None:
    assert free([], 0.0, 50.0, 50.0) == 0.0
    assert free([(10.0, 12.0), (40.0, 40.0)], 0.0, 90.0, 20.0) == 16.0
    assert free([(10.0, 12.0), (40.0, 40.0)], 0.0, 90.0, 30.0) == 44.0
    assert free([(10.0, 12.0), (40.0, 40.0)], 0.0, 70.0, 30.0) is None


def test_a_frame_gets_wider_at_the_right_end_only_where_that_is_much_less() -> None:
    assert missing([(-40.0, -40.0)], 50.0, 60.0) == (0.0, 0.0)
    assert missing([(-30.0, -30.0), (30.0, 30.0)], 50.0, 60.0) == (52.0, 0.0)
    assert missing([(-40.0, -40.0)], 50.0, 90.0) == (0.0, 12.0)


@pytest.mark.parametrize(
    ("name", "detail"),
    [("tutorial, SGD", "layer"), ("attention", "leaf"), ("LSTM of 5 steps", "op"), ("siamese", "op")],
)
def test_each_edge_has_a_head_that_points_away_from_its_line(name: str, detail: str) -> None:
    svg = draw(FORTY[name](), detail, engine="plain").svg()
    edges = [each for each in ET.fromstring(svg).iter(f"{SVG}g") if "->" in each.get("data-name", "")]
    assert edges
    for edge in edges:
        line, head = edge.findall(f"{SVG}path"), edge.findall(f"{SVG}polygon")
        assert (len(line), len(head)) == (1, 1)
        base = [tuple(map(float, corner.split(","))) for corner in head[0].attrib["points"].split()[1:3]]
        assert head[0].get("fill") == line[0].get("stroke") != "none"
        assert math.dist(*base) > 2.0
    for drawn in read(svg).edges:
        assert math.dist(drawn.tip, drawn.line[-1]) > 3.0


class Mixed(nn.Layer):
    def __init__(self) -> None:
        self.dense = nn.Dense(3)

    def call(self, x: gn.Node, y: gn.Node, z: gn.Node) -> tuple[gn.Node, gn.Node]:
        return self.dense(x + y), y * z


def test_a_frame_says_how_many_values_go_in_and_come_out() -> None:
    g = gn.Graph()
    one, other = Mixed()(*(g.placeholder(name, shape=("batch", 3)) for name in "xyz"))
    frame = read(draw([gn.tanh(one), gn.exp(other)], engine="plain").svg()).frames["cluster_0"]
    assert [text.said for text in frame.texts] == ["mixed_1", "3 inputs → 2 outputs, 12 parameters"]


def test_a_frame_without_parameters_says_so_too() -> None:
    g = gn.Graph()
    x, y = (g.placeholder(name, shape=("batch", 3)) for name in "xy")
    with g.scope("join"):
        joined = gn.tanh(x * y)
    with g.scope("plain"):
        result = gn.exp(gn.sin(joined))
    frames = read(draw(result, "op", engine="plain").svg()).frames
    said = [[text.said for text in frame.texts] for frame in frames.values()]
    assert said == [["join", "2 inputs → 1 output"], ["plain"]]


def test_what_columns_make_too_high_is_set_in_lines() -> None:
    drawn = read(draw(FORTY["transformer of 2"](), "op", engine="plain").svg())
    assert drawn.size.right <= 1600
    assert drawn.size.bottom <= 3300  # 4,190 in columns
