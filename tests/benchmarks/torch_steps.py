"""Time training steps of PyTorch's modules: by `gn.from_torch` and the native plan, and by PyTorch itself.

    python tests/benchmarks/torch_steps.py [NAME ...] [--adam] [--seconds 0.5] [--json FILE]

A step is forwards, backwards and the update by SGD, or by Adam, in float32 on one thread. Each engine works in a
process of its own. Before it is timed, the losses of 20 steps in float64 must agree. The modules are those of
tests/satellites/torch/modules_2026.py, with 16 examples of 16 places, and graphs of 64 nodes and 256 edges. Others are
timed by a script that calls `main` with its own, as imported_networks.py does.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "satellites" / "torch")]

import measure  # noqa: E402
import numpy as np  # noqa: E402

ENGINES = ("torch", "native")
SIZES = {"n": 16, "t": 16, "s": 16, "p": 16, "v": 64, "e": 256}
RATE, STEPS = 0.001, 20


class Case(NamedTuple):
    """A network and a batch of it: functions that make them with PyTorch's default dtype."""

    make: Callable[[], Any]
    batch: Callable[[], tuple[Any, ...]]


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def modules() -> dict[str, Case]:
    """Return the modules of the tests, each with a batch of a usual size."""
    import modules_2026

    def batch(case: Any) -> tuple[Any, ...]:
        open_sizes = {size for names in case.dims for size in names.values()}
        sizes = {key: SIZES[key] if key in open_sizes else size for key, size in case.sizes[0].items()}
        return case.batch(**sizes)

    return {name: Case(case.make, functools.partial(batch, case)) for name, case in modules_2026.CASES.items()}


def made(case: Case, dtype: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a module and a batch."""
    import torch

    torch.set_default_dtype(dtype)
    torch.manual_seed(0)
    module = case.make()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return module, case.batch()


def by_torch(case: Case, dtype: Any, adam: bool) -> Callable[[], float]:
    """Return the step of PyTorch."""
    import torch
    from test_torch_modules import tensors

    module, given = made(case, dtype)
    weights = [each for each in module.parameters() if each.requires_grad]
    optimizer = (torch.optim.Adam if adam else torch.optim.SGD)(weights, lr=RATE)

    def step() -> float:
        optimizer.zero_grad()
        loss = sum((each * each).mean() for each in tensors(module(*given)) if each.requires_grad)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def by_graphnn(case: Case, dtype: Any, adam: bool) -> Callable[[], float]:
    """Return the step as a native plan."""
    step, feed = compiled(case, dtype, adam)
    return lambda: float(step(feed))


def compiled(case: Case, dtype: Any, adam: bool) -> tuple[Any, dict[str, Any]]:
    """Return a step of graphnn and its feed."""
    from test_torch_modules import tensors

    import graphnn as gn

    module, given = made(case, dtype)
    results = tensors(copy.deepcopy(module)(*given))
    graph = gn.from_torch(module, *given, check=False)
    feed = {key: each.detach().numpy() for key, each in zip(graph.inputs, tensors(given), strict=True)}
    nodes = [node for node, each in zip(graph.outputs.values(), results, strict=True) if each.requires_grad]
    loss = sum(gn.mean(node * node) for node in nodes)
    rule = gn.nn.Adam(RATE) if adam else gn.nn.SGD(RATE)
    return gn.compile(loss, updates=rule.updates(loss), backend="native"), feed


def work(engine: str, cases: Mapping[str, Case], adam: bool, seconds: float) -> None:
    """Time steps, and print a line for each module."""
    import torch

    torch.set_num_threads(1)
    measure.pin(1)
    warnings.simplefilter("ignore")
    maker = by_torch if engine == "torch" else by_graphnn
    for name, case in cases.items():
        try:
            step = maker(case, torch.float64, adam)
            losses = [step() for _ in range(STEPS)]
            step = maker(case, torch.float32, adam)
            for _ in range(3):
                step()
            least, end = float("inf"), time.perf_counter() + seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                step()
                least = min(least, time.perf_counter() - start)
            row: dict[str, Any] = {"losses": losses, "seconds": least}
        except Exception as error:  # noqa: BLE001 - the row tells it
            row = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        say(json.dumps({"name": name, "engine": engine, **row}))


def main(cases: Mapping[str, Case], script: str, what: str | None) -> None:
    """Time the cases that the command line names, or all; `script` is the file that has them, and `what` its help."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(cases))
    parser.add_argument("--adam", action="store_true")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", choices=ENGINES)
    asked = parser.parse_args()
    if missing := [name for name in asked.names if name not in cases]:
        parser.error(f"unknown: {', '.join(missing)}; there are {', '.join(cases)}")
    chosen = {name: cases[name] for name in asked.names or cases}
    if asked.work:
        work(asked.work, chosen, asked.adam, asked.seconds)
        return
    rows: dict[str, dict[str, Any]] = {}
    for engine in ENGINES:
        command = [sys.executable, script, *chosen, "--work", engine, "--seconds", str(asked.seconds)]
        command += ["--adam"] if asked.adam else []
        said = subprocess.run(command, env=measure.environment(1), capture_output=True, text=True, check=True).stdout
        for line in said.splitlines():
            row = json.loads(line)
            rows.setdefault(row["name"], {})[engine] = row
    ratios = {}
    say("| module | PyTorch, µs | native, µs | ratio | losses apart |\n|---|--:|--:|--:|--:|")
    for name, both in rows.items():
        wrong = [row["error"] for row in both.values() if "error" in row]
        if wrong:
            say(f"| {name} | {wrong[0]} | | | |")
            continue
        a, b = (np.array(both[engine]["losses"]) for engine in ENGINES)
        usual = np.isfinite(a)  # what grows without bounds does so in both
        same = np.array_equal(usual, np.isfinite(b))
        apart = float((np.abs(a - b) / np.maximum(np.abs(a), 1e-300))[usual].max()) if same else float("inf")
        times = [both[engine]["seconds"] for engine in ENGINES]
        ratios[name] = times[1] / times[0]
        say(f"| {name} | {times[0] * 1e6:,.0f} | {times[1] * 1e6:,.0f} | {ratios[name]:.2f} | {apart:.0e} |")
    if ratios:
        worst = sorted(ratios, key=ratios.__getitem__, reverse=True)[:5]
        mean = math.exp(statistics.fmean(map(math.log, ratios.values())))
        say(
            f"\nmedian {statistics.median(ratios.values()):.2f}; geometric mean {mean:.2f}; worst: "
            + ", ".join(f"{n} {ratios[n]:.2f}" for n in worst)
        )
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main(modules(), __file__, __doc__)
