"""The arguments of a comparison, checked."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..._util.text import short_repr
from ...compiler.backends import BACKENDS
from ...core import dtype_named, is_bfloat16
from ...errors import DtypeError, UsageError, ValueRangeError
from .array_difference import TOLERANCES


def checked_names(names: Any) -> tuple[str, str] | None:
    """Return what two runs are to be called.

    Raises
    ------
    UsageError
        When these are not two different texts.
    """
    if names is None:
        return None
    if not _is_pair(names) or names[0] == names[1] or not all(isinstance(name, str) for name in names):
        raise UsageError(f'names= must be two different texts, such as ("before", "after"), not {short_repr(names)}')
    return names[0], names[1]


def checked_tolerance(rtol: Any, atol: Any) -> tuple[float, float] | None:
    """Return the tolerances, relative and absolute; None if neither is given.

    Raises
    ------
    ValueRangeError
        When one is not a finite number from 0 up.
    """
    if rtol is None and atol is None:
        return None
    for name, value in (("rtol", rtol), ("atol", atol)):
        number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value <= sys.float_info.max):
            raise ValueRangeError(f"{name}= is a finite number from 0 up, not {short_repr(value)}")
    return float(rtol or 0), float(atol or 0)


def checked_dtypes(dtypes: Any) -> tuple[np.dtype[Any] | None, np.dtype[Any] | None]:
    """Return a dtype for each run; None for the one that its graph has.

    Raises
    ------
    UsageError, DtypeError
    """
    if dtypes is None:
        return None, None
    if not _is_pair(dtypes):
        raise UsageError(f'dtypes= is a pair, such as ("float32", "float64"), not {short_repr(dtypes)}')
    return _checked_float(dtypes[0]), _checked_float(dtypes[1])


def checked_backends(backends: Any) -> tuple[str | None, str | None]:
    """Return what is to compute each run.

    Raises
    ------
    UsageError
    """
    if backends is None:
        return None, None
    if not _is_pair(backends) or not all(isinstance(backend, str) and backend in BACKENDS for backend in backends):
        raise UsageError(f"backends= is a pair of {', '.join(BACKENDS)}, not {short_repr(backends)}")
    return backends[0], backends[1]


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def _checked_float(kind: Any) -> np.dtype[Any] | None:
    if kind is None:
        return None
    try:
        dtype: np.dtype[Any] = dtype_named(kind)
    except UsageError:
        raise
    except TypeError:
        raise DtypeError(f"dtypes=: {short_repr(kind)} is not a dtype") from None
    if is_bfloat16(dtype):
        raise DtypeError("dtypes=: nothing is computed in bfloat16, which numbers are only kept in; take float32")
    if dtype.kind != "f" or dtype.name not in TOLERANCES:
        raise DtypeError(f"dtypes= must be floats of 16, 32 or 64 bits, not {dtype}")
    return dtype.newbyteorder("=")
