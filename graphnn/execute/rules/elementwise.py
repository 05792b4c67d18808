"""Rules of what is computed of each element by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import elementwise as ops
from .. import instructions as do
from .registry import called, rule

if TYPE_CHECKING:
    from ..builder import Builder
    from ..instructions import Result
    from ..values import Value


@rule(ops.Elementwise)
def by_a_ufunc(op: ops.Elementwise, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write what is a ufunc as that, and anything else as a call."""
    forward = type(op).forward
    return (
        build.ufunc(forward, *operands, result=result)
        if isinstance(forward, np.ufunc)
        else called(op, build, result, operands)
    )


@rule(ops.DivideBy)
def divide_by(op: ops.DivideBy, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Divide by a constant."""
    assert not isinstance(op.count, str)
    return build.ufunc(np.divide, *operands, build.number(op.count, result.dtype), result=result)


@rule(ops.Clip)
def clip(op: ops.Clip, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Hold floats between two bounds; what has no bounds is its operand."""
    (x,) = operands
    if op.lo is None and op.hi is None:
        return x
    if op.lo is None or op.hi is None or result.dtype.kind != "f" or x.dtype != result.dtype:
        return called(op, build, result, operands)
    bounds = [build.number(bound, result.dtype) for bound in (op.lo, op.hi)]
    return build.each(do.Clip(), x, *bounds, result=result)


@rule(ops.Where)
def where(op: ops.Where, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Choose."""
    condition, x, y = operands
    if condition.dtype.kind != "b" or x.dtype != y.dtype:
        return called(op, build, result, operands)
    return build.call(do.Select(), *operands, result=result)


@rule(ops.Cast)
def cast(op: ops.Cast, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Cast, unless the operand is as it is to be."""
    (x,) = operands
    if x.dtype == result.dtype and x.whole:
        return x
    return build.each(do.Cast(), x, result=result)


@rule(ops.StopGradient, ops.Tally)
def passed_on(op: ops.Elementwise, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write nothing: it is its operand."""
    return operands[0]


@rule(ops.Relu)
def relu(op: ops.Relu, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Take the maximum with 0."""
    zero = build.spread(build.number(0, result.dtype), result.shape)
    return build.ufunc(np.maximum, *operands, zero, result=result)
