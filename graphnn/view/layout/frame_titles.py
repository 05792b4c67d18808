"""Where the titles of frames stand: at the left end of the upper side, or as near to it as no link enters.

All of this is in the picture as it is drawn: titles are read from left to right wherever the flow goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from .layout_types import TITLE_INSET, TITLE_TOP, Frame, Point, Rectangle

# Between a title and a link that passes it.
_CLEAR = 4.0
# How much wider a frame may get at its left end than at its right one, for a title that is where readers look for it.
_WORTH_LEFT = 30.0


def titles(
    frames: Sequence[Frame], pieces: Sequence[Sequence[Rectangle]], routes: Iterable[Sequence[Point]]
) -> list[list[Point | None]]:
    """Return left and top of the title in each piece of each frame; None: links cross it wherever it stands."""
    taken: list[list[list[tuple[float, float]]]] = [[[] for _ in each] for each in pieces]
    near: dict[int, list[tuple[float, float, float, float, list[tuple[float, float]]]]] = {}
    for frame, each, filled in zip(frames, pieces, taken, strict=True):
        for (left, top, width, _), found in zip(each, filled, strict=True):
            # Links end their curves at the upper side.
            strip = (left, top + 0.01, left + width, top + TITLE_TOP + frame.height, found)
            for part in _parts(strip[1], strip[3]):
                near.setdefault(part, []).append(strip)
    for route in routes:
        for (x, y), (to_x, to_y) in pairwise(route):
            low, high, upper, lower = min(x, to_x), max(x, to_x), min(y, to_y), max(y, to_y)
            for part in _parts(upper, lower):
                for left, begin, right, end, found in near.get(part, ()):
                    if upper < end and lower > begin and low <= right and high >= left:
                        found.append((low, high))
    places: list[list[Point | None]] = []
    for frame, each, filled in zip(frames, pieces, taken, strict=True):
        places.append([])
        for (left, top, width, _), found in zip(each, filled, strict=True):
            place = free(found, left + TITLE_INSET, left + width - TITLE_INSET, frame.width)
            places[-1].append(None if place is None else (place, top + TITLE_TOP))
    return places


def _parts(upper: float, lower: float) -> range:
    """Return the numbers of the parts of the picture, 100 high each, from one height to another."""
    return range(int(upper // 100), int(lower // 100) + 1)


def free(taken: Iterable[tuple[float, float]], least: float, most: float, width: float) -> float | None:
    """Return the first place from `least` to `most` where that width is free; None: there is none.

    Examples
    --------
    >>> free([(20.0, 20.0)], 0.0, 60.0, 16.0), free([(20.0, 20.0)], 0.0, 60.0, 30.0)
    (0.0, 24.0)
    """
    at = least
    for low, high in sorted(taken):
        if low - _CLEAR >= at + width:
            break
        at = max(at, high + _CLEAR)
    return at if at + width <= most + 0.01 else None


def missing(taken: Sequence[tuple[float, float]], half: float, width: float) -> Point:
    """Return how much wider a frame must get at its left and at its right end to have room for its title.

    Examples
    --------
    >>> missing([(0.0, 0.0)], 50.0, 60.0)
    (22.0, 0.0)
    """
    if free(taken, TITLE_INSET - half, half - TITLE_INSET, width) is not None:
        return 0.0, 0.0
    more = width + TITLE_INSET + _CLEAR - half
    left, right = more - min(low for low, _ in taken), more + max(high for _, high in taken)
    return (left, 0.0) if left <= right + _WORTH_LEFT else (0.0, right)
