"""Arithmetic, functions and comparisons of elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core import Node, fn
from .. import shape_arithmetic as of
from ..rule_registry import on_sizes, rule
from ..tensors import dtype_of
from .kit import held

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value

SAME = {
    "Abs": "absolute",
    "Acos": "arccos",
    "Acosh": "arccosh",
    "Asin": "arcsin",
    "Asinh": "arcsinh",
    "Atan": "arctan",
    "Atanh": "arctanh",
    "BitwiseAnd": "bitwise_and",
    "BitwiseNot": "invert",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Equal": "equal",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "IsNaN": "isnan",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Log": "log",
    "Mul": "multiply",
    "Neg": "negative",
    "Not": "logical_not",
    "Or": "logical_or",
    "And": "logical_and",
    "Xor": "logical_xor",
    "Reciprocal": "reciprocal",
    "Relu": "relu",
    "Round": "round",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Softplus": "softplus",
    "Sqrt": "sqrt",
    "Sub": "subtract",
    "Add": "add",
    "Tan": "tan",
    "Tanh": "tanh",
}
"""ONNX's operations that are one of graphnn's with the same operands and the same dtype."""


def _same(name: str, function: str) -> None:
    if name in ("And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual") or name.startswith(
        ("BitwiseA", "BitwiseO", "BitwiseX", "Mul", "Sub", "Add")
    ):

        @rule(name)
        def two(call: Call, a: Node, b: Node, *, axis: int | None = None, broadcast: int = 0) -> Any:
            return getattr(fn, function)(a, _aligned(a, b, axis) if broadcast else b)

    else:

        @rule(name)
        def one(call: Call, x: Node) -> Any:
            return getattr(fn, function)(x)


def _aligned(a: Node, b: Node, axis: int | None) -> Node:
    """Return b with its axes where opset 6 puts them: from an axis of a on."""
    if axis is None or b.ndim == 0:
        return b
    behind = a.ndim - (axis % a.ndim) - b.ndim
    return fn.reshape(b, (*b.spec.shape, *[1] * behind))


for _name, _function in SAME.items():
    _same(_name, _function)


@rule("Div")
def div(call: Call, a: Node, b: Node, *, axis: int | None = None, broadcast: int = 0) -> Any:
    """Return a / b; of integers, rounded towards 0."""
    b = _aligned(a, b, axis) if broadcast else b
    if a.spec.dtype.kind == "f":
        return fn.divide(a, b)
    if a.spec.dtype.kind == "u":
        return fn.floor_divide(a, b)
    # a - fmod(a, b) is the multiple of b that is next to a on the side of 0.
    return fn.floor_divide(a - fn.fmod(a, b), b)


@rule("Mod")
def mod(call: Call, a: Node, b: Node, *, fmod: int = 0) -> Any:
    """Return the rest of a / b, with the sign of b, or with `fmod` with that of a."""
    return fn.fmod(a, b) if fmod else fn.remainder(a, b)


@rule("Pow")
def power(call: Call, x: Node, exponent: Value, *, axis: int | None = None, broadcast: int = 0) -> Any:
    """Return x to the power of y, in the dtype of x; a cube is two products."""
    known = held(call, exponent)
    if known is not None and known.size == 1 and known.ndim <= x.ndim and known.item() == 3:
        return x * x * x  # some 100 times as fast as NumPy's power, and as exact
    y = call.node(exponent)
    y = _aligned(x, y, axis) if broadcast else y
    if x.spec.dtype == y.spec.dtype:
        return fn.power(x, y)
    if x.spec.dtype.kind == "f":
        return fn.power(x, fn.cast(y, x.spec.dtype))
    if y.spec.dtype.kind == "f":
        return fn.cast(fn.power(fn.cast(x, y.spec.dtype), y), x.spec.dtype)
    return fn.cast(fn.power(x, y), x.spec.dtype)


@rule("Max", "Min", "Sum", "Mean")
def several(call: Call, *arrays: Node) -> Any:
    """Return the maximum, minimum, sum or mean of arrays that broadcast."""
    function = {"Max": fn.maximum, "Min": fn.minimum}.get(call.op, fn.add)
    result = arrays[0]
    for array in arrays[1:]:
        result = function(result, array)
    return result / len(arrays) if call.op == "Mean" else result


@rule("Clip")
def clip(call: Call, x: Node, min: Value = None, max: Value = None) -> Any:
    """Return x between two bounds."""
    bounds = [None if bound is None else held(call, bound) for bound in (min, max)]
    if x.spec.dtype.kind == "f" and all((b is None) == (n is None) for b, n in zip(bounds, (min, max), strict=True)):
        low, high = (None if bound is None else float(bound) for bound in bounds)
        if not any(bound is not None and bound != bound for bound in (low, high)) and (
            low is None or high is None or low <= high
        ):
            return fn.clip(x, low, high)
    if min is not None:
        x = fn.maximum(x, fn.cast(call.node(min), x.spec.dtype))
    return x if max is None else fn.minimum(x, fn.cast(call.node(max), x.spec.dtype))


@rule("Where")
def where(call: Call, condition: Node, x: Node, y: Node) -> Any:
    """Return x where the condition holds, else y."""
    return fn.where(condition, x, y)


@rule("Cast", "CastLike")
def cast(call: Call, x: Node, like: Node | None = None, *, to: Any = None, saturate: int = 1) -> Any:
    """Return x as another dtype."""
    kind = like.spec.dtype if like is not None else dtype_of(to, "what it casts to")
    if x.spec.dtype == kind:
        return x
    if x.spec.dtype.kind == "f" and kind.kind == "b":
        return fn.not_equal(x, call.node(np.zeros((), x.spec.dtype)))
    return fn.cast(x, kind)


@rule("Identity")
def identity(call: Call, x: Value) -> Value:
    """Return x."""
    return x


@rule("IsInf")
def isinf(call: Call, x: Node, *, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    """Return whether x is infinite, of the signs that count."""
    found = fn.isinf(x)
    if not detect_negative:
        found = fn.logical_and(found, fn.greater(x, call.node(np.zeros((), x.spec.dtype))))
    if not detect_positive:
        found = fn.logical_and(found, fn.less(x, call.node(np.zeros((), x.spec.dtype))))
    return found


@rule("BitShift")
def bit_shift(call: Call, x: Node, y: Node, *, direction: Literal["LEFT", "RIGHT"]) -> Any:
    """Return x with its bits shifted."""
    return fn.left_shift(x, y) if direction == "LEFT" else fn.right_shift(x, y)


@rule("BitCast")
def bit_cast(call: Call, x: Node, *, to: int) -> Any:
    """Return the bits of x as another dtype: of data, those of whole numbers only."""
    kind = dtype_of(to, "what it casts to")
    known = call.reader.stored(x)
    if known is not None:
        return np.ascontiguousarray(known).view(kind).reshape(known.shape)
    if x.spec.dtype.kind not in "iub" or kind.kind not in "iu":
        call.refuse(f"graphnn does not look at bits of data: it casts {x.spec.dtype} to {kind}")
    return fn.cast(x, kind)


# --- on sizes -------------------------------------------------------------------------------------------------------


def _dtype(*values: Value) -> np.dtype[Any]:
    return next(value.dtype for value in values)


def _arithmetic(name: str, whole: Any, floats: Any) -> None:
    @on_sizes(name)
    def compute(call: Call, a: Value, b: Value) -> Any:
        kind = _dtype(a, b)
        return of.sized(of.each(whole if kind.kind in "iu" else floats, a, b), kind)


for _name, _whole, _floats in (
    ("Add", of.plus, of.plus),
    ("Sub", of.minus, of.minus),
    ("Mul", of.times, of.times),
    ("Div", of.quotient, of.over),
    ("Min", of.smaller, of.smaller),
    ("Max", of.larger, of.larger),
):
    _arithmetic(_name, _whole, _floats)


@on_sizes("Mod")
def sizes_mod(call: Call, a: Value, b: Value, *, fmod: int = 0) -> Any:
    """Return the rest of a / b with the sign of b."""
    if fmod:
        raise of.Undecided
    return of.sized(of.each(of.remainder, a, b), _dtype(a, b))


def _comparison(name: str, function: Any) -> None:
    @on_sizes(name)
    def compute(call: Call, a: Value, b: Value) -> Any:
        return of.sized(of.each(function, a, b), np.bool_)


for _name, _holds in (
    ("Equal", of.same),
    ("GreaterOrEqual", of.at_least),
    ("LessOrEqual", lambda a, b: of.at_least(b, a)),
    ("Greater", lambda a, b: not of.at_least(b, a)),
    ("Less", lambda a, b: not of.at_least(a, b)),
):
    _comparison(_name, _holds)


@on_sizes("Where")
def sizes_where(call: Call, condition: Value, x: Value, y: Value) -> Any:
    """Return the places of x where the condition holds, else of y."""
    return of.sized(of.each(lambda c, a, b: a if c else b, call.known(condition), x, y), _dtype(x, y))


@on_sizes("Cast")
def sizes_cast(call: Call, x: Value, *, to: int, saturate: int = 1) -> Any:
    """Return sizes as another dtype, where that is exact; fractions are rounded down."""
    return _sizes_as(x, dtype_of(to, "what it casts to"))


@on_sizes("CastLike")
def sizes_cast_like(call: Call, x: Value, like: Value, *, saturate: int = 1) -> Any:
    """Return sizes, or numbers beside sizes, in the dtype of the other operand."""
    return x.astype(like.dtype) if isinstance(x, np.ndarray) else _sizes_as(x, like.dtype)


def _sizes_as(x: Value, kind: Any) -> Any:
    if kind.kind == "b":
        return of.sized(of.each(lambda place: not of.same(place, 0), x), kind)
    return of.sized(of.each(of.floor if kind.kind in "iu" else lambda place: place, x), kind)


@on_sizes("Floor")
def sizes_floor(call: Call, x: Value) -> Any:
    """Return sizes rounded down."""
    return of.sized(of.each(of.floor, x), x.dtype)


@on_sizes("Ceil")
def sizes_ceil(call: Call, x: Value) -> Any:
    """Return sizes rounded up."""
    return of.sized(of.each(of.ceil, x), x.dtype)


@on_sizes("Neg")
def sizes_negative(call: Call, x: Value) -> Any:
    """Return sizes with a minus."""
    return of.sized(of.each(lambda place: of.times(place, -1), x), x.dtype)


@on_sizes("Identity")
def sizes_identity(call: Call, x: Value) -> Any:
    """Return the sizes."""
    return x
