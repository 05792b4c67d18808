"""Trainings with one fault in what is fed: labels that reach the inputs, labels that are no classes."""

import numpy as np
from health_cases import Planted, either, fault, lines
from health_parts import Rng, Weights, cross_entropy, curve, dense, descent, images, mlp, points

import graphnn as gn
from graphnn import nn

_LEAK = r"(?=.*(label|target))(?=.*x\[)"  # which element of x it is, too


@fault("the label as a column", "mlp", "nn", _LEAK, fixed=True)
def label_column(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 5, 3)
    X = np.insert(X, int(rng.integers(6)), either(Y, rng.normal(size=64)), axis=1)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    logits = net(x)
    with lines(g) as at:
        loss = nn.softmax_crossentropy(logits, y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at | {x.name, y.name})


@fault("the target as a standardized column", "regression", "hand", _LEAK, fixed=True)
def standardized_column(rng: Rng) -> Planted:
    X, Y = curve(rng, 64, 5)
    Y = Y * 12.5 + 40.0
    X = np.insert(X, int(rng.integers(6)), either((Y - Y.mean()) / Y.std(), rng.normal(size=64)), axis=1)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",))
    p = Weights(g, rng)
    h = mlp(p, x, [6, 16, 1])
    with lines(g) as at:
        loss = gn.mean(gn.square(h[:, 0] - (y - 40.0) / 12.5))
    return Planted(gn.compile(loss, descent(loss, p.all, 0.05)), {x: X, y: Y}, at | {x.name, y.name})


@fault("the label in a pixel", "cnn", "nn", _LEAK, fixed=True)
def label_pixel(rng: Rng) -> Planted:
    X, Y = images(rng, 48, 1, 8, 8, 4)
    X[:, 0, int(rng.integers(8)), int(rng.integers(8))] = either(Y / 10, X[:, 0, 0, 0])
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Conv2D(6, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Dense(4, rng=rng))
    logits = net(x)
    with lines(g) as at:
        loss = nn.softmax_crossentropy(logits, y)
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: X, y: Y}, at | {x.name, y.name})


@fault("the label as channels", "cnn", "hand", _LEAK)
def label_channels(rng: Rng) -> Planted:
    X, Y = images(rng, 48, 1, 8, 8, 3)
    planes = np.broadcast_to(np.eye(3)[Y][:, :, None, None], (48, 3, 8, 8))
    X = np.concatenate([X, either(planes, rng.normal(size=planes.shape))], axis=1)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 4, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = gn.mean(gn.relu(gn.conv(x, p("k", 8, 4, 3, 3))), axis=(2, 3))
    h = dense(p, h, "out", 8, 3)
    with lines(g) as at:
        loss = cross_entropy(h, y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y}, at | {x.name, y.name})


@fault("the labels among what the network reads", "mlp", "nn", r"label|target", fixed=True)
def label_by_ancestry(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    h = nn.Dense(16, activation="relu", rng=rng)(x)
    with lines(g) as at:
        h = h + nn.Embedding(4, 16, rng=rng)(y) if either(True, False) else h
    logits = nn.Sequential(nn.Dense(16, activation="relu", rng=rng), nn.Dense(4, rng=rng))(h)
    with lines(g) as there:
        loss = nn.softmax_crossentropy(logits, y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at | there | {y.name})


@fault("classes that are counted from 1", "cnn", "nn", r"label|class|range", fixed=True)
def classes_from_one(rng: Rng) -> Planted:
    X, Y = images(rng, 48, 1, 8, 8, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(nn.Conv2D(6, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Dense(4, rng=rng))
    logits = net(x)
    with lines(g) as at:
        loss = nn.softmax_crossentropy(logits, y)
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: X, y: Y + either(1, 0)}, at | {y.name})


@fault("images that become 0", "cnn", "hand", r"\b0\b|zero|constant|same for", fixed=True)
def images_of_zero(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    X = np.clip(X * 40 + 128, 0, 254).astype(np.uint8)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 8, 8), np.uint8), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    with lines(g) as at:
        scaled = gn.cast(x // 255, "float64") if either(True, False) else x / 255.0
    h = gn.relu(gn.conv(scaled, p("k", 6, 1, 3, 3)) + p("b", 6, 1, 1, scale=0.3))
    loss = cross_entropy(dense(p, gn.reshape(h, (-1, 216)), "out", 216, 3), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y}, at | {x.name})
