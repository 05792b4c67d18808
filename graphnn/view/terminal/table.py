"""Tables for a terminal: the summary of a network, the operations there are, values in short."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

from ...graph import Constant, Graph, Node, Op, Parameter, fn, registry
from ...graph.dimensions import shown
from ...graph.fetches import ancestors
from ...show import Shown
from ...text import short_name
from ..diagram.picture import Box, Detail, numbers_in, picture
from ..text import cells_of, compact, in_bytes, in_cells, preview, statistics, visible

__all__ = ["Row", "Summary", "columns", "ops_table", "preview", "statistics", "summary"]

_NARROWEST = 12
_GAP = "  "
_FIRST_ROWS, _LAST_ROWS = 300, 100
_MOST_NOTED, _MOST_NAME, _WIDTH = 8, 60, 80


# --- any table ------------------------------------------------------------------------------------------------


def columns(
    rows: Iterable[Sequence[Any]],
    headers: Sequence[str] = (),
    *,
    least: Sequence[int] = (),
    right: Collection[int] = (),
    width: int = 80,
) -> str:
    """Return rows as aligned text.

    Parameters
    ----------
    rows : iterable of sequences
        Of text, numbers or None, all of one length. Control characters are written out, so that no name commands
        the terminal.
    headers : sequence of str, optional
        Set above, over a rule.
    least : sequence of int, optional
        The least width of each column, from the first: so tables printed row by row stand in line.
    right : collection of int, optional
        The columns that are set to the right, besides those of numbers.
    width : int
        Columns of text are cut so that lines keep to it, the widest first; to no less than `least`, or 12.

    Returns
    -------
    str
        Lines without trailing blanks.

    Examples
    --------
    >>> print(columns([("dense_1", 192), ("relu_1", 0)], ("layer", "parameters")))
    layer    parameters
    -------  ----------
    dense_1         192
    relu_1            0
    """
    values = [tuple(row) for row in rows]
    lines = [tuple(headers)] * bool(headers) + [tuple(map(_cell, row)) for row in values]
    if not lines:
        return ""
    least = (*least, *[0] * len(lines[0]))
    natural = [
        max(floor, *map(cells_of, column)) for floor, column in zip(least, zip(*lines, strict=True), strict=False)
    ]
    numeric = {i for i, column in enumerate(zip(*values, strict=True)) if all(map(_is_number, column))}
    widths = _cut(natural, [w if i in numeric else max(least[i], _NARROWEST) for i, w in enumerate(natural)], width)
    text = [
        _GAP.join(in_cells(cell, widths[i], i in numeric or i in right) for i, cell in enumerate(line)).rstrip()
        for line in lines
    ]
    if headers:
        text.insert(1, _GAP.join("-" * w for w in widths))
    return "\n".join(text)


def _cut(widths: list[int], floors: list[int], total: int) -> list[int]:
    """Return the widths with the widest made narrower, until they fit or none may give way."""
    widths = list(widths)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > total:
        widest = max(range(len(widths)), key=lambda i: (widths[i] > floors[i], widths[i]))
        if widths[widest] <= floors[widest]:
            break
        widths[widest] -= 1
    return widths


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None or value == "":
        return ""
    if _is_number(value):
        return f"{value:,}" if isinstance(value, int) else compact(value)
    return visible(str(value))


# --- the summary of a network ---------------------------------------------------------------------------------


class Row(NamedTuple):
    """A line of a summary.

    Attributes
    ----------
    name : str
        Of the layer's scope; of a node that is in none.
    kind : str
        The layer's class, or the operation.
    shape : tuple of int or str
        Of what comes out.
    dtype : str
    parameters : int
        How many numbers its parameters hold.
    inputs : tuple of str
        The names of the lines that it reads.
    """

    name: str
    kind: str
    shape: tuple[int | str, ...]
    dtype: str
    parameters: int
    inputs: tuple[str, ...]


class Summary(Shown):
    """The layers that some fetches need, one a row; printed as a table. Made by `summary`.

    Attributes
    ----------
    graph : str
        Its name.
    rows : list of Row
    parameters, trainable : int
        How many numbers the parameters hold, and how many of them are trained.
    size, trainable_size : int
        The same in bytes.
    notes : list of str
        What is built for training alone, or for evaluation alone, in sentences.
    """

    def __init__(self, fetches: Any, detail: Detail, graph: Graph | None) -> None:
        seen = picture(fetches, detail, graph)
        nodes = [node for box in seen.boxes for node in box.nodes]
        sources: dict[Box, dict[str, None]] = {box: {} for box in seen.boxes}
        for edge in seen.edges:
            if not isinstance(edge.node.op, Constant):
                sources[edge.head][_name(edge.tail)] = None
        self.graph = seen.graph.name
        self.rows = [
            Row(_name(box), _kind(box), box.node.shape, box.node.dtype.name, numbers_in(box.nodes), tuple(read))
            for box, read in sources.items()
            if box.scope is not None or not isinstance(box.node.op, Constant)
        ]
        self.parameters = numbers_in(nodes)
        self.trainable = numbers_in(nodes, trainable=True)
        self.size = sum(numbers_in([node]) * node.dtype.itemsize for node in nodes)
        self.trainable_size = sum(numbers_in([node], trainable=True) * node.dtype.itemsize for node in nodes)
        self.notes = _one_sided(seen.graph, nodes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "graph": self.graph,
            "rows": [row._asdict() for row in self.rows],
            "parameters": self.parameters,
            "trainable": self.trainable,
            "bytes": self.size,
            "trainable_bytes": self.trainable_size,
            "notes": self.notes,
        }

    def __str__(self) -> str:
        lines = [(_called(row), shown(row.shape), row.parameters, ", ".join(row.inputs)) for row in self.rows]
        if len(lines) > _FIRST_ROWS + _LAST_ROWS:
            left_out = f"… {len(lines) - _FIRST_ROWS - _LAST_ROWS:,} more …"
            lines[_FIRST_ROWS:-_LAST_ROWS] = [(left_out, "", sum(row[2] for row in lines[_FIRST_ROWS:-_LAST_ROWS]), "")]
        totals = (
            ("parameters", self.parameters, in_bytes(self.size)),
            ("trainable", self.trainable, in_bytes(self.trainable_size)),
            ("not trainable", self.parameters - self.trainable, in_bytes(self.size - self.trainable_size)),
        )
        table = columns(lines, ("layer", "output shape", "parameters", "connected to"))
        notes = "".join(f"\n\n{textwrap.fill(note, _WIDTH)}" for note in self.notes)
        return f"{table}\n\n{columns(totals, right=(2,))}{notes}"

    __repr__ = __str__


def summary(fetches: Any, detail: Detail = "layer", *, graph: Graph | None = None) -> Summary:
    """Return the layers that the fetches need, with shapes and parameters; print it to see it.

    Parameters
    ----------
    fetches : Node, str, list, tuple or dict of them, Graph, Compiled or Trace
        Of a graph, its outputs; if it has none, all nodes that nothing reads. Of a compiled step, its updates, too.
    detail : "op", "leaf", "layer", int or dict
        What is one row, as `draw` takes it.
    graph : Graph, optional
        Where names are looked up, if no fetch is a node.

    Returns
    -------
    Summary

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> with g.in_scope("dense_1", kind="Dense"):
    ...     h = x @ g.parameter("weight", [[1.0] * 3] * 2)
    >>> print(summary(abs(h)))
    layer            output shape  parameters  connected to
    ---------------  ------------  ----------  ------------
    x (placeholder)  (batch, 2)             0
    dense_1 (Dense)  (batch, 3)             6  x
    absolute         (batch, 3)             0  dense_1
    <BLANKLINE>
    parameters     6  48 B
    trainable      6  48 B
    not trainable  0   0 B
    """
    return Summary(fetches, detail, graph)


def _one_sided(graph: Graph, nodes: Sequence[Node]) -> list[str]:
    """Return which layers among the nodes are built for training alone, and which for evaluation alone."""
    needed = ancestors(nodes)
    trained: dict[str, bool] = {}
    for node, other in graph.evaluating.items():
        if node is not other:
            path = _layer_of(node, other)
            trained[path] = trained.get(path, False) or node in needed
    only_training = [path for path, seen in trained.items() if seen and path not in graph.idle]
    only_evaluating = [path for path, node in graph.idle.items() if path not in trained and node in needed]
    notes = []
    if only_training:
        notes.append(
            f"{_listed(only_training)} built for training only. network(x), without training=True, is the form to "
            "predict with; nn.fit validates without it by itself."
        )
    if only_evaluating:
        notes.append(
            f"{_listed(only_evaluating)} built for evaluating only, and does nothing here. A loss to train is made of "
            "network(x, training=True)."
        )
    return notes


def _layer_of(trained: Node, evaluating: Node) -> str:
    """Return the path of the layer that made a node for training: of its first call, which made its parameters."""
    seen, waiting = {trained}, [trained]
    while waiting:
        others = {evaluating, *trained.graph.evaluating, *seen}
        fresh = [node for node in waiting.pop().inputs if node not in others]
        seen.update(fresh)
        waiting += fresh
    own = [node for node in seen if isinstance(node.op, Parameter)]
    return min(own, key=lambda node: node.index).scope if own else trained.scope


def _listed(paths: Sequence[str]) -> str:
    named = [f'"{short_name(path, _MOST_NAME)}"' for path in paths[:_MOST_NOTED]]
    if len(paths) > _MOST_NOTED:
        named.append(f"{len(paths) - _MOST_NOTED:,} more")
    return f"{', '.join(named[:-1])} and {named[-1]} are" if len(named) > 1 else f"{named[0]} is"


def _name(box: Box) -> str:
    return box.node.title if box.scope is None else box.scope.path


def _kind(box: Box) -> str:
    return box.node.op.name if box.scope is None else box.scope.kind


def _called(row: Row) -> str:
    """Return the name with the kind, where that says more."""
    local = re.sub(r"_\d+$", "", row.name.rpartition("/")[2])
    return row.name if row.kind in ("", local) else f"{row.name} ({row.kind})"


# --- the operations there are ---------------------------------------------------------------------------------


def ops_table() -> list[dict[str, Any]]:
    """Return what a node can compute, from the registry, as plain data.

    Returns
    -------
    list of dict
        ``name``; ``call``, such as ``clip(x, lo=None, hi=None)``; ``operands``, by name; ``attributes``, each with
        its ``name`` and, if it has one, ``default``; ``summary``, the first line of its docstring; ``formula``;
        ``differentiable``; ``module``. Compositions, which are several nodes, come last, with ``formula`` "".

    Examples
    --------
    >>> from graphnn import ops
    >>> next(row["call"] for row in ops_table() if row["name"] == "clip")
    'clip(x, lo=None, hi=None)'
    """
    operations = [_operation(cls) for cls in registry.values() if cls.__module__ != Op.__module__]
    return operations + [_composition(name) for name in dir(fn) if name not in registry]


def _operation(cls: type[Op]) -> dict[str, Any]:
    attributes = [
        {"name": attribute.name} | ({} if attribute.default is MISSING else {"default": attribute.default})
        for attribute in fields(cls)  # type: ignore[arg-type]
    ]
    return {
        "name": cls.name,
        "call": _call(cls.name),
        "operands": list(cls.operands),
        "attributes": attributes,
        "summary": _first_line(cls),
        "formula": cls.formula,
        "differentiable": cls.differentiable and (cls.vjp is not Op.vjp or cls.jvp is not Op.jvp),
        "module": cls.__module__.rpartition(".")[2],
    }


def _composition(name: str) -> dict[str, Any]:
    function = getattr(fn, name)
    return {
        "name": name,
        "call": _call(name),
        "operands": [],
        "attributes": [],
        "summary": _first_line(function),
        "formula": "",
        "differentiable": True,
        "module": function.__module__.rpartition(".")[2],
    }


def _call(name: str) -> str:
    signature = inspect.signature(getattr(fn, name))
    shown_ones = [p.replace(annotation=p.empty) for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    return f"{name}{signature.replace(parameters=shown_ones, return_annotation=signature.empty)}"


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
