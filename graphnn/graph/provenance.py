"""Where nodes are being made: the scope, the user's line and the node that they are made for.

Places lie in a context variable, so no thread and no asyncio task makes nodes in the scope that another one opened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import ref

from ..errors import UsageError
from .scopes import abandoned

if TYPE_CHECKING:
    from ..origin import Origin
    from .graph import Graph
    from .node import Node
    from .scopes import Scope


class _Leaving:
    """The ``__exit__`` of a place, which lets the place see whether its ``with`` block is still there.

    A ``with`` statement holds what it is to call at its end, and nothing else holds that. An interrupt may come between
    the entering and the block, or between the block and the leaving: then the end was never told, but it is gone.
    """

    def __get__(self, place: Provenance | None, kind: type[Provenance]) -> Callable[..., None]:
        if place is None:
            return kind._leave  # an ExitStack asks the class
        end = partial(place._leave)
        place._end = ref(end)
        return end


class Provenance:
    """A context in which the nodes of one graph are made; entered once.

    Attributes
    ----------
    graph : Graph
    scope : Scope or None
        That nodes are made in; None at the top of the graph.
    origin : Origin or None
        The line that is said to make them; None: the user's innermost.
    twin : Node or None
        The node that they are made for.
    """

    __slots__ = ("_end", "_find", "_left", "_new", "_others", "_outer", "graph", "origin", "scope", "twin")

    def __init__(
        self,
        graph: Graph,
        find: Callable[[Scope | None], tuple[Scope | None, bool]],
        origin: Origin | None = None,
        twin: Node | None = None,
    ) -> None:
        self.graph = graph
        self.scope: Scope | None = None
        self.origin, self.twin = origin, twin
        # Seeds the scope around, returns the scope, and whether it is new.
        self._find: Callable[[Scope | None], tuple[Scope | None, bool]] | None = find
        self._new = False
        self._end: ref[Any] | None = None
        self._left = False
        self._outer: Provenance | None = None  # the one that was open before
        self._others: Provenance | None = None  # the innermost of those that are of another graph

    def __enter__(self) -> Self:
        find, self._find = self._find, None
        if find is None:
            raise UsageError("a scope is opened by a with statement of its own: ask the graph for another")
        around = current_provenance(self.graph)
        self.origin = self.origin or around.origin
        if self.twin is None:
            self.twin = around.twin
        self._lie_in(_innermost.get())
        try:
            self.scope, self._new = find(around.scope)
            _innermost.set(self)
        except BaseException:
            self._leave(*_SOME_ERROR)
            raise
        return self

    __exit__ = _Leaving()

    def _leave(self, kind: object, error: object, traceback: object) -> None:
        # A generator may be closed late, where others are open: those stay so. What is no longer there goes as well.
        inner: list[Provenance] = []
        place = _innermost.get()
        while place is not None and place is not self:
            if place._is_open():
                inner.append(place)
            place = place._outer
        if place is self:
            for around, other in zip([self._outer, *reversed(inner)], reversed(inner), strict=False):
                other._lie_in(around)
            _innermost.set(inner[0] if inner else self._outer)
        self._left = True
        if error is not None and self._new and self.scope is not None:
            abandoned(self.graph, self.scope)

    def _lie_in(self, outer: Provenance | None) -> None:
        self._outer = outer
        self._others = outer if outer is None or outer.graph is not self.graph else outer._others

    def _is_open(self) -> bool:
        # What was left is open all the same for a task that was begun inside.
        return self._left or (end := self._end) is None or end() is not None


class ScopeProvenance(Provenance):
    """A place that is entered for its scope."""

    __slots__ = ()

    def __enter__(self) -> Scope:  # type: ignore[override]
        scope = super().__enter__().scope
        assert scope is not None
        return scope


_SOME_ERROR = None, True, None
_innermost: ContextVar[Provenance | None] = ContextVar("graphnn_provenance", default=None)


_TOP = Provenance(cast("Graph", None), lambda around: (None, False))


def current_provenance(graph: Graph) -> Provenance:
    """Return the innermost place of a graph that is open here: in this thread, or in this asyncio task."""
    place = _innermost.get()
    if place is None:
        return _TOP
    if place.graph is graph and (end := place._end) is not None and end() is not None:
        return place  # as nearly always
    while place is not None and not place._is_open():
        place = place._outer
        _innermost.set(place)
    while place is not None and not (place.graph is graph and place._is_open()):
        place = place._outer if place.graph is graph else place._others
    return _TOP if place is None else place
