"""Time the search for one NaN in a million samples against one evaluation of all of them.

    python tests/benchmarks/search.py [--samples 1000000] [--batch-size 1024] [--places 50] [--seed 0]

The evaluation is that of the same compiled network in the same batches. A NaN is planted at a random place each time,
the last sample among them, and must be found there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from time import perf_counter

import numpy as np

import graphnn as gn
from graphnn import nn


def main() -> None:
    """Print the times, and fail if a place is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("samples", 1_000_000), ("batch-size", 1024), ("places", 50), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    x = gn.Graph(dtype="float32").placeholder("x", ("batch", 20))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    hidden = [nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(32, rng=rng), nn.ReLU()]
    loss = nn.softmax_crossentropy(nn.Sequential(*hidden, nn.Dense(4, rng=rng))(x), labels)
    rows = rng.standard_normal((args.samples, 20), dtype=np.float32)
    classes = rng.integers(0, 4, args.samples)
    step = gn.compile(loss)
    feed = {x: rows, labels: classes}

    def evaluated() -> float:
        begun = perf_counter()
        for first in range(0, args.samples, args.batch_size):
            step({node: array[first : first + args.batch_size] for node, array in feed.items()})
        return perf_counter() - begun

    once = min(evaluated() for _ in range(5))
    check, ratios, missed = gn.check_health, [], 0  # the first search pays for its plan, not for imports
    for sample in [args.samples - 1, *rng.integers(0, args.samples, args.places - 1).tolist()]:
        column = int(rng.integers(20))
        kept, rows[sample, column] = rows[sample, column], np.nan
        begun = perf_counter()
        health = check(loss, feed, batch_size=args.batch_size)
        ratios.append((perf_counter() - begun) / once)
        rows[sample, column] = kept
        found = health.first
        missed += found is None or (health.sample, found.node, found.index) != (sample, x, (0, column))
    begun = perf_counter()
    sound = check(loss, feed, batch_size=args.batch_size)
    without = (perf_counter() - begun) / once
    sys.stdout.write(
        f"{args.samples:,} samples in batches of {args.batch_size:,}; one evaluation: {once * 1e3:.0f} ms\n"
        f"found {len(ratios) - missed} of {len(ratios)}; a search takes, in evaluations:\n"
        f"  the last sample {ratios[0]:.2f}, median {statistics.median(ratios):.2f}, longest {max(ratios):.2f}\n"
        f"  nothing to find {without:.2f}\n"
    )
    if missed or not sound.ok:
        raise SystemExit("a place was missed, or sound data were blamed")


if __name__ == "__main__":
    main()
