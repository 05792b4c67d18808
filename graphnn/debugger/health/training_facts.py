"""Facts about training that several checks need: gradients, losses, and how close a loss is to guessing."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ...core import is_float

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ...core import Array, Node
    from .evaluation import Evaluation

LEARNT = 1e-6
"""A loss of at most this has nothing left to teach: a cross-entropy that clips never reaches 0."""
LARGE_DATA = 100.0
"""Fed numbers above this are blamed for a gradient that explodes."""
_OF_CLASSES = ("categorical_crossentropy", "softmax_crossentropy")
LOSSES = (
    *(*_OF_CLASSES, "negative_log_likelihood", "kl_divergence", "binary_crossentropy", "sigmoid_crossentropy"),
    *("mean_squared_error", "mean_absolute_error", "huber", "smooth_l1", "hinge"),
    *("margin_ranking", "cosine_embedding", "triplet_margin"),
)


class Training:
    """What a run says about the parameters that it trains."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self._losses: dict[frozenset[Node], dict[Node, float]] = {}

    @cached_property
    def slopes(self) -> dict[Node, Node]:
        """The trained parameters with the nodes of their gradients."""
        return slopes_in(self.run.order)

    @cached_property
    def gradients(self) -> dict[Node, Node]:
        """Those of `slopes` that are computed, finite and not empty."""
        return {
            parameter: slope
            for parameter, slope in self.slopes.items()
            if slope.op.bounds != (0, 0)
            and (value := self.run.value_of(slope)) is not None
            and value.size
            and np.isfinite(value).all()
        }

    def losses_of(self, parameters: Iterable[Node]) -> dict[Node, float]:
        """Return the scalars whose gradients update some parameters, with their values."""
        asked = frozenset(parameters)
        if asked not in self._losses:
            run = self.run
            needed = run.ancestors(run.updates[parameter] for parameter in asked)
            losses = [
                node
                for given, derived in run.graph.cotangents.items()
                if any(derived.of.get(parameter) in needed for parameter in asked)
                for node, _ in given
                if node in run.places
            ]
            values = {node: run.value_of(node) for node in losses}
            self._losses[asked] = {
                node: float(value) for node, value in values.items() if value is not None and not value.ndim
            }
        return self._losses[asked]

    def steepness(self, parameters: Iterable[Node]) -> float:
        """Return how much a loss would change if each number changed by its own size: 0 at a minimum."""
        steepness = 0.0
        for parameter in parameters:
            if parameter in self.gradients:
                slope = self.run.value_of(self.gradients[parameter]).astype(np.float64)
                steepness += float(np.abs(slope * self.run.value_of(parameter)).sum())
        return steepness

    @property
    def has_learnt(self) -> bool:
        """Whether every loss is 0, or nearly so."""
        losses = self.losses_of(self.run.updates).values()
        return bool(losses) and all(abs(value) <= LEARNT for value in losses)

    @property
    def scaled_down(self) -> str:
        """The advice to scale fed numbers, if some are large; else ""."""
        elements = filter(None, map(self.run.largest_in, self.run.prepared.program.placeholders))
        large = max(elements, key=lambda each: abs(each.value), default=None)
        return "" if large is None or abs(large.value) <= LARGE_DATA else f"scale {large.node.name} to about 1: {large}"


def gradients_in(order: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield the trained parameters of a schedule with the nodes of their gradients, in order of making."""
    return ((parameter, slope) for parameter, slope in slopes_in(order).items() if slope.op.bounds != (0, 0))


def slopes_in(order: Sequence[Node]) -> dict[Node, Node]:
    """Return the same, with the gradients that are constant zeros because no operation passes one on."""
    known: dict[Node, Node] = {}
    scheduled = set(order)
    for derived in order[0].graph.cotangents.values() if order else ():
        known.update({node: slope for node, slope in derived.of.items() if node.trainable and slope in scheduled})
    for node in order:
        # The nodes that an optimizer makes for a parameter start from its gradient.
        parameter = node.twin
        if parameter is not None and parameter.trainable and node.phase == "update" and parameter not in known:
            for operand in node.inputs:
                if operand.phase == "backward" and operand.shape == parameter.shape:
                    known[parameter] = operand
        elif parameter in known and -1 in node.op.powers and is_scaling(node):
            known[parameter] = node  # the gradient of the loss, and not of the scaled loss
    return {node: known[node] for node in sorted(known, key=lambda node: node.index) if node in scheduled}


def is_scaling(node: Node) -> bool:
    """Return whether a node belongs to the scaling of a loss (`nn.LossScale`)."""
    scope = node.graph.scopes.get(node.scope)
    return scope is not None and scope.kind == "loss_scale"


def beside_guessing(loss: Node, order: Sequence[Node], value_of: Callable[[Node], Array | None]) -> str:
    """Return a loss beside that of a network which guesses, if it is a mean cross-entropy over classes; else "".

    Parameters
    ----------
    loss : Node
    order : sequence of Node
        The schedule.
    value_of : callable
        Returns the value of a node, or None if it is not known.
    """
    value, scope = value_of(loss), loss.graph.scopes.get(loss.scope)
    if value is None or scope is None or scope.kind not in _OF_CLASSES or loss.op.name != "mean":
        return ""
    inside = [node for node in order if node.scope == loss.scope and node.phase == "forward"]
    read = [operand for node in inside for operand in node.inputs if operand not in inside and operand.ndim > 1]
    given = next((given for node in read if node.inputs and (given := value_of(node)) is not None), None)
    if given is None or not is_float(given.dtype) or given.shape[-1] < 2 or not given.size or not np.isfinite(value):
        return ""
    classes = given.shape[-1]
    guess = math.log(classes)
    # A network that guesses gives the same probabilities or logits for all classes of a row.
    apart = np.ptp(given, axis=-1).max()
    alike = apart <= (0.1 if scope.kind == "softmax_crossentropy" else 0.1 / classes)
    if alike and abs(value - guess) <= 0.01 * guess:
        return f"{float(value):.5g} ≈ ln {classes}: the network is guessing"
    return f"{float(value):.4g}; that of guessing among {classes} classes is ln {classes} = {guess:.4g}"
