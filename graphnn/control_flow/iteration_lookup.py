"""What a name such as ``scan_1@137/tanh`` means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..core.graph import INSIDE
from ..errors import AxisError, NotFoundError, near
from .branch_op import Branch
from .iteration_names import NodeInside, has_bodies, loop_of_scope, short_name_of
from .loop_body import graph_of
from .loop_op import Loop

if TYPE_CHECKING:
    from ..core import Graph, Node, Op

_NAME = re.compile(r"(.+?)@(\d+|then|otherwise)/(.+)", re.DOTALL)


def loop_called(graph: Graph, name: str) -> Node | None:
    """Return the loop of a name, or of the scope that was opened for it."""
    node = loop_of_scope(graph, name)
    node = graph._find(name) if node is None else node
    return node if node is not None and has_bodies(node) else None


@INSIDE.give()
def found_inside(graph: Graph, name: str) -> NodeInside | None:
    """Return what a name such as ``scan_1@137/tanh`` means; None if it is not such a name.

    Raises
    ------
    NotFoundError
        When there is no such loop, or no such node in its body.
    AxisError
        When there is no such iteration.
    """
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    called, iteration, rest = parts[1], parts[2], parts[3]
    loop = loop_called(graph, called)
    if loop is None:
        known = dict.fromkeys(short_name_of(node) for node in graph if has_bodies(node))
        raise NotFoundError(f'the graph "{graph.name}" has no loop or branch "{called}".{near(called, known)}')
    row: int | str = int(iteration) if iteration.isdigit() else iteration
    body = _body(called, loop.op, row)
    node: Node | NodeInside | None = body._find(rest)
    node = found_inside(body, rest) if node is None else node
    if node is None:
        hint = near(rest, [*body.dag, *body.scopes])
        raise NotFoundError(f'the body of "{called}" has no node or scope "{rest}".{hint}')
    return NodeInside(loop, row, node)


def _body(called: str, op: Op, row: int | str) -> Graph:
    """Return the body of an iteration, or of a side."""
    if isinstance(op, Branch):
        if row not in op.bodies:
            raise AxisError(f'"{called}" is a branch, with the sides {called}@then and {called}@otherwise')
        return op.bodies[row]
    assert isinstance(op, Loop)
    if isinstance(row, str):
        raise AxisError(f'"{called}" is a loop, with the iterations {called}@0, {called}@1, …')
    if isinstance(op.length, int) and row >= op.length:
        raise AxisError(f'"{called}" has iterations 0 to {op.length - 1}, not {row}')
    return graph_of(op.body)
