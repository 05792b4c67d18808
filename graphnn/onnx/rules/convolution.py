"""Convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import short_repr
from ...core import Node, fn
from ...core.symbolic_shapes import product
from ..rule_registry import rule
from .integer_matmul import aligned, centred, exact, requantized
from .kit import along, bounded, check_auto_pad, computed, each, ints, padded, padding, spans_of
from .sampling import linear

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value


def _convolved(
    call: Call,
    x: Node,
    w: Node,
    auto_pad: str,
    dilations: Any,
    group: int,
    pads: Any,
    strides: Any,
) -> Node:
    """Return the convolution of x, padded as ONNX says, with a kernel."""
    axes = x.ndim - 2
    sizes = _sizes(call, w)
    stride, dilation = each(strides, axes), each(dilations, axes)
    pairs = padding(x.spec.shape[2:], spans_of(sizes, dilation), stride, pads, auto_pad)
    return fn.conv(padded(x, pairs), w, stride, 0, dilation, group)


def _sizes(call: Call, w: Node) -> tuple[int, ...]:
    sizes = w.spec.shape[2:]
    if not all(isinstance(size, int) for size in sizes):
        call.refuse(f"the size of its kernel is not known: {sizes}")
    asked = call.attributes.get("kernel_shape")
    if asked is not None and tuple(ints(asked)) != sizes:
        call.refuse(f"its kernel_shape is {short_repr(asked)}, and its weights are for {sizes}")
    return tuple(int(size) for size in sizes)


@rule("Conv")
def conv(
    call: Call,
    x: Node,
    w: Node,
    b: Value = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the convolution of x with a kernel."""
    y = _convolved(call, x, w, auto_pad, dilations, group, pads, strides)
    return y if b is None else fn.add(y, along(call, b, y.ndim))


@rule("ConvTranspose")
def conv_transpose(
    call: Call,
    x: Node,
    w: Node,
    b: Value = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    output_padding: Any = None,
    output_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the transposed convolution of x with a kernel, cut to the shape that is asked for."""
    axes = x.ndim - 2
    stride, dilation, more = each(strides, axes), each(dilations, axes), each(output_padding, axes, 0)
    spans = spans_of(_sizes(call, w), dilation)
    check_auto_pad(auto_pad)
    if output_shape is None and auto_pad in ("NOTSET", "VALID"):
        pairs = padding(x.spec.shape[2:], spans, stride, pads, auto_pad)
    else:
        totals = [span - s + m for span, s, m in zip(spans, stride, more, strict=True)]
        if output_shape is not None:
            lengths = x.spec.shape[2:]
            if not all(isinstance(n, int) for n in lengths):
                call.refuse(f"its output_shape needs x of a known size, and x is {x.spec.shape}")
            whole = zip(lengths, stride, totals, output_shape[-axes:], strict=True)
            totals = [int(n) * s + total - wanted for n, s, total, wanted in whole]
        more = tuple(m + max(-total, 0) for m, total in zip(more, totals, strict=True))
        halves = [max(total, 0) // 2 for total in totals]
        pairs = [(half, max(total, 0) - half) for half, total in zip(halves, totals, strict=True)]
        if auto_pad != "SAME_UPPER":
            pairs = [(after, before) for before, after in pairs]
    y = fn.conv_transpose(x, w, stride, tuple(pairs), more, dilation, group)
    return y if b is None else fn.add(y, along(call, b, y.ndim))


@rule("DeformConv")
def deform_conv(
    call: Call,
    x: Node,
    w: Node,
    offset: Node,
    b: Value = None,
    mask: Node | None = None,
    *,
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    offset_group: int = 1,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the convolution of what x is at places that are moved by offsets."""
    axes, sizes = x.ndim - 2, _sizes(call, w)
    stride, dilation = each(strides, axes), each(dilations, axes)
    before = each(pads, 2 * axes, 0)[:axes]
    batch, channels = x.spec.shape[:2]
    counts = offset.spec.shape[2:]
    places = math.prod(sizes)
    bounded(call, places, axes)
    moves = fn.reshape(offset, (batch, offset_group, places, axes, *counts))
    within = np.indices(sizes).reshape(axes, places)
    coordinates = []
    for axis in range(axes):
        inner = within[axis] * dilation[axis] - before[axis]
        outer = fn.cast(fn.arange(counts[axis], graph=call.graph), x.spec.dtype) * stride[axis]
        place = along(call, inner.astype(x.spec.dtype), axes + 1, 0) + along(call, outer, axes + 1, axis + 1)
        moved = fn.getitem(moves, (slice(None), slice(None), slice(None), axis)) + place
        coordinates.append(fn.reshape(moved, (product((batch, offset_group)), -1)))
    grouped = fn.reshape(x, (product((batch, offset_group)), int(channels) // offset_group, *x.spec.shape[2:]))
    taken = linear(call, grouped, coordinates)
    if mask is not None:
        weights = fn.reshape(mask, (product((batch, offset_group)), 1, -1))
        taken = taken * weights
    length = int(channels) // group * places
    columns = fn.reshape(taken, (batch, group, length, product(counts)))
    kernel = fn.reshape(w, (group, int(w.spec.shape[0]) // group, length))
    y = fn.reshape(fn.matmul(kernel, columns), (batch, w.spec.shape[0], *counts))
    return y if b is None else fn.add(y, along(call, b, y.ndim))


# --- of whole numbers -----------------------------------------------------------------------------------------------


@rule("ConvInteger")
def conv_integer(
    call: Call,
    x: Node,
    w: Value,
    x_zero_point: Value = None,
    w_zero_point: Value = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the convolution of bytes with bytes as int32, by floats that hold it exactly."""
    kind = exact(call, w, w_zero_point, tuple(range(1, w.ndim)))
    a, c = centred(call, x, x_zero_point, kind), centred(call, w, w_zero_point, kind, 0)
    return fn.cast(_convolved(call, a, c, auto_pad, dilations, group, pads, strides), "int32")


@rule("QLinearConv")
def qlinear_conv(
    call: Call,
    x: Node,
    x_scale: Value,
    x_zero_point: Value,
    w: Value,
    w_scale: Value,
    w_zero_point: Value,
    y_scale: Value,
    y_zero_point: Value,
    b: Value = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the convolution of bytes with bytes, scaled to bytes."""
    kind = exact(call, w, w_zero_point, tuple(range(1, w.ndim)))
    a, c = centred(call, x, x_zero_point, kind), centred(call, w, w_zero_point, kind, 0)
    y = _convolved(call, a, c, auto_pad, dilations, group, pads, strides)
    if b is not None:
        y = y + fn.cast(along(call, b, y.ndim), kind)
    scale = computed(call, lambda a, c, d: a * c / d, lambda a, c, d: a * c / d, x_scale, w_scale, y_scale)
    y = fn.cast(y, scale.dtype) * call.node(aligned(call, scale, y.ndim, 1))
    return requantized(call, y, aligned(call, y_zero_point, y.ndim, None))
