"""Write torch_layers.npz: what PyTorch's layers compute, their gradients, and their weights after 50 steps of SGD.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_layers.py``.

Everything is in float64. The weights and the inputs of each case are random. The loss is the mean square of the
difference between the results and random targets, added up over the results.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS, RATE = 50, 0.05

Case = tuple[Callable[[], nn.Module], list[Any], Callable[..., Any]]


def normal(*shape: int) -> Any:
    return lambda rng: rng.normal(size=shape)


def plainly(module: nn.Module, *inputs: torch.Tensor) -> Any:
    return module(*inputs)


CASES: dict[str, Case] = {
    "batch_norm": (lambda: nn.BatchNorm1d(3), [normal(5, 3)], plainly),
    "batch_norm_2d": (lambda: nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), [normal(4, 3, 2, 2)], plainly),
    "layer_norm": (lambda: nn.LayerNorm(4), [normal(3, 2, 4)], plainly),
    "layer_norm_2": (lambda: nn.LayerNorm([2, 4], eps=1e-3), [normal(3, 2, 4)], plainly),
    "group_norm": (lambda: nn.GroupNorm(2, 4), [normal(3, 4, 2, 3)], plainly),
    "group_norm_flat": (lambda: nn.GroupNorm(2, 4), [normal(3, 4)], plainly),
    "rms_norm": (lambda: nn.RMSNorm(4), [normal(3, 4)], plainly),
    "instance_norm": (lambda: nn.InstanceNorm2d(3), [normal(2, 3, 3, 2)], plainly),
    "instance_norm_weighted": (lambda: nn.InstanceNorm1d(3, affine=True), [normal(2, 3, 5)], plainly),
}


def figures(name: str, case: Case) -> dict[str, Any]:
    """Return all arrays of a case, under its name."""
    make, draws, call = case
    rng = np.random.default_rng(sum(map(ord, name)))
    torch.manual_seed(0)
    module = make().to(torch.float64)
    for parameter in module.parameters():
        parameter.data = torch.tensor(rng.normal(size=parameter.shape) * 0.5)
    inputs = [torch.tensor(draw(rng)) for draw in draws]
    for each in inputs:
        each.requires_grad_(each.is_floating_point())
    found: dict[str, Any] = {f"in/{i}": each for i, each in enumerate(inputs)}
    found |= {f"state/{key}": value.clone() for key, value in module.state_dict().items()}
    targets: list[torch.Tensor] = []
    for step in range(STEPS):
        results = call(module, *inputs)
        results = results if isinstance(results, tuple) else (results,)
        targets = targets or [torch.tensor(rng.normal(size=result.shape)) for result in results]
        loss = sum(((result - target) ** 2).mean() for result, target in zip(results, targets, strict=True))
        leaves = [*inputs, *module.parameters()]
        for leaf in leaves:
            leaf.grad = None
        if any(leaf.requires_grad for leaf in leaves):
            loss.backward()
        if step == 0:
            found |= {f"out/{i}": each for i, each in enumerate(results)}
            found |= {f"target/{i}": each for i, each in enumerate(targets)}
            found |= {f"slope/{i}": each.grad for i, each in enumerate(inputs) if each.grad is not None}
            found |= {f"grad/{key}": each.grad.clone() for key, each in module.named_parameters()}
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= RATE * parameter.grad
    found |= {f"after/{key}": value for key, value in module.state_dict().items()}
    module.eval()
    results = call(module, *inputs)
    found["evaluated"] = results[0] if isinstance(results, tuple) else results
    return {f"{name}/{key}": value.detach().numpy() for key, value in found.items()}


if __name__ == "__main__":
    arrays: dict[str, Any] = {}
    for name, case in CASES.items():
        arrays |= figures(name, case)
    np.savez_compressed(Path(__file__).with_name("torch_layers.npz"), **arrays)
