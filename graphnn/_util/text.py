"""Text and numbers as a person reads them, and text that anybody may have chosen made safe for a terminal."""

from __future__ import annotations

import math
import re
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

PAGE, NARROWEST = 80, 40
"""Columns of what is printed: of a page, where there is no terminal; and the fewest."""
MOST_BITS = 10_000
"""Of an int that a message shows. Python refuses to write out much longer ones."""
_SHOWN = 6
"""Numbers of an array that a message shows."""
_ENDLESS = re.compile(r"(?:\S|(?<=,) (?=0\))){300,}")  # also the space in a dimension such as max(n-1, 0)


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


def short_repr(value: Any) -> str:
    """Return a value as an error shows it: short, on one line, and whatever its own repr does.

    Examples
    --------
    >>> print(short_repr((1, "a")), short_repr(np.zeros((5, 9))))
    (1, 'a') an array of shape (5, 9)
    >>> print(short_repr({"x": np.zeros((5, 9))}), "and", short_repr([[0.5] * 9] * 9))
    a dict of 1 entry and a list of 9
    """
    if issubclass(type(value), str):
        text = repr(str.__str__(value)[:200])
    elif issubclass(type(value), int) and int.bit_length(value) > MOST_BITS:
        text = f"an int of {int.bit_length(value):,} bits"
    elif isinstance(value, np.ndarray) and (value.size > _SHOWN or value.ndim > 1):
        text = f"an array of shape {value.shape}"
    elif isinstance(value, dict) and not _is_short(value.values()):
        text = f"a dict of {len(value):,} {'entry' if len(value) == 1 else 'entries'}"
    elif isinstance(value, (list, tuple)) and not _is_short(value):
        text = f"a {'list' if isinstance(value, list) else 'tuple'} of {len(value):,}"
    else:
        try:
            text = str(value) if isinstance(value, np.integer) else repr(value)
        except Exception:  # noqa: BLE001 - anybody's
            text = f"a {type(value).__name__}"
    text = visible(text)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _is_short(parts: Collection[Any]) -> bool:
    """Return whether parts are few, none of them an array, and a list or dict only if it is short, too."""
    if len(parts) > 2 * _SHOWN or any(isinstance(part, np.ndarray) for part in parts):
        return False
    inner = [part for part in parts if isinstance(part, (list, tuple, dict))]
    return sum(map(len, inner)) <= 2 * _SHOWN


def message(text: str) -> str:
    r"""Return a message with the names of anybody in it, as a terminal may show it.

    Lines stay lines. What cannot be seen is written out; of a word without end the middle is left out.

    Examples
    --------
    >>> print(message("no node \"\x1b[31ma\"\n  at net.py:7"), len(message("a" * 10_000)))
    no node "\x1b[31ma"
      at net.py:7 241
    """
    lines = (visible(line) if line else "" for line in text.split("\n"))
    return "\n".join(_ENDLESS.sub(lambda word: f"{word[0][:160]}…{word[0][-80:]}", line) for line in lines)


def with_article(name: str) -> str:
    """Return an operation's name as one of its kind.

    Examples
    --------
    >>> with_article("add"), with_article("relu"), with_article("one_hot"), with_article("outer")
    ('an add', 'a relu', 'a one_hot', 'an outer')
    """
    vowel = name.lower().startswith(("a", "e", "i", "o", "u")) and not name.startswith(("one", "uni", "use"))
    return f"{'an' if vowel else 'a'} {name}"


def short_name(name: str, most: int) -> str:
    r"""Return a name made visible, with its middle left out where it has more than `most` characters.

    Two thirds of what is left are its end, which tells more than its beginning: that is the scope.

    Examples
    --------
    >>> print(short_name("grad/categorical_crossentropy_1/log", 20), short_name("relu", 20), short_name("\a", 20))
    grad/c…entropy_1/log relu \x07
    """
    text = visible(name)
    return text if len(text) <= most else f"{text[: most // 3]}…{text[len(text) - most + most // 3 + 1 :]}"


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return names as `short_name` gives them; of those that would be alike, what tells them apart, and their ends.

    Examples
    --------
    >>> short_names(["relu", "sgd/dense_1/weight/add", "sgd/dense_2/weight/add"], 16)
    ['relu', '…nse_1…eight/add', '…nse_2…eight/add']
    """
    short = [short_name(name, most) for name in names]
    count = Counter(short)
    alike = [place for place, text in enumerate(short) if "…" in text and count[text] > 1]
    if alike:
        _tell_apart(names, alike, most, short)
    return short


def _tell_apart(names: Sequence[str], places: Sequence[int], most: int, short: list[str]) -> None:
    """Shorten names that are all too long so that they hold the parts of their paths in which they differ."""
    paths = {place: names[place].split("/") for place in places}
    waiting = [(list(places), 0, "…")]
    while waiting:
        group, depth, lead = waiting.pop()
        by_part: dict[str, list[int]] = {}
        while len(by_part) <= 1 and any(len(paths[place]) > depth for place in group):
            by_part = {}
            for place in group:
                by_part.setdefault("".join(paths[place][depth : depth + 1]), []).append(place)
            depth += 1
        for part, found in by_part.items():
            head = visible(part)[-max(most // 3, 1) :]
            if len(found) > 1 and len(by_part) > 1:
                waiting.append((found, depth, f"{lead}{head}…"[-most:]))
                continue
            for place in found:
                rest, room = visible("/".join(paths[place][depth - 1 :])), most - len(lead)
                tail = rest[1 + len(head) - room :] if room > len(head) + 1 else ""
                name = lead + (rest if len(rest) <= room else f"{head}…{tail}")
                short[place] = name if len(name) <= most else f"…{name[1 - most :]}"[:most]


def quoted(name: str) -> str:
    r"""Return a name in quotes, made visible and no longer than 80 characters.

    Examples
    --------
    >>> print(quoted("relu_1"), quoted("a\nb"), len(quoted("a" * 10_000)))
    "relu_1" "a\nb" 82
    """
    return f'"{short_name(name, 80) if name else name}"'


def is_real(value: Any) -> bool:
    """Return whether a value is a number of a float dtype; that of bfloat16 is no class of NumPy's.

    Examples
    --------
    >>> is_real(0.5), is_real(np.float16(0.5)), is_real(1)
    (True, True, False)
    """
    return isinstance(value, (float, np.floating)) or (isinstance(value, np.generic) and value.dtype.name == "bfloat16")


def number(value: Any) -> str:
    """Return a number in four digits, fewer if they are exact.

    Examples
    --------
    >>> number(np.float64(0.5)), number(np.float32(0.1)), number(1 / 3), number(0.33302), number(1234.5)
    ('0.5', '0.1', '0.3333', '0.3330', '1234')
    >>> number(np.int64(12345)), number(-np.inf), number(np.bool_(True)), number(1e-9)
    ('12345', '-inf', 'True', '1e-09')
    """
    if not is_real(value):
        return str(value)
    for digits in range(1, 5):
        short = f"{value:.{digits}g}"
        if type(value)(float(short)) == value:
            return f"{float(short):.4g}"
    return f"{value:#.4g}".rstrip(".")


def plain(value: Any) -> Any:
    """Return a number as JSON has it; what JSON has not, NaN and the infinities, as text.

    Examples
    --------
    >>> plain(0.5), plain(float("-inf")), plain(None)
    (0.5, '-inf', None)
    """
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def listed(parts: Sequence[str], most: int = 8) -> str:
    """Return a list in a sentence, cut off after `most` parts.

    Examples
    --------
    >>> listed(["batch", "time"]), listed(["a", "b", "c", "d"], 2)
    ('batch, time', 'a, b and 2 more')
    """
    more = f" and {len(parts) - most:,} more" if len(parts) > most else ""
    return f"{', '.join(parts[:most])}{more}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "parameter"), counted(50890, "parameter"), counted(2, "box")
    ('1 parameter', '50,890 parameters', '2 boxes')
    """
    plural = "es" if noun.endswith("x") else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"


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


def clock(seconds: float) -> str:
    """Return a time as clocks show it.

    Examples
    --------
    >>> clock(7.4), clock(754), clock(3725)
    ('0:07', '12:34', '1:02:05')
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def columns_there(stream: Any = None) -> int | None:
    """Return how many columns the terminal has that a stream, or the standard output, is; None where it is none."""
    stream = sys.stdout if stream is None else stream
    is_terminal = getattr(stream, "isatty", None)
    return shutil.get_terminal_size().columns if is_terminal is not None and is_terminal() else None


def in_lines(text: str, width: int | None, indent: str = "", hanging: str = "") -> list[str]:
    """Return a text in lines of at most so many columns.

    Parameters
    ----------
    text : str
    width : int or None
        None: one line, however long.
    indent, hanging : str
        Before the first line, and before each other one.

    Examples
    --------
    >>> in_lines("the where hid it in the forward pass", 20, "  ", "    ")
    ['  the where hid it', '    in the forward', '    pass']
    >>> in_lines("the where hid it in the forward pass", None, "  ")
    ['  the where hid it in the forward pass']
    """
    if width is None:
        return [f"{indent}{text}"]
    return textwrap.wrap(text, max(width, NARROWEST // 2), initial_indent=indent, subsequent_indent=hanging)
