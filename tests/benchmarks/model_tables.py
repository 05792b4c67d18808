"""The tables of models of ONNX."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import measure

COLUMNS = {"interpreter": "interpreter", "numpy": "plan", "native": "native plan"}


def row(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the table: what was found for a model."""
    if "error" in found:
        return {"model": name, "nodes": found["error"]}
    gaps, times = [f"{one:.0e}" if one else "0" for one in found["gaps"]], found["times"]
    other = times["onnxruntime"]
    cells: dict[str, Any] = {
        "model": name,
        "nodes": found["nodes"],
        "folded": found["folded"],
        "sizes": found["sizes"],
        "difference": gaps[0],
        "at the second size": gaps[1] if len(gaps) > 1 else "",
        "read in": measure.duration(found["import"]),
    }
    for engine, column in COLUMNS.items():
        own = times[engine]
        cells[column] = own / other if isinstance(own, float) and isinstance(other, float) else "-"
    return cells | {"ONNX Runtime": measure.duration(other) if isinstance(other, float) else "-"}


def ratios(models: Mapping[str, Any], engine: str, with_windows: bool) -> list[float]:
    """Return the times of an engine divided by those of ONNX Runtime, of models with or without convolutions."""
    good = [one["times"] for one in models.values() if one.get("windows") is with_windows]
    return [
        times[engine] / times["onnxruntime"]
        for times in good
        if isinstance(times[engine], float) and isinstance(times["onnxruntime"], float)
    ]


def medians(models: Mapping[str, Any]) -> str:
    """Return a table of the median ratios to ONNX Runtime."""
    rows = []
    for with_windows in (False, True):
        found = {column: ratios(models, engine, with_windows) for engine, column in COLUMNS.items()}
        kind = f"{len(found['interpreter'])} models {'with' if with_windows else 'without'} convolutions"
        if found["interpreter"]:
            shown = {column: statistics.median(each) for column, each in found.items() if each}
            rows.append({"time / that of ONNX Runtime, median": kind, **shown})
    return measure.table(rows)


def table(models: Mapping[str, Any]) -> str:
    """Return the table of all models."""
    return measure.table([row(name, models[name]) for name in sorted(models)])


def circumstances(place: Mapping[str, Any]) -> str:
    """Return where and when it was measured, as a sentence or two."""
    versions = ", ".join(f"{name} {number}" for name, number in place["versions"].items())
    ahead = " Other programs gave way to it (`chrt -f`)." if place["ahead of others"] else ""
    return (
        f"Measured on {place['date']}: {place['processor']}, {place['cores']} cores of which each engine had one; "
        f"{place['system']}, Python {place['python']}; {versions}. NumPy's OpenBLAS takes the processor for "
        f"{place['kernels'] or 'an unknown one'}.{ahead}\n"
    )
