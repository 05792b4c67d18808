"""How values lie in memory, as far as operations tell: the last bits of sums and products depend on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..ops.concatenation import Concatenate, Stack
from ..ops.indexing import Getitem
from ..ops.reductions import Norm, Reduction
from ..ops.shape import SumTo

if TYPE_CHECKING:
    from ..core import Op

ANYHOW, ORDERED, COMPACT = range(3)
"""Not known; rows before columns; and no gaps either."""


def lies(op: Op, operands: Sequence[int]) -> int:
    """Return how the value of an operation lies, by how its operands do.

    NumPy lays the result of an elementwise operation, of a reduction and of joining out as the operands are.
    """
    least = min(operands, default=COMPACT)
    if op.is_loop_item or op.is_random:
        return COMPACT
    if op.elementwise or op.multilinear or isinstance(op, (Reduction, Norm, Stack, Concatenate, SumTo)):
        return COMPACT if least >= ORDERED else ANYHOW
    if op.reshapes:
        return least
    if isinstance(op, Getitem):
        return _part(op, least)
    return ANYHOW if operands else COMPACT


def _part(op: Getitem, whole: int) -> int:
    """Return how a part of an array lies."""
    if any(isinstance(part, tuple) and part[2] is not None and part[2] < 0 for part in op.index):
        return ANYHOW  # backwards
    rows_only = all(isinstance(part, int) or part == "..." for part in op.index)
    first = [isinstance(part, int) for part in op.index]
    return whole if rows_only and first == sorted(first, reverse=True) else min(whole, ORDERED)
