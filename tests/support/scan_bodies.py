"""Loops that are written once, for gn.scan and jax.lax.scan alike: `m` is the module that a step computes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

Shapes = Mapping[str, tuple[int, ...]]


class Body(NamedTuple):
    """A step function, and the shapes of what it is given.

    Attributes
    ----------
    step : callable
        Called with the module, the parameters, the state and a row; returns the next state and a result.
    p, init, xs : dict of str to shape
        Parameters, the first state, and arrays of rows. A name that begins with "i" is of integers from 0 to 2.
    reverse : bool
    length : int
        If there are no `xs`.
    """

    step: Callable[..., Any]
    p: Shapes
    init: Shapes
    xs: Shapes
    reverse: bool = False
    length: int = 4


def rnn(m: Any, p: Any, s: Any, x: Any) -> Any:
    h = m.tanh(s["h"] @ p["u"] + x["x"] @ p["w"] + p["b"])
    return {"h": h}, h


def lstm(m: Any, p: Any, s: Any, x: Any) -> Any:
    gates = x["x"] @ p["w"] + s["h"] @ p["u"] + p["b"]
    i, f, o, new = (gates[..., 3 * k : 3 * k + 3] for k in range(4))
    c = m.sigmoid(f) * s["c"] + m.sigmoid(i) * m.tanh(new)
    h = m.sigmoid(o) * m.tanh(c)
    return {"h": h, "c": c}, h


def gru(m: Any, p: Any, s: Any, x: Any) -> Any:
    both = m.concatenate([x["x"], s["h"]], -1)
    z, r = m.sigmoid(both @ p["z"]), m.sigmoid(both @ p["r"])
    new = m.tanh(m.concatenate([x["x"], r * s["h"]], -1) @ p["n"])
    h = z * s["h"] + (1.0 - z) * new
    return {"h": h}, m.sum(h, -1)


def average(m: Any, p: Any, s: Any, x: Any) -> Any:
    mean = m.sigmoid(p["rate"]) * s["mean"] + (1.0 - m.sigmoid(p["rate"])) * x["x"]
    return {"mean": m.where(x["x"] > 0.0, mean, s["mean"])}, mean


def discounted(m: Any, p: Any, s: Any, x: Any) -> Any:
    total = x["reward"] + m.sigmoid(p["discount"]) * s["total"]
    return {"total": total}, total


def kalman(m: Any, p: Any, s: Any, x: Any) -> Any:
    mean, cov = p["a"] @ s["mean"], p["a"] @ (s["root"] @ m.transpose(s["root"])) @ m.transpose(p["a"]) + m.eye(2)
    gain = cov @ m.inv(cov + m.eye(2))
    mean = mean + gain @ (x["seen"] - mean)
    return {"mean": mean, "root": m.cholesky((m.eye(2) - gain) @ cov + 0.1 * m.eye(2))}, m.det(cov)


def power(m: Any, p: Any, s: Any, x: Any) -> Any:
    v = p["a"] @ s["v"]
    norm = m.sqrt(m.sum(v * v))
    return {"v": v / norm}, norm


def newton(m: Any, p: Any, s: Any, x: Any) -> Any:
    root = 0.5 * (s["root"] + m.exp(p["target"]) / s["root"])
    return {"root": m.maximum(root, 0.1)}, None


def pendulum(m: Any, p: Any, s: Any, x: Any) -> Any:
    def slope(y: Any) -> Any:
        return m.stack([y[1], -m.sin(y[0]) - p["friction"] * y[1]])

    y, h = s["y"], 0.1
    k1 = slope(y)
    k2 = slope(y + h / 2 * k1)
    k3 = slope(y + h / 2 * k2)
    k4 = slope(y + h * k3)
    return {"y": y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)}, y


def attending(m: Any, p: Any, s: Any, x: Any) -> Any:
    weights = m.softmax(p["keys"] @ (s["query"] + x["x"]), -1)
    read = weights @ m.tanh(p["values"])
    return {"query": m.tanh(read) + 0.5 * s["query"]}, m.max(weights)


def markov(m: Any, p: Any, s: Any, x: Any) -> Any:
    step = m.logsumexp(m.expand_dims(s["log"], 1) + m.log_softmax(p["transition"], 1), 0)
    following = step + m.take(m.log_softmax(p["emission"], 1), x["i_seen"], axis=1)
    total = m.logsumexp(following, 0)
    return {"log": following - total}, total


def extremes(m: Any, p: Any, s: Any, x: Any) -> Any:
    high, low = m.maximum(s["high"], x["x"] * p["scale"]), m.minimum(s["low"], x["x"])
    return {"high": high, "low": low}, {"range": high - low, "above": high > 1.0}


def looked_up(m: Any, p: Any, s: Any, x: Any) -> Any:
    h = m.tanh(s["h"] + m.take(p["table"], x["i_word"], axis=0))
    return {"h": h}, m.argmax(h, -1)


def counted(m: Any, p: Any, s: Any, x: Any) -> Any:
    large = m.abs(x["x"]) > p["bound"]
    return {"i_count": s["i_count"] + m.cast(large, "int64"), "sum": s["sum"] + m.where(large, x["x"] ** 2, 0.0)}, (
        s["i_count"],
        m.clip(x["x"], -0.75, 0.75) * p["bound"],
    )


def nested(m: Any, p: Any, s: Any, x: Any) -> Any:
    deep, steps = m.scan(lambda h, row: (m.tanh(h @ p["w"] + row),) * 2, s["h"], x["x"])
    return {"h": deep}, m.sum(steps, 0)


def learning(m: Any, p: Any, s: Any, x: Any) -> Any:
    def loss(w: Any) -> Any:
        return m.sum((m.tanh(x["x"] @ w) - x["y"]) ** 2)

    w = s["w"] - m.exp(p["rate"]) * m.slope(loss, s["w"])
    return {"w": w}, loss(w)


def products(m: Any, p: Any, s: Any, x: Any) -> Any:
    a = s["a"] * m.exp(-m.softplus(x["x"] * p["w"]))
    return {"a": a}, m.cumsum(a, -1)


def mixed(m: Any, p: Any, s: Any, x: Any) -> Any:
    swapped = {"a": s["b"], "b": m.sin(s["a"] * p["w"]) + x["x"]}
    return swapped, (s["a"], {"same": p["w"], "row": x["x"]})


def normalized(m: Any, p: Any, s: Any, x: Any) -> Any:
    h = s["h"] @ p["u"] + x["x"]
    centered = h - m.mean(h, -1, keepdims=True)
    h = m.relu(centered / m.sqrt(m.mean(centered * centered, -1, keepdims=True) + 1e-5) * p["gain"] + 0.1)
    return {"h": h}, m.mean(h, 0)


def shifted(m: Any, p: Any, s: Any, x: Any) -> Any:
    buffer = m.concatenate([s["buffer"][1:], m.expand_dims(x["x"], 0)], 0)
    return {"buffer": buffer}, m.einsum("tk,tk->k", buffer, p["filter"])


def matrices(m: Any, p: Any, s: Any, x: Any) -> Any:
    a = s["a"] @ (m.eye(3) + 0.1 * x["x"]) + p["w"] * m.transpose(s["a"])
    return {"a": a / (1.0 + m.sum(m.abs(a)))}, a[0, ::-1]


BODIES: dict[str, Body] = {
    "rnn": Body(rnn, {"w": (2, 3), "u": (3, 3), "b": (3,)}, {"h": (2, 3)}, {"x": (5, 2, 2)}),
    "lstm": Body(lstm, {"w": (2, 12), "u": (3, 12), "b": (12,)}, {"h": (2, 3), "c": (2, 3)}, {"x": (4, 2, 2)}),
    "gru": Body(gru, {"z": (5, 3), "r": (5, 3), "n": (5, 3)}, {"h": (2, 3)}, {"x": (4, 2, 2)}, reverse=True),
    "average": Body(average, {"rate": ()}, {"mean": (3,)}, {"x": (6, 3)}),
    "discounted": Body(discounted, {"discount": ()}, {"total": ()}, {"reward": (7,)}, reverse=True),
    "kalman": Body(kalman, {"a": (2, 2)}, {"mean": (2,), "root": (2, 2)}, {"seen": (4, 2)}),
    "power": Body(power, {"a": (3, 3)}, {"v": (3,)}, {}),
    "newton": Body(newton, {"target": ()}, {"root": ()}, {}, length=6),
    "pendulum": Body(pendulum, {"friction": ()}, {"y": (2,)}, {}, length=8),
    "attending": Body(attending, {"keys": (4, 3), "values": (4, 3)}, {"query": (3,)}, {"x": (3, 3)}),
    "markov": Body(markov, {"transition": (3, 3), "emission": (3, 3)}, {"log": (3,)}, {"i_seen": (6,)}),
    "extremes": Body(extremes, {"scale": ()}, {"high": (2,), "low": (2,)}, {"x": (5, 2)}),
    "looked_up": Body(looked_up, {"table": (3, 2)}, {"h": (4, 2)}, {"i_word": (5, 4)}),
    "counted": Body(counted, {"bound": ()}, {"i_count": (), "sum": ()}, {"x": (8,)}),
    "nested": Body(nested, {"w": (2, 2)}, {"h": (2,)}, {"x": (3, 4, 2)}),
    "learning": Body(learning, {"rate": ()}, {"w": (2,)}, {"x": (4, 3, 2), "y": (4, 3)}),
    "products": Body(products, {"w": (3,)}, {"a": (2, 3)}, {"x": (4, 3)}, reverse=True),
    "mixed": Body(mixed, {"w": (3,)}, {"a": (3,), "b": (3,)}, {"x": (3, 3)}),
    "normalized": Body(normalized, {"u": (4, 4), "gain": (4,)}, {"h": (2, 4)}, {"x": (3, 2, 4)}),
    "shifted": Body(shifted, {"filter": (3, 2)}, {"buffer": (3, 2)}, {"x": (5, 2)}),
    "matrices": Body(matrices, {"w": ()}, {"a": (3, 3)}, {"x": (4, 3, 3)}),
    "one": Body(rnn, {"w": (2, 3), "u": (3, 3), "b": (3,)}, {"h": (2, 3)}, {"x": (1, 2, 2)}),
}


def drawn(shapes: Shapes, rng: np.random.Generator) -> dict[str, Any]:
    """Return an array of each shape."""
    return {
        name: rng.integers(0, 3, shape) if name.startswith("i") else rng.normal(size=shape) / 2 + 0.25
        for name, shape in shapes.items()
    }
