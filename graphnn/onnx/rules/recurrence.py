"""Recurrent layers: over a short known length as nodes of each step, else by a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...control_flow.scan import MOST_UNROLLED, scan
from ...core import Node, fn
from ..rule_registry import rule
from .integer_matmul import aligned, centred, exact
from .kit import computed, number
from .quantization import dynamic

if TYPE_CHECKING:
    from ..onnx_node import Call
    from ..rule_registry import Value

_States = tuple[Node, ...]
_Step = Callable[[Node, _States], _States]

_DEFAULTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0, 0.0),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, 0.0),
    "scaledtanh": (1.0, 1.0),
    "thresholdedrelu": (1.0, 0.0),
}
"""What alpha and beta of an activation are if they are not given."""


def _activation(call: Call, name: str, alpha: float | None, beta: float | None) -> Callable[[Node], Node]:
    kind = name.lower()
    first, second = _DEFAULTS.get(kind, (0.0, 0.0))
    a, b = first if alpha is None else alpha, second if beta is None else beta
    plain = {"relu": fn.relu, "sigmoid": fn.sigmoid, "softplus": fn.softplus, "tanh": fn.tanh}
    if kind in plain:
        return plain[kind]
    others: dict[str, Callable[[Node], Node]] = {
        "affine": lambda x: x * a + b,
        "elu": lambda x: fn.elu(x, a),
        "hardsigmoid": lambda x: fn.clip(x * a + b, 0.0, 1.0),
        "leakyrelu": lambda x: fn.leaky_relu(x, a),
        "scaledtanh": lambda x: fn.tanh(x * b) * a,
        "softsign": lambda x: x / (fn.absolute(x) + 1),
        "thresholdedrelu": lambda x: fn.where(fn.greater(x, number(call, a, x)), x, number(call, 0, x)),
    }
    if kind not in others:
        call.refuse(f"graphnn does not know the activation {name!r}")
    return others[kind]


class _Layer:
    """One direction of a recurrent layer.

    Attributes
    ----------
    weights, scales : list of Node
        Of the input and of the state, for all gates. Weights that are bytes have scales.
    bias, state_bias : Value or None
    active : list of callable
        The activations.
    """

    def __init__(self, call: Call, given: _Given, place: int) -> None:
        self.call, self.clip = call, given.clip
        count = len(given.active) // given.directions
        self.active = given.active[place * count : (place + 1) * count]
        self.gates = given.gates
        self.weights: list[Node] = []
        self.scales: list[Node] = []
        for which, whole in enumerate((given.w, given.r)):
            if given.scales:
                scale, zero = (_row(call, each, place) for each in given.scales[2 * which : 2 * which + 2])
                weight = _row(call, whole, place)
                self.weights.append(centred(call, weight, zero, exact(call, weight, zero, (0,))))
                self.scales.append(call.node(aligned(call, scale, 2, None)))
            else:
                self.weights.append(call.node(_matrix(call, whole, place)))
        self.bias: Value = None
        self.state_bias: Value = None
        self.peepholes: list[Node] | None = None
        units, several = given.units, given.gates * given.units
        if given.b is not None:
            row = _row(call, given.b, place)
            self.bias, self.state_bias = (_part(call, row, slice(at, at + several)) for at in (0, several))
        if given.p is not None:
            row = _row(call, given.p, place)
            self.peepholes = [call.node(_part(call, row, slice(i * units, (i + 1) * units))) for i in range(3)]
        self.states = [call.node(_row(call, each, place)) for each in given.initial]

    def projected(self, x: Node) -> Node:
        """Return the product of x with the weights of the input."""
        return self._product(x, 0)

    def recurred(self, h: Node) -> Node:
        """Return the product of a state with the weights of the state."""
        return self._product(h, 1)

    def _product(self, x: Node, which: int) -> Node:
        weight = self.weights[which]
        if not self.scales:
            return fn.matmul(x, weight)
        whole, scale, point = dynamic(self.call, x)
        y = fn.matmul(fn.cast(whole - point, weight.spec.dtype), weight)
        return fn.cast(y, x.spec.dtype) * (scale * self.scales[which])

    def clipped(self, x: Node) -> Node:
        """Return what goes into an activation."""
        return x if self.clip is None else fn.clip(x, -self.clip, self.clip)

    def parts(self, x: Node) -> list[Node]:
        """Return what belongs to each gate."""
        units = int(x.spec.shape[-1]) // self.gates
        return [fn.getitem(x, (..., slice(i * units, (i + 1) * units))) for i in range(self.gates)]


def _matrix(call: Call, x: Value, place: int) -> Value:
    return computed(call, lambda a: a[place].T, lambda a: fn.transpose(fn.getitem(a, place)), x)


def _row(call: Call, x: Value, place: int) -> Value:
    return computed(call, lambda a: a[place], lambda a: fn.getitem(a, place), x)


def _part(call: Call, x: Value, part: slice) -> Value:
    return computed(call, lambda a: a[part], lambda a: fn.getitem(a, part), x)


class _Given:
    """The operands and attributes of a recurrent node, whichever it is."""

    def __init__(
        self,
        call: Call,
        x: Node,
        w: Value,
        r: Value,
        b: Value,
        lengths: Node | None,
        initial: Sequence[Value],
        settings: dict[str, Any],
        p: Value = None,
        scales: Sequence[Value] = (),
    ) -> None:
        self.scales = scales
        self.layout = settings["layout"]
        self.x = fn.transpose(x, (1, 0, 2)) if self.layout else x
        self.steps = self.x.spec.shape[0]
        self.w, self.r, self.b, self.p, self.lengths = w, r, b, p, lengths
        if any(isinstance(dim, str) for dim in (w.shape[0], *r.shape)):
            call.ask_for_sizes("how many units and gates it has", [w.shape[0], *r.shape])
        self.directions = int(w.shape[0])
        self.units, several = sorted(int(dim) for dim in r.shape[1:])
        self.gates = several // self.units
        if call.attributes.get("hidden_size", self.units) != self.units:
            call.refuse(f"its hidden_size is {call.attributes['hidden_size']}, and its weights are for {self.units}")
        self.clip = settings["clip"]
        self.direction = settings["direction"]
        zeros = None
        self.initial: list[Value] = []
        for each in initial:
            if each is None:
                if zeros is None:
                    shape = (self.directions, self.x.spec.shape[1], self.units)
                    zeros = fn.broadcast_to(call.node(np.zeros((), x.spec.dtype)), shape)
                self.initial.append(zeros)
            else:
                self.initial.append(fn.transpose(call.node(each), (1, 0, 2)) if self.layout else each)
        names = settings["activations"] * (1 if settings["given"] else self.directions)
        alphas, betas = list(settings["alphas"] or ()), list(settings["betas"] or ())
        self.active = []
        for name in names:
            # Only activations that have an alpha or a beta take one of those that are given.
            takes = name.lower() in _DEFAULTS
            alpha = alphas.pop(0) if takes and alphas else None
            beta = betas.pop(0) if name.lower() in ("affine", "hardsigmoid", "scaledtanh") and betas else None
            self.active.append(_activation(call, name, alpha, beta))


def _settings(
    activations: Any, alphas: Any, betas: Any, clip: float | None, direction: str, layout: int, usual: list[str]
) -> dict[str, Any]:
    return {
        "activations": activations or usual,
        "given": bool(activations),
        "alphas": alphas,
        "betas": betas,
        "clip": clip,
        "direction": direction,
        "layout": layout,
    }


def _stepped(call: Call, given: _Given, make: Callable[[_Layer], tuple[Node, _Step]]) -> tuple[Node | None, ...]:
    """Return the states of all steps, and the last ones."""
    outputs: list[Node] = []
    lasts: list[_States] = []
    for place in range(given.directions):
        layer = _Layer(call, given, place)
        x, step = make(layer)
        backwards = given.direction == "reverse" or place == 1
        short = isinstance(given.steps, int) and given.steps <= MOST_UNROLLED
        result, last = (_unrolled if short else _looped)(call, given, x, tuple(layer.states), step, backwards)
        outputs.append(fn.swapaxes(result, 0, 1) if given.layout else result)
        lasts.append(last)
    asked = [*call.outputs, "", "", ""]
    ends = [
        fn.stack([each[i] for each in lasts], axis=1 if given.layout else 0) if asked[i + 1] else None
        for i in range(len(lasts[0]))
    ]
    axis = 2 if given.layout else 1
    whole = fn.expand_dims(outputs[0], axis) if len(outputs) == 1 else fn.stack(outputs, axis=axis)
    return (whole if asked[0] else None, *ends)


def _unrolled(
    call: Call, given: _Given, x: Node, states: _States, step: _Step, backwards: bool
) -> tuple[Node, _States]:
    """Return the states of all steps, and the last ones, with nodes of its own for each step."""
    steps: Any = fn.unbind(x, axis=0)
    lengths = _uneven(call, given)
    results: list[Any] = [None] * len(steps)
    for t in reversed(range(len(steps))) if backwards else range(len(steps)):
        found = step(steps[t], states)
        results[t] = found[0]
        if lengths is not None:
            mask = fn.greater(fn.reshape(lengths, (-1, 1)), call.node(np.asarray(t, lengths.spec.dtype)))
            results[t] = fn.where(mask, found[0], number(call, 0, found[0]))
            found = tuple(fn.where(mask, new, old) for new, old in zip(found, states, strict=True))
        states = found
    return fn.stack(results, axis=0), states


def _looped(call: Call, given: _Given, x: Node, states: _States, step: _Step, backwards: bool) -> tuple[Node, _States]:
    """Return the states of all steps, and the last ones, by a loop."""
    lengths = _uneven(call, given)
    of_batch = [x.spec.shape[1], *[state.spec.shape[0] for state in states]]
    of_batch += [] if lengths is None else [lengths.spec.shape[0]]
    batch = next((size for size in of_batch if isinstance(size, int) and size != 1), of_batch[0])
    mask = None
    if lengths is not None:
        mask = fn.less(fn.expand_dims(fn.arange(given.steps, graph=call.graph), 1), fn.cast(lengths, "int64"))
        mask = fn.broadcast_to(mask, (given.steps, batch))
    first = tuple([fn.broadcast_to(state, (batch, given.units)) for state in states])
    last: tuple[_States, Node] = scan(
        lambda states, row: _with_result(step(row, states)), first, x, backwards, mask=mask
    )
    return last[1], last[0]


def _with_result(states: _States) -> tuple[_States, Node]:
    return states, states[0]


def _uneven(call: Call, given: _Given) -> Node | None:
    """Return the lengths of the sequences, or None where they are all of the whole length."""
    if given.lengths is None:
        return None
    known = call.reader.stored(given.lengths)
    return (
        None if known is not None and isinstance(given.steps, int) and np.all(known >= given.steps) else given.lengths
    )


def _projected(layer: _Layer, x: Node, bias: Value) -> Node:
    """Return the products of all steps with the weights, at once."""
    y = layer.projected(x)
    return y if bias is None else y + layer.call.node(bias)


def _both(call: Call, layer: _Layer) -> Value:
    """Return the sum of both biases."""
    if layer.bias is None or layer.state_bias is None:
        return None
    return computed(call, lambda a, b: a + b, lambda a, b: a + b, layer.bias, layer.state_bias)


@rule("RNN")
def rnn(
    call: Call,
    x: Node,
    w: Value,
    r: Value,
    b: Value = None,
    sequence_lens: Node | None = None,
    initial_h: Value = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = None,
    clip: float | None = None,
    direction: Literal["forward", "reverse", "bidirectional"] = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    output_sequence: int = 1,
) -> Any:
    """Return the states of a simple recurrent layer, and the last ones."""
    settings = _settings(activations, activation_alpha, activation_beta, clip, direction, layout, ["Tanh"])
    given = _Given(call, x, w, r, b, sequence_lens, [initial_h], settings)

    def make(layer: _Layer) -> tuple[Node, _Step]:
        def step(x: Node, states: _States) -> _States:
            return (layer.active[0](layer.clipped(x + layer.recurred(states[0]))),)

        return _projected(layer, given.x, _both(call, layer)), step

    return _stepped(call, given, make)


@rule("GRU")
def gru(
    call: Call,
    x: Node,
    w: Value,
    r: Value,
    b: Value = None,
    sequence_lens: Node | None = None,
    initial_h: Value = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = None,
    clip: float | None = None,
    direction: Literal["forward", "reverse", "bidirectional"] = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
    output_sequence: int = 1,
) -> Any:
    """Return the states of gated recurrent units, and the last ones."""
    settings = _settings(activations, activation_alpha, activation_beta, clip, direction, layout, ["Sigmoid", "Tanh"])
    given = _Given(call, x, w, r, b, sequence_lens, [initial_h], settings)
    units = given.units

    def make(layer: _Layer) -> tuple[Node, _Step]:
        gate, candidate = layer.active
        own = None if layer.state_bias is None else call.node(layer.state_bias)
        if linear_before_reset:
            bias = layer.bias
        else:
            bias, own = _both(call, layer), None
            gates = call.node(_columns(call, layer.weights[1], slice(0, 2 * units)))
            last = call.node(_columns(call, layer.weights[1], slice(2 * units, 3 * units)))

        def step(x: Node, states: _States) -> _States:
            (h,) = states
            update, reset, new = layer.parts(x)
            if linear_before_reset:
                product = layer.recurred(h)
                more = layer.parts(product if own is None else product + own)
            else:
                product = fn.matmul(h, gates)
                more = [fn.getitem(product, (..., slice(i * units, (i + 1) * units))) for i in range(2)]
            z = gate(layer.clipped(update + more[0]))
            reset = gate(layer.clipped(reset + more[1]))
            new = new + (reset * more[2] if linear_before_reset else fn.matmul(reset * h, last))
            new = candidate(layer.clipped(new))
            return (new + z * (h - new),)

        return _projected(layer, given.x, bias), step

    return _stepped(call, given, make)


def _columns(call: Call, x: Value, part: slice) -> Value:
    return computed(call, lambda a: a[:, part], lambda a: fn.getitem(a, (slice(None), part)), x)


@rule("LSTM")
def lstm(
    call: Call,
    x: Node,
    w: Value,
    r: Value,
    b: Value = None,
    sequence_lens: Node | None = None,
    initial_h: Value = None,
    initial_c: Value = None,
    p: Value = None,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = None,
    clip: float | None = None,
    direction: Literal["forward", "reverse", "bidirectional"] = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
    output_sequence: int = 1,
) -> Any:
    """Return the states of a long short-term memory, the last ones, and the last states of its cells."""
    usual = ["Sigmoid", "Tanh", "Tanh"]
    settings = _settings(activations, activation_alpha, activation_beta, clip, direction, layout, usual)
    given = _Given(call, x, w, r, b, sequence_lens, [initial_h, initial_c], settings, p)
    return _lstm(call, given, input_forget)


def _lstm(call: Call, given: _Given, input_forget: int) -> tuple[Node | None, ...]:
    def make(layer: _Layer) -> tuple[Node, _Step]:
        gate, candidate, shown = layer.active

        def step(x: Node, states: _States) -> _States:
            h, c = states
            take, give, keep, new = layer.parts(x + layer.recurred(h))
            if layer.peepholes is not None:
                take, keep = take + layer.peepholes[0] * c, keep + layer.peepholes[2] * c
            take = gate(layer.clipped(take))
            keep = 1 - take if input_forget else gate(layer.clipped(keep))
            c = keep * c + take * candidate(layer.clipped(new))
            if layer.peepholes is not None:
                give = give + layer.peepholes[1] * c
            return gate(layer.clipped(give)) * shown(c), c

        return _projected(layer, given.x, _both(call, layer)), step

    return _stepped(call, given, make)


@rule("DynamicQuantizeLSTM", domain="com.microsoft")
def dynamic_quantize_lstm(
    call: Call,
    x: Node,
    w: Value,
    r: Value,
    b: Value | None,
    sequence_lens: Node | None,
    initial_h: Value | None,
    initial_c: Value | None,
    p: Value | None,
    w_scale: Value,
    w_zero_point: Value,
    r_scale: Value,
    r_zero_point: Value,
    *,
    activation_alpha: Any = None,
    activation_beta: Any = None,
    activations: Any = None,
    clip: float | None = None,
    direction: Literal["forward", "reverse", "bidirectional"] = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
) -> Any:
    """Return what `LSTM` does, with weights of bytes; what they multiply becomes bytes first."""
    usual = ["Sigmoid", "Tanh", "Tanh"]
    settings = _settings(activations, activation_alpha, activation_beta, clip, direction, 0, usual)
    scales = (w_scale, w_zero_point, r_scale, r_zero_point)
    given = _Given(call, x, w, r, b, sequence_lens, [initial_h, initial_c], settings, p, scales)
    return _lstm(call, given, input_forget)
