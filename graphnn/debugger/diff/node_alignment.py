"""Which node of one graph corresponds to which node of another."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ...core import Node
from .call_alignment import align_calls, make_other_calls

if TYPE_CHECKING:
    from .compared_runs import Side

_MOST_CANDIDATES = 16  # nodes that are compared to find the counterpart of one
_NEAR = 64  # positions around a node at which crossing pairs are looked for

Pairs = list[tuple[int, int]]
MatchResults = Callable[[Mapping[Node, Node]], Pairs]


def align(a: Side, b: Side, match_results: MatchResults) -> tuple[dict[int, int], Pairs]:
    """Return the counterparts of nodes, {position in `a`: position in `b`}, and which fetch belongs to which.

    `match_results` returns the pairs of fetches, given the nodes of `a` that are known for nodes of `b`.
    """
    named = {node.name: node for node in a.order}
    results = match_results({node: named[node.name] for node in b.order if node.name in named})
    fetches_a, fetches_b = a.program.fetches, b.program.fetches
    complete = len(results) == len(fetches_a) == len(fetches_b)
    if complete and all(a.order[fetches_a[i]] is b.order[fetches_b[j]] for i, j in results):
        positions = {node: position for position, node in enumerate(b.order)}
        return {i: positions[node] for i, node in enumerate(a.order)}, results
    if make_other_calls(a, b):
        return align_calls(a, b), []
    return _Alignment(a, b, results).find(match_results)


class _Nodes:
    """The nodes of one schedule, and what they are recognized by: each list has one entry per position."""

    def __init__(self, side: Side, number: Callable[[Any], int]) -> None:
        self.order, self.operands, self.fetches = side.order, side.operands, side.program.fetches
        self.leaf = side.leaf
        self.number = number
        """Returns an int for a key: equal ones for equal keys, of either side."""
        self.counterparts: dict[int, int] = {}
        self.ops = [number(node.op) for node in self.order]
        self.twins = self._twins()
        self.levels = self._levels()
        self.derived = {position for position, level in enumerate(self.levels) if level}
        """The derivatives and the updates."""
        self.leaves = self._leaves()
        self.place: list[int] = []
        """Numbers by how a node is read, `by_fetches`."""
        self.same: list[int] = []
        """Numbers by what a node computes, `by_operands`."""
        self.set_free(self.derived)

    def set_free(self, postponed: Collection[int] = ()) -> None:
        """Let all nodes without a counterpart be paired, except those postponed."""
        taken = self.counterparts
        every = range(len(self.order))
        self.free = {position: None for position in every if position not in taken and position not in postponed}

    def _twins(self) -> list[int]:
        """Return the position of each node's twin, or -1."""
        positions: dict[Node | None, int] = {}
        found = []
        for position, node in enumerate(self.order):
            found.append(positions.get(node.twin, -1))
            positions[node] = position
        return found

    def _levels(self) -> list[int]:
        """Return how often a derivative was taken to make each node: 0 for those that depend on none."""
        levels: list[int] = []
        for node, sources, twin in zip(self.order, self.operands, self.twins, strict=True):
            level = max([levels[source] for source in sources], default=0)
            if node.twin is not None:
                level = max(level, 1 + (levels[twin] if twin >= 0 else 0))
            levels.append(level)
        return levels

    def _leaves(self) -> list[Any]:
        """Return the value of each constant, the name of each placeholder and parameter, None of operations."""
        found: list[Any] = []
        for position, node in enumerate(self.order):
            if node.op.is_constant:
                found.append(self.leaf(position) or position)
            else:
                found.append(node.name if node.op.is_variable else None)
        return found

    @cached_property
    def readers(self) -> list[list[int]]:
        """The positions of the nodes that read each node."""
        found: list[list[int]] = [[] for _ in self.order]
        for position, sources in enumerate(self.operands):
            for source in sources:
                found[source].append(position)
        return found

    @cached_property
    def read_by(self) -> list[set[int]]:
        """The operations that read each node."""
        return [{self.ops[reader] for reader in readers} for readers in self.readers]

    def by_operands(self) -> list[int]:
        """Return a number for each node: the same for those that compute the same from the same leaves."""
        numbers: list[int] = []
        for op, sources, leaf in zip(self.ops, self.operands, self.leaves, strict=True):
            known = tuple([numbers[source] for source in sources]) if leaf is None else leaf
            numbers.append(self.number(("same", op, known)))
        return numbers

    def by_fetches(self, fetched: Iterable[int]) -> list[int]:
        """Return a number for each node: the same for those that are read alike, all the way to the same fetches."""
        readers: list[list[tuple[int, ...]]] = [[] for _ in self.order]
        derivatives: list[list[tuple[int, ...]]] = [[] for _ in self.order]
        for number, position in zip(fetched, self.fetches, strict=True):
            readers[position].append((number,))
        numbers = [0] * len(self.order)
        for position in reversed(range(len(self.order))):
            # A learning rate is read by nothing but updates.
            uses = readers if readers[position] or self.operands[position] else derivatives
            numbers[position] = self.number(("place", *sorted(uses[position])))
            readers[position].clear()
            derivatives[position].clear()
            for operand, source in enumerate(self.operands[position]):
                uses = readers if self.levels[source] == self.levels[position] else derivatives
                uses[source].append((self.ops[position], operand, numbers[position]))
        return numbers

    def by_twins(self) -> list[Any]:
        """Return twin and a number for each node: the same for those that are made from their twins in the same way."""
        numbers: list[int] = []
        for node, op, sources, leaf in zip(self.order, self.ops, self.operands, self.leaves, strict=True):
            twin = node.twin
            role: list[Any] = []
            if twin is not None:
                around = {operand: -1 - i for i, operand in enumerate((*twin.inputs, twin))}
                for operand, source in zip(node.inputs, sources, strict=True):
                    role.append(numbers[source] if operand.twin is twin else around.get(operand))
            numbers.append(self.number(("role", op, leaf, *role)))
        return [(twin, each) if twin >= 0 else None for twin, each in zip(self.twins, numbers, strict=True)]

    def by_slots(self) -> list[Any]:
        """Return twin and own name of each parameter that an optimizer keeps for another one."""
        return [
            (twin, (node.op, _own_name(node))) if twin >= 0 and node.op.is_parameter else None
            for node, twin in zip(self.order, self.twins, strict=True)
        ]

    def by_names(self, scopes: Mapping[str, str] = {}) -> list[Any]:
        """Return operation, scope and own name of each placeholder and parameter; `scopes` translates the scope."""
        taken = {*scopes.values()}
        found: list[Any] = []
        for node in self.order:
            scope = scopes.get(node.scope, None if node.scope in taken else node.scope)
            known = node.op.is_variable and scope is not None
            found.append((node.op, scope, _own_name(node)) if known else None)
        return found

    def by_values(self) -> list[Any]:
        """Return dtype, shape and hash of each unpaired parameter, except those filled with one number."""
        found: list[Any] = []
        for position, node in enumerate(self.order):
            known = None
            if node.op.is_parameter and position not in self.counterparts:
                leaf = self.leaf(position)
                known = leaf if leaf is not None and leaf[-1] else None
            found.append(known)
        return found

    def keys(self) -> list[list[Any]]:
        """Return what nodes are paired by: how they are computed, how they are read, names and operations.

        The last list has, for each node that reads parameters, its operation and which they are.
        """
        same, place = self.same, self.place
        parameters = [same[i] if node.op.is_parameter else -1 for i, node in enumerate(self.order)]
        reads = [(op, *[parameters[i] for i in read]) for op, read in zip(self.ops, self.operands, strict=True)]
        by_parameters = [key if max(key[1:], default=-1) >= 0 else None for key in reads]
        names = [node.name for node in self.order]
        return [
            same,
            [*zip(same, place, strict=True)],
            [*zip(same, names, strict=True)],
            [*zip(place, self.ops, strict=True)],
            by_parameters,
        ]


class _Alignment:
    """Pairs the nodes of two schedules.

    A single edit leaves every other node recognizable: a node that does not depend on the edit computes the same from
    the same leaves, and a node that the edit does not depend on is read in the same way up to the fetches. Between two
    edits neither holds; there operation, name and the counterparts of the operands decide. What is left in the same
    place was edited.

    Derivatives and updates read everything and are fetched, too, so that one edit would change how all nodes are read.
    So they are postponed: the forward pass is aligned without them, and they follow their twins.
    """

    def __init__(self, a: Side, b: Side, results: Pairs) -> None:
        numbers: dict[Any, int] = {}

        def number(key: Any) -> int:
            return numbers.setdefault(key, len(numbers))

        self.a, self.b = _Nodes(a, number), _Nodes(b, number)
        self.results = results
        both = self.a.derived and self.b.derived  # else one may have its derivatives written by hand
        self.derived: tuple[set[int], set[int]] = (self.a.derived, self.b.derived) if both else (set(), set())

    def find(self, match_results: MatchResults) -> tuple[dict[int, int], Pairs]:
        """Pair the nodes, and return the pairs and those of the fetches."""
        a, b = self.a, self.b
        self._find_places()
        self._pair_leaves()
        self._set_free()
        self._pair(a.by_slots(), b.by_slots(), self._of_counterpart)
        self._set_free(postponed=True)
        self.results = match_results({b.order[j]: a.order[i] for i, j in a.counterparts.items()})
        self._find_places()
        for i, j in a.counterparts.items():
            a.leaves[i] = b.leaves[j] = i
        a.same, b.same = a.by_operands(), b.by_operands()
        same, *sure, by_parameters = zip(a.keys(), b.keys(), strict=True)
        # A node that alone reads a parameter keeps its identity, whatever else has come into its place.
        keys = [*sure[:2], same, _unique(*by_parameters), *sure[2:], by_parameters]
        self._pair_all(keys)
        if a.derived or b.derived:
            self._set_free()
            self._pair(a.by_twins(), b.by_twins(), self._of_counterpart)
            self._pair_all(keys)
        return a.counterparts, self.results

    def _set_free(self, postponed: bool = False) -> None:
        for nodes in (self.a, self.b):
            nodes.set_free(nodes.derived if postponed else ())

    def _find_places(self) -> None:
        """Number the nodes of both sides by how they are read; fetches that belong together count as one."""
        counterparts = {j: i for i, j in self.results}
        self.a.place = self.a.by_fetches(range(len(self.a.fetches)))
        self.b.place = self.b.by_fetches([counterparts.get(j, -1 - j) for j in range(len(self.b.fetches))])

    def _pair_leaves(self) -> None:
        """Pair placeholders and parameters: by name and place, by value, by scopes already paired, by name."""
        a, b = self.a, self.b
        names_a, names_b = a.by_names(), b.by_names()
        self._pair(_both(names_a, a.place), _both(names_b, b.place))
        values_a, values_b = a.by_values(), b.by_values()
        self._pair(_both(values_a, names_a), _both(values_b, names_b))
        self._pair(values_a, values_b)
        self._pair(a.by_names({a.order[i].scope: b.order[j].scope for i, j in a.counterparts.items()}), names_b)
        self._pair(names_a, names_b)

    def _pair_all(self, keys: Sequence[tuple[Any, Any]]) -> None:
        """Pair what is free, the surest first."""
        a, b = self.a, self.b
        counts_a, counts_b = ([len(sources) or None for sources in side.operands] for side in (a, b))
        for keys_a, keys_b in keys:
            self._pair(_both(counts_a, keys_a), _both(counts_b, keys_b))
        # Equal constants follow their readers: by themselves they are as alike as any others.
        self._pair_operands(lambda source, other: a.same[source] == b.same[other])
        for keys_a, keys_b in keys:
            self._pair(keys_a, keys_b)
        self._pair_similar(least=3.0, op=True, operand=True)
        self._pair_similar(least=3.0, op=True)
        self._pair_similar(least=3.0)
        reads_a, reads_b = (
            [(bool(sources), position in derived) for position, sources in enumerate(side.operands)]
            for side, derived in zip((a, b), self.derived, strict=True)
        )
        self._pair(_both(reads_a, a.place), _both(reads_b, b.place))
        self._pair_similar(least=1.0)
        # What is left are constants whose value was changed.
        self._pair_operands(self._are_leaves_of_one_kind)

    def _pair(
        self, keys_a: Sequence[Any], keys_b: Sequence[Any], key_in_b: Callable[[Any], Any] = lambda key: key
    ) -> None:
        """Pair the free nodes that have the same key, in order."""
        waiting: dict[Any, list[int]] = {}
        for j in reversed(self.b.free):
            if keys_b[j] is not None:
                waiting.setdefault(keys_b[j], []).append(j)
        for i in list(self.a.free):
            offers = waiting.get(key_in_b(keys_a[i]))
            if offers:
                self._join(i, offers.pop())

    def _of_counterpart(self, key: tuple[int, Any] | None) -> tuple[int, Any] | None:
        """Return a key made of a twin in `a` and something else, with the counterpart of the twin."""
        return None if key is None else (self.a.counterparts.get(key[0], -1), key[1])

    def _pair_operands(self, alike: Callable[[int, int], bool]) -> None:
        """Pair the free operands of counterparts that are alike."""
        for i, j in [*self.a.counterparts.items()]:
            for source, other in zip(self.a.operands[i], self.b.operands[j], strict=False):
                if source in self.a.free and other in self.b.free and alike(source, other):
                    self._join(source, other)

    def _are_leaves_of_one_kind(self, source: int, other: int) -> bool:
        leaves = not self.a.operands[source] and not self.b.operands[other]
        return leaves and self.a.ops[source] == self.b.ops[other]

    def _join(self, i: int, j: int) -> None:
        self.a.counterparts[i], self.b.counterparts[j] = j, i
        del self.a.free[i], self.b.free[j]

    def _crosses(self, i: int, j: int) -> bool:
        """Return whether a node after `i` has its counterpart before `j`, or the reverse."""
        a, b = self.a, self.b
        for onward_a, onward_b in ((a.readers, b.operands), (a.operands, b.readers)):
            reached = _reached(j, onward_b)
            if any(a.counterparts.get(position, -1) in reached for position in _reached(i, onward_a)):
                return True
        return False

    def _in_one_pass(self, i: int, j: int) -> bool:
        return (i in self.derived[0]) == (j in self.derived[1])

    def _fits(self, source: int, other: int) -> bool:
        """Return whether two operands are counterparts, or leaves that can become counterparts with their readers."""
        if source in self.a.counterparts or other in self.b.counterparts:
            return self.a.counterparts.get(source) == other
        return self._are_leaves_of_one_kind(source, other) and self._in_one_pass(source, other)

    def _likeness(self, i: int, j: int) -> float:
        """Return how alike two nodes are in operation, operands, readers and name."""
        a, b = self.a, self.b
        mine, its = a.operands[i], b.operands[j]
        operands = sum(map(self._fits, mine, its)) / max(len(mine), len(its))
        if not operands and (not _of_one_shape(a.order[i], b.order[j]) or self._crosses(i, j)):
            return 0.0
        either = a.read_by[i] | b.read_by[j]
        readers = len(a.read_by[i] & b.read_by[j]) / len(either) if either else 1.0
        alike = operands + readers + 0.5 * (a.order[i].name == b.order[j].name)
        return alike + (2.5 if a.ops[i] == b.ops[j] else 2.0 if operands and readers else 0.0)

    def _pair_similar(self, least: float, op: bool = False, operand: bool = False) -> None:
        """Pair free nodes whose likeness is `least` or more.

        With `op`, the operation must be the same; with `operand`, one of the operands, too.
        """
        a, b = self.a, self.b
        named = {b.order[j].name: j for j in b.free}
        readers: list[deque[int]] = [deque() for _ in b.order]
        for j in b.free:
            for source in dict.fromkeys(b.operands[j]):
                readers[source].append(j)

        def free_readers(source: int) -> list[int]:
            found = readers[source]
            while found and found[0] not in b.free:
                found.popleft()
            return [j for j in islice(found, _MOST_CANDIDATES) if j in b.free]

        for i in list(a.free):
            sources = a.operands[i]
            if i not in a.free or not sources:
                continue
            # One node that was added or removed may stand between.
            near = [s for source in sources for s in ((source,) if source in a.counterparts else a.operands[source])]
            known = [a.counterparts[source] for source in near if source in a.counterparts]
            candidates = [j for source in known[:_MOST_CANDIDATES] for j in free_readers(source)]
            candidates += [k for j in candidates for k in free_readers(j) if b.ops[k] == a.ops[i]]
            namesake = named.get(a.order[i].name, -1)
            if namesake in b.free and b.operands[namesake]:
                candidates.append(namesake)
            candidates = [
                j
                for j in candidates
                if self._in_one_pass(i, j)
                and (not op or a.ops[i] == b.ops[j])
                and (not operand or any(map(self._fits, sources, b.operands[j])))
            ]
            best = max(candidates, key=partial(self._likeness, i), default=-1)
            if best < 0 or self._likeness(i, best) < least:
                continue
            leaves = [pair for pair in zip(sources, b.operands[best], strict=False) if self._fits(*pair)]
            self._join(i, best)
            for source, other in leaves:
                if source in a.free and other in b.free:
                    self._join(source, other)


def _of_one_shape(a: Node, b: Node) -> bool:
    """Return whether two nodes have as many axes, and as long, as far as these are numbers on both sides."""
    pairs = zip(a.shape, b.shape, strict=False)
    return a.ndim == b.ndim and all(m == n for m, n in pairs if isinstance(m, int) and isinstance(n, int))


def _reached(start: int, onward: Sequence[Sequence[int]]) -> Collection[int]:
    """Return the positions that one leads to, without itself: the nearest, where they are many."""
    found: dict[int, None] = {}
    ahead = [start]
    for position in ahead:
        fresh = [each for each in onward[position] if each not in found]
        found.update(dict.fromkeys(fresh))
        ahead += fresh
        if len(found) >= _NEAR:
            break
    return found


def _unique(keys_a: Sequence[Any], keys_b: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the keys that occur once on each side, None for others."""
    counts_a, counts_b = Counter(keys_a), Counter(keys_b)
    once = {key for key, count in counts_a.items() if count == 1 == counts_b[key]}
    return [key if key in once else None for key in keys_a], [key if key in once else None for key in keys_b]


def _both(keys: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Return pairs of keys, None where one of the two is None."""
    return [None if None in pair else pair for pair in zip(keys, others, strict=True)]


def _own_name(node: Node) -> str:
    return node.name.removeprefix(f"{node.scope}/")
