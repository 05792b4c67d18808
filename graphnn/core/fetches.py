"""Fetches: nodes and names in lists, tuples and dicts, resolved to nodes of one graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import GraphError, UsageError
from .graph import Graph
from .nested import flatten
from .node import Node
from .scopes import TRIED_KINDS


def resolve(
    fetches: Any, graph: Graph | None = None, others: Iterable[Any] = (), results: bool = True
) -> tuple[Graph, list[Node], Callable[[Sequence[Any]], Any]]:
    """Return the graph and the nodes of fetches, and a function that rebuilds their form.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
        Names can be looked up only if the graph is known. A graph stands for its results: see `results_of`.
    graph : Graph, optional
        Where names are looked up; by default the graph of the first node in `fetches` or `others`.
    others : iterable
        More nodes from which the graph may be known, such as the keys of a feed.
    results : bool
        Whether a graph is taken: not where nodes are asked for that are no results, such as parameters.

    Returns
    -------
    graph : Graph
    nodes : list of Node
    rebuild : callable
        Takes one result per node and returns them in the form of `fetches`.

    Raises
    ------
    UsageError
        When a fetch is neither a node nor a name, or a name is given and no graph is known; or a graph is empty.
    GraphError
        When the nodes belong to two graphs.
    """
    if graph is not None and not isinstance(graph, Graph):
        raise UsageError(f"graph= is a graph, not {type(graph).__name__}")
    if isinstance(fetches, Graph) and results:
        if graph is not None and graph is not fetches:
            raise UsageError(
                f'graph= is for fetches by name, and the graph "{fetches.name}" stands for its own results'
            )
        graph, fetches = fetches, results_of(fetches)
        if not fetches:
            raise UsageError(f'the graph "{graph.name}" is empty: it has no node that could be asked for')
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


def results_of(graph: Graph) -> dict[str, Node]:
    """Return what a graph stands for where fetches are asked for, by name.

    Its outputs. If it has none, what is computed and read by no node; and if nothing is computed, what no node reads.

    Examples
    --------
    >>> g = Graph()
    >>> x, unread = g.placeholder("x"), g.placeholder("unread")
    >>> y = abs(-x)
    >>> list(results_of(g))
    ['absolute']
    >>> g.outputs["y"] = y
    >>> list(results_of(g))
    ['y']
    """
    if graph.outputs:
        return dict(graph.outputs)
    unread = unread_in(graph)
    computed = [node for node in unread if not (node.has_value or node.op.is_placeholder)]
    return {node.name: node for node in computed or unread}


def unread_in(graph: Graph) -> list[Node]:
    """Return the nodes that no node reads, but for those that only show what a loop or a branch computes."""
    return [node for node in graph if not (node.users or _is_tried(node))]


def _is_tried(node: Node) -> bool:
    """Return whether a node was made only to see what the function of a loop or a branch does."""
    scope = node.graph.scopes.get(node.scope)
    while scope is not None and scope.kind not in TRIED_KINDS:
        scope = scope.parent
    return scope is not None


def _not_a_fetch(thing: Any) -> str:
    """Return the class of an object that is not a fetch, and what the class says to fetch instead."""
    instead = getattr(type(thing), "_instead_of_fetch", "")
    return f"{type(thing).__name__}{'; ' if instead else ''}{instead}"


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
