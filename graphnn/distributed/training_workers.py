"""Workers that compute the shards of a training run."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import RLock
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from ..nn.training.history import WorkerReport
from .blas_threads import one_blas_thread
from .training_shards import Computer, Crew, Kept, Layout, Round, Values, all_of, bounds, joined_by, middle, subtrees
from .worker import Answer, State, Work, answer, step_of

if TYPE_CHECKING:
    from ..compiler.compile import Compiled
    from .dask_cluster import DaskCluster
    from .sharding import Programs, Stage
    from .worker_programs import Program

_ASKED_AGAIN = 2.0
"""Seconds after which the scheduler is asked again which workers there are."""
_SENT_WITH_TASKS = 2**26
"""Bytes of parameters, for all workers together, that the scheduler hands on with the tasks. Larger ones go to one
worker, and from there on to the others, which takes longer to begin."""
_ADDED_HERE = 2**24
"""Bytes of sums, from all workers together, that are added in this process. Where there are more, workers add them two
by two, so that only the whole comes here."""
_MOST_RUNS = 4
"""Of how many training runs a worker keeps something between the stages of a step."""


class Part(NamedTuple):
    """Shards that stand side by side, as they are sent: from `first` to below `last`."""

    shards: int
    first: int
    last: int
    rows: int
    split: Values
    passed: Values
    dims: Mapping[str, int | None]
    totals: Values


class DaskCrew(Crew):
    """The workers of a client: each computes some shards that stand side by side.

    A task has everything that it needs, so Dask can give it to another worker if one is lost.
    """

    def __init__(self, cluster: DaskCluster) -> None:
        self._cluster, self._begun = cluster, monotonic()
        self._slots: list[str | None] = []
        self._asked = -_ASKED_AGAIN
        self._most: dict[str, int] = {}
        """For each worker that was seen, the threads."""

    def begin(self, programs: Programs, step: Compiled) -> None:
        """Send what is to be computed."""
        if step.guard is not None:
            raise UsageError(
                f'guard="{step.guard}" looks at each value of a step, and with client= workers compute it: '
                "gn.check_health(step, data, client=client) finds the sample; or compile the step without guard="
            )
        self._shards = programs.shards
        self._layouts = [Layout.of(stage) for stage in programs.stages]
        self._sizes = [_bytes(stage) for stage in programs.stages]
        self._programs = [self._cluster.program(stage.fetches, step.backend) for stage in programs.stages]

    def compute(self, number: int, round_: Round, state: Callable[[], Values]) -> tuple[Values, dict[int, Values]]:
        """Let each worker compute its shards."""
        slots = self._now()[: self._shards]
        if not number:
            values = state()
            size = len(slots) * sum(value.nbytes for value in values.values())
            together = len(slots) <= 2 or size <= _SENT_WITH_TASKS
            self._states = [self._cluster.version(values)] if together else self._spread(values, slots)
        futures, places = [], []
        for i, slot in enumerate(slots):
            first, last = bounds(i, len(slots), self._shards)
            split = round_.between(first, last)
            part = Part(round_.shards, first, last, round_.rows, split, round_.passed, round_.dims, round_.totals)
            programs = self._programs[: number + 1]
            futures.append(
                self._cluster.call(
                    compute, programs, self._layouts, self._states[i % len(self._states)], part, name="shards", at=slot
                )
            )
            places.append((first, last))
        if len(futures) > 2 and len(futures) * self._sizes[number] > _ADDED_HERE and not self._layouts[number].rows:
            futures, places = [self._summed(number, round_.rows, dict(zip(places, futures, strict=True)))], []
        return self._found(number, round_.rows, places or [(0, self._shards)], self._cluster.gather(futures))

    def _spread(self, values: Values, slots: Sequence[str | None]) -> list[Any]:
        """Send parameters to one worker, and let each hand them on to two others; return what each has."""
        found = [self._cluster.state(values, at=slots[0])]
        for i, slot in enumerate(slots[1:]):
            found.append(self._cluster.handed_on(found[i // 2], at=slot))
        return found

    def _summed(self, number: int, rows: int, of: dict[tuple[int, int], Any]) -> Any:
        """Let workers add what parts of the tree give, two by two; return the future of the whole."""
        joined = self._layouts[number].joined
        at: dict[tuple[int, int], tuple[Any, int] | None] = {}
        for (first, last), future in of.items():
            place = 0
            for a, b in subtrees(first, last, self._shards):
                at[a, b] = (future, place) if self._has_rows(a, b, rows) else None
                place += len(joined) if at[a, b] else 0

        def found(a: int, b: int) -> tuple[Any, int] | None:
            if (a, b) in at:
                return at[a, b]
            half = middle(a, b)
            one, other = found(a, half), found(half, b)
            if one is None or other is None:
                return one or other
            return self._cluster.call(add, list(joined.values()), *one, *other, name="sum"), 0

        whole = found(0, self._shards)
        assert whole is not None
        return self._cluster.call(taken, len(joined), *whole, name="sum") if whole in at.values() else whole[0]

    def _has_rows(self, first: int, last: int, rows: int) -> bool:
        return bounds(first, self._shards, rows)[0] < bounds(last, self._shards, rows)[0]

    def _found(
        self, number: int, count: int, places: Sequence[tuple[int, int]], answers: Sequence[Sequence[Any]]
    ) -> tuple[Values, dict[int, Values]]:
        """Return what is joined, and the rows of fetches, of what workers returned for these shards."""
        layout, parts, rows = self._layouts[number], dict[tuple[int, int], Values | None](), dict[int, Values]()
        for (first, last), answered in zip(places, answers, strict=True):
            given = iter(answered)
            for a, b in subtrees(first, last, self._shards):
                has_rows = self._has_rows(a, b, count)
                parts[a, b] = {name: next(given) for name in layout.joined} if has_rows else None
            for shard in _with_rows(first, last, self._shards, count) if layout.rows else ():
                rows[shard] = {name: next(given) for name in layout.rows}
        return all_of(layout.joined, parts, self._shards), rows

    def _now(self) -> list[str | None]:
        """Return the workers that there are; those that came or went lately may be missed, and nothing hangs on it."""
        if not self._slots or monotonic() - self._asked > _ASKED_AGAIN:
            self._slots, self._asked = [*self._cluster.slots] or [None], monotonic()
            self._most |= {address: self._slots.count(address) for address in self._slots if address is not None}
        return self._slots

    def workers(self) -> dict[str, WorkerReport]:
        """Return what each worker did so far."""
        elapsed = monotonic() - self._begun
        return {
            address: WorkerReport(
                did.tasks,
                did.seconds,
                max(0.0, elapsed * self._most.get(address, 1) - did.seconds),
                did.read,
                did.returned,
            )
            for address, did in self._cluster.work.items()
        }


def _bytes(stage: Stage) -> int:
    """Return how many bytes a stage joins, as far as it is known."""
    joined = stage.fetches[: len(stage.joined)]
    return sum(node.dtype.itemsize * math.prod(dim for dim in node.shape if isinstance(dim, int)) for node in joined)


def _with_rows(first: int, last: int, shards: int, rows: int) -> Iterator[int]:
    for shard in range(first, last):
        a, b = bounds(shard, shards, rows)
        if a < b:
            yield shard


# --- on a worker --------------------------------------------------------------------------------------------------

_kept: OrderedDict[str, tuple[str, Kept]] = OrderedDict()
"""Between the stages of a step: {training: version of its state, what the shards keep}."""
_keeping = RLock()


def compute(programs: Sequence[Program], layouts: Sequence[Layout], state: State, part: Part) -> Answer:
    """Compute the last of these stages of some shards; those before it, where what they keep is not here."""
    begun, number = perf_counter(), len(programs) - 1
    steps = [step_of(program, state, most=len(layouts) + 8) for program in programs]
    first = bounds(part.first, part.shards, part.rows)[0]
    round_ = Round(part.shards, part.rows, part.split, part.passed, part.dims, first)
    round_.totals = part.totals
    computer = Computer(layouts, steps, round_, _kept_of(state.version))
    with one_blas_thread():
        parts = [computer.part(number, a, b) for a, b in subtrees(part.first, part.last, part.shards)]
    joined, rows = layouts[number].joined, layouts[number].rows
    values: list[Any] = [found[name] for found in parts if found is not None for name in joined]
    values += [computer.rows[shard][name] for shard in sorted(computer.rows) for name in rows]
    read = [*part.split.values(), *part.passed.values(), *part.totals.values()]
    return answer(values, begun, read)


def add(how: Sequence[str], left: Answer, at: int, right: Answer, beside: int) -> Answer:
    """Put together what two answers have, from these places on."""
    begun = perf_counter()
    pairs = zip(how, left.values[at:], right.values[beside:], strict=False)
    values = [joined_by(each, a, b) for each, a, b in pairs]
    read = [*left.values[at : at + len(how)], *right.values[beside : beside + len(how)]]
    return answer(values, begun, read, [*_work(left, at), *_work(right, beside)])


def taken(count: int, whole: Answer, at: int) -> Answer:
    """Return what an answer has from a place on."""
    return answer(whole.values[at : at + count], perf_counter(), [], _work(whole, at))


def _work(of: Answer, at: int) -> Sequence[Work]:
    return [] if at else of.work  # an answer with several parts of the tree is read several times


def _kept_of(version: str) -> Kept:
    run = version.rpartition("-")[0]
    with _keeping:
        if _kept.get(run, ("", {}))[0] != version:
            _kept[run] = version, {}
            _kept.move_to_end(run)
            while len(_kept) > _MOST_RUNS:
                _kept.popitem(last=False)
        return _kept[run][1]
