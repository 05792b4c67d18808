from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.dap import Adapter


class Console:
    """Types into the console of an editor that has stopped before the first operation."""

    def __init__(self) -> None:
        g = gn.Graph("typed")
        x = g.placeholder("x", shape=(2,))
        y = gn.log(x) + 1.0
        self.messages: list[dict[str, Any]] = []
        self.adapter = Adapter(self.messages.append, lambda _: gn.debug(y, {x: np.array([1.0, 0.0])}, echo=None))
        self.seq = 0
        self.ask("initialize", adapterID="graphnn")
        self.ask("launch", target="here", stopOnEntry=True)
        self.ask("configurationDone")

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.seq += 1
        self.messages.clear()
        self.adapter.handle({"seq": self.seq, "type": "request", "command": command, "arguments": arguments})
        return next(message for message in self.messages if message["type"] == "response")

    def type(self, text: str) -> str:
        answer = self.ask("evaluate", expression=text, context="repl")
        return str(answer["body"]["result"] if answer["success"] else f"refused: {answer['message']}")

    def events(self) -> list[str]:
        return [message["event"] for message in self.messages if message["type"] == "event"]


@pytest.fixture
def console() -> Console:
    return Console()


def test_a_verb_that_moves_is_followed_by_where_it_stopped(console: Console) -> None:
    assert "log = log(x)" in console.type("step")
    assert console.events() == ["stopped"]
    assert "log[1] = -inf" in console.type("why log[1]")
    assert console.events() == []


def test_breakpoints_of_the_editor_stop_a_verb_that_moves(console: Console) -> None:
    console.ask("setFunctionBreakpoints", breakpoints=[{"name": "log"}])
    console.type("continue")
    assert console.messages[-1]["body"]["reason"] == "function breakpoint"
    assert "editor" not in console.type("breakpoints")


def test_breakpoints_that_are_typed_stop_the_editor(console: Console) -> None:
    console.type("break log if inf")
    console.ask("continue", threadId=1)
    assert console.messages[-1]["body"]["reason"] == "breakpoint"
    assert console.ask("evaluate", expression="log", context="watch")["success"]
    assert not console.ask("evaluate", expression="add", context="watch")["success"]


def test_a_what_if_that_is_typed_changes_what_is_evaluated(console: Console) -> None:
    console.type("step")
    assert "what-if 1" in console.type("set x = [1, 1]")
    assert console.type("log") == "(2,) float64, 0 to 0: [0.0, 0.0]"


@pytest.mark.parametrize("text", ["quit", "save run.trace", "patch x from run.npy", "commit now", "import os", "1 +"])
def test_what_cannot_be_done_is_refused(console: Console, text: str) -> None:
    assert console.type(text).startswith("refused: ")
    assert console.ask("threads")["success"]


def test_completions_are_verbs_at_the_beginning_and_nodes_after_it(console: Console) -> None:
    def offered(text: str) -> list[str]:
        answer = console.ask("completions", text=text, column=len(text) + 1)
        return [target["label"] for target in answer["body"]["targets"]]

    assert "why" in offered("w")
    assert offered("why lo") == ["log"]
    assert "log" in offered("max(lo")
