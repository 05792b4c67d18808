"""Early stopping: when a training run ends because a figure no longer improves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..._util.text import short_repr
from ...core.attributes import whole
from ...core.symbolic_shapes import shown
from ...errors import NotFoundError, ShapeError, UsageError, ValueRangeError, near
from ..argument_validation import checked_flag, checked_number
from .callbacks import Callback

if TYPE_CHECKING:
    from ...core import Array, Node


@dataclass(frozen=True)
class EarlyStopping(Callback):
    """Stops a training run early: ``nn.fit(..., callbacks=[nn.EarlyStopping(patience=3)])``.

    The run ends when a figure of the history has not improved for some epochs. What it has seen is kept by the run, and
    in its checkpoints: one object may serve several runs. A run takes one.

    Parameters
    ----------
    monitor : str
        A figure of the history, such as ``"val_loss"`` or ``"val_accuracy"``.
    patience : int
        After how many epochs without an improvement to stop.
    min_delta : float
        The smallest change that counts as an improvement.
    mode : {"min", "max"}, optional
        Whether smaller or larger figures are better. Optional if the name of the figure ends with "loss".
    restore_best : bool
        Whether to restore the values of the best epoch at the end, unless Ctrl-C ended the training.

    Examples
    --------
    >>> EarlyStopping("val_accuracy", patience=3, mode="max")
    EarlyStopping(monitor='val_accuracy', patience=3, min_delta=0.0, mode='max', restore_best=True)
    """

    monitor: str = "val_loss"
    patience: int = 5
    min_delta: float = 0.0
    mode: str | None = None
    restore_best: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.monitor, str):
            raise UsageError(f"EarlyStopping: monitor is the name of a figure, not {type(self.monitor).__name__}")
        if self.mode is None and not self.monitor.endswith("loss"):
            raise UsageError(f'EarlyStopping: write mode="min" or mode="max", whichever is better for "{self.monitor}"')
        if self.mode is not None and (not isinstance(self.mode, str) or self.mode not in ("min", "max")):
            raise ValueRangeError(f'EarlyStopping: mode is "min" or "max", not {short_repr(self.mode)}')
        whole("EarlyStopping: patience", self.patience, 1)
        checked_number("EarlyStopping: min_delta", self.min_delta, 0)
        checked_flag("EarlyStopping: restore_best", self.restore_best)


class Watch:
    """The state of early stopping."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self.stopping = stopping
        self.best = math.nan
        self.epoch = 0  # of the best figure, from 1; 0: there is none yet
        self.waited = 0
        self.values: dict[Node, Array] = {}

    @property
    def goal(self) -> dict[str, str]:
        """What is monitored, and whether smaller or larger is better."""
        return {"monitor": self.stopping.monitor, "mode": self.stopping.mode or "min"}

    @property
    def ran_out(self) -> bool:
        return self.waited >= self.stopping.patience

    def see(self, figure: float, epoch: int, state: Mapping[Node, Array], updated: Iterable[Node]) -> None:
        """Compare the figure of an epoch with the best one. If it is better, keep the state."""
        gain = figure - self.best if self.stopping.mode == "max" else self.best - figure
        if gain > self.stopping.min_delta or (self.epoch == 0 and not math.isnan(figure)):
            self.best, self.epoch, self.waited = figure, epoch, 0
            if self.stopping.restore_best:
                self.values = {node: state[node] for node in updated}
        else:
            self.waited += 1


def watched(callbacks: Sequence[Any], columns: Mapping[str, Node]) -> Watch | None:
    """Return the state of early stopping at the beginning, if there is early stopping among the callbacks.

    Raises
    ------
    UsageError
        When there are two.
    NotFoundError
        When the figure that it monitors is not one of the columns of the history.
    """
    found = [each for each in callbacks if isinstance(each, EarlyStopping)]
    if not found:
        return None
    if len(found) > 1:
        raise UsageError(
            "a training run takes one EarlyStopping; another callback, such as a function of the history that returns "
            "True, ends it for other reasons"
        )
    stopping = found[0]
    node = columns.get(stopping.monitor)
    if node is None:
        hint = (
            ""
            if "val_loss" in columns
            else "; figures called val_… need validation=, or validation_split= of an estimator"
        )
        raise NotFoundError(
            f'early stopping monitors "{stopping.monitor}", which is not recorded{hint}.'
            f"{near(stopping.monitor, columns)}"
        )
    if node.shape != ():
        raise ShapeError(f'early stopping needs a number, but "{stopping.monitor}" has shape {shown(node.shape)}')
    return Watch(stopping)
