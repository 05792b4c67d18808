"""Traces of iterations: the run again, as far as it is asked for, with the iterations of its loops as nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..control_flow.iteration_lookup import found_inside
from ..control_flow.iteration_names import NodeInside, has_bodies, is_loop
from ..control_flow.unrolled_run import (
    before_unrolling,
    count_of,
    counterpart,
    not_shown,
    outside,
    run_before,
    shows,
    unrolled,
)
from ..errors import AxisError, GraphnnError, UsageError
from ..runtime.evaluation_loop import collect
from ..runtime.feed import memory_budget
from .traces import Trace, record
from .traces.trace import ITERATIONS, LOOPS
from .value_cache import Memory, Tape

if TYPE_CHECKING:
    from ..core import Node
    from ..runtime.evaluation_loop import Prepared

_SHARE = 0.25
"""Of the memory budget, for values of iterations."""
_KEPT = 4
"""How many runs, with iterations in the middle of long loops, are kept with a trace."""
_SIDE_BY_SIDE = ("stack", "concatenate")
"""The operations of nodes that stand for stacked results of a loop."""
_QUOTED = re.compile(r'"([^"]+@\w+/[^"]+)"')
_ITERATION = re.compile(r"@(\d+)(?=/|$)")


def iterations_in(name: str) -> dict[str, int]:
    """Return the loops of a name such as ``scan_1@3/scan_1@5/add``, by their names, with the iterations.

    Examples
    --------
    >>> iterations_in("scan_1@3/scan_1@5/add")
    {'scan_1': 3, 'scan_1@3/scan_1': 5}
    """
    return {name[: found.start()]: int(found[1]) for found in _ITERATION.finditer(name)}


def in_every(name: str) -> str:
    """Return what a node in an iteration is called in every one.

    Examples
    --------
    >>> in_every("scan_1@3/scan_1@5/add")
    'scan_1@*/scan_1@*/add'
    """
    return _ITERATION.sub("@*", name) if "@" in name else name


class _Times(Sequence[Any]):
    """The seconds that each place took, as far as it was computed."""

    def __init__(self, tape: Tape, count: int) -> None:
        self._tape, self._count = tape, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self._tape.times.get(place, 0.0)

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(self._count))


class _Computed(_Times):
    """The values of a run by place, computed when they are asked for."""

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self._count))]
        return self._tape.at(place).value


def with_fault(prepared: Prepared) -> Prepared:
    """Return a run with iterations as nodes; of loops that are too long, those beside the first NaN or infinity."""
    found = unrolled(prepared)
    if not any(is_loop(node) for node in found.program.order):
        return found
    error = _refused(prepared, "finite")
    if error is not None and isinstance(error.given, np.floating) and np.isinf(error.given):
        error = _refused(prepared, "nan") or error  # an infinity may be meant
    if error is not None and isinstance(error.node, NodeInside):
        return unrolled(prepared, iterations_in(error.node.name))
    return found


def _refused(prepared: Prepared, guard: str) -> GraphnnError | None:
    try:
        collect(prepared, guard)
    except GraphnnError as error:
        return error
    return None


def with_iterations(
    prepared: Prepared, updates: Mapping[Node, Node], at: str = ""
) -> tuple[Prepared, dict[Node, Node]]:
    """Return a run and its updates with iterations as nodes, those beside the one that is named among them."""
    found = unrolled(prepared, iterations_in(at))
    graph = found.program.graph
    return found, {counterpart(parameter, graph): counterpart(node, graph) for parameter, node in updates.items()}


@LOOPS.give()
def with_loops(trace: Trace) -> Trace:
    """Return the trace of the same run with its loops as they are, so that it can be kept; itself if it has no loops.

    Raises
    ------
    UsageError
        When values were set by hand, and a loop is over a dimension with a name: only nodes in iterations have them.
    """
    run = run_before(trace.graph)
    if run is None:
        return trace
    if trace.prepared.overridden:
        for node in trace.order:
            if node.op.name in _SIDE_BY_SIDE and isinstance(node.shape[0], str) and _is_given(node):
                raise UsageError(
                    f'a what-if of a run with a loop over "{node.shape[0]}" cannot be saved, as "{node.name}" has this '
                    "shape in no graph without the loop: save the run from which it began"
                )
        return trace
    order, known, scheduled = run.program.order, {record.node for record in trace}, {*trace.order}
    copies = [counterpart(node, trace.graph) for node in order]
    places = [place for place, copy in enumerate(copies) if copy in scheduled]
    waiting = next((place for place in places if copies[place] not in known), len(order))
    ran = max((place for place in places if place < waiting), default=-1)
    # A loop in which it stands has not run.
    loops = [place for place in range(ran + 1, waiting) if has_bodies(order[place])]
    until = None if waiting == len(order) else min([waiting, *loops])
    stopped, place = trace.stopped, None
    if trace.error and stopped is not None and stopped < len(trace):  # a guard has seen its value
        place = order.index(outside(trace.order[stopped]))
    updates = {before_unrolling(parameter): before_unrolling(node) for parameter, node in trace.updates.items()}
    until = until if place is None else place + 1
    found = record(run, updates, until=until, error=trace.error, guard=trace.guard)
    found.stopped = found.stopped if place is None else place
    return found


def _is_given(node: Node) -> bool:
    return before_unrolling(node).op.is_loop_item


def failed_inside(trace: Trace) -> str:
    """Return the node in an iteration at which a run was stopped, by its message; else ""."""
    named = _QUOTED.search(trace.error)
    return "" if named is None or trace.stopped is None else named[1]


def _trace_of(prepared: Prepared) -> Trace:
    count = len(prepared.program.order)
    tape = Tape(prepared, Memory(memory_budget(prepared.program.graph) * _SHARE))
    return Trace(prepared, _Computed(tape, count), _Times(tape, count), {})


@ITERATIONS.give()
def with_iteration(trace: Trace, asked: str | NodeInside | None = None) -> Trace:
    """Return a trace of the same run with iterations as nodes, that of the name that is asked for among them.

    Raises
    ------
    NotFoundError
        When there is no such loop, or no such node in its body.
    AxisError
        When the run did not come to that iteration.
    UsageError
        When the trace has kept digests.
    """
    name = asked.name if isinstance(asked, NodeInside) else asked or ""
    known = trace.iterations
    if "" not in known:
        known[""] = _trace_of(unrolled(trace.checked_run()))
    if not name or shows(known[""].graph, name):
        return known[""]
    found_inside(trace.graph, name)
    around = iterations_in(name)
    for loop, iteration in around.items():
        done = count_of(known[""].graph, loop)
        if done is not None and iteration >= done:
            raise AxisError(not_shown(known[""].graph, f"{loop}@{iteration}").strip())
    if name not in known:
        while len(known) > _KEPT:
            del known[[*known][1]]
        known[name] = _trace_of(unrolled(trace.checked_run(), around))
    return known[name]
