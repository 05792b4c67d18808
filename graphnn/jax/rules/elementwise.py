"""Rules of what acts on each element by itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ops.activations import _CUBIC, _LINEAR
from ..library import jax, jnp, lax
from .registry import RULES, Rule, rule

if TYPE_CHECKING:
    from ..tracing import Tracing

_UFUNCS = """
    absolute add arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh divide equal exp expm1 floor greater
    greater_equal isfinite isinf isnan less less_equal log log10 log1p log2 logical_and logical_not logical_or
    logical_xor maximum minimum multiply negative not_equal sign sin sinh sqrt square subtract tan tanh
    bitwise_and bitwise_or bitwise_xor invert left_shift right_shift
"""
"""What NumPy and JAX call the same."""


def _same(name: str) -> Any:
    return lambda op, *operands: getattr(jnp, name)(*operands)


RULES.update({name: Rule(_same(name), "ufunc") for name in _UFUNCS.split()})


@rule("floor_divide", "remainder", "fmod", casts="ufunc", refuses=True)
def _whole_quotient(op: Any, tracing: Tracing, x: Any, y: Any) -> Any:
    if jnp.issubdtype(y.dtype, np.floating):
        return {"floor_divide": _floor_divide, "remainder": jnp.remainder, "fmod": jnp.fmod}[op.name](x, y)
    if x.size:
        tracing.refuse(y == 0)
    return getattr(jnp, op.name)(x, jnp.where(y == 0, 1, y).astype(y.dtype))


def _floor_divide(x: Any, y: Any) -> Any:
    # As NumPy: of what is not finite, the quotient; else through the remainder, so that no rounding crosses a number.
    rest = jnp.fmod(x, y)
    quotient = (x - rest) / y
    quotient = jnp.where((rest != 0) & ((y < 0) != (rest < 0)), quotient - 1, quotient)
    down = jnp.floor(quotient)
    down = jnp.where(quotient - down > 0.5, down + 1, down)
    return jnp.where(y == 0, x / y, jnp.where(quotient == 0, jnp.copysign(0, x / y), down))


@rule("reciprocal", casts="ufunc")
def _reciprocal(op: Any, x: Any) -> Any:
    if jnp.issubdtype(x.dtype, np.floating):
        return 1 / x
    at_zero = np.iinfo(x.dtype).min if x.dtype.kind == "i" and x.dtype.itemsize > 2 else 0
    return jnp.where(x == 0, at_zero, jnp.where((x == 1) | (x + 1 == 0), x, 0)).astype(x.dtype)


@rule("power", casts="ufunc", refuses=True)
def _power(op: Any, tracing: Tracing, x: Any, y: Any) -> Any:
    if jnp.issubdtype(y.dtype, np.floating):
        return jnp.power(x, y)
    if jnp.issubdtype(y.dtype, np.signedinteger):
        tracing.refuse(y < 0)
    return jnp.power(x, y)


@rule("cast", "stop_gradient", "sum_over_batches")
def _as_it_is(op: Any, x: Any) -> Any:
    return lax.stop_gradient(x) if op.name == "stop_gradient" else x


@rule("divide_by_size", casts="result")
def _divide_by_size(op: Any, x: Any) -> Any:
    return x / np.asarray(op.count, x.dtype)


@rule("round")
def _round(op: Any, x: Any) -> Any:
    if jnp.issubdtype(x.dtype, np.floating):
        return jnp.round(x, op.decimals)
    if op.decimals >= 0:
        return x
    scale = 10.0**-op.decimals
    return jnp.round(x.astype(np.float64) / scale) * scale


@rule("clip", casts="result")
def _clip(op: Any, x: Any) -> Any:
    for bound, function in ((op.lo, jnp.maximum), (op.hi, jnp.minimum)):
        fits = bound is not None
        if fits and jnp.issubdtype(x.dtype, np.integer):
            fits = np.iinfo(x.dtype).min <= bound <= np.iinfo(x.dtype).max
        x = function(x, np.asarray(bound, x.dtype)) if fits else x
    return x


@rule("where")
def _where(op: Any, condition: Any, x: Any, y: Any) -> Any:
    dtype = np.result_type(x.dtype, y.dtype)
    return jnp.where(condition.astype(bool), x.astype(dtype), y.astype(dtype))


# --- activations ----------------------------------------------------------------------------------------------------


@rule("sigmoid", casts="result")
def _sigmoid(op: Any, x: Any) -> Any:
    return jax.nn.sigmoid(x)


@rule("softplus", casts="result")
def _softplus(op: Any, x: Any) -> Any:
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@rule("relu", casts="result")
def _relu(op: Any, x: Any) -> Any:
    return jnp.maximum(x, 0)


@rule("leaky_relu", casts="result")
def _leaky_relu(op: Any, x: Any) -> Any:
    return jnp.where(x > 0, x, x * op.negative_slope)


@rule("elu", casts="result")
def _elu(op: Any, x: Any) -> Any:
    return jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0)) * op.alpha)


@rule("prelu", casts="result")
def _prelu(op: Any, x: Any, slope: Any) -> Any:
    return jnp.where(x > 0, x, x * slope)


@rule("silu", casts="result")
def _silu(op: Any, x: Any) -> Any:
    return x * jax.nn.sigmoid(x)


@rule("erf", casts="result")
def _erf(op: Any, x: Any) -> Any:
    return lax.erf(x)


@rule("gelu", casts="result")
def _gelu(op: Any, x: Any) -> Any:
    if op.approximate == "tanh":
        return x * jax.nn.sigmoid(x * (x * x * _CUBIC + _LINEAR))
    return x * (0.5 * lax.erfc(x * -math.sqrt(0.5)))
