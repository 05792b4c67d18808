"""Rules of what is picked and put by labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import index
from ...ops import labels as ops
from ...ops.base import axis_of
from .. import instructions as do
from ..instructions import DType, Result
from .registry import called, rule

if TYPE_CHECKING:
    from ...graph import Array
    from ..builder import Builder
    from ..values import Value

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


@rule(ops.Place)
def place(op: ops.Place, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
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


@rule(index.Take, in_order=True)
def take(op: index.Take, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it takes."""
    axis = None if op.axis is None else axis_of(op.name, op.axis, len(operands[0].shape))
    return build.call(do.Taken(op.forward, op.name, False, axis), *operands, result=result)


@rule(index.IndexAdd, in_order=True)
def index_add(op: index.IndexAdd, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write a call of `forward`, and along which axis it adds."""
    axis = None if op.axis is None else axis_of(op.name, op.axis, len(result.shape))
    return build.call(do.Added(op.forward, op.name, False, axis), *operands, result=result)


def places_of(build: Builder, labels: Value, classes: int) -> Value:
    """Write where the labels' elements lie in rows of classes; nodes of the same labels share it."""
    each = Result((labels.size,), _INT64)
    starts = build.made(_starts, labels.size, classes, result=each, name="starts", of=classes)
    flat = build.reshape(labels, (labels.size,))
    known = build.check(do.Check(classes, ops.codes_of), flat) if labels.size else flat
    return build.ufunc(np.add, known, starts, result=each)


def _starts(count: int, classes: int) -> Array:
    return np.arange(count) * classes
