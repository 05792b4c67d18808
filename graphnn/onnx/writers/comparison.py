"""Comparisons, logic, and the choice between values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops import comparison as ops
from .arithmetic import promoted, to_result
from .group import BOOL, WRITERS, Group, writes

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value


def _extremum(kind: str, of_bools: str) -> Any:
    def write(g: Group, op: Op, x: Value, y: Value) -> Value:
        x, y = promoted(g, x, y)
        return g(of_bools if x.dtype == BOOL else kind, x, y)

    return write


WRITERS[ops.Maximum] = _extremum("Max", "Or")
WRITERS[ops.Minimum] = _extremum("Min", "And")


@writes(ops.Clip)
def _clip(g: Group, op: Any, x: Value) -> Value:
    (x,) = to_result(g, x)
    bounds: Sequence[tuple[str, Any]] = (("Max", op.lo), ("Min", op.hi))
    for kind, bound in bounds:
        if bound is not None and not _is_open(x.dtype, kind, bound):
            x = g(kind, x, g.constant(np.asarray(bound).astype(x.dtype)))
    return x


def _is_open(dtype: np.dtype[Any], kind: str, bound: float) -> bool:
    """Return whether a bound is beyond all integers of a dtype."""
    if dtype.kind not in "iu":
        return False
    return bound < np.iinfo(dtype).min if kind == "Max" else bound > np.iinfo(dtype).max


@writes(ops.Where)
def _where(g: Group, op: Op, condition: Value, x: Value, y: Value) -> Value:
    x, y = to_result(g, x, y)
    return g.where(g.cast(condition, BOOL), x, y)


def _comparison(kind: str) -> Any:
    def write(g: Group, op: Op, x: Value, y: Value) -> Value:
        if {x.dtype.kind, y.dtype.kind} == {"i", "u"} and 8 in (x.dtype.itemsize, y.dtype.itemsize):
            return _signs_apart(g, kind, x, y)
        x, y = promoted(g, x, y)
        if x.dtype == BOOL and kind != "Equal":
            x, y = g.cast(x, np.int32), g.cast(y, np.int32)
        return g(kind, x, y)

    return write


def _signs_apart(g: Group, kind: str, x: Value, y: Value) -> Value:
    """Compare signed with unsigned integers: as unsigned ones, unless one is below 0."""
    found = g(kind, g.cast(x, np.uint64), g.cast(y, np.uint64))
    signed = x if x.dtype.kind == "i" else y
    below = g("Less", signed, g.like(signed, 0))
    says = kind.startswith("Less") if signed is x else kind.startswith("Greater")
    return g("Or", found, below) if says else g("And", found, g("Not", below))


WRITERS[ops.Equal] = _comparison("Equal")
WRITERS[ops.Less] = _comparison("Less")
WRITERS[ops.LessEqual] = _comparison("LessOrEqual")
WRITERS[ops.Greater] = _comparison("Greater")
WRITERS[ops.GreaterEqual] = _comparison("GreaterOrEqual")


@writes(ops.NotEqual)
def _not_equal(g: Group, op: Op, x: Value, y: Value) -> Value:
    return g("Not", WRITERS[ops.Equal](g, op, x, y))


def _logic(kind: str) -> Any:
    return lambda g, op, *operands: g(kind, *[g.cast(x, BOOL) for x in operands])


WRITERS[ops.LogicalAnd] = _logic("And")
WRITERS[ops.LogicalOr] = _logic("Or")
WRITERS[ops.LogicalXor] = _logic("Xor")
WRITERS[ops.LogicalNot] = _logic("Not")


@writes(ops.IsNan)
def _isnan(g: Group, op: Op, x: Value) -> Value:
    return g("IsNaN", x) if x.dtype.kind == "f" else _nowhere(g, x)


@writes(ops.IsInf)
def _isinf(g: Group, op: Op, x: Value) -> Value:
    return is_infinite(g, x) if x.dtype.kind == "f" else _nowhere(g, x)


@writes(ops.IsFinite)
def _isfinite(g: Group, op: Op, x: Value) -> Value:
    return is_finite(g, x) if x.dtype.kind == "f" else g("Not", _nowhere(g, x))


def is_infinite(g: Group, x: Value) -> Value:
    """Return whether a float is infinite."""
    return g("Equal", g("Abs", x), g.like(x, np.inf))


def is_finite(g: Group, x: Value) -> Value:
    """Return whether a float is neither infinite nor NaN."""
    return g("Less", g("Abs", x), g.like(x, np.inf))


def _nowhere(g: Group, x: Value) -> Value:
    return g("Not", g("Equal", x, x))


@writes(ops.FirstOccurrence)
def _first_occurrence(g: Group, op: Any, x: Value, y: Value) -> Value:
    dims, axes = g.dims(0), op.over(len(g.dims(0)))
    if x.dtype != y.dtype:
        both = np.result_type(x.dtype, y.dtype)
        x, y = g.cast(x, both), g.cast(y, both)
    equal = g("Equal", x, y)
    if x.dtype.kind == "f":
        equal = g("Or", equal, g("And", g("IsNaN", x), g("IsNaN", y)))
    if not axes:
        return equal
    place = None  # of each element along the axes, counted in order
    for axis in axes:
        along = g.unsqueeze(g.range(dims[axis]), *[i for i in range(len(dims)) if i != axis])
        if place is not None:
            along = g.add(g.multiply(place, g.draft.scalar(dims[axis])), along)
        place = along
    assert place is not None
    found = g.where(equal, place, 2**62)
    return g("And", equal, g("Equal", place, g.reduce("ReduceMin", found, axes, keepdims=True)))
