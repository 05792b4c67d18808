"""A lock is free again whatever Ctrl-C ends."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_plan import alarms

from graphnn._util.locks import Lock


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only: an interval timer presses Ctrl-C")
@pytest.mark.parametrize("depth", [1, 2])
def test_ctrl_c_at_any_moment_leaves_a_lock_free(depth: int) -> None:
    lock = Lock()

    def takes_it(depth: int) -> None:
        with lock:
            if depth > 1:
                takes_it(depth - 1)

    def again_and_again() -> None:
        while True:
            takes_it(depth)

    def is_free() -> bool:
        taken = lock.acquire(blocking=False)
        if taken:
            lock.release()
        return taken

    with alarms() as interrupted, ThreadPoolExecutor(1) as other:
        for _ in range(500):
            assert interrupted(again_and_again, 1e-4)
            assert other.submit(is_free).result()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only: an interval timer presses Ctrl-C")
def test_ctrl_c_while_another_thread_has_a_lock_leaves_it_with_that() -> None:
    lock = Lock()

    def takes_it() -> None:
        with lock:
            raise AssertionError

    with alarms() as interrupted, ThreadPoolExecutor(1) as other:
        other.submit(lock.acquire).result()
        assert interrupted(takes_it, 1e-2)
        assert not lock.acquire(blocking=False)
        other.submit(lock.release).result()
        assert lock.acquire(blocking=False)
