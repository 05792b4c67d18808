"""What a page needs to compute: the graph with its numbers for the engine, or why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import UsageError
from ...view.formatting import counted, in_bytes, visible
from ..engine import attributes_of, missing_dtypes, missing_operations, sized_attributes
from ..engine.loop_bodies import Computed, bodies_of, computed, with_bodies
from .element_reads import decided_by
from .replayed_iterations import is_bundle

if TYPE_CHECKING:
    from ...core import Array, Node, Op
    from .page_data import Maker
    from .replayed_iterations import PageLoop

MOST_BYTES = 20 * 2**20
"""Of the state, the feed and the constants: a page that computes holds them whole."""
MOST_NODES = 20_000


class NotLive(Exception):
    """Why a page cannot compute, in one line."""


def live_of(maker: Maker, live: bool | None, data: Mapping[Node, Array] | None = None) -> dict[str, Any]:
    """Return what the engine of a page computes with, or ``{"why": …}``.

    Parameters
    ----------
    maker : Maker
    live : bool, optional
        None: if it can; True: an error says why it cannot; False: not at all.
    data : dict of Node to ndarray, optional
        The rows of a playground.

    Raises
    ------
    UsageError
        When it is asked for and cannot be.
    """
    if live is False:
        return {"why": ""}
    try:
        return _Graph(maker, data or {}).data()
    except NotLive as why:
        if live:
            raise UsageError(f"this page cannot compute: {why.args[0]}") from None
        return {"why": visible(str(why.args[0])), "missing": list(why.args[1]) if len(why.args) > 1 else []}


class _Graph:
    """The nodes of a run as the engine has them: numbered in the order of evaluation."""

    def __init__(self, maker: Maker, data: Mapping[Node, Array]) -> None:
        trace = maker.first
        self.maker, self.trace, self.rows = maker, trace, data
        if not trace.has_values:
            raise NotLive("only digests of its values were kept")
        if trace.stopped is not None:
            raise NotLive("the run stopped before its end")
        self.prepared = trace.prepared
        read = [*trace.fetches, *trace.updates.values()]
        self.nodes = computed(self.prepared.program.order, read, self.prepared.declared_op_of)
        self.order, self.number = self.nodes.order, self.nodes.number
        count = sum(len(each.order) for each in with_bodies(self.nodes))
        if count > MOST_NODES:
            raise NotLive(f"it has {counted(count, 'node')}, and a page computes at most {MOST_NODES:,}")

    def data(self) -> dict[str, Any]:
        """Return all of it."""
        ops = self.nodes.ops
        missing = missing_operations(self.nodes)
        if missing:
            raise NotLive(f"it has {', '.join(missing)}, which the engine of pages does not have", missing)
        if dtypes := missing_dtypes(self.nodes):
            raise NotLive(f"it has values of {' and '.join(dtypes)}, which the engine of pages does not hold")
        given = self._given()
        size = sum(array.nbytes for array in [*given.values(), *self.rows.values()])
        if size > MOST_BYTES:
            raise NotLive(f"its state and feed take {in_bytes(size)}, and a page holds at most {in_bytes(MOST_BYTES)}")
        updates = self.trace.updates
        return {
            "why": "",
            "nodes": {
                "name": [visible(node.name) for node in self.order],
                "tunable": [_tunable(op) for op in ops],
                **columns(self.nodes, self.maker.values.store),
            },
            "called": self._called(),
            "sizes": dict(self.prepared.sizes),
            "places": [self.maker.place_of.get(node, -1) for node in self.order],
            "given": [[self.number[node], self.maker.values.store(array)] for node, array in given.items()],
            "updates": [[self.number[p], self.number[node]] for p, node in updates.items() if p in self.number],
            "fetches": [self.number[node] for node in self.trace.fetches if node not in updates.values()],
            "rates": self._rates(),
            "play": self._play(),
            "loops": [self._inside(loop) for loop in self.maker.loops.all],
            "deciding": [_deciding(node, op) for node, op in zip(self.order, ops, strict=True)],
        }

    def _given(self) -> dict[Node, Array]:
        program, forwards = self.prepared.program, self.prepared.binding.forwards
        constants = program.graph._constants
        found: dict[Node, Array] = {}
        for node, forward in zip(program.order, forwards, strict=True):
            if forward is None:
                found[node] = np.asarray(self.prepared.given[node] if node in self.prepared.given else constants[node])
        return found

    def _called(self) -> dict[str, int]:
        """Return what a name is of that no node has, as Python looks it up: the result of a scope, a second name."""
        graph = self.trace.graph
        found = {name: graph._find(name) for name in [*graph.scopes, *graph.names, *graph.outputs]}
        return {
            visible(name): self.number[node] for name, node in found.items() if node is not None and node in self.number
        }

    def _inside(self, loop: PageLoop) -> dict[str, Any]:
        """Return which node computes a loop that the page shows, and the numbers in its body of what is shown."""
        body = bodies_of(self.nodes.ops[self.number[loop.loop]])[loop.body]
        shown = [-1 if is_bundle(node) else body.number.get(node.index, -1) for node in loop.nodes]
        deciding = [_deciding(node, node.op) for node in loop.nodes]
        return {"node": self.number[loop.loop], "body": loop.body, "numbers": shown, "deciding": deciding}

    def _rates(self) -> list[int]:
        """Return the learning rates: parameters of an optimizer that are one number and called so."""
        return [
            self.number[node]
            for node in self.order
            if node.op.is_parameter and not node.shape and node.name.rpartition("/")[2] == "learning_rate"
        ]

    def _play(self) -> dict[str, Any] | None:
        """Return the rows of a playground, by the number of the placeholder, and how many there are."""
        count = {len(rows) for rows in self.rows.values()}
        if not count:
            return None
        if len(count) > 1:
            raise NotLive(f"its data have {' and '.join(f'{n:,}' for n in sorted(count))} rows, not as many of each")
        stored = [[self.number[node], self.maker.values.store(rows)] for node, rows in self.rows.items()]
        return {"data": stored, "count": count.pop()}


def _deciding(node: Node, op: Op) -> list[int]:
    return decided_by(op, [operand.dtype for operand in node.inputs])


def _tunable(op: Op) -> list[str]:
    """Return which attributes a reader may change; the tolerance of a loop stands in its body, too."""
    return [] if op.holds_bodies else [name for name, value in op.attributes.items() if type(value) is float]


def columns(nodes: Computed, store: Callable[[Array], Any]) -> dict[str, list[Any]]:
    """Return nodes as the engine has them, with the bodies of loops and branches.

    Parameters
    ----------
    nodes : Computed
    store : callable
        Takes a constant of a body, and returns what stands for it.
    """
    return {
        "op": [op.name for op in nodes.ops],
        "attributes": [attributes_of(op) for op in nodes.ops],
        "sized": [sized_attributes(op) for op in nodes.ops],
        "inputs": [[nodes.number[operand] for operand in node.inputs] for node in nodes.order],
        "shape": [list(spec.shape) for spec in nodes.specs],
        "dtype": [spec.dtype.name for spec in nodes.specs],
        "bodies": [bodies_told(op, store) for op in nodes.ops],
    }


def bodies_told(op: Any, store: Callable[[Array], Any]) -> dict[str, Any] | None:
    """Return the bodies of a loop or a branch, with what the names of their dimensions stand for."""
    found = [
        {
            "nodes": columns(body.nodes, store),
            "given": [
                [i, store(node.graph._constants[node])]
                for i, node in enumerate(body.nodes.order)
                if node.op.is_constant
            ],
            "inputs": body.inputs,
        }
        for body in bodies_of(op)
    ]
    return {"names": list(op.names), "dims": list(op.dims), "graphs": found} if found else None
