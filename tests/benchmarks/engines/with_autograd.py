"""The step in HIPS autograd."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
from autograd import value_and_grad
from autograd.tracer import getval

from . import Problem, Training


def eager(problem: Problem) -> Training:
    """Return the step, traced anew each time; what is subtracted from the logits is kept out of the trace."""
    X, labels, rate = problem.X, problem.labels, problem.rate
    parameters = problem.start
    rows = anp.arange(len(X))

    def loss_of(parameters: list[Any]) -> Any:
        w1, b1, w2, b2 = parameters
        hidden = anp.dot(X, w1) + b1
        logits = anp.dot(hidden * (getval(hidden) > 0), w2) + b2
        logits = logits - getval(logits).max(axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - logits[rows, labels])

    differentiated = value_and_grad(loss_of)

    def step() -> float:
        nonlocal parameters
        loss, gradients = differentiated(parameters)
        parameters = [p - rate * gradient for p, gradient in zip(parameters, gradients, strict=True)]
        return float(loss)

    return Training(step, lambda: parameters)
