"""A transformer that writes, one character after the other, trained on sentences of this documentation.

python examples/lesson_transformer.py --steps 3000

docs/lesson-transformer.md explains it. Its weights, after 3,000 steps, are in lesson_transformer.npz.
"""

import argparse
from pathlib import Path

import numpy as np

import graphnn as gn
from graphnn import nn

TEXT = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
SYMBOLS = sorted(set(TEXT))
LENGTH, UNITS, HEADS, BLOCKS = 32, 32, 4, 2


def numbers(text):
    return np.array([SYMBOLS.index(symbol) for symbol in text])


def build(length=LENGTH, units=UNITS, heads=HEADS, dtype="float32"):
    g = gn.Graph("characters", dtype=dtype)
    rng = np.random.default_rng(0)
    characters = g.placeholder("characters", ("batch", "time"), np.int64)
    following = g.placeholder("following", ("batch", "time"), np.int64)
    network = nn.Sequential(
        nn.Embedding(len(SYMBOLS), units, rng=rng),
        nn.PositionEmbedding(length, rng=rng),
        *(
            nn.TransformerBlock(heads, 4 * units, True, norm="before", activation="gelu", rng=rng)
            for _ in range(BLOCKS)
        ),
        nn.LayerNorm(),
        nn.Dense(len(SYMBOLS), rng=rng),
    )
    logits = gn.name(network(characters), "logits")
    g.outputs["probabilities"] = gn.softmax(logits)
    g.outputs["loss"] = nn.softmax_crossentropy(logits, following)
    return g, network


def batch(rng, size=16, length=LENGTH):
    """Draw pieces of the text, and the same pieces one character further on."""
    text = numbers(TEXT)
    starts = rng.integers(0, len(text) - length, size)
    places = starts[:, None] + np.arange(length)
    return {"characters": text[places], "following": text[places + 1]}


def train(g, steps, rate=0.003):
    loss = g.outputs["loss"]
    step = gn.compile(loss, updates=nn.Adam(rate).updates(loss))
    rng = np.random.default_rng(0)
    for count in range(steps):
        error = step(batch(rng))
        if count % max(1, steps // 5) == 0 or count == steps - 1:
            print(f"step {count:4}: loss {error:.3f}")


def write(g, text, count, rng):
    """Continue a text: draw each character from the probabilities after the last one."""
    predict = gn.compile(g.outputs["probabilities"])
    for _ in range(count):
        p = predict({"characters": numbers(text[-LENGTH:])[None]})[0, -1].astype(np.float64)
        text += SYMBOLS[rng.choice(len(SYMBOLS), p=p / p.sum())]
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40, help="default %(default)s; 3,000 for words")
    parser.add_argument("--keep", help="a file for the weights")
    chosen = parser.parse_args()
    g, network = build()
    print(f"{len(TEXT):,} characters, {len(SYMBOLS)} different ones")
    print(gn.summary(g.outputs["probabilities"]), "\n")
    train(g, chosen.steps)
    print("\nit writes:", write(g, "the value of ", 100, np.random.default_rng(0)))
    if chosen.keep:
        np.savez_compressed(chosen.keep, **network.state_dict())


if __name__ == "__main__":
    main()
