"""Where a run stops, and what is printed on the way: breakpoints, watches, guards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.text import short_name
from ..errors import GraphnnError, NotFoundError, UsageError, near
from ..runtime.evaluation_loop import Step, guard_error
from ..runtime.guard import violating
from .breakpoint_conditions import Breakpoint, Context, condition_of, holds
from .node_selection import asked_for, many
from .traces import in_short

if TYPE_CHECKING:
    from ..core import Array, Node
    from .debugger_state import Progress


class _Watch(NamedTuple):
    """The name under which a node is watched, and its value when it was last printed."""

    name: str
    value: Array | None


class Stops:
    """The breakpoints and watches of a debugger."""

    def __init__(self, now: Progress) -> None:
        self._now = now
        self.breakpoints: list[Breakpoint] = []
        self._numbers = 0
        self._watched: dict[Node, _Watch] = {}

    def break_at(
        self, target: Any = None, when: Any = None, *, op: str | None = None, scope: str | None = None
    ) -> Breakpoint:
        """Stop a run after some nodes.

        Parameters
        ----------
        target : Node, str, or list of them, optional
            A node or its name; a scope (its first operation; with `when`, any in it); an output; a pattern
            (``"dense_*/add"``); an operation (``"exp"``); a line (``"model.py:18"``); the end of a name (``"z"`` for
            ``"dense_1/z"``). Any node unless given.
        when : str or callable, optional
            A `Condition` in words (``"nan"``, ``"max > 1e3"``), or a function of a step.
        op, scope : str, optional
            Only nodes of this operation, or in this scope.

        Returns
        -------
        Breakpoint

        Raises
        ------
        NotFoundError
            When nothing in the run matches.
        ValueRangeError
            When the condition cannot be read.
        """
        now = self._now
        when = None if when is None else condition_of(when)
        nodes = [node for node in many(now.order, now.graph, target, op=op, scope=scope) if now.is_operation(node)]
        named = asked_for(target, op, scope)
        if not nodes:
            verb = "are" if isinstance(target, (list, tuple)) and len(target) > 1 else "is"
            known = f"{named} {verb} known before the run" if now.computed else "this run computes nothing"
            raise UsageError(f"{known}: there is nothing to stop at")
        if when is None and isinstance(target, str) and target in now.graph.scopes and target not in now.graph.dag:
            nodes = nodes[:1]
        self._numbers += 1
        breakpoint = Breakpoint(self._numbers, named, nodes, when)
        self.breakpoints.append(breakpoint)
        return breakpoint

    def clear(self, number: int | None = None) -> None:
        """Remove a breakpoint by its number, or all of them.

        Raises
        ------
        NotFoundError
            When there is none of that number.
        """
        numbers = [breakpoint.number for breakpoint in self.breakpoints]
        if number is not None and number not in numbers:
            hint = f" {number}.{near(number, map(str, numbers))}" if numbers else f" {number}: none is set"
            raise NotFoundError(f"there is no breakpoint{hint}")
        self.breakpoints[:] = [b for b in self.breakpoints if number is not None and b.number != number]

    def watch(self, target: Any) -> None:
        """Print the value of some nodes whenever it changes, or becomes known; an output under its own name.

        Raises
        ------
        NotFoundError
            When nothing in the run matches.
        """
        now = self._now
        outputs = now.graph.outputs
        for node in many(now.order, now.graph, target):
            name = target if isinstance(target, str) and outputs.get(target) is node else node.title
            self._watched[node] = _Watch(name, now.value_if_known(node))

    def unwatch(self, target: Any = None) -> None:
        """Stop watching some nodes, or all of them.

        Raises
        ------
        NotFoundError
            When nothing in the run matches.
        """
        for node in self.watches if target is None else many(self._now.order, self._now.graph, target):
            self._watched.pop(node, None)

    @property
    def watches(self) -> dict[Node, str]:
        """The nodes that are watched, with the names under which they are printed."""
        return {node: watch.name for node, watch in self._watched.items()}

    def recheck(self, when: Any, target: Any = None, *, op: str | None = None, scope: str | None = None) -> list[Node]:
        """Return the nodes that have run for which a condition holds, in their order.

        Parameters
        ----------
        when : str or callable
            As `break_at` takes it.
        target, op, scope : optional
            Only these nodes, as `break_at` takes them.

        Raises
        ------
        NotFoundError
            When nothing in the run matches.
        ValueRangeError
            When the condition cannot be read.
        """
        now = self._now
        condition = condition_of(when)
        asked = many(now.order, now.graph, target, op=op, scope=scope)
        known = [node for node in asked if now.is_known(node)]
        return [node for node in known if holds(condition, now.known(node), self.context)]

    def report(self) -> None:
        """Print the watched values that have changed."""
        for node, (name, before) in self._watched.items():
            value = self._now.value_if_known(node)
            if value is before or (value is not None and before is not None and value.tobytes() == before.tobytes()):
                continue
            self._watched[node] = _Watch(name, value)
            said = "" if value is None else f" = {in_short(value)}"
            self._now.say(f"watch {short_name(name, 80)}{said or ': not yet known'}")

    def stopping(self, step: Step) -> Breakpoint | None:
        """Return the breakpoint that stops a run after a step, if one does."""
        return next((each for each in self.breakpoints if each.stops(step, self.context)), None)

    def heed_guard(self, step: Step) -> None:
        """Print the first value at which the guard of a compiled step would have stopped; not what follows from it."""
        now = self._now
        run = now.run
        if now.guard is None or (run.warned is not None and step.index > run.warned):
            return
        refused = guard_error(now.guard, step, run.tape.prepared)
        if refused is None:
            return
        run.warned = step.index
        computed = [x for node, x in zip(step.node.inputs, step.operands, strict=True) if now.is_operation(node)]
        if not any(violating(now.guard, x).any() for x in computed):
            now.say(f"the guard stops a call of the step here: {refused.fact}")

    @property
    def context(self) -> Context:
        """What a condition may know about the run."""
        return Context(self._value_before, self._now.tape.prepared.op_of)

    def _value_before(self, step: Step) -> Array | None:
        if self._now.run.before is None:
            return None
        try:
            return self._now.run.before.tape.at(step.index).value
        except GraphnnError:
            return None  # it failed there
