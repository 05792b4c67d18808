"""The graphs of a step that is split: one for each stage, which a shard computes, and one that runs once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ...core import Dim, Graph, Node, fn, is_float
from ...core.fetches import ancestors, ordered
from ...core.op import over_dimensions
from ...core.symbolic_shapes import names_in, product, substitute
from ...errors import UsageError
from ...ops.elementwise import DivideBySize
from ...ops.reductions import Mean
from ...transforms.extract_replace import extract, replace
from .shard_partition import Cut, Kind
from .sharding_rules import Joined


@dataclass
class Program:
    """A graph, and what is asked of it. Everything is told by names, which are those of the step.

    Attributes
    ----------
    fetches : list of Node
    feeds : list of str
        The placeholders; some may be what earlier stages gave.
    state : list of str
        The parameters.
    whole : str or None
        The name of the dimension that is the number of rows of all shards, if it is needed.
    unbound : list of str
        The names of other dimensions whose sizes the feeds do not give.
    """

    fetches: list[Node]
    whole: str | None
    feeds: list[str] = field(init=False)
    state: list[str] = field(init=False)
    unbound: list[str] = field(init=False)

    def __post_init__(self) -> None:
        needed = ordered(self.fetches)
        self.feeds = [node.name for node in needed if node.op.is_placeholder]
        self.state = [node.name for node in needed if node.op.is_parameter]
        given = {dim for node in needed if node.op.is_placeholder for dim in node.shape}
        self.unbound = sorted(_names(self.fetches) - given - {self.whole})

    @property
    def graph(self) -> Graph:
        """Their graph."""
        return self.fetches[0].graph


@dataclass
class Stage(Program):
    """What a shard computes in one round: first what is joined, then what is kept, then the rows of fetches.

    Attributes
    ----------
    joined : dict of str to Joined
    kept : list of str
        What the same shard needs in later stages.
    rows : dict of str to int
        The fetches that have rows, and their axes.
    """

    joined: dict[str, Joined]
    kept: list[str]
    rows: dict[str, int]
    shard: str | None
    """The name of the placeholder for the number of the shard, if random numbers depend on it."""


@dataclass
class Once(Program):
    """What runs once, of what was joined: the fetches without rows, and the next values."""

    names: list[str]
    """Of what it gives, as in the step."""


@dataclass
class Programs:
    """All of a step that is split."""

    shards: int
    stages: list[Stage]
    once: Once | None
    """None if all fetches have rows, and nothing is updated."""


def programs_of(cut: Cut, shards: int) -> Programs:
    """Return the graphs of a step that is split into so many shards.

    Raises
    ------
    UsageError
        When each shard has a value of its own of what must be one, and these have no mean.
    """
    maker = _Maker(cut, shards)
    return Programs(shards, maker.stages(), maker.once())


class _Maker:
    def __init__(self, cut: Cut, shards: int) -> None:
        self._cut, self._shards, self._parts = cut, shards, cut.parts
        self._finals = list(dict.fromkeys(cut.finals))
        self._averaged = [node for node in self._finals if self._parts[node].kind is Kind.LOCAL]
        for node in self._averaged:
            if not is_float(node.dtype):
                raise UsageError(
                    f'each shard has a value of its own of "{node.name}" {node.spec}, and these have no mean: '
                    'train it with nn.Shards(count, statistics="all")'
                )

    def stages(self) -> list[Stage]:
        """Return what shards compute; later stages say what earlier ones keep."""
        made: list[Stage] = []
        kept: set[Node] = set()
        joined = self._joined_for_once()
        for stage in reversed(range(self._cut.stages)):
            at = [node for node, part in self._parts.items() if part.stage == stage]
            added = [node for node in at if node in joined]
            held = [node for node in at if node in kept]
            rows = [node for node in self._finals if node in at and self._parts[node].kind is Kind.ROWS]
            if not (added or held or rows):
                continue
            given = self._given([*added, *held, *rows], stage)
            made.insert(0, self._stage(added, held, rows, given))
            kept |= {node for node in given if self._parts[node].kind is not Kind.JOINED}
            joined |= {node for node in given if self._parts[node].kind is Kind.JOINED}
        return made

    def _joined_for_once(self) -> set[Node]:
        """Return what is to be joined for what runs once."""
        waiting = [node for node in self._finals if self._parts[node].kind is not Kind.ROWS]
        found, seen = set[Node](), set(waiting)
        while waiting:
            node = waiting.pop()
            if self._parts[node].kind in (Kind.JOINED, Kind.LOCAL):
                found.add(node)
                continue
            waiting += [operand for operand in dict.fromkeys(node.inputs) if operand not in seen]
            seen.update(node.inputs)
        return found

    def _given(self, targets: Sequence[Node], stage: int) -> list[Node]:
        """Return what a stage gets from earlier ones."""
        waiting, seen, found = list(targets), set(targets), []
        while waiting:
            node = waiting.pop()
            if self._is_given(node, stage):
                found.append(node)
                continue
            waiting += [operand for operand in dict.fromkeys(node.inputs) if operand not in seen]
            seen.update(node.inputs)
        return sorted(found, key=lambda node: node.index)

    def _is_given(self, node: Node, stage: int) -> bool:
        part = self._parts[node]
        if part.kind is Kind.WHOLE or part.stage >= stage or node.op.is_placeholder:
            return False
        # What is the same in each row is made again.
        return part.kind is not Kind.ROWS or any(self._parts[each].kind is not Kind.WHOLE for each in node.inputs)

    def _stage(self, added: list[Node], held: list[Node], rows: list[Node], given: list[Node]) -> Stage:
        targets = [*added, *held, *rows]
        scratch = extract(targets, inputs=given)
        shard, numbers = self._with_shard(scratch)
        exchanged, whole = self._with_whole(scratch)
        contributions = []
        for node in added:
            copy = scratch[node.name]
            with scratch.in_scope(copy.scope or None, origin=node.origin, twin=copy, origin_of_nodes=True):
                contributions.append(self._contribution(node, copy, whole))
        fetched = replace([*contributions, *[scratch[node.name] for node in (*held, *rows)]], exchanged | numbers)
        used = _names(fetched)
        return Stage(
            fetched,
            whole if whole in used else None,
            {node.name: self._parts[node].joined or Joined.ADD for node in added},
            [node.name for node in held],
            {node.name: self._axis(node) for node in rows},
            None if shard is None or not numbers else shard.name,
        )

    def _axis(self, node: Node) -> int:
        axis = self._parts[node].axis
        assert axis is not None
        return axis

    def _with_shard(self, scratch: Graph) -> tuple[Node | None, dict[Node, Node]]:
        """Let random rows depend on the shard: no two draw the same numbers, in whatever steps."""
        drawn = [node for node in scratch if node.op.is_random and not self._cut.rows.isdisjoint(names_in(node.shape))]
        if not drawn or self._shards == 1:
            return None, {}
        shard = scratch.placeholder(scratch.free_name("shard"), (), np.int64)
        exchanged = {}
        for node in drawn:
            with scratch.in_scope(node.scope or None, origin=node.origin, twin=node, origin_of_nodes=True):
                counter = node.inputs[0]
                own = fn.cast(shard, counter.dtype) if counter.dtype == np.uint64 else shard
                exchanged[node] = scratch.add(node.op, [counter * self._shards + own])
        return shard, exchanged

    def _with_whole(self, scratch: Graph) -> tuple[dict[Node, Node], str]:
        """Let means divide by the number of rows of all shards."""
        taken = names_in(dim for node in scratch for dim in node.shape)
        whole = next(name for i in range(len(taken) + 1) if (name := f"rows{i or ''}_of_all") not in taken)
        source = self._cut.finals[0].graph
        exchanged = {}
        for node in list(scratch):
            if not isinstance(node.op, DivideBySize) or source[node.name] not in self._parts:
                continue
            if self._cut.counts_all(source[node.name]):
                count = over_dimensions(node.op.count, self._of_all(whole))
                with scratch.in_scope(node.scope or None, origin=node.origin, twin=node, origin_of_nodes=True):
                    exchanged[node] = fn.divide_by_size(node.inputs[0], count)
        return exchanged, whole

    def _of_all(self, whole: str) -> Callable[[Dim], Dim]:
        """Return a function from a dimension of a shard to that of all of them."""
        return partial(substitute, sizes=dict.fromkeys(self._cut.rows, whole))

    def _contribution(self, node: Node, copy: Node, whole: str) -> Node:
        """Return what a shard gives to what is joined."""
        if self._parts[node].kind is Kind.LOCAL:  # its share is that of its rows
            rows = fn.sum(fn.broadcast_to(copy.graph.constant(np.ones((), copy.dtype)), (min(self._cut.rows),)))
            return copy * fn.divide_by_size(rows, whole)
        if not isinstance(node.op, Mean):
            return copy
        (x,) = copy.inputs
        wide = x if copy.dtype == x.dtype else fn.cast(x, copy.dtype)
        wide = fn.cast(wide, "float32") if copy.dtype == np.float16 else wide
        total = fn.sum(wide, axis=node.op.axis, keepdims=node.op.keepdims)
        mean = fn.divide_by_size(total, product(self._of_all(whole)(x.shape[axis]) for axis in node.op.over(x.ndim)))
        return mean if mean.dtype == copy.dtype else fn.cast(mean, copy.dtype)

    def once(self) -> Once | None:
        """Return what runs once."""
        finals = [node for node in self._finals if self._parts[node].kind is not Kind.ROWS]
        if not finals:
            return None
        given = sorted(self._joined_for_once(), key=lambda node: node.index)
        moved = [node for node in self._cut.moved if node not in finals]
        scratch = extract([*finals, *moved], inputs=given)
        exchanged, whole = self._with_whole(scratch)
        fetched = replace([scratch[node.name] for node in (*finals, *moved)], exchanged)[: len(finals)]
        return Once(fetched, whole if whole in _names(fetched) else None, [node.name for node in finals])


def _names(fetched: Sequence[Node]) -> set[str]:
    needed = ancestors(fetched)
    return {name for node in needed for name in (*node.op.dimension_names, *names_in(node.shape))}
