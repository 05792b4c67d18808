"""The network of the demonstration, written as a user writes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphnn import datasets, nn
from graphnn.graph import Graph


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
        nn.Dense(3, weight_init=nn.init.uniform(0.0, 0.1), rng=rng),
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
