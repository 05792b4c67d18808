"""What if: prepared runs with values and operations set by hand, which the one loop evaluates like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..core import Array, Node, Op, as_array, cast_in_range, may_become
from ..core.op import inferred
from ..core.symbolic_shapes import shown
from ..errors import DtypeError, ShapeError
from ..runtime.program import Forward, forward_of, warn_of_infinity

if TYPE_CHECKING:
    from ..runtime.evaluation_loop import Prepared


def given_before(prepared: Prepared) -> dict[Node, Array]:
    """Return what a run was given before any of it was set by hand."""
    kept = {node: value for node, value in prepared.given.items() if node not in prepared.overridden}
    return kept | dict(prepared.before)


def with_value(prepared: Prepared, node: Node, value: Any) -> Prepared:
    """Return a prepared run with a value that a node is to have, whatever it computes.

    Raises
    ------
    ShapeError, DtypeError
        When it is not of the shape that the node has in this run, or its dtype does not go into the node's.
    """
    array = as_array(value, f'the value of "{node.name}"')
    if array.shape != prepared.shape_of(node):
        raise ShapeError(
            f'the value given for "{node.name}" has shape {shown(array.shape)}; '
            f"in this run it has {shown(prepared.shape_of(node))}"
            + (f"; np.full({prepared.shape_of(node)}, {array}) has that" if array.ndim == 0 else "")
        )
    if not may_become(array.dtype, node.dtype):
        raise DtypeError(f'the value given for "{node.name}" is {array.dtype}, and the node is {node.dtype}')
    own = np.array(cast_in_range(array, node.dtype, f'the value of "{node.name}"'), order="C")
    own.flags.writeable = False
    if own.dtype != array.dtype:
        warn_of_infinity(node, own, [array])
    return _with(prepared, node, None, own)._replace(overridden={**prepared.overridden, node: None})


def with_op(prepared: Prepared, node: Node, op: Op) -> Prepared:
    """Return a prepared run with another operation, of the same shape and dtype, in the place of a node's.

    Raises
    ------
    ShapeError
        When its shape or dtype would be another.
    """
    spec = inferred(op, [operand.spec for operand in node.inputs])
    if spec != node.spec:
        raise ShapeError(f'{op!r} would give {spec}, where "{node.name}" is {node.spec}: what reads it would not fit')
    found = _with(prepared, node, forward_of(node, op, prepared.sizes), None)
    return found._replace(overridden={**prepared.overridden, node: op})


def in_state_of(prepared: Prepared, other: Prepared) -> Prepared:
    """Return a prepared run in the state of another run of the graph, with what was set by hand in it, its feed aside.

    Raises
    ------
    ShapeError
        When a value that was set does not fit this run.
    """
    state = {node: value for node, value in given_before(other).items() if not node.op.is_placeholder}
    found = prepared._replace(given=prepared.given | state)
    for node, op in other.overridden.items():
        if node in prepared.program.order and not node.op.is_placeholder:
            found = with_value(found, node, other.given[node]) if op is None else with_op(found, node, op)
    return found


def without(prepared: Prepared, *nodes: Node) -> Prepared:
    """Return a prepared run with nodes that compute, or are given, again what they did before they were set by hand."""
    found = prepared
    for node in nodes:
        is_given = node.has_value or node.op.is_placeholder
        forward = None if is_given else forward_of(node, node.op, prepared.sizes)
        found = _with(found, node, forward, prepared.before.get(node))
        found = found._replace(
            overridden={other: op for other, op in found.overridden.items() if other is not node},
            before={other: value for other, value in found.before.items() if other is not node},
        )
    return found


def _with(prepared: Prepared, node: Node, forward: Forward | None, value: Array | None) -> Prepared:
    forwards = prepared.binding.forwards.copy()
    forwards[prepared.program.order.index(node)] = forward
    given = {other: array for other, array in prepared.given.items() if other is not node}
    if value is not None:
        given[node] = value
    before = dict(prepared.before)
    if node in prepared.given and node not in prepared.overridden:
        before[node] = prepared.given[node]
    return prepared._replace(binding=prepared.binding._replace(forwards=forwards), given=given, before=before)
