"""Figures of the nodes of a training step: how large gradients, weights and updates are, how activations spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import Array, Node, Trait, is_float
from ...debugger.health.check_health import examined
from ...debugger.health.training_facts import gradients_in
from ...runtime.feed import memory_budget
from ...view.formatting import in_bytes, visible

if TYPE_CHECKING:
    from ...compiler.compile import Compiled
    from ...debugger.health.evaluation import Evaluation
    from ...debugger.health.findings import Finding
    from ...runtime.feed import Feed

_MOST_LINES = 40  # of a kind
_MOST_ELEMENTS = 4096  # of an activation, of which the spread is taken
_SHARE_OF_MEMORY = 0.5
_QUANTILES = (0.05, 0.5, 0.95)


class Watched:
    """Which nodes of a step are watched. It evaluates the step once more for their figures, and updates nothing."""

    def __init__(self, step: Compiled) -> None:
        self.step = step
        self._following: Mapping[Node, Node] = {}
        self._chosen: tuple[dict[str, list[tuple[Node, Node | None]]], dict[str, Node], list[Node]] | None = None

    def figures(self, feed: Feed) -> tuple[dict[str, Any], Sequence[Finding]]:
        """Return the figures with a batch, by kind and name, and what the health check finds.

        Raises
        ------
        MemoryError
            When all values together would take too much memory.
        GraphnnError
            When a check from elsewhere fails.
        """
        prepared = self.step.prepared(feed)
        needed = sum(math.prod(prepared.shape_of(node)) * node.dtype.itemsize for node in prepared.program.order)
        if needed > _SHARE_OF_MEMORY * memory_budget(self.step.graph):
            raise MemoryError(f"all values of a step together need {in_bytes(needed)}")
        run, health = examined(prepared, self.step.updates)
        if self._chosen is None:
            self._following = run.updates
            self._chosen = _parameters(run), _activations(run), rates_of(run.order, run.updates)
        groups, activations, rates = self._chosen
        kinds: dict[str, dict[str, Any]] = {"gradient": {}, "weight": {}, "update": {}, "activation": {}, "rate": {}}
        with np.errstate(all="ignore"):
            for name, members in groups.items():
                weight = _norm([run.value_of(parameter) for parameter, _ in members])
                kinds["weight"][name] = weight
                kinds["gradient"][name] = _norm([run.value_of(slope) for _, slope in members if slope is not None])
                moved = [_difference(run, parameter, self._following[parameter]) for parameter, _ in members]
                kinds["update"][name] = _norm(moved) / weight if weight else math.nan
            for name, node in activations.items():
                kinds["activation"][name] = _spread(run.value_of(node))
            for node in rates:
                value = run.value_of(node)
                name = node.scope if node.scope.endswith("/learning_rate") else node.name
                kinds["rate"][visible(name)] = math.nan if value is None else float(value)
        return kinds, health.findings


def _parameters(run: Evaluation) -> dict[str, list[tuple[Node, Node | None]]]:
    """Return the trained parameters with their gradients, by name; of very many, those of a layer together."""
    slopes = dict(gradients_in(run.order))
    trained = [node for node in run.updates if node.trainable]
    groups: dict[str, list[tuple[Node, Node | None]]] = {}
    for node in trained:
        name = node.name if len(trained) <= _MOST_LINES else node.scope or node.name
        groups.setdefault(visible(name), []).append((node, slopes.get(node)))
    return {name: groups[name] for name in _some(list(groups))}


def _activations(run: Evaluation) -> dict[str, Node]:
    """Return the results of layers and activation functions; of a network without such, those of all operations."""
    forward = [
        node
        for node in run.order
        if node.phase == "forward" and node.ndim and is_float(node.dtype) and not node.op.is_leaf
    ]
    layers = {scope.result: path for path, scope in run.graph.scopes.items()}  # of the scopes of one result, the inner
    activated = [node for node in forward if node in layers or Trait.ACTIVATES in node.op.traits]
    return {visible(layers.get(node, node.name)): node for node in _some(activated or forward)}


def _some(items: Sequence[Any]) -> list[Any]:
    """Return at most so many items as can be told apart in a picture, at even distances."""
    count = len(items)
    return list(items) if count <= _MOST_LINES else [items[i * count // _MOST_LINES] for i in range(_MOST_LINES)]


def rates_of(order: Sequence[Node], updates: Mapping[Node, Node]) -> list[Node]:
    """Return the learning rates of a step: an optimizer's own, or what it reads of the user's.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> w = gn.Graph().parameter("w", 1.0)
    >>> step = gn.compile(w, nn.SGD(0.1).updates(w * w))
    >>> [node.name for node in rates_of(step.prepared().program.order, step.updates)]
    ['sgd_1/learning_rate']
    """
    scheduled, found = set(order), []
    scopes = order[0].graph.scopes if order else {}
    results = [scope.result for path, scope in scopes.items() if f"/{path}".endswith("/learning_rate")]
    for node in order:
        if node.phase != "update" or node.shape != () or not is_float(node.dtype):
            continue
        if node in results or (node.op.is_parameter and f"/{node.name}".endswith("/learning_rate")):
            found.append(node)
    if not found:
        found = [
            operand
            for node in order
            if node.phase == "update" and node not in updates
            for operand in node.inputs
            if operand.phase == "forward" and operand.shape == () and is_float(operand.dtype)
            if operand not in updates and operand in scheduled
        ]
    return list(dict.fromkeys(found))


def _difference(run: Evaluation, parameter: Node, following: Node) -> Array | None:
    after, before = run.value_of(following), run.value_of(parameter)
    return None if after is None or before is None else np.subtract(after, before)


def _norm(values: Sequence[Array | None]) -> float:
    """Return the norm of all values together; NaN where one is not known."""
    total = 0.0
    for value in values:
        if value is None:
            return math.nan
        wide = value.astype(np.float64, copy=False).ravel()
        largest = float(np.abs(wide).max(initial=0.0))
        if 0 < largest < math.inf:
            wide = wide / largest  # squares would overflow
            total = math.hypot(total, largest * math.sqrt(float(wide @ wide)))
        elif largest:
            return math.nan
    return total if values else math.nan


def _spread(value: Array | None) -> list[float | None]:
    """Return three quantiles, the standard deviation and the share of zeros of a value, or of a part of it."""
    if value is None or not value.size:
        return [None] * 5
    flat = value.ravel()[:: -(-value.size // _MOST_ELEMENTS)].astype(np.float64)
    return [*np.quantile(flat, _QUANTILES).tolist(), float(flat.std()), float(np.mean(flat == 0))]
