"""Networks made by hand with a known circuit among distractors, and an evaluation of them by NumPy alone.

A network is a list of rows, from which both the graph and the oracle are made. Its *signal* begins at inputs that are
positive, and larger in the clean run. It goes on through functions that are positive and strictly increase with each
operand, so if one of its edges is ablated, the metric is less, whatever else is ablated. A *distractor* begins
anywhere, differs between the runs, and ends in what lets nothing through: a zero factor, a dead relu, a saturated clip,
a floor, a choice of the other operand, elements that are the same in both runs, the difference of two equal values.

What makes the circuit unique: of all sets of edges with which the metric is that of the clean run, it is the one that
is within all others. `within_all` finds it without knowing it, by trying every set where there are few edges.

Not drawn is what has no unique circuit: two paths of which one is enough, and distractors that take back at one node
what another of them did at a node before, so that each of the two edges moves the metric.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

import graphnn as gn

Edge = tuple[str, str]
_SIZE = 2
_MOST_TRIED = 12  # edges of which all sets are tried
_SETS = 2000  # that are drawn where there are more
_OFF, _TAIL = np.array([False, False]), slice(_SIZE, None)

# By name: the operation of the graph, and the same in NumPy, for many sets of edges at once along leading axes.
_OPS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "exp": (gn.exp, np.exp),
    "tanh": (gn.tanh, np.tanh),
    "sqrt": (gn.sqrt, np.sqrt),
    "sin": (gn.sin, np.sin),
    "negative": (gn.negative, np.negative),
    "floor": (gn.floor, np.floor),
    "add": (gn.add, np.add),
    "subtract": (gn.subtract, np.subtract),
    "multiply": (gn.multiply, np.multiply),
    "relu": (gn.relu, lambda x: np.maximum(x, 0.0)),
    "clip": (lambda x: gn.clip(x, 0.0, 1.0), lambda x: np.clip(x, 0.0, 1.0)),
    "other": (lambda x, y: gn.where(x.graph.constant(_OFF), x, y), lambda x, y: np.where(_OFF, x, y)),
    "join": (lambda x, y: gn.concatenate([x, y]), lambda x, y: np.concatenate(np.broadcast_arrays(x, y), axis=-1)),
    "tail": (lambda x: x[_TAIL], lambda x: x[..., _TAIL]),
    "sum": (gn.sum, lambda x: np.sum(x, axis=-1)),
}


class Row(NamedTuple):
    """A node: its operation, a key of the table, and its operands; those that are numbers are constants."""

    op: str
    operands: tuple[str | float, ...]


class Known(NamedTuple):
    """A network with its circuit.

    Attributes
    ----------
    rows : dict of str to Row
        The last one is the metric.
    clean, corrupted : dict of str to array
        What is fed.
    circuit : set of (str, str)
    edges : list of (str, str)
        All that carry something that depends on what differs between the runs.
    """

    rows: dict[str, Row]
    clean: dict[str, Any]
    corrupted: dict[str, Any]
    circuit: set[Edge]
    edges: list[Edge]

    def built(self) -> tuple[gn.Node, dict[gn.Node, str]]:
        """Return the metric in a new graph, and the names of the nodes in the rows."""
        graph = gn.Graph()
        nodes = {name: graph.placeholder(name, (_SIZE,)) for name in self.clean}
        for name, (op, operands) in self.rows.items():
            nodes[name] = _OPS[op][0](*[nodes[each] if isinstance(each, str) else each for each in operands])
        return nodes[name], {node: name for name, node in nodes.items()}

    def metric(self, kept: Any) -> Any:
        """Return the metric for sets of edges, given as rows of booleans: all other edges are ablated."""
        ablated = self._values(self.corrupted, {}, np.ones((1, len(self.edges)), bool))
        return self._values(self.clean, ablated, np.atleast_2d(kept))[list(self.rows)[-1]]

    def _values(self, feed: Mapping[str, Any], ablated: Mapping[str, Any], kept: Any) -> dict[str, Any]:
        values = dict(feed)
        column = {edge: kept[:, place, None] for place, edge in enumerate(self.edges)}
        for name, (op, operands) in self.rows.items():
            given = [
                np.where(column[each, name], values[each], ablated.get(each, values[each]))
                if (each, name) in column
                else values[each]
                if isinstance(each, str)
                else each
                for each in operands
            ]
            values[name] = _OPS[op][1](*given)
        return values

    def holds(self, edges: Collection[Edge]) -> Any:
        """Return a set of edges as a row of booleans."""
        return np.array([edge in edges for edge in self.edges])

    def within_all(self, rng: np.random.Generator) -> set[Edge]:
        """Return the edges that are in every set with which the metric is that of the clean run."""
        count = len(self.edges)
        if count <= _MOST_TRIED:
            sets = (np.arange(2**count)[:, None] >> np.arange(count)) & 1 == 1
        else:
            sets = rng.random((_SETS, count)) < rng.choice([0.5, 0.8, 0.95], (_SETS, 1))
            sets[::2] |= self.holds(self.circuit)
        found = self.metric(sets)
        whole, nothing = self.metric(np.ones(count, bool)), self.metric(np.zeros(count, bool))
        faithful = sets[abs(found - whole) <= 1e-9 * abs(whole - nothing)]
        return {edge for edge, needed in zip(self.edges, faithful.all(axis=0), strict=True) if needed}


class _Draft:
    """A network that is being drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rows: dict[str, Row] = {}
        self.signal: list[str] = []  # what carries the signal, the inputs first
        self.circuit: set[Edge] = set()
        self.clean: dict[str, Any] = {}
        self.corrupted: dict[str, Any] = {}

    def input(self, name: str, differs: bool = True) -> str:
        low = self.rng.uniform(0.2, 0.8, _SIZE)
        self.corrupted[name], self.clean[name] = low, low + differs * self.rng.uniform(0.2, 0.6, _SIZE)
        return name

    def row(self, op: str, *operands: str | float) -> str:
        name = f"{op}_{len(self.rows)}"
        self.rows[name] = Row(op, operands)
        return name

    def carry(self, op: str, *operands: str | float) -> str:
        """Add a node of the signal."""
        name = self.row(op, *operands)
        self.circuit |= {(each, name) for each in operands if isinstance(each, str) and each in self.signal}
        self.signal.append(name)
        return name

    def grow(self) -> None:
        """Let the signal go on from one of its nodes, or from two."""
        a, b = self.rng.choice(self.signal, 2)
        op = str(self.rng.choice(["exp", "tanh", "sqrt", "add", "multiply", "scale", "shift"]))
        if op in ("add", "multiply"):
            self.carry(op, str(a), str(b))
        elif op in ("scale", "shift"):
            self.carry({"scale": "multiply", "shift": "add"}[op], str(a), round(self.rng.uniform(0.3, 1.5), 2))
        else:
            # What goes on stays small, so that nothing saturates.
            self.carry(op, self.carry("tanh", str(a)) if op == "exp" else str(a))

    def distract(self, end: str) -> None:
        """Begin somewhere, go on for a while, and join the signal with nothing that matters."""
        starts = [*self.signal, *self.clean]
        at = str(self.rng.choice(starts))
        for _ in range(self.rng.integers(0, 3)):
            op = str(self.rng.choice(["sin", "negative", "tanh", "add", "multiply"]))
            at = self.row(op, at, str(self.rng.choice(starts))) if op in ("add", "multiply") else self.row(op, at)
        self.carry("add", str(self.rng.choice(self.signal)), self._ended(end, at))

    def _ended(self, end: str, at: str) -> str:
        if end == "zero factor":
            return self.row("multiply", at, 0.0)
        if end == "dead relu":
            return self.row("relu", self.row("subtract", self.row("negative", self.row("multiply", at, at)), 1.0))
        if end == "saturated clip":
            return self.row("clip", self.row("add", self.row("multiply", at, at), 5.0))
        if end == "floor":
            return self.row("floor", self.row("add", self.row("multiply", self.row("tanh", at), 0.4), 0.5))
        if end == "other operand":
            return self.row("other", at, self.input(f"kept_{len(self.rows)}", differs=False))
        if end == "equal elements":
            return self.row("tail", self.row("join", at, self.input(f"same_{len(self.rows)}", differs=False)))
        assert end == "cancels"
        return self.row("subtract", self.row("sin", at), self.row("sin", at))

    def known(self) -> Known:
        """End in the metric, which reads whatever carries the signal and is not read yet."""
        while len(loose := [each for each in self.signal if each not in {edge[0] for edge in self.circuit}]) > 1:
            self.carry(str(self.rng.choice(["add", "multiply"])), *loose[:2])
        self.carry("sum", loose[0])
        varying = {name for name in self.clean if (self.clean[name] != self.corrupted[name]).any()}
        edges: dict[Edge, None] = {}
        for name, (_, operands) in self.rows.items():
            given = {each: None for each in operands if each in varying}
            varying |= {name} if given else set()
            edges.update({(str(each), name): None for each in given})
        return Known(self.rows, self.clean, self.corrupted, self.circuit, list(edges))


ENDS = ("zero factor", "dead relu", "saturated clip", "floor", "other operand", "equal elements", "cancels")


def drawn(seed: int) -> Known:
    """Draw a network; each seventh has the same distractor first, and every third is small."""
    rng = np.random.default_rng([seed, 23])
    draft, small = _Draft(rng), seed % 3 == 0
    for i in range(1 if small else rng.integers(1, 4)):
        draft.signal.append(draft.input(f"x{i}"))
    if not small and rng.random() < 0.5:
        draft.input("noise")  # read by distractors, if by any
    for i in range(1 if small else rng.integers(2, 5)):
        draft.grow()
        draft.distract(ENDS[(seed + i) % len(ENDS)])
    return draft.known()
