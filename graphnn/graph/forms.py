"""Lists, tuples and dicts of things, taken apart and put together in the same form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


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
        Takes as many things and returns them in the same form.

    Examples
    --------
    >>> leaves, rebuild = flatten({"a": 1, "b": [2, 3]})
    >>> leaves, rebuild([10, 20, 30])
    ([1, 2, 3], {'a': 10, 'b': [20, 30]})
    """
    if isinstance(form, Mapping):
        values, rebuild = flatten(list(form.values()))
        keys = list(form)
        return values, lambda things: dict(zip(keys, rebuild(things), strict=True))
    if not isinstance(form, (list, tuple)):
        return [form], lambda things: things[0]
    parts = [flatten(part) for part in form]
    leaves = [leaf for part, _ in parts for leaf in part]

    def rebuild_sequence(things: Sequence[Any]) -> Any:
        result, start = [], 0
        for part, rebuild_part in parts:
            result.append(rebuild_part(things[start : start + len(part)]))
            start += len(part)
        if isinstance(form, tuple):
            return type(form)(*result) if hasattr(form, "_fields") else tuple(result)
        return result

    return leaves, rebuild_sequence
