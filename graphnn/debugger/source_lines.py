"""The lines of source that nodes name."""

from __future__ import annotations

import linecache
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._util.source_location import is_from_here

if TYPE_CHECKING:
    from ..core import Node, Origin

Lines = dict[str, dict[int, str]]
"""Text by file and line number, from 1."""

AROUND = 4
"""How many lines are kept before and after one that is named."""


def sources_of(nodes: Iterable[Node]) -> Lines:
    """Return the lines that made these nodes, with those around them.

    Only of lines on which this process itself made something: an origin that came in a file, or in somebody's DAG,
    may name any line of any file of this machine.
    """
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for file, line in dict.fromkeys((o.file, o.line) for o in (node.origin for node in nodes) if is_from_here(o)):
        wanted[file].update(range(line - AROUND, line + AROUND + 1))
    lines: Lines = {}
    for file, numbers in wanted.items():
        text = linecache.getlines(file)
        kept = {n: text[n - 1].rstrip("\r\n") for n in sorted(numbers) if 1 <= n <= len(text)}
        if kept:
            lines[file] = kept
    return lines


def line_of(lines: Lines, origin: Origin) -> str | None:
    """Return the text of a line, without what stands around it, or None where it was not kept."""
    text = lines.get(origin.file, {}).get(origin.line)
    return None if text is None else text.strip()
