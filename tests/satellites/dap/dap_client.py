"""A client of the debug adapter that follows a script: in this process, or over a pipe or a socket to another.

Every message in both directions is held against the protocol's schema, and so is their order.
"""

from __future__ import annotations

import json
import queue
import re
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import dap_schema
import numpy as np

PATIENCE = 60
"""Seconds until an answer of another process counts as lost."""
PAGE = 100
"""The most children that an answer may hold when none are counted out."""
ROOT = Path(__file__).parents[3]

Message = dict[str, Any]


class InProcess:
    """The adapter itself, handed one message at a time."""

    def __init__(self, make: Callable[[Callable[[Message], None]], Any]) -> None:
        self._came: deque[Message] = deque()
        self.adapter = make(self._take)
        self.heard: Callable[[Message], object] | None = None

    def _take(self, message: Message) -> None:
        if self.heard is not None:
            self.heard(message)
        self._came.append(json.loads(json.dumps(message, allow_nan=False)))

    def send(self, message: Message) -> None:
        self.adapter.handle(json.loads(json.dumps(message)))

    def receive(self) -> Message:
        assert self._came, "the adapter has sent nothing more"
        return self._came.popleft()

    def close(self) -> None:
        """Nothing is left open."""


def framed(message: Message) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def messages_in(stream: IO[bytes]) -> Iterator[Message]:
    """Yield the messages in a stream, to its end."""
    while header := stream.readline():
        size = re.fullmatch(rb"Content-Length: (\d+)\r\n", header)
        assert size, f"{header!r} is no header of a message"
        assert stream.readline() == b"\r\n"
        yield json.loads(stream.read(int(size[1])))


class Piped:
    """``graphnn dap`` as a process of its own, over its standard input and output, or a port on the loopback."""

    def __init__(self, port: bool = False, folder: Path | None = None) -> None:
        arguments = [sys.executable, "-m", "graphnn", "dap", *(["--port", "0"] if port else [])]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder or ROOT
        )
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self._socket = None
        self.greeting = b""
        if port:
            self.greeting = self.process.stderr.readline()
            at = re.search(rb"127\.0\.0\.1:(\d+)", self.greeting)
            assert at, self.greeting
            self._socket = socket.create_connection(("127.0.0.1", int(at[1])), PATIENCE)
            self._socket.settimeout(None)
            stream = self._socket.makefile("rwb")
            self.input, output = stream, stream
        else:
            self.input, output = self.process.stdin, self.process.stdout
        self._came: queue.Queue[Message | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        try:
            for message in messages_in(output):
                self._came.put(message)
        except (OSError, ValueError):
            pass
        self._came.put(None)

    def send(self, message: Message) -> None:
        self.raw(framed(message))

    def raw(self, data: bytes) -> None:
        self.input.write(data)
        self.input.flush()

    def raw_to_the_end(self, data: bytes) -> None:
        """Send the last that is sent; the other side need not read all of it."""
        with suppress(OSError):
            self.raw(data)
        with suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_WR)
            else:
                self.input.close()

    def complaint(self) -> bytes:
        """Return what the process has written to its standard error, after its end."""
        assert self.process.stderr
        return self.process.stderr.read()

    def receive(self) -> Message:
        message = self._came.get(timeout=PATIENCE)
        assert message is not None, "the adapter has closed the connection"
        return message

    def vanish(self) -> int:
        """Close the connection without a word, and return how the process ended."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        else:
            self.input.close()
        return self.ended()

    def ended(self) -> int:
        """Return how the process ended by itself."""
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        if self._socket is not None:
            with suppress(OSError):
                self.input.close()
            self._socket.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with suppress(OSError):
                stream.close()


class Client:
    """What an editor does: it asks, waits for the answer, and takes events as they come."""

    def __init__(self, wire: InProcess | Piped) -> None:
        self.wire = wire
        self.events: list[Message] = []
        self.capabilities: Message = {}
        self._asked = 0
        self._last = 0
        self._answered: set[int] = set()

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        """Send a request as it is, wrong or right; return its number."""
        self._asked += 1
        self.wire.send({"type": "request", **message, "seq": self._asked})
        return self._asked

    def _receive(self) -> Message:
        message = self.wire.receive()
        dap_schema.check(message)
        assert message["seq"] > self._last, f"number {message['seq']} comes after {self._last}"
        self._last = message["seq"]
        if message["type"] == "event":
            self.events.append(message)
        else:
            assert message["request_seq"] not in self._answered, "a request is answered once"
            self._answered.add(message["request_seq"])
        return message

    def answer(self, seq: int) -> Message:
        """Return the answer to the request of this number."""
        while True:
            message = self._receive()
            if message["type"] == "response":
                assert message["request_seq"] == seq, f"{message} answers another request than {seq}"
                return message

    def ask(self, command: str, /, **arguments: Any) -> Message:
        """Send a request that is right by the schema; return the answer, an error too."""
        request = {"command": command, "arguments": arguments}
        dap_schema.check({"seq": self._asked + 1, "type": "request", **request})
        response = self.answer(self.send(request))
        assert response["command"] == command
        return response

    def call(self, command: str, /, **arguments: Any) -> Any:
        """Return the body of the answer to a request that must succeed."""
        response = self.ask(command, **arguments)
        assert response["success"], f"{command} {arguments}: {response.get('message')}"
        return response.get("body", {})

    def refused(self, command: str, /, **arguments: Any) -> str:
        """Return the message of the answer to a request that must fail."""
        response = self.ask(command, **arguments)
        assert not response["success"], f"{command} {arguments} was done: {json.dumps(response)[:300]}"
        return message_of(response)

    def event(self, name: str) -> Message:
        """Return the body of the oldest event of a name that was not taken yet."""
        while True:
            for message in self.events:
                if message["event"] == name:
                    self.events.remove(message)
                    return message.get("body", {})
            self._receive()

    def move(self, command: str, /, **arguments: Any) -> Message:
        """Have the run move; return where it stopped."""
        assert not any(event["event"] == "stopped" for event in self.events), "an earlier stop was not looked at"
        self.call(command, threadId=1, **arguments)
        return self.event("stopped")

    # --- a conversation's usual beginning and end --------------------------------------------------------------

    def initialize(self, **more: Any) -> Message:
        self.capabilities = self.call(
            "initialize", adapterID="graphnn", linesStartAt1=True, columnsStartAt1=True, pathFormat="path", **more
        )
        return self.capabilities

    def begin(self, launch: Message, **more: Any) -> Message:
        """Open a target and stop before its first operation; return that stop."""
        if not self.capabilities:
            self.initialize(supportsInvalidatedEvent=True)
        self.call("launch", stopOnEntry=True, **launch, **more)
        self.event("initialized")
        self.call("configurationDone")
        stop = self.event("stopped")
        assert stop["reason"] == "entry"
        return stop

    def end(self) -> None:
        self.call("disconnect")
        self.event("terminated")
        self.wire.close()

    # --- what one sees ----------------------------------------------------------------------------------------

    def frames(self) -> list[Message]:
        return list(self.call("stackTrace", threadId=1)["stackFrames"])

    def scopes(self) -> dict[str, Message]:
        return {scope["name"]: scope for scope in self.call("scopes", frameId=self.frames()[0]["id"])["scopes"]}

    def children(self, reference: int, most: int = PAGE, **filters: Any) -> list[Message]:
        """Return one page of a value's children."""
        page = list(self.call("variables", variablesReference=reference, **filters)["variables"])
        assert len(page) <= min(filters.get("count", most) or most, most)
        return page

    def all_children(self, variable: Message) -> list[Message]:
        """Return all of a value's children, page by page."""
        reference = variable["variablesReference"]
        count = variable.get("indexedVariables")
        if count is None:
            return self.children(reference)
        made: list[Message] = []
        while len(made) < count:
            page = self.children(reference, start=len(made), count=min(7, count - len(made)), filter="indexed")
            assert page, f"{len(made)} of {count} children, and no more"
            made += page
        return made

    def numbers(self, variable: Message) -> Any:
        """Return the numbers below a variable, in nested lists."""
        if not variable["variablesReference"]:
            return json_number(variable["value"])
        return [self.numbers(child) for child in self.all_children(variable)]

    def skip(self, response: Message) -> None:
        """Count an answer that was received by hand."""
        self._last = response["seq"]

    def operation(self) -> dict[str, Message]:
        """Return what the scope "Operation" shows, by name; nothing before the first operation."""
        scope = self.scopes().get("Operation")
        return {each["name"]: each for each in self.children(scope["variablesReference"])} if scope else {}

    def at(self) -> str:
        """Return the name of the operation after which it stands; "" before the first one."""
        result = self.operation().get("result", {})
        return str(result.get("evaluateName", ""))

    def go_to(self, node: str) -> None:
        """Have it stand after a node, by its line in the listing of the graph."""
        if self.at() != node:
            listing = next(each for each in self.call("loadedSources")["sources"] if each.get("sourceReference"))
            lines = self.call("source", source=listing, sourceReference=listing["sourceReference"])["content"]
            (line,) = [n for n, text in enumerate(lines.split("\n"), 1) if text.startswith(f"{node} = ")]
            (goal,) = self.call("gotoTargets", source=listing, line=line)["targets"]
            self.call("goto", threadId=1, targetId=goal["id"])
            self.event("stopped")

    def result(self) -> np.ndarray[Any, Any]:
        """Return the value of the operation at which it stands, as it is shown."""
        return np.array(self.numbers(self.operation()["result"]))

    def evaluated(self, expression: str, context: str = "watch") -> np.ndarray[Any, Any]:
        """Return the value of an expression."""
        body = self.call("evaluate", expression=expression, context=context, frameId=self.frames()[0]["id"])
        return np.array(self.numbers({"value": body["result"], **body}))


def json_number(text: str) -> Any:
    """Return the number that a leaf shows."""
    match text.lower():
        case "true" | "false":
            return text.lower() == "true"
        case shown:
            return complex(shown) if "j" in shown else float(shown.replace("\N{MINUS SIGN}", "-"))


def message_of(response: Message) -> str:
    """Return what an answer to a refused request tells."""
    error = response["body"].get("error", {})
    told = error.get("format") or response.get("message") or ""
    assert told.strip(), f"{response} does not tell what was wrong"
    return str(told)
