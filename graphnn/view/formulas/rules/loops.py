"""How loops are written: as what an iteration computes from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....control_flow.bundle import LoopItem
from ....control_flow.loop_op import Loop
from ..expressions import Expression, Size
from ..writer import Places, Writer, loop_keys, never_lines, rules
from .fallback import named

if TYPE_CHECKING:
    from ....core import Node


def _item(op: LoopItem, node: Node, write: Writer, at: Places) -> Expression:
    (loop,) = node.inputs
    body = write.body(loop)
    if body is None or not isinstance(loop.op, Loop):
        return named(op, node, write, at)
    kind, which = loop.op.kept_at[op.place]
    if kind == "count":
        return Size(loop.op.length)
    return body.last(which, at) if kind == "last" else body.each(which, at)


rules[LoopItem] = _item
never_lines |= {LoopItem, Loop}
loop_keys[Loop] = lambda op: (op.body, op.names, op.dims, op.length, op.carried, op.rows, op.backwards, op.while_)
