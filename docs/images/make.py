"""Draw the pictures of the documentation, as DOT text and as SVG.

python docs/images/make.py

A test holds the DOT text current.
"""

from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import demo, nn
from graphnn.view import Diagram

HERE = Path(__file__).parent


def diagrams() -> dict[str, Diagram]:
    """Return each picture, by its name."""
    fetches, _ = demo.build()
    return {
        "network": gn.draw(fetches["loss"]),
        "layers": gn.draw(fetches["loss"], detail="layer"),
        "kinds": kinds(),
        "training": training(),
    }


def kinds() -> Diagram:
    """Draw one of each kind of node that a forward pass has."""
    g = gn.Graph("kinds")
    x = g.placeholder("x", shape=("batch", 3))
    h = nn.Dense(2, weight=np.ones((3, 2)))(x)
    scale = g.parameter("scale", [1.0, 2.0], trainable=False)
    target = g.constant(0.5, name="target")
    g.outputs["score"] = gn.sum((h * scale - target) / 2.0, axis=1)
    return gn.draw(g)


def training() -> Diagram:
    """Draw a training step: a loss, its gradient, and the next value of the parameter."""
    g = gn.Graph("training")
    x = g.placeholder("x", shape=("batch",))
    w = g.parameter("w", 1.0)
    g.outputs["loss"] = loss = gn.mean(gn.square(gn.log(1.0 + gn.exp(w * x)) - 2.0))
    updates = nn.SGD(0.1).updates(loss)
    return gn.draw([loss, updates[w]])


if __name__ == "__main__":
    for name, diagram in diagrams().items():
        for suffix in (".dot", ".svg"):
            diagram.save(HERE / f"{name}{suffix}")
