"""Operations by several indices at once, and those that put values in the place of others."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from ..core import AnyShape, Array, Dim, Node, Op, Shape, Spec, Trait, composition, fn
from ..core.symbolic_shapes import product, shown, unify
from ..errors import AxisError, ShapeError
from .base import Linear, Rearranging, axis_of, check_shape, flops_of_operand, flows_through_first, into, unbroadcast
from .indexing import along, along_shape, check_integers, places_of, points_to
from .scatter_kernels import accumulate, accumulate_slices, from_front


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
            shape = math.prod(self.shape[:count]), *self.shape[count:]
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


class AtIndices(Op, abstract=True):
    """Base of what changes elements of x at indices along an axis by values; both broadcast with x beside the axis."""

    axis: int = -1

    def infer(self, x: Spec, indices: Spec, values: Spec) -> Spec:
        """Keep the shape of x."""
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

    def changing(self, x: Array, indices: Array, values: Array) -> tuple[Array, tuple[Array, ...], Array]:
        """Return a copy of x that can be changed, NumPy's index into it, and the values; all of the result's dtype."""
        dtype = np.result_type(x.dtype, values.dtype)
        index = along(self.name, x.shape, indices, self.axis % x.ndim)
        return np.array(x, dtype, order="C"), index, values.astype(dtype, copy=False)

    def flows(self, i: int) -> bool:
        """Whether the operand is not the indices."""
        return i != 1

    def line(self, index: tuple[int, ...], x: Array, indices: Array) -> tuple[Any, Array]:
        """Return where the indices beside an element are, and which of them point to it."""
        axis = axis_of(self.name, self.axis, x.ndim)
        at = unbroadcast(index, indices.shape)
        line: Array = indices[at[:axis]][:, *at[axis + 1 :]]
        return (*at[:axis], slice(None), *at[axis + 1 :]), points_to(line, index[axis], x.shape[axis])

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw an array, some indices along one of its axes, and values for them."""
        shape = draw.shape(min_ndim=1, min_side=1)
        axis = draw.axis(len(shape))
        count = draw.integer(0, 3)
        index = [draw.choice([n, 1]) for n in shape]
        values = [draw.choice([n, 1]) for n in shape]
        index[axis], values[axis] = count, draw.choice([count, 1])
        indices = draw.integers(tuple(index), -shape[axis], shape[axis] - 1)
        return cls(axis), (draw.array(shape), indices, draw.array(tuple(values)))


class PutAlongAxis(AtIndices, Linear):
    """x with these values in the place of the elements at these indices along the axis.

    Indices and values broadcast with x beside the axis. Where an index occurs twice, the last of the values counts.
    """

    traits = Trait.CHOOSES
    formula = "{0} with {2} at {1} along {axis}"
    equation = ""

    def forward(self, x: Array, indices: Array, values: Array, out: Array | None = None) -> Any:
        indices = np.ascontiguousarray(indices)  # so that they are gone through in order, and the last one counts
        result, index, values = self.changing(x, indices, values)
        result[index] = values
        return into(out, result)

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
        line, pointing = self.line(index, x, indices)
        (places,) = np.nonzero(pointing)
        if not places.size:
            return index, line, None
        last = int(places[-1])
        value = unbroadcast((*index[:axis], last, *index[axis + 1 :]), values.shape)
        return None, (*line[:axis], slice(last, None), *line[axis + 1 :]), value


class Gathering(AtIndices, abstract=True):
    """Base of what a ufunc makes of an element of x and of all values at its index.

    Time and memory grow with the values, however many elements x has.
    """

    public = False
    ufunc: ClassVar[np.ufunc]

    def forward(self, x: Array, indices: Array, values: Array, out: Array | None = None) -> Any:
        """Take the values in one by one."""
        result, index, values = self.changing(x, indices, values)
        accumulate(self.ufunc, result, index, values)
        return into(out, result)

    def found(self, node: Node, indices: Node) -> Node:
        """Return the elements at the indices."""
        return fn.take_along_axis(node, indices, self.axis)

    def added(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """Return what is at each index added up."""
        return fn.add_along_axis(node, inputs[1], inputs[0].shape, self.axis)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the cotangent of x or of the values."""
        return next(self.vjps([i], cotangent, output, inputs))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the element, and the values whose indices point to it."""
        x, indices, values = operands
        axis = axis_of(self.name, self.axis, x.ndim)
        line, pointing = self.line(index, x, indices)
        at = unbroadcast(index, values.shape)
        which = slice(None) if values.shape[axis] == 1 < pointing.size and pointing.any() else pointing
        some = (*at[:axis], which, *at[axis + 1 :]) if pointing.any() else None
        return index, line, some

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return one for each value."""
        _, indices, _ = inputs
        axis = axis_of(self.name, self.axis, len(output.shape))
        return product((*output.shape[:axis], indices.shape[axis], *output.shape[axis + 1 :]))


class ExtremumAlongAxis(Gathering, abstract=True):
    """Base of the largest and the smallest at indices: those that tie share the gradient evenly."""

    traits = Trait.DECIDED_BY_ONE | Trait.HIDES

    def _chosen(self, output: Node, inputs: tuple[Node, ...]) -> tuple[Node, Node, Node]:
        """Return, as 1 or 0, which elements and which values are the result, and how many tie for each element."""
        x, indices, values = inputs
        own = fn.cast(fn.equal(x, output), output.dtype)
        hits = fn.cast(fn.equal(values, self.found(output, indices)), output.dtype)
        return own, hits, own + self.added(hits, inputs)

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        """Share the cotangent among those that tie."""
        own, hits, ties = self._chosen(output, inputs)
        share = cotangent / ties
        for i in positions:
            yield own * share if i == 0 else hits * self.found(share, inputs[1])

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the mean tangent of those that tie."""
        own, hits, ties = self._chosen(output, inputs)
        parts = [] if tangents[0] is None else [own * tangents[0]]
        parts += [] if tangents[2] is None else [self.added(hits * tangents[2], inputs)]
        return functools.reduce(fn.add, parts) / ties


class MaximumAlongAxis(ExtremumAlongAxis):
    """x with the largest of it and of the values at these indices along the axis; NaN passes through.

    Indices and values broadcast with x beside the axis. Elements and values that tie share the gradient evenly.
    """

    formula = "largest of {0} and {2} at {1} along {axis}"
    equation = "largest of {0}, {2} …"
    ufunc = np.maximum


class MinimumAlongAxis(ExtremumAlongAxis):
    """x with the smallest of it and of the values at these indices along the axis; NaN passes through.

    Indices and values broadcast with x beside the axis. Elements and values that tie share the gradient evenly.
    """

    formula = "smallest of {0} and {2} at {1} along {axis}"
    equation = "smallest of {0}, {2} …"
    ufunc = np.minimum


class MultiplyAlongAxis(Gathering):
    """x, multiplied by the values at these indices along the axis, as often as an index occurs.

    Indices and values broadcast with x beside the axis. Where values are 0, derivatives of first and second order are
    exact.
    """

    traits = Trait.WRAPS | Trait.OVERFLOWS | Trait.UNDERFLOWS
    formula = "{0} * Π {2} at {1} along {axis}"
    equation = "{0} * [{2}] * …"
    ufunc = np.multiply

    def _product(self, inputs: tuple[Node, ...]) -> Node:
        x, indices, values = inputs
        return self(fn.ones_like(x), indices, values)

    def _others(self, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return for each value the product of all others at its index, and of the element.

        It is the result divided by the value; for a 0, the result without that 0. Of three zeros none has a derivative
        of second order, so only the first two are looked at.
        """
        x, indices, values = inputs
        zero = fn.equal(values, self.found(fn.zeros_like(output), indices))
        safe = fn.where(zero, 1, values)
        others = fn.where(zero, 0, self.found(output, indices) / safe)
        axis = axis_of(self.name, self.axis, x.ndim)
        count = indices.shape[axis]
        places = fn.reshape(fn.arange(count, graph=x.graph), (count, *[1] * (x.ndim - axis - 1)))
        none = fn.broadcast_to(fn.sum(fn.ones_like(places)), x.shape)

        def first_of(left: Node) -> Node:
            first = MinimumAlongAxis(self.axis)(none, indices, fn.where(left, places, self.found(none, indices)))
            return fn.logical_and(left, fn.equal(self.found(first, indices), places))

        one = first_of(zero)
        for each in (one, first_of(fn.logical_and(zero, fn.logical_not(one)))):
            others = fn.where(each, self.found(self(x, indices, fn.where(each, 1, values)), indices), others)
        return others

    def vjps(self, positions: Sequence[int], cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Iterator[Node]:
        """Multiply the cotangent by the other factors."""
        for i in positions:
            if i == 0:
                yield cotangent * self._product(inputs)
            else:
                yield self.found(cotangent, inputs[1]) * self._others(output, inputs)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the sum of the products in which one factor is replaced by its tangent."""
        parts = [] if tangents[0] is None else [tangents[0] * self._product(inputs)]
        if tangents[2] is not None:
            parts.append(self.added(self._others(output, inputs) * tangents[2], inputs))
        return functools.reduce(fn.add, parts)


@composition
def put_along_axis(
    x: Any,
    indices: Any,
    values: Any,
    axis: int = -1,
    reduce: Literal["maximum", "minimum", "multiply"] | None = None,
    *,
    name: str | None = None,
) -> Node:
    """Return x with these values in the place of the elements at these indices along the axis, or joined with them.

    Indices and values broadcast with x beside the axis. Time and memory grow with the values, however many elements x
    has.

    Parameters
    ----------
    x, indices, values : Node
    axis : int
    reduce : {"maximum", "minimum", "multiply"}, optional
        What joins an element with all values at its index; `add_along_axis` adds. By default a value replaces it: where
        an index occurs twice, the last one.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().constant([1.0, 2.0, 3.0])
    >>> gn.run([gn.put_along_axis(x, [0, 0], [5.0, 4.0]), gn.put_along_axis(x, [0, 0], [5.0, 4.0], reduce="multiply")])
    [array([4., 2., 3.]), array([20.,  2.,  3.])]
    """
    joins = {"maximum": MaximumAlongAxis, "minimum": MinimumAlongAxis, "multiply": MultiplyAlongAxis}
    operation: Callable[..., Node] = joins.get(reduce or "", PutAlongAxis)(axis)
    return operation(x, indices, values, name=name)


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
