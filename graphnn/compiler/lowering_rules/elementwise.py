"""Rules of what is computed of each element by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import elementwise as ops
from .. import intermediate_representation as do
from ..elementwise_tracing import traced
from ..intermediate_representation import Result
from ..memory_order import order_of_result, turned, turned_back
from .registry import called, rule

if TYPE_CHECKING:
    from ..ir_builder import Builder
    from ..ir_values import Value


def in_another_order(op: ops.Elementwise, build: Builder, result: Result, operands: Sequence[Value]) -> Value | None:
    """Write it with the axes in the order in which the value lies."""
    order = order_of_result(op.forward, operands, result.shape)
    if order is None:
        return None
    shape = tuple(result.shape[axis] for axis in order)
    value = elementwise(op, build, Result(shape, result.dtype), [turned(build, x, order) for x in operands])
    return None if isinstance(value.how, do.Call) else turned_back(build, value, order)


@rule(ops.Elementwise, turned=in_another_order)
def elementwise(op: ops.Elementwise, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write what `forward` does, found by running it once on tracers; a call where that is not found so."""
    forward = type(op).forward
    if isinstance(forward, np.ufunc):
        return build.ufunc(forward, *operands, result=result)
    found = traced(op, build, operands, result)
    return called(op, build, result, operands) if found is None else found
