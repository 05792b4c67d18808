"""Slices written where a node says, in loops and outside."""

import numpy as np
import pytest
from everywhere import BACKENDS, PLANS

import graphnn as gn
from graphnn.errors import AxisError, DtypeError, ShapeError

RNG = np.random.default_rng(0)
EACH = pytest.mark.parametrize("backend", BACKENDS)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_a_slice_is_written_where_a_node_says(backend, dtype):
    g = gn.Graph()
    x, update = g.placeholder("x", (2, "n"), dtype), g.placeholder("update", (2, "m"), dtype)
    start = g.placeholder("start", (), "int64")
    run = gn.compile([gn.update_slice(x, update, start, 1), gn.update_slice(x * 2, update, start, -1)], backend=backend)
    feed = {x: np.arange(12).reshape(2, 6).astype(dtype), update: np.full((2, 3), -1, dtype)}
    for place in (0, 3, -6, -3):
        plain, twice = run(feed | {start: place})
        wanted, doubled = feed[x].copy(), feed[x] * 2
        wanted[:, place % 6 :][:, :3] = doubled[:, place % 6 :][:, :3] = feed[update]
        np.testing.assert_array_equal(plain, wanted)
        np.testing.assert_array_equal(twice, doubled)
    for place in (4, -1, -7, 2**62):
        with pytest.raises(AxisError, match=f"3 elements from {place} on do not lie within an axis of size 6"):
            run(feed | {start: place})


def test_what_does_not_fit_is_refused():
    g = gn.Graph()
    x = g.placeholder("x", (2, 6))
    for update, start, axis, error in (
        (np.ones((2, 3)), 0.0, 1, DtypeError),
        (np.ones((2, 3)), [0], 1, ShapeError),
        (np.ones((3, 3)), 0, 1, ShapeError),
        (np.ones(3), 0, 1, ShapeError),
        (np.ones((2, 3)), 0, 2, AxisError),
    ):
        with pytest.raises(error, match="update_slice"):
            gn.update_slice(x, update, start, axis)


def test_every_row_of_a_map_has_a_start_of_its_own():
    g = gn.Graph()
    x, update, start = (
        g.placeholder("x", (3, 5)),
        g.placeholder("update", (3, 2)),
        g.placeholder("start", (3,), "int64"),
    )
    found = gn.vmap(lambda x, update, start: gn.update_slice(x, update, start))(x, update, start)
    wide = gn.vmap(lambda x: gn.update_slice(x, update[0], 1))(x)
    feed = {x: RNG.normal(size=(3, 5)), update: RNG.normal(size=(3, 2)), start: np.array([0, -2, 2])}
    each, same = gn.run([found, wide], feed)
    for row, place in enumerate((0, 3, 2)):
        feed[x][row, place : place + 2] = feed[update][row]
    np.testing.assert_array_equal(each, feed[x])
    np.testing.assert_array_equal(same[:, 1:3], np.broadcast_to(feed[update][0], (3, 2)))
    for wrong in (-1, 4, -6):
        with pytest.raises(AxisError):
            gn.run(found, feed | {start: np.array([0, wrong, 0])})


def filled(cache, xs):
    """Return what a loop makes that writes each row of xs into two caches, and the same written out."""

    def step(state, x):
        one, other, i = state
        one = gn.update_slice(one, gn.reshape(gn.tanh(x) * gn.sum(one), (1, 2)), i)
        other = gn.update_slice(other, gn.reshape(x, (2, 1)), i + 1, 1)
        return (one, other, i + 1), gn.sum(one * one) + gn.sum(other)

    last, sums = gn.scan(step, (cache, gn.swapaxes(cache, 0, 1), np.int64(0)), xs)
    state, outs = (cache, gn.swapaxes(cache, 0, 1), np.int64(0)), []
    for t in range(3):
        state, out = step(state, xs[t])
        outs.append(out)
    return [*last[:2], sums], [*state[:2], gn.stack(outs)]


def test_what_a_loop_writes_and_its_gradients_are_those_of_the_iterations_written_out():
    g = gn.Graph()
    cache, xs = g.placeholder("cache", (4, 2)), g.placeholder("xs", (3, 2))
    feed = {cache: RNG.normal(size=(4, 2)), xs: RNG.normal(size=(3, 2))}
    found = []
    for one, other, sums in filled(cache, xs):
        loss = gn.sum(one**2.0) + gn.sum(other**3.0) + gn.sum(sums)
        slopes = gn.grad(loss, [cache, xs])
        tangents = {cache: np.ones((4, 2)), xs: np.arange(6.0).reshape(3, 2)}
        found.append([one, other, sums, *slopes, *gn.grad(gn.sum(slopes[1] ** 2.0), [xs]), gn.jvp(loss, tangents)])
    values = gn.run(found, feed)
    for ours, theirs in zip(*values, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    for backend in PLANS:
        step = gn.compile(found[0], backend=backend)
        for _ in range(3):
            for ours, theirs in zip(step(feed), values[0], strict=True):
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("backend", PLANS)
def test_a_plan_writes_over_what_nobody_else_reads_and_never_over_what_is_fed(backend):
    g = gn.Graph()
    cache, xs = g.placeholder("cache", (4, 2)), g.placeholder("xs", (3, 2))

    def over(state, x):
        return gn.update_slice(state, gn.reshape(x, (1, 2)), 1)

    def read_twice(state, x):
        return gn.update_slice(state, gn.reshape(x, (1, 2)), 1) + 0.0 * state

    def twins(state, x):
        one, _ = state
        one = gn.update_slice(one, gn.reshape(x, (1, 2)), 1)
        return one, one

    def crossed(state, x):
        one, other = state
        return gn.update_slice(other, gn.reshape(x, (1, 2)), 1), one

    for step, init, count in (
        (over, cache, 1),
        (read_twice, cache, 0),
        (twins, (cache, cache), 0),
        (crossed, (cache, cache), 1),
    ):
        last, _ = gn.scan(step, init, xs)
        plain = gn.run(last, feed := {cache: np.zeros((4, 2)), xs: RNG.normal(size=(3, 2))})
        run = gn.compile(last, backend=backend)
        for _ in range(3):
            found = run(feed)
        np.testing.assert_array_equal(found, plain)
        assert not feed[cache].any()
        (planned,) = [value.how.function for value in run.plan(feed)._lowering.values if hasattr(value.how, "function")]
        assert len(planned.plan.written) == count


@EACH
def test_a_slice_beyond_the_end_names_the_iteration(backend):
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    step = gn.compile(
        gn.scan(lambda s, x: (gn.update_slice(s[0], gn.reshape(x, (1,)), s[1]), s[1] + 1), (np.zeros(2), 0), xs)[0],
        backend=backend,
    )
    for _ in range(3):
        step({xs: np.ones(2)})
    with pytest.raises(AxisError, match=r"scan_1@2/update_slice.*1 elements from 2 on"):
        step({xs: np.ones(3)})


@EACH
def test_a_slice_as_long_as_the_array_is_not_where_the_result_is_written(backend):
    g = gn.Graph()
    x, update = g.placeholder("x", (3, 4)), g.placeholder("update", (3, 4))
    held, slices = gn.exp(x), gn.exp(update)
    written = gn.update_slice(held, slices, 0)
    run = gn.compile(written * 2 + held, backend=backend)
    given = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
    for _ in range(3):
        found = run({x: given[0], update: given[1]})
        np.testing.assert_array_equal(found, np.exp(given[1]) * 2 + np.exp(given[0]))
