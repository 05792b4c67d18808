"""Functions that ONNX has not, or only of float32: composed of others so that no digits are lost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops import elementwise, erf, trigonometric
from .arithmetic import in_float32, promoted
from .group import F4, WRITERS, Group

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value


def _floats(function: Any, native: str = "") -> Any:
    """Return the writer of a function of floats: `native` is ONNX's, which ONNX Runtime has of float32."""

    def write(g: Group, op: Op, x: Value) -> Value:
        (x,) = promoted(g, x)
        wide = in_float32(g, x)
        return g.cast(g(native, wide) if native and wide.dtype == F4 else function(g, wide), x.dtype)

    return write


# --- near 0 ---------------------------------------------------------------------------------------------------------


def expm1_of(g: Group, x: Value) -> Value:
    """Return exp(x) - 1: where exp(x) rounds to near 1, it is divided by its own logarithm."""
    power = g("Exp", x)
    less = g.subtract(power, 1)
    found = g.multiply(less, g.divide(x, g("Log", power)))
    near = g("Less", g("Abs", x), g.like(x, 1))
    found = g.where(near, found, less)
    return g.where(g("Equal", less, g.like(x, 0)), x, found)


def log1p_of(g: Group, x: Value) -> Value:
    """Return log(1 + x), likewise."""
    whole = g.add(x, 1)
    part = g.subtract(whole, 1)
    found = g.multiply(g("Log", whole), g.divide(x, part))
    near = g("Less", g("Abs", x), g.like(x, 1))
    found = g.where(near, found, g("Log", whole))
    return g.where(g("Equal", part, g.like(x, 0)), x, found)


WRITERS[elementwise.Expm1] = _floats(expm1_of)
WRITERS[elementwise.Log1p] = _floats(log1p_of)


# --- the error function ---------------------------------------------------------------------------------------------


def _ratio(g: Group, coefficients: Any, x: Value) -> Value:
    return g.divide(g.polynomial(coefficients[0], x), g.polynomial(coefficients[1], x))


def _clipped(g: Group, x: Value, lo: float, hi: float) -> Value:
    return g("Min", g("Max", x, g.like(x, lo)), g.like(x, hi))


def _erf_parts(g: Group, x: Value) -> tuple[Value, Value, Value, Value, Value]:
    """Return |x|, and what `graphnn.ops.erf` takes the error function apart to."""
    size, near = g("Abs", x), _clipped(g, x, -1, 1)
    small = g.multiply(near, _ratio(g, erf._ERF_SMALL, g("Mul", near, near)))
    middle = _ratio(g, erf._ERF_MIDDLE, g.subtract(_clipped(g, size, 0.75, 1.25), 1))
    large = _clipped(g, size, 1.25, 28)
    inverse = g("Reciprocal", g("Mul", large, large))
    is_large = g("Less", large, g.like(x, 1 / 0.35))
    power = g.where(is_large, _ratio(g, erf._ERFC_LARGE, inverse), _ratio(g, erf._ERFC_LARGEST, inverse))
    coarse = g.cast(g.cast(large, F4), x.dtype)
    first = g("Exp", g.subtract(g("Neg", g("Mul", coarse, coarse)), 0.5625))
    second = g.add(g("Mul", g.subtract(coarse, large), g.add(coarse, large)), power)
    return size, near, small, middle, g.divide(g("Mul", first, g("Exp", second)), large)


def _erf(g: Group, x: Value) -> Value:
    size, near, small, middle, rest = _erf_parts(g, x)
    above = g.where(g("Less", size, g.like(x, 1.25)), g.add(middle, erf._ERF_AT_1), g.subtract(g.like(x, 1), rest))
    signed = g.where(g("Less", x, g.like(x, 0)), g("Neg", above), above)
    return g.where(g("Less", size, g.like(x, 0.84375)), g.add(near, small), _or_nan(g, x, signed))


def erfc(g: Group, x: Value) -> Value:
    """Return 1 - erf(x), exact where it is small."""
    size, near, small, middle, rest = _erf_parts(g, x)
    one = g.like(x, 1)
    half = g.subtract(g.like(x, 0.5), g.add(g.subtract(near, 0.5), small))
    small = g.where(g("Less", near, g.like(x, 0.25)), g.subtract(one, g.add(near, small)), half)
    large = g.where(g("Less", size, g.like(x, 1.25)), g.subtract(g.like(x, 1 - erf._ERF_AT_1), middle), rest)
    large = g.where(g("Less", x, g.like(x, 0)), g.subtract(g.like(x, 2), large), large)
    return g.where(g("Less", size, g.like(x, 0.84375)), small, _or_nan(g, x, large))


def normal_single(g: Group, x: Value) -> Value:
    """Return the distribution function of the standard normal of float32, as `graphnn.ops.erf` has it."""
    size = g("Min", g("Abs", x), g.like(x, 14.5))
    coarse = g.subtract(g.add(size, 2.0**16), 2.0**16)
    rest = g("Mul", g.subtract(coarse, size), g.add(coarse, size))
    power = g("Mul", g("Exp", g.multiply(g("Mul", coarse, coarse), -0.5)), g("Exp", g.multiply(rest, 0.5)))
    tail = g("Mul", power, _ratio(g, erf._TAIL, size))
    is_above = g.cast(g("GreaterOrEqual", x, g.like(x, 0)), x.dtype)
    return g("Abs", g.subtract(is_above, tail))


def _or_nan(g: Group, x: Value, found: Value) -> Value:
    return g.where(g("IsNaN", x), x, found)


WRITERS[elementwise.Erf] = _floats(_erf, "Erf")


# --- trigonometry ---------------------------------------------------------------------------------------------------


def _logarithm(base: int) -> Any:
    return _floats(lambda g, x: g.divide(g("Log", x), math.log(base)))


def _arctan(g: Group, x: Value) -> Value:
    """Return the angle in float32, and then what its sine and cosine say is missing."""
    size = g("Abs", x)
    is_far = g("Greater", size, g.like(x, 1))
    small = g.where(is_far, g("Reciprocal", size), size)
    angle = g.cast(g("Atan", g.cast(small, F4)), x.dtype)
    sine, cosine = g("Sin", angle), g("Cos", angle)
    missing = g.divide(g.subtract(g("Mul", small, cosine), sine), g.add(cosine, g("Mul", small, sine)))
    angle = g.add(angle, missing)
    angle = g.where(is_far, g.subtract(g.like(x, math.pi / 2), angle), angle)
    return g.where(g("Less", x, g.like(x, 0)), g("Neg", angle), angle)


def _arcsin(g: Group, x: Value) -> Value:
    return _arctan(g, g.divide(x, g("Sqrt", _one_less_square(g, x))))


def _arccos(g: Group, x: Value) -> Value:
    one = g.like(x, 1)
    ratio = g("Sqrt", g.divide(g.subtract(one, x), g.add(x, 1)))
    return g.multiply(_arctan(g, ratio), 2)


def _one_less_square(g: Group, x: Value) -> Value:
    return g("Mul", g.subtract(g.like(x, 1), x), g.add(x, 1))


def _sinh(g: Group, x: Value) -> Value:
    less = expm1_of(g, g("Abs", x))
    ratio = g.where(g("Equal", less, g.like(x, np.inf)), g.like(x, 1), g.divide(less, g.add(less, 1)))
    size = g.multiply(g.add(less, ratio), 0.5)
    return g.where(g("Less", x, g.like(x, 0)), g("Neg", size), size)


def _cosh(g: Group, x: Value) -> Value:
    half = g.multiply(g("Exp", g("Abs", x)), 0.5)
    return g.add(half, g.divide(g.like(x, 0.25), half))


def _arcsinh(g: Group, x: Value) -> Value:
    size = g("Abs", x)
    square = g("Mul", size, size)
    more = g.divide(square, g.add(g("Sqrt", g.add(square, 1)), 1))
    near = log1p_of(g, g.add(size, more))
    far = g.add(g("Log", size), math.log(2))
    found = g.where(g("Less", size, g.like(x, 1e8)), near, far)
    return g.where(g("Less", x, g.like(x, 0)), g("Neg", found), found)


def _arccosh(g: Group, x: Value) -> Value:
    less = g.subtract(x, 1)
    near = log1p_of(g, g.add(less, g("Mul", g("Sqrt", less), g("Sqrt", g.add(x, 1)))))
    far = g.add(g("Log", x), math.log(2))
    return g.where(g("Less", x, g.like(x, 1e8)), near, far)


def _arctanh(g: Group, x: Value) -> Value:
    size = g("Abs", x)
    found = g.multiply(log1p_of(g, g.divide(g.multiply(size, 2), g.subtract(g.like(x, 1), size))), 0.5)
    return g.where(g("Less", x, g.like(x, 0)), g("Neg", found), found)


WRITERS[trigonometric.Log2] = _logarithm(2)
WRITERS[trigonometric.Log10] = _logarithm(10)
WRITERS[trigonometric.Tan] = _floats(lambda g, x: g.divide(g("Sin", x), g("Cos", x)), "Tan")
WRITERS[trigonometric.Arcsin] = _floats(_arcsin, "Asin")
WRITERS[trigonometric.Arccos] = _floats(_arccos, "Acos")
WRITERS[trigonometric.Arctan] = _floats(_arctan, "Atan")
WRITERS[trigonometric.Sinh] = _floats(_sinh, "Sinh")
WRITERS[trigonometric.Cosh] = _floats(_cosh, "Cosh")
WRITERS[trigonometric.Arcsinh] = _floats(_arcsinh, "Asinh")
WRITERS[trigonometric.Arccosh] = _floats(_arccosh, "Acosh")
WRITERS[trigonometric.Arctanh] = _floats(_arctanh, "Atanh")
