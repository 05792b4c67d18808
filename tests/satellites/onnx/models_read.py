"""Trainings of models that were read, with one fault or none, for the health check."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from faults_in_data import _LEAK
from faults_in_layers import _FIVE_DEAD, _maps
from faults_in_losses import _TWICE, _labelled
from faults_in_sequences import _COUNT, _LATER, _LENGTH, _UNITS
from faults_in_updates import _UPHILL, _names
from health_cases import Planted, Sound, either, fault, lines, sound
from health_parts import (
    Array,
    Rng,
    cross_entropy,
    curve,
    descent,
    images,
    points,
    sentences,
)
from onnx import TensorProto, helper, numpy_helper

import graphnn as gn
from graphnn import nn


def imported(fetches: dict[str, gn.Node]) -> gn.Graph:
    """Return what another program would read of a model: no layers, no names of nodes, but those of the weights."""
    model = gn.to_onnx(fetches)
    del model.metadata_props[:]
    for node in model.graph.node:
        node.name = ""
    return gn.from_onnx(model, trainable=True)


def exported(
    inputs: dict[str, tuple[Any, ...]], outputs: Sequence[str], weights: dict[str, Array], *nodes: tuple[Any, ...]
) -> gn.Graph:
    """Return a model that is written in ONNX's own operations, as exporters of other libraries write it.

    A node is (operation, operands, result) or (operation, operands, result, attributes).
    """
    made = [helper.make_node(n[0], n[1].split(), [n[2]], **(n[3] if len(n) > 3 else {})) for n in nodes]
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return gn.from_onnx(model, trainable=True)


def of_op(graph: gn.Graph, scope: str) -> set[str]:
    """Return the nodes that came from ONNX's nodes of this kind."""
    return {name for name in graph.dag if name.partition("/")[0].partition("_")[0] == scope}


@fault("dead channels, read", "cnn", "onnx", _FIVE_DEAD)
def dead_channels_read(rng: Rng) -> Planted:
    X, Y = _maps(rng)
    g = exported(
        {"x": ("batch", 2, 8, 10)},
        ["z"],
        {
            "conv.weight": rng.normal(size=(5, 2, 3, 3)) * 0.2,
            "conv.bias": np.full(5, either(-9.0, 0.0)),
            "fc.weight": rng.normal(size=(3, 400)) * 0.05,
            "fc.bias": np.zeros(3),
        },
        ("Conv", "x conv.weight conv.bias", "c", {"pads": [1, 1, 1, 1]}),
        ("Relu", "c", "r"),
        ("Flatten", "r", "f"),
        ("Gemm", "f fc.weight fc.bias", "z", {"transB": 1}),
    )
    y = g.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(g.outputs["z"], y)
    step = gn.compile(loss, nn.SGD(0.05).updates(loss))
    return Planted(step, {"x": X, y: Y}, {"conv.bias", "Conv/add", "Relu/relu"})


@fault("a scale that explodes in a network that was read", "cnn", "onnx", r"scale|large|times|explod")
def scale_read(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 4)
    g = exported(
        {"x": ("batch", 1, 8, 8)},
        ["z"],
        {
            "conv1.weight": rng.normal(size=(8, 1, 3, 3)) / 3,
            "conv2.weight": rng.normal(size=(8, 8, 3, 3)) * either(2e4, 0.2),
            "fc.weight": rng.normal(size=(4, 8)) / 3,
            "fc.bias": np.zeros(4),
        },
        ("Conv", "x conv1.weight", "c1", {"pads": [1, 1, 1, 1]}),
        ("Relu", "c1", "r1"),
        ("Conv", "r1 conv2.weight", "c2", {"pads": [1, 1, 1, 1]}),
        ("Relu", "c2", "r2"),
        ("GlobalAveragePool", "r2", "a"),
        ("Flatten", "a", "f"),
        ("Gemm", "f fc.weight fc.bias", "z", {"transB": 1}),
    )
    y = g.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(g.outputs["z"], y)
    at = {"conv2.weight", *(name for name in g.dag if name.startswith("Conv_2/"))}
    return Planted(gn.compile(loss, nn.SGD(0.01).updates(loss)), {"x": X, y: Y}, at)


@fault("a softmax over the batch in a network that was read", "mlp", "onnx", r"batch|axis|row|sample")
def softmax_over_batch_read(rng: Rng) -> Planted:
    X, Y = points(rng, 40, 6, 4)
    g = exported(
        {"x": ("batch", 6)},
        ["p"],
        {"w1": rng.normal(size=(6, 16)) / 2.4, "b1": np.zeros(16), "w2": rng.normal(size=(16, 4)) / 4},
        ("MatMul", "x w1", "m"),
        ("Add", "m b1", "a"),
        ("Relu", "a", "h"),
        ("MatMul", "h w2", "z"),
        ("Softmax", "z", "p", {"axis": either(0, 1)}),
    )
    y = g.placeholder("y", ("batch",), np.int64)
    loss = -gn.mean(gn.log(gn.pick(g.outputs["p"], y) + 1e-9))
    return Planted(gn.compile(loss, nn.SGD(0.1).updates(loss)), {"x": X, y: Y}, of_op(g, "Softmax"))


@fault("a model with a softmax, read, before softmax_crossentropy", "cnn", "onnx", _TWICE, fixed=True)
def softmax_twice_read(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    g = exported(
        {"x": ("batch", 1, 8, 8)},
        ["p", "z"],
        {
            "conv.weight": rng.normal(size=(5, 1, 3, 3)) * 0.3,
            "conv.bias": np.zeros(5),
            "fc.weight": rng.normal(size=(3, 320)) * 0.05,
            "fc.bias": np.zeros(3),
        },
        ("Conv", "x conv.weight conv.bias", "c", {"pads": [1, 1, 1, 1]}),
        ("Relu", "c", "r"),
        ("Flatten", "r", "f"),
        ("Gemm", "f fc.weight fc.bias", "z", {"transB": 1}),
        ("Softmax", "z", "p", {"axis": -1}),
    )
    y = g.placeholder("y", ("batch",), np.int64)
    with lines(g) as at:
        loss = nn.softmax_crossentropy(g.outputs[either("p", "z")], y)
    step = gn.compile(loss, nn.SGD(0.05).updates(loss))
    return Planted(step, {"x": X, y: Y}, at | of_op(g, "Softmax"))


@fault("a model with a softmax, read with its cross-entropy", "mlp", "onnx", _TWICE)
def softmax_twice_all_read(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 6, 4)
    _, x, y = _labelled("float32")
    h = nn.Sequential(nn.Dense(16, rng=rng), nn.Tanh(), nn.Dense(4, rng=rng))(x)
    h = either(gn.softmax, lambda h: h)(h)
    read = imported({"loss": cross_entropy(h, y)})
    loss, dag = read.outputs["loss"], list(read.dag)
    at = set(dag[next(i for i, name in enumerate(dag) if name.startswith("Exp")) - 2 :])
    return Planted(gn.compile(loss, nn.SGD(0.1).updates(loss)), {"x": X, "y": Y}, at)


@fault("a network that was read, less a row of targets", "mlp", "onnx", r"every|pair|broadcast")
def every_pair_read(rng: Rng) -> Planted:
    X, Y = curve(rng, 48, 5)
    g = exported(
        {"x": ("batch", 5)},
        ["out"],
        {"w1": rng.normal(size=(5, 16)) / 2.2, "b1": np.zeros(16), "w2": rng.normal(size=(16, 1)) / 4},
        ("MatMul", "x w1", "m"),
        ("Add", "m b1", "a"),
        ("Tanh", "a", "h"),
        ("MatMul", "h w2", "out"),
    )
    t = g.placeholder("t", ("batch",))
    with lines(g) as at:
        error = (g.outputs["out"] if either(True, False) else g.outputs["out"][:, 0]) - t
    loss = gn.mean(gn.square(error))
    return Planted(gn.compile(loss, nn.SGD(0.05).updates(loss)), {"x": X, t: Y}, at)


@fault("the label as a one-hot row, in a network that was read", "mlp", "onnx", _LEAK)
def label_row_read(rng: Rng) -> Planted:
    X, Y = points(rng, 64, 5, 3)
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", 8))
    net = nn.Sequential(nn.Dense(16, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))
    g = imported({"z": net(x)})
    y = g.placeholder("y", ("batch",), np.int64)
    with lines(g) as at:
        loss = cross_entropy(g.outputs["z"], y)
    step = gn.compile(loss, descent(loss, list(g.parameters)))
    return Planted(
        step, {"x": np.concatenate([X, np.eye(3)[either(Y, rng.integers(0, 3, 64))]], axis=1), y: Y}, at | {"x", y.name}
    )


@fault("gradient ascent of a network that was read", "cnn", "onnx", _UPHILL)
def ascent_read(rng: Rng) -> Planted:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", 1, 8, 8))
    net = nn.Sequential(nn.Conv2D(6, 3, rng=rng), nn.ReLU(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3, rng=rng))
    g = imported({"z": net(x)})
    y = g.placeholder("y", ("batch",), np.int64)
    loss = cross_entropy(g.outputs["z"], y)
    slopes = gn.grad(loss, list(g.parameters))
    with lines(g) as at:
        updates = {w: w + either(0.05, -0.05) * d for w, d in zip(g.parameters, slopes, strict=True)}
    return Planted(gn.compile(loss, updates), {"x": X, y: Y}, at | _names(updates))


@fault("no causal mask in a transformer that was read", "transformer", "onnx", _LATER, fixed=True)
def no_mask_read(rng: Rng) -> Planted:
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", _LENGTH), np.int64)
    h = nn.PositionEmbedding(_LENGTH, rng=rng)(nn.Embedding(_COUNT, _UNITS, rng=rng)(x))
    h = nn.TransformerBlock(2, 32, causal=either(False, True), rng=rng)(h)
    g = imported({"z": nn.Dense(_COUNT, rng=rng)(h)})
    at = set(g.dag) - {"x"} - {node.name for node in g.parameters} - {g.outputs["z"].name}
    y = g.placeholder("y", ("batch", _LENGTH), np.int64)
    loss = nn.softmax_crossentropy(g.outputs["z"], y)
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    return Planted(gn.compile(loss, nn.SGD(0.05).updates(loss)), {"x": tokens[:, :-1], y: tokens[:, 1:]}, at)


@sound("a network that was read", "mlp", "onnx", fixed=True)
def layers_read(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 3)
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", 8))
    g = imported({"z": nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)})
    y = g.placeholder("y", ("batch",), np.int64)
    loss = nn.softmax_crossentropy(g.outputs["z"], y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {"x": X, y: Y})


@sound("a convolutional network that was read", "cnn", "onnx", fixed=True)
def convolutions_read(rng: Rng) -> Sound:
    X, Y = images(rng, 32, 1, 8, 8, 3)
    g = exported(
        {"x": ("batch", 1, 8, 8)},
        ["z"],
        {
            "conv.weight": rng.normal(size=(6, 1, 3, 3)) / 3,
            "conv.bias": np.zeros(6),
            "fc.weight": rng.normal(size=(3, 96)) / 10,
            "fc.bias": np.zeros(3),
        },
        ("Conv", "x conv.weight conv.bias", "c", {"pads": [1, 1, 1, 1]}),
        ("Relu", "c", "r"),
        ("MaxPool", "r", "m", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Flatten", "m", "f"),
        ("Gemm", "f fc.weight fc.bias", "z", {"transB": 1}),
    )
    y = g.placeholder("y", ("batch",), np.int64)
    loss = cross_entropy(g.outputs["z"], y)
    return Sound(gn.compile(loss, descent(loss, list(g.parameters), 0.05)), {"x": X, y: Y})


@sound("a model with a softmax, read, and its likelihood", "mlp", "onnx")
def softmax_read(rng: Rng) -> Sound:
    X, Y = points(rng, 64, 8, 3)
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", 8))
    g = imported({"p": gn.softmax(nn.Sequential(nn.Dense(16, rng=rng), nn.Tanh(), nn.Dense(3, rng=rng))(x))})
    y = g.placeholder("y", ("batch",), np.int64)
    loss = nn.categorical_crossentropy(g.outputs["p"], y)
    return Sound(gn.compile(loss, nn.Adam(0.01).updates(loss)), {"x": X, y: Y})


@sound("a transformer that was read", "transformer", "onnx", fixed=True)
def gpt_read(rng: Rng) -> Sound:
    tokens = sentences(rng, 24, _LENGTH + 1, _COUNT)
    g = gn.Graph(dtype="float32")
    x = g.placeholder("x", ("batch", _LENGTH), np.int64)
    h = nn.PositionEmbedding(_LENGTH, rng=rng)(nn.Embedding(_COUNT, _UNITS, rng=rng)(x))
    h = nn.TransformerBlock(2, 32, causal=True, rng=rng)(h)
    g = imported({"z": nn.Dense(_COUNT, rng=rng)(h)})
    y = g.placeholder("y", ("batch", _LENGTH), np.int64)
    loss = nn.softmax_crossentropy(g.outputs["z"], y)
    return Sound(gn.compile(loss, nn.Adam(0.003).updates(loss)), {"x": tokens[:, :-1], y: tokens[:, 1:]})
