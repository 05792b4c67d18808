"""Write jax_scans.npz: what jax.lax.scan gives for the loops of `support/scan_bodies.py`, and gradients.

Needs JAX, which the tests do not: ``pip install jax``, then ``python tests/data/make_jax_scans.py``.

Everything is in float64. An entry is called ``case/kind/name``. The kinds are ``p``, ``init`` and ``xs`` for what the
loop is given, ``out`` for the leaves of the last state and of the results, in the order of their paths, and ``slope``
for the gradients of `loss`, ``moved`` for the change of the loss along the sines of all that is given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
from jax import nn as jnn
from jax import numpy as jnp
from jax.scipy.special import logsumexp

sys.path.append(str(Path(__file__).parents[1] / "support"))

from scan_bodies import BODIES, Body, drawn

jax.config.update("jax_enable_x64", True)


M: Any = SimpleNamespace(
    **{name: getattr(jnp, name) for name in dir(jnp) if name.islower()},
    **{name: getattr(jnn, name) for name in ("sigmoid", "softplus", "relu", "softmax", "log_softmax")},
    **{name: getattr(jnp.linalg, name) for name in ("inv", "det", "cholesky")},
    logsumexp=logsumexp,
    cast=lambda x, dtype: x.astype(dtype),
    scan=jax.lax.scan,
    slope=lambda function, x: jax.grad(function)(x),
)
"""What the steps compute with, of JAX."""


def outputs(body: Body, p: Any, init: Any, xs: Any) -> list[Any]:
    """Return the leaves of the last state and of the results."""
    length = None if xs else body.length
    found = jax.lax.scan(lambda s, x: body.step(M, p, s, x), init, xs or None, length, body.reverse)
    return jax.tree.leaves(found)


def main() -> None:
    """Write the file."""
    found: dict[str, Any] = {}
    for number, (case, body) in enumerate(BODIES.items()):
        rng = np.random.default_rng(number)
        given = {kind: drawn(getattr(body, kind), rng) for kind in ("p", "init", "xs")}
        floats = {kind: {n: a for n, a in arrays.items() if a.dtype.kind == "f"} for kind, arrays in given.items()}

        def loss(floats: Any, given: Any = given, body: Body = body) -> Any:
            all_of = {kind: given[kind] | floats[kind] for kind in given}
            return sum(jnp.sum(jnp.sin(x)) for x in outputs(body, *all_of.values()) if x.dtype.kind == "f")

        slopes = jax.grad(loss)(floats)
        moved = jax.jvp(loss, (floats,), (jax.tree.map(np.sin, floats),))[1]
        arrays = {f"{case}/moved": moved}
        for kind in given:
            arrays |= {f"{case}/{kind}/{name}": array for name, array in given[kind].items()}
            arrays |= {f"{case}/slope/{kind}/{name}": array for name, array in slopes[kind].items()}
        arrays |= {f"{case}/out/{i}": array for i, array in enumerate(outputs(body, *given.values()))}
        found |= {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(Path(__file__).with_name("jax_scans.npz"), **found)


if __name__ == "__main__":
    main()
