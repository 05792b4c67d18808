"""How Graphviz sets a picture: frames that follow each other one below the other, parameters beside what reads them."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import svg_geometry
from svg_geometry import Drawn

import graphnn as gn
from graphnn import nn
from graphnn.view.diagrams.boxes import picture
from graphnn.view.diagrams.dot_ranks import set_below, set_beside
from graphnn.view.layout.graphviz_engine import find_engine

needs_graphviz = pytest.mark.skipif(
    find_engine() is None, reason="needs Graphviz, or graphviz-pure, which the tests install"
)


def step(hidden: int) -> list[gn.Node]:
    """Return a loss and its gradients by all parameters."""
    g = gn.Graph("stack")
    h = g.placeholder("x", shape=("batch", 4))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    for _ in range(hidden):
        h = nn.ReLU()(nn.Dense(4)(h))
    loss = nn.softmax_crossentropy(h, labels)
    return [loss, *gn.grad(loss, g.parameters)]


def drawn(fetches: Any) -> Drawn:
    return svg_geometry.read(gn.draw(fetches, engine="dot").svg())


def test_what_a_frame_goes_below_is_the_first_of_what_it_waits_for() -> None:
    g = gn.Graph()
    x, late = g.placeholder("x"), g.placeholder("late")
    first = gn.exp(x)
    second = gn.tanh(first)
    with g.scope("a"):
        inner = gn.sin(second * first) + late
        with g.scope("b"):
            inner = gn.cos(inner) * second
    below = set_below(picture(inner))
    # Not below x, which it does not read, nor `late`, which is there for it alone.
    assert {path: box.node.op.name for path, box in below.items()} == {"a": "exp", "a/b": "tanh"}


def test_a_forward_value_that_is_lent_holds_nothing() -> None:
    loss, *gradients = step(2)
    below = set_below(picture([loss, *gradients]))
    assert "grad" not in below
    # The first layer's gradient begins when the second's has passed its ReLU.
    assert below["grad/dense_1"].node.op.name == "where"
    assert "grad" in below["grad/dense_1"].node.name


@needs_graphviz
def test_the_layers_of_a_backward_pass_stand_one_below_the_other() -> None:
    fetches = step(12)
    found = drawn(fetches)
    scopes = [scope.path for scope in picture(fetches).open_scopes()]
    frames = {path: found.frames[f"cluster_{number}"].place for number, path in enumerate(scopes)}
    backward = [frames[f"grad/dense_{number}"] for number in range(12, 0, -1)]
    for upper, lower in pairwise(backward):
        assert upper.bottom < lower.top
    # Side by side, they would be a diagonal, as wide as it is high.
    wide = max(frame.right for frame in frames.values()) - min(frame.left for frame in frames.values())
    high = max(frame.bottom for frame in frames.values()) - min(frame.top for frame in frames.values())
    assert wide < high / 4


@needs_graphviz
@pytest.mark.parametrize("scoped", [True, False])
def test_a_parameter_stands_beside_its_reader_with_nothing_between(scoped: bool) -> None:
    if scoped:
        fetches: Any = step(3)
    else:  # no frame keeps them from the backward pass
        g = gn.Graph()
        x, y = g.placeholder("x", shape=("batch", 2)), g.placeholder("y", shape=("batch",))
        w, b = g.parameter("w", [0.0, 0.0]), g.parameter("b", 0.0)
        z = x @ w + b
        loss = gn.mean(gn.softplus(z) - y * z)
        fetches = {"of w": gn.grad(loss, w), "of b": gn.grad(loss, b), "loss": loss}
    found, pairs = drawn(fetches), set_beside(picture(fetches))
    assert pairs
    for box, reader in pairs:
        place, beside = (found.boxes[f"n{one.place}"].place for one in (box, reader))
        assert place.right <= beside.left
        assert place.top < (beside.top + beside.bottom) / 2 < place.bottom
        for name, other in found.boxes.items():
            if name not in (f"n{box.place}", f"n{reader.place}"):
                crossed = place.right < other.place.right and other.place.left < beside.left
                level = other.place.top < (beside.top + beside.bottom) / 2 < other.place.bottom
                assert not (crossed and level), f"{name} stands between"
