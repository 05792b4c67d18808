"""Trainings in the engine of pages and in Python, of the same file, under node where it is there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from page_trainings import OF_DIGITS, TRAININGS, lenet, losses, losses_of_page

import graphnn as gn

STEPS = 20
"""The browser's tests make 100, and LeNet's with more digits than here."""


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in OF_DIGITS])
def test_no_training_is_chaotic(name: str) -> None:
    """Of 100 steps, the losses part no further than rounding if each parameter is changed in its last bit."""
    changed, feed = TRAININGS[name]()
    for parameter in changed.graph.parameters:
        if parameter.value.dtype.kind == "f":
            parameter.value = parameter.value * (1 + 2**-52)
    np.testing.assert_allclose(losses((changed, feed), 100), losses(TRAININGS[name](), 100), rtol=1e-11)


if node := shutil.which("node"):

    @pytest.mark.parametrize("name", TRAININGS)
    def test_a_page_trains_as_python_does(name: str, tmp_path: Path) -> None:
        if name in OF_DIGITS:
            pytest.importorskip("sklearn")
        step, feed = lenet(16) if name == "lenet" else TRAININGS[name]()
        path = tmp_path / "page.html"
        gn.trace(step, feed).to_html(path, live=True)
        np.testing.assert_allclose(losses_of_page(node, path, STEPS), losses((step, feed), STEPS), rtol=1e-10)
