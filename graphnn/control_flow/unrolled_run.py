"""The same run without loops: each iteration of each loop as nodes, named as in ``scan_1@137/tanh``.

Whatever looks into runs looks so into loops. The nodes are of another graph, which is made for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .._util.text import counted
from ..core import Graph, Node
from .branch_op import Branch
from .iteration_names import NodeInside
from .loop_op import Loop
from .unroll import KEPT, NAME, Unrolling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..runtime.evaluation_loop import Prepared


def has_loops(prepared: Prepared) -> bool:
    """Whether a run has loops or branches that can be looked into."""
    return KEPT not in prepared.program.graph.caches and any(node.op.holds_bodies for node in prepared.program.order)


def unrolled(prepared: Prepared, around: Mapping[str, int] = {}) -> Prepared:
    """Return the same run with the iterations of its loops as nodes; the run itself if it has no loops.

    Parameters
    ----------
    prepared : Prepared
    around : mapping of str to int
        As `Unrolling` takes it.
    """
    if not has_loops(prepared) or prepared.overridden:
        return prepared
    return Unrolling(prepared, around).prepared


def counterpart(asked: Any, graph: Graph) -> Any:
    """Return what stands in a graph without loops for a node of that with loops, or for one in an iteration."""
    made: Unrolling | None = graph.caches.get(KEPT)
    if isinstance(asked, NodeInside):
        asked = asked.name
    if made is None:
        return asked
    if isinstance(asked, str):
        found = None if asked in graph else made.found(asked)
        return asked if found is None else found
    return made.copies.get(asked, asked) if isinstance(asked, Node) else asked


class Iterated(NamedTuple):
    """A loop whose iterations are nodes.

    Attributes
    ----------
    name : str
    op : Loop
    phase : str
        Of its nodes.
    rows : dict of int to list of Node
        {iteration: the node that stands for each of the body}, in the order in which they are made.
    """

    name: str
    op: Loop
    phase: str
    rows: dict[int, list[Node | None]]

    @property
    def inputs(self) -> list[Node]:
        """The inputs of the body but for the number of the iteration."""
        return self.op.inputs[int(self.op.indexed) :]


def iterated(graph: Graph) -> Iterator[Iterated]:
    """Yield the loops from which a graph without loops was made, if all of their iterations are nodes."""
    made: Unrolling | None = graph.caches.get(KEPT)
    for name, loop in (made.loops if made is not None else {}).items():
        if loop.rows and not loop.stretches and isinstance(loop.op, Loop):
            yield Iterated(name, loop.op, loop.phase, loop.rows)


def run_before(graph: Graph) -> Prepared | None:
    """Return the run with loops that a graph without was made of; None of any other graph."""
    made: Unrolling | None = graph.caches.get(KEPT)
    return None if made is None else made.run


def loops_in(graph: Graph) -> list[str]:
    """Return the loops from which a graph without loops was made, by what they are called."""
    made: Unrolling | None = graph.caches.get(KEPT)
    return [] if made is None else [name for name, loop in made.loops.items() if isinstance(loop.op, Loop)]


def decided_by_values(graph: Graph) -> dict[str, list[Node]]:
    """Return the loops whose number of iterations depends on values, with the nodes that decided it."""
    made: Unrolling | None = graph.caches.get(KEPT)
    loops = made.loops if made is not None else {}
    return {name: loop.decided_by for name, loop in loops.items() if loop.decided_by}


def takes_a_side(graph: Graph, name: str) -> bool:
    """Return whether a name, in a graph whose loops are written out, is that of a branch."""
    return isinstance(graph.caches[KEPT].loops[name].op, Branch)


def graph_before(graph: Graph) -> Graph:
    """Return the graph with loops that a graph without was made from; of any other, itself."""
    made: Unrolling | None = graph.caches.get(KEPT)
    return graph if made is None else made.run.program.graph


def not_shown(graph: Graph, name: str) -> str:
    """Return in words why an iteration has no nodes in a graph without loops; "" if that is not why."""
    made, parts = graph.caches.get(KEPT), NAME.fullmatch(f"{name}/it" if name.rpartition("@")[2].isdigit() else name)
    if made is None or parts is None or parts[1] not in made.loops:
        return ""
    row = int(parts[2]) if parts[2].isdigit() else -1
    done = made.loops[parts[1]].done
    if isinstance(made.loops[parts[1]].op, Branch):
        return f' "{parts[1]}" took the side "{next(iter(made.loops[parts[1]].rows))}" in this run'
    if row >= done:
        return f' "{parts[1]}" made {counted(done, "iteration")} in this run, from 0: there is none {row}'
    for low, (count, _) in made.loops[parts[1]].stretches.items():
        if low <= row < low + count:
            return (
                f" The loop is long, and its iterations {low} to {low + count - 1} are one node here; "
                f'gn.debug(…, at="{parts[1]}@{row}") has this one'
            )
    return ""


def is_inside(asked: Any, graph: Graph) -> bool:
    """Whether what is asked for is a node in an iteration, by an object or a name, and the graph has loops."""
    if KEPT in graph.caches:
        return False
    return isinstance(asked, NodeInside) or (isinstance(asked, str) and "@" in asked and asked not in graph)


def shows(graph: Graph, name: str) -> bool:
    """Whether a graph without loops has a node of this name."""
    return name in graph or graph.caches[KEPT].found(name) is not None


def count_of(graph: Graph, loop: str) -> int | None:
    """Return how many iterations a loop has made, by what it is called in a graph without loops."""
    made = graph.caches[KEPT].loops.get(loop)
    return None if made is None else made.done


def before_unrolling(node: Node) -> Node:
    """Return the node for which one of a graph without loops stands; itself, if it is of an iteration."""
    made: Unrolling | None = node.graph.caches.get(KEPT)
    return node if made is None else made.originals.get(node, node)


def outside(node: Node) -> Node:
    """Return the same, but of a node in an iteration the loop, in the graph with loops."""
    made: Unrolling | None = node.graph.caches.get(KEPT)
    if made is None or node in made.originals:
        return before_unrolling(node)
    return made.outer.get(node.name.partition("@")[0], node)
