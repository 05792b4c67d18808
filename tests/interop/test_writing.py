"""Models of ONNX that are written, run by ONNX Runtime and checked against our own runs."""

from typing import Any

import numpy as np
import onnxruntime as ort

import graphnn as gn

Array = np.ndarray[Any, np.dtype[Any]]


def session(model: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_a_forward_pass_at_two_sizes() -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 3))
    w = g.parameter("w", [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    y = gn.softmax(gn.tanh(x @ w))
    run = session(gn.to_onnx({"y": y}))
    for size in (1, 5):
        fed = np.random.default_rng(size).normal(size=(size, 3))
        np.testing.assert_allclose(run.run(["y"], {"x": fed})[0], gn.run(y, {x: fed}), rtol=1e-12)
