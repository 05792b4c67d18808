"""Blocks of rows computed by several threads at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from ..graph.quiet import quietly


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="graphnn")


def together(part: Callable[..., None], pieces: Sequence[Any], *arrays: Any) -> None:
    """Call `part` with each of the pieces at once: with the first here, with the others in threads.

    Which thread computes which rows is settled beforehand, and no two write to the same: the result does not depend on
    how many there are. Nothing in them calls BLAS, whose own threads stay out of the way.
    """
    rest = [_pool(len(pieces) - 1).submit(quietly, part, piece, *arrays) for piece in pieces[1:]]
    try:
        part(pieces[0], *arrays)
    finally:
        wait(rest)  # also after Ctrl-C: they write to memory that the next call may use
    for done in rest:
        done.result()
