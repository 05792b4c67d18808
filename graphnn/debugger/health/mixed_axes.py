"""Axes that are combined by mistake: a batch paired with itself, axes of one length."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from ...core.symbolic_shapes import shown
from .check_registry import check
from .evaluation import Evaluation, before_constants
from .node_roles import Meeting, Roles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...core import Node
    from .findings import Finding

_MAKES_AXES = frozenset({"expand_dims", "getitem", "reshape"})
"""Operations that make a column of a row on purpose, if they add an axis."""


@check(
    "every-pair",
    "a batch as a column meets one as a row, so every sample is paired with every other; found for named dimensions",
    "give both the same shape, as gn.reshape(y, (-1, 1)) does; if you want pairs, write y[None, :]",
)
def every_pair(run: Evaluation) -> Iterator[Finding]:
    """Look whether a batch is paired with itself, without being asked to."""
    run.checked["shapes"] = ""
    reported: set[frozenset[Node]] = set()
    meetings = {each.node: each for each in run.part(Roles).meetings}
    for node in run.part(_elementwise):
        if node in meetings and (cause := _of_labels(run, meetings[node])):
            reported.add(frozenset(node.inputs))
            yield every_pair.of(node, cause)
            continue
        crossed = next((dim for dim in node.shape if isinstance(dim, str) and node.shape.count(dim) > 1), None)
        if crossed is None:
            continue
        met = [operand for operand in node.inputs if crossed in operand.shape]
        short = [operand for operand in met if len(operand.shape) < len(node.shape)]
        if not short or any(operand.shape.count(crossed) > 1 for operand in met):
            continue
        columns = [operand for operand in met if operand not in short]
        if frozenset(node.inputs) in reported or any(_is_asked_for(column, short) for column in columns):
            continue
        reported.add(frozenset(node.inputs))
        shapes = " and ".join(f"{each.name} {shown(each.shape)}" for each in met)
        result = f"{node.name} {shown(node.shape)}"
        cause = f"{shapes} broadcast to {result}: each element along {crossed} is paired with every other"
        yield every_pair.of(node, cause)


@check(
    "other-axis",
    "two unrelated axes are broadcast together because they happen to have the same length; found for named dimensions",
    "use keepdims=True to keep the axis that was reduced, so that each row meets its own result; or write y[:, None]",
)
def other_axis(run: Evaluation) -> Iterator[Finding]:
    """Look for axes that happen to have the same length, where one belongs to another axis of the operand."""
    for node in run.part(_elementwise):
        if node.spec.constraints and (cause := _met_by_chance(node)):
            yield other_axis.of(node, cause)


def _elementwise(run: Evaluation) -> list[Node]:
    """Return the elementwise operations of the forward pass whose values are not empty."""
    nodes = [(node, run.values[i]) for node, i in run.forward_nodes.items() if node.op.elementwise]
    return [node for node, value in nodes if value is not None and value.size]


def _met_by_chance(node: Node) -> str:
    for long, short in permutations(node.inputs, 2):
        if len(long.shape) <= len(short.shape):
            continue
        for other, dim in zip(reversed(long.shape), reversed(short.shape), strict=False):
            if isinstance(dim, str) and dim != other != 1 and dim in long.shape:
                return (
                    f"in {node.name} {shown(node.shape)}, {dim} of {short.name} {shown(short.shape)} "
                    f"meets {other} of {long.name} {shown(long.shape)}, which has the same length by chance"
                )
    return ""


def _of_labels(run: Evaluation, meeting: Meeting) -> str:
    """Return how a column of predictions meets a row of labels, or the reverse, so that each meets all; "" if not."""
    made, labels = (run.value_of(each).shape for each in (meeting.made, meeting.labels))
    if len(made) == len(labels) or not meeting.node.op.elementwise:
        return ""
    long, short = (made, labels) if len(made) > len(labels) else (labels, made)
    rows = short[-1] if short else 1
    column = meeting.made if long is made else meeting.labels
    if rows < 2 or long[-1] != 1 or rows not in long[:-1] or (column is meeting.labels and _adds_axis(column)):
        return ""
    shapes = " and ".join(f"{each.name} {shown(each.shape)}" for each in meeting.node.inputs)
    return (
        f"{shapes} broadcast to {meeting.node.name} {shown(meeting.node.shape)}: each prediction is compared with the "
        f"labels of all {rows:,} samples"
    )


def _adds_axis(node: Node) -> bool:
    """Return whether the operation that gives a column makes it of a row."""
    node = before_constants(node)
    return node.op.name in _MAKES_AXES and node.ndim > node.inputs[0].ndim


def _is_asked_for(column: Node, rows: Sequence[Node]) -> bool:
    """Return whether a column was made to get pairs: by y[:, None], by keepdims=True, or from the row it meets."""
    if column.op.attributes.get("keepdims"):
        return True
    for row in rows:
        while row is not column and row.op.rearranges and len(row.inputs) == 1:
            row = row.inputs[0]
        if row is column:
            return True
    return _adds_axis(column)
