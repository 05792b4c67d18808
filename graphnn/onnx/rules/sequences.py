"""Sequences of arrays, which are Python lists while a model is read, and what may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ...core.symbolic_shapes import floor_divide, multiply, subtract
from ..rule_registry import rule
from .shapes import parts_of

if TYPE_CHECKING:
    from ...core import Dim
    from ..onnx_node import Call
    from ..rule_registry import Known, Value

_MOST = 10_000
"""The maximum number of arrays that one is cut into."""


@rule("SequenceEmpty")
def sequence_empty(call: Call, *, dtype: int | None = None) -> Value:
    """Return a sequence of nothing."""
    return []


@rule("SequenceConstruct")
def sequence_construct(call: Call, *arrays: Value) -> Value:
    """Return a sequence of arrays."""
    return list(arrays)


@rule("SequenceAt")
def sequence_at(call: Call, sequence: Value, position: Known) -> Value:
    """Return the array at a position."""
    return sequence[_at(call, sequence, position, 0)]


@rule("SequenceInsert")
def sequence_insert(call: Call, sequence: Value, array: Value, position: Known | None = None) -> Value:
    """Return a sequence with an array before a position, or at its end."""
    place = len(sequence) if position is None else _at(call, sequence, position, 1)
    return [*sequence[:place], array, *sequence[place:]]


@rule("SequenceErase")
def sequence_erase(call: Call, sequence: Value, position: Known | None = None) -> Value:
    """Return a sequence without the array at a position, or without the last one."""
    place = len(sequence) - 1 if position is None else _at(call, sequence, position, 0)
    return [*sequence[:place], *sequence[place + 1 :]]


def _at(call: Call, sequence: Value, position: Known, more: int) -> int:
    """Return a position counted from the front."""
    place, count = int(position.reshape(())), len(sequence)
    if not -count <= place < count + more:
        call.refuse(f"position {place} is not in a sequence of {count}")
    return place + count if place < 0 else place


@rule("SequenceLength")
def sequence_length(call: Call, sequence: Value) -> Value:
    """Return how many arrays a sequence has."""
    return np.array(len(sequence), np.int64)


@rule("SplitToSequence")
def split_to_sequence(call: Call, x: Node, split: Value = None, *, axis: int = 0, keepdims: int = 1) -> Value:
    """Return parts of x as a sequence: of one size, the last one smaller, or of the sizes that are given."""
    place = axis % x.ndim
    size = x.spec.shape[place]
    lengths = (1,) if split is None else call.dims(split, "how long its parts are")
    if split is None or not split.shape:
        (part,) = lengths
        lengths = _of_one_length(call, size, part)
    if split is None and not keepdims:
        return [fn.getitem(x, (*[slice(None)] * place, start)) for start in range(len(lengths))]
    return parts_of(x, lengths, axis)


def _of_one_length(call: Call, size: Dim, part: Dim) -> tuple[Dim, ...]:
    """Return the lengths of parts of a size, the last one of what is left."""
    if isinstance(part, int) and part <= 0:
        return ()
    whole = floor_divide(size, part)
    rest = subtract(size, multiply(whole, part))
    if not isinstance(whole, int) or not isinstance(rest, int):
        call.ask_for_sizes("how many arrays it makes", [size, part])
    if whole > _MOST:
        call.refuse(f"it gives more than {_MOST:,} arrays")
    return (*[part] * whole, rest) if rest else (part,) * whole


@rule("ConcatFromSequence")
def concat_from_sequence(call: Call, sequence: Value, *, axis: int, new_axis: int = 0) -> Any:
    """Return the arrays of a sequence one after the other, along an axis of theirs or a new one."""
    if not sequence:
        call.refuse("its sequence is empty")
    nodes = [call.node(each) for each in sequence]
    return fn.stack(nodes, axis=axis) if new_axis else fn.concatenate(nodes, axis=axis)


# --- what may be missing --------------------------------------------------------------------------------------------


@rule("Optional")
def optional(call: Call, x: Value = None, *, type_: Any = None) -> Value:
    """Return x, or nothing."""
    return x


@rule("OptionalHasElement")
def optional_has_element(call: Call, x: Value = None) -> Value:
    """Return whether there is something."""
    return np.array(x is not None)


@rule("OptionalGetElement")
def optional_get_element(call: Call, x: Value = None) -> Value:
    """Return what there is."""
    return call.refuse("it takes what is not there") if x is None else x
