"""Graphs with a loop in everything that takes graphs, and what a user may do wrong."""

import os
import signal
import threading

import numpy as np
import pytest
from everywhere import BACKENDS

import graphnn as gn
from graphnn.ops.random import RandomUniform

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 2, 3))


def network(dtype="float64"):
    """Return a placeholder, a parameter, what a loop gives, and a loss."""
    g = gn.Graph(dtype=dtype)
    x = g.placeholder("x", ("time", "batch", 3))
    w = g.parameter("w", np.eye(3, dtype=dtype) / 2)
    last, sums = gn.scan(lambda s, r: (gn.tanh(s @ w + r), gn.sum(s, -1)), x[0] * 0.0, x)
    return x, w, last, sums, gn.sum(last * last) + gn.sum(sums)


def test_feeds_of_any_layout_and_kind_give_the_same_bits():
    x, w, last, sums, loss = network()
    nodes = [loss, last, sums, *gn.grad(loss, [w, x])]
    right = gn.run(nodes, {x: X})
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.zeros((10, 4, 9))
    wide[::2, ::2, ::3] = X
    odd = np.zeros(X.nbytes + 1, np.uint8)[1:].view(float).reshape(X.shape)
    odd[...] = X
    ways = [
        read_only,
        np.asfortranarray(X),
        wide[::2, ::2, ::3],
        X[::-1].copy()[::-1],
        odd,
        X.astype(">f8"),
        X.tolist(),
    ]
    for backend in BACKENDS:
        step = gn.compile(nodes, backend=backend)
        for given in ways * 2:
            for found, wanted in zip(step({x: given}), right, strict=True):
                np.testing.assert_array_equal(found, wanted)
        found[...] = 7.0  # it is the user's own
        np.testing.assert_array_equal(step({x: X})[-1], right[-1])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_smaller_floats_stay_what_they_are(dtype):
    x, w, last, sums, loss = network(dtype)
    slope = gn.grad(loss, w)
    nodes = [loss, last, sums, slope, gn.grad(gn.sum(slope * slope), w)]
    right = gn.run(nodes, {x: X.astype(dtype)})
    assert {value.dtype.name for value in right} == {dtype}
    for backend in BACKENDS[1:]:
        step = gn.compile(nodes, backend=backend)
        for _ in range(3):
            values = step({x: X.astype(dtype)})
        for found, wanted in zip(values, right, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_what_loops_and_branches_give_as_float16_beside_wider_floats_is_read_from_what_they_compute():
    g = gn.Graph()
    x, flag = g.placeholder("x", ("time", 3), "float16"), g.placeholder("flag", (), "bool")
    last, wide = gn.scan(lambda s, r: (s + r, gn.cast(s, "float64")), gn.cast(gn.zeros((3,), graph=g), "float16"), x)
    narrow, _ = gn.cond(flag, lambda: (x * x, gn.cast(x, "float64")), lambda: (x + x, gn.cast(x, "float64") * 2.0))
    feed = {x: X[:, 0].astype("float16"), flag: np.True_}
    for nodes in ([last], [last, wide], [narrow]):
        right = gn.run(nodes, feed)
        for backend in BACKENDS[1:]:
            step = gn.compile(nodes, backend=backend)
            step.plan(feed)
            for found, wanted in zip(step(feed), right, strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_jacobians_hessians_and_linear_parts_are_those_of_the_gradients():
    x, w, last, sums, loss = network()
    flat = gn.reshape(last, (6,))
    rows, (jacobian, hessian, along) = (
        gn.run([gn.grad(flat[i], w) for i in range(6)], {x: X}),
        gn.run([gn.jacobian(flat, w), gn.hessian(loss, w), gn.hvp(loss, w, np.ones((3, 3)))], {x: X}),
    )
    np.testing.assert_allclose(jacobian, np.stack(rows), rtol=1e-12, atol=1e-14)
    slope = gn.grad(loss, w)
    second = gn.run([gn.grad(slope[i, j], w) for i in range(3) for j in range(3)], {x: X})
    np.testing.assert_allclose(hessian.reshape(9, 3, 3), np.stack(second), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(along, hessian.sum((2, 3)), rtol=1e-12)
    moved = RNG.normal(size=X.shape)
    np.testing.assert_allclose(
        gn.linearize(sums, x, {x: X})(moved), gn.run(gn.jvp(sums, {x: moved}), {x: X}), rtol=1e-12
    )


def test_ints_and_bools_beside_floats_are_no_nan():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))

    def step(state, x):
        count, total, flag = state
        return (count - 1, total + x, gn.logical_not(flag)), None

    (count, total, _), _ = gn.scan(step, (np.int64(0), 0.0, np.True_), xs)
    product = count * total
    for guard in ("nan", "finite"):
        assert gn.run(product, {xs: np.ones(3)}, guard=guard) == -9
    assert not gn.check_health(product, {xs: np.ones(3)}).findings


def test_threads_run_and_build_loops_at_once():
    x, w, _, _, loss = network()
    step = gn.compile([loss, gn.grad(loss, w)], backend="numpy")
    feeds = [RNG.normal(size=(n, 2, 3)) for n in (1, 2, 3, 4)]
    right = [gn.run([loss, gn.grad(loss, w)], {x: feed}) for feed in feeds]
    wrong = []

    def work(i):
        for _ in range(10):
            found = step({x: feeds[i]})
            wrong.extend(i for a, b in zip(found, right[i], strict=True) if not np.array_equal(a, b))
        last, _ = gn.scan(lambda s, r: s * float(i) + r, np.zeros(3), x[:, 0])
        if gn.run(last, {x: np.ones((3, 1, 3))}).tolist() != [1.0 + i + i**2] * 3:
            wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_in_a_long_loop_leaves_the_state_as_it_was(backend, monkeypatch):
    g = gn.Graph()
    x, w = g.placeholder("x", ("time", 3)), g.parameter("w", np.eye(3) * 0.1)
    pressed = []

    def forward(self, x, out=None):
        pressed.append(x)
        if len(pressed) == 500:
            os.kill(os.getpid(), signal.SIGINT)
        return random(self, x, out)

    random = RandomUniform.forward
    monkeypatch.setattr(RandomUniform, "forward", forward)  # which no plan computes otherwise
    counter = g.constant(np.int64(0))
    last, _ = gn.scan(lambda s, r: (gn.tanh(s @ w + r) + gn.random_uniform(counter, (3,)), None), np.zeros(3), x)
    loss = gn.sum(last)
    step = gn.compile(loss, gn.nn.Adam(0.1).updates(loss), backend=backend)
    for _ in range(3):
        step({x: np.ones((3, 3))})
    before = {node: value.copy() for node, value in g.state.items()}
    with pytest.raises(KeyboardInterrupt):
        step({x: np.ones((100_000, 3))})
    assert len(pressed) < 5_000
    for node, value in g.state.items():
        np.testing.assert_array_equal(value, before[node])
    again = step({x: np.ones((3, 3))})
    g.state.update(before)
    assert gn.run(loss, {x: np.ones((3, 3))}) == again


def test_a_step_that_raises_leaves_no_scope_open():
    g = gn.Graph()
    x = g.placeholder("x", ("time",))

    def step(s, r):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        gn.scan(step, 0.0, x)
    assert (x + 1.0).scope == ""
    last, _ = gn.scan(lambda s, r: s + r, 0.0, x)
    assert gn.run(last, {x: np.ones(3)}) == 3.0


def test_numpys_warnings_as_errors_do_not_reach_into_a_loop():
    g = gn.Graph()
    x = g.placeholder("x", ("time",))
    last, _ = gn.scan(lambda s, r: (s + gn.log(r) / r, gn.exp(r * 1000.0)), 0.0, x)
    with np.errstate(all="raise"):
        for backend in BACKENDS:
            step = gn.compile(last, backend=backend)
            for _ in range(3):
                assert np.isnan(step({x: np.array([1.0, 2.0, 0.0, -1.0])}))


def test_entries_of_dicts_go_by_their_keys_in_whatever_order_a_function_returns_them():
    g = gn.Graph()
    x, init = g.placeholder("x", ("time",)), {"a": 0.0, "b": 1.0}

    def step(state, *row):
        return {"b": state["b"] * 2.0, "a": state["a"] + 1.0}

    last, each = gn.scan(step, init, x)
    paired, _ = gn.scan(lambda state, row: (step(state), row), init, x)
    looped = gn.while_loop(lambda state: state["a"] < 3.0, step, {k: g.constant(v) for k, v in init.items()})
    chosen = gn.cond(gn.sum(x) > 100.0, lambda: {"a": x[0], "b": x[1]}, lambda: {"b": x[2] * 4.0, "a": x[2]})
    values = gn.run([[found["a"], found["b"]] for found in (last, paired, looped, chosen, each)], {x: [1.0, 2.0, 3.0]})
    assert values[:3] == [[3.0, 8.0]] * 3
    assert values[3] == [3.0, 12.0]
    assert [value.tolist() for value in values[4]] == [[1.0, 2.0, 3.0], [2.0, 4.0, 8.0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, f: gn.cond(True, lambda: x, lambda: x), "cond: the flag is a node, one bool, not a bool"),
        (
            lambda x, f: gn.cond(f, lambda a: a, lambda: x),
            r"then is called with no argument, and takes \(a\)",
        ),
        (
            lambda x, f: gn.cond(f, lambda a: a, lambda: x, x),
            r"otherwise is called with one argument, operand 0, and",
        ),
        (lambda x, f: gn.cond(f, lambda: None, lambda: None), "what the functions return is a node, .* not None"),
        (
            lambda x, f: gn.cond(f, lambda: gn.Graph().constant(1.0), lambda: x),
            '"constant", .*, is of another',
        ),
        (
            lambda x, f: gn.while_loop(lambda: f, lambda s: s, x),
            "cond is called with one argument, the state",
        ),
        (
            lambda x, f: gn.while_loop(lambda s: f, lambda s: None, x),
            "each state that the function returns .*None",
        ),
        (lambda x, f: gn.while_loop(lambda s: f, lambda s: s, x, steps=3), "steps= is True or False, not 3"),
        (lambda x, f: gn.fixed_point(lambda: x, x), "f is called with one argument, the state, and takes none"),
        (lambda x, f: gn.fixed_point(lambda z: None, x), "each state that the function returns is .* not None"),
        (lambda x, f: gn.fixed_point(lambda z: z, "a"), "takes nodes, at least one"),
    ],
)
def test_errors_of_branches_and_of_loops_say_what_fits(call, words):
    x = gn.Graph().placeholder("x")
    with pytest.raises(gn.GraphnnError, match=words):
        call(x, x > 0.0)


def test_what_a_loop_shows_of_its_body_is_not_exchanged():
    g = gn.Graph()
    x = g.placeholder("x", ("time",))
    last, states = gn.scan(lambda s, r: (gn.tanh(s + r, name="squashed"),) * 2, 0.0, x)
    chosen = gn.cond(last > 0.0, lambda: gn.sqrt(last, name="root"), lambda: -last)
    for name in ("scan_1/iteration/squashed", "cond_1/then/root"):
        with pytest.raises(
            gn.UsageError, match=f'"{name}" has no effect: the node shows what "{name.split("/")[0]}" computes'
        ):
            gn.replace([states, chosen], {name: gn.relu(g[name].inputs[0])})
    shown = gn.replace(g["scan_1/iteration/squashed"], {"scan_1/iteration/squashed": x[0] * 2.0})
    assert gn.run(shown, {"x": [3.0, 0.0]}) == 6.0
