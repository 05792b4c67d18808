"""Scaled losses: float16 without underflow, steps left out after an overflow, and what the health check says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn


def half(size: float = 1e-4) -> tuple[gn.Graph, gn.Node, gn.Node]:
    """Return a graph in float16, a parameter and a loss in float32, whose gradient is `size` · x."""
    g = gn.Graph("half", dtype=np.float16)
    w, x = g.parameter("w", [1.0, -2.0]), g.placeholder("x", (2,))
    return g, w, gn.sum(gn.cast(w * x, "float32")) * size


def test_gradients_that_float16_rounds_to_zero_are_kept() -> None:
    fed = {"x": [1e-4, 2e-4]}
    g, w, loss = half()
    gn.compile(loss, nn.SGD(5e4).updates(loss))(fed)
    assert w.value.tolist() == [1.0, -2.0], "without a scale, nothing moves"
    step = gn.compile(loss, nn.SGD(5e4).updates(loss, loss_scale=nn.LossScale()))
    step(fed)
    np.testing.assert_allclose(g["sgd_2/w/precise"].value, [1.0 - 5e-4, -2.0 - 1e-3], rtol=1e-6)
    assert w.value.dtype == np.float16
    assert np.array_equal(w.value, g["sgd_2/w/precise"].value.astype(np.float16))


def test_steps_smaller_than_float16_add_up() -> None:
    g, w, loss = half(1.0)
    step = gn.compile(loss, nn.SGD(1e-4).updates(loss, loss_scale=128.0))
    for _ in range(100):
        step({"x": [1.0, 1.0]})
    np.testing.assert_allclose(w.value, [0.99, -2.01], rtol=1e-3)
    w.value = [5.0, -5.0]  # the copy follows
    step({"x": [1.0, 1.0]})
    np.testing.assert_allclose(g["sgd_1/w/precise"].value, [5.0 - 1e-4, -5.0 - 1e-4], rtol=1e-7)


def test_after_a_reset_a_copy_begins_at_its_parameter_and_first_values_hold_no_copies() -> None:
    g, w, loss = half(1.0)
    optimizer = nn.SGD(1e-4)
    step = gn.compile(loss, optimizer.updates(loss, loss_scale=128.0))
    for _ in range(2):
        step({"x": [1.0, 1.0]})
    copy = g["sgd_1/w/precise"]
    assert not np.array_equal(copy.value, w.value)
    optimizer.reset()
    assert np.array_equal(copy.value, w.value)
    assert copy.value.dtype == np.float32


@pytest.mark.each_backend
def test_after_an_overflow_nothing_moves_but_the_scale() -> None:
    g = gn.Graph()
    w, x = g.parameter("w", [1.0, 2.0]), g.placeholder("x", (2,))
    loss = gn.sum(gn.square(w * x))
    optimizer = nn.Adam(nn.schedules.exponential(0.1, 0.5), clip_norm=1.0)
    ema = nn.EMA(0.5)
    step = gn.compile(loss, ema.updates(optimizer.updates(loss, loss_scale=nn.LossScale(16.0, interval=2))))
    scale = g["loss_scale_1/scale"]
    seen = []
    for fed in ([1.0, 1.0], [np.inf, 1.0], [1.0, 1.0], [1.0, 1.0], [np.nan, 1.0], [1.0, 1.0]):
        before = {node.name: node.value for node in g.state if not node.name.startswith("loss_scale")}
        step({"x": fed})
        still = all(np.array_equal(value, g[name].value) for name, value in before.items())
        assert still == (not np.isfinite(fed).all())
        seen.append(float(scale.value))
    assert seen == [16.0, 8.0, 8.0, 16.0, 8.0, 8.0]
    assert g["adam_1/step"].value == g["ema_1/decay/step"].value == 4


@pytest.mark.parametrize("scale", [1024.0, nn.LossScale(1024.0)])
def test_a_scale_that_is_a_power_of_two_changes_no_bit(scale: Any) -> None:
    def trained(loss_scale: Any) -> list[Any]:
        g, x = gn.Graph(), np.random.default_rng(0).normal(size=(8, 3))
        inputs = g.placeholder("x", ("batch", 3))
        loss = gn.mean(gn.square(nn.Dense(2, rng=np.random.default_rng(1))(inputs) - 1.0))
        step = gn.compile(loss, nn.Adam(0.01, clip_norm=0.5).updates(loss, loss_scale=loss_scale))
        for _ in range(5):
            step({"x": x})
        return [node.value for node in g.parameters]

    assert all(np.array_equal(*pair) for pair in zip(trained(None), trained(scale), strict=True))


def test_the_scale_stays_within_its_dtype() -> None:
    for dtype, most in ((np.float16, 2.0**15), (np.float32, 2.0**127)):
        g = gn.Graph(dtype=dtype)
        w = g.parameter("w", 1.0)
        scale = nn.LossScale(most / 2, growth=8.0, interval=1)
        step = gn.compile(w, nn.SGD(0.0).updates(w * 0.5, loss_scale=scale))
        for _ in range(3):
            step()
        assert g["loss_scale_1/scale"].value == most


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_scale_never_falls_to_0(dtype: Any) -> None:
    g = gn.Graph(dtype=dtype)
    w, x = g.parameter("w", 1.0), g.placeholder("x", ())
    step = gn.compile(w, nn.SGD(0.5).updates(w * x, loss_scale=nn.LossScale(8.0, backoff=0.01, interval=1)))
    scale = g["loss_scale_1/scale"]
    for _ in range(4):
        step({"x": np.inf})
    assert scale.value == 2.0**-14
    (found,) = [each for each in gn.check_health(step, {"x": np.inf}).findings if each.code == "scale-overflow"]
    assert found.cause.endswith("loss_scale_1/scale is 6.10352e-05, and it is never less")
    scale.value = 0.0  # by hand: 0 / 0 is not finite, so the scale comes back
    step({"x": 1.0})
    assert (scale.value, w.value) == (2.0**-14, 1.0)
    step({"x": 1.0})
    assert (scale.value, w.value) == (2.0**-13, 0.5)


def test_the_health_check_says_why_a_step_moves_nothing() -> None:
    g = gn.Graph()
    w, x = g.parameter("w", [1.0, 2.0]), g.placeholder("x", (2,))
    loss = gn.sum(gn.square(w * x))
    step = gn.compile(loss, nn.SGD(0.1).updates(loss, loss_scale=nn.LossScale(16.0)))
    assert not gn.check_health(step, {"x": [1.0, 1.0]}).findings
    (found,) = [each for each in gn.check_health(step, {"x": [1e160, 1.0]}).notes if each.code == "scale-overflow"]
    assert found.severity == "note"
    assert found.cause == (
        "the gradients of w are not finite, so the step changes no parameter; loss_scale_1/scale is 16, and becomes 8"
    )
    g["loss_scale_1/scale"].value = 0.5
    (found,) = [each for each in gn.check_health(step, {"x": [1e160, 1.0]}).findings if each.code == "scale-overflow"]
    assert found.severity == "warning"
    assert found.remedy == "look at the loss: its own gradients overflow"


def test_the_health_check_looks_at_gradients_without_the_scale() -> None:
    g = gn.Graph()
    w, x = g.parameter("w", [[1.0, 2.0], [3.0, 4.0]]), g.placeholder("x", ("n", 2))
    loss = gn.mean(gn.square(x @ w))
    step = gn.compile(loss, nn.SGD(0.01).updates(loss, loss_scale=2.0**60))
    assert not gn.check_health(step, {"x": np.eye(2)}).findings


def test_another_optimizer_for_some_parameters_leaves_the_scale_whole() -> None:
    g = gn.Graph()
    w, b = g.parameter("w", 1.0), g.parameter("b", 2.0)
    loss = (w * b) ** 2
    nn.SGD(0.1).updates(loss, loss_scale=nn.LossScale())
    before = {p.name for p in g.updates if "loss_scale" in p.name}
    nn.SGD(0.1).updates(loss, [b])
    assert {p.name for p in g.updates if "loss_scale" in p.name} == before
    assert len(before) == 2
    nn.SGD(0.1).updates(loss)
    assert not {p.name for p in g.updates if "loss_scale" in p.name}


def test_errors() -> None:
    g, w, loss = half()
    short, vector = gn.cast(loss, "float16"), w * 1.0
    before = len(g)
    bad: list[tuple[type[gn.GraphnnError], str, Callable[[], Any]]] = [
        (gn.UsageError, "loss_scale is a number, not 'dynamic'", lambda: nn.SGD().updates(loss, loss_scale="dynamic")),  # type: ignore[arg-type]
        (
            gn.ValueRangeError,
            "loss_scale is 6.10352e-05 or more, .*, not 0",
            lambda: nn.SGD().updates(loss, loss_scale=0),
        ),
        (gn.ValueRangeError, "or more, .*not 1e-300", lambda: nn.SGD().updates(loss, loss_scale=1e-300)),
        (gn.ValueRangeError, "LossScale: initial is 6.10352e-05 or more, not 1e-05", lambda: nn.LossScale(1e-5)),
        (gn.ValueRangeError, "and less than 65536, not 65536", lambda: nn.SGD().updates(short, loss_scale=2.0**16)),
        (gn.ShapeError, "needs a scalar", lambda: nn.SGD().updates(vector, loss_scale=2.0)),
        (
            gn.UsageError,
            "loss_scale= computes the gradients itself",
            lambda: nn.SGD().updates(gradients={w: w}, loss_scale=2.0),
        ),
        (gn.ValueRangeError, "LossScale: backoff is more than 0, and less than 1", lambda: nn.LossScale(backoff=1.0)),
        (gn.ValueRangeError, "LossScale: growth is 1 or more", lambda: nn.LossScale(growth=0.5)),
        (gn.ValueRangeError, "LossScale: interval is an int of 1 or more", lambda: nn.LossScale(interval=0)),
    ]
    for kind, words, case in bad:
        with pytest.raises(kind, match=words):
            case()
    assert len(g) == before, "a refused call leaves no node behind"
    assert not g.updates


@pytest.mark.parametrize("kind", [nn.Adam, nn.AdamW, nn.Nadam, nn.RMSProp, nn.Adagrad])
def test_an_epsilon_that_is_0_in_float16_is_warned_of(kind: Any) -> None:
    g = gn.Graph(dtype=np.float16)
    w, v = g.parameter("w", [1.0, 2.0]), g.parameter("v", 3.0)
    loss = gn.sum(w * w) * v
    with pytest.warns(
        gn.GraphnnWarning, match=rf"{kind.__name__}: epsilon=1e-\d+ is 0 in float16.*loss_scale"
    ) as caught:
        kind(0.1).updates(loss)
    assert [each.filename for each in caught] == [__file__]
    for settings in ({"epsilon": 1e-4}, {"epsilon": 0.0}):
        kind(0.1, **settings).updates(loss)
    kind(0.1).updates(loss, loss_scale=1.0)
