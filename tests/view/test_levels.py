"""Levels of detail, and the names on boxes."""

import re

import numpy as np
import pytest
from svg_geometry import crossed, read

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.view import draw
from graphnn.view.diagrams.box_text import words
from graphnn.view.diagrams.boxes import picture
from graphnn.view.diagrams.draw import Diagram
from graphnn.view.diagrams.shapes import Drawing
from graphnn.view.diagrams.svg import plain_svg


class Pair(nn.Layer):
    """Two layers, an operation between, and a composition."""

    def __init__(self) -> None:
        self.query, self.key = nn.Dense(4), nn.Dense(4)

    def call(self, x: Node) -> Node:
        scores = gn.name(self.query(x) @ gn.swapaxes(self.key(x), -1, -2), "scores") * 2.0
        return gn.softmax(scores) @ x


class Twice(nn.Layer):
    def __init__(self) -> None:
        self.pair = Pair()

    def call(self, x: Node) -> Node:
        return self.pair(x) + x


def twice() -> Node:
    return Twice()(Graph().placeholder("x", shape=("batch", 3, 4)))  # type: ignore[no-any-return]


def test_at_leaf_level_innermost_layers_are_boxes_in_frames_of_those_around() -> None:
    y = twice()
    seen = picture(y, "leaf")
    assert [scope.path for scope in seen.open_scopes()] == ["twice_1", "twice_1/pair"]
    collapsed = [box.scope.path.removeprefix("twice_1/pair/") for box in seen.boxes if box.scope is not None]
    assert collapsed == ["query", "key", "softmax_1"]
    assert {node.op.name for box in seen.boxes for node in box.nodes if box.scope is None} == {
        "placeholder", "transpose", "matmul", "multiply", "constant", "add",
    }  # fmt: skip
    assert [box.nodes for box in picture(y, {"": "layer", "twice_1": "leaf"}).boxes] == [
        box.nodes for box in seen.boxes
    ]
    assert [box.nodes for box in picture(y, {"": "leaf", "twice_1/pair": "op"}).boxes] == [
        box.nodes for box in picture(y, "op").boxes
    ]
    assert len(picture(y, {"": "leaf", "twice_1/pair": "layer"}).boxes) == 3
    # A layer whose only inner scope is a composition is innermost.
    inside = Graph().placeholder("x", shape=("batch", 4))
    assert len(picture(Composed()(inside), "leaf").boxes) == 2


class Composed(nn.Layer):
    def call(self, x: Node) -> Node:
        return gn.softmax(x) * x


def test_boxes_bear_the_names_that_the_user_gave() -> None:
    seen = {title: below for _, title, below in map(words, picture(twice(), "leaf").boxes)}
    assert seen["query"] == seen["key"] == "Dense · 20 parameters"
    assert seen["softmax"] == "softmax_1"
    assert seen["scores"] == "matmul"
    drawn = draw(twice(), "leaf")
    for text in (drawn.source, drawn.mermaid(), draw(twice(), "leaf", engine="plain").svg()):
        assert all(f">{name}<" in text for name in ("query", "key", "scores"))
    assert "query = Dense(x)" in drawn.text()
    assert "scores = matmul(query, transpose)" in drawn.text()


# --- one line between two boxes, and badges -----------------------------------------------------------------------


class Parts(nn.Layer):
    def call(self, x: Node) -> list[Node]:
        return [gn.exp(x), gn.sin(x), gn.cos(x)]


class Joined(nn.Layer):
    def call(self, a: Node, b: Node, c: Node) -> Node:
        return a * b + c


def forms(diagram: Diagram) -> dict[str, str]:
    """Return a picture in all its forms that have arrows."""
    return {"dot": diagram.source, "mermaid": diagram.mermaid(), "plain": draw_plainly(diagram)}


def draw_plainly(diagram: Diagram) -> str:
    return plain_svg(diagram._picture, diagram._manner)


def test_values_between_two_boxes_are_one_line_that_says_how_many() -> None:
    x = Graph().placeholder("x", shape=("batch", 4))
    diagram = draw(Joined()(*Parts()(x)), "layer")
    assert [len(edges) for edges in lines_of(diagram)] == [1, 3]
    for text in forms(diagram).values():
        assert text.count("3 values") == 1
    plain = draw_plainly(diagram)
    listed = re.findall(r'data-name="n1-&gt;n2"><title>(.*?)</title>', plain, re.DOTALL)
    assert [re.findall(r"parts_1/\w+", tip) for tip in listed] == [["parts_1/exp", "parts_1/sin", "parts_1/cos"]]
    assert "joined_1(parts_1 (3 values))" in diagram.text()
    # An operation that reads a value twice has both edges.
    assert [len(edges) for edges in lines_of(draw(x * x))] == [1, 1]
    # Positions of operands are kept where they matter.
    one, two, _ = Parts()(x)
    minus = draw(one - two, "layer")
    assert [arrow.position for arrow in Drawing(minus._picture).arrows] == ["", "0, 1"]


def lines_of(diagram: Diagram) -> list[list[str]]:
    return [arrow.tip for arrow in Drawing(diagram._picture).arrows]


def test_values_that_the_backward_pass_reads_are_one_dotted_line() -> None:
    x = Graph().placeholder("x", shape=("batch", 4))
    y = Joined()(*Parts()(x))
    drawing = Drawing(draw([y, gn.grad(gn.sum(y), x)], "layer")._picture)
    lent = [arrow for arrow in drawing.arrows if arrow.look.get("style") == "dotted"]
    assert [(len(arrow.tip), arrow.position) for arrow in lent if len(arrow.tip) > 1] == [(2, "×2")]


def test_a_shared_parameter_says_how_many_read_it() -> None:
    g = Graph()
    w = g.parameter("w", np.ones((4, 4)))
    x = y = g.placeholder("x", shape=("batch", 4))
    for _ in range(3):
        y = y @ w
    for text in forms(draw(y)).values():
        assert "4 × 4 · read by 3" in text
        assert text.count("matmul_2 · ↑ w") == text.count("matmul_3 · ↑ w") == 1
    edges = [arrow.tail + arrow.head for arrow in Drawing(picture(y)).arrows]
    assert edges == ["n1n2", "n0n2", "n2n3", "n3n4"]
    assert "reads w (4, 4) float64" in draw_plainly(draw(y))
    # Two readers have their lines.
    assert len(Drawing(picture(x @ w @ w)).arrows) == 4


def test_a_layer_that_is_called_again_reads_the_first_call() -> None:
    layer = nn.Dense(4)
    y = layer(layer(Graph().placeholder("x", shape=("batch", 4))))
    diagram = draw(y, "layer")
    assert len(lines_of(diagram)) == 2
    for text in forms(diagram).values():
        assert "dense_1 · 20 parameters · read by 2" in text
        assert "dense_1_2 · ↑ dense_1" in text
    assert "20 parameters, read by 2" in diagram.text(None)


# --- calls of one layer -------------------------------------------------------------------------------------------


class Cell(nn.Layer):
    def __init__(self) -> None:
        self.input, self.recurrent = nn.Dense(4), nn.Dense(4)

    def call(self, x: Node, h: Node) -> Node:
        return gn.tanh(self.input(x) + self.recurrent(h) * 0.5)


def unrolled(steps: int = 5, between: bool = False) -> list[Node]:
    x = Graph().placeholder("x", shape=("batch", steps, 3))
    h, cell = x.graph.placeholder("h", shape=("batch", 4)), Cell()
    made = []
    for step in range(steps):
        h = cell(x[:, step], gn.relu(h) if between else h)
        made.append(h)
    return made


def said(diagram: Diagram) -> list[str]:
    return [words(box).title for box in diagram._picture.boxes]


def test_calls_that_follow_each_other_are_one_box() -> None:
    y = unrolled()[-1]
    diagram = draw(y, "layer")
    assert said(diagram) == ["x", "h", "getitem ×5", "Cell ×5"]
    assert [arrow.tail + arrow.head for arrow in Drawing(diagram._picture).arrows] == ["n0n2", "n2n3", "n1n3"]
    for text in forms(diagram).values():
        assert "Cell ×5" in text
        assert "cell_1 · 36 parameters" in text
    assert "cell_1(getitem, h) ×5  36 parameters" in diagram.text(None)
    # Every node is in one box, as without.
    nodes = [node for box in diagram._picture.boxes for node in box.nodes]
    assert len(nodes) == len(set(nodes)) == len(gn.schedule(y))


def test_at_leaf_level_they_are_one_frame_with_the_way_back() -> None:
    diagram = draw(unrolled()[-1], "leaf")
    assert sorted(said(diagram)) == [
        "0.5", "add", "getitem ×5", "h", "input", "multiply", "recurrent", "tanh", "x",
    ]  # fmt: skip
    assert [frame.title for frame in Drawing(diagram._picture).frames] == ["cell_1 ×5"]
    place = {words(box).title: box.place for box in diagram._picture.boxes}
    pairs = {(edge.tail.place, edge.head.place) for edge in diagram._picture.edges}
    assert (place["tanh"], place["recurrent"]) in pairs
    assert "cell_1 ×5" in diagram.text(None)
    for text in forms(diagram).values():
        assert text.count("cell_1 ×5") == 1
    faultless = read(draw_plainly(diagram))
    assert crossed(faultless) == []


def test_operations_between_the_calls_are_one_and_the_backward_pass_too() -> None:
    *_, y = unrolled(between=True)
    assert said(draw(y, "layer")) == ["x", "h", "getitem ×5", "relu", "Cell ×5", "relu ×4"]
    loss = gn.sum(y)
    titles = said(draw([loss, *gn.grad(loss, list(y.graph.parameters))], "layer"))
    assert len(titles) < 20
    assert titles.count("Cell ×5") == 2


def test_what_is_named_stays_apart() -> None:
    *_, last = made = unrolled()
    assert said(draw({"all": made[0], "last": last}, "layer")).count("Cell ×5") == 1
    opened = draw(last, {"": "layer", "cell_1_3": "op"})
    assert opened._picture.open_scopes()[0].path == "cell_1_3"
    assert "Cell ×4" in said(opened)
    # Operations are all drawn, and so are two calls, and calls beside each other.
    assert len(draw(last, "op")._picture.boxes) == len(gn.schedule(last))
    assert said(draw(made[1], "layer")).count("Cell") == 2
    g, layer = Graph(), nn.Dense(2)
    beside = [layer(g.placeholder(f"x{i}", shape=("batch", 2))) for i in range(3)]
    assert said(draw(beside[0] + beside[1] * beside[2], "layer")).count("Dense") == 3


def test_a_layer_on_each_step_is_one_box_too() -> None:
    made, head = unrolled(), nn.Dense(2)
    diagram = draw(gn.stack([head(h) for h in made]), "layer")
    assert "Dense ×5" in said(diagram)
    assert all("5 values" in text for text in forms(diagram).values())


def test_calls_that_do_other_things_are_no_calls_of_the_same() -> None:
    class Sometimes(nn.Layer):
        def __init__(self) -> None:
            self.inner, self.count = nn.Dense(3), 0

        def call(self, x: Node) -> Node:
            self.count += 1
            return gn.relu(self.inner(x)) if self.count == 2 else self.inner(x)

    layer, h = Sometimes(), Graph().placeholder("x", shape=("batch", 3))
    for _ in range(4):
        h = layer(h)
    assert said(draw(h, "layer")) == ["x", "Sometimes ×3", "Sometimes"]


@pytest.mark.parametrize("overlay", ["values", "statistics", "time", "flops", "health"])
def test_overlays_on_calls_that_are_one(overlay: str) -> None:
    y = unrolled()[-1]
    trace = gn.trace(y, {"x": np.ones((2, 5, 3)), "h": np.zeros((2, 4))})
    source = gn.check_health(y, {"x": np.ones((2, 5, 3)), "h": np.zeros((2, 4))}) if overlay == "health" else trace
    for detail in ("layer", "leaf"):
        assert "×5" in draw(y, detail, overlay=overlay, trace=source).source


def test_a_feed_or_a_detail_may_stand_without_its_name() -> None:
    x = gn.Graph().placeholder("x", ("batch", 3))
    y = gn.softmax(x)
    feed = {x: [[1.0, 2.0, 3.0]]}
    wanted = gn.draw(y, detail="layer", feed=feed, overlay="values").source
    for given in (
        gn.draw(y, feed, detail="layer", overlay="values"),
        gn.draw(y, "layer", feed=feed, overlay="values"),
        gn.draw(y, {"x": [[1.0, 2.0, 3.0]]}, detail="layer"),
    ):
        assert given.source == wanted
    for wrong in ((feed, "layer"), ("layer", feed)):
        with pytest.raises(gn.UsageError, match="one detail and one feed after the fetches"):
            gn.draw(y, *wrong)
    with pytest.raises(gn.UsageError, match="one detail and one feed after the fetches"):
        gn.draw(y, feed, detail="layer", feed=feed)
