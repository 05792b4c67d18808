"""Attention in blocks of queries: equal to the bit to the same blocks in NumPy, without the whole matrix of scores."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from everywhere import PLANS

import graphnn as gn
from graphnn import nn
from graphnn.errors import ShapeError, UsageError

MASKS = {None: None, "padding": ("batch", 13), "pairs": ("batch", 13, 13), "heads": ("batch", 2, 13, 13)}


def attending(
    block: int | None, time: Any = 13, mask: Any = None, training: bool = False, **settings: Any
) -> tuple[nn.MultiHeadAttention, Any]:
    """Return a layer, and what it takes and gives: x, mask, y."""
    g = gn.Graph()
    x = g.placeholder("x", ("batch", time, 8))
    given = g.placeholder("mask", mask, bool) if mask else None
    layer = nn.MultiHeadAttention(2, block=block, rng=np.random.default_rng(3), **settings)
    return layer, (x, given, layer(x, mask=given, training=training))


def by_numpy(layer: nn.MultiHeadAttention, x: np.ndarray, mask: Any, block: int, causal: bool) -> np.ndarray:
    """Compute attention block by block, as a loop in NumPy does."""

    def dense(inner: Any, z: np.ndarray) -> np.ndarray:
        return z @ inner.weight.value + inner.bias.value

    batch, time, units = x.shape
    q, k, v = (dense(inner, x).reshape(batch, time, 2, units // 2) for inner in (layer.query, layer.key, layer.value))
    q, k, v = q.swapaxes(1, 2), k.transpose(0, 2, 3, 1), v.swapaxes(1, 2)
    found = []
    for start in range(0, time, block):
        rows = slice(start, start + block)
        scores = (q[:, :, rows] @ k) / np.sqrt(units // 2)
        if causal:
            scores = np.where(np.arange(time)[rows, None] >= np.arange(time), scores, -np.inf)
        if mask is not None:
            scores = np.where(mask[:, :, rows] if mask.shape[2] > 1 else mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        found.append((weights / weights.sum(-1, keepdims=True)) @ v)
    together = np.concatenate(found, axis=2).swapaxes(1, 2).reshape(batch, time, units)
    return dense(layer.output, together)


def data(shape: tuple[Any, ...] | None) -> tuple[np.ndarray, Any]:
    rng = np.random.default_rng(7)
    x = rng.normal(size=(2, 13, 8))
    mask = None if shape is None else rng.random((2, *shape[1:])) < 0.6
    if mask is not None:
        mask[..., 0] = True
    return x, mask


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(("block", "causal"), [(4, True), (5, False), (6, True), (12, False)])
def test_blocks_are_those_of_a_loop_in_numpy(kind: str | None, block: int, causal: bool) -> None:
    x, mask = data(MASKS[kind])
    layer, (node, given, y) = attending(block, mask=MASKS[kind], causal=causal)
    whole = mask if mask is None or mask.ndim == 4 else mask[:, None, None] if mask.ndim == 2 else mask[:, None]
    found = gn.run(y, {node: x} | ({} if given is None else {given: mask}))
    assert np.array_equal(found, by_numpy(layer, x, whole, block, causal))


@pytest.mark.parametrize("backend", PLANS)
def test_gradients_are_those_of_all_at_once(backend: str) -> None:
    x, mask = data(MASKS["pairs"])
    found = []
    for block in (None, 4):
        layer, (node, given, y) = attending(block, mask=MASKS["pairs"], causal=True)
        loss = gn.mean(gn.square(y))
        wanted = [loss, *gn.grad(loss, [node, layer.query.weight, layer.key.weight, layer.value.weight])]
        feed = {node: x, given: mask}
        found.append(gn.run(wanted, feed))
        for one, other in zip(found[-1], gn.compile(wanted, backend=backend)(feed), strict=True):
            assert np.array_equal(one, other)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-16)


def test_the_whole_matrix_of_scores_is_never_there() -> None:
    time = 1024
    peaks = []
    for block in (None, 32):
        layer, (node, _, y) = attending(block, time=time)
        step = gn.compile([y, gn.grad(gn.sum(y), layer.query.weight)], backend="numpy")
        feed = {node: np.zeros((1, time, 8))}
        tracemalloc.start()
        step(feed)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    scores = 2 * time * time * 8  # bytes, of two heads
    assert peaks[0] > scores > 3 * peaks[1]


def test_a_cache_a_block_and_blocks_larger_than_the_queries() -> None:
    x, _ = data(None)
    results = []
    for block in (None, 3):
        g = gn.Graph()
        node = g.placeholder("x", ("batch", 7, 8))
        layer = nn.TransformerBlock(2, 16, causal=True, block=block, rng=np.random.default_rng(1))
        first, cache = layer(node, cache=layer.cache(node, 20))
        second, _ = layer(first, cache=cache)
        results.append(gn.run([first, second], {node: x[:, :7]}))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12, atol=1e-14)
    _, (node, _, y) = attending(13)
    _, (other, _, all_at_once) = attending(None)
    assert np.array_equal(gn.run(y, {node: x}), gn.run(all_at_once, {other: x}))


def test_dropout_differs_between_blocks() -> None:
    results = []
    for rate in (0.0, 0.5):
        _, (node, _, y) = attending(4, time=8, training=True, dropout=rate)
        found = gn.run(y, {node: np.ones((1, 8, 8))})  # equal queries find the same, but for what is dropped
        results.append(np.abs(found[0, :4] - found[0, 4:]).max())
    assert results[0] < 1e-12 < 1e-3 < results[1]


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ShapeError, match=r"block=4 needs a number of queries, and it is named 'time'"):
        attending(4, time="time")
    for wrong in (0, -1, 1.5, "4", True):
        with pytest.raises((UsageError, ValueError, TypeError), match="block"):
            nn.MultiHeadAttention(2, block=wrong)
