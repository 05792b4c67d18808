"""Rules by class: what is done with an object, registered for its class or for a base of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

_Kind = TypeVar("_Kind")
_Given = ParamSpec("_Given")
_Gives = TypeVar("_Gives")


class Rules(Generic[_Given, _Gives]):
    """A function with a rule for each class of its first argument; a class without one has that of its nearest base.

    Examples
    --------
    >>> named = Rules()
    >>> named[object], named[int] = lambda thing: "thing", lambda number: f"number {number:d}"
    >>> named(True), named("a")
    ('number 1', 'thing')
    """

    def __init__(self) -> None:
        self._rules: dict[type, Callable[Concatenate[Any, _Given], _Gives]] = {}

    def __setitem__(self, kind: type[_Kind], rule: Callable[Concatenate[_Kind, _Given], _Gives]) -> None:
        self._rules[kind] = rule

    def __call__(self, thing: object, /, *given: _Given.args, **named: _Given.kwargs) -> _Gives:
        kind = type(thing)
        if kind not in self._rules:
            self._rules[kind] = next(self._rules[base] for base in kind.__mro__ if base in self._rules)
        return self._rules[kind](thing, *given, **named)
