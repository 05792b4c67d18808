"""A plan as lists of loops, with calls of NumPy between them where there is no loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...graph.quiet import quietly
from ...ops import rows
from .. import instructions as do
from ..lowering import Lowering
from ..plan import _USUAL, Plan
from ..settings import Settings
from ..values import Value
from .blocking import in_blocks
from .cutting import share
from .explain import Loop, NativeExplanation, loops_of
from .layout import Memory
from .tables import Keys
from .works import works_of
from .writer import Writer

if TYPE_CHECKING:
    from ...graph import Array, Node
    from ..loop import Prepared
    from ..patching import Tables

_NEVER = 2**62
NATIVE = Settings(
    traced=256,
    masked=_NEVER,
    spread_from=_NEVER,
    spread_to=_NEVER,
    repeated=0,
    narrow=0,
    narrow_repeated=0,
    large=_NEVER,
    native=True,
)


class Native(Plan):
    """A plan whose works are loops that are called one after the other without Python.

    Attributes
    ----------
    works : list of Work
    segments : list of Table
    """

    def __init__(
        self,
        prepared: Prepared,
        updated: Sequence[Node] = (),
        settings: Settings = _USUAL,
        tables: Tables | None = None,
        lent: Collection[Node] = (),
    ) -> None:
        lowering = Lowering(
            prepared,
            replace(NATIVE, threads=settings.threads),
            {} if tables is None else tables.found(prepared, settings),
            lent,
        )
        for value in (*lowering.given, *lowering.values):
            value.dtype = np.dtype(value.dtype.str)  # NumPy's own object, by which its arrays are known, and not a copy
        _hand_out(lowering)
        self._take(prepared, lowering)
        self.works = in_blocks(works_of(lowering.values, lowering.fetches), lowering.fetches, rows.limits.block)
        if settings.threads > 1:
            share(self.works, settings.threads)
        self.layout = Memory(self.works, lowering.fetches, NATIVE.written_over, lowering.over)
        self._alike = prepared._replace(given={}), _USUAL, tables
        keys = Keys(self._count, self.given, list(updated))
        writer = Writer(self.works, self.layout, lowering, keys)
        self.segments = writer.tables
        self._kernels = writer.kernels
        self._arena = self.layout.size + 64
        self._arrays = [value.array for value in lowering.values if value.array is not None]
        self._code = writer.code
        self._dtypes = [value.dtype for value in lowering.given]
        self._arguments = writer.arguments
        self._quietly = quietly if lowering.foreign else None
        self._idle = []
        self._steps: list[Any] = []
        self._whole: list[Any] = []
        self._make = self._made

    @property
    def is_whole(self) -> bool:
        """Whether a step is one call, which looks up what it is fed, and updates the state."""
        return self._code is None and self._settled

    def whole(self, feed: object, state: object) -> tuple[Array, ...] | None:
        """Do a whole step, updates included; return None, with nothing done, if the feed is not just as planned."""
        if self._graph.memory_budget is not None:
            return None
        try:
            step = self._whole.pop()
        except IndexError:
            step = self._made("step")
        results: tuple[Array, ...] | None = step(feed, state)
        self._whole.append(step)
        return results

    def forget(self) -> None:
        """Let go of the memory that steps keep for the next values of parameters."""
        for step in list(self._whole):
            step.__self__.last.fill(None)

    def _made(self, name: str = "run", **_: object) -> Any:
        """Return the step, with memory of its own."""
        arena = np.empty(self._arena, np.uint8)
        arena = arena[-arena.ctypes.data % 64 :]
        bound = [table.bound(arena, self._arrays, name) for table in self.segments]
        if self._code is None:
            return bound[0]
        space: dict[str, Any] = {}
        exec(self._code, space)  # noqa: S102 - written here, and of nothing but numbers and names
        return space["plan"](arena, bound, **self._arguments)

    def of(self, given: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the fetches, as a call does."""
        # An array from elsewhere may have a dtype that is equal to NumPy's own, and yet another object.
        given = tuple([x if x.dtype is kind else x.view(kind) for x, kind in zip(given, self._dtypes, strict=True)])
        if self._code is not None:
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
        return loops_of(self.works, self._kernels)

    def explain(self) -> NativeExplanation:
        """Return how each node is computed, and where its value lies in memory."""
        layout = self.layout
        return NativeExplanation(self._lowering, self.works, layout.of, layout.buffers, layout.size, self.loops)

    @property
    def source(self) -> str:  # type: ignore[override]
        """The same as NumPy, to read."""
        return Plan(*self._alike).source

    @property
    def arguments(self) -> dict[str, object]:  # type: ignore[override]
        """What `source` is called with."""
        return Plan(*self._alike).arguments


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
