"""Updates that belong to nodes: a step that evaluates the node makes them, whether it reads the parameter or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

RNG = np.random.default_rng(7)
A, B = RNG.normal(size=(6, 3)), RNG.normal(size=(4, 3)) * 2 + 1


class Counted(nn.Layer):
    """Adds up what it has seen in training."""

    total: gn.Node | None = None

    def call(self, x: gn.Node, training: bool = False) -> gn.Node:
        if self.total is None:
            self.total = x.graph.parameter("total", 0.0, trainable=False)
        y = x * 2.0
        if training:
            x.graph.advances[self.total, y] = self.total + gn.sum(x)
        return y


def twice(layer: nn.Layer) -> tuple[gn.Graph, gn.Node, gn.Node]:
    g = gn.Graph()
    a, b = g.placeholder("a", ("m", 3)), g.placeholder("b", ("n", 3))
    return g, gn.sum(layer(a, training=True)), gn.sum(gn.square(layer(b, training=True)))


def moved(running: Any, found: Any, momentum: float = 0.1) -> Any:
    return (1 - momentum) * running + momentum * found


def test_a_layer_of_ones_own_keeps_statistics_by_one_line() -> None:
    layer = Counted()
    x = gn.Graph().placeholder("x", ("batch",))
    step = gn.compile(layer(x, training=True), updates={})
    assert layer.total is not None
    for expected in (3.0, 6.0, 9.0):
        step({x: [1.0, 2.0]})
        assert layer.total.value == expected
    gn.compile(layer(x), updates={})({x: [1.0]})
    gn.compile(layer(x, training=True))({x: [1.0]})
    gn.run(layer(x, training=True), {x: [1.0]})
    assert layer.total.value == 9.0


@pytest.mark.parametrize("backend", ["interpreter", "numpy"])
def test_the_calls_of_a_step_compose_in_order_and_only_those_that_it_evaluates(backend: str) -> None:
    layer = nn.BatchNorm()
    _, first, second = twice(layer)
    mean, var = layer.running_mean, layer.running_var
    assert mean is not None
    assert var is not None
    both = gn.compile([second, first], updates={}, backend=backend)
    one, other = (gn.compile(node, updates={}, backend=backend) for node in (first, second))
    expected_mean: Any = np.zeros(3)
    expected_var: Any = np.ones(3)
    for step, seen in ((both, [A, B]), (one, [A]), (other, [B]), (both, [A, B]), (both, [A, B])):
        step({"a": A, "b": B} if len(seen) == 2 else {"a" if seen[0] is A else "b": seen[0]})
        for array in seen:
            expected_mean = moved(expected_mean, array.mean(0))
            expected_var = moved(expected_var, array.var(0, ddof=1))
        np.testing.assert_allclose(mean.value, expected_mean, rtol=1e-13)
        np.testing.assert_allclose(var.value, expected_var, rtol=1e-13)


def test_compiling_again_makes_no_node_twice() -> None:
    g, first, second = twice(nn.BatchNorm())
    gn.compile([first, second], updates={})
    count = len(g)
    gn.compile([second, first], updates={})
    assert len(g) == count


def test_what_is_evaluated_only_for_an_update_has_updates_of_its_own() -> None:
    layer = nn.BatchNorm()
    x = gn.Graph().placeholder("x", ("batch", 3))
    w = x.graph.parameter("w", 0.0)
    step = gn.compile(w, updates={w: gn.sum(layer(x, training=True))})
    step({x: A})
    assert layer.running_mean is not None
    np.testing.assert_allclose(layer.running_mean.value, 0.1 * A.mean(0), rtol=1e-13)


def test_a_step_makes_them_that_evaluates_gradients_alone() -> None:
    layer = nn.BatchNorm()
    x = gn.Graph().placeholder("x", ("batch", 3))
    y = layer(x, training=True)
    assert layer.running_var is not None
    step = gn.compile(gn.grad(gn.sum(gn.square(y)), [x]), updates={})
    step({x: A})
    np.testing.assert_allclose(layer.running_var.value, moved(1.0, A.var(0, ddof=1)), rtol=1e-13)


def test_updates_that_are_given_go_before() -> None:
    layer = nn.BatchNorm()
    x = gn.Graph().placeholder("x", ("batch", 3))
    y = layer(x, training=True)
    mean = layer.running_mean
    assert mean is not None
    gn.compile(y, updates={mean: mean + 5.0})({x: A})
    np.testing.assert_array_equal(mean.value, [5.0, 5.0, 5.0])


def test_the_second_call_is_computed_from_the_values_that_the_first_leaves() -> None:
    g = gn.Graph()
    x = g.placeholder("x")
    low, high = g.parameter("low", 1.0, trainable=False), g.parameter("high", 10.0, trainable=False)
    calls = [x * 2.0, x * 3.0]
    for call in calls:  # each reads both, and what the call has computed is not computed again
        g.advances[low, call] = low + high
        g.advances[high, call] = high * 2.0 + call
    step = gn.compile(calls, updates={})
    step({x: 1.0})
    first = 1.0 + 10.0, 10.0 * 2.0 + 2.0
    assert (low.value, high.value) == (first[0] + first[1], first[1] * 2.0 + 3.0)


@pytest.mark.parametrize("way", ["extract", "replace", "file", "networkx", "nodes"])
def test_copies_of_a_graph_keep_them(way: str, tmp_path: Path) -> None:
    layer = nn.BatchNorm()
    g, first, second = twice(layer)
    loss = gn.add(first, second, name="loss")
    if way == "extract":
        copy = gn.extract(loss)
    elif way == "replace":
        copy = gn.replace(loss, {"a": g.placeholder("c", ("m", 3))}, graph=g).graph
    elif way == "networkx":
        copy = gn.Graph.from_networkx(g.dag)
    else:
        gn.save(g if way == "file" else loss, tmp_path / "net.gnn")
        copy = gn.load(tmp_path / "net.gnn")
    feed = {"c" if way == "replace" else "a": A, "b": B}
    gn.compile("loss", updates={}, graph=copy)(feed)
    np.testing.assert_allclose(
        copy["batch_norm_1/running_mean"].value, moved(moved(0.0, A.mean(0)), B.mean(0)), rtol=1e-13
    )
    assert len(copy.advances) == 4
    alone = gn.extract("batch_norm_1_2/mean", graph=g)
    assert len(alone.advances) == 2
    assert len(gn.extract("a", graph=g).advances) == 0


@pytest.mark.parametrize(
    ("key", "words"),
    [(("w", "w", "w"), "what is updated is a node, not tuple"), (("w", 5), 'update of "w" belongs to is a node')],
)
def test_an_update_that_belongs_to_nothing_is_refused(key: Any, words: str) -> None:
    g = gn.Graph()
    w = g.parameter("w", 1.0)
    with pytest.raises(gn.UsageError, match=words):
        g.advances[key] = w * 2.0


def test_fit_validates_by_running_statistics() -> None:
    x = RNG.normal(size=(32, 3)) * 3 + 2
    y = (x[:, 0] > 2).astype(np.int64)
    g = gn.Graph()
    inputs, labels = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",), np.int64)
    norm = nn.BatchNorm()
    network = nn.Sequential(norm, nn.Dense(4, rng=np.random.default_rng(0)), nn.BatchNorm(), nn.ReLU(), nn.Dense(2))
    scores = network(inputs, training=True)
    loss = nn.softmax_crossentropy(scores, labels)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss))
    history = nn.fit(step, {inputs: x, labels: y}, epochs=3, batch_size=8, validation={inputs: x, labels: y})
    evaluated = nn.softmax_crossentropy(network(inputs), labels)
    before = norm.state_dict()
    expected = gn.run(evaluated, {inputs: x, labels: y})
    assert history["val_loss"][-1] == pytest.approx(float(expected), rel=1e-12)
    assert float(nn.evaluate(loss, {inputs: x, labels: y}, batch_size=8)) == pytest.approx(float(expected), rel=1e-12)
    assert before.keys() == {"weight", "bias", "running_mean", "running_var"}
    np.testing.assert_array_equal(before["running_mean"], norm.state_dict()["running_mean"])
    assert norm.running_mean is not None
    rows = np.random.default_rng(0)
    moving: Any = np.zeros(3)
    for _ in range(3):
        order = rows.permutation(32)
        for start in range(0, 32, 8):
            moving = moved(moving, x[order[start : start + 8]].mean(0))
    np.testing.assert_allclose(norm.running_mean.value, moving, rtol=1e-12)


def test_one_row_has_no_variance() -> None:
    layer = nn.BatchNorm()
    x = gn.Graph().placeholder("x", ("batch", 3))
    gn.compile(layer(x, training=True), updates={})({x: A[:1]})
    assert layer.running_var is not None
    np.testing.assert_allclose(layer.running_var.value, 0.9)


def test_a_training_that_is_resumed_keeps_the_statistics_to_the_bit(tmp_path: Path) -> None:
    x, y = RNG.normal(size=(20, 3)), RNG.integers(0, 2, 20)

    def trained(epochs: int, **settings: Any) -> dict[str, Any]:
        g = gn.Graph()
        inputs, labels = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",), np.int64)
        network = nn.Sequential(nn.BatchNorm(), nn.Dropout(0.2), nn.Dense(2))
        loss = nn.softmax_crossentropy(network(inputs, training=True), labels)
        step = gn.compile(loss, nn.Adam(0.01).updates(loss))
        nn.fit(step, {inputs: x, labels: y}, epochs=epochs, batch_size=8, **settings)
        return network.state_dict()

    whole = trained(4)
    trained(2, checkpoint=tmp_path / "half.gnn")
    resumed = trained(4, checkpoint=nn.Checkpoint(tmp_path / "half.gnn", resume=True))
    assert whole["0.running_mean"].any()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name])
