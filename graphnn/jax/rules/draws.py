"""Random numbers, to the bit those of NumPy: Philox, of numbers of 64 bits, as pairs of 32 bits.

So they are the same where JAX has no 64 bits. Those of the normal distribution NumPy rejects and draws again, one after
the other: it draws them itself, on the host.

Notes
-----
J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011): the constants and the rounds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..library import jax, jnp, lax
from .registry import rule

if TYPE_CHECKING:
    from ..tracing import Tracing

_FACTORS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_KEY_STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
_ROUNDS = 10
_Pair = tuple[Any, Any]
"""The upper and the lower half of a number of 64 bits, each a uint32."""


def _pair(number: int) -> _Pair:
    return np.uint32(number >> 32), np.uint32(number & 0xFFFFFFFF)


def _product(a: Any, b: Any) -> _Pair:
    """Return the product of two numbers of 32 bits."""
    low, half = np.uint32(0xFFFF), np.uint32(16)
    a1, a0, b1, b0 = a >> half, a & low, b >> half, b & low
    middle = a1 * b0 + ((a0 * b0) >> half)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> half) + (other >> half), a * b


def _long_product(a: _Pair, b: _Pair) -> tuple[_Pair, _Pair]:
    """Return the upper and the lower half of the product of two numbers of 64 bits."""
    p00, p01, p10, p11 = (_product(x, y) for x, y in ((a[1], b[1]), (a[1], b[0]), (a[0], b[1]), (a[0], b[0])))
    second, carry = _sum((p00[0], p01[1], p10[1]))
    third, carry = _sum((p01[0], p10[0], p11[1], carry))
    return (p11[0] + carry, third), (second, p00[1])


def _sum(terms: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the sum of numbers of 32 bits, and how often it ran over."""
    total, over = terms[0], jnp.zeros_like(terms[0])
    for term in terms[1:]:
        total = total + term
        over = over + (total < term).astype(np.uint32)
    return total, over


def _xor(*pairs: _Pair) -> _Pair:
    upper, lower = pairs[0]
    for pair in pairs[1:]:
        upper, lower = upper ^ pair[0], lower ^ pair[1]
    return upper, lower


def _plus(a: _Pair, b: _Pair) -> _Pair:
    lower = a[1] + b[1]
    return a[0] + b[0] + (lower < a[1]).astype(np.uint32), lower


def words(key: tuple[int, int], counter: Any, count: int) -> _Pair:
    """Return so many numbers of 64 bits of the stream of a key, from the block of a counter on.

    Parameters
    ----------
    key : tuple of int
    counter : array of int
    count : int
    """
    blocks = -(-count // 4)
    number = jnp.arange(1, blocks + 1, dtype=np.uint32)  # NumPy counts before it draws
    none = jnp.zeros_like(number)
    upper = counter.astype(np.int64) >> 32 if counter.dtype.itemsize == 8 else np.zeros((), np.uint32)
    own = jnp.broadcast_to(upper.astype(np.uint32), (blocks,)), jnp.broadcast_to(counter.astype(np.uint32), (blocks,))
    first = ((none, number), (none, none), (none, none), own)

    def once(_: Any, state: Any) -> Any:
        (x0, x1, x2, x3), (k0, k1) = state
        (h0, l0), (h1, l1) = _long_product(x0, _pair(_FACTORS[0])), _long_product(x2, _pair(_FACTORS[1]))
        mixed = (_xor(h1, x1, k0), l1, _xor(h0, x3, k1), l0)
        return mixed, (_plus(k0, _pair(_KEY_STEPS[0])), _plus(k1, _pair(_KEY_STEPS[1])))

    keys = tuple(tuple(jnp.asarray(half) for half in _pair(part)) for part in key)
    found, _ = lax.fori_loop(0, _ROUNDS, once, (first, keys))
    upper, lower = (jnp.stack([x[half] for x in found], -1).reshape(-1)[:count] for half in (0, 1))
    return upper, lower


@rule("random_uniform", refuses=True)
def _uniform(op: Any, tracing: Tracing, counter: Any) -> Any:
    tracing.refuse(counter < 0)
    dtype = np.dtype(op.dtype)
    upper, lower = words((op.seed, op.stream), counter, math.prod(op.shape))
    if dtype == np.float64:
        found = (upper.astype(dtype) * 2.0**21 + (lower >> np.uint32(11)).astype(dtype)) * 2.0**-53
    else:
        # The 53 bits are rounded once: what a shorter float cannot hold is 1 bit, which says whether any was there.
        lower = lower & ~np.uint32(0x7FF)
        zeros = jnp.where(upper == 0, 32 + lax.clz(lower), lax.clz(upper)).astype(np.uint32)
        far, near = jnp.where(upper == 0, lower, upper), jnp.where(upper == 0, np.uint32(0), lower)
        shift = jnp.minimum(zeros % np.uint32(32), np.uint32(31))
        top = (far << shift) | jnp.where(shift == 0, np.uint32(0), near >> (np.uint32(32) - shift))
        rest = ((near << shift) != 0) | ((top & np.uint32(0xFF)) != 0)
        kept = (top >> np.uint32(8)) | rest.astype(np.uint32)
        # `kept` has 24 bits, of which the last is only a mark; float32 rounds with one bit more.
        found = _rounded(top, rest_below=(near << shift) != 0, zeros=zeros, kept=kept, dtype=dtype)
        found = jnp.minimum(found, np.asarray(1 - np.finfo(dtype).epsneg, dtype))
    return found.reshape(op.shape)


def _rounded(top: Any, rest_below: Any, zeros: Any, kept: Any, dtype: Any) -> Any:
    scale = jnp.exp2(-zeros.astype(np.float32))
    if dtype == np.float32:
        # 32 bits to 24, half to even, with a mark for all below.
        half, cut = np.uint32(0x80), top & np.uint32(0xFF)
        whole = top >> np.uint32(8)
        up = (cut > half) | ((cut == half) & (rest_below | ((whole & np.uint32(1)) == 1)))
        return (whole + up.astype(np.uint32)).astype(np.float32) * np.float32(2.0**-24) * scale
    return (kept.astype(np.float32) * np.float32(2.0**-24) * scale).astype(dtype)


@rule("random_normal", refuses=True)
def _normal(op: Any, tracing: Tracing, counter: Any) -> Any:
    tracing.refuse(counter < 0)
    shape = jax.ShapeDtypeStruct(op.shape, np.dtype(op.dtype))
    return jax.pure_callback(lambda block: op.forward(np.maximum(np.asarray(block), 0)), shape, counter)
