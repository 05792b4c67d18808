"""Forge files of graphs and of runs, with right checksums, load them, and use what comes of it.

    python tests/fuzz/fuzz_files.py [--forgeries 20000] [--seed 0] [--first 0] [--memory 2048]
    python tests/fuzz/fuzz_files.py --archives [--forgeries 20000] [--seed 0]
    python tests/fuzz/fuzz_files.py --dimensions
    python tests/fuzz/fuzz_files.py --runs [--forgeries 2000] [--seed 0]

Every truncation and every bit flip of a small file are tried first: these, and with --archives as many archives whose
records lie (headers, directory, names, lengths, order), are refused, or hold what the sound file holds.

The exit status says whether all is well: a forged file is refused by an error of graphnn, or what it holds works or is
refused later in the same way; nothing that a file says is run; nothing hangs, and nothing takes more than the mebibytes
given.

With --dimensions it loads files, models and graphs of at most 100 kB whose dimensions are long, and prints for each
kind how many there are and the longest time that one took. All is well if none takes a second.

With --runs it forges files of runs of PyTorch instead, and calls what they name as far as that is allowed.
"""

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

import forged_archives
import forging
import long_dimensions
from places import present

import graphnn as gn

_LONGEST = 1.0
"""Seconds that a file with long dimensions may take."""
_MOST_TOLD = 4
"""Of each kind."""


def of_dimensions() -> int:
    """Load the files whose dimensions are long; the exit status says whether all is well."""
    told = sys.stdout.write
    times: dict[str, list[tuple[float, str]]] = {}
    wrong = 0
    forged = [*long_dimensions.forged()]
    if present("onnx"):
        import long_models

        forged += long_models.forged()
    for long in forged:
        start, ending = time.perf_counter(), "loaded"
        try:
            with forging.patient(60.0), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                long.load()
        except gn.GraphnnError:
            ending = "refused"
        except forging.Hang:
            ending = "HANGS"
        except Exception as error:  # noqa: BLE001 # that is what is looked for
            ending = type(error).__name__.upper()
        took = time.perf_counter() - start
        wrong += took >= _LONGEST or ending.isupper()
        way, _, what = long.kind.partition(": ")
        times.setdefault(way, []).append((took, f"{what}, {ending}"))
    told(f"{'seconds':>8} {'files':>6}  the slowest of each kind\n")
    for way, found in times.items():
        slowest, what = max(found)
        told(f"{slowest:8.2f} {len(found):6}  {way}: {what}\n")
    told(f"{sum(map(len, times.values()))} files: {wrong} of a second or more, or with another error\n")
    return bool(wrong)


def of_runs(forgeries: int, first: int, seed: int) -> int:
    """Forge files of runs; the exit status says whether all is well."""
    sys.path.append(str(Path(__file__).parents[1] / "satellites" / "torch"))
    import forged_runs

    told = sys.stdout.write
    sound, seen, faults = forged_runs.sound(), Counter[str](), 0
    for number in range(first, first + forgeries):
        rng = np.random.default_rng([seed, number])
        fault = forged_runs.fault_of(forged_runs.forged(rng, sound), rng, seen)
        if fault is not None:
            faults += 1
            told(f"forgery {number}: {fault}\n")
    for what, count in sorted(seen.items()):
        told(f"{count:>8,} {what}\n")
    for what, count in sorted(forged_runs.computed.items()):
        told(f"{count:>8,} single calls: {what}\n")
    told(f"{forgeries:,} forgeries of runs: {faults} faults\n")
    return bool(faults)


def main() -> int:
    """Try the forgeries; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forgeries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first forgery")
    parser.add_argument("--memory", type=int, default=2048, help="MiB of address space beyond what is in use")
    parser.add_argument("--archives", action="store_true", help="forge the records of archives instead")
    parser.add_argument("--dimensions", action="store_true", help="load files whose dimensions are long instead")
    parser.add_argument("--runs", action="store_true", help="forge files of runs of PyTorch instead")
    settings = parser.parse_args()
    if settings.dimensions:
        return of_dimensions()
    if settings.runs:
        return of_runs(settings.forgeries, settings.first, settings.seed)

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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "forged.gnn")
        for name, content in forging.damaged(small):
            note(name, forged_archives.fault_of(content, path, small, seen))
        told(f"{seen.total():,} truncations and bit flips of a file of {len(small):,} bytes: {dict(seen)}\n")
        seen.clear()
        if settings.archives:
            small = forged_archives.sound()
            for number in range(settings.first, settings.first + settings.forgeries):
                content, same = forged_archives.forged(np.random.default_rng([settings.seed, number]), small)
                note(f"archive {number}", forged_archives.fault_of(content, path, small if same else None, seen))

    for number in () if settings.archives else range(settings.first, settings.first + settings.forgeries):
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
