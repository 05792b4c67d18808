"""Nodes made again with a leading axis: what they give for many values of some operands at once.

An operation that takes stacks is made once: the axes among its attributes move by one, and a shape gets the new axis.
Any other operation, such as one that a user defines, is made once for each row.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core import Constant, Dim, Graph, Node, Op, fn
from ..core.fetches import ordered
from ..core.symbolic_shapes import product
from ..errors import ShapeError
from ..ops import (
    class_labels,
    comparison,
    concatenation,
    cumulative,
    indexing,
    linalg,
    linear_solve,
    reductions,
    scatter,
    shape,
    sliding_windows,
    sorting,
    triangles_and_diagonals,
)


def batched(
    wanted: Sequence[Node], plain: dict[Node, Node], rows: dict[Node, Node], size: Dim, begin: Callable[[Node], None]
) -> list[Node]:
    """Make nodes of one graph again in another, with a leading axis where they depend on some of them.

    Parameters
    ----------
    wanted : sequence of Node
    plain, rows : dict of Node to Node
        {node of the one graph: node of the other}. The value of a node in `rows` has a leading axis of `size`. What is
        made is added.
    size : int or str
    begin : callable
        Called with each node before it is made again.

    Returns
    -------
    list of Node
        For each node that is wanted, one that has the leading axis.
    """
    for node in ordered(wanted):
        if node in plain or node in rows:
            continue
        begin(node)
        if any(operand in rows for operand in node.inputs):
            rows[node] = one_batched(node, plain, rows, size)
        else:
            plain[node] = _again(node, plain, next(iter((plain or rows).values())).graph)
    for node in wanted:
        if node not in rows:
            begin(node)
            rows[node] = fn.broadcast_to(plain[node], (size, *node.shape))
    return [rows[node] for node in wanted]


def one_batched(node: Node, plain: Mapping[Node, Node], rows: Mapping[Node, Node], size: Dim) -> Node:
    """Make one node again with a leading axis. Its operands have been made; what it returns may be one of them."""
    return Rows(node, plain, rows, size).made()


def _again(node: Node, plain: Mapping[Node, Node], graph: Graph) -> Node:
    """Make a node in the graph of the others."""
    if isinstance(node.op, Constant):
        return graph._holding(node.graph._stored(node))
    return graph._add(node.op, [plain[operand] for operand in node.inputs])


class Rows:
    """One node that is made again with a leading axis.

    Attributes
    ----------
    node : Node
    op : Op
    operands : list of Node
    many : list of bool
        Which of them have the leading axis.
    size : int or str
    """

    def __init__(self, node: Node, plain: Mapping[Node, Node], rows: Mapping[Node, Node], size: Dim) -> None:
        self.node, self.op, self.size = node, node.op, size
        self.many = [operand in rows for operand in node.inputs]
        self.operands = [(rows if operand in rows else plain)[operand] for operand in node.inputs]

    def made(self) -> Node:
        """Make the node."""
        whole = BUNDLES.get(type(self.op))
        if whole is not None:
            return whole(self)
        rule = _elementwise if self.op.elementwise else _RULES.get(type(self.op), one_by_one)
        found = rule(self)
        if found is None:
            found = one_by_one(self)
        wanted = (self.size, *self.node.shape)
        return found if found.shape == wanted else fn.reshape(found, wanted)

    def stretched(self, i: int) -> Node:
        """Return an operand with the leading axis, repeated along it if need be."""
        x = self.operands[i]
        return x if self.many[i] else fn.broadcast_to(x, (self.size, *x.shape))

    def aligned(self, i: int, ndim: int) -> Node:
        """Return an operand that broadcasts with others of `ndim` axes, the leading one aside."""
        x = self.operands[i]
        missing = ndim - x.ndim + 1
        return fn.expand_dims(x, tuple(range(1, 1 + missing))) if self.many[i] and missing else x


_Rule = Callable[[Rows], Node | None]
"""A function that makes a node with the leading axis, or returns None where it cannot."""
BUNDLES: dict[type[Op], Callable[[Rows], Node]] = {}
"""Rules that higher rooms register, for operations that give bundles or read them. A bundle has no leading axis."""


def _elementwise(rows: Rows) -> Node:
    return rows.op(*[rows.aligned(i, rows.node.ndim) for i in range(len(rows.operands))])


def one_by_one(rows: Rows) -> Node:
    """Make a node for each row, and stack them."""
    if not isinstance(rows.size, int):
        whose = rows.node if rows.node.twin is None else rows.node.twin
        raise ShapeError(
            f'"{rows.op.name}", for "{whose.name}", is made once for each row, as it takes no stacks of such operands. '
            f"So the number of rows must be known, and it is {rows.size}: make it a number where the input is made"
        )
    made = [
        rows.op(*[x[i] if many else x for x, many in zip(rows.operands, rows.many, strict=True)])
        for i in range(rows.size)
    ]
    return fn.stack(made) if made else fn.zeros((0, *rows.node.shape), rows.node.dtype, graph=rows.operands[0].graph)


# --- by their attributes --------------------------------------------------------------------------------------


def _moved(axis: Any) -> Any:
    """Return an axis, or several, where one more stands before them."""
    if isinstance(axis, tuple):
        return tuple(map(_moved, axis))
    return axis if axis < 0 else axis + 1


def _shifted(op: Op, size: Dim) -> Op:
    """Return an operation for operands with one more axis before the others."""
    changed: dict[str, Any] = {}
    for attribute, value in op.attributes.items():
        if attribute in ("axis", "axes", "axis1", "axis2"):
            changed[attribute] = _moved(value)
        elif attribute == "shape":
            changed[attribute] = (size, *value)
        elif attribute == "index":
            changed[attribute] = (slice(None), *indexing.numpy_index(value))
        elif attribute == "indices":
            changed[attribute] = tuple([(slice(None), *indexing.numpy_index(each)) for each in value])
    return replace(op, **changed)  # type: ignore[type-var]


def _by_attributes(rows: Rows) -> Node | None:
    """Make the same operation, with its axes moved; of its operands, indices stay as they are."""
    if any(many and not rows.op.flows(i) for i, many in enumerate(rows.many)):
        return None
    operands = [rows.stretched(i) if rows.op.flows(i) else x for i, x in enumerate(rows.operands)]
    return _shifted(rows.op, rows.size)(*operands)


def _over_all(rows: Rows) -> Node | None:
    """The same, where no axis stands for all."""
    if rows.op.axis is None:  # type: ignore[attr-defined]
        rows.op = replace(rows.op, axis=tuple(range(rows.node.inputs[0].ndim)))  # type: ignore[type-var]
    return _by_attributes(rows)


def _flattened(rows: Rows) -> Node | None:
    """The same, where without an axis the operands are flattened."""
    if rows.op.axis is None:  # type: ignore[attr-defined]
        for i, x in enumerate(rows.operands):
            if rows.op.flows(i) and not isinstance(rows.op, indexing.Adding):
                first = (rows.size,) if rows.many[i] else ()
                rows.operands[i] = fn.reshape(x, (*first, product(x.shape[len(first) :])))
        flat = {"shape": (product(rows.node.shape),)} if isinstance(rows.op, indexing.Adding) else {}
        rows.op = replace(rows.op, axis=0, **flat)  # type: ignore[type-var]
    return _by_attributes(rows)


def _take(rows: Rows) -> Node | None:
    """The same, or what each row of indices takes of one array."""
    if not rows.many[1]:
        return _flattened(rows)
    x, indices = rows.operands
    axis = rows.op.axis  # type: ignore[attr-defined]
    if not rows.many[0]:
        return fn.moveaxis(rows.op(x, indices), 0 if axis is None else axis % x.ndim, 0)
    if axis is None:
        x, axis = fn.reshape(x, (rows.size, product(x.shape[1:]))), 0
    axis %= x.ndim - 1
    return fn.take_along_axis(x, _one_axis(indices, axis, x.ndim - 1), axis + 1)


def _index_add(rows: Rows) -> Node | None:
    """The same, or what each row of indices adds up."""
    if not rows.many[1]:
        return _flattened(rows)
    op = rows.op
    assert isinstance(op, indexing.IndexAdd)
    axis, shape = (0, (product(op.shape),)) if op.axis is None else (op.axis % len(op.shape), op.shape)
    indices = _one_axis(rows.operands[1], axis, len(shape))
    count = indices.shape[axis + 1]
    x = fn.reshape(rows.stretched(0), (rows.size, *shape[:axis], count, *shape[axis + 1 :]))
    return indexing.AddAlongAxis((rows.size, *shape), axis + 1)(x, indices)


def _one_axis(indices: Node, axis: int, ndim: int) -> Node:
    """Return rows of indices as one axis of so many, beside which they broadcast."""
    size, *rest = indices.shape
    return fn.reshape(indices, (size, *[1] * axis, product(rest), *[1] * (ndim - 1 - axis)))


def _along(rows: Rows) -> Node | None:
    """The same, where indices broadcast with the other operands beside their axis."""
    if rows.many[1]:
        if rows.op.axis is None:  # type: ignore[attr-defined]
            return None
        return _shifted(rows.op, rows.size)(rows.stretched(0), rows.operands[1])
    rows.operands[1] = fn.expand_dims(rows.operands[1], 0)
    return _flattened(rows)


def _put_along(rows: Rows) -> Node:
    indices = rows.operands[1] if rows.many[1] else fn.expand_dims(rows.operands[1], 0)
    values = rows.aligned(2, rows.node.ndim)
    return _shifted(rows.op, rows.size)(rows.stretched(0), indices, values)


def _update_slice(rows: Rows) -> Node | None:
    """The same; with a start for each row, by the indices of what is written."""
    if not rows.many[2]:
        return _by_attributes(rows)
    x, update, start = rows.stretched(0), rows.stretched(1), fn.cast(rows.operands[2], "int64")
    axis = rows.op.axis % (x.ndim - 1)  # type: ignore[attr-defined]
    n = x.shape[axis + 1]
    size = n if isinstance(n, int) else fn.sum(fn.ones_like(fn.arange(n, graph=x.graph)))
    start = fn.where(fn.less(start, 0), start + size, start)
    start = fn.where(
        fn.less(start, 0), start - size, start
    )  # still out of range, and not from the end of another slice
    places = fn.expand_dims(start, 1) + fn.arange(update.shape[axis + 1], graph=x.graph)
    return fn.put_along_axis(x, _one_axis(places, axis, x.ndim - 1), update, axis + 1)


def _broadcast_to(rows: Rows) -> Node:
    wanted = rows.node.shape
    return fn.broadcast_to(rows.aligned(0, len(wanted)), (rows.size, *wanted))


def _sum_to(rows: Rows) -> Node:
    (x,), wanted = rows.operands, rows.node.shape
    return fn.sum_to(x, (rows.size, *[1] * (x.ndim - 1 - len(wanted)), *wanted))


def _transpose(rows: Rows) -> Node:
    (x,) = rows.operands
    assert isinstance(rows.op, linalg.Transpose)
    return fn.transpose(x, (0, *[axis + 1 for axis in rows.op.order(x.ndim - 1)]))


def _pad(rows: Rows) -> Node:
    (x,) = rows.operands
    assert isinstance(rows.op, concatenation.Pad)
    if x.ndim == 1:
        return x
    pairs = [((0, 0), *rows.op._pairs(x.ndim - 1, what)) for what in ("pad_width", "constant_values")]
    return concatenation.Pad(*pairs)(x)


def _tile(rows: Rows) -> Node:
    assert isinstance(rows.op, concatenation.Tile)
    reps = rows.op._reps(rows.node.inputs[0].ndim)
    return fn.tile(rows.aligned(0, len(reps)), (1, *reps))


def _as_it_is(rows: Rows) -> Node:
    return rows.op(*rows.operands)


def _with_labels(rows: Rows) -> Node:
    return rows.op(*[rows.stretched(i) for i in range(2)])


def _nd(rows: Rows) -> Node | None:
    """Index the leading axes, so that the new one comes last."""
    x, indices = rows.operands
    if rows.many[1]:
        return None
    op = rows.op
    if isinstance(op, scatter.ScatterNd):
        op = replace(op, shape=(*op.shape, rows.size))
    return fn.moveaxis(op(fn.moveaxis(x, 0, -1), indices), -1, 0)


# --- products ---------------------------------------------------------------------------------------------------


def _matmul(rows: Rows) -> Node:
    x, y = rows.operands
    ndims = [operand.ndim for operand in rows.node.inputs]
    if not rows.many[1] and ndims[1] <= 2:
        # Of many single rows one product, instead of one for each.
        return (fn.squeeze(x, 1) if ndims == [2, 2] and x.shape[1] == 1 else x) @ y
    stack = max(2, *ndims)
    if rows.many[0]:
        x = fn.expand_dims(x, -2) if ndims[0] == 1 else x
        rows.operands[0] = x
    if rows.many[1]:
        rows.operands[1] = fn.expand_dims(y, -1) if ndims[1] == 1 else y
    x, y = rows.aligned(0, stack), rows.aligned(1, stack)
    return x * y if x.shape[-1] == y.shape[-2] == 1 else x @ y


def _einsum(rows: Rows) -> Node | None:
    assert isinstance(rows.op, linalg.Einsum)
    terms, right = rows.op._terms()
    letter = next((each for each in string.ascii_letters if each not in rows.op.subscripts), None)
    if letter is None:
        return None
    left = ",".join(letter + term if many else term for term, many in zip(terms, rows.many, strict=True))
    return linalg.Einsum(f"{left}->{letter}{right}")(*rows.operands)


def _outer(rows: Rows) -> Node:
    flat = zip(rows.operands, rows.many, rows.node.shape, strict=True)
    x, y = [fn.reshape(x, (rows.size if many else 1, length)) for x, many, length in flat]
    return fn.expand_dims(x, -1) * fn.expand_dims(y, -2)


def _solve(rows: Rows) -> Node:
    ndims = [operand.ndim for operand in rows.node.inputs]
    if ndims[1] == 1 and rows.many[1]:
        rows.operands[1] = fn.expand_dims(rows.operands[1], -1)
    stack = max(2, *ndims)
    return fn.solve(rows.aligned(0, stack), rows.aligned(1, stack))


_RULES: dict[type[Op], _Rule] = {
    **dict.fromkeys(
        (reductions.Sum, reductions.Mean, reductions.Max, reductions.Min, reductions.Prod, shape.Flip), _over_all
    ),
    **dict.fromkeys(
        (reductions.Var, reductions.Std, reductions.Logsumexp, reductions.AnyOf, reductions.AllOf), _over_all
    ),
    **dict.fromkeys(
        (cumulative.Cumsum, concatenation.Concatenate, concatenation.Repeat, triangles_and_diagonals.Roll), _flattened
    ),
    **dict.fromkeys(
        (cumulative.Cumprod, reductions.Argmax, reductions.Argmin, reductions.Norm, sorting.Argsort), _flattened
    ),
    indexing.Take: _take,
    indexing.IndexAdd: _index_add,
    **dict.fromkeys((indexing.TakeAlongAxis, indexing.AddAlongAxis), _along),
    **dict.fromkeys(
        (shape.Reshape, shape.ExpandDims, shape.Squeeze, concatenation.Stack, reductions.ProdOthers), _by_attributes
    ),
    **dict.fromkeys((indexing.Getitem, indexing.SliceAdd, indexing.SlicesAdd), _by_attributes),
    **dict.fromkeys(
        (
            triangles_and_diagonals.Diagonal,
            triangles_and_diagonals.DiagonalAdd,
            sliding_windows.Windows,
            sliding_windows.Fold,
        ),
        _by_attributes,
    ),
    **dict.fromkeys((triangles_and_diagonals.Tril, triangles_and_diagonals.Triu, class_labels.OneHot), _as_it_is),
    **dict.fromkeys((linear_solve.Inv, linear_solve.Det, linear_solve.Cholesky), _as_it_is),
    **dict.fromkeys((class_labels.Pick, class_labels.ScatterLabels), _with_labels),
    **dict.fromkeys((scatter.GatherNd, scatter.ScatterNd), _nd),
    **dict.fromkeys((scatter.PutAlongAxis, scatter.MultiplyAlongAxis), _put_along),
    **dict.fromkeys((scatter.MaximumAlongAxis, scatter.MinimumAlongAxis), _put_along),
    scatter.UpdateSlice: _update_slice,
    comparison.FirstOccurrence: _over_all,
    shape.BroadcastTo: _broadcast_to,
    shape.SumTo: _sum_to,
    linalg.Transpose: _transpose,
    linalg.Matmul: _matmul,
    linalg.Einsum: _einsum,
    linalg.Outer: _outer,
    linear_solve.Solve: _solve,
    concatenation.Pad: _pad,
    concatenation.Tile: _tile,
}
