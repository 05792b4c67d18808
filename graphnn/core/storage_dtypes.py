"""bfloat16, a dtype that numbers are kept in and not computed in: the upper half of a float32.

NumPy has it from the package ml_dtypes, as a dtype of kind "V", which is no `numpy.floating`. It is imported only when
somebody asks for bfloat16.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError

if TYPE_CHECKING:
    from .op import Array

NAME = "bfloat16"
WIDER: np.dtype[Any] = np.dtype(np.float32)
"""What is computed in where operands are bfloat16: each of its numbers is one of these."""


def bfloat16() -> np.dtype[Any]:
    """Return the dtype.

    Raises
    ------
    UsageError
        When the package ml_dtypes is not installed.
    """
    try:
        import ml_dtypes
    except ImportError:
        raise UsageError('bfloat16 needs the package ml_dtypes: pip install "graphnn[bf16]"') from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def is_imported() -> bool:
    """Return whether ml_dtypes has been imported; if not, nothing can be bfloat16, and nothing is looked for."""
    return "ml_dtypes" in sys.modules


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is bfloat16."""
    return dtype.kind == "V" and is_imported() and dtype == bfloat16()


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether numbers of a dtype are floats, bfloat16 among them.

    Examples
    --------
    >>> is_float(np.dtype("float16")), is_float(np.dtype("int8"))
    (True, False)
    """
    return dtype.kind == "f" or is_bfloat16(dtype)


def dtype_named(kind: Any) -> np.dtype[Any]:
    """Return NumPy's dtype of a name or a type, and that of ml_dtypes for ``"bfloat16"``.

    Raises
    ------
    TypeError, ValueError, SyntaxError
        As NumPy's, when there is none.
    UsageError
        When it is bfloat16, and ml_dtypes is not installed.
    """
    if isinstance(kind, str) and kind == NAME:
        return bfloat16()
    found: np.dtype[Any] = np.dtype(kind)
    return found


def computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which numbers of a dtype are computed with: float32 for bfloat16, and else itself."""
    return WIDER if is_bfloat16(dtype) else dtype


def widened(array: Array) -> Array:
    """Return an array of bfloat16 as float32, which has all its numbers, and any other array as it is."""
    return array.astype(WIDER) if is_bfloat16(array.dtype) else array


def limits(dtype: np.dtype[Any]) -> Any:
    """Return what `numpy.finfo` tells of a float dtype, bfloat16 among them."""
    if is_bfloat16(dtype):
        import ml_dtypes

        return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call, unused-ignore]
    return np.finfo(dtype)


def may_become(given: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Return whether NumPy casts a dtype to another as being of the same kind; bfloat16 is as float32 is.

    Examples
    --------
    >>> may_become(np.dtype("float64"), np.dtype("float16")), may_become(np.dtype("float64"), np.dtype("int64"))
    (True, False)
    """
    return np.can_cast(computed_in(given), computed_in(dtype), "same_kind")
