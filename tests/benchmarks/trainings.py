"""Time eleven trainings that users write, in graphnn and in PyTorch, and compare their lines and their losses.

    python tests/benchmarks/trainings.py [--trainings mlp,transformer,…] [--dtypes float32]
        [--engines plan,native,torch] [--processes 3] [--rounds 5] [--json FILE] [--table FILE] [--quick]
    python tests/benchmarks/trainings.py --record

How engines are timed, `turns.py` says. Before that, each engine makes thirty steps in float64 in a process of its own;
the table has the largest relative difference of their losses. `--record` keeps shapes and first losses of PyTorch, with
which the tests compare: in `engines/trainings/recorded.json`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import measure
import turns
from engines import trainings
from engines.trainings import ENGINES, TRAININGS, Task

STEPS = 30
"""How many losses are compared."""
KEPT = 4
"""How many losses at small sizes are kept."""

SUITE = turns.Suite(
    script=__file__,
    description=str(__doc__),
    engines=ENGINES,
    problems={name: partial(Task, name) for name in TRAININGS},
    titles={name: case.title for name, case in TRAININGS.items()},
    reference="plan",
    unit="torch",
    usual={"dtypes": ["float32"]},
    quick={"problems": ["maml", "policy"], "processes": 1, "rounds": 3},
)


def losses(engine: str, name: str) -> list[float]:
    """Return the losses of some steps in float64."""
    step = ENGINES[engine].load()(Task(name, "float64")).step
    return [step() for _ in range(STEPS)]


def difference(name: str) -> float | None:
    """Return the largest relative difference of the losses of two engines, each in a process of its own."""
    found = []
    for engine in ("native", "torch"):
        if ENGINES[engine].missing():
            return None
        done = subprocess.run(
            [sys.executable, __file__, "--losses", engine, name],
            env=measure.environment(1),
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    return max(abs(a - b) / abs(b) for a, b in zip(*found, strict=True))


def compared(names: Sequence[str]) -> dict[str, Any]:
    """Return the lines and the differences of these trainings."""
    result = {}
    for name in names:
        counts = {engine: trainings.lines(f"with_{engine}", name) for engine in ("graphnn", "torch")}
        result[name] = {"lines": counts, "difference": difference(name)}
        measure.told(f"{TRAININGS[name].title}: lines {counts}, losses differ by {result[name]['difference']}")
    return result


def table(result: Mapping[str, Any]) -> str:
    """Return what is compared as a Markdown table: lines, losses and the time of a step, each beside PyTorch's."""
    times = {(one["engine"], one["problem"]): one["seconds"] for one in result["figures"] if "seconds" in one}
    rows = []
    for name in result["problems"]:
        beside = result["compared"][name]
        ours, theirs = beside["lines"]["graphnn"], beside["lines"]["torch"]
        row: dict[str, Any] = {
            "training": TRAININGS[name].title,
            "lines": str(ours),
            "PyTorch's": str(theirs),
            "ratio": ours / theirs,
            "losses differ by": "not measured" if beside["difference"] is None else f"{beside['difference']:.0e}",
        }
        for engine in ("native", "plan"):
            pair = times.get((engine, name)), times.get(("torch", name))
            row[f"a step, {engine} / PyTorch"] = pair[0] / pair[1] if all(pair) else "not measured"
        rows.append(
            row | {"PyTorch's step": measure.duration(times["torch", name]) if ("torch", name) in times else ""}
        )
    return measure.table([*rows, medians(rows)])


def medians(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last row of the table."""
    found: dict[str, Any] = {"training": "median"}
    for column in ("ratio", "a step, native / PyTorch", "a step, plan / PyTorch"):
        numbers = [row[column] for row in rows if not isinstance(row[column], str)]
        found[column] = statistics.median(numbers) if numbers else "not measured"
    return found


def record() -> None:
    """Keep shapes, and first losses at small sizes."""
    kept: dict[str, Any] = {}
    for name in TRAININGS:
        kept[name] = {
            task.size: trainings.shapes_of(task) for task in (Task(name, "float64"), Task(name, "float64", True))
        }
        step = trainings.in_torch(Task(name, "float64", small=True), kept[name]["small"]).step
        kept[name]["losses"] = [step() for _ in range(KEPT)]
    rows = [f"{json.dumps(name)}: {json.dumps(each, separators=(',', ':'))}" for name, each in kept.items()]
    trainings.RECORDED.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1:] == ["--record"]:
        record()
    elif sys.argv[1:2] == ["--losses"]:
        sys.stdout.write(json.dumps(losses(*sys.argv[2:])))
    else:
        turns.run(SUITE, compared, table)


if __name__ == "__main__":
    main()
