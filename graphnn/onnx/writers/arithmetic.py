"""Arithmetic, rounding and casts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.numpy_warnings import quietly
from ...ops import elementwise as ops
from .group import BOOL, F4, F8, WRITERS, Group, Unwritable, writes

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value


def promoted(g: Group, *operands: Value) -> tuple[Value, ...]:
    """Return operands in the dtype in which NumPy computes with them."""
    op: Any = g.node.op
    ufunc = getattr(op, "like", None) or type(op).forward
    free = [None] * (ufunc.nin - len(operands)) if isinstance(ufunc, np.ufunc) else []
    dtypes = ufunc.resolve_dtypes((*[x.dtype for x in operands], *free, *[None] * ufunc.nout))
    return tuple(g.cast(x, dtype) for x, dtype in zip(operands, dtypes, strict=False))


def to_result(g: Group, *operands: Value) -> tuple[Value, ...]:
    """Return operands in the dtype of the result."""
    return tuple(g.cast(x, g.node.dtype) for x in operands)


def in_float32(g: Group, x: Value) -> Value:
    """Return float16 as float32, in which its functions are computed."""
    return g.cast(x, F4) if x.dtype == np.float16 else x


def _simple(kind: str, of_bools: str = "") -> Any:
    def write(g: Group, op: Op, *operands: Value) -> Value:
        operands = promoted(g, *operands)
        if operands[0].dtype == BOOL:
            if not of_bools:
                raise Unwritable(f"of bools, ONNX has no {kind}")
            return g(of_bools, *operands)
        return g(kind, *operands)

    return write


WRITERS[ops.Add] = _simple("Add", "Or")
WRITERS[ops.Subtract] = _simple("Sub")
WRITERS[ops.Multiply] = _simple("Mul", "And")
WRITERS[ops.Sqrt] = _simple("Sqrt")
WRITERS[ops.Exp] = _simple("Exp")
WRITERS[ops.Log] = _simple("Log")
WRITERS[ops.Sin] = _simple("Sin")
WRITERS[ops.Cos] = _simple("Cos")
WRITERS[ops.Tanh] = _simple("Tanh")
WRITERS[ops.Sign] = _simple("Sign")


@writes(ops.Divide)
def _divide(g: Group, op: Op, x: Value, y: Value) -> Value:
    return g("Div", *to_result(g, x, y))


@writes(ops.DivideBySize)
def _divide_by(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    if isinstance(op.count, int):
        return g.divide(x, op.count)
    return g.divide(x, g.cast(g.draft.scalar(op.count), x.dtype))


@writes(ops.FloorDivide)
def _floor_divide(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = promoted(g, x, y)
    if x.dtype.kind != "f":
        if x.dtype.kind == "u":
            return g.divide(x, y)
        zero = g.like(x, 0)
        opposite = g("Equal", y, g.like(y, -1))  # of the least integer, a processor cannot divide by it
        found = g.divide(x, g.where(opposite, g.like(y, 1), y))  # toward zero
        below = g("And", g("Xor", g("Less", x, zero), g("Less", y, zero)), g("Not", g("Equal", g("Mod", x, y), zero)))
        return g.where(opposite, g.subtract(zero, x), g.where(below, g.subtract(found, 1), found))
    dtype = x.dtype
    x, y = in_float32(g, x), in_float32(g, y)
    rest, turns = _rest(g, x, y)
    quotient = g.divide(g.subtract(x, rest), y)
    quotient = g.where(turns, g.subtract(quotient, 1), quotient)
    whole = g("Floor", quotient)
    whole = g.where(g("Greater", g.subtract(quotient, whole), g.like(x, 0.5)), g.add(whole, 1), whole)
    by_zero = g("Equal", y, g.like(y, 0))
    return g.cast(g.where(by_zero, g.divide(x, y), whole), dtype)


def _rest(g: Group, x: Value, y: Value) -> tuple[Value, Value]:
    """Return the rest of a division toward zero, and where it is to be of the other sign."""
    rest = g("Mod", x, y, fmod=1)
    zero = g.like(x, 0)
    differs = g("Xor", g("Less", y, zero), g("Less", rest, zero))
    return rest, g("And", differs, g("Not", g("Equal", rest, zero)))


@writes(ops.Remainder)
def _remainder(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = promoted(g, x, y)
    if x.dtype.kind != "f":
        return g("Mod", x, y)
    dtype = x.dtype
    x, y = in_float32(g, x), in_float32(g, y)
    rest, turns = _rest(g, x, y)
    return g.cast(g.where(turns, g.add(rest, y), rest), dtype)


@writes(ops.Fmod)
def _fmod(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = promoted(g, x, y)
    return g.cast(g("Mod", in_float32(g, x), in_float32(g, y), fmod=1), x.dtype)


@writes(ops.Negative)
def _negative(g: Group, op: Op, x: Value) -> Value:
    return g.subtract(g.like(x, 0), x) if x.dtype.kind == "u" else g("Neg", x)


@writes(ops.Absolute)
def _absolute(g: Group, op: Op, x: Value) -> Value:
    return g("Identity", x) if x.dtype == BOOL else g("Abs", x)


@writes(ops.Power)
def _power(g: Group, op: Op, x: Value, y: Value) -> Value:
    exponent = constant_of(g, 1)
    x, y = promoted(g, x, y)
    if x.dtype.kind == "f":
        dtype = x.dtype
        return g.cast(g("Pow", in_float32(g, x), in_float32(g, y)), dtype)
    if exponent is not None and exponent.ndim == 0 and 0 <= int(exponent) <= _FEW:
        return _whole_power(g, x, int(exponent), y)
    return g.cast(g("Pow", g.cast(x, np.int64), g.cast(y, np.int64)), x.dtype)


_FEW = 64


def _whole_power(g: Group, x: Value, exponent: int, like: Value) -> Value:
    """Return a power of integers by products, which are exact."""
    found = g.multiply(x, 0) if not exponent else x
    found = g.add(found, 1) if not exponent else found
    for bit in bin(exponent)[3:]:
        found = g("Mul", found, found)
        found = g("Mul", found, x) if bit == "1" else found
    return found


def constant_of(g: Group, operand: int) -> np.ndarray[Any, Any] | None:
    """Return the value of an operand that is a constant of the graph, else None."""
    node = g.node.inputs[operand]
    return node.value if node.op.name == "constant" else None


@writes(ops.Square)
def _square(g: Group, op: Op, x: Value) -> Value:
    (x,) = promoted(g, x)
    return g("Mul", x, x)


@writes(ops.Reciprocal)
def _reciprocal(g: Group, op: Op, x: Value) -> Value:
    (x,) = promoted(g, x)
    if x.dtype.kind == "f":
        return g("Reciprocal", x)
    found = g.like(x, quietly(np.reciprocal, np.zeros((), x.dtype)))  # what a processor makes of 1 / 0
    for number in (2, 1, -1) if x.dtype.kind == "i" else (2, 1):
        at = g("Greater", g("Abs", x), g.like(x, 1)) if number == 2 else g("Equal", x, g.like(x, number))
        found = g.where(at, g.like(x, 0 if number == 2 else number), found)
    return found


# --- rounding and casting -------------------------------------------------------------------------------------------


def _rounding(kind: str) -> Any:
    def write(g: Group, op: Op, x: Value) -> Value:
        (x,) = promoted(g, x)
        return g(kind if x.dtype.kind == "f" else "Identity", x)

    return write


WRITERS[ops.Floor] = _rounding("Floor")
WRITERS[ops.Ceil] = _rounding("Ceil")


@writes(ops.Round)
def _round(g: Group, op: Any, x: Value) -> Value:
    dtype = g.node.dtype
    if dtype.kind != "f":
        if op.decimals >= 0:
            return g("Identity", x)
        scale = 10.0**-op.decimals
        return g.cast(g.multiply(g("Round", g.divide(g.cast(x, F8), scale)), scale), dtype)
    x = g.cast(x, dtype)
    if not op.decimals:
        return g("Round", x)
    scale = 10.0 ** abs(op.decimals) if abs(op.decimals) < 308 else np.inf
    there, back = ("Mul", "Div") if op.decimals > 0 else ("Div", "Mul")
    wide = in_float32(g, x)
    return g.cast(g(back, g("Round", g(there, wide, g.like(wide, scale))), g.like(wide, scale)), dtype)


@writes(ops.Cast)
def _cast(g: Group, op: Any, x: Value) -> Value:
    return g.cast(x, op.dtype)


@writes(ops.StopGradient, ops.SumOverBatches)
def _identity(g: Group, op: Op, x: Value) -> Value:
    return g("Identity", x)
