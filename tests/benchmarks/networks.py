"""Time training steps of networks as users build them, in graphnn, PyTorch and JAX.

    python tests/benchmarks/networks.py [--networks policy,transformer,transformer-6,lstm-32,layers] [--dtypes float32]
        [--engines plan,native,torch,jax] [--processes 3] [--rounds 5] [--json FILE] [--table FILE] [--quick]

How engines are timed, `turns.py` says. Each of them must have the losses of graphnn's interpreter.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import turns
from engines.networks import ENGINES, NETWORKS

SUITE = turns.Suite(
    script=__file__,
    description=str(__doc__),
    engines=ENGINES,
    problems={name: network for name, (_, network) in NETWORKS.items()},
    titles={name: title for name, (title, _) in NETWORKS.items()},
    reference="interpreter",
    unit="torch",
    usual={"dtypes": ["float32"]},
    quick={"problems": ["policy", "layers"], "processes": 1, "rounds": 3},
)

if __name__ == "__main__":
    turns.run(SUITE)
