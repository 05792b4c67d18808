from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.dap import Adapter


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
