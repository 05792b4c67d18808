"""Progress reports of a training: a bar, lines of text, or none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from ..errors import UsageError
from .history import figure

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


def reporter(progress: Any, epochs: int, steps: int, done: int) -> Reporter:
    """Return the reporter of a training.

    Parameters
    ----------
    progress : bool, None, stream or callable
        True: a bar if standard error is a terminal and rich is installed, else lines on standard error. A stream gets
        the lines written to it. A callable is called with each line.
    epochs : int
    steps : int
        The number of steps per epoch.
    done : int
        The number of steps before.

    Raises
    ------
    UsageError
        When `progress` is something else.
    """
    if progress is None or progress is False:
        return Reporter()
    if progress is True:
        return _bar(epochs, steps, done) or _Lines(_writer(sys.stderr), epochs)
    if callable(getattr(progress, "write", None)):
        return _Lines(_writer(progress), epochs)
    if callable(progress):
        return _Lines(progress, epochs)
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
