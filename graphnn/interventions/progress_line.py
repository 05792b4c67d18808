"""How far something that takes long is: a line that is written over on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from .._util.callables import line_writer
from .._util.text import clock, columns_there

_FIRST, _EVERY = 1.0, 10.0
"""Seconds before the first line, and between lines where they stay."""
_OFTEN = 0.1
_BAR = 20


class Progress:
    """Tells how many of so many are done; a context manager.

    Parameters
    ----------
    progress : bool, None, stream or callable
        True: on standard error, once it has taken a second. A stream gets lines, a callable is called with each.
    what : str
        What is counted, ``"effects"``.
    total : int

    Raises
    ------
    UsageError
        When `progress` is something else.
    """

    def __init__(self, progress: Any, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._began = self._last = time.perf_counter()
        self._start: int | None = None
        self._write = line_writer(progress)
        self._terminal = sys.stderr if progress is True and columns_there(sys.stderr) is not None else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave the line that was written over."""
        if self._terminal is not None and self._last != self._began:
            self._terminal.write("\n")

    def tell(self, done: int) -> None:
        """Tell how many are done, if it is time to; the first time, how many were done before."""
        if self._start is None or self._write is None:
            self._start = done
            return
        now = time.perf_counter()
        first = self._last == self._began
        if now - self._last < (_FIRST if first else _EVERY if self._terminal is None else _OFTEN):
            return
        self._last = now
        made = done - self._start
        left = f", {clock((now - self._began) / made * (self._total - done))} left" if made else ""
        line = f"{self._what} {done:,}/{self._total:,}, {done * 100 // self._total} %{left}"
        if self._terminal is None:
            self._write(line)
        else:
            filled = done * _BAR // self._total
            self._terminal.write(f"\r{'#' * filled}{'.' * (_BAR - filled)} {line}\x1b[K")
            self._terminal.flush()
