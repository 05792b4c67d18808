"""Shapes, what fills them, and the moving of elements within them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.symbolic_shapes import product
from ...ops import shape as ops
from ...ops import triangles_and_diagonals
from ...ops.base import axes_of, axis_of
from .arithmetic import to_result
from .draft import INT64, Value
from .group import Group, writes

if TYPE_CHECKING:
    from ...core import Dim


@writes(ops.Reshape)
def _reshape(g: Group, op: Any, x: Value) -> Value:
    return g.reshape(x, op.shape)


@writes(ops.ExpandDims)
def _expand_dims(g: Group, op: Any, x: Value) -> Value:
    return g.unsqueeze(x, *op.axes(len(g.dims(0))))


@writes(ops.Squeeze)
def _squeeze(g: Group, op: Any, x: Value) -> Value:
    return g.squeeze(x, *op.axes(len(g.dims(0))))


@writes(ops.Flip)
def _flip(g: Group, op: Any, x: Value) -> Value:
    axes = axes_of(op.name, op.axis, len(g.dims(0)))
    return g.slice(x, [(axis, None, None, -1) for axis in axes])


@writes(ops.BroadcastTo)
def _broadcast_to(g: Group, op: Any, x: Value) -> Value:
    return g.expand(x, op.shape)


@writes(ops.SumTo)
def _sum_to(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    dims = g.dims(0)
    extra = len(dims) - len(op.shape)
    over = [axis for axis, dim in enumerate(op.shape, extra) if dim == 1 and dims[axis] != 1]
    total = g.reduce("ReduceSum", x, [*range(extra), *over], keepdims=True)
    return g.squeeze(total, *range(extra))


@writes(ops.Zeros)
def _zeros(g: Group, op: Any) -> Value:
    return g.zeros(op.shape, op.dtype)


@writes(ops.Eye)
def _eye(g: Group, op: Any) -> Value:
    places = g.range(op.n)
    return g.cast(g("Equal", g.unsqueeze(places, 0), g.unsqueeze(places, 1)), op.dtype)


@writes(ops.Arange)
def _arange(g: Group, op: Any) -> Value:
    (length,) = g.node.spec.shape
    if isinstance(length, int) and length <= _FEW and not any(isinstance(end, str) for end in (op.start, op.stop)):
        return g.constant(np.arange(op.start, op.stop, op.step, dtype=op.dtype))
    places = g.range(length)
    if not any(isinstance(number, float) for number in (op.start, op.step)):
        start = g.draft.scalar(op.start) if isinstance(op.start, str) else g.constant(op.start, INT64)
        return g.cast(g.add(g.multiply(places, op.step), start), op.dtype)
    first, second = np.arange(op.start, op.start + 1.5 * op.step, op.step, dtype=op.dtype)
    return g.add(g.multiply(g.cast(places, op.dtype), second - first), first)


_FEW = 64


# --- triangles, turns and diagonals -----------------------------------------------------------------------------------


def _triangle(g: Group, op: Any, x: Value, upper: int) -> Value:
    k = min(max(op.k, -(2**31)), 2**31)
    return g("Trilu", x, g.constant(k, INT64), upper=upper)


@writes(triangles_and_diagonals.Tril)
def _tril(g: Group, op: Any, x: Value) -> Value:
    return _triangle(g, op, x, 0)


@writes(triangles_and_diagonals.Triu)
def _triu(g: Group, op: Any, x: Value) -> Value:
    return _triangle(g, op, x, 1)


@writes(triangles_and_diagonals.Roll)
def _roll(g: Group, op: Any, x: Value) -> Value:
    dims = g.dims(0)
    if op.axis is None:
        shift = op.shift[0] if isinstance(op.shift, tuple) else op.shift
        return g.reshape(_rolled(g, g.flat(x), 0, product(dims), shift), dims)
    axes = op.axis if isinstance(op.axis, tuple) else (op.axis,)
    shifts = op.shift if isinstance(op.shift, tuple) else (op.shift,) * len(axes)
    for axis, shift in zip(axes, shifts, strict=True):
        x = _rolled(g, x, axis % len(dims), dims[axis], shift)
    return x


def _rolled(g: Group, x: Value, axis: int, size: Dim, shift: int) -> Value:
    if isinstance(size, int):
        cut = g.ints(-shift % size if size else 0)
    else:
        whole = g("Max", g.draft.size(size), g.ints(1))
        cut = g("Mod", g.constant([-shift], INT64), whole)
    end, axes = g.ints(2**63 - 1), g.ints(axis)
    return g("Concat", g("Slice", x, cut, end, axes), g("Slice", x, g.ints(0), cut, axes), axis=axis)


def _last_two(ndim: int, op: Any) -> tuple[int, ...]:
    """Return the axes in an order in which those of the matrices come last."""
    one, other = axis_of(op.name, op.axis1, ndim), axis_of(op.name, op.axis2, ndim)
    return (*(axis for axis in range(ndim) if axis not in (one, other)), one, other)


@writes(triangles_and_diagonals.Diagonal)
def _diagonal(g: Group, op: Any, x: Value) -> Value:
    dims = g.dims(0)
    order = _last_two(len(dims), op)
    x = g.transpose(x, order)
    rows = g.range(g.node.spec.shape[-1], max(-op.offset, 0))
    columns = g.range(g.node.spec.shape[-1], max(op.offset, 0))
    places = g.add(g("Mul", rows, g.draft.size(dims[order[-1]])), columns)
    flat = g.reshape(x, (*(dims[axis] for axis in order[:-2]), product((dims[order[-2]], dims[order[-1]]))))
    return g("Gather", flat, places, axis=len(dims) - 2)


@writes(triangles_and_diagonals.DiagonalAdd)
def _diagonal_add(g: Group, op: Any, x: Value) -> Value:
    order = _last_two(len(op.shape), op)
    before = max(-op.offset, 0)
    rows, columns = g.range(op.shape[order[-2]]), g.range(op.shape[order[-1]])
    hit = g("Equal", g.add(g.unsqueeze(rows, 1), op.offset), g.unsqueeze(columns, 0))
    # Along the rows, with zeros where a row has no element of the diagonal.
    ndim = len(op.shape) - 1
    after = g("Sub", g.draft.size(op.shape[order[-2]]), g("Add", g.draft.size(g.dims(0)[-1]), g.ints(before)))
    widths = g("Concat", g.ints(*[0] * (ndim - 1), before, *[0] * (ndim - 1)), g("Max", after, g.ints(0)), axis=0)
    padded = g.slice(g("Pad", x, widths, g.like(x, 0)), [(ndim - 1, 0, op.shape[order[-2]], 1)])
    found = g.where(hit, g.unsqueeze(padded, ndim), 0)
    return g.transpose(found, [order.index(axis) for axis in range(len(order))])
