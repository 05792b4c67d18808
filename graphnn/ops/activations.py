"""Activation functions, as one operation each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..core import Array, Node, Trait, fn
from .base import into
from .elementwise import Elementwise, by_precision, floats
from .erf import normal, normal_single


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)), without overflow on either side."""

    traits = Trait.UNDERFLOWS | Trait.FADES | Trait.SATURATES | Trait.ACTIVATES
    bounds = (0, 1)
    like = np.exp
    formula = "sigmoid({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return _sigmoid(floats(x), out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (output * (1 - output))


def _sigmoid(x: Array, out: Array | None = None) -> Any:
    e = np.exp(-np.abs(x))
    return np.divide(np.maximum(e, (x >= 0).astype(x.dtype)), 1 + e, out=out)  # which is faster than `where`


class Softplus(Elementwise):
    """log(1 + exp(x)), without overflow."""

    traits = Trait.UNDERFLOWS | Trait.FADES | Trait.ACTIVATES
    bounds = (0, math.inf)
    like = np.exp
    formula = "softplus({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.add(np.maximum(x := floats(x), 0), np.log1p(np.exp(-np.abs(x))), out=out)  # faster than `logaddexp`

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * fn.sigmoid(inputs[0])


class Relu(Elementwise):
    """max(x, 0); the gradient at 0 is 0."""

    traits = Trait.HIDES | Trait.DIES | Trait.ACTIVATES
    bounds = (0, math.inf)
    like = np.negative
    formula = "max({0}, 0)"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        return np.maximum(x, 0, out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        # The output is above 0 where the operand is, and with it, nothing else needs the operand any more.
        return fn.where(fn.greater(output, 0), cotangent, 0.0)


class LeakyRelu(Elementwise):
    """x where x > 0, else negative_slope * x, which is also the gradient at 0."""

    traits = Trait.OVERFLOWS | Trait.HIDES | Trait.ACTIVATES
    negative_slope: float = 0.01
    like = np.exp
    formula = "leaky_relu({0}, {negative_slope})"
    trials = ((0.01,), (0.3,))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = floats(x)
        return into(out, np.where(x > 0, x, x * self.negative_slope))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return fn.where(fn.greater(inputs[0], 0), cotangent, cotangent * self.negative_slope)


class Elu(Elementwise):
    """x where x > 0, else alpha * (exp(x) - 1)."""

    traits = Trait.HIDES | Trait.ACTIVATES
    alpha: float = 1.0
    like = np.exp
    formula = "elu({0}, {alpha})"
    trials = ((1.0,), (0.5,))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = floats(x)
        return into(out, np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * self.alpha))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x = inputs[0]
        return cotangent * fn.where(fn.greater(x, 0), 1.0, fn.exp(fn.minimum(x, 0.0)) * self.alpha)


class Prelu(Elementwise):
    """x where x > 0, else slope * x, with a slope that can be learned."""

    traits = Trait.ACTIVATES
    like = np.divide
    formula = "prelu({0}, {1})"

    def forward(self, x: Array, slope: Array, out: Array | None = None) -> Any:
        return into(out, np.where(x > 0, x, np.multiply(x, slope, dtype=self.result_dtype(x.dtype, slope.dtype))))

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x, slope = inputs
        positive = fn.greater(x, 0)
        if i == 0:
            return fn.where(positive, cotangent, cotangent * slope)
        return fn.where(positive, 0.0, cotangent * x)

    def reads(self, index: tuple[int, ...], operands: Sequence[Array]) -> Sequence[Any]:
        x, slope = super().reads(index, operands)
        return (x, None) if operands[0][x] > 0 else (x, slope)


# (1 + tanh(u)) / 2 is sigmoid(2 u), which loses nothing where tanh(u) is nearly -1.
_LINEAR = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR


class Gelu(Elementwise):
    """x Φ(x), where Φ is the distribution function of the standard normal.

    By default exactly, by erf; approximately, and faster, with ``approximate="tanh"``:
    x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2.
    """

    traits = Trait.ACTIVATES
    approximate: Literal["none", "tanh"] = "none"
    like = np.exp
    formula = "gelu({0})"
    trials = (("none",), ("tanh",))

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = floats(x)
        if self.approximate == "tanh":
            return np.multiply(x, _sigmoid(x * (np.square(x) * _CUBIC + _LINEAR)), out=out)
        return np.multiply(x, by_precision(normal, normal_single, x), out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        x = inputs[0]
        if self.approximate == "tanh":
            square = fn.square(x)
            gate = fn.sigmoid(x * (square * _CUBIC + _LINEAR))
            return cotangent * (gate + x * (square * (3 * _CUBIC) + _LINEAR) * (gate * (1 - gate)))
        distribution = (fn.erf(x * math.sqrt(0.5)) + 1) * 0.5
        density = fn.exp(fn.square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
        return cotangent * (distribution + x * density)


class Silu(Elementwise):
    """x sigmoid(x)."""

    traits = Trait.ACTIVATES
    like = np.exp
    formula = "silu({0})"

    def forward(self, x: Array, out: Array | None = None) -> Any:
        x = floats(x)
        return np.multiply(x, _sigmoid(x), out=out)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        gate = fn.sigmoid(inputs[0])
        return cotangent * (gate + output * (1 - gate))
