"""Normalization: of batches, instances, layers, groups, and of neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from ...core.symbolic_shapes import floor_divide
from ..rule_registry import rule
from .kit import along, computed, ints, number

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value


@rule("BatchNormalization")
def batch_normalization(
    call: Call,
    x: Node,
    scale: Value,
    b: Value,
    mean: Value,
    var: Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    is_test: int = 1,
    spatial: int = 1,
    consumed_inputs: Any = None,
) -> Any:
    """Return x normalized by the statistics of its channels: those that are given, or in training those of x."""
    if not spatial:
        call.refuse("it has statistics for every place, which graphnn does not read")
    if training_mode or (not is_test and call.version < 7):
        axes = (0, *range(2, x.ndim))
        own_mean, own_var = fn.mean(x, axis=axes), fn.var(x, axis=axes)
        around, wide = along(call, own_mean, x.ndim), along(call, own_var, x.ndim)
        y = _scaled(call, x, around, wide, along(call, scale, x.ndim), along(call, b, x.ndim), epsilon)
        moved = [
            given * number(call, momentum, given) + fn.cast(own, given.spec.dtype) * number(call, 1 - momentum, given)
            for given, own in ((call.node(mean), own_mean), (call.node(var), own_var))
        ]
        return (y, *moved)
    # What multiplies x, and what is added, are constants of a model that is not trained.
    factor = computed(
        call,
        lambda s, v: (s.astype(np.float64) / np.sqrt(v.astype(np.float64) + epsilon)).astype(x.spec.dtype),
        lambda s, v: fn.cast(s / fn.sqrt(v + number(call, epsilon, v)), x.spec.dtype),
        scale,
        var,
    )
    shift = computed(
        call,
        lambda b, m, s, v: (
            b.astype(np.float64) - m.astype(np.float64) * s.astype(np.float64) / np.sqrt(v.astype(np.float64) + epsilon)
        ).astype(x.spec.dtype),
        lambda b, m, s, v: fn.cast(b - m * s / fn.sqrt(v + number(call, epsilon, v)), x.spec.dtype),
        b,
        mean,
        scale,
        var,
    )
    return x * along(call, factor, x.ndim) + along(call, shift, x.ndim)


def _scaled(call: Call, x: Node, mean: Node, var: Node, scale: Node | None, b: Node | None, epsilon: float) -> Node:
    """Return (x - mean) / sqrt(var + epsilon) * scale + b."""
    y = (x - mean) / fn.sqrt(var + number(call, epsilon, var))
    if scale is not None:
        y = y * scale
    return y if b is None else y + b


@rule("InstanceNormalization")
def instance_normalization(
    call: Call, x: Node, scale: Value, b: Value, *, epsilon: float = 1e-5, consumed_inputs: Any = None
) -> Any:
    """Return x with each channel of each sample normalized."""
    axes = tuple(range(2, x.ndim))
    mean, var = fn.mean(x, axis=axes, keepdims=True), fn.var(x, axis=axes, keepdims=True)
    return _scaled(call, x, mean, var, along(call, scale, x.ndim), along(call, b, x.ndim), epsilon)


def normalized(
    call: Call,
    x: Node,
    scale: Node | None,
    b: Node | None,
    axes: tuple[int, ...],
    epsilon: float,
) -> tuple[Node, Node, Node]:
    """Return x normalized over axes, the means, and the reciprocals of the deviations."""
    mean = fn.mean(x, axis=axes, keepdims=True)
    moved = x - mean
    inverse = fn.reciprocal(fn.sqrt(fn.mean(fn.square(moved), axis=axes, keepdims=True) + number(call, epsilon, x)))
    y = moved * inverse
    y = y if scale is None else y * fn.cast(scale, y.spec.dtype)
    return y if b is None else y + fn.cast(b, y.spec.dtype), mean, inverse


def _from(axis: int, ndim: int) -> tuple[int, ...]:
    return tuple(range(axis % ndim, ndim))


def _stash(x: Node, stash_type: int) -> Node:
    """Return x in the dtype in which its statistics are computed: float32, at least."""
    return fn.cast(x, "float32") if stash_type == 1 and x.spec.dtype == np.float16 else x


@rule("LayerNormalization")
@rule("LayerNormalization", domain="com.microsoft")
def layer_normalization(
    call: Call,
    x: Node,
    scale: Node,
    b: Node | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:
    """Return x normalized over its last axes, the means, and the reciprocals of the deviations."""
    y, mean, inverse = normalized(call, _stash(x, stash_type), None, None, _from(axis, x.ndim), epsilon)
    y = _in(y, x) * scale
    return y if b is None else y + b, mean, inverse


def _in(y: Node, x: Node) -> Node:
    return y if y.spec.dtype == x.spec.dtype else fn.cast(y, x.spec.dtype)


@rule("RMSNormalization")
@rule("SimplifiedLayerNormalization")
def rms_normalization(
    call: Call, x: Node, scale: Node, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    """Return x divided by the root of the mean of its squares over its last axes."""
    wide = _stash(x, stash_type)
    mean = fn.mean(fn.square(wide), axis=_from(axis, x.ndim), keepdims=True)
    inverse = fn.reciprocal(fn.sqrt(mean + number(call, epsilon, wide)))
    y = _in(wide * inverse, x) * scale
    return y if call.op == "RMSNormalization" else (y, inverse)


@rule("GroupNormalization")
def group_normalization(
    call: Call, x: Node, scale: Value, b: Value, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> Any:
    """Return x with each group of channels of each sample normalized."""
    channels = x.spec.shape[1]
    grouped = fn.reshape(
        _stash(x, stash_type),
        (x.spec.shape[0], num_groups, floor_divide(channels, num_groups), *x.spec.shape[2:]),
    )
    y, _, _ = normalized(call, grouped, None, None, _from(2, grouped.ndim), epsilon)
    y = _in(y, x)
    if scale.shape[0] == channels:  # opset 18 has a scale for each group, and later for each channel
        y = fn.reshape(y, x.spec.shape)
    y = y * along(call, scale, y.ndim) + along(call, b, y.ndim)
    return y if y.ndim == x.ndim else fn.reshape(y, x.spec.shape)


@rule("LpNormalization")
def lp_normalization(call: Call, x: Node, *, axis: int = -1, p: int = 2) -> Any:
    """Return x divided by its norm along an axis; zeros stay zeros."""
    norm = fn.norm(x, float(p), axis=axis, keepdims=True)
    zero = number(call, 0, norm)
    return x / fn.where(fn.equal(norm, zero), number(call, 1, norm), norm)


@rule("MeanVarianceNormalization")
def mean_variance_normalization(call: Call, x: Node, *, axes: Sequence[int] = (0, 2, 3)) -> Any:
    """Return x less its mean, divided by its deviation."""
    over = tuple(ints(axes))
    mean, var = fn.mean(x, axis=over, keepdims=True), fn.var(x, axis=over, keepdims=True)
    return (x - mean) / (fn.sqrt(var) + number(call, 1e-9, var))


@rule("LRN")
def lrn(call: Call, x: Node, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Any:
    """Return x divided by a power of the sum of the squares of neighbouring channels."""
    before = (size - 1) // 2
    widths = [(0, 0)] * x.ndim
    widths[1] = (before, size - 1 - before)
    moving = fn.windows(fn.pad(fn.square(x), tuple(widths)), size, axes=1)
    summed = fn.sum(moving, axis=-1)
    base = summed * number(call, alpha / size, x) + number(call, bias, x)
    return x / fn.power(base, number(call, beta, x))
