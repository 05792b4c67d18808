"""The derivatives that a graph remembers, so that no node is made twice."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from .graph import Graph
    from .node import Node
    from .scopes import Scope


class Derivatives(NamedTuple):
    """The derivatives made so far from the same seeds.

    Attributes
    ----------
    root : Scope
        The scope of their nodes.
    of : dict of Node to Node
        The cotangent, or the tangent, of each node that has been reached.
    """

    root: Scope
    of: dict[Node, Node]


Seeds: TypeAlias = "tuple[tuple[Node, Node | None], ...]"
"""What derivatives start from: pairs of a result and its cotangent (None for ones), or of a node and its tangent."""


def derivatives_among(
    graph: Graph, nodes: Container[Node], scopes: Container[str]
) -> Iterator[tuple[bool, Seeds, Derivatives]]:
    """Yield the derivatives of a graph, restricted to these nodes and scopes.

    Yields
    ------
    backwards : bool
        Whether they are from ``graph.cotangents``; else they are from ``graph.tangents``.
    seeds : Seeds
    derivatives : Derivatives
    """
    for backwards, known in ((True, graph.cotangents), (False, graph.tangents)):
        for seeds, (root, of) in known.items():
            if root.path in scopes and all(a in nodes and (b is None or b in nodes) for a, b in seeds):
                kept = {node: other for node, other in of.items() if node in nodes and other in nodes}
                yield backwards, seeds, Derivatives(root, kept)
