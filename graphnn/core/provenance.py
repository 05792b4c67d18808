"""Provenance: the scope, the user's line and the twin that new nodes get.

The open provenances are a linked list in a context variable, so no thread and no asyncio task makes nodes in a scope
that another one opened.

An interrupt (Ctrl-C) may fall between any two bytecodes. Four mechanisms exist only for that. A node exists once it is
in ``Graph._begun``; if its entry into the tables is cut short, whoever looks next redoes it (`Graph._finish`). A
``with`` block that is cut short before or after its body never calls its exit; `_Exit` lets us see that, and the
provenance no longer counts (`Provenance._counts`). A new scope is forgotten if its block fails before a node was made
in it, so that its name is free for the next try; a thread that was inside brings it back (`scopes.forget`,
`scopes.bring_back`). NumPy's warnings are switched off in a copy of the context, so nothing needs to be switched back
on (`quiet.quietly`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import ref

from ..errors import UsageError
from .scopes import forget

if TYPE_CHECKING:
    from .._util.source_location import Origin
    from .graph import Graph
    from .node import Node
    from .scopes import Scope

    _Find = Callable[[Scope | None], tuple[Scope | None, bool]]
    """Takes the scope around, returns the scope and whether it is new."""


class _Exit:
    """The ``__exit__`` of a provenance, which shows whether its ``with`` block still exists.

    ``with`` evaluates ``provenance.__exit__`` once and holds the result until the block ends. We hand out a fresh
    object and keep only a weak reference to it: if that is dead and `_leave` never ran, an interrupt fell between
    entering and leaving, and this provenance no longer counts.
    """

    def __get__(self, provenance: Provenance | None, kind: type[Provenance]) -> Callable[..., None]:
        if provenance is None:
            return kind._leave  # an ExitStack asks the class
        end = partial(provenance._leave)
        provenance._end = ref(end)
        return end


class Provenance:
    """A context manager: the scope, origin and twin of the nodes of one graph made inside. It is entered only once.

    Attributes
    ----------
    graph : Graph
    scope : Scope or None
        The scope of the nodes; None at the top of the graph.
    origin : Origin or None
        The line that made them; None for the user's innermost line.
    twin : Node or None
        The node that they are made for.
    """

    __slots__ = ("_end", "_find", "_left", "_new", "_outer", "graph", "origin", "scope", "twin")

    def __init__(self, graph: Graph, find: _Find, origin: Origin | None = None, twin: Node | None = None) -> None:
        self.graph = graph
        self.scope: Scope | None = None
        self.origin, self.twin = origin, twin
        self._find: _Find | None = find
        self._new = False
        self._end: ref[Any] | None = None
        self._left = False
        self._outer: Provenance | None = None  # the one that was open when this one was entered

    def __enter__(self) -> Self:
        find, self._find = self._find, None
        if find is None:
            raise UsageError("each with statement needs a scope of its own: ask the graph for another")
        around = current_provenance(self.graph)
        self.origin = self.origin or around.origin
        if self.twin is None:
            self.twin = around.twin
        self._outer = _innermost.get()
        try:
            self.scope, self._new = find(around.scope)
            _innermost.set(self)
        except BaseException as error:
            self._leave(None, error, None)
            raise
        return self

    __exit__ = _Exit()

    def _leave(self, kind: object, error: object, traceback: object) -> None:
        # Provenances entered later may still be open when this one is left (a generator closed late). Keep those, drop
        # the dead ones, unlink this one.
        inner: list[Provenance] = []
        provenance = _innermost.get()
        while provenance is not None and provenance is not self:
            if provenance._counts():
                inner.append(provenance)
            provenance = provenance._outer
        if provenance is self:
            around = self._outer
            for other in reversed(inner):
                other._outer = around
                around = other
            _innermost.set(around)
        self._left = True
        if error is not None and self._new and self.scope is not None:
            forget(self.graph, self.scope)

    def _counts(self) -> bool:
        """Return whether its ``with`` block was not cut short by an interrupt."""
        # One that was left counts: an asyncio task begun inside the block has copied the context and goes on there.
        return self._left or (end := self._end) is None or end() is not None


class ScopeProvenance(Provenance):
    """A provenance whose ``with`` statement gives the scope."""

    __slots__ = ()

    def __enter__(self) -> Scope:  # type: ignore[override]
        scope = super().__enter__().scope
        assert scope is not None
        return scope


_innermost: ContextVar[Provenance | None] = ContextVar("graphnn_provenance", default=None)


_TOP = Provenance(cast("Graph", None), lambda around: (None, False))


def current_provenance(graph: Graph) -> Provenance:
    """Return the innermost open provenance of a graph in this thread or asyncio task."""
    provenance = _innermost.get()
    if provenance is None:
        return _TOP
    if provenance.graph is graph and (end := provenance._end) is not None and end() is not None:
        return provenance  # nearly always
    while provenance is not None and not provenance._counts():  # forget what an interrupt cut short
        provenance = provenance._outer
        _innermost.set(provenance)
    while provenance is not None and not (provenance.graph is graph and provenance._counts()):  # go outwards
        provenance = provenance._outer
    return _TOP if provenance is None else provenance
