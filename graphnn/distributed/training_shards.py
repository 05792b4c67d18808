"""A training step that is computed by shards of the batch, and whose gradients are added in a tree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..compiler.compile import Compiled, compile, updating
from ..core import Array, Graph
from ..core.fetches import ancestors
from ..errors import GraphnnError, ShapeError, UsageError
from .sharding import Joined, Once, Programs, Stage, cut, programs_of

if TYPE_CHECKING:
    from ..nn.training.history import WorkerReport
    from ..runtime.feed import Feed

Values = dict[str, Array]
"""Arrays by the names of their nodes."""
Kept = dict[int, tuple[int, Values]]
"""{shard: how many of its stages were computed, and what it keeps of them}."""


def bounds(shard: int, shards: int, rows: int) -> tuple[int, int]:
    """Return the first row of a shard, and that after its last one. Shards differ by one row at most."""
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


_UFUNCS: dict[str, Any] = {how.value: getattr(np, how.value) for how in Joined}


def both(joined: Mapping[str, str], one: Values | None, other: Values | None) -> Values | None:
    """Return what two parts of the tree give, put together; None stands for shards without rows."""
    if one is None or other is None:
        return one if other is None else other
    return {name: joined_by(how, one[name], other[name]) for name, how in joined.items()}


def joined_by(how: str, one: Array, other: Array) -> Array:
    """Return what two parts of the tree give, put together."""
    return np.asarray(_UFUNCS[how](one, other))


def all_of(joined: Mapping[str, str], parts: Mapping[tuple[int, int], Values | None], shards: int) -> Values:
    """Return what all shards give, put together from what parts of the tree give."""

    def found(first: int, last: int) -> Values | None:
        if (first, last) in parts:
            return parts[first, last]
        half = middle(first, last)
        return both(joined, found(first, half), found(half, last))

    values = found(0, shards)
    assert values is not None
    return values


class Layout(NamedTuple):
    """What a compiled stage is fed, and what it gives, by the names of nodes: first what is joined, then the others."""

    feeds: list[str]
    joined: dict[str, str]
    """How two shards make one, by the name of a ufunc."""
    kept: list[str]
    rows: list[str]
    whole: str | None
    unbound: list[str]
    shard: str | None

    @classmethod
    def of(cls, stage: Stage) -> Layout:
        """Return that of a stage."""
        joined = {name: how.value for name, how in stage.joined.items()}
        return cls(stage.feeds, joined, stage.kept, list(stage.rows), stage.whole, stage.unbound, stage.shard)


class Computer:
    """Computes shards of one batch.

    Parameters
    ----------
    layouts : sequence of Layout
    steps : sequence of Compiled
        The stages, with the values of the parameters.
    round_ : Round
    kept : dict of int to tuple
        How many stages of each shard were computed, and what it keeps of them for later ones; it is added to. What is
        not there is computed again.
    """

    def __init__(self, layouts: Sequence[Layout], steps: Sequence[Compiled], round_: Round, kept: Kept) -> None:
        self._layouts, self._steps, self._round, self._kept = layouts, steps, round_, kept
        self.rows: dict[int, Values] = {}
        """The rows of fetches, by shard."""

    def part(self, number: int, first: int, last: int) -> Values | None:
        """Compute a stage of the shards from `first` to below `last`, which are a part of the tree."""
        if last - first == 1:
            return self._one(number, first)
        half = middle(first, last)
        one = self.part(number, first, half)
        return both(self._layouts[number].joined, one, self.part(number, half, last))

    def _one(self, number: int, shard: int) -> Values | None:
        round_, layout = self._round, self._layouts[number]
        feed, size = round_.shard(shard)
        if not size:
            return None
        for before in range(self._kept.get(shard, (0, {}))[0], number):
            self._one(before, shard)
        done, kept = self._kept.get(shard, (0, {}))
        mine = {**feed, **round_.totals, **kept}
        if layout.shard is not None:
            mine[layout.shard] = np.asarray(shard, np.int64)
        try:
            values = iter(
                self._steps[number]({name: mine[name] for name in layout.feeds}, sizes=round_.sizes(layout, size))
            )
        except GraphnnError as error:
            first, last = bounds(shard, round_.shards, round_.rows)
            error.add_note(f"in shard {shard + 1} of {round_.shards}, rows {first:,} to {last - 1:,} of the batch")
            raise
        joined = {name: next(values) for name in layout.joined}
        if number + 1 < len(self._layouts):
            self._kept[shard] = max(done, number + 1), {**kept, **{name: next(values) for name in layout.kept}}
        else:  # nobody asks for it any more
            self._kept.pop(shard, None)
        self.rows.setdefault(shard, {}).update({name: next(values) for name in layout.rows})
        return joined


class Round:
    """A batch, split into shards, and what was joined of it so far."""

    def __init__(
        self, shards: int, rows: int, split: Values, passed: Values, dims: Mapping[str, int | None], first: int = 0
    ) -> None:
        self.shards, self.rows = shards, rows
        self.dims = dims
        """The sizes of the dimensions that have names; None: the number of rows."""
        self.passed = passed
        self.totals: Values = {}
        self._split, self._first = split, first

    def shard(self, number: int) -> tuple[Values, int]:
        """Return the feed of a shard, and how many rows it has."""
        first, last = bounds(number, self.shards, self.rows)
        rows = slice(first - self._first, last - self._first)
        return {**self.passed, **{name: array[rows] for name, array in self._split.items()}}, last - first

    def sizes(self, program: Layout | Once, rows: int) -> dict[str, int] | None:
        """Return the sizes that a program is given beside its feeds, if it has so many rows."""
        known = [(name, self.dims[name]) for name in program.unbound if name in self.dims]
        found = {name: rows if size is None else size for name, size in known}
        if program.whole is not None:
            found[program.whole] = self.rows
        return found or None

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
    def compute(self, number: int, round_: Round, state: Callable[[], Values]) -> tuple[Values, dict[int, Values]]:
        """Compute a stage of all shards, and return what is joined, and the rows of fetches by shard.

        `state` returns the values of the parameters. They are the same in all stages of a step.
        """

    def workers(self) -> dict[str, WorkerReport]:
        """Return what each worker did so far, if there are any."""
        return {}


class Alone(Crew):
    """This process computes one shard after the other."""

    def begin(self, programs: Programs, step: Compiled) -> None:
        """Compile the stages."""
        self._stages = programs.stages
        self._layouts = [Layout.of(stage) for stage in programs.stages]
        self._steps = [_as(step, stage.fetches) for stage in programs.stages]
        self._kept: Kept = {}

    def compute(self, number: int, round_: Round, state: Callable[[], Values]) -> tuple[Values, dict[int, Values]]:
        """Compute all shards."""
        if not number:
            self._kept, values = {}, state()
            for stage in self._stages:
                give(stage.graph, stage.state, values)
        computer = Computer(self._layouts, self._steps, round_, self._kept)
        found = computer.part(number, 0, round_.shards)
        assert found is not None
        return found, computer.rows


def _as(step: Compiled, fetches: Any, updates: Any = None, graph: Graph | None = None) -> Compiled:
    """Compile something as a step was."""
    return compile(fetches, updates, step.backend, step.guard, graph=graph, threads=step.settings.threads)


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
        self._fed = {node for node in ancestors(finals) if node.op.is_placeholder}
        self._split = {node for node in self._fed if node.shape and isinstance(node.shape[0], str)}
        if not self._split:
            raise UsageError(
                f"shards={shards}: no placeholder of the step has a name as its first dimension, so there are no rows "
                "to split"
            )
        self._rows = {str(node.shape[0]) for node in self._split}
        self._programs = programs_of(cut(step.fetches, step.updates, self._rows, statistics), shards)
        names = {node.name for stage in self._programs.stages for node in stage.graph.state}
        self._state = [node for node in list(step.graph.state) if node.name in names]
        crew.begin(self._programs, step)
        self._once = None if self._programs.once is None else _Once(self._programs.once, step)

    def __call__(self, batch: Feed) -> Any:
        """Make a step, as the compiled step does."""
        step, shards = self._step, self._programs.shards
        split = {node.name: array for node, array in batch.items() if node in self._split}
        rows = len(next(iter(split.values()))) if split else 0
        if any(len(array) != rows for array in split.values()):
            listed = ", ".join(f'"{name}" has {len(array):,}' for name, array in split.items())
            raise ShapeError(f"shards={shards} cuts the rows of all arrays alike, and {listed}: leave out shards=")
        if not rows or not batch.keys() >= self._fed:
            step.prepared(batch)  # which says what is wrong
        passed = {node.name: array for node, array in batch.items() if node not in self._split}
        named = [pair for node, array in batch.items() for pair in zip(node.shape, array.shape, strict=False)]
        dims = {dim: None if dim in self._rows else size for dim, size in named if isinstance(dim, str)}
        with updating(step.graph):
            round_ = Round(shards, rows, split, passed, dims)
            by_shard: dict[int, Values] = {}
            for number in range(len(self._programs.stages)):
                joined, came = self._crew.compute(number, round_, self._values)
                round_.totals |= joined
                for shard, values in came.items():
                    by_shard.setdefault(shard, {}).update(values)
            found = {} if self._once is None else self._once(round_)
        for stage in self._programs.stages:
            for name, axis in stage.rows.items():
                found[name] = np.concatenate([by_shard[shard][name] for shard in sorted(by_shard)], axis)
        return step.rebuild([found[node.name] for node in step.fetches])

    @property
    def workers(self) -> dict[str, WorkerReport]:
        """What each worker did, by its address."""
        return self._crew.workers()

    def _values(self) -> Values:
        state = self._step.graph.state
        return {node.name: state[node] for node in self._state}


class _Once:
    """What runs once in a step: from what was joined to the results and the updates."""

    def __init__(self, once: Once, step: Compiled) -> None:
        self._once, self._source = once, step.graph
        of = dict(zip(once.names, once.fetches, strict=True))
        graph = once.graph
        self._moved = {parameter: graph[parameter.name] for parameter in step.updates}
        wanted = {node.name: of[node.name] for node in step.fetches if node.name in of}
        updates = {copy: of[step.updates[parameter].name] for parameter, copy in self._moved.items()}
        self._compiled = _as(step, wanted, updates or None, graph)
        state = {*once.state, *(node.name for node in step.updates)}
        self._state = {node: graph[node.name] for node in list(step.graph.state) if node.name in state}

    def __call__(self, round_: Round) -> Values:
        once, graph = self._once, self._once.graph
        dict.update(graph.state, {copy: self._source.state[node] for node, copy in self._state.items()})
        given = {**round_.passed, **round_.totals}
        sizes = round_.sizes(once, round_.rows)
        found: Values = self._compiled({name: given[name] for name in once.feeds}, sizes=sizes)
        dict.update(self._source.state, {node: graph.state[copy] for node, copy in self._moved.items()})
        return found
