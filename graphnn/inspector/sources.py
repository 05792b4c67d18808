"""The lines of source that nodes name."""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..origin import is_from_here

if TYPE_CHECKING:
    from ..graph import Node, Origin

Lines = dict[str, dict[int, str]]
"""Text by file and line number, from 1."""

AROUND = 4
"""How many lines are kept before and after one that is named."""


def sources_of(nodes: Iterable[Node]) -> Lines:
    """Return the lines that made these nodes, with those around them.

    Only of lines on which this process itself made something: an origin that came in a file, or in somebody's DAG,
    may name any line of any file of this machine.
    """
    lines: Lines = {}
    for file, numbers in _numbers(node.origin for node in nodes).items():
        text = linecache.getlines(file)
        wanted = {n for number in numbers for n in range(number - AROUND, number + AROUND + 1)}
        kept = {n: text[n - 1].rstrip("\r\n") for n in sorted(wanted) if 1 <= n <= len(text)}
        if kept:
            lines[file] = kept
    return lines


def _numbers(origins: Iterable[Origin]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for origin in origins:
        if is_from_here(origin):
            found.setdefault(origin.file, set()).add(origin.line)
    return found


def line_of(lines: Lines, origin: Origin) -> str | None:
    """Return the text of a line, without what stands around it, or None where it was not kept."""
    text = lines.get(origin.file, {}).get(origin.line)
    return None if text is None else text.strip()
