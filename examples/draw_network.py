"""Draw a residual network at both levels of detail, and with one block opened.

Graphviz lays them out if it is installed: the system's `dot`, or the one that `pip install 'graphnn[dot]'` installs.
Without either, graphnn lays them out itself.
"""

import numpy as np

import graphnn as gn
from graphnn import nn


class Residual(nn.Layer):
    """h + Dense(relu(h))."""

    def __init__(self, units: int) -> None:
        self.inner = nn.Dense(units)

    def call(self, h: gn.Node) -> gn.Node:
        """Return h + Dense(relu(h))."""
        return h + self.inner(gn.relu(h))


g = gn.Graph("residual")
x = g.placeholder("x", shape=("batch", 2))
labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
h = nn.Dense(16)(x)
with g.scope("trunk"):
    for _ in range(2):
        h = Residual(16)(h)
with g.scope("head"):
    probabilities = nn.Softmax()(nn.Dense(3)(h))
g.outputs["probabilities"] = probabilities
g.outputs["loss"] = loss = nn.categorical_crossentropy(probabilities, labels)

diagrams = {
    "operations": gn.draw(loss, title="Every operation"),
    "layers": gn.draw(loss, detail="layer", title="A box a layer"),
    "opened": gn.draw(loss, detail={"trunk/residual_1": "op"}, title="One block opened"),
}
for name, diagram in diagrams.items():
    path = diagram.save(f"{name}.svg")
    print(f"wrote {path}: {diagram!r}")
