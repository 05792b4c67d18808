"""Works on many rows, computed a block of rows at a time: what one makes is in the cache when the next reads it.

What a product gives by blocks, all that precedes and follows it gives by the same blocks. The order of works changes: a
work that reads a whole array which blocks make comes after them, and what needs nothing of them comes before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..compiler import intermediate_representation as do
from ..compiler.ir_values import in_c_order, squeezed
from .work_list import Work, along, place_of, reduced, spread

if TYPE_CHECKING:
    from ..compiler.ir_values import Value

_Steps = tuple[int, ...]


def in_blocks(works: Sequence[Work], fetches: Sequence[Value], block: int) -> list[Work]:
    """Return the works in an order in which what works by rows comes together, as one work of several parts.

    Parameters
    ----------
    works : sequence of Work
    fetches : sequence of Value
    block : int
        The bytes of a block; an array that is larger is worth computing so.
    """
    if not any(_is_large(work, block) for work in works):
        return list(works)
    levels: list[_Level] = []
    whole = {x for work in works for x in _needed(work) if length_of(work) < 2}
    for work in works:
        _Placing(work, levels, block).place(whole)
    outside = {fetch.root for fetch in fetches}
    chains = [chain for level in levels for chain in level.chains.values()]
    for work in works:
        outside.update(x for x in _needed(work) if (chain := _chain_of(x, levels)) and work not in chain.members)
    for chain in chains:
        chain.part_unconnected()
    if not any(chain.members for chain in chains):
        return list(works)
    done: list[Work] = []
    for level in levels:
        done += sorted(
            [*level.before, *(work for chain in level.chains.values() for work in chain.apart)], key=level.at
        )
        done += [chain.work(outside, block) for chain in level.chains.values() if chain.members]
    return done


def flat(works: Sequence[Work]) -> Iterator[Work]:
    """Yield works, and of those with parts, these."""
    for work in works:
        yield from work.parts or [work]


def length_of(work: Work) -> int:
    """Return how many rows a work goes over, or 0 if it goes over none."""
    value = work.values[0]
    if work.how not in ("fused", "loop") or not value.size:
        return 0
    match value.how:
        case do.Product(blocks):
            return 0 if blocks is None else value.shape[0] if blocks.along == 0 else value.operands[1].shape[0]
        case do.Reduce():
            shape, sizes = squeezed(value.operands[0].shape), reduced(value)
            return shape[0] if shape and sizes is not None and sizes[0] % shape[0] == 0 else 0
        case do.Ufunc() if all(along(x, value) is not None for x in value.operands):
            pass
        case _ if work.how == "loop":
            return 0
    return squeezed(value.shape)[0] if squeezed(value.shape) else 0


def _is_large(work: Work, block: int) -> bool:
    value = work.values[0]
    return value.blocks is not None or (value.nbytes >= block and length_of(work) > 0)


def _checked(x: Value) -> Iterator[Value]:
    """Yield what an operand needs to have been made: checks on the way to its memory, and that."""
    while x.kind in ("view", "check"):
        if x.kind == "check":
            yield x
        x = x.operands[0]
    yield x


def _needed(work: Work) -> Iterator[Value]:
    own = set(work.values)
    for value in work.values:
        for x in value.operands:
            for each in _checked(x):
                if each not in own:
                    yield each


def _read_by_rows(work: Work, n: int) -> Iterator[tuple[Value, bool]]:
    """Yield what a work over n rows reads, and whether of each row only the same row."""
    own = set(work.values)
    for value in work.values:
        for x in value.operands:
            root = x.root
            if root in own:
                continue
            place = place_of(x)
            assert place is not None
            sizes: _Steps
            steps: _Steps
            if value.blocks is not None:
                left = x is value.operands[0] and value.blocks.along == 1
                row, column = (-1, -2) if left else (-2, -1)
                both = x is value.operands[0] and x is value.operands[1]
                other = x is value.operands[1] and value.blocks.along == 0
                if both or other:
                    yield root, False
                    continue
                sizes, steps = (x.shape[row], x.shape[column]), (place.strides[row], place.strides[column])
            elif isinstance(value.how, do.Reduce):
                sizes, steps = squeezed(x.shape), spread(place.strides, x.shape, x.shape)
            else:
                sizes, steps = squeezed(value.shape), spread(place.strides, x.shape, value.shape)
            yield root, _is_aligned(root, n, place.offset, sizes, steps, x.dtype.itemsize)


def _is_aligned(root: Value, n: int, offset: int, sizes: _Steps, steps: _Steps, item: int) -> bool:
    if squeezed(root.shape)[:1] != (n,) or sizes[0] != n or root.strides != in_c_order(root.shape, root.dtype):
        return False
    row = root.nbytes // n
    ends = [(size - 1) * step for size, step in zip(sizes[1:], steps[1:], strict=True)]
    first, last = offset + sum(min(0, end) for end in ends), offset + sum(max(0, end) for end in ends) + item
    return steps[0] == row and first >= 0 and last <= row


@dataclass(eq=False)
class _Chain:
    """Works over equally many rows."""

    length: int
    members: list[Work] = field(default_factory=list)
    apart: list[Work] = field(default_factory=list)
    made: set[Value] = field(default_factory=set)
    rows: int = 0
    """Of a block, if a product determines them."""
    widest: int = 0
    """The bytes of the widest row."""

    def takes(self, rows: int, widest: int, block: int) -> bool:
        """Tell whether a work can join: one that needs so many rows in a block, or any (0)."""
        if rows and self.rows and rows != self.rows:
            return False
        each = rows or self.rows
        return not each or max(widest, self.widest) * each <= 2 * block

    def add(self, work: Work, rows: int, widest: int) -> None:
        """Add a work."""
        self.members.append(work)
        self.made.update(work.values)
        self.rows = self.rows or rows
        self.widest = max(self.widest, widest)

    def part_unconnected(self) -> None:
        """Have works that neither read what another makes nor make what another reads be by themselves again."""
        by = {value: work for work in self.members for value in work.values}
        connected: set[Work] = set()
        for work in self.members:
            for x in _needed(work):
                if x in by:
                    connected |= {work, by[x]}
        self.apart = [work for work in self.members if work not in connected]
        self.members = [work for work in self.members if work in connected]

    def work(self, outside: set[Value], block: int) -> Work:
        """Return all of it as one work."""
        n = self.length
        whole = [value for work in self.members for value in work.values]
        rows = self.rows or -(-n // max(1, -(-n * self.widest // block)))
        scratch = {
            value
            for work in self.members
            for value in work.values
            if value not in outside and value not in work.inner and not _adds_up(value)
        }
        return Work(whole, "blocks", parts=self.members, length=n, rows=rows, scratch=scratch)


def _adds_up(value: Value) -> bool:
    return value.blocks is not None and value.blocks.along == 1


@dataclass(eq=False)
class _Level:
    """Works, and the chains that come after them."""

    where: dict[Value, tuple[int, _Chain | None]]
    order: dict[Work, int]
    before: list[Work] = field(default_factory=list)
    chains: dict[int, _Chain] = field(default_factory=dict)

    def at(self, work: Work) -> int:
        """Return the position that a work had."""
        return self.order[work]


def _chain_of(x: Value, levels: Sequence[_Level]) -> _Chain | None:
    found = levels[0].where.get(x) if levels else None
    return found[1] if found else None


class _Placing:
    """Places one work: before the chains of a level, or in one of these."""

    def __init__(self, work: Work, levels: list[_Level], block: int) -> None:
        self._work = work
        self._levels = levels
        self._block = block
        if not levels:
            levels.append(_Level({}, {}))
        self._where = levels[0].where
        self._order = levels[0].order

    def place(self, whole: Set[Value]) -> None:
        """Place it; some values are read as a whole, and so better made before any chain if they can be."""
        work = self._work
        self._order[work] = len(self._order)
        found = [self._where[x] for x in _needed(work) if x in self._where]
        plain = max((level + (chain is not None) for level, chain in found), default=0)
        n, value = length_of(work), work.values[0]
        early = value.blocks is None and all(chain is None for _, chain in found) and not whole.isdisjoint(work.values)
        if n > 1 and not early:
            rows = value.blocks.rows if value.blocks else 0
            widest = 0 if value.blocks and value.blocks.along == 1 else max(each.nbytes for each in work.values) // n
            for level in dict.fromkeys([self._earliest(n), plain]):
                if self._joins(level, n, rows, widest):
                    return
        self._put(plain, None)

    def _earliest(self, n: int) -> int:
        """Return the level where it can be, if what it reads by rows may be made in the same chain."""
        earliest = 0
        aligned: dict[Value, bool] = {}
        for x, same in _read_by_rows(self._work, n):
            aligned[x] = aligned.get(x, True) and same
        for x in _needed(self._work):
            level, chain = self._where.get(x, (0, None))
            inside = chain is not None and chain.length == n and aligned.get(x, False) and not _adds_up(x)
            earliest = max(earliest, level + (chain is not None and not inside))
        return earliest

    def _joins(self, level: int, n: int, rows: int, widest: int) -> bool:
        chain = self._levels[level].chains.get(n) if level < len(self._levels) else None
        if chain is None:
            if not _is_large(self._work, self._block):
                return False
            chain = _Chain(n)
            if not chain.takes(rows, widest, self._block):
                return False
            self._level(level).chains[n] = chain
        elif not chain.takes(rows, widest, self._block):
            return False
        chain.add(self._work, rows, widest)
        self._put(level, chain)
        return True

    def _put(self, level: int, chain: _Chain | None) -> None:
        if chain is None:
            self._level(level).before.append(self._work)
        self._where.update(dict.fromkeys(self._work.values, (level, chain)))

    def _level(self, number: int) -> _Level:
        while len(self._levels) <= number:
            self._levels.append(_Level(self._where, self._order))
        return self._levels[number]
