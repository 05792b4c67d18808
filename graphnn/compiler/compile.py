"""`compile`: fetches and updates as one step that happens completely or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.text import quoted, short_name
from ..core import is_float
from ..core.attributes import whole
from ..core.fetches import resolve
from ..core.graph_tables import checked_update
from ..errors import GraphnnError, GraphnnWarning, UsageError, ValueRangeError, restated
from ..runtime.evaluation_loop import Observer, Prepared, arrays_for_caller, collect
from ..runtime.feed import Feed, prepare
from ..runtime.guard import checked_guard
from ..runtime.state_updates import with_advances
from .backends import Backend, Placing, backend_of, chosen
from .plan_cache import PlanCache, Sizes
from .sparse_updates import Tables
from .thresholds import Settings

if TYPE_CHECKING:
    from ..core import Array, Graph, Node
    from .plan import Plan

_USUAL, _FIRST = Settings(), Placing()


class Compiled:
    """A step made by `compile`: call it with a feed.

    Attributes
    ----------
    graph : Graph
    fetches : list of Node
    rebuild : callable
        Puts the values of the fetches into the form in which they were asked for.
    updates : mapping of Node to Node
        Including those that belong to nodes that are evaluated, such as the counters of random nodes.
    """

    def __init__(
        self,
        fetches: Any,
        updates: Any = None,
        backend: str | None = None,
        guard: str | None = None,
        graph: Graph | None = None,
        settings: Settings = _USUAL,
        placing: Placing = _FIRST,
    ) -> None:
        backend = chosen(backend)
        by = backend_of(backend)
        if placing.asked() and not by.is_placed:
            raise UsageError(
                f'{placing.asked()[0]} is for backend="jax": with "{backend}", a step runs in this process'
            )
        if updates is not None and not isinstance(updates, Mapping):
            hint = "; an optimizer's are optimizer.updates(loss)" if hasattr(updates, "updates") else ""
            raise UsageError(f"updates are {{parameter: node of its next value}}, not {type(updates).__name__}{hint}")
        self.graph: Graph
        self.graph, self.fetches, self.rebuild = resolve(fetches, graph, updates or ())
        made: dict[Node, Node] = {}
        checked: dict[Node, Node] = {}
        if updates is not None:
            checked = dict(checked_update(self.graph, parameter, node) for parameter, node in updates.items())
            made = with_advances(self.graph, self.fetches, checked)
        self.updates: Mapping[Node, Node] = MappingProxyType(made)
        self.backend = backend
        threads = whole("threads=", settings.threads, 1)
        self.settings = settings if threads is settings.threads else replace(settings, threads=threads)
        self.guard = checked_guard(guard)
        self._is_planned = backend != "interpreter" and (guard is None or by.guards)
        self.observers: list[Callable[[], Observer | None]] = []
        """Called at the start of each call; each returns an observer of its evaluation, or None."""
        self._wanted = [*self.fetches, *self.updates.values()]
        self._plans = PlanCache()
        self._planner = by(list(self.updates), self.settings, Tables(self.updates), guard=self.guard, placing=placing)
        self._planner.check(self._wanted)
        self._planning = RLock()
        self._latest: Plan | None = None
        self._whole: Plan | None = None
        # A batch without rows has no gradients, and no statistics: those come with the nodes, and not from the caller.
        self._trains = any(p.trainable or (p not in checked and is_float(p.dtype)) for p in self.updates)
        # What each call needs, read at once.
        self._for_calls = made, self.rebuild, self.graph.state, updating(self.graph)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a private attribute. Any other is an error, as it would change nothing once the step is made."""
        if name[0] != "_" and hasattr(self, "_for_calls"):  # `vars` would make each call slower
            raise UsageError(
                f"a compiled step never changes: its {name} cannot be set. gn.compile(fetches, …) makes another one"
            )
        super().__setattr__(name, value)

    def prepared(self, feed: Feed | None = None, sizes: Mapping[str, int] | None = None) -> Prepared:
        """Return what one call would evaluate: the fetches, then the next values of what is updated.

        Raises
        ------
        GraphnnError
            As a call does, before anything is computed.
        """
        prepared = prepare(self.graph, self._wanted, feed, sizes)
        if self._trains:
            _check_rows(prepared)
        return prepared

    def __call__(self, feed: Feed | None = None, *, sizes: Mapping[str, int] | None = None) -> Any:
        """Evaluate the fetches, then make all updates together; if anything fails, none is made.

        May be called by several threads at once: those with updates of one graph wait for each other.

        Parameters
        ----------
        feed : mapping of Node or str to array_like
        sizes : mapping of str to int, optional
            The sizes of dimensions that no feed determines.

        Returns
        -------
        array, or list, tuple or dict of arrays
            In the form of the fetches, from before the updates.

        Raises
        ------
        ValueRangeError
            When trainable parameters or running statistics are to be updated, and a feed whose first dimension is a
            name has no rows; under a guard, when a node's value holds what it looks for.
        GraphnnError
            As in `run`.
        """
        updates, rebuild, state, alone = self._for_calls
        whole = self._whole
        if not updates:
            results = None if whole is None else self._at_once(whole, feed, sizes, state)
            return rebuild(self._results(feed, sizes, state) if results is None else results)
        with alone:
            results = None if whole is None else self._at_once(whole, feed, sizes, state)
            if results is not None:
                return rebuild(results)
            results = self._results(feed, sizes, state)
            following = _sealed(results[-len(updates) :])
            # At once, so that no other thread sees a part of it; the nodes were checked when the step was compiled.
            dict.update(state, zip(updates, following))  # noqa: B905 - strict= costs as much as a small operation
        return rebuild(results[: -len(updates)])

    def _at_once(
        self, whole: Plan, feed: Feed | None, sizes: Mapping[str, int] | None, state: Mapping[Node, Array]
    ) -> Sequence[Array] | None:
        """Do the whole step at once, updates included; return None, with nothing done, where that does not apply."""
        if sizes is not None or self.observers:
            return None
        try:
            results = whole.whole(feed, state)
            whole.calls += results is not None
            return results
        except Exception as error:  # noqa: BLE001 - raised again with its node
            raise_as_interpreter(error, self.prepared(feed), self.updates, self.guard)

    def _results(
        self, feed: Feed | None, sizes: Mapping[str, int] | None, state: Mapping[Node, Array]
    ) -> Sequence[Array]:
        """Return the values of the fetches and of the updates."""
        observers = [found for ask in self.observers if (found := ask()) is not None] if self.observers else ()
        latest = self._latest
        if latest is None or sizes is not None or observers:
            return self._prepared_results(feed, sizes, observers)
        fed = latest.fitting({} if feed is None else feed)
        if fed is None:
            return self._prepared_results(feed, sizes, observers)
        latest.calls += 1
        try:
            # The state is read at once: no update of another thread's comes in between.
            return latest.of(fed + latest.read(state))
        except Exception as error:  # noqa: BLE001 - raised again with its node
            raise_as_interpreter(error, self.prepared(feed), self.updates, self.guard)

    def _prepared_results(
        self, feed: Feed | None, sizes: Mapping[str, int] | None, observers: Sequence[Observer]
    ) -> Sequence[Array]:
        prepared = self.prepared(feed, sizes)
        plan = self._plan_of(prepared, demanded=False) if self._is_planned and not observers else None
        if plan is not None:
            plan.calls += 1
            try:
                return plan(*[prepared.given[node] for node in plan.given])
            except Exception as error:  # noqa: BLE001 - raised again with its node
                raise_as_interpreter(error, prepared, self.updates, self.guard)
        if observers:
            prepared = prepared.with_own_feed()
        results = arrays_for_caller(collect(prepared, self.guard, self.updates, observers))
        count = len(self.fetches)
        return [*results[:count], *[np.asarray(following, order="C") for following in results[count:]]]

    def _plan_of(self, prepared: Prepared, demanded: bool) -> Plan | None:
        """Return the plan for the sizes of a call. A new one is made if it is demanded, or due."""
        sizes = tuple([prepared.sizes.get(name) for name in prepared.program.dimension_names])
        with self._planning:
            plan = self._plans.used(sizes)
            if plan is None and (plan := self._new_plan(prepared, sizes, demanded)) is not None:
                self._plans.keep(sizes, plan)
            if plan is not None and self._is_planned:
                if self._whole is not None and self._whole is not plan:
                    self._whole.forget()
                self._latest = plan
                self._whole = plan if plan.is_whole else None
        return plan

    def _new_plan(self, prepared: Prepared, sizes: Sizes, demanded: bool) -> Plan | None:
        try:
            plan = self._planner.known(prepared)
            if plan is None:
                recorded = self._plans.vary(sizes)
                if demanded or self._plans.is_due(sizes, self._planner.may_record(prepared)):
                    with collector_paused():
                        return self._planned(prepared, recorded)
            return plan
        except Exception as error:  # noqa: BLE001 - raised again with its node
            raise_as_interpreter(error, prepared, self.updates)

    def _planned(self, prepared: Prepared, recorded: bool = False) -> Plan:
        plan = self._planner.plan(prepared, recorded)
        if not self._planner.is_trusted():
            vars(self)["backend"] = "numpy"
            self._planner = Backend(*self._planner.asked)
        return plan

    def plan(self, feed: Feed | None = None, sizes: Mapping[str, int] | None = None) -> Plan:
        """Return the plan for the sizes of a feed: its ``source``, and what it ``explain()``s.

        It is made if need be, and kept: calls with these sizes use it from then on.

        Parameters
        ----------
        feed, sizes
            As a call takes them.

        Returns
        -------
        Plan
        """
        plan = self._plan_of(self.prepared(feed, sizes), demanded=True)
        assert plan is not None
        return plan

    def __repr__(self) -> str:
        names = ", ".join(short_name(node.name, 80) for node in self.fetches)
        return f"<compiled step of {quoted(self.graph.name)}: {names}; {len(self.updates)} updates>"


def updating(graph: Graph) -> AbstractContextManager[Any]:
    """Return the lock to hold while the state of a graph is read and then updated."""
    alone: AbstractContextManager[Any] = graph.caches.setdefault("updating", RLock())
    return alone


def _sealed(arrays: Sequence[Array]) -> list[Array]:
    """Return read-only views of a step's own arrays. Nobody can make them writeable again: their base is read-only."""
    for array in arrays:
        array.setflags(False)  # type: ignore[call-arg] # a keyword costs as much as the call
    return [array.view() for array in arrays]


def _check_rows(prepared: Prepared) -> None:
    for node in prepared.program.placeholders:
        array = prepared.given[node]
        if array.size == 0 and node.shape and isinstance(node.shape[0], str) and not len(array):
            raise ValueRangeError(
                f'training on an empty batch: the feed of "{node.name}" {node.spec} has no rows; no update was made'
            )


def compile(
    fetches: Any,
    updates: Mapping[Any, Any] | None = None,
    backend: str | None = None,
    guard: str | None = None,
    *,
    graph: Graph | None = None,
    threads: int | None = None,
    device: Any = None,
) -> Compiled:
    """Return a function from a feed to the values of the fetches, that makes the updates with each call.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    updates : dict of Node to Node, optional
        ``{parameter: node of its next value}``, as ``optimizer.updates(loss)`` returns it. With updates, be they
        ``{}``, those of ``graph.advances`` whose nodes are evaluated are made, too: the counters of random nodes move
        on, and batch norm keeps its running statistics. With None nothing changes, and dropout draws the same mask at
        every call.
    backend : {None, "native", "jax", "numpy", "interpreter"}
        "numpy": a plan, straight-line NumPy for a set of sizes, from the second call on; "native": a plan that calls
        NumPy's own loops and fused kernels without Python between them, with the same bits, for which llvmlite is
        needed; "interpreter": node by node, as `run` does; "jax": one function that XLA compiles for each set of
        sizes, on a processor, GPU or TPU, for which JAX is needed, and whose last bits are others. None takes what the
        environment variable GRAPHNN_BACKEND names, else "native" where llvmlite is installed and a test of native plans
        passes, else "numpy".

        Where sizes vary, the last 16 plans are kept. Sizes get one at their second call, unless three calls without a
        plan were in between; once 16 are kept, only if they come twice in a row among the calls without one. The other
        calls go node by node. Native plans of several sizes are made by patterns, at the latest after three calls
        without a plan, and further sizes have their plans from a pattern at their first call.

        Under a guard evaluation goes node by node, too, but for "jax"; and so do the calls that a recording keeps.
    guard : {None, "nan", "finite"}
        "nan": a NaN anywhere raises before any update is made; "finite": an infinity, too. ``error.debug()`` opens
        the debugger there.
    graph : Graph, optional
        Where names are looked up, if neither fetches nor updates hold a node.
    threads : int, optional
        How many compute what is elementwise on large arrays in a plan, and what a native plan computes by rows; None:
        one. To the bit the same for any number. Matrix products are BLAS's, which has threads of its own, and settings
        of its own for them. The interpreter computes on one thread, also under a guard, and a warning says so.
    device : str or jax.Device, optional
        With "jax", where the step runs, such as "gpu" or "cpu:1"; by default on the first device that JAX has. The
        parameters stay there from step to step, and come back when somebody reads them.

    Returns
    -------
    Compiled

    Raises
    ------
    ShapeError, DtypeError
        When a next value does not fit its parameter.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> w = g.parameter("w", 8.0)
    >>> halve = compile(w, updates={w: w * 0.5})
    >>> float(halve()), float(halve()), float(w.value)
    (8.0, 4.0, 2.0)
    """
    settings = _USUAL if threads is None else Settings(threads=threads)
    step = Compiled(fetches, updates, backend, guard, graph, settings, Placing(device))
    if step.settings.threads > 1 and not step._is_planned:
        why = "" if guard is None else ", and it evaluates under a guard"
        warnings.warn(f"threads={threads}: the interpreter computes on one thread{why}", GraphnnWarning, stacklevel=2)
    return step


def raise_as_interpreter(
    error: Exception, prepared: Prepared, updates: Mapping[Node, Node] | None = None, guard: str | None = None
) -> NoReturn:
    """Evaluate again with the interpreter, and raise its error, which names node, operands and origin.

    For an error of a compiled plan, which names none of these.

    Raises
    ------
    GraphnnError
        The interpreter's error; if it succeeds, the plan's own.
    """
    collect(prepared, guard, updates)
    if isinstance(error, (GraphnnError, Warning)):
        raise error
    raise restated(
        error,
        f'the plan of "{prepared.program.graph.name}" fails, but the interpreter does not: {type(error).__name__}: ',
        advice='; gn.compile(…, backend="interpreter") uses no plan',
    ) from error
