"""Progress reports of a training run: a bar, lines of text, or none."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..._util.callables import line_writer
from ..._util.missing import needed
from ..._util.ports import Port
from ..._util.text import clock
from .history import figure

if TYPE_CHECKING:
    from .live_run import Run

_LINES = 50  # about this many lines of a long training
_BARS = "▁▂▃▄▅▆▇█"
_SILENCE = 10.0  # a further line after this many seconds, and after this share of the time so far:
_SILENT_SHARE = 0.02
_SHORTEST_CURVE, _LONGEST_CURVE = 4, 16  # columns
_WINDOW = 15.0  # seconds over which steps per second are counted, up to twice as many


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


LIVE_PAGE: Port[Callable[[Run], Reporter]] = Port("live page")
"""What writes the page of a training run."""
LIVE_PROGRESS: Port[Callable[[Run], Reporter | None]] = Port("live progress")
"""What draws the curves of a training run here; None where only lines of text can be shown."""


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


class Pace:
    """How fast a training run goes, and how long the rest of it will take."""

    def __init__(self, run: Run) -> None:
        self._run, self.steps = run, run.done
        self.began = time.perf_counter()
        self._marks: list[tuple[float, int]] = []  # the first step, two later ones: their times and numbers

    def step(self) -> float:
        """Count a step; return the time."""
        now = time.perf_counter()
        self.steps += 1
        if not self._marks:  # the first step takes longer, and does not count
            self._marks = [(now, self.steps)] * 3
        return now

    def said(self, ended: bool = False) -> str:
        """Return steps per second, and the time that is left, as far as they are known; at the end, of the whole."""
        if not self._marks or self.steps == self._marks[0][1]:
            return ""
        now, left = time.perf_counter(), None if ended else self._run.left
        (first, begun), (then, counted), (latest, _) = self._marks
        if ended or self.steps == counted:
            then, counted = first, begun
        elif now - latest > _WINDOW:
            self._marks[1:] = [self._marks[2], (now, self.steps)]
        rate = (self.steps - counted) / max(now - then, 1e-9)
        said = f"{_digits(rate)} steps/s" if rate >= 1 else f"{_digits(1 / rate)} s/step"
        return said if not left else f"{said}, {clock((now - first) / (self.steps - begun) * left)} left"

    def elapsed(self) -> str:
        """Return the time since the training began."""
        return clock(time.perf_counter() - self.began)


def _digits(number: float) -> str:
    """Return a number with three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def reporter(progress: Any, run: Run) -> Reporter:
    """Return the reporter of a training run: that of its progress, and that of its page.

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
    page = needed(LIVE_PAGE, "nn.fit(page=…)")(run)
    return page if type(shown) is Reporter else _Several([page, shown])


def _of_progress(progress: Any, run: Run) -> Reporter:
    draw = LIVE_PROGRESS.of() if progress is True else None
    if draw is not None and (shown := draw(run)) is not None:
        return shown
    write = line_writer(progress)
    return Reporter() if write is None else _Lines(write, run, progress is True and _draws_bars(sys.stderr))


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
    """A line for each epoch; for some epochs only, if the training is long. If steps take long, lines within an epoch.

    On a terminal, with the curve of the losses.
    """

    def __init__(self, write: Callable[[str], Any], run: Run, on_terminal: bool = False) -> None:
        self._write, self._run, self._on_terminal = write, run, on_terminal
        self._every = -(-run.epochs // _LINES)
        self._pace = Pace(run)
        self._last = self._pace.began

    def _is_due(self, now: float) -> bool:
        return now - self._last > max(_SILENCE, (now - self._pace.began) * _SILENT_SHARE)

    def step(self, epoch: int, loss: float) -> None:
        now = self._pace.step()
        if self._is_due(now):
            self._last = now
            run = self._run
            of = "" if run.per_epoch is None else f"/{run.per_epoch:,}"
            self._say(epoch, f"step {run.batch:,}{of}  loss {figure(loss)}")

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        now = time.perf_counter()
        if last or epoch % self._every == 0 or epoch == 1 or self._is_due(now):
            self._last = now
            self._say(epoch, written(row), last)

    def _say(self, epoch: int, figures: str, last: bool = False) -> None:
        epochs = self._run.epochs
        pace = self._pace.said(last)
        if last:
            pace = ", ".join(filter(None, [pace, f"{self._pace.elapsed()} in all"]))
        line = "  ".join(filter(None, [f"epoch {epoch:>{len(str(epochs))}}/{epochs}", figures, pace]))
        losses = self._run.history.get("loss") if self._on_terminal else None
        room = shutil.get_terminal_size().columns - len(line) - 3
        if losses and room >= _SHORTEST_CURVE:
            line += f"  {curve(losses[: self._run.history.epochs], min(room, _LONGEST_CURVE))}"
        self._write(line)


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
