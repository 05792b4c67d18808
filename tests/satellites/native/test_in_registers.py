"""Loops over a few numbers, which hold their states in registers, against the interpreter, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.control_flow.bundle import item_of
from graphnn.control_flow.loop_body import text_of
from graphnn.control_flow.loop_op import Loop
from graphnn.native import llvm_scalars, scalar_loops, selftest
from graphnn.native.scalar_loops import InRegisters

SPECIAL = (np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-320, 1e300, -1e300)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of iterations of each loop in registers; few are made at once."""
    made: list[int] = []
    run = InRegisters._run

    def counted(self: InRegisters, *arguments: Any) -> int:
        done = run(self, *arguments)
        made.append(done)
        return done

    monkeypatch.setattr(InRegisters, "_run", counted)
    monkeypatch.setattr(scalar_loops, "AT_ONCE", 16)
    return made


def check(fetches: list[gn.Node], feed: dict[gn.Node, Any]) -> None:
    """Compare a native step, called twice, with the interpreter; the sign of a NaN is left open."""
    expected = gn.run(fetches, feed)
    step = gn.compile(fetches, backend="native")
    step.plan(feed)
    for _ in range(2):
        for value, right in zip(step(feed), expected, strict=True):
            assert value.dtype == right.dtype
            if value.dtype.kind == "f":
                nan = np.isnan(right)
                assert np.array_equal(np.isnan(value), nan)
                value, right = np.where(nan, 0, value), np.where(nan, 0, right)
            assert value.tobytes() == right.tobytes()


def numbers(length: int, shape: tuple[int, ...] = (), dtype: str = "float64") -> Any:
    """Return rows with special numbers in them."""
    rng = np.random.default_rng(length)
    x = rng.normal(size=(length, *shape))
    x.reshape(-1)[rng.integers(x.size // 2, x.size, len(SPECIAL))] = SPECIAL
    with np.errstate(over="ignore", under="ignore"):
        return x.astype(dtype)


STEPS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "a function that the next iteration waits for": lambda h, x, w: (gn.tanh(w * h + x), h),
    "functions that none waits for": lambda h, x, w: (w * h + gn.sin(x), gn.exp(gn.tanh(h)) * gn.cos(gn.exp(x))),
    "choices": lambda h, x, w: (gn.where(h > x, gn.minimum(h, 2.0) * w, gn.clip(x, -1.0, 0.9)), (h > 0.0, gn.sign(x))),
    "binary functions": lambda h, x, w: (h * 0.5 + gn.power(gn.absolute(x), w), gn.power(gn.absolute(h) + 1.0, x)),
    "the state before": lambda h, x, w: (gn.exp(x), h),
    "casts": lambda h, x, w: (gn.cast(gn.cast(h * w, "float32"), h.dtype) + x, gn.cast(x > h, "int64")),
    "sigmoids": lambda h, x, w: (gn.sigmoid(h) * w + gn.softplus(x), gn.gelu(h)),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(
    ("length", "shape", "dtype"), [(16, (), "float64"), (67, (3,), "float32"), (50, (2, 8), "float64")]
)
def test_loops_and_gradients_have_the_bits_of_the_interpreter(
    name: str, length: int, shape: tuple[int, ...], dtype: str, taken: list[int]
) -> None:
    g = gn.Graph(dtype=dtype)
    rows, start = g.placeholder("rows", ("time", *shape), dtype), g.placeholder("start", shape, dtype)
    w = g.parameter("w", np.asarray(0.7, dtype))
    for reverse in (False, True):
        last, results = gn.scan(lambda h, x: STEPS[name](h, x, w), start, rows, reverse=reverse)
        every = [last, *gn.core.flatten(results)[0]]
        loss = gn.mean(last) + sum((gn.mean(x) for x in every[1:] if x.dtype.kind == "f"), 0.0)
        check(
            [*every, gn.grad(loss, rows), gn.grad(loss, start)],
            {rows: numbers(length, shape, dtype), start: np.full(shape, 0.25, dtype)},
        )
    assert taken
    assert set(taken) == {length}


def test_the_gradient_of_a_weight_adds_up_over_the_iterations(taken: list[int]) -> None:
    g = gn.Graph()
    rows, weights = g.placeholder("rows", ("time",)), g.parameter("weights", np.array([0.7, 0.1]))
    h0 = g.placeholder("h0", ())
    # Parts of a larger array are read, and two states wait for each other.
    (last, other), each = gn.scan(
        lambda state, x: ((gn.tanh(weights[0] * state[1] + x), state[0] + weights[1]), state[0] * x), (h0, h0), rows
    )
    loss = gn.mean(gn.square(each)) + last * other
    check([loss, *gn.grad(loss, [weights, rows, h0])], {rows: numbers(100)[:50], h0: 0.5})
    assert taken == [50] * 4


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40, 320])
def test_a_condition_ends_a_loop(count: int, taken: list[int]) -> None:
    g = gn.Graph()
    end, start = g.placeholder("end", (), "int64"), g.placeholder("start", ())
    (n, h), steps = gn.while_loop(
        lambda s: s[0] < end, lambda s: (s[0] + 1, gn.exp(-s[1]) + gn.sin(s[1])), (np.int64(0), start), 320, steps=True
    )
    check([n, h, steps, gn.grad(h, start)], {end: count, start: 0.3})
    assert taken[0] == count


@pytest.mark.parametrize("count", [-1, 0, 16, 33, 100])
@pytest.mark.parametrize("backwards", [False, True])
def test_numbers_of_iterations_are_read(count: int, backwards: bool, taken: list[int]) -> None:
    body = gn.Graph("body")
    number, state = body.placeholder("number", (), "int64"), body.placeholder("state", (2,))
    row = body.placeholder("row", (2,))
    following = gn.sin(state * 1.5 + row) + gn.cast(number, "float64")
    kept = (("each", following.index), ("last", 0), ("count", 0))
    loop = Loop(text_of(body), (), (), 100, (following.index,), 1, kept, True, True, backwards)
    g = gn.Graph()
    operands = g.placeholder("count", (), "int64"), g.placeholder("start", (2,)), g.placeholder("rows", (100, 2))
    bundle = loop(*operands)
    feed = dict(zip(operands, (count, [1.0, 2.0], numbers(100, (2,))), strict=True))
    check([item_of(bundle, loop.place(*each)) for each in kept], feed)
    assert taken == ([count] * 2 if count >= 16 else [])


def test_integers_and_bools_are_carried(taken: list[int]) -> None:
    g = gn.Graph()
    rows = g.placeholder("rows", ("time", 3))

    def step(state: Any, row: gn.Node) -> Any:
        count, seen, before = state
        seen = gn.logical_or(seen, row > 2.0)
        return (count + gn.cast(seen, "int64"), seen, row), (before, count, seen)

    zeros = gn.zeros((3,), graph=g)
    state, results = gn.scan(step, (gn.zeros((3,), "int64", graph=g), zeros > 1.0, zeros), rows)
    check([*state, *results], {rows: numbers(67, (3,))})
    assert taken == [67] * 2


def test_larger_values_and_other_operations_are_computed_otherwise(taken: list[int]) -> None:
    g = gn.Graph()
    rows = g.placeholder("rows", ("time", 17))
    few = g.placeholder("few", ("time", 3))
    large = gn.scan(lambda h, x: gn.tanh(h + x), gn.zeros((17,), graph=g), rows)[0]
    summed = gn.scan(lambda h, x: gn.tanh(h + gn.sum(x)), gn.zeros((), graph=g), few)[0]
    turned = gn.scan(lambda h, x: gn.tanh(h + x[::-1]), gn.zeros((3,), graph=g), few)[0]
    check([large, summed, turned], {rows: numbers(20, (17,)), few: numbers(20, (3,))})
    assert taken == []


def test_a_function_that_differs_one_by_one_is_called_in_each_iteration(
    taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalar_loops, "same_one_by_one", lambda *_: False)
    g = gn.Graph()
    rows = g.placeholder("rows", ("time",))
    last, each = gn.scan(lambda h, x: (h * 0.5 + gn.sin(x), gn.exp(h)), 0.0, rows)
    check([last, each], {rows: numbers(50)})
    assert taken == [50] * 2


def test_a_loop_that_gives_other_numbers_is_found_before_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    store = llvm_scalars._Iterations._store

    def planted(self: Any, item: Any, name: str, at: str) -> None:
        store(self, item, self._names[7] if name == self._names.get(8) else name, at)

    selftest._check_registers()
    monkeypatch.setattr(llvm_scalars._Iterations, "_store", planted)
    with pytest.raises(selftest.Doubt, match="registers"):
        selftest._check_registers()


def test_ctrl_c_is_heard_between_iterations_and_the_next_call_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    rows = g.placeholder("rows", ("time",))
    last = gn.scan(lambda h, x: gn.tanh(h + x), 0.0, rows)[0]
    feed = {rows: numbers(100)[:40]}
    right = gn.run(last, feed)
    monkeypatch.setattr(scalar_loops, "AT_ONCE", 16)
    calls: list[int] = []

    def interrupted(address: int) -> Any:
        function = scalar_loops_LOOP(address)

        def call(*words: Any) -> None:
            function(*words)
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt

        return call

    scalar_loops_LOOP = scalar_loops.LOOP
    step = gn.compile(last, backend="native")
    step.plan(feed)
    monkeypatch.setattr(scalar_loops, "LOOP", interrupted)
    with pytest.raises(KeyboardInterrupt):
        step(feed)
    assert step(feed).tobytes() == right.tobytes()
    assert len(calls) == 2 + 3
