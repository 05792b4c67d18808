"""Products of matrices, and what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core import Node, fn
from ..rule_registry import rule

if TYPE_CHECKING:
    from ..onnx_node import Call


@rule("MatMul")
def matmul(call: Call, a: Node, b: Node) -> Any:
    """Return the product of matrices, of stacks of them, or of vectors."""
    return fn.matmul(a, b)


@rule("Gemm")
def gemm(
    call: Call,
    a: Node,
    b: Node,
    c: Node | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Any:
    """Return alpha times the product of two matrices, plus beta * c."""
    found = fn.matmul(fn.transpose(a) if transA else a, fn.transpose(b) if transB else b)
    found = scaled(found, alpha)
    return found if c is None or not beta else found + scaled(c, beta)


def scaled(x: Node, by: float) -> Node:
    """Return x times a number, in the dtype of x."""
    return x if by == 1 else fn.cast(x * by, x.spec.dtype) if x.spec.dtype.kind in "iu" else x * by


@rule("Einsum")
def einsum(call: Call, *arrays: Node, equation: str) -> Any:
    """Return the sum of products that the letters describe."""
    return fn.einsum(equation, *arrays)


@rule("Det")
def det(call: Call, x: Node) -> Any:
    """Return the determinants of matrices."""
    return fn.det(x)
