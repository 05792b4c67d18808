"""A file of a sweep that is under way, so that it goes on where it was stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from ..debugger.traces import digest_of
from ..errors import FileFormatError
from ..io.container import read, write
from ..io.paths import path_of

if TYPE_CHECKING:
    from ..io.paths import StrPath
    from .patch_places import Place
    from .run_pair import Pair

_KIND, _VERSION = "sweep", 3
_EVERY = 5.0  # seconds


class Resumed:
    """What a file holds of a sweep, and how more of it gets there.

    Parameters
    ----------
    path : str or path-like
        Of a file that is there, or will be.
    pair : Pair
    places : sequence of Place

    Attributes
    ----------
    found : dict of int to float
        The metric by the number of the place.

    Raises
    ------
    FileFormatError
        When it is a file of something else, or of another sweep.
    """

    def __init__(self, path: StrPath, pair: Pair, places: Sequence[Place]) -> None:
        self._path, self._count = path, len(places)
        self._of = _digest(pair, places)
        self._last = time.monotonic()
        self.found: dict[int, float] = {}
        if not path_of(path).exists():
            self._write()  # so that it is known now whether it can be
        else:
            data, arrays = read(path, _KIND, version=_VERSION)
            if not isinstance(data, dict) or data.get("of") != self._of or list(arrays) != ["metrics"]:
                raise FileFormatError(
                    f"{str(path)!r} holds the effects of another sweep: of another graph, metric, direction, places, "
                    "feeds or parameters. Give another path, or delete it"
                )
            metrics, known = arrays["metrics"], data.get("known")
            if metrics.dtype != np.float64 or metrics.shape != (len(places),):
                raise FileFormatError(f"{str(path)!r} holds no effects of {len(places)} places; delete it")
            self.found = {number: float(metrics[number]) for number in _checked(known, len(places), path)}

    def keep(self, found: Mapping[int, float], now: bool = False) -> None:
        """Write what is known, if it is time to."""
        if len(found) == len(self.found) or not (now or time.monotonic() - self._last > _EVERY):
            return
        self.found = dict(found)
        self._write()

    def _write(self) -> None:
        metrics = np.full(self._count, math.nan)
        metrics[list(self.found)] = list(self.found.values())
        data = {"of": self._of, "known": sorted(self.found)}
        write(self._path, _KIND, data, {"metrics": metrics}, version=_VERSION)
        self._last = time.monotonic()


def _checked(known: object, count: int, path: StrPath) -> list[int]:
    if isinstance(known, list) and all(type(number) is int and 0 <= number < count for number in known):
        return known
    raise FileFormatError(f"{str(path)!r} names places that are not among the {count:,}; delete it")


def _digest(pair: Pair, places: Sequence[Place]) -> str:
    """Return a hash of all that the effects depend on."""
    state = blake2b(digest_size=16)
    for text in _told(pair, places):
        state.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
    return state.hexdigest()


def _told(pair: Pair, places: Sequence[Place]) -> Iterator[str]:
    """Yield what the effects depend on, as text."""
    yield pair.metric.name
    for node, operands in zip(pair.order, pair.operands, strict=True):
        yield f"{node.name} {node.op!r} {operands} {node.spec}"
        if node.op.is_constant:
            yield digest_of(node.value)
    yield from (place.name for place in places)
    for run in (pair.base, pair.other):
        yield repr([(name, run.sizes.get(name)) for name in run.program.dimension_names])
        for node in pair.order:
            if node in run.overridden:
                yield f"{node.name} {run.overridden[node]!r}"
            if node in run.given:
                yield f"{node.name} {digest_of(run.given[node])}"
