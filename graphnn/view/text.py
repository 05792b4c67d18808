"""Names, shapes and sizes as a person reads them, safe in a terminal and in a picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


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
    >>> counted(1, "parameter"), counted(50890, "parameter")
    ('1 parameter', '50,890 parameters')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
