"""The requests of the Debug Adapter Protocol, answered by a debugger."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.lazy_loading import is_there
from .._util.text import visible
from ..core import as_array, cast_in_range, is_float
from ..debugger.node_selection import names_in
from ..errors import GraphnnError
from .console import Console
from .frames import LISTING, Frame, Sources, stack_of
from .protocol import FILTERS, Arguments, Refused, capabilities, shown
from .stops import (
    MOST,
    Asked,
    Gate,
    condition_in,
    data_breakpoint,
    first_of_each,
    function_breakpoint,
    line_breakpoints,
    unverified,
)
from .variables import LARGEST_PAGE, Holder, Part, Variables, in_one_line, page_of

if TYPE_CHECKING:
    from ..core import Array, Node
    from ..debugger.debugger import Debugger
    from ..runtime.evaluation_loop import Step

THREAD = 1
INTERRUPTS = ("pause", "cancel", "disconnect", "terminate")
"""Requests that stop a run when they arrive, before their turn."""
_MOST_TEXT = 4000
_COPIED, _COMPLETIONS, _TARGETS, _AT_ONCE = 10_000, 100, 100, 256
_PART = re.compile(r"(.+?)\s*\[\s*([0-9]{1,15}(?:\s*,\s*[0-9]{1,15})*)\s*\]", re.DOTALL)
_WORD = re.compile(r"[^\s()\[\],+*=<>]*\Z")
_LOGGED = re.compile(r"\{([^{}]{1,400})\}")


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
        self._console: Console | None = None
        self._names: list[str] | None = None
        self._exception: tuple[str, str] | None = None
        self._cancelled: set[int] = set()
        self._running: int | None = None
        self._told_at: int | None = None
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
        if command in INTERRUPTS:
            self.interrupt.clear()
        answer = {"request_seq": seq if whole else 0, "command": command if isinstance(command, str) else ""}
        after: Callable[[], None] | None = None
        self._running = answer["request_seq"]
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
                after()
        self._running = None
        if self._dbg is not None and self._told_at not in (None, self._dbg.position):
            gate = self._gate
            self._stopped(gate.reason or "goto", gate.exception, gate.text)  # a verb or a what-if has moved it

    def _answered(self, command: str, seq: Any, arguments: Any) -> Any:
        """Do what a request asks for; return the body of the answer, and what is to be done after it."""
        if seq in self._cancelled:
            self._cancelled.discard(seq)
            raise Refused("cancelled")
        method = self._requests.get(command)
        if method is None:
            raise Refused(f"there is no request {shown(command)}")
        return method(Arguments(arguments))

    def cancel(self, number: Any) -> None:
        """Let a request of this number not be done, or be stopped if it is being done; called from any thread."""
        if isinstance(number, int) and not isinstance(number, bool):
            if number == self._running:
                self.interrupt.set()
            elif len(self._cancelled) < _COMPLETIONS:
                self._cancelled.add(number)

    def _on_cancel(self, given: Arguments) -> Any:
        self._cancelled.discard(given.number("requestId", -1))

    def _refuse(self, answer: dict[str, Any], error: BaseException) -> None:
        text = error.account + error.advice if isinstance(error, GraphnnError) else str(error)
        text = visible(text) or type(error).__name__
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
        self._debugger  # noqa: B018 - whose run has been stopped as this arrived

    def _on_restart(self, given: Arguments) -> Any:
        dbg = self._thread(given)

        def again() -> None:
            dbg.restart()
            if self._stop_on_entry:
                self._stopped("entry")
            else:
                self._move(dbg.resume)

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
            raise Refused(
                f"the listing of the graph has the source reference {LISTING}; files are the client's to read"
            )
        return {"content": self._lines.listed(), "mimeType": "text/plain"}

    def _on_loaded_sources(self, given: Arguments) -> Any:
        return {"sources": self._lines.all()}

    # --- changing -------------------------------------------------------------------------------------------

    def _on_set_variable(self, given: Arguments) -> Any:
        values = self._values
        container, name = values.container(given.number("variablesReference")), given.text("name")
        value = given.text("value")
        return self._set(self._target_in(container, name), value)

    def _target_in(self, container: tuple[Any, ...], name: str) -> tuple[Node, tuple[int, ...] | str]:
        """Return what a variable of a container sets: a part of a node, or an attribute of its operation."""
        if container[0] == "array":
            _, node, index = container
            row = re.fullmatch(r"\[([0-9]{1,15})\]", name)
            if row is None or int(row[1]) >= len(self._debugger[node].value[index]):
                raise Refused(f"there is no variable {shown(name)} here")
            return node, (*index, int(row[1]))
        parts = self._values.parts(container, page_of(0, LARGEST_PAGE))
        part = next((part for part in parts if part.name == name), None)
        if part is None:
            raise Refused(f"there is no variable {shown(name)} here")
        if part.sets is None:
            raise Refused(f"{shown(name)} cannot be set here")
        return part.sets

    def _on_set_expression(self, given: Arguments) -> Any:
        expression, value = given.text("expression"), given.text("value")
        return self._set(self._target_of(expression), value)

    def _target_of(self, expression: str) -> tuple[Node, tuple[int, ...]]:
        """Return the node, and the index of a part of it, that an expression writes."""
        dbg, text = self._debugger, expression.strip()
        if len(text) > _MOST_TEXT:
            raise Refused(f"an expression has up to {_MOST_TEXT} characters, not {len(text):,}")
        written = _PART.fullmatch(text)
        if written is not None and text not in dbg.graph:
            return dbg.node(written[1]), tuple(int(number) for number in written[2].split(","))
        return dbg.node(text), ()

    def _set(self, target: tuple[Node, tuple[int, ...] | str], text: str) -> Any:
        """Ask what if a part of a node had another value; answer with what it has now."""
        dbg = self._debugger
        node, part = target
        self._gate.begin()
        value = self._typed(text)
        if isinstance(part, str):
            dbg.what_if(node, **{part: value.tolist()})
            return {"value": text}, self._changed
        spot = dbg[node]
        if value.dtype.kind in "iuf" and (
            is_float(node.dtype) or (value.dtype.kind in "iu" and node.dtype.kind in "iu")
        ):
            value = cast_in_range(value, node.dtype, f'the value of "{node.title}"')
        spot[part if part else ...] = value
        shown_as = self._values.of_array("", np.asarray(dbg[node].value[part]), ("array", node, part))
        return self._result(shown_as, "value"), self._changed

    def _typed(self, text: str) -> Array:
        """Return the numbers that a text writes: an expression, or lists of them."""
        if not text.lstrip().startswith("["):
            return self._debugger.calculate(text)
        try:
            return as_array(json.loads(text), "the value")
        except ValueError:
            raise Refused(f"{shown(text)} is neither a number nor a list of numbers") from None

    def _changed(self) -> None:
        """Let the client ask for all values again."""
        if self._client.get("supportsInvalidatedEvent") is True:
            self.event("invalidated", areas=["variables"], threadId=THREAD)

    def _result(self, part: Part, name: str) -> dict[str, Any]:
        """Return a value as the answer of a request."""
        result = {name: part.value, "type": part.type, "variablesReference": self._values.reference(part.container)}
        return {**result, "indexedVariables": part.indexed} if part.indexed else result

    # --- evaluating -----------------------------------------------------------------------------------------

    def _on_evaluate(self, given: Arguments) -> Any:
        dbg = self._debugger
        text, context = given.text("expression").strip(), given.text("context", "repl")
        if len(text) > _MOST_TEXT:
            raise Refused(f"an expression has up to {_MOST_TEXT} characters, not {len(text):,}")
        if not text:
            raise Refused("there is no expression to evaluate")
        if context == "repl" and text not in dbg.graph and (console := self._repl) is not None and console.knows(text):
            return self._typed_in(console, text)
        value = dbg.calculate(text)
        if context == "clipboard":
            return {
                "result": str(value.tolist()) if value.size <= _COPIED else in_one_line(value),
                "variablesReference": 0,
            }
        node = dbg.node(text) if text in dbg.graph else None
        container = ("array", node, ()) if node is not None else ("constant", Holder(value), ())
        return self._result(self._values.of_array("", value, container), "result")

    @property
    def _repl(self) -> Console | None:
        """What reads the verbs of the terminal, where it is installed."""
        if self._console is None and is_there("terminal"):
            self._console = Console(self._debugger)
        return self._console

    def _typed_in(self, console: Console, text: str) -> Any:
        dbg, gate = self._debugger, self._gate
        run = dbg.run
        gate.begin()
        with self._guarded(console.moves(text)):
            said, well = console.perform(text)
        dbg.echo = self._heard
        if not well:
            raise Refused(said or f"{shown(text)} could not be done")
        return {"result": said, "variablesReference": 0}, (self._changed if dbg.run != run else lambda: None)

    def _on_completions(self, given: Arguments) -> Any:
        dbg, text = self._debugger, given.text("text")
        column = min(given.number("column") - bool(self._client.get("columnsStartAt1", True)), len(text))
        before = _WORD.search(text[: max(column, 0)])
        typed = before[0] if before is not None else ""
        start = max(column, 0) - len(typed)
        verbs = self._repl.verbs if not text[:start].strip() and self._repl is not None else []
        if self._names is None:
            self._names = names_in(dbg.order, dbg.graph)
        kinds = itertools.chain(((verb, "keyword") for verb in verbs), ((name, "variable") for name in self._names))
        able = ((name, kind) for name, kind in kinds if name.startswith(typed) and name.isprintable())
        return {
            "targets": [
                {"label": name, "text": name, "type": kind, "start": start, "length": len(typed)}
                for name, kind in itertools.islice(able, _COMPLETIONS)
            ]
        }

    # --- going to a line ------------------------------------------------------------------------------------

    def _on_goto_targets(self, given: Arguments) -> Any:
        line, ranks = given.number("line"), self._lines.ranks
        nodes = first_of_each(self._lines.lines_of(given.part("source").given).get(line, []), ranks)
        return {
            "targets": [
                {"id": ranks[node] + 1, "label": visible(node.title), "line": line} for node in nodes[:_TARGETS]
            ]
        }

    def _on_goto(self, given: Arguments) -> Any:
        dbg, target = self._thread(given), given.number("targetId", least=1)
        if target > len(self._lines.operations):
            raise Refused(f"there is no target {target} to go to")

        def go() -> None:
            while dbg.position < target and not self.interrupt.is_set():
                dbg.goto(min(dbg.position + _AT_ONCE, target))
            if dbg.position > target:
                dbg.goto(target)

        return lambda: self._move(go, "goto")

    # --- stopping -------------------------------------------------------------------------------------------

    def _log(self, text: str, step: Step) -> None:
        def value(expression: re.Match[str]) -> str:
            try:
                return in_one_line(self._debugger.calculate(expression[1]))
            except GraphnnError as error:
                return f"({error.account})"

        self.output(f"{_LOGGED.sub(value, text)}\n")

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

    def _set_named(
        self, request: str, given: Arguments, make: Callable[[Debugger, dict[Node, int], int, Arguments], Asked]
    ) -> Any:
        """Set the breakpoints of a kind that are given by names."""
        wanted = given.objects("breakpoints")
        if len(wanted) > MOST:
            raise Refused(f"up to {MOST:,} breakpoints can be set, not {len(wanted):,}")
        if self._dbg is None:
            return self._later(request, request, given, [None] * len(wanted))
        asked, answers = [], []
        for each in wanted:
            number = self._gate.new_number()
            try:
                made = make(self._dbg, self._lines.ranks, number, each)
            except (Refused, GraphnnError) as error:
                answers.append(unverified(number, error))
                continue
            asked.append(made)
            source, line = self._lines.position_of(made.nodes[0])
            answers.append({"id": number, "verified": True, "source": source, "line": line})
        self._gate.put(request, asked)
        return {"breakpoints": answers}

    def _on_set_function_breakpoints(self, given: Arguments) -> Any:
        return self._set_named("setFunctionBreakpoints", given, function_breakpoint)

    def _on_set_data_breakpoints(self, given: Arguments) -> Any:
        return self._set_named("setDataBreakpoints", given, data_breakpoint)

    def _on_data_breakpoint_info(self, given: Arguments) -> Any:
        dbg, name = self._debugger, given.text("name")
        number = given.number("variablesReference", 0)
        try:
            target = self._target_in(self._values.container(number), name) if number else self._target_of(name)
            node = dbg.node(target[0])
        except (Refused, GraphnnError) as error:
            return {"dataId": None, "description": error.account if isinstance(error, GraphnnError) else str(error)}
        if dbg.updates.get(node, node) not in self._lines.ranks:
            return {"dataId": None, "description": f"{visible(node.title)} is known before the run; nothing changes it"}
        return {
            "dataId": node.title,
            "description": f"{visible(node.title)}: becomes NaN, any > 10, changes",
            "accessTypes": ["write"],
            "canPersist": True,
        }

    def _on_set_exception_breakpoints(self, given: Arguments) -> Any:
        wanted = [Arguments({"filterId": name}) for name in given.texts("filters")]
        wanted += given.objects("filterOptions")
        if len(wanted) > MOST:
            raise Refused(f"up to {MOST:,} breakpoints can be set, not {len(wanted):,}")
        filters, answers = {}, []
        for each in wanted:
            number, name = self._gate.new_number(), each.text("filterId")
            try:
                if name not in FILTERS:
                    raise Refused(f"there is no exception {shown(name)}: there are {', '.join(FILTERS)}")
                filters[name] = condition_in(each.text("condition", ""))
            except (Refused, GraphnnError) as error:
                answers.append(unverified(number, error))
            else:
                answers.append({"id": number, "verified": True})
        self._gate.filter(filters, self._sources.operations if self._sources is not None else [])
        return {"breakpoints": answers}

    def _on_exception_info(self, given: Arguments) -> Any:
        if self._exception is None:
            raise Refused("the run was not stopped by an exception")
        name, text = self._exception
        info: dict[str, Any] = {"exceptionId": name, "description": visible(text), "breakMode": "always"}
        current = self._debugger.current
        if name in ("nan", "inf") and current is not None:
            with contextlib.suppress(GraphnnError):
                info["details"] = {"message": str(self._debugger.why(current)), "typeName": FILTERS[name][0]}
        return info

    def _on_breakpoint_locations(self, given: Arguments) -> Any:
        first = given.number("line")
        last = given.number("endLine", first)
        lines = self._lines.lines_of(given.part("source").given)
        inside = sorted(line for line in lines if first <= line <= last)
        return {"breakpoints": [{"line": line} for line in inside[:MOST]]}

    def _later(self, kind: Any, request: str, given: Arguments, lines: list[int | None]) -> Any:
        """Keep the breakpoints of a client until there is a run."""
        self._asked_before[kind] = request, given
        waits = Refused("it is set when the target is launched")
        return {"breakpoints": [unverified(self._gate.new_number(), waits, line) for line in lines]}
