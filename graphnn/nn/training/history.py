"""The history of a training run: figures, epoch by epoch."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ..._util.display import SVG, Shown
from ..._util.hints import elsewhere
from ..._util.text import in_bytes, visible
from ...errors import DrawingError, NotFoundError, UsageError, near

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 20
# Distinct for colour-blind people; in grey, dashes and markers distinguish the lines.
_COLOURS = ("#0072B2", "#D55E00", "#8E3B6E", "#00664B", "#56B4E9", "#3C4043")


class WorkerReport(NamedTuple):
    """What a worker did in a training run.

    Attributes
    ----------
    tasks : int
    seconds : float
        Of computing, on all its threads together.
    waited : float
        Seconds in which a thread of it had nothing to compute for this training.
    read, returned : int
        Bytes of the rows and parameters that it got, and of the sums that it returned.
    """

    tasks: int
    seconds: float
    waited: float
    read: int
    returned: int

    def __str__(self) -> str:
        return (
            f"{self.tasks:,} tasks, computed {self.seconds:.2f} s, waited {self.waited:.2f} s, "
            f"read {in_bytes(self.read)}, returned {in_bytes(self.returned)}"
        )


@elsewhere("history", "a history")
class History(dict[str, list[Any]], Shown):
    """A dict of lists, with one figure per epoch: ``history["loss"]``, ``history["val_accuracy"]``.

    A callback may add lists of its own, such as ``history.setdefault("rate", []).append(optimizer.learning_rate)``.
    Checkpoints keep them.

    It prints as a table. A notebook shows it as a plot if matplotlib is installed.

    Attributes
    ----------
    epochs : int
        The number of epochs.
    interrupted : bool
        Whether Ctrl-C ended the training.
    exhausted : bool
        Whether the training ended early because its data ended. The last epoch may have had fewer steps.
    best : int or None
        The epoch, from 1, with the best figure that early stopping monitored.
    workers : dict of str to WorkerReport
        What each worker did in a training run with a client, by its address: tasks, seconds, bytes.

    Examples
    --------
    >>> history = History({"loss": [0.7, 0.35], "accuracy": [0.5, 1.0]})
    >>> history.epochs, history["loss"][-1]
    (2, 0.35)
    >>> history
    epoch  loss  accuracy
        1   0.7       0.5
        2  0.35         1
    """

    def __init__(self, columns: Mapping[str, list[Any]] | None = None) -> None:
        if columns is not None and not (
            isinstance(columns, Mapping) and all(isinstance(values, Iterable) for values in columns.values())
        ):
            raise UsageError(f"a history is made of a dict of lists, not {type(columns).__name__}")
        super().__init__({name: list(values) for name, values in (columns or {}).items()})
        lengths = {len(values) for values in self.values()}
        if len(lengths) > 1:
            raise UsageError("all lists of a history have the same length")
        self.epochs: int = lengths.pop() if lengths else 0
        self._appended: list[str] = []
        self.interrupted = False
        self.exhausted = False
        self.best: int | None = None
        self.workers: dict[str, WorkerReport] = {}

    def __missing__(self, name: Any) -> NoReturn:
        raise NotFoundError(f'"{name}" is not recorded.{near(name, self)}')

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the figures of one more epoch."""
        self._appended = list(row)
        for name, value in row.items():
            self.setdefault(name, []).append(value)
        self.epochs += 1

    def trim(self) -> None:
        """Remove the figures of an interrupted `append`."""
        for name in self._appended:
            del self.get(name, [])[self.epochs :]

    def table(self) -> list[list[str]]:
        """Return the header and the rows as text; if there are many epochs, the first and the last."""
        rows = [[str(i + 1), *(_cell(values, i) for values in self.values())] for i in range(self.epochs)]
        if len(rows) > _MOST_ROWS:
            rows[_MOST_ROWS // 2 : -_MOST_ROWS // 2] = [["…"] * (len(self) + 1)]
        return [["epoch", *(visible(str(name)) for name in self)], *rows]

    def __repr__(self) -> str:
        rows = self.table()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
        ends = {"interrupted": self.interrupted, "the data ended": self.exhausted}
        return "\n".join([*lines, *(end for end, holds in ends.items() if holds)])

    def plot(self) -> Figure:
        """Return a plot of the figures that are numbers over the epochs: losses, and beside them the others.

        Figures of the validation are dashed. Of one or two epochs, there are points without a line; those of the
        validation are crosses.

        Returns
        -------
        matplotlib.figure.Figure
            ``history.plot().savefig("history.svg")`` writes it to a file.

        Raises
        ------
        DrawingError
            When matplotlib is not installed, or there is nothing to draw. (A RuntimeError.)
        """
        try:
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            raise DrawingError(
                'a plot needs matplotlib: pip install "graphnn[plot]"; print(history) shows the figures as a table'
            ) from None
        numbers = numbers_of(self)
        losses = {name: values for name, values in numbers.items() if name.endswith("loss")}
        panels = [panel for panel in (losses, {n: v for n, v in numbers.items() if n not in losses}) if panel]
        if not panels:
            raise DrawingError("there is nothing to plot: no epoch was completed")
        drawing = Figure(figsize=(5.0 * len(panels), 3.5), layout="constrained")
        for axes, panel in zip(drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            axes.set_prop_cycle(color=_COLOURS)
            for name, values in panel.items():
                validation, few = name.startswith("val_"), len(values) <= 2  # between two points, nothing was measured
                marker = "" if self.epochs > 2 * _MOST_ROWS else "x" if few and validation else "."
                dashes = "" if few else "--" if validation else "-"
                axes.plot(
                    range(1, len(values) + 1), values, linestyle=dashes, marker=marker, label=name.replace("$", r"\$")
                )
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.grid(visible=True, alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        return drawing


@SVG.give(History)
def _as_svg(history: History) -> str | None:
    try:
        drawing = history.plot()
    except DrawingError:
        return None
    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def numbers_of(history: History) -> dict[str, list[Any]]:
    """Return the figures that are numbers, one for each epoch.

    Examples
    --------
    >>> history = History({"loss": [0.5, 0.25], "counts": [[1, 2], [3, 0]]})
    >>> history["steps"] = [7, 7, 7]
    >>> history["late"] = [1.0]
    >>> numbers_of(history)
    {'loss': [0.5, 0.25], 'steps': [7, 7]}
    """
    columns = {name: values[: history.epochs] for name, values in history.items() if isinstance(values, list)}
    return {
        name: values
        for name, values in columns.items()
        if values and len(values) == history.epochs and all(isinstance(value, (int, float)) for value in values)
    }


def _cell(values: Any, epoch: int) -> str:
    """Return the figure of an epoch as text; "" where a callback recorded none."""
    try:
        return visible(figure(values[epoch]))
    except (LookupError, TypeError):
        return ""


def figure(value: Any) -> str:
    """Return a figure as text: four digits of a number, or the shape of an array.

    Examples
    --------
    >>> figure(0.123456), figure(12), figure([[1, 2], [3, 4]])
    ('0.1235', '12', '2×2')
    """
    if isinstance(value, list):
        sizes = []
        while isinstance(value, list):
            sizes.append(str(len(value)))
            value = value[0] if value else None
        return "×".join(sizes)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
