"""Gradients where a function has a kink or a pole, and numbers at the edge: the conventions, row by row."""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

Array = np.ndarray[Any, np.dtype[Any]]
Make = Callable[..., gn.Node]


def derivatives(make: Make, *points: Any, order: int = 1, dtype: Any = np.float64) -> list[Array]:
    """Return the derivatives of make(x, …), summed up, by each x; of order 2, of their sum over all.

    Both modes must agree about them.
    """
    g = gn.Graph(dtype=dtype)
    inputs = [g.placeholder(f"x{i}", np.shape(point)) for i, point in enumerate(points)]
    feed = dict(zip(inputs, points, strict=True))
    result = gn.sum(make(*inputs))
    for _ in range(order - 1):
        result = total([gn.sum(slope) for slope in gn.grad(result, inputs)])
    slopes = gn.grad(result, inputs)
    places = [(node, place) for node in inputs for place in np.ndindex(*node.shape)]
    directions = [{node: np.zeros(node.shape)} for node, _ in places]
    for direction, (node, place) in zip(directions, places, strict=True):
        direction[node][place] = 1.0
    backwards, forwards = gn.run([slopes, [gn.jvp(result, direction) for direction in directions]], feed)
    there = [backwards[inputs.index(node)][place] for node, place in places]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(forwards, there, rtol=100 * eps, atol=eps)
    return [np.asarray(slope) for slope in backwards]


def total(nodes: Sequence[gn.Node]) -> gn.Node:
    result = nodes[0]
    for node in nodes[1:]:
        result = result + node
    return result


def of_one(make: Make, point: Any, order: int = 1) -> Any:
    """Return the derivative of a function of one variable."""
    (found,) = derivatives(make, point, order=order)
    return found.tolist()


# --- corners ----------------------------------------------------------------------------------------------------


def test_relu_is_flat_at_0() -> None:
    assert of_one(gn.relu, [-1.0, -0.0, 0.0, 1.0]) == [0, 0, 0, 1]


def test_abs_is_flat_at_0() -> None:
    assert of_one(abs, [-1.0, -0.0, 0.0, 1.0]) == [-1, 0, 0, 1]


def test_leaky_relu_and_its_kin_go_on_at_0_as_below() -> None:
    assert of_one(lambda x: gn.leaky_relu(x, 0.25), [-1.0, 0.0, 1.0]) == [0.25, 0.25, 1]
    assert of_one(lambda x: gn.elu(x, 0.5), [0.0, 1.0]) == [0.5, 1]
    x, slope = derivatives(gn.prelu, [-2.0, 0.0, 2.0], 0.25)
    assert x.tolist() == [0.25, 0.25, 1]
    assert slope == -2


@pytest.mark.parametrize("op", [gn.maximum, gn.minimum])
def test_a_tie_gives_each_half(op: Make) -> None:
    x, y = derivatives(op, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    larger, smaller = (x, y) if op is gn.minimum else (y, x)
    assert larger.tolist() == [1, 0.5, 0]
    assert smaller.tolist() == [0, 0.5, 1]


def test_a_tie_with_itself_is_whole() -> None:
    assert of_one(lambda x: gn.maximum(x, x), [1.0, -2.0]) == [1, 1]


@pytest.mark.parametrize(("op", "sign"), [(gn.max, 1.0), (gn.min, -1.0)])
def test_ties_over_an_axis_share_evenly(op: Make, sign: float) -> None:
    rows = sign * np.array([[1.0, 1.0, 0.0, 1.0], [0.0, 2.0, 1.0, 2.0], [0.0, 3.0, 1.0, 2.0]])
    assert np.allclose(
        of_one(lambda x: op(x, axis=1), rows), [[1 / 3, 1 / 3, 0, 1 / 3], [0, 0.5, 0, 0.5], [0, 1, 0, 0]]
    )
    assert of_one(op, sign * np.array([[1.0, 1.0], [0.0, 1.0]])) == [[1 / 3, 1 / 3], [0, 1 / 3]]
    assert of_one(lambda x: op(x, axis=(0, 2)), sign * np.ones((2, 1, 2))) == [[[0.25] * 2], [[0.25] * 2]]


def test_clip_is_open_on_its_bounds_and_shut_outside() -> None:
    points = [-2.0, -1.0, 0.0, 2.0, 3.0]
    assert of_one(lambda x: gn.clip(x, -1.0, 2.0), points) == [0, 1, 1, 1, 0]
    assert of_one(lambda x: gn.clip(x, None, 2.0), points) == [1, 1, 1, 1, 0]
    assert of_one(lambda x: gn.clip(x, -1.0), points) == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "make",
    [
        gn.relu,
        abs,
        gn.leaky_relu,
        lambda x: gn.maximum(x, 0.0),
        lambda x: gn.minimum(x, -x),
        lambda x: gn.clip(x, 0.0, 1.0),
        lambda x: gn.max(x * np.ones((3, 1)), axis=0),
        gn.norm,
        gn.std,
        gn.var,
        lambda x: gn.norm(x, axis=0, keepdims=True),
        lambda x: gn.norm(x, 3, axis=0),
        lambda x: gn.std(x, axis=0, ddof=1),
    ],
)
def test_at_a_corner_the_second_derivative_is_finite(make: Make) -> None:
    # The square has the first derivative lead back to x, where it would be made of constants.
    (second,) = derivatives(lambda x: gn.square(make(x) + x), [0.0, 0.0, 0.0], order=2)
    assert np.isfinite(second).all()


@pytest.mark.parametrize(
    "make",
    [
        gn.floor,
        gn.ceil,
        gn.round,
        gn.sign,
        gn.stop_gradient,
        lambda x: gn.floor_divide(x, 2.0),
        lambda x: gn.cast(gn.greater(x, 0.0), "float64"),
        lambda x: gn.cast(gn.argmax(x), "float64"),
    ],
)
def test_steps_pass_no_gradient(make: Make) -> None:
    g = gn.Graph()
    x = g.placeholder("x", 3)
    with pytest.warns(gn.GraphnnWarning, match='no derivative passes between "x" and "sum"; it is zeros'):
        slope = gn.grad(gn.sum(make(x)), x)
    assert gn.run(slope, {x: [0.5, 1.0, -1.5]}).tolist() == [0, 0, 0]


# --- poles --------------------------------------------------------------------------------------------------------


def test_power_of_0_to_the_0_is_flat_in_its_base() -> None:
    base, exponent = derivatives(gn.power, [0.0, 0.0, 3.0], [0.0, 2.0, 0.0])
    assert base.tolist() == [0, 0, 0]
    assert exponent.tolist() == [0, 0, math.log(3)]


def test_power_of_a_negative_base_has_no_slope_in_its_exponent() -> None:
    base, exponent = derivatives(gn.power, -2.0, 2.0)
    assert base == -4
    assert math.isnan(exponent)
    assert of_one(lambda x: gn.power(x, 3.0), [-2.0]) == [12]


@pytest.mark.parametrize("op", [gn.sqrt, gn.log])
def test_at_a_pole_the_slope_is_infinite(op: Make) -> None:
    assert of_one(op, 0.0) == math.inf


def test_the_norm_of_nothing_is_flat() -> None:
    assert of_one(gn.norm, [0.0, 0.0]) == [0, 0]
    assert of_one(lambda x: gn.norm(x, axis=1), [[0.0, 0.0], [3.0, 4.0]]) == [[0, 0], [0.6, 0.8]]
    for order in (1, 2, 3, 1.5, math.inf):
        assert of_one(lambda x, order=order: gn.norm(x, order, axis=0), [0.0, 0.0]) == [0, 0]


def test_the_deviation_of_a_constant_is_flat() -> None:
    assert of_one(gn.std, [2.0, 2.0, 2.0]) == [0, 0, 0]
    rows = of_one(lambda x: gn.std(x, axis=1), [[2.0, 2.0], [1.0, 3.0]])
    assert rows == [[0, 0], [-0.5, 0.5]]


def others(x: Array, *but: int) -> float:
    return math.prod(value for i, value in enumerate(x) if i not in but)


@pytest.mark.parametrize("x", [[2.0, 3.0, 5.0, 7.0], [2.0, 0.0, 5.0, 7.0], [0.0, 3.0, 0.0, 7.0], [0.0, 0.0, 0.0, 7.0]])
def test_a_product_is_exact_where_factors_are_0(x: Array) -> None:
    assert of_one(gn.prod, x) == [others(x, i) for i in range(4)]
    bends = [sum(others(x, i, j) for j in range(4) if j != i) for i in range(4)]
    assert of_one(gn.prod, x, order=2) == bends
    assert of_one(lambda x: gn.prod(gn.reshape(x, (2, 2))), x, order=2) == bends
    third = [sum(others(x, i, *pair) for pair in itertools.permutations({*range(4)} - {i}, 2)) for i in range(4)]
    assert of_one(gn.prod, x, order=3) == third


# --- where --------------------------------------------------------------------------------------------------------


def test_where_hides_a_value_but_not_its_slope() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 2)
    hidden = gn.where(x > 0, gn.log(x), 0.0)
    shown, slope = gn.run([hidden, gn.grad(gn.sum(hidden), x)], {x: [0.0, 2.0]})
    assert shown[0] == 0
    assert math.isnan(slope[0])
    assert slope[1] == 0.5


def test_two_wheres_hide_both() -> None:
    def safe(x: gn.Node) -> gn.Node:
        return gn.where(x > 0, gn.log(gn.where(x > 0, x, 1.0)), 0.0)

    assert of_one(safe, [0.0, -1.0, 2.0]) == [0, 0, 0.5]
    assert of_one(safe, [0.0, -1.0, 2.0], order=2) == [0, 0, -0.25]


def test_the_remedy_stands_where_one_looks_for_it() -> None:
    assert "where(x > 0, log(where(x > 0, x, 1)), 0)" in (gn.where.__doc__ or "")


# --- exponentials -------------------------------------------------------------------------------------------------


def value(make: Make, point: Any, dtype: Any = np.float64) -> Any:
    g = gn.Graph(dtype=dtype)
    x = g.placeholder("x", np.shape(point))
    return gn.run(make(x), {x: point})


def test_logsumexp_of_infinities() -> None:
    inf = math.inf
    assert value(gn.logsumexp, [-inf, -inf]) == -inf
    assert value(gn.logsumexp, [inf, 1.0]) == inf
    assert value(gn.logsumexp, [-inf, 1.0]) == 1
    assert math.isnan(value(gn.logsumexp, [math.nan, 1.0]))
    assert of_one(gn.logsumexp, [-inf, 1.0]) == [0, 1]
    assert of_one(gn.logsumexp, [-inf, -inf]) == [0, 0]


def test_softmax_of_infinity_is_no_number() -> None:
    assert np.isnan(value(gn.softmax, [math.inf, 0.0])[0])
    assert value(gn.softmax, [-math.inf, 0.0]).tolist() == [0, 1]


def test_a_clipped_logarithm_loses_its_slope_beyond_the_bound() -> None:
    def loss(p: gn.Node) -> gn.Node:
        return -gn.log(gn.clip(p, 1e-7, 1 - 1e-7))

    assert of_one(loss, [0.0, 1e-8, 1e-7]) == [0, 0, -1e7]
    assert of_one(loss, [1.0, 1 - 1e-8, 0.5]) == [0, 0, -2]


LOGITS = np.array(
    [
        [1e4, -1e4, 0.0, 1.0],
        [-1e4, -1e4, -9999.5, -1e4],
        [1e4, 9999.0, 1e4, 9990.0],
        [0.0, -200.0, 3.5, 1e4],
        [-1e4, -9999.0, -9998.0, 1e4],
    ],
    np.float32,
)
LABELS = np.array([1, 2, 3, 0, 2])


def exactly(row: Array) -> tuple[list[Any], Any]:
    """Return the softmax of a row, and its log Σ exp, with 50 digits."""
    with mpmath.workdps(50):
        powers = [mpmath.exp(mpmath.mpf(float(x))) for x in row]
        whole = mpmath.fsum(powers)
        return [power / whole for power in powers], mpmath.log(whole)


def assert_near(got: Array, exact: Any) -> None:
    """Hold a float32 result to 1e-6, of the exact value where that is larger than 1."""
    assert got.dtype == np.float32
    assert np.isfinite(got).all()
    wanted = np.array(exact, float)
    assert got.shape == wanted.shape
    assert np.all(np.abs(got - wanted) <= 1e-6 * np.maximum(1, np.abs(wanted)))


def test_large_logits_in_float32() -> None:
    shares, wholes = zip(*[exactly(row) for row in LOGITS], strict=True)
    assert_near(value(gn.softmax, LOGITS, np.float32), shares)
    assert_near(value(lambda x: gn.logsumexp(x, axis=1), LOGITS, np.float32), wholes)
    logs = [[mpmath.mpf(float(x)) - whole for x in row] for row, whole in zip(LOGITS, wholes, strict=True)]
    assert_near(value(gn.log_softmax, LOGITS, np.float32), logs)
    (slope,) = derivatives(lambda x: gn.logsumexp(x, axis=1), LOGITS, dtype=np.float32)
    assert_near(slope, shares)
    for make in (gn.softmax, gn.log_softmax):
        (slope,) = derivatives(lambda x, make=make: gn.square(make(x)) * 1e-4, LOGITS, dtype=np.float32)
        assert np.isfinite(slope).all()


def crossentropy(loss: Make, logits: Any, labels: Any, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Return a loss and its gradient by the logits."""
    g = gn.Graph(dtype=dtype)
    x = g.placeholder("x", np.shape(logits))
    y = g.placeholder("labels", np.shape(labels), np.asarray(labels).dtype)
    result = loss(x, y)
    return tuple(gn.run([result, gn.grad(result, x)], {x: logits, y: labels}))


def test_large_logits_through_crossentropy_in_float32() -> None:
    got, slope = crossentropy(nn.softmax_crossentropy, LOGITS, LABELS, np.float32)
    shares, wholes = zip(*[exactly(row) for row in LOGITS], strict=True)
    rows = range(len(LABELS))
    losses = [wholes[i] - mpmath.mpf(float(LOGITS[i, LABELS[i]])) for i in rows]
    assert_near(got, sum(losses) / len(rows))
    assert_near(slope, [[(s - (j == LABELS[i])) / len(rows) for j, s in enumerate(shares[i])] for i in rows])


def test_the_fused_crossentropy_sees_a_confident_mistake() -> None:
    loss, slope = crossentropy(nn.softmax_crossentropy, [[0.0, 200.0]], [0])
    assert loss == 200
    assert slope.tolist() == [[-1, 1]]


def test_the_textbook_crossentropy_loses_a_confident_mistake() -> None:
    loss, slope = crossentropy(lambda x, y: nn.categorical_crossentropy(gn.softmax(x), y), [[0.0, 200.0]], [0])
    assert f"{loss:.3f}" == "16.118"
    assert loss == pytest.approx(-math.log(1e-7))
    assert slope.tolist() == [[0, 0]]


def test_each_crossentropy_points_to_the_other() -> None:
    assert "softmax_crossentropy" in (nn.categorical_crossentropy.__doc__ or "")
    assert "categorical_crossentropy" in (nn.softmax_crossentropy.__doc__ or "")


# --- and more -----------------------------------------------------------------------------------------------------


def test_what_is_used_twice_adds_up() -> None:
    assert of_one(lambda h: h * h + h, 3.0) == 7


def test_nan_goes_through_and_says_so_in_the_gradient() -> None:
    assert np.isnan(value(gn.relu, [math.nan])).all()
    for op in (gn.maximum, gn.minimum):
        assert math.isnan(value(lambda x, op=op: op(x, 1.0), math.nan))
    assert math.isnan(value(gn.max, [math.nan, 1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(of_one(gn.square, [math.nan])).all()
