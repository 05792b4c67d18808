"""The layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ...core import Array, Graph, Node, Origin, as_array, fn, is_float, user_origin
from ...core.attributes import checked, kind_of, whole
from ...core.symbolic_shapes import product, shape_of, shown
from ...errors import NotFoundError, ShapeError, UsageError, near
from ...ops.softmax import softmax_nodes
from ..argument_validation import checked_flag
from ..init import Rng, checked_initializer, checked_rng, constant, drawn, glorot_uniform, zeros
from .layer import Layer, only_node, takes
from .layer_parameters import float_dtype, rng_of

if TYPE_CHECKING:
    import numpy as np


class _Activated(Layer):
    """Base class of the layers that apply an activation to their result, as a layer or a node after theirs."""

    activation: Any = None

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
        result = super()._make_nodes(graph, inputs, settings)
        return result if self.activation is None else self.activation(result)


class Dense(_Activated):
    """x @ weight + bias, over the last axis.

    The parameters ``weight`` (inputs, units) and ``bias`` (units,) are made at the first call, when the size of
    the last axis of the input is known.

    Parameters
    ----------
    units : int
        The size of the result's last axis.
    activation : str, Layer or callable, optional
        Applied to the result, as a layer or a node of its own: ``"relu"``, ``"sigmoid"``, ``"tanh"``, ``"softmax"``,
        ``"gelu"``, ``"elu"``, ``"silu"`` or ``"swish"``, ``"softplus"``, ``"leaky_relu"``; a layer such as
        ``nn.LeakyReLU(0.1)``; a function of a node. None, or ``"linear"``: nothing.
    use_bias : bool
    weight_init, bias_init : initializer
        From `nn.init`, or any function ``(shape, dtype, rng) -> array``.
    weight : array_like, optional
        The initial value, (inputs, units), instead of a random one.
    bias : array_like, optional
        The initial value, (units,) or (1, units). It is stored as (units,).
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Draws the weight, then the bias. By default, ``np.random.default_rng([0, k])``, where k is the number of
        parameters, trainable or not, that the graph had before this layer. So the same program gives the same numbers,
        and each layer gets different ones.
    dtype : dtype, optional
        The dtype of the parameters. By default, arrays of floats that you give keep their dtype, and all other
        parameters have the dtype of the graph.

    Attributes
    ----------
    weight, bias : Node or None
        None before the first call; `bias` is also None if there is none.

    Raises
    ------
    ShapeError
        When a given array does not fit; at a call, when the input has no last axis, or its size is a name, or does not
        fit the weight.

    Examples
    --------
    >>> import numpy as np
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
        self.units = whole("Dense: units", units, 1)
        self.activation = _checked_activation(activation, "Dense: activation")
        self.use_bias = checked_flag("Dense: use_bias", use_bias)
        if isinstance(bias, bool):
            raise UsageError(f"Dense: bias= is the initial value of the bias, not a bool: write use_bias={bias}")
        if bias is not None and not use_bias:
            raise UsageError("Dense: bias= and use_bias=False contradict each other")
        self.weight_init = checked_initializer(weight_init, "Dense: weight_init")
        self.bias_init = checked_initializer(bias_init, "Dense: bias_init")
        self.rng = checked_rng(rng, "Dense")
        self.dtype = None if dtype is None else float_dtype(dtype)
        self._initial_weight = _InitialValue.of("weight", weight, self.units, f"(inputs, {self.units})")
        self._initial_bias = _InitialValue.of("bias", bias, self.units, f"({self.units},) or (1, {self.units})")
        self.weight: Node | None = None
        self.bias: Node | None = None

    def call(self, x: Node) -> Node:
        """Return x @ weight + bias."""
        only_node(self, x)
        if self.weight is None:
            weight, self.bias = self._make_parameters(x)
            self.weight = weight  # last: when it is set, both are made
        result = fn.matmul(x, self.weight)
        return result if self.bias is None else fn.add(result, self.bias)

    def _from_torch(self, state: dict[str, Array]) -> dict[str, Array]:
        return {name: array.T if name == "weight" else array for name, array in state.items()}

    def _make_parameters(self, x: Node) -> tuple[Node, Node | None]:
        graph = x.graph
        shape = (self._inputs(x), self.units)
        dtype = self.dtype or graph.dtype
        rng = rng_of(graph) if self.rng is None else self.rng

        def draw_weight(rng: Rng) -> Array:
            """Return a first value of the weight."""
            return drawn(self.weight_init, shape, dtype, rng, "a Dense weight")

        def draw_bias(rng: Rng) -> Array:
            """Return a first value of the bias."""
            return drawn(self.bias_init, shape[1:], dtype, rng, "a Dense bias")

        given, bias = self._initial_weight, None
        weight = draw_weight(rng) if given is None else given.cast(self.dtype, graph)
        if self._initial_bias is not None:
            bias = self._initial_bias.cast(self.dtype, graph).reshape(self.units)
        elif self.use_bias:
            bias = draw_bias(rng)
        made = graph.parameter("weight", weight)
        if given is None:
            self._begun(made, draw_weight)
        if bias is None:
            return made, None
        added = graph.parameter("bias", bias)
        return made, added if self._initial_bias is not None else self._begun(added, draw_bias)

    def _inputs(self, x: Node) -> int:
        if not x.shape:
            raise ShapeError(f'Dense works on the last axis, but "{x.name}" has no axis')
        inputs = x.shape[-1]
        if isinstance(inputs, str):
            raise ShapeError(
                f'Dense needs the size of the last axis to make its weight, and that of "{x.name}" {shown(x.shape)} '
                f'is the name "{inputs}": make it a number where "{x.name}" is made, at {x.origin}'
            )
        given = self._initial_weight
        if given is not None and given.array.shape[0] != inputs:
            rows = given.array.shape[0]
            raise ShapeError(
                f"Dense was given a weight {shown(given.array.shape)} {given.array.dtype} at {given.origin}, and so "
                f"takes {rows} inputs: axis {x.ndim - 1} of operand 0 is {inputs}, axis 0 of the weight is {rows}"
            )
        return inputs


class _InitialValue(NamedTuple):
    """The first value of a parameter as the user gave it, the dtype that it keeps, if any, and the user's line."""

    array: Array
    dtype: np.dtype[Any] | None
    origin: Origin

    @classmethod
    def of(cls, what: str, value: Any, units: int, shape: str) -> Self | None:
        """Return a weight or bias of a `Dense`, checked; None if it was not given."""
        if value is None:
            return None
        array = as_array(value, f"Dense: {what}").copy()
        if array.shape not in ((units,), (1, units)) if what == "bias" else array.shape[1:] != (units,):
            raise ShapeError(
                f"Dense: the {what} of {units} units has shape {shape}; the one given has {shown(array.shape)}"
            )
        kept = array.dtype if hasattr(value, "dtype") and is_float(array.dtype) else None
        return cls(array, kept, user_origin())

    def cast(self, dtype: np.dtype[Any] | None, graph: Graph) -> Array:
        return self.array.astype(dtype or self.dtype or graph.dtype)


class PReLU(Layer):
    """x where x > 0, else slope * x; the parameter ``slope`` is trained.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the slope, which is broadcast with the input: () for a single slope, (64,) for one per feature.
    slope_init : initializer
        By default, 0.25 everywhere.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.

    Notes
    -----
    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    def __init__(self, shape: Any = (), *, slope_init: Any = None, rng: Rng | None = None) -> None:
        sizes = shape_of(shape)
        if not all(isinstance(size, int) for size in sizes):
            raise ShapeError(f"PReLU: the shape of the slope must not contain names; got {shown(sizes)}")
        self.shape: tuple[Any, ...] = sizes
        self.slope_init = checked_initializer(constant(0.25) if slope_init is None else slope_init, "PReLU: slope_init")
        self.rng = checked_rng(rng, "PReLU")
        self.slope: Node | None = None

    def call(self, x: Node) -> Node:
        """Return x where x > 0, else slope * x."""
        only_node(self, x)
        if self.slope is None:
            graph = x.graph

            def draw(rng: Rng) -> Array:
                """Return a first value of the slope."""
                return drawn(self.slope_init, self.shape, graph.dtype, rng, "a PReLU slope")

            slope = graph.parameter("slope", draw(rng_of(graph) if self.rng is None else self.rng))
            self.slope = self._begun(slope, draw)
        return fn.prelu(x, self.slope)


class Softmax(Layer):
    """exp(x) divided by its sum along an axis, without overflow; each step is a node.

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
        return softmax_nodes(only_node(self, x), self.axis)


class _OneOp(Layer):
    """Base class of the layers that are one node, which has the name of the layer: ``relu_1``."""

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
        if not takes(self.call, "name"):  # a subclass has another `call`
            return super()._make_nodes(graph, inputs, settings)
        x = only_node(self, *inputs)
        return self.call(x, **{"name": self._free_path(graph).rpartition("/")[2], **settings})


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


class Flatten(_OneOp):
    """Merge all axes but the first, as one node: ``flatten_1``.

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
            raise ShapeError(f'Flatten keeps the first axis, but "{x.name}" has no axis')
        return fn.reshape(x, (x.shape[0], product(x.shape[1:])), name=name)


# Activations by their names in Keras.
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


def _checked_activation(given: Any, what: str) -> Any:
    """Return an activation as a layer or a function of a node; None if there is none.

    Raises
    ------
    NotFoundError
        When no activation has that name.
    UsageError
        When it is neither a layer nor a function, or is a class.
    """
    if isinstance(given, str):
        if given not in _ACTIVATIONS:
            raise NotFoundError(f'{what}: there is no activation "{given}".{near(given, _ACTIVATIONS)}')
        return _ACTIVATIONS[given]()
    if isinstance(given, type):
        raise UsageError(f"{what} is a layer, and {given.__name__} is a class: write {given.__name__}(…)")
    if given is not None and not callable(given):
        sizes = "; the layer finds the size of its input by itself: leave it out" if isinstance(given, int) else ""
        raise UsageError(f"{what} is a name, a layer or a function of a node, not {type(given).__name__}{sizes}")
    return given
