"""Where the values of a native plan lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..compiler import intermediate_representation as do
from ..compiler.buffer_allocation import Buffer, _place, _rounded, place_equal
from ..compiler.symbolic_sizes import any_size
from . import thread_parts
from .loop_tables import Pointer
from .work_list import address_of, is_same, place_of

if TYPE_CHECKING:
    from ..compiler.ir_values import Value
    from .work_list import Work


class Memory:
    """Where values lie: in an arena, but for what is given, constant, made by Python's calls, or handed out."""

    def __init__(
        self, works: Sequence[Work], fetches: Sequence[Value], written_over: int, given: Mapping[Value, Value]
    ) -> None:
        self.given = given
        """{value that is written over a given one: the given one}"""
        self.of: dict[Value, Buffer] = {}
        self.anew: dict[Value, Value] = {}
        """{value: what is handed out, in whose memory it lies until that is written over it}"""
        self.parts: dict[Value, Buffer] = {}
        # What is handed out is made when a segment begins. It can hold something before only if there is one segment.
        over = written_over if all(work.how != "python" for work in works) else None
        self._handed_out = set(fetches)
        self._last = last = _last_uses(works)
        self.buffers = buffers = list[Buffer]()
        for at, work in enumerate(works):
            if work.parts:
                self._lay_blocks(work, at)
                continue
            free = self._donors(work, at)
            for value in work.values:
                if value.kind not in ("each", "call") or value in work.inner:
                    continue
                if value in self._handed_out and (over is None or value.nbytes < over):
                    continue
                donor = next((x for x in free if x.nbytes == value.nbytes and x.dtype == value.dtype), None)
                if value in self._handed_out:
                    if donor is not None:
                        free.remove(donor)
                        self._hand_on(self.of[donor], value)
                    continue
                if donor is not None:
                    free.remove(donor)
                    buffer = self.of[donor]
                else:
                    buffer = Buffer(value.nbytes, at, at)
                    buffers.append(buffer)
                buffer.values.append(value)
                buffer.end = max(buffer.end, last.get(value, at))
                self.of[value] = buffer
            self._lay_parts(work, at)
        self.size = place_equal(buffers) if any_size(each.size for each in buffers) else _place(buffers, 0, 0)

    def _lay_parts(self, work: Work, at: int) -> None:
        """Have memory for what blocks of a product give, before it is added up."""
        kept = 1 if work.threads == 1 or not work.parts else min(work.length // work.rows, thread_parts.limits.times)
        for value in work.values:
            if value.blocks is not None and value.blocks.along == 1:
                self.parts[value] = part = Buffer(kept * value.nbytes, at, at)
                self.buffers.append(part)

    def _lay_blocks(self, work: Work, at: int) -> None:
        """Lay out what is computed by blocks: a block of what only other parts read, all of the rest."""
        self._lay_parts(work, at)
        last = _last_uses(work.parts)
        free: list[Buffer] = []
        for position, part in enumerate(work.parts):
            read = {x.root: is_same(x, value) for value in part.values for x in value.operands}
            for value in part.values:
                for x in value.operands:
                    read[x.root] &= is_same(x, value)
            dying = [x for x in read if x in work.scratch and last[x] == position]
            over = [x for x in dying if read[x]] if part.how == "fused" and part.values[0].kind == "each" else []
            for value in part.values:
                if value in part.inner or value.kind not in ("each", "call"):
                    continue
                if value not in work.scratch:
                    if value not in self._handed_out:
                        self._add(value, Buffer(value.nbytes, at, max(at, self._last.get(value, at))))
                    continue
                size = work.threads * _rounded(value.nbytes // work.length * work.rows)  # one after the other
                donor = next((x for x in over if (x.size, x.dtype) == (value.size, value.dtype)), None)
                if donor is not None:
                    over.remove(donor)
                    dying.remove(donor)
                    self.of[value] = self.of[donor]
                    self.of[donor].values.append(value)
                    continue
                buffer = next((each for each in free if each.size >= size), None)
                if buffer is None:
                    self._add(value, Buffer(size, at, at))
                else:
                    free.remove(buffer)
                    buffer.values.append(value)
                    self.of[value] = buffer
            free += [self.of[x] for x in dying]

    def _add(self, value: Value, buffer: Buffer) -> None:
        buffer.values.append(value)
        self.buffers.append(buffer)
        self.of[value] = buffer

    def _hand_on(self, buffer: Buffer, value: Value) -> None:
        """Have a buffer be the memory of what is handed out: less memory passes through the cache."""
        self.buffers.remove(buffer)
        for other in buffer.values:
            del self.of[other]
            self.anew[other] = value

    def _donors(self, work: Work, at: int) -> list[Value]:
        """Return what is read here for the last time, in the place of what is made, and may be written over."""
        if work.how == "python" or not (work.values[0].kind == "each" or isinstance(work.values[0].how, do.Written)):
            return []
        found: dict[Value, bool] = {}
        for value in work.values:
            for x in value.operands:
                if x.root not in work.values:
                    # The array is copied before the slice is written: only the array itself may be written over.
                    same = is_same(x, value) and (not isinstance(value.how, do.Written) or x is value.operands[0])
                    found[x.root] = found.get(x.root, True) and same
        dying = [x for x, same in found.items() if same and x in self.of and self._last[x] == at and x.size > 1]
        return [x for x in dying if self.of[x].values[-1] is x]

    def of_part(self, work: Work, part: int, value: Value) -> Pointer:
        """Return where the first element lies of a value, or of the blocks of it that a thread's part makes."""
        start = self.pointer(value)
        if not part or value.root not in work.scratch:
            return start
        return Pointer(start.of, start.offset + part * (self.of[value.root].size // work.threads))

    def pointer(self, value: Value) -> Pointer:
        """Return where a value's first element lies."""
        place = place_of(value)
        assert place is not None
        root = self.given.get(place.root, place.root)
        if root in self.of:
            return Pointer("arena", self.of[root].offset + place.offset)
        if root in self.anew:
            return Pointer(self.anew[root], place.offset)
        if root.array is not None:
            return Pointer("fixed", address_of(root.array) + place.offset)
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
