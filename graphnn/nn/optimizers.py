"""Optimizers: they make a node of the next value of each parameter."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from ..autograd import grad
from ..errors import GraphError, NoRuleError, ShapeError, UsageError, ValueRangeError
from ..graph import Graph, Node, Parameter, fitting, fn
from ..graph.collector import collector_paused
from ..graph.dimensions import shown
from ..graph.fetches import ancestors, resolve
from ..graph.scopes import mirrored
from ..habits import elsewhere
from ..text import with_article
from .checks import checked_flag, checked_number
from .operands import as_float
from .slots import Slots

Rate = float | Node | Callable[[Node], Any]


@elsewhere("optimizer", "the optimizer {}")
class Optimizer:
    """Base class of the optimizers. A subclass defines `advance`, and `scalars` if it needs any.

    Parameters
    ----------
    learning_rate : float, Node or callable
        A number becomes a parameter that is not trained, ``sgd_1/learning_rate``. A node is used as it is. A
        callable is a schedule, as in `nn.schedules`: it takes the node of the number of steps so far, and returns the
        learning rate.
    clip_norm : float, optional
        If the norm of all gradients together exceeds this, all are scaled down.
    clip_value : float, optional
        Each element of a gradient is clipped to ``[-clip_value, clip_value]``, before `clip_norm` is applied.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class SignSGD(nn.Optimizer):
    ...     def advance(self, parameter, gradient, rate, slots):
    ...         return parameter - rate * gn.sign(gradient)
    >>> w = gn.Graph().parameter("w", [3.0, -3.0])
    >>> step = gn.compile(w, SignSGD(0.5).updates(gn.sum(w * w)))
    >>> step(), step()
    (array([ 3., -3.]), array([ 2.5, -2.5]))
    """

    counts = False
    """Whether `scalars` or `advance` needs the step number."""

    def __init__(self, learning_rate: Rate, *, clip_norm: float | None = None, clip_value: float | None = None) -> None:
        self._rate: Any = learning_rate if isinstance(learning_rate, Node) or callable(learning_rate) else None
        if isinstance(learning_rate, (list, tuple)):
            raise UsageError(
                f"{type(self).__name__}: the learning rate is a number, a node or a schedule, not a "
                f"{type(learning_rate).__name__}; the parameters are those of the loss: optimizer.updates(loss), or "
                "optimizer.updates(loss, parameters) for some of them"
            )
        self._rates: list[Node] = []
        self._number = math.nan
        if self._rate is None:
            self._number = self._setting("learning_rate", learning_rate, 0)
        self.clip_norm = None if clip_norm is None else self._setting("clip_norm", clip_norm, 0, strictly=True)
        self.clip_value = None if clip_value is None else self._setting("clip_value", clip_value, 0, strictly=True)

    @property
    def learning_rate(self) -> Any:
        """The present learning rate: a number, or the node or schedule that was given.

        A number can be set between steps, and applies to all updates of this optimizer. It is the value of the
        parameter ``sgd_1/learning_rate`` of the graph, which can be set too.

        Raises
        ------
        UsageError
            When it is set, and was given as a node or a schedule.
        """
        if self._rate is not None:
            return self._rate
        return float(self._rates[-1].value) if self._rates else self._number

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if self._rate is not None:
            raise UsageError(
                "this learning rate is a node or a schedule; only a learning rate that was given as a number can be set"
            )
        self._number = self._setting("learning_rate", value, 0)
        for node in self._rates:
            node.value = self._number

    def scalars(self, rate: Node, number: Node | None) -> Mapping[str, Node]:
        """Return the scalars that all parameters share in one step, by name.

        Parameters
        ----------
        rate : Node
            The learning rate, a float64 scalar.
        number : Node or None
            The step number, from 1, a float64 scalar; None unless ``counts = True``.

        Returns
        -------
        mapping of str to Node
            `advance` gets them as ``slots.scalars``, cast to the dtype of the parameter.
        """
        return {}

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """Return the node of the parameter's next value.

        Parameters
        ----------
        parameter, gradient : Node
        rate : Node
            The learning rate, a scalar with the dtype of the parameter.
        slots : Slots
            Arrays that are kept from step to step: ``slots.kept("velocity", next_of)``.
        """
        raise NoRuleError(f"{type(self).__name__} does not say how to update a parameter: define advance")

    def updates(self, loss: Node, parameters: Iterable[Node | str] | Node | None = None) -> dict[Node, Node]:
        """Return the node of the next value of every parameter that the loss depends on.

        The nodes are in a new scope, ``sgd_1``. Inside it, each parameter has a scope with its name, whose nodes have
        the parameter as their twin. Arrays that are kept from step to step, such as
        ``sgd_1/dense_1/weight/velocity``, are parameters that are not trained.

        Parameters
        ----------
        loss : Node
            A scalar.
        parameters : iterable of Node or str, optional
            The parameters to update; by default, all trainable parameters that the loss depends on.

        Returns
        -------
        dict of Node to Node
            Includes the state of the optimizer. The updates are also entered in ``graph.updates``, where they replace
            updates of the same parameters by another optimizer.

        Raises
        ------
        ShapeError, DtypeError
            When the loss is not a scalar, or not a float.
        UsageError
            When there is nothing to train, or `parameters` contains something other than trainable parameters.

        Examples
        --------
        >>> g = Graph()
        >>> w = g.parameter("w", [1.0, 2.0])
        >>> updates = SGD(0.1).updates(fn.sum(w * w))
        >>> {p.name: n.name for p, n in updates.items()}
        {'w': 'sgd_1/w/subtract'}
        """
        if not isinstance(loss, Node):
            raise UsageError(f"updates are made for a loss, which is a node, not {type(loss).__name__}")
        graph = loss.graph
        chosen = self._chosen(loss, parameters)
        gradients = grad(loss, chosen)
        kind = type(self).__name__
        base = kind.strip("_").lower() or "optimizer"
        result: dict[Node, Node] = {}
        scope = graph.new_scope(base, numbered=True, kind=kind, phase="update")
        with graph.building, collector_paused(), scope as place:
            root = place.scope
            assert root is not None
            gradients = self._clipped(chosen, gradients)
            count, number = self._step_counts(graph, result)
            rate = self._rate_node(graph, count)
            scalars = {"rate": rate, **self.scalars(rate, number)}
            cast = {
                dtype: {name: as_float(scalar, dtype) for name, scalar in scalars.items()}
                for dtype in dict.fromkeys(parameter.dtype for parameter in chosen)
            }
            for parameter, gradient in zip(chosen, gradients, strict=True):
                slots = Slots(parameter, cast[parameter.dtype], result)
                # sgd_1/dense_1/weight: the parameter's scope is repeated inside the optimizer's.
                around = mirrored(graph, graph.scopes.get(parameter.scope), root) or root
                own = parameter.name.removeprefix(f"{parameter.scope}/")
                with graph.new_scope(own, twin=parameter, within=around):
                    result[parameter] = self.advance(parameter, gradient, slots.scalars["rate"], slots)
            self._store_updates(graph, result, chosen)
        return result

    def _chosen(self, loss: Node, parameters: Iterable[Node | str] | Node | None) -> list[Node]:
        graph = loss.graph
        if parameters is None:
            needed = ancestors([loss])
            chosen = [p for p in graph.parameters if p in needed]
            if not chosen:
                raise UsageError(f'"{loss.name}" depends on no trainable parameter: there is nothing to update')
            return chosen
        if not isinstance(parameters, (str, Node, Iterable)):
            raise UsageError(f"parameters= takes nodes or their names, not {type(parameters).__name__}")
        given = [parameters] if isinstance(parameters, (str, Node)) else list(parameters)
        chosen = list(dict.fromkeys(resolve(given, graph)[1])) if given else []
        for node in chosen:
            if not node.trainable:
                why = "is not trainable" if isinstance(node.op, Parameter) else f"is {with_article(node.op.name)}"
                raise UsageError(f'parameters= takes trainable parameters; "{node.name}" {why}')
        if not chosen:
            raise UsageError("parameters= is empty: there is nothing to update")
        return chosen

    def _clipped(self, chosen: list[Node], gradients: list[Node]) -> list[Node]:
        graph = chosen[0].graph
        if self.clip_value is not None:
            with graph.scope("clip_value"):
                lo, hi = -self.clip_value, self.clip_value
                gradients = _per_parameter(chosen, gradients, lambda gradient: fn.clip(gradient, lo, hi))
        if self.clip_norm is not None:
            with graph.scope("clip_norm"):
                total = reduce(
                    operator.add, _per_parameter(chosen, gradients, lambda gradient: fn.sum(fn.square(gradient)))
                )
                # As in PyTorch; because of the 1e-6, a gradient of zeros stays 0.
                factor = fn.minimum(self.clip_norm / (fn.sqrt(total) + 1e-6), 1.0)
                gradients = _per_parameter(
                    chosen, gradients, lambda gradient: gradient * as_float(factor, gradient.dtype)
                )
        return gradients

    def _step_counts(self, graph: Graph, result: dict[Node, Node]) -> tuple[Node | None, Node | None]:
        """Return the number of steps so far, and the number of this step, each if it is needed."""
        if not self.counts and (self._rate is None or isinstance(self._rate, Node)):
            return None, None
        count = graph.parameter("step", np.int64(0), trainable=False)
        result[count] = count + 1
        return fn.cast(count, "float64"), fn.cast(result[count], "float64") if self.counts else None

    def _rate_node(self, graph: Graph, count: Node | None) -> Node:
        """Return the learning rate as a float64 scalar, so that it is rounded only once, when it is used."""
        made = self._rate
        if made is None:
            node = graph.parameter("learning_rate", np.float64(self._number), trainable=False)
            self._rates.append(node)
            return node
        if not isinstance(made, Node):
            with graph.scope("learning_rate"):
                made = made(count)
                if not isinstance(made, Node):
                    made = graph.constant(np.float64(self._setting("learning_rate", made, 0)))
        if made.graph is not graph:
            raise GraphError(f'the learning rate "{made.name}" is a node of "{made.graph.name}", not of "{graph.name}"')
        if made.shape != ():
            with fitting(type(self).__name__, [made]):
                raise ShapeError(f'a learning rate is a scalar, and "{made.name}" has shape {shown(made.shape)}')
        return as_float(made, "float64")

    def _store_updates(self, graph: Graph, made: dict[Node, Node], chosen: list[Node]) -> None:
        """Enter updates in ``graph.updates``, and remove those of another optimizer for the same parameters."""
        updates = graph.updates
        replaced = {p for p in chosen if p in updates}
        slots = [p for p in updates if p.phase == "update" and p.twin in replaced]
        updates.update(made)  # all at once: an interrupt leaves unused slots at worst
        for slot in slots:
            del updates[slot]
        if replaced:
            shared = {p for p in updates if p.phase == "update" and p.twin is None}
            read = ancestors(node for parameter, node in updates.items() if parameter not in shared)
            for parameter in shared - read:
                del updates[parameter]

    def _setting(self, name: str, value: Any, lo: float, hi: float = math.inf, strictly: bool = False) -> float:
        """Return a setting as a float from `lo` up to, but not including, `hi`; strictly: not `lo` either."""
        return checked_number(f"{type(self).__name__}: {name}", value, lo, hi, strictly)


def _per_parameter(chosen: list[Node], gradients: list[Node], function: Callable[[Node], Node]) -> list[Node]:
    """Return the results of a function of the gradient of each parameter; the new nodes have the parameter as twin."""
    made = []
    for parameter, gradient in zip(chosen, gradients, strict=True):
        with parameter.graph.in_scope(None, twin=parameter):
            made.append(function(gradient))
    return made


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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.momentum = self._setting("momentum", momentum, 0)
        self.nesterov = checked_flag("SGD: nesterov", nesterov)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)
        if self.nesterov and not self.momentum:
            raise ValueRangeError("SGD: nesterov needs a momentum above 0")

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        if self.momentum:
            velocity = slots.kept("velocity", lambda v: v * self.momentum + gradient)
            gradient = gradient + velocity * self.momentum if self.nesterov else velocity
        return parameter - gradient * rate


def _decayed(gradient: Node, parameter: Node, weight_decay: float) -> Node:
    return gradient + parameter * weight_decay if weight_decay else gradient


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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.beta1 = self._setting("beta1", beta1, 0, 1)
        self.beta2 = self._setting("beta2", beta2, 0, 1)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def scalars(self, rate: Node, number: Node | None) -> dict[str, Node]:
        assert number is not None, "counts is True"
        return {"size": rate / (1.0 - self.beta1**number), "root": fn.sqrt(1.0 - self.beta2**number)}

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        return self._moved(parameter, _decayed(gradient, parameter, self.weight_decay), slots)

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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, **clipping)

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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.rho = self._setting("rho", rho, 0, 1)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.momentum = self._setting("momentum", momentum, 0)
        self.centered = checked_flag("RMSProp: centered", centered)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

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
        **clipping: Any,
    ) -> None:
        super().__init__(learning_rate, **clipping)
        self.initial = self._setting("initial", initial, 0)
        self.epsilon = self._setting("epsilon", epsilon, 0)
        self.weight_decay = self._setting("weight_decay", weight_decay, 0)

    def advance(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = _decayed(gradient, parameter, self.weight_decay)
        total = slots.kept("total", lambda s: s + fn.square(gradient), start=self.initial)
        return parameter - gradient / (fn.sqrt(total) + self.epsilon) * rate
