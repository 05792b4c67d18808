"""The networks in graphnn: node by node, as plans, and as native plans."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn

from .. import Training
from . import DISCOUNT, HEADS, Network, World


def interpreted(network: Network) -> Training:
    """Return the step evaluated node by node."""
    return _KINDS[network.kind](network, "interpreter")


def planned(network: Network) -> Training:
    """Return the step as a plan."""
    return _KINDS[network.kind](network, "numpy")


def native(network: Network) -> Training:
    """Return the step as a native plan."""
    return _KINDS[network.kind](network, "native")


def looped(network: Network) -> Training:
    """Return the step whose cells are one loop, as a plan."""
    return _lstm_loop(network, "numpy")


def looped_native(network: Network) -> Training:
    """Return the step whose cells are one loop, as a native plan."""
    return _lstm_loop(network, "native")


class _Parts:
    """Parameters by name in a graph, and the layers that read them."""

    def __init__(self, network: Network) -> None:
        dtype = next(iter(network.start.values())).dtype
        self.graph = gn.Graph(network.kind, dtype=dtype)
        self.parameters = {name: self.graph.parameter(name, value) for name, value in network.start.items()}

    def dense(self, name: str, x: gn.Node) -> gn.Node:
        return x @ self.parameters[f"{name}/weight"] + self.parameters[f"{name}/bias"]

    def norm(self, name: str, x: gn.Node) -> gn.Node:
        centred = x - gn.mean(x, -1, keepdims=True)
        scaled = centred / gn.sqrt(gn.mean(gn.square(centred), -1, keepdims=True) + 1e-5)
        return scaled * self.parameters[f"{name}/gain"] + self.parameters[f"{name}/shift"]

    def training(self, loss: gn.Node, optimizer: nn.Optimizer, feed: dict[gn.Node, Any], backend: str) -> Training:
        step = gn.compile(loss, optimizer.updates(loss), backend=backend)
        return Training(lambda: float(step(feed)), lambda: [each.value for each in self.parameters.values()])


def _crossentropy(logits: gn.Node, labels: gn.Node) -> gn.Node:
    return nn.softmax_crossentropy(gn.reshape(logits, (-1, logits.shape[-1])), gn.reshape(labels, (-1,)))


def _actor_critic(network: Network, backend: str) -> Training:
    parts, world, cells = _Parts(network), World(), network.data["cells"]
    g = parts.graph
    x, following = g.placeholder("x", (1, World.CELLS)), g.placeholder("following", (1, World.CELLS))
    action, reward, goes_on = (
        g.placeholder("action", (1,), dtype="int64"),
        g.placeholder("reward"),
        g.placeholder("goes_on"),
    )
    hidden = gn.tanh(parts.dense("hidden", x))
    logits, value = parts.dense("policy", hidden), parts.dense("value", hidden)[0, 0]
    then = parts.dense("value", gn.tanh(parts.dense("hidden", following)))[0, 0]
    error = gn.stop_gradient(reward + DISCOUNT * goes_on * then) - value
    loss = nn.softmax_crossentropy(logits, action) * gn.stop_gradient(error) + 0.5 * gn.square(error)
    act = gn.compile(gn.softmax(logits)[0], backend=backend)
    learn = gn.compile(loss, nn.SGD(network.rate).updates(loss), backend=backend)

    def step() -> float:
        moved = world.move(act({x: cells[world.cell]}).tolist())
        feed = {x: cells[moved.cell], following: cells[moved.following], action: np.array([moved.action])}
        numbers = {reward: np.array(moved.reward, x.dtype), goes_on: np.array(moved.goes_on, x.dtype)}
        return float(learn(feed | numbers))

    return Training(step, lambda: [each.value for each in parts.parameters.values()])


def transformer_loss(network: Network) -> tuple[gn.Node, dict[gn.Node, Any]]:
    """Return the loss of a transformer, and its feed."""
    _, loss, feed = _transformer_parts(network)
    return loss, feed


def _transformer(network: Network, backend: str) -> Training:
    parts, loss, feed = _transformer_parts(network)
    return parts.training(loss, nn.Adam(network.rate), feed, backend)


def _transformer_parts(network: Network) -> tuple[_Parts, gn.Node, dict[gn.Node, Any]]:
    parts = _Parts(network)
    length = network.data["text"].shape[1]
    text = parts.graph.placeholder("text", ("rows", length), dtype="int64")
    following = parts.graph.placeholder("next", ("rows", length), dtype="int64")
    causal = parts.graph.constant(np.tril(np.ones((length, length), bool)))
    h = gn.take(parts.parameters["tokens"], text, axis=0) + parts.parameters["places"]

    def heads(x: gn.Node) -> gn.Node:
        return gn.moveaxis(gn.reshape(x, (*x.shape[:-1], HEADS, -1)), -2, -3)

    for layer in range(network.blocks):
        with parts.graph.scope(f"block_{layer}"):
            x = parts.norm(f"{layer}/norm1", h)
            q, k, v = (heads(parts.dense(f"{layer}/{part}", x)) for part in ("query", "key", "value"))
            scores = gn.where(causal, q @ gn.swapaxes(k, -1, -2) / math.sqrt(q.shape[-1]), -np.inf)
            mixed = gn.reshape(gn.moveaxis(gn.softmax(scores) @ v, -3, -2), h.shape)
            h = h + parts.dense(f"{layer}/mixed", mixed)
            up = gn.gelu(parts.dense(f"{layer}/up", parts.norm(f"{layer}/norm2", h)), network.gelu)
            h = h + parts.dense(f"{layer}/down", up)
    logits = parts.dense("logits", parts.norm("norm", h))
    loss = _crossentropy(logits, following)
    return parts, loss, {text: network.data["text"], following: network.data["next"]}


def _lstm(network: Network, backend: str) -> Training:
    parts, counted = _Parts(network), network.data["labels"].shape[1]
    _, steps, inputs = network.data["X"].shape
    x = parts.graph.placeholder("x", ("rows", steps, inputs))
    labels = parts.graph.placeholder("labels", ("rows", counted), dtype="int64")
    h = c = gn.zeros(("rows", len(parts.parameters["recurrent/weight"].value)), x.dtype, graph=parts.graph)
    states = []
    for step in range(steps):
        gates = parts.dense("input", x[:, step]) + h @ parts.parameters["recurrent/weight"]
        take, keep, new, give = gn.split(gates, 4, axis=-1)
        c = gn.sigmoid(keep) * c + gn.sigmoid(take) * gn.tanh(new)
        h = gn.sigmoid(give) * gn.tanh(c)
        states.append(h)
    loss = _crossentropy(parts.dense("logits", gn.stack(states[-counted:], axis=1)), labels)
    return parts.training(loss, nn.SGD(network.rate), {x: network.data["X"], labels: network.data["labels"]}, backend)


def _lstm_loop(network: Network, backend: str) -> Training:
    parts, counted = _Parts(network), network.data["labels"].shape[1]
    _, _, inputs = network.data["X"].shape
    x = parts.graph.placeholder("x", ("rows", "steps", inputs))
    labels = parts.graph.placeholder("labels", ("rows", counted if counted == 1 else "steps"), dtype="int64")
    recurrent = parts.parameters["recurrent/weight"]
    start = gn.zeros(("rows", len(recurrent.value)), x.dtype, graph=parts.graph)

    def cell(state: tuple[gn.Node, gn.Node], given: gn.Node) -> tuple[gn.Node, gn.Node]:
        h, c = state
        take, keep, new, give = gn.split(given + h @ recurrent, 4, axis=-1)
        c = gn.sigmoid(keep) * c + gn.sigmoid(take) * gn.tanh(new)
        return gn.sigmoid(give) * gn.tanh(c), c

    (last, _), (states, _) = gn.scan(cell, (start, start), parts.dense("input", gn.swapaxes(x, 0, 1)))
    seen = gn.expand_dims(last, 1) if counted == 1 else gn.swapaxes(states, 0, 1)
    loss = _crossentropy(parts.dense("logits", seen), labels)
    return parts.training(loss, nn.SGD(network.rate), {x: network.data["X"], labels: network.data["labels"]}, backend)


def _layers(network: Network, backend: str) -> Training:
    parts = _Parts(network)
    x = parts.graph.placeholder("x", ("rows", network.data["X"].shape[1]))
    labels = parts.graph.placeholder("labels", ("rows",), dtype="int64")
    count, h = len(parts.parameters) // 2, x
    for layer in range(count - 1):
        h = gn.tanh(parts.dense(str(layer), h))
    loss = nn.softmax_crossentropy(parts.dense(str(count - 1), h), labels)
    return parts.training(loss, nn.Adam(network.rate), {x: network.data["X"], labels: network.data["labels"]}, backend)


_KINDS: dict[str, Callable[[Network, str], Training]] = {
    "actor_critic": _actor_critic,
    "transformer": _transformer,
    "lstm": _lstm,
    "layers": _layers,
}
