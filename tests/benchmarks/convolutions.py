"""Time nine convolutions, forwards and with both gradients, in graphnn and in PyTorch.

    python tests/benchmarks/convolutions.py [--backends native,numpy] [--rounds 3] [--only 56²]

Each engine works in a process of its own, held to one core and one thread; a figure is the least of the rounds. The
ratio is to PyTorch's own convolution, which it calls without a graph for the values, and with one for the gradients.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import measure


class Case(NamedTuple):
    """A convolution of square images by square kernels."""

    batch: int
    channels: int
    side: int
    size: int
    filters: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


CASES = {
    "28² k5 1→6, batch 64": Case(64, 1, 28, 5, 6),
    "32² k3 3→64, batch 32": Case(32, 3, 32, 3, 64, padding=1),
    "16² k3 64→128, batch 32": Case(32, 64, 16, 3, 128, padding=1),
    "16² k3 s2 64→128, batch 32": Case(32, 64, 16, 3, 128, stride=2, padding=1),
    "56² k3 64→64": Case(1, 64, 56, 3, 64, padding=1),
    "7² k3 512→512": Case(1, 512, 7, 3, 512, padding=1),
    "224² k7 s2 3→64": Case(1, 3, 224, 7, 64, stride=2, padding=3),
    "16² k1 64→128, batch 32": Case(32, 64, 16, 1, 128),
    "depthwise 28² k3 96, batch 8": Case(8, 96, 28, 3, 96, padding=1, groups=96),
}


def operands(case: Case) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.batch, case.channels, case.side, case.side), np.float32)
    w = rng.standard_normal((case.filters, case.channels // case.groups, case.size, case.size), np.float32)
    return x, w


def with_graphnn(case: Case, backend: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import graphnn as gn  # only this process needs it

    values = operands(case)
    g = gn.Graph(dtype="float32")
    nodes = [g.placeholder(name, value.shape) for name, value in zip("xw", values, strict=True)]
    y = gn.conv(*nodes, stride=case.stride, padding=case.padding, groups=case.groups)
    cotangent = g.placeholder("cotangent", y.shape)
    given = np.ones(y.shape, np.float32)
    feed = dict(zip(nodes, values, strict=True))
    forward = gn.compile(y, backend=backend)
    both = gn.compile([y, *gn.vjp({y: cotangent}, nodes)], backend=backend)
    return lambda: forward(feed), lambda: both({**feed, cotangent: given})


def with_torch(case: Case, backend: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import torch  # only this process needs it

    torch.set_num_threads(1)
    x, w = (torch.tensor(value, requires_grad=True) for value in operands(case))
    settings = {"stride": case.stride, "padding": case.padding, "groups": case.groups}

    def forward() -> Any:
        with torch.no_grad():
            return torch.nn.functional.conv2d(x, w, **settings)

    cotangent = torch.ones_like(forward())

    def both() -> Any:
        y = torch.nn.functional.conv2d(x, w, **settings)
        return y, *torch.autograd.grad(y, (x, w), cotangent)

    return forward, both


def milliseconds(call: Callable[[], Any], seconds: float) -> float:
    """Return the least time of a call, among as many as fit."""
    call()
    call()
    least, until = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < until:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least * 1e3


def work(engine: str, only: str, seconds: float) -> None:
    measure.pin(1)
    found = {}
    for name, case in CASES.items():
        if only in name:
            calls = with_torch(case, "") if engine == "torch" else with_graphnn(case, engine)
            found[name] = [milliseconds(call, seconds) for call in calls]
    sys.stdout.write(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="native,numpy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each figure, in each round")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.only, given.seconds)
        return
    engines = ["torch", *given.backends.split(",")]
    least: dict[tuple[str, str], list[float]] = {}
    for _ in range(given.rounds):
        for engine in engines:
            more = ["--work", engine, "--only", given.only, "--seconds", str(given.seconds)]
            made = subprocess.run(
                [sys.executable, __file__, *more], env=measure.environment(1), stdout=subprocess.PIPE, check=True
            )
            for name, times in json.loads(made.stdout).items():
                known = least.get((engine, name), [math.inf, math.inf])
                least[engine, name] = [min(pair) for pair in zip(known, times, strict=True)]
    write = sys.stdout.write
    write(f"| convolution | PyTorch, ms | {' | '.join(f'{engine}, times that' for engine in engines[1:])} |\n")
    write("| --- " * (len(engines) + 1) + "|\n")
    ratios: dict[str, list[float]] = {}
    for name in CASES:
        if ("torch", name) not in least:
            continue
        theirs = least["torch", name]
        row = [name, " / ".join(f"{each:.2f}" for each in theirs)]
        for engine in engines[1:]:
            mine = [a / b for a, b in zip(least[engine, name], theirs, strict=True)]
            ratios.setdefault(engine, []).append(mine[1])
            row.append(" / ".join(f"{each:.2f}" for each in mine))
        write(f"| {' | '.join(row)} |\n")
    means = [f"{math.exp(sum(map(math.log, found)) / len(found)):.2f}" for found in ratios.values()]
    write(f"| geometric mean, with gradients | | {' | '.join(means)} |\n")


if __name__ == "__main__":
    main()
