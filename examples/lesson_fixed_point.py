"""A network whose state is a fixed point: it says what the state is, and not how it is reached.

python examples/lesson_fixed_point.py

docs/lesson-fixed-point.md explains it.
"""

import numpy as np

import graphnn as gn
from graphnn import datasets, nn

UNITS, CLASSES = 32, 3


def build(solve=gn.fixed_point, units=UNITS):
    """Return a graph in which `solve(f, z0)` is the state."""
    g = gn.Graph("equilibrium")
    rng = np.random.default_rng(0)
    x = g.placeholder("x", ("batch", 2))
    labels = g.placeholder("labels", ("batch",), "int64")
    w = g.parameter("w", rng.normal(size=(units, units)) / units**0.5)
    into, out = nn.Dense(units, rng=rng), nn.Dense(CLASSES, rng=rng)
    # With a norm below 1, f brings any two states closer together: there is one fixed point, and steps lead to it.
    held = w * (0.95 / gn.maximum(gn.norm(w), 0.95))
    inputs = into(x)

    def f(z):
        return gn.tanh(z @ held + inputs)

    z = solve(f, gn.zeros_like(inputs))
    logits = out(z)
    g.outputs["z"] = z
    g.outputs["residual"] = gn.norm(f(z) - z)
    g.outputs["loss"] = nn.softmax_crossentropy(logits, labels)
    g.outputs["accuracy"] = nn.accuracy(logits, labels)
    return g


def iterated(count):
    """Return a solver that applies f so many times, and leaves it at that."""
    return lambda f, z0: gn.scan(f, z0, length=count)[0]


def data(seed=0):
    x, labels = datasets.spiral(60, classes=CLASSES, seed=seed)
    return {"x": 3.0 * x, "labels": labels}


def train(g, steps=200, rate=0.02):
    loss = g.outputs["loss"]
    step = gn.compile(loss, nn.Adam(rate).updates(loss))
    feed = data()
    return [float(step(feed)) for _ in range(steps)]


def main():
    g = build()
    losses = train(g)
    accuracy = float(gn.run(g.outputs["accuracy"], data(1)))
    print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}; of new points, {accuracy:.1%} are told right")
    exact = gn.run(gn.grad(g.outputs["loss"], g["w"]), data())
    for count in (1, 5, 10, 20, 40):
        other = build(iterated(count))
        for node in other.parameters:
            node.value = g[node.name].value
        residual, slope = gn.run([other.outputs["residual"], gn.grad(other.outputs["loss"], other["w"])], data())
        print(f"{count:2} steps: residual {residual:.1e}, gradient off by {np.abs(slope - exact).max():.1e}")


if __name__ == "__main__":
    main()
