"""Averages of the parameters: as nodes of the graph, and evaluated with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, save
from graphnn.io.graph_files import load


def line() -> tuple[gn.Graph, gn.Node, gn.Node, nn.Layer]:
    g = gn.Graph("line")
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch", 1))
    layer = nn.Dense(1, rng=np.random.default_rng(0))
    out = layer(x)
    return g, out, nn.mean_squared_error(out, y), layer


FEED = {"x": np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]]), "y": np.array([[1.0], [0.0], [2.0]])}


@pytest.mark.parametrize(
    ("make", "begins", "kept"),
    [
        (lambda: nn.EMA(0.75), 0.0, lambda n: 0.0 if n == 0 else 0.75),
        (lambda: nn.EMA(0.75, warmup=True), 1.0, lambda n: min(0.75, (1 + n) / (10 + n))),
        (lambda: nn.EMA(lambda n: n / (n + 1.0)), 0.0, lambda n: n / (n + 1)),
        (lambda: nn.EMA(lambda n: 0.5), 1.0, lambda n: 0.5),
    ],
)
def test_the_formulas(make: Callable[[], nn.EMA], begins: float, kept: Callable[[int], float]) -> None:
    g, _, loss, layer = line()
    ema = make()
    step = gn.compile(loss, ema.updates(nn.SGD(0.1).updates(loss)))
    expected = layer.weight.value * begins
    for n in range(30):
        step(FEED)
        expected = kept(n) * expected + (1 - kept(n)) * layer.weight.value
        np.testing.assert_allclose(ema.averages[layer.weight].value, expected, rtol=1e-12)
    assert g["ema_1/decay/step"].value == 30


def test_bias_correction_is_that_of_adam() -> None:
    _, _, loss, layer = line()
    ema = nn.EMA(0.9, bias_correction=True)
    step = gn.compile(loss, ema.updates(nn.SGD(0.1).updates(loss)))
    moment = np.zeros((2, 1))
    for n in range(1, 20):
        step(FEED)
        moment = 0.9 * moment + 0.1 * layer.weight.value
        np.testing.assert_allclose(ema.averages[layer.weight].value, moment / (1 - 0.9**n), rtol=1e-12)


def test_the_averages_are_nodes_with_updates() -> None:
    g, _, loss, layer = line()
    ema = nn.EMA(0.9)
    updates = nn.SGD(0.1).updates(loss)
    both = ema.updates(updates)
    weight = g["ema_1/dense_1/weight/average"]
    assert ema.averages == {layer.weight: weight, layer.bias: g["ema_1/dense_1/bias/average"]}
    assert (weight.twin, weight.phase, weight.trainable) == (layer.weight, "update", False)
    assert both == {**updates, **{node: both[node] for node in (g["ema_1/decay/step"], *ema.averages.values())}}
    assert g.updates == both
    assert g.scopes["ema_1"].kind == "EMA"
    seen = {each.node.name: each.value for each in gn.steps(list(both.values()), FEED)}
    assert np.array_equal(seen["ema_1/dense_1/weight/add"], seen["sgd_1/dense_1/weight/subtract"])
    debugger = gn.debug(gn.compile(loss, both), FEED)
    at = debugger.goto("ema_1/dense_1/weight/add")
    assert at is not None
    assert at.node.twin is layer.weight
    debugger.resume()
    debugger.commit()
    assert np.array_equal(weight.value, layer.weight.value)
    nn.SGD(0.1).updates(loss)
    assert len(g.updates) == 2, "a new optimizer takes the averages of the old one's updates away"


def test_evaluation_with_the_averages() -> None:
    g, out, loss, layer = line()
    ema = nn.EMA(0.9)
    step = gn.compile(loss, ema.updates(nn.SGD(0.1).updates(loss)))
    for _ in range(5):
        step(FEED)
    before = layer.state_dict()
    averaged = FEED["x"] @ ema.averages[layer.weight].value + ema.averages[layer.bias].value
    with ema.applied():
        np.testing.assert_allclose(gn.run(out, FEED), averaged, rtol=1e-13)
    with pytest.raises(RuntimeError, match="within"), ema.applied():
        raise RuntimeError("within")
    assert all(np.array_equal(layer.state_dict()[name], value) for name, value in before.items())
    np.testing.assert_allclose(gn.run(gn.replace(out, ema.averages), {"x": FEED["x"]}), averaged, rtol=1e-13)
    assert g.evaluation == {}
    state = ema.state_dict(layer)
    layer.load_state_dict(state)
    np.testing.assert_allclose(gn.run(out, FEED), averaged, rtol=1e-13)


def test_fit_validates_with_the_averages_if_asked(tmp_path: Path) -> None:
    g, out, loss, layer = line()
    g.outputs["out"] = out
    ema = nn.EMA(0.5, for_evaluation=True)
    step = gn.compile(loss, ema.updates(nn.SGD(0.1).updates(loss)))
    history = nn.fit(step, FEED, epochs=3, batch_size=1, validation=FEED, metrics={"out": gn.mean(out)})
    with ema.applied():
        expected, mean = gn.run([loss, gn.mean(out)], FEED)
    assert np.isclose(history["val_loss"][-1], expected, rtol=1e-12)
    assert np.isclose(history["out"][-1], mean, rtol=1e-12)
    assert not np.isclose(float(gn.run(loss, FEED)), expected, rtol=1e-6)
    save(g, tmp_path / "g.gnn")
    other = load(tmp_path / "g.gnn")
    average = other["ema_1/dense_1/weight/average"]
    assert other.evaluation[other["dense_1/weight"]] is average
    assert np.array_equal(average.value, ema.averages[layer.weight].value)


def test_averages_move_when_their_parameters_do() -> None:
    g = gn.Graph()
    w, b = g.parameter("w", 1.0), g.parameter("b", 1.0)
    slow = nn.SGD(0.25).updates(w * w, accumulate=2)
    fast = nn.SGD(0.25).updates(b * b)
    ema = nn.EMA(0.5)
    step = gn.compile(w, ema.updates({**slow, **fast}))
    averages = [(float(ema.averages[w].value), float(ema.averages[b].value)) for _ in range(4) if step() is not None]
    assert averages == [(1.0, 0.5), (0.5, 0.375), (0.5, 0.25), (0.375, 0.15625)]


def test_two_averages_of_one_parameter() -> None:
    _, _, loss, layer = line()
    short, long = nn.EMA(0.5), nn.EMA(0.99)
    step = gn.compile(loss, long.updates(short.updates(nn.SGD(0.1).updates(loss))))
    step(FEED), step(FEED)
    assert not np.array_equal(short.averages[layer.weight].value, long.averages[layer.weight].value)


def test_errors() -> None:
    g, _, loss, layer = line()
    frozen = g.parameter("frozen", 1.0, trainable=False)
    bad: list[tuple[type[gn.GraphnnError], str, Callable[[], Any]]] = [
        (gn.ValueRangeError, "EMA: decay is 0 or more, and less than 1, not 1", lambda: nn.EMA(1)),
        (gn.UsageError, "EMA: warmup is True or False, not 3", lambda: nn.EMA(0.9, warmup=3)),  # type: ignore[arg-type]
        (gn.UsageError, "three ways to begin", lambda: nn.EMA(0.9, warmup=True, bias_correction=True)),
        (gn.UsageError, "three ways to begin", lambda: nn.EMA(lambda n: 0.9, warmup=True)),
        (gn.UsageError, "updates takes {parameter: node", lambda: nn.EMA().updates(loss)),  # type: ignore[arg-type]
        (gn.UsageError, "of no trainable parameter", lambda: nn.EMA().updates({frozen: frozen * 2.0})),
        (gn.UsageError, "there are no averages yet", lambda: nn.EMA().state_dict(layer)),
    ]
    for kind, words, case in bad:
        with pytest.raises(kind, match=words):
            case()
    assert not g.updates


@pytest.mark.parametrize("returned", [None, 5, float("nan"), "0.9"])
def test_a_decay_that_returns_what_is_no_share_is_refused(returned: object) -> None:
    g = gn.Graph()
    w = g.parameter("w", 1.0)
    updates = nn.SGD(0.1).updates(w * w)
    with pytest.raises(gn.GraphnnError, match="EMA: what decay returns"):
        nn.EMA(lambda count: returned).updates(updates)


def test_one_average_is_of_one_graph() -> None:
    ema, losses = nn.EMA(0.9), [gn.Graph("a").parameter("w", 1.0) ** 2, gn.Graph("b").parameter("w", 1.0) ** 2]
    ema.updates(nn.SGD(0.1).updates(losses[0]))
    with pytest.raises(gn.GraphnnError, match='of "a": make another one for "b"'):
        ema.updates(nn.SGD(0.1).updates(losses[1]))
