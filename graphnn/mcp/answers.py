"""An answer of a tool: short, in pages, with what to ask next at its end.

What stands in a file, as names and lines of a program, is data, and may be written by anybody. It stands in quotes, or
in lines that begin with ``| ``, which no text from a file can leave: what cannot be seen is written out in it, so it
holds no line end.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

from .._util.text import visible
from ..errors import ValueRangeError

MOST = 6000
"""Characters of an answer: fewer than 2,000 tokens."""
_BODY, _LINE, _HINT, _HINTS = 4200, 400, 440, 3
MARK = "| "
"""What begins each line of data."""


class Answer:
    """Lines, and the calls that go on from them.

    Parameters
    ----------
    tool : str
        Which tool answers.
    **arguments
        What it was called with, so that another page can be asked for.
    """

    def __init__(self, tool: str, **arguments: Any) -> None:
        self._asked = tool, {key: value for key, value in arguments.items() if value not in ("", None)}
        self._lines: list[str] = []
        self._hints: list[str] = []

    @property
    def model(self) -> str:
        """The model that was asked about."""
        return str(self._asked[1].get("model", ""))

    def say(self, text: str) -> None:
        """Add a line of our own words; names in it are quoted by who writes it."""
        self._lines += textwrap.wrap(text, _LINE, drop_whitespace=False)

    def data(self, text: str) -> None:
        """Add lines that hold what stands in a file."""
        for line in text.split("\n"):
            line = visible(line) if line.strip() else ""
            parts = textwrap.wrap(line, _LINE, drop_whitespace=False, subsequent_indent="  ") or [""]
            self._lines += [f"{MARK}{part}".rstrip() for part in parts]

    def next(self, tool: str, **arguments: Any) -> None:
        """Add a call that goes on from here, as JSON."""
        hint = f"next: {tool} {_json(arguments)}"
        if len(hint) <= _HINT and hint not in self._hints and len(self._hints) < _HINTS:
            self._hints.append(hint)

    def text(self, page: int = 1) -> str:
        """Return one page of it.

        Raises
        ------
        ValueRangeError
            When it has no such page.
        """
        pages: list[list[str]] = [[]]
        room = _BODY
        for line in self._lines:
            if len(line) + 1 > room:
                pages.append([])
                room = _BODY
            pages[-1].append(line)
            room -= len(line) + 1
        if not 1 <= page <= len(pages):
            raise ValueRangeError(f"page {page} is asked for, and there are {len(pages)}")
        lines = list(pages[page - 1])
        if page < len(pages):
            tool, arguments = self._asked
            more = f"more: {tool} {_json({**arguments, 'page': page + 1})}"
            lines.append(f"(page {page} of {len(pages)})")
            lines += [more] if len(more) <= _HINT else []
        return "\n".join([*lines, *self._hints])


def _json(arguments: dict[str, Any]) -> str:
    """Return arguments as JSON; with letters of any language as they are, and what cannot be seen escaped."""
    text = json.dumps(arguments, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(arguments)
