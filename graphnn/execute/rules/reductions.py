"""Rules of what goes over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import reduce as ops
from ...ops import rows
from ...ops.base import axis_of
from .. import instructions as do
from ..instructions import Result
from .products import product
from .registry import called, rule

if TYPE_CHECKING:
    from ..builder import Builder
    from ..values import Value


@rule(ops.UfuncReduction)
def folding(op: ops.UfuncReduction, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Reduce by a ufunc."""
    (x,) = operands
    axes = op.over(len(x.shape))
    if x.size == 0:
        return called(op, build, result, operands)
    return build.call(do.Reduce(op.ufunc, axes, op.keepdims), x, result=result)


@rule(ops.Sum)
def sum_(op: ops.Sum, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add up; as it runs where only a run tells how."""
    (x,) = operands
    axes = op.over(len(x.shape))
    if x.size == 0 or rows.is_product(x, axes) is None:
        return called(op, build, result, operands)
    return added_up(build, x, axes, op.keepdims, result)


def added_up(build: Builder, x: Value, axes: tuple[int, ...], keepdims: bool, result: Result) -> Value:
    """Write a sum, as a product with ones where `rows.sums` takes it so."""
    if not rows.is_product(x, axes):
        return build.call(do.Reduce(np.add, axes, keepdims), x, result=result)
    (axis,) = axes
    ones = build.constant(rows.ones(x.shape[axis], x.dtype), "ones")
    if axis:
        total = product(build, x, ones, Result((x.shape[0], 1), x.dtype))
    else:
        turned = build.view(do.Transpose((1, 0)), x, x.shape[::-1])
        total = product(build, turned, ones, Result((x.shape[1], 1), x.dtype))
        total = build.reshape(total, (1, x.shape[1]))
    return total if keepdims else build.reshape(total, result.shape)


@rule(ops.Mean)
def mean(op: ops.Mean, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add floats up and divide; NumPy divides more than `COUNTED` in float64."""
    (x,) = operands
    axes = op.over(len(x.shape))
    count = math.prod(x.shape[axis] for axis in axes)
    if x.dtype.kind != "f" or not 0 < count < ops.COUNTED or rows.is_product(x, axes) is None:
        return called(op, build, result, operands)
    total = added_up(build, x, axes, op.keepdims, result)
    return build.ufunc(np.divide, total, build.number(count, result.dtype), result=result)


@rule(ops.ProdOthers)
def prod_others(op: ops.ProdOthers, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Call it; over any axis but the last its result does not lie in C order."""
    if axis_of(op.name, op.axis, len(result.shape)) == len(result.shape) - 1:
        return called(op, build, result, operands)
    return build.fresh(do.Own(op.forward, op.name), *operands, result=result)
