"""How loops are written: as what an iteration computes from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....control_flow.branch_op import Branch
from ....control_flow.bundle import LoopItem
from ....control_flow.fixed_point_op import FixedPoint
from ....control_flow.loop_op import Loop
from ..body_writer import BodyWriter
from ..expressions import Applied, At, Expression, Size
from ..naming import escaped
from ..writer import Manner, Places, Writer, bodies, loop_keys, manners, rules

if TYPE_CHECKING:
    from ....core import Node


def _item(op: LoopItem, node: Node, write: Writer, at: Places) -> Expression:
    (loop,) = node.inputs
    body = write.body(loop)
    if body is None or not isinstance(loop.op, Loop):
        scope = node.graph.scopes.get(loop.scope)
        called = escaped(scope.kind if scope is not None and scope.kind else loop.op.name)
        whole = Applied(loop.op, called, tuple(map(write.whole, loop.inputs)), 1)
        item = Applied(op, "", (whole,), node.ndim)
        return At(item, at) if at else item
    kind, which = loop.op.kept_at[op.place]
    if kind == "count":
        return Size(loop.op.length)
    return body.last(which, at) if kind == "last" else body.each(which, at)


def _body(outer: Writer, loop: Node) -> BodyWriter | None:
    """Return the writer of what a loop computes in one iteration; None if only a run ends it."""
    op = loop.op
    if type(op) is not Loop or op.while_ >= 0 or op.counted or op.names != op.dims:
        return None
    if any(op.nodes[at].op.is_leaf for at in op.carried):
        return None
    return BodyWriter(outer, loop, op)


rules[LoopItem] = _item
for _class in (LoopItem, Loop, FixedPoint, Branch):
    manners[_class] = Manner(line=False)
bodies.append(_body)
loop_keys[Loop] = lambda op: (op.body, op.names, op.dims, op.length, op.carried, op.rows, op.backwards, op.while_)
