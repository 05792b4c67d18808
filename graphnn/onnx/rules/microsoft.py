"""Other operations into which ONNX Runtime fuses or quantizes (the domain com.microsoft)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ..rule_registry import rule
from .convolution import conv
from .integer_matmul import aligned, centred, requantized
from .kit import computed, multiplied, number
from .pooling import average_pool, max_pool
from .quantization import by_bytes, product

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value

_MICROSOFT = "com.microsoft"


@rule("FusedMatMul", domain=_MICROSOFT)
def fused_matmul(
    call: Call,
    a: Node,
    b: Node,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Any:
    """Return alpha times the product of matrices, which may be transposed."""
    if transBatchA or transBatchB:
        call.refuse("it moves the first axis of its operands, which graphnn does not read")
    y = fn.matmul(fn.swapaxes(a, -1, -2) if transA else a, fn.swapaxes(b, -1, -2) if transB else b)
    return y if alpha == 1 else y * number(call, alpha, y)


@rule("Gelu", domain=_MICROSOFT)
def gelu(call: Call, x: Node) -> Any:
    """Return x times the share of a normal distribution below it."""
    return fn.gelu(x)


@rule("BiasGelu", domain=_MICROSOFT)
def bias_gelu(call: Call, a: Node, b: Node) -> Any:
    """Return `gelu` of a sum."""
    return fn.gelu(a + b)


@rule("FastGelu", domain=_MICROSOFT)
def fast_gelu(call: Call, x: Node, b: Node | None = None) -> Any:
    """Return `gelu` by a hyperbolic tangent, of x or of a sum."""
    return fn.gelu(x if b is None else x + b, approximate="tanh")


@rule("QuickGelu", domain=_MICROSOFT)
def quick_gelu(call: Call, x: Node, *, alpha: float = 1.702) -> Any:
    """Return x times the sigmoid of alpha x."""
    return x * fn.sigmoid(x * number(call, alpha, x))


def _activated(call: Call, y: Node, activation: str, params: list[float]) -> Node:
    known: dict[str, Callable[..., Node]] = {
        "": lambda: y,
        "Relu": lambda: fn.relu(y),
        "Tanh": lambda: fn.tanh(y),
        "Sigmoid": lambda: fn.sigmoid(y),
        "LeakyRelu": lambda: fn.leaky_relu(y, *params),
        "Clip": lambda: fn.clip(y, *params),
        "HardSigmoid": lambda: fn.clip(y * params[0] + params[1], 0.0, 1.0),
    }
    if activation not in known:
        call.refuse(f"graphnn does not know its activation {activation!r}")
    return known[activation]()


@rule("FusedConv", domain=_MICROSOFT)
def fused_conv(
    call: Call,
    x: Node,
    w: Node,
    b: Node | None = None,
    z: Node | None = None,
    *,
    activation: str = "",
    activation_params: Any = None,
    auto_pad: str = "NOTSET",
    dilations: Any = None,
    group: int = 1,
    kernel_shape: Any = None,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return a convolution, to which something is added, through an activation."""
    y = conv(call, x, w, b, auto_pad=auto_pad, dilations=dilations, group=group, pads=pads, strides=strides)
    y = y if z is None else y + z
    return _activated(call, y, activation, list(activation_params or ()))


@rule("FusedGemm", domain=_MICROSOFT)
def fused_gemm(
    call: Call,
    a: Node,
    b: Node,
    c: Node | None = None,
    *,
    activation: str = "",
    activation_alpha: float = 0.0,
    activation_beta: float = 0.0,
    activation_gamma: float = 0.0,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    """Return a product of matrices plus an array, through an activation."""
    y = fused_matmul(call, a, b, alpha=alpha, transA=transA, transB=transB)
    if c is not None:
        y = y + (c if beta == 1 else c * number(call, beta, c))
    params = {"LeakyRelu": [activation_alpha]}.get(activation, [activation_alpha, activation_beta])
    return _activated(call, y, activation, params)


@rule("NhwcMaxPool", domain=_MICROSOFT)
def nhwc_max_pool(
    call: Call,
    x: Node,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Any = None,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the largest element of each window of x, whose channels are its last axis."""
    y = max_pool(
        call,
        fn.moveaxis(x, -1, 1),
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        dilations=dilations,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return fn.moveaxis(y, 1, -1)


# --- of bytes -------------------------------------------------------------------------------------------------------


def _floats(call: Call, x: Value, scale: Value, zero: Value) -> Node:
    """Return bytes as the numbers that they stand for."""
    return multiplied(call, centred(call, x, zero, scale.dtype), aligned(call, scale, x.ndim, None))


def _bytes(call: Call, y: Node, scale: Value, zero: Value) -> Node:
    """Return numbers as bytes."""
    point = np.zeros((), np.uint8) if zero is None else aligned(call, zero, y.ndim, None)
    return requantized(call, y / call.node(aligned(call, scale, y.ndim, None)), point)


@rule("QLinearAdd", "QLinearMul", domain=_MICROSOFT)
def qlinear_two(
    call: Call,
    a: Node,
    a_scale: Value,
    a_zero_point: Value | None,
    b: Value,
    b_scale: Value,
    b_zero_point: Value | None,
    c_scale: Value,
    c_zero_point: Value = None,
) -> Any:
    """Return the sum or the product of bytes as bytes."""
    left, right = _floats(call, a, a_scale, a_zero_point), _floats(call, b, b_scale, b_zero_point)
    y = left + right if call.op == "QLinearAdd" else left * right
    return _bytes(call, y, c_scale, _zero(a, c_zero_point))


def _zero(x: Value, zero: Value) -> Value:
    """Return a zero point; 0 where there is none."""
    return np.zeros((), x.dtype) if zero is None else zero


@rule("QLinearSigmoid", "QLinearLeakyRelu", domain=_MICROSOFT)
def qlinear_one(
    call: Call,
    x: Node,
    x_scale: Value,
    x_zero_point: Value | None,
    y_scale: Value,
    y_zero_point: Value = None,
    *,
    alpha: float = 0.01,
) -> Any:
    """Return an activation of bytes as bytes."""
    floats = _floats(call, x, x_scale, x_zero_point)
    y = fn.sigmoid(floats) if call.op == "QLinearSigmoid" else fn.leaky_relu(floats, alpha)
    return _bytes(call, y, y_scale, _zero(x, y_zero_point))


@rule("QLinearSoftmax", domain=_MICROSOFT)
def qlinear_softmax(
    call: Call,
    x: Node,
    x_scale: Value,
    x_zero_point: Value | None,
    y_scale: Value,
    y_zero_point: Value | None,
    *,
    axis: int = -1,
    opset: int,
) -> Any:
    """Return the softmax of bytes as bytes."""
    if opset < 13 and axis % x.ndim != x.ndim - 1:
        call.refuse("its softmax is over several axes, which graphnn does not read")
    return _bytes(call, fn.softmax(_floats(call, x, x_scale, None), axis=axis), y_scale, y_zero_point)


@rule("QLinearGlobalAveragePool", domain=_MICROSOFT)
def qlinear_global_average_pool(
    call: Call,
    x: Node,
    x_scale: Value,
    x_zero_point: Value | None,
    y_scale: Value,
    y_zero_point: Value | None,
    *,
    channels_last: int = 0,
) -> Any:
    """Return the means of channels of bytes as bytes."""
    axes = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
    y = fn.mean(_floats(call, x, x_scale, x_zero_point), axis=axes, keepdims=True)
    return _bytes(call, y, y_scale, y_zero_point)


@rule("QLinearAveragePool", domain=_MICROSOFT)
def qlinear_average_pool(
    call: Call,
    x: Node,
    x_scale: Value,
    x_zero_point: Value | None,
    y_scale: Value,
    y_zero_point: Value = None,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    channels_last: int = 0,
    count_include_pad: int = 0,
    kernel_shape: Any,
    pads: Any = None,
    strides: Any = None,
) -> Any:
    """Return the means of windows of bytes as bytes."""
    floats = _floats(call, x, x_scale, x_zero_point)
    y = average_pool(
        call,
        fn.moveaxis(floats, -1, 1) if channels_last else floats,
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        kernel_shape=kernel_shape,
        pads=pads,
        strides=strides,
    )
    return _bytes(call, fn.moveaxis(y, 1, -1) if channels_last else y, y_scale, _zero(x, y_zero_point))


@rule("QLinearConcat", domain=_MICROSOFT)
def qlinear_concat(call: Call, y_scale: Value, y_zero_point: Value, *parts: Value, axis: int) -> Any:
    """Return arrays of bytes, each with a scale of its own, one after the other."""
    arrays = [_floats(call, *parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return _bytes(call, fn.concatenate(arrays, axis=axis), y_scale, y_zero_point)


@rule("QGemm", domain=_MICROSOFT)
def qgemm(
    call: Call,
    a: Node,
    a_scale: Value,
    a_zero_point: Value | None,
    b: Value,
    b_scale: Value,
    b_zero_point: Value | None,
    c: Node | None = None,
    y_scale: Value = None,
    y_zero_point: Value = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    """Return the product of matrices of bytes, plus whole numbers, as bytes or as floats."""
    a = fn.transpose(a) if transA else a
    b = computed(call, lambda each: each.T, fn.transpose, b) if transB else b
    y = product(call, a, b, a_zero_point, b_zero_point)
    if c is not None:
        y = y + fn.cast(c, y.spec.dtype)
    scale = multiplied(call, aligned(call, a_scale, 2, None), aligned(call, b_scale, 2, None))
    y = fn.cast(y, scale.spec.dtype) * (scale if alpha == 1 else scale * number(call, alpha, scale))
    return y if y_scale is None else _bytes(call, y, y_scale, _zero(a, y_zero_point))


@rule("MatMulIntegerToFloat", domain=_MICROSOFT)
def matmul_integer_to_float(
    call: Call,
    a: Node,
    b: Value,
    a_scale: Value,
    b_scale: Value,
    a_zero_point: Value = None,
    b_zero_point: Value = None,
    bias: Node | None = None,
) -> Any:
    """Return the product of matrices of bytes, times their scales, plus an array."""
    y = product(call, a, b, a_zero_point, b_zero_point)
    scale = multiplied(call, aligned(call, a_scale, y.ndim, None), aligned(call, b_scale, y.ndim, None))
    y = fn.cast(y, scale.spec.dtype) * scale
    return y if bias is None else y + bias


@rule("DynamicQuantizeMatMul", domain=_MICROSOFT)
def dynamic_quantize_matmul(
    call: Call,
    a: Node,
    b: Value,
    b_scale: Value,
    b_zero_point: Value = None,
    bias: Node | None = None,
) -> Any:
    """Return the product of floats, made bytes first, with bytes."""
    y = by_bytes(call, a, b, b_scale, b_zero_point)
    return y if bias is None else y + bias
