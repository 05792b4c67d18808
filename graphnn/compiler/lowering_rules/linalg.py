"""Rules of products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import linalg as ops
from ...ops import matmul_kernels
from ...ops.contraction import Summing, contraction_of
from .. import intermediate_representation as do
from ..intermediate_representation import Result
from ..ir_values import Value, in_c_order
from .registry import rule

if TYPE_CHECKING:
    from ..ir_builder import Builder

_SMALL = 2**12
"""Elements up to which a plain product is worth it: called in half the time, but it first fills its result with 0."""


@rule(ops.Matmul, in_order=True)
def matmul(op: ops.Matmul, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Multiply matrices by blocks of rows where that is faster, and stacks so that they lie as in a run."""
    x, y = operands
    if len(x.shape) == len(y.shape) == 2:
        return product(build, x, y, result)
    if len(y.shape) == 2 and x.strides is None:
        return build.call(do.Call(matmul_kernels.product, op.name), x, y, result=result)
    if matmul_kernels.is_one_matrix(x, y):
        count = math.prod(x.shape[:-1])
        flat = build.reshape(x, (count, x.shape[-1]))
        return build.reshape(product(build, flat, y, Result((count, y.shape[1]), result.dtype)), result.shape)
    # A product of stacks lies as the stacks do.
    if all(len(x.shape) < 3 or x.ordered or _has_turned_matrices(x) for x in operands):
        return build.call(do.Product(), x, y, result=result)
    return build.fresh(do.Own(np.matmul, op.name), x, y, result=result)


def product(build: Builder, x: Value, y: Value, result: Result) -> Value:
    """Write a product of matrices."""
    if any(each.strides is None or each.root.strides is None for each in (x, y)):
        return build.call(do.Call(matmul_kernels.product, "matmul"), x, y, result=result)
    blocks = matmul_kernels.blocks_of(x, y)
    plain = blocks is None and build.settings.backend == "numpy" and _is_plain(x, y)
    return build.call(do.Product(blocks, plain), x, y, result=result)


def _is_plain(x: Value, y: Value) -> bool:
    """Tell whether `dot` and `matmul` hand a planned product to BLAS in the same way, and `dot` does so sooner."""
    if x.dtype.char not in "fd" or y.dtype != x.dtype or x.root is y.root:
        return False
    if min(*x.shape, *y.shape) < 2 or x.shape[0] * y.shape[1] > _SMALL:
        return False
    return x.contiguous and y.contiguous


def _has_turned_matrices(x: Value) -> bool:
    """Tell whether a planned stack is in order but for the two axes of its matrices."""
    if x.strides is None:
        return False
    steps = [step for step, n in zip(x.strides[:-2], x.shape[:-2], strict=True) if n > 1]
    return 0 not in steps and steps == sorted(steps, reverse=True)


class _Planned:
    """Writes the steps of a contraction."""

    def __init__(self, build: Builder) -> None:
        self._build = build
        self._copies: set[Value] = set()

    def transposed(self, x: Value, axes: tuple[int, ...]) -> Value:
        """Show it with its axes in another order."""
        if axes == tuple(range(len(axes))):
            return x
        return self._build.view(do.Transpose(axes), x, tuple(x.shape[axis] for axis in axes))

    def reshaped(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Show it in another shape, or copy it."""
        try:
            return self._build.reshape(x, shape)
        except ValueError:
            return self._build.reshape(self.in_order(x), shape)

    def at(self, x: Value, index: tuple[int | None, ...]) -> Value:
        """Show what lies at a place."""
        parts = tuple(
            (None, None, None) if i is None else i if n > 1 else 0 for i, n in zip(index, x.shape, strict=True)
        )
        shape = tuple(n for i, n in zip(index, x.shape, strict=True) if i is None)
        return self._build.view(do.Index((*parts, Ellipsis)), x, shape)

    def product(self, x: Value, y: Value, shape: tuple[int, ...]) -> Value:
        """Multiply matrices."""
        if len(shape) == 2:
            return product(self._build, x, y, Result(shape, x.dtype))
        return self._build.call(do.Product(), x, y, result=Result(shape, x.dtype))

    def joined(self, ufunc: np.ufunc, x: Value, y: Value, shape: tuple[int, ...]) -> Value:
        """Call a ufunc."""
        return self._build.ufunc(ufunc, x, y, result=Result(shape, x.dtype))

    def in_order(self, x: Value) -> Value:
        """Copy it: if one array is both operands, a run makes two copies, and multiplies them otherwise than one."""
        copy = self._build.call(do.Copy(), x, result=Result(x.shape, x.dtype))
        if copy in self._copies:
            copy = Value(do.Copy(), self._build.node, x.shape, x.dtype, (x,))
            self._build.values.append(copy)
        self._copies.add(copy)
        return copy

    def summed(self, summing: Summing, x: Value, y: Value, shape: tuple[int, ...]) -> Value:
        """Call it."""
        result = Result(shape, x.dtype)
        return self._build.fresh(do.Own(summing, "einsum"), x, y, result=result, strides=in_c_order(*result))


def _is_ours(op: ops.Einsum, operands: Sequence[Value]) -> bool:
    return bool(contraction_of(op.subscripts, *operands))


@rule(ops.Einsum, in_order=_is_ours)
def einsum(op: ops.Einsum, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a contraction; else call it for an array of its own: an ``out=`` might change in which order it adds up.

    What comes out may lie otherwise than in C order.
    """
    how = contraction_of(op.subscripts, *operands)
    if how:
        return how.take(_Planned(build), *operands)  # type: ignore[no-any-return]
    strides = None
    if how is False and len(operands) < 3 and all(x.ordered for x in operands):
        tiny = np.asarray(op.forward(*[x.stand_in(2) for x in operands]))
        if tiny.flags.c_contiguous:
            strides = in_c_order(*result)
    return build.fresh(do.Own(op.forward, op.name), *operands, result=result, strides=strides)
