"""Sound trainings, and trainings with one fault each that makes no NaN, for the health check."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import transformers

import graphnn as gn
from graphnn import nn

Array = np.ndarray[Any, np.dtype[Any]]


class Setting(NamedTuple):
    """A training step and its feed."""

    step: Any
    feed: dict[gn.Node, Any]


class Network(NamedTuple):
    """A random, sound network with its loss and data."""

    graph: gn.Graph
    rng: np.random.Generator
    x: gn.Node
    labels: gn.Node
    made: gn.Node
    loss: gn.Node
    layers: Any
    feed: dict[gn.Node, Any]
    of_classes: bool


def _network(seed: int) -> Network:
    rng = np.random.default_rng([seed, 7])
    graph = gn.Graph(dtype=("float64", "float32")[seed % 2])
    wide, rows, classes = int(rng.integers(2, 20)), int(rng.integers(16, 80)), int(rng.integers(2, 6))
    points = rng.normal(size=(rows, wide)).astype(graph.dtype)
    x = graph.placeholder("x", shape=("batch", wide))
    kind = int(rng.integers(4))
    act = (nn.Tanh, nn.ReLU, nn.Sigmoid, nn.LeakyReLU)[int(rng.integers(4))]
    layers: list[Any] = []
    for _ in range(int(rng.integers(0, 4))):
        layers += [nn.Dense(int(rng.integers(4, 40)), rng=rng), act()]
    layers.append(nn.Dense(classes, rng=rng))
    network = nn.Sequential(*layers)
    made = network(x)
    truth = points @ rng.normal(size=(wide, classes)) + 0.3 * rng.normal(size=(rows, classes))
    if kind in (0, 1):
        labels = graph.placeholder("labels", shape=("batch",), dtype=np.int64)
        targets: Array = truth.argmax(axis=1)
        loss = (
            nn.softmax_crossentropy(made, labels)
            if kind == 0
            else nn.categorical_crossentropy(gn.softmax(made), labels)
        )
    else:
        labels = graph.placeholder("labels", shape=("batch", classes))
        targets = (truth if kind == 2 else truth > 0).astype(graph.dtype)
        loss = nn.mean_squared_error(made, labels) if kind == 2 else nn.sigmoid_crossentropy(made, labels)
    return Network(graph, rng, x, labels, made, loss, network, {x: points, labels: targets}, kind in (0, 1))


def _optimizer(rng: np.random.Generator, rate: float = 1.0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: nn.SGD(0.05 * rate),
        lambda: nn.SGD(0.02 * rate, momentum=0.9),
        lambda: nn.Adam(0.01 * rate),
        lambda: nn.AdamW(0.01 * rate),
        lambda: nn.RMSProp(0.003 * rate),
        lambda: nn.Adagrad(0.03 * rate),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def sound(seed: int) -> Setting:
    """Return a training without a fault: networks, penalties, schedules, metrics, transformers, autoencoders."""
    if seed % 18 == 17:
        return Setting(*transformers.sound(seed // 18))
    n = _network(seed)
    rng, loss, fetches = n.rng, n.loss, []
    way = seed % 17
    if way >= 10:
        return _OTHERS[way - 10](rng, n.graph.dtype)
    optimizer = _optimizer(rng)
    if way == 1:
        loss = loss + nn.l2(n.layers.parameters, 0.01)
    elif way == 2:
        optimizer = nn.SGD(nn.schedules.warmup(5, nn.schedules.cosine(0.05, 30)))
    elif way == 3 and n.of_classes:
        fetches = [nn.accuracy(n.made, n.labels)]
    elif way == 4:
        return _attention(rng, n.graph.dtype, -1)
    elif way == 5:
        return _autoencoder(rng, n.graph.dtype, int(rng.integers(4, 20)), squeezed=True)
    elif way == 6:
        frozen = n.layers.parameters[0]
        optimizer = _optimizer(rng)
        others = [each for each in n.layers.parameters if each is not frozen]
        return Setting(gn.compile(loss, optimizer.updates(loss, others)), n.feed)
    elif way == 7:
        return _clusters(rng, n.graph.dtype)
    elif way == 8:
        loss = loss + 0.001 * sum(gn.sum(gn.absolute(each)) for each in n.layers.parameters[:1])  # type: ignore[assignment]
    elif way == 9:
        with n.graph.scope("noisy"):
            noisy = n.layers(nn.Dropout(0.2, seed=seed)(n.x, training=True))
        loss = loss + 0.1 * gn.mean(gn.square(noisy - n.made))
    return Setting(gn.compile([loss, *fetches], optimizer.updates(loss)), n.feed)


def _attention(rng: np.random.Generator, dtype: Any, axis: int) -> Setting:
    graph = gn.Graph(dtype=dtype)
    wide, length, rows = int(rng.integers(3, 9)), int(rng.integers(3, 9)), int(rng.integers(6, 20))
    x = graph.placeholder("x", shape=("batch", length, wide))
    y = graph.placeholder("y", shape=("batch", length, 1))
    queries, keys, values = (nn.Dense(wide, rng=rng)(x) for _ in range(3))
    scores = queries @ gn.transpose(keys, (0, 2, 1)) / float(np.sqrt(wide))
    weights = gn.softmax(scores, axis=axis)
    how = int(rng.integers(3))
    if how == 0:
        seen = weights @ values
    elif how == 1:
        seen = gn.einsum("bij,bjd->bid", weights, values)
    else:
        seen = gn.sum(gn.expand_dims(weights, 3) * gn.expand_dims(values, 1), axis=2)
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(seen), y)
    feed = {x: rng.normal(size=(rows, length, wide)), y: rng.normal(size=(rows, length, 1))}
    feed = {node: array.astype(dtype) for node, array in feed.items()}
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), feed)


def _pooling(rng: np.random.Generator, dtype: Any, axis: int) -> Setting:
    """Return a training that weighs the steps of a sequence by a softmax."""
    graph = gn.Graph(dtype=dtype)
    wide, length, rows = int(rng.integers(3, 9)), int(rng.integers(3, 9)), int(rng.integers(6, 20))
    x = graph.placeholder("x", shape=("batch", length, wide))
    y = graph.placeholder("y", shape=("batch", 1))
    weights = gn.softmax(nn.Dense(1, rng=rng)(x), axis=axis)
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(gn.sum(weights * nn.Dense(wide, rng=rng)(x), axis=1)), y)
    feed = {x: rng.normal(size=(rows, length, wide)).astype(dtype), y: rng.normal(size=(rows, 1)).astype(dtype)}
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), feed)


def _clusters(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return soft clusters: each point is shared out among centres, and the centres are means over the points."""
    graph = gn.Graph(dtype=dtype)
    x, w = graph.placeholder("x", shape=("batch", 4)), graph.parameter("w", rng.normal(size=(4, 3)).astype(dtype))
    shares = gn.softmax(x @ w)
    centres = gn.transpose(shares) @ x / gn.expand_dims(gn.sum(shares, axis=0), 1)
    loss = nn.mean_squared_error(shares @ centres, x)
    points = rng.normal(size=(30, 4)).astype(dtype)
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), {x: points})


def _autoencoder(rng: np.random.Generator, dtype: Any, wide: int, squeezed: bool) -> Setting:
    graph = gn.Graph(dtype=dtype)
    x, t = graph.placeholder("x", shape=("batch", wide)), graph.placeholder("t", shape=("batch", wide))
    h = gn.tanh(nn.Dense(wide // 2 if squeezed else wide + 3, rng=rng)(x))
    loss = nn.mean_squared_error(nn.Dense(wide, rng=rng)(h), t)
    points = rng.normal(size=(40, wide)).astype(dtype)
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), {x: points, t: points.copy()})


def _rivals(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return the step of a critic, with the loss of the generator beside it."""
    graph = gn.Graph(dtype=dtype)
    x, z = graph.placeholder("x", shape=("batch", 3)), graph.placeholder("z", shape=("batch", 2))
    made = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(z)
    critic = nn.Sequential(nn.Dense(8, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))
    true, false = critic(x), critic(gn.stop_gradient(made))
    loss = gn.mean(gn.softplus(-true)) + gn.mean(gn.softplus(false))
    other = gn.mean(gn.softplus(-critic(made)))
    feed = {x: rng.normal(size=(24, 3)).astype(dtype), z: rng.normal(size=(24, 2)).astype(dtype)}
    return Setting(gn.compile([loss, other], nn.Adam(0.003).updates(loss, critic.parameters)), feed)


def _from_zero(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return a training whose last layer begins with zeros, in a shortcut."""
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", shape=("batch", 4)), graph.placeholder("y", shape=("batch", 1))
    h = nn.Dense(8, rng=rng)(x)
    h = h + nn.Dense(8, weight_init=nn.init.zeros(), rng=rng)(gn.tanh(nn.Dense(8, rng=rng)(h)))
    loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(h), y)
    feed = {x: rng.normal(size=(40, 4)).astype(dtype), y: rng.normal(size=(40, 1)).astype(dtype)}
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), feed)


def _with_variance(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return a likelihood of means and deviations, which may be below 0, less the entropy of a choice."""
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", shape=("batch", 4)), graph.placeholder("y", shape=("batch", 1))
    h = gn.tanh(nn.Dense(8, rng=rng)(x))
    spread = graph.parameter("spread", np.zeros(1, dtype))
    chances = gn.softmax(nn.Dense(3, rng=rng)(h))
    entropy = -gn.mean(gn.sum(chances * gn.log(chances + 1e-6), axis=1))
    mean = gn.sum(chances * nn.Dense(3, rng=rng)(h), axis=1, keepdims=True)
    loss = gn.mean(gn.square((y - mean) / gn.exp(spread)) * 0.5) + gn.sum(spread) - 0.01 * entropy
    feed = {x: rng.normal(size=(40, 4)).astype(dtype), y: rng.normal(size=(40, 1)).astype(dtype)}
    return Setting(gn.compile(loss, nn.Adam(0.01).updates(loss)), feed)


def _language(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return a training to tell the next token, with attention that looks back only."""
    graph = gn.Graph(dtype=dtype)
    count, length = int(rng.integers(5, 12)), int(rng.integers(3, 8))
    x = graph.placeholder("x", shape=("batch", length), dtype=np.int64)
    y = graph.placeholder("y", shape=("batch", length), dtype=np.int64)
    h = gn.take(graph.parameter("table", rng.normal(size=(count, 6)).astype(dtype)), x, axis=0)
    queries, keys, values = (nn.Dense(6, rng=rng)(h) for _ in range(3))
    mask = graph.constant(np.where(np.tri(length, dtype=bool), 0.0, -1e9).astype(dtype))
    weights = gn.softmax(queries @ gn.transpose(keys, (0, 2, 1)) * 0.4 + mask)
    loss = nn.softmax_crossentropy(nn.Dense(count, rng=rng)(h + weights @ values), y)
    tokens = rng.integers(0, count, (20, length + 1))
    return Setting(gn.compile(loss, nn.Adam(0.01).updates(loss)), {x: tokens[:, :-1], y: tokens[:, 1:]})


def _experts(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return networks of which a softmax chooses."""
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", shape=("batch", 4)), graph.placeholder("y", shape=("batch", 2))
    gate = gn.softmax(nn.Dense(3, rng=rng)(x))
    made = gn.stack([nn.Dense(2, rng=rng)(gn.tanh(nn.Dense(6, rng=rng)(x))) for _ in range(3)], axis=1)
    balance = gn.sum(gn.square(gn.mean(gate, axis=0)))
    loss = nn.mean_squared_error(gn.sum(gn.expand_dims(gate, 2) * made, axis=1), y) + 0.01 * balance
    feed = {x: rng.normal(size=(40, 4)).astype(dtype), y: rng.normal(size=(40, 2)).astype(dtype)}
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), feed)


def _xor(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return a training that comes to an end soon, at a high rate."""
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", shape=("batch", 2)), graph.placeholder("y", shape=("batch",), dtype=np.int64)
    loss = nn.softmax_crossentropy(nn.Dense(2, rng=rng)(gn.tanh(nn.Dense(8, rng=rng)(x))), y)
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype)
    step = gn.compile([loss, nn.accuracy(loss.graph["dense_1/add"], y)], nn.Adam(0.1).updates(loss))
    return Setting(step, {x: points, y: np.array([0, 1, 1, 0])})


def _averaged(rng: np.random.Generator, dtype: Any) -> Setting:
    """Return a training with a mean of its weights over time, and a metric by that."""
    graph = gn.Graph(dtype=dtype)
    x, y = graph.placeholder("x", shape=("batch", 4)), graph.placeholder("y", shape=("batch", 1))
    w = graph.parameter("w", rng.normal(size=(4, 1)).astype(dtype))
    mean = graph.parameter("mean", w.value.copy(), trainable=False)
    loss = nn.mean_squared_error(x @ w, y)
    updates = nn.SGD(0.05).updates(loss)
    updates[mean] = mean * 0.9 + updates[w] * 0.1
    feed = {x: rng.normal(size=(40, 4)).astype(dtype), y: rng.normal(size=(40, 1)).astype(dtype)}
    return Setting(gn.compile([loss, nn.mean_squared_error(x @ mean, y)], updates), feed)


_OTHERS = (_rivals, _from_zero, _with_variance, _language, _experts, _xor, _averaged)


# --- faults -----------------------------------------------------------------------------------------------------


def negative_penalty(seed: int) -> Setting:
    n = _network(seed)
    ways: list[Callable[[], gn.Node]] = [
        lambda: n.loss - nn.l2(n.layers.parameters, 0.01),
        lambda: n.loss + nn.l2(n.layers.parameters, -0.01),
        lambda: n.loss - 0.02 * gn.sum(gn.square(n.layers.parameters[0])),
        lambda: -0.01 * gn.mean(gn.absolute(n.layers.parameters[0])) + n.loss,
        lambda: n.loss - 0.05 * gn.norm(n.layers.parameters[0]),
    ]
    loss = ways[seed % len(ways)]()
    return Setting(gn.compile(loss, _optimizer(n.rng).updates(loss)), n.feed)


def rate_of_nothing(seed: int) -> Setting:
    n = _network(seed)
    rate = (0.0, 1e-14, 1e-13, 1e-12)[seed % 4]
    return Setting(gn.compile(n.loss, _optimizer(n.rng, rate).updates(n.loss)), n.feed)


def rate_far_off(seed: int) -> Setting:
    n = _network(seed)
    return Setting(gn.compile(n.loss, _optimizer(n.rng, 1e5).updates(n.loss)), n.feed)


def labels_are_inputs(seed: int) -> Setting:
    rng = np.random.default_rng([seed, 8])
    dtype = ("float64", "float32")[seed % 2]
    if seed % 4 == 0:
        return _autoencoder(rng, dtype, int(rng.integers(3, 20)), squeezed=False)
    graph = gn.Graph(dtype=dtype)
    rows, wide = int(rng.integers(16, 60)), int(rng.integers(2, 12))
    if seed % 4 == 1:  # tokens that were not shifted
        count = int(rng.integers(5, 30))
        x = graph.placeholder("x", shape=("batch", wide), dtype=np.int64)
        labels = graph.placeholder("labels", shape=("batch", wide), dtype=np.int64)
        table = graph.parameter("table", rng.normal(size=(count, 6)).astype(dtype))
        loss = nn.softmax_crossentropy(nn.Dense(count, rng=rng)(gn.take(table, x, axis=0)), labels)
        tokens = rng.integers(0, count, (rows, wide))
        return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), {x: tokens, labels: tokens})
    points = rng.normal(size=(rows, wide)).astype(dtype)
    x = graph.placeholder("x", shape=("batch", wide))
    h = gn.tanh(nn.Dense(8, rng=rng)(x))
    column = int(rng.integers(wide))
    if seed % 4 == 2:
        labels = graph.placeholder("labels", shape=("batch", 1))
        loss = nn.mean_squared_error(nn.Dense(1, rng=rng)(h), labels)
        targets: Array = points[:, column : column + 1]
    else:
        labels = graph.placeholder("labels", shape=("batch",), dtype=np.int64)
        loss = nn.softmax_crossentropy(nn.Dense(3, rng=rng)(h), labels)
        targets = rng.integers(0, 3, rows)
        points[:, column] = targets
    return Setting(gn.compile(loss, _optimizer(rng).updates(loss)), {x: points, labels: targets})


def softmax_axis(seed: int) -> Setting:
    rng = np.random.default_rng([seed, 9])
    dtype = ("float64", "float32")[seed % 2]
    if seed % 3 == 2:
        return _pooling(rng, dtype, -1 if seed % 2 else 0)
    return _attention(rng, dtype, (1, 0, -2)[int(rng.integers(3))])


def other_parameters(seed: int) -> Setting:
    n = _network(seed)
    fresh = nn.Sequential(nn.Dense(7, rng=n.rng), nn.Tanh(), nn.Dense(n.made.shape[-1], rng=n.rng))(n.x)
    if n.of_classes:
        metric = nn.accuracy(fresh, n.labels) if seed % 3 else nn.softmax_crossentropy(fresh, n.labels)
    else:
        metric = nn.mean_squared_error(fresh, n.labels)
    return Setting(gn.compile([n.loss, metric], _optimizer(n.rng).updates(n.loss)), n.feed)


def no_gradient(seed: int) -> Setting:
    """Return a training one part of which gets no gradient."""
    n = _network(seed)
    side = nn.Dense(4, rng=n.rng)(n.x)
    stops = (gn.stop_gradient, gn.round, gn.sign, lambda h: h * 0.0)[seed % 4]
    loss = n.loss + 0.1 * gn.mean(gn.square(n.made * (1.0 + gn.mean(stops(side)))))
    chosen = [node for node in n.graph.parameters if node.trainable]
    return Setting(gn.compile(loss, _optimizer(n.rng).updates(loss, chosen)), n.feed)


FAULTY: dict[str, tuple[str, Callable[[int], Any]]] = {
    "weight decay of the wrong sign": ("negative-penalty", negative_penalty),
    "a rate that moves nothing": ("not-moved", rate_of_nothing),
    "a rate far too large": ("large-update", rate_far_off),
    "labels that equal their inputs": ("labels-are-inputs", labels_are_inputs),
    "a softmax over another axis than the sum": ("softmax-axis", softmax_axis),
    "a metric of other parameters": ("other-parameters", other_parameters),
    "a part without a gradient": ("no-gradient", no_gradient),
    "scores that nothing scales": ("unscaled-scores", transformers.faulty("unscaled-scores")),
    "a softmax over the queries": ("softmax-axis", transformers.faulty("softmax-axis")),
    "a mask after the softmax": ("mask-after-softmax", transformers.faulty("mask-after-softmax")),
    "a row that is masked whole": ("row-masked", transformers.faulty("row-masked")),
}
"""Each fault, with the code that must be found and a function that makes such a training from a seed."""
