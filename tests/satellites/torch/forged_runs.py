"""Forged files of runs: lies in the trace of a step, in its calls of PyTorch, or in the run around it."""

from __future__ import annotations

import copy
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

import forging
import numpy as np
import torch
from torch import nn

import graphnn as gn
from graphnn.debugger.traces import VERSION
from graphnn.torch.watching.watched_run import VERSION as RUN_VERSION

_CALLS = ["aten::from_file", "aten::resize_", "aten::set_.source_Tensor", "aten::add.out", "aten::index.Tensor"]
_CALLS += [
    "aten::as_strided",
    "aten::native_layer_norm_backward",
    "torchvision::nms",
    "graphnn::assembled",
    "os::system",
]
_CALLS += ["aten::embedding", "aten::gather", "aten::expand", "aten::mm", "aten::select.int", "aten::scatter.value"]
_PARTS: list[Any] = [["tensor", 0], ["tensor", 99], ["tensor", -1], ["tensor", "x"], ["list"], ["dtype", "load"]]
_PARTS += [["list", 2**40], ["generator", 0], ["geometry", 0, [2], [1]], ["other", "os"], ["complex", 1, 2], []]
_PARTS += [["device", "cuda:99"], ["layout", "jagged"], ["memory_format", "nn"], None, -1, 2**62, 1e308, "from_file"]


def sound() -> list[forging.Forgery]:
    """Return the traces of watched steps, as a file holds them: with values, and of digests."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Dropout(0.5), nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters())
    found = []
    for keep in (2**24, 40, "digests"):
        with gn.watch(model, optimizer, keep=keep) as run:
            y = model(torch.randn(3, 3))
            y[:, 0].mul_(2)
            y.square().mean().backward()
            optimizer.step()
        found.append(forging.Forgery("trace", *run.trace.encoded()))
    return [found[0], found[0], found[0], found[1], found[2]]


def _lying_calls(rng: np.random.Generator, data: Any) -> None:
    """Lie about what a call is, and what it is called with."""
    rows = [row for row in data["graph"]["operations"]["attributes"] if isinstance(row, dict) and "call" in row]
    if not rows:
        return
    row = rows[rng.integers(len(rows))]
    draw = rng.random()
    if draw < 0.4:
        row["call"] = _CALLS[rng.integers(len(_CALLS))]
    elif draw < 0.7 and row["arguments"]:
        row["arguments"][rng.integers(len(row["arguments"]))] = _PARTS[rng.integers(len(_PARTS))]
    elif draw < 0.9:
        row["layouts"] = [
            [int(rng.choice([-1, 0, 3, 2**40])), *rng.integers(-1, 9, size=2).tolist()] for _ in row["layouts"]
        ]
    else:
        row["result"] = int(rng.choice([-1, 1, 7, 2**40]))


def forged(rng: np.random.Generator, of: list[forging.Forgery]) -> bytes:
    """Return the file of a run with lies in it."""
    inner = forging.forged(rng, of) if rng.random() < 0.5 else copy.deepcopy(of[int(rng.integers(5))])
    if isinstance(inner.data, dict) and rng.random() < 0.7:
        with suppress(AttributeError, KeyError, TypeError, ValueError, IndexError):  # there is another lie in its place
            _lying_calls(rng, inner.data)
    block = np.frombuffer(_with_version(forging.written(inner, rng), inner.kind, VERSION), np.uint8)
    data: Any = {"name": "net", "seen": 1, "steps": [0], "losses": [["mean"]]}
    outer = forging.Forgery("run", data, {"step/0": block})
    if rng.random() < 0.1:
        forging.changed(rng, data)
    return _with_version(forging.written(outer, rng), "run", RUN_VERSION)


def _with_version(content: bytes, kind: str, version: int) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as before, zipfile.ZipFile(packed, "w") as after:
        for name in before.namelist():
            member = before.read(name)
            if name.endswith(".json"):
                member = member.replace(b'{"version":1,', b'{"version":%d,' % version, 1)
            after.writestr(name, member)
    return packed.getvalue()


def _looked_at(run: Any) -> None:
    for trace in run.traces:
        trace.graph.memory_budget = forging.BUDGET
        str(trace)
        for record in trace:
            str(record), record.stats, record.preview


def _of_trace(use: Callable[[Any], None]) -> Callable[[Any], None]:
    def used(run: Any) -> None:
        use(run.trace)

    used.__name__ = use.__name__
    return used


def _replayed(run: Any) -> None:
    """Call by their names what the file says, each of the recorded operands, as far as that is allowed."""
    trace = run.trace
    for record in trace:
        if record.op.is_torch_call and all(trace[node].kept for node in record.node.inputs):
            graph = gn.Graph()
            graph.memory_budget = forging.BUDGET
            try:
                values = [trace[node].value for node in record.node.inputs]
                given = {graph.placeholder(f"x{i}", x.shape, x.dtype): x for i, x in enumerate(values)}
                gn.run(record.op(*given, graph=graph), given)
                computed["computed"] += 1
            except gn.GraphnnError as error:
                computed[type(error).__name__] += 1


computed = Counter[str]()
"""How calls of forged files ended."""
forging.USES["Run"] = [_looked_at, _replayed, *map(_of_trace, forging.USES["Trace"])]


def fault_of(content: bytes, rng: np.random.Generator, seen: Counter[str]) -> str | None:
    """Return what is wrong with how a forged file ends, or None."""
    return forging.fault_of(content, rng, seen, uses=3)
