"""Loops and branches for many rows at once against one row after the other."""

import numpy as np
import pytest
from everywhere import equal_everywhere

import graphnn as gn

RNG = np.random.default_rng(4)
B, T, N = 3, 4, 2


def recurrent(row, w, u, **settings):
    (last, count), seen = gn.scan(
        lambda s, x: ((gn.tanh(x @ w + s[0] @ u), s[1] + 1), s[0] * x), (np.zeros(N), np.int64(0)), row, **settings
    )
    return gn.sum(last**2.0) + gn.sum(seen) * gn.cast(count, "float64"), seen


def clipped(row, w, u):
    total, count = gn.while_loop(
        lambda s: gn.sum(s) < 9.0, lambda s: s * 1.5 + gn.exp(w[0, 0]), row[0] ** 2.0, 20, steps=True
    )
    return gn.sum(total**2.0) + gn.cast(count, "float64"), count


def branched(row, w, u):
    flag = gn.sum(row) > 0.0
    chosen = gn.cond(flag, lambda: gn.tanh(row @ w), lambda: row * u[0])
    return gn.sum(chosen**3.0), gn.cond(w[0, 0] > 0.0, lambda: chosen @ u, lambda: 2.0 * row)


def nested(row, w, u):
    def outer(s, x):
        inner = gn.scan(lambda h: gn.tanh(h @ w + x), s, length=2)
        return inner[0], gn.cond(x[0] > 0.0, lambda: inner[0] * x, lambda: gn.sum(inner[1]) * u[0])

    last, seen = gn.scan(outer, row[0], row)
    return gn.sum(last) + gn.sum(seen**2.0), gn.cond(row[0, 0] > 0.0, lambda: seen[0], lambda: last)


def settled(row, w, u):
    z = gn.fixed_point(lambda z: 0.3 * gn.tanh(z @ w) + row, 0.0 * row)
    return gn.sum(z**2.0), z


@pytest.mark.parametrize(
    "function",
    [recurrent, lambda *a: recurrent(*a, reverse=True), clipped, branched, settled, nested],
    ids=["scan", "reverse", "while", "cond", "fixed point", "nested"],
)
@pytest.mark.parametrize("named", [True, False])
def test_rows_at_once_are_the_rows_one_by_one(function, named):
    g = gn.Graph()
    x = g.placeholder("x", ("batch" if named else B, T, N))
    w, u = g.parameter("w", 0.4 * RNG.normal(size=(N, N))), g.parameter("u", 0.4 * RNG.normal(size=(N, N)))

    def both(row):
        loss, others = function(row, w, u)
        first = gn.grad(loss, [w, row])
        return (
            loss,
            others,
            first,
            gn.grad(gn.sum(first[0] ** 2.0) + gn.sum(first[1]), w),
            gn.jvp(loss, {w: np.ones((N, N))}),
        )

    loss, others, (slopes, moved), second, pushed = gn.vmap(both)(x)
    feed = RNG.normal(size=(B, T, N))
    values = equal_everywhere([loss, others, slopes, moved, second, pushed], {x: feed})
    row = g.placeholder("row", (T, N))
    one = both(row)
    one = [one[0], one[1], *one[2], one[3], one[4]]
    expected = [np.stack(parts) for parts in zip(*[gn.run(one, {row: r}) for r in feed], strict=True)]
    for ours, theirs in zip(values, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_a_jacobian_goes_back_through_a_loop_for_all_rows_at_once():
    g = gn.Graph()
    x = g.placeholder("x", (T, N))
    w, u = g.parameter("w", RNG.normal(size=(N, N))), g.parameter("u", RNG.normal(size=(N, N)))
    _, seen = recurrent(x, w, u)
    value = RNG.normal(size=(T, N))
    found = gn.run(gn.jacobian(seen, w), {x: value})
    for i in range(T):
        for j in range(N):
            np.testing.assert_allclose(found[i, j], gn.run(gn.grad(seen[i, j], w), {x: value}), rtol=1e-10, atol=1e-12)
