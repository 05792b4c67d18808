"""Equations with matrices: solutions, inverses, determinants and factors; of stacks of matrices, those of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core import Array, Node, Op, Spec, fn
from ..core.symbolic_shapes import Constraint, Dim, broadcast, multiply, product, shown, unify
from ..errors import DtypeError, ShapeError, ValueRangeError
from .base import floating, into, unbroadcast

_T = TypeVar("_T")


def _square(name: str, x: Spec) -> tuple[Constraint, ...]:
    """Return what must hold for an operand to be square matrices of numbers that NumPy solves for."""
    met = unify(*x.shape[-2:]) if len(x.shape) > 1 else None
    if met is None:
        raise ShapeError(f"{name} takes square matrices, got {shown(x.shape)}")
    if x.dtype == np.float16:
        raise DtypeError(f"{name} does not take float16; gn.cast(x, 'float32') makes float32 of it")
    return met[1]


def _solved(name: str, wrong: str, function: Callable[..., _T], *arrays: Array) -> _T:
    """Return what a function of NumPy makes of matrices, or say what is wrong with them."""
    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        raise ValueRangeError(f"{name}: a matrix {wrong}") from None


def _turned(x: Node) -> Node:
    return fn.swapaxes(x, -1, -2)


def _drawn(draw: Any) -> Array:
    """Draw matrices that are far from singular."""
    n = draw.integer(1, 3)
    x = draw.array((*draw.shape(max_ndim=1, max_side=2), n, n), -1.0, 1.0)
    return np.asarray(x + np.eye(n, dtype=x.dtype) * x.dtype.type(4))


class _Cubic(Op, abstract=True):
    """Base of what costs as much as some products of matrices."""

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return two for each element of a matrix and each of its rows."""
        x = inputs[0]
        return multiply(2, multiply(product(x.shape), x.shape[-1]))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the matrix."""
        return (index[: operands[0].ndim - 2],)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw matrices."""
        return cls(), (_drawn(draw),)


class Inv(_Cubic):
    """The inverses of square matrices. A matrix that has none is a ValueError."""

    formula = "inverse of {0}"

    def infer(self, x: Spec) -> Spec:
        return Spec(x.shape, floating(x.dtype), _square(self.name, x))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, _solved(self.name, "is singular", np.linalg.inv, x))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        turned = _turned(output)
        return -(turned @ cotangent @ turned)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        return -(output @ tangents[0] @ output)


class Det(_Cubic):
    """The determinants of square matrices. The gradient takes their inverses, and so that none is singular."""

    formula = "det {0}"

    def infer(self, x: Spec) -> Spec:
        return Spec(x.shape[:-2], floating(x.dtype), _square(self.name, x))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.linalg.det(x))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.expand_dims(cotangent * output, (-2, -1)) * _turned(fn.inv(inputs[0]))

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        return output * fn.sum(_turned(fn.inv(inputs[0])) * tangents[0], axis=(-2, -1))


class Solve(_Cubic):
    """The x of a @ x = b, where a is square, and b is a vector if it has one axis, else matrices, as in NumPy.

    A matrix that is singular is a ValueError.
    """

    formula = "solution x of {0} @ x = {1}"

    def infer(self, a: Spec, b: Spec) -> Spec:
        constraints = _square(self.name, a)
        if b.dtype == np.float16:
            raise DtypeError(f"{self.name} does not take float16; gn.cast(b, 'float32') makes float32 of it")
        rows = 1 if len(b.shape) == 1 else 2
        met = unify(a.shape[-1], b.shape[-rows]) if b.shape else None
        stack = None if met is None else broadcast([a.shape[:-2], b.shape[:-rows]])
        if met is None or stack is None:
            raise ShapeError(f"solve: {shown(b.shape)} has no right sides for {shown(a.shape)}")
        shape = (*stack[0], *b.shape[-rows:])
        return Spec(shape, np.result_type(floating(a.dtype), floating(b.dtype)), constraints + met[1] + stack[1])

    def forward(self, a: Array, b: Array, out: Array | None = None) -> Any:
        return into(out, _solved(self.name, "is singular", np.linalg.solve, a, b))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        a, b = inputs
        if b.ndim > 1:
            right = fn.solve(_turned(a), cotangent)
            return right if i else -(right @ _turned(output))
        right = fn.squeeze(fn.solve(_turned(a), fn.expand_dims(cotangent, -1)), -1)
        return right if i else -(fn.expand_dims(right, -1) * fn.expand_dims(output, -2))

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        a, b = inputs
        moved, right = tangents
        if b.ndim == 1 and right is not None:
            right = fn.expand_dims(right, -1)
        if moved is not None:
            product = moved @ (fn.expand_dims(output, -1) if b.ndim == 1 else output)
            right = -product if right is None else right - product
        found = fn.solve(a, right)
        return fn.squeeze(found, -1) if b.ndim == 1 else found

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        a, b = operands
        if b.ndim == 1:
            return index[:-1], ...
        right = (*unbroadcast(index[:-2], b.shape[:-2]), slice(None), index[-1])
        return unbroadcast(index[:-2], a.shape[:-2]), right

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        a = _drawn(draw)
        if draw.integer(0, 2) == 0:
            return cls(), (a, draw.array(a.shape[-1:]))
        stack = draw.choice([a.shape[:-2], ()])
        return cls(), (a, draw.array((*stack, a.shape[-1], draw.integer(0, 2))))


class Cholesky(_Cubic):
    """The lower triangular L with L @ Lᵀ = x, where x is symmetric and positive definite; else it is a ValueError.

    What is factored is (x + xᵀ) / 2, so the gradient is symmetric.
    """

    formula = "cholesky({0})"

    def infer(self, x: Spec) -> Spec:
        return Spec(x.shape, floating(x.dtype), _square(self.name, x))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = x.astype(floating(x.dtype), copy=False)
        even = (x + np.swapaxes(x, -1, -2)) / 2
        return into(out, _solved(self.name, "is not positive definite", np.linalg.cholesky, even))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        turned = _turned(output)
        right = fn.solve(turned, _half(turned @ cotangent))  # L⁻ᵀ Φ(Lᵀ c)
        whole = _turned(fn.solve(turned, _turned(right)))  # times L⁻¹
        return (whole + _turned(whole)) * 0.5

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        (tangent,) = tangents
        assert tangent is not None
        even = (tangent + _turned(tangent)) * 0.5
        return output @ _half(fn.solve(output, _turned(fn.solve(output, even))))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        *stack, row, column = index
        if column > row:
            return (None,)
        mask = np.zeros(operands[0].shape, bool)
        matrix = mask[tuple(stack)]
        matrix[: column + 1, : column + 1] = matrix[row, : column + 1] = matrix[: column + 1, row] = True
        return ((mask,),)


def _half(x: Node) -> Node:
    """Return the lower triangle, with half of the diagonal."""
    return (fn.tril(x) + fn.tril(x, -1)) * 0.5
