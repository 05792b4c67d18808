"""The order of evaluation: what runs, when, and how long each value is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .graph.fetches import ordered, resolve

if TYPE_CHECKING:
    from .graph import Graph, Node


def schedule(fetches: Any, graph: Graph | None = None) -> list[Node]:
    """Return the nodes that will run, in the order they will run.

    Only what the fetches need, in the order in which the nodes were made: a topological order, which reads as the code
    was written.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    list of Node

    Examples
    --------
    >>> from graphnn.graph import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> y = x * 2.0 + x
    >>> unused = x - 1.0
    >>> [node.name for node in schedule(y)]
    ['x', 'constant', 'multiply', 'add']
    """
    return ordered(resolve(fetches, graph)[1])


def last_uses(order: Sequence[Node], fetches: Sequence[Node]) -> list[tuple[int, ...]]:
    """Return, for each step of a schedule, the positions of the values that nothing reads after it.

    Parameters
    ----------
    order : sequence of Node
        A schedule.
    fetches : sequence of Node
        What is returned in the end, and so is never released.

    Returns
    -------
    list of tuple of int

    Examples
    --------
    >>> from graphnn.graph import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> y = x * x
    >>> last_uses(schedule(y + 1.0), [])
    [(), (0,), (), (1, 2, 3)]
    """
    position = {node: i for i, node in enumerate(order)}
    last = list(range(len(order)))
    for i, node in enumerate(order):
        for operand in node.inputs:
            last[position[operand]] = i
    kept = {position[node] for node in fetches}
    dying: list[list[int]] = [[] for _ in order]
    for i, at in enumerate(last):
        if i not in kept:
            dying[at].append(i)
    return [tuple(positions) for positions in dying]
