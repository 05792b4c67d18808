"""Casts of bfloat16 in native code: the bits of ml_dtypes, of every number."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import graphnn as gn

BF16 = np.dtype(ml_dtypes.bfloat16)


def cast(x: np.ndarray, *dtypes: str) -> list[np.ndarray]:
    g = gn.Graph()
    given = g.placeholder("x", x.shape, x.dtype)
    step = gn.compile([gn.cast(given, dtype) for dtype in dtypes], backend="native")
    step({given: x})
    return step({given: x})


def test_every_bfloat16_is_widened_to_its_own_bits() -> None:
    x = np.arange(2**16, dtype=np.uint16).view(BF16)
    single, double = cast(x, "float32", "float64")
    np.testing.assert_array_equal(single.view(np.uint32), x.view(np.uint16).astype(np.uint32) << 16)
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        np.testing.assert_array_equal(double, x.astype(np.float64))


def test_float32_is_rounded_as_ml_dtypes_does_around_every_bfloat16() -> None:
    """Halfway, just below and above, at the numbers themselves, and in between; infinities and NaN with any payload."""
    upper = np.arange(2**16, dtype=np.uint32)[:, None] << 16
    x = (upper | np.uint32([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])).reshape(-1).view(np.float32)
    (short,) = cast(x, "bfloat16")
    with np.errstate(invalid="ignore"):  # of a signalling NaN
        np.testing.assert_array_equal(short.view(np.uint16), x.astype(BF16).view(np.uint16))


@given(arrays(np.uint32, st.integers(1, 40)), st.booleans())
def test_any_bits_and_any_number_of_them(raw: np.ndarray, fused: bool) -> None:
    x = raw.view(np.float32)
    g = gn.Graph(dtype="float32")
    given = g.placeholder("x", x.shape)
    y = gn.cast(gn.cast(given * 1.5 if fused else given, "bfloat16"), "float32") * 2.0
    with np.errstate(all="ignore"):
        expected = gn.run(y, {given: x})
        step = gn.compile(y, backend="native")
        np.testing.assert_array_equal(step({given: x}), expected)


@pytest.mark.parametrize("shape", [(3, 5), (64, 7), (2, 3, 4)])
def test_what_moves_bits_moves_those_of_bfloat16(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 2**16, shape).astype(np.uint16).view(BF16)
    g = gn.Graph()
    p = g.placeholder("p", shape, BF16)
    taken = gn.take(p, np.array([0, shape[0] - 1]), axis=0)
    moved = [gn.transpose(p), gn.concatenate([p, p[::-1]]), gn.where(gn.isnan(p), p, p[::-1]), gn.stack([p, p]), taken]
    step = gn.compile([*moved, gn.transpose(p) + 0.5], backend="native")
    for value, expected in zip(step({p: x}), gn.run([*moved, gn.transpose(p) + 0.5], {p: x}), strict=True):
        view = np.uint16 if value.dtype == BF16 else value.dtype
        np.testing.assert_array_equal(value.view(view), expected.view(view))


def test_a_plan_tells_what_it_casts() -> None:
    g = gn.Graph()
    x = g.placeholder("x", 1000, "float32")
    step = gn.compile(gn.cast(gn.cast(x * 2.0, "bfloat16") + 1.0, "bfloat16"), backend="native")
    (loop,) = step.plan({x: np.zeros(1000, np.float32)}).loops
    assert loop.text.count("to_bfloat16(") == 2
    assert loop.text.count("to_float32(") == 1
