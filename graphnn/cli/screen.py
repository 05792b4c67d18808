"""What the command prints, and where to: text, JSON, complaints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .._util.text import columns_there, plain
from ..errors import GraphnnWarning
from ..view.formatting import folded, printable
from ..view.tables.terminal_colors import headed

if TYPE_CHECKING:
    from ..core import Array


def say(text: object = "", coloured: bool = False) -> None:
    """Print a text, with its colours if it is our own."""
    _print_to(sys.stdout, text, coloured)


def note(text: object) -> None:
    """Print a text to the standard error."""
    with contextlib.suppress(BrokenPipeError):
        _print_to(sys.stderr, text)


def _print_to(stream: TextIO | None, text: object, coloured: bool = False) -> None:
    """Print lines, with characters written out that would command the terminal or that the stream cannot hold."""
    if stream is not None:  # it is None where the shell has closed it
        print(printable(text, getattr(stream, "encoding", None), coloured), file=stream)


def say_json(data: Any) -> None:
    """Print data as one line of JSON; NaN and infinities, which it lacks, as text."""
    say(json.dumps(_plain(data), allow_nan=False))


def say_files(written: Sequence[Path], missing: Sequence[str]) -> None:
    """Print which files were written, and notes on those that were not."""
    for path in written:
        say(f"wrote {path}")
    for remark in missing:
        say(f"note: {remark}")


def show(found: Any, as_json: bool, text: Callable[[], object]) -> None:
    """Print a result: as JSON, or as `text` says, which is safe for a terminal.

    A reader that stops early does not change the exit code.
    """
    try:
        if as_json:
            say_json(found.to_dict())
        else:
            say(text(), coloured=True)
    except BrokenPipeError:
        mute()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else plain(value)


def array_as_json(value: Array) -> dict[str, Any]:
    """Return an array as JSON has it."""
    return {"shape": list(value.shape), "dtype": str(value.dtype), "value": value.tolist()}


def mute() -> None:
    """Drop what is still to be printed, also at Python's own exit: the reader (head, less) has seen enough."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(error: object) -> None:
    """Print what went wrong to the standard error."""
    text = f"graphnn: {error}"
    if (width := columns_there(sys.stderr)) is not None:
        text = folded(text, width)
    with contextlib.suppress(BrokenPipeError):
        _print_to(sys.stderr, headed(text, colours(sys.stderr), "failed"), coloured=True)


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning; one of graphnn names its node and line itself."""
    own = issubclass(category, GraphnnWarning)
    text = f"graphnn: {message}" if own else warnings.formatwarning(message, category, filename, lineno, line)
    stream = file or sys.stderr
    _print_to(stream, headed(text.rstrip("\n"), colours(stream), "warning" if own else ""), coloured=True)


def holds(text: str) -> bool:
    """Return whether the screen can show a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether somebody reads or types there."""
    return stream is not None and stream.isatty()


def width() -> int:
    """Return how many columns text has: those of the screen, or of a page."""
    return room() or 80


def room() -> int | None:
    """Return how many columns a table has: those of the screen; None, all that it needs, in a pipe or a file."""
    return columns_there(sys.stdout)


def colours(stream: TextIO | None = None) -> bool | int:
    """Return whether a stream, or the standard output, shows colours: True with 24 bits each, or 256."""
    stream = sys.stdout if stream is None else stream
    if not is_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return os.environ.get("COLORTERM") in ("truecolor", "24bit") or 256
