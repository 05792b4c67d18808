"""Products of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops import linalg as ops
from .arithmetic import in_float32, to_result
from .convolutions import convolution, depthwise
from .group import BOOL, Group, writes

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value


@writes(ops.Matmul)
def _matmul(g: Group, op: Op, x: Value, y: Value) -> Value:
    found = convolution(g, g.node)
    return _product(g, "MatMul", x, y) if found is None else found


def _product(g: Group, kind: str, *operands: Value, **settings: Any) -> Value:
    """Return a product: of bools whether there is one, of float16 as graphnn has it, rounded once."""
    operands = to_result(g, *operands)
    dtype = operands[0].dtype
    if dtype == BOOL:
        operands = tuple(g.cast(x, np.int64) for x in operands)
    found = g(kind, *[in_float32(g, x) for x in operands], **settings)
    return g.cast(found, dtype)


@writes(ops.Transpose)
def _transpose(g: Group, op: Any, x: Value) -> Value:
    return g.transpose(x, op.order(len(g.dims(0))))


@writes(ops.Outer)
def _outer(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = to_result(g, x, y)
    column, row = g("Reshape", x, g.ints(-1, 1)), g("Reshape", y, g.ints(1, -1))
    return g("And" if x.dtype == BOOL else "Mul", column, row)


@writes(ops.Einsum)
def _einsum(g: Group, op: Any, *operands: Value) -> Value:
    if any(0 in g.dims(i) for i in range(len(operands))):  # which ONNX Runtime can crash on
        return g.zeros(g.node.spec.shape, g.node.dtype)
    if (found := depthwise(g, g.node)) is not None:
        return found
    left, _, right = op.subscripts.partition("->")
    sizes = op._sizes(map(g.dims, range(len(operands))))
    terms, kept = [], []
    for i, (term, x) in enumerate(zip(left.split(","), operands, strict=True)):  # ONNX broadcasts no letter
        lone = [axis for axis, letter in enumerate(term) if g.dims(i)[axis] == 1 != sizes[letter]]
        terms.append("".join(letter for axis, letter in enumerate(term) if axis not in lone))
        kept.append(g.squeeze(x, *lone))
    return _product(g, "Einsum", *kept, equation=f"{','.join(terms)}->{right}")
