"""Shapes, places and parts of arrays, and the same on sizes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import short_repr
from ...core import Array, Dim, Node, fn
from ...core.symbolic_shapes import add, broadcast, floor_divide, multiply, product, subtract
from .. import shape_arithmetic as of
from ..broadcasting import stretched
from ..rule_registry import on_sizes, rule
from ..tensors import dtype_of
from .kit import held, ints

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims, Known, Value


@rule("Shape")
def shape(call: Call, x: Value, *, start: int = 0, end: int | None = None) -> Value:
    """Return the shape of x, or a part of it."""
    whole = list(x.spec.shape if isinstance(x, Node) else x.shape)
    return of.sized(whole[start:end], np.int64)


@rule("Size")
def size(call: Call, x: Value) -> Value:
    """Return how many elements x has."""
    return of.sized(product(x.spec.shape if isinstance(x, Node) else x.shape), np.int64)


@rule("Constant")
def constant(
    call: Call,
    *,
    value: Any = None,
    value_float: Any = None,
    value_floats: Any = None,
    value_int: Any = None,
    value_ints: Any = None,
) -> Value:
    """Return the array that the node holds."""
    if value is not None:
        return value
    if value_float is not None or value_floats is not None:
        return np.asarray(value_floats if value_float is None else value_float, np.float32)
    return np.asarray(value_ints if value_int is None else value_int, np.int64)


@rule("Reshape")
def reshape(call: Call, x: Node, shape: Dims, *, allowzero: int = 0, consumed_inputs: Any = None) -> Any:
    """Return the elements of x in another shape; 0 keeps a dimension, -1 follows from the others."""
    dims = [x.spec.shape[axis] if dim == 0 and not allowzero else dim for axis, dim in enumerate(shape)]
    return fn.reshape(x, tuple(dims))


@rule("Flatten")
def flatten(call: Call, x: Node, *, axis: int = 1) -> Any:
    """Return x as a matrix: the axes before, and those from `axis` on."""
    axis = axis + x.ndim if axis < 0 else axis
    return fn.reshape(x, (product(x.spec.shape[:axis]), product(x.spec.shape[axis:])))


@rule("Squeeze")
def squeeze(call: Call, x: Node, axes: Known | None = None) -> Any:
    """Return x without axes of size 1."""
    dims = x.spec.shape
    if axes is None:
        chosen = [axis for axis, dim in enumerate(dims) if dim == 1]
    else:
        chosen = [axis % x.ndim for axis in ints(axes)]
    return fn.reshape(x, tuple(dim for axis, dim in enumerate(dims) if axis not in chosen)) if chosen else x


@rule("Unsqueeze")
def unsqueeze(call: Call, x: Node, axes: Known) -> Any:
    """Return x with new axes of size 1."""
    return fn.expand_dims(x, tuple(ints(axes))) if len(ints(axes)) else x


@rule("Transpose")
def transpose(call: Call, x: Node, *, perm: Any = None) -> Any:
    """Return x with its axes in another order."""
    return fn.transpose(x, None if perm is None else tuple(perm))


@rule("Concat")
def concat(call: Call, *arrays: Node, axis: int = 1) -> Any:
    """Return arrays one after the other."""
    return arrays[0] if len(arrays) == 1 else fn.concatenate(list(arrays), axis=axis)


@rule("Expand")
def expand(call: Call, x: Node, shape: Dims) -> Any:
    """Return x repeated along axes of size 1."""
    x = stretched(x, [shape])
    found = broadcast([x.spec.shape, shape])
    return fn.broadcast_to(x, shape if found is None else found[0])


@rule("Tile")
def tile(call: Call, x: Node, repeats: Dims, axis: Known | None = None) -> Any:
    """Return x laid out several times along each axis; before opset 6, along one."""
    counts = list(repeats)
    if any(isinstance(count, str) for count in counts):
        pairs = list(zip(counts, x.spec.shape, strict=True))
        apart = fn.expand_dims(x, tuple(range(0, 2 * x.ndim, 2)))
        laid = fn.broadcast_to(apart, tuple(itertools.chain.from_iterable(pairs)))
        return fn.reshape(laid, tuple(product(pair) for pair in pairs))
    if axis is not None:
        place, counts = int(axis.item()) % x.ndim, counts * x.ndim
        counts = [count if each == place else 1 for each, count in enumerate(counts)]
    return fn.tile(x, tuple(counts))


@rule("ConstantOfShape")
def constant_of_shape(call: Call, shape: Dims, *, value: Any = None) -> Any:
    """Return an array of one value."""
    one = np.zeros((), np.float32) if value is None else np.asarray(value).reshape(())
    return fn.broadcast_to(call.node(one), tuple(shape))


@rule("Range")
def range_(call: Call, start: Value, limit: Value, delta: Value) -> Any:
    """Return numbers from start on, to below limit."""
    if all(not isinstance(each, Node) for each in (start, limit, delta)):
        kind = start.dtype
        ends = [of.boxed(each).reshape(-1)[0] for each in (start, limit, delta)]
        plain = [str.__str__(end) if isinstance(end, str) else end for end in ends]
        if any(isinstance(end, str) for end in plain):  # sizes are whole, also where the model counts in floats
            plain = [int(end) if isinstance(end, float) and end.is_integer() else end for end in plain]
        if all(isinstance(end, (int, float, str)) for end in plain):
            return fn.cast(fn.arange(*plain, graph=call.graph), kind)
    return call.refuse("how many numbers it gives depends on data")


@rule("Slice")
def slice_(
    call: Call, x: Node, starts: Value, ends: Value, axes: Known | None = None, steps: Known | None = None
) -> Any:
    """Return a part of x."""
    index: list[Any] = [slice(None)] * x.ndim
    starts, ends = (
        call.known(each, "where a slice begins and ends") if isinstance(each, Node) else each for each in (starts, ends)
    )
    chosen = list(range(len(of.boxed(starts).reshape(-1)))) if axes is None else [axis % x.ndim for axis in ints(axes)]
    for place, axis in enumerate(chosen):
        step = 1 if steps is None else ints(steps)[place]
        start, end = (_place(each, place) for each in (starts, ends))
        index[axis] = _slice(start, end, step, x.spec.shape[axis])
    return x if all(each == slice(None) for each in index) else fn.getitem(x, tuple(index))


def _place(value: Value, place: int) -> Any:
    found = of.boxed(value).reshape(-1)[place]
    return str.__str__(found) if isinstance(found, str) else int(found)


_FAR = 2**29
"""Ends beyond this mean the end of the axis; some models write 10⁹."""


def _slice(start: Any, end: Any, step: int, length: Any) -> slice:
    """Return a slice with ends that are far away left open, and ends that count from the end kept."""
    if isinstance(start, int) and (abs(start) > _FAR or start == 0):
        away = start > 0
        start = None if away == (step < 0) or (start == 0 and step > 0) else start
    if isinstance(end, int) and abs(end) > _FAR:
        away = end > 0
        end = None if away == (step > 0) else end
    if isinstance(end, int) and end == length and step > 0:
        end = None
    if end == length:
        end = None if step > 0 else end
    return slice(start, end, None if step == 1 else step)


@rule("Gather")
def gather(call: Call, x: Node, indices: Value, *, axis: int = 0) -> Any:
    """Return the slices of x at indices along an axis; negative ones count from the end."""
    known = held(call, indices)
    if known is not None and known.ndim == 0:
        place: list[Any] = [slice(None)] * x.ndim
        place[axis] = int(known)
        return fn.getitem(x, tuple(place))
    return fn.take(x, call.node(indices), axis=axis)


@rule("Split")
def split(call: Call, x: Node, split: Dims | None = None, *, axis: int = 0, num_outputs: int | None = None) -> Any:
    """Return consecutive parts of x."""
    count, dim = len(call.outputs), x.spec.shape[axis]
    if num_outputs not in (None, count):
        call.refuse(f"it has {count} outputs, and says that there are {num_outputs}")
    lengths = split
    if lengths is None:
        part = floor_divide(add(dim, count - 1) if isinstance(dim, int) else dim, count)
        if not isinstance(dim, int) and multiply(part, count) != dim:
            call.ask_for_sizes(f"how long each of {count} parts is", [dim])
        lengths = (*[part] * (count - 1), subtract(dim, multiply(part, count - 1)))
    numbers = [each for each in lengths if isinstance(each, int)]
    if min(numbers, default=0) < 0 or (isinstance(dim, int) and len(numbers) == len(lengths) and sum(numbers) != dim):
        call.refuse(f"it cuts an axis of {dim} into parts of {short_repr(list(lengths))}")
    return tuple(parts_of(x, lengths, axis))


def parts_of(x: Node, lengths: Iterable[Dim], axis: int) -> list[Node]:
    """Return consecutive parts of x that are so long along an axis."""
    ends: list[Dim] = [0]
    for length in lengths:
        ends.append(add(ends[-1], length))
    every = [slice(None)] * (axis % x.ndim)
    return [fn.getitem(x, (*every, slice(*pair))) for pair in itertools.pairwise(ends)]


@rule("EyeLike")
def eye_like(call: Call, x: Node, *, dtype: int | None = None, k: int = 0) -> Any:
    """Return ones on a diagonal, and zeros, in the shape of a matrix."""
    kind = x.spec.dtype if dtype is None else dtype_of(dtype, "its result")
    rows, columns = (fn.arange(dim, graph=call.graph) for dim in x.spec.shape)
    return fn.cast(fn.equal(fn.expand_dims(rows, 1) + k, columns), kind)


# --- on sizes -------------------------------------------------------------------------------------------------------


@on_sizes("Gather")
def sizes_gather(call: Call, x: Value, indices: Value, *, axis: int = 0) -> Any:
    """Return some places."""
    return of.sized(np.take(of.boxed(x), call.known(indices), axis=axis), x.dtype)


@on_sizes("Concat")
def sizes_concat(call: Call, *arrays: Value, axis: int = 1) -> Any:
    """Return places one after the other."""
    return of.sized(np.concatenate([of.boxed(each) for each in arrays], axis=axis), arrays[0].dtype)


@on_sizes("Slice")
def sizes_slice(call: Call, x: Value, starts: Value, ends: Value, axes: Value = None, steps: Value = None) -> Any:
    """Return a part of the places."""
    lists = [ints(call.known(each)) for each in (starts, ends)]
    chosen = range(len(lists[0])) if axes is None else ints(call.known(axes))
    jumps = [1] * len(lists[0]) if steps is None else ints(call.known(steps))
    index: list[Any] = [slice(None)] * len(x.shape)
    for axis, start, end, step in zip(chosen, *lists, jumps, strict=True):
        index[axis] = slice(start, end if end > -_FAR else None, step)
    return of.sized(of.boxed(x)[tuple(index)], x.dtype)


@on_sizes("Reshape")
def sizes_reshape(call: Call, x: Value, shape: Value, *, allowzero: int = 0) -> Any:
    """Return the places in another shape."""
    return of.sized(of.boxed(x).reshape(ints(call.known(shape))), x.dtype)


@on_sizes("Squeeze")
def sizes_squeeze(call: Call, x: Value, axes: Value = None) -> Any:
    """Return the places without axes of size 1."""
    return of.sized(np.squeeze(of.boxed(x), None if axes is None else tuple(ints(_known(call, axes)))), x.dtype)


@on_sizes("Unsqueeze")
def sizes_unsqueeze(call: Call, x: Value, axes: Value) -> Any:
    """Return the places with new axes of size 1."""
    return of.sized(np.expand_dims(of.boxed(x), tuple(ints(_known(call, axes)))), x.dtype)


@on_sizes("Expand")
def sizes_expand(call: Call, x: Value, shape: Value) -> Any:
    """Return the places repeated along axes of size 1."""
    wanted = np.broadcast_shapes(x.shape, tuple(ints(call.known(shape))))
    return of.sized(np.broadcast_to(of.boxed(x), wanted), x.dtype)


@on_sizes("Split")
def sizes_split(call: Call, x: Value, split: Value = None, *, axis: int = 0, num_outputs: int | None = None) -> Any:
    """Return parts of the places."""
    count = len(call.outputs)
    cuts: Any = count if split is None else np.cumsum(ints(_known(call, split)))[:-1]
    return tuple(of.sized(part, x.dtype) for part in np.split(of.boxed(x), cuts, axis=axis))


@on_sizes("Transpose")
def sizes_transpose(call: Call, x: Value, *, perm: Any = None) -> Any:
    """Return the places with their axes in another order."""
    return of.sized(np.transpose(of.boxed(x), perm), x.dtype)


@on_sizes("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def sizes_reduction(
    call: Call, x: Value, axes: Value = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Any:
    """Return what is made of all places of a vector."""
    if x.places.ndim != 1:
        raise of.Undecided
    if noop_with_empty_axes and (axes is None or not axes.size):
        return x
    function = {"ReduceProd": of.times, "ReduceSum": of.plus, "ReduceMax": of.larger, "ReduceMin": of.smaller}[call.op]
    total = functools.reduce(function, x.places)
    return of.sized([total] if keepdims else total, x.dtype)


def _known(call: Call, value: Any) -> Array:
    return call.known(value) if not isinstance(value, list) else np.asarray(value)
