"""L-BFGS: PyTorch's points, evaluation for evaluation, with a line search and without."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import load, nn, save

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
    "bowl_schedule": (bowl, {"learning_rate": nn.schedules.step_decay(0.8, 3, 0.5)}),
    "bowl_search_schedule": (bowl, {"learning_rate": nn.schedules.step_decay(0.3, 5, 0.5), **SEARCH}),
    "valley_search": (valley, SEARCH),
    "valley_search_short": (valley, SHORT),
}


def at(parameters: list[gn.Node]) -> np.ndarray:
    return np.concatenate([np.ravel(p.value) for p in parameters])


def test_every_case_of_the_data_is_tested() -> None:
    cases = {name: case for name, case in TORCH["cases"].items() if name.startswith("lbfgs")}
    assert {f"lbfgs_{name}" for name in SAME} == cases.keys()
    assert [case["sure"] for name, case in cases.items() if "bowl" in name] == [50] * 6
    assert sum(case["sure"] for case in cases.values()) > 390


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
    step = gn.compile(loss, nn.LBFGS(1e-6, max_evaluations=2, **SEARCH).updates(loss))
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
    assert updates[w].name == "lbfgs_1/w/where"
    assert updates[w].twin is w
    kept = {node.name.removeprefix("lbfgs_1/"): node.shape for node in updates if node.name.startswith("lbfgs_1/")}
    assert kept == {
        **dict.fromkeys(("iteration", "phase", "tries", "stuck", "length", "history/scale"), ()),
        **dict.fromkeys(("history/moves", "history/changes"), (10, 9)),
        "history/products": (10, 10),
        **dict.fromkeys(("direction", "at"), (9,)),
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


# --- groups, given gradients, small batches, scaled losses ------------------------------------------------------


def in_batches() -> tuple[gn.Graph, gn.Node, list[gn.Node]]:
    """Return `network` for batches that are fed."""
    g = gn.Graph("network")
    x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",))
    w, b, v, s = parameters = [g.parameter(name, PROBLEM[name]) for name in "wbvs"]
    return g, gn.mean(gn.square(gn.tanh(x @ w + b) @ v * s + gn.sin(s) - y)), parameters


def equals_pytorch(name: str, step: Callable[[], Any], parameters: list[gn.Node], most: int = 8) -> None:
    case = TORCH["cases"][f"lbfgs_{name}"]
    done = 0
    for k, expected in enumerate(case["at"][: min(most, case["sure"])], start=1):
        until = case["evaluations"][k - 1] - k + 1 if "search" in name else k
        while done < until:
            step()
            done += 1
        np.testing.assert_allclose(at(parameters), expected, rtol=1e-9, atol=1e-11, err_msg=f"iteration {k}")


@pytest.mark.parametrize("name", ["network", "network_search", "network_search_short"])
def test_small_batches_do_what_the_large_one_does(name: str) -> None:
    _, loss, parameters = in_batches()
    step = gn.compile([], nn.LBFGS(**SAME[name][1]).updates(loss, accumulate=4))

    def evaluate() -> None:
        before = at(parameters)
        for i in range(4):
            np.testing.assert_array_equal(at(parameters), before)
            step({"x": PROBLEM["x"][i], "y": PROBLEM["y"][i]})

    equals_pytorch(name, evaluate, parameters)


def test_small_batches_of_a_tallied_loss_do_what_the_large_one_does() -> None:
    def logistic(accumulate: int) -> tuple[Any, gn.Node]:
        g = gn.Graph()
        x, y = g.placeholder("x", ("batch", 2)), g.placeholder("y", ("batch",), np.int64)
        w = g.parameter("w", np.zeros((2, 3)))
        loss = nn.softmax_crossentropy(x @ w, y, ignore_index=-1) + nn.l2([w], 0.1)
        return gn.compile([], nn.LBFGS(**SEARCH).updates(loss, accumulate=accumulate)), w

    labels = np.where(np.arange(20) < 8, -1, np.arange(20) % 3)
    (small, w), (large, whole) = logistic(4), logistic(1)
    for _ in range(12):
        for i in range(4):
            small({"x": X[5 * i : 5 * i + 5], "y": labels[5 * i : 5 * i + 5]})
        large({"x": X, "y": labels})
        np.testing.assert_allclose(w.value, whole.value, rtol=1e-9, atol=1e-12)
    assert np.abs(w.value).max() > 0.1


@pytest.mark.parametrize("name", ["network", "bowl_search"])
@pytest.mark.parametrize("scale", [64.0, nn.LossScale(64.0)])
def test_a_scale_of_the_loss_changes_nothing(name: str, scale: Any) -> None:
    make, settings = SAME[name]
    _, loss, parameters = make()
    step = gn.compile([], nn.LBFGS(**settings).updates(loss, loss_scale=scale))
    equals_pytorch(name, step, parameters)


@pytest.mark.parametrize("settings", [{}, SEARCH])
def test_in_float16_it_moves_copies_in_float32(settings: dict[str, Any]) -> None:
    g = gn.Graph(dtype=np.float16)
    w = g.parameter("w", [2.0, -3.0])
    loss = gn.sum(gn.square(gn.cast(w, "float32") - [0.1, 0.2]))
    step = gn.compile(loss, nn.LBFGS(**settings).updates(loss, loss_scale=nn.LossScale(64.0)))
    losses = [float(step()) for _ in range(8)]
    np.testing.assert_allclose(g["lbfgs_1/w/precise"].value, [0.1, 0.2], atol=1e-4)
    assert losses[-1] < 1e-6
    assert {node.dtype.name for node in g.parameters} == {"float16"}


def test_a_point_whose_gradient_overflows_is_tried_again_with_a_smaller_scale() -> None:
    g = gn.Graph(dtype=np.float16)
    w = g.parameter("w", [30.0, -20.0])
    loss = gn.sum(gn.square(gn.cast(w, "float32")))
    step = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss, loss_scale=nn.LossScale(2.0**15, backoff=0.25)))
    with pytest.warns(gn.GraphnnWarning, match="overflows float16"):
        step()
    assert (g["loss_scale_1/scale"].value, g["lbfgs_1/phase"].value) == (2.0**13, 0)
    losses = [float(step()) for _ in range(10)]
    assert losses[-1] < 1e-6


def test_given_gradients() -> None:
    _, loss, parameters = network()
    gradients = dict(zip(parameters, gn.grad(loss, parameters), strict=True))
    step = gn.compile([], nn.LBFGS(0.3).updates(gradients=gradients))
    equals_pytorch("network", step, parameters)


def test_groups_that_change_nothing() -> None:
    g, loss, parameters = network()
    groups = [{"parameters": ["w", "s"], "learning_rate": 0.3, "name": "first"}, {"parameters": "b"}]
    step = gn.compile([], nn.LBFGS(0.3).updates(loss, groups=groups))
    assert g["lbfgs_1/first/learning_rate"].value == 0.3
    equals_pytorch("network", step, parameters)


@pytest.mark.parametrize("settings", [{"learning_rate": 0.3}, SEARCH])
def test_a_frozen_group_stays(settings: dict[str, Any]) -> None:
    _, loss, parameters = network()
    step = gn.compile([], nn.LBFGS(**settings).updates(loss, groups=[{"parameters": "v", "trainable": False}]))
    _, other, others = network()
    chosen = gn.compile([], nn.LBFGS(**settings).updates(other, [*"wbs"]))
    for _ in range(10):
        step(), chosen()
        np.testing.assert_array_equal(at(parameters), at(others))


def two_loops(gradient: Any, moves: list[Any], changes: list[Any]) -> Any:
    """Return the direction by the two loops of the paper."""
    q, shares = -gradient, []
    for s, y in zip(moves[::-1], changes[::-1], strict=True):
        shares.append((s @ q) / (y @ s))
        q = q - shares[-1] * y
    q = q * (moves[-1] @ changes[-1]) / (changes[-1] @ changes[-1]) if moves else q
    for s, y, share in zip(moves, changes, shares[::-1], strict=True):
        q = q + (share - (y @ q) / (y @ s)) * s
    return q


def test_groups_with_rates_of_their_own() -> None:
    scale = np.array([1.0, 3.0, 0.5, 2.0])
    g = gn.Graph()
    a, b = g.parameter("a", [1.0, -2.0]), g.parameter("b", [3.0, 0.5])
    loss = gn.sum(scale[:2] * gn.square(a)) + gn.sum(scale[2:] * gn.square(b)) + gn.sum(a) * 0.3
    groups = [{"parameters": b, "learning_rate": nn.schedules.step_decay(0.4, 2, 0.5)}]
    step = gn.compile([], nn.LBFGS(0.7, history_size=3).updates(loss, groups=groups))
    p, moves, changes, before = np.array([1.0, -2.0, 3.0, 0.5]), list[Any](), list[Any](), np.zeros(4)
    for k in range(8):
        gradient = 2 * scale * p + [0.3, 0.3, 0.0, 0.0]
        changes = [*changes, gradient - before][-3:] if k else []
        rates = np.array([0.7, 0.7, *[0.4 * 0.5 ** (k // 2)] * 2])
        move = two_loops(gradient, moves, changes) * rates * (1.0 if k else min(1.0, 1 / np.abs(gradient).sum()))
        p, before, moves = p + move, gradient, [*moves, move][-3:]
        step()
        np.testing.assert_allclose([*a.value, *b.value], p, rtol=1e-10, atol=1e-12)


# --- what happens between steps ---------------------------------------------------------------------------------


def test_a_search_begins_anew_where_a_parameter_was_set() -> None:
    g, loss, (p,) = valley()
    step = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss))
    for _ in range(20):
        step()
    while g["lbfgs_1/phase"].value != 2:  # zooming
        step()
    p.value = [3.0, -2.0, 5.0]
    losses = [float(step()) for _ in range(110)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-9


def test_a_search_goes_on_where_the_loss_is_another_one() -> None:
    g, loss, _ = valley()
    more = g.placeholder("more", ())
    step = gn.compile(loss, nn.LBFGS(**SEARCH).updates(loss + more))
    for _ in range(5):
        step({more: 0.0})
    assert g["lbfgs_1/phase"].value != 0
    losses = [float(step({more: 1000.0})) for _ in range(130)]
    assert losses[-1] < 1e-6


def test_an_average_moves_when_a_search_ends() -> None:
    g, loss, (p,) = valley()
    ema = nn.EMA(0.5)
    step = gn.compile([], ema.updates(nn.LBFGS(**SEARCH).updates(loss)))
    moved: list[Any] = []
    for _ in range(30):
        before = p.value
        step()
        if not np.array_equal(before, p.value):
            moved.append(p.value)
    assert 5 < len(moved) < 25
    expected = moved[0]
    for value in moved[1:]:
        expected = (expected + value) / 2
    np.testing.assert_allclose(ema.averages[p].value, expected, rtol=1e-12)
    assert g["ema_1/decay/step"].value == len(moved)


def test_what_it_refuses() -> None:
    g, loss, (p,) = valley()
    d, before = gn.grad(loss, p), len(g)
    empty = gn.sum(gn.Graph().parameter("empty", np.zeros((0,))))
    half = gn.sum(gn.Graph(dtype=np.float16).parameter("half", [1.0, 2.0]))
    given = {"gradients": {p: d}}
    bad: list[tuple[type[Exception], str, Callable[[], Any]]] = [
        (TypeError, "gradients= is not enough for the line search", lambda: nn.LBFGS(**SEARCH).updates(**given)),
        (TypeError, "updates are made for a loss", nn.LBFGS().updates),
        (ValueError, "grad needs a scalar", lambda: nn.LBFGS(**SEARCH).updates(p)),
        (ValueError, r'nothing to change: "empty" has shape \(0,\)', lambda: nn.LBFGS().updates(empty)),
        (TypeError, 'in float16, the dtype of "half": give loss_scale=', lambda: nn.LBFGS().updates(half)),
        (MemoryError, r"history_size=\d+ of 3 elements would take", lambda: nn.LBFGS(1.0, 10**12).updates(loss)),
        (ValueError, "line_search is one of None, 'strong_wolfe', not 'a'", lambda: nn.LBFGS(line_search="a")),
        (ValueError, "history_size is an int of 1 or more", lambda: nn.LBFGS(history_size=0)),
        (TypeError, "clip_norm", lambda: nn.LBFGS(clip_norm=1.0)),  # type: ignore[call-arg]
    ]
    for kind, words, case in bad:
        with pytest.raises(kind, match=words):
            case()
    assert not g.updates
    assert len(g) == before, "a refused call leaves no node behind"


@pytest.mark.parametrize(
    ("settings", "group", "words"),
    [
        ({}, {"history_size": 3}, '"history_size" is not for one group: all groups share'),
        (
            SEARCH,
            {"learning_rate": 0.1},
            '"learning_rate" is not for one group: all groups share',
        ),
        ({}, {"weight_decay": 0.1}, r"a decay is part of the loss that is compared: nn\.l2"),
    ],
)
def test_what_a_group_has_not(settings: dict[str, Any], group: dict[str, Any], words: str) -> None:
    _, loss, (p,) = valley()
    optimizer = nn.LBFGS()
    optimizer.line_search = settings.get("line_search")
    with pytest.raises(gn.UsageError, match=words):
        optimizer.updates(loss, groups=[{"parameters": p, **group}])
