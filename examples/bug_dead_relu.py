"""A bug to find: the loss falls to the variance of the target, and no further. The hidden layer is dead."""

import numpy as np

import graphnn as gn
from graphnn import nn


def build(rate):
    rng = np.random.default_rng(0)
    g = gn.Graph("flats")
    x = g.placeholder("x", shape=("batch", 3))
    price = g.placeholder("price", shape=("batch", 1))
    network = nn.Sequential(nn.Dense(16, rng=rng), nn.ReLU(), nn.Dense(1, rng=rng))
    g.outputs["loss"] = loss = nn.mean_squared_error(network(x), price)
    return gn.compile(loss, updates=nn.SGD(rate).updates(loss))


rng = np.random.default_rng(1)
X = rng.uniform([40.0, 1.0, 0.0], [200.0, 6.0, 60.0], size=(64, 3))  # square metres, rooms, age
feed = {"x": X, "price": X @ [[0.03], [0.1], [-0.01]]}
scaled = {"x": (X - X.mean(axis=0)) / X.std(axis=0), "price": feed["price"]}


def main():
    step = build(0.001)
    with gn.recording(step) as film:
        for _ in range(6):
            print("loss", step(feed))
    print("zeros of relu_1, of 1,024:", [trace["relu_1"].stats.zeros for trace in film])
    for _ in range(5000):
        loss = step(feed)
    print("loss", loss, "variance", feed["price"].var())
    trace = gn.trace(step, feed)
    print(f"\n{gn.check_health(trace)}\n")
    for name in ("relu_1", "grad/dense_1/matmul"):
        print(f"{name}: {trace[name].stats.zeros:,} of {trace[name].stats.size:,} are 0")

    print("\nThe fix: inputs scaled to about 1, and then a larger step does no harm.")
    step = build(0.05)
    for _ in range(500):
        loss = step(scaled)
    print("loss", loss)
    health = gn.check_health(step, scaled)
    print(health)
    assert health.ok


if __name__ == "__main__":
    main()
