"""Native plans of arrays with many rows, which are computed a block of rows at a time."""

import numpy as np
import pytest
from test_native import native_plan
from test_plan_conformance import differences

import graphnn as gn
from graphnn import nn
from graphnn.native import thread_parts
from graphnn.native.loop_tables import Repeated
from graphnn.native.row_blocks import flat
from graphnn.ops import matmul_kernels


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("g")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few rows, so that small arrays have many of them."""
    monkeypatch.setattr(matmul_kernels, "limits", matmul_kernels.Limits(block=512, few=3, short=2))


def spiral(graph: gn.Graph) -> tuple[gn.Node, gn.Node, gn.Node]:
    x, y = graph.placeholder("x", ("batch", 2)), graph.placeholder("y", ("batch",), np.int64)
    logits = nn.Sequential(nn.Dense(16), nn.ReLU(), nn.Dense(3))(x)
    return x, y, nn.softmax_crossentropy(logits, y)


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    return rng.normal(size=(count, 2)), rng.integers(0, 3, count)


@pytest.mark.parametrize("count", [2, 7, 8, 9, 50, 64, 257])
def test_a_training_by_blocks_is_the_interpreter_to_the_bit(graph: gn.Graph, count: int) -> None:
    x, y, loss = spiral(graph)
    feeds = [dict(zip((x, y), drawn(count), strict=True))] * 3
    assert not differences([loss], feeds, nn.Adam(0.1).updates(loss), backend="native")


def test_forwards_and_backwards_are_one_loop_over_blocks(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul_kernels, "limits", matmul_kernels.Limits())
    x, y, loss = spiral(graph)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss), "native")
    plan = native_plan(step, dict(zip((x, y), drawn(4000), strict=True)))
    (blocks,) = [work for work in plan.works if work.parts]
    names = {node.name for part in blocks.parts for value in part.values for node in [value.node]}
    assert {"dense_1/matmul", "relu_1", "dense_2/matmul", "grad/dense_2/matmul_2", "grad/dense_1/matmul"} <= names
    assert sum(isinstance(call, Repeated) for call in plan.segments[0].calls) == 1
    wide = [value for value in blocks.scratch if value.shape == (4000, 16)]
    assert wide
    assert all(plan.layout.of[value].size < value.nbytes for value in wide)
    assert len(plan.loops) == len(list(flat(plan.works)))
    told = plan.explain()
    ((block, names),) = told.chains
    assert block == blocks.rows == 2000
    assert {"dense_1/matmul", "grad/dense_1/matmul"} <= set(names)
    assert any(piece.scratch for piece in told.pieces)
    assert told.to_dict()["read"] == sum(loop.read for loop in plan.loops)
    assert told.written == sum(loop.written for loop in plan.loops)


def test_labels_are_checked_before_a_block_reads_by_them(graph: gn.Graph) -> None:
    x, y, loss = spiral(graph)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss), "native")
    data, labels = drawn(100)
    step.plan({x: data, y: labels})
    before = dict(graph.state)
    with pytest.raises(gn.errors.LabelError):
        step({x: data, y: np.where(np.arange(100) == 99, 3, labels)})
    assert all(graph.state[node] is value for node, value in before.items())


def test_a_whole_array_that_blocks_make_is_read_after_them(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (40, 6))
    y = gn.exp(x * 2)
    turned = gn.tanh(y) + gn.reshape(gn.transpose(y), (40, 6))
    later = gn.tanh(y - gn.sum(y, axis=0)) * y
    shifted = gn.exp(y[::-1] + 1) * y
    feed = {x: np.random.default_rng(0).normal(size=(40, 6))}
    fetches = [turned, later, shifted, gn.sum(later, axis=-1)]
    assert not differences(fetches, [feed, feed], backend="native")


def test_rows_are_read_within_blocks_in_any_order_of_columns(graph: gn.Graph) -> None:
    x, w = graph.placeholder("x", (33, 6)), graph.parameter("w", np.ones(6))
    y = gn.tanh(x + w)
    z = gn.exp(y[:, ::-1] * y) + y[:, 2:3]
    z = z - gn.max(z, axis=-1, keepdims=True)
    feed = {x: np.random.default_rng(0).normal(size=(33, 6))}
    loss = gn.sum(z * gn.transpose(gn.transpose(y)))
    assert not differences([z, loss], [feed, feed], nn.SGD(0.1).updates(loss), backend="native")


def test_blocks_are_many_enough_that_ctrl_c_is_heard(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_parts, "limits", thread_parts.Limits(times=4))
    x, y, loss = spiral(graph)
    feed = dict(zip((x, y), drawn(200), strict=True))
    step = gn.compile(loss, nn.SGD(0.1).updates(loss), "native")
    repeated = [call for call in native_plan(step, feed).segments[0].calls if isinstance(call, Repeated)]
    assert len(repeated) > 1
    assert max(call.times for call in repeated) == 4
    assert not differences([loss], [feed, feed], nn.SGD(0.1).updates(loss), backend="native")
