"""Forms: nested lists, tuples and dicts, taken apart and rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from ..errors import UsageError

_FORMS = (Mapping, list, tuple)
_Step = tuple[Callable[[list[Any]], Any], int] | None
"""A step of rebuilding: None takes the next leaf; a function and a number combine that many of the last parts."""


def flatten(form: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Take a form of lists, tuples and dicts apart.

    Parameters
    ----------
    form : object
        A leaf, or a list, tuple or mapping of forms.

    Returns
    -------
    leaves : list
        In order.
    rebuild : callable
        Takes one object for each leaf and returns them in the same form.

    Raises
    ------
    UsageError
        When a list, tuple or mapping contains itself.

    Examples
    --------
    >>> leaves, rebuild = flatten({"a": 1, "b": [2, 3]})
    >>> leaves, rebuild([10, 20, 30])
    ([1, 2, 3], {'a': 10, 'b': [20, 30]})
    """
    if not isinstance(form, _FORMS):
        return [form], itemgetter(0)
    parts = list(form.values() if isinstance(form, Mapping) else form)
    if not [part for part in parts if isinstance(part, _FORMS)]:  # as nearly always
        make, most = _maker(form), len(parts)
        return parts, lambda things: make(things[:most])
    leaves: list[Any] = []
    steps: list[_Step] = []
    around: set[int] = set()
    waiting: list[tuple[Any, _Step]] = [(form, None)]
    while waiting:
        part, step = waiting.pop()
        if step is not None:
            around.discard(id(part))
        elif not isinstance(part, _FORMS):
            leaves.append(part)
        elif id(part) in around:
            raise UsageError(f"a {type(part).__name__} that contains itself has no end: give each node or value once")
        else:
            around.add(id(part))
            parts = list(part.values() if isinstance(part, Mapping) else part)
            waiting.append((part, (_maker(part), len(parts))))
            waiting.extend([(each, None) for each in reversed(parts)])
            continue
        steps.append(step)

    def rebuild(things: Sequence[Any]) -> Any:
        made: list[Any] = []
        given = iter(things)
        for step in steps:
            if step is None:
                made.append(next(given))
            else:
                make, count = step
                start = len(made) - count
                made[start:] = [make(made[start:])]
        return made[0]

    return leaves, rebuild


def _maker(form: Any) -> Callable[[list[Any]], Any]:
    """Return a function that makes a list, tuple or dict like this one."""
    if isinstance(form, Mapping):
        keys = list(form)
        return lambda things: dict(zip(keys, things, strict=True))
    if isinstance(form, tuple):
        return (lambda things: type(form)(*things)) if hasattr(form, "_fields") else tuple
    return list
