"""The elements of an SVG picture: rectangles, other outlines, and lines with round corners."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..layout.layout_types import Point

LID, CUT = 4.0, 6.0
_TURN = 6.0


def n(value: float) -> str:
    """Return a length as text."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def rectangle(x: float, y: float, width: float, height: float, corner: float, paint: str) -> str:
    """Return a rectangle; its corners may be round."""
    rounded = f' rx="{n(corner)}"' if corner else ""
    return f'<rect x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"{rounded}{paint}/>'


def row_of_cells(x: float, y: float, width: float, height: float, colours: Sequence[str]) -> list[str]:
    """Return a row of cells, those of one colour that stand together as one.

    Each goes on below those after it: what is behind would be seen between two that only touch.
    """
    starts = [i for i in range(len(colours)) if i == 0 or colours[i] != colours[i - 1]]
    return [
        rectangle(x + start * width, y, (len(colours) - start) * width, height, 0.0, f' fill="{colours[start]}"')
        for start in starts
    ]


def cylinder(x: float, y: float, width: float, height: float, paint: str) -> str:
    """Return the outline of a cylinder."""
    top, bottom, right, bulge = y + LID, y + height - LID, x + width, LID * 4 / 3

    def arc(start: float, end: float, level: float, by: float) -> str:
        return f"C{n(start)} {n(level + by)} {n(end)} {n(level + by)} {n(end)} {n(level)}"

    walls = f"M{n(x)} {n(top)}L{n(x)} {n(bottom)}{arc(x, right, bottom, bulge)}L{n(right)} {n(top)}"
    lid = f"{arc(right, x, top, bulge)}{arc(x, right, top, -bulge)}{arc(right, x, top, bulge)}"
    return f'<path d="{walls}{lid}"{paint}/>'


def octagon(x: float, y: float, width: float, height: float, paint: str) -> str:
    """Return a rectangle with its corners cut off."""
    cut, right, bottom = CUT, x + width, y + height
    corners = [
        (x + cut, y), (right - cut, y), (right, y + cut), (right, bottom - cut),
        (right - cut, bottom), (x + cut, bottom), (x, bottom - cut), (x, y + cut),
    ]  # fmt: skip
    return polygon(corners, paint)


def polygon(corners: Iterable[Point], paint: str) -> str:
    """Return a polygon."""
    return f'<polygon points="{" ".join(f"{n(x)},{n(y)}" for x, y in corners)}"{paint}/>'


def path(points: Sequence[Point], sideways: bool) -> str:
    """Return a line through points; it leaves each and arrives at each along the flow. Corners are round."""
    x, y = points[0]
    parts = [f"M{n(x)} {n(y)}"]
    for place, (next_x, next_y) in enumerate(points[1:], start=1):
        if abs(next_x - x) < 1 or abs(next_y - y) < 1:
            after = points[place + 1] if place + 1 < len(points) else None
            parts.append(_corner((x, y), (next_x, next_y), after) or f"L{n(next_x)} {n(next_y)}")
        else:
            middle = (x + next_x) / 2 if sideways else (y + next_y) / 2
            bends = [(middle, y), (middle, next_y)] if sideways else [(x, middle), (next_x, middle)]
            parts.append("C" + " ".join(f"{n(one)} {n(other)}" for one, other in [*bends, (next_x, next_y)]))
        x, y = next_x, next_y
    return "".join(parts)


def _corner(before: Point, here: Point, after: Point | None) -> str:
    """Return a line that ends in a round corner, if it turns off by a right angle; else nothing."""
    if after is None:
        return ""
    (x, y), (in_x, in_y), (out_x, out_y) = here, before, after
    upright = in_x == x != out_x and in_y != y == out_y
    level = in_y == y != out_y and in_x != x == out_x
    if not upright and not level:
        return ""
    reach = min(_TURN, (abs(in_x - x) + abs(in_y - y)) / 2, (abs(out_x - x) + abs(out_y - y)) / 2)
    ends = []
    for other_x, other_y in (before, after):
        ends.append(
            (
                x + math.copysign(reach, other_x - x) * (other_x != x),
                y + math.copysign(reach, other_y - y) * (other_y != y),
            )
        )
    (begin_x, begin_y), (end_x, end_y) = ends
    inner = [((begin_x + 2 * x) / 3, (begin_y + 2 * y) / 3), ((end_x + 2 * x) / 3, (end_y + 2 * y) / 3), (end_x, end_y)]
    return f"L{n(begin_x)} {n(begin_y)}C" + " ".join(f"{n(one)} {n(other)}" for one, other in inner)
