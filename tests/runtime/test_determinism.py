"""The same build gives the same names, order and picture in every process; the same feed the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from everywhere import PLANS
from places import SHARED

import graphnn as gn
from graphnn import nn

ROOT = Path(__file__).parents[2]


def build() -> tuple[gn.Graph, Any]:
    """Build what there is: layers, scopes, a loss, gradients of first and second order, updates."""
    g = gn.Graph("net")
    rng = np.random.default_rng(0)
    x, labels = g.placeholder("x", shape=("batch", 4)), g.placeholder("labels", shape="batch", dtype=np.int64)
    model = nn.Sequential(nn.Dense(8, rng=rng), nn.ReLU(), nn.Dropout(0.5), nn.Dense(3, rng=rng), nn.Softmax())
    probabilities = model(x, training=True)
    loss = nn.categorical_crossentropy(probabilities, labels)
    with g.scope("aside"):
        odd = gn.einsum("ij,ik->jk", x, gn.concatenate([x, x * x], axis=1))
    g.outputs.update(loss=loss, odd=odd)
    slopes = gn.grad(loss, {"first": g["dense_1/weight"], "second": g["dense_2/weight"]})
    again = gn.grad(gn.sum(slopes["first"] ** 2), g["dense_2/weight"])
    nn.Adam(0.01).updates(loss)
    return g, [loss, odd, slopes["first"], slopes["second"], again, *g.updates.values()]


def feed() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(7, 4)), "labels": rng.integers(0, 3, 7)}


def told() -> dict[str, Any]:
    """Return all of a build that anyone could see, as plain data."""
    g, fetches = build()
    small = gn.extract(fetches[0])
    swapped = gn.replace(fetches[:1], {g["relu_1"]: gn.tanh(g["dense_1/add"], name="tanh")})[0].graph
    step = gn.compile(fetches[0], updates=g.updates)
    before = dict(g.state)
    training = [step(feed()).tobytes().hex() for _ in range(3)]
    g.state.update(before)
    by_backend = {}
    for backend in PLANS:
        step = gn.compile(fetches[0], updates=g.updates, backend=backend)
        loops = [(str(loop), loop.llvm) for loop in step.plan(feed()).explain().loops or ()]
        by_backend[backend] = loops, [step(feed()).tobytes().hex() for _ in range(3)]
        g.state.update(before)
    return {
        "nodes": [(n.name, repr(n.op), str(n.spec), [o.name for o in n.inputs], n.scope, n.phase) for n in g],
        "origins": [str(node.origin) for node in g],
        "scopes": [(s.path, s.kind, s.phase, str(s.origin)) for s in g.scopes.values()],
        "parameters": [node.name for node in g.parameters],
        "schedule": [node.name for node in gn.schedule(fetches)],
        "generations": [[node.name for node in wave] for wave in gn.generations(fetches)],
        "critical path": [node.name for node in gn.critical_path(fetches)],
        "extract": [node.name for node in small],
        "replace": [node.name for node in swapped],
        "edges": [list(edge) for edge in g.dag.edges(keys=True)],
        "graph": json.dumps(g.dag.graph),
        "values": [value.tobytes().hex() for value in gn.run(fetches, feed())],
        "training": training,
        "plans": by_backend,
        "drawing": gn.draw(fetches[0]).source,
        "drawing of all": gn.draw(fetches).source,
        "drawing of layers": gn.draw(fetches[0], detail="layer").source,
        "summary": str(gn.summary(fetches[0])),
        "operations": sorted(dir(gn)),
    }


def in_a_process(seed: str) -> dict[str, Any]:
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent), *SHARED]),
        "PYTHONHASHSEED": seed,
    }
    code = "import json, test_determinism; print(json.dumps(test_determinism.told()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    return [in_a_process(seed) for seed in ("0", "31337")]


def test_processes_agree_whatever_the_seed_of_their_hashes(seen: list[dict[str, Any]]) -> None:
    first, other = seen
    assert all(first.values())
    differ = [what for what in first if other[what] != first[what]]
    assert not differ


def test_builds_in_one_process_agree() -> None:
    first, second = told(), told()
    assert first == second


def test_the_seed_does_change_the_order_of_sets() -> None:
    # Else the test above would show nothing.
    code = "print(list({'dense_1', 'relu_1', 'dense_2', 'softmax_1', 'loss'}))"
    orders = set()
    for seed in ("0", "31337"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        orders.add(subprocess.run([sys.executable, "-c", code], capture_output=True, env=env, check=True).stdout)
    assert len(orders) > 1


def test_the_same_feed_gives_the_same_bits_again_and_again() -> None:
    _, fetches = build()
    first = [value.tobytes() for value in gn.run(fetches, feed())]
    for _ in range(5):
        assert [value.tobytes() for value in gn.run(fetches, feed())] == first
    # What else is fetched does not matter, nor in which order.
    assert gn.run(fetches[2], feed()).tobytes() == first[2]
    assert [value.tobytes() for value in gn.run(fetches[::-1], feed())] == first[::-1]


def test_asking_for_a_gradient_twice_makes_no_node_twice() -> None:
    g, fetches = build()
    count = len(g)
    slopes = gn.grad(fetches[0], [g["dense_1/weight"], g["dense_2/weight"]])
    assert slopes == [fetches[2], fetches[3]]
    assert len(g) == count
