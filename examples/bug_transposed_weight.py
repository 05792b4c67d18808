"""A bug to find: the weights of another engine are loaded transposed, and all shapes still fit."""

import numpy as np

import graphnn as gn
from graphnn import nn


def build(weights, transposed=True):
    g = gn.Graph("port")
    x = g.placeholder("x", shape=("batch", 4))
    dense = []
    for name in ("hidden", "out"):
        kernel = weights[f"{name}/kernel"]
        dense.append(nn.Dense(4, weight=kernel.T if transposed else kernel, bias=weights[f"{name}/bias"]))
    return nn.Sequential(dense[0], nn.ReLU(), dense[1])(x)


# Data of the other engine: its weights, and its results for X.
rng = np.random.default_rng(0)
X = rng.normal(size=(5, 4))
weights = {"hidden/kernel": rng.normal(size=(4, 4)), "hidden/bias": rng.normal(size=4)}
weights |= {"out/kernel": rng.normal(size=(4, 4)), "out/bias": rng.normal(size=4)}
hidden = X @ weights["hidden/kernel"]
out = np.maximum(hidden + weights["hidden/bias"], 0.0) @ weights["out/kernel"] + weights["out/bias"]


def main():
    trace = gn.trace(build(weights), {"x": X})
    print(gn.compare(trace, {"dense_1/matmul": hidden, "dense_2": out}))
    theirs = {"x": X, "dense_1/weight": weights["hidden/kernel"], "dense_1/matmul": hidden, "dense_2": out}
    print(f"\n{gn.compare(trace, theirs)}")

    print("\nThe fix: this engine keeps them as (inputs, outputs), too.")
    found = gn.compare(gn.trace(build(weights, transposed=False), {"x": X}), theirs)
    print(found)
    assert found.equal


if __name__ == "__main__":
    main()
