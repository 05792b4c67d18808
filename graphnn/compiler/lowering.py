"""A schedule as instructions: constants folded, each operation by its rule, and what nobody reads left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np

from .._util.numpy_warnings import quietly
from ..core.op import over_dimensions
from ..core.symbolic_shapes import size_of
from ..ops.elementwise import DivideBySize
from ..ops.linalg import Transpose
from . import intermediate_representation as do
from . import rewrites  # noqa: F401 - registers them
from .intermediate_representation import Result
from .ir_builder import Builder
from .ir_values import Value, in_c_order, squeezed
from .lowering_rules import Rule, rule_of
from .symbolic_sizes import Unrecorded, any_size, unchecked

if TYPE_CHECKING:
    from ..core import Array, Node, Op
    from ..core.symbolic_shapes import Shape
    from ..runtime.evaluation_loop import Prepared
    from .sparse_updates import RowsAlone
    from .thresholds import Settings

_ALIKE = (np.add, np.subtract, np.multiply, np.divide, np.negative)
"""Functions that give of a number the same as of an array of it."""


class Lowering:
    """Turns the nodes of a schedule into values, in order.

    Attributes
    ----------
    values : list of Value
        In an order in which they can be computed.
    fetches : list of Value
    given : list of Value
        The placeholders, then the parameters that are read.
    of : dict of Node to Value
        The value of each node.
    foreign : bool
        Whether the plan calls a user's operation, or something that may warn.
    over : dict of Value to Value
        {value that is written over a given one: the given one}.

    Parameters
    ----------
    prepared : Prepared
    settings : Settings
    patches : mapping of Node to (RowsAlone, sequence of Node)
        The updates of few rows of a table, as `Tables` finds them.
    lent : collection of Node
        Placeholders whose arrays may be written over.
    """

    def __init__(
        self,
        prepared: Prepared,
        settings: Settings,
        patches: Mapping[Node, tuple[RowsAlone, Sequence[Node]]] = MappingProxyType({}),
        lent: Collection[Node] = (),
    ) -> None:
        program = prepared.program
        self.given: list[Value] = []
        self.foreign = False
        self.of: dict[Node, Value] = {}
        self._prepared = prepared
        self.recording = any_size(prepared.sizes.values())
        self._build = Builder(settings, program)
        self._shapes: dict[Shape, tuple[int, ...]] = {}
        """{shape as it is declared: in numbers}"""
        self._memory: dict[Node, Node] = {}
        """{node whose value is a view in a run: the node whose memory it shows}"""
        for node in program.placeholders:
            self._make_given(node)
        for node in program.order:
            if node.op.is_parameter:
                self._make_given(node)
        for position, node in enumerate(program.order):
            if node not in self.of:
                self._build.node = node
                self.of[node] = (
                    self._patched(node, *patches[node]) if node in patches else self._lowered(position, node)
                )
        self.fetches = [self.of[program.order[position]] for position in program.fetches]
        self.values = _alive(self._build.values, self.fetches)
        for index, value in enumerate(self.values):
            value.index = index
        self.over = _written_over(self.values, self.fetches, lent) if lent else {}

    def _shape_of(self, node: Node) -> tuple[int, ...]:
        declared = node.spec.shape
        shape = self._shapes.get(declared)
        if shape is None:
            shape = self._shapes[declared] = self._prepared.shape_of(node)
        return shape

    def _make_given(self, node: Node) -> None:
        value = Value(do.Given(), node, self._shape_of(node), node.dtype)
        self.given.append(value)
        self.of[node] = value

    def _patched(self, node: Node, rows: RowsAlone, operands: Sequence[Node]) -> Value:
        """Return the next value of a table of which few rows change."""
        result, how = Result(self._shape_of(node), node.dtype), do.Patch(rows, "rows_alone")
        return self._build.call(how, *[self.of[operand] for operand in operands], result=result)

    def _lowered(self, position: int, node: Node) -> Value:
        build = self._build
        if node.op.is_constant:
            return build.constant(node.graph._stored(node))
        operands = self._apart(node, [self.of[operand] for operand in node.inputs])
        result = Result(self._shape_of(node), node.dtype)
        rule = rule_of(type(node.op))
        if rule.folds and all(map(_is_constant if self.recording else _has_array, operands)):
            folded = self._fold(position, operands, result)
            if folded is not None:
                return folded
        op = node.op
        if op.sized:
            op = _bound(op, self._prepared.sizes) if self.recording else op.bound(self._prepared.sizes)
        # float16 warns of overflow, and an operation that is not ours is checked: both by what the interpreter calls.
        if op.foreign:
            return self._as_it_runs(position, op, operands, in_c_order(*result))
        value = rule.write(op, build, result, operands)
        if value.root in [operand.root for operand in operands]:
            if not op.casts:
                self._memory[node] = self._memory.get(node.inputs[0], node.inputs[0])
        elif not _comes_in_order(op, rule, operands, value):
            lying = rule.turned(op, build, result, operands) if rule.turned and node.dtype != np.float16 else None
            value = self._as_it_runs(position, op, operands, None) if lying is None else lying
        elif node.dtype == np.float16:
            value = self._as_it_runs(position, op, operands, value.strides)
        assert (value.shape, value.dtype) == result, (node, value.shape, result)
        return value

    def _apart(self, node: Node, operands: list[Value]) -> list[Value]:
        """Return the operands of a node; of a product, two equal ones that a run computes twice are two here, too.

        x.T @ x is computed otherwise than x.T @ y: half of it.
        """
        if not node.op.contracts or len(operands) != 2 or operands[0].root is not operands[1].root:
            return operands
        one, other = (self._memory.get(operand, operand) for operand in node.inputs)
        whole = [i for i, value in enumerate(operands) if value.whole and value.strides is not None]
        if one is not other and whole:
            x = operands[whole[0]]
            operands[whole[0]] = self._build.call(do.Copy(), x, result=Result(x.shape, x.dtype))
        return operands

    def _as_it_runs(self, position: int, op: Op, operands: Sequence[Value], strides: tuple[int, ...] | None) -> Value:
        """Return what the interpreter's own call makes."""
        self.foreign = True
        node = self._build.node
        forward = self._prepared.binding.forwards[position]
        assert forward is not None
        result = Result(self._shape_of(node), node.dtype)
        return self._build.fresh(do.Own(forward, op.name), *operands, result=result, strides=strides)

    def _made_later(self, forward: do.Function, operands: Sequence[Value], result: Result) -> Value:
        """Return the constant that a node of constants is, where sizes are recorded.

        Raises
        ------
        Unrecorded
            When it is not known to be the same.
        """
        build, op, sizes = self._build, self._build.node.op, self._prepared.sizes
        if op.foreign or result.dtype == np.float16:
            raise Unrecorded("a constant that is checked as it is made")
        alike = type(op).__dict__.get("forward") in _ALIKE or isinstance(op, DivideBySize)
        alike = alike or (op.casts and result.dtype.kind == "f")
        small = [value.repeats or value for value in operands]
        filled = bool(result.shape) and alike and not any(value.shape for value in small)
        operands = small if filled else operands
        how = do.Made(function=_folded, arguments=(forward, *operands))
        if op.dimension_names:
            how = do.Made(function=_folded_for, arguments=(op, tuple(sizes), *sizes.values(), *operands))
        made = build.add(Value(how, build.node, () if filled else result.shape, result.dtype))
        return build.full(made, result.shape) if filled else made

    def _fold(self, position: int, operands: Sequence[Value], result: Result) -> Value | None:
        """Return the constant that a node of constants is, laid out as it would be in a run."""
        build, forward = self._build, self._prepared.binding.forwards[position]
        if forward is None or math.prod(result.shape) > build.settings.folded:
            return None
        if self.recording and (build.node.op.dimension_names or any(value.array is None for value in operands)):
            return None if _is_better_shown(build.node.op, operands) else self._made_later(forward, operands, result)
        try:
            array: Array = np.asarray(quietly(forward, *[value.array for value in operands]))
        except Exception:  # noqa: BLE001 - told when it runs
            return None
        number = all((value.repeats or value).size == 1 for value in operands)
        if array.size > 1 and (not any(array.strides) or (build.node.op.elementwise and operands and number)):
            small = build.constant(array[(0,) * array.ndim])
            return build.broadcast(small, result.shape) if not any(array.strides) else build.throughout(small, array)
        return build.constant(array)


def _bound(op: Op, sizes: Mapping[str, int]) -> Op:
    """Return an operation with sizes for the names of its dimensions, unchecked: sizes that record are not ints."""
    return unchecked(op, **{a: over_dimensions(getattr(op, a), lambda dim: size_of(dim, sizes)) for a in op.sized})


def _has_array(value: Value) -> bool:
    return value.array is not None


def _is_constant(value: Value) -> bool:
    """Tell whether a value is a constant where sizes are recorded: its array may be made later."""
    while isinstance(value.how, do.Broadcast):
        (value,) = value.operands
    return value.kind == "constant"


def _is_better_shown(op: Op, operands: Sequence[Value]) -> bool:
    """Tell whether a view of a constant stays one: made as a constant, it would not lie in C order."""
    if op.reshapes:
        return operands[0].repeats is not None and operands[0].lies_small and operands[0].repeats.size == 1
    return isinstance(op, Transpose)


def _folded(forward: do.Function, *operands: Array) -> Array:
    return np.asarray(quietly(forward, *operands))


def _folded_for(op: Op, names: tuple[str, ...], *given: object) -> Array:
    """Return the value of an operation for sizes, which come first, and operands."""
    sizes = dict(zip(names, cast("Sequence[int]", given), strict=False))
    return np.asarray(quietly(_bound(op, sizes).forward, *given[len(names) :]))


def _comes_in_order(op: Op, rule: Rule, operands: Sequence[Value], value: Value) -> bool:
    """Tell whether the interpreter's array is in C order, as a plan's are, or seen to by the rule itself.

    What NumPy computes of a transposed or repeated array is often laid out as that is.
    """
    seen_to = rule.in_order(op, operands) if callable(rule.in_order) else rule.in_order
    if seen_to or value.strides is None or len(squeezed(value.shape)) < 2 or 0 in value.shape:
        return True
    if False not in [operand.ordered for operand in operands] or value.root.kind == "constant":
        return True
    if not op.elementwise or None in [operand.strides for operand in operands]:
        return False
    tiny = quietly(op.forward, *[operand.stand_in(2) for operand in operands])
    return bool(np.asarray(tiny).flags.c_contiguous)


def _alive(values: Sequence[Value], fetches: Sequence[Value]) -> list[Value]:
    """Return the values that the fetches are made of."""
    alive = set(fetches)
    for value in reversed(values):
        if value in alive:
            alive.update(value.operands)
    return [value for value in values if value in alive]


def _written_over(values: Sequence[Value], fetches: Sequence[Value], lent: Collection[Node]) -> dict[Value, Value]:
    """Return which fetches are written over what is given: nobody else reads that."""
    readers = Counter(x.root for value in values for x in value.operands) + Counter(x.root for x in fetches)
    found: dict[Value, Value] = {}
    for value in values:
        if isinstance(value.how, do.Written) and value in fetches:
            given = value.operands[0]
            if given.kind == "given" and given.node in lent and readers[given] == 1 and given.dtype == value.dtype:
                found[value] = given
    return found
