"""The derivatives of a branch: a branch, whose bodies compute those of its bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..autodiff.grad import flow_of, jvp, vjp
from ..core import Graph, Node, Op, Placeholder, Spec, fn, is_float
from .bundle import LoopBundle, found_in, item_of
from .loop_body import Excerpt, new_graph_of
from .loop_gradients import _read

if TYPE_CHECKING:
    from .branch_op import Branch, Pair


class _Side:
    """One of the bodies, as a graph to which more is added."""

    def __init__(self, op: Branch, side: int) -> None:
        self.op, self.side = op, side
        self.graph = new_graph_of((op.then, op.otherwise)[side])
        self.nodes, self.inputs = list(self.graph), list(self.graph.placeholders)

    def of(self, pair: Pair) -> Node | None:
        """Return the node of this body that is kept, if it gives it."""
        return self.nodes[pair[self.side]] if pair[self.side] >= 0 else None

    def added(self, like: Node, name: str) -> Node:
        """Return a new input like a node of one of the bodies."""
        spec = Spec(like.shape, like.dtype)
        return self.graph._make(Placeholder(), (), spec, self.graph.free_name(name))

    def like(self, pair: Pair) -> Node:
        """Return a node with the shape and dtype of what is kept: of this body, if it gives it, else of the other."""
        own = self.of(pair)
        return self.op.nodes[1 - self.side][pair[1 - self.side]] if own is None else own

    def pull_back(self, arriving: Sequence[Pair], positions: Sequence[int]) -> None:
        """Add the cotangents of the operands at some positions of the branch; zeros where nothing reaches one."""
        seeds: dict[Node, Node] = {}
        self.given = [self.added(self.like(pair), "cotangent") for pair in arriving]
        for pair, given in zip(arriving, self.given, strict=True):
            if (node := self.of(pair)) is not None:
                seeds[node] = seeds[node] + given if node in seeds else given
        self.slopes = cotangents_of(seeds, [self.inputs[position - 1] for position in positions])
        read = _read(self.slopes, len(self.nodes), False)
        place = {node: place for place, node in enumerate(self.inputs)}
        self.operands_read = [place[node] for node in read if node in place]
        known = {pair[self.side]: pair for pair in self.op.kept}
        places = [node.index for node in read if node not in place]
        self.pairs_read = [known.get(at, (-1, at) if self.side else (at, -1)) for at in places]

    def excerpt(self, kept: Sequence[Pair], operands: Sequence[int]) -> Excerpt:
        """Return what `pull_back` added as a body: its inputs are cotangents, what is kept, and operands."""
        own = {pair: self.nodes[pair[self.side]] for pair in self.pairs_read}
        values = [own[pair] if pair in own else self.added(self.like(pair), "unread") for pair in kept]
        return Excerpt(self.graph, self.slopes, [*self.given, *values, *[self.inputs[place] for place in operands]])


def cotangents_of(seeds: Mapping[Node, Node], wrt: Sequence[Node]) -> list[Node]:
    """Return the cotangents of nodes; zeros where nothing reaches one."""
    flow = flow_of(seeds, wrt, "vjp") if seeds else {}
    reached = [node for node in wrt if node in flow]
    found = dict(zip(reached, vjp(seeds, reached), strict=True)) if reached else {}
    return [found[node] if node in found else _zeros(node) for node in wrt]


def tangents_of(results: Sequence[Node], moved: Mapping[Node, Node]) -> list[Node]:
    """Return the tangents of results; zeros where nothing moves one."""
    flow = flow_of(results, moved, "jvp") if moved and results else {}
    reached = list(dict.fromkeys([node for node in results if node in flow]))
    found = dict(zip(reached, jvp(reached, moved), strict=True)) if reached else {}
    return [found[node] if node in found else _zeros(node) for node in results]


def _zeros(node: Node) -> Node:
    return fn.zeros(node.shape, node.dtype, graph=node.graph)


def pulled_back(op: Branch, positions: Sequence[int], cotangent: Node, inputs: tuple[Node, ...]) -> list[Node]:
    """Return the cotangents of the operands at some positions.

    What the gradient of a body reads of its nodes, the branch forwards keeps, if it does not already.
    """
    outer = cotangent.graph
    arriving = {
        pair: found
        for pair, place in zip(op.kept, op.layout.places, strict=True)
        if is_float(place.dtype) and (found := found_in(cotangent, place)) is not None
    }
    sides = [_Side(op, 0), _Side(op, 1)]
    for side in sides:
        side.pull_back(list(arriving), positions)
    operands = sorted({place for side in sides for place in side.operands_read})
    kept = list(dict.fromkeys([pair for side in sides for pair in side.pairs_read]))
    bodies = [side.excerpt(kept, operands) for side in sides]
    pairs = [(bodies[0].of[a], bodies[1].of[b]) for a, b in zip(sides[0].slopes, sides[1].slopes, strict=True)]
    back = type(op)(bodies[0].body, bodies[1].body, op.names, op.dims, tuple(dict.fromkeys(pairs)))
    forwards = _values(op, kept, inputs)
    bundle = back(inputs[0], *arriving.values(), *forwards, *[inputs[place + 1] for place in operands], graph=outer)
    return [item_of(bundle, back.place(*pair)) for pair in pairs]


def _values(op: Branch, pairs: Sequence[Pair], inputs: tuple[Node, ...]) -> list[Node]:
    """Return values of the bodies, which a branch forwards keeps."""
    if not pairs:
        return []
    wider = replace(op, kept=tuple(dict.fromkeys([*op.kept, *pairs])))
    bundle = made_once(wider, inputs)
    return [item_of(bundle, wider.place(*pair)) for pair in pairs]


def made_once(op: Op, inputs: tuple[Node, ...]) -> Node:
    """Return the node of an operation with these operands, which may be there already."""
    graph: Graph = inputs[0].graph
    known = [node for node in graph._users(inputs[-1]) if node.inputs == inputs and node.op == op]
    return known[0] if known else op(*inputs, graph=graph)


def pushed_forward(op: Branch, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
    """Return the tangent of a branch's bundle."""
    moving = [place for place, tangent in enumerate(tangents[1:]) if tangent is not None]
    floats = [(pair, place) for pair, place in zip(op.kept, op.layout.places, strict=True) if is_float(place.dtype)]
    bodies, found = [], []
    for side in (_Side(op, 0), _Side(op, 1)):
        moved = {side.inputs[place]: side.added(side.inputs[place], "tangent") for place in moving}
        results = [node for pair, _ in floats if (node := side.of(pair)) is not None]
        pushed = dict(zip(results, tangents_of(results, moved), strict=True))
        bodies.append(Excerpt(side.graph, list(pushed.values()), [*side.inputs, *moved.values()]))
        places = [None if (node := side.of(pair)) is None else pushed[node] for pair, _ in floats]
        found.append([-1 if node is None else bodies[-1].of[node] for node in places])
    pairs = list(zip(*found, strict=True))
    both = type(op)(bodies[0].body, bodies[1].body, op.names, op.dims, tuple(dict.fromkeys(pairs)))
    given = [tangent for tangent in tangents[1:] if tangent is not None]
    bundle = both(*inputs, *given, graph=output.graph)
    total: Node | None = None
    for pair, (_, was) in zip(pairs, floats, strict=True):
        part = LoopBundle(was.start, output.shape[0], output.dtype.name)(item_of(bundle, both.place(*pair)))
        total = part if total is None else total + part
    assert total is not None, "a bundle without floats has no tangent"
    return total
