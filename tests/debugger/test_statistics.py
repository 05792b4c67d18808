"""Statistics of values: what NumPy computes of the whole array in float64, for any size, layout and kind of number."""

import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from graphnn.debugger.traces import SMALL, stats_of
from graphnn.debugger.traces.value_statistics import BLOCK

SIZES = [0, 1, 2, SMALL, SMALL + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7]
KINDS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "far": lambda rng, n: 1000 + 1e-3 * rng.normal(size=n),
    "equal": lambda rng, n: np.full(n, 0.1),
    "zero": lambda rng, n: np.where(np.arange(n) % 2, 0.0, -0.0),
    "sparse": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.normal(size=n)),
    "nan late": lambda rng, n: np.where(np.arange(n) == n - 1, np.nan, rng.normal(size=n)),
    "strange": lambda rng, n: rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.0, 3e-5], size=n),
    "nothing finite": lambda rng, n: rng.choice([np.nan, np.inf, -np.inf], size=n),
}


def expected(value):
    wide = np.asarray(value).astype(np.float64)
    finite = wide[np.isfinite(wide)]
    scale = np.abs(finite).max(initial=0.0) or 1.0
    part = finite / scale
    spread = [finite.min(), finite.max(), part.mean() * scale, part.std() * scale] if part.size else [np.nan] * 4
    counts = [(wide == 0).sum(), np.isnan(wide).sum(), (wide == np.inf).sum(), (wide == -np.inf).sum(), wide.size]
    return spread, counts


def check(value):
    found, (spread, counts) = stats_of(value), expected(value)
    assert list(found[4:]) == counts
    np.testing.assert_equal(found[:2], spread[:2])
    largest = max(map(abs, spread[:2]))
    # As a difference of squares, or around the mean where that would be too small, a variance has nine digits.
    np.testing.assert_allclose(found.mean, spread[2], rtol=1e-12, atol=1e-13 * largest)
    np.testing.assert_allclose(found.std, spread[3], rtol=1e-9, atol=1e-13 * largest)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_numpy(kind, size):
    with np.errstate(all="ignore"):
        value = KINDS[kind](np.random.default_rng(size), size)
        for dtype in (np.float16, np.float32, np.float64, ml_dtypes.bfloat16):
            check(value.astype(dtype))


def test_integers_and_bools():
    rng = np.random.default_rng(0)
    for dtype in (np.bool_, np.int8, np.uint8, np.int64):
        check(rng.integers(0, 2, 2 * BLOCK + 1).astype(dtype))
        check(rng.integers(0, 100, 2 * BLOCK + 1).astype(dtype))


def test_layouts_are_no_matter():
    value = np.random.default_rng(0).normal(size=(7, 3 * BLOCK // 7, 2)).astype(np.float32)
    whole = stats_of(value)
    for laid in (np.asfortranarray(value), value[::-1][::-1], np.repeat(value, 2, axis=1)[:, ::2]):
        assert stats_of(laid) == whole
    for part in (value[:, ::-3], value.T, value[1:, 5:, 1], np.broadcast_to(value[:1], value.shape)):
        check(part)


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-160, 1e160, 1e308])
def test_numbers_whose_squares_are_out_of_range(scale):
    rng = np.random.default_rng(0)
    value = np.where(rng.random(BLOCK + 100) < 0.2, 0.0, scale * rng.uniform(-1.5, 1.5, BLOCK + 100))
    for strange in (False, True):
        if strange:
            value[3], value[-3:] = np.nan, np.inf
        check(value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("strange", [False, True])
def test_take_no_memory_of_the_size_of_the_value(dtype, strange):
    value = np.random.default_rng(0).normal(size=(1200, 50, 40)).astype(dtype)
    value[-1] = np.nan if strange else 1.0
    for laid in (value, value[:, ::-1], value + 100):
        tracemalloc.start()
        stats_of(laid)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 64 * BLOCK  # of 1200 × 2000 elements
