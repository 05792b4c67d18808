"""Layers: their parts are made once, and every call adds nodes that share them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, Self

import numpy as np

from ..calls import misused
from ..errors import (
    DtypeError,
    GraphError,
    GraphnnError,
    LookupFailure,
    NoRuleError,
    ShapeError,
    UsageError,
    ValueRangeError,
    near,
)
from ..graph import Array, Graph, Node, Origin, as_array, fitting, flatten, fn, user_origin
from ..graph.attributes import checked, kind_of
from ..graph.dimensions import product, shape_of, shown
from ..habits import missing
from ..ops.compose import softmax_nodes
from .checks import checked_flag
from .init import Rng, checked_initializer, checked_rng, constant, drawn, glorot_uniform, zeros

# What training= says to the layers that are being called; a layer that is not told goes by it.
_training: ContextVar[bool] = ContextVar("training", default=False)


class _Parameters(list[Node]):
    """The parameters of a layer: a list, and no method that returns one."""

    def __call__(self) -> NoReturn:
        raise UsageError("a layer's parameters are a list: write layer.parameters, without brackets")


class Layer:
    """Base of the layers: write ``call``, and make its parts once, as attributes.

    Every call opens a scope, called after the class with a running number: ``dense_1``. A second call shares
    the parameters and works in ``dense_1_2``.

    Attributes
    ----------
    parameters : list of Node

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class Residual(nn.Layer):
    ...     def __init__(self, units):
    ...         self.inner = nn.Dense(units)
    ...
    ...     def call(self, h, training=False):
    ...         return h + self.inner(gn.relu(h))
    >>> block = Residual(4)
    >>> x = gn.Graph().placeholder("x", shape=("batch", 4))
    >>> block(block(x)).name
    'residual_1_2/add'
    >>> [node.name for node in block.parameters]
    ['residual_1/dense_1/weight', 'residual_1/dense_1/bias']
    """

    instead_of_fetch: ClassVar[str] = "call it on a node, layer(x), and that is one"

    __origin: Origin
    __graph: Graph | None
    __local: str

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Here and not in __init__, which a subclass need not call.
        layer = super().__new__(cls)
        layer.__origin = user_origin()
        layer.__graph = None
        layer.__local = ""
        return layer

    def __init__(self) -> None:
        """Take nothing; a subclass need not call this."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise missing("layer", self, name, f"the layer {type(self).__name__}")

    def call(self, *inputs: Any, **settings: Any) -> Any:
        """Return the node that the layer computes; a subclass writes this.

        Parameters
        ----------
        *inputs : Node
            What the layer was called with.
        training : bool
            Given if the signature has it.

        Returns
        -------
        Node, or list, tuple or dict of them
        """
        raise NoRuleError(f"{type(self).__name__} does not say what it computes: define call(self, x)")

    def __call__(self, *inputs: Any, training: bool | None = None) -> Any:
        """Add the layer's nodes to the graph of its inputs.

        Parameters
        ----------
        *inputs : Node
        training : bool, optional
            Whether dropout and its like are to work: False, unless told otherwise here or to the layer
            around this one.

        Returns
        -------
        Node, or whatever form of nodes `call` returns

        Raises
        ------
        UsageError
            When no input is a node, `call` does not return one, or `training` is no bool.
        GraphError
            When the layer's parameters are in another graph.
        """
        graph = self.__graph_of(inputs)
        if training is None:
            training = _training.get()
        training = checked_flag(f"{type(self).__name__}: training", training)
        try:
            # In a context of its own, of which nothing is left, whatever comes between.
            result = copy_context().run(self.__made, graph, inputs, training)
        except TypeError as error:
            told = {"training": training} if _takes(self.call, "training") else {}
            unfit = None if isinstance(error, GraphnnError) else misused(self.call, inputs, told, type(self).__name__)
            if unfit is None:
                raise
            raise unfit from None
        leaves, _ = flatten(result)
        wrong = [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Node)]
        if wrong or not leaves:
            raise UsageError(
                f"{type(self).__name__}.call returned {wrong[0] if wrong else 'nothing'}; "
                "it returns the node that the layer computes, or a list, tuple or dict of nodes"
            )
        self._called_in(graph)
        return result

    def _called_in(self, graph: Graph) -> None:
        self.__graph = graph

    def __made(self, graph: Graph, inputs: tuple[Any, ...], training: bool) -> Any:
        _training.set(training)
        # No other thread makes the parameters a second time.
        with graph.building, fitting(type(self).__name__, list(inputs)):
            return self._make_nodes(graph, inputs)

    @property
    def parameters(self) -> _Parameters:
        """The trainable parameters of the layer and of the layers in it, in order of making.

        Raises
        ------
        UsageError
            Before the first call, which makes them.
        """
        if self.__graph is None:
            raise UsageError(
                f"{type(self).__name__} has no parameters yet: they are made when it is first called on a node, "
                "since their shapes depend on it"
            )
        return _Parameters(node for node in self.__found() if node.trainable)

    def __found(self) -> list[Node]:
        """Return the parameters that attributes hold, here and in the layers in them, in order of making."""
        found: dict[Node, None] = {}
        seen: set[int] = set()
        waiting: list[Any] = [self]
        while waiting:
            thing = waiting.pop()
            if isinstance(thing, Node):
                if thing in thing.graph.state:
                    found[thing] = None
            elif id(thing) not in seen and isinstance(thing, (Layer, list, tuple, Mapping)):
                seen.add(id(thing))
                parts = vars(thing) if isinstance(thing, Layer) else thing
                waiting.extend(parts.values() if isinstance(parts, Mapping) else parts)
        return sorted(found, key=lambda node: node.index)

    def __graph_of(self, inputs: tuple[Any, ...]) -> Graph:
        leaves, _ = flatten(list(inputs))
        graph = next((leaf.graph for leaf in leaves if isinstance(leaf, Node)), None)
        if graph is None:
            given = ", ".join(type(value).__name__ for value in inputs) or "nothing"
            raise UsageError(
                f"{type(self).__name__} is called on a node, not on {given}: declare a placeholder and feed it, "
                "or make a constant with graph.constant(value)"
            )
        for node in self.__found():
            if node.graph is not graph:
                raise GraphError(
                    f'{type(self).__name__} has its parameters in the graph "{node.graph.name}" ("{node.name}" is one, '
                    f'made at {node.origin}) and cannot be called in "{graph.name}": make another layer for that, with '
                    "weight=node.value and the like to begin with the same numbers"
                )
        return graph

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...]) -> Any:
        with graph.entered(self._free_path(graph), kind=type(self).__name__, origin=self.__origin):
            if _takes(self.call, "training"):
                return self.call(*inputs, training=_training.get())
            return self.call(*inputs)

    def _free_path(self, graph: Graph) -> str:
        """Return the whole name for this call: ``dense_1`` at first, later ``dense_1_2``."""
        if self.__graph is graph:
            return graph.free_name(self.__local)
        path = graph.free_name(_snake(type(self).__name__), first=1)
        self.__local = path.rpartition("/")[2]
        return path

    def __repr__(self) -> str:
        state = f'"{self.__local}"' if self.__graph is not None else "not called yet"
        return f"<{type(self).__name__}, {state}>"


def _snake(name: str) -> str:
    """Return a class's name in snake case.

    Examples
    --------
    >>> [_snake(name) for name in ("LeakyReLU", "PReLU", "Conv2D", "LSTMCell", "ResidualBlock")]
    ['leaky_relu', 'prelu', 'conv2d', 'lstm_cell', 'residual_block']
    """
    name = re.sub(r"P?ReLU|SiLU", lambda word: word[0].capitalize(), name.strip("_"))
    starts = r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])"
    return re.sub(starts, "_", name).lower() or "layer"


def _takes(function: Callable[..., Any], keyword: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _only_node(layer: Layer, x: Any) -> Node:
    if not isinstance(x, Node):
        raise UsageError(f"{type(layer).__name__} is called on one node, not on {type(x).__name__}")
    return x


class _Between(NamedTuple):
    """In what is being written: between two layers."""


class _End(NamedTuple):
    """In what is being written: the end of a `Sequential`."""

    whose: int


class Sequential(Layer):
    """Layers one after the other; it opens no scope of its own.

    Parameters
    ----------
    *layers : Layer or callable
        Or one list of them. A function of a node, such as ``gn.tanh``, serves too.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> network = nn.Sequential(nn.Dense(8), nn.ReLU(), nn.Dense(3), nn.Softmax())
    >>> network(gn.Graph().placeholder("x", shape=("batch", 2)))
    <Node "softmax_1/divide": divide (batch, 3) float64>
    >>> len(network), network[1]
    (4, <ReLU, "relu_1">)
    """

    def __init__(self, *layers: Any) -> None:
        self.layers: list[Any] = []
        for layer in layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put another layer behind the last.

        Raises
        ------
        UsageError
            When it cannot be called, or is a class and no layer.
        """
        if isinstance(layer, type):
            raise UsageError(f"Sequential takes layers, and {layer.__name__} is a class: write {layer.__name__}(…)")
        if not callable(layer):
            what = repr(layer) if isinstance(layer, str) else type(layer).__name__
            hint = f": write gn.{layer}" if isinstance(layer, str) and layer in dir(fn) else ""
            raise UsageError(f"Sequential takes layers, or functions of a node, not {what}{hint}")
        self.layers.append(layer)

    def call(self, x: Any) -> Any:
        """Return what the last layer returns."""
        around: dict[Sequential, Iterator[Any]] = {self: iter(self.layers)}
        while around:  # not by recursion: they may lie in each other as deep as one likes
            network = next(reversed(around))
            layer = next(around[network], None)
            if layer is None:
                del around[network]
                if network is not self and isinstance(x, Node):
                    network._called_in(x.graph)
            elif type(layer) is Sequential and isinstance(x, Node):
                if layer in around:
                    raise UsageError("a Sequential that contains itself has no end: put each layer in once")
                around[layer] = iter(layer.layers)
            else:
                told = not isinstance(layer, Layer) and _takes(layer, "training")
                x = layer(x, training=_training.get()) if told else layer(x)
        return x

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...]) -> Any:
        return self.call(*inputs)

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __repr__(self) -> str:
        parts: list[str] = []
        around: set[int] = set()
        waiting: list[Any] = [self]
        while waiting:
            part = waiting.pop()
            if isinstance(part, _End):
                around.discard(part.whose)
                parts.append(")")
            elif isinstance(part, _Between):
                parts.append(", ")
            elif id(part) in around:
                parts.append("Sequential(…)")
            elif isinstance(part, Sequential) and type(part).__repr__ is Sequential.__repr__:
                around.add(id(part))
                parts.append("Sequential(")
                inside = [each for layer in part.layers for each in (_Between(), layer)][1:]
                waiting += [_End(id(part)), *reversed(inside)]
            else:
                parts.append(repr(part))
        return "".join(parts)


class Dense(Layer):
    """x @ weight + bias, over the last axis.

    The parameters ``weight`` (inputs, units) and ``bias`` (units,) are made at the first call, when the size of
    the input's last axis is known.

    Parameters
    ----------
    units : int
        The size of the result's last axis.
    activation : str, Layer or callable, optional
        What comes behind, as a layer or a node of its own: ``"relu"``, ``"sigmoid"``, ``"tanh"``, ``"softmax"``,
        ``"gelu"``, ``"elu"``, ``"silu"`` or ``"swish"``, ``"softplus"``, ``"leaky_relu"``; a layer such as
        ``nn.LeakyReLU(0.1)``; a function of a node. None, or ``"linear"``: nothing.
    use_bias : bool
    weight_init, bias_init : initializer
        From `nn.init`, or any function ``(shape, dtype, rng) -> array``.
    weight : array_like, optional
        Given instead of drawn, (inputs, units).
    bias : array_like, optional
        Given instead of drawn, (units,) or (1, units), which is kept as (units,).
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Drawn from for the weight, then for the bias. Unless given, it is ``np.random.default_rng([0, k])``,
        where k is the number of parameters, trainable or not, that the graph holds before this layer's: so the
        same build gives the same numbers, and no two layers the same.
    dtype : dtype, optional
        Of the parameters. Unless told otherwise, given arrays of floats keep theirs, and all else takes the graph's.

    Attributes
    ----------
    weight, bias : Node or None
        None before the first call; `bias` also without one.

    Raises
    ------
    ShapeError
        When a given array does not fit; at a call, when the input has no last axis, its size is a name, or it
        is not what the weight takes.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> g = gn.Graph()
    >>> layer = nn.Dense(3, rng=np.random.default_rng(0))
    >>> layer(g.placeholder("x", shape=("batch", 2)))
    <Node "dense_1/add": add (batch, 3) float64>
    >>> nn.Dense(3, "relu")(g["x"])
    <Node "relu_1": relu (batch, 3) float64>
    >>> g["dense_1/weight"].shape, g["dense_1/bias"].value
    ((2, 3), array([0., 0., 0.]))
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        *,
        use_bias: bool = True,
        weight_init: Any = glorot_uniform,
        bias_init: Any = zeros,
        weight: Any = None,
        bias: Any = None,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        if not isinstance(units, (int, np.integer)) or isinstance(units, bool):
            raise UsageError(f"Dense: units is an int, not {type(units).__name__}")
        if units < 1:
            raise ValueRangeError(f"Dense: units is 1 or more, not {units}")
        self.activation = checked_activation(activation, "Dense: activation")
        self.use_bias = checked_flag("Dense: use_bias", use_bias)
        if isinstance(bias, bool):
            raise UsageError(f"Dense: bias= is an array to begin with; whether there is one is use_bias={bias}")
        if bias is not None and not use_bias:
            raise UsageError("Dense: a bias is given, and use_bias=False says that there is none")
        self.units = int(units)
        self.weight_init = checked_initializer(weight_init, "Dense: weight_init")
        self.bias_init = checked_initializer(bias_init, "Dense: bias_init")
        self.rng = checked_rng(rng, "Dense")
        self.dtype = None if dtype is None else _float_dtype(dtype)
        self._given_weight = None if weight is None else _Given.of(weight, "Dense: weight")
        self._given_bias = None if bias is None else _Given.of(bias, "Dense: bias")
        self._check_given()
        self.weight: Node | None = None
        self.bias: Node | None = None

    def _check_given(self) -> None:
        if self._given_weight is not None:
            shape = self._given_weight.array.shape
            if len(shape) != 2 or shape[1] != self.units:
                raise ShapeError(
                    f"Dense: the weight of {self.units} units has shape (inputs, {self.units}); "
                    f"the one given has {shown(shape)}"
                )
        if self._given_bias is not None:
            shape = self._given_bias.array.shape
            if shape not in ((self.units,), (1, self.units)):
                raise ShapeError(
                    f"Dense: the bias of {self.units} units has shape ({self.units},) or (1, {self.units}); "
                    f"the one given has {shown(shape)}"
                )

    def call(self, x: Node) -> Node:
        """Return x @ weight + bias."""
        _only_node(self, x)
        if self.weight is None:
            weight, self.bias = self._made(x)
            self.weight = weight  # last: it says that all are made
        result = fn.matmul(x, self.weight)
        return result if self.bias is None else fn.add(result, self.bias)

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...]) -> Any:
        made = super()._make_nodes(graph, inputs)
        return made if self.activation is None else self.activation(made)

    def _made(self, x: Node) -> tuple[Node, Node | None]:
        graph = x.graph
        shape = (self._inputs(x), self.units)
        dtype = self.dtype or graph.dtype
        rng = np.random.default_rng([0, len(graph.state)]) if self.rng is None else self.rng
        bias = None
        if self._given_weight is not None:
            weight = self._given_weight.cast(self.dtype, graph)
        else:
            weight = drawn(self.weight_init, shape, dtype, rng, "a Dense weight")
        if self._given_bias is not None:
            bias = self._given_bias.cast(self.dtype, graph).reshape(self.units)
        elif self.use_bias:
            bias = drawn(self.bias_init, shape[1:], dtype, rng, "a Dense bias")
        made = graph.parameter("weight", weight)
        return made, None if bias is None else graph.parameter("bias", bias)

    def _inputs(self, x: Node) -> int:
        if not x.shape:
            raise ShapeError(f'Dense works on the last axis, and "{x.name}" has none')
        inputs = x.shape[-1]
        if isinstance(inputs, str):
            raise ShapeError(
                f'Dense needs the size of the last axis to make its weight, and that of "{x.name}" {shown(x.shape)} '
                f'is the name "{inputs}": make it a number where "{x.name}" is made, at {x.origin}'
            )
        given = self._given_weight
        if given is not None and given.array.shape[0] != inputs:
            takes = given.array.shape[0]
            raise ShapeError(
                f"Dense was given a weight {shown(given.array.shape)} {given.array.dtype} at {given.origin}, and so "
                f"takes {takes} inputs: axis {x.ndim - 1} of operand 0 is {inputs}, axis 0 of the weight is {takes}"
            )
        return inputs


class _Given(NamedTuple):
    """A parameter's first value as the user gave it, its dtype, if it has one to keep, and the line that gave it."""

    array: Array
    dtype: np.dtype[Any] | None
    origin: Origin

    @classmethod
    def of(cls, value: Any, what: str) -> Self:
        array = as_array(value, what).copy()
        kept = array.dtype if hasattr(value, "dtype") and array.dtype.kind == "f" else None
        return cls(array, kept, user_origin())

    def cast(self, dtype: np.dtype[Any] | None, graph: Graph) -> Array:
        return self.array.astype(dtype or self.dtype or graph.dtype)


def _float_dtype(dtype: Any) -> np.dtype[Any]:
    kind: np.dtype[Any] = np.dtype(dtype)
    if kind.kind != "f" or kind.itemsize > 8:
        raise DtypeError(f"parameters are floats of 16, 32 or 64 bits, not {kind}")
    return kind


class PReLU(Layer):
    """x where x > 0, else slope * x, where the parameter ``slope`` is learned.

    Parameters
    ----------
    shape : int or tuple of int
        Of the slope, which broadcasts with the input: () for one slope in all, (64,) for one a feature.
    slope_init : initializer
        0.25 everywhere unless told otherwise.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.

    Notes
    -----
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    def __init__(self, shape: Any = (), *, slope_init: Any = None, rng: Rng | None = None) -> None:
        sizes = shape_of(shape)
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(f"PReLU: the slope is made of numbers, so its shape holds no names; got {shown(sizes)}")
        self.shape: tuple[Any, ...] = sizes
        self.slope_init = checked_initializer(slope_init or constant(0.25), "PReLU: slope_init")
        self.rng = checked_rng(rng, "PReLU")
        self.slope: Node | None = None

    def call(self, x: Node) -> Node:
        """Return x where x > 0, else slope * x."""
        _only_node(self, x)
        if self.slope is None:
            graph = x.graph
            rng = np.random.default_rng([0, len(graph.state)]) if self.rng is None else self.rng
            slope = drawn(self.slope_init, self.shape, graph.dtype, rng, "a PReLU slope")
            self.slope = graph.parameter("slope", slope)
        return fn.prelu(x, self.slope)


class Softmax(Layer):
    """exp(x) over its sum along an axis, without overflow; each step of it is a node.

    Parameters
    ----------
    axis : int

    Raises
    ------
    UsageError
        When the axis is not an int.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = checked("Softmax", "axis", kind_of(int), axis)

    def call(self, x: Node) -> Node:
        """Return exp(x - max) / sum(exp(x - max))."""
        return softmax_nodes(_only_node(self, x), self.axis)


class _OneOp(Layer):
    """Base of the layers that are one node, which has the layer's name itself: ``relu_1``."""

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...]) -> Any:
        if not _takes(self.call, "name"):  # a subclass makes something else of it
            return super()._make_nodes(graph, inputs)
        x = _only_node(self, inputs[0] if len(inputs) == 1 else inputs)
        return self.call(x, name=self._free_path(graph).rpartition("/")[2])


class ReLU(_OneOp):
    """max(x, 0), as one node: ``relu_1``; the gradient at 0 is 0."""

    def call(self, x: Node, *, name: str | None = None) -> Node:
        """Return max(x, 0)."""
        return fn.relu(x, name=name)


class LeakyReLU(_OneOp):
    """x where x > 0, else negative_slope * x, as one node: ``leaky_relu_1``.

    Parameters
    ----------
    negative_slope : float

    Raises
    ------
    UsageError
        When the slope is not a number.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = checked("LeakyReLU", "negative_slope", kind_of(float), negative_slope)

    def call(self, x: Node, *, name: str | None = None) -> Node:
        """Return x where x > 0, else negative_slope * x."""
        return fn.leaky_relu(x, self.negative_slope, name=name)


class ELU(_OneOp):
    """x where x > 0, else alpha * (exp(x) - 1), as one node: ``elu_1``.

    Parameters
    ----------
    alpha : float

    Raises
    ------
    UsageError
        When alpha is not a number.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = checked("ELU", "alpha", kind_of(float), alpha)

    def call(self, x: Node, *, name: str | None = None) -> Node:
        """Return x where x > 0, else alpha * (exp(x) - 1)."""
        return fn.elu(x, self.alpha, name=name)


class Sigmoid(_OneOp):
    """1 / (1 + exp(-x)), as one node: ``sigmoid_1``."""

    def call(self, x: Node, *, name: str | None = None) -> Node:
        """Return 1 / (1 + exp(-x))."""
        return fn.sigmoid(x, name=name)


class Tanh(_OneOp):
    """tanh(x), as one node: ``tanh_1``."""

    def call(self, x: Node, *, name: str | None = None) -> Node:
        """Return tanh(x)."""
        return fn.tanh(x, name=name)


# By the names that Keras gives them.
_ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "relu": ReLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "softmax": Softmax,
    "gelu": lambda: fn.gelu,
    "elu": ELU,
    "silu": lambda: fn.silu,
    "swish": lambda: fn.silu,
    "softplus": lambda: fn.softplus,
    "leaky_relu": LeakyReLU,
    "linear": lambda: None,
}


def checked_activation(given: Any, what: str) -> Any:
    """Return the layer or the function of a node that is meant; None for nothing.

    Raises
    ------
    LookupFailure
        When there is none of that name.
    UsageError
        When it is no layer and no function, or a class.
    """
    if isinstance(given, str):
        if given not in _ACTIVATIONS:
            raise LookupFailure(f'{what}: there is no activation "{given}".{near(given, _ACTIVATIONS)}')
        return _ACTIVATIONS[given]()
    if isinstance(given, type):
        raise UsageError(f"{what} is a layer, and {given.__name__} is a class: write {given.__name__}(…)")
    if given is not None and not callable(given):
        raise UsageError(f"{what} is a name, a layer or a function of a node, not {type(given).__name__}")
    return given


class Flatten(_OneOp):
    """All axes but the first as one, as one node: ``flatten_1``.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> nn.Flatten()(gn.Graph().placeholder("images", shape=("batch", 8, 8)))
    <Node "flatten_1": reshape (batch, 64) float64>
    """

    def call(self, x: Node, *, name: str | None = None) -> Node:
        """Return x with the shape (first, product of the others)."""
        if not x.shape:
            raise ShapeError(f'Flatten keeps the first axis, and "{x.name}" has none')
        return fn.reshape(x, (x.shape[0], product(x.shape[1:])), name=name)
