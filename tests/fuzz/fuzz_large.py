"""Compare random graphs of large arrays: the plan with the interpreter, to the bit, and both with HIPS autograd.

    python tests/fuzz/fuzz_large.py [--graphs 5000] [--seed 0] [--first 0]

Most inputs have more than 65,536 elements, and sides up to 5,000. Every other graph has a product or a norm. Graphs
whose figures are nothing but rounding are told apart. The exit status says whether all is well.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

import hips
from random_graphs import NAMES, large_graph


def main() -> int:
    """Run the comparison; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first graph")
    settings = parser.parse_args()

    known = [name for name in NAMES if hips.knows(name)]
    used: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    start = time.perf_counter()
    for number in range(settings.first, settings.first + settings.graphs):
        recipe = large_graph(settings.seed, number, known)
        try:
            with np.errstate(all="ignore"):
                found = hips.compared(recipe, plan=True)
        except Exception:  # noqa: BLE001 - told, and the next one compared
            found = hips.Comparison(traceback.format_exc(), True, False)
        seen["compared"] += found.decided
        seen["rounding only"] += not found.decided
        seen["lively"] += found.lively
        seen["large"] += max(x.size for x in recipe.inputs) > 2**16
        used.update(set(recipe.ops))
        if found.told:
            seen["mismatches"] += 1
            sys.stdout.write(f"graph {number}:\n{recipe}\n{found.told}\n\n")
            sys.stdout.flush()

    rare = sorted(name for name in used if used[name] < 0.005 * settings.graphs)
    sys.stdout.write(
        f"{seen['compared']:,} graphs compared, and {seen['rounding only']} that are rounding only: "
        f"{seen['mismatches']} mismatches\n"
        f"{seen['large']:,} with inputs above 65,536 elements, {seen['lively']:,} with finite gradients that are not "
        f"zero; {used['prod']:,} with prod, {used['norm']:,} with norm\n"
        f"{len(used)} operations; rare: {', '.join(rare) or 'none'}\n"
        f"{time.perf_counter() - start:.0f} s\n"
    )
    return int(bool(seen["mismatches"]))


if __name__ == "__main__":
    sys.exit(main())
