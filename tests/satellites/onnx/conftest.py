"""ONNX Runtime, against which what graphnn makes of models is held."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import parser

import graphnn as gn


@pytest.fixture
def check() -> Callable[..., gn.Graph]:
    """Return a function that reads a model and holds its outputs against ONNX Runtime's."""
    runtime = pytest.importorskip("onnxruntime")

    def same(
        text: str, feed: dict[str, Any], opset: int = 17, rtol: float = 1e-5, atol: float = 1e-5, **settings: Any
    ) -> gn.Graph:
        model = parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]> m {text}')
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        wanted = session.run(None, feed)
        graph = gn.from_onnx(model, **settings)
        given = {place.name: feed[place.name] for place in graph.placeholders}
        for found, expected in zip(gn.run(list(graph.outputs.values()), given), wanted, strict=True):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol)
        return graph

    return same
