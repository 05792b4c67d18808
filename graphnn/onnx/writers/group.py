"""The nodes of ONNX that together compute one node of a graph, and the registry of the functions that write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .draft import INT64, Draft, Value

if TYPE_CHECKING:
    from ...core import Array, Dim, Node, Op

BOOL = np.dtype(bool)
F4, F8 = np.dtype(np.float32), np.dtype(np.float64)

_BOOLS = frozenset(
    "Equal Less LessOrEqual Greater GreaterOrEqual IsNaN IsInf And Or Xor Not".split()  # noqa: SIM905 - reads better
)
_DTYPE = {**dict.fromkeys(_BOOLS, BOOL), **dict.fromkeys(("ArgMax", "ArgMin", "Shape"), INT64)}
"""The dtype of a result, where it is not that of the first operand."""

_FLOATS = "f2 f4 f8"
_LACKING: dict[str, tuple[str, tuple[int, ...]]] = {
    "ArgMax": (f"i1 i4 i8 u1 {_FLOATS}", (0,)),
    "ArgMin": (f"i1 i4 i8 u1 {_FLOATS}", (0,)),
    "CumSum": (f"i4 i8 {_FLOATS}", (0,)),
    "Einsum": (f"i4 i8 {_FLOATS}", ()),
    "MatMul": (f"i4 i8 u4 u8 {_FLOATS}", ()),
    "Max": (f"i1 i4 i8 u1 u4 u8 {_FLOATS}", ()),
    "Min": (f"i1 i4 i8 u1 u4 u8 {_FLOATS}", ()),
    "Neg": (f"i1 i2 i4 i8 {_FLOATS}", (0,)),
    "Pad": (f"b i1 i4 i8 u1 u4 u8 {_FLOATS}", (0, 2)),
    "Range": ("i2 i4 i8 f4 f8", ()),
    "ReduceMax": (f"i1 i4 i8 u1 {_FLOATS}", (0,)),
    "ReduceMin": (f"i1 i4 i8 u1 {_FLOATS}", (0,)),
    "ReduceProd": (f"i4 i8 {_FLOATS}", (0,)),
    "ReduceSum": (f"i4 i8 {_FLOATS}", (0,)),
    "TopK": (f"i4 i8 {_FLOATS}", (0,)),
    "Trilu": (f"b i4 i8 {_FLOATS}", (0,)),
    "Where": (f"i1 i4 i8 u1 u4 {_FLOATS}", (1, 2)),
}
"""Which dtypes ONNX Runtime's kernels take, where they do not take all, and which operands have them: () for all."""

_CARRIERS = {"b": "u1 i4", "i1": "i4", "i2": "i4", "u1": "i4", "u2": "i4", "u4": "i8", "u8": "i8", "f2": "f4"}
"""What else holds the numbers of a dtype; of u8, only its bits, which is enough to move, add or multiply them."""


class Unwritable(Exception):
    """An operation, or this use of it, cannot be written; the message says why."""


class Group:
    """The nodes of ONNX that compute one node.

    Attributes
    ----------
    node : Node
    operands : tuple of Value
    draft : Draft
    written : list of NodeProto
    """

    def __init__(self, draft: Draft, node: Node, tensors: Mapping[Node, str]) -> None:
        self.draft, self.node, self.name, self._tensors = draft, node, tensors[node], tensors
        self.operands = tuple(map(self.value_of, node.inputs))
        self.written: list[Any] = []

    def value_of(self, node: Node) -> Value:
        """Return the tensor of a node that is written already."""
        return Value(self._tensors[node], node.dtype)

    # --- nodes ---------------------------------------------------------------------------------------------------

    def __call__(
        self, kind: str, *operands: Value | None, dtype: Any = None, outputs: int = 1, **settings: Any
    ) -> Value:
        """Write a node of ONNX and return its last result.

        Operands of a dtype that ONNX Runtime has no kernel for are cast to one that holds their numbers, and so is the
        result back.
        """
        kinds, places = _LACKING.get(kind, ("", ()))
        data = places or tuple(range(len(operands)))
        first = operands[data[0]] if operands else None
        own = first.dtype if first is not None else dtype
        result = np.dtype(dtype or _DTYPE.get(kind) or own)
        carrier = _carrier(own, kinds) if kinds else own
        if carrier == own:
            return self._write(kind, operands, result, outputs, settings)
        cast = [self.cast(x, carrier) if i in data and x is not None else x for i, x in enumerate(operands)]
        return self.cast(self._write(kind, cast, carrier if result == own else result, outputs, settings), result)

    def _write(
        self, kind: str, operands: Sequence[Value | None], dtype: np.dtype[Any], outputs: int, settings: dict[str, Any]
    ) -> Value:
        names = [self.draft.name(f"{self.name}/{kind}") for _ in range(outputs)]
        node = self.draft.node(kind, ["" if x is None else x.name for x in operands], names, names[-1], settings)
        self.written.append(node)
        return Value(names[-1], dtype)

    def loop(
        self, count: Dim, first: Sequence[Value], step: Callable[[Value, Sequence[Value]], Sequence[Value]]
    ) -> list[Value]:
        """Write a loop: each time, `step` makes the next values of those that it is given, and of the number of it."""
        helper, name = self.draft.onnx.helper, self.draft.name
        inside = [Value(name(f"{self.name}/{part}"), x.dtype) for part, x in zip("xyz", first, strict=False)]
        number, going = Value(name(f"{self.name}/k"), INT64), Value(name(f"{self.name}/going"), BOOL)
        scalars = number, going
        outside, self.written = self.written, []
        made = [self("Identity", x) for x in (going, *step(number, inside))]
        body, self.written = self.written, outside
        infos = [
            [
                helper.make_tensor_value_info(x.name, self.draft.number(x.dtype), [] if x in scalars else None)
                for x in part
            ]
            for part in ((*scalars, *inside), made)
        ]
        graph = helper.make_graph(body, f"{self.name}/step", *infos)
        results = [Value(name(f"{self.name}/Loop"), x.dtype) for x in first]
        inputs = [self.draft.scalar(count).name, "", *[x.name for x in first]]
        names = [x.name for x in results]
        self.written.append(self.draft.node("Loop", inputs, names, names[0], {"body": graph}))
        return results

    def cast(self, x: Value, dtype: Any) -> Value:
        """Return a value as another dtype, or itself."""
        dtype = np.dtype(dtype)
        return x if x.dtype == dtype else self("Cast", x, dtype=dtype, to=self.draft.number(dtype))

    def constant(self, value: Any, dtype: Any = None) -> Value:
        """Return a fixed value."""
        return self.draft.constant(value, dtype)

    def ints(self, *numbers: int) -> Value:
        """Return int64 numbers as a tensor of one axis."""
        return self.draft.constant(list(numbers), INT64)

    # --- arithmetic ----------------------------------------------------------------------------------------------

    def like(self, x: Value, number: Any) -> Value:
        """Return a number in the dtype of a value."""
        return self.constant(np.asarray(number).astype(x.dtype))

    def add(self, x: Value, y: Value | float) -> Value:
        """Return x + y."""
        return self("Add", x, self._other(x, y))

    def subtract(self, x: Value, y: Value | float) -> Value:
        """Return x - y."""
        return self("Sub", x, self._other(x, y))

    def multiply(self, x: Value, y: Value | float) -> Value:
        """Return x * y."""
        return self("Mul", x, self._other(x, y))

    def divide(self, x: Value, y: Value | float) -> Value:
        """Return x / y; of integers, toward zero."""
        return self("Div", x, self._other(x, y))

    def where(self, condition: Value, x: Value, y: Value | float) -> Value:
        """Return x where the condition holds, else y."""
        other = self._other(x, y)
        if x.dtype == BOOL:
            chosen = self("Where", condition, self.cast(x, np.uint8), self.cast(other, np.uint8))
            return self.cast(chosen, BOOL)
        return self("Where", condition, x, other)

    def _other(self, x: Value, y: Value | float) -> Value:
        return y if isinstance(y, Value) else self.like(x, y)

    def polynomial(self, coefficients: Sequence[float], x: Value) -> Value:
        """Return a polynomial, of coefficients from the highest power down."""
        total = self.add(self.multiply(x, coefficients[0]), coefficients[1])
        for number in coefficients[2:]:
            total = self.add(self.multiply(total, x), number)
        return total

    # --- shapes --------------------------------------------------------------------------------------------------

    def dims(self, operand: int) -> tuple[Dim, ...]:
        """Return the shape of an operand."""
        return self.node.inputs[operand].spec.shape

    def reshape(self, x: Value, dims: Sequence[Dim]) -> Value:
        """Return the same elements in another shape."""
        named = [i for i, dim in enumerate(dims) if not isinstance(dim, int)]
        if len(named) == 1 and 0 not in dims:
            shape = self.ints(*[dim if isinstance(dim, int) else -1 for dim in dims])
        else:
            shape = self.draft.shape(dims)
        return self("Reshape", x, shape, **({"allowzero": 1} if 0 in dims or len(named) > 1 else {}))

    def flat(self, x: Value) -> Value:
        """Return the same elements along one axis."""
        return self("Reshape", x, self.ints(-1))

    def expand(self, x: Value, dims: Sequence[Dim]) -> Value:
        """Return a value that is broadcast."""
        return self("Expand", x, self.draft.shape(dims))

    def unsqueeze(self, x: Value, *axes: int) -> Value:
        """Return a value with new axes of size 1."""
        return self("Unsqueeze", x, self.ints(*axes)) if axes else x

    def squeeze(self, x: Value, *axes: int) -> Value:
        """Return a value without some axes of size 1."""
        return self("Squeeze", x, self.ints(*axes)) if axes else x

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """Return a value with its axes in another order."""
        return x if list(order) == sorted(order) else self("Transpose", x, perm=list(order))

    def zeros(self, dims: Sequence[Dim], dtype: Any) -> Value:
        """Return zeros."""
        return self.filled(dims, np.zeros(1, dtype))

    def filled(self, dims: Sequence[Dim], value: Array) -> Value:
        """Return an array of one number, which is given as an array of one axis."""
        tensor = self.draft.tensor("", value)
        return self("ConstantOfShape", self.draft.shape(dims), dtype=value.dtype, value=tensor)

    def range(self, dim: Dim, start: int = 0, step: int = 1) -> Value:
        """Return so many int64 numbers."""
        if isinstance(dim, int) and dim <= _FEW:
            return self.constant(np.arange(dim) * step + start, INT64)
        places = self("Range", self.constant(0, INT64), self.draft.scalar(dim), self.constant(1, INT64))
        places = places if step == 1 else self.multiply(places, step)
        return places if start == 0 else self.add(places, start)

    def slice(self, x: Value, parts: Sequence[tuple[int, Any, Any, int]]) -> Value:
        """Return slices along axes: each is (axis, start, stop, step), whose bounds may be dimensions or None."""
        if not parts:
            return x
        most = 2**63 - 1
        starts = [(0 if step > 0 else most) if start is None else start for _, start, _, step in parts]
        stops = [(most if step > 0 else -most) if stop is None else stop for _, _, stop, step in parts]
        bounds = [self.draft.shape(bounds) for bounds in (starts, stops)]
        return self("Slice", x, *bounds, self.ints(*[p[0] for p in parts]), self.ints(*[p[3] for p in parts]))

    def reduce(self, kind: str, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        """Return a reduction over axes."""
        if not axes:
            return x
        keep = {"keepdims": int(keepdims)}
        if self.draft.opset < 18 and kind != "ReduceSum":
            return self(kind, x, axes=list(axes), **keep)
        return self(kind, x, self.ints(*axes), **keep)


_FEW = 64
"""Up to so many numbers are written as they are."""


def _carrier(dtype: np.dtype[Any], kinds: str) -> np.dtype[Any]:
    """Return the dtype of a kernel that takes the numbers of a dtype."""
    own = dtype.str[1:].replace("b1", "b")
    if own in kinds.split():
        return dtype
    for other in [*_CARRIERS[own].split(), "i4", "i8", "f4"]:
        if other in kinds.split():
            return np.dtype(other)
    raise AssertionError(f"no kernel for {dtype}")


Writer = Callable[..., Value]
_W = TypeVar("_W", bound=Writer)
WRITERS: dict[type[Op], Writer] = {}
"""How each operation is written: a function of the group, the operation and its operands."""


def writes(*classes: type[Op]) -> Callable[[_W], _W]:
    """Register the decorated function as what writes these operations."""

    def register(writer: _W) -> _W:
        WRITERS.update(dict.fromkeys(classes, writer))
        return writer

    return register


def group_of(draft: Draft, tensors: Mapping[Any, str], node: Any) -> list[Any]:
    """Return the ONNX nodes of a node, the last of which has its value."""
    if type(node.op) not in WRITERS:
        raise Unwritable("it is not graphnn's own")
    name, group = tensors[node], Group(draft, node, tensors)
    value = WRITERS[type(node.op)](group, node.op, *group.operands)
    value = group.cast(value, node.dtype)
    if not group.written or group.written[-1].output[-1] != value.name:
        group("Identity", value)
    last = group.written[-1]
    last.output[-1] = name
    if len(group.written) == 1:
        last.name = name
    return group.written
