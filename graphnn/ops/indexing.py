"""Operations that take elements by index, and their adjoints, which put them back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from .._util.source_location import users_names
from .._util.text import short_repr
from ..core import AnyShape, Array, Dim, Index, Node, Op, Several, Shape, Spec, Trait, composition, fn
from ..core.attributes import IndexOf
from ..core.symbolic_shapes import Constraint, add, broadcast, clamp, floor_divide, minimum, multiply, shown, subtract
from ..errors import AxisError, DtypeError, ShapeError, UsageError, ValueRangeError
from .base import (
    Linear,
    Rearranging,
    axis_of,
    check_shape,
    cleared,
    flops_of_operand,
    flows_through_first,
    into,
    no_flops,
    unbroadcast,
    valid_for,
)
from .scatter_kernels import accumulate, accumulate_slices

# --- slices -------------------------------------------------------------------------------------------------


def _edge(bound: Dim | None, n: Dim, default: Dim, shift: int) -> tuple[Dim, bool, bool]:
    """Return where a slice's bound lies between the elements, and whether that may be below 0, and above n.

    For a negative step, `shift` is 1: the edge lies after the element at the bound.
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
        # A lower edge above n, or an upper one below 0, gives a negative count, which means no elements.
        count = subtract(high, low)
        if low != 0 or high_below:
            count = clamp(count)
    return floor_divide(add(count, abs(step) - 1), abs(step))


def numpy_index(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the index that NumPy takes."""
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
                start, stop, step = part
                if step == 0:
                    raise ValueRangeError("getitem: the step of a slice cannot be 0")
                result.append(slice_length(start, stop, step, n))
            elif isinstance(part, int) and isinstance(n, int) and not -n <= part < n:
                raise AxisError(f"getitem: index {part} is out of range for axis {axis} of size {n}: {valid_for(n)}")
            axis += 1
    return tuple(result)


def _backwards(index: tuple[Any, ...], ndim: int, whole: bool) -> list[int]:
    """Return the axes that a slice goes along backwards: of the `whole` array that is indexed, or of what comes out."""
    parts = [part for part in index if part is not None or not whole]
    parts = [part for part in parts if part is None or part == "..." or isinstance(part, tuple) or whole]
    found, axis = [], 0
    for part in parts:
        if isinstance(part, tuple) and part[2] is not None and part[2] < 0:
            found.append(axis)
        axis += ndim - len(parts) + 1 if part == "..." else 1
    return found


class Getitem(Rearranging):
    """x[index], of ints, slices, ellipsis and None.

    An int out of range is an IndexError: when the line is written if the size is known then, else in a run.
    """

    traits = Trait.CHOOSES | Trait.HIDES

    index: Index
    formula = "{0}[{index}]"

    def infer(self, x: Spec) -> Spec:
        return Spec(_indexed(self.index, x.shape), x.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, x[numpy_index(self.index)])

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.slice_add(cotangent, self.index, inputs[0].shape)

    def reorders(self, ndim: int) -> Sequence[int]:
        return _backwards(self.index, ndim, whole=False)

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
        When it is a list, an array, a bool or a node: pick, take, gather_nd and where do that.
    """
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        if isinstance(part, _SEVERAL):
            raise UsageError(
                f"getitem: an index is made of ints, slices, ... and None, not of {type(part).__name__}"
                f"{_instead(x, parts)}"
            )
    return Getitem(index)(x, name=name)


_SEVERAL = (tuple, list, range, np.ndarray, Node)
"""What NumPy takes as several indices at once."""


def _instead(x: Node, parts: tuple[Any, ...]) -> str:
    """Return what to write for NumPy's ``x[parts]``, where some parts are several indices."""
    places = [place for place, part in enumerate(parts) if isinstance(part, _SEVERAL)]
    several = [parts[place] for place in places]
    written = [short_repr(part) if isinstance(part, (list, range)) else f"i{n}" for n, part in enumerate(several)]
    called, *names = users_names([x, *several], ["x", *written])
    kinds = [part.dtype.kind if isinstance(part, Node) else np.asarray(part).dtype.kind for part in several]
    whole = all(part is ... or part == slice(None) for place, part in enumerate(parts) if place not in places)
    if kinds == ["b"]:
        mask = "condition" if names == ["i0"] else names[0]
        return f". Write gn.where({mask}, {called}, 0), which has the shape of {called}: no shape depends on values"
    if whole and len(several) == 1:
        axis = places[0] - len(parts) * (... in parts[: places[0]])
        return f". Write gn.take({called}, {names[0]}, axis={axis})"
    if whole and places == [0, 1] and x.ndim == 2 and _are_rows(several[0], several[1], x):
        return f". Write gn.pick({called}, {names[1]}), one element of each row"
    if whole and places == list(range(len(places))) and "b" not in kinds:
        stack = "gn" if any(isinstance(part, Node) for part in several) else "np"
        return f". Write gn.gather_nd({called}, {stack}.stack([{', '.join(names)}], axis=-1))"
    return (
        ": gn.take(x, indices, axis) takes whole rows, gn.pick(x, labels) one element of each row, "
        "gn.gather_nd(x, indices) the elements at several indices, gn.where(condition, a, b) chooses by a mask"
    )


def _are_rows(part: Any, labels: Any, x: Node) -> bool:
    """Return whether indices count the rows of a matrix, 0, 1, 2, …, beside as many labels."""
    if isinstance(part, Node):
        return part.op.name == "arange" and (part.op.attributes["start"], part.op.attributes["step"]) == (0, 1)
    if isinstance(part, (list, tuple)) and not isinstance(labels, Node) and x.shape[0] != len(part):
        return False  # some rows, written out
    found = np.asarray(part)
    fits = x.shape[0] == len(found) if isinstance(x.shape[0], int) else True
    return found.ndim == 1 and fits and np.array_equal(found, np.arange(len(found)))


class SliceAdd(Rearranging):
    """Zeros of this shape, with x put where the index points: the adjoint of indexing."""

    index: Index
    shape: AnyShape
    formula = "zeros with {0} at [{index}]"

    def infer(self, x: Spec) -> Spec:
        return Spec(self.shape, x.dtype, check_shape(self.name, x.shape, _indexed(self.index, self.shape)))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        result = cleared(out, self.shape, x.dtype)
        result[numpy_index(self.index)] = x
        return result

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return Getitem(self.index)(cotangent)

    def reorders(self, ndim: int) -> Sequence[int]:
        return _backwards(self.index, ndim, whole=True)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape()
        index = _drawn_index(draw, shape)
        return cls(index, shape), (draw.array(np.empty(shape)[index].shape),)


class SlicesAdd(Linear):
    """Zeros of this shape, with each operand added where its index points: the gradient of many slices at once."""

    indices: Annotated[tuple[Any, ...], Several(IndexOf())]
    shape: AnyShape
    formula = "zeros with … at {indices}"

    def infer(self, *inputs: Spec) -> Spec:
        if not inputs or len(inputs) != len(self.indices):
            raise ShapeError(f"slices_add takes an operand for each index, got {len(inputs)} for {len(self.indices)}")
        constraints: tuple[Constraint, ...] = ()
        for x, index in zip(inputs, self.indices, strict=True):
            constraints += check_shape(self.name, x.shape, _indexed(index, self.shape))
        return Spec(self.shape, np.result_type(*[x.dtype for x in inputs]), constraints)

    @cached_property
    def element_formula(self) -> str:
        return self.formula if self.dimension_names or self.overlaps else ""

    @cached_property
    def overlaps(self) -> bool:
        """Whether two of the indices point to one element."""
        count = np.zeros(self.shape, np.int32)
        for index in self.indices:
            count[numpy_index(index)] += 1
        return bool(np.max(count, initial=0) > 1)

    def forward(self, *arrays: Array, out: Array | None = None) -> Any:
        result = cleared(out, self.shape, np.result_type(*arrays))
        for x, index in zip(arrays, self.indices, strict=True):
            if self.overlaps:
                result[numpy_index(index)] += x
            else:
                result[numpy_index(index)] = x
        return result

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return Getitem(self.indices[i])(cotangent)

    def reorders(self, ndim: int) -> Sequence[int]:
        return [axis for index in self.indices for axis in _backwards(index, ndim, whole=True)]

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        return [_source(part, index, self.shape) for part in self.indices]

    flops = no_flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape(min_ndim=1)
        if draw.integer(0, 1):
            indices = [_drawn_index(draw, shape) for _ in range(draw.integer(1, 3))]
        else:
            indices = [(i,) for i in range(shape[0])] or [(slice(0),)]
        return cls(tuple(indices), shape), tuple(draw.array(np.empty(shape)[index].shape) for index in indices)


def _source(parts: tuple[Any, ...], index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the index, in what slicing an array of a shape gives, of one of the array's elements; None if outside."""
    rest = len(shape) - sum(part is not None and part != "..." for part in parts)
    whole = [(None, None, None)] * rest
    at = parts.index("...") if "..." in parts else len(parts)
    places: list[int] = []
    axis = 0
    for part in (*parts[:at], *whole, *parts[at + 1 :]):
        if part is None:
            places.append(0)
            continue
        taken = range(shape[axis])[slice(*part) if isinstance(part, tuple) else slice(part, part + 1 or None)]
        if index[axis] not in taken:
            return None
        if isinstance(part, tuple):
            places.append(taken.index(index[axis]))
        axis += 1
    return tuple(places)


def slices_put_back(x: Node, slices: Sequence[Node], parts: Sequence[Node]) -> Node:
    """Return the cotangent of an array, of those of some slices of it."""
    if len(slices) == 1:
        return slices[0].op.vjp(0, parts[0], slices[0], (x,))
    return SlicesAdd(tuple(node.op.attributes["index"] for node in slices), x.shape)(*parts)


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


# --- by indices ---------------------------------------------------------------------------------------------


def check_integers(name: str, spec: Spec, what: str = "indices") -> None:
    """Raise an error unless an operand holds integers."""
    if spec.dtype.kind not in "iu":
        raise DtypeError(f"{name}: {what} are integers, not {spec.dtype}; gn.cast(x, 'int64') makes them so")


def places_of(name: str, indices: Array, n: int) -> Array:
    """Check that indices are within an axis of n elements, and return them as NumPy's own integers, in a new array.

    What is checked is what is returned. NumPy looks at indices twice, too, and so at nothing that others may write to.
    """
    indices = np.array(indices)
    if indices.size and (int(indices.min()) < -n or int(indices.max()) >= n):
        where = np.argwhere((indices < -n) | (indices >= n))[0]
        value, at = indices[tuple(where)], shown(where.tolist())
        raise AxisError(
            f"{name}: index {value}, at {at} of the indices, is out of range for an axis of size {n}: {valid_for(n)}"
        )
    return indices.astype(np.intp, copy=False)


def points_to(indices: Array, place: int, n: int) -> Array:
    """Return where the indices into an axis of n elements are equal to `place`."""
    return np.asarray(indices.astype(np.intp) % n == place)


def _taken(name: str, shape: Shape, indices: Spec, axis: int | None) -> Shape:
    """Return the shape of what `take` gives."""
    check_integers(name, indices)
    if axis is None:
        return indices.shape
    axis = axis_of(name, axis, len(shape))
    return (*shape[:axis], *indices.shape, *shape[axis + 1 :])


class Adding(Linear, abstract=True):
    """Base of the adjoints of taking by indices: zeros of a shape, to which x is added at the indices."""

    shape: AnyShape
    axis: int | None = None
    equation = "[{0}] + …"

    def add(self, target: Array, axis: int, indices: Array, x: Array) -> None:
        """Add x to an array at the indices along an axis."""
        raise NotImplementedError

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        """Add; without an axis, to the flattened zeros."""
        result = np.zeros(self.shape, x.dtype)
        target = result.reshape(-1) if self.axis is None else result
        self.add(target, axis_of(self.name, self.axis or 0, target.ndim), indices, x)
        return into(out, result)

    flows = flows_through_first
    flops = flops_of_operand

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        """Return that the indices are positions along the axis."""
        return () if self.axis is None else ((1, -1, self.axis % ndims[-1]),)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the indices that are those of the element, and what is added to it at them."""
        if self.axis is None:
            place = int(np.ravel_multi_index(index, self.shape))
            return (points_to(operands[1], place, math.prod(self.shape)),), ...
        axis = axis_of(self.name, self.axis, len(self.shape))
        line = self.line(index, operands[1].shape, axis)
        pointing = points_to(operands[1][line], index[axis], self.shape[axis])
        return (*index[:axis], pointing, *index[axis + 1 :]), line

    def line(self, index: tuple[int, ...], shape: tuple[int, ...], axis: int) -> Any:
        """Return which of the indices may be those of the element: by default all."""
        return ...


class Take(Rearranging):
    """The elements, or the slices along the axis, at these indices; without an axis, of the flattened x.

    Negative indices count from the end; one out of range is an IndexError.
    """

    axis: int | None = None
    formula = "{0}[{1}]"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        return Spec(_taken(self.name, x.shape, indices, self.axis), x.dtype)

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        places = places_of(self.name, indices, x.size if self.axis is None else x.shape[self.axis])
        return into(out, np.take(x, places, self.axis))

    flows = flows_through_first

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return () if self.axis is None else ((1, 0, self.axis % ndims[0]),)

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


class IndexAdd(Adding):
    """Zeros of this shape, with x added at these indices, as often as they occur: the adjoint of take."""

    traits = Trait.WRAPS
    formula = "zeros with {0} added at {1}"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        wanted = _taken(self.name, self.shape, indices, self.axis)
        return Spec(self.shape, x.dtype, check_shape(self.name, x.shape, wanted))

    def add(self, target: Array, axis: int, indices: Array, x: Array) -> None:
        accumulate_slices(np.add, target, axis, places_of(self.name, indices, target.shape[axis]), x)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.take(cotangent, inputs[1], self.axis)

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


def along(name: str, shape: tuple[int, ...], indices: Array, axis: int) -> tuple[Array, ...]:
    """Return an index into an array of this shape: `indices` along the axis, each element's own place elsewhere."""
    places: list[Array] = []
    for i, n in enumerate(shape):
        if i == axis:
            places.append(places_of(name, indices, n))
        else:
            places.append(np.arange(n).reshape([-1 if k == i else 1 for k in range(len(shape))]))
    return tuple(places)


def along_shape(name: str, shape: Shape, indices: Spec, axis: int | None) -> tuple[Shape, tuple[Constraint, ...]]:
    """Return the shape of what lies along the axis at the indices, and what must hold for it."""
    check_integers(name, indices)
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

    traits = Trait.CHOOSES
    axis: int | None = -1
    formula = "{0}[{1}] along {axis}"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        shape, constraints = along_shape(self.name, x.shape, indices, self.axis)
        return Spec(shape, x.dtype, constraints)

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        if self.axis is None:
            return into(out, x.reshape(-1)[places_of(self.name, indices, x.size)])
        return into(out, x[along(self.name, x.shape, indices, self.axis % x.ndim)])

    flows = flows_through_first

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        return () if self.axis is None else ((1, 0, self.axis % ndims[0]),)

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


class AddAlongAxis(Adding):
    """Zeros of this shape, with x added at these indices along the axis: the adjoint of take_along_axis."""

    traits = Trait.WRAPS
    axis: int | None = -1
    formula = "zeros with {0} added at {1} along {axis}"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        wanted, constraints = along_shape(self.name, self.shape, indices, self.axis)
        return Spec(self.shape, x.dtype, constraints + check_shape(self.name, x.shape, wanted))

    def add(self, target: Array, axis: int, indices: Array, x: Array) -> None:
        accumulate(np.add, target, along(self.name, target.shape, indices, axis), x)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.take_along_axis(cotangent, inputs[1], self.axis)

    def line(self, index: tuple[int, ...], shape: tuple[int, ...], axis: int) -> Any:
        """Return the indices along the axis, beside the element."""
        beside = unbroadcast(index[:axis] + index[axis + 1 :], shape[:axis] + shape[axis + 1 :])
        return (*beside[:axis], slice(None), *beside[axis:])

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
