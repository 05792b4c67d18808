"""Ports: what a room needs of rooms above it, which it cannot import.

The low room states the need as a `Port` with the type of what is asked for. A module above gives it. Which modules give
to a port stands in the entry table of the package, beside the public names; they load when the port is first asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .lazy_loading import is_there, load

T = TypeVar("T")
_PACKAGE = __name__.partition(".")[0]


class Port(Generic[T]):
    """A need of a room, which modules of rooms above give: for things of some classes, for all, or under names.

    Parameters
    ----------
    name : str
        By which the entry table knows the modules that give it.

    Examples
    --------
    >>> LENGTH: Port[Callable[[Any], int]] = Port("length")
    >>> @LENGTH.give(str)
    ... def length(text): return len(text)
    >>> LENGTH.of("abc")("abc"), LENGTH.of(3)
    (3, None)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._given: dict[type | str, Any] = {}

    def give(self, *kinds: type | str) -> Callable[[Any], Any]:
        """Return a decorator: what it decorates is given, for things of these classes, or under names; else for all."""

        def register(thing: Any) -> Any:
            self._given.update(dict.fromkeys(kinds or (object,), thing))
            return thing

        return register

    def of(self, thing: object = None) -> T | None:
        """Return what is given for a thing of this class, or for a base of it, else None."""
        self.load()
        return next((self._given[kind] for kind in type(thing).__mro__ if kind in self._given), None)

    def load(self) -> dict[type | str, T]:
        """Return all that is given, once the modules that give it are loaded."""
        for module in self._modules():
            if is_there(module):
                load(f"{_PACKAGE}.{module}")
        return self._given

    @property
    def absent(self) -> list[str]:
        """The folders that give to this port, and are not installed."""
        rooms = {f"{_PACKAGE}/{module.partition('.')[0]}" for module in self._modules() if not is_there(module)}
        return sorted(rooms)

    def _modules(self) -> tuple[str, ...]:
        table: dict[str, tuple[str, ...]] = vars(sys.modules[_PACKAGE])["_GIVES"]
        return table.get(self.name, ())
