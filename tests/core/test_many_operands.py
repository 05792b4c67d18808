"""What is made for an operation of many operands, or of many results, grows with their number, and not faster."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from everywhere import BACKENDS, PLANS

import graphnn as gn
from graphnn.core.op import operation


def calls(function: Callable[[], object]) -> int:
    """Return how many calls a function makes, of Python's functions and of others."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def concatenated(g: gn.Graph, count: int, axis: int | None = 0) -> tuple[list[gn.Node], list[gn.Node]]:
    # Sums of sizes are remembered, so each count has sizes of its own.
    xs = [g.placeholder(f"x{i}", (f"n{count}", 3)) for i in range(count)]
    return xs, [gn.concatenate(xs, axis)]


def stacked(g: gn.Graph, count: int) -> tuple[list[gn.Node], list[gn.Node]]:
    xs = [g.placeholder(f"x{i}", (3,)) for i in range(count)]
    return xs, [gn.stack(xs)]


def split(g: gn.Graph, count: int) -> tuple[list[gn.Node], list[gn.Node]]:
    x = g.placeholder("x", (2 * count,))
    return [x], gn.split(x, count)


def unbound(g: gn.Graph, count: int) -> tuple[list[gn.Node], list[gn.Node]]:
    x = g.placeholder("x", (count, 2))
    return [x], gn.unbind(x)


def of_a_scan(g: gn.Graph, count: int) -> tuple[list[gn.Node], list[gn.Node]]:
    xs = [g.placeholder(f"x{i}", (4,)) for i in range(count)]
    _, ys = gn.scan(lambda carry, rows: (carry, [row * carry for row in rows]), g.constant(1.5), xs)
    return xs, ys


def carried(g: gn.Graph, count: int) -> tuple[list[gn.Node], list[gn.Node]]:
    xs = [g.placeholder(f"x{i}", ()) for i in range(count)]
    ys, _ = gn.scan(lambda carry: ([each * 1.5 for each in carry], None), xs, length=3)
    return xs, ys


def of_a_branch(g: gn.Graph, count: int) -> tuple[list[gn.Node], list[gn.Node]]:
    xs = [g.placeholder(f"x{i}", (3,)) for i in range(count)]
    on = g.placeholder("on", (), "bool")
    return xs, gn.cond(on, lambda *x: [each * 2.0 for each in x], lambda *x: [each * 3.0 for each in x], *xs)


MANY: list[Any] = [
    concatenated,
    pytest.param(lambda g, count: concatenated(g, count, None), id="flattened"),
    stacked,
    split,
    unbound,
    of_a_scan,
    carried,
    of_a_branch,
]


@pytest.mark.parametrize("make", MANY)
@pytest.mark.parametrize("mode", ["grad", "jvp"])
def test_derivatives_of_many_operands_take_calls_in_proportion(make: Any, mode: str) -> None:
    def derived(count: int) -> int:
        g = gn.Graph()
        xs, ys = make(g, count)
        loss = gn.sum(gn.square(gn.stack(ys))) if len(ys) > 1 else gn.sum(gn.square(ys[0]))
        if mode == "grad":
            return calls(lambda: gn.grad(loss, xs))
        return calls(lambda: gn.jvp(loss, {x: x for x in xs}))

    derived(4)  # what is done once
    few, some, many = (derived(count) for count in (40, 80, 160))
    # Twice as many take twice as many calls, beside what does not depend on their number.
    assert many - some < 2.2 * (some - few)


@pytest.mark.parametrize("make", MANY)
def test_gradients_of_many_operands_are_those_of_their_squares(make: Any) -> None:
    g = gn.Graph()
    xs, ys = make(g, 5)
    loss = gn.sum(gn.square(gn.stack(ys))) if len(ys) > 1 else gn.sum(gn.square(ys[0]))
    rng = np.random.default_rng(0)
    feed: dict[gn.Node, Any] = {
        x: rng.standard_normal([2 if isinstance(dim, str) else dim for dim in x.spec.shape]) for x in xs
    }
    factor = {of_a_scan: 1.5, carried: 1.5**3, of_a_branch: 2.0}.get(make, 1.0)
    if make is of_a_branch:
        feed[g["on"]] = True
    tangent = gn.jvp(loss, {x: x for x in xs})
    for backend in BACKENDS:
        *slopes, moved = gn.compile([*gn.grad(loss, xs), tangent], backend=backend)(feed)
        for x, slope in zip(xs, slopes, strict=True):
            np.testing.assert_allclose(slope, 2 * factor**2 * feed[x])
        np.testing.assert_allclose(moved, 2 * factor**2 * sum(np.sum(feed[x] ** 2) for x in xs))


@pytest.mark.parametrize("backend", PLANS)
def test_a_step_takes_thousands_of_operands(backend: str) -> None:
    g = gn.Graph()
    xs = [g.placeholder(f"x{i}", ()) for i in range(4000)]
    step = gn.compile(gn.sum(gn.stack(xs)), backend=backend)
    feed = {x: np.ones(()) for x in xs}
    assert step.plan(feed).fitting(feed) is not None
    assert step(feed) == step(feed) == 4000


def test_an_element_of_many_operands_is_found_in_one() -> None:
    op = operation("concatenate")(0)
    operands = [np.zeros((2, 3))] * 50
    entries = op.reads((71, 2), operands)
    assert [which for which, entry in enumerate(entries) if entry is not None] == [35]
    assert entries[35] == (1, 2)
