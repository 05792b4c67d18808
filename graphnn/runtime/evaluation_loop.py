"""The one loop: a generator that evaluates one node at a time. Whatever watches a run consumes `evaluate`.

Only plans, which `gn.compile` makes, compute without it, and give the same values. When one fails, this loop runs again
and says where.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial, reduce
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from .._util.numpy_warnings import quietly
from .._util.text import quoted
from ..core import Array, Node, Op, Spec
from ..core.symbolic_shapes import concrete, shown
from ..errors import GraphnnError, restated
from .guard import violation
from .program import Binding, Program, infer_error

RunNode = Callable[..., Any]
"""A function called with a node, its operation's ``forward`` and the operands; returns the node's value."""


class Step(NamedTuple):
    """One evaluated node.

    Attributes
    ----------
    index : int
        The position of the node in the schedule; not its ``node.index``.
    node : Node
    operands : tuple of array
        The values it was computed from.
    value : array
    """

    index: int  # type: ignore[assignment]
    node: Node
    operands: tuple[Array, ...]
    value: Array

    def __repr__(self) -> str:
        value = f"{shown(self.value.shape)} {self.value.dtype}"
        return f"<Step {self.index}: {quoted(self.node.title)}, {self.node.op.name} {value}>"


class Prepared(NamedTuple):
    """Everything `evaluate` needs. Updates that another thread makes during the run do not change it.

    Attributes
    ----------
    program : Program
    binding : Binding
    given : dict of Node to array
        The state at the time of preparing, the checked feed (read-only, aligned and in C order), and values set by
        hand in the debugger.
    sizes : mapping of str to int
    overridden : mapping of Node to Op or None
        Changes made in the debugger: the operation used instead, or None if the node's value was set. `evaluate` does
        not look here: ``binding.forwards`` and `given` hold the changes.
    before : mapping of Node to array
        The original values of overridden placeholders and parameters.
    """

    program: Program
    binding: Binding
    given: dict[Node, Array]
    sizes: Mapping[str, int]
    overridden: Mapping[Node, Op | None] = {}
    before: Mapping[Node, Array] = {}

    def shape_of(self, node: Node) -> tuple[int, ...]:
        """Return the shape that a node's value has in this run."""
        return concrete(node.spec.shape, self.sizes)

    def op_of(self, node: Node) -> Op:
        """Return the operation that a node has in this run, with numbers for its dimensions."""
        return self.declared_op_of(node).bound(self.sizes)

    def declared_op_of(self, node: Node) -> Op:
        """Return the operation that a node has in this run, with its dimensions by name."""
        return self.overridden.get(node) or node.op

    def is_set(self, node: Node) -> bool:
        """Whether the node's value was set in the debugger."""
        return self.overridden.get(node, node.op) is None

    def with_own_feed(self) -> Prepared:
        """Return a copy that later changes to the caller's fed arrays do not affect."""
        fed = {node: self.given[node].copy() for node in self.program.placeholders}
        for array in fed.values():
            array.flags.writeable = False
        return self._replace(given=self.given | fed)


class Stop(NamedTuple):
    """Where an evaluation ended early, with everything needed to get there again.

    Attributes
    ----------
    prepared : Prepared
    position : int
        The position in the schedule of the node that failed, or whose value a guard refused.
    updates : dict of Node to Node
        The updates that were not made.
    stopped_by_guard : str or None
        The guard that refused the node's value, which is known then; None if the node failed.
    active_guard : str or None
        The guard of the run, whatever stopped it.
    """

    prepared: Prepared
    position: int
    updates: Mapping[Node, Node] = {}
    stopped_by_guard: str | None = None
    active_guard: str | None = None


def evaluate(
    prepared: Prepared,
    positions: Iterable[int] | None = None,
    values: list[Any] | None = None,
    run_node: RunNode | None = None,
) -> Generator[Step, None, None]:
    """Evaluate one node per iteration, never ahead. A value is released when no later node reads it.

    Between two iterations nothing runs, so whoever takes the steps may wait as long as they like. A debugger that waits
    is such a generator, which nobody asks for the next step. To go back, it begins another one, from the same `values`.

    The caller turns NumPy's floating-point warnings off: once, as `collect` does, or for each iteration, as
    `quiet_steps` does.

    Parameters
    ----------
    prepared : Prepared
    positions : iterable of int, optional
        Evaluate only these positions of the schedule, in increasing order.
    values : list, optional
        The values by position, which must hold the operands that `positions` read and do not compute. Filled in place,
        and nothing is released. So one may stop, go back, and evaluate any positions again.
    run_node : callable, optional
        Called as ``run_node(node, forward, *operands)`` for each node that computes; returns its value.

    Yields
    ------
    Step

    Raises
    ------
    GraphnnError
        When an operation fails; its ``stopped`` says where.
    """
    program, given, forwards = prepared.program, prepared.given, prepared.binding.forwards
    order, operands_of, constants = program.order, program.operands, program.graph._constants
    if run_node is not None:
        forwards = [f and partial(run_node, node, f) for node, f in zip(order, forwards, strict=True)]
    dying: Sequence[tuple[int, ...]] | None = None
    if values is None:
        values, dying = [None] * len(order), program.dying
    ndarray, make = np.ndarray, tuple.__new__  # faster than Step(…), in a loop that runs for every node
    rows: Iterable[tuple[Any, ...]]
    if positions is None:
        rows = zip(range(len(order)), order, forwards, operands_of, dying or repeat((), len(order)), strict=True)
    else:  # a debugger asks for a few positions at a time: nothing is made here that is as long as the schedule
        rows = ((i, order[i], forwards[i], operands_of[i], dying[i] if dying else ()) for i in positions)
    for i, node, forward, sources, dead in rows:
        operands = tuple([values[source] for source in sources])
        if forward is None:
            value = given[node] if node in given else constants[node]
        else:
            try:
                value = forward(*operands)
            except Warning:  # the user's filters turn warnings into errors: not a failure of the node
                raise
            except Exception as error:
                raise failure(node, operands, error, Stop(prepared, i)) from error
            if type(value) is not ndarray:
                value = np.asarray(value)
        values[i] = value
        yield make(Step, (i, node, operands, value))
        for source in dead:
            values[source] = None


def failure(node: Node, operands: Sequence[Array], error: Exception, stop: Stop) -> GraphnnError:
    """Return the error of an operation, with its node, operands and origin."""
    if located := getattr(error, "located", None):  # what holds graphs sets it: it knows the node inside that failed
        return located(node, stop)  # type: ignore[no-any-return]
    specs = [Spec(value.shape, value.dtype) for value in operands]
    op = stop.prepared.op_of(node)
    if not isinstance(error, GraphnnError):
        error = infer_error(op, specs) or error  # better worded, where `infer` refuses such operands
    lines = [
        f'  operand {position}: "{operand.name}" {spec}'
        for position, (operand, spec) in enumerate(zip(node.inputs, specs, strict=True))
    ]
    return restated(
        error,
        f'while evaluating "{node.name}" ({op.name} {node.spec}), made at {node.origin}: ',
        *lines,
        node=node,
        op=op.name,
        operands=node.inputs,
        shapes=tuple(spec.shape for spec in specs),
        origin=node.origin,
        stopped=stop._replace(prepared=stop.prepared.with_own_feed()),
    )


def compute(op: Op, *operands: Array) -> Array:
    """Return the value of an operation for operands outside a run, such as wider ones; it is not checked."""
    return np.asarray(quietly(op.forward, *operands))


Observer = Callable[[Prepared, Generator[Step, None, None]], Generator[Step, None, None]]
"""Wraps an evaluation and yields the same steps.

If a guard refuses a step, its error is thrown in at that yield. The observer sees the error and cannot suppress it.
"""


def collect(
    prepared: Prepared,
    guard: str | None = None,
    updates: Mapping[Node, Node] | None = None,
    observers: Iterable[Observer] = (),
) -> list[Array]:
    """Evaluate, and return the values of the fetches.

    Parameters
    ----------
    prepared : Prepared
    guard : {None, "nan", "finite"}
    updates : dict of Node to Node, optional
        The updates to be made afterwards. An error holds them.
    observers : iterable of callable, optional

    Returns
    -------
    list of array
        They may share memory with the state or each other: see `arrays_for_caller`.

    Raises
    ------
    ValueRangeError
        When a value holds what the guard looks for.
    GraphnnError
        When an operation fails.
    """
    wanted = set(prepared.program.fetches)
    values: dict[int, Array] = {}
    evaluation = reduce(lambda steps, observer: observer(prepared, steps), observers, evaluate(prepared))

    def consume() -> None:
        for step in evaluation:
            if guard is not None and (refused := guard_error(guard, step, prepared)) is not None:
                with suppress(StopIteration):
                    evaluation.throw(refused)
                raise refused
            if step.index in wanted:
                values[step.index] = step.value
            del step  # else its arrays would stay in memory for one more node

    try:
        quietly(consume)
    except GraphnnError as error:
        complete_stop(error, updates or {}, guard)
        raise
    return [values[position] for position in prepared.program.fetches]


def guard_error(guard: str, step: Step, prepared: Prepared) -> GraphnnError | None:
    """Return the error of a guard that refuses a step's value, else None."""
    inside = getattr(step.node.op, "refused_inside", None)  # of what holds graphs
    error = violation(guard, step.node, step.value) if inside is None else inside(guard, step, prepared)
    if error is not None:
        error.stopped = Stop(prepared.with_own_feed(), step.index, stopped_by_guard=guard)
    return error


def complete_stop(error: GraphnnError, updates: Mapping[Node, Node], guard: str | None) -> None:
    """Add to an error of a run the updates that were not made, and the guard of the run."""
    if isinstance(error.stopped, Stop):
        error.stopped = error.stopped._replace(updates=updates, active_guard=guard)


def arrays_for_caller(values: Sequence[Array]) -> list[Array]:
    """Return arrays that the caller may change: views, read-only arrays and repeated arrays are copied."""
    seen: set[int] = set()
    result = []
    for value in values:
        if value.base is not None or not value.flags.writeable or id(value) in seen:
            value = value.copy()
        seen.add(id(value))
        result.append(value)
    return result


def quiet_steps(evaluation: Iterator[Step]) -> Iterator[Step]:
    """Yield the steps of an evaluation, with read-only values. NumPy's warnings are off only while it computes."""
    # Once per step: a setting made around the whole loop would also hold in the consumer's code.
    while (step := quietly(next, evaluation, None)) is not None:
        step.value.flags.writeable = False
        yield step
        del step  # else its arrays would stay in memory for one more node
