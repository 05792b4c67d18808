"""What a call of PyTorch gives: what it returns, what it writes to, and parts of memory that were written to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ...errors import UsageError
from .tensors import extent

if TYPE_CHECKING:
    from ...core import Array

ASSEMBLED = "graphnn::assembled"
"""A tensor whose memory was written to by way of other tensors: put together of what was written."""
IS_EMPTY = ("empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided")
"""Calls whose result is memory as it is: its numbers mean nothing, and are recorded as zeros."""


def assembled_from(places: Sequence[Any], operands: Sequence[Array], shape: tuple[Any, ...]) -> Array:
    """Return part of a storage: of one operand that is all of it, with others written to parts of it."""
    wanted, *places = [_place(each, x) for each, x in zip(places, (None, *operands), strict=True)]
    flat = np.zeros(operands[0].size, operands[0].dtype)
    for (offset, sizes, strides), x in zip(places, operands, strict=True):
        _part(flat, offset, sizes, strides)[...] = x
    return _part(flat, *wanted).copy()


def _place(place: Any, of: Array | None) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    if type(place) is not tuple or place[0] != "geometry" or (of is not None and place[2] != of.shape):
        raise UsageError(f"{ASSEMBLED} does not take the place {place}")
    _, offset, sizes, strides = place
    return offset, sizes, strides


def _part(flat: Array, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    if offset < 0 or offset + extent(sizes, offset, strides) > flat.size:
        raise UsageError(f"a part at {offset} with strides {strides} is not in {flat.size:,} elements")
    return as_strided(flat[offset:], sizes, [step * flat.itemsize for step in strides])


WRITES_UNTOLD = {
    "aten::native_batch_norm": ("running_mean", "running_var"),
    "aten::cudnn_batch_norm": ("running_mean", "running_var"),
    "aten::miopen_batch_norm": ("running_mean", "running_var"),
}
"""Arguments that calls write to, though their schemas do not say so."""


def written_by(overload: Any) -> list[tuple[int, str]]:
    """Return positions and names of the arguments that a call may write to."""
    schema = overload._schema
    untold = WRITES_UNTOLD.get(schema.name, ())
    return [
        (place, each.name)
        for place, each in enumerate(schema.arguments)
        if each.name in untold or (each.alias_info is not None and each.alias_info.is_write)
    ]


def tensors_written(
    torch: Any, overload: Any, written: Sequence[tuple[int, str]], args: Sequence[Any], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """Yield the tensors that a call writes to."""
    if overload._schema.name in WRITES_UNTOLD and not (args[5] if len(args) > 5 else kwargs.get("training")):
        return
    for place, name in written:
        given = args[place] if place < len(args) else kwargs.get(name)
        for each in given if isinstance(given, (list, tuple)) else (given,):
            if isinstance(each, torch.Tensor):
                yield each


def results_of(found: Any, written: Iterable[Any]) -> list[Any]:
    """Return the results of a call, in order: what it returns, then what it writes to and does not return."""
    results = list(found) if isinstance(found, (list, tuple)) else [] if found is None else [found]
    flat: list[Any] = []
    for each in results:
        flat.extend(each) if isinstance(each, (list, tuple)) else flat.append(each)
    known = {id(each) for each in flat}
    return flat + [each for each in written if id(each) not in known]
