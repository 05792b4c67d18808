"""Activation functions, dropout, and random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ..rule_registry import rule
from ..tensors import NUMBERS, dtype_of

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Dims, Known


@rule("Elu")
def elu(call: Call, x: Node, *, alpha: float = 1.0, consumed_inputs: Any = None) -> Any:
    """Return x where x > 0, else alpha * (exp(x) - 1)."""
    return fn.elu(x, alpha)


@rule("Selu")
def selu(call: Call, x: Node, *, alpha: float | None = None, gamma: float | None = None) -> Any:
    """Return gamma * elu(x); opsets before 6 have numbers of fewer digits."""
    exact = call.version >= 6
    alpha = (1.67326319217681884765625 if exact else 1.6732) if alpha is None else alpha
    gamma = (1.05070102214813232421875 if exact else 1.0507) if gamma is None else gamma
    return fn.elu(x, alpha) * gamma


@rule("Celu")
def celu(call: Call, x: Node, *, alpha: float = 1.0) -> Any:
    """Return x where x > 0, else alpha * (exp(x / alpha) - 1)."""
    return fn.elu(x, 1.0) if alpha == 1 else fn.elu(x / alpha, 1.0) * alpha


@rule("LeakyRelu")
def leaky_relu(call: Call, x: Node, *, alpha: float = 0.01, consumed_inputs: Any = None) -> Any:
    """Return x where x > 0, else alpha * x."""
    return fn.leaky_relu(x, alpha)


@rule("PRelu")
def prelu(call: Call, x: Node, slope: Node, *, consumed_inputs: Any = None) -> Any:
    """Return x where x > 0, else slope * x; before opset 7, a slope for each channel is a vector."""
    if call.version < 7 and slope.ndim == 1 and x.ndim > 2 and slope.spec.shape != (1,):
        slope = fn.reshape(slope, (*slope.spec.shape, *[1] * (x.ndim - 2)))
    return fn.prelu(x, slope)


@rule("HardSigmoid")
def hard_sigmoid(call: Call, x: Node, *, alpha: float = 0.2, beta: float = 0.5, consumed_inputs: Any = None) -> Any:
    """Return alpha * x + beta between 0 and 1."""
    return fn.clip(x * alpha + beta, 0.0, 1.0)


@rule("HardSwish")
def hard_swish(call: Call, x: Node) -> Any:
    """Return x times its hard sigmoid."""
    return x * fn.clip(x * (1 / 6) + 0.5, 0.0, 1.0)


@rule("Gelu")
def gelu(call: Call, x: Node, *, approximate: str = "none") -> Any:
    """Return x times the share of the standard normal that is below it."""
    return fn.gelu(x, approximate)


@rule("Mish")
def mish(call: Call, x: Node) -> Any:
    """Return x * tanh(softplus(x))."""
    return x * fn.tanh(fn.softplus(x))


@rule("ThresholdedRelu")
def thresholded_relu(call: Call, x: Node, *, alpha: float = 1.0) -> Any:
    """Return x where it is above alpha, else 0."""
    return fn.where(fn.greater(x, alpha), x, _number(x, 0))


@rule("Shrink")
def shrink(call: Call, x: Node, *, lambd: float = 0.5, bias: float = 0.0) -> Any:
    """Return x, nearer to 0 by the bias, where it is further than lambda from 0, and 0 between."""
    above = fn.where(fn.greater(x, lambd), _moved(x, -bias), _number(x, 0))
    return fn.where(fn.less(x, -lambd), _moved(x, bias), above)


def _moved(x: Node, by: float) -> Node:
    return x if not by else fn.cast(x + by, x.spec.dtype)


def _number(x: Node, value: float) -> Node:
    return x.graph.constant(np.array(value, x.spec.dtype))


@rule("Softsign")
def softsign(call: Call, x: Node) -> Any:
    """Return x / (1 + |x|)."""
    return x / (fn.absolute(x) + 1)


@rule("Swish")
def swish(call: Call, x: Node, *, alpha: float = 1.0) -> Any:
    """Return x * sigmoid(alpha * x)."""
    return fn.silu(x) if alpha == 1 else x * fn.sigmoid(x * alpha)


# --- random numbers -------------------------------------------------------------------------------------------------
# ONNX does not say which numbers they are. Here a node always gives the same ones, by its seed or its place.


def _drawn(call: Call, function: Any, shape: Dims, kind: Any, seed: float | None) -> Node:
    number = 0 if seed is None else int(np.float32(seed).view(np.uint32)) + 1
    dtype = np.dtype(kind).name
    counter = call.graph.constant(np.int64(0))
    return function(counter, tuple(shape), number, call.reader.count if seed is None else 0, dtype)  # type: ignore[no-any-return]


@rule("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
def random(
    call: Call,
    x: Node | None = None,
    *,
    dtype: int | None = None,
    shape: Dims | None = None,
    mean: float = 0.0,
    scale: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
    seed: float | None = None,
) -> Any:
    """Return random numbers, normal or uniform, of a shape."""
    known = x.spec.dtype if x is not None else np.dtype("float32")
    kind = known if dtype is None else dtype_of(dtype, "its result")
    dims = x.spec.shape if x is not None else shape or ()
    if call.op.startswith("RandomNormal"):
        return _affine(_drawn(call, fn.random_normal, dims, kind, seed), scale, mean)
    return _affine(_drawn(call, fn.random_uniform, dims, kind, seed), high - low, low)


def _affine(x: Node, scale: float, shift: float) -> Node:
    x = x if scale == 1 else x * scale
    return x if shift == 0 else x + shift


@rule("Bernoulli")
def bernoulli(call: Call, x: Node, *, dtype: int | None = None, seed: float | None = None) -> Any:
    """Return 1 with the probability that x says, else 0."""
    kind = x.spec.dtype if dtype is None else dtype_of(dtype, "its result")
    return fn.cast(fn.less(_drawn(call, fn.random_uniform, x.spec.shape, x.spec.dtype, seed), x), kind)


@rule("Multinomial")
def multinomial(
    call: Call, x: Node, *, dtype: int = NUMBERS["int32"], sample_size: int = 1, seed: float | None = None
) -> Any:
    """Return classes, drawn by the logarithms of their probabilities."""
    rows, classes = x.spec.shape
    uniform = _drawn(call, fn.random_uniform, (rows, sample_size, classes), x.spec.dtype, seed)
    # The largest, after a number of the Gumbel distribution is added to each, is drawn by the softmax.
    drawn = fn.argmax(fn.expand_dims(x, 1) - fn.log(-fn.log(uniform)), -1)
    return fn.cast(drawn, dtype_of(dtype, "its result"))


@rule("Dropout")
def dropout(
    call: Call,
    x: Node,
    ratio: Known | None = None,
    training_mode: Known | None = None,
    *,
    seed: float | None = None,
    is_test: int | None = None,
    consumed_inputs: Any = None,
) -> Any:
    """Return x, and that nothing of it is dropped; or in training, x with some elements 0 and the others larger."""
    rate = 0.5 if ratio is None else float(ratio)
    training = bool(training_mode) if training_mode is not None else call.version < 7 and not is_test
    kind = np.dtype(bool) if call.version >= 10 else x.spec.dtype
    if not training or rate == 0:
        return x, fn.broadcast_to(call.node(np.ones((), kind)), x.spec.shape) if len(call.outputs) > 1 else None
    kept = fn.greater_equal(_drawn(call, fn.random_uniform, x.spec.shape, "float32", seed), rate)
    return fn.where(kept, x * (1 / (1 - rate)), _number(x, 0)), fn.cast(kept, kind)
