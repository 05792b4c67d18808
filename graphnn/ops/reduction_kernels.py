"""Reductions of few elements each, by one call for each of their places: where elements lie apart, that is faster.

NumPy goes through an array in the order in which it lies, and so its innermost loop is over a window of a few elements.
So it is, too, over the last axis of an array in C order, if another axis is taken with it, but not those between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..core import Array

MOST, LEAST = 64, 1024
"""The maximum number of elements that are made one, and the minimum number of results."""


def are_few(x: Any, axes: tuple[int, ...], adds: bool) -> bool | None:
    """Return whether a reduction goes place by place; None where it depends on the strides, which are unknown.

    Parameters
    ----------
    x : array, or what has shape, size, strides and dtype
    axes : tuple of int
    adds : bool
        Whether it adds up, which NumPy does with more digits for float16, and in 64 bits for small integers.
    """
    over = [axis in axes for axis, n in enumerate(x.shape) if n > 1]
    is_apart = True in over and over[-1] and False in over[over.index(True) :]
    steps = [abs(step) for step, n in zip(x.strides or (), x.shape, strict=False) if n > 1]
    if x.strides is not None and steps == sorted(steps, reverse=True) and not is_apart:
        return False
    count = math.prod(x.shape[axis] for axis in axes)
    is_few = 1 < count <= MOST and x.size // count >= LEAST and (not adds or x.dtype.char in "fdqQlL")
    return is_few and (True if is_apart or x.strides is not None else None)


def of(shape: tuple[int, ...], axes: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield an index for each place along the axes, in C order: an int for each of them, else None."""
    for place in np.ndindex(*(n for axis, n in enumerate(shape) if axis in axes)):
        rest = iter(place)
        yield tuple(next(rest) if axis in axes else None for axis in range(len(shape)))


def fold(ufunc: np.ufunc, x: Array, axes: tuple[int, ...], keepdims: bool, out: Array | None = None) -> Any:
    """Return what a ufunc makes of all elements along axes, place by place; a sum is never -0, as NumPy's."""
    parts = [x[tuple(slice(None) if i is None else i for i in place)] for place in of(x.shape, axes)]
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape) if keepdims or axis not in axes)
    found = np.empty(shape, x.dtype) if out is None else out
    total = found.reshape(parts[0].shape) if found.flags.c_contiguous else np.empty(parts[0].shape, x.dtype)
    reduce(partial(ufunc, out=total), parts)
    if ufunc is np.add and x.dtype.kind == "f":
        np.add(total, x.dtype.type(0), out=total)
    if not found.flags.c_contiguous:
        found[...] = total.reshape(found.shape)
    return found
