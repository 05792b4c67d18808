"""Which node of one graph stands for which of another."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...graph import Constant, Node, Parameter, Placeholder
from ..trace import digest_of

if TYPE_CHECKING:
    from ...execute.program import Program
    from .sides import Side

    _Told = tuple[Program, list[int], list[int], list[str], list[int]]

_MOST_OFFERS = 16  # candidates that are weighed for a counterpart
_NEAR = 64  # places around a node at which it is seen whether a pair crosses others


class Alignment:
    """The counterparts of the nodes of one schedule in another.

    A single edit leaves every other node recognizable: what does not depend on it computes the same of the same, and
    what it does not depend on stands in the same place as seen from the fetches. Between two edits neither is known:
    there, operation, name and the counterparts of the operands decide. What is left in the same place was edited.

    Derivatives and updates read everything and are fetched, too: seen from them, one edit moves all. So what they are
    made for is aligned without them, and they follow their twins.
    """

    def __init__(self, a: Side, b: Side, results_of: Callable[[Mapping[Node, Node]], list[tuple[int, int]]]) -> None:
        self.a, self.b = a.program, b.program
        self.results: list[tuple[int, int]] = []
        """Which of the fetches of one belongs to which of the other."""
        self.partner: dict[int, int] = {}
        """The place in `b` of the counterpart, by place in `a`."""
        self._sides = a, b
        self._results_of = results_of
        self._taken: set[int] = set()
        self._later: tuple[set[int], set[int]] = set(), set()
        """The places in `a` and in `b` that are not paired yet."""
        self._derived: tuple[set[int], set[int]] = set(), set()
        """Those that derivatives are made of, where both sides have such; one may be written by hand in the other."""
        self._numbers: dict[Any, int] = {}

    def found(self) -> dict[int, int]:
        """Return the places in `b`, by place in `a`."""
        a, b = self.a, self.b
        fetched_a, fetched_b = _fetched(a), _fetched(b)
        names_a, names_b = [node.name for node in a.order], [node.name for node in b.order]
        named = dict(zip(names_a, a.order, strict=True))
        self.results = self._results_of({node: named[node.name] for node in b.order if node.name in named})
        count = len(self.results)
        if count == len(fetched_a) == len(fetched_b) and all(fetched_a[i] is fetched_b[j] for i, j in self.results):
            places = {node: place for place, node in enumerate(b.order)}
            return {place: places[node] for place, node in enumerate(a.order)}
        ops_a, ops_b = self._ops(a), self._ops(b)
        twins_a, twins_b = _twins(a), _twins(b)
        levels_a, levels_b = _levels(a, twins_a), _levels(b, twins_b)
        self._later = made = _made(levels_a), _made(levels_b)
        if all(made):
            self._derived = made

        def seen() -> tuple[list[int], list[int]]:
            numbers_a, numbers_b = list(range(len(fetched_a))), [-1 - j for j in range(len(fetched_b))]
            for i, j in self.results:
                numbers_b[j] = i
            place_a = self._from_fetches(a, ops_a, levels_a, numbers_a)
            return place_a, self._from_fetches(b, ops_b, levels_b, numbers_b)

        self._pair_given(*seen())
        self._pair_made(_kept(a, twins_a), _kept(b, twins_b))
        self.results = self._results_of({b.order[j]: a.order[i] for i, j in self.partner.items()})
        place_a, place_b = seen()
        leaves_a, leaves_b = _leaves(a), _leaves(b)
        for i, j in self.partner.items():
            leaves_a[i] = leaves_b[j] = i
        same_a, same_b = self._from_operands(a, ops_a, leaves_a), self._from_operands(b, ops_b, leaves_b)
        keys = _keys((a, same_a, place_a, names_a, ops_a), (b, same_b, place_b, names_b, ops_b))
        counts_a, counts_b = ([len(sources) or None for sources in side.operands] for side in (a, b))
        reads_a, reads_b = (
            [(bool(sources), place in derived) for place, sources in enumerate(side.operands)]
            for side, derived in zip((a, b), self._derived, strict=True)
        )

        def pair() -> None:
            for keys_a, keys_b in keys:
                self._pair(_both(counts_a, keys_a), _both(counts_b, keys_b))
            self._pair_constants(same_a, same_b)
            for keys_a, keys_b in keys:
                self._pair(keys_a, keys_b)
            self._between_edits(ops_a, ops_b, least=3.0, op=True, operand=True)
            self._between_edits(ops_a, ops_b, least=3.0, op=True)
            self._between_edits(ops_a, ops_b, least=3.0)
            self._pair([*zip(reads_a, place_a, strict=True)], [*zip(reads_b, place_b, strict=True)])
            self._between_edits(ops_a, ops_b, least=1.0)
            self._pair_leaves(ops_a, ops_b)

        pair()
        if any(self._later):
            self._later = set(), set()
            roles_a, roles_b = self._roles(a, ops_a, leaves_a), self._roles(b, ops_b, leaves_b)
            self._pair_made([*zip(twins_a, roles_a, strict=True)], [*zip(twins_b, roles_b, strict=True)])
            pair()
        return self.partner

    def _number(self, key: Any) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _ops(self, side: Program) -> list[int]:
        return [self._number(node.op) for node in side.order]

    def _from_operands(self, side: Program, ops: list[int], leaves: list[Any]) -> list[int]:
        """Return a number for each node: the same for those that compute the same of the same."""
        numbers: list[int] = []
        for op, sources, leaf in zip(ops, side.operands, leaves, strict=True):
            known = tuple([numbers[source] for source in sources]) if leaf is None else leaf
            numbers.append(self._number(("same", op, known)))
        return numbers

    def _from_fetches(self, side: Program, ops: list[int], levels: list[int], fetched: list[int]) -> list[int]:
        """Return a number for each node: the same for those that are read alike, all the way to the same fetches."""
        readers: list[list[tuple[int, ...]]] = [[] for _ in side.order]
        makers: list[list[tuple[int, ...]]] = [[] for _ in side.order]
        for number, place in zip(fetched, side.fetches, strict=True):
            readers[place].append((number,))
        numbers = [0] * len(side.order)
        for place in reversed(range(len(side.order))):
            # A learning rate has no place but where the updates read it.
            told = readers if readers[place] or side.operands[place] else makers
            numbers[place] = self._number(("place", *sorted(told[place])))
            readers[place].clear()
            makers[place].clear()
            for position, source in enumerate(side.operands[place]):
                told = readers if levels[source] == levels[place] else makers
                told[source].append((ops[place], position, numbers[place]))
        return numbers

    def _roles(self, side: Program, ops: list[int], leaves: list[Any]) -> list[int]:
        """Return a number for each node: the same for those that are made of their twins in the same way."""
        numbers: list[int] = []
        for node, op, sources, leaf in zip(side.order, ops, side.operands, leaves, strict=True):
            twin = node.twin
            role: list[Any] = []
            if twin is not None:
                around = {operand: -1 - position for position, operand in enumerate((*twin.inputs, twin))}
                for operand, source in zip(node.inputs, sources, strict=True):
                    role.append(numbers[source] if operand.twin is twin else around.get(operand))
            numbers.append(self._number(("role", op, leaf, *role)))
        return numbers

    def _pair_given(self, place_a: list[int], place_b: list[int]) -> None:
        """Pair what is fed and trained: by name in the same place, then by value, by the layer's others, by name."""
        names_a, names_b = _given(self.a), _given(self.b)
        self._pair(_both(names_a, place_a), _both(names_b, place_b))
        values_a, values_b = _values(self._sides[0], self.partner), _values(self._sides[1], self._taken)
        self._pair(_both(values_a, names_a), _both(values_b, names_b))
        self._pair(values_a, values_b)
        scopes = {self.a.order[i].scope: self.b.order[j].scope for i, j in self.partner.items()}
        self._pair(_given(self.a, scopes), names_b)
        self._pair(names_a, names_b)

    def _pair_constants(self, same_a: list[int], same_b: list[int]) -> None:
        """Pair the equal constants of counterparts: of themselves, they are as alike as those of any others."""
        for i, j in [*self.partner.items()]:
            for source, other in zip(self.a.operands[i], self.b.operands[j], strict=False):
                if same_a[source] == same_b[other] and source not in self.partner and other not in self._taken:
                    self._join(source, other)

    def _pair_leaves(self, ops_a: list[int], ops_b: list[int]) -> None:
        """Pair what counterparts read and nothing else has paired: constants whose value was changed."""
        for i, j in [*self.partner.items()]:
            for source, other in zip(self.a.operands[i], self.b.operands[j], strict=False):
                free = source not in self.partner and other not in self._taken
                later = source in self._later[0] or other in self._later[1]
                leaves = not self.a.operands[source] and not self.b.operands[other]
                if free and leaves and not later and ops_a[source] == ops_b[other]:
                    self._join(source, other)

    def _pair_made(self, keys_a: Sequence[tuple[int, Any]], keys_b: Sequence[tuple[int, Any]]) -> None:
        """Pair what is made in the same way of those that are counterparts."""
        waiting: dict[tuple[int, Any], list[int]] = {}
        for j in reversed(range(len(keys_b))):
            if keys_b[j][0] >= 0 and j not in self._taken:
                waiting.setdefault(keys_b[j], []).append(j)
        for i, (twin, role) in enumerate(keys_a):
            offers = waiting.get((self.partner.get(twin, -1), role))
            if offers and i not in self.partner:
                self._join(i, offers.pop())

    def _pair(self, keys_a: Sequence[Any], keys_b: Sequence[Any]) -> None:
        """Pair those of the same key that have no counterpart yet, in order."""
        waiting: dict[Any, list[int]] = {}
        for place in reversed(range(len(keys_b))):
            if place not in self._taken and place not in self._later[1] and keys_b[place] is not None:
                waiting.setdefault(keys_b[place], []).append(place)
        for place, key in enumerate(keys_a):
            if place not in self.partner and place not in self._later[0] and waiting.get(key):
                self._join(place, waiting[key].pop())

    def _crosses(self, i: int, j: int) -> bool:
        """Return whether what comes after the one has its counterpart before the other, or the reverse."""
        after_a, after_b = self._after
        for one, other in ((after_a, self.b.operands), (self.a.operands, after_b)):
            mine, its = _reached(i, one), _reached(j, other)
            if any(self.partner.get(place, -1) in its for place in mine):
                return True
        return False

    @cached_property
    def _after(self) -> tuple[list[list[int]], list[list[int]]]:
        """By place, the places of what reads a node, in `a` and in `b`."""
        return _readers(self.a), _readers(self.b)

    def _join(self, i: int, j: int) -> None:
        self.partner[i] = j
        self._taken.add(j)

    def _between_edits(
        self, ops_a: list[int], ops_b: list[int], least: float, op: bool = False, operand: bool = False
    ) -> None:
        """Pair what is alike in operation, operands, readers and name, as far as `least` asks for.

        With `op`, the operation must be the same; with `operand`, one of the operands, too.
        """
        a, b = self.a, self.b
        read_by_a, read_by_b = _read_by(a, ops_a), _read_by(b, ops_b)
        named = {node.name: place for place, node in enumerate(b.order) if place not in self._later[1]}
        readers: list[deque[int]] = [deque() for _ in b.order]
        for j, sources in enumerate(b.operands):
            if j not in self._taken and j not in self._later[1]:
                for source in dict.fromkeys(sources):
                    readers[source].append(j)

        def in_one_pass(i: int, j: int) -> bool:
            return (i in self._derived[0]) == (j in self._derived[1])

        def fits(source: int, other: int) -> bool:
            # A leaf without a counterpart, such as a constant of another value, follows its reader.
            if source in self.partner or other in self._taken:
                return self.partner.get(source) == other
            return not a.operands[source] and ops_a[source] == ops_b[other] and in_one_pass(source, other)

        def likeness(i: int, j: int) -> float:
            mine, its = a.operands[i], b.operands[j]
            operands = sum(map(fits, mine, its)) / max(len(mine), len(its))
            either = read_by_a[i] | read_by_b[j]
            read_alike = len(read_by_a[i] & read_by_b[j]) / len(either) if either else 1.0
            if not operands and (not _of_one_shape(a.order[i], b.order[j]) or self._crosses(i, j)):
                return 0.0
            alike = operands + read_alike + 0.5 * (a.order[i].name == b.order[j].name)
            return alike + (2.5 if ops_a[i] == ops_b[j] else 2.0 if operands and read_alike else 0.0)

        def waiting(source: int) -> list[int]:
            places = readers[source]
            while places and places[0] in self._taken:
                places.popleft()
            return [j for j in islice(places, _MOST_OFFERS) if j not in self._taken]

        for i, sources in enumerate(a.operands):
            if i in self.partner or i in self._later[0] or not sources:
                continue
            # One node that was added or removed may stand between.
            near = [s for source in sources for s in ((source,) if source in self.partner else a.operands[source])]
            known = [self.partner[source] for source in near if source in self.partner]
            offers = [j for source in known[:_MOST_OFFERS] for j in waiting(source)]
            offers += [k for j in offers for k in waiting(j) if ops_b[k] == ops_a[i]]
            namesake = named.get(a.order[i].name, -1)
            if namesake >= 0 and namesake not in self._taken and b.operands[namesake]:
                offers.append(namesake)
            offers = [j for j in offers if in_one_pass(i, j)]
            if op:
                offers = [j for j in offers if ops_a[i] == ops_b[j]]
            if operand:
                offers = [j for j in offers if any(map(fits, sources, b.operands[j]))]
            best = max(offers, key=partial(likeness, i), default=-1)
            if best < 0 or likeness(i, best) < least:
                continue
            leaves = [pair for pair in zip(sources, b.operands[best], strict=False) if fits(*pair)]
            self._join(i, best)
            for source, other in leaves:
                if source not in self.partner and other not in self._taken:
                    self._join(source, other)


def _keys(mine: _Told, its: _Told) -> list[tuple[list[Any], list[Any]]]:
    """Return by what nodes are paired, the surest first: for each, the keys of both sides."""
    (a, same_a, place_a, names_a, ops_a), (b, same_b, place_b, names_b, ops_b) = mine, its
    keys = [
        ([*zip(*one, strict=True)], [*zip(*other, strict=True)])
        for one, other in (
            ([same_a, place_a], [same_b, place_b]),
            ([same_a, names_a], [same_b, names_b]),
            ([same_a], [same_b]),
            ([place_a, ops_a], [place_b, ops_b]),
        )
    ]
    by_parameters = _of_parameters(a, ops_a, same_a), _of_parameters(b, ops_b, same_b)
    # What alone reads a parameter is that whatever else has come into its place.
    keys.insert(3, _alone(*by_parameters))
    return [*keys, by_parameters]


def _of_one_shape(a: Node, b: Node) -> bool:
    """Return whether two nodes have as many axes, and as long, as far as these are numbers on both sides."""
    pairs = zip(a.shape, b.shape, strict=False)
    return a.ndim == b.ndim and all(m == n for m, n in pairs if isinstance(m, int) and isinstance(n, int))


def _readers(program: Program) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in program.order]
    for place, sources in enumerate(program.operands):
        for source in sources:
            found[source].append(place)
    return found


def _reached(start: int, onward: Sequence[Sequence[int]]) -> Collection[int]:
    """Return the places that one leads to, without itself: the nearest, where they are many."""
    found: dict[int, None] = {}
    ahead = [start]
    for place in ahead:
        fresh = [each for each in onward[place] if each not in found]
        found.update(dict.fromkeys(fresh))
        ahead += fresh
        if len(found) >= _NEAR:
            break
    return found


def _read_by(program: Program, ops: list[int]) -> list[set[int]]:
    """Return, for each node, the operations that read it."""
    found: list[set[int]] = [set() for _ in program.order]
    for op, sources in zip(ops, program.operands, strict=True):
        for source in sources:
            found[source].add(op)
    return found


def _fetched(program: Program) -> list[Node]:
    return [program.order[place] for place in program.fetches]


def _twins(program: Program) -> list[int]:
    """Return the place of the twin of each node, or -1."""
    places: dict[Node, int] = {}
    found = []
    for place, node in enumerate(program.order):
        found.append(-1 if node.twin is None else places.get(node.twin, -1))
        places[node] = place
    return found


def _levels(program: Program, twins: list[int]) -> list[int]:
    """Return for each node how often a derivative has been taken: 0 for those that depend on none."""
    levels: list[int] = []
    for node, sources, twin in zip(program.order, program.operands, twins, strict=True):
        level = max([levels[source] for source in sources], default=0)
        if node.twin is not None:
            level = max(level, 1 + (levels[twin] if twin >= 0 else 0))
        levels.append(level)
    return levels


def _made(levels: list[int]) -> set[int]:
    return {place for place, level in enumerate(levels) if level}


def _leaves(program: Program) -> list[Any]:
    """Return the value of each constant and the name of each other node that is given."""
    found: list[Any] = []
    for node in program.order:
        known: Any = None
        if isinstance(node.op, Constant):
            known = node.dtype.str, node.shape, digest_of(node.value)
        elif isinstance(node.op, (Placeholder, Parameter)):
            known = node.name
        found.append(known)
    return found


def _kept(program: Program, twins: list[int]) -> list[tuple[int, Any]]:
    """Return twin and own name of each parameter that an optimizer keeps for another."""
    return [
        (twin, (node.op, _own_name(node))) if isinstance(node.op, Parameter) else (-1, None)
        for node, twin in zip(program.order, twins, strict=True)
    ]


def _given(program: Program, scopes: Mapping[str, str] = {}) -> list[Any]:
    """Return operation, scope and own name of each node that is fed or trained; in what another has for its scope."""
    taken = {*scopes.values()}
    found: list[Any] = []
    for node in program.order:
        scope = scopes.get(node.scope, None if node.scope in taken else node.scope)
        given = isinstance(node.op, (Placeholder, Parameter)) and scope is not None
        found.append((node.op, scope, _own_name(node)) if given else None)
    return found


def _alone(keys_a: Sequence[Any], keys_b: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the keys that stand once on each side."""
    counts_a, counts_b = Counter(keys_a), Counter(keys_b)
    once = {key for key, count in counts_a.items() if count == 1 == counts_b[key]}
    return [key if key in once else None for key in keys_a], [key if key in once else None for key in keys_b]


def _both(keys: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [None if None in pair else pair for pair in zip(keys, others, strict=True)]


def _values(side: Side, paired: Container[int]) -> list[Any]:
    """Return dtype, shape and hash of each parameter that is known by its value: not of one filled with a number."""
    found: list[Any] = []
    given = {} if side.prepared is None else side.prepared.given
    for place, node in enumerate(side.order):
        known = None
        if isinstance(node.op, Parameter) and place not in paired:
            array = given[node] if node in given else node.value  # noqa: SIM401 - a copy
            if array.size > 1 and (array != array.flat[0]).any():
                known = array.dtype.str, array.shape, digest_of(array)
        found.append(known)
    return found


def _of_parameters(program: Program, ops: list[int], same: list[int]) -> list[Any]:
    """Return for each node that reads parameters its operation and which they are."""
    known = [same[i] if isinstance(node.op, Parameter) else -1 for i, node in enumerate(program.order)]
    found: list[Any] = []
    for op, sources in zip(ops, program.operands, strict=True):
        read = tuple([known[source] for source in sources])
        found.append((op, read) if max(read, default=-1) >= 0 else None)
    return found


def _own_name(node: Node) -> str:
    return node.name.removeprefix(f"{node.scope}/")
