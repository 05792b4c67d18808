"""How the debugger moves: forwards, backwards, and over scopes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.text import short_name
from ..control_flow.unrolled_run import (
    before_unrolling,
    decided_by_values,
    graph_before,
    loops_in,
    not_shown,
    run_before,
    takes_a_side,
)
from ..core.attributes import whole
from ..core.fetches import ancestors
from ..errors import GraphnnError, NotFoundError, UsageError, ValueRangeError
from .advice import RESTART, call
from .debugger_state import FIRST_RUN, Progress, Run
from .node_selection import asked_for, many, scopes_around
from .value_cache import Tape
from .what_if_runs import given_before, without

if TYPE_CHECKING:
    from ..core import Node, Scope
    from ..runtime.evaluation_loop import Step
    from .breakpoints import Stops


class Cursor:
    """The place in a schedule after which the debugger stands."""

    def __init__(self, now: Progress, stops: Stops) -> None:
        self._now = now
        self._stops = stops

    def step(self, n: int = 1) -> Step | None:
        """Run the next operation, or the next `n`; a breakpoint stops it earlier.

        Returns
        -------
        Step or None
            Of the operation that it now stands after; None where none is left to run.

        Raises
        ------
        GraphnnError
            When an operation fails; the debugger then stands before it, and ``dbg[node].operands`` shows why.
        """
        target = self._now.position + whole("a number of operations", n, 1)
        return self._go_on(lambda step: self._now.position >= target)

    def back(self, n: int = 1) -> Step | None:
        """Go back by one operation, or by `n`: their values then count as not computed.

        Raises
        ------
        ValueRangeError
            When `n` is less than 1.
        """
        return self.goto(max(self._now.position - whole("a number of operations", n, 1), 0))

    def goto(self, target: int | Node | str) -> Step | None:
        """Go to a position or a node, forwards or backwards; no breakpoint stops it.

        Parameters
        ----------
        target : int, Node or str
            How many operations have run, 0 for none; or a node: the position after it.

        Returns
        -------
        Step or None
            Of the operation that it now stands after; None before all of them.

        Raises
        ------
        ValueRangeError
            When there is no such position.
        UsageError
            When the node is known before the run.
        """
        now = self._now
        if isinstance(target, (int, np.integer)):
            if isinstance(target, bool) or not 0 <= target <= len(now.computed):
                raise ValueRangeError(f"positions are 0 to {len(now.computed)}, not {target}")
            position = int(target)
        else:
            node = now.node(target)
            if not now.is_operation(node):
                raise UsageError(f'"{node.title}" is known before the run, so it has no position')
            position = now.ranks[now.places[node]] + 1
        if position < now.position:
            now.error = ""
            now.position = position
            self._stops.report()
        while now.position < position:
            self._advance()
        return now.step_now

    def until(self, target: Any) -> Step | None:
        """Run until one of some nodes has been computed; `target` is as in `break_at`.

        Raises
        ------
        NotFoundError
            When nothing in the run matches.
        UsageError
            When they are known from the start, or have run.
        GraphnnError
            When an operation fails; the debugger then stands before it.
        """
        now = self._now
        nodes = set(many(now.order, now.graph, target))
        operations = now.operations
        if nodes.isdisjoint(operations):
            raise UsageError(f"{asked_for(target)} is known before the run: there is nothing to run")
        if nodes.isdisjoint(operations[now.position :]):
            latest = next(node for node in reversed(operations) if node in nodes)
            goto = call("goto", latest.title)
            raise UsageError(
                f"{asked_for(target)} has run already: {goto} goes back to it, {RESTART} to the beginning",
                calls=(goto, RESTART),
            )
        return self._go_on(lambda step: step.node in nodes)

    def resume(self) -> Step | None:
        """Run until a breakpoint, or to the end; return and raise as `step` does."""
        return self._go_on(lambda step: False)

    def into(self) -> Step | None:
        """Run the next operation, into the scope that it opens, if it does; return and raise as `step` does."""
        return self.step()

    def over(self) -> Step | None:
        """Run the next operation, or the whole of the scope that it opens: a layer, a softmax, the backward pass.

        It returns and raises as `step` does.
        """
        opened = self._opened()
        if opened is None:
            return self.step()
        return self._go_on(lambda step: not self._next_within(opened))

    def out(self) -> Step | None:
        """Run to the end of the innermost scope that holds both the current and the next operation.

        At the top it runs to the end of the run. It returns and raises as `step` does.
        """
        around = self._around(self._now.current.scope if self._now.current is not None else "")
        scope = next((path for path in reversed(around) if self._next_within(path)), "")
        return self._go_on(lambda step: not self._next_within(scope))

    def back_over(self) -> Step | None:
        """Go back by one operation, or before the whole of the scope that ends here: the reverse of `over`.

        A breakpoint in the scope stops it earlier.

        Returns
        -------
        Step or None
            Of the operation that it now stands after; None before all of them.
        """
        now = self._now
        if now.current is None:
            return None
        ahead = self._around(now.next.scope) if now.next is not None else [""]
        closed = next((path for path in self._around(now.current.scope) if path not in ahead), None)
        if closed is None:
            return self.back()
        return self._go_back(lambda node: closed not in self._around(node.scope))

    def rewind(self) -> Step | None:
        """Go back to the last place at which a breakpoint stops a run, or before all operations.

        Returns
        -------
        Step or None
            Of the operation that it now stands after; None before all of them.
        """
        return self._go_back(lambda node: False)

    def iteration(self, n: int) -> Step | None:
        """Go to the beginning of an iteration of the loop that it stands in, forwards or backwards.

        Parameters
        ----------
        n : int
            The number of the iteration, which is that of its row.

        Returns
        -------
        Step or None
            Of the operation before it; None before all of them.

        Raises
        ------
        UsageError
            When it stands in no loop, and the run has none or several.
        NotFoundError
            When there is no such iteration.
        """
        now = self._now
        n = whole("the number of an iteration", n, 0)
        name = f"{self._loop()}@{n}"
        nodes = set(many(now.order, now.graph, name)) if name in now.graph.scopes else set()
        ranks = [rank for rank, place in enumerate(now.computed) if now.order[place] in nodes]
        if not ranks:
            raise NotFoundError(not_shown(now.graph, name).strip() or f'no operation of "{name}" is in this run')
        return self.goto(ranks[0])

    def _loop(self) -> str:
        """Return the innermost loop in which it stands, or the only one there is."""
        now = self._now
        here = now.current if now.next is None else now.next
        for node in (now.current, here):
            around = scopes_around(now.graph, node.scope) if node is not None else []
            for scope in reversed(around):
                if scope.kind == "iteration":
                    return scope.path.rpartition("@")[0]
        loops = [loop for loop in loops_in(now.graph) if "@" not in loop]
        if len(loops) == 1:
            return loops[0]
        listed = ", ".join(f'"{loop}@0"' for loop in loops)
        raise UsageError(f"it stands in no loop: go into one first, {listed}" if loops else "this run has no loops")

    def restart(self) -> None:
        """Go back before all operations; in a new run, if the graph's state has changed.

        Breakpoints and watches stay. What was set by hand stays too, unless a new run is begun.
        """
        now = self._now
        prepared, stored = now.tape.prepared, graph_before(now.graph).state
        state = {node: stored[before_unrolling(node)] for node in list(now.graph.state)}
        given, run, deciding = given_before(prepared), run_before(now.graph), decided_by_values(now.graph)
        before = given
        if run is not None:
            before = {node: run.given.get(before_unrolling(node), state[node]) for node in state} | given
        moved = {node: value for node, value in state.items() if before.get(node, value) is not value}
        if not moved.keys().isdisjoint([*now.order, *now.updates, *ancestors(chain(*deciding.values()))]):
            for loop in deciding:
                what = "the side of" if takes_a_side(now.graph, loop) else "the number of iterations of"
                raise UsageError(
                    f'the state has changed, and {what} "{loop}" may depend on it: gn.debug(…) of the step opens it '
                    "with that state"
                )
            anew = without(prepared, *prepared.overridden)._replace(given=given | moved)
            left_out = sorted(prepared.overridden, key=now.places.__getitem__)
            if left_out:
                names = ", ".join(short_name(node.title, 80) for node in left_out)
                now.say(f"a new run from the current state, without what was set by hand: {names}")
            now.enter(Run(now.new_name(FIRST_RUN), Tape(anew, now.memory), before=now.run))
        now.position = now.furthest = 0
        now.stale.clear()
        now.error = ""
        self._stops.report()

    def frames(self) -> list[Scope]:
        """Return the scopes that the current node is in, from the outermost."""
        now = self._now
        return [] if now.current is None else scopes_around(now.graph, now.current.scope)

    def _advance(self) -> Step:
        now = self._now
        place = now.computed[now.position]
        try:
            step = now.tape.at(place)
        except GraphnnError as error:
            now.fail(error)
            raise
        now.error = ""
        now.position += 1
        now.furthest = max(now.furthest, now.position)
        now.stale.discard(step.node)
        if step.node in self._stops.watches:
            self._stops.report()
        self._stops.heed_guard(step)
        return step

    def _go_on(self, ends: Callable[[Step], bool]) -> Step | None:
        """Run until `ends` of a step, a breakpoint, or the end; return the last step, or None if none was left."""
        step = None
        while not self._now.finished:
            step = self._advance()
            stopping = self._stops.stopping(step)
            if stopping is not None:
                self._now.say(f"stopped by {stopping}")
            if stopping is not None or ends(step):
                break
        return step

    def _go_back(self, ends: Callable[[Node], bool]) -> Step | None:
        """Go back to the last node before the current one that `ends` it or has a breakpoint; else before all."""
        now = self._now
        stoppable: set[Node] = set().union(*[breakpoint.nodes for breakpoint in self._stops.breakpoints])
        for position in range(now.position - 1, 0, -1):
            place = now.computed[position - 1]
            node = now.order[place]
            stopping = self._stops.stopping(now.tape.at(place)) if node in stoppable else None
            if stopping is not None or ends(node):
                if stopping is not None:
                    now.say(f"stopped by {stopping}")
                return self.goto(position)
        return self.goto(0)

    def _around(self, scope: str) -> list[str]:
        """Return the paths of a scope and of those around it, from the outermost, from "" at the top."""
        return ["", *[around.path for around in scopes_around(self._now.graph, scope)]]

    def _opened(self) -> str | None:
        """Return the outermost scope that the next operation is in and the current one is not."""
        now = self._now
        if now.next is None:
            return None
        here = self._around(now.current.scope) if now.current is not None else [""]
        return next((path for path in self._around(now.next.scope) if path not in here), None)

    def _next_within(self, scope: str) -> bool:
        return self._now.next is not None and scope in self._around(self._now.next.scope)
