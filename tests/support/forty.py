"""Forty graphs of the kinds that people draw, built by hand where there is no layer for it.

Each function returns what is to be drawn. `FORTY` has them all, by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn

Fetches = list[gn.Node]
Build = Callable[[], Fetches]


# --- layers of one's own ----------------------------------------------------------------------------------------


def _dense(units: int) -> nn.Dense:
    return nn.Dense(units, rng=np.random.default_rng(units))


class Residual(nn.Layer):
    def __init__(self, units: int) -> None:
        self.inner = _dense(units)
        self.outer = _dense(units)

    def call(self, x: gn.Node) -> gn.Node:
        return gn.relu(x + self.outer(gn.relu(self.inner(x))))


class Norm(nn.Layer):
    """Layer normalization."""

    gain: gn.Node | None = None

    def call(self, x: gn.Node) -> gn.Node:
        if self.gain is None:
            self.gain = x.graph.parameter("gain", np.ones(x.shape[-1]))
            self.shift = x.graph.parameter("shift", np.zeros(x.shape[-1]))
        centred = x - gn.mean(x, -1, keepdims=True)
        return centred / gn.sqrt(gn.mean(gn.square(centred), -1, keepdims=True) + 1e-5) * self.gain + self.shift


class Attention(nn.Layer):
    def __init__(self, units: int, heads: int = 1, causal: int = 0) -> None:
        self.query, self.key, self.value = _dense(units), _dense(units), _dense(units)
        self.project = _dense(units)
        self.heads, self.units, self.causal = heads, units, causal

    def _split(self, x: gn.Node) -> gn.Node:
        size = self.units // self.heads
        return gn.moveaxis(gn.reshape(x, (*x.shape[:-1], self.heads, size)), -2, -3)

    def call(self, x: gn.Node) -> gn.Node:
        q, k, v = (self._split(part(x)) for part in (self.query, self.key, self.value))
        scores = q @ gn.swapaxes(k, -1, -2) / math.sqrt(self.units / self.heads)
        if self.causal:
            mask = np.tril(np.ones((self.causal, self.causal), bool))
            scores = gn.where(x.graph.constant(mask), scores, -1e9)
        mixed = gn.moveaxis(gn.softmax(scores, -1) @ v, -3, -2)
        return self.project(gn.reshape(mixed, x.shape))


class Block(nn.Layer):
    """A block of a transformer."""

    def __init__(self, units: int, heads: int, causal: int = 0) -> None:
        self.attention_norm, self.attention = Norm(), Attention(units, heads, causal)
        self.mlp_norm, self.up, self.down = Norm(), _dense(4 * units), _dense(units)

    def call(self, x: gn.Node) -> gn.Node:
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(gn.gelu(self.up(self.mlp_norm(x))))


class RNNCell(nn.Layer):
    def __init__(self, units: int) -> None:
        self.input, self.recurrent = _dense(units), _dense(units)

    def call(self, x: gn.Node, h: gn.Node) -> gn.Node:
        return gn.tanh(self.input(x) + self.recurrent(h))


class LSTMCell(nn.Layer):
    def __init__(self, units: int) -> None:
        self.input, self.recurrent = _dense(4 * units), _dense(4 * units)

    def call(self, x: gn.Node, h: gn.Node, c: gn.Node) -> tuple[gn.Node, gn.Node]:
        gates = gn.split(self.input(x) + self.recurrent(h), 4, axis=-1)
        keep, take, give = (gn.sigmoid(gate) for gate in gates[:3])
        c = keep * c + take * gn.tanh(gates[3])
        return give * gn.tanh(c), c


class GRUCell(nn.Layer):
    def __init__(self, units: int) -> None:
        self.update, self.reset, self.candidate = _dense(units), _dense(units), _dense(units)

    def call(self, x: gn.Node, h: gn.Node) -> gn.Node:
        both = gn.concatenate([x, h], axis=-1)
        z, r = gn.sigmoid(self.update(both)), gn.sigmoid(self.reset(both))
        return (1 - z) * h + z * gn.tanh(self.candidate(gn.concatenate([x, r * h], axis=-1)))


class BatchNorm(nn.Layer):
    gain: gn.Node | None = None

    def call(self, x: gn.Node) -> gn.Node:
        if self.gain is None:
            self.gain = x.graph.parameter("gain", np.ones(x.shape[-1]))
        return (x - gn.mean(x, 0)) / gn.sqrt(gn.var(x, 0) + 1e-5) * self.gain


# --- what is drawn ----------------------------------------------------------------------------------------------


def _input(name: str, *shape: Any, dtype: Any = np.float64, graph: gn.Graph | None = None) -> gn.Node:
    return (graph or gn.Graph("drawn")).placeholder(name, shape=shape, dtype=dtype)


def _labels(x: gn.Node) -> gn.Node:
    return _input("labels", "batch", dtype=np.int64, graph=x.graph)


def _gradients(loss: gn.Node) -> Fetches:
    return [loss, *gn.grad(loss, list(loss.graph.parameters))]


def _updates(loss: gn.Node, optimizer: Any) -> Fetches:
    return [loss, *optimizer.updates(loss).values()]


def _adam(loss: gn.Node) -> Fetches:
    return _updates(loss, nn.Adam(0.01))


def _alone(loss: gn.Node) -> Fetches:
    return [loss]


def perceptron(*hidden: int, inputs: int = 784, classes: int = 10) -> gn.Node:
    x = h = _input("x", "batch", inputs)
    for units in hidden:
        h = nn.ReLU()(_dense(units)(h))
    return nn.softmax_crossentropy(_dense(classes)(h), _labels(x))


def tutorial() -> gn.Node:
    x = _input("x", "batch", 2)
    network = nn.Sequential(_dense(64), nn.ReLU(), _dense(3), nn.Softmax())
    return nn.categorical_crossentropy(network(x), _labels(x))


def residual(blocks: int) -> gn.Node:
    x = h = _input("x", "batch", 32)
    for _ in range(blocks):
        h = Residual(32)(h)
    return nn.softmax_crossentropy(_dense(10)(h), _labels(x))


def attention(heads: int, causal: int = 0) -> gn.Node:
    return Attention(32, heads, causal)(_input("x", "batch", causal or "time", 32))


def transformer(layers: int) -> gn.Node:
    tokens = _input("tokens", "batch", 16, dtype=np.int64)
    table = tokens.graph.parameter("embedding", np.random.default_rng(0).normal(size=(50, 32)))
    h = gn.take(table, tokens, axis=0)
    for _ in range(layers):
        h = Block(32, 4, causal=16)(h)
    logits = gn.reshape(_dense(50)(Norm()(h)), (-1, 50))
    return nn.softmax_crossentropy(
        logits, gn.reshape(_input("next", "batch", 16, dtype=np.int64, graph=h.graph), (-1,))
    )


def recurrent(steps: int) -> gn.Node:
    x = _input("x", "batch", steps, 8)
    h = gn.zeros_like(x[:, 0, :1]) @ np.zeros((1, 16))
    cell = RNNCell(16)
    for step in range(steps):
        h = cell(x[:, step], h)
    return nn.softmax_crossentropy(_dense(3)(h), _labels(x))


def lstm(steps: int) -> gn.Node:
    x = _input("x", "batch", steps, 8)
    h = c = gn.zeros_like(x[:, 0, :1]) @ np.zeros((1, 16))
    cell = LSTMCell(16)
    for step in range(steps):
        h, c = cell(x[:, step], h, c)
    return nn.softmax_crossentropy(_dense(3)(h), _labels(x))


def gru(steps: int) -> gn.Node:
    x = _input("x", "batch", steps, 8)
    h = gn.zeros_like(x[:, 0, :1]) @ np.zeros((1, 16))
    cell = GRUCell(16)
    for step in range(steps):
        h = cell(x[:, step], h)
    return nn.softmax_crossentropy(_dense(3)(h), _labels(x))


def siamese() -> gn.Node:
    """Return the contrastive loss of two calls of one network."""
    tower = nn.Sequential(_dense(32), nn.ReLU(), _dense(16))
    one = _input("anchor", "batch", 20)
    apart = gn.sum(gn.square(tower(one) - tower(_input("other", "batch", 20, graph=one.graph))), -1)
    same = _input("same", "batch", graph=one.graph)
    return gn.mean(same * apart + (1 - same) * gn.square(gn.maximum(1 - gn.sqrt(apart + 1e-9), 0)))


def unet(depth: int = 3) -> gn.Node:
    """Return a U-Net of dense layers: half as wide at each step down, joined with its like on the way up."""
    x = h = _input("x", "batch", 64)
    kept = []
    for level in range(depth):
        h = nn.ReLU()(_dense(64 >> level)(h))
        kept.append(h)
    h = nn.ReLU()(_dense(64 >> depth)(h))
    for level in reversed(range(depth)):
        h = nn.ReLU()(_dense(64 >> level)(gn.concatenate([h, kept[level]], axis=-1)))
    return nn.mean_squared_error(_dense(64)(h), x)


def gan() -> Fetches:
    noise = _input("noise", "batch", 8)
    real = _input("real", "batch", 2, graph=noise.graph)
    make = nn.Sequential(_dense(32), nn.ReLU(), _dense(2))
    judge = nn.Sequential(_dense(32), nn.LeakyReLU(), _dense(1))
    fake = judge(make(noise))
    of_judge = gn.mean(gn.softplus(-judge(real))) + gn.mean(gn.softplus(fake))
    of_maker = gn.mean(gn.softplus(-fake))
    return [*gn.grad(of_judge, judge.parameters), *gn.grad(of_maker, make.parameters), of_judge, of_maker]


def two_in_two_out() -> Fetches:
    image = _input("image", "batch", 64)
    words = _input("words", "batch", 30, graph=image.graph)
    both = gn.concatenate([nn.ReLU()(_dense(32)(image)), nn.ReLU()(_dense(16)(words))], axis=-1)
    trunk = nn.ReLU()(_dense(32)(both))
    image.graph.outputs["kind"] = kind = nn.Softmax()(_dense(5)(trunk))
    image.graph.outputs["price"] = price = _dense(1)(trunk)
    return [kind, price]


def tasks(heads: int = 3) -> Fetches:
    x = _input("x", "batch", 20)
    trunk = nn.ReLU()(_dense(32)(nn.ReLU()(_dense(64)(x))))
    losses = [gn.mean(gn.square(_dense(1)(nn.Tanh()(_dense(8)(trunk))))) for _ in range(heads)]
    return [losses[0] + losses[1] * 0.5 + losses[2] * 0.1]


def random_nodes(count: int, seed: int = 0) -> Fetches:
    rng = np.random.default_rng(seed)
    g = gn.Graph("random")
    made = [g.placeholder(f"x_{number}", shape=("n",)) for number in range(4)]
    operations: list[Callable[..., gn.Node]] = [gn.tanh, gn.exp, gn.add, gn.multiply, gn.subtract, gn.maximum]
    while len(made) < count:
        operation = operations[rng.integers(len(operations))]
        operands = 1 if operation in operations[:2] else 2
        near = rng.integers(max(0, len(made) - 20), len(made), operands)
        far = rng.integers(0, len(made), operands)
        made.append(operation(*(made[place] for place in np.where(rng.random(operands) < 0.8, near, far))))
    return [node for node in made if not node.users]


def autoencoder() -> gn.Node:
    x = _input("x", "batch", 784)
    network = nn.Sequential(_dense(128), nn.ReLU(), _dense(16), nn.ReLU(), _dense(128), nn.ReLU(), _dense(784))
    return nn.mean_squared_error(network(x), x)


def variational() -> gn.Node:
    x = _input("x", "batch", 784)
    noise = _input("noise", "batch", 8, graph=x.graph)
    h = nn.ReLU()(_dense(128)(x))
    mean, spread = _dense(8)(h), nn.Dense(8, rng=np.random.default_rng(1))(h)
    z = mean + gn.exp(spread * 0.5) * noise
    logits = _dense(784)(nn.ReLU()(_dense(128)(z)))
    far = gn.mean(gn.sum(gn.exp(spread) + gn.square(mean) - 1 - spread, -1)) * 0.5
    return nn.sigmoid_crossentropy(logits, x) + far


def experts(count: int = 4) -> gn.Node:
    x = _input("x", "batch", 16)
    weights = gn.softmax(_dense(count)(x), -1)
    parts = [weights[:, i : i + 1] * nn.Sequential(_dense(32), nn.ReLU(), _dense(8))(x) for i in range(count)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return gn.mean(gn.square(total))


def densely(blocks: int = 6) -> gn.Node:
    x = _input("x", "batch", 16)
    kept = [x]
    for _ in range(blocks):
        kept.append(nn.ReLU()(_dense(8)(gn.concatenate(kept, axis=-1) if len(kept) > 1 else x)))
    return nn.softmax_crossentropy(_dense(10)(gn.concatenate(kept, axis=-1)), _labels(x))


def highway(layers: int = 5) -> gn.Node:
    x = h = _input("x", "batch", 16)
    for _ in range(layers):
        gate = gn.sigmoid(_dense(16)(h))
        h = gate * gn.tanh(_dense(16)(h)) + (1 - gate) * h
    return nn.softmax_crossentropy(_dense(3)(h), _labels(x))


def dropped() -> gn.Node:
    x = _input("x", "batch", 20)
    parts = [part for units in (64, 32, 16) for part in (_dense(units), nn.ReLU(), nn.Dropout(0.5))]
    return nn.softmax_crossentropy(nn.Sequential(*parts, _dense(4))(x, training=True), _labels(x))


def normalized() -> gn.Node:
    x = h = _input("x", "batch", 20)
    for units in (32, 32, 16):
        h = nn.ReLU()(BatchNorm()(_dense(units)(h)))
    return nn.softmax_crossentropy(_dense(4)(h), _labels(x))


def physics() -> gn.Node:
    """Return how far a network is from u″ = −u."""
    t = _input("t", "batch", 1)
    u = _dense(1)(nn.Tanh()(_dense(16)(t)))
    first = gn.grad(gn.sum(u), [t])[0]
    second = gn.grad(gn.sum(first), [t])[0]
    return gn.mean(gn.square(second + u))


def meta() -> Fetches:
    """Return the gradient through one step of gradient descent."""
    x = _input("x", "batch", 4)
    w = x.graph.parameter("w", np.ones((4, 1)))
    y = _input("y", "batch", 1, graph=x.graph)
    inner = gn.mean(gn.square(x @ w - y))
    better = w - 0.1 * gn.grad(inner, [w])[0]
    outer = gn.mean(gn.square(x @ better - y))
    return [outer, *gn.grad(outer, [w])]


def mixer(blocks: int = 3) -> gn.Node:
    x = h = _input("x", "batch", 8, 16)
    for _ in range(blocks):
        h = h + gn.swapaxes(_dense(8)(gn.gelu(_dense(16)(gn.swapaxes(Norm()(h), 1, 2)))), 1, 2)
        h = h + _dense(16)(gn.gelu(_dense(32)(Norm()(h))))
    return nn.softmax_crossentropy(_dense(5)(gn.mean(h, 1)), _labels(x))


def neuron() -> gn.Node:
    """Return micrograd's neuron: tanh(x1 w1 + x2 w2 + b)."""
    g = gn.Graph("neuron")
    x1, x2 = g.parameter("x1", 2.0), g.parameter("x2", 0.0)
    w1, w2, b = g.parameter("w1", -3.0), g.parameter("w2", 1.0), g.parameter("b", 6.8813735870195432)
    return gn.tanh(x1 * w1 + x2 * w2 + b)


def by_hand() -> gn.Node:
    """Return the tutorial's network from operations alone."""
    x = _input("x", "batch", 2)
    g = x.graph
    h = gn.relu(x @ g.parameter("w1", np.ones((2, 3))) + g.parameter("b1", np.zeros(3)))
    scores = h @ g.parameter("w2", np.ones((3, 3))) + g.parameter("b2", np.zeros(3))
    powers = gn.exp(scores - gn.max(scores, 1, keepdims=True))
    probabilities = gn.clip(powers / gn.sum(powers, 1, keepdims=True), 1e-7, 1 - 1e-7)
    return -gn.mean(gn.log(gn.sum(probabilities * gn.one_hot(_labels(x), 3), 1)))


def long_chain(operations: int = 200) -> gn.Node:
    h = _input("x", "batch")
    for number in range(operations):
        h = gn.sin(h) if number % 2 else h * 1.01
    return h


def _of(
    build: Callable[..., gn.Node], *args: Any, then: Callable[[gn.Node], Fetches] = _alone
) -> Callable[[], Fetches]:
    return lambda: then(build(*args))


FORTY: dict[str, Build] = {
    "tutorial": _of(tutorial),
    "tutorial, gradients": _of(tutorial, then=_gradients),
    "tutorial, SGD": _of(tutorial, then=partial(_updates, optimizer=nn.SGD(0.1))),
    "tutorial, by hand": _of(by_hand),
    "MLP, Adam": _of(perceptron, 256, 64, then=_adam),
    "MLP of 10 layers": _of(perceptron, *[64] * 10),
    "MLP of 40 layers, no two alike": _of(perceptron, *range(100, 140)),
    "8 residual blocks": _of(residual, 8),
    "19 residual blocks": _of(residual, 19),
    "8 residual blocks, gradients": _of(residual, 8, then=_gradients),
    "attention": _of(attention, 1),
    "attention, 4 heads, causal": _of(attention, 4, 16),
    "transformer of 2": _of(transformer, 2),
    "transformer of 2, gradients": _of(transformer, 2, then=_gradients),
    "transformer of 2, Adam": _of(transformer, 2, then=_adam),
    "RNN of 15 steps": _of(recurrent, 15),
    "RNN of 15 steps, gradients": _of(recurrent, 15, then=_gradients),
    "LSTM of 5 steps": _of(lstm, 5),
    "LSTM of 20 steps": _of(lstm, 20),
    "GRU of 10 steps": _of(gru, 10),
    "siamese": _of(siamese),
    "U-Net": _of(unet),
    "U-Net, gradients": _of(unet, then=_gradients),
    "GAN": gan,
    "two inputs, two outputs": two_in_two_out,
    "three tasks": tasks,
    "60 random nodes": partial(random_nodes, 60),
    "400 random nodes": partial(random_nodes, 400),
    "autoencoder": _of(autoencoder),
    "variational autoencoder": _of(variational),
    "mixture of 4 experts": _of(experts),
    "dense connections": _of(densely),
    "highway": _of(highway),
    "dropout": _of(dropped),
    "batch norm": _of(normalized),
    "physics-informed": _of(physics, then=_gradients),
    "meta-learning": meta,
    "mixer": _of(mixer),
    "neuron": _of(neuron, then=_gradients),
    "chain of 200": _of(long_chain),
}
