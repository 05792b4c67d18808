"""Random networks with a loss and an optimizer, such as users train: most of their plans are native throughout."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import graphnn as gn
from graphnn import nn

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid)
UNITS = (1, 2, 3, 5, 8, 16, 33, 64, 129, 200)
ROWS = (1, 2, 7, 16, 33, 100, 300, 1000, 3000)
OPTIMIZERS = (
    lambda: nn.SGD(0.1),
    lambda: nn.SGD(0.1, momentum=0.9),
    lambda: nn.Adam(0.01),
    lambda: nn.AdamW(0.01, clip_norm=1.0),
    lambda: nn.RMSProp(0.01),
)


class Training(NamedTuple):
    """What is fetched, fed and updated."""

    fetches: list[gn.Node]
    feeds: list[Mapping[Any, Any]]
    updates: dict[gn.Node, gn.Node]


def random_training(rng: np.random.Generator, rows: tuple[int, ...] = ROWS) -> Training:
    """Draw a network, a loss, an optimizer, and a few batches."""
    dtype = str(rng.choice(["float32", "float64"]))
    graph = gn.Graph(dtype=dtype)
    inputs, classes, count = int(rng.integers(1, 40)), int(rng.integers(2, 12)), int(rng.choice(rows))
    x, y = graph.placeholder("x", ("batch", inputs)), graph.placeholder("y", ("batch",), np.int64)
    looked_up = int(rng.choice([7, 8 * count + 1])) if rng.random() < 0.3 else 0
    layers: list[nn.Layer] = []
    for _ in range(int(rng.integers(0, 5))):
        layers += [nn.Dense(int(rng.choice(UNITS))), ACTIVATIONS[rng.integers(len(ACTIVATIONS))]()]
        if rng.random() < 0.15:
            layers.append(nn.Dropout(0.3))
    first, ids = x, graph.placeholder("ids", ("batch", *[2] * int(rng.integers(2))), rng.choice(["int64", "int32"]))
    if looked_up:
        table = graph.parameter("table", _wild(rng, rng.normal(size=(looked_up, inputs)).astype(dtype)))
        first = gn.take(table, ids, axis=0)
        first = gn.sum(first, axis=1) if len(ids.shape) > 1 else first
    logits = nn.Sequential(*layers, nn.Dense(classes))(first, training=True)
    losses = (
        lambda: nn.softmax_crossentropy(logits, y),
        lambda: nn.categorical_crossentropy(gn.softmax(logits), y),
        lambda: gn.mean(gn.square(logits - gn.cast(gn.expand_dims(y, -1), dtype))),
        lambda: nn.softmax_crossentropy(logits, y, reduction="sum"),
    )
    loss = losses[rng.integers(len(losses))]()
    updates = OPTIMIZERS[0 if looked_up and rng.random() < 0.7 else rng.integers(len(OPTIMIZERS))]().updates(loss)
    fetches = [loss, *[logits] * (rng.random() < 0.5), *[gn.transpose(logits)] * (rng.random() < 0.2)]
    feeds: list[dict[Any, Any]] = []
    for _ in range(6 if looked_up else 3):  # two tables take turns
        feeds.append({y: rng.integers(0, classes, count)})
        if looked_up:
            shape = count, *ids.shape[1:]
            feeds[-1][ids] = rng.integers(-looked_up, looked_up, shape).astype(ids.dtype)
        else:
            feeds[-1][x] = _wild(rng, rng.normal(size=(count, inputs)).astype(dtype))
    return Training(fetches, feeds, updates)


def _wild(rng: np.random.Generator, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Put a special value into one array of five."""
    if rng.random() < 0.2:
        array.flat[rng.integers(array.size)] = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf])
    return array
