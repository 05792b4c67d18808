import io
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.dap import Adapter, server
from graphnn.dap.framing import BrokenFrame, framed, read_body


def _built() -> tuple[Any, dict[Any, Any]]:
    g = gn.Graph("two layers")
    x = g.placeholder("x", shape=("batch", 2))
    hidden = gn.relu(nn.Dense(3, rng=np.random.RandomState(0))(x))  # line of the layer
    loss = gn.mean(hidden * hidden)
    return gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), {x: np.arange(8.0).reshape(4, 2)}


LAYER = _built.__code__.co_firstlineno + 3


class Client:
    """Sends requests to an adapter in this process, and keeps what it answers."""

    def __init__(self, build: Any = _built, **launched: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        self.step, self.feed = build()
        self.adapter = Adapter(self.messages.append, lambda _: gn.debug(self.step, self.feed, echo=None))
        self.seq = 0
        self("initialize", adapterID="graphnn")
        self("launch", target="here", stopOnEntry=True, **launched)

    def asked(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.seq += 1
        self.messages.clear()
        message = {"seq": self.seq, "type": "request", "command": command, "arguments": arguments}
        self.adapter.handle(message)
        (answer,) = [message for message in self.messages if message["type"] == "response"]
        assert answer["request_seq"] == self.seq
        return answer

    def __call__(self, command: str, **arguments: Any) -> Any:
        answer = self.asked(command, **arguments)
        assert answer["success"], answer
        return answer.get("body", {})

    @property
    def stopped(self) -> dict[str, Any]:
        (event,) = [message for message in self.messages if message.get("event") == "stopped"]
        return dict(event["body"])

    def said(self) -> str:
        return "".join(m["body"]["output"] for m in self.messages if m.get("event") == "output")

    def top(self) -> dict[str, Any]:
        frame: dict[str, Any] = self("stackTrace", threadId=1)["stackFrames"][0]
        return frame

    def scope(self, name: str = "Operation") -> int:
        scopes = self("scopes", frameId=self.top()["id"])["scopes"]
        (scope,) = [each for each in scopes if each["name"] == name]
        return int(scope["variablesReference"])

    def variables(self, reference: int, **page: Any) -> dict[str, dict[str, Any]]:
        listed = self("variables", variablesReference=reference, **page)["variables"]
        return {each["name"]: each for each in listed}


@pytest.fixture
def client() -> Client:
    made = Client()
    made("configurationDone")
    return made


def test_a_run_begins_at_the_line_of_the_first_operation(client: Client) -> None:
    assert client.stopped["reason"] == "entry"
    assert client("threads") == {"threads": [{"id": 1, "name": "graph"}]}
    assert client.top()["line"] == LAYER
    assert client.top()["source"]["path"] == __file__


def test_steps_go_over_scopes_and_into_them(client: Client) -> None:
    client("next", threadId=1)
    assert client.top()["name"] == "dense_1/add"
    client("stepBack", threadId=1, granularity="instruction")
    assert client.top()["name"] == "dense_1/matmul"
    client("stepIn", threadId=1)
    assert client.top()["name"] == "dense_1/add"


def test_values_are_those_of_a_trace(client: Client) -> None:
    trace = gn.trace(client.step, client.feed)
    client("next", threadId=1)
    parts = client.variables(client.scope())
    rows = client.variables(parts["result"]["variablesReference"])
    for number, expected in enumerate(trace["dense_1/add"].value):
        elements = client.variables(rows[f"[{number}]"]["variablesReference"])
        assert [float(each["value"]) for each in elements.values()] == expected.tolist()


def test_a_breakpoint_at_a_line_is_hit_in_the_backward_pass(client: Client) -> None:
    answer = client("setBreakpoints", source={"path": __file__}, breakpoints=[{"line": LAYER}])["breakpoints"][0]
    assert answer["verified"]
    phases = []
    for _ in range(20):
        client("continue", threadId=1)
        if client.stopped["reason"] != "breakpoint":
            break
        assert client.stopped["hitBreakpointIds"] == [answer["id"]]
        stack = client("stackTrace", threadId=1)["stackFrames"]
        assert stack[0]["line"] == LAYER
        phases.append(stack[-1]["name"])
    assert phases[0] == "forward"
    assert "backward" in phases


def test_the_end_of_the_run_is_no_end_of_the_session(client: Client) -> None:
    client("continue", threadId=1)
    assert client.stopped["description"] == "the end of the run"
    client("stepBack", threadId=1)
    assert client.stopped["reason"] == "step"
    client("disconnect")
    assert client.messages[-1]["event"] == "terminated"


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "next",
        {"seq": 1, "type": "request", "command": "no such request"},
        {"seq": 1, "type": "event", "command": "next"},
        {"seq": "1", "type": "request", "command": "threads"},
        {"seq": 1, "type": "request", "command": "variables", "arguments": {"variablesReference": 2**60}},
        {"seq": 1, "type": "request", "command": "variables", "arguments": {"variablesReference": "1"}},
        {"seq": 1, "type": "request", "command": "scopes", "arguments": {"frameId": -1}},
        {"seq": 1, "type": "request", "command": "setBreakpoints", "arguments": []},
    ],
)
def test_what_is_no_request_gets_an_error_answer(client: Client, message: Any) -> None:
    client.messages.clear()
    client.adapter.handle(message)
    (answer,) = client.messages
    assert answer["success"] is False
    assert answer["message"]
    assert client.asked("threads")["success"]


def _failing() -> tuple[Any, dict[Any, Any]]:
    g = gn.Graph("taking")
    x = g.placeholder("x", shape=(3,))
    rows = g.placeholder("rows", shape=(2,), dtype=np.int64)
    return gn.take(gn.exp(x), rows) + 1.0, {x: np.zeros(3), rows: np.array([1, 9])}


def test_an_operation_that_fails_is_shown_and_goes_on_once_its_operand_is_right() -> None:
    client = Client(_failing)
    client("configurationDone")
    client("continue", threadId=1)
    assert client.stopped["reason"] == "exception"
    assert "index 9" in client.stopped["text"]
    assert client("exceptionInfo", threadId=1)["exceptionId"] == "error"
    assert client.top()["name"] == "take failed"
    assert client.top()["line"] == _failing.__code__.co_firstlineno + 4
    rows = client.variables(client.scope())["rows"]["variablesReference"]
    assert client("setVariable", variablesReference=rows, name="[1]", value="2")["value"] == "2"
    assert "recomputed" in client.said()
    client("continue", threadId=1)
    assert client("evaluate", expression="add", context="watch")["result"] == "(2,) float64, 2 to 2: [2.0, 2.0]"


def _infinite() -> tuple[Any, dict[Any, Any]]:
    g = gn.Graph("infinite")
    x = g.placeholder("x", shape=(2,))
    return (gn.log(x) - 1.0) * 0.0, {x: np.array([0.0, 1.0])}


@pytest.mark.parametrize(("name", "operation"), [("inf", "log"), ("nan", "multiply")])
def test_exception_breakpoints_stop_where_it_begins(name: str, operation: str) -> None:
    client = Client(_infinite)
    client("setExceptionBreakpoints", filters=[name])
    client("configurationDone")
    client("continue", threadId=1)
    assert client.stopped["reason"] == "exception"
    assert client.top()["name"] == operation
    assert client("exceptionInfo", threadId=1)["exceptionId"] == name
    client("continue", threadId=1)
    assert client.stopped["description"] == "the end of the run"
    client("reverseContinue", threadId=1)
    assert client.stopped["reason"] == ("exception" if name == "inf" else "step")
    assert client.top()["name"] == ("log" if name == "inf" else "before log")  # NaN begins where it stood


def test_logpoints_say_values_and_stop_nothing(client: Client) -> None:
    text = "mean {mean(x)}, {no_such}"
    client("setFunctionBreakpoints", breakpoints=[])
    client("setBreakpoints", source={"path": __file__}, breakpoints=[{"line": LAYER, "logMessage": text}])
    client("continue", threadId=1)
    assert client.stopped["description"] == "the end of the run"
    first = client.said().splitlines()[0]
    assert first.startswith("mean 3.5, (")
    client("reverseContinue", threadId=1)
    assert client.said() == ""


def test_a_hit_count_and_a_condition_hold_together(client: Client) -> None:
    points = [{"name": "matmul", "hitCondition": ">= 2"}, {"name": "mean", "condition": "any > 1e9"}]
    answers = client("setFunctionBreakpoints", breakpoints=points)["breakpoints"]
    assert all(answer["verified"] for answer in answers)
    client("continue", threadId=1)
    assert client.stopped["hitBreakpointIds"] == [answers[0]["id"]]
    products = [node for node in client.adapter._debugger.operations if node.op.name == "matmul"]
    assert client.top()["name"] == products[1].title


def test_a_data_breakpoint_of_a_parameter_is_at_its_update(client: Client) -> None:
    (weight,) = [node for node in client.step.updates if node.name == "dense_1/weight"]
    info = client("dataBreakpointInfo", name="dense_1/weight")
    assert info["dataId"] == "dense_1/weight"
    assert client("dataBreakpointInfo", name="x")["dataId"] is None
    client("setDataBreakpoints", breakpoints=[{"dataId": info["dataId"], "condition": "changes"}])
    client("continue", threadId=1)
    assert client.stopped["reason"] == "data breakpoint"
    assert client.top()["name"] == client.step.updates[weight].title


def _wide() -> tuple[Any, dict[Any, Any]]:
    g = gn.Graph("wide")
    x = g.placeholder("x", shape=(3_000, 500))
    return -x, {x: np.zeros((3_000, 500))}


def test_a_large_value_is_listed_in_pages_and_says_that_its_range_is_of_a_sample() -> None:
    client = Client(_wide)
    client("configurationDone")
    client("next", threadId=1)
    result = client.variables(client.scope())["result"]
    assert "in a sample of" in result["value"]
    assert result["indexedVariables"] == 3_000
    rows = client.variables(result["variablesReference"])
    assert len(rows) == 101
    assert rows["…"]["value"] == "100 of 3,000 are listed"
    assert list(client.variables(result["variablesReference"], start=2_998, count=50)) == ["[2998]", "[2999]"]
    assert len(client.variables(result["variablesReference"], start=0, count=10**9)) <= 1_000


def test_breakpoints_that_come_before_the_launch_are_set_by_it() -> None:
    messages: list[dict[str, Any]] = []
    step, feed = _built()
    adapter = Adapter(messages.append, lambda _: gn.debug(step, feed, echo=None))
    lines = {"source": {"path": __file__}, "breakpoints": [{"line": LAYER}]}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("initialize", {"adapterID": "graphnn"}),
        ("setBreakpoints", lines),
        ("launch", {"target": "here"}),
        ("configurationDone", {}),
    ]
    for number, (command, arguments) in enumerate(requests, 1):
        adapter.handle({"seq": number, "type": "request", "command": command, "arguments": arguments})
    changed = [message["body"] for message in messages if message.get("event") == "breakpoint"]
    assert [each["breakpoint"]["verified"] for each in changed] == [True]
    assert messages[-1]["body"]["reason"] == "breakpoint"


def test_a_run_is_interrupted_and_goes_on(client: Client) -> None:
    client.adapter.interrupt.set()
    client("continue", threadId=1)
    assert client.stopped["reason"] == "pause"
    client("pause", threadId=1)
    client("continue", threadId=1)
    assert client.stopped["description"] == "the end of the run"


def test_a_request_of_http_is_no_message() -> None:
    """So that no page of a browser drives an adapter that listens on a port."""
    body = b'{"seq": 1, "type": "request", "command": "initialize", "arguments": {}}'
    posted = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with pytest.raises(BrokenFrame):
        read_body(io.BytesIO(posted))


def test_a_client_that_vanishes_ends_what_runs_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 0.0)
    asked = [("initialize", {"adapterID": "graphnn"}), ("launch", {"target": "one that never returns"})]
    requests = [
        framed({"seq": seq, "type": "request", "command": command, "arguments": arguments})
        for seq, (command, arguments) in enumerate(asked, 1)
    ]

    def never(_: dict[str, Any]) -> Any:
        while True:
            pass

    with pytest.raises(KeyboardInterrupt):
        server.converse(io.BytesIO(b"".join(requests)), io.BytesIO(), never)
