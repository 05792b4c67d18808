"""Levels of detail, and the names on boxes."""

import graphnn as gn
from graphnn import nn
from graphnn.graph import Graph, Node
from graphnn.view import draw
from graphnn.view.diagram.picture import picture
from graphnn.view.diagram.words import words


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
