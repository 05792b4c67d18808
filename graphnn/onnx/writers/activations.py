"""Activations, from operations that round as graphnn's own do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...ops import activations as ops
from .arithmetic import in_float32, to_result
from .functions import erfc, expm1_of, log1p_of, normal_single
from .group import F4, WRITERS, Group, writes

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value

_SQUARE_ROOT = math.sqrt(2 / math.pi)
_LINEAR, _CUBIC = 2 * _SQUARE_ROOT, 2 * _SQUARE_ROOT * 0.044715


def _in_floats(function: Any) -> Any:
    """Return the writer of a function of floats; of float16, it is computed in float32."""

    def write(g: Group, op: Any, x: Value) -> Value:
        (x,) = to_result(g, x)
        return g.cast(function(g, op, in_float32(g, x)), x.dtype)

    return write


def sigmoid_of(g: Group, x: Value) -> Value:
    """Return 1 / (1 + exp(-x)); ONNX Runtime's Sigmoid loses all digits below -18."""
    small = g("Exp", g("Neg", g("Abs", x)))
    is_above = g.cast(g("GreaterOrEqual", x, g.like(x, 0)), x.dtype)
    return g.divide(g("Max", small, is_above), g.add(small, 1))


def _softplus(g: Group, op: Op, x: Value) -> Value:
    rest = log1p_of(g, g("Exp", g("Neg", g("Abs", x))))
    return g.add(g("Max", x, g.like(x, 0)), rest)


def _leaky_relu(g: Group, op: Any, x: Value) -> Value:
    return g.where(g("Greater", x, g.like(x, 0)), x, g.multiply(x, op.negative_slope))


def _elu(g: Group, op: Any, x: Value) -> Value:
    below = g.multiply(expm1_of(g, g("Min", x, g.like(x, 0))), op.alpha)
    return g.where(g("Greater", x, g.like(x, 0)), x, below)


def _gelu(g: Group, op: Any, x: Value) -> Value:
    if op.approximate == "tanh":
        slope = g.add(g.multiply(g("Mul", x, x), _CUBIC), _LINEAR)
        return g.multiply(x, sigmoid_of(g, g.multiply(x, slope)))
    if x.dtype == F4:
        return g("Mul", x, normal_single(g, x))
    return g("Mul", x, g.multiply(erfc(g, g.multiply(x, -math.sqrt(0.5))), 0.5))


def _silu(g: Group, op: Op, x: Value) -> Value:
    return g.multiply(x, sigmoid_of(g, x))


WRITERS[ops.Sigmoid] = _in_floats(lambda g, op, x: sigmoid_of(g, x))
WRITERS[ops.Softplus] = _in_floats(_softplus)
WRITERS[ops.LeakyRelu] = _in_floats(_leaky_relu)
WRITERS[ops.Elu] = _in_floats(_elu)
WRITERS[ops.Gelu] = _in_floats(_gelu)
WRITERS[ops.Silu] = _in_floats(_silu)


@writes(ops.Relu)
def _relu(g: Group, op: Op, x: Value) -> Value:
    (x,) = to_result(g, x)
    return g("Relu", x) if x.dtype.kind == "f" else g("Max", x, g.like(x, 0))


@writes(ops.Prelu)
def _prelu(g: Group, op: Op, x: Value, slope: Value) -> Value:
    x, slope = to_result(g, x, slope)
    is_above = g("Greater", x, g.like(x, 0))
    return g.where(is_above, x, g.multiply(x, slope))
