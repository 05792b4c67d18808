"""Functions and streams that users give to be called: what they must take."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, cast

from ..errors import UsageError
from .call_errors import written


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
        count = {0: "no argument", 1: "one argument, "}.get(len(given), f"{len(given)} arguments, ")
        called = count + " and ".join(given)
        takes = written([*signature.parameters.values()])
        raise UsageError(f"{what} is called with {called}, and takes {f'({takes})' if takes else 'none'}") from None


def line_writer(progress: Any) -> Callable[[str], Any] | None:
    """Return what takes the lines of a report on something that takes long; None where nobody does.

    Parameters
    ----------
    progress : bool, None, stream or callable
        True: standard error. A stream gets the lines written to it. A callable is called with each line.

    Raises
    ------
    UsageError
        When `progress` is something else, or takes no line.
    """
    if progress is None or progress is False:
        return None
    stream = sys.stderr if progress is True else progress
    if callable(getattr(stream, "write", None)):

        def write(line: str) -> None:
            stream.write(line + "\n")
            if callable(getattr(stream, "flush", None)):
                stream.flush()

        return write
    if callable(progress):
        check_takes("progress", progress, "a line")
        return cast("Callable[[str], Any]", progress)
    raise UsageError(f"progress is True, False, a stream or a function of a line, not {type(progress).__name__}")
