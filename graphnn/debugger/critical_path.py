"""What waits for what in a schedule: its parallel waves, and its costliest chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .._util.text import short_repr
from ..core.fetches import ordered, resolve
from ..core.topological_order import schedule
from ..errors import UsageError

if TYPE_CHECKING:
    from ..core import Graph, Node


def generations(fetches: Any, graph: Graph | None = None) -> list[list[Node]]:
    """Return the schedule in parallel waves: each node in the first wave after all its operands.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    graph : Graph, optional

    Returns
    -------
    list of list of Node

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> [[node.name for node in wave] for wave in generations(-x + abs(x))]
    [['x'], ['negative', 'absolute'], ['add']]
    """
    wave: dict[Node, int] = {}
    waves: list[list[Node]] = []
    for node in schedule(fetches, graph):
        wave[node] = at = max((wave[operand] + 1 for operand in node.inputs), default=0)
        if at == len(waves):
            waves.append([])
        waves[at].append(node)
    return waves


def critical_path(
    fetches: Any,
    cost: Mapping[Any, float] | Callable[[Node], float] | None = None,
    graph: Graph | None = None,
) -> list[Node]:
    """Return the costliest chain of nodes that each wait for the one before.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
    cost : mapping or callable, optional
        The cost of each node; by default 1 for a node with operands, and 0 for one without. A mapping may have names
        as keys; nodes that it lacks cost 0.
    graph : Graph, optional

    Returns
    -------
    list of Node

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> [node.name for node in critical_path(abs(-x) + x)]
    ['x', 'negative', 'absolute', 'add']
    """
    known, nodes, _ = resolve(fetches, graph)
    cost = (lambda node: bool(node.inputs)) if cost is None else cost
    if not isinstance(cost, Mapping) and not callable(cost):
        raise UsageError(f"a cost is a function of a node, or a dict by node, not {type(cost).__name__}")
    given = {} if callable(cost) else {node: cost[key] for key in cost for node in resolve(key, known)[1]}
    prices: dict[Node, float] = {}
    for node in ordered(nodes):
        price = cost(node) if callable(cost) else given.get(node, 0.0)
        try:
            prices[node] = float(price)
        except (TypeError, ValueError):
            raise UsageError(f'the cost of "{node.name}" is a number, not {short_repr(price)}') from None
    return longest_chain(prices, prices.__getitem__, lambda node: node.inputs)


def longest_chain(
    order: Iterable[Node], price: Callable[[Node], float], waits_for: Callable[[Node], Iterable[Node]]
) -> list[Node]:
    """Return the costliest chain of nodes of a schedule that each wait for the one before."""
    total: dict[Node, float] = {}
    before: dict[Node, Node | None] = {}
    for node in order:
        before[node] = last = max(waits_for(node), key=total.__getitem__, default=None)
        total[node] = price(node) + (total[last] if last is not None else 0.0)
    at = max(total, key=total.__getitem__, default=None)
    path = []
    while at is not None:
        path.append(at)
        at = before[at]
    return path[::-1]
