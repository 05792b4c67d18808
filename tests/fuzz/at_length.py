"""Run all that compares, forges and interrupts, at length, one after the other: ``make fuzz``.

    python tests/fuzz/at_length.py [--share 1.0] [--seed DAY] [--only NAME ...]

The suite has a small, fixed share of each. A share of 1 takes hours; 0.01 shows in minutes that all of it runs. The
seed is by default the number of the day, so that every night tries other graphs. Everything runs, whatever failed
before; the exit status says whether all is well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# What runs, with the numbers of what it tries, each to be multiplied by the share.
PROGRAMS: dict[str, tuple[str, dict[str, int]]] = {
    "autograd": ("fuzz_autograd.py", {"graphs": 10_000}),
    "autograd, second order": ("fuzz_autograd.py --order 2", {"graphs": 10_000}),
    "plans": (
        "fuzz_plans.py",
        {"graphs": 10_000, "networks": 1_000, "mixed": 1_000, "loops": 1_000, "large": 100, "draws": 1_000},
    ),
    "native plans": (
        "fuzz_plans.py --backend native",
        {"graphs": 300, "networks": 100, "mixed": 100, "loops": 100, "large": 10, "recorded": 100, "draws": 20},
    ),
    "loops": ("fuzz_loops.py", {"graphs": 1_000, "maps": 300}),
    "large arrays": ("fuzz_large.py", {"graphs": 5_000}),
    "forged files": ("fuzz_files.py", {"forgeries": 20_000}),
    "forged archives": ("fuzz_files.py --archives", {"forgeries": 20_000}),
    "long dimensions": ("fuzz_files.py --dimensions", {}),
    "interrupts": ("interrupts.py", {"count": 20_000}),
}
NEEDS = {"native plans": "native"}  # folders of graphnn
HYPOTHESIS = "hypothesis"
EXAMPLES = 40  # times as many as in the suite, of each test of Hypothesis


def command(name: str, share: float, seed: int) -> list[str]:
    """Return the command line of a program, or of the tests of Hypothesis."""
    if name == HYPOTHESIS:
        times = max(1, round(EXAMPLES * share))
        marked = ["-m", "hypothesis", "--examples-times", str(times), "--hypothesis-seed", str(seed), "--timeout", "0"]
        return [sys.executable, "-m", "pytest", "tests", "-q", "-n", "auto", *marked]
    program, counts = PROGRAMS[name]
    file, *options = program.split()
    for option, count in counts.items():
        options += [f"--{option}", str(max(1, round(count * share)))]
    if counts:
        options += ["--seed", str(seed)]
    return [sys.executable, str(HERE / file), *options]


def main() -> int:
    """Run what is asked for; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of what a long run tries")
    parser.add_argument("--seed", type=int, default=int(time.time()) // 86_400)
    parser.add_argument("--only", nargs="+", choices=[*PROGRAMS, HYPOTHESIS], help="by default all")
    settings = parser.parse_args()

    rows = []
    for name in settings.only or [*PROGRAMS, HYPOTHESIS]:
        if name in NEEDS and not (ROOT / "graphnn" / NEEDS[name]).is_dir():
            rows.append((name, f"not run: graphnn/{NEEDS[name]} is not here", 0.0))
            continue
        line = command(name, settings.share, settings.seed)
        sys.stdout.write(f"\n== {name}: {' '.join(line[1:])}\n")
        sys.stdout.flush()
        start = time.perf_counter()
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        code = subprocess.run(line, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, check=False).returncode
        rows.append((name, "well" if code == 0 else f"FAILED with {code}", time.perf_counter() - start))

    sys.stdout.write("\n")
    for name, outcome, took in rows:
        sys.stdout.write(f"{took:7,.0f} s  {name:<24} {outcome}\n")
    return int(any(outcome.startswith("FAILED") for _, outcome, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
