"""Joining, padding and repeating."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.symbolic_shapes import multiply, product
from ...ops import concatenation as ops
from ...ops.base import axis_of
from .arithmetic import to_result
from .group import Group, writes

if TYPE_CHECKING:
    from ...core import Dim
    from .draft import Value


@writes(ops.Concatenate)
def _concatenate(g: Group, op: Any, *operands: Value) -> Value:
    operands = to_result(g, *operands)
    if op.axis is None:
        return g("Concat", *[g.flat(x) for x in operands], axis=0)
    return g("Concat", *operands, axis=axis_of(op.name, op.axis, len(g.dims(0))))


@writes(ops.Stack)
def _stack(g: Group, op: Any, *operands: Value) -> Value:
    axis = axis_of(op.name, op.axis, len(g.dims(0)) + 1)
    return g("Concat", *[g.unsqueeze(x, axis) for x in to_result(g, *operands)], axis=axis)


@writes(ops.Pad)
def _pad(g: Group, op: Any, x: Value) -> Value:
    ndim = len(g.dims(0))
    if not ndim:
        return x
    widths, values = op._pairs(ndim), op._pairs(ndim, "constant_values")
    fills = {np.asarray(value).astype(x.dtype).tobytes() for pair in values for value in pair}
    if len(fills) == 1:
        return _padded(g, x, widths, values[0][0])
    for axis in range(ndim):  # one end at a time, each with its own number
        for end in (0, 1):
            only: list[tuple[Dim, Dim]] = [(0, 0)] * ndim
            only[axis] = (widths[axis][0], 0) if end == 0 else (0, widths[axis][1])
            x = _padded(g, x, only, values[axis][end])
    return x


def _padded(g: Group, x: Value, widths: Any, value: Any) -> Value:
    sizes = [before for before, _ in widths] + [after for _, after in widths]
    return g("Pad", x, g.draft.shape(sizes), g.constant(np.asarray(value).astype(x.dtype)))


@writes(ops.Repeat)
def _repeat(g: Group, op: Any, x: Value) -> Value:
    dims = g.dims(0)
    if not op.repeats:
        return g.zeros(g.node.spec.shape, x.dtype)
    if op.axis is None:
        x, dims, axis = g.flat(x), (product(dims),), 0
    else:
        axis = axis_of(op.name, op.axis, len(dims))
    apart = g.expand(g.unsqueeze(x, axis + 1), (*dims[: axis + 1], op.repeats, *dims[axis + 1 :]))
    return g.reshape(apart, (*dims[:axis], multiply(dims[axis], op.repeats), *dims[axis + 1 :]))


@writes(ops.Tile)
def _tile(g: Group, op: Any, x: Value) -> Value:
    ndim = len(g.dims(0))
    reps = op._reps(ndim)
    x = g.unsqueeze(x, *range(len(reps) - ndim))
    return g("Tile", x, g.ints(*reps)) if reps else x
