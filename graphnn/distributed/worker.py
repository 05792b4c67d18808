"""What runs on a worker. Each thread keeps the plans of the programs that it was given, and their state by version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ClusterError
from .bit_reproducibility import differing, facts
from .blas_threads import one_blas_thread
from .lazy_chunks import Taken, in_batches
from .worker_programs import Program, compiled

if TYPE_CHECKING:
    from ..compiler.compile import Compiled
    from ..core import Array

Judge = Callable[..., list[Any]]
"""Takes an iterator of batches (number, first row, rows, feed) and the steps, and returns what it tells."""
_MOST_KEPT = 8
"""Programs of one thread."""


class State(NamedTuple):
    """A version of the values of parameters."""

    version: str
    values: dict[str, Array]


class Work(NamedTuple):
    """What a worker did in one task."""

    worker: str
    seconds: float
    read: int
    """Bytes of its operands."""
    returned: int


class Answer(NamedTuple):
    """What a task returns."""

    values: list[Any]
    work: list[Work]


class _Kept(threading.local):
    def __init__(self) -> None:
        self.steps: OrderedDict[str, list[Any]] = OrderedDict()


_kept = _Kept()


def step_of(program: Program, state: State | None, most: int = _MOST_KEPT) -> Compiled:
    """Return the compiled step of a program with this state; it is this thread's own, and `most` of them are kept.

    Raises
    ------
    ClusterError
        When this process may compute other bits than the one that sent the program.
    """
    entry = _kept.steps.get(program.digest)
    if entry is None:
        check_alike(program)
        entry = _kept.steps[program.digest] = [compiled(program.block), None]
        while len(_kept.steps) > most:
            _kept.steps.popitem(last=False)
    _kept.steps.move_to_end(program.digest)
    step: Compiled = entry[0]
    if state is not None and entry[1] != state.version:
        graph = step.graph
        # Past the checks of the table, which would copy each array: what has arrived is nobody else's.
        dict.update(graph.state, {node: _aligned(state.values[node.name]) for node in graph.state})
        entry[1] = state.version
    return step


def check_alike(program: Program) -> None:
    """Refuse to compute where other bits may come of it."""
    if program.facts is not None and (clauses := differing(program.facts, facts())):
        raise ClusterError(
            f"the worker {address()} may compute other bits than the client: {', '.join(clauses)}. Give it the same, "
            "or allow for it with exact=False, for fit in nn.Shards(count, exact=False)"
        )


def address() -> str:
    """Return the address of this worker."""
    from distributed import get_worker

    return str(get_worker().address)


def evaluate(program: Program, state: State | None, names: Sequence[str], *given: Any) -> Answer:
    """Compute a program, fed by names."""
    begun = perf_counter()
    arrays = [each.values[0] if isinstance(each, Answer) else each for each in given]
    step = step_of(program, state)
    with one_blas_thread():
        values = step(dict(zip(names, arrays, strict=True)))
    return answer(values, begun, arrays, [work for each in given if isinstance(each, Answer) for work in each.work])


def keep(value: Any) -> Any:
    """Return what was sent: a task, so that Dask has it again if the worker that kept it is lost."""
    return value


class Part(NamedTuple):
    """How a shard is gone through."""

    taken: Taken | None
    """What is taken of what was loaded; None: it is a feed by names."""
    size: int | None
    rows: int | None
    start: int
    """The batch to begin with."""


def through(part: Part, judge: Judge, args: Sequence[Any], whole: Mapping[str, Any], loaded: Any, *sent: Any) -> Answer:
    """Go through the batches of a shard with the programs that were sent, each followed by its state."""
    begun = perf_counter()
    arrays = loaded if part.taken is None else part.taken.arrays(loaded)
    steps = [step_of(program, state) for program, state in zip(sent[::2], sent[1::2], strict=True)]
    batches = in_batches(arrays, part.size, part.rows, part.start)
    with one_blas_thread():
        told = judge(((*place, {**whole, **feed}) for *place, feed in batches), steps, *args)
    return answer(told, begun, [*arrays.values()])


def answer(values: Sequence[Any], begun: float, read: Sequence[Any], before: Sequence[Work] = ()) -> Answer:
    """Return the answer of a task, with the work that led to it."""
    work = Work(address(), perf_counter() - begun, _bytes(read), _bytes(values))
    return Answer(list(values), [*before, work])


def _bytes(values: Sequence[Any]) -> int:
    return sum(getattr(value, "nbytes", 0) for value in values)


def _aligned(array: Array) -> Array:
    """Return a read-only array that lies in memory as one of a graph does: what a socket brings may begin anywhere."""
    own = np.require(array, requirements=["C", "ALIGNED"])
    own = own.view() if own.dtype.isnative else own.astype(own.dtype.newbyteorder("="))
    own.setflags(write=False)
    return own


def report() -> Mapping[str, str]:
    """Return what this process computes with."""
    return facts()


def allow_failures(most: int, at_least: bool = True, dask_scheduler: Any = None) -> int:
    """Let a task survive so many lost workers, or at least so many; return what was allowed before.

    It runs on the scheduler.
    """
    before = int(dask_scheduler.allowed_failures)
    dask_scheduler.allowed_failures = max(before, most) if at_least else most
    return before
