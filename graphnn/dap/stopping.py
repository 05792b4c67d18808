"""Requests that set breakpoints of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._util.text import visible
from ..errors import GraphnnError
from .changing import Changing
from .protocol import FILTERS, Arguments, Refused, shown
from .stops import (
    MOST,
    Asked,
    condition_in,
    data_breakpoint,
    function_breakpoint,
    line_breakpoints,
    unverified,
)

if TYPE_CHECKING:
    from ..core import Node
    from ..debugger.debugger import Debugger


class Stopping(Changing):
    """Answers requests that set breakpoints."""

    def _on_set_breakpoints(self, given: Arguments) -> Any:
        source, wanted = given.part("source", ...).given, given.objects("breakpoints", [])
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
        asked: list[Asked] = []
        answers = []
        for each in wanted:
            number = self._gate.new_number()
            try:
                made = make(self._dbg, self._lines.ranks, number, each)
                self._gate.check_room(made, asked)
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
        wanted += given.objects("filterOptions", [])
        if len(wanted) > MOST:
            raise Refused(f"up to {MOST:,} breakpoints can be set, not {len(wanted):,}")
        filters, answers = {}, []
        for each in wanted:
            number, name = self._gate.new_number(), each.text("filterId")
            try:
                if name not in FILTERS:
                    raise Refused(f"there is no exception {shown(name)}: there are {', '.join(FILTERS)}")
                if name == "guard" and self._dbg is not None and self._dbg.guard is None:
                    raise Refused("this run has no guard: it is one of gn.compile(…, guard=…)")
                filters[name] = condition_in(each.text("condition", ""))
            except (Refused, GraphnnError) as error:
                answers.append(unverified(number, error))
            else:
                answers.append({"id": number, "verified": True})
        self._gate.filter(filters, self._sources.operations if self._sources is not None else [])
        return {"breakpoints": answers}

    def _on_breakpoint_locations(self, given: Arguments) -> Any:
        first = given.number("line")
        last = given.number("endLine", first)
        lines = self._lines.lines_of(given.part("source", ...).given)
        inside = sorted(line for line in lines if first <= line <= last)
        return {"breakpoints": [{"line": line} for line in inside[:MOST]]}

    def _later(self, kind: Any, request: str, given: Arguments, lines: list[int | None]) -> Any:
        """Keep the breakpoints of a client until there is a run."""
        self._asked_before[kind] = request, given
        waits = Refused("it is set when the target is launched")
        return {"breakpoints": [unverified(self._gate.new_number(), waits, line) for line in lines]}
