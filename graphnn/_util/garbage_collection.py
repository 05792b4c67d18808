"""A pause of the cyclic garbage collector, which would search a million new objects again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from .forks import in_forked

_pausing: set[int] = set()
"""The threads that will let it go on."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while many objects are made and none is garbage."""
    enabled, thread = gc.isenabled(), get_ident()
    try:
        if enabled:
            _pausing.add(thread)
        gc.disable()
        yield
    finally:
        if enabled:
            gc.enable()
            _pausing.discard(thread)


@in_forked
def _go_on() -> None:
    """Let the collector go on where the thread that paused it is not there to do so."""
    here = _pausing & {get_ident()}
    if _pausing != here and not here:
        gc.enable()
    _pausing.intersection_update(here)
