"""How long loops are expected to take: from what this machine does in a second, measured when it is first asked for.

The estimate knows how many bytes a loop moves, whether they stay in a cache, and how many operations it takes. It does
not know what else is in the cache, nor what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .._util.numpy_warnings import quietly
from ..compiler import intermediate_representation as do
from .llvm_reductions import own_reduction
from .ufunc_addresses import drawn
from .work_list import reduced

if TYPE_CHECKING:
    from ..compiler.intermediate_representation import DType
    from ..compiler.ir_values import Value
    from .work_list import Work

_REPEATS = 5
_CACHED, _COPIED, _COUNT = 2**20, 2**25, 2**15
"""Bytes up to which a loop finds its arrays in a cache; those of a copy that does not; elements of a trial."""
_CALL = 2e-8
"""Seconds of a call of a loop."""


def _least(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the least seconds that a call takes."""
    found = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function(*arguments)
        found = min(found, time.perf_counter() - start)
    return found


@cache
def bandwidth(nbytes: int) -> float:
    """Return the bytes that are read and written in a second by a copy of so many bytes."""
    x = np.ones(nbytes // 2, np.uint8)
    out = np.ones_like(x)
    return nbytes / _least(np.copyto, out, x)


@cache
def multiplications(dtype: DType) -> float:
    """Return the multiplications of a second in a product of matrices, with the threads that BLAS is set to."""
    n = 384
    x = np.ones((n, n), dtype)
    return n**3 / _least(np.matmul, x, x, np.empty_like(x))


@cache
def seconds_of(ufunc: np.ufunc, dtype: DType, reduces: bool = False) -> float:
    """Return the seconds that a function takes for an element."""
    operands = [np.abs(drawn(dtype, _COUNT, seed)) for seed in range(1 if reduces else ufunc.nin)]
    return _least(quietly, ufunc.reduce if reduces else ufunc, *operands) / _COUNT


def expected(work: Work, moved: int, cached: int) -> float | None:
    """Return the seconds that a work is expected to take on one thread, or None where it is a call from Python.

    Parameters
    ----------
    work : Work
    moved, cached : int
        The bytes that it reads and writes, and those of them that are in a cache in any case.
    """
    if work.how == "python":
        return None
    if moved <= _CACHED:
        cached = moved
    moving = cached / bandwidth(_CACHED // 4) + (moved - cached) / bandwidth(_COPIED)
    return _CALL + max(moving, sum(_computing(value, work.how) for value in work.values))


def _computing(value: Value, how: str) -> float:
    match value.how:
        case do.Product():
            return value.size * value.operands[0].shape[-1] / multiplications(value.dtype)
        case do.Ufunc(ufunc, loop) if how == "loop" or ufunc in _SLOW:
            return value.size * seconds_of(ufunc, loop[0])
        case do.Reduce(ufunc):
            outer, n, inner = reduced(value) or (0, 0, 0)
            if not outer or own_reduction(ufunc, value.dtype, inner == 1):
                return value.operands[0].nbytes / bandwidth(_COUNT)
            return outer * (_CALL + n * inner * seconds_of(ufunc, value.dtype, reduces=True))
    return value.nbytes / bandwidth(_COUNT)  # an operation on a register takes as long as to read and write it


_SLOW = (np.divide, np.reciprocal, np.sqrt)
"""What a kernel computes, but not in a cycle or so."""
