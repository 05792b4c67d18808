"""`evaluate`: losses and metrics on a whole set, batch by batch, without updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.text import with_article
from ...compiler.compile import Compiled, compile, updating
from ...core import flatten, is_float
from ...core.fetches import ancestors, resolve
from ...core.symbolic_shapes import names_in, shown
from ...errors import GraphnnError, ShapeError, UsageError
from ...runtime.batches import (
    USUAL_SIZE,
    Batch,
    Batches,
    Data,
    Split,
    batches_of,
    check_applies,
    checked_size,
    named_in,
    needed_placeholders,
)
from ...runtime.cluster_port import check_exact, opened_cluster
from ...runtime.feed import Feed, prepare
from ...transforms.extract_replace import extract, replace
from ..metrics.metric_sums import parts_of, reached

if TYPE_CHECKING:
    from ...core import Array, Graph, Node
    from ...runtime.cluster_port import Cluster

# The mean of these over the batches is not their value on the whole set.
_NO_MEANS = {"sum", "prod", "max", "min", "argmax", "argmin", "any", "all", "var", "std", "logsumexp"}


def evaluate(
    fetches: Any,
    data: Data,
    *,
    batch_size: int | None = USUAL_SIZE,
    graph: Graph | None = None,
    client: Any = None,
    exact: bool = True,
) -> Any:
    """Evaluate on a whole set, batch by batch, without updates.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them, or Graph
        Losses and metrics. A fetch that is computed from sums over batches (`gn.sum_over_batches`), like the metrics of
        `nn` and losses with weights, is computed from their sums over all batches, so it is exact for any batch size.
        Any other fetch is the mean over the batches, weighted by their size, which is exact for means over rows; and so
        is what is added to such a loss, like another mean or a penalty. Nodes that are only for training, such as
        dropout, are left out, as in `fit`.
    data : mapping of Node or str to array_like, Loader, iterable of batches, or function
        Arrays to split into batches, as `Loader` takes them, or a `Loader`; or batches as `fit` takes them. Of a
        `Loader`, all rows are evaluated, in their order.
    batch_size : int or None
        Rows per batch of a mapping. None: all rows in one batch, or those of a chunk;
        then arrays may have different lengths.
    graph : Graph, optional
        The graph of the names, if neither fetches nor data contain a node.
    client : distributed.Client, optional
        Let the workers of this client of Dask compute the batches; they are added up here, in their order.
    exact : bool
        With a client: refuse workers that may compute other bits than this process. If False, only warn.

    Returns
    -------
    array, or list, tuple or dict of arrays
        In the form of `fetches`; means are float64.

    Raises
    ------
    ShapeError
        When the size of a fetch depends on the batch, or the arrays to split have different lengths.
    ValueRangeError
        When the set is empty.
    UsageError
        When there are several batches, or may be, and a fetch is a sum, a maximum or similar over the batch; when a
        fetch would be random in evaluation; when `batch_size` is given, and `data` are batches or a `Loader`.
    ClusterError
        When workers may compute other bits, or they or the scheduler are lost.

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
    size = checked_size(batch_size)
    check_exact(client, exact)
    graph, nodes, rebuild = resolve(fetches, graph, named_in(data))
    batches = batches_of(graph, data, needed_placeholders(graph, nodes), "the set", size)
    check_applies("the set", data, batch_size=batch_size is not USUAL_SIZE)
    if not nodes:
        return rebuild([])
    evaluation = Evaluation(graph, nodes, batches)
    if client is None:
        return rebuild(evaluation())
    with opened_cluster(client, exact) as cluster:
        return rebuild(evaluation(cluster))


class _Form(NamedTuple):
    """Nodes in their evaluation form: without what is for training alone.

    If anything had to be replaced, `graph` is a copy of the `source`, else it is the source itself.
    """

    source: Graph
    graph: Graph
    nodes: list[Node]
    fed: dict[Node, Node]
    """{placeholder of the source: its copy}."""
    state: dict[Node, Node]
    """{parameter of the source: its copy}; empty if nothing was copied."""

    def feed(self, batch: Feed) -> Feed:
        """Return a feed of the source as a feed of the copy."""
        return {self.fed[node]: array for node, array in batch.items()}

    def take_over_state(self) -> None:
        """Give the parameters of the copy the present values of the source."""
        with updating(self.source):
            # Past the checks of the table, which would copy each array: stored arrays never change, and can be shared.
            dict.update(self.graph.state, {copy: self.source.state[node] for node, copy in self.state.items()})


def evaluating_form(source: Graph, nodes: Sequence[Node]) -> _Form:
    """Return nodes without what is for training alone: in a copy of the graph if anything had to be replaced."""
    needed = ancestors(nodes)
    replacements = {trained: node for trained, node in source.evaluation.items() if trained in needed}
    fed = list(source.placeholders)
    form = _Form(source, source, list(nodes), {node: node for node in fed}, {})
    if replacements:
        copies = replace([*nodes, *fed], replacements)
        graph = copies[0].graph
        state = {source[copy.name]: copy for copy in graph.state}
        form = _Form(source, graph, copies[: len(nodes)], dict(zip(fed, copies[len(nodes) :], strict=True)), state)
    _check_not_random(nodes, form)
    return form


def _check_not_random(nodes: Sequence[Node], form: _Form) -> None:
    """Refuse what would be random in evaluation, unless `Graph.evaluation` says that this is meant."""
    counters, meant = {counter for counter, at in list(form.graph.advances) if counter is at}, form.graph.evaluation
    if not counters:
        return
    for node, evaluated in zip(nodes, form.nodes, strict=True):
        for at in reached(evaluated, lambda at: meant.get(at) is at):
            if at in counters and meant.get(at) is not at:
                raise UsageError(_why_random(node, node.graph[at.name]))


def _why_random(node: Node, counter: Node) -> str:
    readers = [each for each in ancestors([node]) if each.op.name.startswith("random_")]
    random = min((each for each in readers if counter in ancestors([each])), key=lambda each: each.index, default=None)
    depends = f'the counter "{counter.name}"'
    if random is not None:
        depends = f'"{random.name}", {with_article(random.op.name)} made at {random.origin}'
    return (
        f'"{node.name}" would be random in evaluation: it depends on {depends}, which graph.evaluation lacks. '
        "Make the figure from network(x), without training=True; or set graph.evaluation[node] = other to use another "
        "node instead, or graph.evaluation[node] = node to keep it random"
    )


class _Figure(NamedTuple):
    """How a node's value on the whole set comes from its batches."""

    parts: list[Node]
    """The nodes to compute for each batch: what the node is computed from, or the node itself."""
    whole: Callable[[list[Any]], Any] | None
    """The node's value from the parts'; None if it is the part."""
    added: list[bool]
    """For each part, whether the values of the batches are added, and not averaged."""

    @classmethod
    def of(cls, node: Node, batches: Batches, may_add_up: bool) -> _Figure:
        parts = parts_of(node)
        if parts:
            added = [part.op.sums_over_batches for part in parts]
            for part, adds_up in zip(parts, added, strict=True):
                if not adds_up:
                    _check_mean(part, batches)
            return cls(parts, _from_parts(node, parts), added)
        if names_in(node.shape):
            raise ShapeError(
                f'"{node.name}" has shape {shown(node.shape)}, which depends on the batch: a figure of a whole set '
                "has a shape of numbers; reduce it (gn.mean)"
            )
        adds_up = may_add_up and node.op.name == "sum" and batches.reduced_by(node)
        if not adds_up:
            _check_mean(node, batches)
        return cls([node], None, [adds_up])

    @property
    def specs(self) -> list[tuple[tuple[Any, ...], np.dtype[Any]]]:
        """Shape and dtype of the total of each part."""
        return [
            (
                part.shape,
                (0 + np.zeros((), part.dtype)).dtype if added and not is_float(part.dtype) else np.dtype(float),
            )
            for part, added in zip(self.parts, self.added, strict=True)
        ]

    def add(self, total: list[Any], values: Sequence[Array], size: int) -> None:
        """Add the values of a batch, which has so many rows."""
        for i, (value, added) in enumerate(zip(values, self.added, strict=True)):
            whole = value if not is_float(value.dtype) and added else value.astype(np.float64)
            total[i] = total[i] + whole * (1 if added else size)

    def value(self, total: Sequence[Any], rows: int) -> Array:
        """Return the value on all batches, which have so many rows."""
        parts = [part if added else part / rows for part, added in zip(total, self.added, strict=True)]
        return np.asarray(self.whole(parts) if self.whole else parts[0])


class Evaluation:
    """Evaluates nodes on a whole set: from tallies if they are computed from tallies, else as means.

    Nodes in `added` that are sums over the batch are added instead.
    """

    def __init__(self, graph: Graph, nodes: Sequence[Node], batches: Batches, added: Sequence[Node] = ()) -> None:
        self._batches = batches
        self._form = evaluating_form(graph, nodes)
        pairs = zip(nodes, self._form.nodes, strict=True)
        self._figures = [_Figure.of(evaluated, batches, node in added) for node, evaluated in pairs]
        self._step = compile([figure.parts for figure in self._figures], None)
        self.rows = 0
        """How many rows were added."""
        self.totals: list[list[Any]] = []
        """What was added up, by figure and part."""
        self.begin()

    @property
    def specs(self) -> list[list[tuple[tuple[Any, ...], np.dtype[Any]]]]:
        """Shape and dtype of the totals, by figure and part."""
        return [figure.specs for figure in self._figures]

    def check(self) -> None:
        """Raise what a run on the first batch would refuse about the feed."""
        with closing(self._batches.opened()) as batches:
            _, batch = next(batches)
        prepare(self._form.graph, self._step.fetches, self._form.feed(batch))

    def __call__(self, cluster: Cluster | None = None) -> list[Array]:
        """Return the value of each node on all rows, whose batches workers compute if there are any."""
        self.begin()
        self.take_over_state()
        if cluster is not None:
            self._add_by(cluster)
            return self.values()
        with closing(self._batches.opened()) as batches:
            self._add_each(batches)
        return self.values()

    def begin(self) -> None:
        """Forget what was added."""
        self.rows, self.totals = 0, [[0] * len(figure.parts) for figure in self._figures]

    def take_over_state(self) -> None:
        """Evaluate with the present values of the parameters from now on."""
        self._form.take_over_state()

    def _add_each(self, batches: Iterator[Batch]) -> None:
        """Evaluate one batch after the other. An error names the batch."""
        length, what = self._batches.length, self._batches.what
        for number in count():
            place = f"in batch {number + 1:,}{'' if length is None else f' of {length:,}'} of {what}"
            try:
                found = next(batches, None)
            except Exception as error:
                error.add_note(f"{place}: the data raised this")
                raise
            if found is None:
                return
            try:
                self.add(*found)
            except GraphnnError as error:
                error.add_note(f"{place}{self._batches.rows_of(number, found[0])}")
                raise

    def add(self, size: int, batch: Feed) -> None:
        """Evaluate a batch, which has so many rows."""
        self._add(size, self._step(self._form.feed(batch)))

    def _add(self, size: int, found: Any) -> None:
        """Add what a batch gave, which has so many rows."""
        for figure, total, values in zip(self._figures, self.totals, found, strict=True):
            figure.add(total, values, size)
        self.rows += size

    def _add_by(self, cluster: Cluster) -> None:
        """Evaluate all batches by workers, and add what they give in the order of the batches."""
        sent = [(cluster.program(self._step.fetches, self._step.backend), cluster.state(self._form.graph.state))]
        whole = cluster.sent(self._batches.whole)
        futures = (cluster.through(shard, each_of, sent, whole) for shard in self._batches.shards())
        with closing(cluster.in_order(futures)) as results:
            for shard in results:
                for size, values in shard:
                    self._add(size, self._step.rebuild(values))

    def values(self) -> list[Array]:
        """Return the value of each node on the batches that were added."""
        return [figure.value(total, self.rows) for figure, total in zip(self._figures, self.totals, strict=True)]


def each_of(batches: Iterator[tuple[int, int, int, Feed]], steps: Sequence[Compiled]) -> list[Any]:
    """Return how many rows each batch has, and what it gives."""
    return [(size, [np.asarray(value) for value in flatten(steps[0](feed))[0]]) for _, _, size, feed in batches]


def _check_mean(node: Node, batches: Batches) -> None:
    """Refuse what is not a mean over the batch, if there are several batches."""
    if not batches.is_whole and node.op.name in _NO_MEANS and batches.reduced_by(node):
        at_once = ", or all of them at once (batch_size=None)" if isinstance(batches, Split) else ""
        raise UsageError(
            f'"{node.name}" is the {node.op.name} over a batch, and the mean of those is not that of the '
            f"whole set: take the mean over the rows (gn.mean){at_once}"
        )


def _from_parts(node: Node, parts: Sequence[Node]) -> Callable[[list[Any]], Any]:
    """Return a function from the values of the parts to the value of the node, computed in a graph of its own."""
    apart = extract(node)
    fed = {apart[part.name]: apart.placeholder(apart.free_name("given"), part.shape, part.dtype) for part in parts}
    computed = compile(replace(apart[node.name], fed))
    return lambda values: computed({given.name: value for given, value in zip(fed.values(), values, strict=True)})
