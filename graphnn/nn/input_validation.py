"""The operands of losses and metrics: nodes or arrays, checked. The shape of labels says of which kind they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import Array, Graph, Node, Shape, as_array, fitting, fn, is_float
from ..core.symbolic_shapes import shown, unify
from ..errors import DtypeError, ShapeError, UsageError
from ..ops.base import clash

Operand = Node | Array


def operands(kind: str, **given: Any) -> tuple[Graph, list[Operand]]:
    """Return the graph, and the arguments as nodes and arrays; at least one must be a node.

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


def call_scope(kind: str, graph: Graph) -> Any:
    """Return a context that opens a new scope for the nodes of a call: ``mean_squared_error_1``."""
    return graph.new_scope(kind, numbered=True, kind=kind)


def as_nodes(graph: Graph, values: Sequence[Operand]) -> list[Node]:
    """Return arrays as constants."""
    return [value if isinstance(value, Node) else graph.constant(value) for value in values]


def as_float(x: Node, dtype: Any = None) -> Node:
    """Return a node as floats: of this dtype; by default its own if that is a float, else the graph's."""
    dtype = dtype or (x.dtype if is_float(x.dtype) else x.graph.dtype)
    return x if x.dtype == dtype else fn.cast(x, dtype)


def alike(a: Shape, b: Shape) -> bool:
    """Return whether two shapes can be equal."""
    return len(a) == len(b) and all(unify(p, q) is not None for p, q in zip(a, b, strict=True))


def unbroadcast(a: Shape, b: Shape) -> bool:
    """Return whether two shapes can be equal without a broadcast: a literal 1 does not match a name."""
    return alike(a, b) and all((p == 1) == (q == 1) for p, q in zip(a, b, strict=True))


def are_one_hot(kind: str, scores: Operand, labels: Operand) -> bool:
    """Return whether labels are one-hot rows, of the shape of the scores; class numbers have one axis fewer.

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
            raise ShapeError(f"{kind}: the last axis has one element for each class, but a scalar has no axis")
        if unbroadcast(rows, given):
            return True
        if not alike(rows[:-1], given):
            swapped = scores.dtype.kind in "iu" and is_float(labels.dtype) and alike(rows, given[:-1])
            why = ": the labels are the second argument" if swapped else why_no_labels(rows, rows[:-1], given)
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
    """Return the first axis at which two shapes differ, in words; "" if only the number of axes differs."""
    ends = enumerate(zip(a, b, strict=False))
    return next((clash((0, axis, p), (1, axis, q)) for axis, (p, q) in ends if not unbroadcast((p,), (q,))), "")


def why_no_labels(scores: Shape, wanted: Shape, given: Shape) -> str:
    """Return what is wrong with the shape of labels; for a last axis of 1, and classes on axis 1, the remedy.

    Parameters
    ----------
    scores : tuple
        The shape of the scores.
    wanted : tuple
        The shape of class numbers.
    given : tuple

    Returns
    -------
    str
        A clause after a colon, or "".
    """
    if len(given) == len(wanted) + 1 and given[-1] == 1 and alike(wanted, given[:-1]):
        return ": gn.squeeze(labels, -1) removes the last axis"
    if len(given) > 1 and len(scores) > 1 and alike((scores[0], *scores[2:]), given):
        return ": the last axis has the classes; gn.moveaxis(scores, 1, -1) moves them from axis 1"
    clash = _clash(scores, given)
    return f": {clash}" if clash else ""


def check_same_shape(kind: str, **values: Operand) -> None:
    """Raise an error if two values have different shapes: a broadcast would compare each with all others.

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
