"""Requests that move the run: steps, forwards and back, and to a line."""

from __future__ import annotations

from typing import Any

from .._util.text import visible
from .connection import Connection, of_one_thread
from .protocol import Arguments, Refused
from .stops import (
    first_of_each,
)

_TARGETS, _AT_ONCE = 100, 256


class Moving(Connection):
    """Answers requests that move the run."""

    def _stepping(self, given: Arguments, whole: str, one: str, back: bool = False) -> Any:
        """Return what moves by a scope, or by one operation where the client asks for that."""
        dbg = self._thread(given)
        name = one if given.text("granularity", "") == "instruction" else whole
        return lambda: self._move(getattr(dbg, name), back=back)

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
        return self._stepping(given, "back_over", "back", back=True)

    def _on_reverse_continue(self, given: Arguments) -> Any:
        dbg = self._thread(given)
        return lambda: self._move(dbg.rewind, back=True)

    def _on_pause(self, given: Arguments) -> Any:
        self._debugger  # noqa: B018 - whose run has been stopped as this arrived
        of_one_thread(given)

    def _on_restart(self, given: Arguments) -> Any:
        dbg = self._begun()
        dbg.restart()
        if self._stop_on_entry:
            return lambda: self._stopped("entry")
        return lambda: self._move(dbg.resume)

    def _on_goto_targets(self, given: Arguments) -> Any:
        line, ranks = given.number("line"), self._lines.ranks
        nodes = first_of_each(self._lines.lines_of(given.part("source", ...).given).get(line, []), ranks)
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
