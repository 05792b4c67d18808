"""The debugger itself, whose verbs are those of its parts, and `debug`, which opens it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .._util.display import Shown, as_text
from .._util.text import PAGE, columns_there, quoted, short_repr
from ..control_flow.iteration_names import has_bodies
from ..control_flow.unrolled_run import counterpart, has_loops
from ..errors import OF_ERROR, GraphnnError, UsageError, ValueRangeError
from .breakpoints import Stops
from .current_node import Spot
from .debugger_exports import Results
from .debugger_state import Progress
from .delegates import does, knows
from .iteration_traces import failed_inside, iterations_in, with_iterations
from .node_selection import names_in
from .questions import Questions
from .stepping import Cursor
from .traces import Trace, guard_of, prepared_for, stopped_trace
from .traces import traced as as_traced
from .what_if import WhatIfs

if TYPE_CHECKING:
    from ..core import Graph, Node
    from ..runtime.feed import Feed
    from .breakpoint_conditions import Breakpoint


class Debugger(Shown):
    """An evaluation that is stepped through, forwards and backwards. Made by `debug`.

    It stands *after* an operation, whose value is known; at position 0 before all of them. Fed nodes, parameters and
    constants are known from the start, and do not count as operations. Values are kept within a memory budget; what
    was let go is computed again when asked for, the same to the bit. One thread at a time may use it.

    Attributes
    ----------
    graph : Graph
    order : list of Node
        The schedule.
    updates : dict of Node to Node
        Those that `commit` makes.
    breakpoints : list of Breakpoint
    error : str
        The message of what could not be evaluated: the debugger stands before it. Or of what a guard refused: it
        stands after that. Else "".
    guard : {None, "nan", "finite"}
        That of the compiled step. `commit` obeys it; values that it would refuse are reported.
    """

    _instead_of_fetch: ClassVar[str] = "its run is dbg.trace()"

    def __init__(self, now: Progress) -> None:
        self._now = now
        self._stops = Stops(now)
        self._cursor = Cursor(now, self._stops)
        self._what_ifs = WhatIfs(now, self._stops)
        self._questions = Questions(now)
        self._results = Results(now)
        self.graph: Graph = now.graph
        self.order = now.order
        self.updates = now.updates
        self.guard = now.guard
        self.breakpoints: list[Breakpoint] = self._stops.breakpoints
        self._told = frozenset(vars(self))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. It is an error to set one that tells of the run."""
        if name in vars(self).get("_told", ()):
            more = {"breakpoints": ": dbg.break_at(…) adds one, and dbg.clear() removes them"}.get(name, "")
            raise UsageError(f"the {name} of a debugger cannot be set{more}")
        super().__setattr__(name, value)

    @property
    def echo(self) -> Callable[[str], Any] | None:
        """What takes the text of watches, breakpoints and what-ifs."""
        return self._now.echo

    @echo.setter
    def echo(self, echo: Callable[[str], Any] | None) -> None:
        self._now.echo = echo

    # --- where it stands ------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """How many operations have run."""
        return self._now.position

    @property
    def error(self) -> str:
        """Why it cannot go on, or what a guard refused; else ""."""
        return self._now.error

    operations = knows("_now", Progress.operations)
    finished = knows("_now", Progress.finished)
    current = knows("_now", Progress.current)
    next = knows("_now", Progress.next)
    failed = knows("_now", Progress.failed)
    step_now = knows("_now", Progress.step_now)
    fetches = knows("_now", Progress.fetches)
    sources = knows("_now", Progress.sources)
    prepared = knows("_now", Progress.prepared)
    fits_memory = knows("_now", Progress.fits_memory)
    source_of = does("_now", Progress.source_of)
    state = does("_now", Progress.state)
    node = does("_now", Progress.node)
    op_of = does("_now", Progress.op_of)

    def __getitem__(self, node: Node | str) -> Spot:
        """Return a node as it is now: its state, and once it has run, its value."""
        return Spot(self._now, self._what_ifs, self.node(node))

    def __str__(self) -> str:
        return as_text(self, columns_there() or PAGE)

    def _ipython_key_completions_(self) -> list[str]:
        return names_in(self.order, self.graph)

    def __repr__(self) -> str:
        at = "before all" if self.current is None else f"after {quoted(self.current.title)}"
        ran = f"{self.position} of {len(self._now.computed)} operations"
        return f"<Debugger of {quoted(self.graph.name)}: {ran}, {at}>"

    # --- moving ---------------------------------------------------------------------------------------------

    step = does("_cursor", Cursor.step)
    back = does("_cursor", Cursor.back)
    goto = does("_cursor", Cursor.goto)
    until = does("_cursor", Cursor.until)
    resume = does("_cursor", Cursor.resume)
    into = does("_cursor", Cursor.into)
    over = does("_cursor", Cursor.over)
    out = does("_cursor", Cursor.out)
    back_over = does("_cursor", Cursor.back_over)
    rewind = does("_cursor", Cursor.rewind)
    iteration = does("_cursor", Cursor.iteration)
    restart = does("_cursor", Cursor.restart)
    frames = does("_cursor", Cursor.frames)

    # --- stopping -------------------------------------------------------------------------------------------

    break_at = does("_stops", Stops.break_at)
    clear = does("_stops", Stops.clear)
    watch = does("_stops", Stops.watch)
    unwatch = does("_stops", Stops.unwatch)
    watches = knows("_stops", Stops.watches)
    recheck = does("_stops", Stops.recheck)

    # --- asking ---------------------------------------------------------------------------------------------

    here = does("_questions", Questions.here)
    inputs = does("_questions", Questions.inputs)
    users = does("_questions", Questions.users)
    twin = does("_questions", Questions.twin)
    path = does("_questions", Questions.path)
    why = does("_questions", Questions.why)
    calculate = does("_questions", Questions.calculate)
    ancestry = does("_questions", Questions.ancestry)
    influence = does("_questions", Questions.influence)
    sample = does("_questions", Questions.sample)

    # --- what if --------------------------------------------------------------------------------------------

    what_if = does("_what_ifs", WhatIfs.what_if)
    __delitem__ = does("_what_ifs", WhatIfs.take_back)
    runs = knows("_what_ifs", WhatIfs.runs)
    use = does("_what_ifs", WhatIfs.use)
    drop = does("_what_ifs", WhatIfs.drop)

    def __setitem__(self, node: Node | str, value: Any) -> None:
        """Ask what if: give a node a value, and recompute what depends on it, and only that."""
        self.what_if(node, value)

    @property
    def run(self) -> str:
        """The name of the run that it is in."""
        return self._now.run.name

    # --- handing on -----------------------------------------------------------------------------------------

    compare = does("_results", Results.compare)
    trace = does("_results", Results.trace)
    to_html = does("_results", Results.to_html)
    commit = does("_results", Results.commit)


def debug(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    budget: float | None = None,
    at: str = "",
    echo: Callable[[str], Any] | None = print,
) -> Debugger:
    """Open a debugger before the first operation, or where a stopped trace ended.

    The iterations of a loop are nodes of their own, such as ``dbg["scan_1@137/tanh"]``, in the scopes ``scan_1@0``,
    ``scan_1@1``, …: one steps, watches, breaks and asks what if in them as anywhere else.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Graph, Compiled, or Trace
        Fetches; or a compiled step with its updates, on a copy of the state (``dbg.commit()`` makes them); or a trace,
        which brings its feed, its state and the values that it kept.
    feed, sizes, graph
        As `graphnn.run` takes them.
    budget : float, optional
        Bytes that the values may take; the graph's memory budget unless given. One live set is held at any budget.
    at : str, optional
        A node in an iteration, or an iteration (``"scan_1@5000"``). For a loop of more than some thousand nodes, only
        the first and the last iterations are nodes, and those beside this one; what is between is one node.
    echo : callable or None
        What watches, breakpoints and what-ifs say, goes here; None: nowhere.

    Returns
    -------
    Debugger

    Raises
    ------
    GraphnnError
        As `graphnn.run` does, before anything is computed.
    NotFoundError
        When the run has no such iteration as `at` names.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> dbg = debug(abs(-x) + 1.0, {x: 3.0})
    >>> dbg.step(2)
    <Step 2: "absolute", absolute () float64>
    >>> dbg["x"] = 5.0
    what-if 1: x changed, recomputed 2 of 3; 1 more depends on it and is yet to run
    >>> dbg["absolute"].value, dbg["add"].state, dbg.runs
    (array(5.), 'waiting', {'run': [], 'what-if 1': [<Node "x": placeholder () float64>]})
    """
    number = isinstance(budget, (int, float, np.integer, np.floating)) and not isinstance(budget, bool)
    if budget is not None and not (number and budget >= 0):
        raise ValueRangeError(f"budget= is a number of bytes from 0 up, not {short_repr(budget)}")
    if echo is not None and not callable(echo):
        raise UsageError(f"echo= is a function that takes a text, as print does, or None, not {type(echo).__name__}")
    if not isinstance(at, str):
        raise UsageError(f'at= is the name of an iteration, such as "scan_1@137", not {type(at).__name__}')
    target = as_traced(target)
    prepared, updates = prepared_for(target, feed, sizes, graph)
    traced = target if isinstance(target, Trace) else None
    if has_loops(prepared):
        where = at or (failed_inside(traced) if traced is not None else "")
        flat, updates = with_iterations(prepared, updates, where)
        now = Progress(flat, updates, budget, guard_of(target), None)
    else:
        now = Progress(prepared, updates, budget, guard_of(target), traced)
    if at and not iterations_in(at):
        raise UsageError(f'at= is the name of an iteration, such as "scan_1@137", not {short_repr(at)}')
    if at:
        now.node(at)
    dbg = Debugger(now)
    if traced is not None and traced.stopped is not None:
        _stop_as(dbg, now, traced, traced.stopped)
    now.echo = echo  # only now, as the trace says itself why it stopped
    return dbg


def _stop_as(dbg: Debugger, now: Progress, traced: Trace, stopped: int) -> None:
    """Go to where a recorded run was stopped."""
    refused = stopped < len(traced)  # a guard has seen its value
    if not traced.error and now.graph is not traced.graph:
        ran = [now.places[copy] for record in traced if (copy := counterpart(record.node, now.graph)) in now.places]
        dbg.goto(bisect_left(now.computed, max(ran, default=-1) + 1))
    elif has_bodies(traced.order[stopped]) and now.graph is not traced.graph:
        inside = failed_inside(traced)
        try:
            dbg.goto(inside) if inside else dbg.resume()
            now.refused = now.places[now.node(inside)]
        except GraphnnError:
            now.refused = None  # the operation failed: it stands before it
    else:
        place = now.places[counterpart(traced.order[stopped], now.graph)]
        dbg.goto(bisect_left(now.computed, place + refused))
        now.refused = place if refused else None
    now.error = traced.error


@OF_ERROR.give("save")
def _trace_of(error: GraphnnError) -> Trace | None:
    return stopped_trace(error)


@OF_ERROR.give("debug")
def _debugger_of(error: GraphnnError) -> Debugger | None:
    trace = stopped_trace(error)
    return None if trace is None else debug(trace)
