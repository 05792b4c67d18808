"""A loop in segments: what a gradient needs is kept of one segment at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..core import Dim, Graph, Node, Placeholder, Spec, fn
from ..core.symbolic_shapes import floor_divide, multiply, subtract
from .bundle import LoopItem
from .loop_body import text_of

if TYPE_CHECKING:
    from .loop_op import Loop


def items_of(bundle: Node, op: Loop) -> list[Node]:
    """Return all that a loop keeps."""
    return [LoopItem(place.start, place.shape, place.dtype.name)(bundle) for place in op.layout.places]


def in_segments(
    op: Loop, size: int, first: Sequence[Node], stacks: Sequence[Node], same: Sequence[Node], graph: Graph
) -> list[Node]:
    """Make a loop over segments of `size` iterations, and one over the iterations that are left.

    A gradient goes back segment by segment, and computes each again, from the states with which it began. So it takes
    memory for the states at the beginning of all segments, and for everything in one of them.

    Returns
    -------
    list of Node
        What `op` keeps: each last state, then what is stacked.
    """
    whole = floor_divide(op.length, size)
    covered = multiply(whole, size)
    outer = _over_segments(op, size, whole, first, stacks, same)
    inner = replace(op, length=subtract(op.length, covered))
    carry = list(first)
    stacked: dict[bool, list[Node]] = {}
    for is_left in (True, False) if op.backwards else (False, True):
        part = slice(covered, None) if is_left else slice(None, covered)
        rows = [fn.getitem(stack, (part,)) for stack in stacks]
        if is_left:
            found = items_of(inner(*carry, *rows, *same, graph=graph), inner)
        else:
            rows = [fn.reshape(stack, (whole, size, *stack.shape[1:])) for stack in rows]
            found = items_of(outer(*carry, *rows, *same, graph=graph), outer)
        carry, stacked[is_left] = found[: len(first)], found[len(first) :]
    before = [fn.reshape(node, (covered, *node.shape[2:])) for node in stacked[False]]
    return [*carry, *[fn.concatenate(list(pair)) for pair in zip(before, stacked[True], strict=True)]]


def _over_segments(
    op: Loop, size: int, whole: Dim, first: Sequence[Node], stacks: Sequence[Node], same: Sequence[Node]
) -> Loop:
    """Return the loop of which each iteration is a loop over a segment."""
    graph = Graph("body", first[0].graph.dtype if first else stacks[0].graph.dtype)

    def given(like: Node, rows: bool = False) -> Node:
        shape = (size, *like.shape[1:]) if rows else like.shape
        name = graph.free_name(like.name.rpartition("/")[2])
        return graph._make(Placeholder(), (), Spec(shape, like.dtype), name, None, (None, like.origin))

    inputs = [*[given(x) for x in first], *[given(x, True) for x in stacks], *[given(x) for x in same]]
    inner = replace(op, length=size, recomputed=False)
    found = [node.index for node in items_of(inner(*inputs, graph=graph), inner)]
    count = len(first)
    kept = [("last", k) for k in range(count)] + [("each", at) for at in found[count:]]
    return replace(
        op, body=text_of(graph), length=whole, carried=tuple(found[:count]), kept=tuple(kept), recomputed=True
    )
