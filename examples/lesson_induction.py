# needs: interventions
"""A transformer of two layers that continues what repeats itself: its induction heads are found, and cut.

python examples/lesson_induction.py

docs/lesson-induction.md explains it. Its weights, after 1,000 steps, are in lesson_induction.npz.
"""

import argparse

import numpy as np

import graphnn as gn
from graphnn import nn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTH, UNITS, HEADS = 24, 32, 4
MEAN = gn.patches.mean(axis=0)


def build(seed=0, dtype="float32"):
    g = gn.Graph("induction", dtype=dtype)
    rng = np.random.default_rng(seed)
    letters = g.placeholder("letters", ("batch", LENGTH), np.int64)
    following = g.placeholder("following", ("batch", LENGTH), np.int64)
    repeated = g.placeholder("repeated", ("batch", LENGTH), dtype)
    x = nn.Embedding(len(LETTERS), UNITS, rng=rng)(letters)
    x = nn.PositionEmbedding(LENGTH, weight_init=nn.init.normal(0.0, 1.0), rng=rng)(x)
    for layer in (1, 2):
        x = gn.name(x + nn.MultiHeadAttention(HEADS, causal=True, use_bias=False, rng=rng)(x), f"stream_{layer}")
        (heads,) = g[f"multi_head_attention_{layer}/weights"].users
        gn.name(heads, f"heads_{layer}")
    logits = gn.name(nn.Dense(len(LETTERS), use_bias=False, rng=rng)(x), "logits")
    losses = gn.name(nn.softmax_crossentropy(logits, following, reduction="none"), "losses")
    g.outputs["loss"] = gn.mean(losses)
    on_repeated = gn.sum(losses * repeated) / gn.sum(repeated)
    g.outputs["gain"] = gn.subtract(float(np.log(len(LETTERS))), on_repeated, name="gain")
    return g


def batch(rng, size=32):
    """Draw rows of letters, each of which repeats its first 6 to 12 letters over and over."""
    periods = rng.integers(6, 13, size)[:, None]
    first = rng.integers(0, len(LETTERS), (size, 12))
    text = np.take_along_axis(first, np.arange(LENGTH + 1) % periods, axis=1)
    repeated = np.arange(LENGTH) >= periods  # from here on, the letter was seen before, with what follows it
    return {"letters": text[:, :-1], "following": text[:, 1:], "repeated": repeated.astype("float32")}


def train(g, steps, rate=0.01, backend=None):
    """Train, and return the scores of all heads as they were every 50 steps."""
    loss = g.outputs["loss"]
    step = gn.compile(loss, updates=nn.Adam(rate).updates(loss), backend=backend)
    rng, told, seen = np.random.default_rng(0), batch(np.random.default_rng(1), 64), []
    for count in range(steps + 1):
        if count % 50 == 0:
            seen.append(scores(g, told))
        error = step(batch(rng))
        if count % max(1, steps // 5) == 0:
            print(f"step {count:4}: loss {error:.3f}")
    return np.array(seen)


def scores(g, feed):
    """Return how much attention each head pays to where it would be of use: (layer, head), of 0 to 1.

    In the first layer, that is the letter before. In the second, it is the letters after earlier occurrences of the
    letter, in what is repeated.
    """
    one, two = gn.run([g[f"multi_head_attention_{layer}/weights"] for layer in (1, 2)], feed)
    letters, repeated = feed["letters"], feed["repeated"]
    before = np.eye(LENGTH, k=-1)
    after = np.zeros((len(letters), LENGTH, LENGTH))
    after[:, :, 1:] = letters[:, :, None] == letters[:, None, :-1]
    after *= np.tri(LENGTH)
    previous = (one * before).sum(axis=(2, 3)).mean(axis=0) / (LENGTH - 1)
    induction = ((two * after[:, None]).sum(axis=3) * repeated[:, None]).sum(axis=(0, 2)) / repeated.sum()
    return np.stack([previous, induction])


def cut(g, heads, value=gn.patches.zero):
    """Return the gain as a node of a copy of the graph in which heads, given as (layer, head), put out nothing."""
    places = [gn.patches.at(g[f"heads_{layer}"])[:, head] for layer, head in heads]
    return gn.patched(g.outputs["gain"], dict.fromkeys(places, value))


def cost(g, feed, heads, value=gn.patches.zero):
    """Return the share of the gain that is lost when heads are cut: 1 is all of it."""
    return float(1 - gn.run(cut(g, heads, value), feed) / gn.run(g.outputs["gain"], feed))


def found(g, feed, least=0.3):
    """Return the heads, as (layer, head), whose score is large; and the others."""
    large = scores(g, feed) > least
    heads = [(layer, head) for layer in (1, 2) for head in range(HEADS)]
    return [at for at in heads if large[at[0] - 1, at[1]]], [at for at in heads if not large[at[0] - 1, at[1]]]


def pairs(rng, size=64):
    """Draw words of 7 letters, repeated; and the same rows with another letter for the third one, the first time."""
    words = rng.permuted(np.tile(np.arange(len(LETTERS)), (size, 1)), axis=1)[:, :8]
    text = words[:, np.arange(LENGTH + 1) % 7]
    clean = {"letters": text[:, :-1], "following": text[:, 1:]}
    other = clean["letters"].copy()
    other[:, 2] = words[:, 7]
    return clean, {**clean, "letters": other}


def through(g, feed, heads):
    """Return what it costs when one reader of the first layer's results, and no other, sees them without some heads."""
    stream, gain = g["stream_1"], g.outputs["gain"]
    without = gn.trace(cut(g, heads), feed)
    readers = {part: g[f"multi_head_attention_2/{part}/matmul"] for part in ("query", "key", "value")}
    readers["stream_2"] = g["stream_2"]
    runs = {part: gn.run(gn.patched(gain, {(stream, reader): without}), feed) for part, reader in readers.items()}
    return {part: float(1 - run / gn.run(gain, feed)) for part, run in runs.items()}


def table(numbers):
    """Return numbers by layer and head as text, in percent."""
    rows = [" ".join(f"{number:6.1%}" for number in row) for row in numbers]
    return "\n".join(f"  layer {layer}: {row}" for layer, row in enumerate(rows, start=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the weights; default %(default)s")
    parser.add_argument("--keep", help="a file for the weights")
    chosen = parser.parse_args()
    g = build(chosen.seed)
    weights = g.parameters
    train(g, chosen.steps)
    if chosen.keep:
        np.savez_compressed(chosen.keep, **{node.name: node.value for node in weights})

    feed = batch(np.random.default_rng(2), 256)
    print(f"\nthe gain: {gn.run(g.outputs['gain'], feed):.2f} of at most {np.log(len(LETTERS)):.2f}")
    print(f"attention on the right place, head by head:\n{table(scores(g, feed))}")
    alone = [[cost(g, feed, [(layer, head)]) for head in range(HEADS)] for layer in (1, 2)]
    print(f"the share of the gain that is lost without a head:\n{table(alone)}")
    right, others = found(g, feed)
    for what, heads in {
        "previous-token heads": [at for at in right if at[0] == 1],
        "induction heads": [at for at in right if at[0] == 2],
        "the others": others,
    }.items():
        zeros, means = cost(g, feed, heads), cost(g, feed, heads, MEAN)
        print(f"without {what} {heads}: {zeros:.1%}, or {means:.1%} with their mean instead")
    shares = through(g, feed, [at for at in right if at[0] == 1])
    print("seen without the former by one reader:", ", ".join(f"{part} {lost:.1%}" for part, lost in shares.items()))


if __name__ == "__main__":
    main()
