"""Scopes, and their counterparts in other graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._util.source_location import Origin
    from .graph import Graph
    from .node import Node

PHASES = ("forward", "backward", "update")
"""The parts of a training step, in order."""
TRIED_KINDS = ("iteration", "then", "otherwise")
"""The kinds of scopes whose nodes only show what a loop or a branch computes."""


@dataclass(slots=True)
class Scope:
    """A region of the graph: a layer's, a composition's, a transformation's, or the user's own.

    Attributes
    ----------
    path : str
        Its whole name, unique among nodes and scopes.
    kind : str
        What opened it: the class of a layer ("Dense"), a composition ("softmax"), or "" for the user.
    origin : Origin
        The line that opened it; for a layer, the line that constructed the layer.
    parent : Scope or None
    phase : str
        ``"forward"``, ``"backward"`` or ``"update"``.
    result : Node or None
        The last node made in it.
    """

    path: str
    kind: str
    origin: Origin
    parent: Scope | None
    phase: str
    result: Node | None = None


def mirrored(graph: Graph, scope: Scope | None, root: Scope | None = None) -> Scope | None:
    """Return this graph's counterpart of a scope; make it, and those around it, if need be.

    Parameters
    ----------
    scope : Scope or None
        Of this graph or another; None is the top of the graph.
    root : Scope, optional
        The scope of this graph that stands for the top of the other.

    Returns
    -------
    Scope or None
    """
    missing = []
    with graph.building:
        while scope is not None:
            path = scope.path if root is None else f"{root.path}/{scope.path}"
            if path in graph.scopes:
                root = graph.scopes[path]
                break
            missing.append((path, scope))
            scope = scope.parent
        for path, like in reversed(missing):
            phase = like.phase if root is None or root.phase == "forward" else root.phase
            root = graph._add_scope(path, like.kind, phase, like.origin, root)
    return root


def bring_back(graph: Graph, scope: Scope | None) -> None:
    """Register a scope again if another thread forgot it while this one was making nodes in it."""
    while scope is not None and scope.result is None:
        graph.scopes.setdefault(scope.path, scope)
        scope = scope.parent


def forget(graph: Graph, scope: Scope) -> None:
    """Forget a scope in which no node was made, so that its name is free for the next try."""
    with graph.building:
        if scope.result is None and graph.scopes.get(scope.path) is scope:
            del graph.scopes[scope.path]
            # Both counters of `Graph._free`: "dense_" (numbered) and "dense". Without a counter it searches anew.
            base = scope.path.rstrip("0123456789")
            graph._counters.pop(base, None)
            graph._counters.pop(base.removesuffix("_"), None)
