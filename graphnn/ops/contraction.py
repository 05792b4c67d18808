"""How the sum of products of two arrays is computed: as a product of matrices, or place by place; else by NumPy.

A run and a plan take the same steps, each in its own way: `Steps` names them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from . import places, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graph import Array

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

    def summed(self, subscripts: str, x: Any, y: Any, shape: tuple[int, ...]) -> Any:
        """Return what NumPy's einsum gives, in C order."""

    def placed(self, placing: Placing, parts: list[Any], shape: tuple[int, ...]) -> Any:
        """Return an array with each part at its place."""


@dataclass(frozen=True, slots=True)
class Placing:
    """Puts arrays into another.

    Attributes
    ----------
    places : tuple of tuple
        An index for each: ints, and None for all of an axis.
    """

    places: tuple[tuple[int | None, ...], ...]

    def __call__(self, *parts: Array, out: Array) -> Array:
        """Put the arrays at their places."""
        for place, part in zip(self.places, parts, strict=True):
            out[tuple(slice(None) if i is None else i for i in place)] = part
        return out


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
        if self.kind == "product":
            return self._product(steps, x, y)
        if self.kind == "windows":
            return self._of_windows(steps, x, y)
        ends = [self._beside(steps, each, term) for each, term in zip((x, y), self.terms, strict=True)]
        shape, none = self.shape(self.right), (None,) * len(self.right)
        total = None
        for place in np.ndindex(*self.shape(self.summed)):
            one, other = (steps.at(each, (*none, *place)) for each in ends)
            found = steps.joined(np.multiply, one, other, shape)
            total = found if total is None else steps.joined(np.add, total, found, shape)
        return total

    def _of_windows(self, steps: Steps, x: Any, y: Any) -> Any:
        free = [letter for letter in self.right if any(letter not in term for term in self.terms)]
        terms = ["".join(letter for letter in term if letter not in free) for term in self.terms]
        batch = [letter for letter in self.right if letter not in free]
        parts, placed = [], []
        for place in np.ndindex(*self.shape(free)):
            at = dict(zip(free, place, strict=True))
            ends = [steps.at(each, tuple(map(at.get, term))) for each, term in zip((x, y), self.terms, strict=True)]
            parts.append(steps.summed(f"{','.join(terms)}->{''.join(batch)}", ends[0], ends[1], self.shape(batch)))
            placed.append(tuple(map(at.get, self.right)))
        return steps.placed(Placing(tuple(placed)), parts, self.shape(self.right))

    def _beside(self, steps: Steps, x: Any, term: str) -> Any:
        """Return an operand with the axes of the result, of size 1 where it has none, and then those summed over."""
        kept = [letter for letter in self.right + self.summed if letter in term]
        x = steps.transposed(x, tuple(term.index(letter) for letter in kept))
        return steps.reshaped(
            x, tuple(self.sizes[letter] if letter in term else 1 for letter in self.right + self.summed)
        )

    def _product(self, steps: Steps, x: Any, y: Any) -> Any:
        batch = [letter for letter in self.right if all(letter in term for term in self.terms)]
        free = [[letter for letter in self.right if letter in term and letter not in batch] for term in self.terms]
        if free[0] and free[1] and self.right.index(free[1][0]) < self.right.index(free[0][0]):
            free, x, y, terms = free[::-1], y, x, self.terms[::-1]
        else:
            terms = self.terms
        left = self._matrices(steps, x, terms[0], batch, free[0])
        right = self._matrices(steps, y, terms[1], batch, free[1])
        turned = tuple(range(len(batch)))
        right = steps.transposed(right, (*turned, len(batch) + 1, len(batch)))
        rows, columns = (math.prod(self.shape(letters)) for letters in free)
        found = steps.product(left, right, (*self.shape(batch), rows, columns))
        letters = [*batch, *free[0], *free[1]]
        found = steps.reshaped(found, self.shape(letters))
        order = tuple(letters.index(letter) for letter in self.right)
        return found if order == tuple(range(len(order))) else steps.in_order(steps.transposed(found, order))

    def _matrices(self, steps: Steps, x: Any, term: str, batch: list[str], free: list[str]) -> Any:
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
    sizes: dict[str, int] = {}
    for term, x in zip(terms, arrays, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                return False
    one, other = terms
    if (set(one) ^ set(other)) - set(right):
        return False  # a letter of one operand alone is summed over
    summed = "".join(letter for letter in one if letter not in right)
    kind = _kind(sizes, (one, other), right, summed)
    if kind is None:
        return False
    if any(x.strides is None for x in arrays):
        return None
    few = math.prod(sizes[letter] for letter in right if (letter in one) != (letter in other)) <= places.MOST
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
        return "outer" if result >= places.LEAST else None
    count = math.prod(sizes[letter] for letter in summed)
    rows, columns = (math.prod(sizes[i] for i in right if i in term and i not in other) for term, other in _ways(terms))
    stacks = result // (rows * columns)
    if stacks > 1 and 1 in (rows, columns) and count <= places.MOST and result >= places.LEAST:
        return "places"
    return "product" if stacks == 1 or rows * columns * count >= _WORTH else None


def _ways(terms: tuple[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    return terms, terms[::-1]


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
    def summed(subscripts: str, x: Array, y: Array, shape: tuple[int, ...]) -> Any:
        """Return what NumPy's einsum gives, in C order."""
        return Summing(subscripts)(x, y)

    @staticmethod
    def placed(placing: Placing, parts: list[Array], shape: tuple[int, ...]) -> Array:
        """Return an array with each part at its place."""
        return placing(*parts, out=np.empty(shape, parts[0].dtype))


@dataclass(frozen=True, slots=True)
class Summing:
    """NumPy's einsum, with an array of its own in C order.

    Attributes
    ----------
    subscripts : str
    """

    subscripts: str

    def __call__(self, x: Array, y: Array) -> Any:
        """Call it."""
        return np.einsum(self.subscripts, x, y, order="C")
