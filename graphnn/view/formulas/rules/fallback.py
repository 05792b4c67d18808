"""How an operation is written that no rule is registered for: by its name."""

from __future__ import annotations

from ....core import Node, Op
from ..expressions import Applied, At, Expression
from ..naming import escaped
from ..writer import Places, Writer, fallbacks, rules


def named(op: Op, node: Node, write: Writer, at: Places, called: str = "") -> Expression:
    """Return the operation's name with its operands, or its element at some places."""
    applied = Applied(op, called or escaped(op.name), tuple(write.whole(operand) for operand in node.inputs), node.ndim)
    return At(applied, at) if at else applied


rules[Op] = named
fallbacks.append(named)
