"""Fixed points and their implicit gradients against closed forms, and against the steps written out."""

from dataclasses import replace

import numpy as np
import pytest
from everywhere import BACKENDS, equal_everywhere

import graphnn as gn
from graphnn.control_flow.loop_segment import stretch_of

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_linear_fixed_point_is_the_solution_of_its_equations(dtype):
    g = gn.Graph(dtype=dtype)
    n = 4
    start = RNG.normal(size=(n, n))
    a = g.parameter("a", (0.6 * start / np.linalg.norm(start, 2)).astype(dtype))
    b = g.placeholder("b", ("batch", n))
    z, count = gn.fixed_point(lambda z: z @ a + b, 0.0 * b, steps=True)
    solved = b @ gn.inv(g.constant(np.eye(n, dtype=dtype)) - a)
    found = []
    for made in (z, solved):
        loss = gn.sum(made**3.0)
        first = gn.grad(loss, [a, b])
        mixed = gn.sum(first[0] ** 2.0) + gn.sum(first[1] * gn.sin(b))
        found.append([made, loss, *first, *gn.grad(mixed, [a, b]), gn.jvp(loss, {b: np.ones((3, n), dtype)})])
    feed = {b: RNG.normal(size=(3, n)).astype(dtype)}
    values = [equal_everywhere(found[0], feed), gn.run(found[1], feed)]
    for ours, theirs in zip(*values, strict=True):
        assert ours.dtype == dtype
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=scale * (1e-8 if dtype == "float64" else 2e-3))
    assert 10 < gn.run(count, feed) < 60


def test_jacobians_and_hessians_are_those_of_the_steps_written_out():
    g = gn.Graph()
    a, b = g.parameter("a", 0.4 * RNG.normal(size=(2, 2))), g.placeholder("b", 2)
    z, steps = gn.fixed_point(lambda z: gn.tanh(z @ a) + b, 0.0 * b), b
    for _ in range(60):
        steps = gn.tanh(steps @ a) + b
    found = [[gn.jacobian(made, a), gn.hessian(gn.sum(made**3.0), b)] for made in (z, steps)]
    for ours, theirs in zip(*gn.run(found, {b: [0.5, -0.2]}), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


def test_several_parts_and_layers_have_implicit_gradients():
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    layer = gn.nn.Dense(3, rng=RNG)

    def f(state):
        u, v = state["u"], state["v"]
        return {"u": 0.3 * gn.tanh(layer(v) + x), "v": 0.5 * u + 0.1 * gn.sin(v)}

    zero = {"u": 0.0 * x, "v": 0.0 * x}
    z, state = gn.fixed_point(f, zero), zero
    for _ in range(40):
        state = f(state)
    found = []
    for made in (z, state):
        loss = gn.sum(made["u"] * made["v"])
        slopes = gn.grad(loss, [x, *layer.parameters])
        found.append([loss, *slopes, gn.grad(gn.sum(slopes[1] ** 2.0), x)])
    feed = {x: RNG.normal(size=(2, 3))}
    values = [equal_everywhere(found[0], feed), gn.run(found[1], feed)]
    for ours, theirs in zip(*values, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_dropout_is_the_same_in_all_steps_and_left_out_in_evaluation():
    g = gn.Graph()
    x = g.placeholder("x", 50)
    drop = gn.nn.Dropout(0.5)
    z = gn.fixed_point(lambda z: 0.5 * z + drop(x, training=True) * 0.5, 0.0 * x)
    step, ones = gn.compile(z, {}), np.ones(50)
    first, second = step({x: ones}), step({x: ones})
    for values in (first, second):
        np.testing.assert_allclose(values[values > 1.0], 2.0, rtol=1e-10)
        np.testing.assert_array_equal(values[values < 1.0], 0.0)
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(gn.run(gn.replace(z, g.evaluation), {"x": ones}), 1.0, rtol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_does_not_converge_is_an_error_that_tells_the_residual(backend):
    g = gn.Graph()
    x = g.placeholder("x")
    step = gn.compile(gn.fixed_point(lambda z: x * z + 1.0, 0.0 * x, max_steps=30), backend=backend)
    for _ in range(3):
        np.testing.assert_allclose(step({x: 0.25}), 4 / 3, rtol=1e-10)
    with pytest.raises(gn.EvaluationError, match=r"In step 30 of at most 30, its largest change is 1, and the tol"):
        step({x: -1.0 - 2.0**-20})
    with pytest.raises(gn.EvaluationError, match=r"In step 3 of at most 30, its largest change is nan"):
        step({x: 1e200})
    assert np.isnan(step({x: np.nan}))


def test_a_residual_that_is_the_tolerance_as_float32_has_it_will_do():
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x")
    change = np.float32(0.1)  # which is above 0.1
    z = gn.fixed_point(lambda z: z + x, 0.0 * x, tolerance=0.1, max_steps=1)
    assert gn.run(z, {x: change}) == change
    with pytest.raises(gn.EvaluationError):
        gn.run(z, {x: np.nextafter(change, np.float32(1))})


def test_some_of_the_iterations_are_made_alone():
    g = gn.Graph()
    x = g.placeholder("x")
    z = gn.fixed_point(lambda z: 0.5 * z + x, 0.0 * x)
    (bundle,) = z.inputs
    part, _ = stretch_of(bundle.op, tuple(bundle.op.wanted))
    operands = [np.int64(0), np.float64(0.0), np.float64(np.inf), np.float64(1.0)]
    words = replace(part, length=3, dims=()).forward(*map(np.asarray, operands))
    assert words[0] == 1.75


def test_where_nan_begins_in_a_fixed_point_is_found():
    g = gn.Graph()
    x = g.placeholder("x")
    z = gn.fixed_point(lambda z: gn.log(z, name="logarithm") + x, 0.0 * x + 1.5)
    with pytest.raises(gn.ValueRangeError, match=r'"fixed_point_1@1/logarithm" \(log, made at .* is NaN'):
        gn.run(z, {x: -0.5}, guard="nan")
    assert "fixed_point_1@1/logarithm" in str(gn.check_health(z, {x: -0.5}))


def test_gradients_are_relative_to_what_arrives():
    g = gn.Graph()
    x = g.placeholder("x")
    z = gn.fixed_point(lambda z: 0.9 * gn.cos(z) * x, 0.0 * x)
    slopes = gn.run([gn.grad(1e-9 * z, x), gn.grad(z, x), gn.grad(0.0 * z, x)], {x: 1.0})
    np.testing.assert_allclose(slopes[0], 1e-9 * slopes[1], rtol=1e-9)
    assert slopes[2] == 0.0


def test_graphs_with_loops_and_fixed_points_are_saved_and_loaded(tmp_path):
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    g.outputs["z"] = gn.fixed_point(lambda z: 0.3 * gn.sin(z) + x, x)
    g.outputs["slope"] = gn.grad(gn.sum(g.outputs["z"] ** 2.0), x)
    g.outputs["doubled"] = gn.while_loop(lambda s: gn.sum(s) < 9.0, lambda s: 2.0 * s, x, 5)
    g.outputs["moved"] = gn.grad(gn.sum(g.outputs["doubled"]), x)
    gn.save(g, tmp_path / "loops.gnn")
    again, fixed = gn.load(tmp_path / "loops.gnn"), gn.extract(list(g.outputs.values()), sizes={"n": 2})
    for name, node in g.outputs.items():
        value = gn.run(node, {x: [0.5, 0.25]})
        for other in (again, fixed):
            np.testing.assert_array_equal(gn.run(other.outputs[name], {"x": [0.5, 0.25]}), value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: gn.fixed_point(lambda z: (z, z), x), r"in the form of the first"),
        (lambda x: gn.fixed_point(lambda z: z, gn.cast(x, "int32")), r"the state is of floats, and \"cast\" is int32"),
        (lambda x: gn.fixed_point(lambda z: z, x, tolerance=-1.0), r"tolerance= is 0 or more"),
        (lambda x: gn.fixed_point(lambda z: z, x, max_steps=0), r"max_steps= "),
    ],
)
def test_errors_say_what_fits(call, words):
    with pytest.raises(gn.GraphnnError, match=words):
        call(gn.Graph().placeholder("x"))
