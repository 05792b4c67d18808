"""Operations on images: cropping, columns to images, boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...core import Node, fn
from ...core.symbolic_shapes import add
from ..rule_registry import rule
from .kit import each, ints

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims, Known


@rule("CenterCropPad")
def center_crop_pad(call: Call, x: Node, shape: Dims, *, axes: Any = None) -> Any:
    """Return the middle of x, or x in the middle of zeros."""
    chosen = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in ints(axes)]
    kept: list[Any] = [slice(None)] * x.ndim
    widths = [(0, 0)] * x.ndim
    for axis, wanted in zip(chosen, shape, strict=True):
        n = x.spec.shape[axis]
        if n == wanted:
            continue
        if not isinstance(n, int) or not isinstance(wanted, int):
            call.ask_for_sizes("what is cut off or added", [n, wanted])
        if wanted < n:
            start = (n - wanted) // 2
            kept[axis] = slice(start, start + wanted)
        else:
            before = (wanted - n) // 2
            widths[axis] = (before, wanted - n - before)
    if any(part != slice(None) for part in kept):
        x = fn.getitem(x, tuple(kept))
    return fn.pad(x, tuple(widths)) if any(any(pair) for pair in widths) else x


@rule("Col2Im")
def col2im(
    call: Call,
    x: Node,
    image_shape: Dims,
    block_shape: Known,
    *,
    dilations: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return images to which columns are added, each a block of its own."""
    sizes, axes = tuple(ints(block_shape)), len(image_shape)
    stride, dilation, ends = each(strides, axes), each(dilations, axes), each(pads, 2 * axes, 0)
    lengths = [add(n, ends[axis] + ends[axis + axes]) for axis, n in enumerate(image_shape)]
    if not all(isinstance(n, int) for n in lengths):
        call.ask_for_sizes("how large its images are", lengths)
    counts = [
        (int(n) - (size - 1) * d - 1) // s + 1 for n, size, d, s in zip(lengths, sizes, dilation, stride, strict=True)
    ]
    batch = x.spec.shape[0]
    channels = int(x.spec.shape[1]) // math.prod(sizes)
    blocks = fn.reshape(x, (batch, channels, *sizes, *counts))
    order = (0, 1, *range(axes + 2, 2 * axes + 2), *range(2, axes + 2))
    whole = (batch, channels, *lengths)
    y = fn.fold(fn.transpose(blocks, order), whole, sizes, stride, dilation, tuple(range(2, axes + 2)))
    if not any(ends):
        return y
    inner = [slice(ends[axis], ends[axis] + int(n)) for axis, n in enumerate(image_shape)]
    return fn.getitem(y, (slice(None), slice(None), *inner))
