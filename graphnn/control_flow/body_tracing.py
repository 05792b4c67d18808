"""A user's function called once, in the graph itself, and what it made taken as the body of a loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .._util.text import counted, short_repr
from ..core import Graph, Node, Op, flatten, fn
from ..core.fetches import ancestors
from ..core.symbolic_shapes import names_in
from ..errors import GraphError, UsageError
from .branch_op import Branch
from .loop_body import Excerpt, Keeping, Read, graph_of
from .loop_op import Loop

_MOST_INLINE = 64
"""Elements of a constant that a body holds itself. A larger one is an operand."""
_MOST_READ = 1000
"""Objects that are looked at in search of the nodes that a function reads."""


def graph_of_arguments(what: str, *forms: Any, functions: Sequence[Callable[..., Any]] = ()) -> Graph:
    """Return the graph of the first node among the arguments; if there is none, of what the functions read.

    Raises
    ------
    UsageError
        When no node tells it, or the functions read nodes of several graphs.
    """
    for form in forms:
        for leaf in flatten(form)[0]:
            if isinstance(leaf, Node):
                return leaf.graph
    graphs = {thing.graph if isinstance(thing, Node) else thing: None for thing in _read_by(functions)}
    if len(graphs) == 1:
        return next(iter(graphs))
    if graphs:
        raise GraphError(
            f"{what}: what it is given is no node, and its functions read nodes of {counted(len(graphs), 'graph')}: "
            "graph.constant(array) says for which it is"
        )
    raise UsageError(
        f"{what} takes nodes, at least one: neither what it is given nor what its functions read is one. "
        "graph.constant(array) makes a node of an array"
    )


def _read_by(functions: Sequence[Callable[..., Any]]) -> Iterator[Node | Graph]:
    """Yield the nodes and graphs that functions read: in variables around them, and in objects held there."""
    waiting: list[Any] = list(functions)
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_READ:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (Node, Graph)):
            yield thing
        elif isinstance(thing, (list, tuple, dict)):
            parts = thing.values() if isinstance(thing, dict) else thing
            waiting += parts if len(parts) <= _MOST_READ else ()
        elif isinstance(thing, partial):
            waiting += [thing.func, *thing.args, *thing.keywords.values()]
        elif isinstance(thing, FunctionType):
            around, kept = inspect.getclosurevars(thing), thing.__defaults__ or ()
            waiting += [*around.nonlocals.values(), *around.globals.values(), *kept]
        elif isinstance(thing, MethodType):
            waiting += [thing.__self__, thing.__func__]
        elif not isinstance(thing, (type, ModuleType)):  # a layer, or whatever else holds nodes
            waiting += getattr(thing, "__dict__", {}).values()


def as_node(graph: Graph, leaf: Any, what: str = "what a function returns is") -> Node:
    """Return a node, or a constant of an array; refuse what is neither, by what it was to be."""
    if isinstance(leaf, Node):
        if leaf.graph is not graph:
            raise GraphError(
                f'{what} a node of the same graph, and "{leaf.name}", made at {leaf.origin}, is of another'
            )
        return leaf
    is_text = isinstance(leaf, (str, bytes))
    if is_text or not (np.isscalar(leaf) or isinstance(leaf, (list, tuple)) or hasattr(leaf, "__array__")):
        raise UsageError(f"{what} a node, an array or a number, not {short_repr(leaf)}")
    return graph.constant(leaf)


def apart(node: Node) -> Node:
    """Return a node with the same value that is none that was there before."""
    return fn.getitem(node, ...)


def given(node: Node, index: Any = ...) -> Node:
    """Return what a function is given of a state or of rows: a gradient that it asks for itself ends there."""
    return fn.getitem(fn.stop_gradient(node), index)


def made_of(graph: Graph, start: int, arguments: Sequence[Node], drawn: bool = True) -> set[Node]:
    """Return what was made since `start` and differs between iterations.

    It depends on the arguments, or is random if each iteration draws random numbers of its own.
    """
    moving = set(arguments)
    for node in list(graph)[start:]:
        if (drawn and is_random(node.op)) or not moving.isdisjoint(node.inputs):
            moving.add(node)
    return moving


def is_random(op: Op) -> bool:
    """Whether an operation draws random numbers, or has a body that does."""
    if isinstance(op, Keeping):
        return any(is_random(node.op) for body in op.bodies.values() for node in body)
    return op.is_random


def counters_of(op: Op) -> list[int]:
    """Return which operands are counters of random numbers."""
    if op.is_random:
        return [0]
    if not isinstance(op, Keeping) or not is_random(op):
        return []
    counters = [n.inputs[place] for body in op.bodies.values() for n in body for place in counters_of(n.op)]
    found = ancestors(counters)
    if isinstance(op, Branch):
        inputs = zip(*[body.placeholders for body in op.bodies.values()], strict=True)
        return [1 + position for position, nodes in enumerate(inputs) if not found.isdisjoint(nodes)]
    assert isinstance(op, Loop)
    given = ([None] if op.counted else []) + graph_of(op.body).placeholders[int(op.indexed) :]
    same = op.split(given)[2]
    return [position for position, node in enumerate(given) if node in found and node in same]


_FACTOR, _BITS = 0x1E3779B97F4A7C15, 2**62 - 1


def with_iteration(moving: set[Node], index: Node) -> dict[tuple[Node, Node], Node]:
    """Return for random nodes what they read instead of their counters: numbers of counter and iteration together.

    A counter that differs between iterations anyhow is left as it is. What is made for that becomes part of `moving`,
    all of it: a loop around takes the counter itself, and makes it differ between its own iterations.
    """
    graph, start = index.graph, len(index.graph)
    found: dict[tuple[Node, Node], Node] = {}
    mixed: dict[Node, Node] = {}
    for node in sorted(moving, key=lambda node: node.index):
        for place in counters_of(node.op):
            counter = node.inputs[place]
            if counter not in moving:
                if counter not in mixed:
                    wide = fn.cast(counter, "int64")
                    mixed[counter] = fn.bitwise_and(wide * _FACTOR + (index + 1), _BITS)
                found[node, counter] = mixed[counter]
    moving.update(list(graph)[start:])
    return found


def cut(
    graph: Graph,
    wanted: Sequence[Node],
    arguments: Sequence[Node],
    moving: set[Node],
    prefix: str,
    read: Read = lambda reader, operand: operand,
) -> tuple[Excerpt, list[Node]]:
    """Return the body between the arguments and what is wanted, and which other nodes it reads."""
    same = read_by(graph, wanted, arguments, moving, read)
    return Excerpt(graph, wanted, [*arguments, *same], prefix, read), same


def read_by(
    graph: Graph, wanted: Sequence[Node], arguments: Sequence[Node], moving: set[Node], read: Read
) -> list[Node]:
    """Return which nodes a body between the arguments and what is wanted reads that are not part of it."""
    outer: dict[Node, None] = {}
    seen: set[Node] = set(arguments)
    waiting = list(wanted)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        small = node.op.is_constant and graph._constants[node].size <= _MOST_INLINE
        if node in moving:
            waiting.extend([read(node, operand) for operand in node.inputs])
        elif not small:
            outer[node] = None
    return sorted(outer, key=lambda node: node.index)


def names_of(body: Iterable[Node]) -> tuple[str, ...]:
    """Return the names of dimensions that a body uses."""
    body = list(body)
    found = names_in(dim for node in body for dim in node.shape)
    return tuple(sorted(found.union(*[node.op.dimension_names for node in body if node.op.sized])))
