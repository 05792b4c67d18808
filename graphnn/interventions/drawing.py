"""How circuits and effects are drawn: over a picture of their graph, in a notebook, as a plot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from .._util.call_errors import explain_misuse
from .._util.display import HTML
from ..core.topological_order import schedule
from ..errors import DrawingError, UsageError
from ..view.diagrams.crop import part
from ..view.diagrams.draw import draw
from ..view.diagrams.overlay_types import OVERLAY, Mark, Overlay
from ..view.formatting import compact, counted
from ..view.heatmap import heatmap
from ..view.notebook import MOST_BOXES, PATIENCE, code, framed, page
from ..view.plots import PLOT, in_colours, plain
from .circuit import Circuit
from .effect_tables import Effects, column_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..core import Node
    from ..view.diagrams.picture import Edge, Picture

_SEEN = 0.01  # of the largest effect of an edge: what is less is pale


def _alone(seen: Picture, circuit: Circuit) -> Picture:
    """Return the part of a picture that is a circuit, with what its nodes need that is never ablated.

    All the rest is left out, so nothing is marked as cut off.
    """
    inside, left_out = set(circuit.members), set(circuit.others)
    found = part(seen, {box for box in seen.boxes if not inside.isdisjoint(box.nodes)}, ())

    def belongs(edge: Edge) -> bool:
        readers = [node for node in edge.head.nodes if node in inside and edge.node in node.inputs]
        return any((edge.node, reader) not in left_out for reader in readers)

    return replace(found, edges=[edge for edge in found.edges if belongs(edge)], cut=[])


def _members(circuit: Circuit) -> dict[Node, Mark]:
    inside = set(circuit.members)
    return {node: Mark("", level="fed" if node in inside else "outside") for node in schedule(circuit.metric)}


def _of_circuit(circuit: Circuit, _: Mapping[Node, Mark]) -> str:
    kept = f"{len(circuit.edges):,} of {counted(circuit.candidates, 'edge')}"
    others = {"corrupted": "corrupted", "mean": "by their means", "zero": "zero"}[circuit.ablation]
    shares = f"faithfulness {circuit.faithfulness:.3g}, completeness {circuit.completeness:.3g}"
    return f"circuit: {kept}, the others {others}; {shares}"


def _edges(circuit: Circuit) -> dict[tuple[Node, Node], float | None]:
    inside = set(circuit.members)
    pale = [(node, reader) for reader in schedule(circuit.metric) if reader not in inside for node in reader.inputs]
    kept = {(edge.node, edge.reader): edge.effect for edge in circuit.edges}
    return {**dict.fromkeys([*pale, *circuit.others], None), **kept}


def _effects(effects: Effects) -> dict[Node, Mark]:
    """Return the effect of each node, or of the part of it that has the largest."""
    marks: dict[Node, Mark] = {}
    for place, value, share in sorted(effects, key=lambda effect: abs(effect.value)):
        if place.reader is None:
            part = "" if place.index is None else f"\nof {place.name.removeprefix(place.node.name)}"
            of_gap = f", {round(share * 100)}%" if math.isfinite(share) else ""
            marks[place.node] = Mark(f"{compact(value)}{of_gap}{part}", value)
    return marks


def _of_effects(effects: Effects, _: Mapping[Node, Mark]) -> str:
    ends = [compact(effects.corrupted), compact(effects.clean)]
    base, other = ends if effects.direction == "denoise" else ends[::-1]
    said = f"{effects.method} effects ({effects.direction})"
    return f"{said}: how far the metric moves from {base}, and what share of the way to {other}"


def _effects_of_edges(effects: Effects) -> dict[tuple[Node, Node], float | None]:
    found: dict[tuple[Node, Node], float | None] = {}
    for place, value, _ in sorted(effects, key=lambda effect: abs(effect.value)):
        if place.reader is not None:
            found[place.node, place.reader] = value
    least = _SEEN * max(
        [abs(value) for value in found.values() if value is not None and math.isfinite(value)], default=0.0
    )
    return {ends: value if value is not None and abs(value) > least else None for ends, value in found.items()}


OVERLAY.give(Circuit, "circuit")(
    Overlay(
        {Circuit: (_of_circuit, _members)},
        compact,
        "level",
        key={"outside": "pale is what was left out, and what only that reads"},
        lines=_edges,
        of_lines="how far the metric moves if the edge is ablated",
        fetches=attrgetter("metric"),
        alone=_alone,
    )
)
OVERLAY.give(Effects, "effects")(
    Overlay(
        {Effects: (_of_effects, _effects)},
        compact,
        "largest",
        "signed",
        lines=_effects_of_edges,
        of_lines="how far the metric moves if the edge is patched (pale: next to nothing)",
        fetches=attrgetter("metric"),
    )
)


@HTML.give(Circuit)
def circuit_as_html(circuit: Circuit) -> str:
    """Return a circuit as HTML: its diagram, alone, and what is printed of it."""
    try:
        svg = draw(circuit, alone=True, limit=MOST_BOXES, timeout=PATIENCE).svg()
    except DrawingError:
        svg = ""
    return page([*([framed(svg)] if svg else []), code(str(circuit))])


@HTML.give(Effects)
def effects_as_html(effects: Effects) -> str:
    """Return effects as HTML: what is printed of them, and of parts along an axis a heatmap, such as layer by head."""
    try:
        grid = effects.grid()
    except UsageError:  # they are not of such parts
        return page([code(str(effects))])
    return page([code(str(effects)), heatmap(grid.values, [grid.rows, column_names(effects, grid.columns)])])


@PLOT.give("effects")
@explain_misuse
def effects(found: Effects, *, title: str | None = None) -> Figure:
    """Return effects of parts along an axis as a table in colours: layer by head, layer by position.

    Parameters
    ----------
    found : Effects
        Of places as `gn.patches.each` gives them, for one node or several.
    title : str, optional
        The name of the metric, unless given.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each node, a column for each index. As in heatmaps, orange is above 0 and blue is below. The numbers
        are written where there are few.

    Raises
    ------
    DrawingError
        When matplotlib is not installed. (A RuntimeError.)
    UsageError
        When there are places that are not such parts.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x", (2, 3))
    >>> total = gn.sum(x * [0.0, 1.0, 2.0])
    >>> found = gn.effects(total, {x: [[1.0] * 3] * 2}, {x: [[0.0] * 3] * 2}, over=gn.patches.each(x, 1))
    >>> [label.get_text() for label in effects(found).axes[0].get_yticklabels()]
    ['x']
    """
    if not isinstance(found, Effects):
        raise UsageError(f"effects draws what gn.effects gives, not {type(found).__name__}")
    grid = found.grid()
    return in_colours(
        grid.values, grid.rows, column_names(found, grid.columns), title or f"Effects on {plain(found.metric.title)}"
    )
