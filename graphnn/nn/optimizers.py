"""Optimizers: what comes next for each parameter, as nodes of the graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd import grad
from ..errors import UsageError, ValueRangeError
from ..graph import Graph, Node, Scope, fn
from ..graph.fetches import ancestors, resolve

Rate = float | Node | Callable[[Node], Any]


class Optimizer:
    """Base of the optimizers. A subclass writes `advance`.

    Parameters
    ----------
    learning_rate : float, Node or callable
        A number becomes a parameter that is not trained, so that it can be set between steps; a callable is a
        schedule of `nn.schedules`.
    clip_norm : float, optional
        Gradients are scaled down together where the norm of all of them exceeds this.
    clip_value : float, optional
        Each element of a gradient is clipped to ``[-clip_value, clip_value]``; before `clip_norm`.
    """

    def __init__(self, learning_rate: Rate, *, clip_norm: float | None = None, clip_value: float | None = None) -> None:
        if isinstance(learning_rate, (int, float)) and not learning_rate >= 0:
            raise ValueRangeError(f"a learning rate is 0 or more, not {learning_rate}")
        for name, bound in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if bound is not None and not bound > 0:
                raise ValueRangeError(f"{name} is more than 0, not {bound}")
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm
        self.clip_value = clip_value

    counts = False
    """Whether `advance` needs the number of the step."""

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """Return the node of the parameter's next value.

        Parameters
        ----------
        parameter, gradient : Node
        rate : Node
            The learning rate, a scalar of the parameter's dtype.
        slots : Slots
            What is kept from step to step: ``slots.kept("velocity", next_of)``; ``slots.number`` counts from 1.
        """
        raise NotImplementedError

    def updates(self, loss: Node, parameters: Iterable[Node] | None = None) -> dict[Node, Node]:
        """Return the node of the next value of every parameter that the loss depends on.

        Parameters
        ----------
        loss : Node
            A scalar.
        parameters : iterable of Node, optional
            Only these.

        Returns
        -------
        dict of Node to Node
            Of the optimizer's own state too; also kept in ``graph.updates``.

        Examples
        --------
        >>> g = Graph()
        >>> w = g.parameter("w", [1.0, 2.0])
        >>> updates = SGD(0.1).updates(fn.sum(w * w))
        >>> {p.name: n.name for p, n in updates.items()}
        {'w': 'sgd_1/subtract'}
        """
        graph, (loss,), _ = resolve([loss])
        if parameters is None:
            needed = ancestors([loss])
            chosen = [p for p in graph.parameters if p in needed]
        else:
            chosen = list(parameters)
        if not chosen:
            raise UsageError(f'"{loss.name}" depends on no trainable parameter: there is nothing to update')
        gradients = grad(loss, chosen)
        kind = type(self).__name__
        base = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        path = graph.free_name(base, first=1)
        result: dict[Node, Node] = {}
        with graph.entered(path, kind=kind, phase="update"):
            root = graph.scopes[path]
            gradients = self._clipped(gradients)
            count, number = self._counted(graph, result)
            rate = self._rate(graph, count)
            for parameter, gradient in zip(chosen, gradients, strict=True):
                slots = Slots(root, parameter, number, result)
                with slots.opened():
                    mine = rate if rate.dtype == parameter.dtype else fn.cast(rate, parameter.dtype)
                    result[parameter] = self.advance(parameter, gradient, mine, slots)
        graph.updates.update(result)
        return result

    def _clipped(self, gradients: list[Node]) -> list[Node]:
        if self.clip_value is not None:
            gradients = [fn.clip(gradient, -self.clip_value, self.clip_value) for gradient in gradients]
        if self.clip_norm is not None:
            total = fn.sum(fn.square(gradients[0]))
            for gradient in gradients[1:]:
                total = total + fn.sum(fn.square(gradient))
            # The 1e-6 is PyTorch's: a gradient of zeros is left as it is.
            factor = fn.minimum(self.clip_norm / (fn.sqrt(total) + 1e-6), 1.0)
            gradients = [gradient * fn.cast(factor, gradient.dtype) for gradient in gradients]
        return gradients

    def _counted(self, graph: Graph, result: dict[Node, Node]) -> tuple[Node | None, Node | None]:
        """Return the number of steps made, and of this step, if anything asks."""
        if not self.counts and (isinstance(self.learning_rate, (int, float, Node))):
            return None, None
        count = graph.parameter("step", np.int64(0), trainable=False)
        result[count] = count + 1
        return fn.cast(count, graph.dtype), fn.cast(result[count], graph.dtype)

    def _rate(self, graph: Graph, count: Node | None) -> Node:
        rate = self.learning_rate
        if isinstance(rate, Node):
            return rate
        if callable(rate):
            assert count is not None
            made = rate(count)
            return made if isinstance(made, Node) else graph.constant(float(made), name="learning_rate")
        return graph.parameter("learning_rate", float(rate), trainable=False)


class Slots:
    """What an optimizer keeps for one parameter, as parameters that are not trained."""

    def __init__(self, root: Scope, parameter: Node, number: Node | None, result: dict[Node, Node]) -> None:
        self._root, self._parameter, self._result = root, parameter, result
        self._number = number

    @property
    def number(self) -> Node:
        """The number of this step, from 1."""
        assert self._number is not None, "the optimizer says `counts = True`"
        return fn.cast(self._number, self._parameter.dtype)

    def opened(self) -> Any:
        """Return the context in which this parameter's nodes are made."""
        graph = self._parameter.graph
        scope = graph.mirrored(graph.scopes.get(self._parameter.scope), self._root)
        return graph.entered(scope.path if scope is not None else None, twin=self._parameter)

    def kept(self, name: str, next_of: Callable[[Node], Node], start: float = 0.0) -> Node:
        """Make a slot of the parameter's shape and return the node of its next value.

        Parameters
        ----------
        name : str
        next_of : callable
            From the node of the slot to that of its next value.
        start : float
            What it is filled with at first.

        Returns
        -------
        Node
        """
        parameter = self._parameter
        graph = parameter.graph
        local = parameter.name.removeprefix(f"{parameter.scope}/")
        name = f"{local}_{name}"
        slot = graph.parameter(name, np.full(parameter.shape, start, parameter.dtype), trainable=False)
        self._result[slot] = next_of(slot)
        return self._result[slot]


class SGD(Optimizer):
    """Gradient descent with momentum.

    Parameters
    ----------
    learning_rate : float, Node or callable
    momentum : float
    nesterov : bool
        Whether to look ahead along the momentum.
    weight_decay : float
        Times the parameter is added to its gradient.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    With d = ∂loss/∂p + weight_decay · p and v ← momentum · v + d, the step is p ← p - rate · v, or with
    `nesterov` p ← p - rate · (d + momentum · v): PyTorch's form, in which the rate is outside the velocity.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        if nesterov and not momentum:
            raise ValueRangeError("nesterov looks ahead along the momentum: give a momentum above 0")
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        if self.momentum:
            velocity = slots.kept("velocity", lambda v: v * self.momentum + gradient)
            gradient = gradient + velocity * self.momentum if self.nesterov else velocity
        return parameter - gradient * rate


def _decayed(gradient: Node, parameter: Node, weight_decay: float) -> Node:
    return gradient + parameter * weight_decay if weight_decay else gradient


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient.

    Parameters
    ----------
    learning_rate : float, Node or callable
    beta1, beta2 : float
        Decay of the first and second moment.
    epsilon : float
        Added to the root of the second moment.
    weight_decay : float
        Times the parameter is added to its gradient.
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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.beta1, self.beta2, self.epsilon, self.weight_decay = beta1, beta2, epsilon, weight_decay

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        return self._moved(parameter, _decayed(gradient, parameter, self.weight_decay), rate, slots)

    def _moved(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        mean = slots.kept("mean", lambda m: m * self.beta1 + gradient * (1 - self.beta1))
        square = slots.kept("square", lambda v: v * self.beta2 + fn.square(gradient) * (1 - self.beta2))
        number = slots.number
        size = rate / (1 - fn.power(self.beta1, number))
        scale = fn.sqrt(square) / fn.sqrt(1 - fn.power(self.beta2, number)) + self.epsilon
        return parameter - mean / scale * size


class AdamW(Adam):
    """Adam with weight decay that acts on the parameter itself, not through the moments.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon
        As in `Adam`.
    weight_decay : float
        Each step multiplies the parameter by ``1 - rate * weight_decay`` first.
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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, **clipping)

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        return self._moved(parameter * (1 - rate * self.weight_decay), gradient, rate, slots)


class RMSProp(Optimizer):
    """Steps divided by the root of the running mean square of the gradient.

    Parameters
    ----------
    learning_rate : float, Node or callable
    rho : float
        Decay of the mean square.
    epsilon : float
        Added to the root.
    momentum : float
    centered : bool
        Whether the running mean's square is taken off first: a variance.
    weight_decay : float
        Times the parameter is added to its gradient.
    clip_norm, clip_value : float, optional
        As in `Optimizer`.

    Notes
    -----
    T. Tieleman, G. Hinton, lecture 6.5 of "Neural networks for machine learning" (2012); the root before the ε
    is added, as PyTorch does.
    """

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        rho: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.rho, self.epsilon, self.momentum = rho, epsilon, momentum
        self.centered, self.weight_decay = centered, weight_decay

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _decayed(gradient, parameter, self.weight_decay)
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
    """Steps divided by the root of the sum of all squares of the gradient so far.

    Parameters
    ----------
    learning_rate : float, Node or callable
    initial : float
        Where the sum starts.
    epsilon : float
        Added to the root.
    weight_decay : float
        Times the parameter is added to its gradient.
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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.initial, self.epsilon, self.weight_decay = initial, epsilon, weight_decay

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        total = slots.kept("total", lambda s: s + fn.square(gradient), start=self.initial)
        return parameter - gradient / (fn.sqrt(total) + self.epsilon) * rate
