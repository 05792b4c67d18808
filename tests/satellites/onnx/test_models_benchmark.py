"""The benchmark of models of ONNX reads them, compares them, and calls them by their packages."""

import runpy
from pathlib import Path

import pytest
from onnx import parser
from test_benchmarks import HERE


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("m (float[n, k] x) => (float[n, k] y) {y = Relu(x)}", "open"),
        ("m (float[2, 3] x) => (float[2, 3] y) {y = Relu(x)}", "numbers"),
        ("m (float[t, n, 2] x, float[1,8,2] w) => (float[t, 1, n, 2] y) {y = LSTM<hidden_size=2>(x, w, w)}", "open"),
        ("m (float[n] x) => (float[a] y) <float[1] s = {1.5}> {y = Resize(x, , s)}", "given"),
    ],
)
def test_models_are_read_and_compared_at_two_sizes(
    text: str, sizes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    models = runpy.run_path(str(HERE / "models.py"))
    path = tmp_path / "m.onnx"
    path.write_bytes(parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}').SerializeToString())
    found = models["checked"](path)
    assert (found["sizes"], len(found["gaps"])) == (sizes, 1 if sizes == "numbers" else 2)
    assert max(found["gaps"]) < 1e-6
    times = dict.fromkeys(models["ENGINES"], 0.5)
    assert models["row"]("m", found | {"times": times})["native plan"] == 1


def test_models_are_called_by_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    for name in ("a/b/m.onnx", "a/c/m.onnx", "n.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = runpy.run_path(str(HERE / "model_inputs.py"))["files_in"](tmp_path)
    assert [name for name in found if not name.startswith("onnx/")] == ["a/m.onnx", "a/c/m.onnx", "n.onnx"]
    assert sum(name.startswith("onnx/light_") for name in found) == 9
