"""Truncated backpropagation through time: how far back in time a gradient reaches, and what cannot be learned then.

python examples/lesson_truncation.py

docs/lesson-truncation.md explains it.
"""

import numpy as np

import graphnn as gn
from graphnn import nn

LENGTH, DELAY, UNITS = 24, 6, 16


def build(window):
    g = gn.Graph("echo")
    rng = np.random.default_rng(0)
    bits = g.placeholder("bits", (LENGTH, "batch", 1))
    targets = g.placeholder("targets", (LENGTH, "batch", 1))
    w = g.parameter("w", rng.normal(size=(1, UNITS)))
    u = g.parameter("u", rng.normal(size=(UNITS, UNITS)) / UNITS**0.5)
    output = nn.Dense(1, rng=rng)
    nudge = g.constant(np.zeros((LENGTH, 1, UNITS)), name="nudge")

    def step(state, row):
        bit, push = row
        state = gn.tanh(bit @ w + state @ u) + push
        return state, output(state)

    def part(state, rows):
        # No gradient passes from a window to the one before it.
        return gn.scan(step, gn.stop_gradient(state, name="cut"), rows)

    windows = [gn.reshape(x, (LENGTH // window, window, *x.shape[1:])) for x in (bits, nudge)]
    _, logits = gn.scan(part, gn.zeros(("batch", UNITS), graph=g), windows)
    logits = gn.reshape(logits, targets.shape, name="logits")
    g.outputs["loss"] = nn.sigmoid_crossentropy(logits[DELAY:], targets[DELAY:])
    g.outputs["last"] = gn.sum(logits[-1])
    return g


def batch(rng, size=32):
    """Draw bits, and as targets the bits of so many steps before."""
    bits = rng.integers(0, 2, (LENGTH, size, 1)).astype(float)
    return {"bits": bits * 2 - 1, "targets": np.roll(bits, DELAY, axis=0)}


def train(g, steps=200, rate=0.01):
    loss = g.outputs["loss"]
    step = gn.compile(loss, nn.Adam(rate).updates(loss))
    rng = np.random.default_rng(1)
    return [float(step(batch(rng))) for _ in range(steps)]


def reach(g):
    """Return the length of the gradient of the last result with respect to the state of each iteration."""
    slopes = gn.run(gn.grad(g.outputs["last"], g["nudge"]), batch(np.random.default_rng(2)))
    return np.linalg.norm(slopes, axis=(1, 2))


def main():
    for window in (4, 8, 24):
        g = build(window)
        far = reach(g)
        losses = train(g)
        print(f"windows of {window:2}: a gradient reaches {np.count_nonzero(far):2} iterations", end="; ")
        print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}")


if __name__ == "__main__":
    main()
