"""Sizes that record what is computed of them, in the place of ints: what the compiler knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ..core import Op

_Op = TypeVar("_Op", bound="Op")


class Unrecorded(Exception):
    """Something is done with a size that can not be done again for another one."""


class Size:
    """Stands for an int: it computes and compares like one, and records it in a cell. All else is refused."""

    __slots__ = ("cell",)
    cell: int


def any_size(numbers: Iterable[object]) -> bool:
    """Return whether one of these is a `Size`."""
    return any(isinstance(number, Size) for number in numbers)


def unchecked(op: _Op, **attributes: object) -> _Op:
    """Return an operation with other attributes, which are not checked: a size that is recorded is not an int."""
    found = copy(op)
    for name in list(vars(found)):
        if isinstance(getattr(type(op), name, None), cached_property):
            del vars(found)[name]
    vars(found).update(attributes)
    return found


class ForSizes:
    """A function that a plan calls, and that is made for the sizes of the plan."""

    def with_numbers(self, known: Callable[[Any], Any]) -> ForSizes:
        """Return the same for other sizes: `known` gives the number of each that was recorded."""
        raise NotImplementedError
