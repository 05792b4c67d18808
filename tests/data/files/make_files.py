"""Made spiral.gnn and spiral.trace, with graphnn as it was when files were of version 3; newer ones must load them.

Run: python tests/data/files/make_files.py (which writes files of the version of today). It prints the three losses that
come next, which `test_files.py` holds.
"""

import sys
from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import nn

HERE = Path(__file__).parent


def main() -> None:
    X, y = gn.datasets.spiral(5, classes=3, seed=0)
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    rng = np.random.default_rng(0)
    network = nn.Sequential(
        nn.Dense(4, rng=rng), nn.ReLU(), nn.Dropout(0.5, seed=1), nn.Dense(3, rng=rng), nn.Softmax()
    )
    loss = nn.categorical_crossentropy(network(x, training=True), labels)
    g.outputs["loss"] = loss
    step = gn.compile(loss, updates=nn.Adam(0.01).updates(loss))
    feed = {x: X, labels: y}
    for _ in range(3):
        step(feed)
    gn.save(g, HERE / "spiral.gnn")
    gn.trace(loss, feed).save(HERE / "spiral.trace")
    sys.stdout.write(f"{[float(step(feed)) for _ in range(3)]}\n")


if __name__ == "__main__":
    main()
