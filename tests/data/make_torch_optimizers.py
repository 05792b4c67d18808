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
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

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
        "overflows": [6, 7, 30],
    }


Make = Callable[[list[torch.Tensor]], Optimizer]
Schedule = Callable[[Optimizer], schedulers.LRScheduler]


def warmed_up(optimizer: Optimizer) -> schedulers.LRScheduler:
    rise = schedulers.LinearLR(optimizer, start_factor=1 / 8, total_iters=7)
    fall = schedulers.CosineAnnealingLR(optimizer, T_max=42, eta_min=0.01)
    return schedulers.SequentialLR(optimizer, [rise, fall], milestones=[8])


def joined(optimizer: Optimizer) -> schedulers.LRScheduler:
    parts = [schedulers.ConstantLR(optimizer, 0.5, 10**6), schedulers.ExponentialLR(optimizer, gamma=0.9)]
    return schedulers.SequentialLR(
        optimizer, [*parts, schedulers.ConstantLR(optimizer, 0.1, 10**6)], milestones=[10, 35]
    )


class Case(NamedTuple):
    """How the parameters are trained.

    Attributes
    ----------
    make, schedule, clip
        The optimizer, its schedule, and the clipping of gradients.
    every : int
        The parameters are updated in every `every`-th step, by the mean gradient of the steps.
    average : dict, optional
        Settings of an average of the parameters, whose values are recorded in place of those of the parameters.
    scaler : dict, optional
        Settings of a `GradScaler`. In some steps the loss overflows.
    """

    make: Make
    schedule: Schedule | None = None
    clip: Callable[[list[torch.Tensor]], Any] | None = None
    every: int = 1
    average: dict[str, Any] | None = None
    scaler: dict[str, Any] | None = None


CASES: dict[str, Case] = {
    "sgd": Case(lambda p: SGD(p, lr=0.1)),
    "sgd_decay": Case(lambda p: SGD(p, lr=0.1, weight_decay=0.01)),
    "sgd_momentum": Case(lambda p: SGD(p, lr=0.05, momentum=0.9)),
    "sgd_momentum_decay": Case(lambda p: SGD(p, lr=0.05, momentum=0.8, weight_decay=0.05)),
    "sgd_nesterov": Case(lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    "sgd_nesterov_decay": Case(lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02)),
    "adam": Case(lambda p: Adam(p, lr=0.02)),
    "adam_settings": Case(lambda p: Adam(p, lr=0.05, betas=(0.8, 0.95), eps=0.001)),
    "adam_decay": Case(lambda p: Adam(p, lr=0.02, weight_decay=0.1)),
    "adamw": Case(lambda p: AdamW(p, lr=0.02)),
    "adamw_decay": Case(lambda p: AdamW(p, lr=0.02, weight_decay=0.2)),
    "rmsprop": Case(lambda p: RMSprop(p, lr=0.01)),
    "rmsprop_settings": Case(lambda p: RMSprop(p, lr=0.01, alpha=0.9, eps=0.0001, weight_decay=0.01)),
    "rmsprop_momentum": Case(lambda p: RMSprop(p, lr=0.005, momentum=0.7)),
    "rmsprop_centered": Case(lambda p: RMSprop(p, lr=0.005, centered=True)),
    "rmsprop_all": Case(lambda p: RMSprop(p, lr=0.002, alpha=0.95, momentum=0.5, centered=True, weight_decay=0.01)),
    "adagrad": Case(lambda p: Adagrad(p, lr=0.1)),
    "adagrad_settings": Case(lambda p: Adagrad(p, lr=0.1, initial_accumulator_value=0.1, eps=1e-06, weight_decay=0.01)),
    "clip_norm": Case(lambda p: SGD(p, lr=0.2, momentum=0.5), clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5)),
    "clip_value": Case(lambda p: Adam(p, lr=0.02), clip=lambda p: torch.nn.utils.clip_grad_value_(p, 0.1)),
    "clip_both": Case(
        lambda p: SGD(p, lr=0.2),
        clip=lambda p: (torch.nn.utils.clip_grad_value_(p, 0.3), torch.nn.utils.clip_grad_norm_(p, 0.4)),
    ),
    "step_decay": Case(lambda p: SGD(p, lr=0.2), schedule=lambda o: schedulers.StepLR(o, step_size=12, gamma=0.5)),
    "cosine": Case(
        lambda p: SGD(p, lr=0.2, momentum=0.5),
        schedule=lambda o: schedulers.CosineAnnealingLR(o, T_max=50, eta_min=0.02),
    ),
    "warmup": Case(
        lambda p: Adam(p, lr=0.05), schedule=lambda o: schedulers.LinearLR(o, start_factor=1 / 10, total_iters=9)
    ),
    "warmup_cosine": Case(lambda p: AdamW(p, lr=0.05), schedule=warmed_up),
    "exponential": Case(lambda p: SGD(p, lr=0.2), schedule=lambda o: schedulers.ExponentialLR(o, gamma=0.95)),
    "linear": Case(
        lambda p: SGD(p, lr=0.2),
        schedule=lambda o: schedulers.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=30),
    ),
    "polynomial": Case(
        lambda p: SGD(p, lr=0.2), schedule=lambda o: schedulers.PolynomialLR(o, total_iters=40, power=2.0)
    ),
    "multi_step": Case(
        lambda p: SGD(p, lr=0.2), schedule=lambda o: schedulers.MultiStepLR(o, milestones=[10, 25, 40], gamma=0.3)
    ),
    "one_cycle": Case(
        lambda p: SGD(p, lr=0.2),
        schedule=lambda o: schedulers.OneCycleLR(o, max_lr=0.3, total_steps=50, cycle_momentum=False),
    ),
    "one_cycle_settings": Case(
        lambda p: Adam(p, lr=0.2),
        schedule=lambda o: schedulers.OneCycleLR(
            o, max_lr=0.05, total_steps=60, pct_start=0.25, div_factor=10.0, final_div_factor=50.0, cycle_momentum=False
        ),
    ),
    "restarts": Case(
        lambda p: SGD(p, lr=0.2), schedule=lambda o: schedulers.CosineAnnealingWarmRestarts(o, T_0=12, eta_min=0.01)
    ),
    "piecewise": Case(lambda p: SGD(p, lr=0.2), schedule=joined),
    "groups": Case(
        lambda p: SGD(
            [{"params": p[:2]}, {"params": p[2], "lr": 0.05, "momentum": 0.9}, {"params": p[3], "weight_decay": 0.1}],
            lr=0.1,
        )
    ),
    "groups_clipped": Case(
        lambda p: AdamW(
            [
                {"params": [p[0], p[2]], "weight_decay": 0.2},
                {"params": [p[1], p[3]], "weight_decay": 0.0, "betas": (0.8, 0.99)},
            ],
            lr=0.02,
        ),
        clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5),
    ),
    "groups_scheduled": Case(
        lambda p: Adam([{"params": p[:3], "lr": 0.05}, {"params": p[3], "lr": 0.02}]),
        schedule=lambda o: schedulers.StepLR(o, step_size=12, gamma=0.5),
    ),
    "groups_frozen": Case(
        lambda p: SGD([p[0], p[1].requires_grad_(False), p[2], p[3]], lr=0.2),
        clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5),
    ),
    "accumulate": Case(lambda p: SGD(p, lr=0.2, momentum=0.5), every=4),
    "accumulate_all": Case(
        lambda p: AdamW(p, lr=0.05),
        every=3,
        schedule=lambda o: schedulers.StepLR(o, step_size=4, gamma=0.5),
        clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5),
    ),
    "ema": Case(lambda p: SGD(p, lr=0.1), average={"multi_avg_fn": get_ema_multi_avg_fn(0.9)}),
    "ema_accumulate": Case(lambda p: Adam(p, lr=0.05), every=4, average={"multi_avg_fn": get_ema_multi_avg_fn(0.8)}),
    "swa": Case(lambda p: SGD(p, lr=0.2, momentum=0.5), average={}),
    "scaled": Case(lambda p: SGD(p, lr=0.1, momentum=0.5), scaler={"growth_interval": 5}),
    "scaled_all": Case(
        lambda p: AdamW(p, lr=0.02),
        every=2,
        scaler={"init_scale": 8.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2},
        clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5),
    ),
}


def trained(given: dict[str, Any], case: Case) -> dict[str, list[Any]]:
    tensors = {k: torch.tensor(given[k], dtype=torch.float64) for k in given}
    module = torch.nn.ParameterDict({k: torch.nn.Parameter(tensors[k]) for k in "wbvs"})
    w, b, v, s = parameters = [module[k] for k in "wbvs"]
    optimizer = case.make(parameters)
    scheduler = case.schedule(optimizer) if case.schedule is not None else None
    average = None if case.average is None else AveragedModel(module, **case.average)
    scaler = torch.amp.GradScaler("cpu", **case.scaler or {}, enabled=case.scaler is not None)
    history: dict[str, list[Any]] = {name: [] for name in ("wbvs" if case.scaler is None else [*"wbvs", "scale"])}
    for step in range(STEPS):
        x, y = tensors["x"][step % 4], tensors["y"][step % 4]
        if case.scaler is not None and step in given["overflows"]:
            y = y + math.inf
        loss = ((torch.tanh(x @ w + b) @ v * s + torch.sin(s) - y) ** 2).mean()
        scaler.scale(loss / case.every).backward()
        if step == 0:
            assert not w.grad.any()
            assert b.grad is None or not b.grad.any()
        if step % case.every == case.every - 1:
            scaler.unscale_(optimizer)
            if case.clip is not None:
                case.clip(parameters)
            scaler.step(optimizer)
            scaler.update()
            if scheduler is not None:
                scheduler.step()
            if average is not None:
                average.update_parameters(module)
            optimizer.zero_grad()
        shown = module if average is None else average.module
        for name in "wbvs":
            history[name].append(_rounded(shown[name].tolist()))
        if case.scaler is not None:
            history["scale"].append(scaler.get_scale())
    return history


def _rounded(value: Any) -> Any:
    """Return numbers with 14 digits: more than the tests ask for."""
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    assert math.isfinite(value)
    return float(f"{value:.14g}")


if __name__ == "__main__":
    given = problem()
    cases = {name: trained(given, case) for name, case in CASES.items()}
    path = Path(__file__).with_name("torch_optimizers.json")
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    head = json.dumps({"torch": torch.__version__, "problem": given})[:-1]
    path.write_text(f'{head}, "cases": {{\n{body}\n}}}}\n', encoding="utf-8")
