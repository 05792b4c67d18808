"""Recurrent layers: a short known length as steps one after the other, else a loop; the weights are turned once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...control_flow.scan import MOST_UNROLLED, scan
from ...core import Node, fn
from .call import several
from .randomness import dropped
from .table import aten, refused

if TYPE_CHECKING:
    from .call import Call

_States = tuple[Node, ...]
_Step = Callable[[Node, _States], _States]


class _Weights:
    """The weights of one layer in one direction, or of a cell."""

    def __init__(self, w_ih: Node, w_hh: Node, b_ih: Node | None, b_hh: Node | None, w_hr: Node | None = None) -> None:
        self.of_input, self.of_state = fn.transpose(w_ih, (1, 0)), fn.transpose(w_hh, (1, 0))
        self.b_ih, self.b_hh = b_ih, b_hh
        self.projection = None if w_hr is None else fn.transpose(w_hr, (1, 0))

    def inputs(self, x: Node, both: bool) -> Node:
        """Return the input's part of the gates, with both biases where they are only ever added."""
        found = fn.matmul(x, self.of_input)
        if self.b_ih is None:
            return found
        return found + (self.b_ih + self.b_hh if both and self.b_hh is not None else self.b_ih)


def _parts(x: Node, count: int) -> list[Node]:
    """Return gates that lie one beside the other along the last axis."""
    return several(fn.split(x, count, axis=x.ndim - 1))


def _lstm_step(w: _Weights, x: Node, states: _States) -> _States:
    hidden, cell = states
    take, keep, candidate, give = _parts(x + fn.matmul(hidden, w.of_state), 4)
    cell = fn.sigmoid(keep) * cell + fn.sigmoid(take) * fn.tanh(candidate)
    hidden = fn.sigmoid(give) * fn.tanh(cell)
    return (hidden if w.projection is None else fn.matmul(hidden, w.projection)), cell


def _gru_step(w: _Weights, x: Node, states: _States) -> _States:
    (hidden,) = states
    own = fn.matmul(hidden, w.of_state)
    x_reset, x_update, x_candidate = _parts(x, 3)
    h_reset, h_update, h_candidate = _parts(own if w.b_hh is None else own + w.b_hh, 3)
    reset, update = fn.sigmoid(x_reset + h_reset), fn.sigmoid(x_update + h_update)
    candidate = fn.tanh(x_candidate + reset * h_candidate)
    return (candidate + update * (hidden - candidate),)


def _tanh_step(w: _Weights, x: Node, states: _States) -> _States:
    return (fn.tanh(x + fn.matmul(states[0], w.of_state)),)


def _relu_step(w: _Weights, x: Node, states: _States) -> _States:
    return (fn.relu(x + fn.matmul(states[0], w.of_state)),)


def _one_direction(x: Node, states: _States, step: _Step, reverse: bool) -> tuple[Node, _States]:
    """Return the results of all steps, time first, and the last states."""
    length = x.spec.shape[0]
    if not isinstance(length, int) or length > MOST_UNROLLED:

        def row(before: _States, now: Node) -> tuple[_States, Node]:
            after = step(now, before)
            return after, after[0]

        last, results = scan(row, states, x, reverse)
        return results, last
    each = several(fn.unbind(x, axis=0))
    found: list[Node] = []
    for now in each[::-1] if reverse else each:
        states = step(now, states)
        found.append(states[0])
    return fn.stack(found[::-1] if reverse else found, axis=0), states


def _layers(
    call: Call,
    x: Node,
    first: list[Node],
    params: list[Node],
    step: Callable[[_Weights, Node, _States], _States],
    both: bool,
    settings: tuple[bool, int, float, bool, bool, bool],
) -> tuple[Node, ...]:
    """Return the results of the last layer, and the last states of all."""
    has_biases, layers, dropout, train, bidirectional, batch_first = settings
    directions = 2 if bidirectional else 1
    each = len(params) // (layers * directions)
    given = [several(fn.unbind(state, axis=0)) for state in first]
    x = fn.swapaxes(x, 0, 1) if batch_first else x
    lasts: list[_States] = []
    for layer in range(layers):
        results = []
        for direction in range(directions):
            place = layer * directions + direction
            own = params[place * each : (place + 1) * each]
            b_ih, b_hh = own[2:4] if has_biases else (None, None)
            weights = _Weights(own[0], own[1], b_ih, b_hh, own[-1] if each % 2 else None)
            start = tuple(state[place] for state in given)

            def one(now: Node, states: _States, weights: _Weights = weights) -> _States:
                return step(weights, now, states)

            result, last = _one_direction(weights.inputs(x, both), start, one, bool(direction))
            results.append(result)
            lasts.append(last)
        x = fn.concatenate(results, axis=2) if bidirectional else results[0]
        if train and dropout and layer + 1 < layers:
            x = dropped(call, x, dropout)
    stacked = (fn.stack([last[i] for last in lasts], axis=0) for i in range(len(first)))
    return (fn.swapaxes(x, 0, 1) if batch_first else x), *stacked


@aten("lstm.input")
def lstm(
    call: Call,
    input: Node,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Node, ...]:
    """Return the results of long short-term memory, and its last states."""
    settings = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
    return _layers(call, input, list(hx), list(params), _lstm_step, True, settings)


def _of_one_state(name: str, step: Callable[[_Weights, Node, _States], _States], both: bool) -> None:
    @aten(name)
    def rule(
        call: Call,
        input: Node,
        hx: Node,
        params: Any,
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Node, ...]:
        settings = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
        return _layers(call, input, [hx], list(params), step, both, settings)


_of_one_state("gru.input", _gru_step, both=False)
_of_one_state("rnn_tanh.input", _tanh_step, both=True)
_of_one_state("rnn_relu.input", _relu_step, both=True)
_PACKED = "packed sequences: pad them, and weigh what is computed by a mask of the lengths"
refused("lstm.data", "gru.data", "rnn_tanh.data", "rnn_relu.data", why=_PACKED)


@aten("lstm_cell")
def lstm_cell(
    call: Call, input: Node, hx: Any, w_ih: Node, w_hh: Node, b_ih: Node | None = None, b_hh: Node | None = None
) -> tuple[Node, ...]:
    """Return the next state and cell state."""
    weights = _Weights(w_ih, w_hh, b_ih, b_hh)
    return _lstm_step(weights, weights.inputs(input, both=True), tuple(hx))


def _cell(name: str, step: Callable[[_Weights, Node, _States], _States], both: bool) -> None:
    @aten(name)
    def rule(
        call: Call, input: Node, hx: Node, w_ih: Node, w_hh: Node, b_ih: Node | None = None, b_hh: Node | None = None
    ) -> Node:
        weights = _Weights(w_ih, w_hh, b_ih, b_hh)
        return step(weights, weights.inputs(input, both), (hx,))[0]


_cell("gru_cell", _gru_step, both=False)
_cell("rnn_tanh_cell", _tanh_step, both=True)
_cell("rnn_relu_cell", _relu_step, both=True)


@aten("mkldnn_rnn_layer")
def rnn_layer(
    call: Call,
    input: Node,
    weight0: Node,
    weight1: Node,
    weight2: Node,
    weight3: Node,
    hx_: Node,
    cx_: Node,
    reverse: bool,
    batch_sizes: Any,
    mode: int,
    hidden_size: int,
    num_layers: int,
    has_biases: bool,
    bidirectional: bool,
    batch_first: bool,
    train: bool,
) -> tuple[Node | None, ...]:
    """Return the results of one layer of long short-term memory in one direction, and its last states."""
    if mode != 2 or num_layers != 1 or bidirectional or batch_sizes:
        call.refuse("it is not one layer of an LSTM in one direction")
    weights = _Weights(weight0, weight1, weight2 if has_biases else None, weight3 if has_biases else None)
    shape = (input.spec.shape[1], weight1.spec.shape[1])
    start = tuple(fn.reshape(each, shape) for each in (hx_, cx_))

    def step(now: Node, states: _States) -> _States:
        return _lstm_step(weights, now, states)

    found, last = _one_direction(weights.inputs(input, True), start, step, reverse)
    return found, *(fn.reshape(each, of.spec.shape) for each, of in zip(last, (hx_, cx_), strict=True)), None
