"""A model that is being written: its names, its constants, its nodes, and the sizes of its inputs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core.symbolic_shapes import dimension, tree_of, written
from ...errors import NotFoundError

if TYPE_CHECKING:
    from ...core import Array, Dim

INT64 = np.dtype(np.int64)
LEAST_OPSET, MOST_OPSET = 17, 24


class Value(NamedTuple):
    """A tensor of ONNX, by its name."""

    name: str
    dtype: np.dtype[Any]


class Draft:
    """A model that is being written.

    Parameters
    ----------
    onnx : module
        The package.
    opset : int
    """

    def __init__(self, onnx: Any, opset: int) -> None:
        self.onnx = onnx
        self.opset = opset
        self.nodes: list[Any] = []
        self.of_sizes: list[Any] = []
        """The nodes that compute sizes. They come first, because they read only inputs."""
        self.initializers: list[Any] = []
        self.constants: list[Any] = []
        """The initializers that the writers made."""
        self.sources: dict[str, tuple[str, int]] = {}
        """dimension of an input → the input, and which axis it is the size of."""
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}
        self._constants: dict[Any, Value] = {}
        self._sizes: dict[Dim, Value] = {}

    # --- names ---------------------------------------------------------------------------------------------------

    def name(self, wanted: str) -> str:
        """Return a name that no tensor and no node has, and that a file can hold."""
        base = wanted.encode("utf-8", "backslashreplace").decode("utf-8") or "_"
        found, number = base, self._next.get(base, 2)
        while found in self._taken:
            found, number = f"{base}_{number}", number + 1
        self._next[base] = number
        self._taken.add(found)
        return found

    # --- nodes ---------------------------------------------------------------------------------------------------

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], name: str, settings: Any = None) -> Any:
        """Return a node of ONNX."""
        return self.onnx.helper.make_node(kind, inputs, outputs, name, **(settings or {}))

    def number(self, dtype: np.dtype[Any]) -> int:
        """Return ONNX's number of a dtype."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(dtype))

    def tensor(self, name: str, value: Array) -> Any:
        """Return an initializer."""
        return self.onnx.numpy_helper.from_array(np.asarray(value, order="C"), name)

    def constant(self, value: Any, dtype: Any = None) -> Value:
        """Return a fixed value; equal ones are one."""
        array = np.asarray(value, dtype)
        key = array.dtype, array.shape, array.tobytes()
        known = self._constants.get(key)
        if known is None:
            known = self._constants[key] = Value(self.name(f"constants/{array.dtype}"), array.dtype)
            self.constants.append(self.tensor(known.name, array))
        return known

    # --- sizes ---------------------------------------------------------------------------------------------------

    def give_sizes(self, name: str, shape: Iterable[Dim]) -> None:
        """Note that an input tells the sizes of its dimensions."""
        for axis, dim in enumerate(shape):
            if isinstance(dim, str):
                self.sources.setdefault(dim, (name, axis))

    def size(self, dim: Dim) -> Value:
        """Return the size of a dimension, as an int64 tensor of shape (1,)."""
        if isinstance(dim, int):
            return self.constant([dim], INT64)
        known = self._sizes.get(dim)
        if known is None:
            known = self._sizes[dim] = self._measured(str(dim))
        return known

    def _measured(self, dim: str) -> Value:
        if dim in self.sources:
            name, axis = self.sources[dim]
            shape = self._computed("Shape", [name])
            return self._computed("Gather", [shape.name, self.constant([axis], INT64).name])
        if dim.isidentifier():
            raise NotFoundError(
                f'nothing gives the dimension "{dim}" a size: in an ONNX model, it is that of an axis of an input'
            )
        return self._of_tree(tree_of(dim))

    def _of_tree(self, tree: ast.AST) -> Value:
        """Return what an expression of sizes gives."""
        whole = dimension(written(tree)) if isinstance(tree, (ast.Name, ast.Call, ast.BinOp)) else 0
        if whole in self.sources or isinstance(tree, ast.Name):
            return self.size(whole)
        match tree:
            case ast.Constant(value=int(number)):
                return self.constant([number], INT64)
            case ast.UnaryOp(operand=operand):
                return self._computed("Neg", [self._of_tree(operand).name])
            case ast.Call(args=[inner, _]):
                return self._computed("Max", [self._of_tree(inner).name, self.constant([0], INT64).name])
            case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
                return self._quotient(self._of_tree(left), right)
            case ast.BinOp(left=left, op=how, right=right):
                kind = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul"}[type(how)]
                return self._computed(kind, [self._of_tree(left).name, self._of_tree(right).name])
        raise AssertionError(f"a dimension holds no {type(tree).__name__}")

    def _quotient(self, numerator: Value, right: ast.AST) -> Value:
        """Return the floor of a quotient; 0 where it is of 0, as in a run."""
        divisor = self._of_tree(right)
        if not isinstance(right, ast.Constant):
            divisor = self._computed("Max", [divisor.name, self.constant([1], INT64).name])
        rest = self._computed("Mod", [numerator.name, divisor.name])
        whole = self._computed("Sub", [numerator.name, rest.name])
        found = self._computed("Div", [whole.name, divisor.name])
        if isinstance(right, ast.Constant):
            return found
        sign = self._computed("Min", [self._of_tree(right).name, self.constant([1], INT64).name])
        return self._computed("Mul", [found.name, sign.name])

    def shape(self, dims: Sequence[Dim]) -> Value:
        """Return sizes as an int64 tensor of one axis."""
        if all(isinstance(dim, int) for dim in dims):
            return self.constant(list(dims), INT64)
        if len(dims) == 1:
            return self.size(dims[0])
        return self.joined([self.size(dim) for dim in dims])

    def joined(self, sizes: Sequence[Value]) -> Value:
        """Return sizes one after the other."""
        return self._computed("Concat", [size.name for size in sizes], axis=0)

    def scalar(self, dim: Dim) -> Value:
        """Return the size of a dimension without axes."""
        if isinstance(dim, int):
            return self.constant(dim, INT64)
        return self._computed("Squeeze", [self.size(dim).name, self.constant([0], INT64).name])

    def _computed(self, kind: str, inputs: list[str], **settings: Any) -> Value:
        key = (kind, *inputs)
        known = self._constants.get(key)
        if known is None:
            name = self.name(f"sizes/{kind}")
            known = self._constants[key] = Value(name, INT64)
            node = self.node(kind, inputs, [name], name, settings)
            self.mark(node, {"part": ""})
            self.of_sizes.append(node)
        return known

    # --- metadata ------------------------------------------------------------------------------------------------

    def mark(self, proto: Any, about: Mapping[str, Any]) -> None:
        """Add to the metadata of a part of the model; what is not text is written as JSON."""
        for key, value in about.items():
            entry = proto.metadata_props.add()
            entry.key, entry.value = f"graphnn.{key}", value if type(value) is str else json.dumps(value)
