"""The settings of layers and optimizers, and what is said where one is set without an effect."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from ..._util.hints import ARGUMENTS, attribute_error, names_used
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


def refuse_unread(thing: Any, name: str) -> NoReturn:
    """Raise the error for an attribute of `unread`.

    Raises
    ------
    AttributeError
        With what to write.
    """
    kind = type(thing)
    raise attribute_error(
        f'{kind.__name__} has no attribute "{name}", and to set it would change nothing.{unread(kind)[name]}'
    )


@_once
def unread(kind: type) -> Mapping[str, str]:
    """Return the attributes that look like settings of a class, and that nothing reads, each with what to write.

    They are settings that it does not keep, and names of settings elsewhere. Other packages say for themselves what the
    attributes of their classes are for.
    """
    if not kind.__module__.startswith(f"{__package__.rpartition('.')[0]}."):
        return {}
    settings = settings_of(kind)
    used = names_used(kind.__mro__) | {*dir(kind)}
    found = {name: f" Write {kind.__name__}(…, {name}=…)." for name in settings if name not in used}
    for name, here in ARGUMENTS.items():
        meant = next((other for other in here if other in settings), None) if isinstance(here, tuple) else None
        if meant is not None and name not in used and name not in settings:
            found[name] = found.get(meant, f" Here it is {meant}.")
    return found
