"""Trainings without a fault: sequences."""

from typing import Any

import numpy as np
from health_cases import Sound, sound
from health_parts import (
    Attention,
    Rng,
    Weights,
    causal,
    cross_entropy,
    dense,
    descent,
    embedded,
    images,
    sentences,
    waves,
)

import graphnn as gn
from graphnn import nn

_LENGTH, _COUNT, _UNITS = 8, 9, 16


def _tokens(rng: Rng, dtype: str = "float64") -> Any:
    g = gn.Graph(dtype=dtype)
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    return g, x, y, {x: tokens[:, :-1], y: tokens[:, 1:]}


@sound("a transformer that looks back", "transformer", "nn", fixed=True)
def gpt(rng: Rng) -> Sound:
    _, x, y, feed = _tokens(rng)
    h = nn.PositionEmbedding(_LENGTH, rng=rng)(nn.Embedding(_COUNT, _UNITS, rng=rng)(x))
    for _ in range(2):
        h = nn.TransformerBlock(2, 32, causal=True, norm="before", activation="gelu", rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(_COUNT, rng=rng)(nn.LayerNorm()(h)), y)
    return Sound(gn.compile(loss, nn.AdamW(0.003).updates(loss)), feed)


@sound("a transformer that looks back, written out", "transformer", "hand", fixed=True)
def gpt_by_hand(rng: Rng) -> Sound:
    g, x, y, feed = _tokens(rng)
    p = Weights(g, rng)
    h = embedded(p, x, _COUNT, _LENGTH, _UNITS)
    h = Attention(_UNITS, mask=causal(g, np.tri(_LENGTH, dtype=bool)))(p, h, "1")
    loss = cross_entropy(dense(p, h, "out", _UNITS, _COUNT), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), feed)


@sound("tied embeddings", "transformer", "hand")
def tied(rng: Rng) -> Sound:
    g, x, y, feed = _tokens(rng)
    p = Weights(g, rng)
    h = embedded(p, x, _COUNT, _LENGTH, _UNITS)
    h = Attention(_UNITS, mask=causal(g, np.tri(_LENGTH, dtype=bool)))(p, h, "1")
    loss = cross_entropy(h @ gn.transpose(g["table"]) / np.sqrt(_UNITS), y)
    return Sound(gn.compile(loss, descent(loss, p.all, 0.05)), feed)


@sound("masked words, told from both sides", "transformer", "nn", fixed=True)
def bert(rng: Rng) -> Sound:
    """Its labels are inputs of the same step, before they were masked: no labels leak."""
    tokens = sentences(rng, 24, _LENGTH, _COUNT)
    hidden = rng.random(tokens.shape) < 0.25
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    h = nn.PositionEmbedding(_LENGTH, rng=rng)(nn.Embedding(_COUNT + 1, _UNITS, rng=rng)(x))
    h = nn.TransformerBlock(2, 32, rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(_COUNT, rng=rng)(h), y, ignore_index=-100)
    feed = {x: np.where(hidden, _COUNT, tokens), y: np.where(hidden, tokens, -100)}
    return Sound(gn.compile(loss, nn.Adam(0.003).updates(loss)), feed)


@sound("patches of images", "transformer", "nn")
def patches(rng: Rng) -> Sound:
    X, Y = images(rng, 32, 1, 8, 6, 3)
    kept = np.arange(8) < rng.integers(4, 9, 32)[:, None]
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8, 6)), g.placeholder("y", ("batch",), np.int64)
    keep = g.placeholder("keep", ("batch", 8), bool)
    h = nn.PositionEmbedding(8, rng=rng)(nn.Dense(_UNITS, rng=rng)(x))
    h = nn.TransformerBlock(4, 32, dropout=0.1, rng=rng)(h, mask=keep, training=True)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(gn.mean(h, axis=1)), y)
    return Sound(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: X[:, 0], y: Y, keep: kept})


@sound("an LSTM tells a class", "lstm", "nn", fixed=True)
def lstm(rng: Rng) -> Sound:
    X = waves(rng, 40, 13)[..., None]
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 12, 1)), g.placeholder("y", ("batch",), np.int64)
    h = nn.LSTM(12, bidirectional=True, rng=rng)(x)
    loss = nn.softmax_crossentropy(nn.Dense(2, rng=rng)(h[:, -1]), y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X[:, :-1], y: (X[:, -1, 0] > 0).astype(int)})


@sound("a GRU tells the next word", "gru", "nn", fixed=True)
def gru(rng: Rng) -> Sound:
    _, x, y, feed = _tokens(rng)
    h = nn.GRU(16, layers=2, rng=rng)(nn.Embedding(_COUNT, 8, rng=rng)(x))
    loss = nn.softmax_crossentropy(nn.Dense(_COUNT, rng=rng)(h), y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


@sound("a forecast that looks back", "lstm", "nn", fixed=True)
def forecast(rng: Rng) -> Sound:
    X = waves(rng, 32, 13)[..., None]
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 12, 1)), g.placeholder("y", ("batch", 12, 1))
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(nn.LSTM(12, rng=rng)(x)), y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X[:, :-1], y: X[:, 1:]})


@sound("a convolution that is padded on the left", "cnn", "hand", fixed=True)
def padded_left(rng: Rng) -> Sound:
    X = waves(rng, 32, 17)[:, None, None, :]
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 1, 16)), g.placeholder("y", ("batch", 1, 1, 16))
    p = Weights(g, rng)
    h = gn.relu(gn.conv(gn.pad(x, ((0, 0), (0, 0), (0, 0), (2, 0))), p("k1", 8, 1, 1, 3)))
    loss = gn.mean(gn.square(gn.conv(h, p("k2", 1, 8, 1, 1)) - y))
    return Sound(gn.compile(loss, descent(loss, p.all, 0.05)), {x: X[..., :-1], y: X[..., 1:]})


@sound("time first", "rnn", "hand", fixed=True)
def time_first(rng: Rng) -> Sound:
    """Each step reads the one before it, along the first axis: rows mix, and should."""
    X = waves(rng, 32, 11).T[..., None]
    g = gn.Graph()
    x, y = g.placeholder("x", ("time", "batch", 1)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    w, u, b = p("w", 1, 10), p("u", 10, 10, scale=0.25), p("b", 10, scale=0)
    h = gn.scan(lambda h, row: (gn.tanh(row @ w + h @ u + b),) * 2, gn.zeros_like(x[0] @ w), x)[0]
    loss = gn.mean(gn.square(dense(p, h, "out", 10, 1) - y))
    return Sound(gn.compile(loss, descent(loss, p.all)), {x: X[:-1], y: X[-1]})
