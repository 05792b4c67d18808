"""Compare loops with the same iterations written out, plans of them with the interpreter, and maps with each row.

    python tests/fuzz/fuzz_loops.py [--graphs 1000] [--maps 300] [--seed 0] [--first 0] [--orders 2]

The exit status says whether all is well.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

from places import present
from random_bodies import loop_differences, map_differences

from graphnn.compiler.plan_cache import PlanCache

_MOST_TOLD = 12


def main() -> int:
    """Run the comparison; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--maps", type=int, default=300, help="over rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first loop")
    parser.add_argument("--orders", type=int, default=2, help="of derivatives")
    settings = parser.parse_args()
    PlanCache.is_due = lambda *_: True  # type: ignore[method-assign] # from the first call on
    if present("native"):
        native = import_module("graphnn.native.loop_iterations")
        native.LEAST = native.IN_ONE_GO = 4  # type: ignore[attr-defined] # as few as can be
    start, wrong, made = time.perf_counter(), 0, 0

    def compare(kind: str, number: int, differences: Callable[[], list[str] | None]) -> None:
        nonlocal wrong, made
        try:
            found = differences()
        except Exception:  # noqa: BLE001 - told, and the next one compared
            found = [traceback.format_exc()]
        made += found is not None
        wrong += bool(found)
        if found and wrong <= _MOST_TOLD:
            sys.stdout.write(f"{kind} {number}:\n  " + "\n  ".join(found) + "\n")
            sys.stdout.flush()

    seed, first = settings.seed, settings.first
    for number in range(first, first + settings.graphs):
        compare("loop", number, lambda number=number: loop_differences(seed, number, settings.orders))
    for number in range(first, first + settings.maps):
        compare("map", number, lambda number=number: map_differences(seed, number))
    sys.stdout.write(f"{made:,} loops and maps: {wrong} mismatches, {time.perf_counter() - start:.0f} s\n")
    return int(bool(wrong or made < 0.8 * (settings.graphs + settings.maps)))


if __name__ == "__main__":
    sys.exit(main())
