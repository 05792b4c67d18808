"""Locks that are free again whatever Ctrl-C ends, and in a forked process, in which no other thread goes on."""

import os
import sys
from _thread import RLock
from collections.abc import Callable
from weakref import WeakSet


class Lock(RLock):  # type: ignore[misc] # CPython allows it
    """A lock that a thread may take again.

    In a forked process those are free that other threads had taken: these threads are not there to release them. What
    they were doing is cut short there, as by Ctrl-C.
    """

    def __init__(self) -> None:
        _locks.add(self)

    if (3, 14) <= sys.version_info < (3, 15):

        def __enter__(self) -> bool:  # type: ignore[override]
            # Python 3.14 hears Ctrl-C between taking the lock of a `with` and its body, and does not release it then.
            # https://docs.python.org/3/library/signal.html#handlers-and-exceptions
            try:
                return self.acquire()
            except BaseException:
                try:  # noqa: SIM105 - `suppress` would hear Ctrl-C, too
                    self.release()
                except RuntimeError:
                    pass  # another thread has it
                raise


_locks: WeakSet[Lock] = WeakSet()


def in_forked(function: Callable[[], object]) -> None:
    """Have a function called in each process that is forked, by the one thread that it has."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def _renew() -> None:
    for lock in _locks:
        if not lock._is_owned():  # type: ignore[attr-defined]
            lock._at_fork_reinit()  # type: ignore[attr-defined] # as `threading` does with its own


in_forked(_renew)

__all__ = ["Lock", "in_forked"]
