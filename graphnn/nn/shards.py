"""A training step that is computed by shards of the batch, and whose gradients are added in a tree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphnnError, UsageError
from ..execute.compiled import Compiled, compile, updating
from ..graph import Array, Graph, Placeholder
from ..graph.attributes import whole
from ..graph.fetches import ancestors
from ..sharding import Joined, Once, Programs, Stage, cut, programs_of
from ..text import quoted, short_repr

if TYPE_CHECKING:
    from ..execute.feed import Feed

Values = dict[str, Array]
"""Arrays by the names of their nodes."""


def bounds(shard: int, shards: int, rows: int) -> tuple[int, int]:
    """Return the first row of a shard, and that behind its last one. Shards differ by one row at most."""
    return shard * rows // shards, (shard + 1) * rows // shards


def middle(first: int, last: int) -> int:
    """Return where the tree of the shards from `first` to below `last` parts: by their number alone."""
    return first + (1 << (last - first - 1).bit_length() - 1)


def subtrees(first: int, last: int, shards: int) -> Iterator[tuple[int, int]]:
    """Yield the largest parts of the tree that consist of shards from `first` to below `last`, in order.

    Examples
    --------
    >>> list(subtrees(0, 5, 8)), list(subtrees(5, 8, 8)), list(subtrees(0, 3, 3))
    ([(0, 4), (4, 5)], [(5, 6), (6, 8)], [(0, 3)])
    """
    waiting = [(0, shards)]
    while waiting:
        a, b = waiting.pop()
        if b <= first or a >= last:
            continue
        if first <= a and b <= last:
            yield a, b
        else:
            waiting += [(middle(a, b), b), (a, middle(a, b))]


class Shares:
    """What shards give of what is joined: put together two by two, as far as the tree goes."""

    def __init__(self, joined: Mapping[str, Joined]) -> None:
        self._ufuncs = {name: getattr(np, how.value) for name, how in joined.items()}

    def both(self, one: Values | None, other: Values | None) -> Values | None:
        """Return what two parts of the tree give; None stands for shards without rows."""
        if one is None or other is None:
            return one if other is None else other
        return {name: np.asarray(ufunc(one[name], other[name])) for name, ufunc in self._ufuncs.items()}

    def whole(self, parts: Mapping[tuple[int, int], Values | None], shards: int) -> Values:
        """Return what all shards give, of what parts of the tree give."""
        found = self._of(0, shards, parts)
        assert found is not None
        return found

    def _of(self, first: int, last: int, parts: Mapping[tuple[int, int], Values | None]) -> Values | None:
        if (first, last) in parts:
            return parts[first, last]
        half = middle(first, last)
        return self.both(self._of(first, half, parts), self._of(half, last, parts))


class Computer:
    """Computes shards: the stages of a step that is cut, compiled, and the values of the parameters."""

    def __init__(self, stages: Sequence[Stage], backend: str | None = None, guard: str | None = None) -> None:
        self.stages = stages
        self._steps = [compile(stage.fetches, backend=backend, guard=guard) for stage in stages]
        self._shares = [Shares(stage.joined) for stage in stages]

    def take_over(self, state: Mapping[str, Array]) -> None:
        """Compute with these values of the parameters from now on."""
        for stage in self.stages:
            give(stage.graph, stage.state, state)

    def part(
        self, number: int, first: int, last: int, round_: Round, kept: dict[int, Values], rows: dict[int, Values]
    ) -> Values | None:
        """Compute a stage of the shards from `first` to below `last`, which are a part of the tree.

        `kept` takes what a shard keeps for later stages, and `rows` its rows of fetches.
        """
        if last - first > 1:
            half = middle(first, last)
            one = self.part(number, first, half, round_, kept, rows)
            return self._shares[number].both(one, self.part(number, half, last, round_, kept, rows))
        feed, size = round_.shard(first)
        return self._one(number, first, feed, round_, kept, rows) if size else None

    def _one(
        self, number: int, shard: int, feed: Values, round_: Round, kept: dict[int, Values], rows: dict[int, Values]
    ) -> Values:
        stage = self.stages[number]
        mine = {**feed, **round_.totals, **kept.get(shard, {})}
        if stage.shard is not None:
            mine[stage.shard] = np.asarray(shard, np.int64)
        sizes = None if stage.whole is None else {stage.whole: round_.rows}
        try:
            found = self._steps[number]({name: mine[name] for name in stage.feeds}, sizes=sizes)
        except GraphnnError as error:
            first, last = bounds(shard, round_.shards, round_.rows)
            error.add_note(f"in shard {shard + 1} of {round_.shards}, rows {first:,} to {last - 1:,} of the batch")
            raise
        values = iter(found)
        given = dict(zip(stage.joined, values, strict=False))
        kept.setdefault(shard, {}).update(zip(stage.kept, values, strict=False))
        rows.setdefault(shard, {}).update(zip(stage.rows, values, strict=False))
        return given


class Round:
    """A batch, cut into shards, and what was joined of it so far."""

    def __init__(self, shards: int, rows: int, split: Values, passed: Values, first: int = 0) -> None:
        self.shards, self.rows = shards, rows
        self.passed = passed
        self.totals: Values = {}
        self._split, self._first = split, first

    def shard(self, number: int) -> tuple[Values, int]:
        """Return the feed of a shard, and how many rows it has."""
        first, last = bounds(number, self.shards, self.rows)
        rows = slice(first - self._first, last - self._first)
        return {**self.passed, **{name: array[rows] for name, array in self._split.items()}}, last - first

    def between(self, first: int, last: int) -> Values:
        """Return the rows of the shards from `first` to below `last`."""
        rows = slice(bounds(first, self.shards, self.rows)[0], bounds(last, self.shards, self.rows)[0])
        return {name: array[rows] for name, array in self._split.items()}


def give(graph: Graph, names: Sequence[str], values: Mapping[str, Array]) -> None:
    """Give parameters of a graph values that are stored in another one; stored arrays never change, and are shared."""
    dict.update(graph.state, {graph[name]: values[name] for name in names})


class Crew(ABC):
    """Who computes the shards of a step."""

    @abstractmethod
    def begin(self, programs: Programs, step: Compiled) -> None:
        """Take over what is to be computed."""

    @abstractmethod
    def compute(self, number: int, round_: Round, state: Mapping[str, Array], rows: dict[int, Values]) -> Values:
        """Compute a stage of all shards, with these values of the parameters, and return what is joined."""


class Alone(Crew):
    """This process computes one shard after the other."""

    def begin(self, programs: Programs, step: Compiled) -> None:
        """Compile the stages."""
        self._computer = Computer(programs.stages, step.backend, step.guard)
        self._kept: dict[int, Values] = {}

    def compute(self, number: int, round_: Round, state: Mapping[str, Array], rows: dict[int, Values]) -> Values:
        """Compute all shards."""
        if not number:
            self._kept = {}
            self._computer.take_over(state)
        found = self._computer.part(number, 0, round_.shards, round_, self._kept, rows)
        assert found is not None
        return found


class Sharded:
    """A compiled step, called as the step is, that is computed by shards of the batch.

    Parameters
    ----------
    step : Compiled
    shards : int
    statistics : {"all", "shard"}
    crew : Crew
    """

    def __init__(self, step: Compiled, shards: int, statistics: str, crew: Crew) -> None:
        self._step, self._crew = step, crew
        if step.observers:
            raise UsageError("a recording keeps what a step computes at once: record without shards=")
        finals = [*step.fetches, *step.updates.values()]
        fed = [node for node in ancestors(finals) if isinstance(node.op, Placeholder)]
        self._split = {node for node in fed if node.shape and isinstance(node.shape[0], str)}
        if not self._split:
            raise UsageError(
                f"shards={shards}: no placeholder of the step has a name as its first dimension, so there are no rows "
                "to cut"
            )
        names = {str(node.shape[0]) for node in self._split}
        self._programs = programs_of(cut(step.fetches, step.updates, names, statistics), shards)
        self._names = {name for stage in self._programs.stages for name in stage.state}
        self._by_name = {node.name: node for node in step.graph.state if node.name in self._names}
        crew.begin(self._programs, step)
        self._once = None if self._programs.once is None else _Once(self._programs.once, step)

    def __call__(self, batch: Feed) -> Any:
        """Make a step, as the compiled step does."""
        step, shards = self._step, self._programs.shards
        split = {node.name: array for node, array in batch.items() if node in self._split}
        rows = len(next(iter(split.values()))) if split else 0
        if not rows:
            step.prepared(batch)  # which says what is wrong
        passed = {node.name: array for node, array in batch.items() if node not in self._split}
        with updating(step.graph):
            round_ = Round(shards, rows, split, passed)
            state = {name: step.graph.state[node] for name, node in self._by_name.items()}
            by_shard: dict[int, Values] = {}
            for number in range(len(self._programs.stages)):
                round_.totals |= self._crew.compute(number, round_, state, by_shard)
            found = {} if self._once is None else self._once(round_)
        for stage in self._programs.stages:
            for name, axis in stage.rows.items():
                found[name] = np.concatenate([by_shard[shard][name] for shard in sorted(by_shard)], axis)
        return step.rebuild([found[node.name] for node in step.fetches])


class _Once:
    """What runs once in a step: from what was joined to the results and the updates."""

    def __init__(self, once: Once, step: Compiled) -> None:
        self._once, self._source = once, step.graph
        of = dict(zip(once.names, once.fetches, strict=True))
        graph = once.graph
        self._moved = {parameter: graph[parameter.name] for parameter in step.updates}
        wanted = {node.name: of[node.name] for node in step.fetches if node.name in of}
        updates = {copy: of[step.updates[parameter].name] for parameter, copy in self._moved.items()}
        self._compiled = compile(wanted, updates or None, step.backend, step.guard, graph=graph)
        state = {*once.state, *(node.name for node in step.updates)}
        self._state = {node: graph[node.name] for node in step.graph.state if node.name in state}

    def __call__(self, round_: Round) -> Values:
        once, graph = self._once, self._once.graph
        dict.update(graph.state, {copy: self._source.state[node] for node, copy in self._state.items()})
        given = {**round_.passed, **round_.totals}
        sizes = None if once.whole is None else {once.whole: round_.rows}
        found: Values = self._compiled({name: given[name] for name in once.feeds}, sizes=sizes)
        dict.update(self._source.state, {node: graph.state[copy] for node, copy in self._moved.items()})
        return found


def computed_by_shards(step: Compiled, shards: Any, statistics: Any) -> Callable[[Feed], Any]:
    """Return what makes a step: itself, or shards of it.

    Raises
    ------
    UsageError, ValueRangeError
        When an argument is not as `fit` takes it, or the step cannot be cut.
    """
    if statistics not in ("all", "shard"):
        raise UsageError(f'statistics= are those of "all" rows or of each "shard", not {short_repr(statistics)}')
    if shards is None:
        if statistics != "all":
            raise UsageError(f"statistics={quoted(statistics)} is for shards: give shards=, how many there are")
        return step
    return Sharded(step, whole("shards", shards, 1), statistics, Alone())
