"""What a network sees: what goes in, what comes out, and what its layers make of it, for the pictures of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core import is_float
from .decision_boundary import GRID, ends_of

if TYPE_CHECKING:
    from ...core import Node
    from ...debugger.traces import Trace
    from .page_data import Maker

_MOST_LAYERS = 12
_LOSSES = ("entropy", "error", "hinge", "huber", "divergence", "loss")


def sight(maker: Maker) -> dict[str, Any] | None:
    """Return what is drawn of a network: the places of its input, output and layers; None of what is no network.

    ``kind`` says how: a plane, for two numbers a sample; a line, for one number and a target of one; else samples.
    """
    trace, place_of = maker.first, maker.place_of
    if not trace.has_values:
        return None
    program = trace.prepared.program
    fed = [node for node in program.placeholders if node.shape and node.shape[0] == maker.dim]
    if not fed:
        return None
    network = max([_Network(trace, x) for x in fed], key=lambda each: len(each.tail and each.of_x))
    if not network.tail:
        return None
    x, outputs = network.x, network.tail[-1]
    others = [node for node in fed if node is not x]
    targets = next((node for node in others if _one_each(node) or node.shape == outputs.shape), None)
    if targets is None and x.shape == outputs.shape:
        targets = x
    found: dict[str, Any] = {
        "x": place_of[x],
        "outputs": place_of[outputs],
        "targets": -1 if targets is None else place_of[targets],
        "layers": [place_of[node] for node in network.layers()],
        "through": network.through,
        "kind": "samples",
        "ends": None,
        "grid": GRID,
    }
    if is_float(x.dtype) and x.shape[1:] == (2,) and outputs.ndim <= 2:
        found |= {"kind": "plane", "ends": ends_of(trace[x].value.astype(np.float64))}
    elif (
        is_float(x.dtype)
        and targets is not None
        and is_float(targets.dtype)
        and all(map(_one_each, (x, targets, outputs)))
    ):
        pairs = np.stack([np.ravel(trace[node].value).astype(np.float64) for node in (x, targets)], axis=1)
        found |= {"kind": "line", "ends": ends_of(pairs)}
    return found if found["kind"] == "samples" or found["ends"] else found | {"kind": "samples"}


def _one_each(node: Node) -> bool:
    """Return whether it has one number a sample."""
    return node.shape[1:] in ((), (1,))


class _Network:
    """What is computed from one placeholder and parameters alone.

    Attributes
    ----------
    x : Node
    of_x : dict of Node to None
        In the order of evaluation, with `x`.
    tail : list of Node
        From where the last parameter goes in, to what the loss is computed from: the last is the output.
    through : str
        What the loss puts the output through: "softmax", "sigmoid" or "".
    """

    def __init__(self, trace: Trace, x: Node) -> None:
        self.x, self.kinds = x, {name: scope.kind for name, scope in trace.graph.scopes.items()}
        self.of_x: dict[Node, None] = {x: None}
        learned: set[Node] = set()
        others: set[Node] = set()
        for node in trace.order:
            if node.op.is_parameter:
                learned.add(node)
            elif (node.op.is_placeholder and node is not x) or not others.isdisjoint(node.inputs):
                others.add(node)
            elif node.phase == "forward" and any(operand in self.of_x for operand in node.inputs):
                self.of_x[node] = None
            elif not learned.isdisjoint(node.inputs):
                learned.add(node)
        self.learned = learned
        self.tail = self._tail()
        readers = [node for node in trace.order if self.tail and self.tail[-1] in node.inputs]
        kinds = "".join(self._kind(node) for node in readers if self._in_loss(node))
        self.through = next((name for name in ("softmax", "sigmoid") if name in kinds), "")

    def _kind(self, node: Node) -> str:
        return self.kinds.get(node.scope, "")

    def _in_loss(self, node: Node) -> bool:
        return any(word in self._kind(node).lower() for word in _LOSSES)

    def _tail(self) -> list[Node]:
        order = [node for node in self.of_x if not self._in_loss(node)]
        made: list[Node] = []
        inside: set[Node] = set()  # what a parameter went into, and has its rows elsewhere than first: a loop, say
        for node in order:
            if not self.learned.isdisjoint(node.inputs) or not inside.isdisjoint(node.inputs):
                if self._has_rows(node):
                    made.append(node)
                else:
                    inside.add(node)
        if not made:
            return []
        tail = {made[-1]: None}
        for node in order[order.index(made[-1]) + 1 :]:
            if all(operand in tail or operand not in self.of_x for operand in node.inputs):
                tail[node] = None
        return [node for node in tail if self._has_rows(node) and node.shape == made[-1].shape]

    def _has_rows(self, node: Node) -> bool:
        return node.shape[:1] == self.x.shape[:1] and is_float(node.dtype)

    def layers(self) -> list[Node]:
        """Return what the layers read, and the output: the units that are drawn."""
        before, stack = set(), [self.tail[-1]]
        while stack:
            node = stack.pop()
            if node in self.of_x and node not in before:
                before.add(node)
                stack += node.inputs
        read = {
            operand: None
            for node in self.of_x
            if node in before
            for operand in node.inputs
            if self._reads(node, operand)
        }
        found = [node for node in self.of_x if node in read and self._has_rows(node) and node is not self.tail[-1]]
        return [*found[: _MOST_LAYERS - 1], self.tail[-1]]

    def _reads(self, reader: Node, node: Node) -> bool:
        """Return whether a layer begins where a node is read, or a softmax of maps ends."""
        if self._kind(node).lower() == "softmax" and reader.scope != node.scope:
            return node.ndim > 2
        if not reader.scope:
            return not reader.op.elementwise and not self.learned.isdisjoint(reader.inputs)
        inside = f"{node.scope}/".startswith(f"{reader.scope}/")
        return not inside and self._kind(reader).lower() != "softmax" and not self._in_loss(reader)
