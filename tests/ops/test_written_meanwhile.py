"""What another thread writes into a fed array meanwhile may come to any result, or to an error; never to a crash."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from everywhere import PLANS

import graphnn as gn
from graphnn.ops.indexing import places_of

PROGRAM = """
import sys, threading
import numpy as np
import graphnn as gn

rows = 20_000
graph = gn.Graph()
x = graph.placeholder("x", ("n", 4))
nodes = {}
for name in ("int64", "int16"):
    i = graph.placeholder(name, ("n",), name)
    e = gn.expand_dims(i, 1)
    nodes[i] = [
        gn.take(x, i, 0),
        gn.index_add(x, i, (50, 4), 0),
        gn.grad(gn.sum(gn.square(gn.take(x, i, 0))), x),
        gn.take_along_axis(x, e, 1),
        gn.add_along_axis(x[:, :1], e, ("n", 4), 1),
        gn.put_along_axis(x, e, 1.0, 1),
        gn.gather_nd(x, e),
        gn.scatter_nd(x, e, (50, 4)),
        gn.pick(x, i),
        gn.scatter_labels(x[:, 0], i, 4),
        gn.one_hot(i, 4),
        gn.argsort(i),
        gn.argsort(i, descending=True),
        gn.sort(i),
        gn.topk(i, 5)[1],
    ]
arrays = {i: np.zeros(rows, i.dtype) for i in nodes}
numbers = np.ones((rows, 4))
over = threading.Event()

def write(array):
    far = np.iinfo(array.dtype).max
    while not over.is_set():
        array[:] = far
        array[:] = 0
        array[::3] = -far
        array[:] = 1

threads = [threading.Thread(target=write, args=[array]) for array in arrays.values() for _ in range(2)]
for thread in threads:
    thread.start()
calls = 0
for i, fetched in nodes.items():
    for node in fetched:
        feed = {i: arrays[i], x: numbers}
        step = (lambda feed: gn.run(node, feed)) if sys.argv[1] == "run" else gn.compile(node, backend=sys.argv[1])
        for _ in range(60):
            calls += 1
            try:
                step(feed)
            except gn.GraphnnError:
                pass
over.set()
for thread in threads:
    thread.join()
print(calls)
"""


@pytest.mark.parametrize("backend", ["run", *PLANS])
def test_indices_that_others_write_to_crash_nothing(backend: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(gn.__file__).parents[1])}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, backend]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout) == (0, "1800\n"), done.stderr


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "uint64"])
def test_the_indices_that_were_checked_are_nobody_elses(dtype: str) -> None:
    given = np.arange(12).astype(dtype).reshape(3, 4)
    for indices in (given, given[1:, ::2], given.T, given[0, 0]):
        found = places_of("take", indices, 12)
        assert not np.shares_memory(found, given)
        assert found.dtype == np.intp
        assert found.tolist() == indices.tolist()
