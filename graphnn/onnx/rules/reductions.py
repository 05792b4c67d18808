"""What is made of all elements along axes, running sums, order, and softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import counted
from ...core import Node, fn
from ...core.symbolic_shapes import product
from ...ops.softmax import log_softmax_nodes, softmax_nodes
from .. import shape_arithmetic as of
from ..rule_registry import rule

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims, Known


def _sum_squares(x: Node, axis: Any, keepdims: bool) -> Any:
    return fn.sum(fn.square(x), axis, keepdims)


def _norm(x: Node, axis: Any, keepdims: bool) -> Any:
    """Return √Σx² as a norm, whose gradient is 0 where it is 0; over more than two axes, that of norms over two."""
    if axis is None or len(axis) in (1, 2):
        return fn.norm(x, None, axis, keepdims)
    if not axis:
        return fn.absolute(x)
    found = fn.norm(_norm(x, axis[2:], True), None, axis[:2], True)
    return found if keepdims else fn.squeeze(found, axis)


def _in_floats(function: Any) -> Any:
    def compute(x: Node, axis: Any, keepdims: bool) -> Any:
        return function(x if x.spec.dtype.kind == "f" else fn.cast(x, "float64"), axis, keepdims)

    return compute


def _extremum(function: Any, verdict: Any, sign: int) -> Any:
    """Return what max or min is: of no elements, the number that is beyond all others."""

    def compute(x: Node, axis: Any, keepdims: bool) -> Any:
        kind = x.spec.dtype
        if kind.kind == "b":
            return verdict(x, axis, keepdims)
        axes = range(x.ndim) if axis is None else axis
        if any(x.spec.shape[each] == 0 for each in axes):
            limits: Any = np.iinfo(kind) if kind.kind in "iu" else None
            last = (limits.min if sign < 0 else limits.max) if limits else sign * np.inf
            beside = fn.sum(x, axis, keepdims).spec.shape
            return fn.broadcast_to(x.graph.constant(np.array(last, kind)), beside)
        return function(x, axis, keepdims)

    return compute


_REDUCTIONS = {
    "ReduceSum": fn.sum,
    "ReduceProd": fn.prod,
    "ReduceMean": _in_floats(fn.mean),
    "ReduceMax": _extremum(fn.max, fn.any, -1),
    "ReduceMin": _extremum(fn.min, fn.all, 1),
    "ReduceSumSquare": _sum_squares,
    "ReduceL1": lambda x, axis, keepdims: fn.sum(fn.absolute(x), axis, keepdims),
    "ReduceL2": _in_floats(_norm),
    "ReduceLogSum": _in_floats(lambda x, axis, keepdims: fn.log(fn.sum(x, axis, keepdims))),
    "ReduceLogSumExp": _in_floats(fn.logsumexp),
}


@rule(*_REDUCTIONS)
def reduction(
    call: Call, x: Node, axes: Known | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Any:
    """Return what is made of all elements along axes; without axes along all, or none, as the node says."""
    chosen: Any = None if axes is None else tuple(int(axis) for axis in axes.reshape(-1))
    if not chosen:
        chosen = () if noop_with_empty_axes else None
    return _as_was(_REDUCTIONS[call.op](x, chosen, bool(keepdims)), x)


def _as_was(found: Node, x: Node) -> Node:
    """Return a result in the dtype of the operand: NumPy adds small integers up in 64 bits."""
    return found if found.spec.dtype == x.spec.dtype else fn.cast(found, x.spec.dtype)


@rule("ArgMax", "ArgMin")
def position(call: Call, x: Node, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    """Return where the largest or the smallest element along an axis is: the first of them, or the last."""
    function = fn.argmax if call.op == "ArgMax" else fn.argmin
    if not select_last_index:
        return function(x, axis, bool(keepdims))
    last = call.node(of.sized(of.minus(x.spec.shape[axis], 1), np.int64))
    return last - function(fn.flip(x, axis), axis, bool(keepdims))


@rule("CumSum", "CumProd")
def running(call: Call, x: Node, axis: Known, *, exclusive: int = 0, reverse: int = 0) -> Any:
    """Return the sums or products so far; without the element itself where it is exclusive."""
    place = int(axis.reshape(())) % x.ndim
    function, nothing = (fn.cumsum, 0) if call.op == "CumSum" else (fn.cumprod, 1)
    found = fn.flip(x, place) if reverse else x
    if exclusive:
        widths = tuple((int(each == place), 0) for each in range(x.ndim))
        found = fn.getitem(
            fn.pad(found, widths, constant_values=nothing), (*[slice(None)] * place, slice(x.spec.shape[place]))
        )
    found = function(found, place)
    return _as_was(fn.flip(found, place) if reverse else found, x)


@rule("TopK")
def topk(call: Call, x: Node, k: Dims, *, axis: int = -1, largest: int = 1, sorted_: int = 1) -> Any:
    """Return the k largest or smallest elements along an axis, in order, and their indices."""
    place = axis % x.ndim
    size = x.spec.shape[place]
    if isinstance(k[0], int) and isinstance(size, int) and not 0 <= k[0] <= size:
        call.refuse(f"it takes {k[0]} of {counted(size, 'element')}")
    order = fn.argsort(x, place, bool(largest))
    if k[0] != size:
        order = fn.getitem(order, (*[slice(None)] * place, slice(k[0])))
    return fn.take_along_axis(x, order, place), order


@rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(call: Call, x: Node, *, axis: int | None = None) -> Any:
    """Return exponentials that add up to 1, their logarithms, or 1 for the first of the largest; 0 for the others.

    Before opset 13, the axes from `axis` on are taken as one.
    """
    function = {"Softmax": softmax_nodes, "LogSoftmax": log_softmax_nodes}.get(call.op, _hardmax)
    if call.version >= 13:
        return function(x, (-1 if axis is None else axis) % x.ndim)
    place = (1 if axis is None else axis) % max(x.ndim, 1)
    if place == x.ndim - 1:
        return function(x, place)
    dims = x.spec.shape
    return fn.reshape(function(fn.reshape(x, (product(dims[:place]), product(dims[place:]))), 1), dims)


def _hardmax(x: Node, axis: int) -> Node:
    one = fn.one_hot(fn.argmax(x, axis), x.spec.shape[axis], x.spec.dtype.name)
    return one if axis == x.ndim - 1 else fn.moveaxis(one, -1, axis)
