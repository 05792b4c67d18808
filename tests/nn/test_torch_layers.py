"""Every layer against PyTorch's, in float64: results, all gradients, 50 steps of SGD, and the result in evaluation.

The figures are made by tests/data/make_torch_layers.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.nn.state import Held

STEPS, RATE = 50, 0.05
Make = Callable[[], nn.Layer]


def plainly(layer: nn.Layer, *inputs: gn.Node, training: bool) -> Any:
    return layer(*inputs, training=training)


CASES: dict[str, tuple[Make, Callable[..., Any]]] = {
    "batch_norm": (lambda: nn.BatchNorm(), plainly),
    "batch_norm_2d": (lambda: nn.BatchNorm(momentum=0.3, epsilon=1e-3), plainly),
    "layer_norm": (lambda: nn.LayerNorm(), plainly),
    "layer_norm_2": (lambda: nn.LayerNorm((-2, -1), epsilon=1e-3), plainly),
    "group_norm": (lambda: nn.GroupNorm(2), plainly),
    "group_norm_flat": (lambda: nn.GroupNorm(2), plainly),
    "rms_norm": (lambda: nn.RMSNorm(), plainly),
    "instance_norm": (lambda: nn.InstanceNorm(), plainly),
    "instance_norm_weighted": (lambda: nn.InstanceNorm(use_weight=True, use_bias=True), plainly),
}


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, Any]]:
    with np.load(Path(__file__).parents[1] / "data" / "torch_layers.npz") as file:
        found: dict[str, dict[str, Any]] = {}
        for key in file.files:
            case, _, rest = key.partition("/")
            found.setdefault(case, {})[rest] = file[key]
    return found


def part(of: dict[str, Any], kind: str) -> dict[str, Any]:
    return {key.removeprefix(f"{kind}/"): array for key, array in of.items() if key.startswith(f"{kind}/")}


def test_every_case_has_figures(figures: dict[str, dict[str, Any]]) -> None:
    assert figures.keys() == CASES.keys()


@pytest.mark.parametrize("case", CASES)
def test_a_layer_equals_that_of_pytorch(case: str, figures: dict[str, dict[str, Any]]) -> None:
    make, call = CASES[case]
    own = figures[case]
    g = gn.Graph()
    given = part(own, "in")
    inputs = [
        g.placeholder(f"x{i}", ("batch", *array.shape[1:]), array.dtype) for i, array in enumerate(given.values())
    ]
    feed = dict(zip(inputs, given.values(), strict=True))
    layer = make()
    layer.load(part(own, "state"), layout="torch")
    results = call(layer, *inputs, training=True)
    results = list(results) if isinstance(results, tuple) else [results]
    loss = gn.sum(
        gn.stack([gn.mean(gn.square(y - t)) for y, t in zip(results, part(own, "target").values(), strict=True)])
    )
    sloped = [inputs[int(i)] for i in part(own, "slope")]
    parameters = {path: node for path, node in Held(layer).nodes.items() if node.trainable}
    slopes = gn.grad(loss, [*sloped, *parameters.values()]) if sloped or parameters else []
    found, found_slopes = gn.run([results, slopes], feed)

    def close(a: Any, b: Any, what: str) -> None:
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10, err_msg=what)

    for i, array in part(own, "out").items():
        close(found[int(i)], array, f"result {i}")
    for (i, array), slope in zip(part(own, "slope").items(), found_slopes, strict=False):
        close(slope, array, f"slope {i}")
    expected = Held(layer).named(part(own, "grad"), "torch")
    assert expected.keys() == parameters.keys()
    for path, slope in zip(parameters, found_slopes[len(sloped) :], strict=True):
        close(slope, expected[path], f"gradient of {path}")

    updates = nn.SGD(RATE).updates(loss) if parameters else {}
    step = gn.compile(loss, updates=updates)
    for _ in range(STEPS):
        step(feed)
    after = Held(layer).named(part(own, "after"), "torch")
    state = layer.state()
    assert after.keys() == state.keys()
    for path, array in after.items():
        close(state[path], array, f"{path} after {STEPS} steps")
    evaluated = call(layer, *inputs, training=False)
    close(gn.run(evaluated, feed)[0] if isinstance(evaluated, tuple) else gn.run(evaluated, feed), own["evaluated"], "")
