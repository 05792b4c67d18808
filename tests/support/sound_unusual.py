"""Trainings without a fault that look as if they had one: gradients that are stopped, labels near inputs, and so on."""

import numpy as np
from health_cases import Sound, sound
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
    waves,
)

import graphnn as gn
from graphnn import nn

# --- more than one network --------------------------------------------------------------------------------------


@sound("a generator, and a critic with a step of its own", "gan", "hand", fixed=True)
def generator(rng: Rng) -> Sound:
    """The critic has gradients in the graph, but no update in this step."""
    g = gn.Graph()
    x, z = g.placeholder("x", ("batch", 3)), g.placeholder("z", ("batch", 2))
    makers, judges = Weights(g, rng), Weights(g, rng)
    made = dense(makers, gn.relu(dense(makers, z, "m1", 2, 12)), "m2", 12, 3)
    w1, b1, w2 = judges("j1", 3, 12), judges("jb", 12, scale=0), judges("j2", 12, 1)

    def judged(points: gn.Node) -> gn.Node:
        return gn.leaky_relu(points @ w1 + b1, 0.2) @ w2

    of_judge = gn.mean(gn.softplus(-judged(x))) + gn.mean(gn.softplus(judged(made)))
    of_maker = gn.mean(gn.softplus(-judged(made)))
    judge = gn.compile(of_judge, descent(of_judge, judges.all, 0.02))
    maker = gn.compile(of_maker, descent(of_maker, makers.all, 0.1))
    feed = {x: rng.normal(size=(48, 3)) + 2.0, z: rng.normal(size=(48, 2))}

    def train(number: int) -> float:
        judge(feed)
        maker(feed)
        return float(np.abs(gn.run(made, feed).mean(axis=0) - 2.0).mean())  # how far off the points are that it makes

    for _ in range(20):
        judge(feed)
    return Sound(maker, {z: feed[z]}, train=train, share=0.2)


@sound("what a teacher says", "mlp", "nn", fixed=True)
def distilled(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch",), np.int64)
    teacher = nn.Sequential(nn.Dense(32, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))
    student = nn.Sequential(nn.Dense(12, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    said = gn.stop_gradient(gn.softmax(teacher(x) / 2.0))
    logits = student(x)
    loss = nn.softmax_crossentropy(logits, y) + 0.5 * nn.kl_divergence(gn.log_softmax(logits / 2.0), said)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss, student.parameters)), {x: X, y: Y})


@sound("values of the next state, by a network that follows", "reinforcement", "hand", fixed=True)
def next_state(rng: Rng) -> Sound:
    """The target network is a mean over time: it is updated without a gradient."""
    S = rng.normal(size=(64, 4))
    g = gn.Graph()
    s, after = g.placeholder("s", ("batch", 4)), g.placeholder("after", ("batch", 4))
    reward = g.placeholder("reward", ("batch", 1))
    p = Weights(g, rng)
    value = mlp(p, s, [4, 16, 1])
    slow = [g.parameter(f"{w.name}/slow", w.value, trainable=False) for w in p.all]
    later = gn.tanh(after @ slow[0] + slow[1]) @ slow[2] + slow[3]
    loss = gn.mean(gn.square(value - (reward + 0.9 * gn.stop_gradient(later))))
    updates = descent(loss, p.all, 0.1)
    updates |= {m: 0.95 * m + 0.05 * w for m, w in zip(slow, p.all, strict=True)}
    feed = {s: S, after: 0.9 * S + 0.3 * rng.normal(size=S.shape), reward: S[:, :1] + 0.5 * S[:, 1:2]}
    return Sound(gn.compile(loss, updates), feed)


@sound("two views, of which one has no gradient", "contrastive", "nn")
def two_views(rng: Rng) -> Sound:
    X = rng.normal(size=(48, 3)) @ rng.normal(size=(3, 10))
    g = gn.Graph()
    a, b = g.placeholder("a", ("batch", 10)), g.placeholder("b", ("batch", 10))
    encoder = nn.Sequential(nn.Dense(16, rng=rng), nn.BatchNorm(), nn.ReLU(), nn.Dense(8, rng=rng))
    guess = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(8, rng=rng))
    u, v = encoder(a, training=True), encoder(b, training=True)

    def cosine(p: gn.Node, z: gn.Node) -> gn.Node:
        length = gn.norm(p, axis=1) * gn.norm(z, axis=1) + 1e-6
        return -gn.mean(gn.sum(p * gn.stop_gradient(z), axis=1) / gn.stop_gradient(length))

    loss = 0.5 * cosine(guess(u), v) + 0.5 * cosine(guess(v), u)
    feed = {a: X + 0.3 * rng.normal(size=X.shape), b: X + 0.3 * rng.normal(size=X.shape)}
    return Sound(gn.compile(loss, nn.SGD(0.05).updates(loss)), feed)


@sound("a straight-through estimator", "autoencoder", "hand")
def straight_through(rng: Rng) -> Sound:
    """What is rounded passes its gradient on as if it were not."""
    X = images(rng, 48, 1, 5, 5, 3)[0].reshape(48, 25)
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 25))
    p = Weights(g, rng)
    code = gn.sigmoid(dense(p, gn.tanh(dense(p, x, "1", 25, 16)), "2", 16, 8))
    code = code + gn.stop_gradient(gn.round(code) - code)
    made = dense(p, gn.tanh(dense(p, code, "3", 8, 16)), "4", 16, 25)
    loss = gn.mean(gn.square(made - x))
    return Sound(gn.compile(loss, descent(loss, p.all, 0.5)), {x: X})


@sound("two tasks", "mlp", "nn")
def two_tasks(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 3)
    T = curve(rng, 64, 8)[0][:, :1] * 0 + np.tanh(X[:, :1] + X[:, 1:2])
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch",), np.int64)
    t = g.placeholder("t", ("batch", 1))
    h = nn.Dense(24, activation="relu", rng=rng)(x)
    first = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y)
    second = nn.mean_squared_error(nn.Dense(1, rng=rng)(h), t)
    loss = first + 0.3 * second
    return Sound(gn.compile([loss, first, second], nn.Adam(0.01).updates(loss)), {x: X, y: Y, t: T})


# --- labels near inputs -----------------------------------------------------------------------------------------


@sound("a walk at random", "regression", "hand", fixed=True)
def walk(rng: Rng) -> Sound:
    """The last column is nearly the target, as that of yesterday is for tomorrow."""
    steps = rng.normal(size=(80, 9))
    steps[:, 1:] += 0.6 * steps[:, :-1]
    path = np.cumsum(steps, axis=1)
    path = path / path.std()
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch", 1))
    p = Weights(g, rng)
    loss = gn.mean(gn.square(mlp(p, x, [8, 16, 1]) - y))
    return Sound(gn.compile(loss, descent(loss, p.all, 0.1)), {x: path[:, :-1], y: path[:, -1:]})


@sound("a feature that nearly tells the class", "mlp", "nn", fixed=True)
def strong_feature(rng: Rng) -> Sound:
    X, Y = points(rng, 80, 6, 2)
    X[:, 2] = 1.5 * Y - 0.75 + 0.5 * rng.normal(size=80)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch", 1))
    h = nn.Sequential(nn.Dense(12, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))(x)
    loss = nn.sigmoid_crossentropy(h, y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X, y: Y[:, None].astype(float)})


@sound("images that are partly covered", "autoencoder", "nn")
def covered(rng: Rng) -> Sound:
    """Most pixels of the target are pixels of the input."""
    X = images(rng, 48, 1, 6, 6, 3)[0]
    seen = rng.random((48, 1, 6, 6)) < 0.7
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 1, 6, 6)), g.placeholder("y", ("batch", 1, 6, 6))
    net = nn.Sequential(
        nn.Conv2D(8, 3, padding="same", rng=rng), nn.ReLU(), nn.Flatten(), nn.Dense(24, rng=rng), nn.ReLU()
    )
    made = gn.reshape(nn.Dense(36, rng=rng)(net(x)), (-1, 1, 6, 6))
    loss = nn.mean_squared_error(made, y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X * seen, y: X})


@sound("an autoencoder that is told the class", "vae", "nn", fixed=True)
def told_the_class(rng: Rng) -> Sound:
    """Class numbers are an input here, and no labels."""
    X, Y = images(rng, 48, 1, 5, 5, 3)
    g = gn.Graph()
    x, c = g.placeholder("x", ("batch", 25)), g.placeholder("c", ("batch",), np.int64)
    told = gn.one_hot(c, 3)
    code = nn.Dense(4, rng=rng)(nn.Dense(16, activation="relu", rng=rng)(gn.concatenate([x, told], axis=1)))
    h = nn.Dense(16, activation="relu", rng=rng)(gn.concatenate([code, told], axis=1))
    loss = nn.mean_squared_error(nn.Dense(25, rng=rng)(h), x) + 0.01 * gn.mean(gn.square(code))
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: X.reshape(48, 25), c: Y})


@sound("words of which some were exchanged", "transformer", "nn")
def exchanged(rng: Rng) -> Sound:
    """Most labels equal their inputs; which do not is to be found."""
    tokens = sentences(rng, 32, 8, 9)
    other = np.where(rng.random(tokens.shape) < 0.2, rng.integers(0, 9, tokens.shape), tokens)
    g = gn.Graph()
    x, y = (g.placeholder(name, ("batch", 8), np.int64) for name in "xy")
    h = nn.SinusoidalEncoding()(nn.Embedding(9, 16, rng=rng)(x))
    h = nn.TransformerBlock(2, 32, rng=rng)(h)
    loss = nn.softmax_crossentropy(nn.Dense(9, rng=rng)(h), y)
    return Sound(gn.compile(loss, nn.Adam(0.005).updates(loss)), {x: other, y: tokens})


@sound("a sentence the other way round", "transformer", "hand", fixed=True)
def reversed_words(rng: Rng) -> Sound:
    """A decoder reads its own labels, one step late, and the whole of its source."""
    length, count, units = 6, 8, 24
    source = rng.integers(1, count, (32, length))
    target = source[:, ::-1]
    late = np.concatenate([np.zeros((32, 1), int), target[:, :-1]], axis=1)
    g = gn.Graph()
    s, x, y = (g.placeholder(name, ("batch", length), np.int64) for name in ("source", "x", "y"))
    p = Weights(g, rng)
    h = embedded(p, x, count, length, units)
    memory = gn.take(g["table"], s, axis=0) + p("source_places", length, units, scale=0.3)
    h = Attention(units, mask=causal(g, np.tri(length, dtype=bool)))(p, h, "own")
    q, k, v = h @ p("wq", units, units), memory @ p("wk", units, units), memory @ p("wv", units, units)
    h = layer_norm(h + gn.softmax(q @ gn.swapaxes(k, -1, -2) / np.sqrt(units)) @ v)
    loss = cross_entropy(dense(p, h, "out", units, count), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), {s: source, x: late, y: target})


@sound("a tag for each word", "lstm", "nn", fixed=True)
def tags(rng: Rng) -> Sound:
    """A tag depends on the words before it and after it."""
    tokens = sentences(rng, 32, 10, 9)
    Y = (tokens[:, 1:-1] + tokens[:, 2:] + tokens[:, :-2]) % 3
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 8), np.int64), g.placeholder("y", ("batch", 8), np.int64)
    h = nn.LSTM(16, bidirectional=True, rng=rng)(nn.Embedding(9, 8, rng=rng)(x))
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), y)
    return Sound(gn.compile(loss, nn.Adam(0.02).updates(loss)), {x: tokens[:, 1:-1], y: Y})


@sound("the mean of the last four values", "cnn", "nn")
def smoother(rng: Rng) -> Sound:
    """Targets are made of the inputs, before and after: a filter, and no forecast."""
    X = waves(rng, 32, 16)
    T = sum(np.roll(X, k, axis=1) for k in (-1, 0, 1)) / 3
    g = gn.Graph()
    x, t = g.placeholder("x", ("batch", 1, 16)), g.placeholder("t", ("batch", 1, 16))
    net = nn.Sequential(nn.Conv1D(8, 5, padding="same", rng=rng), nn.Tanh(), nn.Conv1D(1, 1, rng=rng))
    loss = nn.mean_absolute_error(net(x), t)
    feed = {x: (X + 0.3 * rng.normal(size=X.shape))[:, None], t: T[:, None]}
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


# --- losses -----------------------------------------------------------------------------------------------------


@sound("an equation, by its second derivative", "pinn", "hand", fixed=True)
def equation(rng: Rng) -> Sound:
    """u'' = -u with u(0) = 0 and u'(0) = 1; the loss of the inside has no labels."""
    g = gn.Graph()
    t = g.placeholder("t", ("inside", 1))
    p = Weights(g, rng)
    w1, b1, w2 = p("w1", 1, 24, scale=1.0), p("b1", 24, scale=0.5), p("w2", 24, 1)

    def u(t: gn.Node) -> gn.Node:
        return gn.tanh(t @ w1 + b1) @ w2

    inside = u(t)
    slope = gn.grad(gn.sum(inside), t)
    bend = gn.grad(gn.sum(slope), t)
    start = g.constant(np.zeros((1, 1)))
    at_start = gn.grad(gn.sum(u(start)), start)
    loss = gn.mean(gn.square(bend + inside)) + gn.sum(gn.square(u(start))) + gn.sum(gn.square(at_start - 1.0))
    step = gn.compile(loss, nn.Adam(0.01).updates(loss, p.all))
    return Sound(step, {t: rng.uniform(0, 2, (40, 1))})


@sound("rewards of actions", "reinforcement", "nn", fixed=True)
def rewards(rng: Rng) -> Sound:
    """The loss, minus the mean of log p times the advantage, may be negative; its entropy is subtracted."""
    S = rng.normal(size=(96, 4))
    g = gn.Graph()
    s, a = g.placeholder("s", ("batch", 4)), g.placeholder("a", ("batch",), np.int64)
    gain = g.placeholder("gain", ("batch",))
    logs = gn.log_softmax(nn.Sequential(nn.Dense(16, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))(s))
    entropy = -gn.mean(gn.sum(gn.exp(logs) * logs, axis=1))
    loss = -gn.mean(gn.pick(logs, a) * gain) - 0.01 * entropy
    step, feed = gn.compile(loss, nn.Adam(0.02).updates(loss)), {s: S}

    def act() -> float:
        """Choose actions at random, by the chances that they have now; return how often they were wrong."""
        chances = np.exp(gn.run(logs, {s: S})).cumsum(axis=1)
        feed[a] = np.minimum((rng.random((96, 1)) > chances).sum(axis=1), 2)
        right = (feed[a] == S[:, :3].argmax(axis=1)).astype(float)
        feed[gain] = right - right.mean()
        return 1.0 - float(right.mean())

    def train(number: int) -> float:
        step(feed)
        return act()

    act()
    return Sound(step, feed, train=train)


@sound("what is likely, made larger", "mlp", "hand")
def likelier(rng: Rng) -> Sound:
    """The figure that is fetched first is the loss; the updates climb its negative, which is the same."""
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    logs = gn.log_softmax(mlp(p, x, [6, 16, 3]))
    likely = gn.mean(gn.pick(logs, y))
    updates = {w: w + 0.2 * d for w, d in zip(p.all, gn.grad(likely, p.all), strict=True)}
    return Sound(gn.compile(-likely, updates), {x: X, y: Y})


@sound("three of a kind", "siamese", "nn")
def triplets(rng: Rng) -> Sound:
    X, Y = points(rng, 90, 6, 3)
    rows = [np.flatnonzero(c == Y) for c in range(3)]
    same = np.array([rng.choice(rows[c]) for c in Y])
    other = np.array([rng.choice(rows[(c + 1 + rng.integers(2)) % 3]) for c in Y])
    g = gn.Graph()
    a, b, c = (g.placeholder(name, ("batch", 6)) for name in "abc")
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(4, rng=rng))
    loss = nn.triplet_margin(net(a), net(b), net(c))
    return Sound(gn.compile(loss, nn.Adam(0.005).updates(loss)), {a: X, b: X[same], c: X[other]})


@sound("a margin, and classes of which one is rare", "mlp", "nn")
def rare(rng: Rng) -> Sound:
    X = rng.normal(size=(100, 6))
    Y = np.where(X @ rng.normal(size=6) > 2.2, 1.0, -1.0)
    Y[:6] = 1.0
    X[:6] += 1.0
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch", 1))
    h = nn.Sequential(nn.Dense(12, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))(x)
    loss = nn.hinge(h, y) + nn.l2(list(g.parameters), 1e-3)
    return Sound(gn.compile(loss, nn.Adagrad(0.05).updates(loss)), {x: X, y: Y[:, None]})


@sound("shares of classes", "mlp", "hand")
def shares(rng: Rng) -> Sound:
    X, _ = points(rng, 64, 6, 3)
    truth = np.exp(X @ rng.normal(size=(6, 3)))
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch", 3))
    p = Weights(g, rng)
    loss = -gn.mean(gn.sum(y * gn.log_softmax(mlp(p, x, [6, 16, 3])), axis=1))
    feed = {x: X, y: truth / truth.sum(axis=1, keepdims=True)}
    return Sound(gn.compile(loss, descent(loss, p.all, 0.2)), feed)


# --- layers and numbers -----------------------------------------------------------------------------------------


@sound("standardized over the batch, without a name", "mlp", "hand", fixed=True)
def standardized(rng: Rng) -> Sound:
    """Batch norm of plain operations: rows mix, and whether they should, nothing says."""
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = layer_norm(dense(p, x, "1", 6, 16), axis=0)
    h = h * p.given("gamma", np.ones(16)) + p("beta", 16, scale=0)
    loss = cross_entropy(dense(p, gn.relu(h), "2", 16, 3), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y})


@sound("images of bytes", "cnn", "nn", fixed=True)
def of_bytes(rng: Rng) -> Sound:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    X = np.clip(X * 40 + 110, 0, 255).astype(np.uint8)
    g = gn.Graph(dtype="float32")
    x, y = g.placeholder("x", ("batch", 1, 8, 8), np.uint8), g.placeholder("y", ("batch",), np.int64)
    net = nn.Sequential(
        nn.Conv2D(8, 3, rng=rng), nn.InstanceNorm(), nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3, rng=rng)
    )
    loss = nn.softmax_crossentropy(net(gn.cast(x, "float32") / 255.0), y)
    return Sound(gn.compile(loss, nn.Nadam(0.003).updates(loss)), {x: X, y: Y})


@sound("float16 with a scaled loss", "mlp", "nn")
def half(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 3)
    g = gn.Graph(dtype="float16")
    x, y = g.placeholder("x", ("batch", 8)), g.placeholder("y", ("batch",), np.int64)
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)
    loss = nn.softmax_crossentropy(gn.cast(h, "float32"), y)
    updates = nn.Adam(0.01).updates(loss, loss_scale=nn.LossScale(initial=1024.0))
    return Sound(gn.compile(loss, updates), {x: X.astype(np.float16), y: Y})


@sound("a shortcut that begins at 0", "mlp", "hand")
def shortcut(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 6, 3)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 6)), g.placeholder("y", ("batch",), np.int64)
    p = Weights(g, rng)
    h = dense(p, x, "in", 6, 16)
    for i in range(3):
        inner = gn.relu(dense(p, layer_norm(h), f"up{i}", 16, 32))
        h = h + p.given(f"gate{i}", np.zeros(1)) * dense(p, inner, f"down{i}", 32, 16)
    loss = cross_entropy(dense(p, h, "out", 16, 3), y)
    return Sound(gn.compile(loss, descent(loss, p.all)), {x: X, y: Y})


@sound("the method of BFGS", "regression", "nn")
def bfgs(rng: Rng) -> Sound:
    X, Y = curve(rng, 80, 4)
    g = gn.Graph()
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch", 1))
    net = nn.Sequential(nn.Dense(12, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))
    loss = nn.mean_squared_error(net(x), y) + nn.l2(net.parameters, 1e-3)
    return Sound(gn.compile(loss, nn.LBFGS(line_search="strong_wolfe").updates(loss)), {x: X, y: Y[:, None]})


@sound("words that come with their neighbours", "embedding", "hand")
def neighbours(rng: Rng) -> Sound:
    """Most rows of the tables are in no batch."""
    g = gn.Graph()
    w, c, no = (g.placeholder(name, ("batch", *more), np.int64) for name, *more in (("w",), ("c",), ("no", 4)))
    p = Weights(g, rng)
    table, context = p("table", 200, 12, scale=0.3), p("context", 200, 12, scale=0.3)
    words = gn.take(table, w, axis=0)
    yes = gn.sum(words * gn.take(context, c, axis=0), axis=1)
    others = gn.sum(gn.expand_dims(words, 1) * gn.take(context, no, axis=0), axis=2)
    loss = gn.mean(gn.softplus(-yes)) + gn.mean(gn.sum(gn.softplus(others), axis=1))
    near = rng.integers(0, 60, 64)
    feed = {w: near, c: (near + rng.integers(1, 3, 64)) % 60, no: rng.integers(0, 60, (64, 4))}
    return Sound(gn.compile(loss, descent(loss, p.all, 2.0)), feed)
