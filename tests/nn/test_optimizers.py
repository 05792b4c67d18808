"""Optimizers and schedules: PyTorch's numbers step for step, and their nodes like any others."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import load, nn, save

TORCH = json.loads((Path(__file__).parents[1] / "data" / "torch_optimizers.json").read_text(encoding="utf-8"))
PROBLEM = TORCH["problem"]

# The same as in data/make_torch_optimizers.py.
SAME: dict[str, Callable[[], nn.Optimizer]] = {
    "sgd": lambda: nn.SGD(0.1),
    "sgd_decay": lambda: nn.SGD(0.1, weight_decay=0.01),
    "sgd_momentum": lambda: nn.SGD(0.05, momentum=0.9),
    "sgd_momentum_decay": lambda: nn.SGD(0.05, momentum=0.8, weight_decay=0.05),
    "sgd_nesterov": lambda: nn.SGD(0.05, momentum=0.9, nesterov=True),
    "sgd_nesterov_decay": lambda: nn.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.02),
    "adam": lambda: nn.Adam(0.02),
    "adam_settings": lambda: nn.Adam(0.05, beta1=0.8, beta2=0.95, epsilon=1e-3),
    "adam_decay": lambda: nn.Adam(0.02, weight_decay=0.1),
    "adamw": lambda: nn.AdamW(0.02),
    "adamw_decay": lambda: nn.AdamW(0.02, weight_decay=0.2),
    "rmsprop": lambda: nn.RMSProp(0.01),
    "rmsprop_settings": lambda: nn.RMSProp(0.01, rho=0.9, epsilon=1e-4, weight_decay=0.01),
    "rmsprop_momentum": lambda: nn.RMSProp(0.005, momentum=0.7),
    "rmsprop_centered": lambda: nn.RMSProp(0.005, centered=True),
    "rmsprop_all": lambda: nn.RMSProp(0.002, rho=0.95, momentum=0.5, centered=True, weight_decay=0.01),
    "adagrad": lambda: nn.Adagrad(0.1),
    "adagrad_settings": lambda: nn.Adagrad(0.1, initial=0.1, epsilon=1e-6, weight_decay=0.01),
    "clip_norm": lambda: nn.SGD(0.2, momentum=0.5, clip_norm=0.5),
    "clip_value": lambda: nn.Adam(0.02, clip_value=0.1),
    "clip_both": lambda: nn.SGD(0.2, clip_value=0.3, clip_norm=0.4),
    "step_decay": lambda: nn.SGD(nn.schedules.step_decay(0.2, every=12, factor=0.5)),
    "cosine": lambda: nn.SGD(nn.schedules.cosine(0.2, steps=50, final=0.02), momentum=0.5),
    "warmup": lambda: nn.Adam(nn.schedules.warmup(10, 0.05)),
    "warmup_cosine": lambda: nn.AdamW(nn.schedules.warmup(8, nn.schedules.cosine(0.05, steps=42, final=0.01))),
    "exponential": lambda: nn.SGD(nn.schedules.exponential(0.2, 0.95)),
    "linear": lambda: nn.SGD(nn.schedules.linear(0.2, 30, final=0.02)),
    "polynomial": lambda: nn.SGD(nn.schedules.polynomial(0.2, 40, power=2)),
    "multi_step": lambda: nn.SGD(nn.schedules.multi_step(0.2, [10, 25, 40], factor=0.3)),
    "one_cycle": lambda: nn.SGD(nn.schedules.one_cycle(0.3, 50)),
    "one_cycle_settings": lambda: nn.Adam(nn.schedules.one_cycle(0.05, 60, rise=0.25, start=0.005, final=0.0001)),
    "restarts": lambda: nn.SGD(nn.schedules.cosine(0.2, 12, final=0.01, restarts=True)),
    "piecewise": lambda: nn.SGD(nn.schedules.piecewise([0.1, nn.schedules.exponential(0.2, 0.9), 0.02], [10, 35])),
    "groups": lambda: nn.SGD(0.1),
    "groups_clipped": lambda: nn.AdamW(0.02, clip_norm=0.5),
    "groups_scheduled": lambda: nn.Adam(0.9),
    "groups_frozen": lambda: nn.SGD(0.2, clip_norm=0.5),
    "accumulate": lambda: nn.SGD(0.2, momentum=0.5),
    "accumulate_all": lambda: nn.AdamW(nn.schedules.step_decay(0.05, every=4, factor=0.5), clip_norm=0.5),
    "ema": lambda: nn.SGD(0.1),
    "ema_accumulate": lambda: nn.Adam(0.05),
    "swa": lambda: nn.SGD(0.2, momentum=0.5),
    "scaled": lambda: nn.SGD(0.1, momentum=0.5),
    "scaled_all": lambda: nn.AdamW(0.02, clip_norm=0.5),
}
AVERAGED: dict[str, Callable[[], nn.EMA]] = {
    "ema": lambda: nn.EMA(0.9),
    "ema_accumulate": lambda: nn.EMA(0.8),
    "swa": lambda: nn.EMA(lambda n: n / (n + 1.0)),
}
ACCUMULATED = {"accumulate": 4, "accumulate_all": 3, "ema_accumulate": 4, "scaled_all": 2}
SCALED = {
    "scaled": nn.LossScale(2.0**16, interval=5),
    "scaled_all": nn.LossScale(8.0, growth=4.0, backoff=0.25, interval=2),
}
GROUPS: dict[str, list[dict[str, Any]]] = {
    "groups": [
        {"parameters": "v", "learning_rate": 0.05, "momentum": 0.9},
        {"parameters": ["s"], "weight_decay": 0.1},
    ],
    "groups_clipped": [
        {"parameters": ["w", "v"], "weight_decay": 0.2},
        {"parameters": ["b", "s"], "weight_decay": 0.0, "beta1": 0.8, "beta2": 0.99},
    ],
    "groups_scheduled": [
        {"parameters": ["w", "b", "v"], "learning_rate": nn.schedules.step_decay(0.05, every=12, factor=0.5)},
        {"parameters": "s", "learning_rate": nn.schedules.step_decay(0.02, every=12, factor=0.5), "name": "slow"},
    ],
    "groups_frozen": [{"parameters": "b", "trainable": False}],
}


def problem(dtype: Any = np.float64) -> tuple[gn.Graph, gn.Node]:
    g = gn.Graph("problem", dtype=dtype)
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch",))
    w, b, v, s = (g.parameter(name, PROBLEM[name]) for name in "wbvs")
    return g, gn.mean(gn.square(gn.tanh(x @ w + b) @ v * s + gn.sin(s) - y))


def batch(i: int) -> dict[str, Any]:
    return {"x": PROBLEM["x"][i % 4], "y": PROBLEM["y"][i % 4]}


def updates_of(name: str, loss: gn.Node) -> dict[gn.Node, gn.Node]:
    groups, scale = GROUPS.get(name, ()), SCALED.get(name)
    return SAME[name]().updates(loss, groups=groups, accumulate=ACCUMULATED.get(name, 1), loss_scale=scale)


def quadratic(name: str = "w") -> tuple[gn.Graph, gn.Node, gn.Node]:
    g = gn.Graph("quadratic")
    w = g.parameter(name, [1.0, -2.0])
    return g, w, gn.sum(w * w)


# --- PyTorch's numbers ----------------------------------------------------------------------------------------


def test_every_case_of_the_data_is_tested() -> None:
    assert SAME.keys() == TORCH["cases"].keys()
    paths = [np.concatenate([np.ravel(case[name]) for name in "wbvs"]) for case in TORCH["cases"].values()]
    assert all(path.shape == (50 * 9,) for path in paths)
    assert all(not np.allclose(a, b) for i, a in enumerate(paths) for b in paths[:i])


@pytest.mark.parametrize("name", SAME)
def test_fifty_steps_equal_pytorchs(name: str) -> None:
    g, loss = problem()
    updates = updates_of(name, loss)
    shown = {letter: g[letter] for letter in "wbvs"}
    if name in AVERAGED:
        ema = AVERAGED[name]()
        updates = ema.updates(updates)
        shown = {letter: ema.averages[node] for letter, node in shown.items()}
    if name in SCALED:
        shown["scale"] = g["loss_scale_1/scale"]
    step = gn.compile(loss, updates)
    for i in range(50):
        feed = batch(i)
        if name in SCALED and i in PROBLEM["overflows"]:
            feed["y"] = np.full(5, math.inf)
        step(feed)
        for letter, node in shown.items():
            expected = np.array(TORCH["cases"][name][letter][i])
            np.testing.assert_allclose(node.value, expected, rtol=1e-10, atol=0, err_msg=f"{letter}, step {i + 1}")


@pytest.mark.parametrize("name", [name for name in SAME if name not in SCALED and name not in AVERAGED])
def test_in_float32_they_stay_close_and_float32(name: str) -> None:
    g, loss = problem(np.float32)
    updates = updates_of(name, loss)
    step = gn.compile(loss, updates)
    for i in range(50):
        step(batch(i))
    for parameter in "wbvs":
        assert g.state[g[parameter]].dtype == np.float32
        np.testing.assert_allclose(g[parameter].value, TORCH["cases"][name][parameter][-1], rtol=2e-3, atol=2e-4)
    assert all(node.dtype == np.float32 for node in updates if node.shape)


def test_adams_corrections_keep_their_digits_in_float32() -> None:
    g = gn.Graph(dtype=np.float32)
    w = g.parameter("w", 0.0)
    step = gn.compile(w, nn.Adam(0.5).updates(-w * 3.0))
    step()
    np.testing.assert_allclose(w.value, 0.5, rtol=1e-7)


# --- the nodes ------------------------------------------------------------------------------------------------


def test_updates_are_nodes_in_a_scope_of_their_own() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 2))
    loss = nn.l2([nn.Dense(3)(x)], 1.0) / 3.0
    before = len(g)
    updates = nn.SGD(0.1, momentum=0.9).updates(loss)
    assert {p.name: n.name for p, n in updates.items()} == {
        "sgd_1/dense_1/weight/velocity": "sgd_1/dense_1/weight/add",
        "dense_1/weight": "sgd_1/dense_1/weight/subtract",
        "sgd_1/dense_1/bias/velocity": "sgd_1/dense_1/bias/add",
        "dense_1/bias": "sgd_1/dense_1/bias/subtract",
    }
    assert g.updates == updates
    made = list(g)[before:]
    assert {node.phase for node in made} == {"backward", "update"}
    for node in made:
        assert (node.phase == "update") == node.name.startswith("sgd_1/")
        assert str(node.origin).startswith("test_optimizers.py:") or node.phase == "backward"
        if node.name.startswith("sgd_1/dense_1/"):
            assert node.twin is g[re.sub(r"sgd_1/(dense_1/\w+)/.*", r"\1", node.name)]
    assert g["sgd_1/learning_rate"].twin is None
    assert g.scopes["sgd_1"].kind == "SGD"


def test_slots_are_parameters_that_are_not_trained() -> None:
    g, w, loss = quadratic()
    updates = nn.Adam(0.1).updates(loss)
    slots = [node for node in updates if node is not w]
    assert [slot.name for slot in slots] == ["adam_1/step", "adam_1/w/mean", "adam_1/w/square"]
    assert [slot.trainable for slot in slots] == [False, False, False]
    assert g.parameters == (w,)
    assert [slot.dtype.name for slot in slots] == ["int64", "float64", "float64"]
    gn.compile(loss, updates)()
    assert g["adam_1/step"].value == 1
    np.testing.assert_allclose(g["adam_1/w/mean"].value, [0.2, -0.4])


def test_an_update_is_stepped_and_run_like_anything_else() -> None:
    g, w, loss = quadratic()
    updates = nn.SGD(0.25, momentum=0.5).updates(loss)
    seen = {step.node.name: step.value for step in gn.steps(list(updates.values()))}
    assert np.array_equal(seen["sgd_1/w/subtract"], [0.5, -1.0])
    assert np.array_equal(seen["sgd_1/w/add"], [2.0, -4.0])
    assert np.array_equal(gn.run(updates[w]), [0.5, -1.0])
    assert np.array_equal(w.value, [1.0, -2.0])
    assert "sgd_1/w/subtract" in g.dag.successors("sgd_1/w/multiply_2")
    source = gn.draw(list(updates.values())).source
    assert all(word in source for word in ("sgd_1", "velocity", "learning_rate"))


def test_numbers_that_parameters_share_are_made_once() -> None:
    g = gn.Graph()
    parameters = [g.parameter(f"w{i}", [1.0]) for i in range(5)]
    loss = gn.sum(gn.concatenate(parameters))
    nn.AdamW(nn.schedules.cosine(0.1, 9), clip_norm=1.0).updates(loss)
    ops = [node.op.name for node in g if node.phase == "update"]
    assert ops.count("power") == 2
    assert ops.count("cos") == 1
    assert ops.count("minimum") == 2  # the schedule's end, and the clipping


def test_names_that_are_taken_do_no_harm() -> None:
    g = gn.Graph()
    with g.scope("adam_1"):
        step, rate = g.parameter("step", 1.0), g.parameter("learning_rate", 1.0)
    other, empty = g.parameter("learning_rate", 1.0), g.parameter("", 1.0)
    with g.scope("learning_rate_scope"):
        mean = g.parameter("mean", 1.0)
    loss = step + rate + other + empty + mean
    before = dict(g.state)
    gn.compile(loss, nn.Adam(0.5).updates(loss))()
    assert all(math.isclose(node.value, before[node] - 0.5, rel_tol=1e-6) for node in (step, rate, other, empty, mean))


def test_the_same_build_gives_the_same_names() -> None:
    first, second = problem(), problem()
    for _, loss in (first, second):
        nn.AdamW(nn.schedules.warmup(3, 0.1), clip_value=1.0, clip_norm=1.0).updates(loss)
    assert [node.name for node in first[0]] == [node.name for node in second[0]]


# --- which parameters -----------------------------------------------------------------------------------------


def test_only_what_the_loss_depends_on_is_updated() -> None:
    g, w, loss = quadratic()
    g.parameter("unused", 1.0)
    frozen = g.parameter("frozen", 2.0, trainable=False)
    updates = nn.SGD(0.1).updates(loss * frozen)
    assert list(updates) == [w]


@pytest.mark.parametrize("by", [lambda node: node, lambda node: [node.name], lambda node: iter([node, node])])
def test_only_the_parameters_asked_for(by: Callable[[gn.Node], Any]) -> None:
    g, loss = problem()
    updates = nn.SGD(0.1).updates(loss, parameters=by(g["v"]))
    assert list(updates) == [g["v"]]
    before = dict(g.state)
    gn.compile(loss, updates)(batch(0))
    assert [node.name for node in before if not np.array_equal(before[node], g.state[node])] == ["v"]


def test_two_optimizers_for_different_parameters() -> None:
    g, loss = problem()
    fast = nn.SGD(0.5).updates(loss, parameters=[g["w"], g["b"]])
    slow = nn.Adam(0.1).updates(loss, parameters=[g["v"], g["s"]])
    assert g.updates == {**fast, **slow}
    gradients = {node.name for node in g if node.phase == "backward"}
    nn.SGD(0.1).updates(loss)
    assert {node.name for node in g if node.phase == "backward"} == gradients, "a gradient was made again"


def test_asked_again_the_last_one_holds_and_the_first_leaves_nothing_behind() -> None:
    g, w, loss = quadratic()
    other = g.parameter("other", 3.0)
    mine = g.parameter("mine", 0.0, trainable=False)
    g.updates[mine] = mine + 1.0
    first = nn.Adam(0.1).updates(loss)
    apart = nn.Adam(0.1).updates(loss + other, parameters=[other])
    second = nn.SGD(0.1, momentum=0.9).updates(loss)
    assert g.updates == {mine: g.updates[mine], **apart, **second}
    assert w in first
    assert w in second
    assert first[w] is not second[w]
    gn.compile(loss, g.updates)()
    np.testing.assert_allclose(w.value, [0.8, -1.6])
    assert (g["adam_1/step"].value, g["adam_2/step"].value, mine.value) == (0, 1, 1.0)


def test_so_it_is_in_a_graph_from_a_file(tmp_path: Path) -> None:
    g, _, loss = quadratic()
    g.outputs["loss"] = loss
    nn.Adam(0.1).updates(loss)
    save(g, tmp_path / "g.gnn")
    loaded = load(tmp_path / "g.gnn")
    assert len(loaded.updates) == 4
    second = nn.SGD(0.1, momentum=0.9).updates(loaded.outputs["loss"])
    assert loaded.updates == second


def test_both_updates_of_one_optimizer_can_be_used() -> None:
    _, w, loss = quadratic()
    optimizer = nn.SGD(0.25, momentum=0.5)
    one, two = optimizer.updates(loss), optimizer.updates(loss)
    gn.compile(loss, one)()
    assert np.array_equal(w.value, [0.5, -1.0])
    gn.compile(loss, two)()
    assert np.array_equal(w.value, [0.25, -0.5]), "they do not share their velocity"


# --- groups ---------------------------------------------------------------------------------------------------


def test_a_group_has_a_scope_for_what_its_parameters_share() -> None:
    g, loss = problem()
    updates = nn.Adam(0.1, clip_value=0.5).updates(
        loss,
        groups=[
            {"parameters": [g["w"]], "learning_rate": 0.2},
            {"parameters": [g["b"]], "learning_rate": 0.3, "name": "biases", "clip_value": 0.1, "epsilon": 0.5},
            {"parameters": [], "beta1": 0.5},
        ],
    )
    assert next(iter(updates)).name == "adam_1/step"
    assert sum(node.name.endswith("step") for node in updates) == 1, "the groups count together"
    rates = [node.name for node in g.state if node.name.endswith("/learning_rate")]
    assert rates == ["adam_1/learning_rate", "adam_1/group_1/learning_rate", "adam_1/biases/learning_rate"]
    assert [g[name].value for name in rates] == [0.1, 0.2, 0.3]
    step = gn.compile(loss, updates)
    step(batch(0)), step(batch(0))
    g["adam_1/biases/learning_rate"].value = 0.0
    before = dict(g.state)
    step(batch(0))
    assert [n for n in "wbvs" if not np.array_equal(before[g[n]], g.state[g[n]])] == ["w", "v", "s"]
    bounds = {node.twin.name: node.op.hi for node in g if node.op.name == "clip" and node.twin is not None}
    assert bounds == {"w": 0.5, "b": 0.1, "v": 0.5, "s": 0.5}


def test_no_rate_is_made_that_nothing_uses() -> None:
    g, loss = problem()
    nn.SGD(0.1).updates(loss, groups=[{"parameters": [*"wbvs"], "learning_rate": 0.5}])
    assert [node.name for node in g if node.name.endswith("learning_rate")] == ["sgd_1/group_1/learning_rate"]


def test_a_rate_that_is_shared_can_be_set_for_all() -> None:
    g, w, loss = quadratic()
    b = g.parameter("b", 1.0)
    optimizer = nn.SGD(0.25)
    step = gn.compile(loss, optimizer.updates(loss + b, groups=[{"parameters": b, "weight_decay": 1.0}]))
    optimizer.learning_rate = 0.5
    step()
    assert (w.value.tolist(), b.value) == ([0.0, 0.0], 0.0)


def test_parameters_and_groups_together() -> None:
    g, loss = problem()
    slow = {"parameters": "v", "learning_rate": 0.01}
    assert list(nn.SGD(0.1).updates(loss, "w", groups=[slow])) == [g["w"], g["v"]]
    assert list(nn.SGD(0.1).updates(loss, [], groups=[slow])) == [g["v"]]
    assert list(nn.SGD(0.1).updates(loss, groups=[{"parameters": [*"wb"], "trainable": False}])) == [g["v"], g["s"]]
    gradients = dict(zip("wv", gn.grad(loss, [g["w"], g["v"]]), strict=True))
    assert list(nn.SGD(0.1).updates(gradients=gradients, groups=[slow])) == [g["w"], g["v"]]


def test_groups_of_an_optimizer_of_ones_own() -> None:
    class Signed(nn.Optimizer):
        def __init__(self, learning_rate: float, size: float = 1.0, **clipping: Any) -> None:
            super().__init__(learning_rate, **clipping)
            self.size = size

        def advance(self, parameter: gn.Node, gradient: gn.Node, rate: gn.Node, slots: Any) -> gn.Node:
            return parameter - rate * self.size * gn.sign(gradient)

    g, w, loss = quadratic()
    b = g.parameter("b", 1.0)
    step = gn.compile(loss, Signed(0.5, clip_norm=1.0).updates(loss + b, groups=[{"parameters": b, "size": 4.0}]))
    step()
    assert (w.value.tolist(), b.value) == ([0.5, -1.5], -1.0)
    with pytest.raises(gn.UsageError, match=r"no setting 'sise'\. Did you mean \"size\""):
        Signed(0.5).updates(loss, groups=[{"parameters": w, "sise": 4.0}])


def test_a_group_may_be_called_as_a_parameter() -> None:
    g, w, loss = quadratic()
    b = g.parameter("b", 1.0)
    groups = [{"parameters": w, "name": "w", "learning_rate": 0.2}, {"parameters": b, "name": "head"}]
    updates = nn.Adam(0.1).updates(loss + b, groups=groups)
    assert [node.name for node in updates if node.twin is w] == ["adam_1/w/mean", "adam_1/w/square"]
    assert g["adam_1/w/learning_rate"].value == 0.2
    assert g["adam_1/w/learning_rate"].twin is None


def test_settings_that_were_assigned_reach_the_groups() -> None:
    class Doubling(nn.SGD):
        def __init__(self, learning_rate: float, size: float, **settings: Any) -> None:
            super().__init__(learning_rate, **settings)
            self.size = size * 2.0

        def advance(self, parameter: gn.Node, gradient: gn.Node, rate: gn.Node, slots: Any) -> gn.Node:
            return super().advance(parameter, gradient * self.size, rate, slots)

    g, w, loss = quadratic()
    b = g.parameter("b", 1.0)
    optimizer = Doubling(0.25, 2.0, clip_value=9.0)
    optimizer.weight_decay, optimizer.size, optimizer.clip_value = 1.0, 0.5, 0.5
    groups = [{"parameters": [w], "momentum": 0.5}, {"parameters": [b], "weight_decay": 0.0, "size": 1.0}]
    gn.compile(loss, optimizer.updates(loss + b, groups=groups))()
    # w - rate · (size · clip(2w, ±0.5) + decay · w), and b - rate · 2 · clip(1, ±0.5)
    assert (w.value.tolist(), float(b.value)) == ([1 - 0.25 * 1.25, -2 + 0.25 * 2.25], 0.75)


def test_an_optimizer_of_ones_own_that_hands_its_arguments_on_has_groups() -> None:
    class Mine(nn.SGD):
        def __init__(self, *args: Any, size: float = 1.0, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self.size = size

    class Bare(nn.SGD):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)

    g, w, loss = quadratic()
    b = g.parameter("b", 1.0)
    step = gn.compile(loss, Mine(0.25, 0.5).updates(loss + b, groups=[{"parameters": b, "learning_rate": 1.0}]))
    step(), step()
    assert float(b.value) == -1.5  # the momentum is 0.5 for it, too
    updates = Bare(0.25).updates(loss + b, groups=[{"parameters": b, "name": "apart"}])
    assert list(updates) == [w, b]


@pytest.mark.parametrize(
    ("groups", "kind", "words"),
    [
        ({"parameters": "w"}, TypeError, 'groups= takes a list of {"parameters": …'),
        (3, TypeError, "groups= takes a list"),
        (["w"], TypeError, 'a group is {"parameters": …, "learning_rate": …}, not str'),
        ([{"learning_rate": 0.1}], TypeError, 'SGD: a group needs "parameters"'),
        ([{"params": "w"}], TypeError, "has no setting 'params'. Here it is \"parameters\""),
        ([{"parameters": "w", "lr": 0.1}], TypeError, "has no setting 'lr'. Here it is learning_rate="),
        ([{"parameters": "w", "momentun": 0.1}], TypeError, "has no setting 'momentun'. Did you mean \"momentum\"?"),
        ([{"parameters": "w", "beta1": 0.1}], TypeError, "A group may have parameters, name, trainable, learning_rate"),
        ([{"parameters": "w", "momentum": -1}], ValueError, "SGD: momentum is 0 or more, not -1"),
        ([{"parameters": "w", "learning_rate": "fast"}], TypeError, "SGD: learning_rate is a number, not 'fast'"),
        ([{"parameters": "w", "clip_norm": 1.0}], TypeError, '"clip_norm" is not for one group: the norm is that of'),
        ([{"parameters": "w", "trainable": 1}], TypeError, '"trainable" of a group is True or False, not 1'),
        (
            [{"parameters": "w", "name": ""}],
            TypeError,
            "the name of a group is text without NUL, and not empty; it is ''",
        ),
        ([{"parameters": "w", "name": "a\0b"}], TypeError, "the name of a group is text without NUL"),
        ([{"parameters": 3}], TypeError, '"parameters" of a group takes nodes or their names, not int'),
        ([{"parameters": "x"}], TypeError, '"parameters" of a group takes trainable parameters; "x" is a placeholder'),
        ([{"parameters": "w", "trainable": False, "momentum": 0.1}], TypeError, "has no settings: leave out momentum"),
        (
            [{"parameters": "w", "name": "one"}, {"parameters": "b", "name": "one"}],
            TypeError,
            'two groups have the name "one"',
        ),
        (
            [{"parameters": [*"wb"]}, {"parameters": "w", "name": "more"}],
            TypeError,
            '"w" is in two groups: "group_1" and "more"',
        ),
        (
            [{"parameters": [*"wbvs"], "trainable": False}],
            TypeError,
            "there is nothing to update: no parameter is trained",
        ),
    ],
)
def test_bad_groups(groups: Any, kind: type[Exception], words: str) -> None:
    g, loss = problem()
    before = len(g), len(g.scopes)
    with pytest.raises(kind, match=re.escape(words)):
        nn.SGD(0.1).updates(loss, groups=groups)
    assert (len(g), len(g.scopes)) == before


# --- gradients of one's own -----------------------------------------------------------------------------------


def test_gradients_of_ones_own() -> None:
    g, loss = problem()
    gradients = {p: d * 0.5 for p, d in zip("wb", gn.grad(loss, [g["w"], g["b"]]), strict=True)}
    halved = nn.SGD(0.2, momentum=0.5).updates(gradients={g["w"]: gradients["w"], "b": gradients["b"]})
    plain = nn.SGD(0.1, momentum=0.5).updates(loss, [*"wb"])
    for name in "wb":
        assert np.allclose(*gn.run([halved[g[name]], plain[g[name]]], batch(1)), rtol=1e-15)


def test_bad_gradients() -> None:
    g, w, loss = quadratic()
    d = gn.grad(loss, w)
    frozen = g.parameter("frozen", [1.0, 2.0], trainable=False)
    other, _, other_loss = quadratic("u")
    optimizer = nn.SGD(0.1)
    bad: list[tuple[type[gn.GraphnnError], str, Callable[[], Any]]] = [
        (gn.UsageError, r"a loss, which is a node, not NoneType; without one, give gradients=", optimizer.updates),
        (gn.UsageError, "leave out a loss", lambda: optimizer.updates(loss, gradients={w: d})),
        (gn.UsageError, "leave out parameters=", lambda: optimizer.updates(parameters=w, gradients={w: d})),
        (gn.UsageError, "and at least one", lambda: optimizer.updates(gradients={})),
        (gn.UsageError, "gradients= takes {parameter: node", lambda: optimizer.updates(gradients=[d])),  # type: ignore[arg-type]
        (gn.UsageError, '"frozen" is not trainable', lambda: optimizer.updates(gradients={frozen: d})),
        (gn.UsageError, "is a node, not ndarray", lambda: optimizer.updates(gradients={w: np.ones(2)})),  # type: ignore[dict-item]
        (gn.UsageError, "twice", lambda: optimizer.updates(gradients={w: d, "w": d})),
        (
            gn.ShapeError,
            r'"w" has shape \(2,\); its gradient "sum" has',
            lambda: optimizer.updates(gradients={w: loss}),
        ),
        (
            gn.DtypeError,
            '"w" is float64; its gradient "cast" is float32',
            lambda: optimizer.updates(gradients={w: gn.cast(d, "float32")}),
        ),
        (gn.GraphError, '"u" is in "quadratic"|of "quadratic"', lambda: optimizer.updates(gradients={w: other["u"]})),
        (
            gn.UsageError,
            'gradients= has none for "b"',
            lambda: optimizer.updates(gradients={w: d}, groups=[{"parameters": g.parameter("b", 1.0)}]),
        ),
    ]
    for kind, words, case in bad:
        with pytest.raises(kind, match=words):
            case()
    assert not g.updates
    assert not other.updates
    assert other_loss.graph is other


# --- the learning rate ----------------------------------------------------------------------------------------


def test_the_learning_rate_can_be_set_between_steps() -> None:
    g, w, loss = quadratic()
    optimizer = nn.SGD(0.25)
    step = gn.compile(loss, optimizer.updates(loss))
    step()
    assert np.array_equal(w.value, [0.5, -1.0])
    g["sgd_1/learning_rate"].value = 0.5
    assert optimizer.learning_rate == 0.5
    step()
    assert np.array_equal(w.value, [0.0, 0.0])
    w.value = [1.0, 1.0]
    optimizer.learning_rate = 0.125
    step()
    assert np.array_equal(w.value, [0.75, 0.75])
    assert g["sgd_1/learning_rate"].value == 0.125
    optimizer.updates(loss)
    assert g["sgd_2/learning_rate"].value == 0.125
    with pytest.raises(gn.ValueRangeError, match="SGD: learning_rate is 0 or more, not -1"):
        optimizer.learning_rate = -1


def test_a_learning_rate_may_be_a_node() -> None:
    g, w, loss = quadratic()
    rate = g.placeholder("rate", dtype=np.float32)
    optimizer = nn.SGD(rate)
    step = gn.compile(loss, optimizer.updates(loss))
    step({rate: 0.25})
    assert np.array_equal(w.value, [0.5, -1.0])
    step({rate: 0.5})
    assert np.array_equal(w.value, [0.0, 0.0])
    assert optimizer.learning_rate is rate
    with pytest.raises(gn.UsageError, match="is a node or a schedule"):
        optimizer.learning_rate = 0.1


def rates(schedule: Any, steps: int) -> list[float]:
    """Return what a schedule gives, step by step."""
    g = gn.Graph()
    w = g.parameter("w", 0.0)
    step = gn.compile(w, nn.SGD(schedule).updates(-w))
    walked = [float(step()) for _ in range(steps + 1)]
    return np.diff(walked).tolist()


def test_schedules() -> None:
    s = nn.schedules
    cases = [
        (s.constant(0.5), [0.5] * 6),
        (s.step_decay(1.0, 2), [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]),
        (s.step_decay(1.0, 3, factor=0.5), [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]),
        (s.cosine(1.0, 4), [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0.0, 0.0]),
        (s.cosine(1.0, 2, final=0.5), [1.0, 0.75, 0.5, 0.5, 0.5, 0.5]),
        (s.warmup(4, 1.0), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
        (s.warmup(1, s.cosine(1.0, 2)), [1.0, 1.0, 0.5, 0.0, 0.0, 0.0]),
        (s.warmup(2, s.step_decay(1.0, 2, 0.5)), [0.5, 1.0, 1.0, 1.0, 0.5, 0.5]),
        (lambda step: 1.0 / (1.0 + step), [1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
        (lambda step: 0.25, [0.25] * 6),
    ]
    for schedule, expected in cases:
        np.testing.assert_allclose(rates(schedule, 6), expected, rtol=1e-12, atol=1e-15)


def test_a_schedules_rate_is_a_node_one_can_look_at() -> None:
    g, _, loss = quadratic()
    step = gn.compile(loss, nn.SGD(nn.schedules.step_decay(0.5, 1, 0.5)).updates(loss))
    rate = g["sgd_1/learning_rate"]
    assert gn.run(rate) == 0.5
    step()
    assert gn.run(rate) == 0.25


# --- clipping -------------------------------------------------------------------------------------------------


def test_clipping_by_norm_keeps_the_direction_and_leaves_small_gradients_alone() -> None:
    g, loss = problem()
    updates = nn.SGD(1.0, clip_norm=0.01).updates(loss)
    before = {name: g[name].value for name in "wbvs"}
    gradients = gn.run(gn.grad(loss, [g[name] for name in "wbvs"]), batch(1))
    after = gn.run([updates[g[name]] for name in "wbvs"], batch(1))
    moved = [before[name] - new for name, new in zip("wbvs", after, strict=True)]
    norm = math.sqrt(sum(float(np.sum(m**2)) for m in moved))
    assert math.isclose(norm, 0.01, rel_tol=1e-3)
    for move, gradient in zip(moved, gradients, strict=True):
        np.testing.assert_allclose(move * np.linalg.norm(gradients[3]), gradient * np.linalg.norm(moved[3]), atol=1e-15)
    plain = nn.SGD(1.0).updates(loss)
    large = nn.SGD(1.0, clip_norm=1e6).updates(loss)
    for name in "wbvs":
        assert np.array_equal(*gn.run([plain[g[name]], large[g[name]]], batch(1)))


def test_clipping_of_zero_gradients() -> None:
    g, w, _ = quadratic()
    step = gn.compile(w, nn.SGD(1.0, clip_norm=1.0, clip_value=1.0).updates(gn.sum(w * 0.0)), guard="nan")
    step()
    assert np.array_equal(g["w"].value, [1.0, -2.0])


# --- one's own ------------------------------------------------------------------------------------------------


def test_an_optimizer_of_ones_own() -> None:
    class Averaged(nn.Optimizer):
        """Gradient descent that keeps an average of the parameter."""

        counts = True

        def scalars(self, rate: gn.Node, number: gn.Node | None) -> dict[str, gn.Node]:
            assert number is not None
            return {"share": 1.0 / number}

        def advance(self, parameter: gn.Node, gradient: gn.Node, rate: gn.Node, slots: Any) -> gn.Node:
            following = parameter - gradient * rate
            slots.kept("average", lambda a: a + (following - a) * slots.scalars["share"])
            return following

    g, w, loss = quadratic()
    step = gn.compile(w, Averaged(0.25).updates(loss))
    seen = [step() for _ in range(5)]
    np.testing.assert_allclose(g["averaged_1/w/average"].value, np.mean([*seen[1:], w.value], axis=0))
    nn.SGD(0.1).updates(loss)
    assert list(g.updates) == [w]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_an_optimizer_of_ones_own_returns_is_checked(accumulate: int) -> None:
    class Returning(nn.Optimizer):
        def __init__(self, after: Any = None, kept: Any = None, scalar: Any = None) -> None:
            super().__init__(0.1)
            self.after, self.next_of, self.scalar = after, kept, scalar

        def scalars(self, rate: gn.Node, number: gn.Node | None) -> Any:
            return {"share": rate if self.scalar is None else self.scalar}

        def advance(self, parameter: gn.Node, gradient: gn.Node, rate: gn.Node, slots: Any) -> Any:
            slots.kept("mean", lambda m: m if self.next_of is None else self.next_of)
            return parameter if self.after is None else self.after

    _, _, loss = quadratic()
    bad: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"after": 5.0}, TypeError, 'what Returning.advance returns for "w" is a node, not float'),
        ({"after": loss}, ValueError, r'advance returns for "w" has shape \(2,\); "sum" has \(\)'),
        ({"kept": 5.0}, TypeError, r'the update of "returning_\d/w/mean" is a node, not float'),
        ({"kept": loss}, ValueError, r'w/mean" has shape \(2,\); its update "sum" has \(\)'),
        ({"scalar": 5.0}, TypeError, 'what Returning.scalars returns as "share" is a node, not float'),
    ]
    for given, kind, words in bad:
        with pytest.raises(kind, match=words):
            Returning(**given).updates(loss, accumulate=accumulate)


# --- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: nn.SGD(-0.1), ValueError, "SGD: learning_rate is 0 or more, not -0.1"),
        (lambda: nn.SGD(math.inf), ValueError, "SGD: learning_rate is 0 or more, not inf"),
        (lambda: nn.SGD(math.nan), TypeError, "SGD: learning_rate is a number, not nan"),
        (lambda: nn.SGD("fast"), TypeError, "SGD: learning_rate is a number, not 'fast'"),
        (lambda: nn.SGD(None), TypeError, "SGD: learning_rate is a number, not NoneType"),
        (lambda: nn.SGD(0.1, momentum=-1), ValueError, "SGD: momentum is 0 or more, not -1"),
        (lambda: nn.SGD(0.1, nesterov=True), ValueError, "needs a momentum above 0"),
        (lambda: nn.SGD(0.1, weight_decay=[1]), TypeError, "SGD: weight_decay is a number, not list"),
        (lambda: nn.SGD(0.1, clip_norm=0), ValueError, "SGD: clip_norm is more than 0, not 0"),
        (lambda: nn.SGD(0.1, clip_value=-2), ValueError, "SGD: clip_value is more than 0, not -2"),
        (lambda: nn.SGD(0.1, clip_nrom=1), TypeError, "clip_nrom"),
        (lambda: nn.Adam(beta1=1.0), ValueError, "Adam: beta1 is 0 or more, and less than 1, not 1"),
        (lambda: nn.AdamW(beta2=-0.1), ValueError, "AdamW: beta2 is 0 or more, and less than 1, not -0.1"),
        (lambda: nn.Adam(epsilon=-1), ValueError, "Adam: epsilon is 0 or more, not -1"),
        (lambda: nn.RMSProp(rho=2), ValueError, "RMSProp: rho is 0 or more, and less than 1, not 2"),
        (lambda: nn.Adagrad(initial=-1), ValueError, "Adagrad: initial is 0 or more, not -1"),
        (lambda: nn.schedules.step_decay(0.1, every=0), ValueError, "every is an int of 1 or more, not 0"),
        (lambda: nn.schedules.cosine(0.1, steps=1.5), TypeError, "steps is an int of 1 or more, not 1.5"),
    ],
)
def test_bad_settings(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        make()


def test_bad_losses_and_parameters() -> None:
    g, w, loss = quadratic()
    frozen = g.parameter("frozen", 1.0, trainable=False)
    other, _, other_loss = quadratic("u")
    optimizer = nn.SGD(0.1)
    with pytest.raises(gn.UsageError, match="a loss, which is a node, not str"):
        optimizer.updates("loss")  # type: ignore[arg-type]
    with pytest.raises(gn.ShapeError, match="grad needs a scalar"):
        optimizer.updates(w * w)
    with pytest.raises(gn.DtypeError, match="only floats have gradients"):
        optimizer.updates(gn.cast(loss, "int64"))
    with pytest.raises(gn.UsageError, match="depends on no trainable parameter"):
        optimizer.updates(frozen * 2.0)
    with pytest.raises(gn.UsageError, match=r"parameters= is empty"):
        optimizer.updates(loss, parameters=[])
    with pytest.raises(gn.UsageError, match='"frozen" is not trainable'):
        optimizer.updates(loss, parameters=[frozen])
    with pytest.raises(gn.UsageError, match='"sum" is a sum'):
        optimizer.updates(loss, parameters=[loss])
    with pytest.raises(gn.NotFoundError, match='no node, scope or output "ww"'):
        optimizer.updates(loss, parameters=["ww"])
    with pytest.raises(gn.GraphError, match='"u" is in "quadratic"'):
        optimizer.updates(loss, parameters=[other["u"]])
    with pytest.raises(gn.GraphError, match="learning rate"):
        nn.SGD(other_loss).updates(loss)
    with pytest.raises(gn.ShapeError, match=r'a learning rate is a scalar, and "w" has shape \(2,\)'):
        nn.SGD(w).updates(loss)
    with pytest.raises(gn.UsageError, match="SGD: learning_rate is a number, not 'slow'"):
        nn.SGD(lambda step: "slow").updates(loss)
    with pytest.raises(gn.NoRuleError, match="Optimizer does not say how to update a parameter: define advance"):
        nn.Optimizer(0.1).updates(loss)
    with pytest.warns(gn.GraphnnWarning, match="no derivative passes between"):
        optimizer.updates(loss, parameters=[g.parameter("unused", 1.0)])


def test_a_setting_that_is_changed_after_updates_is_warned_of() -> None:
    class Counting(nn.SGD):
        calls = 0

        def updates(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            self.calls = self.calls + 1  # no setting
            return super().updates(*args, **kwargs)

    w = gn.Graph().parameter("w", [1.0, 2.0])
    optimizer = Counting(0.5, momentum=0.9)
    optimizer.momentum = 0.0
    step = gn.compile(w, optimizer.updates(gn.sum(w * w)))
    with pytest.warns(gn.GraphnnWarning, match=r"Counting\.clip_norm is set after updates") as told:
        optimizer.clip_norm = 0.001
    optimizer.clip_norm = optimizer.clip_norm
    assert [warning.filename for warning in told] == [__file__]
    optimizer.learning_rate = 0.25
    step()
    assert w.value.tolist() == [0.5, 1.0]
    later = gn.compile(w, optimizer.updates(gn.sum(w * w)))
    later()
    assert np.isclose(np.linalg.norm([0.5, 1.0] - w.value), 0.25 * 0.001)
