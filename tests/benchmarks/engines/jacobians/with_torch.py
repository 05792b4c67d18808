"""The derivatives by torch.func, each in the mode with fewer rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from . import Function, training

if TYPE_CHECKING:
    from .. import Array, Training


def eager(function: Function) -> Training:
    """Return the derivatives."""
    x, labels = torch.from_numpy(function.x), torch.from_numpy(function.labels)
    weights = tuple(torch.from_numpy(each) for each in function.parameters)
    places = tuple(range(len(weights)))

    def loss(*weights: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(_logits(x, *weights), labels)

    def of_one(*given: torch.Tensor) -> torch.Tensor:
        *weights, row, label = given
        return functional.cross_entropy(_logits(row[None], *weights), label[None])

    taken: Any = {
        "input": lambda: torch.func.jacrev(_logits)(x, *weights),
        "weights": lambda: torch.func.jacrev(lambda *w: _logits(x, *w), places)(*weights),
        "hessian": lambda: torch.func.hessian(loss, places)(*weights),
        "samples": lambda: torch.func.vmap(torch.func.grad(of_one, places), (*[None] * len(weights), 0, 0))(
            *weights, x, labels
        ),
        "kernel": lambda: torch.func.jacfwd(lambda w: functional.conv2d(x, w))(*weights),
    }[function.kind]
    return training(lambda: _arrays(taken()))


def _logits(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
    for i in range(0, len(weights), 2):
        x = (torch.tanh(x) if i else x) @ weights[i] + weights[i + 1]
    return x


def _arrays(found: Any) -> list[Array]:
    return [found.numpy()] if isinstance(found, torch.Tensor) else [array for each in found for array in _arrays(each)]
