"""The user's own file and line: where a node was made, and where an error arose."""

from __future__ import annotations

import cmd
import contextlib
import copy
import dataclasses
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from types import FrameType
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

_OWN = "graphnn", "graphnn.exe", "<frozen runpy>"  # the console script, and what `python -m` runs through
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# The demo is part of the package, but written as a user's program.
_LIBRARIES = (_PACKAGE, *(os.path.dirname(str(library.__file__)) + os.sep for library in (np, nx)))
_USERS_OWN = frozenset({_PACKAGE + "demo.py"})


class Origin(NamedTuple):
    """A line of the user's code."""

    file: str
    line: int

    def __str__(self) -> str:
        if not self.file:
            return "no user line"
        return f"{_label(self.file)}:{self.line}"


NOWHERE = Origin("", 0)
"""The origin when no line of the user's code is on the stack, as in the command ``graphnn``."""

# file → whether it is skipped in the search for the user's line: graphnn's own files, and library files that may stand
# on the stack between the user's line and graphnn.
_skipped: dict[str, bool] = {
    function.__code__.co_filename: True
    for function in (
        contextlib.contextmanager,  # the `with` block of a scope
        cmd.Cmd.cmdloop,  # the prompt of the debugger
        dataclasses.replace,  # Op.bound
        copy.copy,  # of an operation
    )
}
_known: dict[tuple[str, int], Origin] = {}


@cache
def _label(file: str) -> str:
    return _cell(file) or os.path.basename(file) or file


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
    frame = _users_frame(sys._getframe(1))
    if frame is None:
        return NOWHERE
    key = (frame.f_code.co_filename, frame.f_lineno)
    return _known.get(key) or _known.setdefault(key, Origin(*key))


def users_names(things: Sequence[Any], otherwise: Sequence[str]) -> list[str]:
    """Return the variables that hold some things where the user's line is; for one that none holds, another name.

    Examples
    --------
    >>> scores = object()
    >>> users_names([scores, object()], ["x", "labels"])
    ['scores', 'labels']
    """
    frame = _users_frame(sys._getframe(1))
    known = {} if frame is None else {**frame.f_globals, **frame.f_locals}
    found = {id(thing): name for name, thing in known.items() if not name.startswith("_")}
    return [found.get(id(thing), name) for thing, name in zip(things, otherwise, strict=True)]


def _users_frame(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame, from this one on, of code of the user's."""
    while frame is not None:
        file = frame.f_code.co_filename
        skipped = _skipped.get(file)
        if skipped is None:
            skipped = _skipped[file] = _is_skipped(file)
        # The code of an ``__init__`` that `dataclasses` makes is in no file.
        if not skipped and not (file == "<string>" and frame.f_code.co_qualname.startswith("__create_fn__")):
            return frame
        frame = frame.f_back
    return None


def is_from_here(origin: Origin) -> bool:
    """Return whether this process recorded that line itself, and did not read it from a file."""
    return origin in _known


def _is_skipped(file: str) -> bool:
    if os.path.basename(file) in _OWN:
        return True
    return file.startswith(_LIBRARIES) and file not in _USERS_OWN
