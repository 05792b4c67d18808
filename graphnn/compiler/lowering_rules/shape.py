"""Rules of what moves and repeats elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import (
    comparison,
    indexing,
    linalg,
    reduction_kernels,
    reductions,
    shape,
    sliding_windows,
    triangles_and_diagonals,
)
from ...ops.base import axes_of
from .. import intermediate_representation as do
from ..intermediate_representation import Result
from .reductions import added_up, is_open, reduced_as_it_lies
from .registry import called, rule

if TYPE_CHECKING:
    from ..ir_builder import Builder
    from ..ir_values import Value


@rule(shape.Reshape, in_order=True)
def reshape(op: shape.Reshape, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show it in another shape, if a view can."""
    (x,) = operands
    try:
        return build.reshape(x, result.shape)
    except ValueError:
        return build.reshape(build.call(do.Copy(), x, result=Result(x.shape, x.dtype)), result.shape)


@rule(sliding_windows.Windows)
def slide(op: sliding_windows.Windows, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show its windows."""
    return build.view(do.Slide(op.forward, op.laid), operands[0], result.shape)


@rule(sliding_windows.Fold, in_order=True)
def fold(op: sliding_windows.Fold, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add windows up place by place; of an outer product, multiply them only then."""
    (x,) = operands
    ways = list(op.parts(result.shape)) if x.size else []
    if x.strides is None or not 0 < len(ways) <= reduction_kernels.MOST:
        return called(op, build, result, operands)
    factors = [x]
    if isinstance(x.how, do.Ufunc) and x.how.ufunc is np.multiply and all(y.size < x.size for y in x.operands):
        factors = [y for y in x.operands if y.dtype == x.dtype and len(y.shape) == len(x.shape)]
        factors = factors if len(factors) == 2 else [x]
    ndim, every = len(result.shape), (None, None, None)
    parts = []
    for place, _ in ways:
        for each in factors:
            own, within = each.shape[:ndim], each.shape[ndim:]
            at = [i if n > 1 else 0 for i, n in zip(place, within, strict=True)]
            parts.append(build.view(do.Index((*[every] * ndim, *at, Ellipsis)), each, own))
    where = tuple(tuple((part.start, part.stop, part.step) for part in slices) for _, slices in ways)
    how = do.Join(op.added_up, op.name, False, where, fill=True, adds=len(factors))
    return build.call(how, *parts, result=result)


@rule(comparison.FirstOccurrence, in_order=True)
def first_occurrence(
    op: comparison.FirstOccurrence, build: Builder, result: Result, operands: Sequence[Value]
) -> Value:
    """Call it: its result lies in C order, however the operands do."""
    return called(op, build, result, operands)


@rule(shape.ExpandDims)
def expand_dims(op: shape.ExpandDims, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show it with more axes."""
    (x,) = operands
    if x.whole:
        return build.reshape(x, result.shape)
    return build.view(do.ExpandDims(op.axes(len(x.shape))), x, result.shape)


@rule(shape.Squeeze)
def squeeze(op: shape.Squeeze, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show it with fewer axes."""
    (x,) = operands
    if x.whole:
        return build.reshape(x, result.shape)
    return build.view(do.Squeeze(op.axes(len(x.shape))), x, result.shape)


@rule(linalg.Transpose)
def transpose(op: linalg.Transpose, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show it with its axes in another order."""
    (x,) = operands
    return build.view(do.Transpose(op.order(len(x.shape))), x, result.shape)


@rule(shape.Flip)
def flip(op: shape.Flip, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show it backwards."""
    (x,) = operands
    if not x.shape:
        return x
    axes = axes_of(op.name, op.axis, len(x.shape))
    parts = tuple((None, None, -1) if axis in axes else (None, None, None) for axis in range(len(x.shape)))
    return build.view(do.Index(parts), x, result.shape)


@rule(indexing.Getitem)
def getitem(op: indexing.Getitem, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show what the index shows."""
    (x,) = operands
    parts = tuple(Ellipsis if part == "..." else part for part in op.index)
    parts = parts if Ellipsis in parts else (*parts, Ellipsis)  # a single element is a view, too
    return build.view(do.Index(parts), x, result.shape)


@rule(shape.BroadcastTo, folds=False)
def broadcast_to(op: shape.BroadcastTo, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show it repeated."""
    return build.broadcast(operands[0], result.shape)


@rule(shape.Zeros, folds=False)
def zeros(op: shape.Zeros, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Fill with 0."""
    return build.filled(0, result)


def _summed_otherwise(op: shape.SumTo, build: Builder, result: Result, operands: Sequence[Value]) -> Value | None:
    """Add up with the axes in the order in which the operand lies."""
    (x,) = operands
    axes = op.over(x.shape)
    found = reduced_as_it_lies(build, x, axes, result.dtype, lambda axes: reductions.Sum(axes, True)) if axes else None
    return (
        None
        if found is None
        else build.view(do.Squeeze(tuple(range(len(x.shape) - len(result.shape)))), found, result.shape)
    )


@rule(shape.SumTo, turned=_summed_otherwise)
def sum_to(op: shape.SumTo, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add up what was repeated; as it runs where only a run tells how."""
    (x,) = operands
    axes = op.over(x.shape)
    if not axes and x.dtype == result.dtype:
        return x
    if not axes or is_open(x, axes):
        return called(op, build, result, operands)
    kept = tuple(1 if i in axes else size for i, size in enumerate(x.shape))
    return build.reshape(added_up(build, x, axes, True, Result(kept, result.dtype)), result.shape)


@rule(triangles_and_diagonals.Triangle)
def triangle(op: triangles_and_diagonals.Triangle, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Choose between it and 0 by a triangle of bools."""
    mask = build.constant(op.function(np.ones(result.shape[-2:], bool), op.k))
    return build.call(
        do.Select(), build.broadcast(mask, result.shape), operands[0], build.number(0, result.dtype), result=result
    )
