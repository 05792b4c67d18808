"""A part of a picture: the neighbourhood of some nodes, or some phases. The picture says what is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core import Node
from ...core.attributes import whole
from ...core.scopes import PHASES
from ...debugger.node_selection import many
from ...errors import NotFoundError, UsageError, near
from .draw_arguments import check_name

if TYPE_CHECKING:
    from .picture import Box, Edge, Picture


def of_phases(seen: Picture, phases: Any) -> Picture:
    """Return the part of a picture that belongs to some phases; what it reads from others is cut off.

    Parameters
    ----------
    seen : Picture
    phases : str or iterable of str
        Of `PHASES`.

    Raises
    ------
    UsageError
        When a phase is unknown.
    NotFoundError
        When nothing in the picture is of these phases.
    """
    wanted = tuple(phases) if isinstance(phases, (list, tuple, set, frozenset)) else (phases,)
    for phase in wanted or [None]:
        check_name("a phase", phase, PHASES)
    # A collapsed scope may hold nodes of several.
    phases_of = {box: {box.phase, *(node.phase for node in box.nodes)} for box in seen.boxes}
    kept = {box for box, found in phases_of.items() if not found.isdisjoint(wanted)}
    if not kept:
        there = [phase for phase in PHASES if any(phase in found for found in phases_of.values())]
        raise NotFoundError(f"nothing that the fetches need is {' or '.join(wanted)}.{near('', there)}")
    return part(seen, kept, [edge for edge in seen.edges if edge.head in kept])


def around(seen: Picture, focus: Any, radius: Any = 2) -> Picture:
    """Return the part of a picture within `radius` edges of some nodes; the rest is cut off.

    Parameters
    ----------
    seen : Picture
    focus : Node, str, or list of them
        As a trace's ``select`` takes it: a node or its name, a scope, an output, a pattern, an operation.
    radius : int

    Raises
    ------
    NotFoundError
        When the node is not in the picture.
    ValueRangeError
        When the radius is negative or not an integer.
    """
    far = whole("radius=", radius, 0)
    order = sorted((node for box in seen.boxes for node in box.seen), key=lambda node: node.index)
    if isinstance(focus, (list, tuple)) and not focus:
        raise UsageError("focus= names nothing")
    if isinstance(focus, Node) and focus in seen.whole and focus not in order:
        raise NotFoundError(f'"{focus.name}" is not in this picture: it is {focus.phase}')
    meant = set(many(order, seen.graph, focus, where="this picture"))
    beside: dict[Box, list[Box]] = {box: [] for box in seen.boxes}
    for edge in seen.edges:
        beside[edge.tail].append(edge.head)
        beside[edge.head].append(edge.tail)
    reached = [box for box in seen.boxes if not meant.isdisjoint(box.seen)]
    kept = set(reached)
    for _ in range(min(far, len(seen.boxes))):
        reached = list(dict.fromkeys(other for box in reached for other in beside[box] if other not in kept))
        kept.update(reached)
    return part(seen, kept, seen.edges)


def part(seen: Picture, kept: set[Box], crossing: Iterable[Edge]) -> Picture:
    """Return the picture of some boxes; of the edges in `crossing`, those with one end outside are its cuts."""
    return seen if len(kept) == len(seen.boxes) else part_with(seen, renumbered(seen, kept), crossing)


def renumbered(seen: Picture, kept: set[Box]) -> dict[Box, Box]:
    """Return some boxes with their places in a picture of them alone."""
    numbered = (box for box in seen.boxes if box in kept)
    return {box: replace(box, place=place) for place, box in enumerate(numbered)}


def part_with(seen: Picture, box_of: Mapping[Box, Box], crossing: Iterable[Edge]) -> Picture:
    """Return the picture of some boxes, as `renumbered` gives them."""
    kept = box_of.keys()

    def with_its(edge: Edge) -> Edge:
        return edge._replace(tail=box_of.get(edge.tail, edge.tail), head=box_of.get(edge.head, edge.head))

    return replace(
        seen,
        boxes=list(box_of.values()),
        edges=[with_its(edge) for edge in seen.edges if edge.tail in kept and edge.head in kept],
        cut=[with_its(edge) for edge in [*seen.cut, *crossing] if (edge.tail in kept) != (edge.head in kept)],
        whole=seen.whole or [node for box in seen.boxes for node in box.nodes],
    )
