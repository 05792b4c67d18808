"""Whole matrices of derivatives: Jacobians of a network and of a convolution, and a Hessian.

A module for each engine. Its function takes a `Function`, and returns a `Training` whose step computes all derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count, pairwise
from typing import NamedTuple

import numpy as np

from .. import Array, Engine, Training

CHECKED = 3
"""How many steps tell a figure of what they have computed."""


class Function(NamedTuple):
    """What is differentiated: its kind, the parameters, the input, and the labels of its rows.

    The kinds are "input", "weights", "hessian" and "samples" (a gradient for each) of a network of tanh, and "kernel"
    of a convolution.
    """

    kind: str
    parameters: list[Array]
    x: Array
    labels: Array


def network(kind: str, sizes: Sequence[int], rows: int, dtype: str) -> Function:
    """Return a network of layers of these sizes."""
    rng = np.random.default_rng(0)
    parameters = []
    for inputs, units in pairwise(sizes):
        parameters += [rng.standard_normal((inputs, units)) * inputs**-0.5, rng.standard_normal(units) * 0.1]
    x, labels = rng.standard_normal((rows, sizes[0])), rng.integers(0, sizes[-1], rows)
    return Function(kind, [each.astype(dtype) for each in parameters], x.astype(dtype), labels)


def convolution(dtype: str, images: int = 4, channels: int = 3, filters: int = 8, size: int = 16) -> Function:
    """Return a convolution of images by kernels of 3×3."""
    rng = np.random.default_rng(0)
    kernel, x = rng.standard_normal((filters, channels, 3, 3)), rng.standard_normal((images, channels, size, size))
    return Function("kernel", [kernel.astype(dtype)], x.astype(dtype), np.zeros(0, np.int64))


def training(compute: Callable[[], Sequence[Array]]) -> Training:
    """Return a step that computes derivatives, and tells a figure of them in the first steps, where it is compared."""
    calls = count()

    def step() -> float:
        blocks = compute()
        return figure(blocks) if next(calls) < CHECKED else 0.0

    return Training(step, list)


def figure(blocks: Sequence[Array]) -> float:
    """Return one number that depends on every element and its place."""
    flat = np.concatenate([np.asarray(block, np.float64).reshape(-1) for block in blocks])
    return float(np.sqrt(np.mean(flat**2)) + np.mean(flat * np.cos(np.arange(flat.size))))


FUNCTIONS: Mapping[str, tuple[str, Callable[[str], Function]]] = {
    "input": ("160 outputs by 512 inputs", partial(network, "input", (32, 64, 64, 10), 16)),
    "weights": ("160 outputs by 6,922 weights", partial(network, "weights", (32, 64, 64, 10), 16)),
    "hessian": ("Hessian by 212 weights", partial(network, "hessian", (8, 16, 4), 32)),
    "samples": ("gradients of 64 samples by 6,922 weights", partial(network, "samples", (32, 64, 64, 10), 64)),
    "kernel": ("convolution, 6,272 outputs by 216 weights", convolution),
}

ENGINES: dict[str, Engine] = {
    "interpreter": Engine("graphnn, interpreter", "jacobians.with_graphnn:interpreted"),
    "plan": Engine("graphnn, plan", "jacobians.with_graphnn:planned"),
    "native": Engine("graphnn, native", "jacobians.with_graphnn:native", "llvmlite"),
    "torch": Engine("PyTorch, `torch.func`", "jacobians.with_torch:eager", "torch"),
    "jax": Engine("JAX, `jit`", "jacobians.with_jax:jitted", "jax"),
}
