"""Works as calls of loops in tables; and as lines of Python, where there is no loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from operator import mul
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler import intermediate_representation as do
from ..compiler.codegen_functions import Part, compiled, written_out
from ..compiler.ir_values import in_c_order, lying
from ..compiler.numpy_codegen import _called, _expression, _Names, _written, literal
from . import thread_parts
from .axis_calls import calls_along
from .fused_kernel_loops import written
from .kernel_fusion import Fused, fused, joined
from .llvm import Address, engine
from .llvm_reductions import GOES_ON, own_reduction
from .llvm_runtime import own_loops
from .loop_tables import Call, Keys, Pointer, Repeated, Table, Together
from .row_blocks import flat
from .ufunc_addresses import loop_of
from .work_list import along, place_of, reduced, reduced_again, stacks_of

if TYPE_CHECKING:
    from ..compiler.ir_values import Value
    from ..compiler.lowering import Lowering
    from ..core import Array
    from .value_layout import Memory
    from .work_list import Work

_LONG = 10**5
"""Elements from which a segment lets other threads run: about as many microseconds as it takes to let them."""
_LARGE, _FEW = 2**22, 8
"""The multiplications of a product of which few are done in one go, and how many: they take a millisecond or more."""


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


class Writer:
    """Writes works as calls of loops, and what is not one as a line of Python.

    Attributes
    ----------
    tables : list of Table
    code : tuple of code, or None
        Of the step, if it is not a single segment.
    arguments : dict
        What the code gets beside its arena and segments.
    """

    def __init__(
        self,
        works: Sequence[Work],
        memory: Memory,
        lowering: Lowering,
        keys: Keys,
        most: int,
    ) -> None:
        self._memory = memory
        self._lowering = lowering
        self._laid: set[Value] = set()
        self._parts: list[Part] = []
        self._head: list[str] = []
        self._body: list[str] = []
        self.tables: list[Table] = []
        self.code: tuple[CodeType, ...] | None = None
        self.arguments: dict[str, object] = {}
        self._kernels = self._compiled(works)
        segments = list(_segments(works))
        self._made_in: dict[Value, int] = {}
        if len(segments) == 1 and segments[0][0].how != "python" and not lowering.over:
            results = lowering.fetches
            if lowering.fetches:
                self.tables.append(self._table(segments[0], lowering.given, results, keys))
                return
        self._names = names = _Names(lowering)
        for part in segments:
            if part[0].how == "python":
                self._from_python(part[0])
            else:
                self._segment(part)
            if len(self._head) + len(self._body) >= most:
                self._end_part()
        self._end_part()
        self.arguments = {
            "laid__": laid,
            **{called: function for function, called in names.functions.items()},
            **{names[value]: value for value in lowering.values if value.kind == "constant"},
        }
        if lowering.recording:
            self.arguments["sizes__"] = None
        self.code = tuple(compiled(self._texts(), "<native plan>"))

    def _end_part(self) -> None:
        self._parts.append(Part(self._head, self._body))
        self._head, self._body = [], []

    def _texts(self) -> list[str]:
        names = self._names
        words = sorted({*names.numpy, "dtype", "empty", "ndarray", "asarray"})
        given = [names[value] for value in self._lowering.given]
        returned = "".join(f"{names[value]}, " for value in self._lowering.fetches)
        return written_out(self._parts, words, ["arena", "segments__", *self.arguments], given, f"({returned})")

    # --- from Python ----------------------------------------------------------------------------------------

    def _from_python(self, work: Work) -> None:
        (value,) = work.values
        names = self._names
        for x in value.operands:
            self._view(x)
        operands = [names[x] for x in value.operands]
        if value.kind == "fresh" or isinstance(value.how, do.Patch):
            self._body.append(f"{names[value]} = {_expression(value, operands, names)}")
            if value.kind == "fresh" and value.strides is not None:
                laid = f"{literal(value.shape)}, {literal(value.strides)}, dtype({_called(value.dtype)})"
                self._body.append(f"{names[value]} = laid__({names[value]}, {laid})")
            return
        if value.kind != "check":
            if value in self._memory.of:
                self._view(value)
            elif value not in self._memory.given:
                self._body.append(f"{names[value]} = empty({literal(value.shape)}, {_called(value.dtype)})")
        self._body += _written(value, operands, names[value], names)

    def _view(self, value: Value) -> None:
        """Have a name for an array that Python reads or writes."""
        chain = [value]
        while chain[-1].kind in ("view", "check") and chain[-1] not in self._laid:
            chain.append(chain[-1].operands[0])
        for each in reversed(chain):
            if each in self._laid or each.kind in ("constant", "given", "check"):
                continue
            self._laid.add(each)
            name, root = self._names[each], each.root
            if each.kind == "view":
                line = f"{name} = {_expression(each, [self._names[each.operands[0]]], self._names)}"
                (self._head if root in self._memory.of or root.kind == "constant" else self._body).append(line)
            elif each in self._memory.of:
                offset = literal(self._memory.of[each].offset)
                self._head.append(f"{name} = ndarray({literal(each.shape)}, {_called(each.dtype)}, arena, {offset})")

    # --- segments -------------------------------------------------------------------------------------------

    def _segment(self, works: Sequence[Work]) -> None:
        made = {value for work in works for value in work.values}
        given = self._memory.given
        results = [value for value in self._lowering.fetches if value in made and value not in given]
        read = {given.get(x.root, x.root): None for work in works for value in work.values for x in value.operands}
        moving = [x for x in read if x not in self._memory.of and x.kind != "constant" and x not in made]
        table = self._table(works, moving, results)
        names = self._names
        number = len(self.tables)
        self._head.append(f"segment__{number} = segments__[{number}]")
        call = f"segment__{number}({', '.join(names[x] for x in moving)})"
        got = ", ".join(names[value] for value in results)
        self._body.append(f"{got}{',' if len(results) == 1 else ''} = {call}" if results else call)
        self.tables.append(table)

    def _table(
        self,
        works: Sequence[Work],
        given: Sequence[Value],
        results: Sequence[Value],
        keys: Keys | None = None,
    ) -> Table:
        calls = [call for work in works for call in self._calls(work)]
        size = sum(_elements(value) for work in works for value in work.values)
        threads = max(work.threads for work in works)
        return Table(calls, given, results, size > _LONG or threads > 1, keys, threads)

    def _calls(self, work: Work) -> Iterator[Call | Repeated | Together]:
        value = work.values[0]
        point = self._memory.pointer
        if work.parts:
            yield from self._blocks(work)
            return
        if work in self._kernels:
            each, address = self._kernels[work]
            whole = Call(address, tuple(map(point, each.parts)), each.sizes, each.steps)
            yield thread_parts.cut(whole, work.threads, by_rows=each.kernel.narrow > 0)
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
                whole = Call(found.address, (*pointers, point(value)), (value.size,), tuple(steps), found.data)
                yield thread_parts.cut(whole, work.threads)
            case do.Join(fill=fill):
                if fill:
                    yield Call(own_loops()["fill0"], (point(value),), (value.nbytes,), ())
                for each, offset, address in self._joins[value]:
                    at = [_by(point(x), offset) if x is value else point(x) for x in each.parts]
                    yield Call(address, tuple(at), each.sizes, each.steps)
            case do.Reduce():
                yield from self._reduction(value, work.threads)
            case do.Along():
                yield from calls_along(value, pointers, point(value))
            case do.Product():
                yield from self._products(value)
            case do.Gather():
                function = own_loops()[f"gather{value.dtype.itemsize}"]
                yield Call(function, (*pointers, point(value)), (value.size, operands[0].size), (), None)
            case do.Scatter():
                function = own_loops()[f"scatter{value.dtype.itemsize}"]
                sizes_, step = (operands[1].size, value.size), int(operands[0].size > 1)
                yield Call(function, (*pointers, point(value)), sizes_, (step,), None)
            case do.Check(classes):
                yield Call(own_loops()["check"], (pointers[0],), (value.size, classes), (), None)
            case _:
                raise AssertionError(value.how)

    def _reduction(self, value: Value, threads: int) -> Iterator[Call | Repeated | Together]:
        assert isinstance(value.how, do.Reduce)
        ufunc, size = value.how.ufunc, value.dtype.itemsize
        found = loop_of(ufunc, (value.dtype,) * 3)
        again, *sizes = reduced_again(value) or (1, *(reduced(value) or ()))
        assert found is not None
        begins = int(ufunc in (np.maximum, np.minimum))
        number = np.asarray(int(ufunc in (np.multiply, np.logical_and)), value.dtype).tobytes().ljust(8, b"\0")
        data = (found.address, found.data, size, begins, int.from_bytes(number, "little"))
        x, out = self._memory.pointer(value.operands[0]), self._memory.pointer(value)
        own = own_reduction(ufunc, value.dtype, along=sizes[2] == 1)
        whole = Call(own or own_loops()["reduce"], (x, out), tuple(sizes), (), data)
        yield thread_parts.cut_reduction(whole, threads, size)
        part = math.prod(sizes) * size
        for first, times in _in_goes(again - 1, thread_parts.limits.times):
            on = whole._replace(arguments=(_by(x, (first + 1) * part), out), data=(*data[:3], GOES_ON, data[4]))
            yield Repeated([on], [(part, 0)], times)

    def _product(self, value: Value, m: int, k: int, *ends: Pointer) -> Call:
        """Return the call for a product of so many rows, and of rows and columns so long, that lie as a value's."""
        loop = loop_of(np.matmul, (value.dtype,) * 3)
        assert loop is not None
        x, y = value.operands
        (xs, ys), zs = [_strides(each) for each in (x, y)], in_c_order(value.shape, value.dtype)
        n = y.shape[-1] if len(y.shape) > 1 else 1
        # A vector has one axis fewer than the loop takes, and does not step along that.
        row, column = xs[-2] if len(x.shape) > 1 else 0, ys[-1] if len(y.shape) > 1 else 0
        along = ys[-2] if len(y.shape) > 1 else ys[-1]
        last = zs[-1] if len(y.shape) > 1 else 0
        first = zs[len(stacks_of(value))] if len(x.shape) > 1 else 0
        # The loop could go along a stack by itself, and would move on the pointers in the table.
        steps = (0, 0, 0, row, xs[-1], along, column, first, last)
        return Call(loop.address, ends, (1, m, k, n), steps, loop.data)

    def _products(self, value: Value) -> Iterator[Call | Repeated]:
        x, y = value.operands
        out, part = self._memory.pointer(value), self._memory.parts.get(value)
        (xs, ys), zs = [_strides(each) for each in (x, y)], in_c_order(value.shape, value.dtype)
        starts = [self._memory.pointer(each) for each in (x, y)]
        k, m = x.shape[-1], x.shape[-2] if len(x.shape) > 1 else 1
        blocks = value.blocks
        if blocks is None:
            yield from self._stacked(value, starts, out, m, k)
        elif blocks.along == 0:
            for start, times, rows in _blocks_of(m, blocks.rows):
                a, c = _by(starts[0], start * xs[-2]), _by(out, start * zs[-2])
                advance = rows * xs[-2], 0, rows * zs[-2]
                yield Repeated([self._product(value, rows, k, a, starts[1], c)], [advance], times)
        else:
            assert part is not None
            here = Pointer("arena", part.offset)
            yield Call(own_loops()["fill0"], (out,), (value.nbytes,), ())
            for start, times, rows in _blocks_of(k, blocks.rows):
                a, b = _by(starts[0], start * xs[-1]), _by(starts[1], start * ys[-2])
                calls = self._product(value, m, rows, a, b, here), self._addition(value)
                yield Repeated(calls, [(rows * xs[-1], rows * ys[-2], 0), (0, 0, 0)], times)

    def _stacked(
        self, value: Value, starts: Sequence[Pointer], out: Pointer, m: int, k: int
    ) -> Iterator[Call | Repeated]:
        """Yield the calls for products, which are repeated along the first axis of a stack."""
        stacks = stacks_of(value)
        steps = [_steps_along(stacks, each.shape[:-2], _strides(each)) for each in value.operands]
        steps.append(in_c_order(value.shape, value.dtype)[: len(stacks)])
        if not stacks:
            yield self._product(value, m, k, *starts, out)
            return
        each = value.size // math.prod(stacks) * k
        most = thread_parts.limits.times if each <= _LARGE else _FEW
        inside, ways = list(product(*map(range, stacks[1:]))), list(zip([*starts, out], steps, strict=True))
        # Small ones are gone through in the order in which they lie.
        together = [inside] if each * len(inside) <= _LARGE else [[index] for index in inside]
        advance = tuple([own[0] for own in steps])
        for (first, times), some in product(_in_goes(stacks[0], most), together):
            ends = [[_by(start, sum(map(mul, (first, *index), own))) for start, own in ways] for index in some]
            yield Repeated([self._product(value, m, k, *three) for three in ends], [advance] * len(some), times)

    # --- blocks -----------------------------------------------------------------------------------------------

    def _blocks(self, work: Work) -> Iterator[Call | Repeated | Together]:
        """Yield the calls for all blocks, and those for the rows that are left."""
        added_up = [value for value in work.values if value.blocks is not None and value.blocks.along == 1]
        for value in added_up:
            yield Call(own_loops()["fill0"], (self._memory.pointer(value),), (value.nbytes,), ())
        times, rest = divmod(work.length, work.rows)
        for start, count in _in_goes(times, thread_parts.limits.times):
            if work.threads == 1:
                yield self._repeated(work, start, count)
                continue
            ranges = enumerate(pairwise(thread_parts.bounds(count, work.threads)))
            yield Together([self._repeated(work, start + i, j - i, part, kept=i) for part, (i, j) in ranges])
            for value in added_up:
                yield Repeated([self._addition(value)], [(0, value.nbytes, 0)], count)
        if rest > 0:
            yield from (call for call, _ in self._block(work, times * work.rows, rest))

    def _repeated(self, work: Work, first: int, times: int, part: int = 0, kept: int | None = None) -> Repeated:
        """Return the calls for some blocks, the first of which is this one."""
        found = list(self._block(work, first * work.rows, work.rows, part, kept))
        return Repeated([call for call, _ in found], [advance for _, advance in found], times)

    def _block(
        self, work: Work, first: int, rows: int, part: int = 0, kept: int | None = None
    ) -> Iterator[tuple[Call, tuple[int, ...]]]:
        """Yield the calls for a block that begins with a row; and how far their arguments move on to the next block.

        Parameters
        ----------
        work : Work
        first, rows : int
        part : int
            Of the work, for a thread: each has memory of its own for what only parts read.
        kept : int, optional
            Where what is to be added up is kept until all parts are done: the place of the block among those of them.
        """
        n = work.length
        for each in work.parts:
            if each in self._kernels:
                kernel, address = self._kernels[each]
                count = kernel.sizes[0] // n
                call = Call(address, (), kernel.sizes, kernel.steps)
                values = kernel.parts
                steps = [count * step for step in kernel.steps[: len(values)]]
            else:
                value = each.values[0]
                values = [*value.operands, value]
                if isinstance(value.how, do.Product):
                    yield from self._block_of_product(work, value, first, rows, part, kept)
                    continue
                (found,) = self._calls(each)
                assert isinstance(found, Call)
                call = found
                count = call.dimensions[0] // n
                by_rows = isinstance(value.how, do.Reduce)
                steps = [x.nbytes // n for x in values] if by_rows else [count * step for step in call.steps]
            steps = [0 if x.root in work.scratch else step for x, step in zip(values, steps, strict=True)]
            starts = [self._memory.of_part(work, part, x) for x in values]
            pointers = [_by(start, first * step) for start, step in zip(starts, steps, strict=True)]
            sizes = rows * count, *call.dimensions[1:]
            yield call._replace(arguments=tuple(pointers), dimensions=sizes), tuple(step * rows for step in steps)

    def _block_of_product(
        self, work: Work, value: Value, first: int, rows: int, part: int, kept: int | None
    ) -> Iterator[tuple[Call, tuple[int, ...]]]:
        x, y = value.operands
        (xs, ys), zs = [_strides(each) for each in (x, y)], in_c_order(value.shape, value.dtype)
        assert value.blocks is not None
        by_rows = value.blocks.along == 0
        whole = (xs[-2], 0, zs[-2]) if by_rows else (xs[-1], ys[-2], 0)
        values = x, y, value
        steps = [0 if each.root in work.scratch else step for each, step in zip(values, whole, strict=True)]
        starts = [self._memory.of_part(work, part, each) for each in values]
        a, b, c = (_by(start, first * step) for start, step in zip(starts, steps, strict=True))
        m, k = (rows, x.shape[1]) if by_rows else (x.shape[0], rows)
        advance = tuple(step * rows for step in steps)
        if by_rows:
            yield self._product(value, m, k, a, b, c), advance
            return
        here = Pointer("arena", self._memory.parts[value].offset + (kept or 0) * value.nbytes)
        yield self._product(value, m, k, a, b, here), (*advance[:2], 0 if kept is None else value.nbytes)
        if kept is None:
            yield self._addition(value), (0, 0, 0)

    def _addition(self, value: Value) -> Call:
        """Return the call that adds what a block of a product gives."""
        add = loop_of(np.add, (value.dtype,) * 3)
        assert add is not None
        whole, part = self._memory.pointer(value), Pointer("arena", self._memory.parts[value].offset)
        return Call(add.address, (whole, part, whole), (value.size,), (value.dtype.itemsize,) * 3, add.data)

    # --- fused ----------------------------------------------------------------------------------------------

    def _compiled(self, works: Sequence[Work]) -> dict[Work, tuple[Fused, Address]]:
        """Compile all kernels at once; return each with its address."""
        register = engine().register
        works = list(flat(works))
        found = {work: fused(work) for work in works if work.how == "fused" and work.values[0].size}
        joins = {
            work.values[0]: list(joined(work.values[0]))
            for work in works
            if work.how == "loop" and isinstance(work.values[0].how, do.Join)
        }
        self.kernels = found
        texts = [written(each.kernel, register) for each in found.values()]
        texts += [written(each.kernel, register) for parts in joins.values() for each, _ in parts]
        addresses = iter(engine().functions(texts))
        compiled = {work: (each, next(addresses)) for work, each in found.items()}
        self._joins = {
            value: [(each, offset, next(addresses)) for each, offset in parts] for value, parts in joins.items()
        }
        return compiled


def _strides(value: Value) -> tuple[int, ...]:
    place = place_of(value)
    assert place is not None
    return place.strides


def _steps_along(stacks: Sequence[int], shape: Sequence[int], strides: Sequence[int]) -> Sequence[int]:
    """Return how far an operand steps along each axis of a stack: not at all where it is broadcast."""
    own = [0 if n == 1 else step for n, step in zip(shape, strides, strict=False)]
    return [0] * (len(stacks) - len(own)) + own


def _in_goes(times: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield which of so many times is the first in one go, and how many are in it. In between, Ctrl-C is heard."""
    start, stop = 0, 0
    while stop < times:  # which need not be an int
        start, stop = stop, min(stop + most, times)
        yield start, stop - start


def _elements(value: Value) -> int:
    """Return how many elements take about as long as a value does."""
    if isinstance(value.how, do.Product):
        return value.size + value.size * value.operands[0].shape[-1] // 8
    if isinstance(value.how, do.Added):
        return value.size + value.operands[0].size
    return (value.operands[0] if isinstance(value.how, (do.Reduce, do.Locate)) else value).size


def _blocks_of(n: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield where blocks of one size begin, how many there are in one go, and the size."""
    times, rest = divmod(n, size)
    for start, count in _in_goes(times, thread_parts.limits.times):
        yield start * size, count, size
    if rest > 0:
        yield times * size, 1, rest


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
