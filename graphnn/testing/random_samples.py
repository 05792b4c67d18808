"""What the `samples` of an operation draw from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..core import is_float
from ..core.arrays import supported_dtype

if TYPE_CHECKING:
    from ..core import Array

_T = TypeVar("_T")
_Interval = tuple[float, float]


class Draw:
    """Random shapes and arrays, for the `samples` of an operation.

    Parameters
    ----------
    rng : numpy.random.Generator
    dtype : dtype
        Of the arrays.

    Examples
    --------
    >>> draw = Draw(np.random.default_rng(0))
    >>> draw.array((2,), 0.0, 1.0).shape
    (2,)
    """

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float64) -> None:
        self.rng = rng
        self.dtype = supported_dtype(dtype, "Draw")

    def integer(self, lo: int, hi: int) -> int:
        """Return an integer from `lo` to `hi`, both included; every choice of shape goes through here."""
        return int(self.rng.integers(lo, hi, endpoint=True))

    def choice(self, options: Sequence[_T]) -> _T:
        """Return one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 4) -> tuple[int, ...]:
        """Return a shape; sides of 0 are rarer than others."""
        sides = [max(min_side, self.integer(0, max_side)) for _ in range(self.integer(min_ndim, max_ndim))]
        return tuple(side or self.integer(min_side, max(min_side, 1)) for side in sides)

    def array(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Array:
        """Return numbers from `lo` to `hi`: truncated if they are integers, without sign if unsigned."""
        numbers = np.asarray(self.rng.uniform(lo, hi, tuple(shape)))
        if self.dtype.kind == "b":
            return np.asarray(numbers > (lo + hi) / 2)
        return np.asarray(np.abs(numbers) if self.dtype.kind == "u" else numbers).astype(self.dtype)

    def floats(self, shape: Sequence[int], lo: float = -3.0, hi: float = 3.0) -> Array:
        """Return numbers from `lo` to `hi`, as floats whatever the dtype."""
        numbers: Array = self.rng.uniform(lo, hi, tuple(shape))
        return np.asarray(numbers).astype(self.dtype if is_float(self.dtype) else np.float64)

    def integers(self, shape: Sequence[int], lo: int, hi: int) -> Array:
        """Return int64 numbers from `lo` to `hi`, both included."""
        return np.asarray(self.rng.integers(lo, hi, tuple(shape), endpoint=True))

    def broadcastable(self, count: int, domain: Sequence[_Interval] = ((-3.0, 3.0),)) -> tuple[Array, ...]:
        """Return arrays that broadcast with each other, each from its interval of the domain."""
        whole = self.shape()
        arrays = []
        for i in range(count):
            shape = [1 if count > 1 and self.integer(0, 4) == 0 else side for side in whole]
            if count > 1 and self.integer(0, 3) == 0:
                shape = shape[self.integer(0, len(shape)) :]
            arrays.append(self.array(shape, *domain[min(i, len(domain) - 1)]))
        return tuple(arrays)

    def axis(self, ndim: int) -> int:
        """Return an axis of an array of `ndim` axes, counted from either end."""
        return self.integer(-ndim, ndim - 1)

    def axes(self, ndim: int) -> int | tuple[int, ...] | None:
        """Return None, an axis, or some of them."""
        if ndim == 0 or self.integer(0, 3) == 0:
            return None
        if self.integer(0, 1):
            return self.axis(ndim)
        return tuple(axis - ndim * self.integer(0, 1) for axis in range(ndim) if self.integer(0, 1))
