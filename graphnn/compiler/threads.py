"""Blocks of rows computed by several threads at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from .._util.forks import in_forked
from .._util.numpy_warnings import quietly


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="graphnn")


in_forked(_pool.cache_clear)  # threads do not come along to a forked process


def together(part: Callable[..., None], pieces: Sequence[Any], *arrays: Any) -> None:
    """Call `part` with all pieces at the same time: the first in this thread, the others in threads of a pool.

    The pieces are fixed when the plan is made and write to different rows, so the result does not depend on the number
    of threads. No piece calls BLAS, which has threads of its own.
    """
    rest: list[Future[None]] = []
    try:
        for piece in pieces[1:]:
            begun = _begun(len(pieces) - 1, part, piece, *arrays)
            if begun is None:
                break
            rest.append(begun)
        for piece in (pieces[0], *pieces[1 + len(rest) :]):
            part(piece, *arrays)
    finally:
        wait(rest)  # also after Ctrl-C: they write to memory that the next call uses
    for done in rest:
        done.result()


def _begun(threads: int, part: Callable[..., None], *arguments: Any) -> Future[None] | None:
    """Call `part` in a thread of the pool; return None if no thread starts any more, because the program ends."""
    try:
        return _pool(threads).submit(quietly, part, *arguments)
    except RuntimeError as error:
        if not str(error).startswith("cannot schedule new futures"):
            raise
        return None
