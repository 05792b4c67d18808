"""Circuits and effects over a picture of their graph: marks of nodes, widths of edges, what the legend says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from ..core.topological_order import schedule
from ..view.diagrams.crop import part
from ..view.diagrams.overlay_types import OVERLAY, Mark, Overlay
from ..view.formatting import compact, counted
from .circuit import Circuit
from .effect_tables import Effects

if TYPE_CHECKING:
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
