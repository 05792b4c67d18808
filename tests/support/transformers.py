"""Small transformers made of nodes: sound ones, and such with one fault in their attention, for the health check."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import graphnn as gn
from graphnn import nn


class Model(NamedTuple):
    """The training step of a transformer, and its feed."""

    step: Any
    feed: dict[gn.Node, Any]


class Way(NamedTuple):
    """How the attention of a transformer is written.

    Attributes
    ----------
    scale, on_queries : callable
        Take the products of queries and keys, or the queries, and √d.
    mask : {"where", "inf", "add", "both", "none"}
        How the mask is written; "both" also masks the queries of padding.
    axis : int
        Of the softmax.
    after : {"multiply", "where", ""}
        How weights are masked after the softmax.
    einsum, rotary, merged, cross, padded : bool
        "merged": the heads and the batch are one axis.
    dropout : float
    dtype : str
    """

    scale: Callable[[gn.Node, float], gn.Node] = lambda scores, root: scores / root
    on_queries: Callable[[gn.Node, float], gn.Node] = lambda queries, root: queries
    mask: str = "where"
    axis: int = -1
    after: str = ""
    einsum: bool = False
    rotary: bool = False
    merged: bool = False
    cross: bool = False
    padded: bool = False
    dropout: float = 0.0
    dtype: str = "float64"


def _turned(x: gn.Node, length: int, depth: int) -> gn.Node:
    """Return x with rotary positions."""
    angles = np.outer(np.arange(length), 10.0 ** -np.arange(depth // 2))
    cos, sin = (np.concatenate([f(angles)] * 2, axis=-1).astype(x.dtype) for f in (np.cos, np.sin))
    half = depth // 2
    return x * cos + gn.concatenate([-x[..., half:], x[..., :half]], axis=-1) * sin


def _block(x: gn.Node, memory: gn.Node, heads: int, way: Way, rng: Any, keep: Any) -> gn.Node:
    (batch, length, units), keys = x.shape, memory.shape[1]
    depth = units // heads
    root = math.sqrt(depth)

    def split(each: gn.Node, n: Any) -> gn.Node:
        parts = gn.transpose(gn.reshape(each, (batch, n, heads, depth)), (0, 2, 1, 3))
        return gn.reshape(parts, (-1, n, depth)) if way.merged else parts

    h, m = nn.LayerNorm()(x), nn.LayerNorm()(memory)
    q, k, v = (nn.Dense(units, rng=rng)(each) for each in (h, m, m))
    q, k, v = split(q, length), split(k, keys), split(v, keys)
    if way.rotary:
        q, k = _turned(q, length, depth), _turned(k, keys, depth)
    q = way.on_queries(q, root)
    if way.einsum:
        scores = way.scale(gn.einsum("bhqd,bhkd->bhqk", q, k), root)
    else:
        scores = way.scale(q @ gn.swapaxes(k, -1, -2), root)
    seen = scores
    if way.mask == "add":
        seen = scores + x.graph.constant(np.where(keep, 0.0, -1e9).astype(x.dtype))
    elif way.mask != "none":
        seen = gn.where(keep, scores, -np.inf if way.mask == "inf" else -1e9)
    weights = gn.softmax(seen, axis=way.axis)
    if way.after == "multiply":
        weights = weights * x.graph.constant(np.asarray(keep).astype(x.dtype))
    elif way.after == "where":
        weights = gn.where(keep, weights, 0.0)
    if way.dropout:
        weights = nn.Dropout(way.dropout)(weights, training=True)
    mixed = gn.einsum("bhqk,bhkd->bhqd", weights, v) if way.einsum else weights @ v
    mixed = gn.reshape(mixed, (batch, heads, length, depth)) if way.merged else mixed
    x = x + nn.Dense(units, rng=rng)(gn.reshape(gn.transpose(mixed, (0, 2, 1, 3)), (batch, length, units)))
    return x + nn.Dense(units, rng=rng)(gn.gelu(nn.Dense(2 * units, rng=rng)(nn.LayerNorm()(x))))


def transformer(seed: int, way: Way) -> Model:
    """Return a small transformer that tells the next token."""
    rng = np.random.default_rng([seed, 20])
    graph = gn.Graph(dtype=way.dtype)
    heads, length, count = int(rng.choice([1, 2, 4])), int(rng.integers(4, 9)), int(rng.integers(5, 12))
    units = heads * int(rng.choice([8, 16]))
    batch = 6
    x = graph.placeholder("x", ("batch", length), np.int64)
    y = graph.placeholder("y", ("batch", length), np.int64)
    tokens = rng.integers(0, count, (batch, length + 1))
    # Without a mask a network may see what comes next, so it tells something else: which tokens come backwards.
    free = way.mask == "none" and not way.after
    feed: dict[gn.Node, Any] = {x: tokens[:, :-1], y: tokens[:, ::-1][:, 1:] if free else tokens[:, 1:]}
    h = gn.take(graph.parameter("table", rng.normal(size=(count, units)).astype(way.dtype)), x, axis=0)
    h = h + graph.parameter("places", 0.1 * rng.normal(size=(length, units)).astype(way.dtype))
    keep: Any = np.tri(length, dtype=bool)
    if way.padded:
        lengths = rng.integers(2, length + 1, batch)
        there = graph.placeholder("there", ("batch", length), bool)
        feed[there] = np.arange(length) < lengths[:, None]
        keep = gn.expand_dims(there, (1, 2)) & graph.constant(keep)
        if way.mask == "both":
            keep = keep & gn.expand_dims(there, (1, 3))
    memory = h
    if way.cross:
        memory = graph.placeholder("memory", ("batch", length + 2, units))
        feed[memory] = rng.normal(size=(batch, length + 2, units)).astype(way.dtype)
        keep = np.ones((length, length + 2), bool)
        keep[:, -1] = False
    for _ in range(2):
        h = _block(h, memory if way.cross else h, heads, way, rng, keep)
    loss = nn.softmax_crossentropy(nn.Dense(count, rng=rng)(nn.LayerNorm()(h)), y)
    return Model(gn.compile(loss, nn.Adam(0.003).updates(loss)), feed)


def _unscaled(scores: gn.Node, root: float) -> gn.Node:
    return scores


def _learned(scores: gn.Node, root: float) -> gn.Node:
    graph = scores.graph
    known = (
        graph["temperature"] if "temperature" in graph else graph.parameter("temperature", np.zeros((), scores.dtype))
    )
    return scores * gn.exp(known)


SOUND: dict[str, Way] = {
    "divided": Way(),
    "multiplied": Way(scale=lambda scores, root: scores * (1 / root), mask="add", dtype="float32"),
    "queries scaled": Way(scale=_unscaled, on_queries=lambda queries, root: queries / root, mask="inf"),
    "einsum": Way(einsum=True, mask="inf", padded=True),
    "rotary": Way(rotary=True, dropout=0.1),
    "merged heads": Way(merged=True),
    "cross attention": Way(cross=True, padded=True),
    "no mask": Way(mask="none", dropout=0.2),
    "a learned temperature": Way(scale=_learned),
    "masked before and after": Way(after="multiply"),
    "capped": Way(scale=lambda scores, root: 3 * gn.tanh(scores / (3 * root))),
    "queries of length 1": Way(scale=_unscaled, on_queries=lambda q, root: q / gn.norm(q, axis=-1, keepdims=True)),
}
"""Ways to write attention without a fault."""

FAULTY: dict[str, list[Way]] = {
    "unscaled-scores": [
        Way(scale=_unscaled),
        Way(scale=_unscaled, rotary=True, dropout=0.1),
        Way(scale=lambda scores, root: scores * 1.0, einsum=True, padded=True, dtype="float32"),
        Way(scale=_unscaled, merged=True, mask="add"),
        Way(scale=_unscaled, cross=True, mask="inf"),
    ],
    "softmax-axis": [
        Way(axis=-2),
        Way(axis=-2, dropout=0.2),
        Way(axis=-2, einsum=True, mask="none", dtype="float32"),
        Way(axis=-2, merged=True, mask="none"),
    ],
    "mask-after-softmax": [
        Way(after="multiply", mask="none"),
        Way(after="where", mask="none", padded=True, dtype="float32"),
        Way(after="where", mask="none", dropout=0.2),
        Way(after="multiply", mask="none", merged=True),
        Way(after="where", mask="none", einsum=True, cross=True),
    ],
    "row-masked": [Way(mask="both", padded=True), Way(mask="both", padded=True, einsum=True, dropout=0.1)],
}
"""Ways to write it with one fault, by the code of what must be found."""


def faulty(code: str) -> Callable[[int], Model]:
    """Return a function that makes a transformer with a fault from a seed."""
    ways = FAULTY[code]
    return lambda seed: transformer(seed, ways[seed % len(ways)])


def sound(seed: int) -> Model:
    """Return a transformer without a fault."""
    return transformer(seed, list(SOUND.values())[seed % len(SOUND)])
