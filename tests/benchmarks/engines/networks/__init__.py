"""Training steps of networks as users build them: an actor and critic, a transformer, an LSTM by cells, many layers.

A module for each engine. Its functions take a `Network` and return the `Training` of it. All engines start from the
same parameters, and see the same data.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from .. import Array, Engine

HEADS = 4
DISCOUNT = 0.95


class Network(NamedTuple):
    """What is trained, and from where: the kind of network, its parameters by name, the data, the learning rate.

    `gelu` is what PyTorch calls `approximate`: "none", or "tanh".
    """

    kind: str
    start: dict[str, Array]
    data: dict[str, Array]
    rate: float
    gelu: str = "none"

    @property
    def blocks(self) -> int:
        """Of a transformer: how many it has."""
        return sum(name.endswith("/up/weight") for name in self.start)


class _Drawing:
    """Draws initial values: normal, with the variance that suits the number of inputs, or zeros, or ones."""

    def __init__(self, dtype: str) -> None:
        self.rng = np.random.default_rng(0)
        self.dtype = dtype
        self.parameters: dict[str, Array] = {}

    def dense(self, name: str, inputs: int, units: int) -> None:
        self.normal(f"{name}/weight", (inputs, units), inputs**-0.5)
        self.parameters[f"{name}/bias"] = np.zeros(units, self.dtype)

    def normal(self, name: str, shape: tuple[int, ...], scale: float) -> None:
        self.parameters[name] = (self.rng.standard_normal(shape) * scale).astype(self.dtype)

    def norm(self, name: str, units: int) -> None:
        self.parameters[f"{name}/gain"] = np.ones(units, self.dtype)
        self.parameters[f"{name}/shift"] = np.zeros(units, self.dtype)


def actor_critic(dtype: str, hidden: int = 32) -> Network:
    """Return a network that says how good a cell of the grid is, and each move there: by a hidden layer of tanh."""
    drawing = _Drawing(dtype)
    drawing.dense("hidden", World.CELLS, hidden)
    drawing.dense("policy", hidden, World.MOVES)
    drawing.dense("value", hidden, 1)
    cells = np.eye(World.CELLS, dtype=dtype)[:, None, :]
    return Network("actor_critic", drawing.parameters, {"cells": cells}, 0.05)


def transformer(
    dtype: str, gelu: str = "none", blocks: int = 2, rows: int = 16, length: int = 32, tokens: int = 64, units: int = 64
) -> Network:
    """Return a causal transformer of some blocks, four heads each, which is to know the next token."""
    drawing = _Drawing(dtype)
    drawing.normal("tokens", (tokens, units), 1.0)
    drawing.normal("places", (length, units), 0.1)
    for layer in range(blocks):
        drawing.norm(f"{layer}/norm1", units)
        for part in ("query", "key", "value", "mixed"):
            drawing.dense(f"{layer}/{part}", units, units)
        drawing.norm(f"{layer}/norm2", units)
        drawing.dense(f"{layer}/up", units, 4 * units)
        drawing.dense(f"{layer}/down", 4 * units, units)
    drawing.norm("norm", units)
    drawing.dense("logits", units, tokens)
    text = drawing.rng.integers(0, tokens, (rows, length + 1))
    data = {"text": text[:, :-1].copy(), "next": text[:, 1:].copy()}
    return Network("transformer", drawing.parameters, data, 0.001, gelu)


def lstm(
    dtype: str, steps: int, last: bool = False, rows: int = 32, inputs: int = 8, units: int = 32, classes: int = 10
) -> Network:
    """Return an LSTM over so many steps, and a layer that tells a class from its state: at each step, or the last."""
    drawing = _Drawing(dtype)
    drawing.dense("input", inputs, 4 * units)
    drawing.normal("recurrent/weight", (units, 4 * units), units**-0.5)
    drawing.dense("logits", units, classes)
    X = drawing.rng.standard_normal((rows, steps, inputs)).astype(dtype)
    labels = drawing.rng.integers(0, classes, (rows, 1 if last else steps))
    return Network("lstm", drawing.parameters, {"X": X, "labels": labels}, 0.1)


def layers(dtype: str, count: int = 40, rows: int = 32, units: int = 32, classes: int = 10) -> Network:
    """Return a network of so many layers: of tanh, but for the last."""
    drawing = _Drawing(dtype)
    for layer in range(count):
        drawing.dense(str(layer), units, units if layer < count - 1 else classes)
    X = drawing.rng.standard_normal((rows, units)).astype(dtype)
    return Network("layers", drawing.parameters, {"X": X, "labels": drawing.rng.integers(0, classes, rows)}, 0.001)


class Move(NamedTuple):
    """What came of an action: where it was done, what it was, what it earned, where it led, and whether it goes on."""

    cell: int
    action: int
    reward: float
    following: int
    goes_on: float


class World:
    """A grid of five by five cells, from one corner of which the way leads to the other; a step costs a little."""

    SIDE, CELLS, MOVES = 5, 25, 4

    def __init__(self) -> None:
        self.cell = 0
        self._draw = random.Random(0).random

    def move(self, probabilities: list[float]) -> Move:
        """Draw an action from its probabilities, and do it."""
        left, action = self._draw(), 0
        while action < self.MOVES - 1 and left >= probabilities[action]:
            left -= probabilities[action]
            action += 1
        row, column = divmod(self.cell, self.SIDE)
        if action < 2:
            row = min(max(row + 2 * action - 1, 0), self.SIDE - 1)
        else:
            column = min(max(column + 2 * action - 5, 0), self.SIDE - 1)
        cell, following = self.cell, row * self.SIDE + column
        there = following == self.CELLS - 1
        self.cell = 0 if there else following
        return Move(cell, action, 1.0 if there else -0.02, following, 0.0 if there else 1.0)


NETWORKS: Mapping[str, tuple[str, Callable[[str], Network]]] = {
    "policy": ("policy gradient", actor_critic),
    "transformer": ("transformer, GELU by erf", transformer),
    "transformer-tanh": ("transformer, GELU by tanh", lambda dtype: transformer(dtype, "tanh")),
    "transformer-6": (
        "transformer, 6 blocks of 256",
        lambda dtype: transformer(dtype, blocks=6, rows=8, length=128, tokens=256, units=256),
    ),
    "lstm-32": ("LSTM, 32 cells", lambda dtype: lstm(dtype, 32)),
    "lstm-256": ("LSTM, 256 cells", lambda dtype: lstm(dtype, 256)),
    "lstm-256-last": ("LSTM, 256 cells, one loss", lambda dtype: lstm(dtype, 256, last=True)),
    "layers": ("40 layers, Adam", layers),
}


ENGINES = {
    "interpreter": Engine("graphnn, interpreter", "networks.with_graphnn:interpreted"),
    "plan": Engine("graphnn, plan", "networks.with_graphnn:planned"),
    "native": Engine("graphnn, native", "networks.with_graphnn:native", "llvmlite"),
    "loop": Engine("graphnn, plan, `scan`", "networks.with_graphnn:looped", only="lstm"),
    "loop-native": Engine("graphnn, native, `scan`", "networks.with_graphnn:looped_native", "llvmlite", only="lstm"),
    "torch": Engine("PyTorch, eager", "networks.with_torch:eager", "torch"),
    "torch-lstm": Engine("PyTorch, eager, `nn.LSTM`", "networks.with_torch:whole_lstm", "torch", only="lstm"),
    "jax": Engine("JAX, `jit`", "networks.with_jax:jitted", "jax"),
}
