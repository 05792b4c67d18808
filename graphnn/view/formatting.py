"""Names, shapes and sizes as a person reads them, safe in a terminal and in a picture."""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .._util.text import counted as counted
from .._util.text import in_bytes as in_bytes
from .._util.text import is_real, listed, short_name
from .._util.text import visible as visible
from ..core.attributes import whole
from ..debugger.traces.value_statistics import Stats, in_short

# Accents take no room, however many there are on a letter.
_MOST_MARKS = 4
_COLOUR = re.compile(r"(\x1b\[[\d;]*m)")
# Of the largest number of a matrix: where its numbers are written without an exponent.
_LEAST_PLAIN, _MOST_PLAIN = 1e-4, 1e6
_WORD, _NAME = 160, 16  # characters of a word in an error, and of the name of a position
_LONG = re.compile(rf"\S{{{_WORD + 1},}}")


def elided(text: str, most: int) -> str:
    """Return `text` with its middle left out where it takes more than `most` cells of a terminal.

    Examples
    --------
    >>> elided("categorical_crossentropy", 12), elided("relu", 12)
    ('categori…opy', 'relu')

    What is left out already leaves no second mark:

    >>> elided("scan_1@1…getitem_2", 14)
    'scan_1@1…em_2'
    """
    if cells_of(text) <= most and len(text) <= _MOST_MARKS * most:
        return text
    tail = (most - 1) // 3
    end = _beginning(text[::-1], tail)[::-1]
    return f"{_beginning(text, most - 1 - tail).rstrip('…')}…{end.lstrip('…')}"


def shortened(text: str, most: int) -> str:
    r"""Return a user's text, safe to show and cut in the middle to `most` cells of a terminal.

    Examples
    --------
    >>> print(shortened("a\nb", 12), shortened("categorical_crossentropy", 12))
    a\nb categori…opy
    """
    shown = _MOST_MARKS * most  # of either end, no more than so many characters
    return elided(visible(text if len(text) <= 2 * shown else text[:shown] + text[-shown:]), most)


def cells_of(text: str) -> int:
    """Return how many cells of a terminal the text takes.

    Examples
    --------
    >>> cells_of("relu"), cells_of("層")
    (4, 2)
    """
    if text.isascii():
        return len(text)
    return sum(map(_cells_of_one, text))


@lru_cache(maxsize=1024)
def _cells_of_one(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def in_cells(text: str, width: int, right: bool = False) -> str:
    """Return the text in exactly so many cells of a terminal, cut or filled up.

    Examples
    --------
    >>> in_cells("dense_1", 5), in_cells("add", 5, right=True)
    ('dens…', '  add')
    """
    if cells_of(text) > width:
        text = f"{_beginning(text, width - 1)}…"
    blank = " " * (width - cells_of(text))
    return blank + text if right else text + blank


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return lines that go into so many cells of a terminal, all but the first indented.

    Examples
    --------
    >>> wrapped("dense_1 reads x", 11, "  "), wrapped("層 層 層", 5)
    (['dense_1', '  reads x'], ['層', '層', '層'])
    """
    # Of what is wide, no character takes more than two cells.
    columns = width if cells_of(text) == len(text) else width // 2
    return textwrap.wrap(text, columns, subsequent_indent=indent, break_on_hyphens=False)


def _beginning(text: str, width: int) -> str:
    """Return what of a text fits into so many cells."""
    if text.isascii():
        return text[: max(width, 0)]
    taken = 0
    for i, character in enumerate(text):
        taken += cells_of(character)
        if taken > width or i >= _MOST_MARKS * width:
            return text[:i]
    return text


def norm_of(stats: Stats) -> float:
    """Return the Euclidean norm of a value; NaN or infinite where one of its numbers is.

    Examples
    --------
    >>> from ..debugger.traces.value_statistics import stats_of
    >>> round(norm_of(stats_of(np.array([3.0, 4.0]))), 12)
    5.0
    """
    if stats.nans or stats.posinfs or stats.neginfs:
        return math.nan if stats.nans else math.inf
    return math.hypot(stats.mean, stats.std) * math.sqrt(stats.size) if stats.size else 0.0


def at_least(least: int, value: Any, what: str) -> int:
    """Return a whole number that a user gave, or `least` where it is less.

    Raises
    ------
    UsageError
        When it is none.

    Examples
    --------
    >>> at_least(40, 80, "width="), at_least(40, -1, "width=")
    (80, 40)
    """
    return max(whole(what, value), least)


def by_times(shape: Iterable[Any]) -> str:
    """Return a shape as pictures show it.

    Examples
    --------
    >>> by_times(("batch", 64)), by_times(())
    ('batch × 64', 'scalar')
    """
    return " × ".join(map(str, shape)) or "scalar"


def in_seconds(time: float) -> str:
    """Return a time.

    Examples
    --------
    >>> in_seconds(0.0), in_seconds(4.2e-6), in_seconds(0.0123), in_seconds(61.0)
    ('0 µs', '4.2 µs', '12.3 ms', '61 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return f"{time * 1e6:.3g} µs"


def preview(value: Any, limit: int = 6) -> str:
    """Return an array in short: its numbers if they are few, else how they are spread.

    Parameters
    ----------
    value : array_like
    limit : int
        How many numbers are written out at most.

    Returns
    -------
    str
        On one line.

    Examples
    --------
    >>> preview([[1.0, 0.25], [1 / 3, 2.0]])
    '[[1, 0.25], [0.3333, 2]]'
    >>> preview([0.0, np.nan, 1.0], limit=2)
    'min 0, mean 0.5, max 1; 1 NaN'
    """
    return in_short(np.asarray(value), limit, compact)


def named_numbers(names: Iterable[str], value: Any) -> str:
    """Return the numbers of a value of one axis, each after the name of its position.

    Examples
    --------
    >>> named_numbers(("cat", "dog"), [0.25, 2 / 3])
    'cat 0.25, dog 0.6667'
    """
    pairs = zip(names, np.asarray(value).tolist(), strict=True)
    return ", ".join(f"{short_name(name, _NAME)} {compact(number)}" for name, number in pairs)


def names_along(names: Sequence[Sequence[str] | None], most: int = 8) -> list[str]:
    """Return for each axis whose positions have names a line with the first of them.

    Examples
    --------
    >>> names_along([None, ("cat", "dog", "fish")], 2)
    ['axis 1: cat, dog and 1 more']
    """
    return [
        f"axis {axis}: {listed([short_name(name, _NAME) for name in along[:most]] + [''] * (len(along) - most), most)}"
        for axis, along in enumerate(names)
        if along is not None
    ]


def compact(value: Any) -> str:
    """Return a number in four digits, without zeros at its end: columns and boxes have no room to say what is exact.

    Examples
    --------
    >>> compact(1 / 3), compact(3), compact(1e-07), compact(0.20001), compact(True)
    ('0.3333', '3', '1e-07', '0.2', 'True')
    """
    return f"{value:.4g}" if is_real(value) else str(value)


def aligned(plane: Any) -> list[list[str]]:
    """Return the numbers of a matrix as text: all with as many decimals, so that they stand below each other.

    Floats have three significant digits at least, as far as the largest goes; fewer where that says all of them.

    Examples
    --------
    >>> aligned([[1.0, -0.25], [2 / 3, 10.0]])
    [['1.000', '-0.250'], ['0.667', '10.000']]
    >>> aligned([[0.5, 1.0]]), aligned([[2, 0]]), aligned([[0.01234, np.nan]]), aligned([[1e-9, 0.0]])
    ([['0.5', '1.0']], [['2', '0']], [['0.0123', 'nan']], [['1.0e-09', '0.0e+00']])
    """
    array = np.asarray(plane)
    if array.dtype.kind in "iub":
        return [[str(number) for number in row] for row in array.tolist()]
    wide = array.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    most = float(np.abs(finite).max(initial=0.0))
    magnitude = math.floor(math.log10(most)) if most else 0
    if most and not _LEAST_PLAIN <= most < _MOST_PLAIN:
        return [[f"{number:.1e}" for number in row] for row in wide.tolist()]
    needed = max(2 - magnitude, 3) if magnitude < 2 else max(4 - magnitude, 0)
    decimals = next((few for few in range(needed) if np.array_equal(finite.round(few), finite)), needed)
    return [[f"{number:.{decimals}f}" for number in row] for row in wide.tolist()]


def statistics(value: Any) -> tuple[float, float, float]:
    """Return the smallest number of an array, the mean and the largest; NaN of nothing, or where there is a NaN.

    Examples
    --------
    >>> statistics([1.0, 2.0, 6.0])
    (1.0, 3.0, 6.0)
    """
    array = np.asarray(value)
    if not array.size:
        return math.nan, math.nan, math.nan
    # In float64: a mean of float16 would overflow. Infinities of both signs have no mean, and nobody need be warned.
    with np.errstate(all="ignore"):
        return float(array.min()), float(array.mean(dtype=np.float64)), float(array.max())


def printable(text: object, encoding: str | None = None, coloured: bool = False) -> str:
    r"""Return text with what would command the terminal, or what it cannot hold, written out; lines stay lines.

    Parameters
    ----------
    text : object
    encoding : str, optional
        Of the terminal.
    coloured : bool
        Whether colours that the text sets are kept.

    Examples
    --------
    >>> print(printable("a\x1b[31m, θ\nb", "ascii"))
    a\x1b[31m, \u03b8
    b
    """
    encoding = encoding or "utf-8"
    lines = []
    for line in str(text).split("\n"):
        parts = _COLOUR.split(line) if coloured else [line]
        # Every second part is a colour.
        lines.append("".join(part if i % 2 or not part else visible(part) for i, part in enumerate(parts)))
    return "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)


def folded(text: str, width: int) -> str:
    """Return lines that go into the terminal's width, of a length that can be read."""
    lines: list[str] = []
    for line in _LONG.sub(lambda word: elided(word[0], _WORD), text).split("\n"):
        lines += wrapped(visible(line) if line else "", width, "  ")
    return "\n".join(lines)
