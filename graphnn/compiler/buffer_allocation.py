"""Where the values of a plan lie in memory: in place where an operand dies, else in one arena."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import accumulate
from typing import TYPE_CHECKING

from .fusion import reads

if TYPE_CHECKING:
    from .fusion import Chain
    from .ir_values import Value
    from .thresholds import Settings

_ALIGNED = 64


class Buffer:
    """A piece of the arena, and the values that it holds one after the other.

    Attributes
    ----------
    values : list of Value
    start, end : int
        From which value on it is taken, and up to which.
    size, offset : int
        In bytes.
    """

    def __init__(self, size: int, start: int, end: int) -> None:
        self.values: list[Value] = []
        self.start = start
        self.end = end
        self.size = _rounded(size)
        self.offset = -1


class Layout:
    """The arena of a plan: where values lie that are neither given, constant, views, fresh, nor returned.

    Parameters
    ----------
    values : list of Value
        In the order in which they are made.
    outputs : sequence of Value
        Values that are returned, and so have memory of their own.
    chains : iterable of Chain
        What is computed in blocks: all that a chain reads or makes is there from its first member to its last.
    settings : Settings

    Attributes
    ----------
    buffers : list of Buffer
    of : dict of Value to Buffer
        The buffer of each value in the arena.
    anew : dict of Value to Buffer
        The buffer of each value in memory that each call allocates, because its last value is returned.
    scratch : dict of Chain to Buffer
        The scratch memory of each chain, all slots one after the other.
    size : int
        The bytes of the arena.
    live : int
        The most bytes in use at once: no arena could be smaller.
    """

    def __init__(
        self, values: list[Value], outputs: Sequence[Value], chains: Iterable[Chain], settings: Settings
    ) -> None:
        chain_of = {member: chain for chain in chains for member in chain.members}
        self.buffers: list[Buffer] = []
        self.of: dict[Value, Buffer] = {}
        self.anew: dict[Value, Buffer] = {}
        self.scratch: dict[Chain, Buffer] = {}
        self._starts: dict[Chain, list[int]] = {}
        self._written_over = settings.written_over
        self._handed_out = {output.root for output in outputs}
        self._last = last = _last_uses(values, outputs)
        self._needed = [max(at, chain_of[values[at]].last) if values[at] in chain_of else at for at in last]
        for first in values:
            chain = chain_of.get(first)
            if chain is None:
                self._add([first], None)
            elif first is chain.members[0]:
                self._add(chain.members, chain)
        self.live = _most_at_once(self.buffers, len(values))
        self.size = _place(self.buffers, self.live, settings.sorted_buffers)

    def slot(self, chain: Chain, value: Value, part: int) -> int:
        """Return the offset of a block of an inner member of a chain, for one of its parts."""
        starts = self._starts[chain]
        return self.scratch[chain].offset + part * starts[-1] + starts[chain.slots[value]]

    def _add(self, members: list[Value], chain: Chain | None) -> None:
        """Lay out a value, or the members of a chain together."""
        first, end = members[0].index, members[-1].index
        lasting = -1 if chain is None else chain.lasting
        read: dict[Value, set[tuple[Value, int | None]]] = {}
        for value in members:
            if value.kind not in ("each", "call"):
                continue
            for part in [(operand, 0) for operand in value.operands] if chain is None else reads(value):
                root = part[0].root
                if root in self.of and self._last[root.index] <= end:
                    read.setdefault(root, set()).add(part)
            inner = chain is not None and value in chain.inner
            # Scratch stays in the cache, and so is better where the operand is not written over in any case.
            buffer = None if inner and value.index > lasting else _donor(value, first, read, self.of, self._last)
            if chain is not None and inner:
                if buffer is None:
                    continue
                chain.inner.remove(value)
            if buffer is not None:
                read.pop(buffer.values[-1], None)
            if value not in self._handed_out:
                self._lay(value, buffer, first)
            elif buffer and self._hand_on(value, buffer):
                for other in buffer.values[:-1]:
                    read.pop(other, None)
        if chain is not None and chain.share_scratch():
            self._starts[chain] = list(accumulate(map(_rounded, chain.sizes), initial=0))
            self.scratch[chain] = Buffer(chain.parts * self._starts[chain][-1], chain.first, chain.last)
            self.buffers.append(self.scratch[chain])

    def _lay(self, value: Value, buffer: Buffer | None, first: int) -> None:
        """Lay a value into a buffer, or into one of its own."""
        if buffer is None:
            buffer = Buffer(value.nbytes, first, value.index)
            self.buffers.append(buffer)
        buffer.values.append(value)
        buffer.end = max(buffer.end, self._needed[value.index])
        self.of[value] = buffer

    def _hand_on(self, value: Value, buffer: Buffer) -> bool:
        """Have what is handed out, if it is large, written over an operand, and that into its memory made anew."""
        if value.nbytes < self._written_over or any(other.shape != value.shape for other in buffer.values):
            return False
        buffer.values.append(value)
        self.buffers.remove(buffer)
        self.anew.update(dict.fromkeys(buffer.values, buffer))
        for other in buffer.values[:-1]:
            del self.of[other]
        return True


def most_apart(values: list[Value]) -> int:
    """Return the most bytes that are taken at once if each value has memory of its own as long as it is needed."""
    last = _last_uses(values)
    made = [value for value in values if value.kind in ("each", "call", "fresh")]
    return _most_at_once([Buffer(value.nbytes, value.index, last[value.index]) for value in made], len(values))


def _rounded(size: int) -> int:
    return -(-max(size, 1) // _ALIGNED) * _ALIGNED


def _last_uses(values: list[Value], outputs: Iterable[Value] = ()) -> list[int]:
    last = [value.index for value in values]
    for value in values:
        for operand in value.operands:
            if operand.index >= 0:
                last[operand.index] = max(last[operand.index], value.index)
    for output in outputs:
        if output.index >= 0:
            last[output.index] = len(values) - 1
    for value in reversed(values):  # a view keeps alive what it is of; and an operation may return what it was given
        if value.kind in ("view", "check", "fresh"):
            for operand in value.operands:
                if operand.index >= 0:
                    last[operand.index] = max(last[operand.index], last[value.index])
    return last


def _donor(
    value: Value, first: int, read: dict[Value, set[tuple[Value, int | None]]], of: dict[Value, Buffer], last: list[int]
) -> Buffer | None:
    """Return the buffer of an operand that dies here, and that an elementwise value may be written over.

    In a chain, it may be an earlier member, or an operand of one: of each block its rows have been read by then.

    Parameters
    ----------
    value : Value
    first : int
        The place of the first member of its chain.
    read : dict of Value to set of (Value, int or None)
        What it and the members before it read of each buffer that dies in the chain, and which part of it, as `reads`
        gives them.
    of, last
        The buffers of values, and their last uses.
    """
    if value.kind != "each" or value.size < 2:  # NumPy takes its time to write a number over itself
        return None
    for root, parts in read.items():
        operand, _ = next(iter(parts))
        if (
            parts == {(operand, 0)}
            and of[root].values[-1] is root
            and first <= last[root.index] <= value.index
            and operand.shape == value.shape
            and operand.dtype == value.dtype
            and operand.whole
        ):
            return of[root]
    return None


def _place(buffers: list[Buffer], least: int, most_sorted: int) -> int:
    """Give each buffer its offset; return the size of the arena, which cannot be below the `least`."""
    size = _place_in_order(buffers)
    if size > least and len(buffers) <= most_sorted:
        found = [buffer.offset for buffer in buffers]
        smaller = _place_by_size(buffers)
        if smaller < size:
            return smaller
        for buffer, offset in zip(buffers, found, strict=True):
            buffer.offset = offset
    return size


def _place_in_order(buffers: list[Buffer]) -> int:
    """Put each buffer into the smallest gap that there is when it is needed first."""
    gaps: list[tuple[int, int]] = []  # sorted, none next to another
    ending: list[tuple[int, int, int]] = []
    size = 0
    for buffer in buffers:
        while ending and ending[0][0] < buffer.start:
            _, offset, length = heappop(ending)
            at = bisect(gaps, (offset,))
            if at < len(gaps) and gaps[at][0] == offset + length:
                length += gaps.pop(at)[1]
            if at and sum(gaps[at - 1]) == offset:
                offset, before = gaps.pop(at - 1)
                gaps.insert(at - 1, (offset, before + length))
            else:
                gaps.insert(at, (offset, length))
        fitting = [(length, at) for at, (_, length) in enumerate(gaps) if length >= buffer.size]
        if fitting:
            offset, length = gaps.pop(min(fitting)[1])
            if length > buffer.size:
                insort(gaps, (offset + buffer.size, length - buffer.size))
        elif gaps and sum(gaps[-1]) == size:
            offset = gaps.pop()[0]
        else:
            offset = size
        size = max(size, offset + buffer.size)
        buffer.offset = offset
        heappush(ending, (buffer.end, offset, buffer.size))
    return size


def _place_by_size(buffers: list[Buffer]) -> int:
    """Place the largest buffers first, each into the first gap among those that are there at the same time."""
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda buffer: (-buffer.size, buffer.start)):
        at = 0
        for offset, length in sorted(
            (other.offset, other.size) for other in placed if other.start <= buffer.end and buffer.start <= other.end
        ):
            if offset - at >= buffer.size:
                break
            at = max(at, offset + length)
        buffer.offset = at
        placed.append(buffer)
    return max((buffer.offset + buffer.size for buffer in buffers), default=0)


def _most_at_once(buffers: list[Buffer], count: int) -> int:
    change = [0] * (count + 1)
    for buffer in buffers:
        change[buffer.start] += buffer.size
        change[buffer.end + 1] -= buffer.size
    most = now = 0
    for step in change:
        now += step
        most = max(most, now)
    return most


def place_equal(buffers: list[Buffer]) -> int:
    """Put each buffer where one of the same size was, if that is free: nothing is decided by how large they are."""
    free: dict[int, list[int]] = {}
    ending: list[tuple[int, int]] = []
    size = 0
    for i, buffer in enumerate(buffers):
        while ending and ending[0][0] < buffer.start:
            gone = buffers[heappop(ending)[1]]
            free.setdefault(gone.size, []).append(gone.offset)
        if before := free.get(buffer.size):
            buffer.offset = before.pop()
        else:
            buffer.offset = size
            size += buffer.size
        heappush(ending, (buffer.end, i))
    return size
