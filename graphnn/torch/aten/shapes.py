"""Operations that change shapes, many of them views: they share their elements with the tensor that they are of."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Dim, Node, fn, is_float
from ...core.symbolic_shapes import add as add_dims
from ...core.symbolic_shapes import broadcast, floor_divide, minimum, multiply, product, subtract
from ...core.symbolic_shapes import clamp as clamp_dim
from ..aliases import unseen
from .call import axis_of, cast, several
from .table import aten

if TYPE_CHECKING:
    from .call import Call


def _same(call: Call, whole: Node, now: Node, **others: Any) -> Node:
    return now


def _as_whole(call: Call, whole: Node, now: Node, **others: Any) -> Node:
    return fn.reshape(now, whole.spec.shape)


# --- the same elements ----------------------------------------------------------------------------------------------


@aten(
    "alias",
    "contiguous",
    "clone",
    "lift_fresh_copy",
    "lift_fresh",
    "lift",
    "positive",
    "real",
    "conj",
    "_conj",
    "resolve_conj",
    "resolve_neg",
    write=_same,
)
def same(call: Call, self: Node) -> Node:
    """Return x."""
    return self


def _unseen(call: Call, whole: Node, now: Node) -> Node:
    return unseen(whole, now)


@aten("detach", "detach_copy", write=_unseen)
def detach(call: Call, self: Node) -> Node:
    """Return x, through which no gradient passes."""
    return fn.stop_gradient(self) if is_float(self.spec.dtype) else self


@aten("copy")
def copy(call: Call, self: Node, src: Node) -> Node:
    """Return other elements in the shape and dtype of x."""
    return fn.broadcast_to(cast(src, self.spec.dtype), self.spec.shape)


def resolved(x: Node, shape: Any) -> tuple[Dim, ...]:
    """Return a shape with the one size that is -1 reckoned."""
    sizes = list(shape)
    if -1 in sizes:
        rest = product(each for each in sizes if each != -1)
        sizes[sizes.index(-1)] = floor_divide(product(x.spec.shape), rest) if rest != 0 else 0
    return tuple(sizes)


@aten("view", "reshape", "_unsafe_view", "_reshape_alias", write=_as_whole)
def reshape(call: Call, self: Node, size: Any = None, shape: Any = None) -> Node:
    """Return the elements in another shape."""
    wanted = resolved(self, size if size is not None else shape)
    return self if wanted == self.spec.shape else fn.reshape(self, wanted)


@aten("view_as", "reshape_as", write=_as_whole)
def view_as(call: Call, self: Node, other: Node) -> Node:
    """Return the elements in the shape of another tensor."""
    return fn.reshape(self, other.spec.shape)


@aten("flatten", write=_as_whole)
def flatten(call: Call, self: Node, start_dim: int = 0, end_dim: int = -1) -> Node:
    """Return x with some axes as one."""
    shape = self.spec.shape or (1,)
    first, last = start_dim % len(shape), end_dim % len(shape)
    return fn.reshape(self, (*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :]))


@aten("unflatten", write=_as_whole)
def unflatten(call: Call, self: Node, dim: int, sizes: Any) -> Node:
    """Return x with one axis as several."""
    shape, axis = self.spec.shape, axis_of(dim, self.ndim)
    inside = list(sizes)
    if -1 in inside:
        rest = product(each for each in inside if each != -1)
        inside[inside.index(-1)] = floor_divide(shape[axis], rest)
    return fn.reshape(self, (*shape[:axis], *inside, *shape[axis + 1 :]))


@aten("unsqueeze", write=_as_whole)
def unsqueeze(call: Call, self: Node, dim: int) -> Node:
    """Return x with an axis of one element."""
    return fn.expand_dims(self, dim % (self.ndim + 1))


@aten("squeeze", write=_as_whole)
def squeeze(call: Call, self: Node, dim: Any = None) -> Node:
    """Return x without axes of one element."""
    shape = self.spec.shape
    if dim is None:
        axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    else:
        asked = [dim] if isinstance(dim, int) else dim
        axes = tuple(axis for axis in (axis_of(each, self.ndim) for each in asked) if self.ndim and shape[axis] == 1)
    return fn.squeeze(self, axes) if axes else self


# --- axes -----------------------------------------------------------------------------------------------------------


def _permuted_back(call: Call, whole: Node, now: Node, dims: Any = None, dim0: int = 0, dim1: int = 0) -> Node:
    if dims is None:
        return fn.swapaxes(now, dim0, dim1)
    return fn.transpose(now, tuple(int(place) for place in np.argsort([axis % now.ndim for axis in dims])))


@aten("permute", write=_permuted_back)
def permute(call: Call, self: Node, dims: Any) -> Node:
    """Return x with its axes in another order."""
    axes = tuple(axis % self.ndim for axis in dims)
    return self if axes == tuple(range(self.ndim)) else fn.transpose(self, axes)


@aten("transpose", "swapaxes", "swapdims", write=_permuted_back)
def transpose(call: Call, self: Node, dim0: int = 0, dim1: int = 0, axis0: int = 0, axis1: int = 0) -> Node:
    """Return x with two axes exchanged."""
    if call.op == "swapaxes":
        dim0, dim1 = axis0, axis1
    return fn.swapaxes(self, dim0, dim1) if self.ndim else self


def _turned_back(call: Call, whole: Node, now: Node) -> Node:
    return fn.swapaxes(now, -1, -2) if now.ndim > 1 else now


@aten("t", "numpy_T", "mT", "matrix_H", "adjoint", write=_turned_back)
def turned(call: Call, self: Node) -> Node:
    """Return a matrix with its axes exchanged."""
    if call.op == "numpy_T":
        return fn.transpose(self, tuple(reversed(range(self.ndim))))
    return fn.swapaxes(self, -1, -2) if self.ndim > 1 else self


@aten("movedim", "moveaxis")
def movedim(call: Call, self: Node, source: Any, destination: Any) -> Node:
    """Return x with axes at other places."""
    each = [tuple(places) if isinstance(places, (list, tuple)) else (places,) for places in (source, destination)]
    return fn.moveaxis(self, *each)


@aten("expand", "broadcast_to", "expand_copy")
def expand(call: Call, self: Node, size: Any, implicit: bool = False) -> Node:
    """Return x broadcast to a shape, in which -1 keeps a size."""
    before = len(size) - self.ndim
    wanted = tuple(self.spec.shape[at - before] if dim == -1 else dim for at, dim in enumerate(size))
    return self if wanted == self.spec.shape else fn.broadcast_to(self, wanted)


@aten("expand_as")
def expand_as(call: Call, self: Node, other: Node) -> Node:
    """Return x broadcast to the shape of another tensor."""
    return fn.broadcast_to(self, other.spec.shape)


@aten("repeat")
def repeat(call: Call, self: Node, repeats: Any) -> Node:
    """Return x side by side with itself."""
    if any(isinstance(each, str) for each in repeats):
        lead = len(repeats) - self.ndim
        x = fn.reshape(self, (*[1] * lead, *self.spec.shape)) if lead else self
        shape, wide, merged = [], [], []
        for count, size in zip(repeats, x.spec.shape, strict=True):
            shape += [1, size]
            wide += [count, size]
            merged.append(multiply(count, size))
        return fn.reshape(fn.broadcast_to(fn.reshape(x, tuple(shape)), tuple(wide)), tuple(merged))
    return fn.tile(self, tuple(repeats))


@aten("tile")
def tile(call: Call, self: Node, dims: Any) -> Node:
    """Return x side by side with itself."""
    return repeat(call, self, [1] * (self.ndim - len(dims)) + list(dims))


@aten("repeat_interleave.self_int")
def repeat_interleave(call: Call, self: Node, repeats: Any, dim: int | None = None, output_size: Any = None) -> Node:
    """Return x with each element several times."""
    x = fn.reshape(self, (-1,)) if dim is None else self
    axis = axis_of(dim or 0, x.ndim)
    shape = x.spec.shape
    wide = fn.broadcast_to(fn.expand_dims(x, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return fn.reshape(wide, (*shape[:axis], multiply(shape[axis], repeats), *shape[axis + 1 :]))


@aten("repeat_interleave.self_Tensor", "repeat_interleave.Tensor")
def repeat_interleave_by(
    call: Call, self: Node, repeats: Node, dim: int | None = None, output_size: Any = None
) -> Node:
    """Return x with each element as often as a constant says."""
    times = call.known(repeats, "how often elements are repeated")
    x = fn.reshape(self, (-1,)) if dim is None else self
    axis = axis_of(dim or 0, x.ndim)
    places = np.repeat(np.arange(len(times)), times) if times.size > 1 else None
    if places is None:
        return repeat_interleave(call, self, int(times.reshape(-1)[0]), dim)
    return fn.take(x, call.graph.constant(places), axis=axis)


@aten("flip")
def flip(call: Call, self: Node, dims: Any) -> Node:
    """Return x backwards along axes."""
    return fn.flip(self, tuple(axis_of(each, self.ndim) for each in dims)) if dims else self


@aten("fliplr")
def fliplr(call: Call, self: Node) -> Node:
    """Return x backwards along its second axis."""
    return fn.flip(self, 1)


@aten("flipud")
def flipud(call: Call, self: Node) -> Node:
    """Return x backwards along its first axis."""
    return fn.flip(self, 0)


@aten("rot90")
def rot90(call: Call, self: Node, k: int = 1, dims: Any = (0, 1)) -> Node:
    """Return x turned by quarters."""
    first, second = (axis_of(each, self.ndim) for each in dims)
    turns = k % 4
    x = self
    if turns in (1, 2):
        x = fn.flip(x, second)
    if turns in (2, 3):
        x = fn.flip(x, first)
    if turns in (1, 3):
        x = fn.swapaxes(self, first, second)
        x = fn.flip(x, first if turns == 1 else second)
    return x


@aten("roll")
def roll(call: Call, self: Node, shifts: Any, dims: Any = ()) -> Node:
    """Return x with its elements moved along axes, round the end."""
    moves = tuple(shifts) if isinstance(shifts, (list, tuple)) else (shifts,)
    if not dims:
        return fn.reshape(fn.roll(fn.reshape(self, (-1,)), moves[0]), self.spec.shape)
    x = self
    for move, dim in zip(moves, dims if isinstance(dims, (list, tuple)) else (dims,), strict=True):
        if isinstance(move, str):
            call.refuse(f"roll by the size {move}: leave it out of dims=")
        x = fn.roll(x, move, axis_of(dim, x.ndim))
    return x


# --- parts ----------------------------------------------------------------------------------------------------------


def bounds(size: Dim, start: Any, end: Any) -> tuple[Dim, Dim]:
    """Return where a slice begins and ends, counted from the front, within the axis."""

    def inside(place: Any, otherwise: Dim) -> Dim:
        if place is None:
            return otherwise
        if isinstance(place, int) and place >= 2**62:
            return size
        if isinstance(place, int) and place < 0:
            return clamp_dim(add_dims(size, place)) if isinstance(size, str) else max(size + place, 0)
        if place == size or (isinstance(size, int) and isinstance(place, int)):
            return min(place, size) if isinstance(size, int) and isinstance(place, int) else size
        return minimum(place, size)

    first, last = inside(start, 0), inside(end, size)
    return first, (max(first, last) if isinstance(first, int) and isinstance(last, int) else last)


def part(x: Node, axis: int, first: Dim, last: Dim, step: int = 1) -> Node:
    """Return the elements of an axis from one place up to another."""
    size = x.spec.shape[axis]
    if step == 1 and first == 0 and last == size:
        return x
    index = (
        *[slice(None)] * axis,
        slice(None if first == 0 else first, None if last == size else last, step if step != 1 else None),
    )
    return fn.getitem(x, index)


def _slice_written(
    call: Call, whole: Node, now: Node, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Node:
    axis = axis_of(dim, whole.ndim)
    size = whole.spec.shape[axis]
    first, last = bounds(size, start, end)
    return put_slice(call, whole, now, axis, first, last, step)


def put_slice(call: Call, whole: Node, now: Node, axis: int, first: Dim, last: Dim, step: int = 1) -> Node:
    """Return x with other elements along an axis from one place up to another."""
    size = whole.spec.shape[axis]
    now = cast(now, whole.spec.dtype)
    if step == 1:
        parts = [part(whole, axis, 0, first)] if first != 0 else []
        parts.append(now)
        parts += [part(whole, axis, last, size)] if last != size else []
        return fn.concatenate(parts, axis=axis) if len(parts) > 1 else now
    if not isinstance(size, int) or not isinstance(first, int) or not isinstance(last, int):
        call.refuse("it writes to every so manieth element of an axis whose size has a name: leave it out of dims=")
    return put_places(call, whole, now, axis, np.arange(first, last, step))


def put_places(call: Call, whole: Node, now: Node, axis: int, places: Any) -> Node:
    """Return x with other elements at known places of an axis."""
    source = np.full(int(whole.spec.shape[axis]), -1)
    source[places] = np.arange(len(places))
    taken = fn.take(now, call.graph.constant(np.maximum(source, 0)), axis=axis)
    mask = (source >= 0).reshape((-1, *[1] * (whole.ndim - axis - 1)))
    return fn.where(call.graph.constant(mask), taken, whole)


@aten("slice", write=_slice_written)
def sliced(call: Call, self: Node, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Node:
    """Return the elements of an axis from one place up to another."""
    axis = axis_of(dim, self.ndim)
    return part(self, axis, *bounds(self.spec.shape[axis], start, end), step)


def _narrowed_back(call: Call, whole: Node, now: Node, dim: int, start: Any, length: Any) -> Node:
    axis = axis_of(dim, whole.ndim)
    first = _from_front(whole.spec.shape[axis], start)
    return put_slice(call, whole, now, axis, first, add_dims(first, length))


def _from_front(size: Dim, place: Any) -> Dim:
    return add_dims(size, place) if isinstance(place, int) and place < 0 else place


@aten("narrow", write=_narrowed_back)
def narrow(call: Call, self: Node, dim: int, start: Any, length: Any) -> Node:
    """Return so many elements of an axis."""
    if isinstance(start, Node):
        return fn.take(self, fn.arange(length, graph=call.graph) + start, axis=axis_of(dim, self.ndim))
    axis = axis_of(dim, self.ndim)
    first = _from_front(self.spec.shape[axis], start)
    return part(self, axis, first, add_dims(first, length))


def selected_back(call: Call, whole: Node, now: Node, dim: int, index: Any) -> Node:
    """Return x with other elements at one place of an axis."""
    axis = axis_of(dim, whole.ndim)
    first = _from_front(whole.spec.shape[axis], index)
    return put_slice(call, whole, fn.expand_dims(now, axis), axis, first, add_dims(first, 1))


@aten("select", write=selected_back)
def select(call: Call, self: Node, dim: int, index: Any) -> Node:
    """Return one place of an axis."""
    axis = axis_of(dim, self.ndim)
    if isinstance(index, str):
        return fn.squeeze(part(self, axis, index, add_dims(index, 1)), axis)
    return fn.getitem(self, (*[slice(None)] * axis, index))


@aten("slice_scatter")
def slice_scatter(
    call: Call, self: Node, src: Node, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Node:
    """Return x with other elements in a slice."""
    return _slice_written(call, self, src, dim, start, end, step)


@aten("select_scatter")
def select_scatter(call: Call, self: Node, src: Node, dim: int, index: Any) -> Node:
    """Return x with other elements at a place of an axis."""
    return selected_back(call, self, src, dim, index)


def _ends(call: Call, x: Node, axis: int, sizes: list[Dim]) -> list[Node]:
    ends: list[Dim] = [0]
    for size in sizes:
        ends.append(add_dims(ends[-1], size))
    return [part(x, axis, first, last) for first, last in pairwise(ends)]


def _pieces(call: Call, size: Dim, each: Any) -> list[Dim]:
    if isinstance(size, str) or isinstance(each, str):
        count = floor_divide(size, each)
        if isinstance(count, int) and multiply(count, each) == size:
            return [each] * count
        call.refuse(f"it splits an axis of {size} elements in parts of {each}: leave the size out of dims=")
    return [min(each, size - first) for first in range(0, size, each)] or [0]


def _piece_written(call: Call, whole: Node, now: Node, place: int, dim: int = 0, **others: Any) -> Node:
    axis = axis_of(dim, whole.ndim)
    size = whole.spec.shape[axis]
    if "chunks" in others:
        sizes = _pieces(call, size, _chunk(call, size, others["chunks"]))
    else:
        given = next(value for key, value in others.items() if key in ("split_size", "split_sizes"))
        sizes = list(given) if isinstance(given, (list, tuple)) else _pieces(call, size, given)
    first: Dim = 0
    for each in sizes[:place]:
        first = add_dims(first, each)
    return put_slice(call, whole, now, axis, first, add_dims(first, sizes[place]))


@aten("split", "split_with_sizes", write=_piece_written)
def split(call: Call, self: Node, split_size: Any = None, split_sizes: Any = None, dim: int = 0) -> list[Node]:
    """Return parts of an axis."""
    axis = axis_of(dim, self.ndim)
    given = split_size if split_size is not None else split_sizes
    sizes = list(given) if isinstance(given, (list, tuple)) else _pieces(call, self.spec.shape[axis], given)
    return _ends(call, self, axis, sizes)


def _chunk(call: Call, size: Dim, chunks: int) -> Dim:
    if isinstance(size, str):
        each = floor_divide(size, chunks)
        if multiply(each, chunks) != size:
            call.refuse(f"it splits an axis of {size} elements in {chunks}: leave the size out of dims=")
        return each
    return max(1, math.ceil(size / chunks))


@aten("chunk", write=_piece_written)
def chunk(call: Call, self: Node, chunks: int, dim: int = 0) -> list[Node]:
    """Return so many parts of an axis."""
    axis = axis_of(dim, self.ndim)
    size = self.spec.shape[axis]
    if isinstance(size, str) and isinstance(_chunk(call, size, chunks), str):
        return _ends(call, self, axis, [_chunk(call, size, chunks)] * chunks)
    return _ends(call, self, axis, _pieces(call, size, _chunk(call, size, chunks)))


@aten("tensor_split")
def tensor_split(call: Call, self: Node, sections: Any = None, indices: Any = None, dim: int = 0) -> list[Node]:
    """Return parts of an axis that differ by one element at most."""
    if indices is None:
        return _equal(call, self, sections, dim)
    return several(fn.split(self, list(indices), axis=dim))


def _equal(call: Call, x: Node, count: int, dim: int) -> list[Node]:
    size = x.spec.shape[axis_of(dim, x.ndim)]
    if isinstance(size, str):
        call.refuse("it splits an axis whose size has a name: leave it out of dims=")
    sizes: list[Dim] = [size // count + (place < size % count) for place in range(count)]
    return _ends(call, x, axis_of(dim, x.ndim), sizes)


def _unbound_back(call: Call, whole: Node, now: Node, place: int, dim: int = 0) -> Node:
    return selected_back(call, whole, now, dim, place)


@aten("unbind", write=_unbound_back)
def unbind(call: Call, self: Node, dim: int = 0) -> list[Node]:
    """Return each place of an axis."""
    axis = axis_of(dim, self.ndim)
    if isinstance(self.spec.shape[axis], str):
        call.refuse("it takes apart an axis whose size has a name: leave it out of dims=")
    return several(fn.unbind(self, axis=axis))


def _diagonal_written(call: Call, whole: Node, now: Node, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Node:
    added = fn.diagonal_add(now, whole.spec.shape, offset, dim1, dim2)
    ones = fn.diagonal_add(fn.ones_like(now), whole.spec.shape, offset, dim1, dim2)
    return fn.where(fn.equal(ones, 1), added, whole)


@aten("diagonal", write=_diagonal_written)
def diagonal(call: Call, self: Node, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Node:
    """Return a diagonal."""
    return fn.diagonal(self, offset, dim1, dim2)


@aten("diagonal_scatter")
def diagonal_scatter(call: Call, self: Node, src: Node, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Node:
    """Return x with another diagonal."""
    return _diagonal_written(call, self, src, offset, dim1, dim2)


@aten("diag")
def diag(call: Call, self: Node, diagonal: int = 0) -> Node:
    """Return a diagonal of a matrix, or a matrix with a diagonal."""
    return fn.diag(self, diagonal)


@aten("diag_embed")
def diag_embed(call: Call, self: Node, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Node:
    """Return matrices with diagonals."""
    size = add_dims(self.spec.shape[-1], abs(offset))
    ndim = self.ndim + 1
    first, second = dim1 % ndim, dim2 % ndim
    shape = (*self.spec.shape[:-1], size, size)
    found = fn.diagonal_add(self, shape, offset, ndim - 2, ndim - 1)
    return (
        found if (first, second) == (ndim - 2, ndim - 1) else fn.moveaxis(found, (ndim - 2, ndim - 1), (first, second))
    )


@aten("tril")
def tril(call: Call, self: Node, diagonal: int = 0) -> Node:
    """Return the lower triangles of matrices."""
    return fn.tril(self, diagonal) if isinstance(diagonal, int) else _triangle(call, self, diagonal, fn.less_equal)


def _triangle(call: Call, x: Node, diagonal: Any, kept: Any) -> Node:
    """Return the triangles of matrices beside a diagonal that a size with a name tells."""
    rows, columns = x.spec.shape[-2:]
    down, along = fn.arange(rows, graph=call.graph), fn.arange(columns, graph=call.graph)
    apart = along - fn.expand_dims(down, -1)
    return fn.where(kept(apart, call.node(diagonal, np.int64)), x, call.node(0, x.spec.dtype))


@aten("triu")
def triu(call: Call, self: Node, diagonal: int = 0) -> Node:
    """Return the upper triangles of matrices."""
    return fn.triu(self, diagonal) if isinstance(diagonal, int) else _triangle(call, self, diagonal, fn.greater_equal)


def _unfolded_back(call: Call, whole: Node, now: Node, dimension: int, size: int, step: int) -> Node:
    axis = axis_of(dimension, whole.ndim)
    length = whole.spec.shape[axis]
    if step < size or not isinstance(length, int):
        call.refuse("it writes to windows that lie over each other, or along a size with a name: write to a copy")
    flat = fn.moveaxis(now, -1, axis + 1)
    shape = flat.spec.shape
    flat = fn.reshape(flat, (*shape[:axis], multiply(shape[axis], shape[axis + 1]), *shape[axis + 2 :]))
    places = np.arange(0, length - size + 1, step)[:, None] + np.arange(size)
    return put_places(call, whole, flat, axis, places.reshape(-1))


@aten("unfold", write=_unfolded_back)
def unfold(call: Call, self: Node, dimension: int, size: int, step: int) -> Node:
    """Return windows along an axis; their elements are the last axis."""
    axis = axis_of(dimension, self.ndim)
    return fn.windows(self, (size,), (step,), axes=(axis,))


def _places_of(call: Call, size: Any, stride: Any, offset: Any) -> Any:
    """Return the flat places of elements that lie at strides in the memory of a tensor, where that is as its shape."""
    base = call.source.args[0].meta["val"]
    if (
        any(isinstance(each, str) for each in (*size, *stride, *base.shape))
        or not base.is_contiguous()
        or base.storage_offset()
    ):
        call.refuse(
            "as_strided of a tensor that is a view, or has a size with a name: write slices, unfold, or clone()"
        )
    grid = np.ix_(*(np.arange(count) * step for count, step in zip(size, stride, strict=True)))
    places = np.array(offset or 0) + sum(grid) if grid else np.array(offset or 0)
    return np.broadcast_to(places, tuple(size))


def _strided_back(call: Call, whole: Node, now: Node, size: Any, stride: Any, storage_offset: Any = None) -> Node:
    places = _places_of(call, size, stride, storage_offset).reshape(-1)
    if len(set(places.tolist())) < places.size:
        call.refuse("it writes to elements that lie over each other: write to a copy, x.clone()")
    flat = fn.reshape(whole, (-1,))
    return fn.reshape(put_places(call, flat, fn.reshape(now, (-1,)), 0, places), whole.spec.shape)


@aten("as_strided", "as_strided_copy", write=_strided_back)
def as_strided(call: Call, self: Node, size: Any, stride: Any, storage_offset: Any = None) -> Node:
    """Return the elements that lie at strides in memory."""
    places = _places_of(call, size, stride, storage_offset)
    return fn.take(fn.reshape(self, (-1,)), call.graph.constant(np.array(places)), axis=0)


@aten("fill_diagonal")
def fill_diagonal(call: Call, self: Node, fill_value: Any, wrap: bool = False) -> Node:
    """Return x with a number on its diagonal."""
    shape = self.spec.shape
    if any(isinstance(size, str) for size in shape):
        call.refuse("it writes to a diagonal of a size with a name: leave the size out of dims=")
    mask = np.zeros([int(size) for size in shape], bool)
    np.fill_diagonal(mask, True, wrap)
    return fn.where(call.graph.constant(mask), call.node(fill_value, self.spec.dtype), self)


# --- several tensors ------------------------------------------------------------------------------------------------


def _some(tensors: list[Node]) -> list[Node]:
    """Return the tensors without those of shape (0,), which PyTorch passes over."""
    kept = [each for each in tensors if each.spec.shape != (0,)]
    return kept or tensors[:1]


@aten("cat", "concat", "concatenate")
def cat(call: Call, tensors: Any, dim: int = 0) -> Node:
    """Return tensors behind each other."""
    parts = call.as_result(*_some(tensors))
    return fn.concatenate(parts, axis=axis_of(dim, parts[0].ndim)) if len(parts) > 1 else parts[0]


@aten("stack")
def stack(call: Call, tensors: Any, dim: int = 0) -> Node:
    """Return tensors along a new axis."""
    parts = call.as_result(*tensors)
    return fn.stack(parts, axis=dim % (parts[0].ndim + 1))


@aten("meshgrid")
def meshgrid(call: Call, tensors: Any, indexing: str = "ij") -> list[Node]:
    """Return coordinates of the points of a grid."""
    flat = [fn.reshape(each, (-1,)) for each in tensors]
    order = [1, 0, *range(2, len(flat))] if indexing == "xy" and len(flat) > 1 else [*range(len(flat))]
    sizes: list[Any] = [0] * len(flat)
    for place, each in zip(order, flat, strict=True):
        sizes[place] = each.spec.shape[0]
    found = []
    for place, each in zip(order, flat, strict=True):
        shape: list[Dim] = [1] * len(flat)
        shape[place] = each.spec.shape[0]
        found.append(fn.broadcast_to(fn.reshape(each, tuple(shape)), tuple(sizes)))
    return found


@aten("broadcast_tensors")
def broadcast_tensors(call: Call, tensors: Any) -> list[Node]:
    """Return tensors in the one shape that they broadcast to."""
    found = broadcast([each.spec.shape for each in tensors])
    assert found is not None
    return [fn.broadcast_to(each, found[0]) for each in tensors]


@aten("pad", "constant_pad_nd")
def pad(call: Call, self: Node, pad: Any, mode: str = "constant", value: Any = 0) -> Node:
    """Return x with more, or fewer, elements at the ends of its last axes."""
    pairs = [(0, 0)] * self.ndim
    x = self
    for place in range(len(pad) // 2):
        axis = self.ndim - 1 - place
        before, after = pad[2 * place], pad[2 * place + 1]
        size = x.spec.shape[axis]
        cut = [-each if isinstance(each, int) and each < 0 else 0 for each in (before, after)]
        if any(cut):
            x = part(x, axis, cut[0], subtract(size, cut[1]))
        pairs[axis] = tuple(0 if gone else each for each, gone in zip((before, after), cut, strict=True))  # type: ignore[assignment]
    if all(pair == (0, 0) for pair in pairs):
        return x
    ours = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    given = {"constant_values": 0 if value is None else value} if ours == "constant" else {}
    return fn.pad(x, tuple(pairs), mode=ours, **given)


@aten("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(call: Call, self: Node, padding: Any) -> Node:
    """Return x mirrored at its ends."""
    return pad(call, self, padding, "reflect")


@aten("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(call: Call, self: Node, padding: Any) -> Node:
    """Return x with its last elements repeated."""
    return pad(call, self, padding, "replicate")


@aten("pixel_shuffle")
def pixel_shuffle(call: Call, self: Node, upscale_factor: int) -> Node:
    """Return images with more rows and columns, of channels."""
    *lead, channels, rows, columns = self.spec.shape
    r = upscale_factor
    inner = floor_divide(channels, r * r)
    n = len(lead)
    x = fn.reshape(self, (*lead, inner, r, r, rows, columns))
    x = fn.transpose(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return fn.reshape(x, (*lead, inner, multiply(rows, r), multiply(columns, r)))


@aten("pixel_unshuffle")
def pixel_unshuffle(call: Call, self: Node, downscale_factor: int) -> Node:
    """Return images with more channels, of rows and columns."""
    *lead, channels, rows, columns = self.spec.shape
    r, n = downscale_factor, len(lead)
    high, wide = floor_divide(rows, r), floor_divide(columns, r)
    x = fn.reshape(self, (*lead, channels, high, r, wide, r))
    x = fn.transpose(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return fn.reshape(x, (*lead, multiply(channels, r * r), high, wide))


@aten("channel_shuffle")
def channel_shuffle(call: Call, self: Node, groups: int) -> Node:
    """Return x with its channels in another order."""
    batch, channels, *rest = self.spec.shape
    x = fn.reshape(self, (batch, groups, floor_divide(channels, groups), *rest))
    return fn.reshape(fn.swapaxes(x, 1, 2), self.spec.shape)
