"""`Node`: one use of an operation, with its operators and attributes in Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .._util.display import Shown
from .._util.source_location import users_names
from .._util.text import visible, with_article
from ..errors import DtypeError, GraphError, GraphnnError, UsageError, ValueRangeError
from .arrays import as_array, own_array, sealed, warn_of_overflow
from .op import Array, MissingMethods, Op, Parameter, Spec, fn, operation
from .storage_dtypes import computed_in, is_float, is_imported
from .symbolic_shapes import Dimension, as_dimensions, shown

if TYPE_CHECKING:
    from .._util.source_location import Origin
    from .graph import Graph


@cache
def _default_op(name: str) -> Op:
    """Return the operation of that name without attributes, or with their defaults."""
    return operation(name)()


def _operator(name: str, swapped: bool = False) -> Callable[..., Node]:
    def method(self: Node, *other: Any) -> Node:
        return self.graph._add(_default_op(name), (*other, self) if swapped else (self, *other))

    method.__doc__ = f"Make a `{name}` node."
    return method


def _in_place(symbol: str) -> Callable[[Node, Any], Any]:
    def method(self: Node, other: Any) -> Any:
        if not self.op.is_parameter:
            return NotImplemented  # then `h += b` is `h = h + b`
        (name,) = users_names([self], [self.name if self.name.isidentifier() else "w"])
        raise UsageError(
            f'{name} {symbol}= … would make {name} another node, and leave the parameter "{self.name}" as it is. To '
            f"train it, write step = gn.compile(loss, updates={{{name}: {name} {symbol} …}}), or an optimizer's, "
            f"gn.compile(loss, nn.SGD(0.1).updates(loss)). {name}.value = {name}.value {symbol} array sets it now; "
            f"{name} = {name} {symbol} … makes another node"
        )

    method.__doc__ = "Refuse to change a parameter; of any other node, make another one."
    return method


def _logical(name: str, symbol: str, swapped: bool = False) -> Callable[[Node, Any], Node]:
    make = _operator(name, swapped)

    def method(self: Node, other: Any) -> Node:
        for value in (self, other):
            _check_bool(value, symbol, name)
        return make(self, other)

    method.__doc__ = make.__doc__
    return method


def _check_bool(value: Any, symbol: str, name: str) -> None:
    # For integers, NumPy's operator works bit by bit, and would silently give something else.
    dtype = value.dtype if hasattr(value, "dtype") else as_array(value, f"an operand of {symbol}").dtype
    if dtype != np.dtype(bool):
        what = f'"{value.name}"' if isinstance(value, Node) else "an operand"
        raise DtypeError(f"{symbol} is for bools, and {what} is {dtype}: gn.{name} takes numbers, and 0 for False")


# The ufunc that NumPy calls for an operator of an array: the node's method that stands for it where the node is on the
# left, and the one where it is on the right.
_OPERATORS = {
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "floor_divide": ("__floordiv__", "__rfloordiv__"),
    "remainder": ("__mod__", "__rmod__"),
    "power": ("__pow__", "__rpow__"),
    "matmul": ("__matmul__", "__rmatmul__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
    "equal": ("__eq__", "__eq__"),
    "not_equal": ("__ne__", "__ne__"),
    "bitwise_and": ("__and__", "__rand__"),
    "bitwise_or": ("__or__", "__ror__"),
}


_OF_NUMPY = {
    "add.accumulate": "cumsum",
    "add.reduce": "sum",
    "amax": "max",
    "amin": "min",
    "dot": "matmul",
    "logical_and.reduce": "all",
    "logical_or.reduce": "any",
    "maximum.reduce": "max",
    "minimum.reduce": "min",
    "multiply.reduce": "prod",
    "ravel": "reshape",
}
"""What NumPy's own functions are called here, for the error of one that is called on a node."""


def _not_an_array(name: str, node: Node, module: str = "numpy") -> UsageError:
    """Return the error of a NumPy function that was called on a node."""
    called = f"np{module.removeprefix('numpy')}.{name}"
    problem = f'{called} computes with arrays, and "{node.name}" is a node'
    here = _OF_NUMPY.get(name, name)
    if here in dir(fn):
        return UsageError(f"{problem}: write gn.{here} instead, which makes a node")
    return UsageError(f"{problem}: use gn's functions on it (gn.exp, gn.sum, …), or gn.run(node, feed) for its value")


class Node(MissingMethods, Shown):
    """One use of an operation: its inputs, and the shape and dtype of its value.

    Nodes are made by calling operations, never by hand. They compare by identity, so they serve in lists,
    sets and dicts; elementwise comparison is ``gn.equal``.

    Attributes
    ----------
    graph : Graph
    name : str
        Unique in the graph.
    op : Op
        The kind of computation with its attributes.
    inputs : tuple of Node
        The operands, in order.
    shape : tuple of int or str
    dtype : numpy.dtype
    scope : str
        The path of its scope, "" at the top of the graph.
    origin : Origin
        The user's line that made it.
    index : int
        Its position in the order in which the graph's nodes were made; not its position in a schedule.
    twin : Node or None
        The node that a transformation made this one for. For a node of a gradient, the forward node whose rule made
        it, or whose cotangent it adds up.
    """

    __slots__ = ("graph", "index", "inputs", "name", "op", "origin", "scope", "spec", "twin")

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name != "value":
                raise _error_of_change(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            raise _error_of_change(self, name)

    graph: Graph
    name: str
    op: Op
    inputs: tuple[Node, ...]
    spec: Spec
    scope: str
    origin: Origin
    index: int
    twin: Node | None

    @property
    def title(self) -> str:
        """The name under which it is shown: the one that `gn.name` gave it, or else its own."""
        return titles_of(self.graph).get(self, self.name)

    @property
    def shape(self) -> tuple[int | Dimension, ...]:
        """The shape: ints, and names for sizes that the feed decides. Names take +, -, * and //."""
        return as_dimensions(self.spec.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.spec.shape)

    @property
    def users(self) -> tuple[Node, ...]:
        """The nodes that read this one, in the order in which they were made."""
        return self.graph._users(self)

    @property
    def phase(self) -> str:
        """``"forward"``, ``"backward"`` or ``"update"``: the part of a training step it belongs to."""
        scope = self.graph.scopes.get(self.scope)
        return scope.phase if scope else "forward"

    @property
    def trainable(self) -> bool:
        """Whether it is a parameter that optimizers change."""
        return isinstance(self.op, Parameter) and self.op.trainable

    @property
    def has_value(self) -> bool:
        """Whether its value is known without a run: true for parameters and constants."""
        return self.op.is_stored

    @property
    def value(self) -> Array:
        """The value of a parameter or a constant, as a read-only copy; assigning sets a parameter's.

        Raises
        ------
        UsageError
            When the node is neither (its value is known only in a run), or a constant is assigned to.
        ShapeError, DtypeError
            When what is assigned has another shape or dtype.
        """
        if not self.has_value:
            raise UsageError(
                f'"{self.name}" is {with_article(self.op.name)}: its value is known only in a run; '
                "gn.run(node, feed) gives it"
            )
        copy: Array = self.graph._stored(self).copy()
        copy.flags.writeable = False
        return copy

    @value.setter
    def value(self, value: Any) -> None:
        if not self.op.is_parameter:
            raise UsageError(f'only a parameter\'s value can be set; "{self.name}" is {with_article(self.op.name)}')
        self.graph.state[self] = value

    @property
    def T(self) -> Node:  # noqa: N802 - NumPy's name
        """The value with its axes reversed."""
        return fn.transpose(self)

    def __repr__(self) -> str:
        names = [name if len(name) <= 80 else f"{name[:77]}..." for name in dict.fromkeys([self.name, self.title])]
        called = ", called ".join([visible(json.dumps(name, ensure_ascii=False)) for name in names])
        return f"<Node {called}: {self.op.name} {self.spec}>"

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            raise UsageError(
                f'nodes compare by identity, and "{self.name}" was compared with {type(other).__name__}: '
                "write gn.equal(a, b) to compare values elementwise"
            )
        return self is other

    def __bool__(self) -> NoReturn:
        raise UsageError(
            f'"{self.name}" has no truth value before it is run: use gn.where(condition, a, b) inside the graph, '
            "gn.run(node, feed) for its value, or `node is not None` to ask whether there is one"
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise UsageError(
            f'"{self.name}" is a node, not an array: use gn\'s functions on it (gn.exp, gn.sum, …), '
            "or gn.run(node, feed) for its value"
        )

    def __len__(self) -> int:
        if not self.shape or not isinstance(self.shape[0], int):
            raise UsageError(f'"{self.name}" has shape {shown(self.shape)}: its length is not known before a run')
        return self.shape[0]

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise UsageError("a node cannot be copied by itself: gn.extract([node]) copies the graph it needs")

    def __reduce__(self) -> NoReturn:
        raise UsageError("nodes and graphs are not pickled: gn.save writes a graph to a file that holds no code")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Node:
        # The operators of an array beside a node come here, too: they make a node. Any other ufunc is an error.
        operator = _OPERATORS.get(ufunc.__name__)
        if operator is not None and method == "__call__" and not settings:
            x, y = inputs
            made: Node = getattr(x, operator[0])(y) if isinstance(x, Node) else getattr(y, operator[1])(x)
            return made
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise _not_an_array(name, self)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim):
            return self.shape if function is np.shape else self.ndim
        raise _not_an_array(function.__name__, self, function.__module__)

    def __float__(self) -> NoReturn:
        raise UsageError(f'"{self.name}" is not a number before it is run: gn.run(node, feed) gives its value')

    __int__ = __complex__ = __float__

    def __format__(self, form: str) -> str:
        if form:
            raise UsageError(
                f'"{self.name}" is not a number before it is run, and cannot be written as "{form}": '
                "gn.run(node, feed) gives its value"
            )
        return str(self)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise UsageError(
            f'"{self.name}" is a node, and nodes never change: gn.where(condition, a, b) makes one that is another in '
            "parts; node.value = array sets a parameter's value"
        )

    __pandas_priority__ = 5_000  # above a DataFrame's: `column - node` is a node, as `array - node` is
    __iter__ = None
    __reversed__ = None
    __contains__ = None

    __add__, __radd__ = _operator("add"), _operator("add", swapped=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", swapped=True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", swapped=True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", swapped=True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", swapped=True)
    __mod__, __rmod__ = _operator("remainder"), _operator("remainder", swapped=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", swapped=True)
    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")
    __and__, __rand__ = _logical("logical_and", "&"), _logical("logical_and", "&", swapped=True)
    __or__, __ror__ = _logical("logical_or", "|"), _logical("logical_or", "|", swapped=True)
    __neg__, __abs__ = _operator("negative"), _operator("absolute")
    __rpow__ = _operator("power", swapped=True)

    __iadd__, __isub__, __imul__, __imatmul__ = _in_place("+"), _in_place("-"), _in_place("*"), _in_place("@")
    __itruediv__, __ifloordiv__, __imod__, __ipow__ = _in_place("/"), _in_place("//"), _in_place("%"), _in_place("**")
    __iand__, __ior__ = _in_place("&"), _in_place("|")

    def __invert__(self) -> Node:
        _check_bool(self, "~", "logical_not")
        return self.graph._add(_default_op("logical_not"), (self,))

    def __pow__(self, exponent: Any) -> Node:
        # As NumPy's own operator: a literal 2 is a square; 0.5 and -1 of a float are a root and a reciprocal.
        shorter = {2: "square", 0.5: "sqrt", -1: "reciprocal"} if is_float(self.dtype) else {2: "square"}
        literal = type(exponent) is int or (type(exponent) is float and is_float(self.dtype))
        if literal and exponent in shorter:
            return self.graph._add(_default_op(shorter[exponent]), (self,))
        return self.graph._add(_default_op("power"), (self, exponent))

    def __getitem__(self, index: Any) -> Node:
        return fn.getitem(self, index)

    def __round__(self, decimals: int = 0) -> Node:
        return fn.round(self, decimals)


class Unmade(Node):
    """A node being made, whose fields can still be set. Once all are set, its class becomes `Node`, for good."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


put_twin = vars(Node)["twin"].__set__
"""Sets the twin of a node that was read from elsewhere, without the check that a node never changes.

A twin may be read after its node.
"""


def _error_of_change(node: Node, name: str) -> GraphnnError:
    how = {
        "name": 'gn.name(node, "…") gives it another name besides, and name="…" where it is made gives it its own',
        "inputs": "gn.replace(fetches, {old: new}) makes a graph with other operands",
        "op": "gn.replace(fetches, {old: new}) makes a graph with another operation",
    }.get(name, "what changes in a graph is the value of a parameter: parameter.value = …")
    return UsageError(f'"{node.name}" is a node, and a node never changes: its {name} cannot be set. {how}')


def titles_of(graph: Graph) -> dict[Node, str]:
    """Return the second names that `gn.name` gave, ``{node: name}``."""
    titles: dict[Node, str] = graph.caches.get("titles", {})
    if len(titles) != len(graph.names):
        titles = graph.caches["titles"] = {node: name for name, node in list(graph.names.items())}
    return titles


def as_nodes(graph: Graph, op: Op, values: Sequence[Any]) -> list[Node]:
    """Return the operands of an operation as nodes of the graph. Numbers and arrays become constants."""
    known = [value.dtype for value in values if isinstance(value, Node)]
    if op.computes and is_imported():
        known = list(map(computed_in, known))
    nodes = []
    for value in values:
        if isinstance(value, Node):
            if value.graph is not graph:
                raise GraphError(
                    f'{op.name} was given nodes of two graphs: "{value.name}" is in "{value.graph.name}" '
                    f'(made at {value.origin}), others in another, "{graph.name}"; gn.extract and gn.replace copy nodes'
                )
            nodes.append(value)
        elif op.weak and known and type(value) in (bool, int, float):
            try:
                number = op.number(value, known)
                if is_float(number.dtype) and np.isinf(number):
                    warn_of_overflow(np.asarray(float(value)), number, f"an operand of {op.name}")
                nodes.append(graph._holding(sealed(number)))
            except OverflowError:
                raise ValueRangeError(
                    f"{op.name}: the number {value} does not fit into {known[-1]}; cast the other operand first"
                ) from None
        else:
            nodes.append(graph._holding(own_array(value, f"an operand of {op.name}", graph.dtype)))
    return nodes
