"""What the cases for the health check are made of: data that can be learned, and networks of plain operations."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import graphnn as gn

Array = np.ndarray[Any, np.dtype[Any]]
Rng = np.random.Generator


# --- data -------------------------------------------------------------------------------------------------------


def points(rng: Rng, rows: int, wide: int, classes: int) -> tuple[Array, Array]:
    """Return standardized features and the classes that a noisy linear rule gives them."""
    x = rng.normal(size=(rows, wide))
    truth = x @ rng.normal(size=(wide, classes)) + 0.3 * rng.normal(size=(rows, classes))
    return x, truth.argmax(axis=1)


def curve(rng: Rng, rows: int, wide: int) -> tuple[Array, Array]:
    """Return standardized features, and a standardized target of shape (rows,)."""
    x = rng.normal(size=(rows, wide))
    y = np.tanh(x @ rng.normal(size=wide)) + 0.5 * x[:, 0] + 0.1 * rng.normal(size=rows)
    return x, (y - y.mean()) / y.std()


def images(rng: Rng, rows: int, channels: int, height: int, width: int, classes: int) -> tuple[Array, Array]:
    """Return noisy images, (rows, channels, height, width), and their classes."""
    classes_of = rng.integers(0, classes, rows)
    patterns = rng.normal(size=(classes, channels, height, width))
    return 0.5 * patterns[classes_of] + rng.normal(size=(rows, channels, height, width)), classes_of


def sentences(rng: Rng, rows: int, length: int, count: int) -> Array:
    """Return tokens, (rows, length): each follows from the two before it, mostly."""
    table = rng.integers(0, count, (count, count))
    tokens = rng.integers(0, count, (rows, length))
    for t in range(2, length):
        known = table[tokens[:, t - 1], tokens[:, t - 2]]
        tokens[:, t] = np.where(rng.random(rows) < 0.85, known, tokens[:, t])
    return tokens


def waves(rng: Rng, rows: int, length: int) -> Array:
    """Return noisy sines of different phase and speed, (rows, length)."""
    t = np.arange(length)
    phase, speed = rng.uniform(0, 6.3, (rows, 1)), rng.uniform(0.3, 0.9, (rows, 1))
    return np.sin(phase + speed * t) + 0.1 * rng.normal(size=(rows, length))


# --- networks of plain operations -------------------------------------------------------------------------------


class Weights:
    """Parameters of a network that is written by hand, in the order in which they are made."""

    def __init__(self, graph: gn.Graph, rng: Rng) -> None:
        self.graph, self.rng, self.all = graph, rng, list[gn.Node]()

    def __call__(self, name: str, *shape: int, scale: float | None = None) -> gn.Node:
        """Return a new parameter: normal numbers, by default divided by the root of the fan-in; 0 for scale 0."""
        fan_in = int(np.prod(shape[1:] if len(shape) == 4 else shape[:-1])) or 1
        scale = 1 / np.sqrt(fan_in) if scale is None else scale
        value = self.rng.normal(size=shape) * scale if scale else np.zeros(shape)
        return self.given(name, value)

    def given(self, name: str, value: Any) -> gn.Node:
        """Return a new parameter of this value."""
        self.all.append(self.graph.parameter(name, np.asarray(value).astype(self.graph.dtype)))
        return self.all[-1]


def dense(p: Weights, x: gn.Node, name: str, wide: int, units: int, scale: float | None = None) -> gn.Node:
    """Return x @ w + b."""
    return x @ p(f"w_{name}", wide, units, scale=scale) + p(f"b_{name}", units, scale=0)


def mlp(p: Weights, x: gn.Node, sizes: Sequence[int], act: Callable[[gn.Node], gn.Node] = gn.tanh) -> gn.Node:
    """Return dense layers with an activation between them."""
    for i, (wide, units) in enumerate(pairwise(sizes), 1):
        x = dense(p, x, str(i), wide, units)
        x = act(x) if i < len(sizes) - 1 else x
    return x


def layer_norm(x: gn.Node, axis: Any = -1) -> gn.Node:
    """Return x less its mean, divided by its deviation."""
    centred = x - gn.mean(x, axis=axis, keepdims=True)
    return centred / gn.sqrt(gn.mean(gn.square(centred), axis=axis, keepdims=True) + 1e-5)


def cross_entropy(logits: gn.Node, labels: gn.Node) -> gn.Node:
    """Return the mean of -log softmax at the labels, of plain operations."""
    shifted = logits - gn.max(logits, axis=-1, keepdims=True)
    log_probabilities = shifted - gn.log(gn.sum(gn.exp(shifted), axis=-1, keepdims=True))
    return -gn.mean(gn.pick(log_probabilities, labels))


def descent(loss: gn.Node, parameters: Sequence[gn.Node], rate: float = 0.1) -> dict[gn.Node, gn.Node]:
    """Return the updates of gradient descent, written out."""
    slopes = gn.grad(loss, list(parameters))
    return {w: w - rate * d for w, d in zip(parameters, slopes, strict=True)}


class Attention:
    """One head of attention with a feed-forward part, of plain operations; each part can be exchanged."""

    def __init__(
        self,
        units: int,
        score: Callable[[gn.Node, gn.Node], gn.Node] | None = None,
        mask: Callable[[gn.Node], gn.Node] = lambda scores: scores,
        weigh: Callable[[gn.Node], gn.Node] = lambda scores: gn.softmax(scores, axis=-1),
        norm: Callable[[gn.Node], gn.Node] = layer_norm,
    ) -> None:
        self.units, self.mask, self.weigh, self.norm = units, mask, weigh, norm
        self.score = score or (lambda q, k: q @ gn.swapaxes(k, -1, -2) / float(np.sqrt(units)))

    def __call__(self, p: Weights, h: gn.Node, name: str) -> gn.Node:
        """Return the result of the block."""
        u, seen = self.units, self.norm(h)
        q, k, v = (seen @ p(f"w_{each}{name}", u, u) for each in "qkv")
        weights = self.weigh(self.mask(self.score(q, k)))
        h = h + dense(p, weights @ v, f"o{name}", u, u)
        inner = gn.relu(dense(p, self.norm(h), f"up{name}", u, 2 * u))
        return h + dense(p, inner, f"down{name}", 2 * u, u)


def embedded(p: Weights, tokens: gn.Node, count: int, length: int, units: int) -> gn.Node:
    """Return the vectors of tokens, with those of their positions added."""
    return gn.take(p("table", count, units, scale=1), tokens, axis=0) + p("places", length, units, scale=0.1)


def causal(graph: gn.Graph, keep: Array) -> Callable[[gn.Node], gn.Node]:
    """Return what adds -1e9 to scores that are not kept."""
    return lambda scores: scores + graph.constant(np.where(keep, 0.0, -1e9).astype(graph.dtype))


# --- networks that were read ------------------------------------------------------------------------------------
