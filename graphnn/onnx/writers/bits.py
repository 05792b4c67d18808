"""The bits of integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops import comparison as ops
from .arithmetic import promoted
from .group import BOOL, WRITERS, Group, Unwritable, writes

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value


def _bitwise(kind: str, of_bools: str) -> Any:
    def write(g: Group, op: Op, *operands: Value) -> Value:
        operands = promoted(g, *operands)
        if operands[0].dtype == BOOL:
            return g(of_bools, *operands)
        return bitwise(g, kind, *operands)

    return write


def bitwise(g: Group, kind: str, *operands: Value) -> Value:
    """Return what an operation on bits gives; ONNX has them from opset 18 on."""
    if g.draft.opset < 18:
        raise Unwritable("it takes opset 18 or later")
    return g(kind, *operands)


WRITERS[ops.BitwiseAnd] = _bitwise("BitwiseAnd", "And")
WRITERS[ops.BitwiseOr] = _bitwise("BitwiseOr", "Or")
WRITERS[ops.BitwiseXor] = _bitwise("BitwiseXor", "Xor")
WRITERS[ops.Invert] = _bitwise("BitwiseNot", "Not")


def _unsigned(g: Group, x: Value) -> tuple[Value, Value, Value]:
    """Return integers as unsigned ones, how many bits they have, and zero."""
    bits = x.dtype.itemsize * 8
    dtype = np.dtype(f"u{x.dtype.itemsize}")
    return g.cast(x, dtype), g.constant(bits, dtype), g.constant(0, dtype)


@writes(ops.LeftShift)
def _left_shift(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = promoted(g, x, y)
    (bits, count, zero), (places, _, _) = _unsigned(g, x), _unsigned(g, y)
    fits = g("Less", places, count)  # negative places are many
    shifted = g("BitShift", bits, g.where(fits, places, zero), direction="LEFT")
    return g.cast(g.where(fits, shifted, zero), x.dtype)


@writes(ops.RightShift)
def _right_shift(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = promoted(g, x, y)
    (bits, count, zero), (places, _, _) = _unsigned(g, x), _unsigned(g, y)
    fits = g("Less", places, count)
    places = g.where(fits, places, zero)
    shifted = g.where(fits, g("BitShift", bits, places, direction="RIGHT"), zero)
    if x.dtype.kind == "u":
        return shifted
    # Of a negative number: all bits turned, shifted, and turned back, where -1 - x turns them.
    turned, _, _ = _unsigned(g, g.subtract(g.like(x, -1), x))
    turned = g.where(fits, g("BitShift", turned, places, direction="RIGHT"), zero)
    back = g.subtract(g.like(x, -1), g.cast(turned, x.dtype))
    return g.where(g("Less", x, g.like(x, 0)), back, g.cast(shifted, x.dtype))
