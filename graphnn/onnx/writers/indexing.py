"""Elements by index, and their adjoints, which put them back.

What a run checks, ONNX Runtime may not: a label that is not a class picks something else, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...core.symbolic_shapes import add, product
from ...ops import class_labels, scatter
from ...ops import indexing as ops
from ...ops.base import axis_of
from .arithmetic import to_result
from .draft import INT64, Value
from .group import Group, writes

if TYPE_CHECKING:
    from ...core import Dim, Op

# --- slices ---------------------------------------------------------------------------------------------------------


_Slice = tuple[int, Any, Any, int]
"""An axis, and where its slice starts and stops, and its step."""


def sliced(g: Group, x: Value, index: tuple[Any, ...], dims: Sequence[Dim]) -> Value:
    """Return x[index], of an x of a shape."""
    slices, picked, new = _parts(index, len(dims))
    x = g.slice(x, [_ahead(part) for part in slices])
    x = g.slice(x, [(axis, None, None, step) for axis, start, stop, step in slices if _is_bounded(start, stop, step)])
    for axis, place in reversed(picked):
        x = g("Gather", x, g.draft.scalar(place) if isinstance(place, str) else g.constant(place, INT64), axis=axis)
    return g.unsqueeze(x, *new)


def _is_bounded(start: Any, stop: Any, step: int) -> bool:
    return step < 0 and not start is stop is None


def _ahead(part: _Slice) -> _Slice:
    """Return a slice as it is; one that goes backwards within bounds, as what lies between them.

    ONNX moves a start before the front to the front, and NumPy to before it.
    """
    axis, start, stop, step = part
    if not _is_bounded(start, stop, step):
        return part
    if stop == -1:
        return axis, 2**63 - 1, None, 1  # nothing
    return axis, None if stop is None else add(stop, 1), None if start in (None, -1) else add(start, 1), 1


def _parts(index: tuple[Any, ...], ndim: int) -> tuple[list[_Slice], list[tuple[int, Any]], list[int]]:
    """Return the slices of an index, as `Group.slice` takes them; its ints, as (axis, place); and the new axes."""
    slices: list[_Slice] = []
    picked: list[tuple[int, Any]] = []
    new: list[int] = []
    axis = place = 0
    rest = ndim - sum(part is not None and part != "..." for part in index)
    for part in index:
        if part is None:
            new.append(place)
            place += 1
        elif part == "...":
            axis, place = axis + rest, place + rest
        elif isinstance(part, tuple):
            start, stop, step = part
            if part[:2] != (None, None) or step not in (None, 1):
                slices.append((axis, start, stop, 1 if step is None else step))
            axis, place = axis + 1, place + 1
        else:
            picked.append((axis, part))
            axis += 1
    return slices, picked, new


@writes(ops.Getitem)
def _getitem(g: Group, op: Any, x: Value) -> Value:
    return sliced(g, x, op.index, g.dims(0))


@writes(ops.SliceAdd)
def _slice_add(g: Group, op: Any, x: Value) -> Value:
    widths = _widths(op.index, op.shape)
    if widths is None:
        return _put_back(g, [x], [op.index], op.shape)
    _, picked, new = _parts(op.index, len(op.shape))
    x = g.unsqueeze(g.squeeze(x, *new), *[axis for axis, _ in picked])
    befores, afters = zip(*widths, strict=True) if widths else ((), ())
    return g("Pad", x, g.ints(*befores, *afters), g.like(x, 0)) if widths else x


def _widths(index: tuple[Any, ...], shape: Sequence[Dim]) -> list[tuple[int, int]] | None:
    """Return how many zeros an index leaves before and after it on each axis, if it leaves none between."""
    slices, picked, _ = _parts(index, len(shape))
    widths = [(0, 0)] * len(shape)
    for axis, start, stop, step in [*slices, *((axis, at, at, 0) for axis, at in picked)]:
        n = shape[axis]
        if not isinstance(n, int) or isinstance(start, str) or isinstance(stop, str):
            return None
        places = range(n)[start : start + 1 or None] if step == 0 else range(n)[start:stop:step]
        if places.step != 1 or not places:
            return None
        widths[axis] = (places[0], n - 1 - places[-1])
    return widths


@writes(ops.SlicesAdd)
def _slices_add(g: Group, op: Any, *operands: Value) -> Value:
    return _put_back(g, to_result(g, *operands), op.indices, op.shape)


def _put_back(g: Group, parts: Sequence[Value], indices: Sequence[Any], dims: Sequence[Dim]) -> Value:
    """Return zeros to which parts are added, each where its index points."""
    places = g.reshape(g.range(product(dims)), dims)
    pointing = [g.flat(sliced(g, places, index, dims)) for index in indices]
    flat = [g.flat(x) for x in parts]
    one = len(parts) == 1
    at, values = (pointing[0], flat[0]) if one else (g("Concat", *pointing, axis=0), g("Concat", *flat, axis=0))
    return g.reshape(added(g, (product(dims),), g.unsqueeze(at, 1), values), dims)


def added(g: Group, dims: Sequence[Dim], indices: Value, x: Value) -> Value:
    """Return zeros to which x is added at indices, along whose last axis there is one for each of some axes."""
    return _adding(g, "ScatterND", dims, indices, x)


def _adding(g: Group, kind: str, dims: Sequence[Dim], indices: Value, x: Value, **settings: Any) -> Value:
    """Return zeros to which x is added; ONNX Runtime adds no float16 and no bools up."""
    carrier = {"float16": "float32", "bool": "int32"}.get(x.dtype.name, x.dtype)
    wide = g.cast(x, carrier)
    return g.cast(g(kind, g.zeros(dims, wide.dtype), indices, wide, reduction="add", **settings), x.dtype)


# --- by indices -----------------------------------------------------------------------------------------------------


def _wide(g: Group, indices: Value) -> Value:
    return g.cast(indices, INT64)


def _from_front(g: Group, indices: Value, size: Dim) -> Value:
    """Return indices with those that count from the end counted from the front."""
    indices = _wide(g, indices)
    return g.where(g("Less", indices, g.like(indices, 0)), g.add(indices, g.draft.scalar(size)), indices)


@writes(ops.Take)
def _take(g: Group, op: Any, x: Value, indices: Value) -> Value:
    if op.axis is None:
        return g("Gather", g.flat(x), _wide(g, indices), axis=0)
    return g("Gather", x, _wide(g, indices), axis=axis_of(op.name, op.axis, len(g.dims(0))))


@writes(ops.IndexAdd)
def _index_add(g: Group, op: Any, x: Value, indices: Value) -> Value:
    shape, count = op.shape, len(g.dims(1))
    if op.axis is None:
        at = g.unsqueeze(_from_front(g, indices, product(shape)), count)
        return g.reshape(added(g, (product(shape),), at, x), shape)
    axis = axis_of(op.name, op.axis, len(shape))
    order = [*range(axis, axis + count), *range(axis), *range(axis + count, len(g.dims(0)))]
    beside = [*shape[:axis], *shape[axis + 1 :]]
    at = g.unsqueeze(_from_front(g, indices, shape[axis]), count)
    found = added(g, [shape[axis], *beside], at, g.transpose(x, order))
    return g.transpose(found, [*range(1, axis + 1), 0, *range(axis + 1, len(shape))])


def _beside(g: Group, x: Value, mine: Sequence[Dim], wanted: Sequence[Dim], axis: int) -> Value:
    """Return x broadcast to a shape, but for one axis."""
    target = [mine[i] if i == axis else dim for i, dim in enumerate(wanted)]
    return x if tuple(target) == tuple(mine) else g.expand(x, target)


@writes(ops.TakeAlongAxis)
def _take_along_axis(g: Group, op: Any, x: Value, indices: Value) -> Value:
    indices = _wide(g, indices)
    if op.axis is None:
        return g("Gather", g.flat(x), indices, axis=0)
    axis, wanted = axis_of(op.name, op.axis, len(g.dims(0))), g.node.spec.shape
    x = _beside(g, x, g.dims(0), wanted, axis)
    return g("GatherElements", x, _beside(g, indices, g.dims(1), wanted, axis), axis=axis)


@writes(ops.AddAlongAxis)
def _add_along_axis(g: Group, op: Any, x: Value, indices: Value) -> Value:
    shape = op.shape
    if op.axis is None:
        at = g.unsqueeze(_from_front(g, indices, product(shape)), 1)
        return g.reshape(added(g, (product(shape),), at, x), shape)
    axis, mine = axis_of(op.name, op.axis, len(shape)), g.dims(0)
    indices = _beside(g, _from_front(g, indices, shape[axis]), g.dims(1), mine, axis)
    wide = [shape[i] if i == axis else dim for i, dim in enumerate(mine)]
    again = [i for i, dim in enumerate(wide) if dim != 1 and shape[i] == 1 and i != axis]
    found = _adding(g, "ScatterElements", wide, indices, x, axis=axis)
    return g.reduce("ReduceSum", found, again, keepdims=True)


@writes(scatter.GatherNd)
def _gather_nd(g: Group, op: Op, x: Value, indices: Value) -> Value:
    if g.dims(1)[-1] == 0:
        return g.expand(x, g.node.spec.shape)
    return g("GatherND", x, _places(g, indices, g.dims(0), g.dims(1)))


@writes(scatter.ScatterNd)
def _scatter_nd(g: Group, op: Any, x: Value, indices: Value) -> Value:
    if g.dims(1)[-1] == 0:
        return g.reduce("ReduceSum", x, range(len(g.dims(1)) - 1))
    return added(g, op.shape, _places(g, indices, op.shape, g.dims(1)), x)


def _places(g: Group, indices: Value, shape: Sequence[Dim], dims: Sequence[Dim]) -> Value:
    indices = _wide(g, indices)
    sizes = g.draft.shape(shape[: int(dims[-1])])
    return g.where(g("Less", indices, g.like(indices, 0)), g("Add", indices, sizes), indices)


@writes(scatter.PutAlongAxis)
def _put_along_axis(g: Group, op: Any, x: Value, indices: Value, values: Value) -> Value:
    x, values = to_result(g, x, values)
    shape = g.node.spec.shape
    axis = axis_of(op.name, op.axis, len(shape))
    beside = [g.dims(1)[i] if i == axis else dim for i, dim in enumerate(shape)]
    indices, values = g.expand(_from_front(g, indices, shape[axis]), beside), g.expand(values, beside)
    return g("ScatterElements", x, indices, values, axis=axis)


_REDUCTIONS = {scatter.MaximumAlongAxis: "max", scatter.MinimumAlongAxis: "min"}


@writes(scatter.MaximumAlongAxis, scatter.MinimumAlongAxis, scatter.MultiplyAlongAxis)
def _gathering(g: Group, op: Any, x: Value, indices: Value, values: Value) -> Value:
    """Write it; ONNX Runtime compares and multiplies no float16 and no bools here."""
    x, values = to_result(g, x, values)
    shape = g.node.spec.shape
    axis = axis_of(op.name, op.axis, len(shape))
    beside = [g.dims(1)[i] if i == axis else dim for i, dim in enumerate(shape)]
    indices, values = g.expand(_from_front(g, indices, shape[axis]), beside), g.expand(values, beside)
    carrier = {"float16": "float32", "bool": "int32"}.get(x.dtype.name, x.dtype)
    reduction = _REDUCTIONS.get(type(op), "mul")
    found = g("ScatterElements", g.cast(x, carrier), indices, g.cast(values, carrier), axis=axis, reduction=reduction)
    return g.cast(found, x.dtype)


@writes(scatter.UpdateSlice)
def _update_slice(g: Group, op: Any, x: Value, update: Value, start: Value) -> Value:
    x, update = to_result(g, x, update)
    shape, mine = g.node.spec.shape, g.dims(1)
    axis = axis_of(op.name, op.axis, len(shape))
    places = g.add(g.range(mine[axis]), _from_front(g, start, shape[axis]))
    at = g.reshape(places, [mine[i] if i == axis else 1 for i in range(len(mine))])
    return g("ScatterElements", x, g.expand(at, mine), update, axis=axis)


# --- by labels ------------------------------------------------------------------------------------------------------


def _hits(g: Group, classes: Value, count: Dim, ndim: int) -> Value:
    """Return rows of bools: whether each class is the label's."""
    return g("Equal", g.unsqueeze(_wide(g, classes), ndim), g.range(count))


@writes(class_labels.OneHot)
def _one_hot(g: Group, op: Any, classes: Value) -> Value:
    return g.cast(_hits(g, classes, op.depth, len(g.dims(0))), op.dtype)


@writes(class_labels.Pick)
def _pick(g: Group, op: Op, x: Value, classes: Value) -> Value:
    last = len(g.dims(0)) - 1
    return g.squeeze(g("GatherElements", x, g.unsqueeze(_wide(g, classes), last), axis=last), last)


@writes(class_labels.ScatterLabels)
def _place(g: Group, op: Any, x: Value, classes: Value) -> Value:
    ndim = len(g.dims(0))
    return g.where(_hits(g, classes, op.classes, ndim), g.unsqueeze(x, ndim), 0)
