"""A picture as DOT text that lays out nothing: Graphviz paints what graphnn has drawn, pixel by pixel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from .elements import n
from .fonts import text_width
from .painted import Outline, Painted, Text

if TYPE_CHECKING:
    from ..layout.parts import Point

# Graphviz has two kinds of dashes: of such, gaps are as long as the dashes at least.
_DOTS = 1.0
# Graphviz has no smaller node: two of them, in two corners, say how large the picture is.
_LEAST = 0.72
# What old ones read between quotes.
_LONGEST = 8_000
_CLEAR = "#00000000"
# In quotes, DOT has no other escape than that of a quote, and none of a backslash before one: there, texts are cut.
_BEFORE_QUOTE = re.compile(r'(?<=\\)(?=")')


def dot_of_paint(picture: Painted) -> str:
    """Return the DOT text of a picture that is painted as it is by ``neato -n2``, in any format that Graphviz has."""
    parts: list[str] = [""]
    for operation in _operations(picture):
        if len(parts[-1]) + len(operation) > _LONGEST:
            parts.append("")
        parts[-1] += operation
    background = '"\n+ "'.join(parts)
    near, far, high = _LEAST / 2, picture.width - _LEAST / 2, picture.height - _LEAST / 2
    return (
        f'digraph graphnn {{\ngraph [pad="0", margin="0", _background="{background}"]\n'
        'node [shape="none", label="", width="0", height="0", fixedsize="true"]\n'
        f'low [pos="{n(near)},{n(near)}"]\nhigh [pos="{n(far)},{n(high)}"]\n}}\n'
    )


def _operations(picture: Painted) -> Iterator[str]:
    """Yield what is to be done, in the language of Graphviz's own drawings: y goes upwards."""
    for group in picture.groups:
        for mark in group.marks:
            yield _text(mark, picture.height) if isinstance(mark, Text) else _outline(mark, picture.height)


def _outline(mark: Outline, height: float) -> str:
    style = [f"setlinewidth({n(mark.width)})"]
    if mark.dashes:
        dash, gap = map(float, mark.dashes.split(","))
        style.append("dotted" if dash <= _DOTS and gap > dash else "dashed")
    else:
        style.append("solid")
    said = "".join(f"S {len(each)} -{each} " for each in style)
    return (
        f"{said}{_named('c', mark.stroke or _CLEAR)}{_named('C', mark.fill) if mark.fill else ''}"
        f"{'b' if mark.fill else 'B'} {len(mark.knots)} {_points(mark.knots, height)} "
    )


def _text(mark: Text, height: float) -> str:
    pieces = _BEFORE_QUOTE.split(mark.said)
    if len(pieces) == 1:
        return _piece(mark, height)
    widths = [text_width(piece, mark.size, mark.bold) for piece in pieces]
    lefts = accumulate(widths, initial=mark.around[0])
    return "".join(
        _piece(mark._replace(said=piece, x=x, before=0.0, width=width), height)
        for piece, x, width in zip(pieces, lefts, widths, strict=False)
    )


def _piece(mark: Text, height: float) -> str:
    where = f"{n(mark.x)} {n(height - mark.y)} {2 * mark.before - 1:g} {n(mark.width)}"
    # Arial is as wide as Helvetica, for which many a system's Graphviz takes a wider font.
    font = f"F {n(mark.size)} 5 -Arial t {int(mark.bold)} "
    escaped = mark.said.replace('"', '\\"')
    return f"{_named('c', mark.colour)}{font}T {where} {len(mark.said.encode())} -{escaped} "


def _named(operation: str, colour: str) -> str:
    return f"{operation} {len(colour)} -{colour} "


def _points(knots: list[Point], height: float) -> str:
    return " ".join(f"{n(x)} {n(height - y)}" for x, y in knots)
