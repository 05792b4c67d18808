"""Pages: a picture that fills a slide or a sheet, and what has no room on one of them on several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any

from ..._util.text import short_repr
from ...core.scopes import PHASES
from ...errors import UsageError
from .crop import part_with, renumbered
from .picture import scopes_down_to
from .svg import has_room, shares_of_page

if TYPE_CHECKING:
    from ..layout.layout_types import Point
    from .picture import Box, Picture
    from .shapes import Manner

# Of a slide, the longer side in points: 1,280 pixels.
_LONGER_SIDE = 960.0
_SHEETS = {"A3": (841.89, 1190.55), "A4": (595.28, 841.89), "A5": (419.53, 595.28), "letter": (612.0, 792.0)}
_LANDSCAPE = " landscape"
_MOST_UNEQUAL = 10.0
_ROOM_FOR_NUMBER = "page 99 of 99"
# What boxes usually take of a page that is full, and by which part of them more or fewer are tried.
_USUAL_SHARE, _FURTHER = 0.55, 6
# Of the boxes that have room on a page, how many may be left to the next one, for a better place to turn the page.
_LEFT = 0.4
# By how much pages that are to be alike may differ.
_UNEVEN = 1.25
# What it costs to turn it there: a line that is cut, a frame that is, and a phase that is not at its end.
_LINE, _FRAME, _SAME_PHASE = 1.0, 2.0, 1.0


def page_asked(fit: Any) -> Point | None:
    """Return the width and the height of a page in points; None if none was asked for.

    Examples
    --------
    >>> page_asked((16, 9)), page_asked("A4 landscape")
    ((960.0, 540.0), (841.89, 595.28))
    """
    if fit is None:
        return None
    if isinstance(fit, str):
        name = fit.removesuffix(_LANDSCAPE)
        if name in _SHEETS:
            wide, high = _SHEETS[name]
            return (high, wide) if fit.endswith(_LANDSCAPE) else (wide, high)
    elif (
        isinstance(fit, (tuple, list))
        and len(fit) == 2
        and all(isinstance(side, (int, float)) and side > 0 for side in fit)
    ):
        wide, high = (float(side) for side in fit)
        if max(wide, high) <= _MOST_UNEQUAL * min(wide, high) and math.isfinite(max(wide, high)):
            return wide * _LONGER_SIDE / max(wide, high), high * _LONGER_SIDE / max(wide, high)
    raise UsageError(
        f"fit= is the shape of a slide, as (16, 9), or a sheet: {', '.join(_SHEETS)}, perhaps with "
        f'"{_LANDSCAPE.strip()}" after it; not {short_repr(fit)}'
    )


def in_pages(seen: Picture, manner: Manner, page: Point) -> list[tuple[Picture, Manner]]:
    """Return a picture in parts that each have room on a page, and how each is drawn.

    Where one page turns to the next, few lines and frames are cut, and a phase ends if it can.
    """
    if has_room(seen, manner, page):
        return [(seen, manner)]
    order = _order(seen)
    parts = list(_turned(seen, manner, page, order, len(order)))
    if len(parts[-1][0].boxes) < len(order) / len(parts) / 2:  # the last page is nearly empty: all may be fuller alike
        even = list(_turned(seen, manner, page, order, math.ceil(len(order) / len(parts) * _UNEVEN)))
        parts = even if len(even) == len(parts) else parts
    said = [f"page {number} of {len(parts)}" for number in range(1, len(parts) + 1)]
    return [
        (each, its._replace(remark=" · ".join(filter(None, (manner.remark, number)))))
        for (each, its), number in zip(parts, said, strict=True)
    ]


def takes_more(seen: Picture, manner: Manner, page: Point, count: int) -> bool:
    """Return whether a picture takes more than so many pages."""
    shares = shares_of_page(seen, manner, page)
    if sum(shares) > count:  # the boxes alone do
        return True
    turned = _turned(seen, manner, page, _order(seen), len(seen.boxes))
    return not has_room(seen, manner, page) and len(list(islice(turned, count + 1))) > count


def _turned(
    seen: Picture, manner: Manner, page: Point, order: Sequence[Box], limit: int
) -> Iterator[tuple[Picture, Manner]]:
    """Yield the pages, of so many boxes at most."""
    costs, shares = _costs(seen, order), shares_of_page(seen, manner, page)
    start = 0
    while start < len(order):
        rest = order[start : start + limit]
        most = _room_for(seen, manner, page, rest, [shares[box.place] for box in rest])
        if start + most < len(order):
            least = max(1, math.ceil(most * (1 - _LEFT)))
            most = min(range(least, most + 1), key=lambda count: (costs[start + count], -count))
        yield _part(seen, manner, order[start : start + most])
        start += most


def _part(seen: Picture, manner: Manner, boxes: Sequence[Box]) -> tuple[Picture, Manner]:
    """Return the picture of some boxes, and its manner, with what is laid over these."""
    box_of = renumbered(seen, set(boxes))
    layer = manner.layer
    patches = {box_of[box]: patch for box, patch in layer.patches.items() if box in box_of}
    strokes = {
        edge._replace(tail=box_of[edge.tail], head=box_of[edge.head]): stroke
        for edge, stroke in layer.strokes.items()
        if edge.tail in box_of and edge.head in box_of
    }
    layer = layer._replace(patches=patches, strokes=strokes)
    return part_with(seen, box_of, seen.edges), manner._replace(layer=layer, remark=_ROOM_FOR_NUMBER)


def _room_for(seen: Picture, manner: Manner, page: Point, rest: Sequence[Box], shares: Sequence[float]) -> int:
    """Return how many of some boxes have room on a page; at least one. A share is what one takes of the page."""
    fits, too_many = 1, len(rest) + 1
    count = max(sum(total <= _USUAL_SHARE for total in accumulate(shares)), 1)
    while too_many - fits > 1:
        count = min(max(count, fits + 1), too_many - 1)
        if has_room(*_part(seen, manner, rest[:count]), page):
            fits, count = count, count + max(count // _FURTHER, 1)
        else:
            too_many, count = count, count - max(count // _FURTHER, 1)
    return fits


def _order(seen: Picture) -> list[Box]:
    """Return the boxes in the order of the flow: what is given, just before the first box that reads it."""
    first = {edge.tail: len(seen.boxes) for edge in seen.edges}
    for edge in seen.edges:
        first[edge.tail] = min(first[edge.tail], edge.head.place)
    reading = {edge.head for edge in seen.edges}

    def when(box: Box) -> tuple[int, int, int]:
        place = box.place if box in reading else first.get(box, box.place)
        return PHASES.index(box.phase), place, box in reading

    return sorted(seen.boxes, key=when)


def _costs(seen: Picture, order: Sequence[Box]) -> list[float]:
    """Return what it costs to turn the page before each box, and after the last."""
    place_of = {box: place for place, box in enumerate(order)}
    costs = [0.0] * (len(order) + 1)
    for edge in seen.edges:
        ends = sorted((place_of[edge.tail], place_of[edge.head]))
        if not edge.lent:
            for place in range(ends[0] + 1, ends[1] + 1):
                costs[place] += _LINE
    for place in range(1, len(order)):
        before, after = order[place - 1], order[place]
        both = {scope.path for scope in scopes_down_to(before.around)}
        costs[place] += _FRAME * sum(scope.path in both for scope in scopes_down_to(after.around))
        costs[place] += _SAME_PHASE * (before.phase == after.phase)
    return costs
