"""PyTorch's dtypes and NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import NoRuleError

_NAMES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)


def dtype_of(torch: Any, dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype for one of PyTorch.

    Raises
    ------
    NoRuleError
        When graphnn has none like it.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in _NAMES:
        more = ": write real and imaginary parts as two numbers" if name.startswith("complex") else ""
        raise NoRuleError(f"graphnn has no numbers of {name}{more}")
    return np.dtype(name)


def torch_dtype(torch: Any, dtype: np.dtype[Any]) -> Any:
    """Return PyTorch's dtype for one of NumPy."""
    return getattr(torch, dtype.name)


def part_of(torch: Any, dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype for one of PyTorch; of complex numbers, that of each part."""
    return dtype_of(torch, dtype.to_real() if dtype.is_complex else dtype)
