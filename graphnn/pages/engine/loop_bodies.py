"""The bodies of loops and branches as the engine has them: graphs as any other, which hold what is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...control_flow.branch_op import Branch
from ...control_flow.fixed_point_op import FixedPoint
from ...control_flow.loop_body import Keeping, graph_of
from ...control_flow.loop_op import Loop
from ...core import Node, Op
from ...runtime.program import program_of

_MOST_ITERATIONS = 2**53 - 1
"""Of a loop that only its condition ends, as the page counts."""


class Body(NamedTuple):
    """A body, of which only what is read is computed.

    Attributes
    ----------
    order : sequence of Node
    number : dict of int to int
        {place of a node in the body: its number in `order`}.
    inputs : list of int
        The numbers of the inputs; -1 of one that is not read.
    """

    order: Sequence[Node]
    number: dict[int, int]
    inputs: list[int]


def bodies_of(op: Op) -> list[Body]:
    """Return the bodies of an operation; most have none."""
    if isinstance(op, Loop):
        return [_body(op.body, op.wanted)]
    return [_body(*each) for each in zip((op.then, op.otherwise), op.wanted, strict=True)] if isinstance(op, Branch) else []


def _body(text: str, wanted: Sequence[int]) -> Body:
    graph = graph_of(text)
    nodes = list(graph)
    order = program_of(graph, [nodes[at] for at in wanted]).order
    number = {node.index: i for i, node in enumerate(order)}
    return Body(order, number, [number.get(node.index, -1) for node in graph.placeholders])


def with_inner(ops: Sequence[Op]) -> Iterator[Op]:
    """Yield operations, and those of their bodies."""
    for op in ops:
        yield op
        for body in bodies_of(op):
            yield from with_inner([node.op for node in body.order])


def settings_of_loop(op: Keeping) -> dict[str, Any]:
    """Return what the engine computes a loop or a branch by: numbers of nodes of its bodies, and where a bundle has what."""
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
