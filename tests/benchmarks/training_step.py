"""Time one whole training step, forwards, backwards and update, in graphnn and in other engines.

    python tests/benchmarks/training_step.py [--sizes T,S,M,L] [--dtypes float32,float64] [--engines numpy,plan,...]
        [--processes 3] [--rounds 5] [--cores 1] [--json FILE] [--table FILE] [--quick]

How engines are timed, `turns.py` says. Each of them must have the losses of NumPy written by hand.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import turns
from engines import ENGINES, REFERENCE, SIZES, drawn

SUITE = turns.Suite(
    script=__file__,
    description=str(__doc__),
    engines=ENGINES,
    problems={name: partial(drawn, size) for name, size in SIZES.items()},
    titles={name: f"{name} {size}" for name, size in SIZES.items()},
    reference=REFERENCE,
    unit=REFERENCE,
    usual={},
    quick={
        "problems": ["T", "S", "M"],
        "dtypes": ["float32"],
        "engines": [name for name, engine in ENGINES.items() if engine.quick],
        "processes": 1,
        "rounds": 3,
    },
)

if __name__ == "__main__":
    turns.run(SUITE)
