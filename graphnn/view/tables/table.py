"""Tables for a terminal: any table, the operations there are, values in short."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from ..._util.text import listed, short_name
from ...core import Op, fn, registry
from ...core.symbolic_shapes import names_in
from ..formatting import cells_of, compact, in_cells, preview, statistics, visible

__all__ = ["columns", "ops_table", "preview", "statistics"]

if TYPE_CHECKING:
    from ...core import Graph, Node

_NARROWEST, _MOST_LABEL = 12, 24
_GAP = "  "


# --- any table ------------------------------------------------------------------------------------------------


def columns(
    rows: Iterable[Sequence[Any]],
    headers: Sequence[str] = (),
    *,
    least: Sequence[int] = (),
    right: Collection[int] = (),
    width: int | None = 80,
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
        The minimum width of each column, from the first: so tables printed row by row stand in line.
    right : collection of int, optional
        The columns that are set to the right, besides those of numbers.
    width : int or None
        Columns of text are cut so that lines keep to it, the widest first; to no less than `least`, or 12. None: no
        column is cut.

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
    lines = ([tuple(headers)] if headers else []) + [tuple(map(_cell, row)) for row in values]
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


def label_lines(graph: Graph, nodes: Collection[Node]) -> list[str]:
    """Return for each axis of these nodes that has labels of its own, and each dimension, a line with some of them."""
    lines = []
    for key, labels in graph.labels.items():
        if isinstance(key, str):
            there, what = any(key in names_in(node.spec.shape) for node in nodes), key
        else:
            there, what = key[0] in nodes, f"axis {key[1]} of {key[0].title}"
        if there:
            lines.append(visible(f"{what}: {listed([short_name(label, _MOST_LABEL) for label in labels])}"))
    return lines


def _cut(widths: list[int], floors: list[int], total: int | None) -> list[int]:
    """Return the widths with the widest made narrower, until they fit or none may give way."""
    widths = list(widths)
    while total is not None and sum(widths) + len(_GAP) * (len(widths) - 1) > total:
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
