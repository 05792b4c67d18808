"""A process that is forked while another thread is in the middle of something."""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def holds_in_a_fork(check: Callable[[], Any]) -> bool:
    """Tell whether a forked process finds something to hold."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)  # ends a child that waits for a thread that it does not have
        status = 2
        try:
            status = 0 if check() else 1
        except BaseException:  # noqa: BLE001 - a child of a test must not go on as one
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Inside:
    """Another thread, which is in the middle of something until it is let out."""

    def __init__(self) -> None:
        self.entered, self.left = threading.Event(), threading.Event()
        self.errors: list[BaseException] = []
        self.thread = threading.Thread()

    def here(self) -> None:
        """Wait, if it is this thread that calls."""
        if threading.current_thread() is self.thread:
            self.entered.set()
            assert self.left.wait(60)

    @contextmanager
    def doing(self, function: Callable[[], Any]) -> Iterator[None]:
        """Have the thread call a function that comes here, and stay inside as long as the block lasts."""

        def call() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - the test raises it
                self.errors.append(error)
            finally:
                self.entered.set()

        self.thread = threading.Thread(target=call)
        self.thread.start()
        try:
            assert self.entered.wait(60)
            yield
        finally:
            self.left.set()
            self.thread.join()
        if self.errors:
            raise self.errors[0]
