"""Time and memory of training an LSTM of 10,000 steps as one loop, by what a gradient keeps.

    python tests/benchmarks/loops.py [--steps 10000] [--recompute False,True,100] [--backend native]

Each line is a process of its own: how long building and compiling take, a training step, and by how much the memory of
the process grows.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np


def measured(steps: int, recompute: bool | int, backend: str) -> str:
    """Return a line of figures."""
    import graphnn as gn
    from graphnn import nn

    rng, units = np.random.default_rng(0), 32
    g = gn.Graph(dtype=np.float32)
    x = g.placeholder("x", ("steps", "batch", 8))
    weight = g.parameter("weight", rng.normal(size=(8, 4 * units)).astype("f4"))
    recurrent = g.parameter("recurrent", rng.normal(size=(units, 4 * units)).astype("f4") * 0.1)
    start = gn.zeros(("batch", units), "float32", graph=g)

    def cell(state: tuple[gn.Node, gn.Node], row: gn.Node) -> tuple[gn.Node, gn.Node]:
        h, c = state
        take, keep, new, give = gn.split(row @ weight + h @ recurrent, 4, axis=-1)
        c = gn.sigmoid(keep) * c + gn.sigmoid(take) * gn.tanh(new)
        return gn.sigmoid(give) * gn.tanh(c), c

    began = time.perf_counter()
    (last, _), _ = gn.scan(cell, (start, start), x, recompute=recompute)
    loss = gn.mean(last * last)
    step = gn.compile(loss, nn.SGD(0.1).updates(loss), backend=backend)
    feed = {x: np.ones((steps, 32, 8), "f4")}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step.plan(feed)
    made = time.perf_counter() - began
    step(feed)
    began = time.perf_counter()
    step(feed)
    took = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return (
        f"recompute={recompute!s:5}  {len(g)} nodes  made in {made:.2f} s  step {took:.3f} s  memory +{grown:.0f} MiB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--recompute", default="False,True,100")
    parser.add_argument("--backend", default="native")
    given = parser.parse_args()
    choices = given.recompute.split(",")
    if len(choices) > 1:
        for choice in choices:
            same = [f"--steps={given.steps}", f"--backend={given.backend}"]
            subprocess.run([sys.executable, __file__, "--recompute", choice, *same], check=True)
    else:
        recompute = {"False": False, "True": True}.get(choices[0])
        sys.stdout.write(
            measured(given.steps, int(choices[0]) if recompute is None else recompute, given.backend) + "\n"
        )
