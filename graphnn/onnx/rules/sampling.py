"""What arrays are at places between their elements: GridSample, AffineGrid, RoiAlign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Dim, Node, fn
from ...core.symbolic_shapes import multiply, product
from .. import shape_arithmetic as of
from ..rule_registry import rule
from .kit import along, bounded, number

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims

Taps = list[tuple[Node, Node]]
"""For each axis, the places of elements that are read, as whole floats, and their weights: both (batch, taps, n)."""


def extent(call: Call, dim: Dim, dtype: Any) -> Node:
    """Return a size as a node of floats."""
    if isinstance(dim, int):
        return call.node(np.asarray(dim, dtype))
    return fn.cast(call.node(of.sized(dim, np.int64)), dtype)


def read(call: Call, x: Node, taps: Taps) -> Node:
    """Return the elements of x (batch, channels, ...) at taps, times their weights: (batch, channels, taps, n)."""
    axes = len(taps)
    places: Any = None
    weights: Any = None
    for axis, (place, weight) in enumerate(taps):
        spread = (*range(1, axis + 1), *range(axis + 2, axes + 1))
        stride = product(x.spec.shape[axis + 3 :])
        place, weight = fn.expand_dims(fn.cast(place, "int64"), spread), fn.expand_dims(weight, spread)
        scaled = place if stride == 1 else place * fn.cast(extent(call, stride, np.float64), "int64")
        places = scaled if places is None else places + scaled
        weights = weight if weights is None else weights * weight
    batch, channels = x.spec.shape[:2]
    count = places.spec.shape[-1]
    flat = fn.reshape(x, (batch, channels, product(x.spec.shape[2:])))
    taken = fn.take_along_axis(flat, fn.reshape(places, (batch, 1, -1)), axis=2)
    parts = product(places.spec.shape[1:-1])
    taken = fn.reshape(taken, (batch, channels, parts, count))
    return taken * fn.cast(fn.reshape(weights, (batch, 1, parts, count)), x.spec.dtype)


def within(call: Call, place: Node, n: Node) -> tuple[Node, Node]:
    """Return places kept inside an axis of n elements, and whether they were there, as a float."""
    zero, last = number(call, 0, place), n - number(call, 1, n)
    inside = fn.logical_and(fn.greater_equal(place, zero), fn.less_equal(place, last))
    return fn.minimum(fn.maximum(place, zero), last), fn.cast(inside, place.spec.dtype)


def linear(call: Call, x: Node, coordinates: Sequence[Node]) -> Node:
    """Return x (batch, channels, ...) at places (batch, n), between its elements; outside of it are zeros."""
    taps: Taps = []
    for axis, coordinate in enumerate(coordinates):
        places, weights = _taps(call, coordinate, "linear")
        places, inside = within(call, places, extent(call, x.spec.shape[axis + 2], coordinate.spec.dtype))
        taps.append((places, weights * inside))
    return fn.sum(read(call, x, taps), axis=2)


def _taps(call: Call, coordinate: Node, mode: str, a: float = -0.75) -> tuple[Node, Node]:
    """Return the places (batch, taps, n) around coordinates (batch, n), and their weights."""
    at = fn.expand_dims(coordinate, 1)
    if mode == "nearest":
        return fn.round(at), fn.ones_like(at)
    first = fn.floor(at)
    rest = at - first
    steps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    places = first + along(call, np.array(steps, at.spec.dtype), 3)
    if mode == "linear":
        return places, fn.concatenate([1 - rest, rest], axis=1)
    far, near = rest + 1, 1 - rest
    weights = [
        ((far * a - 5 * a) * far + 8 * a) * far - 4 * a,
        (rest * (a + 2) - (a + 3)) * rest * rest + 1,
        (near * (a + 2) - (a + 3)) * near * near + 1,
        (((near + 1) * a - 5 * a) * (near + 1) + 8 * a) * (near + 1) - 4 * a,
    ]
    return places, fn.concatenate(weights, axis=1)


def _mirrored(call: Call, place: Node, n: Node, align_corners: int) -> Node:
    """Return places reflected at the ends of an axis until they are inside: at elements, or half a place beyond."""
    low = number(call, 0 if align_corners else -0.5, place)
    width = n - number(call, 1, n) if align_corners else n
    width = fn.maximum(width, number(call, 1e-6, width))
    over = fn.remainder(fn.absolute(place - low), width * 2)
    return low + fn.minimum(over, width * 2 - over)


@rule("GridSample")
def grid_sample(
    call: Call,
    x: Node,
    grid: Node,
    *,
    mode: str = "linear",
    padding_mode: str = "zeros",
    align_corners: int = 0,
) -> Any:
    """Return x at the places of a grid, which goes from -1 to 1 along each axis, the last axis first."""
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if mode not in ("linear", "cubic", "nearest") or padding_mode not in ("zeros", "border", "reflection"):
        call.refuse(f"graphnn does not know its mode {mode!r} with the padding {padding_mode!r}")
    axes, counts = x.ndim - 2, grid.spec.shape[1:-1]
    flat = fn.reshape(grid, (grid.spec.shape[0], product(counts), axes))
    taps: Taps = []
    for axis in range(axes):
        n = extent(call, x.spec.shape[axis + 2], grid.spec.dtype)
        at = fn.getitem(flat, (slice(None), slice(None), axes - 1 - axis))
        at = (at + 1) * ((n - 1) / 2) if align_corners else ((at + 1) * n - 1) / 2
        if mode == "nearest":
            at = fn.round(at)
        if padding_mode == "border" and mode == "linear":
            at, _ = within(call, at, n)
        elif padding_mode == "reflection" and mode != "cubic":
            at = _mirrored(call, at, n, align_corners)
        places, weights = _taps(call, at, mode)
        if padding_mode == "reflection" and mode == "cubic":
            places = _mirrored(call, places, n, align_corners)
        places, inside = within(call, places, n)
        taps.append((places, weights * inside if padding_mode == "zeros" else weights))
    taken = read(call, x, taps)
    return fn.reshape(fn.sum(taken, axis=2), (*x.spec.shape[:2], *counts))


@rule("AffineGrid")
def affine_grid(call: Call, theta: Node, size: Dims, *, align_corners: int = 0) -> Any:
    """Return the grid that `GridSample` takes, moved by affine maps."""
    counts = size[2:]
    if not all(isinstance(n, int) for n in counts):
        call.ask_for_sizes("how large the grid is", counts)
    bounded(call, *counts, len(counts) + 1)
    lines = []
    for n in map(int, counts):
        steps = np.arange(n) / max(n - 1, 1) * 2 - 1 if align_corners else (2 * np.arange(n) + 1) / n - 1
        lines.append(steps)
    places = np.meshgrid(*lines, indexing="ij")[::-1]
    rows = np.stack([*places, np.ones(places[0].shape)], -1).reshape(-1, len(counts) + 1)
    grid = fn.matmul(call.node(rows.astype(theta.spec.dtype)), fn.swapaxes(theta, -1, -2))
    return fn.reshape(grid, (size[0], *counts, len(counts)))


def _roi_taps(call: Call, start: Node, length: Node, n: Dim, parts: int, ratio: int) -> tuple[Node, Node]:
    """Return places (rois, 2, parts * ratio) that lie evenly in a region, and their weights."""
    bounded(call, parts, ratio)
    steps = (np.arange(parts * ratio) + 0.5) / (parts * ratio)
    at = fn.expand_dims(start, 1) + fn.expand_dims(length, 1) * call.node(steps.astype(start.spec.dtype))
    size = extent(call, n, at.spec.dtype)
    inside = fn.logical_and(fn.greater_equal(at, number(call, -1, at)), fn.less_equal(at, size))
    at, _ = within(call, at, size)
    places, weights = _taps(call, at, "linear")
    places, _ = within(call, places, size)
    return places, weights * fn.expand_dims(fn.cast(inside, at.spec.dtype), 1)


@rule("RoiAlign")
def roi_align(
    call: Call,
    x: Node,
    rois: Node,
    batch_indices: Node,
    *,
    coordinate_transformation_mode: str | None = None,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Any:
    """Return what x is in regions, each divided into the same number of parts."""
    if sampling_ratio <= 0:
        call.refuse("its sampling_ratio is 0, so how many places it reads depends on data")
    half = (
        coordinate_transformation_mode or ("half_pixel" if call.version >= 16 else "output_half_pixel")
    ) == "half_pixel"
    corners = rois * number(call, spatial_scale, rois) - number(call, 0.5 if half else 0, rois)
    left, top, right, bottom = (fn.getitem(corners, (slice(None), place)) for place in range(4))
    height, width = bottom - top, right - left
    if not half:
        height, width = (fn.maximum(side, number(call, 1, side)) for side in (height, width))
    batch, channels, rows, columns = x.spec.shape
    taps_y = _roi_taps(call, top, height, rows, output_height, sampling_ratio)
    taps_x = _roi_taps(call, left, width, columns, output_width, sampling_ratio)
    y, y_weight = (fn.expand_dims(each, (2, 4)) for each in taps_y)
    xs, x_weight = (fn.expand_dims(each, (1, 3)) for each in taps_x)
    first = fn.cast(batch_indices, "int64") * fn.cast(extent(call, multiply(rows, columns), np.float64), "int64")
    places = fn.cast(y * extent(call, columns, y.spec.dtype) + xs, "int64")
    places = places + along(call, first, 5, 0)
    flat = fn.reshape(fn.transpose(x, (1, 0, 2, 3)), (channels, product((batch, rows, columns))))
    taken = fn.take(flat, places, axis=1) * fn.cast(y_weight * x_weight, x.spec.dtype)
    summed = fn.sum(taken, axis=(2, 3)) if mode == "avg" else fn.max(taken, axis=(2, 3))
    parts = fn.reshape(
        summed, (channels, rois.spec.shape[0], output_height, sampling_ratio, output_width, sampling_ratio)
    )
    pooled = fn.mean(parts, axis=(3, 5)) if mode == "avg" else fn.max(parts, axis=(3, 5))
    return fn.transpose(pooled, (1, 0, 2, 3))
