"""The lines of source that nodes name."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..graph import Node, Origin

Lines = dict[str, dict[int, str]]
"""Text by file and line number, from 1."""

AROUND = 4
"""How many lines are kept before and after one that is named."""


def sources_of(nodes: Iterable[Node]) -> Lines:
    """Return the lines that made these nodes, with those around them.

    Only of files that run in this process, and of cells and doctests, which are no files: an origin that came in a
    file from elsewhere could name any file of this machine.
    """
    lines: Lines = {}
    running = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    for file, numbers in _numbers(node.origin for node in nodes).items():
        if file in running or file in linecache.cache or (file.startswith("<") and file.endswith(">")):
            text = linecache.getlines(file)
            wanted = {n for number in numbers for n in range(number - AROUND, number + AROUND + 1)}
            kept = {n: text[n - 1].rstrip("\r\n") for n in sorted(wanted) if 1 <= n <= len(text)}
            if kept:
                lines[file] = kept
    return lines


def _numbers(origins: Iterable[Origin]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for origin in origins:
        if origin.file:
            found.setdefault(origin.file, set()).add(origin.line)
    return found


def line_of(lines: Lines, origin: Origin) -> str | None:
    """Return the text of a line, without what stands around it, or None where it was not kept."""
    text = lines.get(origin.file, {}).get(origin.line)
    return None if text is None else text.strip()
