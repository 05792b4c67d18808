"""Rules by class: what is registered for the class of an object, or for a base of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

_Kind = TypeVar("_Kind")
_Rule = TypeVar("_Rule")
_Given = ParamSpec("_Given")
_Gives = TypeVar("_Gives")


class ByClass(dict[type, _Rule]):
    """A table by class; a class that is not in it has what its nearest base has."""

    def __missing__(self, kind: type) -> _Rule:
        return next(self[base] for base in kind.__mro__ if base in self)


class Rules(Generic[_Given, _Gives]):
    """A function with a rule for each class of its first argument, or for a base of that.

    Examples
    --------
    >>> named = Rules()
    >>> named[object], named[int] = lambda thing: "thing", lambda number: f"number {number:d}"
    >>> named(True), named("a")
    ('number 1', 'thing')
    """

    def __init__(self) -> None:
        self._rules: ByClass[Callable[Concatenate[Any, _Given], _Gives]] = ByClass()

    def __setitem__(self, kind: type[_Kind], rule: Callable[Concatenate[_Kind, _Given], _Gives]) -> None:
        self._rules[kind] = rule

    def __call__(self, thing: object, /, *given: _Given.args, **named: _Given.kwargs) -> _Gives:
        return self._rules[type(thing)](thing, *given, **named)
