"""The edges of a graph that carry a behaviour: `circuit`."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import networkx as nx
import numpy as np

from .._util.display import Shown
from .._util.text import counted, number, plain, quoted, short_name, short_repr, visible
from ..core.attributes import whole
from ..core.topological_order import schedule
from ..errors import UsageError, ValueRangeError, near
from .attribution import attributed
from .circuit_search import Found, by_scores, greedily
from .edge_substitution import ABLATIONS, Substituted
from .patch_places import Place
from .progress_line import Progress
from .run_pair import pair_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..core import Graph, Node
    from .edge_substitution import Link

_METHODS = ("attribution", "greedy")
_MOST_LINES, _LONGEST = 20, 40


class Kept(NamedTuple):
    """One edge of a circuit.

    Attributes
    ----------
    node, reader : Node
        Whose value it carries, and to where.
    effect : float
        How far the metric moves when the edge is ablated, as found by the search: greedy measures it with earlier cut
        edges ablated; attribution estimates it.
    needed : float
        How far the metric of the circuit moves when the edge is ablated, too, as a share of the gap: measured.
    """

    node: Node
    reader: Node
    effect: float
    needed: float

    @property
    def name(self) -> str:
        """The edge as text, ``scores → softmax``."""
        return f"{self.node.name} → {self.reader.name}"

    def __repr__(self) -> str:
        return f"<Kept {quoted(self.name)}, effect {number(self.effect)}>"


@dataclass(eq=False, repr=False)
class Circuit(Shown):
    """The edges that carry a behaviour, and how well they do. Made by `circuit`.

    The gap is the metric's difference between the clean run and all edges ablated.

    Attributes
    ----------
    metric : Node
    edges : list of Kept
        In the order of the schedule.
    others : list of (Node, Node)
        The edges that were left out: all others that carry something that depends on what differs between the runs.
    clean, ablated : float
        The metric of the clean run, and where all of these edges are ablated.
    alone, without : float
        The metric where all edges but those of the circuit are ablated, and where only those are.
    method : str
        ``"greedy"`` or ``"attribution"``.
    ablation : str
        What an ablated edge carries: ``"corrupted"``, ``"mean"`` or ``"zero"``.
    threshold : float
        The largest effect, in the unit of the metric, of an edge that was left out for it.
    """

    metric: Node
    edges: list[Kept]
    others: list[tuple[Node, Node]]
    clean: float
    ablated: float
    alone: float
    without: float
    method: str
    ablation: str
    threshold: float

    _instead_of_fetch = "circuit.metric is its node"

    @property
    def graph(self) -> nx.MultiDiGraph[str]:
        """The circuit as a graph of NetworkX, a new one each time.

        Its nodes are names, with the operation and the scope; its edges have the position of the operand as key, and
        ``effect`` and ``needed``.
        """
        found: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=self.metric.graph.name)
        for node in self.nodes:
            found.add_node(node.name, op=node.op.name, scope=node.scope)
        for edge in self.edges:
            for position, operand in enumerate(edge.reader.inputs):
                if operand is edge.node:
                    found.add_edge(operand.name, edge.reader.name, position, effect=edge.effect, needed=edge.needed)
        return found

    @property
    def nodes(self) -> list[Node]:
        """The nodes at the ends of the edges, in the order of the schedule."""
        ends = {node for edge in self.edges for node in (edge.node, edge.reader)}
        return sorted(ends, key=lambda node: node.index)

    @property
    def members(self) -> list[Node]:
        """The nodes at the ends of the edges, and all that these need that is never ablated, such as weights."""
        found = set(self.nodes)
        differing = found.union(node for ends in self.others for node in ends)
        order = schedule(self.metric)
        for node in reversed(order):
            if node in found:
                found.update(operand for operand in node.inputs if operand not in differing)
        return [node for node in order if node in found]

    @property
    def candidates(self) -> int:
        """How many edges there were to choose from."""
        return len(self.edges) + len(self.others)

    @property
    def faithfulness(self) -> float:
        """The share of the gap that is left where all but the circuit is ablated: 1, if it is the whole cause."""
        return (self.alone - self.ablated) / (self.clean - self.ablated)

    @property
    def completeness(self) -> float:
        """The share of the gap that is lost where only the circuit is ablated: 1, if nothing else carries any of it."""
        return (self.clean - self.without) / (self.clean - self.ablated)

    @property
    def minimality(self) -> float:
        """The share of the gap that the least needed edge carries: 0, if the circuit does as well without it."""
        return min(edge.needed for edge in self.edges)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, fit for JSON."""
        return {
            "graph": self.metric.graph.name,
            "metric": self.metric.name,
            "method": self.method,
            "ablation": self.ablation,
            "threshold": plain(self.threshold),
            "candidates": self.candidates,
            "clean": self.clean,
            "ablated": plain(self.ablated),
            "alone": plain(self.alone),
            "without": plain(self.without),
            "faithfulness": plain(self.faithfulness),
            "completeness": plain(self.completeness),
            "minimality": plain(self.minimality),
            "nodes": [node.name for node in self.nodes],
            "edges": [
                {
                    "node": edge.node.name,
                    "reader": edge.reader.name,
                    "effect": plain(edge.effect),
                    "needed": plain(edge.needed),
                }
                for edge in self.edges
            ],
        }

    def __repr__(self) -> str:
        kept = f"{len(self.edges):,} of {counted(self.candidates, 'edge')}"
        return (
            f"<Circuit of {quoted(self.metric.name)}: {kept}, faithfulness {self.faithfulness:.3g} ({self.ablation})>"
        )

    def __str__(self) -> str:
        return "\n".join(visible(line) if line else "" for line in _text(self))


def _text(found: Circuit) -> list[str]:
    shares = (
        ("faithfulness", found.faithfulness, "of the gap is left with the circuit alone", found.alone),
        ("completeness", found.completeness, "of it is lost without the circuit", found.without),
    )
    least = min(found.edges, key=lambda edge: edge.needed)
    lines = [
        f"{quoted(found.metric.name)}: {len(found.edges):,} of {counted(found.candidates, 'edge')}, by {found.method}",
        f"every other edge carries {ABLATIONS[found.ablation].said}",
        f"metric {number(found.clean)}, with all edges ablated {number(found.ablated)}",
        *[f"{name} {share:.3g} {what}, metric {number(metric)}" for name, share, what, metric in shares],
        f"minimality   {found.minimality:.3g} of it depends on {_short(least)}",
        "",
        "    effect  needed  edge",
    ]
    ranked = sorted(found.edges, key=lambda edge: -abs(edge.effect))
    lines += [f"{edge.effect:10.4g}  {edge.needed:6.3f}  {_short(edge)}" for edge in ranked[:_MOST_LINES]]
    if len(ranked) > _MOST_LINES:
        lines.append(f"and {len(ranked) - _MOST_LINES:,} more")
    return lines


def _short(edge: Kept) -> str:
    return " → ".join(short_name(node.name, _LONGEST) for node in (edge.node, edge.reader))


def circuit(
    metric: Node | str,
    clean: Any,
    corrupted: Any,
    *,
    keep: int | None = None,
    threshold: float | None = None,
    method: str = "attribution",
    steps: int | None = None,
    ablation: str = "corrupted",
    progress: Any = True,
    graph: Graph | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Circuit:
    """Find the edges that carry what a metric tells of the clean run, and not of the corrupted one.

    An edge is what one node reads of another. To ablate it is to give its reader another value there, and no other
    reader. Only edges can be in a circuit that carry something that depends on what differs between the runs.

    Parameters
    ----------
    metric : Node or str
        A single float, such as the difference of two logits.
    clean, corrupted : mapping of Node or str to array_like, or Trace
        The feeds of the two runs, of the same sizes; or traces of them, of which also the state is used.
    keep : int, optional
        The maximum number of edges that the circuit may have.
    threshold : float, optional
        Or the largest effect on the metric of an edge that is left out. One of the two is given.
    method : "attribution" or "greedy"
        ``"attribution"``: the effects of all edges are estimated by one backward pass; those that are larger than the
        threshold are kept, and of these all that lead from what differs to the metric. ``"greedy"``: from the metric
        backwards, an edge is ablated, and stays so if the metric moves by no more than the threshold; this takes a part
        of a run for each edge. With `keep`, the lowest threshold is taken that keeps so few.
    steps : int, optional
        For attribution: the effects are the means over so many backward passes between the two runs (integrated
        gradients), where one misses what saturates.
    ablation : "corrupted", "mean" or "zero"
        What an ablated edge carries: the value in the corrupted run, the mean of that along axis 0, or zeros. Edges
        with integers and booleans are ablated, and counted, only by ``"greedy"`` and ``"corrupted"``.
    progress : bool, None, stream or callable
        As in `effects`.
    graph, sizes
        As `run` takes them.

    Returns
    -------
    Circuit
        Printed, it is a table; ``gn.draw`` draws it.

    Raises
    ------
    UsageError
        When not one of `keep` and `threshold` is given, an argument is of the wrong kind, or nothing that the metric
        depends on differs between the runs.
    ShapeError
        When the metric is not a single number, or the runs have two sizes.
    GraphError
        When a trace is of another graph.
    ValueRangeError
        When the metric does not tell the runs apart, or no edge is left.

    Notes
    -----
    There need not be one circuit: of two paths that do the same, either is enough, and greedy keeps the one that it
    meets last. Two effects that cancel each other, on edges of their own, are kept by both methods; what cancels within
    one node before it reaches the metric is left out by both.

    An ablated edge inside of a softmax, such as that of its maximum, may let the exponentials overflow: the metric of
    the circuit is then NaN, and so is the faithfulness.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> x = g.placeholder("x")
    >>> used, unused = gn.exp(x), gn.sin(x) * 0.0
    >>> found = gn.circuit(used + unused, {x: 1.0}, {x: 0.0}, threshold=1e-9, method="greedy")
    >>> found
    <Circuit of "add": 2 of 5 edges, faithfulness 1 (corrupted)>
    >>> [edge.name for edge in found.edges], found.completeness, found.minimality
    (['x → exp', 'exp → add'], 1.0, 1.0)
    >>> list(found.graph.edges)
    [('x', 'exp', 0), ('exp', 'add', 0)]
    """
    keep, threshold = _checked(keep, threshold, method, ablation)
    if steps is not None:
        if method != "attribution":
            raise UsageError(f'steps= is for method="attribution", which takes gradients; "{method}" takes none')
        steps = whole("steps=", steps, 1)
    told = partial(Progress, progress)
    told("edges", 0)  # which checks it
    pair = pair_of(metric, clean, corrupted, False, graph, sizes)
    pair.check_differ()
    runs = Substituted(pair, ablation, floats=method == "attribution")
    whole_metric, ablated = runs.metric_of(runs.clean), runs.with_cut(runs.links)
    if not math.isfinite(whole_metric) or not math.isfinite(ablated) or whole_metric == ablated:
        raise ValueRangeError(
            f'"{runs.metric.name}" is {number(whole_metric)} in the clean run and {number(ablated)} with all edges '
            "ablated: a circuit carries the gap between two numbers"
        )
    if method == "greedy":
        found = greedily(runs, keep, threshold, told)
    else:
        found = by_scores(runs, _scores(runs, ablation, steps, told), keep, threshold)
    if not found.effects:
        said = "attribution sees" if threshold is None else f"threshold={number(threshold)} leaves"
        remedies = ["a smaller one", "keep="] if threshold is not None else []
        remedies += ["steps=", 'method="greedy"'] if method != "greedy" else []
        raise ValueRangeError(
            f"{said} no edge that leads to the metric, which is {number(whole_metric)}, and {number(ablated)} with all "
            f"edges ablated: give {' or '.join(remedies)}"
        )
    return _measured(runs, found, method, ablation)


def _measured(runs: Substituted, found: Found, method: str, ablation: str) -> Circuit:
    """Return the circuit with the numbers that are measured of it."""
    kept = set(found.effects)
    others = [link for link in runs.links if link not in kept]
    cut = set(others)
    values = runs.recomputed(runs.clean, cut, {reader for _, reader in cut})
    whole_metric, ablated, alone = runs.metric_of(runs.clean), runs.with_cut(runs.links), runs.metric_of(values)
    edges = []
    for link, effect in found.effects.items():
        moved = runs.metric_of(runs.recomputed(values, cut | {link}, [link[1]])) - alone
        edges.append(Kept(*runs.ends(link), effect, abs(moved / (whole_metric - ablated))))
    return Circuit(
        metric=runs.metric,
        edges=edges,
        others=[runs.ends(link) for link in others],
        clean=whole_metric,
        ablated=ablated,
        alone=alone,
        without=runs.with_cut(kept),
        method=method,
        ablation=ablation,
        threshold=found.threshold,
    )


def _checked(keep: Any, threshold: Any, method: Any, ablation: Any) -> tuple[int | None, float | None]:
    for what, given, known in (("a method", method, _METHODS), ("an ablation", ablation, ABLATIONS)):
        if not isinstance(given, str) or given not in known:
            raise UsageError(f"{short_repr(given)} is not {what}.{near(given, known)}")
    if (keep is None) == (threshold is None):
        raise UsageError("a circuit is found by keep=, the maximum number of edges, or threshold=: give one of the two")
    if keep is not None:
        return whole("keep=", keep, 1), None
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.integer, np.floating)):
        raise UsageError(f"threshold= is a number, not {type(threshold).__name__}")
    if not 0 <= threshold <= sys.float_info.max:
        raise ValueRangeError(f"threshold= is a finite number from 0 on, not {short_repr(threshold)}")
    return None, float(threshold)


def _scores(
    runs: Substituted, ablation: str, steps: int | None, progress: Callable[[str, int], Progress]
) -> dict[Link, float]:
    """Return how far the ablation of each edge moves the metric, to first order."""
    places = [Place(*runs.ends(link)) for link in runs.links]
    with progress("passes", steps or 1) as told:
        effects, _, _ = attributed(runs.pair, places, steps, told.tell, ABLATIONS[ablation].node)
    return dict(zip(runs.links, map(float, effects), strict=True))
