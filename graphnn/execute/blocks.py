"""Chains of elementwise values on large arrays, computed a block of rows at a time so that they stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lowering import Value

LARGE = 2**18
"""Bytes from which a value is large."""
BLOCK = 2**18
"""Bytes of a block of the largest value of a chain."""


class Chain:
    """Elementwise values of one shape that follow each other.

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

    def close() -> None:
        if len(members) > (threads == 1):
            found.append(Chain(members.copy(), _inner(members, values, outputs), threads))
        members.clear()

    for value in values:
        if value.kind in ("constant", "view"):
            continue
        if value.kind != "each" or value.nbytes < LARGE or not value.shape or value.shape[0] < 2:
            close()
            continue
        inside = set(members)
        through_views = any(operand.kind == "view" and operand.root in inside for operand in value.operands)
        if members and (value.shape != members[0].shape or through_views):
            close()
        members.append(value)
    close()
    return found


def _inner(members: list[Value], values: list[Value], outputs: Collection[Value]) -> set[Value]:
    inside = set(members)
    seen = {operand for value in values if value not in inside for operand in value.operands}
    handed_out = {output.root for output in outputs} | set(outputs)
    return {member for member in members if member not in seen and member not in handed_out}
