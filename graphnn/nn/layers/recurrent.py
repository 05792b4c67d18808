"""Recurrent layers: one step after the other, by a loop, or over a short known length each as nodes of its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ...control_flow.scan import MOST_UNROLLED, scan
from ...core import Array, Dim, Graph, Node, computed_in, fn, user_origin
from ...core.attributes import whole
from ...core.symbolic_shapes import shown, unify
from ...errors import DtypeError, GraphnnWarning, ShapeError, UsageError
from ..argument_validation import check_choice, checked_flag, checked_number
from ..init import Rng, checked_initializer, glorot_uniform, orthogonal, zeros
from .dropout import Dropout
from .layer import only_node
from .layer_parameters import Weighted, check_float

_States = tuple[Node, ...]


class _Recurrent(Weighted):
    """Base class: x of shape (batch, time, features) to (batch, time, units), by a cell that subclasses define.

    A subclass says how many gates a cell has, each of the size of the units, how many states, and defines `step`.
    """

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    adds_biases: ClassVar[bool] = True
    """Whether both biases are only ever added, so that their sum can be added once for all steps."""

    def __init__(
        self,
        units: int,
        layers: int = 1,
        bidirectional: bool = False,
        *,
        dropout: float = 0.0,
        use_bias: bool = True,
        return_sequences: bool = True,
        return_state: bool = False,
        unroll: bool | None = None,
        weight_init: Any = glorot_uniform,
        recurrent_init: Any = orthogonal,
        bias_init: Any = zeros,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        super().__init__(rng, dtype)
        self.units, self.layers = whole(f"{kind}: units", units, 1), whole(f"{kind}: layers", layers, 1)
        self.bidirectional = checked_flag(f"{kind}: bidirectional", bidirectional)
        self.use_bias = checked_flag(f"{kind}: use_bias", use_bias)
        self.return_sequences = checked_flag(f"{kind}: return_sequences", return_sequences)
        self.return_state = checked_flag(f"{kind}: return_state", return_state)
        self.unroll = None if unroll is None else checked_flag(f"{kind}: unroll", unroll)
        self.weight_init = checked_initializer(weight_init, f"{kind}: weight_init")
        self.recurrent_init = checked_initializer(recurrent_init, f"{kind}: recurrent_init")
        self.bias_init = checked_initializer(bias_init, f"{kind}: bias_init")
        rate = checked_number(f"{kind}: dropout", dropout, 0, 1)
        if rate and self.layers == 1:
            message = f"{kind}: dropout={rate:g} lies between layers, and there is only one; write nn.Dropout after it"
            warnings.warn_explicit(message, GraphnnWarning, *user_origin())
        seeds = range(layers - 1) if rng is None else [0] * (layers - 1)
        self.between = [Dropout(rate, seed, rng=rng) for seed in seeds] if rate else []
        self._weights: dict[str, Node] = {}

    @property
    def weights(self) -> Mapping[str, Node]:
        """The parameters by name. To set the value of one, write ``lstm.weights[name].value = array``."""
        return MappingProxyType(self._weights)

    def call(self, x: Node, mask: Any = None, initial_state: Any = None, lengths: Any = None) -> Any:
        """Return the states of the last layer, and, if asked for, the last states of all layers.

        Parameters
        ----------
        x : Node
            (batch, time, features). The time may have a name, unless the steps are unrolled.
        mask : Node or array_like, optional
            (batch, time), bools. True means keep. Where it is False, the states stay as they are, and the result is 0.
        initial_state : Node, or tuple of two for an LSTM, optional
            (layers · directions, batch, units), as the last states. By default zeros.
        lengths : Node or array_like, optional
            (batch,), integers from 0 to the time: how many steps of each sequence count. It stands for a mask. A run
            with another one raises a LabelError.
        """
        kind = type(self).__name__
        check_float(kind, only_node(self, x))
        if x.ndim != 3:
            raise ShapeError(f'{kind} takes (batch, time, features), and "{x.name}" has shape {shown(x.shape)}')
        (features,) = self.sizes(x, [2])
        unrolled = self._is_unrolled(x)
        if lengths is not None:
            if mask is not None:
                raise UsageError(f"{kind}: give mask= or lengths=, which say the same")
            mask = self._mask_of(x, lengths)
        kept = None if mask is None else self._checked_mask(x, mask)
        given = None if initial_state is None else self._given_states(x, initial_state)
        directions = ("", "_reverse") if self.bidirectional else ("",)
        lasts: list[_States] = []
        single = self.layers == 1 and not self.bidirectional
        run = self._unrolled if unrolled else self._scanned
        for layer in range(self.layers):
            results: list[Any] = []
            for suffix in directions:
                names = self._made(x.graph, layer, suffix, features)
                start = given[len(lasts)] if given else self._zeros(x)
                if single:
                    result, last = run(x, names, start, kept, reverse=bool(suffix))
                else:
                    with x.graph.new_scope(f"layer_{layer + 1}{suffix}", kind=f"{kind} layer"):
                        result, last = run(x, names, start, kept, reverse=bool(suffix))
                results.append(result)
                lasts.append(last)
            if layer + 1 == self.layers and not self.return_sequences:
                x = _beside([last[0] for last in lasts[-len(directions) :]])
            else:
                x = fn.swapaxes(_in_time(results), 0, 1)
                features = self.units * len(directions)
            if layer < len(self.between):
                x = self.between[layer](x)
        if not self.return_state:
            return x
        stacked = tuple(fn.stack([last[i] for last in lasts], axis=0) for i in range(self.states))
        return x, stacked[0] if self.states == 1 else stacked

    def step(self, x: Node, states: _States, weight: Node, bias: Node | None) -> _States:
        """Return the next states; x is the input's part of the gates, with all biases but the one given."""
        raise NotImplementedError

    def gates_of(self, x: Node) -> list[Node]:
        """Return the parts of gates that lie one beside the other along the last axis."""
        return _unbound(fn.reshape(x, (x.shape[0], self.gates, self.units)), 1)

    def _is_unrolled(self, x: Node) -> bool:
        """Whether each step is nodes of its own."""
        if self.unroll:
            self.sizes(x, [1], "its steps, which unroll=True makes one by one")
        known = isinstance(x.shape[1], int)
        return known and int(x.shape[1]) <= MOST_UNROLLED if self.unroll is None else self.unroll

    def _inputs(self, x: Node, names: Sequence[str]) -> tuple[Node, Node, Node | None]:
        """Return the input's part of the gates, time first, the weight of the state, and the bias that is added later.

        That is made for all steps at once, and each step lies in one piece.
        """
        weight_ih, weight_hh, *biases = (self._weights[name] for name in names)
        inputs = fn.matmul(fn.swapaxes(x, 0, 1), weight_ih)
        if not biases:
            return inputs, weight_hh, None
        first, later = (biases[0] + biases[1], None) if self.adds_biases else biases
        return inputs + first, weight_hh, later

    def _unrolled(
        self, x: Node, names: Sequence[str], states: _States, kept: Node | None, reverse: bool
    ) -> tuple[list[Node], _States]:
        """Return the result of each step, and the last states, of one layer in one direction."""
        inputs, weight, bias = self._inputs(x, names)
        steps = _unbound(inputs, 0)
        masks = None if kept is None else _unbound(fn.expand_dims(kept, -1), 1)
        results: list[Node] = []
        for t in reversed(range(len(steps))) if reverse else range(len(steps)):
            with x.graph.new_scope("step", numbered=True, kind=f"{type(self).__name__} step"):
                following = self.step(steps[t], states, weight, bias)
                result = following[0]
                if masks is not None:
                    following = tuple(fn.where(masks[t], a, b) for a, b in zip(following, states, strict=True))
                    result = fn.where(masks[t], result, 0.0)
            states = following
            results.append(result)
        return results[::-1] if reverse else results, states

    def _scanned(
        self, x: Node, names: Sequence[str], states: _States, kept: Node | None, reverse: bool
    ) -> tuple[Node, _States]:
        """Return the results of all steps, time first, and the last states, by a loop."""
        inputs, weight, bias = self._inputs(x, names)

        def step(states: _States, row: Node) -> tuple[_States, Node]:
            following = self.step(row, states, weight, bias)
            return following, following[0]

        dtype = computed_in(np.result_type(inputs.dtype, *[state.dtype for state in states]))
        sizes = [node.shape[0] for node in (x, *states, *([] if kept is None else [kept]))]
        batch = next((size for size in sizes if isinstance(size, int) and size != 1), x.shape[0])
        first = tuple([_fitting(state, (batch, self.units), dtype) for state in states])
        mask = None if kept is None else fn.swapaxes(_fitting(kept, (batch, x.shape[1]), kept.dtype), 0, 1)
        found: tuple[_States, Node] = scan(step, first, inputs, reverse, mask=mask)
        return found[1], found[0]

    def _made(self, graph: Graph, layer: int, suffix: str, features: int) -> list[str]:
        """Make the parameters of a layer in one direction, unless there are, and return their names."""
        kinds = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if self.use_bias else ()))
        names = [f"{kind}_l{layer}{suffix}" for kind in kinds]
        width = self.gates * self.units
        shapes = [(features, width), (self.units, width), (width,), (width,)]
        inits = [self.weight_init, self.recurrent_init, self.first_bias, self.bias_init]
        for name, shape, init in zip(names, shapes, inits, strict=False):
            if name not in self._weights:
                self._weights[name] = self.made(graph, name, shape, init)
        return names

    def first_bias(self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Array:
        """Return the initial value of the bias of the input."""
        return self.bias_init(shape, dtype, rng)

    def _zeros(self, x: Node) -> _States:
        return (fn.zeros((x.shape[0], self.units), x.dtype, graph=x.graph),) * self.states

    def _given_states(self, x: Node, given: Any) -> list[_States]:
        """Return the initial states of each layer and direction."""
        kind, count = type(self).__name__, self.layers * (1 + self.bidirectional)
        nodes = given if isinstance(given, (tuple, list)) else (given,)
        if len(nodes) != self.states or not all(isinstance(node, Node) for node in nodes):
            what = "one node" if self.states == 1 else f"a tuple of {self.states} nodes"
            raise UsageError(f"{kind}: initial_state is {what}, of shape ({count}, batch, {self.units})")
        for node in nodes:
            fits = node.ndim == 3 and (node.shape[0], node.shape[2]) == (count, self.units)
            if not fits or not _for_batch(node.shape[1], x):
                raise ShapeError(
                    f"{kind}: initial_state has shape ({count}, batch, {self.units}), here "
                    f"{shown((count, x.shape[0], self.units))}, and "
                    f'"{node.name}" has {shown(node.shape)}'
                )
        return list(zip(*(_unbound(node, 0) for node in nodes), strict=True))

    def _mask_of(self, x: Node, lengths: Any) -> Node:
        """Return the mask that lengths stand for."""
        lengths = lengths if isinstance(lengths, Node) else x.graph.constant(lengths)
        if lengths.dtype.kind not in "iu":
            raise DtypeError(f'{type(self).__name__}: lengths are integers, and "{lengths.name}" is {lengths.dtype}')
        if lengths.ndim != 1 or not _for_batch(lengths.shape[0], x):
            raise ShapeError(
                f"{type(self).__name__}: lengths have shape (batch,), here {shown(x.shape[:1])}, and "
                f'"{lengths.name}" has {shown(lengths.shape)}'
            )
        # Each is picked from the numbers from 0 to the time, which refuses all others.
        every = fn.broadcast_to(fn.arange(x.shape[1] + 1, graph=x.graph), (lengths.shape[0], x.shape[1] + 1))
        checked = fn.pick(every, lengths, name="lengths_up_to_time")
        return fn.less(fn.arange(x.shape[1], graph=x.graph), fn.expand_dims(checked, -1))

    def _checked_mask(self, x: Node, mask: Any) -> Node:
        node: Node = mask if isinstance(mask, Node) else x.graph.constant(mask)
        if node.dtype != np.dtype(bool):
            raise DtypeError(f'{type(self).__name__}: a mask is bools, True to keep; "{node.name}" is {node.dtype}')
        if node.ndim != 2 or node.shape[1] != x.shape[1] or not _for_batch(node.shape[0], x):
            raise ShapeError(
                f'{type(self).__name__}: a mask has shape (batch, time), here {shown(x.shape[:2])}, and "{node.name}" '
                f"has {shown(node.shape)}"
            )
        return node

    def _held(self) -> Iterable[tuple[str, Any]]:
        return [*self._weights.items(), *((name, value) for name, value in super()._held() if name != "_weights")]

    def _from_torch(self, state: dict[str, Array]) -> dict[str, Array]:
        return {name: array.T if name.startswith("weight_") else array for name, array in state.items()}


def _for_batch(size: Dim, x: Node) -> bool:
    """Return whether the size of a batch is that of x, or 1, which stands for all."""
    return size == 1 or unify(size, x.shape[0]) is not None


def _unbound(x: Node, axis: int) -> list[Node]:
    parts: Any = fn.unbind(x, axis=axis)
    return list(parts)


def _fitting(x: Node, shape: tuple[Dim, ...], dtype: Any) -> Node:
    """Return a state or a mask in the shape and dtype that it has in all steps."""
    x = x if x.dtype == dtype else fn.cast(x, dtype)
    return x if x.shape == shape else fn.broadcast_to(x, shape)


def _in_time(results: Sequence[Any]) -> Node:
    """Return the results of one direction or both, time first."""
    if isinstance(results[0], Node):
        return _beside(results)
    return fn.stack([_beside(both) for both in zip(*results, strict=True)], axis=0)


def _beside(both: Sequence[Node]) -> Node:
    """Return what both directions give, one beside the other."""
    if len(both) > 1:
        return fn.concatenate(list(both), axis=-1)
    return both[0]


class RNN(_Recurrent):
    """The simple recurrent layer: h = tanh(x @ weight_ih + bias_ih + h @ weight_hh + bias_hh).

    Call it on x of shape (batch, time, features), with ``mask=`` or ``lengths=`` and ``initial_state=`` if need be.

    Parameters
    ----------
    units : int
        The size of the state, and of the result's last axis; in both directions, that is twice the units.
    layers : int
        The number of stacked layers.
    bidirectional : bool
        Whether each layer also goes backwards over time. The results of both directions lie one beside the other.
    activation : {"tanh", "relu"}
    **settings
        As in `LSTM`.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 5, 3))
    >>> nn.RNN(4)(x)
    <Node "rnn_1/transpose_2": transpose (batch, 5, 4) float64>
    """

    def __init__(
        self,
        units: int,
        layers: int = 1,
        bidirectional: bool = False,
        *,
        activation: str = "tanh",
        dropout: float = 0.0,
        use_bias: bool = True,
        return_sequences: bool = True,
        return_state: bool = False,
        unroll: bool | None = None,
        weight_init: Any = glorot_uniform,
        recurrent_init: Any = orthogonal,
        bias_init: Any = zeros,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        check_choice("RNN", "activation", activation, ("tanh", "relu"))
        super().__init__(
            units,
            layers,
            bidirectional,
            dropout=dropout,
            use_bias=use_bias,
            return_sequences=return_sequences,
            return_state=return_state,
            unroll=unroll,
            weight_init=weight_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
            rng=rng,
            dtype=dtype,
        )
        self.activation = activation

    def step(self, x: Node, states: _States, weight: Node, bias: Node | None) -> _States:
        """Return the next state."""
        total = x + fn.matmul(states[0], weight)
        return (fn.tanh(total) if self.activation == "tanh" else fn.relu(total),)


class LSTM(_Recurrent):
    """Long short-term memory: a cell state that gates write to, keep, and read.

    Call it on x of shape (batch, time, features), with ``mask=`` or ``lengths=`` and ``initial_state=`` if need be.
    The gates stand in the order of PyTorch and Keras: input, forget, candidate, output.

    Parameters
    ----------
    units : int
        The size of the states, and of the result's last axis; in both directions, that is twice the units.
    layers : int
        The number of stacked layers.
    bidirectional : bool
        Whether each layer also goes backwards over time. The results of both directions lie one beside the other.
    unit_forget_bias : bool
        Whether the bias of the forget gate begins at 1, as in Keras.
    dropout : float
        The rate of the dropout between the layers, in training. A single layer has none, and warns.
    use_bias : bool
    return_sequences : bool
        Whether the result has the states of all steps, (batch, time, units); else only the last, (batch, units).
    return_state : bool
        Whether the last states of all layers are returned, too: ``(result, (h, c))``, of a layer with one state
        ``(result, h)``. They have the shape (layers · directions, batch, units).
    unroll : bool, optional
        Whether each step becomes nodes of its own, which needs a known length; else a loop runs over the steps. By
        default, up to 64 steps of a known length become nodes.
    weight_init, recurrent_init, bias_init : initializer
        Of the weights of the input, of those of the state, and of the biases. By default, `nn.init.glorot_uniform`,
        `nn.init.orthogonal` and zeros, as in Keras.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        As in `Dense`.
    dtype : dtype, optional
        The dtype of the parameters, as in `Dense`.

    Attributes
    ----------
    weights : mapping of str to Node
        By PyTorch's names: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, and so on for the other
        layers, with ``_reverse`` for the other direction. Empty before the first call.

    Notes
    -----
    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997).

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 5, 3))
    >>> nn.LSTM(4, layers=2, bidirectional=True)(x)
    <Node "lstm_1/transpose_2": transpose (batch, 5, 8) float64>
    >>> y, (h, c) = nn.LSTM(4, return_state=True)(x)
    >>> y.shape, h.shape, c.shape
    (('batch', 5, 4), (1, 'batch', 4), (1, 'batch', 4))
    """

    gates, states = 4, 2

    def __init__(
        self,
        units: int,
        layers: int = 1,
        bidirectional: bool = False,
        *,
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        use_bias: bool = True,
        return_sequences: bool = True,
        return_state: bool = False,
        unroll: bool | None = None,
        weight_init: Any = glorot_uniform,
        recurrent_init: Any = orthogonal,
        bias_init: Any = zeros,
        rng: Rng | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            units,
            layers,
            bidirectional,
            dropout=dropout,
            use_bias=use_bias,
            return_sequences=return_sequences,
            return_state=return_state,
            unroll=unroll,
            weight_init=weight_init,
            recurrent_init=recurrent_init,
            bias_init=bias_init,
            rng=rng,
            dtype=dtype,
        )
        self.unit_forget_bias = checked_flag("LSTM: unit_forget_bias", unit_forget_bias)

    def step(self, x: Node, states: _States, weight: Node, bias: Node | None) -> _States:
        """Return the next state, and the next cell state."""
        hidden, cell = states
        take, keep, candidate, give = self.gates_of(x + fn.matmul(hidden, weight))
        cell = fn.sigmoid(keep) * cell + fn.sigmoid(take) * fn.tanh(candidate)
        return fn.sigmoid(give) * fn.tanh(cell), cell

    def first_bias(self, shape: tuple[int, ...], dtype: np.dtype[Any], rng: Rng) -> Array:
        """Return the initial value of the bias of the input, with ones for the forget gate."""
        bias = np.array(super().first_bias(shape, dtype, rng))
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1
        return bias


class GRU(_Recurrent):
    """Gated recurrent units: gates that mix the last state with a candidate for the next.

    Call it on x of shape (batch, time, features), with ``mask=`` or ``lengths=`` and ``initial_state=`` if need be.
    The gates stand in the order of PyTorch: reset, update, candidate; the reset gate comes after the product of the
    state with its weight, as in PyTorch and Keras.

    Parameters
    ----------
    units : int
        The size of the state, and of the result's last axis; in both directions, that is twice the units.
    layers : int
        The number of stacked layers.
    bidirectional : bool
        Whether each layer also goes backwards over time. The results of both directions lie one beside the other.
    **settings
        As in `LSTM`.

    Notes
    -----
    K. Cho et al., "Learning phrase representations using RNN encoder–decoder for statistical machine translation",
    EMNLP 2014.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Graph().placeholder("x", ("batch", 5, 3))
    >>> nn.GRU(4, return_sequences=False)(x).shape
    ('batch', 4)
    """

    gates = 3
    adds_biases = False  # the reset gate is multiplied with the bias of the state

    def step(self, x: Node, states: _States, weight: Node, bias: Node | None) -> _States:
        """Return the next state."""
        (hidden,) = states
        own = fn.matmul(hidden, weight)
        x_reset, x_update, x_candidate = self.gates_of(x)
        h_reset, h_update, h_candidate = self.gates_of(own if bias is None else own + bias)
        reset, update = fn.sigmoid(x_reset + h_reset), fn.sigmoid(x_update + h_update)
        candidate = fn.tanh(x_candidate + reset * h_candidate)
        return (candidate + update * (hidden - candidate),)
