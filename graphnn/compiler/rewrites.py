"""Faster ways to write some instructions, with the same bits."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..ops import matmul_kernels
from . import intermediate_representation as do
from .intermediate_representation import DType, Instruction, Result
from .ir_builder import Builder, rewrite

if TYPE_CHECKING:
    from .ir_values import Value

_BITS: dict[int, DType] = {size: np.dtype(f"int{8 * size}") for size in (2, 4, 8)}
_BOOL: DType = np.dtype(bool)


@rewrite(do.Select)
def masked(build: Builder, how: Instruction, operands: Sequence[Value], result: Result) -> Value | None:
    """Choose with bit masks, many elements at a time: a masked copy decides element by element."""
    condition, x, y = operands
    shape, dtype = result
    bits = _BITS.get(dtype.itemsize) if dtype.kind in "iuf" else None
    if bits is None or condition.shape != shape or math.prod(shape) < build.settings.masked:
        return None
    if x.is_number(0) and y.is_number(0):
        return build.filled(0, result)
    if x.is_number(0):
        condition, x, y = build.ufunc(np.logical_not, condition, result=Result(shape, _BOOL)), y, x
    mask = build.each(do.Cast(), condition, result=Result(shape, bits))
    # The bits of a float, read as an integer and multiplied by 1 or 0, are the float itself or 0.
    if y.is_number(0):
        return build.on_bits(np.multiply, x, mask, bits=bits, result=result)
    # Where the condition holds, the bits that differ between x and y are flipped in y, which gives x.
    differing = build.on_bits(np.bitwise_xor, x, y, bits=bits, result=result)
    turned = build.on_bits(np.multiply, differing, mask, bits=bits, result=result)
    return build.on_bits(np.bitwise_xor, y, turned, bits=bits, result=result)


@rewrite(do.Reduce)
def unrolled(build: Builder, how: Instruction, operands: Sequence[Value], result: Result) -> Value | None:
    """Reduce along a short last axis with one call per column, which is faster than NumPy's reduction."""
    assert isinstance(how, do.Reduce)
    (x,) = operands
    columns = x.shape[-1] if x.shape else 0
    if how.axes != (len(x.shape) - 1,) or columns < 2 or x.dtype != result.dtype:
        return None
    extremum = how.ufunc in (np.maximum, np.minimum)
    most = _most_columns(how.ufunc, x.dtype) if extremum else matmul_kernels.limits.short - 1
    if columns > most or x.size // columns < build.settings.tall * columns:
        return None
    each = Result(x.shape[:-1], result.dtype)
    column = [build.view(do.Index((..., i)), x, each.shape) for i in range(columns)]
    total = column[0]
    for other in column[1:]:
        total = build.ufunc(how.ufunc, total, other, result=each)
    # NumPy starts a sum with 0, and so never gives -0; an exponential is never -0.
    power = isinstance(x.how, do.Ufunc) and x.how.ufunc is np.exp
    if how.ufunc is np.add and result.dtype.kind == "f" and not power:
        total = build.ufunc(np.add, total, build.number(0, result.dtype), result=each)
    return build.reshape(total, result.shape)


@functools.cache
def _most_columns(ufunc: np.ufunc, dtype: DType) -> int:
    """Return up to how many columns NumPy's maximum or minimum goes through a row in order.

    If a row is longer than one register of the processor, the order is another, which shows in the sign of a 0. Here
    it is tried out.
    """
    for most in (2, 4, 8):
        zeros = np.where(np.random.default_rng(0).random((256, most + 1)) < 0.5, 0.0, -0.0).astype(dtype)
        if functools.reduce(ufunc, zeros.T).tobytes() != ufunc.reduce(zeros, 1).tobytes():
            return most
    return 16
