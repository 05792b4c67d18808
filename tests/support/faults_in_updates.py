"""Trainings with one fault in the updates, or in the way of the gradients."""

from typing import Any

import numpy as np
from health_cases import Planted, either, fault, lines
from health_parts import (
    Attention,
    Rng,
    Weights,
    causal,
    cross_entropy,
    curve,
    dense,
    descent,
    embedded,
    images,
    mlp,
    points,
    sentences,
)

import graphnn as gn
from graphnn import nn

_UPHILL = r"uphill|ascent|raises|increas|grow|\bsign\b"
_UNCHANGED = (
    r"no update|not (updated|moved|changed|trained)|unchanged|leaves|stays|without an? update|not in the updates"
)
_TOO_LITTLE = r"so little|unchanged|too (low|small)|clip_norm"


def _names(nodes: Any) -> set[str]:
    return {node.name for node in nodes}


def _moved(updates: dict[gn.Node, gn.Node]) -> set[str]:
    """Return the parameters, their next values, and the learning rate."""
    rate = {node.name for w in updates for node in w.graph.state if node.name.endswith("/learning_rate")}
    return _names(updates) | _names(updates.values()) | rate


def _mlp(rng: Rng, dtype: str = "float64") -> tuple[gn.Graph, Weights, gn.Node, dict[gn.Node, Any]]:
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph(dtype=dtype)
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    return g, p, cross_entropy(mlp(p, x, [6, 16, 8, 3]), y), {x: X, y: Y}


def _layers(rng: Rng, dtype: str = "float64") -> tuple[gn.Node, dict[gn.Node, Any]]:
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph(dtype=dtype)
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    return nn.softmax_crossentropy(net(x), y), {x: X, y: Y}


@fault("gradient ascent", "mlp", "hand", _UPHILL, fixed=True)
def ascent(rng: Rng) -> Planted:
    g, p, loss, feed = _mlp(rng)
    slopes = gn.grad(loss, p.all)
    with lines(g) as at:
        updates = {w: w + either(0.1, -0.1) * d for w, d in zip(p.all, slopes, strict=True)}
    return Planted(gn.compile(loss, updates), feed, at | _names(p.all))


@fault("an optimizer of minus the loss", "cnn", "nn", _UPHILL, fixed=True)
def ascent_of_optimizer(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Conv2D(6, 3, rng=rng), nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(x), y)
    with lines(g) as at:
        gain = -loss if either(True, False) else loss
    updates = nn.SGD(0.1).updates(gain)
    return Planted(gn.compile(loss, updates), {x: X, y: Y}, at | _moved(updates))


@fault("gradient ascent of one parameter", "transformer", "hand", _UPHILL, fixed=True)
def ascent_of_one(rng: Rng) -> Planted:
    g, length, count = gn.Graph(), 7, 9
    x, y = (g.placeholder(name, ("batch", length), np.int64) for name in "xy")
    p = Weights(g, rng)
    h = Attention(16, mask=causal(g, np.tri(length, dtype=bool)))(p, embedded(p, x, count, length, 16), "1")
    loss = cross_entropy(dense(p, h, "out", 16, count), y)
    updates = descent(loss, p.all)
    wrong = p.all[int(rng.integers(len(p.all)))]
    slope = gn.grad(loss, wrong)
    with lines(g) as at:
        updates[wrong] = wrong + either(0.1, -0.1) * slope
    tokens = sentences(rng, 24, length + 1, count)
    return Planted(gn.compile(loss, updates), {x: tokens[:, :-1], y: tokens[:, 1:]}, at | {wrong.name})


@fault("a weight decay of the wrong sign", "mlp", "hand", _UPHILL, fixed=True)
def decay_flipped(rng: Rng) -> Planted:
    g, p, loss, feed = _mlp(rng)
    slopes = gn.grad(loss, p.all)
    with lines(g) as at:
        updates = {w: w - 0.1 * (d - either(0.1, -0.01) * w) for w, d in zip(p.all, slopes, strict=True)}
    return Planted(gn.compile(loss, updates), feed, at | _names(p.all))


@fault("a penalty of the wrong sign", "transformer", "nn", _UPHILL + "|penalty", fixed=True)
def penalty_flipped(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 6, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8, 6)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.TransformerBlock(2, 32, rng=rng), nn.Flatten(), nn.Dense(4, rng=rng))
    loss = nn.softmax_crossentropy(net(x), y)
    with lines(g) as at:
        penalty = nn.l2(net.parameters, 0.01)
        loss = loss - penalty if either(True, False) else loss + penalty
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: X[:, 0], y: Y}, at)


@fault(
    "a parameter with a gradient and no update",
    "mlp",
    "hand",
    _UNCHANGED,
    fixed=True,
)
def no_update(rng: Rng) -> Planted:
    _, p, loss, feed = _mlp(rng)
    slopes = gn.grad(loss, p.all)
    left = p.all[-2]
    updates = {w: w - 0.1 * d for w, d in zip(p.all, slopes, strict=True) if w is not left or either(False, True)}
    return Planted(gn.compile(loss, updates), feed, {left.name, slopes[p.all.index(left)].name})


@fault("a list of gradients that is one too short", "cnn", "hand", _UNCHANGED)
def too_short(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    k1, k2 = p("k1", 6, 1, 3, 3), p("k2", 6, 6, 3, 3)
    h = gn.relu(gn.conv(gn.relu(gn.conv(x, k1)), k2))
    loss = cross_entropy(gn.mean(h, axis=(2, 3)) @ p("w", 6, 3) + p("b", 3, scale=0), y)
    slopes = gn.grad(loss, p.all)
    updates = {w: w - 0.1 * d for w, d in zip(p.all[either(1, 0) :], slopes[either(1, 0) :], strict=True)}
    return Planted(gn.compile(loss, updates), {x: X, y: Y}, {k1.name, slopes[0].name})


@fault("a stop_gradient on the way", "mlp", "nn", r"stop_gradient", alone=True, fixed=True)
def stopped(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    h = x
    for _ in range(9):
        h = nn.Dense(16, activation="relu", rng=rng)(h)
    with lines(g) as at:
        h = either(gn.stop_gradient, lambda h: h)(h)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss, list(g.parameters))), {x: X, y: Y}, at)


@fault("a stop_gradient between encoder and decoder", "autoencoder", "hand", r"stop_gradient", alone=True)
def stopped_code(rng: Rng) -> Planted:
    X, _ = images(rng, 48, 1, 5, 5, 3)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 25))
    p = Weights(g, rng)
    code = gn.tanh(dense(p, gn.tanh(dense(p, x, "1", 25, 12)), "2", 12, 4))
    with lines(g) as at:
        code = either(gn.stop_gradient, lambda code: code)(code)
    made = dense(p, gn.tanh(dense(p, code, "3", 4, 12)), "4", 12, 25)
    loss = gn.mean(gn.square(made - x))
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X.reshape(48, 25)}, at)


# --- rates ------------------------------------------------------------------------------------------------------


@fault("a learning rate 1000 times too high", "mlp", "nn", r"rate|large|times", fixed=True)
def rate_too_high(rng: Rng) -> Planted:
    loss, feed = _layers(rng)
    updates = nn.Adam(either(10.0, 0.01)).updates(loss)
    return Planted(gn.compile(loss, updates), feed, _moved(updates))


@fault("the sum of a large batch, at the rate of its mean", "regression", "hand", r"rate|large|times|overflow")
def sum_of_batch(rng: Rng) -> Planted:
    X, Y = curve(rng, 256, 5)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    h = mlp(p, x, [5, 24, 1])
    loss = either(gn.sum, gn.mean)(gn.square(h - y))
    updates = descent(loss, p.all, 0.1)
    return Planted(gn.compile(loss, updates), {x: X, y: Y[:, None]}, _moved(updates) | {loss.name})


@fault("a learning rate that float32 rounds away", "cnn", "nn", _TOO_LITTLE, fixed=True)
def rate_too_low(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Conv2D(6, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(x), y)
    updates = nn.SGD(either(1e-9, 0.05)).updates(loss)
    return Planted(gn.compile(loss, updates), {x: X, y: Y}, _moved(updates))


@fault("a clipped norm of a millionth", "transformer", "nn", _TOO_LITTLE)
def clipped_away(rng: Rng) -> Planted:
    g, length, count = gn.Graph(dtype="float32"), 7, 9
    x, y = (g.placeholder(name, ("batch", length), np.int64) for name in "xy")
    h = nn.PositionEmbedding(length, rng=rng)(nn.Embedding(count, 16, rng=rng)(x))
    h = nn.TransformerBlock(2, 32, causal=True, rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(count, rng=rng)(h), y)
    updates = nn.SGD(0.01, clip_norm=either(1e-6, 1.0)).updates(loss)
    at = _moved(updates) | {name for name in g.dag if name.startswith("sgd_1/clip")}
    tokens = sentences(rng, 24, length + 1, count)
    return Planted(gn.compile(loss, updates), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("a weight decay that takes all", "mlp", "nn", r"decay|shrink|uphill|raises|collaps")
def decay_too_strong(rng: Rng) -> Planted:
    loss, feed = _layers(rng)
    updates = nn.AdamW(0.05, weight_decay=either(10.0, 0.01)).updates(loss)
    return Planted(gn.compile(loss, updates), feed, _moved(updates))


@fault("a metric of another network", "mlp", "nn", r"parameter|trained", fixed=True)
def other_network(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)

    def model(x: gn.Node) -> gn.Node:  # makes new layers with each call
        return nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)

    logits = model(x)
    loss = nn.softmax_crossentropy(logits, y)
    with lines(g) as at:
        accuracy = nn.accuracy(model(x) if either(True, False) else logits, y)
    return Planted(gn.compile([loss, accuracy], nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at)
