"""Two models on all samples of a set: which samples differ, and which most."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._util.text import counted, number, visible
from ...compiler.compile import Compiled
from ...core.attributes import whole
from ...core.fetches import resolve
from ...errors import NotFoundError, ShapeError, UsageError
from ...runtime.batches import Batches, batches_of, check_applies, checked_size, named_in, needed_placeholders
from ...runtime.cluster_port import opened_cluster
from .array_difference import closeness

if TYPE_CHECKING:
    from ...core import Array, Graph, Node
    from ...runtime.cluster_port import Cluster
    from ...runtime.feed import Feed
    from .differences import Comparison

_USUAL_ROWS = 1024
"""Rows of a batch, if nothing else is asked for."""
_MOST = 10
"""How many samples are returned."""
Tolerances = list[tuple[float, float]]
"""Relative and absolute, for each result."""


class Sample(NamedTuple):
    """A sample at which two models differ.

    Attributes
    ----------
    sample : int
        Its number, counted from 0 through the set.
    gap : float
        The largest distance of two of its elements; infinite where one is NaN or infinite and the other is not.
    node : Node
        The result of the first model with that element.
    element : tuple of int
        Which one, within the sample.
    a, b : bool, int or float
        Its values.
    feed : dict of str to array
        What the models were fed: a batch of this sample alone.
    part : str
        Which part of the data it is in, such as a chunk with its file; "" where they have no parts.
    """

    sample: int
    gap: float
    node: Node
    element: tuple[int, ...]
    a: Any
    b: Any
    feed: dict[str, Any]
    part: str = ""

    def __str__(self) -> str:
        index = f"[{', '.join(map(str, self.element))}]" if self.element else ""
        part = f", in {self.part}" if self.part else ""
        return (
            f"sample {self.sample:,}{part}: {self.node.title}{index} is {number(self.a)} and {number(self.b)}, "
            f"{number(self.gap)} apart"
        )


class Samples:
    """What `compare` found on a set. True if no sample differs; iterating gives those that differ most, worst first.

    Attributes
    ----------
    count : int
        How many samples there are.
    differing : int
        How many of them differ by more than the tolerance.
    names : tuple of str
        What the two are called.
    """

    def __init__(
        self,
        count: int,
        differing: int,
        worst: Sequence[Sample],
        names: tuple[str, str],
        again: Callable[[dict[str, Any]], Comparison],
    ) -> None:
        self.count, self.differing, self.names = count, differing, names
        self._worst, self._again = tuple(worst), again

    def __bool__(self) -> bool:
        return not self.differing

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._worst)

    def __len__(self) -> int:
        return len(self._worst)

    def __getitem__(self, place: int) -> Sample:
        return self._worst[place]

    def compare(self, place: int = 0) -> Comparison:
        """Compare the two models node by node on one of the samples: by default, on the worst.

        Parameters
        ----------
        place : int
            Of the sample, among those that differ most.

        Returns
        -------
        Comparison
        """
        return self._again(self._worst[place].feed)

    def __repr__(self) -> str:
        return f"<Samples: {self._summary()}>"

    def _summary(self) -> str:
        a, b = self.names
        return f"{visible(a)} and {visible(b)} differ at {self.differing:,} of {counted(self.count, 'sample')}"

    def __str__(self) -> str:
        return "\n".join([self._summary(), *(visible(str(each)) for each in self._worst)])


class Pair:
    """Two models whose results on each sample are compared.

    Parameters
    ----------
    a, b : fetches or Compiled
    graph : Graph or None
        Where names are looked up.
    data : as `compare` takes it
    tolerance : pair of float, or None
    """

    def __init__(self, a: Any, b: Any, graph: Graph | None, data: Any, tolerance: tuple[float, float] | None) -> None:
        keys = named_in(data)
        (first, nodes), (second, others) = (_results(target, graph, keys) for target in (a, b))
        if len(nodes) != len(others) or not nodes:
            raise UsageError(
                f"compare(a, b, data=…) compares results one by one: a has {len(nodes)}, and b has {len(others)}"
            )
        self.graph, self.nodes, self.others = first, nodes, others
        self.needed = needed_placeholders(first, nodes)
        for node in needed_placeholders(second, others):
            if node.name not in first or first[node.name] not in first.placeholders:
                raise NotFoundError(
                    f'b needs "{node.name}", and a has no placeholder of that name: both are fed the same, by name'
                )
            if first[node.name] not in self.needed:
                self.needed.append(first[node.name])
        self.steps = [Compiled(nodes, graph=first), Compiled(others, graph=second)]
        # Needed or not: one that a patch has cut off still tells the size of the batch.
        self.fed = [sorted(each.name for each in step.graph.placeholders) for step in self.steps]
        self.tolerances = [tolerance or _usual(x.dtype, y.dtype) for x, y in zip(nodes, others, strict=True)]

    def check_rows(self) -> None:
        """Refuse results that are not one for each sample."""
        for node, other in zip(self.nodes, self.others, strict=True):
            for each in (node, other):
                if not each.shape or isinstance(each.shape[0], int):
                    raise ShapeError(
                        f'"{each.name}" {each.spec} has no rows, and compare(a, b, data=…) compares what each sample '
                        "gives: give the predictions or the loss of each row, and not their mean"
                    )

    def told(self, most: int) -> tuple[Any, ...]:
        """Return what `apart` takes beside batches and steps."""
        return self.fed, self.tolerances, most


def _results(target: Any, graph: Graph | None, keys: Any) -> tuple[Graph, list[Node]]:
    if isinstance(target, Compiled):
        return target.graph, list(target.fetches)
    found, nodes, _ = resolve(target, graph, keys)
    return found, list(nodes)


def _usual(a: np.dtype[Any], b: np.dtype[Any]) -> tuple[float, float]:
    """Return the tolerance where none is given: none for the same dtype, else that of the narrower float."""
    return (0.0, 0.0) if a == b else closeness(a, b)


def apart(
    batches: Iterator[tuple[int, int, int, Feed]],
    steps: Sequence[Compiled],
    fed: Sequence[Sequence[str]],
    tolerances: Tolerances,
    most: int,
) -> list[Any]:
    """Return how many rows there are, how many differ, and the worst: gap, row, result, index, values, and feed."""
    rows = differing = 0
    worst: list[tuple[Any, ...]] = []
    for _, first, size, batch in batches:
        feed = {str(getattr(key, "name", key)): array for key, array in batch.items()}
        given = [{name: feed[name] for name in names if name in feed} for names in fed]
        found = [step(each) for step, each in zip(steps, given, strict=True)]
        gaps, differs = np.zeros(size), np.zeros(size, bool)
        where: list[tuple[Array, Array]] = []
        for a, b, (rtol, atol) in zip(*found, tolerances, strict=True):
            _check_alike(a, b, size)
            each = _gaps(a, b).reshape(size, -1)
            bound = atol + rtol * np.abs(np.nan_to_num(b.astype(float))).reshape(size, -1)
            differs |= (each > bound).any(axis=1)
            where.append((each.max(axis=1, initial=0.0), each.argmax(axis=1) if each.size else np.zeros(size, int)))
            gaps = np.maximum(gaps, where[-1][0])
        for row in np.argsort(-gaps, kind="stable")[:most].tolist():
            if differs[row]:
                k = int(np.argmax([gap[row] for gap, _ in where]))
                index = tuple(map(int, np.unravel_index(int(where[k][1][row]), found[0][k].shape[1:])))
                values = [each[k][(row, *index)].item() for each in found]
                worst.append((float(gaps[row]), first + row, k, index, values, _row(feed, row, size)))
        worst = _most_apart(worst, most)
        rows, differing = first + size, differing + int(differs.sum())
    return [rows, differing, worst]


def _most_apart(found: list[tuple[Any, ...]], most: int) -> list[tuple[Any, ...]]:
    return sorted(found, key=lambda each: (-each[0], each[1]))[:most]


def _row(feed: Mapping[str, Any], row: int, size: int) -> dict[str, Any]:
    """Return a batch of one row; what is fed whole stays so."""
    return {
        name: np.array(array[row : row + 1]) if np.ndim(array) and len(array) == size else array
        for name, array in feed.items()
    }


def _gaps(a: Array, b: Array) -> Any:
    """Return the distance of each two elements: 0 of two NaN, infinity of NaN and a number."""
    with np.errstate(all="ignore"):
        gap = np.abs(np.subtract(a, b, dtype=float))
    same = (a == b) | ((a != a) & (b != b))  # NaN differs from itself
    return np.where(same, 0.0, np.where(np.isnan(gap), math.inf, gap))


def _check_alike(a: Array, b: Array, size: int) -> None:
    if a.shape != b.shape or a.shape[:1] != (size,):
        raise ShapeError(
            f"the results to compare have shapes {a.shape} and {b.shape} for {size} samples: they must have the same, "
            "and a row for each sample"
        )


def compared(
    pair: Pair,
    data: Any,
    again: Callable[[dict[str, Any]], Comparison],
    batch_size: int | None,
    most: int | None,
    names: tuple[str, str] | None,
    client: Any,
    exact: bool,
) -> Samples:
    """Compare two models on a set, here or by workers."""
    most = _MOST if most is None else whole("limit=", most, 1)
    size = checked_size(_USUAL_ROWS if batch_size is None else batch_size)
    batches = batches_of(pair.graph, data, pair.needed, "the data", size)
    check_applies("the data", data, batch_size=batch_size is not None)
    pair.check_rows()
    if client is None:
        parts = _here(pair, batches, most)
    else:
        parts = _by_workers(pair, batches, most, client, exact)
    count = differing = 0
    worst: list[tuple[Any, ...]] = []
    with closing(parts):
        for part, (rows, different, found) in parts:
            worst = _most_apart([*worst, *((gap, count + row, *rest, part) for gap, row, *rest in found)], most)
            count, differing = count + rows, differing + different
    samples = [
        Sample(row, gap, pair.nodes[k], index, a, b, feed, part) for gap, row, k, index, (a, b), feed, part in worst
    ]
    return Samples(count, differing, samples, names or ("a", "b"), again)


def _here(pair: Pair, batches: Batches, most: int) -> Generator[tuple[str, list[Any]]]:
    with closing(batches.opened()) as opened:
        for size, feed in opened:
            yield batches.part, apart(iter([(0, 0, size, feed)]), pair.steps, *pair.told(most))


def _by_workers(pair: Pair, batches: Batches, most: int, client: Any, exact: bool) -> Generator[tuple[str, list[Any]]]:
    with opened_cluster(client, exact) as cluster:
        sent = [_sent(cluster, step) for step in pair.steps]
        whole_feed, parts = cluster.sent(batches.whole), list[str]()

        def begun() -> Iterator[Any]:
            for shard in batches.shards():
                parts.append(shard.part)
                yield cluster.through(shard, apart, sent, whole_feed, *pair.told(most))

        with closing(cluster.in_order(begun())) as results:
            for found in results:
                yield parts.pop(0), found


def _sent(cluster: Cluster, step: Compiled) -> tuple[Any, Any]:
    return cluster.program(step.fetches, step.backend), cluster.state(step.graph.state)
