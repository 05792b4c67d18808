"""Networks with one planted fault each: models that a client of the server is to find the cause of.

The line of the fault ends in the comment ``# planted``.
"""

import numpy as np

import graphnn as gn
from graphnn import nn


def _rows(seed=0, count=64, width=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, width))
    return rng, X, X[:, :3].argmax(axis=1)


def _classifier(name, body):
    """Return a training step of a classifier whose scores `body` makes, and its feed."""
    rng, X, labels = _rows()
    g = gn.Graph(name)
    x = g.placeholder("x", shape=("batch", 4))
    y = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    loss = nn.softmax_crossentropy(body(x, rng), y)
    g.outputs["loss"] = loss
    return gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), {x: X, y: labels}


def log_of_zero():
    g = gn.Graph("log_of_zero")
    p = g.placeholder("p", shape=("batch",))
    g.outputs["loss"] = loss = -gn.mean(gn.log(p))  # planted
    return loss, {p: [0.5, 0.0, 0.25]}


def overflow_of_exp():
    g = gn.Graph("overflow_of_exp")
    z = g.placeholder("z", shape=("batch", 3))
    e = gn.exp(z)  # planted
    g.outputs["loss"] = loss = gn.mean(e / gn.sum(e, axis=1, keepdims=True))
    return loss, {z: [[1.0, 2.0, 3.0], [900.0, 1.0, 0.0]]}


def division_by_zero():
    g = gn.Graph("division_by_zero")
    x = g.placeholder("x", shape=("batch", 3))
    count = gn.sum(gn.relu(x), axis=0)
    g.outputs["loss"] = loss = gn.mean(1.0 / count)  # planted
    return loss, {x: [[1.0, -1.0, 2.0], [3.0, -2.0, 1.0]]}


def dead_relu():
    def body(x, rng):
        hidden = nn.Dense(8, rng=rng, bias=np.full(8, -100.0))(x)
        return nn.Dense(3, rng=rng)(gn.relu(hidden))  # planted

    return _classifier("dead_relu", body)


def wrong_softmax_axis():
    rng, _, _ = _rows()
    X = rng.normal(size=(2, 5, 8))
    g = gn.Graph("wrong_softmax_axis")
    x = g.placeholder("x", shape=("batch", "time", 8))
    query, key, value = (nn.Dense(8, rng=rng)(x) for _ in range(3))
    scores = query @ gn.transpose(key, (0, 2, 1)) / np.sqrt(8)
    weights = gn.softmax(scores, axis=1)  # planted
    g.outputs["loss"] = loss = gn.mean(gn.square(weights @ value))
    return loss, {x: X}


def unscaled_softmax():
    rng, _, _ = _rows()
    X = rng.normal(size=(2, 6, 64))
    g = gn.Graph("unscaled_softmax")
    x = g.placeholder("x", shape=("batch", "time", 64))
    query, key, value = (nn.Dense(64, rng=rng)(x) for _ in range(3))
    weights = gn.softmax(query @ gn.transpose(key, (0, 2, 1)), axis=-1)  # planted
    g.outputs["loss"] = loss = gn.mean(gn.square(weights @ value))
    return loss, {x: X}


def exploding_weights():
    def body(x, rng):
        for _ in range(6):
            x = gn.relu(nn.Dense(32, rng=rng, weight=rng.normal(size=(x.shape[1], 32)) * 8.0)(x))  # planted
        return nn.Dense(3, rng=rng)(x)

    return _classifier("exploding_weights", body)


def wrong_label_range():
    rng, X, labels = _rows()
    g = gn.Graph("wrong_label_range")
    x = g.placeholder("x", shape=("batch", 4))
    y = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    g.outputs["loss"] = loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(x), y)  # planted
    return gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), {x: X, y: labels + 1}


def detached_gradient():
    def body(x, rng):
        hidden = gn.tanh(nn.Dense(8, rng=rng)(x))
        return nn.Dense(3, rng=rng)(gn.stop_gradient(hidden))  # planted

    return _classifier("detached_gradient", body)


def every_pair():
    rng, X, _ = _rows()
    g = gn.Graph("every_pair")
    x = g.placeholder("x", shape=("batch", 4))
    y = g.placeholder("y", shape=("batch",))
    predicted = nn.Dense(1, rng=rng)(x)
    g.outputs["loss"] = loss = gn.mean(gn.square(predicted - y))  # planted
    return gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), {x: X, y: X @ [1.0, 2.0, 0.5, -1.0]}


def wrong_reduction():
    rng, X, labels = _rows()
    g = gn.Graph("wrong_reduction")
    x = g.placeholder("x", shape=("batch", 4))
    y = g.placeholder("labels", shape=("batch", 3))
    e = gn.exp(nn.Dense(3, rng=rng)(x))
    p = e / gn.sum(e, axis=0, keepdims=True)  # planted
    g.outputs["loss"] = loss = nn.categorical_crossentropy(p, y)
    return gn.compile(loss, updates=nn.SGD(0.1).updates(loss)), {x: X, y: np.eye(3)[labels]}


def healthy():
    return _classifier("healthy", lambda x, rng: nn.Dense(3, rng=rng)(gn.tanh(nn.Dense(8, rng=rng)(x))))


CAUSES = {
    "log_of_zero": ("log-of-zero", "log(0); p[1] = 0, fed"),
    "overflow_of_exp": ("overflow", "exp(900)"),
    "division_by_zero": ("division-by-zero", "1 / 0"),
    "dead_relu": ("dead-units", "their bias is to blame"),
    "wrong_softmax_axis": ("softmax-axis", "sums to 1 over axis 1, but"),
    "unscaled_softmax": ("unscaled-scores", "nothing divides by √64"),
    "exploding_weights": ("worse-than-guessing", "use smaller initial weights"),
    "wrong_label_range": ("label-out-of-range", "label 3 at index (0,)"),
    "detached_gradient": ("no-gradient", "it ends at stop_gradient"),
    "every_pair": ("every-pair", "with the labels of all 64 samples"),
    "wrong_reduction": ("not-probabilities", "takes probabilities, which sum to 1"),
}
"""What a check calls each of them, and words of how it says why."""
