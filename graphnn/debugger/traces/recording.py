"""How runs are recorded: `trace`, `recording`, `Recording`."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from threading import RLock
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.display import Shown
from ..._util.text import counted, short_repr
from ...compiler.compile import Compiled
from ...core import Array, Graph, Node
from ...core.attributes import whole
from ...core.fetches import resolve
from ...errors import AxisError, GraphnnError, UsageError, ValueRangeError
from ...runtime.evaluation_loop import Observer, Prepared, Step, Stop, complete_stop, evaluate
from ...runtime.feed import Feed, prepare
from ..source_lines import sources_of
from .trace import Trace, page_of, traced
from .value_digests import DIGESTS, Digests
from .value_statistics import KEEP, Condensed, owner_of

if TYPE_CHECKING:
    from ...io.paths import StrPath


def prepared_for(
    target: Any, feed: Feed | None, sizes: Mapping[str, int] | None, graph: Graph | None
) -> tuple[Prepared, Mapping[Node, Node]]:
    """Return what running `target` would evaluate, on a copy of its feed, and the updates it would make.

    Parameters
    ----------
    target : fetches, Compiled or Trace
        For a trace, what it is of: it takes no other feed.
    feed, sizes, graph
        As `graphnn.run` takes them.
    """
    target = traced(target)
    if isinstance(target, Recording):
        raise UsageError("a film holds many traces: give one of them, such as film[0]")
    if isinstance(target, (Trace, Compiled)) and graph is not None and graph is not target.graph:
        kind = "trace" if isinstance(target, Trace) else "compiled step"
        raise UsageError(f"graph= is for fetches by name; a {kind} has its own graph")
    updates: Mapping[Node, Node] = {}
    if isinstance(target, Trace):
        if feed is not None or sizes is not None:
            raise UsageError("a trace has its own feed and takes no other")
        prepared, updates = target.checked_run(), target.updates
    elif isinstance(target, Compiled):
        prepared, updates = target.prepared(feed, sizes).with_own_feed(), target.updates
    else:
        graph, nodes, _ = resolve(target, graph, feed if isinstance(feed, Mapping) else ())
        prepared = prepare(graph, nodes, feed, sizes).with_own_feed()
    if not prepared.program.order:
        raise UsageError("no node is asked for: there is nothing to look at")
    return prepared, updates


# --- recording ------------------------------------------------------------------------------------------------


def kept_of(step: Step, keep: int, given: Collection[int] = ()) -> Array | Condensed:
    """Return the value of a step, or what is left of one that was computed and has more bytes than that.

    For a part of something larger, a copy: the view would keep all of it. What was given is there in any case; `given`
    are the ids of those arrays.
    """
    node, value = step.node, step.value
    if node.has_value or node.op.is_placeholder:
        return value
    owner = owner_of(value)
    if owner is not value and id(owner) in given:
        return value
    if min(value.nbytes, owner.nbytes) > keep:  # windows of an array take no more memory than that
        return Condensed.of(value)
    if owner.nbytes > keep and value.flags.c_contiguous:  # else its layout would be another
        value = value.copy()
        value.setflags(write=False)
    return value


class _Recorder:
    """Hands on the steps of an evaluation, and keeps what they gave."""

    def __init__(self, prepared: Prepared, keep: int | None) -> None:
        self.keep = keep
        self.kept: Any = [] if keep is not None else Digests(prepared)
        self.prepared = self.kept.prepared if isinstance(self.kept, Digests) else prepared
        self.times: list[float] = []

    def watch(self, evaluation: Generator[Step, None, None]) -> Generator[Step, None, None]:
        kept, times, clock = self.kept, self.times, perf_counter
        keep = self.prepared.binding.largest if self.keep is None else self.keep
        keeps_all = self.prepared.binding.largest <= keep
        given = set() if keeps_all else {id(owner_of(array)) for array in self.prepared.given.values()}
        before = clock()
        for step in evaluation:
            times.append(clock() - before)
            value = step.value
            value.setflags(False)  # type: ignore[call-arg] # a keyword costs as much as the call
            kept.append(value if keeps_all else kept_of(step, keep, given))
            try:
                yield step
            except GraphnnError as refused:
                evaluation.throw(refused)
            del step, value  # or what they hold would live for one more node
            before = clock()


def trace(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    keep: int | str = KEEP,
) -> Trace:
    """Evaluate, and record every node: value, statistics, time, memory, origin.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Graph, Compiled, or Trace
        Fetches; or a compiled step, whose updates are evaluated and not made; or what a trace is of.
    feed, sizes, graph
        As `graphnn.run` takes them.
    keep : int or "digests"
        Bytes: of a larger value only statistics, a preview and a hash are kept. What is fed, and the parameters,
        are kept at any size. ``"digests"``: of every value only statistics, a hash and up to 8 elements are kept,
        some 150 bytes in all, also of what is fed and of the parameters. Such a trace cannot be run again; it is
        there to be compared with another one, perhaps from another machine: see `compare`.

    Returns
    -------
    Trace

    Raises
    ------
    GraphnnError
        As `graphnn.run` does. What ran before an operation failed can still be had: ``error.debug()``.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> seen = trace(x * 2.0, {x: [1.0, 2.0, 6.0]})
    >>> seen
    <Trace of "graph": 3 of 3 nodes>
    >>> seen["multiply"].value, seen["multiply"].stats.mean
    (array([ 2.,  4., 12.]), 6.0)
    """
    prepared, updates = prepared_for(target, feed, sizes, graph)
    return record(prepared, updates, keep=checked_keep(keep), guard=guard_of(target))


def checked_keep(keep: Any) -> int | None:
    """Return how many bytes of a value are kept; None for digests.

    Raises
    ------
    UsageError, ValueRangeError
    """
    if isinstance(keep, str) and keep != DIGESTS:
        raise UsageError(f'keep= is an int of 0 or more, not {short_repr(keep)}; or "{DIGESTS}"')
    return None if isinstance(keep, str) else whole("keep=", keep, 0)


def record(
    prepared: Prepared,
    updates: Mapping[Node, Node],
    *,
    until: int | None = None,
    error: str = "",
    keep: int | None = KEEP,
    guard: str | None = None,
) -> Trace:
    """Return the trace of an evaluation, up to and without the place `until`."""
    recorder = _Recorder(prepared, keep)
    with np.errstate(all="ignore"):
        try:
            for _ in recorder.watch(evaluate(prepared, None if until is None else range(until))):
                pass
        except GraphnnError as failed:
            complete_stop(failed, updates, guard)
            raise
    return Trace(recorder.prepared, recorder.kept, recorder.times, updates, stopped=until, error=error, guard=guard)


def guard_of(target: Any) -> str | None:
    """Return the guard of a step, or of the step that a trace is of."""
    return target.guard if isinstance(target, (Compiled, Trace)) else None


def stopped_trace(error: GraphnnError) -> Trace | None:
    """Return the trace of what led to an error, or None where it comes from no run."""
    stop = error.stopped
    if not isinstance(stop, Stop):
        return None
    # What a guard refused is a value like any other: it can be looked at.
    until = stop.position + (stop.stopped_by_guard is not None)
    trace = record(stop.prepared, stop.updates, until=until, error=error.account, guard=stop.active_guard)
    trace.stopped = stop.position
    return trace


class Recording(Sequence[Trace], Shown):
    """The traces of every so many calls of a compiled step. Made by `recording`.

    ``film[0]`` is a trace, and raises AxisError where there is none; ``film[2:5]`` is a film.

    Attributes
    ----------
    calls : list of int
        For each trace, which call it is of, from 0.
    """

    def __init__(self, step: Compiled, every: int, keep: int | None) -> None:
        self.calls: list[int] = []
        self._traces: list[Trace] = []
        self._lock = RLock()
        self._step = step
        self._every = every
        self._keep = keep
        self._seen = 0

    def _asked(self) -> Observer | None:
        """Return what is to see the evaluation of the call that begins; None if it is not to be recorded."""
        with self._lock:
            call, self._seen = self._seen, self._seen + 1
        return None if call % self._every else partial(self._recorded, call)

    def _recorded(
        self, call: int, prepared: Prepared, evaluation: Generator[Step, None, None]
    ) -> Generator[Step, None, None]:
        recorder = _Recorder(prepared, self._keep)

        def add(stopped: int | None = None, error: str = "") -> None:
            step = self._step
            how = {"stopped": stopped, "error": error, "guard": step.guard}
            trace = Trace(recorder.prepared, recorder.kept, recorder.times, step.updates, **how)  # type: ignore[arg-type]
            with self._lock:  # other threads may have called later, and be done before
                place = bisect(self.calls, call)
                self.calls.insert(place, call)
                self._traces.insert(place, trace)

        try:
            yield from recorder.watch(evaluation)
        except GraphnnError as error:
            if isinstance(error.stopped, Stop):
                add(error.stopped.position, error.account)
            raise
        add()

    def __len__(self) -> int:
        return len(self._traces)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (Node, str)):
            raise UsageError("a film holds many traces: ask one of them, film[0][…]")
        if isinstance(index, slice):
            parts = index.start, index.stop, index.step
            if not all(part is None or isinstance(part, (int, np.integer)) for part in parts):
                raise UsageError("a slice of a film takes integers, as in film[2:5]")
            if index.step == 0:
                raise ValueRangeError("the step of a slice of a film cannot be 0")
            film = Recording(self._step, self._every, self._keep)
            film.calls, film._traces, film._seen = self.calls[index], self._traces[index], self._seen
            return film
        index = whole("the index of a film", index)
        if not -len(self) <= index < len(self):
            raise AxisError(f"there is no trace {index}: the film has {counted(len(self), 'trace')}")
        return self._traces[index]

    def to_html(
        self, path: StrPath | None = None, *, live: bool | None = None, tour: Sequence[tuple[Node | str, str]] = ()
    ) -> Any:
        """Return it as a page that replays each step in a browser: one file, no server, no network.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write the page.
        live : bool, optional
            Whether the page computes, from its first step on; as `Trace.to_html` takes it.
        tour : sequence of (Node or str, str), optional
            A guided tour, as `Trace.to_html` takes it.

        Returns
        -------
        Page
            A notebook shows it in a frame; ``.save(path)`` writes it.

        Raises
        ------
        UsageError
            When nothing was recorded, or the page cannot compute and `live` is True.
        NotFoundError
            When `tour` names a node that has not run.
        OSError
            When the file cannot be written.
        """
        if not self:
            raise UsageError("the film holds no trace: call the step while gn.recording(step) lasts")
        return page_of(self, path, live=live, tour=tour)

    def __repr__(self) -> str:
        return f"<Recording of {self._step!r}: {counted(len(self), 'trace')} of {counted(self._seen, 'call')}>"


@contextmanager
def recording(step: Compiled, every: int = 1, *, keep: int | str = KEEP) -> Iterator[Recording]:
    """Record every so many calls of a compiled step, while the ``with`` lasts.

    A call that is recorded goes node by node; those between take the plan, as ever, and cost no more. The numbers are
    the same to the bit either way. For a call that an operation or a guard stops, it is what had run.

    Parameters
    ----------
    step : Compiled
    every : int
        1: each call; 100: the first, the 101st, …
    keep : int or "digests"
        As `trace` takes it.

    Yields
    ------
    Recording
        A sequence of traces, that grows.

    Raises
    ------
    UsageError
        When `step` is not a compiled step.
    ValueRangeError
        When `every` or `keep` is too small.

    Examples
    --------
    >>> from graphnn import compile
    >>> g = Graph()
    >>> w = g.parameter("w", 8.0)
    >>> halve = compile(w, updates={w: w * 0.5})
    >>> with recording(halve, every=2) as film:
    ...     for _ in range(5):
    ...         _ = halve()
    >>> [float(seen["w"].value) for seen in film], film.calls
    ([8.0, 2.0, 0.5], [0, 2, 4])
    """
    if not isinstance(step, Compiled):
        raise UsageError(f"recording takes a compiled step (gn.compile(…)), not {type(step).__name__}")
    film = Recording(step, whole("every=", every, 1), checked_keep(keep))
    step.observers.append(film._asked)
    try:
        yield film
    finally:
        step.observers.remove(film._asked)
        if film:
            # Now, since a file may be edited before anyone looks.
            sources = sources_of(film[0].order)
            for seen in film:
                seen._run.sources = sources
