"""The step in PyTensor: one compiled function with updates of shared variables."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.special import log_softmax

from . import Problem, Training


def compiled(problem: Problem) -> Training:
    """Return the step compiled in PyTensor's default mode."""
    dtype = problem.X.dtype.name
    pytensor.config.floatX = dtype
    rate = np.asarray(problem.rate, dtype)
    X, labels = pt.matrix("X", dtype=dtype), pt.lvector("labels")
    parameters = [pytensor.shared(array) for array in problem.start]
    w1, b1, w2, b2 = parameters
    logits = pt.maximum(X @ w1 + b1, 0) @ w2 + b2
    loss = -log_softmax(logits, axis=1)[pt.arange(X.shape[0]), labels].mean()
    gradients = pt.grad(loss, parameters)
    updates = [(p, p - rate * gradient) for p, gradient in zip(parameters, gradients, strict=True)]
    advanced = pytensor.function([X, labels], loss, updates=updates)
    advanced.trust_input = True  # what is fed is known to fit

    def step() -> float:
        return float(advanced(problem.X, problem.labels))

    return Training(step, lambda: [parameter.get_value() for parameter in parameters])
