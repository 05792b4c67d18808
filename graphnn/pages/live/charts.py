"""Curves as pictures: in the dots of a terminal's characters, and as SVG in a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from ...view.formatting import compact, in_cells, visible

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a Braille character, by row and column
_LABEL = 8  # cells of the numbers beside a chart
_DASH = 6  # columns of dots from one dash to the next
_WIDTH, _HEIGHT = 360, 190  # of a panel in a notebook, in points
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 26, 22
_PARTS = 60  # of the way from left to right, in each of which many points are drawn as their mean, too
_COLOURS = ("#2a86c8", "#d55e00", "#b05a92", "#2a8f6f")  # to be seen on light pages and on dark ones


class Curve(NamedTuple):
    """A named line of points; what is None or not finite is a gap."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]

    @property
    def points(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in zip(self.xs, self.ys, strict=True) if y is not None and math.isfinite(y)]

    @property
    def said(self) -> str:
        """Its name with its latest figure."""
        last = self.ys[-1] if self.ys else None
        return f"{visible(self.name)} {'not finite' if last is None else compact(last)}"


def _range(curves: Sequence[Curve], axis: int) -> tuple[float, float]:
    found = [point[axis] for curve in curves for point in curve.points]
    low, high = min(found, default=0.0), max(found, default=1.0)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def dots(curves: Sequence[Curve], width: int, height: int) -> list[list[tuple[str, int | None]]]:
    """Return curves in Braille characters: rows of characters, each with the number of the curve that it is of.

    Points of one column are drawn as their mean; every second curve is dashed. Below stands where the epochs begin and
    end.

    Parameters
    ----------
    curves : sequence of Curve
    width, height : int
        In characters.

    Examples
    --------
    >>> rows = dots([Curve("loss", [0, 1, 2, 3], [3.0, 2.0, 1.0, 0.0])], 12, 2)
    >>> ["".join(character for character, _ in row) for row in rows]
    ['       3│⠑⠄ ', '       0│ ⠐⢄', '    epoch 0 3']
    """
    columns, rows = (width - _LABEL - 1) * 2, height * 4
    (left, right), (low, high) = _range(curves, 0), _range(curves, 1)
    cells: dict[tuple[int, int], tuple[int, int]] = {}

    def mark(column: int, row: int, number: int) -> None:
        bits = cells.get((row // 4, column // 2), (0, number))[0]
        cells[row // 4, column // 2] = bits | _DOTS[row % 4][column % 2], number

    for number, curve in enumerate(curves):
        heights: dict[int, list[float]] = {}
        for x, y in curve.points:
            heights.setdefault(round((x - left) / (right - left) * (columns - 1)), []).append(y)
        before: tuple[int, int] | None = None
        for column, ys in sorted(heights.items()):
            row = round((high - sum(ys) / len(ys)) / (high - low) * (rows - 1))
            last, from_row = before or (column - 1, row)
            for between in range(last + 1, column + 1):
                if number % 2 and between % _DASH >= _DASH - 2:
                    continue
                mark(between, round(from_row + (between - last) / (column - last) * (row - from_row)), number)
            before = column, row
    begin, end = (f"{math.floor(at):,}" for at in (left, right))
    axis = (
        in_cells("epoch", _LABEL, right=True) + f" {begin}{in_cells(end, width - _LABEL - 1 - len(begin), right=True)}"
    )
    labels = {0: f"{high:.3g}", height - 1: f"{low:.3g}"}
    drawn: list[list[tuple[str, int | None]]] = [
        [
            (f"{in_cells(labels.get(row, ''), _LABEL, right=True)}│", None),
            *(
                (chr(0x2800 + bits) if bits else " ", number if bits else None)
                for bits, number in (cells.get((row, column), (0, 0)) for column in range(columns // 2))
            ),
        ]
        for row in range(height)
    ]
    return [*drawn, [(axis, None)]]


def svg(panels: Sequence[Sequence[Curve]]) -> str:
    """Return panels of curves as one SVG, in the colour of the text around it.

    Examples
    --------
    >>> text = svg([[Curve("loss", [1, 2], [0.5, 0.25])]])
    >>> text[:4], text.count("<polyline"), "loss 0.25" in text
    ('<svg', 1, True)
    """
    across = min(len(panels), 2)
    down = math.ceil(len(panels) / 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across * _WIDTH} {down * _HEIGHT}" role="img" '
        f'style="width:{across * _WIDTH}px;max-width:100%;height:auto;font:11px system-ui,sans-serif">'
    ]
    for place, curves in enumerate(panels):
        parts.append(f'<g transform="translate({place % 2 * _WIDTH} {place // 2 * _HEIGHT})">')
        parts += [*_axes(curves), *_lines(curves), "</g>"]
    return "".join([*parts, "</svg>"])


def _axes(curves: Sequence[Curve]) -> list[str]:
    (left, right), (low, high) = _range(curves, 0), _range(curves, 1)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:g}" y2="{y:g}" stroke="currentColor" opacity="0.2"/>'
            f'<text x="{_LEFT - 5}" y="{y + 4:g}" text-anchor="end" fill="currentColor" opacity="0.8">'
            f"{low + share * (high - low):.3g}</text>"
        )
    for x, at, anchor in ((_LEFT, left, "start"), (_WIDTH - _RIGHT, right, "end")):
        parts.append(
            f'<text x="{x}" y="{_HEIGHT - 7}" text-anchor="{anchor}" fill="currentColor" opacity="0.8">'
            f"epoch {math.floor(at)}</text>"
        )
    return parts


def _lines(curves: Sequence[Curve]) -> list[str]:
    (left, right), (low, high) = _range(curves, 0), _range(curves, 1)
    parts, at = [], float(_LEFT)
    for number, curve in enumerate(curves):
        colour, dashes = _COLOURS[number % len(_COLOURS)], ' stroke-dasharray="5 3"' if number % 2 else ""
        points = curve.points
        smooth = _means(points, left, right)
        drawn = [(smooth, 'stroke-width="1.7"'), (points, 'stroke-width="1" opacity="0.3"')][: 1 + (smooth != points)]
        for line, look in reversed(drawn):
            places = " ".join(
                f"{_LEFT + (x - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT):.1f},"
                f"{_TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM):.1f}"
                for x, y in line
            )
            parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" {look}{dashes}/>')
        parts.append(
            f'<line x1="{at:g}" x2="{at + 16:g}" y1="10" y2="10" stroke="{colour}" stroke-width="3"{dashes}/>'
            f'<text x="{at + 20:g}" y="14" fill="currentColor">{html.escape(curve.said)}</text>'
        )
        at += 36 + 6.2 * len(curve.said)
    return parts


def _means(points: list[tuple[float, float]], left: float, right: float) -> list[tuple[float, float]]:
    """Return the points, or where they are many, the means of those that are close to each other."""
    if len(points) <= 2 * _PARTS:
        return points
    parts: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        parts.setdefault(min(int((point[0] - left) / (right - left) * _PARTS), _PARTS - 1), []).append(point)
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts.values()]
