"""A picture as JSON: what is where, in the form in which Graphviz says it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from .svg_elements import n

if TYPE_CHECKING:
    from .svg_painting import Group, Painted

_INCH = 72


def json_of(picture: Painted, name: str) -> bytes:
    """Return the frames, boxes and edges of a picture, with their places.

    Lengths are in points from the left lower corner on, but those of ``width`` and ``height`` in inches, as Graphviz
    has them. The ``bb`` of a frame is left, bottom, right and top; a folded one has several, in ``pieces``. The ``pos``
    of a box is its middle, and that of an edge its end, after an ``e``, and the knots of its curves.
    """
    height = picture.height
    things: dict[str, dict[str, Any]] = {}
    edges: list[dict[str, Any]] = []
    for group in picture.groups:
        if "->" in group.name:
            edges.append(_edge(group, height) | {"_gvid": len(edges)})
        elif group.name and not group.name.startswith("cluster_beside"):
            known = things.setdefault(group.name, {"_gvid": len(things), "name": group.name})
            known |= _frame(group, height) if group.name.startswith("cluster") else _box(group, height)
            known["tooltip"] = group.tip
    drawn = {"name": name, "directed": True, "bb": f"0,0,{n(picture.width)},{n(height)}"}
    for edge in edges:
        edge |= {end: things[edge[end]]["_gvid"] for end in ("tail", "head")}
    return json.dumps(drawn | {"objects": list(things.values()), "edges": edges}, indent=1, ensure_ascii=False).encode()


def _said(group: Group) -> dict[str, Any]:
    return {"label": "\n".join(text.said for text in group.texts)} if group.texts else {}


def _frame(group: Group, height: float) -> dict[str, Any]:
    pieces = []
    for outline in group.outlines:
        left, top, right, bottom = outline.around
        pieces.append(f"{n(left)},{n(height - bottom)},{n(right)},{n(height - top)}")
    return _said(group) | ({"bb": pieces[0]} if pieces else {}) | ({"pieces": pieces} if len(pieces) > 1 else {})


def _box(group: Group, height: float) -> dict[str, Any]:
    lefts, tops, rights, bottoms = zip(*(mark.around for mark in group.outlines or group.texts), strict=True)
    left, top, right, bottom = min(lefts), min(tops), max(rights), max(bottoms)
    size = {"width": n((right - left) / _INCH), "height": n((bottom - top) / _INCH)}
    return _said(group) | {"pos": f"{n((left + right) / 2)},{n(height - (top + bottom) / 2)}"} | size


def _edge(group: Group, height: float) -> dict[str, Any]:
    tail, _, head = group.name.partition("->")
    line, *arrow = (outline.knots for outline in group.outlines)
    tip = max(arrow[0], key=lambda knot: math.dist(knot, line[-1])) if arrow else line[-1]
    places = " ".join(f"{n(x)},{n(height - y)}" for x, y in line)
    pos = f"e,{n(tip[0])},{n(height - tip[1])} {places}"
    return _said(group) | {"tail": tail, "head": head, "pos": pos, "tooltip": group.tip}
