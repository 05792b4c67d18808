"""BLAS on one thread, in a process that is forked meanwhile."""

import os

import pytest
from forks import Inside, holds_in_a_fork

from graphnn.distributed import blas_threads

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: the process forks"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


def test_blas_has_its_threads_though_another_thread_had_held_it_to_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads, inside = [4], Inside()

    class Controller:
        def limit(self, limits: int) -> "Controller":
            threads[0] = limits
            return self

        def restore_original_limits(self) -> None:
            threads[0] = 4

    monkeypatch.setattr(blas_threads, "_controller", Controller)

    def holds_it() -> None:
        with blas_threads.one_blas_thread():
            inside.here()

    def check() -> bool:
        found = [threads[0]]
        with blas_threads.one_blas_thread():
            found.append(threads[0])
        return [*found, threads[0]] == [4, 1, 4]

    with inside.doing(holds_it):
        assert threads == [1]
        assert holds_in_a_fork(check)
        with blas_threads.one_blas_thread():
            assert holds_in_a_fork(lambda: threads == [1])
    assert threads == [4]
