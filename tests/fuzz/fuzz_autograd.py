"""Compare random graphs with HIPS autograd: values, gradients, and how often each operation took part.

    python tests/fuzz/fuzz_autograd.py [--graphs 10000] [--seed 0] [--order 1]

Graphs whose figures are nothing but rounding are told apart, and others compared in their stead.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

import hips
from random_graphs import NAMES, random_graph

LEAST_USES = 100
"""Of each operation, in 10,000 graphs; of fewer graphs it is not asked."""


def main() -> int:
    """Run the comparison; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--order", type=int, default=1, choices=[1, 2])
    settings = parser.parse_args()

    known = [name for name in NAMES if hips.knows(name)]
    used: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    start = time.perf_counter()
    for number in itertools.count():
        recipe = random_graph(np.random.default_rng([settings.seed, number]), ops=known)
        with np.errstate(all="ignore"):
            found = hips.compared(recipe, settings.order)
        if not found.decided:
            seen["rounding only"] += 1
            continue
        seen["compared"] += 1
        seen["lively"] += found.lively
        seen["lines"] += len(recipe.lines)
        used.update(set(recipe.ops))
        if found.told:
            seen["mismatches"] += 1
            sys.stdout.write(f"graph {number}:\n{recipe}\n{found.told}\n\n")
        if seen["compared"] == settings.graphs:
            break

    told = sys.stdout.write
    width = max(map(len, known))
    entries = [f"{name:<{width}} {used[name]:>6,}" for name in sorted(known, key=lambda name: (used[name], name))]
    rows = ["   ".join(entries[i : i + 5]) for i in range(0, len(entries), 5)]
    told("graphs that use each operation:\n  " + "\n  ".join(rows) + "\n")
    rare = [name for name in known if used[name] < LEAST_USES]
    for name in sorted(set(NAMES) - set(known)):
        told(f"not compared, since there is nothing to compare it with: {name}\n")
    told(
        f"{seen['compared']:,} graphs of {seen['lines'] / seen['compared']:.1f} lines on average, "
        f"order {settings.order}: {seen['mismatches']} mismatches\n"
        f"{seen['lively'] / seen['compared']:.1%} have finite gradients that are not zero; "
        f"{seen['rounding only']} more were rounding only, and are not counted\n"
        f"{len(known)} operations; in fewer than {LEAST_USES} graphs: {', '.join(rare) or 'none'}\n"
        f"{time.perf_counter() - start:.0f} s\n"
    )
    return int(
        bool(seen["mismatches"] or (rare and settings.graphs >= 10_000)) or seen["lively"] < 0.9 * seen["compared"]
    )


if __name__ == "__main__":
    sys.exit(main())
