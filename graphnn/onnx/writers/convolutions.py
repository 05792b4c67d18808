"""Convolution as ONNX's Conv, and pooling as the largest of slices: engines compute them many times as fast so.

Their groups read what the windows slide over, and so the windows need no ONNX nodes if nothing else reads them.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.symbolic_shapes import add, multiply, subtract
from ...ops import linalg, shape, sliding_windows

if TYPE_CHECKING:
    from ...core import Node
    from .draft import Value
    from .group import Group


def convolution(g: Group, node: Node) -> Value | None:
    """Return a product of a kernel and columns of windows, which `gn.conv` makes; None where it is another product."""
    kernel, columns = node.inputs
    turned = _operand(columns, shape.Reshape)
    moving = None if turned is None else _operand(turned, linalg.Transpose)
    x = None if moving is None else _operand(moving, sliding_windows.Windows)
    w = _operand(kernel, shape.Reshape)
    if x is None or w is None or turned is None or moving is None:
        return None
    axes = x.ndim - 2
    groups = node.spec.shape[1] if node.ndim == 4 else 1
    order = (0, 1, *range(axes + 2, 2 * axes + 2), *range(2, axes + 2))
    filters, length = w.spec.shape[0], columns.spec.shape[-2]
    batch = (x.spec.shape[0], *([groups] if node.ndim == 4 else []))
    is_one = (
        turned.op.attributes["axes"] == order
        and columns.spec.shape[:-2] == batch
        and w.ndim == x.ndim
        and isinstance(filters, int)
        and isinstance(groups, int)
        and kernel.spec.shape == (*batch[1:], filters // groups, length)
        and node.ndim == len(batch) + 2
    )
    return _written(g, moving, x, w, groups) if is_one else None


def depthwise(g: Group, node: Node) -> Value | None:
    """Return the sum of products that `gn.conv` makes where each channel has a kernel of its own; else None."""
    if len(node.inputs) != 2:
        return None
    moving, kernel = node.inputs
    x, w = _operand(moving, sliding_windows.Windows), _operand(kernel, shape.Reshape)
    if x is None or w is None or w.ndim != x.ndim:
        return None
    left, _, right = node.op.attributes["subscripts"].partition("->")
    first, second = left.split(",")
    axes = x.ndim - 2
    fits = right == first[: x.ndim] and second == first[1] + first[x.ndim :] and len(set(first)) == 2 * axes + 2
    if not fits or w.spec.shape[:2] != (x.spec.shape[1], 1):
        return None
    return _written(g, moving, x, w, w.spec.shape[0])


_MOST_PLACES = 64


def pooled(g: Group, kind: str, axes: tuple[int, ...]) -> Value | None:
    """Return a reduction over the places of windows, as `gn.max_pool` makes it, of slices; else None.

    A slice has what stands at one place of each window, so that nothing is copied for the windows.
    """
    (turned,) = g.node.inputs
    moving = _operand(turned, linalg.Transpose)
    x = None if moving is None else _operand(moving, sliding_windows.Windows)
    if x is None or moving is None or g.node.op.attributes["keepdims"]:
        return None
    op: Any = moving.op
    slides = op.slides(x.ndim)
    count = len(slides)
    order = (*range(x.ndim, x.ndim + count), *range(x.ndim))
    if axes != tuple(range(count)) or turned.op.attributes["axes"] != order:
        return None
    if math.prod(slide.size for slide in slides) > _MOST_PLACES:
        return None
    parts = []
    for place in itertools.product(*(range(slide.size) for slide in slides)):
        cuts = []
        for slide, i in zip(slides, place, strict=True):
            first = i * slide.dilation
            last = multiply(subtract(moving.spec.shape[slide.axis], 1), slide.stride)
            cuts.append((slide.axis, first, add(last, first + 1), slide.stride))
        parts.append(g.slice(g.value_of(x), cuts))
    return g(kind, *parts)


def _operand(node: Node, kind: type) -> Node | None:
    """Return the operand of a node of a kind of operation, else None."""
    return node.inputs[0] if isinstance(node.op, kind) else None


def _written(g: Group, moving: Node, x: Node, w: Node, groups: Any) -> Value | None:
    op: Any = moving.op
    slides = op.slides(x.ndim)
    in_order = [slide.axis for slide in slides] == list(range(2, x.ndim))
    sizes = tuple(slide.size for slide in slides)
    if not in_order or w.spec.shape[2:] != sizes or {x.dtype, w.dtype} != {np.dtype(np.float32)}:
        return None
    found = g(
        "Conv",
        g.value_of(x),
        g.value_of(w),
        kernel_shape=list(sizes),
        strides=[slide.stride for slide in slides],
        dilations=[slide.dilation for slide in slides],
        group=groups,
    )
    return g.reshape(found, g.node.spec.shape)
