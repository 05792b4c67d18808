"""Checks of arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._util.text import short_repr
from ..core import Node
from ..errors import UsageError, ValueRangeError


def check_choice(kind: str, setting: str, given: Any, known: Any) -> None:
    """Raise an error unless an argument is one of the known values."""
    if not any(given is one or (isinstance(given, str) and given == one) for one in known):
        raise ValueRangeError(f"{kind}: {setting} is one of {', '.join(map(repr, known))}, not {short_repr(given)}")


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
