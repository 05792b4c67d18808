"""Memory of what edges of a graph bring to its nodes."""

import math

import pytest
from onnx import parser

import graphnn as gn


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
