"""The pictures of the graph that a page shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ...view.diagrams.boxes import picture
from ...view.diagrams.crop import of_phases
from ...view.diagrams.folded_calls import folded
from ...view.diagrams.picture import (
    CHOSEN,
    TRIED,
    BodyScope,
    Box,
    Detail,
    Picture,
    is_layer,
    scope_path,
    scopes_down_to,
)
from ...view.diagrams.repeated_blocks import repeated
from ...view.diagrams.svg import plain_svg
from ...view.formatting import visible

if TYPE_CHECKING:
    from ...core import Graph, Node, Scope
    from ...debugger.traces import Trace
    from .replayed_iterations import PageLoops

MOST_BOXES = 3500
"""A picture of more boxes than that is too slow to be looked at."""
MOST_OPENED = 2500
"""In all pictures of open layers together; none is opened of a picture of which not even five are that many."""
OPERATIONS, LEAVES, LAYERS = "operations", "innermost layers", "layers"
FORWARD = {LAYERS: "forward layers", LEAVES: "innermost forward layers", OPERATIONS: "forward operations"}
"""The forward pass alone, where there is more. The page opens on that of layers, or of operations if there are none."""
_DETAIL = {LEAVES: "leaf", LAYERS: "layer"}
_COARSER: list[tuple[str, Detail]] = [("repeats as one", "layer"), ("outer scopes", 0)]
_FEW_BOXES = 60  # fewer need not be collapsed further
_MOST_TRIED = 60


def views_of(trace: Trace, place_of: Mapping[Node, int], loops: PageLoops) -> list[dict[str, Any]]:
    """Return pictures of the graph, each with fewer boxes than the one before; then those of one open layer.

    Calls of one layer that follow each other are one box, except among all operations.
    """
    fewest = min(MOST_BOXES, len(place_of)) + 1
    views: list[dict[str, Any]] = []
    if len(place_of) < fewest:
        views.append(_view(OPERATIONS, picture(trace.fetches, opens=loops.by_loop), place_of, loops))
        fewest = len(place_of)
    levels = {label: _seen(trace, detail, loops) for label, detail in _DETAIL.items()}
    if len(levels[LEAVES].boxes) <= len(levels[LAYERS].boxes):
        del levels[LEAVES]
    for label, seen in list(levels.items()):
        if len(seen.boxes) < fewest:
            views.append(_view(label, seen, place_of, loops))
            fewest = len(seen.boxes)
        else:
            del levels[label]
    for label, detail in _COARSER:
        if fewest <= _FEW_BOXES and LAYERS in levels:
            break
        seen = repeated(_seen(trace, detail, loops))
        if len(seen.boxes) < fewest:
            views.append(_view(label, seen, place_of, loops))
            fewest = len(seen.boxes)
    whole = {} if LAYERS in levels else {OPERATIONS: picture(trace.fetches, opens=loops.by_loop)}
    for label, seen in (levels | whole).items():
        forward = _forward(seen)
        if len(forward.boxes) < min(len(seen.boxes), MOST_BOXES):
            views.append(_view(FORWARD[label], forward, place_of, loops))
    return views + list(_opened(trace, place_of, levels, loops))


def _seen(trace: Trace, detail: Detail, loops: PageLoops) -> Picture:
    return folded(picture(trace.fetches, detail, opens=loops.by_loop))


def _forward(seen: Picture) -> Picture:
    """Return the forward pass, if there is one."""
    return of_phases(seen, "forward") if any(box.phase == "forward" for box in seen.boxes) else seen


class _Layer(NamedTuple):
    """A collapsed layer.

    Attributes
    ----------
    level : str
    scope : Scope
        That of its first call.
    calls : frozenset of str
        The paths of all calls that are drawn as it.
    around : frozenset of str
        The paths of the layers that are open around it.
    """

    level: str
    scope: Scope
    calls: frozenset[str]
    around: frozenset[str] = frozenset()


def _opened(
    trace: Trace, place_of: Mapping[Node, int], levels: Mapping[str, Picture], loops: PageLoops
) -> Iterator[dict[str, Any]]:
    """Yield pictures with one layer and those around it open: outer layers first, and those of the forward pass."""
    queues = [deque[_Layer]() for _ in range(4)]
    for label, seen in levels.items():
        for layer in _collapsed(seen, label) if 5 * len(seen.boxes) <= MOST_OPENED else ():
            queues[2 * (layer.scope.phase != "forward") + (label == LEAVES)].append(layer)
    room, tried = MOST_OPENED, 0
    while any(queues) and tried < _MOST_TRIED:
        queue = next(filter(None, queues))
        layer, tried = queue.popleft(), tried + 1
        seen = _seen(trace, _with_open(layer, trace.graph), loops)
        if any(each.scope.path == layer.scope.path for each in _collapsed(seen, layer.level)):
            continue  # it stays collapsed, as what is in a loop inside a loop has no values here
        inner = _collapsed(seen, layer.level, layer)
        seen = _forward(seen) if layer.scope.phase == "forward" else seen
        if len(seen.boxes) <= room:
            room -= len(seen.boxes)
            queue.extend(inner)
            what = {"opens": visible(layer.scope.path), "level": layer.level, "phase": layer.scope.phase}
            yield _view("", seen, place_of, loops) | what


def _collapsed(seen: Picture, level: str, within: _Layer | None = None) -> list[_Layer]:
    """Return the collapsed layers of a picture; those in an open one, if that is given."""
    found, around = [], frozenset[str]() if within is None else within.around | within.calls
    for box in seen.boxes:
        known = box.scope.known if isinstance(box.scope, BodyScope) else None
        if box.scope is not None and is_layer(box.scope) and known in (None, *seen.graph.scopes):
            outer = {scope.path for scope in scopes_down_to(box.scope.parent)}
            if within is None or not outer.isdisjoint(within.calls):
                found.append(_Layer(level, box.scope, frozenset(call for call, _ in _calls(box)), around))
    return found


def _calls(box: Box) -> Iterator[tuple[str, int]]:
    """Yield the calls, one after the other, that a box is of: what each is called, and how many nodes it has."""
    if box.gives or isinstance(box.scope or box.around, BodyScope):
        yield box.scope.known if isinstance(box.scope, BodyScope) else scope_path(box.scope), len(box.nodes)
        return
    depth = None if box.scope is None else box.scope.path.count("/") + 1
    for call, nodes in groupby(box.nodes, lambda node: node.name if depth is None else _cut(node.scope, depth)):
        yield call, sum(1 for _ in nodes)


def _cut(path: str, depth: int) -> str:
    return "/".join(path.split("/", depth)[:depth])


def _with_open(layer: _Layer, graph: Graph) -> dict[str, str]:
    """Return the detail that opens a layer, and those around it, by one level."""
    level, opened = _DETAIL[layer.level], layer.calls | layer.around
    detail = {"": level} | dict.fromkeys(opened, "op")
    for scope in graph.scopes.values():
        outer = [one.path for one in scopes_down_to(scope.parent) if is_layer(one) and one.kind not in (TRIED, *CHOSEN)]
        is_side = scope.kind in CHOSEN  # a branch is opened with its sides
        if is_layer(scope) and not is_side and scope.path not in opened and outer and outer[-1] in opened:
            detail[scope.path] = level
    return detail


def _view(label: str, seen: Picture, place_of: Mapping[Node, int], loops: PageLoops) -> dict[str, Any]:
    boxes = [loops.places_of(box, seen, place_of) for box in seen.boxes]
    svg, calls = plain_svg(seen), {box.place: [size for _, size in _calls(box)] for box in seen.boxes}
    return {
        "label": label,
        "boxes": boxes,
        "calls": {place: sizes for place, sizes in calls.items() if len(sizes) > 1},
        "titles": [visible(box.scope.path if box.scope is not None else box.nodes[0].title) for box in seen.boxes],
        "frames": [visible(scope.path) for scope in seen.open_scopes()],
        "svg": svg[svg.index("<svg") :],
    }
