"""Runs in the engine of pages, under node, beside those of Python."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
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
const cases = JSON.parse(require("fs").readFileSync(process.argv[2]));
const KINDS = { float64: Float64Array, float32: Float32Array, int64: BigInt64Array, uint64: BigUint64Array, int32: Int32Array, uint32: Uint32Array, int16: Int16Array, uint16: Uint16Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array };
const told = (x) => (Number.isFinite(x) ? x : String(x));
function results({ graph, held, steps, wanted }) {
  data = { live: graph };
  arrays = held.map(([dtype, text]) => { const bytes = Buffer.from(text, "base64"); return new KINDS[dtype](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)); });
  live.settings.clear();
  const engine = makeEngine(boundGraph(graph.sizes, new Map(graph.given.map(([i, number]) => [i, arrays[number]]))));
  if (engine.unknown.length) return { unknown: engine.unknown };
  const losses = [], began = performance.now();
  for (let k = 0; k < steps; k++) {
    engine.run();
    losses.push(told(engine.value(graph.fetches[0]).data[0]));
    engine.commit();
  }
  const took = (performance.now() - began) / Math.max(steps, 1);
  engine.run();
  return { losses, took, values: wanted.map((i) => { const { shape, data } = engine.value(i); return { shape, data: Array.from(data, told) }; }) };
}
function attempted(each) {
  try { return results(each); } catch (error) { return { error: String(error.stack) }; }
}
console.log(JSON.stringify(cases.map(attempted)));
"""


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
        maker = Maker(gn.trace(target, feed), [gn.trace(target, feed)], [""])
        self.maker, self.trace, self.steps = maker, maker.first, steps
        self.live = live_of(maker, True)
        names = self.live["nodes"]["name"]
        known = {node.name: record for node, record in zip(self.trace.order, self.trace, strict=True)}
        self.wanted = [i for i, name in enumerate(names) if not _is_bundle(known[name].node)]
        self.expected = [known[names[i]] for i in self.wanted]

    def told(self) -> dict[str, Any]:
        """Return the run as JSON takes it."""
        import base64

        block, held = bytes(self.maker.values.block), []
        for dtype, at, size in self.maker.values.arrays:
            raw = block[at : at + size * np.dtype(dtype).itemsize]
            if dtype == "float16":
                dtype, raw = "float32", np.frombuffer(raw, np.float16).astype(np.float32).tobytes()
            held.append([dtype, base64.b64encode(raw).decode()])
        return {"graph": self.live, "held": held, "steps": self.steps, "wanted": self.wanted}


def _is_bundle(node: Any) -> bool:
    return bool(node.op.holds_bodies or node.op.name == "loop_bundle")


def in_node(runs: Sequence[Run], tmp_path: Path) -> list[dict[str, Any]]:
    """Return what the engine gives under node."""
    assert NODE is not None
    script = tmp_path / "runs.js"
    script.write_text(engine_script() + BEFORE + part("graphnn.pages.replay.script", "live.js") + AFTER)
    cases = tmp_path / "runs.json"
    cases.write_text(json.dumps([run.told() for run in runs]))
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
            told.append(f"{node.name} {node.op.name} {theirs.dtype}: {ours[:6]}, not {wide[:6]}, off by {np.nanmax(np.abs(ours - wide)):.3g}")
    return told
