"""Axes that meet and were not made for each other: a batch paired with itself, a softmax over another axis."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from ...graph.dimensions import shown
from ...ops.base import Rearranging
from .checks import check
from .evaluation import before_numbers
from .findings import Finding, at_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...graph import Node
    from .evaluation import Evaluation

_MAKES_AXES = frozenset({"expand_dims", "getitem", "reshape"})
"""What makes a column of a row, where someone writes it."""


@check(
    "every-pair",
    "a batch as a column meets one as a row: every sample is paired with every other; told of dimensions that "
    "have a name",
    "give both the same shape, as gn.reshape(y, (-1, 1)) does; where pairs are meant, y[None, :] says so",
)
def every_pair(run: Evaluation) -> Iterator[Finding]:
    """Look whether a batch that lies along one axis has been paired with itself, without being asked to."""
    told: set[frozenset[Node]] = set()
    for node in run.elementwise:
        crossed = next((dim for dim in node.shape if isinstance(dim, str) and node.shape.count(dim) > 1), None)
        met = [operand for operand in node.inputs if crossed in operand.shape]
        short = [operand for operand in met if len(operand.shape) < len(node.shape)]
        if not short or any(operand.shape.count(crossed) > 1 for operand in met):
            continue
        columns = [operand for operand in met if len(operand.shape) == len(node.shape)]
        if any(_is_asked_for(column, short) for column in columns) or frozenset(node.inputs) in told:
            continue
        told.add(frozenset(node.inputs))
        shapes = " and ".join(f"{each.name} {shown(each.shape)}" for each in met)
        cause = f"{shapes} make {node.name} {shown(node.shape)}: each element along {crossed} meets every other"
        yield every_pair.of(node, cause)


@check(
    "other-axis",
    "an axis meets one that it was not made for, and that is as long by chance; so told, too",
    "keepdims=True keeps the axis that was reduced, so that each row meets its own; or write y[:, None]",
)
def other_axis(run: Evaluation) -> Iterator[Finding]:
    """Look whether two axes met that are as long as each other by chance: the one also stands elsewhere."""
    for node in run.elementwise:
        cause = _met_by_chance(node) if node.spec.constraints else ""
        if cause:
            yield other_axis.of(node, cause)


def _met_by_chance(node: Node) -> str:
    for long, short in permutations(node.inputs, 2):
        if len(long.shape) <= len(short.shape):
            continue
        for other, dim in zip(reversed(long.shape), reversed(short.shape), strict=False):
            if isinstance(dim, str) and dim != other != 1 and dim in long.shape:
                return (
                    f"in {node.name} {shown(node.shape)}, {dim} of {short.name} {shown(short.shape)} "
                    f"meets {other} of {long.name} {shown(long.shape)}, which is as long by chance"
                )
    return ""


def _is_asked_for(column: Node, rows: Sequence[Node]) -> bool:
    """Return whether someone made a column to have pairs: y[:, None], keepdims=True, or of what it meets as a row."""
    if column.op.attributes.get("keepdims"):
        return True
    for row in rows:
        while row is not column and isinstance(row.op, Rearranging) and len(row.inputs) == 1:
            row = row.inputs[0]
        if row is column:
            return True
    return before_numbers(column).op.name in _MAKES_AXES


@check(
    "softmax-axis",
    "a softmax sums to 1 over another axis than the one that it weighs and that is summed next",
    "let the softmax go over the axis that is summed next, gn.softmax(scores, axis=…)",
)
def softmax_axis(run: Evaluation) -> Iterator[Finding]:
    """Look whether a softmax sums to 1 over another axis than the one that is summed of its product."""
    for place, _ in run.forward:
        if run.order[place].op.name in ("matmul", "einsum", "sum"):
            yield from _summed_over(run, place)


def _summed_over(run: Evaluation, place: int) -> Iterator[Finding]:
    node = run.order[place]
    for i, read in enumerate(run.inputs[place]):
        soft, summed = _weights_in(run, place, i, read)
        if soft is None or not summed:
            continue
        axis = _softmax_axis(run, soft)
        weights = run.order[soft]
        if axis is None or axis in summed or _is_renormed(run, weights, summed, node):
            continue
        lengths = [run.values[soft].shape[k] for k in summed]
        batch = {each.shape[0] for each in run.prepared.program.placeholders if each.shape}
        named = [weights.shape[k] for k in summed if isinstance(weights.shape[k], str) and weights.shape[k] in batch]
        if named or max(lengths, default=1) <= 1:
            continue
        cause = (
            f"{weights.name}{at_line(weights)} sums to 1 over axis {axis}, and {node.name}{at_line(node)} sums "
            f"over axis {', '.join(map(str, summed))} of it"
        )
        remedy = f"gn.softmax(scores, axis={summed[0] - weights.ndim}) sums to 1 where it is summed"
        yield softmax_axis.of(weights, cause, remedy=remedy)


def _weights_in(run: Evaluation, place: int, i: int, read: int) -> tuple[int | None, tuple[int, ...]]:
    """Return the place of a softmax that an operation multiplies and sums over, and over which of its axes."""
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
    """Return the place of the softmax that a value is, as it lies."""
    while run.op(place).name == "cast":
        place = run.inputs[place][0]
    node = run.order[place]
    if node.op.name != "divide" or node.inputs[0].op.name != "exp" or node.inputs[1].op.name != "sum":
        return None
    return place if node.inputs[1].inputs[0] is node.inputs[0] else None


def _softmax_axis(run: Evaluation, place: int) -> int | None:
    over: tuple[int, ...] = run.op(run.inputs[place][1]).over(run.values[place].ndim)  # type: ignore[attr-defined]
    return over[0] if len(over) == 1 else None


def _is_renormed(run: Evaluation, weights: Node, summed: Sequence[int], but: Node) -> bool:
    """Return whether the weights are added up over those axes by themselves, to be divided by it."""
    for user in weights.users:
        if user in run.places and user.op.name in ("sum", "mean") and user is not but:
            over = run.op(run.places[user]).over(weights.ndim)  # type: ignore[attr-defined]
            if set(summed) <= set(over):
                return True
    return False
