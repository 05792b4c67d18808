"""Running sums and products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import Array, Node, Op, Spec, Trait, fn
from ..core.symbolic_shapes import product
from .base import Linear, accumulated, axis_of


class Running(Op, abstract=True):
    """Base of what is taken along an axis, or of the flattened operand, with each result on the way kept."""

    axis: int | None = None

    def infer(self, x: Spec) -> Spec:
        """Keep the shape, or flatten it."""
        if self.axis is None:
            return Spec((product(x.shape),), accumulated(x.dtype))
        axis_of(self.name, self.axis, len(x.shape))
        return Spec(x.shape, accumulated(x.dtype))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the elements up to that one."""
        (x,) = operands
        if self.axis is None:
            return ((np.arange(x.size).reshape(x.shape) <= index[0],),)
        axis = axis_of(self.name, self.axis, x.ndim)
        return ((*index[:axis], slice(index[axis] + 1), *index[axis + 1 :]),)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw an operand and an axis."""
        x = draw.array(draw.shape())
        return cls(draw.choice([None, draw.axis(x.ndim)]) if x.ndim else None), (x,)


class Cumsum(Running, Linear):
    """The running sum along an axis, or of the flattened operand."""

    traits = Trait.WRAPS
    formula = "running Σ {0}"
    equation = "[{0}] + …"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.cumsum(x, axis=self.axis, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        axis = 0 if self.axis is None else self.axis
        remaining = fn.flip(fn.cumsum(fn.flip(cotangent, axis), axis), axis)
        return remaining if self.axis is not None else fn.reshape(remaining, inputs[0].shape)


class Cumprod(Running):
    """The running product along an axis, or of the flattened operand.

    The gradient is exact where factors are zero. For n factors it takes the memory of n rows of them.
    """

    traits = Trait.WRAPS | Trait.UNDERFLOWS
    formula = "running Π {0}"
    equation = "[{0}] * …"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.cumprod(x, axis=self.axis, out=out)

    def _slopes(self, x: Node) -> tuple[Node, int]:
        """Return rows i of the derivatives of all running products by the factor i; and the axis of i."""
        x = fn.reshape(x, (product(x.shape),)) if self.axis is None else x
        axis = 0 if self.axis is None else axis_of(self.name, self.axis, x.ndim)
        size, places = x.shape[axis], fn.arange(x.shape[axis], graph=x.graph)
        column = fn.expand_dims(places, 1)
        shape = (size, size, *[1] * (x.ndim - axis - 1))
        own, after = (fn.reshape(mask, shape) for mask in (fn.equal(column, places), fn.less_equal(column, places)))
        return fn.where(after, fn.cumprod(fn.where(own, 1, fn.expand_dims(x, axis)), axis + 1), 0), axis

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        slopes, axis = self._slopes(inputs[0])
        found = fn.sum(slopes * fn.expand_dims(cotangent, axis), axis=axis + 1)
        return found if self.axis is not None else fn.reshape(found, inputs[0].shape)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        slopes, axis = self._slopes(inputs[0])
        (tangent,) = tangents
        moved = fn.reshape(tangent, output.shape) if self.axis is None else tangent
        return fn.sum(slopes * fn.expand_dims(moved, axis + 1), axis=axis)
