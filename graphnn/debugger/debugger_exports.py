"""What a debugger hands on: traces, pages, comparisons, updates."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from ..compiler.compile import updating
from ..control_flow.unrolled_run import before_unrolling, graph_before
from ..core.arrays import checked_value
from ..core.attributes import whole
from ..errors import UsageError
from ..runtime.evaluation_loop import complete_stop, guard_error
from .advice import RESTART, call
from .debugger_state import Progress, run_name
from .diff.compared_runs import Side
from .diff.diff_arguments import checked_names, checked_tolerance
from .diff.lockstep import compare_runs
from .iteration_traces import with_loops
from .traces import KEEP, Beside, Trace, kept_of, page_of
from .what_if_runs import given_before

if TYPE_CHECKING:
    from ..io.paths import StrPath
    from .diff.differences import Comparison
    from .value_cache import Tape


class Results:
    """What has run, for others."""

    def __init__(self, now: Progress) -> None:
        self._now = now

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
        NotFoundError
            When there is no such run.
        UsageError, ValueRangeError
            When a name is not text, or a tolerance is negative.
        """
        now = self._now
        tolerance = checked_tolerance(rtol, atol)
        called = checked_names(names) or ((run, now.run.name) if run_name(run) != now.run.name else ("a", "b"))
        one, other = self._side(now.kept(run).tape, called[0]), self._side(now.tape, called[1])
        return compare_runs(one, other, tolerance)

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
        NotFoundError
            When there is no such run.
        ValueRangeError
            When `keep` is negative.
        """
        now = self._now
        most = whole("keep=", keep, 0)
        tape = now.tape if run is None else now.kept(run).tape
        ran, stopped, error = now.reached(tape)
        return Trace(
            tape.prepared,
            [kept_of(tape.at(place), most) for place in range(ran)],
            [tape.times.get(place, 0.0) for place in range(ran)],
            now.updates,
            stopped=stopped,
            error=error,
            sources=now.sources,
            guard=now.guard,
        )

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
            When the file cannot be written.
        """
        now = self._now
        before = now.run.before
        if before is None:
            ran = self.trace()
            # A page has iterations of its own.
            return page_of(ran if ran.prepared.overridden else with_loops(ran), path)
        here, then = now.tape.prepared, before.tape.prepared
        changed = [
            place
            for node, place in now.places.items()
            if here.given.get(node) is not then.given.get(node)
            or here.declared_op_of(node) is not then.declared_op_of(node)
        ]
        places = {*changed, *[later for place in changed for later in now.dependent(place, here)]}
        anew = [now.order[place] for place in sorted(places) if here.binding.forwards[place] is not None]
        recomputed = [node for node in anew if now.is_known(node)]
        return page_of(Beside((self.trace(before.name), self.trace()), (before.name, now.run.name), recomputed), path)

    def commit(self) -> None:
        """Make the updates, as the compiled step would have: with the values of this run.

        Raises
        ------
        UsageError
            When there are none, not all operations have run, or the state has changed since the debugger was opened.
        ValueRangeError
            When the guard of the compiled step refuses a value.
        """
        now = self._now
        if not now.updates:
            raise UsageError("there are no updates to make: gn.debug(step, feed) of a compiled step has some")
        if not now.finished:
            resume = call("resume")
            left = len(now.computed) - now.position
            raise UsageError(f"{left} operations are yet to run: {resume} first", calls=(resume,))
        following = {parameter: now.known(node).value.copy() for parameter, node in now.updates.items()}
        checked = {node: checked_value(node, value) for node, value in following.items()}
        given = given_before(now.tape.prepared)
        if now.guard is not None:
            for place in range(len(now.order)):
                if (refused := guard_error(now.guard, now.tape.at(place), now.tape.prepared)) is not None:
                    complete_stop(refused, now.updates, now.guard)
                    raise refused
        graph = graph_before(now.graph)
        with updating(graph):
            for parameter in dict.fromkeys([*now.updates, *now.order]):
                is_stored = parameter.op.is_parameter
                if is_stored and graph.state[before_unrolling(parameter)] is not given.get(parameter):
                    has = f'"{parameter.title}" has another value'
                    raise UsageError(f"the state has changed since this run began ({has}): {RESTART}", calls=(RESTART,))
            graph.state.update({before_unrolling(parameter): value for parameter, value in checked.items()})

    def _side(self, tape: Tape, name: str) -> Side:
        prepared = tape.prepared
        ran, stopped, _ = self._now.reached(tape)
        where = None if stopped is None else self._now.order[stopped]
        return Side(name, prepared.program, islice(tape.steps(), ran), prepared.sizes, ran, where, prepared)
