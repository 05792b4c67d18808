"""Branches on data against what each of the two functions gives by itself."""

from dataclasses import replace

import numpy as np
import pytest
from everywhere import BACKENDS, equal_everywhere

import graphnn as gn

RNG = np.random.default_rng(1)


def then(x, w, b):
    h = gn.tanh(x @ w + b)
    return {"h": h, "sum": gn.sum(h * h, axis=0), "count": gn.sum(gn.cast(h > 0.0, "int32"))}


def otherwise(x, w, b):
    s = gn.sigmoid(x) * gn.exp(-x)
    return {"h": s, "sum": gn.sum(w, axis=0) * 2.0, "count": 7}


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("taken", [True, False])
def test_values_and_derivatives_are_those_of_the_function_that_is_taken(named, taken):
    g = gn.Graph()
    x = g.placeholder("x", ("batch" if named else 4, 3))
    flag = g.placeholder("flag", (), bool)
    w, b = g.parameter("w", RNG.normal(size=(3, 3))), g.parameter("b", RNG.normal(size=3))
    feed = {x: RNG.normal(size=(4, 3)), flag: taken}
    chosen = gn.cond(flag, then, otherwise, x, w, b)
    alone = (then if taken else otherwise)(x, w, b)
    found = []
    for made in (chosen, alone):
        loss = gn.sum(made["h"] ** 3.0) + gn.sum(made["sum"] * made["sum"])
        first = gn.grad(loss, [x, w])
        mixed = gn.sum(first[0] ** 2.0) + gn.sum(first[1][0] * first[0][0])
        moved = gn.jvp(loss, {x: np.ones((1, 3)) if named else np.ones((4, 3)), w: np.arange(9.0).reshape(3, 3)})
        count = made["count"] if isinstance(made["count"], gn.Node) else g.constant(made["count"])
        found.append([made["h"], made["sum"], count, loss, *first, *gn.grad(mixed, [x, w]), moved])
    feed[x] = feed[x][:1] if named else feed[x]
    values = [equal_everywhere(fetches, feed) for fetches in found]
    for ours, theirs in zip(*values, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_only_the_function_that_is_taken_is_computed():
    g = gn.Graph()
    n, x = g.placeholder("n", (), "int64"), g.placeholder("x")
    divided = gn.cond(gn.not_equal(n, 0), lambda: 12 // n, lambda: n)
    root = gn.cond(x > 0.0, lambda: gn.sqrt(x), lambda: 0.0)
    slope, both = gn.grad(root, x), gn.grad(gn.where(x > 0.0, gn.sqrt(x), 0.0), x)
    assert np.isnan(gn.run(both, {x: -1.0}))
    for backend in BACKENDS:
        step = gn.compile([divided, root, slope], backend=backend)
        assert [v.tolist() for v in step({n: 5, x: 4.0})] == [2, 2.0, 0.25]
        assert [v.tolist() for v in step({n: 0, x: -1.0})] == [0, 0.0, 0.0]
        assert [v.tolist() for v in step({n: -3, x: 0.0})] == [-4, 0.0, 0.0]


def test_what_the_functions_read_becomes_an_operand_and_layers_belong_to_the_graph():
    g = gn.Graph()
    x, flag = g.placeholder("x", ("batch", 3)), g.placeholder("flag", (), bool)
    small, large = (
        gn.nn.Dense(2, rng=RNG),
        gn.nn.Sequential(gn.nn.Dense(5, rng=RNG), gn.nn.Tanh(), gn.nn.Dense(2, rng=RNG)),
    )
    y = gn.cond(flag, lambda: large(x), lambda: small(x))
    loss = gn.sum(y * y)
    step = gn.compile(loss, gn.nn.SGD(0.01).updates(loss))
    before = {node.name: node.value for node in g.parameters}
    step({x: np.ones((2, 3)), flag: True})
    moved = {node.name for node in g.parameters if not np.array_equal(before[node.name], node.value)}
    assert moved == {node.name for node in g.parameters if "then" in node.scope}
    step({x: np.ones((2, 3)), flag: False})
    assert all(not np.array_equal(before[node.name], node.value) for node in g.parameters)
    kernel, bias = small.parameters
    value = RNG.normal(size=(4, 3))
    np.testing.assert_array_equal(gn.run(y, {x: value, flag: False}), value @ kernel.value + bias.value)


def test_branches_in_branches_in_loops_and_loops_in_branches():
    g = gn.Graph()
    xs = g.placeholder("xs", ("time",))

    def step(total, x):
        signed = gn.cond(x > 1.0, lambda: gn.cond(x > 2.0, lambda: x * x, lambda: -x), lambda: total / 2.0)
        return total + signed

    last, sums = gn.scan(step, 1.0, xs)
    doubled = gn.cond(last > 0.0, lambda: gn.scan(lambda p, x: p * x, 1.0, xs)[0], lambda: gn.sum(xs))
    x = np.array([3.0, 1.5, 0.5, 2.5, -1.0])
    expected, slopes, total = [], np.zeros(5), 1.0
    for t, value in enumerate(x):
        factor, change, slope = 1.5, total / 2, 0.0
        if value > 1:
            factor, change, slope = (1.0, value**2, 2 * value) if value > 2 else (1.0, -value, -1.0)
        slopes *= factor
        slopes[t] += slope
        total += change
        expected.append(total)
    values = equal_everywhere([sums, gn.grad(last, xs), doubled, gn.grad(doubled, xs)], {xs: x})
    for ours, theirs in zip(values, [expected, slopes, x.prod(), x.prod() / x], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def test_dropout_in_a_branch_draws_anew_in_every_iteration_and_step_and_is_left_out_in_evaluation():
    g = gn.Graph()
    x, flag = g.placeholder("x", ("time", 50)), g.placeholder("flag", (), bool)
    drop = gn.nn.Dropout(0.5)
    _, kept = gn.scan(lambda s, row: (s, gn.cond(flag, lambda: drop(row, training=True), lambda: row)), 0.0, x)
    step, ones = gn.compile(kept, {}), np.ones((3, 50))
    first, second = step({x: ones, flag: True}), step({x: ones, flag: True})
    assert len({row.tobytes() for row in (*first, *second)}) == 6
    np.testing.assert_array_equal(step({x: ones, flag: False}), ones)
    evaluated = gn.replace(kept, g.evaluation)
    np.testing.assert_array_equal(gn.run(evaluated, {"x": ones, "flag": True}), ones)


def test_a_graph_with_a_branch_is_saved_and_loaded(tmp_path):
    g = gn.Graph()
    x, flag = g.placeholder("x", ("batch", 3)), g.placeholder("flag", (), bool)
    w, b = g.parameter("w", RNG.normal(size=(3, 3))), g.parameter("b", RNG.normal(size=3))
    g.outputs["y"] = gn.sum(gn.cond(flag, then, otherwise, x, w, b)["h"])
    g.outputs["slope"] = gn.grad(g.outputs["y"], w)
    gn.save(g, tmp_path / "branch.gnn")
    again = gn.load(tmp_path / "branch.gnn")
    for taken in (True, False):
        feed = {"x": RNG.normal(size=(2, 3)), "flag": taken}
        for name in g.outputs:
            np.testing.assert_array_equal(gn.run(again.outputs[name], feed), gn.run(g.outputs[name], feed))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda x, f: gn.cond(f, lambda: x, lambda: x[:2]),
            r"then gives \"x\" \(3,\) float64, and otherwise .* \(2,\)",
        ),
        (lambda x, f: gn.cond(f, lambda: x, lambda: gn.cast(x, "int32")), r"one dtype; gn.cast"),
        (lambda x, f: gn.cond(f, lambda: x, lambda: (x, x)), r"the same form of nodes; then returned"),
        (lambda x, f: gn.cond(x, lambda: x, lambda: x), r"the flag is one bool, and \"x\" is float64: compare it"),
        (lambda x, f: gn.cond(x > 0.0, lambda: x, lambda: x), r"of shape \(3,\) bool: gn.any or gn.all"),
        (lambda x, f: gn.cond(True, lambda: x, lambda: x), r"the flag is a node"),
        (lambda x, f: gn.cond(True, abs, abs, x), r"the flag is a node, one bool, not a bool"),
        (lambda x, f: gn.cond(f, x, lambda: x), r"takes a function, not a Node"),
        (
            lambda x, f: gn.cond(f, lambda: gn.nn.BatchNorm()(gn.stack([x, x]), training=True)[0], lambda: x),
            r"makes updates",
        ),
    ],
)
def test_errors_say_what_fits(call, words):
    g = gn.Graph()
    with pytest.raises(gn.GraphnnError, match=words):
        call(g.placeholder("x", 3), g.placeholder("f", (), bool))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kept": ((99, 0),)}, r"have no nodes \(99, 0\)"),
        ({"kept": ((-1, -1),)}, r"have no nodes"),
        ({"kept": ((0, 1),)}, r"one body gives \(n,\), and the other \(\)"),
        ({"names": ("n",), "dims": ()}, r"stand for one each"),
        ({"then": "[]"}, r"the text is not the body"),
    ],
)
def test_branches_of_a_file_that_lies_are_refused(changed, words):
    g = gn.Graph()
    x, flag = g.placeholder("x", ("n",)), g.placeholder("flag", (), bool)
    (bundle,) = gn.cond(flag, lambda: gn.tanh(x), lambda: gn.sum(x) + x).inputs
    with pytest.raises(gn.GraphnnError, match=words):
        replace(bundle.op, **changed)(*bundle.inputs)
