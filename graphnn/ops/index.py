"""Operations that pick elements by place, and their adjoints that put them back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AxisError, DtypeError, LabelError, ShapeError, UsageError, ValueRangeError
from ..graph import AnyShape, Array, Dim, DType, Index, Node, Op, Shape, Spec, composition, fn
from ..graph.dimensions import (
    Constraint,
    add,
    broadcast,
    clamp,
    floor_divide,
    minimum,
    multiply,
    product,
    same,
    shown,
    subtract,
)
from .base import Linear, Rearranging, axis_of, into, unbroadcast

# --- slices -------------------------------------------------------------------------------------------------


def _edge(bound: Dim | None, n: Dim, default: Dim, shift: int) -> tuple[Dim, bool, bool]:
    """Return where a slice's bound lies between the elements, and whether that may be below 0, above n.

    Of a negative step, `shift` is 1: the edge lies after the element that the bound names.
    """
    if bound is None:
        return default, False, False
    if isinstance(bound, int):
        return (add(n, bound + shift), True, False) if bound < 0 else (bound + shift, False, True)
    below = clamp(subtract(0, bound))
    if below == 0:
        return add(bound, shift), False, True
    # 1 where the bound is negative, else 0: max(-b, 0) - max(-b-1, 0).
    negative = subtract(below, clamp(subtract(subtract(0, bound), 1)))
    return add(add(bound, shift), multiply(n, negative)), True, True


def slice_length(start: Dim | None, stop: Dim | None, step: int | None, n: Dim) -> Dim:
    """Return ``len(range(*slice(start, stop, step).indices(n)))``, where all but the step may be symbolic.

    Parameters
    ----------
    start, stop : int, str or None
    step : int or None
    n : int or str

    Returns
    -------
    int or str

    Examples
    --------
    >>> slice_length(1, None, None, "batch"), slice_length(None, 3, None, "batch")
    ('max(batch-1, 0)', 'batch-max(batch-3, 0)')
    """
    step = 1 if step is None else step
    if isinstance(n, int) and not isinstance(start, str) and not isinstance(stop, str):
        return len(range(*slice(start, stop, step).indices(n)))
    if step < 0:
        # The same elements, counted from the other end.
        start, stop, shift = stop, start, 1
    else:
        shift = 0
    if stop is None and isinstance(start, int) and start + shift < 0:
        count = minimum(n, -start - shift)  # the last so many
    else:
        low, low_below, _ = _edge(start, n, 0, shift)
        if low_below:
            low = clamp(low)
        high, high_below, high_above = _edge(stop, n, n, shift)
        if high_above:
            high = minimum(n, high)
        # A lower edge above n, or an upper one below 0, leaves less than nothing, and so nothing.
        count = subtract(high, low)
        if low != 0 or high_below:
            count = clamp(count)
    return floor_divide(add(count, abs(step) - 1), abs(step))


def _no_index(part: Any) -> UsageError:
    kind = "a node" if isinstance(part, Node) else type(part).__name__
    return UsageError(
        f"getitem: an index is made of ints, slices, ... and None, not of {kind}: gn.take(x, indices, axis) "
        "takes whole rows, gn.take_along_axis(x, indices, axis) one element each, "
        "gn.where(condition, a, b) chooses by a mask"
    )


def _numpy_index(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(slice(*p) if isinstance(p, tuple) else Ellipsis if p == "..." else p for p in index)


def _indexed(index: tuple[Any, ...], shape: Shape) -> Shape:
    """Return the shape that indexing gives."""
    taking = [part for part in index if part is not None and part != "..."]
    if index.count("...") > 1:
        raise AxisError("getitem: an index has at most one ellipsis (...)")
    if len(taking) > len(shape):
        raise AxisError(f"getitem: {len(taking)} indices are too many for shape {shown(shape)}")
    rest = len(shape) - len(taking)
    parts = list(index) if "..." in index else [*index, "..."]
    result: list[Dim] = []
    axis = 0
    for part in parts:
        if part is None:
            result.append(1)
        elif part == "...":
            result += shape[axis : axis + rest]
            axis += rest
        else:
            n = shape[axis]
            if isinstance(part, tuple):
                result.append(_checked_length(part, n))
            elif isinstance(part, int) and isinstance(n, int) and not -n <= part < n:
                valid = f"valid are {-n} to {n - 1}" if n else "it has no elements"
                raise AxisError(f"getitem: index {part} is out of range for axis {axis} of size {n}: {valid}")
            axis += 1
    return tuple(result)


def _checked_length(part: tuple[Any, ...], n: Dim) -> Dim:
    start, stop, step = part
    if step == 0:
        raise ValueRangeError("getitem: the step of a slice cannot be 0")
    return slice_length(start, stop, step, n)


class Getitem(Rearranging):
    """x[index], of ints, slices, ellipsis and None.

    An int out of range is an IndexError: when the line is written if the size is known then, else in a run.
    """

    index: Index
    formula = "{0}[{index}]"

    def infer(self, x: Spec) -> Spec:
        return Spec(_indexed(self.index, x.shape), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, x[_numpy_index(self.index)])

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.slice_add(cotangent, self.index, inputs[0].shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape())
        return cls(_drawn_index(draw, x.shape)), (x,)


@composition
def getitem(x: Any, index: Any, *, name: str | None = None) -> Node:
    """Return x[index].

    Parameters
    ----------
    x : Node
    index : int, slice, Ellipsis, None, or tuple of them
        The bounds of a slice may be dimensions: ``x[:, "batch" : "2*batch"]``.

    Raises
    ------
    AxisError
        When an int is out of range, or there are more of them than axes.
    UsageError
        When it is a list, an array, a bool or a node: take, take_along_axis and where do that.
    """
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, (tuple, list, np.ndarray)):
            raise _no_index(part)
    return Getitem(index)(x, name=name)


class SliceAdd(Rearranging):
    """Zeros of this shape, with x put where the index points: the adjoint of indexing."""

    index: Index
    shape: AnyShape
    formula = "zeros with {0} at [{index}]"

    def infer(self, x: Spec) -> Spec:
        return Spec(self.shape, x.dtype, _equal(self.name, x.shape, _indexed(self.index, self.shape)))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        result = _cleared(out, self.shape, x.dtype)
        result[_numpy_index(self.index)] = x
        return result

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return Getitem(self.index)(cotangent)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        index = _drawn_index(draw, shape)
        return cls(index, shape), (draw.array(np.empty(shape)[index].shape),)


def _drawn_index(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    parts: list[Any] = []
    for n in shape[: draw.integer(0, len(shape))]:
        if n and draw.integer(0, 2) == 0:
            parts.append(draw.axis(n))
        else:
            start, stop = (draw.choice([None, draw.integer(-5, 5)]) for _ in range(2))
            parts.append(slice(start, stop, draw.choice([None, 1, 2, -1, -3])))
        if draw.integer(0, 4) == 0:
            parts.append(None)
    return (*parts, ...) if draw.integer(0, 1) else tuple(parts)


def _cleared(out: Array | None, shape: Any, dtype: np.dtype[Any]) -> Array:
    if out is None:
        return np.zeros(shape, dtype)
    out[...] = 0
    return out


def _equal(name: str, given: Shape, wanted: Shape) -> tuple[Constraint, ...]:
    """Return what must hold for two shapes to be one."""
    constraints: tuple[Constraint, ...] = ()
    met = [same(a, b) for a, b in zip(given, wanted, strict=False)]
    for pair in met:
        if pair is None or len(given) != len(wanted):
            break
        constraints += pair[1]
    else:
        if len(given) == len(wanted):
            return constraints
    raise ShapeError(f"{name} takes values of shape {shown(wanted)} here, got {shown(given)}")


# --- by indices ---------------------------------------------------------------------------------------------


def _integers(name: str, spec: Spec, what: str = "indices") -> None:
    if spec.dtype.kind not in "iu":
        raise DtypeError(f"{name}: {what} are integers, not {spec.dtype}; gn.cast(x, 'int64') makes them so")


def _places(name: str, indices: Array, n: int) -> Array:
    """Return indices that lie within an axis of n elements, as NumPy's own integers."""
    if indices.size and (int(indices.min()) < -n or int(indices.max()) >= n):
        where = np.argwhere((indices < -n) | (indices >= n))[0]
        value, at = indices[tuple(where)], shown(where.tolist())
        valid = f"valid are {-n} to {n - 1}" if n else "it has no elements"
        raise AxisError(
            f"{name}: index {value}, at {at} of the indices, is out of range for an axis of size {n}: {valid}"
        )
    return indices.astype(np.intp, copy=False)


def _pointing(indices: Array, place: int, n: int) -> Array:
    """Return which of the indices into an axis of n elements mean the one at this place."""
    return np.asarray(indices.astype(np.intp) % n == place)


class Take(Rearranging):
    """The elements, or the slices along the axis, at these indices; without an axis, of the flattened x.

    Negative indices count from the end; one out of range is an IndexError.
    """

    axis: int | None = None
    formula = "{0}[{1}]"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        _integers(self.name, indices)
        if self.axis is None:
            return Spec(indices.shape, x.dtype)
        axis = axis_of(self.name, self.axis, len(x.shape))
        return Spec((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        places = _places(self.name, indices, x.size if self.axis is None else x.shape[self.axis])
        return into(out, np.take(x, places, self.axis))

    def flows(self, i: int) -> bool:
        return i == 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.index_add(cotangent, inputs[1], inputs[0].shape, self.axis)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, indices = operands
        if self.axis is None:
            return np.unravel_index(int(indices[index]) % x.size, x.shape), index
        axis = axis_of(self.name, self.axis, x.ndim)
        at, after = index[axis:][: indices.ndim], index[axis + indices.ndim :]
        return (*index[:axis], int(indices[at]), *after), at

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, axis, n = _drawn_axis(draw)
        return cls(axis), (draw.array(shape), draw.integers(draw.shape(max_ndim=2), -n, n - 1))


class IndexAdd(Linear):
    """Zeros of this shape, with x added at these indices, as often as they occur: the adjoint of take."""

    shape: AnyShape
    axis: int | None = None
    formula = "zeros with {0} added at {1}"
    equation = "[{0}] + …"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        _integers(self.name, indices)
        wanted = indices.shape
        if self.axis is not None:
            axis = axis_of(self.name, self.axis, len(self.shape))
            wanted = (*self.shape[:axis], *wanted, *self.shape[axis + 1 :])
        return Spec(self.shape, x.dtype, _equal(self.name, x.shape, wanted))

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        result = np.zeros(self.shape, x.dtype)
        if self.axis is None:
            np.add.at(result.reshape(-1), _places(self.name, indices, result.size), x)
        else:
            axis = self.axis % result.ndim
            places = _places(self.name, indices, result.shape[axis])
            where: Any = (slice(None),) * axis + (places,)
            np.add.at(result, where, x)
        return into(out, result)

    def flows(self, i: int) -> bool:
        return i == 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.take(cotangent, inputs[1], self.axis)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        indices = operands[1]
        if self.axis is None:
            place = int(np.ravel_multi_index(index, self.shape))
            return (_pointing(indices, place, math.prod(self.shape)),), ...
        axis = axis_of(self.name, self.axis, len(self.shape))
        return (*index[:axis], _pointing(indices, index[axis], self.shape[axis]), *index[axis + 1 :]), ...

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return product(inputs[0].shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, axis, n = _drawn_axis(draw)
        indices = draw.integers(draw.shape(max_ndim=2), -n, n - 1)
        return cls(shape, axis), (draw.array(np.take(np.empty(shape), indices, axis).shape), indices)


def _drawn_axis(draw: Any) -> tuple[tuple[int, ...], int | None, int]:
    """Draw a shape, an axis of it or None, and how many elements there are to index."""
    shape = draw.shape(min_side=1)
    axis = draw.axis(len(shape)) if shape and draw.integer(0, 2) else None
    return shape, axis, int(np.prod(shape)) if axis is None else shape[axis]


def _along(name: str, shape: tuple[int, ...], indices: Array, axis: int) -> tuple[Array, ...]:
    """Return an index into an array of this shape: `indices` along the axis, each element's own place elsewhere."""
    places: list[Array] = []
    for i, n in enumerate(shape):
        if i == axis:
            places.append(_places(name, indices, n))
        else:
            places.append(np.arange(n).reshape([-1 if k == i else 1 for k in range(len(shape))]))
    return tuple(places)


def _along_shape(name: str, shape: Shape, indices: Spec, axis: int | None) -> tuple[Shape, tuple[Constraint, ...]]:
    """Return the shape of what lies along the axis at the indices, and what must hold for it."""
    _integers(name, indices)
    if axis is None:
        if len(indices.shape) != 1:
            raise ShapeError(f"{name} without an axis takes indices of one axis, got {shown(indices.shape)}")
        return indices.shape, ()
    axis = axis_of(name, axis, len(shape))
    if len(indices.shape) != len(shape):
        raise ShapeError(
            f"{name} takes indices of as many axes as the array has, got {shown(indices.shape)} for {shown(shape)}"
        )
    met = broadcast([(*shape[:axis], 1, *shape[axis + 1 :]), indices.shape])
    if met is None:
        raise ShapeError(
            f"{name}: indices of shape {shown(indices.shape)} do not broadcast with {shown(shape)} beside axis {axis}"
        )
    return met


class TakeAlongAxis(Rearranging):
    """The elements of x at these indices along the axis; on the other axes x and the indices broadcast.

    Negative indices count from the end; one out of range is an IndexError.
    """

    axis: int | None = -1
    formula = "{0}[{1}] along {axis}"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        shape, constraints = _along_shape(self.name, x.shape, indices, self.axis)
        return Spec(shape, x.dtype, constraints)

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        if self.axis is None:
            return into(out, x.reshape(-1)[_places(self.name, indices, x.size)])
        return into(out, x[_along(self.name, x.shape, indices, self.axis % x.ndim)])

    def flows(self, i: int) -> bool:
        return i == 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.add_along_axis(cotangent, inputs[1], inputs[0].shape, self.axis)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, indices = operands
        at = unbroadcast(index, indices.shape)
        if self.axis is None:
            return np.unravel_index(int(indices[at]) % x.size, x.shape), at
        place = list(index)
        place[self.axis] = int(indices[at])
        return unbroadcast(tuple(place), x.shape), at

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, axis, indices, _ = _drawn_along(draw)
        return cls(axis), (draw.array(shape), indices)


class AddAlongAxis(Linear):
    """Zeros of this shape, with x added at these indices along the axis: the adjoint of take_along_axis."""

    shape: AnyShape
    axis: int | None = -1
    formula = "zeros with {0} added at {1} along {axis}"
    equation = "[{0}] + …"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        wanted, constraints = _along_shape(self.name, self.shape, indices, self.axis)
        return Spec(self.shape, x.dtype, constraints + _equal(self.name, x.shape, wanted))

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        result = np.zeros(self.shape, x.dtype)
        if self.axis is None:
            np.add.at(result.reshape(-1), _places(self.name, indices, result.size), x)
        else:
            np.add.at(result, _along(self.name, result.shape, indices, self.axis % result.ndim), x)
        return into(out, result)

    def flows(self, i: int) -> bool:
        return i == 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.take_along_axis(cotangent, inputs[1], self.axis)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        indices = operands[1]
        if self.axis is None:
            place = int(np.ravel_multi_index(index, self.shape))
            return (_pointing(indices, place, math.prod(self.shape)),), ...
        axis = axis_of(self.name, self.axis, len(self.shape))
        beside = unbroadcast(index[:axis] + index[axis + 1 :], indices.shape[:axis] + indices.shape[axis + 1 :])
        line: Any = (*beside[:axis], slice(None), *beside[axis:])
        return (*index[:axis], _pointing(indices[line], index[axis], self.shape[axis]), *index[axis + 1 :]), line

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return product(inputs[0].shape)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, axis, indices, result = _drawn_along(draw)
        return cls(shape, axis), (draw.array(result), indices)


def _drawn_along(draw: Any) -> tuple[tuple[int, ...], int | None, Array, tuple[int, ...]]:
    """Draw a shape, an axis or None, indices along it, and the shape of what they take."""
    shape = draw.shape(min_ndim=1, min_side=1)
    count = draw.integer(0, 3)
    if draw.integer(0, 4) == 0:
        total = int(np.prod(shape))
        return shape, None, draw.integers((count,), -total, total - 1), (count,)
    axis = draw.axis(len(shape))
    place = axis % len(shape)
    index = tuple(count if i == place else draw.choice([n, 1]) for i, n in enumerate(shape))
    indices = draw.integers(index, -shape[axis], shape[axis] - 1)
    return shape, axis, indices, (*shape[:place], count, *shape[place + 1 :])


# --- by labels ----------------------------------------------------------------------------------------------


def codes_of(name: str, labels: Array, classes: int) -> Array:
    """Return labels, from 0 to below the number of classes, as NumPy's own integers."""
    wide = labels.astype(np.int64 if labels.dtype.kind == "i" else np.uint64, copy=False)
    # Seen as unsigned, a negative label is larger than any number of classes.
    if wide.size and int(wide.view(np.uint64).max()) >= classes:
        where = np.argwhere(wide.view(np.uint64) >= classes)[0]
        value, at = labels[tuple(where)], shown(where.tolist())
        wrong = "is below 0" if value < 0 else f"is not below the number of classes, {classes}"
        raise LabelError(f"{name}: label {value} at index {at} {wrong}")
    return wide.view(np.int64).astype(np.intp, copy=False)


class OneHot(Op):
    """A row for each label, with 1 at its place and 0 elsewhere; passes no gradient.

    A label below 0, or not below the depth, is an IndexError.
    """

    depth: Dim
    dtype: DType = "float64"
    differentiable = False
    formula = "one_hot({0}, {depth})"

    def infer(self, labels: Spec) -> Spec:
        _integers(self.name, labels, "labels")
        return Spec((*labels.shape, self.depth), np.dtype(self.dtype))

    def forward(self, labels: Array, out: Array | None = None) -> Any:
        depth = int(self.depth)
        return into(out, _put(codes_of(self.name, labels, depth), 1, depth, np.dtype(self.dtype)))

    def flows(self, i: int) -> bool:
        return False

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        return (index[:-1],)

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return 0

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        depth = draw.integer(1, 4)
        labels = draw.integers(draw.shape(), 0, depth - 1)
        return cls(depth, draw.choice(["float64", "float32", "int64"])), (labels,)


def _put(codes: Array, values: Any, classes: int, dtype: np.dtype[Any]) -> Array:
    """Return rows of zeros, one for each code, with the value at its place."""
    result = np.zeros((*codes.shape, classes), dtype)
    result.reshape(-1)[_flat(codes, classes)] = values
    return result


def _flat(codes: Array, classes: int) -> Array:
    places: Array = np.arange(codes.size) * classes
    places += codes.reshape(-1)
    return places


class Pick(Rearranging):
    """One element of each row of x, at the place that the row's label names.

    The labels are integers, of the shape of x without its last axis; one below 0, or not below the number of
    classes, is an IndexError.
    """

    formula = "{0}[…, {1}]"
    equation = "element {1} of {row}"

    def infer(self, x: Spec, labels: Spec) -> Spec:
        _integers(self.name, labels, "labels")
        if not x.shape:
            raise ShapeError("pick takes rows of classes, got a number without axes")
        shape = x.shape[:-1]
        met = [same(a, b) for a, b in zip(shape, labels.shape, strict=False)]
        if len(shape) != len(labels.shape) or None in met:
            raise ShapeError(
                f"pick takes labels of shape {shown(shape)}, one axis fewer than {shown(x.shape)}, "
                f"got {shown(labels.shape)}"
            )
        pairs = [pair for pair in met if pair is not None]
        return Spec(tuple(dim for dim, _ in pairs), x.dtype, sum((found for _, found in pairs), ()))

    def forward(self, x: Array, labels: Array, out: Array | None = None) -> Any:
        codes = codes_of(self.name, labels, x.shape[-1])
        return into(out, x.reshape(-1).take(_flat(codes, x.shape[-1])).reshape(labels.shape))

    def flows(self, i: int) -> bool:
        return i == 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.place(cotangent, inputs[1], inputs[0].shape[-1])

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        return (*index, int(operands[1][index])), index

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape(max_ndim=2)
        classes = draw.integer(1, 4)
        return cls(), (draw.array((*shape, classes)), draw.integers(shape, 0, classes - 1))


class Place(Rearranging):
    """A row of zeros for each element of x, which stands at the place of its label: the adjoint of pick."""

    classes: Dim
    formula = "zeros with {0} at {1}"

    def infer(self, x: Spec, labels: Spec) -> Spec:
        _integers(self.name, labels, "labels")
        constraints = _equal(self.name, x.shape, labels.shape)
        return Spec((*x.shape, self.classes), x.dtype, constraints)

    def forward(self, x: Array, labels: Array, out: Array | None = None) -> Any:
        classes = int(self.classes)
        return into(out, _put(codes_of(self.name, labels, classes), x.reshape(-1), classes, x.dtype))

    def flows(self, i: int) -> bool:
        return i == 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.pick(cotangent, inputs[1])

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        row = index[:-1]
        return row if operands[1][row] == index[-1] else None, row

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        classes = draw.integer(1, 4)
        return cls(classes), (draw.array(shape), draw.integers(shape, 0, classes - 1))
