"""Gradients accumulated over several steps: small batches equal a large one, and a training goes on in the middle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import load, nn, save

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(32, 3)), RNG.integers(0, 3, 32)


class Counting(nn.Layer):
    """The identity, which counts the rows it has seen."""

    def call(self, h: gn.Node) -> gn.Node:
        if not hasattr(self, "seen"):
            self.seen = h.graph.parameter("seen", 0.0, trainable=False)
        h = h * 1.0
        h.graph.advances[self.seen, h] = self.seen + gn.sum(h[:, 0] * 0.0 + 1.0)
        return h


def network(dropout: float = 0.0) -> tuple[gn.Graph, gn.Node]:
    """Return a graph and its loss, with the same weights each time."""
    g, rng = gn.Graph("network"), np.random.default_rng(1)
    x, y = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",), np.int64)
    layers = [nn.Dense(5, rng=rng), nn.Tanh(), Counting(), nn.Dropout(dropout), nn.Dense(3, rng=rng)]
    scores = nn.Sequential(*layers)(x, training=True)
    return g, nn.softmax_crossentropy(scores, y)


def weights(g: gn.Graph) -> list[np.ndarray[Any, Any]]:
    return [node.value for node in g.parameters]


def optimizer() -> nn.Optimizer:
    return nn.AdamW(nn.schedules.step_decay(0.1, every=1, factor=0.5), clip_norm=0.1)


@pytest.mark.each_backend
def test_eight_small_steps_equal_a_large_one() -> None:
    small, loss = network()
    step = gn.compile(loss, optimizer().updates(loss, accumulate=8))
    large, whole = network()
    leap = gn.compile(whole, optimizer().updates(whole))
    for _ in range(3):
        before = weights(small)
        for i in range(8):
            for one, other in zip(weights(small), before, strict=True):
                assert np.array_equal(one, other), "a parameter moved too early"
            step({"x": X[4 * i : 4 * i + 4], "y": Y[4 * i : 4 * i + 4]})
        leap({"x": X, "y": Y})
        for one, other, old in zip(weights(small), weights(large), before, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
            assert not np.array_equal(one, old)
    assert small["adamw_1/step"].value == large["adamw_1/step"].value == 3
    assert small["adamw_1/accumulate/count"].value == 0
    assert small["counting_1/seen"].value == large["counting_1/seen"].value == 96
    for slot in ("mean", "square"):
        name = f"adamw_1/dense_1/weight/{slot}"
        np.testing.assert_allclose(small[name].value, large[name].value, rtol=1e-12)


OPTIMIZERS = [
    each for each in (getattr(nn, name) for name in nn.__all__) if type(each) is type and nn.Optimizer in each.__bases__
]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_accumulates(kind: type[nn.Optimizer]) -> None:
    small, loss = network()
    step = gn.compile(loss, kind().updates(loss, accumulate=2))  # type: ignore[call-arg]
    large, whole = network()
    leap = gn.compile(whole, kind().updates(whole))  # type: ignore[call-arg]
    for _ in range(3):
        step({"x": X[:16], "y": Y[:16]}), step({"x": X[16:], "y": Y[16:]})
        leap({"x": X, "y": Y})
    for one, other in zip(weights(small), weights(large), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


IGNORED = np.where(np.isin(np.arange(32), [1, *range(8, 16), 20, 21, 22]), -1, Y)  # the second of four batches, too
TALLIED: dict[str, Any] = {
    "ignored": lambda scores, y, layers: nn.softmax_crossentropy(scores, y, ignore_index=-1),
    "weighted": lambda scores, y, layers: nn.softmax_crossentropy(
        scores, y, ignore_index=-1, class_weights=[1.0, 2.0, 5.0]
    ),
    "with a penalty": lambda scores, y, layers: (
        nn.softmax_crossentropy(scores, y, ignore_index=-1) + nn.l2(layers.parameters, 0.1)
    ),
    "with a mean": lambda scores, y, layers: (
        nn.softmax_crossentropy(scores, y, ignore_index=-1) + 0.1 * gn.mean(gn.square(scores))
    ),
    "two": lambda scores, y, layers: gn.log(
        nn.softmax_crossentropy(scores, y, ignore_index=-1)
        + nn.softmax_crossentropy(scores * 0.5, gn.maximum(y, 0), class_weights=[1.0, 0.0, 3.0])
    ),
}


def tallied(name: str) -> tuple[gn.Graph, gn.Node]:
    g, rng = gn.Graph(name), np.random.default_rng(1)
    x, y = g.placeholder("x", ("batch", 3)), g.placeholder("y", ("batch",), np.int64)
    layers = nn.Sequential(nn.Dense(5, activation="tanh", rng=rng), nn.Dense(3, rng=rng))
    return g, TALLIED[name](layers(x), y, layers)


@pytest.mark.parametrize("name", TALLIED)
def test_small_steps_of_a_loss_that_tallies_equal_a_large_one(name: str) -> None:
    small, loss = tallied(name)
    step = gn.compile([], optimizer().updates(loss, accumulate=4, loss_scale=nn.LossScale(16.0)))
    large, whole = tallied(name)
    leap = gn.compile([], optimizer().updates(whole))
    before = weights(large)
    for _ in range(3):
        for i in range(0, 32, 8):
            step({"x": X[i : i + 8], "y": IGNORED[i : i + 8]})
        leap({"x": X, "y": IGNORED})
        for one, other in zip(weights(small), weights(large), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(before, weights(small), strict=True))
    kept = [node.name for node in small.updates if node.name.endswith("dense_1/weight/total_2")]
    assert kept == (["adamw_1/accumulate/dense_1/weight/total_2"] if name in ("with a mean", "two") else [])


def test_batches_of_any_sizes_equal_a_large_one_if_the_loss_tallies() -> None:
    small, loss = tallied("weighted")
    step = gn.compile([], optimizer().updates(loss, accumulate=3))
    large, whole = tallied("weighted")
    gn.compile([], optimizer().updates(whole))({"x": X, "y": IGNORED})
    for rows in (slice(0, 3), slice(3, 25), slice(25, 32)):
        step({"x": X[rows], "y": IGNORED[rows]})
    for one, other in zip(weights(small), weights(large), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_another_optimizer_takes_the_sums_of_tallies_away() -> None:
    g, loss = tallied("ignored")
    nn.SGD(0.1).updates(loss, accumulate=2)
    assert any("crossentropy" in node.name for node in g.updates)
    assert nn.SGD(0.1).updates(loss, accumulate=2) == g.updates
    nn.SGD(0.1).updates(loss)
    assert set(g.updates) == set(g.parameters)


def test_a_tally_of_several_numbers_is_not_added_up() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("batch", 2)), g.parameter("w", [1.0, 2.0])
    sums = gn.sum_over_batches(gn.sum(x * w, axis=0), name="sums")
    with pytest.raises(gn.UsageError, match=r'cannot add up "sums", .* it has shape \(2,\), .* add up scalars'):
        nn.SGD(0.1).updates(gn.max(sums), accumulate=2)
    assert nn.SGD(0.1).updates(gn.max(sums))


def test_random_nodes_draw_anew_in_every_step() -> None:
    g, loss = network(0.5)
    weight = g["dense_2/weight"]
    step = gn.compile([loss, gn.grad(loss, weight)], nn.SGD(0.5).updates(loss, accumulate=4))
    before = weight.value
    slopes = [step({"x": X, "y": Y})[1] for _ in range(4)]
    assert g["dropout_1/counter"].value == 4
    assert not np.array_equal(slopes[0], slopes[1])
    np.testing.assert_allclose(before - weight.value, 0.5 * np.mean(slopes, axis=0), rtol=1e-12)


def test_resumed_in_the_middle_it_is_the_same_to_the_bit(tmp_path: Path) -> None:
    def training() -> tuple[gn.Graph, Any]:
        g, loss = network(0.2)
        ema = nn.EMA(0.9, warmup=True)
        scale = nn.LossScale(8.0, interval=2)
        return g, gn.compile(loss, ema.updates(optimizer().updates(loss, accumulate=4, loss_scale=scale)))

    feed, options = {"x": X, "y": Y}, {"epochs": 3, "batch_size": 4}
    straight, step = training()
    nn.fit(step, feed, **options)

    stopped, step = training()
    count = 0

    def interrupted() -> None:
        nonlocal count
        count += 1
        if count == 15:
            raise KeyboardInterrupt

    step.observers.append(interrupted)  # called at the start of each step
    path = tmp_path / "checkpoint"
    history = nn.fit(step, feed, checkpoint=nn.Checkpoint(path, every=7), **options)
    assert history.interrupted
    assert stopped["adamw_1/accumulate/count"].value == 2, "it was written in the middle of an accumulation"

    resumed, step = training()
    nn.fit(step, feed, checkpoint=nn.Checkpoint(path, resume=True), **options)
    assert [node.name for node in resumed.state] == [node.name for node in straight.state]
    for node in straight.state:
        assert np.array_equal(node.value, resumed[node.name].value), node.name


def test_a_graph_saved_in_the_middle_goes_on_alike(tmp_path: Path) -> None:
    g, loss = network()
    g.outputs["loss"] = loss
    step = gn.compile(loss, optimizer().updates(loss, accumulate=3))
    step({"x": X[:9], "y": Y[:9]})
    save(g, tmp_path / "g.gnn")
    other = load(tmp_path / "g.gnn")
    again = gn.compile(other.outputs["loss"], other.updates)
    for _ in range(3):
        assert np.array_equal(step({"x": X, "y": Y}), again({"x": X, "y": Y}))
    assert all(np.array_equal(node.value, other[node.name].value) for node in g.state)


def test_one_step_is_the_plain_update() -> None:
    plain, once = network(), network()
    optimizer().updates(plain[1])
    optimizer().updates(once[1], accumulate=1)
    assert [node.name for node in plain[0]] == [node.name for node in once[0]]


def test_given_gradients_and_groups_accumulate_too() -> None:
    g = gn.Graph()
    w, b, x = g.parameter("w", [1.0, 2.0]), g.parameter("b", 1.0), g.placeholder("x", (2,))
    loss = gn.sum(w * x) + b
    gradients = {w: gn.grad(loss, w), b: gn.grad(loss, b) * 2.0}
    groups = [{"parameters": b, "learning_rate": 1.0}]
    step = gn.compile(loss, nn.SGD(0.5).updates(gradients=gradients, groups=groups, accumulate=2))
    step({x: [1.0, 0.0]}), step({x: [3.0, 4.0]})
    assert (w.value.tolist(), b.value) == ([0.0, 1.0], -1.0)


def test_the_updates_are_in_scopes_of_their_own() -> None:
    g, loss = network()
    nn.SGD(0.1, momentum=0.5).updates(loss, accumulate=2)
    node = g["sgd_1/accumulate/dense_1/weight/total"]
    assert (node.twin, node.phase, node.trainable) == (g["dense_1/weight"], "update", False)
    assert all(each.phase == "update" for each in g if each.name.startswith("sgd_1/"))
    source = gn.draw(g).source
    assert all(word in source for word in ("accumulate", "total", "is_last"))


def test_the_health_check_knows_steps_that_move_nothing() -> None:
    _, loss = network()
    step = gn.compile(loss, nn.SGD(0.1).updates(loss, accumulate=2))
    for _ in range(4):
        health = gn.check_health(step, {"x": X, "y": Y})
        assert not [each for each in (*health.findings, *health.notes) if each.code == "not-moved"]
        step({"x": X, "y": Y})
    still = gn.compile(loss, nn.SGD(0.0).updates(loss, accumulate=2))
    still({"x": X, "y": Y})
    assert [each for each in gn.check_health(still, {"x": X, "y": Y}).findings if each.code == "not-moved"]


@pytest.mark.parametrize("steps", [0, 1.5, True, "4"])
def test_bad_numbers_of_steps(steps: Any) -> None:
    g, loss = network()
    before = len(g)
    with pytest.raises(gn.GraphnnError, match="accumulate= is an int of 1 or more"):
        nn.SGD(0.1).updates(loss, accumulate=steps)
    assert len(g) == before
