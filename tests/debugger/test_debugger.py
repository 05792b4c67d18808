"""The debugger: where it stands, how it moves, where it stops, what it says, and what it hands on."""

import itertools
import math
import os
import re
import subprocess
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_time_travel import bits, spiral_step

import graphnn as gn
from graphnn import Debugger, Op, Spec, nn
from graphnn.core import registry
from graphnn.debugger.current_node import Spot
from graphnn.debugger.value_cache import Tape
from graphnn.debugger.what_if import Change
from graphnn.errors import (
    AxisError,
    DtypeError,
    EvaluationError,
    NotFoundError,
    ShapeError,
    UsageError,
    ValueRangeError,
)

Array = np.ndarray[Any, np.dtype[Any]]


def small(said: Callable[[str], Any] | None = None) -> Debugger:
    """Open a debugger of seven nodes: x, w, c; matmul, tanh, multiply, sum."""
    g = gn.Graph("small")
    x = g.placeholder("x", shape=("n", 2))
    w = g.parameter("w", np.arange(6.0).reshape(2, 3))
    with g.scope("head"):
        h = gn.tanh(x @ w)
    g.outputs["loss"] = gn.sum(h * g.constant(2.0, name="c"))
    return gn.debug(g.outputs["loss"], {x: [[1.0, -1.0], [0.5, 0.25]]}, echo=said)


NAMES = ["head/matmul", "head/tanh", "multiply", "sum"]


def where(dbg: Debugger) -> tuple[int, str | None]:
    return dbg.position, None if dbg.current is None else dbg.current.name


# --- where it stands --------------------------------------------------------------------------------------------


def test_what_a_debugger_tells_of_the_run_cannot_be_set() -> None:
    dbg = gn.debug(gn.exp(gn.Graph().constant([1.0, 2.0])))
    for name in ("breakpoints", "graph", "guard", "order", "updates"):
        with pytest.raises(gn.UsageError, match=f"the {name} of a debugger cannot be set"):
            setattr(dbg, name, [])
    with pytest.raises(gn.UsageError, match=r": dbg\.break_at\(…\) adds one, and dbg\.clear\(\) removes them"):
        dbg.breakpoints = []
    dbg.echo = None
    for note in ("mine", "another"):
        dbg.note = note  # type: ignore[attr-defined]


def test_it_opens_before_all() -> None:
    dbg = small()
    assert where(dbg) == (0, None)
    assert dbg.step_now is None
    assert dbg.next is dbg.operations[0]
    assert [node.name for node in dbg.operations] == NAMES
    assert not dbg.finished
    assert dbg.error == ""
    assert dbg.frames() == []
    assert dbg.run == "run"
    assert dbg.runs == {"run": []}
    assert dbg.fetches == [dbg.graph.outputs["loss"]]
    assert repr(dbg) == '<Debugger of "small": 0 of 4 operations, before all>'
    assert str(dbg)


def test_it_stands_after_an_operation_whose_value_is_known() -> None:
    dbg = small()
    step = dbg.step()
    assert step is not None
    assert (step.node.name, step.index) == ("head/matmul", 2)
    assert where(dbg) == (1, "head/matmul")
    assert [scope.path for scope in dbg.frames()] == ["head"]
    assert dbg.next is not None
    assert dbg.next.name == "head/tanh"
    assert dbg.step_now is not None
    assert bits(dbg.step_now.value) == bits(step.value)
    assert [bits(value) for value in dbg["head/matmul"].operands] == [bits(value) for value in step.operands]
    assert repr(dbg) == '<Debugger of "small": 1 of 4 operations, after "head/matmul">'


def test_every_state() -> None:
    dbg = small()

    def states() -> list[str]:
        return [dbg.state(node) for node in dbg.order if node.op.name != "constant"]

    assert states() == ["fed", "fed", "waiting", "waiting", "waiting", "waiting"]
    dbg.step(2)
    assert states() == ["fed", "fed", "done", "current", "waiting", "waiting"]
    dbg["head/tanh"] = np.zeros((2, 3))
    assert states() == ["fed", "fed", "done", "overridden", "waiting", "waiting"]
    del dbg["head/tanh"]
    dbg.resume()
    dbg.back(2)
    assert states() == ["fed", "fed", "done", "current", "waiting", "waiting"]
    dbg["w"] = np.ones((2, 3))
    assert states() == ["fed", "overridden", "done", "current", "stale", "stale"]
    dbg.step()
    assert states() == ["fed", "overridden", "done", "done", "current", "stale"]
    assert [dbg.state(name) for name in ("c", "loss", "head")] == ["fed", "stale", "done"]
    dbg.restart()
    assert states() == ["fed", "overridden", "waiting", "waiting", "waiting", "waiting"]


def test_a_spot() -> None:
    dbg = small()
    spot = dbg["loss"]
    assert isinstance(spot, Spot)
    assert repr(spot) == '<Spot "sum": waiting>'
    with pytest.raises(
        UsageError, match=r'"sum" has not run yet: it is operation 4 of 4, and 0 have run; dbg.until\("sum"\) runs it'
    ):
        _ = spot.value
    with pytest.raises(UsageError, match='"multiply" has not run yet'):
        _ = spot.operands
    with pytest.raises(UsageError, match='"sum" has not run yet'):
        _ = spot.stats
    dbg.resume()
    assert spot.state == "current"
    assert spot.value.shape == ()
    assert spot.stats.size == 1
    assert not spot.value.flags.writeable
    assert bits(dbg["multiply"].value) == bits(spot.operands[0])
    assert dbg[dbg.graph["x"]].value.shape == (2, 2)


def test_what_is_asked_for_must_be_in_the_run() -> None:
    dbg = small()
    with pytest.raises(NotFoundError, match=r'no node, scope or output "los"\. Did you mean "loss"'):
        dbg["los"]
    with pytest.raises(UsageError, match="expected a node or its name, not int"):
        dbg[3]  # type: ignore[index]
    other = gn.exp(dbg.graph["loss"])
    with pytest.raises(NotFoundError, match='"exp" has no part in this run: its fetches do not need it'):
        dbg[other]


# --- moving -----------------------------------------------------------------------------------------------------


def test_step_and_back_and_goto() -> None:
    dbg = small()
    dbg.step(3)
    assert where(dbg) == (3, "multiply")
    dbg.step(99)
    assert where(dbg) == (4, "sum")
    assert dbg.finished
    assert dbg.next is None
    assert dbg.step() is None  # so that `while dbg.step()` ends
    assert where(dbg) == (4, "sum")
    dbg.back()
    assert where(dbg) == (3, "multiply")
    dbg.back(99)
    assert where(dbg) == (0, None)
    assert dbg.back() is None
    for target, position in ((2, 2), ("loss", 4), ("head", 2), (dbg.graph["multiply"], 3), (0, 0), (4, 4)):
        dbg.goto(target)
        assert dbg.position == position
    with pytest.raises(UsageError, match='"x" is known before the run, so it has no position'):
        dbg.goto("x")
    assert dbg.position == 4
    assert dbg.goto(np.int64(1)).node.name == "head/matmul"  # type: ignore[union-attr, arg-type]


def test_counts_and_positions_are_checked() -> None:
    dbg = small()
    for n in (0, -1, 1.5, True, "2", None):
        with pytest.raises((ValueRangeError, UsageError), match="a number of operations is an int of 1 or more, not"):
            dbg.step(n)  # type: ignore[arg-type]
        with pytest.raises((ValueRangeError, UsageError), match="a number of operations is an int of 1 or more, not"):
            dbg.back(n)  # type: ignore[arg-type]
    for position in (-1, 5, True):
        with pytest.raises(ValueRangeError, match=f"positions are 0 to 4, not {position}"):
            dbg.goto(position)
    with pytest.raises(UsageError, match="expected a node or its name, not float"):
        dbg.goto(1.0)  # type: ignore[arg-type]
    assert dbg.position == 0


def test_until() -> None:
    dbg = small()
    assert dbg.until("head/tanh").node.name == "head/tanh"  # type: ignore[union-attr]
    assert dbg.until("loss").node.name == "sum"  # type: ignore[union-attr]
    dbg.goto(0)
    assert dbg.until("head").node.name == "head/matmul"  # type: ignore[union-attr]
    assert dbg.until("*/t*").node.name == "head/tanh"  # type: ignore[union-attr]
    assert dbg.until(["sum", "multiply"]).node.name == "multiply"  # type: ignore[union-attr]
    with pytest.raises(
        UsageError,
        match=r'"head" has run already: dbg.goto\("head/tanh"\) goes back to it, dbg.restart\(\) to the beginning',
    ):
        dbg.until("head")
    with pytest.raises(UsageError, match='"x" is known before the run: there is nothing to run'):
        dbg.until("x")
    with pytest.raises(NotFoundError, match='nothing in this run matches "nowhere"'):
        dbg.until("nowhere")


def test_into_over_and_out_go_by_scope() -> None:
    step, feed = spiral_step(nn.Adam(0.02))
    dbg = gn.debug(step, feed, echo=None)
    count = len(dbg.operations)

    def scopes() -> list[str]:
        return [scope.path for scope in dbg.frames()]

    assert dbg.over().node.name == "dense_1/add"  # type: ignore[union-attr] # a layer
    assert dbg.over().node.name == "relu_1"  # type: ignore[union-attr] # a layer of one node
    assert dbg.into().node.name == "dense_2/matmul"  # type: ignore[union-attr]
    assert scopes() == ["dense_2"]
    assert dbg.out().node.name == "dense_2/add"  # type: ignore[union-attr]
    assert dbg.over().node.name == "softmax_1/divide"  # type: ignore[union-attr]
    dbg.over()
    assert dbg.current is dbg.fetches[0]  # the loss
    assert dbg.next is not None
    assert dbg.next.phase == "backward"
    dbg.over()  # the whole backward pass
    assert dbg.current is not None
    assert dbg.current.phase == "backward"
    assert dbg.next.phase == "update"
    assert not any(node.phase == "backward" for node in dbg.operations[dbg.position :])
    dbg.over()  # the whole update
    assert dbg.position == count
    dbg.over()
    dbg.out()
    assert dbg.position == count


def test_over_goes_over_a_scope_in_the_backward_pass_once_inside() -> None:
    step, feed = spiral_step(nn.SGD(0.02))
    dbg = gn.debug(step, feed, echo=None)
    dbg.goto(dbg.fetches[0])
    dbg.into()
    assert dbg.current is not None
    assert dbg.current.phase == "backward"
    seen = []
    while dbg.next is not None and dbg.next.phase == "backward":
        before = dbg.position
        dbg.over()
        seen.append((dbg.position - before, dbg.frames()[0].path))
    assert {path for _, path in seen} == {"grad"}
    assert 1 < len(seen) < sum(count for count, _ in seen)  # by layers


def test_out_again_leaves_the_scope_around() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("n",))
    with g.scope("outer"):
        with g.scope("inner"):
            y = gn.square(gn.negative(gn.exp(x)))
        for _ in range(4):
            y = gn.tanh(y)
    dbg = gn.debug(gn.exp(y), {x: np.ones(2)}, echo=None)
    dbg.step()
    for name in ("outer/inner/square", "outer/tanh_4", "exp"):
        assert dbg.out().node.name == name  # type: ignore[union-attr]
    assert dbg.finished


def test_out_at_the_top_runs_to_the_end() -> None:
    dbg = small()
    dbg.goto("multiply")
    dbg.out()
    assert dbg.finished
    dbg.restart()
    dbg.out()
    assert dbg.finished


def test_restart_goes_back_before_all_and_keeps_breakpoints_and_watches() -> None:
    said: list[str] = []
    dbg = small(said.append)
    dbg.watch("loss")
    dbg.break_at("tanh")
    dbg.resume()
    dbg.restart()
    assert where(dbg) == (0, None)
    assert dbg.run == "run"
    assert len(dbg.breakpoints) == len(dbg.watches) == 1
    dbg.resume()
    assert where(dbg) == (2, "head/tanh")


# --- breakpoints ------------------------------------------------------------------------------------------------


def stops(*targets: Any, **options: Any) -> list[str]:
    dbg = small()
    dbg.break_at(*targets, **options)
    found: list[str] = []
    while not dbg.finished:
        dbg.resume()
        if dbg.breakpoints[0].hits > len(found):
            found.append(dbg.current.name)  # type: ignore[union-attr]
    return found


def test_breakpoints_on_nodes_scopes_outputs_patterns_and_operations() -> None:
    assert stops("multiply") == ["multiply"]
    assert stops("loss") == ["sum"]
    assert stops("head") == ["head/matmul"]  # its first operation
    assert stops("head", "size > 0") == ["head/matmul", "head/tanh"]  # any in it
    assert stops("head/*") == ["head/matmul", "head/tanh"]
    assert stops("*m*l*") == ["head/matmul", "multiply"]
    assert stops("tanh") == stops(op="tanh") == ["head/tanh"]
    assert stops(scope="head") == ["head/matmul", "head/tanh"]
    assert stops("*", scope="head", op="tanh") == ["head/tanh"]
    assert stops(["sum", "tanh"]) == ["head/tanh", "sum"]
    assert stops() == NAMES
    dbg = small()
    dbg.break_at(dbg.graph["multiply"])
    dbg.resume()
    assert where(dbg) == (3, "multiply")


def test_a_breakpoint_on_a_line() -> None:
    dbg = small()
    line = dbg.graph["head/tanh"].origin.line
    dbg.break_at(f"test_debugger.py:{line}")
    assert dbg.resume().node.name == "head/matmul"  # type: ignore[union-attr]
    assert dbg.resume().node.name == "head/tanh"  # type: ignore[union-attr]
    dbg.resume()
    assert dbg.finished
    for nowhere in (f"test_debugger.py:{line + 400}", f"other.py:{line}", f":{line}", "test_debugger.py:"):
        with pytest.raises(NotFoundError, match="nothing in this run matches"):
            dbg.break_at(nowhere)


def test_breakpoints_on_conditions() -> None:
    assert stops(when="max > 2") == ["head/matmul"]
    assert stops("tanh", when="max > 2") == []
    assert stops(when=lambda step: step.value.ndim == 0) == ["sum"]
    assert stops("multiply", when=lambda step: np.bool_(True)) == ["multiply"]
    assert stops(when="above 1.5") == ["head/matmul", "multiply"]
    assert stops(when="below -2.5") == stops(when=lambda step: (step.value < -2.5).any())
    assert stops(when="size == 1") == ["sum"]
    assert stops(when="not size == 1 and (nan or max > 2)") == ["head/matmul"]


@pytest.mark.parametrize(
    ("when", "build", "stop"),
    [
        ("nan", lambda x: gn.sqrt(x) * 1.0, "sqrt"),
        ("inf", lambda x: 1.0 / (x + 1.0), "divide"),
        ("zero", lambda x: gn.relu(x - 9.0) + 1.0, "relu"),
        ("above 3", lambda x: x * 2.0, "multiply"),
        ("below -3", lambda x: x * -2.0, "multiply"),
        ("saturated", lambda x: gn.tanh(x * 99.0), "tanh"),
    ],
)
def test_ready_made_conditions(when: str, build: Callable[[gn.Node], gn.Node], stop: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(3,))
    dbg = gn.debug(gn.sum(build(x)), {x: [-1.0, 1.0, 2.0]}, echo=None)
    dbg.break_at(when=when)
    dbg.resume()
    assert dbg.current is not None
    assert dbg.current.name == stop


def test_unchanged_is_since_the_run_before() -> None:
    dbg = small()
    breakpoint = dbg.break_at(when="unchanged")
    dbg.resume()
    assert breakpoint.hits == 0  # there is no run before
    dbg.goto(0)
    dbg["x"] = [[1.0, -1.0], [0.5, 0.5]]
    dbg.resume()
    assert breakpoint.hits == 0
    dbg.goto(0)
    del dbg["x"]
    dbg["c"] = 3.0
    found: list[str] = []
    while not dbg.finished:
        dbg.resume()
        found += [dbg.current.name] * (breakpoint.hits > len(found))  # type: ignore[union-attr]
    assert found == ["head/matmul", "head/tanh"]


def test_a_breakpoint_is_reported_counted_and_cleared() -> None:
    said: list[str] = []
    dbg = small(said.append)
    first = dbg.break_at("tanh")
    second = dbg.break_at(op="sum", when="max > -99")
    third = dbg.break_at()
    assert [b.number for b in dbg.breakpoints] == [1, 2, 3]
    assert repr(first) == '<Breakpoint 1: after "tanh", 0 hits>'
    assert repr(second) == "<Breakpoint 2: after op sum if max > -99, 0 hits>"
    assert repr(third) == "<Breakpoint 3: after any node, 0 hits>"
    dbg.clear(3)
    dbg.resume()
    assert said == ['stopped by breakpoint 1: after "tanh"']
    assert repr(first) == '<Breakpoint 1: after "tanh", 1 hit>'
    dbg.resume()
    assert said[1:] == [f"stopped by {second}"]
    assert where(dbg) == (4, "sum")
    assert (first.hits, second.hits) == (1, 1)
    with pytest.raises(NotFoundError, match=r'there is no breakpoint 9\. There is: "1", "2"'):
        dbg.clear(9)
    dbg.clear()
    assert dbg.breakpoints == []
    dbg.restart()
    dbg.resume()
    assert dbg.finished


def test_breakpoints_stop_step_over_and_until_but_not_goto_and_back() -> None:
    dbg = small()
    dbg.break_at("tanh")
    moves: list[Callable[[], Any]] = [lambda: dbg.step(4), dbg.over, dbg.out, lambda: dbg.until("loss")]
    for move in moves:
        dbg.goto(0)
        move()
        assert where(dbg) == (2, "head/tanh")
    dbg.goto(4)
    dbg.back()
    assert where(dbg) == (3, "multiply")


def test_a_breakpoint_that_can_never_stop_is_refused() -> None:
    dbg = small()
    for target, told in (("x", '"x" is'), ("w", '"w" is'), (["x", "c"], '"x", "c" are')):
        with pytest.raises(UsageError, match=f"{told} known before the run: there is nothing to stop at"):
            dbg.break_at(target)
    with pytest.raises(UsageError, match="this run computes nothing: there is nothing to stop at"):
        gn.debug(dbg.graph["w"], echo=None).break_at()
    with pytest.raises(UsageError, match="op placeholder is known before the run: there is nothing to stop at"):
        dbg.break_at(op="placeholder")
    with pytest.raises(NotFoundError, match='nothing in this run matches "expp"'):
        dbg.break_at("expp")
    with pytest.raises(ValueRangeError, match='the condition "maxx > 3" has "maxx" where one of these should come'):
        dbg.break_at("tanh", "maxx > 3")
    with pytest.raises(UsageError, match="when= is a condition in words or a function of a step, not int"):
        dbg.break_at("tanh", 3)
    assert dbg.breakpoints == []


def test_a_condition_that_fails_is_reported_and_the_run_can_go_on() -> None:
    dbg = small()
    dbg.break_at("tanh", when=lambda step: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dbg.resume()
    assert where(dbg) == (2, "head/tanh")
    dbg.resume()
    assert dbg.finished


def test_recheck_looks_at_what_has_run() -> None:
    dbg = small()
    dbg.step(2)
    assert [node.name for node in dbg.recheck("above 2")] == ["w", "head/matmul"]
    assert [node.name for node in dbg.recheck(lambda step: step.node.op.name == "tanh")] == ["head/tanh"]
    dbg.resume()
    assert [node.name for node in dbg.recheck("size == 1")] == ["c", "sum"]
    assert [node.name for node in dbg.recheck("size == 1", "loss")] == ["sum"]
    assert dbg.recheck("nan") == []
    for when in (None, 3):
        with pytest.raises(UsageError, match="when= is a condition in words or a function of a step, not"):
            dbg.recheck(when)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda dbg: dbg.sample("17"), "the number of a sample is an int, not '17'"),
        (lambda dbg: dbg.sample(True), "the number of a sample is an int, not True"),
        (lambda dbg: dbg.sample(0, 3), "dim= is the name of a dimension, not int"),
        (lambda dbg: dbg.use(["run"]), "the name of a run is text, not list"),
        (lambda dbg: dbg.drop(None), "the name of a run is text, not NoneType"),
        (lambda dbg: dbg.trace({}), "the name of a run is text, not dict"),
        (lambda dbg: dbg.what_if("w", np.zeros((2, 3)), name=[]), "the name of a run is text, not list"),
        (lambda dbg: dbg.break_at(op=["exp"]), "op= is the name of an operation or a scope, not list"),
        (lambda dbg: dbg.break_at(scope={}), "scope= is the name of an operation or a scope, not dict"),
        (lambda dbg: dbg.source_of(3), "expected a node or its name, not int"),
        (lambda dbg: dbg.recheck(lambda step: step.value), "when= must return True or False, not ndarray"),
        (
            lambda dbg: gn.debug(dbg.trace(), echo="print"),
            "echo= is a function that takes a text, as print does, or None",
        ),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_in_words(ask: Callable[[gn.Debugger], Any], words: str) -> None:
    dbg = small()
    dbg.step()
    with pytest.raises(UsageError, match=words):
        ask(dbg)
    assert (dbg.position, list(dbg.runs), dbg.breakpoints) == (1, ["run"], [])


# --- watches ----------------------------------------------------------------------------------------------------


def test_a_watch_tells_each_change() -> None:
    said: list[str] = []
    dbg = small(said.append)
    dbg.watch("loss")
    dbg.watch("tanh")
    assert [(node.name, name) for node, name in dbg.watches.items()] == [("sum", "loss"), ("head/tanh", "head/tanh")]
    dbg.step()
    assert said == []
    dbg.step()
    assert len(said) == 1
    assert re.fullmatch(r"watch head/tanh = \[\[-?[\d.]+, .*\]\]", said[0])
    said.clear()
    dbg.resume()
    assert said == [f"watch loss = {np.array2string(dbg['loss'].value, precision=4)}"]
    said.clear()
    dbg["c"] = 2.0  # as it was
    assert said == ["what-if 1: c changed, recomputed 2 of 4"]
    said.clear()
    dbg["c"] = 4.0
    assert said[0] == "what-if 2: c changed, recomputed 2 of 4"
    assert [text.split(" = ")[0] for text in said[1:]] == ["watch loss"]
    said.clear()
    dbg.use("run")
    assert [text.split(" = ")[0] for text in said] == ["watch loss"]
    said.clear()
    dbg.back(3)
    assert said == ["watch loss: not yet known", "watch head/tanh: not yet known"]
    said.clear()
    dbg.unwatch("loss")
    dbg.goto(4)
    assert [text.split(" = ")[0] for text in said] == ["watch head/tanh"]
    dbg.unwatch()
    assert dbg.watches == {}
    dbg.watch("sum")  # by the node's own name, and no longer by the output's
    assert list(dbg.watches.values()) == ["sum"]
    dbg.watch("*")
    dbg.unwatch("*")
    assert dbg.watches == {}
    dbg.unwatch("loss")
    with pytest.raises(NotFoundError):
        dbg.watch("nowhere")


def test_a_watch_of_a_large_value_is_short_and_of_a_parameter_tells_a_what_if() -> None:
    said: list[str] = []
    step, feed = spiral_step(nn.SGD(0.1))
    dbg = gn.debug(step, feed, echo=said.append)
    dbg.watch(["relu_1", "dense_1/bias"])
    dbg.goto("relu_1")
    assert re.fullmatch(r"watch relu_1 = min 0, mean [\d.]+, max [\d.]+", said.pop())
    dbg["dense_1/bias"] = [1.0, 2.0, 3.0]
    assert "watch dense_1/bias = [1, 2, 3]" in said


def test_without_echo_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    dbg = small(None)
    dbg.watch("loss")
    dbg.break_at("tanh")
    dbg.resume()
    dbg["c"] = 3.0
    dbg.resume()
    assert capsys.readouterr().out == ""
    loud = gn.debug(dbg.trace())
    loud.resume()
    loud["c"] = 2.0
    assert capsys.readouterr().out == "what-if 1: c changed, recomputed 2 of 4\n"


# --- the neighbourhood ------------------------------------------------------------------------------------------


def test_inputs_users_twin_and_path() -> None:
    step, feed = spiral_step(nn.SGD(0.1))
    g = step.graph
    dbg = gn.debug(step, feed, echo=None)
    for ask in (dbg.inputs, dbg.users, dbg.twin, dbg.path):
        with pytest.raises(UsageError, match="nothing has run yet: name a node, or step first"):
            ask()
    relu = g["relu_1"]
    dbg.goto(relu)
    assert dbg.inputs() == relu.inputs == dbg.inputs("relu_1")
    spare = gn.exp(relu)
    assert spare not in dbg.users()
    assert set(dbg.users()) == set(relu.users) - {spare}
    twins = dbg.twin("dense_2/matmul")
    assert {node.phase for node in twins} == {"backward"}
    assert all(dbg.twin(node) == (g["dense_2/matmul"],) for node in twins)
    assert dbg.twin("x") == ()
    way = dbg.path("x")
    assert way[0] is g["x"]
    assert way[-1] in dbg.fetches
    assert all(a in b.inputs for a, b in itertools.pairwise(way))
    assert dbg.path(dbg.fetches[0]) == [dbg.fetches[0]]


def test_the_source_of_a_node() -> None:
    dbg = small()
    assert dbg.source_of(dbg.graph["head/tanh"]) == "h = gn.tanh(x @ w)"
    assert __file__ in dbg.sources


# --- what if ----------------------------------------------------------------------------------------------------


def test_a_what_if_is_reported_named_and_taken_back() -> None:
    said: list[str] = []
    dbg = small(said.append)
    dbg.step(3)
    change = dbg.what_if("w", np.ones((2, 3)), name="flat")
    assert isinstance(change, Change)
    assert said == [str(change)] == ["flat: w changed, recomputed 3 of 4; 1 more depends on it and is yet to run"]
    assert dbg.run == "flat"
    dbg["x"] = np.zeros((2, 2))
    assert {name: [node.name for node in nodes] for name, nodes in dbg.runs.items()} == {
        "run": [],
        "flat": ["w"],
        "what-if 1": ["x", "w"],
    }
    with pytest.raises(NotFoundError, match='there is already a run "flat"'):
        dbg.what_if("x", np.ones((2, 2)), name="flat")
    assert dbg.run == "what-if 1"
    del dbg["x"]
    assert [node.name for node in dbg.runs["what-if 2"]] == ["w"]
    with pytest.raises(NotFoundError, match='"x" is not overridden in the run "what-if 2"'):
        del dbg["x"]


def test_use_and_drop() -> None:
    dbg = small()
    dbg.resume()
    before = bits(dbg["loss"].value)
    dbg["w"] = np.ones((2, 3))
    after = bits(dbg["loss"].value)
    assert after != before
    dbg.use("run")
    assert bits(dbg["loss"].value) == before
    dbg.use("what-if 1")
    assert bits(dbg["loss"].value) == after
    with pytest.raises(UsageError, match=r'"what-if 1" is the current run: go to another one first, dbg.use\(…\)'):
        dbg.drop("what-if 1")
    with pytest.raises(NotFoundError, match=r'there is no run "what-if 2"\. Did you mean "what-if 1"'):
        dbg.use("what-if 2")
    dbg.drop("run")
    assert list(dbg.runs) == ["what-if 1"]
    with pytest.raises(NotFoundError, match='there is no run "run"'):
        dbg.use("run")
    del dbg["w"]
    assert bits(dbg["loss"].value) == before


def test_a_what_if_on_what_is_yet_to_run_is_what_it_will_be() -> None:
    dbg = small()
    change = dbg.what_if("head/tanh", np.full((2, 3), 0.5))
    assert (change.recomputed, [node.name for node in change.later]) == ([], ["multiply", "sum"])
    dbg.resume()
    assert dbg["loss"].value == 6.0
    assert dbg["head/tanh"].value[0, 0] == 0.5


def _overridden() -> gn.Debugger:
    """Return a run in which the sums run along the other axis, and what they add up was set by hand."""
    g = gn.Graph()
    x = g.placeholder("x", shape=("n", 2))
    h = gn.relu(x * 2.0)
    dbg = gn.debug(gn.sum(gn.log(gn.cumsum(h, axis=1))), {x: [[1.0, 2.0], [3.0, 4.0]]}, echo=None)
    dbg.resume()
    dbg["relu"] = [[4.0, 5.0], [7.0, 7.0]]
    dbg.what_if("cumsum", axis=0)
    return dbg


def test_a_trace_of_a_what_if_explains_elements_as_the_debugger_does(tmp_path: Path) -> None:
    dbg = _overridden()
    dbg.trace().save(tmp_path / "what-if.trace")
    loaded = gn.load(tmp_path / "what-if.trace")
    again = gn.debug(loaded, echo=None)
    again.resume()
    cumsum, relu = "cumsum[1, 1] = 12 = 5 + 7", "relu[0, 0] = 4, set "
    for told in (dbg, dbg.trace(), loaded, again):
        assert told.why("cumsum", (1, 1)).equation == cumsum
        assert told.why("relu", (0, 0)).equation.startswith(relu)
        assert told.why("relu", (0, 0)).reads == ()
    for told in (dbg, again):
        assert [node.name for node in told.ancestry("cumsum", (1, 1))] == ["cumsum", "relu"]
        assert [node.name for node in told.influence("x", (0, 0))] == ["x", "multiply"]
        assert (told.state("relu"), told.state("cumsum"), told.state("log")) == ("overridden", "overridden", "done")
    assert again.runs == {"run": [loaded.graph["relu"], loaded.graph["cumsum"]]}
    # What was overridden can be taken back there, too.
    del again["relu"]
    del again["cumsum"]
    assert bits(again["cumsum"].value) == bits(np.cumsum([[2.0, 4.0], [6.0, 8.0]], axis=1))
    assert again.why("cumsum", (1, 1)).equation == "cumsum[1, 1] = 14 = 6 + 8"


def test_what_was_fed_and_a_parameter_are_known_to_be_set_by_hand_in_a_saved_trace(tmp_path: Path) -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=(2,)), g.parameter("w", [10.0, 20.0])
    y = x * w
    dbg = gn.debug(y, {x: [1.0, 2.0]}, echo=None)
    dbg.resume()
    dbg["x"] = [3.0, 4.0]
    dbg["w"] = [5.0, 6.0]
    dbg.trace().save(tmp_path / "what-if.trace")
    loaded = gn.load(tmp_path / "what-if.trace")
    again = gn.debug(loaded, echo=None)
    again.resume()
    assert loaded["multiply"].value.tolist() == again["multiply"].value.tolist() == [15.0, 24.0]
    assert loaded.why("x", 0).equation == "x[0] = 3, set by hand"
    assert list(map(str, loaded.why("multiply", 1).reads)) == ["x[1] = 4, set by hand", "w[1] = 6, set by hand"]
    assert list(map(str, dbg.why("multiply", 1).reads)) == ["x[1] = 4, set in what-if 2", "w[1] = 6, set in what-if 2"]
    assert [again.state(name) for name in ("x", "w", "multiply")] == ["overridden", "overridden", "current"]
    del again["x"]
    assert again["multiply"].value.tolist() == [5.0, 12.0]
    assert str(again.why("multiply", 0).reads[0]) == "x[0] = 1, fed"
    loaded.graph["w"].value = [7.0, 8.0]
    again.restart()
    again.resume()
    assert (again["multiply"].value.tolist(), again.runs[again.run]) == ([7.0, 16.0], [])


def test_a_what_if_that_is_run_on_another_feed_stays_one() -> None:
    trace = _overridden().trace()
    found = gn.compare(trace, trace, feed_b={"x": [[5.0, 5.0], [5.0, 5.0]]})
    assert str(found).endswith('\ndiffering after it: "multiply"')  # relu was set, and so is the same
    with pytest.raises(ShapeError, match=r'the value given for "relu" has shape \(2, 2\); in this run it has \(1, 2\)'):
        gn.compare(trace, trace, feed_b={"x": [[5.0, 5.0]]})


def test_a_second_setting_leaves_the_first() -> None:
    x = gn.Graph().placeholder("x", shape=(3,))
    dbg = gn.debug(gn.clip(x, -1.0, 1.0), {x: [-9.0, 0.0, 9.0]}, echo=None)
    dbg.resume()
    dbg.what_if("clip", lo=-2.0)
    dbg.what_if("clip", hi=3.0)
    assert dbg["clip"].value.tolist() == [-2.0, 0.0, 3.0]


def test_the_health_of_a_what_if_is_that_of_its_operation() -> None:
    x = gn.Graph().placeholder("x", shape=(3,))
    dbg = gn.debug(gn.var(x), {x: [1.0, 2.0, 4.0]}, echo=None)
    dbg.resume()
    with pytest.warns(gn.GraphnnWarning, match="ddof=3"):
        dbg.what_if("var", ddof=3)
    (finding,) = gn.check_health(dbg.trace())
    assert finding.code == "empty-reduction"
    dbg = gn.debug(gn.leaky_relu(x), {x: [-1e300, 1.0, 2.0]}, echo=None)
    dbg.resume()
    dbg.what_if("leaky_relu", negative_slope=1e20)
    (finding,) = gn.check_health(dbg.trace())
    assert finding.cause.startswith("leaky_relu[0] = -inf = leaky_relu(-1e+300, 1e+20)")


def test_a_what_if_takes_what_fits() -> None:
    dbg = small()
    dbg["c"] = 3  # an int goes into a float
    assert dbg["c"].value == 3.0
    with pytest.raises(ShapeError, match=r'the value given for "x" has shape \(3,\); in this run it has \(2, 2\)'):
        dbg["x"] = np.ones(3)
    with pytest.raises(DtypeError, match="dtype complex128; values are bool, integers, and floats"):
        dbg["x"] = np.ones((2, 2), complex)
    with pytest.raises(DtypeError):
        dbg["x"] = "text"
    for options in ({}, {"value": np.ones((2, 2)), "lo": 1}):
        with pytest.raises(UsageError, match="a what-if takes either a value or attributes of the operation"):
            dbg.what_if("x", **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r'"sum" \(sum\) has no attribute "axes"\. Did you mean "axis"'):
        dbg.what_if("sum", axes=0)
    with pytest.raises(ShapeError, match=r'where "sum" is .*: what reads it would not fit'):
        dbg.what_if("sum", axis=0)
    with pytest.raises(AxisError):
        dbg.what_if("sum", axis=7)
    with pytest.raises(UsageError, match='"x" is a placeholder: give it a value'):
        dbg.what_if("x", shape=(3, 2))
    assert list(dbg.runs) == ["run", "what-if 1"]


def test_the_value_given_may_be_overwritten_afterwards() -> None:
    dbg = small()
    value = np.ones((2, 3))
    dbg["w"] = value
    value[:] = 9.0
    assert dbg["w"].value.max() == 1.0


# --- a node that raises -----------------------------------------------------------------------------------------


@pytest.fixture
def fuse() -> Iterator[type[Op]]:
    class Fuse(Op):
        limit: float = 2.0

        def infer(self, x: Spec) -> Spec:
            return x

        def forward(self, x: Any, out: Any = None) -> Any:
            if x.max() > self.limit:
                raise RuntimeError("blown")
            return x + 0.0

    yield Fuse
    registry.pop("fuse", None)


def test_a_node_that_raises_is_stood_before_and_its_operands_are_shown(fuse: type[Op]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    y = gn.exp(fuse()(x * 2.0, name="fuse")) + 1.0
    dbg = gn.debug(y, {x: [1.0, 3.0]}, echo=None)
    for move in (dbg.resume, dbg.step, lambda: dbg.goto(y), lambda: dbg.until("exp")):
        with pytest.raises(EvaluationError, match="blown"):
            move()
        assert where(dbg) == (1, "multiply")
        assert dbg.next is not None
        assert dbg.next.name == "fuse"
        assert "blown" in dbg.error
        assert [value.tolist() for value in dbg["fuse"].operands] == [[2.0, 6.0]]
    dbg["multiply"] = [1.0, 0.5]  # mends the operand
    assert dbg.error == ""
    dbg.resume()
    assert dbg.finished
    assert dbg["add"].value.tolist() == (np.exp([1.0, 0.5]) + 1).tolist()


def test_a_what_if_that_raises_further_up_goes_back_there(fuse: type[Op]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    y = gn.exp(fuse()(x * 2.0, name="fuse")) + 1.0
    dbg = gn.debug(y, {x: [0.1, 0.2]}, echo=None)
    dbg.resume()
    with pytest.raises(EvaluationError, match="blown"):
        dbg["x"] = [5.0, 0.0]
    assert where(dbg) == (1, "multiply")
    assert dbg.run == "what-if 1"
    assert [dbg.state(name) for name in ("x", "fuse", "exp", "add")] == ["overridden", "stale", "stale", "stale"]
    dbg.what_if("fuse", limit=99.0)
    dbg.resume()
    assert dbg["fuse"].value.tolist() == [10.0, 0.0]
    with pytest.raises(EvaluationError, match="blown"):
        dbg.use("what-if 1")
    assert dbg.error
    assert where(dbg) == (1, "multiply")


def test_use_of_a_run_that_fails_stands_where_it_fails(fuse: type[Op]) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=(2,))
    y = gn.exp(fuse()(x * 2.0, name="fuse")) + 1.0
    dbg = gn.debug(y, {x: [0.1, 0.2]}, echo=None)
    dbg.step()
    dbg["x"] = [5.0, 0.0]
    dbg.use("run")
    dbg.resume()
    with pytest.raises(EvaluationError):
        dbg.use("what-if 1")
    assert (dbg.run, *where(dbg)) == ("what-if 1", 1, "multiply")
    assert "blown" in dbg.error
    good = dbg.trace("run")
    assert (good.error, len(good)) == ("", 3)


# --- of a compiled step -----------------------------------------------------------------------------------------


def with_dropout() -> tuple[gn.Compiled, dict[gn.Node, Array]]:
    g = gn.Graph("dropping")
    x = g.placeholder("x", shape=("batch", 4))
    network = nn.Sequential(
        nn.Dense(8, rng=np.random.default_rng(0)), nn.Dropout(0.5), nn.Dense(1, rng=np.random.default_rng(1))
    )
    loss = gn.mean(gn.square(network(x, training=True)))
    return gn.compile(loss, updates=nn.Adam(0.05).updates(loss)), {x: np.random.default_rng(2).normal(size=(6, 4))}


@pytest.mark.parametrize("make", [lambda: spiral_step(nn.Adam(0.05)), with_dropout])
def test_a_commit_is_exactly_what_the_compiled_step_does(make: Callable[[], Any]) -> None:
    (one, feed), (other, same_feed) = make(), make()
    for _ in range(3):
        loss = one(feed)
        before = dict(other.graph.state)
        dbg = gn.debug(other, same_feed, echo=None)
        dbg.resume()
        assert all(other.graph.state[node] is value for node, value in before.items())
        dbg.commit()
        assert bits(dbg[other.fetches[0]].value) == bits(loss)
        states = [{node.name: bits(value) for node, value in step.graph.state.items()} for step in (one, other)]
        assert states[0] == states[1]
        assert all(not value.flags.writeable for value in other.graph.state.values())
    assert bits(one(feed)) == bits(other(same_feed))


def test_a_commit_makes_the_updates_of_a_what_if() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    bias = step.graph["dense_2/bias"]
    dbg = gn.debug(step, feed, echo=None)
    dbg["dense_2/bias"] = [1.0, 2.0, 3.0]
    dbg.resume()
    dbg.commit()
    assert bits(bias.value) == bits(dbg[step.updates[bias]].value)
    assert abs(bias.value - [1.0, 2.0, 3.0]).max() < 0.5


def test_a_commit_is_refused_when_it_would_not_be_the_steps() -> None:
    step, feed = spiral_step(nn.Adam(0.05))
    dbg = gn.debug(step, feed, echo=None)
    with pytest.raises(UsageError, match=rf"{len(dbg.operations)} operations are yet to run: dbg.resume\(\) first"):
        dbg.commit()
    dbg.resume()
    step(feed)
    state = dict(step.graph.state)
    with pytest.raises(
        UsageError, match=r'the state has changed since this run began \(".*" has another value\): dbg.restart\(\)'
    ):
        dbg.commit()
    dbg.restart()
    assert (dbg.run, dbg.position) == ("run 2", 0)
    assert bits(dbg["dense_1/weight"].value) == bits(step.graph["dense_1/weight"].value)
    dbg.resume()
    dbg.commit()
    assert all(step.graph.state[node] is not state[node] for node in step.updates)
    with pytest.raises(UsageError, match="the state has changed"):
        dbg.commit()  # twice
    dbg.restart()
    assert list(dbg.runs) == ["run", "run 2", "run 3"]
    with pytest.raises(UsageError, match=r"there are no updates to make: gn.debug\(step, feed\) of a compiled step"):
        small().commit()


def test_a_trace_of_a_run_and_a_debugger_of_that_trace() -> None:
    step, feed = spiral_step(nn.Adam(0.05))
    dbg = gn.debug(step, feed, echo=None)
    dbg.goto("relu_1")
    part = dbg.trace()
    assert part.stopped == len(part)
    assert [record.name for record in part][-1] in [node.name for node in dbg.order]
    again = gn.debug(part, echo=None)
    assert where(again) == where(dbg)
    again.resume()
    again.commit()
    dbg.restart()
    dbg.resume()
    whole = dbg.trace()
    assert len(whole) == len(dbg.order)
    assert whole.stopped is None
    dbg["x"] = np.zeros((60, 2))
    assert dbg.trace("run")["x"].value.any()
    assert not dbg.trace()["x"].value.any()
    with pytest.raises(NotFoundError, match='there is no run "q"'):
        dbg.trace("q")


def test_a_debugger_of_a_trace_computes_nothing_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    step, feed = spiral_step(nn.Adam(0.05))
    seen = gn.trace(step, feed)
    dbg = gn.debug(seen, echo=None)
    monkeypatch.setattr(dbg._now.tape, "_evaluate", None)  # whoever calls it fails
    dbg.resume()
    dbg.goto(3)
    dbg.goto(len(dbg.operations))
    assert [bits(dbg[record.node].value) for record in seen] == [bits(record.value) for record in seen]


def test_arguments_of_debug() -> None:
    step, feed = spiral_step(nn.Adam(0.05))
    seen = gn.trace(step, feed)
    with pytest.raises(UsageError, match="a trace has its own feed and takes no other"):
        gn.debug(seen, feed)
    with pytest.raises(NotFoundError, match="the feed lacks"):
        gn.debug(step)
    with pytest.raises(UsageError):
        gn.debug(3)
    assert gn.debug("loss", {"x": [[1.0, 1.0]]}, graph=small().graph, echo=None).fetches[0].name == "sum"
    for budget in (-1, math.nan, "8", True):
        with pytest.raises(ValueRangeError, match="budget= is a number of bytes from 0 up, not"):
            gn.debug(step, feed, budget=budget)  # type: ignore[arg-type]


def test_feeds_may_be_overwritten_while_it_is_open() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    seen = gn.trace(step, feed)
    dbg = gn.debug(step, feed, echo=None, budget=0)
    dbg.step()
    for array in feed.values():
        array[...] = 0
    dbg.resume()
    assert [bits(dbg[record.node].value) for record in seen] == [bits(record.value) for record in seen]


def test_training_going_on_changes_nothing_in_an_open_debugger() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    seen = gn.trace(step, feed)
    dbg = gn.debug(step, feed, echo=None, budget=0)
    dbg.step(2)
    step(feed)
    dbg.resume()
    assert [bits(dbg[record.node].value) for record in seen] == [bits(record.value) for record in seen]


def test_a_saved_session_is_opened_elsewhere(tmp_path: Path) -> None:
    dbg = small()
    dbg.step(2)
    dbg.trace().save(tmp_path / "session.trace")
    again = gn.debug(gn.load(tmp_path / "session.trace"), echo=None)
    assert where(again) == where(dbg)
    again.resume()
    dbg.resume()
    assert bits(again["loss"].value) == bits(dbg["loss"].value)


def test_ten_thousand_operations_are_stepped_through() -> None:
    g = gn.Graph()
    h = x = g.placeholder("x")
    for _ in range(10_000):
        h = gn.sin(h)
    dbg = gn.debug(h, {x: 1.0}, echo=None)
    while not dbg.finished:
        dbg.step()
    assert bits(dbg[h].value) == bits(gn.run(h, {x: 1.0}))
    for _ in range(1000):
        dbg.back()
    assert dbg.position == 9000


def test_commit_sees_that_a_parameter_was_changed_that_it_only_reads() -> None:
    g = gn.Graph()
    w, f = g.parameter("w", 1.0), g.parameter("f", 2.0, trainable=False)
    g.parameter("other", 3.0)
    step = gn.compile(w * f, updates={w: w - f})
    dbg = gn.debug(step, echo=None)
    dbg.resume()
    g["other"].value = 4.0  # which is of no account here
    dbg["w"] = 5.0
    dbg.restart()
    assert dbg.runs[dbg.run] == [w]
    f.value = 100.0
    dbg.resume()
    with pytest.raises(UsageError, match=r'the state has changed since this run began \("f" has another value\)'):
        dbg.commit()
    dbg.restart()
    dbg.resume()
    dbg.commit()
    assert float(w.value) == -99.0


def test_commit_keeps_to_the_guard_of_the_step() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=("n",)), g.parameter("w", 1.0)
    loss = gn.mean(gn.log(x * w))
    step = gn.compile(loss, updates={w: w + loss}, guard="nan")
    with pytest.raises(gn.errors.ValueRangeError) as caught:
        step({x: [-1.0]})
    for opened in (caught.value.debug, lambda: gn.debug(step, {x: [-1.0]})):
        dbg = opened()
        dbg.echo = None
        dbg.resume()
        with pytest.raises(gn.errors.ValueRangeError, match=r'"log" .* is NaN'):
            dbg.commit()
        dbg["x"] = [np.e]
        dbg.commit()
        assert w.value == pytest.approx(2.0)
        w.value = 1.0


def test_a_comparison_of_runs_may_be_named() -> None:
    dbg = _overridden()
    assert dbg.compare("run", names=("before", "after")).a == "before"


@pytest.mark.parametrize("way", ["step", "trace", "file", "film", "error"])
def test_every_way_into_the_debugger_keeps_the_guard(way: str, tmp_path: Path) -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("n",)), g.placeholder("i", shape=(), dtype="int64")
    w = g.parameter("w", 1.0)
    step = gn.compile(w, updates={w: w + gn.sum(gn.where(gn.isnan(x), 0.0, x)) + gn.take(x, i) * 0.0}, guard="nan")
    feed = {x: [1.0, 2.0], i: 1}
    with gn.recording(step) as film:
        step(feed)
    w.value = 1.0
    if way == "step":
        dbg = gn.debug(step, feed, echo=None)
    elif way == "error":
        with pytest.raises(IndexError) as caught:
            step({x: [1.0, 2.0], i: 5})
        dbg = caught.value.debug()  # type: ignore[attr-defined]
        dbg.echo = None
        dbg["i"] = 0
    else:
        trace = film[0] if way == "film" else gn.trace(step, feed)
        trace.save(tmp_path / "kept.trace")
        dbg = gn.debug(gn.load(tmp_path / "kept.trace") if way == "file" else trace, echo=None)
    if way == "film":
        dbg.restart()
    dbg["x"] = [1.0, np.nan]
    dbg.resume()
    assert dbg.guard == "nan"
    with pytest.raises(gn.errors.ValueRangeError, match=r'"x" .* is NaN') as refused:
        dbg.commit()
    again = refused.value.debug()
    assert [node.name for node in again.updates] == ["w"]
    assert again.guard == "nan"


@pytest.mark.parametrize("look", [gn.trace, gn.profile, lambda *what: gn.debug(*what, echo=None).resume(), gn.compare])
def test_an_error_knows_whose_step_it_is_of_whoever_ran_it(look: Any) -> None:
    g = gn.Graph()
    x, i, w = g.placeholder("x", ("n",)), g.placeholder("i", (), "int64"), g.parameter("w", 1.0)
    step = gn.compile(gn.take(x * w, i), updates={w: w + gn.sum(x)}, guard="finite")
    feed = {x: [1.0, 2.0], i: 5}
    with pytest.raises(IndexError) as caught:
        look(step, step, feed) if look is gn.compare else look(step, feed)
    dbg = caught.value.debug()  # type: ignore[attr-defined]
    assert (dbg.guard, [*dbg.updates]) == ("finite", [w])


def test_a_what_if_computes_what_depends_on_it_once_within_a_budget_too() -> None:
    g = gn.Graph()
    x = h = g.placeholder("x", ("n",))
    for _ in range(60):
        h = gn.tanh(h)
    dbg = gn.debug(h, {x: np.ones(1000)}, budget=64_000, echo=None)
    calls: list[gn.Node] = []
    forwards = dbg.prepared.binding.forwards
    for place, forward in enumerate(forwards):
        if forward is not None:
            forwards[place] = lambda *xs, node=dbg.order[place], forward=forward: calls.append(node) or forward(*xs)
    dbg.resume()
    assert len(calls) == 60
    dbg["x"] = np.zeros(1000)
    assert len(calls) == 120


def test_restart_says_what_it_leaves_out() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n",)), g.parameter("w", 1.0)
    said: list[str] = []
    dbg = gn.debug(gn.compile(gn.sum(x * w), updates={w: w + 1.0}), {x: [1.0, 2.0]}, echo=said.append)
    dbg["x"] = [5.0, 5.0]
    dbg.restart()
    assert dbg["x"].value.tolist() == [5.0, 5.0]
    dbg.resume()
    dbg.commit()
    said.clear()
    dbg.restart()
    assert dbg["x"].value.tolist() == [1.0, 2.0]
    assert said == ["a new run from the current state, without what was set by hand: x"]


def test_restart_and_commit_agree_on_a_parameter_that_is_updated_and_not_read() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", shape=()), g.parameter("w", 1.0)
    dbg = gn.debug(gn.compile(x * 2.0, updates={w: x + 1.0}), {x: 1.0}, echo=None)
    for _ in range(3):
        dbg.resume()
        dbg.commit()
        dbg.restart()
    assert float(w.value) == 2.0


@pytest.mark.parametrize(("dtype", "large"), [("float16", 1e6), ("float32", 1e39)])
def test_a_what_if_that_overflows_warns_as_a_feed_does(dtype: str, large: float) -> None:
    x = gn.Graph(dtype=dtype).placeholder("x", shape=(1,))
    dbg = gn.debug(x * 1.0, {x: [1.0]}, echo=None)
    with pytest.warns(gn.GraphnnWarning, match=rf'"x" .* overflows {dtype}'):
        dbg["x"] = [large]


def test_after_a_failure_it_is_said_and_not_what_would_fail_again() -> None:
    g = gn.Graph()
    x, i = g.placeholder("x", shape=("n",)), g.placeholder("i", shape=(), dtype="int64")
    with pytest.raises(IndexError) as caught:
        gn.run(gn.take(x, i) * 2.0, {x: [1.0, 2.0], i: 7})
    dbg = caught.value.debug()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r'^"take" has not run: while evaluating "take"'):
        dbg.why("take", ())
    with pytest.raises(UsageError, match=r'^"multiply" has not run: "take" comes before it; while evaluating "take"'):
        dbg["multiply"].value  # noqa: B018


def test_what_is_looked_at_does_not_say_how_to_look_at_it(tmp_path: Path) -> None:
    x = gn.Graph().placeholder("x", shape=())
    with pytest.raises(gn.errors.ValueRangeError, match=r"error\.debug") as caught:
        gn.run(gn.log(x), {x: -1.0}, guard="nan")
    caught.value.save(tmp_path / "stopped.trace")
    for told in (caught.value.debug(), gn.load(tmp_path / "stopped.trace")):
        assert "error.debug" not in str(told)
        assert "so the state is the one that led here" in " ".join(str(told).split())


def test_times_of_a_trace_and_of_the_run_before_a_what_if_are_kept(tmp_path: Path) -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    seen = gn.trace(step, feed)
    seen.save(tmp_path / "spiral.trace")
    loaded = gn.load(tmp_path / "spiral.trace")
    dbg = gn.debug(loaded, echo=None)
    dbg.resume()
    known = loaded.as_computed  # the others are computed once more
    assert len(known) > 30
    for place in known:
        assert dbg.trace().records[place].time == seen.records[place].time
    anew = set(dbg.what_if("dense_2/bias", np.ones(3)).recomputed)
    for record in dbg.trace():
        if record.index in known and record.node not in anew:
            assert record.time == seen.records[record.index].time


def test_a_trace_of_the_debugger_keeps_values_up_to_a_size() -> None:
    x = gn.Graph().placeholder("x", shape=("n",))
    dbg = gn.debug(gn.sum(gn.exp(x)), {x: np.zeros(1000)}, echo=None)
    dbg.resume()
    assert [record.kept for record in dbg.trace(keep=800)] == [True, False, True]
    assert all(record.kept for record in dbg.trace())
    with pytest.raises(ValueRangeError, match="keep= is an int of 0 or more"):
        dbg.trace(keep=-1)


def test_two_runs_are_compared_within_the_budget() -> None:
    g = gn.Graph()
    h = x = g.placeholder("x", shape=("n",))
    for _ in range(100):
        h = gn.tanh(h * 1.5)
    values = np.linspace(-1, 1, 20_000)
    dbg = gn.debug(gn.mean(h), {x: values}, budget=12 * values.nbytes, echo=None)
    dbg.resume()
    dbg["tanh_10"] = np.zeros_like(values)
    tracemalloc.start()
    try:
        found = dbg.compare("run")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.first is not None
    assert found.first.name == "tanh_10"
    assert found.counts.differing == 1 + 2 * 90
    assert peak < 40 * values.nbytes  # each run has 201 values


def test_runs_are_compared_in_a_few_evaluations_of_each_node(monkeypatch: pytest.MonkeyPatch) -> None:
    g = gn.Graph()
    h = x = g.placeholder("x", shape=("n",))
    for _ in range(300):
        h = gn.tanh(h)
    dbg = gn.debug(gn.mean(h), {x: np.linspace(-1, 1, 100)}, budget=12 * 800, echo=None)
    dbg.resume()
    dbg["tanh_10"] = np.zeros(100)
    evaluated: list[int] = []
    plain = Tape._evaluate
    monkeypatch.setattr(Tape, "_evaluate", lambda tape, place: evaluated.append(place) or plain(tape, place))
    assert not dbg.compare("run")
    assert len(evaluated) <= 3 * len(dbg.order)


def test_what_is_offered_for_a_wrong_name_is_always_the_same_and_of_its_kind() -> None:
    code = """
import graphnn as gn
g = gn.Graph(); x = g.placeholder("x")
with g.scope("net"):
    y = gn.tanh(gn.exp(x))
dbg = gn.debug(y, {x: 1.0})
for ask in (lambda: dbg.until("qqqq"), lambda: dbg.break_at(op="qqqq"), lambda: dbg.break_at(scope="qqqq")):
    try: ask()
    except gn.NotFoundError as error: print(error)
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    (said,) = told
    by_name, by_op, by_scope = [line for line in said.split("\n") if "There is" in line]
    assert by_name.partition("There is: ")[2].startswith('"x", "net/exp"')
    assert '"exp"' in by_op
    assert by_scope.partition("There is: ")[2].startswith('"net"')


def test_what_a_guard_would_stop_at_is_said_once_on_the_way() -> None:
    g = gn.Graph()
    w = g.parameter("w", -1.0)
    loss = gn.log(w) * 2.0 + 1.0
    said: list[str] = []
    dbg = gn.debug(gn.compile(loss, updates={w: w - loss}, guard="nan"), echo=said.append)
    for go_back in (lambda: dbg.goto(0), dbg.restart, lambda: None):
        dbg.resume()
        assert dbg.finished
        (line,) = said
        assert line.startswith('the guard stops a call of the step here: "log" (log, made at test_debugger.py:')
        assert line.endswith("is NaN")
        go_back()
        said.clear()


def test_after_a_what_if_the_guard_is_heeded_again() -> None:
    g = gn.Graph()
    a, b = g.parameter("a", -1.0), g.parameter("b", -1.0)
    step = gn.compile(gn.log(a) + gn.sqrt(b), updates={a: a * 1.0}, guard="nan")
    said: list[str] = []
    dbg = gn.debug(step, echo=said.append)
    dbg.resume()
    dbg.goto(0)
    dbg["a"] = 1.0
    dbg.resume()
    told = [line.partition(" (")[0] for line in said if line.startswith("the guard")]
    assert told == [f'the guard stops a call of the step here: "{name}"' for name in ("log", "sqrt")]


def test_a_guard_is_not_said_to_stop_at_what_comes_of_another(tmp_path: Path) -> None:
    x = gn.Graph().placeholder("x", shape=(2,))
    step = gn.compile(gn.sum(gn.exp(gn.log(x))), guard="nan")
    with pytest.raises(ValueRangeError) as caught:
        step({x: [-1.0, 2.0]})
    caught.value.save(tmp_path / "stopped.trace")  # type: ignore[attr-defined]
    said: list[str] = []
    dbg = gn.debug(gn.load(tmp_path / "stopped.trace"), echo=said.append)
    assert dbg.error.startswith('"log"')
    dbg.resume()
    assert said == []
    dbg.goto(0)
    dbg.resume()
    assert [line.partition(" (")[0] for line in said] == ['the guard stops a call of the step here: "log"']


def test_the_guard_is_heeded_on_every_way_through_a_run_and_after_a_what_if() -> None:
    g = gn.Graph()
    a, b, c = (g.parameter(name, value) for name, value in (("a", -1.0), ("b", -1.0), ("c", 0.0)))
    step = gn.compile(gn.log(a) + gn.sqrt(b) + c, updates={c: c * 1.0}, guard="nan")

    def told(move: Callable[[gn.Debugger], Any]) -> list[str]:
        said: list[str] = []
        dbg = gn.debug(step, echo=said.append)
        move(dbg)
        return [line.rpartition(': "')[2].partition('"')[0] for line in said if line.startswith("the guard")]

    def back_and_forth(dbg: gn.Debugger) -> None:
        dbg.step()
        dbg["c"] = 2.0
        dbg.use("run")
        dbg.resume()

    def made_bad(dbg: gn.Debugger) -> None:
        dbg["a"] = 1.0
        dbg["b"] = 1.0
        dbg.step(1)
        dbg["a"] = -3.0
        dbg.resume()

    assert told(lambda dbg: (dbg.goto(1), dbg.resume())) == ["log"]
    assert told(back_and_forth) == ["log"]
    assert told(made_bad) == ["log"]


def test_a_path_leads_to_the_loss_of_a_step_and_else_to_an_update() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    dbg = gn.debug(step, feed, echo=None)
    loss = step.graph["categorical_crossentropy_1"]
    for name in ("x", "relu_1", "dense_1/weight"):
        assert dbg.path(name)[-1] is loss
    gradient = next(node for node in dbg.order if node.phase == "backward" and node.inputs)
    assert dbg.path(gradient)[-1] in dbg.updates.values()


def test_a_sample_is_found_by_scope_and_output_too() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    dbg = gn.debug(step, feed, echo=None)
    dbg.resume()
    row = dbg.sample(6)
    assert row["dense_1"] is row["dense_1/add"]
    assert row["labels"].shape == ()
    assert np.shares_memory(row["labels"], dbg["labels"].value)
    with pytest.raises(NotFoundError, match='there is no entry for "dense_1/weight": it is not of one sample'):
        row["dense_1/weight"]


def test_more_may_be_asked_for_an_ancestry() -> None:
    x = gn.Graph().placeholder("x", shape=(40, 40))
    dbg = gn.debug(gn.matmul(x, x) @ x, {x: np.eye(40)}, echo=None)
    dbg.resume()
    for ask in (dbg.ancestry, dbg.influence):
        with pytest.raises(ValueRangeError, match="limit=1 allows fewer"):
            ask("x" if ask == dbg.influence else "matmul_2", (0, 0), limit=1)
        what = "x" if ask == dbg.influence else "matmul_2"
        found, plain = ask(what, (0, 0), limit=10**7), ask(what, (0, 0))
        assert {node.name: places.tolist() for node, places in found.items()} == {
            node.name: places.tolist() for node, places in plain.items()
        }


def test_a_scope_that_has_no_part_in_the_run_is_not_offered_for_itself() -> None:
    step, feed = spiral_step(nn.SGD(0.5))
    loss = gn.debug(step, feed, echo=None).fetches[0]
    with pytest.raises(NotFoundError, match='no node of the scope "sgd_1" is in this run'):
        gn.debug(loss, feed, echo=None).until("sgd_1")


def test_a_condition_that_takes_no_step_is_refused_in_words() -> None:
    dbg = small()
    dbg.break_at("sum", when=lambda: True)
    with pytest.raises(UsageError, match=r"when= is a function of a step: .* takes 0 positional arguments"):
        dbg.resume()


def test_hostile_names_are_made_visible_wherever_they_are_said() -> None:
    g = gn.Graph("a\x1b[31mb")
    x = g.placeholder("x\x1b]0;owned\x07", shape=("n", 2))
    y = gn.sum(gn.exp(x), name="y\u202e" + "z" * 10_000)
    said: list[str] = []
    dbg = gn.debug(y, {x: np.ones((3, 2))}, echo=said.append)
    dbg.watch("*")

    def f(step: Any) -> bool:
        return True

    f.__name__ = "f\x1b[31m"
    dbg.break_at(when=f)
    said.append(repr(dbg.breakpoints))
    dbg.resume()
    dbg.clear()
    dbg.resume()
    dbg[x] = np.zeros((3, 2))
    found = dbg.compare("run")
    profile = gn.profile(y, {x: np.ones((3, 2))})
    said += [repr(found.first), str(found), repr(profile), repr(profile.by_scope), repr(profile.by_op), repr(dbg)]
    for text in said:
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in text.replace("\n", "")), (
            text
        )
        assert len(text) < 2000


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda dbg: dbg.compare(np.array([1, 2])), "the name of a run is text"),
        (lambda dbg: dbg.trace().to_html(beside=dbg["x"].node), "beside= is another trace, or several, not Node"),
        (lambda dbg: dbg.trace().to_html(beside=[[]]), "beside= is another trace, or several, not list"),
        (lambda dbg: gn.run("loss", {"x": np.ones((2, 2))}, graph=dbg.graph, guard=np.array([0, 0])), "unknown guard"),  # type: ignore[arg-type]
        (lambda dbg: gn.compare("loss", feed={"x": 1.0}, graph=np.array([0, 0])), "graph="),  # type: ignore[arg-type]
        (lambda dbg: dbg.trace().save("a\0b"), "no file can be called 'a\\x00b'"),
        (lambda dbg: dbg.trace().save("a\ud800"), "no file can be called"),
        (lambda dbg: dbg.trace().save(None), "a path is text or a pathlib.Path, not NoneType"),
        (lambda dbg: gn.load(3), "a path is text or a pathlib.Path, not int"),  # type: ignore[arg-type]
        (lambda dbg: gn.draw(dbg.graph).save("a\0.svg"), "no file can be called"),
    ],
)
def test_odd_arguments_are_refused_in_words(ask: Callable[[gn.Debugger], Any], words: str) -> None:
    dbg = small()
    dbg.resume()
    with pytest.raises(gn.GraphnnError) as caught:
        ask(dbg)
    assert words in str(caught.value)


def test_a_part_of_a_value_is_set_by_its_index() -> None:
    g = gn.Graph()
    x = g.placeholder("x", ("n", 3))
    dbg = gn.debug(gn.sum(x * 2.0, axis=1), {x: np.ones((2, 3))}, echo=None)
    dbg.resume()
    dbg["x"][0, 1:] = 5.0
    assert (dbg.run, dbg["sum"].value.tolist()) == ("what-if 1", [22.0, 6.0])
    dbg["multiply"][1] = [0.0, 0.0, 1.0]
    assert dbg["sum"].value.tolist() == [22.0, 1.0]
    for index, value, error, words in (
        ((0, 3), 1.0, gn.AxisError, r'"x" has shape \(2, 3\), so it has no such part'),
        (0, [1.0, 2.0], gn.ShapeError, r'shape \(2,\), and that part of "x" \(3,\)'),
        (0, 1j, gn.DtypeError, "complex"),
    ):
        with pytest.raises(error, match=words):
            dbg["x"][index] = value
    with pytest.raises(gn.ShapeError, match=r"np.full\(\(2, 3\), 1.0\) has that"):
        dbg["x"] = 1.0
    assert len(dbg.runs) == 3
    small = g.placeholder("small", ("n",), np.int8)
    few = gn.debug(small * 2, {small: [1, 2]}, echo=None)
    with pytest.raises(gn.ValueRangeError, match='the value of "small" holds 300, which does not fit into int8'):
        few["small"][0] = 300


def test_what_a_change_says_is_not_said_again_by_its_repr() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    said: list[str] = []
    dbg = gn.debug(x * 2.0, {x: 1.0}, echo=said.append)
    change = dbg.what_if("x", 3.0)
    assert said == [str(change)] == ["what-if 1: x changed, recomputed 0 of 1; 1 more depends on it and is yet to run"]
    assert repr(change) == '<Change "what-if 1": "x", recomputed 0 of 1>'
    del dbg["x"]
    assert said[-1].startswith("what-if 2: x is as it was, recomputed 0 of 1")


def test_names_are_completed_in_brackets() -> None:
    g = gn.Graph()
    with g.scope("head"):
        y = abs(g.placeholder("x"))
    g.outputs["result"] = y
    g.placeholder("apart")
    known = ["x", "head/absolute", "head", "result"]
    dbg = gn.debug(y, {"head/x": 1.0}, echo=None)
    for thing in (dbg, dbg.trace()):
        assert sorted(thing._ipython_key_completions_()) == sorted(["head/x", *known[1:]])
    assert {"head/x", *known[1:], "apart"} == {*g._ipython_key_completions_()}


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda dbg, layer: gn.check_health(dbg), r"got Debugger; its run is dbg.trace\(\)"),
        (lambda dbg, layer: gn.draw(gn.check_health(dbg.trace())), "draw.fetches, trace=health. draws it"),
        (lambda dbg, layer: gn.trace(layer, {}), "got Dense; layer.x. is one"),
        (lambda dbg, layer: gn.grad(dbg.node("multiply"), dbg.graph), "Graph; g.outputs are its results"),
        (lambda dbg, layer: gn.draw(gn.UsageError("no")), "got UsageError; error.debug"),
    ],
)
def test_what_is_no_fetch_says_what_is(ask: Any, words: str) -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    with pytest.raises(gn.UsageError, match=words):
        ask(gn.debug(x * 2.0, {x: 1.0}, echo=None), nn.Dense(2))


def test_a_trace_says_who_can_do_what_it_cannot() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    seen = gn.trace(x * 2.0, {x: 1.0})
    with pytest.raises(AttributeError, match=r"gn.debug\(trace\).sample is that of its run"):
        seen.sample  # noqa: B018
    assert not hasattr(seen, "nothing")


def test_watches_are_reported_where_a_what_if_fails() -> None:
    g = gn.Graph()
    i = g.placeholder("i", (), np.int64)
    j = i + 1
    y = gn.take(g.constant([10.0, 20.0, 30.0]), j, axis=0)
    said: list[str] = []
    dbg = gn.debug(y, {i: 0}, echo=said.append)
    dbg.watch(j)
    dbg.watch(y)
    dbg.resume()
    for change in (lambda: dbg.what_if("i", 6), lambda: dbg.use("what-if 1")):
        said.clear()
        with pytest.raises(IndexError):
            change()
        assert said == ["watch add = 7", "watch take: not yet known"]
        dbg.use("run")
        dbg.resume()
