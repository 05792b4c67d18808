"""Works cut into parts that several threads compute at the same time.

Only what is computed of each element, or of each row, apart from all others is cut, so that no number depends on where.
What blocks of rows add up is kept block by block, and added in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ..compiler import intermediate_representation as do
from .loop_tables import Call, Pointer, Together
from .work_list import reduced

if TYPE_CHECKING:
    from ..compiler.ir_values import Value
    from .work_list import Work


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done in one go, and from where on threads pay.

    Attributes
    ----------
    times : int
        Blocks of rows in one go: other threads of Python run, and Ctrl-C is heard, in between.
    bytes : int
        That a kernel or a reduction reads and writes: of fewer, more time is lost to the way from the cache of one core
        to that of the other.
    operations : int
        Of a kernel, in any case.
    made : int
        Bytes that a function of NumPy's makes.
    product : int
        The multiplications of the largest product that is computed on one thread in any case: of larger ones, BLAS's
        own threads may each compute a part, and are not called by several of ours.
    """

    times: int = 256
    bytes: int = 2**23
    operations: int = 2**22
    made: int = 2**19
    product: int = 2**18


limits = Limits()
_LINE = 64
"""Elements of which each part is a multiple, so that no two threads write to one line of the cache."""


def share(works: Sequence[Work], threads: int) -> None:
    """Decide which works are computed by several threads."""
    for work in works:
        if work.parts:
            pays = work.length // work.rows >= threads and all(map(_is_small, _products(work)))
        else:
            pays = _is_large(work)
        work.threads = threads if pays else 1


def _products(work: Work) -> list[Value]:
    return [part.values[0] for part in work.parts if isinstance(part.values[0].how, do.Product)]


def _is_small(product: Value) -> bool:
    blocks, (x, y) = product.blocks, product.operands
    assert blocks is not None
    sizes = [x.shape[0], x.shape[1], y.shape[1]]
    sizes[blocks.along] = blocks.rows
    return math.prod(sizes) <= limits.product


def _is_large(work: Work) -> bool:
    value = work.values[0]
    if work.how == "fused":
        moved = {x.root: x.nbytes for one in work.values for x in (*one.operands, one)}
        moves = sum(moved[x] for x in moved.keys() - work.inner) >= limits.bytes
        return moves or len(work.values) * value.size >= limits.operations
    if work.how != "loop":
        return False
    match value.how:
        case do.Ufunc():
            return value.nbytes >= limits.made
        case do.Reduce():
            x, sizes = value.operands[0], reduced(value)
            return sizes is not None and sizes[0] > 1 and x.nbytes >= limits.bytes
    return False


def bounds(n: int, parts: int, unit: int = 1) -> list[int]:
    """Return where parts of n begin, and where the last ends; each but the last is a multiple of a unit.

    Examples
    --------
    >>> bounds(10, 3), bounds(10, 2, 4), bounds(3, 2, 4)
    ([0, 3, 6, 10], [0, 4, 10], [0, 3])
    """
    units = -(-n // unit)
    return sorted({min(n, units * part // parts * unit) for part in range(parts + 1)})


def cut(call: Call, threads: int, by_rows: bool = False) -> Call | Together:
    """Return a loop over elements, cut along its longest axis, or by rows.

    Its steps are those of all axes, one after the other.
    """
    if threads == 1:
        return call
    sizes, count = call.dimensions, len(call.arguments)
    axis = 0 if by_rows else sizes.index(max(sizes))
    steps = call.steps[axis * count : (axis + 1) * count]
    return _cut(call, threads, axis, steps, _LINE if axis == len(sizes) - 1 else 1)


def cut_reduction(call: Call, threads: int, size: int) -> Call | Together:
    """Return a reduction of elements of so many bytes, cut along what is outside of the axis."""
    _, n, inner = call.dimensions
    return call if threads == 1 else _cut(call, threads, 0, (n * inner * size, inner * size), 1)


def _cut(call: Call, threads: int, axis: int, steps: Sequence[int], unit: int) -> Call | Together:
    at = bounds(call.dimensions[axis], threads, unit)
    if len(at) == 2:
        return call
    parts = []
    for start, stop in pairwise(at):
        moved = [Pointer(x.of, x.offset + start * step) for x, step in zip(call.arguments, steps, strict=True)]
        sizes = *call.dimensions[:axis], stop - start, *call.dimensions[axis + 1 :]
        parts.append(call._replace(arguments=tuple(moved), dimensions=sizes))
    return Together(parts)
