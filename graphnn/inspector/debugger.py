"""The debugger: step, go back, ask why, ask what if."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ..errors import (
    AxisError,
    DtypeError,
    GraphnnError,
    LookupFailure,
    ShapeError,
    UsageError,
    ValueRangeError,
    near,
)
from ..execute.compiled import Compiled, updating
from ..execute.interpreter import Feed, Prepared, Step, looked_for, memory_budget, refused_by, tell_of_step
from ..graph import Array, Graph, Node, Op, Parameter, Scope, Unknown, as_array, in_range, told_where
from ..graph.dimensions import shown
from ..show import Shown, rendered, show_as
from ..text import quoted, short_name, with_article
from .compare import checked_names, checked_tolerance, compare_runs
from .conditions import Breakpoint, Context, condition_of, holds
from .select import asked_for, many, names_in, one
from .sides import Side
from .sources import Lines, line_of, sources_of
from .tape import Memory, Tape
from .trace import (
    KEEP,
    Beside,
    Stats,
    Trace,
    checked_keep,
    in_short,
    kept_of,
    page_of,
    prepared_for,
    stats_of,
    stopped_trace,
)
from .why import LIMIT, Why, ancestry, explain, first_strange, given_as, influence, sample

if TYPE_CHECKING:
    from ..container import StrPath
    from .differences import Comparison

_FIRST_RUN = "run"


class Spot:
    """A node as the debugger sees it now; made by ``dbg[node]``.

    Attributes
    ----------
    node : Node
    state : str
        ``"done"``, ``"current"``, ``"stale"``, ``"overridden"``, ``"fed"`` or ``"waiting"``.
    """

    def __init__(self, debugger: Debugger, node: Node) -> None:
        self._debugger = debugger
        self.node = node

    @property
    def state(self) -> str:
        """Whether its value is known, and from where."""
        return self._debugger.state(self.node)

    @property
    def known(self) -> bool:
        """Whether it has a value now: it was given, or has run."""
        return self._debugger._is_known(self.node)

    @property
    def value(self) -> Array:
        """The value, read-only.

        Raises
        ------
        UsageError
            When the node has not run yet.
        """
        return self._debugger._known(self.node).value

    @told_where
    def __setitem__(self, index: Any, value: Any) -> None:
        """Give a part of the value other numbers, in a run that this begins, as `Debugger.what_if` does.

        Raises
        ------
        AxisError
            When there is no such part.
        ShapeError, DtypeError, ValueRangeError
            When the numbers do not fit into it.
        """
        name, whole = self.node.name, self.value.copy()
        part = as_array(value, f'the value of "{name}"')
        try:
            room = np.asarray(whole[index]).shape
        except IndexError:
            raise AxisError(f'"{name}" has shape {shown(whole.shape)}, and so no such part') from None
        if not np.can_cast(part.dtype, whole.dtype, "same_kind"):
            raise DtypeError(f'the value given for "{name}" is {part.dtype}, and the node is {whole.dtype}')
        own = in_range(part, whole.dtype, f'the value of "{name}"')
        try:
            whole[index] = own
        except ValueError as error:
            raise ShapeError(
                f'the value given has shape {shown(part.shape)}, and that part of "{name}" {shown(room)}'
            ) from error
        self._debugger[self.node] = whole

    @property
    def operands(self) -> tuple[Array, ...]:
        """The values that it is computed from, read-only.

        Raises
        ------
        UsageError
            When one of them has not run yet.
        """
        for operand in self.node.inputs:
            self._debugger._known(operand)
        return self._debugger._tape.operands(self._debugger._places[self.node])

    @property
    def stats(self) -> Stats:
        """Least, largest, mean, standard deviation; how many are zero, NaN, infinite."""
        return stats_of(self.value)

    def __repr__(self) -> str:
        return f"<Spot {quoted(self.node.title)}: {self.state}>"


class Change(NamedTuple):
    """What a what-if came to.

    Attributes
    ----------
    run : str
        The name of the run that it began.
    node : Node
    recomputed : list of Node
        What depends on the node and had run: computed anew.
    later : list of Node
        What depends on it and is yet to run.
    operations : int
        How many operations the run has.
    taken_back : bool
        Whether the node has again what it computes, or was fed.
    """

    run: str
    node: Node
    recomputed: list[Node]
    later: list[Node]
    operations: int
    taken_back: bool = False

    def __str__(self) -> str:
        count = len(self.later)
        later = f"; {count} more {'depends on it and is' if count == 1 else 'depend on it and are'} yet to run"
        later *= bool(count)
        run, name = short_name(self.run, 80), short_name(self.node.name, 80)
        what = "is as it was" if self.taken_back else "changed"
        return f"{run}: {name} {what}, recomputed {len(self.recomputed)} of {self.operations}{later}"

    def __repr__(self) -> str:
        run, name = quoted(short_name(self.run, 80)), quoted(short_name(self.node.name, 80))
        return f"<Change {run}: {name}, recomputed {len(self.recomputed)} of {self.operations}>"


class _Watch(NamedTuple):
    """Under which name a node is watched, and what it was when that was last said."""

    name: str
    value: Array | None


class _Run:
    """One way through the schedule: its values, and the run that it began from."""

    def __init__(self, name: str, tape: Tape, before: _Run | None = None) -> None:
        self.name = name
        self.tape = tape
        self.before = before
        self.warned: int | None = None
        """The first place at which it was said that a guard would have stopped there."""


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
        That of the compiled step, which `commit` keeps to; what it would have stopped at is said on the way.
    """

    instead_of_fetch: ClassVar[str] = "its run is dbg.trace()"

    def __init__(
        self,
        prepared: Prepared,
        updates: Mapping[Node, Node],
        *,
        budget: float | None = None,
        echo: Callable[[str], Any] | None = print,
        known: Mapping[int, Array] | None = None,
        times: Mapping[int, float] | None = None,
        sources: Lines | None = None,
        guard: str | None = None,
    ) -> None:
        self.graph: Graph = prepared.program.graph
        self.order = prepared.program.order
        self.updates = updates
        self.breakpoints: list[Breakpoint] = []
        self.error = ""
        self.guard = guard
        self._refused: int | None = None  # the place of the value that a guard has refused
        self.echo = echo
        self._memory = Memory(memory_budget(self.graph) if budget is None else float(budget))
        self._places = {node: place for place, node in enumerate(self.order)}
        own = prepared.without(*prepared.overridden)  # a trace may be that of a what-if
        self._operations = [i for i, forward in enumerate(own.binding.forwards) if forward is not None]
        self._ranks = {place: rank for rank, place in enumerate(self._operations)}
        tape = Tape(prepared, self._memory, known or {}, times or {})
        self._runs = {_FIRST_RUN: _Run(_FIRST_RUN, tape)}
        self._run = self._runs[_FIRST_RUN]
        self._position = 0
        self._furthest = 0
        self._stale: set[Node] = set()
        self._watched: dict[Node, _Watch] = {}
        self._sources = sources
        self._numbers = 0

    # --- where it stands ------------------------------------------------------------------------------------

    @property
    def _tape(self) -> Tape:
        return self._run.tape

    @property
    def position(self) -> int:
        """How many operations have run."""
        return self._position

    @property
    def operations(self) -> list[Node]:
        """The nodes that compute something, in the order of the schedule."""
        return [self.order[place] for place in self._operations]

    @property
    def finished(self) -> bool:
        """Whether all operations have run."""
        return self._position == len(self._operations)

    @property
    def current(self) -> Node | None:
        """The node it stands after; None before all of them."""
        return self.order[self._operations[self._position - 1]] if self._position else None

    @property
    def next(self) -> Node | None:
        """The node that runs next; None at the end."""
        return None if self.finished else self.order[self._operations[self._position]]

    @property
    def failed(self) -> Node | None:
        """The node that could not be evaluated, before which it stands, if there is one."""
        return self.next if self.error and self._refused is None else None

    @property
    def step_now(self) -> Step | None:
        """The step of the current node, with operands and value; None before all of them."""
        return self._tape.at(self._operations[self._position - 1]) if self._position else None

    @property
    def fetches(self) -> list[Node]:
        """What was asked for; of a compiled step the next values of its updates, too."""
        return [self.order[place] for place in self._tape.prepared.program.fetches]

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
        rank = self._ranks.get(self._places[node])
        if node in self._tape.prepared.overridden:
            return "overridden"
        if rank is None:
            return "fed"
        if rank == self._position - 1:
            return "current"
        if rank < self._position:
            return "done"
        return "stale" if node in self._stale else "waiting"

    def node(self, node: Node | str) -> Node:
        """Return the node of this run that is meant: by itself, or by name of node, scope or output."""
        return one(self._places, self.graph, node)

    def op_of(self, node: Node | str) -> Op:
        """Return the operation that a node has in this run, which a what-if may have given it."""
        return self._tape.prepared.op_of(self.node(node))

    @told_where
    def __getitem__(self, node: Node | str) -> Spot:
        """Return a node as it is now: its state, and once it has run, its value."""
        return Spot(self, self.node(node))

    def _is_known(self, node: Node) -> bool:
        rank = self._ranks.get(self._places[node])
        return rank is None or rank < self._position

    def _known(self, node: Node) -> Step:
        if not self._is_known(node):
            if self.failed is not None:
                first = self.error.partition("\n")[0]
                before = "" if node is self.failed else f'"{self.failed.name}" comes before it; '
                raise UsageError(f'"{node.name}" has not run: {before}{first}')
            raise UsageError(
                f'"{node.name}" has not run yet: it is operation {self._ranks[self._places[node]] + 1} of '
                f'{len(self._operations)}, and {self._position} have run; dbg.until("{node.name}") runs it'
            )
        return self._tape.at(self._places[node])

    @property
    def prepared(self) -> Prepared:
        """What is evaluated in the run that it is in: schedule, feed, state and what was set by hand."""
        return self._tape.prepared

    @property
    def fits_memory(self) -> bool:
        """Whether all values of the run fit into the memory budget together."""
        shape_of = self._tape.prepared.shape_of
        return sum(math.prod(shape_of(node)) * node.dtype.itemsize for node in self.order) <= self._memory.budget

    def frames(self) -> list[Scope]:
        """Return the scopes that the current node is in, from the outermost."""
        found = []
        scope = self.graph.scopes.get(self.current.scope) if self.current is not None else None
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found[::-1]

    def __str__(self) -> str:
        return rendered(self, "text") or repr(self)

    def _ipython_key_completions_(self) -> list[str]:
        return names_in(self.order, self.graph)

    def __repr__(self) -> str:
        at = "before all" if self.current is None else f"after {quoted(self.current.title)}"
        return f"<Debugger of {quoted(self.graph.name)}: {self._position} of {len(self._operations)} operations, {at}>"

    # --- moving ---------------------------------------------------------------------------------------------

    def _advance(self) -> Step:
        place = self._operations[self._position]
        try:
            step = self._tape.at(place)
        except GraphnnError as error:
            self._failed(error)
            raise
        self.error = ""
        self._position += 1
        self._furthest = max(self._furthest, self._position)
        self._stale.discard(step.node)
        if step.node in self._watched:
            self._report_watches()
        self._heed_guard(step)
        return step

    def _failed(self, error: GraphnnError) -> None:
        self.error = str(error)
        self._refused = None
        tell_of_step(error, self.updates, self.guard)

    @property
    def _context(self) -> Context:
        """What a condition may know of the run."""
        return Context(self._value_before, self._tape.prepared.op_of)

    def _value_before(self, step: Step) -> Array | None:
        if self._run.before is None:
            return None
        try:
            return self._run.before.tape.at(step.index).value
        except GraphnnError:
            return None  # it failed there

    def _go_on(self, ends: Callable[[Step], bool]) -> Step | None:
        """Run until `ends` of a step, a breakpoint, or the end; return the last step, or None if none was left."""
        step = None
        while not self.finished:
            step = self._advance()
            stopping = next((each for each in self.breakpoints if each.stops(step, self._context)), None)
            if stopping is not None:
                self._say(f"stopped by {stopping}")
            if stopping is not None or ends(step):
                break
        return step

    def _heed_guard(self, step: Step) -> None:
        """Say what the guard of a compiled step would have stopped at; not what comes of that, or after it."""
        run = self._run
        if self.guard is None or (run.warned is not None and step.index > run.warned):
            return
        refused = refused_by(self.guard, step, run.tape.prepared)
        if refused is None:
            return
        run.warned = step.index
        computed = [x for node, x in zip(step.node.inputs, step.operands, strict=True) if self._is_operation(node)]
        if not any(looked_for(self.guard, x).any() for x in computed):
            what = str(refused).partition("; ")[0]
            self._say(f"the guard stops a call of the step here: {what}")

    @told_where
    def step(self, n: int = 1) -> Step | None:
        """Run the next operation, or the next `n`; a breakpoint stops it earlier.

        Returns
        -------
        Step or None
            Of the operation that it stands after now; None where none is left to run.

        Raises
        ------
        GraphnnError
            When an operation fails; the debugger stands before it then, and ``dbg[node].operands`` shows why.
        """
        target = self._position + _count(n)
        return self._go_on(lambda step: self._position >= target)

    @told_where
    def back(self, n: int = 1) -> Step | None:
        """Go back by one operation, or by `n`: what they gave counts as not computed.

        Raises
        ------
        ValueRangeError
            When `n` is no number from 1 up.
        """
        return self.goto(max(self._position - _count(n), 0))

    @told_where
    def goto(self, target: int | Node | str) -> Step | None:
        """Go to where so many operations have run, or to a node, forwards or backwards; no breakpoint stops it.

        Parameters
        ----------
        target : int, Node or str
            0: before all; a node: after it.

        Returns
        -------
        Step or None
            Of the operation that it stands after now; None before all.

        Raises
        ------
        ValueRangeError
            When there is no such position.
        UsageError
            When the node is known before the run.
        """
        if isinstance(target, (int, np.integer)):
            if isinstance(target, bool) or not 0 <= target <= len(self._operations):
                raise ValueRangeError(f"there are positions 0 to {len(self._operations)}, and not {target}")
            position = int(target)
        else:
            node = self.node(target)
            if not self._is_operation(node):
                raise UsageError(f'"{node.name}" is known before the run: it is at no position')
            position = self._ranks[self._places[node]] + 1
        if position < self._position:
            self.error = ""
            self._position = position
            self._report_watches()
        while self._position < position:
            self._advance()
        return self.step_now

    @told_where
    def until(self, target: Any) -> Step | None:
        """Run until a node has been computed that is meant by `target`, as `break_at` takes it.

        Raises
        ------
        LookupFailure
            When nothing in the run is meant.
        UsageError
            When what is meant is known from the start, or has run.
        GraphnnError
            When an operation fails; the debugger stands before it then.
        """
        nodes = set(many(self.order, self.graph, target))
        operations = self.operations
        if nodes.isdisjoint(operations):
            raise UsageError(f"{asked_for(target)} is known before the run: there is nothing to run")
        if nodes.isdisjoint(operations[self._position :]):
            latest = next(node for node in reversed(operations) if node in nodes)
            raise UsageError(
                f'nothing that is yet to run is {asked_for(target)}: dbg.goto("{latest.name}") goes back to it, '
                "dbg.restart() before all"
            )
        return self._go_on(lambda step: step.node in nodes)

    @told_where
    def resume(self) -> Step | None:
        """Run until a breakpoint, or to the end; return and raise as `step` does."""
        return self._go_on(lambda step: False)

    def into(self) -> Step | None:
        """Run the next operation, into the scope that it opens, if it does; return and raise as `step` does."""
        return self.step()

    @told_where
    def over(self) -> Step | None:
        """Run the next operation, or the whole of the scope that it opens: a layer, a softmax, the backward pass.

        It returns and raises as `step` does.
        """
        opened = self._opened()
        if opened is None:
            return self.step()
        return self._go_on(lambda step: not self._next_within(opened))

    @told_where
    def out(self) -> Step | None:
        """Run until the scope is left that the next operation is in, with the current one; return and raise as `step`.

        Where the current one is the last of its scope, that is left already, and it is the one around it; at the top it
        runs to the end.
        """
        around = self._around(self.current.scope if self.current is not None else "")
        scope = next((path for path in reversed(around) if self._next_within(path)), "")
        return self._go_on(lambda step: not self._next_within(scope))

    def restart(self) -> None:
        """Go back before all; in a new run, if the graph's state has moved on.

        Breakpoints and watches stay; what was set by hand does where the state is as it was, and in a new run it is
        left out.
        """
        prepared, state = self._tape.prepared, self.graph.state
        given = prepared.given_before
        moved = {node: value for node, value in state.items() if given.get(node, value) is not value}
        if not moved.keys().isdisjoint([*self.order, *self.updates]):
            anew = prepared.without(*prepared.overridden)._replace(given=given | moved)
            left_out = sorted(prepared.overridden, key=self._places.__getitem__)
            if left_out:
                names = ", ".join(short_name(node.name, 80) for node in left_out)
                self._say(f"a new run, from the state as it is now, without what was set by hand: {names}")
            self._enter(_Run(self._new_name(_FIRST_RUN), Tape(anew, self._memory), before=self._run))
        self._position = self._furthest = 0
        self._stale.clear()
        self.error = ""
        self._report_watches()

    def _around(self, scope: str) -> list[str]:
        """Return the paths of a scope and of those around it, from the outermost, from "" at the top."""
        paths = []
        at = self.graph.scopes.get(scope)
        while at is not None:
            paths.append(at.path)
            at = at.parent
        return ["", *paths[::-1]]

    def _opened(self) -> str | None:
        """Return the outermost scope that the next operation is in and the current one is not."""
        if self.next is None:
            return None
        here = self._around(self.current.scope) if self.current is not None else [""]
        return next((path for path in self._around(self.next.scope) if path not in here), None)

    def _next_within(self, scope: str) -> bool:
        return self.next is not None and scope in self._around(self.next.scope)

    # --- breakpoints and watches ----------------------------------------------------------------------------

    @told_where
    def break_at(
        self, target: Any = None, when: Any = None, *, op: str | None = None, scope: str | None = None
    ) -> Breakpoint:
        """Stop a run after some nodes.

        Parameters
        ----------
        target : Node, str, or list of them, optional
            A node or its name; a scope (its first operation; with `when`, any in it); an output; a pattern
            (``"dense_*/add"``); an operation (``"exp"``); a line (``"model.py:18"``). Any node unless given.
        when : str or callable, optional
            A `Condition` in words (``"nan"``, ``"max > 1e3"``), or a function of a step.
        op, scope : str, optional
            Only nodes of this operation, or in this scope.

        Returns
        -------
        Breakpoint

        Raises
        ------
        LookupFailure
            When nothing in the run is meant.
        ValueRangeError
            When the condition means nothing.
        """
        when = None if when is None else condition_of(when)
        nodes = [node for node in many(self.order, self.graph, target, op=op, scope=scope) if self._is_operation(node)]
        named = asked_for(target, op, scope)
        if not nodes:
            verb = "are" if isinstance(target, (list, tuple)) and len(target) > 1 else "is"
            known = f"{named} {verb} known before the run" if self._operations else "this run computes nothing"
            raise UsageError(f"{known}: there is nothing to stop at")
        if when is None and isinstance(target, str) and target in self.graph.scopes and target not in self.graph.dag:
            nodes = nodes[:1]
        self._numbers += 1
        breakpoint = Breakpoint(self._numbers, named, nodes, when)
        self.breakpoints.append(breakpoint)
        return breakpoint

    @told_where
    def clear(self, number: int | None = None) -> None:
        """Take away a breakpoint by its number, or all of them.

        Raises
        ------
        LookupFailure
            When there is none of that number.
        """
        numbers = [breakpoint.number for breakpoint in self.breakpoints]
        if number is not None and number not in numbers:
            hint = f" {number}.{near(number, map(str, numbers))}" if numbers else f" {number}: none is set"
            raise LookupFailure(f"there is no breakpoint{hint}")
        self.breakpoints = [b for b in self.breakpoints if number is not None and b.number != number]

    def _is_operation(self, node: Node) -> bool:
        return self._places[node] in self._ranks

    @told_where
    def watch(self, target: Any) -> None:
        """Print the value of some nodes whenever it changes, or becomes known; an output under its own name.

        Raises
        ------
        LookupFailure
            When nothing in the run is meant.
        """
        outputs = self.graph.outputs
        for node in many(self.order, self.graph, target):
            name = target if isinstance(target, str) and outputs.get(target) is node else node.name
            self._watched[node] = _Watch(name, self._value_if_known(node))

    @told_where
    def unwatch(self, target: Any = None) -> None:
        """Print them no longer; none at all unless some are named.

        Raises
        ------
        LookupFailure
            When nothing in the run is meant.
        """
        for node in self.watches if target is None else many(self.order, self.graph, target):
            self._watched.pop(node, None)

    @property
    def watches(self) -> dict[Node, str]:
        """The nodes that are watched, with the names under which they are printed."""
        return {node: watch.name for node, watch in self._watched.items()}

    def _value_if_known(self, node: Node) -> Array | None:
        return self._known(node).value if self._is_known(node) else None

    def _report_watches(self) -> None:
        for node, (name, before) in self._watched.items():
            value = self._value_if_known(node)
            if value is before or (value is not None and before is not None and value.tobytes() == before.tobytes()):
                continue
            self._watched[node] = _Watch(name, value)
            said = "" if value is None else f" = {in_short(value)}"
            self._say(f"watch {short_name(name, 80)}{said or ': not yet known'}")

    def _say(self, text: str) -> None:
        if self.echo is not None:
            self.echo(text)

    @told_where
    def recheck(self, when: Any, target: Any = None, *, op: str | None = None, scope: str | None = None) -> list[Node]:
        """Return which of the nodes that have run a condition holds of, in their order.

        Parameters
        ----------
        when : str or callable
            As `break_at` takes it.
        target, op, scope : optional
            Only these nodes, as `break_at` takes them.

        Raises
        ------
        LookupFailure
            When nothing in the run is meant.
        ValueRangeError
            When the condition means nothing.
        """
        condition = condition_of(when)
        asked = many(self.order, self.graph, target, op=op, scope=scope)
        known = [node for node in asked if self._is_known(node)]
        return [node for node in known if holds(condition, self._known(node), self._context)]

    # --- the neighbourhood ----------------------------------------------------------------------------------

    def here(self, node: Node | str | None = None) -> Node:
        """Return the node that is meant; unless named, the current one, or the given one that a guard has refused.

        Raises
        ------
        LookupFailure
            When there is no such node in the run.
        UsageError
            When none is named, and nothing has run yet.
        """
        if node is not None:
            return self.node(node)
        if self.error and self._refused is not None:
            return self.order[self._refused]
        if self.current is None:
            raise UsageError("nothing has run yet: name a node, or step first")
        return self.current

    @told_where
    def inputs(self, node: Node | str | None = None) -> tuple[Node, ...]:
        """Return the operands of a node, of the current one unless given; raise as `here` does."""
        return self.here(node).inputs

    @told_where
    def users(self, node: Node | str | None = None) -> tuple[Node, ...]:
        """Return the nodes of this run that read a node, the current one unless given; raise as `here` does."""
        return tuple(user for user in self.here(node).users if user in self._places)

    @told_where
    def twin(self, node: Node | str | None = None) -> tuple[Node, ...]:
        """Return, of a gradient's or an update's node, the forward node it was made for; of a forward node, those.

        Returns
        -------
        tuple of Node
            Of this run; empty where there is none.

        Raises
        ------
        LookupFailure
            When there is no such node in the run.
        UsageError
            When none is named, and nothing has run yet.
        """
        here = self.here(node)
        twins = [here.twin] if here.twin is not None else [other for other in self.order if other.twin is here]
        return tuple(other for other in twins if other in self._places)

    @told_where
    def path(self, node: Node | str | None = None) -> list[Node]:
        """Return a shortest way from a node, the current one unless given, to what was asked for.

        Of a compiled step, to its results; from what has no part in those, to the next value of a parameter.

        Parameters
        ----------
        node : Node or str, optional

        Returns
        -------
        list of Node
            From the node itself on.

        Raises
        ------
        LookupFailure
            When no way leads there.
        """
        here = self.here(node)
        results = set(self.fetches).difference(self.updates.values())
        for ends in (results, set(self.updates.values())):
            way = self._way(here, ends)
            if way:
                return way
        raise LookupFailure(f'no way leads from "{here.name}" to what was asked for')

    def _way(self, here: Node, ends: Collection[Node]) -> list[Node]:
        towards: dict[Node, Node | None] = {here: None}
        waiting = [here]
        for at in waiting:
            if at in ends:
                way = [at]
                while (before := towards[way[-1]]) is not None:
                    way.append(before)
                return way[::-1]
            for user in at.users:
                if user in self._places and user not in towards:
                    towards[user] = at
                    waiting.append(user)
        return []

    # --- why ------------------------------------------------------------------------------------------------

    @told_where
    def why(self, node: Node | str | None = None, index: Any = None) -> Why:
        """Say of one element from which numbers it came, by which formula, on which line.

        Parameters
        ----------
        node : Node or str, optional
            The current node unless given, or that which failed.
        index : tuple of int or int, optional
            Which element, where there are several; the first that is NaN, or infinite, unless given.

        Returns
        -------
        Why

        Raises
        ------
        AxisError, ShapeError
            When there is no such element; or several, all of them finite, and none is named.
        UsageError
            When the node has not run, or could not be evaluated.
        """
        here = self.failed if node is None and self.failed is not None else self.here(node)
        step = self._known(here)
        prepared = self._tape.prepared
        given = partial(given_as, prepared=prepared, where=f"in {self._run.name}")
        op, source = prepared.op_of(here), self.source_of(here)
        return explain(here, index, step.value, step.operands, op=op, source=source, given=given)

    @told_where
    def ancestry(self, node: Node | str | None = None, index: Any = None, *, limit: int = LIMIT) -> dict[Node, Array]:
        """Return all that one element was made of, through forward and backward nodes alike.

        Parameters
        ----------
        node, index
            As `why` takes them.
        limit : int
            How many elements may be asked one by one what they read.

        Returns
        -------
        dict of Node to array
            The flat indices of the elements (`numpy.unravel_index` turns them), of each node that has a part; the node
            itself comes first.

        Raises
        ------
        ValueRangeError
            When there are more to ask than `limit`, or that is no number from 1 up.
        """
        here, index = self._element(node, index)
        prepared = self._tape.prepared
        return ancestry(
            here,
            index,
            lambda other: self._known(other).operands,
            sizes=prepared.sizes,
            op_of=prepared.op_of,
            given=self._set_by_hand(),
            limit=limit,
        )

    @told_where
    def influence(self, node: Node | str | None = None, index: Any = None, *, limit: int = LIMIT) -> dict[Node, Array]:
        """Return all of what has run that one element had a part in, directly or through others.

        Parameters
        ----------
        node, index, limit
            As `ancestry` takes them.

        Returns
        -------
        dict of Node to array
            As `ancestry`.

        Raises
        ------
        ValueRangeError
            When there are more to ask than `limit`, or that is no number from 1 up.
        """
        here, index = self._element(node, index)
        prepared = self._tape.prepared
        known = [other for other in self.order if self._is_known(other)]
        return influence(
            here,
            index,
            known,
            lambda other: self._known(other).operands,
            lambda other: self._known(other).value,
            sizes=prepared.sizes,
            op_of=prepared.op_of,
            given=self._set_by_hand(),
            limit=limit,
        )

    @told_where
    def sample(self, row: int, dim: str | None = None) -> dict[Node, Array]:
        """Return one sample alone, from the feed to its cotangents: its row of every value that has run.

        The row is that of the same number everywhere: where rows are turned about or mixed, `ancestry` and `influence`
        follow an element.

        Parameters
        ----------
        row : int
        dim : str, optional
            The name of the dimension that the samples are along; the first of the first placeholder unless given.

        Returns
        -------
        dict of Node to array
            Views, without that dimension; found by the name of node, scope or output, too:
            ``dbg.sample(6)["dense_1"]``. What is of all samples together, as a mean loss is, is not among them.

        Raises
        ------
        AxisError
            When there is no such row.
        LookupFailure
            When there is no such dimension.
        UsageError
            When none is given, and that of the first placeholder has no name.
        """
        known = [other for other in self.order if self._is_known(other)]
        return sample(known, row, dim, lambda other: self._known(other).value)

    def _element(self, node: Node | str | None, index: Any) -> tuple[Node, Any]:
        here = self.here(node)
        value = self._known(here).value
        return here, first_strange(value) if index is None else index

    def _set_by_hand(self) -> set[Node]:
        """Return the nodes that were given a value."""
        return set(filter(self._tape.prepared.is_set, self._tape.prepared.overridden))

    # --- what if --------------------------------------------------------------------------------------------

    def __setitem__(self, node: Node | str, value: Any) -> None:
        """Ask what if: give a node a value, and recompute what depends on it, and only that."""
        self.what_if(node, value)

    @told_where
    def what_if(self, node: Node | str, value: Any = None, *, name: str | None = None, **attributes: Any) -> Change:
        """Begin a run in which a node has another value, or its operation another attribute.

        Of what depends on the node, that which has run is recomputed at once, the rest when it is run. The run before
        is kept: `use` goes back to it, `compare` compares, `drop` lets it go.

        Parameters
        ----------
        node : Node or str
        value : array_like, optional
            Of the shape that the node has in this run; a single number does not fill it.
        name : str, optional
            Of the run; ``"what-if 1"``, … unless given.
        **attributes
            Instead of a value: settings of the operation (``lo=0.1`` of a clip).

        Returns
        -------
        Change
            Says what was recomputed.

        Raises
        ------
        ShapeError, DtypeError
            When the value or the attribute does not fit.
        GraphnnError
            When an operation fails of what is recomputed; the debugger stands before it then.
        """
        node = self.node(node)
        if (value is None) == (not attributes):
            raise UsageError("a what-if gives a node a value, or its operation attributes: one of the two")
        op = self._altered(node, attributes) if attributes else None
        prepared = self._tape.prepared
        prepared = prepared.with_value(node, value) if op is None else prepared.with_op(node, op)
        return self._begin(prepared, node, name)

    def _altered(self, node: Node, attributes: Mapping[str, Any]) -> Op:
        if not self._is_operation(node):
            raise UsageError(f'"{node.name}" is {with_article(node.op.name)}: give it a value')
        if isinstance(node.op, Unknown):
            raise UsageError(
                f'"{node.name}" is {with_article(node.op.name)}, which is not defined here: give it a value'
            )
        unknown = [name for name in attributes if name not in node.op.settings]
        if unknown:
            hint = near(unknown[0], node.op.settings)
            raise UsageError(f'"{node.name}" ({node.op.name}) has no attribute "{unknown[0]}".{hint}')
        return replace(self._tape.prepared.declared_op_of(node), **attributes)  # type: ignore[type-var]

    @told_where
    def __delitem__(self, node: Node | str) -> None:
        """Take a what-if back: begin a run in which the node has again what it computes, or what it was fed.

        Raises
        ------
        LookupFailure
            When there is no such node in the run, or it was not set by hand.
        GraphnnError
            When an operation fails of what is recomputed; the debugger stands before it then.
        """
        node = self.node(node)
        prepared = self._tape.prepared
        if node not in prepared.overridden:
            raise LookupFailure(f'"{node.name}" is not overridden in the run "{self._run.name}"')
        self._begin(prepared.without(node), node, None, taken_back=True)

    def _begin(self, prepared: Prepared, node: Node, name: str | None, taken_back: bool = False) -> Change:
        if name is not None and _run_name(name) in self._runs:
            raise LookupFailure(f'there is already a run "{name}"')
        place = self._places[node]
        dependent = self._dependent(place, prepared)
        tape = self._tape.branch(prepared, {place, *dependent})
        before = self._run
        run = _Run(name or self._new_name("what-if"), tape, before)
        run.warned = None if before.warned in {place, *dependent} else before.warned
        self._enter(run)
        computed = prepared.binding.forwards[place] is not None
        anew = [place] * computed + dependent
        done = [i for i in anew if self._ranks[i] < self._position]
        later = [self.order[i] for i in anew[len(done) :]]
        self._stale |= {waiting for waiting in later if self._ranks[self._places[waiting]] < self._furthest}
        self.error = ""
        self._recompute(done, heed=True)
        anew_now, count = [self.order[i] for i in done], len(self._operations)
        change = Change(self._run.name, node, anew_now, later, count, taken_back)
        self._say(str(change))
        self._report_watches()
        return change

    def _recompute(self, places: list[int], heed: bool = False) -> None:
        for i, place in enumerate(places):
            try:
                step = self._tape.at(place)
                if heed:
                    self._heed_guard(step)
            except (GraphnnError, KeyboardInterrupt) as error:
                if isinstance(error, GraphnnError):
                    self._failed(error)
                self._position = self._ranks[place]
                self._stale |= {self.order[later] for later in places[i:]}
                self._report_watches()
                raise

    def _dependent(self, place: int, prepared: Prepared) -> list[int]:
        """Return the places of the schedule whose values depend on one, in their order: none that were given."""
        found = {place}
        operands, forwards = prepared.program.operands, prepared.binding.forwards
        for later in range(place + 1, len(self.order)):
            if forwards[later] is not None and not found.isdisjoint(operands[later]):
                found.add(later)
        return sorted(found - {place})

    # --- runs -----------------------------------------------------------------------------------------------

    @property
    def runs(self) -> dict[str, list[Node]]:
        """The runs that are kept, by name, with the nodes that are overridden in each."""
        key = self._places.__getitem__
        return {name: sorted(run.tape.prepared.overridden, key=key) for name, run in self._runs.items()}

    @property
    def run(self) -> str:
        """The name of the run that it is in."""
        return self._run.name

    def _new_name(self, kind: str) -> str:
        number = 1 if kind != _FIRST_RUN else 2
        while f"{kind} {number}" in self._runs:
            number += 1
        return f"{kind} {number}"

    def _enter(self, run: _Run) -> None:
        self._runs[run.name] = run
        self._run = run

    def _kept(self, name: str) -> _Run:
        if _run_name(name) not in self._runs:
            raise LookupFailure(f'there is no run "{name}".{near(name, self._runs)}')
        return self._runs[name]

    @told_where
    def use(self, name: str) -> None:
        """Go to a run that was kept, at the same position.

        Raises
        ------
        LookupFailure
            When there is none of that name.
        GraphnnError
            When an operation fails of what is computed again; the debugger stands before it then.
        """
        self._run = self._kept(name)
        self._stale.clear()
        self.error = ""
        self._recompute(self._operations[: self._position])
        self._report_watches()

    @told_where
    def drop(self, name: str) -> None:
        """Let a kept run go.

        Raises
        ------
        LookupFailure
            When there is none of that name.
        UsageError
            When it is the one that the debugger is in.
        """
        run = self._kept(name)
        if run is self._run:
            raise UsageError(f'"{name}" is the run that the debugger is in: go to another one first, dbg.use(…)')
        for other in self._runs.values():
            if other.before is run:
                other.before = run.before
        run.tape.forget()
        del self._runs[name]
        run.tape.close()

    @told_where
    def compare(
        self, run: str, *, rtol: float | None = None, atol: float | None = None, names: tuple[str, str] | None = None
    ) -> Comparison:
        """Compare a kept run with this one, as far as this one has come; both are run again for it, side by side.

        Parameters
        ----------
        run : str
        rtol, atol, names
            As `graphnn.compare` takes them.

        Returns
        -------
        Comparison

        Raises
        ------
        LookupFailure
            When there is no such run.
        UsageError, ValueRangeError
            When a name or a tolerance is none.
        """
        tolerance = checked_tolerance(rtol, atol)
        called = checked_names(names) or ((run, self.run) if _run_name(run) != self.run else ("a", "b"))
        one, other = self._side(self._kept(run).tape, called[0]), self._side(self._tape, called[1])
        return compare_runs(one, other, tolerance)

    def _side(self, tape: Tape, name: str) -> Side:
        prepared = tape.prepared
        ran, stopped, _ = self._reached(tape)
        where = None if stopped is None else self.order[stopped]
        return Side(name, prepared.program, islice(tape.anew(), ran), prepared.sizes, ran, where, prepared)

    # --- handing on -----------------------------------------------------------------------------------------

    def _reached(self, tape: Tape) -> tuple[int, int | None, str]:
        """Return how many places of the schedule a run has values of; where it was stopped, and why, if it was."""
        until = len(self.order) if self.finished else self._operations[self._position]
        stopped = None if self.finished else until
        if tape is self._tape:
            return until, self._refused if self.error and self._refused is not None else stopped, self.error
        ran = 0
        try:
            for step in islice(tape.anew(), until):
                ran = step.index + 1
        except GraphnnError as failed:
            return ran, ran, str(failed)
        return until, stopped, ""

    @told_where
    def trace(self, run: str | None = None, *, keep: int = KEEP) -> Trace:
        """Return the trace of what has run, in this run or another.

        Parameters
        ----------
        run : str, optional
            The name of a run that is kept; this one unless given.
        keep : int
            As `graphnn.trace` takes it.

        Returns
        -------
        Trace

        Raises
        ------
        LookupFailure
            When there is no such run.
        ValueRangeError
            When `keep` is no number of bytes.
        """
        most = checked_keep(keep)
        tape = self._tape if run is None else self._kept(run).tape
        ran, stopped, error = self._reached(tape)
        return Trace(
            tape.prepared,
            [kept_of(tape.at(place), most) for place in range(ran)],
            [tape.times.get(place, 0.0) for place in range(ran)],
            self.updates,
            stopped=stopped,
            error=error,
            sources=self.sources,
            guard=self.guard,
        )

    @told_where
    def to_html(self, path: StrPath | None = None) -> Any:
        """Return what has run as a page that replays it in a browser; a what-if beside the run it began from.

        Parameters
        ----------
        path : str or path-like, optional
            Where to write the page.

        Returns
        -------
        Page
            A notebook shows it in a frame; ``.save(path)`` writes it.

        Raises
        ------
        OSError
            When the folder or the disk refuses.
        """
        before = self._run.before
        if before is None:
            return page_of(self.trace(), path)
        now, then = self._tape.prepared, before.tape.prepared
        changed = [
            place
            for node, place in self._places.items()
            if now.given.get(node) is not then.given.get(node)
            or now.declared_op_of(node) is not then.declared_op_of(node)
        ]
        places = {*changed, *[later for place in changed for later in self._dependent(place, now)]}
        anew = [self.order[place] for place in sorted(places) if now.binding.forwards[place] is not None]
        recomputed = [node for node in anew if self._is_known(node)]
        return page_of(Beside(self.trace(before.name), self.trace(), (before.name, self.run), recomputed), path)

    @told_where
    def commit(self) -> None:
        """Make the updates, as the compiled step would have: with the values of this run.

        Raises
        ------
        UsageError
            When there are none, not all operations have run, or the state has moved on since the debugger was opened.
        ValueRangeError
            When the guard of the compiled step refuses a value.
        """
        if not self.updates:
            raise UsageError("there are no updates to make: gn.debug(step, feed) of a compiled step has some")
        if not self.finished:
            raise UsageError(f"{len(self._operations) - self._position} operations are yet to run: dbg.resume() first")
        following = {parameter: self._known(node).value.copy() for parameter, node in self.updates.items()}
        checked = {node: self.graph._checked_value(node, value) for node, value in following.items()}
        given = self._tape.prepared.given_before
        if self.guard is not None:
            for place in range(len(self.order)):
                if (refused := refused_by(self.guard, self._tape.at(place), self._tape.prepared)) is not None:
                    tell_of_step(refused, self.updates, self.guard)
                    raise refused
        with updating(self.graph):
            for parameter in dict.fromkeys([*self.updates, *self.order]):
                if isinstance(parameter.op, Parameter) and self.graph.state[parameter] is not given.get(parameter):
                    raise UsageError(
                        f'the state has moved on since this run began ("{parameter.name}" has another value): '
                        "dbg.restart()"
                    )
            self.graph.state.update(checked)


def _run_name(name: Any) -> str:
    if not isinstance(name, str):
        raise UsageError(f"a run is named by text, not by {type(name).__name__}")
    if not name:
        raise UsageError('a run is named by some text, and not by ""')
    return name


def _count(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueRangeError(f"a number of operations is an int from 1 up, not {n!r}")
    return int(n)


@told_where
def debug(
    target: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    budget: float | None = None,
    echo: Callable[[str], Any] | None = print,
) -> Debugger:
    """Open a debugger before the first operation, or where a stopped trace ended.

    Parameters
    ----------
    target : Node, str, or list, tuple or dict of them, Compiled, or Trace
        Fetches; or a compiled step with its updates, on a copy of the state (``dbg.commit()`` makes them); or a trace,
        which brings its feed, its state and the values that it kept.
    feed, sizes, graph
        As `graphnn.run` takes them.
    budget : float, optional
        Bytes that the values may take; the graph's memory budget unless given. One live set is held at any budget.
    echo : callable or None
        What watches, breakpoints and what-ifs say, goes here; None: nowhere.

    Returns
    -------
    Debugger

    Raises
    ------
    GraphnnError
        As `graphnn.run` does, before anything is computed.

    Examples
    --------
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
        raise ValueRangeError(f"budget= is a number of bytes from 0 up, not {budget!r}")
    if echo is not None and not callable(echo):
        raise UsageError(f"echo= takes what is said, as print does, or is None; it is not {type(echo).__name__}")
    prepared, updates = prepared_for(target, feed, sizes, graph)
    guard = target.guard if isinstance(target, (Compiled, Trace)) else None
    if not isinstance(target, Trace):
        return Debugger(prepared, updates, budget=budget, echo=echo, guard=guard)
    dbg = Debugger(
        prepared,
        updates,
        budget=budget,
        echo=None,  # until it stands where the trace ended, which says why itself
        known=target.as_computed,
        times={record.index: record.time for record in target},
        sources=target.sources,
        guard=guard,
    )
    if target.stopped is not None:
        dbg.goto(bisect_left(dbg._operations, min(target.stopped + 1, len(target))))
        dbg.error = target.error
        dbg._refused = target.stopped if target.stopped < len(target) else None  # a guard has seen its value
    dbg.echo = echo
    return dbg


@show_as(GraphnnError, "trace")
def _trace_of(error: GraphnnError) -> Trace | None:
    return stopped_trace(error)


@show_as(GraphnnError, "debugger")
def _debugger_of(error: GraphnnError) -> Debugger | None:
    trace = stopped_trace(error)
    return None if trace is None else debug(trace)
