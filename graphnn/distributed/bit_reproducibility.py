"""What the bits of a result depend on, in this process: versions, BLAS, the processor."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .._util.text import counted
from .blas_threads import blas_libraries

Facts = Mapping[str, str]
"""What is told, by what it is of."""


@cache
def facts() -> Facts:
    """Return what the bits of a result depend on in this process."""
    loops = np.lib.introspect.opt_func_info()
    kernels = {kind["current"] for function in loops.values() for kind in function.values()}
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "NumPy": np.__version__,
        "graphnn": sys.modules[__name__.partition(".")[0]].__version__,
        "BLAS": ", ".join(sorted({_blas_of(library) for library in _numpys()})) or "not known",
        "NumPy's loops": ", ".join(sorted(kernels)),
        "processor": _processor(),
    }


def differing(here: Facts, there: Facts) -> list[str]:
    """Return a clause for each fact that differs."""
    names = [name for name in here if here[name] != there.get(name)]
    return [f"{name} {here[name]} here and {there.get(name, 'not told')} there" for name in names]


def _blas_of(library: Mapping[str, Any]) -> str:
    about = [library.get(key) for key in ("internal_api", "version", "architecture")]
    return " ".join([str(each) for each in about if each])


def _processor() -> str:
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        told = dict([part.strip() for part in line.partition(":")[::2]] for line in reversed(lines) if ":" in line)
        keys = ("model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part")
        if found := [told[key] for key in keys if key in told]:
            return " ".join(found)
    return platform.processor() or platform.machine()


def _numpys() -> list[Mapping[str, Any]]:
    """Return what is told of the BLAS of NumPy; of all that are loaded, where that is not told apart."""
    found = blas_libraries()
    return [library for library in found if "numpy" in library["filepath"].lower()] or found


def told(workers: Mapping[str, list[str]]) -> str:
    """Return how workers differ, in a sentence: {address: clauses}."""
    alike: dict[str, list[str]] = {}
    for address, clauses in workers.items():
        alike.setdefault(", ".join(clauses), []).append(address)
    return "; ".join(
        f"{counted(len(those), 'worker')} ({', '.join(those[:3])}{', …' if len(those) > 3 else ''}): {clauses}"
        for clauses, those in alike.items()
    )
