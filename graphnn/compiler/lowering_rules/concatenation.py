"""Rules of what joins, pads and repeats arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import class_labels, concatenation, linalg, scatter, triangles_and_diagonals
from ...ops import indexing as index
from ...ops.base import axis_of
from .. import intermediate_representation as do
from ..intermediate_representation import Result
from ..memory_order import has_order, order_of_result, turned, turned_back
from ..symbolic_sizes import unchecked
from .class_labels import places_of
from .registry import called, rule

if TYPE_CHECKING:
    from ...core import Op
    from ..ir_builder import Builder
    from ..ir_values import Value

_ALL = (None, None, None)


def joined(
    op: Op,
    build: Builder,
    result: Result,
    operands: Sequence[Value],
    places: Sequence[tuple[do.Part, ...]],
    fill: bool = False,
    adds: int = 0,
) -> Value:
    """Write a call of `forward`, and what it puts where, or adds there."""
    return build.call(do.Join(op.forward, op.name, False, tuple(places), fill, adds), *operands, result=result)


def _joins_in_order(op: concatenation.Concatenate | concatenation.Stack, operands: Sequence[Value]) -> bool:
    """Tell whether NumPy joins into C order: so it does most arrays that are laid out in several ways."""
    if False not in [x.ordered for x in operands]:
        return True
    if None in [x.strides for x in operands]:
        return False
    return bool(op.forward(*[x.stand_in(2) for x in operands]).flags.c_contiguous)


def _concatenated_otherwise(
    op: concatenation.Concatenate, build: Builder, result: Result, operands: Sequence[Value]
) -> Value | None:
    """Join with the axes in the order in which the value lies."""
    order = None if op.axis is None else order_of_result(op.forward, operands, result.shape)
    if order is None or op.axis is None:
        return None
    joint = concatenation.Concatenate(order.index(axis_of(op.name, op.axis, len(order))))
    lying = Result(tuple(result.shape[axis] for axis in order), result.dtype)
    return turned_back(build, concatenate(joint, build, lying, [turned(build, x, order) for x in operands]), order)


def _stacked_otherwise(
    op: concatenation.Stack, build: Builder, result: Result, operands: Sequence[Value]
) -> Value | None:
    """Stack with the axes in the order in which the value lies."""
    order = order_of_result(op.forward, operands, result.shape)
    if order is None:
        return None
    new = axis_of(op.name, op.axis, len(order))
    own = tuple(axis - (axis > new) for axis in order if axis != new)
    lying = Result(tuple(result.shape[axis] for axis in order), result.dtype)
    joint = concatenation.Stack(order.index(new))
    return turned_back(build, stack(joint, build, lying, [turned(build, x, own) for x in operands]), order)


@rule(concatenation.Concatenate, in_order=_joins_in_order, turned=_concatenated_otherwise)
def concatenate(op: concatenation.Concatenate, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put the operands one after the other."""
    if op.axis is None and all(x.whole for x in operands):
        operands = [build.reshape(x, (x.size,)) for x in operands]
    elif op.axis is None:
        return called(op, build, result, operands)
    axis = 0 if op.axis is None else axis_of(op.name, op.axis, len(result.shape))
    places: list[tuple[do.Part, ...]] = []
    start = 0
    for x in operands:
        places.append((*[_ALL] * axis, (start, start + x.shape[axis], None)))
        start += x.shape[axis]
    return joined(op, build, result, operands, places)


@rule(concatenation.Stack, in_order=_joins_in_order, turned=_stacked_otherwise)
def stack(op: concatenation.Stack, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put the operands side by side."""
    axis = axis_of(op.name, op.axis, len(result.shape))
    return joined(op, build, result, operands, [(*[_ALL] * axis, i, ...) for i in range(len(operands))])


@rule(triangles_and_diagonals.Roll, in_order=lambda op, operands: operands[0].ordered)
def roll(op: triangles_and_diagonals.Roll, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Join what comes in at the front with what is moved on; along several axes, it is left to NumPy."""
    (x,) = operands
    axes = op.axis if isinstance(op.axis, tuple) else (op.axis,)
    shifts = op.shift if isinstance(op.shift, tuple) else (op.shift,)
    if len(axes) != 1 or len(shifts) != 1 or not x.whole or not x.shape:
        return called(op, build, result, operands)
    flat = build.reshape(x, (x.size,)) if axes[0] is None else x
    axis = 0 if axes[0] is None else axis_of(op.name, axes[0], len(x.shape))
    n, shift = flat.shape[axis], int(shifts[0])
    if shift == 0 or not -n < shift < n:
        return called(op, build, result, operands)
    first = n - shift if shift > 0 else -shift
    before = (_ALL,) * axis
    parts = [
        build.view(do.Index((*before, part, ...)), flat, (*flat.shape[:axis], size, *flat.shape[axis + 1 :]))
        for part, size in (((first, n, 1), n - first), ((0, first, 1), first))
    ]
    joint = concatenation.Concatenate(axis)
    rolled = concatenate(joint, build, Result(flat.shape, result.dtype), parts)
    return build.reshape(rolled, result.shape)


@rule(index.SliceAdd, in_order=True)
def slice_add(op: index.SliceAdd, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put the operand where the index points."""
    return joined(op, build, result, operands, [_parts(op.index)], fill=True)


@rule(index.SlicesAdd, in_order=True)
def slices_add(op: index.SlicesAdd, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put the operands where their indices point, or add them there if two point to the same element."""
    places = [_parts(part) for part in op.indices]
    if _overlap(op):
        return joined(op, build, result, operands, places, fill=True, adds=1)
    gaps = sum(x.size for x in operands) < math.prod(result.shape)
    return joined(op, build, result, operands, places, gaps)


def _overlap(op: index.SlicesAdd) -> bool:
    """Tell whether two indices point to the same element.

    An axis that all of them take whole does not matter, and counts as one of size 1: its size may be one that records.
    """
    if any(part is None or part == "..." for parts in op.indices for part in parts):
        return op.overlaps
    shape = []
    for axis, size in enumerate(op.shape):
        taken = {parts[axis] if axis < len(parts) else _ALL for parts in op.indices}
        shape.append(1 if taken == {_ALL} else size)
    return unchecked(op, shape=tuple(shape)).overlaps


def _parts(index: Sequence[do.Part | str]) -> tuple[do.Part, ...]:
    parts: tuple[do.Part, ...] = tuple(Ellipsis if isinstance(part, str) else part for part in index)
    return parts if Ellipsis in parts else (*parts, Ellipsis)


def _pads_in_order(op: concatenation.Pad, operands: Sequence[Value]) -> bool:
    """Tell whether NumPy pads into C order: so it does unless the operand is in Fortran order alone."""
    (x,) = operands
    return x.ordered or (x.strides is not None and not x.stand_in().flags.fnc)


def _pads_zeros(op: concatenation.Pad) -> bool:
    number = op.constant_values
    return type(number) is not tuple and number == 0 and not np.signbit(number)


def _padded_otherwise(op: concatenation.Pad, build: Builder, result: Result, operands: Sequence[Value]) -> Value | None:
    """Pad with the axes in Fortran's order."""
    (x,) = operands
    if not _pads_zeros(op) or not x.size or not has_order(x):
        return None
    order = tuple(reversed(range(len(x.shape))))
    pairs = op._pairs(len(x.shape))[::-1]
    lying = Result(result.shape[::-1], result.dtype)
    return turned_back(build, pad(concatenation.Pad(pairs), build, lying, [turned(build, x, order)]), order)


@rule(concatenation.Pad, in_order=_pads_in_order, turned=_padded_otherwise)
def pad(op: concatenation.Pad, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put the operand between zeros; other numbers, -0 too, are left to NumPy."""
    (x,) = operands
    if not x.shape or not _pads_zeros(op):
        return called(op, build, result, operands)
    pairs = op._pairs(len(x.shape))
    place = tuple((int(before), int(before) + n, None) for n, (before, _) in zip(x.shape, pairs, strict=True))
    return joined(op, build, result, operands, [place], fill=True)


@rule(concatenation.Repeat, in_order=True)
def repeat(op: concatenation.Repeat, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Copy it broadcast along a new axis."""
    (x,) = operands
    axis = len(x.shape) - 1 if op.axis is None else axis_of(op.name, op.axis, len(x.shape))
    flat = op.axis is None and len(x.shape) != 1
    if not x.whole or not x.shape or not result.shape or 0 in result.shape:
        return called(op, build, result, operands)
    count = int(op.repeats)
    shape = (x.size,) if flat else x.shape
    axis = 0 if flat else axis
    one = build.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    wide = (*shape[: axis + 1], count, *shape[axis + 1 :])
    return build.reshape(_copied(build, one, wide), result.shape)


@rule(concatenation.Tile, in_order=True)
def tile(op: concatenation.Tile, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Copy it broadcast along new axes."""
    (x,) = operands
    if not x.whole or not result.shape or 0 in result.shape:
        return called(op, build, result, operands)
    reps = op._reps(len(x.shape))
    own = (1,) * (len(reps) - len(x.shape)) + x.shape
    narrow = tuple(n for size in own for n in (1, size))
    wide = tuple(n for count, size in zip(reps, own, strict=True) for n in (int(count), size))
    return build.reshape(_copied(build, build.reshape(x, narrow), wide), result.shape)


def _copied(build: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    return build.each(do.Repeat(), build.broadcast(x, shape), result=Result(shape, x.dtype))


@rule(linalg.Outer, in_order=True)
def outer(op: linalg.Outer, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Multiply a column by a row, as NumPy does."""
    x, y = operands
    if not x.whole or not y.whole or not x.size or not y.size:
        return called(op, build, result, operands)
    column, row = build.reshape(x, (x.size, 1)), build.reshape(y, (1, y.size))
    return build.ufunc(np.multiply, column, row, result=result)


@rule(class_labels.OneHot, in_order=True)
def one_hot(op: class_labels.OneHot, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put ones at the labels' places."""
    (codes,) = operands
    if not codes.whole or codes.dtype != np.int64 or not codes.size:
        return called(op, build, result, operands)
    places = places_of(build, codes, int(op.depth))
    one = build.number(1, result.dtype)
    placed = build.call(do.Scatter(), one, places, result=Result((codes.size * int(op.depth),), result.dtype))
    return build.reshape(placed, result.shape)


@rule(scatter.UpdateSlice, in_order=True)
def update_slice(op: scatter.UpdateSlice, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it writes."""
    axis = axis_of(op.name, op.axis, len(result.shape))
    return build.call(do.Written(op.forward, op.name, False, axis), *operands, result=result)


@rule(
    index.Adding,
    triangles_and_diagonals.Diagonal,
    triangles_and_diagonals.DiagonalAdd,
    scatter.AtIndices,
    in_order=True,
)
def in_order(op: Op, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Call it: it makes an array in C order, however the operands lie."""
    return called(op, build, result, operands)
