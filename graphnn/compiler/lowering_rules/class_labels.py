"""Rules of what is picked and put by labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import class_labels as ops
from ...ops import indexing, scatter
from ...ops.base import axis_of
from .. import intermediate_representation as do
from ..intermediate_representation import DType, Result
from ..symbolic_sizes import unchecked
from .registry import called, rule

if TYPE_CHECKING:
    from ...core import Array
    from ..ir_builder import Builder
    from ..ir_values import Value

_INT64: DType = np.dtype(np.int64)


@rule(ops.Pick)
def pick(op: ops.Pick, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Take the elements at the labels' places."""
    x, labels = operands
    if not x.whole or not labels.whole or labels.dtype != _INT64:
        return called(op, build, result, operands)
    places = places_of(build, labels, x.shape[-1])
    flat = build.reshape(x, (x.size,))
    picked = build.call(do.Gather(), flat, places, result=Result(places.shape, result.dtype))
    return build.reshape(picked, result.shape)


@rule(ops.ScatterLabels)
def scatter_labels(op: ops.ScatterLabels, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Put the elements at the labels' places."""
    x, labels = operands
    number = x.repeats is not None and x.repeats.size == 1
    if not (x.whole or number) or not labels.whole or labels.dtype != _INT64:
        return called(op, build, result, operands)
    places = places_of(build, labels, int(op.classes))
    source = x.repeats if number and x.repeats is not None else x
    flat = build.reshape(source, (source.size,)) if source.shape else source
    placed = build.call(do.Scatter(), flat, places, result=Result((math.prod(result.shape),), result.dtype))
    return build.reshape(placed, result.shape)


@rule(indexing.Take, in_order=True)
def take(op: indexing.Take, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it takes."""
    axis = None if op.axis is None else axis_of(op.name, op.axis, len(operands[0].shape))
    return build.call(do.Taken(op.forward, op.name, False, axis), *_wide(build, operands), result=result)


@rule(indexing.IndexAdd, in_order=True)
def index_add(op: indexing.IndexAdd, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it adds."""
    axis = None if op.axis is None else axis_of(op.name, op.axis, len(result.shape))
    return build.call(do.Added(op.forward, op.name, False, axis), *_wide(build, operands), result=result)


def _wide(build: Builder, operands: Sequence[Value]) -> tuple[Value, Value]:
    """Write indices as int64, which all others fit into but uint64."""
    x, indices = operands
    if indices.dtype == _INT64 or not np.can_cast(indices.dtype, _INT64):
        return x, indices
    return x, build.each(do.Cast(), indices, result=Result(indices.shape, _INT64))


@rule(scatter.GatherNd, in_order=lambda op, operands: operands[0].whole)
def gather_nd(op: scatter.GatherNd, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Take slices of an array whose leading axes are one."""
    x, indices = _wide(build, operands)
    depth = indices.shape[-1]
    numbers = _numbers(build, indices, x.shape[:depth])
    if numbers is None or not x.whole:
        return called(op, build, result, operands)
    inside = build.reshape(x, (math.prod(x.shape[:depth]), *x.shape[depth:]))
    return take(indexing.Take(0), build, result, (inside, numbers))


@rule(scatter.ScatterNd, in_order=True)
def scatter_nd(op: scatter.ScatterNd, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Add slices to an array whose leading axes are one."""
    x, indices = _wide(build, operands)
    depth = indices.shape[-1]
    numbers = _numbers(build, indices, result.shape[:depth])
    if numbers is None:
        return called(op, build, result, operands)
    inside = math.prod(result.shape[:depth]), *result.shape[depth:]
    adding = unchecked(indexing.IndexAdd((), 0), shape=inside)
    return build.reshape(index_add(adding, build, Result(inside, result.dtype), (x, numbers)), result.shape)


def _numbers(build: Builder, indices: Value, front: Sequence[int]) -> Value | None:
    """Write which element of the leading axes each row of indices is, and their number where it is outside of one."""
    if not front or not indices.whole or indices.dtype != _INT64:
        return None
    shape = indices.shape[:-1]
    if len(front) == 1:
        return build.reshape(indices, shape)
    if build.settings.backend == "numpy":
        return None  # NumPy would go over them many times
    each, true = Result(shape, _INT64), Result(shape, np.dtype(bool))
    zero, number, outside = build.number(0, _INT64), None, None
    for axis, n in enumerate(front):
        place = build.view(do.Index((..., axis)), indices, shape)
        size = build.number(n, _INT64)
        from_end = build.ufunc(np.add, place, size, result=each)
        place = build.call(do.Select(), build.ufunc(np.less, place, zero, result=true), from_end, place, result=each)
        for beyond in (
            build.ufunc(np.less, place, zero, result=true),
            build.ufunc(np.greater_equal, place, size, result=true),
        ):
            outside = beyond if outside is None else build.ufunc(np.logical_or, outside, beyond, result=true)
        if number is not None:
            before = build.ufunc(np.multiply, number, size, result=each)
            place = build.ufunc(np.add, before, place, result=each)
        number = place
    assert outside is not None
    assert number is not None
    return build.call(do.Select(), outside, build.number(math.prod(front), _INT64), number, result=each)


def places_of(build: Builder, labels: Value, classes: int) -> Value:
    """Write where the labels' elements lie in rows of classes; nodes of the same labels share it."""
    each = Result((labels.size,), _INT64)
    starts = build.made(_starts, labels.size, classes, result=each, name="starts", of=classes)
    flat = build.reshape(labels, (labels.size,))
    known = build.check(do.Check(classes, ops.codes_of), flat) if labels.size else flat
    return build.ufunc(np.add, known, starts, result=each)


def _starts(count: int, classes: int) -> Array:
    return np.arange(count) * classes
