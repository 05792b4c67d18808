"""Operands that broadcast: of sizes with names, what is stretched must be known while the model is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core import Dim, Node, Shape, fn
from ..core.symbolic_shapes import add, names_in, substitute

if TYPE_CHECKING:
    from .rule_registry import Value

BROADCAST = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "Max", "Min", "Sum", "Mean", "PRelu", "Where", "MatMul"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"),
        *("BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"),
    )
)
"""The operations whose operands broadcast; those of MatMul in the axes before the last two."""


def broadcasting(op: str, operands: Sequence[Value | None]) -> list[Value | None]:
    """Return operands of an operation, those that are stretched with 1 for sizes that can be no other.

    ``x[:, :1]`` of an x of shape (batch, seq) has min(seq, 1) columns. This is 1 if there is one at all, and no size
    that may be any number: then it would have to be that of the other operand.
    """
    apart = 2 if op == "MatMul" else 0
    shapes = [np.shape(each) if isinstance(each, np.ndarray) else getattr(each, "shape", ()) for each in operands]
    shapes = [tuple(shape)[: len(shape) - apart] for shape in shapes]
    if all(isinstance(dim, int) for shape in shapes for dim in shape):
        return list(operands)
    return [each if not isinstance(each, Node) else stretched(each, shapes, apart) for each in operands]


def stretched(x: Node, shapes: Sequence[Shape], apart: int = 0) -> Node:
    """Return x as it broadcasts with these shapes, which go without its last axes that are `apart`."""
    index: list[object] = []
    for axis, dim in enumerate(x.spec.shape):
        behind = x.ndim - apart - axis
        others = {shape[-behind] for shape in shapes if 0 < behind <= len(shape)} - {dim, 1}
        index += [0, None] if others and _is_one(dim) else [slice(None)]
    return fn.getitem(x, tuple(index)) if None in index else x


def _is_one(dim: Dim) -> bool:
    """Return whether a dimension is 1 wherever the sizes that it is computed from are not 0."""
    if not isinstance(dim, str):
        return False
    names = names_in([dim])
    return dim not in names and substitute(dim, {name: add(name, 1) for name in names}) == 1
