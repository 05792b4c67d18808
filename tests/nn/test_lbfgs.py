"""L-BFGS: PyTorch's points, evaluation for evaluation, with a line search and without."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.files import load, save

TORCH = json.loads((Path(__file__).parents[1] / "data" / "torch_adaptive.json").read_text(encoding="utf-8"))
PROBLEM = TORCH["problem"]
X, Y = np.reshape(PROBLEM["x"], (-1, 2)), np.ravel(PROBLEM["y"])
Problem = tuple[gn.Graph, gn.Node, list[gn.Node]]


def bowl() -> Problem:
    g = gn.Graph("bowl")
    features = np.concatenate([X, X**2, 5 * X[:, :1] * X[:, 1:]], axis=1)
    p = g.parameter("p", [3.0, -1.0, 0.5, 2.0, -2.0])
    fit = gn.softplus(-(np.sign(Y) * (g.constant(features) @ p)))
    return g, gn.mean(fit) + 0.05 * gn.sum(gn.square(p)), [p]


def network() -> Problem:
    g = gn.Graph("network")
    x, y = g.constant(X), g.constant(Y)
    w, b, v, s = parameters = [g.parameter(name, PROBLEM[name]) for name in "wbvs"]
    return g, gn.mean(gn.square(gn.tanh(x @ w + b) @ v * s + gn.sin(s) - y)), parameters


def valley(dtype: Any = np.float64) -> Problem:
    g = gn.Graph("valley", dtype=dtype)
    p = g.parameter("p", [-1.2, 1.0, 0.7])
    return g, gn.sum(100.0 * gn.square(p[1:] - gn.square(p[:-1])) + gn.square(1.0 - p[:-1])), [p]


SEARCH: dict[str, Any] = {"line_search": "strong_wolfe"}
SHORT: dict[str, Any] = {"learning_rate": 0.1, "history_size": 2, **SEARCH}

# The same as in data/make_torch_adaptive.py.
SAME: dict[str, tuple[Callable[[], Problem], dict[str, Any]]] = {
    "bowl": (bowl, {"learning_rate": 0.5}),
    "bowl_short": (bowl, {"learning_rate": 0.3, "history_size": 3}),
    "bowl_search": (bowl, SEARCH),
    "bowl_search_short": (bowl, SHORT),
    "network": (network, {"learning_rate": 0.3}),
    "network_search": (network, SEARCH),
    "network_search_short": (network, SHORT),
    "valley_search": (valley, SEARCH),
    "valley_search_short": (valley, SHORT),
}


def at(parameters: list[gn.Node]) -> np.ndarray:
    return np.concatenate([np.ravel(p.value) for p in parameters])


def test_every_case_of_the_data_is_tested() -> None:
    cases = {name: case for name, case in TORCH["cases"].items() if name.startswith("lbfgs")}
    assert {f"lbfgs_{name}" for name in SAME} == cases.keys()
    assert [case["sure"] for name, case in cases.items() if "bowl" in name] == [50] * 4
    assert sum(case["sure"] for case in cases.values()) > 290


@pytest.mark.parametrize("name", SAME)
def test_fifty_iterations_equal_pytorchs(name: str) -> None:
    case = TORCH["cases"][f"lbfgs_{name}"]
    make, settings = SAME[name]
    _, loss, parameters = make()
    step = gn.compile([], nn.LBFGS(**settings).updates(loss))
    done = 0
    before = at(parameters)
    for k, expected in enumerate(case["at"][: case["sure"]], start=1):
        # PyTorch evaluates the point at which it stands once more in each iteration.
        until = case["evaluations"][k - 1] - k + 1 if "search" in name else k
        while done < until:
            np.testing.assert_array_equal(at(parameters), before, err_msg=f"iteration {k} ended too early")
            step()
            done += 1
        np.testing.assert_allclose(at(parameters), expected, rtol=1e-10, atol=1e-12, err_msg=f"iteration {k}")
        before = at(parameters)


def test_a_search_never_leaves_the_parameters_at_a_worse_point() -> None:
    _, loss, _ = valley()
    step = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss))
    losses = [float(step()) for _ in range(110)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-9


def test_in_float32_it_converges_and_stays_float32() -> None:
    g, loss, parameters = valley(np.float32)
    updates = nn.LBFGS(**SEARCH).updates(loss)
    step = gn.compile(loss, updates)
    for _ in range(110):
        step()
    np.testing.assert_allclose(at(parameters), 1.0, atol=1e-2)
    assert {node.dtype.name for node in updates} == {"float32", "int64", "bool"}
    assert g.parameters == tuple(parameters)


def test_parameters_of_two_dtypes() -> None:
    g = gn.Graph()
    a, b = g.parameter("a", np.array([1.0, 2.0], np.float32)), g.parameter("b", np.array(3.0))
    loss = gn.sum(gn.square(a)) + gn.square(b - 1.0)
    step = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss))
    for _ in range(12):
        step()
    np.testing.assert_allclose(a.value, 0.0, atol=1e-6)
    np.testing.assert_allclose(b.value, 1.0, atol=1e-6)
    assert a.value.dtype == np.float32


def test_at_a_minimum_nothing_moves() -> None:
    g = gn.Graph()
    w = g.parameter("w", [1.0, -2.0])
    target = g.placeholder("target", (2,))
    loss = gn.sum(gn.square(w - target))
    for settings in ({}, SEARCH):
        w.value = [1.0, -2.0]
        step = gn.compile(loss, nn.LBFGS(**settings).updates(loss), guard="nan")
        for _ in range(3):
            step({target: [1.0, -2.0]})
        np.testing.assert_array_equal(w.value, [1.0, -2.0])
        for _ in range(8):
            step({target: [0.0, 5.0]})  # and it goes on where the loss is another
        np.testing.assert_allclose(w.value, [0.0, 5.0], atol=1e-6)


def test_a_search_turns_back_from_where_the_loss_is_nan() -> None:
    g = gn.Graph()
    w = g.parameter("w", 3.0)
    loss = w - gn.log(w)  # the first point of the second search would be below 0
    step = gn.compile(loss, nn.LBFGS(10.0, **SEARCH).updates(loss))
    for _ in range(30):
        step()
    assert float(w.value) == pytest.approx(1.0, abs=1e-4)


def test_a_search_gives_up_after_some_tries() -> None:
    g = gn.Graph()
    w = g.parameter("w", 1.0)
    loss = gn.exp(-w)  # falls for ever, ever more slowly
    step = gn.compile(loss, nn.LBFGS(1e-6, most_tries=2, **SEARCH).updates(loss))
    seen = [float(step()) for _ in range(20)]
    assert 3 <= len(set(seen)) < 20
    assert seen == sorted(seen, reverse=True)


def test_a_run_resumed_within_a_search_equals_the_straight_one(tmp_path: Path) -> None:
    straight, loss, _ = valley()
    loss.graph.outputs["loss"] = loss
    step = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss))
    step()
    while straight["lbfgs_1/phase"].value != 2:  # zooming
        step()
    save(straight, tmp_path / "g.gnn")
    other = load(tmp_path / "g.gnn")
    resumed = gn.compile(other.outputs["loss"], other.updates)
    for _ in range(12):
        step()
        resumed()
    for node in straight.state:
        np.testing.assert_array_equal(node.value, other[node.name].value)


def test_dropout_and_batch_norm_are_tried_with_the_same_numbers() -> None:
    g = gn.Graph()
    layers = nn.Sequential(nn.Dense(4, rng=np.random.default_rng(0)), nn.BatchNorm(), nn.Dropout(0.5), nn.Dense(1))
    loss = nn.mean_squared_error(layers(g.constant(X), training=True)[:, 0], g.constant(Y))
    step = gn.compile(loss, nn.LBFGS(0.1).updates(loss))
    searching = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss))
    trial = next(node for node in g if node.scope == "lbfgs_2/trial" and node.shape == ())
    assert gn.run(trial) == pytest.approx(gn.run(loss)), "the first trial is where the parameters are"
    assert np.isfinite([float(step()), float(searching())]).all()


def test_its_nodes() -> None:
    g, loss, (w, *_) = network()
    updates = nn.LBFGS(nn.schedules.step_decay(1.0, 10), **SEARCH).updates(loss)
    assert updates[w].name == "lbfgs_1/w/add"
    assert updates[w].twin is w
    kept = {node.name.removeprefix("lbfgs_1/"): node.shape for node in updates if node.name.startswith("lbfgs_1/")}
    assert kept == {
        **dict.fromkeys(("step", "phase", "tries", "stuck", "length", "history/iteration", "history/scale"), ()),
        **dict.fromkeys(("history/moves", "history/changes"), (10, 9)),
        "history/products": (10, 10),
        "direction": (9,),
        "start": (12,),
        "bracket": (2, 12),
    }
    assert all(node.phase != "forward" for node in g if node.name.startswith("lbfgs_1/"))
    optimizer = nn.SGD(0.1)
    assert g.updates.keys() == updates.keys()
    optimizer.updates(loss)
    assert [node.name for node in g.updates] == list("wbvs"), "nothing of it is left behind"


def test_reset() -> None:
    _, loss, parameters = bowl()
    optimizer = nn.LBFGS(**SEARCH)
    step = gn.compile(loss, optimizer.updates(loss))
    first = at(parameters)
    losses = [float(step()) for _ in range(6)]
    parameters[0].value = first
    optimizer.reset()
    assert [float(step()) for _ in range(6)] == losses


def test_what_it_refuses() -> None:
    _, loss, (p,) = valley()
    d = gn.grad(loss, p)
    for given, name in (
        ({"gradients": {p: d}}, "gradients"),
        ({"loss": loss, "groups": [{"parameters": p}]}, "groups"),
        ({"loss": loss, "accumulate": 2}, "accumulate"),
        ({"loss": loss, "loss_scale": 8.0}, "loss_scale"),
    ):
        with pytest.raises(gn.UsageError, match=f"{name}= is not for LBFGS"):
            nn.LBFGS().updates(**given)
    with pytest.raises(gn.UsageError, match="updates are made for a loss"):
        nn.LBFGS().updates()
    with pytest.raises(gn.ShapeError, match="grad needs a scalar"):
        nn.LBFGS(**SEARCH).updates(p)
    with pytest.raises(gn.ValueRangeError, match="line_search is one of None, 'strong_wolfe', not 'armijo'"):
        nn.LBFGS(line_search="armijo")
    with pytest.raises(gn.ValueRangeError, match="history_size is an int of 1 or more"):
        nn.LBFGS(history_size=0)
    with pytest.raises(TypeError, match="clip_norm"):
        nn.LBFGS(clip_norm=1.0)  # type: ignore[call-arg]
