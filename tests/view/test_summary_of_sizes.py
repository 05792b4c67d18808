"""The summary of a network at given sizes: shapes, floating-point operations and memory, before anything is run."""

import json
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.debugger.cost_model import Footprint
from graphnn.errors import NotFoundError, ShapeError, UsageError

BATCH, TIME, WIDTH, HEADS, HIDDEN = 8, 16, 64, 4, 256


@pytest.fixture(scope="module")
def lenet() -> tuple[gn.Node, nn.Layer]:
    x = gn.Graph("lenet", dtype="float32").placeholder("images", ("batch", 1, 28, 28))
    convolutions = nn.Conv2D(6, 5, padding=2), nn.Tanh(), nn.AveragePool2D(2), nn.Conv2D(16, 5), nn.Tanh()
    dense = nn.Dense(120), nn.Tanh(), nn.Dense(84), nn.Tanh(), nn.Dense(10)
    network = nn.Sequential(*convolutions, nn.AveragePool2D(2), nn.Flatten(), *dense)
    return network(x), network


@pytest.fixture(scope="module")
def block() -> tuple[gn.Node, nn.Layer]:
    layer = nn.TransformerBlock(HEADS, HIDDEN)
    return layer(gn.Graph("block", dtype="float32").placeholder("x", ("batch", "time", WIDTH))), layer


def test_lenet_by_hand(lenet: tuple[gn.Node, nn.Layer]) -> None:
    found = nn.summary(lenet[1], sizes={"batch": 32})
    # A product and a sum for each number of a window or a row, and a sum for the bias.
    by_hand = {
        "conv2d_1": (156, 6 * 28 * 28 * (2 * 25 + 1)),
        "tanh_1": (0, 6 * 28 * 28),
        "average_pool2d_1": (0, 6 * 28 * 28),
        "conv2d_2": (2416, 16 * 10 * 10 * (2 * 6 * 25 + 1)),
        "tanh_2": (0, 16 * 10 * 10),
        "average_pool2d_2": (0, 16 * 10 * 10),
        "flatten_1": (0, 0),
        "dense_1": (48_120, 120 * (2 * 400 + 1)),
        "tanh_3": (0, 120),
        "dense_2": (10_164, 84 * (2 * 120 + 1)),
        "tanh_4": (0, 84),
        "dense_3": (850, 10 * (2 * 84 + 1)),
    }
    # The parameters are those of the same modules of PyTorch.
    assert {row.name: (row.parameters, row.flops) for row in found.rows[1:]} == {
        name: (parameters, 32 * flops) for name, (parameters, flops) in by_hand.items()
    }
    assert found.parameters == 61_706
    assert found.flops == 32 * sum(flops for _, flops in by_hand.values())
    products = [flops for node, flops in found.run.flops.items() if node.op.name in ("matmul", "einsum")]
    assert sum(products) == 26_657_280, "as torch.utils.flop_counter counts, which counts nothing else"
    rows = {row.name: row for row in found.rows}
    assert rows["tanh_1"].shape == (32, 6, 28, 28)
    assert rows["tanh_1"].memory == 4 * 32 * 6 * 28 * 28
    assert rows["dense_3"].memory == 2 * 4 * 32 * 10, "the product, and the sum with the bias"
    assert rows["flatten_1"].memory == 0, "a view"


def test_a_transformer_block_by_hand(block: tuple[gn.Node, nn.Layer]) -> None:
    found = gn.summary(block[0], sizes={"batch": BATCH, "time": TIME})
    tokens, scores = BATCH * TIME, BATCH * HEADS * TIME * TIME
    projection = tokens * WIDTH * (2 * WIDTH + 1)
    products = 2 * 2 * scores * WIDTH // HEADS
    norm = 7 * tokens * WIDTH + 2 * tokens
    feed_forward = tokens * HIDDEN * (2 * WIDTH + 1) + tokens * HIDDEN + tokens * WIDTH * (2 * HIDDEN + 1)
    softmax = 5 * scores + scores  # with the division by √d
    assert found.flops == 4 * projection + products + softmax + 2 * norm + feed_forward + 2 * tokens * WIDTH
    rows = {row.name.removeprefix("transformer_block_1/"): row for row in found.rows}
    assert rows["attention/query"].flops == projection
    assert rows["attention"].flops == 4 * projection + products + softmax
    assert rows["output_norm"].flops == norm
    assert rows["transformer_block_1"].flops == found.flops
    assert found.parameters == 49_984, "as nn.TransformerEncoderLayer(64, 4, 256) of PyTorch"


def feed_of(y: gn.Node, sizes: dict[str, int]) -> dict[gn.Node, Any]:
    return {
        node: np.ones([sizes.get(str(dim), dim) for dim in node.shape], node.dtype) for node in y.graph.placeholders
    }


@pytest.mark.parametrize("which", ["lenet", "block", "step", "slices"])
def test_memory_is_what_a_run_takes(which: str, lenet: Any, block: Any) -> None:
    sizes = {"batch": 2, "time": 4}
    target: Any
    if which == "slices":
        x = gn.Graph().placeholder("x", ("batch", 3, "time"))
        turned = gn.swapaxes(x, 1, 2)
        target = [gn.reshape(turned, (-1,)) + 1.0, gn.reshape(x[0], (-1,)), gn.reshape(x[:, 0], (-1,)), turned + 1.0]
        target += [gn.sum(gn.broadcast_to(x[1:], ("time", x.shape[0] - 1, 3, "time"))), gn.flip(x) * 2.0]
        y = target[0]
    else:
        y = (block if which == "block" else lenet)[0]
        target = y
    sizes = {name: size for name, size in sizes.items() if name in str([node.shape for node in y.graph.placeholders])}
    if which == "step":
        target = gn.compile(y, nn.Adam(0.1).updates(gn.sum(gn.square(y))))
    found = gn.summary(target, sizes=sizes)
    measured = gn.profile(target, feed_of(y, sizes), repeat=1)
    assert {node.name: size for node, size in found.run.written.items()} == {
        cost.name: cost.written for cost in measured.by_node
    }
    assert (found.memory, found.flops) == (measured.total.written, measured.flops)
    assert found.run.peak[:3] == measured.peak[:3]


def test_the_table_at_80_columns(lenet: tuple[gn.Node, nn.Layer]) -> None:
    text = nn.summary(lenet[1], sizes={"batch": 32}, depth=1).table(80)
    assert (
        "\n".join(text.splitlines()[:4])
        == """\
layer                          output shape      parameters    flops      memory
-----------------------------  ----------------  ----------  -------  ----------
images (placeholder)           (32, 1, 28, 28)            0        0         0 B
conv2d_1 (Conv2D)              (32, 6, 28, 28)          156    7.7 M    3.67 MiB"""
    )
    assert text.endswith("for batch = 32\nflops   27,275,840\nmemory    6.93 MiB\npeak      3.30 MiB")
    wide = nn.summary(lenet[1], sizes={"batch": 32}).table(120)
    assert wide.splitlines()[0].split() == [
        *("layer", "output", "shape", "parameters", "flops", "memory", "connected", "to")
    ]


def test_what_is_trainable_has_a_column_if_there_is_room() -> None:
    y = nn.Sequential(nn.Dense(4), nn.BatchNorm())(gn.Graph().placeholder("x", ("batch", 3)))
    found = gn.summary(y)
    assert [(row.parameters, row.trainable) for row in found.rows] == [(0, 0), (16, 16), (16, 8)]
    assert "batch_norm_1 (BatchNorm)  (batch, 4)            16          8  dense_1" in found.table(80)
    assert "trainable" not in found.table(60).splitlines()[0]


def test_of_a_layer_its_last_call_is_shown() -> None:
    dense = nn.Dense(4)
    with pytest.raises(UsageError, match="Dense has no nodes yet"):
        nn.summary(dense)
    x = gn.Graph().placeholder("x", (2, 4))
    dense(dense(x))
    assert [(row.name, row.memory) for row in nn.summary(dense, sizes={}).rows] == [
        *(("x", 0), ("dense_1", 128), ("dense_1_2", 128))
    ]
    assert str(nn.summary(dense, sizes={})).endswith("in a run\nflops     144\nmemory  256 B\npeak    352 B")
    assert nn.summary is gn.summary


def test_sizes_are_plain_data_too(lenet: tuple[gn.Node, nn.Layer]) -> None:
    data = json.loads(json.dumps(nn.summary(lenet[1], sizes={"batch": 1}).to_dict()))
    assert data["sizes"] == {"batch": 1}
    assert data["flops"] == sum(row["flops"] for row in data["rows"])
    assert data["memory"] == sum(row["memory"] for row in data["rows"])
    assert data["peak"]["node"] == "conv2d_1/conv_1/matmul"


def test_a_network_that_no_memory_holds_has_a_summary() -> None:
    x = gn.Graph().placeholder("x", ("batch", 10))
    found = gn.summary(gn.relu(x @ np.ones((10, 1_000))), sizes={"batch": 10**12})
    assert found.memory == 2 * 8 * 10**15
    assert "1.8 P" not in str(found)
    assert "20.0 P" in str(found)


def test_sizes_that_are_refused(lenet: tuple[gn.Node, nn.Layer]) -> None:
    y, _ = lenet
    with pytest.raises(NotFoundError, match="batch"):
        gn.summary(y, sizes={})
    with pytest.raises(NotFoundError, match='sizes= names "bacth"'):
        gn.summary(y, sizes={"batch": 1, "bacth": 2})
    with pytest.raises(UsageError, match="sizes"):
        gn.summary(y, sizes={"batch": 1.5})  # type: ignore[dict-item]
    g = gn.Graph()
    a, b = g.placeholder("a", ("n",)), g.placeholder("b", ("m",))
    with pytest.raises(ShapeError, match="must be equal"):
        Footprint(g, [a + b], {"n": 2, "m": 3})


def test_hostile_names_of_dimensions_are_harmless() -> None:
    name = "n\u0661"
    x = gn.Graph().placeholder("x\x1b[31m", (name,))
    assert "\x1b" not in str(gn.summary(abs(x), sizes={name: 3}))
