"""The base class of the layers: a layer makes its parts once, and every call adds nodes that share them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, copy_context
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from types import FunctionType, MethodType
from typing import Any, ClassVar, NoReturn, Self

from ..._util.call_errors import explain
from ..._util.hints import attribute_error, elsewhere
from ...compiler.compile import updating
from ...core import Array, Graph, Node, Origin, fitting, flatten, user_origin
from ...errors import GraphError, NoRuleError, UsageError
from ..argument_validation import checked_flag
from ..init import Rng, checked_rng
from .layer_settings import check_has, settings_of, warn_if_late
from .state_dict import Held, attribute_name, checked_state, compact

training_now: ContextVar[bool] = ContextVar("training", default=False)
"""The value of ``training=`` of the layer that is being called; the default for the layers inside it."""

evaluation_meant: ContextVar[bool] = ContextVar("evaluation meant", default=False)
"""Whether the user has written ``training=False`` for the layer that is being called, or for one around it."""

_around: ContextVar[tuple[Graph, Layer] | None] = ContextVar("around", default=None)
"""The layer whose scope is open, and the graph that it is in: a layer that it holds has the name that it gives it."""


_HOLDS_NOTHING = frozenset({type(None), bool, int, float, str, FunctionType, Origin})
"""Types of most attributes of a layer that neither are nor hold a parameter."""


_TRAINING = inspect.Parameter("training", inspect.Parameter.KEYWORD_ONLY, default=None)
"""What each layer takes beside the arguments of its `call`."""


class _Parameters(list[Node]):
    """The parameters of a layer: a list. Calling it is an error that says so."""

    def __call__(self) -> NoReturn:
        raise UsageError("layer.parameters is a list, not a method: write it without parentheses")


@dataclass(slots=True)
class _Own:
    """What a layer keeps beside the attributes of its class.

    Attributes
    ----------
    origin : Origin
        Of the layer.
    graph : Graph or None
        Of the last call.
    local : str
        The last part of the path of its first scope: query, or dense_1.
    waiting : (mapping, str) or None
        A state and its layout, until the parameters are made.
    results : list of Node
        Of the last call.
    begun : dict of Node to callable
        What draws the first values of parameters again.
    """

    origin: Origin
    graph: Graph | None = None
    local: str = ""
    waiting: tuple[Mapping[str, Any], str] | None = None
    results: list[Node] = field(default_factory=list)
    begun: dict[Node, Callable[[Rng], Array]] = field(default_factory=dict)


@elsewhere("layer", "the layer {}")
class Layer:
    """Base class of the layers: define ``call``, and keep the parts of the layer as attributes.

    Every call opens a scope. It has the name of the attribute that holds the layer, if the layer that calls it has one:
    ``query`` for ``self.query = nn.Dense(…)``. Else it has the name of the class, with a number: ``dense_1``. A second
    call uses the same parameters, and makes its nodes in ``query_2`` or ``dense_1_2``.

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
    ['residual_1/inner/weight', 'residual_1/inner/bias']
    """

    _instead_of_fetch: ClassVar[str] = "layer(x) is one, and layer.parameters is a list of some"

    __own: _Own

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Not in __init__, because a subclass need not call that.
        layer = super().__new__(cls)
        layer.__own = _Own(user_origin())
        return layer

    def __init__(self) -> None:
        """Do nothing; a subclass need not call this."""

    def call(self, *inputs: Any, **settings: Any) -> Any:
        """Return the node that the layer computes; a subclass defines this.

        Parameters
        ----------
        *inputs : Node
            The arguments of the call of the layer.
        training : bool
            Passed if the signature has it.
        **settings
            The other keywords of the call of the layer.

        Returns
        -------
        Node, or list, tuple or dict of them
        """
        kind = type(self)
        rename = "; rename its forward to call" if "forward" in vars(kind) else ""
        raise NoRuleError(f"{kind.__name__} does not say what it computes: define call(self, x){rename}")

    def __call__(self, *inputs: Any, training: bool | None = None, **settings: Any) -> Any:
        """Add the layer's nodes to the graph of its inputs.

        Parameters
        ----------
        *inputs : Node
        training : bool, optional
            Whether dropout and similar layers are active. By default, the value of the layer around this one, and
            False if there is none.
        **settings
            Handed on to `call`: ``mask=m``.

        Returns
        -------
        Node, or the list, tuple or dict of nodes that `call` returns

        Raises
        ------
        UsageError
            When no input is a node, `call` does not return one, or `training` is not a bool.
        GraphError
            When the layer's parameters are in another graph.
        """
        graph = self.__graph_of((*inputs, *settings.values()))
        # A layer that is called for evaluation hands training=False on to those in it, which says nothing.
        says_it = training is not None and (_around.get() is None or training_now.get())
        if training is None:
            training = training_now.get()
        training = checked_flag(f"{type(self).__name__}: training", training)
        meant = not training and (says_it or evaluation_meant.get())
        # In a copy of the context: `training_now` is back to its old value after the call, also after an interrupt.
        result = copy_context().run(self.__made, graph, inputs, settings, training, meant)
        leaves, _ = flatten(result)
        wrong = [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Node)]
        if wrong or not leaves:
            raise UsageError(
                f"{type(self).__name__}.call returned {wrong[0] if wrong else 'nothing'}; "
                "it returns the node that the layer computes, or a list, tuple or dict of nodes"
            )
        self._called_in(graph)
        self.__own.results = leaves
        return result

    def _last_results(self) -> list[Node]:
        """Return the nodes that the last call returned.

        Raises
        ------
        UsageError
            Before the first call.
        """
        if not self.__own.results:
            raise UsageError(f"{type(self).__name__} has no nodes yet: they are made when it is called on a node")
        return self.__own.results

    def _was_called(self) -> bool:
        return self.__own.graph is not None

    def _to_be_called(self) -> Layer | None:
        """Return the layer whose first call is to make its parameters; None if all are made."""
        return None if self._was_called() else self

    def __check_made(self, what: str) -> None:
        lacks = self._to_be_called()
        if lacks is not None:
            kind, part = type(self).__name__, type(lacks).__name__
            if lacks is not self and self.__found():
                raise UsageError(
                    f"{kind} has not all its parameters yet: those of the {part} in it are made when that is first "
                    "called on a node"
                )
            raise UsageError(
                f"{kind} has no {what} yet: parameters are made when it is first called on a node, since their shapes "
                "depend on it"
            )

    def _called_in(self, graph: Graph) -> None:
        self.__own.graph = graph
        if self.__own.waiting is not None:
            Held(self).set(*self.__own.waiting)
            self.__own.waiting = None  # not before: a state that does not fit is an error at every call

    def __made(
        self, graph: Graph, inputs: tuple[Any, ...], settings: Mapping[str, Any], training: bool, meant: bool
    ) -> Any:
        training_now.set(training)
        evaluation_meant.set(meant)
        # Under the lock, so that no other thread makes the parameters a second time.
        with graph.building, fitting(type(self).__name__, list(inputs)):
            before = len(graph.state)
            result = self._make_nodes(graph, inputs, settings)
            if len(graph.state) > before:
                self.__remember_first_values()
            return result

    def __remember_first_values(self) -> None:
        """Keep the values of new parameters that no initializer has drawn, such as running statistics."""
        if self.__own.begun.keys() >= set(self.__found()):
            return
        held = Held(self)
        begun = {node for layer in held.layers.values() for node in layer.__own.begun}
        for node in held.nodes.values():
            if node not in begun:
                self.__own.begun[node] = _always(compact(node.graph.state[node]))

    def _begun(self, parameter: Node, draw: Callable[[Rng], Array]) -> Node:
        """Return a parameter, after noting how its first value is drawn."""
        self.__own.begun[parameter] = draw
        return parameter

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self.__own.graph is not None:
            raise UsageError(
                f"{type(self).__name__} has nodes and cannot be copied: make another layer and call "
                "other.load_state_dict(layer.state_dict()), which gives it the same numbers"
            )
        memo[id(self)] = other = type(self).__new__(type(self))
        vars(other).update(deepcopy(vars(self), memo))
        return other

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. Warn of a setting that is changed after a call: nodes that were made keep theirs.

        Raises
        ------
        UsageError
            For an array or list in the place of a parameter: it would not be trained.
        AttributeError
            When a class of graphnn's has no such attribute; or when it is a property, such as `parameters`.
        """
        held = self.__dict__
        if name not in held:
            if not isinstance(value, (Node, Layer, list, tuple, Mapping)):  # in these, parameters are looked for
                check_has(self, name, "layer")
        else:
            numbers = hasattr(value, "__array__") or isinstance(value, (list, tuple))
            if numbers and not isinstance(value, Node):
                self.__check_replaced(name)
            if self._was_called() and self.__is_setting(name):
                warn_if_late(self, name, value, "it was called")
        try:
            super().__setattr__(name, value)
        except AttributeError:
            told = getattr(type(self), name, None)
            if not isinstance(told, property) or told.fset is not None:
                raise
            about = (told.__doc__ or "").partition("\n")[0].replace("`", "")
            raise attribute_error(f"{type(self).__name__}.{name} cannot be set. {about}".rstrip()) from None

    def __is_setting(self, name: str) -> bool:
        """Return whether calls make nodes by an attribute, other than a parameter or what a call itself sets."""
        around = _around.get()
        is_called = around is not None and around[1] is self
        return not is_called and not isinstance(vars(self)[name], Node) and name in settings_of(type(self))

    def __check_replaced(self, name: str) -> None:
        kind, held = type(self), vars(self)[name]
        set_it = f"layer.{name}.value = array"
        if isinstance(held, Node) and held in held.graph.state:
            raise UsageError(f'{kind.__name__}.{name} is the parameter "{held.name}": write {set_it}')
        if held is None and name[0] != "_" and kind.__module__.startswith(f"{__package__}."):
            given = f"{kind.__name__}(…, {name}=array), or " if takes(kind.__init__, name) else ""
            raise UsageError(
                f"{kind.__name__}.{name} is a parameter, which the first call makes: write {given}{set_it} after it"
            )

    @property
    def parameters(self) -> _Parameters:
        """The trainable parameters of the layer and of the layers in it, in the order in which they were made.

        Raises
        ------
        UsageError
            Before the first call, which makes the parameters.
        """
        self.__check_made("parameters")
        return _Parameters(node for node in self.__found() if node.trainable)

    def __found(self) -> list[Node]:
        """Return the parameters in the attributes of this layer and of the layers in it, in the order of making."""
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
                each = parts.values() if isinstance(parts, Mapping) else parts
                # A copy: another thread may be about to call the layer, too, and set its attributes.
                waiting.extend([part for part in list(each) if type(part) not in _HOLDS_NOTHING])
        return sorted(found, key=attrgetter("index"))

    def state_dict(self) -> dict[str, Array]:
        """Return the values of the parameters and of what else the layer keeps, such as running statistics.

        Returns
        -------
        dict of str to array
            Each under the path by which it is held, as in PyTorch: ``attention.query.weight`` for the ``weight`` of
            ``self.attention.query``, and ``0.weight`` in the first layer of a `Sequential` or a list. A layer that is
            held in several places is listed once, under the first. The counters of random nodes are left out.

        Raises
        ------
        UsageError
            Before the first call, which makes the parameters.

        Examples
        --------
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> network = nn.Sequential(nn.Dense(3), nn.ReLU(), nn.Dense(2))
        >>> y = network(gn.Graph().placeholder("x", ("batch", 4)))
        >>> {name: array.shape for name, array in network.state_dict().items()}
        {'0.weight': (4, 3), '0.bias': (3,), '2.weight': (3, 2), '2.bias': (2,)}
        """
        self.__check_made("state")
        return Held(self).values()

    def load_state_dict(self, state: Any, layout: str = "graphnn") -> None:
        """Set all values that `state_dict` returns. Before the first call, they are kept and set by it.

        Parameters
        ----------
        state : mapping of str to array_like, or path
            As `state_dict` returns it, or a file of such arrays in the format of safetensors.
        layout : {"graphnn", "torch"}
            "torch": a ``state_dict`` of PyTorch, whose weights of linear and recurrent layers are transposed, and whose
            attention has parameters of its own. The shape of a square matrix does not show it.

        Raises
        ------
        NotFoundError
            When a value is missing, or belongs to nothing.
        ShapeError, DtypeError
            When a value does not fit.
        FileFormatError
            When the file is not in the format of safetensors.

        Examples
        --------
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> layer = nn.Dense(2)
        >>> layer.load_state_dict({"weight": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "bias": [0.0, 1.0]}, layout="torch")
        >>> gn.run(layer(gn.Graph().constant([1.0, 0.0, 1.0])))
        array([ 4., 11.])
        """
        checked = checked_state(f"{type(self).__name__}.load_state_dict", state, layout)
        if self.__own.graph is None:
            self.__own.waiting = dict(checked), layout
        else:
            Held(self).set(checked, layout)
            self.__own.waiting = None

    def reinitialize(self, rng: Rng) -> None:
        """Set all parameters to new first values, as if the layer were made again with this generator.

        Weights are drawn by their initializers, in the order in which they were made. Everything else has its first
        value again: weights that were given to a layer, running statistics, the counters of random nodes, and the
        parameters that your own layers make of arrays. The seed of a `Dropout` stays as it is: `rng` draws none. What
        an optimizer keeps is set back by `Optimizer.reset`.

        Parameters
        ----------
        rng : numpy.random.Generator or numpy.random.RandomState

        Raises
        ------
        UsageError
            Before the first call, which makes the parameters.

        Examples
        --------
        >>> import numpy as np
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> x = gn.Graph().placeholder("x", ("batch", 4))
        >>> layer, other = nn.Dense(3), nn.Dense(3, rng=np.random.default_rng(7))
        >>> y, z = layer(x), other(x)
        >>> layer.reinitialize(np.random.default_rng(7))
        >>> bool((layer.weight.value == other.weight.value).all())
        True
        """
        kind = type(self).__name__
        self.__check_made("parameters")
        given = checked_rng(rng, f"{kind}.reinitialize")
        if given is None:
            raise UsageError(f"{kind}.reinitialize draws from a generator: np.random.default_rng(seed) makes one")
        held = Held(self)
        begun = {node: draw for layer in held.layers.values() for node, draw in layer.__own.begun.items()}
        nodes = sorted(held.nodes.values(), key=lambda node: node.index)
        drawn = {node: begun[node](given) for node in nodes if node in begun}
        for graph in {node.graph for node in drawn}:
            with updating(graph):
                graph.state.update({node: value for node, value in drawn.items() if node.graph is graph})

    def _held(self) -> Iterable[tuple[str, Any]]:
        """Return the attributes, some of which are parameters and layers."""
        return [(name, value) for name, value in list(vars(self).items()) if not name.startswith("_Layer__")]

    def _from_torch(self, state: dict[str, Array]) -> dict[str, Array]:
        """Return a ``state_dict`` of the same layer of PyTorch in the names and layouts that are used here."""
        return state

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

    def _make_nodes(self, graph: Graph, inputs: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
        with graph.in_scope(self._free_path(graph), kind=type(self).__name__, origin=self.__own.origin):
            before = _around.set((graph, self))
            try:
                if takes(self.call, "training"):
                    return self.call(*inputs, training=training_now.get(), **settings)
                return self.call(*inputs, **settings)
            except TypeError as error:
                more = () if takes(self.call, "training") else (_TRAINING,)
                explain(error, self.call, inputs, settings, type(self).__name__, *more)
                raise
            finally:
                _around.reset(before)

    def _free_path(self, graph: Graph) -> str:
        """Return the path of the scope of this call: ``dense_1`` at first, later ``dense_1_2``."""
        if self.__own.graph is graph:
            return graph.free_name(self.__own.local)
        own = self.__held_as(graph)
        path = graph.free_name(own or snake(type(self).__name__), numbered=not own)
        self.__own.local = path.rpartition("/")[2]
        return path

    def __held_as(self, graph: Graph) -> str:
        """Return the name of the attribute by which the layer around this one holds it; empty if it does not."""
        around = _around.get()
        if around is None or around[0] is not graph:
            return ""
        held = (name for name, value in list(vars(around[1]).items()) if value is self and name.isidentifier())
        return attribute_name(next(held, ""))

    def __repr__(self) -> str:
        state = f'"{self.__own.local}"' if self.__own.graph is not None else "not called yet"
        return f"<{type(self).__name__}, {state}>"


def _always(array: Array) -> Callable[[Rng], Array]:
    return lambda rng: array


def snake(name: str) -> str:
    """Return the name of a class in snake case.

    Examples
    --------
    >>> [snake(name) for name in ("LeakyReLU", "PReLU", "Conv2D", "LSTMCell", "ResidualBlock")]
    ['leaky_relu', 'prelu', 'conv2d', 'lstm_cell', 'residual_block']
    """
    name = re.sub(r"P?ReLU|SiLU", lambda word: word[0].capitalize(), name.strip("_"))
    starts = r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])"
    return re.sub(starts, "_", name).lower() or "layer"


def takes(function: Callable[..., Any], keyword: str) -> bool:
    """Return whether a function has an argument with this name."""
    try:
        names = _keywords(function.__func__) if isinstance(function, MethodType) else _keywords.__wrapped__(function)
    except (TypeError, ValueError):
        return False
    return keyword in names or "**" in names


@lru_cache(maxsize=256)
def _keywords(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's arguments, and ``"**"`` where it takes any others."""
    parameters = inspect.signature(function).parameters.values()
    return frozenset("**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters)


def only_node(layer: Layer, *inputs: Any) -> Node:
    """Return the input of a layer that takes one node."""
    x = inputs[0] if len(inputs) == 1 else inputs
    if not isinstance(x, Node):
        raise UsageError(f"{type(layer).__name__} is called on one node, not on {type(x).__name__}")
    return x
