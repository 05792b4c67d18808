"""Evaluation without compiling: `run`, and `steps`, which yields one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._util.missing import needed
from .._util.ports import Port
from ..core.fetches import resolve
from .batches import holds_chunks
from .evaluation_loop import Step, arrays_for_caller, collect, evaluate, quiet_steps
from .feed import Feed, prepare
from .guard import checked_guard

if TYPE_CHECKING:
    from ..core import Graph, Node

BY_CHUNKS: Port[Callable[[Graph, Sequence[Node], Any, Mapping[str, int] | None, str | None], list[Any]]] = Port(
    "runs in chunks"
)
"""What runs nodes on a feed of data that need not be in memory, and returns what they will be."""


def run(
    fetches: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    guard: str | None = None,
) -> Any:
    """Evaluate the fetches and return their values.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
        A graph stands for its results: a dict of its outputs, or of what no node reads if it has none.
    feed : mapping of Node or str to array_like
        A value for each placeholder that the fetches need; cast to its dtype where NumPy's "same_kind" rule allows.
        Arrays are read where they are, and not copied: no other thread should write to them meanwhile.
        Of arrays of Dask, and columns of a dataframe of Dask, the rows are computed chunk by chunk, and later.
    sizes : mapping of str to int, optional
        The sizes of dimensions that no feed determines.
    graph : Graph, optional
        Where names are looked up, if neither fetches nor feed contain a node.
    guard : {None, "nan", "finite"}
        "nan": a NaN in any value raises; "finite": an infinity, too.

    Returns
    -------
    array, or list, tuple or dict of arrays
        In the form of `fetches`. The caller may change them. With a feed of Dask, arrays of Dask, of which nothing is
        computed yet; what is computed from all rows together, as a mean over them is, is refused there.

    Raises
    ------
    NotFoundError
        When a feed is missing or unknown, or the size of a dimension is unknown.
    ShapeError, DtypeError
        When a feed is not as declared, or sizes that must be equal differ. Nothing is computed then.
    ValueRangeError
        When a guard refuses a value; ``error.debug()`` opens the debugger there.
    GraphnnError
        When an operation fails: of the same builtin class, with the node, its operands and its origin.
        ``error.debug()`` opens the debugger before that node.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> run({"twice": x + x}, {x: [1.0, 2.0]})
    {'twice': array([2., 4.])}
    """
    graph, nodes, rebuild = resolve(fetches, graph, feed if isinstance(feed, Mapping) else ())
    if holds_chunks(feed):
        return rebuild(needed(BY_CHUNKS, "what runs on data of Dask")(graph, nodes, feed, sizes, guard))
    return rebuild(arrays_for_caller(collect(prepare(graph, nodes, feed, sizes), checked_guard(guard))))


def steps(
    fetches: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
) -> Iterator[Step]:
    """Evaluate the fetches one node at a time.

    Parameters
    ----------
    fetches, feed, sizes, graph
        As in `run`. They are checked at once, before the first step.

    Yields
    ------
    Step
        With ``index``, ``node``, ``operands`` and ``value``; the arrays are read-only.

    Examples
    --------
    >>> from graphnn.core import Graph
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> for step in steps(-x * 2.0, {x: 3.0}):
    ...     print(step.index, step.node.name, step.value)
    0 x 3.0
    1 negative -3.0
    2 constant 2.0
    3 multiply -6.0
    """
    graph, nodes, _ = resolve(fetches, graph, feed if isinstance(feed, Mapping) else ())
    return quiet_steps(evaluate(prepare(graph, nodes, feed, sizes).with_own_feed()))
