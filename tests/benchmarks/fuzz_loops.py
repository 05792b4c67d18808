"""Compare loops with the same iterations written out, and plans of them with the interpreter, to the bit.

    python tests/benchmarks/fuzz_loops.py [--graphs 1000] [--seed 0] [--first 0] [--orders 2]

The exit status says whether all is well.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

from random_bodies import loop_differences

from graphnn.execute.kept import Kept

_MOST_TOLD = 12


def main() -> int:
    """Run the comparison; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first loop")
    parser.add_argument("--orders", type=int, default=2, help="of derivatives")
    settings = parser.parse_args()
    Kept.pays = lambda kept, sizes: True  # type: ignore[method-assign] # from the first call on
    start, wrong = time.perf_counter(), 0
    for number in range(settings.first, settings.first + settings.graphs):
        try:
            found = loop_differences(settings.seed, number, settings.orders)
        except Exception:  # noqa: BLE001 - told, and the next one compared
            found = [traceback.format_exc()]
        wrong += bool(found)
        if found and wrong <= _MOST_TOLD:
            sys.stdout.write(f"loop {number}:\n  " + "\n  ".join(found) + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{settings.graphs:,} loops: {wrong} mismatches, {time.perf_counter() - start:.0f} s\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
