"""Pooling: what is left of windows, of whole axes, and of regions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Dim, Node, fn
from ...core.symbolic_shapes import add, multiply, product, subtract
from ..rule_registry import rule
from .kit import Pairs, along, bounded, each, number, padded, padding, rounded_up, spans_of

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims


class _Pool:
    """How windows slide over x, and what is padded."""

    def __init__(
        self, x: Node, kernel_shape: Any, strides: Any, dilations: Any, pads: Any, auto_pad: str, ceil_mode: int
    ) -> None:
        self.x = x
        axes = x.ndim - 2
        self.sizes = each(kernel_shape, axes)
        self.strides, self.dilations = each(strides, axes), each(dilations, axes)
        self.spans = spans_of(self.sizes, self.dilations)
        self.lengths = x.spec.shape[2:]
        self.pairs = padding(self.lengths, self.spans, self.strides, pads, auto_pad)
        self.whole: Pairs = self.pairs
        if ceil_mode and auto_pad in ("NOTSET", "VALID"):
            self.whole = rounded_up(self.lengths, self.spans, self.strides, self.pairs)

    def windows(self, x: Node, pairs: Pairs, value: float = 0) -> Node:
        """Return the windows of padded x, each as one axis at the end."""
        axes = len(self.sizes)
        over = tuple(range(x.ndim - axes, x.ndim))
        moving = fn.windows(padded(x, pairs, value), self.sizes, self.strides, self.dilations, over)
        return fn.reshape(moving, (*moving.spec.shape[: x.ndim], math.prod(self.sizes)))

    def summed(self, x: Node) -> Node:
        """Return the sum of each window."""
        axes = len(self.sizes)
        over = tuple(range(x.ndim - axes, x.ndim))
        moving = fn.windows(padded(x, self.whole), self.sizes, self.strides, self.dilations, over)
        return fn.sum(moving, axis=tuple(range(x.ndim, x.ndim + axes)))

    def counts(self, call: Call, outside: bool) -> Node | None:
        """Return how many elements of each window count, or None where they all do."""
        edges = self.pairs if outside else [(0, 0)] * len(self.pairs)
        if edges == self.whole:
            return None
        kind = self.x.spec.dtype
        if all(isinstance(dim, int) for dim in (*self.lengths, *[end for pair in self.whole for end in pair])):
            bounded(call, *[1 + int(n) + int(b) + int(a) for n, (b, a) in zip(self.lengths, self.whole, strict=True)])
            lines = [self._counted(axis, edge) for axis, edge in enumerate(edges)]
            total = math.prod(np.ix_(*lines))
            return None if np.all(total == math.prod(self.sizes)) else call.node(np.asarray(total, kind))
        lengths = [add(n, add(*edge)) for n, edge in zip(self.lengths, edges, strict=True)]
        ones = fn.broadcast_to(call.node(np.ones((), kind)), (1, 1, *lengths))
        rest = [
            (subtract(whole[0], edge[0]), subtract(whole[1], edge[1]))
            for whole, edge in zip(self.whole, edges, strict=True)
        ]
        return fn.sum(self.windows(ones, rest), axis=-1)

    def _counted(self, axis: int, edge: tuple[Dim, Dim]) -> Array:
        n, (before, after), (left, right) = int(self.lengths[axis]), self.whole[axis], edge
        counted = np.zeros(n + int(before) + int(after), np.int64)
        counted[int(before) - int(left) : int(before) + n + int(right)] = 1
        windows = np.lib.stride_tricks.sliding_window_view(counted, self.spans[axis])
        return np.asarray(windows[:: self.strides[axis], :: self.dilations[axis]].sum(-1))

    def places(self, call: Call, column_major: bool) -> Node:
        """Return where in x the largest element of each window is: its number, counted through all of x."""
        if not all(isinstance(dim, int) for dim in self.lengths):
            call.refuse(f"its indices need x of a known size, and x is {self.x.spec.shape}")
        lengths = [int(dim) for dim in self.lengths]
        bounded(call, *lengths)
        bounded(call, *self.sizes)
        axes = len(lengths)
        steps = [math.prod(lengths[:axis] if column_major else lengths[axis + 1 :]) for axis in range(axes)]
        within = np.indices(self.sizes).reshape(axes, -1)
        offsets = sum(within[axis] * self.dilations[axis] * steps[axis] for axis in range(axes))
        found = fn.argmax(self.windows(self.x, self.whole, least(self.x)), axis=-1)
        starts = [
            (np.arange(count) * self.strides[axis] - int(self.whole[axis][0])) * steps[axis]
            for axis, count in enumerate(map(int, found.spec.shape[2:]))
        ]
        outer = sum(np.ix_(*starts))
        batch, channels = self.x.spec.shape[:2]
        images = fn.reshape(fn.arange(product((batch, channels)), graph=call.graph), (batch, channels, *[1] * axes))
        return (
            fn.take(call.node(np.asarray(offsets)), found) + call.node(np.asarray(outer)) + images * math.prod(lengths)
        )


def least(x: Node) -> float:
    """Return a number that is not larger than any of x's dtype."""
    return -np.inf if x.spec.dtype.kind == "f" else int(np.iinfo(x.spec.dtype).min)


@rule("MaxPool")
def max_pool(
    call: Call,
    x: Node,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    pads: Any = None,
    storage_order: int = 0,
    strides: Any = None,
) -> Any:
    """Return the largest element of each window, and where it is, if that is asked for."""
    pool = _Pool(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    y = fn.max_pool(padded(x, pool.whole, least(x)), pool.sizes, pool.strides, 0, pool.dilations)
    if len(call.outputs) < 2 or not call.outputs[1]:
        return y
    return y, pool.places(call, bool(storage_order))


@rule("AveragePool")
def average_pool(
    call: Call,
    x: Node,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the mean of each window: of what is in x, or also of its padding."""
    pool = _Pool(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    counts = pool.counts(call, bool(count_include_pad))
    if counts is not None:
        return pool.summed(x) / counts
    if set(pool.dilations) == {1}:
        return fn.average_pool(padded(x, pool.whole), pool.sizes, pool.strides)
    return pool.summed(x) / math.prod(pool.sizes)


@rule("LpPool")
def lp_pool(
    call: Call,
    x: Node,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    p: float = 2,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the norm of each window."""
    pool = _Pool(x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return _root(pool.summed(_powered(x, p)), p)


def _powered(x: Node, p: float) -> Node:
    return fn.square(x) if p == 2 else fn.absolute(x) if p == 1 else fn.power(fn.absolute(x), float(p))


def _root(x: Node, p: float) -> Node:
    return fn.sqrt(x) if p == 2 else x if p == 1 else fn.power(x, 1 / p)


@rule("GlobalAveragePool")
def global_average_pool(call: Call, x: Node) -> Any:
    """Return the mean of each channel."""
    return fn.mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@rule("GlobalMaxPool")
def global_max_pool(call: Call, x: Node) -> Any:
    """Return the largest element of each channel."""
    return fn.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)


@rule("GlobalLpPool")
def global_lp_pool(call: Call, x: Node, *, p: float = 2) -> Any:
    """Return the norm of each channel."""
    return _root(fn.sum(_powered(x, p), axis=tuple(range(2, x.ndim)), keepdims=True), p)


@rule("MaxUnpool")
def max_unpool(
    call: Call,
    x: Node,
    indices: Node,
    output_shape: Dims | None = None,
    *,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return zeros with the elements of x where `MaxPool` found them."""
    axes = x.ndim - 2
    sizes, steps, ends = each(kernel_shape, axes), each(strides, axes), each(pads, 2 * axes, 0)
    lengths = [
        add(multiply(subtract(n, 1), steps[axis]), sizes[axis] - ends[axis] - ends[axis + axes])
        for axis, n in enumerate(x.spec.shape[2:])
    ]
    shape = (*x.spec.shape[:2], *lengths)
    zeros = fn.broadcast_to(number(call, 0, x), (product(shape),))
    flat = fn.put_along_axis(zeros, fn.reshape(indices, (-1,)), fn.reshape(x, (-1,)), axis=0)
    y = fn.reshape(flat, shape)
    if output_shape is None:
        return y
    return padded(y, [(0, subtract(wanted, n)) for wanted, n in zip(output_shape, shape, strict=True)])


@rule("MaxRoiPool")
def max_roi_pool(call: Call, x: Node, rois: Node, *, pooled_shape: Any, spatial_scale: float = 1.0) -> Any:
    """Return the largest elements of parts of regions: along one axis, then along the other."""
    numbers = fn.cast(fn.getitem(rois, (slice(None), 0)), "int64")
    scaled = fn.getitem(rois, (slice(None), slice(1, None))) * number(call, spatial_scale, rois)
    # Halves are rounded up, as in C for what is not negative.
    corners = fn.floor(scaled + number(call, 0.5, rois))
    y = fn.take(x, numbers, axis=0)
    for axis, (first, parts) in enumerate(zip((1, 0), pooled_shape, strict=True), 2):
        n = x.spec.shape[axis]
        start = fn.getitem(corners, (slice(None), slice(first, first + 1)))
        end = fn.getitem(corners, (slice(None), slice(first + 2, first + 3)))
        width = fn.maximum(end - start + 1, number(call, 1, start)) / parts
        bounded(call, parts)
        steps = np.arange(parts, dtype=rois.spec.dtype)
        low = fn.floor(width * call.node(steps)) + start
        high = fn.ceil(width * call.node(steps + 1)) + start
        at = along(call, fn.cast(fn.arange(n, graph=call.graph), rois.spec.dtype), 3, 2)
        inside = fn.logical_and(fn.greater_equal(at, fn.expand_dims(low, 2)), fn.less(at, fn.expand_dims(high, 2)))
        mask = fn.expand_dims(inside, (1, 4) if axis == 2 else (1, 2))
        y = fn.expand_dims(y, axis)
        y = fn.max(fn.where(mask, y, number(call, -np.inf, y)), axis=axis + 1)
    return fn.where(fn.isinf(y), number(call, 0, y), y)
