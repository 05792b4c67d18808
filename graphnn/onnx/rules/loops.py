"""Loops of a model as one node, whatever the number of iterations: what these have in common is found first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ...control_flow import scan, while_loop
from ...core import Node, fn
from ...core.symbolic_shapes import Dimension, clamp, names_in, size_of, subtract, unify
from .. import shape_arithmetic as of
from ..node_order import reads
from ..rule_registry import LOGIC, ON_SIZES

if TYPE_CHECKING:
    from ...core import Dim
    from ..onnx_node import Call
    from ..rule_registry import Value


_MOST_NESTED = 8
"""Bodies lie in bodies as text in text, so what is deeper would be long."""


@contextmanager
def _deeper(call: Call) -> Iterator[None]:
    """Count a loop within loops, and refuse too many."""
    call.reader.loops += 1
    try:
        if call.reader.loops > _MOST_NESTED:
            call.refuse(f"it lies in {_MOST_NESTED} loops over sizes that have names, which is the most")
        yield
    finally:
        call.reader.loops -= 1


class Rounds:
    """What is known of the body of a Loop before its iterations.

    Parameters
    ----------
    call : Call
    body : GraphProto
    state : sequence of Value
        The first state.

    Attributes
    ----------
    steps : dict of int to int
        {place in the state: by how much that number grows in each iteration}; 0 of what stays as it is.
    """

    def __init__(self, call: Call, body: Any, state: Sequence[Value]) -> None:
        self.call, self.body, self.state = call, body, state
        self._makers = {name: place for place, node in enumerate(body.node) for name in node.output}
        self.inputs = [each.name for each in body.input[2:]]
        self.outputs = [each.name for each in body.output[1 : 1 + len(state)]]
        self.steps = {
            place: 0 for place in range(len(state)) if self._source(self.outputs[place]) == self.inputs[place]
        }
        for place, value in enumerate(state):
            step = self._step(place, value) if place not in self.steps else 0
            if step:
                self.steps[place] = step

    def _source(self, name: str) -> str:
        """Return what a name stands for, through what only hands on."""
        for _ in self.body.node:
            maker = self.body.node[self._makers[name]] if name in self._makers else None
            if maker is None or maker.op_type != "Identity" or maker.domain:
                break
            name = maker.input[0]
        return name

    def _step(self, place: int, value: Value) -> int | None:
        """Return by how much a number grows in each iteration, if it is the same in all."""
        if (
            not isinstance(value, (np.ndarray, of.Sizes))
            or value.dtype.kind not in "iu"
            or value.shape not in ((), (1,))
        ):
            return None
        name = _unused(self.call)
        before = of.sized(np.full(value.shape, Dimension(name), object), value.dtype)
        after = self._computed(
            self.outputs[place], {self.inputs[place]: before}, ("Add", "Sub", "Identity", "Constant")
        )
        if after is None or after.shape != value.shape:
            return None
        grown = subtract(of.boxed(after).reshape(-1)[0], name)
        return grown if isinstance(grown, int) else None

    def goes_on(self, length: Dim) -> bool:
        """Whether the body never ends the loop before so many iterations."""
        beyond = subtract(subtract(length, 2), _unused(self.call))  # any iteration but the last
        given: dict[str, Value] = {
            self.body.input[0].name: of.sized(beyond, np.int64),
            self.body.input[1].name: np.array(True),
        }
        for place, step in self.steps.items():
            value = self.state[place]
            if isinstance(value, (np.ndarray, of.Sizes)):
                given[self.inputs[place]] = _grown(value, step, beyond)
        known = self._computed(self.body.output[0].name, given, {*ON_SIZES, *LOGIC, "Constant"})
        return isinstance(known, np.ndarray) and known.size == 1 and bool(known.reshape(())[()])

    def _computed(self, name: str, given: dict[str, Value], operations: Iterable[str]) -> Value:
        """Return what a name of the body is, of numbers and sizes alone, or None."""
        needed, waiting = set(), [name]
        while waiting:
            place = self._makers.get(waiting.pop())
            if place is not None and place not in needed:
                if self.body.node[place].op_type not in operations:
                    return None
                needed.add(place)
                waiting.extend(reads(self.body.node[place]))
        nodes = [self.body.node[place] for place in sorted(needed)]
        return self.call.reader.known(self.call, self.body, nodes, given, name)

    def after(self, place: int, length: Dim) -> Value:
        """Return a number that grows, after all iterations."""
        return _grown(self.state[place], self.steps[place], clamp(length))

    def inside(self, place: int, index: Node) -> Value:
        """Return what stays as it is or grows, in an iteration."""
        value, step = self.state[place], self.steps[place]
        return (
            value if not step else self.call.node(value) + fn.cast(index, value.dtype) * np.asarray(step, value.dtype)
        )


def _unused(call: Call) -> str:
    """Return a name that no size of the model has."""
    names = names_in(dim for node in call.reader.graph.placeholders for dim in node.shape)
    return next(name for name in (f"any_{number}" for number in range(len(names) + 1)) if name not in names)


def _grown(value: Value, step: int, rounds: Dim) -> Value:
    if not step:
        return value
    return of.sized(of.each(lambda place: of.plus(place, of.times(rounds, step)), value), value.dtype)


def looped(call: Call, rounds: Rounds, length: Dim) -> list[Value]:
    """Return what a Loop of so many iterations gives: its last state, and what each iteration gives."""
    moving = [place for place in range(len(rounds.state)) if place not in rounds.steps]

    def step(states: list[Node], index: Node) -> tuple[list[Node], list[Node]]:
        values = [None if place in moving else rounds.inside(place, index) for place in range(len(rounds.state))]
        for place, node in zip(moving, states, strict=True):
            values[place] = node
        _, *results = call.body(rounds.body, [index, np.array(True), *values])
        after = [_like(call, results[place], node) for place, node in zip(moving, states, strict=True)]
        return after, [call.node(each) for each in results[len(values) :]]

    first = [call.node(rounds.state[place]) for place in moving]
    with _deeper(call):
        last, results = scan(step, first, fn.arange(length, graph=call.graph))
    ends = [rounds.after(place, length) if place in rounds.steps else None for place in range(len(rounds.state))]
    for place, node in zip(moving, last, strict=True):
        ends[place] = node
    return [*ends, *results]


def repeated(call: Call, rounds: Rounds, count: Value, cond: Value) -> list[Value]:
    """Return the last state of a Loop of which data tell when it ends."""
    moving = [place for place in range(len(rounds.state)) if place not in rounds.steps]
    most = None if count is None else fn.cast(fn.reshape(call.node(count), ()), "int64")
    known = None if most is None else call.reader.stored(call.node(count))

    def goes_on(state: list[Node]) -> Node:
        number, going = state[:2]
        return going if most is None else fn.logical_and(going, fn.less(number, most))

    def step(state: list[Node]) -> list[Node]:
        number, going, *nodes = state
        values = [None if place in moving else rounds.inside(place, number) for place in range(len(rounds.state))]
        for place, node in zip(moving, nodes, strict=True):
            values[place] = node
        going, *results = call.body(rounds.body, [number, going, *values])
        after = [_like(call, results[place], node) for place, node in zip(moving, nodes, strict=True)]
        return [number + 1, fn.reshape(call.node(going), ()), *after]

    first = [call.node(np.array(0, np.int64)), fn.reshape(call.node(np.array(True) if cond is None else cond), ())]
    first += [call.node(rounds.state[place]) for place in moving]
    with _deeper(call):
        limit = None if known is None else max(int(known.reshape(())), 0)
        number, _, *last = while_loop(goes_on, step, first, limit)
    ends = [rounds.inside(place, number) if place in rounds.steps else None for place in range(len(rounds.state))]
    for place, node in zip(moving, last, strict=True):
        ends[place] = node
    return ends


def scanned(
    call: Call, operands: Sequence[Value], body: Any, count: int, settings: Sequence[Sequence[int]], length: Dim
) -> list[Value]:
    """Return what a Scan of so many iterations gives, as one node."""
    kept = len(operands) - count
    rows = []
    for each, axis, backwards in zip(operands[kept:], settings[0], settings[1], strict=True):
        node = fn.moveaxis(call.node(each), axis, 0)
        node = fn.flip(node, 0) if backwards else node
        rows.append(node if node.shape[0] == length else fn.broadcast_to(node, (length, *node.shape[1:])))

    def step(states: list[Node], slices: list[Node]) -> tuple[list[Node], list[Node]]:
        results = call.body(body, [*states, *slices])
        return [_like(call, *pair) for pair in zip(results, states, strict=False)], [
            call.node(each) for each in results[kept:]
        ]

    with _deeper(call):
        last, results = scan(step, [call.node(each) for each in operands[:kept]], rows)
    for place, (axis, backwards) in enumerate(zip(settings[2], settings[3], strict=True)):
        node = fn.flip(results[place], 0) if backwards else results[place]
        if not -node.ndim <= axis < node.ndim:
            call.refuse(f"it puts results along axis {axis} of {node.ndim}")
        results[place] = fn.moveaxis(node, 0, axis)
    return [*last, *results]


def _like(call: Call, value: Value, before: Node) -> Node:
    """Return a next state in the shape that it had before, which may have other names."""
    node = call.node(value)
    if node.shape == before.shape or node.ndim != before.ndim:
        return node
    fits = all(_may_be(*pair) for pair in zip(node.shape, before.shape, strict=True))
    return fn.broadcast_to(node, before.shape) if fits else node


_TRIED = (2, 3, 17, 250, 1009)


def _may_be(a: Dim, b: Dim) -> bool:
    """Whether two dimensions may be one, which a run checks; what depends on the same sizes is tried with some."""
    names = sorted(names_in([a, b]))
    if a == b or unify(a, b) is None or not names_in([a]) & names_in([b]):
        return unify(a, b) is not None
    tried = [{name: size + place for place, name in enumerate(names)} for size in _TRIED]
    return all(size_of(a, sizes) == size_of(b, sizes) for sizes in tried)
