"""Progress reports of a training: a bar, lines of text, or none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..show import rendered
from .history import figure

if TYPE_CHECKING:
    from .live import Run

_LINES = 50  # about this many lines of a long training
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
        True: a bar if standard error is a terminal and rich is installed, else lines on standard error. A stream gets
        the lines written to it. A callable is called with each line.
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
        return _bar(run.epochs, run.per_epoch, run.done) or _Lines(_writer(sys.stderr), run.epochs)
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


def _written(row: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {figure(value)}" for name, value in row.items())


class _Lines(Reporter):
    """A line for each epoch; for some epochs only, if the training is long."""

    def __init__(self, write: Callable[[str], Any], epochs: int) -> None:
        self._write, self._epochs = write, epochs
        self._every = -(-epochs // _LINES)
        self._last = time.monotonic()

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        now = time.monotonic()
        if last or epoch % self._every == 0 or epoch == 1 or now - self._last > _SILENCE:
            self._last = now
            self._write(f"epoch {epoch:>{len(str(self._epochs))}}/{self._epochs}  {_written(row)}")


def _bar(epochs: int, steps: int, done: int) -> Reporter | None:
    """Return a bar, if rich is installed and standard error is a terminal."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    except ImportError:
        return None
    console = Console(stderr=True)
    if not (find_spec("ipywidgets") if console.is_jupyter else console.is_terminal):
        return None  # in a notebook, rich needs widgets
    bar = Progress(
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
    )
    task = bar.add_task("", total=epochs * steps, completed=done, epoch=done // steps + 1, epochs=epochs, figures="")

    class Bar(Reporter):
        """A bar for all epochs, with the figures of the last one."""

        figures = ""

        def __enter__(self) -> Reporter:
            bar.start()
            return self

        def __exit__(self, *raised: object) -> None:
            bar.stop()

        def step(self, epoch: int, loss: float) -> None:
            bar.update(task, advance=1, epoch=epoch, figures=self.figures or f"loss {figure(loss)}")

        def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
            self.figures = _written(row)
            bar.update(task, epoch=epoch, figures=self.figures)

    return Bar()
