"""Models of ONNX as targets of commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import test_onnx_runtime
from onnx import parser
from test_onnx_runtime import TEXT, X

import graphnn as gn
from graphnn import cli

path = test_onnx_runtime.path


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
