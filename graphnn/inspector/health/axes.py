"""Axes that are combined by mistake: a batch paired with itself, a softmax over the wrong axis."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from ...graph.dimensions import shown
from ...ops.base import Rearranging
from ...ops.elementwise import Elementwise
from .checks import check
from .evaluation import Evaluation, before_constants
from .findings import Finding, at_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...graph import Node

_MAKES_AXES = frozenset({"expand_dims", "getitem", "reshape"})
"""Operations that make a column of a row on purpose."""


@check(
    "every-pair",
    "a batch as a column meets one as a row, so every sample is paired with every other; found for named dimensions",
    "give both the same shape, as gn.reshape(y, (-1, 1)) does; if you want pairs, write y[None, :]",
)
def every_pair(run: Evaluation) -> Iterator[Finding]:
    """Look whether a batch is paired with itself, without being asked to."""
    reported: set[frozenset[Node]] = set()
    for node in run.part(_elementwise):
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
    nodes = [(node, run.values[i]) for node, i in run.forward_nodes.items() if isinstance(node.op, Elementwise)]
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


def _is_asked_for(column: Node, rows: Sequence[Node]) -> bool:
    """Return whether a column was made to get pairs: by y[:, None], by keepdims=True, or from the row it meets."""
    if column.op.attributes.get("keepdims"):
        return True
    for row in rows:
        while row is not column and isinstance(row.op, Rearranging) and len(row.inputs) == 1:
            row = row.inputs[0]
        if row is column:
            return True
    return before_constants(column).op.name in _MAKES_AXES


@check(
    "softmax-axis",
    "a softmax runs over another axis than the one over which its weighted result is summed",
    "use the axis that is summed next: gn.softmax(scores, axis=…)",
)
def softmax_axis(run: Evaluation) -> Iterator[Finding]:
    """Look at sums that a softmax weighs, and at its axis."""
    batch = {each.shape[0] for each in run.prepared.program.placeholders if each.shape}
    for place, _ in run.forward:
        node = run.order[place]
        for i, read in enumerate(run.inputs[place] if node.op.name in ("matmul", "einsum", "sum") else ()):
            soft, summed = _weights_in(run, place, i, read)
            axis = None if soft is None else _softmax_axis(run, soft)
            if soft is None or axis is None or not summed or axis in summed:
                continue
            weights, sizes = run.order[soft], run.values[soft].shape
            over_batch = any(isinstance(weights.shape[k], str) and weights.shape[k] in batch for k in summed)
            if over_batch or max(sizes[k] for k in summed) <= 1 or _is_renormed(run, weights, summed, node):
                continue
            axes = ", ".join(map(str, summed))
            yield softmax_axis.of(
                weights,
                f"{weights.name}{at_line(weights)} sums to 1 over axis {axis}, but {node.name}{at_line(node)} sums it "
                f"over axis {axes}",
                remedy=f"use gn.softmax(scores, axis={summed[0] - weights.ndim}), the axis that is summed",
            )


def _weights_in(run: Evaluation, place: int, i: int, read: int) -> tuple[int | None, tuple[int, ...]]:
    """Return the place of a softmax that an operation multiplies and sums, and the axes that it sums over."""
    node = run.order[place]
    if node.op.name == "sum":
        product = run.order[read]
        if product.op.name != "multiply":
            return None, ()
        ndim = run.values[read].ndim
        over = [k - ndim for k in run.op(place).over(ndim)]  # type: ignore[attr-defined]
        for source in run.inputs[read]:
            axes = [k - run.values[source].ndim for k in range(run.values[source].ndim)]  # of the product, from its end
            while run.op(source).name == "expand_dims":
                new = run.op(source).axes(run.values[run.inputs[source][0]].ndim)  # type: ignore[attr-defined]
                axes = [end for k, end in enumerate(axes) if k not in new]
                source = run.inputs[source][0]
            soft = _untouched(run, source)
            if soft is not None:
                sizes = run.values[soft].shape
                return soft, tuple(k for k, end in enumerate(axes) if end in over and sizes[k] > 1)
        return None, ()
    soft = _untouched(run, read)
    if soft is None or run.values[soft].ndim < 2:
        return None, ()
    ndim = run.values[soft].ndim
    if node.op.name == "matmul":
        return soft, ((ndim - 1,) if i == 0 else (ndim - 2,))
    left, _, right = run.op(place).subscripts.partition("->")  # type: ignore[attr-defined]
    return soft, tuple(k for k, letter in enumerate(left.split(",")[i]) if letter not in right)


def _untouched(run: Evaluation, place: int) -> int | None:
    """Return the place of a softmax if a value is its result, perhaps cast; else None."""
    while (node := run.order[place]).op.name == "cast":
        place = run.inputs[place][0]
    if node.op.name != "divide" or node.inputs[0].op.name != "exp" or node.inputs[1].op.name != "sum":
        return None
    return place if node.inputs[1].inputs[0] is node.inputs[0] else None


def _softmax_axis(run: Evaluation, place: int) -> int | None:
    """Return the axis of a softmax, if it has one only."""
    over: tuple[int, ...] = run.op(run.inputs[place][1]).over(run.values[place].ndim)  # type: ignore[attr-defined]
    return over[0] if len(over) == 1 else None


def _is_renormed(run: Evaluation, weights: Node, summed: Sequence[int], but: Node) -> bool:
    """Return whether the weights are also summed by themselves over these axes, to be divided by that."""
    for user in weights.users:
        if user in run.places and user.op.name in ("sum", "mean") and user is not but:
            over = run.op(run.places[user]).over(weights.ndim)  # type: ignore[attr-defined]
            if set(summed) <= set(over):
                return True
    return False
