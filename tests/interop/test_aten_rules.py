"""Operations of PyTorch that ONNX lacks, at their edges; `test_torch_modules.py` holds the rest against PyTorch."""

import numpy as np
from onnx import TensorProto, helper

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
