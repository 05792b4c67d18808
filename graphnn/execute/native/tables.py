"""Lists of loops as tables of words, which `run` goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .runtime import HEADER, python, runner

if TYPE_CHECKING:
    from ..values import Value

Words = np.ndarray[tuple[int], np.dtype[np.int64]]
_WRONG = HEADER.index("wrong")


@dataclass(frozen=True, slots=True)
class Pointer:
    """An address in a table, as far as it is known when the plan is made.

    Attributes
    ----------
    of : Value or str
        The value of whose memory it is, where each call has another; ``"arena"``, ``"table"``; ``"fixed"``.
    offset : int
        From there, in bytes.
    """

    of: Value | str
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a loop."""

    function: int
    arguments: tuple[Pointer, ...]
    dimensions: tuple[int, ...]
    steps: tuple[int, ...]
    data: int | tuple[int, ...] | None = 0
    """What it gets as its data: an address, words, or with None the word that tells that something is wrong."""


class Memory(np.ndarray[tuple[int], np.dtype[np.int64]]):
    """A table that keeps alive what it points to."""

    keeps: object = None


class Table:
    """A segment: calls one after the other, which need nothing of Python.

    Parameters
    ----------
    calls : sequence of Call
    arguments : sequence of Value
        The arrays that it is called with.
    results : sequence of Value
        The arrays that it makes.
    long : bool
        Whether it takes so long that other threads shall run, and Ctrl-C be heard, meanwhile.
    """

    def __init__(self, calls: Sequence[Call], arguments: Sequence[Value], results: Sequence[Value], long: bool) -> None:
        self.calls = calls
        self.arguments = arguments
        self.results = results
        self._words: list[int] = [0] * len(HEADER)
        self._own: list[int] = []
        self._arena: list[int] = []
        self._given: list[tuple[int, int, int]] = []
        self._made: list[tuple[int, int, int]] = []
        self._place = {value: i for i, value in enumerate(arguments)}
        self._result = {value: i for i, value in enumerate(results)}
        records: list[int] = []
        for call in calls:
            records += [call.function, *self._record(call)]
        made: list[int] = []
        for value in results:
            made += [id(value.dtype), len(value.shape), self._put(value.shape), 0]
        self._words[0] = len(calls)
        self._words[1] = self._put(records, [1, 2, 3])
        data = [5 * i + 4 for i, call in enumerate(calls) if not isinstance(call.data, int)]
        self._relative(self._words[1], data)
        self._set(1)
        self._words[2] = len(self._given)
        self._words[3] = self._put([word for triple in self._given for word in triple])
        self._relative(self._words[3], range(0, 3 * len(self._given), 3))
        self._set(3)
        self._words[4] = len(self._made)
        self._words[5] = self._put([*made, *[word for triple in self._made for word in triple]])
        self._relative(self._words[5], range(2, len(made), 4))
        self._relative(self._words[5], range(len(made), len(made) + 3 * len(self._made), 3))
        self._set(5)
        self._words[6] = len(results)
        self._words[7] = int(long)
        self._words[9] = python().ctypes.data
        self._template: Words = np.array(self._words, np.int64)
        self._dtypes = [value.dtype for value in results]

    def _record(self, call: Call) -> list[int]:
        arguments = self._put([0] * len(call.arguments))
        for i, pointer in enumerate(call.arguments):
            slot = arguments // 8 + i
            if pointer.of == "arena" or pointer.of == "fixed":
                self._words[slot] = pointer.offset
                if pointer.of == "arena":
                    self._arena.append(slot)
            elif pointer.of in self._result:
                self._made.append((8 * slot, self._result[pointer.of], pointer.offset))  # type: ignore[index]
            else:
                self._given.append((8 * slot, self._place[pointer.of], pointer.offset))  # type: ignore[index]
        if isinstance(call.data, int):
            data = call.data
        else:
            data = 8 * _WRONG if call.data is None else self._put(call.data)
        return [arguments, self._put(call.dimensions), self._put(call.steps), data]

    def _put(self, words: Sequence[int], pointers: Sequence[int] = ()) -> int:
        """Append words, and return where in the table they lie, in bytes; some of each five are such places, too."""
        start = len(self._words)
        self._words += words
        self._own += [start + i + j for i in range(0, len(words), 5) for j in pointers]
        return 8 * start

    def _relative(self, start: int, places: Sequence[int]) -> None:
        self._own += [start // 8 + place for place in places]

    def _set(self, place: int) -> None:
        self._own.append(place)

    def bound(self, arena: np.ndarray[Any, Any], keeps: object) -> Any:
        """Return a function of the arguments that runs it, with this memory for what it makes in between."""
        table = np.empty(len(self._template), np.int64).view(Memory)
        table[:] = self._template
        table.keeps = arena, keeps, self._dtypes
        table[self._own] += table.ctypes.data
        table[self._arena] += arena.ctypes.data
        return runner(table)
