"""Calls of the loops that go along an axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..compiler import intermediate_representation as do
from .llvm import engine
from .llvm_axis_loops import adding, position
from .llvm_runtime import own_loops
from .loop_tables import Call, Pointer
from .ufunc_addresses import loop_of
from .work_list import sizes_along

if TYPE_CHECKING:
    from ..compiler.ir_values import Value


def calls_along(value: Value, operands: Sequence[Pointer], out: Pointer) -> Iterator[Call]:
    """Yield the calls that compute a value along an axis."""
    sizes, size = sizes_along(value), value.dtype.itemsize
    assert sizes is not None
    outer, n, inner = sizes
    match value.how:
        case do.Locate(largest=largest):
            (address,) = engine().functions([position(value.operands[0].dtype.char, largest)])
            yield Call(address, (operands[0], out), sizes, ())
        case do.Running():
            found = loop_of(np.add, (value.dtype,) * 3)
            assert found is not None
            yield Call(own_loops()["running"], (operands[0], out), sizes, (), (found.address, found.data, size))
        case do.Taken():
            slices = outer, n, inner * size, value.operands[1].size
            yield Call(own_loops()["take"], (*operands, out), slices, (), None)
        case do.Added():
            (address,) = engine().functions([adding(value.dtype.char)])
            yield Call(own_loops()["fill0"], (out,), (value.nbytes,), ())
            yield Call(address, (*operands, out), (*sizes, value.operands[1].size), (), None)
        case do.Written(axis=int(axis)):
            slices = outer, n, inner * size, value.operands[1].shape[axis]
            yield Call(own_loops()["write"], (*operands, out), slices, (), None)
