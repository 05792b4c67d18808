"""One element of an operation that explains itself through a small graph: what it read, and its equation.

The equation has as many operations as fit in a line; what does not fit is a step of its own, which says where a number
came from.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._util.text import number
from ..core import Array, Node, is_float
from ..core.fetches import ancestors
from ..errors import ValueRangeError
from ..runtime.interpreter import run
from .ancestry import LIMIT, Reading, back, forth
from .why import element_equation, places_of
from .window_positions import before_moves

LENGTH = 72
"""How long a line may be before a part of it becomes a step of its own."""
STEPS = 6
"""How many steps are told at most."""
_SUM, _PRODUCT, _ATOM = 0, 1, 2
_COPIED = {"": (0,), "{0}": (0,), "{dtype}({0})": (0,), "[{0}] + …": (0,), "{1} if {0} else {2}": (1, 2)}
"""Formulas of operations that may give an element as it is, and which operands it is of."""
_NEUTRAL = {"{0} * {1}": 1, "{0} / {1}": 1, "{0} + {1}": 0, "{0} - {1}": 0}
"""Formulas, and the number that changes nothing."""


class SmallGraph:
    """The small graph of an operation, with the values of a run.

    Parameters
    ----------
    operands : sequence of Node
        Placeholders.
    result : Node
    arrays : sequence of ndarray
        What the operands were.
    """

    def __init__(self, operands: Sequence[Node], result: Node, arrays: Sequence[Array]) -> None:
        self.operands, self.result = operands, result
        feed = dict(zip(operands, arrays, strict=True))
        made = [node for node in ancestors([result]) if node not in feed]
        needed = ancestors([result])
        made = [node for node in needed if node not in feed]
        given = {node: array for node, array in feed.items() if node in needed}
        self.values: dict[Node, Array] = feed | dict(zip(made, map(np.asarray, run(made, given)), strict=True))
        self._steps: dict[tuple[Node, int], None] = {}

    # --- what it read ---

    def reads(self, index: tuple[int, ...]) -> list[Any]:
        """Return which elements of each operand made an element, as `Op.reads` does."""
        cell = int(np.ravel_multi_index(index, self.values[self.result].shape)) if index else 0
        try:
            masks = self.read_by(np.array([cell]))
        except ValueRangeError:
            return [...] * len(self.operands)
        return [None if not mask.any() else ... if mask.all() else np.nonzero(mask) for mask in masks]

    def read_by(self, cells: Array) -> list[Array]:
        """Return which elements of each operand these places were made of, as masks."""
        mark = np.zeros(self.values[self.result].shape, bool)
        mark.reshape(-1)[cells] = True
        found = back(Reading(self.result, None, None, LIMIT), self.result, mark, self._given_to, self.operands)
        masks = [np.zeros(self.values[node].shape, bool) for node in self.operands]
        for node, mask in zip(self.operands, masks, strict=True):
            mask.reshape(-1)[found.get(node, [])] = True
        return masks

    def reached_by(self, marks: Sequence[Array | None]) -> Array:
        """Return which elements were made of marked ones of the operands, as a mask."""
        marked = {node: mark for node, mark in zip(self.operands, marks, strict=True) if mark is not None}
        order = sorted(self.values, key=lambda node: node.index)
        reading = Reading(self.result, None, None, LIMIT)
        forth(reading, marked, order, self._given_to, self.values.__getitem__, self.operands)
        found = marked.get(self.result)
        return np.zeros(self.values[self.result].shape, bool) if found is None else found

    def _given_to(self, node: Node) -> list[Array]:
        return [self.values[each] for each in node.inputs]

    # --- the equation ---

    def told(self, index: tuple[int, ...]) -> tuple[str, list[str]]:
        """Return the equation of an element, "" if it is an element of an operand, and the steps of it."""
        self._steps = {}
        value = self.values[self.result]
        cell = int(np.ravel_multi_index(index, value.shape)) if index else 0
        source, at = self._source(self.result, cell)
        equation = self._formula(source, at, LENGTH)
        lines: list[str] = []
        if source.inputs and at >= 0 and not self._steps:
            lines += [first] if (first := self._first(source, at)) else []
        done = {(source, at)}
        while len(lines) < STEPS:
            waiting = next((key for key in self._steps if key not in done), None)
            if waiting is None:
                break
            done.add(waiting)
            node, at = waiting
            formula = self._formula(node, at, LENGTH)
            said = self._number(node, at)
            if formula not in ("", said):
                first = self._first(node, at)
                lines.append(f"{said} = {formula}{', where ' if first else ''}{first}")
        return equation, list(dict.fromkeys(lines))

    def _number(self, node: Node, cell: int) -> str:
        return number(self.values[node].flat[cell])

    def _source(self, node: Node, cell: int) -> tuple[Node, int]:
        """Return the element of which one is a copy: it was moved, chosen or cast."""
        while node.inputs and cell >= 0:
            kept = self._without_effect(node, cell)
            if kept is not None:
                node, cell = kept
                continue
            moved, cells = before_moves(node, np.array([cell]), self.values.get, lambda each: each.op)
            if moved is not node:
                node, cell = moved, int(cells[0])
                continue
            entries = self._entries(node, cell)
            may = _COPIED.get(node.op.element_formula, ())
            read = [i for i, entry in enumerate(entries) if entry is not None and i in may]
            if len(read) != 1:
                break
            x = node.inputs[read[0]]
            places = places_of(entries[read[0]], self.values[x].shape).reshape(-1)
            if places.size != 1 or self.values[x].flat[places[0]] != self.values[node].flat[cell]:
                break
            node, cell = x, int(places[0])
        return node, cell

    def _without_effect(self, node: Node, cell: int) -> tuple[Node, int] | None:
        """Return what 1 was multiplied with, or 0 was added to."""
        formula = node.op.element_formula
        neutral = _NEUTRAL.get(formula)
        if neutral is None:
            return None
        x, other = node.inputs
        cells = [int(each.reshape(-1)[0]) for each in self._cells(node, cell)]
        if ("*" in formula or "+" in formula) and x.op.is_constant:
            x, other, cells = other, x, cells[::-1]
        if not other.op.is_constant or self.values[other].flat[cells[1]] != neutral:
            return None
        return (x, cells[0]) if self.values[x].flat[cells[0]] == self.values[node].flat[cell] else None

    def _entries(self, node: Node, cell: int) -> Sequence[Any]:
        value = self.values[node]
        at = tuple(int(i) for i in np.unravel_index(cell, value.shape)) if value.ndim else ()
        return node.op.reads(at, [self.values[each] for each in node.inputs])

    def _cells(self, node: Node, cell: int) -> list[Array]:
        """Return the places that an element reads, of each operand."""
        entries = self._entries(node, cell)
        return [places_of(entry, self.values[x].shape) for x, entry in zip(node.inputs, entries, strict=True)]

    def _formula(self, node: Node, cell: int, room: int) -> str:
        """Return what an element was computed from, in so many characters if it can be."""
        if cell < 0:
            return "0"
        if not node.inputs:
            return self._number(node, cell)
        template = node.op.element_formula
        cells = self._cells(node, cell)
        if all(each.size == 1 for each in cells) and "…" not in template:
            before = dict(self._steps)
            parts = [
                self._part(x, int(each.reshape(-1)[0]), room, template)
                for x, each in zip(node.inputs, cells, strict=True)
            ]
            settings = {key: str(value) for key, value in node.op.attributes.items()}
            text = filled(template, {str(i): part for i, part in enumerate(parts)} | settings)
            if len(text) <= room:
                return text
            self._steps = before
            plain = [self._noted(x, int(each.reshape(-1)[0])) for x, each in zip(node.inputs, cells, strict=True)]
            return filled(template, {str(i): part for i, part in enumerate(plain)} | settings)
        entries = self._entries(node, cell)
        given = [
            None if e is None else np.asarray(self.values[x][e]) for x, e in zip(node.inputs, entries, strict=True)
        ]
        value = self.values[node]
        at = tuple(int(i) for i in np.unravel_index(cell, value.shape)) if value.ndim else ()
        equation = element_equation(node.op, given, at)
        return self._number(node, cell) if equation is None else equation

    def _part(self, node: Node, cell: int, room: int, around: str) -> str:
        """Return an operand in an equation: its own equation, if that has room, else its number."""
        node, cell = self._source(node, cell)
        if cell < 0:
            return "0"
        if not node.inputs:
            return self._number(node, cell)
        is_single = all(each.size == 1 for each in self._cells(node, cell))
        if not is_single and not (_adds(around) and "+ …" in node.op.element_formula):
            return self._noted(node, cell)
        before = dict(self._steps)
        text = self._formula(node, cell, room - (2 if _adds(around) else len(around) // 2))
        if not text or len(text) > (room if _adds(around) else room * 2 // 3):
            self._steps = before
            return self._noted(node, cell)
        return text

    def _noted(self, node: Node, cell: int) -> str:
        """Return the number of an element, and have a step say where it came from."""
        node, cell = self._source(node, cell)
        if cell < 0:
            return "0"
        if node.inputs:
            self._steps.setdefault((node, cell))
        return self._number(node, cell)

    def _first(self, node: Node, cell: int) -> str:
        """Return how the first of many numbers was made, if it was."""
        cells = self._cells(node, cell)
        if all(each.size == 1 for each in cells):
            return ""
        for x, each in zip(node.inputs, cells, strict=True):
            if not each.size:
                continue
            source, at = self._source(x, int(each.reshape(-1)[0]))
            if at >= 0 and source.inputs and is_float(self.values[source].dtype):
                said, formula = self._number(source, at), self._formula(source, at, LENGTH)
                if formula not in ("", said):
                    return f"{said} = {formula}"
        return ""


def _adds(template: str) -> bool:
    return re.fullmatch(r"\{0\} [+-] \{1\}", template) is not None


def filled(template: str, fields: Mapping[str, str]) -> str:
    """Return a formula with numbers, or formulas, in its places: in brackets where they would be read otherwise.

    Examples
    --------
    >>> filled("{0} / {1}", {"0": "1 + 2", "1": "-3"})
    '(1 + 2) / (-3)'
    >>> filled("{0} + {1}", {"0": "2 · 3", "1": "-4"})
    '2 · 3 - 4'
    """
    parts = list(string.Formatter().parse(template))
    text = ""
    for i, (literal, name, _, _) in enumerate(parts):
        text += literal
        if name is None:
            continue
        part = fields.get(name, "…")
        after = parts[i + 1][0] if i + 1 < len(parts) else ""
        level = _level(part)
        opens = re.search(r"(^|[(|‖⌊⌈,=<>≤≥≠] ?)$", text) is not None
        closes = re.match(r"$|[)|‖⌋⌉,]| [=<>≤≥≠]", after) is not None
        adds_on = closes or after.startswith((" + ", " - "))
        if opens and closes:
            text += part
        elif text.endswith(" + ") and adds_on:
            # What begins with a sign gives it to the sum.
            text = f"{text[:-2]}- {part[1:].lstrip()}" if part.startswith("-") else text + part
        elif (opens and adds_on) or (opens and level >= _PRODUCT and after.startswith((" * ", " / ", "·"))):
            text += part
        elif part.startswith("-") or level == _SUM or (level == _PRODUCT and not (text.endswith(" - ") and adds_on)):
            text += f"({part})"
        else:
            text += part
    return text


def _level(text: str) -> int:
    """Return how loosely a formula is held together: by sums or words, by products, or not at all."""
    depth, found = 0, _ATOM
    for i, sign in enumerate(text):
        depth += (sign in "([⌊⌈") - (sign in ")]⌋⌉")
        if depth or not i:
            continue
        if sign == " " and text[i + 1 : i + 2] not in "·/*^" and text[i - 1] not in "·/*^":
            return _SUM
        if sign in "·/*^²":
            found = _PRODUCT
    return found
