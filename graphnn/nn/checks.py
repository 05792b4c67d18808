"""Checks of arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls import written
from ..errors import UsageError, ValueRangeError
from ..graph import Node


def check_choice(kind: str, setting: str, given: Any, known: Any) -> None:
    """Raise an error unless an argument is one of the known values."""
    if not any(given is one or (isinstance(given, str) and given == one) for one in known):
        raise ValueRangeError(f"{kind}: {setting} is one of {', '.join(map(repr, known))}, not {given!r}")


def check_takes(what: str, function: Callable[..., Any], *given: str) -> None:
    """Raise an error if a function cannot be called with so many arguments, which are named for the message.

    Examples
    --------
    >>> check_takes("a schedule", lambda step, rate=0.1: rate, "the number of steps")
    >>> check_takes("a schedule", lambda: 0.1, "the number of steps")
    Traceback (most recent call last):
        ...
    graphnn.errors.UsageError: a schedule is called with one argument, the number of steps, and takes none
      at <doctest ...>:1
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # as of some functions that are not written in Python
        return
    try:
        signature.bind(*given)
    except TypeError:
        called = f"one argument, {given[0]}" if given else "no argument"
        takes = written([*signature.parameters.values()])
        raise UsageError(f"{what} is called with {called}, and takes {f'({takes})' if takes else 'none'}") from None


def checked_flag(what: str, value: Any) -> bool:
    """Return a bool; other values that are true or false in Python are an error."""
    if not isinstance(value, (bool, np.bool_)):
        raise UsageError(f"{what} is True or False, not {_given(value)}")
    return bool(value)


def checked_number(what: str, value: Any, lo: float = -math.inf, hi: float = math.inf, strictly: bool = False) -> float:
    """Return a finite float from `lo` up to, but not including, `hi`; if `strictly`, `lo` is not included either."""
    try:
        number = math.nan if isinstance(value, (str, bytes, Node)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"{what} is a number, not {_given(value)}")
    if math.isinf(number) or not (lo < number < hi if strictly else lo <= number < hi):
        bound = f"more than {lo:g}" if strictly else f"{lo:g} or more"
        bound = "finite" if lo == -math.inf else bound
        bound += "" if hi == math.inf else f", and less than {hi:g}"
        raise ValueRangeError(f"{what} is {bound}, not {number:g}")
    return number


def _given(value: Any) -> str:
    return repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
