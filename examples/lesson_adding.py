"""An LSTM that learns to add: two numbers go in bit by bit, the lowest bit first, and their sum comes out.

python examples/lesson_adding.py

docs/lesson-adding.md explains it.
"""

import numpy as np

import graphnn as gn
from graphnn import nn

BITS, UNITS = 8, 8


def build(bits=BITS):
    g = gn.Graph("adding")
    rng = np.random.default_rng(0)
    x = g.placeholder("bits", ("batch", bits, 2))
    targets = g.placeholder("targets", ("batch", bits, 1))
    network = nn.Sequential(nn.LSTM(UNITS, rng=rng), nn.Dense(1, rng=rng))
    logits = gn.name(network(x), "logits")
    g.outputs["probabilities"] = gn.sigmoid(logits)
    g.outputs["loss"] = nn.sigmoid_crossentropy(logits, targets)
    return g, network


def binary(numbers, bits):
    """Return the bits of numbers, the lowest first, along a new last axis."""
    return (np.asarray(numbers)[..., None] >> np.arange(bits)) & 1


def sums(rng, size, bits=BITS):
    """Draw pairs of numbers, with their sums: the sum has as many bits as its two numbers may need."""
    pairs = rng.integers(0, 2 ** (bits - 1), (size, 2))
    return {
        "bits": binary(pairs, bits).transpose(0, 2, 1).astype(float),
        "targets": binary(pairs.sum(axis=1), bits)[..., None].astype(float),
    }


def train(g, steps, rate=0.03):
    loss = g.outputs["loss"]
    step = gn.compile(loss, updates=nn.Adam(rate).updates(loss))
    rng = np.random.default_rng(0)
    for count in range(steps):
        error = step(sums(rng, 64))
        if count % max(1, steps // 8) == 0 or count == steps - 1:
            print(f"step {count:3}: loss {error:.4f}")


def share_right(g, feed):
    """Return how many of the sums have every bit right."""
    found = gn.run(g.outputs["probabilities"], feed) > 0.5
    return float(np.all(found == feed["targets"], axis=(1, 2)).mean())


def main():
    g, network = build()
    train(g, 300)
    print(f"\nof 1,000 new sums of {BITS} bits, {share_right(g, sums(np.random.default_rng(1), 1000)):.1%} are right")

    # The same weights for numbers that are three times as long.
    longer, other = build(3 * BITS)
    other.load_state_dict(network.state_dict())
    feed = sums(np.random.default_rng(2), 1000, 3 * BITS)
    print(f"of 1,000 sums of {3 * BITS} bits, {share_right(longer, feed):.1%} are right")


if __name__ == "__main__":
    main()
