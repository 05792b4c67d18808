"""What a user asks for: nodes and names in any form, led back to one graph."""

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
    """Take a form of fetches apart.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them
        Names serve as nodes do, where the graph is known.
    graph : Graph, optional
        Where names are looked up; else the graph of the first node in `fetches` or `others`.
    others : iterable
        What else may tell the graph: the keys of a feed.

    Returns
    -------
    graph : Graph
    nodes : list of Node
    rebuild : callable
        Puts as many results into the form of `fetches`.

    Raises
    ------
    UsageError
        When a fetch is neither node nor name, or nothing tells which graph a name is of.
    GraphError
        When the nodes are of two graphs.
    """
    if graph is not None and not isinstance(graph, Graph):
        raise UsageError(f"graph= is a graph, not {type(graph).__name__}")
    leaves, rebuild = flatten(fetches)
    for thing in (*leaves, *others):
        if graph is None and isinstance(thing, Node):
            graph = thing.graph
    if graph is None:
        if any(isinstance(leaf, str) for leaf in leaves):
            raise UsageError(f"{leaves[0]!r} is a name, and nothing says of which graph: give a node, or graph=")
        what = _no_fetch(leaves[0]) if leaves else "an empty form"
        raise UsageError(f"a fetch is a node or its name, in any form of lists, tuples and dicts; got {what}")
    nodes = []
    for leaf in leaves:
        if isinstance(leaf, str):
            leaf = graph[leaf]
        if not isinstance(leaf, Node):
            raise UsageError(f"a fetch is a node or its name, not {_no_fetch(leaf)}")
        if leaf.graph is not graph:
            raise GraphError(
                f'the fetches are of two graphs: "{leaf.name}" is in "{leaf.graph.name}", not in "{graph.name}"'
            )
        nodes.append(leaf)
    return graph, nodes, rebuild


def _no_fetch(thing: Any) -> str:
    """Return what a thing is that is asked for by mistake, and what its class says is to be asked instead."""
    instead = getattr(type(thing), "instead_of_fetch", "")
    return f"{type(thing).__name__}{'; ' * bool(instead)}{instead}"


def ancestors(nodes: Iterable[Node]) -> set[Node]:
    """Return `nodes` and all that they depend on."""
    found: set[Node] = set(nodes)
    waiting = list(found)
    while waiting:
        for operand in waiting.pop().inputs:
            if operand not in found:
                found.add(operand)
                waiting.append(operand)
    return found


def with_partners(nodes: set[Node]) -> set[Node]:
    """Return `nodes` and what goes with them: what moves on their counters, and takes their place in evaluation."""
    graph = next(iter(nodes)).graph
    while True:
        tables = (graph.advances, graph.evaluating)
        partners = {other for table in tables for node, other in table.items() if node in nodes}
        if partners <= nodes:
            return nodes
        nodes = nodes | ancestors(partners)
