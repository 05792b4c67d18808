"""The input of a layout (boxes, frames, links), its result, and the sizes that several steps share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]
OUTSIDE = -1
# Between boxes and bends in a row, from a box to the one beside it, around what is in a frame.
SPACE, BEND_SPACE, BESIDE_SPACE, FRAME_PAD = 18.0, 8.0, 24.0, 11.0
# How far the title of a frame is from its left and from its upper side.
TITLE_INSET, TITLE_TOP = 8.0, 4.0
# How strongly a link pulls its ends in line. STRAIGHT: on the longest path through both ends (at least so much). PLAIN:
# any other between neighbouring rows. LED and BENDS: one over several rows, at its ends and between its bends. A light
# link: its strength times LIGHT.
STRAIGHT, PLAIN, LED, BENDS, LIGHT = 1e6, 10.0, 1.0, 4.0, 1e-3


class Item(NamedTuple):
    """A box to be placed.

    Attributes
    ----------
    width, height : float
    frame : int
        The innermost frame around it; -1: none.
    beside : int
        The box that it stands beside, in the same row: its first reader; -1: none. Such a box reads nothing.
    round : (float, float)
        The half axes of its corners: half of width and height of an ellipse, (0, 0) of a rectangle.
    """

    width: float
    height: float
    frame: int = OUTSIDE
    beside: int = OUTSIDE
    round: tuple[float, float] = (0.0, 0.0)


class Frame(NamedTuple):
    """A rectangle around boxes and other frames; it has at least one box in it.

    Attributes
    ----------
    parent : int
        The frame around it, which stands before it; -1: none.
    width, height : float
        Of its title.
    """

    parent: int = OUTSIDE
    width: float = 0.0
    height: float = 0.0


class Link(NamedTuple):
    """A line from one box to another. From a later box to an earlier one, it goes up.

    Attributes
    ----------
    tail, head : int
    light : bool
        Whether it pulls less than other links.
    width, height : float
        Of the label beside its beginning.
    value : int
        What it carries. Links of one value from one box run together as far as they go the same way; -1: alone.
    """

    tail: int
    head: int
    light: bool = False
    width: float = 0.0
    height: float = 0.0
    value: int = -1


class Arrangement(NamedTuple):
    """The result of a layout.

    Attributes
    ----------
    width, height : float
    centres : list of (float, float)
        Of the boxes.
    frames : list of list of (float, float, float, float)
        Left, top, width and height of each piece; a frame has more than one only where the picture is folded.
    routes : list of list of (float, float)
        For each link: points at which it runs along the flow, from the side of one box to the side of the other.
        Between two points that differ across the flow, it is curved; between two bands it has corners.
    labels : list of (float, float)
        For each link: left and top of its label.
    titles : list of list of (float, float) or None
        Left and top of the title in each piece of each frame, where no link passes; None where it has no room.
    """

    width: float
    height: float
    centres: list[Point]
    frames: list[list[Rectangle]]
    routes: list[list[Point]]
    labels: list[Point]
    titles: list[list[Point | None]]


class Tree:
    """Which frame is in which; -1 is the picture around them all."""

    def __init__(self, parents: Sequence[int]) -> None:
        self._parents = [*parents, OUTSIDE]
        self._depths = [0] * len(self._parents)
        for frame, parent in enumerate(parents):
            self._depths[frame] = self._depths[parent] + 1

    def between(self, frame: int, outer: int) -> Iterator[int]:
        """Yield a frame and those around it up to `outer`, which is left out; innermost first."""
        while frame != outer:
            yield frame
            frame = self._parents[frame]

    def meeting(self, one: int, other: int) -> tuple[int, int, int]:
        """Return the innermost frame around both, and inside it the outermost frame around each; -1: none."""
        below_one = below_other = OUTSIDE
        while one != other:
            if self._depths[one] >= self._depths[other]:
                below_one, one = one, self._parents[one]
            else:
                below_other, other = other, self._parents[other]
        return one, below_one, below_other


def turned_item(item: Item) -> Item:
    """Return a box turned for a flow that goes sideways; links then touch the straight sides of a cylinder."""
    across, along = item.round
    is_cylinder = across == item.width / 2 and along < item.height / 2
    return item._replace(width=item.height, height=item.width, round=(0.0, 0.0) if is_cylinder else (along, across))


def side_of(item: Item, across: float) -> float:
    """Return how far the upper and lower side of a box are from its middle, at this distance across."""
    wide, high = item.round
    into = abs(across) - (item.width / 2 - wide)  # the corner
    return item.height / 2 - (high * (1 - math.sqrt(max(1 - (into / wide) ** 2, 0.0))) if into > 0 and wide else 0.0)
