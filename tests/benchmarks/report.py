"""Write the figures into the documentation: the tables of docs/benchmarks.md, and the picture beside them.

    python tests/benchmarks/report.py

Reads training_step.json, two_cores.json and costs.json in docs/benchmarks, and fills the page between its lines
`<!-- begin: name -->` and `<!-- end: name -->`. Needs matplotlib for the picture.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import measure
from engines import ENGINES, REFERENCE, SIZES
from training_step import tables

DOCS = measure.ROOT / "docs"
PAGE = DOCS / "benchmarks.md"
FIGURES = DOCS / "benchmarks"


def filled(page: str, name: str, text: str) -> str:
    """Return the page with a text between its marks of this name."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    new, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", page, flags=re.DOTALL
    )
    if count != 1:
        raise LookupError(f'the page has {count} places "{name}"')
    return new


def circumstances(result: Mapping[str, Any]) -> str:
    """Return where and when it was measured, as a sentence or two."""
    place, settings = result["circumstances"], result["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in place["versions"].items())
    kernels = f", whose OpenBLAS took the processor for {place['kernels']}" if place["kernels"] else ""
    before, after = (" ".join(f"{one:.2f}" for one in place[f"load {when}"]) for when in ("before", "after"))
    return (
        f"Measured on {place['date']}: {place['processor']}, {place['cores']} cores of which each engine had "
        f"{place['cores used']}; {place['system']}, Python {place['python']}; {versions}{kernels}. "
        f"{settings['processes']} processes of each engine, {settings['rounds']} rounds of at least "
        f"{settings['seconds']:g} s each. Load average over 1, 5 and 15 minutes {before} at the start, {after} at "
        "the end.\n"
    )


def starts(result: Mapping[str, Any], size: str = "M", dtype: str = "float32") -> str:
    """Return a table of what passes before the first loss is there."""
    rows = [
        {
            f"{size} {SIZES[size]}, {dtype}": ENGINES[one["engine"]].label,
            "importing, s": one["import"],
            "first step, s": one["first"],
        }
        for one in result["figures"]
        if (one["size"], one["dtype"]) == (size, dtype) and "first" in one and ENGINES[one["engine"]].trains
    ]
    return measure.table(rows)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw each engine's time as a ratio to NumPy written by hand."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "graphnn", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    times = {(one["engine"], one["size"], one["dtype"]): one.get("seconds") for one in result["figures"]}
    engines = [e for e in result["engines"] if any(times.get((e, size, d)) for size in SIZES for d in result["dtypes"])]
    sizes = result["sizes"]
    ratios = [seconds / times[REFERENCE, size, dtype] for (_, size, dtype), seconds in times.items() if seconds]
    figure, axes = plt.subplots(
        1, len(sizes), sharey=True, squeeze=False, figsize=(2.6 + 2.0 * len(sizes), 0.7 + 0.3 * len(engines))
    )
    for axis, size in zip(axes[0], sizes, strict=True):
        axis.axvline(1, color="#888888", linewidth=1)
        for dtype, filled_in, offset in zip(result["dtypes"], (True, False), (-0.12, 0.12), strict=False):
            for row, engine in enumerate(engines):
                seconds, hand = times.get((engine, size, dtype)), times[REFERENCE, size, dtype]
                if seconds:
                    colour = "#c2410c" if engine.startswith(("plan", "interpreter")) else "#1d4ed8"
                    axis.plot(
                        seconds / hand,
                        row + offset,
                        "o",
                        color=colour,
                        markerfacecolor=colour if filled_in else "white",
                        markersize=5,
                    )
        axis.set_xscale("log")
        ticks = (0.1, 0.3, 1, 3, 10)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.xaxis.minorticks_off()
        axis.set_xlim(0.7 * min(ratios), 1.4 * max(ratios))
        axis.set_title(f"{size}  {SIZES[size]}", fontsize=9)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0][0].set_yticks(range(len(engines)), [ENGINES[engine].label.replace("`", "") for engine in engines])
    axes[0][0].invert_yaxis()
    figure.supxlabel("time of a step ÷ that of NumPy written by hand (filled: float32, hollow: float64)", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None}, facecolor="white")


def main() -> None:
    """Fill the page and draw the picture."""
    result = json.loads((FIGURES / "training_step.json").read_text(encoding="utf-8"))
    two_cores = json.loads((FIGURES / "two_cores.json").read_text(encoding="utf-8"))
    costs = json.loads((FIGURES / "costs.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    page = filled(page, "circumstances", circumstances(result))
    page = filled(page, "steps", tables(result))
    page = filled(page, "two cores", tables(two_cores))
    page = filled(page, "starts", starts(result))
    for name, rows in costs["rows"].items():
        page = filled(page, name, measure.table(rows))
    PAGE.write_text(page, encoding="utf-8")
    draw(result, FIGURES / "training_step.svg")
    sys.stdout.write(f"wrote {PAGE.relative_to(measure.ROOT)} and its picture\n")


if __name__ == "__main__":
    main()
