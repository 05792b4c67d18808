"""Comparisons, logic, and the choice between values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from ..core import Array, Kind, Node, Op, Spec, Trait, composition, fn
from ..errors import DtypeError, ValueRangeError
from .base import Axes, axes_of, check_shape, cleared, flops_of_operand, into, reduced
from .elementwise import Elementwise


class Maximum(Elementwise):
    """The larger of x and y; NaN passes through. A tie gives each half of the gradient."""

    traits = Trait.CHOOSES | Trait.HIDES
    forward = np.maximum
    formula = "max({0}, {1})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        mine, other = inputs[i], inputs[1 - i]
        lone = fn.where(fn.greater(mine, other), cotangent, 0.0)
        return fn.where(fn.equal(mine, other), cotangent * 0.5, lone)


class Minimum(Elementwise):
    """The smaller of x and y; NaN passes through. A tie gives each half of the gradient."""

    traits = Trait.CHOOSES | Trait.HIDES
    forward = np.minimum
    formula = "min({0}, {1})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        mine, other = inputs[i], inputs[1 - i]
        lone = fn.where(fn.less(mine, other), cotangent, 0.0)
        return fn.where(fn.equal(mine, other), cotangent * 0.5, lone)


class Clip(Elementwise):
    """x held between lo and hi; None leaves a side open. The gradient is 1 up to the bounds, 0 outside."""

    traits = Trait.CHOOSES | Trait.HIDES
    lo: float | None = None
    hi: float | None = None
    formula = "clip({0}, {lo}, {hi})"
    trials = ((-1.0, 1.5), (0.0, 1.0), (None, 0.5), (-0.5, None), (-1, 2), (None, None))

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """As NumPy: a float bound makes integers floats; an int beyond theirs leaves its side open."""
        (dtype,) = dtypes
        bounds = [bound for bound in (self.lo, self.hi) if bound is not None]
        if dtype.kind == "b" and not bounds:
            raise DtypeError("clip without bounds does not take bool")
        if dtype.kind in "iu" and all(isinstance(bound, int) for bound in bounds):
            limits = np.iinfo(dtype)
            if (self.lo is not None and self.lo > limits.max) or (self.hi is not None and self.hi < limits.min):
                raise ValueRangeError(f"clip: no {dtype} lies between {self.lo} and {self.hi}")
            return dtype
        return np.dtype(np.result_type(dtype, *bounds))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, x) if self.lo is None and self.hi is None else np.clip(x, self.lo, self.hi, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.where(fn.equal(inputs[0], output), cotangent, 0.0)


# Kind() switches the check of arguments off here: a NumPy scalar must arrive with its dtype. Clip checks the bounds.
@composition
def clip(
    x: Any,
    lo: Annotated[float | None, Kind()] = None,
    hi: Annotated[float | None, Kind()] = None,
    *,
    name: str | None = None,
) -> Node:
    """Return x held between lo and hi; None leaves a side open. The gradient is 1 up to the bounds, 0 outside.

    Parameters
    ----------
    x : Node
    lo, hi : number, optional
        A Python number takes the dtype of x, one of NumPy's has its own: float32 between bounds of float64 is float64.

    Raises
    ------
    DtypeError
        When a bound is not a number.
    """
    given: tuple[Any, ...] = (lo, hi)
    bounds = [bound.dtype for bound in given if isinstance(bound, np.generic) and bound.dtype.kind in "biuf"]
    if isinstance(x, Node) and np.result_type(x.dtype, *bounds) != x.dtype:
        x = fn.cast(x, np.result_type(x.dtype, *bounds))
    return Clip(lo, hi)(x, name=name)


class Where(Elementwise):
    """x where the condition holds, else y.

    The gradient goes to the branch that was taken. The other branch is computed too: in
    ``where(x > 0, log(x), 0)`` the gradient at 0 is 0 * inf = NaN. Guard what goes in as well:
    ``where(x > 0, log(where(x > 0, x, 1)), 0)``.
    """

    traits = Trait.HIDES
    selects, computes = True, False
    formula = "{1} if {0} else {2}"

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Promote the two branches; the condition is a bool, or a number that is not 0."""
        return np.result_type(*dtypes[1:])

    def number(self, value: bool | float, dtypes: Sequence[np.dtype[Any]]) -> Array:
        """Return a Python number as an operand; it takes the dtype of the other branch, not of the condition."""
        return super().number(value, dtypes[-1:])

    def forward(self, condition: Array, x: Array, y: Array, out: Array | None = None) -> Any:
        return into(out, np.where(condition, x, y))

    def flows(self, i: int) -> bool:
        return i > 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.where(inputs[0], cotangent, 0.0) if i == 1 else fn.where(inputs[0], 0.0, cotangent)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        condition, x, y = super().reads(index, operands)
        return (condition, x, None) if operands[0][condition] else (condition, None, y)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        condition, x, y = draw.broadcastable(3, cls.domain)
        return cls(), (condition > 0, x, y)


class Predicate(Elementwise, abstract=True):
    """Base of the operations whose results are bools; they pass no gradient."""

    differentiable = False


class Comparison(Predicate, abstract=True):
    """Base of the comparisons; integers meet any whole number, also one that their dtype cannot hold."""

    def number(self, value: bool | float, dtypes: Sequence[np.dtype[Any]]) -> Array:
        """Return a Python number as an operand; in another dtype if that of the integers cannot hold it."""
        try:
            return super().number(value, dtypes)
        except OverflowError:
            if dtypes[0].kind not in "biu":
                raise
            if -(2**63) <= value < 2**64:
                return np.asarray(value, np.int64 if value < 2**63 else np.uint64)
            return np.asarray(math.inf if value > 0 else -math.inf)  # all integers are on the same side of it


class Equal(Comparison):
    """x == y."""

    forward = np.equal
    formula = "{0} = {1}"
    equation = "{0} == {1}"


class NotEqual(Comparison):
    """x != y."""

    forward = np.not_equal
    formula = "{0} ≠ {1}"


class Less(Comparison):
    """x < y."""

    forward = np.less
    formula = "{0} < {1}"


class LessEqual(Comparison):
    """x <= y."""

    forward = np.less_equal
    formula = "{0} ≤ {1}"


class Greater(Comparison):
    """x > y."""

    forward = np.greater
    formula = "{0} > {1}"


class GreaterEqual(Comparison):
    """x >= y."""

    forward = np.greater_equal
    formula = "{0} ≥ {1}"


class LogicalAnd(Predicate):
    """Whether both x and y hold."""

    forward = np.logical_and
    formula = "{0} and {1}"


class LogicalOr(Predicate):
    """Whether x or y holds."""

    forward = np.logical_or
    formula = "{0} or {1}"


class LogicalXor(Predicate):
    """Whether one of x and y holds, but not both."""

    forward = np.logical_xor
    formula = "{0} xor {1}"


class LogicalNot(Predicate):
    """Whether x does not hold."""

    forward = np.logical_not
    formula = "not {0}"


class IsNan(Predicate):
    """Whether x is NaN."""

    name = "isnan"
    forward = np.isnan
    formula = "isnan({0})"


class IsFinite(Predicate):
    """Whether x is neither infinite nor NaN."""

    name = "isfinite"
    forward = np.isfinite
    formula = "isfinite({0})"


class FirstOccurrence(Op):
    """Whether x is equal to y here, and at no place before along the axes; y has 1 there. NaN is equal to NaN."""

    differentiable = False
    traits = Trait.CHOOSES
    axis: Axes = None
    formula = "{0} = {1} for the first time"

    def over(self, ndim: int) -> tuple[int, ...]:
        """Return the axes in order, counted from the front."""
        return tuple(sorted(axes_of(self.name, self.axis, ndim)))

    def infer(self, x: Spec, y: Spec) -> Spec:
        wanted = reduced(x.shape, self.over(len(x.shape)), keepdims=True)
        return Spec(x.shape, np.dtype(bool), check_shape(self.name, y.shape, wanted))

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        axes = self.over(x.ndim)
        found = cleared(out, x.shape, bool)
        apart, ahead = np.moveaxis(x, axes, range(len(axes))), np.moveaxis(found, axes, range(len(axes)))
        first: Any = (*[0] * len(axes), ...)
        once = np.moveaxis(y, axes, range(len(axes)))[first]
        left, equal = np.ones(once.shape, bool), np.empty(once.shape, bool)
        lost = once != once  # a NaN is equal to a NaN
        any_lost = bool(lost.any())
        for place in np.ndindex(apart.shape[: len(axes)]) if left.size else ():
            part, hit = apart[place], ahead[(*place, ...)]
            np.equal(part, once, out=equal)
            if any_lost:
                equal |= lost & (part != part)
            np.logical_and(equal, left, out=hit)
            left ^= hit
            if not left.any():
                break
        return found

    flops = flops_of_operand

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, _ = operands
        axes = self.over(x.ndim)
        places: list[Any] = list(index)
        if axes:
            sizes = [x.shape[axis] for axis in axes]
            until = np.ravel_multi_index([index[axis] for axis in axes], sizes)
            for axis, at in zip(axes, np.unravel_index(np.arange(until + 1), sizes), strict=True):
                places[axis] = at
        return tuple(places), tuple(0 if axis in axes else i for axis, i in enumerate(index))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(min_side=1))
        op = cls(draw.axes(x.ndim))
        return op, (x, np.asarray(x.max(axis=op.over(x.ndim), keepdims=True)))


class IsInf(Predicate):
    """Whether x is infinite."""

    name = "isinf"
    forward = np.isinf
    formula = "isinf({0})"


class Bitwise(Elementwise, abstract=True):
    """Base of the operations on the bits of integers and bools; they pass no gradient."""

    differentiable = False

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw integers."""
        drawn = draw.broadcastable(len(cls.operands), cls.domain)
        return cls(), tuple(draw.integers(x.shape, 0, 7) for x in drawn)


class BitwiseAnd(Bitwise):
    """The bits that both x and y have."""

    forward = np.bitwise_and
    formula = "{0} & {1}"


class BitwiseOr(Bitwise):
    """The bits that x or y has."""

    forward = np.bitwise_or
    formula = "{0} | {1}"


class BitwiseXor(Bitwise):
    """The bits that one of x and y has, but not both."""

    forward = np.bitwise_xor
    formula = "{0} xor {1}"


class Invert(Bitwise):
    """The bits that x does not have; of bools, not x."""

    forward = np.invert
    formula = "~{0}"


class LeftShift(Bitwise):
    """x with its bits so many places to the left: x times 2 to the power of y."""

    forward = np.left_shift
    formula = "{0} << {1}"


class RightShift(Bitwise):
    """x with its bits so many places to the right: the floor of x divided by 2 to the power of y."""

    forward = np.right_shift
    formula = "{0} >> {1}"
