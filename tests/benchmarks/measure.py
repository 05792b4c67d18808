"""How the benchmarks measure: processes held to a core and a thread, and the least of many short times."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
KERNELS = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)
BLOCK = 0.002
"""Seconds that are timed in one go, where a step is shorter: less than a core is usually lent to another process."""


def environment(cores: int, forced: bool = False) -> dict[str, str]:
    """Return the environment of a process that is measured: so many threads, and graphnn from these files.

    Variables that force a kernel on a library are left out unless `forced`: each chooses for itself, as on any machine.
    """
    kept = {name: value for name, value in os.environ.items() if forced or name not in KERNELS}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return kept | {f"{name}_NUM_THREADS": str(cores) for name in THREADS} | {"PYTHONPATH": path}


def pin(cores: int) -> None:
    """Hold this process, and the threads it will start, to the last so many of its cores, where that can be done."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def memory(kind: str) -> float:
    """Return the bytes of memory that this process has: now (``"VmRSS"``), or at most so far (``"VmHWM"``)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{kind}:"):
            return float(line.split()[1]) * 1024
    raise LookupError(kind)


class Least(NamedTuple):
    """The least time of one call in seconds: by the clock on the wall, and by that of the process."""

    wall: float
    cpu: float


def warmed_up(function: Callable[[], Any], seconds: float = 0.2, calls: int = 3) -> int:
    """Call a function for so long, and return how many calls make a block."""
    start, made, least = time.perf_counter(), 0, float("inf")
    while made < calls or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        function()
        least = min(least, time.perf_counter() - before)
        made += 1
    return max(1, round(BLOCK / least))


def least(function: Callable[[], Any], calls: int, seconds: float, blocks: int = 3) -> Least:
    """Time blocks of so many calls for so long; return the least time of a call."""
    wall = cpu = float("inf")
    start, made = time.perf_counter(), 0
    while made < blocks or time.perf_counter() - start < seconds:
        cpu_before, before = time.process_time(), time.perf_counter()
        for _ in range(calls):
            function()
        after, cpu_after = time.perf_counter(), time.process_time()
        wall, cpu = min(wall, after - before), min(cpu, cpu_after - cpu_before)
        made += 1
    return Least(wall / calls, cpu / calls)


def in_turn(functions: Mapping[str, Callable[[], Any]], rounds: int = 7, seconds: float = 0.15) -> dict[str, float]:
    """Return the least seconds of a call of each function, timed in turn, round after round."""
    calls = {name: warmed_up(function) for name, function in functions.items()}
    found = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            found[name] = min(found[name], least(function, calls[name], seconds).wall)
    return found


def circumstances(cores: int, needs: Sequence[str] = (), forced: bool = False) -> dict[str, Any]:
    """Return when and where this is: the date, the processor, Python, the versions of what is measured, the load."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores used": cores,
        "ahead of others": _is_ahead(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", *needs)},
        "kernels": _kernels(forced),
        "load before": load(),
    }


def _is_ahead() -> bool:
    """Return whether usual programs give way to this process, and so to its children: as `chrt -f` starts it."""
    return hasattr(os, "SCHED_FIFO") and os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)


def load() -> list[float]:
    """Return how many processes wanted to run in the last 1, 5 and 15 minutes, [] where nobody counts."""
    return [round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else []


def shown_load() -> str:
    """Return the load as text."""
    return " ".join(f"{one:.2f}" for one in load()) or "unknown"


def _kernels(forced: bool) -> str:
    """Return which processor NumPy's OpenBLAS takes this one for, "" where that is not known."""
    code = "import json, numpy, threadpoolctl; print(json.dumps(threadpoolctl.threadpool_info()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(1, forced), check=False
    )
    pools = json.loads(done.stdout) if done.returncode == 0 else []
    return ", ".join(str(pool["architecture"]) for pool in pools if "architecture" in pool)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def told(text: str = "") -> None:
    """Write a line to where progress is told."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def digits(number: float) -> str:
    """Return a number to three digits, without an exponent."""
    if not math.isfinite(number) or number == 0:
        return str(number)
    places = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{places}f}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{digits(seconds / size)} {unit}"
    return f"{digits(seconds / 1e-6)} µs"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table: a column for each key, numbers to three digits and to the right."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    right = {c: all(not isinstance(row.get(c), str) for row in rows) for c in columns}
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "|".join(" ---: " if right[column] else " --- " for column in columns) + "|",
    ]
    lines += ["| " + " | ".join(_cell(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else digits(value)
