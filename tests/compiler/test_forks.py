"""A process that is forked while another thread is in the middle of something."""

import gc
import os
import threading

import numpy as np
import pytest
from everywhere import BACKENDS
from forks import Inside, holds_in_a_fork

import graphnn as gn
from graphnn._util.garbage_collection import collector_paused

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: the process forks"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("forked")


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fork_finds_all_updates_of_a_step_of_another_thread_or_none(graph: gn.Graph, backend: str) -> None:
    x, v, w = graph.placeholder("x", (300, 400)), graph.parameter("v", np.zeros(())), graph.parameter("w", np.zeros(()))
    y = gn.sum(gn.tanh(gn.exp(x) * 0.5) - gn.sin(x))  # long enough to let other threads run meanwhile
    step = gn.compile(y, {v: v + 1, w: w + 1}, backend)
    feed = {x: np.linspace(-1, 1, 120_000).reshape(300, 400)}
    step(feed)
    step.plan(feed)
    over = threading.Event()

    def check() -> bool:
        return float(v.value) == float(w.value) > 0

    other = threading.Thread(target=lambda: [step(feed) for _ in iter(over.is_set, True)])
    other.start()
    try:
        assert all(holds_in_a_fork(check) for _ in range(7))
    finally:
        over.set()
        other.join()


def test_garbage_is_searched_for_though_another_thread_had_paused_that(inside: Inside) -> None:
    def pauses() -> None:
        with collector_paused():
            inside.here()

    with inside.doing(pauses):
        assert not gc.isenabled()
        assert holds_in_a_fork(gc.isenabled)
        assert not gc.isenabled()
    assert gc.isenabled()

    def check() -> bool:
        return not gc.isenabled()

    with collector_paused():
        assert holds_in_a_fork(check), "who forks lets it go on"
