"""How long the replay page of a long trace takes, and how large it is.

    python tests/benchmarks/page_times.py [--operations 100000] [--of gpt]

Seconds of the processor from `trace.to_html(path)` to the last byte of the file, for graphs of several shapes: those of
many operations, and a GPT of 162 million random weights. With `--profile`, also where the time goes.
"""

import argparse
import cProfile
import os
import pstats
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is loaded

import numpy as np

import graphnn as gn
from graphnn import nn

Made = list[gn.Node]
told = sys.stdout.write


def a_chain(x: gn.Node, operations: int) -> Made:
    """Return one operation after the other."""
    for _ in range(operations):
        x = gn.sin(x)
    return [x]


def side_by_side(x: gn.Node, operations: int) -> Made:
    """Return the sum of many values, each computed from the input alone."""
    values = [gn.sin(x * float(number)) for number in range(operations // 4)]
    total = values[0]
    for value in values[1:]:
        total = total + value
    return [total]


def in_scopes(x: gn.Node, operations: int) -> Made:
    """Return residual blocks, each in a scope."""
    for _ in range(operations // 4):
        with x.graph.scope("block"):
            x = gn.sin(x) * 0.5 + x
    return [x]


def a_deep_network(x: gn.Node, operations: int) -> Made:
    """Return a loss with the gradient of every parameter."""
    for _ in range(operations // 14):
        x = gn.tanh(nn.Dense(4, rng=np.random.default_rng(0))(x))
    loss = gn.mean(x * x)
    return [loss, *gn.grad(loss, list(x.graph.parameters))]


def a_gpt(tokens: gn.Node, blocks: int = 12, units: int = 768, words: int = 50257) -> Made:
    """Return the loss of a GPT of random weights."""
    graph, rng, length = tokens.graph, np.random.default_rng(0), tokens.shape[1]
    small, settings = nn.init.normal(0.0, 0.02), {"rng": rng, "dtype": np.float32}
    x = nn.Embedding(words, units, weight_init=small, **settings)(tokens)
    x = nn.PositionEmbedding(length, weight_init=small, **settings)(x)
    for _ in range(blocks):
        x = nn.TransformerBlock(units // 64, 4 * units, True, norm="before", activation="gelu", **settings)(x)
    logits = nn.Dense(words, use_bias=False, **settings)(nn.LayerNorm(dtype=np.float32)(x))
    labels = graph.placeholder("labels", ("batch", length), np.int64)
    return [nn.softmax_crossentropy(logits, labels)]


MADE: dict[str, Callable[[gn.Node, int], Made]] = {
    "chain": a_chain,
    "wide": side_by_side,
    "scopes": in_scopes,
    "network": a_deep_network,
}
LENGTH = 64


def traced(name: str, operations: int) -> gn.Trace:
    """Return the run of a graph."""
    if name == "gpt":
        tokens = gn.Graph("gpt").placeholder("tokens", ("batch", LENGTH), np.int64)
        made = a_gpt(tokens)
        words = np.random.default_rng(1).integers(0, 50257, (2, 1, LENGTH))
        return gn.trace(made, {tokens: words[0], "labels": words[1]})
    x = gn.Graph().placeholder("x", ("batch", 4))
    return gn.trace(MADE[name](x, operations), {x: np.ones((3, 4), np.float32)})


def main() -> None:
    """Time the page of each graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--of", choices=[*MADE, "gpt"], action="append", help="only of these graphs")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="where to keep the pages")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    asked = parser.parse_args()
    with nullcontext(asked.keep) if asked.keep else tempfile.TemporaryDirectory() as folder:
        for name in asked.of or [*MADE, "gpt"]:
            told(timed(name, asked.operations, Path(folder), asked.profile))


def timed(name: str, operations: int, folder: Path, profiled: bool) -> str:
    """Return a line about the page of a graph, which is written to a folder."""
    trace, path, profile = traced(name, operations), folder / f"{name}.html", cProfile.Profile()
    held, before, clock = peak(), time.process_time(), time.perf_counter()
    with profile if profiled else nullcontext():
        trace.to_html(path)
    took, waited = time.process_time() - before, time.perf_counter() - clock
    if profiled:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25).sort_stats("cumtime").print_stats(60)
    size, grown = path.stat().st_size / 1e6, peak() - held
    return (
        f"{name:<8} {len(trace):>8,} nodes  {took:6.1f} s ({waited:.1f} s on the clock)  {size:5.1f} MB  "
        f"peak {held} MB and {grown} MB for the page\n"
    )


def peak() -> int:
    """Return the most memory that the process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    main()
