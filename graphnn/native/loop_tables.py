"""Lists of loops as tables of words, which `run` goes through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..compiler.ir_values import Value
from .llvm import Address, Module
from .llvm_runtime import HEADER, own_loops, pool_of, python, runner

Words = np.ndarray[tuple[int], np.dtype[np.int64]]
_WRONG = HEADER.index("wrong")
_IN_C_ORDER, _ALIGNED, _NEW = 257, 256, 1285
"""NumPy's flags: in C order and aligned; aligned; in C order and aligned, with memory of its own, to be written to."""


class Pointer(NamedTuple):
    """An address in a table, as far as it is known when the plan is made.

    Attributes
    ----------
    of : Value or str
        The value of whose memory it is, where each call, or each size, has another; ``"arena"``; ``"fixed"``.
    offset : int
        From there, in bytes.
    """

    of: Value | str
    offset: int


class Call(NamedTuple):
    """One call of a loop."""

    function: int
    arguments: tuple[Pointer, ...]
    dimensions: tuple[int, ...]
    steps: tuple[int, ...]
    data: int | tuple[int, ...] | None = 0
    """What it gets as its data: an address, words, or with None the word that tells that something is wrong."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Calls that are done several times, one after the other each time.

    Attributes
    ----------
    calls : sequence of Call
    advances : sequence of tuple of int
        For each call, how many bytes its arguments move on from one time to the next.
    times : int
    """

    calls: Sequence[Call]
    advances: Sequence[tuple[int, ...]]
    times: int


@dataclass(frozen=True, slots=True)
class Together:
    """Calls that write to different memory, and are done by several threads at the same time.

    Attributes
    ----------
    parts : sequence of Call or Repeated
    """

    parts: Sequence[Call | Repeated]


class Keys(NamedTuple):
    """How a whole step finds its arrays.

    Attributes
    ----------
    fed : int
        How many of the arguments are fed; the others are parameters.
    read : sequence of Node
        The keys of the arguments, in the feed or in the state.
    updated : sequence of Node
        The keys of the last results, in the state.
    """

    fed: int
    read: Sequence[object]
    updated: Sequence[object]


class Kept(np.ndarray[tuple[int], np.dtype[np.int64]]):
    """A table that keeps alive what it points to.

    Attributes
    ----------
    last : array of objects
        Where a step keeps, for each update, the last value if nobody else holds it, or None.
    """

    keeps: object = None
    last: np.ndarray[Any, Any]


def _has_words(call: Call | Repeated | Together) -> bool:
    """Tell whether the data of a call are words in the table."""
    return not isinstance(call, Call) or not isinstance(call.data, int)


class Table:
    """A segment: calls one after the other, which need nothing of Python.

    Attributes
    ----------
    words : list of int
    shapes : list of (int, tuple of int)
        Of what it makes: where the address of the shape belongs.
    constants : list of (int, Value, int)
        Of constants that differ from size to size: where an address belongs, and how many bytes into the constant.

    Parameters
    ----------
    calls : sequence of Call, Repeated or Together
    arguments : sequence of Value
        The arrays that it is called with.
    results : sequence of Value
        The arrays that it makes.
    long : bool
        Whether it takes so long that other threads shall run, and Ctrl-C be heard, meanwhile.
    keys : Keys, optional
        Of a whole step.
    threads : int
        How many it needs.
    """

    def __init__(
        self,
        calls: Sequence[Call | Repeated | Together],
        arguments: Sequence[Value],
        results: Sequence[Value],
        long: bool = False,
        keys: Keys | None = None,
        threads: int = 1,
    ) -> None:
        self.calls = calls
        self.arguments = arguments
        self.results = results
        self.long = long
        self.words: list[int] = [0] * len(HEADER)
        self.constants: list[tuple[int, Value, int]] = []
        self._own: list[int] = []
        self._arena: list[int] = []
        self._given: list[tuple[int, int, int]] = []
        self._made: list[tuple[int, int, int]] = []
        self._code: set[Module] = set()
        self._place = {value: i for i, value in enumerate(arguments)}
        self._result = {value: i for i, value in enumerate(results)}
        each: list[int] = []
        for call in calls:
            each += self._together(call) if isinstance(call, Together) else self._record(call)
        made: list[int] = []
        for value in results:
            made += [0, id(value.dtype), len(value.shape), self._put(value.shape), _NEW, 0]
        fed, read, updated = keys or Keys(0, [None] * len(arguments), [])
        whole: list[int] = []
        for key, value in zip(read, arguments, strict=True):
            flags = _IN_C_ORDER if value.kind != "fresh" else _ALIGNED
            whole += [id(key), id(value.dtype), len(value.shape), self._put(value.shape), flags]
        triples = [word for triple in self._given for word in triple]
        laid = [word for triple in self._made for word in triple]
        self._set("calls", len(calls))
        at = self._set("calls_at", self._put(each))
        data = [5 * i + 4 for i, call in enumerate(calls) if _has_words(call)]
        self._relative(at, [5 * i + j for i in range(len(calls)) for j in (1, 2, 3)] + data)
        self._set("given", len(self._given))
        self._relative(self._set("given_at", self._put(triples)), range(0, len(triples), 3))
        self._set("made", len(self._made))
        at = self._set("made_at", self._put([*made, *laid]))
        self._relative(at, [*range(3, len(made), 6), *range(len(made), len(made) + len(laid), 3)])
        self.shapes = [(at // 8 + 6 * i, value.shape) for i, value in enumerate(results)]
        self._set("results", len(results))
        self._set("long", int(long))
        self._set("python", python().ctypes.data)
        self._set("pool", pool_of(threads) if threads > 1 else 0)
        self._set("arguments", len(arguments))
        self._relative(self._set("arguments_at", self._put(whole)), range(3, len(whole), 5))
        self._set("fed", fed)
        self._set("objects_at", self._put([0] * max(len(arguments), len(updated), 1)))
        self._set("updates", len(updated))
        records: list[int] = []
        for key, value in zip(updated, results[len(results) - len(updated) :], strict=True):
            records += [id(key), id(value.dtype), len(value.shape), self._put(value.shape), _IN_C_ORDER]
        self._relative(self._set("updates_at", self._put(records)), range(3, len(records), 5))
        self._keeps = [value.dtype for value in (*arguments, *results)], read, updated, self._code

    def filled(self) -> Filled:
        """Return its words, which are numbers."""
        words = np.array(self.words, np.int64)
        for slot, shape in self.shapes:
            words[slot] = id(shape)
        return self.filled_with(words, self.shapes)

    def filled_with(self, words: Words, keeps: object) -> Filled:
        """Return these words as its own, with what they point to."""
        return Filled(words, self._own, self._arena, (keeps, self._keeps))

    def _record(self, call: Call | Repeated) -> list[int]:
        if isinstance(call, Repeated):
            return self._repeated(call)
        arguments = self._put([0] * len(call.arguments))
        for i, pointer in enumerate(call.arguments):
            slot = arguments // 8 + i
            if pointer.of == "arena" or pointer.of == "fixed":
                self.words[slot] = pointer.offset
                if pointer.of == "arena":
                    self._arena.append(slot)
            elif pointer.of in self._result:
                self._made.append((8 * slot, self._result[pointer.of], pointer.offset))
            elif isinstance(pointer.of, Value) and pointer.of.kind == "constant":
                self.constants.append((slot, pointer.of, pointer.offset))
            else:
                self._given.append((8 * slot, self._place[pointer.of], pointer.offset))  # type: ignore[index]
        if isinstance(call.data, int):
            data = call.data
        else:
            data = 8 * _WRONG if call.data is None else self._put(call.data)
        return [self._function(call.function), arguments, self._put(call.dimensions), self._put(call.steps), data]

    def _function(self, function: int) -> int:
        """Return the address of a function, and keep its code as long as the table."""
        if isinstance(function, Address):
            self._code.add(function.module)
        return int(function)

    def _repeated(self, call: Repeated) -> list[int]:
        words: list[int] = []
        relative: list[int] = []
        for each, advance in zip(call.calls, call.advances, strict=True):
            relative += [len(words) + j for j in (1, 2, 3, 6)] + [len(words) + 4] * _has_words(each)
            words += [*self._record(each), len(advance), self._put(advance)]
        at = self._put(words)
        self._relative(at, relative)
        return [self._function(own_loops()["blocks"]), 0, self._put((call.times, len(call.calls))), 0, at]

    def _together(self, call: Together) -> list[int]:
        words: list[int] = []
        relative: list[int] = []
        for part in call.parts:
            relative += [len(words) + j for j in (1, 2, 3)] + [len(words) + 4] * _has_words(part)
            words += self._record(part)
        at = self._put(words)
        self._relative(at, relative)
        return [self._function(own_loops()["together"]), 0, self._put((len(call.parts),)), 0, at]

    def _put(self, words: Sequence[int]) -> int:
        """Append words, and return where in the table they lie, in bytes."""
        start = len(self.words)
        self.words += words
        return 8 * start

    def _relative(self, start: int, places: Iterable[int]) -> None:
        """Have words be places in the table."""
        self._own += [start // 8 + place for place in places]

    def _set(self, name: str, word: int) -> int:
        """Set a word of the header."""
        place = HEADER.index(name)
        self.words[place] = word
        if name.endswith("_at"):
            self._own.append(place)
        return word


class Filled(NamedTuple):
    """The words of a table for one set of sizes.

    Attributes
    ----------
    words : array of int64
    own, arena : sequence of int
        Which of them are places in the table, and in the arena.
    keeps : object
        What they point to.
    """

    words: Words
    own: Sequence[int]
    arena: Sequence[int]
    keeps: object

    def bound(self, arena: np.ndarray[Any, Any], keeps: object, name: str = "run") -> Any:
        """Return a function that runs it, with this memory for what it makes in between."""
        table = np.empty(len(self.words), np.int64).view(Kept)
        table[:] = self.words
        table.last = np.full(max(self.words[HEADER.index("updates")], 1), None)
        table[HEADER.index("kept")] = table.last.ctypes.data
        table.keeps = arena, keeps, self.keeps
        table[self.own] += table.ctypes.data
        table[self.arena] += arena.ctypes.data
        return runner(table, name)
