"""Operations that keep the elements of some places, or move elements to others: triangles, diagonals, turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import ShapeError
from ..graph import Array, Int64, Node, Op, Spec
from ..graph.dimensions import shown
from .base import Rearranging, into


class Triangle(Rearranging, abstract=True):
    """Base of the operations that keep a triangle of the last two axes; beside it, there are zeros."""

    k: Int64 = 0
    function: ClassVar[Callable[..., Array]]

    def infer(self, x: Spec) -> Spec:
        """Keep the shape."""
        if len(x.shape) < 2:
            raise ShapeError(f"{self.name} takes matrices, which have two axes or more, got {shown(x.shape)}")
        return Spec(x.shape, x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        """Call the function."""
        return into(out, self.function(x, self.k))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Keep the same triangle."""
        return self(cotangent)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw a diagonal and an operand."""
        return cls(draw.integer(-3, 3)), (draw.array(draw.shape(min_ndim=2)),)


class Tril(Triangle):
    """The lower triangle of matrices, up to the diagonal k, which is above the main one if k > 0; zeros above it."""

    formula = "tril({0}, {k})"
    function = staticmethod(np.tril)


class Triu(Triangle):
    """The upper triangle of matrices, from the diagonal k on, which is above the main one if k > 0; zeros below it."""

    formula = "triu({0}, {k})"
    function = staticmethod(np.triu)
