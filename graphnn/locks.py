"""A lock that is free again whatever Ctrl-C ends."""

import sys

if sys.version_info < (3, 14) or sys.version_info >= (3, 15):
    from threading import RLock as Lock
else:
    from _thread import RLock

    class Lock(RLock):
        """A lock that a thread may take again.

        Python 3.14 hears Ctrl-C between taking the lock of a `with` and its body, and does not release it then.
        https://docs.python.org/3/library/signal.html#handlers-and-exceptions
        """

        def __enter__(self) -> bool:
            try:
                return self.acquire()
            except BaseException:
                try:  # noqa: SIM105 - `suppress` would hear Ctrl-C, too
                    self.release()
                except RuntimeError:
                    pass  # another thread has it
                raise


__all__ = ["Lock"]
