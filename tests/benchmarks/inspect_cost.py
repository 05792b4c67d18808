"""What looking costs: a trace, its table, statistics and file; stepping; and travelling through many random graphs.

    python tests/benchmarks/inspect_cost.py [--repeats 200] [--operations 10000] [--graphs 0] [--seed 11]

Every figure is a median in one process with one core and one thread, and with the kernels that NumPy chooses for
itself. ``--graphs 1000`` also travels through as many graphs with their gradients, as
tests/debugger/test_time_travel.py does, with room for all and within a budget, and tells what went wrong.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import measure
import numpy as np

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

from random_graphs import random_graphs
from test_time_travel import travelled

import graphnn as gn
from graphnn import datasets, nn

told = sys.stdout.write


def network() -> tuple[gn.Node, dict[gn.Node, Any]]:
    """Return the spiral network's loss, 300×2 → 64 → 3, with its feed."""
    rng = np.random.default_rng(0)
    g = gn.Graph("spiral")
    x = g.placeholder("x", shape=("batch", 2))
    labels = g.placeholder("labels", shape=("batch",), dtype=np.int64)
    layers = nn.Sequential(nn.Dense(64, rng=rng), nn.ReLU(), nn.Dense(3, rng=rng), nn.Softmax())
    loss = nn.categorical_crossentropy(layers(x), labels)
    points, classes = datasets.spiral(100, classes=3, seed=0)
    return loss, {x: points, labels: classes}


def seconds(do: Callable[[], Any]) -> float:
    """Return what one call takes; its result goes within the time, as it would in a loop."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def medians(repeats: int, **ways: Callable[[], Any]) -> dict[str, float]:
    """Return the median seconds of several ways, taken turn about so that all meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 3):
        for name, do in ways.items():
            taken = seconds(do)
            if turn >= 3:
                found[name].append(taken)
    return {name: statistics.median(times) for name, times in found.items()}


def tracing(repeats: int) -> None:
    """Tell what a trace costs, beside a run by the interpreter that keeps its values."""
    loss, feed = network()

    def with_statistics() -> gn.Trace:
        seen = gn.trace(loss, feed)
        for record in seen:
            _ = record.stats
        return seen

    with TemporaryDirectory() as folder:
        path = Path(folder, "spiral.trace")

        def everything() -> None:
            seen = with_statistics()
            str(seen)
            seen.save(path)

        sync, os.fsync = os.fsync, lambda descriptor: None  # type: ignore[assignment] # what the disk takes is not ours
        try:
            found = medians(
                repeats,
                steps=lambda: list(gn.steps(loss, feed)),
                trace=lambda: gn.trace(loss, feed),
                statistics=with_statistics,
            )
            # Not among those, which would find the memory as the file has left it.
            found |= medians(repeats, run=lambda: gn.run(loss, feed))
            found |= medians(repeats, everything=everything)
        finally:
            os.fsync = sync
        size = path.stat().st_size
    plain = found["steps"]
    told(
        f"{len(gn.schedule(loss))} nodes\n"
        f"a run                          {found['run'] * 1e3:8.3f} ms\n"
        f"its steps, with their values   {plain * 1e3:8.3f} ms\n"
        f"a trace                        {found['trace'] * 1e3:8.3f} ms  {found['trace'] / plain:5.2f} × the steps\n"
        f"with all statistics            {found['statistics'] * 1e3:8.3f} ms  {found['statistics'] / plain:5.2f} ×\n"
        f"and its table and its file     {found['everything'] * 1e3:8.3f} ms  ({size:,} bytes, without fsync)\n"
    )


def convolving(repeats: int) -> None:
    """Tell what a trace of a convolution costs, beside a run that keeps its values, its windows among them."""
    rng = np.random.default_rng(0)
    g = gn.Graph("convolution", dtype="float32")
    x = g.placeholder("x", shape=(8, 64, 28, 28))
    kernel = g.parameter("kernel", rng.normal(size=(64, 64, 3, 3)).astype(np.float32))
    y = gn.conv(x, kernel, padding=1)
    feed = {x: rng.normal(size=x.shape).astype(np.float32)}

    def with_statistics() -> None:
        for record in gn.trace(y, feed):
            _ = record.stats

    ways = {"steps": lambda: list(gn.steps(y, feed)), "trace": lambda: gn.trace(y, feed), "statistics": with_statistics}
    found = medians(repeats, **ways)
    plain = found["steps"]
    told(
        f"a convolution, with its values {plain * 1e3:8.3f} ms\n"
        f"a trace of it                  {found['trace'] * 1e3:8.3f} ms  {found['trace'] / plain:5.2f} ×\n"
        f"with all statistics            {found['statistics'] * 1e3:8.3f} ms  {found['statistics'] / plain:5.2f} ×\n"
    )


def modelling(tokens: int, repeats: int) -> None:
    """Tell what a trace of a language model costs, of 110 million random weights: 12 blocks of 768 units."""
    rng = np.random.default_rng(0)
    g = gn.Graph("model", dtype="float32")
    words = g.placeholder("words", shape=(1, tokens), dtype=np.int64)
    table = nn.Embedding(32_000, 768, rng=rng)
    x = table(words)
    x += g.parameter("places", rng.normal(size=(tokens, 768)).astype(np.float32))
    for _ in range(12):
        x = nn.TransformerBlock(12, 3072, causal=True, norm="before", activation="gelu", rng=rng)(x)
    y = nn.LayerNorm()(x) @ table.parameters[0].T
    feed = {words: rng.integers(32_000, size=words.shape)}

    def with_statistics() -> None:
        for record in gn.trace(y, feed):
            _ = record.stats

    ways = {"run": lambda: gn.run(y, feed), "trace": lambda: gn.trace(y, feed), "statistics": with_statistics}
    found = medians(repeats, **ways)
    plain = found["run"]
    weights = sum(value.size for value in g.state.values())
    told(
        f"a model of {weights / 1e6:.0f} million weights, {tokens} tokens\n"
        f"a run                          {plain * 1e3:8.1f} ms\n"
        f"a trace                        {found['trace'] * 1e3:8.1f} ms  {found['trace'] / plain:5.2f} × the run\n"
        f"with all statistics            {found['statistics'] * 1e3:8.1f} ms  {found['statistics'] / plain:5.2f} ×\n"
    )


def stepping(operations: int, repeats: int) -> None:
    """Tell how long it takes to step through a long chain one by one, and back."""
    g = gn.Graph("chain")
    h = x = g.placeholder("x", shape=(16,))
    for _ in range(operations):
        h = gn.sin(h)
    feed = {x: np.linspace(0, 1, 16)}
    forth, back, tight = [], [], []

    def through(dbg: gn.Debugger, move: Callable[[], Any], until: int) -> None:
        while dbg.position != until:
            move()

    for _ in range(repeats):
        dbg = gn.debug(h, feed, echo=None)
        forth.append(seconds(lambda dbg=dbg: through(dbg, dbg.step, operations)))  # type: ignore[misc]
        back.append(seconds(lambda dbg=dbg: through(dbg, dbg.back, 0)))  # type: ignore[misc]
        dbg = gn.debug(h, feed, echo=None, budget=128 * operations / 10)
        dbg.resume()
        tight.append(seconds(lambda dbg=dbg: through(dbg, dbg.back, 0)))  # type: ignore[misc]
    told(
        f"{operations:,} operations one by one   {statistics.median(forth):8.3f} s\n"
        f"and back                       {statistics.median(back):8.3f} s\n"
        f"back, with room for a tenth    {statistics.median(tight):8.3f} s\n"
    )


def travelling(graphs: int, seed: int) -> int:
    """Travel through random graphs, and return how many times something was not as it should be."""
    start = time.perf_counter()
    faults: Counter[str] = Counter()
    for number, recipe in enumerate(random_graphs(seed, graphs)):
        for share in (None, 0.1):
            try:
                travelled(recipe, number, share, moves=25)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                faults[f"graph {number}, {share}: {type(error).__name__}: {error}"] += 1
    told(f"{graphs:,} graphs with gradients, twice each: {len(faults)} faults, {time.perf_counter() - start:.0f} s\n")
    told("".join(f"  {fault}\n" for fault in faults))
    return len(faults)


def main() -> int:
    """Print the figures; the exit status says whether every value was as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--graphs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if not settings.work:
        again = [sys.executable, __file__, "--work", *sys.argv[1:]]
        return subprocess.run(again, env=measure.environment(1), check=False).returncode
    measure.pin(1)
    tracing(settings.repeats)
    convolving(max(settings.repeats // 10, 3))
    stepping(settings.operations, 5)
    return int(bool(settings.graphs and travelling(settings.graphs, settings.seed)))


if __name__ == "__main__":
    sys.exit(main())
