"""`compile`: fetches and updates as one step that either happens whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from typing import Any, NoReturn

from ..errors import UsageError, ValueRangeError
from ..graph import Array, Graph, Node, sealed, told_where
from ..graph.fetches import ancestors, resolve
from .interpreter import Feed, Observer, Prepared, checked_guard, collect, handed_out, prepare
from .plan import Plan

_BACKENDS = ("numpy", "interpreter")
_MOST_PLANS = 16


class Compiled:
    """A step made by `compile`: call it with a feed.

    Attributes
    ----------
    graph : Graph
    fetches : list of Node
    updates : dict of Node to Node
        With the counters of the random nodes that are read.
    """

    def __init__(
        self, fetches: Any, updates: Any, backend: str, guard: str | None, graph: Graph | None, threads: int = 1
    ) -> None:
        if backend not in _BACKENDS:
            raise ValueRangeError(f'unknown backend "{backend}" (must be one of {", ".join(_BACKENDS)})')
        if updates is not None and not isinstance(updates, Mapping):
            hint = "; an optimizer's are optimizer.updates(loss)" if hasattr(updates, "updates") else ""
            raise UsageError(f"updates are {{parameter: node of its next value}}, not {type(updates).__name__}{hint}")
        self.graph: Graph
        self.graph, self.fetches, self._rebuild = resolve(fetches, graph, updates or ())
        self.updates = {} if updates is None else self._with_advances(updates)
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ValueRangeError(f"threads= is a number from 1 up, not {threads!r}")
        self.backend = backend
        self.threads = threads
        self.guard = checked_guard(guard)
        self.observers: list[Observer] = []
        """See each call's evaluation while they are in this list."""
        self._wanted = [*self.fetches, *self.updates.values()]
        self._plans: dict[tuple[int | None, ...], Plan] = {}
        self._latest: Plan | None = None
        self._trains = any(parameter.trainable for parameter in self.updates)
        self._alone: AbstractContextManager[Any] = nullcontext()
        if self.updates:
            self._alone = updating(self.graph)

    def _with_advances(self, updates: Mapping[Any, Any]) -> dict[Node, Node]:
        checked = dict(self.graph._checked_update(parameter, node) for parameter, node in updates.items())
        read = ancestors([*self.fetches, *checked.values()])
        for counter, following in self.graph.advances.items():
            if counter in read:
                checked.setdefault(counter, following)
        return checked

    def prepared(self, feed: Feed | None = None, sizes: Mapping[str, int] | None = None) -> Prepared:
        """Return what one call would evaluate: the fetches, then the next values of what is updated.

        Raises
        ------
        GraphnnError
            As calling it would, before anything is computed.
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
            Of dimensions that no feed tells.

        Returns
        -------
        array, or list, tuple or dict of arrays
            In the form of the fetches, from before the updates.

        Raises
        ------
        ValueRangeError
            When trainable parameters are to be updated and a feed whose first dimension is a name has no rows; under
            a guard, when a node's value holds what it looks for.
        GraphnnError
            As in `run`.
        """
        with self._alone:
            return self._called(feed, sizes)

    def _called(self, feed: Feed | None, sizes: Mapping[str, int] | None) -> Any:
        if self.backend == "numpy" and self.guard is None and not self.observers:
            results = self._planned(feed, sizes)
        else:
            prepared = self.prepared(feed, sizes)
            if self.observers:
                prepared = prepared.of_its_own()
            results = handed_out(collect(prepared, self.guard, self.updates, self.observers))
        count = len(self.fetches)
        if self.updates:
            following = map(sealed, results[count:])
            # At once: no other thread sees a part of it.
            self.graph.state.update(zip(self.updates, list(following), strict=True))
        return self._rebuild(results[:count])

    def _planned(self, feed: Feed | None, sizes: Mapping[str, int] | None) -> Sequence[Array]:
        latest = self._latest
        plain = sizes is None and (feed is None or isinstance(feed, dict))
        if latest is not None and plain and (fed := latest.fitting(feed or {})) is not None:
            # At once: no update of another thread's comes in between.
            state = [*map(self.graph.state.__getitem__, latest.parameters)]
            try:
                return latest(*fed, *state)
            except Exception as error:  # noqa: BLE001 - told anew
                self._told(self.prepared(feed), error)
        prepared = self.prepared(feed, sizes)
        plan = self._latest = self._plan_of(prepared)
        try:
            return plan(*[prepared.given[node] for node in plan.given])
        except Exception as error:  # noqa: BLE001 - told anew
            self._told(prepared, error)

    def _told(self, prepared: Prepared, error: Exception) -> NoReturn:
        """Raise the error of a plan as the interpreter tells it, with node and operands."""
        collect(prepared, None, self.updates)
        raise error

    def _plan_of(self, prepared: Prepared) -> Plan:
        key = tuple([prepared.sizes.get(name) for name in prepared.program.names])
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = Plan(prepared, self.threads)
        return plan

    def plan(self, feed: Feed | None = None, sizes: Mapping[str, int] | None = None) -> Plan:
        """Return the plan for the sizes of a feed: its ``source``, and what it ``explain()``s.

        Parameters
        ----------
        feed, sizes
            As a call takes them.

        Returns
        -------
        Plan
        """
        return self._plan_of(self.prepared(feed, sizes))

    def __repr__(self) -> str:
        names = ", ".join(node.name for node in self.fetches)
        return f'<compiled step of "{self.graph.name}": {names}; {len(self.updates)} updates>'


def updating(graph: Graph) -> AbstractContextManager[Any]:
    """Return what is to be held while the state of a graph is read and then updated: others wait."""
    alone: AbstractContextManager[Any] = graph.caches.setdefault("updating", RLock())
    return alone


def _check_rows(prepared: Prepared) -> None:
    for node in prepared.program.placeholders:
        array = prepared.given[node]
        if array.size == 0 and node.shape and isinstance(node.shape[0], str) and not len(array):
            raise ValueRangeError(
                f'training on an empty batch: the feed of "{node.name}" {node.spec} has no rows; no update was made'
            )


@told_where
def compile(
    fetches: Any,
    updates: Mapping[Any, Any] | None = None,
    backend: str = "numpy",
    guard: str | None = None,
    *,
    graph: Graph | None = None,
    threads: int = 1,
) -> Compiled:
    """Return a function from a feed to the values of the fetches, that makes the updates with each call.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them
    updates : dict of Node to Node, optional
        ``{parameter: node of its next value}``, as ``optimizer.updates(loss)`` returns it. With updates, be they
        ``{}``, the counters of random nodes that are read move on by themselves; with None nothing changes, and
        dropout draws the same mask at every call.
    backend : {"numpy", "interpreter"}
        "numpy": a plan, straight-line NumPy for each set of sizes; "interpreter": node by node, as `run` does. Under a
        guard, or while a recording is attached, evaluation goes node by node, too.
    guard : {None, "nan", "finite"}
        "nan": a NaN anywhere raises before any update is made; "finite": an infinity, too. ``error.debug()`` opens
        the debugger there.
    graph : Graph, optional
        Where names are looked up, if neither fetches nor updates hold a node.
    threads : int
        How many compute what is elementwise on large arrays; to the bit the same for any number. (BLAS has threads of
        its own, and settings of its own for them.)

    Returns
    -------
    Compiled

    Raises
    ------
    ShapeError, DtypeError
        When a next value does not fit its parameter.

    Examples
    --------
    >>> g = Graph()
    >>> w = g.parameter("w", 8.0)
    >>> halve = compile(w, updates={w: w * 0.5})
    >>> float(halve()), float(halve()), float(w.value)
    (8.0, 4.0, 2.0)
    """
    return Compiled(fetches, updates, backend, guard, graph, threads)
