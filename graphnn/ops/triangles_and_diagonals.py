"""Operations that keep the elements of some places, or move elements to others: triangles, diagonals, turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np

from ..core import AnyShape, Array, Either, Int64, Node, Op, Several, Shape, Spec, Whole, composition, fn
from ..core.symbolic_shapes import add, clamp, minimum, shown
from ..errors import ShapeError
from .base import Axes, Rearranging, axes_of, axis_of, check_shape, cleared, into

_SHIFT = Whole(-(2**63), 2**63 - 1)


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


class Roll(Rearranging):
    """x with its elements moved on by so many places along these axes; those beyond the end come in at the front.

    Without an axis, the flattened x is moved. Several shifts are one for each axis; those of an axis that is there
    more than once add up.
    """

    shift: Annotated[int | tuple[int, ...], Either(_SHIFT, Several(_SHIFT))]
    axis: Axes = None
    formula = "roll({0}, {shift}, {axis})"

    def infer(self, x: Spec) -> Spec:
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        checked = [axes_of(self.name, axis, len(x.shape)) for axis in axes]
        if isinstance(self.shift, tuple) and len(self.shift) != len(checked):
            raise ShapeError(f"roll takes one shift, or one for each axis, not {self.shift} for the axis {self.axis}")
        return Spec(x.shape, x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.roll(x, self.shift, self.axis))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        back = tuple(-shift for shift in self.shift) if isinstance(self.shift, tuple) else -self.shift
        return fn.roll(cotangent, back, self.axis)

    def reorders(self, ndim: int) -> tuple[int, ...]:
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        return tuple(place for axis in axes for place in axes_of(self.name, axis, ndim))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        axis = draw.axes(x.ndim)
        if isinstance(axis, tuple) and axis and draw.integer(0, 1):
            return cls(tuple(draw.integer(-5, 5) for _ in axis), axis), (x,)
        return cls(draw.integer(-5, 5), axis), (x,)


# --- diagonals ------------------------------------------------------------------------------------------------------


def _on_diagonal(name: str, shape: Shape, offset: int, axis1: int, axis2: int) -> Shape:
    """Return the shape of the diagonals of arrays of a shape."""
    one, other = axis_of(name, axis1, len(shape)), axis_of(name, axis2, len(shape))
    if one == other:
        raise ShapeError(f"{name}: the two axes of a matrix are not one, {axis1} and {axis2}")
    rows, columns = add(shape[one], min(offset, 0)), add(shape[other], -max(offset, 0))
    length = minimum(clamp(rows), clamp(columns))
    return (*(dim for axis, dim in enumerate(shape) if axis not in (one, other)), length)


class Diagonal(Rearranging):
    """The diagonals of matrices, which have these two axes; the offset is above 0 for those above the main ones."""

    offset: Int64 = 0
    axis1: int = 0
    axis2: int = 1
    formula = "diagonal({0}, {offset})"

    def infer(self, x: Spec) -> Spec:
        return Spec(_on_diagonal(self.name, x.shape, self.offset, self.axis1, self.axis2), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.diagonal(x, self.offset, self.axis1, self.axis2).copy())

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return DiagonalAdd(inputs[0].shape, self.offset, self.axis1, self.axis2)(cotangent)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, *where = _drawn_diagonal(draw)
        return cls(*where), (draw.array(shape),)


class DiagonalAdd(Rearranging):
    """Zeros of this shape, with x on the diagonals: the adjoint of diagonal."""

    shape: AnyShape
    offset: Int64 = 0
    axis1: int = 0
    axis2: int = 1
    formula = "zeros with {0} on the diagonal {offset}"

    def infer(self, x: Spec) -> Spec:
        wanted = _on_diagonal(self.name, self.shape, self.offset, self.axis1, self.axis2)
        return Spec(self.shape, x.dtype, check_shape(self.name, x.shape, wanted))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        result = cleared(out, self.shape, x.dtype)
        matrices = np.moveaxis(result, (self.axis1, self.axis2), (-2, -1))
        places = np.arange(x.shape[-1])
        matrices[..., places + max(-self.offset, 0), places + max(self.offset, 0)] = x
        return result

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.diagonal(cotangent, self.offset, self.axis1, self.axis2)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, *where = _drawn_diagonal(draw)
        return cls(shape, *where), (draw.array(np.diagonal(np.empty(shape), *where).shape),)


def _drawn_diagonal(draw: Any) -> tuple[tuple[int, ...], int, int, int]:
    shape = draw.shape(min_ndim=2)
    first = draw.integer(0, len(shape) - 1)
    second = draw.choice([axis for axis in range(len(shape)) if axis != first])
    return shape, draw.integer(-3, 3), first, second - draw.choice([0, len(shape)])


@composition
def diag(x: Any, k: Int64 = 0, *, name: str | None = None) -> Node:
    """Return the diagonal of a matrix, or of a vector the matrix with it on the diagonal, and zeros beside it.

    Parameters
    ----------
    x : Node
        Of one axis or two; gn.diagonal takes stacks of matrices.
    k : int
        Which diagonal: 0 is the main one, those above it are above 0.

    Raises
    ------
    ShapeError
        When x has another number of axes.
    """
    if x.ndim == 2:
        return fn.diagonal(x, k, name=name)
    if x.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix, got {shown(x.shape)}; gn.diagonal takes stacks of matrices")
    side = add(x.shape[0], abs(k))
    return DiagonalAdd((side, side), k)(x, name=name)
