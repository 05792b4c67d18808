"""How many threads BLAS computes on: how it cuts a product, and so the last bits, may depend on their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from threading import RLock, get_ident
from typing import Any

from .._util.forks import in_forked


@cache
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


def blas_libraries() -> list[Mapping[str, Any]]:
    """Return what is known of each BLAS that is loaded; nothing without threadpoolctl."""
    return [] if _controller() is None else _controller().info()


_lock = RLock()
_inside: list[int] = []
"""The threads that are in such a block."""
_limited: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS compute on one thread in this process. Without threadpoolctl, it goes on as it does."""
    global _limited  # noqa: PLW0603 - the number of threads belongs to the process
    thread = get_ident()
    with _lock:
        if not _inside and _controller() is not None:
            _limited = _controller().limit(limits=1)
        _inside.append(thread)
    try:
        yield
    finally:
        with _lock:
            _inside.remove(thread)
            _restore()


def _restore() -> None:
    if not _inside and _limited is not None:
        _limited.restore_original_limits()


@in_forked
def _forget_other_threads() -> None:
    here = [thread for thread in _inside if thread == get_ident()]
    if here != _inside:
        _inside[:] = here
        _restore()
