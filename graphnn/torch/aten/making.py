"""Operations that make tensors of sizes and numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Node, fn, is_float
from ...core.symbolic_shapes import add as add_dims
from ...core.symbolic_shapes import floor_divide, subtract
from .call import cast
from .table import aten

if TYPE_CHECKING:
    from .call import Call


def filled(call: Call, shape: Any, value: Any) -> Node:
    """Return a tensor of one number."""
    dtype = call.dtype
    number = call.node(value, dtype) if not isinstance(value, (bool, int, float)) else None
    if number is None and not any(isinstance(dim, str) for dim in shape) and math.prod(shape) <= 1:
        return call.graph.constant(np.full(tuple(shape), value, dtype))
    start = number if number is not None else call.graph.constant(np.asarray(value, dtype))
    return fn.broadcast_to(fn.reshape(start, ()) if start.ndim else start, tuple(shape))


@aten("full", "new_full", "full.names")
def full(call: Call, size: Any, fill_value: Any, dtype: Any = None, self: Any = None) -> Node:
    """Return a tensor of one number."""
    return filled(call, size, fill_value)


@aten("full_like")
def full_like(call: Call, self: Node, fill_value: Any, dtype: Any = None) -> Node:
    """Return a tensor of one number, of the shape of x."""
    return filled(call, self.spec.shape, fill_value)


@aten("zeros", "new_zeros", "empty", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted")
def zeros(
    call: Call, size: Any, dtype: Any = None, self: Any = None, stride: Any = None, physical_layout: Any = None
) -> Node:
    """Return zeros, also for what PyTorch leaves without values."""
    return filled(call, size, 0)


@aten("ones", "new_ones")
def ones(call: Call, size: Any, dtype: Any = None, self: Any = None) -> Node:
    """Return ones."""
    return filled(call, size, 1)


@aten("zeros_like", "empty_like", "zero")
def zeros_like(call: Call, self: Node, dtype: Any = None) -> Node:
    """Return zeros, of the shape of x."""
    return filled(call, self.spec.shape, 0)


@aten("ones_like")
def ones_like(call: Call, self: Node, dtype: Any = None) -> Node:
    """Return ones, of the shape of x."""
    return filled(call, self.spec.shape, 1)


@aten("fill")
def fill(call: Call, self: Node, value: Any) -> Node:
    """Return a tensor of one number, of the shape of x."""
    return filled(call, self.spec.shape, value)


@aten("scalar_tensor")
def scalar_tensor(call: Call, s: Any, dtype: Any = None) -> Node:
    """Return a number as a tensor."""
    return call.node(s, call.dtype)


@aten("arange")
def arange(call: Call, end: Any, start: Any = 0, step: Any = 1, dtype: Any = None) -> Node:
    """Return numbers at equal distances, the end left out; how many they are is reckoned as PyTorch does."""
    if isinstance(start, str) or isinstance(end, str):
        if step == 1:
            return cast(fn.arange(start, end, graph=call.graph), call.dtype)
        if isinstance(step, int):
            count = floor_divide(add_dims(subtract(end, start), step - 1), step) if step > 0 else None
            if count is not None:
                first = call.counted(start) if isinstance(start, str) else start
                return cast(fn.arange(count, graph=call.graph) * step + first, call.dtype)
        call.refuse(f"arange from {start} to {end} in steps of {step}: leave the size out of dims=")
    if all(isinstance(each, int) for each in (start, end, step)):
        return call.graph.constant(np.arange(start, end, step).astype(call.dtype))
    count = math.ceil((end - start) / step)
    # PyTorch reckons start + step * i in float64 and rounds once.
    return call.graph.constant((start + step * np.arange(count, dtype=np.float64)).astype(call.dtype))


@aten("linspace")
def linspace(call: Call, start: Any, end: Any, steps: Any, dtype: Any = None) -> Node:
    """Return so many numbers from one to another, both included."""
    if any(isinstance(each, (Node, str)) for each in (start, end, steps)):
        if isinstance(steps, str):
            call.refuse("linspace of a size with a name: leave the size out of dims=")
        first, last = (call.node(each, call.dtype) for each in (start, end))
        shares = np.linspace(0, 1, steps).astype(call.dtype)
        return first + (last - first) * call.graph.constant(shares)
    kind = call.dtype
    if steps < 2 or not is_float(kind):
        return call.graph.constant(np.linspace(start, end, steps).astype(kind))
    # PyTorch reckons from both ends in the dtype of the result.
    step = (kind.type(end) - kind.type(start)) / kind.type(steps - 1)
    places = np.arange(steps)
    ahead = (kind.type(start) + step * places.astype(kind)).astype(kind)
    behind = (kind.type(end) - step * (steps - 1 - places).astype(kind)).astype(kind)
    return call.graph.constant(np.where(places < steps // 2, ahead, behind).astype(kind))


@aten("logspace")
def logspace(call: Call, start: Any, end: Any, steps: int, base: float = 10.0, dtype: Any = None) -> Node:
    """Return powers of a base, whose exponents are at equal distances."""
    return call.graph.constant(np.logspace(float(start), float(end), steps, base=base).astype(call.dtype))


@aten("eye")
def eye(call: Call, n: Any, m: Any = None, dtype: Any = None) -> Node:
    """Return ones on the diagonal of zeros."""
    if m is None or m == n:
        return fn.eye(n, call.dtype, graph=call.graph)
    rows, columns = fn.arange(n, graph=call.graph), fn.arange(m, graph=call.graph)
    return cast(fn.equal(fn.expand_dims(rows, 1), columns), call.dtype)


def _window(name: str, numbers: Any) -> None:
    @aten(name)
    def rule(
        call: Call, window_length: int, periodic: bool = True, alpha: float = 0.54, beta: Any = 0.46, dtype: Any = None
    ) -> Node:
        length = window_length + 1 if periodic else window_length
        if window_length <= 1:
            return call.graph.constant(np.ones(window_length, call.dtype))
        places = np.arange(length, dtype=np.float64) / (length - 1)
        return call.graph.constant(numbers(places, alpha, beta)[:window_length].astype(call.dtype))


_window("hann_window", lambda t, alpha, beta: 0.5 - 0.5 * np.cos(2 * np.pi * t))
_window("hamming_window", lambda t, alpha, beta: alpha - beta * np.cos(2 * np.pi * t))
_window("bartlett_window", lambda t, alpha, beta: 1 - np.abs(2 * t - 1))
_window("blackman_window", lambda t, alpha, beta: 0.42 - 0.5 * np.cos(2 * np.pi * t) + 0.08 * np.cos(4 * np.pi * t))


@aten("kaiser_window", "kaiser_window.periodic", "kaiser_window.beta")
def kaiser_window(call: Call, window_length: int, periodic: bool = True, beta: float = 12.0, dtype: Any = None) -> Node:
    """Return a window of Bessel functions."""
    length = window_length + 1 if periodic and window_length > 1 else window_length
    return call.graph.constant(np.kaiser(length, beta)[:window_length].astype(call.dtype))


@aten("tril_indices")
def tril_indices(call: Call, row: int, col: int, offset: int = 0, dtype: Any = None) -> Node:
    """Return where the lower triangle of a matrix is."""
    return call.graph.constant(np.stack(np.tril_indices(row, offset, col)).astype(call.dtype))


@aten("triu_indices")
def triu_indices(call: Call, row: int, col: int, offset: int = 0, dtype: Any = None) -> Node:
    """Return where the upper triangle of a matrix is."""
    return call.graph.constant(np.stack(np.triu_indices(row, offset, col)).astype(call.dtype))


@aten("one_hot")
def one_hot(call: Call, self: Node, num_classes: int = -1) -> Node:
    """Return a 1 in the place that a number tells, among zeros."""
    if num_classes == -1:
        call.refuse("data decide how many classes there are: write F.one_hot(x, num_classes=…)")
    return fn.one_hot(self, num_classes, np.int64)
