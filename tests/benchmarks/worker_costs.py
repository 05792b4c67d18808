"""Measure what a step costs on workers of Dask, and compute on paper what many workers would give.

    python tests/benchmarks/worker_costs.py [--workers 2] [--repeats 5]

A step with W workers, of a network of P parameters (4 bytes each), takes in this model

    compute / W + a + b W + 4 P W (1 / down + 1 / up) + D / down

since the client hands out a task to each worker, sends it the parameters and its part of the batch (D bytes in all),
gets its gradients, and adds them. Where all parameters are more than 64 MiB, workers hand them on, each to two others;
where all gradients are more than 16 MiB, workers add them two by two. Both take more tasks, and log2 W rounds of
transfers instead of W. a and b are measured by steps without work, the rates by arrays of 40 kB and 64 MB, and the time
of computing by a training without workers. What is measured with workers is printed beside the model.

On paper, a shard uses each weight so many times: a dense layer once a row, others once a row and position.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from search import client_of

import graphnn as gn
from graphnn import nn
from graphnn.distributed.blas_threads import one_blas_thread
from graphnn.runtime.cluster_port import opened_cluster

TASKS = 32
FEW, MANY = 10_000, 16_000_000
"""Numbers in an array that is sent."""
HANDED_ON, ADDED_THERE = 2**26, 2**24
"""Bytes of all workers together: see `graphnn.distributed.training_workers`."""
USES = (4096, 262_144)
"""Of a weight by a shard, on paper: 4,096 rows of a dense network, 256 of a network with 1,024 positions."""


class Costs(NamedTuple):
    """What is measured: seconds, and bytes a second."""

    begin: float
    each: float
    down: float
    up: float

    def step(self, compute: float, parameters: float, workers: int, batch: float) -> float:
        """Return the seconds of a step, of which computing takes so many in one process."""
        return compute / workers + self.begin + self.shared(parameters, workers) + batch / self.down

    def shared(self, parameters: float, workers: int) -> float:
        """Return the seconds of tasks and transfers: of parameters to all workers, and of gradients from them."""
        size, rounds = 4 * parameters, math.ceil(math.log2(workers))
        tasks, seconds = workers, 0.0
        if workers <= 2 or size * workers <= HANDED_ON:
            seconds += workers * size / self.down
        else:
            tasks += workers
            seconds += size / self.down + 2 * rounds * size / self.up  # each worker hands it on twice
        if workers <= 2 or size * workers <= ADDED_THERE:
            seconds += workers * size / self.up
        else:
            tasks += workers - 1
            seconds += (rounds + 1) * size / self.up
        return tasks * self.each + seconds


def best(call: Callable[[], Any], repeats: int) -> float:
    """Return the least seconds that a call took."""
    found = []
    for _ in range(repeats):
        begun = perf_counter()
        call()
        found.append(perf_counter() - begun)
    return min(found)


def network(parameters: int, rows: int) -> tuple[Any, dict[Any, Any]]:
    """Return a training step of about so many parameters, and a batch."""
    width = max(8, round((parameters / 3) ** 0.5))
    rng = np.random.default_rng(0)
    x = gn.Graph(dtype="float32").placeholder("x", ("batch", width))
    labels = x.graph.placeholder("labels", ("batch",), np.int64)
    layers = [part for _ in range(2) for part in (nn.Dense(width, rng=rng), nn.ReLU())]
    loss = nn.softmax_crossentropy(nn.Sequential(*layers, nn.Dense(width, rng=rng))(x), labels)
    feed = {x: rng.standard_normal((rows, width), dtype=np.float32), labels: rng.integers(0, width, rows)}
    return gn.compile(loss, nn.SGD(1e-3).updates(loss)), feed


def small_tasks(cluster: Any, program: Any, count: int) -> None:
    """Let workers compute so many small tasks."""
    cluster.gather([cluster.submit(program, None, {}) for _ in range(count)])


def transfer(cluster: Any, count: int, repeats: int) -> tuple[float, float]:
    """Return the seconds in which a worker gets an array of so many numbers, and in which it returns one."""
    x = gn.Graph(dtype="float32").placeholder("x", ("n",))
    total, twice = cluster.program([gn.sum(x)]), cluster.program([x * 2.0])
    array = np.ones(count, np.float32)
    empty = cluster.program([gn.sum(x.graph.constant(1.0))])
    nothing = best(lambda: small_tasks(cluster, empty, 1), repeats)
    down = best(lambda: cluster.gather([cluster.submit(total, None, {x: array})]), repeats)
    both = best(lambda: cluster.gather([cluster.submit(twice, None, {x: array})]), repeats)
    return down - nothing, both - down


def stepped(step: Any, feed: Any, count: int, **how: Any) -> float:
    """Return the seconds of a step of `fit`: those of more steps, without what begins and ends a training."""

    def seconds(steps: int) -> float:
        begun = perf_counter()
        nn.fit(step, [feed] * steps, **how)
        return perf_counter() - begun

    seconds(2)
    return (seconds(count + 2) - seconds(2)) / count


def on_paper(costs: Costs, uses: int, per_flop: float) -> str:
    """Return the table: how many times as fast as one process W workers are, of which each computes a shard."""
    lines = ["| parameters | compute of a shard | 10 | 100 | 1,000 |", "|---|---|---|---|---|"]
    for parameters in (10**5, 10**6, 10**7, 10**8, 10**9):
        shard = 6 * parameters * uses * per_flop
        speeds = [count * shard / costs.step(count * shard, parameters, count, 0) for count in (10, 100, 1000)]
        told = " | ".join(f"{float(f'{speed:.2g}'):,g} ×" for speed in speeds)
        lines.append(f"| {parameters:,} | {float(f'{shard:.2g}'):,g} s | {told} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, fit, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    told = sys.stdout.write
    with client_of(args.workers) as client, one_blas_thread():
        with opened_cluster(client) as cluster:
            empty = cluster.program([gn.sum(gn.Graph().constant([1.0]))])
            tasks = [best(partial(small_tasks, cluster, empty, count), args.repeats) for count in (1, TASKS + 1)]
            each = (tasks[1] - tasks[0]) / TASKS
            few, many = (transfer(cluster, size, args.repeats) for size in (FEW, MANY))
        down, up = (4.0 * (MANY - FEW) / (more - less) for less, more in zip(few, many, strict=True))
        told(f"to a worker {down * 1e-6:,.0f} MB/s, from one {up * 1e-6:,.0f} MB/s\n")
        step, feed = network(1_000, 8)
        alone, one = stepped(step, feed, 40), stepped(step, feed, 40, client=client, shards=1)
        costs = Costs(one - each - alone, each, down, up)
        told(f"a step without work: {1e3 * one:.1f} ms with one worker; a task: {1e3 * each:.2f} ms\n")
        told("| parameters | rows | plain | workers | measured | model |\n|---|---|---|---|---|---|\n")
        rates = []
        for parameters, rows in ((100_000, 2048), (1_000_000, 512), (1_000_000, 2048), (4_000_000, 512)):
            step, feed = network(parameters, rows)
            plain = stepped(step, feed, 5)
            true = sum(parameter.value.size for parameter in step.updates)
            rates.append(plain / (6 * true * rows))
            for workers in range(1, args.workers + 1):
                found = stepped(step, feed, 5, client=client, shards=workers)
                model = costs.step(plain, true, workers, sum(array.nbytes for array in feed.values()))
                told(f"| {true:,} | {rows:,} | {plain * 1e3:.1f} ms | {workers} | {found * 1e3:.1f} ms | ")
                told(f"{model * 1e3:.1f} ms |\n")
    rate = statistics.median(rates)
    told(f"computing: {1e-9 / rate:.0f} GFLOP/s on one core\n")
    for parameters in (10**5, 10**6, 10**7):
        even = 2 * costs.step(0, parameters, 2, 0)
        told(
            f"two workers are faster than one process from {even * 1e3:,.0f} ms a step, of {parameters:,} parameters\n"
        )
    for uses in USES:
        told(f"\non paper, where a shard uses each weight {uses:,} times:\n\n{on_paper(costs, uses, rate)}\n")


if __name__ == "__main__":
    main()
