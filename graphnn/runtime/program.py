"""`Program`: what an evaluation needs of a schedule, for any sizes; `Binding`: what it needs for one set of sizes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from .._util.garbage_collection import collector_paused
from .._util.text import listed
from ..core import Array, Graph, Node, Op, Spec, limits
from ..core.fetches import ordered
from ..core.symbolic_shapes import concrete, names_in, shown, size_of
from ..core.topological_order import last_uses
from ..errors import DtypeError, GraphnnError, GraphnnWarning, ShapeError

Forward = Callable[..., Any]
_MOST_PROGRAMS, _MOST_BINDINGS = 32, 64
_ALWAYS_FITS = 64 * 2**20
"""Bytes of a value that always fit: asking how much memory is free would cost more than a small run."""


class Binding(NamedTuple):
    """A program for one set of sizes: constraints are checked, dimensions in attributes replaced by sizes.

    Attributes
    ----------
    forwards : list of callable or None
        What computes each node; None for placeholders, parameters and constants.
    largest : int
        The bytes of the largest value.
    largest_node : Node or None
    """

    forwards: list[Forward | None]
    largest: int
    largest_node: Node | None

    def fits_any_memory(self, graph: Graph) -> bool:
        """Return whether every value is too small to be checked against the memory budget."""
        return self.largest <= _ALWAYS_FITS and graph.memory_budget is None


class Program:
    """A schedule, and all that follows from it for any sizes. It is kept with its graph, since nodes never change.

    Attributes
    ----------
    graph : Graph
    order : list of Node
        The schedule. Everywhere below, a position is an index into it.
    fetches : list of int
        The positions of the fetches.
    operands : list of tuple of int
        The positions of each node's operands.
    dying : list of tuple of int
        For each node, the positions of the values to release after it, since no later node reads them.
    placeholders : list of Node
    dimension_names : list of str
        The names of dimensions for which a run needs sizes.
    """

    def __init__(self, graph: Graph, fetches: Sequence[Node]) -> None:
        self.graph = graph
        self.order = ordered(fetches)
        position = {node: i for i, node in enumerate(self.order)}
        self.fetches = [position[node] for node in fetches]
        self.operands = [tuple([position[operand] for operand in node.inputs]) for node in self.order]
        self.dying = last_uses(self.operands, self.fetches)
        self.placeholders = [node for node in self.order if node.op.is_placeholder]
        dims = {dim for spec in {node.spec for node in self.order} for dim in spec.shape}
        dims.update(dim for node in self.order for pair in node.spec.constraints for dim in pair)
        sized = {node.op for node in self.order if node.op.sized}
        self.dimension_names = sorted(names_in(dims).union(*(op.dimension_names for op in sized)))
        self._bindings: dict[tuple[int | None, ...], Binding] = {}
        self._fixed = [forward_of(node, node.op, {}) if _needs_no_sizes(node) else None for node in self.order]
        """The functions that are the same for any sizes."""
        first = {node.spec: node for node in reversed(self.order)}
        self._varying = [
            (i, node)
            for i, (node, forward) in enumerate(zip(self.order, self._fixed, strict=True))
            if forward is None or node.spec.constraints or first[node.spec] is node or hasattr(node.op, "bound_inside")
        ]
        """The nodes of which something depends on the sizes, and the first of each spec, which tells its bytes."""

    def binding(self, sizes: Mapping[str, int]) -> Binding:
        """Return the binding for these sizes.

        Raises
        ------
        ShapeError
            When two dimensions that must be equal are not.
        NotFoundError
            When nothing gives a dimension a size.
        """
        key = tuple([sizes.get(name) for name in self.dimension_names])
        found = self._bindings.get(key)
        if found is None:
            _make_room(self._bindings, _MOST_BINDINGS)
            found = self._bindings[key] = self._bind(sizes)
        return found

    def _bind(self, sizes: Mapping[str, int]) -> Binding:
        forwards = [*self._fixed]
        size_in_run, bound = cache(partial(size_of, sizes=sizes)), dict[int, Op]()  # many nodes share what is long
        largest, largest_node = 0, None
        for i, node in self._varying:
            shape = tuple(map(size_in_run, node.spec.shape))
            if min(shape, default=0) < 0:
                raise _negative(node, shape, sizes)
            size = math.prod(shape) * node.spec.dtype.itemsize
            for a, b in node.spec.constraints:
                if size_in_run(a) != size_in_run(b):
                    raise _unequal(node, a, b, sizes)
            if (bound_inside := getattr(node.op, "bound_inside", None)) is not None:  # a graph is inside
                size = max(size, bound_inside(sizes))
            if size > largest:
                largest, largest_node = size, node
            if forwards[i] is None and not _is_given(node):
                if (op := bound.get(id(node.op))) is None:
                    op = bound[id(node.op)] = _bound(node, node.op, sizes)
                forwards[i] = _forward_of(node, op, shape)
        return Binding(forwards, largest, largest_node)


def program_of(graph: Graph, fetches: Sequence[Node]) -> Program:
    """Return the program of these fetches, made once and kept with the graph."""
    programs: dict[tuple[Node, ...], Program] = graph.caches.setdefault("programs", {})
    key = tuple(fetches)
    if (program := programs.get(key)) is None:
        _make_room(programs, _MOST_PROGRAMS)
        with collector_paused():
            program = programs[key] = Program(graph, fetches)
    return program


def _make_room(cache: dict[Any, Any], most: int) -> None:
    """Drop the oldest entry of a full cache."""
    if len(cache) >= most:
        oldest, *_ = list(cache)  # in one go, since other threads may change it meanwhile
        cache.pop(oldest, None)


def _references_of_a_local() -> int:
    mine = object()
    return next(map(getrefcount, (mine,)))  # a call of ours may count one more, or not, in Python 3.14


_ONE_REFERENCE = _references_of_a_local()
"""The `getrefcount`, by `map`, of an object that only one local variable holds.

If an array that a user's `forward` returns has more, someone else still holds it, and we must copy it.
"""


def forward_of(node: Node, op: Op, sizes: Mapping[str, int]) -> Forward:
    """Return the function that computes a node's value by an operation, for these sizes."""
    return _forward_of(node, _bound(node, op, sizes), concrete(node.spec.shape, sizes) if op.foreign else ())


def _bound(node: Node, op: Op, sizes: Mapping[str, int]) -> Op:
    try:
        return op.bound(sizes) if op.sized else op
    except GraphnnError as error:
        raise _of_node(node, error) from None


def _forward_of(node: Node, op: Op, shape: tuple[int, ...]) -> Forward:
    forward: Forward = op.forward
    if op.foreign:
        forward = _with_checks(node, forward, shape)
    return forward if node.dtype != np.float16 else _with_warning(node, forward)


def _is_given(node: Node) -> bool:
    return node.op.is_placeholder or node.has_value


def _needs_no_sizes(node: Node) -> bool:
    return not _is_given(node) and not node.op.dimension_names and not node.op.foreign


def _negative(node: Node, shape: tuple[int, ...], sizes: Mapping[str, int]) -> GraphnnError:
    dim = node.shape[next(axis for axis, size in enumerate(shape) if size < 0)]
    given = listed([f"{name} = {sizes[name]}" for name in sorted(names_in((dim,)))])
    asked = f"its shape {shown(node.shape)} has {_valued(dim, sizes)} in this run, where {given}"
    return _of_node(node, ShapeError(f"{node.op.name}: {asked}, and a dimension is 0 or more"))


def _of_node(node: Node, error: GraphnnError) -> GraphnnError:
    return error.within("", _line_of(node), node=node, op=node.op.name, origin=node.origin)


def _line_of(node: Node) -> str:
    """Return the last line of an error that is found before a run."""
    return f'  in "{node.name}", made at {node.origin}; nothing was computed'


def _unequal(node: Node, a: Any, b: Any, sizes: Mapping[str, int]) -> GraphnnError:
    specs = [Spec(concrete(operand.shape, sizes), operand.dtype) for operand in node.inputs]
    met = f"{_valued(a, sizes)} meets {_valued(b, sizes)}, and they must be equal"
    known = infer_error(node.op.bound(sizes), specs)
    lines = [] if known is None else [f"  {met}"]
    for position, (operand, spec) in enumerate(zip(node.inputs, specs, strict=True)):
        shape = shown(spec.shape)
        declared = shape if operand.shape == spec.shape else f"{shown(operand.shape)} = {shape} in this run"
        lines.append(f'  operand {position}: "{operand.name}" {declared}, made at {operand.origin}')
    error = known or ShapeError(f"{node.op.name}: {met}")
    told = {"node": node, "op": node.op.name, "operands": node.inputs, "shapes": tuple(spec.shape for spec in specs)}
    # Without `origin`, the line that ran the graph is appended, too: its feed has brought these sizes together.
    return error.within("", *lines, _line_of(node), **told)


def infer_error(op: Op, specs: Sequence[Spec]) -> GraphnnError | None:
    """Return the error with which an operation's `infer` refuses such operands, else None."""
    try:
        op.infer(*specs)
    except Exception as error:  # noqa: BLE001 - a user's `infer` may raise anything
        return error if isinstance(error, GraphnnError) else None
    return None


def _valued(dim: Any, sizes: Mapping[str, int]) -> str:
    return str(dim) if isinstance(dim, int) else f"{dim} = {size_of(dim, sizes)}"


def _with_warning(node: Node, forward: Forward) -> Forward:
    """Return `forward` with a warning the first time that this float16 node overflows."""

    def watched(*operands: Array) -> Any:
        raised: set[str] = set()
        with np.errstate(over="call", divide="call", call=lambda kind, _: raised.add(kind)):
            value = forward(*operands)
        # A division by 0 gives inf in any dtype. Without either flag we look, too: einsum sets none.
        if "overflow" in raised or "divide by zero" not in raised:
            warn_of_infinity(node, value, operands)
        return value

    return watched


def warn_of_infinity(node: Node, value: Any, operands: Sequence[Array]) -> None:
    """Warn once about a node whose value is infinite, by its dtype, although its operands are finite."""
    if np.isinf(value).any() and all(np.isfinite(operand).all() for operand in operands):
        warned: set[Node] = node.graph.caches.setdefault("overflowed", set())
        if node not in warned:
            warned.add(node)
            largest = f"whose largest number is {float(limits(node.dtype).max):.5g}"
            told = f'"{node.name}" ({node.op.name}, made at {node.origin}) overflows {node.dtype}, {largest}'
            warnings.warn(f"{told}: its result is infinite where its operands were not", GraphnnWarning, stacklevel=2)


def _with_checks(node: Node, forward: Forward, shape: tuple[int, ...]) -> Forward:
    """Return the `forward` of a user's operation: it cannot write to its operands, and its result is checked."""

    def checked(*operands: Array) -> Any:
        views = []  # what shares memory with one of them is not copied: nobody can write to it
        for operand in operands:
            view = operand.view()
            view.flags.writeable = False
            views.append(view)
        value = np.asarray(forward(*views), order="C")
        if (value.base is not None or next(map(getrefcount, (value,))) > _ONE_REFERENCE) and not any(
            np.may_share_memory(value, view) for view in views
        ):
            value = value.copy()  # whoever else holds it may change it, or return it again
        if value.shape != shape or value.dtype != node.dtype:
            raise (ShapeError if value.shape != shape else DtypeError)(
                f"{type(node.op).__name__}.forward gave {shown(value.shape)} {value.dtype}, "
                f"where its infer says {shown(shape)} {node.dtype}"
            )
        return value

    return checked
