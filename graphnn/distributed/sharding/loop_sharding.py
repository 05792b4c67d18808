"""Loops in a step that is split into shards: what of their bodies has rows, and what adds up over them.

A loop goes over the steps of a sequence, and each shard goes over all of them with its own rows. The gradient by what
is the same for all iterations is a sum that the loop carries: over the iterations, and in each of them over the rows.
So what the shards carry in the end is added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from ...control_flow.branch_op import Branch
from ...control_flow.bundle import LoopItem
from ...control_flow.loop_op import Kept, Loop
from ...core import Constant, Node, is_float
from ...core.symbolic_shapes import names_in
from ...ops import comparison, elementwise, random, reductions, shape
from ...ops.base import Linear, Multilinear
from .shard_partition import Kind, Part, part_by
from .sharding_rules import REMEDIES, Joined, Mixed, Use, axis_of_rows, result_of

_BUNDLE = "bundle"
"""What stands for the place of rows in a bundle: nothing but an item of it is read by shards."""

REMEDIES[Branch] = "gn.where(flag, then(x), otherwise(x)), which computes both"


@part_by(Loop)
def _part_of_loop(node: Node, parts: Mapping[Node, Part], rows: frozenset[str]) -> Part:
    stage = max(parts[operand].ready for operand in node.inputs)
    _items_of(node, parts, rows)
    return Part(Kind.ROWS, stage, 0, _BUNDLE)


@part_by(LoopItem)
def _part_of_item(node: Node, parts: Mapping[Node, Part], rows: frozenset[str]) -> Part:
    (bundle,) = node.inputs
    if not isinstance(bundle.op, Loop) or not isinstance(node.op, LoopItem):
        raise Mixed
    for kept, place in zip(bundle.op.kept, bundle.op.layout.places, strict=True):
        if place == node.op.place:
            found = _items_of(bundle, parts, rows)[kept]
            return replace(
                found, stage=parts[bundle].stage, kind=Kind.LOCAL if found.kind is Kind.WHOLE else found.kind
            )
    raise Mixed


def _items_of(node: Node, parts: Mapping[Node, Part], rows: frozenset[str]) -> dict[Kept, Part]:
    assert isinstance(node.op, Loop)
    operands = tuple([replace(parts[operand], stage=0) for operand in node.inputs])
    return _items(node.op, operands, tuple(map(_is_zero, node.inputs)), rows)


def _is_zero(node: Node) -> bool:
    if isinstance(node.op, Constant):
        return not node.graph._stored(node).any()
    return isinstance(node.op, shape.Zeros)


@lru_cache(maxsize=64)
def _items(op: Loop, operands: tuple[Part, ...], zeros: tuple[bool, ...], rows: frozenset[str]) -> dict[Kept, Part]:
    """Return what each of what a loop keeps is."""
    names = frozenset(name for name, dim in zip(op.names, op.dims, strict=True) if rows & names_in((dim,)))
    if op.counted and operands[0].kind not in (Kind.WHOLE, Kind.LOCAL):
        raise Mixed
    carried, by_row, same = op.split(operands)
    begin, _, _ = op.split(zeros)
    inputs = op.inputs[int(op.indexed) :]
    carry = [_carried(part, node, names) for part, node in zip(carried, inputs, strict=False)]
    others = [*map(_of_row, by_row), *same]
    while True:
        given = dict(zip(op.inputs, ([Part(Kind.WHOLE, 0)] if op.indexed else []) + carry + others, strict=True))
        empty = {
            node for node, part, zero in zip(inputs, carry, begin, strict=False) if zero and part.kind is Kind.WHOLE
        }
        parts = _in_body(op.nodes, given, names, empty)
        following = [
            _following(before, parts[op.nodes[at]], is_zero)
            for before, at, is_zero in zip(carry, op.carried, begin, strict=True)
        ]
        if following == carry:
            break
        carry = following
    if op.while_ >= 0 and parts[op.nodes[op.while_]].kind not in (Kind.WHOLE, Kind.LOCAL):
        raise Mixed
    found: dict[Kept, Part] = {}
    for kind, which in op.kept:
        if kind == "each":
            part = parts[op.nodes[which]]
            found[kind, which] = part if part.axis is None else replace(part, axis=part.axis + 1)
        else:
            found[kind, which] = carry[which] if kind == "last" else Part(Kind.WHOLE, 0)
    return found


def _carried(part: Part, node: Node, names: frozenset[str]) -> Part:
    """Return what is carried into the first iteration: its rows are those of the batch."""
    axis = axis_of_rows(node.shape, names)
    if (part.kind is Kind.ROWS) != (axis is not None) or part.axis != axis or part.outer not in (None, 1):
        raise Mixed
    return part if axis is None else Part(Kind.ROWS, 0, axis, 1)


def _of_row(part: Part) -> Part:
    """Return what an iteration gets of an array with a row for each."""
    if part.axis is None:
        return part
    if part.axis == 0:
        raise Mixed
    return replace(part, axis=part.axis - 1)


def _following(before: Part, after: Part, begins_with_zeros: bool) -> Part:
    """Return what is carried, if this goes into an iteration and that comes out."""
    if before.kind is Kind.ROWS or after.kind is Kind.ROWS:
        if before.axis != after.axis or after.outer not in (None, 1):
            raise Mixed
        return before
    if after.kind is Kind.JOINED and (before.kind is Kind.JOINED or begins_with_zeros):
        return Part(Kind.JOINED, 0, joined=Joined.ADD)
    if Kind.JOINED in (before.kind, after.kind):
        raise Mixed
    return before if before.kind is Kind.LOCAL else after


def _in_body(
    nodes: Sequence[Node], given: Mapping[Node, Part], names: frozenset[str], empty: set[Node]
) -> dict[Node, Part]:
    """Return what each node of a body is; `empty` are the sums that begin with zeros."""
    parts = dict(given)
    for node in nodes:
        if node not in parts:
            parts[node] = _part_in_body(node, parts, names, empty)
    return parts


def _part_in_body(node: Node, parts: Mapping[Node, Part], names: frozenset[str], empty: set[Node]) -> Part:
    operands = [parts[operand] for operand in node.inputs]
    kinds = [operand.kind for operand in operands]
    for pair in node.spec.constraints:
        if names & names_in(pair) and not (names_in(pair) <= names and all(isinstance(dim, str) for dim in pair)):
            raise Mixed
    if Kind.JOINED in kinds:
        if Kind.ROWS in kinds or axis_of_rows(node.shape, names) is not None or not _keeps_sums(node, kinds, empty):
            raise Mixed
        return Part(Kind.JOINED, 0, joined=Joined.ADD)
    if names & node.op.dimension_names and isinstance(node.op, (elementwise.DivideBySize, random.Random)):
        raise Mixed
    if Kind.ROWS not in kinds and axis_of_rows(node.shape, names) is None and not names & node.op.dimension_names:
        return Part(Kind.LOCAL if Kind.LOCAL in kinds else Kind.WHOLE, 0)
    found, outer = result_of(Use(node, [part.axis for part in operands], [part.outer for part in operands], names))
    if not isinstance(found, Joined):
        return Part(Kind.ROWS, 0, found, outer)
    if found is not Joined.ADD or isinstance(node.op, reductions.Mean):
        raise Mixed
    return Part(Kind.JOINED, 0, joined=Joined.ADD)


def _keeps_sums(node: Node, kinds: Sequence[Kind], empty: set[Node]) -> bool:
    """Return whether what a node gives for a sum is the sum of what it gives for each term."""
    op, added = node.op, [kind is Kind.JOINED for kind in kinds]
    if isinstance(op, (elementwise.Add, elementwise.Subtract)):
        return all(is_added or x in empty for is_added, x in zip(added, node.inputs, strict=True))
    if isinstance(op, comparison.Where):
        return added == [False, True, True]
    if isinstance(op, (Multilinear, elementwise.Multiply)):
        return sum(added) == 1
    if isinstance(op, elementwise.Divide):
        return added == [True, False]
    if isinstance(op, Linear):
        return all(is_added == op.flows(i) for i, is_added in enumerate(added))
    return isinstance(op, elementwise.Negative) or (isinstance(op, elementwise.Cast) and is_float(node.dtype))
