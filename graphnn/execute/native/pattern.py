"""Plans for any sizes: what a plan's words are for one set of sizes is recorded, and computed again for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import instructions as do
from ..symbols import Size, Tape, any_size
from ..values import Value
from .addresses import Doubt
from .plan import Filling, Native, drafted
from .works import address_of

if TYPE_CHECKING:
    from ...graph import Array, Node
    from ..loop import Prepared
    from ..patching import Tables
    from ..settings import Settings

_MOST = 8
"""How often a step may record a plan, whether it can be recorded or not."""


class Pattern:
    """A native plan for all sizes for which each decision of the planner is the same.

    Raises
    ------
    Unrecorded
        When there is no such plan.
    """

    def __init__(self, prepared: Prepared, updated: Sequence[Node], settings: Settings, tables: Tables | None) -> None:
        self._asked = updated, settings, tables
        self._names = prepared.program.dimension_names
        tape = Tape()
        try:
            self._record(prepared, tape)
        finally:
            tape.forget()

    def _record(self, prepared: Prepared, tape: Tape) -> None:
        program, binding = prepared.program, prepared.binding
        if any(hasattr(node.op, "bound_inside") for node in program.order):
            tape.refuse("a graph inside")
        sizes = {name: tape.size(prepared.sizes[name]) for name in self._names}
        forwards = [
            tape.refused if forward is not None and node.op.dimension_names else forward
            for node, forward in zip(program.order, binding.forwards, strict=True)
        ]
        named = prepared._replace(sizes=sizes, given={}, binding=binding._replace(forwards=forwards))
        lowering, _, layout, writer = drafted(named, *self._asked)
        if writer.code is not None or not tape.holds:
            tape.refuse("a call of NumPy")
        (self._table,) = writer.tables
        self._given = lowering.given
        self._arena = layout.size
        self._arrays = [value.array for value in lowering.values if value.array is not None]
        words: list[object] = [*self._table.words]
        sized = [(slot, word.cell) for slot, word in enumerate(words) if isinstance(word, Size)]
        self._slots, self._cells = [slot for slot, _ in sized], [cell for _, cell in sized]
        self._words = np.array([0 if isinstance(word, Size) else word for word in words], np.int64)
        self._replay: Any = tape.end()

    def plan(self, prepared: Prepared) -> Native | None:
        """Return the plan for other sizes, or None where the planner decides otherwise."""
        sizes = [prepared.sizes.get(name) for name in self._names]
        cells = None if None in sizes else self._replay(sizes)
        if cells is None:
            return None
        constants: dict[Value, Array] = {}

        def known(x: Any) -> Any:
            if isinstance(x, Value):
                return made(x) if x.array is None else x.array
            return cells[x.cell] if isinstance(x, Size) else x

        def made(value: Value) -> Array:
            if value in constants:
                return constants[value]
            if isinstance(value.how, do.Made):
                found = np.asarray(value.how.function(*map(known, value.how.arguments)), value.dtype, order="C")
            else:
                assert isinstance(value.how, do.Broadcast)
                found = np.broadcast_to(known(value.operands[0]), tuple(map(known, value.shape)))
            constants[value] = found
            return found

        words, shapes = self._words.copy(), []
        words[self._slots] = [cells[cell] for cell in self._cells]
        for slot, shape in self._table.shapes:
            shapes.append(numbers := tuple(map(known, shape)) if any_size(shape) else shape)
            words[slot] = id(numbers)
        for slot, value, offset in self._table.constants:
            words[slot] = address_of(made(value)) + known(offset)
        given = [tuple(map(known, value.shape)) if any_size(value.shape) else value.shape for value in self._given]
        filled = self._table.filled_with(words, shapes)
        return Native(
            prepared,
            *self._asked,
            filling=Filling(self._given, given, known(self._arena), [filled], [*self._arrays, *constants.values()]),
        )


class Patterns:
    """The patterns of a step: a few, since for small sizes the planner decides this and that otherwise.

    Attributes
    ----------
    left : int
        How many may be recorded yet.
    """

    def __init__(self, any_at_all: bool) -> None:
        self.left = _MOST if any_at_all else 0
        self._found: list[Pattern] = []

    def plan(self, prepared: Prepared) -> Native | None:
        """Return the plan for some sizes, if there is a pattern for it."""
        for i, pattern in enumerate(self._found):
            if (plan := pattern.plan(prepared)) is not None:
                self._found.insert(0, self._found.pop(i))  # it is likely to be the next one, too
                return plan
        return None

    def planned(self, prepared: Prepared, *asked: Any, recorded: bool = False) -> Native:
        """Return a new plan; if it is to be recorded, and can be, its pattern serves for other sizes from then on."""
        if recorded and self.left > 0:
            self.left -= 1
            try:
                pattern = Pattern(prepared, *asked)
            except Doubt:
                raise
            except Exception:  # noqa: BLE001 - a size is no int, and what that leads to is not known
                pattern = None
            if pattern is not None and (plan := pattern.plan(prepared)) is not None:
                self._found.insert(0, pattern)
                return plan
        plan = Native(prepared, *asked)
        self.left -= 2 * plan.calls_python  # another one is likely to have calls from Python, too
        return plan
