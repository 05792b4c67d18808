"""Fourier transforms as products with constant matrices: of a long axis, in two steps of shorter ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Node, fn
from .complex_numbers import COMPLEX, Complex

if TYPE_CHECKING:
    from .call import Call

_LONGEST = 512
"""The longest axis that one matrix transforms."""


def _angles(rows: int, columns: int, n: int) -> Array:
    """Return 2π j k / n, reckoned with whole numbers as far as it goes."""
    return (np.outer(np.arange(rows), np.arange(columns)) % n) * (2 * np.pi / n)


def _length(call: Call, size: Any, asked: Any) -> int:
    n = size if asked is None or asked == -1 else asked
    if not isinstance(n, int) or not isinstance(size, int):
        call.refuse("a Fourier transform along a size with a name: leave the size out of dims=")
    return n


def _factor(n: int, norm: Any, forward: bool) -> float:
    """Return by what a transform is multiplied."""
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if (norm == "forward") is forward else 1.0


def _matrix(call: Call, x: Node, values: Array) -> Node:
    return fn.matmul(x, call.graph.constant(values.astype(x.spec.dtype)))


def _split(x: Node, m: int) -> Complex:
    return Complex(fn.getitem(x, (..., slice(None, m))), fn.getitem(x, (..., slice(m, None))))


def _cut(x: Node | Complex, n: int) -> Any:
    """Return no more than n of the last axis."""
    if isinstance(x, Complex):
        return Complex(*(_cut(each, n) for each in x))
    size: Any = x.spec.shape[-1]
    return fn.getitem(x, (..., slice(None, n))) if size > n else x


def _last(call: Call, x: Node | Complex, n: int, out: int, forward: bool, factor: float) -> Complex:
    """Return the first elements of the transform along the last axis, of x filled with zeros up to n."""
    x = _cut(x, n)
    size: Any = (x.real if isinstance(x, Complex) else x).spec.shape[-1]
    if n > _LONGEST:
        first = next((each for each in range(math.isqrt(n), 1, -1) if n % each == 0), 1)
        if first > 1:
            return _in_two_steps(call, x, first, n // first, out, forward, factor)
    angles = _angles(size, out, n)
    cos, sin = np.cos(angles) * factor, np.sin(angles) * (-factor if forward else factor)
    if isinstance(x, Complex):
        both = fn.concatenate([x.real, x.imag], axis=-1)
        return _split(_matrix(call, both, np.block([[cos, sin], [-sin, cos]])), out)
    return _split(_matrix(call, x, np.hstack([cos, sin])), out)


def _in_two_steps(
    call: Call, x: Node | Complex, rows: int, columns: int, out: int, forward: bool, factor: float
) -> Complex:
    """Return a transform by those of the rows and the columns of a matrix (Cooley and Tukey)."""
    n = rows * columns

    def folded(part: Node) -> Node:
        size: Any = part.spec.shape[-1]
        if size < n:
            part = fn.pad(part, (*[(0, 0)] * (part.ndim - 1), (0, n - size)))
        return fn.swapaxes(fn.reshape(part, (*part.spec.shape[:-1], rows, columns)), -1, -2)

    turned = Complex(*(folded(each) for each in x)) if isinstance(x, Complex) else folded(x)
    inner = _last(call, turned, rows, rows, forward, factor)
    angles = _angles(columns, rows, n)
    dtype = inner.real.spec.dtype
    cos = call.graph.constant(np.cos(angles).astype(dtype))
    sin = call.graph.constant((np.sin(angles) * (-1 if forward else 1)).astype(dtype))
    real, imag = inner.real * cos - inner.imag * sin, inner.real * sin + inner.imag * cos
    outer = _last(call, Complex(fn.swapaxes(real, -1, -2), fn.swapaxes(imag, -1, -2)), columns, columns, forward, 1.0)

    def flat(part: Node) -> Node:
        part = fn.swapaxes(part, -1, -2)
        return _cut(fn.reshape(part, (*part.spec.shape[:-2], n)), out)  # type: ignore[no-any-return]

    return Complex(flat(outer.real), flat(outer.imag))


def _back_to_real(call: Call, x: Complex, n: int, factor: float) -> Node:
    """Return the real numbers whose transform begins with x."""
    half = n // 2 + 1
    x = _cut(x, half)
    size: Any = x.real.spec.shape[-1]
    if n > _LONGEST:
        # The other half is the conjugate of the first one, backwards. Imaginary parts at both ends count for nothing.
        pads = (*[(0, 0)] * (x.real.ndim - 1), (0, half - size))
        real, imag = (fn.pad(each, pads) if size < half else each for each in x)
        inner = (..., slice(1, n - half + 1))
        own = np.ones(half)
        own[[0, *([half - 1] if n % 2 == 0 else [])]] = 0
        imag = imag * call.graph.constant(own.astype(imag.spec.dtype))
        whole = Complex(
            fn.concatenate([real, fn.flip(fn.getitem(real, inner), -1)], axis=-1),
            fn.concatenate([imag, -fn.flip(fn.getitem(imag, inner), -1)], axis=-1),
        )
        return _last(call, whole, n, n, False, factor).real
    angles = _angles(size, n, n)
    times = np.full((size, 1), 2.0)
    times[0] = 1
    if n % 2 == 0 and size == half:
        times[-1] = 1
    both = fn.concatenate([x.real, x.imag], axis=-1)
    return _matrix(call, both, np.vstack([np.cos(angles) * times, -np.sin(angles) * times]) * factor)


def _along(call: Call, x: Node | Complex, axis: int, transform: Any) -> Any:
    """Return a transform along an axis."""
    ndim = (x.real if isinstance(x, Complex) else x).ndim
    last = axis % ndim == ndim - 1

    def moved(part: Node, back: bool) -> Node:
        return part if last else fn.moveaxis(part, -1, axis) if back else fn.moveaxis(part, axis, -1)

    turned = Complex(*(moved(each, False) for each in x)) if isinstance(x, Complex) else moved(x, False)
    found = transform(turned)
    return Complex(*(moved(each, True) for each in found)) if isinstance(found, Complex) else moved(found, True)


def _size(x: Node | Complex, axis: int) -> Any:
    return (x.real if isinstance(x, Complex) else x).spec.shape[axis]


def _transformed(
    call: Call, x: Node | Complex, n: Any, axis: int, forward: bool, factor: Any, half: bool = False
) -> Complex:
    length = _length(call, _size(x, axis), n)
    by = factor(length) if callable(factor) else factor
    out = length // 2 + 1 if half else length
    return _along(call, x, axis, lambda part: _last(call, part, length, out, forward, by))  # type: ignore[no-any-return]


def _axes(x: Node | Complex, s: Any, dim: Any) -> tuple[list[int], list[Any]]:
    ndim = (x.real if isinstance(x, Complex) else x).ndim
    sizes = None if s is None else [s] if isinstance(s, int) else list(s)
    if dim is None:
        axes = list(range(ndim)) if sizes is None else list(range(ndim - len(sizes), ndim))
    else:
        axes = [dim] if isinstance(dim, int) else list(dim)
    return axes, sizes or [None] * len(axes)


def _rule(name: str, kind: str, forward: bool) -> None:
    def rule(
        call: Call, self: Any, n: Any = None, s: Any = None, dim: Any = -1, norm: Any = None, **default: Any
    ) -> Any:
        axes, sizes = _axes(self, n if n is not None else s, dim)

        def factor(length: int) -> float:
            return _factor(length, norm, forward)

        x = self
        if kind == "to half":
            if isinstance(x, Complex):
                call.refuse(f"{call.op} of complex numbers: write torch.fft.fft")
            x = _transformed(call, x, sizes[-1], axes[-1], True, factor, half=True)
            axes, sizes = axes[:-1], sizes[:-1]
        if kind == "to real":
            for axis, size in zip(axes[:-1], sizes[:-1], strict=True):
                x = _transformed(call, x, size, axis, False, factor)
            half = _length(call, _size(x, axes[-1]), None)
            length = sizes[-1] if sizes[-1] not in (None, -1) else 2 * (half - 1)
            if not isinstance(x, Complex):
                x = Complex(x, fn.zeros_like(x))
            return _along(call, x, axes[-1], lambda part: _back_to_real(call, part, length, factor(length)))
        for axis, size in zip(reversed(axes), reversed(sizes), strict=True):
            x = _transformed(call, x, size, axis, forward, factor)
        return x

    COMPLEX[name] = rule


for _many in ("", "2", "n"):
    _rule(f"fft_fft{_many}", "all", True)
    _rule(f"fft_ifft{_many}", "all", False)
    _rule(f"fft_rfft{_many}", "to half", True)
    _rule(f"fft_irfft{_many}", "to real", False)


def _scale(normalization: int) -> Any:
    return {0: lambda n: 1.0, 1: lambda n: n**-0.5, 2: lambda n: 1 / n}[normalization]


def _r2c(call: Call, self: Node, dim: Sequence[int], normalization: int, onesided: bool) -> Complex:
    """Return the transform of real numbers."""
    factor = _scale(normalization)
    x: Any = _transformed(call, self, None, dim[-1], True, factor, half=onesided)
    for axis in reversed(dim[:-1]):
        x = _transformed(call, x, None, axis, True, factor)
    return x  # type: ignore[no-any-return]


def _c2c(call: Call, self: Complex, dim: Sequence[int], normalization: int, forward: bool) -> Complex:
    """Return the transform of complex numbers."""
    x: Any = self
    for axis in reversed(dim):
        x = _transformed(call, x, None, axis, forward, _scale(normalization))
    return x  # type: ignore[no-any-return]


def _c2r(call: Call, self: Complex, dim: Sequence[int], normalization: int, last_dim_size: int) -> Node:
    """Return the real numbers of a transform."""
    factor = _scale(normalization)
    x: Any = self
    for axis in dim[:-1]:
        x = _transformed(call, x, None, axis, False, factor)
    return _along(call, x, dim[-1], lambda part: _back_to_real(call, part, last_dim_size, factor(last_dim_size)))  # type: ignore[no-any-return]


def _stft(
    call: Call,
    self: Node,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Node | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    **default: Any,
) -> Any:
    """Return transforms of windows that move along a signal."""
    if isinstance(self, Complex) or isinstance(window, Complex):
        call.refuse("stft of complex numbers: give a real signal and a real window")
    width = n_fft if win_length is None else win_length
    frames = fn.windows(self, (n_fft,), (n_fft // 4 if hop_length is None else hop_length,), axes=(self.ndim - 1,))
    if window is None and width < n_fft:
        window = call.graph.constant(np.ones(width, self.spec.dtype))
    if window is not None:
        before = (n_fft - width) // 2
        frames = frames * (fn.pad(window, ((before, n_fft - width - before),)) if width < n_fft else window)
    half = onesided is not False
    found = _last(call, frames, n_fft, n_fft // 2 + 1 if half else n_fft, True, n_fft**-0.5 if normalized else 1.0)
    found = Complex(*(fn.swapaxes(each, -1, -2) for each in found))
    return found if return_complex else fn.stack([found.real, found.imag], axis=found.real.ndim)


COMPLEX.update({"_fft_r2c": _r2c, "_fft_c2c": _c2c, "_fft_c2r": _c2r, "stft": _stft})
