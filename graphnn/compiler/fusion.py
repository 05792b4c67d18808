"""Elementwise operations on large arrays, computed a block of rows at a time so that they stay in the cache.

Products of long and thin matrices, which are computed in blocks anyway, join them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from ..ops import matmul_kernels as rows

if TYPE_CHECKING:
    from .ir_values import Value
    from .thresholds import Settings


class Chain:
    """A fusion group: successive values that are computed in one loop over blocks of rows.

    Attributes
    ----------
    members : list of Value
        Elementwise values of one shape, and products. The blocks of some products are added up.
    length : int
        The number of rows.
    rows : int
        The rows of a block.
    blocks : int
        The number of blocks.
    parts : int
        The number of threads, each with scratch memory of its own.
    inner : set of Value
        Members that only members read and that are not written over an operand: only one block of each is in memory.
    repeated : list of Value
        Rows that are repeated to a block before the loop.
    slots : dict of Value to int
        The piece of scratch memory of each inner member, of each repeated row, and of what a block adds to a sum.
    sizes : list of int
        The bytes of these pieces.
    """

    def __init__(self, members: list[Value], inner: set[Value], settings: Settings) -> None:
        self.members = members
        self.inner = inner
        self.length = length_of(members[0])
        self.rows = _rows_of(members)
        self.slots: dict[Value, int] = {}
        self.sizes: list[int] = []
        self.blocks = -(-self.length // self.rows)
        products = [member for member in members if member.blocks]
        self.parts = settings.threads if self.blocks >= 2 * settings.threads and not products else 1
        self.repeated: list[Value] = []
        if self.parts == 1 < self.blocks:
            used = {x for member in products for x in member.operands}  # as they are, and so not repeated
            narrow = [
                x for member in members if not member.blocks for x in _rows_read_by(member, settings) if x not in used
            ]
            self.repeated = list(dict.fromkeys(narrow))

    @property
    def first(self) -> int:
        """The index of its first member."""
        return self.members[0].index

    @property
    def last(self) -> int:
        """The index of its last member."""
        return self.members[-1].index

    @property
    def lasting(self) -> int:
        """The index of the last elementwise member that is in memory as a whole, or -1."""
        return max((one.index for one in self.members if one.kind == "each" and one not in self.inner), default=-1)

    def share_scratch(self) -> bool:
        """Assign scratch memory to inner members and to the parts of sums; return whether any is needed."""
        last = {operand: member for member in self.members for operand, _ in reads(member)}
        free: dict[int, list[int]] = {}
        for member in self.members:
            dying = [operand for operand in dict.fromkeys(x for x, _ in reads(member)) if last[operand] is member]
            dying = [operand for operand in dying if operand in self.inner]
            if member in self.inner or adds_up(member):
                elements = member.size if adds_up(member) else self.rows * math.prod(member.shape[1:])
                size = elements * member.dtype.itemsize
                donors = [x for x in dying if (x.shape, x.dtype) == (member.shape, member.dtype)]
                if donors and member.kind == "each":
                    self.slots[member] = self.slots[donors[0]]
                    dying.remove(donors[0])
                elif free.get(size):
                    self.slots[member] = free[size].pop(0)
                else:
                    self.slots[member] = len(self.sizes)
                    self.sizes.append(size)
                dying += [member] * adds_up(member)
            for slot in [self.slots[operand] for operand in dying]:
                free.setdefault(self.sizes[slot], []).append(slot)
        for value in self.repeated:
            self.slots[value] = len(self.sizes)
            self.sizes.append(self.rows * value.nbytes)
        return bool(self.sizes)


def adds_up(value: Value) -> bool:
    """Return whether the results of the blocks are added up."""
    return value.blocks is not None and value.blocks.along == 1


def length_of(member: Value) -> int:
    """Return the number of rows that the loop of a member goes over."""
    return member.operands[1].shape[0] if adds_up(member) else member.shape[0]


def reads(member: Value) -> list[tuple[Value, int | None]]:
    """Return what a block of a member of a chain reads of each operand: its rows (0), its columns (1), or all (None).

    The columns of a transposed matrix are the rows of the other.
    """
    if member.blocks is None:
        sliced = [len(x.shape) == len(member.shape) and x.shape[0] == member.shape[0] for x in member.operands]
        return [(x, 0 if rows else None) for x, rows in zip(member.operands, sliced, strict=True)]
    x, y = member.operands
    if member.blocks.along == 0:
        return [(x, 0), (y, None)]
    return [(x.operands[0], 0) if x.is_turned else (x, 1), (y, 0)]


def _rows_read_by(member: Value, settings: Settings) -> list[Value]:
    """Return the operands of an elementwise member that are one narrow row for all rows of it."""
    if len(member.shape) != 2 or not 1 < member.shape[1] < settings.narrow_row:
        return []
    rows = [x for x, part in reads(member) if part is None and x.dtype == member.dtype]
    return [x for x in rows if x.size == member.shape[1] and x.shape[-1:] == member.shape[1:]]


def chains(values: list[Value], outputs: Collection[Value], settings: Settings) -> list[Chain]:
    """Return the chains that are worth computing in blocks.

    Parameters
    ----------
    values : list of Value
        In the order in which they are made.
    outputs : collection of Value
        Those that are handed out.
    settings : Settings
        A large value alone is worth it, too, where there are several threads.
    """
    found: list[Chain] = []
    if not any(value.blocks or value.nbytes >= settings.large for value in values):
        return found
    handed_out = {output.root for output in outputs} | set(outputs)
    readers: dict[Value, list[Value]] = {}
    for value in values:
        for operand in value.operands:
            readers.setdefault(operand, []).append(value)

    def read_by(member: Value) -> list[Value]:
        direct = readers.get(member, [])
        return [other for one in direct for other in (readers.get(one, []) if one.is_turned else [one])]

    def close(loop: _Loop) -> None:
        if len(loop.members) > (settings.threads == 1) or loop.block:
            inner = {
                member
                for member in loop.by_rows - handed_out
                if all(reader in loop.inside and (member, 0) in reads(reader) for reader in read_by(member))
            }
            found.append(Chain(loop.members, inner, settings))

    loop = _Loop(settings.large)
    for value in values:
        if value.kind in ("constant", "view"):
            continue
        if not loop.takes(value):
            close(loop)
            loop = _Loop(settings.large)
        if loop.members or loop.takes(value):
            loop.add(value)
    close(loop)
    return found


class _Loop:
    """The members of a chain that is being collected."""

    def __init__(self, large: int) -> None:
        self._large = large
        self.members: list[Value] = []
        self.inside: set[Value] = set()
        self.by_rows: set[Value] = set()
        """The members whose block the next member can read."""
        self.block = 0
        """The rows of a block, if a product determines them."""
        self._shape: tuple[int, ...] | None = None

    def takes(self, value: Value) -> bool:
        """Return whether a value can join the members, or begin a loop."""
        if not (value.blocks or _in_rows(value)):
            return False
        if not self.members:
            return value.blocks is not None or value.nbytes >= self._large
        block = value.blocks.rows if value.blocks else 0
        if length_of(value) != length_of(self.members[0]):
            return False
        if block and self.block and block != self.block:
            return False
        if not block and (self._shape or value.shape) != value.shape:
            return False
        # Members much wider than the products that determine the block would not stay in the cache.
        shape = self._shape if block else value.shape
        if shape and math.prod(shape[1:]) * value.dtype.itemsize * (block or self.block) > 2 * rows.limits.block:
            return False
        if not (
            block or self._shape or value.nbytes >= self._large or value.shape in [one.shape for one in self.by_rows]
        ):
            return False
        return all(x.root not in self.inside or (part == 0 and x in self.by_rows) for x, part in reads(value))

    def add(self, value: Value) -> None:
        """Add a value."""
        self.members.append(value)
        self.inside.add(value)
        if not adds_up(value):
            self.by_rows.add(value)
        if value.blocks:
            self.block = value.blocks.rows
        else:
            self._shape = value.shape


def _in_rows(value: Value) -> bool:
    """Return whether a value is elementwise, and has the same bits when it is computed in blocks.

    NumPy computes some functions differently along negative strides, which for some arrays only a block has.
    """
    if value.kind != "each" or not value.shape or value.shape[0] < 2:
        return False
    return all(operand.strides is not None and min(operand.strides, default=0) >= 0 for operand in value.operands)


def _rows_of(members: list[Value]) -> int:
    for member in members:
        if member.blocks:
            return member.blocks.rows
    widest = max(member.dtype.itemsize for member in members)
    return rows.rows_of(members[0].shape[0], math.prod(members[0].shape[1:]) * widest)
