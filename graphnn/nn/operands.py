"""The operands of losses and metrics: nodes or arrays, and labels, whose shape says which kind they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DtypeError, ShapeError, UsageError
from ..graph import Array, Graph, Node, Shape, as_array, fitting, fn
from ..graph.dimensions import shown, unify
from ..ops.base import clash

Operand = Node | Array


def operands(kind: str, **given: Any) -> tuple[Graph, list[Operand]]:
    """Return what was given as nodes and arrays, and the graph; one of them must be a node.

    Raises
    ------
    UsageError
        When none is a node.
    """
    graph = next((value.graph for value in given.values() if isinstance(value, Node)), None)
    if graph is None:
        kinds = " and ".join(f"{name}: {type(value).__name__}" for name, value in given.items())
        raise UsageError(
            f"{kind} adds nodes to a graph, and so needs a node among its operands, not {kinds}: "
            "make a constant with graph.constant(value)"
        )
    values = [v if isinstance(v, Node) else as_array(v, f"{kind}: the {name}") for name, v in given.items()]
    return graph, values


def opened(kind: str, graph: Graph) -> Any:
    """Return the scope that a call works in: ``mean_squared_error_1``, as a context to be entered."""
    return graph.new_scope(kind, numbered=True, kind=kind)


def as_nodes(graph: Graph, values: Sequence[Operand]) -> list[Node]:
    """Return arrays as constants."""
    return [value if isinstance(value, Node) else graph.constant(value) for value in values]


def as_float(x: Node, dtype: Any = None) -> Node:
    """Return a node as floats: of this dtype, or else its own or the graph's."""
    dtype = dtype or (x.dtype if x.dtype.kind == "f" else x.graph.dtype)
    return x if x.dtype == dtype else fn.cast(x, dtype)


def alike(a: Shape, b: Shape) -> bool:
    """Return whether two shapes can be one."""
    return len(a) == len(b) and all(unify(p, q) is not None for p, q in zip(a, b, strict=True))


def unbroadcast(a: Shape, b: Shape) -> bool:
    """Return whether two shapes can be one, and an operation on both would not take a 1 for a name."""
    return alike(a, b) and all((p == 1) == (q == 1) for p, q in zip(a, b, strict=True))


def are_one_hot(kind: str, scores: Operand, labels: Operand) -> bool:
    """Tell labels apart: of one axis fewer than the scores they are class numbers, of as many they are one-hot.

    Raises
    ------
    ShapeError
        When they are neither.
    DtypeError
        When class numbers are not integers.
    """
    rows, given = scores.shape, labels.shape
    with fitting(kind, [scores, labels]):
        if not rows:
            raise ShapeError(f"{kind}: the last axis has one element a class, and a number has none")
        if unbroadcast(rows, given):
            return True
        if not alike(rows[:-1], given):
            swapped = scores.dtype.kind in "iu" and labels.dtype.kind == "f" and alike(rows, given[:-1])
            why = ": the labels come second" if swapped else why_no_labels(rows, rows[:-1], given)
            raise ShapeError(
                f"{kind}: labels for {shown(rows)} are class numbers of shape {shown(rows[:-1])} or one-hot rows of "
                f"shape {shown(rows)}; got shape {shown(given)}{why}"
            )
        if labels.dtype.kind not in "iu":
            raise DtypeError(
                f"{kind}: labels of shape {shown(given)} are class numbers, and so integers, not {labels.dtype}; "
                "gn.cast(labels, 'int64') makes them so"
            )
    return False


def _clash(a: Shape, b: Shape) -> str:
    """Return the first axis at which two operands cannot be one, in words; "" where only their number differs."""
    ends = enumerate(zip(a, b, strict=False))
    return next((clash((0, axis, p), (1, axis, q)) for axis, (p, q) in ends if not unbroadcast((p,), (q,))), "")


def why_no_labels(scores: Shape, wanted: Shape, given: Shape) -> str:
    """Return what is wrong with the shape of labels, or the remedy where it is the wanted one with an axis of 1 behind.

    Parameters
    ----------
    scores : tuple
        The shape of what they are labels for.
    wanted : tuple
        The shape of class numbers.
    given : tuple

    Returns
    -------
    str
        A clause after a colon, or "".
    """
    if len(given) == len(wanted) + 1 and given[-1] == 1 and alike(wanted, given[:-1]):
        return ": gn.squeeze(labels, -1) takes the last axis away"
    clash = _clash(scores, given)
    return f": {clash}" if clash else ""


def check_same_shape(kind: str, **values: Operand) -> None:
    """Refuse two values of different shapes: broadcast, they would be compared crosswise.

    Raises
    ------
    ShapeError
    """
    (first, a), (second, b) = values.items()
    p, q = a.shape, b.shape
    if not unbroadcast(p, q):
        why = _clash(p, q) if len(p) == len(q) else "the numbers of axes differ"
        with fitting(kind, [a, b]):
            raise ShapeError(
                f"{kind} compares element by element and broadcasts nothing, got {first} {shown(p)} and "
                f"{second} {shown(q)}: {why}"
            )
