"""Time the search for one NaN in a million samples against one evaluation of all of them.

    python tests/benchmarks/search.py [--samples 1000000] [--batch-size 1024] [--places 50] [--seed 0] [--workers 0]

The evaluation is that of the same compiled network in the same batches. A NaN is planted at a random place each time,
the last sample among them, and must be found there. With workers, both are computed by so many processes of Dask, and
both send them the samples.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn


@contextmanager
def client_of(workers: int) -> Iterator[Any]:
    """Give a client of so many worker processes; None for none."""
    if not workers:
        yield None
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def searched(places: list[int], rows: np.ndarray[Any, Any], check: Callable[[], Any], x: Any, seed: int) -> Any:
    """Return the seconds that each search took, and how many places were missed."""
    rng, seconds, missed = np.random.default_rng(seed), [], 0
    for sample in places:
        column = int(rng.integers(rows.shape[1]))
        kept, rows[sample, column] = rows[sample, column], np.nan
        begun = perf_counter()
        health = check()
        seconds.append(perf_counter() - begun)
        rows[sample, column] = kept
        found = health.first
        missed += found is None or (health.sample, found.node, found.index) != (sample, x, (0, column))
    return seconds, missed


def main() -> None:
    """Print the times, and fail if a place is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    settings = (("samples", 1_000_000), ("batch-size", 1024), ("places", 50), ("seed", 0), ("workers", 0))
    for name, usual in settings:
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
    places = [args.samples - 1, *rng.integers(0, args.samples, args.places - 1).tolist()]
    with client_of(args.workers) as client:

        def evaluated() -> float:
            begun = perf_counter()
            if client is not None:
                nn.evaluate(loss, feed, batch_size=args.batch_size, client=client)
            else:
                for first in range(0, args.samples, args.batch_size):
                    step({node: array[first : first + args.batch_size] for node, array in feed.items()})
            return perf_counter() - begun

        check = gn.check_health  # the first search pays for its plan, not for imports
        once = min(evaluated() for _ in range(5))
        search = lambda: check(loss, feed, batch_size=args.batch_size, client=client)  # noqa: E731
        seconds, missed = searched(places, rows, search, x, args.seed)
        ratios = [each / once for each in seconds]
        begun = perf_counter()
        sound = search()
        without = (perf_counter() - begun) / once
    by = f"by {args.workers} workers" if args.workers else "in this process"
    sys.stdout.write(
        f"{args.samples:,} samples in batches of {args.batch_size:,}, {by}; one evaluation: {once * 1e3:.0f} ms\n"
        f"found {len(ratios) - missed} of {len(ratios)}; a search takes, in evaluations:\n"
        f"  the last sample {ratios[0]:.2f}, median {statistics.median(ratios):.2f}, longest {max(ratios):.2f}\n"
        f"  nothing to find {without:.2f}\n"
    )
    if missed or not sound.ok:
        raise SystemExit("a place was missed, or sound data were blamed")


if __name__ == "__main__":
    main()
