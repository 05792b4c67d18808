"""Write torch_optimizers.json: what PyTorch's optimizers make of a small problem, step by step.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_optimizers.py``.

The problem has four parameters, from a matrix to a number, and four batches that take turns. `v` starts at zero, and
so the gradients of `w` and `b` are zero in the first step.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim import lr_scheduler as schedulers

STEPS = 50


def problem() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "x": rng.normal(size=(4, 5, 2)).round(3).tolist(),
        "y": rng.normal(size=(4, 5)).round(3).tolist(),
        "w": rng.normal(size=(2, 2)).round(3).tolist(),
        "b": [0.1, -0.2],
        "v": [0.0, 0.0],
        "s": 1.5,
    }


Make = Callable[[list[torch.Tensor]], Optimizer]
Schedule = Callable[[Optimizer], schedulers.LRScheduler]


def warmed_up(optimizer: Optimizer) -> schedulers.LRScheduler:
    rise = schedulers.LinearLR(optimizer, start_factor=1 / 8, total_iters=7)
    fall = schedulers.CosineAnnealingLR(optimizer, T_max=42, eta_min=0.01)
    return schedulers.SequentialLR(optimizer, [rise, fall], milestones=[8])


CASES: dict[str, tuple[Make, Schedule | None, Callable[[list[torch.Tensor]], Any] | None]] = {
    "sgd": (lambda p: SGD(p, lr=0.1), None, None),
    "sgd_decay": (lambda p: SGD(p, lr=0.1, weight_decay=0.01), None, None),
    "sgd_momentum": (lambda p: SGD(p, lr=0.05, momentum=0.9), None, None),
    "sgd_momentum_decay": (lambda p: SGD(p, lr=0.05, momentum=0.8, weight_decay=0.05), None, None),
    "sgd_nesterov": (lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True), None, None),
    "sgd_nesterov_decay": (lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02), None, None),
    "adam": (lambda p: Adam(p, lr=0.02), None, None),
    "adam_settings": (lambda p: Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3), None, None),
    "adam_decay": (lambda p: Adam(p, lr=0.02, weight_decay=0.1), None, None),
    "adamw": (lambda p: AdamW(p, lr=0.02), None, None),
    "adamw_decay": (lambda p: AdamW(p, lr=0.02, weight_decay=0.2), None, None),
    "rmsprop": (lambda p: RMSprop(p, lr=0.01), None, None),
    "rmsprop_settings": (lambda p: RMSprop(p, lr=0.01, alpha=0.9, eps=1e-4, weight_decay=0.01), None, None),
    "rmsprop_momentum": (lambda p: RMSprop(p, lr=0.005, momentum=0.7), None, None),
    "rmsprop_centered": (lambda p: RMSprop(p, lr=0.005, centered=True), None, None),
    "rmsprop_all": (
        lambda p: RMSprop(p, lr=0.002, alpha=0.95, momentum=0.5, centered=True, weight_decay=0.01),
        None,
        None,
    ),
    "adagrad": (lambda p: Adagrad(p, lr=0.1), None, None),
    "adagrad_settings": (
        lambda p: Adagrad(p, lr=0.1, initial_accumulator_value=0.1, eps=1e-6, weight_decay=0.01),
        None,
        None,
    ),
    "clip_norm": (
        lambda p: SGD(p, lr=0.2, momentum=0.5),
        None,
        lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5),
    ),
    "clip_value": (lambda p: Adam(p, lr=0.02), None, lambda p: torch.nn.utils.clip_grad_value_(p, 0.1)),
    "clip_both": (
        lambda p: SGD(p, lr=0.2),
        None,
        lambda p: (torch.nn.utils.clip_grad_value_(p, 0.3), torch.nn.utils.clip_grad_norm_(p, 0.4)),
    ),
    "step_decay": (lambda p: SGD(p, lr=0.2), lambda o: schedulers.StepLR(o, step_size=12, gamma=0.5), None),
    "cosine": (
        lambda p: SGD(p, lr=0.2, momentum=0.5),
        lambda o: schedulers.CosineAnnealingLR(o, T_max=50, eta_min=0.02),
        None,
    ),
    "warmup": (
        lambda p: Adam(p, lr=0.05),
        lambda o: schedulers.LinearLR(o, start_factor=1 / 10, total_iters=9),
        None,
    ),
    "warmup_cosine": (lambda p: AdamW(p, lr=0.05), warmed_up, None),
}


def trained(given: dict[str, Any], make: Make, schedule: Schedule | None, clip: Any) -> dict[str, list[Any]]:
    tensors = {k: torch.tensor(given[k], dtype=torch.float64) for k in given}
    w, b, v, s = parameters = [tensors[k].requires_grad_() for k in "wbvs"]
    optimizer = make(parameters)
    scheduler = schedule(optimizer) if schedule is not None else None
    history: dict[str, list[Any]] = {name: [] for name in "wbvs"}
    for step in range(STEPS):
        x, y = tensors["x"][step % 4], tensors["y"][step % 4]
        loss = ((torch.tanh(x @ w + b) @ v * s + torch.sin(s) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            assert not w.grad.any()
            assert not b.grad.any()
        if clip is not None:
            clip(parameters)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        for name, parameter in zip("wbvs", parameters, strict=True):
            history[name].append(_rounded(parameter.tolist()))
    return history


def _rounded(value: Any) -> Any:
    """Return numbers with 14 digits: more than the tests ask for."""
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    assert math.isfinite(value)
    return float(f"{value:.14g}")


if __name__ == "__main__":
    given = problem()
    cases = {name: trained(given, *case) for name, case in CASES.items()}
    path = Path(__file__).with_name("torch_optimizers.json")
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    head = json.dumps({"torch": torch.__version__, "problem": given})[:-1]
    path.write_text(f'{head}, "cases": {{\n{body}\n}}}}\n', encoding="utf-8")
