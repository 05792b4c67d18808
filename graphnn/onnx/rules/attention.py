"""Attention and what surrounds it, as ONNX Runtime fuses it (the domain com.microsoft)."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Dim, Node, fn
from ...core.symbolic_shapes import add, multiply, subtract
from ..rule_registry import rule
from .integer_matmul import aligned
from .kit import multiplied, number
from .normalization import normalized
from .quantization import product

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value

_MICROSOFT = "com.microsoft"


def _heads(x: Node, count: int) -> Node:
    """Return x (batch, length, units) as (batch, heads, length, units of a head)."""
    batch, length, units = x.spec.shape
    return fn.transpose(fn.reshape(x, (batch, length, count, int(units) // count)), (0, 2, 1, 3))


def _attended(
    call: Call, q: Node, k: Node, v: Node, bias: list[Node], scale: float, causal: bool, softcap: float = 0.0
) -> Node:
    """Return what queries find: (batch, length, units), of (batch, heads, length, units of a head)."""
    scores = fn.matmul(q, fn.swapaxes(k, -1, -2)) * number(call, scale or 1 / math.sqrt(int(q.spec.shape[-1])), q)
    if softcap:
        scores = fn.tanh(scores / number(call, softcap, q)) * number(call, softcap, q)
    for each in bias:
        scores = scores + each
    if causal:
        length, total = q.spec.shape[2], k.spec.shape[2]
        rows = fn.expand_dims(fn.arange(length, graph=call.graph), 1)
        columns = fn.arange(total, graph=call.graph) - _behind(call, total, length)
        scores = fn.where(fn.less_equal(columns, rows), scores, number(call, np.finfo(q.spec.dtype).min, q))
    found = fn.transpose(fn.matmul(fn.softmax(scores, axis=-1), v), (0, 2, 1, 3))
    batch, length, heads, size = found.spec.shape
    return fn.reshape(found, (batch, length, multiply(heads, size)))


def _behind(call: Call, total: Dim, length: Dim) -> Any:
    past = subtract(total, length)
    if isinstance(past, int):
        return past
    return fn.getitem(fn.arange(past, add(past, 1), graph=call.graph), 0)


def _masking(call: Call, mask: Node | None, like: Node, total: Dim, value: float) -> list[Node]:
    """Return what is added to scores (batch, heads, length, total), of a mask in any of its forms."""
    if mask is None:
        return []
    if mask.ndim == 1:  # how many keys of each sample count
        if mask.spec.shape[0] != like.spec.shape[0]:
            call.refuse("its mask has where the keys of each sample begin and end, which graphnn does not read")
        kept = fn.less(fn.arange(total, graph=call.graph), fn.expand_dims(mask, 1))
    else:
        kept = fn.not_equal(mask, number(call, 0, mask))
    added = fn.where(kept, number(call, 0, like), number(call, value, like))
    axes = {2: (1, 2), 3: (1,)}.get(kept.ndim, ())
    return [fn.expand_dims(added, axes) if axes else added]


@rule("Attention", domain=_MICROSOFT)
def attention(
    call: Call,
    x: Node,
    weights: Node,
    b: Node | None = None,
    mask_index: Node | None = None,
    past: Node | None = None,
    attention_bias: Node | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    qkv_hidden_sizes: Any = None,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> Any:
    """Return attention of x to itself; queries, keys and values are one product."""
    y = fn.matmul(x, weights)
    y = y if b is None else y + b
    return _self_attention(
        call, y, mask_index, past, attention_bias, num_heads, mask_filter_value, scale, unidirectional, qkv_hidden_sizes
    )


def _self_attention(
    call: Call,
    y: Node,
    mask: Node | None,
    past: Node | None,
    bias: Node | None,
    heads: int,
    value: float,
    scale: float,
    causal: int,
    sizes: Any = None,
) -> tuple[Node, ...]:
    third = int(y.spec.shape[-1]) // 3
    ends = np.cumsum([0, *(sizes or [third] * 3)]).tolist()
    q, k, v = (_heads(fn.getitem(y, (..., slice(start, end))), heads) for start, end in itertools.pairwise(ends))
    if past is not None:
        k, v = (fn.concatenate([fn.getitem(past, i), each], axis=2) for i, each in enumerate((k, v)))
    added = _masking(call, mask, q, k.spec.shape[2], value) + ([] if bias is None else [bias])
    found = _attended(call, q, k, v, added, scale, bool(causal))
    return (found, fn.stack([k, v])) if len(call.outputs) > 1 else (found,)


@rule("QAttention", domain=_MICROSOFT)
def qattention(
    call: Call,
    x: Node,
    weights: Value,
    b: Node,
    x_scale: Value,
    weight_scale: Value,
    mask_index: Node | None = None,
    x_zero_point: Value = None,
    weight_zero_point: Value = None,
    past: Node | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> Any:
    """Return attention of bytes to themselves."""
    y = product(call, x, weights, x_zero_point, weight_zero_point)
    factor = multiplied(call, aligned(call, x_scale, y.ndim, None), aligned(call, weight_scale, y.ndim, None))
    y = fn.cast(y, b.spec.dtype) * factor + b
    return _self_attention(call, y, mask_index, past, None, num_heads, mask_filter_value, scale, unidirectional)


@rule("MultiHeadAttention", domain=_MICROSOFT)
def multi_head_attention(
    call: Call,
    query: Node,
    key: Node | None = None,
    value: Node | None = None,
    b: Node | None = None,
    key_padding_mask: Node | None = None,
    attention_bias: Node | None = None,
    past_key: Node | None = None,
    past_value: Node | None = None,
    *,
    num_heads: int,
    mask_filter_value: float = -10000.0,
    scale: float = 0.0,
    unidirectional: int = 0,
) -> Any:
    """Return attention of queries to keys, which may be packed together."""
    parts = _unpacked(call, query, key, value)
    if b is not None:
        units = [
            int(multiply(part.spec.shape[-1], num_heads)) if part.ndim == 4 else int(part.spec.shape[-1])
            for part in parts
        ]
        ends = np.cumsum([0, *units]).tolist()
        biases = [fn.getitem(b, slice(start, end)) for start, end in itertools.pairwise(ends)]
        parts = [part if part.ndim == 4 else part + bias for part, bias in zip(parts, biases, strict=True)]
    q, k, v = (part if part.ndim == 4 else _heads(part, num_heads) for part in parts)
    if past_key is not None and past_value is not None:
        k, v = fn.concatenate([past_key, k], axis=2), fn.concatenate([past_value, v], axis=2)
    added = _masking(call, key_padding_mask, q, k.spec.shape[2], mask_filter_value)
    added += [] if attention_bias is None else [attention_bias]
    return _attended(call, q, k, v, added, scale, bool(unidirectional)), k, v


def _unpacked(call: Call, query: Node, key: Node | None, value: Node | None) -> list[Node]:
    """Return queries, keys and values as (batch, length, units), or keys and values as (batch, heads, length, size)."""

    def flat(x: Node, place: int) -> Node:
        batch, length, heads, _, size = x.spec.shape
        return fn.reshape(fn.getitem(x, (..., place, slice(None))), (batch, length, multiply(heads, size)))

    if key is None:
        if query.ndim != 5:
            call.refuse("it has no keys, and its queries do not hold them")
        return [flat(query, place) for place in range(3)]
    if value is None:
        if key.ndim != 5:
            call.refuse("it has no values, and its keys do not hold them")
        return [query, flat(key, 0), flat(key, 1)]
    return [query, key, value]


# --- normalization of sums ------------------------------------------------------------------------------------------


@rule("SkipLayerNormalization", domain=_MICROSOFT)
def skip_layer_normalization(
    call: Call,
    x: Node,
    skip: Node,
    gamma: Node,
    beta: Node | None = None,
    b: Node | None = None,
    *,
    epsilon: float = 1e-12,
) -> Any:
    """Return the sum of x and what skips a layer, normalized; the statistics; and the sum."""
    total = x + skip if b is None else x + skip + b
    y, mean, inverse = normalized(call, total, gamma, beta, (total.ndim - 1,), epsilon)
    return y, mean, inverse, total


@rule("SkipSimplifiedLayerNormalization", domain=_MICROSOFT)
def skip_rms_normalization(
    call: Call, x: Node, skip: Node, gamma: Node, b: Node | None = None, *, epsilon: float = 1e-12
) -> Any:
    """Return the sum of x and what skips a layer, divided by the root of the mean of its squares; and the sum."""
    total = x + skip if b is None else x + skip + b
    mean = fn.mean(fn.square(total), axis=-1, keepdims=True)
    inverse = fn.reciprocal(fn.sqrt(mean + number(call, epsilon, mean)))
    return total * inverse * gamma, None, inverse, total


@rule("EmbedLayerNormalization", domain=_MICROSOFT)
def embed_layer_normalization(
    call: Call,
    input_ids: Node,
    segment_ids: Node | None,
    word_embedding: Node,
    position_embedding: Node,
    segment_embedding: Node | None,
    gamma: Node,
    beta: Node,
    mask: Node | None = None,
    position_ids: Node | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 0,
) -> Any:
    """Return the sum of the embeddings of words, positions and segments, normalized; and how many words count."""
    total = fn.take(word_embedding, input_ids, axis=0)
    if position_ids is None:
        total = total + fn.getitem(position_embedding, slice(None, input_ids.spec.shape[1]))
    else:
        total = total + fn.take(position_embedding, position_ids, axis=0)
    if segment_ids is not None and segment_embedding is not None:
        total = total + fn.take(segment_embedding, segment_ids, axis=0)
    y, _, _ = normalized(call, total, gamma, beta, (2,), epsilon)
    if mask is None:
        count = fn.broadcast_to(call.node(np.zeros((), np.int32)), (input_ids.spec.shape[0],))
    else:
        count = fn.cast(fn.sum(mask, axis=1), "int32")
    return y, count, total
