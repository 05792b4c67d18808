"""Rules of what is computed of each element by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ops import elementwise as ops
from ..elementwise_tracing import traced
from .registry import called, rule

if TYPE_CHECKING:
    from ..intermediate_representation import Result
    from ..ir_builder import Builder
    from ..ir_values import Value


@rule(ops.Elementwise)
def elementwise(op: ops.Elementwise, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write what `forward` does, found by running it once on tracers; a call where that is not found so."""
    forward = type(op).forward
    if isinstance(forward, np.ufunc):
        return build.ufunc(forward, *operands, result=result)
    found = traced(op, build, operands, result)
    return called(op, build, result, operands) if found is None else found
