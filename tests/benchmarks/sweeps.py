"""What effects cost: sweeps over a transformer beside as many whole runs, and attribution beside a training step.

    python tests/benchmarks/sweeps.py [--rows 16,1] [--runs 30] [--without-step]

The network is the small transformer of `networks.py`: two blocks of 64, on texts of 32 tokens. Two texts are drawn, and
all that differs between their runs is patched. A share below 1 says that a sweep takes so much of the time that as many
whole runs would take, by `gn.run`, in the same process. In the last sweep, the metric needs a whole training step: the
gradients, and the next values that Adam gives; so it is over some 1,200 nodes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import measure
import numpy as np
from engines import networks
from engines.networks.with_graphnn import transformer_loss

import graphnn as gn
from graphnn import nn

told = sys.stdout.write
_LONG = 2.0
"""Seconds of a sweep that is timed once; of a shorter one, the median of five is taken."""
Feed = dict[gn.Node, Any]


def seconds(do: Callable[[], Any], times: int = 1) -> float:
    """Return the median time of a call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def network(rows: int) -> tuple[gn.Node, Feed, Feed]:
    """Return the loss of the transformer, and two feeds that differ in the text."""
    loss, clean = transformer_loss(networks.transformer("float32", rows=rows))
    text = next(node for node in clean if node.name == "text")
    corrupted = np.random.default_rng(1).integers(0, 64, clean[text].shape)
    return loss, clean, clean | {text: corrupted}


def swept(what: str, metric: gn.Node, clean: Feed, corrupted: Feed, over: Any, runs: int) -> gn.Effects:
    """Tell what a sweep takes of as many whole runs, timed before it and after it."""
    found: list[gn.Effects] = []

    def sweep() -> None:
        found.append(gn.effects(metric, clean, corrupted, over, progress=False))

    gn.run(metric, corrupted)
    before = seconds(lambda: gn.run(metric, corrupted), runs)
    first = seconds(sweep)
    taken = first if first > _LONG else seconds(sweep, 5)
    whole = statistics.mean([before, seconds(lambda: gn.run(metric, corrupted), runs)]) * len(found[0])
    told(f"{what:34} {len(found[0]):5,} places  {taken:8.3f} s  {taken / whole:6.3f} of {whole:8.3f} s\n")
    return found[0]


def attributed(exact: gn.Effects, loss: gn.Node, clean: Feed, corrupted: Feed, runs: int) -> None:
    """Tell what attribution to all edges takes beside training steps, and how it agrees with the exact effects."""
    step = gn.compile(loss, nn.Adam(0.001).updates(loss))
    state = {node: array.copy() for node, array in loss.graph.state.items()}
    step(clean)
    training = seconds(lambda: step(clean), runs)
    loss.graph.state.update(state)
    told(f"a training step, {step.backend:17} {training * 1e3:30.2f} ms\n")
    for steps in (None, 8, 32):

        def measured(steps: int | None = steps) -> gn.Effects:
            return gn.effects(loss, clean, corrupted, "edges", "denoise", "attribution", steps=steps, progress=False)

        start = time.perf_counter()
        found = measured()
        first = time.perf_counter() - start
        taken = seconds(measured, 5)
        agreed = found.agreement(exact)
        told(
            f"{len(found)} edges by attribution{'' if steps is None else f', {steps} steps':10} "
            f"{taken * 1e3:20.2f} ms, {taken / training:6.2f} training steps; the first time {first * 1e3:.1f} ms; "
            f"Spearman {agreed.spearman:.3f}, Pearson {agreed.pearson:.3f}\n"
        )


def training_step(loss: gn.Node) -> gn.Node:
    """Return a number that depends on all that a step of training computes."""
    gn.compile(loss, nn.Adam(0.001).updates(loss), backend="interpreter")
    following = [gn.sum(gn.square(node)) for node in loss.graph.updates.values() if node.dtype.kind == "f"]
    return gn.sum(gn.stack(following))


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="16,1")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--without-step", action="store_true", help="leave out the sweep over a training step")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if not settings.work:
        again = [sys.executable, __file__, "--work", *sys.argv[1:]]
        return subprocess.run(again, env=measure.environment(1), check=False).returncode
    measure.pin(1)
    for rows in map(int, settings.rows.split(",")):
        loss, clean, corrupted = network(rows)
        told(f"{rows} texts, load {measure.shown_load()}, process {os.getpid()}\n")
        swept("nodes", loss, clean, corrupted, "nodes", settings.runs)
        exact = swept("edges", loss, clean, corrupted, "edges", settings.runs)
        stream = [node for node in gn.schedule(loss) if node.op.name == "add" and node.shape[1:] == (32, 64)]
        swept(
            "positions of activations", loss, clean, corrupted, [gn.patches.each(n, 1) for n in stream], settings.runs
        )
        attributed(exact, loss, clean, corrupted, settings.runs)
        if not settings.without_step:
            metric = training_step(loss)
            swept("nodes of a training step", metric, clean, corrupted, "nodes", 5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
