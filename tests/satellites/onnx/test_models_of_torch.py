"""ONNX models that PyTorch wrote: values and every gradient against PyTorch's own figures, which the data hold."""

import re
from pathlib import Path

import numpy as np
import pytest

import graphnn as gn

DATA = Path(__file__).parents[2] / "data" / "torch_modules"
NAMES = sorted(path.stem for path in DATA.glob("*.onnx"))


def weights_of(shape: tuple[int, ...]) -> np.ndarray:
    """Return what the elements of an output are multiplied by, as `make_torch_modules.py` does."""
    return np.sin(1 + np.arange(np.prod(shape))).reshape(shape).astype(np.float32)


def test_there_are_ten_modules_and_more() -> None:
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_pytorch(name: str) -> None:
    figures = dict(np.load(DATA / f"{name}.npz"))
    wanted = {key.removeprefix("gradient/"): value for key, value in figures.items() if key.startswith("gradient/")}
    g = gn.from_onnx(DATA / f"{name}.onnx", trainable=True)
    (output,) = g.outputs.values()
    feed = {node: figures[f"input/{k}"] for k, node in enumerate(g.placeholders)}
    slopes = gn.grad(gn.sum(output * weights_of(output.shape)), {key: g[key] for key in wanted})
    found = gn.run({"output": output, **slopes}, feed)
    for key, value in {"output": figures["output"], **wanted}.items():
        assert np.abs(found[key] - value).max() <= 1e-5 * np.abs(value).max(), key


@pytest.mark.parametrize("name", ["attention", "convolutional", "decoder", "encoder", "residual", "separable", "texts"])
def test_values_in_between_are_those_of_pytorch(name: str) -> None:
    figures = dict(np.load(DATA / f"{name}.npz"))
    values = {key.removeprefix("value/"): value for key, value in figures.items() if key.startswith("value/")}
    g = gn.from_onnx(DATA / f"{name}.onnx")
    theirs = {key: value for key, value in values.items() if key in g.scopes and g[key].shape == value.shape}
    assert theirs
    feed = {node: figures[f"input/{k}"] for k, node in enumerate(g.placeholders)}
    found = gn.compare(gn.trace(g.outputs, feed), theirs)
    assert found.equal, found


def test_why_names_the_line_of_the_pytorch_program() -> None:
    g = gn.from_onnx(DATA / "attention.onnx")
    trace = gn.trace(g.outputs, {node: np.ones(node.shape, np.float32) for node in g.placeholders})
    source = (DATA.parent / "make_torch_modules.py").read_text(encoding="utf-8").splitlines()
    softmax = next(node for node in g if ".softmax" in source[node.origin.line - 1] and node.op.name == "divide")
    told = str(trace.why(softmax, (0, 0, 1, 0)))
    line = re.search(r"make_torch_modules\.py:(\d+)", told)
    assert line, told
    assert ".softmax(-1)" in source[int(line[1]) - 1]


def test_scopes_are_called_as_the_modules_are() -> None:
    g = gn.from_onnx(DATA / "encoder.onnx", trainable=True)
    assert {"self_attn", "linear1", "linear2", "norm1", "norm2"} <= set(g.scopes)
    assert "self_attn.in_proj_weight" in {node.name for node in g.parameters}
