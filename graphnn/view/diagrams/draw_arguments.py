"""Checks of the arguments of `draw`."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

from ..._util.text import short_repr
from ...control_flow.iteration_names import NodeInside
from ...core import Graph, Node
from ...core.attributes import whole
from ...errors import NotFoundError, UsageError, ValueRangeError, near
from .box_text import settings
from .style import HIGHLIGHTS, Highlight

if TYPE_CHECKING:
    from ...debugger.traces import Trace
    from .picture import Picture

_LONGEST = 86_400.0  # seconds
_MOST_DOTS = 1200


def check_name(what: str, given: Any, known: Collection[str]) -> None:
    """Raise a UsageError unless a name is one of those known."""
    if not isinstance(given, str) or given not in known:
        raise UsageError(f"{short_repr(given)} is not {what}.{near(given, known)}")


def boxes_asked(limit: Any) -> int | None:
    """Return the largest number of boxes; None if it was not given."""
    return None if limit is None else whole("limit=", limit, 1)


def seconds_asked(timeout: Any) -> float:
    """Return how long Graphviz may take."""
    try:
        seconds = float(timeout)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0.0 < seconds <= _LONGEST or isinstance(timeout, (bool, str)):
        raise ValueRangeError(
            f"timeout= is a number of seconds, more than 0 and at most a day, not {short_repr(timeout)}"
        )
    return seconds


def dots_asked(dpi: Any) -> float:
    """Return how many dots an inch of a bitmap has."""
    if isinstance(dpi, bool) or not isinstance(dpi, (int, float)) or not 1 <= dpi <= _MOST_DOTS:
        raise ValueRangeError(f"dpi= is a number of dots an inch, from 1 to {_MOST_DOTS:,}, not {short_repr(dpi)}")
    return float(dpi)


def set_by_hand(trace: Trace) -> dict[Node, Highlight]:
    """Return the marks of what a what-if changed: a value, or the attributes of an operation."""
    return {
        node: ("overridden", "set by hand" if op is None else f"now {', '.join(settings(op)) or 'as by default'}")
        for node, op in trace.prepared.overridden.items()
    }


def highlighted(highlight: Any, seen: Picture) -> tuple[dict[Node, Highlight], list[tuple[Node, Node]]]:
    """Return the mark of each node; and of a way, each value with what reads it."""
    if isinstance(highlight, Mapping):
        marks = {_meant(key, seen.graph): _mark(mark) for key, mark in highlight.items()}
        way: list[tuple[Node, Node]] = []
    else:
        given = [highlight] if isinstance(highlight, (Node, str)) else highlight
        if not isinstance(given, Iterable):
            raise UsageError(f"highlight= is a dict of nodes or a list of them, not {type(given).__name__}")
        nodes = [_meant(key, seen.graph) for key in given]
        # Of what has no order, all edges.
        pairs = pairwise(nodes) if isinstance(given, Sequence) else permutations(nodes, 2)
        both = [pair if pair[0] in pair[1].inputs else pair[::-1] for pair in pairs]
        marks, way = dict.fromkeys(nodes, "way"), [pair for pair in both if pair[0] in pair[1].inputs]
    if marks and not any(node in marks for box in seen.boxes for node in box.seen):
        raise NotFoundError("nothing that is highlighted is in the picture")
    return marks, way


def _meant(key: Any, graph: Graph) -> Node:
    node = graph[key] if isinstance(key, str) else key
    if isinstance(node, NodeInside):
        raise UsageError(
            f'"{node.name}" is in an iteration, and a picture has one box for all of them: highlight the loop, '
            f'"{node.loop.name}"'
        )
    if not isinstance(node, Node):
        raise UsageError(f"what is highlighted is a node or its name, not {type(key).__name__}")
    if node.graph is not graph:
        raise NotFoundError(f'"{node.name}" is a node of "{node.graph.name}", and this picture is of "{graph.name}"')
    return node


def _mark(given: Any) -> Highlight:
    kind, *lines = given if isinstance(given, (tuple, list)) and given else [given]
    if not isinstance(kind, str) or kind not in HIGHLIGHTS:
        raise UsageError(f"no node can be highlighted as {short_repr(kind)}.{near(kind, HIGHLIGHTS)}")
    if not all(isinstance(line, str) for line in lines):
        raise UsageError(f'what is said on a box is text, as in ("{kind}", "0 / 0"); got {short_repr(given)}')
    return kind if isinstance(given, str) else (kind, *lines)
