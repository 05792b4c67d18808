"""The state of a conversation with an editor, and what all requests share: events, stops, moves."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

from ..errors import GraphnnError
from .frames import Frame, Sources, stack_of
from .protocol import Arguments, Refused, readable
from .stops import (
    Gate,
)
from .variables import Part, Variables, in_one_line

if TYPE_CHECKING:
    from ..debugger.debugger import Debugger
    from ..runtime.evaluation_loop import Step
    from .console import Console

THREAD = 1
_LOGGED = re.compile(r"\{([^{}]{1,400})\}")


def of_one_thread(given: Arguments) -> None:
    """Refuse a request that means another thread than the one there is."""
    if given.number("threadId") != THREAD:
        raise Refused(f"there is one thread, {THREAD}")


class Connection:
    """A conversation: its debugger, its breakpoints, and how they are told to the client."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send_out = send
        self._numbers = itertools.count(1)
        self._gate = Gate(self._log)
        self.interrupt: Event = self._gate.interrupt
        self.ended = self._over = False
        self._client: dict[str, Any] = {}
        self._dbg: Debugger | None = None
        self._sources: Sources | None = None
        self._variables: Variables | None = None
        self._frames: list[Frame] | None = None
        self._console: Console | None = None
        self._names: list[str] | None = None
        self._exception: tuple[str, str] | None = None
        self._told_at: int | None = None
        self._configured = False
        self._stop_on_entry = False
        self._asked_before: dict[Any, tuple[str, Arguments]] = {}
        self._requests: dict[str, Callable[[Arguments], Any]] = {}

    def _send(self, kind: str, **fields: Any) -> None:
        self._send_out({"seq": next(self._numbers), "type": kind, **fields})

    def event(self, name: str, **body: Any) -> None:
        """Send an event."""
        self._send("event", event=name, body=body)

    def output(self, text: str, category: str = "console") -> None:
        """Send a text to the client's console."""
        if text:
            self.event("output", category=category, output=text)

    @property
    def _debugger(self) -> Debugger:
        if self._dbg is None:
            raise Refused("nothing is launched yet")
        return self._dbg

    @property
    def _lines(self) -> Sources:
        self._debugger  # noqa: B018 - which refuses where there is none
        assert self._sources is not None
        return self._sources

    @property
    def _values(self) -> Variables:
        self._debugger  # noqa: B018
        assert self._variables is not None
        return self._variables

    def _heard(self, text: str) -> None:
        """Pass on what the debugger says, but that the client's own breakpoints stopped it, which it is told anyway."""
        if text != f"stopped by {self._gate}":
            self.output(f"{text}\n")

    def _begun(self) -> Debugger:
        """Return the debugger, if it may move."""
        dbg = self._debugger
        if not self._configured:
            raise Refused("the run begins after configurationDone")
        return dbg

    def _thread(self, given: Arguments) -> Debugger:
        """Return the debugger, if the request may move it, and means the thread that there is."""
        dbg = self._begun()
        of_one_thread(given)
        return dbg

    def _move(self, go: Callable[[], Any], reason: str = "step", back: bool = False) -> None:
        """Move, and say where and why it stopped."""
        dbg, gate = self._debugger, self._gate
        gate.begin(back)
        hits = sum(typed.hits for typed in dbg.breakpoints)
        error = ""
        try:
            with self._guarded():
                go()
        except GraphnnError as raised:
            error = raised.account
        except Exception as raised:  # noqa: BLE001 - of an operation of the user's
            error = f"{type(raised).__name__}: {raised}"
        if error:
            gate.reason = gate.text = ""
            self._stopped("exception", "error", error)
        elif gate.reason:
            self._stopped(gate.reason, gate.exception, gate.text)
        elif sum(typed.hits for typed in dbg.breakpoints) > hits:
            self._stopped("breakpoint")  # one that was typed in the console
        else:
            ends = {len(self._lines.operations): "the end of the run", 0: "the beginning of the run"}
            self._stopped(reason, description=ends.get(dbg.position, ""))

    @contextlib.contextmanager
    def _guarded(self, moves: bool = True) -> Iterator[None]:
        """Let the client's breakpoints stop a run."""
        breakpoints = self._debugger.breakpoints
        if moves:
            breakpoints.insert(0, self._gate)
        try:
            yield
        finally:
            breakpoints[:] = [each for each in breakpoints if each is not self._gate]

    def _stopped(self, reason: str, exception: str = "", text: str = "", description: str = "") -> None:
        self._forget()
        self._told_at = self._debugger.position
        self._exception = (exception, text) if exception else None
        body: dict[str, Any] = {"reason": reason, "threadId": THREAD, "allThreadsStopped": True}
        if self._gate.stopped_by and reason.endswith("breakpoint"):
            body["hitBreakpointIds"] = self._gate.stopped_by
        if text:
            body["text"] = readable(text)
        if description:
            body["description"] = description
        self.event("stopped", **body)

    def _forget(self) -> None:
        """Forget the frames and references of the stop before."""
        self._frames = None
        if self._variables is not None:
            self._variables.clear()

    def _stack(self) -> list[Frame]:
        if self._frames is None:
            self._frames = stack_of(self._debugger, self._lines)
        return self._frames

    def _changed(self) -> None:
        """Let the client ask for all values again."""
        if self._client.get("supportsInvalidatedEvent") is True:
            self.event("invalidated", areas=["variables"], threadId=THREAD)

    def _result(self, part: Part, name: str) -> dict[str, Any]:
        """Return a value as the answer of a request."""
        result = {name: part.value, "type": part.type, "variablesReference": self._values.reference(part.container)}
        return {**result, "indexedVariables": part.indexed} if part.indexed else result

    def _log(self, text: str, step: Step) -> None:
        def value(expression: re.Match[str]) -> str:
            try:
                return in_one_line(self._debugger.calculate(expression[1]))
            except GraphnnError as error:
                return f"({error.account})"

        self.output(f"{_LOGGED.sub(value, text)}\n")
