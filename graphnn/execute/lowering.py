"""A schedule as NumPy calls: constants folded, equal values merged, what is exact simplified."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import Array, Constant, Node, Parameter

if TYPE_CHECKING:
    from .interpreter import Prepared

_FOLDED = 2**16
"""Elements up to which a value of constants alone is computed when the plan is made."""
_FEW, _SPREAD = 256, 2**16
"""Elements between which a number is repeated to a whole array, where that is faster."""
_WORD = re.compile(r"(?<![\w.}])([a-z_][a-z_0-9]*)(?=[.(])")


class Value:
    """One array of a plan: how it is made, and of which node it is.

    Attributes
    ----------
    kind : str
        ``"given"``, by feed or state; ``"constant"``; ``"view"`` of its operand; ``"each"``, elementwise, which may
        be written over an operand; ``"call"``, which writes to ``{out}``; ``"fresh"``, which makes an array itself.
    code : str
        NumPy, with ``{0}`` for the first operand and ``{out}`` for where the result goes.
    operands : tuple of Value
    shape, dtype
    node : Node
        The first node whose value it is, or for which it is made.
    array : array or None
        Of a constant.
    repeats : Value or None
        The smaller value that is broadcast to this one.
    """

    __slots__ = ("array", "code", "dtype", "index", "kind", "node", "operands", "repeats", "shape")

    def __init__(
        self,
        kind: str,
        node: Node,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        code: str = "",
        operands: tuple[Value, ...] = (),
        array: Array | None = None,
        repeats: Value | None = None,
    ) -> None:
        self.kind = kind
        self.node = node
        self.shape = shape
        self.dtype = dtype
        self.code = code
        self.operands = operands
        self.array = array
        self.repeats = repeats
        self.index = -1

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Its bytes."""
        return self.size * self.dtype.itemsize

    @property
    def whole(self) -> bool:
        """Whether it lies in C order over all of its memory, or all of what is given."""
        value = self
        while value.kind == "view":
            if not value.code.startswith("{0}.reshape("):
                return False
            value = value.operands[0]
        return value.repeats is None

    def is_number(self, number: float) -> bool:
        """Whether it is this number throughout, of positive sign."""
        small = self.repeats or self
        if small.kind != "constant" or small.size != 1 or small.array is None:
            return False
        return bool(small.array == number) and not bool(np.signbit(small.array))

    @property
    def root(self) -> Value:
        """The value whose memory it is a view of."""
        value = self
        while value.kind == "view":
            value = value.operands[0]
        return value


class Lowering:
    """Turns the nodes of a schedule into values, one after the other; operations write to it how they are computed.

    Attributes
    ----------
    values : list of Value
        In an order in which they can be made.
    fetches : list of Value
    given : list of Value
        What is fed, then the parameters that are read.
    arguments : dict of str to object
        What the code calls by name, besides NumPy: functions of operations.
    numpy : set of str
        NumPy's names in the code.
    folded, merged : int
        How many nodes were folded into constants, and how many are another's value.
    """

    def __init__(self, prepared: Prepared) -> None:
        program = prepared.program
        self.values: list[Value] = []
        self.given: list[Value] = []
        self.arguments: dict[str, Any] = {}
        self.numpy: set[str] = set()
        self.folded = self.merged = 0
        self.of: dict[Node, Value] = {}
        """The value of each node."""
        self._prepared = prepared
        self._known: dict[Any, Value] = {}
        self._node: Node = program.order[0] if program.order else None  # type: ignore[assignment]
        for node in program.placeholders:
            self._make_given(node)
        for node in program.order:
            if isinstance(node.op, Parameter):
                self._make_given(node)
        for place, node in enumerate(program.order):
            if node not in self.of:
                self._node = node
                self.of[node] = self._lowered(place, node)
        self.fetches = [self.of[program.order[place]] for place in program.fetches]
        self._drop_dead()

    def _make_given(self, node: Node) -> None:
        value = Value("given", node, self._prepared.shape_of(node), node.dtype)
        self.given.append(value)
        self.of[node] = value

    def _lowered(self, place: int, node: Node) -> Value:
        if isinstance(node.op, Constant):
            return self.constant(node.graph._stored(node))
        operands = [self.of[operand] for operand in node.inputs]
        shape = self._prepared.shape_of(node)
        if all(value.kind == "constant" for value in operands) and (folded := self._fold(place, operands, shape)):
            self.folded += 1
            return folded
        op = node.op.bound(self._prepared.sizes) if node.op.sized else node.op
        # float16 warns of overflow, and an operation that is not ours is checked: both by what the interpreter calls.
        if not type(op).__module__.startswith(__package__.partition(".")[0] + ".") or node.dtype == np.float16:
            forward = self._prepared.binding.forwards[place]
            slots = ", ".join(f"{{{i}}}" for i in range(len(operands)))
            return self.fresh(
                f"asarray({self.function(forward, op.name)}({slots}))", *operands, shape=shape, dtype=node.dtype
            )
        before = len(self.values)
        value: Value = op.plan(self, Spot(shape, node.dtype), *operands)
        self.merged += len(self.values) == before
        assert value.shape == shape and value.dtype == node.dtype, (node, value.shape, shape)  # noqa: PT018
        return value

    def _fold(self, place: int, operands: Sequence[Value], shape: tuple[int, ...]) -> Value | None:
        """Return the constant that a node of constants is; repeated values are computed once, if that is the same."""
        node, forward = self._node, self._prepared.binding.forwards[place]
        if forward is None or not node.op.folds:
            return None
        elementwise = node.op.elementwise
        arrays: list[Any] = [((value.repeats or value) if elementwise else value).array for value in operands]
        size = max((array.size for array in arrays), default=0) if elementwise else math.prod(shape)
        if size > _FOLDED:
            return None
        with np.errstate(all="ignore"):
            result = np.asarray(forward(*arrays))
        if not elementwise and result.size > 1 and not any(result.strides):
            result = result[(0,) * result.ndim]
        small = self.constant(np.array(result, node.dtype, order="C"))
        return small if small.shape == shape else self.broadcast(small, shape)

    def _drop_dead(self) -> None:
        alive: set[int] = set()
        waiting = list(self.fetches)
        while waiting:
            value = waiting.pop()
            if id(value) not in alive:
                alive.add(id(value))
                waiting.extend(value.operands)
        self.values = [value for value in self.values if id(value) in alive]
        for index, value in enumerate(self.values):
            value.index = index
        self.numpy = {word for value in self.values for word in _WORD.findall(value.code) if hasattr(np, word)}
        self.arguments = {
            name: thing for name, thing in self.arguments.items() if any(name in value.code for value in self.values)
        }

    # --- what operations write ------------------------------------------------------------------------------

    def _add(self, value: Value) -> Value:
        key = (value.code, tuple(map(id, value.operands)), value.shape, value.dtype, value.kind)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = value
            self.values.append(value)
        return known

    def constant(self, array: Any) -> Value:
        """Return a constant; two of the same bits are one."""
        array = np.asarray(array)
        key = (array.shape, array.dtype, array.tobytes() if array.nbytes <= 4096 else id(array))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Value("constant", self._node, array.shape, array.dtype, array=array)
            self.values.append(known)
        return known

    def number(self, value: Any, dtype: Any) -> Value:
        """Return a constant without axes."""
        return self.constant(np.asarray(value, dtype))

    def spread(self, number: Value, shape: tuple[int, ...]) -> Value:
        """Return a number so repeated that NumPy's maximum and minimum are fast: those with a single number are not."""
        size = math.prod(shape)
        if _FEW < size <= _SPREAD:
            return self.constant(np.full(shape, number.array))
        if size > _SPREAD and shape[-1] >= _FEW:
            return self.constant(np.full(shape[-1:], number.array))
        return number

    def broadcast(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a value repeated to a shape."""
        value = value.repeats or value
        if value.shape == shape:
            return value
        if value.kind == "constant":
            array = np.broadcast_to(value.array, shape)  # type: ignore[arg-type]
            return self._add(Value("constant", self._node, shape, value.dtype, "=", (value,), array, value))
        view = Value("view", self._node, shape, value.dtype, f"broadcast_to({{0}}, {shape})", (value,), repeats=value)
        return self._add(view)

    def view(self, code: str, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a view of a value, by an expression of NumPy."""
        if shape == value.shape and code.startswith("{0}.reshape("):
            return value
        small = value.repeats or value
        if small.size == 1 and (small.kind != "given" or value.repeats):
            return self.broadcast(self._bare(small), shape)
        return self._add(Value("view", self._node, shape, value.dtype, code, (value,)))

    def _bare(self, value: Value) -> Value:
        """Return a value of one element without axes."""
        if not value.shape:
            return value
        if value.kind == "constant":
            return self.constant(value.array.reshape(()))  # type: ignore[union-attr]
        return self._add(Value("view", self._node, (), value.dtype, "{0}.reshape(())", (value,)))

    def each(self, code: str, *operands: Value, dtype: Any, shape: tuple[int, ...]) -> Value:
        """Return what is computed of each element by itself; a broadcast operand goes in small, if that is enough."""
        smaller = [value.repeats or value for value in operands]
        for i, value in enumerate(operands):
            others = [smaller[j].shape for j in range(len(operands)) if j != i]
            if smaller[i] is not value and np.broadcast_shapes(smaller[i].shape, *others) != shape:
                smaller[i] = value
        return self._add(Value("each", self._node, shape, np.dtype(dtype), code, tuple(smaller)))

    def call(self, code: str, *operands: Value, shape: tuple[int, ...], dtype: Any) -> Value:
        """Return what a call writes to ``{out}``, which is none of its operands."""
        return self._add(Value("call", self._node, shape, np.dtype(dtype), code, operands))

    def fresh(self, code: str, *operands: Value, shape: tuple[int, ...], dtype: Any) -> Value:
        """Return what a call makes itself."""
        return self._add(Value("fresh", self._node, shape, np.dtype(dtype), code, operands))

    def function(self, function: Any, name: str) -> str:
        """Return the name by which the code may call a function."""
        for known, other in self.arguments.items():
            if other == function:
                return known
        unique, number = f"{name}_forward", 2
        while unique in self.arguments:
            unique, number = f"{name}_forward_{number}", number + 1
        self.arguments[unique] = function
        return unique


class Spot:
    """What a node is in a run: its shape and dtype."""

    __slots__ = ("dtype", "shape")

    def as_keywords(self) -> dict[str, Any]:
        """Return both, by name."""
        return {"shape": self.shape, "dtype": self.dtype}

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
