"""Long plans are compiled part by part: the same bits, the same lines, and little memory at a time."""

import builtins
import dataclasses
import linecache
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from everywhere import PLANS
from random_mixed import random_mixed
from random_networks import random_training
from test_hostile_plans import foreign
from test_plan_conformance import SMALL, differences

import graphnn as gn
from graphnn import Compiled, nn
from graphnn.compiler import codegen_functions, numpy_codegen
from graphnn.compiler.codegen_functions import Part, compiled, defined, written_out
from graphnn.compiler.thresholds import Settings


@pytest.mark.parametrize("backend", PLANS)
@pytest.mark.parametrize("lines", [1, 3, 20])
def test_plans_in_parts_are_the_interpreters_to_the_bit(lines: int, backend: str) -> None:
    for number in range(5):
        fetches, feeds, updates = random_mixed(np.random.default_rng([number, lines]))
        assert not differences(fetches, feeds, updates, Settings(lines=lines), backend), f"graph {number}"
        fetches, feeds, updates = random_training(np.random.default_rng([number, lines]))
        for usual in (SMALL, Settings(table=0), Settings(large=16, threads=2)):
            settings = dataclasses.replace(usual, lines=lines)
            found = differences(fetches, feeds, updates, settings, backend)
            assert not found, f"network {number}, {settings}"


def chain(count: int) -> tuple[Compiled, dict[Any, np.ndarray]]:
    """Return a training step of a chain of operations, in parts of fifty lines."""
    graph = gn.Graph("chain")
    x, w = graph.placeholder("x", (3,)), graph.parameter("w", np.ones(3))
    h = x * w
    for i in range(count):
        h = gn.tanh(h) if i % 2 else h * 0.9
    loss = gn.sum(h)
    return Compiled([loss], {w: w - 0.1 * gn.grad(loss, w)}, "numpy", settings=Settings(lines=50)), {x: np.ones(3)}


def test_a_source_in_parts_is_whole_and_holds_names_and_numbers_only() -> None:
    step, feed = chain(200)
    plan = step.plan(feed)
    assert plan.source.count("def step(") > 10
    assert foreign(plan.source, plan.arguments) == []
    space: dict[str, Any] = {}
    exec(plan.source, space)  # noqa: S102 - the plan's own
    made = space["plan"](**plan.arguments)
    given = np.ones(3), np.ones(3)
    assert [x.tobytes() for x in made(*given)] == [x.tobytes() for x in plan(*given)]


def test_no_function_of_a_plan_grows_with_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: dict[int, list[int]] = {}

    def heard(text: str, file: str, mode: str) -> Any:
        lengths.setdefault(count, []).append(text.count("\n"))
        return builtins.compile(text, file, mode)

    monkeypatch.setattr(codegen_functions, "compile", heard, raising=False)
    for count in (100, 400, 1600):
        step, feed = chain(count)
        step.plan(feed)
    # The last one calls the others: a line for each to make it, and another to run it.
    assert max(lengths[1600][:-1]) <= max(lengths[400][:-1]) <= 4 * 50
    assert all(found[-1] <= 2 * len(found) + 5 for found in lengths.values())


def test_an_ordinary_plan_is_one_function() -> None:
    graph = gn.Graph()
    x, y = graph.placeholder("x", ("n", 8)), graph.placeholder("y", ("n",), np.int64)
    h: gn.Node = x
    for _ in range(10):
        h = nn.ReLU()(nn.Dense(8)(h))
    loss = nn.softmax_crossentropy(h, y)
    source = gn.compile(loss, nn.Adam().updates(loss), "numpy").plan({x: np.ones((5, 8)), y: np.ones(5, int)}).source
    assert source.count("def plan") == source.count("def step") == 1


@pytest.mark.parametrize("lines", [10, 10**6])
def test_the_line_of_an_error_is_the_line_of_the_node(lines: int) -> None:
    graph = gn.Graph("lines")
    x, i = graph.placeholder("x", (3,)), graph.placeholder("i", (2,), np.int64)
    h = x
    for _ in range(40):
        h = gn.tanh(h)
    h = gn.pad(gn.take(h, i, name="here"), ((0, 1),))
    for _ in range(40):
        h = gn.exp(h)
    step = Compiled([h], None, "numpy", settings=Settings(lines=lines))
    plan = step.plan({x: np.ones(3), i: np.array([0, 2])})
    file = next(file for file, *_ in reversed(list(linecache.cache.items())) if file.startswith("<plan of 'lines'"))
    with pytest.raises(IndexError) as raised:
        plan(np.ones(3), np.array([0, 3]))
    frames = [frame for frame in traceback.extract_tb(raised.value.__traceback__) if frame.filename == file]
    last = frames[-1]
    assert last.line is not None
    assert last.line.startswith(("here", "take_forward")) or "here" in last.line
    assert plan.source.splitlines()[(last.lineno or 0) - 1].strip() == last.line
    assert len(frames) == 1 + (lines == 10)


def both(*made: Part) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what parts define, and what they define as one."""
    together = Part([line for part in made for line in part.made], [line for part in made for line in part.body])
    asked = ["add"], ["c", "d"], ["x", "y"], "(a, q.copy(), y, c)"
    one, several = (defined(compiled(written_out(each, *asked), "<here>")) for each in ([together], made))
    return one, several


def test_parts_hand_on_what_later_ones_read() -> None:
    one, several = both(
        Part(["p = c + 1", "def f(z):", "    a = z + p", "    return a"], ["a = f(x)", "b, = (a + p,)"]),
        Part(["q = p * d", "r = q"], ["for rows in range(3):", "    e = rows * r", "    add(a, e, a)"]),
        Part([], ["a += b", "u, v = a, x", "add(a, u, out=a)"]),
        Part(["s = r + p"], ["if 0 <= v.sum(): add(a, v * s, a)", "a[0] = 7"]),
        Part([], []),
    )
    for k in range(1, 4):
        given = np.arange(3.0) - k, np.ones(2) * k
        expected = one(np.arange(3.0), np.full(3, 2.0 * k))(*[x.copy() for x in given])
        got = several(np.arange(3.0), np.full(3, 2.0 * k))(*[x.copy() for x in given])
        assert [x.tolist() for x in got] == [x.tolist() for x in expected]


def test_attributes_and_texts_are_no_names() -> None:
    one, several = both(
        Part(["q = c.copy()", "float64 = 3"], ["a = x.astype('float64')"]),
        Part([], ["copy = a.copy()", "a = copy + float64"]),
    )
    c, d, x, y = np.ones((4, 2))
    assert [each.tolist() for each in several(c, d)(x, y)] == [each.tolist() for each in one(c, d)(x, y)]


def test_a_name_is_found_at_once_however_often_it_is_taken() -> None:
    """The time that all names take grows as their number, and not as its square."""

    def lines_run(count: int) -> int:
        graph = gn.Graph()
        h = graph.placeholder("x", (2,), np.float16)
        for _ in range(count):
            h = gn.tanh(h)  # of which the plan calls a function, `tanh_forward`, of each node
        lines = 0

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal lines
            lines += event == "line" and frame.f_code is numpy_codegen._Names._free.__code__
            return trace if frame.f_code.co_filename == numpy_codegen.__file__ else None

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            gn.compile(h, backend="numpy").plan({"x": np.zeros(2, np.float16)})
        finally:
            sys.settrace(before)
        return lines

    few = lines_run(40)
    assert 40 < few < lines_run(160) < 5 * few
