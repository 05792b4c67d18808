"""Trainings without a fault: losses of many kinds."""

import numpy as np
from health_cases import Sound, sound
from health_parts import Rng, Weights, curve, dense, descent, images, mlp, points

import graphnn as gn
from graphnn import nn


@sound("a variational autoencoder", "vae", "nn", fixed=True)
def vae(rng: Rng) -> Sound:
    X = images(rng, 48, 1, 5, 5, 3)[0].reshape(48, 25)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 25))
    h = nn.Dense(24, activation="relu", rng=rng)(x)
    mean, spread = nn.Dense(4, rng=rng)(h), nn.Dense(4, rng=rng)(h)
    counter = g.parameter("counter", np.int64(0), trainable=False)
    z = mean + gn.exp(0.5 * spread) * gn.random_normal(counter, mean.shape)
    g.advances[counter, z] = counter + 1
    made = nn.Sequential(nn.Dense(24, rng=rng), nn.ReLU(), nn.Dense(25, rng=rng))(z)
    divergence = 0.5 * gn.mean(gn.sum(gn.square(mean) + gn.exp(spread) - spread - 1, axis=1))
    loss = gn.mean(gn.sum(gn.square(made - x), axis=1)) + divergence
    return Sound(gn.compile(loss, nn.Adam(0.005).updates(loss)), {x: X})


@sound("an autoencoder", "autoencoder", "nn", fixed=True)
def autoencoder(rng: Rng) -> Sound:
    X = images(rng, 48, 1, 5, 5, 3)[0].reshape(48, 25)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 25))
    net = nn.Sequential(nn.Dense(12, rng=rng), nn.Tanh(), nn.Dense(4, rng=rng), nn.Dense(12, rng=rng), nn.Tanh())
    loss = nn.mean_squared_error(nn.Dense(25, rng=rng)(net(x)), x)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X})


@sound("an autoencoder of noisy inputs", "autoencoder", "hand")
def denoising(rng: Rng) -> Sound:
    X = images(rng, 48, 1, 5, 5, 3)[0].reshape(48, 25)
    g = gn.Graph()
    x, clean = g.placeholder("x", ("batch", 25)), g.placeholder("clean", ("batch", 25))
    p = Weights(g, rng)
    made = dense(p, gn.tanh(dense(p, x, "1", 25, 32)), "2", 32, 25)
    loss = gn.mean(gn.square(made - clean))
    feed = {x: X + 0.5 * rng.normal(size=X.shape), clean: X}
    return Sound(gn.compile(loss, descent(loss, p.all, 1.0)), feed)


@sound("pairs of views, told apart in the batch", "contrastive", "hand", fixed=True)
def contrastive(rng: Rng) -> Sound:
    """Each row is compared with every other: rows mix, and should."""
    A = rng.normal(size=(32, 8))
    B = A @ rng.normal(size=(8, 6)) / 3 + 0.3 * rng.normal(size=(32, 6))
    g = gn.Graph()
    a, b = g.placeholder("a", ("batch", 8)), g.placeholder("b", ("batch", 6))
    p = Weights(g, rng)
    u, v = mlp(p, a, [8, 16, 8]), dense(p, b, "v", 6, 8)
    u, v = (each / gn.sqrt(gn.sum(gn.square(each), axis=1, keepdims=True) + 1e-6) for each in (u, v))
    scores = u @ gn.transpose(v) * 5.0
    right = gn.diagonal(scores)
    loss = gn.mean(gn.logsumexp(scores, axis=1) - right) + gn.mean(gn.logsumexp(scores, axis=0) - right)
    return Sound(gn.compile(loss * 0.5, descent(loss * 0.5, p.all)), {a: A, b: B})


@sound("pairs that are alike or not", "siamese", "nn")
def siamese(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 3)
    other = rng.permutation(64)
    g = gn.Graph()
    a, b, alike = g.placeholder("a", ("batch", 8)), g.placeholder("b", ("batch", 8)), g.placeholder("alike", ("batch",))
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(6, rng=rng))
    loss = nn.cosine_embedding(net(a), net(b), alike, margin=0.2)
    feed = {a: X, b: X[other], alike: np.where(Y[other] == Y, 1.0, -1.0)}
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


@sound("counts", "regression", "nn", fixed=True)
def poisson(rng: Rng) -> Sound:
    X = rng.normal(size=(80, 5))
    Y = rng.poisson(np.exp(0.5 * X[:, :1] + 0.3 * X[:, 1:2] + 0.5))
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch", 1))
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))(x)
    loss = nn.poisson_nll(h, y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y.astype(float)})


@sound("an error that is not squared", "regression", "nn")
def huber(rng: Rng) -> Sound:
    X, Y = curve(rng, 80, 5)
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch", 1))
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))(x)
    loss = nn.huber(h, y)
    return Sound(gn.compile(loss, nn.RMSProp(0.003).updates(loss)), {x: X, y: Y[:, None]})


@sound("a mean and its deviation", "regression", "hand")
def likelihood(rng: Rng) -> Sound:
    X, Y = curve(rng, 80, 5)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch",))
    p = Weights(g, rng)
    h = mlp(p, x, [5, 16, 2])
    spread = gn.tanh(h[:, 1])
    loss = gn.mean(0.5 * gn.square((y - h[:, 0]) / gn.exp(spread)) + spread)
    return Sound(gn.compile(loss, descent(loss, p.all, 0.05)), {x: X, y: Y})


@sound("labels in rows, smoothed", "mlp", "nn", fixed=True)
def smoothed(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch", 4))
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(4, rng=rng))(x)
    loss = nn.softmax_crossentropy(h, y, label_smoothing=0.1)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: np.eye(4)[Y]})


@sound("a critic", "gan", "nn", fixed=True)
def critic(rng: Rng) -> Sound:
    g = gn.Graph()
    x, z = g.placeholder("x", ("batch", 3)), g.placeholder("z", ("batch", 2))
    made = nn.Sequential(nn.Dense(12, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(z)
    judge = nn.Sequential(nn.Dense(12, rng=rng), nn.LeakyReLU(0.2), nn.Dense(1, rng=rng))
    true, false = judge(x), judge(gn.stop_gradient(made))
    loss = gn.mean(gn.softplus(-true)) + gn.mean(gn.softplus(false))
    feed = {x: rng.normal(size=(48, 3)) + 1.0, z: rng.normal(size=(48, 2))}
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss, judge.parameters)), feed)
