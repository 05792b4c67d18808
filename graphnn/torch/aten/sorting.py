"""Operations that put elements in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn, is_float
from .call import axis_of, cast, several
from .table import aten, refused

if TYPE_CHECKING:
    from .call import Call


@aten("sort", "sort.stable")
def sort(call: Call, self: Node, dim: int = -1, descending: bool = False, stable: Any = None) -> tuple[Node, Node]:
    """Return the elements in order along an axis, and where they were."""
    place = argsort(call, self, dim, descending)
    return (fn.take_along_axis(self, place, axis=axis_of(dim, self.ndim)) if self.ndim else self), place


@aten("argsort", "argsort.stable")
def argsort(call: Call, self: Node, dim: int = -1, descending: bool = False, stable: Any = None) -> Node:
    """Return where the elements in order along an axis were."""
    if not self.ndim:
        return call.graph.constant(np.int64(0))
    return fn.argsort(self, axis=axis_of(dim, self.ndim), descending=descending)


@aten("msort")
def msort(call: Call, self: Node) -> Node:
    """Return the rows in order."""
    return sort(call, self, 0)[0]


@aten("topk")
def topk(call: Call, self: Node, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Node, Node]:
    """Return the largest or the smallest elements along an axis, in order, and where they are."""
    axis = axis_of(dim, self.ndim)
    if largest:
        found, place = several(fn.topk(self, k, axis=axis))
        return found, place
    place = fn.argsort(self, axis=axis)
    place = fn.getitem(place, (*[slice(None)] * axis, slice(None, k)))
    return fn.take_along_axis(self, place, axis=axis), place


@aten("kthvalue")
def kthvalue(call: Call, self: Node, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Node, Node]:
    """Return the k-th smallest number along an axis, and where it is."""
    axis = axis_of(dim, self.ndim)
    place = fn.getitem(fn.argsort(self, axis=axis), (*[slice(None)] * axis, slice(k - 1, k)))
    found = fn.take_along_axis(self, place, axis=axis)
    return (found, place) if keepdim else (fn.squeeze(found, axis), fn.squeeze(place, axis))


def _of_axis(call: Call, x: Node, axis: int, rank: Any, keepdim: bool) -> tuple[Node, Node]:
    """Return the element of a rank along an axis, a number or a node, and where it is."""
    order = fn.argsort(x, axis=axis)
    if isinstance(rank, Node):
        place = fn.take_along_axis(order, rank, axis=axis)
    else:
        place = fn.getitem(order, (*[slice(None)] * axis, slice(rank, rank + 1)))
        if is_float(x.spec.dtype):  # the median with a NaN is NaN
            unknown = fn.any(fn.isnan(x), axis=axis, keepdims=True)
            place = fn.where(unknown, fn.argmax(x, axis=axis, keepdims=True), place)
    found = fn.take_along_axis(x, place, axis=axis)
    return (found, place) if keepdim else (fn.squeeze(found, axis), fn.squeeze(place, axis))


@aten("median.dim")
def median_along(call: Call, self: Node, dim: int, keepdim: bool = False) -> tuple[Node, Node]:
    """Return the middle number along an axis, the smaller of two, and where it is."""
    if not self.ndim:
        return self, call.graph.constant(np.int64(0))
    axis = axis_of(dim, self.ndim)
    count = self.spec.shape[axis]
    if isinstance(count, str):
        call.refuse("the median along an axis whose size has a name: leave the size out of dims=")
    return _of_axis(call, self, axis, (count - 1) // 2, keepdim)


@aten("nanmedian.dim")
def nanmedian_along(call: Call, self: Node, dim: int, keepdim: bool = False) -> tuple[Node, Node]:
    """Return the middle number along an axis of those that are not NaN, and where it is."""
    axis = axis_of(dim, self.ndim)
    count = fn.sum(cast(fn.logical_not(fn.isnan(self)), np.int64), axis=axis, keepdims=True)
    return _of_axis(call, self, axis, fn.maximum((count - 1) // 2, 0), keepdim)


@aten("median", "nanmedian")
def median(call: Call, self: Node) -> Node:
    """Return the middle number of all, the smaller of two; equal ones share its gradient."""
    if not self.ndim:
        return self
    flat = fn.reshape(self, (-1,)) if self.ndim > 1 else self
    along = median_along if call.op == "median" else nanmedian_along
    found = along(call, flat, 0)[0]
    if not is_float(self.spec.dtype):
        return found
    found = fn.stop_gradient(found)
    own = fn.equal(flat, found)
    shared = fn.max(fn.where(own, flat, -np.inf))
    return fn.where(fn.isnan(found), found, shared)


@aten("searchsorted")
def searchsorted(
    call: Call,
    sorted_sequence: Node,
    self: Any,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Node | None = None,
) -> Node:
    """Return before how many elements of a sequence in order numbers belong."""
    x = call.node(self)
    if sorter is not None:
        sorted_sequence = fn.take_along_axis(sorted_sequence, sorter, axis=-1)
    if sorted_sequence.ndim > 1:
        sorted_sequence = fn.expand_dims(sorted_sequence, -2)
    below = fn.less_equal if right or side == "right" else fn.less
    return fn.sum(cast(below(sorted_sequence, fn.expand_dims(x, -1)), call.dtype), axis=-1)


@aten("bucketize")
def bucketize(call: Call, self: Any, boundaries: Node, out_int32: bool = False, right: bool = False) -> Node:
    """Return between which bounds numbers are."""
    return searchsorted(call, boundaries, self, out_int32, right)


refused("bincount", why="data decide how many counts there are: write F.one_hot(x, n).sum(0)")
refused("histc", "histogram", why="graphnn has no histc: count by F.one_hot(torch.bucketize(x, bounds), n).sum(0)")
refused("mode", why="graphnn has no mode: count each number by F.one_hot(x, n).sum(0), and take its argmax")
