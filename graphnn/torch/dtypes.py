"""PyTorch's dtypes and NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import dtype_named, is_bfloat16
from ..errors import NoRuleError

_NAMES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("bfloat16", "float16", "float32", "float64"),
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
    return dtype_named(name)


def torch_dtype(torch: Any, dtype: np.dtype[Any]) -> Any:
    """Return PyTorch's dtype for one of NumPy."""
    return getattr(torch, dtype.name)


def part_of(torch: Any, dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype for one of PyTorch; of complex numbers, that of each part."""
    return dtype_of(torch, dtype.to_real() if dtype.is_complex else dtype)


def array_of(torch: Any, tensor: Any) -> np.ndarray[Any, Any]:
    """Return the numbers of a tensor."""
    plain = tensor.detach().cpu()
    if plain.is_sparse or plain.layout != torch.strided:
        plain = plain.to_dense()
    dtype = dtype_of(torch, plain.dtype)
    if is_bfloat16(dtype):  # PyTorch gives NumPy its bits
        return plain.contiguous().view(torch.int16).numpy().view(dtype)  # type: ignore[no-any-return]
    return plain.resolve_neg().numpy()  # type: ignore[no-any-return]


def tensor_of(torch: Any, array: Any) -> Any:
    """Return the numbers of an array as a tensor."""
    plain = np.asarray(array)
    if is_bfloat16(plain.dtype):
        return torch.as_tensor(plain.view(np.int16)).view(torch.bfloat16)
    return torch.as_tensor(plain)
