"""What the gradient of a million nodes costs, figures printed and held to their limits.

``make bench-scale ARGS="tests/benchmarks/test_deep_gradients.py -s"``.
"""

import pytest
from test_scale import NODES, PRELUDE, measured, show

CHAIN = (
    PRELUDE
    + """
def build():
    h = x
    for _ in range(count):
        h = gn.sin(h) if kind == "sin" else h * c
    return h

g = gn.Graph()
x, c = g.placeholder("x"), g.parameter("c", 0.9999999)
h = timed("build", build)
wrt, feed = (x, {x: 0.5}) if kind == "sin" else (c, {x: 0.5})
slope = timed("grad", lambda: gn.grad(h, wrt))
GB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
value = timed("run", lambda: gn.run(slope, feed))
assert sys.getrecursionlimit() == limit

exact, at = 1.0, 0.5
if kind == "sin":
    for _ in range(count):
        exact, at = exact * np.cos(at), np.sin(at)
else:
    exact = 0.5 * count * 0.9999999 ** (count - 1)
print(json.dumps({
    "nodes": len(g), "seconds": seconds, "GB": GB, "error": abs(float(value) / exact - 1),
    "GB with the run": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
}))
"""
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("kind", "nodes"), [("sin", 3 * NODES + 3), ("multiply", 4 * NODES + 1)])
def test_the_gradient_of_a_chain_of_a_million_nodes(kind: str, nodes: int) -> None:
    result = measured(CHAIN, NODES, kind)
    show(f"h = {'sin(h)' if kind == 'sin' else 'h * c'}", result)
    assert result["nodes"] == nodes
    assert result["error"] < 1e-8
    assert result["seconds"]["grad"] <= 60
    assert result["GB with the run"] <= 8
