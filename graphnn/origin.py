"""The user's own file and line: where a node was made, and where an error arose."""

from __future__ import annotations

import cmd
import contextlib
import copy
import dataclasses
import os
import re
import sys
from types import FrameType
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

_OWN = "graphnn", "graphnn.exe", "<frozen runpy>"  # the console script, and what `python -m` runs through
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# The demo stands in the package, but is written as a user writes.
_LIBRARIES = (_PACKAGE, *(os.path.dirname(str(library.__file__)) + os.sep for library in (np, nx)))
_USERS_OWN = frozenset({_PACKAGE + "demo.py"})


class Origin(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        if not self.file:
            return "no line of a user's"
        return f"{_label(self.file)}:{self.line}"


_OF_DATACLASS = "__create_fn__"
"""What holds the ``__init__`` that a dataclass is given: it is in no file."""

NOWHERE = Origin("", 0)
"""Where there is no user's line: the command was asked, not a program."""

_labels: dict[str, str] = {}
# By file, whether it is not the user's: ours, or one through which we are called: a `with` enters a scope by the
# first, what is typed in the terminal comes through the second; an operation is made again by `replace`, and copied.
_within: dict[str, bool] = {
    function.__code__.co_filename: True
    for function in (contextlib.contextmanager, cmd.Cmd.cmdloop, dataclasses.replace, copy.copy)
}
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
    """Return the innermost line on the stack that is neither graphnn's own nor NumPy's or NetworkX's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        within = _within.get(file)
        if within is None:
            within = _within[file] = _is_within(file)
        if not within and not (file == "<string>" and frame.f_code.co_qualname.startswith(_OF_DATACLASS)):
            key = (file, frame.f_lineno)
            origin = _known.get(key)
            if origin is None:
                origin = _known[key] = Origin(*key)
            return origin
        frame = frame.f_back
    return NOWHERE


def is_from_here(origin: Origin) -> bool:
    """Say whether this process recorded that line itself: what a file says of a line is no proof that it did."""
    return origin in _known


def _is_within(file: str) -> bool:
    if os.path.basename(file) in _OWN:
        return True
    return file.startswith(_LIBRARIES) and file not in _USERS_OWN
