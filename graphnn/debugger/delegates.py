"""Methods and properties that a class hands on to its parts, with their signatures and docstrings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from .._util.call_errors import explain_misuse

P = ParamSpec("P")
T = TypeVar("T")


def does(part: str, method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Return a method that calls that of the part which an attribute holds.

    Examples
    --------
    >>> class Shelf:
    ...     books = does("_list", list.count)
    ...     def __init__(self):
    ...         self._list = ["Emma", "Persuasion", "Emma"]
    >>> Shelf().books("Emma")
    2
    """

    @explain_misuse
    @functools.wraps(method)
    def handed_on(self: Any, /, *arguments: P.args, **named: P.kwargs) -> T:
        return method(getattr(self, part), *arguments, **named)

    return handed_on


def knows(part: str, read: Callable[[Any], T]) -> T:
    """Return a property that reads that of the part which an attribute holds; its type is that of the value."""
    getter = cast("property", read).fget
    assert getter is not None
    return cast("T", property(lambda self: getter(getattr(self, part)), doc=getter.__doc__))
