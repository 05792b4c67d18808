"""What of the values a page holds: whole values where there is room, else some rows and columns of them, to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...inspector.trace import Record, preview_of
from ..text import number

if TYPE_CHECKING:
    from ...graph import Array

ROOM = 3_000_000
"""Bytes that the values of a page may take, unless it has very many nodes."""
ROOM_A_NODE = 500
_BINS = 24


class Tier(NamedTuple):
    """How much is kept of a value.

    Attributes
    ----------
    whole : int
        Up to so many elements, all.
    some : int
        Else so many.
    rows : int
        And of the dimension along which samples lie so many, the same ones of every value.
    """

    whole: int
    some: int
    rows: int


TIERS = [
    Tier(65536, 4096, 16),
    Tier(16384, 4096, 16),
    Tier(4096, 1024, 16),
    Tier(4096, 256, 8),
    Tier(1024, 256, 8),
    Tier(256, 64, 4),
    Tier(64, 64, 4),
    Tier(16, 16, 4),
]


def tier_for(sizes: Sequence[tuple[int, int]], room: int) -> Tier:
    """Return the most generous tier by which values go into the room.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Of each value the number of its elements, and the bytes of one.
    room : int

    Examples
    --------
    >>> tier_for([(100_000, 8)] * 10, 10**6)
    Tier(whole=65536, some=4096, rows=16)
    >>> tier_for([(4096, 8)] * 3000, 10**6)
    Tier(whole=16, some=16, rows=4)
    """
    for tier in TIERS:
        taken = sum(each * (size if size <= tier.whole else tier.some) for size, each in sizes)
        if taken * 4 / 3 <= room:
            return tier
    return TIERS[-1]


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


def axes_kept(shape: Sequence[int], batch: int | None, tier: Tier) -> list[list[int]] | None:
    """Return what is kept along each axis; None: all of it.

    Parameters
    ----------
    shape : sequence of int
    batch : int or None
        The axis along which samples lie.
    tier : Tier
    """
    if math.prod(shape) <= tier.whole:
        return None
    most = [min(n, tier.rows) if axis == batch else n for axis, n in enumerate(shape)]
    while math.prod(most) > tier.some:
        # Samples last of all: the same ones are to be had of every value.
        axis = max(range(len(most)), key=lambda a: (a != batch and most[a] > 1, most[a]))
        most[axis] = (most[axis] + 1) // 2
    return [chosen(n, m) for n, m in zip(shape, most, strict=True)]


class Kept(NamedTuple):
    """One value in a page.

    Attributes
    ----------
    data : dict
        What the page knows of it.
    places : array
        Of the elements that it has, in C order.
    """

    data: dict[str, Any]
    places: Array


class Values:
    """The values of a page, each once, and all arrays in one block of bytes."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.block = bytearray()
        self.arrays: list[list[Any]] = []
        self._known: dict[Any, int] = {}
        self._alike: dict[bytes, int] = {}

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

    def add(self, record: Record, axes: list[list[int]] | None) -> int:
        """Take a value in; return its number."""
        if not record.kept:
            axes = _axes_of_preview(record.shape)
        array = record.value if record.kept else record.preview
        key = (id(array), record.shape)
        if key not in self._known:
            part = array[np.ix_(*axes)] if axes is not None and record.kept else array
            stats = record.stats
            told: dict[str, Any] = {
                "data": self.store(part),
                "shape": list(record.shape),
                "axes": axes,
                "range": [_finite(stats.min), _finite(stats.max)],
                "stats": [number(each) for each in stats[:4]],
                "counts": list(stats[4:8]),
            }
            if axes is not None:
                told["bins"] = _bins(array, stats.min, stats.max)
            self._known[key] = len(self.told)
            self.told.append(told)
        return self._known[key]

    def places(self, number: int) -> Array:
        """Return the places, in C order, of the elements that are kept of a value."""
        told = self.told[number]
        shape = told["shape"]
        if told["axes"] is None:
            return np.arange(math.prod(shape))
        return np.ravel_multi_index(np.ix_(*told["axes"]), shape).reshape(-1)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _bins(array: Array, low: float, high: float) -> list[int]:
    """Return how many finite elements lie in each of some equal parts between the least and the greatest."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        return []
    wide = array.astype(np.float64).reshape(-1)
    with np.errstate(all="ignore"):
        parts = (wide / 2 - low / 2) / (high / 2 - low / 2) * _BINS
        finite = np.isfinite(parts)
    places = np.minimum(parts[finite].astype(int), _BINS - 1)
    return [int(n) for n in np.bincount(places, minlength=_BINS)]


def _axes_of_preview(shape: Sequence[int]) -> list[list[int]]:
    """Return which indices the preview of a value of this shape has."""
    axes: Iterable[Array] = np.ogrid[tuple(map(slice, shape))]
    found = [preview_of(np.broadcast_to(axis, tuple(shape))) for axis in axes]
    return [np.unique(each).tolist() for each in found]
