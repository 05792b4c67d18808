"""Operations that put elements in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from .call import axis_of, cast
from .table import aten

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
def topk(
    call: Call, self: Node, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Node, Node]:
    """Return the largest or the smallest elements along an axis, in order, and where they are."""
    axis = axis_of(dim, self.ndim)
    if largest:
        return fn.topk(self, k, axis=axis)
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


@aten("median.dim", "nanmedian.dim")
def median_along(call: Call, self: Node, dim: int, keepdim: bool = False) -> tuple[Node, Node]:
    """Return the middle number along an axis, the smaller of two, and where it is."""
    count = self.spec.shape[axis_of(dim, self.ndim)]
    if isinstance(count, str):
        call.refuse("the median along an axis whose size has a name: leave the size out of dims=")
    return kthvalue(call, self, (count + 1) // 2, dim, keepdim)


@aten("median")
def median(call: Call, self: Node) -> Node:
    """Return the middle number of all, the smaller of two."""
    return median_along(call, fn.reshape(self, (-1,)), 0)[0]


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


@aten("cummax", "cummin")
def cummax(call: Call, self: Node, dim: int) -> Any:
    """Refuse what has no counterpart."""
    call.refuse("graphnn has no running maximum: write torch.cumsum, or a loop")


@aten("bincount")
def bincount(call: Call, self: Node, weights: Node | None = None, minlength: int = 0) -> Node:
    """Refuse counts of which data decide how many there are."""
    call.refuse("data decide how many counts there are: write F.one_hot(x, n).sum(0)")
