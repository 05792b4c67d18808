"""Steps on XLA and native plans of one graph: each reads what the other has made of the state."""

import numpy as np

import graphnn as gn


def test_a_native_plan_reads_what_is_on_the_device() -> None:
    g = gn.Graph()
    x, w = g.placeholder("x", ("n",)), g.parameter("w", np.full(3, 8.0))
    step = gn.compile(gn.sum(w) + gn.sum(x), {w: w * 0.5}, backend="jax")
    native = gn.compile(w * 1.0, {w: w + 1.0}, backend="native")
    for _ in range(4):
        native()
    for _ in range(3):
        step({x: np.zeros(2)})
    assert native().tolist() == [1.5] * 3
    assert float(step({x: np.zeros(2)})) == 7.5
