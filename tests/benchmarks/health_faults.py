"""Plant faults as people make them, and tell which of them the health check names; and look at sound trainings.

    python tests/benchmarks/health_faults.py [--seed 0] [--seeds 1] [--steps 60] [--only TEXT] [--json FILE] [--long]

Each training is looked at before its first step and after the last, by ``gn.check_health(step, feed)`` alone. A fault
is named if a finding is at the node where it sits, or tells that node with its line, and says what it is. Each finding
of a sound training is a false alarm; and each sound training must learn. Sound is also the training of each fault, if
what stands there is right. The cases are in ``tests/support``, and of models that were
read in ``tests/satellites/onnx``: ``health_cases.py`` says what counts.

The columns: b and a, before and after: N for a fault that is named by the first finding, n for one named by a later
one, - for one that is missed, ! for a check that fails or changes what it looks at; then how many findings there are,
and the time of both checks.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path.extend(map(str, [*TESTS.iterdir(), TESTS / "satellites" / "onnx"]))  # there are those of models that were read

import health_cases  # noqa: E402 - it is found by the line above
from health_cases import Alarms, Fault, Look, Row, Training  # noqa: E402

VARIANTS = "nn", "hand", "onnx"


def of_fault(row: Row, long: bool) -> Iterator[str]:
    """Yield the lines of a fault."""
    found = "".join("!" if each.spoiled else "N" if each.first else "n" if each.named else "-" for each in row.looks)
    case, counts = row.case, "+".join(str(len(each.findings)) for each in row.looks)
    shown = f"{case.name:58} {case.family:12} {case.variant:5} {counts:>5} {_cost(row)}"
    yield f"{'  ' if row.named else '✗ '}{found}  {shown}"
    if case.alone and row.warned > 1:
        yield f"      {row.warned} warnings when it is made"
    if long or not row.named:
        at = ", ".join(row.at[:4]) + (f" and {len(row.at) - 4} more" if len(row.at) > 4 else "")
        yield f"      sought: {at}; {case.words}"
        yield from _told(row.looks, long)
    yield from _spoiled(row.looks)


def of_training(row: Alarms, long: bool) -> Iterator[str]:
    """Yield the lines of a sound training."""
    wrong = bool(row.findings) or not row.learned or any(each.spoiled for each in row.looks)
    case, went = row.case, f"{row.losses[0]:.3g} → {row.losses[-1]:.3g}" + ("" if row.learned else ", not learned")
    name = f"without {case.name}" if isinstance(case, Fault) else case.name
    yield f"{'✗ ' if wrong else '  '}{name:62} {case.family:12} {case.variant:5} {went:18} {_cost(row)}"
    if long or row.findings:
        yield from _told(row.looks, long)
    yield from _spoiled(row.looks)


def _cost(row: Row | Alarms) -> str:
    seconds = "+".join(f"{each.seconds:.2f}" for each in row.looks) + " s"
    evaluated = [each.evaluations for each in row.looks]
    return seconds if None in evaluated else f"{seconds}, {evaluated[0]}+{evaluated[1]} evaluations"


def _told(looks: Sequence[Look], long: bool) -> Iterator[str]:
    for when, each in zip(("before", "after"), looks, strict=True):
        shown = [*each.findings, *each.notes] if long else each.findings[:1]
        yield from (f"      {when}: {line if long else line[:240]}" for line in shown)


def _spoiled(looks: Sequence[Look]) -> Iterator[str]:
    yield from (f"      the check failed: {each.spoiled}" for each in looks if each.spoiled)


def as_data(row: Row | Alarms) -> dict[str, Any]:
    """Return a line of the table as what JSON takes."""
    case = row.case
    data = {"name": case.name, "family": case.family, "variant": case.variant, "seed": row.seed}
    data |= {"before": row.before._asdict(), "after": row.after._asdict()}
    if isinstance(row, Row):
        return data | {"at": row.at, "words": row.case.words, "warned": row.warned, "named": row.named}
    return data | {
        "findings": row.findings,
        "losses": row.losses,
        "learned": row.learned,
        "without": isinstance(case, Fault),
    }


def summary(faults: Sequence[Row], trainings: Sequence[Alarms]) -> Iterator[str]:
    """Yield what the table comes to."""
    named, first = sum(row.named for row in faults), sum(row.first for row in faults)
    yield f"named {named} of {len(faults)}, {first} by the first finding"
    for variant in VARIANTS:
        those = [row for row in faults if row.case.variant == variant]
        yield f"  {variant}: {sum(row.named for row in those)} of {len(those)}"
    for what, kind in (("sound trainings", Training), ("faults' trainings without the fault", Fault)):
        those = [row for row in trainings if isinstance(row.case, kind)]
        alarmed, idle = sum(bool(row.findings) for row in those), sum(not row.learned for row in those)
        yield f"{alarmed} of {len(those)} {what} with a false alarm; {idle} did not learn"
    looks = [each for row in (*faults, *trainings) for each in row.looks]
    seconds = [each.seconds for each in looks]
    yield f"checks: {sum(seconds):.1f} s, the longest {max(seconds):.2f} s"
    counted = [each.evaluations for each in looks if each.evaluations is not None]
    if counted:
        yield f"evaluations of a check: {sum(counted) / len(counted):.1f} on average, at most {max(counted)}"


def main() -> int:
    """Make the table; the exit status says whether all faults are named and no sound training has a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--steps", type=int, default=health_cases.STEPS)
    parser.add_argument("--only", default="", help="cases with this text in their name, family or variant")
    parser.add_argument("--json", type=Path, help="where to write the table, with all that is told")
    parser.add_argument("--long", action="store_true", help="print all findings and notes")
    settings = parser.parse_args()
    start, write = time.perf_counter(), sys.stdout.write
    declared = [
        health_cases.declared(),
        *([health_cases.declared("models_read")] if (TESTS / "satellites" / "onnx").is_dir() else []),
    ]
    faults, trainings = (
        [c for cases in kind for c in cases.values() if settings.only in f"{c.name} {c.family} {c.variant}"]
        for kind in zip(*declared, strict=True)
    )
    rows: list[Row] = []
    alarms: list[Alarms] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        write(f"seed {seed}\n")
        for case in faults:
            rows.append(health_cases.tried(case, seed, settings.steps))
            write("".join(f"{line}\n" for line in of_fault(rows[-1], settings.long)))
        for case in (*trainings, *faults):
            alarms.append(health_cases.trained(case, seed, settings.steps))
            write("".join(f"{line}\n" for line in of_training(alarms[-1], settings.long)))
        sys.stdout.flush()
    write("".join(f"{line}\n" for line in summary(rows, alarms)) if rows or alarms else "no such case\n")
    write(f"{time.perf_counter() - start:.0f} s\n")
    if settings.json:
        settings.json.write_text(json.dumps([*map(as_data, rows), *map(as_data, alarms)], indent=1), encoding="utf-8")
    good = all(row.named for row in rows) and all(row.learned and not row.findings for row in alarms)
    return int(not good or any(each.spoiled for row in (*rows, *alarms) for each in row.looks))


if __name__ == "__main__":
    sys.exit(main())
