"""Operations element by element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn, is_float, limits
from .call import cast, kind_of, several
from .table import aten, refused

if TYPE_CHECKING:
    from .call import Call

_OF_FLOATS = {
    **{name: name for name in ("exp", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos", "tan")},
    **{name: name for name in ("sinh", "cosh", "tanh", "sigmoid", "erf", "reciprocal")},
    **{f"a{name}": f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{f"arc{name}": f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "special_expit": "sigmoid",
    "special_erf": "erf",
    "special_expm1": "expm1",
    "special_log1p": "log1p",
}
_OF_ALL = {
    **{name: name for name in ("abs", "floor", "ceil", "sign", "square", "relu", "bitwise_not")},
    "absolute": "abs",
    "neg": "negative",
    "negative": "negative",
    "sgn": "sign",
}
_TESTS = {"isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "logical_not": "logical_not"}
_COMPARED = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    **{name: name for name in ("less", "less_equal", "greater", "greater_equal", "not_equal")},
}
_LOGICAL = ("logical_and", "logical_or", "logical_xor")
_BITWISE = {
    **{name: name for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "__lshift__": "left_shift",
    "__rshift__": "right_shift",
}


def _unary(name: str, ours: str, in_result: bool) -> None:
    def rule(call: Call, self: Node) -> Node:
        return getattr(fn, ours)(cast(self, call.dtype) if in_result else self)  # type: ignore[no-any-return]

    aten(name)(rule)


def _compared(name: str, ours: str) -> None:
    def rule(call: Call, self: Any, other: Any) -> Node:
        a, b = call.alike(self, other)
        return getattr(fn, ours)(a, b)  # type: ignore[no-any-return]

    aten(name)(rule)


def _in_result(name: str, ours: str) -> None:
    def rule(call: Call, self: Any, other: Any) -> Node:
        a, b = call.as_result(self, other)
        return getattr(fn, ours)(a, b)  # type: ignore[no-any-return]

    aten(name)(rule)


for _name, _ours in _OF_FLOATS.items():
    _unary(_name, _ours, in_result=True)
for _name, _ours in (*_OF_ALL.items(), *_TESTS.items()):
    _unary(_name, _ours, in_result=False)
for _name, _ours in _COMPARED.items():
    _compared(_name, _ours)
for _name in _LOGICAL:
    _compared(_name, _name)
for _name, _ours in _BITWISE.items():
    _in_result(_name, _ours)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def _times(call: Call, x: Any, alpha: Any) -> Any:
    return x if alpha == 1 else call.as_result(x)[0] * call.number(alpha)


@aten("add", "_foreach_add")
def add(call: Call, self: Any, other: Any, alpha: Any = 1) -> Node:
    """Return the sum."""
    if call.dtype.kind == "b":
        return fn.logical_or(*call.alike(self, other))
    a, b = call.as_result(self, other)
    return fn.add(a, _times(call, b, alpha))


@aten("sub", "subtract")
def sub(call: Call, self: Any, other: Any, alpha: Any = 1) -> Node:
    """Return the difference."""
    a, b = call.as_result(self, other)
    return fn.subtract(a, _times(call, b, alpha))


@aten("rsub")
def rsub(call: Call, self: Any, other: Any, alpha: Any = 1) -> Node:
    """Return other - alpha * x."""
    a, b = call.as_result(self, other)
    return fn.subtract(b, _times(call, a, alpha))


@aten("mul", "multiply")
def mul(call: Call, self: Any, other: Any) -> Node:
    """Return the product."""
    if call.dtype.kind == "b":
        return fn.logical_and(*call.alike(self, other))
    return fn.multiply(*call.as_result(self, other))


@aten("div", "divide", "true_divide")
def div(call: Call, self: Any, other: Any, rounding_mode: str | None = None) -> Node:
    """Return the quotient: as it is, or rounded down or towards 0."""
    a, b = call.as_result(self, other)
    if rounding_mode is None:
        return fn.divide(a, b)
    if rounding_mode == "floor":
        return fn.floor_divide(a, b)
    if not is_float(call.dtype):
        a = a if isinstance(a, Node) else call.node(a, call.dtype)
        return fn.floor_divide(a - fn.fmod(a, b), b)
    return _truncated(fn.divide(a, b))


@aten("floor_divide")
def floor_divide(call: Call, self: Any, other: Any) -> Node:
    """Return the quotient rounded down."""
    return fn.floor_divide(*call.as_result(self, other))


@aten("remainder")
def remainder(call: Call, self: Any, other: Any) -> Node:
    """Return the remainder, of the sign of the divisor."""
    return fn.remainder(*call.as_result(self, other))


@aten("fmod")
def fmod(call: Call, self: Any, other: Any) -> Node:
    """Return the remainder, of the sign of x."""
    return fn.fmod(*call.as_result(self, other))


@aten("pow", "float_power")
def power(call: Call, self: Any = None, exponent: Any = None) -> Node:
    """Return a power; of a number as the exponent, its derivative at 0 is that of the monomial."""
    a, b = call.as_result(self, exponent)
    if isinstance(b, (int, float)) and not isinstance(b, bool) and isinstance(a, Node):
        if b == 2:
            return fn.square(a)
        if b == 1:
            return a
        if b == 0.5 and is_float(call.dtype):
            return fn.sqrt(a)
        if b == -1 and is_float(call.dtype):
            return fn.reciprocal(a)
    return fn.power(a, b)


@aten("rsqrt")
def rsqrt(call: Call, self: Node) -> Node:
    """Return 1 / √x."""
    return fn.reciprocal(fn.sqrt(cast(self, call.dtype)))


@aten("maximum", "max.other", "fmax")
def maximum(call: Call, self: Any, other: Any) -> Node:
    """Return the larger of two numbers; the gradient of a tie of `fmax` is that of x."""
    if call.op == "fmax":
        return _without_nan(call, fn.greater_equal, self, other)
    return fn.maximum(*call.as_result(self, other))


@aten("minimum", "min.other", "fmin")
def minimum(call: Call, self: Any, other: Any) -> Node:
    """Return the smaller of two numbers; the gradient of a tie of `fmin` is that of x."""
    if call.op == "fmin":
        return _without_nan(call, fn.less_equal, self, other)
    return fn.minimum(*call.as_result(self, other))


def _without_nan(call: Call, first: Any, self: Any, other: Any) -> Node:
    """Return one of two numbers, the other one where one is NaN."""
    a, b = (call.node(each, call.dtype) for each in (self, other))
    own = first(a, b)
    return fn.where(own | fn.isnan(b) if is_float(call.dtype) else own, a, b)


@aten("clamp", "clip")
def clamp(call: Call, self: Node, min: Any = None, max: Any = None) -> Node:
    """Return x within bounds, which may be tensors."""
    x = cast(self, call.dtype)
    if not isinstance(min, (Node, str)) and not isinstance(max, (Node, str)):
        if call.dtype.kind in "iu":
            # A float bound of integers has made floats of them before.
            min, max = (None if each is None else int(each) for each in (min, max))
        if min is not None and max is not None and min > max:
            return fn.add(fn.zeros_like(x), max)
        return fn.clip(x, min, max)
    for bound, least in ((min, True), (max, False)):
        if bound is None:
            continue
        limit = call.node(bound, call.dtype)
        # As in PyTorch, the gradient of a tie is x's.
        x = fn.where(fn.less(x, limit) if least else fn.greater(x, limit), limit, x)
    return x


@aten("clamp_min")
def clamp_min(call: Call, self: Node, min: Any) -> Node:
    """Return x, or a bound where x is below."""
    return clamp(call, self, min, None)


@aten("clamp_max")
def clamp_max(call: Call, self: Node, max: Any) -> Node:
    """Return x, or a bound where x is above."""
    return clamp(call, self, None, max)


@aten("round")
def rounded(call: Call, self: Node, decimals: int = 0) -> Node:
    """Return x rounded to even."""
    return fn.round(self, decimals)


@aten("trunc", "fix")
def trunc(call: Call, self: Node) -> Node:
    """Return x rounded towards 0."""
    return _truncated(self) if is_float(self.spec.dtype) else self


def _truncated(x: Node) -> Node:
    return fn.where(fn.less(x, 0), fn.ceil(x), fn.floor(x))


@aten("frac")
def frac(call: Call, self: Node) -> Node:
    """Return what is behind the point."""
    return self - _truncated(self)


@aten("addcmul")
def addcmul(call: Call, self: Node, tensor1: Node, tensor2: Node, value: Any = 1) -> Node:
    """Return x + value * a * b."""
    x, a, b = call.as_result(self, tensor1, tensor2)
    return fn.add(x, _times(call, a * b, value))


@aten("addcdiv")
def addcdiv(call: Call, self: Node, tensor1: Node, tensor2: Node, value: Any = 1) -> Node:
    """Return x + value * a / b."""
    x, a, b = call.as_result(self, tensor1, tensor2)
    return fn.add(x, _times(call, a / b, value))


@aten("lerp")
def lerp(call: Call, self: Node, end: Node, weight: Any) -> Node:
    """Return x + weight * (end - x)."""
    x, last, share = call.as_result(self, end, weight)
    return fn.add(x, (last - x) * share)


@aten("where")
def where(call: Call, condition: Node, self: Any = 1, other: Any = 0) -> Node:
    """Return the elements of one or the other."""
    a, b = (call.node(each, call.dtype) for each in (self, other))
    return fn.where(cast(condition, bool), a, b)


@aten("masked_fill")
def masked_fill(call: Call, self: Node, mask: Node, value: Any) -> Node:
    """Return x with a number where a mask is true."""
    return fn.where(cast(mask, bool), call.node(value, self.spec.dtype), self)


@aten("hypot")
def hypot(call: Call, self: Node, other: Node) -> Node:
    """Return the root of the sum of two squares, without overflow."""
    a, b = call.as_result(self, other)
    size = fn.stop_gradient(fn.maximum(fn.abs(a), fn.abs(b)))
    size = fn.where(fn.greater(size, 0) & fn.isfinite(size), size, 1.0)
    return fn.sqrt(fn.square(a / size) + fn.square(b / size)) * size


@aten("atan2", "arctan2")
def atan2(call: Call, self: Node, other: Node) -> Node:
    """Return the angle of a point (other, x)."""
    return angle_of(*call.as_result(self, other))


def angle_of(y: Node, x: Node) -> Node:
    """Return the angle of a point (x, y), by the quotient that is not above 1."""
    steep = fn.greater(fn.abs(y), fn.abs(x))
    below = fn.where(steep, y, x)
    angle = fn.arctan(fn.where(steep, x, y) / fn.where(fn.equal(below, 0), np.inf, below))  # at the origin 0
    side = fn.where(_is_negative(y), -1.0, 1.0)
    level = angle + fn.where(_is_negative(x), math.pi, 0.0) * side
    return cast(fn.where(steep, side * (math.pi / 2) - angle, level), x.spec.dtype)


def _is_negative(x: Node) -> Node:
    """Return whether a number is below 0, or is -0."""
    return fn.less(x, 0) | (fn.equal(x, 0) & fn.less(fn.reciprocal(x), 0))


@aten("logaddexp")
def logaddexp(call: Call, self: Node, other: Node) -> Node:
    """Return log(exp(a) + exp(b)), without overflow."""
    return _logaddexp(*call.as_result(self, other))


def _logaddexp(a: Node, b: Node) -> Node:
    found = fn.maximum(a, b) + fn.softplus(-fn.abs(a - b))
    return fn.where(fn.equal(a, b) & fn.isinf(a), a, found)


@aten("logaddexp2")
def logaddexp2(call: Call, self: Node, other: Node) -> Node:
    """Return log₂(2^a + 2^b), without overflow."""
    return _logaddexp(*(each * math.log(2) for each in call.as_result(self, other))) / math.log(2)


@aten("exp2", "special_exp2")
def exp2(call: Call, self: Node) -> Node:
    """Return 2 to the x."""
    return fn.exp(cast(self, call.dtype) * math.log(2)) if is_float(call.dtype) else fn.power(2, self)


@aten("erfc", "special_erfc")
def erfc(call: Call, self: Node) -> Node:
    """Return 1 - erf(x)."""
    return 1 - fn.erf(cast(self, call.dtype))


@aten("logit", "special_logit")
def logit(call: Call, self: Node, eps: float | None = None) -> Node:
    """Return log(x / (1 - x)), of x kept a little away from 0 and 1."""
    x = cast(self, call.dtype)
    x = x if eps is None else fn.clip(x, eps, 1 - eps)
    return fn.log(x / (1 - x))


@aten("sinc", "special_sinc")
def sinc(call: Call, self: Node) -> Node:
    """Return sin(πx) / (πx), and 1 at 0."""
    x = cast(self, call.dtype) * math.pi
    zero = fn.equal(x, 0)
    return fn.where(zero, 1.0, fn.sin(x) / fn.where(zero, 1.0, x))


@aten("xlogy", "special_xlogy")
def xlogy(call: Call, self: Any, other: Any) -> Node:
    """Return x log(y), and 0 where x is 0."""
    x, y = (call.node(each, call.dtype) for each in (self, other))
    # The derivative at x = 0 is log(y), where it is a number.
    nothing = fn.equal(x, 0) & (fn.less_equal(y, 0) | fn.equal(y, np.inf))
    return fn.where(nothing, 0.0, x * fn.log(fn.where(nothing, 1.0, y)))


@aten("special_xlog1py")
def xlog1py(call: Call, self: Any, other: Any) -> Node:
    """Return x log(1 + y), and 0 where x is 0."""
    x, y = (call.node(each, call.dtype) for each in (self, other))
    nothing = fn.equal(x, 0) & (fn.less_equal(y, -1) | fn.equal(y, np.inf))
    return fn.where(nothing, 0.0, x * fn.log1p(fn.where(nothing, 0.0, y)))


@aten("nan_to_num")
def nan_to_num(call: Call, self: Node, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Node:
    """Return x with numbers in the place of NaN and the infinities."""
    if not is_float(self.spec.dtype):
        return self
    ends = limits(self.spec.dtype)
    high = float(ends.max) if posinf is None else posinf
    low = float(ends.min) if neginf is None else neginf
    x = fn.where(fn.isnan(self), 0.0 if nan is None else nan, self)
    return fn.where(fn.equal(x, np.inf), high, fn.where(fn.equal(x, -np.inf), low, x))


@aten("heaviside")
def heaviside(call: Call, self: Node, values: Node) -> Node:
    """Return 0 below 0, 1 above, and other values at 0."""
    x, at = call.as_result(self, values)
    return fn.where(fn.equal(x, 0), at, cast(fn.greater(x, 0), call.dtype))


@aten("copysign")
def copysign(call: Call, self: Any, other: Any) -> Node:
    """Return x with the sign of another number, that of a zero included."""
    x, y = (call.node(each, call.dtype) for each in (self, other))
    return fn.abs(x) * fn.where(_is_negative(y), -1.0, 1.0)


@aten("signbit")
def signbit(call: Call, self: Node) -> Node:
    """Return whether a number is negative; −0 is."""
    if not is_float(self.spec.dtype):
        return fn.less(self, 0)
    return _is_negative(self)


_LGAMMA = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_DIGAMMA = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
_FAR = 8
"""From where on Stirling's series is exact to float64 with these terms."""


def _series(x: Node, terms: tuple[float, ...]) -> Node:
    """Return a polynomial by Horner's rule."""
    found = x * terms[-1] + terms[-2]
    for term in terms[-3::-1]:
        found = found * x + term
    return found


def _shifted(x: Node) -> tuple[Node, Node, Node, Node]:
    """Return x or 1 - x, what is positive; where that is; that, if it is far enough, and else moved there."""
    below = fn.less_equal(x, 0)
    y = fn.where(below, 1 - x, x)
    near = fn.less(y, _FAR)
    return y, below, near, y + cast(near, x.spec.dtype) * _FAR


@aten("lgamma", "special_gammaln")
def lgamma(call: Call, self: Node) -> Node:
    """Return the logarithm of the absolute value of the gamma function, by Stirling's series."""
    x = cast(self, call.dtype)
    y, below, near, z = _shifted(x)
    far = (z - 0.5) * fn.log(z) - z + 0.5 * math.log(2 * math.pi) + _series(fn.reciprocal(fn.square(z)), _LGAMMA) / z
    product = fn.where(near, y, 1.0)
    for place in range(1, _FAR):
        product = product * fn.where(near, y + place, 1.0)
    found = far - fn.log(product)
    mirrored = math.log(math.pi) - fn.log(fn.abs(fn.sin(fn.where(below, x - fn.floor(x), 0.5) * math.pi))) - found
    return fn.where(below, mirrored, found)


@aten("digamma", "special_digamma", "special_psi")
def digamma(call: Call, self: Node) -> Node:
    """Return the derivative of `lgamma`."""
    x = cast(self, call.dtype)
    y, below, near, z = _shifted(x)
    square = fn.reciprocal(fn.square(z))
    found = fn.log(z) - 0.5 / z + _series(square, _DIGAMMA) * square
    for place in range(_FAR):
        found = found - fn.where(near, 1 / (y + place), 0.0)
    return fn.where(below, found - math.pi / fn.tan(fn.where(below, x - fn.floor(x), 0.5) * math.pi), found)


@aten(
    *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
    *("fake_quantize_per_tensor_affine_cachemask", "fake_quantize_per_channel_affine_cachemask"),
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
)
def fake_quantize(
    call: Call,
    self: Node,
    scale: Any,
    zero_point: Any,
    quant_min: int,
    quant_max: int,
    axis: int | None = None,
    fake_quant_enabled: Any = None,
) -> Any:
    """Return numbers as they would be stored in few bits; the gradient passes straight through, within the bounds.

    PyTorch reckons with scales of float32, whatever the dtype of x; and if there is one for all, the product is, too.
    """
    size, zero = call.node(scale, np.float32), call.node(zero_point, np.float32)
    if axis is not None:
        shape = (-1, *[1] * (self.ndim - axis % self.ndim - 1))
        size, zero = fn.reshape(size, shape), fn.reshape(zero, shape)
    places = fn.round(fn.stop_gradient(self) * fn.reciprocal(size)) + zero
    kept = fn.greater_equal(places, quant_min) & fn.less_equal(places, quant_max)
    within = np.float32 if axis is None else self.spec.dtype
    found = cast(fn.clip(places, float(quant_min), float(quant_max)) - zero, within) * cast(size, within)
    found = cast(found, self.spec.dtype)
    if fake_quant_enabled is not None:
        on = fn.not_equal(fake_quant_enabled, 0)
        found, kept = fn.where(on, found, fn.stop_gradient(self)), fn.logical_not(on) | kept
    found = found + fn.where(kept, self - fn.stop_gradient(self), 0.0)
    return (found, kept) if "cachemask" in call.op else found


@aten("deg2rad")
def deg2rad(call: Call, self: Node) -> Node:
    """Return radians of degrees."""
    return cast(self, call.dtype) * (math.pi / 180)


@aten("rad2deg")
def rad2deg(call: Call, self: Node) -> Node:
    """Return degrees of radians."""
    return cast(self, call.dtype) * (180 / math.pi)


# --- activations ----------------------------------------------------------------------------------------------------


@aten("gelu")
def gelu(call: Call, self: Node, approximate: str = "none") -> Node:
    """Return x Φ(x), or the approximation by tanh."""
    return fn.gelu(self, approximate="tanh" if approximate == "tanh" else "none")


@aten("silu")
def silu(call: Call, self: Node) -> Node:
    """Return x σ(x)."""
    return fn.silu(self)


@aten("relu6")
def relu6(call: Call, self: Node) -> Node:
    """Return x within 0 and 6; no gradient passes at the bounds."""
    return hardtanh(call, self, 0.0, 6.0)


@aten("hardtanh")
def hardtanh(call: Call, self: Node, min_val: Any = -1, max_val: Any = 1) -> Node:
    """Return x within bounds; unlike `clamp`, no gradient passes at the bounds."""
    return fn.where(fn.less_equal(self, min_val), min_val, fn.where(fn.greater_equal(self, max_val), max_val, self))


@aten("leaky_relu")
def leaky_relu(call: Call, self: Node, negative_slope: float = 0.01) -> Node:
    """Return x, and a part of it below 0."""
    return fn.leaky_relu(self, negative_slope)


@aten("rrelu", "rrelu_with_noise")
def rrelu(
    call: Call, self: Node, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, noise: Any = None
) -> Node:
    """Return x, and a part of it below 0, in evaluation."""
    if training:
        call.refuse("rrelu draws a slope for each number in training: write F.leaky_relu, or training=False")
    return fn.leaky_relu(self, (lower + upper) / 2)


@aten("prelu", "_prelu_kernel")
def prelu(call: Call, self: Node, weight: Node) -> Node:
    """Return x, and below 0 x times a weight of its channel."""
    if call.op == "prelu" and weight.ndim == 1 and self.ndim > 1 and weight.spec.shape != (1,):
        weight = fn.reshape(weight, (1, -1, *[1] * (self.ndim - 2)))
    return fn.prelu(self, weight)


@aten("elu")
def elu(call: Call, self: Node, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Node:
    """Return x above 0, and alpha * (exp(x) - 1) below, both scaled."""
    if scale == input_scale == 1:
        return fn.elu(self, float(alpha))
    above = fn.greater(self, 0)
    below = fn.where(above, 0.0, self)
    found = fn.where(above, self, fn.expm1(below if input_scale == 1 else below * input_scale) * alpha)
    return found if scale == 1 else found * scale


@aten("selu")
def selu(call: Call, self: Node) -> Node:
    """Return the scaled exponential linear unit."""
    return elu(call, self, 1.6732632423543772, 1.0507009873554805)


@aten("celu")
def celu(call: Call, self: Node, alpha: Any = 1.0) -> Node:
    """Return x above 0, and alpha * (exp(x / alpha) - 1) below."""
    return elu(call, self, alpha, 1, 1 / alpha)


@aten("softplus")
def softplus(call: Call, self: Node, beta: Any = 1, threshold: Any = 20) -> Node:
    """Return log(1 + exp(beta x)) / beta; x itself where beta x is above a threshold."""
    x = self * beta
    near = fn.less_equal(x, threshold)
    return fn.where(near, fn.softplus(fn.where(near, x, 0.0)) / beta, self)


@aten("log_sigmoid", "log_sigmoid_forward")
def log_sigmoid(call: Call, self: Node) -> Any:
    """Return log(σ(x))."""
    found = -fn.softplus(-self)
    return (found, fn.exp(-fn.abs(self))) if call.op == "log_sigmoid_forward" else found


@aten("mish")
def mish(call: Call, self: Node) -> Node:
    """Return x tanh(softplus(x))."""
    return self * fn.tanh(fn.softplus(self))


@aten("hardsigmoid")
def hardsigmoid(call: Call, self: Node) -> Node:
    """Return x / 6 + ½ within 0 and 1; no gradient passes at the bounds."""
    return hardtanh(call, self + 3.0, 0.0, 6.0) / 6.0


@aten("hardswish")
def hardswish(call: Call, self: Node) -> Node:
    """Return x times its hard sigmoid: 0 up to −3, x from 3 on."""
    inner = self * ((self + 3.0) / 6.0)
    return fn.where(fn.less_equal(self, -3.0), 0.0, fn.where(fn.greater_equal(self, 3.0), self, inner))


@aten("hardshrink")
def hardshrink(call: Call, self: Node, lambd: Any = 0.5) -> Node:
    """Return x where it is not near 0, else 0."""
    near = fn.less_equal(fn.abs(self), lambd)
    return fn.where(near, 0.0, self)


@aten("softshrink")
def softshrink(call: Call, self: Node, lambd: Any = 0.5) -> Node:
    """Return x nearer to 0 by a number."""
    found = fn.where(fn.greater(self, lambd), self - lambd, fn.where(fn.less(self, -lambd), self + lambd, self * 0.0))
    return found


@aten("threshold")
def threshold(call: Call, self: Node, threshold: Any, value: Any) -> Node:
    """Return x above a threshold, else another number."""
    return fn.where(fn.less_equal(self, threshold), value, self)


@aten("glu")
def glu(call: Call, self: Node, dim: int = -1) -> Node:
    """Return one half of x times the sigmoid of the other."""
    a, b = several(fn.split(self, 2, axis=dim))
    return fn.multiply(a, fn.sigmoid(b))


@aten("softmax", "_softmax", "special_softmax")
def softmax(call: Call, self: Node, dim: int, dtype: Any = None, half_to_float: bool = False) -> Node:
    """Return shares along an axis."""
    x = cast(self, call.dtype)
    return fn.softmax(x, axis=dim) if x.ndim else fn.ones_like(x) + x * 0.0


@aten("log_softmax", "_log_softmax", "special_log_softmax")
def log_softmax(call: Call, self: Node, dim: int, dtype: Any = None, half_to_float: bool = False) -> Node:
    """Return the logarithms of shares along an axis."""
    x = cast(self, call.dtype)
    return fn.log_softmax(x, axis=dim) if x.ndim else x * 0.0


@aten("_safe_softmax")
def safe_softmax(call: Call, self: Node, dim: int, dtype: Any = None) -> Node:
    """Return shares along an axis, and 0 where all numbers are −∞."""
    x = cast(self, call.dtype)
    empty = fn.all(fn.equal(x, -np.inf), axis=dim, keepdims=True)
    return fn.where(empty, 0.0, fn.softmax(fn.where(empty, 0.0, x), axis=dim))


@aten("to", "_to_copy", "type_as", "float", "to.dtype", "to.dtype_layout", "to.device", "to.prim_Device", "to.other")
def to(call: Call, self: Node, dtype: Any = None, other: Any = None) -> Node:
    """Return x in another dtype; floats are cut to integers."""
    if kind_of(call.dtype) == 0 and self.spec.dtype.kind != "b":
        return fn.not_equal(self, 0)
    return cast(self, call.dtype)


_UNKNOWN = "graphnn has no {}: write it in other operations, or compute it before the module"
for _name in ("erfinv", "polygamma", "i0", "igamma", "igammac", "nextafter", "frexp", "gcd", "lcm"):
    refused(_name, why=_UNKNOWN.format(_name))
for _name in ("erfcx", "log_ndtr", "i0e", "i1", "i1e", "ndtri", "zeta", "bessel_j0", "bessel_j1"):
    refused(f"special_{_name}", why=_UNKNOWN.format(_name))
