"""What saliency makes has the names for positions of what it explains; and so has a grid of effects."""

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.core import labels_along

FEATURES = ("age", "weight", "height", "legs")


def network() -> tuple[gn.Node, gn.Node]:
    g = gn.Graph()
    x = g.placeholder("x", ("batch", 4))
    y = nn.Sequential(nn.Dense(5), nn.Tanh(), nn.Dense(3))(x)[:, 1]
    return x, y


def test_what_saliency_makes_has_the_labels_of_what_it_explains() -> None:
    x, y = network()
    made = [
        gn.saliency.gradient_input(y, x),
        gn.saliency.integrated_gradients(y, x, steps=3),
        gn.saliency.smooth_grad(y, x, samples=2),
        gn.saliency.occlusion(y, x, window=2),
    ]
    x.graph.labels[x, 1] = FEATURES
    assert [labels_along(node) for node in made] == [[None, FEATURES]] * 4


def test_windows_keep_the_names_of_each_axis() -> None:
    image = gn.Graph().placeholder("image", ("batch", 2, 4, 3))
    made = gn.saliency.occlusion(gn.sum(image**2, axis=(1, 2, 3)), image, (2, 2))
    rows, columns = ("a", "b", "c", "d"), ("left", "middle", "right")
    image.graph.labels[image, 2] = rows
    image.graph.labels[image, 3] = columns
    assert labels_along(made) == [None, None, rows, columns]


def test_a_grid_of_effects_has_them_above_its_columns() -> None:
    x, y = network()
    x.graph.labels[x, 1] = FEATURES
    found = gn.effects(gn.sum(y), {x: np.ones((2, 4))}, {x: np.zeros((2, 4))}, over=gn.patches.each(x, 1))
    page = found._repr_mimebundle_()["text/html"]
    assert all(f">{name}</th>" in page for name in FEATURES)
