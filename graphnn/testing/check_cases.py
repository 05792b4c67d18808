"""What is checked: some nodes of a graph, the nodes to differentiate by, and the values that are fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..core import Array, Graph, Node, Op, is_float
from ..runtime.evaluation_loop import collect
from ..runtime.feed import Feed, checked_feed, prepare
from ..runtime.interpreter import steps


class Case(NamedTuple):
    """Placeholders of a graph, and what is computed from them at the values they are fed.

    Attributes
    ----------
    outputs : list of Node
    wrt : list of Node
        The placeholders to differentiate with respect to.
    feed : dict of Node to array
    sizes : mapping of str to int
    mode : str
        ``"vjp"`` or ``"jvp"`` if the outputs are derivatives already.
    source : Case
        What they are the derivatives of.
    is_single_node : bool
        Whether it is one node with its operands, or derivatives of that.
    """

    outputs: list[Node]
    wrt: list[Node]
    feed: dict[Node, Array]
    sizes: Mapping[str, int] = {}
    mode: str = ""
    source: Case | None = None
    is_single_node: bool = False

    def values(self, nodes: Sequence[Node], feed: Mapping[Node, Array] | None = None) -> list[Array]:
        """Evaluate nodes of the graph at what is fed."""
        graph = self.outputs[0].graph
        return collect(prepare(graph, list(nodes), self.feed if feed is None else feed, self.sizes))


def flowing(node: Node) -> list[int]:
    """Return the positions of the operands from which a derivative passes through a node."""
    if not node.op.differentiable or not is_float(node.dtype):
        return []
    return [i for i, operand in enumerate(node.inputs) if is_float(operand.dtype) and node.op.flows(i)]


def reached(outputs: Sequence[Node]) -> set[Node]:
    """Return the nodes from which a derivative passes to the outputs, these included."""
    found = set(outputs)
    for node in (ahead := [*found]):
        fresh = {node.inputs[i] for i in flowing(node)} - found
        found |= fresh
        ahead += fresh
    return found


def copied(graph: Graph, results: Sequence[Node], wrt: Sequence[Node], feed: Feed | None) -> Case:
    """Return a copy, in float64, of what derivatives pass through; the rest is fed with the values it has."""
    values = {step.node: step.value for step in steps([*results, *wrt], feed, graph=graph)}
    target = Graph(graph.name)
    copies: dict[Node, Node] = {}
    held: dict[Node, Node] = {}
    given: dict[Node, Array] = {}
    moved = set(wrt)

    def fed(node: Node, name: str) -> Node:
        value = values[node]
        value = value.astype(np.float64) if is_float(value.dtype) else value
        with target.in_scope(None, origin=node.origin, origin_of_nodes=True):
            placeholder = target.placeholder(name, node.shape, value.dtype)
        given[placeholder] = value
        return placeholder

    def constant(node: Node) -> Node:
        if node not in held:
            held[node] = fed(node, target.free_name(f"{node.name} (held)") if node in copies else node.name)
        return held[node]

    for node in values:
        through = flowing(node)
        if node in moved:
            copies[node] = fed(node, node.name)
        elif any(node.inputs[i] in copies for i in through):
            inputs = [
                copies[operand] if i in through and operand in copies else constant(operand)
                for i, operand in enumerate(node.inputs)
            ]
            with target.in_scope(None, origin=node.origin, origin_of_nodes=True):
                copies[node] = target.add(_in_float64(node.op), inputs, node.name)
    outputs = [copies[node] if node in copies else constant(node) for node in dict.fromkeys(results)]
    sizes = {name: size for name, size in checked_feed(graph, feed)[1].items() if name.isidentifier()}
    for name in sizes:
        # The copy may lack the placeholder that has this size, and a run refuses sizes that nothing declares.
        target.placeholder(target.free_name(f"{name} (size)"), (name,))
    return Case(outputs, [copies[node] for node in wrt], given, sizes)


def _in_float64(op: Op) -> Op:
    return replace(op, dtype="float64") if op.attributes.get("dtype") in ("float16", "float32") else op  # type: ignore[type-var]


def case_of(op: Op, arrays: Sequence[Array]) -> tuple[Case, list[int]]:
    """Return a graph of one operation, and the positions of the operands it is differentiated by."""
    graph, op = Graph(op.name), _in_float64(op)
    names = [f"{op.operands[0]}_{i}" for i in range(len(arrays))] if op.variadic else op.operands
    inputs = [graph.placeholder(name, x.shape, x.dtype) for name, x in zip(names, arrays, strict=True)]
    node = graph.add(op, inputs)
    through, feed = flowing(node), dict(zip(inputs, arrays, strict=True))
    return Case([node], [inputs[i] for i in through], feed, is_single_node=True), through
