"""What a caller gives for an argument, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import UsageError, ValueRangeError


def whole(what: str, value: Any, least: int | None = None) -> int:
    """Return an integer that a caller gave; an integer of NumPy is one, a bool is not.

    Parameters
    ----------
    what : str
        What the message calls it: ``"threads="``.
    value : object
    least : int, optional
        The smallest that it may be.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        When it is not an integer. (A TypeError.)
    ValueRangeError
        When it is less than `least`. (A ValueError.)

    Examples
    --------
    >>> whole("threads=", np.int64(2), 1)
    2
    >>> whole("threads=", 0, 1)
    Traceback (most recent call last):
        ...
    graphnn.errors.ValueRangeError: threads= is an int of 1 or more, not 0
      at <doctest ...>:1
    """
    wanted = f"{what} is an int" if least is None else f"{what} is an int of {least} or more"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        shown = repr(value) if isinstance(value, (str, float, bool)) else type(value).__name__
        raise UsageError(f"{wanted}, not {shown}")
    if least is not None and value < least:
        raise ValueRangeError(f"{wanted}, not {value}")
    return int(value)
