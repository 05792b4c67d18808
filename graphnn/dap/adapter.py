"""The requests of the Debug Adapter Protocol, answered by a debugger."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any

from .._util.text import visible
from ..errors import GraphnnError
from .frames import LISTING, Frame, Sources, stack_of
from .protocol import FILTERS, Arguments, Refused, capabilities, shown
from .stops import (
    MOST,
    Asked,
    Gate,
    condition_in,
    data_breakpoint,
    function_breakpoint,
    line_breakpoints,
    unverified,
)
from .variables import LARGEST_PAGE, Variables, page_of

if TYPE_CHECKING:
    from ..debugger.debugger import Debugger
    from ..runtime.evaluation_loop import Step

THREAD = 1


def _as_in_protocol(name: str) -> str:
    """Return the request that a method answers: ``_on_set_breakpoints`` answers ``setBreakpoints``."""
    first, *rest = name.removeprefix("_on_").split("_")
    return first + "".join(part.capitalize() for part in rest)


class Adapter:
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
        self._send_out = send
        self._load = load
        self._numbers = itertools.count(1)
        self._gate = Gate(self._log)
        self.interrupt: Event = self._gate.interrupt
        self.ended = self._over = False
        self._client: dict[str, Any] = {}
        self._dbg: Debugger | None = None
        self._sources: Sources | None = None
        self._variables: Variables | None = None
        self._frames: list[Frame] | None = None
        self._configured = False
        self._stop_on_entry = False
        self._asked_before: dict[Any, tuple[str, Arguments]] = {}
        self._requests: dict[str, Callable[[Arguments], Any]] = {
            _as_in_protocol(name): getattr(self, name) for name in dir(type(self)) if name.startswith("_on_")
        }

    # --- messages -------------------------------------------------------------------------------------------

    def _send(self, kind: str, **fields: Any) -> None:
        self._send_out({"seq": next(self._numbers), "type": kind, **fields})

    def event(self, name: str, **body: Any) -> None:
        """Send an event."""
        self._send("event", event=name, body=body)

    def output(self, text: str, category: str = "console") -> None:
        """Send a text to the client's console."""
        if text:
            self.event("output", category=category, output=text)

    def handle(self, message: Any) -> None:
        """Answer a request; what is none gets an error answer, too."""
        request = message if isinstance(message, dict) else {}
        seq, command = request.get("seq"), request.get("command")
        whole = isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < 2**53
        answer = {
            "request_seq": seq if whole else 0,
            "command": command if isinstance(command, str) else "",
        }
        after: Callable[[], None] | None = None
        try:
            if not whole or request.get("type") != "request" or not isinstance(command, str):
                raise Refused('a message is an object with "type": "request", an integer "seq" and a "command"')
            method = self._requests.get(command)
            if method is None:
                raise Refused(f"there is no request {shown(command)}")
            body = method(Arguments(request.get("arguments")))
            if callable(body):
                body, after = None, body
            elif isinstance(body, tuple):
                body, after = body
        except (Refused, GraphnnError, OSError, MemoryError, RecursionError) as error:
            self._refuse(answer, error)
            return
        except Exception as error:  # noqa: BLE001 - nothing that a client sends ends the server
            self._refuse(answer, error)
            return
        answer |= {"body": body} if body is not None else {}
        self._send("response", **answer, success=True)
        if after is not None:
            after()

    def _refuse(self, answer: dict[str, Any], error: BaseException) -> None:
        text = error.account + error.advice if isinstance(error, GraphnnError) else str(error)
        text = text or type(error).__name__
        body = {"error": {"id": 1, "format": text.replace("{", "(").replace("}", ")"), "showUser": True}}
        self._send("response", **answer, success=False, message=text, body=body)

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

    # --- the beginning and the end --------------------------------------------------------------------------

    def _on_initialize(self, given: Arguments) -> Any:
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
        parameters = [node for node in dbg.order if node.op.is_parameter]
        self._variables = Variables(dbg, parameters)
        self._gate.guard = dbg.guard
        self._stop_on_entry = stop
        return self._launched

    _on_attach = _on_launch

    def _heard(self, text: str) -> None:
        """Pass on what the debugger says, but that the client's own breakpoints stopped it, which it is told anyway."""
        if text != f"stopped by {self._gate}":
            self.output(f"{text}\n")

    def _launched(self) -> None:
        self.event("initialized")
        for kind, (name, given) in self._asked_before.items():
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
            self._stopped("entry") if stays else self._move(dbg.resume)

        return begin

    def _on_terminate(self, given: Arguments) -> Any:
        """End the run; the client then disconnects."""
        self.interrupt.clear()
        return self._terminated

    def _on_disconnect(self, given: Arguments) -> Any:
        self.ended = True
        return self._terminated

    def _terminated(self) -> None:
        if not self._over:
            self._over = True
            self.event("terminated")

    # --- moving ---------------------------------------------------------------------------------------------

    def _thread(self, given: Arguments) -> Debugger:
        """Return the debugger, if the request may move it."""
        dbg = self._debugger
        if given.number("threadId", THREAD) != THREAD:
            raise Refused(f"there is one thread, {THREAD}")
        if not self._configured:
            raise Refused("the run begins after configurationDone")
        return dbg

    def _move(self, go: Callable[[], Any], reason: str = "step") -> None:
        """Move, and say where and why it stopped."""
        dbg, gate = self._debugger, self._gate
        gate.begin()
        error = ""
        dbg.breakpoints.insert(0, gate)
        try:
            go()
        except GraphnnError as raised:
            error = raised.account
        except Exception as raised:  # noqa: BLE001 - of an operation of the user's
            error = f"{type(raised).__name__}: {raised}"
        finally:
            dbg.breakpoints.remove(gate)
        if error:
            self._stopped("exception", text=error)
        elif gate.reason:
            self._stopped(gate.reason, text=gate.text)
        elif dbg.finished and reason == "step":
            self._stopped("step", description="the end of the run")
        else:
            self._stopped(reason)

    def _stopped(self, reason: str, text: str = "", description: str = "") -> None:
        self._forget()
        body: dict[str, Any] = {"reason": reason, "threadId": THREAD, "allThreadsStopped": True}
        if self._gate.stopped_by and reason.endswith("breakpoint"):
            body["hitBreakpointIds"] = self._gate.stopped_by
        if text:
            body["text"] = visible(text)
        if description:
            body["description"] = description
        self.event("stopped", **body)

    def _forget(self) -> None:
        """Forget the frames and references of the stop before."""
        self._frames = None
        if self._variables is not None:
            self._variables.clear()

    def _stepping(self, given: Arguments, whole: str, one: str) -> Any:
        """Return what moves by a scope, or by one operation where the client asks for that."""
        dbg = self._thread(given)
        name = one if given.text("granularity", "") == "instruction" else whole
        return lambda: self._move(getattr(dbg, name))

    def _on_next(self, given: Arguments) -> Any:
        return self._stepping(given, "over", "step")

    def _on_step_in(self, given: Arguments) -> Any:
        return self._stepping(given, "into", "step")

    def _on_step_out(self, given: Arguments) -> Any:
        return self._stepping(given, "out", "step")

    def _on_continue(self, given: Arguments) -> Any:
        dbg = self._thread(given)
        return {"allThreadsContinued": True}, lambda: self._move(dbg.resume)

    def _on_step_back(self, given: Arguments) -> Any:
        return self._stepping(given, "back_over", "back")

    def _on_reverse_continue(self, given: Arguments) -> Any:
        dbg = self._thread(given)
        return lambda: self._move(dbg.rewind)

    def _on_pause(self, given: Arguments) -> Any:
        self._debugger  # noqa: B018
        self.interrupt.clear()

    def _on_restart(self, given: Arguments) -> Any:
        dbg = self._thread(given)

        def again() -> None:
            dbg.restart()
            self._stopped("entry") if self._stop_on_entry else self._move(dbg.resume)

        return again

    # --- looking --------------------------------------------------------------------------------------------

    def _on_threads(self, given: Arguments) -> Any:
        return {"threads": [{"id": THREAD, "name": "graph"}]}

    def _stack(self) -> list[Frame]:
        if self._frames is None:
            self._frames = stack_of(self._debugger, self._lines)
        return self._frames

    def _on_stack_trace(self, given: Arguments) -> Any:
        self._debugger  # noqa: B018
        if given.number("threadId", THREAD) != THREAD:
            raise Refused(f"there is one thread, {THREAD}")
        start, levels = given.number("startFrame", 0), given.number("levels", 0)
        frames = []
        stack = self._stack()
        for number, frame in enumerate(stack, 1):
            shown_as: dict[str, Any] = {"id": number, "name": frame.name, "line": frame.line, "column": 0}
            if frame.source is not None:
                shown_as |= {"source": frame.source, "column": 1}
            else:
                shown_as["presentationHint"] = "label" if frame.scope == "" else "subtle"
            frames.append(shown_as)
        return {"stackFrames": frames[start : start + levels if levels else None], "totalFrames": len(stack)}

    def _frame(self, given: Arguments) -> Frame:
        number, stack = given.number("frameId"), self._stack()
        if not 1 <= number <= len(stack):
            raise Refused(f"there is no frame {number} at this stop")
        return stack[number - 1]

    def _on_scopes(self, given: Arguments) -> Any:
        frame = self._frame(given)
        return {"scopes": self._values.scopes(frame.node, frame.scope or None)}

    def _on_variables(self, given: Arguments) -> Any:
        values = self._values
        container = values.container(given.number("variablesReference"))
        wanted = given.text("filter", "")
        page = page_of(given.number("start", 0), given.number("count", 0))
        numbered = container[0] in ("array", "constant")
        if wanted in ("named", "indexed") and numbered is (wanted == "named"):
            return {"variables": []}
        return {"variables": [values.as_variable(part) for part in values.parts(container, page)]}

    def _on_source(self, given: Arguments) -> Any:
        number = given.part("source").number("sourceReference", given.number("sourceReference", 0))
        if number != LISTING:
            raise Refused(f"the listing of the graph has the source reference {LISTING}; files are the client's to read")
        return {"content": self._lines.listed(), "mimeType": "text/plain"}

    def _on_loaded_sources(self, given: Arguments) -> Any:
        return {"sources": self._lines.all()}

    # --- stopping -------------------------------------------------------------------------------------------

    def _log(self, text: str, step: Step) -> None:
        self.output(f"{text}\n")

    def _on_set_breakpoints(self, given: Arguments) -> Any:
        source, wanted = given.part("source").given, given.objects("breakpoints")
        if not wanted and given.given.get("breakpoints") is None:
            wanted = [Arguments({"line": line}) for line in given.given.get("lines") or []]
        if len(wanted) > MOST:
            raise Refused(f"up to {MOST:,} breakpoints can be set, not {len(wanted):,}")
        kind = "lines", str(source.get("path")), str(source.get("sourceReference"))
        if self._dbg is None:
            return self._later(kind, "setBreakpoints", given, [each.number("line") for each in wanted])
        asked, answers = line_breakpoints(self._gate, self._lines, source, wanted)
        self._gate.put(kind, asked)
        return {"breakpoints": answers}

    def _later(self, kind: Any, request: str, given: Arguments, lines: list[int | None]) -> Any:
        """Keep the breakpoints of a client until there is a run."""
        self._asked_before[kind] = request, given
        waits = Refused("it is set when the target is launched")
        return {"breakpoints": [unverified(self._gate.new_number(), waits, line) for line in lines]}


__all__ = ["FILTERS", "LARGEST_PAGE", "Adapter", "Asked", "condition_in", "data_breakpoint", "function_breakpoint"]
