"""The summary of networks with loops: what an iteration computes as rows, counted as often as there are iterations."""

from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Node, nn

T, B, N, H = 256, 2, 3, 4


@pytest.fixture(scope="module")
def loss() -> Node:
    g = gn.Graph("net", dtype="float32")
    x, h0 = g.placeholder("x", ("time", "batch", N)), g.placeholder("h0", ("batch", H))
    dense, u = nn.Dense(H, rng=np.random.default_rng(0)), g.parameter("u", np.eye(H, dtype="float32") / 2)

    def step(h: Node, row: Node) -> tuple[Node, Node]:
        h = gn.tanh(dense(row) + h @ u)
        return h, h * 2.0

    last, outs = gn.scan(step, h0, x)
    return gn.sum(last) + gn.sum(outs)


def rows_of(found: Any) -> dict[str, Any]:
    return {row.name: row for row in found.rows}


DENSE = B * H * (2 * N + 1)
STEP = DENSE + B * H * 2 * H + 3 * B * H
"""By hand: a product and a sum for each number of a row, a sum for the bias; the sum, tanh and the product with 2."""


def test_a_loop_takes_what_its_iterations_take(loss: Node) -> None:
    rows = rows_of(gn.summary(loss, sizes={"time": T, "batch": B}))
    assert rows["scan_1"].times == T
    assert rows["scan_1"].flops == T * STEP
    assert rows["scan_1/iteration/dense_1"].flops == T * DENSE
    assert (rows["scan_1/iteration/dense_1"].shape, rows["scan_1/iteration/dense_1"].parameters) == ((B, H), N * H + H)
    assert rows["scan_1"].memory == 4 * (B * H + T * B * H), "what is kept: the last state, and all results"
    found = gn.summary(loss, sizes={"time": T, "batch": B})
    assert found.flops == T * STEP + B * H + T * B * H + 1
    assert gn.summary(loss, "op", sizes={"time": T, "batch": B}).flops == found.flops
    profile = gn.profile(loss, {"x": np.zeros((T, B, N), "f"), "h0": np.zeros((B, H), "f")})
    assert profile.flops == found.flops


def test_rows_say_what_they_read_and_how_often(loss: Node) -> None:
    assert str(gn.summary(loss).table(80)).splitlines()[:8] == [
        "layer              output shape      parameters  connected to",
        "-----------------  ----------------  ----------  ------------",
        "x (placeholder)    (time, batch, 3)           0",
        "h0 (placeholder)   (batch, 4)                 0",
        "u (parameter)      (4, 4)                    16",
        "scan_1 ×time       (batch, 4)                16  x, h0, u",
        "  dense_1 (Dense)  (batch, 4)                16  x",
        "sum                ()                         0  scan_1",
    ]
    opened = rows_of(gn.summary(loss, 1))
    assert opened["scan_1"].times == "time"
    assert opened["scan_1@/h0"].inputs == ("h0",)
    assert opened["scan_1@/x"].kind == "one row"
    assert opened["scan_1@/tanh"].inputs == ("scan_1@/add",)
    assert opened["scan_1@/tanh"].depth == 1


def test_loops_in_loops_multiply() -> None:
    g = gn.Graph()
    a, w = g.placeholder("a", ("rows", "columns")), g.parameter("w", 2.0)

    def outer(state: Node, row: Node) -> Node:
        return gn.scan(lambda inner, x: gn.tanh(inner * w + x * state), state, row)[0]

    last, _ = gn.scan(outer, 0.0, a)
    for detail in ("layer", "op"):
        found = gn.summary(last, detail, sizes={"rows": 5, "columns": 7})
        assert found.flops == 5 * 7 * 4
        assert [row.times for row in found.rows if row.times] == [5, 7][: 1 + (detail == "op")]


def test_the_loop_of_a_gradient_is_counted_and_the_one_forwards_once(loss: Node) -> None:
    sizes = {"time": T, "batch": B}
    forward = gn.summary(loss, sizes=sizes)
    both = gn.summary([loss, gn.grad(loss, loss.graph["u"])], sizes=sizes)
    rows = rows_of(both)
    assert rows["scan_1"].flops == T * STEP
    assert rows["grad/scan_1"].times == T
    assert forward.flops is not None
    assert both.flops == forward.flops + rows["grad"].flops


def test_a_layer_that_loops_has_the_shape_of_what_it_gives() -> None:
    layer = nn.LSTM(5)
    layer(gn.Graph().placeholder("x", ("batch", "time", 3)))
    row = gn.summary(layer).rows[-1]
    assert (row.name, row.shape, row.times) == ("lstm_1", ("batch", "time", 5), None)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_loops_in_the_layers_of_a_layer_are_in_their_rows(kind: Any) -> None:
    x = gn.Graph().placeholder("x", ("batch", "time", N))
    name = f"{kind.__name__.lower()}_1"
    found = rows_of(gn.summary(gn.mean(kind(H, layers=2, bidirectional=True)(x))))
    for layer, before in (("layer_1", {"x"}), ("layer_2", {f"{name}/layer_1", f"{name}/layer_1_reverse"})):
        for suffix in ("", "_reverse"):
            row = found[f"{name}/{layer}{suffix}"]
            assert row.shape == ("time", "batch", H)
            assert {read for read in row.inputs if "weight" not in read and "bias" not in read} == before
    assert found[name].inputs == ("x",)
    assert found[name].shape == ("batch", "time", 2 * H)


def test_a_layer_goes_on_behind_its_loop() -> None:
    class Reader(nn.Layer):
        def __init__(self) -> None:
            self.cell, self.out = nn.Dense(H, "tanh"), nn.Dense(2)

        def call(self, x: Node) -> Node:
            first = gn.zeros(("batch", H), graph=x.graph)
            last, _ = gn.scan(lambda h, row: self.cell(gn.concatenate([h, row], axis=1)), first, x)
            return self.out(last * 2.0) + 1.0

    reader = Reader()
    y = reader(gn.Graph().placeholder("x", ("time", "batch", N)))
    found = rows_of(gn.summary(y))
    assert found["reader_1/out"].inputs == ("x", "reader_1/scan_1/iteration/cell")
    assert found["reader_1"].parameters == (H + N + 1) * H + (H + 1) * 2
    assert rows_of(gn.summary(y, "leaf"))["reader_1"].shape == ("batch", 2)
    assert rows_of(gn.summary([y, *gn.grad(gn.sum(y), reader.parameters)]))["reader_1"].shape == ("batch", 2)
