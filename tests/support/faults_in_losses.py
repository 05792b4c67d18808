"""Trainings with one fault in the loss or just before it."""

import numpy as np
from health_cases import Planted, either, fault, lines
from health_parts import (
    Attention,
    Rng,
    Weights,
    cross_entropy,
    curve,
    dense,
    descent,
    images,
    mlp,
    points,
    waves,
)

import graphnn as gn
from graphnn import nn

_TWICE = r"probabilit|logit|twice"


def _labelled(dtype: str = "float64", wide: int = 6) -> tuple[gn.Graph, gn.Node, gn.Node]:
    g = gn.Graph(dtype=dtype)
    return g, g.placeholder("x", ("batch", wide)), g.placeholder("y", ("batch",), np.int64)


@fault("a softmax before softmax_crossentropy", "mlp", "nn", _TWICE, fixed=True)
def softmax_twice(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 4)
    g, x, y = _labelled()
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(4, rng=rng))(x)
    with lines(g) as at:
        h = either(nn.Softmax(), lambda h: h)(h)
        loss = nn.softmax_crossentropy(h, y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at)


@fault("a softmax before a cross-entropy written out", "transformer", "hand", _TWICE, fixed=True)
def softmax_twice_by_hand(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 6, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8, 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = Attention(12)(p, dense(p, x, "in", 6, 12), "1")
    logits = dense(p, gn.mean(h, axis=1), "out", 12, 4)
    with lines(g) as at:
        e = gn.exp(logits - gn.max(logits, axis=1, keepdims=True))
        probabilities = e / gn.sum(e, axis=1, keepdims=True)
        loss = cross_entropy(either(probabilities, logits), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X[:, 0], y: Y}, at)


@fault("a log-likelihood of probabilities", "mlp", "nn", r"probabilit", fixed=True)
def nll_of_probabilities(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 4)
    g, x, y = _labelled()
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(4, rng=rng))(x)
    with lines(g) as at:
        h = either(gn.softmax, gn.log_softmax)(h)
        loss = nn.negative_log_likelihood(h, y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at)


@fault("a log-likelihood of logits", "cnn", "nn", r"logits|logarithms|log_softmax|minimum", fixed=True)
def nll_of_logits(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Conv2D(6, 3, rng=rng), nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(4, rng=rng))
    h = net(x)
    with lines(g) as at:
        loss = nn.negative_log_likelihood(h if either(True, False) else gn.log_softmax(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at | {h.name})


@fault("a cross-entropy of probabilities that takes logits", "mlp", "nn", r"probabilit|logit", fixed=True)
def logits_as_probabilities(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 4)
    g, x, y = _labelled()
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(4, rng=rng))(x)
    with lines(g) as at:
        loss = nn.categorical_crossentropy(h if either(True, False) else gn.softmax(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at | {h.name})


@fault("a sigmoid before sigmoid_crossentropy", "lstm", "nn", r"sigmoid|probabilit")
def sigmoid_twice(rng: Rng) -> Planted:
    X = waves(rng, 40, 10)[..., None]
    Y = (X[:, -1] > 0).astype(float)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 9, 1)), g.placeholder("y", ("batch", 1))
    h = nn.Dense(1, rng=rng)(nn.LSTM(8, rng=rng)(x)[:, -1])
    with lines(g) as at:
        h = either(gn.sigmoid, lambda h: h)(h)
        loss = nn.sigmoid_crossentropy(h, y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X[:, :-1], y: Y}, at)


@fault("a softmax of one number", "mlp", "hand", r"single|one number|\bone\b|always 1|size 1", fixed=True)
def softmax_of_one(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 2)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    score = mlp(p, x, [6, 16, 1])
    with lines(g) as at:
        chance = either(gn.softmax, gn.sigmoid)(score)
    loss = -gn.mean(y * gn.log(chance + 1e-7) + (1 - y) * gn.log(1 - chance + 1e-7))
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y[:, None]}, at)


# --- pairs ------------------------------------------------------------------------------------------------------


@fault("a column less a row of targets", "mlp", "hand", r"every|pair|broadcast", fixed=True)
def every_pair(rng: Rng) -> Planted:
    X, Y = curve(rng, 48, 5)
    g = gn.Graph()
    x, t = g.placeholder("x", ("batch", 5)), g.placeholder("t", ("batch",))
    p = Weights(g, rng)
    h = mlp(p, x, [5, 16, 2])
    with lines(g) as at:
        error = h[:, :1] - t if either(True, False) else h[:, 0] - t
    loss = gn.mean(gn.square(error))
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, t: Y}, at)


@fault("a loss of (batch, 1) and (batch,)", "cnn", "hand", r"every|pair|broadcast", fixed=True)
def every_pair_of_loss(rng: Rng) -> Planted:
    X, _ = images(rng, 32, 1, 8, 8, 3)
    T = X[:, 0, 2:4].sum(axis=(1, 2)) / 4

    def mse_loss(predicted: gn.Node, true: gn.Node) -> gn.Node:
        return gn.mean((predicted - true) ** 2)

    g = gn.Graph()
    x, t = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("t", ("batch",))
    p = Weights(g, rng)
    h = gn.relu(gn.conv(x, p("k", 6, 1, 3, 3)))
    h = dense(p, gn.reshape(h, (-1, 216)), "out", 216, 1)
    with lines(g) as at:
        loss = mse_loss(h if either(True, False) else h[:, 0], t)
    return Planted(gn.compile(loss, descent(loss, p.all, 0.02)), {x: X, t: T}, at)


# --- numbers ----------------------------------------------------------------------------------------------------


@fault("a softmax written without its maximum", "mlp", "hand", r"overflow|largest|inf", fixed=True)
def exp_overflows(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 4)
    g, x, y = _labelled("float32")
    p = Weights(g, rng)
    logits = mlp(p, x * either(200.0, 1.0), [6, 16, 4], gn.relu)
    with lines(g) as at:
        e = gn.exp(logits)
        chances = e / gn.sum(e, axis=1, keepdims=True)
    loss = -gn.mean(gn.log(gn.pick(chances, y) + 1e-7))
    return Planted(gn.compile(loss, descent(loss, p.all, 0.001)), {x: X, y: Y}, at)


@fault("the logarithm of a probability that is 0", "cnn", "hand", r"log|\b0\b", fixed=True)
def log_of_zero(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 4)
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch", 4))
    p = Weights(g, rng)
    h = gn.relu(gn.conv(x * either(50.0, 1.0), p("k", 6, 1, 3, 3)))
    chances = gn.softmax(dense(p, gn.reshape(h, (-1, 216)), "out", 216, 4))
    with lines(g) as at:
        loss = -gn.mean(gn.sum(y * gn.log(chances), axis=1))
    return Planted(gn.compile(loss, descent(loss, p.all, 0.001)), {x: X, y: np.eye(4)[Y]}, at)


@fault("the distance of a pair that is equal", "siamese", "hand", r"sqrt|root|\b0\b|zero", fixed=True)
def root_of_zero(rng: Rng) -> Planted:
    X, _ = points(rng, 40, 6, 2)
    other = X + rng.normal(size=X.shape) * (np.arange(40) % 4 > 0)[:, None]  # each fourth pair is one image twice
    g = gn.Graph()
    a, b = g.placeholder("a", ("batch", 6)), g.placeholder("b", ("batch", 6))
    alike = g.placeholder("alike", ("batch",))
    p = Weights(g, rng)
    w = p("w", 6, 8)
    u, v = gn.tanh(a @ w), gn.tanh(b @ w)
    with lines(g) as at:
        distance = gn.sqrt(gn.sum(gn.square(u - v), axis=1) + either(0.0, 1e-6))
    loss = gn.mean(alike * gn.square(distance) + (1 - alike) * gn.square(gn.relu(1 - distance)))
    feed = {a: X, b: other, alike: (np.arange(40) % 2 == 0).astype(float)}
    return Planted(gn.compile(loss, descent(loss, p.all)), feed, at)


@fault("a batch norm without epsilon", "mlp", "hand", r"\b0\b|zero|deviation|constant", fixed=True)
def no_epsilon(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 3)
    X[:, 2] = 1.0  # a column of ones, as for a bias
    g, x, y = _labelled()
    p = Weights(g, rng)
    with lines(g) as at:
        h = (x - gn.mean(x, axis=0)) / gn.sqrt(gn.mean(gn.square(x - gn.mean(x, axis=0)), axis=0) + either(0.0, 1e-5))
    loss = cross_entropy(mlp(p, h, [6, 16, 3]), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y}, at)


@fault("a loss of rounded predictions", "regression", "hand", r"gradient|round|constant")
def rounded(rng: Rng) -> Planted:
    X, Y = curve(rng, 64, 5)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    h = mlp(p, x, [5, 16, 1])
    with lines(g) as at:
        h = either(gn.round, lambda h: h)(h * 10.0) / 10.0
    loss = gn.mean(gn.square(h - y))
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y[:, None]}, at)


@fault("a divergence of the wrong sign", "vae", "nn", r"sign|subtract|decreas|bound|minimum")
def divergence_subtracted(rng: Rng) -> Planted:
    X, _ = images(rng, 48, 1, 5, 5, 3)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 25))
    h = nn.Dense(16, activation="relu", rng=rng)(x)
    mean, spread = nn.Dense(3, rng=rng)(h), nn.Dense(3, rng=rng)(h)
    z = mean + gn.exp(0.5 * spread) * g.placeholder("noise", ("batch", 3))
    made = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(25, rng=rng))(z)
    error = gn.mean(gn.sum(gn.square(made - x), axis=1))
    with lines(g) as at:
        divergence = -0.5 * gn.mean(gn.sum(1 + spread - gn.square(mean) - gn.exp(spread), axis=1))
        loss = error - divergence if either(True, False) else error + divergence
    feed = {x: X.reshape(48, 25), g["noise"]: rng.normal(size=(48, 3))}
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), feed, at)
