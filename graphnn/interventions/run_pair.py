"""The two runs that interventions are between, checked before anything is computed, and their values."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import quoted
from ..core import Array, Graph, Node
from ..core.fetches import resolve
from ..core.symbolic_shapes import shown
from ..debugger.traces import Trace
from ..debugger.what_if_runs import in_state_of
from ..errors import GraphError, ShapeError, UsageError
from ..runtime.evaluation_loop import Prepared, evaluate
from ..runtime.feed import prepare

if TYPE_CHECKING:
    from ..runtime.feed import Feed


class Pair:
    """Two runs of one scalar: the one that is patched, and the one whose values come in.

    Attributes
    ----------
    metric : Node
    base, other : Prepared
        Of the run that is patched, and of the other one.
    order : list of Node
        The schedule, which is that of both.
    operands, readers : list of tuple of int
        By position, the positions of what a node reads, and of what reads it.
    """

    def __init__(self, metric: Node, base: Prepared, other: Prepared) -> None:
        self.metric, self.base, self.other = metric, base, other
        program = base.program
        self.order, self.operands = program.order, program.operands
        self.position = {node: i for i, node in enumerate(self.order)}
        readers: list[dict[int, None]] = [{} for _ in self.order]
        for i, sources in enumerate(self.operands):
            for source in sources:
                readers[source][i] = None
        self.readers = [tuple(found) for found in readers]

    @property
    def graph(self) -> Graph:
        """The graph of both runs."""
        return self.base.program.graph

    @cached_property
    def leaves(self) -> set[int]:
        """The positions of what the runs differ in: what is fed, parameters, and what was changed by hand."""
        return {i for i, node in enumerate(self.order) if self._differs(node)}

    def _differs(self, node: Node) -> bool:
        base, other = self.base, self.other
        if node in base.overridden or node in other.overridden:
            ops = [run.overridden.get(node, node.op) for run in (base, other)]
            if ops[0] != ops[1]:
                return True
        a, b = base.given.get(node), other.given.get(node)
        return a is not None and b is not None and not same_bits(a, b)

    @cached_property
    def reached(self) -> set[int]:
        """The positions of what those reach: only there can values differ."""
        return self.below(self.leaves)

    def below(self, positions: Iterable[int]) -> set[int]:
        """Return some positions and those of all that depends on them."""
        found = set(positions)
        waiting = list(found)
        while waiting:
            for reader in self.readers[waiting.pop()]:
                if reader not in found:
                    found.add(reader)
                    waiting.append(reader)
        return found

    def check_differ(self) -> None:
        """Refuse two runs that are given the same.

        Raises
        ------
        UsageError
        """
        if not self.leaves:
            raise UsageError(
                f'the clean and the corrupted run do not differ in anything that "{self.metric.name}" depends on. '
                "Give two runs that differ there"
            )


def same_bits(a: Array, b: Array) -> bool:
    """Return whether two arrays of one dtype are equal to the bit: NaN equals itself, and 0 is not -0."""
    bits = f"u{a.itemsize}"
    return a is b or np.array_equal(a.view(bits), b.view(bits))


def values_of(prepared: Prepared, wanted: Container[int] | None = None) -> list[Any]:
    """Return the values of a run by position: all, or those wanted, with None for the others."""
    found: list[Any] = [None] * len(prepared.program.order)

    def consume() -> None:
        for step in evaluate(prepared):
            if wanted is None or step.index in wanted:
                found[step.index] = step.value
            del step

    quietly(consume)
    return found


def pair_of(
    metric: Any,
    clean: Feed | Trace,
    corrupted: Feed | Trace,
    denoise: bool,
    graph: Graph | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Pair:
    """Return the two runs of a metric, each given as a feed or as a trace of the graph.

    Parameters
    ----------
    metric : Node or str
        A number: of shape ``()``.
    clean, corrupted : mapping or Trace
    denoise : bool
        Whether the corrupted run is the one that is patched; else the clean one is.
    graph, sizes
        As `run` takes them.

    Raises
    ------
    UsageError, GraphError, NotFoundError
        When the metric is not a node, or a run is not of its graph.
    ShapeError, DtypeError
        When the metric is not a number, a feed does not fit, or the runs have different sizes.
    """
    if not isinstance(metric, (Node, str)):
        raise UsageError(f"a metric is one node or its name, not {type(metric).__name__}")
    given = {"clean": clean, "corrupted": corrupted}
    keys: list[Any] = []
    for name, run in given.items():
        if isinstance(run, Trace):
            keys += run.order[:1]
        elif isinstance(run, Mapping):
            keys += run
        else:
            raise UsageError(f"the {name} run is a feed, {{placeholder: array}}, or a trace, not {type(run).__name__}")
    graph, (node,), _ = resolve([metric], graph, keys)
    if node.shape != ():
        raise ShapeError(
            f'a metric is one number, and "{node.name}" has shape {shown(node.shape)}: reduce it (gn.mean, gn.sum), or '
            "take one element of it",
            node=node,
        )
    runs = [_prepared(graph, node, run, name, sizes) for name, run in given.items()]
    _check_sizes(*runs)
    return Pair(node, *(runs[::-1] if denoise else runs))


def _prepared(graph: Graph, metric: Node, run: Any, name: str, sizes: Mapping[str, int] | None) -> Prepared:
    if not isinstance(run, Trace):
        return prepare(graph, [metric], run, sizes).with_own_feed()
    if run.graph is not graph:
        raise GraphError(
            f"the {name} run is a trace of {'another' if run.graph.name == graph.name else 'the'} graph "
            f'{quoted(run.graph.name)}, and "{metric.name}" is a node of {quoted(graph.name)}'
        )
    recorded = run.checked_run()
    fed = {node: recorded.given[node] for node in graph.placeholders if node in recorded.given}
    return in_state_of(prepare(graph, [metric], fed, {**recorded.sizes, **(sizes or {})}), recorded)


def _check_sizes(clean: Prepared, corrupted: Prepared) -> None:
    names = clean.program.dimension_names
    unequal = [name for name in names if clean.sizes.get(name) != corrupted.sizes.get(name)]
    if unequal:
        listed = ", ".join(f"{name} = {clean.sizes[name]} and {corrupted.sizes[name]}" for name in unequal)
        raise ShapeError(
            f"the clean and the corrupted run have different sizes, {listed}: the value of a node in one does not fit "
            "into the other. Give feeds of the same shapes, padded if need be"
        )
