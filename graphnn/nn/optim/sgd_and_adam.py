"""Optimizers: they make a node of the next value of each parameter."""

from __future__ import annotations

from ...core import Node, fn
from ...errors import ValueRangeError
from ..argument_validation import checked_flag
from .optimizer import Optimizer, Rate
from .optimizer_state import Slots, decayed


class SGD(Optimizer):
    """Gradient descent with momentum.

    Parameters
    ----------
    learning_rate : float, Node or callable
    momentum : float
    nesterov : bool
        Whether to use Nesterov's momentum.
    weight_decay : float
        This multiple of the parameter is added to its gradient.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    With d = ∂loss/∂p + weight_decay · p and v ← momentum · v + d, the step is p ← p - rate · v, or with
    `nesterov` p ← p - rate · (d + momentum · v). As in PyTorch, the rate is not part of the velocity.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.momentum = self._setting("momentum", momentum, 0)
        self.nesterov = checked_flag("SGD: nesterov", nesterov)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)
        if self.nesterov and not self.momentum:
            raise ValueRangeError("SGD: nesterov needs a momentum above 0")

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = decayed(gradient, parameter, self.weight_decay)
        if self.momentum:
            velocity = slots.kept("velocity", lambda v: v * self.momentum + gradient)
            gradient = gradient + velocity * self.momentum if self.nesterov else velocity
        return parameter - gradient * rate


class Adam(Optimizer):
    """Adam: steps scaled by running moments of the gradient.

    Parameters
    ----------
    learning_rate : float, Node or callable
    beta1, beta2 : float
        Decay rates of the first and second moment.
    epsilon : float
        Added to the square root of the second moment.
    weight_decay : float
        This multiple of the parameter is added to its gradient.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015. In step t:
    m ← β₁ m + (1 - β₁) d, v ← β₂ v + (1 - β₂) d², p ← p - rate / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + ε).
    """

    counts = True

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta1 = self._setting("beta1", beta1, 0, 1)
        self.beta2 = self._setting("beta2", beta2, 0, 1)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def scalars(self, rate: Node, number: Node | None) -> dict[str, Node]:
        assert number is not None, "counts is True"
        return {"size": rate / (1.0 - self.beta1**number), "root": fn.sqrt(1.0 - self.beta2**number)}

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        return self._moved(parameter, decayed(gradient, parameter, self.weight_decay), slots)

    def _moved(self, parameter: Node, gradient: Node, slots: Slots) -> Node:
        mean = slots.kept("mean", lambda m: m * self.beta1 + gradient * (1 - self.beta1))
        square = slots.kept("square", lambda v: v * self.beta2 + fn.square(gradient) * (1 - self.beta2))
        scale = fn.sqrt(square) / slots.scalars["root"] + self.epsilon
        return parameter - mean / scale * slots.scalars["size"]


class AdamW(Adam):
    """Adam with decoupled weight decay, which changes the parameter directly and not the moments.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon
        As in `Adam`.
    weight_decay : float
        Each step first multiplies the parameter by ``1 - rate * weight_decay``.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, clip_norm=clip_norm, clip_value=clip_value)

    def scalars(self, rate: Node, number: Node | None) -> dict[str, Node]:
        return {"kept": 1.0 - rate * self.weight_decay, **super().scalars(rate, number)}

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        return self._moved(parameter * slots.scalars["kept"], gradient, slots)


class RMSProp(Optimizer):
    """RMSProp: steps divided by the square root of the running mean of the squared gradient.

    Parameters
    ----------
    learning_rate : float, Node or callable
    rho : float
        Decay rate of the mean square.
    epsilon : float
        Added to the square root.
    momentum : float
    centered : bool
        Whether to subtract the square of the running mean first, which gives a variance.
    weight_decay : float
        This multiple of the parameter is added to its gradient.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    T. Tieleman, G. Hinton, lecture 6.5 of "Neural networks for machine learning" (2012); as in
    PyTorch, ε is added after the square root.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        rho: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.rho = self._setting("rho", rho, 0, 1)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.momentum = self._setting("momentum", momentum, 0)
        self.centered = checked_flag("RMSProp: centered", centered)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = decayed(gradient, parameter, self.weight_decay)
        square = slots.kept("square", lambda s: s * self.rho + fn.square(gradient) * (1 - self.rho))
        if self.centered:
            mean = slots.kept("mean", lambda m: m * self.rho + gradient * (1 - self.rho))
            square = square - fn.square(mean)
        move = gradient / (fn.sqrt(square) + self.epsilon)
        if self.momentum:
            scaled = move
            move = slots.kept("velocity", lambda v: v * self.momentum + scaled)
        return parameter - move * rate


class Adagrad(Optimizer):
    """Adagrad: steps divided by the square root of the sum of all squared gradients so far.

    Parameters
    ----------
    learning_rate : float, Node or callable
    initial : float
        The initial value of the sum.
    epsilon : float
        Added to the square root.
    weight_decay : float
        This multiple of the parameter is added to its gradient.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12 (2011), 2121-2159.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        initial: float = 0.0,
        epsilon: float = 1e-10,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.initial = self._setting("initial", initial, 0)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = decayed(gradient, parameter, self.weight_decay)
        total = slots.kept("total", lambda s: s + fn.square(gradient), start=self.initial)
        return parameter - gradient / (fn.sqrt(total) + self.epsilon) * rate
