"""What shows a training while it goes on: the page that `fit` writes, and what such a page is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..container import StrPath, path_of
from ..errors import UsageError
from ..text import quoted

if TYPE_CHECKING:
    from ..execute.compiled import Compiled
    from ..execute.feed import Feed
    from .history import History


@dataclass
class Run:
    """A training that goes on, for those who show it.

    Attributes
    ----------
    step : Compiled
    history : History
        The figures of the epochs so far.
    epochs : int
        How many there are to be.
    per_epoch : int
        How many steps an epoch has.
    done : int
        How many steps were done before, in a training that is resumed.
    feed : mapping
        The batch of the latest step.
    page : LivePage or None
        Where it is to be shown, if it is on a page.
    """

    step: Compiled
    history: History
    epochs: int
    per_epoch: int
    done: int
    feed: Feed = field(default_factory=dict)
    page: LivePage | None = None


class LivePage:
    """A page that shows a training while it goes on, and other trainings beside it: ``nn.fit(..., page=page)``.

    One file of HTML, which reloads itself in the browser until the training ends. For a training alone,
    ``page="run.html"`` does.

    Parameters
    ----------
    path : str or path-like
        The file.
    name : str, optional
        What the training is called on the page. By default, the file's name without its ending.
    beside : str, path-like or iterable of them
        Pages of other trainings, finished or going on in other processes. Their curves are drawn over each other.
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
            raise UsageError(f"the name of a training is text, not {type(name).__name__}")
        self.name: str = self.path.stem if name is None else name
        several = beside if isinstance(beside, Iterable) and not isinstance(beside, (str, bytes)) else [beside]
        self.beside: list[Path] = [path_of(each) for each in several]
        if self.path in self.beside:
            raise UsageError(f"a page is not beside itself: {quoted(str(self.path))}")

    def __repr__(self) -> str:
        beside = f", beside={[str(each) for each in self.beside]}" if self.beside else ""
        return f"LivePage({str(self.path)!r}, name={self.name!r}{beside})"


def checked_page(page: Any) -> LivePage | None:
    """Return the page that `fit` was given, if any."""
    return page if page is None or isinstance(page, LivePage) else LivePage(page)
