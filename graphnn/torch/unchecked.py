"""Functions of PyTorch that look at data only to refuse them, which an export cannot: while it runs, they do not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unchecked(torch: Any) -> Iterator[None]:
    """Have the loss of normally distributed numbers not look for negative variances."""
    functional = torch.nn.functional
    before = functional.gaussian_nll_loss

    def gaussian_nll_loss(
        input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
    ) -> Any:
        if not isinstance(var, torch.Tensor):
            return before(input, target, var, full, eps, reduction)
        if var.ndim == input.ndim - 1:
            var = var.unsqueeze(-1)
        # The bound moves the number, and lets the gradient pass.
        var = var + (var.clamp(min=eps) - var).detach()
        found = 0.5 * (torch.log(var) + (input - target) ** 2 / var)
        found = found + 0.5 * math.log(2 * math.pi) if full else found
        return found.mean() if reduction == "mean" else found.sum() if reduction == "sum" else found

    functional.gaussian_nll_loss = gaussian_nll_loss
    try:
        yield
    finally:
        functional.gaussian_nll_loss = before
