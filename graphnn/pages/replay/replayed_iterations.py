"""Loops and branches on a page: which iterations it keeps, and what the nodes of the body are in each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ...control_flow.iteration_names import is_branch
from ...control_flow.run_iterations import Iterations
from ...core import Array, Node
from ...debugger.traces.value_statistics import Stats, stats_of
from ...errors import GraphnnError
from ...runtime.evaluation_loop import Prepared, evaluate
from ...view.diagrams.boxes import is_like, picture
from ...view.diagrams.picture import insides
from ...view.formatting import visible
from .kept_elements import ROOM, Tier, chosen, counts_kept

if TYPE_CHECKING:
    from ...core import Op
    from ...debugger.traces import Record, Trace
    from ...view.diagrams.picture import Box, Picture

_SHARE = 0.5
"""Of the room that a page has, for iterations."""
_FEW = Tier(1024, 1024, 32)
_MOST_ITERATIONS, _MOST_VALUES = 256, 6000
_FINDING = re.compile(r"(?P<loop>.+)@(?P<row>\d+|then|otherwise)/(?P<node>[^@]+)", re.DOTALL)


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
    """A loop whose iterations a page shows, or one side of a branch, which is one iteration if it is taken.

    Attributes
    ----------
    loop : Node
        Of the first run; a loop or a branch.
    title : str
        What it is called: the scope that was opened for it, or its own name.
    body : int
        Which of its bodies it is.
    side : str
        Of a branch ``"then"`` or ``"otherwise"``; of a loop "".
    nodes : list of Node
        Those of its body that the page shows, in their order.
    takes : dict of Node to str
        How an input is taken.
    before : dict of Node to Node
        For an input that is carried: its next value, which the next iteration gets.
    """

    def __init__(self, loop: Node, title: str, body: int, nodes: Iterable[Node], seen: Picture) -> None:
        self.loop, self.title, self.body = loop, title, body
        self.nodes = sorted(dict.fromkeys(nodes), key=lambda node: node.index)
        self.node_at = {node.index: node for node in self.nodes}
        self._titles = {box.node: box.title for box in seen.boxes if box.title}
        inside = insides(loop)[body]
        self.side = inside.title if is_branch(loop) else ""
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

    def name_in(self, node: Node, row: int) -> str:
        """Return what a node is called from outside, in an iteration."""
        return f"{self.title}@{self.side or row}/{self.name_of(node)}"

    def read_by(self, node: Node) -> list[Node]:
        """Return what a node reads: nodes of the body, or of the graph."""
        if node in self._operand_of:
            return [self._operand_of[node]]
        return [x if x.index in self.node_at else self._operand_of.get(x, x) for x in node.inputs]

    def given_by(self, item: Node) -> tuple[str, Node] | None:
        """Return how the loop gives an array, and the node of the body that gives it."""
        loop: Any = item.inputs[0]
        said, at = insides(loop)[self.body].gives[loop.op.layout.places.index(item.op.place)]  # type: ignore[attr-defined]
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
        if self.side:
            if op.taken(operands) != self.body:
                return [], []
            inputs = [np.asarray(x, order="C") for x in operands[1:]]
            iteration, _ = self._evaluated(0, inputs, op.prepared(self.body, inputs))
            return [0], [iteration()]
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
            row = going.row
            iteration, values = self._evaluated(row, going.inputs(), prepared := going.prepared())
            yield row, iteration
            if values is None:
                return
            going.advance([values[prepared.program.order[place]] for place in prepared.program.fetches])

    def _evaluated(
        self, row: int, inputs: Sequence[Array], prepared: Prepared
    ) -> tuple[Callable[[], Iteration], dict[Node, Array] | None]:
        """Compute a body; return what is there of it if that is asked for, and its values, None if it failed."""
        values: dict[Node, Array] = {}
        iteration = partial(self._iteration, row, inputs, prepared, values)
        try:
            with np.errstate(all="ignore"):
                for step in evaluate(prepared):
                    values[step.node] = step.value
        except GraphnnError:
            return iteration, None
        return iteration, values

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
    """The loops and branches of a page, and the nodes of all of it, in the order in which the page has them.

    Attributes
    ----------
    all : list of PageLoop
    by_loop : dict of Node to dict of int to PageLoop
        By the number of the body: of a branch, its sides.
    order : list of Node
        The nodes that have run, those of bodies in place of their loops, and after their branches.
    of_node : dict of Node to PageLoop
        Of the nodes of bodies.
    """

    def __init__(self, trace: Trace) -> None:
        loops = [node for node in trace.order if _can_be_shown(trace, node)]
        self.all: list[PageLoop] = []
        drawn = set[Node]()
        if loops:
            seen = picture(trace.fetches, opens=loops)
            bodies = _bodies(seen)
            for path, loop in seen.loops.items():
                if loop in loops:
                    sides = [body for body in range(len(insides(loop))) if (loop, body) in bodies]
                    self.all += [PageLoop(loop, path, body, bodies[loop, body], seen) for body in sides]
            drawn = {node for box in seen.boxes for node in box.nodes}
        self.by_loop: dict[Node, dict[int, PageLoop]] = {}
        for each in self.all:
            self.by_loop.setdefault(each.loop, {})[each.body] = each
        self.of_node = {node: each for each in self.all for node in each.nodes}
        self.order: list[Node] = []
        self._items: dict[Node, list[tuple[PageLoop, str, Node]]] = {}
        """Of arrays that loops and branches give: which body gives it, how, and by which node."""
        for node in trace.order:
            if node in self.by_loop:
                self.order += [node] if is_branch(node) else []
                self.order += [inner for each in self.by_loop[node].values() for inner in each.nodes]
            elif node not in loops or node in drawn:  # others compute what one of these does, and keep more
                self.order.append(node)
        for node in self.order:
            self._note_item(node)
        self._of_runs: list[list[tuple[list[int], list[Iteration]]]] = []

    def _note_item(self, node: Node) -> None:
        """Note of which node of which body a node is an array."""
        if not node.op.is_loop_item or not insides(node.inputs[0]) or node in self.of_node:
            return
        loop = node.inputs[0]
        for each in self.all:
            if each.loop.inputs == loop.inputs and is_like(each.loop, loop):
                found = each.given_by(node)
                if found is not None:
                    self._items.setdefault(node, []).append((each, *found))

    def is_item(self, node: Node) -> bool:
        """Return whether a node is an array that a loop on the page gives."""
        return node in self._items

    def name_of(self, node: Node) -> str:
        """Return what a node is called; one of a body as in the first iteration that is kept."""
        loop = self.of_node.get(node)
        return node.title if loop is None else loop.name_in(node, self._first_row(loop))

    def _first_row(self, loop: PageLoop) -> int:
        order, _ = self._of_runs[0][self.all.index(loop)] if self._of_runs else ([0], [])
        return order[0] if order else 0

    def op_of(self, node: Node) -> str:
        """Return the operation of a node, in a word."""
        return self._items[node][0][1] or "chosen" if node in self._items else node.op.name

    def phase_of(self, node: Node) -> str:
        """Return the phase of a node; of one of a body, that of the loop unless it has its own."""
        loop = self.of_node.get(node)
        return node.phase if loop is None or node.phase != "forward" else loop.loop.phase

    def kind_of(self, node: Node) -> str:
        """Return how an input of a body is given; "" of other nodes."""
        loop = self.of_node.get(node)
        return "" if loop is None or node not in loop.takes else _KINDS[loop.takes[node]]

    def read_by(self, node: Node) -> Sequence[Node]:
        """Return what a node reads; of a branch, the flag."""
        loop = self.of_node.get(node)
        if loop is not None:
            return loop.read_by(node)
        if node in self._items:
            (bundle,) = node.inputs
            flag = bundle.inputs[:1] if is_branch(bundle) else ()
            return [*flag, *[inner for _, _, inner in self._items[node]]]
        return node.inputs[:1] if node in self.by_loop else node.inputs

    def places_of(self, box: Box, seen: Picture, place_of: Mapping[Node, int]) -> list[int]:
        """Return where what is in a box of a picture of its own is on the page; of a loop, all that is in it."""
        # What a loop gives comes first: of a box one looks at the last.
        nodes, is_open = [*box.gives, *box.nodes], box.scope is None
        return [place for node in nodes for place in self._places_of(node, is_open, seen, place_of)]

    def _places_of(self, node: Node, is_open: bool, seen: Picture, place_of: Mapping[Node, int]) -> list[int]:
        loop, body, at = seen.origins.get(node, (None, 0, 0))
        if loop in self.by_loop:
            node = self.by_loop[loop][body].node_at.get(at, node)
        elif node in self.by_loop and not (is_open and node in place_of):
            inside = [inner for each in self.by_loop[node].values() for inner in each.nodes]
            return [place_of[each] for each in (node, *inside) if each in place_of]
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
                "side": each.side,
                "places": [place_of[node] for node in each.nodes],
                "names": [visible(each.name_of(node)) for node in each.nodes],
                "before": [
                    [place_of[node], place_of[other]] for node, other in each.before.items() if node in place_of
                ],
                "gives": [
                    [place_of[item], said, place_of[node]]
                    for item, found in self._items.items()
                    for body, said, node in found
                    if body is each
                ],
            }
            for each in self.all
        ]


_KINDS = {"carried": "carried", "row": "one row", "index": "the number of the iteration", "same": "an operand"}


def is_bundle(node: Node) -> bool:
    """Return whether a value is several arrays in one, whose numbers say nothing."""
    return bool(insides(node)) or node.op.name == "loop_bundle"


def _can_be_shown(trace: Trace, node: Node) -> bool:
    return (
        (len(insides(node)) == 1 or is_branch(node))
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


def _bodies(seen: Picture) -> dict[tuple[Node, int], list[Node]]:
    """Return the nodes of a picture that are in each body."""
    found: dict[tuple[Node, int], list[Node]] = {}
    for box in seen.boxes:
        for node in box.seen:
            if node in seen.origins:
                found.setdefault(seen.origins[node][:2], []).append(node)
    return found


def place_in(name: str, loops: Sequence[PageLoop]) -> tuple[PageLoop, int, Node] | None:
    """Return the loop, the iteration and the node that a name such as ``scan_1@137/tanh`` means on a page.

    The iteration of a side of a branch is 0.
    """
    parts = _FINDING.fullmatch(name)
    if parts is None:
        return None
    for each in loops:
        if each.title == parts["loop"] and each.side in (parts["row"], ""):
            for node in each.nodes:
                if parts["node"] in (node.name, each.name_of(node)):
                    return each, 0 if each.side else int(parts["row"]), node
    return None


def record_of(node: Node, value: Array) -> Record:
    """Return a value of an iteration as a record."""
    return cast("Record", Inner(node, value, stats_of(value)))
