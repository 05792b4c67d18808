"""Convolutions and pooling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Dim, Node, fn
from ...core.symbolic_shapes import add, clamp, floor_divide, multiply, product, subtract
from .call import lengths
from .images import along
from .indexing import put_flat
from .shapes import part
from .table import aten, refused

if TYPE_CHECKING:
    from .call import Call


def _batched(x: Node, axes: int) -> tuple[Node, bool]:
    """Return x with an axis of samples, and whether it had none."""
    alone = x.ndim == axes + 1
    return (fn.expand_dims(x, 0) if alone else x), alone


def _with_bias(found: Node, bias: Node | None, axes: int) -> Node:
    return found if bias is None else found + fn.reshape(bias, (-1, *[1] * axes))


@aten("conv1d", "conv2d", "conv3d")
def conv(
    call: Call,
    input: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Node:
    """Return the convolution of x with a weight."""
    axes = weight.ndim - 2
    x, alone = _batched(input, axes)
    spread = lengths(dilation, axes)
    pad = _padding(weight, padding, spread, axes)
    found = fn.conv(x, weight, lengths(stride, axes), pad, spread, groups)
    found = _with_bias(found, bias, axes)
    return fn.squeeze(found, 0) if alone else found


def _padding(weight: Node, padding: Any, dilation: Any, axes: int) -> Any:
    """Return (before, after) of each axis."""
    if isinstance(padding, str):
        if padding == "valid":
            return tuple((0, 0) for _ in range(axes))
        pairs = []
        for size, spread in zip(weight.spec.shape[2:], dilation, strict=True):
            total = spread * (int(size) - 1)
            pairs.append((total // 2, total - total // 2))
        return tuple(pairs)
    return tuple((each, each) for each in lengths(padding, axes))


@aten("convolution")
def convolution(
    call: Call,
    input: Node,
    weight: Node,
    bias: Node | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Node:
    """Return a convolution, or a transposed one."""
    if transposed:
        return conv_transpose(call, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(call, input, weight, bias, stride, padding, dilation, groups)


@aten("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    call: Call,
    input: Node,
    weight: Node,
    bias: Node | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Node:
    """Return the transposed convolution of x with a weight."""
    axes = weight.ndim - 2
    x, alone = _batched(input, axes)
    found = fn.conv_transpose(
        x,
        weight,
        lengths(stride, axes),
        tuple((each, each) for each in lengths(padding, axes)),
        lengths(output_padding, axes),
        lengths(dilation, axes),
        groups,
    )
    found = _with_bias(found, bias, axes)
    return fn.squeeze(found, 0) if alone else found


# --- pooling --------------------------------------------------------------------------------------------------------


def _rounded_up(n: Dim, span: int, stride: int, pad: int) -> Dim:
    """Return how many elements more there are at the end, so that windows that begin within x or before it fit."""
    whole = add(n, 2 * pad)
    last = floor_divide(add(subtract(whole, span), stride - 1), stride)
    beginning = floor_divide(subtract(add(n, pad), 1), stride)
    last = subtract(last, clamp(subtract(last, beginning)))
    return clamp(subtract(add(multiply(last, stride), span), whole))


def _windows(x: Node, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, axes: int) -> Any:
    """Return sizes, strides, and padding of windows: (before, after) of each axis."""
    spans = lengths(size, axes)
    steps = lengths(stride, axes) if stride else spans
    spread = lengths(dilation, axes)
    pads: list[tuple[Any, Any]] = []
    for axis, (span, step, pad, gap) in enumerate(zip(spans, steps, lengths(padding, axes), spread, strict=True)):
        n = x.spec.shape[x.ndim - axes + axis]
        more = _rounded_up(n, (span - 1) * gap + 1, step, pad) if ceil_mode else 0
        pads.append((pad, add(pad, more)))
    return spans, steps, tuple(pads), spread


def _max_pool(axes: int, with_places: bool) -> Any:
    def rule(
        call: Call,
        self: Node,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        """Return the largest element of each window."""
        x, alone = _batched(self, axes)
        spans, steps, pads, spread = _windows(x, kernel_size, stride, padding, dilation, ceil_mode, axes)
        found = fn.max_pool(x, spans, steps, pads, spread)
        found = fn.squeeze(found, 0) if alone else found
        if not with_places:
            return found
        if not call.wanted(1):
            return found, None
        places = _places(call, x, spans, steps, pads, spread)
        return found, fn.squeeze(places, 0) if alone else places

    return rule


def _places(call: Call, x: Node, spans: Any, steps: Any, pads: Any, spread: Any) -> Node:
    """Return the flat places of the largest elements of windows."""
    axes = len(spans)
    sizes = x.spec.shape[x.ndim - axes :]
    if not all(isinstance(size, int) for size in sizes):
        call.refuse("the places of the largest elements of a size with a name: leave it out of dims=")
    inner = tuple(range(-axes, 0))
    padded = fn.pad(x, ((0, 0), (0, 0), *pads), constant_values=-np.inf) if any(map(any, pads)) else x
    moving = fn.windows(padded, spans, steps, spread, axes=inner)
    shape = moving.spec.shape[: moving.ndim - axes]
    best = fn.argmax(fn.reshape(moving, (*shape, math.prod(spans))), axis=-1)
    flat = np.pad(np.arange(math.prod(sizes)).reshape(sizes), pads, constant_values=-1)  # type: ignore[arg-type]
    for axis, (span, step, gap) in enumerate(zip(spans, steps, spread, strict=True)):
        flat = np.lib.stride_tricks.sliding_window_view(flat, (span - 1) * gap + 1, axis=axis)
        flat = flat[(slice(None),) * axis + (slice(None, None, step),)][..., ::gap]
    table = call.graph.constant(flat.reshape((*map(int, shape[2:]), math.prod(spans))))
    table = fn.broadcast_to(table, (*shape, math.prod(spans)))
    return fn.squeeze(fn.take_along_axis(table, fn.expand_dims(best, -1), axis=-1), -1)


@aten("max_unpool2d", "max_unpool3d")
def max_unpool(
    call: Call, self: Node, indices: Node, output_size: Any, stride: Any = None, padding: Any = None
) -> Node:
    """Return zeros with elements at flat places."""
    lead = self.ndim - len(output_size)
    return put_flat(self, indices, lead, tuple(output_size))


for _axes in (1, 2, 3):
    aten(f"max_pool{_axes}d")(_max_pool(_axes, with_places=False))
    aten(f"max_pool{_axes}d_with_indices")(_max_pool(_axes, with_places=True))


def _avg_pool(axes: int) -> Any:
    def rule(
        call: Call,
        self: Node,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Node:
        """Return the mean of each window, or its sum divided by another number."""
        x, alone = _batched(self, axes)
        spans, steps, pads, _ = _windows(x, kernel_size, stride, padding, 1, ceil_mode, axes)
        plain = all(before == after for before, after in pads)
        if divisor_override is not None:
            found = _window_sums(x, spans, steps, pads) / divisor_override
        elif plain:
            found = fn.average_pool(x, spans, steps, pads, count_include_pad)
        else:
            # What rounding up adds at the end does not count, and what the padding adds does if it is to.
            ones = fn.broadcast_to(call.node(1, x.spec.dtype), (1, 1, *x.spec.shape[2:]))
            inner = [(pad, pad) for pad, _ in pads] if count_include_pad else [(0, 0)] * axes
            rest = [(0, subtract(after, pad)) if count_include_pad else (pad, after) for pad, after in pads]
            counted = fn.pad(ones, ((0, 0), (0, 0), *inner), constant_values=1)
            found = _window_sums(x, spans, steps, pads) / _window_sums(counted, spans, steps, rest)
        return fn.squeeze(found, 0) if alone else found

    return rule


def _window_sums(x: Node, spans: Any, steps: Any, pads: Any) -> Node:
    axes = len(spans)
    padded = x if all(pair == (0, 0) for pair in pads) else fn.pad(x, ((0, 0), (0, 0), *pads))
    moving = fn.windows(padded, spans, steps, axes=tuple(range(-axes, 0)))
    return fn.sum(moving, axis=tuple(range(-axes, 0)))


for _axes in (1, 2, 3):
    aten(f"avg_pool{_axes}d")(_avg_pool(_axes))


@aten(
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"
)
def adaptive_avg_pool(call: Call, self: Node, output_size: Any) -> Node:
    """Return the means of so many parts."""
    axes = len(output_size)
    if all(size == 1 for size in output_size):
        return fn.mean(self, tuple(range(self.ndim - axes, self.ndim)), keepdims=True)
    x, alone = _batched(self, axes)
    sizes = x.spec.shape[2:]
    if all(isinstance(size, int) and size % out for size, out in zip(sizes, output_size, strict=True)):
        for axis, (size, out) in enumerate(zip(sizes, output_size, strict=True)):
            x = along(x, call.graph.constant(_shares(int(size), out).astype(x.spec.dtype)), axis + 2)
        found = x
    else:
        found = fn.adaptive_average_pool(x, tuple(output_size))
    return fn.squeeze(found, 0) if alone else found


def _shares(size: int, out: int) -> Array:
    """Return the matrix that takes the means of parts that differ in size or lie over each other."""
    found = np.zeros((out, size))
    for row in range(out):
        first, last = row * size // out, -((row + 1) * size // -out)
        found[row, first:last] = 1 / (last - first)
    return found


@aten("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(call: Call, self: Node, output_size: Any) -> tuple[Node, None]:
    """Return the largest elements of so many parts."""
    if call.wanted(1):
        call.refuse("graphnn does not tell where the largest elements are: write return_indices=False")
    x, alone = _batched(self, len(output_size))
    found = fn.adaptive_max_pool(x, tuple(output_size))
    return (fn.squeeze(found, 0) if alone else found), None


@aten("im2col")
def im2col(call: Call, self: Node, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Node:
    """Return windows of images as columns."""
    x, alone = _batched(self, 2)
    spans, gaps, pads, steps = (lengths(each, 2) for each in (kernel_size, dilation, padding, stride))
    x = fn.pad(x, ((0, 0), (0, 0), *((p, p) for p in pads))) if any(pads) else x
    moving = fn.windows(x, spans, steps, gaps, axes=(-2, -1))  # (n, c, rows, columns, high, wide)
    n, c, rows, columns, high, wide = moving.spec.shape
    found = fn.reshape(fn.transpose(moving, (0, 1, 4, 5, 2, 3)), (n, product((c, high, wide)), multiply(rows, columns)))
    return fn.squeeze(found, 0) if alone else found


@aten("col2im")
def col2im(
    call: Call, self: Node, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Node:
    """Return images as the sums of windows."""
    x = fn.expand_dims(self, 0) if self.ndim == 2 else self
    spans, gaps, pads, steps = (lengths(each, 2) for each in (kernel_size, dilation, padding, stride))
    n, together, _ = x.spec.shape
    channels = floor_divide(together, spans[0] * spans[1])
    sizes = [add(size, 2 * pad) for size, pad in zip(output_size, pads, strict=True)]
    counts = [
        add(floor_divide(subtract(size, (span - 1) * gap + 1), step), 1)
        for size, span, gap, step in zip(sizes, spans, gaps, steps, strict=True)
    ]
    moving = fn.transpose(fn.reshape(x, (n, channels, *spans, *counts)), (0, 1, 4, 5, 2, 3))
    found = fn.fold(moving, (n, channels, *sizes), spans, steps, gaps, axes=(-2, -1))
    for axis, (pad, size) in enumerate(zip(pads, output_size, strict=True)):
        found = part(found, axis + 2, pad, add(pad, size)) if pad else found
    return fn.squeeze(found, 0) if self.ndim == 2 else found


_FRACTIONAL = "it chooses windows at random: write F.max_pool2d or F.adaptive_max_pool2d"
refused("fractional_max_pool2d", "fractional_max_pool3d", why=f"graphnn has no fractional_max_pool; {_FRACTIONAL}")
