"""Write torch_operations.json: gradients of operations of the first and second order, by PyTorch.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_operations.py``.

For each case: the operands, the cotangent c of the result, the cotangents d of the gradients; the result, its
gradients g of Σ c · result, and those of Σ d · g.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

rng = np.random.default_rng(11)


def between(lo: float, hi: float, *shape: int) -> list[Any]:
    return rng.uniform(lo, hi, shape).round(3).tolist()


SQUARE = [[4.0, 1.0, -0.5], [0.3, 3.0, 0.8], [-1.0, 0.5, 5.0]]
EVEN = [[4.0, 1.0, -0.5], [1.0, 3.0, 0.8], [-0.5, 0.8, 5.0]]
TIED = [[3.0, 1.0, 3.0, -2.0], [0.0, 0.0, 5.0, 1.0]]
PLACES = torch.tensor([[0, 2], [3, 1]])
REPEATED = torch.tensor([[0, 0, 2, 2, 1], [1, 1, 3, 1, 3]])
THREE = [[0, 0, 2, 2, 0], [1, 1, 3, 3, 3], [0, 0, 0, 1, 1]]


def multiplied(x: Tensor, v: Tensor) -> Tensor:
    """Multiply one by one, of which PyTorch knows all derivatives: scatter_reduce has none of second order at 0."""
    rows = [list(row) for row in x]
    for row, places, values in zip(rows, THREE, v, strict=True):
        for place, value in zip(places, values, strict=True):
            row[place] = row[place] * value
    return torch.stack([torch.stack(row) for row in rows])


def symmetric(x: Tensor) -> Tensor:
    return torch.linalg.cholesky((x + x.mT) / 2)


CASES: dict[str, tuple[Callable[..., Tensor], list[Any]]] = {
    "log2": (torch.log2, [between(0.2, 4, 5)]),
    "log10": (torch.log10, [between(0.2, 4, 5)]),
    "tan": (torch.tan, [between(-1.4, 1.4, 5)]),
    "arcsin": (torch.arcsin, [between(-0.95, 0.95, 5)]),
    "arccos": (torch.arccos, [between(-0.95, 0.95, 5)]),
    "arctan": (torch.arctan, [between(-4, 4, 5)]),
    "sinh": (torch.sinh, [between(-3, 3, 5)]),
    "cosh": (torch.cosh, [between(-3, 3, 5)]),
    "arcsinh": (torch.arcsinh, [between(-4, 4, 5)]),
    "arccosh": (torch.arccosh, [between(1.1, 5, 5)]),
    "arctanh": (torch.arctanh, [between(-0.95, 0.95, 5)]),
    "fmod": (torch.fmod, [[5.5, -5.5, 7.25, 1.0], [2.0, 2.0, -1.5, 3.0]]),
    "gelu": (torch.nn.functional.gelu, [between(-4, 4, 6)]),
    "gelu by tanh": (lambda x: torch.nn.functional.gelu(x, approximate="tanh"), [between(-4, 4, 6)]),
    "sigmoid": (torch.sigmoid, [[*between(-4, 4, 4), 0.0]]),
    "silu": (torch.nn.functional.silu, [[*between(-4, 4, 4), 0.0]]),
    "tril": (lambda x: torch.tril(x, 1), [between(-2, 2, 3, 4)]),
    "triu": (lambda x: torch.triu(x, -1), [between(-2, 2, 3, 4)]),
    "diag of a vector": (lambda x: torch.diag(x, 1) ** 2, [between(-2, 2, 3)]),
    "diag of a matrix": (lambda x: torch.diag(x, -1) ** 2, [between(-2, 2, 3, 4)]),
    "roll": (lambda x: torch.roll(x, (1, -2), (0, 1)) ** 3, [between(-2, 2, 3, 4)]),
    "sort": (lambda x: torch.sort(x, stable=True).values ** 2, [TIED]),
    "sort from the largest": (lambda x: torch.sort(x, stable=True, descending=True).values ** 2, [TIED]),
    "topk": (lambda x: torch.topk(x, 2, 0).values ** 3, [between(-2, 2, 4, 3)]),
    "cumprod": (lambda x: torch.cumprod(x, 1), [[[2.0, 0.0, 3.0, -1.5], [0.0, 1.5, 0.0, 2.0], [1.0, 2.0, 3.0, 4.0]]]),
    "gather_nd": (lambda x: x[PLACES[:, 0], PLACES[:, 1]] ** 2, [between(-2, 2, 4, 3, 2)]),
    "scatter_nd": (lambda x: torch.zeros(4, 3, dtype=x.dtype).index_put((PLACES[:, 0], PLACES[:, 1]), x, True) ** 3,
                   [between(-2, 2, 2)]),
    "put_along_axis": (lambda x, v: torch.scatter(x, 1, PLACES, v) ** 2, [between(-2, 2, 2, 4), between(-2, 2, 2, 2)]),
    "unbind": (lambda x: torch.stack([p * (i + 1) for i, p in enumerate(torch.unbind(x, 1))]) ** 3,
               [between(-2, 2, 2, 3)]),
    "inv": (torch.linalg.inv, [SQUARE]),
    "det": (torch.linalg.det, [[SQUARE, EVEN]]),
    "solve": (torch.linalg.solve, [SQUARE, between(-2, 2, 3, 2)]),
    "solve for a vector": (torch.linalg.solve, [SQUARE, between(-2, 2, 3)]),
    "cholesky": (symmetric, [EVEN]),
    "maximum_along_axis": (
        lambda x, v: x.scatter_reduce(1, REPEATED, v, "amax") ** 2,
        [[[2.0, 0.5, -1.0, 3.0], [1.5, 1.0, 2.5, -2.0]], [[2.0, 2.0, 7.0, 7.0, -3.0], [0.5, -3.0, 4.0, 1.0, 4.0]]],
    ),
    "minimum_along_axis": (
        lambda x, v: x.scatter_reduce(1, REPEATED, v, "amin") ** 2,
        [[[2.0, 0.5, -1.0, 3.0], [1.5, 1.0, 2.5, -2.0]], [[2.0, 2.0, -7.0, -7.0, -3.0], [0.5, 1.0, 4.0, 1.0, 0.5]]],
    ),
    "multiply_along_axis": (
        multiplied,
        [
            [[2.0, 0.5, -1.0, 3.0], [0.0, 1.0, 2.5, -2.0], [1.5, 1.0, 2.5, -2.0]],
            [[2.0, 0.0, 7.0, 1.5, -3.0], [0.5, -3.0, 0.0, 0.0, 4.0], [0.0, 0.0, 2.0, 0.0, 0.0]],
        ],
    ),
}  # fmt: skip


def figures(function: Callable[..., Tensor], operands: list[Any]) -> dict[str, Any]:
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in operands]
    result = function(*leaves)
    c = torch.tensor(rng.uniform(-2, 2, result.shape).round(3))
    first = torch.autograd.grad(result, leaves, c, create_graph=True)
    d = [torch.tensor(rng.uniform(-2, 2, x.shape).round(3)) for x in leaves]
    weighed = sum(((a * b).sum() for a, b in zip(first, d, strict=True)), torch.zeros((), dtype=torch.float64))
    second: Any = [None] * len(leaves)
    if weighed.requires_grad:
        second = torch.autograd.grad(weighed, leaves, allow_unused=True)
    second = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, second, strict=True)]
    return {
        "operands": operands,
        "c": c.tolist(),
        "d": [x.tolist() for x in d],
        "result": result.tolist(),
        "first": [g.tolist() for g in first],
        "second": [g.tolist() for g in second],
    }


def main() -> None:
    found = {name: figures(function, operands) for name, (function, operands) in CASES.items()}
    path = Path(__file__).with_name("torch_operations.json")
    path.write_text(json.dumps(found, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n", "utf-8")


if __name__ == "__main__":
    main()
