"""A plan as lists of loops, with calls of NumPy between them where there is no loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.numpy_warnings import quietly
from ..compiler import intermediate_representation as do
from ..compiler.codegen_functions import defined
from ..compiler.ir_values import Value
from ..compiler.lowering import Lowering
from ..compiler.plan import _USUAL, Plan
from ..compiler.thresholds import Settings
from ..core.graph_tables import LentDict
from ..ops import matmul_kernels
from .llvm_runtime import HEADER
from .loop_tables import Filled, Keys, Table
from .native_explanation import Loop, NativeExplanation, loops_of
from .row_blocks import in_blocks
from .table_writer import Writer
from .thread_parts import share
from .value_layout import Memory
from .work_list import Work, brought_in_order, works_of

if TYPE_CHECKING:
    from ..compiler.sparse_updates import Tables
    from ..core import Array, Node
    from ..runtime.evaluation_loop import Prepared

_NEVER = 2**62
_LASTING = 2
"""Calls from which on a plan that a pattern gave is likely to have more: what only calls gain by is worth making."""
NATIVE = Settings(
    traced=256,
    masked=_NEVER,
    spread_from=_NEVER,
    spread_to=_NEVER,
    repeated=0,
    narrow=0,
    narrow_repeated=0,
    large=_NEVER,
    backend="native",
)


class Draft(NamedTuple):
    """What becomes of a schedule.

    Attributes
    ----------
    lowering : Lowering
    works : list of Work
    layout : Memory
    writer : Writer
    """

    lowering: Lowering
    works: list[Work]
    layout: Memory
    writer: Writer


def drafted(
    prepared: Prepared,
    updated: Sequence[Node] = (),
    settings: Settings = _USUAL,
    tables: Tables | None = None,
    lent: Collection[Node] = (),
) -> Draft:
    """Return the loops for a schedule."""
    lowering = Lowering(
        prepared,
        replace(NATIVE, threads=settings.threads),
        {} if tables is None else tables.found(prepared, settings),
        lent,
    )
    for value in (*lowering.given, *lowering.values):
        if value.dtype.kind != "V":  # bfloat16 has one object, and no text that NumPy reads
            value.dtype = np.dtype(value.dtype.str)  # NumPy's own object, by which its arrays are known, and not a copy
    _hand_out(lowering)
    lowering.values = brought_in_order(lowering.values)
    works = in_blocks(works_of(lowering.values, lowering.fetches), lowering.fetches, matmul_kernels.limits.block)
    if settings.threads > 1:
        share(works, settings.threads)
    layout = Memory(works, lowering.fetches, NATIVE.written_over, lowering.over)
    keys = Keys(len(prepared.program.placeholders), [value.node for value in lowering.given], list(updated))
    return Draft(lowering, works, layout, Writer(works, layout, lowering, keys, settings.lines))


class Filling(NamedTuple):
    """The words of a plan's tables, its code, and what else differs from size to size.

    Attributes
    ----------
    given : sequence of Value
    shapes : sequence of tuple of int
        Of what is given.
    arena : int
        The bytes of what is made in between.
    segments : sequence of Filled
    arrays : sequence of array
        The constants.
    code : tuple of code, or None
        Of a step that calls Python.
    arguments : dict of str to object
        What the code gets beside its arena and segments.
    foreign : bool
        Whether it calls a user's operation, or something that may warn.
    """

    given: Sequence[Value]
    shapes: Sequence[tuple[int, ...]]
    arena: int
    segments: Sequence[Filled]
    arrays: Sequence[Array]
    code: tuple[CodeType, ...] | None
    arguments: Mapping[str, object]
    foreign: bool


class Native(Plan):
    """A plan whose works are loops that are called one after the other without Python."""

    def __init__(
        self,
        prepared: Prepared,
        updated: Sequence[Node] = (),
        settings: Settings = _USUAL,
        tables: Tables | None = None,
        lent: Collection[Node] = (),
        filling: Filling | None = None,
    ) -> None:
        self._asked = prepared._replace(given={}), updated, settings, tables, lent
        self.written = []
        self._drafted: Draft | None = None
        if filling is None:
            filling = self._adopted(drafted(prepared, updated, settings, tables, lent))
        self._take(prepared, filling.given, filling.shapes)
        self._filling = filling
        self._quietly = quietly if filling.foreign else None
        self._dtypes = [value.dtype for value in filling.given]
        self._idle = []
        self._steps: list[Any] = []
        self._whole: list[Any] = []

    def _adopted(self, draft: Draft) -> Filling:
        """Have a draft be what becomes of the schedule, and return its words."""
        lowering, writer = draft.lowering, draft.writer
        self._drafted = draft
        self.written = [given.node for given in lowering.over.values()]
        segments = [table.filled() for table in writer.tables]
        arrays = [value.array for value in lowering.values if value.array is not None]
        shapes = [value.shape for value in lowering.given]
        arguments = {name: x.array if isinstance(x, Value) else x for name, x in writer.arguments.items()}
        words = lowering.given, shapes, draft.layout.size, segments, arrays
        return Filling(*words, writer.code, arguments, lowering.foreign)

    @property
    def _draft(self) -> Draft:
        if self._drafted is not None:
            return self._drafted
        # Its words are a pattern's. They may differ in what does not matter, and so it is what is read from now on.
        draft = self._drafted = drafted(*self._asked)
        if draft.writer.code is None:
            self._filling = self._adopted(draft)
            self._steps, self._whole = [], []
        return draft

    @property
    def _lowering(self) -> Lowering:
        return self._draft.lowering

    @property
    def works(self) -> list[Work]:
        """What it does, in order."""
        return self._draft.works

    @property
    def layout(self) -> Memory:
        """Where values lie."""
        return self._draft.layout

    @property
    def segments(self) -> list[Table]:
        """The tables."""
        return self._draft.writer.tables

    @property
    def is_whole(self) -> bool:  # type: ignore[override]
        """Whether a step is one call, which looks up what it is fed, and updates the state."""
        return not self.calls_python and self._settled

    @property
    def calls_python(self) -> bool:
        """Whether anything is called from Python, between segments."""
        return self._filling.code is not None

    @property
    def is_short(self) -> bool:  # type: ignore[override]
        """Whether it is one segment, so short that other threads need not be let run meanwhile."""
        return not self.calls_python and not self._filling.segments[0].words[HEADER.index("long")]

    def iterating(self) -> Callable[[Array, Array], None]:
        """Return a function that runs a short plan once for each row of addresses.

        A row has the addresses of the inputs, then those of the fetches. A second array has two numbers: the column of
        a bool that ends it where it is False, or -1; and how many rows it came to. The function writes the latter, and
        -1 for the former if it has ended. It serves one thread at a time.
        """
        made: Callable[[Array, Array], None] = self._made("iterate")
        return made

    def whole(self, feed: object, state: object) -> tuple[Array, ...] | None:
        """Do a whole step, updates included; return None, with nothing done, if the feed is not just as planned."""
        if self._graph.memory_budget is not None or type(state) is LentDict:  # the loops look at the table itself
            return None
        try:
            step = self._whole.pop()
        except IndexError:
            if self._drafted is None and self.calls < _LASTING:
                return None
            step = self._made("step")
        results: tuple[Array, ...] | None = step(feed, state)
        self._whole.append(step)
        return results

    def forget(self) -> None:
        """Let go of the memory that steps keep for the next values of parameters."""
        for step in list(self._whole):
            step.__self__.last.fill(None)

    def _made(self, name: str = "run") -> Any:
        """Return the step, with memory of its own."""
        filling = self._filling
        arena = np.empty(filling.arena + 64, np.uint8)
        arena = arena[-arena.ctypes.data % 64 :]
        bound = [segment.bound(arena, filling.arrays, name) for segment in filling.segments]
        if filling.code is None:
            return bound[0]
        return defined(filling.code)(arena, bound, **filling.arguments)

    def of(self, given: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the fetches, as a call does."""
        # An array from elsewhere may have a dtype that is equal to NumPy's own, and yet another object.
        given = tuple([x if x.dtype is kind else x.view(kind) for x, kind in zip(given, self._dtypes, strict=True)])
        if self._filling.code is not None:
            return super().of(given)
        try:
            step = self._steps.pop()
        except IndexError:
            step = self._made()
        results: tuple[Array, ...] = step(*given)
        self._steps.append(step)
        return results

    @property
    def loops(self) -> list[Loop]:
        """What the plan does, one after the other, to read; a kernel's ``llvm`` and ``assembly``, too."""
        return loops_of(self.works, self._draft.writer.kernels)

    def explain(self) -> NativeExplanation:
        """Return how each node is computed, and where its value lies in memory."""
        layout = self.layout
        return NativeExplanation(self._lowering, self.works, layout.of, layout.buffers, layout.size, self.loops)

    @property
    def _numpy(self) -> Plan:
        prepared, _, _, tables, _ = self._asked
        return Plan(prepared, _USUAL, tables)

    @property
    def source(self) -> str:  # type: ignore[override]
        """The same as NumPy, to read."""
        return self._numpy.source

    @property
    def arguments(self) -> dict[str, object]:  # type: ignore[override]
        """What `source` is called with."""
        return self._numpy.arguments


def _hand_out(lowering: Lowering) -> None:
    """Have each fetch be an array of its own, which nothing else is."""
    fetches: list[Value] = []
    seen: set[Value] = set()
    for value in lowering.fetches:
        if value.kind not in ("each", "call") or value in seen:
            value = Value(do.Copy(), value.node, value.shape, value.dtype, (value,))
            value.index = len(lowering.values)
            lowering.values.append(value)
        seen.add(value)
        fetches.append(value)
    lowering.fetches = fetches
