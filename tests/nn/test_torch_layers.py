"""Every layer against PyTorch's, in float64: results, all gradients, 50 steps of SGD, and the result in evaluation.

The figures are made by tests/data/make_torch_layers.py.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.nn.layers.state_dict import Held

STEPS, RATE = 50, 0.05
Make = Callable[[], nn.Layer]


def plainly(layer: nn.Layer, *inputs: gn.Node, training: bool) -> Any:
    return layer(*inputs, training=training)


def flat(results: Any) -> Any:
    """Return the results of a recurrent layer and its last states in one tuple."""
    if not isinstance(results, tuple):
        return results
    y, states = results
    return (y, *states) if isinstance(states, tuple) else (y, states)


def masked(layer: nn.Layer, *inputs: gn.Node, training: bool) -> Any:
    return flat(layer(*inputs[:-1], mask=inputs[-1], training=training))


def from_states(layer: nn.Layer, x: gn.Node, *states: gn.Node, training: bool) -> Any:
    return flat(layer(x, initial_state=states, training=training))


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
    "conv_1d": (lambda: nn.Conv1D(3, 3, padding=1, dilation=2), plainly),
    "conv_2d": (lambda: nn.Conv2D(3, (3, 2), stride=2, padding=(1, 0)), plainly),
    "conv_2d_same": (lambda: nn.Conv2D(4, 3, padding="same", groups=2, use_bias=False), plainly),
    "conv_2d_depthwise": (lambda: nn.Conv2D(6, 2, groups=3), plainly),
    "conv_3d": (lambda: nn.Conv3D(2, 2, stride=(1, 2, 1)), plainly),
    "conv_transpose_1d": (lambda: nn.ConvTranspose1D(3, 3, stride=2, padding=1), plainly),
    "conv_transpose_2d": (lambda: nn.ConvTranspose2D(4, 3, 2, 1, 1, groups=2, dilation=2), plainly),
    "conv_transpose_3d": (lambda: nn.ConvTranspose3D(2, 2, use_bias=False), plainly),
    "max_pool_1d": (lambda: nn.MaxPool1D(3, 2, padding=1), plainly),
    "max_pool_2d": (lambda: nn.MaxPool2D(2), plainly),
    "max_pool_3d": (lambda: nn.MaxPool3D((2, 1, 2), stride=1, dilation=(1, 1, 2)), plainly),
    "average_pool_1d": (lambda: nn.AveragePool1D(2), plainly),
    "average_pool_2d": (lambda: nn.AveragePool2D(3, 2, padding=1), plainly),
    "average_pool_2d_uncounted": (lambda: nn.AveragePool2D(3, 2, padding=1, count_include_pad=False), plainly),
    "average_pool_3d": (lambda: nn.AveragePool3D(2), plainly),
    "global_average_pool_2d": (lambda: nn.GlobalAveragePool2D(), plainly),
    "global_max_pool_1d": (lambda: nn.GlobalMaxPool1D(), plainly),
    "adaptive_average_pool_2d": (lambda: nn.AdaptiveAveragePool2D((2, 3)), plainly),
    "adaptive_average_pool_1d": (lambda: nn.AdaptiveAveragePool1D(3), plainly),
    "adaptive_max_pool_2d": (lambda: nn.AdaptiveMaxPool2D((2, 3)), plainly),
    "adaptive_max_pool_3d": (lambda: nn.AdaptiveMaxPool3D(2), plainly),
    "up_sample": (lambda: nn.UpSample((2, 3)), plainly),
    "up_sample_linear": (lambda: nn.UpSample(3, "linear"), plainly),
    "up_sample_bilinear": (lambda: nn.UpSample(2, "linear"), plainly),
    "network": (
        lambda: nn.Sequential(
            nn.Conv2D(4, 3, padding="same", use_bias=False),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.MaxPool2D(2),
            nn.Conv2D(3, 3, stride=2, use_bias=False),
            nn.BatchNorm(),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dense(12),
            nn.Dense(5),
        ),
        plainly,
    ),
    "embedding": (lambda: nn.Embedding(5, 3), plainly),
    "rnn": (lambda: nn.RNN(4), plainly),
    "rnn_relu": (lambda: nn.RNN(4, 2, activation="relu"), plainly),
    "lstm": (lambda: nn.LSTM(4), plainly),
    "lstm_no_bias": (lambda: nn.LSTM(4, use_bias=False), plainly),
    "lstm_states": (lambda: nn.LSTM(2, 2, bidirectional=True, return_state=True), from_states),
    "lstm_masked": (lambda: nn.LSTM(2, 2, bidirectional=True, return_state=True), masked),
    "gru": (lambda: nn.GRU(4, layers=2), plainly),
    "gru_states": (lambda: nn.GRU(2, bidirectional=True, return_state=True), from_states),
    "gru_masked": (lambda: nn.GRU(4, return_state=True), masked),
    "attention": (lambda: nn.MultiHeadAttention(2), plainly),
    "attention_causal": (lambda: nn.MultiHeadAttention(2, causal=True, use_bias=False), plainly),
    "attention_padded": (lambda: nn.MultiHeadAttention(1), masked),
    "attention_cross": (lambda: nn.MultiHeadAttention(2), masked),
    "transformer": (lambda: nn.TransformerBlock(2, 6), masked),
    "transformer_before": (lambda: nn.TransformerBlock(2, 6, True, norm="before", activation="gelu"), plainly),
}


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, Any]]:
    with np.load(Path(__file__).parents[1] / "data" / "torch_layers.npz") as file:
        values, places = file["values"], json.loads(str(file["places"]))
    found: dict[str, dict[str, Any]] = {}
    start = 0
    for key, (dtype, shape) in places.items():
        case, _, rest = key.partition("/")
        stop = start + math.prod(shape)
        found.setdefault(case, {})[rest] = values[start:stop].reshape(shape).astype(dtype)
        start = stop
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
        g.placeholder(f"x{i}", array.shape if "states" in case else ("batch", *array.shape[1:]), array.dtype)
        for i, array in enumerate(given.values())
    ]
    feed = dict(zip(inputs, given.values(), strict=True))
    layer = make()
    layer.load_state_dict(part(own, "state"), layout="torch")
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
    state = layer.state_dict()
    assert after.keys() == state.keys()
    for path, array in after.items():
        close(state[path], array, f"{path} after {STEPS} steps")
    evaluated = call(layer, *inputs, training=False)
    close(gn.run(evaluated, feed)[0] if isinstance(evaluated, tuple) else gn.run(evaluated, feed), own["evaluated"], "")
