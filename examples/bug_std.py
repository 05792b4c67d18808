# needs: cli, terminal
"""A bug to find in the terminal: the loss is NaN from the first step, because one column of the data is constant.

    graphnn debug bug_std.py:build -x bug_std.txt

Run as a program, this file does the same.
"""

from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import cli, nn


def build(least=0.0):
    rng = np.random.default_rng(0)
    g = gn.Graph("sensors")
    x = g.placeholder("x", shape=("batch", 3))
    y = g.placeholder("y", shape=("batch", 1))
    with g.scope("scale"):
        spread = gn.maximum(gn.std(x, axis=0), least)
        z = (x - gn.mean(x, axis=0)) / spread
    predicted = nn.Sequential(nn.Dense(4, rng=rng), nn.Tanh(), nn.Dense(1, rng=rng))(z)
    g.outputs["loss"] = loss = nn.mean_squared_error(predicted, y)
    step = gn.compile(loss, updates=nn.SGD(0.1).updates(loss))
    X = rng.normal(20.0, 2.0, size=(8, 3))
    X[:, 1] = 21.5  # a sensor that always gives the same value
    return step, {x: X, y: X[:, :1] - X[:, 2:]}


def mended():
    return build(least=1e-9)


if __name__ == "__main__":
    here = Path(__file__)
    cli.main(["debug", f"{here}:build", "-x", str(here.with_suffix(".txt"))])
    assert cli.main(["check", f"{here}:mended"]) == 0
