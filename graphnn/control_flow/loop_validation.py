"""What is checked of the functions that a user gives to a loop or a branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._util.text import short_repr, with_article
from ..core import Graph, Node
from ..errors import DtypeError, ShapeError, UsageError


def check_functions(what: str, *functions: Any) -> None:
    """Refuse what cannot be called."""
    for function in functions:
        if not callable(function):
            raise UsageError(f"{what} takes a function, not {with_article(type(function).__name__)}")


def check_bool(what: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise UsageError(f"{what} is True or False, not {short_repr(value)}")


def form_of(value: Any) -> Any:
    """Return the form of nested lists, tuples and dicts, to compare."""
    if isinstance(value, Mapping):
        return {key: form_of(part) for key, part in value.items()}
    return [form_of(part) for part in value] if isinstance(value, (list, tuple)) else None


def leaves_of(value: Any, like: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dicts in the order of another one of the same form.

    Entries of dicts go by their keys, in whatever order a function puts them in.
    """
    if isinstance(like, Mapping):
        return [leaf for key, part in like.items() for leaf in leaves_of(value[key], part)]
    if isinstance(like, (list, tuple)):
        return [leaf for part, other in zip(value, like, strict=True) for leaf in leaves_of(part, other)]
    return [value]


def check_flag(what: str, which: str, flag: Any) -> None:
    """Refuse what is not one bool."""
    if not isinstance(flag, Node):
        raise UsageError(f"{what}: {which} is a node, one bool, not {with_article(type(flag).__name__)}")
    if flag.dtype != np.bool_:
        raise DtypeError(f'{what}: {which} is one bool, and "{flag.name}" is {flag.dtype}: compare it, as in x > 0')
    if flag.shape != ():
        raise ShapeError(
            f'{what}: {which} is one bool, and "{flag.name}" is of shape {flag.spec}: gn.any or gn.all makes one of '
            "them, and gn.where chooses element by element"
        )


def check_states(what: str, before: Sequence[Node], after: Sequence[Node]) -> None:
    """Refuse next states of another shape or dtype. The states have been made by `tracing.given`."""
    for old, new in zip(before, after, strict=True):
        name = old.inputs[0].inputs[0].name
        if old.shape != new.shape:
            raise ShapeError(
                f'{what}: the state "{name}" is {old.spec}, and the next one, "{new.name}", {new.spec}: a state keeps '
                "its shape; give it at first the shape that it is to have"
            )
        if old.dtype != new.dtype:
            raise DtypeError(
                f'{what}: the state "{name}" is {old.dtype}, and the next one, "{new.name}", {new.dtype}: give it at '
                f"first as {new.dtype}, or cast the next state"
            )


def updates_of(graph: Graph) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return the updates that there are before a function is called, for `check_updates`."""
    return dict(graph.updates), dict(graph.advances)


def check_updates(what: str, graph: Graph, before: tuple[Any, Any], moving: set[Node]) -> None:
    """Refuse updates that were made in a body, other than those of the counters of random numbers."""
    advances = {key: node for key, node in graph.advances.items() if key not in before[1]}
    if graph.updates != before[0] or any(at in moving or node in moving for (_, at), node in advances.items()):
        raise UsageError(
            f"{what}: the function makes updates, as batch normalization does in training, and a parameter has one "
            "value for all iterations and branches: return what changes as a result, or carry it as a state"
        )
