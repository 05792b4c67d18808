"""Trigonometric and hyperbolic functions, with their inverses, and logarithms of other bases."""

from __future__ import annotations

import math

import numpy as np

from ..core import Node, Trait, fn
from .elementwise import Elementwise


class Log2(Elementwise):
    """The logarithm to base 2; -inf at 0, where the gradient is inf."""

    forward = np.log2
    formula = "log2({0})"
    domain = ((0.2, 4.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / (inputs[0] * math.log(2))


class Log10(Elementwise):
    """The logarithm to base 10; -inf at 0, where the gradient is inf."""

    forward = np.log10
    formula = "log10({0})"
    domain = ((0.2, 4.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / (inputs[0] * math.log(10))


class Tan(Elementwise):
    """tan(x), in radians."""

    forward = np.tan
    formula = "tan({0})"
    domain = ((-1.2, 1.2),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * (fn.square(output) + 1)


class Arcsin(Elementwise):
    """The angle, from -π/2 to π/2, whose sine is x; NaN beyond ±1; there the gradient is inf."""

    forward = np.arcsin
    formula = "arcsin({0})"
    domain = ((-0.9, 0.9),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / fn.sqrt(1 - fn.square(inputs[0]))


class Arccos(Elementwise):
    """The angle, from 0 to π, whose cosine is x; NaN beyond ±1, where the gradient is -inf."""

    forward = np.arccos
    formula = "arccos({0})"
    domain = ((-0.9, 0.9),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return -(cotangent / fn.sqrt(1 - fn.square(inputs[0])))


class Arctan(Elementwise):
    """The angle, from -π/2 to π/2, whose tangent is x."""

    forward = np.arctan
    formula = "arctan({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / (fn.square(inputs[0]) + 1)


class Sinh(Elementwise):
    """(exp(x) - exp(-x)) / 2."""

    traits = Trait.OVERFLOWS
    forward = np.sinh
    formula = "sinh({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * fn.cosh(inputs[0])


class Cosh(Elementwise):
    """(exp(x) + exp(-x)) / 2."""

    traits = Trait.OVERFLOWS
    forward = np.cosh
    formula = "cosh({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent * fn.sinh(inputs[0])


class Arcsinh(Elementwise):
    """The number whose sinh is x."""

    forward = np.arcsinh
    formula = "arcsinh({0})"

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / fn.sqrt(fn.square(inputs[0]) + 1)


class Arccosh(Elementwise):
    """The number from 0 up whose cosh is x; NaN below 1, where the gradient is inf."""

    forward = np.arccosh
    formula = "arccosh({0})"
    domain = ((1.2, 4.0),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / fn.sqrt(fn.square(inputs[0]) - 1)


class Arctanh(Elementwise):
    """The number whose tanh is x; ±inf at ±1, where the gradient is inf, and NaN beyond."""

    forward = np.arctanh
    formula = "arctanh({0})"
    domain = ((-0.9, 0.9),)

    def vjp(self, i: int, cotangent: Node, output: Node, inputs: tuple[Node, ...]) -> Node:
        return cotangent / (1 - fn.square(inputs[0]))
