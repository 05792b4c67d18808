"""Write torch_adaptive.json: more of PyTorch's optimizers on the problem of make_torch_optimizers.py, and L-BFGS.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_adaptive.py``.

L-BFGS does not take turns with the batches: its loss is that of all of them. A line search is done in one step of
PyTorch's, however often it evaluates the loss; `evaluations` counts. Where a loss is not convex, rounding grows from
iteration to iteration: `sure` is the number of iterations that PyTorch itself repeats to 1e-11 from a start which is
one rounding away.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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
SEARCH = {"line_search_fn": "strong_wolfe"}


Problem = tuple[list[torch.Tensor], Callable[[], torch.Tensor]]


def network(given: dict[str, Any], far: float) -> Problem:
    tensors = {k: torch.tensor(given[k]) for k in given}
    w, b, v, s = parameters = [(tensors[k] * far).requires_grad_() for k in "wbvs"]
    x, y = tensors["x"].reshape(-1, 2), tensors["y"].reshape(-1)
    return parameters, lambda: ((torch.tanh(x @ w + b) @ v * s + torch.sin(s) - y) ** 2).mean()


def bowl(given: dict[str, Any], far: float) -> Problem:
    """Return a logistic regression on features of different sizes: it is convex."""
    x, y = torch.tensor(given["x"]).reshape(-1, 2), torch.tensor(given["y"]).reshape(-1)
    features = torch.cat([x, x**2, 5 * x[:, :1] * x[:, 1:]], 1)
    p = (torch.tensor([3.0, -1.0, 0.5, 2.0, -2.0]) * far).requires_grad_()
    zero = torch.zeros(())  # softplus is linear beyond 20 in PyTorch, which is 2e-9 off
    return [p], lambda: torch.logaddexp(zero, -torch.sign(y) * (features @ p)).mean() + 0.05 * (p**2).sum()


def valley(given: dict[str, Any], far: float) -> Problem:
    """Return Rosenbrock's function: a search has to turn there, and to go back."""
    p = (torch.tensor([-1.2, 1.0, 0.7]) * far).requires_grad_()
    return [p], lambda: (100 * (p[1:] - p[:-1] ** 2) ** 2 + (1 - p[:-1]) ** 2).sum()


LBFGS_CASES: dict[str, tuple[Callable[[dict[str, Any], float], Problem], dict[str, Any]]] = {
    "bowl": (bowl, {"lr": 0.5, "history_size": 10}),
    "bowl_short": (bowl, {"lr": 0.3, "history_size": 3}),
    "bowl_search": (bowl, {"history_size": 10, **SEARCH}),
    "bowl_search_short": (bowl, {"lr": 0.1, "history_size": 2, **SEARCH}),
    "network": (network, {"lr": 0.3, "history_size": 10}),
    "network_search": (network, {"history_size": 10, **SEARCH}),
    "network_search_short": (network, {"lr": 0.1, "history_size": 2, **SEARCH}),
    "bowl_schedule": (bowl, {"lr": 0.8, "history_size": 10, "every": 3}),
    "bowl_search_schedule": (bowl, {"lr": 0.3, "history_size": 10, "every": 5, **SEARCH}),
    "valley_search": (valley, {"history_size": 10, **SEARCH}),
    "valley_search_short": (valley, {"lr": 0.1, "history_size": 2, **SEARCH}),
}


def searched(given: dict[str, Any], make: Any, settings: dict[str, Any], far: float = 1.0) -> dict[str, Any]:
    parameters, loss_of = make(given, far)
    every = settings.get("every", STEPS)  # after so many iterations the rate is halved
    others = {name: value for name, value in settings.items() if name != "every"}
    optimizer = LBFGS(parameters, max_iter=1, max_eval=1000, **{"lr": 1.0, **others})
    scheduler = schedulers.StepLR(optimizer, step_size=every, gamma=0.5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    history: dict[str, Any] = {"at": [], "evaluations": []}
    for _ in range(STEPS):
        optimizer.step(closure)
        scheduler.step()
        history["at"].append(np.concatenate([p.detach().numpy().ravel() for p in parameters]).tolist())
        history["evaluations"].append(optimizer.state[parameters[0]]["func_evals"])
    if far == 1.0:
        other = searched(given, make, settings, 1 + 2.0**-52)["at"]
        near = [np.allclose(a, b, rtol=1e-11, atol=1e-13) for a, b in zip(history["at"], other, strict=True)]
        history["sure"] = [*near, False].index(False)
    return history


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)  # in which NAdam keeps the product of its momenta
    given = problem()
    cases = {name: trained(given, case) for name, case in CASES.items()}
    for name, (make, settings) in LBFGS_CASES.items():
        cases[f"lbfgs_{name}"] = searched(given, make, settings)
    path = Path(__file__).with_name("torch_adaptive.json")
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    head = json.dumps({"torch": torch.__version__, "problem": given})[:-1]
    path.write_text(f'{head}, "cases": {{\n{body}\n}}}}\n', encoding="utf-8")
