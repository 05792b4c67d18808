"""Guards inside of loops: the first value of an iteration that is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .._util.numpy_warnings import quietly
from ..runtime.evaluation_loop import Prepared, Step, evaluate
from ..runtime.guard import violation
from .branch_op import Branch
from .iteration_names import NodeInside
from .loop_body import REFUSED, Keeping
from .loop_op import Loop
from .run_iterations import Iterations

if TYPE_CHECKING:
    from ..core import Array, Node, Op
    from ..errors import GraphnnError

Named = Callable[[Any], Any]
"""Takes a node of a body, and returns what it is called from outside."""


@REFUSED.give(Keeping)
def _of_a_loop(op: Keeping) -> Callable[[str, Step, Prepared], GraphnnError | None]:
    def refused(guard: str, step: Step, prepared: Prepared) -> GraphnnError | None:
        bound = prepared.op_of(step.node)
        return quietly(_refused, guard, bound, step.node, step.operands, lambda inside: inside)

    return refused


def _refused(guard: str, op: Op, loop: Node, operands: Sequence[Array], named: Named) -> GraphnnError | None:
    """Return the error of the first value in the iterations, or in the side, that a guard refuses."""
    for row, prepared, advance in _runs(op, operands):
        values: dict[int, Array] = {}

        def called(node: Any, row: Any = row) -> Any:
            return named(NodeInside(loop, row, node))

        for step in evaluate(prepared):
            values[step.index] = step.value
            inner = prepared.op_of(step.node)
            if isinstance(inner, Keeping):
                error = _refused(guard, inner, step.node, step.operands, called)
            else:
                error = violation(guard, called(step.node), step.value) if step.node.inputs else None
            if error is not None:
                return error
        advance([values[position] for position in prepared.program.fetches])
    return None


def _runs(op: Op, operands: Sequence[Array]) -> Iterator[tuple[Any, Prepared, Callable[[list[Array]], Any]]]:
    """Yield each iteration, or the side that is taken: its name, what is evaluated, and what takes the values."""
    if isinstance(op, Branch):
        side = op.taken(operands)
        yield list(op.bodies)[side], op.prepared(side, operands[1:]), lambda values: None
    else:
        assert isinstance(op, Loop)
        iterations = Iterations(op, operands)
        while not iterations.is_finished:
            yield iterations.row, iterations.prepared(), iterations.advance
