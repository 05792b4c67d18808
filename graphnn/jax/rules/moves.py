"""Rules of what moves elements, repeats them, or makes them of nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ops.indexing import numpy_index
from ..library import jnp
from .registry import rule


@rule("reshape")
def _reshape(op: Any, x: Any) -> Any:
    return jnp.reshape(x, op.shape)


@rule("expand_dims")
def _expand_dims(op: Any, x: Any) -> Any:
    return jnp.expand_dims(x, op.axes(x.ndim))


@rule("squeeze")
def _squeeze(op: Any, x: Any) -> Any:
    return jnp.squeeze(x, op.axes(x.ndim))


@rule("flip")
def _flip(op: Any, x: Any) -> Any:
    return jnp.flip(x, op.axis)


@rule("transpose")
def _transpose(op: Any, x: Any) -> Any:
    return jnp.transpose(x, op.order(x.ndim))


@rule("broadcast_to")
def _broadcast_to(op: Any, x: Any) -> Any:
    return jnp.broadcast_to(x, op.shape)


@rule("sum_to", casts="result")
def _sum_to(op: Any, x: Any) -> Any:
    return jnp.sum(x, op.over(x.shape), keepdims=True).reshape(op.shape)


@rule("concatenate", casts="result")
def _concatenate(op: Any, *arrays: Any) -> Any:
    return jnp.concatenate([x.reshape(-1) for x in arrays] if op.axis is None else arrays, op.axis or 0)


@rule("stack", casts="result")
def _stack(op: Any, *arrays: Any) -> Any:
    return jnp.stack(arrays, op.axis)


@rule("pad")
def _pad(op: Any, x: Any) -> Any:
    if not x.ndim:
        return x
    values = op._pairs(x.ndim, "constant_values")
    for axis, widths in enumerate(op._pairs(x.ndim)):  # axis by axis, as NumPy: the corners are of the last ones
        ends = [np.full(_with(x.shape, axis, n), value) for n, value in zip(widths, values[axis], strict=True)]
        x = jnp.concatenate([ends[0].astype(x.dtype), x, ends[1].astype(x.dtype)], axis)
    return x


def _with(shape: tuple[int, ...], axis: int, n: int) -> tuple[int, ...]:
    return (*shape[:axis], n, *shape[axis + 1 :])


@rule("repeat")
def _repeat(op: Any, x: Any) -> Any:
    return jnp.repeat(x, op.repeats, op.axis)


@rule("tile")
def _tile(op: Any, x: Any) -> Any:
    return jnp.tile(x, op.reps)


@rule("tril", "triu")
def _triangle(op: Any, x: Any) -> Any:
    # A diagonal beyond the matrix is as any other there, and fits 32 bits.
    k = max(-x.shape[-2] - 1, min(op.k, x.shape[-1] + 1))
    return getattr(jnp, op.name)(x, k)


@rule("roll")
def _roll(op: Any, x: Any) -> Any:
    axes = op.axis if isinstance(op.axis, tuple) else (op.axis,)
    shifts = op.shift if isinstance(op.shift, tuple) else (op.shift,) * len(axes)
    for shift, axis in zip(shifts, axes, strict=True):
        n = x.size if axis is None else x.shape[axis]
        x = jnp.roll(x, shift % n, axis) if n else x
    return x


@rule("diagonal")
def _diagonal(op: Any, x: Any) -> Any:
    rows, columns = x.shape[op.axis1], x.shape[op.axis2]
    return jnp.diagonal(x, max(-rows, min(op.offset, columns)), op.axis1, op.axis2)


@rule("diagonal_add")
def _diagonal_add(op: Any, x: Any) -> Any:
    matrices = jnp.moveaxis(jnp.zeros(op.shape, x.dtype), (op.axis1, op.axis2), (-2, -1))
    places = np.arange(x.shape[-1])
    rows, columns = places + max(-op.offset, 0), places + max(op.offset, 0)
    return jnp.moveaxis(matrices.at[..., rows, columns].set(x), (-2, -1), (op.axis1, op.axis2))


@rule("getitem")
def _getitem(op: Any, x: Any) -> Any:
    return x[numpy_index(op.index)]


@rule("slice_add")
def _slice_add(op: Any, x: Any) -> Any:
    return jnp.zeros(op.shape, x.dtype).at[numpy_index(op.index)].set(x)


@rule("slices_add", casts="result")
def _slices_add(op: Any, *arrays: Any) -> Any:
    found = jnp.zeros(op.shape, arrays[0].dtype)
    for x, index in zip(arrays, op.indices, strict=True):
        place = found.at[numpy_index(index)]
        found = place.add(x) if op.overlaps and x.dtype != bool else place.max(x) if op.overlaps else place.set(x)
    return found


@rule("windows")
def _windows(op: Any, x: Any) -> Any:
    for slide in op.slides(x.ndim):
        count = slide.count(op.name, x.shape)
        places = np.arange(count)[:, None] * slide.stride + np.arange(slide.size) * slide.dilation
        x = jnp.moveaxis(jnp.take(x, places, slide.axis), slide.axis + 1, -1)
    return x


@rule("fold")
def _fold(op: Any, x: Any) -> Any:
    found = jnp.zeros(op.shape, x.dtype)
    if not x.size:
        return found
    for place, parts in op.parts(op.shape):
        at, each = found.at[parts], x[(slice(None),) * len(op.shape) + place]
        found = at.max(each) if x.dtype == bool else at.add(each)
    return found


# --- without operands -----------------------------------------------------------------------------------------------


@rule("zeros")
def _zeros(op: Any) -> Any:
    return jnp.zeros(op.shape, op.dtype)


@rule("eye")
def _eye(op: Any) -> Any:
    return jnp.eye(int(op.n), dtype=op.dtype)


@rule("arange")
def _arange(op: Any) -> Any:
    return jnp.asarray(op.forward())
