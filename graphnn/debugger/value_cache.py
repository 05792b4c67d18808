"""The values of a run, within a memory budget: values that were freed are computed again, the same to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..runtime.evaluation_loop import Prepared, Step, evaluate, quiet_steps
from .traces import owner_of

if TYPE_CHECKING:
    from ..core import Array

_SLACK = 1 / 8
"""The share of the budget that is freed when it is used up, so that not every step has to free something."""


class Memory:
    """What the tapes of one debugger hold together; memory that two values share is counted once.

    Attributes
    ----------
    budget : float
        Bytes that values may take. What a run of the schedule needs at one time is held whatever the budget is.
    bytes : int
        Bytes that they take.
    tapes : set of Tape
        The tapes that are still in use.
    settled : bool
        Whether `bytes` is right: False while it is changed, and so after Ctrl-C interrupted a change.
    count : int
        How many tapes were counted. If there are fewer now, what the others held is free again.
    """

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self.bytes = 0
        self.tapes: WeakSet[Tape] = WeakSet()
        self.count = 0
        self.settled = True
        self._holders: dict[int, int] = {}

    def settle(self) -> None:
        """Count again if Ctrl-C interrupted the counting."""
        if not self.settled or len(self.tapes) != self.count:
            self.bytes = 0
            self._holders.clear()
            for tape in self.tapes:
                tape.recount()
            self.settled, self.count = True, len(self.tapes)

    def add(self, value: Array) -> None:
        """Count a value in."""
        owner = owner_of(value)
        holders = self._holders[id(owner)] = self._holders.get(id(owner), 0) + 1
        if holders == 1:
            self.bytes += owner.nbytes

    def drop(self, value: Array) -> None:
        """Count a value out."""
        owner = owner_of(value)
        self._holders[id(owner)] -= 1
        if not self._holders[id(owner)]:
            del self._holders[id(owner)]
            self.bytes -= owner.nbytes


class Tape:
    """The values of one run, by the places of its schedule.

    Asked for a position, it evaluates what is needed for it and was not kept. A value that is still needed at the
    current position is kept. When the budget is used up, the oldest of the others are freed first, and checkpoints
    last. A checkpoint is what is needed at one position; there is one every `_stride` positions, and the stride doubles
    when even the checkpoints do not fit.

    Parameters
    ----------
    prepared : Prepared
    memory : Memory
    known : mapping of int to array
        Values by position that are held elsewhere anyway, and are not counted.
    times : mapping of int to float
        Seconds that places took in a run before.
    """

    def __init__(
        self, prepared: Prepared, memory: Memory, known: Mapping[int, Array] = {}, times: Mapping[int, float] = {}
    ) -> None:
        program = prepared.program
        self.prepared = prepared
        self.memory = memory
        self.known = known
        self.times = dict(times)
        """Seconds that each place took when it was last evaluated."""
        self._order, self._operands = program.order, program.operands
        self._last = [len(program.order)] * len(program.order)
        for place, dying in enumerate(program.dying):
            for dead in dying:
                self._last[dead] = place
        self._values: list[Any] = [None] * len(program.order)
        self._given: set[int] = set()
        self._held: dict[int, None] = {}
        self._roots = list(range(len(program.order)))
        self._views: dict[int, set[int]] = {}
        for place, forward in enumerate(prepared.binding.forwards):
            if forward is None:
                node = self._order[place]
                self._values[place] = prepared.given[node] if node in prepared.given else node.graph._stored(node)
        for place, value in known.items():
            self._values[place] = value
        self._given.update(place for place, value in enumerate(self._values) if value is not None)
        # The arrays of values held elsewhere, by id since arrays cannot be hashed; `_values` keeps them alive.
        self._uncounted = {id(owner_of(value)) for value in self._values if value is not None}
        self._stride = 1
        self._evaluation = quiet_steps(iter(()))
        self._next = -1
        memory.tapes.add(self)
        memory.count += 1

    def at(self, place: int) -> Step:
        """Return the step of a place, with its operands and its value.

        Raises
        ------
        GraphnnError
            When its operation fails, or that of a node that it needs.
        """
        self._ensure({place, *self._operands[place]})
        operands = tuple([self._values[i] for i in self._operands[place]])
        return Step(place, self._order[place], operands, self._values[place])

    def steps(self) -> Iterator[Step]:
        """Evaluate the run once more, and return its steps; no more is held than they need."""
        prepared = self.prepared
        known = {place: value for place, value in self.known.items() if self._order[place].op.is_unknown}
        if known:  # cannot be computed
            forwards = [None if place in known else f for place, f in enumerate(prepared.binding.forwards)]
            given = prepared.given | {self._order[place]: value for place, value in known.items()}
            prepared = prepared._replace(binding=prepared.binding._replace(forwards=forwards), given=given)
        return quiet_steps(evaluate(prepared))

    def operands(self, place: int) -> tuple[Array, ...]:
        """Return the operands of a place, whose own value need not be had."""
        self._ensure(set(self._operands[place]))
        return tuple([self._values[i] for i in self._operands[place]])

    def _ensure(self, wanted: set[int]) -> None:
        self.memory.settle()
        while missing := self._missing(wanted):
            needed = wanted.union(*[self._operands[i] for i in missing])
            for i in missing:
                if not self._make_room(i, needed):
                    break  # look again what is missing; what is needed here is never freed, so this ends
                self._evaluate(i)

    def _missing(self, wanted: set[int]) -> list[int]:
        """Return the places to evaluate, in their order, for the values of some."""
        values = self._values
        missing = {place for place in wanted if values[place] is None}
        waiting = list(missing)
        while waiting:
            for operand in self._operands[waiting.pop()]:
                if values[operand] is None and operand not in missing:
                    missing.add(operand)
                    waiting.append(operand)
        return sorted(missing)

    def _evaluate(self, place: int) -> None:
        if place != self._next:
            rest = range(place, len(self._order))
            self._evaluation = quiet_steps(evaluate(self.prepared, rest, self._values))
        self._next = -1  # if it fails, the next evaluation begins a new generator
        self.memory.settled = False  # the evaluation writes the value into `_values`, which is not counted yet
        before = perf_counter()
        value = next(self._evaluation).value
        self.times[place] = perf_counter() - before
        self._next = place + 1
        self._hold(place, value)

    def _hold(self, place: int, value: Array) -> None:
        self.memory.settled = False
        self._count_in(place, value)
        self.memory.settled = True

    def _count_in(self, place: int, value: Array) -> None:
        self._values[place] = value
        self._held[place] = None
        owner = owner_of(value)
        self._roots[place] = place
        for operand in self._operands[place]:
            other = self._values[operand]
            if other is not None and owner_of(other) is owner:
                root = self._roots[place] = self._roots[operand]
                self._views.setdefault(root, set()).add(place)
        if id(owner) not in self._uncounted:
            self.memory.add(value)

    def _drop(self, place: int) -> None:
        self.memory.settled = False
        value = self._values[place]
        self._values[place] = None
        del self._held[place]
        if id(owner_of(value)) not in self._uncounted:
            self.memory.drop(value)
        self.memory.settled = True

    def recount(self) -> None:
        """Count again what is held, from the values that are there."""
        self._held.clear()
        self._views.clear()
        self._roots = list(range(len(self._order)))
        self._evaluation, self._next = quiet_steps(iter(())), -1
        for place, value in enumerate(self._values):
            if value is not None and place not in self._given:
                self._count_in(place, value)

    def forget(self) -> None:
        """Free all values that can be computed again."""
        self.memory.settle()
        for place in list(self._held):
            self._drop(place)
        self._evaluation, self._next = quiet_steps(iter(())), -1  # the old one holds the last step

    def _make_room(self, place: int, needed: set[int]) -> bool:
        """Free values until that of a position fits; return whether none of them is needed from there on."""
        memory, last = self.memory, self._last
        dropped = []
        for i in self._views.get(place, ()):
            if i in self._held:
                # A view of a value that is computed again would keep the old memory besides the new.
                self._drop(i)
                dropped.append(i)
        node = self._order[place]
        size = prod(self.prepared.shape_of(node)) * node.dtype.itemsize
        if memory.bytes + size > memory.budget:
            dropped += self._free_bytes(place, size)
        return not any(i in needed and place <= last[i] for i in dropped)

    def _free_bytes(self, place: int, size: int) -> Iterator[int]:
        """Free values until there is room for `size` bytes, and yield their positions."""
        memory, last = self.memory, self._last
        for tape in memory.tapes:
            if tape is not self:
                tape.forget()
        room = memory.budget * (1 - _SLACK) - size
        spare = [i for i in self._held if not i <= place <= last[i]]
        while memory.bytes > room and spare:
            kept = []
            for i in spare:
                in_checkpoint = last[i] // self._stride * self._stride > i
                if in_checkpoint or memory.bytes <= room:
                    kept.append(i)
                else:
                    self._drop(i)
                    yield i
            spare = kept
            if memory.bytes > room:
                self._stride *= 2

    def branch(self, prepared: Prepared, changed: set[int]) -> Tape:
        """Return the tape of a run that differs in `prepared`, with the values of all places but those changed."""
        self.memory.settle()
        known = {place: value for place, value in self.known.items() if place not in changed}
        times = {place: time for place, time in self.times.items() if place not in changed}
        tape = Tape(prepared, self.memory, known, times)
        for place in self._held:
            if place not in changed and tape._values[place] is None:
                tape._hold(place, self._values[place])
        tape._roots, tape._views = self._roots.copy(), {root: views.copy() for root, views in self._views.items()}
        tape._stride = self._stride
        return tape

    def close(self) -> None:
        """Leave the tapes that are counted, once all values are freed."""
        self.memory.tapes.discard(self)
        self.memory.count -= 1
