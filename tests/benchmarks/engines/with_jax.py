"""The step in JAX: gradient and update in one jitted function, which may write over the parameters it is given."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import Problem, Training


def jitted(problem: Problem) -> Training:
    """Return the jitted step."""
    jax.config.update("jax_enable_x64", problem.X.dtype == np.float64)
    X, labels = jnp.asarray(problem.X), jnp.asarray(problem.labels)
    parameters = [jnp.asarray(array) for array in problem.start]
    rows = jnp.arange(len(problem.X))

    def loss_of(parameters: list[Any], X: Any, labels: Any) -> Any:
        w1, b1, w2, b2 = parameters
        logits = jax.nn.relu(X @ w1 + b1) @ w2 + b2
        return -jax.nn.log_softmax(logits)[rows, labels].mean()

    @partial(jax.jit, donate_argnums=0)
    def advanced(parameters: list[Any], X: Any, labels: Any) -> tuple[Any, list[Any]]:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, X, labels)
        return loss, [p - problem.rate * gradient for p, gradient in zip(parameters, gradients, strict=True)]

    def step() -> float:
        nonlocal parameters
        loss, parameters = advanced(parameters, X, labels)
        return float(loss)

    return Training(step, lambda: [np.array(parameter) for parameter in parameters])
