"""Values that do not lie in C order: NumPy lays out what it makes as the operands lie, and so does a plan.

Such a value is computed with its axes in the order in which they lie, where it is in C order, and shown turned back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._util.numpy_warnings import quietly
from . import intermediate_representation as do

if TYPE_CHECKING:
    from ..core import Array
    from .ir_builder import Builder
    from .ir_values import Value

Order = tuple[int, ...]
"""The axes, from the one with the longest steps to that with the shortest."""


def has_order(x: Value) -> bool:
    """Tell whether it is known which axes of a value step farther than others.

    Where two step equally far, as in windows that overlap, NumPy chooses by the order in which they come.
    """
    if x.strides is None:
        return False
    steps = [abs(step) for step, n in zip(x.strides, x.shape, strict=True) if n > 1 and step]
    return len(set(steps)) == len(steps)


def order_of(strides: Sequence[int], shape: Sequence[int]) -> Order:
    """Return the order in which axes lie; those of one element come first."""
    return tuple(sorted(range(len(shape)), key=lambda axis: (0, 0) if shape[axis] == 1 else (1, -abs(strides[axis]))))


def order_of_result(function: do.Function, operands: Sequence[Value], shape: tuple[int, ...]) -> Order | None:
    """Return the order in which the axes of a result lie, found with tiny arrays; None where it is not known.

    Parameters
    ----------
    function : callable
        Makes the result; the sizes of axes must not matter to it.
    operands : sequence of Value
    shape : tuple of int
        Of the result.
    """
    if 0 in shape or not all(map(has_order, operands)):
        return None
    tiny: Array = np.asarray(quietly(function, *[operand.stand_in(2) for operand in operands]))
    if tiny.ndim != len(shape) or min(tiny.strides, default=1) < 0:
        return None
    order = order_of(tiny.strides, shape)
    return order if tiny.transpose(order).flags.c_contiguous else None


def turned(build: Builder, x: Value, order: Order) -> Value:
    """Show a value with its axes in another order; what has fewer axes is given those that it lacks, in front."""
    if not x.shape:
        return x
    if x.lies_small and x.repeats is not None:
        missing = (1,) * (len(order) - len(x.shape))
        shape = (*missing, *x.shape)
        return build.broadcast(turned(build, x.repeats, order), tuple(shape[axis] for axis in order))
    missing = len(order) - len(x.shape)
    if missing:
        x = build.view(do.ExpandDims(tuple(range(missing))), x, (*[1] * missing, *x.shape))
    shape = tuple(x.shape[axis] for axis in order)
    if isinstance(x.how, do.Transpose):
        order = tuple(x.how.axes[axis] for axis in order)
        (x,) = x.operands
    return x if order == tuple(range(len(order))) else build.view(do.Transpose(order), x, shape)


def turned_back(build: Builder, x: Value, order: Order) -> Value:
    """Show a value, whose axes are in this order, with its axes as they come."""
    return turned(build, x, tuple(order.index(axis) for axis in range(len(order))))
