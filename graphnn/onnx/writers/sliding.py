"""Windows that slide along axes, and their adjoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.symbolic_shapes import add, multiply, subtract
from ...ops import sliding_windows as ops
from .group import Group, writes
from .indexing import added

if TYPE_CHECKING:
    from .draft import Value


def _places(g: Group, slide: Any, count: Any) -> Value:
    """Return for each window along an axis, and each place in it, which element stands there."""
    first = g.unsqueeze(g.range(count, step=slide.stride), 1)
    return g("Add", first, g.unsqueeze(g.range(slide.size, step=slide.dilation), 0))


def _slid(g: Group, x: Value, slide: Any, count: Any) -> Value:
    """Return the windows along an axis, with the places in a window as a new axis after it."""
    if slide.size > _FEW:
        return g("Gather", x, _places(g, slide, count), axis=slide.axis)
    last = multiply(subtract(count, 1), slide.stride)
    parts = []
    for first in range(0, slide.size * slide.dilation, slide.dilation):
        part = g.slice(x, [(slide.axis, first, add(last, first + 1), slide.stride)])
        parts.append(g.unsqueeze(part, slide.axis + 1))
    return g("Concat", *parts, axis=slide.axis + 1)


_FEW = 16
"""Windows of so many elements are slices side by side, which ONNX Runtime copies faster than elements one by one."""


@writes(ops.Windows)
def _windows(g: Group, op: Any, x: Value) -> Value:
    ndim, shape = len(g.dims(0)), g.node.spec.shape
    slides = list(op.slides(ndim))
    order = [[axis] for axis in range(ndim)]
    for number, slide in sorted(enumerate(slides), key=lambda pair: -pair[1].axis):
        x = _slid(g, x, slide, shape[slide.axis])
        order[slide.axis].append(ndim + number)
    return g.transpose(x, _back([axis for axes in order for axis in axes]))


def _back(order: list[int]) -> list[int]:
    return [order.index(axis) for axis in range(len(order))]


@writes(ops.Fold)
def _fold(g: Group, op: Any, x: Value) -> Value:
    ndim, dims = len(op.shape), list(g.dims(0))
    slides = list(op.slides(ndim))
    while slides:  # add up along one axis at a time, the last ones first
        slide = slides.pop()
        count, size = slide.axis, ndim + len(slides)
        order = [size, count, *[axis for axis in range(len(dims)) if axis not in (size, count)]]
        places = g.transpose(_places(g, slide, dims[count]), (1, 0))
        beside = [dims[axis] for axis in order[2:]]
        total = added(g, [op.shape[count], *beside], g.unsqueeze(places, 2), g.transpose(x, order))
        del dims[size]
        dims[count] = op.shape[count]
        x = g.transpose(total, [*range(1, count + 1), 0, *range(count + 1, len(dims))])
    return x
