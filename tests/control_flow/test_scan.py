"""Loops over rows against the same iterations written out."""

import functools

import numpy as np
import pytest
from everywhere import BACKENDS, PLANS

import graphnn as gn

RNG = np.random.default_rng(0)
T, B, N, H = 5, 3, 2, 4


def cell(w, u, b):
    """Return the step of an LSTM."""

    def step(state, x):
        h, c = state
        i, f, o, new = gn.split(x @ w + h @ u + b, 4, axis=-1)
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(new)
        h = gn.sigmoid(o) * gn.tanh(c)
        return (h, c), h * 2.0

    return step


def network(named):
    """Return a feed, and what the losses below depend on."""
    g = gn.Graph()
    x = g.placeholder("x", ("time" if named else T, "batch" if named else B, N))
    w, u, b = [g.parameter(n, RNG.normal(size=s)) for n, s in (("w", (N, 4 * H)), ("u", (H, 4 * H)), ("b", (4 * H,)))]
    h0, c0 = [g.placeholder(n, (x.shape[1], H)) for n in ("h0", "c0")]
    feed = {x: RNG.normal(size=(T, B, N)), h0: RNG.normal(size=(B, H)), c0: RNG.normal(size=(B, H))}
    return feed, [w, u, b, h0, c0, x]


@functools.cache
def written_out(named, reverse):
    """Return a network, and the values of a loss and its derivatives, of iterations written out.

    Loops that compute the same are made in the same graph.
    """
    feed, wrt = network(named)
    w, u, b, h0, c0, x = wrt
    state, outs = (h0, c0), [None] * T
    rows = gn.reshape(x, (T, x.shape[1], N))
    for t in reversed(range(T)) if reverse else range(T):
        state, outs[t] = cell(w, u, b)(state, rows[t])
    loss = gn.sum(state[0] * state[0]) + gn.sum(state[1]) + gn.sum(gn.stack(outs) ** 3.0)
    return feed, wrt, gn.run(derived(loss, wrt), feed)


def derived(loss, wrt):
    """Return a loss and its derivatives, of the second order too."""
    first = gn.grad(loss, wrt)
    mixed = gn.sum(first[0] ** 2.0) + gn.sum(first[3] * first[5][0, :, :1])
    tangents = {wrt[0]: np.ones((N, 4 * H)), wrt[2]: np.arange(4.0 * H)}
    return [loss, *first, *gn.grad(mixed, wrt), gn.jvp(loss, tangents)]


def looped(wrt, reverse, recompute):
    """Return the same loss, of a loop."""
    w, u, b, h0, c0, x = wrt
    (h, c), ys = gn.scan(cell(w, u, b), (h0, c0), x, reverse, recompute=recompute)
    return gn.sum(h * h) + gn.sum(c) + gn.sum(ys**3.0)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("recompute", [False, True, 1, 2, 5, 9])
def test_values_and_derivatives_are_those_of_the_iterations_written_out(named, reverse, recompute):
    feed, wrt, expected = written_out(named, reverse)
    fetches = derived(looped(wrt, reverse, recompute), wrt)
    values = gn.run(fetches, feed)
    assert values[0] == expected[0]
    for ours, theirs in zip(values, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * np.abs(theirs).max())
    for backend in BACKENDS:
        step = gn.compile(fetches, backend=backend)
        for _ in range(1 if backend == "interpreter" else 3):
            planned = step(feed)
        for ours, theirs in zip(planned, values, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_loop_over_a_named_length_takes_any_length():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))
    last, sums = gn.scan(lambda total, x: total + x, 1.0, xs)
    slope = gn.grad(last * last, xs)
    for n in (0, 1, 7, 300):
        total, running, slopes = gn.run([last, sums, slope], {xs: np.ones(n)})
        assert total == n + 1
        np.testing.assert_array_equal(running, np.arange(2.0, n + 2))
        np.testing.assert_array_equal(slopes, np.full(n, 2.0 * (n + 1)))
    assert len(g) < 40


def test_states_of_any_dtype_are_carried():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",), np.float32)

    def step(state, x):
        count, largest, seen = state
        return (count + 1, gn.maximum(largest, x), gn.logical_or(seen, x > 2.0)), (
            count,
            x > 1.0,
            gn.cast(x, "float64"),
        )

    init = (np.int32(0), np.float32(-np.inf), np.bool_(False))
    (count, largest, seen), (counts, above, wide) = gn.scan(step, init, xs)
    given = np.array([0.5, 3.0, 1.5], np.float32)
    for backend in BACKENDS:
        run = gn.compile([count, largest, seen, counts, above, wide], backend=backend)
        for _ in range(3):
            values = run({xs: given})
        assert [v.tolist() for v in values] == [3, 3.0, True, [0, 1, 2], [False, True, True], [0.5, 3.0, 1.5]]
        assert [v.dtype.name for v in values] == ["int32", "float32", "bool", "int32", "bool", "float64"]


def test_masks_keep_states_and_give_zeros():
    g = gn.Graph()
    xs, mask = g.placeholder("xs", ("time", "batch")), g.placeholder("mask", ("time", "batch"), bool)
    last, sums = gn.scan(
        lambda total, x: total + x, np.zeros(2), gn.reshape(xs, ("time", 2)), mask=gn.reshape(mask, ("time", 2))
    )
    x, m = RNG.normal(size=(4, 2)), np.array([[1, 1], [1, 0], [1, 0], [0, 0]], bool)
    total, running, slope = gn.run([last, sums, gn.grad(gn.sum(last), xs)], {xs: x, mask: m})
    np.testing.assert_allclose(total, (x * m).sum(0), rtol=1e-15)
    np.testing.assert_allclose(running, np.cumsum(x * m, 0) * m, rtol=1e-15)
    np.testing.assert_array_equal(slope, m.astype(float))


def test_random_numbers_differ_between_iterations_and_are_the_same_in_every_run():
    g = gn.Graph()
    counter = g.parameter("counter", np.int64(5), trainable=False)
    _, drawn = gn.scan(lambda s: (s, gn.random_uniform(counter, (2,), 3)), g.constant(0.0), length=4)
    values = gn.run(drawn)
    assert len(np.unique(values)) == 8
    np.testing.assert_array_equal(gn.run(drawn), values)


def test_random_numbers_differ_between_iterations_of_loops_in_loops():
    g = gn.Graph()
    counter = g.parameter("counter", np.int64(5), trainable=False)

    def draw(s):
        return s, gn.random_uniform(counter, (), 3)

    def chosen(s):
        return s, gn.cond(s < 1.0, lambda: draw(s)[1], lambda: s)

    def until(s):
        last = gn.while_loop(lambda state: state[0] < 2.0, lambda state: (state[0] + 1.0, draw(s)[1]), (s, s), 9)
        return s, last[1]

    zero = g.constant(0.0)
    for inner in (draw, chosen):
        _, drawn = gn.scan(lambda s, inner=inner: (s, gn.scan(inner, s, length=4)[1]), zero, length=4)
        assert len(np.unique(gn.run(drawn))) == 16
    _, drawn = gn.scan(until, zero, length=4)
    assert len(np.unique(gn.run(drawn))) == 4


def test_dropout_in_a_loop_draws_anew_in_every_iteration_and_step_and_is_left_out_in_evaluation():
    g = gn.Graph()
    x = g.placeholder("x", ("time", 50))
    drop = gn.nn.Dropout(0.5)
    _, kept = gn.scan(lambda s, row: (s, drop(row, training=True)), 0.0, x)
    step = gn.compile(kept, {})
    ones = np.ones((3, 50))
    first, second = step({x: ones}), step({x: ones})
    assert len({row.tobytes() for row in (*first, *second)}) == 6
    np.testing.assert_array_equal(gn.run(gn.replace(kept, g.evaluation), {"x": ones}), ones)


def test_a_graph_with_a_loop_is_saved_and_loaded(tmp_path):
    feed, wrt = network(True)
    loop = looped(wrt, False, False)
    g = loop.graph
    g.outputs["loss"], g.outputs["slope"] = loop, gn.grad(loop, wrt[0])
    gn.save(g, tmp_path / "loop.gnn")
    again = gn.load(tmp_path / "loop.gnn")
    named = {node.name: value for node, value in feed.items()}
    for name in ("loss", "slope"):
        np.testing.assert_array_equal(gn.run(again.outputs[name], named), gn.run(g.outputs[name], feed))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: gn.scan(lambda s, r: (s, r, r), 0.0, x), r"returns the next state in the form of init"),
        (lambda x: gn.scan(lambda s, r: s + r, 0, x), r"is int64, and the next one"),
        (lambda x: gn.scan(lambda s, r: gn.stack([s, s]), 0.0, x), r"a state keeps its shape"),
        (lambda x: gn.scan(lambda s: s, x[0]), r"length= says how many"),
        (lambda x: gn.scan(lambda s, r: s, 0.0, x, length=3), r"numbers of rows differ: length=3, \"x\" \(time,\)"),
        (lambda x: gn.scan(3, 0.0, x), r"takes a function"),
        (lambda x: gn.scan(lambda s, r: None, 0.0, x), r"each state that the function returns is a node, .*, not None"),
        (lambda x: gn.scan(lambda s, r: (s, "a"), 0.0, x), r"each result that the function returns is .*, not 'a'"),
        (lambda x: gn.scan(lambda s, r: s, None, x), r"scan: a state is a node, an array or a number, not None"),
        (
            lambda x: gn.scan(lambda s: s, 0.0, x),
            r"with 2 arguments, the state and a row of xs, and takes \(s\)",
        ),
        (lambda x: gn.scan(lambda s, r: s, 0.0, length=3), r"called with one argument, the state, and takes \(s, r\)"),
        (lambda x: gn.scan(lambda s, r: s, 0.0, x, "no"), r"scan: reverse= is True or False, not 'no'"),
    ],
)
def test_errors_say_what_fits(call, words):
    with pytest.raises(gn.GraphnnError, match=words):
        call(gn.Graph().placeholder("x", ("time",)))


def test_what_is_given_twice_has_the_cotangents_and_tangents_of_both():
    g = gn.Graph()
    xs = g.placeholder("xs", (3,))
    last, (a, b) = gn.scan(lambda s, x: (s + x, (y := s * x, y)), 1.0, xs)
    loss = gn.sum(a * [1.0, 2.0, 3.0]) + gn.sum(b * 10.0) + last
    # last = 1 + x0 + x1 + x2; y = x0, (1 + x0) x1, (1 + x0 + x1) x2
    x = np.array([2.0, 3.0, 5.0])
    right = [1 + 11 + 12 * x[1] + 13 * x[2], 1 + 12 * (1 + x[0]) + 13 * x[2], 1 + 13 * (1 + x[0] + x[1])]
    slope, tangent = gn.run([gn.grad(loss, xs), gn.jvp(loss, {xs: np.array([1.0, 0.0, 0.0])})], {xs: x})
    np.testing.assert_allclose(slope, right, rtol=1e-15)
    np.testing.assert_allclose(tangent, right[0], rtol=1e-15)


def test_states_without_elements_and_fixed_lengths_of_0_work():
    g = gn.Graph()
    xs, none = g.placeholder("xs", (0, 2)), g.placeholder("none", (0, 2))
    (empty, total), rows = gn.scan(lambda s, x: ((s[0] * 2.0, s[1] + x), x), (none, np.ones(2)), xs)
    full, _ = gn.scan(lambda s: (s[0], s[1] * 3.0), (none, np.ones(2)), length=2)
    loss = gn.sum(empty) + gn.sum(total) + gn.sum(rows) + gn.sum(full[1]) + gn.sum(full[0])
    feed = {xs: np.ones((0, 2)), none: np.ones((0, 2))}
    assert [v.tolist() for v in gn.run([total, rows, loss, *gn.grad(loss, [xs, none])], feed)] == [
        [1.0, 1.0],
        [],
        20.0,
        [],
        [],
    ]


def test_a_gradient_asked_for_in_an_iteration_ends_at_what_the_iteration_is_given():
    g = gn.Graph()
    w, xs = g.parameter("w", np.array(0.7)), g.placeholder("xs", ("time",))

    def step(s, x):
        slope = gn.grad(gn.tanh(s * w + x), w)
        return s + slope, slope

    _, slopes = gn.scan(step, w * 0.5, xs * w)
    given, s, right = np.array([0.1, 0.2, 0.3]), 0.35, []
    for x in given * 0.7:
        right.append((1 - np.tanh(s * 0.7 + x) ** 2) * s)
        s += right[-1]
    np.testing.assert_allclose(gn.run(slopes, {xs: given}), right, rtol=1e-14)


@pytest.mark.parametrize("backend", PLANS)
@pytest.mark.parametrize(
    "after",
    [
        lambda h, c, z: (h, c),
        lambda h, c, z: (c, h),
        lambda h, c, z: (z, z),
        lambda h, c, z: (z, gn.reshape(gn.reshape(z, (-1,)), z.shape)),
    ],
    ids=["kept", "swapped", "one node", "a view"],
)
def test_states_that_share_an_array_have_the_same_bits_in_plans(after, backend):
    # NumPy multiplies an array by its own transpose in another way.
    g = gn.Graph()
    h0, c0 = g.placeholder("h0", (9, 300)), g.placeholder("c0", (9, 300))

    def step(state):
        h, c = state
        product = h @ c.T
        return after(h, c, gn.sin(h + 1e-4 * (product @ c))), product

    states, products = gn.scan(step, (h0, c0), length=4)
    given = RNG.normal(size=(9, 300))
    fetches, feed = [products, *states], {h0: given, c0: given}
    step = gn.compile(fetches, backend=backend)
    step.plan(feed)
    for x, y in zip(gn.run(fetches, feed), step(feed), strict=True):
        np.testing.assert_array_equal(x, y)
