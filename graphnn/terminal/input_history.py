"""What was typed, kept from one session to the next."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import GraphnnError
from ..io.atomic_file import replacing

OFF = "GRAPHNN_NO_HISTORY"
"""The variable of the environment that switches it off, unless it is empty."""
_MOST_LINES, _LONGEST_LINE, _MOST_BYTES = 1000, 500, 1_000_000


def history_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that keeps what was typed; None where it is switched off, or there is no home.

    Examples
    --------
    >>> history_file({"XDG_STATE_HOME": "/home/ada/.state"}).as_posix()
    '/home/ada/.state/graphnn/history'
    >>> history_file({"GRAPHNN_NO_HISTORY": "1"})
    """
    if environ.get(OFF):
        return None
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # as the specification of these folders says
        try:
            state = Path.home() / ".local" / "state"
        except RuntimeError:
            return None
    return state / "graphnn" / "history"


@contextmanager
def history_kept(environ: Mapping[str, str]) -> Iterator[None]:
    """Offer the lines of earlier sessions at the prompt, and keep the lines that are typed in this one.

    Where there is no readline, or no file can be written, nothing is kept.
    """
    file = history_file(environ)
    try:
        import readline
    except ImportError:
        file = None
    if file is None:
        yield
        return
    before = _lines_of(file)
    for line in before:
        readline.add_history(line)
    start = readline.get_current_history_length()
    try:
        yield
    finally:
        with suppress(OSError, GraphnnError):  # whoever leaves should not be told of this
            _keep(file, _typed(readline, start))


def _typed(readline: Any, start: int) -> list[str]:
    """Return the lines that were typed since there were so many."""
    lines = [
        readline.get_history_item(place + 1) or "" for place in range(start, readline.get_current_history_length())
    ]
    return [line for line in lines if _is_kept(line)]


def _is_kept(line: str) -> bool:
    return bool(line.strip()) and line.isprintable() and len(line) <= _LONGEST_LINE


def _lines_of(file: Path) -> list[str]:
    """Return the last lines of a file that could have been typed; none where it cannot be read."""
    try:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return []  # nothing that was written here
        text = file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.split("\n") if _is_kept(line)][-_MOST_LINES:]


def _keep(file: Path, typed: list[str]) -> None:
    """Add lines to a file that nobody else may read. Another session may have added its own meanwhile."""
    if not typed:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    lines = [*_lines_of(file), *typed][-_MOST_LINES:]
    with replacing(file) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
