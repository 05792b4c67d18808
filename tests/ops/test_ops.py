"""Every operation of the registry against NumPy: a new one is tested without a line written here."""

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from op_oracles import ORACLES, STRICTER, Array, Oracle, oracle_of, refused

import graphnn as gn
from graphnn import Op, Spec
from graphnn.core import Shape
from graphnn.core.op import registry
from graphnn.core.symbolic_shapes import concrete
from graphnn.testing import Draw

OPS = [
    cls
    for cls in registry.values()
    if cls.samples.__func__ is not Op.samples.__func__  # type: ignore[attr-defined]
    and not cls.__module__.startswith("graphnn.control_flow")  # they have tests of their own, in tests/control_flow
]
OURS = [
    cls
    for cls in registry.values()
    if cls.__module__.startswith("graphnn.") and not cls.__module__.startswith(("graphnn.control_flow", Op.__module__))
]

FLOATS = ["float64", "float64", "float64", "float32", "float32", "float16"]
DTYPES = [*FLOATS, "int64", "int32", "int8", "uint8", "bool"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf]


integers = functools.cache(st.integers)


@st.composite
def drawing(draw: st.DrawFn) -> st.DrawFn:
    """Draw what draws: it takes a quarter of the time of ``data.draw``, which notes each draw to tell it."""
    return draw


class Drawn(Draw):
    """Draws by Hypothesis, of many dtypes, with special values, laid out in memory in many ways."""

    def __init__(self, data: st.DataObject, dtypes: Sequence[str] = DTYPES, wild: bool = True, ways: int = 6) -> None:
        self.draw = data.draw(drawing())
        self.dtypes = dtypes
        self.wild = wild
        self.ways = ways
        super().__init__(np.random.default_rng(self.integer(0, 2**32 - 1)))
        self.main = np.dtype(self.choice(dtypes))

    def integer(self, lo: int, hi: int) -> int:
        return self.draw(integers(lo, hi))

    def array(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Array:
        self.dtype = self.main if self.integer(0, 3) else np.dtype(self.choice(self.dtypes))
        array = super().array(shape, lo, hi)
        if self.wild and array.size and self.integer(0, 3) == 0:
            limits = np.iinfo if self.dtype.kind in "iu" else np.finfo
            ends = [] if self.dtype.kind == "b" else [limits(self.dtype).min, limits(self.dtype).max]
            plain = [0, 1] if self.dtype.kind in "biu" else SPECIAL
            for place in range(min(array.size, 3)):
                array.flat[place] = self.choice([*plain, *ends])
        return laid_out(array, self.integer(0, self.ways))

    def integers(self, shape: Sequence[int], lo: int, hi: int) -> Array:
        dtype = self.choice(["int64", "int32", "int8", *(["uint8", "uint64"] if lo >= 0 else [])])
        return laid_out(super().integers(shape, lo, hi).astype(dtype), self.integer(0, self.ways))


def laid_out(array: Array, way: int) -> Array:
    """Return the same numbers in another layout; in the last way, the first of them everywhere."""
    if way == 1:
        return np.array(array, order="F")
    if way == 2 and array.ndim:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if way == 3:
        return np.flip(np.flip(array).copy())
    if way == 4:
        array.flags.writeable = False
    if way == 5 and array.ndim > 1:
        return np.moveaxis(np.moveaxis(array, -1, 0).copy(), 0, -1)
    if way == 6 and array.size:
        return np.broadcast_to(array.flat[0], array.shape)
    return array


def sampled(cls: type[Op], draw: Draw) -> tuple[Any, tuple[Array, ...]]:
    op, operands = cls.samples(draw)
    return op, tuple(np.asarray(operand) for operand in operands)


def specs(operands: Sequence[Array]) -> list[Spec]:
    return [Spec(operand.shape, operand.dtype) for operand in operands]


def built(op: Op, operands: Sequence[Array], shapes: Sequence[Any] = ()) -> tuple[gn.Node, dict[gn.Node, Array]]:
    g = gn.Graph()
    shapes = shapes or [operand.shape for operand in operands]
    nodes = [g.placeholder(f"p{i}", s, x.dtype) for i, (s, x) in enumerate(zip(shapes, operands, strict=True))]
    return op(*nodes, graph=g), dict(zip(nodes, operands, strict=True))


def quietly(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call without the warnings of special values: overflow, division by zero, the mean of nothing."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.errors.GraphnnWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


def bits(array: Array) -> tuple[Any, ...]:
    """Return all of an array that counts; every NaN is one."""
    plain = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array) if array.dtype.kind == "f" else array
    return array.shape, array.dtype, np.ascontiguousarray(plain).tobytes()


def check_value(oracle: Oracle, op: Op, operands: Sequence[Array], value: Array) -> None:
    expected = np.asarray(quietly(oracle.value, op, *operands))
    assert expected.shape == value.shape
    if oracle.ulp == 0:
        assert expected.dtype == value.dtype
        assert bits(expected) == bits(value), f"{expected!r} != {value!r}"
        return
    if value.dtype.kind != "f":
        assert np.array_equal(value, expected)
        return
    with np.errstate(all="ignore"):
        scale = np.abs(expected) if oracle.scale is None else np.asarray(quietly(oracle.scale, op, *operands))
        unit = np.spacing(np.abs(scale.astype(value.dtype)))
        rounded = expected.astype(value.dtype)
        near = np.abs(value.astype(np.longdouble) - expected) <= oracle.ulp * unit.astype(np.longdouble)
        right = near | (value == rounded) | (np.isnan(value) & np.isnan(rounded))
        units = np.max(np.abs(value - expected) / unit, where=~right, initial=0)
    assert np.all(right), f"{expected!r} != {value!r}, by {units} units"


def accepted(op: Op, operands: Sequence[Array]) -> Spec | None:
    """Return what infer says, or None where it refuses, as NumPy must then too."""
    try:
        return op.infer(*specs(operands))
    except gn.GraphnnError:
        oracle = oracle_of(type(op))
        if oracle is not None and op.name not in STRICTER:
            with pytest.raises((TypeError, ValueError)):
                quietly(oracle.value, op, *operands)
        return None


def by_hypothesis(examples: int) -> settings:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=checks)


over_ops = pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)


def legal(cls: type[Op], draw: Draw) -> tuple[Op, tuple[Array, ...]]:
    """Draw operands that neither `infer` nor their values forbid."""
    op, operands = sampled(cls, draw)
    assume(accepted(op, operands) is not None and refused(op, *operands) is None)
    return op, operands


@over_ops
@by_hypothesis(30)
@given(data=st.data())
def test_what_comes_out_is_numpys(cls: type[Op], data: st.DataObject) -> None:
    oracle = oracle_of(cls)
    op, operands = sampled(cls, Drawn(data, wild=oracle is None or not oracle.tame))
    spec = accepted(op, operands)
    if spec is None:
        return
    node, feed = built(op, operands)
    error = refused(op, *operands)
    if error is not None:
        with pytest.raises(error, match=node.name):
            quietly(gn.run, node, feed)
        return
    value = quietly(gn.run, node, feed)
    inner = np.asarray(quietly(op.forward, *operands))  # inside a graph operands have any layout, a feed has one
    assert type(value) is np.ndarray
    assert (value.shape, value.dtype) == (inner.shape, inner.dtype) == (spec.shape, spec.dtype)
    if oracle is not None:
        check_value(oracle, op, [np.asarray(operand, order="C") for operand in operands], value)
        check_value(oracle, op, operands, inner)


@over_ops
@by_hypothesis(15)
@given(data=st.data())
def test_operands_are_left_alone_and_what_is_written_into_out_is_the_same(cls: type[Op], data: st.DataObject) -> None:
    op, operands = legal(cls, Drawn(data))
    before = [operand.tobytes() for operand in operands]
    node, feed = built(op, operands)
    value = quietly(gn.run, node, feed)
    assert [operand.tobytes() for operand in operands] == before
    assert value.flags.writeable
    assert not any(np.shares_memory(value, operand) for operand in operands)
    assert bits(quietly(gn.run, node, feed)) == bits(value)

    value = np.asarray(quietly(op.forward, *operands))
    out = np.full(value.shape, 77, value.dtype)
    assert quietly(op.forward, *operands, out=out) is out
    assert bits(out) == bits(value)
    assert [operand.tobytes() for operand in operands] == before


@over_ops
@by_hypothesis(15)
@given(data=st.data())
def test_sizes_may_have_names(cls: type[Op], data: st.DataObject) -> None:
    op, operands = legal(cls, Drawn(data, wild=False))
    named, shapes, sizes = with_names(op, operands, alike=data.draw(st.booleans()))
    node, feed = built(named, operands, shapes)
    value = quietly(gn.run, node, feed, sizes=sizes)
    assert concrete(node.shape, sizes) == value.shape
    assert bits(value) == bits(quietly(gn.run, *built(op, operands)))

    # The same graph, at another size.
    larger = {name: size + 1 for name, size in sizes.items()}
    others = [np.resize(x, concrete(s, larger)) for x, s in zip(operands, shapes, strict=True)]
    at_larger = named.bound(larger)
    assume(refused(at_larger, *others) is None)
    try:
        value = quietly(gn.run, node, dict(zip(feed, others, strict=True)), sizes=larger)
    except gn.ShapeError:
        assert cls.sized  # a number stayed in the attributes
        return
    assert concrete(node.shape, larger) == value.shape
    assert bits(value) == bits(quietly(gn.run, *built(at_larger, others)))


def with_names(op: Op, operands: Sequence[Array], alike: bool) -> tuple[Op, list[Shape], dict[str, int]]:
    """Return an operation and the shapes of its operands with names for sizes, and the sizes.

    A 1 stays, since only a 1 broadcasts. If `alike`, equal sizes have one name, else every axis has its own.
    """
    sizes: dict[str, int] = {}

    def name_of(size: int, known: bool) -> int | str:
        if size == 1:
            return 1
        same = [name for name, other in sizes.items() if other == size]
        if known and same:
            return same[0]
        name = f"n{len(sizes)}"
        sizes[name] = size
        return name

    fixed = op.name in ("gather_nd", "scatter_nd")  # how many axes the indices are for is written down
    shapes = [
        tuple(name_of(side, alike) for side in operand.shape[: operand.ndim - (fixed and i == 1)])
        for i, operand in enumerate(operands)
    ]
    if fixed:
        shapes[1] = (*shapes[1], operands[1].shape[-1])
    totals = {x.size: "*".join(map(str, s)) for x, s in zip(operands, shapes, strict=True) if x.size > 1}

    def renamed(value: Any, places: bool, depth: int = 0) -> Any:
        if isinstance(value, tuple):
            if places and len(value) == 3 and depth == 0:  # a slice
                return (*(renamed(bound, True) for bound in value[:2]), value[2])
            return tuple(renamed(part, places, depth - 1) for part in value)
        if not isinstance(value, int) or value < 2:
            return value
        if value in sizes.values():
            return name_of(value, True)
        return totals.get(value) or (value if places else name_of(value, True))

    depths = {"index": 1, "indices": 2}
    settings = {a: renamed(op.attributes[a], a in depths, depths.get(a, 0)) for a in op.sized}
    return replace(op, **settings) if settings else op, shapes, sizes  # type: ignore[type-var]


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.name)
def test_every_operation_is_compared_with_something(cls: type[Op]) -> None:
    assert cls in OPS, "it gives no samples"
    assert oracle_of(cls) is not None, (
        f'NumPy has no function "{cls.name}": add what it is compared with to ORACLES in tests/support/op_oracles.py'
    )


def test_the_tables_speak_of_operations_that_are() -> None:
    assert {*ORACLES, *STRICTER} <= {cls.name for cls in OURS}


@over_ops
def test_every_operation_says_what_it_does(cls: type[Op]) -> None:
    op, operands = sampled(cls, Draw(np.random.default_rng(0)))
    node, _ = built(op, operands)
    assert cls.__doc__ is not None
    assert not cls.__doc__.startswith(f"{cls.__name__}("), "the docstring is the dataclass's own"
    formula = op.formula.format(*(f"x{i}" for i in range(len(operands))), **op.attributes)
    assert formula
    assert op.flops(node.spec, *specs(operands)) >= 0


@given(st.floats(-7, 7) | st.floats(-0.01, 0.01))
@by_hypothesis(1000)
def test_erf_is_exact(x: float) -> None:
    ours = float(gn.ops.elementwise.Erf().forward(np.asarray(x)))
    assert abs(ours - math.erf(x)) <= 2 * math.ulp(math.erf(x))


@pytest.mark.parametrize(("name", "lo", "hi", "ulp"), [("erf", -5, 5, 3), ("gelu", -1, 6, 6), ("gelu", -13, -1, 12)])
def test_float32_is_exact_without_float64(name: str, lo: float, hi: float, ulp: float) -> None:
    x = np.linspace(lo, hi, 20_001, dtype=np.float32)
    right = {"erf": math.erf, "gelu": lambda x: x / 2 * math.erfc(-x / math.sqrt(2))}[name]
    expected = np.vectorize(right)(x.astype(np.float64))
    ours = gn.run(getattr(gn, name)(gn.Graph().constant(x)))
    assert ours.dtype == np.float32
    assert np.all(np.abs(ours - expected) <= ulp * np.spacing(np.abs(expected).astype(np.float32)))
    assert name == "gelu" or np.all(np.abs(ours) <= 1)


def shares(x: Array, axis: int) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("shape", "function"),
    [
        ((6, 2), lambda m, x: m.split(x, 3)),
        ((2, 7), lambda m, x: m.split(x, [1, 1, 4], axis=-1)),
        ((2, 3, 4), lambda m, x: m.reshape(x, (-1, 3))),
        ((2, 3, 4), lambda m, x: m.reshape(x, -1)),
        ((2, 0), lambda m, x: m.reshape(x, -1)),
        ((2, 1, 3, 1), lambda m, x: m.squeeze(x)),
        ((2, 3, 4), lambda m, x: m.swapaxes(x, 0, -1)),
        ((2, 3, 4), lambda m, x: m.moveaxis(x, (0, 1), (-1, 0))),
        ((2, 3, 3), lambda m, x: m.einsum("...ij, ...jk", x, x)),
        ((3, 3), lambda m, x: m.einsum("ii", x)),
        ((2, 3), lambda m, x: m.zeros_like(x)),
        ((2, 3), lambda m, x: m.ones_like(x)),
        ((4, 3, 5), lambda m, x: m.sort(x, axis=1)),
        ((4, 3, 5), lambda m, x: m.sort(x, axis=None)),
        ((4, 3), lambda m, x: m.diag(x, 1)),
        ((4, 3), lambda m, x: m.diag(x, -2)),
        ((4,), lambda m, x: m.diag(x, -1)),
        ((4, 3, 5), lambda m, x: x[1:, None, ..., ::-2]),
        ((4, 3, 5), lambda m, x: x[-1, :2]),
        ((4, 3, 5), lambda m, x: m.softmax(x) if m is gn else shares(x, -1)),
        ((4, 3, 5), lambda m, x: m.log_softmax(x, axis=1) if m is gn else np.log(shares(x, 1))),
    ],
)
def test_functions_of_several_nodes(shape: tuple[int, ...], function: Any, named: bool) -> None:
    g = gn.Graph()
    x = g.placeholder("x", [side if side == 1 or not named else f"n{i}" for i, side in enumerate(shape)])
    value = np.random.default_rng(0).normal(size=shape)
    ours, theirs = gn.run(function(gn, x), {x: value}), function(np, value)
    for mine, other in zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]:
        assert mine.shape == np.shape(other)
        np.testing.assert_allclose(mine, other, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    "numbers", [(4,), (-2,), (2, 7), (7, 2, -2), (0.0, 1, 0.1), (3.5,), (-1.0, -1.0), (0, 1, 0.3), (5, 0)]
)
def test_arange_takes_what_numpy_takes(numbers: tuple[Any, ...]) -> None:
    g = gn.Graph()
    value, expected = gn.run(gn.arange(*numbers, graph=g)), np.arange(*numbers)
    assert (value.dtype, value.tolist()) == (expected.dtype, expected.tolist())
    assert gn.run(gn.arange(*numbers, dtype=np.float32, graph=g)).dtype == np.float32


def test_arange_goes_up_to_a_size_that_has_a_name() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("time", 2))
    places = gn.arange(x.shape[0], graph=g)
    assert places.shape == ("time",)
    assert gn.run(gn.expand_dims(places, 1) + x, {x: np.zeros((3, 2))}).tolist() == [[0, 0], [1, 1], [2, 2]]
    with pytest.raises(gn.DtypeError, match="numbers are whole"):
        gn.arange("time", step=0.5, graph=g)
    for wrong in [(0, 3, 0), (math.inf,), (0.0, math.nan)]:
        with pytest.raises(gn.ValueRangeError, match="arange: the numbers are finite, and the step is not 0"):
            gn.arange(*wrong, graph=g)


def test_unbind_and_triangles_say_what_does_not_fit() -> None:
    x = gn.Graph().placeholder("x", ("time", 2))
    parts = gn.run(gn.unbind(x, axis=-1), {x: [[1, 2], [3, 4]]})
    assert np.array_equal(parts, np.unstack(np.array([[1, 2], [3, 4]]), axis=-1))
    with pytest.raises(gn.ShapeError, match="axis 0 is time"):
        gn.unbind(x)
    with pytest.raises(gn.ShapeError, match="two axes or more"):
        gn.tril(x[0])


def test_gelu_by_tanh_is_the_formula_that_is_known() -> None:
    x = np.linspace(-4, 4, 101)
    g = gn.Graph()
    ours = gn.run(gn.gelu(g.constant(x), approximate="tanh"))
    theirs = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-16)


def test_topk_gives_the_largest_and_their_places() -> None:
    x = gn.Graph().placeholder("x", ("n", 4))
    values, places = gn.run(gn.topk(x, 2), {x: [[1.0, 3.0, 3.0, 0.0], [math.nan, -math.inf, 5.0, math.inf]]})
    assert np.array_equal(values, [[3, 3], [math.nan, math.inf]], equal_nan=True)
    assert places.tolist() == [[1, 2], [0, 3]]
    with pytest.raises(gn.ShapeError, match="axis 1 has 4 elements, fewer than 5"):
        gn.topk(x, 5)


def test_classes_come_as_often_as_their_logits_say() -> None:
    g = gn.Graph()
    step = g.placeholder("step", dtype=np.int64)
    shares = np.array([0.1, 0.0, 0.6, 0.3])
    with np.errstate(divide="ignore"):
        logits = g.constant(np.broadcast_to(np.log(shares), (20_000, 4)).astype(np.float32))
    drawn = gn.categorical(step, logits, seed=3)
    first, again, other = (gn.run(drawn, {step: number}) for number in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(np.bincount(first, minlength=4) / 20_000, shares, atol=0.015)


def test_classes_are_drawn_by_numbers_and_lists_beside_a_node() -> None:
    g = gn.Graph()
    counter = g.placeholder("counter", dtype=np.int64)
    logits = [[0.0, 1.0, 2.0]] * 50
    wanted = gn.run(gn.categorical(counter, g.constant(logits)), {counter: 3})
    assert np.array_equal(gn.run(gn.categorical(counter, logits), {counter: 3}), wanted)
    assert np.array_equal(gn.run(gn.categorical(3, g.constant(logits))), wanted)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_numbers_are_below_1(dtype: str) -> None:
    g = gn.Graph()
    drawn = gn.run(gn.random_uniform(g.constant(0), (20_000,), dtype=dtype))
    exact = np.random.Generator(np.random.Philox(key=0)).random(20_000)
    assert (exact.astype("float16") == 1).any()
    np.testing.assert_array_equal(
        drawn, np.minimum(exact.astype(dtype), np.nextafter(np.ones((), dtype), 0)), strict=True
    )


def test_what_a_matrix_lacks_is_said() -> None:
    x = gn.Graph().placeholder("x", ("n", "n"))
    flat = {x: [[1.0, 2.0], [2.0, 4.0]]}
    for result in (gn.inv(x), gn.solve(x, x)):
        with pytest.raises(gn.ValueRangeError, match="a matrix is singular"):
            gn.run(result, flat)
    with pytest.raises(gn.ValueRangeError, match="a matrix is not positive definite"):
        gn.run(gn.cholesky(x), {x: [[1.0, 2.0], [2.0, 1.0]]})
    y = gn.Graph().placeholder("y", (2, 3))
    with pytest.raises(gn.ShapeError, match="takes square matrices"):
        gn.det(y)
    with pytest.raises(gn.DtypeError, match=r"gn\.cast"):
        gn.inv(gn.cast(x, "float16"))


def test_products_of_float16_are_rounded_once() -> None:
    g = gn.Graph()
    x = g.constant(np.full((2, 4096), 0.1, np.float16))
    product = gn.run(x @ x.T)
    assert product.dtype == np.float16
    assert np.array_equal(product, np.full((2, 2), np.float16(4096 * float(np.float16(0.1)) ** 2)))
