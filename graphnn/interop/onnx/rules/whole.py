"""Products of bytes, by floats that hold them exactly: NumPy multiplies matrices of floats 80 times as fast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ....graph import Node, fn
from .kit import along, computed

if TYPE_CHECKING:
    from ..call import Call
    from ..rule import Value


def exact(call: Call, w: Node, zero: Node | None, summed: tuple[int, ...]) -> np.dtype[Any]:
    """Return the smallest float dtype in which sums of products of bytes with w are exact.

    Parameters
    ----------
    w : Node
        The weights, of bytes.
    zero : Node or None
        Their zero point.
    summed : tuple of int
        The axes over which they are summed.
    """
    known = call.reader.stored(w)
    point = np.zeros(()) if zero is None else call.reader.stored(zero)
    if known is not None and point is not None and point.size == 1:
        wide = known.astype(np.int64) - int(point.reshape(-1)[0])
        most = int(np.abs(wide).sum(axis=summed).max(initial=0)) * 255
    else:
        dims = [w.spec.shape[axis] for axis in summed]
        most = math.prod(dim if isinstance(dim, int) else 2**24 for dim in dims) * 255 * 255
    return np.dtype(np.float32 if most < 2**24 else np.float64)


def centred(call: Call, x: Node, zero: Value, dtype: Any, axis: int | None = None) -> Node:
    """Return whole numbers less their zero point, as floats.

    The zero point is one, or one for each place of an axis, or an array that broadcasts.
    """
    point = None if zero is None else call.node(zero)
    if point is not None:
        stored = call.reader.stored(point)
        point = None if stored is not None and not np.any(stored) else aligned(call, point, x.ndim, axis)
    if point is None:
        return computed(call, lambda each: each.astype(dtype), lambda each: fn.cast(each, dtype), x)
    return computed(
        call,
        lambda each, less: each.astype(dtype) - less.astype(dtype),
        lambda each, less: fn.cast(each, dtype) - fn.cast(less, dtype),
        x,
        point,
    )


def aligned(call: Call, x: Node, ndim: int, axis: int | None) -> Node:
    """Return a scale or a zero point so that it broadcasts: a single one, or one for each place of an axis."""
    if x.ndim == 0:
        return x
    if x.spec.shape == (1,):
        return computed(call, lambda each: each.reshape(()), lambda each: fn.reshape(each, ()), x)
    return along(call, x, ndim, ndim - 1 if axis is None else axis) if x.ndim == 1 else x


def requantized(call: Call, y: Node, zero: Node) -> Node:
    """Return floats as bytes: rounded to even, moved by a zero point, and kept in the range of its dtype."""
    bounds = np.iinfo(zero.spec.dtype)
    stored = call.reader.stored(zero)
    y = fn.round(y)
    if stored is None or np.any(stored):
        y = y + computed(call, lambda each: each.astype(y.spec.dtype), lambda each: fn.cast(each, y.spec.dtype), zero)
    return fn.cast(fn.clip(y, float(bounds.min), float(bounds.max)), zero.spec.dtype)
