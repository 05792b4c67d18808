"""Repeated blocks as one box: ``Res ×4``.

Merging must hide nothing. Blocks are the same where all of this is: operations with their attributes, shapes and
dtypes, scopes, constants, what reads what within, and what is read from outside. Only the numbers of parameters may
differ. Each reads the one before it. Outside a block that is not the last, only the next block
reads what is made in it, within the same phase.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ...core import Node, Scope
from .picture import Box, Edge, Picture, constant_bytes, own_name, scopes_down_to, title_of

# The maximum number of boxes that a block is looked for to have.
_LONGEST = 12


@dataclass(eq=False, slots=True)
class _Unit:
    """A box, or an open scope with all boxes in it.

    Attributes
    ----------
    scope : Scope or None
        The open scope.
    boxes : list of Box
    """

    scope: Scope | None
    boxes: list[Box] = field(default_factory=list)

    @property
    def whole(self) -> Scope | None:
        """The scope that it is, open or collapsed; None: a single node."""
        return self.scope or self.boxes[0].scope

    @property
    def title(self) -> str:
        scope = self.whole
        return self.boxes[0].node.op.name if scope is None else scope.kind or title_of(scope)

    @property
    def name(self) -> str:
        scope = self.whole
        return own_name(self.boxes[0].node) if scope is None else title_of(scope)


class _Block:
    """Units that may be one of several that are the same.

    Attributes
    ----------
    units : sequence of _Unit
    nodes : list of Node
        Unit by unit: in blocks of the same kinds, nodes at the same place correspond.
    place_of : dict of Node to int
    inside : list of int
        For each operand, the place in the block where it is made; -1: outside.
    read : list of Node
        The operands that are made outside.
    """

    def __init__(self, units: Sequence[_Unit]) -> None:
        self.units = units
        self.nodes = [
            node
            for unit in units
            for node in sorted((node for box in unit.boxes for node in box.nodes), key=lambda node: node.index)
        ]
        self.place_of = {node: place for place, node in enumerate(self.nodes)}
        operands = [operand for node in self.nodes for operand in node.inputs]
        self.inside = [self.place_of.get(operand, -1) for operand in operands]
        self.read = [operand for operand in operands if operand not in self.place_of]


class _Spot(NamedTuple):
    """Where a node is among blocks that are merged: in which run of them, and which node of it."""

    run: int
    block: int
    place: int


class _Reads:
    """What each unit reads from outside, and how many units back that is made.

    It rules out, at little cost, most places where no block repeats.
    """

    def __init__(self, units: Sequence[_Unit], spots: Mapping[Node, _Spot]) -> None:
        self._spots = spots
        made_at = {node: at for at, unit in enumerate(units) for box in unit.boxes for node in box.nodes}
        # For each operand that is made elsewhere: how far back, 0 if in none of these units.
        self._of: list[list[tuple[Node, int]]] = []
        for at, unit in enumerate(units):
            self._of.append([(operand, at - made_at.get(operand, at)) for operand in _Block([unit]).read])

    def may_follow(self, start: int, length: int) -> bool:
        """Return False if the block at `start` cannot be followed by another one like it.

        Whatever a unit of it reads is made in the same place of its own block or in the block before, or it is what
        its counterpart reads; and something is made in the block before.
        """
        goes_on = False
        for k in range(length):
            for (one, back), (other, other_back) in zip(self._of[start + k], self._of[start + length + k], strict=True):
                within = back == other_back and k - length < back <= k and back
                if k < other_back <= k + length:
                    goes_on = True
                elif not (one is other or within or (one in self._spots and other in self._spots)):
                    return False
        return goes_on


def repeated(seen: Picture) -> Picture:
    """Return a picture in which blocks that repeat, one after the other, are one box with the nodes of all.

    Examples
    --------
    >>> from ...core import Graph
    >>> from .boxes import picture
    >>> g = Graph()
    >>> h = g.placeholder("x", shape=("batch", 2))
    >>> for _ in range(3):
    ...     with g.scope("block"):
    ...         h = abs(h * 2.0)
    >>> [box.scope.kind for box in repeated(picture(h)).boxes if box.scope]
    ['block ×3']
    """
    return _Merger(seen).merged()


class _Merger:
    def __init__(self, seen: Picture) -> None:
        self._seen = seen
        self._spots: dict[Node, _Spot] = {}
        self._runs: list[tuple[Scope | None, list[_Block]]] = []
        self._drawn = {node for box in seen.boxes for node in box.nodes}

    def merged(self) -> Picture:
        """Return the picture: outer scopes are looked at before inner ones."""
        children: dict[str, dict[int, _Unit]] = {"": {}}
        for box in self._seen.boxes:
            around = scopes_down_to(box.around)
            for scope, path in zip(around, ["", *(scope.path for scope in around)], strict=False):
                unit = children.setdefault(path, {}).setdefault(id(scope), _Unit(scope))
                unit.boxes.append(box)
            path = around[-1].path if around else ""
            children.setdefault(path, {})[id(box)] = _Unit(None, [box])
        waiting: list[Scope | None] = [None]
        for outer in waiting:
            units = list(children["" if outer is None else outer.path].values())
            left = self._look_among(units, outer)
            waiting += [unit.scope for unit in left if unit.scope is not None]
        return self._merged() if self._runs else self._seen

    def _look_among(self, units: list[_Unit], around: Scope | None) -> list[_Unit]:
        """Merge what repeats, and return what is left."""
        if len(units) < 2:
            return units
        numbers: dict[Hashable, int] = {}  # of kinds, which are slow to compare
        known = {unit: numbers.setdefault(_kind(unit), len(numbers)) for unit in units}
        reads = _Reads(units, self._spots)
        for length in range(1, min(_LONGEST, len(units) // 2) + 1):
            kinds = [known[unit] for unit in units]
            again = [kinds[i : i + length] == kinds[i + length : i + 2 * length] for i in range(len(units))]
            left: list[_Unit] = []
            found: dict[int, list[_Block]] = {}  # as long as nothing is merged
            at = 0
            while at < len(units):
                starts = [start for start in range(at, min(at + length, len(units))) if again[start]]
                for start in starts:
                    if start not in found:
                        follows = reads.may_follow(start, length)
                        found[start] = self._run_from(units, kinds, start, length) if follows else []
                several = [start for start in starts if len(found[start]) > 1]
                if several:
                    start = max(several, key=lambda at: (len(found[at]), _begins_well(found[at]), -at))
                    blocks = found[start]
                    self._merge(blocks, around)
                    left += units[at:start]
                    at = start + length * len(blocks)
                    found.clear()
                else:
                    left.append(units[at])
                    at += 1
            if len(left) < len(units):
                units = left
                reads = _Reads(units, self._spots)
        return units

    def _run_from(self, units: list[_Unit], kinds: list[int], start: int, length: int) -> list[_Block]:
        """Return the blocks of so many units that are the same, from `start` on."""
        blocks: list[_Block] = []
        wiring: list[tuple[Hashable, ...]] = []
        step: int | None = None
        while kinds[start : start + length] == kinds[(at := start + len(blocks) * length) : at + length]:
            block = _Block(units[at : at + length])
            if blocks:
                if block.inside != blocks[0].inside or not self._ends_in(blocks[-1], block, blocks[0]):
                    break
                keys = self._wiring(block, blocks[-1])
                steps = self._steps(blocks[-1], block, keys)
                if len(blocks) == 1:
                    if not any(key[0] == "before" for key in keys) or not self._begins(blocks[0], keys):
                        break
                    wiring, step = keys, next(iter(steps), None)
                if keys != wiring or steps - {step}:
                    break
            blocks.append(block)
        return blocks

    def _wiring(self, block: _Block, before: _Block) -> list[tuple[Hashable, ...]]:
        """Return what a block reads from outside: of the block before, of blocks that are merged, or elsewhere."""
        return [
            ("before", before.place_of[operand]) if operand in before.place_of else self._outside(operand)
            for operand in block.read
        ]

    def _outside(self, operand: Node) -> tuple[Hashable, ...]:
        spot = self._spots.get(operand)
        return ("outside", operand) if spot is None else ("run", spot.run, spot.place)

    def _steps(self, block: _Block, after: _Block, keys: list[tuple[Hashable, ...]]) -> set[int]:
        """Return how many blocks further the next block reads, in runs of blocks that are merged already."""
        read = zip(block.read, after.read, keys, strict=True)
        spots = [(self._spots.get(one), self._spots[other]) for one, other, key in read if key[0] == "run"]
        return {other.block - one.block for one, other in spots if one is not None}

    def _begins(self, first: _Block, keys: list[tuple[Hashable, ...]]) -> bool:
        """Return whether the first block reads what the others do, with other values for those of the block before."""
        stands_for: dict[Hashable, Node] = {}
        for operand, key in zip(first.read, keys, strict=True):
            if key[0] == "before":
                if stands_for.setdefault(key[1], operand) is not operand:
                    return False
            elif key != self._outside(operand):
                return False
        return True

    def _ends_in(self, block: _Block, after: _Block, first: _Block) -> bool:
        """Return whether nothing but the next block reads this one in the same phase, or asks for it by name."""
        fetched = self._seen.fetched
        for mine, other in zip(block.nodes, first.nodes, strict=True):
            if (mine in fetched) != (other in fetched) or fetched.get(mine):
                return False
            outside = (user for user in mine.users if user not in block.place_of and user not in after.place_of)
            if any(user in self._drawn and user.phase == mine.phase for user in outside):
                return False
        return True

    def _merge(self, blocks: list[_Block], around: Scope | None) -> None:
        for number, block in enumerate(blocks):
            for node, place in block.place_of.items():
                self._spots[node] = _Spot(len(self._runs), number, place)
        self._runs.append((around, blocks))

    def _merged(self) -> Picture:
        seen = self._seen
        box_of: dict[Box, Box] = {}
        for around, blocks in self._runs:
            inside = [box for block in blocks for unit in block.units for box in unit.boxes]
            nodes = [node for block in blocks for node in block.nodes]
            gives = {node: said for box in inside for node, said in box.gives.items()}
            box = Box(0, _scope_of(blocks, around), around, sorted(nodes, key=lambda node: node.index), gives=gives)
            box_of.update(dict.fromkeys(inside, box))
        boxes: dict[Box, None] = {}
        for old in seen.boxes:
            boxes[box_of.setdefault(old, replace(old))] = None
        for place, box in enumerate(boxes):
            box.place = place
        edges: dict[Hashable, Edge] = {}
        for number, edge in enumerate(seen.edges):
            tail, head = box_of[edge.tail], box_of[edge.head]
            spot = self._spots.get(edge.node)
            if tail is head and head.scope is not None:
                continue
            value: Hashable = edge.node if spot is None else (spot.run, spot.place)
            single = head.scope is None
            key = (number,) if single else (value, head)
            position = edge.position if single else None
            edges.setdefault((*key, *edge[4:]), edge._replace(tail=tail, head=head, position=position))
        return replace(seen, boxes=list(boxes), edges=list(edges.values()))


def _kind(unit: _Unit) -> Hashable:
    """Return what must be equal in units that repeat: all but what they read from outside."""
    block = _Block([unit])
    depth = len(scopes_down_to(unit.boxes[0].around if unit.scope is None else unit.scope.parent))
    kinds: dict[str, Hashable] = {}
    found: list[Hashable] = []
    for node in block.nodes:
        if node.scope not in kinds:
            scopes = scopes_down_to(node.graph.scopes.get(node.scope))[depth:]
            kinds[node.scope] = tuple([(scope.kind or _stem(scope), scope.phase) for scope in scopes])
        constant = constant_bytes(node)
        inputs = tuple([block.place_of.get(operand, -1) for operand in node.inputs])
        found.append((node.op, node.spec, node.phase, node.trainable, kinds[node.scope], constant, inputs))
    return unit.whole is None, tuple(found)


def _stem(scope: Scope) -> str:
    """Return the name of a scope without its number: an encoder and a decoder are not the same, though made alike."""
    return re.sub(r"_?\d+$", "", title_of(scope))


def _begins_well(blocks: list[_Block]) -> bool:
    """Return whether a block begins with what holds parameters, as a layer does."""
    return any(node.has_value and not node.op.is_constant for node in blocks[0].units[0].boxes[0].nodes)


def _scope_of(blocks: list[_Block], around: Scope | None) -> Scope:
    """Return a scope that says what is merged: ``Dense → relu ×3``, ``dense_1 … relu_3``."""
    first, last = blocks[0].units[0], blocks[-1].units[-1]
    titles = [unit.title for unit in blocks[0].units if unit.whole or unit.boxes[0].node.inputs]
    names = [first.name, last.name]
    path = " … ".join(names if len(set(names)) > 1 else names[:1])
    node = blocks[0].nodes[0]
    scope = first.whole
    return Scope(
        path if around is None else f"{around.path}/{path}",
        f"{' → '.join(titles)} ×{len(blocks)}",
        node.origin if scope is None else scope.origin,
        around,
        node.phase,
        max(blocks[-1].nodes, key=lambda node: node.index),
    )
