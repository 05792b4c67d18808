"""The figures of a training run as they come: of many steps, so many points as a curve needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST_POINTS = 1000  # of the loss; twice as many before they are put together
_MOST_ROWS = 300  # of the figures of nodes


class Losses:
    """The loss of every step. When there are many, neighbours are put together: their mean, least and largest.

    Examples
    --------
    >>> losses = Losses()
    >>> for loss in [4.0, 2.0, float("nan")]:
    ...     losses.pending.append(loss)
    >>> losses.gather(step=3, time=0.5)
    >>> losses.plain()["mean"], losses.bad
    ([4.0, 2.0, None], 3)
    """

    def __init__(self) -> None:
        self.pending: list[float] = []
        """The losses since the last `gather`."""
        self.bad: int | None = None
        """The first step whose loss is not finite."""
        self._points = np.empty((0, 5))  # step, time, mean, least, largest
        self._each = 1  # how many steps make a point
        self._left = np.empty((0, 5))  # steps that make no whole point yet
        self._time = 0.0

    def gather(self, step: int, time: float) -> None:
        """Put the pending losses to the others; the last of them is that of a step, made at a time."""
        found = np.array(self.pending, np.float64)
        self.pending.clear()
        if not found.size:
            return
        steps = np.arange(step - found.size + 1, step + 1)
        times = np.linspace(self._time, time, found.size + 1)[1:]
        self._time = time
        if self.bad is None and not np.isfinite(found).all():
            self.bad = int(steps[np.argmin(np.isfinite(found))])
        rows = np.concatenate([self._left, np.stack([steps, times, found, found, found], axis=1)])
        while True:
            whole = len(rows) // self._each * self._each
            if len(self._points) + len(rows) // self._each <= 2 * _MOST_POINTS:
                break
            # Twice as many steps a point from now on. For an odd number of points, the last waits for a neighbour.
            odd = self._points[len(self._points) // 2 * 2 :]
            self._points = _together(self._points[: len(self._points) // 2 * 2], 2)
            rows = np.concatenate([np.repeat(odd, self._each, axis=0), rows])
            self._each *= 2
        self._points = np.concatenate([self._points, _together(rows[:whole], self._each)])
        self._left = rows[whole:]

    def plain(self) -> dict[str, Any]:
        """Return the points as plain data, the steps that make no whole point yet as one."""
        left = [_together(self._left, len(self._left))] if len(self._left) else []
        columns = np.concatenate([self._points, *left]).T
        named = dict(zip(("step", "time", "mean", "low", "high"), columns, strict=True))
        return {name: short(column.tolist()) for name, column in named.items()}


def _together(rows: Any, many: int) -> Any:
    """Return every so many rows as one: the last step and time, the mean, the minimum and the maximum."""
    groups = rows.reshape(-1, many, 5)
    with np.errstate(all="ignore"):
        parts = [
            groups[:, -1, 0],
            groups[:, -1, 1],
            groups[..., 2].mean(1),
            groups[..., 3].min(1),
            groups[..., 4].max(1),
        ]
    return np.stack(parts, axis=1)


class Rows:
    """Rows of figures that come now and then; of many, every second, fourth, … is kept, and the latest.

    Examples
    --------
    >>> rows = Rows()
    >>> rows.append({"step": 1, "norm": {"w": 3.0}})
    >>> rows.append({"step": 2, "norm": {"w": float("inf"), "b": 1.0}})
    >>> rows.plain("norm")
    {'w': [3.0, None], 'b': [None, 1.0]}
    """

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._latest: list[dict[str, Any]] = []  # if it is not among them
        self._each, self._count = 1, 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows, in the order in which they came."""
        return self._kept + self._latest

    def append(self, row: dict[str, Any]) -> None:
        """Add a row."""
        if self._count % self._each:
            self._latest = [row]
        else:
            self._kept.append(row)
            self._latest = []
        self._count += 1
        if len(self._kept) > 2 * _MOST_ROWS:
            self._kept = self._kept[::2]
            self._each *= 2

    def plain(self, kind: str) -> dict[str, list[Any]]:
        """Return the figures of a kind, a list a name."""
        names = dict.fromkeys(name for row in self.rows for name in row[kind])
        return {name: short([row[kind].get(name) for row in self.rows]) for name in names}


def short(values: Sequence[Any]) -> list[Any]:
    """Return numbers in six digits, for JSON: None for what is not finite.

    Examples
    --------
    >>> short([1 / 3, float("nan"), 7.0, [0.5, None]])
    [0.333333, None, 7.0, [0.5, None]]
    """
    return [
        short(value)
        if isinstance(value, (list, tuple))
        else None
        if value is None or not math.isfinite(value)
        else float(f"{value:.6g}")
        if isinstance(value, float)
        else value
        for value in values
    ]
