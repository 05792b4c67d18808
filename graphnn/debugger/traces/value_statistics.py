"""What is known about a value: its statistics, its digest, and what is kept of one that is too large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..._util.text import number
from ...core import is_float

if TYPE_CHECKING:
    from ...core import Array

KEEP = 2**24
"""Bytes up to which a value is kept whole by default."""
_PREVIEW = 256  # elements
SAMPLE = 8
"""How many elements a trace of digests keeps of a value."""
SMALL, _TOGETHER = 2**12, 32  # elements, values
BLOCK = 2**15
"""How many elements are looked at in one go: as float64, they stay in the cache until all is known of them."""
_TINY, _HUGE = 1e-280, 1e280
"""A sum of squares between these shows that all is finite, and that no square that matters was rounded to 0."""
_LOST = 1e-3
"""A variance below this share of the mean square has too few digits left, if computed as a difference of the two."""


class Stats(NamedTuple):
    """What the elements of a value are like.

    Attributes
    ----------
    min, max, mean, std : float
        Of the finite elements; NaN if there are none.
    zeros, nans, posinfs, neginfs : int
        How many elements are zero, NaN, +inf and -inf.
    size : int
        How many there are.
    """

    min: float
    max: float
    mean: float
    std: float
    zeros: int
    nans: int
    posinfs: int
    neginfs: int
    size: int


def is_valid(stats: Stats, shape: tuple[int, ...]) -> bool:
    """Return whether statistics, which a file may hold, can be those of a value of this shape."""
    counts = stats[4:]
    counted = all(count >= 0 for count in counts) and sum(counts[:4]) <= stats.size == math.prod(shape)
    none = all(map(math.isnan, stats[:4]))
    return counted and (none or (stats.min <= stats.max and stats.std >= 0))


@np.errstate(all="ignore")  # squares may be infinite, or rounded to 0
def stats_of(value: Array) -> Stats:
    """Return the statistics of an array.

    Examples
    --------
    >>> stats_of(np.array([0.0, 1.0, 2.0, np.nan, -np.inf]))
    Stats(min=0.0, max=2.0, mean=1.0, std=0.816496580927726, zeros=1, nans=1, posinfs=0, neginfs=1, size=5)
    """
    if value.size > SMALL and (repeated := _repeated(value)) is not None:
        return _stats_of_repeated(*repeated)
    least, most, zeros, total, squares = math.inf, -math.inf, 0, 0.0, 0.0
    for block in _blocks(value):
        squares += float(block.dot(block))
        if not squares < _HUGE:
            break
        low, high = float(np.fmin.reduce(block)), float(np.fmax.reduce(block))  # there is no NaN, and these are faster
        zeros += int(np.count_nonzero(block == 0.0)) if low <= 0 <= high else 0
        total += float(np.einsum("i->", block))
        least, most = min(least, low), max(most, high)
    if not _TINY < squares < _HUGE:
        return _stats_of_extreme(value)
    return Stats(least, most, *_mean_and_std(value, least, most, total, squares), zeros, 0, 0, 0, value.size)


def _mean_and_std(value: Array, least: float, most: float, total: float, squares: float) -> tuple[float, float]:
    """Return the mean and the standard deviation of finite numbers from their sum, and that of their squares."""
    mean = min(max(least, total / value.size), most)  # rounding may put the mean of equal numbers beside them
    square = squares / value.size
    variance = square - mean * mean
    if variance < square * _LOST:
        variance = sum(float(spread.dot(spread)) for spread in (block - mean for block in _blocks(value))) / value.size
    return mean, math.sqrt(variance)


def _blocks(value: Array) -> Iterable[Array]:
    """Return the elements in C order, as float64 (a mean of float16 would overflow), in vectors that a cache holds.

    A vector may be overwritten by the next one. They are few memory for any value, and none for float64 in C order.
    """
    if value.size <= BLOCK:
        return (value.ravel().astype(np.float64, copy=False),) if value.size else ()
    flags: Any = ("external_loop", "buffered")
    return np.nditer(value, flags, ("readonly",), np.float64, "C", "unsafe", buffersize=BLOCK)  # type: ignore[return-value]


def _repeated(value: Array) -> tuple[Array, Array] | None:
    """Return the elements that a view shows more than once, and how often each; None where it does not.

    Windows show each element as often as there are places in a window; their statistics are taken from those elements.
    """
    each = value.itemsize
    if any(step % each for step in value.strides):
        return None
    steps = sorted((abs(step) // each, n) for step, n in zip(value.strides, value.shape, strict=True) if n > 1)
    length = 1 + sum(step * (n - 1) for step, n in steps)
    if 2 * length > value.size:
        return None
    times = np.ones(1, np.int64)
    for step, n in steps:  # the smallest first, so that there are few for long
        if not step:
            times *= n
            continue
        # So many times the same, `step` apart: a running sum with that step, of what begins and what ends.
        changes = np.zeros((n - (-len(times) // step), step), np.int64)
        flat = changes.reshape(-1)
        flat[: len(times)] = times
        ends = flat[n * step :]
        ends[: len(times)] -= times[: len(ends)]
        times = np.cumsum(changes, axis=0).reshape(-1)[: len(times) + (n - 1) * step]
    lowest = value[tuple(slice(None, None, -1) if step < 0 else slice(None) for step in value.strides)]
    found = as_strided(lowest, (length,), (each,), writeable=False)
    return (found, times) if times.all() else (found[times > 0], times[times > 0])


def _stats_of_repeated(value: Array, times: Array) -> Stats:
    """Return the statistics of numbers, each of which is there so many times."""
    wide, size = value.astype(np.float64), int(times.sum())
    finite = np.isfinite(wide)
    if not finite.all():
        nans, infinite = (int(times[where].sum()) for where in (np.isnan(wide), wide == np.inf))
        rest = int(times[~finite].sum()) - nans - infinite
        counts = {"nans": nans, "posinfs": infinite, "neginfs": rest, "size": size}
        return _stats_of_repeated(wide[finite], times[finite])._replace(**counts)
    whole = stats_of(wide)
    if not whole.size or whole.min == whole.max:
        return whole._replace(zeros=size * (whole.min == 0), size=size)
    scale = max(-whole.min, whole.max)
    zeros = int(times[wide == 0].sum())
    wide /= scale
    mean = float(wide.dot(times)) / size
    wide -= mean
    spread = float((wide * wide).dot(times)) / size
    mean = min(max(whole.min, mean * scale), whole.max)
    return whole._replace(mean=mean, std=math.sqrt(spread) * scale, zeros=zeros, size=size)


def _stats_of_extreme(value: Array) -> Stats:
    """Return the statistics of an array with NaN or infinities, squares out of range, only zeros, or no elements."""
    least, most, nans, posinfs, zeros, count = math.inf, -math.inf, 0, 0, 0, 0
    for block in _blocks(value):
        nans, posinfs = nans + int(np.count_nonzero(np.isnan(block))), posinfs + int(np.count_nonzero(block == np.inf))
        zeros += int(np.count_nonzero(block == 0.0))
        rest = block[np.isfinite(block)]
        least, most = float(rest.min(initial=least)), float(rest.max(initial=most))
        count += rest.size
    counts = zeros, nans, posinfs, value.size - count - nans - posinfs, value.size
    if not count:
        return Stats(math.nan, math.nan, math.nan, math.nan, *counts)
    # By a power of two, so that nothing is rounded: squares neither overflow, nor are they lost.
    scale = math.frexp(max(-least, most))[1] - 1
    total = squares = 0.0
    for rest in _finite(value, scale):
        total, squares = total + float(rest.sum()), squares + float(rest.dot(rest))
    mean, square = total / count, squares / count
    variance = square - mean * mean
    if variance < square * _LOST:
        variance = sum(float(spread.dot(spread)) for spread in (rest - mean for rest in _finite(value, scale))) / count
    mean, std = math.ldexp(mean, scale), math.ldexp(math.sqrt(variance), scale)
    return Stats(least, most, min(max(least, mean), most), std, *counts)


def _finite(value: Array, scale: int) -> Iterator[Array]:
    """Yield the finite elements in blocks, divided by this power of two."""
    for block in _blocks(value):
        yield np.ldexp(block[np.isfinite(block)], -scale)


@np.errstate(all="ignore")
def _stats_of_small(values: Sequence[Array]) -> list[Stats]:
    """Return the statistics of several vectors of 1 to `SMALL` elements, computed for all at once."""
    sizes = list(map(len, values))
    starts = np.array([0, *accumulate(sizes[:-1])])
    joined = np.concatenate(values, dtype=np.float64)
    columns = [
        np.minimum.reduceat(joined, starts),
        np.maximum.reduceat(joined, starts),
        np.add.reduceat(joined == 0.0, starts, dtype=np.uint16),
        np.add.reduceat(joined, starts),
        np.add.reduceat(np.square(joined, joined), starts),
    ]
    rows = zip(values, sizes, *[column.tolist() for column in columns], strict=True)
    found, make, sqrt = [], tuple.__new__, math.sqrt  # which makes a `Stats` faster than calling the class
    for value, size, least, most, zeros, total, squares in rows:
        mean, square = total / size, squares / size
        variance = square - mean * mean
        if _TINY < squares < _HUGE and variance > square * _LOST:
            found.append(make(Stats, (least, most, mean, sqrt(variance), zeros, 0, 0, 0, size)))
        elif least == most and math.isfinite(least):
            found.append(make(Stats, (least, most, least, 0.0, zeros, 0, 0, 0, size)))
        else:
            found.append(stats_of(value))
    return found


def norm_of(value: Array) -> float:
    """Return the norm of a value in float64, whose squares do not overflow."""
    wide: np.ndarray[Any, Any] = value.astype(np.float64, copy=False)
    largest = float(np.abs(wide).max(initial=0.0))
    return largest * float(np.linalg.norm(wide / largest)) if largest and math.isfinite(largest) else largest


class Statistics(dict[int, Stats]):
    """Statistics of kept values by position, computed when first asked for: of small values for several at once.

    For small values one by one, the calls of NumPy would cost several times as much as the work.

    Parameters
    ----------
    kept : sequence of ndarray or Condensed
    source : callable, optional
        Returns the position of a value with the same elements, in another order perhaps: itself, or one before it.
    """

    def __init__(self, kept: Sequence[Array | Condensed], source: Callable[[int], int] = lambda place: place) -> None:
        self._kept, self._source = kept, source

    def __missing__(self, place: int) -> Stats:
        value = self._kept[place]
        if isinstance(value, Condensed):
            return value.stats
        if 0 < value.size <= SMALL:
            after = enumerate(self._kept[place : place + _TOGETHER], place)
            small = {i: v.ravel() for i, v in after if isinstance(v, np.ndarray) and 0 < v.size <= SMALL}
            self.update(zip(small, _stats_of_small(list(small.values())), strict=True))
        else:
            source = self._source(place)
            self[place] = stats_of(value) if source == place else self[source]
        return self[place]


def in_short(value: Array, most: int = 6, write: Callable[[Any], str] = number) -> str:
    """Return a value on one line: its numbers if there are at most `most`, else how they are spread.

    Examples
    --------
    >>> print(in_short(np.array([[1.0, 0.25], [1 / 3, np.nan]])))
    [[1, 0.25], [0.3333, nan]]
    >>> print(in_short(np.array([*range(300), np.nan, -np.inf])))
    min 0, mean 149.5, max 299; 1 NaN, 1 -inf
    """
    if value.size <= most:
        return _written(value, write)
    if value.dtype.kind == "b":
        return f"true {np.count_nonzero(value):,} of {value.size:,}"
    stats = stats_of(value)
    kind = value.dtype.type if is_float(value.dtype) else float  # as a float32, 0.1 is written "0.1"
    spread = f"min {write(kind(stats.min))}, mean {write(stats.mean)}, max {write(kind(stats.max))}"
    counts = (("NaN", stats.nans), ("inf", stats.posinfs), ("-inf", stats.neginfs))
    strange = ", ".join(f"{count:,} {what}" for what, count in counts if count)
    return "; ".join(([spread] if not math.isnan(stats.min) else []) + ([strange] if strange else []))


def _written(value: Array, write: Callable[[Any], str]) -> str:
    return f"[{', '.join([_written(part, write) for part in value])}]" if value.ndim else write(value[()])


def preview_of(value: Array, most: int = _PREVIEW) -> Array:
    """Return at most `most` elements, taken at even strides of each axis; the whole of what is no larger.

    Examples
    --------
    >>> preview_of(np.arange(100).reshape(10, 10), 4)
    array([[ 0,  5],
           [50, 55]])
    """
    steps, _ = strides(value.shape, most)
    return value[tuple(slice(None, None, step) for step in steps)] if steps else value


def strides(shape: tuple[int, ...], most: int = _PREVIEW) -> tuple[list[int], list[int]]:
    """Return the stride of each axis of a preview, and how many elements it takes."""
    steps, sizes = [1] * len(shape), list(shape)
    while math.prod(sizes) > most:
        axis = max(range(len(shape)), key=sizes.__getitem__)
        steps[axis] += 1 + steps[axis] // 16  # in few rounds, however large it is
        sizes[axis] = -(-shape[axis] // steps[axis])
    return steps, sizes


def steps_of(preview: Array, shape: tuple[int, ...]) -> list[int]:
    """Return the stride of each axis at which a preview, or a sample, was taken from a value of a shape."""
    steps, sizes = strides(shape)
    return steps if preview.shape == tuple(sizes) else strides(shape, SAMPLE)[0]


def owner_of(value: Array) -> Array:
    """Return the array whose memory a view is of."""
    base: Any = value.base
    while base is not None:
        value = base if isinstance(base, np.ndarray) else value
        base = getattr(base, "base", None)  # as_strided puts an object of its own between
    return value


class Condensed(NamedTuple):
    """What is left of a value that was too large to be kept.

    Attributes
    ----------
    stats : Stats
    preview : array
        Some elements, at even strides.
    digest : str
        A hash of all its bytes.
    """

    stats: Stats
    preview: Array
    digest: str

    @classmethod
    def of(cls, value: Array) -> Condensed:
        """Return what is kept of a value that is too large."""
        return cls(stats_of(value), preview_of(value).copy(), digest_of(value))


def digest_of(value: Array) -> str:
    """Return a hash of the bytes of an array, in C order; NaN is NaN, whatever its sign and its payload."""
    if is_float(value.dtype) and (nan := np.isnan(value)).any():
        value = np.where(nan, value.dtype.type(math.nan), value)
    ordered = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))  # the same on every machine
    return blake2b(ordered.view(np.uint8).data, digest_size=16).hexdigest()
