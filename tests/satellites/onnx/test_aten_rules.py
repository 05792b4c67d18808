"""Operations of PyTorch that ONNX lacks, at their edges; `test_torch_modules.py` holds the rest against PyTorch."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, parser

import graphnn as gn


def test_a_row_of_zeros_has_the_determinant_0_and_its_logarithm() -> None:
    matrices = np.random.default_rng(0).normal(size=(4, 3, 3))
    matrices[1, 2] = 0.0
    matrices[2] *= 1e-100
    nodes = [helper.make_node("_linalg_slogdet", ["a"], ["sign", "log"], domain="org.pytorch.aten")]
    given = [helper.make_tensor_value_info("a", TensorProto.DOUBLE, matrices.shape)]
    made = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [4]) for name in ("sign", "log")]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("org.pytorch.aten", 1)]
    graph = gn.from_onnx(helper.make_model(helper.make_graph(nodes, "m", given, made), opset_imports=opsets))
    with np.errstate(divide="ignore"):
        found = gn.run(list(graph.outputs.values()), {"a": matrices})
        for ours, exact in zip(found, np.linalg.slogdet(matrices), strict=True):
            np.testing.assert_allclose(ours, exact, rtol=1e-12)


SCATTERED = json.loads((Path(__file__).parents[2] / "data" / "torch_scatter.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "case", SCATTERED["cases"], ids=lambda case: f"{case['dtype']} {case['kind']} {case['include']}"
)
def test_numbers_are_scattered_as_in_pytorch(case: dict[str, Any]) -> None:
    x, src = (np.array(SCATTERED[name], case["dtype"]) for name in ("x", "src"))
    settings = {"dim": 1, "reduce": case["kind"], "include_self": int(case["include"])}
    node = helper.make_node("scatter_reduce", ["x", "at", "src"], ["y"], domain="org.pytorch.aten", **settings)
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    given = [helper.make_tensor_value_info(name, kind, each.shape) for name, each in (("x", x), ("src", src))]
    given.insert(1, helper.make_tensor_value_info("at", TensorProto.INT64, src.shape))
    made = [helper.make_tensor_value_info("y", kind, x.shape)]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("org.pytorch.aten", 1)]
    graph = gn.from_onnx(helper.make_model(helper.make_graph([node], "m", given, made), opset_imports=opsets))
    (found,) = gn.run(list(graph.outputs.values()), {"x": x, "at": np.array(SCATTERED["index"]), "src": src})
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, case["result"], rtol=1e-6)


@pytest.mark.parametrize("reduction", ["max", "min", "mul"])
def test_what_edges_bring_to_nodes_takes_no_more_memory_than_both(reduction: str) -> None:
    nodes, edges, width = 40, 70, 3
    text = (
        f"m (float[{nodes}, {width}] x, int64[{edges}, {width}] at, float[{edges}, {width}] u)"
        f' => (float[{nodes}, {width}] y) {{y = ScatterElements<axis=0, reduction="{reduction}">(x, at, u)}}'
    )
    graph = gn.from_onnx(parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}'))
    (y,) = graph.outputs.values()
    loss = gn.sum(gn.square(y))
    first = gn.grad(loss, [graph["x"], graph["u"]])
    gn.grad(gn.sum(gn.square(first[1])), graph["u"])
    assert max(math.prod(node.spec.shape) for node in graph) == edges * width
