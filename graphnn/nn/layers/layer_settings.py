"""The settings of layers and optimizers, and what is said where one is set without an effect."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from ..._util.hints import TABLE, argument, attribute_error
from ..._util.source_location import user_origin
from ...errors import GraphnnWarning

T = TypeVar("T")


def _once(function: Callable[[type], T]) -> Callable[[type], T]:
    """Return a function of a class that keeps its results."""
    return lru_cache(maxsize=256)(function)


@_once
def settings_of(kind: type) -> tuple[str, ...]:
    """Return the names of the settings that a class takes, those that it passes on to its base too."""
    return _taken(kind, inspect.Parameter.VAR_KEYWORD, (inspect.Parameter.VAR_POSITIONAL,))


@_once
def positional_of(kind: type) -> tuple[str, ...]:
    """Return the names of what a class takes by position, also what it passes on to its base so."""
    return _taken(
        kind, inspect.Parameter.VAR_POSITIONAL, (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    )


def _taken(kind: type, passed_on: Any, without: tuple[Any, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = [*inspect.signature(vars(base)["__init__"]).parameters.values()][1:]
            found |= {p.name: None for p in parameters if p.kind not in (passed_on, *without)}
            if all(p.kind is not passed_on for p in parameters):
                break
    return tuple(found)


def warn_if_late(thing: Any, name: str, value: Any, after: str, more: str = "") -> None:
    """Warn of an attribute that is changed after nodes were made by it.

    Parameters
    ----------
    thing : Layer or Optimizer
    name : str
        Of an attribute that it has.
    value : Any
        Which is about to be set.
    after : str
        What made the nodes.
    more : str
        A sentence on what can be set.
    """
    if not are_equal(vars(thing)[name], value):
        warnings.warn_explicit(
            f"{type(thing).__name__}.{name} is set after {after}: nodes that were made keep the old value; only "
            f"those that are made from now on can have the new one{more}",
            GraphnnWarning,
            *user_origin(),
        )


def are_equal(one: Any, other: Any) -> bool:
    """Return whether two settings are the same."""
    return one is other or (type(one) is type(other) and isinstance(one, (int, float, str)) and one == other)


def check_has(thing: Any, name: str, kind: str) -> None:
    """Raise an error where the user sets an attribute that a class of ours does not have: it would change nothing.

    A class of the user's own may have any, and so may the code of graphnn set any. Names with an underscore are those
    of tools.

    Parameters
    ----------
    thing : Layer, Optimizer or EMA
    name : str
        Of the attribute, which `thing` does not hold yet. This is called by its ``__setattr__``.
    kind : str
        The section of the table of hints that is for such things.

    Raises
    ------
    AttributeError
        With what to write.
    """
    cls = type(thing)
    if name[0] == "_" or not _is_ours(cls.__module__) or hasattr(cls, name):
        return
    if not _is_ours(sys._getframe(2).f_globals.get("__name__", "")):
        known = [each for each in (*settings_of(cls), *vars(thing)) if each[0] != "_"]
        hint = f" {TABLE[kind][name]}" if name in TABLE[kind] else argument(name, known, cls.__name__)
        if name in known:
            hint = f" Write {cls.__name__}(…, {name}=…)."
        raise attribute_error(f'{cls.__name__} has no attribute "{name}", and to set it would change nothing.{hint}')


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]
