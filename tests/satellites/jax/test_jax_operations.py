"""Every operation by JAX against NumPy, on what its samples draw, and on special values."""

import warnings
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Op
from graphnn.core import registry
from graphnn.jax.rules import RULES
from graphnn.testing import Draw

OPS = {
    name: cls
    for name, cls in sorted(registry.items())
    if cls.__module__.startswith("graphnn.")
    and not cls.__module__.startswith("graphnn.torch.")
    and cls.samples.__func__ is not Op.samples.__func__
}
TOLERANCE = {8: 1e-12, 4: 1e-5, 2: 1e-2}
"""Relative to what is added up, by the bytes of a float."""
DTYPES = [*["float64", "float32"] * 2, "float16", "int64", "int32", "int8", "uint8", "uint64", "bool"]
ENDS = {
    "f": [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, np.nan, np.inf, -np.inf],
    "i": [0, 1, -1, 2, -3, 7, np.iinfo(np.int64).max, np.iinfo(np.int64).min],
}


def by_numpy(node: gn.Node, feed: dict[gn.Node, Any]) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return gn.run(node, feed)


def check(node: gn.Node, feed: dict[gn.Node, Any], scale: float = 1.0) -> None:
    """Hold JAX's value against NumPy's: integers exactly, floats up to rounding; both refuse the same."""
    try:
        right = by_numpy(node, feed)
    except gn.GraphnnError as error:
        with pytest.raises(type(error)):
            gn.compile(node, backend="jax")(feed)
        return
    found = gn.compile(node, backend="jax")(feed)
    assert (found.dtype, found.shape) == (right.dtype, right.shape)
    if right.dtype.kind != "f":
        np.testing.assert_array_equal(found, right)
        return
    finite = np.abs(right[np.isfinite(right)], dtype=np.float64)
    near = TOLERANCE[right.dtype.itemsize]
    np.testing.assert_allclose(found, right, rtol=near, atol=near * max(scale, finite.max(initial=0)))


@pytest.mark.parametrize("name", OPS)
def test_an_operation_is_that_of_numpy(name: str) -> None:
    rng = np.random.default_rng(len(name))
    tried = 0
    for dtype in DTYPES:
        op, drawn = OPS[name].samples(Draw(rng, dtype))
        operands = [np.asarray(x) for x in drawn]
        g = gn.Graph()
        nodes = [g.placeholder(f"p{i}", x.shape, x.dtype) for i, x in enumerate(operands)]
        try:
            node = op(*nodes, graph=g)
        except gn.GraphnnError:
            continue  # not of this dtype
        size = sum(float(np.abs(x.astype(np.float64)).sum()) for x in operands if x.dtype.kind == "f")
        check(node, dict(zip(nodes, operands, strict=True)), min(size, 1e3))
        tried += 1
    assert tried >= 2


ELEMENTWISE = [name for name, cls in OPS.items() if cls.elementwise]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_special_values_are_those_of_numpy(name: str) -> None:
    for dtype in ("float64", "float32", "int64"):
        ends = np.array(ENDS["i" if dtype == "int64" else "f"], dtype)
        op, drawn = OPS[name].samples(Draw(np.random.default_rng(0), dtype))
        grids = np.meshgrid(*[ends] * len(drawn), indexing="ij")
        if name == "cast":
            grids = [x[np.isfinite(x) & (np.abs(x.astype(float)) < 2**31)] for x in grids]  # the rest is open in C
        if dtype == "int64" and name in ("floor_divide", "remainder", "fmod", "power"):
            grids = [x[(grids[1] > 0) & (grids[1] < 9)] for x in grids]  # the others are refused
        if dtype == "int64" and name == "round":
            grids = [x[np.abs(x) < 100] for x in grids]  # NumPy rounds large ones as floats, and may run over
        if dtype == "int64" and name.endswith("_shift"):
            grids = [x[(grids[1] >= 0) & (grids[1] < 64)] for x in grids]
        g = gn.Graph()
        nodes = [g.placeholder(f"p{i}", x.shape, x.dtype) for i, x in enumerate(grids)]
        try:
            node = op(*nodes, graph=g)
        except gn.GraphnnError:
            continue
        feed = dict(zip(nodes, grids, strict=True))
        right, found = by_numpy(node, feed), gn.compile(node, backend="jax")(feed)
        assert found.dtype == right.dtype
        if right.dtype.kind != "f":
            np.testing.assert_array_equal(found, right)
            continue
        tiny = np.finfo(right.dtype).tiny  # XLA rounds smaller numbers to 0
        np.testing.assert_allclose(found, right, rtol=TOLERANCE[right.dtype.itemsize], atol=8 * tiny)
        big = np.abs(right) > tiny
        np.testing.assert_array_equal(np.signbit(found[big]), np.signbit(right[big]))


def test_there_is_a_rule_for_each_operation() -> None:
    own = {name for name, cls in registry.items() if cls.__module__.startswith("graphnn.")}
    assert own - set(RULES) <= {"placeholder", "parameter", "constant", "torch_call"}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_random_numbers_are_those_of_numpy_to_the_bit(dtype: str) -> None:
    g = gn.Graph()
    counter = g.placeholder("counter", (), "int64")
    key = 2**63 + 12345, 2**40 + 7
    uniform = gn.random_uniform(counter, (1001,), *key, dtype=dtype)
    normal = gn.random_normal(counter, (3, 5), *key, dtype=dtype)
    step = gn.compile([uniform, normal], backend="jax")
    for block in (0, 1, 2**32 + 5, 2**62):
        philox = [np.random.Philox(key=np.array(key, np.uint64), counter=[0, 0, 0, block]) for _ in range(2)]
        drawn = np.random.Generator(philox[0]).random(1001)
        expected = drawn if dtype == "float64" else np.minimum(drawn.astype(dtype), 1 - np.finfo(dtype).epsneg)
        found = step({counter: block})
        np.testing.assert_array_equal(found[0], expected)
        np.testing.assert_array_equal(found[1], np.random.Generator(philox[1]).standard_normal((3, 5)).astype(dtype))
