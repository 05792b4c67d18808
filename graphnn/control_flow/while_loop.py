"""`while_loop`: a loop that goes on as long as a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._util.callables import check_takes
from ..core import Node, flatten
from ..core.attributes import whole
from .body_tracing import as_node, graph_of_arguments, names_of
from .loop_body import Read, graph_of
from .loop_op import UNLIMITED, Kept, Loop
from .loop_validation import check_bool, check_flag, check_functions
from .state_function import items_in, traced


def while_loop(
    cond: Callable[[Any], Any],
    body: Callable[[Any], Any],
    init: Any,
    max_steps: int | None = None,
    *,
    steps: bool = False,
) -> Any:
    """Apply a function to a state again and again, as long as a condition holds.

    Parameters
    ----------
    cond : callable
        Takes a state in the form of `init`, and returns one bool: whether there is another step. It is called twice,
        for the first state and for that after a step. If it is False of the first state, there is no step.
    body : callable
        Called once, with a state; returns the next one, in the form of `init`. Both functions may read other nodes, and
        call layers.
    init : Node or array_like, or list, tuple or dict of them
        The first state. Each part keeps its shape and dtype. Arrays alone serve where a function reads a node.
    max_steps : int, optional
        The maximum number of steps. After so many, the loop ends, and the state is that of the last step, although the
        condition still holds of it; `steps` tells. By default there is no limit.
    steps : bool
        Whether to return also how many steps were made.

    Returns
    -------
    last : Node, or list, tuple or dict of them
        The first state of which the condition does not hold, in the form of `init`.
    count : Node
        The number of steps, an int64, if `steps`.

    Raises
    ------
    UsageError
        When `body` does not return a state in the form of `init`, or makes updates.
    ShapeError, DtypeError
        When a next state has another shape or dtype than the state, or the condition is not one bool.

    Notes
    -----
    A gradient goes back through all steps, and needs `max_steps`: what it reads of them is kept, for as many as there
    may be. Without a limit, `gn.grad` raises NoRuleError, and `gn.jvp` works all the same.

    A loop that does not end can be interrupted by Ctrl-C.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Graph().placeholder("x")
    >>> root, count = gn.while_loop(
    ...     lambda r: gn.absolute(r * r - x) > 1e-9, lambda r: 0.5 * (r + x / r), x, max_steps=50, steps=True
    ... )
    >>> gn.run([root, count, gn.grad(root, x)], {x: 4.0})
    [array(2.), array(5), array(0.25)]
    """
    check_functions("while_loop", cond, body)
    check_takes("while_loop: cond", cond, "the state")
    check_takes("while_loop: body", body, "the state")
    check_bool("while_loop: steps=", steps)
    length = UNLIMITED if max_steps is None else whole("while_loop: max_steps=", max_steps, 0)
    graph = graph_of_arguments("while_loop", init, functions=[cond, body])
    with graph.building, graph.new_scope("while", numbered=True, kind="while"):
        leaves, rebuild = flatten(init)
        first = [as_node(graph, leaf, "while_loop: a state is") for leaf in leaves]

        def flag(state: Any) -> Node:
            found: Node = cond(state)
            check_flag("while_loop", "the condition", found)
            return found

        goes = flag(rebuild(first))
        once = traced("while_loop", graph, body, init, first, lambda state, before, after: ([], flag(state)))
        kept: list[Kept] = [("last", k) for k in range(len(first))] + [("count", 0)] * steps

        def make(after: Sequence[Node], goes_on: Node, read: Read) -> list[Node]:
            excerpt, same = once.excerpt(after, goes_on, read)
            names = names_of(graph_of(excerpt.body))
            carried = tuple([excerpt.of[node] for node in after])
            op = Loop(
                excerpt.body,
                names,
                names,
                length,
                carried,
                kept=tuple(kept),
                indexed=True,
                counted=True,
                while_=excerpt.of[goes_on],
            )
            return items_in(op(goes, *first, *same, graph=graph), op, kept)

        items = once.made(make)
    last = rebuild(items[: len(first)])
    return (last, items[-1]) if steps else last
