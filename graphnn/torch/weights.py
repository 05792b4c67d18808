"""Other weights for a module: a copy of it, whose tensors stand in for the numbers, which stay where they are."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core import Array, as_array, may_become
from ..errors import UsageError
from ..io.safetensors import read_safetensors
from .dtypes import array_of, part_of, tensor_of

_MOST = 5  # names in a message


def with_weights(torch: Any, module: Any, weights: Any) -> tuple[Any, dict[int, Array]]:
    """Return a copy of a module for other weights, and these by the ids of the tensors that stand in for them.

    Memory of a tensor to which nobody writes is only promised by the operating system. Buffers have their numbers.

    Raises
    ------
    UsageError
        When a name, a shape or a dtype is not the module's, or one lacks; when a tensor on the device "meta" is not
        among what a module saves.
    """
    if isinstance(weights, (str, os.PathLike)):
        weights = read_safetensors(weights)
    if not isinstance(weights, Mapping):
        raise UsageError(f"weights= is a dict by name, or the path of a safetensors file, not {type(weights).__name__}")
    tensors: dict[int, Any] = {}
    names: dict[int, list[str]] = {}
    for name, each in module.state_dict(keep_vars=True).items():
        if isinstance(each, torch.Tensor):
            tensors[id(each)] = each
            names.setdefault(id(each), []).append(name)
    for kind, held in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
        for name, each in held:
            if each.is_meta and id(each) not in tensors:
                raise UsageError(
                    f"the module makes its {kind} {name} itself, and on the device meta that has no values: make the "
                    "module on the device meta without it, or on the CPU"
                )
    given = _matched(torch, type(module).__name__, tensors, names, weights)
    memo: dict[int, Any] = {}
    arrays: dict[int, Array] = {}
    for key, tensor in tensors.items():
        empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
        if isinstance(tensor, torch.nn.Parameter):
            memo[key] = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
        else:
            memo[key] = empty.requires_grad_(tensor.requires_grad)
        if tensor.is_floating_point() and isinstance(tensor, torch.nn.Parameter):
            arrays[id(memo[key])] = given[key]
        else:  # the export may look at it
            with torch.no_grad():
                memo[key].copy_(tensor_of(torch, given[key]))
    return copy.deepcopy(module, memo), arrays


def _matched(
    torch: Any, kind: str, tensors: Mapping[int, Any], names: Mapping[int, list[str]], weights: Mapping[str, Any]
) -> dict[int, Array]:
    """Return the array of each tensor, which needs it under one of its names: tied weights have several."""
    known = {name for each in names.values() for name in each}
    found: dict[int, Array] = {}
    lacks, misfits = [], []
    for key, tensor in tensors.items():
        each = {name: _array(torch, name, weights[name]) for name in names[key] if name in weights}
        if not each:
            lacks.append(" or ".join(names[key]))
            continue
        (name, array), *others = each.items()
        if array.shape != tuple(tensor.shape):
            misfits.append(f"{name} has the shape {array.shape} and not {tuple(tensor.shape)}")
        elif not tensor.is_complex() and not may_become(array.dtype, part_of(torch, tensor.dtype)):
            misfits.append(f"{name} is {array.dtype} and not {str(tensor.dtype).removeprefix('torch.')}")
        misfits += [
            f"{other} differs from {name}, and both are one tensor of the module"
            for other, again in others
            if array is not again and not np.array_equal(array, again)
        ]
        found[key] = array
    more = [str(name) for name in weights if name not in known]
    wrong = [f"they lack {_listed(lacks)}"] if lacks else []
    wrong += [f"they hold {_listed(more)}, which it does not have"] if more else []
    wrong += [_listed(misfits)] if misfits else []
    if wrong:
        raise UsageError(f"the weights are not those of {kind}: {'; '.join(wrong)}")
    return found


def _array(torch: Any, name: str, value: Any) -> Array:
    if isinstance(value, torch.Tensor):
        return array_of(torch, value)
    plain = np.asarray(value)
    return plain if plain.dtype.kind == "c" else as_array(value, f"the weight {name}")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST:,} more" if len(names) > _MOST else "")
