"""Operations by several indices at once, and those that put values in the place of others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AxisError, ShapeError
from ..graph import AnyShape, Array, Node, Op, Shape, Spec, Trait, fn
from ..graph.dimensions import shown, unify
from .accumulating import accumulate_slices, from_front
from .base import Linear, Rearranging, axis_of, check_shape, flops_of_operand, flows_through_first, into, unbroadcast
from .index import along, along_shape, check_integers, places_of


def _found(name: str, shape: Shape, indices: Spec) -> Shape:
    """Return the shape of what gather_nd gives."""
    check_integers(name, indices)
    if not indices.shape or not isinstance(indices.shape[-1], int) or indices.shape[-1] > len(shape):
        raise ShapeError(
            f"{name}: the last axis of the indices holds one for each of some leading axes of {shown(shape)}, "
            f"got {shown(indices.shape)}"
        )
    return (*indices.shape[:-1], *shape[indices.shape[-1] :])


def _places(name: str, indices: Array, shape: Sequence[int]) -> tuple[Array, ...]:
    """Return NumPy's index into an array of this shape."""
    return tuple(places_of(name, indices[..., axis], shape[axis]) for axis in range(indices.shape[-1]))


def _numbers(places: tuple[Array, ...], shape: Sequence[int]) -> Array:
    """Return which element of an array of this shape each place is, where all are counted in C order."""
    number = from_front(places[0], shape[0])
    for place, n in zip(places[1:], shape[1:], strict=False):
        number = number * n + from_front(place, n)
    return number


class GatherNd(Rearranging):
    """The elements of x, or the slices, at these indices: along their last axis, they hold one for each axis of x.

    Negative indices count from the end; one out of range is an IndexError.
    """

    traits = Trait.CHOOSES
    formula = "{0}[{1}]"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        return Spec(_found(self.name, x.shape, indices), x.dtype)

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        whole = np.broadcast_to(x, (*indices.shape[:-1], *x.shape)) if not indices.shape[-1] else None
        return into(out, x[_places(self.name, indices, x.shape)] if whole is None else whole)

    flows = flows_through_first

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.scatter_nd(cotangent, inputs[1], inputs[0].shape)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        indices = operands[1]
        at = index[: indices.ndim - 1]
        return (*[int(place) for place in indices[at]], *index[indices.ndim - 1 :]), (*at, slice(None))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, indices = _drawn(draw)
        return cls(), (draw.array(shape), indices)


class ScatterNd(Linear):
    """Zeros of this shape, with x added at these indices, as often as they occur: the adjoint of gather_nd."""

    traits = Trait.WRAPS
    shape: AnyShape
    formula = "zeros with {0} added at {1}"
    equation = "[{0}] + …"

    def infer(self, x: Spec, indices: Spec) -> Spec:
        return Spec(self.shape, x.dtype, check_shape(self.name, x.shape, _found(self.name, self.shape, indices)))

    def forward(self, x: Array, indices: Array, out: Array | None = None) -> Any:
        result = np.zeros(self.shape, x.dtype)
        if indices.shape[-1]:
            count = indices.shape[-1]
            shape = math.prod(self.shape[:count]), *self.shape[count:]  # type: ignore[arg-type] # ints in a run
            places = _numbers(_places(self.name, indices, self.shape), self.shape)
            accumulate_slices(np.add, result.reshape(shape), 0, places, x)
        else:
            result += np.sum(x, axis=tuple(range(indices.ndim - 1)), dtype=x.dtype)
        return into(out, result)

    flows = flows_through_first
    flops = flops_of_operand

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.gather_nd(cotangent, inputs[1])

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        indices = operands[1]
        count = indices.shape[-1]
        pointing = np.all(indices.astype(np.intp) % self.shape[:count] == index[:count], axis=-1)
        if not pointing.ndim:
            return index[count:] if pointing else None, ...
        return (pointing, *index[count:]), ...

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape, indices = _drawn(draw)
        return cls(shape), (draw.array((*indices.shape[:-1], *shape[indices.shape[-1] :])), indices)


def _drawn(draw: Any) -> tuple[tuple[int, ...], Array]:
    shape = draw.shape(min_ndim=1, min_side=1, max_side=3)
    count = draw.integer(1, len(shape))
    beside = draw.shape(max_ndim=2, max_side=3)
    most = min(shape[:count])
    return shape, draw.integers((*beside, count), -most, most - 1)


class PutAlongAxis(Linear):
    """x with these values in the place of the elements at these indices along the axis.

    Indices and values broadcast with x beside the axis. Where an index occurs twice, the last of the values counts.
    """

    traits = Trait.CHOOSES
    axis: int = -1
    formula = "{0} with {2} at {1} along {axis}"
    equation = ""

    def infer(self, x: Spec, indices: Spec, values: Spec) -> Spec:
        wanted, constraints = along_shape(self.name, x.shape, indices, self.axis)
        axis = axis_of(self.name, self.axis, len(x.shape))
        beside = (*wanted[:axis], x.shape[axis], *wanted[axis + 1 :])
        constraints += check_shape(self.name, beside, x.shape)
        for mine, other in zip(reversed(values.shape), reversed(wanted), strict=False):
            met = unify(other if mine == 1 else mine, other)
            if met is None or len(values.shape) > len(wanted):
                raise ShapeError(f"{self.name}: values of shape {shown(values.shape)} do not fill {shown(wanted)}")
            constraints += met[1]
        return Spec(x.shape, np.result_type(x.dtype, values.dtype), constraints)

    def forward(self, x: Array, indices: Array, values: Array, out: Array | None = None) -> Any:
        result = np.array(x, np.result_type(x.dtype, values.dtype), order="C")
        indices = np.ascontiguousarray(indices)  # so that they are gone through in order, and the last one counts
        result[along(self.name, x.shape, indices, self.axis % x.ndim)] = values
        return into(out, result)

    def flows(self, i: int) -> bool:
        return i != 1

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, indices, _ = inputs
        if i == 0:
            return self(cotangent, indices, np.zeros((), cotangent.dtype))
        # Of an index that occurs twice only the last counts: that which is found again where it was put.
        axis = axis_of(self.name, self.axis, x.ndim)
        places = fn.arange(indices.shape[axis], graph=x.graph)
        places = fn.reshape(places, (-1, *[1] * (x.ndim - axis - 1)))
        found = fn.take_along_axis(self(fn.zeros(x.shape, "int64", graph=x.graph), indices, places), indices, self.axis)
        return fn.where(fn.equal(found, places), fn.take_along_axis(cotangent, indices, self.axis), 0.0)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, indices, values = operands
        axis = axis_of(self.name, self.axis, x.ndim)
        at = unbroadcast(index, indices.shape)
        before, after = at[:axis], at[axis + 1 :]
        line: Array = indices[before][:, *after]
        (places,) = np.nonzero(line.astype(np.intp) % x.shape[axis] == index[axis])
        if not places.size:
            return index, (*before, slice(None), *after), None
        last = int(places[-1])
        value = unbroadcast((*index[:axis], last, *index[axis + 1 :]), values.shape)
        return None, (*before, slice(last, None), *after), value

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        shape = draw.shape(min_ndim=1, min_side=1)
        axis = draw.axis(len(shape))
        count = draw.integer(0, 3)
        index = [draw.choice([n, 1]) for n in shape]
        values = [draw.choice([n, 1]) for n in shape]
        index[axis], values[axis] = count, draw.choice([count, 1])
        indices = draw.integers(tuple(index), -shape[axis], shape[axis] - 1)
        return cls(axis), (draw.array(shape), indices, draw.array(tuple(values)))


class UpdateSlice(Rearranging):
    """x with the update in the place of the slice that begins at `start` along the axis, an integer without axes.

    The update has the shape of x but along the axis. A negative start counts from the end; where the update would reach
    beyond an end, it is an IndexError. In a plan, an x that nobody else reads is written over: a write in a loop costs
    what is written.
    """

    traits = Trait.CHOOSES
    axis: int = 0
    formula = "{0} with {1} from {2} on along {axis}"

    def infer(self, x: Spec, update: Spec, start: Spec) -> Spec:
        axis = axis_of(self.name, self.axis, len(x.shape))
        check_integers(self.name, start, "starts")
        beside = (*x.shape[:axis], *update.shape[axis : axis + 1], *x.shape[axis + 1 :])
        constraints = check_shape(self.name, start.shape, ()) + check_shape(self.name, update.shape, beside)
        return Spec(x.shape, np.result_type(x.dtype, update.dtype), constraints)

    def first(self, x: Array, update: Array, start: Array) -> int:
        """Return where along the axis the update begins, counted from the front."""
        n, count = x.shape[self.axis], update.shape[self.axis]
        first: int = int(start) + n * int(start < 0)
        if not 0 <= first <= n - count:
            raise AxisError(f"{self.name}: {count} elements from {start} on do not lie within an axis of size {n}")
        return first

    def forward(self, x: Array, update: Array, start: Array, out: Array | None = None) -> Any:
        first = self.first(x, update, start)
        result = np.empty(x.shape, np.result_type(x.dtype, update.dtype)) if out is None else out
        if result is not x:
            result[...] = x
        np.moveaxis(result, self.axis, 0)[first : first + update.shape[self.axis]] = np.moveaxis(update, self.axis, 0)
        return result

    def flows(self, i: int) -> bool:
        return i < 2

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        _, update, start = inputs
        if i == 0:
            return self(cotangent, fn.zeros(update.shape, cotangent.dtype, graph=start.graph), start)
        places = fn.arange(update.shape[self.axis], graph=start.graph)
        return fn.take(cotangent, fn.cast(start, "int64") + places, self.axis)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        axis = axis_of(self.name, self.axis, len(index))
        at = index[axis] - self.first(*operands)
        written = 0 <= at < operands[1].shape[axis]
        return None if written else index, (*index[:axis], at, *index[axis + 1 :]) if written else None, ()

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(min_ndim=1, min_side=1))
        axis = draw.axis(x.ndim)
        first, n = draw.integer(0, x.shape[axis] - 1), x.shape[axis]
        update = draw.array(x.take(range(first, draw.integer(first, n)), axis).shape)
        return cls(axis), (x, update, np.array(first - draw.choice([0, n])))
