"""How long the replay page of a long trace takes, and how large it is.

    python tests/benchmarks/page_times.py [--operations 100000]

Seconds of the processor from `trace.to_html()` to the last byte of its text, for graphs of several shapes.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable

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


MADE: list[Callable[[gn.Node, int], Made]] = [a_chain, side_by_side, in_scopes, a_deep_network]


def main() -> None:
    """Time the page of each graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=100_000)
    asked = parser.parse_args()
    for made in MADE:
        x = gn.Graph().placeholder("x", ("batch", 4))
        trace = gn.trace(made(x, asked.operations), {x: np.ones((3, 4), np.float32)})
        before = time.process_time()
        text = trace.to_html().html
        took = time.process_time() - before
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        name = made.__name__.replace("_", " ")
        told(f"{name:<16} {len(trace):>8,} nodes  {took:6.1f} s  {len(text) / 1e6:5.1f} MB  peak {most} MB\n")


if __name__ == "__main__":
    main()
