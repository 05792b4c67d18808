"""`evaluate`: losses and metrics on a whole set, batch by batch, without updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ShapeError, UsageError
from ..execute.compiled import compile, updating
from ..execute.feed import Feed, prepare
from ..graph import Array, Graph, Node, Parameter, Placeholder
from ..graph.dimensions import names_in, shown
from ..graph.fetches import ancestors, resolve
from ..text import with_article
from ..transform import extract, replace
from .batches import Rows

# Of a batch each, these do not make that of the whole set by a mean.
_NO_MEANS = {"sum", "prod", "max", "min", "argmax", "argmin", "any", "all", "var", "std", "logsumexp"}


def evaluate(fetches: Any, feed: Feed, *, batch_size: int | None = 32, graph: Graph | None = None) -> Any:
    """Evaluate on a whole set, batch by batch, without updates.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them
        Losses and metrics. What is made from counts that add up (`gn.tally`), as the metrics of `nn` are, is made
        from the sum of the counts of all batches, and so exact however the set is divided. All else is the mean over
        the batches weighted by their size: exact for means over rows. What is for training alone, such as dropout, is
        left out, as in `fit`.
    feed : mapping of Node or str to array_like
        Every feed whose first dimension is a name is cut into batches, the others are passed whole.
    batch_size : int or None
        None: everything at once.
    graph : Graph, optional
        Where names are looked up, if neither fetches nor feed hold a node.

    Returns
    -------
    array, or list, tuple or dict of arrays
        In the form of `fetches`; means are float64.

    Raises
    ------
    ShapeError
        When the size of a fetch depends on that of the batch, or feeds that are to be cut have different lengths.
    ValueRangeError
        When the set is empty.
    UsageError
        When there are several batches, and a fetch is the sum, the largest or the like of each; when one depends on
        random numbers for which nothing says what takes their place in evaluation.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> p = gn.Graph().placeholder("p", ("batch", 2))
    >>> labels = p.graph.placeholder("labels", ("batch",), np.int64)
    >>> feed = {p: np.eye(2)[[0, 1, 1, 0, 1]], labels: [0, 1, 0, 0, 1]}
    >>> float(nn.evaluate(nn.f1(p, labels), feed, batch_size=2).round(4))
    0.8
    """
    graph, nodes, rebuild = resolve(fetches, graph, feed if isinstance(feed, Mapping) else ())
    rows = Rows(graph, feed, batch_size, "the set")
    return rebuild(Evaluation(graph, nodes, rows)())


class _Form(NamedTuple):
    """Nodes in their evaluating form: in a copy of the graph, which is to read the state of the moment."""

    graph: Graph
    nodes: list[Node]
    given: dict[Node, Node]
    """The copy of each placeholder that is fed."""
    state: dict[Node, Node]
    """The copy of each parameter."""

    def fed(self, batch: Feed) -> Feed:
        """Return a feed of the graph as one of the copy."""
        return {self.given[node]: array for node, array in batch.items()}

    def take_over_state(self) -> None:
        """Give the parameters of the copy the values of the moment; arrays are shared, since they never change."""
        source = next(iter(self.given)).graph if self.given else next(iter(self.state)).graph
        with updating(source):
            dict.update(self.graph.state, {copy: source.state[node] for node, copy in self.state.items()})


def _evaluating_form(graph: Graph, nodes: Sequence[Node], rows: Rows) -> _Form | None:
    """Return the nodes with what is for training alone exchanged; None where there is nothing of the kind."""
    needed = ancestors(nodes)
    exchanged = {trained: node for trained, node in graph.evaluating.items() if trained in needed}
    found: Sequence[Node] = nodes
    if exchanged:
        fed = [*rows.whole, *rows.cut]
        found = replace([*nodes, *fed], exchanged)[: len(nodes)]
    _check_settled(nodes, found)
    if not exchanged:
        return None
    copy = found[0].graph
    given = {node: copy[node.name] for node in fed}
    state = {graph[node.name]: node for node in copy.state}
    return _Form(copy, list(found), given, state)


def _unsettled(node: Node, counter: Node) -> str:
    needed = ancestors([node])
    readers = [each for each in needed if each.op.name.startswith("random_") and counter.name in _names([each])]
    noisy = min(readers, key=lambda each: each.index, default=None)
    depends = f'the counter "{counter.name}"'
    if noisy is not None:
        depends = f'"{noisy.name}", {with_article(noisy.op.name)} made at {noisy.origin}'
    return (
        f'"{node.name}" would be random in evaluation: it depends on {depends}, and nothing says what takes its place. '
        "Take a figure made of network(x), without training=True; or say it of the node in question: "
        "graph.evaluating[node] = other reads the other node instead, graph.evaluating[node] = node keeps it random"
    )


def _names(nodes: Sequence[Node]) -> set[str]:
    return {node.name for node in ancestors(nodes)}


def _check_settled(nodes: Sequence[Node], found: Sequence[Node]) -> None:
    """Refuse what is random in evaluation, too, unless it is said to be meant."""
    for node, form in zip(nodes, found, strict=True):
        advances, meant = form.graph.advances, form.graph.evaluating
        if not advances:
            continue
        seen, waiting = {form}, [form]
        while waiting:
            at = waiting.pop()
            if meant.get(at) is at:
                continue
            if at in advances:
                raise UsageError(_unsettled(node, at))
            fresh = [operand for operand in at.inputs if operand not in seen]
            seen.update(fresh)
            waiting += fresh


class Evaluation:
    """Nodes evaluated on a whole set: from counts where they are made of such, else as means.

    Of `added`, sums over the batch add up.
    """

    def __init__(self, graph: Graph, nodes: Sequence[Node], rows: Rows, added: Sequence[Node] = ()) -> None:
        self._rows = rows
        adds_up = [node in added for node in nodes]
        self._form = _evaluating_form(graph, nodes, rows) if nodes else None
        if self._form is not None:
            graph, nodes = self._form.graph, self._form.nodes
        self._counts = [_counts_of(node) for node in nodes]
        self._added = [
            adds and node.op.name == "sum" and rows.reduced_by(node) for node, adds in zip(nodes, adds_up, strict=True)
        ]
        self._wholes: list[Callable[[list[Any]], Any] | None] = []
        for node, counts in zip(nodes, self._counts, strict=True):
            if not counts and names_in(node.shape):
                raise ShapeError(
                    f'"{node.name}" has shape {shown(node.shape)}, which depends on the batch: a figure of a whole set '
                    "has a shape of numbers; reduce it (gn.mean)"
                )
            self._wholes.append(_of_counts(node, counts) if counts else None)
        if rows.size < rows.count:
            for node, adds in zip(nodes, self._added, strict=True):
                if not adds and node.op.name in _NO_MEANS and rows.reduced_by(node):
                    raise UsageError(
                        f'"{node.name}" is the {node.op.name} over a batch, and the mean of those is not that of the '
                        "whole set: take the mean over the rows (gn.mean), or all of them at once (batch_size=None)"
                    )
        self._parts = [counts or [node] for node, counts in zip(nodes, self._counts, strict=True)]
        self._step = compile(self._parts, None) if nodes else None
        self._graph = graph

    def check(self) -> None:
        """Find out now whether the feed will do."""
        if self._step is not None:
            prepare(self._graph, self._step.fetches, self._fed(next(self._rows.batches())[1]))

    def _fed(self, batch: Feed) -> Feed:
        return batch if self._form is None else self._form.fed(batch)

    def __call__(self) -> list[Array]:
        """Return the value of each node on all rows."""
        if self._step is None:
            return []
        if self._form is not None:
            self._form.take_over_state()
        totals: list[list[Any]] = [[0] * len(parts) for parts in self._parts]
        for size, batch in self._rows.batches():
            for values, total, counts, adds in zip(
                self._step(self._fed(batch)), totals, self._counts, self._added, strict=True
            ):
                if counts:
                    total[:] = [t + v for t, v in zip(total, values, strict=True)]
                else:
                    total[0] += values[0].astype(np.float64) * (1.0 if adds else size / self._rows.count)
        found = []
        for total, whole in zip(totals, self._wholes, strict=True):
            found.append(np.asarray(whole(total) if whole else total[0]))
        return found


def _counts_of(node: Node) -> list[Node]:
    """Return the counts that a node is made of, if it is made of nothing else that a run decides."""
    found: list[Node] = []
    seen = {node}
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at.op.name == "tally" and not names_in(at.shape):
            found.append(at)
        elif isinstance(at.op, (Placeholder, Parameter)) or names_in(at.shape) or at.op.dimension_names:
            return []
        else:
            fresh = [operand for operand in at.inputs if operand not in seen]
            seen.update(fresh)
            waiting += fresh
    return found


def _of_counts(node: Node, counts: Sequence[Node]) -> Callable[[list[Any]], Any]:
    """Return the function from the values of the counts to the node's, made in a graph apart."""
    apart = extract(node)
    given = {}
    for count in counts:
        given[apart[count.name]] = apart.placeholder(apart.free_name("given"), count.shape, count.dtype)
    whole = compile(replace(apart[node.name], given))
    return lambda values: whole({fed.name: value for fed, value in zip(given.values(), values, strict=True)})
