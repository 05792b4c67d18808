"""The bodies of loops and branches as the engine has them: graphs as any other, which hold what is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...control_flow.branch_op import Branch
from ...control_flow.bundle import LoopItem
from ...control_flow.fixed_point_op import FixedPoint
from ...control_flow.loop_body import Keeping, graph_of
from ...control_flow.loop_op import Loop
from ...runtime.program import program_of

if TYPE_CHECKING:
    from ...core import Node, Op, Spec

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


def computed(order: Sequence[Node], fetches: Iterable[Node], op_of: Callable[[Node], Op]) -> Computed:
    """Return the nodes of a schedule as the engine computes them."""
    kept = _items_read(order, fetches, op_of)
    alike: dict[Any, list[Node]] = {}
    for node in kept:
        alike.setdefault((node.inputs, _keeping(op_of(node), ())), []).append(node)
    first = {node: nodes[0] for nodes in alike.values() for node in nodes}
    one = {
        nodes[0]: _keeping(op_of(nodes[0]), {each: None for node in nodes for each in kept[node]})
        for nodes in alike.values()
    }
    order = [node for node in order if first.get(node, node) is node]
    ops, specs = [], []
    for node in order:
        op, spec = one.get(node) or op_of(node), node.spec
        if node in one:
            spec = op.layout.spec
        elif isinstance(op, LoopItem) and node.inputs[0] in first:
            bundle: Any = op_of(node.inputs[0])
            op = LoopItem(one[first[node.inputs[0]]].place(*bundle.kept_at[op.place]).start, op.shape, op.dtype)
        ops.append(op)
        specs.append(spec)
    number = {node: i for i, node in enumerate(order)}
    return Computed(order, ops, specs, number | {node: number[other] for node, other in first.items()})


def _keeping(op: Any, kept: Iterable[Any]) -> Any:
    return op.keeping(tuple(kept))


def _items_read(order: Sequence[Node], fetches: Iterable[Node], op_of: Callable[[Node], Op]) -> dict[Node, list[Any]]:
    """Return what is read of each loop and branch of which only items are."""
    found: dict[Node, list[Any]] = {node: [] for node in order if isinstance(op_of(node), Keeping)}
    for node in order:
        op = op_of(node)
        for operand in node.inputs:
            if operand in found and isinstance(op, LoopItem):
                bundle: Any = op_of(operand)
                found[operand].append(bundle.kept_at[op.place])
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


def bodies_of(op: Op) -> list[Body]:
    """Return the bodies of an operation; most have none."""
    if isinstance(op, Loop):
        return [_body(op.body, op.wanted)]
    if isinstance(op, Branch):
        return [_body(*each) for each in zip((op.then, op.otherwise), op.wanted, strict=True)]
    return []


def _body(text: str, wanted: Sequence[int]) -> Body:
    graph = graph_of(text)
    nodes = list(graph)
    fetches = [nodes[at] for at in wanted]
    found = computed(program_of(graph, fetches).order, fetches, lambda node: node.op)
    inputs = [found.number.get(node, -1) for node in graph.placeholders]
    return Body(found, inputs, {node.index: i for node, i in found.number.items()})


def with_inner(ops: Sequence[Op]) -> Iterator[Op]:
    """Yield operations, and those of their bodies."""
    for op in ops:
        yield op
        for body in bodies_of(op):
            yield from with_inner(body.nodes.ops)


def settings_of_loop(op: Keeping) -> dict[str, Any]:
    """Return what the engine computes a loop or a branch by: numbers of nodes of its bodies, and where items lie."""
    bodies = bodies_of(op)
    starts = [place.start for place in op.layout.places]  # type: ignore[attr-defined]
    if isinstance(op, Branch):
        pairs = [[body.number.get(at, -1) for body, at in zip(bodies, pair, strict=True)] for pair in op.kept]
        return {"kept": pairs, "starts": starts}
    assert isinstance(op, Loop)
    (body,) = bodies
    return {
        "length": min(op.length, _MOST_ITERATIONS) if isinstance(op.length, int) else op.length,
        "carried": [body.number[at] for at in op.carried],
        "rows": op.rows,
        "kept": [[kind, body.number[at] if kind == "each" else at] for kind, at in op.kept],
        "starts": starts,
        "indexed": op.indexed,
        "counted": op.counted,
        "backwards": op.backwards,
        "goes_on": body.number.get(op.while_, -1),
    } | ({"tolerance": op.tolerance} if isinstance(op, FixedPoint) else {})
