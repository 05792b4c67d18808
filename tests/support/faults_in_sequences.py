"""Trainings with one fault in how a sequence is read: masks, shifts, scores."""

import numpy as np
from health_cases import Planted, either, fault, lines
from health_parts import (
    Attention,
    Rng,
    Weights,
    causal,
    cross_entropy,
    dense,
    descent,
    embedded,
    sentences,
    waves,
)

import graphnn as gn
from graphnn import nn

_LATER = r"later|future|comes after|causal|ahead"
_LENGTH, _COUNT, _UNITS = 8, 9, 16


def _next_token(rng: Rng, keep: np.ndarray, name: str = "1") -> Planted:
    """Return a transformer by hand with this mask."""
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    p, at = Weights(g, rng), set[str]()

    def masked(scores: gn.Node) -> gn.Node:
        with lines(g) as there:
            scores = causal(g, keep)(scores)
        at.update(there)
        return scores

    def weighed(scores: gn.Node) -> gn.Node:
        with lines(g) as there:
            weights = gn.softmax(scores)
        at.update(there)
        return weights

    h = Attention(_UNITS, mask=masked, weigh=weighed)(p, embedded(p, x, _COUNT, _LENGTH, _UNITS), name)
    loss = cross_entropy(dense(p, h, "out", _UNITS, _COUNT), y)
    at |= {node.name for name in set(at) for node in (*g[name].inputs, *g[name].users) if node.op.name == "matmul"}
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("no causal mask", "transformer", "nn", _LATER, fixed=True)
def no_mask(rng: Rng) -> Planted:
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    h = nn.PositionEmbedding(_LENGTH, rng=rng)(nn.Embedding(_COUNT, _UNITS, rng=rng)(x))
    with lines(g) as at:
        h = nn.TransformerBlock(2, 32, causal=either(False, True), rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(_COUNT, rng=rng)(h), y)
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("a transposed causal mask", "transformer", "hand", _LATER, fixed=True)
def mask_transposed(rng: Rng) -> Planted:
    return _next_token(rng, either(np.tri(_LENGTH, dtype=bool).T, np.tri(_LENGTH, dtype=bool)))


@fault("a causal mask that is off by one", "transformer", "hand", _LATER, fixed=True)
def mask_off_by_one(rng: Rng) -> Planted:
    return _next_token(rng, np.tri(_LENGTH, k=either(1, 0), dtype=bool))


@fault("a forecast by an LSTM that reads both ways", "lstm", "nn", _LATER, fixed=True)
def both_ways(rng: Rng) -> Planted:
    X = waves(rng, 32, 11)[..., None]
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 10, 1)), g.placeholder("y", ("batch", 10, 1))
    with lines(g) as at:
        h = nn.LSTM(8, bidirectional=either(True, False), rng=rng)(x)
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X[:, :-1], y: X[:, 1:]}, at)


@fault("a forecast by a convolution that is padded on both sides", "cnn", "hand", _LATER)
def padded_both_sides(rng: Rng) -> Planted:
    X = waves(rng, 32, 17)[:, None, None, :]
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 1, 16)), g.placeholder("y", ("batch", 1, 1, 16))
    p = Weights(g, rng)
    with lines(g) as at:
        seen = x if either(True, False) else gn.pad(x, ((0, 0), (0, 0), (0, 0), (2, 0)))
        h = gn.relu(gn.conv(seen, p("k1", 8, 1, 1, 3), padding=(0, either(1, 0))))
    h = gn.conv(h, p("k2", 1, 8, 1, 1))
    loss = gn.mean(gn.square(h - y))
    return Planted(gn.compile(loss, descent(loss, p.all, 0.05)), {x: X[..., :-1], y: X[..., 1:]}, at)


@fault("labels that were not shifted", "transformer", "hand", r"label|equal|same|shift", fixed=True)
def not_shifted(rng: Rng) -> Planted:
    found = _next_token(rng, np.tri(_LENGTH, dtype=bool))
    graph = found.step.graph
    (loss,), tokens = found.step.fetches, found.feed[graph["x"]]
    labels = either(tokens.copy(), found.feed[graph["y"]])
    return Planted(found.step, {graph["x"]: tokens, graph["y"]: labels}, {"x", "y", loss.name})


@fault("labels that were shifted the wrong way", "gru", "nn", r"label|equal|shift|earlier|before")
def shifted_the_wrong_way(rng: Rng) -> Planted:
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    h = nn.GRU(16, rng=rng)(nn.Embedding(_COUNT, 8, rng=rng)(x))
    logits = nn.Dense(_COUNT, rng=rng)(h)
    with lines(g) as at:
        loss = nn.softmax_crossentropy(logits, y)
    step = gn.compile(loss, nn.Adam(0.01).updates(loss))
    seen, told = either((tokens[:, 1:], tokens[:, :-1]), (tokens[:, :-1], tokens[:, 1:]))
    return Planted(step, {x: seen, y: told}, at | {"x", "y"})


@fault("a mask after the softmax", "transformer", "hand", r"after .*softmax|softmax", fixed=True)
def mask_after_softmax(rng: Rng) -> Planted:
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    p, at = Weights(g, rng), set[str]()

    def weighed(scores: gn.Node) -> gn.Node:
        masked = causal(g, np.tri(_LENGTH, dtype=bool))
        if either(False, True):
            return gn.softmax(masked(scores))
        weights = gn.softmax(scores)
        with lines(g) as there:
            weights = masked(weights)
        at.update(there)
        return weights

    h = Attention(_UNITS, weigh=weighed)(p, embedded(p, x, _COUNT, _LENGTH, _UNITS), "1")
    loss = cross_entropy(dense(p, h, "out", _UNITS, _COUNT), y)
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("scores times the root of d", "transformer", "hand", r"scale|√d|divide|one key|saturat", fixed=True)
def multiplied_scores(rng: Rng) -> Planted:
    units = 64
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", _LENGTH), np.int64) for name in "xy")
    p, at = Weights(g, rng), set[str]()

    def scored(q: gn.Node, k: gn.Node) -> gn.Node:
        with lines(g) as there:
            scores = q @ gn.swapaxes(k, -1, -2) * float(np.sqrt(units)) ** either(1, -1)
        at.update(there)
        return scores

    def weighed(scores: gn.Node) -> gn.Node:
        with lines(g) as there:
            weights = gn.softmax(scores)
        at.update(there)
        return weights

    block = Attention(units, score=scored, weigh=weighed, mask=causal(g, np.tri(_LENGTH, dtype=bool)))
    h = block(p, embedded(p, x, _COUNT, _LENGTH, units), "1")
    loss = cross_entropy(dense(p, h, "out", units, _COUNT), y)
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    return Planted(gn.compile(loss, descent(loss, p.all, 0.03)), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("a sequence that is padding alone", "transformer", "nn", r"mask|row|all", fixed=True)
def all_masked(rng: Rng) -> Planted:
    tokens = sentences(rng, 24, _LENGTH, _COUNT)
    kept = np.arange(_LENGTH) < rng.integers(2, _LENGTH + 1, 24)[:, None]
    kept[int(rng.integers(24))] = [either(False, True)] + [False] * (_LENGTH - 1)
    g = gn.Graph()
    x, keep = g.placeholder("x", ("batch", _LENGTH), np.int64), g.placeholder("keep", ("batch", _LENGTH), bool)
    y = g.placeholder("y", ("batch",), np.int64)
    h = nn.PositionEmbedding(_LENGTH, rng=rng)(nn.Embedding(_COUNT, _UNITS, rng=rng)(x))
    with lines(g) as at:
        h = nn.TransformerBlock(2, 32, rng=rng)(h, mask=keep)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h[:, 0]), y)
    step = gn.compile(loss, nn.Adam(0.003).updates(loss))
    return Planted(step, {x: tokens, keep: kept, y: tokens[:, 0] % 3}, at | {"keep"})


@fault("a recurrent weight far above 1", "rnn", "hand", r"explod|grow|time|overflow|large")
def recurrent_weight(rng: Rng) -> Planted:
    length, units = 24, 16
    X = waves(rng, 32, length + 1)[..., None]
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", length, 1)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    w, u = p("w", 1, units), p("u", units, units, scale=either(1.0, 0.25))
    with lines(g) as at:
        h = x[:, 0] @ w
        for t in range(1, length):
            h = gn.relu(x[:, t] @ w + h @ u)
    loss = gn.mean(gn.square(dense(p, h, "out", units, 1) - y))
    updates = descent(loss, p.all, 0.01)
    at |= {u.name, w.name} | {d.name for d in gn.grad(loss, [u, w])} | {updates[u].name, updates[w].name}
    return Planted(gn.compile(loss, updates), {x: X[:, :-1], y: X[:, -1]}, at)
