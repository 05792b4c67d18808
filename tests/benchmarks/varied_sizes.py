"""What plans cost where sizes change from call to call: as a ratio to evaluation node by node, all along the run.

    python tests/benchmarks/varied_sizes.py [WORKLOAD ...] [--backend numpy] [--calls 1000] [--rounds 3] [--seed 0]

Each workload is a sequence of calls, timed one by one from the first one on, the making of plans included. Evaluation
node by node and by plans have a process of their own in each round, held to one core and one thread. A call's figure
is the least of all rounds: the calls of each round are the same, and so are the plans that are made. The ratio of
all time spent up to a call to the interpreter's is told: the greatest of all calls, and how it goes on.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from measure import environment, pin

Run = tuple[Callable[[int], Any], list[int]]
told = sys.stdout.write


def classifier(backend: str, features: int = 20, hidden: Sequence[int] = (64, 64)) -> Callable[[int], Any]:
    """Return what makes a training step with a batch of so many rows."""
    import numpy as np

    import graphnn as gn
    from graphnn import nn

    rng = np.random.default_rng(0)
    g = gn.Graph(dtype="float32")
    h = x = g.placeholder("x", ("batch", features))
    labels = g.placeholder("labels", ("batch",), dtype="int64")
    for units in hidden:
        h = nn.ReLU()(nn.Dense(units, rng=rng)(h))
    loss = nn.softmax_crossentropy(nn.Dense(10, rng=rng)(h), labels)
    step = gn.compile(loss, nn.Adam(0.001).updates(loss), backend=backend)
    rows, classes = rng.normal(size=(256, features)).astype(np.float32), rng.integers(0, 10, 256)
    return lambda n: step({x: rows[:n], labels: classes[:n]})


def generator(backend: str) -> Callable[[int], Any]:
    """Return what computes the next token of a text of so many, by two blocks of attention."""
    import numpy as np

    import graphnn as gn
    from graphnn import nn

    rng = np.random.default_rng(0)
    g = gn.Graph(dtype="float32")
    tokens = g.placeholder("tokens", ("length",), dtype="int64")
    h = gn.take(g.parameter("embedding", rng.normal(size=(50, 32)).astype(np.float32)), tokens, axis=0)
    for _ in range(2):
        q, k, v = (nn.Dense(32, rng=rng)(h) for _ in range(3))
        h = h + gn.softmax(q @ k.T * 0.18) @ v
        h = h + nn.Dense(32, rng=rng)(nn.ReLU()(nn.Dense(64, rng=rng)(h)))
    step = gn.compile(gn.argmax(nn.Dense(50, rng=rng)(h)[-1]), backend=backend)
    text = rng.integers(0, 50, 256)
    return lambda n: step({tokens: text[:n]})


def recurrent(backend: str) -> Callable[[int], Any]:
    """Return what makes a training step of a GRU with sequences of so many rows, as a loop."""
    import numpy as np

    import graphnn as gn
    from graphnn import nn

    rng = np.random.default_rng(0)
    g = gn.Graph(dtype="float32")
    x, labels = g.placeholder("x", (8, "time", 8)), g.placeholder("labels", (8, "time"), dtype="int64")
    loss = nn.softmax_crossentropy(nn.Dense(4, rng=rng)(nn.GRU(16, rng=rng)(x)), labels)
    step = gn.compile(loss, nn.Adam(0.001).updates(loss), backend=backend)
    rows, classes = rng.normal(size=(8, 256, 8)).astype(np.float32), rng.integers(0, 4, (8, 256))
    return lambda n: step({x: rows[:, :n], labels: classes[:, :n]})


def workloads(backend: str, calls: int, seed: int) -> dict[str, Callable[[], Run]]:
    """Return each workload by name: what a call does of a size, and the sizes of all calls."""
    rng = random.Random(seed)
    at_random = [rng.randint(1, 256) for _ in range(calls)]
    buckets = [rng.choice([16, 32, 48, 64, 96, 128, 192, 256]) for _ in range(calls)]
    lengths = rng.sample(range(1, 257), 256)
    by_rank = rng.choices(lengths, [1 / rank for rank in range(1, 257)], k=calls)
    epochs = [32 if i % 10 else 12 for i in range(1, calls + 1)]
    medium = partial(classifier, backend, 784, (256,))
    return {
        "batches of 1 to 256": lambda: (classifier(backend), at_random),
        "lengths by Zipf's law": lambda: (classifier(backend), by_rank),
        "one size": lambda: (classifier(backend), [32] * calls),
        "two sizes of an epoch": lambda: (classifier(backend), epochs),
        "two sizes in turn": lambda: (classifier(backend), [32, 48] * (calls // 2)),
        "three sizes in turn": lambda: (classifier(backend), [32, 48, 100] * (calls // 3)),
        "eight buckets": lambda: (classifier(backend), buckets),
        "medium, 1 to 256": lambda: (medium(), at_random),
        "medium, Zipf's law": lambda: (medium(), by_rank),
        "medium, one size": lambda: (medium(), [128] * calls),
        "medium, an epoch": lambda: (medium(), [4 * n for n in epochs]),
        "a loop, 1 to 256": lambda: (recurrent(backend), at_random[: calls // 4]),
        "token by token": lambda: (generator(backend), list(range(1, 257))),
        "four texts": lambda: (generator(backend), list(range(1, 257)) * 4),
    }


def timed(workload: str, backend: str, asked: argparse.Namespace) -> list[float]:
    """Return the seconds of each call, measured in this process."""
    pin(1)
    call, sizes = workloads(backend, asked.calls, asked.seed)[workload]()
    found = []
    for n in sizes:
        before = time.thread_time()
        call(n)
        found.append(time.thread_time() - before)
    return found


def measured(workload: str, backend: str, asked: argparse.Namespace) -> list[float]:
    """Return the seconds of each call, measured in a process of its own."""
    own = ["--only", workload, backend, "--calls", str(asked.calls), "--seed", str(asked.seed)]
    done = subprocess.run(
        [sys.executable, __file__, *own], env=environment(1), capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Time each workload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", metavar="WORKLOAD", help='such as "one size"; all by default')
    parser.add_argument("--backend", choices=("numpy", "native"), default="numpy")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs=2, metavar=("WORKLOAD", "BACKEND"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        told(json.dumps(timed(*asked.only, asked)))
        return
    told(f"{'':<22} interpreter  by plans   ratio: greatest (call)   after a tenth, a half, all calls\n")
    ways = "interpreter", asked.backend
    known = workloads(asked.backend, asked.calls, asked.seed)
    if unknown := [name for name in asked.which if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})")
    for workload in asked.which or known:
        least: dict[str, list[float]] = {}
        for _ in range(asked.rounds):
            for backend in ways:
                found = measured(workload, backend, asked)
                least[backend] = [min(pair) for pair in zip(found, least.get(backend, found), strict=True)]
        spent = {backend: list(accumulate(each)) for backend, each in least.items()}
        ratios = [mine / its for mine, its in zip(spent[asked.backend], spent["interpreter"], strict=True)]
        count = len(ratios)
        where = max(range(count), key=ratios.__getitem__)
        each = [f"{spent[backend][-1] / count * 1e3:7.3f} ms" for backend in ways]
        goes_on = "  ".join(f"{ratios[at - 1]:.2f}" for at in (count // 10, count // 2, count))
        told(f"{workload:<22} {each[0]}  {each[1]}   {ratios[where]:.2f} ({where + 1:,})   {goes_on}\n")


if __name__ == "__main__":
    main()
