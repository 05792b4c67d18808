"""Which node of one graph stands for which of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..graph import Constant, Node, Parameter, Placeholder
from .trace import digest_of

if TYPE_CHECKING:
    from ..execute.interpreter import Program

_MOST_OFFERS = 16  # candidates that are weighed for a counterpart


class Alignment:
    """The counterparts of the nodes of one schedule in another.

    A single edit leaves every other node recognizable: what does not depend on it computes the same of the same, and
    what it does not depend on stands in the same place as seen from the fetches. Between two edits neither is known:
    there, operation, name and the counterparts of the operands decide. What is left in the same place was edited.
    """

    def __init__(self, a: Program, b: Program, results: Sequence[tuple[int, int]]) -> None:
        self.a, self.b = a, b
        self.results = results
        """Which of the fetches of one belongs to which of the other."""
        self.partner: dict[int, int] = {}
        """The place in `b` of the counterpart, by place in `a`."""
        self._taken: set[int] = set()
        self._numbers: dict[Any, int] = {}

    def found(self) -> dict[int, int]:
        """Return the places in `b`, by place in `a`."""
        a, b = self.a, self.b
        fetched_a, fetched_b = _fetched(a), _fetched(b)
        count = len(self.results)
        if count == len(fetched_a) == len(fetched_b) and all(fetched_a[i] is fetched_b[j] for i, j in self.results):
            places = {node: place for place, node in enumerate(b.order)}
            return {place: places[node] for place, node in enumerate(a.order)}
        numbers_a, numbers_b = list(range(len(fetched_a))), [-1 - j for j in range(len(fetched_b))]
        for i, j in self.results:
            numbers_b[j] = i
        ops_a, ops_b = self._ops(a), self._ops(b)
        same_a, same_b = self._from_operands(a, ops_a), self._from_operands(b, ops_b)
        place_a, place_b = self._from_fetches(a, ops_a, numbers_a), self._from_fetches(b, ops_b, numbers_b)
        names_a, names_b = [node.name for node in a.order], [node.name for node in b.order]
        for keys_a, keys_b in (
            ([same_a, place_a], [same_b, place_b]),
            ([same_a, names_a], [same_b, names_b]),
            ([same_a], [same_b]),
            ([place_a, ops_a], [place_b, ops_b]),
        ):
            self._pair([*zip(*keys_a, strict=True)], [*zip(*keys_b, strict=True)])
        self._between_edits(ops_a, ops_b, least=3.0)
        self._pair(place_a, place_b)
        self._between_edits(ops_a, ops_b, least=1.0)
        return self.partner

    def _number(self, key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _ops(self, side: Program) -> list[int]:
        return [self._number(node.op) for node in side.order]

    def _from_operands(self, side: Program, ops: list[int]) -> list[int]:
        """Return a number for each node: the same for those that compute the same of the same."""
        numbers: list[int] = []
        for node, op, sources in zip(side.order, ops, side.operands, strict=True):
            known: Any = tuple([numbers[source] for source in sources])
            if isinstance(node.op, Constant):
                known = node.dtype.str, node.shape, digest_of(node.value)
            elif isinstance(node.op, (Placeholder, Parameter)):
                known = node.name
            numbers.append(self._number(("same", op, known)))
        return numbers

    def _from_fetches(self, side: Program, ops: list[int], fetched: list[int]) -> list[int]:
        """Return a number for each node: the same for those that are read alike, all the way to the same fetches."""
        readers: list[list[tuple[int, ...]]] = [[] for _ in side.order]
        for number, place in zip(fetched, side.fetches, strict=True):
            readers[place].append((number,))
        numbers = [0] * len(side.order)
        for place in reversed(range(len(side.order))):
            numbers[place] = self._number(("place", *sorted(readers[place])))
            readers[place].clear()
            for position, source in enumerate(side.operands[place]):
                readers[source].append((ops[place], position, numbers[place]))
        return numbers

    def _pair(self, keys_a: Sequence[Any], keys_b: Sequence[Any]) -> None:
        """Pair those of the same key that have no counterpart yet, in order."""
        waiting: dict[Any, list[int]] = {}
        for place in reversed(range(len(keys_b))):
            if place not in self._taken:
                waiting.setdefault(keys_b[place], []).append(place)
        for place, key in enumerate(keys_a):
            if place not in self.partner and waiting.get(key):
                self._join(place, waiting[key].pop())

    def _join(self, i: int, j: int) -> None:
        self.partner[i] = j
        self._taken.add(j)

    def _between_edits(self, ops_a: list[int], ops_b: list[int], least: float) -> None:
        """Pair what is alike in operation, operands, readers and name, as far as `least` asks for."""
        a, b = self.a, self.b
        read_by_a, read_by_b = _read_by(a, ops_a), _read_by(b, ops_b)
        named = {node.name: place for place, node in enumerate(b.order)}
        readers: list[deque[int]] = [deque() for _ in b.order]
        for j, sources in enumerate(b.operands):
            if j not in self._taken:
                for source in dict.fromkeys(sources):
                    readers[source].append(j)

        def fits(source: int, other: int) -> bool:
            # A leaf without a counterpart, such as a constant of another value, follows its reader.
            if source in self.partner or other in self._taken:
                return self.partner.get(source) == other
            return not a.operands[source] and ops_a[source] == ops_b[other]

        def likeness(i: int, j: int) -> float:
            mine, its = a.operands[i], b.operands[j]
            operands = sum(map(fits, mine, its)) / max(len(mine), len(its))
            either = read_by_a[i] | read_by_b[j]
            read_alike = len(read_by_a[i] & read_by_b[j]) / len(either) if either else 1.0
            alike = operands + read_alike + 0.5 * (a.order[i].name == b.order[j].name)
            return alike + (2.5 if ops_a[i] == ops_b[j] else 2.0 if operands and read_alike else 0.0)

        def waiting(source: int) -> list[int]:
            places = readers[source]
            while places and places[0] in self._taken:
                places.popleft()
            return [j for j in islice(places, _MOST_OFFERS) if j not in self._taken]

        for i, sources in enumerate(a.operands):
            if i in self.partner or not sources:
                continue
            # One node that was added or removed may stand between.
            near = [s for source in sources for s in ((source,) if source in self.partner else a.operands[source])]
            known = [self.partner[source] for source in near if source in self.partner]
            offers = [j for source in known[:_MOST_OFFERS] for j in waiting(source)]
            offers += [k for j in offers for k in waiting(j) if ops_b[k] == ops_a[i]]
            namesake = named.get(a.order[i].name, -1)
            if namesake >= 0 and namesake not in self._taken and b.operands[namesake]:
                offers.append(namesake)
            best = max(offers, key=partial(likeness, i), default=-1)
            if best < 0 or likeness(i, best) < least:
                continue
            leaves = [pair for pair in zip(sources, b.operands[best], strict=False) if fits(*pair)]
            self._join(i, best)
            for source, other in leaves:
                if source not in self.partner and other not in self._taken:
                    self._join(source, other)


def _read_by(program: Program, ops: list[int]) -> list[set[int]]:
    """Return, for each node, the operations that read it."""
    found: list[set[int]] = [set() for _ in program.order]
    for op, sources in zip(ops, program.operands, strict=True):
        for source in sources:
            found[source].add(op)
    return found


def _fetched(program: Program) -> list[Node]:
    return [program.order[place] for place in program.fetches]
