"""The rules by the class of the operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from ..._util.rules import ByClass
from ...core import Op
from .. import intermediate_representation as do

if TYPE_CHECKING:
    from ..intermediate_representation import Result
    from ..ir_builder import Builder
    from ..ir_values import Value

_Op = TypeVar("_Op", bound=Op)
Write = Callable[[_Op, "Builder", "Result", Sequence["Value"]], "Value"]
"""Gives a builder the instructions that make an operation's value of its operands; to the bit what `forward` gives."""

InOrder = Callable[[_Op, Sequence["Value"]], bool]
"""Tells of an operation and its operands whether the value lies in C order."""

WriteTurned = Callable[[_Op, "Builder", "Result", Sequence["Value"]], "Value | None"]
"""As `Write`, where the value does not lie in C order; None where it is not known how it lies."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How an operation is computed in a plan.

    Attributes
    ----------
    write : callable
    in_order : bool or callable
        Whether the value lies in C order in a run, too, however the operands do, or `write` sees to it; of some
        operations that depends on the operands.
    folds : bool
        Whether it may be computed when the plan is made, where its operands are constants.
    turned : callable, optional
        Writes it where the value does not lie in C order.
    """

    write: Write[Op]
    in_order: bool | InOrder[Op] = False
    folds: bool = True
    turned: WriteTurned[Op] | None = None


_RULES: ByClass[Rule] = ByClass()


def rule(
    *kinds: type[_Op],
    in_order: bool | InOrder[_Op] = False,
    folds: bool = True,
    turned: WriteTurned[_Op] | None = None,
) -> Callable[[Write[_Op]], Write[_Op]]:
    """Register the rule of one or more classes of operations, and of those derived from them."""

    def registered(write: Write[_Op]) -> Write[_Op]:
        for kind in kinds:
            ways = cast("bool | InOrder[Op]", in_order), folds, cast("WriteTurned[Op] | None", turned)
            _RULES[kind] = Rule(cast("Write[Op]", write), *ways)
        return write

    return registered


def rule_of(kind: type[Op]) -> Rule:
    """Return the rule of a class of operations; one that has none is a call."""
    return _RULES[kind]


def called(op: Op, build: Builder, result: Result, operands: Sequence[Value]) -> Value:
    """Write an operation as a call of its `forward`."""
    how = do.Call(op.forward, op.name, op.elementwise)
    return build.each(how, *operands, result=result) if op.elementwise else build.call(how, *operands, result=result)


_RULES[Op] = _CALLED = Rule(called)
