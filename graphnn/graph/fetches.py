"""Fetches: nodes and names in lists, tuples and dicts, resolved to nodes of one graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import GraphError, UsageError
from .forms import flatten
from .graph import Graph
from .node import Node


def resolve(
    fetches: Any, graph: Graph | None = None, others: Iterable[Any] = ()
) -> tuple[Graph, list[Node], Callable[[Sequence[Any]], Any]]:
    """Return the graph and the nodes of fetches, and a function that rebuilds their form.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them
        Names can be looked up only if the graph is known.
    graph : Graph, optional
        Where names are looked up; by default the graph of the first node in `fetches` or `others`.
    others : iterable
        More nodes from which the graph may be known, such as the keys of a feed.

    Returns
    -------
    graph : Graph
    nodes : list of Node
    rebuild : callable
        Takes one result per node and returns them in the form of `fetches`.

    Raises
    ------
    UsageError
        When a fetch is neither a node nor a name, or a name is given and no graph is known.
    GraphError
        When the nodes belong to two graphs.
    """
    if graph is not None and not isinstance(graph, Graph):
        raise UsageError(f"graph= is a graph, not {type(graph).__name__}")
    leaves, rebuild = flatten(fetches)
    for thing in (*leaves, *others):
        if graph is None and isinstance(thing, Node):
            graph = thing.graph
    if graph is None:
        if any(isinstance(leaf, str) for leaf in leaves):
            raise UsageError(f"{leaves[0]!r} is a name, and no graph is known: give a node, or graph=")
        what = _not_a_fetch(leaves[0]) if leaves else "an empty form"
        raise UsageError(f"a fetch is a node or its name, in any form of lists, tuples and dicts; got {what}")
    nodes = []
    for leaf in leaves:
        if isinstance(leaf, str):
            leaf = graph[leaf]
        if not isinstance(leaf, Node):
            raise UsageError(f"a fetch is a node or its name, not {_not_a_fetch(leaf)}")
        if leaf.graph is not graph:
            raise GraphError(
                f'fetches of two graphs: "{leaf.name}" is in "{leaf.graph.name}", others in another, "{graph.name}"'
            )
        nodes.append(leaf)
    return graph, nodes, rebuild


def _not_a_fetch(thing: Any) -> str:
    """Return the class of an object that is not a fetch, and what the class says to fetch instead."""
    instead = getattr(type(thing), "instead_of_fetch", "")
    return f"{type(thing).__name__}{'; ' * bool(instead)}{instead}"


def ancestors(nodes: Iterable[Node]) -> set[Node]:
    """Return `nodes` and all nodes that they depend on."""
    found: set[Node] = set(nodes)
    waiting = list(found)
    while waiting:
        for operand in waiting.pop().inputs:
            if operand not in found:
                found.add(operand)
                waiting.append(operand)
    return found


def ordered(nodes: Iterable[Node]) -> list[Node]:
    """Return `nodes` and all nodes that they depend on, in the order in which they were made."""
    return sorted(ancestors(nodes), key=lambda node: node.index)
