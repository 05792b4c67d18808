"""Operations that sort: the order of elements, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import Array, Count, Node, Op, Spec, composition, fn
from ..core.symbolic_shapes import product
from ..errors import ShapeError
from .base import axis_of, into, line_of


class Argsort(Op):
    """The indices that put x in order along an axis, or the flattened x; equal elements keep their order.

    NaN counts as the largest number. No gradient passes; one passes through `sort`.
    """

    axis: int | None = -1
    descending: bool = False
    differentiable = False
    formula = "argsort of {0}"

    def infer(self, x: Spec) -> Spec:
        if self.axis is None:
            return Spec((product(x.shape),), np.dtype(np.intp))
        axis_of(self.name, self.axis, len(x.shape))
        return Spec(x.shape, np.dtype(np.intp))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        if not self.descending:
            # NumPy counts small integers, and then sorts by the counts: nobody else may write to them meanwhile.
            return into(out, np.argsort(np.array(x), self.axis, stable=True))
        axis = 0 if self.axis is None else self.axis
        x = x.reshape(-1) if self.axis is None else x
        # Backwards twice: so equal elements keep their order.
        return into(out, x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, stable=True), axis))

    def reorders(self, ndim: int) -> tuple[int, ...]:
        return () if self.axis is None else (self.axis % ndim,)

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return () if self.axis is None else ((-1, 0, self.axis % ndims[0]),)

    def reads(self, index: tuple[int, ...], operands: Any) -> Any:
        (x,) = operands
        return (...,) if self.axis is None else (line_of(index, (self.axis % x.ndim,), x.ndim, keepdims=True),)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        axis = draw.choice([None, draw.axis(x.ndim)]) if x.ndim else None
        return cls(axis, draw.choice([False, True])), (x,)


@composition
def sort(x: Any, axis: int | None = -1, descending: bool = False, *, name: str | None = None) -> Node:
    """Return x in order along an axis, or the flattened x; NaN counts as the largest number.

    Parameters
    ----------
    x : Node
    axis : int, optional
    descending : bool
        Whether the largest comes first.

    Returns
    -------
    Node
        The elements of x at the indices that argsort gives: the gradient goes to where they came from.
    """
    return fn.take_along_axis(x, fn.argsort(x, axis, descending), axis, name=name)


@composition
def topk(x: Any, k: Count, axis: int = -1) -> tuple[Node, Node]:
    """Return the k largest elements along an axis, in descending order, and their indices.

    Parameters
    ----------
    x : Node
    k : int
    axis : int

    Returns
    -------
    tuple of Node
        The elements and the indices. Of equal elements the first come first; NaN counts as the largest number.

    Raises
    ------
    ShapeError
        When there are fewer than k elements.
    """
    axis = axis_of("topk", axis, x.ndim)
    if isinstance(size := x.shape[axis], int) and k > size:
        raise ShapeError(f"topk: axis {axis} has {size} elements, fewer than {k}")
    order = fn.argsort(x, axis, True)
    indices = fn.getitem(order, (*(slice(None),) * axis, slice(k)))
    return fn.take_along_axis(x, indices, axis), indices
