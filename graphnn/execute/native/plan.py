"""A plan as lists of loops, with calls of NumPy between them where there is no loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...graph.quiet import quietly
from .. import instructions as do
from ..buffers import Buffer, _place
from ..lowering import Lowering
from ..plan import Plan
from ..printer import _called, _expression, _Names, _written, literal
from ..settings import Settings
from ..values import Value, in_c_order, lying
from .addresses import loop_of
from .engine import engine
from .explain import Loop, NativeExplanation, loops_of
from .kernels import Kernel, Line, Operand, written
from .runtime import own_loops
from .tables import Call, Pointer, Table
from .works import Work, along, is_same, place_of, reduced, spread, squeezed, works_of

if TYPE_CHECKING:
    from ...graph import Array, Node
    from ..loop import Prepared

_NEVER = 2**62
NATIVE = Settings(
    masked=_NEVER, spread_from=_NEVER, spread_to=_NEVER, repeated=0, narrow=0, narrow_repeated=0, large=_NEVER
)
_LONG = 10**5
"""Elements from which a segment lets other threads run: about as many microseconds as it takes to let them."""


class Native(Plan):
    """A plan whose works are loops that are called one after the other without Python.

    Attributes
    ----------
    works : list of Work
    segments : list of Table
    """

    def __init__(self, prepared: Prepared, updated: Sequence[Node] = ()) -> None:
        lowering = Lowering(prepared, NATIVE)
        _hand_out(lowering)
        self._take(prepared, lowering)
        self.works = works_of(lowering.values, lowering.fetches)
        self.layout = _Layout(self.works, lowering.fetches)
        self._prepared = prepared._replace(given={})
        keys = self._count, self.given, list(updated)
        writer = _Writer(self.works, self.layout, lowering, keys)
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
        return NativeExplanation(self._lowering, self.works, layout.of, layout.buffers, layout.size)

    @property
    def source(self) -> str:  # type: ignore[override]
        """The same as NumPy, to read."""
        return Plan(self._prepared).source

    @property
    def arguments(self) -> dict[str, object]:  # type: ignore[override]
        """What `source` is called with."""
        return Plan(self._prepared).arguments


def laid(array: Array, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array that lies as a plan takes it to: the same one, if it does so already."""
    if array.dtype is not dtype and array.dtype == dtype:
        array = array.view(dtype)
    if array.flags.aligned and array.shape == shape and lying(shape, array.strides) == lying(shape, strides):
        return array
    order = sorted(range(len(shape)), key=lambda axis: -abs(strides[axis]))
    copy = np.empty([shape[axis] for axis in order], array.dtype).transpose(np.argsort(order))
    copy[...] = array
    return copy


def _hand_out(lowering: Lowering) -> None:
    """Have each fetch be an array of its own, which nothing else is."""
    fetches: list[Value] = []
    for value in lowering.fetches:
        if value.kind not in ("each", "call") or value in fetches:
            value = Value(do.Copy(), value.node, value.shape, value.dtype, (value,))
            value.index = len(lowering.values)
            lowering.values.append(value)
        fetches.append(value)
    lowering.fetches = fetches


# --- memory -------------------------------------------------------------------------------------------------------


class _Layout:
    """Where values lie: in an arena, but for what is given, constant, made by Python's calls, or handed out."""

    def __init__(self, works: Sequence[Work], fetches: Sequence[Value]) -> None:
        self.of: dict[Value, Buffer] = {}
        self.parts: dict[Value, Buffer] = {}
        self._handed_out = set(fetches)
        self._last = last = _last_uses(works)
        self.buffers = buffers = list[Buffer]()
        for at, work in enumerate(works):
            free = self._donors(work, at)
            for value in work.values:
                if value.kind not in ("each", "call") or value in work.inner or value in self._handed_out:
                    continue
                donor = next((x for x in free if x.nbytes == value.nbytes and x.dtype == value.dtype), None)
                if donor is not None:
                    free.remove(donor)
                    buffer = self.of[donor]
                else:
                    buffer = Buffer(value.nbytes, at, at)
                    buffers.append(buffer)
                buffer.values.append(value)
                buffer.end = max(buffer.end, last.get(value, at))
                self.of[value] = buffer
            for value in work.values:
                if value.blocks is not None and value.blocks.along == 1:
                    self.parts[value] = part = Buffer(value.nbytes, at, at)
                    buffers.append(part)
        self.size = _place(buffers, 0, 0)

    def _donors(self, work: Work, at: int) -> list[Value]:
        """Return what is read here for the last time, element by element, and may be written over."""
        if work.how == "python" or work.values[0].kind != "each":
            return []
        found: dict[Value, bool] = {}
        for value in work.values:
            for x in value.operands:
                if x.root not in work.values:
                    same = is_same(x, value)
                    found[x.root] = found.get(x.root, True) and same
        dying = [x for x, same in found.items() if same and x in self.of and self._last[x] == at and x.size > 1]
        return [x for x in dying if self.of[x].values[-1] is x]

    def pointer(self, value: Value) -> Pointer:
        """Return where a value's first element lies."""
        place = place_of(value)
        assert place is not None
        root = place.root
        if root in self.of:
            return Pointer("arena", self.of[root].offset + place.offset)
        if root.kind == "constant":
            assert root.array is not None
            return Pointer("fixed", root.array.ctypes.data + place.offset)
        return Pointer(root, place.offset)


def _last_uses(works: Sequence[Work]) -> dict[Value, int]:
    last: dict[Value, int] = {}
    for at, work in enumerate(works):
        for value in work.values:
            for x in value.operands:
                last[x.root] = at
    for work in reversed(works):
        for value in work.values:
            if value.kind == "fresh":  # it may be an operand, or show one
                for x in value.operands:
                    last[x.root] = max(last[x.root], last.get(value, 0))
    return last


# --- calls --------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes works as calls of loops, and what is not one as a line of Python.

    Attributes
    ----------
    tables : list of Table
    code : code or None
        Of the step, if it is not a single segment.
    arguments : dict
        What the code gets beside its arena and segments.
    """

    def __init__(
        self,
        works: Sequence[Work],
        layout: _Layout,
        lowering: Lowering,
        keys: tuple[int, Sequence[object], Sequence[object]],
    ) -> None:
        self._layout = layout
        self._lowering = lowering
        self._names = names = _Names(lowering)
        self._laid: set[Value] = set()
        self._head: list[str] = []
        self._body: list[str] = []
        self.tables: list[Table] = []
        self.code: Any = None
        self._kernels = self._compiled(works)
        segments = list(_segments(works))
        self._made_in: dict[Value, int] = {}
        if len(segments) == 1 and segments[0][0].how != "python":
            results = lowering.fetches
            if lowering.fetches:
                self.tables.append(self._table(segments[0], lowering.given, results, keys))
                self.arguments: dict[str, object] = {}
                return
        for part in segments:
            if part[0].how == "python":
                self._from_python(part[0])
            else:
                self._segment(part)
        self.arguments = {
            "laid__": laid,
            **{called: function for function, called in names.functions.items()},
            **{names[value]: value.array for value in lowering.values if value.kind == "constant"},
        }
        text = self._text()
        self.code = compile(text, "<native plan>", "exec")

    def _text(self) -> str:
        names = self._names
        words = ", ".join(sorted({*names.numpy, "dtype", "empty", "ndarray", "asarray"}))
        given = ", ".join(names[value] for value in self._lowering.given)
        returned = ", ".join(names[value] for value in self._lowering.fetches)
        lines = [
            f"from numpy import {words}",
            f"def plan({', '.join(['arena', 'segments__', *self.arguments])}):",
            *[f"    segment__{i} = segments__[{i}]" for i in range(len(self.tables))],
            *[f"    {line}" for line in self._head],
            f"    def step({given}):",
            *[f"        {line}" for line in self._body],
            f"        return ({returned}{',' * (len(self._lowering.fetches) == 1)})",
            "    return step",
            "",
        ]
        return "\n".join(lines)

    # --- from Python ----------------------------------------------------------------------------------------

    def _from_python(self, work: Work) -> None:
        (value,) = work.values
        names = self._names
        for x in value.operands:
            self._view(x)
        operands = [names[x] for x in value.operands]
        if value.kind == "fresh":
            self._body.append(f"{names[value]} = {_expression(value, operands, names)}")
            if value.strides is not None:
                laid = f"{literal(value.shape)}, {literal(value.strides)}, dtype({_called(value.dtype)})"
                self._body.append(f"{names[value]} = laid__({names[value]}, {laid})")
            return
        if value.kind != "check":
            if value in self._layout.of:
                self._view(value)
            else:
                self._body.append(f"{names[value]} = empty({literal(value.shape)}, {_called(value.dtype)})")
        self._body += _written(value, operands, names[value], names)

    def _view(self, value: Value) -> None:
        """Have a name for an array that Python reads or writes."""
        if value in self._laid or value.kind in ("constant", "given"):
            return
        root = value.root
        if value.kind in ("view", "check"):
            self._view(value.operands[0])
            if value.kind == "check":
                return
            (x,) = value.operands
            line = f"{self._names[value]} = {_expression(value, [self._names[x]], self._names)}"
            (self._head if root in self._layout.of or root.kind == "constant" else self._body).append(line)
        elif value in self._layout.of:
            offset = literal(self._layout.of[value].offset)
            made = f"ndarray({literal(value.shape)}, {_called(value.dtype)}, arena, {offset})"
            self._head.append(f"{self._names[value]} = {made}")
        self._laid.add(value)

    # --- segments -------------------------------------------------------------------------------------------

    def _segment(self, works: Sequence[Work]) -> None:
        made = {value for work in works for value in work.values}
        results = [value for value in self._lowering.fetches if value in made]
        read = {x.root: None for work in works for value in work.values for x in value.operands}
        moving = [x for x in read if x not in self._layout.of and x.kind != "constant" and x not in made]
        table = self._table(works, moving, results)
        names = self._names
        call = f"segment__{len(self.tables)}({', '.join(names[x] for x in moving)})"
        got = ", ".join(names[value] for value in results)
        self._body.append(f"{got}{',' * (len(results) == 1)} = {call}" if results else call)
        self.tables.append(table)

    def _table(
        self,
        works: Sequence[Work],
        given: Sequence[Value],
        results: Sequence[Value],
        keys: tuple[int, Sequence[object], Sequence[object]] | None = None,
    ) -> Table:
        calls = [call for work in works for call in self._calls(work)]
        size = sum(value.size for work in works for value in work.values)
        size += sum(
            value.size * value.operands[0].shape[-1] // 8
            for work in works
            for value in work.values
            if isinstance(value.how, do.Product)
        )
        return Table(calls, given, results, size > _LONG, keys)

    def _calls(self, work: Work) -> Iterator[Call]:
        value = work.values[0]
        point = self._layout.pointer
        if work in self._kernels:
            yield self._kernels[work]()
            return
        if not value.size and not isinstance(value.how, do.Check):
            return
        operands = value.operands
        pointers = [point(x) for x in operands]
        match value.how:
            case do.Ufunc(ufunc, loop):
                found = loop_of(ufunc, loop)
                assert found is not None
                steps = [along(x, value) or 0 for x in operands]
                steps.append(value.dtype.itemsize if value.size > 1 else 0)
                yield Call(found.address, (*pointers, point(value)), (value.size,), tuple(steps), found.data)
            case do.Reduce(ufunc):
                sizes, loop = reduced(value), loop_of(ufunc, (value.dtype,) * 3)
                assert sizes is not None
                assert loop is not None
                begins = ufunc in (np.maximum, np.minimum)
                number = np.asarray(int(ufunc is np.multiply), value.dtype).tobytes().ljust(8, b"\0")
                data = (loop.address, loop.data, value.dtype.itemsize, int(begins), int.from_bytes(number, "little"))
                yield Call(own_loops()["reduce"], (pointers[0], point(value)), sizes, (), data)
            case do.Product():
                yield from self._products(value)
            case do.Gather():
                function = own_loops()[f"gather{value.dtype.itemsize}"]
                yield Call(function, (*pointers, point(value)), (value.size,), ())
            case do.Scatter():
                function = own_loops()[f"scatter{value.dtype.itemsize}"]
                sizes_, step = (operands[1].size, value.nbytes), int(operands[0].size > 1)
                yield Call(function, (*pointers, point(value)), sizes_, (step,))
            case do.Check(classes):
                yield Call(own_loops()["check"], (pointers[0],), (value.size, classes), (), None)
            case _:
                raise AssertionError(value.how)

    def _products(self, value: Value) -> Iterator[Call]:
        loop = loop_of(np.matmul, (value.dtype,) * 3)
        assert loop is not None
        x, y = value.operands
        out, part = self._layout.pointer(value), self._layout.parts.get(value)
        (xs, ys), zs = [_strides(each) for each in (x, y)], in_c_order(value.shape, value.dtype)
        starts = [self._layout.pointer(each) for each in (x, y)]
        m, k, n = *x.shape[-2:], y.shape[-1]

        def product(a: Pointer, b: Pointer, c: Pointer, m: int, k: int) -> Call:
            steps = (0, 0, 0, *xs[-2:], *ys[-2:], *zs[-2:])
            return Call(loop.address, (a, b, c), (1, m, k, n), steps, loop.data)

        blocks = value.blocks
        if blocks is None:
            stacks = value.shape[:-2]
            for index in np.ndindex(*stacks):
                a, b = (
                    _moved(start, index, each.shape[:-2], strides[:-2])
                    for start, each, strides in zip(starts, (x, y), (xs, ys), strict=True)
                )
                yield product(a, b, _moved(out, index, stacks, zs[:-2]), m, k)
        elif blocks.along == 0:
            for start in range(0, m, blocks.rows):
                rows = min(blocks.rows, m - start)
                a, c = _by(starts[0], start * xs[-2]), _by(out, start * zs[-2])
                yield product(a, starts[1], c, rows, k)
        else:
            assert part is not None
            add = loop_of(np.add, (value.dtype,) * 3)
            assert add is not None
            size = value.dtype.itemsize
            here = Pointer("arena", part.offset)
            yield Call(own_loops()["fill0"], (out,), (value.nbytes,), ())
            for start in range(0, k, blocks.rows):
                rows = min(blocks.rows, k - start)
                yield product(_by(starts[0], start * xs[-1]), _by(starts[1], start * ys[-2]), here, m, rows)
                yield Call(add.address, (out, here, out), (value.size,), (size,) * 3, add.data)

    # --- fused ----------------------------------------------------------------------------------------------

    def _compiled(self, works: Sequence[Work]) -> dict[Work, Any]:
        """Compile all kernels at once; return what makes the call of each."""
        register = engine().register
        found = {work: _fused(work) for work in works if work.how == "fused" and work.values[0].size}
        texts = {work: written(kernel, register) for work, (kernel, *_) in found.items()}
        addresses = engine().functions(list(texts.values()))
        made = {}
        for (work, (_, reads, writes, sizes, steps)), address in zip(found.items(), addresses, strict=True):

            def call(
                address: int = address,
                parts: Sequence[Value] = (*reads, *writes),
                sizes: tuple[int, ...] = sizes,
                steps: tuple[int, ...] = steps,
            ) -> Call:
                return Call(address, tuple(self._layout.pointer(x) for x in parts), sizes, steps)

            made[work] = call
        self.kernels = {work: kernel for work, (kernel, *_) in found.items()}
        return made


def _strides(value: Value) -> tuple[int, ...]:
    place = place_of(value)
    assert place is not None
    return place.strides


def _moved(start: Pointer, index: Sequence[int], shape: Sequence[int], strides: Sequence[int]) -> Pointer:
    mine = list(index)[len(index) - len(shape) :] if shape else []
    return _by(start, sum(i * step for i, n, step in zip(mine, shape, strides, strict=True) if n > 1))


def _by(start: Pointer, offset: int) -> Pointer:
    return Pointer(start.of, start.offset + offset)


def _segments(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Yield runs of works that need nothing of Python, and each other work by itself."""
    run: list[Work] = []
    for work in works:
        if work.how == "python":
            if run:
                yield run
            yield [work]
            run = []
        else:
            run.append(work)
    if run:
        yield run


def _fused(work: Work) -> tuple[Kernel, list[Value], list[Value], tuple[int, ...], tuple[int, ...]]:
    """Return a group as a kernel; what it reads and writes, and the sizes and steps of its loops."""
    shape = work.values[0].shape
    sizes = squeezed(shape)
    own = set(work.values)
    reads: dict[tuple[Value, int, tuple[int, ...]], int] = {}
    values: list[Value] = []
    strides: list[tuple[int, ...]] = []
    for value in work.values:
        for x in value.operands:
            if x.root not in own:
                place = place_of(x)
                assert place is not None
                steps = spread(place, x.shape, value.shape)
                key = place.root, place.offset, steps
                if key not in reads:
                    reads[key] = len(reads)
                    values.append(x)
                    strides.append(steps)
    lines: list[Line] = []
    places: dict[Value, int] = {}

    def add(name: str, takes: str, gives: str, operands: Sequence[int]) -> int:
        lines.append(Line(name, takes, gives, tuple(operands)))
        return len(values) + len(lines) - 1

    def read(x: Value, value: Value, dtype: np.dtype[Any]) -> int:
        if x.root in own:
            at = places[x.root]
        else:
            place = place_of(x)
            assert place is not None
            at = reads[place.root, place.offset, spread(place, x.shape, value.shape)]
        return at if x.dtype == dtype else add("cast", x.dtype.char, dtype.char, [at])

    for value in work.values:
        how, operands = value.how, value.operands
        dtypes = [x.dtype for x in operands]
        name = "positive"
        if isinstance(how, do.Ufunc):
            dtypes, name = list(how.loop[:-1]), how.ufunc.__name__
        elif isinstance(how, do.Clip):
            name = "clip"
        elif isinstance(how, do.Select):
            name = "select"
        elif isinstance(how, do.Cast):
            dtypes, name = [value.dtype], "positive"
        at = [read(x, value, dtype) for x, dtype in zip(operands, dtypes, strict=True)]
        chars = "".join(dtype.char for dtype in dtypes)
        places[value] = at[0] if name == "positive" else add(name, chars, value.dtype.char, at)
    outputs = [value for value in work.values if value not in work.inner]
    strides += [in_c_order(sizes, value.dtype) for value in outputs]
    merged, steps = _merged(sizes, strides)
    items = [x.dtype.itemsize for x in (*values, *outputs)]
    chars = [x.dtype.char for x in (*values, *outputs)]
    ways = ["each" if s == item else "same" if s == 0 else "apart" for s, item in zip(steps[-1], items, strict=True)]
    parts = [Operand(char, way) for char, way in zip(chars, ways, strict=True)]  # type: ignore[arg-type]
    kernel = Kernel(
        len(merged),
        tuple(parts[: len(values)]),
        tuple(lines),
        tuple((places[value], part) for value, part in zip(outputs, parts[len(values) :], strict=True)),
    )
    return kernel, values, outputs, merged, tuple(step for axis in steps for step in axis)


def _merged(
    sizes: tuple[int, ...], strides: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """Return the axes that are left when those are merged that lie one behind the other for all operands."""
    if not sizes:
        return (1,), [tuple(0 for _ in strides)]
    found = [sizes[0]]
    steps = [[one[0] for one in strides]]
    for axis in range(1, len(sizes)):
        mine = [one[axis] for one in strides]
        if all(before == step * sizes[axis] for before, step in zip(steps[-1], mine, strict=True)):
            found[-1] *= sizes[axis]
            steps[-1] = mine
        else:
            found.append(sizes[axis])
            steps.append(mine)
    return tuple(found), [tuple(step) for step in steps]
