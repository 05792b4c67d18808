"""What a million nodes cost: each chain in a process of its own, its figures printed and held to their limits.

``make bench-scale`` runs these; they take minutes and gigabytes, and so are not among the tests. To read the figures:
``make bench-scale ARGS="tests/benchmarks/test_scale.py -s"``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
NODES = 1_000_000

PRELUDE = """
import json, resource, sys, time

clock = time.perf_counter
import numpy as np
import graphnn as gn

count, kind = int(sys.argv[1]), sys.argv[2]
limit = sys.getrecursionlimit()
seconds = {}

def timed(what, do):
    start = clock()
    result = do()
    seconds[what] = clock() - start
    return result
"""

CHAIN = (
    PRELUDE
    + """
def build():
    h = x
    if kind == "c":
        for _ in range(count):
            h = h + c
    else:
        for _ in range(count):
            h = h + 1.0
    return h

g = gn.Graph()
x, c = g.placeholder("x"), g.constant(1.0, name="c")
h = timed("build", build)
order = timed("schedule", lambda: gn.schedule(h))
value = timed("first run", lambda: gn.run(h, {x: 0.5}))
timed("second run", lambda: gn.run(h, {x: 0.5}))
assert value == count + 0.5
timed("steps", lambda: [None for _ in gn.steps(h, {x: 0.5})] and None)
assert sys.getrecursionlimit() == limit
print(json.dumps({
    "nodes": len(g), "scheduled": len(order), "seconds": seconds,
    "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
}))
"""
)

BARE = """
import json, resource, sys, time

start = time.perf_counter()
import networkx as nx

dag = nx.MultiDiGraph()
start = time.perf_counter()
dag.add_node("x", op="placeholder", attributes={}, shape=(), dtype="float64", scope="", origin="a.py:1")
dag.add_node("c", op="constant", attributes={}, shape=(), dtype="float64", scope="", origin="a.py:1")
before = "x"
for i in range(int(sys.argv[1])):
    name = f"add_{i}"
    dag.add_node(name, op="add", attributes={}, shape=(), dtype="float64", scope="", origin="a.py:1")
    dag.add_edge(before, name, 0)
    dag.add_edge("c", name, 1)
    before = name
print(json.dumps({
    "nodes": len(dag), "seconds": {"build": time.perf_counter() - start},
    "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
}))
"""

OVERHEAD = """
import json, time
import numpy as np
import graphnn as gn

count = 20_000
g = gn.Graph()
x, c = g.placeholder("x"), g.constant(1.0, name="c")
h = x
for _ in range(count):
    h = h + c
feed = {x: 0.5}
gn.run(h, feed)

def bare():
    value, one, add, asarray = np.asarray(0.5), np.asarray(1.0), np.add, np.asarray
    start = time.perf_counter()
    for _ in range(count):
        value = asarray(add(value, one))  # a 0-d result is an array here, not a scalar
    return time.perf_counter() - start

def ours():
    start = time.perf_counter()
    gn.run(h, feed)
    return time.perf_counter() - start

best = [min(f() for _ in range(15)) / count * 1e6 for f in (bare, ours)]
print(json.dumps({"numpy": best[0], "run": best[1], "overhead": best[1] - best[0]}))
"""


def measured(code: str, *arguments: Any) -> dict[str, Any]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def show(what: str, result: dict[str, Any]) -> None:
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in result["seconds"].items())
    print(f"\n{what}: {result['nodes']:,} nodes: {seconds}; at most {result['GB']:.2f} GB")  # noqa: T201


def test_bare_networkx_for_comparison() -> None:
    show("bare NetworkX with such data", measured(BARE, NODES))


@pytest.mark.timeout(600)
def test_a_chain_of_a_million_additions_of_one_constant() -> None:
    result = measured(CHAIN, NODES, "c")
    show("h = h + c", result)
    seconds = result["seconds"]
    assert (result["nodes"], result["scheduled"]) == (NODES + 2, NODES + 2)
    assert seconds["build"] <= 25
    assert seconds["schedule"] + seconds["first run"] <= 8
    assert result["GB"] <= 3


@pytest.mark.timeout(600)
def test_a_chain_of_a_million_additions_of_a_number_each() -> None:
    result = measured(CHAIN, NODES, "1.0")
    show("h = h + 1.0", result)
    assert result["nodes"] == 2 * NODES + 2
    assert result["seconds"]["build"] <= 40
    assert result["GB"] <= 5


def test_what_a_node_costs_above_numpys_call() -> None:
    result = measured(OVERHEAD)
    figures = ", ".join(f"{name} {value:.2f} µs" for name, value in result.items())
    print(f"\none addition of two numbers: {figures}")  # noqa: T201
    assert result["overhead"] <= 0.8
