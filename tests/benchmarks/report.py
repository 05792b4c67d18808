"""Write the figures into the documentation: the tables of docs/benchmarks.md and docs/models.md, and the picture.

    python tests/benchmarks/report.py

Reads the figures in docs/benchmarks, and fills the pages between their lines `<!-- begin: name -->` and
`<!-- end: name -->`. Needs matplotlib for the picture.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

import jacobians
import measure
import model_tables
import networks
import training_step
import trainings
from engines import ENGINES, REFERENCE, SIZES
from turns import tables

if TYPE_CHECKING:
    from turns import Suite

DOCS = measure.ROOT / "docs"
PAGE = DOCS / "benchmarks.md"
PAGE_OF_MODELS = DOCS / "models.md"
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
    kernels = f" NumPy's OpenBLAS takes the processor for {place['kernels']}." if place["kernels"] else ""
    ahead = "Other programs gave way to them (`chrt -f`). " if place["ahead of others"] else ""
    before, after = (" ".join(f"{one:.2f}" for one in place[f"load {when}"]) for when in ("before", "after"))
    return (
        f"Measured on {place['date']}: {place['processor']}, {place['cores']} cores of which each engine had "
        f"{place['cores used']}; {place['system']}, Python {place['python']}; {versions}.{kernels} "
        f"Processes of each engine: {settings['processes']}, with at least {settings['rounds']} rounds of at least "
        f"{settings['seconds']:g} s each. {ahead}Load average over 1, 5 and 15 minutes {before} at the start, "
        f"{after} at the end.\n"
    )


def starts(suite: Suite, result: Mapping[str, Any], problem: str, dtype: str = "float32") -> str:
    """Return a table of what passes before the first loss is there, and until the third."""
    rows = [
        {
            f"{suite.titles[problem]}, {dtype}": suite.engines[one["engine"]].label,
            "importing, s": one["import"],
            "first loss, s": one["first"],
            "third loss, s": one["ready"],
        }
        for one in result["figures"]
        if (one["problem"], one["dtype"]) == (problem, dtype) and "first" in one and suite.engines[one["engine"]].trains
    ]
    return measure.table(rows)


def fastest(*suites: tuple[Suite, Mapping[str, Any]]) -> str:
    """Return a table of all problems: graphnn's native plan beside the fastest engine that is not graphnn."""
    rows = []
    for suite, result in suites:
        times: dict[tuple[str, str], dict[str, float]] = {}
        for one in result["figures"]:
            if "seconds" in one and suite.engines[one["engine"]].trains:
                times.setdefault((one["problem"], one["dtype"]), {})[one["engine"]] = one["seconds"]
        for (problem, dtype), found in times.items():
            others = [name for name in found if "graphnn" not in suite.engines[name].place]
            if "native" in found and others:
                best = min(others, key=found.__getitem__)
                row: dict[str, Any] = {"a step": f"{suite.titles[problem]}, {dtype}"}
                row["ratio"] = found["native"] / found[best]
                row["native"] = measure.duration(found["native"])
                row["the fastest other engine"] = suite.engines[best].label
                rows.append(row | {"its time": measure.duration(found[best])})
    return measure.table(rows)


def compared(result: Mapping[str, Any]) -> str:
    """Return a table of the networks: how long a step takes in graphnn, as a ratio to PyTorch and to JAX."""
    times = {(one["engine"], one["problem"]): one["seconds"] for one in result["figures"] if "seconds" in one}
    rows = []
    for problem in result["problems"]:
        row = {"ratio of a step": networks.SUITE.titles[problem]}
        for ours in ("plan", "native"):
            for other in ("torch", "jax"):
                column = f"{ours} / {networks.ENGINES[other].label}"
                pair = times.get((ours, problem)), times.get((other, problem))
                row[column] = pair[0] / pair[1] if all(pair) else "not measured"
        rows.append(row)
    return measure.table(rows)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Draw each engine's time as a ratio to NumPy written by hand."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "graphnn", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    times = {(one["engine"], one["problem"], one["dtype"]): one.get("seconds") for one in result["figures"]}
    engines = [e for e in result["engines"] if any(times.get((e, size, d)) for size in SIZES for d in result["dtypes"])]
    sizes = result["problems"]
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
                    colour = "#c2410c" if engine.startswith(("interpreter", "plan", "native")) else "#1d4ed8"
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


def read(name: str) -> Any:
    """Return the figures that are kept under a name."""
    return json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))


def written(page: str) -> str:
    """Return the page with the tables of the figures that are kept."""
    steps, of_networks, of_trainings = read("training_step"), read("networks"), read("trainings")
    of_jacobians = read("jacobians")
    texts = {
        "circumstances": circumstances(steps),
        "steps": tables(training_step.SUITE, steps),
        "two cores": tables(training_step.SUITE, read("two_cores")),
        "networks": tables(networks.SUITE, of_networks),
        "compared": compared(of_networks),
        "fastest": fastest((training_step.SUITE, steps), (networks.SUITE, of_networks)),
        "trainings": trainings.table(of_trainings),
        "of trainings": circumstances(of_trainings),
        "jacobians": tables(jacobians.SUITE, of_jacobians),
        "of jacobians": circumstances(of_jacobians),
        "starts": starts(training_step.SUITE, steps, "M"),
        "long starts": starts(networks.SUITE, of_networks, "lstm-256"),
    }
    texts |= {name: measure.table(rows) for name, rows in read("costs")["rows"].items()}
    for name, text in texts.items():
        page = filled(page, name, text)
    return page


def with_models(page: str) -> str:
    """Return the page about models of ONNX with the tables of the figures that are kept."""
    kept = read("models")
    texts = {"models": model_tables.table(kept["models"]), "medians": model_tables.medians(kept["models"])}
    for name, text in (texts | {"of models": model_tables.circumstances(kept["circumstances"])}).items():
        page = filled(page, name, text)
    return page


def main() -> None:
    """Fill the pages and draw the picture."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE_OF_MODELS.write_text(with_models(PAGE_OF_MODELS.read_text(encoding="utf-8")), encoding="utf-8")
    draw(read("training_step"), FIGURES / "training_step.svg")
    sys.stdout.write("wrote the pages and the picture\n")


if __name__ == "__main__":
    main()
