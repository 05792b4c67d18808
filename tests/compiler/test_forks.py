"""A process that is forked while another thread is inside of anything: it goes on, from before or after a step."""

import gc
import os
import threading
from typing import ClassVar

import numpy as np
import pytest
from everywhere import BACKENDS
from forks import Inside, holds_in_a_fork

import graphnn as gn
from graphnn._util.garbage_collection import collector_paused
from graphnn._util.locks import Lock

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: the process forks"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


class Stay(gn.Op, abstract=True):
    """Returns its operand, and has a thread stay while it does."""

    name: ClassVar[str] = "stay"
    operands: ClassVar[tuple[str, ...]] = ("x",)
    inside: ClassVar[Inside]

    def infer(self, x: gn.Spec) -> gn.Spec:
        return x

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.inside.here()
        return x + 0


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("forked")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Inside:
    made = Inside()
    monkeypatch.setattr(Stay, "inside", made, raising=False)
    return made


def test_a_lock_that_another_thread_has_is_free_and_ones_own_is_not(inside: Inside) -> None:
    lock, own = Lock(), Lock()

    def takes_it() -> None:
        with lock, lock:
            inside.here()

    def check() -> bool:
        free = lock.acquire(blocking=False)
        found: list[bool] = []
        other = threading.Thread(target=lambda: found.append(own.acquire(blocking=False)))
        other.start()
        other.join()
        own.release()
        return free and found == [False]

    with inside.doing(takes_it):
        own.acquire()
        assert holds_in_a_fork(check)
        assert not lock.acquire(blocking=False)
        own.release()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_step_is_made_while_another_thread_is_in_one(graph: gn.Graph, inside: Inside, backend: str) -> None:
    x, v, w = graph.placeholder("x", (3,)), graph.parameter("v", np.ones(3)), graph.parameter("w", np.zeros(3))
    loss = gn.sum(graph.add(Stay(), [v * x + w]))
    step = gn.compile(loss, {v: v + x, w: w + loss}, backend)
    feed = {x: np.arange(3.0)}
    for _ in range(3):
        step(feed)
    before = [v.value.tolist(), w.value.tolist()]
    expected = float((v.value * feed[x] + w.value).sum())

    def check() -> bool:
        same = [v.value.tolist(), w.value.tolist()] == before
        losses = [float(step(feed)) for _ in range(3)]
        moved = v.value.tolist() == [1, 7, 13] and w.value.tolist() == [before[1][0] + sum(losses)] * 3
        return same and losses[0] == expected and moved

    with inside.doing(lambda: step(feed)):
        assert holds_in_a_fork(check)
        assert [v.value.tolist(), w.value.tolist()] == before
    assert v.value.tolist() == [1, 5, 9]


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_are_made_whenever_the_process_forks(graph: gn.Graph, backend: str) -> None:
    x, v, w = graph.placeholder("x", (300, 400)), graph.parameter("v", np.zeros(())), graph.parameter("w", np.zeros(()))
    y = gn.sum(gn.tanh(gn.exp(x) * 0.5) - gn.sin(x))  # long enough to let other threads run meanwhile
    step = gn.compile(y, {v: v + 1, w: w + 1}, backend)
    feed = {x: np.linspace(-1, 1, 120_000).reshape(300, 400)}
    right = step(feed)
    step.plan(feed)
    over = threading.Event()

    def check() -> bool:
        count = float(v.value)
        if count != float(w.value):
            return False
        return all(step(feed) == right for _ in range(3)) and float(v.value) == float(w.value) == count + 3

    other = threading.Thread(target=lambda: [step(feed) for _ in iter(over.is_set, True)])
    other.start()
    try:
        assert all(holds_in_a_fork(check) for _ in range(7))
    finally:
        over.set()
        other.join()


def test_nodes_are_made_while_another_thread_makes_one(graph: gn.Graph, inside: Inside) -> None:
    x = graph.placeholder("x", (3,))

    def makes_several() -> None:
        with graph.building:
            gn.tanh(x)
            inside.here()
            gn.exp(x)

    def check() -> bool:
        y = gn.sum(gn.square(x))
        return float(gn.run(gn.grad(y, x), {x: np.ones(3)})[0]) == 2 and "exp" not in graph

    with inside.doing(makes_several):
        assert holds_in_a_fork(check)
    assert "exp" in graph


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
