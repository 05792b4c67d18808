"""How far an evaluation in the debugger has come: the state that its parts share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import GraphnnError, NotFoundError, UsageError, near
from ..runtime.evaluation_loop import Prepared, Step, complete_stop
from ..runtime.feed import memory_budget
from .advice import call
from .node_selection import one
from .source_lines import Lines, line_of, sources_of
from .value_cache import Memory, Tape
from .what_if_runs import without

if TYPE_CHECKING:
    from ..core import Array, Graph, Node, Op
    from .traces import Trace

FIRST_RUN = "run"


class Run:
    """One way through the schedule: its values, and the run that it began from."""

    def __init__(self, name: str, tape: Tape, before: Run | None = None) -> None:
        self.name = name
        self.tape = tape
        self.before = before
        self.warned: int | None = None
        """The first place at which it was said that a guard would have stopped there."""


class Progress:
    """An evaluation: its schedule, its runs, and where in them it stands.

    Attributes
    ----------
    computed : list of int
        The places in the schedule of the nodes that compute something.
    ranks : dict of int to int
        The position of each such place among them.
    runs : dict of str to Run
    run : Run
        The current one.
    position : int
        How many operations have run.
    furthest : int
        The largest position so far.
    stale : set of Node
        Nodes whose values were computed from others that have changed since.
    error : str
    refused : int or None
        The place of the value that a guard has refused.
    """

    def __init__(
        self,
        prepared: Prepared,
        updates: Mapping[Node, Node],
        budget: float | None,
        guard: str | None,
        trace: Trace | None,
    ) -> None:
        self.graph: Graph = prepared.program.graph
        self.order = prepared.program.order
        self.updates = updates
        self.error = ""
        self.guard = guard
        self.refused: int | None = None
        self.echo: Callable[[str], Any] | None = None
        self.memory = Memory(memory_budget(self.graph) if budget is None else float(budget))
        self.places = {node: place for place, node in enumerate(self.order)}
        own = without(prepared, *prepared.overridden)  # a trace may be that of a what-if
        self.computed = [i for i, forward in enumerate(own.binding.forwards) if forward is not None]
        self.ranks = {place: rank for rank, place in enumerate(self.computed)}
        known = {} if trace is None else trace.as_computed
        times = {} if trace is None else {record.index: record.time for record in trace}
        tape = Tape(prepared, self.memory, known, times)
        self.runs = {FIRST_RUN: Run(FIRST_RUN, tape)}
        self.run = self.runs[FIRST_RUN]
        self.position = 0
        self.furthest = 0
        self.stale: set[Node] = set()
        self._sources = None if trace is None else trace.sources

    @property
    def tape(self) -> Tape:
        """The values of the current run."""
        return self.run.tape

    @property
    def operations(self) -> list[Node]:
        """The nodes that compute something, in the order of the schedule."""
        return [self.order[place] for place in self.computed]

    @property
    def finished(self) -> bool:
        """Whether all operations have run."""
        return self.position == len(self.computed)

    @property
    def current(self) -> Node | None:
        """The node it stands after; None before all of them."""
        return self.order[self.computed[self.position - 1]] if self.position else None

    @property
    def next(self) -> Node | None:
        """The node that runs next; None at the end."""
        return None if self.finished else self.order[self.computed[self.position]]

    @property
    def failed(self) -> Node | None:
        """The node that could not be evaluated, before which it stands, if there is one."""
        return self.next if self.error and self.refused is None else None

    @property
    def step_now(self) -> Step | None:
        """The step of the current node, with operands and value; None before all of them."""
        return self.tape.at(self.computed[self.position - 1]) if self.position else None

    @property
    def fetches(self) -> list[Node]:
        """What was asked for; of a compiled step the next values of its updates, too."""
        return [self.order[place] for place in self.tape.prepared.program.fetches]

    @property
    def sources(self) -> Lines:
        """The source lines that the nodes name, by file and number."""
        if self._sources is None:
            self._sources = sources_of(self.order)
        return self._sources

    def source_of(self, node: Node) -> str | None:
        """Return the text of the user's line that made a node, if it is known."""
        return line_of(self.sources, self.node(node).origin)

    def state(self, node: Node | str) -> str:
        """Return whether a node's value is known, and from where.

        Returns
        -------
        str
            ``"fed"``: given before the run, as parameters and constants are, too; ``"overridden"``: changed by a
            what-if; ``"current"``: just computed; ``"done"``: computed; ``"stale"``: was computed, from values that
            hold no longer, and is yet to run anew; ``"waiting"``: yet to run.
        """
        node = self.node(node)
        rank = self.ranks.get(self.places[node])
        if node in self.tape.prepared.overridden:
            return "overridden"
        if rank is None:
            return "fed"
        if rank == self.position - 1:
            return "current"
        if rank < self.position:
            return "done"
        return "stale" if node in self.stale else "waiting"

    def node(self, node: Node | str) -> Node:
        """Return the node of this run that is meant: by itself, or by name of node, scope or output."""
        return one(self.places, self.graph, node)

    def op_of(self, node: Node | str) -> Op:
        """Return the operation that a node has in this run, which a what-if may have given it."""
        return self.tape.prepared.op_of(self.node(node))

    def is_known(self, node: Node) -> bool:
        """Return whether a node has a value: it was given, or has run."""
        rank = self.ranks.get(self.places[node])
        return rank is None or rank < self.position

    def is_operation(self, node: Node) -> bool:
        """Return whether a node is computed in the run."""
        return self.places[node] in self.ranks

    def known(self, node: Node) -> Step:
        """Return the step of a node that is known, or refuse to."""
        if not self.is_known(node):
            if self.failed is not None:
                first = self.error.partition("\n")[0]
                before = "" if node is self.failed else f'"{self.failed.title}" comes before it; '
                raise UsageError(f'"{node.title}" has not run: {before}{first}')
            until = call("until", node.title)
            raise UsageError(
                f'"{node.title}" has not run yet: it is operation {self.ranks[self.places[node]] + 1} of '
                f"{len(self.computed)}, and {self.position} have run; {until} runs it",
                calls=(until,),
            )
        return self.tape.at(self.places[node])

    def value_if_known(self, node: Node) -> Array | None:
        """Return the value of a node, or None where it has none yet."""
        return self.known(node).value if self.is_known(node) else None

    @property
    def prepared(self) -> Prepared:
        """What is evaluated in the run that it is in: schedule, feed, state and what was set by hand."""
        return self.tape.prepared

    @property
    def fits_memory(self) -> bool:
        """Whether all values of the run fit into the memory budget together."""
        shape_of = self.tape.prepared.shape_of
        return sum(math.prod(shape_of(node)) * node.dtype.itemsize for node in self.order) <= self.memory.budget

    def fail(self, error: GraphnnError) -> None:
        """Note that an operation failed, and let the error know of the updates."""
        self.error = str(error)
        self.refused = None
        complete_stop(error, self.updates, self.guard)

    def say(self, text: str) -> None:
        """Hand a text to `echo`."""
        if self.echo is not None:
            self.echo(text)

    def kept(self, name: str) -> Run:
        """Return the run of a name."""
        if run_name(name) not in self.runs:
            raise NotFoundError(f'there is no run "{name}".{near(name, self.runs)}')
        return self.runs[name]

    def enter(self, run: Run) -> None:
        """Keep a run, and go to it."""
        self.runs[run.name] = run
        self.run = run

    def new_name(self, kind: str) -> str:
        """Return a name that no run has, ``"what-if 2"``."""
        number = 1 if kind != FIRST_RUN else 2
        while f"{kind} {number}" in self.runs:
            number += 1
        return f"{kind} {number}"

    def dependent(self, place: int, prepared: Prepared) -> list[int]:
        """Return the places of the schedule whose values depend on one, in their order: none that were given."""
        found = {place}
        operands, forwards = prepared.program.operands, prepared.binding.forwards
        for later in range(place + 1, len(self.order)):
            if forwards[later] is not None and not found.isdisjoint(operands[later]):
                found.add(later)
        return sorted(found - {place})

    def reached(self, tape: Tape) -> tuple[int, int | None, str]:
        """Return how many places of the schedule a run has values of; where it was stopped, and why, if it was."""
        until = len(self.order) if self.finished else self.computed[self.position]
        stopped = None if self.finished else until
        if tape is self.tape:
            return until, self.refused if self.error and self.refused is not None else stopped, self.error
        ran = 0
        try:
            for step in islice(tape.steps(), until):
                ran = step.index + 1
        except GraphnnError as failed:
            return ran, ran, str(failed)
        return until, stopped, ""


def run_name(name: Any) -> str:
    """Return the name that a run is given, or refuse it."""
    if not isinstance(name, str):
        raise UsageError(f"the name of a run is text, not {type(name).__name__}")
    if not name:
        raise UsageError('the name of a run cannot be ""')
    return name
