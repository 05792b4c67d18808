"""The equation of an element of a convolution, and of other products of what was moved."""

import re
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import Trace


def _conv(x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, **settings: Any) -> tuple[Trace, gn.Node]:
    graph, rng = gn.Graph(), np.random.default_rng(0)
    given, kernel = graph.placeholder("x", x), graph.parameter("w", rng.normal(size=w))
    y = gn.conv(given, kernel, **settings)
    if bias:
        y = y + gn.reshape(graph.parameter("b", rng.normal(size=w[0])), (w[0], *[1] * (len(w) - 2)))
    gn.name(y, "y")
    return gn.trace(y, {given: rng.normal(size=x)}), y


@pytest.mark.parametrize(
    ("x", "w", "settings", "index", "symbols"),
    [
        ((1, 2, 9, 11), (4, 2, 3, 3), {}, (0, 3, 5, 7), "Σ x[0, :, 5:8, 7:10] · w[3] + b[3]"),
        ((2, 2, 9), (4, 2, 3), {}, (1, 2, 6), "Σ x[1, :, 6:] · w[2] + b[2]"),
        ((1, 1, 9, 9), (2, 1, 3, 3), {"stride": 2}, (0, 1, 2, 3), "Σ x[0, 0, 4:7, 6:] · w[1, 0] + b[1]"),
        ((1, 2, 9, 9), (2, 2, 3, 2), {"dilation": 2}, (0, 1, 2, 3), "Σ x[0, :, 2:7:2, 3:6:2] · w[1] + b[1]"),
        ((1, 4, 9, 9), (6, 2, 3, 3), {"groups": 2}, (0, 5, 2, 3), "Σ x[0, 2:, 2:5, 3:6] · w[5] + b[5]"),
        ((1, 4, 9, 9), (4, 1, 3, 3), {"groups": 4}, (0, 2, 2, 3), "Σ x[0, 2, 2:5, 3:6] · w[2, 0] + b[2]"),
        ((1, 4, 9, 9), (3, 4, 1, 1), {}, (0, 2, 2, 3), "Σ x[0, :, 2, 3] · w[2, :, 0, 0] + b[2]"),
        ((1, 4, 9, 9), (3, 4, 1, 1), {"stride": 2}, (0, 2, 2, 3), "Σ x[0, :, 4, 6] · w[2, :, 0, 0] + b[2]"),
        ((1, 2, 9, 9), (4, 2, 3, 3), {"padding": 1}, (0, 3, 4, 4), "Σ x[0, :, 3:6, 3:6] · w[3] + b[3]"),
        # Beside the border, only what is not padding takes part.
        ((1, 2, 9, 9), (4, 2, 3, 3), {"padding": "same"}, (0, 3, 0, 8), "Σ x[0, :, :2, 7:] · w[3, :, 1:, :2] + b[3]"),
    ],
)
def test_an_element_of_a_convolution_names_window_and_kernel(
    x: Any, w: Any, settings: dict[str, Any], index: tuple[int, ...], symbols: str
) -> None:
    seen, y = _conv(x, w, **settings)
    why = seen.why(y, index)
    called, said, made, numbers = why.equation.split(" = ")
    assert (called, made) == (f"y[{', '.join(map(str, index))}]", symbols)
    assert [read.node.name for read in why.reads] == ["x", "w", "b"]
    window, kernel, bias = (np.array(read.values) for read in why.reads)
    assert kernel @ window + bias[0] == pytest.approx(why.value, rel=1e-12)
    assert float(said) == pytest.approx(why.value, rel=1e-3)
    assert re.search(r"\S+·\S+", numbers)
    dbg = gn.debug(seen)
    dbg.resume()
    assert dbg.why(y, index).equation == why.equation


def test_without_a_bias_the_sum_is_all() -> None:
    seen, y = _conv((1, 1, 4, 4), (1, 1, 2, 2), bias=False)
    equation = seen.why(y, (0, 0, 1, 2)).equation
    assert re.fullmatch(r"y\[0, 0, 1, 2\] = \S+ = Σ x\[0, 0, 1:3, 2:\] · w\[0, 0\] = .+", equation)
    assert equation.count("·") == 1 + 4


def test_other_products_of_what_was_moved() -> None:
    graph = gn.Graph()
    q, k = graph.placeholder("q", (2, 3, 4)), graph.placeholder("k", (2, 5, 4))
    scores = q @ gn.swapaxes(k, 1, 2)
    seen = gn.trace(scores, {q: np.ones((2, 3, 4)), k: np.ones((2, 5, 4))})
    assert "= Σ q[1, 2, :] · k[1, 4, :] = 1·1 + 1·1" in seen.why(scores, (1, 2, 4)).equation
    number = gn.einsum(",k->k", gn.reshape(gn.sum(q), ()), k[0, 0])
    read = gn.trace(number, {q: np.ones((2, 3, 4)), k: np.ones((2, 5, 4))}).why(number, 1)
    assert read.equation == "einsum[1] = 24 = Σ sum · k[0, 0, 1] = 24·1"
    plain = gn.trace(q @ graph.constant(np.ones((4, 2))), {q: np.ones((2, 3, 4))})
    assert "Σ" not in plain.why(plain.order[-1], (0, 0, 0)).equation, "nothing was moved"


def test_a_what_if_on_a_kernel_recomputes_what_depends_on_it() -> None:
    seen, _y = _conv((1, 2, 9, 9), (4, 2, 3, 3), padding=1)
    kernel = seen["w"].value.copy()
    kernel[3, 0, 1, 1] = 5.0
    dbg = gn.debug(seen)
    dbg.resume()
    change = dbg.what_if("w", kernel)
    assert [node.op.name for node in change.recomputed] == ["reshape", "matmul", "reshape", "add"]
    assert {"pad", "windows", "transpose"} < {node.op.name for node in seen.order}, "these stand before the kernel"


def test_statistics_of_moved_elements_are_those_of_their_source() -> None:
    graph = gn.Graph()
    x, kernel = graph.placeholder("x", (2, 4, 20, 20)), graph.parameter("w", np.ones((3, 4, 3, 3)))
    seen = gn.trace(gn.conv(x, kernel, padding=1), {x: np.random.default_rng(0).normal(size=(2, 4, 20, 20))})
    taken = [record for record in seen if record.op.name in ("windows", "transpose", "reshape")]
    large = [record for record in taken if record.value.size == 2 * 4 * 9 * 400]
    assert [record.op.name for record in large] == ["windows", "transpose", "reshape"]
    assert len({id(record.stats) for record in large}) == 1, "computed once"
    for record in taken:
        value, stats = record.value, record.stats
        assert (stats.size, stats.min, stats.max) == (value.size, value.min(), value.max())
        assert (stats.mean, stats.std) == pytest.approx((value.mean(), value.std()))


def test_a_product_of_nothing_is_told() -> None:
    g = gn.Graph()
    x, y = g.placeholder("x", (1, 2, 0)), g.placeholder("y", (1, 0, 2))
    product = gn.einsum("abc,acb->a", x, y)
    trace = gn.trace(product, {x: np.zeros((1, 2, 0)), y: np.zeros((1, 0, 2))})
    assert "= 0" in trace.why(product, 0).equation
