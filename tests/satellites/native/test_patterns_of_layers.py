"""Patterns of plans with loops, branches, recurrent layers and convolutions, against the interpreter to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from recorded import repeated_loop

import graphnn as gn
from graphnn import nn
from graphnn.control_flow import loop_lowering
from graphnn.native import loop_iterations
from graphnn.native.native_plan import Native

if TYPE_CHECKING:
    from graphnn.compiler.compile import Compiled

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.mark.filterwarnings("ignore::graphnn.errors.GraphnnWarning")
def test_a_pattern_of_a_loop_gives_the_words_that_planning_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_iterations, "LEAST", 4)
    monkeypatch.setattr(loop_iterations, "IN_ONE_GO", 4)
    found = [compared for number in range(60) if (compared := repeated_loop(0, number)) is not None]
    assert not [told for compared in found for told in compared.differences]
    assert len(found) > 4
    assert sum(compared.worded for compared in found) > 9


def trained(
    layer: Callable[[], nn.Layer], time: int | str, width: int = 4
) -> Callable[[str], tuple[Any, Any, Compiled]]:
    """Return what makes a training step of a recurrent layer, for a backend."""

    def made(backend: str) -> tuple[Any, Any, Compiled]:
        g = gn.Graph(dtype="float32")
        x, y = g.placeholder("x", ("batch", time, width)), g.placeholder("y", ("batch", time), "int64")
        loss = nn.softmax_crossentropy(nn.Sequential(layer(), nn.Dense(3))(x), y)
        return x, y, gn.compile(loss, nn.Adam(0.01).updates(loss), backend=backend)

    return made


def check(made: Callable[[str], tuple[Any, Any, Compiled]], shapes: list[tuple[int, ...]], classes: int = 3) -> int:
    """Train natively and by the interpreter; return how many plans came from a pattern."""
    runs = [made(backend) for backend in ("native", "interpreter")]
    start = [value.copy() for value in runs[0][0].graph.state.values()]
    for x, _, _ in runs:
        for parameter, value in zip(list(x.graph.state), start, strict=True):
            parameter.value = value
    from_patterns = 0
    for shape in shapes:
        rng = np.random.default_rng(shape)
        x, y, step = runs[0]
        labels = shape[: y.ndim]
        fed = rng.normal(size=shape).astype(np.float32), rng.integers(0, classes, labels)
        plan = step.plan({x: fed[0], y: fed[1]})
        assert isinstance(plan, Native)
        from_patterns += plan._drafted is None
        losses = [step({x: fed[0], y: fed[1]}).tobytes() for x, y, step in runs]
        assert losses[0] == losses[1], shape
    states = [[value.tobytes() for value in x.graph.state.values()] for x, _, _ in runs]
    assert states[0] == states[1]
    return from_patterns


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_over_any_time_are_repeated_to_the_bit(layer: Any) -> None:
    shapes = [(6, 70, 4), (6, 83, 4), (6, 90, 4), (6, 99, 4), (9, 77, 4), (6, 21, 4), (6, 9, 4), (1, 80, 4), (6, 85, 4)]
    assert check(trained(lambda: layer(5), "time"), shapes) >= 4


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_that_are_written_out_are_repeated_to_the_bit(layer: Any) -> None:
    shapes = [(33, 7, 4), (41, 7, 4), (57, 7, 4), (58, 7, 4), (1, 7, 4), (39, 7, 4), (300, 7, 4)]
    assert check(trained(lambda: layer(5), 7), shapes) >= 3


def test_convolutions_and_pooling_are_repeated_to_the_bit() -> None:
    def made(backend: str) -> tuple[Any, Any, Compiled]:
        g = gn.Graph(dtype="float32")
        x, y = g.placeholder("x", ("batch", 2, 10, 9)), g.placeholder("y", ("batch",), "int64")
        layers = [
            nn.Conv2D(4, 3, padding="same"),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.MaxPool2D(2),
            nn.Conv2D(3, 2, stride=2),
        ]
        network = nn.Sequential(*layers, nn.AveragePool2D(2), nn.Flatten(), nn.Dense(3))
        loss = nn.softmax_crossentropy(network(x, training=True), y)
        return x, y, gn.compile(loss, nn.SGD(0.1).updates(loss), backend=backend)

    sizes = [33, 41, 57, 58, 39, 5, 1, 130, 44]
    assert check(made, [(n, 2, 10, 9) for n in sizes]) >= 4


def test_a_branch_over_rows_is_repeated_to_the_bit() -> None:
    g = gn.Graph()
    x, flag = g.placeholder("x", ("rows", 4)), g.placeholder("flag", (), bool)
    w = g.parameter("w", np.random.default_rng(0).normal(size=(4, 4)))
    found = gn.cond(flag, lambda a: gn.tanh(a @ w), lambda a: gn.concatenate([a[:, 2:], a[:, :2]], 1) * 3.0, x)
    fetches = [gn.sum(found, 0), gn.grad(gn.sum(found * found), w)]
    step, by_patterns = gn.compile(fetches, backend="native"), 0
    for n in (20, 23, 31, 29, 0, 30):
        for choice in (True, False):
            feed = {x: np.random.default_rng(n).normal(size=(n, 4)), flag: choice}
            plan = step.plan(feed)
            by_patterns += plan._drafted is None  # type: ignore[attr-defined]
            for value, right in zip(step(feed), gn.run(fetches, feed), strict=True):
                assert value.tobytes() == right.tobytes()
    assert by_patterns >= 6


def test_the_body_of_a_loop_is_planned_once_for_all_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[Any] = []
    made = loop_lowering._plan_of
    monkeypatch.setattr(loop_lowering, "_plan_of", lambda *how: planned.append(how) or made(*how))
    x, y, step = trained(lambda: nn.GRU(5), "time")("native")
    for n, time in enumerate((70, 83, 91, 95, 87, 99)):
        rng = np.random.default_rng(n)
        feed = {x: rng.normal(size=(6, time, 4)).astype("f4"), y: rng.integers(0, 3, (6, time))}
        step.plan(feed)
        step(feed)
        if n == 1:
            planned.clear()
    assert step._planner._found
    assert len(planned) <= 2  # forwards and backwards, of a pattern that was recorded since


@pytest.mark.plans_where_it_pays
def test_a_loop_over_sequences_has_a_pattern_at_the_fourth_length() -> None:
    x, y, step = trained(lambda: nn.GRU(5), "time")("native")
    calls = 0
    while not step._planner._found:
        time = 70 + 37 * calls % 50
        rng = np.random.default_rng(calls)
        step({x: rng.normal(size=(6, time, 4)).astype("f4"), y: rng.integers(0, 3, (6, time))})
        calls += 1
    assert calls == 4


def test_what_a_loop_keeps_in_wider_words_is_left_to_planning() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("time", 3))
    last, halves = gn.scan(lambda h, row: (h + row, gn.cast(h, "float32")), gn.zeros(3, graph=g), x)
    step = gn.compile([last, halves], backend="native")
    for time in (20, 23, 30):
        feed = {x: np.random.default_rng(time).normal(size=(time, 3))}
        step.plan(feed)
        for value, right in zip(step(feed), gn.run([last, halves], feed), strict=True):
            assert value.tobytes() == right.tobytes()
    assert not step._planner._found


def test_no_pattern_holds_for_an_axis_into_which_no_window_fits() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n", 11))
    step = gn.compile(gn.windows(x, (4,), axes=(0,)), backend="native")
    for rows in (17, 1, 2, 9, 3, 13):
        feed = {x: np.arange(11.0 * rows).reshape(rows, 11)}
        if rows < 4:
            with pytest.raises(gn.ShapeError, match="does not fit"):
                step.plan(feed)
        else:
            step.plan(feed)
            np.testing.assert_array_equal(step(feed), gn.run(step.fetches[0], feed))
