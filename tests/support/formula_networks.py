"""Networks whose formulas are looked at: each returns a loss, what it is differentiated by, and a feed, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn

Network = tuple[gn.Node, list[gn.Node], dict[gn.Node, Any]]


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _placed(loss: gn.Node, wrt: list[str], feed: dict[str, Any]) -> Network:
    g = loss.graph
    return loss, [g[name] for name in wrt], {g[name]: value for name, value in feed.items()}


def _two(rows: int, columns: int, classes: int) -> dict[str, Any]:
    return {"x": _rng(1).normal(size=(rows, columns)), "y": _rng(2).integers(0, classes, rows)}


def _inputs(name: str, columns: int) -> tuple[gn.Node, gn.Node]:
    g = gn.Graph(name)
    return g.placeholder("x", ("batch", columns)), g.placeholder("y", ("batch",), int)


def logistic() -> Network:
    """Logistic regression by hand."""
    g = gn.Graph("logistic")
    x, y = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",))
    w, b = g.parameter("w", _rng().normal(size=3)), g.parameter("b", 0.1)
    p = gn.name(gn.sigmoid(x @ w + b), "p")
    loss = -gn.mean(y * gn.log(p) + (1 - y) * gn.log(1 - p))
    return loss, [w, b], {x: _rng(1).normal(size=(5, 3)), y: _rng(2).integers(0, 2, 5).astype(float)}


def readme() -> Network:
    """The network of the README."""
    x, t = _inputs("spiral", 2)
    rng = _rng()
    network = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    loss = nn.categorical_crossentropy(network(x), t)
    return _placed(loss, ["dense_1/weight", "dense_1/bias", "dense_2/weight", "dense_2/bias"], _two(5, 2, 3))


def classifier() -> Network:
    """Two dense layers and the fused loss."""
    x, y = _inputs("classifier", 2)
    rng = _rng()
    network = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    loss = nn.softmax_crossentropy(network(x), y)
    return _placed(loss, ["dense_1/weight", "dense_1/bias", "dense_2/weight", "dense_2/bias"], _two(5, 2, 3))


def regression() -> Network:
    """Mean squared error, and the squares of the weights."""
    g = gn.Graph("regression")
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch", 1))
    rng = _rng()
    network = nn.Sequential(nn.Dense(4, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))
    loss = nn.mean_squared_error(network(x), y)
    loss = loss + nn.l2([p for p in network.parameters if p.ndim == 2], 0.01)
    feed = {"x": _rng(1).normal(size=(5, 2)), "y": _rng(2).normal(size=(5, 1))}
    return _placed(loss, ["dense_1/weight", "dense_1/bias", "dense_2/weight"], feed)


def lenet() -> Network:
    """Convolutions, the one with padding, both ways to pool, and a dense layer."""
    g = gn.Graph("lenet")
    x, y = g.placeholder("x", ("batch", 1, 12, 12)), g.placeholder("y", ("batch",), int)
    rng = _rng()
    network = nn.Sequential(
        nn.Conv2D(4, 3, rng=rng, padding="same"),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(5, 3, rng=rng),
        nn.Tanh(),
        nn.AveragePool2D(2),
        nn.Flatten(),
        nn.Dense(3, rng=rng),
    )
    loss = nn.softmax_crossentropy(network(x), y)
    wrt = ["conv2d_1/weight", "conv2d_1/bias", "conv2d_2/weight", "dense_1/weight"]
    return _placed(loss, wrt, {"x": _rng(1).normal(size=(2, 1, 12, 12)), "y": np.array([0, 2])})


def batch_norm() -> Network:
    """Batch normalization and dropout, in training."""
    g = gn.Graph("batch norm")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch", 1))
    rng = _rng()
    layers = nn.Dense(4, rng=rng), nn.BatchNorm(), nn.Sigmoid(), nn.Dropout(0.5, seed=1), nn.Dense(1, rng=rng)
    loss = nn.sigmoid_crossentropy(nn.Sequential(*layers)(x, training=True), y)
    feed = {"x": _rng(1).normal(size=(6, 4)), "y": _rng(2).integers(0, 2, (6, 1)).astype(float)}
    return _placed(loss, ["dense_1/weight", "batch_norm_1/weight", "batch_norm_1/bias"], feed)


def residual() -> Network:
    """Layer normalization in a residual block."""
    g = gn.Graph("residual")
    x, y = g.placeholder("x", ("batch", 4)), g.placeholder("y", ("batch", 4))
    rng = _rng()
    e = nn.Dense(4, rng=rng)(x)
    h = e + nn.Dense(4, rng=rng)(gn.relu(nn.Dense(6, rng=rng)(nn.LayerNorm()(e))))
    feed = {"x": _rng(1).normal(size=(6, 4)), "y": _rng(2).normal(size=(6, 4))}
    return _placed(nn.mean_squared_error(h, y), ["dense_1/weight", "layer_norm_1/weight", "dense_2/weight"], feed)


def embedding() -> Network:
    """A classifier of texts: the mean of the embeddings of words."""
    g = gn.Graph("embedding")
    tokens, y = g.placeholder("tokens", ("batch", 5), int), g.placeholder("y", ("batch",), int)
    rng = _rng()
    h = gn.mean(nn.Embedding(10, 4, rng=rng)(tokens), axis=1)
    loss = nn.softmax_crossentropy(nn.Dense(2, rng=rng)(h), y)
    feed = {"tokens": _rng(1).integers(0, 10, (4, 5)), "y": np.array([0, 1, 1, 0])}
    return _placed(loss, ["embedding_1/weight", "dense_1/weight"], feed)


def transformer() -> Network:
    """A block of a transformer with two heads.

    With the usual ε, the second norm takes almost all away of the gradient of the first, and so its digits.
    """
    g = gn.Graph("transformer")
    x, y = g.placeholder("x", ("batch", "time", 4)), g.placeholder("y", ("batch",), int)
    rng = _rng()
    h = nn.TransformerBlock(2, 8, epsilon=0.1, rng=rng)(x)
    loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(gn.mean(h, axis=1)), y)
    attention = "transformer_block_1/attention"
    wrt = [f"{attention}/query/weight", f"{attention}/value/weight", f"{attention}/output/bias", "dense_1/weight"]
    return _placed(loss, wrt, {"x": _rng(1).normal(size=(2, 3, 4)), "y": np.array([0, 2])})


def lstm() -> Network:
    """An LSTM, by scan."""
    g = gn.Graph("lstm")
    x, y = g.placeholder("x", ("batch", "time", 2)), g.placeholder("y", ("batch", 1))
    rng = _rng()
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(nn.LSTM(3, rng=rng, return_sequences=False)(x)), y)
    feed = {"x": _rng(1).normal(size=(2, 4, 2)), "y": _rng(2).normal(size=(2, 1))}
    return _placed(loss, ["lstm_1/weight_ih_l0", "lstm_1/weight_hh_l0", "dense_1/weight"], feed)


def rnn() -> Network:
    """A recurrent network by hand."""
    g = gn.Graph("rnn")
    x, y = g.placeholder("x", ("time", "batch", 2)), g.placeholder("y", ("batch", 3))
    rng = _rng()
    w, u = g.parameter("W", rng.normal(size=(2, 3))), g.parameter("U", rng.normal(size=(3, 3)))
    b = g.parameter("b", np.zeros(3))

    def step(h: gn.Node, row: gn.Node) -> tuple[gn.Node, gn.Node]:
        h = gn.tanh(row @ w + h @ u + b)
        return h, h

    last, _ = gn.scan(step, gn.zeros(("batch", 3), graph=g), x)
    feed = {x: _rng(1).normal(size=(4, 2, 2)), y: _rng(2).normal(size=(2, 3))}
    return nn.mean_squared_error(last, y), [w, u, b], feed


def vae() -> Network:
    """A variational autoencoder."""
    g = gn.Graph("vae")
    images = g.placeholder("images", ("batch", 6))
    rng = _rng()
    hidden = nn.Dense(5, "relu", rng=rng)(images)
    mu, log_var = (gn.name(nn.Dense(2, rng=rng)(hidden), name) for name in ("mu", "log_var"))
    counter = g.parameter("counter", np.int64(0), trainable=False)
    noise = gn.random_normal(counter, ("batch", 2), name="epsilon")
    z = gn.name(mu + gn.exp(0.5 * log_var) * noise, "z")
    logits = nn.Dense(6, rng=rng)(nn.Dense(5, "relu", rng=rng)(z))
    divergence = 0.5 * gn.sum(gn.square(mu) + gn.exp(log_var) - log_var - 1.0, axis=1)
    loss = 6 * nn.sigmoid_crossentropy(logits, images) + gn.mean(divergence)
    return _placed(loss, ["dense_1/weight", "dense_2/weight"], {"images": _rng(1).uniform(size=(4, 6))})


NETWORKS: dict[str, Callable[[], Network]] = {
    build.__name__: build
    for build in (
        *(logistic, readme, classifier, regression, lenet, batch_norm, residual, embedding, transformer, lstm, rnn),
        vae,
    )
}

HOSTILE = [
    *(r"\input{/etc/passwd}", r"}\def\x{", r"$\href{javascript:alert(1)}{x}$", r"\text{a}", r"\url{x}", "#{$", "&"),
    *("a_b", "_", "%", "#1", "a&b", "~", "^", "x^2", "{", "}", "\\", "\\\\", "a b", "tab\tname", "new\nline", "x'"),
    *('a"b', "<b>x</b>", "</script>", "dense/kernel:0", "`", "|", "*", "\u202ertl", "e\u0301", "ß", "½", "²", "∂", "−"),
    *(
        "\u200b",
        "\ufeff",
        "\x7f",
        "\u2028",
        "名前",
        "имя",
        "😀",
        "é",
        "ñandú",
        "α",
        "β1",
        "Ω",
        "ø",
        "ł",
        "ş",
        "ệ",
        "한",
    ),
    *("long" * 200, "x-1", "@", "(", "]", "1", "12ab", "x1", "x1234", "A_B_C", "alpha", "gamma_2", "y_hat", "w_out"),
]
"""Names as a file may have them, and some that mean something in a formula."""


def hostile(name: str) -> Any:
    """Return formulas in which a placeholder, a parameter, a dimension, a scope and a node have such a name."""
    g = gn.Graph()
    x = g.placeholder(name, ("batch", 2))
    with g.scope(f"s{name.replace('/', '')}"):
        w = g.parameter("w", np.ones((2, 3)))
        h = gn.name(gn.tanh(x @ w), f"t{name}")
    loss = gn.mean(gn.square(h))
    formulas: Any = gn.latex([loss, gn.grad(loss, w)])
    return formulas
