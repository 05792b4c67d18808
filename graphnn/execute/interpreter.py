"""Evaluation: one generator, one node at a time. Everything that watches a run is a client of `evaluate`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from sys import getrefcount
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ..errors import (
    DtypeError,
    GraphError,
    GraphnnError,
    GraphnnWarning,
    LookupFailure,
    MemoryBudgetError,
    ShapeError,
    UsageError,
    ValueRangeError,
    near,
    restated,
)
from ..graph import Array, Constant, Graph, Node, Op, Placeholder, Spec, as_array, in_range
from ..graph.collector import collector_paused
from ..graph.dimensions import concrete, dimension, names_in, shown
from ..graph.dimensions import evaluate as size_of
from ..graph.fetches import resolve
from ..graph.quiet import quietly
from ..order import last_uses, ordered
from ..text import quoted

Feed = Mapping[Any, Any]
Forward = Callable[..., Any]


def _counted_here() -> int:
    mine = object()
    return getrefcount(mine)


_ONLY_HERE = _counted_here()
"""What `getrefcount` says of an object that one local name alone holds: not the same in every Python."""
_PACKAGE = __name__.partition(".")[0] + "."
_MOST_PROGRAMS, _MOST_BINDINGS = 32, 64
# Below this no machine is short of memory, and asking how much is free would cost more than the run.
_ALWAYS_FITS = 64 * 2**20
_SHARE_OF_FREE = 0.8


class Step(NamedTuple):
    """One evaluated node.

    Attributes
    ----------
    index : int
        Its place in the schedule.
    node : Node
    operands : tuple of array
        The values that it was computed from.
    value : array
    """

    index: int  # type: ignore[assignment]
    node: Node
    operands: tuple[Array, ...]
    value: Array

    def __repr__(self) -> str:
        value = f"{shown(self.value.shape)} {self.value.dtype}"
        return f"<Step {self.index}: {quoted(self.node.name)}, {self.node.op.name} {value}>"


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
        self._constrained = [node for node in self.order if node.spec.constraints]
        dims = {dim for spec in {node.spec for node in self.order} for dim in spec.shape}
        dims.update(dim for node in self._constrained for pair in node.spec.constraints for dim in pair)
        sized = {node.op for node in self.order if node.op.sized}
        self.names = sorted(names_in(dims).union(*(op.names for op in sized)))
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
        for node in self._constrained:
            for a, b in node.spec.constraints:
                if size_of(a, sizes) != size_of(b, sizes):
                    raise _unequal(node, a, b, sizes)
        forwards: list[Forward | None] = []
        bytes_of: dict[Any, int] = {}
        largest, largest_node = 0, None
        for node in self.order:
            size = bytes_of.get(node.spec)
            if size is None:
                shape = concrete(node.spec.shape, sizes)
                size = bytes_of[node.spec] = math.prod(shape) * node.spec.dtype.itemsize
            if size > largest:
                largest, largest_node = size, node
            if isinstance(node.op, Placeholder) or node.has_value:
                forwards.append(None)
            else:
                forwards.append(_forward(node, node.op, sizes))
        return Binding(forwards, largest, largest_node)


def _forward(node: Node, op: Op, sizes: Mapping[str, int]) -> Forward:
    """Return what computes a node by an operation, of these sizes."""
    if op.sized:
        op = op.bound(sizes)
    forward: Forward = op.forward
    if not type(op).__module__.startswith(_PACKAGE):
        forward = _held_to_its_word(node, forward, concrete(node.spec.shape, sizes))
    return forward if node.dtype != np.float16 else _watched(node, forward)


def _unequal(node: Node, a: Any, b: Any, sizes: Mapping[str, int]) -> GraphnnError:
    specs = [Spec(concrete(operand.shape, sizes), operand.dtype) for operand in node.inputs]
    met = f"{_valued(a, sizes)} meets {_valued(b, sizes)}, and they must be equal"
    known = _refusal(node.op.bound(sizes), specs)
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


def _refusal(op: Op, specs: Sequence[Spec]) -> GraphnnError | None:
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
            _warn_of_overflow(node, value, operands)
        return value

    return watched


def _warn_of_overflow(node: Node, value: Any, operands: Sequence[Array]) -> None:
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


def program_of(graph: Graph, fetches: Sequence[Node]) -> Program:
    """Return the program of these fetches, made once and kept with the graph."""
    programs: dict[tuple[Node, ...], Program] = graph.caches.setdefault("programs", {})
    key = tuple(fetches)
    program = programs.get(key)
    if program is None:
        if len(programs) >= _MOST_PROGRAMS:
            programs.clear()
        with collector_paused():
            program = programs[key] = Program(graph, fetches)
    return program


class Prepared(NamedTuple):
    """A program with what it is given: the state as it is now, and the checked feed, read-only and of one layout.

    All that `evaluate` takes; another thread may make an update before the run ends, and changes nothing in it.
    """

    program: Program
    binding: Binding
    given: dict[Node, Array]
    sizes: Mapping[str, int]
    overridden: Mapping[Node, Op | None] = {}
    """What was set by hand: nodes with the operation in the place of theirs, or None where that is a value."""
    before: Mapping[Node, Array] = {}
    """Of those that are given anyway, as placeholders and parameters are, what they were given before."""

    @property
    def fits_any_memory(self) -> bool:
        """Whether no value is so large that its size is held against the memory that is free."""
        return _fits_any_memory(self.program.graph, self.binding)

    def shape_of(self, node: Node) -> tuple[int, ...]:
        """Return the shape that a node's value has in this run."""
        return concrete(node.spec.shape, self.sizes)

    def op_of(self, node: Node) -> Op:
        """Return the operation that a node has in this run, with numbers for its dimensions."""
        return self.declared_op_of(node).bound(self.sizes)

    def declared_op_of(self, node: Node) -> Op:
        """Return the same as it was declared, with the names of its dimensions."""
        return self.overridden.get(node) or node.op

    def is_set(self, node: Node) -> bool:
        """Whether a node was given a value by hand."""
        return self.overridden.get(node, node.op) is None

    @property
    def given_before(self) -> dict[Node, Array]:
        """What was given before any of it was set by hand."""
        kept = {node: value for node, value in self.given.items() if node not in self.overridden}
        return kept | dict(self.before)

    def of_its_own(self) -> Prepared:
        """Return the same with copies of what was fed, which the caller may go on to change."""
        fed = {node: self.given[node].copy() for node in self.program.placeholders}
        for array in fed.values():
            array.flags.writeable = False
        return self._replace(given=self.given | fed)

    def with_value(self, node: Node, value: Any) -> Prepared:
        """Return the same with a value that a node is to have, whatever it computes.

        Raises
        ------
        ShapeError, DtypeError
            When it is not of the shape that the node has in this run, or its dtype does not go into the node's.
        """
        array = as_array(value, f'the value of "{node.name}"')
        if array.shape != self.shape_of(node):
            raise ShapeError(
                f'the value given for "{node.name}" has shape {shown(array.shape)}; '
                f"in this run it has {shown(self.shape_of(node))}"
                + f"; np.full({self.shape_of(node)}, {array}) has that"
                * (array.ndim == 0)
            )
        if not np.can_cast(array.dtype, node.dtype, "same_kind"):
            raise DtypeError(f'the value given for "{node.name}" is {array.dtype}, and the node is {node.dtype}')
        own = np.array(in_range(array, node.dtype, f'the value of "{node.name}"'), order="C")
        own.flags.writeable = False
        if node.dtype == np.float16 and array.dtype != np.float16:
            _warn_of_overflow(node, own, [array])
        return self._with(node, None, own)._replace(overridden={**self.overridden, node: None})

    def with_op(self, node: Node, op: Op) -> Prepared:
        """Return the same with another operation, of the same shape and dtype, in the place of a node's.

        Raises
        ------
        ShapeError
            When its shape or dtype would be another.
        """
        spec = op.infer(*[operand.spec for operand in node.inputs])
        if spec != node.spec:
            raise ShapeError(
                f'{op!r} would give {spec}, where "{node.name}" is {node.spec}: what reads it would not fit'
            )
        found = self._with(node, _forward(node, op, self.sizes), None)
        return found._replace(overridden={**self.overridden, node: op})

    def in_state_of(self, other: Prepared) -> Prepared:
        """Return the same in the state of another run of the graph, with what was set by hand in it, its feed aside.

        Raises
        ------
        ShapeError
            When a value that was set does not fit this run.
        """
        state = {node: value for node, value in other.given_before.items() if not isinstance(node.op, Placeholder)}
        found = self._replace(given=self.given | state)
        for node, op in other.overridden.items():
            if node in self.program.order and not isinstance(node.op, Placeholder):
                found = found.with_value(node, other.given[node]) if op is None else found.with_op(node, op)
        return found

    def without(self, *nodes: Node) -> Prepared:
        """Return the same with nodes that compute, or are given, again what they did before they were set by hand."""
        found = self
        for node in nodes:
            is_given = node.has_value or isinstance(node.op, Placeholder)
            forward = None if is_given else _forward(node, node.op, self.sizes)
            found = found._with(node, forward, self.before.get(node))
            found = found._replace(
                overridden={other: op for other, op in found.overridden.items() if other is not node},
                before={other: value for other, value in found.before.items() if other is not node},
            )
        return found

    def _with(self, node: Node, forward: Forward | None, value: Array | None) -> Prepared:
        forwards = self.binding.forwards.copy()
        forwards[self.program.order.index(node)] = forward
        given = {other: array for other, array in self.given.items() if other is not node}
        if value is not None:
            given[node] = value
        before = dict(self.before)
        if node in self.given and node not in self.overridden:
            before[node] = self.given[node]
        return self._replace(binding=self.binding._replace(forwards=forwards), given=given, before=before)


class Stop(NamedTuple):
    """Where an evaluation ended early, with all that is needed to come there again.

    Attributes
    ----------
    prepared : Prepared
    place : int
        In the schedule, of the node that could not be evaluated or whose value a guard refused.
    updates : dict of Node to Node
        Those that would have been made.
    guard : str or None
        The guard that stopped it; the node's value is known then.
    guarded_by : str or None
        The guard that there was, whatever stopped it.
    """

    prepared: Prepared
    place: int
    updates: Mapping[Node, Node] = {}
    guard: str | None = None
    guarded_by: str | None = None


def prepare(
    graph: Graph, fetches: Sequence[Node], feed: Feed | None = None, sizes: Mapping[str, int] | None = None
) -> Prepared:
    """Check a feed, bind the sizes, and return all that an evaluation needs.

    Raises
    ------
    LookupFailure
        When a feed is missing or unknown, or nothing gives a dimension a size.
    ShapeError, DtypeError
        When a feed is not as declared, or sizes that must be equal are not.
    MemoryBudgetError
        When a value would be larger than the memory budget.
    """
    program = program_of(graph, fetches)
    given, bound = checked_feed(graph, feed, sizes)
    missing = [node for node in program.placeholders if node not in given]
    if missing:
        listed = ", ".join(f'"{node.name}" {node.spec}' for node in missing)
        needed = "it is" if len(missing) == 1 else "they are"
        unfed = tuple(node.name for node in missing)
        raise LookupFailure(f"the feed lacks {listed}; {needed} needed for {_fetch_names(program)}", unfed=unfed)
    for name in sizes or ():
        if name not in program.names:
            known = {*program.names}.union(*(names_in(node.shape) for node in graph.placeholders))
            if name not in known:
                raise LookupFailure(
                    f'sizes= speaks of "{name}", which is no dimension of "{graph.name}".{near(name, known)}'
                )
    binding = program.bound(bound)
    if not _fits_any_memory(graph, binding):
        _check_memory(graph, binding)
    fed = {node: _settled(node, given[node]) for node in program.placeholders}
    return Prepared(program, binding, graph.state | fed, bound)


def _settled(node: Node, given: Array) -> Array:
    """Return what was fed as the placeholder's dtype, read-only, aligned and in C order.

    The last bits of a sum depend on the layout, and the same feed is to give the same bits.
    """
    array = given
    if given.dtype != node.dtype:
        array = in_range(given, node.dtype, f'the feed of "{node.name}"')
    array = np.asarray(array, order="C")
    array = array.view() if array.flags.aligned else array.copy()
    if node.dtype == np.float16 and given.dtype != np.float16:
        _warn_of_overflow(node, array, [given])
    array.flags.writeable = False
    return array


def _fetch_names(program: Program) -> str:
    names = [f'"{program.order[i].name}"' for i in program.fetches[:4]]
    return ", ".join(names) + (", …" if len(program.fetches) > 4 else "")


def checked_feed(
    graph: Graph, feed: Feed | None, sizes: Mapping[str, int] | None = None
) -> tuple[dict[Node, Array], dict[str, int]]:
    """Return the arrays by placeholder, as they were given, and the sizes they bind."""
    if feed is not None and not isinstance(feed, Mapping):
        raise UsageError(f"a feed is a dict {{placeholder: array}}, not {type(feed).__name__}")
    if sizes is not None and not isinstance(sizes, Mapping):
        raise UsageError(f"sizes are a dict {{name of a dimension: size}}, not {type(sizes).__name__}")
    given: dict[Node, Array] = {}
    bound: dict[str, int] = {}
    bound_by: dict[str, str] = {}
    for name, size in (sizes or {}).items():
        number = dimension(size)
        if not isinstance(name, str) or not isinstance(number, int):
            raise UsageError(f"sizes are given as {{name of a dimension: size}}, not {name!r}: {size!r}")
        bound[name] = number
        bound_by[name] = "sizes="
    for key, value in (feed or {}).items():
        node = _fed(graph, key)
        if node in given:
            raise LookupFailure(f'"{node.name}" is fed twice, as a node and by name')
        array = value if type(value) is np.ndarray and value.dtype == node.spec.dtype else _fitting(node, value)
        declared = node.spec.shape
        if array.shape != declared:
            if len(array.shape) != len(declared):
                raise _misshapen(node, array)
            for dim, size in zip(declared, array.shape, strict=True):
                if dim == size:
                    continue
                if isinstance(dim, int):
                    raise _misshapen(node, array)
                if bound.setdefault(dim, size) != size:
                    raise ShapeError(
                        f'the feed of "{node.name}" has {dim} = {size} (shape {shown(array.shape)} for '
                        f"{shown(declared)}), but {bound_by[dim]} has {dim} = {bound[dim]}; "
                        f"declared at {node.origin}"
                    )
                bound_by.setdefault(dim, f'"{node.name}"')
        given[node] = array
    for dim in [dim for dim in bound if not dim.isidentifier()]:
        # A placeholder may be declared ("2*batch",): what it was fed must agree with the names.
        if size_of(dim, {k: v for k, v in bound.items() if k.isidentifier()}) != bound[dim]:
            raise ShapeError(f"the feed of {bound_by[dim]} has {dim} = {bound[dim]}, which its names do not give")
    return given, bound


def _fed(graph: Graph, key: Any) -> Node:
    node = key
    if isinstance(key, str):
        if key not in graph:
            names = [node.name for node in graph.placeholders]
            raise LookupFailure(f'the feed names "{key}", which is no placeholder of "{graph.name}".{near(key, names)}')
        node = graph[key]
    if not isinstance(node, Node):
        raise UsageError(f"a feed's keys are placeholders or their names, not {type(key).__name__}")
    if node.graph is not graph:
        whose = f'of the graph "{node.graph.name}", not of "{graph.name}"'
        if node.graph.name == graph.name:
            whose = f'of another graph that is called "{graph.name}", too'
        raise GraphError(f'the feed gives "{node.name}" {whose}')
    if not isinstance(node.op, Placeholder):
        raise LookupFailure(
            f'"{node.name}" ({node.op.name}) is no placeholder, and only placeholders are fed; '
            "gn.replace(fetches, {node: placeholder}) puts a placeholder in its place"
        )
    return node


def _fitting(node: Node, value: Any) -> Array:
    """Return the array that `value` is, of a dtype that may be cast to the placeholder's."""
    array = as_array(value, f'the feed of "{node.name}"')
    if not np.can_cast(array.dtype, node.dtype, "same_kind"):
        remedy = (
            "of rows that are one-hot, array.argmax(axis=-1) is the classes"
            if _is_one_hot(array, node)
            else f"cast it yourself if you mean to, array.astype({str(node.dtype)!r})"
        )
        raise DtypeError(
            f'the feed of "{node.name}" is {array.dtype}, and the placeholder is {node.dtype} '
            f"(declared at {node.origin}): {remedy}",
            node=node,
            given=array.dtype,
            expected=node.dtype,
        )
    return array


def _misshapen(node: Node, array: Array) -> ShapeError:
    return ShapeError(
        f'the feed of "{node.name}" has shape {shown(array.shape)}; expected {shown(node.shape)}, '
        f"as declared at {node.origin}{_remedy(node, array)}",
        node=node,
        given=array.shape,
        expected=node.shape,
    )


def _remedy(node: Node, array: Array) -> str:
    if array.ndim == node.ndim > 1 and _fits(array.shape[::-1], node.shape):
        return "; its transpose would fit, array.T"
    if _is_one_hot(array, node):
        return "; of rows that are one-hot, array.argmax(axis=-1) is the classes"
    classes = node.shape[-1] if node.ndim > 1 and node.dtype.kind == "f" else None
    whole = array.dtype.kind in "iu" and array.size and _fits(array.shape, node.shape[:-1])
    if isinstance(classes, int) and classes > 1 and whole and array.min() >= 0 and array.max() < classes:
        return f"; if these are classes, np.eye({classes})[array] is one-hot"
    return ""


def _is_one_hot(array: Array, node: Node) -> bool:
    """Return whether an array is one-hot rows of what a placeholder takes as classes."""
    fits = node.dtype.kind in "iu" and array.ndim > 1 and array.shape[-1] > 1 and _fits(array.shape[:-1], node.shape)
    return bool(fits and array.size and np.isin(array, (0, 1)).all() and (array.sum(axis=-1) == 1).all())


def _fits(shape: tuple[int, ...], declared: tuple[Any, ...]) -> bool:
    pairs = zip(shape, declared, strict=False)
    return len(shape) == len(declared) and all(size == dim or isinstance(dim, str) for size, dim in pairs)


def _fits_any_memory(graph: Graph, binding: Binding) -> bool:
    return binding.largest <= _ALWAYS_FITS and graph.memory_budget is None


def _check_memory(graph: Graph, binding: Binding) -> None:
    budget = memory_budget(graph)
    if binding.largest > budget and binding.largest_node is not None:
        node = binding.largest_node
        raise MemoryBudgetError(
            f'"{node.name}" ({node.op.name} {node.spec}, made at {node.origin}) would take {binding.largest:,} bytes; '
            f"the budget is {budget:,.0f}. Nothing was computed; graph.memory_budget sets another budget"
        )


def memory_budget(graph: Graph) -> float:
    """Return how many bytes a value may take: as the graph says, else a share of what is free."""
    return graph.memory_budget if graph.memory_budget is not None else _free_memory() * _SHARE_OF_FREE


def _free_memory() -> float:
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return float(line.split()[1]) * 1024
    except OSError:
        pass
    return math.inf


def evaluate(
    prepared: Prepared, places: Sequence[int] | None = None, values: list[Any] | None = None
) -> Generator[Step, None, None]:
    """Evaluate node by node: one step an iteration, nothing ahead of it. Values go when nothing reads them again.

    NumPy's floating-point warnings are to be off around each iteration; `run` and `steps` see to it.

    Parameters
    ----------
    prepared : Prepared
    places : sequence of int, optional
        Evaluate only these places of the schedule, in rising order.
    values : list, optional
        By place, with what the operands at `places` need; each value is put there, and then none is let go.

    Yields
    ------
    Step

    Raises
    ------
    GraphnnError
        Where an operation fails; its ``stopped`` says where.
    """
    program, binding, given = prepared.program, prepared.binding, prepared.given
    order, dying = program.order, program.dying
    constants = program.graph._constants
    ndarray = np.ndarray
    if values is None:
        values = [None] * len(order)
    else:
        dying = [()] * len(order)
    make = tuple.__new__
    rows: Iterable[tuple[int, Node, Forward | None, tuple[int, ...], tuple[int, ...]]] = zip(
        range(len(order)), order, binding.forwards, program.operands, dying, strict=True
    )
    if places is not None:
        rows = ((i, order[i], binding.forwards[i], program.operands[i], dying[i]) for i in places)
    for i, node, forward, sources, dead in rows:
        operands = tuple([values[source] for source in sources])
        if forward is None:
            value = given[node] if node in given else constants[node]
        else:
            try:
                value = forward(*operands)
            except Warning:
                raise
            except Exception as error:
                raise failure(node, operands, error, Stop(prepared, i)) from error
            if type(value) is not ndarray:
                value = np.asarray(value)
        values[i] = value
        yield make(Step, (i, node, operands, value))
        for source in dead:
            values[source] = None


def failure(node: Node, operands: Sequence[Array], error: Exception, stop: Stop) -> GraphnnError:
    """Return the error of an operation, told with its node, operands and origin."""
    if not isinstance(error, GraphnnError) and not node.op.names:
        # What could have been refused when the line was written is told in the same words.
        error = _refusal(node.op, [Spec(value.shape, value.dtype) for value in operands]) or error
    lines = [
        f'  operand {position}: "{operand.name}" {shown(value.shape)} {value.dtype}'
        for position, (operand, value) in enumerate(zip(node.inputs, operands, strict=True))
    ]
    return restated(
        error,
        f'while evaluating "{node.name}" ({node.op.name} {node.spec}), made at {node.origin}: ',
        *lines,
        node=node,
        op=node.op.name,
        operands=node.inputs,
        shapes=tuple(value.shape for value in operands),
        origin=node.origin,
        stopped=stop._replace(prepared=stop.prepared.of_its_own()),
    )


GUARDS = (None, "nan", "finite")
LOOK = ": error.debug() looks at it (except gn.GraphnnError as error)"
"""What is said of an error where it is raised, and not where it is looked at."""


Observer = Callable[[Prepared, Generator[Step, None, None]], Generator[Step, None, None]]
"""Hands on the steps of an evaluation, and sees them; also what is thrown into it, which a guard refuses."""


def collect(
    prepared: Prepared,
    guard: str | None = None,
    updates: Mapping[Node, Node] | None = None,
    observers: Iterable[Observer] = (),
) -> list[Array]:
    """Evaluate, and return the values of the fetches.

    Parameters
    ----------
    prepared : Prepared
    guard : {None, "nan", "finite"}
    updates : dict of Node to Node, optional
        Those that are to be made afterwards, for the error that tells that they were not.
    observers : iterable of callable, optional

    Returns
    -------
    list of array
        Not yet the caller's own: see `handed_out`.

    Raises
    ------
    ValueRangeError
        When a value holds what the guard looks for.
    GraphnnError
        When an operation fails.
    """
    wanted = set(prepared.program.fetches)
    values: dict[int, Array] = {}
    evaluation = evaluate(prepared)
    for observer in observers:
        evaluation = observer(prepared, evaluation)

    def consume() -> None:
        for step in evaluation:
            if guard is not None and (refused := refused_by(guard, step, prepared)) is not None:
                with suppress(StopIteration):
                    evaluation.throw(refused)
                raise refused  # those who watch see it, and cannot let it pass
            if step.index in wanted:
                values[step.index] = step.value
            del step  # or what it holds would live for one more node

    try:
        quietly(consume)
    except GraphnnError as error:
        tell_of_step(error, updates or {}, guard)
        raise
    return [values[place] for place in prepared.program.fetches]


def retell(error: Exception, prepared: Prepared, updates: Mapping[Node, Node] | None = None) -> NoReturn:
    """Raise what a plan has raised as the interpreter tells it: with its node, operands and origin.

    Raises
    ------
    GraphnnError
    """
    collect(prepared, None, updates)
    if isinstance(error, (GraphnnError, Warning)):
        raise error
    name = prepared.program.graph.name
    raise restated(
        error,
        f'the plan of "{name}" fails, and node by node it does not: {type(error).__name__}: ',
        advice='; gn.compile(…, backend="interpreter") does without a plan',
    ) from error


def tell_of_step(error: GraphnnError, updates: Mapping[Node, Node], guard: str | None) -> None:
    """Have an error of a run know the updates that would have been made, and the guard of the step."""
    if isinstance(error.stopped, Stop):
        error.stopped = error.stopped._replace(updates=updates, guarded_by=guard)


def looked_for(guard: str, value: Array) -> Array:
    """Return which elements of a value hold what a guard looks for."""
    if value.dtype.kind != "f":
        return np.zeros(value.shape, bool)
    return np.isnan(value) if guard == "nan" else ~np.isfinite(value)


def refused_by(guard: str, step: Step, prepared: Prepared) -> GraphnnError | None:
    """Return the error that a guard has for a step, if it has one."""
    node, value = step.node, step.value
    bad = looked_for("nan" if isinstance(node.op, Constant) else guard, value)  # an infinite constant is meant
    if not bad.any():
        return None
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    at = f" at {index}" if index else ""
    what = "NaN" if np.isnan(value[index]) else str(value[index])
    fact = f'"{node.name}" ({node.op.name}, made at {node.origin}) is {what}{at}'
    return ValueRangeError(
        f"{fact}; no update was made, so the state is the one that led here",
        fact=fact,
        advice=LOOK,
        calls=((LOOK, ""),),
        node=node,
        op=node.op.name,
        given=value[index],
        origin=node.origin,
        stopped=Stop(prepared.of_its_own(), step.index, guard=guard),
    )


def checked_guard(guard: str | None) -> str | None:
    """Return a guard that there is.

    Raises
    ------
    ValueRangeError
    """
    if not isinstance(guard, (str, type(None))) or guard not in GUARDS:
        raise ValueRangeError(f'unknown guard {guard!r} (must be "nan", "finite", or None)')
    return guard


def run(
    fetches: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
    guard: str | None = None,
) -> Any:
    """Evaluate what is asked, and return its values.

    Parameters
    ----------
    fetches : Node, str, or list, tuple or dict of them
    feed : mapping of Node or str to array_like
        A value for each placeholder that is needed; cast to its dtype where NumPy calls it the same kind.
    sizes : mapping of str to int, optional
        Of dimensions that no feed tells.
    graph : Graph, optional
        Where names are looked up, if neither fetches nor feed hold a node.
    guard : {None, "nan", "finite"}
        "nan": a NaN anywhere raises; "finite": an infinity, too.

    Returns
    -------
    array, or list, tuple or dict of arrays
        In the form of `fetches`; the caller's own.

    Raises
    ------
    LookupFailure
        When a feed is missing or unknown, or nothing gives a dimension a size.
    ShapeError, DtypeError
        When a feed is not as declared, or sizes that must be equal are not; nothing is computed then.
    ValueRangeError
        When a value holds what the guard looks for; ``error.debug()`` opens the debugger there.
    GraphnnError
        When an operation fails: of the same builtin class, with the node, its operands and its origin;
        ``error.debug()`` opens the debugger before it.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("n",))
    >>> run({"twice": x + x}, {x: [1.0, 2.0]})
    {'twice': array([2., 4.])}
    """
    graph, nodes, rebuild = resolve(fetches, graph, feed if isinstance(feed, Mapping) else ())
    prepared = prepare(graph, nodes, feed, sizes)
    return rebuild(handed_out(collect(prepared, checked_guard(guard))))


def handed_out(values: Sequence[Array]) -> list[Array]:
    """Return arrays that are the caller's own: a view, a read-only array or a second of the same is copied."""
    seen: set[int] = set()
    result = []
    for value in values:
        if value.base is not None or not value.flags.writeable or id(value) in seen:
            value = value.copy()
        seen.add(id(value))
        result.append(value)
    return result


def steps(
    fetches: Any,
    feed: Feed | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    graph: Graph | None = None,
) -> Iterator[Step]:
    """Evaluate what is asked one node at a time.

    Parameters
    ----------
    fetches, feed, sizes, graph
        As in `run`; checked at once, before the first step.

    Yields
    ------
    Step
        With ``index``, ``node``, ``operands`` and ``value``; the arrays are read-only.

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x")
    >>> for step in steps(-x * 2.0, {x: 3.0}):
    ...     print(step.index, step.node.name, step.value)
    0 x 3.0
    1 negative -3.0
    2 constant 2.0
    3 multiply -6.0
    """
    graph, nodes, _ = resolve(fetches, graph, feed if isinstance(feed, Mapping) else ())
    prepared = prepare(graph, nodes, feed, sizes)
    return quiet_steps(evaluate(prepared.of_its_own()))


def quiet_steps(evaluation: Iterator[Step]) -> Iterator[Step]:
    """Yield the steps of an evaluation with NumPy's warnings off meanwhile, their values read-only."""
    while True:
        # Anew for each step: what a generator sets would hold in its consumer's code too.
        step = quietly(next, evaluation, None)
        if step is None:
            return
        step.value.flags.writeable = False
        yield step
        del step  # or what it holds would live for one more node
