"""The debuggers that are open: one a model, a few at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..debugger.debugger import Debugger, debug
from ..errors import GraphnnError
from .files import ARRAYS, Folder

if TYPE_CHECKING:
    from ..core import Graph, Node

Load = Callable[[str, Sequence[str]], "tuple[Any, Any]"]
"""Takes a target, as the command line has it, and files of arrays; returns what is run, and its feed or None."""
OPEN = 4
"""How many models are open at once; the one that was asked about longest ago is closed for another."""
_FEEDS = 64


@dataclass
class Opened:
    """A model with its debugger.

    Attributes
    ----------
    name : str
        As clients name it.
    run, feed : object
        What `graphnn.debug` was given.
    dbg : Debugger
    heard : list of str
        What the debugger has said since the last call.
    stamp : tuple
        Of the files that it was read from.
    """

    name: str
    run: Any
    feed: Any
    dbg: Debugger
    stamp: tuple[Any, ...]
    heard: list[str] = field(default_factory=list)

    @property
    def graph(self) -> Graph:
        """The graph of the run."""
        return self.dbg.graph

    @cached_property
    def places(self) -> dict[Node, int]:
        """The nodes of the run with their places in it."""
        return {node: place for place, node in enumerate(self.dbg.order)}


class Models:
    """Opens models, and keeps the last ones."""

    def __init__(self, folder: Folder, load: Load) -> None:
        self.folder = folder
        self._load = load
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._feeds: OrderedDict[str, str] = OrderedDict()

    def feed(self, model: str, file: str) -> None:
        """Say which file of arrays a model is fed from now on."""
        self.folder.file(file, ARRAYS[:1])
        self._open.pop(model, None)
        self._feeds[model] = file
        self._feeds.move_to_end(model)
        while len(self._feeds) > _FEEDS:
            self._feeds.popitem(last=False)

    def is_fed(self, model: str) -> bool:
        """Return whether what a model is fed was said: by a file of arrays, or by the model's own file."""
        return model in self._feeds or not model.endswith(".onnx")

    def opened(self, model: str) -> Opened:
        """Return an open model; one that is opened now has run to its end, or to where an operation failed.

        A file that has changed since is read again.
        """
        path, _, arrays = self._named(model)
        stamp = tuple(_stamp(file) for file in (path, arrays) if file is not None)
        known = self._open.get(model)
        if known is None or known.stamp != stamp:
            self._open.pop(model, None)
            while len(self._open) >= OPEN:
                self._open.popitem(last=False)
            known = self._open[model] = self._made(model, *self.read(model), stamp)
        self._open.move_to_end(model)
        return known

    def read(self, model: str) -> tuple[Any, Any]:
        """Return what is run of a model, and its feed; nothing is evaluated."""
        _, target, arrays = self._named(model)
        return self._load(target, [str(arrays)] if arrays else [])

    def _named(self, model: str) -> tuple[Path, str, Path | None]:
        """Return the file of a model, the model as the command line has it, and the file of its feed."""
        path, function = self.folder.model(model)
        feed = self._feeds.get(model, "")
        arrays = self.folder.file(feed, ARRAYS) if feed else None
        return path, f"{path}:{function}" if function else str(path), arrays

    def _made(self, model: str, run: Any, feed: Any, stamp: tuple[Any, ...]) -> Opened:
        heard: list[str] = []
        dbg = debug(run, feed, echo=None)
        opened = Opened(model, run, feed, dbg, stamp, heard)
        dbg.echo = heard.append
        with suppress(GraphnnError):  # the debugger stands before what failed, and holds the message
            dbg.resume()
        return opened


def _stamp(file: Path) -> tuple[str, int, int]:
    about = file.stat()
    return str(file), about.st_mtime_ns, about.st_size
