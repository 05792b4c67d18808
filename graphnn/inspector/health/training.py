"""How training goes in a run: what several checks of gradients and updates ask; and a loss beside guessing."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ...graph import Array, Node
    from .evaluation import Evaluation
    from .findings import Element

LEARNT = 1e-6
"""How small a loss is that has nothing left to teach: a cross-entropy that clips is never 0."""
LARGE_DATA = 100.0
"""How large what is fed may be before it is to blame for a gradient that explodes."""
_OF_CLASSES = ("categorical_crossentropy", "softmax_crossentropy")
LOSSES = (*_OF_CLASSES, "binary_crossentropy", "sigmoid_crossentropy", "mean_squared_error", "mean_absolute_error")


class Training:
    """What a run says of the parameters that it trains."""

    def __init__(self, run: Evaluation) -> None:
        self.run = run
        self._losses: dict[frozenset[Node], dict[Node, float]] = {}

    def value_of(self, node: Node) -> Array:
        """Return the value of a node."""
        value: Array = self.run.values[self.run.places[node]]
        return value

    @cached_property
    def gradients(self) -> dict[Node, Node]:
        """By parameter, the nodes of gradients that are finite."""
        found = {}
        for parameter, gradient in gradients_in(self.run.order):
            value = self.value_of(gradient)
            if value is not None and value.size and np.isfinite(value).all():
                found[parameter] = gradient
        return found

    @cached_property
    def large_data(self) -> Element | None:
        """The largest number that is fed, where that is far above 1."""
        elements = [self.run.largest_in(node) for node in self.run.prepared.program.placeholders]
        large = [each for each in elements if each is not None and abs(each.value) > LARGE_DATA]
        return max(large, key=lambda each: abs(each.value), default=None)

    def losses_of(self, parameters: Iterable[Node]) -> dict[Node, float]:
        """Return the scalars from whose gradients the updates of some parameters are made."""
        asked = frozenset(parameters)
        if asked not in self._losses:
            needed = self.run.behind(self.run.updates[parameter] for parameter in asked)
            found = {}
            for given, derived in self.run.graph.cotangents.items():
                if any(derived.of.get(parameter) in needed for parameter in asked):
                    found.update({node: self.value_of(node) for node, _ in given if node in self.run.places})
            scalars = {node: float(value) for node, value in found.items() if value is not None and not value.ndim}
            self._losses[asked] = scalars
        return self._losses[asked]

    def steepness(self, parameters: Iterable[Node]) -> float:
        """Return how far a loss would move if each number moved as far as it is large: not at all at its least."""
        steepness = 0.0
        for parameter in parameters:
            if parameter in self.gradients:
                slope = self.value_of(self.gradients[parameter]).astype(np.float64)
                steepness += float(np.abs(slope * self.value_of(parameter)).sum())
        return steepness

    @property
    def has_learnt(self) -> bool:
        """Whether every loss is 0, or as good as that."""
        losses = self.losses_of(self.run.updates).values()
        return bool(losses) and all(abs(value) <= LEARNT for value in losses)

    @property
    def scaled_down(self) -> str:
        """What to do where what is fed is large; "" where it is not."""
        large = self.large_data
        return "" if large is None else f"scale {large.node.name} to about 1: {large}"


def gradients_in(order: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """Yield the trained parameters of a schedule with the nodes of their gradients, in order of making."""
    return ((parameter, slope) for parameter, slope in slopes_in(order).items() if slope.op.name != "zeros")


def slopes_in(order: Sequence[Node]) -> dict[Node, Node]:
    """Return the same with those that are 0 because no operation passes a gradient on."""
    known: dict[Node, Node] = {}
    scheduled = set(order)
    for derived in order[0].graph.cotangents.values() if order else ():
        known.update({node: slope for node, slope in derived.of.items() if node.trainable and slope in scheduled})
    for node in order:
        # What an optimizer makes for a parameter starts from its gradient.
        parameter = node.twin
        if parameter is not None and parameter.trainable and node.phase == "update" and parameter not in known:
            for operand in node.inputs:
                if operand.phase == "backward" and operand.shape == parameter.shape:
                    known[parameter] = operand
    return {node: known[node] for node in sorted(known, key=lambda node: node.index) if node in scheduled}


def beside_guessing(loss: Node, order: Sequence[Node], value_of: Callable[[Node], Array | None]) -> str:
    """Return a loss beside that of a network which guesses, if it is a mean cross-entropy of some classes; else "".

    Parameters
    ----------
    loss : Node
    order : sequence of Node
        The schedule.
    value_of : callable
        What a node of it was; None where that is not known.
    """
    value, scope = value_of(loss), loss.graph.scopes.get(loss.scope)
    if value is None or scope is None or scope.kind not in _OF_CLASSES or loss.op.name != "mean":
        return ""
    inside = [node for node in order if node.scope == loss.scope and node.phase == "forward"]
    read = [operand for node in inside for operand in node.inputs if operand not in inside and operand.ndim > 1]
    given = next((given for node in read if node.inputs and (given := value_of(node)) is not None), None)
    if given is None or given.dtype.kind != "f" or given.shape[-1] < 2 or not given.size or not np.isfinite(value):
        return ""
    classes = given.shape[-1]
    guess = math.log(classes)
    # Chances or logits: those of a network that guesses are alike in every row.
    apart = np.ptp(given, axis=-1).max()
    alike = apart <= (0.1 if scope.kind == "softmax_crossentropy" else 0.1 / classes)
    if alike and abs(value - guess) <= 0.01 * guess:
        return f"{float(value):.5g} ≈ ln {classes}: the network is guessing"
    return f"{float(value):.4g}; that of guessing among {classes} classes is ln {classes} = {guess:.4g}"
