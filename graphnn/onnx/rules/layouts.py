"""What stands around an array, in which order, and in which triangle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core import Node, fn
from ...core.symbolic_shapes import floor_divide, multiply, subtract
from ..rule_registry import rule
from ..shape_arithmetic import sized

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims, Known


@rule("Pad")
def pad(
    call: Call,
    x: Node,
    pads: Dims | None = None,
    value: Node | None = None,
    axes: Known | None = None,
    *,
    mode: str = "constant",
    paddings: Dims | None = None,
) -> Any:
    """Return x with elements before and after it, or without some where a width is below 0."""
    given = pads if pads is not None else paddings
    if given is None:
        call.refuse("it lacks 'pads'")
    chosen = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes.reshape(-1)]
    widths: list[tuple[Any, Any]] = [(0, 0)] * x.ndim
    for place, axis in enumerate(chosen):
        widths[axis] = given[place], given[place + len(chosen)]
    cut = [tuple(-each if isinstance(each, int) and each < 0 else 0 for each in pair) for pair in widths]
    if any(any(pair) for pair in cut):
        ends = zip(x.spec.shape, cut, strict=True)
        x = fn.getitem(x, tuple(slice(before, subtract(dim, after)) for dim, (before, after) in ends))
        widths = [tuple(0 if isinstance(w, int) and w < 0 else w for w in pair) for pair in widths]  # type: ignore[misc]
    if not any(any(pair) for pair in widths):
        return x
    pairs = tuple(widths)
    if mode != "constant":
        return fn.pad(x, pairs, mode)
    if value is None:
        return fn.pad(x, pairs, constant_values=0)
    known = call.reader.stored(value)
    if known is not None:
        return fn.pad(x, pairs, constant_values=known.reshape(()).item())
    inside = fn.pad(call.node(np.broadcast_to(np.True_, ())) if not x.ndim else _trues(x), pairs, constant_values=False)
    return fn.where(inside, fn.pad(x, pairs), fn.reshape(value, ()))


def _trues(x: Node) -> Node:
    return fn.broadcast_to(x.graph.constant(np.ones((), bool)), x.spec.shape)


@rule("DepthToSpace")
def depth_to_space(call: Call, x: Node, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> Any:
    """Return channels laid out as squares."""
    n, c, h, w = x.spec.shape
    b, depth = blocksize, floor_divide(c, blocksize**2)
    if mode == "DCR":
        found = fn.transpose(fn.reshape(x, (n, b, b, depth, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        found = fn.transpose(fn.reshape(x, (n, depth, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return fn.reshape(found, (n, depth, multiply(h, b), multiply(w, b)))


@rule("SpaceToDepth")
def space_to_depth(call: Call, x: Node, *, blocksize: int, mode: Literal["DCR", "CRD"] = "DCR") -> Any:
    """Return squares as channels."""
    n, c, h, w = x.spec.shape
    b = blocksize
    rows, columns = floor_divide(h, b), floor_divide(w, b)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    found = fn.transpose(fn.reshape(x, (n, c, rows, b, columns, b)), order)
    return fn.reshape(found, (n, multiply(c, b * b), rows, columns))


@rule("Trilu")
def trilu(call: Call, x: Node, k: Known | None = None, *, upper: int = 1) -> Any:
    """Return the upper or the lower triangle of matrices, with zeros beside it."""
    return (fn.triu if upper else fn.tril)(x, 0 if k is None else int(k.reshape(())))


@rule("ReverseSequence")
def reverse_sequence(call: Call, x: Node, sequence_lens: Node, *, batch_axis: int = 1, time_axis: int = 0) -> Any:
    """Return x with the first so many elements of each sequence in the opposite order."""
    times, lengths = (
        _along(each, axis % x.ndim, x.ndim)
        for each, axis in ((fn.arange(x.spec.shape[time_axis], graph=x.graph), time_axis), (sequence_lens, batch_axis))
    )
    lengths = fn.cast(lengths, "int64")
    return fn.take_along_axis(x, fn.where(fn.less(times, lengths), lengths - 1 - times, times), time_axis)


def _along(x: Node, axis: int, ndim: int) -> Node:
    """Return a vector as an array of so many axes, along one of them."""
    return fn.reshape(x, (*[1] * axis, x.spec.shape[0], *[1] * (ndim - axis - 1)))


@rule("TensorScatter")
def tensor_scatter(
    call: Call,
    past: Node,
    update: Node,
    write_indices: Node | None = None,
    *,
    axis: int = -2,
    mode: Literal["linear", "circular"] = "linear",
) -> Any:
    """Return a cache with an update in it, from an index of each row of the batch on; around its end if circular."""
    place = axis % past.ndim
    at = _along(fn.arange(update.spec.shape[place], graph=past.graph), place, past.ndim)
    if write_indices is not None:
        at = at + _along(fn.cast(write_indices, "int64"), 0, past.ndim)
    if mode == "circular":
        at = fn.remainder(at, call.node(sized(past.spec.shape[place], np.int64)))
    return fn.put_along_axis(past, at, update, place)
