"""Models of ONNX against ONNX Runtime, node by node; and as targets of commands."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

import graphnn as gn
from graphnn import cli
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


def test_commands_take_models(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(path.with_name("x.npy"), X)
    assert cli.main(["run", str(path), "--input", f"x={path.with_name('x.npy')}", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    z = np.exp(X @ np.array([[1.5, -2], [0.25, 4], [-1, 3]]) + [0.5, -0.5])
    z -= z.max(1, keepdims=True)
    np.testing.assert_allclose(
        shown["values"]["y"]["value"], np.exp(z) / np.exp(z).sum(1, keepdims=True), rtol=1e-4, atol=1e-6
    )
    assert cli.main(["compare", str(path), "--runtime", "onnxruntime", "--size", "n=2"]) == 0
    assert "random numbers are the input for x" in capsys.readouterr().err
    assert cli.main(["summary", str(path)]) == 0
    assert "MatMul" in capsys.readouterr().out
    assert cli.main(["run", str(path), "--size", "m=2"]) == 1
    assert 'the model has no dimension "m"' in capsys.readouterr().err


def test_a_model_is_converted_to_a_graph_and_back(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph, again = path.with_suffix(".gnn"), path.with_name("again.onnx")
    assert cli.main(["convert", str(path), str(graph)]) == 0
    assert cli.main(["convert", str(graph), str(again)]) == 0
    y = gn.run(gn.from_onnx(path).outputs["y"], {"x": X})
    np.testing.assert_allclose(gn.run(gn.from_onnx(again).outputs["y"], {"x": X}), y, rtol=1e-6)
    assert cli.main(["convert", str(path), "somewhere.else"]) == 2
    assert "ends neither in .onnx nor in .gnn" in capsys.readouterr().err


def test_a_model_agrees_with_the_reference_evaluator(path: Path) -> None:
    assert gn.compare(gn.from_onnx(path), feed={"x": X}, runtime="onnx.reference").equal


def test_an_input_of_another_number_of_axes_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> m (float[n, k] x, float[k] b) => (float[n, k] y) {y = Add(x, b)}'
    np.save(tmp_path / "x.npy", np.zeros(3, np.float32))
    assert cli.main(["run", _model(tmp_path, text), "--input", f"x={tmp_path / 'x.npy'}"]) == 1
    assert '"x"' in capsys.readouterr().err


WINDOWED = """<ir_version: 8, opset_import: ["": 17]>
bands (float[batch, 1, n] x, float[3, 1, 400] w) => (float[batch, 3, m] y)
{c = Conv<strides=[160]>(x, w) y = Relu(c)}
"""
TRACED = """<ir_version: 8, opset_import: ["": 17]>
traced (float[batch, n, 2] x) => (float[batch, 14] y) <int64[2] flat = {-1, 14}>
{y = Reshape(x, flat)}
"""
NOT_ANY = """<ir_version: 8, opset_import: ["": 17]>
at_77 (float[1, n] x, float[1, 77] p) => (float[1, m] y) <int64[2] flat = {1, 77}>
{f = Reshape(x, flat) y = Add(f, p)}
"""
OVER_STEPS = """<ir_version: 8, opset_import: ["": 17]>
steps (float[s] x) => (float[n] y)
<int64[1] zero = {0}>
{t = Shape(x) y = Slice(x, zero, t, zero, t)}
"""


def _model(folder: Path, text: str) -> str:
    (folder / "m.onnx").write_bytes(parser.parse_model(text).SerializeToString())
    return str(folder / "m.onnx")


@pytest.mark.parametrize(
    ("text", "n", "shape"), [(WINDOWED, 512, [1, 3, 1]), (TRACED, 224, [32, 14]), (TEXT, None, [1, 2])]
)
def test_commands_find_sizes_that_a_model_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, n: int | None, shape: list[int]
) -> None:
    assert cli.main(["run", _model(tmp_path, text), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["values"]["y"]["shape"] == shape
    assert f"with {'batch = 1, ' if n else ''}n = {n or 1} (--size says otherwise)" in shown.err


def test_where_no_size_fits_the_commands_ask_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _model(tmp_path, NOT_ANY)
    assert cli.main(["check", path]) == 2
    shown = capsys.readouterr().err
    assert "does not take the usual sizes for n: give --size n=N, or inputs with --feed. Where n = 32, " in shown
    assert "into (1, 77)" in shown
    assert cli.main(["check", path, "--size", "n=77"]) == 0


def test_a_size_that_must_be_known_is_asked_for_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["summary", _model(tmp_path, OVER_STEPS)]) == 1
    asked = 'depends on the size s; fix it: from_onnx(…, sizes={"s": …}), or --size s=… of a command'
    assert asked in capsys.readouterr().err


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


BRANCHED = """<ir_version: 8, opset_import: ["": 17]>
by_rate (float[1, n] x, int64 sr) => (float[1, m] y) <int64 fast = {16000}, int64[2] row = {1, 3}>
{f = Equal(sr, fast)
 y = If<then_branch = t () => (a) {a = Neg(x)}, else_branch = e () => (b) {c = Reshape(x, row) b = Exp(c)}>(f)}
"""


def test_a_value_of_an_input_decides_a_branch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _model(tmp_path, BRANCHED)
    assert cli.main(["run", path, "--size", "n=4"]) == 1
    assert 'an If chooses by sr: values={"sr": …}, or --value sr=… of a command' in capsys.readouterr().err
    assert cli.main(["run", path, "--size", "n=4", "--value", "sr=16000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"]["y"]["shape"] == [1, 4]
    assert cli.main(["summary", path, "--value", "sr=8000", "--size", "n=3"]) == 0
    assert "Exp" in capsys.readouterr().out
    assert cli.main(["summary", path, "--value", "sr=16000"]) == 0
    assert cli.main(["summary", _model(tmp_path, WINDOWED), "--size", "n=512"]) == 0  # batch is open still
    _model(tmp_path, BRANCHED)
    for wrong, why in {"sr=1.5": "is int64, and its value float64", "q=1": 'has no input "q"'}.items():
        assert cli.main(["run", path, "--value", wrong]) == 1
        assert why in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["run", path, "--value", "sr"])
    assert "sr is not NAME=NUMBER" in capsys.readouterr().err
    gn.save(gn.from_onnx(path, sizes={"n": 3}), tmp_path / "g.gnn")
    assert cli.main(["summary", str(tmp_path / "g.gnn"), "--value", "sr=1"]) == 2
    assert "--size and --value are for an ONNX model" in capsys.readouterr().err
