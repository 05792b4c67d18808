"""How a plan computes a loop: by a plan of its body, which is called for each iteration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import numpy as np

from .._util.ports import Port
from ..compiler import intermediate_representation as do
from ..compiler.backends import backend_of
from ..compiler.intermediate_representation import Result
from ..compiler.lowering_rules import rule
from ..compiler.symbolic_sizes import ForSizes, Unrecorded, any_size, unchecked
from ..compiler.thresholds import Settings
from .branch_op import Branch
from .bundle import LoopItem, read
from .fixed_point_op import FixedPoint
from .loop_body import Keeping
from .loop_op import Loop
from .run_iterations import Iterations

if TYPE_CHECKING:
    from ..compiler.ir_builder import Builder
    from ..compiler.ir_values import Value
    from ..compiler.plan import Plan
    from ..core import Array, Node, Op
    from ..runtime.evaluation_loop import Prepared


_Op = TypeVar("_Op", bound=Keeping)
_Plan = TypeVar("_Plan")
_Placed = tuple["Plan", list[int]]
"""A plan, and where its inputs are among those of the body."""


class FastLoop(Protocol):
    """Computes a loop without Python between iterations.

    Attributes
    ----------
    usual : int
        How many iterations the last call made.
    """

    usual: int

    def __call__(self, operands: Sequence[Array], out: Array | None) -> Array | None:
        """Return the bundle; None, with nothing done, if that does not pay."""


FAST_LOOP: Port[Callable[[Loop, Any], FastLoop | None]] = Port("fast loops")
"""Returns what computes a loop by a short plan of its body, for plans of some kind; None where it cannot."""


class Planned(ForSizes):
    """A loop whose body has a plan. Equal loops have equal ones, so that a plan computes them once.

    Parameters
    ----------
    op : Loop
        With numbers for its dimensions.
    settings : Settings
    """

    def __init__(self, op: Loop, settings: Settings, plans: dict[object, Plan] | None = None) -> None:
        self.op, self._settings = op, settings
        self._plans: dict[object, Plan] = {} if plans is None else plans
        """Plans of the body for other sizes: they are the same for any number of iterations."""

    def with_numbers(self, known: Callable[[Any], Any]) -> Planned:
        """Return the loop for the numbers of its sizes."""
        return Planned(_with_numbers(self.op, known), self._settings, self._plans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Planned) and self.op == other.op

    def __hash__(self) -> int:
        return hash(self.op)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the body."""
        known = self._plans.get(self.op.dims)
        if known is None:
            carried, inputs = self.op.carried, self.op.inputs[int(self.op.indexed) :]
            times = Counter(carried)
            lent = [node for node, at in zip(inputs, carried, strict=False) if times[at] == 1]
            known = _plan_of(self.op.prepared(), self._settings, lent)
            _keep(self._plans, self.op.dims, known)
        return known

    @cached_property
    def _places(self) -> list[int]:
        places = {node: place for place, node in enumerate(self.op.inputs)}
        return [places[node] for node in self.plan.given]

    @cached_property
    def _in_one_go(self) -> FastLoop | None:
        made = FAST_LOOP.of(self.plan) if type(self.op) is Loop and self.plan.is_short else None
        return None if made is None else made(self.op, self.plan)

    def __call__(self, *operands: Array, out: Array | None = None) -> Array:
        """Compute the loop."""
        if self._in_one_go is not None and (words := self._in_one_go(operands, out)) is not None:
            return words
        iterations = Iterations(self.op, operands, self._computed)
        for node in self.plan.written:
            place = self.op.inputs.index(node) - int(self.op.indexed)
            iterations.carry[place] = iterations.carry[place].copy()
        words = self.op.collected(iterations, out)
        if self._in_one_go is not None:
            self._in_one_go.usual = iterations.done
        return words

    def _computed(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return self.plan.of(tuple([inputs[place] for place in self._places]))


class PlannedBranch(ForSizes):
    """A branch whose bodies have plans. Equal branches have equal ones, so that a plan computes them once.

    Parameters
    ----------
    op : Branch
        With numbers for its dimensions.
    settings : Settings
    """

    def __init__(self, op: Branch, settings: Settings, plans: dict[object, _Placed] | None = None) -> None:
        self.op, self._settings = op, settings
        self._plans: dict[object, _Placed] = {} if plans is None else plans

    def with_numbers(self, known: Callable[[Any], Any]) -> PlannedBranch:
        """Return the branch for the numbers of its sizes."""
        return PlannedBranch(_with_numbers(self.op, known), self._settings, self._plans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlannedBranch) and self.op == other.op

    def __hash__(self) -> int:
        return hash(self.op)

    def __call__(self, *operands: Array, out: Array | None = None) -> Array:
        """Compute the body that is taken."""
        return self.op.collected(operands, self._computed, out)

    def _computed(self, side: int, inputs: Sequence[Array]) -> Sequence[Array]:
        found = self._plans.get((side, self.op.dims))
        if found is None:
            prepared = self.op.prepared(side)
            plan = _plan_of(prepared, self._settings)
            number = {node: place for place, node in enumerate(prepared.program.graph.placeholders)}
            found = plan, [number[node] for node in plan.given]
            _keep(self._plans, (side, self.op.dims), found)
        plan, places = found
        return plan.of(tuple([inputs[place] for place in places]))


_MOST = 32
"""Plans of a body that are kept."""


def _keep(plans: dict[object, _Plan], sizes: object, plan: _Plan) -> None:
    if len(plans) >= _MOST:
        plans.clear()
    plans[sizes] = plan


def _with_numbers(op: _Op, known: Callable[[Any], Any]) -> _Op:
    return unchecked(op, **{attribute: known(getattr(op, attribute)) for attribute in op.sized})


def _plan_of(prepared: Prepared, settings: Settings, lent: Sequence[Node] = ()) -> Plan:
    """Return a plan of a body, by what made the plan around it. What is lent to it, it may write over."""
    return backend_of(settings.backend)((), Settings(threads=settings.threads), lent=lent).plan(prepared)


@rule(FixedPoint, in_order=True, folds=False)
@rule(Loop, in_order=True, folds=False)
def loop(op: Loop, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Call the loop. Loops that differ in what they keep are one, and keep what somebody reads."""
    return _called(Planned, op, build, result, operands)


@rule(Branch, in_order=True, folds=False)
def branch(op: Branch, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Call the branch, as a loop is called."""
    return _called(PlannedBranch, op, build, result, operands)


def _called(planned: Any, op: Any, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    node, readers = build.node, _readers(build)
    if node not in readers:
        return build.call(do.Call(planned(op, build.settings), op.name), *operands, result=result)
    like = [other for other in readers if other.inputs == node.inputs and _is_like(other.op, node.op)]
    kept = dict.fromkeys([each for other in like for each in readers[other]])
    narrow = op.keeping(tuple(kept))
    size = Result((narrow.layout.size,), narrow.layout.dtype)
    build.notes[node] = narrow, build.call(do.Call(planned(narrow, build.settings), op.name), *operands, result=size)
    return build.filled(0, result)  # nobody reads it


def _is_like(op: Op, other: Op) -> bool:
    return isinstance(op, Keeping) and isinstance(other, Keeping) and op.keeping(()) == other.keeping(())


def _readers(build: Builder) -> dict[Node, list[Any]]:
    """Return what is read of the loops and branches in a schedule of which only items are read."""
    found = cast("dict[Node, list[Any]] | None", build.notes.get("loops"))
    if found is None:
        program = build.program
        found = {node: [] for node in program.order if isinstance(node.op, Keeping)}
        for node in program.order:
            for operand in node.inputs:
                # What is float16 is read by the interpreter's own call, and that reads the loop's own bundle.
                if operand in found and isinstance(node.op, LoopItem) and node.dtype != np.float16:
                    found[operand].append(_kept_at(operand, node.op))
                else:
                    found.pop(operand, None)
        for position in program.fetches:
            found.pop(program.order[position], None)
        build.notes["loops"] = found
    return found


def _kept_at(bundle: Node, item: LoopItem) -> Any:
    op: Any = bundle.op
    return op.kept_at[item.place]


@rule(LoopItem, in_order=True, folds=False)
def loop_item(op: LoopItem, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show a part of the bundle."""
    (bundle,), place = operands, op.place
    node = build.node
    if node.inputs[0] in build.notes:
        narrow, bundle = cast("tuple[Any, Value]", build.notes[node.inputs[0]])
        assert isinstance(node.op, LoopItem)
        place = narrow.place(*_kept_at(node.inputs[0], node.op))
    if bundle.dtype != result.dtype:
        if any_size((place.start, *place.shape)):
            raise Unrecorded("a function of plain sizes")
        return build.fresh(do.Own(partial(read, place=place), op.name), bundle, result=result)
    start, count = cast("int", place.start), math.prod(result.shape)
    part = build.view(do.Index(((start, start + count, 1),)), bundle, (count,))
    return build.reshape(part, result.shape)
