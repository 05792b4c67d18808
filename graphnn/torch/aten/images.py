"""Images in other sizes, and read at places: by constant matrices, one for each axis, and by rows of pixels."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Node, fn
from ...core.symbolic_shapes import multiply, product
from .call import cast, several
from .table import aten

if TYPE_CHECKING:
    from .call import Call

_CUBIC = -0.75
_CUBIC_SMOOTHED = -0.5


def _cubic(x: Any, a: float) -> tuple[Any, Any]:
    """Return the weights of cubic convolution for distances up to 2, of an array or a node."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return near, far


def _cubic_array(x: Array, a: float) -> Array:
    x = np.abs(x)
    near, far = _cubic(x, a)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


# --- other sizes ----------------------------------------------------------------------------------------------------


def _step(size: int, out: int, align_corners: bool, scale: float | None) -> float:
    """Return how far pixels of the result are from each other in x."""
    if align_corners:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return 1 / scale if scale else size / out


def _smoothed(size: int, out: int, step: float, cubic: bool) -> Array:
    """Return the matrix of an axis whose filter widens where the result has fewer pixels."""
    wide = max(step, 1.0)
    reach = (2.0 if cubic else 1.0) * wide
    found = np.zeros((out, size))
    for row in range(out):
        middle = step * (row + 0.5)
        first, last = max(int(middle - reach + 0.5), 0), min(int(middle + reach + 0.5), size)
        far = (np.arange(first, last) - middle + 0.5) / wide
        weights = _cubic_array(far, _CUBIC_SMOOTHED) if cubic else np.maximum(1 - np.abs(far), 0)
        found[row, first:last] = weights / weights.sum()
    return found


def _matrix(size: int, out: int, align_corners: bool, scale: float | None, cubic: bool, antialias: bool) -> Array:
    """Return what each pixel of the result takes of each pixel of x, along one axis."""
    step = _step(size, out, align_corners, scale)
    if antialias:
        return _smoothed(size, out, step, cubic)
    places = np.arange(out) * step if align_corners else (np.arange(out) + 0.5) * step - 0.5
    if not cubic:
        places = np.maximum(places, 0)
    base = np.floor(places).astype(int)
    part = places - base
    found = np.zeros((out, size))
    for offset in (-1, 0, 1, 2) if cubic else (0, 1):
        weights = _cubic_array(part - offset, _CUBIC) if cubic else (part if offset else 1 - part)
        np.add.at(found, (np.arange(out), np.clip(base + offset, 0, size - 1)), weights)
    return found


def _sizes(call: Call, x: Node, output_size: Any, scales: Any) -> tuple[list[int], list[int], list[float | None]]:
    """Return the sizes of the images of x, those of the result, and the scales that were given."""
    axes = x.ndim - 2
    before = x.spec.shape[2:]
    given = [*(scales or ())] or [None] * axes
    if output_size is not None:
        after = list(output_size)
    elif all(isinstance(size, int) for size in before):
        after = [math.floor(float(size) * scale) for size, scale in zip(before, given, strict=True)]
    else:
        after = [""]
    if not all(isinstance(size, int) for size in (*before, *after)):
        call.refuse("the size of an image has a name, and its weights depend on it: leave the size out of dims=")
    return list(before), after, given  # type: ignore[arg-type]


def along(x: Node, matrix: Node, axis: int) -> Node:
    """Return the product of a matrix and x along an axis."""
    shape = x.spec.shape
    if axis == x.ndim - 1:
        return fn.matmul(x, fn.transpose(matrix, (1, 0)))
    if axis == x.ndim - 2:
        return fn.matmul(matrix, x)
    flat = fn.matmul(matrix, fn.reshape(x, (*shape[: axis + 1], product(shape[axis + 1 :]))))
    return fn.reshape(flat, (*shape[:axis], flat.spec.shape[-2], *shape[axis + 1 :]))


def _resized(
    call: Call, x: Node, output_size: Any, align_corners: bool, scales: Any, cubic: bool, antialias: bool
) -> Node:
    before, after, given = _sizes(call, x, output_size, scales)
    for place, (size, out, scale) in enumerate(zip(before, after, given, strict=True)):
        matrix = _matrix(size, out, align_corners, scale, cubic, antialias)
        if size == out and np.array_equal(matrix, np.eye(size)):
            continue
        x = along(x, call.graph.constant(matrix.astype(x.spec.dtype)), place + 2)
    return x


def _by_weights(*names: str, cubic: bool, antialias: bool = False) -> None:
    @aten(*(f"{name}{overload}" for name in names for overload in ("", ".vec")))
    def rule(
        call: Call,
        input: Any = None,
        self: Any = None,
        output_size: Any = None,
        align_corners: bool = False,
        scale_factors: Any = None,
        scales: float | None = None,
        scales_d: float | None = None,
        scales_h: float | None = None,
        scales_w: float | None = None,
    ) -> Node:
        x = self if input is None else input
        if scale_factors is None:
            single = [scales] if x.ndim == 3 else [scales_d, scales_h, scales_w][5 - x.ndim :]
            scale_factors = single if any(each is not None for each in single) else None
        return _resized(call, x, output_size, align_corners, scale_factors, cubic, antialias)


_by_weights("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", cubic=False)
_by_weights("upsample_bicubic2d", cubic=True)
_by_weights("_upsample_bilinear2d_aa", cubic=False, antialias=True)
_by_weights("_upsample_bicubic2d_aa", cubic=True, antialias=True)


@aten(
    *(f"upsample_nearest{axes}d{end}" for axes in (1, 2, 3) for end in ("", ".vec")),
    *(f"_upsample_nearest_exact{axes}d{end}" for axes in (1, 2, 3) for end in ("", ".vec")),
)
def nearest(
    call: Call,
    input: Any = None,
    self: Any = None,
    output_size: Any = None,
    scale_factors: Any = None,
    scales: float | None = None,
    scales_d: float | None = None,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Node:
    """Return images of other sizes, of which each pixel is one of x."""
    x = self if input is None else input
    if scale_factors is None:
        single = [scales] if x.ndim == 3 else [scales_d, scales_h, scales_w][5 - x.ndim :]
        scale_factors = single if any(each is not None for each in single) else None
    before, after, given = _sizes(call, x, output_size, scale_factors)
    # PyTorch reckons places in float32.
    shift = np.float32(0.5 if "exact" in call.op else 0)
    all_places = []
    for size, out, scale in zip(before, after, given, strict=True):
        step = np.float32(1 / scale if scale else size / out)
        places = np.floor((np.arange(out, dtype=np.float32) + shift) * step).astype(int)
        all_places.append(np.arange(size) if out == size else np.minimum(places, size - 1))
    times = [out // size for size, out in zip(before, after, strict=True)]
    whole = all(
        np.array_equal(places, np.arange(size).repeat(count))
        for places, size, count in zip(all_places, before, times, strict=True)
    )
    if whole:
        lead = x.spec.shape[:2]
        narrow = fn.reshape(x, (*lead, *itertools.chain.from_iterable((size, 1) for size in before)))
        pairs = itertools.chain.from_iterable(zip(before, times, strict=True))
        return fn.reshape(fn.broadcast_to(narrow, (*lead, *pairs)), (*lead, *after))
    for axis, places in enumerate(all_places):
        if not np.array_equal(places, np.arange(before[axis])):
            x = fn.take(x, call.graph.constant(places), axis=axis + 2)
    assert isinstance(x, Node)
    return x


# --- images read at places ------------------------------------------------------------------------------------------


def _unnormalized(x: Node, size: int, align_corners: bool) -> Node:
    """Return places among pixels of places from -1 to 1."""
    return (x + 1) * ((size - 1) / 2) if align_corners else (x + 1) * (size / 2) - 0.5


def _clipped(x: Node, size: int) -> Node:
    """Return places within an image; no gradient passes at its ends."""
    inside = fn.greater(x, 0) & fn.less(x, size - 1)
    return fn.where(inside, x, fn.clip(fn.stop_gradient(x), 0.0, float(size - 1)))


def _reflected(x: Node, size: int, align_corners: bool) -> Node:
    low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
    if low == high:
        return x * 0.0
    moved = x - low
    moved = fn.where(fn.less(moved, 0), -moved, moved)
    span = high - low
    rest = fn.fmod(moved, span)
    odd = fn.not_equal(fn.fmod(fn.floor(fn.stop_gradient(moved) / span), 2.0), 0)
    return fn.where(odd, high - rest, rest + low)


def _kept(x: Node, size: int, padding: int, align_corners: bool) -> Node:
    """Return places as the padding mode moves them: 0 zeros, 1 the border, 2 reflection."""
    if padding == 0:
        return x
    return _clipped(_reflected(x, size, align_corners) if padding == 2 else x, size)


_Around = list[list[tuple[Node, Node | None]]]
"""For each axis the pixels that a place takes from: where they are, and their weights; None counts as 1."""


def _around(place: Node, size: int, mode: int, padding: int, align_corners: bool) -> list[tuple[Node, Node | None]]:
    if mode == 1:
        return [(fn.round(fn.stop_gradient(_kept(place, size, padding, align_corners))), None)]
    if mode == 0:
        place = _kept(place, size, padding, align_corners)
        first = fn.floor(place)
        part = place - first
        return [(first, 1 - part), (first + 1, part)]
    first = fn.floor(place)
    part = place - first
    found: list[tuple[Node, Node | None]] = []
    for offset, far in ((-1, part + 1), (0, part), (1, 1 - part), (2, 2 - part)):
        near, away = _cubic(far, _CUBIC)
        moved = fn.stop_gradient(_kept(first + float(offset), size, padding, align_corners))
        found.append((moved, near if offset in (0, 1) else away))
    return found


@aten("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sample(
    call: Call, input: Node, grid: Node, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Node:
    """Return pixels of images at places of a grid, from -1 to 1: bilinear, the nearest one, or bicubic."""
    batch, channels, *sizes = input.spec.shape
    if not all(isinstance(size, int) for size in sizes):
        call.refuse("the size of an image has a name: leave the size out of dims=")
    _, *shape, axes = grid.spec.shape
    count = product(shape)
    coordinates = several(fn.unbind(fn.reshape(grid, (batch, count, axes)), axis=2))[::-1]
    around: _Around = [
        _around(
            _unnormalized(each, int(size), align_corners), int(size), interpolation_mode, padding_mode, align_corners
        )
        for each, size in zip(coordinates, sizes, strict=True)
    ]
    axis_places, axis_weights = [], []
    for pixels, size in zip(around, sizes, strict=True):
        whole = fn.stack([place for place, _ in pixels], axis=1)
        inside = fn.greater_equal(whole, 0) & fn.less(whole, size)
        weights = None if pixels[0][1] is None else fn.stack([weight for _, weight in pixels], axis=1)
        axis_weights.append(fn.where(inside, 1.0 if weights is None else weights, 0.0))
        axis_places.append(cast(fn.clip(whole, 0.0, float(size) - 1), np.int64))
    places, weights = axis_places[0], cast(axis_weights[0], input.spec.dtype)
    for more, factor, size in zip(axis_places[1:], axis_weights[1:], sizes[1:], strict=True):
        together = multiply(places.spec.shape[1], more.spec.shape[1])
        places = fn.reshape(fn.expand_dims(places, 2) * size + fn.expand_dims(more, 1), (batch, together, count))
        weights = fn.reshape(fn.expand_dims(weights, 2) * fn.expand_dims(factor, 1), (batch, together, count))
    pixels_of = product(sizes)
    rows = fn.reshape(fn.moveaxis(input, 1, -1), (multiply(batch, pixels_of), channels))
    first = fn.reshape(fn.arange(batch, graph=call.graph) * pixels_of, (batch, 1, 1))
    found = fn.einsum("nkl,nklc->ncl", weights, fn.take(rows, places + first, axis=0))
    return fn.reshape(found, (batch, channels, *shape))
