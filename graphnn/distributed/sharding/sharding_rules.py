"""What an operation does to the rows of a batch: it keeps them apart along one axis, or adds them up, or neither.

A rule gets the operation, its operands, and the axis along which each of them has the rows; None stands for one that
has none, and so is the same in every shard. It returns the axis of the result that has the rows, or a `Joined`: then
the result has none, and what the shards give makes it, put together two by two.

Where (time, batch) was reshaped to (time*batch), each row stands in the axis `time` times. That is its `outer`: what
meets along the axis must have the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.op import over_dimensions
from ...core.symbolic_shapes import floor_divide, multiply, names_in, product
from ...ops import (
    class_labels,
    comparison,
    concatenation,
    cumulative,
    indexing,
    linalg,
    linear_solve,
    random,
    reductions,
    scatter,
    shape,
    sliding_windows,
    sorting,
    triangles_and_diagonals,
)

if TYPE_CHECKING:
    from ...core import Dim, Node, Op


class Mixed(Exception):
    """The operation is one of rows of different shards, and there is no rule by which shards compute it."""


class Joined(Enum):
    """How the results of two shards make one: by this ufunc."""

    ADD = "add"
    MULTIPLY = "multiply"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    ANY = "logical_or"
    ALL = "logical_and"
    LOGADDEXP = "logaddexp"


class Use(NamedTuple):
    """A node, with the axis of each operand that has the rows, and the names of their number."""

    node: Node
    axes: Sequence[int | None]
    outers: Sequence[Dim | None]
    rows: frozenset[str]

    @property
    def outer(self) -> Dim | None:
        """How often each row stands in the axis of the operands, one after the other; None: all rows are alike."""
        pairs = zip(self.axes, self.outers, strict=True)
        found = {outer for axis, outer in pairs if axis is not None and outer is not None}
        if len(found) > 1:
            raise Mixed
        return found.pop() if found else None

    @property
    def op(self) -> Any:
        """The operation, with its attributes."""
        return self.node.op

    @property
    def only(self) -> int:
        """The axis of the only operand, or the first one; what reads it has no other with rows."""
        axis = self.axes[0]
        if axis is None or any(other is not None for other in self.axes[1:]):
            raise Mixed
        return axis

    def along(self, ndim: int) -> int:
        """Return the axis of a result of `ndim` axes with which the operands broadcast, counted from the last."""
        return self.same(ndim - x.ndim + a for x, a in zip(self.node.inputs, self.axes, strict=True) if a is not None)

    def same(self, found: Any) -> int:
        """Return what all of them are."""
        one, *others = set(found)
        if others:
            raise Mixed
        return int(one)

    def of_result(self) -> int:
        """Return the axis of the result that has the rows."""
        found = axis_of_rows(self.node.shape, self.rows)
        if found is None:
            raise Mixed
        return found


def axis_of_rows(dims: Sequence[Dim], rows: frozenset[str]) -> int | None:
    """Return the one axis whose size depends on the number of rows; None if there is none."""
    found = [axis for axis, dim in enumerate(dims) if not rows.isdisjoint(names_in((dim,)))]
    if len(found) > 1:
        raise Mixed
    return found[0] if found else None


Rule = Callable[[Use], "int | Joined"]


def result_of(use: Use) -> tuple[int | Joined, Dim | None]:
    """Return the axis of the result that has the rows, and their `outer` in it; or how shards make the result.

    Raises
    ------
    Mixed
        When no rule says how.
    """
    if all(axis is None for axis in use.axes):
        rule: Rule | None = Use.of_result if isinstance(use.op, _FILLING) else None
    else:
        rule = _elementwise if use.op.elementwise else _RULES.get(type(use.op))
    if rule is None or _counts_rows(use.op, use.rows):
        raise Mixed
    found = rule(use)
    expected = axis_of_rows(use.node.shape, use.rows)
    if (None if isinstance(found, Joined) else found) != expected:
        raise Mixed
    if isinstance(use.op, shape.Reshape) and isinstance(found, int):
        return found, _outer_of_reshaped(use, found)
    return found, use.outer


def _counts_rows(op: Op, rows: frozenset[str]) -> bool:
    """Return whether an attribute holds the number of rows as a number, such as the bound of a slice."""
    found: set[str] = set()
    for name in op.sized:
        if name not in ("shape", "count"):
            over_dimensions(getattr(op, name), lambda dim: found.update(names_in((dim,))))
    return not rows.isdisjoint(found)


_FILLING = (shape.BroadcastTo, shape.Zeros, random.Random)
"""What makes rows out of none: all alike, or random."""


def _elementwise(use: Use) -> int:
    return use.along(use.node.ndim)


# --- over axes ----------------------------------------------------------------------------------------------------

_JOINED: dict[type[Op], Joined] = {
    reductions.Sum: Joined.ADD,
    reductions.Mean: Joined.ADD,
    reductions.Prod: Joined.MULTIPLY,
    reductions.Max: Joined.MAXIMUM,
    reductions.Min: Joined.MINIMUM,
    reductions.AnyOf: Joined.ANY,
    reductions.AllOf: Joined.ALL,
    reductions.Logsumexp: Joined.LOGADDEXP,
}


def _reduced(use: Use) -> int | Joined:
    (x,), axis = use.node.inputs, use.only
    over = use.op.over(x.ndim)
    if axis not in over:
        return axis if use.op.keepdims else axis - sum(each < axis for each in over)
    if type(use.op) not in _JOINED:
        raise Mixed
    return _JOINED[type(use.op)]


def _beside(use: Use) -> int:
    """What acts along other axes keeps the rows apart; an axis of None stands for all."""
    ndim = use.node.inputs[0].ndim
    axis = use.op.axis
    if axis is None or use.only in {each % ndim for each in (axis if isinstance(axis, tuple) else (axis,))}:
        raise Mixed
    return use.only


def _first_occurrence(use: Use) -> int:
    axis = use.same(each for each in use.axes if each is not None)
    if axis in use.op.over(use.node.ndim):
        raise Mixed
    return axis


def _sum_to(use: Use) -> int | Joined:
    (x,), wanted = use.node.inputs, use.node.shape
    place = use.only - (x.ndim - len(wanted))
    return place if place >= 0 and wanted[place] != 1 else Joined.ADD


# --- other shapes -------------------------------------------------------------------------------------------------


def _reshaped(use: Use) -> int:
    return use.of_result()


def _outer_of_reshaped(use: Use, axis: int) -> Dim | None:
    """Return how often each row stands in the axis: what stands in front of the rows stays there."""
    (x,), outer = use.node.inputs, use.outer
    if outer is None:
        return None
    before, front = multiply(product(x.shape[: use.only]), outer), product(use.node.shape[:axis])
    found = floor_divide(before, front) if front else 0
    if multiply(found, front) != before:
        raise Mixed
    return found


def _expanded(use: Use) -> int:
    kept = [place for place in range(use.node.ndim) if place not in use.op.axes(use.node.inputs[0].ndim)]
    return kept[use.only]


def _squeezed(use: Use) -> int:
    return _left_of(use.only, use.op.axes(use.node.inputs[0].ndim))


def _left_of(axis: int, gone: Collection[int]) -> int:
    """Return where an axis is when others are gone."""
    if axis in gone:
        raise Mixed
    return axis - sum(each < axis for each in gone)


def _flipped(use: Use) -> int:
    if use.op.axis is None:
        raise Mixed
    return _beside(use)


def _transposed(use: Use) -> int:
    return int(use.op.order(use.node.ndim).index(use.only))


def _padded(use: Use) -> int:
    if use.op._pairs(use.node.ndim)[use.only] != (0, 0):
        raise Mixed
    return use.only


def _tiled(use: Use) -> int:
    (x,) = use.node.inputs
    place = use.only + use.node.ndim - x.ndim
    if use.op._reps(x.ndim)[place] != 1:
        raise Mixed
    return place


def _concatenated(use: Use) -> int:
    axis = use.same(each for each in use.axes if each is not None)
    if use.op.axis is None or axis == use.op.axis % use.node.ndim:
        raise Mixed
    return axis


def _stacked(use: Use) -> int:
    axis = use.same(each for each in use.axes if each is not None)
    return axis + int(use.op.axis % use.node.ndim <= axis)


def _matrices(use: Use) -> int:
    """What acts on the last two axes, of operands that broadcast before them."""
    pairs = list(zip(use.node.inputs, use.axes, strict=True))
    if any(axis is not None and axis >= x.ndim - 2 for x, axis in pairs):
        raise Mixed
    return use.same(axis - (x.ndim - 2) for x, axis in pairs if axis is not None) + use.node.ndim - _LOST[type(use.op)]


_LOST: dict[type[Op], int] = {
    linear_solve.Inv: 2,
    linear_solve.Cholesky: 2,
    linear_solve.Det: 0,
    triangles_and_diagonals.Tril: 2,
    triangles_and_diagonals.Triu: 2,
}


def _diagonal(use: Use) -> int:
    (x,) = use.node.inputs
    return _left_of(use.only, {use.op.axis1 % x.ndim, use.op.axis2 % x.ndim})


def _diagonal_added(use: Use) -> int:
    axes = {use.op.axis1 % use.node.ndim, use.op.axis2 % use.node.ndim}
    kept = [axis for axis in range(use.node.ndim) if axis not in axes]
    if use.only >= len(kept):
        raise Mixed
    return kept[use.only]


def _sliding(use: Use) -> int:
    array = use.node if isinstance(use.op, sliding_windows.Fold) else use.node.inputs[0]
    if use.only >= array.ndim or use.only in [slide.axis for slide in use.op.slides(array.ndim)]:
        raise Mixed
    return use.only


# --- parts of arrays ----------------------------------------------------------------------------------------------


def _sliced(parts: tuple[Any, ...], ndim: int) -> dict[int, int]:
    """Return {axis of the array: axis of what an index takes of it}, of the axes that it takes whole."""
    taking = sum(part is not None and part != "..." for part in parts)
    at = parts.index("...") if "..." in parts else len(parts)
    spread = (*parts[:at], *[(None, None, None)] * (ndim - taking), *parts[at + 1 :])
    found, axis, place = {}, 0, 0
    for part in spread:
        if isinstance(part, tuple) and part[:2] in ((None, None), (0, None)) and part[2] in (None, 1):
            found[axis] = place
        axis += part is not None
        place += part is None or isinstance(part, tuple)
    return found


def _taken_slice(use: Use) -> int:
    found = _sliced(use.op.index, use.node.inputs[0].ndim).get(use.only)
    if found is None:
        raise Mixed
    return found


def _put_slices(use: Use) -> int:
    parts = (use.op.index,) if isinstance(use.op, indexing.SliceAdd) else use.op.indices
    axis = use.of_result()
    for part, own in zip(parts, use.axes, strict=True):
        if own is None or _sliced(part, use.node.ndim).get(axis) != own:
            raise Mixed
    return axis


def _take(use: Use) -> int:
    (x, indices), (rows, chosen) = use.node.inputs, use.axes
    axis: int = 0 if use.op.axis is None else use.op.axis % x.ndim
    if rows is None and chosen is not None:
        return axis + chosen
    if chosen is not None or rows is None or use.op.axis is None or rows == axis:
        raise Mixed
    return rows + (indices.ndim - 1 if rows > axis else 0)


def _index_add(use: Use) -> int | Joined:
    (_, indices), (rows, chosen) = use.node.inputs, use.axes
    axis: int = 0 if use.op.axis is None else use.op.axis % use.node.ndim
    if chosen is not None and rows == axis + chosen:
        return Joined.ADD
    if chosen is not None or rows is None or axis <= rows < axis + indices.ndim:
        raise Mixed
    return rows - (indices.ndim - 1 if rows > axis else 0)


def _take_along(use: Use) -> int:
    (x, _), (rows, chosen) = use.node.inputs, use.axes
    if use.op.axis is None:
        if rows is not None or chosen is None:
            raise Mixed
        return chosen
    axis = use.same(each for each in use.axes if each is not None)
    if rows is not None and axis == use.op.axis % x.ndim:
        raise Mixed
    return axis


def _add_along(use: Use) -> int | Joined:
    rows, chosen = use.axes
    if rows is None or (chosen is not None and chosen != rows):
        raise Mixed
    found = axis_of_rows(use.node.shape, use.rows)
    if found is None:
        if chosen is None:
            raise Mixed
        return Joined.ADD
    if found != rows or use.op.axis is None or rows == use.op.axis % use.node.ndim:
        raise Mixed
    return found


def _gathered(use: Use) -> int:
    (_, indices), (rows, chosen) = use.node.inputs, use.axes
    if rows is not None or chosen is None or chosen == indices.ndim - 1:
        raise Mixed
    return chosen


def _scattered(use: Use) -> Joined:
    rows, chosen = use.axes
    if rows is None or rows != chosen or rows >= use.node.inputs[1].ndim - 1:
        raise Mixed
    return Joined.ADD


def _update_slice(use: Use) -> int:
    rows, mine, start = use.axes
    if rows is None or rows != mine or start is not None or rows == use.op.axis % use.node.ndim:
        raise Mixed
    return rows


def _with_labels(use: Use) -> int:
    if use.axes[0] is None or use.axes[0] != use.axes[1]:
        raise Mixed
    return use.axes[0]


def _labelled(use: Use) -> int:
    return use.only


# --- products -----------------------------------------------------------------------------------------------------


def _contracted(use: Use, terms: Sequence[str], result: str) -> int | Joined:
    """The letter of the rows is in the result, or it is summed over."""
    found = {term[axis] for term, axis in zip(terms, use.axes, strict=True) if axis is not None}
    if len(found) > 1:
        raise Mixed
    (letter,) = found
    return result.index(letter) if letter in result else Joined.ADD


def _einsum(use: Use) -> int | Joined:
    return _contracted(use, *use.op._terms())


def _matmul(use: Use) -> int | Joined:
    ndims = [x.ndim for x in use.node.inputs]
    stack = "abcdefgh"[: max(0, *[ndim - 2 for ndim in ndims])]
    if len(stack) < max(ndims) - 2:
        raise Mixed
    terms = [
        stack[len(stack) - max(ndim - 2, 0) :] + (matrix if ndim > 1 else "k")
        for ndim, matrix in zip(ndims, ("mk", "kn"), strict=True)
    ]
    return _contracted(use, terms, stack + ("m" if ndims[0] > 1 else "") + ("n" if ndims[1] > 1 else ""))


def _outer(use: Use) -> int:
    rows = [place for place, axis in enumerate(use.axes) if axis is not None]
    if len(rows) > 1 or use.axes[rows[0]] != 0:
        raise Mixed
    return rows[0]


_RULES: dict[type[Op], Rule] = {
    **dict.fromkeys(
        (*_JOINED, reductions.Var, reductions.Std, reductions.Norm, reductions.Argmax, reductions.Argmin), _reduced
    ),
    **dict.fromkeys((cumulative.Cumsum, cumulative.Cumprod, sorting.Argsort, reductions.ProdOthers), _beside),
    **dict.fromkeys((concatenation.Repeat, triangles_and_diagonals.Roll), _beside),
    comparison.FirstOccurrence: _first_occurrence,
    shape.SumTo: _sum_to,
    shape.BroadcastTo: _elementwise,
    shape.Reshape: _reshaped,
    shape.ExpandDims: _expanded,
    shape.Squeeze: _squeezed,
    shape.Flip: _flipped,
    linalg.Transpose: _transposed,
    concatenation.Pad: _padded,
    concatenation.Tile: _tiled,
    concatenation.Concatenate: _concatenated,
    concatenation.Stack: _stacked,
    **dict.fromkeys(_LOST, _matrices),
    triangles_and_diagonals.Diagonal: _diagonal,
    triangles_and_diagonals.DiagonalAdd: _diagonal_added,
    **dict.fromkeys((sliding_windows.Windows, sliding_windows.Fold), _sliding),
    indexing.Getitem: _taken_slice,
    **dict.fromkeys((indexing.SliceAdd, indexing.SlicesAdd), _put_slices),
    indexing.Take: _take,
    indexing.IndexAdd: _index_add,
    indexing.TakeAlongAxis: _take_along,
    indexing.AddAlongAxis: _add_along,
    scatter.GatherNd: _gathered,
    scatter.ScatterNd: _scattered,
    scatter.UpdateSlice: _update_slice,
    **dict.fromkeys((class_labels.Pick, class_labels.ScatterLabels), _with_labels),
    class_labels.OneHot: _labelled,
    linalg.Einsum: _einsum,
    linalg.Matmul: _matmul,
    linalg.Outer: _outer,
}


def remedy(op: Op) -> str:
    """Return what to write instead of an operation over the batch, for an error; "" where nothing is known."""
    return REMEDIES.get(type(op), "")


def has_rule(op: Op) -> bool:
    """Return whether it is known what an operation does to rows."""
    return op.elementwise or type(op) in _RULES


REMEDIES: dict[type[Op], str] = {
    reductions.Var: "gn.mean(gn.square(x - gn.mean(x)))",
    reductions.Std: "gn.sqrt(gn.mean(gn.square(x - gn.mean(x))))",
    reductions.Norm: "gn.sqrt(gn.sum(gn.square(x)))",
}
"""What to write instead; modules of higher rooms add theirs."""
