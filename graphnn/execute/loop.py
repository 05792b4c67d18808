"""The one loop: a generator that evaluates one node at a time. All that watches a run is a client of `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..errors import GraphnnError, restated
from ..graph import Array, Node, Op, Spec
from ..graph.dimensions import concrete, shown
from ..graph.quiet import quietly
from ..text import quoted
from .guard import refusal_of
from .program import ALWAYS_FITS, Binding, Forward, Program, refused_when_written

RunNode = Callable[..., Any]
"""What computes a node in the place of its operation."""


class Step(NamedTuple):
    """One evaluated node.

    Attributes
    ----------
    index : int
        Its place in the schedule.
    node : Node
    operands : tuple of array
        The values that it was computed from.
    value : array
    """

    index: int  # type: ignore[assignment]
    node: Node
    operands: tuple[Array, ...]
    value: Array

    def __repr__(self) -> str:
        value = f"{shown(self.value.shape)} {self.value.dtype}"
        return f"<Step {self.index}: {quoted(self.node.name)}, {self.node.op.name} {value}>"


class Prepared(NamedTuple):
    """A program with what it is given: the state as it is now, and the checked feed, read-only and of one layout.

    All that `evaluate` takes; another thread may make an update before the run ends, and changes nothing in it.
    """

    program: Program
    binding: Binding
    given: dict[Node, Array]
    sizes: Mapping[str, int]
    overridden: Mapping[Node, Op | None] = {}
    """What was set by hand: nodes with the operation in the place of theirs, or None where that is a value."""
    before: Mapping[Node, Array] = {}
    """Of those that are given anyway, as placeholders and parameters are, what they were given before."""

    @property
    def fits_any_memory(self) -> bool:
        """Whether no value is so large that its size is held against the memory that is free."""
        return self.binding.largest <= ALWAYS_FITS and self.program.graph.memory_budget is None

    def shape_of(self, node: Node) -> tuple[int, ...]:
        """Return the shape that a node's value has in this run."""
        return concrete(node.spec.shape, self.sizes)

    def op_of(self, node: Node) -> Op:
        """Return the operation that a node has in this run, with numbers for its dimensions."""
        return self.declared_op_of(node).bound(self.sizes)

    def declared_op_of(self, node: Node) -> Op:
        """Return the same as it was declared, with the names of its dimensions."""
        return self.overridden.get(node) or node.op

    def is_set(self, node: Node) -> bool:
        """Whether a node was given a value by hand."""
        return self.overridden.get(node, node.op) is None

    def of_its_own(self) -> Prepared:
        """Return the same with copies of what was fed, which the caller may go on to change."""
        fed = {node: self.given[node].copy() for node in self.program.placeholders}
        for array in fed.values():
            array.flags.writeable = False
        return self._replace(given=self.given | fed)


class Stop(NamedTuple):
    """Where an evaluation ended early, with all that is needed to come there again.

    Attributes
    ----------
    prepared : Prepared
    place : int
        In the schedule, of the node that could not be evaluated or whose value a guard refused.
    updates : dict of Node to Node
        Those that would have been made.
    guard : str or None
        The guard that stopped it; the node's value is known then.
    guarded_by : str or None
        The guard that there was, whatever stopped it.
    """

    prepared: Prepared
    place: int
    updates: Mapping[Node, Node] = {}
    guard: str | None = None
    guarded_by: str | None = None


def evaluate(
    prepared: Prepared,
    places: Sequence[int] | None = None,
    values: list[Any] | None = None,
    run_node: RunNode | None = None,
) -> Generator[Step, None, None]:
    """Evaluate node by node: one step an iteration, nothing ahead of it. Values go when nothing reads them again.

    NumPy's floating-point warnings are to be off around each iteration; `run` and `steps` see to it.

    Parameters
    ----------
    prepared : Prepared
    places : sequence of int, optional
        Evaluate only these places of the schedule, in rising order.
    values : list, optional
        By place, with what the operands at `places` need; each value is put there, and then none is let go.
    run_node : callable, optional
        Called as ``run_node(node, forward, *operands)`` wherever a node computes, and returns its value: by
        ``forward(*operands)``, or otherwise.

    Yields
    ------
    Step

    Raises
    ------
    GraphnnError
        Where an operation fails; its ``stopped`` says where.
    """
    program, binding, given = prepared.program, prepared.binding, prepared.given
    order, dying = program.order, program.dying
    constants = program.graph._constants
    forwards = binding.forwards
    if run_node is not None:
        forwards = [f and partial(run_node, node, f) for node, f in zip(order, forwards, strict=True)]
    ndarray = np.ndarray
    if values is None:
        values = [None] * len(order)
    else:
        dying = [()] * len(order)
    make = tuple.__new__
    rows: Iterable[tuple[int, Node, Forward | None, tuple[int, ...], tuple[int, ...]]] = zip(
        range(len(order)), order, forwards, program.operands, dying, strict=True
    )
    if places is not None:
        rows = ((i, order[i], forwards[i], program.operands[i], dying[i]) for i in places)
    for i, node, forward, sources, dead in rows:
        operands = tuple([values[source] for source in sources])
        if forward is None:
            value = given[node] if node in given else constants[node]
        else:
            try:
                value = forward(*operands)
            except Warning:
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
    if not isinstance(error, GraphnnError) and not node.op.dimension_names:
        # What could have been refused when the line was written is told in the same words.
        error = refused_when_written(node.op, [Spec(value.shape, value.dtype) for value in operands]) or error
    lines = [
        f'  operand {position}: "{operand.name}" {shown(value.shape)} {value.dtype}'
        for position, (operand, value) in enumerate(zip(node.inputs, operands, strict=True))
    ]
    return restated(
        error,
        f'while evaluating "{node.name}" ({node.op.name} {node.spec}), made at {node.origin}: ',
        *lines,
        node=node,
        op=node.op.name,
        operands=node.inputs,
        shapes=tuple(value.shape for value in operands),
        origin=node.origin,
        stopped=stop._replace(prepared=stop.prepared.of_its_own()),
    )


Observer = Callable[[Prepared, Generator[Step, None, None]], Generator[Step, None, None]]
"""Hands on the steps of an evaluation, and sees them; also what is thrown into it, which a guard refuses."""


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
        Those that are to be made afterwards, for the error that tells that they were not.
    observers : iterable of callable, optional

    Returns
    -------
    list of array
        Not yet the caller's own: see `handed_out`.

    Raises
    ------
    ValueRangeError
        When a value holds what the guard looks for.
    GraphnnError
        When an operation fails.
    """
    wanted = set(prepared.program.fetches)
    values: dict[int, Array] = {}
    evaluation = evaluate(prepared)
    for observer in observers:
        evaluation = observer(prepared, evaluation)

    def consume() -> None:
        for step in evaluation:
            if guard is not None and (refused := refused_by(guard, step, prepared)) is not None:
                with suppress(StopIteration):
                    evaluation.throw(refused)
                raise refused  # those who watch see it, and cannot let it pass
            if step.index in wanted:
                values[step.index] = step.value
            del step  # or what it holds would live for one more node

    try:
        quietly(consume)
    except GraphnnError as error:
        tell_of_step(error, updates or {}, guard)
        raise
    return [values[place] for place in prepared.program.fetches]


def retell(error: Exception, prepared: Prepared, updates: Mapping[Node, Node] | None = None) -> NoReturn:
    """Raise what a plan has raised as the interpreter tells it: with its node, operands and origin.

    Raises
    ------
    GraphnnError
    """
    collect(prepared, None, updates)
    if isinstance(error, (GraphnnError, Warning)):
        raise error
    name = prepared.program.graph.name
    raise restated(
        error,
        f'the plan of "{name}" fails, and node by node it does not: {type(error).__name__}: ',
        advice='; gn.compile(…, backend="interpreter") does without a plan',
    ) from error


def refused_by(guard: str, step: Step, prepared: Prepared) -> GraphnnError | None:
    """Return the error that a guard has for a step, if it has one."""
    error = refusal_of(guard, step.node, step.value)
    if error is not None:
        error.stopped = Stop(prepared.of_its_own(), step.index, guard=guard)
    return error


def tell_of_step(error: GraphnnError, updates: Mapping[Node, Node], guard: str | None) -> None:
    """Have an error of a run know the updates that would have been made, and the guard of the step."""
    if isinstance(error.stopped, Stop):
        error.stopped = error.stopped._replace(updates=updates, guarded_by=guard)


def handed_out(values: Sequence[Array]) -> list[Array]:
    """Return arrays that are the caller's own: a view, a read-only array or a second of the same is copied."""
    seen: set[int] = set()
    result = []
    for value in values:
        if value.base is not None or not value.flags.writeable or id(value) in seen:
            value = value.copy()
        seen.add(id(value))
        result.append(value)
    return result


def quiet_steps(evaluation: Iterator[Step]) -> Iterator[Step]:
    """Yield the steps of an evaluation with NumPy's warnings off meanwhile, their values read-only."""
    while True:
        # Anew for each step: what a generator sets would hold in its consumer's code too.
        step = quietly(next, evaluation, None)
        if step is None:
            return
        step.value.flags.writeable = False
        yield step
        del step  # or what it holds would live for one more node
