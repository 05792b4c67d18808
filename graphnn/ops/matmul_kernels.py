"""Products of long and thin matrices, by blocks of rows; and sums over rows and columns, which are such products.

BLAS takes a block that stays in the cache faster than all rows at once, and what precedes and follows can be computed
block by block with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ..core import Array


@dataclass(frozen=True, slots=True)
class Limits:
    """The sizes that decide how products and sums are computed.

    Attributes
    ----------
    block : int
        The bytes of a block of rows.
    thin, fitting : int
        For the small matrix, the right factor or the product: the largest length of its shorter side, and its largest
        number of elements.
    few : int
        From this number of rows on, BLAS sums faster than NumPy, over rows and over columns.
    short, pairwise : int
        Between these numbers of columns NumPy keeps eight running sums, and BLAS is as exact. With fewer it adds one
        by one; with more it adds pairwise, which is more exact.
    wide : int
        Up to this number of columns, NumPy is slower than BLAS at summing over rows.
    """

    block: int = 2**18
    thin: int = 16
    fitting: int = 2**14
    few: int = 16
    short: int = 8
    pairwise: int = 128
    wide: int = 2**10


limits = Limits()
_KNOWN = 2**12
"""Columns of ones up to this length are made once and kept."""


class Blocks(NamedTuple):
    """How a product is computed.

    Attributes
    ----------
    along : int
        The axis of the left factor that is cut: 0, and a block gives as many rows of the product; 1, and the right
        factor's rows are cut with it, and what the blocks give is added up, from 0 on.
    rows : int
        Of a block; the last may have fewer.
    """

    along: int
    rows: int


def rows_of(n: int, nbytes: int) -> int:
    """Return how many of n rows of so many bytes make a block, so that all blocks are about as long."""
    return -(-n // max(1, -(-n * nbytes // limits.block)))


def blocks_of(x: Any, y: Any) -> Blocks | None:
    """Return by which blocks the product of two matrices is computed; None: at once.

    Parameters
    ----------
    x, y : array, or what has shape, strides and dtype

    Examples
    --------
    >>> blocks_of(np.ones((10_000, 64)), np.ones((64, 3)))
    Blocks(along=0, rows=500)
    >>> blocks_of(np.ones((10_000, 64)).T, np.ones((10_000, 3)))
    Blocks(along=1, rows=500)
    >>> blocks_of(np.ones((10_000, 64)), np.ones((64, 64)))
    """
    if len(x.shape) != 2 or len(y.shape) != 2 or x.dtype.char not in "fd" or y.dtype != x.dtype:
        return None
    (m, k), n, most = x.shape, y.shape[1], limits.block // x.dtype.itemsize
    if m * k <= most and m * n <= most and k * n <= most:
        return None
    long, side = (m, k) if m >= k else (k, m)
    wide = max(side, n)
    if not 0 < side * n <= limits.fitting or min(side, n) > limits.thin:
        return None
    # Where rows of a block lie apart, BLAS takes all at once as fast. (A single row or column has no stride to go by.)
    if m < k and (m == 1 or k < 2 * wide or abs(x.strides[0]) > abs(x.strides[1])):
        return None
    if m >= k > 1 and abs(x.strides[0]) < abs(x.strides[1]):
        return None
    return Blocks(int(m < k), rows_of(long, wide * x.dtype.itemsize))


def is_one_matrix(x: Any, y: Any) -> bool:
    """Tell whether a stack times one matrix is computed as one matrix, of all its rows.

    Parameters
    ----------
    x, y : array, or what has shape, strides and dtype

    Examples
    --------
    >>> x, y = np.ones((3, 4, 5)), np.ones((5, 2))
    >>> is_one_matrix(x, y), is_one_matrix(x.swapaxes(0, 1), y)
    (True, False)
    """
    if len(y.shape) != 2 or len(x.shape) < 3 or x.dtype.char not in "fd" or y.dtype != x.dtype:
        return False
    step = x.dtype.itemsize
    for n, stride in zip(x.shape[::-1], x.strides[::-1], strict=True):
        if n > 1 and stride != step:
            return False
        step *= n
    return 0 not in x.shape + y.shape


def product(x: Array, y: Array, out: Array | None = None) -> Any:
    """Return ``x @ y``; for float16 computed in float32, since BLAS knows no float16."""
    if is_one_matrix(x, y):
        found = product(x.reshape(-1, x.shape[-1]), y, None if out is None else out.reshape(-1, y.shape[1], copy=False))
        return found.reshape(*x.shape[:-1], y.shape[1]) if out is None else out
    if "e" in (x.dtype.char, y.dtype.char) and np.result_type(x, y) == np.float16:
        found = product(x.astype(np.float32), y.astype(np.float32))
        if out is None:
            return found.astype(np.float16)
        np.copyto(out, found, casting="same_kind")
        return out
    blocks = blocks_of(x, y)
    if blocks is None:
        return np.matmul(x, y, out)
    along, size = blocks
    out = np.empty((x.shape[0], y.shape[1]), x.dtype) if out is None else out
    if along == 0:
        for start in range(0, x.shape[0], size):
            rows = slice(start, start + size)
            np.matmul(x[rows], y, out[rows])
        return out
    part = np.empty_like(out)
    out.fill(0)
    for start in range(0, y.shape[0], size):
        rows = slice(start, start + size)
        np.add(out, np.matmul(x[:, rows], y[rows], part), out)
    return out


def is_product(x: Any, axes: tuple[int, ...]) -> bool | None:
    """Return whether `sums` takes a sum over these axes; None where it depends on the strides, which are unknown.

    Where rows do not lie one after the other, NumPy adds up fast, and pairwise.

    Parameters
    ----------
    x : array, or what has shape, strides and dtype
    axes : tuple of int
    """
    if len(x.shape) != 2 or x.dtype.char not in "fd" or x.shape[0] < limits.few or axes not in ((0,), (1,)):
        return False
    columns = x.shape[1]
    if not (limits.short <= columns <= limits.pairwise if axes[0] else 1 < columns <= limits.wide):
        return False
    return None if x.strides is None else abs(x.strides[0]) >= abs(x.strides[1]) > 0


def sums(x: Array, axis: int, keepdims: bool = True) -> Any:
    """Return the sums over an axis: a product with ones, where NumPy would go from row to row."""
    total = product(x if axis else x.T, ones(x.shape[axis], x.dtype))
    return total.reshape((-1, 1) if axis else (1, -1)) if keepdims else total.reshape(-1)


def ones(n: int, dtype: np.dtype[Any]) -> Array:
    """Return a column of ones; short ones are kept."""
    return _known_ones(n, dtype) if n <= _KNOWN else np.ones((n, 1), dtype)


@lru_cache(64)
def _known_ones(n: int, dtype: np.dtype[Any]) -> Array:
    ones = np.ones((n, 1), dtype)
    ones.flags.writeable = False
    return ones
