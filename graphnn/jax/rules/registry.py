"""The table of rules, and what is not in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from ..._util.text import listed
from ...errors import NoRuleError

if TYPE_CHECKING:
    from ...core import Node

_F = TypeVar("_F", bound=Callable[..., Any])
Casts = Literal["ufunc", "result"] | None


class Rule(NamedTuple):
    """How JAX computes an operation.

    Attributes
    ----------
    function : callable
        Takes the operation, with numbers for its dimensions, and arrays of JAX; returns one. It is cast to the dtype
        of the node.
    casts : str or None
        What operands are cast to before: ``"ufunc"``, what NumPy's ufunc computes in; ``"result"``, the dtype of the
        node, all but integers that point somewhere.
    refuses : bool
        Whether it takes the `Tracing`, too, after the operation: to refuse values, or to compute bodies.
    """

    function: Callable[..., Any]
    casts: Casts = None
    refuses: bool = False


RULES: dict[str, Rule] = {}


def rule(*names: str, casts: Casts = None, refuses: bool = False) -> Callable[[_F], _F]:
    """Register the decorated function as the rule of operations, such as those that a user defines.

    Parameters
    ----------
    *names : str
        The names of the operations.
    casts : {None, "ufunc", "result"}
        What operands are cast to before: what NumPy's ufunc computes in, or the dtype of the result.
    refuses : bool
        Whether the function takes the tracing, too, after the operation.

    Returns
    -------
    callable
        A decorator. What it decorates takes the operation and arrays of JAX, and returns one.

    Examples
    --------
    >>> @rule("softsign")
    ... def softsign(op, x):
    ...     return x / (1 + abs(x))
    >>> softsign(None, 1.0)
    0.5
    """

    def register(function: _F) -> _F:
        RULES.update(dict.fromkeys(names, Rule(function, casts, refuses)))
        return function

    return register


def lacking(nodes: Iterable[Node]) -> None:
    """Refuse nodes, and what is inside them, unless there is a rule for each operation.

    Raises
    ------
    NoRuleError
        It names all operations that have none.
    """
    missing: dict[str, Node] = {}
    waiting = list(nodes)
    for node in waiting:
        if not (node.op.is_placeholder or node.has_value or node.op.name in RULES):
            missing.setdefault(node.op.name, node)
        waiting += [inner for body in getattr(node.op, "bodies", {}).values() for inner in body]
    if missing:
        named = listed([f'{name} ("{node.name}", made at {node.origin})' for name, node in missing.items()])
        raise NoRuleError(
            f"JAX has no rule for {named}: graphnn.jax.rule(name) registers one, a function of the operation and of "
            "arrays of JAX"
        )
