"""Conditions and values as they are typed, cut into numbers, words and signs; nothing in them is evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf(?![A-Za-z_])))"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign><=|>=|==|!=|<(?!>)|[>()\[\],]))",
    re.ASCII,
)
_MEANT = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!="}


class Tokens:
    """A text, read token by token.

    Parameters
    ----------
    text : str
    refuse : callable
        Raises an error that says what the text has or lacks.
    """

    def __init__(self, text: str, refuse: Callable[[str], NoReturn]) -> None:
        self.refuse = refuse
        self._tokens: list[tuple[str, str]] = []
        self._at, at, text = 0, 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                sign = text[at:].strip()[:2]
                sign = sign if sign in _MEANT else sign[:1]
                meant = f"where {_MEANT[sign]} is meant" if sign in _MEANT else "which means nothing here"
                refuse(f'has "{sign}", {meant}')
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()

    def next(self, wanted: str) -> tuple[str, str]:
        """Return the kind of the next token, ``"number"``, ``"word"`` or ``"sign"``, and its text."""
        if self._at == len(self._tokens):
            self.refuse(f"ends where {wanted} should come")
        self._at += 1
        return self._tokens[self._at - 1]

    def number(self) -> float:
        """Return the number that comes next."""
        kind, text = self.next("a number")
        if kind != "number":
            self.refuse(f'has "{text}" where a number should come')
        return float(text)

    def skips(self, text: str) -> bool:
        """Pass over a token, if it comes next; return whether it does."""
        if self._at < len(self._tokens) and self._tokens[self._at][1] == text:
            self._at += 1
            return True
        return False

    def expect(self, *texts: str) -> str:
        """Return the next token, which must be one of some."""
        wanted = " or ".join(f'"{text}"' for text in texts)
        found = self.next(wanted)[1]
        if found not in texts:
            self.refuse(f'has "{found}" where {wanted} should come')
        return found

    def end(self) -> None:
        """Refuse what is left."""
        if self._at < len(self._tokens):
            self.refuse(f'has "{self._tokens[self._at][1]}" where it should end')
