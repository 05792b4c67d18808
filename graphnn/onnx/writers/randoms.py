"""Random numbers: the stream of graphnn, computed with 64-bit integers.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): Philox 4x64, of ten rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.symbolic_shapes import add, floor_divide, product
from ...ops import random as ops
from .bits import bitwise
from .group import F8, Group, Unwritable, writes

if TYPE_CHECKING:
    from ...core import Op
    from .draft import Value

_U8 = np.dtype(np.uint64)
_FACTORS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_HALF = 2**32 - 1


@writes(ops.RandomNormal)
def _random_normal(g: Group, op: Op, counter: Value) -> Value:
    raise Unwritable("how many random bits each of its numbers takes depends on those before")


@writes(ops.RandomUniform)
def _random_uniform(g: Group, op: Any, counter: Value) -> Value:
    count = product(op.shape)
    blocks = floor_divide(add(count, 3), 4)
    zero = g.constant(0, _U8)
    words = [g.cast(g.range(blocks, start=1), _U8), zero, zero, g.cast(counter, _U8)]
    keys = [op.seed, op.stream]
    for _ in range(10):
        words = _round(g, words, [g.constant(key, _U8) for key in keys])
        keys = [(key + step) % 2**64 for key, step in zip(keys, _STEPS, strict=True)]
    drawn = g("Concat", *[g.unsqueeze(word, 1) for word in words], axis=1)
    drawn = g.slice(g.flat(drawn), [(0, 0, count, 1)])
    numbers = g.multiply(g.cast(_shifted(g, drawn, 11), F8), 2.0**-53)
    return g.cast(g.reshape(numbers, op.shape), op.dtype)


def _round(g: Group, words: list[Value], keys: list[Value]) -> list[Value]:
    (high, low), (other_high, other_low) = (_product(g, words[i], f) for i, f in zip((0, 2), _FACTORS, strict=True))
    first = bitwise(g, "BitwiseXor", g("BitwiseXor", other_high, words[1]), keys[0])
    third = bitwise(g, "BitwiseXor", g("BitwiseXor", high, words[3]), keys[1])
    return [first, other_low, third, low]


def _shifted(g: Group, x: Value, places: int) -> Value:
    return g("BitShift", x, g.constant(places, _U8), direction="RIGHT")


def _product(g: Group, x: Value, factor: int) -> tuple[Value, Value]:
    """Return the upper and the lower 64 bits of a product, of the products of halves."""
    half = g.constant(_HALF, _U8)
    low, high = bitwise(g, "BitwiseAnd", x, half), _shifted(g, x, 32)
    by_low, by_high = factor & _HALF, factor >> 32
    crossed = g.add(g.multiply(high, by_low), _shifted(g, g.multiply(low, by_low), 32))
    rest = g.add(g.multiply(low, by_high), g("BitwiseAnd", crossed, half))
    upper = g.add(g.add(g.multiply(high, by_high), _shifted(g, crossed, 32)), _shifted(g, rest, 32))
    return upper, g.multiply(x, factor)
