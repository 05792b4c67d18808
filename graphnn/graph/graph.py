"""`Graph` and `Node`: the DAG and the rules it keeps."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Self

import networkx as nx
import numpy as np

from ..calls import written
from ..errors import (
    DtypeError,
    GraphError,
    GraphnnError,
    GraphnnWarning,
    LookupFailure,
    ShapeError,
    UsageError,
    ValueRangeError,
    near,
    restated,
)
from ..habits import missing
from ..origin import Origin, origin_of, user_origin
from ..show import Shown
from ..text import quoted, short_name, visible, with_article
from .dag import Dag, NodeData
from .dimensions import Dimension, Shape, opened, shape_of, shown
from .op import Array, Constant, Op, Parameter, Placeholder, Spec, Unknown, fn, misfit, operation
from .place import Place, ScopePlace, place_of
from .quiet import quietly


@cache
def _bare(name: str) -> Op:
    return operation(name)()


def _binary(name: str, swapped: bool = False) -> Callable[[Node, Any], Node]:
    def method(self: Node, other: Any) -> Node:
        return self.graph._add(_bare(name), (other, self) if swapped else (self, other))

    method.__doc__ = f"Make a `{name}` node."
    return method


def _logical(name: str, symbol: str, swapped: bool = False) -> Callable[[Node, Any], Node]:
    make = _binary(name, swapped)

    def method(self: Node, other: Any) -> Node:
        for value in (self, other):
            _check_bool(value, symbol, name)
        return make(self, other)

    method.__doc__ = make.__doc__
    return method


def _check_bool(value: Any, symbol: str, name: str) -> None:
    # NumPy's operator works on the bits of integers, which would silently be something else.
    dtype = value.dtype if hasattr(value, "dtype") else as_array(value, f"an operand of {symbol}").dtype
    if dtype != np.dtype(bool):
        what = f'"{value.name}"' if isinstance(value, Node) else "an operand"
        raise DtypeError(f"{symbol} is for bools, and {what} is {dtype}: gn.{name} takes numbers, and 0 for False")


# What NumPy calls for an array's operator, and which methods of a node do the same: it first, or second.
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
# What NumPy's functions of arrays are called here, where it is not the same.
_NUMPYS = {
    "add.accumulate": "cumsum",
    "add.reduce": "sum",
    "amax": "max",
    "amin": "min",
    "dot": "matmul",
    "invert": "logical_not",
    "logical_and.reduce": "all",
    "logical_or.reduce": "any",
    "maximum.reduce": "max",
    "minimum.reduce": "min",
    "multiply.reduce": "prod",
    "ravel": "reshape",
}


def _numpys(name: str, node: Node, module: str = "numpy") -> UsageError:
    """Return the error of a function of NumPy's that was called on a node."""
    called = f"np{module.removeprefix('numpy')}.{name}"
    told = f'{called} computes with arrays, and "{node.name}" is a node'
    here = _NUMPYS.get(name, name)
    if here in dir(fn):
        return UsageError(f"{told}: write gn.{here} instead, which makes a node")
    return UsageError(f"{told}: use gn's functions on it (gn.exp, gn.sum, …), or gn.run(node, feed) for its value")


def _unary(name: str) -> Callable[[Node], Node]:
    def method(self: Node) -> Node:
        return self.graph._add(_bare(name), (self,))

    method.__doc__ = f"Make a `{name}` node."
    return method


class Node(Shown):
    """One use of an operation: its inputs, and the spec of the value that it will have at run time.

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
        The path of the scope that it was made in, "" at the top.
    origin : Origin
        The user's line that made it.
    index : int
        Its place in the order of making.
    twin : Node or None
        The node that a transformation made this one for: of a gradient node, its forward node.
    """

    __slots__ = ("graph", "index", "inputs", "name", "op", "origin", "scope", "spec", "twin")

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name != "value":
                raise _is_fixed(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            raise _is_fixed(self, name)

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
        """What it is called wherever it is shown: the name that `gn.name` gave it, or else its own."""
        names = self.graph.names
        return self.graph._titles().get(self, self.name) if names else self.name

    @property
    def shape(self) -> tuple[int | Dimension, ...]:
        """The shape: ints, and names for what the feed decides, which add, multiply and divide by //."""
        return opened(self.spec.shape)

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
        """The nodes that read this one, in order of making."""
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
        """Whether its value is known without a run: of parameters and constants."""
        return isinstance(self.op, (Parameter, Constant))

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
        if not isinstance(self.op, Parameter):
            raise UsageError(f'only a parameter\'s value can be set; "{self.name}" is {with_article(self.op.name)}')
        self.graph.state[self] = self.graph._checked_value(self, value)

    @property
    def T(self) -> Node:  # noqa: N802 - NumPy's name
        """The value with its axes reversed."""
        return fn.transpose(self)

    def __repr__(self) -> str:
        name = self.name if len(self.name) <= 80 else self.name[:77] + "..."
        return f"<Node {visible(json.dumps(name, ensure_ascii=False))}: {self.op.name} {self.spec}>"

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            raise UsageError(
                f'nodes compare by identity, and "{self.name}" was compared with {type(other).__name__}: '
                "write gn.equal(a, b) to compare values elementwise"
            )
        return self is other

    def __ne__(self, other: object) -> bool:
        return not self.__eq__(other)

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

    def __getattr__(self, name: str) -> NoReturn:
        # Only what is not there comes here. NumPy's arrays have many functions as methods, a node has not.
        if name in dir(fn):
            settings = [p for p in inspect.signature(getattr(fn, name)).parameters.values() if p.name != "name"][1:]
            call = ", ".join(["node", *filter(None, [written(settings)])])
            raise AttributeError(f'a node has no attribute "{name}": write gn.{name}({call})', name=name, obj=self)
        raise missing("node", self, name, "a node")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise UsageError("a node cannot be copied by itself: gn.extract([node]) copies the graph it needs")

    def __reduce__(self) -> NoReturn:
        raise UsageError("nodes and graphs are not pickled: gn.save writes a graph to a file that holds no code")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Node:
        # An array's own operators come here, too, and make a node; all else is to be written otherwise.
        operator = _OPERATORS.get(ufunc.__name__)
        if operator is not None and method == "__call__" and not settings:
            x, y = inputs
            made: Node = getattr(x, operator[0])(y) if isinstance(x, Node) else getattr(y, operator[1])(x)
            return made
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        raise _numpys(name, self)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim):
            return self.shape if function is np.shape else self.ndim
        raise _numpys(function.__name__, self, function.__module__)

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

    __iter__ = None
    __reversed__ = None
    __contains__ = None

    __add__, __radd__ = _binary("add"), _binary("add", swapped=True)
    __sub__, __rsub__ = _binary("subtract"), _binary("subtract", swapped=True)
    __mul__, __rmul__ = _binary("multiply"), _binary("multiply", swapped=True)
    __truediv__, __rtruediv__ = _binary("divide"), _binary("divide", swapped=True)
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _binary("floor_divide", swapped=True)
    __mod__, __rmod__ = _binary("remainder"), _binary("remainder", swapped=True)
    __matmul__, __rmatmul__ = _binary("matmul"), _binary("matmul", swapped=True)
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __and__, __rand__ = _logical("logical_and", "&"), _logical("logical_and", "&", swapped=True)
    __or__, __ror__ = _logical("logical_or", "|"), _logical("logical_or", "|", swapped=True)
    __neg__, __abs__ = _unary("negative"), _unary("absolute")
    __rpow__ = _binary("power", swapped=True)

    def __invert__(self) -> Node:
        _check_bool(self, "~", "logical_not")
        return self.graph.add(_bare("logical_not"), (self,))

    def __pow__(self, exponent: Any) -> Node:
        # As NumPy's own operator: a literal 2 is a square; 0.5 and -1 of a float are a root and a reciprocal.
        if type(exponent) in (int, float) and self.dtype.kind == "f":
            short = {2: "square", 0.5: "sqrt", -1: "reciprocal"}.get(exponent)
            if short is not None:
                return self.graph.add(_bare(short), (self,))
        elif type(exponent) is int and exponent == 2:
            return self.graph.add(_bare("square"), (self,))
        return self.graph.add(_bare("power"), (self, exponent))

    def __getitem__(self, index: Any) -> Node:
        return fn.getitem(self, index)

    def __round__(self, decimals: int = 0) -> Node:
        return fn.round(self, decimals)


class _Unmade(Node):
    """A node whose fields can still be set."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_put_twin = vars(Node)["twin"].__set__


def _is_fixed(node: Node, name: str) -> GraphnnError:
    how = {
        "name": 'gn.name(node, "…") gives it another name besides, and name="…" where it is made gives it its own',
        "inputs": "gn.replace(fetches, {old: new}) makes a graph with other operands",
        "op": "gn.replace(fetches, {old: new}) makes a graph with another operation",
    }.get(name, "what changes in a graph is the value of a parameter: parameter.value = …")
    return UsageError(f'"{node.name}" is a node, and a node never changes: its {name} cannot be set. {how}')


@dataclass(slots=True)
class Scope:
    """A region of the graph: a layer's, a composition's, a transformation's, or the user's own.

    Attributes
    ----------
    path : str
        Its whole name, unique among nodes and scopes.
    kind : str
        What opened it: a layer's class ("Dense"), a composition ("softmax"), or "" for the user's own.
    origin : Origin
        The line that opened it; of a layer, the line that constructed the layer.
    parent : Scope or None
    phase : str
        ``"forward"``, ``"backward"`` or ``"update"``.
    result : Node or None
        The last node made in it.
    """

    path: str
    kind: str
    origin: Origin
    parent: Scope | None
    phase: str
    result: Node | None = None


class Derivatives(NamedTuple):
    """What the same cotangents, or tangents, have led to so far; kept, so that no node is made twice.

    Attributes
    ----------
    root : Scope
        In which the nodes are made.
    of : dict of Node to Node
        The cotangent, or the tangent, of each node that has been reached.
    """

    root: Scope
    of: dict[Node, Node]


Given = tuple[tuple[Node, Node | None], ...]
"""What is differentiated, each with its cotangent (None: ones); or what moves, each with its tangent."""


class _CheckedDict(dict[Any, Any]):
    """A dict whose entries pass a check on their way in."""

    def __init__(self, check: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        super().__init__()
        self._check = check

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(*self._check(key, value))

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Take over every entry, or none."""
        super().update([self._check(k, v) for k, v in dict(other, **more).items()])

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Return the entry, made of `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self


class _KeptDict(_CheckedDict):
    """A dict whose entries pass a check on their way in, and stay."""

    def __init__(self, check: Callable[[Any, Any], tuple[Any, Any]], why: str) -> None:
        super().__init__(check)
        self._why = why

    def _refused(self, *args: Any) -> NoReturn:
        raise UsageError(self._why)

    __delitem__ = pop = popitem = clear = _refused


class Graph(Shown):
    """A network as a DAG: every operation a node, kept as a live `networkx.MultiDiGraph`.

    Parameters
    ----------
    name : str
        For pictures, files and messages.
    dtype : dtype, default float64
        Of placeholders, of initializers, and of constants made of lists of floats.

    Attributes
    ----------
    outputs : dict of str to Node
        Names for what matters.
    names : dict of str to Node
        The names that `gn.name` gave nodes besides their own; they stay.
    updates : dict of Node to Node
        The next value of parameters, as an optimizer left them.
    state : dict of Node to array
        The values of the parameters.
    advances : dict of Node to Node
        The next value of what moves on with every compiled step that reads it: the counters of random nodes.
    evaluating : dict of Node to Node
        Of what a layer made for training alone, the node that takes its place in evaluation: of dropout, its input.
        What is random and has no entry here is not evaluated by `nn.fit`; one that is its own entry stays random.
    idle : dict of str to Node
        The layers that do nothing in evaluation and were called for it, by path: what they handed on.
    cotangents, tangents : dict
        What has been differentiated, backwards and forwards: by what was given, the derivatives of all nodes reached.
    placeholders : list of Node
    scopes : dict of str to Scope
    memory_budget : float or None
        Bytes that one value may take, and those that a debugger keeps; None: 80 % of the memory that is free.

    Examples
    --------
    >>> g = Graph("line")
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> y = x @ g.parameter("w", [[2.0], [3.0]]) + 1.0
    >>> y.shape, y.name, list(g.dag.predecessors("add"))
    (('batch', 1), 'add', ['matmul', 'constant'])
    """

    instead_of_fetch: ClassVar[str] = "its results are g.outputs, or a list of its nodes"

    def __init__(self, name: str = "graph", dtype: Any = np.float64) -> None:
        self.name = _checked_name(name)
        self.dtype: np.dtype[Any] = _supported(dtype, "the graph's dtype")
        if self.dtype.kind != "f":
            raise DtypeError(f"a graph's dtype is a float, not {self.dtype}: integers say so one by one")
        self.scopes: dict[str, Scope] = {}
        self.state: dict[Node, Array] = _KeptDict(self._checked_state, "each parameter has a value, and keeps one")
        self.outputs: dict[str, Node] = _CheckedDict(self._checked_output)
        self.names: dict[str, Node] = _KeptDict(self._checked_given, "a name that a node has been given stays")
        self.updates: dict[Node, Node] = _CheckedDict(self._checked_update)
        self._memory_budget: float | None = None
        self.advances: dict[Node, Node] = _CheckedDict(self._checked_update)
        self.evaluating: dict[Node, Node] = _CheckedDict(self._checked_evaluating)
        self.idle: dict[str, Node] = {}
        self.placeholders: list[Node] = []
        self.cotangents: dict[Given, Derivatives] = {}
        self.tangents: dict[Given, Derivatives] = {}
        self._constants: dict[Node, Array] = {}
        self._counters: dict[str, int] = {}
        self.building = RLock()
        """Held while a node is made; who holds it makes several, and no other thread's come between them."""
        # The node that there is, but that may not have been entered everywhere.
        self._begun: tuple[Node, Array | None, Scope | None] | None = None
        self.caches: dict[str, Any] = {}
        """What higher floors derived from this graph and may forget; nodes are never changed, so it stays true."""
        self._dag = Dag(self)

    # --- looking ---------------------------------------------------------------------------------------------

    @property
    def memory_budget(self) -> float | None:
        """The largest value in bytes that a run may make, or None for 80 % of what is free.

        Raises
        ------
        UsageError
            When what is assigned is not a number of bytes.
        ValueRangeError
            When it is below 0.
        """
        return self._memory_budget

    @memory_budget.setter
    def memory_budget(self, budget: Any) -> None:
        if isinstance(budget, np.generic):
            budget = budget.item()
        if budget is not None and type(budget) not in (int, float):
            raise UsageError(
                f"memory_budget is a number of bytes, such as 2e9, or None for 80 % of what is free, not {budget!r}"
            )
        if budget is not None and not budget >= 0:
            raise ValueRangeError(f"memory_budget is 0 bytes or more, not {budget}")
        self._memory_budget = budget

    @property
    def dag(self) -> nx.MultiDiGraph[str]:
        """The live graph, read-only, keyed by node name; an edge's key is the operand's position."""
        return self._whole

    @property
    def _whole(self) -> Dag:
        if self._begun is not None:
            self._finish()
        return self._dag

    @property
    def parameters(self) -> tuple[Node, ...]:
        """All trainable parameters, in order of making."""
        return tuple(node for node in self.state if node.trainable)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise missing("graph", self, name, "a graph")

    def __len__(self) -> int:
        return len(self._dag._node)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Node]:
        # Of the nodes there are now: the loop may make more, and so may another thread.
        return iter([data.node for data in list(self._whole._node.values())])

    def _ipython_key_completions_(self) -> list[str]:
        return [*self.dag, *self.scopes, *self.names, *self.outputs]

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Node):
            return item.graph is self
        return isinstance(item, str) and self._find(item) is not None

    def _find(self, name: str) -> Node | None:
        data: NodeData | None = self._dag._node.get(name)
        if data is not None:
            return data.node
        scope = self.scopes.get(name)
        if scope is not None and scope.result is not None:
            return scope.result
        return self.names[name] if name in self.names else self.outputs.get(name)

    def __getitem__(self, name: str) -> Node:
        """Return the node of that name, else that scope's result, else what was given that name, else that output."""
        if not isinstance(name, str):
            raise UsageError(f"a node is looked up by its name, not by {type(name).__name__}")
        node = self._find(name)
        if node is None:
            known = near(name, [*self._dag._node, *self.scopes, *self.names, *self.outputs])
            raise LookupFailure(f'the graph "{self.name}" has no node, scope or output "{name}".{known}')
        return node

    def _users(self, node: Node) -> tuple[Node, ...]:
        nodes = self._whole._node
        return tuple([nodes[name].node for name in list(self._dag._adj[node.name])])

    def _stored(self, node: Node) -> Array:
        return self.state[node] if isinstance(node.op, Parameter) else self._constants[node]

    def __repr__(self) -> str:
        size = sum(value.size for value in self.state.values())
        parts = [_count(len(self), "node"), f"{_count(len(self.state), 'parameter')} ({_count(size, 'number')})"]
        if self.outputs:
            parts.append("outputs " + ", ".join(short_name(name, 80) for name in self.outputs))
        return f"<Graph {quoted(self.name)}: {', '.join(parts)}>"

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise UsageError("gn.extract(fetches) copies a graph with its state; copy.deepcopy(graph.dag) only the DAG")

    __reduce__ = Node.__reduce__

    def flat(self) -> nx.MultiDiGraph[str]:
        """Return a copy whose data are strings and numbers only, for exporters that take nothing else.

        Returns
        -------
        networkx.MultiDiGraph
            Node data ``op``, ``attributes`` (as text), ``shape`` (as text), ``dtype``, ``scope``, ``origin`` and, of
            gradient nodes, ``twin``; edge data ``position``. Not for the way back, which takes ``graph.dag``.
        """
        flat: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=self.name, dtype=self.dtype.name)
        for name, data in self._dag.nodes(data=True):
            plain = {k: v for k, v in data.items() if k != "value"}
            plain["attributes"] = ", ".join(f"{k}={v!r}" for k, v in data["attributes"].items())
            plain["shape"] = shown(data["shape"])
            flat.add_node(name, **plain)
        for u, v, position in self._dag.edges(keys=True):
            flat.add_edge(u, v, position, position=position)
        return flat

    # --- making ----------------------------------------------------------------------------------------------

    def placeholder(self, name: str, shape: Any = (), dtype: Any = None) -> Node:
        """Declare a value that each run is fed.

        Parameters
        ----------
        name : str
        shape : int, str or sequence of them
            A dimension is an int, or a name that any size fits, one size a run.
        dtype : dtype, optional
            The graph's unless told otherwise.

        Returns
        -------
        Node
        """
        kind = self.dtype if dtype is None else _supported(dtype, f'placeholder "{name}"')
        return self._make(Placeholder(), (), Spec(shape_of(shape), kind), _checked_name(name))

    def parameter(self, name: str, value: Any, trainable: bool = True) -> Node:
        """Make a value that the graph keeps and that training changes.

        Parameters
        ----------
        name : str
        value : array_like
            Where it starts; copied. Lists of floats take the graph's dtype, arrays keep theirs; a list of whole numbers
            is int64.
        trainable : bool
            Whether optimizers change it, which takes a float; a parameter that is not trainable is state all the same.

        Returns
        -------
        Node
            ``node.value`` reads it, ``node.value = a`` sets it.
        """
        array = self._array(value, f'parameter "{name}"')
        op = Parameter(trainable=bool(trainable))
        return self._make(op, (), Spec(array.shape, array.dtype), _checked_name(name), array)

    def constant(self, value: Any, name: str | None = None, dtype: Any = None) -> Node:
        """Make a fixed value.

        Parameters
        ----------
        value : array_like
            Copied. Lists of floats take the graph's dtype, integers stay integers, arrays keep theirs.
        name : str, optional
        dtype : dtype, optional

        Returns
        -------
        Node
        """
        return self._fixed(value, f'constant "{name}"' if name else "a constant", name, dtype)

    def _fixed(self, value: Any, what: str, name: str | None = None, dtype: Any = None) -> Node:
        array = self._array(value, what, dtype)
        return self._make(Constant(), (), Spec(array.shape, array.dtype), name, array)

    def add(self, op: Op, inputs: Sequence[Any], name: str | None = None) -> Node:
        """Make a node that computes `op` of `inputs`.

        Parameters
        ----------
        op : Op
        inputs : sequence of Node or array_like
            What is no node becomes a constant; a Python number takes the dtype of the other operands.
        name : str, optional
            Called after the operation unless given.

        Returns
        -------
        Node

        Raises
        ------
        ShapeError, DtypeError, AxisError
            When the operands cannot go in.
        GraphError
            When one is of another graph, the name is taken, or the number of operands is wrong.
        """
        if not op.variadic and len(inputs) != len(op.operands):
            raise GraphError(
                f"{op.name} takes {_count(len(op.operands), 'operand')} ({', '.join(op.operands)}), got {len(inputs)}"
            )
        for value in inputs:
            if not isinstance(value, Node) or value.graph is not self:
                inputs = self._as_nodes(op, inputs)
                break
        nodes = tuple(inputs)
        return self._make(op, nodes, self._inferred(op, nodes), name)

    _add = add  # the same for nodes and operations, whose calls fit: what is public is wrapped to check that

    def _inferred(self, op: Op, nodes: tuple[Node, ...]) -> Spec:
        try:
            spec = op.infer(*[node.spec for node in nodes])
        except GraphnnError as error:
            raise misfit(op, nodes, error) from None
        # Most nodes are of their first operand's shape and dtype: they share its spec.
        first = nodes[0].spec if nodes else spec
        alike = spec.shape == first.shape and spec.dtype is first.dtype
        return first if alike and not spec.constraints and not first.constraints else spec

    def _as_nodes(self, op: Op, values: Sequence[Any]) -> list[Node]:
        known = [value.dtype for value in values if isinstance(value, Node)]
        nodes = []
        for value in values:
            if isinstance(value, Node):
                if value.graph is not self:
                    raise GraphError(
                        f'{op.name} was given nodes of two graphs: "{value.name}" is in "{value.graph.name}" '
                        f'(made at {value.origin}), the others in "{self.name}"; gn.extract and gn.replace copy nodes'
                    )
                nodes.append(value)
            elif op.weak and known and type(value) in (bool, int, float):
                try:
                    number = op.number(value, known)
                    _warn_of_overflow(np.asarray(float(value)), number, f"an operand of {op.name}")
                    nodes.append(self.constant(number))
                except OverflowError:
                    raise ValueRangeError(
                        f"{op.name}: the number {value} does not fit into {known[0]}; cast the other operand first"
                    ) from None
            else:
                nodes.append(self._fixed(value, f"an operand of {op.name}"))
        return nodes

    def _make(
        self,
        op: Op,
        inputs: tuple[Node, ...],
        spec: Spec,
        name: str | None,
        value: Array | None = None,
        restored: tuple[Scope | None, Origin] | None = None,
    ) -> Node:
        """Make a node where nodes are being made; or restore one, whose whole name is free, in its scope and line."""
        node = _Unmade()
        node.graph = self
        node.op = op
        node.inputs = inputs
        node.spec = spec
        if restored is None:
            place = place_of(self)
            scope = place.scope
            node.origin = place.origin or user_origin()
            node.twin = place.twin
        else:
            scope, node.origin = restored
            node.twin = None
        node.scope = scope.path if scope is not None else ""
        with self.building:
            if self._begun is not None:
                self._finish()
            if name is None:
                name = self._free(op.name, scope)
            elif restored is None:
                name = self._explicit(name, scope)
            if scope is not None and scope.result is None and restored is None:
                self._keep_open(scope)
            node.name = name
            node.index = len(self._dag._node)
            node.__class__ = Node  # type: ignore[assignment]
            begun = node, value, scope
            try:
                # Before this there is no such node; from here on there is, and whatever comes between, it is entered.
                self._begun = begun
                self._enter(node, value, scope)
                self._begun = None
            except BaseException:
                if self._begun is begun:
                    self._finish()
                raise
        return node

    def _enter(self, node: Node, value: Array | None, scope: Scope | None) -> None:
        """Enter a node into the DAG and all tables; doing it again changes nothing."""
        while scope is not None:
            scope.result = node
            scope = scope.parent
        self._dag._append(node)
        if value is not None:
            dict.__setitem__(self.state if isinstance(node.op, Parameter) else self._constants, node, value)
        elif isinstance(node.op, Placeholder) and not (self.placeholders and self.placeholders[-1] is node):
            self.placeholders.append(node)

    def _imagined(self, op: Op, inputs: tuple[Node, ...], spec: Spec, scope: str, origin: Origin) -> Node:
        """Return a node, called after its operation, that the graph does not know."""
        node = _Unmade()
        node.graph, node.index, node.twin = self, len(self), None
        node.name, node.op, node.inputs, node.spec = op.name, op, inputs, spec
        node.scope, node.origin = scope, origin
        node.__class__ = Node  # type: ignore[assignment]
        return node

    def _made_for(self, node: Node, twin: Node) -> None:
        """Tell a restored node of its twin, which need not come before it."""
        _put_twin(node, twin)

    def _finish(self) -> None:
        """Enter a node everywhere whose entering was interrupted."""
        with self.building:
            begun = self._begun
            if begun is not None:
                self._keep_open(begun[2])
                self._enter(*begun)
                self._begun = None

    # --- names and scopes ------------------------------------------------------------------------------------

    def _taken(self, name: str) -> bool:
        return name in self._dag._node or name in self.scopes or name in self.names or name in self.outputs

    def _titles(self) -> dict[Node, str]:
        titles: dict[Node, str] = self.caches.get("titles", {})
        if len(titles) != len(self.names):
            titles = self.caches["titles"] = {node: name for name, node in list(self.names.items())}
        return titles

    def free_name(self, base: str, first: int = 2) -> str:
        """Return a whole name, in the current scope, that is free.

        Parameters
        ----------
        base : str
        first : int
            2: `base` itself, then ``base_2``, …; 1: ``base_1``, ``base_2``, …

        Returns
        -------
        str
        """
        with self.building:
            return self._free(base, place_of(self).scope, first)

    def _free(self, base: str, scope: Scope | None, first: int = 2) -> str:
        path = base if scope is None else f"{scope.path}/{base}"
        if first == 2 and not self._taken(path):
            return path
        # Nodes and layers count apart: the first ReLU after two relu nodes is relu_1.
        counter = path if first == 2 else f"{path}_"
        number = self._counters.get(counter, first)
        while self._taken(f"{path}_{number}"):
            number += 1
        self._counters[counter] = number + 1
        return f"{path}_{number}"

    def _explicit(self, name: Any, scope: Scope | None) -> str:
        path = _checked_name(name) if scope is None else f"{scope.path}/{_checked_name(name)}"
        if self._taken(path):
            other = self._find(path)
            where = f" by the {other.op.name} made at {other.origin}" if other is not None else ""
            raise GraphError(f'the name "{path}" is already taken{where}')
        return path

    def scope(self, name: str, reuse: bool = False) -> ScopePlace:
        """Open a scope: nodes made inside are named under it, and drawn in one box.

        It is open for the thread, or the asyncio task, that opens it, and for the tasks that are begun inside.

        Parameters
        ----------
        name : str
            On a clash the second is called ``name_2``.
        reuse : bool
            Whether to go on in the scope of that name instead.

        Returns
        -------
        context manager
            Entered, it gives the `Scope`.

        Examples
        --------
        >>> g = Graph()
        >>> with g.scope("head") as head:
        ...     x = g.placeholder("x")
        >>> x.name, head.path
        ('head/x', 'head')
        """

        def find(around: Scope | None) -> tuple[Scope, bool]:
            own = _checked_name(name)
            if not own:
                raise ValueRangeError('a scope needs a name: "" stands for the top of the graph')
            with self.building:
                known = self.scopes.get(own if around is None else f"{around.path}/{own}") if reuse else None
                return (known, False) if known else (self._opened(self._free(own, around), around), True)

        return ScopePlace(self, find)

    def entered(
        self,
        path: str | None,
        kind: str = "",
        phase: str | None = None,
        origin: Origin | None = None,
        twin: Node | None = None,
        inherit_origin: bool = False,
    ) -> Place:
        """Make nodes in the scope `path`, opened if need be; for layers and transformations.

        Parameters
        ----------
        path : str or None
            None: the scope that is open now.
        kind, phase
            Of the scope, if it is opened here.
        origin : Origin, optional
            Of the scope, if it is opened here; with `inherit_origin`, of every node made inside too.
        twin : Node, optional
            The node that those inside are made for.

        Returns
        -------
        Place
            A context manager; entered, it gives itself.
        """

        def find(around: Scope | None) -> tuple[Scope | None, bool]:
            if path is None:
                return around, False
            with self.building:
                known = self.scopes.get(path)
                return (known, False) if known else (self._opened(path, around, kind, phase, origin), True)

        return Place(self, find, origin if inherit_origin else None, twin)

    def opened(
        self,
        base: str,
        first: int = 2,
        kind: str = "",
        phase: str | None = None,
        origin: Origin | None = None,
        twin: Node | None = None,
    ) -> Place:
        """Make nodes in a new scope, called as `free_name` would call it; for layers and transformations.

        Parameters
        ----------
        base, first
            As `free_name` takes them.
        kind, phase, origin, twin
            As `entered` takes them.

        Returns
        -------
        Place
            A context manager; entered, it gives itself, with its ``scope``.
        """

        def find(around: Scope | None) -> tuple[Scope, bool]:
            with self.building:
                return self._opened(self._free(base, around, first), around, kind, phase, origin), True

        return Place(self, find, twin=twin)

    def _opened(
        self,
        path: str,
        parent: Scope | None,
        kind: str = "",
        phase: str | None = None,
        origin: Origin | None = None,
    ) -> Scope:
        phase = phase or (parent.phase if parent else "forward")
        scope = self.scopes[path] = Scope(path, kind, origin or user_origin(), parent, phase)
        return scope

    def _keep_open(self, scope: Scope | None) -> None:
        """Enter a scope again, should another thread have abandoned it that was in it, too."""
        while scope is not None and scope.result is None:
            self.scopes.setdefault(scope.path, scope)
            scope = scope.parent

    def _abandoned(self, scope: Scope) -> None:
        """Forget a scope in which nothing was made: whoever tries again is to find its name free."""
        with self.building:
            if scope.result is None and self.scopes.get(scope.path) is scope:
                del self.scopes[scope.path]
                base = scope.path.rstrip("0123456789")
                self._counters.pop(base, None)
                self._counters.pop(base[:-1], None)

    def mirrored(self, scope: Scope | None, root: Scope | None = None) -> Scope | None:
        """Return this graph's counterpart of a scope, made with those around it if need be.

        Parameters
        ----------
        scope : Scope or None
            Of this graph or another; None is the top.
        root : Scope, optional
            Of this graph: the scope that takes the place of the top.

        Returns
        -------
        Scope or None
        """
        if scope is None:
            return root
        known = self.scopes.get(scope.path if root is None else f"{root.path}/{scope.path}")
        if known is not None:
            return known
        missing = []
        with self.building:
            while scope is not None:
                path = scope.path if root is None else f"{root.path}/{scope.path}"
                if path in self.scopes:
                    root = self.scopes[path]
                    break
                missing.append((path, scope))
                scope = scope.parent
            for path, like in reversed(missing):
                phase = like.phase if root is None or root.phase == "forward" else root.phase
                root = self._opened(path, root, like.kind, phase, like.origin)
        return root

    def derivatives_among(
        self, nodes: Container[Node], scopes: Container[str]
    ) -> Iterator[tuple[bool, Given, Derivatives]]:
        """Yield what has been differentiated, as far as it stands among these nodes and scopes.

        Yields
        ------
        backwards : bool
            Whether it is of `cotangents`; else of `tangents`.
        given : tuple of (Node, Node or None)
        derivatives : Derivatives
        """
        for backwards, known in ((True, self.cotangents), (False, self.tangents)):
            for given, (root, of) in known.items():
                if root.path in scopes and all(a in nodes and (b is None or b in nodes) for a, b in given):
                    kept = {node: other for node, other in of.items() if node in nodes and other in nodes}
                    yield backwards, given, Derivatives(root, kept)

    # --- checks ----------------------------------------------------------------------------------------------

    def _array(self, value: Any, what: str, dtype: Any = None) -> Array:
        """Return `value` as a private, read-only array of a supported dtype."""
        array = as_array(value, what)
        if dtype is not None:
            target = _supported(dtype, what)
            given, array = array, in_range(array, target, what)
            kind_kept = np.can_cast(given.dtype, target, "same_kind")
            if not kind_kept and (hasattr(value, "dtype") or not np.array_equal(given, array)):
                raise DtypeError(f"{what} is {given.dtype}; {target} would change what it says: cast it yourself first")
            _warn_of_overflow(given, array, what)
        elif not hasattr(value, "dtype") and array.dtype == np.float64:
            given, array = array, in_range(array, self.dtype, what)
            _warn_of_overflow(given, array, what)
        return sealed(np.array(array, order="C"))

    def _checked_value(self, node: Node, value: Any) -> Array:
        array = as_array(value, f'the value of "{node.name}"')
        if array.shape != node.shape:
            raise ShapeError(f'"{node.name}" has shape {shown(node.shape)}; the value given has {shown(array.shape)}')
        fits = not hasattr(value, "dtype") and np.can_cast(array.dtype, node.dtype, "same_kind")
        if array.dtype != node.dtype and not fits:
            raise DtypeError(
                f'"{node.name}" is {node.dtype}; the value given is {array.dtype}: '
                f"write value.astype({str(node.dtype)!r})"
            )
        what = f'the value of "{node.name}"'
        fitted = in_range(array, node.dtype, what)
        _warn_of_overflow(array, fitted, what)
        return sealed(fitted)

    def _checked_state(self, parameter: Any, value: Any) -> tuple[Node, Array]:
        parameter = self._own(parameter, "what has a value in the state")
        if not isinstance(parameter.op, Parameter):
            what = with_article(parameter.op.name)
            raise UsageError(f'the state holds the values of parameters; "{parameter.name}" is {what}')
        return parameter, self._checked_value(parameter, value)

    def _own(self, node: Any, what: str) -> Node:
        if isinstance(node, str):
            node = self[node]
        if not isinstance(node, Node):
            raise UsageError(f"{what} is a node, not {type(node).__name__}")
        if node.graph is not self:
            raise GraphError(f'{what}: "{node.name}" is a node of "{node.graph.name}", not of "{self.name}"')
        return node

    def _checked_output(self, name: Any, node: Any) -> tuple[str, Node]:
        node = self._own(node, f'the output "{name}"')
        other = self._dag._node.get(_checked_name(name))
        if (other is not None and other.node is not node) or name in self.scopes or self.names.get(name, node) != node:
            raise GraphError(f'the output cannot be called "{name}": a node or scope has that name')
        return name, node

    def _checked_given(self, name: Any, node: Any) -> tuple[str, Node]:
        node = self._own(node, f'what is to be called "{name}"')
        if not _checked_name(name):
            raise ValueRangeError('a name is some text: "" calls nothing')
        known: Node | None = self.names.get(name)
        if known is not None and known is node:
            return str(name), known
        if known is None and self.outputs.get(name) is not node and self._taken(name):
            known = self._find(name)
        if known is not None:
            what = f"{known.op.name} made at {known.origin}"
            raise GraphError(f'"{node.name}" cannot be called "{name}": that is the name of the {what}')
        if node.title != node.name:
            raise GraphError(f'"{node.name}" cannot be called "{name}": it is "{node.title}" already, and names stay')
        return str(name), node

    def _checked_update(self, parameter: Any, node: Any) -> tuple[Node, Node]:
        parameter = self._own(parameter, "what is updated")
        node = self._own(node, f'the update of "{parameter.name}"')
        check_update(parameter, node)
        return parameter, node

    def _checked_evaluating(self, trained: Any, node: Any) -> tuple[Node, Node]:
        trained = self._own(trained, "what is made for training")
        node = self._own(node, f'what takes the place of "{trained.name}" in evaluation')
        if node.spec != trained.spec:
            error = DtypeError if node.shape == trained.shape else ShapeError
            raise error(
                f'in evaluation "{node.name}" {node.spec} cannot take the place of "{trained.name}" {trained.spec}: '
                "it needs the same shape and dtype"
            )
        return trained, self.evaluating.get(node, node)  # where that has one, too, it is the end of the chain

    # --- the way back ----------------------------------------------------------------------------------------

    @classmethod
    def from_networkx(cls, dag: nx.DiGraph[Any]) -> Graph:
        """Build a graph from a NetworkX graph, checked node by node, with the errors of building by hand.

        Parameters
        ----------
        dag : networkx.MultiDiGraph or networkx.DiGraph
            Keyed by node name, with the data that ``graph.dag`` shows: ``op``; ``attributes``; of placeholders
            ``shape`` and ``dtype``; of parameters and constants ``value``, an array or lists. ``scope``,
            ``origin``, ``twin``, ``shape`` and ``dtype`` are kept or checked where they stand. An edge's key (of
            a `DiGraph` its ``position``) is the operand's position.

        Returns
        -------
        Graph

        Raises
        ------
        GraphError
            When there is a cycle, an operand is missing or doubled, or data are missing.
        LookupFailure
            When there is no such operation.
        ShapeError, DtypeError
            When operands do not fit, or a declared shape or dtype is not what comes out.

        Examples
        --------
        >>> g = Graph()
        >>> y = g.placeholder("x", shape=2) * 3.0
        >>> Graph.from_networkx(g.dag)["multiply"]
        <Node "multiply": multiply (2,) float64>
        """
        if not isinstance(dag, nx.Graph):
            raise UsageError(f"from_networkx takes a networkx.MultiDiGraph or DiGraph, not {type(dag).__name__}")
        if not dag.is_directed():
            raise GraphError("an undirected graph does not say which way the values go")
        whole = dag.graph
        graph = cls(str(whole.get("name", "graph")), whole.get("dtype", np.float64))
        scopes: Mapping[str, Mapping[str, Any]] = whole.get("scopes", {})
        for path, about in scopes.items():
            parent, origin = graph.scopes.get(about.get("parent", "")), origin_of(about.get("origin"))
            kind, phase = about.get("kind", ""), about.get("phase", "forward")
            graph.scopes[path] = Scope(path, kind, origin or user_origin(), parent, phase)
        twins = {}
        for name in _topological(dag):
            data = dag.nodes[name].copy()
            try:
                node = graph._restore(name, data, _operands(dag, name))
            except GraphnnError as error:
                if str(error).startswith(f'node "{name}"'):
                    raise
                raise error.within(f'node "{name}": ') from None
            if "twin" in data:
                twins[node] = data["twin"]
        # Only now, since a twin need not come first.
        nodes = graph._dag._node
        for node, twin in twins.items():
            if twin in nodes:
                graph._made_for(node, nodes[twin].node)
        for path, about in scopes.items():
            if about.get("result") in nodes:
                graph.scopes[path].result = nodes[about["result"]].node
        graph.outputs.update({k: graph[v] for k, v in whole.get("outputs", {}).items()})
        for called, name in whole.get("names", {}).items():
            graph.names[called] = graph[name]
        for entries in ("updates", "advances", "evaluating"):
            getattr(graph, entries).update({graph[k]: graph[v] for k, v in whole.get(entries, {}).items()})
        graph.idle.update({path: graph[name] for path, name in whole.get("idle", {}).items()})
        return graph

    def _restore(self, name: Any, data: Mapping[str, Any], operands: list[Any]) -> Node:
        op_name = data.get("op")
        if not isinstance(op_name, str):
            raise GraphError("its data lack op, the name of an operation")
        needed = {"placeholder": "shape", "parameter": "value", "constant": "value"}.get(op_name)
        if needed is not None and needed not in data:
            raise GraphError(f"its data lack {needed}, which a {op_name} needs")
        cls = operation(op_name)
        attributes = data.get("attributes", {})
        if not isinstance(attributes, Mapping):
            raise UsageError(f"its attributes are {{name: value}}, not {type(attributes).__name__}")
        unknown = [name for name in attributes if name not in cls.settings]
        if unknown:
            raise UsageError(f'{op_name} has no attribute "{unknown[0]}".{near(unknown[0], cls.settings)}')
        try:
            op = cls(**attributes)
        except TypeError as error:
            if isinstance(error, GraphnnError):
                raise
            raise UsageError(str(error)) from None
        shape = shape_of(data["shape"]) if "shape" in data else None
        dtype = _supported(data["dtype"], "the node") if "dtype" in data else None
        value = None
        if isinstance(op, (Parameter, Constant)):
            value = data["value"]
            # Lists, as JSON has them, tell their dtype only roughly, and no shape where there is nothing in them.
            listed = not hasattr(value, "dtype")
            value = self._array(value, "its value", dtype if listed else None)
            if listed and not value.size and shape is not None and 0 in shape:
                value = self._array(np.empty(shape, value.dtype), "its value")
        return self._restored(
            name,
            op,
            tuple(self._dag._node[operand].node for operand in operands),
            self.dtype if dtype is None and isinstance(op, Placeholder) else dtype,
            shape,
            value,
            scope=self._restored_scope(data.get("scope", "")),
            origin=origin_of(data.get("origin")),
        )

    def _restored(
        self,
        name: Any,
        op: Op,
        inputs: tuple[Node, ...],
        dtype: np.dtype[Any] | None,
        shape: Shape | None,
        value: Array | None,
        scope: Scope | None,
        origin: Origin | None,
    ) -> Node:
        """Make a node that was one elsewhere, by its whole name, checked as if it were made by hand.

        A dtype and a shape that are given must be what comes out; of a placeholder they are what it declares.
        """
        if not op.variadic and len(inputs) != len(op.operands):
            raise GraphError(f'node "{name}": {op.name} takes {_count(len(op.operands), "operand")}, got {len(inputs)}')
        if value is not None:
            spec = Spec(value.shape, value.dtype)
        elif dtype is not None and shape is not None and isinstance(op, (Placeholder, Unknown)):
            spec = Spec(shape_of(shape), dtype)
        else:
            spec = self._inferred(op, inputs)
        declared = Spec(spec.shape if shape is None else shape, spec.dtype if dtype is None else dtype)
        if declared != spec:
            error = DtypeError if declared.shape == spec.shape else ShapeError
            raise error(f'node "{name}" is declared {declared}, but {op.name} gives {spec}')
        with self.building:
            if self._taken(name := _checked_name(name)):
                raise GraphError(f'the name "{name}" is already taken')
            return self._make(op, inputs, spec, name, value, (scope, origin or user_origin()))

    def _restored_scope(self, path: str) -> Scope | None:
        """Return the scope of a path that was a field of a node elsewhere, with the scopes around it."""
        scope = self.scopes.get(path)
        if scope is None and path:
            for end in (*(i for i, character in enumerate(path) if character == "/"), len(path)):
                outer = path[:end]
                if outer and outer not in self.scopes:
                    self.scopes[outer] = Scope(outer, "", user_origin(), scope, "forward")
                scope = self.scopes.get(outer)
        return scope


def name(node: Node, name: str) -> Node:
    """Give a node another name: the result of an operator, or what a layer returns.

    The graph only grows, and a node's own name stays. The other one is kept beside it in ``graph.names``, saved and
    copied with the graph, and stands for the node wherever one is asked for by name. Pictures, tables and the debugger
    show the node under it; ``node.title`` says under which name that is.

    Parameters
    ----------
    node : Node
    name : str
        Within a scope, or a layer's ``call``, it is in the scope, as all names are.

    Returns
    -------
    Node
        The same.

    Raises
    ------
    GraphError
        When a node, scope or output has that name, or the node was given another. (A ValueError.)
    UsageError
        When it is not a node. (A TypeError.)

    Examples
    --------
    >>> g = Graph()
    >>> x = g.placeholder("x", shape=("batch", 2))
    >>> z = name(x @ g.parameter("w", [[2.0], [3.0]]) + 1.0, "z")
    >>> g["z"] is z, z.title, z.name
    (True, 'z', 'add')
    """
    if not isinstance(node, Node):
        raise UsageError(f"gn.name takes a node and the name it is to have, not {with_article(type(node).__name__)}")
    graph = node.graph
    with graph.building:
        scope = place_of(graph).scope
        graph.names[_checked_name(name) if scope is None or not name else f"{scope.path}/{_checked_name(name)}"] = node
    return node


def check_update(parameter: Node, node: Node) -> None:
    """Refuse a next value that its parameter could not take.

    Raises
    ------
    UsageError
        When `parameter` is no parameter.
    ShapeError, DtypeError
        When the shape or dtype is another.
    """
    if not isinstance(parameter.op, Parameter):
        raise UsageError(f'only parameters are updated; "{parameter.name}" is {with_article(parameter.op.name)}')
    if node.shape != parameter.shape:
        raise ShapeError(
            f'"{parameter.name}" has shape {shown(parameter.shape)}; its update "{node.name}" has {shown(node.shape)}'
        )
    if node.dtype != parameter.dtype:
        raise DtypeError(f'"{parameter.name}" is {parameter.dtype}; its update "{node.name}" is {node.dtype}')


def as_array(value: Any, what: str) -> Array:
    """Return `value` as an array of a supported dtype, in native byte order; a view where that serves.

    Raises
    ------
    DtypeError
        When it holds objects, text, dates or complex numbers, or is masked.
    ShapeError
        When it is a ragged list.
    """
    if isinstance(value, Node):
        raise UsageError(f'{what}: "{value.name}" is a node, not an array')
    lost = f"{what}: a masked array's mask would be lost; fill it first (array.filled(…))"
    if isinstance(value, np.ma.MaskedArray):
        raise DtypeError(lost)
    try:
        array = np.asarray(value)
    except np.ma.MaskError:
        raise DtypeError(lost) from None
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ShapeError(f"{what}: the list is ragged, its rows differ in length") from None
        raise restated(error, f"{what}: ") from None
    kind = _supported(array.dtype, what)
    if _holds_mask(value):
        raise DtypeError(lost)
    return array if kind is array.dtype else array.astype(kind)


def _holds_mask(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_mask, value))
    return isinstance(value, np.ma.MaskedArray)


def in_range(array: Array, dtype: np.dtype[Any], what: str) -> Array:
    """Return a copy as another dtype; an integer that does not fit is an error, where NumPy would wrap it around.

    Raises
    ------
    ValueRangeError
    """
    cast: Array = quietly(array.astype, dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu" and not np.can_cast(array.dtype, dtype, "safe"):
        # Wrapped around, it differs in value, or in sign where the bits are the same.
        lost = (cast != array) | ((cast < 0) != (array < 0))
        if lost.any():
            index = tuple(int(i) for i in np.argwhere(lost)[0])
            at = f" at {index}" if index else ""
            raise ValueRangeError(f"{what} holds {array[index]}{at}, which does not fit into {dtype}")
    return cast


def _warn_of_overflow(given: Array, cast: Array, what: str) -> None:
    """Warn, on the user's line, of the first number that became infinite in another dtype."""
    if cast.dtype.kind == "f" and cast.dtype != given.dtype:
        lost = np.isinf(cast) & np.isfinite(given)
        if lost.any():
            index = tuple(int(i) for i in np.argwhere(lost)[0])
            origin = user_origin()
            warnings.warn_explicit(
                f"{what} holds {given[index]:.6g}, which is {cast[index]} in {cast.dtype}: that ends at "
                f"{np.finfo(cast.dtype).max:.5g} (at {origin})",
                GraphnnWarning,
                *origin,
            )


def sealed(array: Array) -> Array:
    """Return an array of one's own, in C order, so that nobody can write to it again: not even by setting its flag."""
    own = array if array.flags.c_contiguous else np.asarray(array, order="C")
    if own.base is not None and not (isinstance(own.base, np.ndarray) and not own.base.flags.writeable):
        own = own.copy()
    own.setflags(write=False)
    return own.view()


def _supported(kind: Any, what: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(kind)
    except TypeError:
        raise DtypeError(f"{what}: {kind!r} is no dtype") from None
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DtypeError(f"{what} is of dtype {dtype}; values are bool, integers, and floats of 16, 32 or 64 bits")
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def _checked_name(name: Any) -> str:
    if not issubclass(type(name), str):
        raise UsageError(f"a name is text, not {type(name).__name__}")
    text = str.__str__(name)  # of a class that prints otherwise, what it holds
    if "\0" in text:
        raise ValueRangeError(f"a name cannot hold a NUL character: {text!r}")
    return text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _topological(dag: nx.DiGraph[Any]) -> list[Any]:
    """Return the names in the given order where that is topological, else as NetworkX sorts them."""
    place = {name: i for i, name in enumerate(dag)}
    if all(place[u] < place[v] for u, v in dag.edges()):
        return list(place)
    try:
        return list(nx.lexicographical_topological_sort(dag, key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        raise GraphError(f"the graph has a cycle: {' → '.join(map(str, _short_cycle(dag)))}") from None


def _short_cycle(dag: nx.DiGraph[Any]) -> list[Any]:
    """Return a cycle, found in linear time: walk back among the nodes that never become ready, until one repeats."""
    waiting = {name: dag.in_degree(name) for name in dag}
    ready = [name for name, degree in waiting.items() if not degree]
    while ready:
        name = ready.pop()
        del waiting[name]
        for follower, keys in dag.adj[name].items():
            waiting[follower] -= len(keys) if dag.is_multigraph() else 1
            if not waiting[follower]:
                ready.append(follower)
    at, seen = next(iter(waiting)), dict[Any, int]()
    path: list[Any] = []
    while at not in seen:
        seen[at] = len(path)
        path.append(at)
        at = next(p for p in dag.pred[at] if p in waiting)
    cycle = [*path[seen[at] :], at][::-1]
    return cycle if len(cycle) <= 12 else [*cycle[:6], f"… {len(cycle) - 11} more …", *cycle[-5:]]


def _operands(dag: nx.DiGraph[Any], name: Any) -> list[Any]:
    by_position: dict[Any, Any] = {}
    for operand, data in dag.pred[name].items():
        keys = data if dag.is_multigraph() else [data.get("position", 0 if len(dag.pred[name]) == 1 else None)]
        for key in keys:
            if key in by_position:
                raise GraphError(
                    f'"{by_position[key]}" and "{operand}" are both its operand {key}; '
                    "an edge's key is the operand's position"
                )
            by_position[key] = operand
    if set(by_position) != set(range(len(by_position))):
        positions = ", ".join(sorted(map(str, by_position)))
        raise GraphError(f"its operands stand at {positions}, not at 0 to {len(by_position) - 1}")
    return [by_position[i] for i in range(len(by_position))]
