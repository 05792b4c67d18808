"""The benchmark of a training step runs, and refuses engines that do other work."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "benchmarks"
OURS = "numpy,numpy-out,products,interpreter,plan,plan-clipped"


def test_our_own_engines_agree_and_are_timed(tmp_path: Path) -> None:
    command = [sys.executable, HERE / "training_step.py", "--sizes", "T", "--engines", OURS, "--processes", "1"]
    more = ["--rounds", "1", "--seconds", "0.01", "--json", tmp_path / "figures.json"]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["figures"]
    assert [(one["engine"], one["dtype"]) for one in figures] == [
        (engine, dtype) for dtype in ("float32", "float64") for engine in OURS.split(",")
    ]
    assert all(0 < one["seconds"] < 1 for one in figures)
    assert "| graphnn, plan |" in done.stdout


def test_losses_that_differ_end_it() -> None:
    check = runpy.run_path(str(HERE / "training_step.py"))["_check_losses"]
    check({"numpy": [1.5, 1.0], "plan": [1.5, 1.000001]})
    check({"numpy": [1.5, 1.0], "products": [0.0, 0.0]})
    with pytest.raises(SystemExit, match=r"the first losses differ.*\n  plan: 1\.5, 1\.0001"):
        check({"numpy": [1.5, 1.0], "plan": [1.5, 1.0001]})


def test_what_did_not_run_says_so() -> None:
    table = runpy.run_path(str(HERE / "training_step.py"))["tables"](
        {
            "engines": ["numpy", "torch", "jax"],
            "sizes": ["T"],
            "dtypes": ["float32"],
            "missing": {"torch": "torch is not installed"},
            "figures": [
                {"engine": "numpy", "size": "T", "dtype": "float32", "seconds": 2e-5, "cpu": 2e-5},
                {"engine": "jax", "size": "T", "dtype": "float32", "failed": "it"},
            ],
        }
    )
    assert "| NumPy, written by hand | 20.0 µs (1.00) |" in table
    assert "| PyTorch, eager | not installed |" in table
    assert "| JAX, `jit` | does not work here |" in table
