"""The requests of the Debug Adapter Protocol, answered by a debugger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import GraphnnError
from .connection import THREAD
from .frames import Sources
from .looking import Looking
from .moving import Moving
from .protocol import Arguments, Refused, capabilities, readable, shown
from .stopping import Stopping
from .variables import Variables

if TYPE_CHECKING:
    from ..debugger.debugger import Debugger

INTERRUPTS = ("pause", "cancel", "disconnect", "terminate")
"""Requests that stop a run when they arrive, before their turn."""
_MOST_CANCELLED = 100


def _as_in_protocol(name: str) -> str:
    """Return the request that a method answers: ``_on_set_breakpoints`` answers ``setBreakpoints``."""
    first, *rest = name.removeprefix("_on_").split("_")
    return first + "".join(part.capitalize() for part in rest)


def _told(error: BaseException) -> str:
    """Return what an error says to the client."""
    text = error.account + error.advice if isinstance(error, GraphnnError) else str(error)
    return readable(text) or type(error).__name__


class Adapter(Moving, Looking, Stopping):
    """A debugger as an editor drives it.

    Parameters
    ----------
    send : callable
        Takes a response or an event.
    load : callable
        Takes the arguments of ``launch``, returns the debugger of the target.

    Attributes
    ----------
    interrupt : Event
        Set from another thread, it stops a run.
    ended : bool
        Whether the client has disconnected.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], load: Callable[[dict[str, Any]], Debugger]) -> None:
        super().__init__(send)
        self._load = load
        self._initialized = False
        self._cancelled: set[int] = set()
        self._running: int | None = None
        self._requests = {
            _as_in_protocol(name): getattr(self, name) for name in dir(type(self)) if name.startswith("_on_")
        }

    def handle(self, message: Any) -> None:
        """Answer a request; what is none gets an error answer, too."""
        request = message if isinstance(message, dict) else {}
        seq, command = request.get("seq"), request.get("command")
        whole = isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < 2**53
        if command in INTERRUPTS:
            self.interrupt.clear()
        answer = {"request_seq": seq if whole else 0, "command": command if isinstance(command, str) else ""}
        after: Callable[[], None] | None = None
        self._running = seq if whole else None
        try:
            if not whole or request.get("type") != "request" or not isinstance(command, str):
                raise Refused('a message is an object with "type": "request", an integer "seq" and a "command"')
            body = self._answered(command, seq, request.get("arguments"))
        except Exception as error:  # noqa: BLE001 - nothing that a client sends ends the server
            self._refuse(answer, error)
        else:
            if callable(body):
                body, after = None, body
            elif isinstance(body, tuple):
                body, after = body
            self._send("response", **answer, success=True, **({} if body is None else {"body": body}))
            if after is not None:
                self._afterwards(after)
        self._running = None
        if self._dbg is not None and self._told_at not in (None, self._dbg.position):
            gate = self._gate
            self._stopped(gate.reason or "goto", gate.exception, gate.text)  # a verb or a what-if has moved it

    def _afterwards(self, after: Callable[[], None]) -> None:
        """Do what follows an answer; what fails then is told in the console."""
        try:
            after()
        except Exception as error:  # noqa: BLE001 - nothing that a client sends ends the server
            self.output(f"error: {_told(error)}\n", "stderr")

    def _answered(self, command: str, seq: Any, arguments: Any) -> Any:
        """Do what a request asks for; return the body of the answer, and what is to be done after it."""
        if seq in self._cancelled:
            self._cancelled.discard(seq)
            raise Refused("cancelled")
        method = self._requests.get(command)
        if method is None:
            raise Refused(f"there is no request {shown(command)}")
        if not self._initialized and command != "initialize":
            raise Refused("initialize comes first")
        if self.ended:
            raise Refused("this conversation has ended")
        return method(Arguments(arguments))

    def cancel(self, number: Any) -> None:
        """Let a request of this number not be done, or be stopped if it is being done; called from any thread."""
        if isinstance(number, int) and not isinstance(number, bool):
            if number == self._running:
                self.interrupt.set()
            elif len(self._cancelled) < _MOST_CANCELLED:
                self._cancelled.add(number)

    def _on_cancel(self, given: Arguments) -> Any:
        self._cancelled.discard(given.number("requestId", -1))

    def _refuse(self, answer: dict[str, Any], error: BaseException) -> None:
        text = _told(error)
        body = {"error": {"id": 1, "format": text.replace("{", "(").replace("}", ")"), "showUser": True}}
        self._send("response", **answer, success=False, message=text, body=body)

    def _on_initialize(self, given: Arguments) -> Any:
        if self._initialized:
            raise Refused("initialize comes once, at the beginning")
        self._initialized = True
        self._client = given.given
        return capabilities()

    def _on_launch(self, given: Arguments) -> Any:
        if self._dbg is not None:
            raise Refused("a target is launched already: one connection debugs one graph")
        given.text("target")
        stop = given.flag("stopOnEntry")
        dbg = self._load(given.given)
        dbg.echo = self._heard
        self._dbg = dbg
        self._sources = Sources(dbg)
        self._variables = Variables(dbg, self._sources.ranks)
        self._gate.guard = dbg.guard
        self._gate.filter(self._gate.filters, self._sources.operations)
        self._stop_on_entry = stop
        return self._launched

    _on_attach = _on_launch

    def _launched(self) -> None:
        self.event("initialized")
        for name, given in self._asked_before.values():
            for answer in self._requests[name](given)["breakpoints"]:
                self.event("breakpoint", reason="changed", breakpoint=answer)
        self._asked_before.clear()

    def _on_configuration_done(self, given: Arguments) -> Any:
        dbg = self._debugger
        if self._configured:
            raise Refused("the configuration is done already")
        self._configured = True
        stays = self._stop_on_entry or dbg.position or dbg.error

        def begin() -> None:
            self.event("thread", reason="started", threadId=THREAD)
            if dbg.error:
                self._stopped("exception", "error", dbg.error)
            elif stays:
                self._stopped("entry")
            else:
                self._move(dbg.resume)

        return begin

    def _on_terminate(self, given: Arguments) -> Any:
        """End the run; the client then disconnects."""
        return self._terminated

    def _on_disconnect(self, given: Arguments) -> Any:
        self.ended = True
        return self._terminated

    def _terminated(self) -> None:
        if not self._over:
            self._over = True
            self.event("terminated")
