"""Loops that a condition ends against the same steps in Python."""

import signal

import numpy as np
import pytest
from everywhere import BACKENDS, equal_everywhere

import graphnn as gn

RNG = np.random.default_rng(2)


def collatz(n):
    """Return how many steps lead to 1."""
    count = 0
    while n != 1:
        n, count = (3 * n + 1 if n % 2 else n // 2), count + 1
    return count


def test_a_loop_goes_on_as_long_as_the_condition_holds():
    g = gn.Graph()
    n = g.placeholder("n", (), "int64")
    last, count = gn.while_loop(
        lambda n: gn.not_equal(n, 1),
        lambda n: gn.cond(gn.equal(n % 2, 1), lambda: 3 * n + 1, lambda: n // 2),
        n,
        steps=True,
    )
    for start in (1, 2, 27, 97):
        assert [v.tolist() for v in equal_everywhere([last, count], {n: start})] == [1, collatz(start)]


def test_the_most_steps_end_a_loop_and_steps_tell():
    g = gn.Graph()
    x, y = g.placeholder("x", 2), g.placeholder("y")
    state, count = gn.while_loop(
        lambda s: gn.sum(s["x"]) < 100.0,
        lambda s: {"x": 2.0 * s["x"], "y": s["y"] + 1.0},
        {"x": x, "y": y},
        max_steps=3,
        steps=True,
    )
    for given, steps in (([1.0, 1.0], 3), ([20.0, 20.0], 2), ([60.0, 60.0], 0), ([np.nan, 1.0], 0)):
        values = equal_everywhere([state["x"], state["y"], count], {x: given, y: 0.5})
        np.testing.assert_array_equal(values[0], np.multiply(given, 2.0**steps))
        assert [values[1], values[2]] == [0.5 + steps, steps]


@pytest.mark.parametrize("start", [0.7, 2.0, 9.0])
def test_derivatives_are_those_of_the_steps_that_are_made(start):
    g = gn.Graph()
    x, a = g.placeholder("x", ("n",)), g.parameter("a", 1.3)
    outer = gn.exp(a) * 0.5

    def body(state):
        x, total = state
        return gn.sin(x) * a + outer * x, total + gn.sum(x * x)

    (last, total), count = gn.while_loop(lambda s: s[1] < 20.0, body, (x, 0.0), max_steps=12, steps=True)
    feed = {x: start * np.array([1.0, -0.5])}
    steps = int(gn.run(count, feed))
    state = (x, g.constant(0.0))
    for _ in range(steps):
        state = body(state)
    found = []
    for last_x, sums in ((last, total), state):
        loss = gn.sum(last_x**2.0) + sums
        if not steps:
            loss = loss + 0.0 * (a + gn.sum(x))
        first = gn.grad(loss, [x, a])
        found.append([loss, *first, *gn.grad(gn.sum(first[0] ** 2.0) * first[1], [x, a]), gn.jvp(loss, {a: 1.0})])
    values = [equal_everywhere(found[0], feed), gn.run(found[1], feed)]
    for ours, theirs in zip(*values, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert 1 <= steps < 12


def test_without_a_limit_forward_mode_works_and_a_gradient_says_what_is_needed():
    g = gn.Graph()
    x = g.placeholder("x")
    power = gn.while_loop(lambda p: p < 50.0, lambda p: p * x, x)
    values = equal_everywhere([power, gn.jvp(power, {x: 1.0})], {x: 3.0})
    np.testing.assert_allclose(values, [81.0, 4 * 27.0], rtol=1e-15)
    with pytest.raises(gn.NoRuleError, match=r"give while_loop max_steps="):
        gn.grad(power, x)


def test_what_is_said_of_a_loop_is_not_that_it_makes_all_steps_that_it_may():
    g = gn.Graph()
    x = g.placeholder("x", 5)
    for limit, note in ((None, ""), (70, "at most 70 times")):
        last = gn.while_loop(lambda s: gn.sum(s) < 9.0, lambda s: s * 2.0, x, limit)
        (bundle,) = last.inputs
        (inside,) = bundle.op.insides
        assert (inside.times, inside.note) == (None, note)
        assert bundle.op.flops(bundle.spec) < 20
        source = gn.draw(last).source
        assert "×" not in str(gn.summary(last)) + source
        assert note in source


def test_random_numbers_differ_between_steps():
    g = gn.Graph()
    counter = g.parameter("counter", np.int64(3), trainable=False)
    total, count = gn.while_loop(
        lambda s: s < 4.0, lambda s: s + gn.random_uniform(counter, (), 1), g.constant(0.0), steps=True
    )
    value, steps = equal_everywhere([total, count], {})
    drawn = gn.run(gn.random_uniform(counter, (), 1))
    assert 4.0 <= value < 5.0
    assert steps > 5
    assert not np.isclose(value / steps, drawn)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_without_end_is_interrupted(backend):
    g = gn.Graph()
    x = g.placeholder("x")
    step = gn.compile(gn.while_loop(lambda s: s >= 0.0, lambda s: s + 1.0, x), backend=backend)
    for _ in range(3):
        step({x: -1.0})

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            step({x: 0.0})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert step({x: -2.0}) == -2.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: gn.while_loop(lambda s: s, lambda s: s, x), r"the condition is one bool, and \"x\" is float64"),
        (lambda x: gn.while_loop(lambda s: True, lambda s: s, x), r"the condition is a node, one bool, not a bool"),
        (lambda x: gn.while_loop(lambda s: s > 0.0, lambda s: (s, s), x), r"in the form of the first"),
        (lambda x: gn.while_loop(lambda s: s > 0.0, lambda s: gn.stack([s, s]), x), r"a state keeps its shape"),
        (lambda x: gn.while_loop(lambda s: s > 0.0, lambda s: s, x, -1), r"max_steps= "),
        (lambda x: gn.while_loop(x, lambda s: s, x), r"takes a function"),
    ],
)
def test_errors_say_what_fits(call, words):
    with pytest.raises(gn.GraphnnError, match=words):
        call(gn.Graph().placeholder("x"))
