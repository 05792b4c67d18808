"""A training run while it goes on: what is known of it, and the page that `fit` writes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._util.text import quoted
from ...errors import UsageError
from ...io.paths import StrPath, path_of

if TYPE_CHECKING:
    from ...compiler.compile import Compiled
    from ...runtime.feed import Feed
    from .history import History


@dataclass
class Run:
    """A training run that goes on: what a callback is called with.

    Attributes
    ----------
    step : Compiled
    history : History
        The figures of the epochs so far.
    epochs : int
        How many epochs there are to be.
    per_epoch : int or None
        How many steps an epoch has, as far as that is known: those of the last one, if the batches come from a
        generator.
    epoch : int
        The present epoch, from 1.
    batch : int
        How many steps of the present epoch are done.
    steps : int
        How many steps are done in all, those before a `resume` included.
    loss : float
        The loss of the latest step.
    results : array, or list, tuple or dict of arrays
        All fetches of the latest step, in the form of ``step``.
    feed : mapping
        The batch of the latest step.
    done : int
        How many steps were done before, in a training run that is resumed.
    page : LivePage or None
        Where it is to be shown, if it is on a page.
    ends : list of int
        How many steps were done in all at the end of each epoch.
    """

    step: Compiled
    history: History
    epochs: int
    per_epoch: int | None
    done: int
    feed: Feed = field(default_factory=dict)
    page: LivePage | None = None
    epoch: int = 1
    batch: int = 0
    steps: int = 0
    loss: float = math.nan
    results: Any = None
    ends: list[int] = field(default_factory=list)

    @property
    def left(self) -> int | None:
        """How many steps are left, as far as that is known."""
        if self.per_epoch is None:
            return None
        return max(0, (self.epochs - self.history.epochs) * self.per_epoch - self.batch)

    def epoch_at(self, step: float) -> float:
        """Return how many epochs were done at a step; of an epoch of unknown length, the steps so far fill it."""
        begins = [0, *self.ends]
        whole = max(0, bisect_left(begins, step) - 1)
        begin = begins[whole]
        if whole < len(self.ends):
            return whole + (step - begin) / (begins[whole + 1] - begin)
        return whole + (step - begin) / (self.per_epoch or max(1, self.steps - begin))


class LivePage:
    """A page that shows a training run while it goes on, and other training runs beside it: ``nn.fit(..., page=page)``.

    One file of HTML, which reloads itself in the browser until the training ends. For a training run alone,
    ``page="run.html"`` does.

    Parameters
    ----------
    path : str or path-like
        The file.
    name : str, optional
        What the training is called on the page. By default, the file's name without its ending.
    beside : str, path-like or iterable of them
        Pages of other training runs, finished or going on in other processes. Their curves are drawn over each other.
        They are read again whenever the page is written.

    Examples
    --------
    >>> page = LivePage("adam.html", beside="sgd.html")
    >>> page
    LivePage('adam.html', name='adam', beside=['sgd.html'])
    """

    def __init__(self, path: StrPath, *, name: str | None = None, beside: StrPath | Iterable[StrPath] = ()) -> None:
        self.path: Path = path_of(path)
        if name is not None and not isinstance(name, str):
            raise UsageError(f"the name of a training run is text, not {type(name).__name__}")
        self.name: str = self.path.stem if name is None else name
        several = beside if isinstance(beside, Iterable) and not isinstance(beside, (str, bytes)) else [beside]
        self.beside: list[Path] = [path_of(each) for each in several]
        if self.path in self.beside:
            raise UsageError(f"beside= holds the page itself: {quoted(str(self.path))}")

    def __repr__(self) -> str:
        beside = f", beside={[str(each) for each in self.beside]}" if self.beside else ""
        return f"LivePage({str(self.path)!r}, name={self.name!r}{beside})"


def checked_page(page: Any) -> LivePage | None:
    """Return the page that `fit` was given, if any."""
    return page if page is None or isinstance(page, LivePage) else LivePage(page)
