"""Write torch_jacobians.npz: Jacobians, Hessians and their products with vectors, as torch.func computes them.

Needs PyTorch, which the tests do not: ``pip install torch``, then ``python tests/data/make_torch_jacobians.py``.

Everything is in float64. An entry is called ``case/what``: ``in0`` and so on are the operands; ``y0`` is the Jacobian
of the result by the operand 0, ``h01`` the Hessian of the loss by the operands 0 and 1, and ``v0`` its product with the
vectors ``u0`` and so on, at the operand 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

Tensor = torch.Tensor


def perceptron(x: Tensor, w: Tensor, b: Tensor, out: Tensor) -> Tensor:
    return torch.tanh(x @ w + b) @ out


def normalized(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return a layer norm, by hand: of PyTorch 2.13's own, torch.func gives a Hessian that is not symmetric."""
    centered = x - x.mean(-1, keepdim=True)
    return centered / torch.sqrt((centered**2).mean(-1, keepdim=True) + 1e-5) * weight + bias


def convolved(x: Tensor, kernel: Tensor) -> Tensor:
    return functional.conv2d(x, kernel, stride=2, padding=1)


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return torch.softmax(query @ key.mT / 2, -1) @ value


LABELS = [2, 0, 1]
CASES: dict[str, tuple[Any, list[tuple[int, ...]], Any]] = {
    "perceptron": (
        perceptron,
        [(3, 2), (2, 4), (4,), (4, 3)],
        lambda y: functional.cross_entropy(y, torch.tensor(LABELS)),
    ),
    "crossentropy": (lambda x: functional.log_softmax(x, -1), [(3, 4)], lambda y: -y[torch.arange(3), LABELS].mean()),
    "layer_norm": (normalized, [(2, 4), (4,), (4,)], lambda y: (y**3).sum()),
    "convolution": (convolved, [(2, 2, 3, 3), (2, 2, 2, 2)], lambda y: torch.sigmoid(y).sum()),
    "attention": (attended, [(2, 3, 4), (2, 3, 4), (2, 3, 2)], lambda y: (y**2).mean()),
}


def main() -> None:
    """Write the file."""
    found: dict[str, Any] = {}
    for number, (case, (result, shapes, loss)) in enumerate(CASES.items()):
        rng = np.random.default_rng(number)
        operands = [rng.normal(size=shape) for shape in shapes]
        vectors = [rng.normal(size=shape) for shape in shapes]
        given = tuple(map(torch.tensor, operands))
        places = tuple(range(len(given)))

        def scalar(*x: Tensor, result: Any = result, loss: Any = loss) -> Tensor:
            return loss(result(*x))

        jacobians = torch.func.jacrev(result, places)(*given)
        hessians = torch.func.hessian(scalar, places)(*given)
        _, products = torch.func.jvp(torch.func.grad(scalar, places), given, tuple(map(torch.tensor, vectors)))
        for i in places:
            found |= {f"{case}/in{i}": operands[i], f"{case}/u{i}": vectors[i]}
            found |= {f"{case}/y{i}": jacobians[i].numpy(), f"{case}/v{i}": products[i].numpy()}
            found |= {f"{case}/h{i}{j}": hessians[i][j].numpy() for j in places}
    np.savez_compressed(Path(__file__).with_name("torch_jacobians.npz"), **found)


if __name__ == "__main__":
    main()
