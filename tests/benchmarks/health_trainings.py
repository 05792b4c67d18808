"""Look at the health of trainings that are sound, and of such with one fault each.

    python tests/benchmarks/health_trainings.py [--sound 200] [--planted 20] [--steps 30] [--seed 0]

A sound training is looked at as it begins, on its way and at its end, and as a film of all its calls; each finding
there is a false alarm. Of a faulty one, the first finding must be its fault.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.extend(map(str, Path(__file__).parents[1].iterdir()))

from faulty_trainings import FAULTY, sound

import graphnn as gn


def false_alarms(seed: int, steps: int) -> list[str]:
    """Return what is found in a sound training."""
    setting, told = sound(seed), []
    with gn.recording(setting.step) as film:
        for number in range(steps):
            if number % max(steps // 3, 1) == 0:
                told += [f"step {number}: {each.code}: {each}" for each in gn.check_health(setting.step, setting.feed)]
            setting.step(setting.feed)
    told += [f"at the end: {each.code}: {each}" for each in gn.check_health(setting.step, setting.feed)]
    return told + [f"film: {each.code}: {each}" for each in gn.check_health(film)]


def missed(make: Callable[[int], Any], code: str, seed: int) -> str:
    """Return what is told of a faulty training in the place of its fault; "" if it is found, and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gn.GraphnnWarning)
        setting = make(seed)
        health = gn.check_health(setting.step, setting.feed)
    codes = [each.code for each in health]
    return "" if codes and set(codes) == {code} else f"seed {seed}: {codes}\n{health}"


def main() -> int:
    """Look at them all; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", type=int, default=200)
    parser.add_argument("--planted", type=int, default=20)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    start, wrong, write = time.perf_counter(), 0, sys.stdout.write
    seeds = range(settings.seed, settings.seed + settings.planted)
    for what, (code, make) in FAULTY.items():
        told = [each for seed in seeds if (each := missed(make, code, seed))]
        write("".join(f"{what}, {each}\n" for each in told))
        write(f"{what} ({code}): {settings.planted - len(told)} of {settings.planted} found\n")
        wrong += len(told)
    alarmed = 0
    for seed in range(settings.seed, settings.seed + settings.sound):
        told = false_alarms(seed, settings.steps)
        alarmed += bool(told)
        write("".join(f"sound training {seed}, {each}\n" for each in told))
    write(f"sound: {alarmed} of {settings.sound} trainings of {settings.steps} steps with a finding\n")
    write(f"{time.perf_counter() - start:.0f} s\n")
    return int(bool(wrong or alarmed))


if __name__ == "__main__":
    sys.exit(main())
