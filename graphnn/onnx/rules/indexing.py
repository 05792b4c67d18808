"""What is taken from places that indices say, and put there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ...core.symbolic_shapes import product
from .. import shape_arithmetic as of
from ..rule_registry import rule

if TYPE_CHECKING:
    from ...core import Dim
    from ..onnx_node import Call
    from ..rule_registry import Dims, Known, Value


@rule("GatherElements")
def gather_elements(call: Call, x: Node, indices: Node, *, axis: int = 0) -> Any:
    """Return the elements at indices along an axis, which has the same places beside it as the indices."""
    place = axis % x.ndim
    return fn.take_along_axis(_within(x, indices, place), indices, place)


def _within(x: Node, indices: Node, axis: int) -> Node:
    """Return the part of x that is as large as the indices beside an axis."""
    dims = zip(x.spec.shape, indices.spec.shape, strict=True)
    index = tuple(slice(None) if each == axis or a == b else slice(b) for each, (a, b) in enumerate(dims))
    return x if all(part == slice(None) for part in index) else fn.getitem(x, index)


@rule("GatherND")
def gather_nd(call: Call, x: Node, indices: Node, *, batch_dims: int = 0) -> Any:
    """Return the elements or slices at rows of indices; leading axes may be the same in both."""
    dims = indices.spec.shape[:-1]
    _depth(call, indices)
    own = [
        fn.broadcast_to(_places(call, dims[axis], axis, len(dims), indices.spec.dtype), dims)
        for axis in range(batch_dims)
    ]
    if own:
        indices = fn.concatenate([*[fn.expand_dims(each, -1) for each in own], indices], axis=-1)
    return fn.gather_nd(x, indices)


def _places(call: Call, dim: Dim, axis: int, ndim: int, kind: Any = np.int64) -> Node:
    """Return 0, 1, 2 … along one of so many axes."""
    count = fn.reshape(fn.arange(dim, graph=call.graph), (*[1] * axis, dim, *[1] * (ndim - axis - 1)))
    return count if count.spec.dtype == kind else fn.cast(count, np.dtype(kind).name)


# --- scattering -----------------------------------------------------------------------------------------------------


@rule("ScatterElements", "Scatter")
def scatter_elements(
    call: Call, x: Node, indices: Node, updates: Node, *, axis: int = 0, reduction: str = "none"
) -> Any:
    """Return x with updates in the place of elements, or added to them, multiplied, or the largest or smallest."""
    place = axis % x.ndim
    beside = zip(x.spec.shape, indices.spec.shape, strict=True)
    if all(each == place or a == b for each, (a, b) in enumerate(beside)):
        return _put(call, x, indices, updates, place, reduction)
    # The indices are for a part of x only: every element of x has one number, and is at one place.
    shape = indices.spec.shape
    strides = _strides(x.spec.shape)
    rows = [_places(call, dim, each, x.ndim) for each, dim in enumerate(shape)]
    rows[place] = _from_front(call, indices, x.spec.shape[place])
    number = fn.broadcast_to(_numbered(call, rows, strides), shape)
    flat = [fn.reshape(each, (product(each.spec.shape),)) for each in (x, number, updates)]
    return fn.reshape(_put(call, flat[0], flat[1], flat[2], 0, reduction), x.spec.shape)


@rule("ScatterND")
def scatter_nd(call: Call, x: Node, indices: Node, updates: Node, *, reduction: str = "none") -> Any:
    """Return x with updates at rows of indices, each of them an element or a slice."""
    depth, dims = _depth(call, indices), x.spec.shape
    if reduction == "add":
        return x + fn.scatter_nd(updates, indices, dims)
    front, behind = dims[:depth], dims[depth:]
    every = [slice(None)] * (indices.ndim - 1)
    rows = [_from_front(call, fn.getitem(indices, (*every, i)), dim) for i, dim in enumerate(front)]
    number = _numbered(call, rows, _strides(front)) if rows else call.node(np.zeros((), np.int64))
    count = product(indices.spec.shape[:-1])
    wide = product(behind)
    found = _put(
        call,
        fn.reshape(x, (product(front), wide)),
        fn.reshape(number, (count, 1)),
        fn.reshape(updates, (count, wide)),
        0,
        reduction,
    )
    return fn.reshape(found, dims)


def _depth(call: Call, indices: Node) -> int:
    """Return how many axes rows of indices point into."""
    depth = indices.spec.shape[-1]
    if not isinstance(depth, int):
        call.ask_for_sizes("how long its rows of indices are", [depth])
    return depth


def _put(call: Call, x: Node, indices: Node, updates: Node, axis: int, reduction: str) -> Node:
    """Return x with updates at indices along an axis."""
    if reduction == "add":
        return x + fn.add_along_axis(updates, indices, x.spec.shape, axis)
    joins = {"none": None, "mul": "multiply", "max": "maximum", "min": "minimum"}
    return fn.put_along_axis(x, indices, updates, axis, joins[reduction])


def end_of(kind: np.dtype[Any], sign: int) -> Any:
    """Return the largest or the smallest number of a dtype."""
    if kind.kind == "f":
        return sign * math.inf
    if kind.kind == "b":
        return sign > 0
    return np.iinfo(kind).max if sign > 0 else np.iinfo(kind).min


def _strides(shape: Dims) -> list[Dim]:
    return [product(shape[axis + 1 :]) for axis in range(len(shape))]


def _numbered(call: Call, rows: list[Node], strides: list[Dim]) -> Node:
    """Return the number that an element has where all are counted, of its places along the axes."""
    parts = [
        row if stride == 1 else row * call.node(of.sized(stride, np.int64))
        for row, stride in zip(rows, strides, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _from_front(call: Call, indices: Node, size: Dim) -> Node:
    """Return indices with those from the end counted from the front."""
    known = call.reader.stored(indices)
    if known is not None and isinstance(size, int):
        return call.node(np.where(known < 0, known.astype(np.int64) + size, known.astype(np.int64)))
    if known is not None and (known >= 0).all():
        return indices
    wide = fn.cast(indices, "int64")
    return fn.where(fn.less(wide, 0), wide + call.node(of.sized(size, np.int64)), wide)


# --- by values ------------------------------------------------------------------------------------------------------


@rule("OneHot")
def one_hot(call: Call, indices: Node, depth: Dims, values: Node, *, axis: int = -1) -> Any:
    """Return a row for each index, with one value at it and another beside; an index out of range has no place."""
    place = axis % (indices.ndim + 1)
    at = fn.expand_dims(_from_front(call, fn.cast(indices, "int64"), depth[0]), place)
    here = fn.equal(at, _places(call, depth[0], place, indices.ndim + 1))
    off, on = (fn.getitem(values, (i,)) for i in (0, 1))
    return fn.where(here, on, off)


@rule("Compress")
def compress(call: Call, x: Node, condition: Value, *, axis: int | None = None) -> Any:
    """Return the slices for which a condition holds, which must be known."""
    known = _counted(call, condition)
    (places,) = np.nonzero(known)
    return fn.take(fn.reshape(x, (product(x.spec.shape),)) if axis is None else x, call.node(places), axis=axis or 0)


@rule("NonZero")
def nonzero(call: Call, x: Value) -> Value:
    """Return the indices of elements that are not 0, which must be known, or the same everywhere."""
    if isinstance(x, Node) and x.op.name == "broadcast_to":
        (one,) = x.inputs
        stored = call.reader.stored(one)
        if stored is not None and stored.size == 1 and stored.all():
            dims = x.spec.shape
            grid = [fn.broadcast_to(_places(call, dim, i, len(dims)), dims) for i, dim in enumerate(dims)]
            return fn.stack([fn.reshape(each, (product(dims),)) for each in grid])
    return np.array(np.nonzero(_counted(call, x)), np.int64)


@rule("Unique")
def unique(call: Call, x: Value, *, axis: int | None = None, sorted_: int = 1) -> Value:
    """Return the different elements or slices of what is known, where each is first, which each is, and how often."""
    known = _counted(call, x)
    known = known.reshape(-1) if axis is None else known
    found, first, inverse, counts = np.unique(
        known, return_index=True, return_inverse=True, return_counts=True, axis=axis or 0
    )
    inverse = inverse.reshape(-1)
    if not sorted_:
        order = np.argsort(first)
        found, first, counts = np.take(found, order, axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return found, *(each.astype(np.int64) for each in (first, inverse, counts))


def _counted(call: Call, x: Value) -> Known:
    """Return the array of a value that decides how large a result is."""
    if isinstance(x, Node) and call.reader.stored(x) is None:
        call.refuse("how large its result is depends on data, and graphnn knows all shapes before a run")
    return call.known(x)
