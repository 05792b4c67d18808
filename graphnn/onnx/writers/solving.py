"""Equations with matrices, by loops over their columns, since ONNX has no operation for them.

A matrix that a run refuses gives NaN or infinity here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import linear_solve as ops
from .arithmetic import to_result
from .group import F4, Group, writes

if TYPE_CHECKING:
    from ...core import Dim, Op
    from .draft import Value


def _eliminated(g: Group, x: Value, size: Dim, ndim: int) -> Value:
    """Return matrices whose first columns, as many as there are rows, are turned into an identity (Gauss-Jordan)."""
    rows = g.range(size)

    def step(k: Value, carried: Sequence[Value]) -> list[Value]:
        x, _ = _pivoted(g, carried[0], rows, k, ndim)
        is_k = g("Equal", rows, k)
        column, row = g("Gather", x, k, axis=ndim - 1), g("Gather", x, k, axis=ndim - 2)
        row = g.unsqueeze(g.divide(row, g.unsqueeze(g("Gather", column, k, axis=ndim - 2), ndim - 2)), ndim - 2)
        rest = g.subtract(x, g("Mul", g.unsqueeze(g.where(is_k, g.like(x, 0), column), ndim - 1), row))
        return [g.where(g.unsqueeze(is_k, 1), row, rest)]

    return g.loop(size, [x], step)[0]


def _pivoted(g: Group, x: Value, rows: Value, k: Value, ndim: int) -> tuple[Value, Value]:
    """Return matrices with the row in the place of row k that has the largest element there; and which it was."""
    column = g("Gather", x, k, axis=ndim - 1)
    left = g.where(g("GreaterOrEqual", rows, k), g("Abs", column), g.like(x, -1))
    pivot = g("ArgMax", left, axis=ndim - 2, keepdims=1)
    order = g.where(g("Equal", rows, k), pivot, g.where(g("Equal", rows, pivot), k, rows))
    order = g("Expand", g.unsqueeze(order, ndim - 1), g("Shape", x))
    return g("GatherElements", x, order, axis=ndim - 2), pivot


def _solved(g: Group, a: Value, b: Value, size: Dim, ndim: int) -> Value:
    both = g("Concat", a, b, axis=ndim - 1)
    return g.slice(_eliminated(g, both, size, ndim), [(ndim - 1, size, None, 1)])


@writes(ops.Solve)
def _solve(g: Group, op: Op, a: Value, b: Value) -> Value:
    a, b = to_result(g, a, b)
    size, shape = g.dims(0)[-1], list(g.node.spec.shape)
    is_vector = len(g.dims(1)) == 1
    if is_vector:
        b, shape = g.unsqueeze(b, 1), [*shape, 1]
    a, b = g.expand(a, (*shape[:-2], size, size)), g.expand(b, shape)
    found = _solved(g, a, b, size, len(shape))
    return g.squeeze(found, len(shape) - 1) if is_vector else found


@writes(ops.Inv)
def _inv(g: Group, op: Op, x: Value) -> Value:
    (x,) = to_result(g, x)
    dims = g.dims(0)
    places = g.range(dims[-1])
    eye = g.cast(g("Equal", g.unsqueeze(places, 0), g.unsqueeze(places, 1)), x.dtype)
    return _solved(g, x, g.expand(eye, dims), dims[-1], len(dims))


@writes(ops.Det)
def _det(g: Group, op: Op, x: Value) -> Value:
    (x,) = to_result(g, x)
    if x.dtype == F4:
        return g("Det", x)
    dims, ndim = g.dims(0), len(g.dims(0))
    rows = g.range(dims[-1])

    def step(k: Value, carried: Sequence[Value]) -> list[Value]:
        x, pivot = _pivoted(g, carried[0], rows, k, ndim)
        column, row = g("Gather", x, k, axis=ndim - 1), g("Gather", x, k, axis=ndim - 2)
        lead = g("Gather", column, k, axis=ndim - 2)
        safe = g.unsqueeze(g.where(g("Equal", lead, g.like(x, 0)), g.like(x, 1), lead), ndim - 2)
        below = g.where(g("Greater", rows, k), g.divide(column, safe), 0)
        rest = g.subtract(x, g("Mul", g.unsqueeze(below, ndim - 1), g.unsqueeze(row, ndim - 2)))
        stays = g.squeeze(g("Equal", pivot, k), ndim - 2)
        return [rest, g("Mul", carried[1], g.where(stays, lead, g("Neg", lead)))]

    return g.loop(dims[-1], [x, g.filled(dims[:-2], np.ones(1, x.dtype))], step)[1]


@writes(ops.Cholesky)
def _cholesky(g: Group, op: Op, x: Value) -> Value:
    (x,) = to_result(g, x)
    dims, ndim = g.dims(0), len(g.dims(0))
    turned = g.transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))
    even = g.divide(g.add(x, turned), 2)
    rows = g.range(dims[-1])

    def step(k: Value, carried: Sequence[Value]) -> list[Value]:
        (found,) = carried
        row = g.unsqueeze(g("Gather", found, k, axis=ndim - 2), ndim - 1)
        known = g.squeeze(g("MatMul", found, row), ndim - 1)
        column = g.subtract(g("Gather", even, k, axis=ndim - 1), known)
        root = g.unsqueeze(g("Sqrt", g("Gather", column, k, axis=ndim - 2)), ndim - 2)
        column = g.where(g("GreaterOrEqual", rows, k), g.divide(column, root), 0)
        return [g.where(g("Equal", rows, k), g.unsqueeze(column, ndim - 1), found)]

    return g.loop(dims[-1], [g.zeros(dims, x.dtype)], step)[0]
