"""Numbers put together at places: the same bits as NumPy's own way has, which goes through them one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphnn.core import Array
from graphnn.ops import scatter_kernels
from graphnn.ops.scatter_kernels import accumulate, accumulate_slices

UFUNCS = [np.add, np.multiply, np.maximum, np.minimum]
DTYPES = ["float32", "float64", "float16", "int8", "int64", "uint8", "bool"]


@pytest.fixture(params=[(256, 2**15), (1, 1), (1, 7)], ids=["usual", "one each", "few each"])
def _limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    few, block = request.param
    monkeypatch.setattr(scatter_kernels, "_FEW", few)
    monkeypatch.setattr(scatter_kernels, "_BLOCK", block)


def laid(draw: Any, x: Array) -> Array:
    """Return the same numbers, as they may lie in memory."""
    if not np.ndim(x):
        return np.asarray(x)
    if draw(st.booleans()):
        x = np.asfortranarray(x)
    return x[::-1].copy()[::-1] if draw(st.booleans()) else x


def numbers(draw: Any, shape: Any, dtype: str) -> Array:
    """Return numbers of which the order of summing changes the last bits, NaN and both zeros among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 3, shape)
    if np.dtype(dtype).kind == "f" and draw(st.booleans()):
        x = np.where(rng.integers(0, 9, shape) == 0, rng.choice([np.nan, -0.0, 0.0, np.inf], shape), x)
        return x.astype(dtype)
    return np.clip(x, 0, 100).astype(dtype) if dtype in ("uint8", "bool") else np.clip(x, -100, 100).astype(dtype)


def bits(x: Array) -> bytes:
    """Return the bits, of which those of a NaN say nothing."""
    return np.where(np.isnan(x), np.asarray(np.nan, x.dtype), x).tobytes() if x.dtype.kind == "f" else x.tobytes()


@st.composite
def cases(draw: Any) -> tuple[np.ufunc, Array, list[Array], Array]:
    dtype, ufunc = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(UFUNCS))
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    wide = draw(st.lists(st.integers(0, 9), min_size=0, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    index = []
    for n in shape:
        own = [draw(st.sampled_from([1, dim])) for dim in wide][draw(st.integers(0, len(wide))) :]
        index.append(laid(draw, rng.integers(-n, n, own)))
    index.append(np.zeros(wide, int))  # so that they broadcast to all of it
    values = numbers(draw, [draw(st.sampled_from([1, dim])) for dim in wide], dtype)
    return ufunc, numbers(draw, (*shape, 2), dtype), index, laid(draw, values)


@pytest.mark.usefixtures("_limits")
@settings(max_examples=150, deadline=None)
@given(cases())
def test_numbers_come_together_as_in_numpy(case: tuple[np.ufunc, Array, list[Array], Array]) -> None:
    ufunc, target, index, values = case
    expected = target.copy()
    with np.errstate(all="ignore"):
        ufunc.at(expected, tuple(index), values)
        accumulate(ufunc, target, index, values)
    assert bits(target) == bits(expected)


@pytest.mark.usefixtures("_limits")
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_slices_come_together_as_in_numpy(data: st.DataObject) -> None:
    ufunc, dtype = data.draw(st.sampled_from(UFUNCS)), data.draw(st.sampled_from(DTYPES))
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    size = data.draw(st.lists(st.integers(1, 9), max_size=2))
    places = laid(data.draw, np.array(rng.integers(-shape[axis], shape[axis], size)))
    target = numbers(data.draw, shape, dtype)
    values = laid(data.draw, numbers(data.draw, (*shape[:axis], *places.shape, *shape[axis + 1 :]), dtype))
    expected = target.copy()
    with np.errstate(all="ignore"):
        beside = shape[:axis], shape[axis + 1 :]
        ufunc.at(expected, (*[slice(None)] * axis, places.reshape(-1)), values.reshape(*beside[0], -1, *beside[1]))
        accumulate_slices(ufunc, target, axis, places, values)
    assert bits(target) == bits(expected)


@pytest.mark.parametrize("shape", [(100_000,), (3000, 40), (2, 70_000), (2, 3, 20_000)])
def test_more_than_a_block_comes_together_as_in_numpy(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    index = [rng.integers(-7, 7, shape), np.arange(shape[-1]) % 3]
    values = rng.standard_normal(shape).astype("float32")
    target, expected = np.zeros((7, 3), "float32"), np.zeros((7, 3), "float32")
    accumulate(np.add, target, index, values)
    np.add.at(expected, tuple(index), values)
    assert target.tobytes() == expected.tobytes()


def test_places_are_the_functions_own_when_numpy_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scatter_kernels, "_FEW", 1)
    told = np.zeros(10, np.intp)
    seen = []

    class Told:
        """A ufunc that shows where it puts what."""

        @staticmethod
        def at(target: Array, index: Any, values: Array) -> None:
            seen.append(np.shares_memory(index[0] if isinstance(index, tuple) else index, told))

    for target in (np.zeros(3), np.zeros((3, 1))):
        accumulate(Told(), target, [told] * target.ndim, np.ones(10))  # type: ignore[arg-type]
    assert seen == [False, False]
