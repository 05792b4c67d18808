"""Heatmaps of values and bars of their distribution, as text and as HTML.

There is one scale of colours: orange is above 0 and blue below, and the stronger the colour, the larger the number. No
colour stands alone: the number, or the scale, is always written out, and what is not finite has a sign of its own.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.text import listed, short_name
from ..core import as_array, is_float, limits
from ..core.attributes import whole
from .formatting import at_least, by_times, cells_of, compact, elided, in_cells

if TYPE_CHECKING:
    from ..core import Array

_Colour = tuple[int, int, int]

_SHADES = " ░▒▓█"
_BARS = "▁▂▃▄▅▆▇█"
# From what is most below 0 to what is most above, with 0 in the middle: on light paper, and on dark.
COLOURS = {
    "light": ["#08306B", "#2171B5", "#6BAED6", "#BDD7E7", "#F7F7F7", "#FDD0A2", "#FD8D3C", "#D94801", "#7F2704"],
    "dark": ["#9ECAE1", "#6BAED6", "#3F88C0", "#2B5275", "#2C2F34", "#5C3A1E", "#A3561B", "#E6802B", "#FDBE85"],
}
ALIKE = {"light": "#E8EAEE", "dark": "#3A3F47"}
NOT_FINITE: _Colour = (179, 38, 30)
_WHITE: _Colour = (255, 255, 255)
_BLACK: _Colour = (0, 0, 0)
_NARROWEST, _LOWEST = 20, 3
_BAR_CELLS = 16

# In HTML: so many columns and rows of numbers, of cells, and of levels that a colour may have.
_TABLE, _CELLS, _LEVELS = (10, 12), (96, 48), 32
_PIXELS = 480
_THUMBNAIL = (6, 16)
# Of small multiples: slices, the most of them in a row where they are square, and rows or columns of one.
_MULTIPLES, _ACROSS, _IMAGE = 8, 4, 28
_NAME = 40  # the most characters of a name
_LISTED = 12  # the most names in a line
_ROUNDED = 4  # numbers that differ by so many units of rounding are one to the eye


class Scale(NamedTuple):
    """Maps numbers between two ends to colours or shades; 0 is in the middle of a signed scale.

    One that is not signed has half of the colours, for what is above 0 or for what is below.
    """

    low: float
    high: float
    signed: bool
    theme: str = "light"

    @classmethod
    def of(cls, finite: Array, signed: bool = True, eps: float = 0.0) -> Scale:
        """Return the scale of some finite numbers.

        It is signed only if `signed` says so and both signs occur. Numbers that differ by no more than rounding, in
        parts `eps` of the largest, are taken for one.
        """
        if not finite.size:
            return cls(math.nan, math.nan, signed=False)
        low, high = float(finite.min()), float(finite.max())
        most = max(abs(low), abs(high))
        if high - low <= _ROUNDED * eps * most:
            return cls(high, high, signed=False)
        return cls(-most, most, signed=True) if signed and low < 0 < high else cls(low, high, signed=False)

    def fractions(self, values: Array) -> Array:
        """Return where between the ends each value lies, from 0 to 1; ½ where the ends are one."""
        most = max(abs(self.low), abs(self.high))
        if not most or self.low == self.high:
            return np.full(values.shape, 0.5)
        with np.errstate(all="ignore"):  # in parts of the largest: a difference may overflow
            low, high = self.low / most, self.high / most
            return np.clip((values / most - low) / (high - low), 0, 1)

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing between its ends: no finite number, or always the same."""
        return not self.low < self.high

    def colours(self, fractions: Array) -> Array:
        """Return the colours, as red, green and blue along a new last axis; grey where all numbers are one."""
        table = np.array([_rgb(code) for code in COLOURS[self.theme]])
        if self.is_flat:
            return np.broadcast_to(_rgb(ALIKE[self.theme]), (*fractions.shape, 3))
        if not self.signed:
            fractions = fractions / 2 + 0.5 * (self.high > 0)
        places = np.linspace(0, 1, len(table))
        channels = [np.interp(fractions, places, table[:, channel]) for channel in range(3)]
        return np.stack(channels, axis=-1).round().astype(int)


Labels = Sequence["Sequence[str] | None"]
"""For each axis, the names of the positions along it, or None where these are numbered."""


class _Value:
    """A value with what its pictures need: slices, names, scale, and words for what is not finite."""

    def __init__(self, value: Any, signed: bool = True, labels: Labels = ()) -> None:
        self.array = as_array(value, "the value")
        self.labels = list(labels) if len(labels) == self.array.ndim else [None] * self.array.ndim
        self.wide = _wide(self.array)
        finite = np.isfinite(self.wide)
        self.finite = self.array[finite]
        self.scale = Scale.of(self.wide[finite], signed, eps_of(self.array))
        shape = self.array.shape
        plane = (1, *shape) if len(shape) == 1 else shape[-2:]
        self.planes = self.array.reshape(-1, *plane) if self.array.size else self.array

    def title(self, i: int) -> str:
        """Return the index of a slice; of what has one or two axes, nothing."""
        rest = self.array.shape[:-2]
        return f"[{', '.join(self.index(np.unravel_index(i, rest)))}, :, :]" if rest else ""

    def index(self, places: Iterable[Any]) -> list[str]:
        """Return the parts of an index: a name in quotes, or a number."""
        parts = zip(places, self.labels, strict=False)
        return [str(int(i)) if names is None else repr(short_name(names[i], _NAME)) for i, names in parts]

    def named(self, axis: int) -> Sequence[str] | None:
        """Return the names along one of the last two axes, -2 or -1, if it has some."""
        return self.labels[axis] if self.array.ndim >= -axis else None

    def heads(self, axis: int, places: slice) -> list[str]:
        """Return the names of some positions along one of the last two axes, or their numbers."""
        names = self.named(axis)
        count = range(self.planes.shape[axis])[places]
        return [str(i) if names is None else short_name(names[i], _NAME) for i in count]

    def listed(self, down: slice | None, across: slice) -> list[str]:
        """Return in words which names the cells have that stand without: of rows from above, of columns from left."""
        ways = ((-2, down, "from above"), (-1, across, "from the left"))
        return [
            f"{way}: {listed(self.heads(axis, places), _LISTED)}"
            for axis, places, way in ways
            if places is not None and self.named(axis)
        ]

    def fractions(self, part: Array) -> Array:
        """Return where on the scale the elements of a part lie, from 0 to 1; -1 of what is not finite."""
        wide = _wide(part)
        return np.where(np.isfinite(wide), self.scale.fractions(wide), -1)

    def colours(self, part: Array) -> Array:
        """Return the colours of a part, as red, green and blue along a new last axis."""
        fractions = self.fractions(part)
        return np.where(fractions[..., None] < 0, NOT_FINITE, self.scale.colours(fractions))

    def shades(self, part: Array) -> list[list[str]]:
        """Return the shades of a part, with a sign for what is not finite."""
        levels = np.minimum((self.fractions(part) * len(_SHADES)).astype(int), len(_SHADES) - 1)
        return [
            [_SHADES[level] if math.isfinite(value) else _sign(value) for level, value in zip(*row, strict=True)]
            for row in zip(levels.tolist(), _wide(part).tolist(), strict=True)
        ]

    def ends(self) -> tuple[str, str]:
        """Return the minimum and the maximum of the finite numbers."""
        return compact(self.finite.min().item()), compact(self.finite.max().item())

    def range(self) -> str:
        """Return the minimum and the maximum, in words."""
        if not self.finite.size:
            return "no finite number"
        low, high = self.ends()
        if low == high:
            return f"all {low}" if self.finite.size == self.array.size else f"all finite ones {low}"
        return f"from {low} to {high}"

    def masks(self) -> dict[str, Array]:
        """Return which elements are not finite, by what they are."""
        return {"NaN": np.isnan(self.wide), "inf": self.wide == np.inf, "-inf": self.wide == -np.inf}

    def strange(self) -> list[str]:
        """Return how many elements are not finite, and where the first one is."""
        found = []
        for what, mask in self.masks().items():
            count = np.count_nonzero(mask)
            if count:
                first = self.index(np.unravel_index(mask.argmax(), mask.shape))
                at = f", {'at' if count == 1 else 'the first at'} [{', '.join(first)}]" if first else ""
                found.append(f"{count:,} {what}{at}")
        return found


def _wide(array: Array) -> Array:
    with np.errstate(all="ignore"):  # what is longer than float64 may overflow
        return array.astype(np.float64)


def eps_of(array: Array) -> float:
    """Return how much rounding may change a number of this dtype, in parts of it."""
    return float(limits(array.dtype).eps) if is_float(array.dtype) else 0.0


def _rgb(code: str) -> _Colour:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def _every(n: int, most: int) -> slice:
    """Return at most `most` places of `n`, at even strides."""
    return slice(None, None, max(1, -(-n // max(1, most))))


def _left_out(places: slice, n: int, what: str) -> list[str]:
    return [f"{len(range(n)[places]):,} of {n:,} {what}s"] if places.step > 1 else []


def _shown(words: Sequence[str]) -> list[str]:
    return [f"shown: {', '.join(words)}"] if words else []


def _sign(value: float) -> str:
    return "?" if math.isnan(value) else "+" if value > 0 else "-"


# --- in a terminal --------------------------------------------------------------------------------------------


def matrix(value: Any, width: int = 80, height: int = 16, colour: bool | int = False, labels: Labels = ()) -> str:
    """Return a value as a heatmap in text: its numbers where they fit, else cells of a shade or a colour.

    Parameters
    ----------
    value : array_like
        For more than two axes, the first slices are shown; of more rows or columns than fit, some at even strides. Each
        is said below, with the minimum and the maximum of all numbers, and where the first one is that is not finite.
    width : int
        The maximum number of cells of a line, at least 20.
    height : int
        The maximum number of lines of cells; what is said comes below them.
    colour : bool or 256
        Whether the terminal has colours, with 24 bits each; 256: it has so many.
    labels : sequence, optional
        For each axis, the names of its positions, or None; else they are numbered.

    Returns
    -------
    str

    Raises
    ------
    DtypeError
        When the value is not an array of numbers.

    Examples
    --------
    >>> print(matrix([[1.0, 0.25], [-1 / 3, np.nan]]))
              0     1
    0         1  0.25
    1   -0.3333   nan
    from -0.3333 to 1; 1 NaN, at [1, 1]
    >>> print(matrix([[1.0, 0.25], [-1 / 3, np.nan]], labels=[None, ("cat", "dog")]))
           cat   dog
    0        1  0.25
    1  -0.3333   nan
    from -0.3333 to 1; 1 NaN, at [1, 'dog']
    >>> print(matrix(np.outer(np.arange(4), np.arange(30)), width=40))
    0 │                              │
    1 │                  ░░░░░░░░░░░░│
    2 │         ░░░░░░░░░▒▒▒▒▒▒▒▒▒▓▓▓│
    3 │      ░░░░░░▒▒▒▒▒▒▓▓▓▓▓▓██████│
    ' ' from 0, ░ from 17.4, ▒ from 34.8, ▓
    from 52.2, █ from 69.6 to 87
    """
    width, height = at_least(_NARROWEST, width, "width="), at_least(_LOWEST, height, "height=")
    seen = _Value(value, bool(colour), labels)
    seen.scale = seen.scale._replace(theme="dark")  # as most terminals are
    if not seen.array.ndim:
        return compact(seen.array.item())
    if not seen.array.size:
        return textwrap.fill(f"no element: {by_times(seen.array.shape)}", width)
    rows = seen.planes.shape[1]
    count = max(1, min(len(seen.planes), height // (rows + 2)))
    room = height // count - (len(seen.array.shape) > 2)
    drawing = _as_numbers(seen, count, width, room, colour) or _as_cells(seen, count, width, room, colour)
    lines = [line for i, drawn in enumerate(drawing.slices) for line in [*textwrap.wrap(seen.title(i), width), *drawn]]
    if count < len(seen.planes):
        drawing.words.append(f"{count:,} of {len(seen.planes):,} slices")
    if colour:
        lines += _bar(seen, width, colour)
    said = [drawing.scale, *(["blue is below 0"] if seen.scale.signed else []), *seen.strange(), *_shown(drawing.words)]
    return "\n".join([*lines, *textwrap.wrap("; ".join(said), width)])


class _Drawing(NamedTuple):
    slices: list[list[str]]
    scale: str
    words: list[str]


def _as_numbers(seen: _Value, count: int, width: int, room: int, colour: bool | int) -> _Drawing | None:
    """Return the first slices with their numbers; None where these do not fit."""
    _, rows, columns = seen.planes.shape
    if 3 * columns > width:
        return None
    places = _every(rows, room - 1)
    slices = [[list(map(compact, row)) for row in plane[places].tolist()] for plane in seen.planes[:count]]
    heads = seen.heads(-1, slice(None))
    labels, label = _beside(seen, places, width)
    cell = max(len(text) for texts in slices for row in texts for text in row) + 2
    if seen.named(-1):  # names are cut to the room that the numbers leave
        most = max((width - label) // columns, cell) - 2
        heads = [elided(head, most) for head in heads]
    cell = max([cell, *(cells_of(head) + 2 for head in heads)])
    if label + cell * columns > width:
        return None
    header = " " * label + "".join(in_cells(head, cell, right=True) for head in heads)
    drawn = []
    for texts, plane in zip(slices, seen.planes, strict=False):
        lines = []
        for name, row, line in zip(labels, texts, plane[places], strict=True):
            if colour:
                cells = _on_colours([f"{text:>{cell - 1}} " for text in row], seen.colours(line), colour)
            else:
                cells = "".join(f"{text:>{cell}}" for text in row)
            lines.append(f"{in_cells(name, label)}{cells}")
        drawn.append([header, *lines])
    return _Drawing(drawn, seen.range(), _left_out(places, rows, "row"))


def _beside(seen: _Value, places: slice, width: int) -> tuple[list[str], int]:
    """Return what stands before rows, their names or numbers, and how many cells it takes with a blank after it."""
    if seen.array.ndim < 2:
        return [""], 0
    heads = seen.heads(-2, places)
    if seen.named(-2):
        heads = [elided(head, max(width // 4, 4)) for head in heads]
    else:
        most = len(str(seen.planes.shape[1] - 1))
        heads = [f"{head:>{most}}" for head in heads]
    return heads, max(map(cells_of, heads)) + 1


def _as_cells(seen: _Value, count: int, width: int, room: int, colour: bool | int) -> _Drawing:
    """Return the first slices as cells of a shade or a colour; where all are finite, two rows of colours a line."""
    _, rows, columns = seen.planes.shape
    halves = bool(colour) and seen.finite.size == seen.array.size
    down = _every(rows, room * 2 if halves else room)
    heads, label = _beside(seen, down, width)
    across = _every(columns, width - label - 2)
    labels = [in_cells(head, label) for head in heads]
    drawn = []
    for plane in seen.planes[:count]:
        cells = plane[down, across]
        if not colour:
            lines = ["".join(row) for row in seen.shades(cells)]
        elif halves:
            lines = [_half_blocks(seen.colours(cells[i : i + 2]), colour) for i in range(0, len(cells), 2)]
        else:
            texts = [[" " if np.isfinite(value) else _sign(value) for value in row] for row in cells]
            lines = [_on_colours(row, seen.colours(line), colour) for row, line in zip(texts, cells, strict=True)]
        beside = labels[::2] if halves else labels
        drawn.append([f"{name}│{line}│" for name, line in zip(beside, lines, strict=True)])
    scale = seen.range() if colour else _thresholds(seen)
    if seen.finite.size < seen.array.size:
        scale += "; ? is NaN, + inf, - -inf"
    names = seen.listed(None, across)
    return _Drawing(
        drawn, "; ".join([scale, *names]), _left_out(down, rows, "row") + _left_out(across, columns, "column")
    )


def _thresholds(seen: _Value) -> str:
    """Return which number each shade begins with."""
    if seen.scale.is_flat:
        return seen.range()
    low, high, (first, last) = seen.scale.low, seen.scale.high, seen.ends()
    fractions = [i / len(_SHADES) for i in range(1, len(_SHADES))]
    starts = [first, *(compact(low * (1 - part) + high * part) for part in fractions)]
    named = ["' '", *_SHADES[1:]]
    return f"{', '.join(f'{shade} from {n}' for shade, n in zip(named, starts, strict=True))} to {last}"


def _on_colours(texts: Sequence[str], backs: Array, colour: bool | int) -> str:
    return _painted(texts, [ink_on(back) for back in backs], backs, colour)


def _half_blocks(pair: Array, colour: bool | int) -> str:
    """Return one or two rows of colours as one line, the upper row in the upper halves."""
    backs = pair[1] if len(pair) > 1 else [None] * len(pair[0])
    return _painted(["▀"] * len(pair[0]), pair[0], backs, colour)


def _bar(seen: _Value, width: int, colour: bool | int) -> list[str]:
    """Return the scale as a bar of colours between its ends."""
    low, high = compact(seen.scale.low), compact(seen.scale.high)
    cells = min(_BAR_CELLS, width - len(low) - len(high) - 2)
    if seen.scale.is_flat or cells < 1:
        return []
    backs = seen.scale.colours(np.linspace(0, 1, cells))
    return [f"{low} {_painted([' '] * cells, backs, backs, colour)} {high}"]


def _painted(texts: Sequence[str], inks: Iterable[Any], backs: Iterable[Any], colour: bool | int) -> str:
    """Return texts side by side in their colours; a code where those change, and one at the end."""
    painted, before = "", ""
    for text, ink, back in zip(texts, inks, backs, strict=True):
        code = f"\x1b[38;{_code(ink, colour)};{'49' if back is None else f'48;{_code(back, colour)}'}m"
        painted += text if code == before else code + text
        before = code
    return f"{painted}\x1b[0m"


def _code(rgb: Sequence[int], colour: bool | int) -> str:
    red, green, blue = map(int, rgb)
    if colour is True:
        return f"2;{red};{green};{blue}"
    return f"5;{16 + 36 * round(red / 51) + 6 * round(green / 51) + round(blue / 51)}"


def ink_on(back: Iterable[int]) -> _Colour:
    """Return black or white, whichever is read better on a colour."""
    linear = [(int(part) / 255) ** 2.2 for part in back]
    return _BLACK if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18 else _WHITE


def sparkline(value: Any, bins: int = 32) -> str:
    """Return how the elements of a value are spread, on one line.

    Parameters
    ----------
    value : array_like
    bins : int
        Into how many parts the way from the minimum to the maximum is divided.

    Returns
    -------
    str
        The minimum, a bar per part, the maximum; a blank is a part with no element. And how many elements are not
        finite.

    Raises
    ------
    ValueRangeError
        When there are to be no parts.

    Examples
    --------
    >>> sparkline([0, 0, 0, 1, 4, np.inf], bins=8)
    '0 █ ▃     ▃ 4; 1 inf'
    >>> sparkline([2.5, 2.5]), sparkline([True, False, True]), sparkline([])
    ('all 2.5 (2)', 'true 2 of 3', 'no element')
    """
    bins = whole("bins=", bins, 1)
    array = as_array(value, "the value")
    if not array.size:
        return "no element"
    if array.dtype.kind == "b":
        return f"true {np.count_nonzero(array):,} of {array.size:,}"
    seen = _Value(array, signed=False)
    strange = [f"{count:,} {what}" for what, mask in seen.masks().items() if (count := np.count_nonzero(mask))]
    if seen.scale.is_flat:
        said = f"{seen.range()} ({seen.finite.size:,})" if seen.finite.size else seen.range()
        return "; ".join([said, *strange])
    places = (seen.fractions(seen.finite) * bins).astype(int)
    counts = np.bincount(np.minimum(places, bins - 1), minlength=bins)
    heights = -(-counts * len(_BARS) // counts.max())
    bars = "".join(_BARS[h - 1] if h else " " for h in heights)
    low, high = seen.ends()
    return "; ".join([f"{low} {bars} {high}", *strange])


class Thumbnail(NamedTuple):
    """A heatmap as small as a box of a diagram allows.

    Attributes
    ----------
    cells : list of list of str
        Colours, as ``#RRGGBB``; none of a value without elements.
    note : str
        What of the value is shown, if not all.
    """

    cells: list[list[str]]
    note: str = ""


def thumbnail(value: Any, scale: Scale | None = None, shape: Sequence[int] = (), theme: str = "light") -> Thumbnail:
    """Return the colours of a value's cells, of its first slice; of many, some at even strides.

    The value may be itself but a preview of one of that `shape`. The theme is that of the paper.

    Examples
    --------
    >>> thumbnail([[0.0, 1.0]]).cells
    [['#F7F7F7', '#7F2704']]
    >>> thumbnail([-1.0, 0.0, 2.0]).cells
    [['#6BAED6', '#F7F7F7', '#7F2704']]
    >>> thumbnail([1.0], Scale(-2.0, 2.0, signed=True)).cells
    [['#FD8D3C']]
    >>> thumbnail(np.ones((300, 2))).note
    '6 of 300 rows'
    >>> thumbnail([0.0, 1.0], theme="dark").cells
    [['#2C2F34', '#FDBE85']]
    >>> thumbnail([])
    Thumbnail(cells=[], note='')
    """
    seen = _Value(value)
    if not seen.array.size:
        return Thumbnail([])
    seen.scale = (seen.scale if scale is None else scale)._replace(theme=theme)
    plane = seen.planes[0] if seen.array.ndim else seen.array.reshape(1, 1)
    rows, columns = _THUMBNAIL
    shown = plane[_every(plane.shape[0], rows), _every(plane.shape[1], columns)]
    whole = [1, 1, 1, *(shape or seen.array.shape)]
    counts = zip((1, *shown.shape), (math.prod(whole[:-2]), *whole[-2:]), ("slices", "rows", "columns"), strict=True)
    note = ", ".join(f"{n:,} of {of:,} {what}" for n, of, what in counts if n < of)
    return Thumbnail([[in_hex(colour) for colour in row] for row in seen.colours(shown)], note)


def small_multiples(
    value: Any, scale: Scale | None = None, shape: Sequence[int] = (), theme: str = "light"
) -> Thumbnail:
    """Return the colours of a value's first slices, side by side on one scale: filters, feature maps, heads.

    As `thumbnail`; between two slices there is a line of paper.

    Examples
    --------
    >>> seen = small_multiples(np.arange(8.0).reshape(2, 2, 2))
    >>> [len(row) for row in seen.cells], seen.note
    ([5, 5], '')
    >>> small_multiples(np.ones((20, 9, 9))).note
    '8 of 20 slices'
    """
    seen = _Value(value)
    if not seen.array.size:
        return Thumbnail([])
    seen.scale = (seen.scale if scale is None else scale)._replace(theme=theme)
    planes, paper = seen.planes[:_MULTIPLES], in_hex(Scale(-1.0, 1.0, signed=True, theme=theme).colours(np.array(0.5)))
    across = min(len(planes), max(1, _ACROSS * planes.shape[1] // max(planes.shape[2], 1))) or 1
    across = -(-len(planes) // -(-len(planes) // across))  # rows as long as each other
    rows, columns = _every(planes.shape[1], _IMAGE), _every(planes.shape[2], _IMAGE)
    drawn = [[[in_hex(colour) for colour in row] for row in seen.colours(plane[rows, columns])] for plane in planes]
    blank = [paper] * len(drawn[0][0])
    cells: list[list[str]] = []
    for start in range(0, len(drawn), across):
        line = drawn[start : start + across]
        line += [[blank] * len(drawn[0])] * (across - len(line))
        cells += [[paper] * (across * (len(blank) + 1) - 1)] if cells else []
        for parts in zip(*line, strict=True):
            cells.append([colour for part in parts for colour in (*part, paper)][:-1])
    whole = [1, 1, 1, *(shape or seen.array.shape)]
    shown = len(planes), len(drawn[0]), len(blank)
    counts = zip(shown, (math.prod(whole[:-2]), *whole[-2:]), ("slices", "rows", "columns"), strict=True)
    return Thumbnail(cells, ", ".join(f"{n:,} of {of:,} {what}" for n, of, what in counts if n < of))


# --- as HTML --------------------------------------------------------------------------------------------------

_PAGE = "font:12px/1.5 ui-monospace,Menlo,Consolas,monospace"
_HATCH = "background:repeating-linear-gradient(45deg,#B3261E 0 3px,#7A1712 3px 6px);color:#fff"
_STROKES = {"?": "M{x}.2 {y}.2l.6 .6m0 -.6l-.6 .6", "+": "M{x}.2 {y}.5h.6m-.3 -.3v.6", "-": "M{x}.2 {y}.5h.6"}


def heatmap(value: Any, labels: Labels = ()) -> str:
    """Return a value as a heatmap in HTML: a table with its numbers where they fit, else cells of colours.

    Parameters
    ----------
    value : array_like
        For more than two axes, the first slice is shown.
    labels : sequence, optional
        For each axis, the names of its positions, or None; else they are numbered.

    Returns
    -------
    str
        With styles of its own, and no script; for light pages and dark ones.
    """
    seen = _Value(value, labels=labels)
    if not seen.array.ndim:
        return f'<code style="{_PAGE}">{html.escape(compact(seen.array.item()))}</code>'
    if not seen.array.size:
        return f'<span style="{_PAGE}">no element: {by_times(seen.array.shape)}</span>'
    _, height, width = seen.planes.shape
    most_across, most_down = _TABLE if width <= _TABLE[0] else _CELLS
    down, across = _every(height, most_down), _every(width, most_across)
    plane = seen.planes[0][down, across]
    words, names = _left_out(down, height, "row") + _left_out(across, width, "column"), []
    if width <= _TABLE[0]:
        picture = _table(seen, plane, seen.heads(-2, down), seen.heads(-1, across))
    else:
        picture = _svg(seen, plane)
        names = seen.listed(down, across)
    if len(seen.planes) > 1:
        words.append(f"the slice {seen.title(0)} of {len(seen.planes):,}")
    notes = "; ".join([*names, *seen.strange(), *_shown(words)])
    said = f'<div style="opacity:.75">{html.escape(notes)}</div>' if notes else ""
    return f'<div style="{_PAGE}">{picture}{_gradient(seen)}{said}</div>'


def _table(seen: _Value, plane: Array, rows: Sequence[str], columns: Sequence[str]) -> str:
    faint = "padding:1px 6px;opacity:.6;text-align:right;font-weight:normal;border:0"
    body = []
    for name, line, backs in zip(rows, plane, seen.colours(plane), strict=True):
        cells = []
        for shown, rgb in zip(line.tolist(), backs, strict=True):
            red, green, blue = map(int, rgb)
            look = f"background:rgb({red},{green},{blue});color:{'#000' if ink_on(rgb) == _BLACK else '#fff'}"
            look = look if math.isfinite(shown) else _HATCH
            cells.append(f'<td style="padding:1px 6px;text-align:right;border:0;{look}">{compact(shown)}</td>')
        head = f'<th style="{faint}">{html.escape(name)}</th>' if seen.array.ndim > 1 else ""
        body.append(f"<tr>{head}{''.join(cells)}</tr>")
    heads = "".join(f'<th style="{faint}">{html.escape(name)}</th>' for name in columns)
    corner = f'<th style="{faint}"></th>' if seen.array.ndim > 1 else ""
    rest = "".join(body)
    look = "font:inherit;border-collapse:collapse;border:0;margin:2px 0"
    return f'<table style="{look}"><tr>{corner}{heads}</tr>{rest}</table>'


def _svg(seen: _Value, plane: Array) -> str:
    """Return cells as SVG, a path a colour."""
    rows, columns = plane.shape
    side = min(14, max(4, _PIXELS // columns))
    levels = (seen.fractions(plane) * _LEVELS).round()
    paths: dict[int, list[str]] = {}
    for y, row in enumerate(levels.astype(int).tolist()):
        ends = [x for x in range(1, columns) if row[x] != row[x - 1]]
        for start, end in zip([0, *ends], [*ends, columns], strict=True):
            paths.setdefault(row[start], []).append(f"M{start} {y}h{end - start}v1h{start - end}z")
    fills = {level: seen.scale.colours(np.array(level / _LEVELS)) for level in paths if level >= 0}
    fills |= {-_LEVELS: np.array(NOT_FINITE)}
    drawn = [f'<path fill="{in_hex(fills[level])}" d="{"".join(parts)}"/>' for level, parts in sorted(paths.items())]
    strokes = [_STROKES[_sign(plane[y, x])].format(x=x, y=y) for y, x in np.argwhere(levels < 0).tolist()]
    if strokes:
        drawn.append(f'<path stroke="#fff" stroke-width=".14" fill="none" d="{"".join(strokes)}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{columns * side}" height="{rows * side}" '
        f'viewBox="0 0 {columns} {rows}" shape-rendering="crispEdges" style="display:block;margin:2px 0">'
        f"{''.join(drawn)}</svg>"
    )


def _gradient(seen: _Value) -> str:
    """Return the scale as a bar between its ends."""
    if seen.scale.is_flat:
        return f'<div style="opacity:.75">{seen.range()}</div>'
    colours = ",".join(in_hex(rgb) for rgb in seen.scale.colours(np.linspace(0, 1, 9)))
    bar = f"display:inline-block;width:8em;height:.8em;background:linear-gradient(to right,{colours})"
    low, high = compact(seen.scale.low), compact(seen.scale.high)
    note = f", blue is below 0; {seen.range()}" if seen.scale.signed else ""
    return f'<div style="opacity:.9">{low} <span style="{bar}"></span> {high}{note}</div>'


def in_hex(rgb: Iterable[int]) -> str:
    """Return a colour as ``#RRGGBB``."""
    return "#" + "".join(f"{int(part):02X}" for part in rgb)
