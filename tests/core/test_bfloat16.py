"""bfloat16: kept as it is, computed with as float32. ml_dtypes and NumPy's float32 are the oracles."""

import math
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import networkx as nx
import numpy as np
import pytest
from everywhere import PLANS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import graphnn as gn
from graphnn import nn
from graphnn._util.text import number
from graphnn.core import Op, registry
from graphnn.testing import Draw
from graphnn.view.formatting import compact

BF16 = np.dtype(ml_dtypes.bfloat16)
EPS = 2.0**-8  # half a step, relative: how far rounding moves a number
OPERATIONS = [
    cls
    for cls in registry.values()
    if cls.__module__.startswith("graphnn.ops.") and cls.operands and not cls.name.startswith("random")
]


def bits(array: np.ndarray) -> np.ndarray:
    return np.asarray(array).view(np.uint16)


def short(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float64).astype(BF16)


def with_bits() -> st.SearchStrategy[np.ndarray]:
    """Draw arrays of any bits: NaN with payloads, infinities, -0 and subnormal numbers."""
    return arrays(np.uint16, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)).map(lambda x: x.view(BF16))


# --- what comes in ------------------------------------------------------------------------------------------------


def test_a_graph_of_bfloat16_keeps_what_it_is_given_in_it() -> None:
    g = gn.Graph(dtype="bfloat16")
    x, w = g.placeholder("x", 2), g.parameter("w", [0.1, -3.0])
    assert [node.dtype for node in (x, w, g.constant([0.1]))] == [BF16] * 3
    assert str(w.spec) == "(2,) bfloat16"
    assert bits(w.value).tolist() == [0x3DCD, 0xC040]  # 0.1 rounded to even, and -3
    assert g.constant([1, 2]).dtype == np.int64
    w.value = [0.5, 0.25]
    assert w.value.tolist() == [0.5, 0.25]


def test_a_feed_of_floats_is_cast_and_one_of_integers_refused() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2, dtype=ml_dtypes.bfloat16)
    fed = np.array([1 / 3, 1.0], np.float32)
    np.testing.assert_array_equal(bits(gn.run(x, {x: fed})), bits(fed.astype(BF16)))
    y = g.placeholder("y", 2, dtype="int64")
    with pytest.raises(gn.DtypeError, match='the feed of "y" is bfloat16, and the placeholder is int64'):
        gn.run(y, {y: fed.astype(BF16)})
    with pytest.raises(gn.DtypeError, match=r'the feed of "x" is complex128|values are bool, integers'):
        gn.run(x, {x: fed.astype(complex)})


@given(arrays(np.float64, array_shapes(max_dims=2, max_side=5), elements=st.floats(width=32)))
def test_a_cast_there_and_back_rounds_as_ml_dtypes_does(x: np.ndarray) -> None:
    g = gn.Graph()
    p = g.placeholder("p", x.shape)
    there = gn.cast(p, "bfloat16")
    stored, back = gn.run([there, gn.cast(there, "float64")], {p: x})
    np.testing.assert_array_equal(bits(stored), bits(x.astype(BF16)))
    np.testing.assert_array_equal(back, x.astype(BF16).astype(np.float64))


@given(with_bits())
def test_what_only_moves_numbers_keeps_their_bits(x: np.ndarray) -> None:
    g = gn.Graph()
    p = g.placeholder("p", x.shape, BF16)
    moved = [gn.reshape(p, (-1,)), gn.transpose(p), gn.stack([p, p]), gn.broadcast_to(p, (2, *x.shape))]
    assert {node.dtype for node in moved} == {BF16}
    wanted = [x.reshape(-1), x.T, np.stack([x, x]), np.broadcast_to(x, (2, *x.shape))]
    for value, expected in zip(gn.run(moved, {p: x}), wanted, strict=True):
        np.testing.assert_array_equal(bits(value), bits(expected))


# --- the one rule: what computes takes float32 --------------------------------------------------------------------


@pytest.mark.parametrize("cls", OPERATIONS, ids=lambda cls: cls.name)
def test_each_operation_moves_bfloat16_or_computes_with_float32(cls: type[Op]) -> None:
    op, operands = cls.samples(Draw(np.random.default_rng(3)))
    given = [np.asarray(each) for each in operands]
    stored = [each.astype(BF16) if each.dtype.kind == "f" else each for each in given]
    wide = [each.astype(np.float32) if each.dtype == BF16 else each for each in stored]

    def node(values: list[np.ndarray]) -> tuple[gn.Node, dict]:
        g = gn.Graph(dtype="float32")
        nodes = [g.placeholder(f"p{i}", x.shape, x.dtype) for i, x in enumerate(values)]
        return g.add(op, nodes), dict(zip(nodes, values, strict=True))

    made, feed = node(stored)
    expected, same = node(wide)
    value, computed = gn.run(made, feed), gn.run(expected, same)
    if op.casts:
        assert made.dtype == expected.dtype
    elif op.computes:
        assert made.dtype == expected.dtype
        assert {each.dtype for each in made.inputs if each.dtype.kind != "i"} <= {np.dtype("float32"), np.dtype(bool)}
    else:
        assert made.dtype == BF16
        assert BF16 in {each.dtype for each in made.inputs}
    np.testing.assert_array_equal(value.astype(np.float64), computed.astype(np.float64))
    if made.op.differentiable and expected.dtype.kind == "f":
        slopes = [
            gn.vjp({y: np.ones(computed.shape)}, [x for x in fed if gn.core.is_float(x.dtype)])
            for y, fed in ((made, feed), (expected, same))
            if any(op.flows(i) for i, x in enumerate(fed) if gn.core.is_float(x.dtype))
        ]
        if slopes:
            for own, other in zip(gn.run(slopes[0], feed), gn.run(slopes[1], same), strict=True):
                assert own.dtype == BF16
                size = np.abs(other[np.isfinite(other)]).max(initial=0.0)
                np.testing.assert_allclose(own.astype(float), other.astype(float), rtol=4 * EPS, atol=2 * EPS * size)


def test_a_number_beside_bfloat16_is_not_rounded_to_it() -> None:
    g = gn.Graph()
    w = g.parameter("w", short([1.0]))
    np.testing.assert_array_equal(gn.run(w * 0.1), np.float32([0.1]))
    assert gn.where(w > 0, w, 0.0).dtype == BF16  # it computes nothing


def test_numbers_of_two_dtypes_meet_in_the_wider_one() -> None:
    g = gn.Graph()
    w, x = g.parameter("w", short([1.0])), g.parameter("x", np.float16([2.0]))
    assert gn.concatenate([w, w]).dtype == BF16
    assert gn.concatenate([w, x]).dtype == np.float32
    assert gn.where(w > 0, w, g.parameter("y", [1.0])).dtype == np.float64


def test_all_readers_share_one_cast_and_a_gradient_makes_none_for_the_forward_pass() -> None:
    g = gn.Graph(dtype="bfloat16")
    w = g.parameter("w", [1.0, 2.0])
    y = gn.exp(w) + gn.sin(w) * w
    assert [node.op.name for node in w.users] == ["cast"]
    late = g.parameter("late", [1.0, 2.0])
    with g.new_scope("grad", phase="backward"):
        gn.exp(late)
    gn.sin(late)
    assert [node.phase for node in late.users] == ["backward", "forward"]
    assert y.dtype == np.float32


def test_a_graph_from_networkx_says_where_a_cast_is_missing() -> None:
    dag: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    dag.add_node("a", op="constant", value=short([1.0]))
    dag.add_node("e", op="exp")
    dag.add_edge("a", "e", 0)
    with pytest.raises(gn.DtypeError, match='node "e": exp computes in float32, and an operand is bfloat16'):
        gn.Graph.from_networkx(dag)
    g = gn.Graph()
    y = gn.exp(g.parameter("w", short([1.0])))
    copy = gn.Graph.from_networkx(g.dag)
    np.testing.assert_array_equal(gn.run(copy[y.name]), gn.run(y))


def test_an_exchange_says_where_a_cast_is_missing() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", 2), g.parameter("w", short([1.0, 2.0]))
    y = gn.exp(x)
    with pytest.raises(gn.DtypeError, match="exp computes in float32"):
        gn.replace([y], {x: w})


# --- gradients, plans, training -----------------------------------------------------------------------------------


def network(dtype: str) -> tuple[gn.Node, dict[gn.Node, np.ndarray], list[gn.Node]]:
    g = gn.Graph(dtype=dtype)
    rng = np.random.default_rng(0)
    x, w, b = g.placeholder("x", ("batch", 3)), short(rng.normal(size=(3, 4))), short(rng.normal(size=4))
    kind = BF16 if dtype == "bfloat16" else np.dtype(dtype)
    parameters = [g.parameter("w", w.astype(kind)), g.parameter("b", b.astype(kind))]
    loss = gn.mean(gn.square(gn.tanh(x @ parameters[0] + parameters[1])))
    return loss, {x: short(rng.normal(size=(5, 3))).astype(np.float32)}, parameters


def test_a_gradient_is_that_of_float32_rounded_once() -> None:
    loss, feed, own = network("bfloat16")
    other, same, wide = network("float32")
    for slope, expected in zip(gn.run(gn.grad(loss, own), feed), gn.run(gn.grad(other, wide), same), strict=True):
        assert slope.dtype == BF16
        np.testing.assert_array_equal(bits(slope), bits(expected.astype(BF16)))


def test_parts_of_a_gradient_are_added_up_in_float32() -> None:
    g = gn.Graph()
    w = g.parameter("w", short([1.0]))
    parts = [gn.reshape(w, (1, 1)) * 1.0, gn.stack([w]) * 2.0**-8, gn.flip(w) * 2.0**-8]
    loss = gn.sum(parts[0]) + gn.sum(parts[1]) + gn.sum(parts[2])
    assert gn.run(gn.grad(loss, w)).tolist() == [1 + 2.0**-7]  # in bfloat16, 1 + 2**-8 is 1


def test_a_tangent_and_a_seed_have_the_dtype_of_their_node() -> None:
    g = gn.Graph()
    w = g.parameter("w", short([0.5, -1.0]))
    y = gn.cast(gn.exp(w), "bfloat16")
    moved, pulled = gn.jvp(y, {w: [1.0, 2.0]}), gn.vjp({y: [1.0, 2.0]}, w)
    assert moved.dtype == pulled.dtype == BF16
    expected = np.exp(w.value.astype(float)) * [1, 2]
    np.testing.assert_allclose(gn.run(moved).astype(float), expected, rtol=3 * EPS)
    np.testing.assert_allclose(gn.run(pulled).astype(float), expected, rtol=3 * EPS)


@pytest.mark.parametrize("backend", PLANS)
def test_a_plan_gives_the_interpreters_bits(backend: str) -> None:
    loss, feed, parameters = network("bfloat16")
    slopes = gn.grad(loss, parameters)
    stored = gn.cast(slopes[0] * 3.0, "bfloat16")
    fetches = [loss, *slopes, gn.where(stored > 0, stored, 0.0), gn.transpose(stored), parameters[0]]
    step = gn.compile(fetches, backend=backend)
    for _ in range(2):
        for value, expected in zip(step(feed), gn.run(fetches, feed), strict=True):
            assert value.dtype == expected.dtype
            assert value.tobytes() == expected.tobytes()


def test_an_optimizer_moves_a_copy_in_float32() -> None:
    """A step of 2**-12 is lost beside 1 in bfloat16, and 64 of them are not."""
    g = gn.Graph(dtype="bfloat16")
    w, x = g.parameter("w", [1.0]), g.placeholder("x", 1)
    loss = gn.sum(w * x)
    step = gn.compile(loss, nn.SGD(2.0**-12).updates(loss))
    for _ in range(64):
        step({x: [1.0]})
    assert w.value.tolist() == [1 - 64 * 2.0**-12]


def test_an_average_of_parameters_is_kept_in_float32() -> None:
    g = gn.Graph(dtype="bfloat16")
    w, x = g.parameter("w", [1.0]), g.placeholder("x", 1)
    loss = gn.sum(w * x)
    ema = nn.EMA(0.5)
    step = gn.compile(loss, ema.updates(nn.SGD(0.5).updates(loss, loss_scale=nn.LossScale())))
    values, average = [1.0], 0.0
    for _ in range(3):
        step({x: [1.0]})
        values.append(values[-1] - 0.5)
        average = values[-1] if len(values) == 2 else average / 2 + values[-1] / 2
    assert w.value.tolist() == values[-1:]
    with ema.applied():
        assert w.value.dtype == BF16
        assert w.value.tolist() == [average]


@pytest.mark.parametrize("optimizer", [nn.SGD(0.1, momentum=0.9), nn.Adam(0.05), nn.RMSProp(0.01)])
def test_training_in_bfloat16_follows_training_in_float32(optimizer: nn.Optimizer) -> None:
    losses = []
    for dtype in ("bfloat16", "float32"):
        loss, feed, parameters = network(dtype)
        step = gn.compile(loss, optimizer.updates(loss))
        losses.append([float(step(feed)) for _ in range(20)])
        assert {p.value.dtype for p in parameters} == {parameters[0].dtype}
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.1)
    assert losses[0][-1] < losses[0][0] / 2


def test_layers_take_bfloat16_in_training_and_in_evaluation() -> None:
    g = gn.Graph(dtype="bfloat16")
    x, t = g.placeholder("x", ("batch", 8)), g.placeholder("t", ("batch",), dtype="int64")
    parts = (nn.Dropout(0.5), nn.Dense(16), nn.LayerNorm(), nn.ReLU(), nn.BatchNorm(), nn.RMSNorm(), nn.Dense(3))
    loss = nn.softmax_crossentropy(nn.Sequential(*parts)(x, training=True), t)
    rng = np.random.default_rng(0)
    feed = {x: rng.normal(size=(32, 8)), t: rng.integers(0, 3, 32)}
    step = gn.compile(loss, nn.Adam(0.01).updates(loss))
    first, *_, last = (float(step(feed)) for _ in range(30))
    assert last < first
    assert {p.dtype for p in g.parameters} == {BF16}
    held_out = gn.replace([loss], dict(g.evaluation))[0]
    assert math.isfinite(float(gn.run(held_out, {"x": feed[x], "t": feed[t]})))


def test_a_loop_carries_bfloat16() -> None:
    g = gn.Graph(dtype="float32")
    rng = np.random.default_rng(0)
    w, xs = g.parameter("w", short(rng.normal(size=(4, 4)))), g.placeholder("xs", ("time", 4), BF16)

    def step(h: gn.Node, x: gn.Node) -> tuple[gn.Node, gn.Node]:
        after = gn.cast(gn.tanh(h @ w + x), "bfloat16")
        return after, after

    last, rows = gn.scan(step, g.constant(np.zeros(4, BF16)), xs)
    assert last.dtype == rows.dtype == BF16
    fed = short(rng.normal(size=(6, 4)))
    value, slope = gn.run([rows, gn.grad(gn.sum(gn.square(rows)), w)], {xs: fed})
    h = np.zeros(4, np.float32)
    for x, row in zip(fed, value, strict=True):
        h = np.tanh(h @ w.value.astype(np.float32) + x.astype(np.float32)).astype(BF16).astype(np.float32)
        np.testing.assert_array_equal(row.astype(np.float32), h)
    assert slope.dtype == BF16
    assert np.isfinite(slope.astype(float)).all()


def test_a_loop_carries_floats_of_several_dtypes_and_integers() -> None:
    """bfloat16 and float16 hold what the other does not."""
    g = gn.Graph(dtype="float32")
    w, v = g.parameter("w", short([2.0**100, 1.0])), g.parameter("v", np.float16([1 + 2.0**-10]))

    def step(carried: tuple[gn.Node, gn.Node, gn.Node], x: gn.Node) -> tuple[tuple[gn.Node, gn.Node, gn.Node], gn.Node]:
        a, b, n = carried
        return (a[::-1], b * 1.0, n + 1), gn.cast(a, "float32") * x

    (a, b, n), rows = gn.scan(step, (w, v, g.constant(np.int8(3))), g.constant(np.float32([[1.0, 2.0]] * 3)))
    made = gn.run([a, b, n, rows, gn.grad(gn.sum(rows[:, 0]) + gn.sum(gn.cast(b, "float32")), w)])
    assert [each.dtype.name for each in made] == ["bfloat16", "float16", "int8", "float32", "bfloat16"]
    assert made[0].tolist() == [1.0, 2.0**100]
    assert made[1].tolist() == [1 + 2.0**-10]
    assert made[2] == 6
    assert made[3][:, 0].tolist() == [2.0**100, 1.0, 2.0**100]
    assert made[4].tolist() == [2.0, 1.0]


# --- looking at it ------------------------------------------------------------------------------------------------


def test_statistics_and_digests_are_of_the_numbers() -> None:
    g = gn.Graph()
    w = g.parameter("w", np.array([0x3F80, 0x7FC1, 0xFF80, 0x8000], np.uint16).view(BF16))  # 1, NaN, -inf, -0
    record = gn.trace(gn.stack([w, w]))["w"]
    assert record.dtype == BF16
    assert record.stats.min == 0.0
    assert record.stats.max == 1.0
    assert (record.stats.nans, record.stats.neginfs, record.stats.zeros) == (1, 1, 1)
    digests = gn.trace(gn.stack([w, w]), keep="digests")["w"]
    w.value = np.array([0x3F80, 0xFFFF, 0xFF80, 0x8000], np.uint16).view(BF16)  # another NaN
    assert gn.trace(gn.stack([w, w]), keep="digests")["w"].digest == digests.digest


def test_a_number_of_bfloat16_is_written_as_short_as_it_is() -> None:
    assert number(BF16.type(0.1)) == "0.1"
    assert compact(BF16.type(1 / 3)) == "0.334"


def test_a_comparison_has_the_tolerance_of_bfloat16() -> None:
    g = gn.Graph()
    w = g.parameter("w", short([1.0, 2.0]))
    y = gn.cast(gn.exp(w), "bfloat16")
    exact = np.exp(w.value.astype(float))
    assert gn.compare(y, {y.name: exact}).equal
    assert not gn.compare(y, {y.name: exact * 1.02}).equal
    found = gn.compare(y, dtypes=("float64", None))
    assert found.equal, found


def test_nothing_is_computed_in_bfloat16_for_a_comparison() -> None:
    w = gn.Graph().parameter("w", [1.0])
    with pytest.raises(gn.DtypeError, match="nothing is computed in bfloat16"):
        gn.compare(w * 2.0, dtypes=("float64", "bfloat16"))


def test_the_health_check_and_why_read_bfloat16() -> None:
    g = gn.Graph(dtype="bfloat16")
    w = g.parameter("w", [1.0, 2.0])
    loss = gn.sum(gn.log(w - 1.0))
    assert "log-of-zero" in str(gn.check_health(loss))
    assert "log" in str(gn.trace(loss).why(loss))


def test_a_guard_stops_at_a_nan_in_bfloat16() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    step = gn.compile(gn.cast(x, "bfloat16") + 1.0, guard="nan")
    with pytest.raises(gn.ValueRangeError, match="is NaN at"):
        step({x: [1.0, math.nan]})


def test_a_picture_shows_the_dtype_and_the_values() -> None:
    g = gn.Graph(dtype="bfloat16")
    y = gn.exp(g.parameter("w", [[1.0, 2.0], [3.0, 4.0]]))
    assert "bfloat16" in gn.draw(y).source
    assert gn.draw(gn.trace(y)).source


# --- without ml_dtypes --------------------------------------------------------------------------------------------


def test_graphnn_does_not_import_ml_dtypes_and_says_that_it_is_missing(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["ml_dtypes"] = None
import graphnn as gn
g = gn.Graph()
x = g.placeholder("x", 2)
print(gn.run(gn.exp(x), {x: [0.0, 0.0]}))
for ask in (
    lambda: gn.Graph(dtype="bfloat16"),
    lambda: gn.cast(x, "bfloat16"),
    lambda: g.placeholder("y", 2, "bfloat16"),
    lambda: gn.nn.Dense(2, dtype="bfloat16"),
    lambda: gn.load(sys.argv[1]),
):
    try:
        ask()
    except gn.UsageError as error:
        print(error)
"""
    g = gn.Graph()
    g.parameter("w", short([1.0]))
    gn.save(g, tmp_path / "a.gnn")
    done = run(code, str(tmp_path / "a.gnn"))
    assert done.count('bfloat16 needs the package ml_dtypes: pip install "graphnn[bf16]"') == 5, done
    only = "import graphnn, graphnn.nn, sys; graphnn.Graph().placeholder('x'); print('ml_dtypes' in sys.modules)"
    assert run(only) == "False\n"


def run(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout
