"""Names, shapes and sizes as a person reads them, safe in a terminal and in a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


def visible(text: str) -> str:
    r"""Return `text` with what cannot be seen written out: control and format characters, stray surrogates.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        On one line. A backslash stays one backslash; nothing at all is shown as ``""``.

    Examples
    --------
    >>> print(visible("a\x1b[31mb\nc"), visible(r"\N"), visible(""))
    a\x1b[31mb\nc \N ""
    """
    if text.isprintable():
        return text or '""'
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def elided(text: str, most: int) -> str:
    """Return `text` with its middle left out where it is longer than `most` characters.

    Examples
    --------
    >>> elided("categorical_crossentropy", 12), elided("relu", 12)
    ('categor…ropy', 'relu')
    """
    if len(text) <= most:
        return text
    tail = (most - 1) // 3
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def by_times(shape: Iterable[Any]) -> str:
    """Return a shape as pictures show it.

    Examples
    --------
    >>> by_times(("batch", 64)), by_times(())
    ('batch × 64', 'scalar')
    """
    return " × ".join(map(str, shape)) or "scalar"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "parameter"), counted(50890, "parameter"), counted(2, "box")
    ('1 parameter', '50,890 parameters', '2 boxes')
    """
    plural = "es" if noun.endswith("x") else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def in_bytes(size: int) -> str:
    """Return a size in memory.

    Examples
    --------
    >>> in_bytes(80), in_bytes(3096), in_bytes(5 * 2**20)
    ('80 B', '3.02 KiB', '5.00 MiB')
    """
    if size < 1024:
        return f"{size} B"
    value, units = float(size), iter(("KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = ""
    while value >= 1024 and (larger := next(units, "")):
        value, unit = value / 1024, larger
    return f"{value:.2f} {unit}"


def preview(value: Any, limit: int = 6) -> str:
    """Return an array in short: its numbers if they are few, else how they are spread.

    Parameters
    ----------
    value : array_like
    limit : int
        The most numbers that are written out.

    Returns
    -------
    str
        On one line.

    Examples
    --------
    >>> preview([[1.0, 0.25], [1 / 3, 2.0]])
    '[[1, 0.25], [0.3333, 2]]'
    >>> preview(np.arange(300.0))
    'min 0, mean 149.5, max 299'
    >>> preview([0.0, np.nan, 1.0], limit=2)
    'min 0, mean 0.5, max 1, 1 of 3 not finite'
    """
    array = np.asarray(value)
    if array.size <= limit:
        return _written(array.tolist())
    low, mean, high, strange = spread(array)
    if array.dtype.kind == "b":
        return f"true {int(round(mean * array.size)):,} of {array.size:,}"
    text = f"min {number(low)}, mean {number(mean)}, max {number(high)}"
    return text + f", {strange:,} of {array.size:,} not finite" if strange else text


class Spread(NamedTuple):
    """How the numbers of an array are spread.

    Attributes
    ----------
    low, mean, high : float
        Of those that are finite; NaN where there is none.
    strange : int
        How many are not finite.
    """

    low: float
    mean: float
    high: float
    strange: int


def spread(value: Any) -> Spread:
    """Return the smallest, mean and largest of the finite numbers in an array, and how many are not finite.

    Examples
    --------
    >>> spread([1.0, 2.0, np.inf])
    Spread(low=1.0, mean=1.5, high=2.0, strange=1)
    """
    array = np.asarray(value)
    finite = array[np.isfinite(array)]
    strange = array.size - finite.size
    if not finite.size:
        return Spread(math.nan, math.nan, math.nan, strange)
    with np.errstate(over="ignore"):
        mean = float(np.mean(finite, dtype=np.float64))
    return Spread(float(finite.min()), mean, float(finite.max()), strange)


def number(value: float) -> str:
    """Return a number in four digits.

    Examples
    --------
    >>> number(1 / 3), number(3), number(1e-07), number(True)
    ('0.3333', '3', '1e-07', 'True')
    """
    return str(value) if isinstance(value, (bool, int)) else f"{value:.4g}"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return number(value)
