"""Requests that change values or calculate with them."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.lazy_loading import is_there
from ..core import as_array, cast_in_range, is_float
from ..debugger.node_selection import names_in
from ..errors import GraphnnError
from .connection import Connection
from .console import Console
from .protocol import Arguments, Refused, shown
from .variables import LARGEST_PAGE, in_one_line, page_of

if TYPE_CHECKING:
    from ..core import Array, Node

_MOST_TEXT = 4000
_COPIED, _COMPLETIONS = 10_000, 100
_PART = re.compile(r"(.+?)\s*\[\s*([0-9]{1,15}(?:\s*,\s*[0-9]{1,15})*)\s*\]", re.DOTALL)
_WORD = re.compile(r"[^\s()\[\],+*=<>]*\Z")


class Changing(Connection):
    """Answers requests that set values, which is asking what if, and that evaluate expressions."""

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
        spot[part or ...] = value
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

    def _on_evaluate(self, given: Arguments) -> Any:
        dbg = self._debugger
        text, context = given.text("expression").strip(), given.text("context", "repl")
        if len(text) > _MOST_TEXT:
            raise Refused(f"an expression has up to {_MOST_TEXT} characters, not {len(text):,}")
        if not text:
            raise Refused("there is no expression to evaluate")
        if context == "repl" and text not in dbg.graph and (console := self._repl) is not None and console.knows(text):
            return self._typed_in(console, text)
        try:
            value = dbg.calculate(text)
        except GraphnnError as error:
            if context == "repl" and self._repl is None:
                raise Refused(f"{error.account}; verbs are in graphnn/terminal, which is not installed") from None
            raise
        if context == "clipboard":
            return {
                "result": str(value.tolist()) if value.size <= _COPIED else in_one_line(value),
                "variablesReference": 0,
            }
        node = dbg.node(text) if text in dbg.graph else None
        container = ("array", node, ()) if node is not None else self._values.hold(value)
        return self._result(self._values.of_array("", value, container), "result")

    @property
    def _repl(self) -> Console | None:
        """What reads the verbs of the terminal, where it is installed."""
        if self._console is None and is_there("terminal"):
            self._console = Console(self._debugger)
        return self._console

    def _typed_in(self, console: Console, text: str) -> Any:
        dbg, gate = self._begun(), self._gate
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
