"""Which elements of the values a page keeps: all where there is room, else some rows and columns, to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...debugger.traces import Record, steps_of

if TYPE_CHECKING:
    from ...core import Array

ROOM = 3_000_000
"""Bytes that the values of a page may take, unless it has very many nodes."""
ROOM_A_NODE = 500
_BINS = 24
_AT_ONCE = 2**15
"""Elements of a value that are looked at together: what is computed of them stays in the processor's cache."""


class Tier(NamedTuple):
    """How much is kept of a value.

    Attributes
    ----------
    whole : int
        Values of at most so many elements are kept whole.
    some : int
        For larger ones, so many elements.
    rows : int
        And so many samples, the same of every value.
    """

    whole: int
    some: int
    rows: int


TIERS = [Tier(whole, min(whole, 4096), max(4, min(32, whole // 32))) for whole in (2**k for k in range(16, 3, -1))]


def tier_for(values: Iterable[tuple[Sequence[int], int | None, int]], room: int) -> Tier:
    """Return the most generous tier by which values go into the room.

    Parameters
    ----------
    values : iterable of (sequence of int, int or None, int)
        For each value its shape, the axis along which samples lie, and the bytes of one element.
    room : int

    Examples
    --------
    >>> tier_for([((100_000,), None, 8)] * 10, 10**6)
    Tier(whole=65536, some=4096, rows=32)
    >>> tier_for([((64, 64), 0, 8)] * 3000, 10**6)
    Tier(whole=16, some=16, rows=4)
    """
    values = list(values)
    for tier in TIERS:
        taken = sum(each * math.prod(counts_kept(shape, batch, tier)) for shape, batch, each in values)
        if taken * 4 / 3 <= room:
            return tier
    return TIERS[-1]


def counts_kept(shape: Sequence[int], batch: int | None, tier: Tier) -> list[int]:
    """Return how many indices are kept along each axis.

    Examples
    --------
    >>> counts_kept((300, 64), 0, Tier(whole=1024, some=1024, rows=32))
    [32, 32]
    """
    if math.prod(shape) <= tier.whole:
        return list(shape)
    most = [min(n, tier.rows) if axis == batch else n for axis, n in enumerate(shape)]
    while math.prod(most) > tier.some:
        # Samples last of all: the same ones are to be had of every value.
        axis = max(range(len(most)), key=lambda a: (a != batch and most[a] > 1, most[a]))
        most[axis] = (most[axis] + 1) // 2
    return most


def chosen(n: int, most: int) -> list[int]:
    """Return at most `most` of `n` places at even strides, the first two among them: an equation begins with those.

    Examples
    --------
    >>> chosen(3, 4), chosen(100, 5)
    ([0, 1, 2], [0, 1, 26, 51, 76])
    """
    if n <= most:
        return list(range(n))
    step = -(-(n - 1) // max(1, most - 1))
    return [0, *range(1, n, step)][:most]


def axes_kept(shape: Sequence[int], batch: int | None, tier: Tier, rows: Iterable[int] = ()) -> list[list[int]] | None:
    """Return what is kept along each axis; None: all of it.

    Parameters
    ----------
    shape : sequence of int
    batch : int or None
        The axis along which samples lie.
    tier : Tier
    rows : iterable of int
        Samples that are kept in any case.

    Examples
    --------
    >>> axes_kept((8, 3), 0, Tier(whole=16, some=16, rows=4), rows=[5])
    [[0, 1, 4, 5, 7], [0, 1, 2]]
    """
    counts = counts_kept(shape, batch, tier)
    if counts == list(shape):
        return None
    kept = [chosen(n, most) for n, most in zip(shape, counts, strict=True)]
    if batch is not None:
        kept[batch] = sorted({*kept[batch], *(row for row in rows if row < shape[batch])})
    return kept


class Values:
    """The values of a page, each once, and all arrays in one block of bytes."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.block = bytearray()
        self.arrays: list[list[Any]] = []
        self._number_of: dict[Any, int] = {}
        self._alike: dict[bytes, int] = {}
        self._bins: dict[Any, list[int]] = {}

    def store(self, array: Array) -> int:
        """Take an array in; return its number."""
        data = np.ascontiguousarray(array)
        if data.dtype.byteorder == ">":
            data = data.astype(data.dtype.newbyteorder("<"))
        raw = data.tobytes()
        key = blake2b(raw + data.dtype.str.encode(), digest_size=16).digest()
        found = self._alike.get(key)
        if found is None:
            self.block += bytes(-len(self.block) % 8)
            found = self._alike[key] = len(self.arrays)
            self.arrays.append([data.dtype.name, len(self.block), data.size])
            self.block += raw
        return found

    def add(self, record: Record, axes: list[list[int]] | None, batch: int | None) -> int:
        """Take a value in; return its number.

        Parameters
        ----------
        record : Record
        axes : list of list of int, or None
            What is kept of it, as `axes_kept` says.
        batch : int or None
            The axis along which samples lie.
        """
        if not record.kept:
            axes = _axes_of_preview(record)
        array = array_of(record)
        key = (id(array), record.shape)
        if key not in self._number_of:
            part = array[np.ix_(*axes)] if axes is not None and record.kept else array
            stats = record.stats
            known: dict[str, Any] = {
                "data": self.store(part),
                "shape": list(record.shape),
                "axes": axes,
                "stats": [finite(each) for each in stats[:4]],
                "counts": list(stats[4:8]),
            }
            if record.kept and array.size > 1:
                farthest = max(-stats.min, stats.max)
                known["peak"] = _peak(array, farthest)
                if batch is not None and array.ndim > 1 and array.shape[batch] > 1:
                    known["row"] = _largest_row(array, batch, farthest)
            if axes is not None:
                known["bins"] = self._bins_of(array, stats.min, stats.max)
            self._number_of[key] = len(self.entries)
            self.entries.append(known)
        return self._number_of[key]

    def _bins_of(self, array: Array, low: float, high: float) -> list[int]:
        """Return the bins of a value: once of what is there in several orders, such as a weight and its transpose."""
        flat = array.ravel("K")
        key = (flat.__array_interface__["data"][0], flat.strides, flat.size, flat.dtype.str)
        if flat.base is None:  # a copy, whose memory is used again
            return _bins(flat, low, high)
        if key not in self._bins:
            self._bins[key] = _bins(flat, low, high)
        return self._bins[key]

    def places(self, number: int) -> Array:
        """Return the places, in C order, of the elements that are kept of a value."""
        value = self.entries[number]
        shape = value["shape"]
        if value["axes"] is None:
            return np.arange(math.prod(shape))
        return np.ravel_multi_index(np.ix_(*value["axes"]), shape).reshape(-1)


def array_of(record: Record) -> Array:
    """Return what is there of a value: all of it, or else its preview."""
    return record.value if record.kept else record.preview


def finite(value: float | None) -> float | None:
    """Return a number as JSON has it; None of what is not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def _in_blocks(flat: Array) -> Iterator[tuple[int, Array]]:
    """Yield the numbers of a vector in float64, some at a time, each time with the place of the first."""
    wide = np.empty(min(flat.size, _AT_ONCE))
    for start in range(0, flat.size, _AT_ONCE):
        block = flat[start : start + _AT_ONCE]
        held = wide[: block.size]
        np.copyto(held, block, casting="unsafe")
        yield start, held


def _peak(array: Array, farthest: float) -> int:
    """Return the place of the first number that is as far from 0 as any is, -1 if none is finite."""
    if math.isfinite(farthest):
        for start, block in _in_blocks(array.reshape(-1)):
            at = int((np.abs(block, out=block) == farthest).argmax())
            if block[at] == farthest:
                return start + at
    return -1


def _largest_row(array: Array, batch: int, farthest: float) -> list[Any] | None:
    """Return which row has the largest norm, and that, of finite numbers; None if it is not one alone."""
    if not farthest > 0:
        return None
    rows = np.moveaxis(array, batch, 0)
    together = max(1, _AT_ONCE // (array.size // len(rows)))
    parts = [rows[start : start + together] for start in range(0, len(rows), together)]
    norms = np.concatenate([_norms(part.reshape(len(part), -1), farthest) for part in parts])
    row = int(norms.argmax())
    norm = float(norms[row]) * farthest  # may be beyond what a float holds
    return [row, finite(norm)] if np.count_nonzero(norms == norms[row]) == 1 else None


def _norms(rows: Array, unit: float) -> Array:
    """Return the norm of the finite numbers of each row, in a unit."""
    wide = np.abs(rows.astype(np.float64))
    wide[~np.isfinite(wide)] = 0.0
    wide /= unit
    wide *= wide
    return np.sqrt(np.sum(wide, axis=1))


def _bins(flat: Array, low: float, high: float) -> list[int]:
    """Return how many finite elements lie in each of some equal parts between the minimum and the maximum."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return []
    found = np.zeros(_BINS + 1, np.intp)
    places = np.empty(min(flat.size, _AT_ONCE), np.intp)
    with np.errstate(all="ignore"):
        for _, block in _in_blocks(flat):
            block *= 0.5
            block -= low / 2
            block /= high / 2 - low / 2
            block *= _BINS
            if not math.isfinite(block.sum()):
                block = block[np.isfinite(block)]
            held = places[: block.size]
            np.copyto(held, block, casting="unsafe")
            found += np.bincount(held, minlength=_BINS + 1)
    found[_BINS - 1] += found[_BINS]  # the maximum
    return [int(n) for n in found[:_BINS]]


def _axes_of_preview(record: Record) -> list[list[int]]:
    """Return which indices the preview of a value has."""
    steps = steps_of(record.preview, record.shape)
    return [list(range(0, size, step)) for size, step in zip(record.shape, steps, strict=True)]
