"""Where a run stands, as an editor shows it: the stack of scopes around an operation, and source lines."""

from __future__ import annotations

import os
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.source_location import is_from_here
from .._util.text import visible
from ..core.symbolic_shapes import shown
from ..debugger.node_selection import scopes_around

if TYPE_CHECKING:
    from ..core import Node, Origin
    from ..debugger.debugger import Debugger

LISTING = 1
"""The reference of the listing of the graph, which is the source of what no file of this process made."""
_LONGEST = 200


class Frame(NamedTuple):
    """A line of the stack: an operation, a scope around it, or the phase.

    Attributes
    ----------
    name : str
    node : Node or None
        Of an operation.
    scope : str or None
        The path of a scope.
    source : dict or None
    line : int
        0 where there is none.
    """

    name: str
    node: Node | None
    scope: str | None
    source: dict[str, Any] | None
    line: int


class Sources:
    """The lines that made the nodes of a run: in files of this process, or in a listing of the graph.

    Attributes
    ----------
    operations : list of Node
    ranks : dict of Node to int
        Their numbers, from 0.
    """

    def __init__(self, dbg: Debugger) -> None:
        self._dbg = dbg
        self.operations = dbg.operations
        self.ranks = {node: rank for rank, node in enumerate(self.operations)}
        self._files: dict[str, str | None] = {}

    def _file(self, origin: Origin) -> str | None:
        """Return the path of the file that an origin names, if this process made something there and it exists."""
        if not is_from_here(origin):
            return None
        if origin.file not in self._files:
            path = str(Path(origin.file).absolute())
            self._files[origin.file] = path if Path(path).is_file() else None
        return self._files[origin.file]

    @property
    def listing(self) -> dict[str, Any]:
        """The listing of the graph, as a source."""
        return {"name": f"{visible(self._dbg.graph.name) or 'graph'}.graph", "sourceReference": LISTING}

    def position_of(self, node: Node) -> tuple[dict[str, Any], int]:
        """Return the source and the line at which a node is shown."""
        file = self._file(node.origin)
        if file is not None:
            return {"name": Path(file).name, "path": file}, node.origin.line
        return self.listing, self.ranks.get(node, -1) + 1

    def listed(self) -> str:
        """Return the listing: an operation a line, in the order of the run."""
        lines = []
        for node in self.operations:
            operands = ", ".join(visible(operand.title) for operand in node.inputs)
            line = f"{visible(node.title)} = {node.op.name}({operands})"
            lines.append(f"{line[:_LONGEST]}  # {shown(node.shape)} {node.dtype}")
        return "\n".join(lines)

    @cached_property
    def lines(self) -> dict[str, dict[int, list[Node]]]:
        """The operations made on each line, by the real path of the file; of other machines' files by base name."""
        lines: defaultdict[str, defaultdict[int, list[Node]]] = defaultdict(lambda: defaultdict(list))
        keys: dict[Origin, str] = {}
        for node in self.operations:
            origin = node.origin
            if not origin.file:
                continue
            if origin not in keys:
                file = self._file(origin)
                name = origin.file.replace("\\", "/").rpartition("/")[2]
                keys[origin] = os.path.realpath(file) if file is not None else name
            lines[keys[origin]][origin.line].append(node)
        return {file: dict(numbered) for file, numbered in lines.items()}

    def lines_of(self, source: dict[str, Any]) -> dict[int, list[Node]]:
        """Return the operations by line of a source that a client names."""
        if source.get("sourceReference") == LISTING:
            return {rank + 1: [node] for rank, node in enumerate(self.operations)}
        path = source.get("path")
        if not isinstance(path, str) or not path or "\0" in path:
            return {}
        base = path.replace("\\", "/").rpartition("/")[2]
        try:
            real = os.path.realpath(path)
        except (OSError, ValueError):  # no file can be called so
            return {}
        return self.lines.get(real) or self.lines.get(base) or {}

    def all(self) -> list[dict[str, Any]]:
        """Return the files that made something, and the listing."""
        files = dict.fromkeys(file for node in self.operations if (file := self._file(node.origin)) is not None)
        return [*({"name": Path(file).name, "path": file} for file in files), self.listing]


def stack_of(dbg: Debugger, sources: Sources) -> list[Frame]:
    """Return the stack, from the innermost: the operation, the scopes around it, the phase."""
    current = dbg.current if dbg.failed is None else dbg.failed
    node = current if current is not None else dbg.next
    if node is None:
        return [Frame("nothing to compute", None, "", None, 0)]
    source, line = sources.position_of(node)
    name = visible(node.title)
    if current is None:
        name = f"before {name}"
    elif dbg.failed is not None:
        name = f"{name} failed"
    frames = [Frame(name, node, None, source, line)]
    for scope in reversed(scopes_around(dbg.graph, node.scope)):
        kind = f": {scope.kind}" if scope.kind else ""
        file = sources._file(scope.origin)
        where = {"name": Path(file).name, "path": file} if file is not None else None
        number = scope.origin.line if file is not None else 0
        frames.append(Frame(f"{visible(scope.path)}{kind}", None, scope.path, where, number))
    frames.append(Frame(node.phase, None, "", None, 0))
    return frames
