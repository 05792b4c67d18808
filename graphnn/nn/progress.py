"""Progress reports of a training: a bar, lines of text, or none."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..show import rendered
from .history import figure

if TYPE_CHECKING:
    from .history import History
    from .live import Run

_LINES = 50  # about this many lines of a long training
_BARS = "▁▂▃▄▅▆▇█"
_SILENCE = 10.0  # a further line after this many seconds


class Reporter:
    """Base class of the reporters; it reports nothing."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *raised: object) -> None:
        """Restore the terminal."""

    def step(self, epoch: int, loss: float) -> None:
        """Report a step of an epoch; epochs count from 1."""

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        """Report the figures of an epoch; epochs count from 1."""


class _Several(Reporter):
    """Several reporters, as one."""

    def __init__(self, members: Sequence[Reporter]) -> None:
        self._members, self._entered = members, ExitStack()

    def __enter__(self) -> Reporter:
        with ExitStack() as entered:
            for member in self._members:
                entered.enter_context(member)
            self._entered = entered.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._entered.__exit__(*raised)

    def step(self, epoch: int, loss: float) -> None:
        for member in self._members:
            member.step(epoch, loss)

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        for member in self._members:
            member.epoch(epoch, row, last)


def reporter(progress: Any, run: Run) -> Reporter:
    """Return the reporter of a training: that of its progress, and that of its page.

    Parameters
    ----------
    progress : bool, None, stream or callable
        True: curves in a notebook; a bar with curves if standard error is a terminal and rich is installed; else lines
        on standard error. A stream gets the lines written to it. A callable is called with each line.
    run : Run

    Raises
    ------
    UsageError
        When `progress` is something else.
    """
    shown = _of_progress(progress, run)
    if run.page is None:
        return shown
    page: Reporter = rendered(run, "live page")
    return page if type(shown) is Reporter else _Several([page, shown])


def _of_progress(progress: Any, run: Run) -> Reporter:
    if progress is None or progress is False:
        return Reporter()
    if progress is True:
        shown: Reporter | None = rendered(run, "live progress")
        return shown or _Lines(_writer(sys.stderr), run.epochs, run.history if _draws_bars(sys.stderr) else None)
    if callable(getattr(progress, "write", None)):
        return _Lines(_writer(progress), run.epochs)
    if callable(progress):
        return _Lines(progress, run.epochs)
    raise UsageError(f"progress is True, False, a stream or a function of a line, not {type(progress).__name__}")


def _writer(stream: Any) -> Callable[[str], Any]:
    def write(line: str) -> None:
        stream.write(line + "\n")
        if callable(getattr(stream, "flush", None)):
            stream.flush()

    return write


def written(row: Mapping[str, Any]) -> str:
    """Return the figures of an epoch in one line."""
    return "  ".join(f"{name} {figure(value)}" for name, value in row.items())


def _draws_bars(stream: Any) -> bool:
    """Return whether a stream is a terminal that can show the bars of a curve."""
    try:
        _BARS.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return bool(callable(getattr(stream, "isatty", None)) and stream.isatty())


class _Lines(Reporter):
    """A line for each epoch; for some epochs only, if the training is long. With a history, a curve of the losses."""

    def __init__(self, write: Callable[[str], Any], epochs: int, history: History | None = None) -> None:
        self._write, self._epochs, self._history = write, epochs, history
        self._every = -(-epochs // _LINES)
        self._last = time.monotonic()

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        now = time.monotonic()
        if last or epoch % self._every == 0 or epoch == 1 or now - self._last > _SILENCE:
            self._last = now
            line = f"epoch {epoch:>{len(str(self._epochs))}}/{self._epochs}  {written(row)}"
            self._write(line if self._history is None else f"{line}  {curve(self._history['loss'][:epoch])}")


def curve(values: Sequence[Any], width: int = 16) -> str:
    """Return a curve in one line: the mean of every so many figures, by the height of a bar; "!" where not finite.

    Examples
    --------
    >>> curve([4.0, 3.0, 2.0, 1.0, 0.5]), curve([1.0, float("nan")]), curve([])
    ('█▆▄▂▁', '▁!', '')
    """
    each = -(-len(values) // width) or 1
    means = [sum(values[i : i + each]) / len(values[i : i + each]) for i in range(0, len(values), each)]
    finite = [mean for mean in means if math.isfinite(mean)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    heights = [(mean - low) / (high - low) * (len(_BARS) - 1) if low < high else 0 for mean in means]
    return "".join(_BARS[int(at)] if math.isfinite(mean) else "!" for mean, at in zip(means, heights, strict=True))
