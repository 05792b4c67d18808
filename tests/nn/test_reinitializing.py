"""`layer.reinitialize` makes a layer what it would be if it were new; `optimizer.reset` does so for what is kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.errors import UsageError

IMAGE, ROWS, SEQUENCE = ("batch", 3, 8, 8), ("batch", 6), ("batch", 5, 6)
LAYERS: dict[str, tuple[Callable[[Any], nn.Layer], tuple[Any, ...]]] = {
    "dense": (lambda rng: nn.Dense(4, rng=rng), ROWS),
    "initializers": (
        lambda rng: nn.Dense(4, weight_init=nn.init.orthogonal(), bias_init=nn.init.normal(), rng=rng),
        ROWS,
    ),
    "prelu": (lambda rng: nn.PReLU(6, slope_init=nn.init.uniform(), rng=rng), ROWS),
    "convolution": (lambda rng: nn.Conv2D(4, 3, rng=rng), IMAGE),
    "transposed": (lambda rng: nn.ConvTranspose2D(4, 3, rng=rng), IMAGE),
    "lstm": (lambda rng: nn.LSTM(4, layers=2, bidirectional=True, rng=rng), SEQUENCE),
    "attention": (lambda rng: nn.MultiHeadAttention(2, rng=rng), SEQUENCE),
    "block": (lambda rng: nn.TransformerBlock(2, 8, rng=rng), SEQUENCE),
    "sequential": (lambda rng: nn.Sequential(nn.Dense(5, rng=rng), nn.ReLU(), nn.Dense(2, rng=rng)), ROWS),
}


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_is_as_if_it_were_made_with_the_generator(case: str) -> None:
    make, shape = LAYERS[case]
    layer, other = make(np.random.default_rng(1)), make(np.random.default_rng(2))
    for each in (layer, other):
        each(gn.Graph().placeholder("x", shape))
    layer.reinitialize(np.random.default_rng(2))
    assert layer.state_dict().keys() == other.state_dict().keys()
    for name, value in layer.state_dict().items():
        assert np.array_equal(value, other.state_dict()[name]), name


class Scaled(nn.Layer):
    """A layer with a parameter made of an array, and another that it makes later."""

    def __init__(self) -> None:
        self.inner = nn.Dense(3, bias=[1.0, 2.0, 3.0], rng=np.random.default_rng(0))
        self.scale: gn.Node | None = None
        self.late: list[gn.Node] = []

    def call(self, x: Any, training: bool = False) -> Any:
        if self.scale is None:
            self.scale = x.graph.parameter("scale", [1.0, -1.0, 0.5])
        if training and not self.late:
            self.late.append(x.graph.parameter("late", 2.0))
        return self.inner(x) * self.scale * (self.late[0] if self.late else 1.0)


@pytest.mark.each_backend
def test_what_no_initializer_draws_has_its_first_value_again() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    scaled, norm, dropout = Scaled(), nn.BatchNorm(), nn.Dropout(0.5)
    network = nn.Sequential(norm, scaled, dropout)
    network(x)
    loss = gn.mean(gn.square(network(x, training=True)))
    first = {node: node.value.copy() for node in g.state}
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    for seed in range(3):
        step({x: np.random.default_rng(seed).normal(size=(4, 3))})
    changed = [node for node in first if not np.array_equal(node.value, first[node])]
    assert len(changed) == len(first) == 9, "scale, late, weight, bias, four of the norm, and the counter"
    network.reinitialize(np.random.default_rng(9))
    assert scaled.inner.weight is not None
    for node, value in first.items():
        assert np.array_equal(node.value, value) == (node is not scaled.inner.weight), node.name


@pytest.mark.parametrize(
    "make", [lambda: nn.SGD(0.1, momentum=0.9), lambda: nn.Adam(0.1), lambda: nn.Adagrad(initial=0.5)]
)
def test_an_optimizer_that_is_reset_does_what_a_new_one_does(make: Callable[[], nn.Optimizer]) -> None:
    def trained() -> tuple[Any, Any, Any]:
        g = gn.Graph()
        w = g.parameter("w", [3.0, -2.0, 1.0])
        optimizer = make()
        return w, optimizer, gn.compile(w, optimizer.updates(gn.sum(gn.square(w)), groups=[]))

    w, optimizer, step = trained()
    for _ in range(4):
        step()
    optimizer.reset()
    w.value = [3.0, -2.0, 1.0]
    again = [step() for _ in range(4)]
    _, _, fresh = trained()
    for value in again:
        assert np.array_equal(value, fresh())


def test_a_learning_rate_that_was_assigned_stays() -> None:
    w = gn.Graph().parameter("w", 1.0)
    optimizer = nn.SGD(0.1, momentum=0.5)
    optimizer.updates(w * w)
    optimizer.learning_rate = 0.01
    optimizer.reset()
    assert optimizer.learning_rate == 0.01


class Lock:
    """A lock that notes which values a parameter has when it is taken, and when it is given back."""

    def __init__(self, parameter: gn.Node) -> None:
        self.parameter, self.seen = parameter, list[float]()

    def __enter__(self) -> None:
        self.seen.append(float(self.parameter.value.ravel()[0]))

    def __exit__(self, *_: object) -> None:
        self.__enter__()


def test_no_step_goes_on_while_the_state_is_set_back() -> None:
    g = gn.Graph()
    layer = nn.Dense(1, weight=[[2.0]])
    loss = gn.mean(gn.square(layer(g.placeholder("x", ("n", 1)))))
    optimizer = nn.SGD(0.1, momentum=0.9)
    step = gn.compile(loss, optimizer.updates(loss))
    step({"x": [[1.0]]})
    velocity, state = g["sgd_1/dense_1/weight/velocity"], layer.state_dict()
    assert layer.weight is not None
    after = float(layer.weight.value[0, 0])
    cases: list[tuple[gn.Node, Callable[[], None], list[float]]] = [
        (velocity, optimizer.reset, [4.0, 0.0]),
        (layer.weight, lambda: layer.reinitialize(np.random.default_rng(0)), [after, 2.0]),
        (layer.weight, lambda: layer.load_state_dict(state), [2.0, after]),
    ]
    for parameter, act, seen in cases:
        lock = g.caches["updating"] = Lock(parameter)
        act()
        assert lock.seen == seen


def test_a_layer_in_two_places_is_drawn_once() -> None:
    shared = nn.Dense(6)
    network = nn.Sequential(shared, nn.ReLU(), shared)
    network(gn.Graph().placeholder("x", ROWS))
    network.reinitialize(np.random.default_rng(3))
    alone = nn.Dense(6, rng=np.random.default_rng(3))
    alone(gn.Graph().placeholder("x", ROWS))
    assert shared.weight is not None
    assert alone.weight is not None
    assert np.array_equal(shared.weight.value, alone.weight.value)


def test_what_is_refused() -> None:
    layer = nn.Dense(2)
    with pytest.raises(UsageError, match="Dense has no parameters yet"):
        layer.reinitialize(np.random.default_rng(0))
    layer(gn.Graph().placeholder("x", ROWS))
    for wrong in (None, 7):
        with pytest.raises(UsageError, match=r"np.random.default_rng\((seed|7)\) makes one"):
            layer.reinitialize(wrong)  # type: ignore[arg-type]
