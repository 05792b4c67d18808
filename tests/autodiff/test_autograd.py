"""Gradients as nodes: which are made, where they live, what they are worth, and what is refused."""

import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mpmath
import numpy as np
import pytest

import graphnn as gn
from graphnn import Op, Spec, nn
from graphnn.core import current_provenance, registry
from graphnn.core.fetches import ancestors
from graphnn.runtime.program import Program
from graphnn.testing import Draw

Array = np.ndarray[Any, np.dtype[Any]]


def classifier(batch: int | str = "batch") -> tuple[gn.Graph, gn.Node]:
    """Return a network of two layers with its loss."""
    g = gn.Graph("classifier")
    x = g.placeholder("x", (batch, 2))
    labels = g.placeholder("labels", (batch,), np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(5, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    logits = network(x)
    with g.scope("loss"):
        loss = nn.softmax_crossentropy(logits, labels)
    return g, loss


def made(graph: gn.Graph, before: int) -> list[gn.Node]:
    """Return the nodes made since there were so many."""
    return list(graph)[before:]


def unneeded(graph: gn.Graph, before: int, results: Any) -> list[gn.Node]:
    """Return the nodes made since there were so many that none of the results needs."""
    needed = ancestors(results if isinstance(results, list) else [results])
    return [node for node in made(graph, before) if node not in needed]


def figures(graph: gn.Graph, size: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(size, 2)), "labels": rng.integers(0, 3, size)}


# --- which nodes are made ---------------------------------------------------------------------------------------


def test_no_node_is_made_that_no_gradient_needs() -> None:
    g, loss = classifier()
    before = len(g)
    grads = gn.grad(loss, g.parameters)
    assert len(g) > before
    assert unneeded(g, before, list(grads)) == []


def test_a_gradient_of_the_first_layer_only_needs_less() -> None:
    g, loss = classifier()
    first, *_ = g.parameters
    before = len(g)
    slope = gn.grad(loss, first)
    assert unneeded(g, before, slope) == []
    fewer = len(g) - before
    gn.grad(loss, g.parameters)
    assert len(g) - before > fewer


def test_asking_for_one_then_all_then_again_makes_no_node_twice() -> None:
    g, loss = classifier()
    one = gn.grad(loss, g.parameters[2])
    every = gn.grad(loss, g.parameters)
    after = len(g)
    assert every[2] is one
    again = gn.grad(loss, g.parameters)
    assert len(g) == after
    assert all(a is b for a, b in zip(every, again, strict=True))

    at_once, same_loss = classifier()
    gn.grad(same_loss, at_once.parameters)
    assert Counter(node.op for node in g) == Counter(node.op for node in at_once)


def test_a_scalar_pulled_back_by_a_node_is_shared_between_calls() -> None:
    g = gn.Graph()
    x, c = g.placeholder("x", 3), g.placeholder("c", 3)
    y = gn.sin(x)
    first = gn.vjp({y: c}, x)
    after = len(g)
    assert gn.vjp({y: c}, x) is first
    assert len(g) == after
    assert gn.jvp(y, {x: c}) is gn.jvp(y, {x: c})


def test_zeros_are_never_added() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    y = gn.sin(x)
    total = gn.sum(y * gn.cast(y > 0, "float64")) + gn.sum(gn.floor(x))
    gn.grad(total, x)
    assert "zeros" not in {node.op.name for node in g}


def test_a_result_that_does_not_count_leaves_no_seed_behind() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", 2), g.placeholder("y", 2)
    before = len(g)
    slope = gn.vjp({gn.sin(x): [1.0, 2.0], gn.cos(y): [3.0, 4.0]}, x)
    assert [node.op.name for node in made(g, before + 2)] == ["constant", "cos", "multiply"]
    assert unneeded(g, before + 2, slope) == []


def test_a_direction_that_does_not_count_leaves_no_node_behind() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", 2), g.placeholder("y", 2)
    # exp(x) moves, but nothing of it arrives.
    result = gn.where(gn.exp(x) > 1, gn.stop_gradient(gn.exp(x)), gn.sin(x))
    before = len(g)
    tangent = gn.jvp(result, {x: [1.0, 2.0], y: [3.0, 4.0]})
    assert unneeded(g, before, tangent) == []
    assert "exp" not in {node.op.name for node in made(g, before)}


OPS = [cls for cls in registry.values() if cls.__module__.startswith("graphnn.ops") and cls.differentiable]


@pytest.mark.parametrize("mode", ["vjp", "jvp", "again"])
@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_each_rule_makes_only_what_is_needed(cls: type[Op], mode: str) -> None:
    for seed in range(15):
        rng = np.random.default_rng(seed)
        op, arrays = cls.samples(Draw(rng))
        g = gn.Graph()
        inputs = [g.placeholder(f"x{i}", array.shape, array.dtype) for i, array in enumerate(arrays)]
        y = op(*inputs, graph=g)
        flowing = [x for i, x in enumerate(inputs) if x.dtype.kind == "f" and op.flows(i) and y.dtype.kind == "f"]
        if not flowing:
            continue
        asked = flowing[rng.integers(len(flowing)) :]
        moves = {node: g.placeholder(f"t{i}", node.shape) for i, node in enumerate([y, *asked])}
        if mode == "again":
            y = gn.sum(gn.sin(gn.vjp({y: moves[y]}, asked)[0]))
        before = len(g)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gn.GraphnnWarning)
            if mode == "jvp":
                del moves[y]
                found, whose = [gn.jvp(y, moves)], [y]
            else:
                found, whose = (gn.grad(y, asked) if mode == "again" else gn.vjp({y: moves[y]}, asked)), asked
        assert unneeded(g, before, found) == []
        for derivative, node in zip(found, whose, strict=True):
            assert (derivative.shape, derivative.dtype) == (node.shape, node.dtype)
        for node in made(g, before):
            assert node.phase == "backward"
            assert node.twin is not None
            assert node.origin == node.twin.origin


def test_what_is_added_up_need_not_wait_for_the_last() -> None:
    g = gn.Graph()
    c = g.parameter("c", 0.5)
    h = x = g.placeholder("x")
    for _ in range(50):
        h = h * c
    slope = gn.grad(h, c)
    order = gn.schedule(slope)
    alive, most = 0, 0
    for node, dying in zip(order, Program(g, [slope]).dying, strict=True):
        alive += node.phase == "backward"
        most = max(most, alive)
        alive -= sum(order[place].phase == "backward" for place in dying)
    assert most <= 5
    assert gn.run(slope, {x: 2.0}) == pytest.approx(2 * 50 * 0.5**49)


# --- where they live --------------------------------------------------------------------------------------------


def test_scopes_mirror_the_forward_ones() -> None:
    g, loss = classifier()
    before = len(g)
    gn.grad(loss, g.parameters)
    for node in made(g, before):
        assert node.twin is not None
        assert node.scope == f"grad/{node.twin.scope}".rstrip("/")
    for path in ("dense_1", "relu_1", "dense_2", "loss"):
        if path in g.scopes:
            mirror = g.scopes[f"grad/{path}"]
            assert mirror.kind == g.scopes[path].kind
            assert mirror.origin == g.scopes[path].origin
            assert mirror.parent is g.scopes["grad"]
            assert mirror.phase == "backward"
    assert g.scopes["grad"].kind == "grad"


def test_each_result_that_is_differentiated_has_a_scope_of_its_own() -> None:
    g, loss = classifier()
    w = g.parameters[0]
    slope = gn.grad(loss, w)
    bend = gn.grad(gn.sum(slope * slope), w)
    assert slope.scope.split("/")[0] == "grad"
    assert bend.scope.split("/")[0] == "grad_2"
    mirrored_twice = {scope for scope in g.scopes if scope.startswith("grad_2/grad/")}
    assert "grad_2/grad/dense_1" in mirrored_twice
    assert gn.jvp(loss, {w: np.ones(w.shape)}).scope.split("/")[0] == "jvp"


def test_scopes_are_nested_in_the_one_that_is_open() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with g.scope("study"):
        slope = gn.grad(gn.sin(x), x)
    assert slope.scope == "study/grad/study"
    assert slope.name == "study/grad/study/multiply"


def test_twin_origin_and_phase_are_carried() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    frame = inspect.currentframe()
    assert frame is not None
    y = gn.exp(x)
    line = frame.f_lineno - 1
    total = gn.sum(y)
    slope = gn.grad(total, x)
    assert slope.twin is y
    assert (slope.origin.file, slope.origin.line) == (__file__, line)
    assert slope.phase == "backward"
    seed = g["grad/constant"]
    assert seed.twin is total
    assert seed.origin == total.origin
    assert y.twin is None
    assert y.phase == "forward"


def test_a_sum_of_cotangents_belongs_to_the_node_they_are_of() -> None:
    g = gn.Graph()
    h = g.placeholder("h")
    slope = gn.grad(h * h + h, h)
    assert slope.op.name == "add"
    assert slope.twin is h


def test_what_comes_after_is_not_drawn_into_it() -> None:
    g, loss = classifier()
    gn.grad(loss, g.parameters)
    after = gn.sin(loss)
    assert (after.scope, after.twin, after.phase) == ("", None, "forward")
    assert after.origin != loss.origin


# --- what they are worth ----------------------------------------------------------------------------------------


def test_one_graph_is_fed_any_batch() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 4))
    labels = g.placeholder("labels", ("batch",), np.int64)
    rng = np.random.default_rng(0)
    w, b = g.parameter("w", rng.normal(size=(4, 3))), g.parameter("b", rng.normal(size=3))
    loss = nn.softmax_crossentropy(x @ w + b, labels)
    dx, dw, db = gn.grad(loss, [x, w, b])
    assert dx.shape == ("batch", 4)
    for size in (1, 7, 300):
        X, y = rng.normal(size=(size, 4)), rng.integers(0, 3, size)
        powers = np.exp(X @ w.value + b.value)
        error = (powers / powers.sum(1, keepdims=True) - np.eye(3)[y]) / size
        got = gn.run([dx, dw, db], {x: X, labels: y})
        for mine, wanted in zip(got, [error @ w.value.T, X.T @ error, error.sum(0)], strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-12, atol=1e-15)


def test_a_batch_by_name_and_by_number_give_the_same_bits() -> None:
    for size in (1, 7):
        values = []
        for batch in ("batch", size):
            g, loss = classifier(batch)
            slopes = gn.grad(loss, [*g.parameters, g["x"]])
            values.append(gn.run(list(slopes), figures(g, size), graph=g))
        for by_name, by_number in zip(*values, strict=True):
            assert np.array_equal(by_name, by_number)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (4, 1), (1, 3), (4, 3), (1, 4, 3)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_gradient_has_its_parameters_shape_and_dtype(shape: tuple[int, ...], dtype: str) -> None:
    g = gn.Graph()
    w = g.parameter("w", np.ones(shape, dtype))
    x = g.placeholder("x", (2, 4, 3))
    slope = gn.grad(gn.sum(gn.sin(x * w) - w), w)
    assert (slope.shape, slope.dtype) == (shape, np.dtype(dtype))
    value = gn.run(slope, {x: np.zeros((2, 4, 3))})
    assert (value.shape, value.dtype) == (shape, np.dtype(dtype))
    assert np.all(value == -24 / np.prod(shape))
    tangent = gn.jvp(x * w, {w: np.ones(shape)})
    assert (tangent.shape, tangent.dtype) == ((2, 4, 3), np.dtype(np.float64))


def test_what_is_used_in_several_places_adds_up() -> None:
    g = gn.Graph()
    h = g.placeholder("h")
    slope = gn.grad(h * h + h, h)
    assert gn.run(slope, {h: 3.0}) == 7
    shared = gn.exp(h)
    many = shared * shared + shared / h - shared
    slope = gn.grad(many, h)
    e = np.exp(3.0)
    assert gn.run(slope, {h: 3.0}) == pytest.approx(2 * e * e + e / 3 - e / 9 - e)


def test_third_derivative() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    slope = gn.sin(gn.sin(gn.sin(x)))
    for _ in range(3):
        slope = gn.grad(slope, x)
    with mpmath.workdps(30):
        exact = mpmath.diff(lambda t: mpmath.sin(mpmath.sin(mpmath.sin(t))), 0.7, 3)
    assert float(gn.run(slope, {x: 0.7})) == pytest.approx(float(exact), rel=1e-12)


def test_mixtures_of_the_modes_agree_with_each_other_and_with_differences() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 3))
    rng = np.random.default_rng(1)
    w = g.parameter("w", rng.normal(size=(3, 2)))
    loss = gn.mean(gn.logsumexp(gn.tanh(x @ w), axis=1))
    direction = rng.normal(size=(3, 2))
    slope = gn.grad(loss, w)
    products = [
        gn.jvp(slope, {w: direction}),
        gn.grad(gn.sum(slope * direction), w),
        gn.vjp({slope: direction}, w),
        gn.grad(gn.jvp(loss, {w: direction}), w),
    ]
    feed = {x: rng.normal(size=(5, 3))}
    first, *others = gn.run(products, feed)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-12)
    start = w.value
    step = 1e-5
    ends = []
    for sign in (1, -1):
        w.value = start + sign * step * direction
        ends.append(gn.run(slope, feed))
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), first, rtol=1e-8)


def test_a_tangent_of_a_tangent() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    once = gn.jvp(gn.sin(x), {x: [1.0, 2.0]})
    twice = gn.jvp(once, {x: [1.0, 2.0]})
    np.testing.assert_allclose(gn.run(twice, {x: [0.3, 0.4]}), -np.sin([0.3, 0.4]) * [1, 4])


def test_modes_are_each_others_transpose_also_where_one_node_leads_to_another() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    h = gn.sin(x)
    y = gn.sum(h * h * x)
    dx, dh = gn.grad(y, [x, h])
    a, b = np.array([1.0, -2.0, 0.5]), np.array([0.25, 1.0, -1.0])
    pushed = gn.jvp(y, {x: a, h: b})
    dx, dh, pushed = gn.run([dx, dh, pushed], {x: [0.1, 0.2, 0.3]})
    assert pushed == pytest.approx(np.sum(dx * a) + np.sum(dh * b))


def test_a_result_among_its_own_arguments() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y = gn.sin(x)
    dy, dx = gn.grad(y, [y, x])
    assert gn.run([dy, dx], {x: 0.0})[0] == 1
    z = gn.exp(y)
    cotangents = gn.vjp({y: 10.0, z: 1.0}, [y, x])
    assert [float(v) for v in gn.run(cotangents, {x: 0.0})] == [11, 11]


def test_stop_gradient() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    y = x * gn.stop_gradient(gn.exp(x))
    assert gn.run(gn.grad(y, x), {x: 2.0}) == pytest.approx(np.exp(2.0))
    assert gn.run(gn.jvp(y, {x: 1.0}), {x: 2.0}) == pytest.approx(np.exp(2.0))
    held = gn.stop_gradient(x)
    assert float(gn.run(gn.grad(x * held, held), {x: 2.0})) == 2


# --- what is given and asked ------------------------------------------------------------------------------------


def test_forms_come_back_as_they_were_asked() -> None:
    g, loss = classifier()
    w, b = g.parameters[:2]
    assert isinstance(gn.grad(loss, w), gn.Node)
    assert isinstance(gn.grad(loss, g.parameters), tuple)
    asked = {"layer": [w, (b,)], "by name": w.name}
    got = gn.grad(loss, asked)
    dw, db = gn.grad(loss, [w, b])
    assert got == {"layer": [dw, (db,)], "by name": dw}
    assert gn.grad(loss.name, w) is dw
    assert gn.grad(loss, w.name) is dw
    assert gn.grad(loss, []) == []
    assert [*gn.jvp({"loss": loss}, {w.name: np.ones(w.shape)})] == ["loss"]
    cotangent = g.placeholder("c")
    assert gn.vjp({loss.name: cotangent}, [w])[0] is gn.vjp({loss: cotangent}, w)


@pytest.mark.parametrize(
    "value", [[1.0, 10.0], (1, 10), np.array([1, 10], np.uint8), np.array([1.0, 10.0], np.float32)]
)
def test_cotangents_and_tangents_as_arrays(value: Any) -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    y = x * x
    for derivative in (gn.vjp({y: value}, x), gn.jvp(y, {x: value})):
        assert derivative.dtype == np.float64
        assert gn.run(derivative, {x: [3.0, 4.0]}).tolist() == [6, 80]


def test_cotangents_and_tangents_as_nodes() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n",))
    c = g.placeholder("c", ("n",), np.float32)
    y = x * x
    for derivative in (gn.vjp({y: c}, x), gn.jvp(y, {x: c})):
        assert (derivative.shape, derivative.dtype) == (("n",), np.dtype(np.float64))
        assert gn.run(derivative, {x: [3.0, 4.0], c: [1.0, 10.0]}).tolist() == [6, 80]


def test_a_direction_of_one_row_is_not_stretched_to_the_batch() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 2))
    tangent = gn.jvp(x * x, {x: [[1.0, 10.0]]})
    assert gn.run(tangent, {x: [[3.0, 4.0]]}).tolist() == [[6, 80]]
    with pytest.raises(ValueError, match="batch"):
        gn.run(tangent, {x: [[3.0, 4.0], [3.0, 4.0]]})


# --- what does not depend on each other -------------------------------------------------------------------------


def test_of_what_does_not_count_the_gradient_is_zeros_and_a_warning_names_it() -> None:
    g, loss = classifier()
    w = g.parameter("w", np.ones((2, 3), np.float32))
    line = inspect.currentframe()
    assert line is not None
    with pytest.warns(gn.GraphnnWarning, match=f'no derivative passes between "w" and "{loss.name}"') as told:
        slope = gn.grad(loss, [w, g.parameters[0]])[0]
    assert [(warning.filename, warning.category) for warning in told] == [(__file__, gn.GraphnnWarning)]
    assert (slope.shape, slope.dtype) == ((2, 3), np.float32)
    assert np.array_equal(gn.run(slope), np.zeros((2, 3)))
    assert (slope.twin, slope.scope, slope.phase) == (w, "grad", "backward")
    with pytest.warns(gn.GraphnnWarning, match='"w"'):
        assert gn.grad(loss, w) is slope


def test_what_does_not_move_has_a_tangent_of_zeros_and_a_warning_names_it() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch",)), g.placeholder("y", ("batch",))
    with pytest.warns(gn.GraphnnWarning, match='no derivative passes between "sin" and "y"') as told:
        tangent = gn.jvp(gn.sin(x), {y: y})
    assert told[0].filename == __file__
    assert gn.run(tangent, {x: [1.0, 2.0]}).tolist() == [0, 0]


def test_a_warning_that_is_an_error_leaves_nothing_behind() -> None:
    g, loss = classifier()
    w = g.parameter("w", 1.0)
    with unchanged(g), pytest.raises(gn.GraphnnWarning, match='"w"'):
        gn.grad(loss, [g.parameters[0], w])


# --- what is refused --------------------------------------------------------------------------------------------


@contextmanager
def unchanged(graph: gn.Graph) -> Iterator[None]:
    """Hold a call to leave a graph as it was."""
    before = list(graph), list(graph.scopes), current_provenance(graph)
    yield
    assert (list(graph), list(graph.scopes), current_provenance(graph)) == before


class Cube(Op):
    """x³ without any rule."""

    def infer(self, x: Spec) -> Spec:
        return x

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return x**3


class Halfway(Op):
    """x whose rule begins well and then goes wrong."""

    fault = ""

    def infer(self, x: Spec) -> Spec:
        return x

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return x

    def vjp(self, i: int, cotangent: gn.Node, output: gn.Node, inputs: tuple[gn.Node, ...]) -> Any:
        slope = cotangent * 1.0
        if Halfway.fault == "raises":
            return {}["missing"]
        if Halfway.fault == "misfits":
            return slope + np.ones((7, 9))
        if Halfway.fault == "no node":
            return 1.0
        return slope


def refusals() -> Iterator[tuple[str, type[Exception], str, Callable[[gn.Graph], Any]]]:
    yield "an integer", TypeError, '"k", is int64; only floats have gradients', lambda g: gn.grad(g["y"], g["k"])
    yield "a bool", TypeError, '"greater", is bool', lambda g: gn.grad(g["y"], [g["x"], g["greater"]])
    yield "of an integer", TypeError, '"k", is int64', lambda g: gn.vjp({g["k"]: 1}, g["x"])
    yield (
        "a vector",
        ValueError,
        r'grad needs a scalar, and "sin" has shape \(2,\)',
        lambda g: gn.grad(g["sin"], g["x"]),
    )
    yield (
        "a rule",
        NotImplementedError,
        '(?s)"cube" has no gradient rule.*define Cube.vjp.*"mine" .made at test_a',
        (lambda g: gn.grad(gn.sum(g["mine"]), g["x"])),
    )
    yield (
        "a rule forwards",
        NotImplementedError,
        '"cube" has no forward-mode rule: define Cube.jvp',
        (lambda g: gn.jvp(g["mine"], {g["x"]: [1.0, 2.0]})),
    )
    yield (
        "a cotangent",
        ValueError,
        r'the cotangent of "sin" has shape \(3,\); expected \(2,\)',
        (lambda g: gn.vjp({g["y"]: 1.0, g["sin"]: np.ones(3)}, g["x"])),
    )
    yield (
        "a tangent",
        ValueError,
        r'the tangent of "x" has shape \(2, 1\); expected \(2,\)',
        (lambda g: gn.jvp(g["sin"], {g["x"]: np.ones((2, 1))})),
    )
    yield (
        "a tangent node",
        ValueError,
        r'the tangent of "x" has shape \(\)',
        lambda g: gn.jvp(g["sin"], {g["x"]: g["y"]}),
    )
    yield "text", TypeError, 'the cotangent of "sin" is of dtype', lambda g: gn.vjp({g["sin"]: ["a", "b"]}, g["x"])
    yield "nothing", TypeError, "vjp needs its cotangents as {node: cotangent}", lambda g: gn.vjp({}, g["x"])
    yield "a list", TypeError, "jvp needs its tangents as {node: tangent}", lambda g: gn.jvp(g["sin"], [g["x"]])
    yield "twice", TypeError, '"sin" is given twice', lambda g: gn.vjp({g["sin"]: [1, 2], "sin": [1, 2]}, g["x"])
    yield "no node", TypeError, "grad takes one result, a scalar node or its name", lambda g: gn.grad(3.0, g["x"])
    yield "another graph", ValueError, "two graphs", lambda g: gn.grad(g["y"], gn.Graph("other").placeholder("z"))
    yield "an unknown name", KeyError, 'no node, scope or output "q"', lambda g: gn.grad(g["y"], "q")


@pytest.mark.parametrize(
    ("error", "words", "ask"), [case[1:] for case in refusals()], ids=[case[0] for case in refusals()]
)
def test_refusals(error: type[Exception], words: str, ask: Callable[[gn.Graph], Any]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    gn.sum(gn.sin(x), name="y")
    g.placeholder("k", dtype=np.int64)
    gn.sum(Cube()(x, name="mine"))
    gn.greater(x, 0.0)
    before = len(g)
    with pytest.raises(error, match=words) as raised:
        ask(g)
    assert isinstance(raised.value, gn.GraphnnError)
    assert [node for node in made(g, before) if node.phase == "backward"] == []
    assert {"grad", "jvp"}.isdisjoint(g.scopes)
    assert current_provenance(g).scope is None
    assert current_provenance(g).twin is None


def test_a_node_without_a_rule_may_be_around_if_no_gradient_has_to_pass() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    for around in (gn.stop_gradient(Cube()(x)), gn.floor(Cube()(x)), Cube()(gn.stop_gradient(x))):
        slope = gn.grad(gn.sum(gn.sin(x) * around), x)
        assert gn.run(slope, {x: [1.0, 2.0]}).shape == (2,)
        assert gn.jvp(around * x, {x: [1.0, 2.0]}).shape == (2,)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("raises", KeyError, "KeyError: 'missing'"),
        ("misfits", ValueError, r"add cannot broadcast \(2,\) with \(7, 9\)"),
        ("no node", TypeError, "the rule gives a float, not a node"),
    ],
)
def test_a_rule_that_fails_says_whose_it_is_and_what_was_made_is_used_next(
    monkeypatch: pytest.MonkeyPatch, fault: str, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(Halfway, "fault", fault)
    g = gn.Graph()
    x = g.placeholder("x", 2)
    total = gn.sum(gn.sin(Halfway()(gn.exp(x), name="half")))
    with pytest.raises(
        error, match=f'(?s){words}.*in the gradient of "half" .halfway, made at test_autograd'
    ) as raised:
        gn.grad(total, x)
    assert isinstance(raised.value, gn.GraphnnError)
    # The graph only grows: what was made up to there stays, nodes made next are as if nothing had been.
    assert current_provenance(g).scope is None
    assert current_provenance(g).twin is None
    assert gn.cos(x).scope == ""
    stayed = Counter(node.op.name for node in g if node.phase == "backward")
    monkeypatch.setattr(Halfway, "fault", "")
    slope = gn.grad(total, x)
    np.testing.assert_allclose(gn.run(slope, {x: [0.1, 0.2]}), np.cos(np.exp([0.1, 0.2])) * np.exp([0.1, 0.2]))
    now = Counter(node.op.name for node in g if node.phase == "backward")
    assert now["cos"] == stayed["cos"] == 1
    assert {path for path in g.scopes if path.startswith("grad")} == {"grad"}


# --- deep graphs ------------------------------------------------------------------------------------------------


def chain(length: int) -> tuple[gn.Node, gn.Node, gn.Node]:
    """Return the ends of a chain of so many pairs of nodes, and the number that all of them read."""
    g = gn.Graph()
    c = g.parameter("c", 1.0)
    h = x = g.placeholder("x")
    for _ in range(length):
        h = gn.sin(h) * c
    return h, x, c


def test_a_deep_chain_is_differentiated_without_recursion() -> None:
    limit = sys.getrecursionlimit()
    h, x, c = chain(5_000)
    slopes = gn.grad(h, [x, c])
    assert sys.getrecursionlimit() == limit < 5_000
    by_x, by_c = gn.run(slopes, {x: 0.5})
    assert 0 < by_x < 1
    assert by_c > 1


def test_a_deep_chain_is_differentiated_forwards_without_recursion() -> None:
    h, x, c = chain(5_000)
    by_x, by_c = gn.run([*gn.grad(h, [x, c])], {x: 0.5})
    tangent = gn.run(gn.jvp(h, {x: 1.0, c: 2.0}), {x: 0.5})
    assert tangent == pytest.approx(by_x + 2 * by_c, rel=1e-12)


# --- slices ---------------------------------------------------------------------------------------------------------


def test_the_cotangents_of_slices_are_put_back_together() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (5, "n"))
    parts = gn.unbind(x)
    total = gn.sum(parts[0] * parts[3]) + gn.sum(gn.square(x))
    before = len(g)
    slope = gn.grad(total, x)
    kinds = Counter(node.op.name for node in made(g, before))
    assert (kinds["slices_add"], kinds["slice_add"]) == (1, 0)
    assert not unneeded(g, before, slope)
    value = np.arange(10.0).reshape(5, 2)
    expected = 2 * value
    expected[[0, 3]] += value[[3, 0]]
    assert np.array_equal(gn.run(slope, {x: value}), expected)
    gn.testing.check_grads(total, {x: value}, [x], order=2)


def test_slices_that_overlap_are_added_up() -> None:
    g = gn.Graph()
    x = g.placeholder("x", (4,))
    slope = gn.grad(gn.sum(x[1:] * x[:-1] + x[::-1][1:]), x)
    assert gn.run(slope, {x: [1.0, 2.0, 4.0, 8.0]}).tolist() == [3.0, 6.0, 11.0, 4.0]
