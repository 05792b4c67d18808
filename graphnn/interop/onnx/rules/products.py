"""Products of matrices, and what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....graph import Node, fn
from ..rule import rule

if TYPE_CHECKING:
    from ..call import Call

_EXACT = 2**24
"""Up to here float32 has every whole number."""


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


@rule("MatMulInteger")
def matmul_integer(call: Call, a: Node, b: Node, a_zero: Node | None = None, b_zero: Node | None = None) -> Any:
    """Return the product of matrices of small integers, from which their zero points are taken, as int32."""
    if a_zero is not None and a_zero.ndim == 1:
        a_zero = fn.expand_dims(a_zero, 1)  # one for each row
    return integer_product(a, b, a_zero, b_zero)


def integer_product(a: Node, b: Node, a_zero: Node | None = None, b_zero: Node | None = None) -> Node:
    """Return the product of matrices of 8 bits as int32, computed by floats that have every sum it can meet."""
    length = a.spec.shape[-1]
    # A difference of two numbers of 8 bits is at most 255.
    kind = np.float32 if isinstance(length, int) and length * 255 * 255 < _EXACT else np.float64
    return fn.cast(fn.matmul(_shifted(a, a_zero, kind), _shifted(b, b_zero, kind)), "int32")


def _shifted(x: Node, zero: Node | None, kind: Any) -> Node:
    found = fn.cast(x, np.dtype(kind).name)
    return found if zero is None else found - fn.cast(zero, np.dtype(kind).name)
