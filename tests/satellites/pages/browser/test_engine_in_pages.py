"""The engine as a page has it: what JSON cannot hold, and loss and gradients of the page against Python's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

import graphnn as gn

Opened = Callable[..., Page]


def test_infinite_settings_and_large_seeds_reach_the_engine(opened: Opened, tmp_path: Path) -> None:
    g = gn.Graph()
    x = g.placeholder("x", shape=("batch", 4))
    norms = gn.norm(x, np.inf, axis=1) + gn.norm(x, -np.inf, axis=1)
    noise = gn.random_uniform(g.constant(3), (4,), seed=2**64 - 1)
    g.outputs["loss"] = loss = gn.sum(norms + (x * noise)[..., 0])
    feed: dict[Any, Any] = {x: np.arange(8.0).reshape(2, 4)}
    gn.trace(loss, feed).to_html(tmp_path / "page.html", live=True)
    page = opened(tmp_path / "page.html")
    assert page.evaluate("graphnn.loss()") == pytest.approx(float(gn.run(loss, feed)), rel=1e-14)
