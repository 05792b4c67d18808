"""The order of evaluation: what runs, when, and how long each value is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .fetches import ordered, resolve

if TYPE_CHECKING:
    from . import Graph, Node


def schedule(fetches: Any, graph: Graph | None = None) -> list[Node]:
    """Return the nodes that will run, in the order they will run.

    Only what the fetches need, in the order in which the nodes were made: a topological order, which reads as the code
    was written.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    list of Node

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> y = x * 2.0 + x
    >>> unused = x - 1.0
    >>> [node.name for node in schedule(y)]
    ['x', 'constant', 'multiply', 'add']
    """
    return ordered(resolve(fetches, graph)[1])


def last_uses(operands: Sequence[Sequence[int]], fetches: Iterable[int]) -> list[tuple[int, ...]]:
    """Return, for each step of a schedule, the positions of the values that nothing reads after it.

    Parameters
    ----------
    operands : sequence of sequence of int
        For each step, the positions of the values that it reads.
    fetches : iterable of int
        The positions of what is returned in the end, and so is never released.

    Returns
    -------
    list of tuple of int

    Examples
    --------
    >>> last_uses([(), (0, 0), (), (1, 2)], fetches=[3])
    [(), (0,), (), (1, 2)]
    """
    last = list(range(len(operands)))
    for i, read in enumerate(operands):
        for position in read:
            last[position] = i
    kept = set(fetches)
    dying: list[list[int]] = [[] for _ in operands]
    for i, at in enumerate(last):
        if i not in kept:
            dying[at].append(i)
    return [tuple(positions) for positions in dying]
