"""Lion, Nadam and Adafactor: PyTorch's numbers, or a paper's formulas, step for step."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

TORCH = json.loads((Path(__file__).parents[1] / "data" / "torch_adaptive.json").read_text(encoding="utf-8"))
PROBLEM = TORCH["problem"]

# The same as in data/make_torch_adaptive.py.
SAME: dict[str, Callable[[], nn.Optimizer]] = {
    "nadam": lambda: nn.Nadam(0.02),
    "nadam_settings": lambda: nn.Nadam(
        0.05, beta1=0.8, beta2=0.95, epsilon=1e-3, weight_decay=0.1, momentum_decay=0.05
    ),
    "nadam_decoupled": lambda: nn.Nadam(
        nn.schedules.step_decay(0.02, every=12, factor=0.5), weight_decay=0.2, decoupled=True
    ),
    "adafactor": lambda: nn.Adafactor(),
    "adafactor_settings": lambda: nn.Adafactor(
        0.3, beta2_decay=-0.5, epsilon=1e-8, epsilon_scale=0.1, clip_threshold=1.2, weight_decay=0.05
    ),
}


def problem(dtype: Any = np.float64) -> tuple[gn.Graph, gn.Node]:
    g = gn.Graph("problem", dtype=dtype)
    x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch",))
    w, b, v, s = (g.parameter(name, PROBLEM[name]) for name in "wbvs")
    return g, gn.mean(gn.square(gn.tanh(x @ w + b) @ v * s + gn.sin(s) - y))


def batch(i: int) -> dict[str, Any]:
    return {"x": PROBLEM["x"][i % 4], "y": PROBLEM["y"][i % 4]}


def test_every_case_of_the_data_is_tested() -> None:
    assert SAME.keys() == {name for name in TORCH["cases"] if not name.startswith("lbfgs")}


@pytest.mark.parametrize("name", SAME)
def test_fifty_steps_equal_pytorchs(name: str) -> None:
    g, loss = problem()
    step = gn.compile(loss, SAME[name]().updates(loss))
    for i in range(50):
        step(batch(i))
        for parameter in "wbvs":
            expected = np.array(TORCH["cases"][name][parameter][i])
            np.testing.assert_allclose(g[parameter].value, expected, rtol=1e-10, atol=0, err_msg=f"step {i + 1}")


@pytest.mark.parametrize("name", [*SAME, "lion"])
def test_in_float32_they_stay_float32(name: str) -> None:
    g, loss = problem(np.float32)
    make = SAME.get(name, lambda: nn.Lion(0.01, weight_decay=0.1))
    updates = make().updates(loss)
    step = gn.compile(loss, updates)
    before = float(step(batch(0)))
    for i in range(1, 50):
        step(batch(i))
    assert all(node.dtype == np.float32 for node in updates if node.name != f"{name.partition('_')[0]}_1/step")
    assert float(gn.run(loss, batch(0))) < before
    if name not in ("lion", "adafactor"):  # the epsilon of Adafactor is that of the dtype
        for parameter in "wbvs":
            expected = TORCH["cases"][name][parameter][-1]
            np.testing.assert_allclose(g[parameter].value, expected, rtol=5e-3, atol=5e-4)


@pytest.mark.parametrize(("beta1", "beta2", "decay"), [(0.9, 0.99, 0.0), (0.8, 0.95, 0.3)])
def test_lion_follows_its_paper(beta1: float, beta2: float, decay: float) -> None:
    g, loss = problem()
    names = "wbvs"
    gradients = gn.grad(loss, [g[name] for name in names])
    step = gn.compile([loss, *gradients], nn.Lion(0.01, beta1, beta2, decay).updates(loss))
    at = {name: g[name].value for name in names}
    momentum = {name: np.zeros_like(value) for name, value in at.items()}
    for i in range(50):
        _, *found = step(batch(i))
        for name, d in zip(names, found, strict=True):  # algorithm 2 of the paper
            direction = np.sign(beta1 * momentum[name] + (1 - beta1) * d)
            at[name] = at[name] - 0.01 * (direction + decay * at[name])
            momentum[name] = beta2 * momentum[name] + (1 - beta2) * d
            np.testing.assert_allclose(g[name].value, at[name], rtol=1e-10, atol=1e-14)


def test_adafactor_of_stacks_of_matrices() -> None:
    g = gn.Graph()
    w = g.parameter("w", np.arange(1.0, 25.0).reshape(2, 3, 4))
    updates = nn.Adafactor().updates(gn.sum(gn.square(w)))
    assert {slot.name: slot.shape for slot in updates if "w/" in slot.name} == {
        "adafactor_1/w/rows": (2, 3, 1),
        "adafactor_1/w/columns": (2, 1, 4),
    }
    gn.compile(w, updates)()
    d = 2 * np.arange(1.0, 25.0).reshape(2, 3, 4)
    np.testing.assert_allclose(g["adafactor_1/w/rows"].value, (d**2).mean(axis=2, keepdims=True))
    np.testing.assert_allclose(g["adafactor_1/w/columns"].value, (d**2).mean(axis=1, keepdims=True))


def test_groups_have_settings_of_their_own() -> None:
    g, loss = problem()
    for optimizer in (nn.Lion(0.01), nn.Nadam(0.01), nn.Adafactor(0.01)):
        updates = optimizer.updates(loss, groups=[{"parameters": "w", "learning_rate": 0.0, "weight_decay": 0.0}])
        before = {name: g[name].value for name in "wv"}
        step = gn.compile(loss, updates)
        for i in range(2):
            step(batch(i))
        np.testing.assert_array_equal(g["w"].value, before["w"])
        assert not np.array_equal(g["v"].value, before["v"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Lion(beta1=1.0), "Lion: beta1 is 0 or more, and less than 1, not 1"),
        (lambda: nn.Lion(weight_decay=-1), "Lion: weight_decay is 0 or more, not -1"),
        (lambda: nn.Nadam(momentum_decay=-1), "Nadam: momentum_decay is 0 or more, not -1"),
        (lambda: nn.Adafactor(beta2_decay=0.5), "Adafactor: beta2_decay is 0 or less, not 0.5"),
        (lambda: nn.Adafactor(epsilon=math.inf), "Adafactor: epsilon is 0 or more, not inf"),
        (lambda: nn.Adafactor(clip_threshold=0.5), "Adafactor: clip_threshold is 1 or more, not 0.5"),
    ],
)
def test_bad_settings(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(gn.ValueRangeError, match=re.escape(words)):
        make()
