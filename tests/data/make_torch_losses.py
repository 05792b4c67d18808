"""Write torch_losses.json: PyTorch's losses of a few rows, and their gradients.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_losses.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

ROWS, CLASSES = 7, 4


def problem() -> dict[str, Any]:
    rng = np.random.default_rng(11)
    soft = rng.dirichlet(np.ones(CLASSES), ROWS).round(3)
    soft[0] = [0, 0.25, 0.75, 0]
    return {
        "a": (2 * rng.normal(size=(ROWS, CLASSES))).round(3).tolist(),
        "b": (2 * rng.normal(size=(ROWS, CLASSES))).round(3).tolist(),
        "c": (2 * rng.normal(size=(ROWS, CLASSES))).round(3).tolist(),
        "soft": soft.tolist(),
        "labels": rng.integers(0, CLASSES, ROWS).tolist(),
        "some": [2, -100, 0, 3, -100, 3, 1],
        "none": [-100] * ROWS,
        "answers": rng.integers(0, 2, (ROWS, CLASSES)).tolist(),
        "signs": (2 * rng.integers(0, 2, ROWS) - 1).tolist(),
        "each_sign": (2 * rng.integers(0, 2, (ROWS, CLASSES)) - 1).tolist(),
        "counts": rng.integers(0, 5, (ROWS, CLASSES)).tolist(),
        "weights": [0.5, 2.0, 1.25, 3.0],
    }


Case = tuple[Callable[..., torch.Tensor], str, dict[str, Any]]
"""A function of the tensors, those of them that get a gradient, and settings with which it is called."""


def cross_entropy(labels: str) -> Callable[..., torch.Tensor]:
    def loss(given: dict[str, torch.Tensor], weighted: bool = False, **settings: Any) -> torch.Tensor:
        return F.cross_entropy(given["a"], given[labels], given["weights"] if weighted else None, **settings)

    return loss


def between(function: Callable[..., torch.Tensor], *names: str) -> Callable[..., torch.Tensor]:
    return lambda given, **settings: function(*[given[name] for name in names], **settings)


def nll(given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    return F.nll_loss(F.log_softmax(given["a"], -1), given["some"], given["weights"], **settings)


def kl(given: dict[str, torch.Tensor], logs: bool, **settings: Any) -> torch.Tensor:
    target = F.log_softmax(given["b"], -1) if logs else given["soft"]
    return F.kl_div(F.log_softmax(given["a"], -1), target, log_target=logs, **settings)


def logistic(given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(given["a"], given["answers"], pos_weight=given["weights"], **settings)


def rates(given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    return F.poisson_nll_loss(given["a"].exp(), given["counts"], log_input=False, **settings)


CASES: dict[str, Case] = {
    "weights": (cross_entropy("labels"), "a", {"weighted": True}),
    "weights_sum": (cross_entropy("labels"), "a", {"weighted": True, "reduction": "sum"}),
    "weights_none": (cross_entropy("some"), "a", {"weighted": True, "reduction": "none"}),
    "ignore": (cross_entropy("some"), "a", {}),
    "ignore_class": (cross_entropy("labels"), "a", {"ignore_index": 3}),
    "ignore_all": (cross_entropy("none"), "a", {}),
    "smoothing": (cross_entropy("labels"), "a", {"label_smoothing": 0.1}),
    "smoothing_soft": (cross_entropy("soft"), "a", {"label_smoothing": 0.3}),
    "all": (cross_entropy("some"), "a", {"weighted": True, "label_smoothing": 0.2}),
    "all_none": (cross_entropy("some"), "a", {"weighted": True, "label_smoothing": 0.2, "reduction": "none"}),
    "soft_weights_sum": (
        cross_entropy("soft"),
        "a",
        {"weighted": True, "label_smoothing": 0.2, "reduction": "sum"},
    ),
    "nll": (nll, "a", {}),
    "kl": (kl, "a", {"logs": False, "reduction": "batchmean"}),
    "kl_logs": (kl, "ab", {"logs": True, "reduction": "batchmean"}),
    "positive_weight": (logistic, "a", {}),
    "huber": (between(F.huber_loss, "a", "b"), "ab", {"delta": 1.5}),
    "smooth_l1": (between(F.smooth_l1_loss, "a", "b"), "ab", {"beta": 0.5}),
    "l1": (between(F.smooth_l1_loss, "a", "b"), "ab", {"beta": 0.0}),
    "poisson": (between(F.poisson_nll_loss, "a", "counts"), "a", {}),
    "poisson_full": (between(F.poisson_nll_loss, "a", "counts"), "a", {"full": True}),
    "poisson_rates": (rates, "a", {}),
    "ranking": (between(F.margin_ranking_loss, "a", "b", "each_sign"), "ab", {"margin": 0.5}),
    "cosine": (between(F.cosine_embedding_loss, "a", "b", "signs"), "ab", {"margin": 0.1}),
    "triplet": (between(F.triplet_margin_loss, "a", "b", "c"), "abc", {}),
    "triplet_settings": (
        between(F.triplet_margin_loss, "a", "b", "c"),
        "abc",
        {"margin": 2.0, "p": 3.0, "swap": True, "reduction": "sum"},
    ),
}


def worked(given: dict[str, Any], function: Callable[..., torch.Tensor], wrt: str, settings: Any) -> dict[str, Any]:
    tensors = {
        name: torch.tensor(value, dtype=None if name in ("labels", "some", "none") else torch.float64)
        for name, value in given.items()
    }
    leaves = [tensors[name].requires_grad_() for name in wrt]
    loss = function(tensors, **settings)
    gradients = torch.autograd.grad(loss.sum(), leaves)
    value = loss.detach().tolist()
    return {
        "value": None if value != value else value,
        "gradients": {name: gradient.tolist() for name, gradient in zip(wrt, gradients, strict=True)},
    }


if __name__ == "__main__":
    given = problem()
    cases = {name: worked(given, *case) for name, case in CASES.items()}
    path = Path(__file__).with_name("torch_losses.json")
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in cases.items())
    head = json.dumps({"torch": torch.__version__, "problem": given})[:-1]
    path.write_text(f'{head}, "cases": {{\n{body}\n}}}}\n', encoding="utf-8")
