"""The runs that the tests of the replay page look at."""

from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.pages.replay import Page


def spiral(units: int = 6, points: int = 20) -> tuple[gn.Graph, gn.Node, dict[Any, Any]]:
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(nn.Dense(units, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    g.outputs["loss"] = loss = nn.categorical_crossentropy(network(x), labels)
    X, y = gn.datasets.spiral(points, classes=3, seed=0)
    return g, loss, {x: X, labels: y}


def step() -> gn.Trace:
    """A training step: forward, backward, update."""
    _, loss, feed = spiral()
    return gn.trace(gn.compile(loss, updates=nn.SGD(0.1, momentum=0.9).updates(loss)), feed)


def film(calls: int = 60, every: int = 10) -> gn.Recording:
    """Some steps of a training run."""
    _, loss, feed = spiral()
    compiled = gn.compile(loss, updates=nn.Adam(0.05).updates(loss))
    with gn.recording(compiled, every=every) as seen:
        for _ in range(calls):
            compiled(feed)
    return seen


def hidden_nan() -> gn.Trace:
    """A loss that is right, and a gradient that is NaN at the element 2."""
    g = gn.Graph("hidden")
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 1.0)
    g.outputs["loss"] = loss = gn.sum(gn.where(x > 0, gn.log(x * w), 0.0))
    return gn.trace([loss, gn.grad(loss, w)], {x: [1.0, 2.0, 0.0, 4.0]})


def what_if() -> gn.Debugger:
    """A run in which the first bias was set to 1."""
    g, loss, feed = spiral()
    dbg = gn.debug([loss, *gn.grad(loss, list(g.parameters))], feed)
    dbg.resume()
    dbg["dense_1/bias"] = np.ones(6)
    dbg.resume()
    return dbg


class Three:
    """A corrupted run, a patched one and a clean one, side by side."""

    def to_html(self, path: Any) -> Page:
        g, loss, feed = spiral()
        clean = gn.trace(loss, feed)
        other = {"x": -feed[g["x"]], "labels": feed[g["labels"]]}
        patched = gn.trace(gn.patched(loss, {"relu_1": clean}), other)
        names = ["corrupted", "patched", "clean"]
        made: Page = gn.trace(loss, other).to_html(path, beside=[patched, clean], names=names)
        return made


def three() -> Three:
    """Three runs."""
    return Three()


def stopped() -> gn.Debugger:
    """What ran before a guard stopped a training step."""
    g, loss, feed = spiral()
    g["dense_2/weight"].value = np.full((6, 3), 1e308)
    compiled = gn.compile(loss, updates=nn.SGD(0.1).updates(loss), guard="nan")
    try:
        compiled(feed)
    except gn.GraphnnError as error:
        dbg: gn.Debugger = error.debug()
        return dbg
    raise AssertionError("the guard let it pass")


class Block(nn.Layer):
    """Two layers in one, with a skip connection."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.parts = [nn.Dense(4, rng=rng), nn.Dense(4, rng=rng)]

    def call(self, x: gn.Node) -> gn.Node:
        first, second = self.parts
        return gn.tanh(second(gn.tanh(first(x)))) + x


def nested() -> gn.Trace:
    """A layer of layers."""
    g = gn.Graph("nested")
    x = g.placeholder("x", shape=("batch", 4))
    rng = np.random.default_rng(0)
    g.outputs["loss"] = loss = gn.mean(nn.Dense(1, rng=rng)(Block(rng)(x)))
    return gn.trace([loss, *gn.grad(loss, list(g.parameters))], {x: rng.normal(size=(5, 4))})


class Cell(nn.Layer):
    """A step of a recurrent network: two layers in one."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.input, self.recurrent = nn.Dense(4, rng=rng), nn.Dense(4, rng=rng)

    def call(self, x: gn.Node, h: gn.Node) -> gn.Node:
        return gn.tanh(self.input(x) + self.recurrent(h))


def recurrent(steps: int = 6) -> gn.Trace:
    """One layer that is called once a step, with its gradients."""
    g = gn.Graph("recurrent")
    x = g.placeholder("x", shape=("batch", steps, 4))
    h, rng = x[:, 0], np.random.default_rng(0)
    cell = Cell(rng)
    for step in range(steps):
        h = cell(x[:, step], h)
    g.outputs["loss"] = loss = gn.mean(nn.Dense(1, rng=rng)(h))
    return gn.trace([loss, *gn.grad(loss, list(g.parameters))], {x: rng.normal(size=(5, steps, 4))})


def large() -> gn.Trace:
    """Values of which the page keeps a part."""
    g = gn.Graph("large")
    x = g.placeholder("x", shape=("batch", "n"))
    g.outputs["total"] = gn.sum(gn.exp(x))
    return gn.trace(g.outputs["total"], {x: np.random.default_rng(0).normal(size=(2000, 700))})


def chain(nodes: int) -> Page:
    """A deep network of about so many nodes, with its gradients."""
    g = gn.Graph(f"deep_{nodes}")
    x = g.placeholder("x", shape=("batch", 8))
    h, rng = x, np.random.default_rng(0)
    while len(g) < nodes * 0.38:
        h = h + nn.Dense(8, rng=rng)(gn.tanh(h))
    g.outputs["loss"] = loss = gn.mean(h * h)
    trace = gn.trace([loss, *gn.grad(loss, list(g.parameters))], {x: rng.normal(size=(32, 8))})
    page: Page = trace.to_html()
    return page


def attention(heads: int = 4, length: int = 12) -> gn.Trace:
    """Values of four axes: attention over some heads."""
    g = gn.Graph("attention")
    x = g.placeholder("x", shape=("batch", heads, length, 5))
    with g.scope("attention"):
        weights = gn.softmax(x @ gn.transpose(x, (0, 1, 3, 2)), axis=-1)
        g.outputs["context"] = weights @ x
    return gn.trace(g.outputs["context"], {x: np.random.default_rng(0).normal(size=(3, heads, length, 5))})


def long_attention() -> gn.Trace:
    """A map of attention of many rows and columns."""
    g = gn.Graph("map")
    x = g.placeholder("x", shape=("time", 4))
    g.outputs["weights"] = weights = gn.softmax(x @ gn.transpose(x), axis=-1)
    return gn.trace(weights, {x: np.random.default_rng(0).normal(size=(200, 4))})


def many_heads() -> gn.Trace:
    """More tables than go side by side."""
    return attention(heads=16, length=6)


def loop(length: int = 12) -> gn.Trace:
    """A recurrent network, whose loop has so many iterations, and its gradient."""
    g = gn.Graph("loop")
    x, h0 = g.placeholder("x", shape=("time", "batch", 3)), g.placeholder("h0", shape=("batch", 4))
    dense, u = nn.Dense(4, rng=np.random.default_rng(0)), g.parameter("u", np.eye(4) / 2)

    def each(h: gn.Node, row: gn.Node) -> tuple[gn.Node, gn.Node]:
        h = gn.tanh(dense(row) + h @ u)
        return h, h * 2.0

    last, outs = gn.scan(each, h0, x)
    g.outputs["loss"] = loss = gn.sum(last * last) + gn.mean(outs)
    feed = {x: np.random.default_rng(1).normal(size=(length, 2, 3)), h0: np.zeros((2, 4))}
    return gn.trace([loss, gn.grad(loss, u)], feed)


def branch() -> gn.Trace:
    """A branch, of which this run takes the first side, and its gradient."""
    g = gn.Graph("branch")
    x, flag = g.placeholder("x", shape=("batch", 3)), g.placeholder("flag", (), bool)
    y = gn.cond(flag, lambda: gn.log(gn.exp(x) + 1.0), lambda: gn.tanh(x) * 2.0)
    g.outputs["loss"] = loss = gn.mean(y * y)
    return gn.trace([loss, gn.grad(loss, x)], {x: np.random.default_rng(0).normal(size=(2, 3)), flag: True})


def by_hand(calls: int = 11, every: int = 10) -> gn.Recording:
    """Two steps of a network without a layer; the loss is called as its scope is."""
    rng = np.random.default_rng(0)
    X, labels = gn.datasets.spiral(100, classes=3, seed=0)
    g = gn.Graph("by hand")
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch", 3))
    h = x
    for number, (rows, columns) in enumerate([(2, 16), (16, 16), (16, 3)]):
        h = gn.matmul(h, g.parameter(f"W{number}", 0.3 * rng.normal(size=(rows, columns))))
        h = h + g.parameter(f"b{number}", np.zeros(columns))
        h = gn.tanh(h) if number < 2 else h
    e = gn.exp(h - gn.max(h, axis=1, keepdims=True))
    p = e / gn.sum(e, axis=1, keepdims=True)
    with g.scope("loss"):
        loss = gn.name(-gn.mean(gn.sum(y * gn.log(p), axis=1)), "loss")
    compiled = gn.compile(loss, updates=nn.Adam(0.02).updates(loss))
    with gn.recording(compiled, every=every) as seen:
        for _ in range(calls):
            compiled({x: X, y: np.eye(3)[labels]})
    return seen
