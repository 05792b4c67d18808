"""Operations that read or write elements at places that other tensors tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core import Node, fn, is_float
from ...core.symbolic_shapes import broadcast, product
from .call import axis_of, cast, is_zeros
from .shapes import part, put_slice
from .table import aten, refused

if TYPE_CHECKING:
    from .call import Call


@aten("index", "_unsafe_index")
def index(call: Call, self: Node, indices: Any) -> Node:
    """Return elements at places, as NumPy's advanced indexing does."""
    if any(each is not None and each.spec.dtype.kind == "b" for each in indices):
        indices = _of_masks(call, self, indices)
    asked = [axis for axis, each in enumerate(indices) if each is not None]
    if len(asked) == 1:
        return fn.take(self, cast(indices[asked[0]], np.int64), axis=asked[0])
    rest = [axis for axis in range(self.ndim) if axis not in asked]
    places = _beside([indices[axis] for axis in asked])
    order = (*asked, *rest)
    front = self if order == tuple(range(self.ndim)) else fn.transpose(self, order)
    found = fn.gather_nd(front, places)
    together = asked == list(range(asked[0], asked[0] + len(asked)))
    lead = len([axis for axis in rest if axis < asked[0]]) if together else 0
    if not lead:
        return found
    n = places.ndim - 1
    return fn.transpose(found, (*range(n, n + lead), *range(n), *range(n + lead, found.ndim)))


class _Front(NamedTuple):
    """A tensor with the axes that are indexed in front, as one.

    Attributes
    ----------
    table : Node
    places : Node
        Flat ones.
    order : tuple of int
        The axes of the tensor, as they stand in the table.
    lead : int
        How many of the other axes come before the places in the result: where the indexed axes are side by side, the
        places stand where these were, else in front.
    """

    table: Node
    places: Node
    order: tuple[int, ...]
    lead: int


def _in_front(call: Call, x: Node, indices: list[Any]) -> _Front:
    indices = indices + [None] * (x.ndim - len(indices))
    asked = [axis for axis, each in enumerate(indices) if each is not None]
    rest = [axis for axis in range(x.ndim) if axis not in asked]
    order = (*asked, *rest)
    together = asked == list(range(asked[0], asked[0] + len(asked)))
    shape = x.spec.shape
    places = _flat(call, [indices[axis] for axis in asked], [shape[axis] for axis in asked])
    inner = tuple(shape[axis] for axis in rest)
    front = x if order == tuple(range(x.ndim)) else fn.transpose(x, order)
    table = front if len(asked) == 1 else fn.reshape(front, (product(shape[axis] for axis in asked), *inner))
    return _Front(table, places, order, len([axis for axis in rest if axis < asked[0]]) if together else 0)


def _of_masks(call: Call, x: Node, indices: Any) -> list[Any]:
    """Return places in the place of masks, which must be known."""
    found: list[Any] = []
    for each in indices:
        if each is not None and each.spec.dtype.kind == "b":
            if not each.op.is_constant:
                call.refuse(
                    "x[mask] has as many elements as the mask has true ones, which data decide: write "
                    "torch.where(mask, x, 0), or weigh a sum or a mean by the mask"
                )
            found += [call.graph.constant(axis) for axis in np.nonzero(call.known(each, "the mask"))]
        else:
            found.append(each)
    return found


@aten("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(
    call: Call, self: Node, indices: Any, values: Node, accumulate: bool = False, unsafe: bool = False
) -> Node:
    """Return x with other elements at places, or with numbers added there."""
    values = cast(values, self.spec.dtype)
    masks = [each for each in indices if each is not None and each.spec.dtype.kind == "b"]
    if masks and not masks[0].op.is_constant:
        lead = indices.index(masks[0])
        if len(masks) > 1 or len([each for each in indices if each is not None]) > 1:
            call.refuse("it writes by a mask and by places at once: write torch.where")
        mask = masks[0]
        mask = fn.reshape(mask, (*mask.spec.shape, *[1] * (self.ndim - lead - mask.ndim)))
        rest = self.ndim - lead - masks[0].ndim
        if values.ndim > rest + 1 or (values.ndim == rest + 1 and values.spec.shape[0] != 1):
            call.refuse(
                "x[mask] = values has one value for each true element of the mask, and data decide how many these "
                "are: write torch.where(mask, values, x) with values of the shape of x"
            )
        written = self + values if accumulate else values
        return fn.where(mask, written, self)
    if masks:
        indices = _of_masks(call, self, indices)
    return _put(call, self, list(indices), values, accumulate)


def _put(call: Call, x: Node, indices: list[Any], values: Node, accumulate: bool) -> Node:
    """Write by flat places: the axes that are indexed go to the front and become one."""
    front = _in_front(call, x, indices)
    size, *inner = front.table.spec.shape
    lead, n = front.lead, front.places.ndim
    values = fn.broadcast_to(values, (*inner[:lead], *front.places.spec.shape, *inner[lead:]))
    if lead:
        values = fn.transpose(values, (*range(lead, lead + n), *range(lead), *range(lead + n, values.ndim)))
    count = product(front.places.spec.shape)
    rows = fn.reshape(values, (count, *inner))
    places = fn.reshape(front.places, (count,))
    if accumulate:
        made = front.table + fn.index_add(rows, places, (size, *inner), axis=0)
    else:
        made = put_rows(call, front.table, places, rows)
    made = fn.reshape(made, tuple(x.spec.shape[axis] for axis in front.order))
    if front.order == tuple(range(x.ndim)):
        return made
    return fn.transpose(made, tuple(int(place) for place in np.argsort(front.order)))


def put_rows(call: Call, table: Node, places: Node, rows: Node) -> Node:
    """Return a table with other rows at places; of several for one place, the last one."""
    index = fn.reshape(places, (-1, *[1] * (table.ndim - 1)))
    return fn.put_along_axis(table, fn.broadcast_to(index, rows.spec.shape), rows, axis=0)


def put_flat(x: Node, places: Node, lead: int, sizes: Any) -> Node:
    """Return zeros of sizes with elements at flat places, for each place of the first axes."""
    front = x.spec.shape[:lead]
    inner, count = product(x.spec.shape[lead:]), product(sizes)
    flat = fn.reshape(x, (*front, inner))
    zeros = fn.broadcast_to(x.graph.constant(np.zeros((), x.spec.dtype)), (*front, count))
    return fn.reshape(fn.put_along_axis(zeros, fn.reshape(places, (*front, inner)), flat, axis=-1), (*front, *sizes))


def _flat(call: Call, indices: list[Node], sizes: list[Any]) -> Node:
    """Return places among the elements of several axes; one that is out of range is an IndexError, as one by itself."""
    if len(indices) == 1:
        return cast(indices[0], np.int64)  # operations count places below 0 from the end
    every = fn.reshape(fn.arange(product(sizes), graph=call.graph), tuple(sizes))
    return fn.gather_nd(every, _beside(indices))


def _beside(indices: list[Node]) -> Node:
    """Return the places of several axes, one beside the other."""
    shape = broadcast([each.spec.shape for each in indices])
    if shape is None:
        raise ValueError(f"places of shapes {', '.join(str(each.spec.shape) for each in indices)} do not fit together")
    return fn.stack([fn.broadcast_to(cast(each, np.int64), shape[0]) for each in indices], axis=-1)


@aten("index_select")
def index_select(call: Call, self: Node, dim: int, index: Node) -> Node:
    """Return places of an axis."""
    if not self.ndim:
        return self
    return fn.take(self, fn.reshape(index, (-1,)), axis=axis_of(dim, self.ndim))


@aten("gather")
def gather(call: Call, self: Node, dim: int, index: Node, sparse_grad: bool = False) -> Node:
    """Return an element for each of a tensor of places along an axis."""
    if not self.ndim:
        return self
    axis = axis_of(dim, self.ndim)
    return fn.take_along_axis(_cut(self, index, axis), index, axis=axis)


def _cut(x: Node, index: Node, axis: int) -> Node:
    """Return x with as many elements as places along all other axes."""
    for place, (own, asked) in enumerate(zip(x.spec.shape, index.spec.shape, strict=True)):
        if place != axis and own != asked:
            x = part(x, place, 0, asked)
    return x


@aten("take")
def take(call: Call, self: Node, index: Node) -> Node:
    """Return elements by their places among all."""
    return fn.take(fn.reshape(self, (-1,)), index, axis=0)


@aten("take_along_dim")
def take_along_dim(call: Call, self: Node, indices: Node, dim: int | None = None) -> Node:
    """Return an element for each of a tensor of places along an axis."""
    if dim is None:
        return fn.take(fn.reshape(self, (-1,)), fn.reshape(indices, (-1,)), axis=0)
    return fn.take_along_axis(self, indices, axis=axis_of(dim, self.ndim))


@aten("embedding")
def embedding(
    call: Call,
    weight: Node,
    indices: Node,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Node:
    """Return rows of a table; no gradient reaches the row of the padding."""
    if scale_grad_by_freq:
        call.refuse("its gradient is divided by how often a row is read: write scale_grad_by_freq=False")
    found = fn.take(weight, indices, axis=0)
    if padding_idx >= 0:
        padded = fn.expand_dims(fn.equal(indices, padding_idx), -1)
        found = fn.where(padded, fn.stop_gradient(found), found)
    return found


@aten("embedding_bag", "embedding_bag.padding_idx", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(
    call: Call,
    weight: Node,
    indices: Node,
    offsets: Node,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Node | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = -1,
) -> tuple[Node, None, None, None]:
    """Return sums, means or the largest of rows of a table, for bags of places: offsets tell where a bag begins."""
    if scale_grad_by_freq:
        call.refuse("its gradient is divided by how often a row is read: write scale_grad_by_freq=False")
    if any(call.wanted(place) for place in (1, 2, 3)):
        call.refuse("graphnn gives only the first result of embedding_bag")
    if include_last_offset:
        offsets = fn.getitem(offsets, slice(None, -1))
    count, bags = indices.spec.shape[0], offsets.spec.shape[0]
    places = fn.expand_dims(fn.arange(count, graph=call.graph), 1)
    bag = fn.sum(cast(fn.less_equal(offsets, places), np.int64), axis=1) - 1
    shape = (bags, *weight.spec.shape[1:])
    rows = fn.take(weight, indices, axis=0)
    counts = cast(fn.greater_equal(bag, 0), weight.spec.dtype)
    if padding_idx is not None and padding_idx >= 0:
        read = fn.not_equal(indices, padding_idx)
        counts = counts * cast(read, weight.spec.dtype)
        rows = fn.where(fn.expand_dims(read, -1), rows, 0.0 if mode < 2 else -np.inf)
    if per_sample_weights is not None:
        rows = rows * fn.expand_dims(per_sample_weights, -1)
    if mode < 2:
        found = fn.index_add(rows, bag, shape, axis=0)
        if mode == 1:
            many = fn.maximum(fn.index_add(counts, bag, (bags,), axis=0), 1)
            found = found / fn.expand_dims(many, -1)
        return found, None, None, None
    lowest = fn.broadcast_to(call.node(-np.inf, weight.spec.dtype), shape)
    wide = fn.broadcast_to(fn.expand_dims(bag, -1), rows.spec.shape)
    found = fn.put_along_axis(lowest, wide, rows, axis=0, reduce="maximum")
    return fn.where(fn.equal(found, -np.inf), 0.0, found), None, None, None


@aten("scatter")
def scatter(
    call: Call, self: Node, dim: int, index: Node, src: Any = None, value: Any = None, reduce: Any = None
) -> Node:
    """Return x with other elements at places along an axis."""
    given = src if src is not None else value
    if reduce is not None:
        return _scattered(call, self, dim, index, given, {"add": "sum", "multiply": "prod"}[reduce], True)
    return _scattered(call, self, dim, index, given, None, True)


@aten("scatter_add")
def scatter_add(call: Call, self: Node, dim: int, index: Node, src: Node) -> Node:
    """Return x with numbers added at places along an axis."""
    return _scattered(call, self, dim, index, src, "sum", True)


@aten("scatter_reduce")
def scatter_reduce(
    call: Call, self: Node, dim: int, index: Node, src: Node, reduce: str, include_self: bool = True
) -> Node:
    """Return x with sums, products, means, the largest or smallest numbers at places along an axis."""
    return _scattered(call, self, dim, index, src, reduce, include_self)


def _scattered(call: Call, x: Node, dim: int, index: Node, src: Any, reduce: str | None, include_self: bool) -> Node:
    if not x.ndim:
        x, index = fn.reshape(x, (1,)), fn.reshape(index, (1,))
        src = fn.reshape(src, (1,)) if isinstance(src, Node) else src
        return fn.reshape(_scattered(call, x, 0, index, src, reduce, include_self), ())
    axis = axis_of(dim, x.ndim)
    index = cast(index, np.int64)
    if isinstance(src, Node):
        for place, (own, asked) in enumerate(zip(src.spec.shape, index.spec.shape, strict=True)):
            if own != asked:
                src = part(src, place, 0, asked)
        src = cast(src, x.spec.dtype)
    else:
        src = fn.broadcast_to(call.node(src, x.spec.dtype), index.spec.shape)
    wide = all(
        place == axis or own == asked
        for place, (own, asked) in enumerate(zip(x.spec.shape, index.spec.shape, strict=True))
    )
    if not wide:
        # Only a corner of x is written to.
        inner = x
        for place, asked in enumerate(index.spec.shape):
            if place != axis:
                inner = part(inner, place, 0, asked)
        made = _scattered(call, inner, dim, index, src, reduce, include_self)
        return _corner(call, x, made, axis, 0)
    if reduce is None:
        return fn.put_along_axis(x, index, src, axis=axis)
    if not include_self and reduce in ("sum", "mean", "prod", "amax", "amin"):
        touched = fn.greater(fn.add_along_axis(fn.ones_like(src), index, x.spec.shape, axis=axis), 0)
        start = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": -np.inf, "amin": np.inf}[reduce]
        if not is_float(x.spec.dtype) and reduce in ("amax", "amin"):
            limits = np.iinfo(x.spec.dtype)
            start = limits.min if reduce == "amax" else limits.max
        before = x
        x = fn.where(touched, call.node(start, x.spec.dtype), x)
        if reduce in ("amax", "amin") and is_float(x.spec.dtype):
            # As in PyTorch, an own element that ties is one more that shares the gradient, and gets none.
            best = fn.put_along_axis(x, index, src, axis=axis, reduce="maximum" if reduce == "amax" else "minimum")
            x = fn.where(touched & fn.equal(before, best), fn.stop_gradient(before), x)
    if reduce in ("sum", "mean"):
        added = fn.add_along_axis(src, index, x.spec.shape, axis=axis)
        total = added if is_zeros(x) else x + added
        if reduce == "sum":
            return total
        count = fn.add_along_axis(fn.ones_like(src), index, x.spec.shape, axis=axis)
        count = count + 1 if include_self else fn.maximum(count, call.node(1, count.spec.dtype))
        return total / count if is_float(x.spec.dtype) else fn.floor_divide(total, count)
    kind: Any = {"prod": "multiply", "amax": "maximum", "amin": "minimum"}[reduce]
    return fn.put_along_axis(x, index, src, axis=axis, reduce=kind)


def _corner(call: Call, whole: Node, now: Node, axis: int, place: int) -> Node:
    """Return x with another corner: the first elements of all axes but one."""
    if place == whole.ndim:
        return now
    if place == axis or whole.spec.shape[place] == now.spec.shape[place]:
        return _corner(call, whole, now, axis, place + 1)
    size = now.spec.shape[place]
    inner = _corner(call, part(whole, place, 0, size), now, axis, place + 1)
    return put_slice(call, whole, inner, place, 0, size)


@aten("index_add")
def index_add(call: Call, self: Node, dim: int, index: Node, source: Node, alpha: Any = 1) -> Node:
    """Return x with rows of another tensor added to places of an axis."""
    axis = axis_of(dim, self.ndim)
    added = cast(source, self.spec.dtype)
    added = added if alpha == 1 else added * alpha
    front = fn.moveaxis(added, axis, 0) if axis else added
    shape = self.spec.shape
    wide = fn.index_add(front, index, (shape[axis], *shape[:axis], *shape[axis + 1 :]), axis=0)
    wide = fn.moveaxis(wide, 0, axis) if axis else wide
    return wide if is_zeros(self) else self + wide


@aten("index_reduce")
def index_reduce(
    call: Call, self: Node, dim: int, index: Node, source: Node, reduce: str, include_self: bool = True
) -> Node:
    """Return x with products, means, the largest or smallest of rows at places of an axis."""
    axis = axis_of(dim, self.ndim)
    wide = fn.reshape(index, (*[1] * axis, -1, *[1] * (self.ndim - axis - 1)))
    wide = fn.broadcast_to(wide, source.spec.shape)
    return _scattered(call, self, dim, wide, source, reduce, include_self)


@aten("index_copy")
def index_copy(call: Call, self: Node, dim: int, index: Node, source: Node) -> Node:
    """Return x with rows of another tensor at places of an axis."""
    axis = axis_of(dim, self.ndim)
    wide = fn.reshape(index, (*[1] * axis, -1, *[1] * (self.ndim - axis - 1)))
    return fn.put_along_axis(self, fn.broadcast_to(wide, source.spec.shape), source, axis=axis)


@aten("index_fill")
def index_fill(call: Call, self: Node, dim: int, index: Node, value: Any) -> Node:
    """Return x with a number at places of an axis."""
    axis = axis_of(dim, self.ndim)
    shape = (*self.spec.shape[:axis], index.spec.shape[0], *self.spec.shape[axis + 1 :])
    return index_copy(call, self, dim, index, fn.broadcast_to(call.node(value, self.spec.dtype), shape))


@aten("masked_scatter")
def masked_scatter(call: Call, self: Node, mask: Node, source: Node) -> Node:
    """Return x with the elements of another tensor, one after the other, where a mask is true."""
    mask = fn.broadcast_to(mask, self.spec.shape)
    flat = fn.reshape(mask, (-1,))
    place = fn.maximum(fn.cumsum(cast(flat, np.int64), axis=0) - 1, 0)
    taken = fn.take(fn.reshape(source, (-1,)), place, axis=0)
    return fn.where(mask, fn.reshape(taken, self.spec.shape), self)


_BY_MASK = "data decide how many elements a mask has: write torch.where(mask, x, 0), or weigh by the mask"
refused("nonzero", "nonzero_numpy", "argwhere", why=_BY_MASK)
refused("masked_select", why=_BY_MASK)
refused("where.", why=_BY_MASK)
_HOW_MANY = "data decide how many different numbers there are: count each by F.one_hot(x, n).sum(0)"
refused("_unique2", "unique_dim", "unique_consecutive", why=_HOW_MANY)
_IN_PLACE = "its rows are changed where it reads them (max_norm): write max_norm=None, or norm the weight itself"
refused("embedding_renorm", why=_IN_PLACE)
_PACKED = "packed sequences: pad them, and weigh what is computed by a mask of the lengths"
refused("_pack_padded_sequence", why=_PACKED)
_SPARSE = "sparse tensors: write dense ones, or index_add and scatter_add over the elements that are there"
refused("to_sparse", "_to_sparse", why=_SPARSE)


@aten("item", "_local_scalar_dense")
def item(call: Call, self: Node) -> Node:
    """Return a number of Python: no gradient passes through one."""
    found = fn.reshape(self, ()) if self.ndim else self
    return fn.stop_gradient(found) if is_float(found.spec.dtype) else found
