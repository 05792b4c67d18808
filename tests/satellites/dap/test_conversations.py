"""Forty conversations of an editor with the debugger: eight on each of five targets, and some over a pipe and a port.

What an editor is told is held against a trace of the same run, which no debugger has made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import places
import pytest
from dap_client import Client, InProcess
from dap_targets import DapTarget, program_in, targets_in

import graphnn as gn
from graphnn import dap

TARGETS = ("program", "step", "graph", "run", *(["onnx"] if places.present("onnx") else []))


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DapTarget]:
    return targets_in(tmp_path_factory.mktemp("dap"))


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, targets: dict[str, DapTarget]) -> DapTarget:
    return targets[request.param]


@pytest.fixture
def client(target: DapTarget) -> Client:
    return client_of(target)


def client_of(target: DapTarget) -> Client:
    return Client(InProcess(lambda send: dap.Adapter(send, target.load)))


def same(shown: Any, value: Any) -> None:
    """Check that what is shown is a value to the last digit."""
    np.testing.assert_array_equal(np.asarray(shown, dtype=np.asarray(value).dtype), value)


def names(target: DapTarget) -> list[str]:
    return [node.name for node in target.operations]


# --- the forty ------------------------------------------------------------------------------------------------


def test_step_to_the_end_and_back(client: Client, target: DapTarget) -> None:
    """Stepping back by instructions from the end to the beginning gives each value that was there."""
    client.begin(target.launch)
    operations = target.operations
    for node in operations:
        stop = client.move("stepIn", granularity="instruction")
        assert stop["reason"] == "step"
        assert client.at() == node.name
        same(client.result(), target.value(node.name))
    for node in reversed(operations[:-1]):
        stop = client.move("stepBack", granularity="instruction")
        assert stop["reason"] == "step"
        assert client.at() == node.name
        same(client.result(), target.value(node.name))
    stop = client.move("stepBack", granularity="instruction")
    assert client.at() == ""
    client.end()


def test_step_over_scopes(client: Client, target: DapTarget) -> None:
    """`next` goes over a layer, `stepIn` into it, `stepOut` to its end; `stepBack` undoes `next`."""
    client.begin(target.launch)
    operations = target.operations
    stops = [-1]
    while stops[-1] < len(operations) - 1:
        client.move("next")
        stops.append(names(target).index(client.at()))
        assert stops[-1] > stops[-2]
    assert len(stops) - 1 < len(operations), "some layer is gone over in one step"
    first = [node.scope.partition("/")[0] for node in operations]
    assert stops[1] == max(i for i, scope in enumerate(first) if first[: i + 1] == [first[0]] * (i + 1))
    for position in reversed(stops[1:-1]):
        client.move("stepBack")
        assert names(target).index(client.at()) == position
    client.move("stepBack")
    assert client.move("stepIn")["reason"] == "step"
    assert client.at() == operations[0].name
    client.move("stepOut")
    at = operations[names(target).index(client.at())]
    assert at.scope.startswith(operations[0].scope.partition("/")[0])
    client.end()


def test_continue_and_reverse(client: Client, target: DapTarget) -> None:
    """Breakpoints on functions stop it both ways; hit counts, log points and conditions are heeded."""
    client.begin(target.launch)
    chosen = [names(target)[1], names(target)[-2]]
    answer = client.call("setFunctionBreakpoints", breakpoints=[{"name": name} for name in chosen])
    assert [point["verified"] for point in answer["breakpoints"]] == [True, True]
    numbers = [point["id"] for point in answer["breakpoints"]]
    for name, number in zip(chosen, numbers, strict=True):
        stop = client.move("continue")
        assert (stop["reason"], client.at()) == ("function breakpoint", name)
        assert stop["hitBreakpointIds"] == [number]
        same(client.result(), target.value(name))
    client.move("continue")
    assert client.at() == names(target)[-1]
    for name in reversed(chosen):
        stop = client.move("reverseContinue")
        assert (stop["reason"], client.at()) == ("function breakpoint", name)
        same(client.result(), target.value(name))
    client.move("reverseContinue")
    assert client.at() == ""
    unknown = client.call("setFunctionBreakpoints", breakpoints=[{"name": "no such node"}])
    assert unknown["breakpoints"][0]["verified"] is False
    assert "no such node" in unknown["breakpoints"][0]["message"]
    client.call("setFunctionBreakpoints", breakpoints=[{"name": chosen[0], "hitCondition": "2"}])
    client.move("continue")
    assert client.at() == names(target)[-1], "the operation has run once only"
    client.end()


def test_conditions_on_data(client: Client, target: DapTarget) -> None:
    """Data breakpoints stop where a value of the trace is as they say, and nowhere before."""
    client.begin(target.launch)
    node = next(
        node for node in target.operations if target.value(node.name).ndim and (target.value(node.name) > 0).any()
    )
    scope = client.scopes()["Run"]
    info = client.call("dataBreakpointInfo", name=node.name)
    assert info["dataId"] == node.name
    assert client.call("dataBreakpointInfo", name="no such node")["dataId"] is None
    assert scope["variablesReference"] > 0
    largest = float(target.value(node.name).max())
    for bound, stops in ((np.nextafter(largest, -np.inf), True), (largest, False)):
        answer = client.call(
            "setDataBreakpoints",
            breakpoints=[
                {"dataId": node.name, "condition": f"any > {bound!r}".replace("np.float64(", "").replace(")", "")}
            ],
        )
        assert answer["breakpoints"][0]["verified"], answer
        stop = client.move("continue")
        assert (stop["reason"] == "data breakpoint") is stops
        assert (client.at() == node.name) is stops
        while client.at():
            client.move("reverseContinue")
    client.call("setDataBreakpoints", breakpoints=[])
    filters = [entry["filter"] for entry in client.capabilities["exceptionBreakpointFilters"]]
    assert {"nan", "inf", "guard", "error"} <= set(filters)
    client.call("setExceptionBreakpoints", filters=filters)
    stop = client.move("continue")
    finite = all(np.isfinite(target.value(name)).all() for name in names(target))
    assert finite
    assert stop["reason"] != "exception"
    client.end()


def test_what_if(client: Client, target: DapTarget) -> None:
    """A value set in the editor changes what depends on it, and only that; restart begins anew."""
    client.begin(target.launch)
    operations = names(target)
    client.move("continue")
    first = operations[0]
    value = target.value(first)
    before = {name: client.evaluated(name) for name in operations[:5]}
    client.go_to(first)
    operation = client.scopes()["Operation"]
    answer = client.call(
        "setVariable",
        variablesReference=operation["variablesReference"],
        name="result",
        value="0.0" if not value.ndim else str((value * 0 + 2).tolist()),
    )
    assert answer["value"]
    assert any("recomputed" in event["body"]["output"] for event in client.events if event["event"] == "output")
    client.event("invalidated")
    same(client.result(), value * 0 + 2)
    client.move("stepIn", granularity="instruction")
    second = operations[1]
    assert not np.array_equal(client.evaluated(second), before[second])
    client.call("setExpression", expression=first, value=str(value.tolist()), frameId=client.frames()[0]["id"])
    same(client.evaluated(second), target.value(second))
    client.call("restart")
    client.event("stopped")
    assert client.at() == ""
    client.move("continue")
    assert client.at() == operations[-1]
    client.end()


def test_evaluate_and_source(client: Client, target: DapTarget) -> None:
    """Expressions of values, the debugger's verbs, and the text of what has no file."""
    client.begin(target.launch)
    client.move("continue")
    frame = client.frames()[0]["id"]
    name = next(node.name for node in target.operations if target.value(node.name).ndim == 2)
    value = target.value(name)
    short = name
    same(client.evaluated(short), value)
    same(client.evaluated(f"{short}[1, 1]"), value[1, 1])
    np.testing.assert_allclose(client.evaluated(f"{short} * 2.0 + 1.0"), value * 2.0 + 1.0, rtol=1e-15)
    np.testing.assert_allclose(client.evaluated(f"mean({short})"), value.mean(), rtol=1e-12)
    if places.present("terminal"):
        why = client.call("evaluate", expression=f"why {short}[1, 1]", context="repl", frameId=frame)
        assert short.rpartition("/")[2] in why["result"]
        assert client.call("evaluate", expression="health", context="repl", frameId=frame)["result"]
    assert client.call("evaluate", expression=short, context="hover", frameId=frame)["result"]
    for wrong in ("no_such_node", f"{short}[99, 99]", "1 +", f"{short}.real", "__import__('os')", ""):
        assert client.refused("evaluate", expression=wrong, context="watch", frameId=frame)
    source = client.frames()[0].get("source")
    if target.name in ("program", "step"):
        assert source is not None
        assert Path(source["path"]) == target.program
    assert client.refused("source", sourceReference=10**6)
    client.end()


def test_out_of_order(client: Client, target: DapTarget) -> None:
    """What comes too early, twice or too late is refused in a sentence, and changes nothing."""
    for command in ("next", "stepBack", "continue", "reverseContinue", "stepIn", "stepOut"):
        assert client.refused(command, threadId=1)
    assert client.refused("launch", **target.launch)
    client.initialize()
    assert client.refused("initialize", adapterID="again")
    assert client.refused("stackTrace", threadId=1)
    assert client.refused("variables", variablesReference=1)
    client.begin(target.launch)
    assert client.refused("launch", **target.launch)
    assert client.refused("attach")
    assert client.refused("stackTrace", threadId=7)
    assert client.refused("scopes", frameId=10**9)
    assert client.refused("variables", variablesReference=10**9)
    client.move("stepBack")
    assert client.at() == ""
    reference = client.scopes()["Operation"]["variablesReference"]
    client.move("continue")
    assert client.at() == names(target)[-1]
    assert client.refused("variables", variablesReference=reference), "references live until the next move"
    assert client.move("next")["reason"] in ("step", "end")
    assert client.at() == names(target)[-1], "it stays at the end"
    same(client.result(), target.value(names(target)[-1]))
    assert not any(event["event"] == "terminated" for event in client.events)
    client.call("disconnect")
    client.event("terminated")
    assert client.refused("next", threadId=1)


def test_lines(client: Client, target: DapTarget) -> None:
    """A breakpoint at a line stops at the operations that this line made; goto goes to a line both ways."""
    client.begin(target.launch)
    assert [thread["id"] for thread in client.call("threads")["threads"]] == [1]
    client.move("next")
    frames = client.frames()
    source, line = frames[0]["source"], frames[0]["line"]
    client.move("reverseContinue")
    places = client.call("breakpointLocations", source=source, line=1, endLine=10_000)["breakpoints"]
    assert line in {each["line"] for each in places}
    answer = client.call("setBreakpoints", source=source, breakpoints=[{"line": line}, {"line": 100_000}])
    assert [point["verified"] for point in answer["breakpoints"]] == [True, False]
    stop = client.move("continue")
    assert stop["reason"] == "breakpoint"
    assert stop["hitBreakpointIds"] == [answer["breakpoints"][0]["id"]]
    assert (client.frames()[0]["source"], client.frames()[0]["line"]) == (source, line)
    client.call("setBreakpoints", source=source, breakpoints=[{"line": line, "logMessage": "here {1 + 1}"}])
    client.move("reverseContinue")
    client.move("continue")
    assert client.at() == names(target)[-1]
    assert any("here 2" in event["body"]["output"] for event in client.events if event["event"] == "output")
    client.call("setBreakpoints", source=source, breakpoints=[])
    (goal, *_) = client.call("gotoTargets", source=source, line=line)["targets"]
    stop = client.move("goto", targetId=goal["id"])
    assert stop["reason"] == "goto"
    assert client.frames()[0]["line"] == line
    client.call("pause", threadId=1)
    client.end()


# --- and some more ------------------------------------------------------------------------------------------------


def test_parameters_and_pages(targets: dict[str, DapTarget]) -> None:
    """Each scope of a frame shows what the trace has, shape and dtype first."""
    target = targets["program"]
    client = client_of(target)
    client.begin(target.launch)
    client.move("stepIn", granularity="instruction")
    operation = client.operation()
    first = target.operations[0]
    assert operation["result"]["value"].startswith("(5, 6) float64")
    for operand in first.inputs:
        shown = operation[operand.title]
        same(client.numbers(shown), target.value(operand.name))
    parameters = client.all_children(client.scopes()["Parameters"])
    assert len(parameters) == 4
    for shown, parameter in zip(parameters, first.graph.parameters, strict=True):
        same(client.numbers(shown), parameter.value)
    client.end()


def test_where_nan_begins(tmp_path: Path) -> None:
    """Where NaN begins, exception breakpoints stop; their information says why."""
    run, feed = program_in(tmp_path).broken()
    client = client_of(DapTarget("broken", {"target": "broken"}, run, feed, gn.trace(run, feed), tmp_path))
    client.initialize()
    client.call("launch", target="broken", stopOnEntry=False)
    client.event("initialized")
    client.call("setExceptionBreakpoints", filters=["nan"])
    client.call("configurationDone")
    stop = client.event("stopped")
    assert (stop["reason"], client.at()) == ("exception", "logged")
    info = client.call("exceptionInfo", threadId=1)
    assert "nan" in (info["exceptionId"] + info.get("description", "")).lower()
    client.call("setExceptionBreakpoints", filters=[])
    client.move("continue")
    assert client.at() == "total"
    client.call("setDataBreakpoints", breakpoints=[{"dataId": "scaled", "condition": "becomes NaN"}])
    stop = client.move("reverseContinue")
    assert (stop["reason"], client.at()) == ("data breakpoint", "scaled")
    client.end()


def test_iterations_and_branches(tmp_path: Path) -> None:
    """One steps into the iterations of a loop and into the branch that is taken, and back out of them."""
    run, feed = program_in(tmp_path).loops()
    client = client_of(DapTarget("loops", {"target": "loops"}, run, feed, gn.trace(run, feed), tmp_path))
    client.begin({"target": "loops"})
    (rows,) = feed.values()
    states = [np.zeros(3)]
    for row in rows:
        states.append(np.tanh(states[-1] * 0.5 + row))
    client.call("setFunctionBreakpoints", breakpoints=[{"name": f"scan_1@{i}/next"} for i in range(4)])
    for i in range(4):
        client.move("continue")
        assert client.at() == f"scan_1@{i}/next"
        np.testing.assert_allclose(client.result(), states[i + 1], rtol=1e-15)
        assert any(frame["name"].startswith(f"scan_1@{i}") for frame in client.frames())
    client.call("setFunctionBreakpoints", breakpoints=[])
    while not client.at().endswith("squared"):
        client.move("stepIn")
    np.testing.assert_allclose(client.result(), states[-1] ** 2, rtol=1e-15)
    client.move("stepBack")
    while client.at():
        client.move("stepBack")
    client.end()


def test_pause_and_cancel(targets: dict[str, DapTarget]) -> None:
    """A run is stopped at the operation where a pause reaches it, whichever way it runs."""
    target = targets["program"]
    client = client_of(target)
    client.begin(target.launch)
    wire = client.wire
    assert isinstance(wire, InProcess)
    middle = target.operations[5].name
    frame_of = {"name": middle, "condition": "size > 0"}
    client.call("setFunctionBreakpoints", breakpoints=[frame_of])
    client.move("continue")
    frame = client.frames()[0]
    client.move("stepBack")
    point = {"line": frame["line"], "condition": "size > 0", "logMessage": "it comes by"}
    client.call("setFunctionBreakpoints", breakpoints=[])
    client.call("setBreakpoints", source=frame["source"], breakpoints=[point])
    wire.heard = lambda message: wire.adapter.interrupt.set() if message.get("event") == "output" else None
    stop = client.move("continue")
    assert stop["reason"] == "pause"
    assert client.at() == middle
    wire.heard = None
    client.call("pause", threadId=1)
    client.events.clear()
    client.move("continue")
    assert client.at() == names(target)[-1]
    client.call("cancel", requestId=10**6)
    client.call("terminate")
    client.event("terminated")
    client.call("disconnect")


def test_completions_and_sources(targets: dict[str, DapTarget]) -> None:
    """Names are completed; the files that made the run are listed; breakpoints set early are set at the launch."""
    target = targets["program"]
    client = client_of(target)
    client.initialize()
    answer = client.call("setFunctionBreakpoints", breakpoints=[{"name": "encoder/active"}])
    (early,) = answer["breakpoints"]
    assert not early["verified"]
    client.begin(target.launch)
    changed = client.event("breakpoint")
    assert changed["breakpoint"]["verified"]
    client.move("continue")
    assert client.at() == "encoder/active"
    sources = client.call("loadedSources")["sources"]
    assert str(target.program) in [source.get("path") for source in sources]
    offered = client.call("completions", text="encoder/a", column=10)["targets"]
    assert "encoder/active" in [each.get("text", each["label"]) for each in offered]
    rows = client.all_children(client.operation()["result"])
    answer = client.call("setVariable", variablesReference=rows[1]["variablesReference"], name="[2]", value="7.5")
    assert float(answer["value"]) == 7.5
    expected = target.value("encoder/active").copy()
    expected[1, 2] = 7.5
    same(client.result(), expected)
    client.end()


def test_stack_names_phases(targets: dict[str, DapTarget]) -> None:
    """The innermost frame is the operation at the user's line, the outermost the phase."""
    target = targets["step"]
    client = client_of(target)
    client.begin(target.launch)
    phases = []
    for _ in target.operations:
        client.move("stepIn", granularity="instruction")
        phase = client.frames()[-1]["name"]
        if not phases or phases[-1] != phase:
            phases.append(phase)
    assert phases == ["forward", "backward", "update"]
    client.end()
