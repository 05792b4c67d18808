"""What a run takes, told from its sizes alone: operations on numbers, and memory. Nothing is run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..core import is_float
from ..core.symbolic_shapes import names_in
from ..errors import NotFoundError, near
from ..ops import elementwise, indexing, linalg, shape, sliding_windows
from ..runtime.evaluation_loop import Prepared
from ..runtime.feed import checked_feed
from ..runtime.program import program_of
from .profile import Held, Peak, flops_of, peak_of

if TYPE_CHECKING:
    from ..core import Graph, Node, Op

_SAME_ORDER: tuple[type[Op], ...] = (
    elementwise.StopGradient,
    elementwise.SumOverBatches,
)
"""What shows the elements of its operand, in the order in which they lie."""
_OTHER_ORDER: tuple[type[Op], ...] = (
    *(linalg.Transpose, shape.Flip, shape.BroadcastTo, sliding_windows.Windows, indexing.Getitem),
)


class Footprint:
    """What the nodes that some fetches need take in a run of given sizes.

    Attributes
    ----------
    sizes : dict of str to int
    flops : dict of Node to int
        Floating-point operations of each node that is computed.
    written : dict of Node to int
        Bytes of its new value; 0 if it is a view.
    peak : Peak
        The maximum memory that values take together, if each is freed when nothing needs it any more.
    """

    def __init__(self, graph: Graph, fetches: Sequence[Node], sizes: Mapping[str, int]) -> None:
        self._prepared = _prepared(graph, fetches, sizes)
        order, forwards = self._prepared.program.order, self._prepared.binding.forwards
        memory = _memory_of(self._prepared)
        computed = [i for i, forward in enumerate(forwards) if forward is not None]
        self.sizes = dict(self._prepared.sizes)
        self.flops = {order[i]: flops_of(self._prepared, order[i]) for i in computed}
        self.written = {order[i]: memory[i].written for i in computed}
        self.peak: Peak = peak_of(self._prepared, memory)

    def shape_of(self, node: Node) -> tuple[int, ...]:
        """Return the shape of a node's value."""
        return self._prepared.shape_of(node)


def _prepared(graph: Graph, fetches: Sequence[Node], sizes: Mapping[str, int]) -> Prepared:
    """Return a run that has sizes and no values."""
    program = program_of(graph, fetches)
    _, bound = checked_feed(graph, None, sizes)
    known = {*program.dimension_names}.union(*(names_in(node.shape) for node in graph.placeholders))
    for name in bound:
        if name not in known:
            raise NotFoundError(
                f'sizes= names "{name}", which is not a dimension of "{graph.name}".{near(name, known)}'
            )
    return Prepared(program, program.binding(bound), {}, bound)


def _memory_of(prepared: Prepared) -> list[Held]:
    """Return the memory that each value of a run takes; an operation of a user's is taken to make a new array."""
    found: list[Held] = []
    in_order: list[bool] = []
    program = prepared.program
    for i, (node, sources) in enumerate(zip(program.order, program.operands, strict=True)):
        size = math.prod(prepared.shape_of(node)) * node.dtype.itemsize
        seen = _seen_through(prepared.op_of(node), prepared, node, in_order[sources[0]]) if sources else None
        if seen is None:
            found.append(Held(i, size, size, size if sources else 0))
        else:
            before = found[sources[0]]
            found.append(Held(before.owner, before.held, size, 0))
        in_order.append(seen is not False)
    return found


def _seen_through(op: Op, prepared: Prepared, node: Node, in_order: bool) -> bool | None:
    """Return whether the elements of a view lie in order; None if the value is no view of its first operand."""
    if isinstance(op, shape.Reshape) and not in_order:
        return None  # NumPy copies
    if op.reshapes or isinstance(op, _SAME_ORDER):
        return in_order
    if op.is_loop_item:
        return True if not is_float(node.dtype) or node.dtype == node.inputs[0].dtype else None
    if isinstance(op, shape.SumTo) and not op.over(prepared.shape_of(node.inputs[0])):
        return in_order if node.dtype == node.inputs[0].dtype else None
    if isinstance(op, indexing.Getitem):
        return in_order and len(op.index) < 2 and op.index != ("...",)
    return False if isinstance(op, _OTHER_ORDER) else None
