"""Saliency: Captum's figures on an image model read from ONNX.

The figures are made by tests/data/make_captum_figures.py.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn.interventions.saliency import Rule

DATA = Path(__file__).parents[3] / "data"


TARGET = 3


RULES: dict[str, Rule] = {
    "gausslegendre": "gauss-legendre",
    "riemann_left": "left",
    "riemann_middle": "middle",
    "riemann_right": "right",
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    with np.load(DATA / "captum_figures.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def image_model() -> tuple[gn.Node, gn.Node]:
    """Return the logit of each image, and the images, of a model with a named batch dimension."""
    g = gn.from_onnx(DATA / "captum_figures.onnx")
    (logits,), (x,) = g.outputs.values(), g.placeholders
    assert x.shape == ("batch", 2, 12, 10)
    return logits[:, TARGET], x


def check(found: gn.Node, x: gn.Node, figures: dict[str, Any], name: str, **more: Any) -> None:
    wanted = figures[name]
    assert found.shape == x.shape
    value = gn.run(found, {x: figures["images"], **more})
    assert np.abs(wanted).max() > 0.01, "there is something to compare"
    np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-6)
    compiled = gn.compile(found)({x: figures["images"], **more})
    np.testing.assert_allclose(compiled, value, rtol=0, atol=1e-12)


def test_gradients_are_those_of_captum(figures: dict[str, Any], image_model: Any) -> None:
    y, x = image_model
    check(abs(gn.grad(gn.sum(y), x)), x, figures, "saliency")
    check(gn.saliency.gradient_input(y, x), x, figures, "input x gradient")


@pytest.mark.parametrize("theirs", RULES)
def test_integrated_gradients_are_those_of_captum(figures: dict[str, Any], image_model: Any, theirs: str) -> None:
    y, x = image_model
    start = x.graph.placeholder(x.graph.free_name("start"), x.shape)
    found = gn.saliency.integrated_gradients(y, x, start, steps=20, method=RULES[theirs])
    check(found, x, figures, f"integrated/{theirs}", **{start.name: figures["start"]})
    if theirs == "gausslegendre":
        check(gn.saliency.integrated_gradients(y, x, steps=7), x, figures, "integrated/zero")


@pytest.mark.parametrize(
    ("window", "stride", "name"),
    [
        ((3, 3), 1, "2 3 3 by 2 1 1"),  # all channels at once
        ((2, 4, 3), (2, 3, 2), "2 4 3 by 2 3 2"),  # the last windows reach over the edge
        ((1, 5, 5), (1, 5, 4), "1 5 5 by 1 5 4"),  # a channel at a time
    ],
)
def test_occlusion_is_that_of_captum(
    figures: dict[str, Any], image_model: Any, window: Any, stride: Any, name: str
) -> None:
    y, x = image_model
    check(gn.saliency.occlusion(y, x, window, stride, figures["cover"]), x, figures, f"occlusion/{name}")


def test_smooth_grad_is_that_of_captum_with_its_noise(figures: dict[str, Any], image_model: Any) -> None:
    y, x = image_model
    found = gn.saliency.smooth_grad(y, x, samples=5, sigma=0.3)
    (noise,) = [node for node in gn.schedule(found) if node.op.name == "random_normal"]
    fed = gn.extract(found, inputs=[noise])
    value = gn.run(found.name, {x.name: figures["images"], noise.name: figures["noise"] / 0.3}, graph=fed)
    np.testing.assert_allclose(value, figures["smooth"], rtol=0, atol=1e-6)
