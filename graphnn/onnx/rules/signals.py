"""Fourier transforms as products with constant matrices, windows, and weights of mel bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Dim, Node, fn
from ...core.symbolic_shapes import add, floor_divide, multiply
from ..rule_registry import rule
from ..shape_arithmetic import sized
from ..tensors import dtype_of
from .kit import bounded

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Known


def _known(call: Call, dim: Dim, what: str) -> int:
    if not isinstance(dim, int):
        call.ask_for_sizes(what, [dim])
    return int(dim)


def _matrix(call: Call, length: int, count: int, sign: int) -> Array:
    """Return exp(sign · 2πi · row · column / length) of shape (length, count)."""
    bounded(call, length, count)
    turns = np.outer(np.arange(length), np.arange(count)) % length / length
    return np.asarray(np.exp(sign * 2j * np.pi * turns))


def _to_length(x: Node, axis: int, n: int, length: int) -> Node:
    if n > length:
        return fn.getitem(x, (*[slice(None)] * axis, slice(None, length)))
    widths = [(0, 0)] * x.ndim
    widths[axis] = (0, length - n)
    return fn.pad(x, tuple(widths)) if n < length else x


def _by_size(call: Call, x: Node, onesided: bool, sign: int) -> Node:
    """Return the transform of x of shape (…, n, 1 or 2), where n has a name: a run computes the matrix."""
    n = x.spec.shape[-2]
    count = add(floor_divide(n, 2), 1) if onesided else n
    rows, columns = (fn.arange(dim, graph=call.graph) for dim in (n, count))
    length = fn.cast(call.node(sized(n, np.int64)), np.float64)
    turns = fn.cast(fn.remainder(fn.expand_dims(rows, 1) * columns, fn.cast(length, np.int64)), np.float64) / length
    real, imaginary = fn.cos(turns * (2 * np.pi)), fn.sin(turns * (2 * np.pi * sign))
    if sign > 0:
        real, imaginary = real / length, imaginary / length
    parts = [(real, imaginary), (-imaginary, real)][: int(x.spec.shape[-1])]
    matrix = fn.stack([fn.stack(pair, axis=-1) for pair in parts], axis=1)
    product = multiply(n, len(parts))
    whole = fn.cast(fn.reshape(matrix, (product, multiply(count, 2))), x.spec.dtype)
    y = fn.matmul(fn.reshape(x, (*x.spec.shape[:-2], product)), whole)
    return fn.reshape(y, (*x.spec.shape[:-2], count, 2))


def _transformed(call: Call, x: Node, matrix: Array) -> Node:
    """Return x of shape (…, n, 1 or 2) times a matrix of complex numbers: (…, count, 2).

    Real and imaginary parts are one product of real matrices.
    """
    n, count = matrix.shape
    parts = int(x.spec.shape[-1])
    rows = np.empty((n, parts, count, 2))
    rows[:, 0] = np.stack([matrix.real, matrix.imag], -1)
    if parts == 2:
        rows[:, 1] = np.stack([-matrix.imag, matrix.real], -1)
    flat = fn.reshape(x, (*x.spec.shape[:-2], n * parts))
    whole = rows.reshape(n * parts, count * 2).astype(x.spec.dtype)
    y = fn.matmul(flat, call.node(whole))
    return fn.reshape(y, (*x.spec.shape[:-2], count, 2))


@rule("DFT")
def dft(
    call: Call,
    x: Node,
    dft_length: Known | None = None,
    axis: Known | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Any:
    """Return the discrete Fourier transform of x along an axis; its last axis has the real and imaginary parts."""
    place = (1 if call.version < 20 else -2) if axis is None else int(np.asarray(axis).reshape(()))
    place %= x.ndim
    turned = fn.moveaxis(x, place, -2) if place != x.ndim - 2 else x
    if dft_length is None and isinstance(x.spec.shape[place], str) and not (inverse and onesided):
        y = _by_size(call, turned, bool(onesided), 1 if inverse else -1)
        return fn.moveaxis(y, -2, place) if place != x.ndim - 2 else y
    n = _known(call, x.spec.shape[place], "the axis that is transformed")
    length = n if dft_length is None else int(np.asarray(dft_length).reshape(()))
    if inverse and onesided:
        length = 2 * (n - 1) if dft_length is None else length
        y = _real_again(call, _to_length(turned, x.ndim - 2, n, length // 2 + 1), length)
    else:
        turned = _to_length(turned, x.ndim - 2, n, length)
        count = length // 2 + 1 if onesided else length
        matrix = _matrix(call, length, count, 1 if inverse else -1)
        y = _transformed(call, turned, matrix / length if inverse else matrix)
    return fn.moveaxis(y, -2, place) if place != x.ndim - 2 else y


def _real_again(call: Call, x: Node, length: int) -> Node:
    """Return the real signal of the first half of a spectrum: the other half mirrors it."""
    bins = length // 2 + 1
    matrix = _matrix(call, length, length, 1)[:bins] / length
    twice = np.full((bins, 1), 2.0)
    twice[0] = 1
    if length % 2 == 0:
        twice[-1] = 1
    matrix = matrix * twice
    rows = np.stack([matrix.real, -matrix.imag], 1).reshape(bins * 2, length)
    y = fn.matmul(fn.reshape(x, (*x.spec.shape[:-2], bins * 2)), call.node(rows.astype(x.spec.dtype)))
    return fn.expand_dims(y, -1)


@rule("STFT")
def stft(
    call: Call,
    signal: Node,
    frame_step: Known,
    window: Node | None = None,
    frame_length: Known | None = None,
    *,
    onesided: int = 1,
) -> Any:
    """Return the Fourier transforms of windows that slide along a signal (batch, length, 1 or 2)."""
    if frame_length is not None:
        length = int(np.asarray(frame_length).reshape(()))
    else:
        given = signal.spec.shape[1] if window is None else window.spec.shape[0]
        length = _known(call, given, "the length of a frame")
    x = signal if signal.ndim == 3 else fn.expand_dims(signal, -1)
    frames = fn.windows(x, length, int(np.asarray(frame_step).reshape(())), axes=1)
    frames = fn.swapaxes(frames, -1, -2)
    matrix = _matrix(call, length, length // 2 + 1 if onesided else length, -1)
    known = None if window is None else call.reader.stored(window)
    if known is not None:
        matrix = matrix * known.astype(np.float64)[:, None]
    elif window is not None:
        frames = frames * fn.expand_dims(window, 1)
    return _transformed(call, frames, matrix)


@rule("HannWindow", "HammingWindow", "BlackmanWindow")
def window(call: Call, size: Known, *, output_datatype: int = 1, periodic: int = 1) -> Any:
    """Return a window of cosines."""
    n = int(np.asarray(size).reshape(()))
    bounded(call, n)
    turns = 2 * np.pi * np.arange(n) / max(n if periodic else n - 1, 1)
    weights = {
        "HannWindow": (0.5, -0.5),
        "HammingWindow": (25 / 46, -21 / 46),
        "BlackmanWindow": (0.42, -0.5, 0.08),
    }[call.op]
    whole = sum(weight * np.cos(turns * k) for k, weight in enumerate(weights))
    return np.asarray(whole, dtype_of(output_datatype, "its result"))


@rule("MelWeightMatrix")
def mel_weight_matrix(
    call: Call,
    num_mel_bins: Known,
    dft_length: Known,
    sample_rate: Known,
    lower_edge_hertz: Known,
    upper_edge_hertz: Known,
    *,
    output_datatype: int = 1,
) -> Any:
    """Return the weights of frequencies in triangles that lie evenly on the mel scale."""
    bins, length, rate = (int(each.reshape(())) for each in (num_mel_bins, dft_length, sample_rate))
    bounded(call, length, bins)
    low, high = (2595 * np.log10(1 + float(each.reshape(())) / 700) for each in (lower_edge_hertz, upper_edge_hertz))
    # ONNX divides by bins + 2, where bins + 1 would end at the upper edge.
    mels = low + np.arange(bins + 2) * ((high - low) / (bins + 2))
    points = (length + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate
    at = np.arange(length // 2 + 1)[:, None]
    left, centre, right = points[:-2], points[1:-1], points[2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(centre > left, (at - left) / (centre - left), at == centre)
        down = np.where(right > centre, (right - at) / (right - centre), 0)
    rising = (at >= left) & (at <= centre)
    falling = (at >= centre) & (at < right)
    matrix = np.where(falling, down, np.where(rising, up, 0))
    return np.asarray(matrix, dtype_of(output_datatype, "its result"))
