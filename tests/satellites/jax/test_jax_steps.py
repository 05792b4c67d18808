"""Steps compiled for XLA: trainings, state on the device, loops, guards and refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op, nn
from graphnn.core.graph_tables import KeptDict, LentDict
from graphnn.jax import rule
from graphnn.jax.rules import RULES

Training = tuple[gn.Node, Any, dict[gn.Node, Any]]


def dense(rng: np.random.Generator) -> Training:
    g = gn.Graph("dense")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), "int64")
    network = nn.Sequential(nn.Dense(16), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.3), nn.Dense(3))
    loss = nn.softmax_crossentropy(network(x, training=True), y)
    return loss, nn.Adam(0.01).updates(loss), {x: rng.normal(size=(32, 4)), y: rng.integers(0, 3, 32)}


def scanned_lstm(rng: np.random.Generator) -> Training:
    g = gn.Graph("lstm")
    x, y = g.placeholder("x", ("batch", "time", 3)), g.placeholder("y", ("batch",))
    w = g.parameter("w", rng.normal(size=(8, 20)) * 0.3)
    b, out = g.parameter("b", np.zeros(20)), g.parameter("out", rng.normal(size=(5,)))

    def cell(state: Any, row: gn.Node) -> Any:
        h, c = state
        i, f, o, z = gn.split(gn.concatenate([row, h], axis=1) @ w + b, 4, axis=1)
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(z)
        h = gn.sigmoid(o) * gn.tanh(c)
        return (h, c), h

    first = gn.zeros_like(x[:, 0, :1] * np.ones((1, 5)))
    _, hs = gn.scan(cell, (first, first), gn.transpose(x, (1, 0, 2)))
    loss = nn.mean_squared_error(hs[-1] @ out, y)
    return loss, nn.Adam(0.02).updates(loss), {x: rng.normal(size=(6, 9, 3)), y: rng.normal(size=6)}


def convolution(rng: np.random.Generator) -> Training:
    g = gn.Graph("convolution")
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), "int64")
    network = nn.Sequential(nn.Conv2D(3, 3), nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3))
    loss = nn.softmax_crossentropy(network(x), y)
    return loss, nn.SGD(0.05, momentum=0.9).updates(loss), {x: rng.normal(size=(8, 1, 8, 8)), y: rng.integers(0, 3, 8)}


def attention(rng: np.random.Generator) -> Training:
    g = gn.Graph("transformer")
    ids, y = g.placeholder("ids", ("batch", 6), "int64"), g.placeholder("y", ("batch", 6), "int64")
    h = nn.Embedding(11, 8)(ids)
    h = nn.TransformerBlock(2, 16)(h)
    loss = nn.softmax_crossentropy(nn.Dense(11)(h), y)
    return loss, nn.AdamW(0.01).updates(loss), {ids: rng.integers(0, 11, (4, 6)), y: rng.integers(0, 11, (4, 6))}


@pytest.mark.parametrize("made", [dense, scanned_lstm, convolution, attention])
def test_fifty_losses_are_ours(made: Callable[..., Training]) -> None:
    loss, updates, feed = made(np.random.default_rng(1))
    state = loss.graph.state
    first = dict(state)
    here = gn.compile(loss, updates, backend="numpy")
    ours = [float(here(feed)) for _ in range(50)]
    after = dict(state)
    state.update(first)
    there = gn.compile(loss, updates, backend="jax")
    np.testing.assert_allclose([float(there(feed)) for _ in range(50)], ours, rtol=1e-8)
    for parameter, value in after.items():
        np.testing.assert_allclose(parameter.value, value, rtol=1e-6, atol=1e-9)


def halving() -> tuple[gn.Graph, gn.Node, gn.Node, Any]:
    g = gn.Graph("halving")
    x = g.placeholder("x", ("n",))
    w = g.parameter("w", np.full(3, 8.0))
    return g, x, w, gn.compile(gn.sum(w) + gn.sum(x), {w: w * 0.5}, backend="jax")


def test_the_state_stays_on_the_device_until_it_is_read() -> None:
    g, x, w, step = halving()
    for _ in range(3):
        step({x: np.zeros(2)})
    assert type(g.state) is LentDict
    other = gn.compile(gn.sum(w), backend="numpy")
    assert float(other()) == 3.0  # a step here reads what is there
    assert type(g.state) is KeptDict
    step({x: np.zeros(2)})
    state = g.state
    w.value = np.full(3, 80.0)  # what is set counts, and not what is on the device
    assert float(step({x: np.zeros(2)})) == 240.0
    assert dict(state)[w].tolist() == {**state}[w].tolist() == (state | {})[w].tolist() == [40.0] * 3
    step({x: np.zeros(2)})
    g.caches.clear()
    assert w.value.tolist() == [20.0] * 3
    with pytest.raises(ValueError, match="read-only"):
        w.value[0] = 1.0


def test_several_sizes_are_compiled_each_and_too_many_are_warned_of() -> None:
    _, x, _, step = halving()
    for n in range(1, 17):
        step({x: np.zeros(n)})
    with pytest.warns(gn.GraphnnWarning, match="pad what is fed"):
        step({x: np.zeros(17)})
    step({x: np.zeros(18)})  # once


def test_parameters_that_swap_are_not_one_array() -> None:
    g = gn.Graph()
    a, b = g.parameter("a", 1.0), g.parameter("b", 2.0)
    step = gn.compile([a, b], {a: b, b: a}, backend="jax")
    assert [tuple(map(float, step())) for _ in range(5)] == [(1, 2), (2, 1)] * 2 + [(1, 2)]
    same = gn.compile([a, b], {a: b, b: b}, backend="jax")
    assert [tuple(map(float, same())) for _ in range(3)] == [(2, 1), (1, 1), (1, 1)]


def refused(name: str, g: gn.Graph) -> tuple[gn.Node, Any, Any]:
    x = g.placeholder("x", (2,), "int64")
    f = gn.cast(x, "float64")
    made: dict[str, Callable[[], gn.Node]] = {
        "pick": lambda: gn.pick(gn.broadcast_to(f, (2, 2)), x),
        "one_hot": lambda: gn.one_hot(x, 3),
        "take": lambda: gn.take(f, x),
        "take_along_axis": lambda: gn.take_along_axis(f, x),
        "gather_nd": lambda: gn.gather_nd(f, gn.expand_dims(x, -1)),
        "scatter_nd": lambda: gn.scatter_nd(f, gn.expand_dims(x, -1), (3,)),
        "put_along_axis": lambda: gn.put_along_axis(f, x, f),
        "floor_divide": lambda: x // (x - 5),
        "power": lambda: gn.power(x, 1 - x),
        "inv": lambda: gn.inv(gn.reshape(gn.concatenate([f, f]), (2, 2)) + gn.eye(2, graph=g) * gn.sum(f - 5.0)),
        "cholesky": lambda: gn.cholesky(gn.eye(2, graph=g) * gn.sum(3.0 - f)),
        "scan": lambda: gn.scan(lambda c, i: (c + gn.take(f, i), c), 0.0, x)[0],
        "cond": lambda: gn.cond(gn.sum(x) > 5, lambda: gn.take(f, x), lambda: f),
    }
    return made[name](), x, (np.array([1, 0]), np.array([5, 5]))


@pytest.mark.parametrize(
    "name",
    [
        *("pick", "one_hot", "take", "take_along_axis", "gather_nd", "scatter_nd", "put_along_axis", "floor_divide"),
        *("power", "inv", "cholesky", "scan", "cond"),
    ],
)
def test_what_is_refused_here_is_refused_there_and_nothing_moves(name: str) -> None:
    g = gn.Graph()
    node, x, (good, bad) = refused(name, g)
    w = g.parameter("w", 1.0)
    step = gn.compile(node, {w: w + 1.0}, backend="jax")
    np.testing.assert_allclose(step({x: good}), gn.run(node, {x: good}))
    with pytest.raises(gn.GraphnnError) as here:
        gn.run(node, {x: bad})
    for feed in ({x: bad}, {x: bad.tolist()}):
        with pytest.raises(type(here.value)) as there:
            step(feed)
        assert there.value.node.name == here.value.node.name
    assert float(w.value) == 2.0
    step({x: good})
    assert float(w.value) == 3.0


@pytest.mark.parametrize("inside", [False, True])
def test_a_guard_looks_on_the_device_and_names_the_node(inside: bool) -> None:
    g = gn.Graph()
    x = g.placeholder("x", (3,))
    w = g.parameter("w", 1.0)
    logs = gn.scan(lambda c, row: (c + gn.log(row), c), 0.0, x)[0] if inside else gn.sum(gn.log(x, name="logs"))
    step = gn.compile(logs, {w: w + 1.0}, backend="jax", guard="nan")
    assert float(step({x: np.ones(3)})) == 0.0
    assert type(g.state) is KeptDict or float(w.value) == 2.0
    for _ in range(2):
        with pytest.raises(gn.ValueRangeError, match="is NaN") as found:
            step({x: np.array([1.0, -1.0, 2.0])})
        assert "log" in str(found.value)
        assert found.value.stopped is not None
    assert float(w.value) == 2.0
    finite = gn.compile(1.0 / x, backend="jax", guard="finite")
    with pytest.raises(gn.ValueRangeError, match="inf"):
        finite({x: np.zeros(3)})


def test_loops_of_each_kind_are_ours() -> None:
    rng = np.random.default_rng(0)
    g = gn.Graph()
    x, n = g.placeholder("x", ("time", 3)), g.placeholder("n", (), "int64")
    v = g.parameter("v", rng.normal(size=3))
    forward, rows = gn.scan(lambda c, row: (gn.tanh(c * v + row), c * 2.0), v, x)
    back, _ = gn.scan(lambda c, row: (gn.sin(c + row), c), v, x, reverse=True)
    steps = gn.while_loop(lambda s: gn.sum(s[0]) < 50.0, lambda s: (s[0] * 1.5, s[1] + 1), (gn.exp(v), n), max_steps=40)
    root = gn.fixed_point(lambda z: gn.cos(z) * 0.5 + v, v)
    chosen = gn.cond(gn.sum(v) > n, lambda: gn.exp(v), lambda: v * 2.0)
    loss = gn.sum(forward) + gn.sum(rows * rows) + gn.sum(back) + gn.sum(steps[0]) + gn.sum(root) + gn.sum(chosen)
    fetches = [loss, steps[1], *gn.grad(loss, [v])]
    step = gn.compile(fetches, backend="jax")
    for time, count in ((5, 0), (0, 3), (1, -9)):
        feed = {x: rng.normal(size=(time, 3)), n: count}
        for found, right in zip(step(feed), gn.run(fetches, feed), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-9)
            assert found.dtype == right.dtype


def test_fit_trains_on_it_and_float32_stays_float32(tmp_path: Any) -> None:
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(64, 4)).astype(np.float32), rng.integers(0, 2, 64)
    found = []
    for backend in ("numpy", "jax"):
        g, rngs = gn.Graph("fit", "float32"), [np.random.default_rng(seed) for seed in (5, 6)]
        x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",), "int64")
        network = nn.Sequential(nn.Dense(8, rng=rngs[0]), nn.Tanh(), nn.Dense(2, rng=rngs[1]))
        loss = nn.softmax_crossentropy(network(x), y)
        step = gn.compile(loss, nn.Adam(nn.schedules.cosine(0.01, 20)).updates(loss), backend=backend)
        history = nn.fit(
            step, {x: X, y: Y}, epochs=4, batch_size=16, rng=np.random.default_rng(0), checkpoint=tmp_path / backend
        )
        found.append(history["loss"])
        assert all(value.dtype == np.float32 for node, value in g.state.items() if node.trainable)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_an_operation_without_a_rule_is_named_when_the_step_is_made(own_operations: None) -> None:
    class Cubed(Op):
        """x³."""

        def infer(self, x: gn.Spec) -> gn.Spec:
            return x

        def forward(self, x: Any) -> Any:
            return x**3

    class Halved(Cubed):
        """x / 2."""

        def forward(self, x: Any) -> Any:
            return x / 2

    g = gn.Graph()
    x = g.placeholder("x", (2,))
    node = Halved()(Cubed()(x))
    with pytest.raises(gn.NoRuleError, match=r"(cubed.*halved|halved.*cubed)"):
        gn.compile(node, backend="jax")
    rule("cubed")(lambda op, x: x**3)
    rule("halved")(lambda op, x: x / 2)
    assert gn.compile(node, backend="jax")({x: [2.0, 4.0]}).tolist() == [4.0, 32.0]
    del RULES["cubed"], RULES["halved"]


def test_what_is_not_done_is_said() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (2,))
    with pytest.raises(gn.UsageError, match="cpu:0"):
        gn.compile(x * 2.0, backend="jax", device="abacus")
    with pytest.raises(gn.UsageError, match=r"device= is for backend=.jax"):
        gn.compile(x * 2.0, backend="numpy", device="cpu")
    with pytest.raises(gn.UsageError, match="threads"):
        gn.compile(x * 2.0, backend="jax", threads=2)
    step = gn.compile(x * 2.0, backend="jax", device="cpu:0")
    assert step({x: [1.0, 2.0]}).tolist() == [2.0, 4.0]
    assert "cpu:0" in str(step.plan({x: [1.0, 2.0]}).explain())
    assert "mul" in step.plan({x: [1.0, 2.0]}).source


def test_the_settings_of_jax_are_left_alone() -> None:
    import jax

    before = jax.config.jax_enable_x64
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    assert gn.compile(x * 2.0, backend="jax")({x: [0.1]}).dtype == np.float64
    assert jax.config.jax_enable_x64 is before is False
    assert jax.numpy.asarray([0.1]).dtype == np.float32
