"""The step in PyTorch, eager and compiled; and its matrix products alone."""

from __future__ import annotations

import os

import torch
from torch.nn import functional

from . import Problem, Training


def _given(problem: Problem) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    parameters = [torch.from_numpy(array) for array in problem.start]
    return torch.from_numpy(problem.X), torch.from_numpy(problem.labels), parameters


def _loss(parameters: list[torch.Tensor], X: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    w1, b1, w2, b2 = parameters
    hidden = torch.relu(torch.addmm(b1, X, w1))
    return functional.cross_entropy(torch.addmm(b2, hidden, w2), labels)


def eager(problem: Problem) -> Training:
    """Write the step in functions: with modules and an optimizer it takes longer where the arrays are small."""
    X, labels, parameters = _given(problem)
    for parameter in parameters:
        parameter.requires_grad_()

    def step() -> float:
        loss = _loss(parameters, X, labels)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=problem.rate)
        return loss.item()

    return Training(step, lambda: [parameter.detach().numpy().copy() for parameter in parameters])


def compiled(problem: Problem) -> Training:
    """Compile the whole step, gradient and update in it, as one graph."""
    X, labels, parameters = _given(problem)
    rate = problem.rate

    @torch.compile(fullgraph=True)
    def advanced(
        parameters: list[torch.Tensor], X: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        gradients, loss = torch.func.grad_and_value(_loss)(parameters, X, labels)
        return loss, [p - rate * gradient for p, gradient in zip(parameters, gradients, strict=True)]

    def step() -> float:
        nonlocal parameters
        loss, parameters = advanced(parameters, X, labels)
        return float(loss.item())

    return Training(step, lambda: [parameter.numpy() for parameter in parameters])


def products(problem: Problem) -> Training:
    """Compute nothing but the five matrix products of the step: no step that multiplies with PyTorch is faster."""
    X, labels, parameters = _given(problem)
    w1, _, w2, b2 = parameters
    h, z = X @ w1, X.new_zeros(len(labels), len(b2))
    dh, dw1, dw2 = torch.zeros_like(h), torch.empty_like(w1), torch.empty_like(w2)

    def step() -> float:
        torch.mm(X, w1, out=h)
        torch.mm(h, w2, out=z)
        torch.mm(h.T, z, out=dw2)
        torch.mm(z, w2.T, out=dh)
        torch.mm(X.T, dh, out=dw1)
        return 0.0

    return Training(step, lambda: [parameter.numpy() for parameter in parameters])
