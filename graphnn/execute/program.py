"""A schedule made ready to be evaluated: every constraint checked, every attribute a number."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np

from ..errors import GraphnnError, GraphnnWarning, ShapeError
from ..graph import Array, Graph, Node, Op, Placeholder, Spec
from ..graph.collector import collector_paused
from ..graph.dimensions import concrete, names_in, shown, size_of
from ..order import last_uses, ordered

Forward = Callable[..., Any]
_PACKAGE = __name__.partition(".")[0] + "."
_MOST_PROGRAMS, _MOST_BINDINGS = 32, 64
ALWAYS_FITS = 64 * 2**20
"""Below this no machine is short of memory, and asking how much is free would cost more than the run."""


class Binding(NamedTuple):
    """A program for one set of sizes: every constraint checked, every attribute a number."""

    forwards: list[Forward | None]
    largest: int
    largest_node: Node | None


class Program:
    """A schedule made ready to be evaluated; kept with its graph, since nodes never change."""

    def __init__(self, graph: Graph, fetches: Sequence[Node]) -> None:
        self.graph = graph
        self.order = ordered(fetches)
        place = {node: i for i, node in enumerate(self.order)}
        self.fetches = [place[node] for node in fetches]
        self.operands = [tuple([place[operand] for operand in node.inputs]) for node in self.order]
        self.dying = last_uses(self.order, fetches)
        self.placeholders = [node for node in self.order if isinstance(node.op, Placeholder)]
        dims = {dim for spec in {node.spec for node in self.order} for dim in spec.shape}
        dims.update(dim for node in self.order for pair in node.spec.constraints for dim in pair)
        sized = {node.op for node in self.order if node.op.sized}
        self.names = sorted(names_in(dims).union(*(op.dimension_names for op in sized)))
        """The dimensions that a run needs the sizes of."""
        self._bindings: dict[tuple[int | None, ...], Binding] = {}

    def bound(self, sizes: Mapping[str, int]) -> Binding:
        """Return the program for these sizes.

        Raises
        ------
        ShapeError
            When two dimensions that must be equal are not.
        LookupFailure
            When nothing gives a dimension a size.
        """
        key = tuple([sizes.get(name) for name in self.names])
        found = self._bindings.get(key)
        if found is None:
            if len(self._bindings) >= _MOST_BINDINGS:
                oldest, *_ = list(self._bindings)  # at once: other threads may be here
                self._bindings.pop(oldest, None)
            found = self._bindings[key] = self._bind(sizes)
        return found

    def _bind(self, sizes: Mapping[str, int]) -> Binding:
        forwards: list[Forward | None] = []
        bytes_of: dict[Any, int] = {}
        largest, largest_node = 0, None
        for node in self.order:
            size = bytes_of.get(node.spec)
            if size is None:
                shape = concrete(node.spec.shape, sizes)
                if min(shape, default=0) < 0:
                    raise _negative(node, shape, sizes)
                size = bytes_of[node.spec] = math.prod(shape) * node.spec.dtype.itemsize
            for a, b in node.spec.constraints:
                if size_of(a, sizes) != size_of(b, sizes):
                    raise _unequal(node, a, b, sizes)
            if size > largest:
                largest, largest_node = size, node
            if isinstance(node.op, Placeholder) or node.has_value:
                forwards.append(None)
            else:
                forwards.append(forward_of(node, node.op, sizes))
        return Binding(forwards, largest, largest_node)


def program_of(graph: Graph, fetches: Sequence[Node]) -> Program:
    """Return the program of these fetches, made once and kept with the graph."""
    programs: dict[tuple[Node, ...], Program] = graph.caches.setdefault("programs", {})
    key = tuple(fetches)
    program = programs.get(key)
    if program is None:
        if len(programs) >= _MOST_PROGRAMS:
            oldest, *_ = list(programs)  # at once: other threads may be here
            programs.pop(oldest, None)
        with collector_paused():
            program = programs[key] = Program(graph, fetches)
    return program


def _counted_here() -> int:
    mine = object()
    return getrefcount(mine)


_ONLY_HERE = _counted_here()
"""How many references an object has that one local name holds: asking adds some, not as many in every Python.

An array that `forward` has just made has no more. One that has more is kept by somebody, as in a cache.
"""


def forward_of(node: Node, op: Op, sizes: Mapping[str, int]) -> Forward:
    """Return what computes a node by an operation, of these sizes."""
    if op.sized:
        try:
            op = op.bound(sizes)
        except GraphnnError as error:
            raise _of_node(node, error) from None
    forward: Forward = op.forward
    if not type(op).__module__.startswith(_PACKAGE):
        forward = _held_to_its_word(node, forward, concrete(node.spec.shape, sizes))
    return forward if node.dtype != np.float16 else _watched(node, forward)


def _negative(node: Node, shape: tuple[int, ...], sizes: Mapping[str, int]) -> GraphnnError:
    dim = node.shape[next(axis for axis, size in enumerate(shape) if size < 0)]
    given = ", ".join(f"{name} = {sizes[name]}" for name in sorted(names_in((dim,))))
    asked = f"its shape {shown(node.shape)} has {_valued(dim, sizes)} in this run, where {given}"
    return _of_node(node, ShapeError(f"{node.op.name}: {asked}, and a dimension is 0 or more"))


def _of_node(node: Node, error: GraphnnError) -> GraphnnError:
    line = f'  in "{node.name}", made at {node.origin}; nothing was computed'
    return error.within("", line, node=node, op=node.op.name, origin=node.origin)


def _unequal(node: Node, a: Any, b: Any, sizes: Mapping[str, int]) -> GraphnnError:
    specs = [Spec(concrete(operand.shape, sizes), operand.dtype) for operand in node.inputs]
    met = f"{_valued(a, sizes)} meets {_valued(b, sizes)}, and they must be equal"
    known = refused_when_written(node.op.bound(sizes), specs)
    lines = [] if known is None else [f"  {met}"]
    for position, operand in enumerate(node.inputs):
        shape = shown(concrete(operand.shape, sizes))
        declared = "" if shape == shown(operand.shape) else f" = {shape} in this run"
        lines.append(
            f'  operand {position}: "{operand.name}" {shown(operand.shape)}{declared}, made at {operand.origin}'
        )
    lines.append(f'  in "{node.name}", made at {node.origin}; nothing was computed')
    shapes = tuple(spec.shape for spec in specs)
    error = known or ShapeError(f"{node.op.name}: {met}")
    return error.within("", *lines, node=node, op=node.op.name, operands=node.inputs, shapes=shapes)


def refused_when_written(op: Op, specs: Sequence[Spec]) -> GraphnnError | None:
    """Return the error that the operation has for such operands when the line is written, if it has one."""
    try:
        op.infer(*specs)
    except GraphnnError as error:
        return error
    return None


def _valued(dim: Any, sizes: Mapping[str, int]) -> str:
    return str(dim) if isinstance(dim, int) else f"{dim} = {size_of(dim, sizes)}"


def _watched(node: Node, forward: Forward) -> Forward:
    """Return `forward`, with a warning the first time that this float16 node overflows."""

    def watched(*operands: Array) -> Any:
        raised: set[str] = set()
        with np.errstate(over="call", divide="call", call=lambda kind, _: raised.add(kind)):
            value = forward(*operands)
        # Dividing by 0 gives inf too, and in any dtype. (einsum raises nothing at all.)
        if "overflow" in raised or "divide by zero" not in raised:
            warn_of_overflow(node, value, operands)
        return value

    return watched


def warn_of_overflow(node: Node, value: Any, operands: Sequence[Array]) -> None:
    """Warn once of a float16 node whose value is infinite where its operands were not."""
    if np.isinf(value).any() and all(np.isfinite(operand).all() for operand in operands):
        warned: set[Node] = node.graph.caches.setdefault("overflowed", set())
        if node not in warned:
            warned.add(node)
            warnings.warn(
                f'"{node.name}" ({node.op.name}, made at {node.origin}) overflows float16, whose largest number '
                "is 65504: its result is infinite where its operands were not",
                GraphnnWarning,
                stacklevel=2,
            )


def _held_to_its_word(node: Node, forward: Forward, shape: tuple[int, ...]) -> Forward:
    """Return the `forward` of an operation that is not ours, kept from writing to its operands and checked."""

    def held(*operands: Array) -> Any:
        views = []
        for operand in operands:
            view = operand.view()
            view.flags.writeable = False
            views.append(view)
        value = np.asarray(forward(*views), order="C")
        if (value.base is not None or getrefcount(value) > _ONLY_HERE) and not any(
            np.may_share_memory(value, view) for view in views
        ):
            value = value.copy()  # what else holds it may change it, or return it again
        if value.shape != shape or value.dtype != node.dtype:
            raise ShapeError(
                f"{type(node.op).__name__}.forward gave {shown(value.shape)} {value.dtype}, "
                f"where its infer says {shown(shape)} {node.dtype}"
            )
        return value

    return held
