"""A function that gives the next state, called once: what `while_loop` and `fixed_point` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._util.text import short_repr
from ..core import Graph, Node, flatten
from ..errors import UsageError
from .body_tracing import as_node, cut, given, made_of, with_iteration
from .bundle import item_of
from .loop_validation import check_states, check_updates, form_of, leaves_of, updates_of

if TYPE_CHECKING:
    from .loop_body import Excerpt, Read
    from .loop_op import Kept, Loop


class Iteration(NamedTuple):
    """One iteration, as nodes of the graph.

    Attributes
    ----------
    graph : Graph
    path : str
        Of its scope.
    arguments : list of Node
        What stands for the inputs of the body, in their order.
    after : list of Node
        What is carried to the next iteration.
    goes_on : Node
    moving : set of Node
        What differs between iterations.
    counters : dict
        {(random node, its counter): what it reads instead}.
    """

    graph: Graph
    path: str
    arguments: list[Node]
    after: list[Node]
    goes_on: Node
    moving: set[Node]
    counters: dict[tuple[Node, Node], Node]

    def made(self, make: Callable[[Sequence[Node], Node, Read], list[Node]]) -> list[Node]:
        """Return what `make` gives for what is carried, and for what decides; enter what takes its place in evaluation.

        It takes what is carried, what decides whether there is another iteration, and what nodes read instead of an
        operand.
        """
        counters, graph = self.counters, self.graph
        items = make(self.after, self.goes_on, lambda reader, operand: counters.get((reader, operand), operand))
        instead = {node: other for node, other in graph.evaluation.items() if node in self.moving}
        if instead:
            evaluated = make(
                [instead.get(node, node) for node in self.after],
                instead.get(self.goes_on, self.goes_on),
                lambda reader, operand: counters.get((reader, operand), instead.get(operand, operand)),
            )
            graph.evaluation.update(zip(items, evaluated, strict=True))
        return items

    def excerpt(self, after: Sequence[Node], goes_on: Node, read: Read) -> tuple[Excerpt, list[Node]]:
        """Return the body, and what is the same in all iterations."""
        return cut(self.graph, [*after, goes_on], self.arguments, self.moving, f"{self.path}/", read)


def traced(
    what: str,
    graph: Graph,
    step: Callable[[Any], Any],
    init: Any,
    first: Sequence[Node],
    ends: Callable[[Any, list[Node], list[Node]], tuple[list[Node], Node]],
    beside: Sequence[Node] = (),
    drawn: bool = True,
) -> Iteration:
    """Call the function of a user that gives the next state, and return what it made.

    Parameters
    ----------
    what : str
        Who asks, for messages.
    graph : Graph
    step : callable
    init : object
        The state as the user gave it, for its form.
    first : list of Node
        Its parts.
    ends : callable
        Called with the next state in its form, the parts before and those after; returns what is carried beside them,
        and the bool that says whether there is another iteration.
    beside : list of Node
        The first values of that.
    drawn : bool
        Whether each iteration draws random numbers of its own.
    """
    rebuild = flatten(init)[1]
    before_call, start = updates_of(graph), len(graph)
    with graph.new_scope("iteration", kind="iteration") as inside:
        assert inside.scope is not None
        index = [graph.constant(np.int64(0), name="index")] if drawn else []
        before = [given(node) for node in [*first, *beside]]
        following = step(rebuild(before[: len(first)]))
        if form_of(following) != form_of(init):
            raise UsageError(
                f"{what}: the function returns the next state in the form of the first, {short_repr(init)}; it "
                f"returned {short_repr(following)}"
            )
        after = [
            as_node(graph, leaf, f"{what}: each state that the function returns is")
            for leaf in leaves_of(following, init)
        ]
        check_states(what, before[: len(first)], after)
        more, goes_on = ends(rebuild(after), before[: len(first)], after)
        arguments = [*index, *before]
        moving = made_of(graph, start, arguments, drawn)
        check_updates(what, graph, before_call, moving)
        counters = with_iteration(moving, index[0]) if drawn else {}
    return Iteration(graph, inside.scope.path, arguments, [*after, *more], goes_on, moving, counters)


def items_in(bundle: Node, op: Loop, wanted: Sequence[Kept]) -> list[Node]:
    """Return the nodes that read some of what a loop keeps."""
    return [item_of(bundle, op.place(*kept)) for kept in wanted]
