"""Rules of what takes elements by indices or labels, and of what puts them back.

JAX takes the nearest element where an index is out of range. Here that is refused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops.base import axis_of
from ..library import jnp, lax
from .registry import rule

if TYPE_CHECKING:
    from ..tracing import Tracing


def _places(tracing: Tracing, indices: Any, n: int) -> Any:
    """Return indices into an axis of n elements, counted from the front."""
    indices = indices.astype(np.int64)
    tracing.refuse((indices < -n) | (indices >= n))
    return jnp.where(indices < 0, indices + n, indices)


def _along(tracing: Tracing, shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """Return an index into an array of a shape: indices along an axis, each element's own place elsewhere."""
    own = [np.arange(n).reshape([-1 if k == i else 1 for k in range(len(shape))]) for i, n in enumerate(shape)]
    return (*own[:axis], _places(tracing, indices, shape[axis]), *own[axis + 1 :])


def _added(zeros: Any, index: Any, x: Any) -> Any:
    at = zeros.at[index]
    return at.max(x) if x.dtype == bool else at.add(x)


@rule("take", refuses=True)
def _take(op: Any, tracing: Tracing, x: Any, indices: Any) -> Any:
    x = x.reshape(-1) if op.axis is None else x
    axis = op.axis or 0
    return jnp.take(x, _places(tracing, indices, x.shape[axis]), axis)


@rule("index_add", refuses=True)
def _index_add(op: Any, tracing: Tracing, x: Any, indices: Any) -> Any:
    shape = (math.prod(op.shape),) if op.axis is None else op.shape
    axis = axis_of(op.name, op.axis or 0, len(shape))
    places = _places(tracing, indices, shape[axis])
    return _added(jnp.zeros(shape, x.dtype), (*[slice(None)] * axis, places), x).reshape(op.shape)


@rule("take_along_axis", refuses=True)
def _take_along_axis(op: Any, tracing: Tracing, x: Any, indices: Any) -> Any:
    if op.axis is None:
        return x.reshape(-1)[_places(tracing, indices, x.size)]
    return x[_along(tracing, x.shape, indices, op.axis % x.ndim)]


@rule("add_along_axis", refuses=True)
def _add_along_axis(op: Any, tracing: Tracing, x: Any, indices: Any) -> Any:
    shape = (math.prod(op.shape),) if op.axis is None else op.shape
    index = _along(tracing, shape, indices, (op.axis or 0) % len(shape))
    return _added(jnp.zeros(shape, x.dtype), index, x).reshape(op.shape)


def _several(tracing: Tracing, indices: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(_places(tracing, indices[..., axis], shape[axis]) for axis in range(indices.shape[-1]))


@rule("gather_nd", refuses=True)
def _gather_nd(op: Any, tracing: Tracing, x: Any, indices: Any) -> Any:
    if not indices.shape[-1]:
        return jnp.broadcast_to(x, (*indices.shape[:-1], *x.shape))
    return x[_several(tracing, indices, x.shape)]


@rule("scatter_nd", refuses=True)
def _scatter_nd(op: Any, tracing: Tracing, x: Any, indices: Any) -> Any:
    if not indices.shape[-1]:
        return jnp.sum(x, tuple(range(indices.ndim - 1)), dtype=x.dtype)
    return _added(jnp.zeros(op.shape, x.dtype), _several(tracing, indices, op.shape), x)


@rule("maximum_along_axis", "minimum_along_axis", "multiply_along_axis", refuses=True)
def _gathering(op: Any, tracing: Tracing, x: Any, indices: Any, values: Any) -> Any:
    dtype = np.result_type(x.dtype, values.dtype)
    if dtype.kind == "b":  # of which the product is the smaller one
        found = x.astype(np.int8).at[_along(tracing, x.shape, indices, op.axis % x.ndim)]
        return (found.max if op.name.startswith("max") else found.min)(values.astype(np.int8))
    at = x.astype(dtype).at[_along(tracing, x.shape, indices, op.axis % x.ndim)]
    return {"maximum": at.max, "minimum": at.min, "multiply": at.multiply}[op.name.split("_")[0]](values.astype(dtype))


@rule("put_along_axis", refuses=True)
def _put_along_axis(op: Any, tracing: Tracing, x: Any, indices: Any, values: Any) -> Any:
    # The last of an index counts, and in which order XLA writes is open: so first, which one is the last.
    dtype, axis = np.result_type(x.dtype, values.dtype), op.axis % x.ndim
    index = _along(tracing, x.shape, indices, axis)
    shape = (*x.shape[:axis], indices.shape[axis], *x.shape[axis + 1 :])
    if not math.prod(shape):
        return x
    places = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    last = jnp.full(x.shape, -1, np.int64).at[index].max(places)
    found = jnp.take_along_axis(jnp.broadcast_to(values.astype(dtype), shape), jnp.maximum(last, 0), axis)
    return jnp.where(last < 0, x.astype(dtype), found)


@rule("update_slice", refuses=True)
def _update_slice(op: Any, tracing: Tracing, x: Any, update: Any, start: Any) -> Any:
    dtype, n, count = np.result_type(x.dtype, update.dtype), x.shape[op.axis], update.shape[op.axis]
    start = start.astype(np.int64)
    first = jnp.where(start < 0, start + n, start)
    tracing.refuse((first < 0) | (first > n - count))
    return lax.dynamic_update_slice_in_dim(x.astype(dtype), update.astype(dtype), first, op.axis)


# --- by labels ------------------------------------------------------------------------------------------------------


def _codes(tracing: Tracing, labels: Any, classes: int) -> Any:
    tracing.refuse((labels < 0) | (labels >= classes))
    return labels.astype(np.int64)


@rule("one_hot", refuses=True)
def _one_hot(op: Any, tracing: Tracing, labels: Any) -> Any:
    return _codes(tracing, labels, int(op.depth))[..., None] == np.arange(int(op.depth))


@rule("pick", refuses=True)
def _pick(op: Any, tracing: Tracing, x: Any, labels: Any) -> Any:
    return jnp.take_along_axis(x, _codes(tracing, labels, x.shape[-1])[..., None], -1)[..., 0]


@rule("scatter_labels", refuses=True)
def _scatter_labels(op: Any, tracing: Tracing, x: Any, labels: Any) -> Any:
    is_there = _codes(tracing, labels, int(op.classes))[..., None] == np.arange(int(op.classes))
    return jnp.where(is_there, x[..., None], np.zeros((), x.dtype))
