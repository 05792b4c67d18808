"""`scan`: a loop over the rows of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .._util.callables import check_takes
from .._util.text import short_repr
from ..core import Dim, Graph, Node, flatten, fn
from ..core.attributes import whole
from ..core.symbolic_shapes import dimension
from ..errors import DtypeError, ShapeError, UsageError
from .body_tracing import as_node, cut, given, graph_of_arguments, made_of, names_of, with_iteration
from .checkpointing import in_segments, items_of
from .loop_body import Read, graph_of
from .loop_op import Kept, Loop
from .loop_validation import check_bool, check_functions, check_states, check_updates, form_of, leaves_of, updates_of

MOST_UNROLLED = 64
"""Up to how many iterations, where the number is known, layers and models are written out as nodes instead."""


def scan(
    step: Callable[..., Any],
    init: Any,
    xs: Any = None,
    reverse: bool = False,
    *,
    length: int | str | None = None,
    mask: Any = None,
    recompute: bool | int = False,
) -> tuple[Any, Any]:
    """Apply a function to one row of arrays after another, and carry a state along.

    Parameters
    ----------
    step : callable
        Called once, as ``step(state, row)``, with nodes in the forms of `init` and of `xs`; as ``step(state)`` without
        `xs`. It returns the next state, or ``(next state, result)``. It may read other nodes, and call layers: their
        parameters belong to the graph, and are the same in all iterations.
    init : Node or array_like, or list, tuple or dict of them
        The first state. Each part keeps its shape and dtype. Arrays alone serve where a function reads a node.
    xs : Node or array_like, or list, tuple or dict of them, optional
        Arrays with one row for each iteration along axis 0, whose length may be a name.
    reverse : bool
        Whether to go from the last row to the first. The results lie at the places of their rows.
    length : int or str, optional
        The number of iterations; needed if there are no `xs`.
    mask : Node or array_like, optional
        Bools, of shape ``(length,)`` or ``(length, batch)``. Where it is False, the state stays as it is, and results
        are zeros: for sequences of different lengths. With a batch, states and results have it as their first axis.
    recompute : bool or int
        What a gradient keeps. False: all that it reads of each iteration. True: the states, and it computes each
        iteration again, which takes about half as long again. A number n, best near √length: the states every n
        iterations; each segment is then recomputed when needed.

    Returns
    -------
    last : Node, or list, tuple or dict of them
        The state after the last iteration, in the form of `init`.
    results : Node, or list, tuple or dict of them
        What each iteration gives, stacked along axis 0: its results, or its next states if it returns only these.

    Raises
    ------
    UsageError
        When the function does not return a state in the form of `init`, or makes updates.
    ShapeError, DtypeError
        When a next state has another shape or dtype than the state, or lengths differ.

    Notes
    -----
    The loop is one node, whatever its length; see `gn.draw`, which shows its body. The nodes that the call of the
    function makes stay in the graph, in the scope ``scan_1/iteration``: they are those of the first iteration. What
    depends neither on the state nor on a row is computed once, before the loop. Random numbers differ between
    iterations.

    Gradients of any order are loops as well; one loop gives the cotangents of all operands.

    Examples
    --------
    >>> import graphnn as gn
    >>> g = gn.Graph()
    >>> xs = g.placeholder("xs", ("time",))
    >>> last, sums = gn.scan(lambda total, x: total + x, 0.0, xs)
    >>> gn.run([last, sums, gn.grad(last, xs)], {xs: [1.0, 2.0, 3.0]})
    [array(6.), array([1., 3., 6.]), array([1., 1., 1.])]
    """
    check_functions("scan", step)
    check_takes("scan: the function", step, "the state", *(["a row of xs"] if xs is not None else []))
    check_bool("scan: reverse=", reverse)
    segment = 0 if isinstance(recompute, bool) else whole("scan: recompute=", recompute, 1)
    graph = graph_of_arguments("scan", init, xs, mask, functions=[step])
    states, as_state = flatten(init)
    with graph.building, graph.new_scope("scan", numbered=True, kind="scan"):
        first = [as_node(graph, leaf, "scan: a state is") for leaf in states]
        rows, as_rows = ([], None) if xs is None else flatten(xs)
        stacks = [as_node(graph, leaf, "scan: each part of xs is") for leaf in rows]
        masks = [] if mask is None else [_checked_mask(as_node(graph, mask, "scan: the mask is"))]
        count = _length(length, [*stacks, *masks])
        call = partial(_called, step, init, as_state, as_rows)
        traced, as_results = _traced(graph, call, first, stacks, masks, indexed=not segment)
        if segment:
            stacks = [fn.arange(0, count, graph=graph), *stacks]

        def results_of(after: Sequence[Node], outs: Sequence[Node], read: Read) -> list[Node]:
            op, same = traced.op(after, outs, read, count, reverse, bool(recompute))
            operands = first, [*stacks, *masks], same
            if segment:
                return in_segments(op, segment, *operands, graph)
            return items_of(op(*chain(*operands), graph=graph), op)

        after, outs, counters = traced.after, traced.outs, traced.counters
        items = results_of(after, outs, lambda reader, operand: counters.get((reader, operand), operand))
        instead = {node: other for node, other in graph.evaluation.items() if node in traced.moving}
        if instead:
            evaluated = results_of(
                [instead.get(node, node) for node in after],
                [instead.get(node, node) for node in outs],
                lambda reader, operand: counters.get((reader, operand), instead.get(operand, operand)),
            )
            graph.evaluation.update(zip(items, evaluated, strict=True))
    return as_state(items[: len(after)]), as_results(items[len(after) :])


class _Traced(NamedTuple):
    """The first iteration.

    Attributes
    ----------
    graph : Graph
    path : str
        Of its scope.
    arguments : list of Node
        What stands for the inputs of the body, in their order.
    indexed : bool
        Whether the first of them is the number of the iteration, and no row.
    after, outs : list of Node
        The next states, and the results.
    moving : set of Node
        What differs between iterations.
    counters : dict
        {(random node, its counter): what it reads instead}.
    """

    graph: Graph
    path: str
    arguments: list[Node]
    indexed: bool
    after: list[Node]
    outs: list[Node]
    moving: set[Node]
    counters: dict[tuple[Node, Node], Node]

    def op(
        self, after: Sequence[Node], outs: Sequence[Node], read: Read, count: Dim, reverse: bool, recomputed: bool
    ) -> tuple[Loop, list[Node]]:
        """Return the loop, and what is the same in all of its iterations."""
        body, same = cut(self.graph, [*after, *outs], self.arguments, self.moving, f"{self.path}/", read)
        names = names_of(graph_of(body.body))
        kept: list[Kept] = [("last", k) for k in range(len(after))]
        kept += [("each", body.of[node]) for node in outs]
        carried = tuple([body.of[node] for node in after])
        rows = len(self.arguments) - int(self.indexed) - len(after)
        settings = {"indexed": self.indexed, "backwards": reverse, "recomputed": recomputed}
        return Loop(body.body, names, names, count, carried, rows, tuple(kept), **settings), same


def _traced(
    graph: Graph,
    call: Callable[..., Any],
    first: Sequence[Node],
    stacks: Sequence[Node],
    masks: Sequence[Node],
    indexed: bool,
) -> tuple[_Traced, Any]:
    """Make the first iteration; return it, and a function that puts results into their form."""
    before_call = updates_of(graph)
    start = len(graph)
    with graph.new_scope("iteration", kind="iteration") as inside:
        index = graph.constant(np.int64(0), name="index")
        before = [given(node) for node in first]
        now = [_first_row(node) for node in [*stacks, *masks]]
        following, (results, as_results) = call(before, now[: len(stacks)])
        after = [as_node(graph, leaf, "scan: each state that the function returns is") for leaf in following]
        outs = [as_node(graph, leaf, "scan: each result that the function returns is") for leaf in results]
        if masks:
            outs = [_where(now[-1], out, fn.zeros(out.shape, out.dtype, graph=graph)) for out in outs]
            after = [_where(now[-1], new, old) for new, old in zip(after, before, strict=True)]
        check_states("scan", before, after)
        arguments = [index, *before, *now] if indexed else [*before, index, *now]
        moving = made_of(graph, start, arguments)
        check_updates("scan", graph, before_call, moving)
        counters = with_iteration(moving, index)
    assert inside.scope is not None
    return _Traced(graph, inside.scope.path, arguments, indexed, after, outs, moving, counters), as_results


def _called(
    step: Callable[..., Any],
    init: Any,
    as_state: Callable[..., Any],
    as_rows: Callable[..., Any] | None,
    before: Sequence[Node],
    now: Sequence[Node],
) -> tuple[list[Any], tuple[list[Any], Any]]:
    """Call the user's function; return the next states, and the results with their form."""
    rows = [] if as_rows is None else [as_rows(now)]
    return _taken_apart(step(as_state(before), *rows), init)


def _taken_apart(result: Any, init: Any) -> tuple[list[Any], tuple[list[Any], Any]]:
    """Return the next states, and the results with a function that puts them into their form."""
    count = len(flatten(init)[0])
    if form_of(result) == form_of(init):
        states = leaves_of(result, init)
        return states, (states, flatten(init)[1])
    if isinstance(result, (tuple, list)) and len(result) == 2 and form_of(result[0]) == form_of(init):
        states = leaves_of(result[0], init)
        return states, flatten(result[1]) if result[1] is not None else ([], lambda parts: None)
    what = f"{count} arrays" if count != 1 else "one array"
    raise UsageError(
        f"scan: the function returns the next state in the form of init, which holds {what}, or (next state, result); "
        f"it returned {short_repr(result)}"
    )


def _checked_mask(mask: Node) -> Node:
    if mask.dtype != np.bool_:
        raise DtypeError(f'scan: the mask holds bools, and "{mask.name}" is {mask.dtype}')
    if mask.ndim not in (1, 2):
        raise ShapeError(f'scan: the mask is of shape (length,) or (length, batch), and "{mask.name}" {mask.spec}')
    return mask


def _where(mask: Node, yes: Node, no: Node) -> Node:
    """Return one or the other, by a mask for all or for each of the batch."""
    missing = yes.ndim - mask.ndim
    if missing < 0:
        raise ShapeError(f'scan: the mask has a batch, and "{yes.name}" {yes.spec} has none')
    return fn.where(fn.expand_dims(mask, tuple(range(mask.ndim, yes.ndim))) if mask.ndim and missing else mask, yes, no)


def _first_row(stack: Node) -> Node:
    """Return the first row; where it is known that there is none, zeros."""
    if stack.shape[0] == 0:
        return fn.zeros(stack.shape[1:], stack.dtype, graph=stack.graph)
    return given(stack, 0)


def _length(length: Any, stacks: Sequence[Node]) -> Dim:
    """Return the number of iterations, which all stacks must have."""
    for node in stacks:
        if not node.ndim:
            raise ShapeError(f'scan: "{node.name}" is a single number, and has no rows to go through')
    counts = {node.shape[0]: node for node in reversed(stacks)}
    if length is not None:
        counts = {dimension(length): None, **counts}  # type: ignore[dict-item]
    if not counts:
        raise UsageError("scan: without xs, length= says how many iterations there are")
    if len(counts) > 1:
        listed = [f"length={count}" if node is None else f'"{node.name}" {node.spec}' for count, node in counts.items()]
        raise ShapeError(f"scan: the numbers of rows differ: {', '.join(listed)}")
    return next(iter(counts))
