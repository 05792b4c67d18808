"""A hundred steps of each training in a page and in Python, of the same file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_trainings import TRAININGS, losses
from playwright.sync_api import Page

import graphnn as gn


@pytest.mark.parametrize("name", TRAININGS)
def test_a_page_trains_as_python_does(name: str, opened: Callable[..., Page], tmp_path: Path) -> None:
    step, feed = TRAININGS[name]()
    gn.trace(step, feed).to_html(tmp_path / "page.html", live=True)
    page = opened(tmp_path / "page.html")
    np.testing.assert_allclose(page.evaluate("graphnn.train(100)"), losses((step, feed), 100), rtol=1e-6)
    assert page.evaluate("graphnn.loss()") == pytest.approx(losses((step, feed), 1)[0], rel=1e-6)
