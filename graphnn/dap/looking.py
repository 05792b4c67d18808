"""Requests that look: the stack, scopes, variables, sources."""

from __future__ import annotations

import contextlib
from typing import Any

from ..errors import GraphnnError
from .connection import THREAD, Connection, of_one_thread
from .frames import LISTING, Frame
from .protocol import FILTERS, Arguments, Refused, readable
from .variables import page_of


class Looking(Connection):
    """Answers requests that look at where the run stands."""

    def _on_threads(self, given: Arguments) -> Any:
        return {"threads": [{"id": THREAD, "name": "graph"}]}

    def _on_stack_trace(self, given: Arguments) -> Any:
        self._debugger  # noqa: B018
        of_one_thread(given)
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
        stack = self._stack()
        number = int(given.number("frameId"))
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

    def _on_exception_info(self, given: Arguments) -> Any:
        of_one_thread(given)
        if self._exception is None:
            raise Refused("the run was not stopped by an exception")
        name, text = self._exception
        info: dict[str, Any] = {"exceptionId": name, "description": readable(text), "breakMode": "always"}
        current = self._debugger.current
        if name in ("nan", "inf") and current is not None:
            with contextlib.suppress(GraphnnError):
                info["details"] = {"message": str(self._debugger.why(current)), "typeName": FILTERS[name][0]}
        return info
