"""The summary of a network: its rows, those inside others, what each reads, and how it is printed."""

import contextlib
import json

import numpy as np
import pytest

import graphnn as gn
from graphnn import Graph, Node, nn
from graphnn.errors import UsageError
from graphnn.view import summary


def network() -> tuple[Graph, Node]:
    g = Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    layers = nn.Sequential(nn.Dense(64), nn.ReLU(), nn.Dense(3), nn.Softmax())
    return g, nn.categorical_crossentropy(layers(x), labels)


def test_summary_prints_a_line_a_layer() -> None:
    assert (
        str(summary(network()[1]))
        == """\
layer                       output shape  parameters  connected to
--------------------------  ------------  ----------  -----------------
x (placeholder)             (batch, 2)             0
labels (placeholder)        (batch,)               0
dense_1 (Dense)             (batch, 64)          192  x
relu_1                      (batch, 64)            0  dense_1
dense_2 (Dense)             (batch, 3)           195  relu_1
softmax_1 (Softmax)         (batch, 3)             0  dense_2
categorical_crossentropy_1  ()                     0  softmax_1, labels

parameters     387  3.02 KiB
trainable      387  3.02 KiB
not trainable    0       0 B"""
    )


def test_summary_is_plain_data_too() -> None:
    data = json.loads(json.dumps(summary(network()[1]).to_dict()))
    assert {k: v for k, v in data.items() if k != "rows"} == {
        "graph": "spiral",
        "parameters": 387,
        "trainable": 387,
        "bytes": 3096,
        "trainable_bytes": 3096,
        "notes": [],
        "labels": [],
    }
    assert data["rows"][2] == {
        "name": "dense_1",
        "kind": "Dense",
        "shape": ["batch", 64],
        "dtype": "float64",
        "parameters": 192,
        "inputs": ["x"],
        "depth": 0,
        "trainable": 192,
        "flops": None,
        "memory": None,
        "times": None,
    }


def test_summary_of_a_graph_and_of_part_of_it() -> None:
    g, _ = network()
    assert len(summary(g).rows) == 7
    assert [row.name for row in summary(g["relu_1"]).rows] == ["x", "dense_1", "relu_1"]
    assert [row.name for row in summary("relu_1", graph=g).rows] == ["x", "dense_1", "relu_1"]


def test_summary_tells_what_is_not_trained() -> None:
    g = Graph(dtype=np.float32)
    w, frozen = g.parameter("w", np.ones((3, 2), np.float32)), g.parameter("f", np.ones(5, np.float16), trainable=False)
    found = summary([w + 1.0, frozen])
    assert (found.parameters, found.trainable, found.size, found.trainable_size) == (11, 6, 34, 24)
    assert [(row.name, row.parameters, row.inputs) for row in found.rows] == [
        ("w", 6, ()),
        ("f", 5, ()),
        ("add", 0, ("w",)),
    ]
    assert str(found).splitlines()[-3:] == [
        "parameters     11  34 B",
        "trainable       6  24 B",
        "not trainable   5  10 B",
    ]


def test_summary_counts_a_shared_layer_once() -> None:
    layer = nn.Dense(4)
    found = summary(layer(layer(Graph().placeholder("x", shape=("batch", 4)))))
    assert [(row.name, row.parameters) for row in found.rows] == [("x", 0), ("dense_1", 20), ("dense_1_2", 0)]
    assert found.parameters == 20


def test_summary_at_another_detail() -> None:
    _, loss = network()
    assert "softmax_1/exp" in [row.name for row in summary(loss, "op").rows]
    assert [row.name for row in summary(loss, {"dense_1": "op"}).rows][:7] == [
        "x",
        "labels",
        "dense_1",
        "dense_1/weight",
        "dense_1/bias",
        "dense_1/matmul",
        "dense_1/add",
    ]
    with pytest.raises(UsageError, match="a detail is"):
        summary(loss, "deep")


def test_long_summary_leaves_out_its_middle_and_says_so() -> None:
    h = Graph().placeholder("x")
    for _ in range(1000):
        h = gn.exp(h)
    lines = str(summary(h)).splitlines()
    assert len(lines) < 420
    assert sum("… 601 more …" in line for line in lines) == 1
    assert len(summary(h).rows) == 1001
    assert len(summary(h).table(None).splitlines()) == 1007, "whole where it need not fit a screen"


def test_names_do_not_command_the_terminal() -> None:
    g = Graph()
    text = str(summary(gn.exp(g.placeholder("\x1b]0;owned\x07\r\n\u202e"))))
    assert text.replace("\n", "").isprintable()
    assert r"\x1b]0;owned\x07\r\n\u202e" in text


# --- layers inside layers -------------------------------------------------------------------------------------


class Attention(nn.Layer):
    def __init__(self, units):
        self.query, self.key, self.value, self.out = (nn.Dense(units) for _ in range(4))

    def call(self, x):
        q, k, v = self.query(x), self.key(x), self.value(x)
        return self.out(gn.softmax(q @ gn.swapaxes(k, -1, -2)) @ v)


class Block(nn.Layer):
    def __init__(self, units):
        self.units = units
        self.attention = Attention(units)
        self.feed_forward = nn.Sequential(nn.Dense(4 * units), nn.ReLU(), nn.Dense(units))

    def call(self, x):
        scale = x.graph.parameter("scale", np.ones(self.units))
        h = x + self.attention(x)
        return (h + self.feed_forward(h)) * scale


def blocks(count: int = 2) -> Node:
    h = Graph("blocks").placeholder("x", shape=("batch", "time", 16))
    x = h
    for _ in range(count):
        h = Block(16)(h)
    with x.graph.scope("head"):
        return nn.Dense(16)(gn.tanh(h))


def test_layers_inside_layers_are_indented() -> None:
    assert (
        summary(blocks(1)).table(100).partition("\n\n")[0]
        == """\
layer                    output shape       parameters  connected to
-----------------------  -----------------  ----------  -----------------
x (placeholder)          (batch, time, 16)           0
block_1 (Block)          (batch, time, 16)       3,232  x
  scale (parameter)      (16,)                      16
  attention (Attention)  (batch, time, 16)       1,088  x
    query (Dense)        (batch, time, 16)         272  x
    key (Dense)          (batch, time, 16)         272  x
    value (Dense)        (batch, time, 16)         272  x
    out (Dense)          (batch, time, 16)         272  query, key, value
  dense_1 (Dense)        (batch, time, 64)       1,088  x, attention
  dense_2 (Dense)        (batch, time, 16)       1,040  dense_1
head                     (batch, time, 16)         272  block_1
  tanh                   (batch, time, 16)           0  block_1
  dense_1 (Dense)        (batch, time, 16)         272  tanh"""
    )


class Nest(nn.Layer):
    """A layer with another of the same names inside."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.query = nn.Dense(4)
        self.inner = Nest(depth - 1) if depth else nn.Dense(4)

    def call(self, x: gn.Node) -> gn.Node:
        return self.inner(gn.tanh(self.query(x)))


def test_what_a_row_reads_of_another_layer_has_its_whole_name() -> None:
    found = summary(Nest(1)(gn.Graph().placeholder("x", shape=("batch", 4))))
    read = [line.split()[-1] for line in found.table(100).partition("\n\n")[0].split("\n")[3:]]
    assert read == ["x", "x", "query", "nest_1/query", "query"]


def test_a_row_counts_the_parameters_of_the_rows_inside_it() -> None:
    found = summary(blocks())
    for i, row in enumerate(found.rows):
        inside = []
        for each in found.rows[i + 1 :]:
            if each.depth <= row.depth:
                break
            if each.depth == row.depth + 1:
                inside.append(each.parameters)
        if inside:
            assert sum(inside) == row.parameters
    assert sum(row.parameters for row in found.rows if row.depth == 0) == found.parameters == 2 * 3232 + 272


def test_a_row_reads_the_outermost_row_that_it_is_not_in_itself() -> None:
    rows = {row.name: row for row in summary(blocks()).rows}
    assert rows["block_2/attention/query"].inputs == ("block_1",)
    assert rows["block_2/dense_1"].inputs == ("block_1", "block_2/attention"), "through the sum"
    assert rows["block_2/dense_2"].inputs == ("block_2/dense_1",), "through the activation"
    assert rows["head"].inputs == ("block_2",)
    assert set(rows) >= {name for row in rows.values() for name in row.inputs}


@pytest.mark.parametrize(("depth", "deepest"), [(1, 0), (2, 1), (3, 2), (9, 2), (None, 2)])
def test_depth_says_how_many_levels_of_layers_are_listed(depth: int | None, deepest: int) -> None:
    found = summary(blocks(), depth=depth)
    assert max(row.depth for row in found.rows if row.name.startswith("block")) == deepest
    assert found.parameters == summary(blocks()).parameters


@pytest.mark.parametrize("depth", [0, -1, 1.5, "2", True])
def test_a_depth_is_a_positive_integer(depth: object) -> None:
    with pytest.raises(gn.GraphnnError, match="depth="):
        summary(blocks(), depth=depth)  # type: ignore[arg-type]


def test_a_deep_nest_of_scopes_is_listed_without_recursion_and_stays_narrow() -> None:
    g = Graph()
    h = g.placeholder("x")
    with contextlib.ExitStack() as opened:
        for i in range(300):
            opened.enter_context(g.in_scope("/".join(f"s{k}" for k in range(i + 1)), kind="Block"))
            h = gn.exp(h)
    found = summary(h)
    assert max(row.depth for row in found.rows) == 299
    assert max(map(len, found.table(None).splitlines())) < 200
