"""The equation of a convolution's element on the page: that of the library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

import graphnn as gn

Opened = Callable[..., Page]


@pytest.mark.parametrize(
    ("w", "settings"),
    [
        ((3, 2, 3, 3), {"padding": 1}),
        ((2, 2, 3, 2), {"stride": 2, "dilation": 2}),
        ((4, 1, 3, 3), {"groups": 2}),
        ((3, 2, 1, 1), {"stride": 2}),
    ],
)
def test_a_convolution_is_told_by_window_and_kernel(w: Any, settings: Any, opened: Opened, tmp_path: Path) -> None:
    graph, rng = gn.Graph(), np.random.default_rng(0)
    x, kernel = graph.placeholder("x", (1, 2, 6, 7)), graph.parameter("w", rng.normal(size=w))
    y = gn.conv(x, kernel, **settings) + gn.reshape(graph.parameter("b", rng.normal(size=w[0])), (w[0], 1, 1))
    pooled = gn.max_pool(y, (1, 2))
    trace = gn.trace([y, pooled], {x: rng.normal(size=(1, 2, 6, 7))})
    page = opened(trace.to_html().save(tmp_path / "page.html"))
    names = page.evaluate("nodes.name")
    asked, expected = [], []
    for node in trace.order:
        for cell, index in enumerate(np.ndindex(*trace[node].value.shape)):
            why = trace.why(node, index)
            asked.append([names.index(node.name), cell])
            expected.append([why.equation, list(dict.fromkeys(map(str, why.reads)))])
    told = page.evaluate(
        """(asked) => asked.map(([place, cell]) => {
          const told = explained(0, place, cell);
          return [told.equation, [...new Set(told.reads.map((each) => each.text))]];
        })""",
        asked,
    )
    assert [each for each in zip(told, expected, strict=True) if each[0] != each[1]][:3] == []
    assert any("· w[1" in equation for equation, _ in told)
