"""Compiled code is there as long as anybody may run it, and its memory is given back afterwards."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_plan_conformance import bits

import graphnn as gn
from graphnn.native import llvm as engines
from graphnn.native.llvm import Module, engine
from graphnn.native.native_plan import Native

X = np.linspace(-2, 2, 40).reshape(5, 8)
_CHOICES = (
    gn.absolute,
    gn.square,
    lambda x: x * 0.5,
    lambda x: x + 1.0,
    lambda x: gn.maximum(x, 0.1),
    lambda x: x - 0.3,
)


def made(number: int) -> tuple[gn.compiler.compile.Compiled, dict[gn.Node, np.ndarray]]:
    """Return a step whose kernel is like that of no other number below 6⁷, and what it is fed."""
    graph = gn.Graph("one of many")
    x = h = graph.placeholder("x", ("n", 8))
    for _ in range(7):
        number, choice = divmod(number, len(_CHOICES))
        h = _CHOICES[choice](h) + x
    return gn.compile(h * 2, backend="native"), {x: X}


def planned(step: gn.compiler.compile.Compiled, feed: dict[gn.Node, np.ndarray]) -> Native:
    plan = step.plan(feed)
    assert isinstance(plan, Native)
    return plan


def modules_of(plan: Native) -> set[Module]:
    """Return what the calls of a plan lie in, but for the loops that all plans use."""
    found = {module for table in plan.segments for module in table._code}
    return {module for module in found if "run" not in module.functions}


@pytest.fixture
def unkept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No code is kept that nothing uses."""
    monkeypatch.setattr(engines, "_MOST", 0)
    return


def seen_code(number: int) -> tuple[gn.compiler.compile.Compiled, dict[gn.Node, np.ndarray], "weakref.ref[Module]"]:
    step, feed = made(number)
    (module,) = modules_of(planned(step, feed))
    return step, feed, weakref.ref(module)


@pytest.mark.usefixtures("unkept")
def test_code_that_no_plan_uses_is_given_back() -> None:
    step, feed, module = seen_code(1)
    expected = bits(step(feed))
    other, other_feed, _ = seen_code(2)
    gc.collect()
    assert module() is not None
    assert bits(step(feed)) == expected
    del step
    gc.collect()
    assert module() is None
    assert bits(other(other_feed)) == bits(gn.run(other.fetches[0], other_feed))


def test_code_that_is_asked_for_again_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_MOST", 3)
    seen = [seen_code(number)[-1] for number in (10, 11, 12)]
    gc.collect()
    first = seen[0]()
    assert first is not None
    assert first is seen_code(10)[-1]()  # which is used last from here on
    del first
    seen += [seen_code(number)[-1] for number in (13, 14)]
    gc.collect()
    assert [module() is not None for module in seen] == [True, False, False, True, True]


def test_what_is_kept_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_code(20)
    monkeypatch.setattr(engines, "_MOST_BYTES", 1)
    seen = [seen_code(number)[-1] for number in (21, 22)]
    gc.collect()
    assert [module() is not None for module in seen] == [False, True]


@pytest.mark.usefixtures("unkept")
def test_who_may_still_call_a_plan_keeps_its_code() -> None:
    step, feed, module = seen_code(3)
    plan = planned(step, feed)
    expected = bits(step(feed))
    del step
    gc.collect()
    assert module() is not None
    run = plan._made()  # as a thread has it that is inside of a call
    del plan
    gc.collect()
    assert module() is not None
    made(4)[0].plan({"x": X})
    assert bits(run(X)[0]) == expected
    del run
    gc.collect()
    assert module() is None


@pytest.mark.usefixtures("unkept")
def test_a_plan_from_a_pattern_keeps_the_code_of_that() -> None:
    step, feed = made(5)
    (x,) = feed
    for rows in (7, 9):
        step.plan({x: np.ones((rows, 8))})
    assert step._planner._found
    feed = {x: np.linspace(0, 1, 88).reshape(11, 8)}
    plan = planned(step, feed)
    assert plan._drafted is None  # so it is a pattern's
    expected = bits(gn.run(step.fetches[0], feed))
    module = weakref.ref(*modules_of_words(plan))
    del step
    gc.collect()
    made(6)[0].plan({"x": X})
    assert module() is not None
    assert bits(plan(feed[x])[0]) == expected
    del plan
    gc.collect()
    assert module() is None


def modules_of_words(plan: Native) -> set[Module]:
    """Return what a plan's words keep, without asking for a draft of it."""
    found: set[Module] = set()
    waiting: list[Any] = [segment.keeps for segment in plan._filling.segments]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Module):
            found.add(each)
        elif isinstance(each, (tuple, list, set)):
            waiting += each
    return {module for module in found if "run" not in module.functions}


@pytest.mark.usefixtures("unkept")
def test_several_threads_compile_and_let_go() -> None:
    def work(thread: int) -> int:
        wrong = 0
        for number in range(12):
            step, feed = made(1000 + 12 * (thread % 2) + number)  # two threads each make the same ones
            planned(step, feed)
            wrong += bits(step(feed)) != bits(gn.run(step.fetches[0], feed))
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0] * 4


def executable() -> int:
    """Return how many bytes of anonymous memory may be executed."""
    total = 0
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        place, rights, *_, last = line.split()
        if "x" in rights and last == "0":
            start, end = (int(part, 16) for part in place.split("-"))
            total += end - start
    return total


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux only: the system tells what may be executed")
@pytest.mark.usefixtures("unkept")
def test_the_system_gets_the_memory_back() -> None:
    engine().functions([])
    gc.collect()
    before = executable()
    steps = []
    for number in range(2000, 2010):
        steps.append(made(number))
        planned(*steps[-1])
    assert executable() >= before + 10 * 4096
    steps.clear()
    gc.collect()
    assert executable() == before


def test_a_process_ends_while_a_thread_compiles_and_computes() -> None:
    code = """
import threading
from test_native_code import X, made
from graphnn.native import llvm
llvm._MOST = 0
started = threading.Event()
def work():
    for number in range(10**6):
        step, feed = made(number)
        step.plan(feed)
        step(feed)
        started.set()
threading.Thread(target=work, daemon=True).start()
started.wait()
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(gn.__file__).parents[1]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
