"""The pictures of the graph that a page shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..diagram.picture import Detail, Picture, picture
from ..diagram.plain import plain_svg
from ..diagram.repeats import repeated
from ..text import visible

if TYPE_CHECKING:
    from ...graph import Node
    from ...inspector.trace import Trace

MOST_BOXES = 3500
"""A picture of more boxes than that is too slow to be looked at."""
_VIEWS: list[tuple[str, Detail, bool]] = [
    ("operations", "op", False),
    ("layers", "layer", False),
    ("repeats as one", "layer", True),
    ("outer scopes", 0, True),
]
_FEW_BOXES = 60  # fewer need not be collapsed further
_MOST_OPENED = 40  # layers, each of which can be opened in the picture of the others


def views_of(trace: Trace, place_of: Mapping[Node, int]) -> list[dict[str, Any]]:
    """Return pictures of the graph, each with fewer boxes than the one before; then those of one open layer."""
    views: list[dict[str, Any]] = []
    fewest = MOST_BOXES + 1
    layers: Picture | None = None
    for label, detail, repeats in _VIEWS:
        if fewest <= _FEW_BOXES and layers is not None:
            break
        if detail == "op" and len(place_of) >= fewest:
            continue  # a box a node
        seen = picture(trace.fetches, detail)
        seen = repeated(seen) if repeats else seen
        if len(seen.boxes) < fewest:
            fewest = len(seen.boxes)
            views.append(_view(label, seen, place_of))
            layers = seen if label == "layers" else layers
    if layers is None:
        return views
    collapsed = [box.scope.path for box in layers.boxes if box.scope is not None]
    if len(collapsed) <= _MOST_OPENED:
        for path in collapsed:
            opened = picture(trace.fetches, {"": "layer", path: "op"})
            views.append(_view("", opened, place_of) | {"opens": visible(path)})
    return views


def _view(label: str, seen: Picture, place_of: Mapping[Node, int]) -> dict[str, Any]:
    svg = plain_svg(seen)
    return {
        "label": label,
        "boxes": [[place_of[node] for node in box.nodes] for box in seen.boxes],
        "titles": [visible(box.scope.path if box.scope is not None else box.node.title) for box in seen.boxes],
        "frames": [visible(scope.path) for scope in seen.open_scopes()],
        "svg": svg[svg.index("<svg") :],
    }
