"""A picture as DOT text that lays out nothing: Graphviz paints what graphnn has drawn, pixel by pixel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from .fonts import text_width
from .svg_elements import n
from .svg_painting import Outline, Painted, Text

if TYPE_CHECKING:
    from ..layout.layout_types import Point

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
    """Yield what is to be done, in the language of Graphviz's own drawings: y goes upwards.

    A colour, a style or a font holds until another is set. It is not set again: Graphviz reads long drawings slowly.
    """
    held: dict[str, str] = {}
    for group in picture.groups:
        for mark in group.marks:
            high = picture.height
            settings, done = _text(mark, high) if isinstance(mark, Text) else _outline(mark, high)
            new = {what: each for what, each in settings.items() if held.get(what) != each}
            held |= new
            yield "".join([*new.values(), done])


def _outline(mark: Outline, height: float) -> tuple[dict[str, str], str]:
    line = "solid"
    if mark.dashes:
        dash, gap = map(float, mark.dashes.split(","))
        line = "dotted" if dash <= _DOTS and gap > dash else "dashed"
    settings = {"width": _named("S", f"setlinewidth({n(mark.width)})"), "line": _named("S", line)}
    settings["pen"] = _named("c", mark.stroke or _CLEAR)
    if mark.fill:
        settings["fill"] = _named("C", mark.fill)
    knots, form = mark.knots, "b" if mark.fill else "B"
    ends = knots[::3]
    if all(knots[3 * i + 1 : 3 * i + 3] == [one, other] for i, (one, other) in enumerate(pairwise(ends))):
        knots, form = ends, "L"
        if ends[0] == ends[-1]:
            knots, form = ends[:-1], "P" if mark.fill else "p"
    return settings, f"{form} {len(knots)} {_points(knots, height)} "


def _text(mark: Text, height: float) -> tuple[dict[str, str], str]:
    # Arial is as wide as Helvetica, for which many a system's Graphviz takes a wider font.
    settings = {"pen": _named("c", mark.colour), "font": f"F {n(mark.size)} 5 -Arial ", "bold": f"t {int(mark.bold)} "}
    pieces = _BEFORE_QUOTE.split(mark.said)
    if len(pieces) > 1:
        widths = [text_width(piece, mark.size, mark.bold) for piece in pieces]
        lefts = accumulate(widths, initial=mark.around[0])
        placed = zip(pieces, lefts, widths, strict=False)
        marks = [mark._replace(said=piece, x=x, before=0.0, width=width) for piece, x, width in placed]
    else:
        marks = [mark]
    return settings, "".join(_piece(each, height) for each in marks)


def _piece(mark: Text, height: float) -> str:
    where = f"{n(mark.x)} {n(height - mark.y)} {2 * mark.before - 1:g} {n(mark.width)}"
    escaped = mark.said.replace('"', '\\"')
    return f"T {where} {len(mark.said.encode())} -{escaped} "


def _named(operation: str, colour: str) -> str:
    return f"{operation} {len(colour)} -{colour} "


def _points(knots: list[Point], height: float) -> str:
    # A tenth of a point is less than a quarter of a pixel.
    return " ".join(f"{n(round(x, 1))} {n(round(height - y, 1))}" for x, y in knots)
