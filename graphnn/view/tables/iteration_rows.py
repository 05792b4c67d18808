"""The nodes of the bodies of loops in a summary: what shape they have outside, and what all iterations take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ...core.symbolic_shapes import multiply, size_of, substitute
from ..diagrams.picture import insides

if TYPE_CHECKING:
    from ...control_flow.loop_body import Inside
    from ...core import Dim, Node
    from ...debugger.cost_model import Footprint


class Bodies:
    """What is known of the nodes of bodies.

    Parameters
    ----------
    origins : dict of Node to (Node, int, int)
        Of the nodes of bodies that are known: the loop, and the place of the node in the body.
    run : Footprint or None
    """

    def __init__(self, origins: Mapping[Node, tuple[Node, int, int]], run: Footprint | None) -> None:
        self._loop_of = {node: loop for node, (loop, *_) in origins.items()}
        self._run = run

    def opened(self, loop: Node) -> Iterator[tuple[Inside, list[Node]]]:
        """Yield the bodies of a loop that the picture shows as a box, with their nodes."""
        for inside in insides(loop):
            nodes = list(inside.opened())
            self._loop_of.update(dict.fromkeys(nodes, loop))
            yield inside, nodes

    def holds(self, node: Node) -> bool:
        """Return whether a node is in a body."""
        return node in self._loop_of

    def shape_of(self, node: Node) -> tuple[Dim, ...]:
        """Return the shape of a node, by the names of the graph; in a run of given sizes, in numbers."""
        if not self.holds(node):
            return node.shape if self._run is None else self._run.shape_of(node)
        return tuple([self._outside(node, dim) for dim in node.shape])

    def times_of(self, loop: Node) -> Dim | None:
        """Return how often the body of a loop is computed, all loops around it left aside; None: at most once."""
        times = [inside.times for inside in insides(loop) if inside.times is not None]
        return self._outside(loop, times[0]) if times else None

    def flops_of(self, node: Node) -> int:
        """Return how many floating-point operations a node of a body takes in all iterations."""
        assert self._run is not None
        if not node.inputs or insides(node):
            return 0  # what is in the loop is counted there
        total = self._outside(node, node.op.flops(node.spec, *[operand.spec for operand in node.inputs]))
        while node in self._loop_of:
            node = self._loop_of[node]
            times = self.times_of(node)
            total = total if times is None else multiply(total, times)
        return int(total)

    def _outside(self, node: Node, dim: Dim) -> Dim:
        """Return a dimension of the graph of a node by the names of the outermost graph, or as a number."""
        while node in self._loop_of:
            node = self._loop_of[node]
            dims = dict(zip(node.op.names, node.op.dims, strict=True))  # type: ignore[attr-defined]
            dim = substitute(dim, dims)
        return dim if self._run is None else size_of(dim, self._run.sizes)
