"""Resize and Upsample: along each axis, a product with a constant matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ...core import Array, Dim, Node, fn
from ...core.symbolic_shapes import floor_divide, multiply
from .. import shape_arithmetic as of
from ..rule_registry import rule
from .kit import bounded, ints, number

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value

_MOST_DENSE = 256
"""Up to so many elements, a whole matrix multiplies an axis; beyond, its few elements of each row do."""


class _Settings(NamedTuple):
    mode: str
    transform: str
    nearest: str
    cubic: float
    antialias: bool
    exclude: bool


def _kernel(settings: _Settings, scale: float) -> tuple[Any, float]:
    """Return the weight at a distance, and how far it reaches."""
    wide = min(scale, 1.0) if settings.antialias else 1.0
    a = settings.cubic

    def linear(d: Array) -> Array:
        return np.asarray(np.maximum(1 - np.abs(d * wide), 0))

    def cubic(d: Array) -> Array:
        x = np.abs(d * wide)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    return (linear, 1 / wide) if settings.mode == "linear" else (cubic, 2 / wide)


def _taps(at: Array, settings: _Settings, scale: float) -> tuple[Array, Array]:
    """Return which elements are read for each coordinate, and their weights: (count, taps)."""
    if settings.mode == "nearest":
        places = {
            "round_prefer_floor": np.ceil(at - 0.5),
            "round_prefer_ceil": np.floor(at + 0.5),
            "floor": np.floor(at),
            "ceil": np.ceil(at),
        }[settings.nearest]
        return places.astype(np.int64)[:, None], np.ones((len(at), 1))
    kernel, reach = _kernel(settings, scale)
    half = math.ceil(reach)
    places = np.floor(at)[:, None] + np.arange(1 - half, half + 1)
    weights = kernel(places - at[:, None])
    return places.astype(np.int64), weights / weights.sum(1, keepdims=True)


def _coordinates(settings: _Settings, n: int, count: int, scale: float, roi: tuple[float, float]) -> Array:
    """Return where in an axis of n elements each of so many new ones is."""
    y = np.arange(count, dtype=np.float64)
    length = scale * n
    match settings.transform:
        case "asymmetric":
            return y / scale
        case "align_corners":
            return np.zeros(count) if length == 1 else y * (n - 1) / (length - 1)
        case "tf_crop_and_resize":
            start, end = roi
            inner = (
                np.full(count, (end - start) * (n - 1) / 2)
                if length == 1
                else (y * (end - start) * (n - 1) / (length - 1))
            )
            return inner + start * (n - 1)
        case "pytorch_half_pixel" if length <= 1:
            return np.full(count, -0.5)
        case "tf_half_pixel_for_nn":
            return (y + 0.5) / scale
        case "half_pixel_symmetric":
            return n / 2 * (1 - count / length) + (y + 0.5) / scale - 0.5
    return (y + 0.5) / scale - 0.5


_TRANSFORMS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)


def _resized(call: Call, x: Node, axis: int, count: int, scale: float, settings: _Settings, at: Array) -> Node:
    """Return x with an axis of known size resized."""
    n = int(x.spec.shape[axis])
    bounded(call, count, min(n, _MOST_DENSE), 1 if scale >= 1 or not settings.antialias else 1 / scale)
    places, weights = _taps(at, settings, scale)
    if settings.exclude:
        weights = np.where((places < 0) | (places >= n), 0, weights)
        weights = weights / weights.sum(1, keepdims=True)
    places = np.clip(places, 0, n - 1)
    if settings.mode == "nearest":
        return fn.take(x, call.node(places[:, 0]), axis=axis)
    if n <= _MOST_DENSE:
        matrix = np.zeros((count, n))
        np.add.at(matrix, (np.arange(count)[:, None], places), weights)
        return _multiplied(call, x, axis, matrix)
    behind = (1,) * (x.ndim - axis - 1)
    total: Node | None = None
    for place, weight in zip(places.T, weights.T, strict=True):
        part = fn.take(x, call.node(np.ascontiguousarray(place)), axis=axis)
        part = part * call.node(weight.astype(x.spec.dtype).reshape(-1, *behind))
        total = part if total is None else total + part
    assert total is not None  # there is one tap at least
    return total


def _multiplied(call: Call, x: Node, axis: int, matrix: Array) -> Node:
    """Return the products of a matrix with x along an axis."""
    kind = x.spec.dtype
    if axis == x.ndim - 1:
        return fn.matmul(x, call.node(np.ascontiguousarray(matrix.T, kind)))
    if axis == x.ndim - 2:
        return fn.matmul(call.node(matrix.astype(kind)), x)
    turned = fn.matmul(fn.moveaxis(x, axis, -1), call.node(np.ascontiguousarray(matrix.T, kind)))
    return fn.moveaxis(turned, -1, axis)


def _by_phases(call: Call, x: Node, axis: int, up: int, down: int, settings: _Settings) -> Node:
    """Return x with an axis of a named size resized by up, or divided by down.

    What each new element is then repeats: it is a product of a window of x with one of `up` rows.
    """
    n = x.spec.shape[axis]
    fixed = settings.transform in ("align_corners", "tf_crop_and_resize") or settings.exclude
    if fixed or (settings.antialias and down > 1):
        call.ask_for_sizes("what each element is computed from", [n])
    bounded(call, up, 8, 1 + down)
    many = 1 << 20  # half_pixel for a long axis
    at = _coordinates(settings, many, up, up / down, (0, 1))
    places, weights = _taps(at, settings, up / down)
    if settings.mode == "nearest" and not places.any() and down == 1:
        return fn.repeat(x, up, axis=axis)
    first, last = int(places.min()), int(places.max())
    kernel = np.zeros((up, last - first + 1))
    np.add.at(kernel, (np.arange(up)[:, None], places - first), weights)
    widths = [(0, 0)] * x.ndim
    widths[axis] = (max(-first, 0), max(last - down + 1, 0))
    wide = fn.pad(x, tuple(widths), mode="edge") if any(widths[axis]) else x
    if first > 0:
        wide = fn.getitem(wide, (*[slice(None)] * axis, slice(first, None)))
    moving = fn.windows(wide, last - first + 1, down, axes=axis)
    y = fn.matmul(moving, call.node(np.ascontiguousarray(kernel.T, x.spec.dtype)))
    if up == 1:
        return fn.reshape(y, y.spec.shape[:-1])
    counts = y.spec.shape[axis]
    y = fn.moveaxis(y, -1, axis + 1)
    return fn.reshape(y, (*x.spec.shape[:axis], multiply(counts, up), *x.spec.shape[axis + 1 :]))


class _Axis(NamedTuple):
    """How an axis is resized: to how many elements, by which scale."""

    length: Dim
    scale: Any


def _by_scale(call: Call, n: Dim, scale: Any) -> _Axis:
    if isinstance(scale, (of.Scaled, str)):
        call.ask_for_sizes("its scale", [scale.dim if isinstance(scale, of.Scaled) else scale])
    scale = float(scale)
    if isinstance(n, int):
        return _Axis(math.floor(n * scale), scale)
    up, down = (round(scale), 1) if scale >= 1 else (1, round(1 / scale))
    if scale not in (up, 1 / down) and abs(up / down - scale) > 1e-6:
        call.ask_for_sizes(f"what a scale of {scale:g} makes", [n])
    return _Axis(floor_divide(multiply(n, up), down), up / down)


def _by_size(call: Call, n: Dim, count: Any) -> _Axis:
    if isinstance(n, int) and isinstance(count, int):
        return _Axis(count, count / n)
    try:
        scale = of.over(count, n)
    except of.Undecided:
        scale = None
    if not isinstance(scale, (int, float)):
        try:
            scale = 1 / of.over(n, count)
        except (of.Undecided, TypeError):
            call.refuse(f'the size "{n}" becomes "{count}", which is not a whole multiple of it; fix sizes')
    return _Axis(count, float(scale))


def _kept(axes: list[_Axis], lengths: list[Dim], policy: str) -> list[_Axis]:
    """Return one scale for all axes: the smallest or the largest."""
    scale = (min if policy == "not_larger" else max)(each.scale for each in axes)
    return [_Axis(math.floor(scale * int(n) + 0.5), scale) for n in lengths]


@rule("Resize")
def resize(
    call: Call,
    x: Node,
    roi: Value = None,
    scales: Value = None,
    sizes: Value = None,
    *,
    antialias: int = 0,
    axes: Any = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: Literal["stretch", "not_larger", "not_smaller"] = "stretch",
    mode: Literal["nearest", "linear", "cubic"] = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Any:
    """Return x resized along its axes: one after the other, as they are independent."""
    if call.version < 11:
        return upsample(call, x, roi, mode=mode)
    if coordinate_transformation_mode not in _TRANSFORMS:
        call.refuse(f"graphnn does not know its coordinates {coordinate_transformation_mode!r}")
    settings = _Settings(
        mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, bool(antialias), bool(exclude_outside)
    )
    chosen = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in ints(axes)]
    lengths = [x.spec.shape[axis] for axis in chosen]
    steps = _steps(call, lengths, scales, sizes)
    if keep_aspect_ratio_policy != "stretch" and _places(call, sizes):
        if not all(isinstance(n, int) for n in lengths):
            call.ask_for_sizes("the aspect ratio that it keeps", lengths)
        steps = _kept(steps, lengths, keep_aspect_ratio_policy)
    crops = [(0.0, 1.0)] * len(chosen)
    if settings.transform == "tf_crop_and_resize":
        ends = call.known(roi, "roi").reshape(2, -1)
        crops = [(float(ends[0, place]), float(ends[1, place])) for place in range(len(chosen))]
    return _all_axes(call, x, list(zip(chosen, steps, crops, strict=True)), settings, extrapolation_value)


def _places(call: Call, value: Value) -> list[Any]:
    """Return what is given for each axis, or nothing."""
    if value is None:
        return []
    value = call.known(value, "what it is resized to") if isinstance(value, Node) else value
    return list(of.boxed(value).reshape(-1))


def _steps(call: Call, lengths: list[Dim], scales: Value, sizes: Value) -> list[_Axis]:
    counts, factors = _places(call, sizes), _places(call, scales)
    if counts:
        return [_by_size(call, n, count) for n, count in zip(lengths, counts, strict=True)]
    return [_by_scale(call, n, scale) for n, scale in zip(lengths, factors, strict=True)]


def _all_axes(
    call: Call,
    x: Node,
    axes: list[tuple[int, _Axis, tuple[float, float]]],
    settings: _Settings,
    outside: float,
) -> Node:
    given = x.spec.dtype
    y = x if given.kind == "f" or settings.mode == "nearest" else fn.cast(x, "float32")
    for axis, step, roi in axes:
        n = x.spec.shape[axis]
        if step.length == n and step.scale == 1 and roi == (0.0, 1.0):
            continue
        if not isinstance(n, int) or not isinstance(step.length, int):
            up, down = (round(step.scale), 1) if step.scale >= 1 else (1, round(1 / step.scale))
            y = _by_phases(call, y, axis, up, down, settings)
            continue
        bounded(call, step.length)
        at = _coordinates(settings, n, step.length, step.scale, roi)
        y = _resized(call, y, axis, step.length, step.scale, settings, at)
        beyond = (at < 0) | (at > n - 1)
        if settings.transform == "tf_crop_and_resize" and beyond.any():
            mask = call.node(beyond.reshape(-1, *[1] * (x.ndim - axis - 1)))
            y = fn.where(mask, number(call, outside, y), y)
    if y.spec.dtype == given:
        return y
    bounds = np.iinfo(given)
    return fn.cast(fn.clip(y, float(bounds.min), float(bounds.max)), given)


@rule("Upsample")
def upsample(
    call: Call, x: Node, scales: Value = None, *, mode: Literal["nearest", "linear", "bilinear", "cubic"] = "nearest"
) -> Any:
    """Return x enlarged along its axes."""
    settings = _Settings(
        "linear" if mode in ("linear", "bilinear") else mode, "asymmetric", "floor", -0.75, False, False
    )
    steps = _steps(call, list(x.spec.shape), scales, None)
    return _all_axes(call, x, [(axis, step, (0.0, 1.0)) for axis, step in enumerate(steps)], settings, 0.0)
