"""What comes along when nodes are copied or saved: updates, replacements in evaluation, labels, known derivatives."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..core import labels_of
from ..core.fetches import ancestors
from ..core.graph_tables import Derivatives, Table
from ..errors import GraphnnError

if TYPE_CHECKING:
    from ..core import Graph, Node
    from ..core.graph_tables import Seeds


def partners(graph: Graph, nodes: Container[Node]) -> set[Node]:
    """Return what is copied along with nodes: the updates that belong to them, and their replacements in evaluation."""
    moved = [(at, part) for (parameter, at), node in graph.advances.items() for part in (parameter, node)]
    return {other for node, other in [*moved, *graph.evaluation.items()] if node in nodes}


def with_partners(nodes: set[Node]) -> set[Node]:
    """Return `nodes`, their `partners`, and all ancestors."""
    while not (others := partners(next(iter(nodes)).graph, nodes)) <= nodes:
        nodes = nodes | ancestors(others)
    return nodes


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


def copy_labels(source: Graph, target: Graph, copies: Mapping[Node, Node], operand: Any = None) -> None:
    """Give the nodes of a copy the labels that they have in another graph.

    What comes in for a node, as `operand` says it, takes over its labels. Where a size is another, they do not fit.
    """
    for key, labels in source.labels.items():
        if isinstance(key, tuple):
            node = copies.get(key[0], copies.get(key[0] if operand is None else operand(None, key[0])))
            if node is None:
                continue
            key = node, key[1]
        with suppress(GraphnnError):
            target.labels[key] = labels
    if source.labels:  # what was set for a node that stayed behind, or for a dimension that is called otherwise
        for node, copy in copies.items():
            for axis in range(0 if copy.inputs else min(node.ndim, copy.ndim)):
                found = labels_of(node, axis)
                if found is not None and labels_of(copy, axis) is None:
                    with suppress(GraphnnError):
                        target.labels[copy, axis] = found


def copy_derivatives(source: Graph, target: Graph, copies: Mapping[Node, Node]) -> None:
    """Let a graph remember the derivatives of another one, as far as their nodes and scopes have copies in it."""
    for backwards, given, (root, of) in derivatives_among(source, copies, target.scopes):
        known = target.cotangents if backwards else target.tangents
        known[tuple([(copies[a], None if b is None else copies[b]) for a, b in given])] = Derivatives(
            target.scopes[root.path], Table({copies[node]: copies[derivative] for node, derivative in of.items()})
        )
