"""Operations that change the shape: they move, repeat and join elements, and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from ..errors import ShapeError, UsageError
from ..graph import (
    AnyShape,
    Array,
    Bound,
    Count,
    Dim,
    DType,
    Either,
    Flag,
    Node,
    Op,
    Real,
    Several,
    Shape,
    Spec,
    Whole,
    composition,
    fn,
)
from ..graph.dimensions import Constraint, add, floor_divide, multiply, product, same, shape_of, shown
from . import rows
from .base import Axes, Linear, Rearranging, accumulated, axes_of, axis_of, clash_in_broadcasting, into

_COUNT, _NUMBER, _ONE = Whole(0, 2**63 - 1), Either(Flag(), Real()), Bound()

# --- another shape for the same elements --------------------------------------------------------------------


class Reshape(Rearranging):
    """The same elements, in the same (C) order, in another shape."""

    shape: AnyShape
    formula = "reshape({0}, {shape})"

    def infer(self, x: Spec) -> Spec:
        given, asked = product(x.shape), product(self.shape)
        met = same(given, asked)
        if met is None:
            raise ShapeError(
                f"reshape cannot turn {shown(x.shape)}, which has {given} elements, "
                f"into {shown(self.shape)}, which has {asked}"
            )
        return Spec(self.shape, x.dtype, met[1])

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.reshape(x, self.shape))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.reshape(cotangent, inputs[0].shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        total = int(np.prod(shape))
        return cls(draw.choice([(total,), shape[::-1], (1, total, 1), shape])), (draw.array(shape),)


@composition
def reshape(x: Any, shape: Annotated[Any, Either(_ONE, Several(_ONE))], *, name: str | None = None) -> Node:
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
                f"its {total} elements are no multiple of {known}"
            )
        dims[unknown[0]] = floor_divide(total, known)
    return Reshape(dims)(x, name=name)


class ExpandDims(Rearranging):
    """New axes of size 1, at these places of the result."""

    axis: Axes
    formula = "expand_dims({0}, {axis})"

    def axes(self, ndim: int) -> tuple[int, ...]:
        count = len(self.axis) if isinstance(self.axis, tuple) else 1
        return axes_of(self.name, () if self.axis is None else self.axis, ndim + count)

    def infer(self, x: Spec) -> Spec:
        axes = self.axes(len(x.shape))
        rest = iter(x.shape)
        shape = tuple(1 if i in axes else next(rest) for i in range(len(x.shape) + len(axes)))
        return Spec(shape, x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.expand_dims(x, self.axes(x.ndim)))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.squeeze(cotangent, self.axes(inputs[0].ndim))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        return cls(draw.choice([0, -1, (0, -1), x.ndim, ()])), (x,)


class Squeeze(Rearranging):
    """x without these axes, which are of size 1; an axis whose size has a name must turn out to be 1."""

    axis: Axes
    formula = "squeeze({0}, {axis})"

    def infer(self, x: Spec) -> Spec:
        axes = self.axes(len(x.shape))
        constraints: tuple[Constraint, ...] = ()
        for axis in axes:
            met = same(x.shape[axis], 1)
            if met is None:
                raise ShapeError(
                    f"squeeze cannot take axis {axis} out of {shown(x.shape)}: its size is {x.shape[axis]}, not 1"
                )
            constraints += met[1]
        return Spec(tuple(dim for i, dim in enumerate(x.shape) if i not in axes), x.dtype, constraints)

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


# --- broadcasting and back ----------------------------------------------------------------------------------


class BroadcastTo(Rearranging):
    """x repeated along new leading axes, and along those of size 1, to this shape."""

    shape: AnyShape
    formula = "broadcast({0}, {shape})"

    def infer(self, x: Spec) -> Spec:
        constraints = _stretched(x.shape, self.shape)
        if constraints is None:
            raise ShapeError(
                f"broadcast_to cannot stretch {shown(x.shape)} to {shown(self.shape)}: "
                f"{_unstretched(x.shape, self.shape)}"
            )
        return Spec(self.shape, x.dtype, constraints)

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

    Summed are the leading axes that the shape lacks, and those where it says 1; a size that has a name was
    never repeated. Small integers and bools add up in 64 bits.
    """

    shape: AnyShape
    formula = "sum_to({0}, {shape})"
    equation = "[{0}] + …"

    def infer(self, x: Spec) -> Spec:
        constraints = _stretched(self.shape, x.shape)
        if constraints is None:
            raise ShapeError(
                f"sum_to: {shown(self.shape)} does not broadcast to {shown(x.shape)}: "
                f"{_unstretched(self.shape, x.shape)}"
            )
        return Spec(self.shape, accumulated(x.dtype), constraints)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        axes = self.over(x.shape)
        if not axes:
            return into(out, x.astype(accumulated(x.dtype), copy=False))
        total = rows.sums(x, axes[0]) if rows.is_product(x, axes) else np.sum(x, axis=axes, keepdims=True)
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

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return product(inputs[0].shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, small = _broadcast_pair(draw)
        return cls(small), (draw.array(shape),)


def _stretched(small: Shape, large: Shape) -> tuple[Constraint, ...] | None:
    """Return what must hold for `small` to broadcast to `large`, or None if it does not."""
    extra = len(large) - len(small)
    if extra < 0:
        return None
    constraints: tuple[Constraint, ...] = ()
    for mine, other in zip(small, large[extra:], strict=True):
        if mine == 1:
            continue
        met = same(mine, other)
        if met is None:
            return None
        constraints += met[1]
    return constraints


def _unstretched(small: Shape, large: Shape) -> str:
    """Return why `small` does not broadcast to `large`."""
    extra = len(large) - len(small)
    if extra < 0:
        return f"it has {len(small)} axes, which are more than {len(large)}"
    ends = zip(small, large[extra:], strict=True)
    axis = next(i for i, (mine, other) in enumerate(ends) if mine != 1 and same(mine, other) is None)
    return f"axis {axis} is {small[axis]}, and axis {axis + extra} is to be {large[axis + extra]}"


def _broadcast_pair(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw a shape, and one that broadcasts to it."""
    shape = draw.shape()
    small = tuple(draw.choice([dim, 1]) for dim in shape)
    return shape, small[draw.integer(0, len(shape)) :]


# --- joining and taking apart -------------------------------------------------------------------------------


class Concatenate(Rearranging):
    """The operands one after the other along an axis that they have; None flattens them first."""

    axis: int | None = 0
    formula = "concatenate(…, {axis})"

    def infer(self, *inputs: Spec) -> Spec:
        if not inputs:
            raise ShapeError("concatenate needs at least one operand")
        dtype = np.result_type(*[spec.dtype for spec in inputs])
        if self.axis is None:
            total: Dim = 0
            for spec in inputs:
                total = add(total, product(spec.shape))
            return Spec((total,), dtype)
        shapes = [spec.shape for spec in inputs]
        if any(len(shape) != len(shapes[0]) for shape in shapes):
            raise ShapeError(f"concatenate cannot join {_listed(shapes)}: the numbers of axes differ")
        if not shapes[0]:
            raise ShapeError("concatenate cannot join arrays without axes; stack does")
        axis = axis_of(self.name, self.axis, len(shapes[0]))
        result = list(shapes[0])
        constraints: tuple[Constraint, ...] = ()
        for shape in shapes[1:]:
            for i, dim in enumerate(shape):
                if i == axis:
                    result[i] = add(result[i], dim)
                    continue
                met = same(result[i], dim)
                if met is None:
                    beside = [(*shape[:axis], 1, *shape[axis + 1 :]) for shape in shapes]
                    raise ShapeError(
                        f"concatenate along axis {axis} cannot join {_listed(shapes)}: "
                        f"{clash_in_broadcasting(beside, stretches=False)}"
                    )
                result[i] = met[0]
                constraints += met[1]
        return Spec(tuple(result), dtype, constraints)

    def forward(self, *arrays: Array, out: Array | None = None) -> Any:
        return np.concatenate(arrays, self.axis, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        mine = inputs[i].shape
        axis = None if self.axis is None else axis_of(self.name, self.axis, len(mine))
        lengths = [product(x.shape) if axis is None else x.shape[axis] for x in inputs[: i + 1]]
        start: Dim = 0
        for length in lengths[:-1]:
            start = add(start, length)
        part = fn.getitem(cotangent, (slice(None),) * (axis or 0) + (slice(start, add(start, lengths[-1])),))
        return fn.reshape(part, mine) if axis is None and len(mine) != 1 else part

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        if draw.integer(0, 4) == 0:
            return cls(None), (draw.array(draw.shape()), draw.array(draw.shape()))
        shape = draw.shape(min_ndim=1)
        axis = draw.axis(len(shape))
        parts = []
        for _ in range(draw.integer(1, 3)):
            dims = list(shape)
            dims[axis] = draw.integer(0, 3)
            parts.append(draw.array(tuple(dims)))
        return cls(axis), tuple(parts)


class Stack(Rearranging):
    """The operands, which are of one shape, side by side along a new axis."""

    axis: int = 0
    formula = "stack(…, {axis})"

    def infer(self, *inputs: Spec) -> Spec:
        if not inputs:
            raise ShapeError("stack needs at least one operand")
        shapes = [spec.shape for spec in inputs]
        result = list(shapes[0])
        constraints: tuple[Constraint, ...] = ()
        for shape in shapes[1:]:
            for i, dim in enumerate(shape):
                met = same(result[i], dim) if len(shape) == len(result) else None
                if met is None:
                    raise ShapeError(
                        f"stack takes operands of one shape, got {_listed(shapes)}: "
                        f"{clash_in_broadcasting(shapes, stretches=False)}"
                    )
                result[i] = met[0]
                constraints += met[1]
        result.insert(axis_of(self.name, self.axis, len(result) + 1), len(inputs))
        return Spec(tuple(result), np.result_type(*[spec.dtype for spec in inputs]), constraints)

    def forward(self, *arrays: Array, out: Array | None = None) -> Any:
        return np.stack(arrays, self.axis, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.getitem(cotangent, (slice(None),) * axis_of(self.name, self.axis, output.ndim) + (i,))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        return cls(draw.axis(len(shape) + 1)), tuple(draw.array(shape) for _ in range(draw.integer(1, 3)))


def _listed(shapes: Sequence[Shape]) -> str:
    return " and ".join(shown(shape) for shape in shapes)


@composition
def split(x: Any, indices_or_sections: Annotated[Any, Either(Whole(), Several(Bound()))], axis: int = 0) -> list[Node]:
    """Return consecutive parts of x along an axis, as slices.

    Parameters
    ----------
    x : Node
    indices_or_sections : int or sequence of int
        A number of equal parts, or the places to cut at.
    axis : int

    Returns
    -------
    list of Node

    Raises
    ------
    ShapeError
        When the axis does not divide into so many equal parts.
    """
    axis = axis_of("split", axis, x.ndim)
    length: Dim = x.shape[axis]
    cuts: list[Dim]
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections < 1:
            raise ShapeError(f"split: the number of parts is 1 or more, not {sections}")
        part = floor_divide(length, sections)
        met = same(length, multiply(part, sections))
        if met is None:
            raise ShapeError(f"split: axis {axis} of {shown(x.shape)} does not divide into {sections} equal parts")
        if met[1]:
            # Of the same shape if the axis divides; its constraint is what checks that.
            x = fn.reshape(x, (*x.shape[:axis], multiply(part, sections), *x.shape[axis + 1 :]))
        cuts = [multiply(part, i) for i in range(1, sections)]
    else:
        cuts = list(indices_or_sections)
    ahead = (slice(None),) * axis
    bounds = zip([0, *cuts], [*cuts, None], strict=True)
    return [fn.getitem(x, (*ahead, slice(start, stop))) for start, stop in bounds]


# --- more of the same ---------------------------------------------------------------------------------------


class Pad(Op):
    """x with so many elements of a constant before and after it, axis by axis, as numpy.pad takes them."""

    pad_width: Annotated[Any, Either(_COUNT, Several(_COUNT), Several(Several(_COUNT)))]
    constant_values: Annotated[Any, Either(_NUMBER, Several(_NUMBER), Several(Several(_NUMBER)))] = 0
    formula = "pad({0}, {pad_width})"
    equation = ""

    def _pairs(self, ndim: int, setting: str = "pad_width") -> list[tuple[Any, Any]]:
        """Return what a setting says of each axis: before, and after."""
        value = getattr(self, setting)
        nested = isinstance(value, tuple) and any(isinstance(row, tuple) for row in value)
        rows: list[tuple[Any, ...]] = [
            row if isinstance(row, tuple) else (row,) for row in (value if nested else (value,))
        ]
        if len({len(row) for row in rows}) > 1:
            raise UsageError(f"pad: {setting} holds pairs that are all alike, or numbers, not {value}")
        if len(rows) not in (1, ndim) or any(len(row) not in (1, 2) for row in rows):
            raise ShapeError(f"pad: {setting} is one number, a pair, or a pair for each of {ndim} axes, not {value}")
        return [(row[0], row[-1]) for row in (rows * ndim if len(rows) == 1 else rows)]

    def infer(self, x: Spec) -> Spec:
        pairs = zip(x.shape, self._pairs(len(x.shape)), strict=True)
        self._pairs(len(x.shape), "constant_values")
        return Spec(tuple(add(dim, before + after) for dim, (before, after) in pairs), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        if not x.ndim:
            return into(out, x)  # nothing to pad; NumPy stumbles over it
        return into(out, np.pad(x, self._pairs(x.ndim), constant_values=self.constant_values))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        shape = inputs[0].shape
        pairs = zip(shape, self._pairs(len(shape)), strict=True)
        return fn.getitem(cotangent, tuple(slice(before, add(before, dim)) for dim, (before, _) in pairs))

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.pad(tangents[0], self.pad_width)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        (x,) = operands
        place = tuple(i - before for i, (before, _) in zip(index, self._pairs(x.ndim), strict=True))
        return (place if all(0 <= i < n for i, n in zip(place, x.shape, strict=True)) else None,)

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return 0

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(max_side=3))
        each = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in range(x.ndim))
        return cls(draw.choice([1, (0, 2), each or 0]), draw.choice([0, 1.5])), (x,)


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

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        return cls(draw.axes(x.ndim)), (x,)


class Repeat(Rearranging):
    """Each element, or each slice along the axis, so many times in a row; without an axis, of the flattened x."""

    repeats: Count
    axis: int | None = None
    formula = "repeat({0}, {repeats})"

    def infer(self, x: Spec) -> Spec:
        if self.axis is None:
            return Spec((multiply(product(x.shape), self.repeats),), x.dtype)
        axis = axis_of(self.name, self.axis, len(x.shape))
        longer = multiply(x.shape[axis], self.repeats)
        return Spec((*x.shape[:axis], longer, *x.shape[axis + 1 :]), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.repeat(x, self.repeats, self.axis))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        shape = inputs[0].shape
        after = len(shape) if self.axis is None else axis_of(self.name, self.axis, len(shape)) + 1
        return fn.sum(fn.reshape(cotangent, (*shape[:after], self.repeats, *shape[after:])), after)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(max_side=3))
        return cls(draw.integer(0, 3), draw.axis(x.ndim) if x.ndim and draw.integer(0, 1) else None), (x,)


class Tile(Rearranging):
    """x laid out so many times along each axis; more numbers than axes make new axes in front."""

    reps: Annotated[int | tuple[int, ...], Either(_COUNT, Several(_COUNT))]
    formula = "tile({0}, {reps})"

    def _reps(self, ndim: int) -> tuple[int, ...]:
        reps = self.reps if isinstance(self.reps, tuple) else (self.reps,)
        return (1,) * (ndim - len(reps)) + reps

    def infer(self, x: Spec) -> Spec:
        reps = self._reps(len(x.shape))
        shape: Shape = (1,) * (len(reps) - len(x.shape)) + x.shape
        return Spec(tuple(multiply(dim, rep) for dim, rep in zip(shape, reps, strict=True)), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.tile(x, self.reps))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        shape = inputs[0].shape
        reps = self._reps(len(shape))
        new = len(reps) - len(shape)
        # Each axis as (times, size); the sum over the times is what is left.
        pairs: list[Dim] = list(reps[:new])
        for rep, dim in zip(reps[new:], shape, strict=True):
            pairs += [rep, dim]
        return fn.sum(fn.reshape(cotangent, tuple(pairs)), (*range(new), *range(new, len(pairs), 2)))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(max_side=3))
        reps = tuple(draw.integer(0, 2) for _ in range(draw.integer(0, 3)))
        return cls(draw.choice([2, reps])), (x,)


# --- out of nothing -----------------------------------------------------------------------------------------


class Zeros(Op):
    """Zeros of this shape."""

    shape: AnyShape
    dtype: DType = "float64"
    formula = "0"

    def infer(self) -> Spec:
        return Spec(self.shape, np.dtype(self.dtype))

    def forward(self, out: Array | None = None) -> Any:
        if out is None:
            return np.zeros(self.shape, self.dtype)
        out[...] = 0
        return out

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return 0

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

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return 0

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.integer(0, 4), draw.choice(["float64", "float32", "int64"])), ()


@composition
def zeros_like(x: Any, *, name: str | None = None) -> Node:
    """Return zeros of the shape and dtype of x."""
    return fn.zeros(x.shape, x.dtype, name=name, graph=x.graph)


@composition
def ones_like(x: Any, *, name: str | None = None) -> Node:
    """Return ones of the shape and dtype of x."""
    return fn.broadcast_to(x.graph.constant(np.ones((), x.dtype)), x.shape, name=name)
