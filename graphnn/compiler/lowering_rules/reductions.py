"""Rules of what goes over axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...ops import cumulative, matmul_kernels, reduction_kernels
from ...ops import reductions as ops
from ...ops.base import axis_of
from .. import intermediate_representation as do
from ..intermediate_representation import Result
from ..memory_order import has_order, order_of, turned, turned_back
from .linalg import product
from .registry import called, rule, rule_of

if TYPE_CHECKING:
    from ...core import Op
    from ..ir_builder import Builder
    from ..ir_values import Value


def goes_by_places(op: ops.UfuncReduction | ops.Mean, operands: Sequence[Value]) -> bool:
    """Tell whether a reduction makes few elements one: it gives an array in C order, then."""
    (x,) = operands
    adds = not isinstance(op, ops.Extremum)
    return bool(reduction_kernels.are_few(x, op.over(len(x.shape)), adds)) and (
        x.dtype.kind == "f" or not isinstance(op, ops.Mean)
    )


def in_another_order(
    op: ops.UfuncReduction | ops.Mean | ops.Spread, build: Builder, result: Result, operands: Sequence[Value]
) -> Value | None:
    """Reduce with the axes in the order in which the operand lies: NumPy goes through it so."""
    (x,) = operands
    axes = op.over(len(x.shape))
    found = reduced_as_it_lies(build, x, axes, result.dtype, lambda axes: replace(op, axis=axes, keepdims=True))
    if found is None or op.keepdims:
        return found
    return build.view(do.Squeeze(axes), found, result.shape)


def reduced_as_it_lies(
    build: Builder, x: Value, axes: tuple[int, ...], dtype: do.DType, made: Callable[[tuple[int, ...]], Op]
) -> Value | None:
    """Return what an operation over axes, made for others, gives with its axes kept."""
    strides = x.strides
    if strides is None or not x.size or not has_order(x):
        return None
    if any(step <= 0 for step, n in zip(strides, x.shape, strict=True) if n > 1):
        return None
    order = order_of(strides, x.shape)
    lying, over = turned(build, x, order), tuple(sorted(order.index(axis) for axis in axes))
    ways = [(each, own, adds) for each, own in ((x, axes), (lying, over)) for adds in (True, False)]
    if any(
        reduction_kernels.are_few(each, own, adds) or matmul_kernels.is_product(each, own) for each, own, adds in ways
    ):
        return None
    op = made(over)
    shape = tuple(1 if axis in over else n for axis, n in enumerate(lying.shape))
    value = rule_of(type(op)).write(op, build, Result(shape, dtype), [lying])
    return None if isinstance(value.how, do.Call) else turned_back(build, value, order)


@rule(ops.UfuncReduction, in_order=goes_by_places, turned=in_another_order)
def folding(op: ops.UfuncReduction, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Reduce by a ufunc."""
    (x,) = operands
    axes = op.over(len(x.shape))
    few = reduction_kernels.are_few(x, axes, adds=op.ufunc not in (np.maximum, np.minimum))
    if x.size == 0 or few is None:
        return called(op, build, result, operands)
    if few:
        return by_places(op.ufunc, build, x, axes, result)
    return build.call(do.Reduce(op.ufunc, axes, op.keepdims), x, result=result)


def by_places(ufunc: np.ufunc, build: Builder, x: Value, axes: tuple[int, ...], result: Result) -> Value:
    """Reduce few elements each, place by place, as `places.fold` does."""
    one = Result(tuple(n for axis, n in enumerate(x.shape) if axis not in axes), x.dtype)
    parts = []
    for place in reduction_kernels.of(x.shape, axes):
        index = tuple((None, None, None) if i is None else i for i in place)
        parts.append(build.view(do.Index((*index, Ellipsis)), x, one.shape))
    total = parts[0]
    for part in parts[1:]:
        total = build.ufunc(ufunc, total, part, result=one)
    if ufunc is np.add and x.dtype.kind == "f":
        total = build.ufunc(np.add, total, build.number(0, x.dtype), result=one)
    return build.reshape(total, result.shape)


def is_open(x: Value, axes: tuple[int, ...]) -> bool:
    """Tell whether only a run knows how a sum is computed."""
    return matmul_kernels.is_product(x, axes) is None or reduction_kernels.are_few(x, axes, adds=True) is None


@rule(ops.Sum, in_order=goes_by_places, turned=in_another_order)
def sum_(op: ops.Sum, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add up; as it runs where only a run tells how."""
    (x,) = operands
    axes = op.over(len(x.shape))
    if x.size == 0 or is_open(x, axes):
        return called(op, build, result, operands)
    return added_up(build, x, axes, op.keepdims, result)


def added_up(build: Builder, x: Value, axes: tuple[int, ...], keepdims: bool, result: Result) -> Value:
    """Write a sum, as a product with ones where `rows.sums` takes it so, or place by place."""
    if not matmul_kernels.is_product(x, axes) and reduction_kernels.are_few(x, axes, adds=True):
        return by_places(np.add, build, x, axes, result)
    if not matmul_kernels.is_product(x, axes):
        return build.call(do.Reduce(np.add, axes, keepdims), x, result=result)
    (axis,) = axes
    n = x.shape[axis]
    ones = build.made(matmul_kernels.ones, n, x.dtype, result=Result((n, 1), x.dtype), name="ones")
    if axis:
        total = product(build, x, ones, Result((x.shape[0], 1), x.dtype))
    else:
        turned = build.view(do.Transpose((1, 0)), x, x.shape[::-1])
        total = product(build, turned, ones, Result((x.shape[1], 1), x.dtype))
        total = build.reshape(total, (1, x.shape[1]))
    return total if keepdims else build.reshape(total, result.shape)


@rule(ops.Mean, in_order=goes_by_places, turned=in_another_order)
def mean(op: ops.Mean, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add floats up and divide; NumPy divides more than `COUNTED` in float64."""
    (x,) = operands
    axes = op.over(len(x.shape))
    count = math.prod(x.shape[axis] for axis in axes)
    if x.dtype.kind != "f" or not 0 < count < ops.COUNTED or is_open(x, axes):
        return called(op, build, result, operands)
    total = added_up(build, x, axes, op.keepdims, result)
    return build.ufunc(np.divide, total, build.number(count, result.dtype), result=result)


@rule(ops.Spread, turned=in_another_order)
def spread(op: ops.Spread, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add up the squares of what is left without the mean, of floats, as NumPy does."""
    (x,) = operands
    axes = op.over(len(x.shape))
    count = math.prod(x.shape[axis] for axis in axes)
    if x.dtype.kind != "f" or not op.ddof < count < ops.COUNTED or op.ddof < 0 or not x.ordered:
        return called(op, build, result, operands)
    kept = Result(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)), x.dtype)
    total = build.call(do.Reduce(np.add, axes, True), x, result=kept)
    mean = build.ufunc(np.divide, total, build.number(count, x.dtype), result=kept)
    rest = build.ufunc(np.subtract, x, mean, result=Result(x.shape, x.dtype))
    squares = build.ufunc(np.multiply, rest, rest, result=Result(x.shape, x.dtype))
    total = build.call(do.Reduce(np.add, axes, op.keepdims), squares, result=result)
    moment = build.ufunc(np.divide, total, build.number(count - op.ddof, result.dtype), result=result)
    return build.ufunc(np.sqrt, moment, result=result) if isinstance(op, ops.Std) else moment


@rule(ops.Norm)
def norm(op: ops.Norm, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write the norms of order 1, 2, inf and -inf, of floats; others are powers, which NumPy takes its own ways to."""
    (x,) = operands
    axes = op.over(len(x.shape))
    if x.dtype.kind != "f" or not x.ordered or not x.size:
        return called(op, build, result, operands)
    if op.axis is None and (op.ord is None or (op.ord == 2 and len(x.shape) == 1)):
        if not x.whole:
            return called(op, build, result, operands)
        flat = build.reshape(x, (x.size,))
        total = build.call(do.Product(), flat, flat, result=Result((), x.dtype))
        return build.reshape(build.ufunc(np.sqrt, total, result=Result((), x.dtype)), result.shape)
    whole = Result(x.shape, x.dtype)
    if op.ord is None or op.ord == 2:
        squares = build.ufunc(np.multiply, x, x, result=whole)
        total = build.call(do.Reduce(np.add, axes, op.keepdims), squares, result=result)
        return build.ufunc(np.sqrt, total, result=result)
    ufunc = {1: np.add, math.inf: np.maximum, -math.inf: np.minimum}.get(op.ord)
    if ufunc is None:
        return called(op, build, result, operands)
    return build.call(do.Reduce(ufunc, axes, op.keepdims), build.ufunc(np.absolute, x, result=whole), result=result)


@rule(ops.Logsumexp)
def logsumexp(op: ops.Logsumexp, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Do what `forward` does, of floats; the sign of a largest 0 makes no difference."""
    (x,) = operands
    axes = op.over(len(x.shape))
    if x.dtype.kind != "f" or not x.ordered or not x.size:
        return called(op, build, result, operands)
    kept = Result(tuple(1 if axis in axes else n for axis, n in enumerate(x.shape)), x.dtype)
    whole = Result(x.shape, x.dtype)
    largest = build.call(do.Reduce(np.maximum, axes, True), x, result=kept)
    finite = build.ufunc(np.isfinite, largest, result=Result(kept.shape, np.dtype(bool)))
    shift = build.call(do.Select(), finite, largest, build.number(0, x.dtype), result=kept)
    powers = build.ufunc(np.exp, build.ufunc(np.subtract, x, shift, result=whole), result=whole)
    total = build.call(do.Reduce(np.add, axes, True), powers, result=kept)
    found = build.ufunc(np.add, build.ufunc(np.log, total, result=kept), shift, result=kept)
    return build.reshape(found, result.shape)


@rule(ops.Verdict)
def verdict(op: ops.Verdict, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Reduce bools."""
    (x,) = operands
    if not x.size:
        return called(op, build, result, operands)
    if x.dtype != result.dtype:
        x = build.each(do.Cast(), x, result=Result(x.shape, result.dtype))
    ufunc = np.logical_or if isinstance(op, ops.AnyOf) else np.logical_and
    return build.call(do.Reduce(ufunc, op.over(len(x.shape)), op.keepdims), x, result=result)


@rule(ops.Position)
def position(op: ops.Position, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it looks for what."""
    (x,) = operands
    axis = None if op.axis is None else axis_of(op.name, op.axis, len(x.shape))
    return build.call(do.Locate(op.forward, op.name, False, axis, isinstance(op, ops.Argmax)), x, result=result)


@rule(cumulative.Cumsum)
def cumsum(op: cumulative.Cumsum, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it adds up."""
    (x,) = operands
    axis = None if op.axis is None else axis_of(op.name, op.axis, len(x.shape))
    return build.call(do.Running(op.forward, op.name, False, axis), x, result=result)


@rule(ops.ProdOthers)
def prod_others(op: ops.ProdOthers, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Call it; over any axis but the last its result does not lie in C order."""
    if axis_of(op.name, op.axis, len(result.shape)) == len(result.shape) - 1:
        return called(op, build, result, operands)
    return build.fresh(do.Own(op.forward, op.name), *operands, result=result)
