"""Loops and branches in the engine of pages against Python: values of all nodes, gradients, and steps of training."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engine_runs import NODE, Run, differences, in_node, lstm
from random_bodies import random_loop
from scan_bodies import BODIES, drawn

import graphnn as gn
from graphnn import nn
from graphnn.pages import engine

CASES: dict[str, Callable[[], Any]] = {}
"""{name: makes (fetches, feed)}"""
RNG = np.random.default_rng


def case(make: Callable[..., Any]) -> Callable[..., Any]:
    CASES[make.__name__.replace("_", " ")] = make
    return make


def of_jax(name: str, recompute: Any) -> Any:
    """Return a loop of those that are compared with JAX, with its gradients and its tangent."""
    body, rng, g = BODIES[name], RNG(len(name)), gn.Graph()
    m = SimpleNamespace(**{each: getattr(gn, each) for each in dir(gn) if each.islower()})
    m.eye, m.slope = lambda n: gn.eye(n, graph=g), lambda function, x: gn.grad(function(x), x)
    p, init, xs = (
        {
            key: g.parameter(f"{kind}/{key}", array, trainable=np.asarray(array).dtype.kind == "f")
            for key, array in drawn(shapes, rng).items()
        }
        for kind, shapes in (("p", body.p), ("init", body.init), ("xs", body.xs))
    )
    given = [node for nodes in (p, init, xs) for node in nodes.values() if node.dtype.kind == "f"]

    def step(state: Any, row: Any = None) -> Any:
        return body.step(m, p, state, row)

    last, results = gn.scan(
        step, init, xs or None, body.reverse, length=None if xs else body.length, recompute=recompute
    )
    found = [*gn.core.flatten(last)[0], *(gn.core.flatten(results)[0] if results is not None else [])]
    loss: Any = sum(gn.sum(gn.sin(x)) for x in found if x.dtype.kind == "f")
    moved = gn.jvp(loss, {node: np.sin(node.value) for node in given})
    return [*found, *gn.grad(loss, given), moved], {}


for _name in BODIES:
    CASES[f"of jax: {_name}"] = lambda name=_name: of_jax(name, False)
for _name in ("lstm", "nested", "mixed", "counted"):
    CASES[f"of jax in segments: {_name}"] = lambda name=_name: of_jax(name, 2)


@case
def no_iterations() -> Any:
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time", 2)), g.parameter("w", [0.5, 2.0])
    last, all_ = gn.scan(lambda h, x: (gn.tanh(h + x * w), h), np.ones(2), xs)
    return [last, all_, *gn.grad(gn.sum(last) + gn.sum(all_), [w, xs])], {xs: np.zeros((0, 2))}


@case
def float32_with_integers_and_bools() -> Any:
    g = gn.Graph()
    xs, b = g.placeholder("xs", ("time", "b"), "float32"), g.parameter("b", np.float32(0.5))

    def step(state: Any, x: Any) -> Any:
        h, count, seen = state
        h = gn.tanh(h * b + x)
        return (h, count + gn.cast(h > 0, "int64"), gn.logical_or(seen, x > 1.0)), (
            h,
            count,
            seen,
            gn.cast(h, "float64"),
        )

    zeros = gn.sum(xs, axis=0) * np.float32(0)
    last, results = gn.scan(step, (zeros, gn.cast(zeros, "int64"), zeros > 1), xs)
    slopes = gn.grad(gn.sum(last[0]) + gn.sum(gn.square(results[0])), [b, xs])
    return [*last, *results, *slopes], {xs: RNG(0).normal(size=(5, 3)).astype(np.float32)}


@case
def small_integers_and_float16() -> Any:
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",), "int8")
    half = g.constant(np.float16(0.1))

    def step(state: Any, x: Any) -> Any:
        a, h = state
        return (a + x, h + gn.cast(x, "float16") * half), (a, h, x > 2)

    last, results = gn.scan(step, (g.constant(np.int8(100)), half), xs)
    return [*last, *results], {xs: np.array([3, 20, 4, 5, -9], np.int8)}


@case
def integers_that_doubles_would_round() -> Any:
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",), np.int64)
    large = g.constant(np.int64(0x1E3779B97F4A7C15))
    state, all_ = gn.scan(lambda s, x: gn.bitwise_and(s * large + x, 2**62 - 1), g.constant(np.int64(7)), xs)
    return [gn.bitwise_and(state, 2**30 - 1), gn.bitwise_and(all_, 2**20 - 1)], {xs: [1, 2, 3, 4]}


@case
def masked_rows() -> Any:
    g = gn.Graph()
    xs, mask = g.placeholder("xs", ("time", "b", 2)), g.placeholder("mask", ("time", "b"), bool)
    w = g.parameter("w", RNG(1).normal(size=(2, 2)))
    last, all_ = gn.scan(lambda h, x: gn.tanh(h @ w + x), xs[0] * 0.0, xs, mask=mask, reverse=True)
    feed = {xs: RNG(2).normal(size=(4, 3, 2)), mask: RNG(3).random((4, 3)) < 0.6}
    return [last, all_, *gn.grad(gn.sum(last * all_[0]), [w, xs])], feed


@case
def second_derivatives_of_a_scan() -> Any:
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time",)), g.parameter("w", 0.7)
    last, _ = gn.scan(lambda h, x: gn.sin(h * w + x), 0.3, xs)
    first = gn.grad(last, w)
    return [first, gn.grad(first, w), gn.grad(first, xs), gn.jvp(first, {w: 1.0})], {xs: [0.1, -0.4, 0.9]}


def branched(flag: bool) -> Any:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n",)), g.parameter("w", 0.7)
    taken = g.placeholder("taken", (), bool)
    found = gn.cond(taken, lambda: (gn.exp(x * w), gn.sum(x)), lambda: (x**2, gn.sum(x) * w))
    loss = gn.sum(found[0]) * found[1]
    return [*found, *gn.grad(loss, [x, w]), gn.jvp(loss, {w: 1.0})], {x: [0.5, -1.0, 2.0], taken: flag}


CASES["a branch, then"], CASES["a branch, otherwise"] = lambda: branched(True), lambda: branched(False)


@case
def branches_in_loops_and_loops_in_branches() -> Any:
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time",)), g.parameter("w", 0.7)

    def step(h: Any, x: Any) -> Any:
        inner = lambda: gn.scan(lambda a, y: gn.tanh(a * w + y), h, xs)[0]  # noqa: E731
        return gn.cond(x > 0, inner, lambda: gn.cond(h > 0.2, lambda: h * w, lambda: h + x))

    last, all_ = gn.scan(step, 0.3, xs)
    return [last, all_, *gn.grad(gn.sum(all_), [w, xs])], {xs: [0.5, -0.4, 0.9, -2.0, -0.1]}


def going_on(start: float, limit: int | None) -> Any:
    g = gn.Graph()
    x, w = g.placeholder("x", ()), g.parameter("w", 1.5)
    last, count = gn.while_loop(lambda s: s < 10.0, lambda s: s * w + 0.1, x, limit, steps=True)
    slopes = gn.grad(last, [x, w]) if limit else [gn.jvp(last, {w: 1.0})]
    return [last, count, *slopes], {x: start}


for _start, _limit in [(1.0, 20), (1.0, 3), (20.0, 20), (1.0, None), (20.0, None)]:
    CASES[f"while from {_start}, at most {_limit}"] = lambda a=_start, b=_limit: going_on(a, b)


@case
def a_loop_that_ends_early_in_each_iteration_of_another() -> Any:
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("time",)), g.parameter("w", 1.3)

    def step(h: Any, x: Any) -> Any:
        found = gn.while_loop(lambda s: s[0] < 3.0, lambda s: (s[0] * w + x, s[1] + 1), (gn.absolute(h) + 0.1, 0), 12)
        return found[0] * 0.3, found[1]

    last, counts = gn.scan(step, 0.2, xs)
    return [last, counts, *gn.grad(last, [w, xs])], {xs: [0.5, 0.01, 4.0, 0.2]}


def settled(dtype: str) -> Any:
    g = gn.Graph()
    x = g.placeholder("x", (4,), dtype)
    w = g.parameter("w", (RNG(0).normal(size=(4, 4)) * 0.3).astype(dtype))
    z, count = gn.fixed_point(lambda z: gn.tanh(w @ z + x), x * x.dtype.type(0), steps=True)
    return [z, count, *gn.grad(gn.sum(gn.sin(z)), [x, w]), gn.jvp(gn.sum(z), {w: np.ones((4, 4), dtype)})], {
        x: np.linspace(-1, 1, 4).astype(dtype)
    }


CASES["a fixed point"], CASES["a fixed point in float32"] = lambda: settled("float64"), lambda: settled("float32")


@case
def a_fixed_point_that_becomes_nan() -> Any:
    g = gn.Graph()
    x = g.placeholder("x", ())
    return [gn.fixed_point(lambda z: gn.log(z - 5.0) + x, x)], {x: 1.0}


@case
def many_rows_at_once() -> Any:
    g = gn.Graph()
    xs, w = g.placeholder("xs", ("n", "time")), g.parameter("w", 0.7)
    scanned = gn.vmap(lambda row: gn.scan(lambda h, x: gn.tanh(h * w + x), 0.0, row)[1])(xs)
    whiles = gn.vmap(lambda x: gn.while_loop(lambda s: s < 5.0, lambda s: s * 2.0 + w, x, 9))(gn.absolute(xs[:, 0]))
    return [scanned, whiles, gn.grad(gn.sum(scanned) + gn.sum(whiles), w)], {xs: RNG(0).normal(size=(3, 4))}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made = {name: Run(*make()) for name, make in CASES.items()}
    found = in_node(list(made.values()), tmp_path_factory.mktemp("node"))
    return dict(zip(made, zip(made.values(), found, strict=True), strict=True))


if NODE:

    @pytest.mark.parametrize("name", CASES)
    def test_values_and_derivatives_are_those_of_python(name: str, runs: Any) -> None:
        assert differences(*runs[name]) == []

    def test_random_loops_and_their_trainings_are_those_of_python(tmp_path: Path) -> None:
        """Their steps draw random numbers, too: each iteration its own."""
        made = [Run(fetches, feeds[0]) for fetches, feeds, _ in (random_loop(0, number) for number in range(40))]
        wrong = [differences(run, found) for run, found in zip(made, in_node(made, tmp_path), strict=True)]
        assert [each[:3] for each in wrong if each] == []

    def test_training_an_lstm_is_as_in_python(tmp_path: Path) -> None:
        step, feed = lstm()
        run = Run(step, feed, steps=100)
        (found,) = in_node([run], tmp_path)
        np.testing.assert_allclose(found["losses"], [step(feed) for _ in range(100)], rtol=1e-6)

    def test_dropout_in_a_loop_draws_in_every_iteration_and_step_as_in_python(tmp_path: Path) -> None:
        g = gn.Graph()
        xs = g.placeholder("xs", ("time", 4))
        w = g.parameter("w", RNG(0).normal(size=(4, 4)) / 2)
        drop = nn.Dropout(0.4, rng=RNG(1))
        last, _ = gn.scan(lambda h, x: drop(gn.tanh(h @ w + x)), np.zeros(4), xs)
        loss = gn.sum(gn.square(last - 1.0))
        step = gn.compile(loss, updates=nn.SGD(0.05).updates(loss))
        feed = {xs: RNG(2).normal(size=(5, 4))}
        (found,) = in_node([Run(step, feed, steps=20)], tmp_path)
        np.testing.assert_allclose(found["losses"], [step(feed) for _ in range(20)], rtol=1e-9)

    def test_other_sizes_than_those_of_the_recording_are_bound_in_bodies_too(tmp_path: Path) -> None:
        def made(batch: int, time: int) -> Run:
            g = gn.Graph()
            xs, w = g.placeholder("xs", ("time", "batch", 2)), g.parameter("w", RNG(1).normal(size=(2, 2)))

            def step(h: Any, x: Any) -> Any:
                h = gn.tanh(gn.concatenate([h, x], 0)[: h.shape[0]] @ w + x)
                return h, (h > 0, gn.mean(h, 0), gn.cast(h * 100, "int32"))

            last, results = gn.scan(step, xs[0], xs)
            slopes = gn.grad(gn.sum(last) + gn.sum(results[1]), [w, xs])
            return Run([last, *results, *slopes], {xs: RNG(2).normal(size=(time, batch, 2))})

        one, other = made(3, 4), made(5, 7)
        (found,) = in_node([one], tmp_path, fed_as=other)
        assert differences(other, found) == []

    def test_what_does_not_settle_is_an_error_of_the_page(tmp_path: Path) -> None:
        def made(x: float) -> Run:
            g = gn.Graph()
            w = g.placeholder("w", ())
            return Run([gn.fixed_point(lambda z: w * z + 1.0, w * 0.0, max_steps=60)], {w: x})

        def other() -> Run:
            run = made(0.5)
            run.live["given"] = [
                [i, run.maker.values.store(np.asarray(1.5))] for i, _ in run.live["given"][:1]
            ] + run.live["given"][1:]
            return run

        (found,) = in_node([other()], tmp_path)
        assert "does not stay as it is: in step 60 of at most 60" in found["error"]


def test_what_is_missing_in_a_body_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    deep = gn.scan(lambda h, x: gn.cond(x > 0, lambda: gn.arctan(h), lambda: h), 0.0, xs)[0]
    without = engine.operations() - {"arctan"}
    monkeypatch.setattr("graphnn.pages.engine.operations", lambda: without)
    trace = gn.trace(deep, {xs: [1.0]})
    assert trace.to_html().data["live"]["missing"] == ["arctan"]
    with pytest.raises(gn.UsageError, match="it has arctan, which the engine"):
        trace.to_html(live=True)


def test_dtypes_that_a_page_does_not_hold_are_named_also_in_a_body() -> None:
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",), "float32")
    last = gn.scan(lambda h, x: h + gn.cast(gn.cast(x, "bfloat16"), "float32"), np.float32(0), xs)[0]
    trace = gn.trace(last, {xs: np.ones(3, np.float32)})
    assert trace.to_html().data["live"]["why"] == "it has values of bfloat16, which the engine of pages does not hold"
    with pytest.raises(gn.UsageError, match="values of bfloat16"):
        trace.to_html(live=True)


def test_loops_that_keep_more_for_gradients_are_one_in_the_page() -> None:
    step, feed = lstm()
    live = Run(step, feed).live
    assert sum(op == "loop" for op in live["nodes"]["op"]) == 2
