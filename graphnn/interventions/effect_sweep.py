"""The exact effects of many patches: for each, only what depends on it is computed again, for many at once."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.numpy_warnings import quietly
from .._util.text import quoted
from ..core import Array, Graph, Node, fn
from ..errors import GraphnnError
from ..ops.indexing import numpy_index
from ..runtime.evaluation_loop import Prepared, evaluate
from ..runtime.feed import memory_budget
from ..runtime.program import program_of
from ..transforms.batching_rules import one_batched
from .run_pair import Pair, same_bits, values_of

if TYPE_CHECKING:
    from .patch_places import Place

_FEWEST = 48
"""Patches for which it is worth while to make the nodes again."""
_MOST_ROWS = 32
_BYTES = 2**18
"""Of the largest value with its rows: more would not stay near the processor, and rows would save nothing."""


class _Patch(NamedTuple):
    """What is exchanged, by positions of the schedule.

    Attributes
    ----------
    nodes : tuple of int
        The nodes of which all that is computed again sees the other value.
    parts : tuple or None
        What is exchanged in each, as a place has it; None for the whole.
    seen : tuple of int, or None
        A node and the only reader that sees the other value, where others that are computed again see its own.
    starts : tuple of int
        What reads them, and is computed again with all that depends on it.
    """

    nodes: tuple[int, ...]
    parts: tuple[Any, ...] | None
    seen: tuple[int, int] | None
    starts: tuple[int, ...]

    @property
    def part(self) -> tuple[Any, ...]:
        """The index that NumPy takes."""
        return (...,) if self.parts is None else numpy_index(self.parts)


class Sweep:
    """The metric under each of many patches.

    Places whose patches come to the same are computed once. If all that differs in the operands of a node is exchanged,
    the node has the value of the other run, and so it goes on: only what is neither the one nor the other is computed.

    Parameters
    ----------
    pair : Pair
    places : sequence of Place

    Attributes
    ----------
    found : dict of int to float
        The metric by the number of the place, where it is known without computing: where the runs are equal at the
        place, or the metric has the value of the other run.
    chunks : list of list of int
        The numbers of the other places, those together that are computed together.
    base, other : float
        The metric of the run that is patched, and of the other one.
    """

    def __init__(self, pair: Pair, places: Sequence[Place]) -> None:
        self.pair, self._places = pair, places
        self._values, self._others = values_of(pair.base), values_of(pair.other, pair.reached)
        self._metric = pair.position[pair.metric]
        self.base, self.other = float(self._values[self._metric]), float(self._others[self._metric])
        self.found: dict[int, float] = {}
        self._numbers: dict[_Patch, list[int]] = {}
        for number, place in enumerate(places):
            known = self._sort(number, place)
            if known is not None:
                self.found[number] = known
        patches = sorted(self._numbers, key=lambda patch: (min(patch.starts), self._numbers[patch]))
        size = self._size(len(patches))
        self._rows: _Rows | None = None
        if size > 1:
            try:
                self._rows = _Rows(pair, self._values, size)
            except GraphnnError:
                size = 1  # an operation that does not take rows
        self._chunks = [patches[i : i + size] for i in range(0, len(patches), size)]
        self.chunks = [[number for patch in chunk for number in self._numbers[patch]] for chunk in self._chunks]

    def _sort(self, number: int, place: Place) -> float | None:
        """Put a place among the patches, or return the metric if it is known."""
        pair = self.pair
        node, part = pair.position[place.node], place.part
        if node not in pair.reached or same_bits(self._values[node][part], self._others[node][part]):
            return self.base
        seen, first = None, node
        if place.reader is not None:
            reader = pair.position[place.reader]
            if pair.readers[node] != (reader,) or node == self._metric:
                seen, first = (node, reader), reader
        if place.index is not None or (seen and not self._reads_only(reader, {node})):
            nodes = (node,) if seen is None else ()
            starts = pair.readers[node] if seen is None else (first,)
            if node == self._metric and seen is None:
                return float(self._others[node])
            self._numbers.setdefault(_Patch(nodes, place.index, seen, starts), []).append(number)
            return None
        exchanged = self._exchanged_with(first)
        if self._metric in exchanged:
            return self.other
        edges = [(i, reader) for i in sorted(exchanged) for reader in pair.readers[i] if reader not in exchanged]
        starts = tuple(dict.fromkeys(reader for _, reader in edges))
        patch = _Patch(tuple(dict.fromkeys(i for i, _ in edges)), None, None, starts)
        self._numbers.setdefault(patch, []).append(number)
        return None

    def _exchanged_with(self, first: int) -> set[int]:
        """Return the nodes that have the values of the other run if one has."""
        found = {first}
        waiting = list(self.pair.readers[first])
        heapify(waiting)
        while waiting:  # in the order of the schedule, so that what a node reads is decided before
            i = heappop(waiting)
            if i not in found and self._reads_only(i, found):
                found.add(i)
                for reader in self.pair.readers[i]:
                    heappush(waiting, reader)
        return found

    def _reads_only(self, i: int, exchanged: Container[int]) -> bool:
        """Return whether all that differs in what a node computes is exchanged."""
        reached = self.pair.reached
        if i in self.pair.leaves:
            return False
        return all(source in exchanged for source in self.pair.operands[i] if source in reached)

    def _size(self, count: int) -> int:
        """Return how many patches are computed at once."""
        pair = self.pair
        if count < _FEWEST or pair.base.overridden:  # what a node was made by hand is not in the graph
            return 1
        largest = max(self._values[i].nbytes for i in pair.reached)
        room = min(_BYTES, memory_budget(pair.graph)) // max(largest, 1)
        most = int(max(1, min(_MOST_ROWS, room, count)))
        return math.ceil(count / math.ceil(count / most))

    def run(self, chunk: int) -> dict[int, float]:
        """Return the metric under the patches of a chunk, by the numbers of their places."""
        patches = self._chunks[chunk]
        metrics: list[float] = []
        if self._rows is not None:
            with suppress(GraphnnError):  # then one by one, so that the error is of a node that the user knows
                metrics = quietly(self._rows.metrics, patches, self._others)
        if not metrics:
            metrics = [self._alone_or_refused(patch) for patch in patches]
        return {n: metric for patch, metric in zip(patches, metrics, strict=True) for n in self._numbers[patch]}

    def _alone_or_refused(self, patch: _Patch) -> float:
        try:
            return quietly(self._alone, patch)
        except GraphnnError as error:
            name = self._places[self._numbers[patch][0]].name
            raise error.within(f"with {quoted(name)} from the other run: ") from None

    def _alone(self, patch: _Patch) -> float:
        """Return the metric under one patch."""
        pair, base = self.pair, self.pair.base
        values = self._values.copy()
        positions = pair.below(patch.starts)
        for i in patch.nodes:
            values[i] = self._exchanged(i, patch.part)
        if patch.seen is not None:
            node, reader = patch.seen
            values[node] = self._exchanged(node, patch.part)
            for _ in evaluate(base, [reader], values):
                pass
            values[node] = self._values[node]
            positions.remove(reader)
        release(evaluate(base, sorted(positions), values), values, base.program.dying)
        return float(values[self._metric])

    def _exchanged(self, i: int, part: tuple[Any, ...]) -> Array:
        """Return a value with a part of it exchanged."""
        if part == (...,):
            other: Array = self._others[i]
            return other
        new: Array = self._values[i].copy()
        new[part] = self._others[i][part]
        return new


def release(evaluation: Iterator[Any], values: list[Any], dying: Sequence[Sequence[int]]) -> None:
    """Evaluate to the end, and let go of what no later node reads."""
    for step in evaluation:
        for dead in dying[step.index]:
            values[dead] = None
        del step


_Edits = list[tuple[int, tuple[Any, ...], Array]]
"""Rows, indices of what is exchanged in them, and what comes in."""


class _Rows:
    """The nodes that differences reach, made once more with a row for each patch.

    Positions are those of the run that is patched, but for those in `at` and `made`.
    """

    def __init__(self, pair: Pair, values: Sequence[Array], size: int) -> None:
        self.pair, self.size, self._values = pair, size, values
        target = Graph(pair.graph.name, pair.graph.dtype)
        plain: dict[Node, Node] = {}
        rows: dict[Node, Node] = {}
        firsts: dict[int, int] = {}
        with collector_paused():
            for i, node in enumerate(pair.order):
                first = firsts[i] = len(target)
                if i not in pair.reached:
                    plain[node] = target.placeholder(target.free_name("value"), node.shape, node.dtype)
                elif not any(operand in rows for operand in node.inputs):
                    rows[node] = target.placeholder(target.free_name("value"), (size, *node.shape), node.dtype)
                else:
                    made = one_batched(node, plain, rows, size)
                    # A value of its own, which is patched without that of the operand.
                    rows[node] = made if made.index >= first else fn.stop_gradient(made)
            program = program_of(target, [rows[pair.metric]])
        given = {made: values[pair.position[node]] for node, made in plain.items()}
        self._prepared = Prepared(program, program.binding(pair.base.sizes), given, pair.base.sizes)
        self._start: list[Any] = [given.get(node) for node in program.order]
        at = {node: place for place, node in enumerate(program.order)}
        self._at = {pair.position[node]: at[made] for node, made in rows.items()}
        """Where the value of a node is in the schedule of the rows."""
        self._is = {rows[pair.order[i]]: i for i in self._at}
        self._made: dict[int, list[int]] = {i: [] for i in self._at}
        """What computes a node, in the schedule of the rows."""
        self._for: dict[Node, int] = {}
        starts = list(firsts.values())
        for place, node in enumerate(program.order):
            i = bisect_right(starts, node.index) - 1
            self._for[node] = i
            if i in self._made:
                self._made[i].append(place)
        self._views: dict[int, Array] = {}

    def metrics(self, patches: Sequence[_Patch], other: Sequence[Array]) -> list[float]:
        """Return the metric under each patch: row i is that of patch i."""
        pair = self.pair
        at_nodes: dict[int, _Edits] = {}
        at_readers: dict[int, dict[int, _Edits]] = {}
        for row, patch in enumerate(patches):
            for i in patch.nodes:
                at_nodes.setdefault(i, []).append((row, patch.part, other[i]))
            if patch.seen is not None:
                node, reader = patch.seen
                at_readers.setdefault(reader, {}).setdefault(node, []).append((row, patch.part, other[node]))
        live = pair.below(start for patch in patches for start in patch.starts)
        held = self._start.copy()
        needed = {source for i in live for source in pair.operands[i]} | at_nodes.keys()
        for i in needed & self._at.keys() - live:
            view = self._view(i)
            held[self._at[i]] = edited(view, at_nodes[i]) if i in at_nodes else view
        self._evaluate(sorted(live), held, at_nodes, at_readers)
        found: list[float] = held[self._at[pair.position[pair.metric]]].astype(np.float64).tolist()
        return found[: len(patches)]

    def _evaluate(
        self,
        live: Sequence[int],
        held: list[Any],
        at_nodes: Mapping[int, _Edits],
        at_readers: Mapping[int, Mapping[int, _Edits]],
    ) -> None:
        """Evaluate some nodes, and exchange parts of what they give and of what they read."""
        seen: dict[tuple[int, Node], Array] = {}

        def run_node(node: Node, forward: Any, *operands: Array) -> Any:
            reader = self._for[node]
            if reader in at_readers:
                for i, (operand, value) in enumerate(zip(node.inputs, operands, strict=True)):
                    edits = at_readers[reader].get(self._is.get(operand, -1))
                    if edits is not None:
                        if (reader, operand) not in seen:
                            seen[reader, operand] = edited(value, edits)
                        operands = (*operands[:i], seen[reader, operand], *operands[i + 1 :])
            value = forward(*operands)
            edits = at_nodes.get(self._is.get(node, -1))
            return value if edits is None else edited(np.asarray(value), edits)

        positions = [place for i in live for place in self._made[i]]
        release(evaluate(self._prepared, positions, held, run_node), held, self._prepared.program.dying)

    def _view(self, i: int) -> Array:
        """Return a value of the run that is patched as rows that take no memory."""
        if i not in self._views:
            value = self._values[i]
            self._views[i] = np.broadcast_to(value, (self.size, *value.shape))
        return self._views[i]


def edited(value: Array, edits: _Edits) -> Array:
    """Return a copy of an array with parts of its rows exchanged."""
    new = value.copy()
    for row, part, other in edits:
        new[(row, *part)] = other[part]
    return new
