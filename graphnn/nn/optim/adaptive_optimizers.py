"""More optimizers that adapt their steps: by signs, by momentum looked ahead, by factored moments."""

from __future__ import annotations

from ...core import Node, fn, limits
from ...errors import ValueRangeError
from ..argument_validation import checked_flag, checked_number
from .optimizer import Optimizer, Rate
from .optimizer_state import Slots, decayed


class Lion(Optimizer):
    """Lion: steps of one size, by the sign of the momentum.

    Parameters
    ----------
    learning_rate : float, Node or callable
        About a tenth of that of `AdamW`, because each element moves by it in each step.
    beta1 : float
        The share of the momentum in the direction of a step; the rest is that of the gradient.
    beta2 : float
        Decay rate of the momentum.
    weight_decay : float
        Each step adds this multiple of the parameter to the sign; about ten times that of `AdamW`.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023. With the gradient d:
    p ← p - rate · (sign(β₁ m + (1 - β₁) d) + weight_decay · p), then m ← β₂ m + (1 - β₂) d.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", [3.0, -0.5])
    >>> step = gn.compile(w, nn.Lion(0.25).updates(gn.sum(w * w)))
    >>> step(), step()
    (array([ 3. , -0.5]), array([ 2.75, -0.25]))
    """

    def __init__(
        self,
        learning_rate: Rate = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta1 = self._setting("beta1", beta1, 0, 1)
        self.beta2 = self._setting("beta2", beta2, 0, 1)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        before: list[Node] = []

        def next_of(momentum: Node) -> Node:
            before.append(momentum)
            return momentum * self.beta2 + gradient * (1 - self.beta2)

        slots.kept("momentum", next_of)
        direction = fn.sign(before[0] * self.beta1 + gradient * (1 - self.beta1))
        return parameter - decayed(direction, parameter, self.weight_decay) * rate


class Nadam(Optimizer):
    """Nadam: Adam with Nesterov's momentum, which looks one step ahead.

    Parameters
    ----------
    learning_rate : float, Node or callable
    beta1, beta2 : float
        Decay rates of the first and second moment; that of the first rises to `beta1` from half of it.
    epsilon : float
        Added to the square root of the second moment.
    weight_decay : float
        This multiple of the parameter is added to its gradient.
    momentum_decay : float
        How fast the decay rate of the first moment rises.
    decoupled : bool
        Whether each step multiplies the parameter by ``1 - rate * weight_decay`` instead, as `AdamW` does.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016; as in PyTorch. In step t, with
    μₜ = β₁ (1 - 0.96^(t · momentum_decay) / 2) and Πₜ = μ₁ · … · μₜ: m and v as in `Adam`, and
    p ← p - rate · ((1 - μₜ) / (1 - Πₜ) · d + μₜ₊₁ / (1 - Πₜ μₜ₊₁) · m) / (√(v / (1 - β₂ᵗ)) + ε).
    """

    counts = True

    def __init__(
        self,
        learning_rate: Rate = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 0.004,
        decoupled: bool = False,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta1 = self._setting("beta1", beta1, 0, 1)
        self.beta2 = self._setting("beta2", beta2, 0, 1)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)
        self.momentum_decay = self._setting("momentum_decay", momentum_decay, 0)
        self.decoupled = checked_flag("Nadam: decoupled", decoupled)

    def scalars(self, rate: Node, number: Node | None) -> dict[str, Node]:
        assert number is not None, "counts is True"
        now, following = (
            self.beta1 * (1.0 - 0.5 * fn.power(0.96, t * self.momentum_decay)) for t in (number, number + 1.0)
        )
        found = {"now": now, "following": following, "root": fn.sqrt(1.0 - self.beta2**number)}
        return {**found, "kept": 1.0 - rate * self.weight_decay} if self.decoupled else found

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        now, following, root = (slots.scalars[name] for name in ("now", "following", "root"))
        if self.decoupled:
            parameter = parameter * slots.scalars["kept"]
        else:
            gradient = decayed(gradient, parameter, self.weight_decay)
        product = slots.kept("product", lambda p: p * now, start=1.0, shape=())
        mean = slots.kept("mean", lambda m: m * self.beta1 + gradient * (1 - self.beta1))
        square = slots.kept("square", lambda v: v * self.beta2 + fn.square(gradient) * (1 - self.beta2))
        scale = fn.sqrt(square) / root + self.epsilon
        ahead = gradient * (rate * (1.0 - now) / (1.0 - product))
        behind = mean * (rate * following / (1.0 - product * following))
        return parameter - (ahead + behind) / scale


class Adafactor(Optimizer):
    """Adafactor: the second moments of a matrix are kept as those of its rows and columns.

    Parameters
    ----------
    learning_rate : float, Node or callable
        The largest step, relative to the size of the parameter.
    beta2_decay : float
        Below 0: the decay rate of the second moment in step t is 1 - t^beta2_decay.
    epsilon : float, optional
        The smallest root of a second moment; by default, the distance from 1 to the next float.
    epsilon_scale : float
        The smallest size of a parameter that steps are relative to.
    clip_threshold : float
        A step whose root mean square exceeds this, before it is multiplied by the rate, is scaled down to it.
    weight_decay : float
        Each step first multiplies the parameter by ``1 - rate * weight_decay``.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018; as in PyTorch. In
    step t, with ρ = min(rate, 1/√t) and RMS for the root mean square: for a matrix, r and c are running means of d²
    over columns and over rows, and v = r c / mean(r). A parameter with more axes counts as matrices of the last two; of
    a vector v is a running mean of d². Then u = d / √v, and
    p ← p - ρ · max(ε₂, RMS(p)) · u / max(1, RMS(u) / clip_threshold).

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", np.ones((300, 200)))
    >>> updates = nn.Adafactor().updates(gn.sum(w * w))
    >>> [(slot.name, slot.shape) for slot in updates if "w/" in slot.name]
    [('adafactor_1/w/rows', (300, 1)), ('adafactor_1/w/columns', (1, 200))]
    """

    counts = True

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        beta2_decay: float = -0.8,
        epsilon: float | None = None,
        epsilon_scale: float = 1e-3,
        clip_threshold: float = 1.0,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm=clip_norm, clip_value=clip_value)
        self.beta2_decay = checked_number("Adafactor: beta2_decay", beta2_decay)
        if self.beta2_decay > 0:
            raise ValueRangeError(f"Adafactor: beta2_decay is 0 or less, not {beta2_decay:g}")
        self.epsilon = None if epsilon is None else self._setting("epsilon", epsilon, 0)
        self.epsilon_scale = self._setting("epsilon_scale", epsilon_scale, 0)
        self.clip_threshold = self._setting("clip_threshold", clip_threshold, 1)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def scalars(self, rate: Node, number: Node | None) -> dict[str, Node]:
        assert number is not None, "counts is True"
        found = {"step": fn.minimum(rate, 1.0 / fn.sqrt(number)), "new": number**self.beta2_decay}
        return {**found, "kept": 1.0 - rate * self.weight_decay} if self.weight_decay else found

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        epsilon = float(limits(parameter.dtype).eps) if self.epsilon is None else self.epsilon
        size = fn.maximum(_root_mean_square(parameter), self.epsilon_scale) * slots.scalars["step"]
        if self.weight_decay:
            parameter = parameter * slots.scalars["kept"]
        square = fn.square(gradient)
        if gradient.ndim > 1:
            rows = self._running("rows", fn.mean(square, axis=-1, keepdims=True), slots)
            columns = self._running("columns", fn.mean(square, axis=-2, keepdims=True), slots)
            moment = rows * columns / fn.maximum(fn.mean(rows, axis=-2, keepdims=True), epsilon)
        else:
            moment = self._running("moment", square, slots)
        move = gradient / fn.sqrt(fn.maximum(moment, epsilon**2))
        clipped = fn.maximum(_root_mean_square(move) / self.clip_threshold, 1.0)
        return parameter - move * (size / clipped)

    def _running(self, name: str, mean: Node, slots: Slots) -> Node:
        return slots.kept(name, lambda kept: kept + (mean - kept) * slots.scalars["new"], shape=mean.shape)


def _root_mean_square(x: Node) -> Node:
    return fn.sqrt(fn.mean(fn.square(x)))
