"""What rules of several families need: numbers of attributes, padding, and arrays along channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.text import counted, short_repr
from ...core import Array, Dim, Node, fn
from ...core.symbolic_shapes import add, clamp, floor_divide, minimum, multiply, subtract
from ...errors import ValueRangeError
from ..shape_arithmetic import Sizes

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value

Pairs = list[tuple[Dim, Dim]]
"""What goes before and after each axis that windows slide along."""


_MOST_CONSTANT = 2**24
"""The maximum number of elements of an array that a rule makes while a model is read."""


def check_auto_pad(auto_pad: str) -> None:
    """Refuse what is no way to pad."""
    known = "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"
    if auto_pad and auto_pad not in known:
        raise ValueRangeError(f"auto_pad is {', '.join(known)}, not {short_repr(auto_pad)}")


def bounded(call: Call, *counts: Any) -> None:
    """Refuse to make an array of so many elements while a model is read, if it is a large one."""
    total = math.prod(abs(int(count)) for count in counts)
    if total > _MOST_CONSTANT:
        call.refuse(f"it needs an array of {total:,} numbers when it is read, and {_MOST_CONSTANT:,} is the most")


def ints(value: Any) -> list[int]:
    """Return whole numbers of an array or a list."""
    return [int(each) for each in np.asarray(value).reshape(-1)]


def each(value: Any, count: int, default: int = 1) -> tuple[int, ...]:
    """Return an attribute with a number for each axis, which may be missing."""
    numbers = [] if value is None else ints(value)
    if numbers and len(numbers) != count:
        raise ValueRangeError(f"an attribute is {short_repr(numbers)}, where {counted(count, 'number')} are needed")
    return tuple(numbers) or (default,) * count


def held(call: Call, value: Value) -> Array | None:
    """Return a value as an array, if it is known while the model is read."""
    if isinstance(value, Node):
        return call.reader.stored(value)
    return None if isinstance(value, Sizes) else np.asarray(value)


def computed(call: Call, arrays: Callable[..., Array], nodes: Callable[..., Node], *operands: Value) -> Value:
    """Return what a function gives: an array of arrays where all operands are known, else a node of nodes."""
    known = [held(call, operand) for operand in operands]
    if any(array is None for array in known):
        return nodes(*[call.node(operand) for operand in operands])
    return arrays(*known)


def along(call: Call, value: Value, ndim: int, axis: int = 1) -> Node:
    """Return a vector as a node that broadcasts with arrays of so many axes, along one of them."""
    shape = [1] * ndim
    shape[axis] = -1
    return call.node(computed(call, lambda x: x.reshape(shape), lambda x: fn.reshape(x, tuple(shape)), value))


def multiplied(call: Call, *factors: Value) -> Node:
    """Return a product, which is computed now if all factors are known."""
    return call.node(computed(call, lambda *each: np.asarray(math.prod(each)), lambda *each: math.prod(each), *factors))


def number(call: Call, value: Any, like: Node) -> Node:
    """Return a number as a node of the dtype of another."""
    return call.node(np.asarray(value, like.spec.dtype))


def padding(
    lengths: Sequence[Dim],
    spans: Sequence[int],
    strides: Sequence[int],
    pads: Any,
    auto_pad: str,
) -> Pairs:
    """Return what windows with these spans have before and after each axis.

    SAME gives as many windows as there are elements, divided by the stride, rounded up.
    """
    check_auto_pad(auto_pad)
    if auto_pad in ("NOTSET", "VALID", ""):
        axes = len(spans)
        numbers = each(pads if auto_pad == "NOTSET" else None, 2 * axes, 0)
        return list(zip(numbers[:axes], numbers[axes:], strict=True))
    pairs: Pairs = []
    for n, span, stride in zip(lengths, spans, strides, strict=True):
        last = multiply(subtract(floor_divide(add(n, stride - 1), stride), 1), stride)
        total = span - 1 if stride == 1 else clamp(subtract(add(last, span), n))
        half = floor_divide(total, 2)
        rest = subtract(total, half)
        pairs.append((half, rest) if auto_pad == "SAME_UPPER" else (rest, half))
    return pairs


def rounded_up(lengths: Sequence[Dim], spans: Sequence[int], strides: Sequence[int], pairs: Pairs) -> Pairs:
    """Return padding that is longer at the end, so that windows that begin within x or what is before it fit."""
    longer: Pairs = []
    for n, span, stride, (before, after) in zip(lengths, spans, strides, pairs, strict=True):
        whole = add(add(n, before), after)
        last = floor_divide(add(subtract(whole, span), stride - 1), stride)
        if not isinstance(after, int) or after + stride > span:
            last = minimum(last, floor_divide(subtract(add(n, before), 1), stride))
        missing = subtract(add(multiply(last, stride), span), whole)
        longer.append((before, add(after, clamp(missing))))
    return longer


def padded(x: Node, pairs: Pairs, value: float = 0) -> Node:
    """Return x padded along its last axes, if there is something to pad."""
    if all(pair == (0, 0) for pair in pairs):
        return x
    return fn.pad(x, (*[(0, 0)] * (x.ndim - len(pairs)), *pairs), constant_values=value)


def spans_of(sizes: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """Return from the first to the last element of windows."""
    return tuple((size - 1) * dilation + 1 for size, dilation in zip(sizes, dilations, strict=True))
