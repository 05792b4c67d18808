"""The body of a loop whose values fit registers: what it computes of what, and what can be done for all iterations.

A function of NumPy's costs more to call than to compute. So one that no state of the next iteration waits for is not
called in each iteration, but once for many of them, before or after the others go on. That cuts the body into levels:
all iterations of one are made before the first of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from .fused_kernels import Line, size_of

Kind = Literal["row", "same", "state", "index", "line", "call", "splat", "element"]


class Item(NamedTuple):
    """A number, or a vector of a few, that an iteration reads or computes.

    Attributes
    ----------
    kind : str
        ``"row"`` and ``"same"`` are read at an argument, which moves on from iteration to iteration or does not.
        ``"splat"`` is a number throughout a vector, and ``"element"`` a number of a vector.
    char : str
        Of its dtype.
    width : int
        How many numbers it has.
    operands : tuple of int
        The places of other items, before it.
    of : int
        The argument, the state, the function that is called, or the element.
    offset : int
        Where in the argument it begins, in bytes.
    line : Line, optional
    """

    kind: Kind
    char: str
    width: int
    operands: tuple[int, ...] = ()
    of: int = 0
    offset: int = 0
    line: Line | None = None

    @property
    def nbytes(self) -> int:
        """The bytes that it has in memory."""
        return self.width * size_of(self.char)


class Body(NamedTuple):
    """What an iteration computes.

    Attributes
    ----------
    items : sequence of Item
    following : sequence of int
        The item that each state becomes.
    outputs : sequence of (int, int)
        An item that each iteration writes, and the argument that it writes it to.
    steps : sequence of int
        How far each argument moves on, in bytes, from a row to the next.
    each : sequence of bool
        Which functions give the same of numbers one by one as of many at once.
    backwards : bool
        Whether the rows are gone through from the last to the first.
    flag : int
        The item that is False if there is no other iteration; -1 if none is.
    """

    items: Sequence[Item]
    following: Sequence[int]
    outputs: Sequence[tuple[int, int]]
    steps: Sequence[int]
    each: Sequence[bool] = ()
    backwards: bool = False
    flag: int = -1


class Levels:
    """Which items of a body are computed before which, for all iterations.

    Parameters
    ----------
    body : Body

    Attributes
    ----------
    of : list of int
        The level of each item.
    at_once : set of int
        The calls that are made once for many iterations. Their operands are of the level before.
    """

    def __init__(self, body: Body) -> None:
        self.body, items = body, body.items
        self.at_once = set() if body.flag >= 0 else {i for i in self._calls_apart() if body.each[items[i].of]}
        self.of = [0] * len(items)
        states = [0] * len(body.following)
        while True:
            for i, item in enumerate(items):
                level = states[item.of] if item.kind == "state" else 0
                self.of[i] = max([level, *[self.of[x] for x in item.operands]]) + (i in self.at_once)
            now = [max(level, self.of[i]) for level, i in zip(states, body.following, strict=True)]
            if now == states:
                break
            states = now
        self.of_states = states

    def _calls_apart(self) -> Iterable[int]:
        """Yield the calls that no later iteration waits for, though they wait for it."""
        items, following = self.body.items, self.body.following
        reads: list[set[int]] = []  # states that an item reads
        for item in items:
            found = {item.of} if item.kind == "state" else set()
            reads.append(found.union(*[reads[x] for x in item.operands]))
        before = [{k} | reads[i] for k, i in enumerate(following)]  # what a state is made of, in any earlier iteration
        for _ in following:
            before = [known.union(*[before[k] for k in known]) for known in before]
        for i, item in enumerate(items):
            if item.kind == "call" and len(item.operands) == 1:
                users = self._users(i)
                waiting = {k for k, at in enumerate(following) if at in users}
                needs = set().union(*[before[k] for k in reads[i]])
                if not any(before[k] & waiting for k in needs):
                    yield i

    def _users(self, i: int) -> set[int]:
        """Return an item and all that are computed of it in the same iteration."""
        found = {i}
        for place in range(i + 1, len(self.body.items)):
            if found.intersection(self.body.items[place].operands):
                found.add(place)
        return found

    @cached_property
    def free(self) -> set[int]:
        """Items that every level can compute by itself: of what is read, with no call."""
        found: set[int] = set()
        for i, item in enumerate(self.body.items):
            if item.kind not in ("state", "call") and found.issuperset(item.operands):
                found.add(i)
        return found

    @cached_property
    def fixed(self) -> set[int]:
        """Free items that are the same in all iterations."""
        found: set[int] = set()
        for i, item in enumerate(self.body.items):
            if i in self.free and item.kind not in ("row", "index") and found.issuperset(item.operands):
                found.add(i)
        return found

    def roots(self, level: int) -> set[int]:
        """Return the items for whose sake the iterations of a level are made."""
        body = self.body
        found = {i for i, of in zip(body.following, self.of_states, strict=True) if of == level}
        found.update(i for i, _ in body.outputs if self.of[i] == level)
        found.update(i for i in self.kept if self.of[i] == level and i not in self.at_once)
        return found | ({body.flag} if body.flag >= 0 else set())

    def needed(self, level: int) -> list[int]:
        """Return the items that the iterations of a level compute, or read of what another has kept."""
        found: set[int] = set()
        waiting = list(self.roots(level))
        while waiting:
            i = waiting.pop()
            if i not in found:
                found.add(i)
                if not self.is_kept_for(i, level):
                    waiting += self.body.items[i].operands
        return sorted(found)

    def is_kept_for(self, i: int, level: int) -> bool:
        """Tell whether an item lies in memory when a level begins."""
        return i in self.at_once or (self.of[i] < level and i not in self.free)

    @cached_property
    def kept(self) -> list[int]:
        """The items that are kept for all iterations: what is called for at once, its operands, what levels hand on."""
        found = set(self.at_once) | {self.body.items[i].operands[0] for i in self.at_once}
        for i, item in enumerate(self.body.items):
            for x in item.operands:
                if self.of[x] < self.of[i] and x not in self.free:
                    found.add(x)
        return sorted(found)

    @property
    def count(self) -> int:
        """How many levels there are."""
        return max([0, *self.of, *self.of_states]) + 1
