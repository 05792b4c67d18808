"""Tensors as arrays, and arrays as tensors that lie in memory as those did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...core import Array, dtype_named, is_bfloat16
from ...errors import NoRuleError, UsageError
from ..dtypes import array_of as plain_array_of
from .call_arguments import named

_PLAIN = frozenset(
    {"bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "float32", "float64"}
)
_COMPLEX = {"complex64": "float32", "complex128": "float64", "complex32": "float16"}
_ALIGNED = 64
"""An offset counts up to so many elements: kernels begin with what lies before a round address."""


def torch_for(why: str) -> Any:
    """Return PyTorch.

    Raises
    ------
    UsageError
        When it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise UsageError(f"{why}: pip install torch") from None
    return torch


def name_of(dtype: Any) -> str:
    """Return the name of a dtype of PyTorch, "" where NumPy has the same."""
    name = str(dtype).removeprefix("torch.")
    return "" if name in _PLAIN or name == "bfloat16" else name


def array_of(torch: Any, value: Any) -> Array:
    """Return the numbers of a tensor, or a number, as an array, which may share its memory.

    Complex numbers get an axis of two more; numbers of 8 bits that NumPy does not have are given by their bits.
    """
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    tensor = value.detach()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    name = name_of(tensor.dtype)
    if name in _COMPLEX:
        tensor = torch.view_as_real(tensor.resolve_conj())
    elif name:
        tensor = tensor.contiguous().view(torch.uint8)
    return plain_array_of(torch, tensor)


def tensor_with(torch: Any, array: Array, layout: tuple[Any, ...] | None) -> Any:
    """Return the numbers of an array as a new tensor, with the offset and the strides of a layout.

    Raises
    ------
    NoRuleError
        When the layout cannot be that of such an array.
    """
    dtype = ""
    if layout is not None and layout and type(layout[0]) is str:
        dtype, layout = layout[0], layout[1:] or None
    kind = torch.bfloat16 if is_bfloat16(array.dtype) else getattr(torch, array.dtype.name)
    source: Any = np.asarray(array, order="C")
    if is_bfloat16(array.dtype):
        source = source.view(np.int16)
    if dtype in _COMPLEX:
        kind = named(torch, "dtype", dtype)
        source = source.view(f"complex{2 * 8 * source.itemsize}")[..., 0]
    elif dtype:
        kind = named(torch, "dtype", dtype)
    if layout is None:
        made = torch.empty(source.shape, dtype=kind)
        _numpy(torch, made).reshape(-1)[...] = source.reshape(-1)
        return made
    offset, *strides = layout
    spans = extent(source.shape, offset, strides)
    offset %= _ALIGNED
    made = torch.zeros(offset + spans, dtype=kind)
    flat = _numpy(torch, made)
    as_strided(flat[offset:], source.shape, [step * flat.itemsize for step in strides])[...] = source
    return torch.as_strided(made, source.shape, strides, offset)


def extent(shape: tuple[int, ...], offset: Any, strides: Sequence[Any]) -> int:
    """Return how many elements a layout spans."""
    known = len(strides) == len(shape) and all(type(each) is int and each >= 0 for each in (offset, *strides))
    spans = 1 + sum(step * (n - 1) for step, n in zip(strides, shape, strict=True) if n) if known else 0
    size = int(np.prod(shape, dtype=object))
    if not known or spans > 2**40 or (spans > 2**24 and spans > 4096 * max(size, 1)):
        raise NoRuleError(f"no tensor of shape {shape} has offset and strides {(offset, *strides)}")
    return spans if size else 0


def _numpy(torch: Any, tensor: Any) -> Array:
    """Return a new tensor as an array of the same memory; of what NumPy lacks, its bits."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy()  # type: ignore[no-any-return]
    name = name_of(tensor.dtype)
    return (tensor.view(torch.uint8) if name and name not in _COMPLEX else tensor).numpy()  # type: ignore[no-any-return]


def dtype_in_numpy(dtype: Any) -> np.dtype[Any]:
    """Return NumPy's dtype for the array of a tensor of this dtype."""
    name = str(dtype).removeprefix("torch.")
    return dtype_named(_COMPLEX.get(name, name if not name_of(dtype) else "uint8"))
