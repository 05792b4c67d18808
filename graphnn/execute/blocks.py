"""Chains of elementwise values on large arrays, computed a block of rows at a time so that they stay in the cache.

The matrix product that such a chain follows is computed in the same blocks, where that changes no bit of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .lowering import Value

LARGE = 2**18
"""Bytes from which a value is large."""
BLOCK = 2**18
"""Bytes of a block of the largest value of a chain."""
_THIN = 32
"""Columns up to which the left factor of a product costs less than the memory that the product passes through."""


class Chain:
    """Elementwise values of one shape that follow each other, and the product that the first of them may be read from.

    Attributes
    ----------
    members : list of Value
    rows : int
        Of a block.
    blocks : int
        How many there are.
    parts : int
        How many threads compute them, each with scratch memory of its own.
    inner : set of Value
        Members that only members read, and that are not written over an operand: of them there is no more than a block.
    slots : dict of Value to int
        In which of the pieces of scratch memory each inner member is put.
    sizes : list of int
        The bytes of those pieces.
    """

    def __init__(self, members: list[Value], inner: set[Value], threads: int) -> None:
        self.members = members
        self.inner = inner
        shape = members[0].shape
        widest = max(member.dtype.itemsize for member in members)
        self.rows = max(1, BLOCK // max(1, math.prod(shape[1:]) * widest))
        if members[0].kind == "call":  # no last block of a few rows, which BLAS computes otherwise
            self.rows = -(-shape[0] // max(1, shape[0] // self.rows))
        self.slots: dict[Value, int] = {}
        self.sizes: list[int] = []
        self.blocks = -(-shape[0] // self.rows)
        self.parts = threads if self.blocks >= 2 * threads else 1

    @property
    def first(self) -> int:
        """The place of its first member."""
        return self.members[0].index

    @property
    def last(self) -> int:
        """The place of its last member."""
        return self.members[-1].index

    def sliced(self, value: Value) -> bool:
        """Tell whether a block reads only its own rows of an operand."""
        shape = self.members[0].shape
        return len(value.shape) == len(shape) and value.shape[0] == shape[0]

    def share_scratch(self) -> bool:
        """Share scratch memory out among the inner members; return whether any is needed."""
        last = {operand: member for member in self.members for operand in member.operands}
        elements = self.rows * math.prod(self.members[0].shape[1:])
        free: list[int] = []
        for member in self.members:
            dying = [operand for operand in dict.fromkeys(member.operands) if last[operand] is member]
            dying = [operand for operand in dying if operand in self.inner]
            size = elements * member.dtype.itemsize
            donor = next((operand for operand in dying if operand.dtype == member.dtype), None)
            if member in self.inner:
                if donor is not None:
                    self.slots[member] = self.slots[donor]
                    dying.remove(donor)
                else:
                    fitting = [slot for slot in free if self.sizes[slot] == size]
                    if fitting:
                        free.remove(fitting[0])
                        self.slots[member] = fitting[0]
                    else:
                        self.slots[member] = len(self.sizes)
                        self.sizes.append(size)
            free.extend(self.slots[operand] for operand in dying)
        return bool(self.sizes)


def chains(values: list[Value], outputs: Collection[Value], threads: int = 1) -> list[Chain]:
    """Return the chains that are worth computing in blocks.

    Parameters
    ----------
    values : list of Value
        In the order in which they are made.
    outputs : collection of Value
        Those that are handed out.
    threads : int
        A large value alone is worth it, too, where there are several.
    """
    found: list[Chain] = []
    members: list[Value] = []
    handed_out = {output.root for output in outputs} | set(outputs)
    readers: dict[Value, list[Value]] = {}
    for value in values:
        for operand in value.operands:
            readers.setdefault(operand, []).append(value)

    def close() -> None:
        if len(members) > (threads == 1):
            chain, head = chained(members), members[0]
            if head.kind == "each" or (any(head in one.operands for one in members) and _by_rows(head, chain.rows)):
                found.append(chain)
            elif len(members) > 2:
                found.append(chained(members[1:]))
        members.clear()

    def chained(members: list[Value]) -> Chain:
        inside = set(members)
        inner = {one for one in members if one not in handed_out and inside.issuperset(readers.get(one, ()))}
        return Chain(members.copy(), inner, threads)

    for value in values:
        if value.kind in ("constant", "view"):
            continue
        if threads == 1 and _leads(value):
            close()
            members.append(value)
            continue
        if not _chains(value):
            close()
            continue
        inside = set(members)
        through_views = any(operand.kind == "view" and operand.root in inside for operand in value.operands)
        if members and (value.shape != members[0].shape or through_views):
            close()
        members.append(value)
    close()
    return found


def brought_together(values: list[Value]) -> list[Value]:
    """Return values in an order in which each product that may lead a chain comes right before it."""
    ordered: list[Value] = []
    waiting: list[Value] = []
    for value in values:
        if waiting and (
            _leads(value)
            or (_chains(value) and value.shape == waiting[0].shape)
            or any(operand.root is waiting[0] for operand in value.operands)
        ):
            ordered.append(waiting.pop())
        (waiting if _leads(value) else ordered).append(value)
    ordered += waiting
    for index, value in enumerate(ordered):
        value.index = index
    return ordered


def _chains(value: Value) -> bool:
    """Tell whether a value is elementwise, large, and in blocks of rows to the bit what it is at once.

    NumPy computes some functions otherwise where it goes backwards, and of some arrays only a block makes it do so.
    """
    if value.kind != "each" or value.nbytes < LARGE or not value.shape or value.shape[0] < 2:
        return False
    return all(operand.strides is not None and min(operand.strides, default=0) >= 0 for operand in value.operands)


def _leads(value: Value) -> bool:
    """Tell whether a value is a product that blocks of the rows of its left factor may give block by block."""
    if value.code != "matmul({0}, {1}, {out})" or value.nbytes < LARGE or value.dtype.char not in "fd":
        return False
    x, y = value.operands
    return (
        len(x.shape) == len(y.shape) == 2
        and 1 < x.shape[1] <= _THIN
        and y.shape[1] > 1
        and x.shape[0] != y.shape[0]  # or its rows would be taken for those of a block
        and x.dtype == y.dtype == value.dtype
        and x.root is not y.root
        and x.strides is not None
        and y.strides is not None
        and x.stand_in().flags.c_contiguous
        and y.stand_in().flags.forc
    )


def _by_rows(product: Value, rows: int) -> bool:
    x, y = product.operands
    return rows < x.shape[0] and _same_by_rows(x.shape, y.shape, x.dtype, y.stand_in().flags.c_contiguous, rows)


@lru_cache(256)
def _same_by_rows(
    left: tuple[int, int], right: tuple[int, int], dtype: np.dtype[Any], in_order: bool, rows: int
) -> bool:
    """Return whether BLAS gives a product to the bit, if asked for so many rows at a time: that is tried here."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(left, dtype)
    y = rng.standard_normal(right if in_order else right[::-1], dtype)
    y = y if in_order else y.T
    whole = x @ y
    blocks = [slice(i, i + rows) for i in range(0, len(x), rows)]
    return all((x[block] @ y).tobytes() == whole[block].tobytes() for block in blocks)
