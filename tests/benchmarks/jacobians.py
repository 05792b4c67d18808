"""Time Jacobians, a Hessian and the gradients of single samples in graphnn, by torch.func and in JAX.

    python tests/benchmarks/jacobians.py [--problems input,weights,hessian,samples,kernel] [--dtypes float32]
        [--engines plan,native,torch,jax] [--processes 3] [--rounds 5] [--json FILE] [--table FILE] [--quick]

How engines are timed, `turns.py` says. In place of losses, a number that depends on every derivative is compared with
that of graphnn's interpreter.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import turns
from engines.jacobians import ENGINES, FUNCTIONS

SUITE = turns.Suite(
    script=__file__,
    description=str(__doc__),
    engines=ENGINES,
    problems={name: function for name, (_, function) in FUNCTIONS.items()},
    titles={name: title for name, (title, _) in FUNCTIONS.items()},
    reference="interpreter",
    unit="torch",
    usual={"dtypes": ["float32"]},
    quick={"problems": ["hessian"], "processes": 1, "rounds": 3},
)

if __name__ == "__main__":
    turns.run(SUITE)
