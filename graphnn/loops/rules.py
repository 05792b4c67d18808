"""How a plan computes a loop: by a plan of its body, which is called for each iteration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..execute import instructions as do
from ..execute.instructions import Result
from ..execute.native.addresses import Doubt
from ..execute.native.plan import Native
from ..execute.plan import Plan
from ..execute.rules import rule
from ..execute.settings import Settings
from .bundle import LoopItem
from .loop import Loop
from .running import Iterations

if TYPE_CHECKING:
    from ..execute.builder import Builder
    from ..execute.values import Value
    from ..graph import Array, Node


class Planned:
    """A loop whose body has a plan. Equal loops have equal ones, so that a plan computes them once.

    Parameters
    ----------
    op : Loop
        With numbers for its dimensions.
    settings : Settings
    """

    def __init__(self, op: Loop, settings: Settings) -> None:
        self.op, self._settings = op, settings

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Planned) and self.op == other.op

    def __hash__(self) -> int:
        return hash(self.op)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the body."""
        prepared = self.op.prepared()
        if self._settings.native:
            try:
                return Native(prepared, settings=self._settings)
            except Doubt:
                pass  # the plan around it finds the same
        return Plan(prepared, Settings(threads=self._settings.threads))

    @cached_property
    def _places(self) -> list[int]:
        return [self.op.inputs.index(node) for node in self.plan.given]

    def __call__(self, *operands: Array, out: Array | None = None) -> Array:
        """Compute the loop."""
        return self.op.collected(Iterations(self.op, operands, self._computed), out)

    def _computed(self, inputs: Sequence[Array]) -> Sequence[Array]:
        return self.plan.of(tuple([inputs[place] for place in self._places]))


@rule(Loop, in_order=True, folds=False)
def loop(op: Loop, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Call the loop; of those that differ only in what they keep, the one that keeps most, once."""
    widest = _widest(op, build.node, build.order)
    if widest.layout.size == op.layout.size:
        return build.call(do.Call(Planned(op, build.settings), op.name), *operands, result=result)
    how = do.Call(Planned(widest, build.settings), op.name)
    whole = build.call(how, *operands, result=Result((int(widest.layout.size),), result.dtype))
    return build.view(do.Index(((0, result.shape[0], 1),)), whole, result.shape)


def _widest(op: Loop, node: Node, order: Sequence[Node]) -> Loop:
    """Return the loop in a schedule that keeps most, of those that keep what this one does, and more."""
    found = op
    for other in order:
        if isinstance(other.op, Loop) and other.inputs == node.inputs and other.dtype == node.dtype:
            wider = op.keeping(other.op.kept)
            more = len(wider.kept) > len(found.kept) and wider.kept[: len(op.kept)] == op.kept
            if more and other.op.is_like(node.op):
                found = wider
    return found


@rule(LoopItem, in_order=True, folds=False)
def loop_item(op: LoopItem, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Show a part of the bundle."""
    (bundle,) = operands
    if bundle.dtype != result.dtype:
        return build.fresh(do.Own(op.forward, op.name), bundle, result=result)
    start, count = int(op.start), math.prod(result.shape)
    part = build.view(do.Index(((start, start + count, 1),)), bundle, (count,))
    return build.reshape(part, result.shape)
