"""Loops and branches for many rows at once, as `vmap` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import Dim, Graph, Node, Placeholder, Spec, fn
from ..core.scopes import mirrored
from ..transforms.batching_rules import BUNDLES, Rows, batched, one_by_one
from .body_tracing import names_of
from .branch_op import Branch
from .bundle import LoopItem, item_of
from .fixed_point_op import FixedPoint
from .loop_body import graph_of, text_of
from .loop_op import Kept, Loop


def _loop(rows: Rows) -> Node:
    """Make a loop whose state has rows; where each row decides how often, a loop over the rows."""
    op = rows.op
    assert isinstance(op, Loop)
    if op.while_ >= 0 or (op.counted and rows.many[0]):
        return _over_rows(rows)
    carries, stacks, same = op.split(list(range(len(rows.operands))))
    operands = list(rows.operands)
    for place in carries:
        operands[place] = rows.stretched(place)
    for place in stacks:
        if rows.many[place]:
            operands[place] = fn.moveaxis(operands[place], 0, 1)
    many = ([False] if op.indexed else []) + [
        rows.many[place] or place in carries for place in (*carries, *stacks, *same)
    ]
    each = [at for kind, at in op.kept if kind == "each"]
    body = _Body(op, op.body, many, rows.size, [*op.carried, *each])
    kept: list[Kept] = [(kind, body.of[at] if kind == "each" else at) for kind, at in op.kept]
    whole = Loop(
        body.text,
        body.names,
        body.dims,
        op.length,
        tuple([body.of[at] for at in op.carried]),
        op.rows,
        tuple(kept),
        op.indexed,
        op.counted,
        op.backwards,
        recomputed=op.recomputed,
    )
    return whole(*operands)


def _branch(rows: Rows) -> Node:
    """Make a branch whose operands have rows; where each row decides, a loop over the rows."""
    op = rows.op
    assert isinstance(op, Branch)
    if rows.many[0]:
        return _over_rows(rows)
    places = [sorted({pair[side] for pair in op.kept} - {-1}) for side in (0, 1)]
    bodies = [
        _Body(op, text, rows.many[1:], rows.size, wanted)
        for text, wanted in zip((op.then, op.otherwise), places, strict=True)
    ]
    kept = [(bodies[0].of.get(a, -1), bodies[1].of.get(b, -1)) for a, b in op.kept]
    whole = Branch(bodies[0].text, bodies[1].text, bodies[0].names, bodies[0].dims, tuple(kept))
    return whole(*rows.operands)


class _Body:
    """A body made again with a leading axis.

    Attributes
    ----------
    text : str
    names, dims : tuple
        The dimensions in it, and what they stand for: those of the operation, and the number of rows.
    of : dict of int to int
        {place of what is wanted: place of what is made of it}.
    """

    def __init__(self, op: Any, text: str, many: Sequence[bool], size: Dim, wanted: Sequence[int]) -> None:
        source = graph_of(text)
        graph = Graph("body", source.dtype)
        self.names, self.dims = op.names, op.dims
        if isinstance(size, str):
            tried = (f"rows{'_' * count}" for count in range(len(op.names) + 1))
            inside = next(name for name in tried if name not in op.names)
            self.names, self.dims, size = (*op.names, inside), (*op.dims, size), inside
        plain: dict[Node, Node] = {}
        rows: dict[Node, Node] = {}
        for node, has_rows in zip(source.placeholders, many, strict=True):
            shape = (size, *node.shape) if has_rows else node.shape
            like = (None, node.origin)
            made = graph._make(Placeholder(), (), Spec(shape, node.dtype), graph.free_name(node.name), None, like)
            (rows if has_rows else plain)[node] = made
        nodes = list(source)
        with graph.in_scope(None) as provenance:

            def begin(node: Node) -> None:
                provenance.scope, provenance.origin = mirrored(graph, source.scopes.get(node.scope)), node.origin

            found = batched([nodes[at] for at in wanted], plain, rows, size, begin)
        self.text = text_of(graph)
        self.of = {at: node.index for at, node in zip(wanted, found, strict=True)}


def _over_rows(rows: Rows) -> Node:
    """Make a loop over the rows, each iteration of which computes the operation for one."""
    graph = Graph("body", rows.node.graph.dtype)
    given: dict[int, Node] = {}
    order = sorted(range(len(rows.operands)), key=lambda place: not rows.many[place])
    for place in order:
        operand = rows.node.inputs[place]
        given[place] = graph.placeholder(graph.free_name(f"operand_{place}"), operand.shape, operand.dtype)
    bundle = rows.op(*[given[place] for place in range(len(order))], graph=graph)
    op: Any = rows.op
    kept: list[Kept] = [("each", item_of(bundle, place).index) for place in op.layout.places]
    names = names_of(graph)
    loop = Loop(text_of(graph), names, names, rows.size, (), sum(rows.many), tuple(kept))
    return loop(*[rows.operands[place] for place in order])


def _item(rows: Rows) -> Node:
    """Read the rows of an item."""
    (bundle,), (one,) = rows.operands, rows.node.inputs
    was, now = one.op, bundle.op
    assert isinstance(rows.op, LoopItem)
    if not isinstance(was, (Loop, Branch)) or not isinstance(now, (Loop, Branch)):
        return one_by_one(rows)
    at = was.layout.places.index(rows.op.place)
    found = item_of(bundle, now.layout.places[at])
    if isinstance(was, Branch) or isinstance(now, Branch) or any(node.op == was for node in now.nodes):
        return found  # each iteration gives one
    kind = was.kept[at][0]
    if kind == "count":
        return fn.broadcast_to(found, (rows.size,))
    return fn.moveaxis(found, 1, 0) if kind == "each" else found


BUNDLES.update({Loop: _loop, FixedPoint: _over_rows, Branch: _branch, LoopItem: _item})
