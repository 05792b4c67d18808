"""A recorded step in graphnn's own operations, so that what looks at these can look at it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._util.garbage_collection import collector_paused
from ...autodiff.grad import grad
from ...core import Graph, Node, Parameter, Provenance, Spec, fn
from ...core.fetches import ancestors
from ...core.scopes import mirrored
from ...errors import GraphnnError, GraphnnWarning, NoRuleError
from .translation import translate_into

if TYPE_CHECKING:
    from ...core import Array


class TranslatedRun:
    """The graph of a step, by graphnn's operations: forward pass, its gradients, and the updates made of them.

    Calls that have no such operations are constants, with the values that were recorded.

    Attributes
    ----------
    graph : Graph
        Its outputs are the losses, its updates those of the step.
    nodes : dict of Node to Node
        {node of the recorded graph: what stands for it}.
    feed : dict of str to array
    untranslated : list of Node
        Calls of the forward pass that have no operations of graphnn, and that the loss depends on.
    not_updated : dict of str to str
        Updates that are left out, by the names of their parameters, and why.
    """

    @collector_paused()
    def __init__(self, step: Any) -> None:
        self.step = step
        self.graph = Graph(step.graph.name, np.float32)
        self.nodes: dict[Node, Node] = {}
        self.feed: dict[str, Array] = {}
        self.untranslated: list[Node] = []
        self.not_updated: dict[str, str] = {}
        needed = ancestors(step.losses) if step.losses else set(step.graph)
        for node in step.graph:
            if node.phase == "forward" and node in needed:
                self._enter(node)
        self.losses = [self.nodes[loss] for loss in step.losses if loss in self.nodes]
        for i, loss in enumerate(self.losses):
            self.graph.outputs["loss" if len(self.losses) == 1 else f"loss_{i + 1}"] = loss
        self._update()

    def _value(self, node: Node) -> Array:
        return self.step.trace[node].value  # type: ignore[no-any-return]

    def _enter(self, node: Node) -> None:
        """Make what stands for a node, in its scope and with its line."""
        graph = self.graph
        scope = mirrored(graph, node.graph.scopes.get(node.scope)) if node.scope else None
        if node.op.is_leaf:
            value = None if node.op.is_placeholder else self._value(node)
            made = self.nodes[node] = graph._make(node.op, (), node.spec, node.name, value, (scope, node.origin))
            if node.op.is_placeholder:
                self.feed[made.name] = self._value(node)
            return
        with Provenance(graph, lambda around: (scope, False), node.origin):
            try:
                self.nodes[node] = self._translated(node)
            except (GraphnnError, KeyError):
                self.untranslated.append(node)
                self.nodes[node] = graph.constant(self._value(node), name=None)

    def _translated(self, node: Node) -> Node:
        call: Any = node.op
        return translate_into(self.graph, call, [self.nodes[each] for each in node.inputs])

    # --- gradients and updates ---

    def _update(self) -> None:
        """Make the updates of the step, of the gradients that graphnn takes of the losses."""
        of = {node: self.nodes.get(node) for node in self.step.graph.updates if node.trainable}
        known = [made for made in of.values() if made is not None]
        scalars = [loss for loss in self.losses if not loss.spec.shape]
        if not known or not scalars or len(scalars) < len(self.losses):
            return
        total = scalars[0]
        for other in scalars[1:]:
            total = total + other
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GraphnnWarning)
            try:
                slopes = dict(zip(known, grad(total, known), strict=True))
            except GraphnnError as error:
                self.not_updated.update(dict.fromkeys((each.name for each in of), str(error.reason)))
                return
        for parameter, made in of.items():
            if made is None:
                continue
            try:
                now = self._updated(self.step.graph.updates[parameter], slopes)
                self.graph.updates[made] = now if now.dtype == made.dtype else fn.cast(now, made.dtype.name)
            except GraphnnError as error:
                self.not_updated[parameter.name] = str(error.reason)

    def _updated(self, final: Node, slopes: Mapping[Node, Node]) -> Node:
        """Return the next value of a parameter, made of the calls of the optimizer and of its gradient."""
        waiting = [final]
        while waiting:
            node = waiting[-1]
            if node in self.nodes:
                waiting.pop()
                continue
            twin = node.twin
            slope = slopes.get(self.nodes[twin]) if twin is not None and twin in self.nodes else None
            if node.phase == "backward":
                if slope is None:
                    raise NoRuleError(f'"{node.name}" is no gradient of a parameter')
                self.nodes[node] = slope
                continue
            missing = [each for each in node.inputs if each not in self.nodes]
            if missing:
                waiting += missing
                continue
            self._enter_update(node)
        return self.nodes[final]

    def _enter_update(self, node: Node) -> None:
        graph = self.graph
        if node.op.is_leaf:
            value = self._value(node)
            op = Parameter(trainable=False) if node.op.is_parameter else node.op
            self.nodes[node] = graph._make(
                op, (), Spec(value.shape, value.dtype), node.name, value, (None, node.origin)
            )
            return
        scope = mirrored(graph, node.graph.scopes.get(node.scope))
        with Provenance(graph, lambda around: (scope, False), node.origin):
            self.nodes[node] = self._translated(node)
