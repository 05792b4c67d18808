"""Lines that stand for numbers: how wide each edge of a picture is drawn, in which colour, and what a legend says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..formatting import compact
from .style import DOWN, PALE, UP

if TYPE_CHECKING:
    from ...core import Node
    from .picture import Edge, Picture

_LEAST, _MOST = 1.3, 5.0  # points


class Stroke(NamedTuple):
    """How one edge is drawn.

    Attributes
    ----------
    look : dict of str to str
    size : float
        For several edges that are one line, the largest is drawn.
    tip : str
        For its tooltip; may be empty.
    """

    look: Mapping[str, str]
    size: float
    tip: str = ""


def strokes_on(seen: Picture, numbers: Mapping[tuple[Node, Node], float | None], what: str) -> dict[Edge, Stroke]:
    """Return how the edges of a picture are drawn of which there is a number, and those that are to be pale.

    Parameters
    ----------
    seen : Picture
    numbers : dict of (Node, Node) to float or None
        By node and reader; None for pale.
    what : str
        What the numbers are, for the tooltip.
    """
    largest = max(
        (abs(number) for number in numbers.values() if number is not None and math.isfinite(number)), default=0.0
    )
    found = {}
    for edge in seen.edges:
        inside = [(edge.node, reader) for reader in edge.head.nodes if (edge.node, reader) in numbers]
        given = [number for pair in inside if (number := numbers[pair]) is not None]
        if given:
            number = max(given, key=abs)
            if not number or not math.isfinite(number):
                found[edge] = Stroke(PALE, 0.0, f"{what}: {number:.6g}")
                continue
            width = _LEAST + (_MOST - _LEAST) * abs(number) / largest
            look = {"color": UP if number > 0 else DOWN, "penwidth": f"{width:.2f}", "arrowsize": "0.6"}
            found[edge] = Stroke(look, abs(number), f"{what}: {number:.6g}")
        elif inside:
            found[edge] = Stroke(PALE, -1.0)
    return found


def said_of(numbers: Mapping[tuple[Node, Node], float | None], what: str) -> str:
    """Return what a legend says of lines; of none with a number, nothing."""
    given = [number for number in numbers.values() if number is not None and math.isfinite(number)]
    if not given:
        return ""
    low, high = min(given), max(given)
    up, down = f"orange up, at most {compact(high)}", f"blue down, at most {compact(-low)}"
    return "; ".join([f"width: {what}", *([up] if high > 0 else []), *([down] if low < 0 else [])])
