"""Progress of a training run with its curves: in a notebook, and below a bar in a terminal where rich is installed."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...nn.training.history import numbers_of
from ...nn.training.progress import LIVE_PROGRESS, Pace, Reporter, written
from ...view.formatting import counted, visible
from .charts import Curve, dots, svg
from .training_curves import Losses

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ...nn.training.live_run import Run

_TOLD_EVERY = 0.25  # seconds between two changes of the line with the bar
EVERY = 1.0
"""Seconds between two pictures, at least."""
SHARE = 0.01
"""Of the time of a training run, so much may go into pictures."""
_STYLES = ("blue", "dark_orange", "magenta", "green")
_LINES = ("──", "╌╌")  # of a curve, and of a dashed one
_ROWS, _LEAST_ROWS = 8, 3
_WIDE = 100  # columns of a terminal in which two charts stand side by side


@LIVE_PROGRESS.give()
def progress_of(run: Run) -> Reporter | None:
    """Return what shows the progress of a training run here, or None where only lines of text do."""
    return _in_notebook(run) or _in_terminal(run)


class _Drawn(Reporter):
    """Base of what draws the curves of a training run from time to time."""

    def __init__(self, run: Run) -> None:
        self.run, self.losses, self.steps, self.pace = run, Losses(), run.done, Pace(run)
        self.began, self.due, self.figures = time.perf_counter(), 0.0, ""

    def step(self, epoch: int, loss: float) -> None:
        self.losses.pending.append(loss)
        self.pace.step()
        if time.perf_counter() >= self.due:
            self._redraw("")

    def epoch(self, epoch: int, row: Mapping[str, Any], last: bool) -> None:
        self.figures = written(row)

    def _redraw(self, ended: str) -> None:
        before = time.perf_counter()
        self.steps += len(self.losses.pending)
        self.losses.gather(self.steps, before - self.began)
        self._draw(ended)
        now = time.perf_counter()
        self.due = now + max(EVERY, (now - before) / SHARE)

    def _draw(self, ended: str) -> None:
        raise NotImplementedError

    def panels(self) -> list[list[Curve]]:
        """Return the losses over the epochs, then every other figure, each with that of the validation."""
        history, points = self.run.history, self.losses.plain()
        found: dict[str, list[Curve]] = {
            "loss": [Curve("loss", [self.run.epoch_at(step) for step in points["step"]], points["mean"])]
        }
        for name, values in numbers_of(history).items():
            if name != "loss":
                epochs = range(1, history.epochs + 1)
                found.setdefault(name.removeprefix("val_"), []).append(Curve(name, epochs, values))
        return list(found.values())


def _share(run: Run) -> float:
    """Return how much of a training run is done; without an epoch of unknown length."""
    done = float(run.history.epochs) if run.per_epoch is None else run.epoch_at(run.steps)
    return min(1.0, done / run.epochs)


# --- in a notebook ------------------------------------------------------------------------------------------------


def _in_notebook(run: Run) -> Reporter | None:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display, update_display

    class Notebook(_Drawn):
        """Curves below a cell, drawn anew from time to time."""

        def __enter__(self) -> Reporter:
            self.name = f"graphnn-{id(self)}"
            show: Any = display
            show(self.bundle(""), raw=True, display_id=self.name)
            return self

        def __exit__(self, *raised: object) -> None:
            kind = raised[0] if raised else None
            self._redraw("finished" if kind is None else "stopped" if kind is KeyboardInterrupt else "failed")

        def _draw(self, ended: str) -> None:
            update: Any = update_display
            update(self.bundle(ended), raw=True, display_id=self.name)

        def bundle(self, ended: str) -> dict[str, str]:
            run = self.run
            state = f"{ended} after " if ended else ""
            said = f"{state}epoch {run.history.epochs:,} of {run.epochs:,}, {counted(self.steps, 'step')}"
            pace = self.pace.said()
            said += f" in {self.pace.elapsed()}" if ended else f", {pace}" if pace else ""
            line = "  ".join([said, *([visible(self.figures)] if self.figures else [])])
            done = 1.0 if ended == "finished" else _share(run)
            bar = (
                '<div style="height:4px;max-width:720px;background:rgba(128,128,128,.3);margin:4px 0">'
                f'<div style="height:4px;width:{done:.1%};background:#2a86c8"></div></div>'
            )
            picture = svg(self.panels()) if self.steps > run.done else ""
            page = f'<div style="font:13px/1.5 system-ui,sans-serif">{html.escape(line)}{bar}{picture}</div>'
            return {"text/plain": line, "text/html": page}

    return Notebook(run)


# --- in a terminal ------------------------------------------------------------------------------------------------


def _in_terminal(run: Run) -> Reporter | None:
    """Return a bar, and curves below it, if rich is installed and standard error is a terminal."""
    try:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.text import Text
    except ImportError:
        return None
    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    bar = Progress(
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed{task.fields[pace]}", markup=False),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
    )
    epoch = min(run.history.epochs + 1, run.epochs)
    task = bar.add_task("", total=1.0, epoch=epoch, epochs=run.epochs, pace="", figures="")
    live = Live(bar, console=console, refresh_per_second=4)
    rows = 0 if console.options.ascii_only else min(_ROWS, console.height - 9)
    charts = rows >= _LEAST_ROWS

    class Terminal(_Drawn):
        """A bar for all epochs, and the figures of the last one. Below them, curves."""

        told = 0.0

        def __enter__(self) -> Reporter:
            live.start()
            return self

        def __exit__(self, *raised: object) -> None:
            try:
                self._redraw("ended")
            finally:
                live.stop()

        def step(self, epoch: int, loss: float) -> None:
            super().step(epoch, loss)
            if time.perf_counter() >= self.told + _TOLD_EVERY:
                self._tell("")

        def _tell(self, ended: str) -> None:
            self.told = time.perf_counter()
            total, counted_steps = (None, counted(self.pace.steps, "step")) if run.per_epoch is None else (1.0, "")
            pace = "".join(f", {part}" for part in (counted_steps, self.pace.said(bool(ended))) if part)
            figures = "" if charts else self.figures or f"loss {run.loss:.4g}"
            bar.update(task, total=total, completed=_share(run), epoch=run.epoch, pace=pace, figures=figures)

        def _draw(self, ended: str) -> None:
            self._tell(ended)
            if charts and self.steps > self.run.done:
                found = self.panels()
                panels = found[: 2 if console.width >= _WIDE else 1]
                others = [Text(visible(self.figures))] if self.figures and len(panels) < len(found) else []
                live.update(Group(bar, *others, _charts(panels, console.width // len(panels) - 2, rows)))

    return Terminal(run)


def _charts(panels: list[list[Curve]], width: int, rows: int) -> RenderableType:
    """Return charts side by side, under the names of their curves."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop")
    for curves in panels:
        heading = Text(" " * 9)
        for number, curve in enumerate(curves):
            heading.append(f"{_LINES[number % 2]} {curve.said}  ", _STYLES[number % len(_STYLES)])
        heading.truncate(width, pad=True)
        text.append_text(heading).append("  ")
    for row in zip(*(dots(curves, width, rows) for curves in panels), strict=True):
        text.append("\n")
        for cells in row:
            for character, number in cells:
                text.append(character, "dim" if number is None else _STYLES[number % len(_STYLES)])
            text.append("  ")
    return text
