"""Arithmetic on sizes: arrays of whole numbers that depend on dimensions, such as what ONNX's ``Shape`` returns.

A quarter of the nodes of many models compute with sizes. They are evaluated here, while a model is read, on dimensions
in place of numbers, so they leave no node behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.symbolic_shapes import Dimension, add, clamp, floor_divide, multiply, substitute, subtract
from ..errors import ShapeError

if TYPE_CHECKING:
    from ..core import Array, Dim

MOST = 4096
"""The maximum number of elements of an array that is evaluated while a model is read, unless it holds dimensions."""


_MOST_BITS = 1000
"""Of a fraction that a size is multiplied by."""


class Scaled(NamedTuple):
    """A dimension times a fraction: what a size becomes that is cast to a float and divided."""

    dim: Dim
    by: Fraction


class Sizes:
    """An array with an int, a dimension, or a `Scaled` in each place, of which one at least is not a number.

    Attributes
    ----------
    places : ndarray of object
    dtype : dtype
        Of the numbers that they will be.
    """

    def __init__(self, places: Array, dtype: np.dtype[Any]) -> None:
        self.places = places
        self.dtype = dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self.places.shape)

    def supposing(self, sizes: dict[str, Dim]) -> Array | Sizes:
        """Return the array with other sizes in the place of names."""

        def supposed(place: Any) -> Any:
            if isinstance(place, Scaled):
                return _plain(Scaled(substitute(place.dim, sizes), place.by))
            return substitute(place, sizes) if isinstance(place, str) else place

        return sized(each(supposed, self), self.dtype)

    def __repr__(self) -> str:
        return f"<Sizes {self.places.tolist()} {self.dtype}>"


def sized(places: Any, dtype: Any) -> Array | Sizes:
    """Return places as an array of numbers, if they all are numbers, else as `Sizes`."""
    array = boxed(places)
    kind = np.dtype(dtype)
    if all(not isinstance(place, (str, Scaled)) for place in array.flat):
        return np.array(array.tolist(), kind)
    return Sizes(array, kind)


def boxed(value: Any) -> Array:
    """Return an array of objects: of `Sizes`, numbers, or one place."""
    if isinstance(value, Sizes):
        return value.places
    if isinstance(value, np.ndarray):
        return value if value.dtype == object else _objects(value.tolist(), value.shape)
    if isinstance(value, (list, tuple)) and not isinstance(value, Scaled):
        return _objects(list(value), (len(value),))
    return _objects(value, ())


def _objects(values: Any, shape: tuple[int, ...]) -> Array:
    array = np.empty(shape, object)
    flat = values if shape else [values]
    for _ in shape[1:]:
        flat = [each for row in flat for each in row]
    for i, value in enumerate(flat):
        array.flat[i] = Dimension(value) if isinstance(value, str) else value
    return array


# --- arithmetic on one place ---------------------------------------------------------------------------------------


def _scaled(dim: Dim, by: Fraction) -> Any:
    """Return a dimension times a fraction as `_plain` does; refuse one that has grown beyond any size."""
    if max(by.numerator.bit_length(), by.denominator.bit_length()) > _MOST_BITS:
        raise ShapeError(f"a size times a fraction of more than {_MOST_BITS:,} bits is not supported")
    return _plain(Scaled(dim, by))


def _fraction(value: Any) -> Scaled:
    if isinstance(value, Scaled):
        return value
    if isinstance(value, str):
        return Scaled(value, Fraction(1))
    return Scaled(1, Fraction(value))


def _plain(value: Scaled) -> Any:
    """Return a scaled dimension as a number or a dimension, where it is one."""
    if isinstance(value.dim, int):
        number = value.dim * value.by
        return int(number) if number.denominator == 1 else float(number)
    return multiply(value.dim, int(value.by)) if value.by.denominator == 1 else value


def times(a: Any, b: Any) -> Any:
    """Return a * b."""
    if _whole(a) and _whole(b):
        return multiply(a, b)
    x, y = _fraction(a), _fraction(b)
    return _scaled(multiply(x.dim, y.dim), x.by * y.by)


def over(a: Any, b: Any) -> Any:
    """Return a / b of floats; b is a number, or divides a."""
    x, y = _fraction(a), _fraction(b)
    dim = x.dim
    if not isinstance(y.dim, int):
        dim = floor_divide(x.dim, y.dim)
        if multiply(dim, y.dim) != x.dim:
            raise Undecided
    return _scaled(dim, x.by / (y.by * (y.dim if isinstance(y.dim, int) else 1)))


def plus(a: Any, b: Any) -> Any:
    """Return a + b."""
    if _whole(a) and _whole(b):
        return add(a, b)
    x, y = _fraction(a), _fraction(b)
    below = x.by.denominator * y.by.denominator
    total = add(multiply(x.dim, int(x.by * below)), multiply(y.dim, int(y.by * below)))
    return _scaled(total, Fraction(1, below))


def minus(a: Any, b: Any) -> Any:
    """Return a - b."""
    return plus(a, times(b, -1))


def quotient(a: Any, b: Any) -> Any:
    """Return a / b of integers, which ONNX rounds towards 0: sizes are not negative."""
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return floor_divide(a, b)


def remainder(a: Any, b: Any) -> Any:
    """Return a modulo b."""
    return minus(a, times(b, floor_divide(a, b)))


def floor(a: Any) -> Any:
    """Return the largest whole number not above a."""
    if _whole(a):
        return a
    dim, by = _fraction(a)
    return floor_divide(multiply(dim, by.numerator), by.denominator)


def ceil(a: Any) -> Any:
    """Return the smallest whole number not below a."""
    if _whole(a):
        return a
    dim, by = _fraction(a)
    return floor_divide(add(multiply(dim, by.numerator), by.denominator - 1), by.denominator)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, str, np.integer))


class Undecided(Exception):
    """A question about sizes whose answer depends on what they are."""


def at_least(a: Any, b: Any) -> bool:
    """Return whether a >= b, of sizes that are not negative, whatever they are."""
    difference = minus(a, b)
    if isinstance(difference, (int, float)):
        return difference >= 0
    if isinstance(difference, str):
        if clamp(difference) == difference:
            return True
        behind = subtract(subtract(0, difference), 1)
        if clamp(behind) == behind:
            return False
    raise Undecided


def same(a: Any, b: Any) -> bool:
    """Return whether a == b, whatever the sizes are."""
    if a == b:
        return True
    if at_least(a, b):
        if at_least(a, plus(b, 1)):
            return False
        raise Undecided
    return False


def smaller(a: Any, b: Any) -> Any:
    """Return the minimum of a and b."""
    try:
        return b if at_least(a, b) else a
    except Undecided:
        return subtract(a, clamp(subtract(a, b)))


def larger(a: Any, b: Any) -> Any:
    """Return the maximum of a and b."""
    try:
        return a if at_least(a, b) else b
    except Undecided:
        return add(b, clamp(subtract(a, b)))


def each(function: Callable[..., Any], *operands: Any) -> Array:
    """Return a function of one place applied to all places of operands that broadcast."""
    boxes = np.broadcast_arrays(*[boxed(operand) for operand in operands])
    result = np.empty(boxes[0].shape, object)
    for i, values in enumerate(zip(*[box.flat for box in boxes], strict=True)):
        result.flat[i] = function(*values)
    return result


def dims_of(value: Iterable[Any]) -> tuple[Dim, ...]:
    """Return places as dimensions: plain ints and texts."""
    return tuple(str.__str__(each) if isinstance(each, str) else int(each) for each in value)
