"""PyTorch's dtypes and NumPy's."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

import numpy as np

from ..core import dtype_named, is_bfloat16, is_immutable, sealed
from ..errors import NoRuleError

_NAMES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("bfloat16", "float16", "float32", "float64"),
)


_LARGE = 2**16  # bytes


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


def kept_array(torch: Any, tensor: Any) -> np.ndarray[Any, Any]:
    """Return the numbers of a tensor as an array that nobody can write to.

    It is in the tensor's own memory, where that lies as NumPy has it, and PyTorch can leave it to us: PyTorch then
    copies the numbers when it first writes to the tensor. Else, and of few numbers, it is a copy.
    """
    plain = tensor.detach()
    size = plain.numel() * plain.element_size()
    known = type(plain) is torch.Tensor and plain.layout == torch.strided and plain.device.type == "cpu"
    if known and size >= _LARGE and plain.is_contiguous() and not plain.is_neg() and hasattr(torch, "_lazy_clone"):
        with suppress(RuntimeError):  # memory that is not PyTorch's own, such as a mapped file's
            shared = torch._lazy_clone(plain)
            memory = (ctypes.c_char * size).from_address(torch._C._data_address(shared))
            memory.owner = shared
            array = np.frombuffer(memoryview(memory).toreadonly(), dtype_of(torch, plain.dtype))
            return array.reshape(tuple(plain.shape))
    return sealed(array_of(torch, tensor))


def tensor_of(torch: Any, array: Any) -> Any:
    """Return the numbers of an array as a tensor."""
    plain = np.asarray(array)
    if is_bfloat16(plain.dtype):
        return tensor_of(torch, plain.view(np.int16)).view(torch.bfloat16)
    if is_immutable(plain):  # PyTorch has no tensors that are read-only
        plain = plain.copy()
    return torch.as_tensor(plain)
