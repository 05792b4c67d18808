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
    >>> _ = named.of(object)(lambda thing: "thing"), named.of(int)(lambda number: f"number {number:d}")
    >>> named(True), named("a")
    ('number 1', 'thing')
    """

    def __init__(self) -> None:
        self._rules: dict[type, Callable[Concatenate[Any, _Given], _Gives]] = {}

    def of(
        self, *kinds: type[_Kind]
    ) -> Callable[[Callable[Concatenate[_Kind, _Given], _Gives]], Callable[Concatenate[_Kind, _Given], _Gives]]:
        """Register what is decorated as the rule of these classes."""

        def registered(
            rule: Callable[Concatenate[_Kind, _Given], _Gives],
        ) -> Callable[Concatenate[_Kind, _Given], _Gives]:
            self._rules.update(dict.fromkeys(kinds, rule))
            return rule

        return registered

    def __call__(self, thing: object, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Gives:
        kind = type(thing)
        if kind not in self._rules:
            self._rules[kind] = next(self._rules[base] for base in kind.__mro__ if base in self._rules)
        return self._rules[kind](thing, *args, **kwargs)
