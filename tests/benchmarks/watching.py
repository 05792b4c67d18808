"""What it costs to watch PyTorch: steps that are recorded, those that are not, and the guard.

    python tests/benchmarks/watching.py               # a small network, and a step of some 300 ms
    python tests/benchmarks/watching.py --memory      # GPT of 110 million: a step alone, and recorded by digests
    python tests/benchmarks/watching.py --replay      # how many calls of the fifteen scripts come again to the bit

One thread. Times are the least of many, in turn; memory is the most that a process of its own has taken.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch.nn import functional as F  # noqa: N812 - as PyTorch programs call it

sys.path.append(str(Path(__file__).parents[1] / "satellites" / "torch"))

import watched_scripts

import graphnn as gn

told = sys.stdout.write
torch.set_num_threads(1)


def _gpt(words: int, d: int, layers: int, batch: int, tokens: int) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = watched_scripts.Gpt(words, d, layers, tokens)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    ids = torch.randint(0, words, (batch, tokens + 1))
    return model, optimizer, ids


def _step(model: Any, optimizer: Any, ids: Any) -> None:
    optimizer.zero_grad()
    x = model.word(ids[:, :-1]) + model.place(torch.arange(ids.shape[1] - 1))
    for block in model.blocks:
        x = block(x)
    logits = model.head(model.norm(x))
    F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
    optimizer.step()


def _least(run: Any, count: int) -> float:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def of_time() -> None:
    """Print times of steps as ratios to the plain step."""
    for what, sizes, count in (("small", (50, 32, 2, 4, 16), 12), ("large", (2000, 256, 4, 16, 64), 3)):
        model, optimizer, ids = _gpt(*sizes)
        step = partial(_step, model, optimizer, ids)
        step()
        ways: dict[str, tuple[Any, ...]] = {
            "plain": (),
            "recorded": ({"steps": "all"},),
            "recorded, digests": ({"steps": "all", "keep": "digests"},),
            "guard": ({"steps": lambda number: False, "guard": "nan"},),
            "not recorded": ({"steps": lambda number: False},),
        }
        least = dict.fromkeys(ways, float("inf"))
        for _ in range(5):
            for way, settings in ways.items():
                with gn.watch(model, optimizer, **settings[0]) if settings else nullcontext():
                    least[way] = min(least[way], _least(step, count if way in ("plain", "not recorded") else 3))
        told(f"{what}: plain {least['plain'] * 1e3:.2f} ms\n")
        for way in list(ways)[1:]:
            told(f"  {way}: {least[way] / least['plain']:.3f} x\n")


def of_memory(which: str) -> None:
    """Print the peak memory of a step of GPT of 110 million, in this process or in two of their own."""
    if not which:
        found = {}
        for way in ("plain", "digests"):
            text = subprocess.run(
                [sys.executable, __file__, "--memory", way], check=True, capture_output=True, text=True
            ).stdout
            found[way] = float(text.split()[0])
            told(f"{way}: {text}")
        told(f"ratio {found['digests'] / found['plain']:.2f}\n")
        return
    model, optimizer, ids = _gpt(32_000, 768, 12, 2, 32)
    watch = gn.watch(model, optimizer, keep="digests", steps=lambda number: number == 1)
    start = time.perf_counter()
    with watch if which == "digests" else nullcontext():
        for _ in range(2):
            _step(model, optimizer, ids)
    count = sum(each.numel() for each in model.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    told(f"{peak:.2f} GiB, {count:,} parameters, {time.perf_counter() - start:.1f} s\n")


def of_replays() -> None:
    """Print how many nodes of the scripts PyTorch's kernels give again, of the recorded operands."""
    wrong: Counter[str] = Counter()
    count, kinds = 0, set()
    for script in watched_scripts.SCRIPTS.values():
        run, *_ = script(partial(gn.watch, steps="all"))
        for trace in (run.traces[0], run.traces[-1]):
            for record in trace:
                if record.op.is_leaf:
                    continue
                count += 1
                kinds.add(record.op.name)
                value = record.op.forward(*[trace[node].value for node in record.node.inputs])
                wrong[record.op.name] += value.tobytes() != record.value.tobytes()
    told(f"{count:,} nodes of {len(kinds)} kinds: {sum(wrong.values())} not to the bit, {+wrong}\n")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", nargs="?", const="")
    parser.add_argument("--replay", action="store_true")
    settings = parser.parse_args()
    if settings.replay:
        of_replays()
    elif settings.memory is not None:
        of_memory(settings.memory)
    else:
        of_time()


if __name__ == "__main__":
    main()
