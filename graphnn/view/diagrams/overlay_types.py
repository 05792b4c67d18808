"""What an overlay is: what it says of each node and line, and how that is coloured. Rooms above give more of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._util.ports import Port
from ...core import Graph, Node

if TYPE_CHECKING:
    from ...core import Array
    from .picture import Picture


class Mark(NamedTuple):
    """What an overlay says of one node.

    Attributes
    ----------
    text : str
        What is printed on its box; of several lines, the first in bold.
    number : float or None
        What colours it; None: nothing does.
    level : str
        A key of the table of highlights, which sets it apart.
    tip : str
        More, for the tooltip.
    value : array or None
        What is shown as a heatmap: the value, or a preview of it.
    shape : tuple of int
        Of the whole value.
    numbers : array or None
        The whole value, if it is there: what is written out where all numbers are asked for.
    labels : sequence
        For each axis of the value, the names of its positions, or None.
    """

    text: str
    number: float | None = None
    level: str = "fed"
    tip: str = ""
    value: Array | None = None
    shape: tuple[int, ...] = ()
    numbers: Array | None = None
    labels: Sequence[Sequence[str] | None] = ()


NOTHING = Mark("")
"""For a loop or a branch: that it has run. The arrays that it gives have marks of their own."""
Reader = Callable[[Any], dict[Node, Mark]]
_Lines = Callable[[Any], Mapping[tuple[Node, Node], float | None]]
What = str | Callable[[Any, Mapping[Node, Mark]], str]
TextOf = Callable[[float], str]


class Overlay(NamedTuple):
    """One row of the table.

    Attributes
    ----------
    readers : dict
        By the kind of thing that it is read from: what it is, or the function that says so of what is read and its
        marks; and the function that reads it.
    text_of : callable
        Writes a number of it.
    together : str
        What a box says of several nodes: their ``"sum"``; the mark that is ``"largest"``; that of its ``"result"``,
        the last one made; ``"count"``, how many of each there are; or ``"level"``, the weakest of theirs.
    scale : str
        ``"magnitude"``, ``"logarithm"``, ``"signed"``, or ``""``: no colours. Where a number is below 0, all of them
        are signed.
    missing : str
        What is said of an operation that has no mark; may be empty.
    key : dict of str to str
        For the legend: what a level means, if there is a box of it.
    unit : str
        What its numbers count, for the tooltip, which has them in full; may be empty.
    label : str
        Beside others on one box: what its text is; may be empty.
    signed : bool
        Whether its heatmaps have 0 in the middle, whatever their numbers.
    ink : str
        The colour of its numbers where all are written out; may be empty.
    lines : callable or None
        Returns what its lines show: numbers by node and reader; None for a line that is to be pale.
    of_lines : str
        What such a number is.
    fetches : callable or None
        Returns what is drawn where what it is read from is to be drawn, with it.
    alone : callable or None
        Returns the part of a picture that is what it is read from, with ``draw(..., alone=True)``.
    """

    readers: Mapping[type, tuple[What, Reader]]
    text_of: TextOf
    together: str
    scale: str = ""
    missing: str = ""
    key: Mapping[str, str] = {}
    unit: str = ""
    label: str = ""
    signed: bool = False
    ink: str = ""
    lines: _Lines | None = None
    of_lines: str = ""
    fetches: Callable[[Any], Any] | None = None
    alone: Callable[[Picture, Any], Picture] | None = None


OVERLAY: Port[Overlay] = Port("overlay")
"""Those that there are, under their names, and for what is drawn with one where nobody says another."""


def drawn_over(given: Any) -> Overlay | None:
    """Return the overlay with which something is drawn that cannot be run."""
    over = None if isinstance(given, (Node, Graph, str, list, tuple, Mapping)) else OVERLAY.of(given)
    return None if over is None or over.fetches is None else over
