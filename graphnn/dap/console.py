"""The console of an editor: the verbs of the terminal's debugger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import graphnn as gn

from ..errors import UsageError

if TYPE_CHECKING:
    from ..debugger.debugger import Debugger

_WIDTH = 100
_NOT_HERE = ("quit", "save")  # no console of an editor writes files


def _no_file(name: str) -> Any:
    raise UsageError("files are read when a target is launched, and not from the console")


class Console:
    """Reads verbs, such as ``why x[3, 1]``, and keeps what they say.

    Parameters
    ----------
    dbg : Debugger
    """

    def __init__(self, dbg: Debugger) -> None:
        self._said: list[str] = []
        echo = dbg.echo
        self._session = gn.terminal.Session(dbg, lambda text, coloured: self._said.append(text), _no_file, width=_WIDTH)
        self._heard = dbg.echo
        dbg.echo = echo
        self._dbg = dbg

    @property
    def verbs(self) -> list[str]:
        """What a line may begin with."""
        return sorted(word for word, verb in self._session.by_word.items() if verb.name not in _NOT_HERE)

    def _verb(self, text: str) -> Any:
        word = text.split(None, 1)[0]
        verb = self._session.by_word.get(word)
        return None if verb is None or verb.name in _NOT_HERE or word in self._dbg.graph else verb

    def knows(self, text: str) -> bool:
        """Return whether a line begins with a verb."""
        return self._verb(text) is not None

    def moves(self, text: str) -> bool:
        """Return whether a line may move the run."""
        return bool(self._verb(text).moves)

    def perform(self, text: str) -> tuple[str, bool]:
        """Do what a line says; return what it says, and whether it could be done."""
        self._said.clear()
        failures = self._session.failures
        self._dbg.echo = self._heard
        self._session.onecmd(text)
        return "\n".join(self._said), self._session.failures == failures
