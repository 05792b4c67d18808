"""bfloat16 in ONNX: written as it is, computed by ONNX Runtime as here, and read back as graphnn wrote it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

import graphnn as gn
from graphnn import nn


def test_what_is_bfloat16_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    g = gn.Graph(dtype="bfloat16")
    x = g.placeholder("x", ("batch", 4), dtype="float32")
    y = nn.Sequential(nn.Dense(8), nn.ReLU(), nn.Dense(2))(x)
    short = gn.cast(gn.transpose(gn.cast(y * 1.1, "bfloat16")), "float32")
    file = tmp_path / "short.onnx"
    gn.to_onnx({"y": y, "short": short}, file)
    proto = onnx.load(file)
    onnx.checker.check_model(proto)
    assert [tensor.data_type for tensor in proto.graph.initializer][:4] == [onnx.TensorProto.BFLOAT16] * 4
    feed = {"x": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)}
    expected = gn.run([y, short], feed)
    for own, other in zip(expected, onnxruntime.InferenceSession(file).run(None, feed), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-6)
    copy = gn.from_onnx(file)
    assert {node.name: node.spec for node in copy} == {node.name: node.spec for node in g}
    for own, other in zip(expected, gn.run([copy.outputs["y"], copy.outputs["short"]], feed), strict=True):
        np.testing.assert_array_equal(own, other)


def test_bfloat16_of_another_writer_is_read_as_float32(tmp_path: Path) -> None:
    helper = onnx.helper
    half = onnx.TensorProto.BFLOAT16
    w = helper.make_tensor("w", half, [2], [0.5, 3.0])
    nodes = [
        helper.make_node("Add", ["x", "w"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    given, made = helper.make_tensor_value_info("x", half, [2]), helper.make_tensor_value_info("y", 1, [2])
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [given], [made], [w])), tmp_path / "a.onnx")
    g = gn.from_onnx(tmp_path / "a.onnx")
    assert {node.dtype for node in g} == {np.dtype("float32")}
    np.testing.assert_array_equal(gn.run(g.outputs["y"], {"x": [1.0, 2.0]}), [1.5, 5.0])
