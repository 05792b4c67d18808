"""NumPy's edges: large and empty arrays, whole numbers beside small integers, results that lie in memory as a run's."""

import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
from everywhere import BACKENDS
from hypothesis import given
from hypothesis import strategies as st
from test_plan_conformance import differences

import graphnn as gn
from graphnn.compiler.ir_builder import Builder

both = pytest.mark.parametrize("backend", ["numpy", "interpreter"])


def computed(node: Any, feed: Mapping[Any, Any] | None = None, backend: str = "numpy") -> Any:
    return gn.compile(node, backend=backend)(feed)


# --- operations without operands, and identities that are no constants ------------------------------------------


@both
@pytest.mark.parametrize("n", [256, 257, 700])
def test_large_identities(n: int, backend: str) -> None:
    made = computed(gn.eye(n, "float32", graph=gn.Graph()), backend=backend)
    np.testing.assert_array_equal(made, np.eye(n, dtype=np.float32), strict=True)


@both
def test_the_gradient_of_a_large_trace_is_the_identity(backend: str) -> None:
    x = gn.Graph().placeholder("x", (300, 300))
    gradient = computed(gn.grad(gn.einsum("ii->", x) * 2.0, x), {x: np.ones((300, 300))}, backend)
    np.testing.assert_array_equal(gradient, 2 * np.eye(300))


# --- norms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.5, 0.9, 1.1, 1.5, 3.0, 4.0])
def test_gradients_of_norms_far_below_the_largest(p: float) -> None:
    # |x| / ‖x‖ is below the least float, and yet its power may be a plain number.
    values = [1e-40, -3e-300, 1e-290, -2e25, 1e25, 0.0]
    x = gn.Graph().placeholder("x", (len(values),))
    y = gn.norm(x, p, 0)
    with mpmath.workdps(60):
        exact = [mpmath.mpf(v) for v in values]
        norm = sum(abs(v) ** mpmath.mpf(p) for v in exact) ** (1 / mpmath.mpf(p))
        wanted = [float(mpmath.sign(v) * (abs(v) / norm) ** (mpmath.mpf(p) - 1)) if v else 0.0 for v in exact]
    np.testing.assert_allclose(gn.run(gn.grad(y, x), {x: values}), wanted, rtol=1e-12, atol=0)
    for place, slope in enumerate(wanted):
        direction = np.eye(len(values))[place]
        assert gn.run(gn.jvp(y, {x: direction}), {x: values}) == pytest.approx(slope, rel=1e-12, abs=0)


# --- whole numbers beside integers that do not hold them --------------------------------------------------------

INTEGERS = ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "bool"]
NUMBERS = [
    0,
    1,
    -1,
    100,
    127,
    128,
    255,
    256,
    -129,
    300,
    2**31,
    -(2**31) - 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
    -(10**30),
]
OPERATORS: dict[str, tuple[Callable[[Any, Any], Any], Callable[..., Any]]] = {
    "<": (operator.lt, gn.less),
    "<=": (operator.le, gn.less_equal),
    ">": (operator.gt, gn.greater),
    ">=": (operator.ge, gn.greater_equal),
    "==": (operator.eq, gn.equal),
    "!=": (operator.ne, gn.not_equal),
    "/": (operator.truediv, gn.divide),
    "and": (np.logical_and, gn.logical_and),
    "or": (np.logical_or, gn.logical_or),
    "+": (operator.add, gn.add),
    "//": (operator.floordiv, gn.floor_divide),
    "max": (np.maximum, gn.maximum),
}


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("symbol", OPERATORS)
def test_whole_numbers_beside_integers_are_taken_as_numpy_takes_them(dtype: str, symbol: str) -> None:
    theirs, ours = OPERATORS[symbol]
    values = np.array([0, 1], bool) if dtype == "bool" else np.array([1, 3, np.iinfo(dtype).max], dtype)
    x = gn.Graph().placeholder("x", values.shape, dtype)
    # What does not fit into 64 bits NumPy takes neither beside bools nor as a truth value.
    narrow = dtype == "bool" or symbol in ("and", "or")
    for number in [n for n in NUMBERS if -(2**63) <= n < 2**63] if narrow else NUMBERS:
        for swapped in (False, True):
            operands = (number, values) if swapped else (values, number)
            nodes = (number, x) if swapped else (x, number)
            with np.errstate(all="ignore"):
                try:
                    wanted = theirs(*operands)
                except OverflowError:
                    with pytest.raises(gn.errors.ValueRangeError):
                        ours(*nodes)
                    continue
            if symbol == "//" and not np.all(operands[1]):
                continue  # an error here
            for backend in ("numpy", "interpreter"):
                np.testing.assert_array_equal(computed(ours(*nodes), {x: values}, backend), wanted, strict=True)


@given(st.sampled_from(INTEGERS[:-1]), st.integers(-(2**70), 2**70), st.data())
def test_comparisons_with_any_whole_number(dtype: str, number: int, data: st.DataObject) -> None:
    limits = np.iinfo(dtype)
    value = data.draw(st.integers(int(limits.min), int(limits.max)))
    x = gn.Graph().placeholder("x", (), dtype)
    found = gn.run([x < number, x <= number, x > number, x >= number, gn.equal(x, number)], {x: np.array(value, dtype)})
    assert [bool(f) for f in found] == [
        value < number,
        value <= number,
        value > number,
        value >= number,
        value == number,
    ]


@both
def test_unsigned_integers_to_negative_powers_are_floats_where_numpy_makes_them_so(backend: str) -> None:
    x, y = np.array([1, 2, 5], np.uint64), np.array([-1, -3, 2], np.int8)
    g = gn.Graph()
    a, b = g.placeholder("a", (3,), "uint64"), g.placeholder("b", (3,), "int8")
    np.testing.assert_array_equal(computed(gn.power(a, b), {a: x, b: y}, backend), np.power(x, y), strict=True)
    c = g.placeholder("c", (3,), "uint8")
    with pytest.raises(gn.errors.ValueRangeError, match="negative integer power"):
        computed(gn.power(c, b), {c: x.astype(np.uint8), b: y}, backend)


@pytest.mark.parametrize("condition", ["float64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "bool", "int32"])
def test_a_number_beside_a_branch_of_where_has_nothing_to_do_with_the_condition(condition: str, dtype: str) -> None:
    chosen, x = np.array([1, 0], condition), np.array([1, 0], dtype)
    g = gn.Graph()
    c, a = g.placeholder("c", (2,), condition), g.placeholder("a", (2,), dtype)
    for number in (2, True) if x.dtype.kind in "iub" else (2, -300, 2.5, True):
        for ours, theirs in (((a, number), (x, number)), ((number, a), (number, x))):
            found = gn.run(gn.where(c, *ours), {c: chosen, a: x})
            np.testing.assert_array_equal(found, np.where(chosen, *theirs), strict=True)
    if dtype == "uint8":
        with pytest.raises(gn.errors.ValueRangeError, match="256 does not fit into uint8"):
            gn.where(c, a, 256)


@both
def test_clip_follows_the_dtype_of_numpys_numbers(backend: str) -> None:
    bounds = [
        (np.float64(0.1), 1),
        (0.1, 1.0),
        (np.float32(0.1), np.float64(1)),
        (np.int64(0), None),
        (0, 1),
        (0.5, None),
    ]
    for dtype in ("float16", "float32", "float64", "int8", "uint8"):
        values = np.array([0, 1, 2, 3], dtype)
        x = gn.Graph().placeholder("x", values.shape, dtype)
        for lo, hi in bounds:
            wanted = np.clip(values, lo, hi)
            np.testing.assert_array_equal(computed(gn.clip(x, lo, hi), {x: values}, backend), wanted, strict=True)


# --- sums of small integers, extrema of nothing -----------------------------------------------------------------


@both
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "uint32", "int64", "float16", "float32"])
@pytest.mark.parametrize("shape", [(1,), (3, 1), (200,), (3, 200), ()])
def test_sum_to_adds_up_as_sum_does(dtype: str, shape: tuple[int, ...], backend: str) -> None:
    values = np.ones((3, 200), dtype)
    x = gn.Graph().placeholder("x", values.shape, dtype)
    axes = {(1,): (0, 1), (3, 1): 1, (200,): 0, (3, 200): (), (): None}[shape]
    wanted = np.sum(values, axis=axes, keepdims=shape != ()).reshape(shape)  # type: ignore[arg-type]
    np.testing.assert_array_equal(computed(gn.sum_to(x, shape), {x: values}, backend), wanted, strict=True)


@both
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("function", [gn.softmax, gn.log_softmax, gn.max, gn.min, gn.argmax, gn.argmin])
def test_where_no_element_comes_out_there_is_no_extremum_of_nothing(
    function: Callable[..., Any], named: bool, backend: str
) -> None:
    for shape, axis in [((5, 0, 0), -1), ((5, 0, 0), 1), ((0, 0), 0), ((0, 5), 1)]:
        x = gn.Graph().placeholder("x", tuple("abc")[: len(shape)] if named else shape)
        y = function(x, axis=axis)
        wanted = shape if "softmax" in function.__name__ else tuple(np.delete(shape, axis))
        fetches = [y, gn.grad(gn.sum(y), x)] if y.dtype.kind == "f" else [y]
        found = computed(fetches, {x: np.empty(shape)}, backend)
        assert [f.shape for f in found] == [wanted, shape][: len(found)]
    x = gn.Graph().placeholder("x", ("a", "b") if named else (5, 0))
    with pytest.raises(gn.errors.ShapeError, match="of nothing has no value"):
        computed(function(x, axis=1), {x: np.empty((5, 0))}, backend)


# --- what a plan raises -----------------------------------------------------------------------------------------


def _index(x: gn.Node) -> gn.Node:
    return x[5] * 2.0


def _division(x: gn.Node) -> gn.Node:
    return gn.floor_divide(gn.cast(x, "int64"), gn.cast(x, "int64"))


def _labels(x: gn.Node) -> gn.Node:
    return gn.one_hot(gn.cast(x, "int64") - 7, 3)


def _places(x: gn.Node) -> gn.Node:
    return gn.take(x, [0, 9])


@pytest.mark.parametrize("make", [_index, _division, _labels, _places])
def test_an_error_of_a_plan_is_that_of_the_interpreter(make: Callable[[gn.Node], gn.Node]) -> None:
    x = gn.Graph().placeholder("x", ("n",))
    y = make(x)
    step = gn.compile(y)
    calls = [lambda feed: gn.run(y, feed), gn.compile(y, backend="interpreter"), step, step]
    raised = []
    for call in calls:
        with pytest.raises(gn.GraphnnError) as caught:
            call({x: np.zeros(3)})
        raised.append(caught.value)
    assert len({(type(error), str(error)) for error in raised}) == 1
    assert "made at test_numpy_edges.py" in str(raised[1])


def test_an_error_while_planning_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gn.Graph().placeholder("x", (3,))
    y = gn.exp(x)

    def fails(*_: Any, **how: Any) -> Any:
        raise OverflowError("planted")

    monkeypatch.setattr(Builder, "ufunc", fails)
    with pytest.raises(
        gn.errors.EvaluationError, match=r'the plan of "graph" fails, but the interpreter does not.*planted'
    ):
        gn.compile(y)({x: np.zeros(3)})
    with pytest.raises(gn.errors.EvaluationError, match="planted"):
        gn.compile(y).plan({x: np.zeros(3)})
    monkeypatch.setattr(Builder, "each", fails)
    monkeypatch.setattr(gn.ops.elementwise.Erf, "forward", fails)
    y = gn.erf(x)
    with pytest.raises(gn.errors.EvaluationError, match=r'while evaluating "erf" \(erf \(3,\) float64\), made at'):
        gn.compile(y)({x: np.zeros(3)})
    with pytest.raises(gn.errors.EvaluationError, match=r'while evaluating "erf"'):
        gn.compare(gn.compile(y), gn.compile(y, backend="interpreter"), {x: np.zeros(3)})


# --- how the results of a plan lie in memory --------------------------------------------------------------------


def _drawn(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("n", [7, 100, 5000])
def test_a_cast_of_what_is_repeated_is_an_array_of_its_own(n: int) -> None:
    g = gn.Graph(dtype="float32")
    x, w = g.placeholder("x"), g.placeholder("w", (n,))
    for dtype in ("float32", "float64"):
        y = gn.einsum("i,i->", gn.cast(gn.broadcast_to(x, (n,)), dtype), w)
        feeds = [{x: _drawn(), w: np.random.default_rng(k).normal(size=n).astype("f4")} for k in range(50)]
        feeds = [{x: np.float32(0.1 + k), w: feed[w]} for k, feed in enumerate(feeds)]
        assert not differences([y], feeds)


@pytest.mark.parametrize("shape", [(30, 40), (300, 400)])
def test_zeros_lie_in_memory_as_in_a_run(shape: tuple[int, int]) -> None:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", shape[::-1])
    zeros = gn.zeros(shape, "float32", graph=g)
    empty = gn.where(gn.greater(gn.transpose(x), 0), zeros, 0.0)
    wide = gn.broadcast_to(zeros, (2, *shape))
    made = [
        gn.transpose(x) + zeros,
        gn.maximum(gn.transpose(x), gn.where(gn.greater(gn.reshape(x, shape), 0), 0.0, 0.0)),
        gn.transpose(x) * 1.5 + empty,
        gn.transpose(x) + gn.transpose(gn.reshape(zeros, shape[::-1])),
        wide + gn.transpose(x),
    ]
    fetches = [zeros, wide]
    for node in made:
        fetches += [gn.sum(node, axis=0), gn.sum(node, axis=-1), gn.einsum(f"{'ijk'[: node.ndim]}->", node)]
    assert not differences(fetches, [{x: _drawn(*shape[::-1])}, {x: _drawn(*shape[::-1]) * 3}])


# --- what goes in as settings -----------------------------------------------------------------------------------


def test_a_shape_may_be_an_array() -> None:
    x = gn.Graph().placeholder("x", (3, 2))
    values = np.arange(6.0).reshape(3, 2)
    for shape in (np.array([2, 3]), np.array([-1, 3]), np.array(6), np.array([6], np.uint8)):
        wanted = values.reshape(shape)
        np.testing.assert_array_equal(gn.run(gn.reshape(x, shape), {x: values}), wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: gn.reshape(x, np.array([2.0, 3.0])),
        lambda x: gn.reshape(x, np.array([[2], [3]])),
        lambda x: gn.split(x, 2.0),
        lambda x: gn.split(x, None),
        lambda x: gn.split(x, "a"),
        lambda x: gn.split(x, True),
        lambda x: gn.split(x, [1.5]),
        lambda x: gn.pad(x, ((1, [2]), (0, 0))),
        lambda x: gn.pad(x, ((1, 2), (3,))),
    ],
)
def test_settings_of_the_wrong_kind_are_refused_by_name(make: Callable[[gn.Node], Any]) -> None:
    x = gn.Graph().placeholder("x", (3, 2))
    with pytest.raises(gn.errors.UsageError, match=r"test_numpy_edges\.py") as caught:
        make(x)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_axis_that_does_not_divide_is_an_error_also_where_there_are_no_elements(backend: str) -> None:
    x = gn.Graph().placeholder("x", ("batch", "time"))
    step = gn.compile(gn.split(x, 2, axis=1), backend=backend)
    for count in (0, 1, 0):
        assert [part.shape for part in step({x: np.zeros((count, 4))})] == [(count, 2)] * 2
        with pytest.raises(gn.ShapeError, match=r"time = 5 meets 2\*\(time//2\) = 4"):
            step({x: np.zeros((count, 5))})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("shift", "axis"), [((1, 2), (0, 0)), ((1, 5, -2), (1, 0, -1)), (1, (0, 1, -2))])
def test_shifts_along_an_axis_that_is_named_twice_add_up(shift: Any, axis: tuple[int, ...], backend: str) -> None:
    x = gn.Graph().placeholder("x", (4, 3))
    rolled, values = gn.roll(x, shift, axis), np.arange(12.0).reshape(4, 3)
    gradient = gn.grad(gn.sum(rolled * values), x)
    found = computed([rolled, gradient], {x: values}, backend)
    np.testing.assert_array_equal(found[0], np.roll(values, shift, axis))
    np.testing.assert_array_equal(found[1], np.roll(values, np.negative(shift), axis))
    for wrong, error in (((0, 2), IndexError), ((0, 0, 0), ValueError)):
        with pytest.raises(error, match="roll"):
            gn.roll(x, (1, 2), wrong)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_sum_of_products_of_nothing_is_zero_whatever_lies_behind(dtype: str) -> None:
    graph = gn.Graph()
    one, other = (graph.placeholder(name, (3, 0), dtype) for name in ("one", "other"))
    node = gn.einsum("ij,ij->", one, other)
    behind = np.full(30, np.nan, dtype)
    for steps in itertools.product((0, behind.itemsize), repeat=4):
        arrays = [np.lib.stride_tricks.as_strided(behind[:1], (3, 0), steps[at : at + 2]) for at in (0, 2)]
        assert node.op.forward(*arrays) == 0
    assert gn.run(node, {one: np.ones((3, 0), dtype), other: np.ones((3, 0), dtype)}) == 0
