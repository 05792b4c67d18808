"""Elementwise operations, whose operands broadcast as NumPy's do: their base class, and arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Annotated, Any, ClassVar

import numpy as np

from ..core import Array, Dim, DType, Node, Op, Spec, Trait, Whole, fn
from ..core.symbolic_shapes import broadcast, shown
from ..errors import DivisionError, DtypeError, ShapeError, ValueRangeError
from .base import into, no_flops, promoted, shape_clash, unbroadcast
from .erf import erf, erf_single

_Interval = tuple[float, float]


class Elementwise(Op, abstract=True):
    """Base of the operations that act on each element by itself."""

    weak = True
    elementwise = True
    like: ClassVar[np.ufunc | None] = None
    """The ufunc whose promotion it follows, if `forward` is not a ufunc."""
    domain: ClassVar[tuple[_Interval, ...]] = ((-3.0, 3.0),)
    """For samples: the intervals that operands are drawn from, one for each or one for all."""
    trials: ClassVar[tuple[tuple[Any, ...], ...]] = ()
    """For samples: the attributes to try; each is a tuple of arguments of the class."""

    def infer(self, *inputs: Spec) -> Spec:
        """Broadcast the shapes; promote the dtypes as NumPy does."""
        shapes = [spec.shape for spec in inputs]
        met = broadcast(shapes)
        if met is None:
            raise ShapeError(f"{self.name} cannot broadcast {' with '.join(map(shown, shapes))}: {shape_clash(shapes)}")
        return Spec(met[0], self.result_dtype(*[spec.dtype for spec in inputs]), met[1])

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype that comes out."""
        return promoted(self.like or self.forward, self.name, dtypes)

    def number(self, value: bool | float, dtypes: Sequence[np.dtype[Any]]) -> Array:
        """Return a Python number as an operand; if integers cannot hold it, in the dtype that NumPy computes in."""
        try:
            return super().number(value, dtypes)
        except OverflowError:
            ufunc = self.like or self.forward
            if not isinstance(ufunc, np.ufunc) or ufunc.nin != 2 or dtypes[0].kind not in "biu":
                raise
            return np.asarray(value, ufunc.resolve_dtypes((dtypes[0], type(value), *[None] * ufunc.nout))[1])

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return the element of each operand that broadcasting puts there."""
        return [unbroadcast(index, x.shape) for x in operands]

    def sources(self, operands: Sequence[Array]) -> tuple[Array, ...] | None:
        """Return the elements that broadcasting puts there, unless a subclass reads otherwise."""
        if type(self).reads is not Elementwise.reads:
            return None
        shape = np.broadcast_shapes(*[x.shape for x in operands])
        return tuple(np.broadcast_to(np.arange(x.size).reshape(x.shape), shape) for x in operands)

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the sum over the operands: a derivative that is diagonal is its own transpose, so `vjp` serves."""
        parts = [self.vjp(i, t, output, inputs) for i, t in enumerate(tangents) if t is not None]
        return reduce(add, parts)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw settings, and operands that broadcast, from the domain."""
        settings = draw.choice(cls.trials) if cls.trials else ()
        return cls(*settings), draw.broadcastable(len(cls.operands), cls.domain)


def floats(x: Array) -> Array:
    """Return an array as floats, of the dtype that ``np.exp`` gives."""
    return x if x.dtype.kind == "f" else x.astype(promoted(np.exp, "", (x.dtype,)))


def by_precision(double: Callable[[Any], Any], single: Callable[[Any], Any], x: Array) -> Array:
    """Return what the function for float64 makes of floats, or that for float32, which float16 takes, too."""
    if x.dtype == np.float64:
        return double(x)  # type: ignore[no-any-return]
    return single(x.astype(np.float32, copy=False)).astype(x.dtype, copy=False)  # type: ignore[no-any-return]


# --- arithmetic -----------------------------------------------------------------------------------------------


class Add(Elementwise):
    """x + y."""

    traits = Trait.WRAPS | Trait.STEADY | Trait.SCALES
    signs = (1, 1)
    forward = np.add
    formula = "{0} + {1}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent


class Subtract(Elementwise):
    """x - y."""

    traits = Trait.WRAPS | Trait.STEADY | Trait.SCALES
    signs = (1, -1)
    forward = np.subtract
    formula = "{0} - {1}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent if i == 0 else -cotangent


class Multiply(Elementwise):
    """x * y."""

    traits = Trait.WRAPS | Trait.UNDERFLOWS | Trait.SCALES
    powers = (1, 1)
    forward = np.multiply
    formula = "{0} * {1}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * inputs[1 - i]


class Divide(Elementwise):
    """x / y; integers give floats."""

    traits = Trait.UNDERFLOWS | Trait.SCALES
    powers = (1, -1)
    forward = np.divide
    formula = "{0} / {1}"
    domain = ((-3.0, 3.0), (0.4, 3.0))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        y = inputs[1]
        return cotangent / y if i == 0 else -(cotangent * output / y)


class DivideBySize(Elementwise):
    """x / count, where the count is a dimension: the 1/n of a mean."""

    traits = Trait.UNDERFLOWS

    count: Dim
    like = np.divide
    formula = "{0} / {count}"
    trials = tuple((count,) for count in range(1, 10))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.divide(x, self.count, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.divide_by_size(cotangent, self.count)


class WholeQuotient(Elementwise, abstract=True):
    """Base of what a division without fractions gives."""

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        """Divide; refuse to divide integers by 0."""
        if y.dtype.kind in "biu" and x.dtype.kind in "biu" and x.size and not np.all(y):
            where = tuple(int(i) for i in np.argwhere(y == 0)[0])
            raise DivisionError(f"{self.name}: an integer is divided by 0, which stands at index {where} of operand 1")
        return self.like(x, y, out=out)  # type: ignore[misc]


class FloorDivide(WholeQuotient):
    """The floor of x / y; passes no gradient. Integers divided by zero raise ZeroDivisionError."""

    traits = Trait.WRAPS
    like = np.floor_divide
    differentiable = False
    formula = "{0} // {1}"
    domain = ((-9.0, 9.0), (0.4, 3.0))


class Remainder(WholeQuotient):
    """x - y * floor(x / y), with the sign of y. Integers divided by zero raise ZeroDivisionError.

    The gradient is that between the jumps: 1 for x, -floor(x / y) for y.
    """

    like = np.remainder
    formula = "{0} mod {1}"
    domain = ((1.1, 1.9), (2.1, 2.9))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, y = inputs
        return cotangent if i == 0 else -(cotangent * fn.floor_divide(x, y))


class Fmod(WholeQuotient):
    """x - y * trunc(x / y), with the sign of x. Integers divided by zero raise ZeroDivisionError.

    The gradient is that between the jumps: 1 for x, -trunc(x / y) for y.
    """

    like = np.fmod
    formula = "fmod({0}, {1})"
    domain = ((2.1, 2.9), (1.5, 2.0))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, y = inputs
        return cotangent if i == 0 else -(cotangent * fn.round((x - output) / y))


class Negative(Elementwise):
    """-x."""

    traits = Trait.WRAPS | Trait.STEADY | Trait.SCALES | Trait.KEEPS_SIZE
    forward = np.negative
    formula = "-{0}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return -cotangent


class Absolute(Elementwise):
    """|x|; the gradient at 0 is 0."""

    traits = Trait.WRAPS | Trait.KEEPS_SIZE
    forward = np.absolute
    formula = "|{0}|"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * fn.sign(inputs[0])


class Sign(Elementwise):
    """-1, 0 or 1; passes no gradient."""

    forward = np.sign
    differentiable = False
    formula = "sign({0})"


class Power(Elementwise):
    """x ** y.

    The derivative in x is y x^(y-1), and 0 for y = 0 (also at 0⁰); in y it is x^y log(x), and 0 at x = 0 for
    y >= 0; of a negative x it is NaN. An integer to a negative integer power is a ValueError.
    """

    traits = Trait.WRAPS | Trait.UNDERFLOWS
    like = np.power
    formula = "{0} ^ {1}"
    domain = ((0.3, 3.0), (-2.0, 2.0))

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        whole = self.result_dtype(x.dtype, y.dtype).kind in "iu"
        if whole and y.dtype.kind == "i" and np.any(y < 0):
            raise ValueRangeError("power: an integer to a negative integer power is not an integer; cast it to a float")
        return np.power(x, y, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, y = inputs
        if i == 0:
            flat = fn.equal(y, 0)
            # The branch that is not taken must be finite, too, or its derivative would be 0 * inf.
            return cotangent * fn.where(flat, 0.0, y * fn.power(x, fn.where(flat, 1, y) - 1))
        zero = fn.logical_and(fn.equal(x, 0), fn.greater_equal(y, 0))
        return cotangent * fn.where(zero, 0.0, output * fn.log(fn.where(zero, 1, x)))


class Square(Elementwise):
    """x²."""

    traits = Trait.OVERFLOWS | Trait.WRAPS | Trait.UNDERFLOWS
    bounds = (0, math.inf)
    forward = np.square
    formula = "{0}²"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (inputs[0] * 2)


class Sqrt(Elementwise):
    """√x; the gradient at 0 is inf."""

    forward = np.sqrt
    formula = "√{0}"
    domain = ((0.2, 4.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / (output * 2)


class Reciprocal(Elementwise):
    """1 / x."""

    traits = Trait.UNDERFLOWS
    forward = np.reciprocal
    formula = "1 / {0}"
    domain = ((0.4, 3.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return -(cotangent * fn.square(output))


class Exp(Elementwise):
    """exp(x)."""

    traits = Trait.OVERFLOWS | Trait.UNDERFLOWS | Trait.FADES
    bounds = (0, math.inf)
    forward = np.exp
    formula = "exp({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * output


class Expm1(Elementwise):
    """exp(x) - 1, exact near 0."""

    traits = Trait.OVERFLOWS
    forward = np.expm1
    formula = "exp({0}) - 1"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (output + 1)


class Log(Elementwise):
    """The natural logarithm; -inf at 0, where the gradient is inf."""

    forward = np.log
    formula = "log({0})"
    domain = ((0.2, 4.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / inputs[0]


class Log1p(Elementwise):
    """log(1 + x), exact near 0."""

    forward = np.log1p
    formula = "log(1 + {0})"
    domain = ((-0.7, 3.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / (inputs[0] + 1)


class Sin(Elementwise):
    """sin(x), in radians."""

    forward = np.sin
    formula = "sin({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * fn.cos(inputs[0])


class Cos(Elementwise):
    """cos(x), in radians."""

    forward = np.cos
    formula = "cos({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return -(cotangent * fn.sin(inputs[0]))


class Tanh(Elementwise):
    """tanh(x)."""

    traits = Trait.SATURATES | Trait.ACTIVATES
    bounds = (-1, 1)
    forward = np.tanh
    formula = "tanh({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (1 - fn.square(output))


class Erf(Elementwise):
    """The error function, 2/√π ∫₀ˣ exp(-t²) dt.

    Notes
    -----
    In float64, the rational approximations of fdlibm's s_erf.c, at most one unit in the last place off. In float32,
    and for float16, one polynomial, at most three units off.
    """

    like = np.exp
    formula = "erf({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, by_precision(erf, erf_single, floats(x)))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (fn.exp(-fn.square(inputs[0])) * (2 / math.sqrt(math.pi)))


# --- rounding and casting ---------------------------------------------------------------------------------------


class Floor(Elementwise):
    """The largest integer not above x; passes no gradient."""

    forward = np.floor
    differentiable = False
    formula = "⌊{0}⌋"


class Ceil(Elementwise):
    """The smallest integer not below x; passes no gradient."""

    forward = np.ceil
    differentiable = False
    formula = "⌈{0}⌉"


class Round(Elementwise):
    """x to so many decimals, halves to even; passes no gradient."""

    decimals: Annotated[int, Whole(-(2**15), 2**15 - 1)] = 0
    differentiable = False
    formula = "round({0}, {decimals})"
    trials = ((0,), (1,), (-1,))

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        if dtypes[0].kind == "b" and self.decimals:
            raise DtypeError("round to decimals does not take bool")
        return np.dtype(np.float16) if dtypes[0].kind == "b" else dtypes[0]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.round(x, self.decimals))


class Cast(Elementwise):
    """x as another dtype; a gradient comes back in x's own."""

    traits = Trait.OVERFLOWS | Trait.WRAPS | Trait.UNDERFLOWS | Trait.STEADY | Trait.SCALES | Trait.KEEPS_SIZE

    dtype: DType
    casts, computes, formula = True, False, "{dtype}({0})"
    trials = (("float64",), ("float32",), ("int64",), ("bool",))

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        if out is None:
            return x.astype(self.dtype)
        np.copyto(out, x, casting="unsafe")
        return out

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.cast(cotangent, inputs[0].dtype)


class Same(Elementwise, abstract=True):
    """Base of what gives x itself."""

    traits = Trait.KEEPS_SIZE
    formula = "{0}"

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Keep the dtype."""
        return dtypes[0]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        """Return x."""
        return into(out, x)

    flops = no_flops


class StopGradient(Same):
    """x, through which no gradient passes."""

    differentiable = computes = False


class SumOverBatches(Same):
    """x, a sum over the rows of a batch, such as a number of rows: those of several batches are added up."""

    traits, sums_over_batches = Trait.STEADY | Trait.KEEPS_SIZE, True

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        if dtypes[0].kind not in "iuf":
            raise DtypeError(f"sum_over_batches takes integers and floats, not {dtypes[0]}")
        return dtypes[0]

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent
