"""Trainings that a page does as Python does: each function returns a compiled step and its feed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.pages import replay
from graphnn.pages.engine import engine_script
from graphnn.pages.single_file import part

Training = tuple[gn.Compiled, dict[Any, Any]]


def _spiral_network(g: gn.Graph) -> tuple[gn.Node, dict[Any, Any]]:
    X, labels = gn.datasets.spiral(100, seed=0)
    x, t = g.placeholder("x", ("batch", 2)), g.placeholder("t", ("batch",), int)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    return nn.categorical_crossentropy(network(x), t), {x: X, t: labels}


def _regression(g: gn.Graph, rows: int = 64) -> tuple[gn.Node, gn.Node, dict[Any, Any]]:
    """Return inputs, targets and a feed of them."""
    rng = np.random.default_rng(1)
    x, y = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch", 1))
    X = rng.normal(size=(rows, 3))
    return x, y, {x: X, y: np.sin(X[:, :1]) + X[:, 1:2] * X[:, 2:]}


def _dense(rng: np.random.Generator) -> nn.Layer:
    return nn.Sequential(nn.Dense(16, "tanh", rng=rng), nn.Dense(1, rng=rng))


def _with(optimizer: nn.Optimizer, **options: Any) -> Training:
    g = gn.Graph()
    x, y, feed = _regression(g)
    loss = nn.mean_squared_error(_dense(np.random.default_rng(0))(x), y)
    return gn.compile(loss, updates=optimizer.updates(loss, **options)), feed


def _digits(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    return images[:count] / 16, digits[:count]


def readme() -> Training:
    """The network that README trains."""
    loss, feed = _spiral_network(gn.Graph("spiral"))
    return gn.compile(loss, updates=nn.Adam(0.01).updates(loss)), feed


def lenet(rows: int = 200) -> Training:
    """Convolutions and pooling, on images of digits."""
    g, rng = gn.Graph("lenet"), np.random.default_rng(0)
    x, labels = g.placeholder("x", ("batch", 1, 8, 8)), g.placeholder("labels", ("batch",), np.int64)
    network = nn.Sequential(
        nn.Conv2D(16, 3, padding="same", weight_init=nn.init.he_normal, rng=rng),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(32, 3, padding="same", weight_init=nn.init.he_normal, rng=rng),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dense(64, weight_init=nn.init.he_normal, rng=rng),
        nn.ReLU(),
        nn.Dense(10, rng=rng),
    )
    loss = nn.softmax_crossentropy(network(x), labels)
    images, digits = _digits(rows)
    return gn.compile(loss, updates=nn.Adam(0.002).updates(loss)), {x: images.reshape(-1, 1, 8, 8), labels: digits}


def lstm() -> Training:
    """A recurrent network, which is a loop, that adds two numbers of a sequence."""
    g, rng = gn.Graph("adding"), np.random.default_rng(0)
    x, y = g.placeholder("x", ("batch", "time", 2)), g.placeholder("y", ("batch", 1))
    last = nn.LSTM(8, rng=rng)(x)[:, -1]
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(last), y)
    numbers, marks = rng.uniform(size=(24, 9)), np.zeros((24, 9))
    marks[np.arange(24), rng.integers(0, 4, 24)] = marks[np.arange(24), rng.integers(4, 9, 24)] = 1
    feed = {x: np.stack([numbers, marks], axis=-1), y: np.sum(numbers * marks, axis=1, keepdims=True)}
    return gn.compile(loss, updates=nn.Adam(0.01).updates(loss)), feed


def transformer() -> Training:
    """Two blocks with causal attention, that continue a text."""
    g, rng = gn.Graph("characters"), np.random.default_rng(0)
    now, following = (g.placeholder(name, ("batch", "time"), np.int64) for name in ("now", "following"))
    network = nn.Sequential(
        nn.Embedding(12, 16, rng=rng),
        nn.PositionEmbedding(10, rng=rng),
        *(nn.TransformerBlock(2, 32, True, norm="before", activation="gelu", rng=rng) for _ in range(2)),
        nn.LayerNorm(),
        nn.Dense(12, rng=rng),
    )
    loss = nn.softmax_crossentropy(network(now), following)
    text = np.cumsum(rng.integers(1, 4, (8, 11)), axis=1) % 12
    return gn.compile(loss, updates=nn.Adam(0.003).updates(loss)), {now: text[:, :-1], following: text[:, 1:]}


def batch_norm() -> Training:
    """Batch norm, whose running mean and variance are updated, too."""
    g, rng = gn.Graph("normalized"), np.random.default_rng(0)
    x, y, feed = _regression(g)
    network = nn.Sequential(nn.BatchNorm(), nn.Dense(8, rng=rng), nn.BatchNorm(), nn.Tanh(), nn.Dense(1, rng=rng))
    loss = nn.mean_squared_error(network(x, training=True), y)
    return gn.compile(loss, updates=nn.Adam(0.02).updates(loss)), feed


def dropout() -> Training:
    """Dropout: each step has another mask, the same one here and there."""
    g, rng = gn.Graph("dropout"), np.random.default_rng(0)
    x, y, feed = _regression(g)
    network = nn.Sequential(
        nn.Dense(16, "relu", rng=rng),
        nn.Dropout(0.3),
        nn.Dense(8, "tanh", rng=rng),
        nn.Dropout(0.1),
        nn.Dense(1, rng=rng),
    )
    loss = nn.mean_squared_error(network(x, training=True), y)
    return gn.compile(loss, updates=nn.Adam(0.01).updates(loss)), feed


def vae() -> Training:
    """A variational autoencoder: each step draws other noise."""
    g, rng = gn.Graph("vae"), np.random.default_rng(0)
    images = g.placeholder("images", ("batch", 64))
    hidden = nn.Dense(32, "relu", rng=rng)(images)
    mean, log_var = nn.Dense(2, rng=rng)(hidden), nn.Dense(2, rng=rng)(hidden)
    counter = g.parameter("counter", np.int64(0), trainable=False)
    z = mean + gn.exp(0.5 * log_var) * gn.random_normal(counter, mean.shape)
    g.advances[counter, z] = counter + 1
    logits = nn.Sequential(nn.Dense(32, "relu", rng=rng), nn.Dense(64, rng=rng))(z)
    kl = 0.5 * gn.sum(gn.square(mean) + gn.exp(log_var) - log_var - 1.0, axis=1)
    loss = 64 * nn.sigmoid_crossentropy(logits, images) + gn.mean(kl)
    return gn.compile(loss, updates=nn.Adam(0.003).updates(loss)), {images: _digits(64)[0]}


def momentum() -> Training:
    """SGD with Nesterov's momentum."""
    return _with(nn.SGD(0.05, momentum=0.9, nesterov=True))


def adam() -> Training:
    """Adam, whose gradients are clipped."""
    return _with(nn.Adam(0.02, clip_norm=1.0))


def adamw() -> Training:
    """Adam with decoupled weight decay."""
    return _with(nn.AdamW(0.02, weight_decay=0.05))


def accumulation() -> Training:
    """One update every four steps."""
    return _with(nn.Adam(0.02), accumulate=4)


def by_hand() -> Training:
    """A network without a layer, and its updates without an optimizer."""
    g, rng = gn.Graph("by hand"), np.random.default_rng(0)
    X, labels = gn.datasets.spiral(60, classes=3, seed=0)
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch", 3))
    h = x
    for number, (rows, columns) in enumerate([(2, 16), (16, 16), (16, 3)]):
        h = gn.matmul(h, g.parameter(f"W{number}", 0.3 * rng.normal(size=(rows, columns))))
        h = h + g.parameter(f"b{number}", np.zeros(columns))
        h = gn.tanh(h) if number < 2 else h
    e = gn.exp(h - gn.max(h, axis=1, keepdims=True))
    loss = -gn.mean(gn.sum(y * gn.log(e / gn.sum(e, axis=1, keepdims=True)), axis=1))
    parameters = list(g.parameters)
    updates = {p: p - 0.5 * slope for p, slope in zip(parameters, gn.grad(loss, parameters), strict=True)}
    return gn.compile(loss, updates=updates), {x: X, y: np.eye(3)[labels]}


def forward_mode() -> Training:
    """Forward mode: each step moves along a random direction, by the slope that jvp finds along it."""
    g = gn.Graph("forward")
    x, y, feed = _regression(g)
    loss = nn.mean_squared_error(_dense(np.random.default_rng(0))(x), y)
    parameters = list(g.parameters)
    counter = g.parameter("counter", np.int64(0), trainable=False)
    ways = {p: 2.0 * gn.random_uniform(counter + 1, p.shape) - 1.0 for p in parameters}
    slope = gn.jvp(loss, ways)
    updates = {p: p - 0.02 * slope * way for p, way in ways.items()}
    return gn.compile(loss, updates={**updates, counter: counter + 1}), feed


_ALL = (readme, lenet, lstm, transformer, batch_norm, dropout, vae, momentum, adam, adamw, accumulation, by_hand)
TRAININGS: dict[str, Callable[[], Training]] = {each.__name__: each for each in (*_ALL, forward_mode)}
OF_DIGITS = {"lenet", "vae"}
"""These need scikit-learn, for the images."""


def losses(training: Training, steps: int) -> list[float]:
    """Return what Python finds."""
    step, feed = training
    return [float(step(feed)) for _ in range(steps)]


TRAIN = """
(async () => {
  const text = require("node:fs").readFileSync(file, "utf-8").match(/id="data">([^<]*)</)[1];
  [data, arrays] = await unpacked(text);
  const graph = boundGraph(data.live.sizes, new Map(data.live.given.map(([i, number]) => [i, arrays[number]])));
  const engine = makeEngine(graph), losses = [];
  for (let k = 0; k < steps; k++) {
    engine.run();
    losses.push(Number(engine.value(graph.fetches[0]).data[0]));
    engine.commit();
  }
  console.log(JSON.stringify(losses));
})();
"""


def losses_of_page(node: str, path: Path, steps: int) -> list[float]:
    """Return what the engine of a page finds under node."""
    parts = [engine_script(), *(part(replay.__name__, f"script/{each}.js") for each in ("data", "live")), TRAIN]
    script = path.with_suffix(".js")
    script.write_text("\n".join([f"const file = {json.dumps(str(path))}, steps = {steps};", *parts]), "utf-8")
    done = subprocess.run([node, script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found: list[float] = json.loads(done.stdout)
    return found
