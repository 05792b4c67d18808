"""A schedule as NumPy calls: constants folded, equal values merged, what is exact simplified."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..graph import Array, Constant, Node, Op, Parameter

if TYPE_CHECKING:
    from ..ops.rows import Blocks
    from .interpreter import Prepared

_FOLDED = 2**16
"""Elements up to which a value of constants alone is computed when the plan is made."""
_FEW, _SPREAD = 256, 2**16
"""Elements between which a number is repeated to a whole array, where that is faster."""
_ARITHMETIC = {f"{name}({{0}}, {{1}}, {{out}})" for name in ("add", "subtract", "multiply", "divide")}
_REPEATED, _NARROW, _NARROW_REPEATED = 2048, 8, 2**15
"""Elements up to which arithmetic is faster on two whole arrays, the smaller one repeated beforehand; where rows are
narrower than that, it is so of more of them."""
_OURS = __package__.partition(".")[0] + "."
_NO_WORD, _LONGEST_NAME = re.compile(r"[^A-Za-z0-9_]+"), 60
_WORD = re.compile(r"(?<![\w.}])([a-z_][a-z_0-9]*)(?=[.(])")


class Value:
    """One array of a plan: how it is made, and of which node it is.

    Attributes
    ----------
    kind : str
        ``"given"``, by feed or state; ``"constant"``; ``"view"`` of its operand; ``"each"``, elementwise, which may
        be written over an operand; ``"call"``, which writes to ``{out}``; ``"fresh"``, which makes an array itself.
    code : str
        NumPy, with ``{0}`` for the first operand and ``{out}`` for where the result goes; of a constant its name, if it
        has one of its own, "=" if it is broadcast, and "in full" if it is one number throughout.
    operands : tuple of Value
    shape, dtype
    node : Node
        The first node whose value it is, or for which it is made.
    array : array or None
        Of a constant.
    repeats : Value or None
        The smaller value that is broadcast to this one.
    blocks : Blocks or None
        Of a product that is made block by block: by which.
    strides : tuple of int or None
        As they are both here and in the interpreter: sums depend on it to the last bit. None where only a run tells.
    """

    __slots__ = ("array", "blocks", "code", "dtype", "index", "kind", "node", "operands", "repeats", "shape", "strides")

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
        strides: tuple[int, ...] | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.kind = kind
        self.node = node
        self.shape = shape
        self.dtype = dtype
        self.code = code
        self.operands = operands
        self.array = array
        self.repeats = repeats
        self.blocks = blocks
        self.index = -1
        self.strides = strides
        if array is not None:
            self.strides = array.strides
        elif kind in ("given", "each", "call"):
            self.strides = _in_c_order(shape, self.dtype)

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
        return value.repeats is None and (value.array is None or value.array.flags.c_contiguous)

    @property
    def ordered(self) -> bool:
        """Whether what NumPy makes of it is in C order: its axes step ever less far, and none stands still."""
        if self.strides is None:
            return False
        steps = [abs(step) for step, n in zip(self.strides, self.shape, strict=True) if n > 1]
        return 0 not in steps and steps == sorted(steps, reverse=True)

    @property
    def contiguous(self) -> bool:
        """Whether it is known to lie in C order or in Fortran's, without gaps."""
        orders = _in_c_order(self.shape, self.dtype), _in_c_order(self.shape[::-1], self.dtype)[::-1]
        return self.strides in orders

    def stand_in(self, most: int | None = None) -> Array:
        """Return an array laid out as it is; its elements may be looked at only if no axis has more than `most`, 2."""
        assert self.strides is not None
        if most is None:
            return as_strided(np.empty((), self.dtype), self.shape, self.strides)
        steps = [0] * len(self.shape)
        step, without_gap = 1, self.dtype.itemsize
        for stride, axis in sorted((abs(stride), axis) for axis, stride in enumerate(self.strides) if stride):
            n = self.shape[axis]
            step *= 1 if n == 1 or stride == without_gap else 2  # some functions ask whether an array has gaps
            steps[axis] = step if self.strides[axis] > 0 else -step
            if n > 1:
                without_gap = stride * n
                step *= min(n, most)
        ones = np.ones(1 + 2 * sum(map(abs, steps)), self.dtype)[sum(map(abs, steps)) :]
        shape = [min(n, most) for n in self.shape]
        return as_strided(ones, shape, [step * self.dtype.itemsize for step in steps])

    def is_number(self, number: float) -> bool:
        """Whether it is this number throughout, of positive sign."""
        small = self.repeats or self
        if small.kind != "constant" or small.size != 1 or small.array is None:
            return False
        return bool(small.array == number) and not bool(np.signbit(small.array))

    @property
    def lies_small(self) -> bool:
        """Whether what it repeats is all that lies in memory: it is broadcast, and not an array of one number."""
        return self.repeats is not None and (self.kind == "view" or self.code == "=")

    @property
    def root(self) -> Value:
        """The value whose memory it is a view of."""
        value = self
        while value.kind == "view":
            value = value.operands[0]
        return value


def _in_c_order(shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, ...]:
    steps = [dtype.itemsize]
    for n in reversed(shape[1:]):
        steps.append(steps[-1] * n)
    return tuple(reversed(steps[: len(shape)]))


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
    foreign : bool
        Whether the code calls what is not ours, or what may warn.
    """

    def __init__(self, prepared: Prepared) -> None:
        program = prepared.program
        self.values: list[Value] = []
        self.given: list[Value] = []
        self.arguments: dict[str, Any] = {}
        self.numpy: set[str] = set()
        self.folded = self.merged = 0
        self.foreign = False
        self.of: dict[Node, Value] = {}
        """The value of each node."""
        self._prepared = prepared
        self._known: dict[Any, Value] = {}
        self._memory: dict[Node, Node] = {}
        """Of each node whose value is a view in a run: the node whose memory it is."""
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
        operands = self._apart(node, [self.of[operand] for operand in node.inputs])
        shape = self._prepared.shape_of(node)
        if all(value.kind == "constant" for value in operands) and (folded := self._fold(place, operands, shape)):
            self.folded += 1
            return folded
        op = node.op.bound(self._prepared.sizes) if node.op.sized else node.op
        # float16 warns of overflow, and an operation that is not ours is checked: both by what the interpreter calls.
        if not type(op).__module__.startswith(_OURS):
            return self._as_it_runs(place, op, operands, _in_c_order(shape, node.dtype))
        before = len(self.values)
        value: Value = op.plan(self, Spot(shape, node.dtype), *operands)
        self.merged += len(self.values) == before
        if any(value.root is operand.root for operand in operands):
            if op.name != "cast":
                self._memory[node] = self._memory.get(node.inputs[0], node.inputs[0])
        elif not self._comes_in_order(op, operands, value):
            value = self._as_it_runs(place, op, operands, None)
        elif node.dtype == np.float16:
            value = self._as_it_runs(place, op, operands, value.strides)
        assert value.shape == shape and value.dtype == node.dtype, (node, value.shape, shape)  # noqa: PT018
        return value

    def _apart(self, node: Node, operands: list[Value]) -> list[Value]:
        """Return the operands of a node; of a product, two equal ones that a run computes twice are two here, too.

        x.T @ x is computed otherwise than x.T @ y: half of it.
        """
        if node.op.name != "matmul" or operands[0].root is not operands[1].root:
            return operands
        one, other = (self._memory.get(operand, operand) for operand in node.inputs)
        whole = [i for i, value in enumerate(operands) if value.whole and value.strides is not None]
        if one is not other and whole:
            x = operands[whole[0]]
            operands[whole[0]] = self.call("copyto({out}, {0})", x, shape=x.shape, dtype=x.dtype)
        return operands

    def _as_it_runs(self, place: int, op: Op, operands: Sequence[Value], strides: tuple[int, ...] | None) -> Value:
        """Return what the interpreter's own call makes."""
        node = self._node
        self.foreign = True
        name = self.function(self._prepared.binding.forwards[place], op.name)
        slots = ", ".join(f"{{{i}}}" for i in range(len(operands)))
        shape = self._prepared.shape_of(node)
        return self.fresh(f"asarray({name}({slots}))", *operands, shape=shape, dtype=node.dtype, strides=strides)

    def _comes_in_order(self, op: Op, operands: Sequence[Value], value: Value) -> bool:
        """Tell whether the interpreter's array is in C order, as a plan's are, or seen to by the operation itself.

        What NumPy computes of a transposed or repeated array is often laid out as that is.
        """
        if op.in_order or value.strides is None or sum(n > 1 for n in value.shape) < 2 or 0 in value.shape:
            return True
        if all(operand.ordered for operand in operands) or value.root.kind == "constant":
            return True
        if not op.elementwise or any(operand.strides is None for operand in operands):
            return False
        with np.errstate(all="ignore"):
            tiny = op.forward(*[operand.stand_in(2) for operand in operands])
        return bool(np.asarray(tiny).flags.c_contiguous)

    def _fold(self, place: int, operands: Sequence[Value], shape: tuple[int, ...]) -> Value | None:
        """Return the constant that a node of constants is, laid out as it would be in a run."""
        node, forward = self._node, self._prepared.binding.forwards[place]
        if forward is None or not node.op.folds or math.prod(shape) > _FOLDED:
            return None
        try:
            with np.errstate(all="ignore"):
                result = np.asarray(forward(*[value.array for value in operands]))
        except Exception:  # noqa: BLE001 - told when it runs
            return None
        number = all((value.repeats or value).size == 1 for value in operands)
        if result.size > 1 and (not any(result.strides) or (node.op.elementwise and operands and number)):
            small = self.constant(result[(0,) * result.ndim])
            if not any(result.strides):
                return self.broadcast(small, shape)
            return self._add(Value("constant", node, shape, node.dtype, "in full", (small,), result, small))
        return self.constant(result)

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
        self.numpy |= {"add" for value in self.values if value.blocks and value.blocks.along}
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

    def constant(self, array: Any, name: str = "", of: Any = None) -> Value:
        """Return a constant; two of the same bits are one, if they are short, or if both are the `name` of the same."""
        array = np.asarray(array)
        bits = (name, of) if name else array.tobytes() if array.nbytes <= 4096 else id(array)
        key = (array.shape, array.dtype, array.strides, bits)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Value("constant", self._node, array.shape, array.dtype, name, array=array)
            self.values.append(known)
        return known

    def number(self, value: Any, dtype: Any) -> Value:
        """Return a constant without axes."""
        with np.errstate(all="ignore"):  # a bound of 1e300 is inf beside a float32
            return self.constant(np.asarray(value, dtype))

    def spread(self, number: Value, shape: tuple[int, ...]) -> Value:
        """Return a number so repeated that NumPy's maximum and minimum are fast: those with a single number are not."""
        size = math.prod(shape)
        if _FEW < size <= _SPREAD:
            return self.constant(np.full(shape, number.array))
        if size > _SPREAD and shape[-1] >= _FEW:
            return self.constant(np.full(shape[-1:], number.array))
        return number

    def filled(self, number: float, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Value:
        """Return an array of one number."""
        small = self.number(number, dtype)
        if not shape:
            return small
        if math.prod(shape) <= _FOLDED:
            array = np.full(shape, small.array)
            return self._add(Value("constant", self._node, shape, dtype, "in full", (small,), array, small))
        return self._add(Value("each", self._node, shape, dtype, "{out}.fill({0})", (small,), repeats=small))

    def broadcast(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a value repeated to a shape."""
        if value.lies_small:
            value = value.repeats or value
        if value.shape == shape:
            return value
        if value.kind == "constant":
            array = np.broadcast_to(value.array, shape)  # type: ignore[arg-type]
            return self._add(Value("constant", self._node, shape, value.dtype, "=", (value,), array, value))
        code = f"broadcast_to({{0}}, {shape})"
        strides = None if value.strides is None else np.broadcast_to(value.stand_in(), shape).strides
        return self._add(Value("view", self._node, shape, value.dtype, code, (value,), repeats=value, strides=strides))

    def view(
        self, code: str, value: Value, shape: tuple[int, ...], seen: Callable[[Array], Array] | None = None
    ) -> Value:
        """Return a view of a value, by an expression of NumPy; `seen` does the same, unless it is a plain reshape."""
        if shape == value.shape and code.startswith("{0}.reshape("):
            return value
        small = value.repeats or value
        if small.size == 1 and value.lies_small:
            return self.broadcast(self._bare(small), shape)
        strides = None
        if value.strides is not None:
            strides = _in_c_order(shape, value.dtype) if seen is None else seen(value.stand_in()).strides
        return self._add(Value("view", self._node, shape, value.dtype, code, (value,), strides=strides))

    def _bare(self, value: Value) -> Value:
        """Return a value of one element without axes."""
        if not value.shape:
            return value
        if value.kind == "constant":
            return self.constant(value.array.reshape(()))  # type: ignore[union-attr]
        return self._add(Value("view", self._node, (), value.dtype, "{0}.reshape(())", (value,), strides=()))

    def each(self, code: str, *operands: Value, dtype: Any, shape: tuple[int, ...], as_they_lie: bool = False) -> Value:
        """Return what is computed of each element by itself; a broadcast operand goes in small, if that is enough.

        Unless they go in `as_they_lie`: what NumPy makes of a power depends on it, to the last bit.
        """
        if as_they_lie:
            return self._add(Value("each", self._node, shape, np.dtype(dtype), code, operands))
        smaller = [value.repeats or value for value in operands]
        for i, value in enumerate(operands):
            others = [smaller[j].shape for j in range(len(operands)) if j != i]
            if smaller[i] is not value and np.broadcast_shapes(smaller[i].shape, *others) != shape:
                smaller[i] = value
        narrow = len(shape) > 1 and shape[-1] < _NARROW
        few = math.prod(shape) <= (_NARROW_REPEATED if narrow else _REPEATED)
        if code in _ARITHMETIC and few and any(value.shape == shape for value in smaller):
            smaller = [self._repeated(value, shape) if value.dtype == dtype else value for value in smaller]
        return self._add(Value("each", self._node, shape, np.dtype(dtype), code, tuple(smaller)))

    def _repeated(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Return a value as an array of the whole shape, unless it is a number: cheaper than NumPy repeating it.

        What is computed of each element is the same.
        """
        if value.shape == shape:
            return value
        if value.size == 1:
            return self._bare(value)
        if math.prod(shape) > _FEW and shape[-1] < _NARROW and value.whole:
            places = np.arange(value.size).reshape(value.shape)
            taken = self.constant(np.ascontiguousarray(np.broadcast_to(places, shape)), "places", value.shape)
            return self.call("{0}.take({1}, None, {out}, 'clip')", value, taken, shape=shape, dtype=value.dtype)
        return self._add(Value("each", self._node, shape, value.dtype, "{out}[...] = {0}", (value,)))

    def call(
        self, code: str, *operands: Value, shape: tuple[int, ...], dtype: Any, blocks: Blocks | None = None
    ) -> Value:
        """Return what a call writes to ``{out}``, which is none of its operands; of a product it may be by blocks."""
        return self._add(Value("call", self._node, shape, np.dtype(dtype), code, operands, blocks=blocks))

    def fresh(
        self,
        code: str,
        *operands: Value,
        shape: tuple[int, ...],
        dtype: Any,
        strides: tuple[int, ...] | None = None,
    ) -> Value:
        """Return what a call makes itself, or what it returns of its operands."""
        return self._add(Value("fresh", self._node, shape, np.dtype(dtype), code, operands, strides=strides))

    def function(self, function: Any, name: str) -> str:
        """Return the name by which the code may call a function."""
        for known, other in self.arguments.items():
            if other == function:
                return known
        base = _NO_WORD.sub("_", name).strip("_")[:_LONGEST_NAME] or "own"
        base = f"_{base}" if base[0].isdigit() else base
        unique, number = f"{base}_forward", 2
        while unique in self.arguments:
            unique, number = f"{base}_forward_{number}", number + 1
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
