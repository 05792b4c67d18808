"""How operations of ATen, PyTorch's library of tensors, are declared: one small function each, by the operation's name.

A rule takes a `Call`, and then what the operation's schema names, under these names: tensors as nodes, sizes as
dimensions, dtypes as NumPy's. What it does not name is refused unless it has its default value, so no argument is
ignored in silence. It returns a node, or a tuple of them where the operation has several results.

A name without an overload, ``"add"``, stands for all overloads that have no rule of their own. An operation that writes
to an operand, ``"add_"``, needs no rule: it is the rule of ``"add"``, and its result takes the operand's place.

A view shares its elements with the tensor that it is of. So the rule of one says how to write, too: `write` takes the
call, the tensor from before, and what the view is now, and returns what the tensor is now.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from ...core import Node

_F = TypeVar("_F", bound=Callable[..., Any])
Write = Callable[..., "Node"]

IRRELEVANT = frozenset(
    ("layout", "device", "pin_memory", "memory_format", "non_blocking", "copy", "generator", "implicit")
)
"""Arguments of schemas that say where or how numbers lie, and not what they are."""


class Rule(NamedTuple):
    """What makes an operation of ATen out of nodes.

    Attributes
    ----------
    function : callable
    takes : frozenset of str or None
        The arguments that it names; None for all.
    write : callable or None
        How a view is written to.
    writes : bool
        Whether the rule itself writes to what the operation writes to, by `Call.write`.
    """

    function: Callable[..., Any]
    takes: frozenset[str] | None
    write: Write | None = None
    writes: bool = False


RULES: dict[str, Rule] = {}


def aten(*names: str, write: Write | None = None, writes: bool = False) -> Callable[[_F], _F]:
    """Return a decorator that registers a rule for operations of ATen."""

    def register(function: _F) -> _F:
        rule = Rule(function, frozenset([*inspect.signature(function).parameters][1:]), write, writes)
        for name in names:
            if name in RULES:
                raise ValueError(f"there are two rules for aten.{name}")
            RULES[name] = rule
        return function

    return register


def refused(*names: str, why: str) -> None:
    """Register operations that are refused, whatever their arguments; `why` says what to write instead."""

    def rule(call: Any, **given: Any) -> Any:
        call.refuse(why)

    for name in names:
        aten(name)(rule)
        RULES[name] = Rule(rule, None)


def rule_for(name: str, overload: str) -> Rule | None:
    """Return the rule of an operation: of its overload, else of all its overloads."""
    return RULES.get(f"{name}.{overload}") or RULES.get(name)
