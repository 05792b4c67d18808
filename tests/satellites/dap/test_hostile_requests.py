"""Whatever a client sends is data: what is wrong gets an answer that says so, and nothing of it becomes code."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import dap_schema
import numpy as np
import pytest
from dap_client import Client, InProcess, framed, message_of, messages_in
from dap_targets import DapTarget, targets_in
from hostile_requests import LOG_MESSAGES, TARGETS, Hostile

from graphnn import dap
from graphnn.dap.server import converse

SEED = 20_261_203
REQUESTS = 2_000
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "socket.connect",
    "os.remove",
    "os.rename",
)


class _Auditor:
    """An audit hook, which is there to stay: it notes what only code could do, while it is asked to."""

    def __init__(self) -> None:
        self.watching = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        if event in FORBIDDEN:
            self.seen.append(f"{event} {arguments!r}")
        elif event == "exec":
            file = getattr(arguments[0], "co_filename", "")
            if file.startswith("<") and "frozen" not in file:
                self.seen.append(f"exec of {file}")
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            self.seen.append(f"open {arguments!r}")


_auditor = cache(_Auditor)


@contextmanager
def no_code_is_run() -> Iterator[None]:
    """Fail if text is run as code, a program is started, or a file written within the block."""
    auditor = _auditor()
    auditor.seen.clear()
    auditor.watching = True
    try:
        yield
    finally:
        auditor.watching = False
    assert not auditor.seen, auditor.seen[:5]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> DapTarget:
    return targets_in(tmp_path_factory.mktemp("hostile"))["program"]


def right_requests(client: Client, node: str) -> dict[str, dict[str, Any]]:
    """Return arguments of requests that the adapter does, where it stands."""
    frame = client.frames()[0]
    reference = client.scopes()["Operation"]["variablesReference"]
    source, line = frame["source"], frame["line"]
    goal = client.call("gotoTargets", source=source, line=line)["targets"][0]["id"]
    thread = {"threadId": 1}
    moves = (
        "continue",
        "next",
        "stepIn",
        "stepOut",
        "stepBack",
        "reverseContinue",
        "pause",
        "exceptionInfo",
        "stackTrace",
    )
    return {
        **dict.fromkeys(moves, thread),
        "scopes": {"frameId": frame["id"]},
        "variables": {"variablesReference": reference},
        "setVariable": {"variablesReference": reference, "name": "result", "value": "1.0"},
        "setExpression": {"expression": node, "value": "1.0"},
        "evaluate": {"expression": node, "context": "watch", "frameId": frame["id"]},
        "source": {"sourceReference": 1},
        "goto": {**thread, "targetId": goal},
        "gotoTargets": {"source": source, "line": line},
        "breakpointLocations": {"source": source, "line": line},
        "setBreakpoints": {"source": source, "breakpoints": [{"line": line}]},
        "setFunctionBreakpoints": {"breakpoints": [{"name": node}]},
        "setDataBreakpoints": {"breakpoints": [{"dataId": node}]},
        "setExceptionBreakpoints": {"filters": ["nan"]},
        "dataBreakpointInfo": {"name": node},
        "completions": {"text": "wh", "column": 3},
    }


def needed_fields(right: dict[str, dict[str, Any]]) -> dict[str, dict[tuple[Any, ...], str]]:
    """Return the paths and types of the fields that the schema says must be there."""
    made: dict[str, dict[tuple[Any, ...], str]] = {}
    for command, arguments in right.items():
        name = dap_schema.names("Request", "command")[command]
        made[command] = dict(
            _needed(dap_schema.definitions()[name.removesuffix("Request") + "Arguments"], arguments, ())
        )
    return made


def _needed(schema: dict[str, Any], value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    while "$ref" in schema:
        schema = dap_schema.definitions()[schema["$ref"].rpartition("/")[2]]
    if schema.get("type") == "array" and value:
        yield from _needed(schema["items"], value[0], (*path, 0))
    for name in schema.get("properties", {}):
        inner = schema["properties"][name]
        if name not in value:
            continue
        kind = inner.get("type") or dap_schema.definitions()[inner["$ref"].rpartition("/")[2]]["type"]
        if name in schema.get("required", ()):
            yield (*path, name), kind
        yield from _needed(inner, value[name], (*path, name))


def refused(response: dict[str, Any]) -> str:
    """Return why a request was not done; of breakpoints, why none of them can be set; "" where it was done."""
    if not response["success"]:
        return message_of(response)
    body = response.get("body", {})
    if response["command"] in ("gotoTargets", "breakpointLocations"):
        return "" if body["targets" if "targets" in body else "breakpoints"] else "nothing is there"
    breakpoints = body.get("breakpoints") or [{"verified": True}]
    if any(point["verified"] for point in breakpoints):
        return ""
    return str(breakpoints[0]["message"])


def test_hostile_requests_are_answered(target: DapTarget, tmp_path: Path) -> None:
    """Of 2,000 wrong requests each gets an answer that says no; the run stays where it was, as it was."""
    client = Client(InProcess(lambda send: dap.Adapter(send, target.load)))
    client.begin(target.launch)
    client.move("continue")
    last = target.operations[-1].name
    canary = tmp_path / "canary"
    right = right_requests(client, last)
    for command in right:
        if command not in (
            "goto",
            "source",
            "exceptionInfo",
            "continue",
            "next",
            "stepIn",
            "stepOut",
            "stepBack",
            "reverseContinue",
        ):
            client.ask(command, **right[command])  # so that all that is loaded late is there
    client.ask("evaluate", expression="help", context="repl")
    client.go_to(last)
    client.events.clear()
    right = right_requests(client, last)
    before = client.result()
    needed = needed_fields(right)
    del needed["completions"]["column",]  # behind the end of the text is as good as at its end
    hostile = Hostile(SEED, right, needed, last, str(canary))
    done: list[str] = []
    kinds: Counter[str] = Counter()
    with no_code_is_run():
        for kind, request in islice(hostile, REQUESTS):
            kinds[kind] += 1
            seq = client.send(request)
            response = client.answer(seq)
            said = refused(response)
            if not said:
                done.append(f"{kind}: {json.dumps(request)[:300]} -> {json.dumps(response)[:200]}")
            assert len(said) < 2_000, f"{kind}: a sentence of {len(said)} characters"
            assert "Traceback" not in said
    assert not done, f"{len(done)} were done, such as\n" + "\n".join(done[:20])
    assert len(kinds) >= 10
    assert not canary.exists()
    assert not list(tmp_path.iterdir())
    assert not [event for event in client.events if event["event"] in ("terminated", "exited", "stopped")]
    assert client.at() == last
    np.testing.assert_array_equal(client.result(), before)
    client.end()


NOT_MESSAGES = (
    b"null",
    b"[]",
    b"1",
    b'"next"',
    b"{}",
    b"{",
    b"",
    b"nonsense",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\xff\xfe\x00",
    b"NaN",
    b'{"seq": 1}',
    b'{"seq": "x", "type": "request", "command": "threads"}',
    b'{"type": "request", "command": "threads"}',
    b'{"seq": 1e999, "type": "request", "command": "threads"}',
    b'{"seq": ' + b"9" * 10_000 + b"}",
    b'{"seq": 1, "type": "response", "request_seq": 1, "success": true, "command": "next"}',
    b'{"seq": 1, "type": "event", "event": "stopped"}',
)
"""Bodies in right frames that are no requests."""

BROKEN_FRAMES = (
    b"Content-Length: -1\r\n\r\n{}",
    b"Content-Length: x\r\n\r\n{}",
    b"Content-Length: 99999999999999\r\n\r\n{}",
    b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"Content-Length: 5\r\n\r\n{}",
    b"\x00" * 100_000,
    b"A" * 1_000_000,
    b"X: y\r\n" * 10_000,
    b"Content-Length: 4194305\r\n\r\n",
)
"""Bytes after which nobody knows where the next message begins."""


def served(target: DapTarget, *bytes_sent: bytes) -> list[dict[str, Any]]:
    """Return what the server sends to a client that has sent these bytes, and then has gone."""
    sink = io.BytesIO()
    converse(io.BytesIO(b"".join(bytes_sent)), sink, target.load)
    sink.seek(0)
    sent = list(messages_in(sink))
    for message in sent:
        dap_schema.check(message)
    return sent


def test_hostile_requests_before_the_launch(target: DapTarget, tmp_path: Path) -> None:
    """What comes before there is a run is answered, too, and breakpoints that are kept until then do no harm."""
    teacher = Client(InProcess(lambda send: dap.Adapter(send, target.load)))
    teacher.begin(target.launch)
    teacher.move("continue")
    right = right_requests(teacher, target.operations[-1].name)
    client = Client(InProcess(lambda send: dap.Adapter(send, target.load)))
    client.initialize()
    hostile = Hostile(SEED + 1, right, needed_fields(right), target.operations[-1].name, str(tmp_path / "canary"))
    with no_code_is_run():
        for _, request in islice(hostile, REQUESTS // 4):
            client.answer(client.send(request))
        for path in ("\ud800", "\0", "x" * 100_000, "/" * 10_000, "~", "", *TARGETS):
            for request in (
                {"command": "setBreakpoints", "arguments": {"source": {"path": path}, "breakpoints": [{"line": 1}]}},
                {"command": "setFunctionBreakpoints", "arguments": {"breakpoints": [{"name": path}]}},
                {"command": "setDataBreakpoints", "arguments": {"breakpoints": [{"dataId": path}]}},
            ):
                client.answer(client.send(request))
    client.events.clear()
    client.begin(target.launch)
    client.move("stepIn", granularity="instruction")
    np.testing.assert_array_equal(client.result(), target.value(target.operations[0].name))
    assert not list(tmp_path.iterdir())
    client.end()


def test_log_messages_are_not_run(target: DapTarget, tmp_path: Path) -> None:
    """What is in braces is an expression of values, or else a remark in the log."""
    client = Client(InProcess(lambda send: dap.Adapter(send, target.load)))
    client.begin(target.launch)
    client.move("next")
    frame = client.frames()[0]
    client.move("stepBack")
    canary = str(tmp_path / "canary")
    texts = [text.replace("{{", "{").replace("}}", "}").replace("{canary}", canary) for text in LOG_MESSAGES]
    with no_code_is_run():
        for text in texts:
            point = {"line": frame["line"], "logMessage": text}
            client.call("setBreakpoints", source=frame["source"], breakpoints=[point])
            client.move("continue")
            assert client.at() == target.operations[-1].name
            assert client.event("output")["output"]
            client.events.clear()
            client.move("reverseContinue")
            client.events.clear()
    assert not list(tmp_path.iterdir())
    client.end()


def test_bodies_that_are_no_requests(target: DapTarget) -> None:
    """Each gets an answer that says so, and the conversation goes on."""
    frames = [b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in NOT_MESSAGES]
    last = framed({"seq": 99, "type": "request", "command": "initialize", "arguments": {"adapterID": "graphnn"}})
    sent = served(target, *frames, last)
    assert [message["success"] for message in sent] == [False] * len(frames) + [True]
    assert sent[-1]["request_seq"] == 99
    assert all(message_of(message) for message in sent[:-1])


def test_broken_frames_end_it(target: DapTarget) -> None:
    """A broken frame ends the conversation: what came before is answered, what comes after is not read."""
    first = framed({"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "graphnn"}})
    threads = framed({"seq": 2, "type": "request", "command": "threads"})
    for data in BROKEN_FRAMES:
        sent = served(target, first, data, threads)
        assert [message["success"] for message in sent].count(True) == 1, data[:50]
