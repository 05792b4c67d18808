"""Operations over axes, which make one number of many."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from .._util.text import short_repr
from ..core import Array, Dim, Int64, Node, Op, Spec, Trait, fn
from ..core.symbolic_shapes import concrete, multiply, product, shown, subtract
from ..errors import GraphnnWarning, ShapeError, ValueRangeError
from . import matmul_kernels as rows
from . import reduction_kernels
from .base import Axes, Linear, accumulated, axes_of, axis_of, floating, flops_of_operand, into, line_of, reduced


class OverAxes:
    """What operations over axes share: one axis, several, or all, which stay as 1 if `keepdims`."""

    name: ClassVar[str]
    axis: Axes
    keepdims: bool

    def over(self, ndim: int) -> tuple[int, ...]:
        """Return the axes, counted from the front."""
        return axes_of(self.name, self.axis, ndim)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the elements along the axes."""
        (x,) = operands
        return (line_of(index, self.over(x.ndim), x.ndim, self.keepdims),)

    def restored(self, reduced: Node, x: Node) -> Node:
        """Return a reduced node with its axes back as 1, so that it broadcasts with the operand."""
        axes = self.over(x.ndim)
        # One number broadcasts as it is.
        return reduced if self.keepdims or len(axes) in (0, x.ndim) else fn.expand_dims(reduced, axes)

    def summed(self, x: Node) -> Node:
        """Return the sum over the same axes of a node that has the operand's shape."""
        return fn.sum(x, axis=self.over(x.ndim), keepdims=self.keepdims)


class ByGradient(OverAxes):
    """Derivatives, from the gradient of the result with respect to the operand."""

    def slope(self, x: Node, output: Node) -> Node:
        """Return the gradient: of the operand's shape."""
        raise NotImplementedError

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the gradient, times the cotangent."""
        (x,) = inputs
        return self.slope(x, output) * self.restored(cotangent, x)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the sum of the gradient times the tangent."""
        (x,), (tangent,) = inputs, tangents
        return self.summed(self.slope(x, output) * tangent)


class Reduction(OverAxes, Op, abstract=True):
    """Base of the reductions."""

    axis: Axes = None
    keepdims: bool = False
    least_side: ClassVar[int] = 0
    """For samples: the shortest axis that gives a number."""
    result_dtype: ClassVar[staticmethod[[np.dtype[Any]], np.dtype[Any]]] = staticmethod(lambda dtype: dtype)
    """The dtype that comes out, from that of the operand: by default the same."""

    def infer(self, x: Spec) -> Spec:
        """Drop the axes, or leave a 1."""
        return Spec(reduced(x.shape, self.over(len(x.shape)), self.keepdims), self.result_dtype(x.dtype))

    flops = flops_of_operand

    def _no_number(self, x: Array, out: Array | None) -> Array:
        """Return NaN throughout."""
        shape = concrete(reduced(x.shape, self.over(x.ndim), self.keepdims), {})
        return into(out, np.full(shape, np.nan, self.result_dtype(x.dtype)))  # type: ignore[no-any-return]

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw an operand and axes of it."""
        x = draw.array(draw.shape(min_side=cls.least_side))
        return cls(axis=draw.axes(x.ndim), keepdims=draw.choice([False, True])), (x,)


def _count(x: Node | Spec, axes: tuple[int, ...]) -> Dim:
    return product(x.shape[axis] for axis in axes)


def _warn(what: str) -> None:
    warnings.warn(f"{what}; the result is NaN", GraphnnWarning, stacklevel=4)


class UfuncReduction(Reduction, abstract=True):
    """Base of the reductions that are a ufunc's own."""

    ufunc: ClassVar[Any]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        """Reduce by the ufunc."""
        axes = self.over(x.ndim)
        if reduction_kernels.are_few(x, axes, adds=self.ufunc is not np.maximum and self.ufunc is not np.minimum):
            return reduction_kernels.fold(self.ufunc, x, axes, self.keepdims, out)
        return self.ufunc.reduce(x, axis=self.axis, keepdims=self.keepdims, out=out)


class NumpyReduction(Reduction, abstract=True):
    """Base of the reductions that another function of NumPy computes; no gradient passes."""

    differentiable = False
    function: ClassVar[Any]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        """Call the function."""
        return self.function(x, axis=self.axis, keepdims=self.keepdims, out=out)


class NonEmpty(Reduction, abstract=True):
    """Base of the reductions that need an element: without one, there is no largest."""

    least_side = 1

    def infer(self, x: Spec) -> Spec:
        """Refuse to reduce no elements."""
        result = super().infer(x)
        if any(x.shape[axis] == 0 for axis in self.over(len(x.shape))) and 0 not in result.shape:
            raise ShapeError(f"{self.name} of nothing has no value: the operand has shape {shown(x.shape)}")
        return result

    def forward(self, x: Array, out: Array | None = None) -> Any:
        """Reduce; an empty operand is refused, unless the result is empty, too."""
        if x.size:
            return super().forward(x, out)
        result = self.infer(Spec(x.shape, x.dtype))
        return into(out, np.empty(concrete(result.shape, {}), result.dtype))


class Sum(UfuncReduction, Linear):
    """The sum over axes; 0 if there are no elements. Small integers and bools add up in 64 bits."""

    traits = Trait.WRAPS | Trait.ADDS_UP
    formula = "Σ {0}"
    equation = "[{0}] + …"
    result_dtype = staticmethod(accumulated)

    ufunc = np.add

    def forward(self, x: Array, out: Array | None = None) -> Any:
        """Add up; over rows and columns of a matrix as a product."""
        axes = self.over(x.ndim)
        if rows.is_product(x, axes):
            return into(out, rows.sums(x, axes[0], self.keepdims))
        return super().forward(x, out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,) = inputs
        return fn.broadcast_to(self.restored(cotangent, x), x.shape)


COUNTED = 2**24
"""A float32 is exact up to this count; NumPy divides by larger ones in float64."""


class Mean(Reduction, Linear):
    """The mean over axes; NaN, with a warning, if there are no elements. Integers give floats."""

    traits = Trait.ADDS_UP
    formula = "mean {0}"
    equation = "([{0}] + …) / {count}"
    least_side = 1
    result_dtype = staticmethod(floating)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        axes = self.over(x.ndim)
        count = math.prod(x.shape[axis] for axis in axes)
        if count:
            if rows.is_product(x, axes) and count < COUNTED:
                return into(out, rows.sums(x, axes[0], self.keepdims) / x.dtype.type(count))
            if x.dtype.kind == "f" and reduction_kernels.are_few(x, axes, adds=True):
                return np.divide(
                    reduction_kernels.fold(np.add, x, axes, self.keepdims, out), x.dtype.type(count), out=out
                )
            return np.mean(x, axis=self.axis, keepdims=self.keepdims, out=out)
        _warn(f"mean of nothing: the operand has shape {shown(x.shape)}")
        return self._no_number(x, out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,) = inputs
        share = fn.divide_by_size(self.restored(cotangent, x), _count(x, self.over(x.ndim)))
        return fn.broadcast_to(share, x.shape)


class Extremum(NonEmpty, UfuncReduction, abstract=True):
    """Base of max and min over axes: ties share the gradient evenly, or the first of them has it."""

    ties: Literal["share", "first"] = "share"

    def _chosen(self, output: Node, x: Node) -> Node:
        return fn.cast(fn.equal(x, self.restored(output, x)), x.dtype)

    def _first(self, output: Node, x: Node) -> Node:
        return fn.first_occurrence(x, output if self.keepdims else fn.expand_dims(output, self.over(x.ndim)), self.axis)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,) = inputs
        if self.ties == "first":
            return fn.where(self._first(output, x), self.restored(cotangent, x), 0)
        chosen = self._chosen(output, x)
        ties = fn.sum(chosen, axis=self.over(x.ndim), keepdims=True)
        return chosen * (self.restored(cotangent, x) / ties)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,), (tangent,) = inputs, tangents
        if self.ties == "first":
            return self.summed(fn.where(self._first(output, x), tangent, 0))
        chosen = self._chosen(output, x)
        return self.summed(chosen * tangent) / self.summed(chosen)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        op, operands = super().samples(draw)
        return replace(op, ties=draw.choice(["share", "first"])), operands  # type: ignore[type-var]


class Max(Extremum):
    """The largest over axes; NaN passes through; a ValueError if there are none. `ties` tells who has the gradient."""

    traits = Trait.DECIDED_BY_ONE | Trait.HIDES
    formula = "max of {0}"

    ufunc = np.maximum


class Min(Extremum):
    """The smallest over axes; NaN passes through; a ValueError if there are none. `ties` tells who has the gradient."""

    traits = Trait.DECIDED_BY_ONE | Trait.HIDES
    formula = "min of {0}"

    ufunc = np.minimum


class Prod(ByGradient, UfuncReduction):
    """The product over axes; 1 if there are no elements. The gradient is exact where factors are zero."""

    traits = Trait.WRAPS | Trait.UNDERFLOWS | Trait.DECIDED_BY_ONE
    formula = "Π {0}"
    equation = "[{0}] * …"
    result_dtype = staticmethod(accumulated)

    ufunc = np.multiply

    def slope(self, x: Node, output: Node) -> Node:
        """Return, for each element, the product of the others."""
        axes = self.over(x.ndim)
        if not axes:
            return fn.ones_like(x)
        if len(axes) == 1:
            return fn.prod_others(x, axes[0])
        order = (*(i for i in range(x.ndim) if i not in axes), *axes)
        moved = fn.transpose(x, order)
        kept = tuple(x.shape[i] for i in order[: x.ndim - len(axes)])
        others = fn.prod_others(fn.reshape(moved, (*kept, _count(x, axes))), -1)
        return fn.transpose(fn.reshape(others, moved.shape), tuple(order.index(i) for i in range(x.ndim)))


class ProdOthers(Op):
    """For each element, the product of the others along an axis; without dividing, so exact at zeros."""

    traits = Trait.DECIDED_BY_ONE

    axis: int
    formula = "Π others of {0}"
    equation = "[{0}] * …"

    def infer(self, x: Spec) -> Spec:
        """Keep the shape."""
        axis_of(self.name, self.axis, len(x.shape))
        return Spec(x.shape, accumulated(x.dtype))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = np.moveaxis(x, self.axis, -1)
        before, after = np.ones(x.shape, accumulated(x.dtype)), np.ones(x.shape, accumulated(x.dtype))
        np.multiply.accumulate(x[..., :-1], axis=-1, out=before[..., 1:])
        np.multiply.accumulate(x[..., :0:-1], axis=-1, out=after[..., -2::-1] if x.shape[-1] > 1 else after[..., :0])
        return into(out, np.moveaxis(before * after, -1, self.axis))

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        axis = axis_of(self.name, self.axis, len(index))
        others = np.arange(operands[0].shape[axis]) != index[axis]
        return ((*index[:axis], others, *index[axis + 1 :]),)

    def _pairs(self, x: Node) -> tuple[Node, int]:
        """Return rows j of the products of all but j and k at k, 0 at k = j; and the axis of j."""
        axis = axis_of(self.name, self.axis, x.ndim)
        size = x.shape[axis]
        eye = fn.eye(size, dtype="bool", graph=x.graph)
        eye = fn.reshape(eye, (size, size, *[1] * (x.ndim - axis - 1)))
        rows = fn.where(eye, 1, fn.expand_dims(x, axis))
        return fn.where(eye, 0, fn.prod_others(rows, axis + 1)), axis

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        pairs, axis = self._pairs(inputs[0])
        return fn.sum(fn.expand_dims(cotangent, axis + 1) * pairs, axis=axis)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        pairs, axis = self._pairs(inputs[0])
        (tangent,) = tangents
        assert tangent is not None
        return fn.sum(pairs * fn.expand_dims(tangent, axis), axis=axis + 1)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(min_ndim=1))
        return cls(draw.axis(x.ndim)), (x,)


class Spread(Reduction, abstract=True):
    """Base of variance and standard deviation; `ddof` is taken from the count, as NumPy does."""

    ddof: Int64 = 0
    least_side = 2
    result_dtype = staticmethod(floating)

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return four an element: it is added up, the mean subtracted, the rest squared and added up."""
        return multiply(4, product(inputs[0].shape))

    @property
    def element_formula(self) -> str:
        return f"{self.formula} with ddof={{ddof}}" if self.ddof else self.formula

    def _moment(self, x: Array) -> Any:
        count = math.prod(x.shape[axis] for axis in self.over(x.ndim))
        if count > self.ddof:
            return np.var(x, axis=self.axis, keepdims=self.keepdims, ddof=self.ddof)
        _warn(f"{self.name} of {count} numbers with ddof={self.ddof}: the operand has shape {shown(x.shape)}")
        return self._no_number(x, None)

    def _deviation(self, x: Node) -> tuple[Node, Dim]:
        axes = self.over(x.ndim)
        return x - fn.mean(x, axis=axes, keepdims=True), subtract(_count(x, axes), self.ddof)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        x = draw.array(draw.shape(min_side=cls.least_side))
        axis = draw.axes(x.ndim)
        ddof = draw.choice([0, 1]) if x.ndim and axis != () else 0
        return cls(axis=axis, keepdims=draw.choice([False, True]), ddof=ddof), (x,)


class Var(Spread):
    """The variance over axes; NaN, with a warning, if there are too few numbers."""

    formula = "var of {0}"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, self._moment(x))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,) = inputs
        deviation, count = self._deviation(x)
        return deviation * (fn.divide_by_size(self.restored(cotangent, x), count) * 2)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,), (tangent,) = inputs, tangents
        deviation, count = self._deviation(x)
        return fn.divide_by_size(self.summed(deviation * tangent), count) * 2


class Std(Spread):
    """The standard deviation over axes; the gradient of a constant is 0."""

    formula = "std of {0}"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.sqrt(self._moment(x), out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,) = inputs
        deviation, count = self._deviation(x)
        flat, safe = _guarded(output)
        share = fn.divide_by_size(fn.where(flat, 0.0, cotangent / safe), count)
        return deviation * self.restored(share, x)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        (x,), (tangent,) = inputs, tangents
        deviation, count = self._deviation(x)
        total = fn.divide_by_size(self.summed(deviation * tangent), count)
        flat, safe = _guarded(output)
        return fn.where(flat, 0.0, total / safe)


def _guarded(output: Node) -> tuple[Node, Node]:
    """Return where a node is 0, and the node with 1 there, so that dividing by it stays finite."""
    flat = fn.equal(output, 0)
    return flat, fn.where(flat, 1.0, output)


class Logsumexp(ByGradient, Reduction):
    """log Σ exp(x) over axes, without overflow; -inf if there are no elements or only -inf, inf if there is an inf."""

    formula = "log Σ exp {0}"
    equation = "log([exp({0})] + …)"
    least_side = 1
    result_dtype = staticmethod(floating)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = x.astype(floating(x.dtype), copy=False)
        largest = np.max(x, axis=self.axis, keepdims=True, initial=-np.inf)
        shift = np.where(np.isfinite(largest), largest, 0)
        total = np.sum(np.exp(x - shift), axis=self.axis, keepdims=True)
        result = np.log(total) + shift
        if not self.keepdims:
            result = np.squeeze(result, axis=self.over(x.ndim))
        return into(out, result)

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return four an element: the largest is found and subtracted, then exp, and the sum."""
        return multiply(4, product(inputs[0].shape))

    def slope(self, x: Node, output: Node) -> Node:
        """Return the softmax: divided by its sum, since rounding a large output changes all exponentials alike."""
        whole = self.restored(output, x)
        nothing = fn.equal(whole, -np.inf)  # subtracting it from -inf would give NaN
        powers = fn.exp(x - fn.stop_gradient(fn.where(nothing, 0.0, whole)))
        return powers / fn.where(nothing, 1.0, fn.sum(powers, axis=self.over(x.ndim), keepdims=True))


class Verdict(NumpyReduction, abstract=True):
    """Base of any and all."""

    result_dtype = staticmethod(lambda dtype: np.dtype(bool))


class AnyOf(Verdict):
    """Whether any element over axes is not 0; False if there are none."""

    name = "any"
    formula = "any of {0}"
    function = staticmethod(np.any)


class AllOf(Verdict):
    """Whether all elements over axes are not 0; True if there are none."""

    name = "all"
    formula = "all of {0}"
    function = staticmethod(np.all)


class Position(NonEmpty, NumpyReduction, abstract=True):
    """Base of argmax and argmin: over one axis, or of the flattened operand."""

    axis: int | None = None
    result_dtype = staticmethod(lambda dtype: np.dtype(np.intp))

    def points(self, ndims: Sequence[int]) -> Sequence[tuple[int, int, int]]:
        """Return that the result holds positions along the axis."""
        return () if self.axis is None else ((-1, 0, self.axis % ndims[0]),)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw an operand and an axis."""
        x = draw.array(draw.shape(min_side=cls.least_side))
        axis = draw.choice([None, draw.axis(x.ndim)]) if x.ndim else None
        return cls(axis=axis, keepdims=draw.choice([False, True])), (x,)


class Argmax(Position):
    """The index of the first largest element; a ValueError if there are no elements."""

    formula = "argmax of {0}"
    function = staticmethod(np.argmax)


class Argmin(Position):
    """The index of the first smallest element; a ValueError if there are no elements."""

    formula = "argmin of {0}"
    function = staticmethod(np.argmin)


class Norm(ByGradient, Op):
    """The norm of vectors: √Σx² by default, Σ|x| for 1, max|x| for inf, min|x| for -inf, (Σ|x|^p)^(1/p) for p > 0.

    Without an axis and an order, that of all elements; over two axes, only that default (Frobenius's). The
    gradient of a norm that is 0 is 0; elements that tie for the largest share it evenly.
    """

    traits = Trait.OVERFLOWS
    ord: float | None = None
    axis: Axes = None
    keepdims: bool = False
    formula = "‖{0}‖"

    @property
    def element_formula(self) -> str:
        return self.formula if self.ord is None else f"{self.formula} of order {{ord}}"

    def over(self, ndim: int) -> tuple[int, ...]:
        """Return the axes that the norm is taken over; raise an error where it is not defined."""
        axes = axes_of(self.name, self.axis, ndim)
        order = self.ord
        if order is not None and not (order > 0 or order == -math.inf):
            raise ValueRangeError(f"norm: the order is None, inf, -inf or a number above 0, not {short_repr(order)}")
        if len(axes) == 1 or (order is None and (self.axis is None or len(axes) == 2)):
            return axes
        if len(axes) == 2:
            raise ShapeError(
                f"norm: over two axes, that is of matrices, only the default order is there, not {order}; "
                "for vectors give one axis"
            )
        raise ShapeError(f"norm runs over one axis or two, not {len(axes)}; reshape joins axes")

    def infer(self, x: Spec) -> Spec:
        return Spec(reduced(x.shape, self.over(len(x.shape)), self.keepdims), floating(x.dtype))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.linalg.norm(x, self.ord, self.axis, self.keepdims))

    def slope(self, x: Node, output: Node) -> Node:
        if self.ord == 1:
            return fn.sign(x)
        norm = self.restored(output, x)
        if self.ord is not None and math.isinf(self.ord):
            ties = fn.cast(fn.equal(fn.absolute(x), norm), output.dtype)
            return fn.sign(x) * (ties / fn.sum(ties, self.over(x.ndim), keepdims=True))
        # The branch that is not taken must be finite, too, or its derivative would be 0 * inf: so `where` twice.
        zero = fn.equal(norm, 0)
        safe = fn.where(zero, 1.0, norm)
        if self.ord is None or self.ord == 2:
            return fn.where(zero, 0.0, x / safe)
        # Of the roots, since |x| / norm may be too small for a float where its power is not.
        part = fn.sqrt(fn.where(fn.equal(x, 0), 1.0, fn.absolute(x))) / fn.sqrt(safe)
        return fn.sign(x) * fn.power(part, 2 * (self.ord - 1))

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        return multiply(2, product(inputs[0].shape))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        order = draw.choice([None, None, 1, 2, 3, 1.5, math.inf, -math.inf])
        x = draw.array(draw.shape(min_ndim=1, min_side=1))
        axis = draw.axis(x.ndim)
        keepdims = draw.choice([False, True])
        if order is None:
            axis = draw.choice([axis, None, (0, -1) if x.ndim > 1 else (0,)])
        return cls(order, axis, keepdims), (x,)
