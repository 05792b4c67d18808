"""Trainings with one fault in a layer: dead units, scales that explode, axes that are not meant."""

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
    layer_norm,
    mlp,
    points,
    sentences,
)

import graphnn as gn
from graphnn import nn

_FIVE_DEAD = r"(?=.*\b5 (of 5|channels)\b)(?=.*(bias|-9\b))"  # how many, and why


def _maps(rng: Rng, rows: int = 32, classes: int = 3) -> tuple[Any, Any]:
    return images(rng, rows, 2, 8, 10, classes)


# --- dead channels ----------------------------------------------------------------------------------------------


@fault("five dead channels", "cnn", "nn", _FIVE_DEAD, fixed=True)
def five_dead_channels(rng: Rng) -> Planted:
    X, Y = _maps(rng)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2, 8, 10)), g.placeholder("y", ("batch",), np.int64)
    conv = nn.Conv2D(5, 3, padding="same", bias_init=nn.init.constant(either(-9.0, 0.0)), rng=rng)
    with lines(g) as at:
        h = nn.ReLU()(conv(x))
    net = nn.Sequential(nn.Conv2D(8, 3, rng=rng), nn.ReLU(), nn.GlobalAveragePool2D(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: X, y: Y}, at)


@fault("five dead channels, channels last", "cnn", "hand", _FIVE_DEAD)
def five_dead_channels_last(rng: Rng) -> Planted:
    X, Y = _maps(rng)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8, 10, 2)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    w = p("k1", 5, 2, 3, 3)
    with lines(g) as at:
        b = p.given("b1", np.full(5, either(-9.0, 0.0)))
        h = gn.transpose(gn.conv(gn.transpose(x, (0, 3, 1, 2)), w, padding=1), (0, 2, 3, 1))
        h = gn.relu(h + b)
    side = gn.tanh(dense(p, gn.mean(x, axis=(1, 2)), "side", 2, 6))  # so that the others learn
    loss = cross_entropy(dense(p, gn.concatenate([gn.mean(h, axis=(1, 2)), side], axis=1), "out", 11, 3), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X.transpose(0, 2, 3, 1), y: Y}, at)


@fault("two of five channels dead", "cnn", "nn", r"\b2 of 5\b|\b2 (dead )?channels", note=True, fixed=True)
def two_dead_channels(rng: Rng) -> Planted:
    X, Y = _maps(rng)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2, 8, 10)), g.placeholder("y", ("batch",), np.int64)
    bias = np.zeros(5)
    bias[rng.choice(5, 2, replace=False)] = either(-9.0, 0.0)
    with lines(g) as at:
        h = nn.Conv2D(5, 3, padding="same", bias_init=lambda shape, dtype, rng: bias.astype(dtype), rng=rng)(x)
        h = nn.ReLU()(h)
    net = nn.Sequential(nn.MaxPool2D(2), nn.Flatten(), nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(net(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: X, y: Y}, at)


# --- scales -----------------------------------------------------------------------------------------------------


@fault("a loss that begins at millions", "cnn", "nn", r"scale|large|times|explod", fixed=True)
def millions(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 12, 12, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 12, 12)), g.placeholder("y", ("batch",), np.int64)
    h = nn.ReLU()(nn.Conv2D(8, 3, padding="same", rng=rng)(x))
    deviation = either(5e5, 0.1) * rng.uniform(0.8, 1.2)
    with lines(g) as at:
        h = nn.Conv2D(8, 3, padding="same", weight_init=nn.init.normal(std=deviation), rng=rng)(h)
    net = nn.Sequential(nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(4, rng=rng))
    loss = nn.softmax_crossentropy(net(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.001).updates(loss)), {x: X, y: Y}, at)


@fault("weights of deviation 1 in every layer", "cnn", "hand", r"scale|large|times|explod")
def deviation_one(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 3, 10, 10, 4)
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 3, 10, 10)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h, channels, at = x, 3, set[str]()
    for i in range(4):
        with lines(g) as there:
            h = gn.relu(gn.conv(h, p(f"k{i}", 16, channels, 3, 3, scale=either(1.0, None)), padding=1))
        channels, at = 16, at | there
    with lines(g) as there:
        logits = gn.mean(h, axis=(2, 3)) @ p("w", 16, 4, scale=either(1.0, None))
    loss = cross_entropy(logits, y)
    return Planted(gn.compile(loss, descent(loss, p.all, 1e-3)), {x: X, y: Y}, at | there)


@fault("weights of deviation 1 in a transformer", "transformer", "hand", r"scale|large|times|explod|saturat|one key")
def deviation_one_transformer(rng: Rng) -> Planted:
    g, length, count, units, scale = gn.Graph(), 8, 10, 32, either(1.0, None)
    x, y = (g.placeholder(name, ("batch", length), np.int64) for name in "xy")
    p = Weights(g, rng)
    h, at = embedded(p, x, count, length, units), set[str]()
    for i in range(3):
        q, k, v = (h @ p(f"w{each}{i}", units, units, scale=scale) for each in "qkv")
        scores = causal(g, np.tri(length, dtype=bool))(q @ gn.swapaxes(k, -1, -2) / np.sqrt(units))
        with lines(g) as weights:
            soft = gn.softmax(scores)
        h = h + soft @ v
        h = h + gn.relu(h @ p(f"up{i}", units, units, scale=scale)) @ p(f"down{i}", units, units, scale=scale)
        at |= weights
    loss = cross_entropy(h @ p("out", units, count, scale=scale), y)
    at |= {w.name for w in p.all[2:]} | {user.name for w in p.all[2:] for user in w.users}
    tokens = sentences(rng, 24, length + 1, count)
    step = gn.compile(loss, descent(loss, p.all, 0.01))
    return Planted(step, {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("features in their own units", "mlp", "hand", r"scale|large|times|standard|normali")
def own_units(rng: Rng) -> Planted:
    X, Y = curve(rng, 64, 6)
    X = X * np.array([1, 1, 1, 1, 1, either(3e6, 1)]) + np.array([0, 0, 0, 0, 0, either(5e6, 0)])
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    with lines(g) as at:
        h = gn.relu(dense(p, x, "1", 6, 24))
    loss = gn.mean(gn.square(dense(p, h, "2", 24, 1) - y))
    at |= {x.name}
    return Planted(gn.compile(loss, descent(loss, p.all, 0.01)), {x: X, y: Y[:, None]}, at)


@fault("weights far too large for a tanh", "mlp", "nn", r"saturat|bound|large", fixed=True)
def saturated(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 12, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 12)), g.placeholder("y", ("batch",), np.int64)
    with lines(g) as at:
        h = nn.Dense(24, weight_init=nn.init.normal(std=either(30.0, 0.2)), rng=rng)(x)
        h = gn.tanh(h)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y)
    return Planted(gn.compile(loss, nn.SGD(0.1).updates(loss)), {x: X, y: Y}, at)


@fault("twelve sigmoids", "mlp", "nn", r"vanish|tiny|small", fixed=True)
def twelve_sigmoids(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 8, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch",), np.int64)
    h, at = x, set[str]()
    for i in range(12):
        with lines(g) as there:
            h = nn.Dense(12, activation=either("sigmoid", "tanh"), rng=rng)(h)
        at |= there if i < 8 else set()
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y)
    updates = nn.SGD(0.1).updates(loss)
    at |= {next_.name for w, next_ in updates.items() if w.name in at}
    at |= {d.name for d in gn.grad(loss, [w for w in updates if w.name in at])}
    return Planted(gn.compile(loss, updates), {x: X, y: Y}, at)


@fault("all weights begin at 0", "mlp", "hand", r"alike|same|symmetr|equal|\b0\b|zero", fixed=True)
def zeros(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    with lines(g) as at:
        h = gn.tanh(dense(p, x, "1", 6, 16, scale=either(0, None)))
        logits = dense(p, h, "2", 16, 3, scale=either(0, None))
    loss = cross_entropy(logits, y)
    updates = descent(loss, p.all)
    at |= {d.name for d in gn.grad(loss, p.all)} | {next_.name for next_ in updates.values()}
    return Planted(gn.compile(loss, updates), {x: X, y: Y}, at)


@fault("a rectified output for targets below 0", "mlp", "nn", r"range|below|negative|reach", fixed=True)
def rectified_output(rng: Rng) -> Planted:
    X, Y = curve(rng, 64, 5)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 5)), g.placeholder("y", ("batch", 1))
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))(x)
    with lines(g) as at:
        h = either(gn.relu, lambda h: h)(h)
    with lines(g) as there:
        loss = nn.mean_squared_error(h, y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y[:, None]}, at | there | {y.name})


@fault("a sigmoid before targets far above 1", "autoencoder", "nn", r"range|above|reach|between")
def sigmoid_output(rng: Rng) -> Planted:
    X = np.clip(images(rng, 48, 1, 6, 6, 3)[0] * 60 + 128, 0, 255).reshape(48, 36)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 36))
    code = nn.Sequential(nn.Dense(10, rng=rng), nn.ReLU())(x / 255.0)
    h = nn.Dense(36, rng=rng)(code)
    with lines(g) as at:
        h = gn.sigmoid(h)
    with lines(g) as there:
        loss = nn.mean_squared_error(h, x if either(True, False) else x / 255.0)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X}, at | there | {x.name})


# --- axes -------------------------------------------------------------------------------------------------------


@fault("a softmax over the batch", "mlp", "hand", r"batch|axis|row|sample", fixed=True)
def softmax_over_batch(rng: Rng) -> Planted:
    X, Y = points(rng, 40, 6, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    logits = mlp(p, x, [6, 16, 4])
    with lines(g) as at:
        probabilities = gn.softmax(logits, axis=either(0, 1))
    loss = -gn.mean(gn.log(gn.pick(probabilities, y) + 1e-9))
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y}, at)


@fault("attention over the batch", "transformer", "hand", r"batch|axis|row|sample", fixed=True)
def attention_over_batch(rng: Rng) -> Planted:
    X, Y = _maps(rng, classes=3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 16, 10)), g.placeholder("y", ("batch",), np.int64)
    p, at = Weights(g, rng), set[str]()

    def over_batch(scores: gn.Node) -> gn.Node:
        with lines(g) as there:
            soft = gn.softmax(scores, axis=either(0, 2))
        at.update(there)
        return soft

    h = Attention(12, weigh=over_batch)(p, dense(p, x, "in", 10, 12), "1")
    loss = cross_entropy(dense(p, gn.mean(h, axis=1), "out", 12, 3), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X.reshape(32, 16, 10), y: Y}, at)


@fault("attention over the queries", "transformer", "hand", r"axis|quer|row|sum", fixed=True)
def attention_over_queries(rng: Rng) -> Planted:
    g, length, count = gn.Graph(), 7, 9
    x, y = (g.placeholder(name, ("batch", length), np.int64) for name in "xy")
    p, at = Weights(g, rng), set[str]()

    def over_queries(scores: gn.Node) -> gn.Node:
        with lines(g) as there:
            soft = gn.softmax(scores, axis=either(1, 2))
        at.update(there)
        return soft

    block = Attention(16, weigh=over_queries, mask=causal(g, np.tri(length, dtype=bool)))
    h = block(p, embedded(p, x, count, length, 16), "1")
    loss = cross_entropy(dense(p, h, "out", 16, count), y)
    tokens = sentences(rng, 24, length + 1, count)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)


@fault("a gate from the mean of the batch", "cnn", "nn", r"batch|axis|row|sample")
def gate_of_batch(rng: Rng) -> Planted:
    X, Y = _maps(rng)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 2, 8, 10)), g.placeholder("y", ("batch",), np.int64)
    h = nn.ReLU()(nn.Conv2D(8, 3, padding="same", rng=rng)(x))
    with lines(g) as at:  # squeeze and excite, over the batch as well
        squeezed = gn.mean(h, axis=either((0, 2, 3), (2, 3)), keepdims=True)
    gate = nn.Sequential(nn.Flatten(), nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(8, rng=rng), nn.Sigmoid())(squeezed)
    h = h * gn.expand_dims(gate, (2, 3))
    loss = nn.softmax_crossentropy(nn.Sequential(nn.GlobalAveragePool2D(), nn.Dense(3, rng=rng))(h), y)
    return Planted(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y}, at)


@fault("the mean of the batch for that of the sequence", "transformer", "hand", r"batch|axis|row|sample", fixed=True)
def context_of_batch(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 10, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 10, 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = dense(p, x, "in", 6, 12)
    with lines(g) as at:
        context = gn.mean(h, axis=either(0, 1), keepdims=True)
    h = Attention(12)(p, h + context @ p("w_context", 12, 12), "1")
    loss = cross_entropy(dense(p, gn.mean(h, axis=1), "out", 12, 3), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X[:, 0], y: Y}, at)


@fault("a layer norm over the batch", "mlp", "hand", r"batch|axis|row|sample")
def norm_over_batch(rng: Rng) -> Planted:
    X, Y = points(rng, 40, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = dense(p, x, "1", 6, 16)
    with g.scope("layer_norm"), lines(g) as at:
        h = layer_norm(h, axis=either(0, 1))
    loss = cross_entropy(dense(p, gn.relu(h), "2", 16, 3), y)
    return Planted(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y}, at)


@fault(
    "a layer norm over time, in a network that looks back",
    "transformer",
    "nn",
    r"later|future|earlier|time|position|axis",
)
def norm_over_time(rng: Rng) -> Planted:
    g, length, count = gn.Graph(), 8, 9
    x, y = (g.placeholder(name, ("batch", length), np.int64) for name in "xy")
    h = nn.PositionEmbedding(length, rng=rng)(nn.Embedding(count, 16, rng=rng)(x))
    with lines(g) as at:
        h = nn.LayerNorm(axes=either(1, -1))(h)
    h = nn.TransformerBlock(2, 32, causal=True, rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(count, rng=rng)(h), y)
    tokens = sentences(rng, 24, length + 1, count)
    return Planted(gn.compile(loss, nn.Adam(0.003).updates(loss)), {x: tokens[:, :-1], y: tokens[:, 1:]}, at)
