"""A graph that contains its own training: weights that are learned so that a few steps of training do much.

python examples/lesson_inner_training.py

docs/lesson-inner-training.md explains it.
"""

import numpy as np

import graphnn as gn
from graphnn import nn

STEPS, UNITS = 5, 32


def network(weights, x):
    """Return the predictions for each task, which has weights of its own."""
    for i in (1, 2):
        x = gn.tanh(x @ weights[f"w{i}"] + weights[f"b{i}"])
    return x @ weights["w3"] + weights["b3"]


def build(seed=0, units=UNITS):
    g = gn.Graph("inner training")
    rng = np.random.default_rng(seed)
    x, y = g.placeholder("x", ("tasks", "seen", 1)), g.placeholder("y", ("tasks", "seen", 1))
    other_x = g.placeholder("other_x", ("tasks", "unseen", 1))
    other_y = g.placeholder("other_y", ("tasks", "unseen", 1))
    start = {}
    for i, (inputs, outputs) in enumerate([(1, units), (units, units), (units, 1)], 1):
        start[f"w{i}"] = g.parameter(f"w{i}", rng.normal(size=(1, inputs, outputs)) / inputs**0.5)
        start[f"b{i}"] = g.parameter(f"b{i}", rng.normal(size=(1, 1, outputs)) * (i == 1))
    rate = g.parameter("rate", 0.05)

    def inner(weights):
        error = gn.mean((network(weights, x) - y) ** 2.0, axis=(1, 2))
        slopes = gn.grad(gn.sum(error), list(weights.values()))
        following = {name: w - rate * slope for (name, w), slope in zip(weights.items(), slopes, strict=True)}
        return following, network(following, other_x)

    own = {name: gn.broadcast_to(w, ("tasks", *w.shape[1:])) for name, w in start.items()}
    weights, predictions = gn.scan(inner, own, length=STEPS)
    g.outputs["predictions"] = predictions  # (step, task, point, 1)
    g.outputs["before"] = network(own, other_x)
    g.outputs["loss"] = gn.mean((network(weights, other_x) - other_y) ** 2.0)
    return g, [*start.values(), rate]


def tasks(rng, count=16, seen=10, unseen=10):
    """Draw sines of any height and phase, and points of each."""
    height, phase = rng.uniform(0.5, 2.0, (count, 1, 1)), rng.uniform(0, np.pi, (count, 1, 1))
    x, other = rng.uniform(-4, 4, (count, seen, 1)), rng.uniform(-4, 4, (count, unseen, 1))
    y, other_y = height * np.sin(x + phase), height * np.sin(other + phase)
    return {"x": x, "y": y, "other_x": other, "other_y": other_y}


def train(g, parameters, steps=1000, rate=0.003):
    loss = g.outputs["loss"]
    step = gn.compile(loss, nn.Adam(rate).updates(loss, parameters))
    rng = np.random.default_rng(1)
    return [float(step(tasks(rng))) for _ in range(steps)]


def main():
    g, parameters = build()
    new = tasks(np.random.default_rng(2), 200)
    before = float(gn.run(g.outputs["loss"], new))
    train(g, parameters)
    after = float(gn.run(g.outputs["loss"], new))
    print(f"the error on new tasks, after {STEPS} steps from random weights: {before:.3f}")
    print(f"after {STEPS} steps from learned weights: {after:.3f}")
    print(f"the rate of the inner steps became {float(parameters[-1].value):.3f}")


if __name__ == "__main__":
    main()
