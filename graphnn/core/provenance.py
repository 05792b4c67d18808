"""Provenance: the scope, the user's line and the twin that new nodes get.

Those that are open stand in a tuple in a context variable, so no thread and no asyncio task makes nodes in a scope that
another one opened. They are closed as ``with`` closes them, by Ctrl-C too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Self, cast

from ..errors import UsageError
from .scopes import forget

if TYPE_CHECKING:
    from .._util.source_location import Origin
    from .graph import Graph
    from .node import Node
    from .scopes import Scope

    _Find = Callable[[Scope | None], tuple[Scope | None, bool]]
    """Takes the scope around, returns the scope and whether it is new."""


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

    __slots__ = ("_around", "_find", "_new", "graph", "origin", "scope", "twin")

    def __init__(self, graph: Graph, find: _Find, origin: Origin | None = None, twin: Node | None = None) -> None:
        self.graph = graph
        self.scope: Scope | None = None
        self.origin, self.twin = origin, twin
        self._find: _Find | None = find
        self._new = False
        self._around: tuple[Provenance, ...] = ()  # those that were open when this one was entered

    def __enter__(self) -> Self:
        find, self._find = self._find, None
        if find is None:
            raise UsageError("each with statement needs a scope of its own: ask the graph for another")
        around = current_provenance(self.graph)
        self.origin = self.origin or around.origin
        if self.twin is None:
            self.twin = around.twin
        self.scope, self._new = find(around.scope)
        self._around = _open.get()
        try:
            _open.set((*self._around, self))
        except BaseException as error:  # Ctrl-C is heard at the end of a call, and `with` does not know of us yet
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        opened = _open.set(self._around).old_value  # at once, since Ctrl-C is heard at the end of a call
        if opened != (*self._around, self):
            _open.set(self._without(() if opened is Token.MISSING else opened, error))
        if error is not None and self._new and self.scope is not None:
            forget(self.graph, self.scope)

    def _without(self, opened: tuple[Provenance, ...], error: object) -> tuple[Provenance, ...]:
        """Return those that stay open, where this one is not the innermost, or is left where it was not entered."""
        if self not in opened:
            return opened
        place = opened.index(self)
        # A generator may be closed late; those that were entered later stay open. Other errors end them, too: Ctrl-C
        # may come before `with` has told them.
        late = error is None or isinstance(error, GeneratorExit)
        return opened[:place] + (opened[place + 1 :] if late else ())


class ScopeProvenance(Provenance):
    """A provenance whose ``with`` statement gives the scope."""

    __slots__ = ()

    def __enter__(self) -> Scope:  # type: ignore[override]
        scope = super().__enter__().scope
        assert scope is not None
        return scope


_open: ContextVar[tuple[Provenance, ...]] = ContextVar("graphnn_provenance", default=())
"""From the outermost to the innermost."""


_TOP = Provenance(cast("Graph", None), lambda around: (None, False))


def current_provenance(graph: Graph) -> Provenance:
    """Return the innermost open provenance of a graph in this thread or asyncio task."""
    for provenance in _open.get()[::-1]:
        if provenance.graph is graph:
            return provenance
    return _TOP
