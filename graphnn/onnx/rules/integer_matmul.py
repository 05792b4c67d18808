"""Products of bytes, by floats that hold them exactly: NumPy multiplies matrices of floats 80 times as fast."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from .kit import along, computed, held

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value


def exact(call: Call, w: Value, zero: Value, summed: tuple[int, ...]) -> np.dtype[Any]:
    """Return the smallest float dtype in which sums of products of bytes with w are exact.

    Parameters
    ----------
    w : Value
        The weights, of bytes.
    zero : Value or None
        Their zero point.
    summed : tuple of int
        The axes over which they are summed.
    """
    known = held(call, w)
    point = np.zeros(()) if zero is None else held(call, zero)
    if known is not None and point is not None and point.size == 1:
        wide = known.astype(np.int64) - int(point.reshape(-1)[0])
        most = int(np.abs(wide).sum(axis=summed).max(initial=0)) * 255
    else:
        dims = [call.node(w).spec.shape[axis] for axis in summed]
        most = math.prod(dim if isinstance(dim, int) else 2**24 for dim in dims) * 255 * 255
    return np.dtype(np.float32 if most < 2**24 else np.float64)


def centred(call: Call, x: Value, zero: Value, dtype: Any, axis: int | None = None) -> Node:
    """Return whole numbers less their zero point, as floats.

    The zero point is one, or one for each place of an axis, or an array that broadcasts.
    """
    known = None if zero is None else held(call, zero)
    if zero is None or (known is not None and not np.any(known)):
        return call.node(computed(call, lambda a: a.astype(dtype), lambda a: fn.cast(a, dtype), x))
    return call.node(
        computed(
            call,
            lambda a, less: a.astype(dtype) - less.astype(dtype),
            lambda a, less: fn.cast(a, dtype) - fn.cast(less, dtype),
            x,
            aligned(call, zero, x.ndim, axis),
        )
    )


def aligned(call: Call, x: Value, ndim: int, axis: int | None) -> Value:
    """Return a scale or a zero point so that it broadcasts: a single one, or one for each place of an axis."""
    if x.ndim == 0:
        return x
    if tuple(x.shape) == (1,):
        return computed(call, lambda each: each.reshape(()), lambda each: fn.reshape(each, ()), x)
    return along(call, x, ndim, ndim - 1 if axis is None else axis) if x.ndim == 1 else x


def requantized(call: Call, y: Node, zero: Value) -> Node:
    """Return floats as bytes: rounded to even, moved by a zero point, and kept in the range of its dtype."""
    bounds = np.iinfo(zero.dtype)
    known = held(call, zero)
    y = fn.round(y)
    if known is None or np.any(known):
        kind = y.spec.dtype
        y = y + call.node(computed(call, lambda a: a.astype(kind), lambda a: fn.cast(a, kind), zero))
    return fn.cast(fn.clip(y, float(bounds.min), float(bounds.max)), zero.dtype)
