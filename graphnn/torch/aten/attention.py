"""Attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...core import Node, fn
from ...core.symbolic_shapes import floor_divide
from .randomness import dropped
from .table import aten

if TYPE_CHECKING:
    from .call import Call


@aten("scaled_dot_product_attention")
def scaled_dot_product_attention(
    call: Call,
    query: Node,
    key: Node,
    value: Node,
    attn_mask: Node | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Node:
    """Return what queries find. A row of scores that a mask excludes wholly finds zeros."""
    if enable_gqa:
        key, value = (_repeated(each, query) for each in (key, value))
    scores, empty = _scores(call, query, key, attn_mask, is_causal, scale)
    weights = fn.softmax(scores, axis=-1)
    if empty is not None:
        weights = fn.where(empty, 0.0, weights)
    if dropout_p:
        weights = dropped(call, weights, dropout_p)
    return fn.matmul(weights, value)


def _scores(
    call: Call, query: Node, key: Node, attn_mask: Node | None, is_causal: bool, scale: float | None
) -> tuple[Node, Node | None]:
    """Return how well keys fit queries, and which rows a mask excludes wholly."""
    if scale is None:
        size = query.spec.shape[-1]
        if isinstance(size, str):
            call.refuse("the width of attention has a name: leave the size out of dims=")
        scale = 1 / math.sqrt(size)
    scores = fn.multiply(fn.matmul(query, fn.swapaxes(key, -1, -2)), scale, name=_free(call, "scores"))
    empty = None
    if is_causal:
        rows = fn.expand_dims(fn.arange(query.spec.shape[-2], graph=call.graph), 1)
        columns = fn.arange(key.spec.shape[-2], graph=call.graph)
        scores = fn.where(fn.greater_equal(rows, columns), scores, -np.inf)
    if attn_mask is not None:
        # Of PyTorch's kernels, those on a processor give zeros for a row that is excluded wholly.
        if attn_mask.spec.dtype.kind == "b":
            empty = fn.logical_not(fn.any(attn_mask, axis=-1, keepdims=True))
            scores = fn.where(attn_mask | empty, scores, -np.inf)
        else:
            empty = fn.all(fn.equal(attn_mask, -np.inf), axis=-1, keepdims=True)
            scores = scores + fn.where(empty, 0.0, attn_mask)
    return scores, empty


def _free(call: Call, base: str) -> str | None:
    """Return a name for a node, if it is free in the scope."""
    free = call.graph.free_name(base)
    return base if free.rpartition("/")[2] == base else None


def _repeated(x: Node, like: Node) -> Node:
    """Return keys or values with as many heads as queries have."""
    *lead, heads, length, size = x.spec.shape
    times = floor_divide(like.spec.shape[-3], heads)
    if times == 1:
        return x
    wide = fn.broadcast_to(fn.expand_dims(x, -3), (*lead, heads, times, length, size))
    return fn.reshape(wide, (*lead, like.spec.shape[-3], length, size))


@aten("_scaled_dot_product_flash_attention_for_cpu")
def flash_attention(
    call: Call,
    query: Node,
    key: Node,
    value: Node,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    attn_mask: Node | None = None,
    scale: float | None = None,
) -> tuple[Node, Node | None]:
    """Return what queries find, and the logarithms of the sums of exponentials of scores."""
    found = scaled_dot_product_attention(call, query, key, value, attn_mask, dropout_p, is_causal, scale)
    if not call.wanted(1):
        return found, None
    scores = _scores(call, query, key, attn_mask, is_causal, scale)[0]
    return found, fn.logsumexp(scores, axis=-1)
