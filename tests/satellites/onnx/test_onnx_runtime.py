"""Models of ONNX against ONNX Runtime, node by node."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

import graphnn as gn
from graphnn.core import fn
from graphnn.onnx.rule_registry import RULES

TEXT = """<ir_version: 8, opset_import: ["": 17]>
scores (float[n, 3] x) => (float[n, 2] y) <float[3, 2] w = {1.5, -2, 0.25, 4, -1, 3}, float[2] b = {0.5, -0.5}>
{h = MatMul(x, w) z = Add(h, b) e = Exp(z) y = Softmax<axis=1>(e)}
"""
X = np.array([[0.5, -1.0, 2.0], [1.0, 0.25, -0.75]], np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "scores.onnx"
    file.write_bytes(parser.parse_model(TEXT).SerializeToString())
    return file


def test_a_model_agrees_with_the_runtime_at_every_node(path: Path) -> None:
    found = gn.compare(gn.from_onnx(path), feed={"x": X}, runtime="onnxruntime")
    assert found.equal
    assert "4 nodes compared" in str(found)


def test_the_first_node_that_differs_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(RULES["", "Exp"], function=lambda call, x: fn.exp(x) * 1.5)
    monkeypatch.setitem(RULES, ("", "Exp"), wrong)
    found = gn.compare(gn.from_onnx(path), feed={"x": X}, runtime="onnxruntime")
    assert not found.equal
    assert found.first is not None
    assert found.first.node.name == "Exp/multiply"


def test_what_lies_between_two_compared_values_is_gone_through_once() -> None:
    steps = "".join(f"a{i} = Sigmoid(h{i}) b{i} = Tanh(h{i}) h{i + 1} = Mul(a{i}, b{i}) " for i in range(40))
    text = f"""<ir_version: 8, opset_import: ["": 17, "own": 1]> m (float[n] h0) => (float[n] y) {{y = own.Steps(h0)}}
        <domain: "own", opset_import: ["": 17]> Steps (h0) => (h40) {{{steps}}}"""
    graph = gn.from_onnx(parser.parse_model(text))
    found = gn.compare(graph, feed={"h0": np.float32([0.5, -1])}, runtime="onnxruntime")
    assert (found.equal, found.counts.equal + found.counts.within) == (True, 1)


def test_values_in_groups_are_those_of_one_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphnn.onnx.onnx_runtimes._AT_ONCE", 1)
    assert gn.compare(gn.from_onnx(path), feed={"x": X}, runtime="onnxruntime").equal


def test_a_graph_that_was_not_read_has_no_runtime() -> None:
    x = gn.Graph().placeholder("x", 2)
    with pytest.raises(TypeError, match="was not read from anything that onnxruntime runs"):
        gn.compare(-x, feed={x: [1.0, 2.0]}, runtime="onnxruntime")


def test_a_model_agrees_with_the_reference_evaluator(path: Path) -> None:
    assert gn.compare(gn.from_onnx(path), feed={"x": X}, runtime="onnx.reference").equal


WRONG = {
    "BatchNormalization": "float[n, 2, 3] y) {y = BatchNormalization(x, s, b, b, s)}",
    "Softmax": "float[n, 2, 3] y) {y = Softmax(x)}",
    "LogSoftmax": "float[n, 2, 3] y) {y = LogSoftmax(x)}",
}
"""Models of opset 11 with one node, which the reference evaluator of ONNX 1.23 computes otherwise than ONNX says."""


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_reference_evaluator_computes_wrong_is_named(kind: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["": 11]>
        m (float[n, 2, 3] x) => ({WRONG[kind]}"""
    text = text.replace("{y", "{s = Constant<value = float[2] {2, 0.5}>() b = Constant<value = float[2] {1, -1}>() y")
    graph = gn.from_onnx(parser.parse_model(text))
    feed = {"x": np.arange(12, dtype=np.float32).reshape(2, 2, 3)}
    assert gn.compare(graph, feed=feed, runtime="onnxruntime").equal
    found = gn.compare(graph, feed=feed, runtime="onnx.reference")
    theirs = ReferenceEvaluator(parser.parse_model(text)).run(None, feed)[0]
    is_right = np.allclose(theirs, gn.run(graph.outputs["y"], feed), rtol=1e-4)
    assert found.equal == is_right
    assert is_right or (found.first is not None and found.first.node.name.startswith(f"{kind}/"))
