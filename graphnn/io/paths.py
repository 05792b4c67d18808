"""What a user gives for the path of a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import UsageError

StrPath: TypeAlias = "str | os.PathLike[str]"


def path_of(path: Any) -> Path:
    """Return what was given for a path as one.

    Raises
    ------
    UsageError
        When it is not text, or holds what no name of a file can.
    """
    try:
        text = os.fsdecode(path)
    except Exception as error:  # noqa: BLE001 - a path of the user's own may raise anything
        cause = None if isinstance(error, TypeError) else error
        raise UsageError(f"a path is text or a pathlib.Path, not {type(path).__name__}") from cause
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"no file can be called {text!a}") from None
    if "\0" in text:
        raise UsageError(f"no file can be called {text!a}")
    return Path(text)
