"""How far apart two arrays are."""

from __future__ import annotations

import math
from collections.abc import Collection
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core import is_bfloat16, is_float, limits, widened

if TYPE_CHECKING:
    from ...core import Array

TOLERANCES = {"bfloat16": (1.6e-2, 1e-5), "float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}
"""Relative and absolute, by the coarser float, which stands first: those of ``torch.testing.assert_close``."""

_FIT = {"bfloat16": 3e-2, "float16": 4e-3, "float32": 1e-5, "float64": 1e-9}
"""How closely one number must make each element of the other, by the coarser float."""
_NOTABLE = 1.01  # the least positive factor that is reported
_MOST_FITTED = 1 << 22  # elements for which such a number is looked for
_EXACT = 2.0**53  # below which integers are themselves as float64

_BLOCK = 1 << 14  # elements looked at together: what is needed besides the two values stays small
_MOST_AXES = 4  # up to which every order of the axes is tried


class Gap(NamedTuple):
    """How far apart two arrays of one shape are."""

    equal: bool = True
    outside: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    place: int = 0
    """The position, in C order, of the element that is farthest outside of the tolerance."""
    excess: float = -1.0
    """By how much that element is outside; negative if none is."""


def gap_of(x: Array, y: Array, tolerance: tuple[float, float] | None) -> Gap:
    """Compare block by block, so that temporary arrays stay small; without a tolerance, to the bit."""
    x, y = widened(x), widened(y)
    found, start = Gap(), 0
    for p, q in _blocks(x, y):
        gap = _gap_of_block(p, q, tolerance)
        if not gap.equal:
            place, excess = (start + gap.place, gap.excess) if gap.excess > found.excess else found[4:]
            outside, absolute = found.outside + gap.outside, max(found.absolute, gap.absolute)
            found = Gap(False, outside, absolute, max(found.relative, gap.relative), place, excess)
        start += len(p)
    return found


def _blocks(*arrays: Array) -> Any:
    nditer: Any = np.nditer  # whose types know no "contig"
    return nditer(
        arrays,
        flags=("external_loop", "buffered", "zerosize_ok"),
        op_flags=[("readonly", "contig")] * len(arrays),
        order="C",
        buffersize=_BLOCK,
    )


def _gap_of_block(p: Array, q: Array, tolerance: tuple[float, float] | None) -> Gap:
    same = p == q
    if is_float(p.dtype) or is_float(q.dtype):
        same &= np.signbit(p) == np.signbit(q)
        if same.all():
            return Gap()
        same |= np.isnan(p) & np.isnan(q)
    if same.all():
        return Gap()
    distance = np.where(same, 0.0, _distance(p, q))
    sizes = [np.abs(array.astype(np.float64)) for array in (p, q)]
    relative = np.where(np.isinf(distance), np.inf, distance / np.fmax(*sizes))
    if tolerance is not None:
        rtol, atol = tolerance
        limit = atol + rtol * np.where(np.isfinite(sizes[1]), sizes[1], 0.0)
        outside = distance > limit
    else:
        limit, outside = np.zeros(1), ~same
    excess = np.where(outside, distance - limit, -1.0)
    place, count = int(excess.argmax()), int(np.count_nonzero(outside))
    largest = float(distance.max()), float(np.nanmax(relative, initial=0.0))
    return Gap(False, count, *largest, place, float(excess[place]))


def _distance(p: Array, q: Array) -> Array:
    """Return the distances as float64: infinite where only one is a number."""
    if "f" in (p.dtype.kind, q.dtype.kind):
        apart = np.abs(p.astype(np.float64) - q.astype(np.float64))
        return np.where(np.isnan(apart), np.inf, apart)
    # Exact for integers, signed or not, since what wraps around is undone by the next subtraction; unless they are
    # farther apart than there are numbers, as -1 and 2**64 - 1.
    wide_p, wide_q = p.astype(np.uint64), q.astype(np.uint64)
    exact = np.where(p > q, wide_p - wide_q, wide_q - wide_p).astype(np.float64)
    apart = np.abs(p.astype(np.float64) - q.astype(np.float64))
    return np.where(apart < 2.0**63, exact, apart)


def largest_of(x: Array) -> float:
    """Return the largest finite size of an element."""
    found = 0.0
    for (p,) in map(np.atleast_2d, _blocks(x)):
        sizes = np.abs(p.astype(np.float64))
        found = max(found, float(sizes.max(initial=0.0, where=np.isfinite(sizes))))
    return found


def digits_of(dtype: np.dtype[Any]) -> float:
    """Return how many decimal digits a float has."""
    return -math.log10(limits(dtype).eps / 2)


def rearranged(x: Array, y: Array, tolerance: tuple[float, float]) -> str:
    """Return how the second must be turned to agree with the first, or ""."""
    if 1 < x.ndim == y.ndim <= _MOST_AXES:
        for axes in permutations(range(y.ndim)):
            turned = y.transpose(axes)
            moved = axes != tuple(range(y.ndim))
            if moved and turned.shape == x.shape and not gap_of(x, turned, tolerance).outside:
                return "equal when transposed" + (f" to axes {axes}" if y.ndim > 2 else "")
    if x.shape != y.shape and x.size == y.size and not gap_of(x, y.reshape(x.shape), tolerance).outside:
        return "equal when reshaped"
    return ""


class Made(NamedTuple):
    """The one number that makes an array from another: a factor, or a number that is added."""

    number: float
    multiplied: bool


def made_by_a_number(x: Array, y: Array, expected: Collection[float] = ()) -> Made | None:
    """Return what each element of the second is multiplied by, or what is added to it, to give the first.

    At least two different numbers must agree on it, unless it is a sign or an `expected` factor. A difference near the
    rounding error is not explained in this way: any step of a training run would be one.
    """
    exact = not (is_float(x.dtype) or is_float(y.dtype))
    if x.size > _MOST_FITTED or (exact and max(largest_of(x), largest_of(y)) >= _EXACT):
        return None
    rtol = 0.0 if exact else _FIT[_coarser(x.dtype, y.dtype)]
    p, q = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
    finite = np.isfinite(p) & np.isfinite(q)
    if not finite.any() or not np.array_equal(p[~finite], q[~finite], equal_nan=True):
        return None
    p, q = p[finite], q[finite]

    def gives(made: Array) -> bool:
        return bool((np.abs(p - made) <= rtol * np.fmax(np.abs(p), np.abs(made))).all())

    def several(numbers: Array) -> bool:
        return bool((numbers != numbers[0]).any())

    most = int(np.abs(q).argmax())
    if q[most]:
        factor = _whole(float(p[most] / q[most]), rtol)
        credible = factor == -1 or factor in expected or several(q[q != 0])
        if credible and not 0 <= factor < _NOTABLE and gives(factor * q):
            return Made(factor, multiplied=True)
    least = int(np.fmax(np.abs(p), np.abs(q)).argmin())
    shift = _whole(float(p[least] - q[least]), rtol)
    if several(q) and abs(shift) > 100 * rtol * np.abs([p, q]).max() and gives(q + shift):
        return Made(shift, multiplied=False)
    return None


def _whole(number: float, rtol: float) -> float:
    if not math.isfinite(number):
        return math.nan  # which gives nothing
    return round(number) if abs(number - round(number)) <= rtol * abs(number) else number


def closeness(a: np.dtype[Any], b: np.dtype[Any]) -> tuple[float, float]:
    """Return the tolerances, relative and absolute, for values of two dtypes."""
    return TOLERANCES[_coarser(a, b)] if is_float(a) or is_float(b) else (0.0, 0.0)


def _coarser(a: np.dtype[Any], b: np.dtype[Any]) -> str:
    """Return the name of the coarser float of two dtypes, of which one is a float."""
    return next(name for name in TOLERANCES if name in (a.name, b.name))


def ulps_of(a: Any, b: Any) -> float | None:
    """Return how many steps of their dtype two numbers are apart; None where that says nothing."""
    if a.dtype != b.dtype or not is_float(a.dtype) or not (np.isfinite(a) and np.isfinite(b)):
        return None
    low, high = sorted((abs(np.float64(a)), abs(np.float64(b))))
    if np.signbit(a) != np.signbit(b) or high > 2 * low:
        return None
    if is_bfloat16(a.dtype):
        return (high - low) / math.ldexp(float(limits(a.dtype).eps), max(math.frexp(high)[1] - 1, -126))
    return float((high - low) / np.float64(np.spacing(max(abs(a), abs(b)))))
