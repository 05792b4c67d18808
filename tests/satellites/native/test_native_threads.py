"""Native plans on several threads: the bits of one, also after a fork, Ctrl-C, an error, and when the process ends."""

import ctypes
import os
import platform
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from ctypes.util import find_library
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_networks import random_training
from test_native import native_plan
from test_plan import alarms
from test_plan_conformance import bits, differences, drawn_step, small_is_large

import graphnn as gn
from graphnn import nn
from graphnn.compiler.thresholds import Settings
from graphnn.errors import GraphnnWarning
from graphnn.native import llvm_runtime, loop_rates, thread_parts
from graphnn.native.loop_tables import Repeated, Together
from graphnn.native.worker_threads import _PLACES
from graphnn.ops import matmul_kernels


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have threads pay for whatever can be cut, and cut it where no array is aligned."""
    monkeypatch.setattr(thread_parts, "limits", thread_parts.Limits(times=3, bytes=1, made=1))
    monkeypatch.setattr(thread_parts, "_LINE", 3)


@pytest.fixture
def graph() -> gn.Graph:
    return gn.Graph("g")


def chain(x: gn.Node, length: int) -> gn.Node:
    """Return what is a kernel and a loop of NumPy's again and again."""
    for _ in range(length):
        x = gn.sin(x * 1.5 + 0.25)
    return x


def kinds(step: Any, feed: Any) -> set[type]:
    """Return what the calls of a plan's segments are, and the parts of those that threads share."""
    calls = [call for segment in native_plan(step, feed).segments for call in segment.calls]
    return {type(call) for call in calls} | {
        type(part) for call in calls if isinstance(call, Together) for part in call.parts
    }


# --- to the bit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3])
def test_random_graphs_on_threads_are_the_interpreters_to_the_bit(threads: int) -> None:
    for number in range(12):
        fetches, feeds, updates = drawn_step(threads, number)
        settings = Settings(threads=threads)
        if number % 2:
            with small_is_large():
                found = differences(fetches, feeds, updates, settings, "native")
        else:
            found = differences(fetches, feeds, updates, settings, "native")
        assert not found, f"graph {number}"


@pytest.mark.parametrize("threads", [2, 3])
def test_random_networks_train_on_threads_as_the_interpreter_does_to_the_bit(threads: int) -> None:
    for number in range(8):
        fetches, feeds, updates = random_training(np.random.default_rng([number, threads]), (1, 2, 7, 33, 300))
        with small_is_large():
            found = differences(fetches, feeds, updates, Settings(threads=threads), "native")
        assert not found, f"network {number}"


def test_blocks_of_rows_are_shared_and_added_up_in_the_same_order(graph: gn.Graph) -> None:
    x, y = graph.placeholder("x", ("batch", 2)), graph.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(nn.Sequential(nn.Dense(16), nn.Tanh(), nn.Dense(3))(x), y)
    updates = nn.Adam(0.1).updates(loss)
    rng = np.random.default_rng(0)
    feed = {x: rng.normal(size=(1501, 2)), y: rng.integers(0, 3, 1501)}
    with small_is_large():
        step = gn.compile(loss, updates, "native", threads=2)
        assert {Together, Repeated} <= kinds(step, feed)
        assert any(work.parts and work.threads == 2 for work in native_plan(step, feed).works)
        assert not differences([loss], [feed] * 4, updates, Settings(threads=2), "native")


def test_products_that_blas_may_share_are_left_to_it(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_parts, "limits", replace(thread_parts.limits, product=100))
    monkeypatch.setattr(matmul_kernels, "limits", matmul_kernels.Limits(block=512, few=3, short=2))
    x = graph.placeholder("x", ("batch", 8))
    feed = {x: np.random.default_rng(0).normal(size=(400, 8))}
    step = gn.compile(gn.tanh(nn.Dense(4)(x) * 2.0), backend="native", threads=2)
    blocks = [work for work in native_plan(step, feed).works if work.parts]
    assert [work.threads for work in blocks] == [1]


def test_small_arrays_are_computed_by_one_thread(graph: gn.Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_parts, "limits", thread_parts.Limits())
    x = graph.placeholder("x", (1000,))
    step = gn.compile(chain(x, 3), backend="native", threads=2)
    assert Together not in kinds(step, {x: np.ones(1000)})


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="x86 only: the rounding mode is set by its number there"
)
def test_threads_round_as_the_caller_does(graph: gn.Graph) -> None:
    maths = ctypes.CDLL(find_library("m"))
    x = graph.placeholder("x", (1000,))
    steps = [gn.compile(gn.sqrt(x) / 3.0, backend="native", threads=threads) for threads in (1, 2, 3)]
    feed = {x: np.random.default_rng(0).random(1000)}
    nearest = {bits(step(feed)) for step in steps for _ in range(3)}
    assert len(nearest) == 1
    upwards = 0x800
    maths.fesetround(upwards)
    try:
        rounded = [step(feed) for step in steps for _ in range(20)]
    finally:
        maths.fesetround(0)
    assert len({bits(value) for value in rounded}) == 1
    assert not {bits(value) for value in rounded} & nearest


# --- what a plan promises ---------------------------------------------------------------------------------------


def test_steps_of_many_threads_share_one_pool(graph: gn.Graph) -> None:
    x = graph.placeholder("x", ("n",))
    steps = [gn.compile([chain(x, 2), gn.sum(x)], backend="native", threads=threads) for threads in (2, 3, 4)]
    feeds = [{x: np.linspace(0, number, 400 * number + 1)} for number in (1, 2, 3)]
    expected = [[bits(value) for value in gn.run([chain(x, 2), gn.sum(x)], feed)] for feed in feeds]
    together = threading.Barrier(8)

    def work(number: int) -> int:
        together.wait()
        draws = np.random.default_rng(number).integers(0, 3, (200, 2))
        return sum([bits(value) for value in steps[i](feeds[j])] != expected[j] for i, j in draws)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


def test_who_finds_the_pool_taken_computes_alone(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (1000,))
    step = gn.compile(chain(x, 2), backend="native", threads=2)
    feed = {x: np.linspace(0, 1, 1000)}
    expected = bits(step(feed))
    words = llvm_runtime._pool().words
    words[_PLACES["taken"]] = 1
    try:
        assert bits(step(feed)) == expected
    finally:
        words[_PLACES["taken"]] = 0


def test_an_error_leaves_the_state_and_the_pool_as_they_were(graph: gn.Graph) -> None:
    x, y = graph.placeholder("x", ("batch", 3)), graph.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(nn.Dense(4)(gn.tanh(x)), y)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss), "native", threads=2)
    data = np.random.default_rng(0).normal(size=(200, 3))
    step({x: data, y: np.zeros(200, int)})
    before = dict(graph.state)
    with pytest.raises(gn.errors.LabelError, match="label"):
        step({x: data, y: np.full(200, 4)})
    assert all(graph.state[node] is value for node, value in before.items())
    assert np.isfinite(step({x: data, y: np.ones(200, int)}))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX only: the process forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_after_a_fork_both_processes_compute(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (5000,))
    step = gn.compile(chain(x, 3), backend="native", threads=3)
    feed = {x: np.linspace(0, 1, 5000)}
    expected = bits(step(feed))
    stop = threading.Event()
    calling = threading.Thread(target=lambda: [step(feed) for _ in iter(stop.is_set, True)])
    calling.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                right = all(bits(step(feed)) == expected for _ in range(3))
                os._exit(0 if right and len(llvm_runtime._pool()._threads) >= 2 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert bits(step(feed)) == expected
    finally:
        stop.set()
        calling.join()
    assert len(llvm_runtime._pool()._threads) >= 2


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX only: an interval timer presses Ctrl-C")
def test_ctrl_c_stops_a_step_on_threads(graph: gn.Graph) -> None:
    x, w = graph.placeholder("x", (500, 1000)), graph.parameter("w", np.ones(()))
    y = gn.sum(chain(x, 60))
    step = gn.compile(y, {w: w + 1}, "native", threads=2)
    feed = {x: np.ones((500, 1000))}
    assert native_plan(step, feed).segments[0].long
    with alarms() as interrupted:
        hits = sum(interrupted(lambda: step(feed), 0.02) for _ in range(3))
    assert hits
    assert float(w.value) == 1 + 3 - hits
    assert bits(step(feed)) == bits(gn.run(y, feed))


def test_a_process_ends_while_steps_are_computed() -> None:
    code = """
import threading, numpy as np, graphnn as gn
g = gn.Graph()
x = g.placeholder("x", (2**20,))
step = gn.compile(gn.sin(x) * 2, backend="native", threads=2)
feed = {x: np.ones(2**20)}
step(feed)
started = threading.Event()
threading.Thread(target=lambda: [(step(feed), started.set()) for _ in iter(int, 1)], daemon=True).start()
started.wait()
"""
    env = {**os.environ, "PYTHONPATH": str(Path(gn.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- what is said of it -----------------------------------------------------------------------------------------


def test_the_interpreter_says_that_it_computes_on_one_thread(graph: gn.Graph) -> None:
    x = graph.placeholder("x", (3,))
    with pytest.warns(GraphnnWarning, match="threads=2: the interpreter computes on one thread"):
        gn.compile(x * 2, backend="interpreter", threads=2)
    with pytest.warns(GraphnnWarning, match="threads=2: .* on one thread, and it evaluates under a guard"):
        gn.compile(x * 2, guard="nan", threads=2)
    gn.compile(x * 2, backend="interpreter", threads=1)
    gn.compile(x * 2, backend="interpreter")
    for backend in ("native", "numpy", "interpreter"):
        with pytest.raises(gn.ValueRangeError, match="threads= is an int of 1 or more, not 0"):
            gn.compile(x * 2, backend=backend, threads=0)


def test_explain_tells_what_is_computed_by_how_many_and_how_long_it_should_take(
    graph: gn.Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_parts, "limits", thread_parts.Limits())
    monkeypatch.setattr(loop_rates, "bandwidth", lambda nbytes: 1e9)
    monkeypatch.setattr(loop_rates, "multiplications", lambda dtype: 1e6)
    monkeypatch.setattr(loop_rates, "seconds_of", lambda ufunc, dtype, reduces=False: 1e-6)
    x = graph.placeholder("x", (2**16, 4))
    y = gn.tanh(x @ np.ones((4, 4))) * 2.0
    fetches = [y, gn.sum(y), gn.einsum("ij->", y)]
    told = {}
    for threads in (1, 2):
        step = gn.compile(fetches, backend="native", threads=threads)
        told[threads] = native_plan(step, {x: np.ones((2**16, 4))}).explain()
    of = {threads: {loop.nodes[0]: loop for loop in found.loops} for threads, found in told.items()}
    assert of[1]["matmul"].expected == pytest.approx(2**20 / 1e6, rel=1e-3)
    assert of[1]["tanh"].expected == pytest.approx(2**18 / 1e6, rel=1e-3)
    assert of[2]["tanh"].expected == pytest.approx(2**17 / 1e6, rel=1e-3)
    assert (of[1]["tanh"].threads, of[2]["tanh"].threads) == (1, 2)
    assert of[2]["tanh"].read == of[2]["tanh"].written == 2**21
    assert {loop.expected for loop in told[2].loops if loop.what == "python"} == {None}
    assert told[2].expected == sum(loop.expected or 0 for loop in told[2].loops) < told[1].expected
    assert told[2].to_dict()["loops"][0].keys() == {"what", "nodes", "read", "written", "threads", "expected"}
    assert "on 2 threads" in " ".join(told[2].table().split())
    assert "on 2 threads" not in " ".join(told[1].table().split())
    assert "of NumPy aside" in " ".join(told[1].table().split())
    assert "loop ×2" in told[2].table(None)
    assert str(of[2]["tanh"]).splitlines()[0].endswith("; on 2 threads")


def test_rates_are_those_of_the_machine() -> None:
    assert loop_rates.bandwidth(2**15) > 0
    assert loop_rates.multiplications(np.dtype("float32")) > 0
    for ufunc, dtype in ((np.exp, "float32"), (np.power, "int64"), (np.logical_and, "bool")):
        assert loop_rates.seconds_of(ufunc, np.dtype(dtype)) > 0
    assert loop_rates.seconds_of(np.add, np.dtype("float64"), reduces=True) > 0
