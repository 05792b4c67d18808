"""What the page of a training run costs: the time of trainings with a page beside that of the same without.

    python tests/benchmarks/live_cost.py [--seconds 20] [--rounds 3] [--networks small medium deep]

Each round trains once with a page and once without; which of the two comes first alternates. On a busy machine that
ratio says little, so its least and its largest stand beside it, and two more are given, each of the training with a
page: what the writer took when it wrote, and that with what it does at every other step. All is seconds of the
processor, and medians over the rounds.
"""

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is loaded

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.nn.training.live_run import Run
from graphnn.nn.training.progress import LIVE_PAGE
from graphnn.pages.live.live_page import PageWriter

told = sys.stdout.write
NETWORKS = {"small": (2, [64], 32), "medium": (64, [256, 256], 128), "deep": (64, [64] * 20, 64)}


def made(name: str) -> tuple[Any, dict[Any, Any], int]:
    """Return a step, its feed, and the size of a batch."""
    inputs, sizes, batch = NETWORKS[name]
    g, rng = gn.Graph(name), np.random.default_rng(0)
    x, y = g.placeholder("x", ("batch", inputs)), g.placeholder("y", ("batch",), np.int64)
    layers = [layer for units in sizes for layer in (nn.Dense(units, rng=rng), nn.ReLU())]
    loss = nn.softmax_crossentropy(nn.Sequential(*layers, nn.Dense(3, rng=rng))(x), y)
    X = rng.normal(size=(batch * 100, inputs)).astype(np.float32)
    return gn.compile(loss, nn.Adam(1e-3).updates(loss)), {x: X, y: rng.integers(0, 3, len(X))}, batch


class Timed(PageWriter):
    """A writer that knows how long it took."""

    took = 0.0

    def _take_figures(self) -> None:
        before = time.process_time()
        super()._take_figures()
        self.took += time.process_time() - before

    def _write(self, state: str, says: str) -> None:
        before = time.process_time()
        super()._write(state, says)
        self.took += time.process_time() - before


def between_writings() -> float:
    """Return how long the writer takes at a step after which it does not write."""
    step, feed, _ = made("small")
    writer = PageWriter(Run(step, nn.History(), 1, 1, 0, feed, nn.LivePage("none.html")))
    writer.due, count = math.inf, 200_000
    before = time.process_time()
    for _ in range(count):
        writer.step(1, 0.5)
    return (time.process_time() - before) / count


def trained(step: Any, feed: Any, batch: int, epochs: int, path: Path | None) -> float:
    """Return how long a training run takes."""
    before = time.process_time()
    nn.fit(step, feed, epochs=epochs, batch_size=batch, page=path)
    return time.process_time() - before


def main() -> None:
    """Time trainings of each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of one training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    asked = parser.parse_args()
    writers: list[Timed] = []
    LIVE_PAGE.load()
    LIVE_PAGE.give()(lambda run: writers.append(Timed(run)) or writers[-1])
    between = between_writings()
    told("network       step   steps   without      with     more              between   writer   in all  figures\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.html"
        for name in asked.networks:
            step, feed, batch = made(name)
            trained(step, feed, batch, 2, path)
            once = trained(step, feed, batch, 3, None) / 3
            epochs = max(1, round(asked.seconds / once))
            ratios, shares, without, with_page = [], [], 0.0, 0.0
            for round_ in range(asked.rounds):
                writers.clear()
                took = {each: trained(step, feed, batch, epochs, each) for each in (path, None)[:: (-1) ** round_]}
                with_page, without = took[path], took[None]
                ratios.append(with_page / without - 1)
                shares.append(writers[0].took / with_page)
            more, share, pages = statistics.median(ratios), statistics.median(shares), len(writers[0].nodes.rows)
            told(f"{name:<8} {once / 100 * 1e6:6.0f} µs {epochs * 100:>7,} {without:7.2f} s {with_page:7.2f} s ")
            told(f"{more:>8.2%} {min(ratios):>8.2%} to {max(ratios):>6.2%} {share:>8.2%} ")
            told(f"{share + between * epochs * 100 / with_page:>8.2%} {pages:>8}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
