"""Numbers rounded as those of few bits are, in training: gradients go straight through where a number is in the range."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn
from .call import axis_of, cast
from .table import aten

if TYPE_CHECKING:
    from .call import Call


def _rounded(call: Call, x: Node, scale: Any, zero: Any, low: int, high: int, within: Any) -> Node:
    """Return (clip(round(x / scale) + zero, low, high) - zero) · scale, whose gradient is 1 within the range, else 0.

    The last product is taken in the dtype `within`: for one scale, PyTorch takes it in float32.
    """
    dtype = x.spec.dtype
    still = fn.stop_gradient(x)
    places = fn.round(still * cast(call.node(1, np.float32) / scale, dtype)) + cast(zero, dtype)
    kept = fn.logical_and(fn.greater_equal(places, low), fn.less_equal(places, high))
    found = cast(fn.clip(places, low, high) - cast(zero, dtype), within) * cast(scale, within)
    return fn.stop_gradient(cast(found, dtype)) + fn.where(kept, x - still, call.node(0, dtype))


def _scale(call: Call, scale: Any) -> Node:
    """Return a scale in float32, in which PyTorch divides by it, without a gradient."""
    found = call.node(float(scale)) if isinstance(scale, (int, float)) else scale
    return cast(fn.stop_gradient(found), np.float32)


@aten("fake_quantize_per_tensor_affine", "fake_quantize_per_tensor_affine_cachemask")
def fake_quantize_per_tensor_affine(
    call: Call, self: Node, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Any:
    """Return numbers rounded to a scale."""
    found = _rounded(call, self, _scale(call, scale), call.node(zero_point), quant_min, quant_max, np.float32)
    return [found, None] if call.op.endswith("_cachemask") else found


@aten("fake_quantize_per_channel_affine", "fake_quantize_per_channel_affine_cachemask")
def fake_quantize_per_channel_affine(
    call: Call, self: Node, scale: Node, zero_point: Node, axis: int, quant_min: int, quant_max: int
) -> Any:
    """Return numbers rounded to a scale of each place of an axis."""
    wide = (-1, *[1] * (self.ndim - 1 - axis_of(axis, self.ndim)))
    zero = fn.reshape(cast(zero_point, np.int32), wide)
    found = _rounded(call, self, _scale(call, fn.reshape(scale, wide)), zero, quant_min, quant_max, self.spec.dtype)
    return [found, None] if call.op.endswith("_cachemask") else found
