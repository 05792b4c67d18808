"""The derivatives that a graph remembers, so that no node is made twice."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from .graph import Graph
    from .node import Node
    from .scopes import Scope


class Derivatives(NamedTuple):
    """What the same cotangents, or tangents, have led to so far; kept, so that no node is made twice.

    Attributes
    ----------
    root : Scope
        In which the nodes are made.
    of : dict of Node to Node
        The cotangent, or the tangent, of each node that has been reached.
    """

    root: Scope
    of: dict[Node, Node]


Seeds: TypeAlias = "tuple[tuple[Node, Node | None], ...]"
"""What is differentiated, each with its cotangent (None: ones); or what moves, each with its tangent."""


def derivatives_among(
    graph: Graph, nodes: Container[Node], scopes: Container[str]
) -> Iterator[tuple[bool, Seeds, Derivatives]]:
    """Yield what has been differentiated, as far as it stands among these nodes and scopes.

    Yields
    ------
    backwards : bool
        Whether it is of `cotangents`; else of `tangents`.
    given : tuple of (Node, Node or None)
    derivatives : Derivatives
    """
    for backwards, known in ((True, graph.cotangents), (False, graph.tangents)):
        for given, (root, of) in known.items():
            if root.path in scopes and all(a in nodes and (b is None or b in nodes) for a, b in given):
                kept = {node: other for node, other in of.items() if node in nodes and other in nodes}
                yield backwards, given, Derivatives(root, kept)
