"""What the metadata of a model that graphnn wrote tell; their format is described in ``writing.py``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._util.source_location import NOWHERE, Origin
from .._util.text import short_repr
from ..core import Graph, Op, operation
from ..core.scopes import PHASES, Scope
from ..errors import GraphnnError, GraphnnWarning
from ..io.graph_files import MAX_NESTING, from_settings
from .to_onnx import FORMAT
from .writers.group import WRITERS

_PREFIX = "graphnn."
TO_THE_USER = 5
"""Calls from a warning in the reader to the line that calls `from_onnx`."""


def is_ours(proto: Any, file: str) -> bool:
    """Tell whether the metadata of a model are of graphnn, in a format that is known; warn of another format."""
    version = about(proto).get("format")
    if version is not None and version != str(FORMAT):
        warnings.warn(
            f"{file} has metadata of graphnn in the format {short_repr(version)}, and this graphnn reads format "
            f"{FORMAT}: the graph is made of the ONNX nodes",
            GraphnnWarning,
            stacklevel=TO_THE_USER,
        )
    return version == str(FORMAT)


def about(part: Any) -> dict[str, str]:
    """Return what graphnn's metadata tell of a part of a model."""
    return {
        each.key.removeprefix(_PREFIX): each.value
        for each in part.metadata_props
        if isinstance(each.key, str) and each.key.startswith(_PREFIX) and isinstance(each.value, str)
    }


class Unfit(Exception):
    """The metadata do not fit the model."""


@dataclass(eq=False)
class Entry:
    """A node as the metadata tell of it; while its group is checked, it stands for the node."""

    tensor: str
    name: str
    op: Op
    operands: list[str]
    declared: tuple[list[Any], str]
    scope: str
    origin: Origin
    twin: str | None
    called: str = ""
    inputs: tuple[Any, ...] = ()
    spec: Any = None

    @property
    def dtype(self) -> Any:
        """As a node has it."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """As a node has it."""
        return len(self.spec.shape)

    def is_of(self, shape: Sequence[Any], dtype: Any) -> bool:
        """Tell whether a shape and a dtype are the declared ones."""
        return self.declared == (list(shape), dtype.name)


_KINDS = {"attributes": dict, "operands": list, "shape": list}
"""What is JSON among the metadata of a node."""


def entry_of(entry: Mapping[str, Any], tensor: Any) -> Entry:
    """Return what the metadata of a node tell; they may raise anything."""
    parts = {key: decoded(entry[key], kind) for key, kind in _KINDS.items()}
    texts = [entry[key] for key in ("name", "op", "dtype", "scope", "origin")]
    cls = operation(entry["op"])
    if cls not in WRITERS and not cls.is_leaf:
        raise Unfit
    if not all(type(text) is str for text in [*texts, *parts["operands"], tensor, entry.get("twin", "")]):
        raise Unfit
    op = from_settings(cls, parts["attributes"])
    declared = parts["shape"], entry["dtype"]
    origin = _origin(entry["origin"])
    return Entry(
        tensor, entry["name"], op, parts["operands"], declared, entry["scope"], origin, entry.get("twin") or None
    )


def decoded(value: Any, kind: type) -> Any:
    """Return what JSON says, if it is of a kind."""
    found = json.loads(value) if isinstance(value, str) else value
    if type(found) is not kind:
        raise Unfit
    return found


def _origin(text: str) -> Origin:
    file, _, line = text.rpartition(":")
    return Origin(file, int(line)) if file and line.isdecimal() and len(line) < 10 else NOWHERE


class Told:
    """What the metadata of a model tell, apart from its nodes.

    Parameters
    ----------
    proto : onnx.ModelProto
    title : str
        The name of the graph, if they tell none.
    """

    def __init__(self, proto: Any, title: str) -> None:
        self._about = about(proto)
        whole = self._json("graph", dict)
        name, dtype = whole.get("name"), whole.get("dtype")
        try:
            self.graph = Graph(name if isinstance(name, str) else title, dtype if isinstance(dtype, str) else "float32")
        except GraphnnError:
            self.graph = Graph(title, "float32")
        self.scopes: dict[str, Scope] = {}
        found: list[tuple[Scope | None, int]] = []
        for row in self._json("scopes", list):
            found.append(self._scope(row, found))
        self.updates: dict[Any, Any] = self._json("updates", dict)
        self.labels: list[Any] = self._json("labels", list)

    def _json(self, key: str, kind: type) -> Any:
        try:
            return decoded(self._about.get(key, ""), kind)
        except (ValueError, RecursionError, Unfit):
            return kind()

    def _scope(self, row: Any, before: Sequence[tuple[Scope | None, int]]) -> tuple[Scope | None, int]:
        """Return a scope and how deep it is; one that cannot be is left out, and so are those inside."""
        if type(row) is not list or [*map(type, row)] != [str, str, str, str, int]:
            return None, 0
        path, kind, phase, origin, place = row
        if not path or "\0" in path or path in self.scopes or phase not in PHASES or place >= len(before):
            return None, 0
        parent, depth = before[place] if place >= 0 else (None, 0)
        if depth >= MAX_NESTING or (place >= 0 and parent is None):
            return None, 0
        found = self.scopes[path] = Scope(path, kind, _origin(origin), parent, phase)
        return found, depth + 1
