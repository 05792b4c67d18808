"""Delete satellites in a copy of the project, and see that the rest still works: ``make satellites``.

    python tests/tools/satellites.py [--all] [--only NAME ...] [--no-types] [-- ARGUMENTS OF PYTEST]

A satellite is a folder of graphnn that can be deleted with its tests, graphnn/S and tests/satellites/S. For each, and
with --all for all of them at once: in a copy of what Git has of the project, both folders are deleted, and those of
each satellite that needs it ("Needs: S." in the docstring of its ``__init__.py``). There

- ``import graphnn`` works;
- the tests that are collected are those of the whole project without those in the folders that were deleted and in
  folders with_S, without those of pages and blocks of documentation that say that they need S, and without those
  that try each backend and name S in their parameters: neither fewer nor more;
- all of them pass, and none is skipped: the whole project skips none;
- mypy finds no fault.

The exit status says whether all is well.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SATELLITES = (
    *("native", "onnx", "torch", "jax"),
    *("distributed", "interventions", "pages", "terminal", "dap", "mcp", "cli"),
)
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
ON_ALL_CORES = ["--numprocesses", "auto", "--dist", "worksteal"]


@dataclass
class Outcome:
    """What came of a copy without some satellites."""

    deleted: tuple[str, ...]
    collected: int = 0
    fewer: int = 0
    documents: int = 0  # of the documentation, what says that it needs what was deleted
    blocks: int = 0  # of other documents
    skips: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def row(self) -> str:
        """Return the row of the table."""
        well = "well" if not self.faults else "; ".join(self.faults)
        return (
            f"{'+'.join(self.deleted) if len(self.deleted) < 3 else 'all':<16} {self.collected:>7,} {self.fewer:>7,} "
            f"{self.documents:>7,} {self.blocks:>7,} {self.skips:>7,} {self.seconds:>7,.0f}  {well}"
        )


def needs(satellite: str, package: Path) -> tuple[str, ...]:
    """Return which other satellites one says that it needs."""
    text = ast.get_docstring(ast.parse((package / satellite / "__init__.py").read_text(encoding="utf-8"))) or ""
    said = re.search(r"^Needs: ([a-z, ]+)\.$", text, re.MULTILINE)
    return tuple(said[1].split(", ")) if said else ()


def with_dependents(satellite: str, package: Path) -> tuple[str, ...]:
    """Return a satellite, and all that need it."""
    found = [satellite]
    for one in found:
        found += [s for s in SATELLITES if s not in found and one in needs(s, package)]
    return tuple(found)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy, which imports the graphnn of that copy and keeps its bytecode beside it."""
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONPYCACHEPREFIX": f"{folder}-bytecode"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def copy(folder: Path) -> Path:
    """Copy all files that Git has, or would take, as they are now."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def collected(folder: Path) -> tuple[set[str], tuple[set[str], int]]:
    """Return the names of all tests; and of the documentation, which documents and how many blocks are not tested.

    Raises
    ------
    RuntimeError
        When a file of tests cannot be imported.
    """
    done = run(folder, *PYTEST, "--collect-only", "-q")
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-3000:])
    names = {line for line in done.stdout.splitlines() if "::" in line}
    said = re.search(r"^documentation that is not tested: (\d+) blocks; \d+ whole: (.*)$", done.stdout, re.MULTILINE)
    return names, (set(filter(None, said[2].split(", "))), int(said[1])) if said else (set(), 0)


def skips(output: str) -> dict[str, int]:
    """Return how many tests were skipped, by the reason that the report says."""
    found: dict[str, int] = {}
    for count, reason in re.findall(r"^SKIPPED \[(\d+)\] \S+: (.*)$", output, re.MULTILINE):
        found[reason] = found.get(reason, 0) + int(count)
    return found


def without(deleted: tuple[str, ...], whole: set[str], types: bool, more: list[str]) -> Outcome:
    """Try a copy without some satellites."""
    start, outcome = time.perf_counter(), Outcome(deleted)
    with tempfile.TemporaryDirectory(prefix="graphnn-without-") as name:
        folder = copy(Path(name, "project"))
        for satellite in deleted:
            shutil.rmtree(folder / "graphnn" / satellite)
            shutil.rmtree(folder / "tests" / "satellites" / satellite, ignore_errors=True)
        _try(folder, outcome, whole, types, more)
    outcome.seconds = time.perf_counter() - start
    return outcome


def _try(folder: Path, outcome: Outcome, whole: set[str], types: bool, more: list[str]) -> None:
    imported = run(folder, sys.executable, "-W", "error", "-c", "import graphnn; print(graphnn.__file__)")
    if not imported.stdout.startswith(str(folder)):
        outcome.faults.append(f"import graphnn: {imported.stderr.strip().splitlines()[-1:]}")
        return
    try:
        names, unheld = collected(folder)
    except RuntimeError as error:
        outcome.faults.append("not all tests can be collected")
        sys.stdout.write(f"{error}\n")
        return
    gone = tuple(f"{room}/{s}/" for s in outcome.deleted for room in ("graphnn", "tests/satellites"))
    expected = {
        name
        for name in whole
        if not name.startswith(gone) and not any(f"/with_{s}/" in name.partition("::")[0] for s in outcome.deleted)
    }
    outcome.collected, outcome.fewer = len(names), len(whole - names)
    outcome.documents, outcome.blocks = len(unheld[0]), unheld[1]
    backends = re.compile(rf"\[.*\b({'|'.join(outcome.deleted)})\b")  # tests that try each of what is there say so
    lost = {name for name in expected - names if not _of_documents(name, unheld[0]) and not backends.search(name)}
    if lost:
        outcome.faults.append(f"{len(lost)} tests are lost")
        sys.stdout.write("".join(f"  lost: {name}\n" for name in sorted(lost)[:20]))
    if names - whole:
        outcome.faults.append(f"{len(names - whole)} tests are new")
        sys.stdout.write("".join(f"  new: {name}\n" for name in sorted(names - whole)[:20]))
    done = run(folder, *PYTEST, *ON_ALL_CORES, "-q", "-rs", *more)
    told = skips(done.stdout)
    outcome.skips = sum(told.values())
    if done.returncode:
        outcome.faults.append(done.stdout.strip().splitlines()[-1])
        sys.stdout.write(run_report(done.stdout))
    outcome.faults += [f"{count} skipped: {reason}" for reason, count in told.items()]
    if types and (checked := run(folder, sys.executable, "-m", "mypy")).returncode:
        outcome.faults.append(f"mypy: {checked.stdout.strip().splitlines()[-1]}")
        sys.stdout.write(checked.stdout)


def _of_documents(test: str, documents: set[str]) -> bool:
    """Tell whether a test is of a document that is not tested: it is a parameter of a test in tests/docs."""
    file, _, parameter = test.partition("[")
    return file.startswith("tests/docs/") and parameter.removesuffix("]") in documents


def run_report(output: str) -> str:
    """Return the end of what pytest reports: which tests failed."""
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR", "E  "))]
    return "".join(f"  {line}\n" for line in lines[:200])


def main() -> int:
    """Try what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="delete all at once, instead of one after the other")
    parser.add_argument("--only", nargs="+", choices=SATELLITES, help="these, one after the other")
    parser.add_argument("--no-types", action="store_true", help="without mypy")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    settings = parser.parse_args()
    package = ROOT / "graphnn"
    wanted = [SATELLITES] if settings.all else [with_dependents(s, package) for s in settings.only or SATELLITES]
    missing = [s for s in SATELLITES if not (package / s / "__init__.py").is_file()]
    if missing:
        sys.stdout.write(f"not in {package}: {', '.join(missing)}\n")
        return 1

    with tempfile.TemporaryDirectory(prefix="graphnn-whole-") as name:
        whole, _ = collected(copy(Path(name, "project")))
    sys.stdout.write(f"the whole: {len(whole):,} tests\n\n")
    outcomes = []
    for deleted in wanted:
        outcomes.append(without(deleted, whole, not settings.no_types, settings.pytest))
        sys.stdout.write(f"without {', '.join(deleted)}: {'; '.join(outcomes[-1].faults) or 'well'}\n")
        sys.stdout.flush()
    sys.stdout.write(
        f"\n{'without':<16} {'tests':>7} {'fewer':>7} {'pages':>7} {'blocks':>7} {'skips':>7} {'seconds':>7}\n"
    )
    sys.stdout.write("".join(f"{outcome.row()}\n" for outcome in outcomes))
    return int(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
