"""The derivatives in JAX, jitted, each in the mode with fewer rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from . import Function, training

if TYPE_CHECKING:
    from .. import Training


def jitted(function: Function) -> Training:
    """Return the derivatives."""
    jax.config.update("jax_enable_x64", function.x.dtype == np.float64)
    x, labels = jnp.asarray(function.x), jnp.asarray(function.labels)
    weights = tuple(jnp.asarray(each) for each in function.parameters)
    places = tuple(range(1, len(weights) + 1))

    def loss(x: Any, *weights: Any) -> Any:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(_logits(x, *weights)), labels[:, None], 1))

    def convolved(x: Any, kernel: Any) -> Any:
        return jax.lax.conv(x, kernel, (1, 1), "VALID")

    def of_one(row: Any, label: Any, *weights: Any) -> Any:
        return -jax.nn.log_softmax(_logits(row[None], *weights))[0, label]

    def of_samples(x: Any, *weights: Any) -> Any:
        nones = (None,) * len(weights)
        return jax.vmap(jax.grad(of_one, tuple(range(2, len(weights) + 2))), (0, 0, *nones))(x, labels, *weights)

    taken = {
        "input": jax.jacrev(_logits),
        "weights": jax.jacrev(_logits, places),
        "hessian": jax.hessian(loss, places),
        "samples": of_samples,
        "kernel": jax.jacfwd(convolved, 1),
    }[function.kind]
    step = jax.jit(taken)
    return training(lambda: [np.asarray(block) for block in jax.tree.leaves(step(x, *weights))])


def _logits(x: Any, *weights: Any) -> Any:
    for i in range(0, len(weights), 2):
        x = (jnp.tanh(x) if i else x) @ weights[i] + weights[i + 1]
    return x
