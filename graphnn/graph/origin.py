"""Where a node was made: the user's own file and line."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Any, NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# The demo stands in the package, but is written as a user writes.
_USERS_OWN = frozenset({_PACKAGE + "demo.py"})


class Origin(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{_label(self.file)}:{self.line}"


_labels: dict[str, str] = {}
# A file of ours, or the one through which a `with` enters a scope: not the user's line either way.
_within: dict[str, bool] = {contextlib.contextmanager.__code__.co_filename: True}
_known: dict[tuple[str, int], Origin] = {}


def _label(file: str) -> str:
    label = _labels.get(file)
    if label is None:
        label = _labels[file] = _cell(file) or os.path.basename(file) or file
    return label


def _cell(file: str) -> str | None:
    """Return ``cell 3`` for the file name that IPython or Jupyter gives to a cell's code."""
    if named := re.match(r"<ipython-input-(\d+)-", file):
        return f"cell {named[1]}"
    if f"{os.sep}ipykernel_" in file and "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(file)
        return f"cell {number}" if number is not None else "cell"
    return None


def origin_of(text: Any) -> Origin | None:
    """Return the origin that `text` shows, or None where it shows none.

    Examples
    --------
    >>> origin_of("spiral.py:12")
    Origin(file='spiral.py', line=12)
    """
    file, _, line = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return Origin(file, int(line)) if file and line.isdecimal() else None


def user_origin() -> Origin:
    """Return the innermost line on the stack that is not graphnn's own."""
    frame = sys._getframe(1)
    while True:
        file = frame.f_code.co_filename
        within = _within.get(file)
        if within is None:
            within = _within[file] = file.startswith(_PACKAGE) and file not in _USERS_OWN
        if not within or frame.f_back is None:
            key = (file, frame.f_lineno)
            origin = _known.get(key)
            if origin is None:
                origin = _known[key] = Origin(*key)
            return origin
        frame = frame.f_back
