"""Trainings without a fault: networks for features and images."""

from typing import Any

import numpy as np
from health_cases import Sound, sound
from health_parts import Rng, Weights, cross_entropy, curve, dense, descent, images, mlp, points

import graphnn as gn
from graphnn import nn


def _features(rng: Rng, dtype: str = "float64", rows: int = 64, wide: int = 8, classes: int = 3) -> Any:
    X, Y = points(rng, rows, wide, classes)
    g = gn.Graph(dtype=dtype)
    x, y = g.placeholder("x", ("batch", wide)), g.placeholder("y", ("batch",), np.int64)
    return g, x, y, {x: X.astype(dtype), y: Y}


def _pictures(rng: Rng, dtype: str = "float64", channels: int = 1, size: int = 8, classes: int = 3) -> Any:
    X, Y = images(rng, 32, channels, size, size, classes)
    g = gn.Graph(dtype=dtype)
    x, y = g.placeholder("x", ("batch", channels, size, size)), g.placeholder("y", ("batch",), np.int64)
    return g, x, y, {x: X.astype(dtype), y: Y}


@sound("layers of rectified units", "mlp", "nn", fixed=True)
def relu_layers(rng: Rng) -> Sound:
    _, x, y, feed = _features(rng, "float32")
    net = nn.Sequential(nn.Dense(24, rng=rng), nn.ReLU(), nn.Dense(12, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(x), y)
    return Sound(gn.compile([loss, nn.accuracy(net(x), y)], nn.Adam(0.01).updates(loss)), feed)


@sound("dense layers and descent written out", "mlp", "hand", fixed=True)
def layers_by_hand(rng: Rng) -> Sound:
    g, x, y, feed = _features(rng)
    p = Weights(g, rng)
    loss = cross_entropy(mlp(p, x, [8, 16, 3]), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), feed)


@sound("momentum and weight decay written out", "mlp", "hand", fixed=True)
def momentum_by_hand(rng: Rng) -> Sound:
    g, x, y, feed = _features(rng)
    p = Weights(g, rng)
    loss = cross_entropy(mlp(p, x, [8, 16, 16, 3], gn.relu), y)
    updates = {}
    for w, d in zip(p.all, gn.grad(loss, p.all), strict=True):
        speed = g.parameter(f"{w.name}/speed", np.zeros(w.shape), trainable=False)
        updates[speed] = 0.9 * speed + d + 0.01 * w
        updates[w] = w - 0.02 * updates[speed]
    return Sound(gn.compile(loss, updates), feed)


@sound("convolutions and pooling", "cnn", "nn", fixed=True)
def convolutions(rng: Rng) -> Sound:
    _, x, y, feed = _pictures(rng, "float32", channels=3, size=10, classes=4)
    net = nn.Sequential(
        nn.Conv2D(8, 3, padding="same", rng=rng),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(12, 3, activation="relu", rng=rng),
        nn.Flatten(),
        nn.Dense(4, rng=rng),
    )
    loss = nn.softmax_crossentropy(net(x), y)
    return Sound(gn.compile(loss, nn.Adam(0.003).updates(loss)), feed)


@sound("convolutions with channels last", "cnn", "hand", fixed=True)
def channels_last(rng: Rng) -> Sound:
    X, Y = images(rng, 32, 2, 8, 8, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8, 8, 2)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = gn.transpose(gn.conv(gn.transpose(x, (0, 3, 1, 2)), p("k", 8, 2, 3, 3), padding=1), (0, 2, 3, 1))
    h = gn.relu(h + p("b", 8, scale=0))
    loss = cross_entropy(dense(p, gn.mean(h, axis=(1, 2)), "out", 8, 3), y)
    return Sound(gn.compile(loss, descent(loss, p.all, 0.2)), {x: X.transpose(0, 2, 3, 1), y: Y})


@sound("a residual network with batch norm", "cnn", "nn", fixed=True)
def residual(rng: Rng) -> Sound:
    _, x, y, feed = _pictures(rng)
    h = nn.Conv2D(8, 3, padding="same", rng=rng)(x)
    for _ in range(2):
        inner = nn.Sequential(
            nn.BatchNorm(), nn.ReLU(), nn.Conv2D(8, 3, padding="same", rng=rng), nn.BatchNorm(), nn.ReLU()
        )(h, training=True)
        h = h + nn.Conv2D(8, 3, padding="same", rng=rng)(inner)
    loss = nn.softmax_crossentropy(nn.Sequential(nn.GlobalAveragePool2D(), nn.Dense(3, rng=rng))(h), y)
    return Sound(gn.compile(loss, nn.SGD(0.05, momentum=0.9).updates(loss)), feed)


@sound("group norm and dropout", "cnn", "nn")
def group_norm(rng: Rng) -> Sound:
    _, x, y, feed = _pictures(rng, classes=2)
    net = nn.Sequential(
        nn.Conv2D(8, 3, rng=rng),
        nn.GroupNorm(4),
        nn.ReLU(),
        nn.Dropout(0.2, rng=rng),
        nn.GlobalMaxPool2D(),
        nn.Dense(2, rng=rng),
    )
    loss = nn.softmax_crossentropy(net(x, training=True), y)
    return Sound(gn.compile(loss, nn.AdamW(0.01).updates(loss)), feed)


@sound("a network like a U", "cnn", "nn")
def like_a_u(rng: Rng) -> Sound:
    X, _ = images(rng, 16, 1, 8, 8, 3)
    masks = (X + np.roll(X, 1, axis=2) + np.roll(X, 1, axis=3) > 0).astype(float)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch", 1, 8, 8))
    down = nn.Conv2D(6, 3, padding="same", activation="relu", rng=rng)(x)
    deep = nn.Conv2D(8, 3, padding="same", activation="relu", rng=rng)(nn.MaxPool2D(2)(down))
    up = nn.ConvTranspose2D(6, 2, stride=2, rng=rng)(deep)
    logits = nn.Conv2D(1, 3, padding="same", rng=rng)(gn.concatenate([down, up], axis=1))
    loss = nn.sigmoid_crossentropy(logits, y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: masks})


@sound("a gate from the mean of each image", "cnn", "nn")
def squeezed_and_excited(rng: Rng) -> Sound:
    _, x, y, feed = _pictures(rng)
    h = nn.ReLU()(nn.Conv2D(8, 3, padding="same", rng=rng)(x))
    gate = nn.Sequential(nn.GlobalAveragePool2D(), nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(8, rng=rng), nn.Sigmoid())
    h = h * gn.expand_dims(gate(h), (2, 3))
    loss = nn.softmax_crossentropy(nn.Sequential(nn.GlobalAveragePool2D(), nn.Dense(3, rng=rng))(h), y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


@sound("batch norm written out", "mlp", "hand", fixed=True)
def batch_norm_by_hand(rng: Rng) -> Sound:
    g, x, y, feed = _features(rng)
    p = Weights(g, rng)
    h = dense(p, x, "1", 8, 16)
    with g.scope("batch_norm"):
        mean = gn.mean(h, axis=0, keepdims=True)
        var = gn.mean(gn.square(h - mean), axis=0, keepdims=True)
        h = (h - mean) / gn.sqrt(var + 1e-5) * p.given("gamma", np.ones(16)) + p("beta", 16, scale=0)
    loss = cross_entropy(dense(p, gn.relu(h), "2", 16, 3), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), feed)


@sound("a layer that is frozen on purpose", "mlp", "nn", fixed=True)
def frozen(rng: Rng) -> Sound:
    g, x, y, feed = _features(rng)
    w = g.parameter("random_features", rng.normal(size=(8, 40)) / 3, trainable=False)
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(gn.cos(x @ w)), y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


@sound("a new head on a body that stays", "mlp", "nn")
def new_head(rng: Rng) -> Sound:
    _, x, y, feed = _features(rng)
    body, head = nn.Dense(24, activation="relu", rng=rng), nn.Dense(3, rng=rng)
    loss = nn.softmax_crossentropy(head(body(x)), y)
    return Sound(gn.compile(loss, nn.Adam(0.03).updates(loss, head.parameters)), feed)


@sound("experts and a gate", "mlp", "nn", fixed=True)
def experts(rng: Rng) -> Sound:
    _, x, y, feed = _features(rng)
    gate = gn.softmax(nn.Dense(4, rng=rng)(x))
    made = gn.stack([nn.Dense(12, activation="relu", rng=rng)(x) for _ in range(4)], axis=1)
    h = gn.sum(gn.expand_dims(gate, 2) * made, axis=1)
    balance = gn.sum(gn.square(gn.mean(gate, axis=0)))
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y) + 0.01 * balance
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


@sound("a network on the nodes of a graph", "graph", "hand", fixed=True)
def on_a_graph(rng: Rng) -> Sound:
    """Each node's prediction depends on its neighbours: rows mix, and should."""
    n = 40
    Y = rng.integers(0, 3, n)
    near = (rng.random((n, n)) < np.where(Y[:, None] == Y, 0.3, 0.04)) | np.eye(n, dtype=bool)
    near = near | near.T
    g = gn.Graph()
    x, a = g.placeholder("x", ("nodes", 5)), g.placeholder("a", ("nodes", "nodes"))
    y = g.placeholder("y", ("nodes",), np.int64)
    p = Weights(g, rng)
    h = gn.relu(a @ (x @ p("w1", 5, 12)))
    loss = cross_entropy(a @ (h @ p("w2", 12, 3)), y)
    X = rng.normal(size=(3, 5))[Y] + rng.normal(size=(n, 5))
    feed = {x: X, a: near / near.sum(axis=1, keepdims=True), y: Y}
    return Sound(gn.compile(loss, descent(loss, p.all, 0.5)), feed)


@sound("accumulated, clipped and averaged", "mlp", "nn")
def accumulated(rng: Rng) -> Sound:
    _, x, y, feed = _features(rng)
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.LayerNorm(), nn.Tanh(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(x), y)
    updates = nn.Adam(0.02, clip_norm=1.0).updates(loss, accumulate=2)
    return Sound(gn.compile(loss, nn.EMA(0.99).updates(updates)), feed)


@sound("a warm-up and a cosine", "mlp", "nn")
def scheduled(rng: Rng) -> Sound:
    _, x, y, feed = _features(rng, "float32")
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ELU(), nn.Dense(16, rng=rng), nn.LeakyReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(x), y) + nn.l2(net.parameters, 1e-3)
    rate = nn.schedules.warmup(5, nn.schedules.cosine(0.1, 100))
    return Sound(gn.compile(loss, nn.SGD(rate, momentum=0.9).updates(loss)), feed)


@sound("units of which some are dead", "mlp", "hand", fixed=True)
def partly_dead(rng: Rng) -> Sound:
    g, x, y, feed = _features(rng)
    p = Weights(g, rng)
    bias = np.where(np.arange(32) < 4, -6.0, 0.0)
    h = gn.relu(x @ p("w1", 8, 32) + p.given("b1", bias))
    loss = cross_entropy(dense(p, h, "2", 32, 3), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), feed)


@sound("few parameters for a curve", "regression", "hand", fixed=True)
def regression_by_hand(rng: Rng) -> Sound:
    X, Y = curve(rng, 80, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch",))
    p = Weights(g, rng)
    h = mlp(p, x, [4, 12, 1])
    loss = gn.mean(gn.square(gn.squeeze(h, axis=1) - y))
    return Sound(gn.compile(loss, descent(loss, p.all, 0.1)), {x: X, y: Y})
