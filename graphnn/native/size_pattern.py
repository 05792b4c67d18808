"""Plans for any sizes: what a plan's words are for one set of sizes is recorded, and computed again for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..compiler import intermediate_representation as do
from ..compiler.backends import FASTER, Backend
from ..compiler.ir_values import Value
from ..compiler.symbolic_sizes import ForSizes, Size, Unrecorded, any_size, unchecked
from ..core import Op
from .native_plan import Filling, Native, drafted
from .recorded_sizes import Tape
from .selftest import distrust, is_installed, is_supported, is_trusted
from .ufunc_addresses import Doubt
from .work_list import address_of

if TYPE_CHECKING:
    from ..compiler.plan import Plan
    from ..compiler.sparse_updates import Tables
    from ..compiler.thresholds import Settings
    from ..core import Array, Node
    from ..runtime.evaluation_loop import Prepared
    from .loop_tables import Filled, Table

_MOST = 16
"""How many patterns a step has, at most."""


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
        sizes = {name: tape.size(prepared.sizes[name]) for name in self._names}
        forwards = [
            _Forward(position, tape)
            if forward is not None and (node.op.foreign or node.op.dimension_names)
            else forward
            for position, (node, forward) in enumerate(zip(program.order, binding.forwards, strict=True))
        ]
        named = prepared._replace(sizes=sizes, given={}, binding=binding._replace(forwards=forwards))
        lowering, _, layout, writer = drafted(named, *self._asked)
        if not tape.holds:
            tape.refuse("something that was refused")
        self._code, self._arguments, self._foreign = writer.code, writer.arguments, lowering.foreign
        self._given = lowering.given
        self._arena = layout.size
        self._arrays = [value.array for value in lowering.values if value.array is not None]
        self._constants = _in_order([value for value in lowering.values if isinstance(value.how, do.Made)])
        self._segments = [_Segment(table) for table in writer.tables]
        self._replay: Any = tape.end()

    def plan(self, prepared: Prepared) -> Native | None:
        """Return the plan for other sizes, or None where the planner decides otherwise, or a constant fails."""
        sizes = [prepared.sizes.get(name) for name in self._names]
        cells = None if None in sizes else self._replay(sizes)
        if cells is None:
            return None
        try:
            filling = self._filled(prepared, cells)
        except Exception:  # noqa: BLE001 - what the forward of a constant raises is told when it runs
            return None
        return Native(prepared, *self._asked, filling=filling)

    def _filled(self, prepared: Prepared, cells: list[Any]) -> Filling:
        """Return the words, code and constants for the numbers in these cells."""
        numbers = _Numbers(cells, prepared.binding.forwards)
        for value in self._constants:
            numbers.made(value)
        segments = [segment.filled(numbers) for segment in self._segments]
        arguments = {name: numbers.known(x) for name, x in self._arguments.items()}
        if "sizes__" in arguments:
            arguments["sizes__"] = cells
        return Filling(
            self._given,
            [numbers.known(value.shape) for value in self._given],
            numbers.known(self._arena),
            segments,
            [*self._arrays, *(numbers.made(value) for each in self._segments for value in each.constants)],
            self._code,
            arguments,
            self._foreign,
        )


def _in_order(constants: Sequence[Value]) -> list[Value]:
    """Return constants with those that they are made of, which come first."""
    found: dict[Value, None] = {}
    waiting = [*constants]
    while waiting:
        value = waiting[-1]
        of = value.how.arguments if isinstance(value.how, do.Made) else value.operands
        missing = [x for x in of if isinstance(x, Value) and x.array is None and x not in found]
        if missing:
            waiting += missing
        else:
            found[waiting.pop()] = None
    return list(found)


class _Numbers:
    """What stands for sizes and their functions, for one set of sizes.

    Attributes
    ----------
    cells : list of int
    constants : dict of Value to array
        Those that were made.
    """

    # Functions within a function that call each other would hold the arrays until the next search for garbage.
    def __init__(self, cells: list[Any], forwards: Sequence[Any]) -> None:
        self.cells, self._forwards = cells, forwards
        self.constants: dict[Value, Array] = {}

    def known(self, x: Any) -> Any:
        """Return what something that was recorded is."""
        if isinstance(x, Size):
            return self.cells[x.cell]
        if isinstance(x, Value):
            return self.made(x) if x.array is None else x.array
        if isinstance(x, _Forward):
            return self._forwards[x.position]
        if isinstance(x, ForSizes):
            return x.with_numbers(self.known)
        if isinstance(op := getattr(x, "__self__", None), Op) and op.sized:
            return getattr(unchecked(op, **{a: self.known(getattr(op, a)) for a in op.sized}), x.__name__)
        return tuple(map(self.known, x)) if type(x) is tuple else x

    def made(self, value: Value) -> Array:
        """Return the array of a constant.

        Raises
        ------
        Unrecorded
            When it does not lie in C order.
        """
        if value in self.constants:
            return self.constants[value]
        if isinstance(value.how, do.Made):
            found = np.asarray(value.how.function(*map(self.known, value.how.arguments)), value.dtype)
            if not found.flags.c_contiguous:
                raise Unrecorded("a constant that does not lie as others do")
        else:
            assert isinstance(value.how, do.Broadcast)
            found = np.broadcast_to(self.known(value.operands[0]), self.known(value.shape))
        self.constants[value] = found
        return found


class _Forward:
    """Stands for what computes a node for one set of sizes. Nobody calls it while a plan is recorded."""

    def __init__(self, position: int, tape: Tape) -> None:
        self.position, self._tape = position, tape

    def __call__(self, *_: object, **__: object) -> NoReturn:
        self._tape.refuse("a function of plain sizes")


class _Segment:
    """A table of which some words are sizes.

    Attributes
    ----------
    constants : list of Value
        Those that it points to, and that differ from size to size.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self.constants = [value for _, value, _ in table.constants]
        words: list[object] = [*table.words]
        sized = [(slot, word.cell) for slot, word in enumerate(words) if isinstance(word, Size)]
        self._slots, self._cells = [slot for slot, _ in sized], [cell for _, cell in sized]
        self._words = np.array([0 if isinstance(word, Size) else word for word in words], np.int64)

    def filled(self, numbers: _Numbers) -> Filled:
        """Return the table with numbers for its sizes, and constants that are made for them."""
        words, shapes = self._words.copy(), []
        words[self._slots] = [numbers.cells[cell] for cell in self._cells]
        for slot, shape in self._table.shapes:
            shapes.append(own := numbers.known(shape) if any_size(shape) else shape)
            words[slot] = id(own)
        for slot, value, offset in self._table.constants:
            words[slot] = address_of(numbers.made(value)) + numbers.known(offset)
        return self._table.filled_with(words, shapes)


@FASTER["native"].give()
class Patterns(Backend):
    """Makes native plans, and the patterns of a step.

    There are several: the planner decides otherwise for some sizes, such as small ones.

    Attributes
    ----------
    left : int
        How many may still be recorded. Each that fails leaves a quarter, since the next ones are likely to fail, too.
    """

    title = "the native plan"

    def __init__(self, *asked: Any, **lent: Any) -> None:
        super().__init__(*asked, **lent)
        self.left = _MOST if self.asked[1].threads == 1 else 0
        self._found: list[Pattern] = []

    @staticmethod
    def lack() -> str:
        """Return why native plans cannot be made here."""
        if not is_installed():
            return "the native backend needs llvmlite: pip install graphnn[native]"
        if not is_supported():
            return "the native backend is for CPython on 64-bit Linux and macOS; the backend here is numpy"
        return ""

    @staticmethod
    def is_trusted() -> bool:
        """Tell whether native plans work here; if llvmlite is there and they do not, warn once of it."""
        return is_trusted()

    def known(self, prepared: Prepared) -> Native | None:
        """Return the plan for some sizes, if there is a pattern for it."""
        for i, pattern in enumerate(self._found):
            if (plan := pattern.plan(prepared)) is not None:
                self._found.insert(0, self._found.pop(i))  # it is likely to be the next one, too
                return plan
        return None

    def may_record(self, prepared: Prepared) -> bool:
        """Return whether a plan for these sizes may be recorded: one of 1 is equal to other sizes by chance."""
        return self.left > 0 and 1 not in prepared.sizes.values()

    def plan(self, prepared: Prepared, recorded: bool = False) -> Plan:
        """Return a new plan; if it is to be recorded, and can be, its pattern serves for other sizes from then on."""
        try:
            plan = self._recorded(prepared) if recorded and self.may_record(prepared) else None
            return Native(prepared, *self.asked) if plan is None else plan
        except Doubt as doubt:
            distrust(doubt)
            return super().plan(prepared)

    def _recorded(self, prepared: Prepared) -> Native | None:
        left, self.left = self.left - 1, self.left // 4
        try:
            pattern = Pattern(prepared, *self.asked[:3])
        except Doubt:
            raise
        except Exception:  # noqa: BLE001 - a size is not an int, and what that leads to is unknown
            return None
        plan = pattern.plan(prepared)
        if plan is not None:
            self.left = left
            self._found.insert(0, pattern)
        return plan
