"""The derivatives of a loop: a loop that goes back, and a loop that carries tangents along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..autodiff.grad import flow_of, vjp
from ..autodiff.grad import jvp as tangents_of
from ..core import Node, Placeholder, fn, is_float
from .bundle import LoopBundle, LoopItem, found_in
from .loop_body import Excerpt, Keeping, new_graph_of

if TYPE_CHECKING:
    from .loop_op import Kept, Loop


def pulled_back(op: Loop, positions: Sequence[int], cotangent: Node, inputs: tuple[Node, ...]) -> list[Node]:
    """Return the cotangents of the operands at some positions.

    The body of the loop that goes back holds what the gradient of one iteration computes. What that reads of the
    iteration, the loop forwards keeps, if it does not already.
    """
    return _Backwards(op, positions, cotangent, inputs).cotangents()


class _Backwards:
    def __init__(self, op: Loop, positions: Sequence[int], cotangent: Node, inputs: tuple[Node, ...]) -> None:
        self.op, self.inputs, self.outer = op, inputs, cotangent.graph
        self.joint = new_graph_of(op.body)
        self.nodes = list(self.joint)
        self.index = self.joint.placeholders[: int(op.indexed)]
        first = int(op.counted)
        self.input_of = dict(zip(self.joint.placeholders[int(op.indexed) :], inputs[first:], strict=True))
        """{input of the body: operand}"""
        self.wanted = [self.joint.placeholders[int(op.indexed) + position - first] for position in positions]
        self.carries, *others = op.split([None] * first + list(self.input_of))
        self.rows, self.same = (dict.fromkeys(nodes) for nodes in others)
        self.arriving: dict[Kept, Node] = {}
        for kept, place in zip(op.kept, op.layout.places, strict=True):
            found = found_in(cotangent, place) if is_float(place.dtype) else None
            if found is not None:  # what is kept twice gets the cotangents of both
                self.arriving[kept] = self.arriving[kept] + found if kept in self.arriving else found

    def cotangents(self) -> list[Node]:
        """Make the loop, and return the cotangents of the operands that are wanted."""
        op, joint = self.op, self.joint
        seeds: dict[Node, Node] = {}

        def seed(at: int, name: str) -> Node:
            node = self.nodes[at]
            given = joint._make(Placeholder(), (), replace(node.spec, constraints=()), joint.free_name(name))
            seeds[node] = seeds[node] + given if node in seeds else given
            return given

        carried = [k for k, at in enumerate(op.carried) if is_float(self.nodes[at].dtype)]
        following = [seed(op.carried[k], "cotangent") for k in carried]
        each = [(at, node) for (kind, at), node in self.arriving.items() if kind == "each"]
        of_rows = [seed(at, "arriving") for at, _ in each]
        slopes = self._slopes(seeds, [self.carries[k] for k in carried])
        sums = [node for node in self.wanted if node in self.same]
        totals = [joint._make(Placeholder(), (), node.spec, joint.free_name("sum")) for node in sums]
        carry = [slopes[self.carries[k]] for k in carried]
        carry += [total + slopes[node] for total, node in zip(totals, sums, strict=True)]
        by_row = [slopes[node] for node in self.wanted if node in self.rows]
        read = _read(carry + by_row, len(self.nodes), op.recomputed)
        forwards = self._forwards(read)
        index = [node for node in read if node in self.index]
        row_inputs = [node for node in read if node not in self.same and node not in self.index]
        same_inputs = [node for node in read if node in self.same]
        body = Excerpt(
            joint,
            carry + by_row,
            [*index, *following, *totals, *of_rows, *row_inputs, *same_inputs],
        )
        first = [self._first(k) for k in carried]
        first += [fn.zeros(self.input_of[node].shape, node.dtype, graph=self.outer) for node in sums]
        operands = [*first, *[node for _, node in each], *[self._stacked(node, forwards) for node in row_inputs]]
        operands += [self.input_of[node] for node in same_inputs]
        counted = op.counted or op.while_ >= 0
        if counted:
            operands.insert(0, forwards("count", 0))
        ends = [self.carries[k] for k in carried] + sums
        number = {node: which for which, node in enumerate(ends)}
        kept: dict[Node, Kept] = {
            node: ("each", body.of[slopes[node]]) if node in self.rows else ("last", number[node])
            for node in self.wanted
        }
        back = type(op)(
            body.body,
            op.names,
            op.dims,
            op.length,
            tuple([body.of[node] for node in carry]),
            len(of_rows) + len(row_inputs),
            tuple(dict.fromkeys(kept.values())),
            bool(index),
            counted,
            not op.backwards,
        )
        bundle = back(*operands, graph=self.outer)
        return [_item_of(bundle, back, kept[node]) for node in self.wanted]

    def _slopes(self, seeds: dict[Node, Node], carries: Sequence[Node]) -> dict[Node, Node]:
        """Return the cotangent of each input, in the body; zeros where nothing reaches it."""
        wrt = list(dict.fromkeys([*carries, *self.wanted]))
        flow = flow_of(seeds, wrt, "vjp") if seeds else {}
        reached = [node for node in wrt if node in flow]
        found = dict(zip(reached, vjp(seeds, reached), strict=True)) if reached else {}
        return {
            node: found[node] if node in found else fn.zeros(node.shape, node.dtype, graph=self.joint) for node in wrt
        }

    def _first(self, k: int) -> Node:
        """Return the cotangent of what is carried out of the last iteration."""
        found = self.arriving.get(("last", k))
        operand = self.input_of[self.carries[k]]
        return fn.zeros(operand.shape, operand.dtype, graph=self.outer) if found is None else found

    def _forwards(self, read: Iterable[Node]) -> Callable[[str, int], Node]:
        """Return a function that gives what a loop forwards keeps, which keeps all that is read."""
        op = self.op
        more: list[Kept] = [("count", 0)] if op.counted or op.while_ >= 0 else []
        given = {*self.rows, *self.same, *self.index}
        more += [("each", node.index) for node in read if node not in given]
        known = set(op.kept)
        wider = replace(op, kept=(*op.kept, *dict.fromkeys([kept for kept in more if kept not in known])))
        users = self.outer._users(self.inputs[-1]) if self.inputs else ()
        loops = [node for node in users if node.inputs == self.inputs and node.op == wider][:1]

        def item(kind: str, which: int) -> Node:
            if not loops:
                loops.append(wider(*self.inputs, graph=self.outer))
            return _item_of(loops[0], wider, (kind, which))

        return item

    def _stacked(self, node: Node, forwards: Callable[[str, int], Node]) -> Node:
        return self.input_of[node] if node in self.rows else forwards("each", node.index)


def _read(results: Sequence[Node], count: int, recomputed: bool) -> list[Node]:
    """Return which of the first `count` nodes the results read; if they are computed again, which inputs these read.

    Bundles are computed again in any case: a body that took one could not be made for many rows at once.
    """
    found: dict[Node, None] = {}
    seen: set[Node] = set()
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node in seen or node.op.is_constant:
            continue
        seen.add(node)
        again = recomputed or isinstance(node.op, (Keeping, LoopBundle))
        if node.index < count and (node.op.is_placeholder or not again):
            found[node] = None
        else:
            waiting.extend(node.inputs)
    return sorted(found, key=lambda node: node.index)


def _item_of(bundle: Node, op: Loop, kept: Kept) -> Node:
    place = op.place(*kept)
    return LoopItem(place.start, place.shape, place.dtype.name)(bundle)


def pushed_forward(op: Loop, tangents: Sequence[Node | None], output: Node, inputs: tuple[Node, ...]) -> Node:
    """Return the tangent of a loop's bundle."""
    outer, joint = output.graph, new_graph_of(op.body)
    nodes, first = list(joint), int(op.counted)
    names = joint.placeholders[int(op.indexed) :]
    operand_of = dict(zip(names, inputs[first:], strict=True))
    tangent_of = dict(zip(names, tangents[first:], strict=True))
    carries, rows, same = op.split([None] * first + names)
    moving = [node for node in carries if is_float(node.dtype)]
    moving += [node for node in (*rows, *same) if tangent_of[node] is not None]
    moved = {node: joint._make(Placeholder(), (), node.spec, joint.free_name("tangent")) for node in moving}
    floats = [(k, p) for k, p in zip(op.kept, op.layout.places, strict=True) if k[0] != "count" and is_float(p.dtype)]
    results = [nodes[at] for at in op.carried if is_float(nodes[at].dtype)]
    results = list(dict.fromkeys([*results, *[_node_of(op, nodes, kept) for kept, _ in floats]]))
    flow = flow_of(results, moving, "jvp") if moving else {}
    reached = [node for node in results if node in flow]
    found = dict(zip(reached, tangents_of(reached, moved), strict=True)) if reached else {}
    for node in results:
        found.setdefault(node, fn.zeros(node.shape, node.dtype, graph=joint))
    following = [nodes[at] for at in op.carried] + [found[nodes[at]] for at in op.carried if nodes[at] in found]
    ends = [nodes[op.while_]] if op.while_ >= 0 else []
    order = [*carries, *[moved[node] for node in carries if node in moved]]
    for group in (rows, same):
        order += [*group, *[moved[node] for node in group if node in moved]]
    index = joint.placeholders[:1] if op.indexed else []
    body = Excerpt(joint, [*following, *found.values(), *ends], [*index, *order])
    back = {tangent: node for node, tangent in moved.items()}

    def operand(node: Node) -> Node:
        if node in operand_of:
            return operand_of[node]
        given, like = tangent_of[back[node]], operand_of[back[node]]
        return fn.zeros(like.shape, like.dtype, graph=outer) if given is None else given

    with_tangent = [k for k, at in enumerate(op.carried) if nodes[at] in found]
    number = {which: len(op.carried) + place for place, which in enumerate(with_tangent)}
    kept: list[Kept] = [
        (kind, number[which] if kind == "last" else body.of[found[nodes[which]]]) for (kind, which), _ in floats
    ]
    both = type(op)(
        body.body,
        op.names,
        op.dims,
        op.length,
        tuple([body.of[node] for node in following]),
        len(rows) + len([node for node in rows if node in moved]),
        tuple(dict.fromkeys(kept)),
        op.indexed,
        op.counted,
        op.backwards,
        body.of[ends[0]] if ends else -1,
    )
    bundle = both(*inputs[:first], *map(operand, order), graph=outer)
    parts = [
        LoopBundle(place.start, output.shape[0], output.dtype.name)(_item_of(bundle, both, now))
        for (_, place), now in zip(floats, kept, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _node_of(op: Loop, nodes: Sequence[Node], kept: Kept) -> Node:
    kind, which = kept
    return nodes[op.carried[which] if kind == "last" else which]
