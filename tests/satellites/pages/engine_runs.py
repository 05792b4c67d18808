"""Runs in the engine of pages, under node, beside those of Python."""

import base64
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn import nn
from graphnn.pages.engine import engine_script
from graphnn.pages.replay.live_graph import live_of
from graphnn.pages.replay.page_data import Maker
from graphnn.pages.single_file import part

NODE = shutil.which("node")

BEFORE = """
class Value {}
const upTo = (n) => Array.from({ length: n }, (_, i) => i);
let data, arrays;
"""
AFTER = """
const KINDS = {
  float64: Float64Array, float32: Float32Array, int64: BigInt64Array, uint64: BigUint64Array, int32: Int32Array,
  uint32: Uint32Array, int16: Int16Array, uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array,
};
const told = (x) => (Number.isFinite(x) ? x : String(x));
function arrayOf([dtype, text]) {
  return new KINDS[dtype](Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}
function results({ graph, held, steps, wanted }) {
  data = { live: graph };
  arrays = held.map(arrayOf);
  live.settings.clear();
  const given = new Map(graph.given.map(([i, number]) => [i, arrays[number]]));
  const engine = makeEngine(boundGraph(graph.sizes, given));
  if (engine.unknown.length) return { unknown: engine.unknown };
  const losses = [];
  let took = Infinity;
  for (let k = 0; k < steps; k++) {
    const began = performance.now();
    engine.run();
    losses.push(told(engine.value(graph.fetches[0]).data[0]));
    engine.commit();
    took = Math.min(took, performance.now() - began);
  }
  engine.run();
  const values = wanted.map((i) => engine.value(i));
  return { losses, took, values: values.map(({ shape, data }) => ({ shape, data: Array.from(data, told) })) };
}
function attempted(each) {
  try {
    return results(each);
  } catch (error) {
    return { error: String(error.stack) };
  }
}
"""
IN_NODE = 'console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(process.argv[2])).map(attempted)));'


class Run:
    """A run for the engine: its graph as a page has it, and what Python computed.

    Parameters
    ----------
    target : Node, list of Node or Compiled
    feed : dict
    steps : int
        How many steps of training come before the values.
    """

    def __init__(self, target: Any, feed: Mapping[Any, Any], steps: int = 0) -> None:
        self.trace, self.steps = gn.trace(target, feed), steps
        self.maker = Maker(self.trace, [self.trace], [""])
        self.live = live_of(self.maker, True)
        names = self.live["nodes"]["name"]
        known = {node.name: record for node, record in zip(self.trace.order, self.trace, strict=True)}
        self.wanted = [i for i, name in enumerate(names) if not _is_bundle(known[name].node)]
        self.expected = [known[names[i]] for i in self.wanted]

    def told(self) -> dict[str, Any]:
        """Return the run as JSON takes it."""
        block, held = bytes(self.maker.values.block), []
        for dtype, at, size in self.maker.values.arrays:
            raw = block[at : at + size * np.dtype(dtype).itemsize]
            if dtype == "float16":
                dtype, raw = "float32", np.frombuffer(raw, np.float16).astype(np.float32).tobytes()
            held.append([dtype, base64.b64encode(raw).decode()])
        return {"graph": self.live, "held": held, "steps": self.steps, "wanted": self.wanted}

    def fed_as(self, other: "Run") -> dict[str, Any]:
        """Return this run with the sizes and the leaves of another one, as JSON takes it."""
        told, more = self.told(), other.told()
        given = [[i, len(told["held"]) + number] for i, number in more["graph"]["given"]]
        graph = told["graph"] | {"sizes": more["graph"]["sizes"], "given": given}
        return told | {"graph": graph, "held": [*told["held"], *more["held"]]}


def lstm() -> tuple[gn.Compiled, dict[Any, Any]]:
    """Return a step of training of an LSTM by scan, and its feed."""
    rng = np.random.default_rng(0)
    g = gn.Graph("lstm")
    x, y = g.placeholder("x", ("batch", "time", 3)), g.placeholder("y", ("batch",), np.int64)
    w, u = g.parameter("w", rng.normal(size=(3, 32)) / 2), g.parameter("u", rng.normal(size=(8, 32)) / 3)
    b, last = g.parameter("b", np.zeros(32)), g.parameter("last", rng.normal(size=(8, 2)))

    def cell(state: Any, row: Any) -> Any:
        h, c = state
        gates = row @ w + h @ u + b
        i, f, o, new = (gates[:, 8 * k : 8 * k + 8] for k in range(4))
        c = gn.sigmoid(f) * c + gn.sigmoid(i) * gn.tanh(new)
        return (gn.sigmoid(o) * gn.tanh(c), c), None

    rows = gn.transpose(x, (1, 0, 2))
    first = (rows[0] @ w)[:, :8] * 0.0
    (h, _), _ = gn.scan(cell, (first, first), rows)
    g.outputs["loss"] = loss = nn.categorical_crossentropy(gn.softmax(h @ last), y)
    step = gn.compile(loss, updates=nn.Adam(0.02).updates(loss))
    return step, {x: rng.normal(size=(6, 5, 3)), y: rng.integers(0, 2, 6)}


def _is_bundle(node: Any) -> bool:
    return bool(node.op.holds_bodies or node.op.name == "loop_bundle")


def runs_script() -> str:
    """Return a script whose `attempted(told)` gives what the engine computes of a run."""
    return engine_script() + BEFORE + part("graphnn.pages.replay.script", "live.js") + AFTER


def in_node(runs: Sequence[Run], tmp_path: Path, fed_as: Run | None = None) -> list[dict[str, Any]]:
    """Return what the engine gives under node; with the sizes and the leaves of another run, if one is given."""
    assert NODE is not None
    script = tmp_path / "runs.js"
    script.write_text(runs_script() + IN_NODE)
    cases = tmp_path / "runs.json"
    cases.write_text(json.dumps([run.told() if fed_as is None else run.fed_as(fed_as) for run in runs]))
    done = subprocess.run([NODE, script, cases], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


EXACT = {"float64": 1e-12, "float32": 1e-6, "float16": 2e-3}


def differences(run: Run, found: Mapping[str, Any]) -> list[str]:
    """Return which values are not Python's: in parts of the largest element."""
    if "values" not in found:
        return [str(dict(found))]
    told = []
    coarse = [EXACT[record.dtype.name] for record in run.trace if record.dtype.name in EXACT]
    exact = EXACT | {"float64": max(coarse, default=0)}  # float64 may be computed from float32
    for record, value in zip(run.expected, found["values"], strict=True):
        ours, node = np.array(value["data"], dtype=object).astype(float), record.node
        theirs = np.asarray(record.value)
        if tuple(value["shape"]) != theirs.shape:
            told.append(f"{node.name}: {value['shape']}, not {theirs.shape}")
            continue
        wide = theirs.reshape(-1).astype(float)
        finite = np.abs(wide[np.isfinite(wide)])
        most = exact.get(theirs.dtype.name, 0) * max(1.0, finite.max(initial=0.0))
        if not np.allclose(ours, wide, rtol=0, atol=most, equal_nan=True):
            off = np.nanmax(np.abs(ours - wide))
            told.append(f"{node.name} {node.op.name} {theirs.dtype}: {ours[:6]}, not {wide[:6]}, off by {off:.3g}")
    return told
