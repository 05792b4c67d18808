"""Runs with substitution per edge: each reader gets of each operand the computed value, or the ablated one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.numpy_warnings import quietly
from ..core import is_float
from ..runtime.evaluation_loop import evaluate
from . import patches
from .run_pair import Pair, same_bits, values_of

if TYPE_CHECKING:
    from ..core import Array, Node

Link = tuple[int, int]
"""An edge: the positions of a node and of one that reads it."""


class Ablation(NamedTuple):
    """What a reader gets instead of a computed value.

    Attributes
    ----------
    said : str
    array : callable
        Makes it of the value in the corrupted run.
    node : callable or None
        Makes the node of it; None where it is that value.
    """

    said: str
    array: Callable[[Array], Array]
    node: Callable[[Node], Node] | None


def _mean(value: Array) -> Array:
    if not value.ndim:
        return value
    return np.broadcast_to(value.mean(axis=0, keepdims=True), value.shape).copy()


def _mean_node(value: Node) -> Node:
    return patches.mean()(value) if value.shape else value


ABLATIONS = {
    "corrupted": Ablation("its value in the corrupted run", lambda value: value, None),
    "mean": Ablation("the mean along axis 0 of its value in the corrupted run", _mean, _mean_node),
    "zero": Ablation("zeros", np.zeros_like, patches.zero),
}


class Substituted:
    """The runs of a metric in which some edges are ablated.

    An edge that is cut hands its one reader the ablated value; all other readers get what is computed, which itself
    depends on the edges that are cut before it. Only edges that carry something that differs between the runs can be
    cut; where the ablated value is not taken from the corrupted run, only those that carry floats.

    Parameters
    ----------
    pair : Pair
        The clean run, and the corrupted one as the other.
    ablation : str
        A key of `ABLATIONS`.
    floats : bool
        Whether only edges with floats can be cut, whatever the ablation.

    Attributes
    ----------
    order : list of Node
    links_into : list of list of int
        By position, the operands of which the edge can be cut.
    links : list of Link
        All of these edges.
    never_cut : dict of int to list of int
        By position, the operands that differ between the runs, and of which the edge cannot be cut.
    starts : set of int or None
        Where each edge of a circuit must come from, or it carries the ablated value: what is given to the runs and
        differs. None: an edge carries something else than the ablated value, wherever it comes from.
    clean, ablated : list of array
        By position: the values of the clean run, and what takes their place.
    """

    def __init__(self, pair: Pair, ablation: str, floats: bool = False) -> None:
        self.pair, self._run = pair, pair.base
        self.order, self._operands, self._position = pair.order, pair.operands, pair.position
        self.clean: list[Array] = values_of(pair.base)
        corrupted: list[Array] = values_of(pair.other)
        varies = pair.reached
        by_run = ablation == "corrupted"
        any_kind = by_run and not floats
        can = {place for place in varies if any_kind or is_float(self.order[place].dtype)}
        ablated = ABLATIONS[ablation].array
        self.ablated = [ablated(value) if place in can else value for place, value in enumerate(corrupted)]
        read = [
            [] if pair.base.is_set(node) else list(dict.fromkeys(sources))
            for node, sources in zip(self.order, self._operands, strict=True)
        ]
        self.links_into = [[source for source in sources if source in can] for sources in read]
        self.links = [(source, reader) for reader, sources in enumerate(self.links_into) for source in sources]
        self.never_cut = {
            reader: fixed
            for reader, sources in enumerate(read)
            if (fixed := [source for source in sources if source in varies and source not in can])
        }
        self.starts = set(pair.leaves) if by_run else None

    def metric_of(self, values: list[Array]) -> float:
        """Return the metric among some values."""
        return float(values[-1])

    @property
    def metric(self) -> Node:
        """The metric, which is the last of the schedule."""
        return self.pair.metric

    def ends(self, link: Link) -> tuple[Node, Node]:
        """Return the node and the reader of an edge."""
        return self.order[link[0]], self.order[link[1]]

    def with_cut(self, links: Iterable[Link]) -> float:
        """Return the metric of the clean run in which these edges are cut, and no others."""
        cut = set(links)
        return self.metric_of(self.recomputed(self.clean, cut, {reader for _, reader in cut}))

    def recomputed(self, values: list[Array], cut: Collection[Link], readers: Iterable[int]) -> list[Array]:
        """Return the values of a run once some readers get other operands.

        Parameters
        ----------
        values : list of array
            Of a run, by position.
        cut : set of Link
            All edges that are cut now.
        readers : iterable of int
            The positions of nodes of which an edge is cut now and was not in that run, or the other way round.

        Returns
        -------
        list of array
            Only what depends on these readers was computed; and of that, only until it is equal again.
        """
        changed, order, operands, ablated = list(values), self.order, self._operands, self.ablated
        waiting, differing, place = set(readers), set[int](), self._position

        def positions() -> Iterator[int]:
            for position in range(min(waiting, default=len(order)), len(order)):
                if position in waiting or not differing.isdisjoint(
                    source for source in operands[position] if (source, position) not in cut
                ):
                    yield position
                    if not same_bits(changed[position], values[position]):
                        differing.add(position)

        def run_node(node: Node, forward: Any, *given: Array) -> Any:
            reader = place[node]
            return forward(
                *[
                    ablated[source] if (source, reader) in cut else value
                    for source, value in zip(operands[reader], given, strict=True)
                ]
            )

        def consume() -> None:
            for _ in evaluate(self._run, positions(), changed, run_node):
                pass

        quietly(consume)
        return changed
