"""The networks of the demonstration, written as a user writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn import datasets, nn
from graphnn.compiler.compile import Compiled, compile
from graphnn.core import Graph, Node
from graphnn.debugger.traces import Recording, recording


def build() -> tuple[dict[str, Any], dict[Any, Any]]:
    """Build Dense → ReLU → Dense → Softmax → categorical cross-entropy on the spiral data.

    Returns
    -------
    fetches : dict of str to Node
        ``probabilities`` and ``loss``.
    feed : dict of Node to array
        The 300 points and their classes.
    """
    rng = np.random.RandomState(42)
    g = Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(
        nn.Dense(16, weight_init=nn.init.uniform(0.0, 0.1), rng=rng),
        nn.ReLU(),
        nn.Dense(3, weight_init=nn.init.uniform(0.0, 0.1), rng=rng),
        nn.Softmax(),
    )
    probabilities = network(x)
    loss = nn.categorical_crossentropy(probabilities, labels)
    g.outputs["probabilities"] = probabilities
    g.outputs["loss"] = loss
    X, y = datasets.spiral(100, classes=3, seed=0)
    return {"probabilities": probabilities, "loss": loss}, {x: X, labels: y}


def filmed(
    fetches: dict[str, Any], feed: dict[Any, Any], steps: int = 1750, every: int = 250
) -> tuple[Recording, float]:
    """Train the network of `build` on its data, and record it on the way.

    Parameters
    ----------
    fetches, feed : dict
        As `build` returns them.
    steps : int
    every : int
        How many steps lie between two that are recorded.

    Returns
    -------
    film : Recording
        The first step, and every one after so many.
    accuracy : float
        The share of the points that the network classifies rightly in the last step.
    """
    probabilities, loss = fetches["probabilities"], fetches["loss"]
    step = compile(loss, updates=nn.SGD(1.0).updates(loss))
    with recording(step, every=every) as film:
        for _ in range(steps + 1):
            step(feed)
    *_, classes = feed.values()
    return film, float(np.mean(film[-1][probabilities].value.argmax(axis=1) == classes))


def trained(epochs: int, progress: Any) -> tuple[Compiled, nn.History, Node, dict[Any, Any]]:
    """Train Dense → ReLU → Dense on the spiral data.

    Parameters
    ----------
    epochs : int
    progress : bool or stream
        As in `nn.fit`.

    Returns
    -------
    step : Compiled
    history : History
        ``loss`` and ``accuracy`` an epoch.
    probabilities : Node
    feed : dict of Node to array
    """
    rng = np.random.default_rng(0)
    g = Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    network = nn.Sequential(nn.Dense(64, weight_init=nn.init.he_normal, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))
    logits = network(x)
    loss = nn.softmax_crossentropy(logits, labels)
    probabilities = nn.Softmax()(logits)
    g.outputs["loss"] = loss
    g.outputs["probabilities"] = probabilities
    step = compile(loss, updates=nn.Adam(0.02).updates(loss))
    X, y = datasets.spiral(100, classes=3, seed=0)
    feed = {x: X, labels: y}
    metrics = {"accuracy": nn.accuracy(probabilities, labels)}
    history = nn.fit(step, feed, epochs=epochs, batch_size=32, rng=rng, metrics=metrics, progress=progress)
    return step, history, probabilities, feed
