"""Compare plans with the interpreter, to the bit: random graphs with gradients and updates, and every operation.

    python tests/fuzz/fuzz_plans.py [--graphs 10000] [--networks 1000] [--mixed 1000] [--loops 1000]
        [--large 100] [--recorded 0] [--draws 1000] [--seed 0] [--first 0] [--backend numpy]

Each operation is drawn so often, its operands in every way that a plan could take them. Mixed graphs are of all dtypes,
with sizes that change from call to call; every tenth of them has arrays of 10,000 to 100,000 elements, and large graphs
have more. What is recorded is compared word for word with plans that are made for the same sizes. The exit status says
whether all is well.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

sys.path.extend(map(str, [*Path(__file__).parents[1].iterdir(), Path(__file__).parents[1] / "satellites" / "native"]))

from random_bodies import random_loop
from random_mixed import random_mixed
from random_networks import random_training
from test_ops import OPS
from test_plan_conformance import (
    differences_by_number,
    large_graph_differences,
    op_differences,
    random_graph_differences,
)

from graphnn.compiler.plan_cache import PlanCache

_KINDS = ("graphs", "networks", "mixed", "loops", "large", "recorded")
_MOST_TOLD = 3
"""Of each kind."""


def main() -> int:
    """Run the comparison; the exit status says whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=10_000)
    parser.add_argument("--networks", type=int, default=1000, help="with losses and optimizers")
    parser.add_argument("--mixed", type=int, default=1000, help="of all dtypes, with sizes that change")
    parser.add_argument("--loops", type=int, default=1000, help="with gradients")
    parser.add_argument("--large", type=int, default=100, help="of arrays above 65,536 elements")
    parser.add_argument("--recorded", type=int, default=0, help="native, made from a pattern for sizes that change")
    parser.add_argument("--backend", choices=("numpy", "native"), default="numpy")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first graph and draw")
    settings = parser.parse_args()
    backend, start = settings.backend, time.perf_counter()
    wrong: Counter[str] = Counter()
    compared: Counter[str] = Counter()

    def compare(kind: str, number: int, differences: Callable[[], list[str] | None]) -> None:
        try:
            found = differences()
        except Exception:  # noqa: BLE001 - told, and the next one compared
            found = [traceback.format_exc()]
        compared[kind] += found is not None
        if found:
            wrong[kind] += 1
            if wrong[kind] <= _MOST_TOLD:
                sys.stdout.write(f"{kind} {number}:\n  " + "\n  ".join(found) + "\n")

    PlanCache.is_due = lambda *_: True  # type: ignore[method-assign] # from the first call on
    numbers = {kind: range(settings.first, settings.first + getattr(settings, kind)) for kind in _KINDS}
    for number in numbers["graphs"]:
        compare("graphs", number, lambda number=number: random_graph_differences(settings.seed, number, backend))
    for number in numbers["networks"]:
        rng = np.random.default_rng([number, 5 + settings.seed])
        compare("networks", number, lambda n=number, rng=rng: differences_by_number(n, *random_training(rng), backend))
    for number in numbers["mixed"]:
        drawn = partial(random_mixed, np.random.default_rng([number, 3 + settings.seed]), number % 10 == 0)
        compare("mixed", number, lambda n=number, drawn=drawn: differences_by_number(n, *drawn(), backend))
    for number in numbers["loops"]:
        drawn = partial(random_loop, settings.seed, number)
        compare("loops", number, lambda n=number, drawn=drawn: differences_by_number(n, *drawn(), backend))
    for number in numbers["large"]:
        compare("large", number, lambda number=number: large_graph_differences(settings.seed, number, backend))
    repeated = import_module("recorded").repeated if settings.recorded else None
    for number in numbers["recorded"]:
        compare("recorded", number, lambda number=number: getattr(repeated(settings.seed, number), "differences", None))
    for cls in OPS:
        for number in range(settings.first, settings.first + settings.draws):
            rng = np.random.default_rng([number, 7 + settings.seed])
            compare(cls.name, number, lambda cls=cls, rng=rng: op_differences(cls, rng, backend))

    bad = wrong.total()
    told = [f"{compared.pop(kind, 0):,} {kind}: {wrong.pop(kind, 0)} mismatches\n" for kind in _KINDS]
    rare = [name for name, count in compared.items() if count < 0.3 * settings.draws]
    sys.stdout.write(
        f"{''.join(told)}"
        f"{compared.total():,} draws of {len(compared)} operations: {wrong.total()} mismatches"
        f"{''.join(f', {name} {count}' for name, count in wrong.items())}\n"
        f"operations that could often not be built: {', '.join(rare) or 'none'}\n"
        f"{time.perf_counter() - start:.0f} s\n"
    )
    return int(bool(bad or rare))


if __name__ == "__main__":
    sys.exit(main())
