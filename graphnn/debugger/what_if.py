"""What-ifs, and the runs that they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.text import quoted, short_name, with_article
from ..control_flow.unrolled_run import decided_by_values, takes_a_side
from ..core.fetches import ancestors
from ..errors import GraphnnError, NotFoundError, UsageError, near
from .advice import call
from .debugger_state import Progress, Run, run_name
from .what_if_runs import with_op, with_value, without

if TYPE_CHECKING:
    from ..core import Node, Op
    from ..runtime.evaluation_loop import Prepared
    from .breakpoints import Stops


class Change(NamedTuple):
    """What a what-if has changed.

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
        run, name = short_name(self.run, 80), short_name(self.node.title, 80)
        what = "is as it was" if self.taken_back else "changed"
        return f"{run}: {name} {what}, recomputed {len(self.recomputed)} of {self.operations}{later}"

    def __repr__(self) -> str:
        run, name = quoted(short_name(self.run, 80)), quoted(short_name(self.node.title, 80))
        return f"<Change {run}: {name}, recomputed {len(self.recomputed)} of {self.operations}>"


class WhatIfs:
    """The runs of a debugger."""

    def __init__(self, now: Progress, stops: Stops) -> None:
        self._now = now
        self._stops = stops

    def what_if(self, /, node: Node | str, value: Any = None, *, name: str | None = None, **attributes: Any) -> Change:
        """Begin a run in which a node has another value, or its operation another attribute.

        Nodes that depend on it are recomputed at once if they have run, the others when they are run. The run before is
        kept: `use` goes back to it, `compare` compares with it, `drop` forgets it.

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
            When an operation that is recomputed fails; the debugger then stands before it.
        """
        node = self._now.node(node)
        if (value is None) == (not attributes):
            raise UsageError("a what-if takes either a value or attributes of the operation")
        op = self._altered(node, attributes) if attributes else None
        prepared = self._now.tape.prepared
        prepared = with_value(prepared, node, value) if op is None else with_op(prepared, node, op)
        return self._begin(prepared, node, name)

    def take_back(self, node: Node | str) -> None:
        """Take a what-if back: begin a run in which the node has its own value again, computed or fed.

        Raises
        ------
        NotFoundError
            When there is no such node in the run, or it was not set by hand.
        GraphnnError
            When an operation that is recomputed fails; the debugger then stands before it.
        """
        now = self._now
        node = now.node(node)
        prepared = now.tape.prepared
        if node not in prepared.overridden:
            raise NotFoundError(f'"{node.title}" is not overridden in the run "{now.run.name}"')
        self._begin(without(prepared, node), node, None, taken_back=True)

    def use(self, name: str) -> None:
        """Go to a run that was kept, at the same position.

        Raises
        ------
        NotFoundError
            When there is none of that name.
        GraphnnError
            When an operation that is computed again fails; the debugger then stands before it.
        """
        now = self._now
        now.run = now.kept(name)
        now.stale.clear()
        now.error = ""
        self._recompute(now.computed[: now.position])
        self._stops.report()

    def drop(self, name: str) -> None:
        """Forget a kept run.

        Raises
        ------
        NotFoundError
            When there is none of that name.
        UsageError
            When it is the one that the debugger is in.
        """
        now = self._now
        run = now.kept(name)
        if run is now.run:
            use = call("use", "…", quoted=False)
            raise UsageError(f'"{name}" is the current run: go to another one first, {use}', calls=(use,))
        for other in now.runs.values():
            if other.before is run:
                other.before = run.before
        run.tape.forget()
        del now.runs[name]
        run.tape.close()

    @property
    def runs(self) -> dict[str, list[Node]]:
        """The runs that are kept, by name, with the nodes that are overridden in each."""
        key = self._now.places.__getitem__
        return {name: sorted(run.tape.prepared.overridden, key=key) for name, run in self._now.runs.items()}

    def _altered(self, node: Node, attributes: Mapping[str, Any]) -> Op:
        undefined = ", which is not defined here" if node.op.is_unknown else ""
        if undefined or not self._now.is_operation(node):
            raise UsageError(f'"{node.title}" is {with_article(node.op.name)}{undefined}: give it a value')
        unknown = [name for name in attributes if name not in node.op.attribute_names]
        if unknown:
            hint = near(unknown[0], node.op.attribute_names)
            raise UsageError(f'"{node.title}" ({node.op.name}) has no attribute "{unknown[0]}".{hint}')
        return replace(self._now.tape.prepared.declared_op_of(node), **attributes)  # type: ignore[type-var]

    def _begin(self, prepared: Prepared, node: Node, name: str | None, taken_back: bool = False) -> Change:
        now = self._now
        if name is not None and run_name(name) in now.runs:
            raise NotFoundError(f'there is already a run "{name}"')
        place = now.places[node]
        dependent = now.dependent(place, prepared)
        tape = now.tape.branch(prepared, {place, *dependent})
        before = now.run
        run = Run(name or now.new_name("what-if"), tape, before)
        run.warned = None if before.warned in {place, *dependent} else before.warned
        now.enter(run)
        computed = prepared.binding.forwards[place] is not None
        anew = [place] * computed + dependent
        done = [i for i in anew if now.ranks[i] < now.position]
        later = [now.order[i] for i in anew[len(done) :]]
        now.stale |= {waiting for waiting in later if now.ranks[now.places[waiting]] < now.furthest}
        now.error = ""
        self._recompute(done, heed=True)
        anew_now, count = [now.order[i] for i in done], len(now.computed)
        change = Change(now.run.name, node, anew_now, later, count, taken_back)
        now.say(str(change))
        for loop, nodes in decided_by_values(now.graph).items():
            if node in ancestors(nodes):
                kept = "side that it took" if takes_a_side(now.graph, loop) else "number of iterations that it made"
                now.say(f"{loop} keeps to the {kept} before")
        self._stops.report()
        return change

    def _recompute(self, places: list[int], heed: bool = False) -> None:
        now = self._now
        for i, place in enumerate(places):
            try:
                step = now.tape.at(place)
                if heed:
                    self._stops.heed_guard(step)
            except (GraphnnError, KeyboardInterrupt) as error:
                if isinstance(error, GraphnnError):
                    now.fail(error)
                now.position = now.ranks[place]
                now.stale |= {now.order[later] for later in places[i:]}
                self._stops.report()
                raise
