"""Operations that reduce axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn, is_float
from ...core.symbolic_shapes import product
from .call import axes_of, axis_of, cast
from .table import aten

if TYPE_CHECKING:
    from .call import Call


@aten("sum")
def total(call: Call, self: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    """Return the sum over axes."""
    x = cast(self, call.dtype)
    return fn.sum(x, axes_of(dim, x.ndim), keepdims=keepdim) if x.ndim else x


@aten("mean")
def mean(call: Call, self: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    """Return the mean over axes."""
    x = cast(self, call.dtype)
    return fn.mean(x, axes_of(dim, x.ndim), keepdims=keepdim) if x.ndim else x


@aten("nansum")
def nansum(call: Call, self: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    """Return the sum over axes, without what is NaN."""
    x = cast(self, call.dtype)
    return total(call, fn.where(fn.isnan(x), 0.0, x) if is_float(x.spec.dtype) else x, dim, keepdim)


@aten("prod")
def prod(call: Call, self: Node, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Node:
    """Return the product over axes."""
    x = cast(self, call.dtype)
    return fn.prod(x, axes_of(dim, x.ndim), keepdims=keepdim) if x.ndim else x


@aten("amax")
def amax(call: Call, self: Node, dim: Any = (), keepdim: bool = False) -> Node:
    """Return the largest element over axes; equal ones share its gradient."""
    return fn.max(self, axes_of(dim, self.ndim), keepdims=keepdim) if self.ndim else self


@aten("amin")
def amin(call: Call, self: Node, dim: Any = (), keepdim: bool = False) -> Node:
    """Return the smallest element over axes; equal ones share its gradient."""
    return fn.min(self, axes_of(dim, self.ndim), keepdims=keepdim) if self.ndim else self


@aten("max")
def largest(call: Call, self: Node) -> Node:
    """Return the largest of all elements."""
    return fn.max(self) if self.ndim else self


@aten("min")
def smallest(call: Call, self: Node) -> Node:
    """Return the smallest of all elements."""
    return fn.min(self) if self.ndim else self


def _with_place(function: Any) -> Any:
    def rule(call: Call, self: Node, dim: int, keepdim: bool = False) -> tuple[Node, Node]:
        """Return the extreme along an axis, and where it is; the gradient goes there alone."""
        if not self.ndim:
            return self, call.graph.constant(np.int64(0))
        axis = axis_of(dim, self.ndim)
        place = function(self, axis=axis, keepdims=True)
        found = fn.take_along_axis(self, place, axis=axis)
        return (found, place) if keepdim else (fn.squeeze(found, axis), fn.squeeze(place, axis))

    return rule


aten("max.dim")(_with_place(fn.argmax))
aten("min.dim")(_with_place(fn.argmin))


@aten("aminmax")
def aminmax(call: Call, self: Node, dim: Any = None, keepdim: bool = False) -> tuple[Node, Node]:
    """Return the smallest and the largest element."""
    return amin(call, self, dim, keepdim), amax(call, self, dim, keepdim)


@aten("argmax")
def argmax(call: Call, self: Node, dim: int | None = None, keepdim: bool = False) -> Node:
    """Return where the largest element is."""
    return _place(call, fn.argmax, self, dim, keepdim)


@aten("argmin")
def argmin(call: Call, self: Node, dim: int | None = None, keepdim: bool = False) -> Node:
    """Return where the smallest element is."""
    return _place(call, fn.argmin, self, dim, keepdim)


def _place(call: Call, function: Any, x: Node, dim: int | None, keepdim: bool) -> Node:
    if not x.ndim:
        return call.graph.constant(np.int64(0))
    if dim is None:
        found = function(fn.reshape(x, (-1,)))
        return fn.reshape(found, (1,) * x.ndim) if keepdim else found
    return function(x, axis=axis_of(dim, x.ndim), keepdims=keepdim)  # type: ignore[no-any-return]


@aten("all")
def every(call: Call, self: Node, dim: Any = None, keepdim: bool = False) -> Node:
    """Return whether all elements are true."""
    x = cast(fn.not_equal(self, 0) if self.spec.dtype.kind != "b" else self, bool)
    return fn.all(x, axes_of(dim, x.ndim), keepdims=keepdim) if x.ndim else x


@aten("any")
def some(call: Call, self: Node, dim: Any = None, keepdim: bool = False) -> Node:
    """Return whether an element is true."""
    x = cast(fn.not_equal(self, 0) if self.spec.dtype.kind != "b" else self, bool)
    return fn.any(x, axes_of(dim, x.ndim), keepdims=keepdim) if x.ndim else x


@aten("count_nonzero")
def count_nonzero(call: Call, self: Node, dim: Any = None) -> Node:
    """Return how many elements are not 0."""
    return fn.sum(cast(fn.not_equal(self, 0), np.int64), axes_of(dim, self.ndim))


def variance_of(call: Call, x: Node, dim: Any, correction: Any, keepdim: bool) -> Node:
    """Return the variance over axes, of the sum of squares divided by their number less the correction."""
    ddof = 1 if correction is None else correction
    axes = axes_of(dim, x.ndim)
    if isinstance(ddof, float) and not ddof.is_integer():
        count = product(x.spec.shape[axis] for axis in axes)
        if isinstance(count, str):
            call.refuse(f"a correction of {ddof} of a size with a name")
        return fn.var(x, axes, keepdims=keepdim) * (count / (count - ddof))
    return fn.var(x, axes, keepdims=keepdim, ddof=int(ddof))


def _correction(unbiased: Any, correction: Any) -> Any:
    return int(unbiased) if unbiased is not None and correction is None else correction


@aten("var")
def var(
    call: Call, self: Node, dim: Any = None, unbiased: Any = None, correction: Any = None, keepdim: bool = False
) -> Node:
    """Return the variance over axes."""
    return variance_of(call, self, dim, _correction(unbiased, correction), keepdim)


@aten("std")
def std(
    call: Call, self: Node, dim: Any = None, unbiased: Any = None, correction: Any = None, keepdim: bool = False
) -> Node:
    """Return the standard deviation over axes; its gradient at 0 is 0."""
    return _deviation(call, self, dim, _correction(unbiased, correction), keepdim)


def _deviation(call: Call, x: Node, dim: Any, correction: Any, keepdim: bool) -> Node:
    ddof = 1 if correction is None else correction
    if float(ddof).is_integer():
        return fn.std(x, axes_of(dim, x.ndim), keepdims=keepdim, ddof=int(ddof))
    return fn.sqrt(variance_of(call, x, dim, correction, keepdim))


@aten("var_mean")
def var_mean(
    call: Call, self: Node, dim: Any = None, unbiased: Any = None, correction: Any = None, keepdim: bool = False
) -> tuple[Node, Node]:
    """Return the variance and the mean over axes."""
    found = variance_of(call, self, dim, _correction(unbiased, correction), keepdim)
    return found, fn.mean(self, axes_of(dim, self.ndim), keepdims=keepdim)


@aten("std_mean")
def std_mean(
    call: Call, self: Node, dim: Any = None, unbiased: Any = None, correction: Any = None, keepdim: bool = False
) -> tuple[Node, Node]:
    """Return the standard deviation and the mean over axes."""
    found = _deviation(call, self, dim, _correction(unbiased, correction), keepdim)
    return found, fn.mean(self, axes_of(dim, self.ndim), keepdims=keepdim)


@aten("logsumexp", "special_logsumexp")
def logsumexp(call: Call, self: Node, dim: Any, keepdim: bool = False) -> Node:
    """Return the logarithm of the sum of exponentials over axes."""
    x = cast(self, call.dtype)
    return fn.logsumexp(x, axes_of(dim, x.ndim), keepdims=keepdim) if x.ndim else x


@aten("norm", "linalg_vector_norm", "frobenius_norm", "linalg_norm")
def norm(
    call: Call, self: Node, p: Any = None, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Node:
    """Return the norm of vectors over axes, of any order; its gradient at 0 is 0."""
    order = p if p is not None else ord if ord is not None else 2
    x = cast(self, call.dtype)
    if call.op == "linalg_norm" and ord is not None and x.ndim > 1 and (dim is None or len(dim) > 1):
        call.refuse("the norm of a matrix of an order: write it by torch.linalg.vector_norm or sums")
    axes = axes_of(dim, x.ndim)
    if not x.ndim:
        return fn.abs(x)
    if order == math.inf:
        return fn.max(fn.abs(x), axes, keepdims=keepdim)
    if order == -math.inf:
        return fn.min(fn.abs(x), axes, keepdims=keepdim)
    if order == 0:
        return fn.sum(cast(fn.not_equal(x, 0), x.spec.dtype), axes, keepdims=keepdim)
    if order == 1:
        return fn.sum(fn.abs(x), axes, keepdims=keepdim)
    if len(axes) == 1 or (order == 2 and len(axes) == 2):
        return fn.norm(x, None if order == 2 else order, axis=axes, keepdims=keepdim)
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    kept = tuple(x.spec.shape[axis] for axis in rest)
    flat = fn.transpose(x, (*rest, *axes)) if rest else x
    flat = fn.reshape(flat, (*kept, product(x.spec.shape[axis] for axis in axes)))
    found = fn.norm(flat, None if order == 2 else order, axis=-1)
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.spec.shape))
    return fn.reshape(found, shape) if keepdim else found


@aten("cumsum")
def cumsum(call: Call, self: Node, dim: int, dtype: Any = None) -> Node:
    """Return the sums of the elements so far."""
    x = cast(self, call.dtype)
    return fn.cumsum(x, axis=axis_of(dim, x.ndim)) if x.ndim else x


@aten("cumprod")
def cumprod(call: Call, self: Node, dim: int, dtype: Any = None) -> Node:
    """Return the products of the elements so far."""
    x = cast(self, call.dtype)
    return fn.cumprod(x, axis=axis_of(dim, x.ndim)) if x.ndim else x


@aten("diff")
def diff(call: Call, self: Node, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Node:
    """Return the differences of neighbours."""
    axis = axis_of(dim, self.ndim)
    x = self
    if prepend is not None or append is not None:
        x = fn.concatenate([each for each in (prepend, x, append) if each is not None], axis=axis)
    before = (slice(None),) * axis
    for _ in range(n):
        later, earlier = fn.getitem(x, (*before, slice(1, None))), fn.getitem(x, (*before, slice(None, -1)))
        x = fn.not_equal(later, earlier) if x.spec.dtype.kind == "b" else later - earlier
    return x


def _so_far(call: Call, x: Node, axis: int, otherwise: float) -> Node:
    """Return, for each place of an axis, the elements up to it: they are the last axis, filled with another number."""
    size = x.spec.shape[axis]
    places = fn.arange(size, graph=call.graph)
    below = fn.less_equal(places, fn.expand_dims(places, 1))
    return fn.where(below, fn.expand_dims(fn.moveaxis(x, axis, -1), -2), call.node(otherwise, x.spec.dtype))


@aten("logcumsumexp")
def logcumsumexp(call: Call, self: Node, dim: int) -> Node:
    """Return the logarithms of the sums of exponentials so far, without overflow."""
    if not self.ndim:
        return self
    axis = axis_of(dim, self.ndim)
    return fn.moveaxis(fn.logsumexp(_so_far(call, self, axis, -np.inf), axis=-1), -1, axis)


def _running(call: Call, x: Node, dim: int, function: Any, worst: float) -> tuple[Node, Node]:
    if not x.ndim:
        return x, call.graph.constant(np.int64(0))
    axis = axis_of(dim, x.ndim)
    size = x.spec.shape[axis]
    if x.spec.dtype.kind == "b":
        x = cast(x, np.int64)
    if not is_float(x.spec.dtype):
        limits = np.iinfo(x.spec.dtype)
        worst = limits.min if worst < 0 else limits.max
    seen = fn.flip(_so_far(call, x, axis, worst), -1)  # of equal ones, the last counts
    last = fn.sum(fn.broadcast_to(call.graph.constant(np.int64(1)), (size,))) - 1
    place = fn.moveaxis(last - function(seen, axis=-1), -1, axis)
    return fn.take_along_axis(x, place, axis=axis), place


@aten("cummax")
def cummax(call: Call, self: Node, dim: int) -> tuple[Node, Node]:
    """Return the largest element so far, and where it is."""
    return _running(call, self, dim, fn.argmax, -np.inf)


@aten("cummin")
def cummin(call: Call, self: Node, dim: int) -> tuple[Node, Node]:
    """Return the smallest element so far, and where it is."""
    return _running(call, self, dim, fn.argmin, np.inf)
