"""One training step, written for each engine: Dense → ReLU → Dense → softmax cross-entropy, and gradient descent.

A module for each engine, which it imports only when asked. Each function takes a `Problem` and returns a `Training`.
All of them do the same work: the whole batch forwards and backwards, every parameter one step down its gradient, and
the loss from before that step handed back as a Python float.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Problem(NamedTuple):
    """What is trained, and from where: data, the parameters at the start, and the learning rate."""

    X: Array
    labels: Array
    weight1: Array
    bias1: Array
    weight2: Array
    bias2: Array
    rate: float

    @property
    def start(self) -> list[Array]:
        """Copies of the parameters at the start."""
        return [array.copy() for array in (self.weight1, self.bias1, self.weight2, self.bias2)]


class Training(NamedTuple):
    """One engine at work: `step` makes one training step and returns its loss; `parameters` are as they are now."""

    step: Callable[[], float]
    parameters: Callable[[], list[Array]]


class Size(NamedTuple):
    """Rows, inputs, hidden units and classes."""

    rows: int
    inputs: int
    hidden: int
    classes: int

    def __str__(self) -> str:
        return f"{self.rows}×{self.inputs}→{self.hidden}→{self.classes}"


SIZES = {
    "T": Size(32, 2, 3, 3),
    "S": Size(300, 2, 64, 3),
    "M": Size(128, 784, 256, 10),
    "L": Size(2048, 784, 1024, 10),
}


def drawn(size: Size, dtype: str, seed: int = 0) -> Problem:
    """Return a problem of this size: normal inputs, labels at random, weights of variance 2/inputs and 1/hidden."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((size.rows, size.inputs)).astype(dtype)
    labels = rng.integers(0, size.classes, size.rows)
    return with_start(X, labels, size.hidden, size.classes, 0.1, rng)


def with_start(X: Array, labels: Array, hidden: int, classes: int, rate: float, rng: np.random.Generator) -> Problem:
    """Return the problem of these data, with parameters drawn to start from."""
    inputs, dtype = X.shape[1], X.dtype
    return Problem(
        X,
        labels,
        (rng.standard_normal((inputs, hidden)) * (2 / inputs) ** 0.5).astype(dtype),
        np.zeros(hidden, dtype),
        (rng.standard_normal((hidden, classes)) * (1 / hidden) ** 0.5).astype(dtype),
        np.zeros(classes, dtype),
        rate,
    )


class Engine(NamedTuple):
    """Where an engine's step is written, and what it needs.

    Attributes
    ----------
    label : str
    place : str
        ``"module:function"`` in this package.
    needs : str
        What has to be installed, and is imported by the same name; "" where the project itself will do.
    quick : bool
        Whether it takes part in the quick mode.
    trains : bool
        False of what is measured for comparison and has no loss to check.
    only : str
        What the names of the problems that it has begin with.
    """

    label: str
    place: str
    needs: str = ""
    quick: bool = False
    trains: bool = True
    only: str = ""

    def missing(self) -> str:
        """Return why it cannot run in this interpreter, "" if it can."""
        return f"{self.needs} is not installed" if self.needs and find_spec(self.needs) is None else ""

    def version(self) -> str:
        """Return the version of what it needs, "" if that is nothing or unknown."""
        try:
            return version(self.needs) if self.needs else ""
        except PackageNotFoundError:
            return ""

    def load(self) -> Callable[[Any], Training]:
        """Return the function that writes the step, with what it needs imported."""
        module, _, function = self.place.partition(":")
        found: Callable[[Any], Training] = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        return found


REFERENCE = "numpy"

ENGINES = {
    "numpy": Engine("NumPy, written by hand", "hand_written:plain", quick=True),
    "numpy-out": Engine("NumPy, planned by hand (`out=`)", "hand_written:planned", quick=True),
    "products": Engine("NumPy, the five products alone", "hand_written:products", trains=False),
    "interpreter": Engine("graphnn, interpreter", "with_graphnn:interpreted", quick=True),
    "plan": Engine("graphnn, plan", "with_graphnn:planned", quick=True),
    "plan-clipped": Engine("graphnn, plan, clipped loss", "with_graphnn:clipped"),
    "native": Engine("graphnn, native", "with_graphnn:native", "llvmlite", quick=True),
    "native-clipped": Engine("graphnn, native, clipped loss", "with_graphnn:native_clipped", "llvmlite"),
    "numba": Engine("Numba, loops fused by hand", "with_numba:fused", "numba"),
    "torch": Engine("PyTorch, eager", "with_torch:eager", "torch"),
    "torch-compile": Engine("PyTorch, `torch.compile`", "with_torch:compiled", "torch"),
    "torch-products": Engine("PyTorch, the five products alone", "with_torch:products", "torch", trains=False),
    "jax": Engine("JAX, `jit`", "with_jax:jitted", "jax"),
    "pytensor": Engine("PyTensor", "with_pytensor:compiled", "pytensor"),
    "autograd": Engine("HIPS autograd", "with_autograd:eager", "autograd", quick=True),
    "mygrad": Engine("MyGrad", "with_mygrad:eager", "mygrad"),
}
