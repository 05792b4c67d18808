"""A fused group as a kernel, with the sizes and steps of its loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..compiler import intermediate_representation as do
from ..compiler.ir_values import in_c_order, squeezed
from .fused_kernels import Kernel, Line, Operand, Way
from .work_list import place_of, spread

if TYPE_CHECKING:
    import numpy as np

    from ..compiler.ir_values import Value
    from .work_list import Work


class Fused(NamedTuple):
    """A group as a kernel.

    Attributes
    ----------
    kernel : Kernel
    parts : list of Value
        What it reads, then what it writes.
    sizes, steps : tuple of int
        Of its loops, as all loops take them.
    """

    kernel: Kernel
    parts: list[Value]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]


def fused(work: Work) -> Fused:
    """Return a group as a kernel; what it reads and writes, and the sizes and steps of its loops."""
    shape = work.values[0].shape
    sizes = squeezed(shape)
    own = set(work.values)
    reads: dict[tuple[Value, int, tuple[int, ...]], int] = {}
    read_at: dict[tuple[Value, tuple[int, ...]], int] = {}
    values: list[Value] = []
    strides: list[tuple[int, ...]] = []
    for value in work.values:
        for x in value.operands:
            if x.root not in own:
                place = place_of(x)
                assert place is not None
                steps = spread(place.strides, x.shape, value.shape)
                key = place.root, place.offset, steps
                if key not in reads:
                    reads[key] = len(reads)
                    values.append(x)
                    strides.append(steps)
                read_at[x, value.shape] = reads[key]
    lines: list[Line] = []
    places: dict[Value, int] = {}

    def add(name: str, takes: str, gives: str, operands: Sequence[int]) -> int:
        lines.append(Line(name, takes, gives, tuple(operands)))
        return len(values) + len(lines) - 1

    def read(x: Value, value: Value, dtype: np.dtype[Any]) -> int:
        at = places[x.root] if x.root in own else read_at[x, value.shape]
        return at if x.dtype == dtype else add("cast", x.dtype.char, dtype.char, [at])

    for value in work.values:
        name, dtypes = called(value)
        at = [read(x, value, dtype) for x, dtype in zip(value.operands, dtypes, strict=True)]
        chars = "".join(dtype.char for dtype in dtypes)
        places[value] = at[0] if name == "positive" else add(name, chars, value.dtype.char, at)
    outputs = [value for value in work.values if value not in work.inner]
    strides += [in_c_order(sizes, value.dtype) for value in outputs]
    sizes, by_axis = merged(sizes, strides)
    parts = [*values, *outputs]
    ways = _narrow_ways(sizes, by_axis, [x.dtype.itemsize for x in parts], len(lines))
    narrow = sizes[1] if ways else 0
    ways = ways or [_way(step, x.dtype.itemsize) for x, step in zip(parts, by_axis[-1], strict=True)]
    ends = [Operand(x.dtype.char, way) for x, way in zip(parts, ways, strict=True)]
    written = zip(outputs, ends[len(values) :], strict=True)
    kernel = Kernel(
        len(sizes),
        tuple(ends[: len(values)]),
        tuple(lines),
        tuple((places[value], operand) for value, operand in written),
        narrow,
    )
    return Fused(kernel, parts, sizes, tuple(step for axis in by_axis for step in axis))


def joined(value: Value) -> Iterator[tuple[Fused, int]]:
    """Yield the kernel that puts each operand into a value, and how many bytes into it it begins."""
    how = value.how
    assert isinstance(how, do.Join)
    assert value.strides is not None
    if how.adds:
        yield from _added_up(value, how)
        return
    for x, index in zip(value.operands, how.places, strict=True):
        shape, strides, offset = do.Index(index).shown(value.shape, value.strides)
        place = place_of(x)
        assert place is not None
        if not x.size:
            continue
        assert shape == x.shape, (shape, x.shape)
        kept = [step for step, n in zip(strides, shape, strict=True) if n != 1]
        sizes, by_axis = merged(squeezed(x.shape), [spread(place.strides, x.shape, x.shape), tuple(kept)])
        ends = [
            Operand(each.dtype.char, _way(step, each.dtype.itemsize))
            for each, step in zip((x, value), by_axis[-1], strict=True)
        ]
        cast = x.dtype != value.dtype
        lines = (Line("cast", x.dtype.char, value.dtype.char, (0,)),) * cast
        kernel = Kernel(len(sizes), (ends[0],), lines, ((int(cast), ends[1]),))
        yield Fused(kernel, [x, value], sizes, tuple(step for axis in by_axis for step in axis)), offset


def _added_up(value: Value, how: do.Join) -> Iterator[tuple[Fused, int]]:
    """Yield the kernels that add operands, or products of them, onto a value."""
    char, size = value.dtype.char, value.dtype.itemsize
    assert value.strides is not None
    for i, index in enumerate(how.places):
        shape, steps, offset = do.Index(index).shown(value.shape, value.strides)
        if 0 in shape:
            continue
        operands = value.operands[i * how.adds : (i + 1) * how.adds]
        own = tuple(step for step, n in zip(steps, shape, strict=True) if n != 1)
        strides = [own]
        for x in operands:
            place = place_of(x)
            assert place is not None
            strides.append(spread(place.strides, x.shape, shape))
        sizes, by_axis = merged(squeezed(shape), [*strides, own])
        ends = [Operand(char, _way(step, size)) for step in by_axis[-1]]
        count = len(operands)
        lines = [Line("multiply", char * 2, char, (1, 2))] * (count == 2)
        lines.append(Line("add", char * 2, char, (0, count + 1 if count == 2 else 1)))
        kernel = Kernel(len(sizes), tuple(ends[:-1]), tuple(lines), ((count + len(lines), ends[-1]),))
        yield Fused(kernel, [value, *operands, value], sizes, tuple(step for axis in by_axis for step in axis)), offset


def called(value: Value) -> tuple[str, Sequence[np.dtype[Any]]]:
    """Return what a kernel calls the operation of a value, and which dtypes it takes; "positive" is to copy or cast."""
    match value.how:
        case do.Ufunc(ufunc, loop):
            return ufunc.__name__, loop[:-1]
        case do.Clip():
            return "clip", [x.dtype for x in value.operands]
        case do.Select():
            return "select", [x.dtype for x in value.operands]
    return "positive", [value.dtype]


_NARROW, _MOST_NARROW_LINES = 8, 12
"""The most elements of a row, and the most lines, of a kernel that is written out for rows of so many elements."""


def _narrow_ways(
    sizes: tuple[int, ...], steps: Sequence[tuple[int, ...]], items: Sequence[int], lines: int
) -> list[Way] | None:
    """Return how operands lie in a kernel for narrow rows, or None where there is no such kernel."""
    if len(sizes) != 2 or sizes[1] > _NARROW or lines > _MOST_NARROW_LINES:
        return None
    found: list[Way] = []
    for outer, inner, item in zip(*steps, items, strict=True):
        ways: dict[tuple[int, int], Way] = {
            (item * sizes[1], item): "each",
            (0, 0): "same",
            (0, item): "row",
            (item, 0): "column",
        }
        way = ways.get((outer, inner))
        if way is None:
            return None
        found.append(way)
    return found


def _way(step: int, size: int) -> Way:
    return "each" if step == size else "same" if step == 0 else "apart"


def merged(sizes: tuple[int, ...], strides: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
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
