"""Loops on a page: which iterations it keeps, and what the nodes of the body are in each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ...errors import GraphnnError
from ...execute.loop import Prepared, evaluate
from ...graph import Array, Node
from ...inspector.trace.values import Stats, stats_of
from ...loops.running import Iterations
from ..diagram.boxes import is_like, picture
from ..diagram.picture import insides
from ..text import visible
from .keeping import ROOM, Tier, chosen, counts_kept

if TYPE_CHECKING:
    from ...graph import Op
    from ...inspector.trace import Record, Trace
    from ..diagram.picture import Picture

_SHARE = 0.5
"""Of the room that a page has, for iterations."""
_FEW = Tier(1024, 1024, 32)
_MOST_ITERATIONS, _MOST_VALUES = 256, 6000
_FINDING = re.compile(r"(?P<loop>.+)@(?P<row>\d+)/(?P<node>[^@]+)", re.DOTALL)


class Inner(NamedTuple):
    """The value of a node of a body in one iteration; it is read as a record of a trace is."""

    node: Node
    value: Array
    stats: Stats
    kept: bool = True
    time: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        shape: tuple[int, ...] = self.value.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.value.dtype


class Iteration(NamedTuple):
    """One iteration that is kept: values, and what operations computed them from what."""

    row: int
    values: dict[Node, Array]
    ops: dict[Node, Op]
    operands: dict[Node, list[Array]]


class PageLoop:
    """A loop whose iterations a page shows.

    Attributes
    ----------
    loop : Node
        Of the first run.
    title : str
        What it is called: the scope that was opened for it, or its own name.
    nodes : list of Node
        Those of its body that the page shows, in their order.
    takes : dict of Node to str
        How an input is taken.
    before : dict of Node to Node
        For an input that is carried: its next value, which the next iteration gets.
    """

    def __init__(self, loop: Node, title: str, seen: Picture) -> None:
        self.loop, self.title = loop, title
        own = [node for box in seen.boxes for node in box.seen if seen.origins.get(node, (None, 0))[0] is loop]
        self.nodes = sorted(dict.fromkeys(own), key=lambda node: node.index)
        self.node_at = {node.index: node for node in self.nodes}
        self._titles = {box.node: box.title for box in seen.boxes if box.title}
        (inside,) = insides(loop)
        self.takes: dict[Node, str] = {}
        self.before: dict[Node, Node] = {}
        self._operand_of: dict[Node, Node] = {}
        graph = self.nodes[0].graph
        for place, (node, (how, position)) in enumerate(zip(graph.placeholders, inside.takes, strict=True)):
            self.takes[node] = how
            if position >= 0:
                self._operand_of[node] = loop.inputs[position]
            following = self.node_at.get(inside.following.get(place, -1))
            if following is not None:
                self.before[node] = following

    def name_of(self, node: Node) -> str:
        """Return what a node is called in the body."""
        return self._titles.get(node, node.name)

    def read_by(self, node: Node) -> list[Node]:
        """Return what a node reads: nodes of the body, or of the graph."""
        if node in self._operand_of:
            return [self._operand_of[node]]
        return [x if x.index in self.node_at else self._operand_of.get(x, x) for x in node.inputs]

    def given_by(self, item: Node) -> tuple[str, Node] | None:
        """Return how the loop gives an array, and the node of the body that gives it."""
        loop: Any = item.inputs[0]
        said, at = insides(loop)[0].gives[loop.op.layout.places.index(item.op.place)]  # type: ignore[attr-defined]
        return (said, self.node_at[at]) if at in self.node_at else None

    def iterations(self, trace: Trace, loop: Node, findings: Collection[int]) -> tuple[list[int], list[Iteration]]:
        """Compute a loop with this body again.

        Returns
        -------
        order : list of int
            All rows, in the order of the iterations.
        kept : list of Iteration
        """
        op: Any = trace.prepared.op_of(loop)
        operands = [trace[operand].value for operand in loop.inputs]
        first = next(self._going(op, operands), None)
        if first is None:
            return [], []
        order = [row for row, _ in self._going(op, operands)] if op.while_ >= 0 else _rows(op, operands)
        cost = sum(x.itemsize * math.prod(counts_kept(x.shape, None, _FEW)) for x in first[1]().values.values())
        rows = set(rows_kept(order, findings, cost, len(self.nodes)))
        kept = [iteration() for row, iteration in self._going(op, operands) if row in rows]
        return order, kept

    def _going(self, op: Any, operands: Sequence[Array]) -> Iterator[tuple[int, Callable[[], Iteration]]]:
        """Go through the iterations, as far as they do not fail; what is there of each is told if it is asked for."""
        going = Iterations(op, operands)
        while not going.is_finished:
            row, inputs, prepared, values = going.row, going.inputs(), going.prepared(), dict[Node, Array]()
            failed = False
            try:
                with np.errstate(all="ignore"):
                    for step in evaluate(prepared):
                        values[step.node] = step.value
            except GraphnnError:
                failed = True
            yield row, partial(self._iteration, row, inputs, prepared, values)
            if failed:
                return
            going.advance([values[prepared.program.order[place]] for place in prepared.program.fetches])

    def _iteration(
        self, row: int, inputs: Sequence[Array], prepared: Prepared, values: Mapping[Node, Array]
    ) -> Iteration:
        known = {node.index: value for node, value in values.items()}
        placeholders = prepared.program.graph.placeholders
        known |= {node.index: np.asarray(value) for node, value in zip(placeholders, inputs, strict=True)}
        found = Iteration(row, {}, {}, {})
        for node in values:
            mine = self.node_at.get(node.index)
            if mine is not None and node.inputs:
                found.ops[mine] = prepared.op_of(node)
                found.operands[mine] = [known[operand.index] for operand in node.inputs]
        found.values.update((node, known[at]) for at, node in self.node_at.items() if at in known)
        return found


def _rows(op: Any, operands: Sequence[Array]) -> list[int]:
    rows = list(range(Iterations(op, operands).limit))
    return rows[::-1] if op.backwards else rows


class PageLoops:
    """The loops of a page, and the nodes of all of it, in the order in which the page has them.

    Attributes
    ----------
    all : list of PageLoop
    order : list of Node
        The nodes that have run, those of bodies in place of their loops.
    of_node : dict of Node to PageLoop
        Of the nodes of bodies.
    """

    def __init__(self, trace: Trace) -> None:
        loops = [node for node in trace.order if _can_be_shown(trace, node)]
        self.all: list[PageLoop] = []
        drawn = set[Node]()
        if loops:
            seen = picture(trace.fetches, opens=loops)
            self.all = [PageLoop(loop, path, seen) for path, loop in seen.loops.items() if loop in loops]
            drawn = {node for box in seen.boxes for node in box.nodes}
        self.by_loop = {each.loop: each for each in self.all}
        self.of_node = {node: each for each in self.all for node in each.nodes}
        self.order: list[Node] = []
        self._items: dict[Node, tuple[str, Node]] = {}
        for node in trace.order:
            if node in self.by_loop:
                self.order += self.by_loop[node].nodes
            elif node not in loops or node in drawn:  # others compute what one of these does, and keep more
                self.order.append(node)
        for node in self.order:
            self._note_item(node)
        self._of_runs: list[list[tuple[list[int], list[Iteration]]]] = []

    def _note_item(self, node: Node) -> None:
        """Note of which node of which body a node is an array."""
        if node.op.name != "loop_item" or not insides(node.inputs[0]) or node in self.of_node:
            return
        loop = node.inputs[0]
        for each in self.all:
            if each.loop.inputs == loop.inputs and is_like(each.loop, loop):
                found = each.given_by(node)
                if found is not None:
                    self._items[node] = found

    def is_item(self, node: Node) -> bool:
        """Return whether a node is an array that a loop on the page gives."""
        return node in self._items

    def name_of(self, node: Node) -> str:
        """Return what a node is called; one of a body as in the first iteration that is kept."""
        loop = self.of_node.get(node)
        return node.title if loop is None else f"{loop.title}@{self._first_row(loop)}/{loop.name_of(node)}"

    def _first_row(self, loop: PageLoop) -> int:
        order, _ = self._of_runs[0][self.all.index(loop)] if self._of_runs else ([0], [])
        return order[0] if order else 0

    def op_of(self, node: Node) -> str:
        """Return the operation of a node, in a word."""
        return self._items[node][0] if node in self._items else node.op.name

    def phase_of(self, node: Node) -> str:
        """Return the phase of a node; of one of a body, that of the loop unless it has its own."""
        loop = self.of_node.get(node)
        return node.phase if loop is None or node.phase != "forward" else loop.loop.phase

    def kind_of(self, node: Node) -> str:
        """Return how an input of a body is given; "" of other nodes."""
        loop = self.of_node.get(node)
        return "" if loop is None or node not in loop.takes else _KINDS[loop.takes[node]]

    def read_by(self, node: Node) -> Sequence[Node]:
        """Return what a node reads."""
        loop = self.of_node.get(node)
        if node in self._items:
            return [self._items[node][1]]
        return node.inputs if loop is None else loop.read_by(node)

    def places_of(self, node: Node, seen: Picture, place_of: Mapping[Node, int]) -> list[int]:
        """Return where a node of a picture of its own is on the page; of a loop, all that is in it."""
        loop, at = seen.origins.get(node, (None, 0))
        if loop in self.by_loop:
            node = self.by_loop[loop].node_at.get(at, node)
        elif node in self.by_loop:
            return [place_of[each] for each in self.by_loop[node].nodes]
        return [place_of[node]] if node in place_of else []

    def compute(self, runs: Sequence[tuple[Trace, Mapping[Node, Node]]], findings: Sequence[Any]) -> None:
        """Compute the iterations of all runs.

        Parameters
        ----------
        runs : sequence of (Trace, dict of Node to Node)
            With the partner of each node of the first run.
        findings : sequence of list of dict
            For each run: in which iterations something was found, these are kept.
        """
        for (trace, partner), found in zip(runs, findings, strict=True):
            told = []
            for number, each in enumerate(self.all):
                loop = partner.get(each.loop)
                rows = [finding["iteration"] for finding in found if finding.get("loop") == number]
                known = loop is not None and _can_be_shown(trace, loop) and insides(loop) == insides(each.loop)
                told.append(each.iterations(trace, loop, rows) if loop is not None and known else ([], []))
            self._of_runs.append(told)

    def of_run(self, number: int) -> list[tuple[PageLoop, list[int], list[Iteration]]]:
        """Return of each loop the rows in the order of the iterations of a run, and those that are kept."""
        return [(each, *found) for each, found in zip(self.all, self._of_runs[number], strict=True)]

    def values(self) -> Iterator[tuple[Node, Array]]:
        """Yield all values that are kept."""
        for told in self._of_runs:
            for _, kept in told:
                for iteration in kept:
                    yield from iteration.values.items()

    def told(self, place_of: Mapping[Node, int]) -> list[dict[str, Any]]:
        """Return what the page knows of the loops, whatever the run."""
        return [
            {
                "title": visible(each.title),
                "places": [place_of[node] for node in each.nodes],
                "names": [visible(each.name_of(node)) for node in each.nodes],
                "before": [
                    [place_of[node], place_of[other]] for node, other in each.before.items() if node in place_of
                ],
                "gives": [
                    [place_of[item], said, place_of[node]]
                    for item, (said, node) in self._items.items()
                    if self.of_node[node] is each
                ],
            }
            for each in self.all
        ]


_KINDS = {"carried": "carried", "row": "one row", "index": "the number of the iteration", "same": "an operand"}


def is_bundle(node: Node) -> bool:
    """Return whether a value is several arrays in one, whose numbers say nothing."""
    return bool(insides(node)) or node.op.name == "loop_bundle"


def _can_be_shown(trace: Trace, node: Node) -> bool:
    own = insides(node)
    return (
        len(own) == 1
        and node not in trace.prepared.overridden
        and all(operand in trace and trace[operand].kept for operand in node.inputs)
    )


def rows_kept(order: Sequence[int], found: Iterable[int], cost: int, count: int) -> list[int]:
    """Return the iterations that a page keeps, in their order.

    Parameters
    ----------
    order : sequence of int
        The rows in the order of the iterations.
    found : iterable of int
        Rows that are kept in any case: something was found there.
    cost : int
        Bytes of the values of one iteration.
    count : int
        How many values these are.

    Examples
    --------
    >>> rows_kept(range(5), [], 100, 10)
    [0, 1, 2, 3, 4]
    >>> rows_kept(range(1000), [137], 150_000, 10)
    [0, 1, 137, 168, 335, 502, 669, 836, 999]
    """
    most = min(int(ROOM * _SHARE * 0.75 / max(cost, 1)), _MOST_VALUES // max(count, 1), _MOST_ITERATIONS)
    kept = {order[k] for k in chosen(len(order), max(most, 4))} if order else set()
    kept |= {*order[-1:], *found}
    return [row for row in order if row in kept]


def place_in(name: str, loops: Sequence[PageLoop]) -> tuple[PageLoop, int, Node] | None:
    """Return the loop, the iteration and the node that a name such as ``scan_1@137/tanh`` means on a page."""
    parts = _FINDING.fullmatch(name)
    if parts is None:
        return None
    for each in loops:
        if each.title == parts["loop"]:
            for node in each.nodes:
                if parts["node"] in (node.name, each.name_of(node)):
                    return each, int(parts["row"]), node
    return None


def record_of(node: Node, value: Array) -> Record:
    """Return a value of an iteration as a record."""
    return cast("Record", Inner(node, value, stats_of(value)))
