"""Write torch_adaptive.json: more of PyTorch's optimizers on the problem of make_torch_optimizers.py, and L-BFGS.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_adaptive.py``.

L-BFGS does not take turns with the batches: its loss is that of all of them. A line search is done in one step of
PyTorch's, however often it evaluates the loss; `evaluations` counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_torch_optimizers import STEPS, Case, problem, trained
from torch.optim import LBFGS, Adafactor, NAdam
from torch.optim import lr_scheduler as schedulers

CASES = {
    "nadam": Case(lambda p: NAdam(p, lr=0.02)),
    "nadam_settings": Case(
        lambda p: NAdam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, momentum_decay=0.05)
    ),
    "nadam_decoupled": Case(
        lambda p: NAdam(p, lr=0.02, weight_decay=0.2, decoupled_weight_decay=True),
        schedule=lambda o: schedulers.StepLR(o, step_size=12, gamma=0.5),
    ),
    "adafactor": Case(lambda p: Adafactor(p)),
    "adafactor_settings": Case(
        lambda p: Adafactor(p, lr=0.3, beta2_decay=-0.5, eps=(1e-8, 0.1), d=1.2, weight_decay=0.05)
    ),
}
LBFGS_CASES: dict[str, dict[str, Any]] = {
    "fixed": {"lr": 0.3, "history_size": 10},
    "fixed_short": {"lr": 0.5, "history_size": 3},
    "search": {"history_size": 10, "line_search_fn": "strong_wolfe"},
    "search_short": {"lr": 0.1, "history_size": 2, "line_search_fn": "strong_wolfe"},
}


def network(given: dict[str, Any]) -> tuple[list[torch.Tensor], Any]:
    tensors = {k: torch.tensor(given[k]) for k in given}
    w, b, v, s = parameters = [tensors[k].requires_grad_() for k in "wbvs"]
    x, y = tensors["x"].reshape(-1, 2), tensors["y"].reshape(-1)
    return parameters, lambda: ((torch.tanh(x @ w + b) @ v * s + torch.sin(s) - y) ** 2).mean()


def valley() -> tuple[list[torch.Tensor], Any]:
    """Return Rosenbrock's function: a search has to turn there, and to go back."""
    p = torch.tensor([-1.2, 1.0, 0.7]).requires_grad_()
    return [p], lambda: (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


def searched(parameters: list[torch.Tensor], loss_of: Any, settings: dict[str, Any]) -> dict[str, list[Any]]:
    optimizer = LBFGS(parameters, max_iter=1, max_eval=1000, **{"lr": 1.0, **settings})

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    history: dict[str, list[Any]] = {"at": [], "evaluations": []}
    for _ in range(STEPS):
        optimizer.step(closure)
        history["at"].append(np.concatenate([p.detach().numpy().ravel() for p in parameters]).tolist())
        history["evaluations"].append(optimizer.state[parameters[0]]["func_evals"])
    return history


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)  # in which NAdam keeps the product of its momenta
    given = problem()
    cases = {name: trained(given, case) for name, case in CASES.items()}
    for name, settings in LBFGS_CASES.items():
        cases[f"lbfgs_{name}"] = searched(*network(given), settings)
        if "line_search_fn" in settings:
            cases[f"lbfgs_{name}_valley"] = searched(*valley(), settings)
    path = Path(__file__).with_name("torch_adaptive.json")
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    head = json.dumps({"torch": torch.__version__, "problem": given})[:-1]
    path.write_text(f'{head}, "cases": {{\n{body}\n}}}}\n', encoding="utf-8")
