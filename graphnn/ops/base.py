"""What the rooms of operations share: linear operations, and axes checked in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, ShapeError, UsageError
from ..graph import Array, Dim, Node, Op, Spec, fn


class Linear(Op, abstract=True):
    """Base of the operations that are linear in all operands that pass a gradient, taken together."""

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the operation itself, applied to the tangents of the operands that flow."""
        parts = []
        for i, (tangent, operand) in enumerate(zip(tangents, inputs, strict=True)):
            if not self.flows(i):
                parts.append(operand)
            elif tangent is None:
                parts.append(fn.zeros(operand.shape, operand.dtype, graph=operand.graph))
            else:
                parts.append(tangent)
        return self(*parts)


class Rearranging(Linear, abstract=True):
    """Base of the linear operations that move elements and compute nothing."""

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return 0."""
        return 0


class Multilinear(Op, abstract=True):
    """Base of the operations that are linear in each operand: products."""

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the sum of the products in which one operand gives way to its tangent."""
        total: Node | None = None
        for i, tangent in enumerate(tangents):
            if tangent is not None:
                part = self(*inputs[:i], tangent, *inputs[i + 1 :])
                total = part if total is None else total + part
        assert total is not None, "at least one tangent is not zero"
        return total


def axis_of(name: str, axis: Any, ndim: int) -> int:
    """Return `axis` counted from the front.

    Raises
    ------
    AxisError
        When an array of `ndim` axes has no such axis.
    UsageError
        When it is no int.

    Examples
    --------
    >>> axis_of("sum", -1, 3)
    2
    """
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise UsageError(f"{name}: an axis is an int, not {axis!r}")
    if not -ndim <= axis < ndim:
        axes = "1 axis" if ndim == 1 else f"{ndim} axes"
        valid = f"valid are {-ndim} to {ndim - 1}" if ndim else "it has none"
        raise AxisError(f"{name}: axis {axis} is out of range for an array of {axes}: {valid}")
    return int(axis) % ndim


def axes_of(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes that `axis` names, counted from the front: all for None, one for an int.

    Raises
    ------
    AxisError
        When an array of `ndim` axes has no such axis.
    ShapeError
        When one is named twice.

    Examples
    --------
    >>> axes_of("sum", (0, -1), 3), axes_of("sum", None, 2)
    ((0, 2), (0, 1))
    """
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis_of(name, a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{name}: an axis is named twice in {tuple(axis)}")
    return axes


def dtype_of(name: str, dtype: Any) -> np.dtype[Any]:
    """Return an attribute as a dtype that values can have.

    Raises
    ------
    DtypeError
        When it is none.
    """
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"{name}: {dtype!r} is no dtype") from None
    if kind.kind not in "biuf" or kind.itemsize > 8:
        raise DtypeError(f"{name}: values are bool, integers, and floats of 16, 32 or 64 bits, not {kind}")
    return kind


def into(out: Array | None, value: Any) -> Any:
    """Return `value`, written into `out` if there is one."""
    if out is None:
        return value
    np.copyto(out, value)
    return out
