"""What an author adds to a page: a guided tour, and numbers that are hidden for an exercise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..._util.text import quoted, short_repr
from ...core import Node
from ...errors import NotFoundError, UsageError
from ...view.formatting import visible

if TYPE_CHECKING:
    from .page_data import Maker

_MOST_TEXT = 4000


def stations(maker: Maker, tour: Any) -> list[list[Any]]:
    """Return the stations of a tour: places, and what is said of each.

    Raises
    ------
    UsageError
        When it is not a sequence of pairs of a node and a text.
    NotFoundError
        When a node has not run.
    """
    if isinstance(tour, (str, bytes)) or not isinstance(tour, Sequence):
        raise UsageError(f"tour= is a list of (node, text), not {type(tour).__name__}")
    found = []
    for station in tour:
        if not (isinstance(station, (tuple, list)) and len(station) == 2 and isinstance(station[1], str)):
            raise UsageError(f"a station of tour= is (node, text); got {short_repr(station)}")
        if len(station[1]) > _MOST_TEXT:
            raise UsageError(f"what is said at a station of tour= has at most {_MOST_TEXT:,} characters")
        said = "\n".join(visible(line) for line in station[1].splitlines())
        found.append([_place_of(maker, station[0], "tour="), said])
    return found


def hidden(maker: Maker, hide: Any) -> list[int]:
    """Return the places whose numbers are hidden.

    Raises
    ------
    UsageError
        When it is not a sequence of nodes.
    NotFoundError
        When a node has not run.
    """
    if isinstance(hide, (str, bytes, Node)) or not isinstance(hide, Sequence):
        raise UsageError(f"hide= is a list of nodes, such as hide=[node], not {type(hide).__name__}")
    return [_place_of(maker, node, "hide=") for node in hide]


def _place_of(maker: Maker, node: Any, what: str) -> int:
    if not isinstance(node, (str, Node)):
        raise UsageError(f"{what} takes a node or its name, not {type(node).__name__}")
    known = node if isinstance(node, Node) else _named(maker, node)
    if known not in maker.place_of:
        name = known.name if isinstance(known, Node) else node
        raise NotFoundError(f"{what} names {quoted(str(name))}, which has not run here")
    return maker.place_of[known]


def _named(maker: Maker, name: str) -> Node | None:
    try:
        return maker.first.graph[name]
    except NotFoundError:
        return next((node for node in maker.order if maker.loops.name_of(node) == name), None)
