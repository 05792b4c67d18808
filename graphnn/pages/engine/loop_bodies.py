"""The bodies of loops and branches as the engine has them: graphs as any other, which hold what is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...control_flow.branch_op import Branch
from ...control_flow.bundle import LoopItem
from ...control_flow.fixed_point_op import FixedPoint
from ...control_flow.loop_op import Loop
from ...runtime.program import program_of

if TYPE_CHECKING:
    from ...core import Graph, Node, Op, Spec

_MOST_ITERATIONS = 2**53 - 1
"""Of a loop that only its condition ends, as the page counts."""


class Computed(NamedTuple):
    """Nodes as the engine computes them: of loops that differ in what they keep there is one, which keeps what is read.

    Attributes
    ----------
    order : list of Node
    ops : list of Op
        What computes each.
    specs : list of Spec
    number : dict of Node to int
        The number of each node in `order`; of a loop that is not there, that of the one that is.
    """

    order: list[Node]
    ops: list[Op]
    specs: list[Spec]
    number: dict[Node, int]


def computed(order: Sequence[Node], fetches: Iterable[Node], op_of: Callable[[Node], Any]) -> Computed:
    """Return the nodes of a schedule as the engine computes them."""
    kept = _items_read(order, fetches, op_of)
    alike: dict[Any, list[Node]] = {}
    for node in kept:
        alike.setdefault((node.inputs, op_of(node).keeping(())), []).append(node)
    first = {node: nodes[0] for nodes in alike.values() for node in nodes}
    one = {
        nodes[0]: op_of(nodes[0]).keeping(dict.fromkeys([each for node in nodes for each in kept[node]]))
        for nodes in alike.values()
    }
    order = [node for node in order if first.get(node, node) is node]
    ops, specs = [], []
    for node in order:
        op, spec = one.get(node) or op_of(node), node.spec
        if node in one:
            spec = op.layout.spec
        elif op.is_loop_item and node.inputs[0] in first:
            (bundle,) = node.inputs
            start = one[first[bundle]].place(*op_of(bundle).kept_at[op.place]).start
            op = LoopItem(start, op.shape, op.dtype)
        ops.append(op)
        specs.append(spec)
    number = {node: i for i, node in enumerate(order)}
    return Computed(order, ops, specs, number | {node: number[other] for node, other in first.items()})


def _items_read(order: Sequence[Node], fetches: Iterable[Node], op_of: Callable[[Node], Any]) -> dict[Node, list[Any]]:
    """Return what is read of each loop and branch of which only items are."""
    found: dict[Node, list[Any]] = {node: [] for node in order if op_of(node).holds_bodies}
    for node in order:
        op = op_of(node)
        for operand in node.inputs:
            if operand in found and op.is_loop_item:
                found[operand].append(op_of(operand).kept_at[op.place])
            else:
                found.pop(operand, None)
    for node in fetches:
        found.pop(node, None)
    return found


class Body(NamedTuple):
    """A body, of which only what is read is computed.

    Attributes
    ----------
    nodes : Computed
    inputs : list of int
        The numbers of the inputs; -1 of one that is not read.
    number : dict of int to int
        {place of a node in the body: its number}.
    """

    nodes: Computed
    inputs: list[int]
    number: dict[int, int]


def bodies_of(op: Any) -> list[Body]:
    """Return the bodies of an operation; most have none."""
    if not op.holds_bodies:
        return []
    graphs = list(op.bodies.values())
    return [_body(*each) for each in zip(graphs, op.wanted if len(graphs) > 1 else [op.wanted], strict=True)]


def _body(graph: Graph, wanted: Sequence[int]) -> Body:
    nodes = list(graph)
    fetches = [nodes[at] for at in wanted]
    found = computed(program_of(graph, fetches).order, fetches, lambda node: node.op)
    inputs = [found.number.get(node, -1) for node in graph.placeholders]
    return Body(found, inputs, {node.index: i for node, i in found.number.items()})


def with_bodies(nodes: Computed) -> Iterator[Computed]:
    """Yield nodes, and those of the bodies among them, at any depth."""
    yield nodes
    for op in nodes.ops:
        for body in bodies_of(op):
            yield from with_bodies(body.nodes)


def settings_of_loop(op: Any) -> dict[str, Any]:
    """Return what the engine computes a loop or a branch by: numbers of nodes of its bodies, and where items lie."""
    starts = [place.start for place in op.layout.places]
    return {"starts": starts} | _SETTINGS[type(op)](op, [body.number for body in bodies_of(op)])


def _of_loop(op: Any, numbers: list[dict[int, int]]) -> dict[str, Any]:
    (number,) = numbers
    return {
        "length": min(op.length, _MOST_ITERATIONS) if isinstance(op.length, int) else op.length,
        "carried": [number[at] for at in op.carried],
        "rows": op.rows,
        "kept": [[kind, number[at] if kind == "each" else at] for kind, at in op.kept],
        "indexed": op.indexed,
        "counted": op.counted,
        "backwards": op.backwards,
        "goes_on": number.get(op.while_, -1),
    }


def _of_fixed_point(op: Any, numbers: list[dict[int, int]]) -> dict[str, Any]:
    return {"tolerance": op.tolerance} | _of_loop(op, numbers)


def _of_branch(op: Any, numbers: list[dict[int, int]]) -> dict[str, Any]:
    pairs = [[number.get(at, -1) for number, at in zip(numbers, pair, strict=True)] for pair in op.kept]
    return {"kept": pairs}


_SETTINGS: dict[type[Op], Callable[[Any, list[dict[int, int]]], dict[str, Any]]] = {
    Loop: _of_loop,
    FixedPoint: _of_fixed_point,
    Branch: _of_branch,
}
