"""How much work dimensions may take: counted in terms, for one text or operation, and for all that a file holds.

A short text may multiply out to very much: ``(1+a)*(1+a)*…``. So whatever makes terms counts them first. What a file
takes depends on the file alone, and not on what was read before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

from .._util.text import short_name
from ..errors import FileFormatError, ShapeError

AT_ONCE = 20_000
"""The most terms that one text, or one operation on dimensions, may take."""
OF_FILE, OF_NODE = 100_000, 50
"""The most terms that the dimensions of a file may take: so many, and so many more for each node."""
_SHOWN = 80
"""Characters of a dimension in an error."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _TooLong(Exception):
    """What is done takes more than `AT_ONCE`."""


class _File:
    """What is being read: the terms that it has taken and may take, and what is known of its dimensions."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.spent, self.most = 0, OF_FILE
        self.known: dict[tuple[Any, ...], Any] = {}

    def spend(self, terms: int) -> None:
        self.spent += terms
        if self.spent > self.most:
            raise FileFormatError(
                f"the dimensions of {self.what} are too long: working them out takes more than {self.most:,} terms, "
                f"and {OF_FILE:,} and {OF_NODE} for each node is the most"
            )


class _Spent(threading.local):
    """What this thread does: the terms that it has taken at once, and the file that it reads."""

    at_once: int = 0
    file: _File | None = None


_spent = _Spent()


def spend(terms: int) -> None:
    """Count terms before they are made, inside of a function that is called `once`.

    Raises
    ------
    FileFormatError
        When the file that is read has taken too many.
    """
    _spent.at_once += terms
    if _spent.at_once > AT_ONCE:
        raise _TooLong
    spend_in_file(terms)


def spend_in_file(terms: int) -> None:
    """Count terms where a file is read."""
    if _spent.file is not None:
        _spent.file.spend(terms)


def once(said: str) -> Callable[[_Function], _Function]:
    """Keep what the decorated function of dimensions returns, and refuse what takes too many terms.

    Parameters
    ----------
    said : str
        What it makes, for the error, with ``{}`` for each dimension.
    """

    def decorate(function: _Function) -> _Function:
        def worked(*dims: Any) -> Any:
            outer, _spent.at_once = _spent.at_once, 0
            try:
                return function(*dims)
            except _TooLong:
                shown = said.format(*[short_name(str(dim), _SHOWN) for dim in dims])
                raise ShapeError(f"{shown} takes more than {AT_ONCE:,} terms to multiply out") from None
            finally:
                _spent.at_once = outer

        kept = lru_cache(maxsize=4096)(worked)

        @wraps(function)
        def call(*dims: Any) -> Any:
            if _spent.file is None:
                return kept(*dims)
            known, key = _spent.file.known, (function, *dims)
            if key not in known:
                known[key] = worked(*dims)
            return known[key]

        return cast("_Function", call)

    return decorate


def remember(function: Callable[..., Any], dim: Any, result: Any) -> None:
    """Note, where a file is read, what a function that is called `once` would return."""
    if _spent.file is not None:
        _spent.file.known[function.__wrapped__, dim] = result  # type: ignore[attr-defined]


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Have all dimensions inside take at most the terms of a file; what is read inside of another counts for that.

    Parameters
    ----------
    what : str
        What is read, for the error.
    """
    if _spent.file is not None:
        yield
        return
    _spent.file = _File(what)
    try:
        yield
    finally:
        _spent.file = None


def allow(nodes: int) -> None:
    """Let what is being read take the terms of so many more nodes."""
    if _spent.file is not None:
        _spent.file.most += OF_NODE * nodes
