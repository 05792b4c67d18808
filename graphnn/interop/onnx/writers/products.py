"""Products of matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....ops import linalg as ops
from ....ops import solving
from .arithmetic import in_float32, to_result
from .group import BOOL, Group, Unwritable, writes

if TYPE_CHECKING:
    from ....graph import Op
    from .draft import Value


@writes(ops.Matmul)
def _matmul(g: Group, op: Op, x: Value, y: Value) -> Value:
    return _product(g, "MatMul", x, y)


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
    return g("Transpose", x, perm=list(op.order(len(g.dims(0)))))


@writes(ops.Outer)
def _outer(g: Group, op: Op, x: Value, y: Value) -> Value:
    x, y = to_result(g, x, y)
    column, row = g("Reshape", x, g.ints(-1, 1)), g("Reshape", y, g.ints(1, -1))
    return g("And" if x.dtype == BOOL else "Mul", column, row)


@writes(ops.Einsum)
def _einsum(g: Group, op: Any, *operands: Value) -> Value:
    return _product(g, "Einsum", *operands, equation=op.subscripts)


@writes(solving.Det)
def _det(g: Group, op: Op, x: Value) -> Value:
    if g.node.dtype != np.float32:
        raise Unwritable("ONNX Runtime has it of float32 only")
    return g("Det", x)


@writes(solving.Inv, solving.Solve, solving.Cholesky)
def _equations(g: Group, op: Op, *operands: Value) -> Value:
    raise Unwritable("ONNX has no operation that solves equations")
