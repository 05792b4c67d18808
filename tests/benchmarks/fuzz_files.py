"""Forge files of graphs and of runs, with right digests, load them, and use what comes of it.

    python tests/benchmarks/fuzz_files.py [--forgeries 20000] [--seed 0] [--first 0] [--memory 2048]

Every truncation and every bit flip of a small file are tried first. The exit status says whether all is well: a file is
refused by an error of graphnn, or what it holds works or is refused later in the same way; nothing that a file says is
run; nothing hangs, and nothing takes more than the mebibytes given.
"""

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

import forging

_MOST_TOLD = 4
"""Of each kind."""


def main() -> int:
    """Try the forgeries; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forgeries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first forgery")
    parser.add_argument("--memory", type=int, default=2048, help="MiB of address space beyond what is in use")
    settings = parser.parse_args()

    told = sys.stdout.write
    sound = forging.sound()
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    limit = used + settings.memory * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    start = time.perf_counter()
    faults: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    def note(number: str, fault: str | None) -> None:
        if fault is not None:
            kind = fault.partition(": ")[0]
            faults[kind] += 1
            if faults[kind] <= _MOST_TOLD:
                told(f"{number}: {fault}\n")
                sys.stdout.flush()

    small = forging.small()
    for name, content in forging.damaged(small):
        note(name, forging.fault_of(content, np.random.default_rng(0), seen))
    told(f"{seen['refused']:,} truncations and bit flips of a file of {len(small):,} bytes, all refused\n")
    if seen.total() != seen["refused"]:
        faults["damage was not seen"] += 1
    seen.clear()

    for number in range(settings.first, settings.first + settings.forgeries):
        rng = np.random.default_rng([settings.seed, number])
        note(f"forgery {number}", forging.fault_of(forging.written(forging.forged(rng, sound), rng), rng, seen))
        if (number + 1) % 1000 == 0:
            told(f"  {number + 1:,}: {faults.total()} faults, {time.perf_counter() - start:,.0f} s\n")
            sys.stdout.flush()

    for what, count in sorted(seen.items()):
        told(f"{count:>8,} {what}\n")
    for kind, count in faults.most_common():
        told(f"{count:>8,} FAULTS {kind}\n")
    told(f"{settings.forgeries:,} forgeries of {len(sound)} files: {faults.total()} faults\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
