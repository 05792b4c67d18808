"""What a client writes for a part of a value and for numbers, read; nothing in it is evaluated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .._util.text import visible
from ..core import is_float
from ..core.arrays import as_array
from ..core.symbolic_shapes import shown as shape_text
from ..debugger.why import index_parts
from ..errors import AxisError, ValueRangeError
from .files import shown

if TYPE_CHECKING:
    from ..core import Array, Node


def index_in(text: str) -> tuple[Any, ...]:
    """Return an index that is written between brackets: ints, slices, ``...`` and labels; nothing is evaluated."""
    return tuple(_index_part(part) for part in index_parts(text))


def _index_part(part: str) -> Any:
    if part == "...":
        return ...
    bounds = [bound.strip() for bound in part.split(":")]
    ints = [bound for bound in bounds if bound]
    if len(bounds) > 3 or any(not bound.removeprefix("-").isdecimal() or len(bound) > 18 for bound in ints):
        if len(bounds) == 1 and part:
            return part.strip("'\"")  # the label of a position
        raise ValueRangeError(f"{shown(part)} is not an index: write integers, slices such as 2:5, and ...")
    numbers = [int(bound) if bound else None for bound in bounds]
    if len(numbers) > 2 and numbers[2] == 0:
        raise ValueRangeError("the step of a slice is not 0")
    if len(numbers) == 1:
        if numbers[0] is None:
            raise ValueRangeError("an index has a number between its commas")
        return numbers[0]
    return slice(*numbers)


def part_taken(value: Array, index: Any) -> Array:
    """Return a part of a value, or say that there is none."""
    try:
        return np.asarray(value[index])
    except (IndexError, ValueError):
        written = visible(str(index))[:80]
        raise AxisError(f"that value has shape {shape_text(value.shape)}, and so no part {written}") from None


_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "true": True, "false": False}


def literal_of(value: Any) -> Any:
    """Return a value with its words read: NaN and the infinities, which JSON has not, and numbers in text."""
    if isinstance(value, list):
        return [literal_of(part) for part in value]
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    try:
        return float(word) if len(word) < 40 and "_" not in word else _refuse_text(value)
    except ValueError:
        return _refuse_text(value)


def _refuse_text(value: str) -> NoReturn:
    raise ValueRangeError(f"a value is a number or nested lists of numbers; {shown(value)} is neither")


def fitted(node: Node, literal: Any) -> Array:
    """Return numbers in a node's dtype where they fit: JSON does not say whether they are ints, nor how wide."""
    array = as_array(literal, "the value")
    if array.dtype.kind in "iufb" and (is_float(node.dtype) or np.array_equal(array, np.trunc(array))):
        with np.errstate(all="ignore"):
            own = array.astype(node.dtype)
        if np.array_equal(own.astype(np.float64), array.astype(np.float64), equal_nan=True) or is_float(node.dtype):
            return own
    return array
