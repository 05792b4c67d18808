"""How the sum of products of two arrays is computed: as a product of matrices, or place by place; else by NumPy.

A run and a plan take the same steps, each in its own way: `Steps` names them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import matmul_kernels as rows
from . import reduction_kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core import Array

Way = Literal["product", "places", "outer", "windows"]
_WORTH = 256
"""The least number of products in each matrix of a stack that is worth a call of BLAS."""
_LARGE = 2**18
"""Bytes of windows from which on they are not copied."""


class Steps(Protocol):
    """What the steps are taken with."""

    def transposed(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Return x with its axes in this order."""

    def reshaped(self, x: Any, shape: tuple[int, ...]) -> Any:
        """Return x in another shape, as a view if there is one."""

    def at(self, x: Any, index: tuple[int | None, ...]) -> Any:
        """Return x at these places; None is all of an axis."""

    def product(self, x: Any, y: Any, shape: tuple[int, ...]) -> Any:
        """Return the product of two stacks of matrices."""

    def joined(self, ufunc: np.ufunc, x: Any, y: Any, shape: tuple[int, ...]) -> Any:
        """Return what a ufunc makes of x and y, in C order."""

    def in_order(self, x: Any) -> Any:
        """Return a copy in C order of what does not lie so."""

    def summed(self, summing: Summing, x: Any, y: Any, shape: tuple[int, ...]) -> Any:
        """Return sums over windows, in C order."""


@dataclass(frozen=True, slots=True)
class Contraction:
    """The sum of products of two arrays.

    Attributes
    ----------
    kind : str
        ``"product"`` of matrices; ``"places"``, one after the other of the few that are summed; ``"outer"``, where
        nothing is summed; ``"windows"``, the few places of which each gives some numbers: to copy them costs more.
    terms : tuple of str
        The letters of the operands.
    right : str
        The letters of the result.
    summed : str
        Those of both that are summed over.
    sizes : dict of str to int
    """

    kind: Way
    terms: tuple[str, str]
    right: str
    summed: str
    sizes: dict[str, int]

    def shape(self, letters: Sequence[str]) -> tuple[int, ...]:
        """Return the sizes of letters."""
        return tuple(self.sizes[letter] for letter in letters)

    def take(self, steps: Steps, x: Any, y: Any) -> Any:
        """Take the steps, and return the result in C order."""
        if self.kind in ("product", "windows"):
            return self._by_letters(steps, x, y)
        ends = [self._beside(steps, each, term) for each, term in zip((x, y), self.terms, strict=True)]
        shape, none = self.shape(self.right), (None,) * len(self.right)
        total = None
        for place in np.ndindex(*self.shape(self.summed)):
            one, other = (steps.at(each, (*none, *place)) for each in ends)
            found = steps.joined(np.multiply, one, other, shape)
            total = found if total is None else steps.joined(np.add, total, found, shape)
        return total

    def _beside(self, steps: Steps, x: Any, term: str) -> Any:
        """Return an operand with the axes of the result, of size 1 where it has none, and then those summed over."""
        kept = [letter for letter in self.right + self.summed if letter in term]
        x = steps.transposed(x, tuple(term.index(letter) for letter in kept))
        return steps.reshaped(
            x, tuple(self.sizes[letter] if letter in term else 1 for letter in self.right + self.summed)
        )

    def _by_letters(self, steps: Steps, x: Any, y: Any) -> Any:
        terms, right, place = self.terms, self.right, self.right.index
        batch = [letter for letter in right if all(letter in term for term in terms)]
        free = [[letter for letter in right if letter in term and letter not in batch] for term in terms]
        if free[1] and (place(free[1][0]) < place(free[0][0]) if free[0] else self.kind == "windows"):
            free, x, y, terms = free[::-1], y, x, terms[::-1]
        letters = [*batch, *free[0], *free[1]]
        if self.kind == "windows":
            lead, moving = self.summed[: -len(free[0])], self.summed[-len(free[0]) :]
            x = steps.transposed(x, tuple(map(terms[0].index, (*lead, *batch, *moving, *free[0]))))
            y = steps.transposed(y, tuple(map(terms[1].index, (*lead, *batch, *moving, *free[1]))))
            found = steps.summed(Summing(len(lead), len(batch), len(moving)), x, y, self.shape(letters))
        else:
            one, other = map(partial(self._matrices, steps, batch), (x, y), terms, free)
            other = steps.transposed(other, (*range(len(batch)), len(batch) + 1, len(batch)))
            shape = (*self.shape(batch), *(math.prod(self.shape(each)) for each in free))
            found = steps.reshaped(steps.product(one, other, shape), self.shape(letters))
        order = tuple(map(letters.index, right))
        return found if order == tuple(range(len(order))) else steps.in_order(steps.transposed(found, order))

    def _matrices(self, steps: Steps, batch: list[str], x: Any, term: str, free: list[str]) -> Any:
        """Return an operand as a stack of matrices, whose columns are summed over."""
        summed = list(self.summed)
        one, other = self.shape(free), self.shape(summed)
        # Copied, if it has to be, so that what lies close together stays so.
        steps_of = {letter: abs(step) for letter, step, n in zip(term, x.strides, x.shape, strict=True) if n > 1}
        last = min([*free, *summed], key=lambda letter: (steps_of.get(letter, math.inf), -self.sizes[letter]))
        order = [*batch, *free, *summed] if last in summed else [*batch, *summed, *free]
        x = steps.transposed(x, tuple(term.index(letter) for letter in order))
        sides = [math.prod(one), math.prod(other)] if last in summed else [math.prod(other), math.prod(one)]
        if len(free) != 1 or len(summed) != 1:
            x = steps.reshaped(x, (*self.shape(batch), *sides))
        if not _suits_blas(x):
            x = steps.in_order(x)
        if last in summed:
            return x
        axes = tuple(range(len(batch)))
        return steps.transposed(x, (*axes, len(batch) + 1, len(batch)))


def _suits_blas(x: Any) -> bool:
    """Tell whether matrices lie with their rows or their columns without gaps, and none over another."""
    (rows, columns), (down, along) = x.shape[-2:], x.strides[-2:]
    size = x.dtype.itemsize
    if rows == 1 or columns == 1:
        return bool((rows == 1 or down == size) and (columns == 1 or along == size))
    return bool((along == size and down >= columns * size) or (down == size and along >= rows * size))


def contraction_of(subscripts: str, *arrays: Any) -> Contraction | Literal[False] | None:
    """Return how a sum of products is computed; False: by NumPy's einsum; None: it depends on unknown strides.

    Parameters
    ----------
    subscripts : str
        With letters only.
    *arrays : array, or what has shape, size, strides and dtype
    """
    left, _, right = subscripts.partition("->")
    terms = left.split(",")
    if len(arrays) != 2 or arrays[0].dtype != arrays[1].dtype or arrays[0].dtype.char not in "fd":
        return False
    if any(len(set(term)) < len(term) for term in terms) or not all(x.size for x in arrays):
        return False
    pairs = [pair for term, x in zip(terms, arrays, strict=True) for pair in zip(term, x.shape, strict=True)]
    sizes, (one, other) = dict(pairs), terms
    if any(sizes[letter] != n for letter, n in pairs) or (set(one) ^ set(other)) - set(right):
        return False  # the last: a letter of one operand alone is summed over
    summed = "".join(letter for letter in one if letter not in right)
    kind = _kind(sizes, (one, other), right, summed)
    if kind is None:
        return False
    if any(x.strides is None for x in arrays):
        return None
    few = math.prod(sizes[letter] for letter in right if (letter in one) != (letter in other)) <= reduction_kernels.MOST
    if kind == "product" and few and right and any(_repeats(x) for x in arrays):
        kind = "windows"
    return Contraction(kind, (one, other), right, summed, sizes)


def _repeats(x: Any) -> bool:
    """Tell whether a view shows most elements several times, each along axes with a step."""
    steps = [(abs(step), n) for step, n in zip(x.strides, x.shape, strict=True) if n > 1]
    span = x.dtype.itemsize + sum(step * (n - 1) for step, n in steps)
    return 0 not in [step for step, _ in steps] and 2 * span <= x.size * x.dtype.itemsize >= _LARGE


def _kind(sizes: dict[str, int], terms: tuple[str, str], right: str, summed: str) -> Way | None:
    result = math.prod(sizes[letter] for letter in right)
    if not summed:
        return "outer" if result >= reduction_kernels.LEAST else None
    count = math.prod(sizes[letter] for letter in summed)
    ways = (terms, terms[::-1])
    rows, columns = (math.prod(sizes[i] for i in right if i in term and i not in other) for term, other in ways)
    stacks = result // (rows * columns)
    if stacks > 1 and 1 in (rows, columns) and count <= reduction_kernels.MOST and result >= reduction_kernels.LEAST:
        return "places"
    return "product" if stacks == 1 or rows * columns * count >= _WORTH else None


class Directly:
    """Takes the steps at once, with arrays."""

    @staticmethod
    def transposed(x: Array, axes: tuple[int, ...]) -> Array:
        """Return x with its axes in this order."""
        return x.transpose(axes)

    @staticmethod
    def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
        """Return x in another shape, as a view if there is one."""
        return x.reshape(shape)

    @staticmethod
    def at(x: Array, index: tuple[int | None, ...]) -> Array:
        """Return x at these places; None is all of an axis."""
        return x[tuple(slice(None) if i is None else i if n > 1 else 0 for i, n in zip(index, x.shape, strict=True))]

    @staticmethod
    def product(x: Array, y: Array, shape: tuple[int, ...]) -> Any:
        """Return the product of two stacks of matrices."""
        return rows.product(x, y, np.empty(shape, x.dtype))

    @staticmethod
    def joined(ufunc: np.ufunc, x: Array, y: Array, shape: tuple[int, ...]) -> Any:
        """Return what a ufunc makes of x and y, in C order."""
        return ufunc(x, y, out=np.empty(shape, x.dtype))

    @staticmethod
    def in_order(x: Array) -> Array:
        """Return a copy in C order of what does not lie so."""
        return x.copy("C")

    @staticmethod
    def summed(summing: Summing, x: Array, y: Array, shape: tuple[int, ...]) -> Any:
        """Return sums over windows, in C order."""
        return summing(x, y)


@dataclass(frozen=True, slots=True)
class Summing:
    """Sums the products of windows with an array.

    Where the windows slide by one over all of an image, each is one row of numbers, of which some lie between its
    lines: with zeros there in the array, one call of BLAS sums a whole window. What becomes infinite or NaN by them,
    and all other windows, are summed place by place.

    Attributes
    ----------
    lead, batch, moving : int
        How many axes both operands have, in this order: summed over; kept; summed over within a window. Those of one
        alone follow.
    """

    lead: int
    batch: int
    moving: int

    def __call__(self, x: Array, y: Array) -> Any:
        """Return the sums, in C order."""
        found = self._by_rows(x, y)
        if found is not None and np.isfinite(found).all():
            return found
        kept, n = self.lead + self.batch, self.lead + self.batch + self.moving
        axes: list[Any] = list(range(n))
        found = np.empty((*x.shape[self.lead : kept], *x.shape[n:], *y.shape[n:]), x.dtype)
        for place in np.ndindex(found.shape[self.batch :]):
            one, other = x[(..., *place[: x.ndim - n])], y[(..., *place[x.ndim - n :])]
            found[(..., *place)] = np.einsum(one, axes, other, axes, axes[self.lead : kept], order="C")
        return found

    def _by_rows(self, x: Array, y: Array) -> Any:
        """Return the sums of windows that are rows; None if they are not."""
        k, lead, counts = self.moving, y.shape[: -self.moving], y.shape[-self.moving :]
        widths = [n + size - 1 for n, size in zip(counts, x.shape[-k:], strict=True)]
        spaced = np.zeros((*lead, counts[0], *widths[1:]), y.dtype)
        steps = spaced.strides[-k:]
        lie = zip(x.shape[-2 * k :], x.strides[-2 * k :], steps * 2, strict=True)
        if (x.ndim - k, y.ndim) != (self.lead + self.batch + k,) * 2 or any(n > 1 and a != b for n, a, b in lie):
            return None
        spaced[tuple(map(slice, y.shape))] = y
        length = 1 + sum((n - 1) * step for n, step in zip(counts, steps, strict=True)) // x.itemsize
        row = spaced.reshape(*lead, *(1,) * k, -1)[..., :length]
        shown = as_strided(x, (*lead, *x.shape[-k:], length), (*x.strides[: -2 * k], *x.strides[-k:], x.itemsize))
        with np.errstate(all="ignore"):
            return np.add.reduce(np.vecdot(shown, row), axis=tuple(range(self.lead)))
