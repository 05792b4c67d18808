"""Operations that change the shape: they move and repeat elements; with their adjoints, zeros and ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from ..core import AnyShape, Array, Dim, DType, Graph, Node, Op, Shape, Spec, Trait, composition, fn
from ..core.attributes import Bound, DtypeName, Either, Nothing, Real, Several
from ..core.symbolic_shapes import Constraint, add, clamp, floor_divide, product, shape_of, shown, subtract, unify
from ..errors import DtypeError, ShapeError, ValueRangeError
from . import matmul_kernels, reduction_kernels
from .base import Axes, Linear, Rearranging, accumulated, axes_of, cleared, flops_of_operand, into, no_flops, reduced

_BOUND = Bound()
_NUMBER = Either(_BOUND, Real())

# --- another shape for the same elements --------------------------------------------------------------------


class Reshape(Rearranging):
    """The same elements, in the same (C) order, in another shape."""

    shape: AnyShape
    reshapes, formula = True, "reshape({0}, {shape})"

    def infer(self, x: Spec) -> Spec:
        given, asked = product(x.shape), product(self.shape)
        met = unify(given, asked)
        if met is None:
            raise ShapeError(
                f"reshape cannot turn {shown(x.shape)}, which has {given} elements, "
                f"into {shown(self.shape)}, which has {asked}"
            )
        return Spec(self.shape, x.dtype, met[1])

    def forward(self, x: Array, out: Array | None = None) -> Any:
        if out is None or not out.flags.c_contiguous:
            return into(out, np.reshape(x, self.shape))
        np.copyto(out.reshape(x.shape), x)
        return out

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.reshape(cotangent, inputs[0].shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        total = int(np.prod(shape))
        return cls(draw.choice([(total,), shape[::-1], (1, total, 1), shape])), (draw.array(shape),)


@composition
def reshape(x: Any, shape: Annotated[Any, Either(_BOUND, Several(_BOUND))], *, name: str | None = None) -> Node:
    """Return the same elements, in the same (C) order, in another shape.

    Parameters
    ----------
    x : Node
    shape : int, str or sequence of them
        One may be -1: it follows from the others.

    Raises
    ------
    ShapeError
        When the numbers of elements differ, or more than one dimension is -1.
    """
    dims = list(shape) if isinstance(shape, tuple) else [shape]
    unknown = [i for i, dim in enumerate(dims) if dim == -1]
    if len(unknown) > 1:
        raise ShapeError(f"reshape: only one dimension can be -1, not {len(unknown)} as in {shown(dims)}")
    if unknown:
        known = product(shape_of([dim for i, dim in enumerate(dims) if i != unknown[0]]))
        total = product(x.shape)
        if known == 0 or (isinstance(known, int) and isinstance(total, int) and total % known):
            raise ShapeError(
                f"reshape cannot turn {shown(x.shape)} into {shown(dims)}: "
                f"its {total} elements are not a multiple of {known}"
            )
        dims[unknown[0]] = floor_divide(total, known)
    return Reshape(dims)(x, name=name)


class ExpandDims(Rearranging):
    """x with new axes of size 1, at these positions of the result."""

    axis: Axes
    reshapes, formula = True, "expand_dims({0}, {axis})"

    def axes(self, ndim: int) -> tuple[int, ...]:
        count = len(self.axis) if isinstance(self.axis, tuple) else 1
        return axes_of(self.name, () if self.axis is None else self.axis, ndim + count)

    def infer(self, x: Spec) -> Spec:
        axes = self.axes(len(x.shape))
        rest = iter(x.shape)
        shape = tuple(1 if i in axes else next(rest) for i in range(len(x.shape) + len(axes)))
        return Spec(shape, x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.expand_dims(x, self.axis))  # type: ignore[arg-type] # which is never None

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.squeeze(cotangent, self.axes(inputs[0].ndim))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        return cls(draw.choice([0, -1, (0, -1), x.ndim, ()])), (x,)


class Squeeze(Rearranging):
    """x without these axes, which are of size 1; an axis whose size has a name must turn out to be 1."""

    axis: Axes
    reshapes, formula = True, "squeeze({0}, {axis})"

    def infer(self, x: Spec) -> Spec:
        axes = self.axes(len(x.shape))
        constraints: tuple[Constraint, ...] = ()
        for axis in axes:
            met = unify(x.shape[axis], 1)
            if met is None:
                raise ShapeError(
                    f"squeeze cannot take axis {axis} out of {shown(x.shape)}: its size is {x.shape[axis]}, not 1"
                )
            constraints += met[1]
        return Spec(reduced(x.shape, axes, keepdims=False), x.dtype, constraints)

    def axes(self, ndim: int) -> tuple[int, ...]:
        return axes_of(self.name, () if self.axis is None else self.axis, ndim)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.squeeze(x, self.axes(x.ndim)))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.expand_dims(cotangent, self.axes(inputs[0].ndim))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape(max_ndim=2)
        place = draw.integer(0, len(shape))
        x = draw.array((*shape[:place], 1, *shape[place:]))
        return cls(draw.choice([place, (place - x.ndim,), ()])), (x,)


@composition
def squeeze(x: Any, axis: Axes = None, *, name: str | None = None) -> Node:
    """Return x without axes of size 1.

    Parameters
    ----------
    x : Node
    axis : int or tuple of int, optional
        Unless given, all axes whose size is 1 in the declared shape; one whose size has a name stays,
        even if a run makes it 1.

    Raises
    ------
    ShapeError
        When the size of one that is named is another.
    """
    if axis is None:
        axis = tuple(i for i, dim in enumerate(x.shape) if dim == 1)
    return Squeeze(axis)(x, name=name)


class Flip(Rearranging):
    """x in reverse order along these axes, or along all."""

    axis: Axes = None
    formula = "flip({0}, {axis})"

    def infer(self, x: Spec) -> Spec:
        axes_of(self.name, self.axis, len(x.shape))
        return Spec(x.shape, x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.flip(x, self.axis))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.flip(cotangent, self.axis)

    def reorders(self, ndim: int) -> tuple[int, ...]:
        return axes_of(self.name, self.axis, ndim)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        return cls(draw.axes(x.ndim)), (x,)


# --- broadcasting and back ----------------------------------------------------------------------------------


class BroadcastTo(Rearranging):
    """x repeated along new leading axes, and along those of size 1, to this shape."""

    shape: AnyShape
    formula = "broadcast({0}, {shape})"

    def infer(self, x: Spec) -> Spec:
        return Spec(self.shape, x.dtype, _stretched(x.shape, self.shape, "broadcast_to cannot stretch {} to {}"))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.broadcast_to(x, self.shape))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, small = _broadcast_pair(draw)
        return cls(shape), (draw.array(small),)


class SumTo(Linear):
    """Undo a broadcast: sum over what was repeated to make x out of this shape.

    It sums over the leading axes that the shape lacks, and over those where the shape is 1; a size that has a name
    was never repeated. Small integers and bools are summed in 64 bits.
    """

    traits = Trait.WRAPS | Trait.ADDS_UP

    shape: AnyShape
    formula = "sum_to({0}, {shape})"
    equation = "[{0}] + …"

    def infer(self, x: Spec) -> Spec:
        constraints = _stretched(self.shape, x.shape, "sum_to: {} does not broadcast to {}")
        return Spec(self.shape, accumulated(x.dtype), constraints)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        axes = self.over(x.shape)
        if not axes:
            return into(out, x.astype(accumulated(x.dtype), copy=False))
        if matmul_kernels.is_product(x, axes):
            total = matmul_kernels.sums(x, axes[0])
        elif reduction_kernels.are_few(x, axes, adds=True):
            total = reduction_kernels.fold(np.add, x, axes, keepdims=True)
        else:
            total = np.sum(x, axis=axes, keepdims=True)
        return into(out, total.reshape(self.shape))

    def over(self, shape: Sequence[int]) -> tuple[int, ...]:
        extra = len(shape) - len(self.shape)
        return (*range(extra), *(i for i, dim in enumerate(self.shape, extra) if dim == 1 and shape[i] != 1))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.broadcast_to(cotangent, inputs[0].shape)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        (x,) = operands
        kept = [slice(None) if dim == 1 else i for i, dim in zip(index, self.shape, strict=True)]
        return ((*[slice(None)] * (x.ndim - len(kept)), *kept),)

    flops = flops_of_operand

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, small = _broadcast_pair(draw)
        return cls(small), (draw.array(shape),)


def _stretched(small: Shape, large: Shape, refused: str) -> tuple[Constraint, ...]:
    """Return what must hold for `small` to broadcast to `large`.

    Raises
    ------
    ShapeError
        When it cannot; the message begins with `refused`, which has a place for each shape.
    """
    extra = len(large) - len(small)
    if extra < 0:
        refused = refused.format(shown(small), shown(large))
        raise ShapeError(f"{refused}: it has {len(small)} axes, which are more than {len(large)}")
    constraints: tuple[Constraint, ...] = ()
    for axis, (mine, other) in enumerate(zip(small, large[extra:], strict=True)):
        met = unify(other if mine == 1 else mine, other)
        if met is None:
            refused = refused.format(shown(small), shown(large))
            raise ShapeError(f"{refused}: axis {axis} is {mine}, and axis {axis + extra} is to be {other}")
        constraints += met[1]
    return constraints


def _broadcast_pair(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw a shape, and one that broadcasts to it."""
    shape = draw.shape()
    small = tuple(draw.choice([dim, 1]) for dim in shape)
    return shape, small[draw.integer(0, len(shape)) :]


# --- without operands -----------------------------------------------------------------------------------------


class Zeros(Op):
    """Zeros of this shape."""

    shape: AnyShape
    dtype: DType = "float64"
    formula, bounds = "0", (0.0, 0.0)

    def infer(self) -> Spec:
        return Spec(self.shape, np.dtype(self.dtype))

    def forward(self, out: Array | None = None) -> Any:
        return cleared(out, self.shape, self.dtype)

    flops = no_flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.shape(), draw.choice(["float64", "float32", "int64", "bool"])), ()


class Eye(Op):
    """The identity matrix of n rows."""

    n: Dim
    dtype: DType = "float64"
    formula = "I"
    equation = ""

    def infer(self) -> Spec:
        return Spec((self.n, self.n), np.dtype(self.dtype))

    def forward(self, out: Array | None = None) -> Any:
        return into(out, np.eye(int(self.n), dtype=self.dtype))

    flops = no_flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.integer(0, 4), draw.choice(["float64", "float32", "int64"])), ()


class Arange(Op):
    """Numbers from start on, one step after the other, to below stop."""

    start: Annotated[Any, _NUMBER]
    stop: Annotated[Any, _NUMBER]
    step: Annotated[Any, Real()] = 1
    dtype: Annotated[str, DtypeName("iuf")] = "int64"
    formula = "{start}, {start} + {step}, …"

    def infer(self) -> Spec:
        numbers = start, stop, step = self.start, self.stop, self.step
        # A whole number may be larger than any float, and there may be more numbers than any memory holds.
        if step == 0 or not all(isinstance(number, str) or abs(number) < 1e308 for number in numbers):
            raise ValueRangeError(f"arange: the numbers are finite, and the step is not 0, unlike in {shown(numbers)}")
        if not any(isinstance(number, float) for number in numbers):
            span = subtract(stop, start) if step > 0 else subtract(start, stop)
            return Spec((floor_divide(add(clamp(span), abs(step) - 1), abs(step)),), np.dtype(self.dtype))
        if any(isinstance(number, str) for number in numbers):
            raise DtypeError(f"arange: beside a size that has a name, numbers are whole, unlike in {shown(numbers)}")
        return Spec((math.ceil(min(max((stop - start) / step, 0.0), 2.0**63)),), np.dtype(self.dtype))

    def forward(self, out: Array | None = None) -> Any:
        return into(out, np.arange(self.start, self.stop, self.step, dtype=self.dtype))

    flops = no_flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        if draw.integer(0, 2) == 0:
            return cls(draw.choice([0.0, -1.5]), draw.choice([2.0, 0.25]), draw.choice([0.5, -0.3]), "float32"), ()
        step = draw.choice([1, 1, 2, 3, -1, -2])
        return cls(draw.integer(-3, 3), draw.integer(-3, 9), step, draw.choice(["int64", "int8", "float64"])), ()


@composition
def arange(
    start: Annotated[Any, _NUMBER],
    stop: Annotated[Any, Either(Nothing(), _NUMBER)] = None,
    step: float = 1,
    dtype: Annotated[Any, Either(Nothing(), DtypeName("iuf"))] = None,
    *,
    name: str | None = None,
    graph: Graph | None = None,
) -> Node:
    """Return numbers from start on, one step after the other, to below stop.

    Parameters
    ----------
    start, stop : number or str
        With one of them, the numbers begin with 0 and end before it. A name or an expression of names is a size:
        ``gn.arange("batch", graph=graph)``, ``gn.arange(x.shape[1], graph=x.graph)``.
    step : number
    dtype : dtype, optional
        By default int64, and float64 if one of the numbers is a float.
    graph : Graph
        The graph that the node is added to. It is needed, since no operand tells it.

    Raises
    ------
    ValueRangeError
        When the step is 0.
    UsageError
        When no graph is given.
    """
    start, stop = (0, start) if stop is None else (start, stop)
    dtype = dtype or ("float64" if any(isinstance(number, float) for number in (start, stop, step)) else "int64")
    return Arange(start, stop, step, dtype)(name=name, graph=graph)


@composition
def zeros_like(x: Any, *, name: str | None = None) -> Node:
    """Return zeros of the shape and dtype of x."""
    return fn.zeros(x.shape, x.dtype, name=name, graph=x.graph)


@composition
def ones_like(x: Any, *, name: str | None = None) -> Node:
    """Return ones of the shape and dtype of x."""
    return fn.broadcast_to(x.graph.constant(np.ones((), x.dtype)), x.shape, name=name)
