"""Two values beside each other, each whole or as what a trace has kept of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.text import number
from ...core import is_float, limits
from ...core.symbolic_shapes import shown
from ...runtime.evaluation_loop import compute
from ..traces import Stats, digest_of, preview_of, stats_of, steps_of
from .array_difference import Gap, gap_of, largest_of

if TYPE_CHECKING:
    from ...core import Array, Op

_ROUNDED = 10.0
"""How many roundings one number may take, times the root of how many numbers it is made of."""


class Seen(NamedTuple):
    """What is seen of two values.

    Attributes
    ----------
    p, q : array
        Both, or the elements of both that are known.
    gap : Gap or None
        How far apart they are, at least; None for two shapes.
    misfits : list of str
        What else differs.
    stats : sequence of Stats
        Of values that are not known whole; else none.
    steps : sequence of int
        At which stride of each axis the elements were taken of these.
    """

    p: Array
    q: Array
    gap: Gap | None
    misfits: list[str]
    stats: Sequence[Stats] = ()
    steps: Sequence[int] = ()

    @property
    def whole(self) -> bool:
        """Whether both values are known whole."""
        return not self.stats

    @property
    def agrees(self) -> bool:
        """Whether nothing differs by more than the tolerance."""
        return self.gap is not None and not self.gap.outside and not self.misfits

    @property
    def place(self) -> tuple[int, ...] | None:
        """Where, among the elements that are known, the one farthest outside of the tolerance is."""
        if self.gap is None or not self.gap.outside:
            return None
        return tuple(map(int, np.unravel_index(self.gap.place, self.p.shape)))

    @property
    def element(self) -> tuple[int, ...] | None:
        """Which element that is of the whole value."""
        place = self.place
        return place if place is None or self.whole else tuple([i * n for i, n in zip(place, self.steps, strict=True)])

    @property
    def largest(self) -> float:
        """The largest finite size of an element, of the more exact value."""
        if self.stats:
            return max(map(_largest, self.stats))
        return largest_of(self.p if self.p.dtype.itemsize > self.q.dtype.itemsize else self.q)

    @property
    def holds_nan(self) -> bool:
        """Whether the first value holds NaN."""
        if self.stats:
            return self.stats[0].nans > 0
        return bool(is_float(self.p.dtype) and self.p.size and np.isnan(np.minimum.reduce(self.p, None)))


def seen_of(x: Any, y: Any, tolerance: tuple[float, float] | None) -> Seen:
    """Compare two values: arrays, or records of what a trace has kept. Without a tolerance, to the bit."""
    misfits = []
    if x.shape != y.shape:
        misfits.append(f"shape {shown(x.shape)} against {shown(y.shape)}")
    if _kind(x.dtype) != _kind(y.dtype):
        misfits.append(f"dtype {x.dtype} against {y.dtype}")
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return Seen(x, y, gap_of(x, y, tolerance) if x.shape == y.shape else None, misfits)
    p, q, steps = _parts(x, y)
    stats = [stats_of(value) if isinstance(value, np.ndarray) else value.stats for value in (x, y)]
    if x.shape != y.shape:
        return Seen(p, q, None, misfits, stats, steps)
    gap = gap_of(p, q, tolerance)
    if _digest(x, y.dtype) != _digest(y, x.dtype):
        gap, told = _apart(gap, stats, tolerance)
        sampled = any(not isinstance(value, np.ndarray) and value.of_digests for value in (x, y))
        if told or not (gap.outside or (sampled and tolerance is not None)):
            # What a trace of digests has kept must do, as there is no more to be had.
            unknown = "; by how much is not known" if tolerance is not None and not told else ""
            misfits.append("; ".join(["their hashes differ" + unknown, *told]))
    return Seen(p, q, gap, misfits, stats, steps)


def _parts(x: Any, y: Any) -> tuple[Array, Array, list[int]]:
    """Return the elements that are known of both, and at which strides they were taken."""
    records = [value for value in (x, y) if not isinstance(value, np.ndarray)]
    steps = steps_of(records[0].preview, records[0].shape)
    if x.shape != y.shape:
        p, q = (preview_of(value) if isinstance(value, np.ndarray) else value.preview for value in (x, y))
        return p, q, steps
    taken = tuple([slice(None, None, step) for step in steps])
    p, q = (value[taken] if isinstance(value, np.ndarray) else value.preview for value in (x, y))
    return (p, q, steps) if p.shape == q.shape else (p[:0], p[:0].astype(q.dtype), steps)


def _digest(value: Any, other: np.dtype[Any]) -> str:
    """Return the hash of a value as it is beside one of another dtype, of which only the hash is known."""
    return digest_of(value.astype(other)) if isinstance(value, np.ndarray) else str(value.digest)


def _apart(gap: Gap, stats: list[Stats], tolerance: tuple[float, float] | None) -> tuple[Gap, list[str]]:
    """Return how far apart two values are at least, also by their statistics, and what these tell of it.

    The least elements of two arrays are no farther apart than some two elements are, and so are the largest ones, the
    means, and the roots of the mean squares.
    """
    a, b = stats
    counts = (("NaN", a.nans, b.nans), ("inf", a.posinfs, b.posinfs), ("-inf", a.neginfs, b.neginfs))
    told = [f"{m:,} {what} against {n:,}" for what, m, n in counts if m != n]
    if told:
        return gap._replace(equal=False, absolute=math.inf, relative=math.inf), told
    limit = 0.0 if tolerance is None else tolerance[1] + tolerance[0] * _largest(b)
    spans = [(name, getattr(a, name), getattr(b, name)) for name in ("min", "max", "mean")]
    spans.append(("root of the mean square", math.hypot(a.mean, a.std), math.hypot(b.mean, b.std)))
    apart = [(abs(m - n), name, number(m), number(n)) for name, m, n in spans if math.isfinite(m) and math.isfinite(n)]
    least = max([each[0] for each in apart], default=0.0)
    told = [f"{name} {m} against {n}" for distance, name, m, n in apart if distance > limit and m != n]
    largest = max(map(_largest, stats))
    relative = max(gap.relative, least / largest if largest else 0.0)
    return gap._replace(equal=False, absolute=max(gap.absolute, least), relative=relative), told


def _largest(stats: Stats) -> float:
    return max(-stats.min, stats.max, 0.0) if math.isfinite(stats.min) else 0.0


def _kind(dtype: np.dtype[Any]) -> str:
    return "i" if dtype.kind == "u" else "f" if is_float(dtype) else dtype.kind


# --- rounding -------------------------------------------------------------------------------------------------


def rounding_of(dtypes: Iterable[np.dtype[Any]], largest: float, count: float) -> float:
    """Return how far apart numbers may be that are computed in two ways, by the coarser dtype.

    Parameters
    ----------
    dtypes
    largest : float
        The largest of the numbers, or of the terms of their sums.
    count : float
        How many numbers each of them is made of.
    """
    coarsest = max([float(limits(dtype).eps) for dtype in dtypes if is_float(dtype)], default=0.0)
    return _ROUNDED * math.sqrt(max(count, 1.0)) * coarsest * largest


def is_faithful(op: Op, operands: Sequence[Any], value: Any, count: float) -> bool | None:
    """Return whether a value is what an operation gives for some operands, but for rounding; None if not known."""
    if not all(isinstance(each, np.ndarray) for each in (*operands, value)) or not is_float(value.dtype):
        return None
    wide = [each.astype(np.float64) if is_float(each.dtype) else each for each in operands]
    try:
        # These operands are from another run, or from none: the one loop does not have them.
        due, terms = compute(op, *wide), compute(op, *[np.abs(each) for each in wide])
    except Exception:  # noqa: BLE001 - what is not known to fit may fail in any way
        return None
    if due.shape != value.shape or not is_float(due.dtype):
        return None
    dtypes = [value.dtype, *[each.dtype for each in operands]]
    limit = rounding_of(dtypes, max(largest_of(due), largest_of(terms)), count)
    return not gap_of(value.astype(np.float64), due, (0.0, limit)).outside
