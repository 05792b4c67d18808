"""The gradients that an optimizer moves by: of a loss or given ones, scaled, and added up over several steps."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...autodiff.grad import grad
from ...core import Graph, Node, Scope, computed_in, fn, is_float
from ...core.fetches import ancestors
from ...core.symbolic_shapes import shown
from ...errors import UsageError
from ..input_validation import as_float
from ..metrics.metric_sums import computed_from, parts_of, reached
from .update_accumulation import place_of

if TYPE_CHECKING:
    from .loss_scale import Scaled


class Asked(NamedTuple):
    """What updates are made of."""

    loss: Node | None
    gradients: Mapping[Node, Node] | None
    """Given ones, instead of a loss."""
    steps: int
    """How many make one update."""
    scaled: Scaled | None

    def dtype_of(self, parameter: Node) -> np.dtype[Any]:
        """Return the dtype in which a parameter is moved."""
        is_short = self.scaled is not None and parameter.dtype == np.float16
        return np.dtype(np.float32) if is_short else computed_in(parameter.dtype)

    def gradients_of(self, node: Node, points: Sequence[Node]) -> list[Node]:
        """Return the gradients of a node, times the scale."""
        return list(grad(node, list(points)) if self.scaled is None else self.scaled.gradients(node, points))


class Moved(NamedTuple):
    """What an optimizer moves by."""

    gradients: dict[Node, Node]
    moves: Node | None
    """Whether a step moves anything; None: always."""
    loss: Node | None
    """The loss of which the gradients are, if it was asked for."""


class Slopes:
    """The gradients of a loss at some points, or given ones, before they are ready to move by.

    If several steps make an update, what they compute is added up until the last. A loss that is computed from tallies
    is a function f of sums over the batch, and of means: its gradient is Σ ∂f/∂sᵢ · dsᵢ/dp. So the sums and their
    gradients are added up, and f and ∂f/∂sᵢ are those of what they add up to, as in one large batch.

    Parameters
    ----------
    asked : Asked
    points : dict of Node to Node
        {parameter: the node by which the loss is differentiated}: the parameter itself, or where it is moved to.
    """

    def __init__(self, asked: Asked, points: Mapping[Node, Node]) -> None:
        self._asked, self._points = asked, points
        loss = asked.loss
        self._parts = _varying_parts(loss) if loss is not None and asked.steps > 1 else []
        self._found: dict[Node | None, dict[Node, Node]]
        """{part: {parameter: gradient}}; the only part may be the loss itself."""
        if self._parts:
            needed = {part: self._needed_by(part) for part in self._parts}
            self._found = {part: self._gradients_of(part, points) for part, points in needed.items()}
        elif loss is None:
            assert asked.gradients is not None
            self._found = {None: {parameter: asked.gradients[parameter] for parameter in points}}
        else:
            self._found = {loss: self._gradients_of(loss, points)}

    def _gradients_of(self, part: Node, points: Mapping[Node, Node]) -> dict[Node, Node]:
        """Return the gradients of the loss, or of a part of it."""
        gradients = self._asked.gradients_of(part, [*points.values()]) if points else []
        return dict(zip(points, gradients, strict=True))

    def _needed_by(self, part: Node) -> dict[Node, Node]:
        """Return the points that a part needs, if it has gradients."""
        needed = ancestors([part]) if is_float(part.dtype) else set[Node]()
        points = {parameter: point for parameter, point in self._points.items() if point in needed}
        if points and part.shape != ():
            raise UsageError(
                f'accumulate= cannot add up "{part.name}", from which the loss is computed: it has shape '
                f"{shown(part.shape)}, and so a gradient for each element; add up scalars, "
                "gn.sum_over_batches(gn.sum(x))"
            )
        return points

    def moved(self, result: dict[Node, Node], wants_loss: bool = False) -> Moved:
        """Return the gradients as they are to move by; `result` takes the updates of what is kept for that."""
        asked, last, loss = self._asked, None, self._asked.loss
        found = {part: self._wide(gradients) for part, gradients in self._found.items()}
        if asked.steps > 1:
            graph = next(iter(self._points)).graph
            with graph.new_scope("accumulate", kind="accumulate") as place:
                assert place.scope is not None
                sums = _Sums(place.scope, graph, asked.steps, result)
                last = sums.last
                if self._parts:
                    gradients, loss = self._of_sums(sums, found)
                else:
                    ((_, slopes),) = found.items()
                    gradients = {}
                    for parameter, gradient in slopes.items():
                        with place_of(parameter, place.scope):
                            gradients[parameter] = sums.of(gradient)
                    loss = sums.of(loss) if wants_loss and loss is not None else None
        else:
            ((_, gradients),) = found.items()
        if asked.scaled is None:
            return Moved(gradients, last, loss)
        gradients = asked.scaled.unscaled(gradients)
        return Moved(gradients, asked.scaled.moves(gradients, last, result, loss if wants_loss else None), loss)

    def _wide(self, gradients: Mapping[Node, Node]) -> dict[Node, Node]:
        """Return gradients in the dtypes in which the parameters are moved."""
        found = dict(gradients)
        for parameter, gradient in gradients.items():
            if gradient.dtype != (dtype := self._asked.dtype_of(parameter)):
                with parameter.graph.in_scope(None, twin=parameter):
                    gradient = fn.cast(gradient, dtype)
            found[parameter] = gradient
        return found

    def _of_sums(self, sums: _Sums, found: Mapping[Node | None, Mapping[Node, Node]]) -> tuple[dict[Node, Node], Node]:
        """Return the gradients, and the value, of a loss of sums."""
        loss, points = self._asked.loss, self._points
        assert loss is not None
        values = {}
        for part in self._parts:
            with place_of(part, sums.root, twinned=False):
                values[part] = fn.stop_gradient(sums.of(part, part.op.sums_over_batches))
        whole = computed_from(loss, values)
        parts = [part for part in self._parts if found[part]]
        factors = dict(zip(parts, grad(whole, [values[part] for part in parts]), strict=True))
        behind = set(reached(loss, values.__contains__)) - values.keys()
        summed = {parameter for part in parts for parameter in found[part]}
        own = [parameter for parameter, point in points.items() if point in behind or parameter not in summed]
        beside = dict(zip(own, self._asked.gradients_of(whole, [points[each] for each in own]), strict=True))
        beside = self._wide(beside)
        gradients = {}
        for parameter in points:
            with place_of(parameter, sums.root):
                terms = [beside[parameter]] if parameter in beside else []
                for i, part in enumerate(part for part in parts if parameter in found[part]):
                    total = sums.of(
                        found[part][parameter], part.op.sums_over_batches, f"total_{i + 1}" if i else "total"
                    )
                    terms.append(total * as_float(factors[part], total.dtype))
                gradients[parameter] = reduce(operator.add, terms)
        return gradients, whole


class _Sums:
    """What is added up over the steps that make one update, in a scope for that."""

    def __init__(self, root: Scope, graph: Graph, steps: int, result: dict[Node, Node]) -> None:
        self.root, self._steps, self._result = root, steps, result
        count = graph.parameter("count", np.int64(0), trainable=False)
        number = count + 1
        self.last = fn.equal(number, steps, name="is_last")
        """Whether a step is the last of them."""
        result[count] = fn.where(self.last, 0, number)

    def of(self, value: Node, adds_up: bool = False, name: str = "total") -> Node:
        """Return the mean of a node's values in these steps, or their sum."""
        total = value.graph.parameter(name, np.zeros(value.shape, value.dtype), trainable=False)
        so_far = total + value
        self._result[total] = fn.where(self.last, np.zeros((), value.dtype), so_far)
        return so_far if adds_up else so_far / self._steps


def _varying_parts(loss: Node) -> list[Node]:
    """Return the tallies and means that a loss is computed from, without those which are the same in each step."""
    found = parts_of(loss)
    return [part for part in found if part.op.sums_over_batches or any(map(_varies, ancestors([part])))]


def _varies(node: Node) -> bool:
    """Return whether a node's value may be another one in each step."""
    is_state = node.op.is_parameter and not node.trainable
    return is_state or node.op.is_placeholder or bool(node.op.dimension_names)
