"""The search for a fault in many batches: which batch, which sample of it, and what goes wrong with that alone."""

from __future__ import annotations

import warnings
from collections import deque
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...compiler.compile import Compiled
from ...control_flow.unrolled_run import counterpart
from ...core.fetches import resolve
from ...errors import GraphnnError, GraphnnWarning, UsageError
from ...runtime.batches import Rows, batches_of, check_applies, checked_size, named_in, needed_placeholders
from ...runtime.cluster_port import opened_cluster
from ...runtime.evaluation_loop import Stop, collect
from ...runtime.feed import prepare
from ...runtime.program import program_of
from ..traces import Recording, Trace, prepared_for, stopped_trace, trace
from .evaluation import dependents
from .findings import Finding, Health, Searched
from .watched_values import finite, sound, watched_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence

    from ...core import Array, Graph, Node
    from ...runtime.batches import Shard
    from ...runtime.cluster_port import Cluster
    from ...runtime.feed import Feed
    from .evaluation import Evaluation

_SEARCHED = 1024
"""Rows of a batch, if nothing else is asked for: with few, calls take longer than what they compute."""
_MOST_PARTS = 4096
"""How many parts of a batch are tried, where many samples fail together and none alone."""


class Faults(NamedTuple):
    """What makes NaN or inf in a run, or fails."""

    run: Evaluation
    health: Health
    """Without what else the checks find."""

    @property
    def nodes(self) -> list[Node]:
        """The nodes of the worst ones."""
        first = self.health.first
        return [] if first is None else [each.node for each in self.health if each.severity == first.severity]


class Search:
    """Runs a target on batches until one has a fault.

    Parameters
    ----------
    target, sizes, graph
        As `check_health` takes them.
    data : mapping, iterable or function
        As `check_health` takes it.
    batch_size : int or None
        For a mapping.
    examined : callable
        Makes a run and the report about it.
    client, exact
        As `check_health` takes them.
    """

    def __init__(
        self,
        target: Any,
        data: Any,
        sizes: Mapping[str, int] | None,
        graph: Graph | None,
        batch_size: int | None,
        examined: Callable[..., tuple[Evaluation, Health]],
        client: Any = None,
        exact: bool = True,
    ) -> None:
        if isinstance(target, (Trace, Recording)):
            kind = type(target).__name__.lower()
            raise UsageError(
                f"a {kind} holds values that were computed, and takes no other data: give the step or the fetches to "
                "search data for a fault"
            )
        self._target, self._sizes, self._asked, self._examined = target, sizes, graph, examined
        self._step = target if isinstance(target, Compiled) else None
        if self._step is None:
            self._graph, self._wanted, _ = resolve(target, graph, named_in(data))
        else:
            self._graph, self._wanted = self._step.graph, [*self._step.fetches, *self._step.updates.values()]
        size = checked_size(_SEARCHED if batch_size is None else batch_size)
        self._batches = batches_of(self._graph, data, needed_placeholders(self._graph, self._wanted), "the data", size)
        check_applies("the data", data, batch_size=batch_size is not None)
        self._client, self._exact = client, exact
        self._batch = self._before = self._size = 0  # the present batch, the samples before it, and its own
        self._part = ""
        self._looking: Compiled | None = None
        self._count = 0  # nodes
        self._warns = False
        self._for_nan: set[int] = set()  # of what is watched, what may be infinite
        self._for_nothing: set[int] = set()  # and what may be NaN, too

    def __call__(self) -> Health:
        """Return the report about the first batch with an error, or else with a warning."""
        warned: Health | None = None
        with ExitStack() as stack:
            if self._client is None:
                suspects = self._suspects()
            else:
                suspects = self._suspects_by(stack.enter_context(opened_cluster(self._client, self._exact)))
            for feed in stack.enter_context(closing(suspects)):
                with self._noted():
                    found = self._looked_into(feed)
                if found is not None and found.errors:
                    return found
                warned = found if warned is None else warned
        if warned is not None:
            return warned
        health = Health(self._graph, self._count, (), searched=Searched(self._batch, self._before))
        health.checked = {"NaN and inf": "of all batches"}
        health.unchecked = {"all else": "many batches are searched for NaN and inf alone: give one batch"}
        return health

    def _suspects(self) -> Generator[Feed]:
        """Yield each batch that is not sound."""
        with closing(self._batches.opened()) as batches:
            for size, feed in batches:
                self._size, self._part = size, self._batches.part
                with self._noted():
                    is_sound = self._is_sound(feed)
                if not is_sound:
                    yield feed
                self._batch += 1
                self._before += size

    def _suspects_by(self, cluster: Cluster) -> Generator[Feed]:
        """Yield each batch that workers do not find sound, and that is not here."""
        shards = self._batches.shards()
        first = next(shards)
        with self._noted():
            step = self._looking = self._watching({**self._batches.whole, **first.first_feed()})
        sent = [(cluster.program(step.fetches, step.backend), cluster.state(self._graph.state))]
        whole = cluster.sent(self._batches.whole)
        under_way: deque[Shard] = deque()

        def passed(shard: Shard, start: int = 0) -> Any:
            told = sorted(self._for_nan), sorted(self._for_nothing), dict(self._sizes or {})
            return cluster.through(shard, unsound_in, sent, whole, *told, start=start)

        def begun() -> Iterator[Any]:
            for shard in chain([first], shards):
                under_way.append(shard)
                yield passed(shard)

        with closing(cluster.in_order(begun())) as results:
            for batches, rows, size, feed in results:
                shard = under_way.popleft()
                batch, before, self._part = self._batch, self._before, shard.part
                while feed is not None:
                    self._batch, self._before, self._size = batch + batches, before + rows, size
                    with self._noted():
                        is_sound = self._is_sound(feed)
                    if not is_sound:
                        yield feed
                    batches, rows, size, feed = cluster.gather([passed(shard, batches + 1)])[0]
                self._batch, self._before = batch + batches, before + rows

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Add the place of the present batch to an error."""
        try:
            yield
        except GraphnnError as error:
            where = f" in {self._part}" if self._part else self._batches.rows_of(self._batch, self._size)
            error.add_note(f"in batch {self._batch:,} of the data{where}")
            raise

    # --- looking at a batch

    def _is_sound(self, feed: Feed) -> bool:
        """Return whether nothing that is watched is NaN or infinite with a batch, but what may be."""
        step = self._looking
        try:
            if step is None:
                step = self._looking = self._watching(feed)
            # Filters are changed only for what is known to warn: Python then forgets which warnings it has shown.
            call = partial(step, feed, sizes=self._sizes)
            values = self._quietly(call) if self._warns else call()
        except GraphnnWarning:  # made an error by the user's filters
            return False
        except GraphnnError as error:
            if not isinstance(error.stopped, Stop):
                raise
            return False
        return sound(values, self._for_nan, self._for_nothing)

    def _watching(self, feed: Feed) -> Compiled:
        """Return a step that computes what is watched."""
        prepared, _ = prepared_for(self._target, feed, self._sizes, self._asked)
        self._count = len(prepared.program.order)
        self._warns = any(node.dtype == np.float16 for node in prepared.program.order)
        watched = watched_of(prepared, self._wanted)
        if self._step is None:
            return Compiled(watched, graph=self._graph)
        return Compiled(watched, backend=self._step.backend, graph=self._graph, settings=self._step.settings)

    def _quietly(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function without warnings of overflow: what it comes to is reported."""
        caches = self._graph.caches
        warned = set(caches.get("overflowed", ()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            try:
                return function(*args, **kwargs)
            finally:
                caches["overflowed"] = warned

    def _faults(self, feed: Feed, whole: Faults | None = None) -> Faults:
        """Return what goes wrong with a feed; of a part of a batch, only where it goes wrong with the whole batch.

        A row alone may fail otherwise, as a deviation of one number does.
        """
        prepared, updates = prepared_for(self._target, feed, self._sizes, self._asked)
        run, health = self._examined(prepared, updates)
        found = [each for each in health if _is_fault(run, each)]
        if whole is not None:
            known = {each.node.name for first in whole.health for each in (first, *first.leads_to)}
            found = [each for each in found if each.node.name in known]
        return Faults(run, Health(run.graph, run.count, found))

    def _looked_into(self, feed: Feed) -> Health | None:
        """Return the report about the present batch; None if nothing is wrong."""
        faults = self._faults(feed)
        if not faults.health.errors:
            self._permit(faults.run)
        if not faults.nodes:
            return None
        rows = Rows(self._graph, feed, 1, "the batch")
        cut = [counterpart(node, faults.run.graph) for node in rows.cut]
        if dependents(faults.run.order, cut).isdisjoint(faults.nodes):
            return self._report(faults, feed, Searched(self._batch + 1, self._before + rows.count, self._batch))
        part, found = self._narrowed(rows, faults)
        searched = Searched(self._batch + 1, self._before + rows.count, self._batch, part, self._before, self._part)
        return self._report(found, _part(rows, part), searched)

    def _permit(self, run: Evaluation) -> None:
        """Do not stop again at what is NaN or infinite in a run without errors, such as the infinities of a mask."""
        if self._looking is None or run.failure is not None:
            return
        for i, node in enumerate(self._looking.fetches):
            try:
                value = run.value_of(node)
            except KeyError:  # a loop takes it, and no iteration reads it
                continue
            if not np.isfinite(value).all():
                self._for_nan.add(i)
            if np.isnan(value).any():
                self._for_nothing.add(i)

    # --- splitting a batch

    def _narrowed(self, rows: Rows, whole: Faults) -> tuple[range, Faults]:
        """Return the first row that gives a fault alone; else the fewest that are known to do so together."""
        fewest = range(rows.count)
        waiting, tried, cannot = [fewest], 0, ""
        while waiting and tried < _MOST_PARTS:
            part = waiting.pop()
            tried += 1
            try:
                if len(part) < rows.count and not self._goes_wrong(whole.nodes, _part(rows, part)):
                    continue
                if len(part) == 1:
                    alone = self._faults(_part(rows, part), whole)
                    if alone.nodes:
                        return part, alone
                    continue
            except GraphnnError as error:
                cannot = error.reason.partition("\n")[0]  # its sizes are of the whole batch
                break
            fewest = min(fewest, part, key=len)
            half = len(part) // 2
            waiting += [part[half:], part[:half]]
        found = whole if len(fewest) == rows.count else self._faults(_part(rows, fewest), whole)
        if not found.nodes:
            fewest, found = range(rows.count), whole
        which = f"{len(fewest):,} samples of the batch give it together"
        says = f"no sample alone gives this, {which}"
        if waiting and not cannot:
            says = f"{which}; whether one gives it alone is not known after {tried:,} trials"
        elif cannot:
            says = f"the batch cannot be split to find a sample: {cannot}"
        found.health.findings[0].cause += f"; {says}"
        return fewest, found

    def _goes_wrong(self, nodes: Sequence[Node], feed: Feed) -> bool:
        """Return whether one of these nodes is NaN or infinite with a feed, or an operation fails."""
        if nodes[0].graph is not self._graph:  # in an iteration
            wrong = {node.name for node in nodes}
            return any(node.name in wrong for node in self._faults(feed).nodes)
        names = program_of(self._graph, nodes).dimension_names
        sizes = {name: size for name, size in (self._sizes or {}).items() if name in names}
        prepared = prepare(self._graph, nodes, feed, sizes)
        try:
            values: list[Array] = self._quietly(collect, prepared)
        except GraphnnError as error:
            if not isinstance(error.stopped, Stop):
                raise
            return True
        return not finite(values)

    def _report(self, faults: Faults, feed: Feed, searched: Searched) -> Health:
        try:
            seen: Trace | None = self._quietly(trace, self._target, feed, sizes=self._sizes, graph=self._asked)
        except GraphnnError as error:
            seen = stopped_trace(error)
        health = faults.health
        health.searched, health.trace = searched, seen
        return health


def unsound_in(
    batches: Iterator[tuple[int, int, int, Feed]],
    steps: Sequence[Compiled],
    for_nan: Collection[int],
    for_nothing: Collection[int],
    sizes: Mapping[str, int],
) -> list[Any]:
    """Return number, first row, rows and feed of the first batch that is not sound, or on which the step fails.

    If there is none, it returns how many batches there are, how many rows, 0 and None.
    """
    count = rows = 0
    for number, first, size, feed in batches:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", GraphnnWarning)
                is_sound = sound(steps[0](feed, sizes=sizes or None), for_nan, for_nothing)
        except GraphnnError:
            is_sound = False
        if not is_sound:
            return [number, first, size, feed]
        count, rows = number + 1, first + size
    return [count, rows, 0, None]


def _is_fault(run: Evaluation, found: Finding) -> bool:
    """Return whether a finding is about NaN, inf or an operation that fails."""
    place = run.places.get(found.node)
    return place is not None and (run.values[place] is None or run.bad[place])


def _part(rows: Rows, part: range) -> dict[Node, Any]:
    """Return a feed of some rows of a batch."""
    return {**rows.whole, **{node: array[part.start : part.stop] for node, array in rows.cut.items()}}
