"""Operations on each element by itself; operands broadcast as NumPy's do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np

from ..errors import DivisionError, DtypeError, ShapeError, ValueRangeError
from ..graph import Array, Dim, DType, Kind, Node, Op, Spec, Whole, composition, fn
from ..graph.dimensions import broadcast, shown
from .base import clash_in_broadcasting, into, unbroadcast

_Interval = tuple[float, float]


class Elementwise(Op, abstract=True):
    """Base of the operations that act on each element by itself."""

    weak = True
    elementwise = True
    like: ClassVar[np.ufunc | None] = None
    """The ufunc whose promotion it follows, where `forward` is not a ufunc itself."""
    domain: ClassVar[tuple[_Interval, ...]] = ((-3.0, 3.0),)
    """For samples: where operands are drawn from, one interval an operand or one for all."""

    def infer(self, *inputs: Spec) -> Spec:
        """Broadcast the shapes; promote the dtypes as NumPy does."""
        met = broadcast([spec.shape for spec in inputs])
        if met is None:
            shapes = [spec.shape for spec in inputs]
            raise ShapeError(
                f"{self.name} cannot broadcast {' with '.join(map(shown, shapes))}: {clash_in_broadcasting(shapes)}"
            )
        return Spec(met[0], self.result_dtype(*[spec.dtype for spec in inputs]), met[1])

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype that comes out."""
        return promoted(self.like or self.forward, self.name, dtypes)

    def number(self, value: bool | float, dtypes: Sequence[np.dtype[Any]]) -> Array:
        """Return a Python number as an operand; where integers do not hold it, as the dtype that NumPy computes in."""
        try:
            return super().number(value, dtypes)
        except OverflowError:
            ufunc = self.like or self.forward
            if not isinstance(ufunc, np.ufunc) or ufunc.nin != 2 or dtypes[0].kind not in "biu":
                raise
            return np.asarray(value, ufunc.resolve_dtypes((dtypes[0], type(value), *[None] * ufunc.nout))[1])

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        """Return, of each operand, the element that broadcasting puts there."""
        return [unbroadcast(index, x.shape) for x in operands]

    def jvp(self, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
        """Return the sum of each operand's own: the derivative is diagonal, and so its own transpose."""
        parts = [self.vjp(i, t, output, inputs) for i, t in enumerate(tangents) if t is not None]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        """Draw operands that broadcast, from the domain."""
        return cls(), draw.broadcastable(len(cls.operands), cls.domain)


@lru_cache(maxsize=4096)
def promoted(ufunc: np.ufunc, name: str, dtypes: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """Return the dtype that a ufunc gives for operands of these dtypes.

    Raises
    ------
    DtypeError
        When it takes no such operands.
    """
    operands = dtypes if len(dtypes) == ufunc.nin else dtypes * ufunc.nin
    try:
        result: np.dtype[Any] = ufunc.resolve_dtypes((*operands, *[None] * ufunc.nout))[-1]
    except TypeError:
        raise DtypeError(f"{name} does not take {' and '.join(map(str, dtypes))}") from None
    return result


def _floats(x: Array, like: np.ufunc = np.exp) -> Array:
    return x if x.dtype.kind == "f" else x.astype(promoted(like, "", (x.dtype,)))


# --- arithmetic -----------------------------------------------------------------------------------------------


class Add(Elementwise):
    """x + y."""

    forward = np.add
    formula = "{0} + {1}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent


class Subtract(Elementwise):
    """x - y."""

    forward = np.subtract
    formula = "{0} - {1}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent if i == 0 else -cotangent


class Multiply(Elementwise):
    """x * y."""

    forward = np.multiply
    formula = "{0} * {1}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * inputs[1 - i]


class Divide(Elementwise):
    """x / y; integers give floats."""

    forward = np.divide
    formula = "{0} / {1}"
    domain = ((-3.0, 3.0), (0.4, 3.0))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        y = inputs[1]
        return cotangent / y if i == 0 else -(cotangent * output / y)


class DivideBy(Elementwise):
    """x / count, where the count is a dimension: the 1/n of a mean."""

    count: Dim
    like = np.divide
    formula = "{0} / {count}"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.divide(x, self.count, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.divide_by(cotangent, self.count)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.integer(1, 9)), draw.broadcastable(1, cls.domain)


class FloorDivide(Elementwise):
    """The floor of x / y; passes no gradient. Integers divided by zero raise ZeroDivisionError."""

    like = np.floor_divide
    differentiable = False
    formula = "{0} // {1}"
    domain = ((-9.0, 9.0), (0.4, 3.0))

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        _refuse_zero(self.name, x, y)
        return np.floor_divide(x, y, out=out)


class Remainder(Elementwise):
    """x - y * floor(x / y), with the sign of y. Integers divided by zero raise ZeroDivisionError.

    The gradient is that between the jumps: 1 for x, -floor(x / y) for y.
    """

    like = np.remainder
    formula = "{0} mod {1}"
    domain = ((1.1, 1.9), (2.1, 2.9))

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        _refuse_zero(self.name, x, y)
        return np.remainder(x, y, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, y = inputs
        return cotangent if i == 0 else -(cotangent * fn.floor_divide(x, y))


def _refuse_zero(name: str, x: Array, y: Array) -> None:
    if y.dtype.kind in "biu" and x.dtype.kind in "biu" and x.size and not np.all(y):
        where = tuple(int(i) for i in np.argwhere(y == 0)[0])
        raise DivisionError(f"{name}: an integer is divided by 0, which stands at index {where} of operand 1")


class Negative(Elementwise):
    """-x."""

    forward = np.negative
    formula = "-{0}"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return -cotangent


class Absolute(Elementwise):
    """|x|; the gradient at 0 is 0."""

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

    like = np.power
    formula = "{0} ^ {1}"
    domain = ((0.3, 3.0), (-2.0, 2.0))

    def forward(self, x: Array, y: Array, out: Array | None = None) -> Any:
        whole = self.result_dtype(x.dtype, y.dtype).kind in "iu"
        if whole and y.dtype.kind == "i" and np.any(y < 0):
            raise ValueRangeError("power: an integer to a negative integer power is no integer; cast one to a float")
        return np.power(x, y, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, y = inputs
        if i == 0:
            flat = fn.equal(y, 0)
            # The untaken branch must be finite too, or its own derivative would be 0 * inf.
            return cotangent * fn.where(flat, 0.0, y * fn.power(x, fn.where(flat, 1, y) - 1))
        zero = fn.logical_and(fn.equal(x, 0), fn.greater_equal(y, 0))
        return cotangent * fn.where(zero, 0.0, output * fn.log(fn.where(zero, 1, x)))


class Square(Elementwise):
    """x²."""

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

    forward = np.reciprocal
    formula = "1 / {0}"
    domain = ((0.4, 3.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return -(cotangent * fn.square(output))


class Exp(Elementwise):
    """exp(x)."""

    forward = np.exp
    formula = "exp({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * output


class Expm1(Elementwise):
    """exp(x) - 1, exact near 0."""

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

    forward = np.tanh
    formula = "tanh({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (1 - fn.square(output))


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)), without overflow on either side."""

    like = np.exp
    formula = "sigmoid({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = _floats(x)
        e = np.exp(-np.abs(x))
        return np.divide(np.where(x >= 0, 1, e), 1 + e, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (output * (1 - output))


class Softplus(Elementwise):
    """log(1 + exp(x)), without overflow."""

    like = np.exp
    formula = "softplus({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.logaddexp(_floats(x), 0, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * fn.sigmoid(inputs[0])


class Erf(Elementwise):
    """The error function, 2/√π ∫₀ˣ exp(-t²) dt.

    Notes
    -----
    The rational approximations of fdlibm's s_erf.c, computed in float64; at most one unit in the last place off.
    """

    like = np.exp
    formula = "erf({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, _erf(np.asarray(x, np.float64)).astype(self.result_dtype(x.dtype)))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (fn.exp(-fn.square(inputs[0])) * (2 / math.sqrt(math.pi)))


# Coefficients from the highest power down, of numerator and denominator: the figures of s_erf.c in fdlibm, published
# by Sun Microsystems in 1993.
_ERF_SMALL = (  # (erf(x) - x) / x, of x², below 0.84375
    (-2.37630166566501626084e-05, -5.77027029648944159157e-03, -2.84817495755985104766e-02,
     -3.25042107247001499370e-01, 1.28379167095512558561e-01),
    (-3.96022827877536812320e-06, 1.32494738004321644526e-04, 5.08130628187576562776e-03,
     6.50222499887672944485e-02, 3.97917223959155352819e-01, 1.0),
)  # fmt: skip
_ERF_AT_1 = 8.45062911510467529297e-01
_ERF_MIDDLE = (  # erf(x) - _ERF_AT_1, of x - 1, below 1.25
    (-2.16637559486879084300e-03, 3.54783043256182359371e-02, -1.10894694282396677476e-01,
     3.18346619901161753674e-01, -3.72207876035701323847e-01, 4.14856118683748331666e-01,
     -2.36211856075265944077e-03),
    (1.19844998467991074170e-02, 1.36370839120290507362e-02, 1.26171219808761642112e-01,
     7.18286544141962662868e-02, 5.40397917702171048937e-01, 1.06420880400844228286e-01, 1.0),
)  # fmt: skip
_ERFC_LARGE = (  # log(x erfc(x)) + x² + 0.5625, of 1/x², below 1/0.35
    (-9.81432934416914548592e+00, -8.12874355063065934246e+01, -1.84605092906711035994e+02,
     -1.62396669462573470355e+02, -6.23753324503260060396e+01, -1.05586262253232909814e+01,
     -6.93858572707181764372e-01, -9.86494403484714822705e-03),
    (-6.04244152148580987438e-02, 6.57024977031928170135e+00, 1.08635005541779435134e+02,
     4.29008140027567833386e+02, 6.45387271733267880336e+02, 4.34565877475229228821e+02,
     1.37657754143519042600e+02, 1.96512716674392571292e+01, 1.0),
)  # fmt: skip
_ERFC_LARGEST = (
    (-4.83519191608651397019e+02, -1.02509513161107724954e+03, -6.37566443368389627722e+02,
     -1.60636384855821916062e+02, -1.77579549177547519889e+01, -7.99283237680523006574e-01,
     -9.86494292470009928597e-03),
    (-2.24409524465858183362e+01, 4.74528541206955367215e+02, 2.55305040643316442583e+03,
     3.19985821950859553908e+03, 1.53672958608443695994e+03, 3.25792512996573918826e+02,
     3.03380607434824582924e+01, 1.0),
)  # fmt: skip


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    ratio: Array = np.polyval(coefficients[0], x) / np.polyval(coefficients[1], x)
    return ratio


def _erf_parts(x: Array) -> tuple[Array, Array, Array, Array]:
    """Return x and erf(x) - x, right below 0.84375; erf(|x|) - _ERF_AT_1, right below 1.25; and erfc(|x|) above."""
    size, near = np.abs(x), np.clip(x, -1, 1)
    middle = _ratio(_ERF_MIDDLE, np.clip(size, 0.75, 1.25) - 1)
    large = np.clip(size, 1.25, 28)
    inverse = 1 / np.square(large)
    power = np.where(large < 1 / 0.35, _ratio(_ERFC_LARGE, inverse), _ratio(_ERFC_LARGEST, inverse))
    # exp(-x²) in two parts, of which the first has an exact exponent: else its error would grow with x.
    coarse = large.astype(np.float32).astype(np.float64)
    rest = np.exp(-coarse * coarse - 0.5625) * np.exp((coarse - large) * (coarse + large) + power) / large
    return near, near * _ratio(_ERF_SMALL, np.square(near)), middle, rest


def _erf(x: Array) -> Array:
    near, small, middle, rest = _erf_parts(x)
    size = np.abs(x)
    return np.where(size < 0.84375, near + small, np.copysign(np.where(size < 1.25, _ERF_AT_1 + middle, 1 - rest), x))


def _erfc(x: Array) -> Array:
    near, small, middle, rest = _erf_parts(x)
    size = np.abs(x)
    small = np.where(near < 0.25, 1 - (near + small), 0.5 - (near - 0.5 + small))
    large = np.where(size < 1.25, 1 - _ERF_AT_1 - middle, rest)
    return np.where(size < 0.84375, small, np.where(x < 0, 2 - large, large))


# --- choosing -------------------------------------------------------------------------------------------------


class Maximum(Elementwise):
    """The larger of x and y; NaN passes through. A tie gives each half of the gradient."""

    forward = np.maximum
    formula = "max({0}, {1})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        mine, other = inputs[i], inputs[1 - i]
        lone = fn.where(fn.greater(mine, other), cotangent, 0.0)
        return fn.where(fn.equal(mine, other), cotangent * 0.5, lone)


class Minimum(Elementwise):
    """The smaller of x and y; NaN passes through. A tie gives each half of the gradient."""

    forward = np.minimum
    formula = "min({0}, {1})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        mine, other = inputs[i], inputs[1 - i]
        lone = fn.where(fn.less(mine, other), cotangent, 0.0)
        return fn.where(fn.equal(mine, other), cotangent * 0.5, lone)


class Clip(Elementwise):
    """x held between lo and hi; None leaves a side open. The gradient is 1 up to the bounds, 0 outside."""

    lo: float | None = None
    hi: float | None = None
    formula = "clip({0}, {lo}, {hi})"

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
        if self.lo is None and self.hi is None:
            return into(out, x)
        return np.clip(x, self.lo, self.hi, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.where(fn.equal(inputs[0], output), cotangent, 0.0)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        lo, hi = draw.choice([(-1.0, 1.5), (None, 0.5), (-0.5, None), (-1, 2), (None, None)])
        return cls(lo, hi), draw.broadcastable(1, cls.domain)


# The bounds are looked at as they are given; the attributes' own kinds check them.
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

    The gradient goes to the branch that was taken. The other branch is computed all the same: in
    ``where(x > 0, log(x), 0)`` the gradient at 0 is 0 * inf = NaN. Guard what goes in as well:
    ``where(x > 0, log(where(x > 0, x, 1)), 0)``.
    """

    formula = "{1} if {0} else {2}"

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        """Promote the two branches; the condition is a bool, or a number that is not 0."""
        return np.result_type(*dtypes[1:])

    def forward(self, condition: Array, x: Array, y: Array, out: Array | None = None) -> Any:
        return into(out, np.where(condition, x, y))

    def flows(self, i: int) -> bool:
        return i > 0

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        condition = inputs[0]
        return fn.where(condition, cotangent, 0.0) if i == 1 else fn.where(condition, 0.0, cotangent)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        condition, x, y = super().reads(index, operands)
        return (condition, x, None) if operands[0][condition] else (condition, None, y)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        condition, x, y = draw.broadcastable(3, cls.domain)
        return cls(), (condition > 0, x, y)


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

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        if dtypes[0].kind == "b" and self.decimals:
            raise DtypeError("round to decimals does not take bool")
        return np.dtype(np.float16) if dtypes[0].kind == "b" else dtypes[0]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, np.round(x, self.decimals))

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.choice([0, 1, -1])), draw.broadcastable(1, cls.domain)


class Cast(Elementwise):
    """x as another dtype; a gradient comes back in x's own."""

    dtype: DType
    formula = "{dtype}({0})"

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    def forward(self, x: Array, out: Array | None = None) -> Any:
        if out is None:
            return x.astype(self.dtype)
        np.copyto(out, x, casting="unsafe")
        return out

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.cast(cotangent, inputs[0].dtype)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.choice(["float64", "float32", "int64", "bool"])), draw.broadcastable(1, cls.domain)


class StopGradient(Elementwise):
    """x, through which no gradient passes."""

    differentiable = False
    formula = "{0}"

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        return dtypes[0]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return x if out is None else into(out, x)

    def flops(self, output: Spec, *inputs: Spec) -> Dim:
        """Return 0."""
        return 0


class Tally(Elementwise):
    """x, which counts something: over batches, tallies add up."""

    differentiable = False
    formula = "{0}"

    def result_dtype(self, *dtypes: np.dtype[Any]) -> np.dtype[Any]:
        if dtypes[0].kind not in "iu":
            raise DtypeError(f"tally takes integers, not {dtypes[0]}")
        return dtypes[0]

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return into(out, x)

    flops = StopGradient.flops

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(), (draw.integers(draw.shape(), -9, 9),)


# --- asking ---------------------------------------------------------------------------------------------------


class Predicate(Elementwise, abstract=True):
    """Base of what answers with bools, through which no gradient passes."""

    differentiable = False


class Comparison(Predicate, abstract=True):
    """Base of what compares two operands: integers with any whole number, also one that their dtype does not hold."""

    def number(self, value: bool | float, dtypes: Sequence[np.dtype[Any]]) -> Array:
        """Return a Python number as an operand; as another dtype where that of the integers does not hold it."""
        try:
            return super().number(value, dtypes)
        except OverflowError:
            if dtypes[0].kind not in "biu":
                raise
            if -(2**63) <= value < 2**64:
                return np.asarray(value, np.int64 if value < 2**63 else np.uint64)
            return np.asarray(math.inf if value > 0 else -math.inf)  # all integers lie on the same side of both


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


# --- activations ----------------------------------------------------------------------------------------------


class Relu(Elementwise):
    """max(x, 0); the gradient at 0 is 0."""

    like = np.negative
    formula = "max({0}, 0)"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.maximum(x, 0, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        # By the output, which is above 0 where the operand is: then nothing else needs the operand any more.
        return fn.where(fn.greater(output, 0), cotangent, 0.0)


class LeakyRelu(Elementwise):
    """x where x > 0, else negative_slope * x, which is also the gradient at 0."""

    negative_slope: float = 0.01
    like = np.exp
    formula = "leaky_relu({0}, {negative_slope})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = _floats(x)
        return into(out, np.where(x > 0, x, x * self.negative_slope))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.where(fn.greater(inputs[0], 0), cotangent, cotangent * self.negative_slope)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.choice([0.01, 0.3])), draw.broadcastable(1, cls.domain)


class Elu(Elementwise):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    alpha: float = 1.0
    like = np.exp
    formula = "elu({0}, {alpha})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = _floats(x)
        return into(out, np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * self.alpha))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x = inputs[0]
        return cotangent * fn.where(fn.greater(x, 0), 1.0, fn.exp(fn.minimum(x, 0.0)) * self.alpha)

    @classmethod
    def samples(cls, draw: Any) -> tuple[Op, tuple[Array, ...]]:
        return cls(draw.choice([1.0, 0.5])), draw.broadcastable(1, cls.domain)


class Prelu(Elementwise):
    """x where x > 0, else slope * x, with a slope that can be learned."""

    like = np.divide
    formula = "prelu({0}, {1})"

    def forward(self, x: Array, slope: Array, out: Array | None = None) -> Any:
        return into(out, np.where(x > 0, x, np.multiply(x, slope, dtype=self.result_dtype(x.dtype, slope.dtype))))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, slope = inputs
        positive = fn.greater(x, 0)
        if i == 0:
            return fn.where(positive, cotangent, cotangent * slope)
        return fn.where(positive, 0.0, cotangent * x)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, slope = super().reads(index, operands)
        return (x, None) if operands[0][x] > 0 else (x, slope)


class Gelu(Elementwise):
    """x Φ(x), where Φ is the distribution function of the standard normal (the exact form, by erf)."""

    like = np.exp
    formula = "gelu({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = _floats(x)
        below = 0.5 * _erfc(np.asarray(x, np.float64) * -math.sqrt(0.5))
        return into(out, (x * below).astype(x.dtype))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x = inputs[0]
        distribution = (fn.erf(x * math.sqrt(0.5)) + 1) * 0.5
        density = fn.exp(fn.square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
        return cotangent * (distribution + x * density)


class Silu(Elementwise):
    """x sigmoid(x)."""

    like = np.exp
    formula = "silu({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = _floats(x)
        e = np.exp(-np.abs(x))
        return np.multiply(x, np.where(x >= 0, 1, e) / (1 + e), out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        gate = fn.sigmoid(inputs[0])
        return cotangent * (gate + output * (1 - gate))
