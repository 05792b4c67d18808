"""Operations over axes, running ones too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.symbolic_shapes import product, subtract
from ...ops import cumulative
from ...ops import reductions as ops
from ...ops.base import axis_of
from .arithmetic import in_float32, to_result
from .comparison import is_finite
from .convolutions import pooled
from .group import BOOL, WRITERS, Group, writes

if TYPE_CHECKING:
    from ...core import Dim
    from .draft import Value


def _over(g: Group, op: Any) -> tuple[int, ...]:
    return tuple(sorted(op.over(len(g.dims(0)))))


def count_of(g: Group, dims: Sequence[Dim], dtype: Any) -> Value:
    """Return the number of elements of a shape."""
    whole = product(dims)
    if isinstance(whole, int):
        return g.constant(np.asarray(whole).astype(dtype))
    return g.cast(g.draft.scalar(whole), dtype)


def _count(g: Group, op: Any, dtype: Any) -> Value:
    return count_of(g, [g.dims(0)[axis] for axis in _over(g, op)], dtype)


@writes(ops.Sum)
def _sum(g: Group, op: Any, x: Value) -> Value:
    if x.dtype.kind == "f" and (total := pooled(g, "Sum", _over(g, op))) is not None:
        return total
    (x,) = to_result(g, x)
    return g.reduce("ReduceSum", x, _over(g, op), op.keepdims)


@writes(ops.Prod)
def _prod(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    return g.reduce("ReduceProd", x, _over(g, op), op.keepdims)


@writes(ops.Mean)
def _mean(g: Group, op: Any, x: Value) -> Value:
    if x.dtype.kind == "f" and (total := pooled(g, "Sum", _over(g, op))) is not None:
        return g.divide(total, g.cast(_count(g, op, np.int64), x.dtype))
    return _mean_of(g, op, to_result(g, x)[0], op.keepdims)


def _mean_of(g: Group, op: Any, x: Value, keepdims: bool) -> Value:
    axes = _over(g, op)
    count = product(g.dims(0)[axis] for axis in axes)
    if isinstance(count, int) and count and axes:
        return g.reduce("ReduceMean", x, axes, keepdims)
    wide = in_float32(g, x)
    return g.cast(g.divide(g.reduce("ReduceSum", wide, axes, keepdims), _count(g, op, wide.dtype)), x.dtype)


# --- the largest and the smallest ------------------------------------------------------------------------------------


def extremum(g: Group, kind: str, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
    """Return the largest or the smallest; NaN where there is one, which ONNX Runtime does not promise."""
    if not axes:
        return x
    ordered = in_order(g, x)
    found = _out_of_order(g, g.reduce(kind, ordered, axes, keepdims), x.dtype)
    if x.dtype.kind != "f":
        return found
    lost = g.reduce("ReduceMax", g.cast(g("IsNaN", x), np.float32), axes, keepdims)
    return g.where(g.cast(lost, BOOL), g.like(x, np.nan), found)


_MIDDLE = 2**63


def in_order(g: Group, x: Value) -> Value:
    """Return uint64 as int64 of the same order; ONNX Runtime orders no uint64."""
    return g.cast(g.add(x, _MIDDLE), np.int64) if x.dtype == np.uint64 else x


def _out_of_order(g: Group, x: Value, dtype: np.dtype[Any]) -> Value:
    return g.add(g.cast(x, dtype), _MIDDLE) if dtype == np.uint64 else x


def _extremum(kind: str) -> Any:
    def write(g: Group, op: Any, x: Value) -> Value:
        axes = _over(g, op)
        found = pooled(g, kind.removeprefix("Reduce"), axes) if x.dtype.kind != "b" else None
        return extremum(g, kind, x, axes, op.keepdims) if found is None else found

    return write


WRITERS[ops.Max] = _extremum("ReduceMax")
WRITERS[ops.Min] = _extremum("ReduceMin")


def _position(kind: str) -> Any:
    def write(g: Group, op: Any, x: Value) -> Value:
        ndim = len(g.dims(0))
        x = in_order(g, x)
        if op.axis is None:
            x = g.flat(x)
        axis = 0 if op.axis is None else op.axis % ndim
        if x.dtype.kind == "f":  # the first NaN, if there is one
            lost = g("IsNaN", x)
            ones = g.cast(lost, np.float32)
            any_lost = g.cast(g.reduce("ReduceMax", ones, [axis], keepdims=True), BOOL)
            x = g.where(any_lost, g.cast(ones if kind == "ArgMax" else g.cast(g("Not", lost), np.float32), x.dtype), x)
        if op.axis is not None:
            return g(kind, x, axis=axis, keepdims=int(op.keepdims))
        found = g(kind, x, axis=0, keepdims=int(op.keepdims))
        return g.reshape(found, (1,) * ndim) if op.keepdims and ndim != 1 else found

    return write


WRITERS[ops.Argmax] = _position("ArgMax")
WRITERS[ops.Argmin] = _position("ArgMin")


# --- what is composed -----------------------------------------------------------------------------------------------


def _moment(g: Group, op: Any, x: Value) -> Value:
    axes = _over(g, op)
    (x,) = to_result(g, x)
    wide = in_float32(g, x)
    apart = g.subtract(wide, _mean_of(g, op, wide, keepdims=True))
    total = g.reduce("ReduceSum", g("Mul", apart, apart), axes, op.keepdims)
    count = product(g.dims(0)[axis] for axis in axes)
    if isinstance(count, int) and count <= op.ddof:
        return g.multiply(total, math.nan)
    left = subtract(count, op.ddof)
    share = g.divide(total, g.cast(g.draft.scalar(left), wide.dtype) if isinstance(left, str) else left)
    if isinstance(left, int):
        return share
    return g.where(g("Greater", g.draft.scalar(left), g.constant(0, np.int64)), share, math.nan)


@writes(ops.Var)
def _var(g: Group, op: Any, x: Value) -> Value:
    return g.cast(_moment(g, op, x), g.node.dtype)


@writes(ops.Std)
def _std(g: Group, op: Any, x: Value) -> Value:
    return g.cast(g("Sqrt", _moment(g, op, x)), g.node.dtype)


@writes(ops.Logsumexp)
def _logsumexp(g: Group, op: Any, x: Value) -> Value:
    axes = _over(g, op)
    (x,) = to_result(g, x)
    wide = in_float32(g, x)
    largest = extremum(g, "ReduceMax", wide, axes, keepdims=True)
    shift = g.where(is_finite(g, largest), largest, 0)
    total = g.reduce("ReduceSum", g("Exp", g.subtract(wide, shift)), axes, keepdims=True)
    found = g.add(g("Log", total), shift)
    return g.cast(found if op.keepdims else g.squeeze(found, *axes), x.dtype)


@writes(ops.AnyOf)
def _any_of(g: Group, op: Any, x: Value) -> Value:
    return g.cast(_holding(g, op, g.cast(x, BOOL)), BOOL)


@writes(ops.AllOf)
def _all_of(g: Group, op: Any, x: Value) -> Value:
    return g("Not", g.cast(_holding(g, op, g("Not", g.cast(x, BOOL))), BOOL))


def _holding(g: Group, op: Any, x: Value) -> Value:
    """Return of how many elements it holds."""
    return g.reduce("ReduceSum", g.cast(x, np.int64), _over(g, op), op.keepdims)


@writes(ops.Norm)
def _norm(g: Group, op: Any, x: Value) -> Value:
    axes = _over(g, op)
    (x,) = to_result(g, x)
    wide = in_float32(g, x)
    return g.cast(_norm_of(g, op, wide, axes), x.dtype)


def _norm_of(g: Group, op: Any, x: Value, axes: tuple[int, ...]) -> Value:
    if op.ord is None or op.ord == 2:
        return g("Sqrt", g.reduce("ReduceSum", g("Mul", x, x), axes, op.keepdims))
    size = g("Abs", x)
    if math.isinf(op.ord):
        return extremum(g, "ReduceMax" if op.ord > 0 else "ReduceMin", size, axes, op.keepdims)
    if op.ord == 1:
        return g.reduce("ReduceSum", size, axes, op.keepdims)
    total = g.reduce("ReduceSum", g("Pow", size, g.like(x, op.ord)), axes, op.keepdims)
    return g("Pow", total, g.like(x, 1 / op.ord))


# --- products and sums on the way -----------------------------------------------------------------------------------


@writes(cumulative.Cumsum)
def _cumsum(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    if op.axis is None:
        return g("CumSum", g.flat(x), g.constant(0, np.int64))
    return g("CumSum", x, g.constant(axis_of(op.name, op.axis, len(g.dims(0))), np.int64))


@writes(cumulative.Cumprod)
def _cumprod(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    dims = g.dims(0)
    if op.axis is None:
        return _products(g, g.flat(x), (product(dims),), 0, "LessOrEqual")
    return _products(g, x, dims, axis_of(op.name, op.axis, len(dims)), "LessOrEqual")


@writes(ops.ProdOthers)
def _prod_others(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    return _products(g, x, g.dims(0), axis_of(op.name, op.axis, len(g.dims(0))), "")


def _products(g: Group, x: Value, dims: Sequence[Dim], axis: int, how: str) -> Value:
    """Return for each place along an axis the product of the elements whose places are so to it: by default others."""
    places = g.range(dims[axis])
    factor, place = g.unsqueeze(places, 0), g.unsqueeze(places, 1)
    taken = g(how, factor, place) if how else g("Not", g("Equal", factor, place))
    taken = g.unsqueeze(taken, *range(2, len(dims) - axis + 1))
    factors = g.where(taken, g.unsqueeze(x, axis), g.like(x, 1))
    return g.reduce("ReduceProd", factors, [axis + 1])
