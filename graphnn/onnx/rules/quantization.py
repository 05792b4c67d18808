"""Numbers as bytes with a scale and a zero point, and products of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ..rule_registry import rule
from ..tensors import dtype_of
from .integer_matmul import aligned, centred, exact, requantized
from .kit import bounded, computed, multiplied, number

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value


def _spread(call: Call, scale: Value, x: Value, axis: int, block: int) -> Value:
    """Return scales so that they broadcast with x: one, one for each place of an axis, or one for each block."""
    if scale.ndim <= 1 or not block:
        return aligned(call, scale, x.ndim, axis % x.ndim)
    n = x.shape[axis]
    bounded(call, block, *[dim for dim in scale.shape if isinstance(dim, int)])

    def nodes(each: Node) -> Node:
        wide = fn.repeat(each, block, axis=axis % x.ndim)
        return fn.getitem(wide, (*[slice(None)] * (axis % x.ndim), slice(None, n)))

    return computed(
        call,
        lambda each: np.take(np.repeat(each, block, axis), np.arange(int(n)), axis),
        nodes,
        scale,
    )


@rule("QuantizeLinear")
@rule("QuantizeLinear", domain="com.microsoft")
def quantize_linear(
    call: Call,
    x: Node,
    y_scale: Value,
    y_zero_point: Value = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Any:
    """Return x divided by its scale and rounded, as bytes."""
    kind = np.dtype(np.uint8)
    if y_zero_point is not None:
        kind = y_zero_point.dtype
    elif output_dtype:
        kind = dtype_of(output_dtype, "its result")
    zero = np.zeros((), kind) if y_zero_point is None else _spread(call, y_zero_point, x, axis, block_size)
    floats = x if x.spec.dtype.kind == "f" else fn.cast(x, y_scale.dtype)
    if precision:
        floats = fn.cast(floats, dtype_of(precision, "its precision"))
    scale = _as(call, _spread(call, y_scale, x, axis, block_size), floats.spec.dtype)
    return requantized(call, floats / call.node(scale), zero)


def _as(call: Call, x: Value, dtype: Any) -> Value:
    return x if x.dtype == dtype else computed(call, lambda a: a.astype(dtype), lambda a: fn.cast(a, dtype), x)


@rule("DequantizeLinear")
@rule("DequantizeLinear", domain="com.microsoft")
def dequantize_linear(
    call: Call,
    x: Value,
    x_scale: Value,
    x_zero_point: Value = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Any:
    """Return bytes less their zero point, times their scale."""
    scale = _spread(call, x_scale, x, axis, block_size)
    zero = None if x_zero_point is None else _spread(call, x_zero_point, x, axis, block_size)
    kind = scale.dtype if not output_dtype else dtype_of(output_dtype, "its result")
    wide = np.dtype(np.float64) if x.dtype.itemsize > 2 and x.dtype.kind != "f" else np.dtype(np.float32)
    moved = multiplied(call, centred(call, x, zero, wide), _as(call, scale, wide))
    return call.node(_as(call, moved, kind))


def dynamic(call: Call, x: Node) -> tuple[Node, Node, Node]:
    """Return x as uint8 (still of floats), its scale, and its zero point (still a float)."""
    zero = number(call, 0, x)
    low, high = fn.minimum(fn.min(x), zero), fn.maximum(fn.max(x), zero)
    scale = (high - low) / number(call, 255, x)
    scale = fn.where(fn.equal(scale, zero), number(call, 1, x), scale)
    point = fn.clip(fn.round(-low / scale), 0.0, 255.0)
    return fn.clip(fn.round(x / scale) + point, 0.0, 255.0), scale, point


@rule("DynamicQuantizeLinear")
def dynamic_quantize_linear(call: Call, x: Node) -> Any:
    """Return x as bytes, with the scale and the zero point that its smallest and largest elements ask for."""
    y, scale, point = dynamic(call, x)
    return fn.cast(y, "uint8"), scale, fn.cast(point, "uint8")


def product(
    call: Call,
    a: Node,
    b: Value,
    a_zero: Value,
    b_zero: Value,
) -> Node:
    """Return the exact product of matrices of bytes, as floats; zero points are one, or of rows and of columns."""
    kind = exact(call, b, b_zero, (b.ndim - 2 if b.ndim > 1 else 0,))
    left = centred(call, a, a_zero, kind, a.ndim - 2 if a.ndim > 1 else 0)
    return fn.matmul(left, centred(call, b, b_zero, kind, b.ndim - 1))


def _scaled(call: Call, y: Node, a_scale: Value, b_scale: Value, y_scale: Value) -> Node:
    """Return products times their scales, where a's may be of rows, and b's of columns."""
    rows = aligned(call, a_scale, y.ndim, y.ndim - 2) if y.ndim > 1 else a_scale
    columns = aligned(call, b_scale, y.ndim, y.ndim - 1)
    last = aligned(call, y_scale, y.ndim, y.ndim - 2)
    scale = computed(call, lambda a, b, c: a * b / c, lambda a, b, c: a * b / c, rows, columns, last)
    return y * call.node(_as(call, scale, y.spec.dtype))


@rule("QLinearMatMul")
def qlinear_matmul(
    call: Call,
    a: Node,
    a_scale: Value,
    a_zero_point: Value,
    b: Value,
    b_scale: Value,
    b_zero_point: Value,
    y_scale: Value,
    y_zero_point: Value,
) -> Any:
    """Return the product of matrices of bytes, scaled to bytes."""
    y = product(call, a, b, a_zero_point, b_zero_point)
    y = _scaled(call, y, a_scale, b_scale, y_scale)
    return requantized(call, y, aligned(call, y_zero_point, y.ndim, y.ndim - 2))


@rule("MatMulInteger")
def matmul_integer(call: Call, a: Node, b: Value, a_zero_point: Value = None, b_zero_point: Value = None) -> Any:
    """Return the product of matrices of bytes, less their zero points, as int32."""
    return fn.cast(product(call, a, b, a_zero_point, b_zero_point), "int32")


def by_bytes(call: Call, a: Node, b: Value, b_scale: Value, b_zero: Value) -> Node:
    """Return the product of floats, made bytes first, with bytes, as floats."""
    whole, scale, point = dynamic(call, a)
    y = product(call, whole - point, b, None, b_zero)
    return fn.cast(y, a.spec.dtype) * (scale * call.node(aligned(call, b_scale, y.ndim, None)))
