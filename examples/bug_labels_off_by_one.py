"""A bug to find: the labels count from 1, and the network from 0."""

import numpy as np

import graphnn as gn
from graphnn import nn


def build():
    rng = np.random.default_rng(0)
    g = gn.Graph("arms")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    logits = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng))(x)
    g.outputs["loss"] = loss = nn.softmax_crossentropy(logits, labels)
    return gn.compile(loss, updates=nn.Adam(0.05).updates(loss))


X, y = gn.datasets.spiral(50, classes=3, seed=0)
kinds = y + 1  # as the file has them: 1, 2, 3; sorted
batches = [{"x": X[i : i + 50], "labels": kinds[i : i + 50]} for i in (0, 50, 100)]


def main():
    step = build()
    try:
        for batch in batches:
            print("loss", step(batch))
    except gn.LabelError as error:
        print(error)
        dbg = error.debug()

    for node, value in dbg.sample(7).items():
        print(f"  {node.name} {value.round(3)}")
    print("and in the batch that did train:")
    print(gn.trace(step, batches[0]).why("softmax_crossentropy_1/pick", 7))

    print("\nThe fix: count from 0.")
    step = build()
    for _ in range(200):
        loss = step({"x": X, "labels": kinds - 1})
    print("loss", loss)
    health = gn.check_health(step, {"x": X, "labels": kinds - 1})
    print(health)
    assert health.ok


if __name__ == "__main__":
    main()
