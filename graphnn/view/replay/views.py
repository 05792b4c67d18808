"""The pictures of the graph that a page shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..diagram.crop import of_phases
from ..diagram.picture import Detail, Picture, is_layer, picture
from ..diagram.plain import plain_svg
from ..diagram.repeats import repeated
from ..text import visible

if TYPE_CHECKING:
    from ...graph import Node, Scope
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
FORWARD = "forward layers"
"""What the page opens on, where there is more than a forward pass."""


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
    forward = _forward(layers)
    if len(forward.boxes) < len(layers.boxes):
        views.append(_view(FORWARD, forward, place_of))
    scopes = _layers_in(trace, layers)
    if len(scopes) <= _MOST_OPENED:
        for scope in scopes:
            opened = picture(trace.fetches, _with_open(scope, scopes))
            opened = _forward(opened) if scope.phase == "forward" else opened
            views.append(_view("", opened, place_of) | {"opens": visible(scope.path), "phase": scope.phase})
    return views


def _forward(seen: Picture) -> Picture:
    """Return the forward pass, if there is one."""
    return of_phases(seen, "forward") if any(box.phase == "forward" for box in seen.boxes) else seen


def _layers_in(trace: Trace, layers: Picture) -> list[Scope]:
    """Return the layers that are collapsed in a picture, and all layers in them, each after the one around it."""
    used = {box.scope.path for box in layers.boxes if box.scope is not None}
    inside = {node.scope for node in trace.order}
    found: list[Scope] = []
    for path, scope in trace.graph.scopes.items():
        around = scope.parent
        known = path in used or (around is not None and any(around is other for other in found) and is_layer(scope))
        if known and any(each == path or each.startswith(f"{path}/") for each in inside):
            found.append(scope)
    return found


def _with_open(scope: Scope, layers: Iterable[Scope]) -> dict[str, str]:
    """Return the detail that opens a layer, and those around it, by one level."""
    opened: set[str] = set()
    around: Scope | None = scope
    while around is not None:
        opened.add(around.path)
        around = around.parent
    return {"": "layer"} | {each.path: "op" if each.path in opened else "layer" for each in layers}


def _view(label: str, seen: Picture, place_of: Mapping[Node, int]) -> dict[str, Any]:
    svg = plain_svg(seen)
    return {
        "label": label,
        "boxes": [[place_of[node] for node in box.nodes] for box in seen.boxes],
        "titles": [visible(box.scope.path if box.scope is not None else box.node.title) for box in seen.boxes],
        "frames": [visible(scope.path) for scope in seen.open_scopes()],
        "svg": svg[svg.index("<svg") :],
    }
